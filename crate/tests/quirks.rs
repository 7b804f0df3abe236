//! Four OATH applets as they were observed over PC/SC, each with its own ways, and what the client makes of each.
//!
//! ykneo-oath 1.0.2 is the software key's own NEO; the other three are a software key behind the row of [`Ways`] that says
//! what they do otherwise. Where nothing was observed they do as a YubiKey does, and nothing is asserted.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use keyfob_core::apdu::{Command, MAX_DATA, StatusWord};
use keyfob_core::oath::protocol::{AID, ins, p2, tag};
use keyfob_core::oath::{
    AccessKey, Algorithm, Calculate, CalculateAll, CalculateFull, Calculated, CredentialId, Delete,
    DigitCount, Exchange, Feature, Kind, List, OathError, Put, Rename, Request, Reset, Session, SetCode,
    Step, Version, hmac,
};
use keyfob_core::softkey::{Environment, Firmware, SoftKey};
use keyfob_core::tlv::{Reader, Writer};

/// RFC 6238's secret, as its appendix B makes it longer for each hash; the codes below are its too.
const SECRET: &[u8] = b"1234567890123456789012345678901234567890123456789012345678901234";
const SALT: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
/// What a card says that no document names, to what it fails at.
const UNSPECIFIED: StatusWord = StatusWord(0x6F00);

const NEO: Version = Version(1, 0, 2);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Chain {
    /// As many whole TLVs as fit; `61FF` however much there is.
    WholeTlvs,
    /// All at once.
    None,
    /// As the software key does.
    Yubico,
}

/// What an applet does otherwise than a YubiKey of today.
#[derive(Clone, Copy)]
struct Ways {
    version: Version,
    /// PUT takes it, CALCULATE fails.
    sha512: bool,
    /// Whether CALCULATE ALL shows the touch property.
    touch: bool,
    rename: bool,
    /// What RENAME and PUT say to a name that is there already; without one they overwrite.
    rename_onto: Option<StatusWord>,
    put_onto: Option<StatusWord>,
    full_response: bool,
    /// Whether HOTP in CALCULATE ALL comes with its digits.
    hotp_digits: bool,
    chain: Chain,
    locked: StatusWord,
    /// Whether VALIDATE opens the applet for one command only.
    validate_once: bool,
    /// Longest challenge in bytes.
    challenge: usize,
    unknown_calculate: StatusWord,
    unknown_delete: StatusWord,
    reset: bool,
    /// Whether RESET makes a new salt.
    new_salt: bool,
}

const CANOKEY: Ways = Ways {
    version: Version(6, 0, 0),
    sha512: true,
    touch: true,
    rename: true,
    rename_onto: Some(StatusWord::CONDITIONS_NOT_SATISFIED),
    put_onto: Some(StatusWord::CONDITIONS_NOT_SATISFIED),
    full_response: true,
    hotp_digits: true,
    chain: Chain::WholeTlvs,
    locked: StatusWord::SECURITY_STATUS,
    validate_once: false,
    challenge: 8,
    unknown_calculate: StatusWord::NO_SUCH_OBJECT,
    unknown_delete: StatusWord::NO_SUCH_OBJECT,
    reset: false,
    new_salt: true,
};

const OATH_AUTHENTICATOR: Ways = Ways {
    version: Version(4, 4, 4),
    sha512: false,
    touch: false,
    rename: false,
    rename_onto: None,
    put_onto: None,
    full_response: false,
    hotp_digits: false,
    chain: Chain::Yubico,
    locked: StatusWord::CONDITIONS_NOT_SATISFIED,
    validate_once: true,
    challenge: MAX_DATA,
    unknown_calculate: StatusWord::NOT_FOUND,
    unknown_delete: StatusWord::OK,
    reset: true,
    new_salt: true,
};

