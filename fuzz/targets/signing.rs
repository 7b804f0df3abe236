//! What front ends want signed besides links, as the host reads it and tells a person of it: policies of forms, strings to
//! sign of Signature Version 2, signing keys; and the URLs that a person types.

#![no_main]

use data_encoding::BASE64;
use keyfob::service::describe;
use keyfob_core::message::{Op, Password, SignatureVersion, SigningScope};
use keyfob_core::sigv4::Url;
use keyfob_fuzz::within;
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_369_353_600;

fuzz_target!(|text: &str| within((1 << 16) + 256 * text.len(), || {
    let access_key_id = "AKIAIOSFODNN7EXAMPLE".to_owned();
    for signature in [SignatureVersion::SigV4, SignatureVersion::HmacV1] {
        let policy = BASE64.encode(text.as_bytes());
        check(&Op::SignPolicy { access_key_id: access_key_id.clone(), signature, policy });
    }
    let (host, rest) = text.split_once('\n').unwrap_or((text, ""));
    let string_to_sign = Password(rest.to_owned());
    check(&Op::SignV2 { access_key_id: access_key_id.clone(), string_to_sign, host: host.to_owned() });
    let scope = |pair: &str| {
        let (region, service) = pair.split_once('/').unwrap_or((pair, "s3"));
        SigningScope { region: region.to_owned(), service: service.to_owned() }
    };
    let scopes = rest.split('\n').take(200).map(scope).collect();
    check(&Op::SigningKeys { access_key_id, at: NOW, scopes, purpose: host.to_owned() });
    if let Ok(url) = Url::parse(text) {
        // What is signed is what is sent, and is read as itself.
        let again = Url::parse(&url.to_string()).expect("a URL of ours");
        assert_eq!((again.host(), again.path(), again.query()), (url.host(), url.path(), url.query()));
        assert!(url.to_string().bytes().all(|b| b.is_ascii_graphic()), "{url}");
    }
}));

/// Whatever is told is one line, with the identity that signs.
fn check(op: &Op) {
    if let Ok(told) = describe(op, NOW) {
        assert!(!told.contains(|c: char| c.is_control()), "{told:?}");
        assert!(told.contains(" as AKIAIOSFODNN7EXAMPLE"), "{told:?}");
        assert!(told.chars().count() < 40_000, "{} characters", told.chars().count());
    }
}
