//! One holder of the keys: a queue of questions from many front ends, and one thread that asks the key.
//!
//! ```text
//!   Seat::ask ─► queue ─► thread: Service ─► events, answer ─► every asker of that question
//! ```
//!
//! Equal questions are asked once. A front end that goes away, or takes its question back, is answered at once; the key
//! may go on blinking for it, but what the touch then brings is erased.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use keyfob_core::message::{Answer, ErrorCode, Event, Failure, Op, Reply, Request};

use crate::client::{Cancel, Client};
use crate::error::failure;
use crate::logins::Logins;
use crate::policy;
use crate::service::{self, Events, Outcome, Service, UnlockCache};
use crate::shelf::{Now, Ready, Shelf, Taken as TakenSession};

/// How many questions of one front end may wait. A touch blocks the key for up to 15 s, in which a person causes a few.
pub(crate) const MAX_WAITING: usize = 64;

/// Takes the replies to a request: events, then the answer or the failure.
pub type Replies = Box<dyn Fn(Reply) + Send + Sync>;

/// Whoever answers requests: this process, or the agent.
pub trait Desk: Send + Sync {
    /// Answers a request by and by. Never blocks for long.
    fn ask(&self, request: Request, replies: Replies);

    /// Nobody waits for any answer any more.
    fn leave(&self);

    /// Whether it goes on: a process that is stopped answers nothing, and ends nothing.
    ///
    /// # Errors
    /// What to do about one that does not.
    fn look(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Who it is, for people who want to know.
    fn describe(&self) -> String {
        "this process holds the keys".to_owned()
    }
}

/// Wakes whoever watches a [`Holder`] when there may be something to do sooner than it knew.
#[derive(Debug, Default)]
pub struct Stir {
    count: Mutex<u64>,
    turn: Condvar,
}

impl Stir {
    /// There may be something to do.
    pub fn stir(&self) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.wrapping_add(1);
        drop(count);
        self.turn.notify_all();
    }

