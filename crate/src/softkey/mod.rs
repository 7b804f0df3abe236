//! The card's side of YKOATH, as YubiKeys of four generations answer it: the software key, and the card in our tests.
//!
//! No I/O and no clock: a response APDU follows from the command APDU, the state, and an [`Environment`] that
//! stands for the finger and the random number generator. `firmware.rs` is the table of the generations; `device.rs` answers
//! as far as clients ask what the key is; `state.rs` is what a file keeps.
//!
//! Persistent state ([`SoftKey::to_bytes`]) and volatile state (what is selected, validated, still to be sent)
//! are apart: losing power loses the latter only.

mod device;
mod firmware;
mod state;

use core::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

pub use self::firmware::{Firmware, UnknownFirmware};
use self::firmware::{Profile, Tells};
pub use self::state::StateError;
use crate::apdu::{Command, StatusWord};
use crate::management;
use crate::oath::protocol::{ACCESS_KEY_LEN, AID, MAX_ID, MIN_KEY, ins, p2, property, tag};
use crate::oath::{AccessKey, Algorithm, Kind, hmac, truncate};
use crate::secret::Secret;
use crate::tlv::{Reader, TlvError, Writer};

/// Shortest challenge that VALIDATE proves itself on, in bytes.
const MIN_CHALLENGE: usize = 8;

/// What a card has and a program has not.
pub trait Environment {
    /// Waits for the touch that the credential with this id wants; `false` if it never comes.
    fn touch(&mut self, id: &[u8]) -> bool;
    /// Random bytes, good enough for a challenge.
    fn random(&mut self) -> [u8; 8];
}

/// A stored credential.
struct Credential {
    id: Vec<u8>,
    kind: Kind,
    algorithm: Algorithm,
    digits: u8,
    key: Secret,
    property: u8,
    /// HOTP's moving factor.
    counter: u32,
    /// The highest challenge so far, where only increasing ones are answered; without leading zeros.
    last: Vec<u8>,
}

impl Credential {
    fn wants_touch(&self, profile: &Profile) -> bool {
        profile.touch && self.property & property::REQUIRE_TOUCH != 0
    }

    /// Takes a TOTP challenge, if it may be answered, and tells whether that is to be remembered.
    fn accept(&mut self, challenge: &[u8], profile: &Profile) -> Result<bool, StatusWord> {
        if challenge.is_empty() || challenge.len() > profile.challenge {
            return Err(StatusWord::WRONG_DATA);
        }
        if self.property & property::ONLY_INCREASING == 0 {
            return Ok(false);
        }
        let zeros = challenge.iter().take_while(|byte| **byte == 0).count();
        let challenge = challenge.get(zeros..).unwrap_or_default();
        // As numbers: the longer is the higher, and the same again is answered.
        match (challenge.len(), challenge).cmp(&(self.last.len(), self.last.as_slice())) {
            core::cmp::Ordering::Less => Err(StatusWord::SECURITY_STATUS),
            core::cmp::Ordering::Equal => Ok(false),
            core::cmp::Ordering::Greater => {
                self.last = challenge.to_vec();
                Ok(true)
            }
        }
    }

