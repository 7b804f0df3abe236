//! The driver for cards in PC/SC readers.
//!
//! Connections are shared and short, under a transaction each, and leave the card as it is: `Card`'s own
//! `Drop` would reset it under other programs' hands.

use std::ffi::{CStr, CString};
use std::thread::sleep;
use std::time::{Duration, Instant};

use keyfob_core::apdu::CommandApdu;
use pcsc::{Context, Disposition, Protocols, Scope, ShareMode, Transaction};
use zeroize::Zeroizing;

use super::{Card, KeyError};

/// How long another program may hold the card before we give up.
const PATIENCE: Duration = Duration::from_secs(3);
/// The first pause before trying again; each following one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest response: what a card sends at most, and more than any applet does.
const RESPONSE: usize = pcsc::MAX_BUFFER_SIZE_EXTENDED;

/// What PC/SC says, as a person can understand it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PcscError {
    /// The service does not run, or this user may not use it.
    #[error("the smart-card service (PC/SC) does not answer: {0}")]
    NoService(pcsc::Error),
    /// Another program holds the card.
    #[error("another program holds the key")]
    Busy,
    /// The card or its reader is gone.
    #[error("the key was removed")]
    Removed,
    /// There is no card in the reader.
    #[error("there is no card in the reader")]
    NoCard,
    /// The card does not speak: no power, or no protocol in common.
    #[error("the card in the reader does not answer")]
    Mute,
    /// Anything else.
    #[error("PC/SC: {0}")]
    Other(pcsc::Error),
}

impl PcscError {
    pub(super) fn is_absence(self) -> bool {
        matches!(self, Self::NoCard | Self::Removed | Self::Mute)
    }
}

impl From<pcsc::Error> for PcscError {
    fn from(error: pcsc::Error) -> Self {
        use pcsc::Error as E;
        match error {
            E::NoService | E::ServiceStopped | E::CommError | E::NoAccess | E::SecurityViolation => {
                Self::NoService(error)
            }
            E::SharingViolation => Self::Busy,
            E::NoSmartcard => Self::NoCard,
            E::RemovedCard | E::ReaderUnavailable | E::UnknownReader | E::NotTransacted | E::ResetCard => {
                Self::Removed
            }
            E::UnpoweredCard | E::UnresponsiveCard | E::UnsupportedCard | E::ProtoMismatch => Self::Mute,
            other => Self::Other(other),
        }
    }
}

/// The cards on the PC/SC service. Connects to it when first needed, and again when it was restarted.
#[derive(Default)]
pub(super) struct Cards {
    context: Option<Context>,
}

impl Cards {
    fn context(&mut self) -> Result<Context, PcscError> {
        if let Some(context) = &self.context
            && context.is_valid().is_ok()
        {
            return Ok(context.clone());
        }
        let context = Context::establish(Scope::User)?;
        self.context = Some(context.clone());
        Ok(context)
    }

    /// Names of all readers.
    pub(super) fn readers(&mut self) -> Result<Vec<String>, KeyError> {
        let names = match self.context()?.list_readers_owned() {
            Ok(names) => names,
            Err(pcsc::Error::NoReadersAvailable) => Vec::new(),
            Err(error) => return Err(PcscError::from(error).into()),
        };
        // PC/SC promises no encoding; readers with other than UTF-8 names do not exist.
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// Names of the readers that have a card in them now.
    pub(super) fn occupied(&mut self) -> Result<Vec<String>, KeyError> {
        let names = self.readers()?;
        if names.is_empty() {
            return Ok(names);
        }
        let mut states: Vec<_> = names
            .iter()
            .filter_map(|name| CString::new(name.as_str()).ok())
            .map(|name| pcsc::ReaderState::new(name, pcsc::State::UNAWARE))
            .collect();
        match self.context()?.get_status_change(Some(Duration::ZERO), &mut states) {
            Ok(()) | Err(pcsc::Error::Timeout) => {}
            Err(error) => return Err(PcscError::from(error).into()),
        }
        Ok(states
            .iter()
            .filter(|state| state.event_state().contains(pcsc::State::PRESENT))
            .filter(|state| !state.event_state().contains(pcsc::State::MUTE))
            .filter_map(|state| state.name().to_str().ok().map(str::to_owned))
            .collect())
    }

    /// Talks to the card in a reader, under one transaction.
    pub(super) fn with<T, E: From<KeyError>>(
        &mut self,
        reader: &str,
        talk: impl FnOnce(&mut dyn Card) -> Result<T, E>,
    ) -> Result<T, E> {
        let context = self.context().map_err(KeyError::from)?;
        let name = CString::new(reader).map_err(|_| KeyError::from(PcscError::Removed))?;
        let mut card = connect(&context, &name).map_err(KeyError::from)?;
        let result = {
            let mut transaction = begin(&mut card).map_err(KeyError::from)?;
            let result = talk(&mut PcscCard { transaction: &mut transaction, buffer: Vec::new() });
            // A card that is gone needs no end of its transaction.
            let _ = transaction.end(Disposition::LeaveCard);
            result
        };
        if let Err((card, _)) = card.disconnect(Disposition::LeaveCard) {
            // The card or the service is gone; resetting it in `Drop` would be the wrong answer to that.
            std::mem::forget(card);
        }
        result
    }
}

fn connect(context: &Context, reader: &CStr) -> Result<pcsc::Card, PcscError> {
    patiently(|| context.connect(reader, ShareMode::Shared, Protocols::ANY))
}

fn begin(mut card: &mut pcsc::Card) -> Result<Transaction<'_>, PcscError> {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match card.transaction2() {
            Ok(transaction) => return Ok(transaction),
            // Another program has reset the card since we connected: no fault, but it wants to be acknowledged.
            Err((again, pcsc::Error::ResetCard)) if start.elapsed() < PATIENCE => {
                again.reconnect(ShareMode::Shared, Protocols::ANY, Disposition::LeaveCard)?;
                card = again;
            }
            Err((again, pcsc::Error::SharingViolation)) if start.elapsed() < PATIENCE => {
                sleep(pause);
                pause *= 2;
                card = again;
            }
            Err((_, error)) => return Err(error.into()),
        }
    }
}

/// Repeats what fails only because another program holds the card.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, pcsc::Error>) -> Result<T, PcscError> {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt() {
            Err(pcsc::Error::SharingViolation) if start.elapsed() < PATIENCE => {
                sleep(pause);
                pause *= 2;
            }
            result => return Ok(result?),
        }
    }
}

struct PcscCard<'a, 'card> {
    transaction: &'a mut Transaction<'card>,
    buffer: Vec<u8>,
}

impl Card for PcscCard<'_, '_> {
    fn transmit(&mut self, command: &CommandApdu) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.buffer.resize(RESPONSE, 0);
        let response =
            self.transaction.transmit(command.as_bytes(), &mut self.buffer).map_err(PcscError::from)?;
        let length = response.len();
        // No card answers without a status word; some drivers report a card pulled out meanwhile like this.
        if length == 0 {
            return Err(PcscError::Removed.into());
        }
        let response = Zeroizing::new(response.to_vec());
        // The buffer is used again: nothing of a secret stays in it.
        zeroize::Zeroize::zeroize(self.buffer.get_mut(..length).unwrap_or_default());
        Ok(response)
    }
}