    /// How often it was stirred.
    #[must_use]
    pub fn count(&self) -> u64 {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once it was stirred more often than `seen`, or at that time; never by itself without one.
    pub fn wait(&self, seen: u64, until: Option<Instant>) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        while *count == seen {
            count = match until {
                Some(until) => {
                    let pause = until.saturating_duration_since(Instant::now());
                    if pause.is_zero() {
                        return;
                    }
                    self.turn.wait_timeout(count, pause).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.turn.wait(count).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// What a [`Holder`] asks, one question at a time.
pub trait Answers: Send + 'static {
    /// Answers a request.
    ///
    /// # Errors
    /// [`Failure`], for the front end to show.
    fn handle(
        &mut self,
        client: &Client,
        request: &Request,
        cancel: &Cancel,
        events: Events<'_>,
    ) -> Result<Outcome, Failure>;

    /// Forgets all passwords and passphrases.
    fn lock(&mut self);

    /// Forgets the password of the card that was in a reader.
    fn removed(&mut self, reader: &str);

    /// What is erased at once when the keys are locked, whatever is being answered.
    fn unlock_cache(&self) -> UnlockCache {
        UnlockCache::default()
    }
}

impl Answers for Service {
    fn handle(
        &mut self,
        client: &Client,
        request: &Request,
        cancel: &Cancel,
        events: Events<'_>,
    ) -> Result<Outcome, Failure> {
        self.handle(client, request, cancel, events)
    }

    fn lock(&mut self) {
        self.lock();
    }

    fn removed(&mut self, reader: &str) {
        self.removed(reader);
    }

    fn unlock_cache(&self) -> UnlockCache {
        self.unlock_cache()
    }
}

/// One who waits for the answer to a question.
pub(crate) struct Asker {
    /// The front end's place.
    pub(crate) seat: u64,
    /// The request's id.
    pub(crate) id: String,
    /// Where to.
    pub(crate) replies: Replies,
}

impl Asker {
    pub(crate) fn event(&self, event: Event) {
        (self.replies)(Reply::Event { id: self.id.clone(), event });
    }

    pub(crate) fn finish(self, result: Result<Answer, Failure>) {
        let id = self.id;
        (self.replies)(match result {
            Ok(answer) => Reply::Done { id, answer },
            Err(error) => Reply::Failed { id, error },
        });
    }
}

/// A question, and all who have asked it.
struct Question {
    client: Arc<Client>,
    request: Request,
    cancel: Cancel,
    askers: Vec<Asker>,
    /// The last event, for who joins later.
    event: Option<Event>,
    /// Not to be asked before.
    due: Option<Instant>,
}

impl Question {
    /// Whether another front end's question is this one.
    fn is(&self, client: &Client, request: &Request) -> bool {
        is_shared(&request.op)
            && self.request.op == request.op
            && self.request.key == request.key
            && *self.client == *client
    }

    fn tell(&mut self, event: Event) {
        self.askers.iter().for_each(|asker| asker.event(event.clone()));
        self.event = Some(event);
    }

    /// What others are told while the key waits for a touch for this question: whoever touches now touches for it.
    fn waiting(&self) -> Event {
        let why = if self.askers.is_empty() {
            "the key still blinks for a request that was cancelled: do not touch it".to_owned()
        } else {
            format!("the key waits for a touch for {}", self.client.asker)
        };
        Event::Waiting { why }
    }
}

/// Whether an answer to it may be given to several: it reads, and an equal question would be answered alike.
pub(crate) fn is_shared(op: &Op) -> bool {
    matches!(
        op,
        Op::Keys {}
            | Op::Info {}
            | Op::Accounts { .. }
            | Op::Listing { .. }
            | Op::Code { .. }
            | Op::Identities {}
            | Op::Presign { .. }
            | Op::PresignMany { .. }
            | Op::ConfirmAccount { .. }
            | Op::Sign { .. }
            | Op::SignPolicy { .. }
            | Op::SignV2 { .. }
            | Op::SigningKeys { .. }
            | Op::Verify { .. }
    )
}

/// Whether several may have it. A counter's code is used up by the first who gets it.
fn may_be_shared(result: &Result<Answer, Failure>) -> bool {
    !matches!(result, Ok(Answer::Code { code, .. }) if code.valid_from.is_none())
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Question>,
    /// What is being asked of the key: without its client's settings, which the thread has.
    current: Option<Question>,
    /// Readers whose card has been removed.
    removed: Vec<String>,
    /// All passwords are to be forgotten before anything else is asked.
    lock: bool,
    ending: bool,
    /// The thread has ended, by a panic.
    dead: bool,
    seats: u64,
}

impl State {
    fn questions(&mut self) -> impl Iterator<Item = &mut Question> {
        self.current.iter_mut().chain(&mut self.waiting)
    }

    /// Takes the askers for whom `leaves` is true away from their questions. A question that nobody asks any more is
    /// cancelled.
    fn take_askers(&mut self, mut leaves: impl FnMut(&Asker) -> bool) -> Vec<Taken> {
        let mut left = Vec::new();
        let asked = usize::from(self.current.is_some());
        for (place, question) in self.questions().enumerate() {
            let (gone, stay): (Vec<_>, Vec<_>) = question.askers.drain(..).partition(&mut leaves);
            question.askers = stay;
            if question.askers.is_empty() {
                question.cancel.set();
            }
            // What writes may have written by now.
            let perhaps_done = place < asked && !is_shared(&question.request.op);
            left.extend(gone.into_iter().map(|asker| Taken { asker, perhaps_done }));
        }
        self.waiting.retain(|question| !question.askers.is_empty());
        left
    }
}

/// One who waits no longer.
struct Taken {
    asker: Asker,
    /// The key may have done what was asked all the same.
    perhaps_done: bool,
}

impl Taken {
    /// Says that there will be no answer.
    fn cancel(self, why: &str) {
        let hint =
            if self.perhaps_done { "it may have been done: `keyfob oath list` shows" } else { "ask again" };
        self.asker.finish(Err(cancelled(why, hint)));
    }
}

fn cancelled(why: &str, hint: &str) -> Failure {
    failure(ErrorCode::Cancelled, why, hint)
}

const LOCKED_MEANWHILE: &str = "the keys were locked meanwhile";

struct Shared {
    state: Mutex<State>,
    turn: Condvar,
    last: Mutex<Instant>,
    unlocked: UnlockCache,
    /// Never locked together with the state.
    shelf: Mutex<Shelf>,
    /// Never locked together with either.
    logins: Mutex<Logins>,
    stir: Arc<Stir>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn logins(&self) -> MutexGuard<'_, Logins> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what is to be said, and that there may be another end to wait for.
    fn tell(&self, ready: impl IntoIterator<Item = Ready>) {
        ready.into_iter().for_each(|(asker, result)| asker.finish(result));
        self.stir.stir();
    }

    /// Forgets all sessions and logins, and answers whoever waits for one with [`ErrorCode::Cancelled`].
    fn forget_sessions(&self) {
        let mut waiters = self.shelf().forget_all();
        waiters.extend(self.logins().forget_all());
        self.tell(waiters.into_iter().map(|asker| (asker, Err(cancelled(LOCKED_MEANWHILE, "ask again")))));
    }
}

/// The keys, and the thread that asks them.
pub struct Holder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Holder {
    /// Holds the keys of a service.
    #[must_use]
    pub fn new(service: impl Answers) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            turn: Condvar::new(),
            last: Mutex::new(Instant::now()),
            unlocked: service.unlock_cache(),
            shelf: Mutex::default(),
            logins: Mutex::default(),
            stir: Arc::default(),
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || work(&shared, service)
        });
        Self { shared, thread: Some(thread) }
    }

    /// A place for one front end.
    #[must_use]
    pub fn seat(&self, client: Client) -> Seat {
        let mut state = self.shared.state();
        state.seats += 1;
        Seat { shared: Arc::clone(&self.shared), client: Arc::new(client), number: state.seats }
    }

    /// Forgets all passwords, and answers whoever waits with [`ErrorCode::Cancelled`].
    pub fn lock(&self) {
        self.shared.unlocked.clear();
        let mut state = self.shared.state();
        state.lock = true;
        let askers = state.take_askers(|_| true);
        drop(state);
        self.shared.turn.notify_all();
        askers.into_iter().for_each(|taken| taken.cancel(LOCKED_MEANWHILE));
    }

    /// Forgets all sessions and logins.
    pub fn forget_sessions(&self) {
        self.shared.forget_sessions();
    }

    /// Does what is due: erases what was to be kept for a time that is over, and has the next make a session that nobody
    /// brings.
    pub fn tick(&self) {
        self.shared.unlocked.expire();
        let mut ready = self.shared.shelf().tick(Now::get());
        ready.extend(self.shared.logins().tick(Instant::now()));
        if !ready.is_empty() {
            self.shared.tell(ready);
        }
    }

    /// When [`Holder::tick`] next has something to do; none as long as [`Stir`] is not stirred.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let session = self.shared.shelf().due(Now::get());
        let login = self.shared.logins().due();
        session.into_iter().chain(login).chain(self.shared.unlocked.due()).min()
    }

