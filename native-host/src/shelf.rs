//! Sessions that are kept: temporary AWS credentials, one set for all who ask the same question.
//!
//! ```text
//!   take ─► one is kept, and lasts ─────────────► it
//!        ─► nobody makes it ────────────────────► a lease: make it ─► keep ─► it, to all who wait
//!        └► somebody makes it: waits                              ├─► fail ─► the failure, to all who wait
//!                                                                 └─► gone, stopped ─► a lease, to the next
//! ```
//!
//! Whoever makes a session asks the key for it as for anything else; this here asks no key, and waits for none. Time is an
//! argument. Everything has a bound, for what a front end says is no more than a front end's word.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER_PERMISSIVE;
use keyfob_core::message::{Answer, ErrorCode, Event, Failure, KeptSession, Password, Session, SessionLabel};

use crate::error::failure;
use crate::holder::{Asker, MAX_WAITING};
use crate::locked::Locked;
use crate::service::unix_time;

/// After so long without an end whoever makes a session is taken for stopped, and the next makes it. A cold session is
/// two touches, and perhaps a code that is typed.
const PATIENCE: Duration = Duration::from_secs(3 * 60);
/// How many sessions are kept. Each has 16 KiB of locked memory, of which systems grant a user 8 MiB.
const MAX_KEPT: usize = 200;
/// How many are being made at once.
const MAX_MAKING: usize = 1024;
/// How many wait at once, over all front ends.
const MAX_WAITERS: usize = 4096;
/// How many who were taken for stopped are still known.
const MAX_OVERTAKEN: usize = 64;
/// How many profiles of a session are remembered.
const MAX_PROFILES: usize = 32;
/// Longest text of a label, in bytes: a role's ARN has at most 2,048 characters.
const MAX_TEXT: usize = 2048;
/// Longest name of a profile that is remembered, in bytes.
const MAX_NAME: usize = 256;
/// Room for the secret access key and the token of a session, in bytes: AWS's are under 3 KiB.
const ROOM: usize = 16 << 10;
/// Longest life of a session in seconds: the 36 hours of `GetSessionToken`. None is kept longer, whatever it says.
const LONGEST: u64 = 36 * 60 * 60;

/// What time it is, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// For how long something has taken.
    pub(crate) instant: Instant,
    /// For when sessions end: Unix time in seconds.
    pub(crate) unix: u64,
}

impl Now {
    /// By this computer.
    pub(crate) fn get() -> Self {
        Self { instant: Instant::now(), unix: unix_time() }
    }
}

/// One who waits no longer, and what is to be said: once nothing is locked any more.
pub(crate) type Ready = (Asker, Result<Answer, Failure>);

/// SHA-256 over all that a session depends on.
type Question = [u8; 32];

/// The sessions, who makes which, and who waits for them.
#[derive(Default)]
pub(crate) struct Shelf {
    kept: HashMap<Question, Kept>,
    making: HashMap<Question, Making>,
    /// Those who took too long: what they bring all the same is kept.
    overtaken: VecDeque<Overtaken>,
}

/// One who took too long.
struct Overtaken {
    maker: Maker,
    question: Question,
    label: SessionLabel,
    profiles: Vec<String>,
    is_cleared: bool,
}

/// A session that is kept.
struct Kept {
    label: SessionLabel,
    profiles: Vec<String>,
    access_key_id: String,
    account_id: Option<String>,
    expires_at: u64,
    /// When it is erased: as it ends, or earlier where it claims too long a life.
    until: u64,
    secrets: Secrets,
}

/// Secret access key and token.
struct Secrets {
    /// One after the other.
    bytes: Locked<[u8; ROOM]>,
    secret: usize,
    token: Option<usize>,
}

impl Secrets {
    /// None where there is no room for them.
    fn of(session: &Session) -> Option<Self> {
        let secret = session.secret_access_key.0.as_bytes();
        let token = session.session_token.as_ref().map(|token| token.0.as_bytes());
        let mut bytes = Locked::new([0; ROOM]);
        let (first, rest) = bytes.split_at_mut_checked(secret.len())?;
        first.copy_from_slice(secret);
        if let Some(token) = token {
            rest.get_mut(..token.len())?.copy_from_slice(token);
        }
        Some(Self { bytes, secret: secret.len(), token: token.map(<[u8]>::len) })
    }

    fn text(&self, from: usize, length: usize) -> Password {
        let bytes = self.bytes.get(from..from.saturating_add(length)).unwrap_or_default();
        // It was text when it came.
        Password(str::from_utf8(bytes).unwrap_or_default().to_owned())
    }
}

impl Kept {
    fn session(&self) -> Session {
        Session {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secrets.text(0, self.secrets.secret),
            session_token: self.secrets.token.map(|length| self.secrets.text(self.secrets.secret, length)),
            expires_at: Some(self.expires_at),
            account_id: self.account_id.clone(),
        }
    }
}

/// Who makes a session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Maker {
    lease: u64,
    seat: u64,
    /// The id of the request that was answered with the lease.
    request: String,
}

/// A session that is being made.
struct Making {
    maker: Maker,
    /// The program that makes it, for people.
    who: String,
    since: Instant,
    label: SessionLabel,
    /// Of all who have asked.
    profiles: Vec<String>,
    waiters: VecDeque<Waiter>,
    /// Not kept when it comes: what there was has been cleared meanwhile.
    is_cleared: bool,
}

