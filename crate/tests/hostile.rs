//! Hostile cards, exhaustively: each reply of each operation cut at each byte, each of its tags and lengths wrong in every way,
//! promises without end, answers of 64 KiB. Every exchange ends, after a bounded number of commands, and with an error that has a name
//! wherever an answer was no answer.
//!
//! What the program makes of it, and what stays on the key, is seen over PC/SC by the end-to-end tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::fmt::Debug;

use keyfob_core::apdu::ApduError;
use keyfob_core::oath::{
    AccessKey, Algorithm, Calculate, CalculateAll, CalculateFull, CredentialId, Delete, DigitCount, Exchange,
    Kind, List, OathError, Put, Rename, Request, Reset, Session, SetCode, Step,
};
use keyfob_core::softkey::{Environment, Firmware, SoftKey};

const SECRET: &[u8] = b"12345678901234567890";
const HOST_CHALLENGE: [u8; 8] = [3; 8];
/// Most commands of one exchange: more than any applet has blocks.
const MOST_COMMANDS: usize = 1026;

struct Finger;

impl Environment for Finger {
    fn touch(&mut self, _id: &[u8]) -> bool {
        true
    }
    fn random(&mut self) -> [u8; 8] {
        [9; 8]
    }
}

fn id(name: &str) -> CredentialId {
    CredentialId::for_name(Kind::Totp, 30, name).unwrap()
}

fn put(name: &str) -> Put {
    Put::totp(id(name), Algorithm::Sha256, DigitCount::new(6).unwrap(), SECRET, false)
}

fn access_key() -> AccessKey {
    AccessKey::from_bytes([7; 16])
}

/// How an exchange ended, and with how many commands.
type End<T> = (Result<T, OathError>, usize);

/// Runs an exchange with a card; `spoil` has every reply in its hands, and its number.
fn run<E: Exchange>(
    key: &mut SoftKey,
    mut exchange: E,
    mut spoil: impl FnMut(usize, Vec<u8>) -> Vec<u8>,
) -> End<E::Output> {
    let mut response: Option<Vec<u8>> = None;
    for n in 0..=MOST_COMMANDS {
        match exchange.step(response.as_deref()) {
            Ok(Step::Done(output)) => return (Ok(output), n),
            Ok(Step::Transmit(command)) => {
                response = Some(spoil(n, key.transmit(command.as_bytes(), &mut Finger).to_vec()));
            }
            Err(error) => return (Err(error), n),
        }
    }
    panic!("more than {MOST_COMMANDS} commands");
}

fn honest<E: Exchange>(key: &mut SoftKey, exchange: E) -> E::Output {
    run(key, exchange, |_, reply| reply).0.unwrap()
}

/// Has every reply in its hands, and its number.
type Spoil<'a> = dyn FnMut(usize, Vec<u8>) -> Vec<u8> + 'a;

/// An operation, each time on the same key.
struct Operation<'a, T> {
    name: &'a str,
    state: &'a [u8],
    start: &'a dyn Fn(&mut SoftKey, &mut Spoil<'_>) -> End<T>,
}