    /// Stirred when what this holder says of itself may be another now.
    #[must_use]
    pub fn stir(&self) -> Arc<Stir> {
        Arc::clone(&self.shared.stir)
    }

    /// Whether it keeps a session that has not ended.
    #[must_use]
    pub fn has_sessions(&self) -> bool {
        !self.shared.shelf().is_empty()
    }

    /// A card was taken out of a reader.
    pub fn removed(&self, reader: String) {
        self.shared.state().removed.push(reader);
        self.shared.turn.notify_all();
    }

    /// How long nobody has asked anything of a key; zero while somebody waits.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.idle_since().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Since when nobody has asked anything of a key; none while somebody waits. A session that is kept is asked of no key.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        if self.shared.shelf().is_waited_for() {
            return None;
        }
        if !self.shared.logins().is_empty() {
            return None;
        }
        let state = self.shared.state();
        if state.current.is_some() || !state.waiting.is_empty() {
            return None;
        }
        Some(*self.shared.last.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Holder {
    /// Waits for what is being asked of the key, unless nobody does any more.
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ending = true;
        let abandoned = state.current.as_ref().is_some_and(|question| question.askers.is_empty());
        drop(state);
        self.shared.turn.notify_all();
        if let Some(thread) = self.thread.take().filter(|_| !abandoned) {
            let _ = thread.join();
        }
    }
}

/// A front end's place at a [`Holder`]. When it is dropped, its questions are taken back.
pub struct Seat {
    shared: Arc<Shared>,
    client: Arc<Client>,
    number: u64,
}

/// A desk that refuses everybody, for the same reason.
pub struct Closed(pub Failure);

impl Desk for Closed {
    fn ask(&self, request: Request, replies: Replies) {
        replies(Reply::Failed { id: request.id, error: self.0.clone() });
    }

    fn leave(&self) {}
}

/// A holder with one front end: keys held in the front end's own process.
pub struct Local {
    // Left before its holder ends.
    seat: Seat,
    _holder: Holder,
}

impl Local {
    /// For that front end.
    #[must_use]
    pub fn new(service: impl Answers, client: Client) -> Self {
        let holder = Holder::new(service);
        Self { seat: holder.seat(client), _holder: holder }
    }
}

