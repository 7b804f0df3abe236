//! Google Authenticator's migration payloads: as bytes, and as URIs around them.

#![no_main]

use data_encoding::{BASE64, BASE64URL_NOPAD};
use keyfob_core::oath::Migration;
use keyfob_fuzz::{check_account, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| within((1 << 16) + 512 * bytes.len(), || {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Migration::parse(text);
    }
    let read = Migration::from_bytes(bytes);
    let uris = [
        format!("otpauth-migration://offline?data={}", BASE64.encode(bytes)),
        format!("OTPAUTH-MIGRATION://OFFLINE?x=y&data={}#z", BASE64URL_NOPAD.encode(bytes)),
        format!(
            "otpauth-migration://offline?data={}",
            BASE64.encode(bytes).replace('+', "%2b").replace('=', "%3D")
        ),
    ];
    for uri in uris {
        assert_eq!(Migration::parse(&uri), read, "{uri}");
    }
    let Ok(migration) = read else { return };
    assert!(migration.index < migration.size);
    for migrated in &migration.accounts {
        migrated.account.iter().for_each(check_account);
    }
}));