const PICO_FIDO: Ways = Ways {
    version: Version(8, 0, 0),
    rename_onto: None,
    put_onto: None,
    touch: false,
    chain: Chain::None,
    challenge: MAX_DATA,
    reset: true,
    new_salt: false,
    ..CANOKEY
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Applet {
    YkneoOath,
    CanoKey,
    OathAuthenticator,
    PicoFido,
}

use Applet::{CanoKey, OathAuthenticator, PicoFido, YkneoOath};

impl Applet {
    const ALL: [Self; 4] = [YkneoOath, CanoKey, OathAuthenticator, PicoFido];

    fn ways(self) -> Option<Ways> {
        match self {
            YkneoOath => None,
            CanoKey => Some(CANOKEY),
            OathAuthenticator => Some(OATH_AUTHENTICATOR),
            PicoFido => Some(PICO_FIDO),
        }
    }
}

struct Finger;

impl Environment for Finger {
    fn touch(&mut self, _id: &[u8]) -> bool {
        true
    }
    fn random(&mut self) -> [u8; 8] {
        [7; 8]
    }
}

/// An applet of one of the makes.
struct Card {
    ways: Option<Ways>,
    key: SoftKey,
    sha512: Vec<Vec<u8>>,
    password: bool,
    /// Whether the next command is the one that VALIDATE has opened the applet for.
    opened: bool,
    rest: Vec<u8>,
    /// All commands seen, and the blocks answered: how long each was, and its status word.
    commands: Vec<Vec<u8>>,
    blocks: Vec<(usize, StatusWord)>,
}

impl Card {
    fn new(applet: Applet) -> Self {
        let ways = applet.ways();
        let firmware = if ways.is_some() { Firmware::V5_7 } else { Firmware::Neo };
        Self {
            ways,
            key: SoftKey::with_firmware(firmware, 1, SALT),
            sha512: Vec::new(),
            password: false,
            opened: false,
            rest: Vec::new(),
            commands: Vec::new(),
            blocks: Vec::new(),
        }
    }

    fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        self.commands.push(command.to_vec());
        let response = match self.ways {
            None => self.key.transmit(command, &mut Finger).to_vec(),
            Some(ways) => self.answer(ways, command),
        };
        let (body, status) = split(&response);
        self.blocks.push((body.len(), status));
        response
    }

    /// How often the instruction came.
    fn seen(&self, ins: u8) -> usize {
        self.commands
            .iter()
            .filter(|command| command[1] == ins && (ins != ins::SELECT || command[2] == 4))
            .count()
    }

    /// Whole answer of the software key behind: an extended Le takes it in one block.
    fn ask(&mut self, ins: u8, p1: u8, p2: u8, data: &[u8]) -> (Vec<u8>, StatusWord) {
        let mut command = vec![0, ins, p1, p2, 0];
        if !data.is_empty() {
            command.extend((data.len() as u16).to_be_bytes());
            command.extend(data);
        }
        command.extend([0, 0]);
        let response = self.key.transmit(&command, &mut Finger);
        let (body, status) = split(&response);
        (body.to_vec(), status)
    }

    fn has(&mut self, id: &[u8]) -> bool {
        let (list, _) = self.ask(ins::LIST, 0, 0, &[]);
        tlvs(&list).iter().any(|(_, value)| value[1..] == *id)
    }

    fn answer(&mut self, ways: Ways, command: &[u8]) -> Vec<u8> {
        let command = Command::parse(command).unwrap();
        if command.ins == ins::SEND_REMAINING {
            return self.send(ways);
        }
        self.rest.clear();
        let (body, status) = self.carry_out(ways, &command);
        if status != StatusWord::OK {
            return status.0.to_be_bytes().to_vec();
        }
        self.rest = body;
        self.send(ways)
    }

    fn send(&mut self, ways: Ways) -> Vec<u8> {
        let fits = match ways.chain {
            Chain::None => self.rest.len(),
            Chain::Yubico => self.rest.len().min(256),
            Chain::WholeTlvs => {
                let ends = tlvs(&self.rest).into_iter().scan(0, |end, (_, value)| {
                    *end += 2 + value.len();
                    Some(*end)
                });
                ends.take_while(|end| *end <= 256).last().unwrap_or(0)
            }
        };
        let rest = self.rest.split_off(fits);
        let mut response = std::mem::replace(&mut self.rest, rest);
        response.extend(if self.rest.is_empty() { [0x90, 0] } else { [0x61, 0xFF] });
        response
    }

    fn carry_out(&mut self, ways: Ways, command: &Command<'_>) -> (Vec<u8>, StatusWord) {
        let refuse = |status| (Vec::new(), status);
        let selects = command.ins == ins::SELECT && command.p1 == 0x04;
        if selects {
            if command.data != AID {
                return refuse(StatusWord::NOT_FOUND);
            }
            self.opened = false;
        } else if !matches!(command.ins, ins::VALIDATE | ins::RESET) && self.password && ways.validate_once {
            // The command that this was for.
            if !std::mem::take(&mut self.opened) {
                return refuse(ways.locked);
            }
        }
        let mut reader = Reader::new(command.data);
        let id = reader.optional(tag::NAME).unwrap().unwrap_or_default().to_vec();
        let mut data = command.data.to_vec();
        match command.ins {
            ins::PUT => {
                if let Some(status) = ways.put_onto.filter(|_| self.has(&id)) {
                    return refuse(status);
                }
                let key = reader.expect(tag::KEY).unwrap();
                if !ways.sha512 && Algorithm::from_type_byte(key[0]) == Some(Algorithm::Sha512) {
                    self.sha512.push(id);
                }
                if !ways.touch && reader.peek_tag() == Some(tag::PROPERTY) {
                    let property = data.len() - reader.remaining() + 1;
                    data[property] = 0;
                }
            }
            ins::RENAME if !ways.rename => return refuse(StatusWord::INVALID_INSTRUCTION),
            ins::RENAME => {
                let to = reader.expect(tag::NAME).unwrap();
                if self.has(to) {
                    if let Some(status) = ways.rename_onto {
                        return refuse(status);
                    }
                    let mut target = Writer::new();
                    target.put(tag::NAME, &[to]).unwrap();
                    self.ask(ins::DELETE, 0, 0, target.as_bytes());
                }
            }
            ins::CALCULATE => {
                if command.p2 == p2::FULL && !ways.full_response {
                    return refuse(StatusWord::INVALID_INSTRUCTION);
                }
                if self.sha512.contains(&id) {
                    return refuse(UNSPECIFIED);
                }
                if reader.expect(tag::CHALLENGE).unwrap().len() > ways.challenge {
                    return refuse(StatusWord::WRONG_DATA);
                }
            }
            ins::RESET if !ways.reset => return refuse(StatusWord::INVALID_INSTRUCTION),
            _ => {}
        }
        let (mut body, mut status) = self.ask(command.ins, command.p1, command.p2, &data);
        match (command.ins, status) {
            (ins::SELECT, StatusWord::OK) if selects => {
                body[2..5].copy_from_slice(&[ways.version.0, ways.version.1, ways.version.2]);
            }
            (ins::VALIDATE, StatusWord::OK) => self.opened = true,
            (ins::SET_CODE, StatusWord::OK) => self.password = data != [tag::KEY, 0],
            (ins::RESET, StatusWord::OK) => {
                self.password = false;
                if !ways.new_salt {
                    self.key = SoftKey::new(1, SALT);
                }
            }
            (ins::CALCULATE_ALL, StatusWord::OK) if !ways.hotp_digits => {
                let mut shorter = Writer::new();
                for (tag, value) in tlvs(&body) {
                    let value = if tag == tag::NO_RESPONSE { Vec::new() } else { value };
                    shorter.put(tag, &[&value]).unwrap();
                }
                body = shorter.as_bytes().to_vec();
            }
            (ins::CALCULATE, StatusWord::NO_SUCH_OBJECT) => status = ways.unknown_calculate,
            (ins::DELETE, StatusWord::NO_SUCH_OBJECT) => status = ways.unknown_delete,
            // No touch is left out here.
            (_, StatusWord::SECURITY_STATUS) => status = ways.locked,
            _ => {}
        }
        (body, status)
    }
}