    /// Digits and HMAC, whole or truncated, as they stand in a response.
    fn response(&self, challenge: &[u8], parameter: u8) -> Option<(u8, Zeroizing<Vec<u8>>)> {
        let mac = hmac(self.algorithm, self.key.expose(), challenge);
        match parameter {
            p2::FULL => Some((tag::RESPONSE, mac)),
            p2::TRUNCATED => {
                Some((tag::TRUNCATED_RESPONSE, Zeroizing::new(truncate(&mac).to_be_bytes().to_vec())))
            }
            _ => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Applet {
    Oath,
    Management,
    Otp,
}

/// A software key: an OATH applet and its memory.
pub struct SoftKey {
    // Persistent.
    firmware: Firmware,
    serial: u32,
    salt: [u8; 8],
    access_key: Option<AccessKey>,
    credentials: Vec<Credential>,
    changed: bool,
    // Volatile.
    applet: Option<Applet>,
    challenge: Option<[u8; 8]>,
    validated: bool,
    pending: Zeroizing<Vec<u8>>,
}

type Answer = Result<Writer, StatusWord>;

impl From<TlvError> for StatusWord {
    fn from(_: TlvError) -> Self {
        Self::WRONG_DATA
    }
}

impl SoftKey {
    /// A new, empty key of today's firmware. `salt` is random; it is the device's id until the next reset.
    #[must_use]
    pub fn new(serial: u32, salt: [u8; 8]) -> Self {
        Self::with_firmware(Firmware::default(), serial, salt)
    }

    /// A new, empty key that stands in for one of this firmware.
    #[must_use]
    pub fn with_firmware(firmware: Firmware, serial: u32, salt: [u8; 8]) -> Self {
        Self {
            firmware,
            serial,
            salt,
            access_key: None,
            credentials: Vec::new(),
            changed: false,
            applet: None,
            challenge: None,
            validated: false,
            pending: Zeroizing::default(),
        }
    }

    /// The serial number that the management applet tells.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// What it stands in for.
    #[must_use]
    pub fn firmware(&self) -> Firmware {
        self.firmware
    }

    /// Whether the persistent state has changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }

    /// Power off and on: volatile state is lost.
    pub fn power_cycle(&mut self) {
        self.applet = None;
        self.challenge = None;
        self.validated = false;
        self.pending = Zeroizing::default();
    }

    /// Answers one command APDU with a response APDU.
    #[must_use]
    pub fn transmit(&mut self, command: &[u8], environment: &mut dyn Environment) -> Zeroizing<Vec<u8>> {
        let extended = matches!(command, [_, _, _, _, 0, _, ..]);
        let Ok(command) = Command::parse(command) else {
            return response(&[], StatusWord::WRONG_LENGTH);
        };
        if extended && !self.firmware.profile().extended {
            return response(&[], StatusWord::WRONG_LENGTH);
        }
        if command.cla & 0xFC != 0 {
            return response(&[], StatusWord::INVALID_CLASS);
        }
        let is_select = command.ins == ins::SELECT && command.p1 == 0x04;
        if self.applet == Some(Applet::Oath) && command.ins == ins::SEND_REMAINING {
            return self.send(command.le);
        }
        // Whatever was still to be sent is lost with the next command.
        self.pending = Zeroizing::default();
        let answer = if is_select {
            self.select(command.data, environment)
        } else {
            match self.applet {
                None => Err(StatusWord::INVALID_INSTRUCTION),
                Some(Applet::Management) => device::management(self.firmware, self.serial, &command),
                Some(Applet::Otp) => device::otp(self.firmware, self.serial, &command),
                Some(Applet::Oath) => self.oath(&command, environment),
            }
        };
        match answer {
            Ok(body) => {
                self.pending = Zeroizing::new(body.as_bytes().to_vec());
                self.send(command.le)
            }
            Err(status) => response(&[], status),
        }
    }

    /// Sends what is pending, as much of it as the command takes.
    fn send(&mut self, le: usize) -> Zeroizing<Vec<u8>> {
        let profile = self.firmware.profile();
        // A short command takes a whole block, whatever Le it has or has not: clients send none.
        let block = if profile.extended { le.max(profile.block) } else { profile.block };
        let block = block.min(self.pending.len());
        let rest = Zeroizing::new(self.pending.split_off(block));
        let sent = core::mem::replace(&mut self.pending, rest);
        let status = match self.pending.len() {
            0 => StatusWord::OK,
            // How much more there is; the most that it can say stands for "at least that".
            more => StatusWord(0x6100 | u16::from(u8::try_from(more).unwrap_or(u8::MAX).min(profile.more))),
        };
        response(&sent, status)
    }

    fn select(&mut self, aid: &[u8], environment: &mut dyn Environment) -> Answer {
        self.power_cycle();
        let profile = self.firmware.profile();
        // An AID may be given by its first bytes (ISO 7816-4, 8.2.1.2).
        let names = |applet: &[u8]| aid.len() >= 5 && applet.starts_with(aid);
        if names(&AID) {
            self.applet = Some(Applet::Oath);
            let mut body = Writer::new();
            body.put(tag::VERSION, &[&[profile.oath.0, profile.oath.1, profile.oath.2]])?
                .put(tag::NAME, &[&self.salt])?;
            if self.access_key.is_some() {
                let challenge = environment.random();
                self.challenge = Some(challenge);
                body.put(tag::CHALLENGE, &[&challenge])?.put(tag::ALGORITHM, &[&[Algorithm::Sha1 as u8]])?;
            }
            Ok(body)
        } else if names(&management::AID) {
            self.applet = Some(Applet::Management);
            Ok(device::greeting(self.firmware))
        } else if profile.tells == Tells::ByOtp && names(&management::OTP_AID) {
            self.applet = Some(Applet::Otp);
            Ok(device::otp_status(self.firmware))
        } else {
            Err(StatusWord::NOT_FOUND)
        }
    }

    fn oath(&mut self, command: &Command<'_>, environment: &mut dyn Environment) -> Answer {
        let open = self.access_key.is_none() || self.validated;
        match (command.ins, command.p1, command.p2) {
            (ins::VALIDATE, 0, 0) => self.validate(command.data),
            (ins::RESET, 0xDE, 0xAD) => self.reset(environment),
            (ins::VALIDATE | ins::RESET, _, _) => Err(StatusWord::WRONG_PARAMETERS),
            (ins, _, _) if !open && known(ins) => Err(StatusWord::SECURITY_STATUS),
            (ins::RENAME, _, _) if !self.firmware.profile().rename => Err(StatusWord::INVALID_INSTRUCTION),
            (ins::PUT, 0, 0) => self.put(command.data),
            (ins::DELETE, 0, 0) => self.delete(command.data),
            (ins::SET_CODE, 0, 0) => self.set_code(command.data),
            (ins::RENAME, 0, 0) => self.rename(command.data),
            (ins::LIST, 0, 0) => self.list(),
            (ins::CALCULATE, 0, p2 @ (p2::FULL | p2::TRUNCATED)) => {
                self.calculate(command.data, p2, environment)
            }
            (ins::CALCULATE_ALL, 0, p2 @ (p2::FULL | p2::TRUNCATED)) => self.calculate_all(command.data, p2),
            (ins, _, _) if known(ins) => Err(StatusWord::WRONG_PARAMETERS),
            _ => Err(StatusWord::INVALID_INSTRUCTION),
        }
    }

    fn position(&self, id: &[u8]) -> Option<usize> {
        self.credentials.iter().position(|credential| credential.id == id)
    }

    fn named(&mut self, id: &[u8]) -> Result<&mut Credential, StatusWord> {
        self.credentials.iter_mut().find(|credential| credential.id == id).ok_or(StatusWord::NO_SUCH_OBJECT)
    }

    fn put(&mut self, data: &[u8]) -> Answer {
        let profile = self.firmware.profile();
        let mut reader = Reader::new(data);
        let id = reader.expect(tag::NAME)?;
        if id.is_empty() || id.len() > MAX_ID {
            return Err(StatusWord::WRONG_DATA);
        }
        let (kind, algorithm, digits, key) = match reader.expect(tag::KEY)? {
            [kind, digits @ 5..=8, key @ ..] if (MIN_KEY..=profile.key).contains(&key.len()) => (
                Kind::from_type_byte(*kind).ok_or(StatusWord::WRONG_DATA)?,
                Algorithm::from_type_byte(*kind)
                    .filter(|algorithm| profile.algorithms.contains(algorithm))
                    .ok_or(StatusWord::WRONG_DATA)?,
                *digits,
                Secret::new(key.to_vec()),
            ),
            _ => return Err(StatusWord::WRONG_DATA),
        };
        let mut property = 0;
        if reader.peek_tag() == Some(tag::PROPERTY) {
            reader.byte()?;
            property = reader.byte()?;
        }
        let counter = match reader.optional(tag::INITIAL_MOVING_FACTOR)? {
            Some(bytes) => u32::from_be_bytes(bytes.try_into().map_err(|_| StatusWord::WRONG_DATA)?),
            None => 0,
        };
        if !reader.is_empty() {
            return Err(StatusWord::WRONG_DATA);
        }
        let last = Vec::new();
        let credential =
            Credential { id: id.to_vec(), kind, algorithm, digits, key, property, counter, last };
        let stored = self.credentials.iter().map(|stored| stored.id.len());
        let position = self.position(id);
        profile.capacity.check(stored, id.len(), position.is_some())?;
        match position.and_then(|position| self.credentials.get_mut(position)) {
            Some(stored) => *stored = credential,
            None => self.credentials.push(credential),
        }
        self.changed = true;
        Ok(Writer::new())
    }

    fn delete(&mut self, data: &[u8]) -> Answer {
        let mut reader = Reader::new(data);
        let id = reader.expect(tag::NAME)?;
        let position = self.position(id).ok_or(StatusWord::NO_SUCH_OBJECT)?;
        self.credentials.remove(position);
        self.changed = true;
        Ok(Writer::new())
    }

    fn rename(&mut self, data: &[u8]) -> Answer {
        let mut reader = Reader::new(data);
        let (from, to) = (reader.expect(tag::NAME)?, reader.expect(tag::NAME)?);
        if to.is_empty() || to.len() > MAX_ID {
            return Err(StatusWord::WRONG_DATA);
        }
        if from != to && self.position(to).is_some() {
            return Err(StatusWord::WRONG_DATA);
        }
        self.named(from)?.id = to.to_vec();
        self.changed = true;
        Ok(Writer::new())
    }

    fn set_code(&mut self, data: &[u8]) -> Answer {
        let mut reader = Reader::new(data);
        let key = reader.expect(tag::KEY)?;
        let Some((algorithm, key)) = key.split_first() else {
            self.access_key = None;
            self.validated = false;
            self.changed = true;
            return Ok(Writer::new());
        };
        if Algorithm::from_type_byte(*algorithm) != Some(Algorithm::Sha1) {
            return Err(StatusWord::WRONG_DATA);
        }
        let key: [u8; ACCESS_KEY_LEN] = key.try_into().map_err(|_| StatusWord::WRONG_DATA)?;
        let key = AccessKey::from_bytes(key);
        let challenge = reader.expect(tag::CHALLENGE)?;
        let proof = reader.expect(tag::RESPONSE)?;
        if !bool::from(key.respond(challenge).ct_eq(proof)) {
            return Err(StatusWord::NO_SUCH_OBJECT);
        }
        self.access_key = Some(key);
        // Who sets the password knows it: most firmware leaves it at that.
        self.validated |= self.firmware.profile().set_code_unlocks;
        self.changed = true;
        Ok(Writer::new())
    }

    fn validate(&mut self, data: &[u8]) -> Answer {
        let mut reader = Reader::new(data);
        let proof = reader.expect(tag::RESPONSE)?;
        let host_challenge = reader.expect(tag::CHALLENGE)?;
        let (Some(key), Some(challenge)) = (&self.access_key, &self.challenge) else {
            return Err(StatusWord::NO_SUCH_OBJECT);
        };
        if host_challenge.len() < MIN_CHALLENGE || !bool::from(key.respond(challenge).ct_eq(proof)) {
            return Err(StatusWord::WRONG_DATA);
        }
        let mut body = Writer::new();
        body.put(tag::RESPONSE, &[&key.respond(host_challenge)])?;
        self.validated = true;
        Ok(body)
    }

    fn reset(&mut self, environment: &mut dyn Environment) -> Answer {
        self.credentials.clear();
        self.access_key = None;
        self.validated = false;
        self.challenge = None;
        self.salt = environment.random();
        self.changed = true;
        Ok(Writer::new())
    }

    fn list(&self) -> Answer {
        let mut body = Writer::new();
        for credential in &self.credentials {
            let kind = credential.kind as u8 | credential.algorithm as u8;
            body.put(tag::NAME_LIST, &[&[kind], &credential.id])?;
        }
        Ok(body)
    }

    fn calculate(&mut self, data: &[u8], parameter: u8, environment: &mut dyn Environment) -> Answer {
        let profile = self.firmware.profile();
        let mut reader = Reader::new(data);
        let id = reader.expect(tag::NAME)?;
        let challenge = reader.expect(tag::CHALLENGE)?;
        let credential = self.named(id)?;
        if credential.wants_touch(profile) && !environment.touch(id) {
            return Err(StatusWord::SECURITY_STATUS);
        }
        let (moved, response) = match credential.kind {
            Kind::Totp => (credential.accept(challenge, profile)?, credential.response(challenge, parameter)),
            Kind::Hotp => {
                let counter = u64::from(credential.counter);
                credential.counter = credential.counter.wrapping_add(1);
                (true, credential.response(&counter.to_be_bytes(), parameter))
            }
        };
        let (tag, mac) = response.ok_or(StatusWord::WRONG_PARAMETERS)?;
        let digits = credential.digits;
        self.changed |= moved;
        let mut body = Writer::new();
        body.put(tag, &[&[digits], &mac])?;
        Ok(body)
    }

    fn calculate_all(&mut self, data: &[u8], parameter: u8) -> Answer {
        let profile = self.firmware.profile();
        let mut reader = Reader::new(data);
        let challenge = reader.expect(tag::CHALLENGE)?;
        let mut body = Writer::new();
        for credential in &mut self.credentials {
            body.put(tag::NAME, &[&credential.id])?;
            if credential.kind == Kind::Hotp {
                body.put(tag::NO_RESPONSE, &[&[credential.digits]])?;
            } else if credential.wants_touch(profile) {
                body.put(tag::TOUCH, &[&[credential.digits]])?;
            } else {
                self.changed |= credential.accept(challenge, profile)?;
                let response = credential.response(challenge, parameter);
                let (tag, mac) = response.ok_or(StatusWord::WRONG_PARAMETERS)?;
                body.put(tag, &[&[credential.digits], &mac])?;
            }
        }
        Ok(body)
    }
}

/// Whether an instruction is one that a password protects.
fn known(ins: u8) -> bool {
    matches!(
        ins,
        ins::PUT
            | ins::DELETE
            | ins::SET_CODE
            | ins::RENAME
            | ins::LIST
            | ins::CALCULATE
            | ins::CALCULATE_ALL
    )
}

fn response(data: &[u8], status: StatusWord) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(data.len() + 2));
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(&status.0.to_be_bytes());
    bytes
}

impl fmt::Debug for SoftKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoftKey({}, {} credentials)", self.serial, self.credentials.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::{FormFactor, ReadDeviceInfo};
    use crate::oath::{
        Calculate, CalculateAll, CalculateFull, Calculated, CredentialId, Delete, DigitCount, Exchange, List,
        OathError, Put, Rename, Request, Reset, Session, SetCode, Single, Step, Version,
    };