impl<T: PartialEq + Debug> Operation<'_, T> {
    fn spoiled(&self, mut spoil: impl FnMut(usize, Vec<u8>) -> Vec<u8>) -> End<T> {
        let mut key = SoftKey::from_bytes(self.state).unwrap();
        (self.start)(&mut key, &mut spoil)
    }

    /// As [`Self::spoiled`], for one reply.
    fn reply(&self, at: usize, mut spoil: impl FnMut(&mut Vec<u8>)) -> End<T> {
        self.spoiled(|n, mut reply| {
            if n == at {
                spoil(&mut reply);
            }
            reply
        })
    }

    /// All that can be done to its replies. Gives how many there were.
    fn check(&self) -> usize {
        let name = self.name;
        let mut replies = Vec::new();
        let (answer, _) = self.spoiled(|_, reply| {
            replies.push(reply.clone());
            reply
        });
        let answer = answer.unwrap();
        for (at, reply) in replies.iter().enumerate() {
            for length in 0..reply.len() {
                let (end, _) = self.reply(at, |reply| reply.truncate(length));
                // An `a` of a name where the status word is looked for: more data, and there may be some.
                if reply[..length].iter().nth_back(1) == Some(&0x61) {
                    continue;
                }
                let error = end.err().unwrap_or_else(|| panic!("{name}, reply {at} cut to {length} bytes"));
                if length < 2 {
                    assert!(
                        matches!(error, OathError::Apdu(ApduError::ResponseTooShort(_))),
                        "{name}: {error:?}"
                    );
                }
            }
            for position in 0..reply.len() {
                let values: Vec<u8> = match reply.len() {
                    ..100 => (0..=255).collect(),
                    _ => vec![
                        0,
                        1,
                        0x61,
                        0x7F,
                        0x80,
                        0x81,
                        0x82,
                        0xFE,
                        0xFF,
                        reply[position] ^ 1,
                        reply[position] ^ 0x80,
                    ],
                };
                for value in values.into_iter().filter(|value| *value != reply[position]) {
                    let (end, _) = self.reply(at, |reply| reply[position] = value);
                    let first_tag = at == 0 && position == 0 && reply.len() > 2;
                    let its_length = replies.len() == 1 && position == 1 && reply.len() > 2;
                    if first_tag || its_length {
                        let what = format!("{name}, byte {position} of reply {at} is {value:02x}");
                        assert_ne!(end.ok().as_ref(), Some(&answer), "{what}");
                    }
                }
            }
            // Longer than it is: every answer's end is known, but what comes after those of SELECT is for later versions.
            let (end, _) = self.reply(at, |reply| {
                let status = reply.split_off(reply.len() - 2);
                reply.push(0x55);
                reply.extend(status);
            });
            assert!(end.is_err(), "{name}, reply {at} with a byte too many");
            // Status words: some of each class, and what is none.
            let words = (0x60..=0x6F)
                .flat_map(|high| [0, 1, 0x80, 0x82, 0x84, 0x85, 0xFF].map(|low| high << 8 | low));
            for status in words.chain([0x0000, 0x9001, 0x9100, 0xFFFF]) {
                let (end, _) = self.reply(at, |reply| *reply = u16::to_be_bytes(status).to_vec());
                match (status, end) {
                    // More data, and there may be some. The password was forgotten: it is proved again, once.
                    (0x6100..=0x61FF, _) => {}
                    (0x6985, Ok(again)) => assert_eq!(again, answer, "{name}"),
                    (_, end) => assert!(end.is_err(), "{name}, reply {at} is {status:04x}"),
                }
            }
            // 64 KiB and more, with good tags and bad ones, at once and in blocks.
            for byte in [0, 0x55, 0x71, 0x72, 0x75, 0x76] {
                for length in [0x1_0000, 0x1_0001] {
                    let (end, commands) = self.reply(at, |reply| {
                        *reply = vec![byte; length];
                        reply.extend([0x90, 0]);
                    });
                    assert!(end.is_err() && commands <= at + 1, "{name}, {length} times {byte:02x}");
                }
            }
            for (block, expected) in [
                (0, OathError::EmptyContinuation),
                (1, OathError::Endless),
                (254, OathError::Endless),
                (60_000, OathError::Endless),
            ] {
                let (end, commands) = self.spoiled(|n, reply| {
                    if n < at { reply } else { [vec![0x71; block].as_slice(), &[0x61, 0xFF]].concat() }
                });
                assert_eq!(end.unwrap_err(), expected, "{name}, blocks of {block} bytes from reply {at}");
                assert!(commands <= at + 1 + 65_536 / block.max(64), "{name}: {commands} commands");
            }
        }
        replies.len()
    }
}

/// A key with so many accounts, open or with a password.
fn state(firmware: Firmware, accounts: usize, locked: bool) -> Vec<u8> {
    let mut key = SoftKey::with_firmware(firmware, 1234, [1, 2, 3, 4, 5, 6, 7, 8]);
    let session = Session::new(honest(&mut key, Session::select()));
    for i in 0..accounts {
        honest(&mut key, session.exchange(put(&format!("Example:account number {i}")), HOST_CHALLENGE));
    }
    if locked {
        honest(&mut key, session.exchange(SetCode::set(access_key(), HOST_CHALLENGE), HOST_CHALLENGE));
    }
    key.to_bytes().unwrap().to_vec()
}

