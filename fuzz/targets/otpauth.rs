//! `otpauth` URIs: what is read, written and read again is the same account, and its name on a key is found again.

#![no_main]

use keyfob_core::oath::{Kind, OtpAuth, OtpAuthError, Request as _};
use keyfob_fuzz::{check_account, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| within((1 << 16) + 64 * text.len(), || {
    if let Ok(account) = OtpAuth::parse(text) {
        check(&account);
    }
    if let Ok(account) = OtpAuth::totp(None, "x".into(), text) {
        check(&account);
    }
}));

fn check(account: &OtpAuth) {
    check_account(account);
    match OtpAuth::parse(&account.to_uri()) {
        Ok(again) => assert_eq!(&again, account),
        Err(error) => assert_eq!(error, OtpAuthError::TooLong),
    }
    let id = account.id().expect("what was read has an id");
    let name = match &account.issuer {
        Some(issuer) => format!("{issuer}:{}", account.account),
        None => account.account.clone(),
    };
    assert!(id.is_named(account.kind, &name), "{id:?} is not found by {name:?}");
    let parts = id.parts(account.kind);
    assert_eq!(parts.period, if account.kind == Kind::Totp { account.period } else { 0 });
    for touch in [false, true] {
        let put = account.put(touch).expect("what was read can be put on a key");
        // 64 bytes of name and 128 of key fit a short command.
        put.command().expect("what was read fits a command");
    }
}