    struct Finger(bool);

    impl Environment for Finger {
        fn touch(&mut self, _id: &[u8]) -> bool {
            self.0
        }
        fn random(&mut self) -> [u8; 8] {
            [7; 8]
        }
    }

    fn run<E: Exchange>(key: &mut SoftKey, mut exchange: E) -> Result<E::Output, OathError> {
        let mut step = exchange.step(None)?;
        loop {
            match step {
                Step::Done(output) => return Ok(output),
                Step::Transmit(command) => {
                    let response = key.transmit(command.as_bytes(), &mut Finger(true));
                    step = exchange.step(Some(&response))?;
                }
            }
        }
    }

    fn one<R: Request>(key: &mut SoftKey, request: R) -> Result<R::Answer, OathError> {
        run(key, Single::new(request))
    }

    fn id(name: &str) -> CredentialId {
        CredentialId::from_bytes(name.as_bytes()).unwrap()
    }

    fn totp(name: &str, touch: bool) -> Put {
        Put::totp(id(name), Algorithm::Sha1, DigitCount::SIX, b"12345678901234567890", touch)
    }

    fn selected() -> SoftKey {
        let mut key = SoftKey::new(1234, [1, 2, 3, 4, 5, 6, 7, 8]);
        let selected = run(&mut key, Session::select()).unwrap();
        assert_eq!(
            (selected.version, selected.salt.as_slice(), &selected.challenge),
            (Version(5, 7, 1), &[1, 2, 3, 4, 5, 6, 7, 8][..], &None)
        );
        key
    }

