//! Software keys as cards: the file opened once, a conversation under its lock.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use keyfob_core::apdu::CommandApdu;
use keyfob_core::message::{self, KeyKind};
use keyfob_core::secret::Secret;
use keyfob_core::softkey::{Environment, SoftKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Card, Conversation, KeyError, SOFT_PREFIX};
use crate::client::Cancel;
use crate::prompt::PromptError;
use crate::soft::{self, Name, Opened, Protection, SoftError, Unlock};
use crate::{keychain, prompt};

/// How the touch of a software key, which has no button, is answered: `never`, or after so many milliseconds.
/// Unset: at once. For tests and demonstrations.
pub const TOUCH_ENV: &str = "KEYFOB_SOFT_TOUCH";

/// How software keys are used: settings of who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoftSettings {
    /// The file whose first line is the passphrase; see [`prompt::PASSPHRASE_FILE_ENV`].
    pub passphrase_file: Option<PathBuf>,
    /// See [`TOUCH_ENV`].
    pub touch: Option<String>,
}

impl SoftSettings {
    /// As the environment says. `env` reads a variable of it.
    #[must_use]
    pub fn new(env: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| env(name).filter(|value| !value.is_empty());
        // Who reads it may be in another folder.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        Self {
            passphrase_file: text(prompt::PASSPHRASE_FILE_ENV).map(PathBuf::from).map(absolute),
            touch: text(TOUCH_ENV).map(|value| value.to_string_lossy().into_owned()),
        }
    }
}

impl SoftSettings {
    /// Whether another process may read the file that was named. A pipe (`<(…)`, a FIFO) is its opener's alone, and who
    /// opens one waits for its writer.
    #[must_use]
    pub fn can_be_lent(&self) -> bool {
        self.passphrase_file.as_ref().is_none_or(|path| path.is_file())
    }

    /// The passphrase in the file that was named, if one was. `what` completes "enter …".
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn passphrase(&self, what: &str) -> Result<Option<Secret>, PromptError> {
        let file = || self.passphrase_file.clone().map(PathBuf::into_os_string);
        let mut warn = |text: &str| eprintln!("{}", prompt::printable(text));
        prompt::passphrase_file(what, |_| file(), &mut warn)
    }
}

/// The software keys of this user, and those among them that this process has opened.
pub struct SoftKeys {
    files: soft::SoftKeys,
    opened: HashMap<Name, Opened>,
    /// Of who asks now.
    pub settings: SoftSettings,
}

impl SoftKeys {
    /// None is open yet.
    #[must_use]
    pub fn new(files: soft::SoftKeys) -> Self {
        Self { files, opened: HashMap::new(), settings: SoftSettings::default() }
    }

    /// Closes them all.
    pub fn lock(&mut self) {
        self.opened.clear();
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
        // It may have been deleted and made anew since.
        if self.opened.get_mut(&name).is_some_and(|opened| opened.refresh().is_err()) {
            self.opened.remove(&name);
        }
        if !self.opened.contains_key(&name) {
            let opened = match self.files.protection(&name)? {
                Protection::Keychain => {
                    let keychain = keychain::system().map_err(SoftError::from)?;
                    self.files.open(&name, Unlock::Keychain(&*keychain))?
                }
                Protection::Passphrase => {
                    let passphrase = self.passphrase(&name)?;
                    self.files.open(&name, Unlock::Passphrase(&passphrase))?
                }
            };
            self.opened.insert(name.clone(), opened);
        }
        self.opened.get_mut(&name).ok_or(KeyError::Soft(SoftError::NotFound(name)))
    }

    /// The passphrase in the file that was named for it.
    fn passphrase(&self, name: &Name) -> Result<Secret, KeyError> {
        self.settings
            .passphrase(&soft::passphrase_of(name))?
            .ok_or_else(|| SoftError::NeedsPassphrase(name.clone()).into())
    }

    /// Describes a key without opening it.
    pub(super) fn describe(&self, name: &str) -> Result<message::Key, KeyError> {
        let parsed: Name = name.parse()?;
        self.files.protection(&parsed)?;
        Ok(message::Key {
            id: format!("{SOFT_PREFIX}{name}"),
            name: None,
            kind: KeyKind::Software,
            label: format!("software key {name}"),
            version: String::new(),
            locked: !self.opened.contains_key(&parsed),
            serial: None,
            firmware: None,
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
        cancel: Cancel,
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
        let finger = Finger { touch: self.settings.touch.clone() };
        let opened = self.open(name)?;
        let result = opened.update(|state| {
            let key = SoftKey::from_bytes(state).map_err(|e| Failed::Key(e.into()))?;
            let mut card = SoftCard { key, finger };
            let mut conversation = Conversation::open(
                &mut card,
                KeyKind::Software,
                &format!("software key {name}"),
                Some(format!("{SOFT_PREFIX}{name}")),
                cancel,
            )
            .map_err(Failed::Key)?;
            let result = talk(&mut conversation).map_err(Failed::Talk)?;
            Ok((result, changed(&mut card.key).map_err(Failed::Key)?))
        });
        opened.forget_state();
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
        Ok(ServedCard { opened, key, finger: Finger { touch: self.settings.touch } })
    }
}

/// The state to write, if it has changed.
fn changed(key: &mut SoftKey) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    if key.take_changed() { Ok(Some(key.to_bytes()?)) } else { Ok(None) }
}

struct SoftCard {
    key: SoftKey,
    finger: Finger,
}

impl Card for SoftCard {
    fn transmit(&mut self, command: &CommandApdu) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        Ok(self.key.transmit(command.as_bytes(), &mut self.finger))
    }
}

/// A software key behind a virtual reader.
pub struct ServedCard {
    opened: Opened,
    key: SoftKey,
    finger: Finger,
}

impl ServedCard {
    /// Answers one command.
    ///
    /// # Errors
    /// Those of the file; the command was not carried out then.
    pub fn transmit(&mut self, command: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let Self { key, finger, .. } = self;
        self.opened.update(|state| {
            key.reload(state)?;
            let response = key.transmit(command, finger);
            Ok((response, changed(key)?))
        })
    }

    /// Power off and on.
    pub fn power_cycle(&mut self) {
        self.key.power_cycle();
    }
}

/// The finger that a software key has not.
struct Finger {
    /// As [`TOUCH_ENV`] says.
    touch: Option<String>,
}

impl Environment for Finger {
    fn touch(&mut self, _id: &[u8]) -> bool {
        match self.touch.as_deref() {
            None => true,
            // A card gives up after about 15 s; a program need not make anybody wait to say the same.
            Some("never") => false,
            Some(milliseconds) => {
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
