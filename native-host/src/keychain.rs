//! The operating system's keychain: Secret Service (Linux), Keychain (macOS), Credential Manager (Windows).
//!
//! It holds the key of a software key that has no passphrase. Nothing here is touched unless such a software
//! key is used: [`system`] is where a connection is made.

use keyfob_core::message::ErrorCode;
use zeroize::Zeroizing;

/// The service under which keychains show Keyfob's entries.
pub const SERVICE: &str = "keyfob";

/// Why the keychain could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeychainError {
    /// There is none on this system, or this program was built without.
    #[error("no keychain is available here ({0}): use a software key with a passphrase instead")]
    Unavailable(String),
    /// It is there but stays locked.
    #[error("the keychain is locked ({0}): unlock it and try again")]
    Locked(String),
    /// It refused, or broke.
    #[error("the keychain failed: {0}")]
    Failed(String),
}

impl KeychainError {
    /// The protocol's code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable(_) => ErrorCode::Unsupported,
            Self::Locked(_) => ErrorCode::Locked,
            Self::Failed(_) => ErrorCode::Io,
        }
    }
}

/// Something that keeps secrets by name.
pub trait Keychain {
    /// The secret of that name, if there is one.
    ///
    /// # Errors
    /// [`KeychainError`].
    fn get(&self, entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError>;

    /// Keeps `secret` under that name, in the place of another one.
    ///
    /// # Errors
    /// [`KeychainError`].
    fn set(&self, entry: &str, secret: &[u8]) -> Result<(), KeychainError>;

    /// Forgets the secret of that name. Whether there was one.
    ///
    /// # Errors
    /// [`KeychainError`].
    fn delete(&self, entry: &str) -> Result<bool, KeychainError>;
}

/// The user's own keychain. Connects to it, which may make the system ask the user to unlock it.
///
/// # Errors
/// [`KeychainError::Unavailable`] where there is none.
#[cfg(all(feature = "keychain", any(target_os = "linux", target_os = "macos", windows)))]
pub fn system() -> Result<Box<dyn Keychain>, KeychainError> {
    #[cfg(target_os = "linux")]
    let store = dbus_secret_service_keyring_store::Store::new();
    #[cfg(target_os = "macos")]
    let store = apple_native_keyring_store::keychain::Store::new();
    #[cfg(windows)]
    let store = windows_native_keyring_store::Store::new();
    Ok(Box::new(native::Native { store: store.map_err(|error| native::unavailable(&error))? }))
}

/// The user's own keychain: none in this build.
///
/// # Errors
/// Always [`KeychainError::Unavailable`].
#[cfg(not(all(feature = "keychain", any(target_os = "linux", target_os = "macos", windows))))]
pub fn system() -> Result<Box<dyn Keychain>, KeychainError> {
    Err(KeychainError::Unavailable("this program was built without support for one".to_owned()))
}

#[cfg(all(feature = "keychain", any(target_os = "linux", target_os = "macos", windows)))]
mod native {
    use std::sync::Arc;

    use keyring_core::api::CredentialStoreApi;
    use keyring_core::{Entry, Error};
    use zeroize::{Zeroize as _, Zeroizing};

    use super::{Keychain, KeychainError, SERVICE};

    pub(super) struct Native<S> {
        pub(super) store: Arc<S>,
    }

    impl<S: CredentialStoreApi> Native<S> {
        fn entry(&self, name: &str) -> Result<Entry, KeychainError> {
            self.store.build(SERVICE, name, None).map_err(failed)
        }
    }

    impl<S: CredentialStoreApi> Keychain for Native<S> {
        fn get(&self, entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError> {
            match self.entry(entry)?.get_secret() {
                Ok(secret) => Ok(Some(Zeroizing::new(secret))),
                Err(Error::NoEntry) => Ok(None),
                Err(error) => Err(failed(error)),
            }
        }

        fn set(&self, entry: &str, secret: &[u8]) -> Result<(), KeychainError> {
            self.entry(entry)?.set_secret(secret).map_err(failed)
        }

        fn delete(&self, entry: &str) -> Result<bool, KeychainError> {
            match self.entry(entry)?.delete_credential() {
                Ok(()) => Ok(true),
                Err(Error::NoEntry) => Ok(false),
                Err(error) => Err(failed(error)),
            }
        }
    }

    /// The failure of an operation. Some of the library's errors carry the secret itself: erased, never shown.
    fn failed(error: Error) -> KeychainError {
        match error {
            Error::NoStorageAccess(error) => KeychainError::Locked(error.to_string()),
            Error::PlatformFailure(error) => KeychainError::Failed(error.to_string()),
            Error::BadEncoding(mut bytes) | Error::BadDataFormat(mut bytes, _) => {
                bytes.zeroize();
                KeychainError::Failed("it holds something else under our name".to_owned())
            }
            Error::Ambiguous(_) => KeychainError::Failed("it has several entries of one name".to_owned()),
            error => KeychainError::Failed(error.to_string()),
        }
    }

    /// The failure to connect.
    pub(super) fn unavailable(error: &Error) -> KeychainError {
        KeychainError::Unavailable(match error {
            Error::NoStorageAccess(error) | Error::PlatformFailure(error) => error.to_string(),
            error => error.to_string(),
        })
    }
}

#[cfg(test)]
pub(crate) mod memory {
    //! A keychain in memory, for the tests of its users.

    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::{Keychain, KeychainError, Zeroizing};

    #[derive(Default)]
    pub(crate) struct Memory(pub(crate) RefCell<BTreeMap<String, Vec<u8>>>);

    impl Keychain for Memory {
        fn get(&self, entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError> {
            Ok(self.0.borrow().get(entry).cloned().map(Zeroizing::new))
        }

        fn set(&self, entry: &str, secret: &[u8]) -> Result<(), KeychainError> {
            self.0.borrow_mut().insert(entry.to_owned(), secret.to_owned());
            Ok(())
        }

        fn delete(&self, entry: &str) -> Result<bool, KeychainError> {
            Ok(self.0.borrow_mut().remove(entry).is_some())
        }
    }
}
