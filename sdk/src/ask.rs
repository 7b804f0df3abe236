//! The question for the signing keys, from a thread that may block for as long as a person takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use keyfob::ask::{Asker, Events};
use keyfob::error::failure;
use keyfob::front::Agent;
use keyfob::holder::Desk;
use keyfob::signing::Credentials;
use keyfob_core::message::{ErrorCode, Failure};
use keyfob_core::sigv4::{AmzDate, SigningKey};

/// How the key is asked.
pub(crate) struct Question {
    credentials: Credentials,
    pub(crate) purpose: String,
    pub(crate) key: Option<String>,
    pub(crate) agent: Agent,
    pub(crate) timeout: Option<Duration>,
    pub(crate) events: Option<Events>,
}

impl Question {
    pub(crate) fn new(access_key_id: &str) -> Self {
        Self {
            credentials: Credentials::Key { access_key_id: access_key_id.to_owned() },
            purpose: "requests of this program".to_owned(),
            key: None,
            agent: Agent::Yes,
            timeout: None,
            events: None,
        }
    }

    /// Blocks until a person has touched the key, or the other end of the line is dropped.
    pub(crate) fn signing_keys(
        &self,
        line: &OtherEnd,
        date: &AmzDate,
        scopes: &[(&str, &str)],
    ) -> Result<Vec<SigningKey>, Failure> {
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut asker =
            Asker::new(self.agent)?.key(self.key.clone()).deadline(deadline).on_event(self.events.clone());
        line.is_answered_by(asker.desk())?;
        self.credentials.signing_keys(&mut asker, date, scopes, &self.purpose)
    }
}

/// Held by who waits for the answer: dropped, it takes the question back.
#[derive(Default)]
pub(crate) struct Line(OtherEnd);

/// Held by who asks.
#[derive(Clone, Default)]
pub(crate) struct OtherEnd(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    nobody_waits: bool,
    desk: Option<Arc<dyn Desk>>,
}

impl Line {
    pub(crate) fn other_end(&self) -> OtherEnd {
        self.0.clone()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.nobody_waits = true;
        let desk = state.desk.take();
        drop(state);
        if let Some(desk) = desk {
            desk.leave();
        }
    }
}

impl OtherEnd {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_answered_by(&self, desk: Arc<dyn Desk>) -> Result<(), Failure> {
        let mut state = self.state();
        if state.nobody_waits {
            return Err(failure(ErrorCode::Cancelled, "nobody waits for the answer any more", ""));
        }
        state.desk = Some(desk);
        Ok(())
    }
}
