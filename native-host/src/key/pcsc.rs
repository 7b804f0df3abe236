//! The driver for cards in PC/SC readers.
//!
//! Connections are shared and short, under a transaction each, and leave the card as it is: `Card`'s own
//! `Drop` would reset it under other programs' hands.

use std::ffi::{CStr, CString};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use keyfob_core::apdu::CommandApdu;
use pcsc::{Context, Disposition, Protocols, ReaderState, Scope, ShareMode, State, Transaction};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Card, KeyError};

/// How long another program may have the card to itself before we give up.
const EXCLUSIVE: Duration = Duration::from_secs(3);
/// How long we wait for another program's transaction: longer than it takes to wait for a touch, 15 s.
const TRANSACTION: Duration = Duration::from_secs(20);
/// How long a card may take for a response. Longer than a touch, too.
const RESPONSE: Duration = Duration::from_secs(30);
/// How long the service may take for a question about readers.
const SERVICE: Duration = Duration::from_secs(5);
/// How often other programs may reset the card while we wait for it.
const MAX_RESETS: u32 = 10;
/// The first pause before trying again; each following one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause.
const LAST_PAUSE: Duration = Duration::from_millis(200);
/// Longest response in bytes: what PC/SC carries at most, and more than any applet sends.
const LONGEST: usize = pcsc::MAX_BUFFER_SIZE_EXTENDED;
/// Room for the names of all readers in bytes: pcsc-lite has 16 at most, of 128 bytes each.
const READERS: usize = 8192;

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
    /// The card did not answer for longer than any touch takes.
    #[error("the key has stopped answering")]
    Hung,
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

/// What is in a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Empty,
    /// A card that does not answer to power: the wrong way round, or broken.
    Mute,
    Card,
}

/// The cards on the PC/SC service, from any number of programs.
///
/// Every call to the service is made on a thread of its own and is waited for only so long: a transaction of another
/// program, a driver that has lost its reader, or a service that was stopped can hold a call up for ever, and
/// nothing can cancel one. The thread is then left to itself: once its call returns it finds nobody waiting, gives
/// back what it got, and ends.
#[derive(Default)]
pub(super) struct Cards {
    worker: Option<Worker>,
}

struct Worker {
    /// None once it is left to itself.
    jobs: Option<Sender<Job>>,
    results: Receiver<Result<Done, PcscError>>,
}

impl Drop for Worker {
    /// Waits until the worker has ended: pcsc-lite frees what it holds when the process exits, and must not do so while
    /// another thread is in it.
    fn drop(&mut self) {
        if self.jobs.take().is_some() {
            // Its end is the channel's.
            while self.results.recv_timeout(SERVICE).is_ok() {}
        }
    }
}

enum Job {
    /// Which readers there are, and what is in them.
    Readers,
    /// Connect to the card in a reader and begin a transaction.
    Open(CString),
    Transmit(CommandApdu),
    /// End the transaction and leave the card as it is.
    Close,
}

enum Done {
    Readers(Vec<(String, Presence)>),
    Opened,
    Response(Zeroizing<Vec<u8>>),
    Closed,
}

impl Job {
    /// How long it may take, and what it means if it takes longer.
    fn patience(&self) -> (Duration, PcscError) {
        match self {
            Self::Readers | Self::Close => (SERVICE, PcscError::NoService(pcsc::Error::Timeout)),
            Self::Open(_) => (TRANSACTION, PcscError::Busy),
            Self::Transmit(_) => (RESPONSE, PcscError::Hung),
        }
    }
}

