//! Exchanges with a card that answers anything: each ends, after a bounded number of commands that are well-formed.
//!
//! Input: a byte that says which request, a byte that says in which session, then the card's responses, each after its
//! length in two bytes. The last one is repeated for ever.

#![no_main]

use keyfob_core::apdu::Command;
use keyfob_core::management::ReadDeviceInfo;
use keyfob_core::oath::{
    AccessKey, Algorithm, Calculate, CalculateAll, CalculateFull, CredentialId, Delete, DigitCount, Exchange,
    Kind, List, Put, Rename, Reset, Selected, Session, SetCode, Single, Step, Version,
};
use keyfob_fuzz::{Input, within};
use libfuzzer_sys::fuzz_target;

/// Most commands of an exchange: a thousand continuation blocks for each of the request, SELECT, VALIDATE and the request
/// again.
const MOST: usize = 4 * 1025;

fuzz_target!(|bytes: &[u8]| within((2 << 20) + 64 * bytes.len(), || {
    let mut input = Input::new(bytes);
    let [which, state] = input.array();
    let key = AccessKey::from_bytes([1; 16]);
    let challenge = (state & 1 != 0).then(|| vec![2; 8]);
    let mut session = Session::new(Selected { version: Version(5, 7, 1), salt: vec![3; 8], challenge });
    if state & 2 != 0 {
        session.unlocked(key.clone());
    }
    let id = || CredentialId::from_bytes(b"x").expect("an id");
    let totp = Kind::Totp;
    let six = DigitCount::SIX;
    match which {
        0 => run(input, Session::select()),
        1 => run(input, session.unlock(&key, [4; 8])),
        2 => run(input, session.exchange(List, [4; 8])),
        3 => run(input, session.exchange(CalculateAll { challenge: 1 }, [4; 8])),
        4 => run(input, session.exchange(Calculate { id: id(), kind: totp, challenge: 1 }, [4; 8])),
        5 => run(input, session.exchange(CalculateFull { id: id(), challenge: vec![5; 8] }, [4; 8])),
        6 => run(input, session.exchange(Put::totp(id(), Algorithm::Sha1, six, &[6; 20], true), [4; 8])),
        7 => run(input, session.exchange(Delete { id: id() }, [4; 8])),
        8 => run(input, session.exchange(Rename { from: id(), to: id() }, [4; 8])),
        9 => run(input, session.exchange(SetCode::set(key, [4; 8]), [4; 8])),
        10 => run(input, session.exchange(Reset, [4; 8])),
        11 => run(input, ReadDeviceInfo::new()),
        _ => run(input, Single::new(List)),
    }
}));

fn run(mut input: Input<'_>, mut exchange: impl Exchange) {
    let mut response = None;
    let mut last: &[u8] = &[0x61, 0xFF];
    for _ in 0..=MOST {
        match exchange.step(response) {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
            Ok(Step::Done(_)) => return,
            Ok(Step::Transmit(command)) => {
                let command = Command::parse(command.as_bytes()).expect("a command is well-formed");
                // The management applet of a NEO is left by a command of an odd class.
                assert!(matches!((command.cla, command.le), (0, 256) | (0xA4, 0)));
                if !input.is_empty() {
                    last = input.chunk();
                }
                response = Some(last);
            }
        }
    }
    panic!("the exchange does not end");
}