fn split(response: &[u8]) -> (&[u8], StatusWord) {
    let (body, status) = response.split_last_chunk().unwrap();
    (body, StatusWord(u16::from_be_bytes(*status)))
}

fn tlvs(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut reader, mut all) = (Reader::new(bytes), Vec::new());
    while !reader.is_empty() {
        let (tag, value) = reader.next().unwrap();
        all.push((tag, value.to_vec()));
    }
    all
}

/// The client, and the card it talks to.
struct Client {
    card: Card,
    session: Session,
}

fn run<E: Exchange>(card: &mut Card, mut exchange: E) -> Result<E::Output, OathError> {
    let mut step = exchange.step(None)?;
    loop {
        match step {
            Step::Done(output) => return Ok(output),
            Step::Transmit(command) => step = exchange.step(Some(&card.transmit(command.as_bytes())))?,
        }
    }
}

impl Client {
    fn of(applet: Applet) -> Self {
        let mut card = Card::new(applet);
        let session = Session::new(run(&mut card, Session::select()).unwrap());
        Self { card, session }
    }

    fn select(&mut self) {
        self.session = Session::new(run(&mut self.card, Session::select()).unwrap());
    }

    fn call<R: Request>(&mut self, request: R) -> Result<R::Answer, OathError> {
        run(&mut self.card, self.session.exchange(request, [9; 8]))
    }