    #[test]
    fn stores_lists_calculates_renames_deletes() {
        let mut key = selected();
        one(&mut key, totp("a", false)).unwrap();
        one(&mut key, totp("b", true)).unwrap();
        one(
            &mut key,
            Put::hotp(id("c"), Algorithm::Sha1, DigitCount::SIX, b"12345678901234567890", false, 1),
        )
        .unwrap();
        let names: Vec<_> = one(&mut key, List).unwrap().into_iter().map(|e| (e.id, e.kind)).collect();
        assert_eq!(names, [(id("a"), Kind::Totp), (id("b"), Kind::Totp), (id("c"), Kind::Hotp)]);
        let all = one(&mut key, CalculateAll { challenge: 1 }).unwrap();
        assert!(matches!(&all[0].1, Calculated::Code(t) if t.code() == "287082"));
        assert_eq!((&all[1].1, &all[2].1), (&Calculated::Touch, &Calculated::Hotp));
        let code = |key: &mut SoftKey, name, kind, challenge| {
            one(key, Calculate { id: id(name), kind, challenge }).map(|t| t.code())
        };
        assert_eq!(code(&mut key, "b", Kind::Totp, 1).unwrap(), "287082");
        assert_eq!(code(&mut key, "c", Kind::Hotp, 0).unwrap(), "287082");
        assert_eq!(code(&mut key, "c", Kind::Hotp, 0).unwrap(), "359152");
        assert_eq!(code(&mut key, "x", Kind::Totp, 1), Err(OathError::NoSuchCredential));
        one(&mut key, Rename { from: id("a"), to: id("d") }).unwrap();
        assert!(one(&mut key, Rename { from: id("d"), to: id("b") }).is_err());
        assert_eq!(one(&mut key, Rename { from: id("a"), to: id("e") }), Err(OathError::NoSuchCredential));
        one(&mut key, Delete { id: id("d") }).unwrap();
        assert_eq!(one(&mut key, Delete { id: id("d") }), Err(OathError::NoSuchCredential));
        one(&mut key, Reset).unwrap();
        assert!(one(&mut key, List).unwrap().is_empty());
    }

