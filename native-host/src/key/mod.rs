//! Keys: how one is found and chosen, and the conversation with it.
//!
//! A conversation holds the card from SELECT to its end (a PC/SC transaction, or the lock of the software
//! key's file), so nobody else's command comes in between; it is kept short, for others want the card too.

mod device;
mod pcsc;
mod soft;
pub mod watch;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use keyfob_core::apdu::CommandApdu;
use keyfob_core::management::DeviceInfo;
use keyfob_core::message::{self, KeyKind};
use keyfob_core::oath::{AccessKey, Exchange, OathError, Request, Selected, Session, Step};
use zeroize::Zeroizing;

pub use self::pcsc::PcscError;
pub use self::soft::{ServedCard, SoftKeys, SoftSettings, TOUCH_ENV};
use crate::client::Cancel;
use crate::prompt::PromptError;
use crate::soft::SoftError;

/// Prefix of a software key's id.
pub const SOFT_PREFIX: &str = "soft:";

/// Why a conversation with a key failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The applet's own answer, or nonsense in place of one.
    #[error(transparent)]
    Oath(#[from] OathError),
    /// PC/SC.
    #[error(transparent)]
    Pcsc(#[from] PcscError),
    /// A software key's file.
    #[error(transparent)]
    Soft(#[from] SoftError),
    /// A software key's contents.
    #[error(transparent)]
    State(#[from] keyfob_core::softkey::StateError),
    /// No key is plugged in.
    #[error("no key is plugged in")]
    NoKey,
    /// A software key is chosen, and there is none.
    #[error("there is no software key")]
    NoSoftKey,
    /// No key with this id.
    #[error("key {0} is not plugged in")]
    NotFound(String),
    /// Several keys.
    #[error("several keys are plugged in")]
    Ambiguous(Vec<String>),
    /// The passphrase could not be read.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// Nobody waits for the answer any more.
    #[error("the request was cancelled")]
    Cancelled,
    /// The system's random number generator.
    #[error("no random numbers from the system: {0}")]
    Random(#[from] getrandom::Error),
}

/// A card that takes one command after another.
pub trait Card {
    /// Sends a command and waits for the response, status word included.
    ///
    /// # Errors
    /// [`KeyError`] if the card or its reader is gone.
    fn transmit(&mut self, command: &CommandApdu) -> Result<Zeroizing<Vec<u8>>, KeyError>;
}

/// How long an exchange may go on: longer than a touch takes, 15 s. A card that answers drop by drop has a thousand blocks, and
/// for each of them as long as for any response.
const EXCHANGE: Duration = Duration::from_secs(30);

/// The blocking driver of a sans-IO exchange.
fn run<E: Exchange>(card: &mut dyn Card, mut exchange: E) -> Result<E::Output, KeyError> {
    let start = Instant::now();
    let mut step = exchange.step(None)?;
    loop {
        match step {
            Step::Done(output) => return Ok(output),
            Step::Transmit(_) if start.elapsed() > EXCHANGE => return Err(OathError::Endless.into()),
            Step::Transmit(command) => {
                let response = card.transmit(&command)?;
                step = exchange.step(Some(&response))?;
            }
        }
    }
}

/// A conversation with the OATH applet of one key.
pub struct Conversation<'a> {
    card: &'a mut dyn Card,
    session: Session,
    /// The reader's name, or the software key's.
    label: String,
    kind: KeyKind,
    /// Of the software key; a card is asked for it.
    id: Option<String>,
    /// The password's, once it was proved: SELECT makes the card forget that.
    access_key: Option<AccessKey>,
    cancel: Cancel,
    /// What the card told of itself, if it was asked.
    device: Option<Told>,
}

/// What a card told of itself; none on other makes.
type Told = Option<DeviceInfo>;

impl<'a> Conversation<'a> {
    /// SELECTs the applet.
    fn open(
        card: &'a mut dyn Card,
        kind: KeyKind,
        label: &str,
        id: Option<String>,
        cancel: Cancel,
    ) -> Result<Self, KeyError> {
        let selected = run(card, Session::select())?;
        Ok(Self {
            card,
            session: Session::new(selected),
            label: label.to_owned(),
            kind,
            id,
            access_key: None,
            cancel,
            device: None,
        })
    }

    /// What SELECT said.
    #[must_use]
    pub fn selected(&self) -> &Selected {
        self.session.selected()
    }

    /// Whether it is a software key.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.kind == KeyKind::Software
    }

    /// Whether a password has to be proved first.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.session.is_locked()
    }

    /// The reader's name, or the software key's.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Proves the password.
    ///
    /// # Errors
    /// [`OathError::WrongPassword`], [`OathError::CardProof`], and the card's.
    pub fn unlock(&mut self, key: AccessKey) -> Result<(), KeyError> {
        run(self.card, self.session.unlock(&key, random()?))?;
        self.access_key = Some(key.clone());
        self.session.unlocked(key);
        Ok(())
    }

    /// One request, unless nobody waits for what comes of it.
    ///
    /// # Errors
    /// The card's; [`KeyError::Cancelled`].
    pub fn call<R: Request>(&mut self, request: R) -> Result<R::Answer, KeyError> {
        if self.cancel.is_set() {
            return Err(KeyError::Cancelled);
        }
        run(self.card, self.session.exchange(request, random()?))
    }

    /// What is done from here on belongs together: it is not cancelled in the middle.
    ///
    /// # Errors
    /// [`KeyError::Cancelled`], if it is by now.
    pub fn commit(&mut self) -> Result<(), KeyError> {
        if self.cancel.is_set() {
            return Err(KeyError::Cancelled);
        }
        self.cancel = Cancel::default();
        Ok(())
    }

    /// Describes the key. Asks a card that was not asked before what it tells of itself, and selects the OATH applet
    /// again.
    ///
    /// # Errors
    /// The card's.
    pub fn describe(&mut self) -> Result<message::Key, KeyError> {
        let told = match self.device.take() {
            Some(told) => told,
            None => {
                let told = device::read(self.card)?;
                self.session = Session::new(run(self.card, Session::select())?);
                if self.session.is_locked()
                    && let Some(key) = self.access_key.clone()
                {
                    self.unlock(key)?;
                }
                told
            }
        };
        let mut key = message::Key {
            id: self.id.clone().unwrap_or_else(|| salt_id(self.selected())),
            name: None,
            kind: self.kind,
            label: self.label.clone(),
            version: self.selected().version.to_string(),
            locked: self.is_locked(),
            serial: None,
            firmware: None,
            form_factor: None,
            enabled: Vec::new(),
            slots: None,
        };
        if let Some(info) = &told {
            device::describe(&mut key, info, self.selected().version);
        }
        if let (None, Some(serial)) = (&self.id, key.serial) {
            key.id = serial.to_string();
        }
        self.device = Some(told);
        Ok(key)
    }
}

/// The id of a card that tells no serial number: the salt of SELECT, which lasts until the next reset.
fn salt_id(selected: &Selected) -> String {
    selected.salt.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Eight random bytes: a challenge.
fn random() -> Result<[u8; 8], KeyError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// All keys that this process may use.
pub struct Keys {
    cards: pcsc::Cards,
    /// What the cards told of themselves, by their readers, for as long as they stay in them.
    told: HashMap<String, (Vec<u8>, Told)>,
    /// Software keys that were unlocked.
    pub soft: SoftKeys,
    /// Of the request that is being answered.
    pub cancel: Cancel,
}

impl Keys {
    /// Keys on the PC/SC service and in `soft`. Nothing is touched yet.
    #[must_use]
    pub fn new(soft: SoftKeys) -> Self {
        Self { cards: pcsc::Cards::default(), told: HashMap::new(), soft, cancel: Cancel::default() }
    }

    /// Every key: the chosen software key, and all cards that have an OATH applet.
    ///
    /// # Errors
    /// PC/SC's, and what the only card says if it has no OATH applet; unless a software key is chosen, which needs no
    /// PC/SC.
    pub fn list(&mut self, choice: Option<&str>) -> Result<Vec<message::Key>, KeyError> {
        let soft = choice.and_then(|choice| choice.strip_prefix(SOFT_PREFIX));
        let mut keys: Vec<_> = soft.map(|name| self.soft.describe(name)).transpose()?.into_iter().collect();
        match self.describe(None) {
            Err(_) if soft.is_some() => {}
            // The only card there is: what is wrong with it is what there is to say.
            Ok((cards, Some(error))) if cards.is_empty() && soft.is_none() => return Err(error),
            cards => keys.extend(cards?.0.into_iter().map(|card| card.key)),
        }
        Ok(keys)
    }

    /// The ids of all cards, where there is more than one to choose from; none otherwise, at no cost.
    ///
    /// # Errors
    /// PC/SC's.
    pub fn several(&mut self) -> Result<Vec<String>, KeyError> {
        if self.readers()?.len() > 1 {
            let (cards, _) = self.describe(None)?;
            if cards.len() > 1 {
                return Ok(cards.into_iter().map(|card| card.key.id).collect());
            }
        }
        Ok(Vec::new())
    }

    /// Every reader, and what is in it.
    ///
    /// # Errors
    /// [`PcscError::NoService`] and others of PC/SC itself; those of cards are in the [`Slot`]s.
    pub fn slots(&mut self) -> Result<Vec<Slot>, KeyError> {
        let readers = self.cards.readers()?;
        let slot = |(reader, presence): (String, pcsc::Presence)| {
            let card = match presence {
                pcsc::Presence::Empty => None,
                pcsc::Presence::Mute => Some(Err(PcscError::Mute.into())),
                pcsc::Presence::Card => Some(self.converse(&reader, |conversation| conversation.describe())),
            };
            Slot { reader, card }
        };
        Ok(readers.into_iter().map(slot).collect())
    }

    /// Every card with an OATH applet, or the one with this id; and what the first card said that has none. One that
    /// another program holds is an error: it may be the one that is meant, or a second.
    fn describe(&mut self, choice: Option<&str>) -> Result<(Vec<Described>, Option<KeyError>), KeyError> {
        let (mut cards, mut stranger, mut held) = (Vec::new(), None, None);
        for reader in self.readers()? {
            let described = self.converse(&reader, |conversation| {
                let key = conversation.describe()?;
                Ok(Described { key, reader: reader.clone(), salt: conversation.selected().salt.clone() })
            });
            match described {
                Ok(card) if choice == Some(&card.key.id) => return Ok((vec![card], None)),
                Ok(card) if choice.is_none() => cards.push(card),
                Ok(_) => {}
                // An empty reader is no key.
                Err(error) if error.is_absence() => {}
                // Nor is a card that does not speak as an OATH applet does.
                Err(error @ KeyError::Oath(_)) => stranger = stranger.or(Some(error)),
                Err(error) => held = held.or(Some(error)),
            }
        }
        match held {
            Some(error) => Err(error),
            None => Ok((cards, stranger)),
        }
    }

    /// Holds a conversation with the chosen key: `soft:NAME`, a serial number, or the only one there is.
    ///
    /// # Errors
    /// [`KeyError::NoKey`], [`KeyError::Ambiguous`], [`KeyError::NotFound`], and what `talk` returns.
    pub fn with<T, E: From<KeyError>>(
        &mut self,
        choice: Option<&str>,
        talk: impl FnOnce(&mut Conversation<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        if let Some(name) = choice.and_then(|choice| choice.strip_prefix(SOFT_PREFIX)) {
            return self.soft.with(name, self.cancel.clone(), talk);
        }
        let (reader, salt) = self.reader(choice)?;
        self.converse(&reader, |conversation| {
            if salt.is_some_and(|salt| salt != conversation.selected().salt) {
                // Another one was put into the reader since it was asked who it is.
                return Err(KeyError::from(PcscError::Removed).into());
            }
            talk(conversation)
        })
    }

    /// Holds a conversation with the card in a reader, which is not asked twice what it tells of itself.
    fn converse<T, E: From<KeyError>>(
        &mut self,
        reader: &str,
        talk: impl FnOnce(&mut Conversation<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let Self { cards, told, cancel, .. } = self;
        cards.with(reader, |card| {
            let mut conversation =
                Conversation::open(card, KeyKind::SmartCard, reader, None, cancel.clone())?;
            // Another salt is another card, or one that was reset.
            conversation.device = told
                .get(reader)
                .filter(|(salt, _)| *salt == conversation.selected().salt)
                .map(|(_, told)| told.clone());
            let result = talk(&mut conversation);
            match conversation.device.take() {
                Some(device) => {
                    told.insert(reader.to_owned(), (conversation.selected().salt.clone(), device))
                }
                None => told.remove(reader),
            };
            result
        })
    }

    /// The readers with a card in them. What cards told that are in none any more is forgotten.
    fn readers(&mut self) -> Result<Vec<String>, KeyError> {
        let readers = self.cards.occupied()?;
        self.told.retain(|reader, _| readers.contains(reader));
        Ok(readers)
    }

    /// The reader that the chosen card is in, and the card's salt if it was asked for it.
    fn reader(&mut self, choice: Option<&str>) -> Result<(String, Option<Vec<u8>>), KeyError> {
        if choice.is_none() {
            let mut readers = self.readers()?;
            if readers.len() <= 1 {
                // The common case costs no question to the card.
                return readers.pop().map(|reader| (reader, None)).ok_or(KeyError::NoKey);
            }
        }
        let (mut cards, stranger) = self.describe(choice)?;
        if cards.len() > 1 {
            return Err(KeyError::Ambiguous(cards.into_iter().map(|card| card.key.id).collect()));
        }
        match (cards.pop(), choice) {
            (Some(card), _) => Ok((card.reader, Some(card.salt))),
            (None, Some(choice)) => Err(KeyError::NotFound(choice.to_owned())),
            (None, None) => Err(stranger.unwrap_or(KeyError::NoKey)),
        }
    }
}

/// A reader.
#[derive(Debug)]
pub struct Slot {
    /// Its name.
    pub reader: String,
    /// The card in it, or why it is no key; `None` if there is none.
    pub card: Option<Result<message::Key, KeyError>>,
}

/// A card that was asked who it is.
struct Described {
    key: message::Key,
    reader: String,
    salt: Vec<u8>,
}

impl KeyError {
    /// Whether it says that there is no OATH key in a reader, rather than that one does not answer.
    fn is_absence(&self) -> bool {
        match self {
            Self::Oath(OathError::NoApplet) => true,
            Self::Pcsc(error) => error.is_absence(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A card that answers so, whatever it is asked.
    pub(super) struct Script(pub(super) Vec<&'static [u8]>);

    impl Card for Script {
        fn transmit(&mut self, _command: &CommandApdu) -> Result<Zeroizing<Vec<u8>>, KeyError> {
            Ok(Zeroizing::new(self.0.remove(0).to_vec()))
        }
    }
}