impl Desk for Local {
    fn ask(&self, request: Request, replies: Replies) {
        self.seat.ask(request, replies);
    }

    fn leave(&self) {
        self.seat.leave();
    }
}

impl Desk for Seat {
    fn ask(&self, request: Request, replies: Replies) {
        let asker = Asker { seat: self.number, id: request.id.clone(), replies };
        let mut state = self.shared.state();
        if state.dead {
            drop(state);
            return asker.finish(Err(broken()));
        }
        match &request.op {
            // The key is not needed for these, whatever it is doing.
            Op::Hello {} if request.v == keyfob_core::message::VERSION => {
                drop(state);
                return asker.finish(Ok(service::hello()));
            }
            Op::Cancel { request: id } => {
                let taken = state.take_askers(|asker| asker.seat == self.number && asker.id == *id);
                drop(state);
                let why = "the request was cancelled";
                taken.into_iter().for_each(|taken| taken.cancel(why));
                let (waiters, ready) = self.shared.shelf().cancel(Now::get(), self.number, id);
                let offers = self.shared.logins().cancel(self.number, id);
                let waiters = waiters.into_iter().chain(offers);
                let waiters = waiters.map(|asker| (asker, Err(cancelled(why, "ask again"))));
                self.shared.tell(waiters.chain(ready));
                return asker.finish(Ok(Answer::Withdrawn {}));
            }
            Op::Lock {} => {
                self.shared.unlocked.clear();
                let cancelled = state.take_askers(|_| true);
                state.lock = true;
                state.waiting.push_front(self.question(request, asker));
                drop(state);
                cancelled.into_iter().for_each(|taken| taken.cancel(LOCKED_MEANWHILE));
                // A person says: forget everything.
                self.shared.forget_sessions();
                return self.shared.turn.notify_all();
            }
            Op::TakeSession { .. }
            | Op::KeepSession { .. }
            | Op::FailSession { .. }
            | Op::Sessions {}
            | Op::ClearSessions { .. } => {
                drop(state);
                return self.ask_shelf(&request, asker);
            }
            Op::OfferLogin { .. } | Op::TakeLogin { .. } => {
                drop(state);
                return self.ask_logins(&request, asker);
            }
            _ => {}
        }
        self.shared.touch();
        let waiting = state.questions().flat_map(|q| &q.askers).filter(|a| a.seat == self.number).count();
        if waiting >= MAX_WAITING {
            drop(state);
            let text = format!("{MAX_WAITING} requests are waiting already");
            let hint = "touch the key, or wait until it gives up, and try again";
            return asker.finish(Err(failure(ErrorCode::Busy, text, hint)));
        }
        let joined = state
            .questions()
            // Of one that is cancelled the answer will be erased.
            .find(|question| !question.cancel.is_set() && question.is(&self.client, &request));
        if let Some(question) = joined {
            if let Some(event) = &question.event {
                asker.event(event.clone());
            }
            question.askers.push(asker);
            return;
        }
        if let Some(current) = &state.current
            && matches!(current.event, Some(Event::TouchRequired { .. }))
        {
            asker.event(current.waiting());
        }
        let question = self.question(request, asker);
        state.waiting.push_back(question);
        drop(state);
        self.shared.turn.notify_all();
        self.shared.stir.stir();
    }

    fn leave(&self) {
        // Their replies go nowhere any more.
        drop(self.shared.state().take_askers(|asker| asker.seat == self.number));
        let ready = self.shared.shelf().leave(Now::get(), self.number);
        self.shared.logins().leave(self.number);
        self.shared.turn.notify_all();
        self.shared.tell(ready);
    }
}

impl Seat {
    /// Answers what is about sessions.
    fn ask_shelf(&self, request: &Request, asker: Asker) {
        if let Err(error) = policy::check_request(&self.client, request) {
            return asker.finish(Err(error));
        }
        let (now, seat) = (Now::get(), self.number);
        let mut shelf = self.shared.shelf();
        let (result, ready) = match &request.op {
            Op::TakeSession { question, label, lasting } => {
                let taken = TakenSession { question, label, lasting: *lasting, who: &self.client.asker };
                let ready = shelf.take(now, asker, &taken);
                drop(shelf);
                return self.shared.tell(ready);
            }
            Op::KeepSession { lease, session } => match shelf.keep(now, seat, *lease, session) {
                Ok(ready) => (Ok(Answer::Noted {}), ready),
                Err(error) => (Err(error), Vec::new()),
            },
            Op::FailSession { lease, error, own } => {
                (Ok(Answer::Noted {}), shelf.fail(now, seat, *lease, error, *own))
            }
            Op::ClearSessions { profile } => {
                let cleared = shelf.clear(now, profile.as_deref());
                (Ok(Answer::SessionsCleared { cleared }), Vec::new())
            }
            _ => (Ok(Answer::Sessions { sessions: shelf.list(now) }), Vec::new()),
        };
        drop(shelf);
        asker.finish(result);
        self.shared.tell(ready);
    }

