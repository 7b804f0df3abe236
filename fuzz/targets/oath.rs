//! Answers of OATH applets, whole: the parser of every request, and that of the management applet's pages.
//!
//! Input: a byte that says of which request, then the answer.

#![no_main]

use keyfob_core::management::DeviceInfo;
use keyfob_core::oath::protocol::MAX_ID;
use keyfob_core::oath::{
    AccessKey, Calculate, CalculateAll, CalculateFull, Calculated, CredentialId, Delete, Kind, List, Request,
    Reset, Select, SetCode, Truncated, Validate,
};
use keyfob_fuzz::{Input, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| within((1 << 16) + 64 * bytes.len(), || {
    let mut input = Input::new(bytes);
    let which = input.byte();
    let body = input.rest();
    let id = || CredentialId::from_bytes(b"x").expect("an id");
    match which {
        0 => {
            if let Ok(selected) = Select.parse(body) {
                assert!(selected.salt.len() < body.len());
                assert!(selected.challenge.is_none_or(|challenge| (1..=64).contains(&challenge.len())));
            }
        }
        1 => {
            for entry in List.parse(body).unwrap_or_default() {
                check_id(&entry.id);
            }
        }
        2 => {
            for (id, calculated) in (CalculateAll { challenge: 1 }).parse(body).unwrap_or_default() {
                check_id(&id);
                if let Calculated::Code(code) = calculated {
                    check_code(&code);
                }
            }
        }
        3 => {
            if let Ok(code) = (Calculate { id: id(), kind: Kind::Totp, challenge: 1 }).parse(body) {
                check_code(&code);
            }
        }
        4 => {
            if let Ok(response) = (CalculateFull { id: id(), challenge: Vec::new() }).parse(body) {
                assert!(body.ends_with(response.expose()));
            }
        }
        5 => {
            let key = AccessKey::from_bytes([1; 16]);
            let proof = key.respond(&[2; 8]);
            let proved = Validate::new(&key, &[3; 8], [2; 8]).parse(body).is_ok();
            assert!(!proved || body.ends_with(&proof), "nobody guesses a proof");
        }
        6 => assert_eq!(SetCode::remove().parse(body).is_ok(), body.is_empty()),
        7 => assert_eq!(Delete { id: id() }.parse(body).is_ok(), body.is_empty()),
        8 => {
            let mut info = DeviceInfo::default();
            if info.read_page(body).is_ok() {
                assert!(!format!("{} {:?}", info.form_factor, info.usb_enabled).is_empty());
                // Read again, it says the same.
                let before = info.clone();
                assert!(info.read_page(body).is_ok());
                assert_eq!(info, before);
            }
        }
        _ => assert_eq!(Reset.parse(body).is_ok(), body.is_empty()),
    }
}));

fn check_code(code: &Truncated) {
    let digits = code.code();
    assert_eq!(digits.len(), usize::from(code.digits.get()));
    assert!(digits.bytes().all(|b| b.is_ascii_digit()));
}

fn check_id(id: &CredentialId) {
    assert!((1..=MAX_ID).contains(&id.as_bytes().len()));
    for kind in [Kind::Totp, Kind::Hotp] {
        let parts = id.parts(kind);
        assert_eq!(parts.period == 0, kind == Kind::Hotp);
        let name = id.name(kind);
        assert!(!name.is_empty());
        assert!(id.is_named(kind, &name));
    }
}