struct Waiter {
    asker: Asker,
    who: String,
}

impl Making {
    /// The next of those who wait makes it; none if nobody waits.
    fn hand_on(&mut self, now: Now) -> Option<Result<Ready, Ready>> {
        let Waiter { asker, who } = self.waiters.pop_front()?;
        let maker = match Maker::new(&asker) {
            Ok(maker) => maker,
            Err(error) => return Some(Err((asker, Err(error)))),
        };
        let lease = maker.lease;
        (self.maker, self.who, self.since, self.is_cleared) = (maker, who, now.instant, false);
        Some(Ok((asker, Ok(Answer::MakeSession { lease }))))
    }

    /// Its maker, as one who took too long.
    fn late(&self, question: Question) -> Overtaken {
        let (maker, label, profiles) = (self.maker.clone(), self.label.clone(), self.profiles.clone());
        Overtaken { maker, question, label, profiles, is_cleared: self.is_cleared }
    }

    fn is_overdue(&self, now: Now) -> bool {
        now.instant.saturating_duration_since(self.since) >= PATIENCE
    }

    fn note_profile(&mut self, profile: &str) {
        note(&mut self.profiles, profile);
    }
}

/// What a front end that takes a session says.
pub(crate) struct Taken<'a> {
    /// [`keyfob_core::message::Op::TakeSession`]'s.
    pub(crate) question: &'a str,
    /// What it is.
    pub(crate) label: &'a SessionLabel,
    /// How many seconds it must last.
    pub(crate) lasting: u64,
    /// The program that asks, for people.
    pub(crate) who: &'a str,
}

impl Maker {
    /// With a lease that nobody guesses, and that no other agent has given: front ends outlive agents.
    fn new(asker: &Asker) -> Result<Self, Failure> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| {
            failure(ErrorCode::Internal, format!("the system gives no random numbers: {error}"), "")
        })?;
        // As JavaScript's numbers have them.
        let lease = u64::from_le_bytes(random) >> 11;
        Ok(Self { lease, seat: asker.seat, request: asker.id.clone() })
    }
}

impl Shelf {
    /// Gives a session that is kept, or the right to make it, or lets the asker wait.
    pub(crate) fn take(&mut self, now: Now, asker: Asker, taken: &Taken<'_>) -> Option<Ready> {
        match self.taken(now, &asker, taken) {
            Ok(Some(answer)) => Some((asker, Ok(answer))),
            Ok(None) => {
                let question = question(taken.question).ok()?;
                let making = self.making.get_mut(&question)?;
                asker.event(Event::Waiting {
                    why: format!("the session for {} is being made by {}", making.label.profile, making.who),
                });
                making.waiters.push_back(Waiter { asker, who: short(taken.who) });
                None
            }
            Err(error) => Some((asker, Err(error))),
        }
    }

    /// The answer; none if the asker is to wait.
    fn taken(&mut self, now: Now, asker: &Asker, taken: &Taken<'_>) -> Result<Option<Answer>, Failure> {
        let Taken { question: digits, label, lasting, who } = *taken;
        let question = question(digits)?;
        check(label)?;
        self.erase(now);
        let lasts = |kept: &&mut Kept| kept.expires_at >= now.unix.saturating_add(lasting);
        if let Some(kept) = self.kept.get_mut(&question).filter(lasts) {
            note(&mut kept.profiles, &label.profile);
            return Ok(Some(Answer::Session { session: kept.session() }));
        }
        let (waiters, mine) = self.count(asker.seat);
        let overdue = match self.making.get_mut(&question) {
            Some(making) => {
                making.note_profile(&label.profile);
                making.is_overdue(now)
            }
            None => {
                if self.making.len() >= MAX_MAKING || mine >= MAX_WAITING {
                    return Err(too_many());
                }
                let maker = Maker::new(asker)?;
                let lease = maker.lease;
                let making = Making {
                    maker,
                    who: short(who),
                    since: now.instant,
                    label: label.clone(),
                    profiles: vec![label.profile.clone()],
                    waiters: VecDeque::new(),
                    is_cleared: false,
                };
                self.making.insert(question, making);
                return Ok(Some(Answer::MakeSession { lease }));
            }
        };
        if overdue {
            // Nobody was there to be handed it.
            let maker = Maker::new(asker)?;
            let lease = maker.lease;
            if let Some(making) = self.making.get_mut(&question) {
                let late = making.late(question);
                (making.maker, making.who, making.since) = (maker, short(who), now.instant);
                making.is_cleared = false;
                self.overtake(late);
            }
            return Ok(Some(Answer::MakeSession { lease }));
        }
        if waiters >= MAX_WAITERS || mine >= MAX_WAITING { Err(too_many()) } else { Ok(None) }
    }

    /// How many wait, and of how many sessions a front end is waiter or maker.
    fn count(&self, seat: u64) -> (usize, usize) {
        let (mut waiters, mut mine) = (0, 0);
        for making in self.making.values() {
            waiters += making.waiters.len();
            mine += usize::from(making.maker.seat == seat);
            mine += making.waiters.iter().filter(|waiter| waiter.asker.seat == seat).count();
        }
        (waiters, mine)
    }

