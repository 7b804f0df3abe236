//! The software key: any command from anybody, and our own client's in between. Whatever was done to it, its state
//! survives being stored, and its answers to the client are well-formed.
//!
//! Input: a byte that says which firmware, then steps. A step is a byte that says which, then the fields that it takes.

#![no_main]

use keyfob_core::management::ReadDeviceInfo;
use keyfob_core::oath::{
    AccessKey, Algorithm, Calculate, CalculateAll, CalculateFull, CredentialId, Delete, DigitCount, Exchange,
    Kind, List, OathError, Put, Rename, Reset, Session, SetCode, Single, Step,
};
use keyfob_core::softkey::{Environment, Firmware, SoftKey};
use keyfob_fuzz::{Input, within};
use libfuzzer_sys::fuzz_target;

const SERIAL: u32 = 1234;

/// Every other touch comes.
struct Finger(bool);

impl Environment for Finger {
    fn touch(&mut self, _id: &[u8]) -> bool {
        self.0 = !self.0;
        self.0
    }
    fn random(&mut self) -> [u8; 8] {
        [7; 8]
    }
}

fuzz_target!(|bytes: &[u8]| within(1 << 20, || {
    let mut input = Input::new(bytes);
    let firmware = Firmware::ALL[usize::from(input.byte() & 3)];
    let mut key = SoftKey::with_firmware(firmware, SERIAL, [1; 8]);
    let mut finger = Finger(false);
    let mut another = false;
    while !input.is_empty() {
        step(&mut input, &mut key, &mut finger, &mut another);
    }
    let state = key.to_bytes().expect("a state can be stored");
    let mut again = SoftKey::from_bytes(&state).expect("what was stored can be read");
    assert_eq!(again.to_bytes(), Ok(state));
    // Without its volatile state it is another until an applet is selected.
    key.power_cycle();
    let list = |key: &mut SoftKey| {
        let session = run(key, &mut Finger(true), Session::select());
        (session.is_ok(), run(key, &mut Finger(true), Single::new(List)))
    };
    assert_eq!(list(&mut key), list(&mut again));
}));

/// `another`: whether another applet than OATH may be selected, which understands our client's requests its own way.
fn step(input: &mut Input<'_>, key: &mut SoftKey, finger: &mut Finger, another: &mut bool) {
    let algorithm = |byte| match byte & 3 {
        0 | 1 => Algorithm::Sha1,
        2 => Algorithm::Sha256,
        _ => Algorithm::Sha512,
    };
    let kind = |byte| if byte & 1 == 0 { Kind::Totp } else { Kind::Hotp };
    let id = |input: &mut Input<'_>| {
        CredentialId::from_bytes(input.chunk()).or(CredentialId::from_bytes(b"x")).expect("an id")
    };
    let access_key = |byte| AccessKey::from_bytes([byte; 16]);
    let which = input.byte();
    if (3..=12).contains(&which) && core::mem::take(another) {
        drop(run(key, finger, Session::select()));
    }
    *another |= matches!(which, 0 | 14);
    match which {
        0 => {
            let command = input.chunk();
            let response = key.transmit(command, finger);
            assert!((2..=65_536 + 2).contains(&response.len()), "{} bytes", response.len());
        }
        1 => key.power_cycle(),
        2 => drop(run(key, finger, Session::select())),
        3 => drop(run(key, finger, Single::new(List))),
        4 => {
            let challenge = u64::from_be_bytes(input.array());
            drop(run(key, finger, Single::new(CalculateAll { challenge })));
        }
        5 => {
            let request = Calculate { id: id(input), kind: kind(input.byte()), challenge: 1 };
            drop(run(key, finger, Single::new(request)));
        }
        6 => {
            let request = CalculateFull { id: id(input), challenge: input.chunk().to_vec() };
            drop(run(key, finger, Single::new(request)));
        }
        7 => {
            let (id, secret, [flags, digits]) = (id(input), input.chunk(), input.array());
            let digits = DigitCount::new(digits).unwrap_or(DigitCount::SIX);
            let (algorithm, touch) = (algorithm(flags), flags & 4 != 0);
            let put = match flags & 8 {
                0 => Put::totp(id, algorithm, digits, secret, touch),
                _ => Put::hotp(id, algorithm, digits, secret, touch, u32::from_be_bytes(input.array())),
            };
            drop(run(key, finger, Single::new(put)));
        }
        8 => drop(run(key, finger, Single::new(Delete { id: id(input) }))),
        9 => drop(run(key, finger, Single::new(Rename { from: id(input), to: id(input) }))),
        10 => drop(run(key, finger, Single::new(SetCode::set(access_key(input.byte()), [3; 8])))),
        11 => drop(run(key, finger, Single::new(SetCode::remove()))),
        12 => drop(run(key, finger, Single::new(Reset))),
        13 => {
            let Ok(selected) = run(key, finger, Session::select()) else { return };
            let mut session = Session::new(selected);
            let password = access_key(input.byte());
            if session.is_locked() && run(key, finger, session.unlock(&password, [5; 8])).is_ok() {
                session.unlocked(password);
                assert!(run(key, finger, session.exchange(List, [5; 8])).is_ok(), "it was unlocked");
            }
        }
        14 => {
            let info =
                run(key, finger, ReadDeviceInfo::new()).expect("it answers").expect("it tells what it is");
            assert_eq!(info.serial, Some(SERIAL));
        }
        _ => {
            key.reload(&key.to_bytes().expect("a state can be stored")).expect("what was stored can be read")
        }
    }
}

/// Runs an exchange to its end, which is an answer, or an error that is not about the answer's form.
fn run<E: Exchange>(key: &mut SoftKey, finger: &mut Finger, mut exchange: E) -> Result<E::Output, OathError> {
    let mut response: Option<Vec<u8>> = None;
    loop {
        match exchange.step(response.as_deref()) {
            Ok(Step::Transmit(command)) => response = Some(key.transmit(command.as_bytes(), finger).to_vec()),
            Ok(Step::Done(output)) => return Ok(output),
            Err(error) => {
                assert!(
                    !matches!(
                        error,
                        OathError::Tlv(_)
                            | OathError::FieldLength { .. }
                            | OathError::TrailingBytes(_)
                            | OathError::Endless
                            | OathError::EmptyContinuation
                            | OathError::OutOfOrder
                    ),
                    "{error}"
                );
                return Err(error);
            }
        }
    }
}