    #[test]
    fn a_touch_that_never_comes_is_6982() {
        let mut key = selected();
        one(&mut key, totp("b", true)).unwrap();
        let request = Calculate { id: id("b"), kind: Kind::Totp, challenge: 1 };
        let response = key.transmit(request.command().unwrap().as_bytes(), &mut Finger(false));
        assert_eq!(response.as_slice(), [0x69, 0x82]);
    }

    #[test]
    fn the_aws_date_key_is_a_full_response() {
        let mut key = selected();
        let secret = b"AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        one(&mut key, Put::totp(id("i"), Algorithm::Sha256, DigitCount::SIX, secret, true)).unwrap();
        let mac = one(&mut key, CalculateFull { id: id("i"), challenge: b"20150830".to_vec() }).unwrap();
        assert_eq!(mac.expose(), &**hmac(Algorithm::Sha256, secret, b"20150830"));
    }

    #[test]
    fn long_answers_come_in_blocks_and_slots_end() {
        let mut key = selected();
        for i in 0..64 {
            one(&mut key, totp(&format!("{i:064}"), false)).unwrap();
        }
        assert_eq!(one(&mut key, totp("one more", false)), Err(OathError::NoSpace));
        assert_eq!(one(&mut key, totp(&format!("{:064}", 7), false)), Ok(()), "overwriting takes no slot");
        assert_eq!(one(&mut key, List).unwrap().len(), 64);
        assert_eq!(one(&mut key, CalculateAll { challenge: 1 }).unwrap().len(), 64);
        // An extended Le takes it in one.
        let all = key.transmit(&[0, ins::LIST, 0, 0, 0, 0, 0], &mut Finger(true));
        assert_eq!((all.len(), &all[all.len() - 2..]), (64 * 67 + 2, &[0x90, 0][..]));
        // What was not fetched is lost with the next command.
        let first = key.transmit(&[0, ins::LIST, 0, 0, 0], &mut Finger(true));
        assert_eq!(&first[256..], [0x61, 0xFF]);
        one(&mut key, Delete { id: id("none") }).unwrap_err();
        let rest = key.transmit(&[0, ins::SEND_REMAINING, 0, 0, 0], &mut Finger(true));
        assert_eq!(rest.as_slice(), [0x90, 0]);
    }