    fn overtake(&mut self, late: Overtaken) {
        if self.overtaken.len() >= MAX_OVERTAKEN {
            self.overtaken.pop_front();
        }
        self.overtaken.push_back(late);
    }

    /// Keeps what came of a lease, and gives it to all who wait for it.
    ///
    /// A lease that is not known brings nothing: everything was to be forgotten meanwhile.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for what is no session; the lease holds.
    pub(crate) fn keep(
        &mut self,
        now: Now,
        seat: u64,
        lease: u64,
        session: &Session,
    ) -> Result<Vec<Ready>, Failure> {
        let longest = [&session.access_key_id, session.account_id.as_ref().unwrap_or(&session.access_key_id)];
        if longest.iter().any(|text| text.is_empty() || text.len() > MAX_NAME) {
            return Err(no_session());
        }
        let secrets = Secrets::of(session).ok_or_else(no_session)?;
        let is_it = |maker: &Maker| maker.lease == lease && maker.seat == seat;
        let current =
            self.making.iter().find(|(_, making)| is_it(&making.maker)).map(|(question, _)| *question);
        let late = self.overtaken.iter().position(|late| is_it(&late.maker));
        let (question, label, mut profiles, waiters, is_cleared) = match (current, late) {
            (Some(question), _) => {
                let Some(making) = self.making.remove(&question) else { return Ok(Vec::new()) };
                (question, making.label, making.profiles, making.waiters, making.is_cleared)
            }
            (None, Some(position)) => {
                let Some(late) = self.overtaken.remove(position) else { return Ok(Vec::new()) };
                // Whoever makes it now goes on: theirs may last longer.
                let making = self.making.get_mut(&late.question);
                let waiters = making.map(|making| std::mem::take(&mut making.waiters)).unwrap_or_default();
                (late.question, late.label, late.profiles, waiters, late.is_cleared)
            }
            (None, None) => return Ok(Vec::new()),
        };
        let ready = waiters
            .into_iter()
            .map(|waiter| (waiter.asker, Ok(Answer::Session { session: session.clone() })))
            .collect();
        // Long-term credentials are the caller's to read again.
        if let Some(expires_at) = session.expires_at.filter(|end| *end > now.unix && !is_cleared)
            && self.kept.get(&question).is_none_or(|kept| kept.expires_at < expires_at)
        {
            for profile in self.kept.remove(&question).into_iter().flat_map(|kept| kept.profiles) {
                note(&mut profiles, &profile);
            }
            self.make_room();
            let kept = Kept {
                label,
                profiles,
                access_key_id: session.access_key_id.clone(),
                account_id: session.account_id.clone(),
                expires_at,
                until: expires_at.min(now.unix.saturating_add(LONGEST)),
                secrets,
            };
            self.kept.insert(question, kept);
        }
        Ok(ready)
    }

    /// Where the shelf is full, the session that ends first makes room.
    fn make_room(&mut self) {
        while self.kept.len() >= MAX_KEPT {
            let first = self.kept.iter().min_by_key(|(_, kept)| kept.until).map(|(question, _)| *question);
            let Some(first) = first else { return };
            self.kept.remove(&first);
        }
    }

    /// Nothing came of a lease: for none of those who wait, or only for the one who had it.
    pub(crate) fn fail(&mut self, now: Now, seat: u64, lease: u64, error: &Failure, own: bool) -> Vec<Ready> {
        let is_it = |maker: &Maker| maker.lease == lease && maker.seat == seat;
        self.overtaken.retain(|late| !is_it(&late.maker));
        let current =
            self.making.iter().find(|(_, making)| is_it(&making.maker)).map(|(question, _)| *question);
        let Some(question) = current else { return Vec::new() };
        if own {
            return self.hand_on(now, question);
        }
        let making = self.making.remove(&question);
        let waiters = making.into_iter().flat_map(|making| making.waiters);
        waiters.map(|waiter| (waiter.asker, Err(error.clone()))).collect()
    }

    /// Who makes a session does not any more.
    fn hand_on(&mut self, now: Now, question: Question) -> Vec<Ready> {
        let mut ready = Vec::new();
        let Some(making) = self.making.get_mut(&question) else { return ready };
        loop {
            match making.hand_on(now) {
                Some(Ok(next)) => {
                    ready.push(next);
                    return ready;
                }
                Some(Err(failed)) => ready.push(failed),
                None => break,
            }
        }
        self.making.remove(&question);
        ready
    }

    /// Takes back the leases and the waiters for whom `leaves` is true, given seat and request. The waiters come back
    /// first, with nothing said to them; then those who are to go on.
    fn take_back(&mut self, now: Now, leaves: impl Fn(u64, &str) -> bool) -> (Vec<Asker>, Vec<Ready>) {
        let (mut gone, mut left) = (Vec::new(), Vec::new());
        for (question, making) in &mut self.making {
            let (out, stay): (VecDeque<_>, VecDeque<_>) =
                making.waiters.drain(..).partition(|waiter| leaves(waiter.asker.seat, &waiter.asker.id));
            gone.extend(out.into_iter().map(|waiter| waiter.asker));
            making.waiters = stay;
            if leaves(making.maker.seat, &making.maker.request) {
                left.push(*question);
            }
        }
        self.overtaken.retain(|late| !leaves(late.maker.seat, &late.maker.request));
        (gone, left.into_iter().flat_map(|question| self.hand_on(now, question)).collect())
    }