    /// Answers what is about logins.
    fn ask_logins(&self, request: &Request, asker: Asker) {
        if let Err(error) = policy::check_request(&self.client, request) {
            return asker.finish(Err(error));
        }
        let now = Instant::now();
        let mut logins = self.shared.logins();
        let ready = match &request.op {
            Op::OfferLogin { ticket, url, container } => {
                logins.offer(now, asker, ticket, url, container).into_iter().collect()
            }
            Op::TakeLogin { ticket } => match logins.take(now, ticket) {
                Ok((answer, offered)) => vec![(asker, Ok(answer)), offered],
                Err(error) => vec![(asker, Err(error))],
            },
            _ => Vec::new(),
        };
        drop(logins);
        self.shared.tell(ready);
    }

    fn question(&self, request: Request, asker: Asker) -> Question {
        Question {
            client: Arc::clone(&self.client),
            request,
            cancel: Cancel::default(),
            askers: vec![asker],
            event: None,
            due: None,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

fn broken() -> Failure {
    failure(ErrorCode::Internal, "something in keyfob broke", "please report this, and try again")
}

/// What the thread does next.
enum Next {
    Ask(Arc<Client>, Request, Cancel),
    Removed(Vec<String>),
    Lock,
    End,
}

fn next(shared: &Shared) -> Next {
    let mut state = shared.state();
    loop {
        if std::mem::take(&mut state.lock) {
            return Next::Lock;
        }
        if !state.removed.is_empty() {
            return Next::Removed(std::mem::take(&mut state.removed));
        }
        let now = Instant::now();
        let is_due = |question: &Question| question.due.is_none_or(|due| due <= now);
        if let Some(question) =
            state.waiting.iter().position(is_due).and_then(|position| state.waiting.remove(position))
        {
            let next =
                Next::Ask(Arc::clone(&question.client), question.request.clone(), question.cancel.clone());
            state.current = Some(question);
            return next;
        }
        if state.ending {
            return Next::End;
        }
        let due = state.waiting.iter().filter_map(|question| question.due).min();
        state = match due {
            Some(due) => {
                let pause = due.saturating_duration_since(now);
                shared.turn.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0
            }
            None => shared.turn.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

fn work(shared: &Arc<Shared>, mut service: impl Answers) {
    /// Answers whoever waits when the thread ends, also when it panics.
    struct End<'a>(&'a Shared);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            let mut state = self.0.state();
            state.dead = true;
            let askers = state.take_askers(|_| true);
            state.current = None;
            drop(state);
            askers.into_iter().for_each(|taken| taken.asker.finish(Err(broken())));
        }
    }
    let _end = End(shared);
    loop {
        let (client, request, cancel) = match next(shared) {
            Next::Ask(client, request, cancel) => (client, request, cancel),
            Next::Removed(readers) => {
                readers.iter().for_each(|reader| service.removed(reader));
                continue;
            }
            Next::Lock => {
                service.lock();
                continue;
            }
            Next::End => return,
        };
        let result = service.handle(&client, &request, &cancel, &mut |event| {
            let State { current, waiting, .. } = &mut *shared.state();
            let Some(current) = current else { return };
            let is_touch = matches!(event, Event::TouchRequired { .. });
            current.tell(event);
            if is_touch {
                for asker in waiting.iter().flat_map(|question| &question.askers) {
                    asker.event(current.waiting());
                }
            }
        });
        shared.touch();
        let mut state = shared.state();
        let Some(mut question) = state.current.take() else { continue };
        let result = match result {
            Ok(Outcome::Answer(answer)) => Ok(answer),
            Err(failure) => Err(failure),
            Ok(Outcome::Later { seconds, why }) => {
                if !question.askers.is_empty() {
                    question.tell(Event::Waiting { why });
                    question.event = None;
                    // The next second begins within this one.
                    question.due = Instant::now().checked_add(Duration::from_secs(seconds));
                    state.waiting.push_back(question);
                }
                continue;
            }
        };
        let rest = match question.askers.len() {
            0 | 1 => Vec::new(),
            _ if may_be_shared(&result) => Vec::new(),
            _ => question.askers.split_off(1),
        };
        let askers = std::mem::take(&mut question.askers);
        if !rest.is_empty() {
            question.askers = rest;
            question.event = None;
            state.waiting.push_front(question);
        }
        drop(state);
        askers.into_iter().for_each(|asker| asker.finish(result.clone()));
        // Idle from now on, or with a signing key that is to be erased in time.
        shared.stir.stir();
    }
}

/// Answers from a function, for tests.
#[cfg(test)]
pub(crate) mod script {
    use super::*;

    pub(crate) struct Script<H>(pub(crate) H);

    impl<H> Answers for Script<H>
    where
        H: FnMut(&Request, Events<'_>) -> Result<Answer, Failure> + Send + 'static,
    {
        fn handle(
            &mut self,
            _: &Client,
            request: &Request,
            _: &Cancel,
            events: Events<'_>,
        ) -> Result<Outcome, Failure> {
            (self.0)(request, events).map(Outcome::Answer)
        }

        fn lock(&mut self) {}

        fn removed(&mut self, _: &str) {}
    }

    pub(crate) fn client(asker: &str) -> Client {
        let client =
            Client::new(crate::policy::Caller::CommandLine, crate::config::Config::default(), |_| None);
        Client { asker: asker.to_owned(), ..client }
    }

    pub(crate) fn local(answers: impl Answers) -> Local {
        Local::new(answers, client("test"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use keyfob_core::message::{Code, VERSION};

    use super::script::client;
    use super::*;

    /// What a key does with a question, step by step, as the test says.
    struct Puppet {
        asked: Sender<String>,
        moves: Receiver<Move>,
        cancel: Sender<Cancel>,
        log: Sender<String>,
    }

    enum Move {
        Touch,
        Code(&'static str, Option<u64>),
        Later,
    }

    impl Answers for Puppet {
        fn handle(
            &mut self,
            client: &Client,
            request: &Request,
            cancel: &Cancel,
            events: Events<'_>,
        ) -> Result<Outcome, Failure> {
            let Op::Code { account, .. } = &request.op else { panic!("{:?}", request.op) };
            self.asked.send(format!("{} {account}", client.asker)).unwrap();
            self.cancel.send(cancel.clone()).unwrap();
            loop {
                match self.moves.recv().unwrap() {
                    Move::Touch => events(Event::TouchRequired { prompt: account.clone(), maybe: false }),
                    Move::Later => return Ok(Outcome::Later { seconds: 0, why: "later".to_owned() }),
                    Move::Code(value, valid_from) => {
                        let code = Code {
                            value: value.to_owned(),
                            valid_from,
                            valid_until: valid_from.map(|from| from + 30),
                            submitted: false,
                        };
                        return Ok(Answer::Code { account: account.clone(), code }.into());
                    }
                }
            }
        }

        fn lock(&mut self) {
            self.log.send("locked".to_owned()).unwrap();
        }

        fn removed(&mut self, reader: &str) {
            self.log.send(format!("removed {reader}")).unwrap();
        }
    }

    struct Stage {
        holder: Holder,
        asked: Receiver<String>,
        moves: Sender<Move>,
        cancel: Receiver<Cancel>,
        log: Receiver<String>,
    }

    impl Stage {
        fn new() -> Self {
            let ((asked, a), (m, moves), (cancel, c), (log, l)) =
                (channel(), channel(), channel(), channel());
            let holder = Holder::new(Puppet { asked, moves, cancel, log });
            Self { holder, asked: a, moves: m, cancel: c, log: l }
        }

        fn play(&self, what: Move) {
            self.moves.send(what).unwrap();
        }
    }

    /// Asks for a code, and gives what is replied, word for word.
    fn ask(seat: &Seat, id: &str, op: Op) -> Receiver<String> {
        let (sender, replies) = channel();
        let request = Request { v: VERSION, id: id.to_owned(), key: None, op };
        let reply = move |reply: Reply| {
            let text = match reply {
                Reply::Event { event: Event::TouchRequired { prompt, .. }, .. } => format!("touch {prompt}"),
                Reply::Event { event: Event::Waiting { why }, .. } => format!("waiting: {why}"),
                Reply::Done { answer: Answer::Code { code, .. }, .. } => code.value.clone(),
                Reply::Done { answer, .. } => format!("{answer:?}"),
                Reply::Failed { error, .. } => error.code.as_str().to_owned(),
                other => format!("{other:?}"),
            };
            // Who has left hears nothing.
            let _ = sender.send(text);
        };
        seat.ask(request, Box::new(reply));
        replies
    }

    fn code(account: &str) -> Op {
        Op::Code { account: account.to_owned(), at: None, purpose: None, fresh: false, next: false }
    }

    fn all(replies: &Receiver<String>) -> Vec<String> {
        replies.iter().collect()
    }

    #[test]
    fn equal_questions_are_asked_once_and_others_wait_their_turn() {
        let stage = Stage::new();
        let seats: Vec<_> = (0..3).map(|_| stage.holder.seat(client("aws"))).collect();
        let other = stage.holder.seat(client("terraform"));
        let first = ask(&seats[0], "1", code("a"));
        assert_eq!(stage.asked.recv().unwrap(), "aws a");
        stage.play(Move::Touch);
        assert_eq!(first.recv().unwrap(), "touch a");
        // The second joins while the key blinks, and is told so; another account, and another program, wait.
        let second = ask(&seats[1], "1", code("a"));
        let else_ = ask(&seats[2], "1", code("b"));
        let program = ask(&other, "1", code("a"));
        stage.play(Move::Code("111111", Some(30)));
        assert_eq!(all(&first), ["111111"]);
        assert_eq!(all(&second), ["touch a", "111111"]);
        assert_eq!(stage.asked.recv().unwrap(), "aws b");
        stage.play(Move::Code("222222", Some(30)));
        assert_eq!(stage.asked.recv().unwrap(), "terraform a");
        stage.play(Move::Code("333333", Some(30)));
        let waits = "waiting: the key waits for a touch for aws";
        assert_eq!(all(&else_), [waits, "222222"]);
        assert_eq!(all(&program), [waits, "333333"]);
        assert!(stage.asked.try_recv().is_err());
    }

    #[test]
    fn a_login_goes_to_a_browser_while_the_key_is_asked_something_else() {
        let stage = Stage::new();
        let line = stage.holder.seat(client("keyfob"));
        let browser = || {
            let caller = policy::Caller::Browser { extension: "x".to_owned() };
            stage.holder.seat(Client::new(caller, crate::config::Config::default(), |_| None))
        };
        let secret = |text: &str| keyfob_core::message::Password(text.to_owned());
        let ticket = "00112233445566778899aabbccddeeff";
        let offer = || Op::OfferLogin {
            ticket: secret(ticket),
            url: secret("https://signin.aws.amazon.com/federation?Action=login&SigninToken=a"),
            container: "ops".to_owned(),
        };
        let take = || Op::TakeLogin { ticket: secret(ticket) };
        let busy = ask(&line, "1", code("a"));
        stage.asked.recv().unwrap();
        assert_eq!(all(&ask(&browser(), "1", offer())), ["forbidden"]);
        assert_eq!(all(&ask(&browser(), "1", take())), ["not-found"]);
        let offered = ask(&line, "2", offer());
        assert_eq!(offered.recv().unwrap(), "waiting: the browser has not come for the login yet");
        // A holder that has one is not idle, and knows when it is over.
        assert_eq!(stage.holder.idle_since(), None);
        assert!(stage.holder.due().is_some());
        assert_eq!(all(&ask(&browser(), "1", take())), [r#"Login { url: Password(…), container: "ops" }"#],);
        assert_eq!(all(&offered), ["Noted"]);
        assert_eq!(all(&ask(&browser(), "2", take())), ["not-found"]);
        assert_eq!(stage.holder.due(), None);
        // One that is taken back, locked away or left is gone.
        let offered = ask(&line, "3", offer());
        assert_eq!(all(&ask(&line, "c", Op::Cancel { request: "3".to_owned() })), ["Withdrawn"]);
        assert_eq!(offered.iter().last().unwrap(), "cancelled");
        let offered = ask(&line, "4", offer());
        stage.holder.forget_sessions();
        assert_eq!(offered.iter().last().unwrap(), "cancelled");
        let leaves = stage.holder.seat(client("keyfob"));
        let offered = ask(&leaves, "5", offer());
        drop(leaves);
        assert_eq!(offered.iter().count(), 1);
        assert_eq!(all(&ask(&browser(), "3", take())), ["not-found"]);
        stage.play(Move::Code("111111", Some(30)));
        assert_eq!(all(&busy), ["111111"]);
    }

    #[test]
    fn a_counters_code_goes_to_one_alone() {
        let stage = Stage::new();
        let seat = stage.holder.seat(client("aws"));
        let first = ask(&seat, "1", code("h"));
        stage.asked.recv().unwrap();
        let second = ask(&seat, "2", code("h"));
        stage.play(Move::Code("1", None));
        stage.asked.recv().unwrap();
        stage.play(Move::Code("2", None));
        assert_eq!((all(&first), all(&second)), (vec!["1".to_owned()], vec!["2".to_owned()]));
    }

    #[test]
    fn a_touch_that_comes_after_a_cancel_buys_nothing() {
        let stage = Stage::new();
        let seat = stage.holder.seat(client("aws"));
        let first = ask(&seat, "1", code("a"));
        stage.asked.recv().unwrap();
        stage.play(Move::Touch);
        assert_eq!(first.recv().unwrap(), "touch a");
        let withdrawn = ask(&seat, "c", Op::Cancel { request: "1".to_owned() });
        assert_eq!(all(&withdrawn), ["Withdrawn"]);
        // Answered at once, though the key goes on blinking.
        assert_eq!(all(&first), ["cancelled"]);
        assert!(stage.cancel.recv().unwrap().is_set());
        // The same question again is a new one: the touch that was for the first is not its.
        let again = ask(&seat, "2", code("a"));
        assert_eq!(
            again.recv().unwrap(),
            "waiting: the key still blinks for a request that was cancelled: do not touch it"
        );
        stage.play(Move::Code("111111", Some(30)));
        assert_eq!(stage.asked.recv().unwrap(), "aws a");
        stage.play(Move::Code("222222", Some(30)));
        assert_eq!(all(&again), ["222222"]);
        // One that is not known is none to cancel.
        assert_eq!(all(&ask(&seat, "c", Op::Cancel { request: "1".to_owned() })), ["Withdrawn"]);
    }

    #[test]
    fn who_goes_away_takes_nobody_elses_answer_along() {
        let stage = Stage::new();
        let (leaves, stays) = (stage.holder.seat(client("aws")), stage.holder.seat(client("aws")));
        let first = ask(&leaves, "1", code("a"));
        stage.asked.recv().unwrap();
        let second = ask(&stays, "1", code("a"));
        let waiting = ask(&leaves, "2", code("b"));
        drop(leaves);
        assert_eq!((all(&first), all(&waiting)), (vec![], vec![]));
        stage.play(Move::Code("111111", Some(30)));
        assert_eq!(all(&second), ["111111"]);
        assert!(!stage.cancel.recv().unwrap().is_set());
        // What only the one who left had asked for is never asked of the key.
        let next = ask(&stays, "2", code("c"));
        assert_eq!(stage.asked.recv().unwrap(), "aws c");
        stage.play(Move::Code("333333", Some(30)));
        assert_eq!(all(&next), ["333333"]);
    }

    #[test]
    fn a_lock_cancels_all_and_comes_before_what_is_asked_next() {
        let stage = Stage::new();
        let seat = stage.holder.seat(client("aws"));
        let asked = ask(&seat, "1", code("a"));
        let waits = ask(&seat, "2", code("b"));
        stage.asked.recv().unwrap();
        stage.holder.removed("reader".to_owned());
        stage.holder.lock();
        assert_eq!((all(&asked), all(&waits)), (vec!["cancelled".to_owned()], vec!["cancelled".to_owned()]));
        let next = ask(&seat, "3", code("c"));
        stage.play(Move::Code("111111", Some(30)));
        assert_eq!(stage.log.recv().unwrap(), "locked");
        assert_eq!(stage.log.recv().unwrap(), "removed reader");
        assert_eq!(stage.asked.recv().unwrap(), "aws c");
        stage.play(Move::Code("333333", Some(30)));
        assert_eq!(all(&next), ["333333"]);
    }

    #[test]
    fn what_is_to_wait_lets_others_go_first() {
        let stage = Stage::new();
        let seat = stage.holder.seat(client("aws"));
        let late = ask(&seat, "1", code("a"));
        let other = ask(&seat, "2", code("b"));
        assert_eq!(stage.asked.recv().unwrap(), "aws a");
        stage.play(Move::Later);
        assert_eq!(late.recv().unwrap(), "waiting: later");
        assert_eq!(stage.asked.recv().unwrap(), "aws b");
        stage.play(Move::Code("222222", Some(30)));
        assert_eq!(all(&other), ["222222"]);
        assert_eq!(stage.asked.recv().unwrap(), "aws a");
        stage.play(Move::Code("111111", Some(30)));
        assert_eq!(all(&late), ["111111"]);
    }
}