    #[test]
    fn a_password_locks_everything_but_reset() {
        let mut key = selected();
        one(&mut key, totp("a", false)).unwrap();
        let access = AccessKey::derive("hunter2", &[1, 2, 3, 4, 5, 6, 7, 8]);
        one(&mut key, SetCode::set(access.clone(), [3; 8])).unwrap();
        assert_eq!(one(&mut key, List).unwrap().len(), 1, "who set the password may go on");
        let mut session = Session::new(run(&mut key, Session::select()).unwrap());
        assert!(session.is_locked());
        assert_eq!(one(&mut key, List), Err(OathError::Locked));
        assert_eq!(one(&mut key, totp("b", false)), Err(OathError::Locked));
        let wrong = AccessKey::derive("hunter3", &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(run(&mut key, session.unlock(&wrong, [5; 8])), Err(OathError::WrongPassword));
        assert_eq!(one(&mut key, List), Err(OathError::Locked));
        run(&mut key, session.unlock(&access, [5; 8])).unwrap();
        session.unlocked(access);
        assert_eq!(run(&mut key, session.exchange(List, [5; 8])).unwrap().len(), 1);
        one(&mut key, SetCode::remove()).unwrap();
        assert!(run(&mut key, Session::select()).unwrap().challenge.is_none());
        assert_eq!(one(&mut key, List).unwrap().len(), 1);
    }

    fn of(firmware: Firmware) -> SoftKey {
        let mut key = SoftKey::with_firmware(firmware, 1234, [1, 2, 3, 4, 5, 6, 7, 8]);
        let selected = run(&mut key, Session::select()).unwrap();
        assert_eq!(selected.version, firmware.oath_version());
        key
    }

    /// The status word of a command that is put together by hand.
    fn status(key: &mut SoftKey, command: &[u8]) -> u16 {
        let response = key.transmit(command, &mut Finger(true));
        u16::from_be_bytes(*response.last_chunk().unwrap())
    }

    #[test]
    fn each_firmware_can_what_it_could() {
        /// What renaming, SHA-512, a touch, and a challenge of 65 bytes come to; how many ids of 64 bytes fit.
        #[track_caller]
        fn check(firmware: Firmware, rename: bool, sha512: bool, touch: bool, long: bool, fit: usize) {
            let mut key = of(firmware);
            one(&mut key, totp("a", true)).unwrap();
            let all = one(&mut key, CalculateAll { challenge: 1 }).unwrap();
            assert_eq!(all[0].1 == Calculated::Touch, touch, "{firmware}: touch");
            let unsupported = OathError::Unsupported { ins: ins::RENAME };
            let renamed = one(&mut key, Rename { from: id("a"), to: id("b") });
            assert_eq!(renamed, if rename { Ok(()) } else { Err(unsupported) }, "{firmware}: rename");
            let put = Put::totp(id("c"), Algorithm::Sha512, DigitCount::SIX, &[1; 100], false);
            let refused = OathError::Refused { ins: ins::PUT };
            let stored = one(&mut key, put);
            assert_eq!(stored, if sha512 { Ok(()) } else { Err(refused) }, "{firmware}: SHA-512");
            one(&mut key, totp("d", false)).unwrap();
            let full = |length| CalculateFull { id: id("d"), challenge: vec![1; length] };
            assert!(one(&mut key, full(64)).is_ok());
            assert_eq!(one(&mut key, full(65)).is_ok(), long, "{firmware}: challenge");
            one(&mut key, Reset).unwrap();
            let stored = (0..100).take_while(|n| one(&mut key, totp(&format!("{n:064}"), false)).is_ok());
            assert_eq!(stored.count(), fit, "{firmware}: room");
            assert_eq!(one(&mut key, totp("z", false)), Err(OathError::NoSpace));
            assert_eq!(one(&mut key, CalculateAll { challenge: 1 }).unwrap().len(), fit);
        }
        check(Firmware::Neo, false, false, false, false, 28);
        check(Firmware::V4_3, false, true, true, true, 32);
        check(Firmware::V5_2, false, true, true, true, 32);
        check(Firmware::V5_7, true, true, true, true, 64);
    }

    #[test]
    fn each_firmware_tells_what_it_is() {
        #[track_caller]
        fn check(firmware: Firmware, form: FormFactor, usb: Option<u16>, enabled: bool, nfc: bool) {
            let told = run(&mut of(firmware), ReadDeviceInfo::new()).unwrap().unwrap();
            assert_eq!((told.serial, told.version), (Some(1234), Some(firmware.version())), "{firmware}");
            assert_eq!((told.form_factor, told.usb_supported.map(|c| c.0)), (form, usb), "{firmware}");
            assert_eq!(
                (told.usb_enabled.is_some(), told.nfc_enabled.is_some()),
                (enabled, nfc),
                "{firmware}"
            );
        }
        let unknown = FormFactor::Unknown;
        check(Firmware::Neo, unknown, None, false, false);
        check(Firmware::V4_3, unknown, Some(0x20), false, false);
        check(Firmware::V5_2, FormFactor::UsbAKeychain, Some(0x20), true, true);
        check(Firmware::V5_7, FormFactor::UsbAKeychain, Some(0x20), true, true);
    }

    #[test]
    fn a_neo_sends_254_bytes_a_block_and_takes_no_extended_command() {
        let mut key = of(Firmware::Neo);
        for i in 0..28 {
            one(&mut key, totp(&format!("{i:064}"), false)).unwrap();
        }
        // 28 × 67 bytes; SW2 never says more than a block has.
        let mut lengths = Vec::new();
        let mut response = key.transmit(&[0, ins::LIST, 0, 0, 0], &mut Finger(true));
        loop {
            lengths.push((response.len() - 2, u16::from_be_bytes(*response.last_chunk().unwrap())));
            if !StatusWord(lengths.last().unwrap().1).more_data() {
                break;
            }
            response = key.transmit(&[0, ins::SEND_REMAINING, 0, 0, 0], &mut Finger(true));
        }
        assert_eq!(lengths[..6], [(254, 0x61FE); 6]);
        assert_eq!(lengths[6..], [(254, 0x6162), (98, 0x9000)]);
        assert_eq!(status(&mut key, &[0, ins::LIST, 0, 0, 0, 0, 0]), 0x6700);
        // What yubikit sends to make it let go of an applet.
        assert_eq!(status(&mut key, &[0xA4, 0x04, 0x00, 0x08]), 0x6E00);
    }

    #[test]
    fn a_neo_wants_the_password_that_was_just_set() {
        for firmware in Firmware::ALL {
            let mut key = of(firmware);
            let access = AccessKey::derive("hunter2", &[1, 2, 3, 4, 5, 6, 7, 8]);
            one(&mut key, SetCode::set(access.clone(), [3; 8])).unwrap();
            let open = one(&mut key, List).is_ok();
            assert_eq!(open, firmware != Firmware::Neo, "{firmware}");
            let session = Session::new(run(&mut key, Session::select()).unwrap());
            run(&mut key, session.unlock(&access, [5; 8])).unwrap();
            assert!(one(&mut key, List).unwrap().is_empty());
        }
    }

    #[test]
    fn only_increasing_challenges_are_answered_where_that_was_asked_for() {
        let mut key = of(Firmware::V5_7);
        let put = one(&mut key, totp("b", false));
        assert_eq!(put, Ok(()));
        let mut command = totp("a", false).command().unwrap().as_bytes().to_vec();
        command.pop();
        command[4] += 2;
        command.extend([tag::PROPERTY, property::ONLY_INCREASING]);
        assert_eq!(status(&mut key, &command), 0x9000);
        let at = |key: &mut SoftKey, challenge| {
            one(key, Calculate { id: id("a"), kind: Kind::Totp, challenge }).is_ok()
        };
        assert!(at(&mut key, 0) && at(&mut key, 0x100) && at(&mut key, 0x100));
        assert!(!at(&mut key, 0xFF));
        let mut key = SoftKey::from_bytes(&key.to_bytes().unwrap()).unwrap();
        run(&mut key, Session::select()).unwrap();
        assert!(!at(&mut key, 0xFF), "it survives a loss of power");
        assert!(one(&mut key, CalculateAll { challenge: 1 }).is_err());
        assert!(one(&mut key, CalculateAll { challenge: 0x101 }).is_ok());
        assert!(!at(&mut key, 0x100));
    }

    #[test]
    fn wrong_parameters_and_wrong_data_have_words_of_their_own() {
        let mut key = of(Firmware::V5_7);
        #[track_caller]
        fn check(key: &mut SoftKey, command: &[u8], expected: u16) {
            assert_eq!(status(key, command), expected, "{command:02X?}");
        }
        check(&mut key, &[0, ins::LIST, 1, 0, 0], 0x6B00);
        check(&mut key, &[0, ins::RESET, 0, 0, 0], 0x6B00);
        check(&mut key, &[0, ins::VALIDATE, 1, 0, 0], 0x6B00);
        check(&mut key, &[0, ins::VALIDATE, 0, 0, 4, 0x75, 0, 0x74, 0], 0x6984);
        check(&mut key, &[0, 0x77, 0, 0, 0], 0x6D00);
        check(&mut key, &[0x80, ins::LIST, 0, 0, 0], 0x6E00);
        check(&mut key, &[0, ins::DELETE, 0, 0, 3, 0x71, 1, b'x'], 0x6984);
        check(&mut key, &[0, ins::DELETE, 0, 0, 3, 0x71, 2, b'x'], 0x6A80);
        // A wrong proof of the new password is not the same as a malformed one.
        let mut wrong =
            SetCode::set(AccessKey::derive("p", b"s"), [3; 8]).command().unwrap().as_bytes().to_vec();
        let last = wrong.len() - 2;
        wrong[last] ^= 1;
        check(&mut key, &wrong, 0x6984);
        check(&mut key, &[0, ins::SET_CODE, 0, 0, 3, 0x73, 1, 0x21], 0x6A80);
        check(&mut key, &[0, ins::CALCULATE, 0, 2, 5, 0x71, 1, b'a', 0x74, 0], 0x6B00);
        one(&mut key, totp("a", false)).unwrap();
        check(&mut key, &[0, ins::CALCULATE, 0, 1, 5, 0x71, 1, b'a', 0x74, 0], 0x6A80);
        check(&mut key, &[0, 0xA4, 4, 0, 5, 0xA0, 0, 0, 3, 8], 0x6A82);
        check(&mut key, &[0, ins::LIST, 0, 0, 0], 0x6D00);
    }

    #[test]
    fn the_state_survives_and_broken_states_are_named() {
        let mut key = selected();
        one(&mut key, totp("a", true)).unwrap();
        one(&mut key, Put::hotp(id("c"), Algorithm::Sha512, DigitCount::SIX, &[5; 30], false, 9)).unwrap();
        one(&mut key, SetCode::set(AccessKey::derive("p", b"s"), [3; 8])).unwrap();
        assert!(key.take_changed());
        assert!(!key.take_changed());
        let bytes = key.to_bytes().unwrap();
        let again = SoftKey::from_bytes(&bytes).unwrap();
        assert_eq!(*again.to_bytes().unwrap(), *bytes);
        assert_eq!(again.credentials.len(), 2);
        for n in 0..bytes.len() {
            // Cut anywhere it is broken, or the shorter list of credentials that it says.
            let _ = SoftKey::from_bytes(&bytes[..n]).map(|k| assert!(k.credentials.len() < 2));
        }
        assert_eq!(SoftKey::from_bytes(&[9]).unwrap_err(), StateError::Version(9));
        for firmware in Firmware::ALL {
            let key = SoftKey::from_bytes(&of(firmware).to_bytes().unwrap()).unwrap();
            assert_eq!(key.firmware(), firmware);
        }
        // Firmware that this program has not.
        assert_eq!(SoftKey::from_bytes(&[2, 1, 3, 5, 4, 3]).unwrap_err(), StateError::Field(1));
    }

    #[test]
    fn a_state_of_format_1_is_opened_and_written_as_format_2() {
        let mut old = vec![1, 0x01, 3, 5, 7, 1, 0x02, 4, 0, 0, 4, 0xD2, 0x03, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        old.extend([0x05, 30, 0x11, 1, b'a', 0x12, 3, 0x21, 6, 2, 0x13, 14]);
        old.extend([7; 14]);
        old.extend([0x14, 4, 0, 0, 0, 0]);
        let key = SoftKey::from_bytes(&old).unwrap();
        assert_eq!((key.firmware(), key.serial(), key.credentials.len()), (Firmware::V5_7, 1234, 1));
        old[0] = 2;
        assert_eq!(**key.to_bytes().unwrap(), *old);
    }

    proptest::proptest! {
        #[test]
        fn no_command_panics(firmware in 0_usize..4, commands in proptest::collection::vec(
            (0_usize..12, 0_u8..3, proptest::collection::vec(0_u8.., 0..40)), 0..20)
        ) {
            const INS: [u8; 9] = [1, 2, 3, 4, 5, 0xA1, 0xA2, 0xA3, 0xA5];
            let applets: [&[u8]; 3] = [&AID, &management::AID, &management::OTP_AID];
            let mut key = of(Firmware::ALL[firmware]);
            for (what, p2, data) in commands {
                let mut bytes = match INS.get(what) {
                    Some(ins) => vec![0, *ins, 0, p2, data.len() as u8],
                    None => vec![0, 0xA4, 4, 0, applets[what - INS.len()].len() as u8],
                };
                bytes.extend_from_slice(if what < INS.len() { &data } else { applets[what - INS.len()] });
                proptest::prop_assert!(key.transmit(&bytes, &mut Finger(true)).len() >= 2);
                // What is no command at all.
                proptest::prop_assert!(key.transmit(&data, &mut Finger(true)).len() >= 2);
            }
            // Whatever was done to it, its state can be read.
            let bytes = key.to_bytes().unwrap();
            proptest::prop_assert_eq!(&**SoftKey::from_bytes(&bytes).unwrap().to_bytes().unwrap(), &**bytes);
        }

        #[test]
        fn no_state_panics(mut bytes in proptest::collection::vec(0_u8.., 0..60), format in 0_u8..4) {
            bytes.insert(0, format);
            let _ = SoftKey::from_bytes(&bytes);
        }
    }
}