    /// A front end goes away: what it makes, the next makes.
    pub(crate) fn leave(&mut self, now: Now, seat: u64) -> Vec<Ready> {
        self.take_back(now, |of, _| of == seat).1
    }

    /// A front end takes a request back: the one who waited by it, who is to be told, and those who go on.
    pub(crate) fn cancel(&mut self, now: Now, seat: u64, request: &str) -> (Vec<Asker>, Vec<Ready>) {
        self.take_back(now, |of, id| of == seat && id == request)
    }

    /// Forgets everything, also what is still to be brought. Those who waited.
    pub(crate) fn forget_all(&mut self) -> Vec<Asker> {
        self.kept.clear();
        self.overtaken.clear();
        let waiters = self.making.drain().flat_map(|(_, making)| making.waiters);
        waiters.map(|waiter| waiter.asker).collect()
    }

    /// Forgets the sessions of a profile, or all; what is being made is given to those who wait for it, and not kept. How many
    /// were kept.
    pub(crate) fn clear(&mut self, now: Now, profile: Option<&str>) -> u32 {
        self.erase(now);
        let stays = |profiles: &[String]| profile.is_some_and(|name| !profiles.iter().any(|of| of == name));
        let before = self.kept.len();
        self.kept.retain(|_, kept| stays(&kept.profiles));
        for late in &mut self.overtaken {
            late.is_cleared |= !stays(&late.profiles);
        }
        for making in self.making.values_mut() {
            making.is_cleared |= !stays(&making.profiles);
        }
        u32::try_from(before - self.kept.len()).unwrap_or(u32::MAX)
    }

    /// What is kept, in the order in which it ends.
    pub(crate) fn list(&mut self, now: Now) -> Vec<KeptSession> {
        self.erase(now);
        let mut list: Vec<_> = self
            .kept
            .values()
            .map(|kept| KeptSession {
                label: kept.label.clone(),
                profiles: kept.profiles.clone(),
                access_key_id: kept.access_key_id.clone(),
                expires_at: kept.expires_at,
            })
            .collect();
        list.sort_by(|a, b| {
            (a.expires_at, &a.label.profile, &a.access_key_id).cmp(&(
                b.expires_at,
                &b.label.profile,
                &b.access_key_id,
            ))
        });
        list
    }

    /// Whether there is any session.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether anybody waits for a session.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.making.values().any(|making| !making.waiters.is_empty())
    }

    fn erase(&mut self, now: Now) {
        self.kept.retain(|_, kept| kept.until > now.unix);
    }

    /// Does what is due: erases what has ended, and has the next make what nobody brings.
    pub(crate) fn tick(&mut self, now: Now) -> Vec<Ready> {
        self.erase(now);
        let overdue: Vec<_> = self
            .making
            .iter()
            .filter(|(_, making)| making.is_overdue(now) && !making.waiters.is_empty())
            .map(|(question, making)| making.late(*question))
            .collect();
        let mut ready = Vec::new();
        for late in overdue {
            ready.extend(self.hand_on(now, late.question));
            self.overtake(late);
        }
        ready
    }

    /// When [`Shelf::tick`] next has something to do.
    pub(crate) fn due(&self, now: Now) -> Option<Instant> {
        let ends =
            self.kept.values().map(|kept| kept.until).min().and_then(|until| {
                now.instant.checked_add(Duration::from_secs(until.saturating_sub(now.unix)))
            });
        let waited_for = self.making.values().filter(|making| !making.waiters.is_empty());
        let overdue = waited_for.filter_map(|making| making.since.checked_add(PATIENCE)).min();
        ends.into_iter().chain(overdue).min()
    }
}

fn question(digits: &str) -> Result<Question, Failure> {
    let mut question = [0; 32];
    let is_question = HEXLOWER_PERMISSIVE.decode_len(digits.len()) == Ok(question.len())
        && HEXLOWER_PERMISSIVE.decode_mut(digits.as_bytes(), &mut question).is_ok();
    if is_question {
        Ok(question)
    } else {
        Err(failure(
            ErrorCode::BadRequest,
            "the session's question is not 32 bytes in hexadecimal digits",
            "",
        ))
    }
}

fn check(label: &SessionLabel) -> Result<(), Failure> {
    let SessionLabel { profile, of, made_by } = label;
    if profile.len() > MAX_NAME || of.len() > MAX_TEXT || made_by.len() > MAX_NAME {
        let text =
            format!("a session's label has at most {MAX_NAME} bytes for a name and {MAX_TEXT} for an ARN");
        return Err(failure(ErrorCode::InvalidInput, text, "give the profile a shorter name"));
    }
    Ok(())
}

fn note(profiles: &mut Vec<String>, profile: &str) {
    if profiles.len() < MAX_PROFILES && !profiles.iter().any(|known| known == profile) {
        profiles.push(profile.to_owned());
    }
}

/// A program's name, as it is shown.
fn short(who: &str) -> String {
    who.chars().take(80).collect()
}

fn no_session() -> Failure {
    let text = format!(
        "these are no credentials that can be kept: they have over {ROOM} bytes, or no access key id"
    );
    failure(ErrorCode::InvalidInput, text, "make them without the agent: --no-agent")
}