impl Cards {
    fn ask(&mut self, job: Job) -> Result<Done, PcscError> {
        let gone = PcscError::Other(pcsc::Error::InternalError);
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => Worker::start()?,
        };
        let (patience, late) = job.patience();
        worker.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or(gone)?;
        match worker.results.recv_timeout(patience) {
            Ok(result) => {
                self.worker = Some(worker);
                result
            }
            Err(RecvTimeoutError::Timeout) => {
                worker.jobs = None;
                Err(late)
            }
            Err(RecvTimeoutError::Disconnected) => Err(gone),
        }
    }

    /// Names of the readers that have a card in them now.
    pub(super) fn occupied(&mut self) -> Result<Vec<String>, KeyError> {
        let cards = self.readers()?.into_iter().filter(|(_, presence)| *presence == Presence::Card);
        Ok(cards.map(|(name, _)| name).collect())
    }

    /// Names of all readers, and what is in them now.
    pub(super) fn readers(&mut self) -> Result<Vec<(String, Presence)>, KeyError> {
        match self.ask(Job::Readers)? {
            Done::Readers(readers) => Ok(readers),
            _ => Err(PcscError::Other(pcsc::Error::InternalError).into()),
        }
    }

    /// Talks to the card in a reader, under one transaction.
    pub(super) fn with<T, E: From<KeyError>>(
        &mut self,
        reader: &str,
        talk: impl FnOnce(&mut dyn Card) -> Result<T, E>,
    ) -> Result<T, E> {
        let name = CString::new(reader).map_err(|_| KeyError::from(PcscError::Removed))?;
        self.ask(Job::Open(name)).map_err(KeyError::from)?;
        let result = talk(&mut PcscCard { cards: self });
        if self.worker.is_some() {
            // A card that is gone needs no end of its transaction.
            let _ = self.ask(Job::Close);
        }
        result
    }
}

struct PcscCard<'a> {
    cards: &'a mut Cards,
}

impl Card for PcscCard<'_> {
    fn transmit(&mut self, command: &CommandApdu) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        if self.cards.worker.is_none() {
            // Left behind with a command that was never answered; a new one has no transaction.
            return Err(PcscError::Mute.into());
        }
        match self.cards.ask(Job::Transmit(command.clone()))? {
            Done::Response(response) => Ok(response),
            _ => Err(PcscError::Other(pcsc::Error::InternalError).into()),
        }
    }
}

impl Worker {
    fn start() -> Result<Self, PcscError> {
        let (jobs, received) = channel();
        let (sent, results) = channel();
        std::thread::Builder::new()
            .name("pcsc".to_owned())
            .spawn(move || work(&received, &sent))
            .map_err(|_| PcscError::Other(pcsc::Error::NoMemory))?;
        Ok(Self { jobs: Some(jobs), results })
    }
}

type Results = Sender<Result<Done, PcscError>>;

/// Does one job after another until nobody asks any more.
fn work(jobs: &Receiver<Job>, results: &Results) {
    let mut service = Service::default();
    let mut next = jobs.recv().ok();
    while let Some(job) = next.take() {
        let result = match job {
            Job::Readers => service.call(readers).map(Done::Readers),
            Job::Open(reader) => match service.call(|context| connect(context, &reader)) {
                Ok(mut card) => {
                    let after = session(&mut card, jobs, results);
                    if let Err((card, _)) = card.disconnect(Disposition::LeaveCard) {
                        // The card or the service is gone; resetting it in `Drop` would be the wrong answer to that.
                        std::mem::forget(card);
                    }
                    match after {
                        After::Failed(error) => Err(error),
                        After::Closed => Ok(Done::Closed),
                        After::Abandoned => return,
                        After::Job(job) => {
                            next = Some(job);
                            continue;
                        }
                    }
                }
                Err(error) => Err(error),
            },
            // Without a session there is nothing to send to, and nothing to close.
            Job::Transmit(_) => Err(PcscError::Removed),
            Job::Close => Ok(Done::Closed),
        };
        if results.send(result).is_err() {
            return;
        }
        next = jobs.recv().ok();
    }
}

/// How a session ended.
enum After {
    /// There is no transaction to be had.
    Failed(PcscError),
    Closed,
    /// Nobody asks any more.
    Abandoned,
    /// Something else is asked for: whoever held the session was interrupted.
    Job(Job),
}

/// One transaction, from its begin to its end.
fn session(card: &mut pcsc::Card, jobs: &Receiver<Job>, results: &Results) -> After {
    let transaction = match begin(card) {
        Ok(transaction) => transaction,
        Err(error) => return After::Failed(error),
    };
    let mut buffer = Zeroizing::new(vec![0; LONGEST]);
    let mut result = Ok(Done::Opened);
    let after = loop {
        if results.send(result).is_err() {
            break After::Abandoned;
        }
        match jobs.recv() {
            Ok(Job::Transmit(command)) => {
                result = transmit(&transaction, &command, &mut buffer).map(Done::Response);
            }
            Ok(Job::Close) => break After::Closed,
            Ok(job) => break After::Job(job),
            Err(_) => break After::Abandoned,
        }
    };
    // A card that is gone needs no end of its transaction.
    let _ = transaction.end(Disposition::LeaveCard);
    after
}

