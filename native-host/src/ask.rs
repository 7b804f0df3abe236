//! Asks whoever holds the keys in the name of a person at *this* program: for programs that use this library.
//!
//! It does as the command line does: says on the terminal and the desktop that the key waits for a touch, and asks for a
//! password on the terminal where the key is locked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyfob_core::message::{self, Answer, ErrorCode, Event, Failure, Op, Password, Request};

use crate::error::failure;
use crate::front::{self, Agent};
use crate::holder::Desk;
use crate::policy::Caller;
use crate::prompt::{self, printable};
use crate::signing::Ask;
use crate::touch::{self, TouchNotice};

/// Shows a person what happens.
pub type Events = Arc<dyn Fn(&Event) + Send + Sync>;

/// One who asks.
///
/// ```no_run
/// use keyfob::ask::Asker;
/// use keyfob::front::Agent;
/// use keyfob::signing::Credentials;
/// use keyfob_core::sigv4::AmzDate;
///
/// let key = Credentials::Key { access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned() };
/// let date = AmzDate::from_unix(std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs())?;
/// let mut asker = Asker::new(Agent::Yes).map_err(|failure| failure.message)?;
/// let scopes = [("eu-west-1", "s3"), ("us-east-1", "iam")];
/// // One touch, and two keys that sign until midnight UTC.
/// let keys = key.signing_keys(&mut asker, &date, &scopes, "a nightly report").map_err(|failure| failure.message)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Asker {
    desk: Arc<dyn Desk>,
    key: Option<String>,
    deadline: Option<Instant>,
    events: Option<Events>,
    asked: u32,
}

impl Asker {
    /// Finds whoever holds the keys: the agent, which is started from the program `keyfob`, beside this one or in `PATH`;
    /// or this process. This process is neither traced nor dumped from then on ([`crate::harden`]).
    ///
    /// # Errors
    /// What is wrong with configuration and environment.
    pub fn new(agent: Agent) -> Result<Self, Failure> {
        let desk = front::desk(Caller::CommandLine, agent)?.into();
        Ok(Self { desk, key: None, deadline: None, events: None, asked: 0 })
    }

    /// Which key: a serial number, `soft:NAME`. Without it, the one that is plugged in.
    #[must_use]
    pub fn key(mut self, key: Option<String>) -> Self {
        self.key = key;
        self
    }

    /// When it has taken too long.
    #[must_use]
    pub fn deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Who shows what happens, in place of the notices on the terminal and the desktop.
    #[must_use]
    pub fn on_event(mut self, events: Option<Events>) -> Self {
        self.events = events;
        self
    }

    /// Who is asked. Another thread takes all questions back with [`Desk::leave`].
    #[must_use]
    pub fn desk(&self) -> Arc<dyn Desk> {
        Arc::clone(&self.desk)
    }

    fn ask_once(&mut self, key: Option<String>, op: Op) -> Result<Answer, Failure> {
        self.asked += 1;
        let request = Request { v: message::VERSION, id: format!("program-{}", self.asked), key, op };
        let mut notice = None;
        front::ask(&*self.desk, request, self.deadline, |event| match (&self.events, event) {
            (Some(events), event) => events(&event),
            (None, Event::TouchRequired { prompt, maybe }) => {
                let delay = if maybe { touch::UNCERTAIN } else { Duration::ZERO };
                // The new one is shown first, then the old one is gone.
                drop(notice.replace(TouchNotice::show(&format!("Touch your key: {prompt}"), delay)));
            }
            (None, Event::Waiting { why }) => {
                drop(notice.take());
                eprintln!("Waiting: {}.", printable(&why));
            }
            _ => {}
        })
    }
}

impl Ask for Asker {
    fn ask(&mut self, op: Op) -> Result<Answer, Failure> {
        // A software key may want two passwords: its file's, and that of the applet in it.
        for _ in 0..2 {
            match self.ask_once(self.key.clone(), op.clone()) {
                Err(Failure { code: ErrorCode::Locked, wants: Some(wants), .. }) => {
                    let typed =
                        prompt::typed_secret(&wants.what).map_err(|error| front::prompt_failure(&error))?;
                    let password =
                        std::str::from_utf8(typed.expose()).map(|text| Password(text.to_owned())).map_err(
                            |_| failure(ErrorCode::InvalidInput, "the password is not UTF-8 text", ""),
                        )?;
                    self.ask_once(Some(wants.key), Op::Unlock { password })?;
                }
                other => return other,
            }
        }
        self.ask_once(self.key.clone(), op)
    }
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker")
            .field("desk", &self.desk.describe())
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
