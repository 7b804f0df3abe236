//! Passwords of cards that the user had remembered: their keys, in the system's keychain, or in an encrypted file where
//! there is none.
//!
//! What is kept is the 16 bytes that a password becomes with one card's salt: they open that card, until its next reset,
//! and no other. A marker file says that there is something to look for, so that nobody's keychain is asked to open for
//! nothing. The file is of the software keys' format, under the passphrase in the file that the environment names
//! ([`crate::prompt::PASSPHRASE_FILE_ENV`]): a person who had to type one could as well type the card's password.

use std::fs;
use std::path::PathBuf;

use keyfob_core::oath::AccessKey;
use keyfob_core::secret::Secret;

use crate::keychain::{self, KeychainError};
use crate::paths::{PathError, write_atomically};
use crate::prompt::PASSPHRASE_FILE_ENV;
use crate::soft::{Name, SoftError, SoftKeys, Unlock};

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
    /// The encrypted file.
    #[error(transparent)]
    Sealed(#[from] SoftError),
    /// Neither a keychain nor a passphrase to encrypt a file with.
    #[error(
        "no keychain is available here ({0}), and no passphrase to encrypt a file with: name a file with one in \
         {PASSPHRASE_FILE_ENV}"
    )]
    Nowhere(String),
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

    /// The encrypted files, and the name of one card's. None for a salt that no card has.
    fn sealed(&self, salt: &[u8]) -> Option<(SoftKeys, Name)> {
        // A name has room for 16 digits; every salt has 8 bytes.
        Some((SoftKeys::new(self.folder.clone()), entry(salt).parse().ok()?))
    }

    /// Whether the password of the card with this salt was remembered.
    #[must_use]
    pub fn has(&self, salt: &[u8]) -> bool {
        self.folder.join(entry(salt)).exists() || self.is_sealed(salt)
    }

    fn is_sealed(&self, salt: &[u8]) -> bool {
        self.sealed(salt).is_some_and(|(files, name)| files.protection(&name).is_ok())
    }

    /// The key of the card with this salt, if it was remembered and the keychain, or the passphrase, gives it out.
    #[must_use]
    pub fn get(&self, salt: &[u8], passphrase: Option<&Secret>) -> Option<AccessKey> {
        if let Some((files, name)) = self.sealed(salt).filter(|_| self.is_sealed(salt)) {
            let opened = files.open(&name, Unlock::Passphrase(passphrase?)).ok()?;
            return Some(AccessKey::from_bytes(opened.state().try_into().ok()?));
        }
        if !self.has(salt) {
            return None;
        }
        let entry = entry(salt);
        // A keychain that does not open is asked about no further: the person is.
        let bytes = keychain::system().ok()?.get(&entry).ok()??;
        Some(AccessKey::from_bytes(bytes.as_slice().try_into().ok()?))
    }

    /// Remembers the key of the card with this salt: in the keychain, else in a file encrypted with the passphrase. Whether
    /// it is in a file.
    ///
    /// # Errors
    /// [`PasswordsError`].
    pub fn remember(
        &self,
        salt: &[u8],
        key: &AccessKey,
        passphrase: Option<&Secret>,
    ) -> Result<bool, PasswordsError> {
        let entry = entry(salt);
        let keychain = match keychain::system() {
            Err(KeychainError::Unavailable(why)) => {
                let (passphrase, (files, name)) = match (passphrase, self.sealed(salt)) {
                    (Some(passphrase), Some(sealed)) => (passphrase, sealed),
                    _ => return Err(PasswordsError::Nowhere(why)),
                };
                if files.protection(&name).is_ok() {
                    files.delete(&name, keychain::system)?;
                }
                files.create(&name, Unlock::Passphrase(passphrase), key.expose())?;
                return Ok(true);
            }
            keychain => keychain?,
        };
        keychain.set(&entry, key.expose())?;
        write_atomically(&self.folder.join(entry), b"")?;
        Ok(false)
    }

    /// Forgets it. Whether it was remembered.
    ///
    /// # Errors
    /// [`PasswordsError`].
    pub fn forget(&self, salt: &[u8]) -> Result<bool, PasswordsError> {
        let mut there = false;
        if let Some((files, name)) = self.sealed(salt).filter(|_| self.is_sealed(salt)) {
            files.delete(&name, keychain::system)?;
            there = true;
        }
        let entry = entry(salt);
        let marker = self.folder.join(&entry);
        if marker.exists() {
            there |= keychain::system()?.delete(&entry)?;
            fs::remove_file(&marker).map_err(PathError::io("delete", &marker))?;
        }
        Ok(there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a keychain: this build may have one, and then it is not asked for these.
    #[test]
    fn a_password_is_kept_in_an_encrypted_file() {
        let folder = tempfile::tempdir().unwrap();
        let passwords = Passwords::new(folder.path().join("passwords"));
        let (salt, key) = ([7; 8], AccessKey::from_bytes([9; 16]));
        let (right, wrong) = (Secret::from("right".to_owned()), Secret::from("wrong".to_owned()));
        let (files, name) = passwords.sealed(&salt).unwrap();
        files.create(&name, Unlock::Passphrase(&right), key.expose()).unwrap();
        assert!(passwords.has(&salt) && !passwords.has(&[8; 8]));
        assert_eq!(passwords.get(&salt, Some(&right)).unwrap().expose(), key.expose());
        assert!(passwords.get(&salt, Some(&wrong)).is_none() && passwords.get(&salt, None).is_none());
        assert!(passwords.forget(&salt).unwrap());
        assert!(!passwords.has(&salt) && !passwords.forget(&salt).unwrap());
    }
}
