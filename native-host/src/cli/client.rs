//! Asks whoever holds the keys, in the name of a person at the terminal: shows the prompts, asks for passwords, waits for
//! keys.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use keyfob_core::message::{self, Answer, ErrorCode, Event, Failure, Key, Op, Password, Request};
use keyfob_core::secret::Secret;

use super::args::Global;
use super::output;
use crate::error::failure;
use crate::front::{self, Agent};
use crate::holder::Desk;
use crate::policy::Caller;
use crate::prompt::{self, PromptError};
use crate::session::Person;
use crate::touch::{self, TouchNotice};

/// How often it is looked whether a key was plugged in.
const LOOK: Duration = Duration::from_millis(300);

/// When the time of `--timeout` began.
static BEGIN: Mutex<Option<Instant>> = Mutex::new(None);

impl Global {
    /// Whether the agent is used.
    pub(super) fn agent(&self) -> Agent {
        if self.no_agent { Agent::No } else { Agent::Yes }
    }

    /// How a result is printed: as `option` says, or else as JSON for `--json`, or else as `default`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where `--json` is given, and `option` wants something else.
    pub(super) fn printed<T: PartialEq>(
        &self,
        option: &str,
        chosen: Option<T>,
        json: T,
        default: T,
    ) -> Result<T, Failure> {
        match chosen {
            Some(chosen) if self.json && chosen != json => Err(failure(
                ErrorCode::InvalidInput,
                format!("--json prints JSON, and {option} wants something else"),
                format!("leave --json or {option} out"),
            )),
            Some(chosen) => Ok(chosen),
            None if self.json => Ok(json),
            None => Ok(default),
        }
    }

    /// When it has taken too long: for key and network alike, from when it is first asked for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let mut begin = BEGIN.lock().unwrap_or_else(PoisonError::into_inner);
        self.timeout.and_then(|timeout| begin.get_or_insert_with(Instant::now).checked_add(timeout))
    }

    /// Has the time of `--timeout` begin again, for what is a task of its own.
    pub(super) fn begin_anew(&self) {
        *BEGIN.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The key that was named, for what is done with one.
    pub(super) fn one_key(&self) -> Result<Option<String>, Failure> {
        match self.key.as_slice() {
            [] => Ok(None),
            [key] if key.trim().is_empty() => Err(failure(
                ErrorCode::InvalidInput,
                "the key that is named has no name",
                "give --key SERIAL, or leave it out",
            )),
            [key] => Ok(Some(key.clone())),
            _ => Err(failure(
                ErrorCode::InvalidInput,
                "this is done with one key",
                "give --key once; accounts and identities can be added to several",
            )),
        }
    }
}

/// Asks whoever holds the keys.
pub(super) struct Client<'a> {
    desk: Box<dyn Desk>,
    global: &'a Global,
    asked: Cell<u64>,
    /// When it has taken too long.
    pub(super) deadline: Option<Instant>,
}

impl<'a> Client<'a> {
    /// Connects.
    pub(super) fn new(global: &'a Global) -> Result<Self, Failure> {
        let begin = Instant::now();
        let desk = front::desk(Caller::CommandLine, global.agent())?;
        let deadline = global.deadline();
        let client = Self { desk, global, asked: Cell::new(0), deadline };
        client.verbose(&format!("{}, after {:?}", client.desk.describe(), begin.elapsed()));
        Ok(client)
    }