    fn unlock(&mut self, password: &str) -> Result<(), OathError> {
        let key = AccessKey::derive(password, &SALT);
        run(&mut self.card, self.session.unlock(&key, [9; 8]))?;
        self.session.unlocked(key);
        Ok(())
    }

    /// The code of RFC 6238 for 59 s.
    fn code(&mut self, name: &str) -> Result<String, OathError> {
        self.call(Calculate { id: id(name), kind: Kind::Totp, challenge: 1 }).map(|answer| answer.code())
    }

    fn names(&mut self) -> Vec<String> {
        let text = |id: &CredentialId| String::from_utf8(id.as_bytes().to_vec()).unwrap();
        self.call(List).unwrap().iter().map(|entry| text(&entry.id)).collect()
    }

    /// With a password set, and selected anew: locked.
    fn locked(applet: Applet) -> Self {
        let mut client = Self::of(applet);
        client.call(totp("a")).unwrap();
        client.call(SetCode::set(AccessKey::derive("hunter2", &SALT), [3; 8])).unwrap();
        client.select();
        assert!(client.session.is_locked());
        client
    }
}

fn id(name: &str) -> CredentialId {
    CredentialId::from_bytes(name.as_bytes()).unwrap()
}

fn put(name: &str, algorithm: Algorithm, secret: &[u8], touch: bool) -> Put {
    Put::totp(id(name), algorithm, DigitCount::new(8).unwrap(), secret, touch)
}

fn totp(name: &str) -> Put {
    put(name, Algorithm::Sha1, &SECRET[..20], false)
}

const SHA1_CODE: &str = "94287082";
const SHA512_CODE: &str = "90693936";

fn lacks(feature: Feature, version: Version) -> OathError {
    OathError::Lacks { feature, version }
}

#[test]
fn sha512() {
    #[track_caller]
    fn check(applet: Applet, stored: Result<(), OathError>, code: Result<&str, OathError>) {
        let mut client = Client::of(applet);
        assert_eq!(client.call(put("a", Algorithm::Sha512, SECRET, false)), stored, "{applet:?}");
        assert_eq!(client.code("a"), code.map(String::from), "{applet:?}");
    }
    check(YkneoOath, Err(lacks(Feature::Sha512, NEO)), Err(OathError::NoSuchCredential));
    check(CanoKey, Ok(()), Ok(SHA512_CODE));
    check(OathAuthenticator, Ok(()), Err(OathError::Status { ins: ins::CALCULATE, status: UNSPECIFIED }));
    check(PicoFido, Ok(()), Ok(SHA512_CODE));
}

