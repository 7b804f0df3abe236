//! Stored states of the software key: what is read and stored again is the same, and works as a card.

#![no_main]

use keyfob_core::oath::protocol::{AID, ins};
use keyfob_core::softkey::{Environment, SoftKey};
use keyfob_fuzz::within;
use libfuzzer_sys::fuzz_target;

struct Finger;

impl Environment for Finger {
    fn touch(&mut self, _id: &[u8]) -> bool {
        true
    }
    fn random(&mut self) -> [u8; 8] {
        [7; 8]
    }
}

fuzz_target!(|bytes: &[u8]| within((1 << 20) + 64 * bytes.len(), || {
    let Ok(mut key) = SoftKey::from_bytes(bytes) else { return };
    let state = key.to_bytes().expect("what was read can be stored");
    let again = SoftKey::from_bytes(&state).expect("what was stored can be read");
    assert_eq!(again.to_bytes().as_ref(), Ok(&state));

    let select = [&[0, ins::SELECT, 4, 0, 7][..], &AID].concat();
    for command in [
        &select[..],
        &[0, ins::LIST, 0, 0, 0],
        &[0, ins::SEND_REMAINING, 0, 0, 0],
        &[0, ins::CALCULATE_ALL, 0, 1, 10, 0x74, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        &[0, ins::CALCULATE_ALL, 0, 0, 10, 0x74, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        &[0, ins::DELETE, 0, 0, 3, 0x71, 1, b'a', 0],
        &[0, ins::RESET, 0xDE, 0xAD, 0],
    ] {
        assert!(key.transmit(command, &mut Finger).len() >= 2);
    }
}));