/// Checks one request on keys of the oldest and the newest firmware, with and without a password. `replies`: how many it has there.
#[track_caller]
fn check<R: Request>(name: &str, request: impl Fn() -> R, replies: [usize; 2])
where
    R::Answer: PartialEq + Debug,
{
    for (firmware, replies) in [(Firmware::Neo, replies[0]), (Firmware::V5_7, replies[1])] {
        for locked in [false, true] {
            let start = |key: &mut SoftKey, spoil: &mut Spoil<'_>| {
                let mut session = Session::new(honest(key, Session::select()));
                if locked {
                    honest(key, session.unlock(&access_key(), HOST_CHALLENGE));
                    session.unlocked(access_key());
                }
                run(key, session.exchange(request(), HOST_CHALLENGE), spoil)
            };
            let name = format!("{name} on {firmware}{}", if locked { ", locked" } else { "" });
            let state = state(firmware, 12, locked);
            let seen = Operation { name: &name, state: &state, start: &start }.check();
            assert_eq!(seen, replies, "{name}");
        }
    }
}

#[test]
fn select() {
    for locked in [false, true] {
        let state = state(Firmware::V5_7, 0, locked);
        let start = |key: &mut SoftKey, spoil: &mut Spoil<'_>| run(key, Session::select(), spoil);
        Operation { name: "SELECT", state: &state, start: &start }.check();
    }
}

#[test]
fn validate() {
    let state = state(Firmware::V5_7, 0, true);
    let start = |key: &mut SoftKey, spoil: &mut Spoil<'_>| {
        let session = Session::new(honest(key, Session::select()));
        run(key, session.unlock(&access_key(), HOST_CHALLENGE), spoil)
    };
    let validate = Operation { name: "VALIDATE", state: &state, start: &start };
    assert_eq!(validate.check(), 1);
    // No other proof than the right one will do.
    for position in 2..22 {
        for bit in 0..8 {
            let (end, _) = validate.reply(0, |reply| reply[position] ^= 1 << bit);
            assert_eq!(end.unwrap_err(), OathError::CardProof);
        }
    }
}

#[test]
fn list() {
    check("LIST", || List, [2, 2]);
}

#[test]
fn calculate() {
    check(
        "CALCULATE",
        || Calculate { id: id("Example:account number 3"), kind: Kind::Totp, challenge: 1 },
        [1, 1],
    );
}

#[test]
fn calculate_full() {
    let request = || CalculateFull { id: id("Example:account number 3"), challenge: b"20261122".to_vec() };
    // Its answer has no `Debug`, for it may be key material.
    for firmware in [Firmware::Neo, Firmware::V5_7] {
        let state = state(firmware, 12, false);
        let start = |key: &mut SoftKey, spoil: &mut Spoil<'_>| {
            let session = Session::new(honest(key, Session::select()));
            let (end, commands) = run(key, session.exchange(request(), HOST_CHALLENGE), spoil);
            (end.map(|response| response.expose().to_vec()), commands)
        };
        assert_eq!(Operation { name: "CALCULATE (full)", state: &state, start: &start }.check(), 1);
    }
}

#[test]
fn calculate_all() {
    check("CALCULATE ALL", || CalculateAll { challenge: 1 }, [2, 2]);
}

#[test]
fn put_and_delete() {
    check("PUT", || put("new"), [1, 1]);
    check("DELETE", || Delete { id: id("Example:account number 3") }, [1, 1]);
}

#[test]
fn rename() {
    let state = state(Firmware::V5_7, 12, false);
    let start = |key: &mut SoftKey, spoil: &mut Spoil<'_>| {
        let session = Session::new(honest(key, Session::select()));
        let request = Rename { from: id("Example:account number 3"), to: id("to") };
        run(key, session.exchange(request, HOST_CHALLENGE), spoil)
    };
    assert_eq!(Operation { name: "RENAME", state: &state, start: &start }.check(), 1);
}

#[test]
fn set_code_and_reset() {
    check("SET CODE", || SetCode::set(AccessKey::from_bytes([8; 16]), HOST_CHALLENGE), [1, 1]);
    check("SET CODE (remove)", SetCode::remove, [1, 1]);
    check("RESET", || Reset, [1, 1]);
}
