//! APDUs: commands as the card's side reads them, responses as the client does.

#![no_main]

use keyfob_core::apdu::{Command, CommandApdu, MAX_DATA, ResponseApdu};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(command) = Command::parse(bytes) {
        assert!(command.le <= 65_536);
        assert!(command.data.len() + 4 <= bytes.len());
        let again = CommandApdu::new(command.cla, command.ins, command.p1, command.p2, command.data);
        assert_eq!(again.is_ok(), command.data.len() <= MAX_DATA);
        if let Ok(again) = again {
            let read = Command::parse(again.as_bytes()).expect("what was written is a command");
            assert_eq!(
                (read.cla, read.ins, read.p1, read.p2, read.data, read.le),
                (command.cla, command.ins, command.p1, command.p2, command.data, 256)
            );
        }
    }
    match ResponseApdu::parse(bytes) {
        Ok(response) => {
            let again = [response.data, &response.status.0.to_be_bytes()].concat();
            assert_eq!(again, bytes);
            assert!(response.status.to_string().is_ascii());
        }
        Err(_) => assert!(bytes.len() < 2),
    }
});