fn transmit(
    transaction: &Transaction<'_>,
    command: &CommandApdu,
    buffer: &mut [u8],
) -> Result<Zeroizing<Vec<u8>>, PcscError> {
    let response = Zeroizing::new(transaction.transmit(command.as_bytes(), buffer)?.to_vec());
    // The buffer is used again: nothing of a secret stays in it.
    buffer.get_mut(..response.len()).unwrap_or_default().zeroize();
    // No card answers without a status word; some drivers report a card pulled out meanwhile like this.
    if response.is_empty() { Err(PcscError::Removed) } else { Ok(response) }
}

/// The connection to the service: made when first needed, and again when the service was restarted.
#[derive(Default)]
struct Service {
    context: Option<Context>,
}

impl Service {
    fn call<T>(&mut self, call: impl Fn(&Context) -> Result<T, PcscError>) -> Result<T, PcscError> {
        if let Some(context) = &self.context {
            match call(context) {
                // Perhaps only the connection is: the service that it led to may have a successor.
                Err(PcscError::NoService(_)) => {}
                result => return result,
            }
        }
        self.context = None;
        let context = Context::establish(Scope::User)?;
        let result = call(&context);
        self.context = Some(context);
        result
    }
}

fn readers(context: &Context) -> Result<Vec<(String, Presence)>, PcscError> {
    let mut buffer = vec![0; READERS];
    let names = match context.list_readers(&mut buffer) {
        Ok(names) => names,
        Err(pcsc::Error::NoReadersAvailable) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    // PC/SC promises no encoding; readers with other than UTF-8 names do not exist.
    let names = names.filter(|name| name.to_str().is_ok());
    let mut states: Vec<_> = names.map(|name| ReaderState::new(name, State::UNAWARE)).collect();
    if states.is_empty() {
        return Ok(Vec::new());
    }
    match context.get_status_change(Duration::ZERO, &mut states) {
        Ok(()) | Err(pcsc::Error::Timeout) => {}
        Err(error) => return Err(error.into()),
    }
    let presence = |state: &ReaderState| match state.event_state() {
        bits if !bits.contains(State::PRESENT) => Presence::Empty,
        bits if bits.contains(State::MUTE) => Presence::Mute,
        _ => Presence::Card,
    };
    Ok(states
        .iter()
        .filter_map(|state| Some((state.name().to_str().ok()?.to_owned(), presence(state))))
        .collect())
}

/// Connects; tries again while another program has the card to itself.
fn connect(context: &Context, reader: &CStr) -> Result<pcsc::Card, PcscError> {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match context.connect(reader, ShareMode::Shared, Protocols::ANY) {
            Err(pcsc::Error::SharingViolation) if start.elapsed() < EXCLUSIVE => {
                sleep(pause);
                pause = LAST_PAUSE.min(pause * 2);
            }
            result => return Ok(result?),
        }
    }
}

/// Begins a transaction: waits for as long as another program has one.
fn begin(mut card: &mut pcsc::Card) -> Result<Transaction<'_>, PcscError> {
    let start = Instant::now();
    let mut resets = 0;
    loop {
        match card.transaction2() {
            Ok(transaction) => return Ok(transaction),
            // Another program has reset the card since we connected, perhaps after we had waited long for it: no fault,
            // but it wants to be acknowledged.
            Err((again, pcsc::Error::ResetCard)) if resets < MAX_RESETS => {
                resets += 1;
                again.reconnect(ShareMode::Shared, Protocols::ANY, Disposition::LeaveCard)?;
                card = again;
            }
            // macOS and Windows; elsewhere the call itself waits.
            Err((again, pcsc::Error::SharingViolation)) if start.elapsed() < TRANSACTION => {
                sleep(LAST_PAUSE);
                card = again;
            }
            Err((_, error)) => return Err(error.into()),
        }
    }
}