#[test]
fn touch() {
    /// What PUT says, and whether the credential is one that wants a touch then.
    #[track_caller]
    fn check(applet: Applet, stored: Result<(), OathError>, wants: Option<bool>) {
        let mut client = Client::of(applet);
        assert_eq!(client.call(put("a", Algorithm::Sha1, &SECRET[..20], true)), stored, "{applet:?}");
        let all = client.call(CalculateAll { challenge: 1 }).unwrap();
        assert_eq!(all.first().map(|(_, shown)| *shown == Calculated::Touch), wants, "{applet:?}");
        if stored.is_ok() {
            assert_eq!(client.code("a").unwrap(), SHA1_CODE);
        }
    }
    // It would ignore the property, and the account would be open to every program: it is not stored.
    check(YkneoOath, Err(lacks(Feature::Touch, NEO)), None);
    check(CanoKey, Ok(()), Some(true));
    check(OathAuthenticator, Ok(()), Some(false));
    check(PicoFido, Ok(()), Some(false));
}

#[test]
fn rename() {
    /// What it says to a new name, and to one that is there.
    #[track_caller]
    fn check(applet: Applet, new: Result<(), OathError>, onto: Result<(), OathError>, left: &[&str]) {
        let mut client = Client::of(applet);
        client.call(totp("a")).unwrap();
        client.call(totp("b")).unwrap();
        assert_eq!(client.call(Rename { from: id("a"), to: id("c") }), new, "{applet:?}");
        let from = if new.is_ok() { "c" } else { "a" };
        assert_eq!(client.call(Rename { from: id(from), to: id("b") }), onto, "{applet:?}");
        let mut names = client.names();
        names.sort();
        assert_eq!(names, left, "{applet:?}");
    }
    let old = |version| Err(lacks(Feature::Rename, version));
    check(YkneoOath, old(NEO), old(NEO), &["a", "b"]);
    check(CanoKey, Ok(()), Err(OathError::Exists), &["b", "c"]);
    check(OathAuthenticator, old(Version(4, 4, 4)), old(Version(4, 4, 4)), &["a", "b"]);
    check(PicoFido, Ok(()), Ok(()), &["b"]);
}

#[test]
fn put_of_an_existing_name() {
    #[track_caller]
    fn check(applet: Applet, expected: Result<(), OathError>) {
        let mut client = Client::of(applet);
        client.call(totp("a")).unwrap();
        assert_eq!(client.call(put("a", Algorithm::Sha1, b"another secret", false)), expected, "{applet:?}");
        assert_eq!(client.names(), ["a"]);
        assert_eq!(client.code("a").unwrap() == SHA1_CODE, expected.is_err(), "{applet:?}");
    }
    check(YkneoOath, Ok(()));
    check(CanoKey, Err(OathError::Exists));
    check(OathAuthenticator, Ok(()));
    check(PicoFido, Ok(()));
}

#[test]
fn full_response() {
    #[track_caller]
    fn check(applet: Applet, expected: Result<(), OathError>) {
        let mut client = Client::of(applet);
        client.call(put("i", Algorithm::Sha256, &SECRET[..32], false)).unwrap();
        let mac = client.call(CalculateFull { id: id("i"), challenge: b"20150830".to_vec() });
        let whole = hmac(Algorithm::Sha256, &SECRET[..32], b"20150830");
        assert_eq!(mac.map(|mac| assert_eq!(mac.expose(), &**whole)), expected, "{applet:?}");
    }
    check(YkneoOath, Ok(()));
    check(CanoKey, Ok(()));
    check(OathAuthenticator, Err(OathError::Unsupported { ins: ins::CALCULATE }));
    check(PicoFido, Ok(()));
}

