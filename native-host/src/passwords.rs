//! Passwords of cards that the user had remembered: their keys, in the system's keychain.
//!
//! What is kept is the 16 bytes that a password becomes with one card's salt: they open that card, until its next reset,
//! and no other. A marker file says that there is something to look for, so that nobody's keychain is asked to open for
//! nothing.

use std::fs;
use std::path::PathBuf;

use keyfob_core::oath::AccessKey;

use crate::keychain::{self, KeychainError};
use crate::paths::{PathError, write_atomically};

/// Why a password could not be remembered or forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordsError {
    /// The keychain.
    #[error(transparent)]
    Keychain(#[from] KeychainError),
    /// The marker.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// The remembered passwords of this user.
#[derive(Debug, Clone)]
pub struct Passwords {
    folder: PathBuf,
}

fn entry(salt: &[u8]) -> String {
    let salt: String = salt.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("password-{salt}")
}

impl Passwords {
    /// With markers in `folder`, which need not exist.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Whether the password of the card with this salt was remembered.
    #[must_use]
    pub fn has(&self, salt: &[u8]) -> bool {
        self.folder.join(entry(salt)).exists()
    }

    /// The key of the card with this salt, if it was remembered and the keychain gives it out.
    #[must_use]
    pub fn get(&self, salt: &[u8]) -> Option<AccessKey> {
        if !self.has(salt) {
            return None;
        }
        let entry = entry(salt);
        // A keychain that does not open is asked about no further: the person is.
        let bytes = keychain::system().ok()?.get(&entry).ok()??;
        Some(AccessKey::from_bytes(bytes.as_slice().try_into().ok()?))
    }

    /// Remembers the key of the card with this salt.
    ///
    /// # Errors
    /// [`PasswordsError`].
    pub fn remember(&self, salt: &[u8], key: &AccessKey) -> Result<(), PasswordsError> {
        let entry = entry(salt);
        keychain::system()?.set(&entry, key.expose())?;
        Ok(write_atomically(&self.folder.join(entry), b"")?)
    }

    /// Forgets it. Whether it was remembered.
    ///
    /// # Errors
    /// [`PasswordsError`].
    pub fn forget(&self, salt: &[u8]) -> Result<bool, PasswordsError> {
        let entry = entry(salt);
        let marker = self.folder.join(&entry);
        if !marker.exists() {
            return Ok(false);
        }
        let there = keychain::system()?.delete(&entry)?;
        fs::remove_file(&marker).map_err(PathError::io("delete", &marker))?;
        Ok(there)
    }
}
