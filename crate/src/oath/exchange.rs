//! The conversation: continuation blocks, the password proved again where it must be, status words explained.

use alloc::boxed::Box;

use zeroize::Zeroizing;

use super::protocol::{CLA, ins};
use super::request::{AccessKey, Request, Select, Selected, Validate, Version};
use super::{Feature, OathError};
use crate::apdu::{CommandApdu, ResponseApdu, StatusWord};

/// Most bytes of one answer: 64 credentials take under 6 KiB.
const MAX_ANSWER: usize = 64 * 1024;
/// Most continuation blocks of one answer.
const MAX_BLOCKS: usize = 1024;

/// What an exchange wants next.
#[derive(Debug)]
pub enum Step<T> {
    /// Send this to the card and come back with its response.
    Transmit(CommandApdu),
    /// The end.
    Done(T),
}

/// One conversation with a card.
pub trait Exchange {
    /// What comes of it.
    type Output;

    /// Starts (`None`) or goes on with the card's response, status word included.
    ///
    /// # Errors
    /// [`OathError`]; the exchange is over then, and the applet must be selected again.
    fn step(&mut self, response: Option<&[u8]>) -> Result<Step<Self::Output>, OathError>;
}

/// One command, its answer drained over as many blocks as it has.
///
/// The status word is handed on as it is: what it means depends on the session.
#[derive(Default)]
struct Chain {
    body: Zeroizing<Vec<u8>>,
    blocks: usize,
}

enum Drained {
    More(CommandApdu),
    End(StatusWord),
}

impl Chain {
    fn receive(&mut self, response: &[u8]) -> Result<Drained, OathError> {
        let response = ResponseApdu::parse(response)?;
        if self.body.len() + response.data.len() > MAX_ANSWER || self.blocks >= MAX_BLOCKS {
            return Err(OathError::Endless);
        }
        self.body.extend_from_slice(response.data);
        if !response.status.more_data() {
            return Ok(Drained::End(response.status));
        }
        if response.data.is_empty() {
            return Err(OathError::EmptyContinuation);
        }
        self.blocks += 1;
        Ok(Drained::More(CommandApdu::new(CLA, ins::SEND_REMAINING, 0, 0, &[])?))
    }
}

/// One request to the applet, whatever the state of the session: SELECT and VALIDATE themselves.
pub struct Single<R> {
    request: R,
    chain: Chain,
    /// Whether the session has a password that was not proved.
    locked: bool,
}

impl<R: Request> Single<R> {
    /// An exchange of one request, in a session that wants no password.
    pub fn new(request: R) -> Self {
        Self { request, chain: Chain::default(), locked: false }
    }
}

impl<R: Request> Exchange for Single<R> {
    type Output = R::Answer;

    fn step(&mut self, response: Option<&[u8]>) -> Result<Step<R::Answer>, OathError> {
        let Some(response) = response else {
            self.chain = Chain::default();
            return Ok(Step::Transmit(self.request.command()?));
        };
        match self.chain.receive(response)? {
            Drained::More(next) => Ok(Step::Transmit(next)),
            Drained::End(StatusWord::OK) => Ok(Step::Done(self.request.parse(&self.chain.body)?)),
            Drained::End(status) => Err(self.request.refusal(status, self.locked)),
        }
    }
}

/// An applet that was selected, and the password that was proved to it.
pub struct Session {
    selected: Selected,
    access_key: Option<AccessKey>,
}

impl Session {
    /// SELECT: the exchange that every session starts with.
    #[must_use]
    pub fn select() -> Single<Select> {
        Single::new(Select)
    }

    /// The session after SELECT.
    #[must_use]
    pub fn new(selected: Selected) -> Self {
        Self { selected, access_key: None }
    }

    /// What SELECT said.
    #[must_use]
    pub fn selected(&self) -> &Selected {
        &self.selected
    }

    /// Whether a password has to be proved first.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.selected.challenge.is_some() && self.access_key.is_none()
    }

    /// VALIDATE: proves `key` to the card and has the card prove it back. `host_challenge` is random.
    ///
    /// The session counts as unlocked once it is done; see [`Session::unlocked`].
    #[must_use]
    pub fn unlock(&self, key: &AccessKey, host_challenge: [u8; 8]) -> Single<Validate> {
        let challenge = self.selected.challenge.clone().unwrap_or_default();
        Single::new(Validate::new(key, &challenge, host_challenge))
    }

    /// Remembers the password key that [`Session::unlock`] has proved.
    pub fn unlocked(&mut self, key: AccessKey) {
        self.access_key = Some(key);
    }

    /// One request in this session. `host_challenge` is random, for applets that want the password proved
    /// before every command.
    pub fn exchange<R: Request>(
        &self,
        request: R,
        host_challenge: [u8; 8],
    ) -> impl Exchange<Output = R::Answer> + use<R> {
        InSession {
            version: self.selected.version,
            single: Single { request, chain: Chain::default(), locked: self.is_locked() },
            revalidate: self.access_key.clone().map(|key| (key, host_challenge)),
            phase: Phase::Request,
        }
    }
}