#[test]
fn hotp_in_calculate_all() {
    for applet in Applet::ALL {
        let mut client = Client::of(applet);
        let hotp = Put::hotp(id("c"), Algorithm::Sha1, DigitCount::SIX, &SECRET[..20], false, 1);
        client.call(hotp).unwrap();
        client.call(totp("t")).unwrap();
        let all = client.call(CalculateAll { challenge: 1 }).unwrap();
        assert_eq!((all[0].0.clone(), &all[0].1), (id("c"), &Calculated::Hotp), "{applet:?}");
        assert!(matches!(&all[1].1, Calculated::Code(code) if code.code() == SHA1_CODE), "{applet:?}");
        // RFC 4226, appendix D, counter 1: CALCULATE ALL has not moved it.
        let code = client.call(Calculate { id: id("c"), kind: Kind::Hotp, challenge: 0 }).unwrap();
        assert_eq!(code.code(), "287082", "{applet:?}");
    }
}

#[test]
fn chaining() {
    /// Block by block what LIST answers for 28 ids of 64 bytes, which is 1,876 bytes.
    #[track_caller]
    fn check(applet: Applet, expected: Option<&[(usize, u16)]>) {
        let mut client = Client::of(applet);
        for i in 0..28 {
            client.call(totp(&format!("{i:064}"))).unwrap();
        }
        client.card.blocks.clear();
        let names = client.names();
        assert_eq!(names.len(), 28, "{applet:?}");
        assert!(names.iter().enumerate().all(|(i, name)| *name == format!("{i:064}")), "{applet:?}");
        let blocks: Vec<_> = client.card.blocks.iter().map(|(length, status)| (*length, status.0)).collect();
        if let Some(expected) = expected {
            assert_eq!(blocks, expected, "{applet:?}");
        }
        assert_eq!(client.call(CalculateAll { challenge: 1 }).unwrap().len(), 28, "{applet:?}");
        // Who gave up in the middle selects, and starts anew.
        let mut list = client.session.exchange(List, [9; 8]);
        let Step::Transmit(command) = list.step(None).unwrap() else { panic!() };
        client.card.transmit(command.as_bytes());
        client.select();
        assert_eq!(client.names().len(), 28, "{applet:?}");
    }
    let mut neo = vec![(254, 0x61FE); 6];
    neo.extend([(254, 0x6162), (98, 0x9000)]);
    check(YkneoOath, Some(&neo));
    let mut canokey = vec![(201, 0x61FF); 9];
    canokey.push((67, 0x9000));
    check(CanoKey, Some(&canokey));
    check(OathAuthenticator, None);
    check(PicoFido, Some(&[(1876, 0x9000)]));
}

#[test]
fn commands_are_short_ones_with_le() {
    for applet in Applet::ALL {
        let mut client = Client::of(applet);
        let longest = "a".repeat(64);
        // The longest of all: a full id, a full key, a counter.
        let key = if applet == YkneoOath { &SECRET[..64] } else { &[7; 128] };
        let algorithm = if applet == YkneoOath { Algorithm::Sha256 } else { Algorithm::Sha512 };
        client.call(Put::hotp(id(&longest), algorithm, DigitCount::SIX, key, false, 7)).unwrap();
        client.call(totp("t")).unwrap();
        client.names();
        client.call(CalculateAll { challenge: 1 }).unwrap();
        for command in &client.card.commands {
            let parsed = Command::parse(command).unwrap();
            let header = if parsed.data.is_empty() { 4 } else { 5 };
            assert_eq!(command.len(), header + parsed.data.len() + 1, "{applet:?}: {command:02X?}");
            assert_eq!(parsed.le, 256);
        }
    }
    let extended = [0, ins::LIST, 0, 0, 0, 0, 0];
    assert_eq!(Client::of(YkneoOath).card.transmit(&extended), [0x67, 0x00]);
}

