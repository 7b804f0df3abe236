//! Software keys as cards: the file opened once, a conversation under its lock.

use std::collections::HashMap;
use std::thread::sleep;
use std::time::Duration;

use keyfob_core::apdu::CommandApdu;
use keyfob_core::message::{self, Failure, KeyKind};
use keyfob_core::secret::Secret;
use keyfob_core::softkey::{Environment, SoftKey};
use zeroize::Zeroizing;

use super::{Card, Conversation, KeyError, SOFT_PREFIX};
use crate::keychain;
use crate::soft::{self, Name, Opened, Protection, SoftError, Unlock};

/// How the touch of a software key, which has no button, is answered: `never`, or after so many milliseconds.
/// Unset: at once. For tests and demonstrations.
pub const TOUCH_ENV: &str = "KEYFOB_SOFT_TOUCH";

/// Where a passphrase comes from when one is wanted.
pub type AskPassphrase = Box<dyn FnMut(&Name) -> Result<Option<Secret>, Failure> + Send>;

/// The software keys of this user, and those among them that this process has opened.
pub struct SoftKeys {
    files: soft::SoftKeys,
    opened: HashMap<Name, Opened>,
    ask: AskPassphrase,
}

impl SoftKeys {
    /// `ask` is called when a key wants its passphrase; `None` from it means that there is nobody to ask.
    #[must_use]
    pub fn new(files: soft::SoftKeys, ask: AskPassphrase) -> Self {
        Self { files, opened: HashMap::new(), ask }
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &soft::SoftKeys {
        &self.files
    }

    /// The choice, with `soft` made the name of the only software key there is.
    ///
    /// # Errors
    /// [`KeyError::Ambiguous`], [`KeyError::NoSoftKey`].
    pub fn resolve(&self, choice: Option<String>) -> Result<Option<String>, KeyError> {
        if choice.as_deref() != Some("soft") {
            return Ok(choice);
        }
        let mut names = self.files.list()?;
        match (names.pop(), names.is_empty()) {
            (None, _) => Err(KeyError::NoSoftKey),
            (Some(name), true) => Ok(Some(format!("{SOFT_PREFIX}{name}"))),
            (Some(last), false) => {
                names.push(last);
                Err(KeyError::Ambiguous(names.iter().map(|name| format!("{SOFT_PREFIX}{name}")).collect()))
            }
        }
    }

    /// Opens a key with a passphrase, for as long as this process lives.
    ///
    /// # Errors
    /// [`SoftError`].
    pub fn unlock(&mut self, name: &str, passphrase: &Secret) -> Result<(), KeyError> {
        let name: Name = name.parse()?;
        let opened = self.files.open(&name, Unlock::Passphrase(passphrase))?;
        self.opened.insert(name, opened);
        Ok(())
    }

    /// Whether a key is open, or can be opened without asking anybody.
    ///
    /// # Errors
    /// [`SoftError`] of a key that is not there, or damaged.
    pub fn is_open(&mut self, name: &str) -> Result<bool, KeyError> {
        match self.open(name) {
            Ok(_) => Ok(true),
            // A passphrase that is at hand may be another key's.
            Err(KeyError::Soft(SoftError::NeedsPassphrase(_) | SoftError::WrongPassphrase(_))) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn open(&mut self, name: &str) -> Result<&mut Opened, KeyError> {
        let name: Name = name.parse()?;
        if !self.opened.contains_key(&name) {
            let opened = match self.files.protection(&name)? {
                Protection::Keychain => {
                    let keychain = keychain::system().map_err(SoftError::from)?;
                    self.files.open(&name, Unlock::Keychain(&*keychain))?
                }
                Protection::Passphrase => {
                    let passphrase = (self.ask)(&name)
                        .map_err(KeyError::Asking)?
                        .ok_or_else(|| SoftError::NeedsPassphrase(name.clone()))?;
                    self.files.open(&name, Unlock::Passphrase(&passphrase))?
                }
            };
            self.opened.insert(name.clone(), opened);
        }
        self.opened.get_mut(&name).ok_or(KeyError::Soft(SoftError::NotFound(name)))
    }

    /// Describes a key without opening it.
    pub(super) fn describe(&self, name: &str) -> Result<message::Key, KeyError> {
        let parsed: Name = name.parse()?;
        self.files.protection(&parsed)?;
        Ok(message::Key {
            id: format!("{SOFT_PREFIX}{name}"),
            kind: KeyKind::Software,
            label: format!("software key {name}"),
            version: String::new(),
            locked: !self.opened.contains_key(&parsed),
            serial: None,
            form_factor: None,
            enabled: Vec::new(),
            slots: None,
        })
    }

    /// Holds a conversation with a key. What it changed is on the disk when this returns; if it fails, nothing
    /// of it is.
    pub(super) fn with<T, E: From<KeyError>>(
        &mut self,
        name: &str,
        talk: impl FnOnce(&mut Conversation<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        /// Tells what the conversation returned from what the file did.
        enum Failed<E> {
            Talk(E),
            Key(KeyError),
        }
        impl<E> From<SoftError> for Failed<E> {
            fn from(error: SoftError) -> Self {
                Self::Key(error.into())
            }
        }
        let opened = self.open(name)?;
        let result = opened.update(|state| {
            let mut card = SoftCard { key: SoftKey::from_bytes(state).map_err(|e| Failed::Key(e.into()))? };
            let mut conversation = Conversation::open(
                &mut card,
                KeyKind::Software,
                &format!("software key {name}"),
                Some(format!("{SOFT_PREFIX}{name}")),
            )
            .map_err(Failed::Key)?;
            let result = talk(&mut conversation).map_err(Failed::Talk)?;
            Ok((result, changed(&mut card.key).map_err(Failed::Key)?))
        });
        result.map_err(|failed| match failed {
            Failed::Talk(error) => error,
            Failed::Key(error) => error.into(),
        })
    }

    /// Opens a key for good, to be served as a card of its own: each command is on the disk before its response
    /// is given.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn card(mut self, name: &str) -> Result<ServedCard, KeyError> {
        self.open(name)?;
        let parsed: Name = name.parse()?;
        let opened = self.opened.remove(&parsed).ok_or(SoftError::NotFound(parsed))?;
        let key = SoftKey::from_bytes(opened.state())?;
        Ok(ServedCard { opened, key })
    }
}

/// The state to write, if it has changed.
fn changed(key: &mut SoftKey) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    if key.take_changed() { Ok(Some(key.to_bytes()?)) } else { Ok(None) }
}

struct SoftCard {
    key: SoftKey,
}

impl Card for SoftCard {
    fn transmit(&mut self, command: &CommandApdu) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        Ok(self.key.transmit(command.as_bytes(), &mut Finger))
    }
}

/// A software key behind a virtual reader.
pub struct ServedCard {
    opened: Opened,
    key: SoftKey,
}

impl ServedCard {
    /// Answers one command.
    ///
    /// # Errors
    /// Those of the file; the command was not carried out then.
    pub fn transmit(&mut self, command: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let key = &mut self.key;
        self.opened.update(|state| {
            key.reload(state)?;
            let response = key.transmit(command, &mut Finger);
            Ok((response, changed(key)?))
        })
    }

    /// Power off and on.
    pub fn power_cycle(&mut self) {
        self.key.power_cycle();
    }
}

/// The finger that a software key has not.
struct Finger;

impl Environment for Finger {
    fn touch(&mut self, _id: &[u8]) -> bool {
        match std::env::var(TOUCH_ENV).as_deref() {
            Err(_) => true,
            // A card gives up after about 15 s; a program need not make anybody wait to say the same.
            Ok("never") => false,
            Ok(milliseconds) => {
                sleep(Duration::from_millis(milliseconds.parse().unwrap_or(0)));
                true
            }
        }
    }

    fn random(&mut self) -> [u8; 8] {
        let mut bytes = [0; 8];
        // Without random numbers the challenge is worthless, and the file is as protected as before.
        let _ = getrandom::fill(&mut bytes);
        bytes
    }
}