enum Phase {
    Request,
    Select(Box<Single<Select>>),
    Validate(Box<Single<Validate>>),
}

/// A request, repeated once after SELECT and VALIDATE if the applet has forgotten the password.
///
/// oath-authenticator answers `6985` to every command but the first after VALIDATE. `6982` is *not* a reason
/// to repeat: in an unlocked session it is a touch that never came, and a touch is never asked for twice.
struct InSession<R> {
    version: Version,
    single: Single<R>,
    revalidate: Option<(AccessKey, [u8; 8])>,
    phase: Phase,
}

impl<R: Request> Exchange for InSession<R> {
    type Output = R::Answer;

    fn step(&mut self, response: Option<&[u8]>) -> Result<Step<R::Answer>, OathError> {
        match &mut self.phase {
            Phase::Request => {
                let forgotten = response
                    .and_then(|bytes| ResponseApdu::parse(bytes).ok())
                    .is_some_and(|r| r.status == StatusWord::CONDITIONS_NOT_SATISFIED);
                if !forgotten || self.revalidate.is_none() {
                    return self.request(response);
                }
                let mut select = Session::select();
                let step = transmit(select.step(None)?);
                self.phase = Phase::Select(Box::new(select));
                step
            }
            Phase::Select(select) => match select.step(response)? {
                Step::Transmit(next) => Ok(Step::Transmit(next)),
                Step::Done(selected) => {
                    // Taken, so that there is no second repetition.
                    let (key, host_challenge) = self.revalidate.take().ok_or(OathError::OutOfOrder)?;
                    let Some(challenge) = selected.challenge else { return self.again() };
                    let mut validate = Single::new(Validate::new(&key, &challenge, host_challenge));
                    let step = transmit(validate.step(None)?);
                    self.phase = Phase::Validate(Box::new(validate));
                    step
                }
            },
            Phase::Validate(validate) => match validate.step(response)? {
                Step::Transmit(next) => Ok(Step::Transmit(next)),
                Step::Done(()) => self.again(),
            },
        }
    }
}

impl<R: Request> InSession<R> {
    fn again(&mut self) -> Result<Step<R::Answer>, OathError> {
        self.phase = Phase::Request;
        self.single.step(None)
    }

    /// The request itself. What an old applet would refuse is asked of it all the same, for other makes count their versions
    /// otherwise; but a touch it would silently leave out.
    fn request(&mut self, response: Option<&[u8]>) -> Result<Step<R::Answer>, OathError> {
        let lacks = |feature: Feature| self.single.request.needs(feature) && self.version < feature.since();
        if response.is_none() && lacks(Feature::Touch) {
            return Err(OathError::Lacks { feature: Feature::Touch, version: self.version });
        }
        let missing = Feature::ALL.iter().find(|feature| lacks(**feature)).copied();
        match (self.single.step(response), missing) {
            (Err(OathError::Refused { .. } | OathError::Unsupported { .. }), Some(feature)) => {
                Err(OathError::Lacks { feature, version: self.version })
            }
            (step, _) => step,
        }
    }
}

