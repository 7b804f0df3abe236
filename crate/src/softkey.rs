//! The card's side of YKOATH, as a YubiKey 5.7 answers it: the software key, and the card in our tests.
//!
//! No I/O and no clock: a response APDU follows from the command APDU, the state, and an [`Environment`] that
//! stands for the finger and the random number generator. The management applet answers as far as clients
//! ask it (serial number, version, form factor).
//!
//! Persistent state ([`SoftKey::to_bytes`]) and volatile state (what is selected, validated, still to be sent)
//! are apart: losing power loses the latter only.

use core::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::apdu::{Command, StatusWord};
use crate::management;
use crate::oath::protocol::{ACCESS_KEY_LEN, AID, MAX_ID, MIN_KEY, ins, p2, property, tag};
use crate::oath::{AccessKey, Algorithm, Kind, Version, hmac, truncate};
use crate::secret::Secret;
use crate::tlv::{Reader, TlvError, Writer};

/// Most data bytes of a response block, where the command takes no more.
const BLOCK: usize = 256;
/// Longest key in bytes: the block of SHA-512.
const MAX_KEY: usize = 128;

/// What a card has and a program has not.
pub trait Environment {
    /// Waits for the touch that the credential with this id wants; `false` if it never comes.
    fn touch(&mut self, id: &[u8]) -> bool;
    /// Random bytes, good enough for a challenge.
    fn random(&mut self) -> [u8; 8];
}

/// Why bytes are no state of a software key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Malformed.
    #[error("the software key's state is malformed: {0}")]
    Tlv(#[from] TlvError),
    /// Written by a later version.
    #[error("the software key's state has version {0}, which this program does not know: update it")]
    Version(u8),
    /// A field that cannot be.
    #[error("field {0:02X} of the software key's state is broken")]
    Field(u8),
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
}