    /// Does what is neither the key's nor the network's, and whose time is not that of `--timeout`.
    pub(super) fn meanwhile<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        if let Some(begin) = &mut *BEGIN.lock().unwrap_or_else(PoisonError::into_inner) {
            *begin += start.elapsed();
        }
        self.deadline = self.global.deadline();
        done
    }

    /// Gives what is done from now on the time of `--timeout` anew.
    pub(super) fn begin_anew(&mut self) {
        self.global.begin_anew();
        self.deadline = self.global.deadline();
    }

    /// Says something on stderr, unless `--quiet` forbids it.
    pub(super) fn note(&self, text: &str) {
        output::note(self.global.quiet, text);
    }

    fn verbose(&self, text: &str) {
        if self.global.verbose {
            output::note(false, text);
        }
    }

    /// Asks the key that was named, or the only one.
    pub(super) fn ask(&mut self, op: Op) -> Result<Answer, Failure> {
        self.ask_key(self.global.one_key()?, op)
    }

    /// Asks a key; where a password is wanted, asks the person for it, and again; where there is no key, waits for one if
    /// that was asked for.
    pub(super) fn ask_key(&mut self, key: Option<String>, op: Op) -> Result<Answer, Failure> {
        let mut told = false;
        // A software key may want two: its file's, and that of the applet in it.
        let mut passwords = 2;
        loop {
            match self.ask_once(key.clone(), op.clone()) {
                Err(Failure { code: ErrorCode::Locked, wants: Some(wants), .. }) if passwords > 0 => {
                    passwords -= 1;
                    let password = prompt::typed_secret(&wants.what).map_err(|error| locked(&error))?;
                    let password = text_as_it_is(&password, "the password")?;
                    self.ask_once(Some(wants.key.clone()), Op::Unlock { password })?;
                }
                Err(absent)
                    if self.global.wait && matches!(absent.code, ErrorCode::NoKey | ErrorCode::NoPcsc) =>
                {
                    if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        return Err(absent);
                    }
                    if !told {
                        let which = key.as_ref().map_or("the key".to_owned(), |key| format!("key {key}"));
                        output::note(self.global.quiet, &format!("Plug in {which}."));
                        told = true;
                    }
                    sleep(LOOK);
                }
                result => return result,
            }
        }
    }

    fn ask_once(&self, key: Option<String>, op: Op) -> Result<Answer, Failure> {
        let number = self.asked.get() + 1;
        self.asked.set(number);
        let begin = Instant::now();
        let request = Request { v: message::VERSION, id: format!("cli-{number}"), key, op };
        // Gone from the terminal once there is something else to say.
        let mut notice = None;
        let result = front::ask(&*self.desk, request, self.deadline, |event| match event {
            Event::TouchRequired { prompt, maybe } => {
                let delay = if maybe { touch::UNCERTAIN } else { Duration::ZERO };
                drop(notice.replace(TouchNotice::show(&format!("Touch your key: {prompt}"), delay)));
            }
            Event::Waiting { why } => {
                drop(notice.take());
                output::note(self.global.quiet, &format!("Waiting: {why}."));
            }
            _ => {}
        });
        self.verbose(&format!("answered after {:?}", begin.elapsed()));
        result
    }

    /// The keys that are plugged in.
    pub(super) fn keys(&mut self) -> Result<Vec<Key>, Failure> {
        match self.ask_key(None, Op::Keys {})? {
            Answer::Keys { keys } => Ok(keys),
            other => super::commands::unexpected(other),
        }
    }

    /// What one key is.
    pub(super) fn info(&mut self, key: Option<String>) -> Result<Key, Failure> {
        match self.ask_key(key, Op::Info {})? {
            Answer::Info { key } => Ok(key),
            other => super::commands::unexpected(other),
        }
    }
}

/// Nobody is there to give the password.
fn locked(error: &PromptError) -> Failure {
    match error {
        // Only a person knows a card's password; a software key's may be in a file.
        PromptError::NoTerminal(_) => failure(
            error.code(),
            format!("the key is locked: {error}"),
            "run it in a terminal, or put a software key's passphrase into a file and name that in \
             KEYFOB_PASSPHRASE_FILE",
        ),
        error => front::prompt_failure(error),
    }
}

/// A secret that is text. Not trimmed: a space may belong to it.
pub(super) fn text_as_it_is(secret: &Secret, what: &str) -> Result<Password, Failure> {
    match str::from_utf8(secret.expose()) {
        Ok(text) => Ok(Password(text.to_owned())),
        Err(_) => Err(failure(ErrorCode::InvalidInput, format!("{what} is not UTF-8 text"), "")),
    }
}

impl Person for Client<'_> {
    fn ask_key(&mut self, key: Option<&str>, op: Op) -> Result<Answer, Failure> {
        let key = match key {
            Some(key) => Some(key.to_owned()),
            None => self.global.one_key()?,
        };
        Client::ask_key(self, key, op)
    }

    fn key_of(&self, key: Option<&str>) -> Option<String> {
        let named = self.global.key.first().cloned();
        if self.global.key_is_typed { named } else { key.map(str::to_owned).or(named) }
    }

    fn type_code(&mut self, serial: &str, why: &str) -> Result<String, Failure> {
        let what = format!("the MFA code of {serial}: {why}");
        let typed =
            self.meanwhile(|| prompt::typed_secret(&what)).map_err(|error| front::prompt_failure(&error))?;
        Ok(text_as_it_is(&typed, "the code")?.0.trim().to_owned())
    }

    fn note(&self, text: &str) {
        Client::note(self, text);
    }

    fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}