fn too_many() -> Failure {
    let text = "too many sessions are being made at once";
    failure(ErrorCode::Busy, text, "wait until some are done, and try again")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use keyfob_core::message::Reply;

    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222222222222222222222222222";
    const HOUR: u64 = 3600;

    /// A shelf whose time the test moves.
    struct Stage {
        shelf: Shelf,
        now: Now,
        asked: u64,
    }

    /// A front end's request, and all that is said to it.
    struct Front {
        seat: u64,
        request: String,
        replies: Receiver<Reply>,
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Heard {
        Nothing,
        Waits(String),
        Makes(u64),
        Gets(String),
        Fails(ErrorCode),
    }

    impl Front {
        fn hears(&self) -> Heard {
            match self.replies.try_recv() {
                Err(_) => Heard::Nothing,
                Ok(Reply::Event { event: Event::Waiting { why }, .. }) => Heard::Waits(why),
                Ok(Reply::Done { answer: Answer::MakeSession { lease }, .. }) => Heard::Makes(lease),
                Ok(Reply::Done { answer: Answer::Session { session }, .. }) => {
                    Heard::Gets(session.access_key_id)
                }
                Ok(Reply::Failed { error, .. }) => Heard::Fails(error.code),
                Ok(other) => panic!("{other:?}"),
            }
        }

        #[track_caller]
        fn lease(&self) -> u64 {
            match self.hears() {
                Heard::Makes(lease) => lease,
                other => panic!("{other:?}"),
            }
        }

        /// It waits, and hears nothing more yet.
        #[track_caller]
        fn waits(&self) {
            assert!(matches!(self.hears(), Heard::Waits(_)));
            assert_eq!(self.hears(), Heard::Nothing);
        }
    }

    fn tell(ready: impl IntoIterator<Item = Ready>) {
        ready.into_iter().for_each(|(asker, result)| asker.finish(result));
    }

    fn label(profile: &str) -> SessionLabel {
        SessionLabel {
            profile: profile.to_owned(),
            of: "arn:aws:iam::123456789012:role/dev".to_owned(),
            made_by: "AssumeRole".to_owned(),
        }
    }

    impl Stage {
        fn new() -> Self {
            let now = Now { instant: Instant::now(), unix: 1_800_000_000 };
            Self { shelf: Shelf::default(), now, asked: 0 }
        }

        fn pass(&mut self, seconds: u64) {
            self.now.unix += seconds;
            self.now.instant += Duration::from_secs(seconds);
        }

        fn take_for(&mut self, seat: u64, question: &str, profile: &str, lasting: u64) -> Front {
            self.asked += 1;
            let (sender, replies) = channel();
            let request = format!("r{}", self.asked);
            let send = move |reply| drop(sender.send(reply));
            let asker = Asker { seat, id: request.clone(), replies: Box::new(send) };
            let who = format!("program {seat}");
            let taken = Taken { question, label: &label(profile), lasting, who: &who };
            tell(self.shelf.take(self.now, asker, &taken));
            Front { seat, request, replies }
        }

        fn take(&mut self, seat: u64, question: &str) -> Front {
            self.take_for(seat, question, "dev", 900)
        }

        fn session(&self, id: &str, lasts: u64) -> Session {
            Session {
                access_key_id: id.to_owned(),
                secret_access_key: Password("secret".to_owned()),
                session_token: Some(Password("token of several parts".to_owned())),
                expires_at: Some(self.now.unix + lasts),
                account_id: Some("123456789012".to_owned()),
            }
        }

        fn keep(&mut self, front: &Front, lease: u64, id: &str, lasts: u64) {
            let session = self.session(id, lasts);
            tell(self.shelf.keep(self.now, front.seat, lease, &session).unwrap());
        }

        fn fail(&mut self, front: &Front, lease: u64, own: bool) {
            let error = failure(ErrorCode::AwsRefused, "refused", "");
            tell(self.shelf.fail(self.now, front.seat, lease, &error, own));
        }

        fn names(&mut self) -> Vec<String> {
            self.shelf.list(self.now).into_iter().map(|kept| kept.access_key_id).collect()
        }
    }

    fn gets(id: &str) -> Heard {
        Heard::Gets(id.to_owned())
    }

    #[test]
    fn one_makes_it_and_all_get_it() {
        let mut stage = Stage::new();
        let first = stage.take(1, ONE);
        let lease = first.lease();
        let others: Vec<_> = (2..5).map(|seat| stage.take(seat, ONE)).collect();
        for other in &others {
            assert_eq!(
                other.hears(),
                Heard::Waits("the session for dev is being made by program 1".to_owned())
            );
        }
        // Another question is another session.
        let else_ = stage.take(9, TWO).lease();
        assert_ne!(lease, else_);
        stage.keep(&first, lease, "ASIA1", HOUR);
        others.iter().for_each(|other| assert_eq!(other.hears(), gets("ASIA1")));
        // Later ones find it, with all that it has.
        assert_eq!(stage.take(7, ONE).hears(), gets("ASIA1"));
        let kept = stage.shelf.kept.values().next().unwrap().session();
        assert_eq!(kept, stage.session("ASIA1", HOUR));
        // A question may be spelled in capitals.
        let capitals = "AB".repeat(32);
        let front = stage.take(1, &capitals);
        let lease = front.lease();
        stage.keep(&front, lease, "ASIA2", HOUR);
        assert_eq!(stage.take(1, &capitals.to_lowercase()).hears(), gets("ASIA2"));
    }

    #[test]
    fn one_that_would_end_too_soon_is_made_anew() {
        let mut stage = Stage::new();
        let first = stage.take(1, ONE);
        let lease = first.lease();
        stage.keep(&first, lease, "ASIA1", HOUR);
        stage.pass(HOUR - 900);
        assert_eq!(stage.take(2, ONE).hears(), gets("ASIA1"));
        stage.pass(1);
        let second = stage.take(2, ONE);
        let lease = second.lease();
        // Whoever needs it for less still gets the old one.
        assert_eq!(stage.take_for(3, ONE, "dev", 60).hears(), gets("ASIA1"));
        let waits = stage.take(4, ONE);
        waits.waits();
        // The new one is short by itself: it is given all the same, and kept, as it lasts longer.
        stage.keep(&second, lease, "ASIA2", 899 + 1);
        assert_eq!(waits.hears(), gets("ASIA2"));
        assert_eq!(stage.names(), ["ASIA2"]);
        // One that ends before what is kept takes nothing away.
        let third = stage.take_for(5, ONE, "dev", HOUR);
        let lease = third.lease();
        stage.keep(&third, lease, "ASIA3", 60);
        assert_eq!(stage.names(), ["ASIA2"]);
    }

    #[test]
    fn what_has_ended_is_erased_in_time() {
        let mut stage = Stage::new();
        for (question, id, lasts) in [(ONE, "ASIA1", HOUR), (TWO, "ASIA2", 2 * HOUR)] {
            let front = stage.take(1, question);
            let lease = front.lease();
            stage.keep(&front, lease, id, lasts);
        }
        let start = stage.now.instant;
        assert_eq!(stage.shelf.due(stage.now), Some(start + Duration::from_secs(HOUR)));
        stage.pass(HOUR);
        tell(stage.shelf.tick(stage.now));
        assert_eq!(stage.shelf.kept.len(), 1);
        assert_eq!(stage.shelf.due(stage.now), Some(start + Duration::from_secs(2 * HOUR)));
        stage.pass(HOUR);
        // Nobody has to tick for them to be gone.
        assert_eq!(stage.names(), [""; 0]);
        assert!(stage.shelf.is_empty());
        assert_eq!(stage.shelf.due(stage.now), None);
        // Long-term credentials, and what has ended already, are given and not kept.
        let (maker, waiter) = (stage.take(1, ONE), stage.take(2, ONE));
        let lease = maker.lease();
        waiter.waits();
        let session = Session { expires_at: None, ..stage.session("AKIA1", 0) };
        tell(stage.shelf.keep(stage.now, 1, lease, &session).unwrap());
        assert_eq!(waiter.hears(), gets("AKIA1"));
        let maker = stage.take(1, ONE);
        let lease = maker.lease();
        stage.keep(&maker, lease, "ASIA3", 0);
        assert!(stage.shelf.is_empty());
        // Nothing is kept for longer than AWS lets anything last.
        let maker = stage.take(1, ONE);
        let lease = maker.lease();
        let session = Session { expires_at: Some(u64::MAX), ..stage.session("ASIA4", 0) };
        tell(stage.shelf.keep(stage.now, 1, lease, &session).unwrap());
        assert_eq!(stage.names(), ["ASIA4"]);
        stage.pass(LONGEST);
        assert!(stage.names().is_empty());
    }

    #[test]
    fn a_failure_is_for_all_or_for_its_maker_alone() {
        let mut stage = Stage::new();
        let fronts: Vec<_> = (1..4).map(|seat| stage.take(seat, ONE)).collect();
        let lease = fronts[0].lease();
        fronts[1..].iter().for_each(Front::waits);
        stage.fail(&fronts[0], lease, true);
        let second = fronts[1].lease();
        assert_ne!(second, lease);
        assert_eq!(fronts[2].hears(), Heard::Nothing);
        // The first has no say any more, and nobody has another's lease.
        stage.keep(&fronts[0], lease, "ASIA1", HOUR);
        stage.keep(&fronts[0], second, "ASIA1", HOUR);
        stage.fail(&fronts[2], second, false);
        assert_eq!(fronts[2].hears(), Heard::Nothing);
        stage.fail(&fronts[1], second, false);
        assert_eq!(fronts[2].hears(), Heard::Fails(ErrorCode::AwsRefused));
        assert!(stage.names().is_empty());
        // Whoever comes next tries again.
        stage.take(5, ONE).lease();
    }

    #[test]
    fn whoever_goes_away_leaves_it_to_the_next() {
        let mut stage = Stage::new();
        let fronts: Vec<_> = (1..5).map(|seat| stage.take(seat, ONE)).collect();
        let lease = fronts[0].lease();
        fronts[1..].iter().for_each(Front::waits);
        // One who waits goes, and is not asked to make it.
        tell(stage.shelf.leave(stage.now, 2));
        assert_eq!(fronts[1].hears(), Heard::Nothing);
        tell(stage.shelf.leave(stage.now, 1));
        assert_eq!(fronts[1].hears(), Heard::Nothing);
        let third = fronts[2].lease();
        stage.keep(&fronts[0], lease, "ASIA1", HOUR);
        assert!(stage.names().is_empty());
        stage.keep(&fronts[2], third, "ASIA3", HOUR);
        assert_eq!(fronts[3].hears(), gets("ASIA3"));
        // The last one leaves nothing behind.
        stage.take(6, TWO).lease();
        tell(stage.shelf.leave(stage.now, 6));
        assert!(stage.shelf.making.is_empty());
    }

    #[test]
    fn a_request_that_is_taken_back_waits_and_makes_no_more() {
        let mut stage = Stage::new();
        let fronts: Vec<_> = (1..4).map(|seat| stage.take(seat, ONE)).collect();
        fronts[0].lease();
        fronts[1..].iter().for_each(Front::waits);
        let Front { seat, request, .. } = &fronts[1];
        // Not another's of the same name.
        let (gone, ready) = stage.shelf.cancel(stage.now, 7, request);
        assert_eq!((gone.len(), ready.len()), (0, 0));
        let (gone, ready) = stage.shelf.cancel(stage.now, *seat, request);
        assert_eq!((gone.len(), ready.len()), (1, 0));
        // The lease was on its way when its time was up.
        let (gone, ready) = stage.shelf.cancel(stage.now, 1, &fronts[0].request);
        assert!(gone.is_empty());
        tell(ready);
        fronts[2].lease();
    }

    #[test]
    fn one_who_is_stopped_is_overtaken() {
        let mut stage = Stage::new();
        let fronts: Vec<_> = (1..4).map(|seat| stage.take(seat, ONE)).collect();
        let first = fronts[0].lease();
        fronts[1..].iter().for_each(Front::waits);
        assert_eq!(stage.shelf.due(stage.now), Some(stage.now.instant + PATIENCE));
        stage.pass(PATIENCE.as_secs() - 1);
        tell(stage.shelf.tick(stage.now));
        assert_eq!(fronts[1].hears(), Heard::Nothing);
        stage.pass(1);
        tell(stage.shelf.tick(stage.now));
        // The one who has waited longest.
        let second = fronts[1].lease();
        assert_eq!(fronts[2].hears(), Heard::Nothing);
        // What the first brings after all is as good as any.
        stage.keep(&fronts[0], first, "ASIA1", HOUR);
        assert_eq!(fronts[2].hears(), gets("ASIA1"));
        assert_eq!(stage.names(), ["ASIA1"]);
        // So is what the second brings, unless it ends before.
        stage.keep(&fronts[1], second, "ASIA2", HOUR - 1);
        assert_eq!(stage.names(), ["ASIA1"]);
        assert!(stage.shelf.making.is_empty() && stage.shelf.overtaken.is_empty());
        // Where nobody waits, the next to come overtakes; a failure of the one who was overtaken is nobody's then.
        let stopped = stage.take(1, TWO);
        let lease = stopped.lease();
        assert_eq!(stage.shelf.due(stage.now).map(|due| due > stage.now.instant + PATIENCE), Some(true));
        stage.pass(PATIENCE.as_secs());
        let next = stage.take(2, TWO);
        let waits = stage.take(3, TWO);
        let other = next.lease();
        waits.waits();
        stage.fail(&stopped, lease, false);
        assert_eq!(waits.hears(), Heard::Nothing);
        stage.keep(&next, other, "ASIA4", HOUR);
        assert_eq!(waits.hears(), gets("ASIA4"));
    }

    #[test]
    fn late_ones_are_kept_even_if_nobody_makes_it_any_more() {
        let mut stage = Stage::new();
        let (first, second) = (stage.take(1, ONE), stage.take(2, ONE));
        let lease = first.lease();
        second.waits();
        stage.pass(PATIENCE.as_secs());
        tell(stage.shelf.tick(stage.now));
        let other = second.lease();
        stage.fail(&second, other, false);
        stage.keep(&first, lease, "ASIA1", HOUR);
        assert_eq!(stage.names(), ["ASIA1"]);
    }

    #[test]
    fn sessions_are_found_and_forgotten_by_every_profile_that_took_them() {
        let mut stage = Stage::new();
        let maker = stage.take_for(1, ONE, "dev", 0);
        let lease = maker.lease();
        stage.take_for(2, ONE, "test", 0).waits();
        stage.keep(&maker, lease, "ASIA1", HOUR);
        stage.take_for(3, ONE, "prod", 0);
        let maker = stage.take_for(1, TWO, "dev", 0);
        let lease = maker.lease();
        stage.keep(&maker, lease, "ASIA2", HOUR / 2);
        let list = stage.shelf.list(stage.now);
        assert_eq!(list.iter().map(|kept| &*kept.access_key_id).collect::<Vec<_>>(), ["ASIA2", "ASIA1"]);
        assert_eq!(list[1].profiles, ["dev", "test", "prod"]);
        assert_eq!(list[1].label, label("dev"));
        assert_eq!(stage.shelf.clear(stage.now, Some("pro")), 0);
        assert_eq!(stage.shelf.clear(stage.now, Some("test")), 1);
        assert_eq!(stage.names(), ["ASIA2"]);
        assert_eq!(stage.shelf.clear(stage.now, None), 1);
        assert!(stage.shelf.is_empty());
        // One that is being made is given, and not kept; unless it is another profile's, or begun afterwards.
        for (cleared, kept) in [(Some("dev"), false), (None, false), (Some("test"), true)] {
            let (maker, waiter) = (stage.take(1, ONE), stage.take(2, ONE));
            let lease = maker.lease();
            waiter.waits();
            assert_eq!(stage.shelf.clear(stage.now, cleared), 0);
            stage.keep(&maker, lease, "ASIA3", HOUR);
            assert_eq!(waiter.hears(), gets("ASIA3"));
            assert_eq!(!stage.names().is_empty(), kept, "{cleared:?}");
            stage.shelf.clear(stage.now, None);
        }
        let (maker, next) = (stage.take(1, ONE), stage.take(2, ONE));
        let lease = maker.lease();
        next.waits();
        stage.shelf.clear(stage.now, None);
        stage.fail(&maker, lease, true);
        let lease = next.lease();
        stage.keep(&next, lease, "ASIA4", HOUR);
        assert_eq!(stage.names(), ["ASIA4"]);
    }

    #[test]
    fn after_a_lock_nothing_comes_back() {
        let mut stage = Stage::new();
        let kept = stage.take(1, ONE);
        let lease = kept.lease();
        stage.keep(&kept, lease, "ASIA1", HOUR);
        let (maker, waiter) = (stage.take(1, TWO), stage.take(2, TWO));
        let lease = maker.lease();
        waiter.waits();
        assert_eq!(stage.shelf.forget_all().len(), 1);
        stage.keep(&maker, lease, "ASIA2", HOUR);
        assert!(stage.names().is_empty());
        stage.take(3, TWO).lease();
    }

    #[test]
    fn what_front_ends_say_has_bounds() {
        let mut stage = Stage::new();
        let bad = |heard: Heard, code| assert_eq!(heard, Heard::Fails(code));
        for question in ["", "11", "x", &"g".repeat(64), &"1".repeat(63), &"1".repeat(66), &"ä".repeat(32)] {
            bad(stage.take(1, question).hears(), ErrorCode::BadRequest);
        }
        bad(stage.take_for(1, ONE, &"p".repeat(MAX_NAME + 1), 0).hears(), ErrorCode::InvalidInput);
        let maker = stage.take(1, ONE);
        let lease = maker.lease();
        let session = stage.session("ASIA1", HOUR);
        let long = |length| Some(Password("t".repeat(length)));
        for session in [
            Session { session_token: long(ROOM - "secret".len() + 1), ..session.clone() },
            Session { secret_access_key: long(ROOM + 1).unwrap(), ..session.clone() },
            Session { access_key_id: "A".repeat(MAX_NAME + 1), ..session.clone() },
            Session { access_key_id: String::new(), ..session.clone() },
            Session { account_id: Some("1".repeat(MAX_NAME + 1)), ..session.clone() },
        ] {
            let refused = stage.shelf.keep(stage.now, 1, lease, &session).map(|_| ()).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidInput);
        }
        let full = Session { session_token: long(ROOM - "secret".len()), ..session };
        tell(stage.shelf.keep(stage.now, 1, lease, &full).unwrap());
        assert_eq!(stage.shelf.kept.values().next().unwrap().session(), full);
        for number in 0..2 * MAX_PROFILES {
            assert_eq!(stage.take_for(2, ONE, &format!("p{number}"), 0).hears(), gets("ASIA1"));
        }
        assert_eq!(stage.shelf.list(stage.now)[0].profiles.len(), MAX_PROFILES);
        // One front end has so many leases and waits, and no more.
        let question = |number: usize| format!("{number:064x}");
        let leases: Vec<_> = (0..MAX_WAITING).map(|number| stage.take(3, &question(number))).collect();
        for front in &leases {
            front.lease();
        }
        bad(stage.take(3, &question(MAX_WAITING)).hears(), ErrorCode::Busy);
        bad(stage.take(3, &question(0)).hears(), ErrorCode::Busy);
        stage.take(4, &question(0)).waits();
        // All together have.
        let mut seat = 5;
        while stage.shelf.making.len() < MAX_MAKING {
            stage.take(seat, &question(1000 + usize::try_from(seat).unwrap())).lease();
            seat += 1;
        }
        bad(stage.take(seat, &question(9999)).hears(), ErrorCode::Busy);
        for seat in seat..seat + u64::try_from(MAX_WAITERS).unwrap() - 1 {
            stage.take(seat, &question(0)).waits();
        }
        bad(stage.take(99_999, &question(0)).hears(), ErrorCode::Busy);
    }

    #[test]
    fn a_full_shelf_gives_up_what_ends_first() {
        let mut stage = Stage::new();
        for number in 0..=MAX_KEPT {
            let front = stage.take(1, &format!("{number:064x}"));
            let lease = front.lease();
            // The last one to come is among the first to end; the very first to end has to go.
            let lasts = if number == MAX_KEPT { 2 } else { u64::try_from(number).unwrap() + 1 };
            stage.keep(&front, lease, &format!("ASIA{number}"), lasts);
        }
        let names = stage.names();
        assert_eq!(names.len(), MAX_KEPT);
        assert!(!names.contains(&"ASIA0".to_owned()) && names.contains(&format!("ASIA{MAX_KEPT}")));
    }
}