/// The first step of an exchange is always a command.
fn transmit<T, U>(step: Step<T>) -> Result<Step<U>, OathError> {
    match step {
        Step::Transmit(command) => Ok(Step::Transmit(command)),
        Step::Done(_) => Err(OathError::OutOfOrder),
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::{Calculate, List, Put, Rename};
    use super::super::{Algorithm, CredentialId, DigitCount, Kind};
    use super::*;

    /// Runs an exchange against scripted responses and returns what was transmitted (INS bytes) and the end.
    fn run<E: Exchange>(mut exchange: E, responses: &[&[u8]]) -> (Vec<u8>, Result<E::Output, OathError>) {
        let mut sent = Vec::new();
        let mut responses = responses.iter();
        let mut step = exchange.step(None);
        loop {
            match step {
                Err(error) => return (sent, Err(error)),
                Ok(Step::Done(output)) => return (sent, Ok(output)),
                Ok(Step::Transmit(command)) => {
                    sent.push(command.as_bytes()[1]);
                    match responses.next() {
                        Some(response) => step = exchange.step(Some(response)),
                        None => return (sent, Err(OathError::OutOfOrder)),
                    }
                }
            }
        }
    }

    #[test]
    fn answers_cut_inside_a_tlv_are_joined() {
        let (sent, list) =
            run(Single::new(List), &[&[0x72, 3, 0x21, 0x61, 0x02], &[b'a', 0x61, 0x01], &[b'b', 0x90, 0]]);
        assert_eq!(sent, [ins::LIST, ins::SEND_REMAINING, ins::SEND_REMAINING]);
        assert_eq!(list.unwrap()[0].id.as_bytes(), b"ab");
    }

    #[test]
    fn answers_without_end_are_refused() {
        let (_, end) = run(Single::new(List), &[&[0x61, 0xFF]]);
        assert_eq!(end.unwrap_err(), OathError::EmptyContinuation);
        let (sent, end) = run(Single::new(List), &[&[0x72, 0x61, 0xFF][..]; 2000]);
        assert_eq!(end.unwrap_err(), OathError::Endless);
        assert_eq!(sent.len(), MAX_BLOCKS + 1);
        let (_, end) = run(Single::new(List), &[&[[0; 65_537].as_slice(), &[0x90, 0]].concat()]);
        assert_eq!(end.unwrap_err(), OathError::Endless);
    }

    #[test]
    fn status_words_mean_what_the_session_makes_of_them() {
        let id = CredentialId::from_bytes(b"x").unwrap();
        let calculate = || Calculate { id: id.clone(), kind: Kind::Totp, challenge: 1 };
        let selected = Selected::parse_for_tests(true);
        let mut session = Session::new(selected);
        assert!(session.is_locked());
        let (_, end) = run(session.exchange(calculate(), [0; 8]), &[&[0x69, 0x82]]);
        assert_eq!(end.unwrap_err(), OathError::Locked);
        session.unlocked(AccessKey::derive("p", &[0; 8]));
        let (sent, end) = run(session.exchange(calculate(), [0; 8]), &[&[0x69, 0x82]]);
        assert_eq!((sent, end.unwrap_err()), (vec![ins::CALCULATE], OathError::TouchTimeout));
    }

    #[test]
    fn an_applet_that_forgets_the_password_is_told_again_once() {
        let mut session = Session::new(Selected::parse_for_tests(true));
        let key = AccessKey::derive("p", &[0; 8]);
        session.unlocked(key.clone());
        let proof = [&[0x75, 20], key.respond(&[9; 8]).as_slice(), &[0x90, 0]].concat();
        let select = Selected::bytes_for_tests(true);
        let (sent, end) = run(session.exchange(List, [9; 8]), &[&[0x69, 0x85], &select, &proof, &[0x90, 0]]);
        assert_eq!(sent, [ins::LIST, ins::SELECT, ins::VALIDATE, ins::LIST]);
        assert!(end.unwrap().is_empty());
        let (_, end) = run(session.exchange(List, [9; 8]), &[&[0x69, 0x85], &select, &proof, &[0x69, 0x85]]);
        assert!(end.is_err());
    }

    #[test]
    fn what_an_old_applet_lacks_is_named() {
        /// `sent`: how many commands the card sees.
        #[track_caller]
        fn check(
            version: Version,
            request: impl Request<Answer = ()>,
            status: [u8; 2],
            sent: usize,
            says: OathError,
        ) {
            let session = Session::new(Selected { version, ..Selected::parse_for_tests(false) });
            let (commands, end) = run(session.exchange(request, [0; 8]), &[&status]);
            assert_eq!((commands.len(), end.unwrap_err()), (sent, says));
        }
        let id = |name: &str| CredentialId::from_bytes(name.as_bytes()).unwrap();
        let put =
            |algorithm, touch| Put::totp(id("x"), algorithm, DigitCount::new(6).unwrap(), &[1; 20], touch);
        let rename = || Rename { from: id("x"), to: id("y") };
        let lacks = |feature, version| OathError::Lacks { feature, version };
        let (neo, v4, v5) = (Version(1, 0, 2), Version(4, 2, 6), Version(5, 7, 1));
        let (refused, unknown) = ([0x6A, 0x80], [0x6D, 0]);
        // An applet would say 9000 and forget the touch: it is not asked.
        check(neo, put(Algorithm::Sha1, true), [0x90, 0], 0, lacks(Feature::Touch, neo));
        check(
            Version(4, 2, 3),
            put(Algorithm::Sha1, true),
            [0x90, 0],
            0,
            lacks(Feature::Touch, Version(4, 2, 3)),
        );
        check(v4, put(Algorithm::Sha512, true), refused, 1, lacks(Feature::Sha512, v4));
        check(neo, rename(), unknown, 1, lacks(Feature::Rename, neo));
        check(Version(5, 3, 0), rename(), refused, 1, lacks(Feature::Rename, Version(5, 3, 0)));
        // Where the version promises it, it is something else.
        check(v5, rename(), unknown, 1, OathError::Unsupported { ins: ins::RENAME });
        check(v5, put(Algorithm::Sha512, false), refused, 1, OathError::Refused { ins: ins::PUT });
        check(neo, put(Algorithm::Sha1, false), refused, 1, OathError::Refused { ins: ins::PUT });
        check(neo, rename(), [0x69, 0x84], 1, OathError::NoSuchCredential);
    }
}