#[test]
fn locked() {
    for applet in Applet::ALL {
        let mut client = Client::locked(applet);
        assert_eq!(client.code("a"), Err(OathError::Locked), "{applet:?}");
        assert_eq!(client.call(List), Err(OathError::Locked), "{applet:?}");
        assert_eq!(client.call(totp("b")), Err(OathError::Locked), "{applet:?}");
        assert_eq!(client.unlock("hunter3"), Err(OathError::WrongPassword), "{applet:?}");
        assert_eq!(client.unlock("hunter2"), Ok(()), "{applet:?}");
        assert_eq!(client.code("a").as_deref(), Ok(SHA1_CODE), "{applet:?}");
    }
}

#[test]
fn validate_lasts() {
    /// How often the password is proved for three commands after the first proof.
    #[track_caller]
    fn check(applet: Applet, proofs: usize) {
        let mut client = Client::locked(applet);
        client.unlock("hunter2").unwrap();
        for _ in 0..3 {
            assert_eq!(client.code("a").as_deref(), Ok(SHA1_CODE), "{applet:?}");
        }
        assert_eq!(client.card.seen(ins::VALIDATE), proofs, "{applet:?}");
        // It is asked for one proof of the password more, not for ever.
        let onto = client.call(totp("a"));
        assert_eq!(onto, if applet == CanoKey { Err(OathError::Exists) } else { Ok(()) }, "{applet:?}");
        client.call(SetCode::remove()).unwrap();
        client.select();
        assert!(!client.session.is_locked());
        assert_eq!(client.names(), ["a"], "{applet:?}");
    }
    check(YkneoOath, 1);
    check(CanoKey, 1);
    check(OathAuthenticator, 3);
    check(PicoFido, 1);
}

#[test]
fn challenges_of_more_than_8_bytes() {
    #[track_caller]
    fn check(applet: Applet, length: usize, works: bool) {
        let mut client = Client::of(applet);
        client.call(totp("a")).unwrap();
        let mac = client.call(CalculateFull { id: id("a"), challenge: vec![1; length] });
        let expected = if works { Ok(20) } else { Err(OathError::Refused { ins: ins::CALCULATE }) };
        assert_eq!(mac.map(|mac| mac.expose().len()), expected, "{applet:?}, {length} bytes");
    }
    check(YkneoOath, 64, true);
    check(YkneoOath, 65, false);
    check(CanoKey, 8, true);
    check(CanoKey, 9, false);
}

#[test]
fn unknown_names() {
    for applet in Applet::ALL {
        let mut client = Client::of(applet);
        client.call(totp("a")).unwrap();
        assert_eq!(client.code("x"), Err(OathError::NoSuchCredential), "{applet:?}");
        // One applet says that it has deleted what was not there: who wants to know asks LIST first.
        let gone = if applet == OathAuthenticator { Ok(()) } else { Err(OathError::NoSuchCredential) };
        assert_eq!(client.call(Delete { id: id("x") }), gone, "{applet:?}");
        assert_eq!(client.names(), ["a"]);
    }
}

#[test]
fn reset() {
    #[track_caller]
    fn check(applet: Applet, expected: Result<(), OathError>, new_salt: Option<bool>) {
        let mut client = Client::locked(applet);
        assert_eq!(client.call(Reset), expected, "{applet:?}");
        client.select();
        assert_eq!(client.session.is_locked(), expected.is_err(), "{applet:?}");
        if expected.is_err() {
            client.unlock("hunter2").unwrap();
        }
        assert_eq!(client.names().is_empty(), expected.is_ok(), "{applet:?}");
        if let Some(new) = new_salt {
            assert_eq!(client.session.selected().salt != SALT, new, "{applet:?}");
        }
    }
    check(YkneoOath, Ok(()), Some(true));
    check(CanoKey, Err(OathError::Unsupported { ins: ins::RESET }), Some(false));
    check(OathAuthenticator, Ok(()), None);
    check(PicoFido, Ok(()), Some(false));
}