impl Credential {
    fn wants_touch(&self) -> bool {
        self.property & property::REQUIRE_TOUCH != 0
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
}

/// A software key: an OATH applet and its memory.
pub struct SoftKey {
    // Persistent.
    version: Version,
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
    /// A new, empty key. `salt` is random; it is the device's id until the next reset.
    #[must_use]
    pub fn new(serial: u32, salt: [u8; 8]) -> Self {
        Self {
            version: Version(5, 7, 1),
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

    /// How many credentials fit.
    #[must_use]
    pub fn slots(&self) -> usize {
        if self.version >= Version(5, 7, 0) { 64 } else { 32 }
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
        let Ok(command) = Command::parse(command) else {
            return response(&[], StatusWord::WRONG_LENGTH);
        };
        if command.cla & 0xFC != 0 {
            return response(&[], StatusWord::INVALID_CLASS);
        }
        let is_select = command.ins == ins::SELECT && command.p1 == 0x04;
        if self.applet == Some(Applet::Oath) && command.ins == ins::SEND_REMAINING && !is_select {
            return self.send(command.le);
        }
        // Whatever was still to be sent is lost with the next command.
        self.pending = Zeroizing::default();
        let answer = if is_select {
            self.select(command.data, environment)
        } else {
            match self.applet {
                None => Err(StatusWord::INVALID_INSTRUCTION),
                Some(Applet::Management) => self.management(&command),
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
        let block = le.max(BLOCK).min(self.pending.len());
        let rest = Zeroizing::new(self.pending.split_off(block));
        let sent = core::mem::replace(&mut self.pending, rest);
        let status = match self.pending.len() {
            0 => StatusWord::OK,
            // How much more there is; FF stands for "at least that".
            more => StatusWord(0x6100 | u16::try_from(more).unwrap_or(0xFF).min(0xFF)),
        };
        response(&sent, status)
    }

    fn select(&mut self, aid: &[u8], environment: &mut dyn Environment) -> Answer {
        self.power_cycle();
        // An AID may be given by its first bytes (ISO 7816-4, 8.2.1.2).
        if aid.len() >= 5 && AID.starts_with(aid) {
            self.applet = Some(Applet::Oath);
            let mut body = Writer::new();
            body.put(tag::VERSION, &[&[self.version.0, self.version.1, self.version.2]])?
                .put(tag::NAME, &[&self.salt])?;
            if self.access_key.is_some() {
                let challenge = environment.random();
                self.challenge = Some(challenge);
                body.put(tag::CHALLENGE, &[&challenge])?.put(tag::ALGORITHM, &[&[Algorithm::Sha1 as u8]])?;
            }
            Ok(body)
        } else if aid.len() >= 5 && management::AID.starts_with(aid) {
            self.applet = Some(Applet::Management);
            let mut body = Writer::new();
            body.raw(alloc::format!("Keyfob software key - FW version {}", self.version).as_bytes());
            Ok(body)
        } else {
            Err(StatusWord::NOT_FOUND)
        }
    }

    /// READ CONFIG: a length byte, then TLVs (Yubico's management applet, as `ykman info` reads it).
    fn management(&self, command: &Command<'_>) -> Answer {
        const USB_SUPPORTED: u8 = 0x01;
        const USB_ENABLED: u8 = 0x03;
        const FORM_FACTOR: u8 = 0x04;
        const VERSION: u8 = 0x05;
        /// OATH in the bit field of capabilities.
        const OATH: [u8; 2] = [0x00, 0x20];
        if command.ins != management::ins::READ_CONFIG {
            return Err(StatusWord::INVALID_INSTRUCTION);
        }
        let mut config = Writer::new();
        config
            .put(USB_SUPPORTED, &[&OATH])?
            .put(management::tag::SERIAL, &[&self.serial.to_be_bytes()])?
            .put(USB_ENABLED, &[&OATH])?
            .put(FORM_FACTOR, &[&[0x01]])?
            .put(VERSION, &[&[self.version.0, self.version.1, self.version.2]])?;
        let length = u8::try_from(config.as_bytes().len()).map_err(|_| StatusWord::WRONG_LENGTH)?;
        let mut body = Writer::new();
        body.raw(&[length]).raw(config.as_bytes());
        Ok(body)
    }

    fn oath(&mut self, command: &Command<'_>, environment: &mut dyn Environment) -> Answer {
        let open = self.access_key.is_none() || self.validated;
        let protected = matches!(
            command.ins,
            ins::PUT
                | ins::DELETE
                | ins::SET_CODE
                | ins::RENAME
                | ins::LIST
                | ins::CALCULATE
                | ins::CALCULATE_ALL
        );
        match (command.ins, command.p1, command.p2) {
            (ins::VALIDATE, _, _) => self.validate(command.data),
            (ins::RESET, 0xDE, 0xAD) => self.reset(environment),
            (ins::RESET, _, _) => Err(StatusWord::WRONG_P1_P2),
            _ if protected && !open => Err(StatusWord::SECURITY_STATUS),
            (ins::PUT, 0, 0) => self.put(command.data),
            (ins::DELETE, 0, 0) => self.delete(command.data),
            (ins::SET_CODE, 0, 0) => self.set_code(command.data),
            (ins::RENAME, 0, 0) => self.rename(command.data),
            (ins::LIST, 0, 0) => self.list(),
            (ins::CALCULATE, 0, p2 @ (p2::FULL | p2::TRUNCATED)) => {
                self.calculate(command.data, p2, environment)
            }
            (ins::CALCULATE_ALL, 0, p2 @ (p2::FULL | p2::TRUNCATED)) => self.calculate_all(command.data, p2),
            _ if protected => Err(StatusWord::WRONG_P1_P2),
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
        let mut reader = Reader::new(data);
        let id = reader.expect(tag::NAME)?;
        if id.is_empty() || id.len() > MAX_ID {
            return Err(StatusWord::WRONG_DATA);
        }
        let (kind, algorithm, digits, key) = match reader.expect(tag::KEY)? {
            [kind, digits @ 5..=8, key @ ..] if (MIN_KEY..=MAX_KEY).contains(&key.len()) => (
                Kind::from_type_byte(*kind).ok_or(StatusWord::WRONG_DATA)?,
                Algorithm::from_type_byte(*kind).ok_or(StatusWord::WRONG_DATA)?,
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
        let credential = Credential { id: id.to_vec(), kind, algorithm, digits, key, property, counter };
        let full = self.credentials.len() >= self.slots();
        match self.credentials.iter_mut().find(|stored| stored.id == credential.id) {
            Some(stored) => *stored = credential,
            None if full => return Err(StatusWord::NO_SPACE),
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
            return Err(StatusWord::WRONG_DATA);
        }
        self.access_key = Some(key);
        // Who sets the password knows it.
        self.validated = true;
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
        if !bool::from(key.respond(challenge).ct_eq(proof)) {
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
        let mut reader = Reader::new(data);
        let id = reader.expect(tag::NAME)?;
        let challenge = reader.expect(tag::CHALLENGE)?;
        let credential = self.named(id)?;
        if credential.wants_touch() && !environment.touch(id) {
            return Err(StatusWord::SECURITY_STATUS);
        }
        let mut moved = false;
        let (tag, mac) = match credential.kind {
            Kind::Totp => credential.response(challenge, parameter),
            Kind::Hotp => {
                let counter = u64::from(credential.counter);
                credential.counter = credential.counter.wrapping_add(1);
                moved = true;
                credential.response(&counter.to_be_bytes(), parameter)
            }
        }
        .ok_or(StatusWord::WRONG_P1_P2)?;
        let digits = credential.digits;
        self.changed |= moved;
        let mut body = Writer::new();
        body.put(tag, &[&[digits], &mac])?;
        Ok(body)
    }

    fn calculate_all(&self, data: &[u8], parameter: u8) -> Answer {
        let mut reader = Reader::new(data);
        let challenge = reader.expect(tag::CHALLENGE)?;
        let mut body = Writer::new();
        for credential in &self.credentials {
            body.put(tag::NAME, &[&credential.id])?;
            if credential.kind == Kind::Hotp {
                body.put(tag::NO_RESPONSE, &[&[credential.digits]])?;
            } else if credential.wants_touch() {
                body.put(tag::TOUCH, &[&[credential.digits]])?;
            } else {
                let (tag, mac) = credential.response(challenge, parameter).ok_or(StatusWord::WRONG_P1_P2)?;
                body.put(tag, &[&[credential.digits], &mac])?;
            }
        }
        Ok(body)
    }
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

/// The persistent state: TLVs, in this order, after one byte of format version.
mod state {
    pub(super) const FORMAT: u8 = 1;
    pub(super) const FIRMWARE: u8 = 0x01;
    pub(super) const SERIAL: u8 = 0x02;
    pub(super) const SALT: u8 = 0x03;
    pub(super) const ACCESS_KEY: u8 = 0x04;
    pub(super) const CREDENTIAL: u8 = 0x05;
    // Inside a credential.
    pub(super) const ID: u8 = 0x11;
    /// Type and algorithm, digits, property.
    pub(super) const SETTINGS: u8 = 0x12;
    pub(super) const KEY: u8 = 0x13;
    pub(super) const COUNTER: u8 = 0x14;
}

impl SoftKey {
    /// The persistent state, secrets included: to be encrypted by whoever stores it.
    ///
    /// # Errors
    /// [`StateError::Tlv`] is impossible in practice: every field is far below its limit.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, StateError> {
        let mut out = Writer::new();
        out.raw(&[state::FORMAT])
            .put(state::FIRMWARE, &[&[self.version.0, self.version.1, self.version.2]])?
            .put(state::SERIAL, &[&self.serial.to_be_bytes()])?
            .put(state::SALT, &[&self.salt])?;
        if let Some(key) = &self.access_key {
            out.put(state::ACCESS_KEY, &[key.expose()])?;
        }
        for credential in &self.credentials {
            let kind = credential.kind as u8 | credential.algorithm as u8;
            let mut inner = Writer::new();
            inner
                .put(state::ID, &[&credential.id])?
                .put(state::SETTINGS, &[&[kind, credential.digits, credential.property]])?
                .put(state::KEY, &[credential.key.expose()])?
                .put(state::COUNTER, &[&credential.counter.to_be_bytes()])?;
            out.put(state::CREDENTIAL, &[inner.as_bytes()])?;
        }
        Ok(Zeroizing::new(out.as_bytes().to_vec()))
    }

    /// Takes over a persistent state that another process wrote meanwhile; keeps the volatile one.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn reload(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        let mut fresh = Self::from_bytes(bytes)?;
        (fresh.applet, fresh.challenge, fresh.validated) = (self.applet, self.challenge, self.validated);
        fresh.pending = core::mem::take(&mut self.pending);
        *self = fresh;
        Ok(())
    }

    /// Reads what [`SoftKey::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        fn array<const N: usize>(tag: u8, value: &[u8]) -> Result<[u8; N], StateError> {
            value.try_into().map_err(|_| StateError::Field(tag))
        }
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            state::FORMAT => {}
            other => return Err(StateError::Version(other)),
        }
        let [major, minor, patch] = array(state::FIRMWARE, reader.expect(state::FIRMWARE)?)?;
        let serial = u32::from_be_bytes(array(state::SERIAL, reader.expect(state::SERIAL)?)?);
        let mut key = Self::new(serial, array(state::SALT, reader.expect(state::SALT)?)?);
        key.version = Version(major, minor, patch);
        if let Some(bytes) = reader.optional(state::ACCESS_KEY)? {
            key.access_key = Some(AccessKey::from_bytes(array(state::ACCESS_KEY, bytes)?));
        }
        while !reader.is_empty() {
            let mut inner = Reader::new(reader.expect(state::CREDENTIAL)?);
            let id = inner.expect(state::ID)?.to_vec();
            let [kind, digits, property] = array(state::SETTINGS, inner.expect(state::SETTINGS)?)?;
            let secret = Secret::new(inner.expect(state::KEY)?.to_vec());
            let counter = u32::from_be_bytes(array(state::COUNTER, inner.expect(state::COUNTER)?)?);
            key.credentials.push(Credential {
                id,
                kind: Kind::from_type_byte(kind).ok_or(StateError::Field(state::SETTINGS))?,
                algorithm: Algorithm::from_type_byte(kind).ok_or(StateError::Field(state::SETTINGS))?,
                digits,
                key: secret,
                property,
                counter,
            });
        }
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oath::{
        Calculate, CalculateAll, CalculateFull, Calculated, CredentialId, Delete, DigitCount, Exchange, List,
        OathError, Put, Rename, Request, Reset, Session, SetCode, Single, Step,
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
    }

    proptest::proptest! {
        #[test]
        fn no_command_panics(commands in proptest::collection::vec(
            (0_u8..=7, proptest::collection::vec(0_u8.., 0..40)), 0..20)
        ) {
            let mut key = selected();
            for (ins, data) in commands {
                let mut bytes = vec![0, if ins == 0 { 0xA1 } else { ins }, 0, 0, data.len() as u8];
                bytes.extend(data);
                proptest::prop_assert!(key.transmit(&bytes, &mut Finger(true)).len() >= 2);
            }
        }
    }
}
