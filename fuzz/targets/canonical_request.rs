//! The host's reading of a canonical request that a front end wants signed: a security boundary. What is shown to the
//! person must be what the signature says.

#![no_main]

use keyfob_core::message::Scheme;
use keyfob_core::s3::ParsedPresign;
use keyfob_core::sigv4::DateKey;
use keyfob_fuzz::within;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| within((1 << 16) + 64 * text.len(), || {
    let parsed = match ParsedPresign::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(!error.to_string().contains(|c: char| c.is_control()), "{error}");
            return;
        }
    };
    assert_eq!(parsed.canonical_request(), text);
    // Read once more, in the plainest way.
    let mut lines = text.split('\n');
    let mut next = || lines.next().expect("a canonical request has all its lines");
    let (method, path, query) = (next(), next(), next());
    assert_eq!(parsed.method(), method);
    assert_eq!(query.matches("X-Amz-Credential=").count(), 1);
    assert!(query.contains(&format!("X-Amz-Credential={}%2F", parsed.access_key_id())));
    assert!(query.contains(&format!("%2F{}%2Fs3%2Faws4_request", parsed.region())));
    assert!(query.contains(&format!("X-Amz-Date={}", parsed.date().as_str())));
    assert!(query.contains(&format!("X-Amz-Expires={}", parsed.expires())));
    assert!((1..=604_800).contains(&parsed.expires()));
    assert_eq!(query.contains("X-Amz-Security-Token="), parsed.has_session_token());
    assert_eq!(query.contains("versionId="), parsed.version_id().is_some());
    assert!(text.contains(&format!("\nhost:{}\n", parsed.host())));
    let virtual_host = parsed.host() == format!("{}.{}", parsed.bucket(), parsed.authority());
    let object = if virtual_host {
        format!("/{}", parsed.key())
    } else {
        format!("/{}/{}", parsed.bucket(), parsed.key())
    };
    assert!(virtual_host || parsed.host() == parsed.authority());
    assert_eq!(decoded(path), object.as_bytes());

    let key =
        DateKey::new([1; 32], *parsed.date()).signing_key(parsed.region(), "s3").expect("the parsed scope");
    let url = match parsed.sign(&key, Scheme::Https) {
        Ok(url) => url,
        // The scheme's own port, spelled out.
        Err(_) => return assert!(parsed.host().ends_with(":443")),
    };
    let (before, signature) = url.split_once("&X-Amz-Signature=").expect("it is signed");
    assert_eq!(before, format!("https://{}{path}?{query}", parsed.host()));
    assert!(signature.len() == 64 && signature.bytes().all(|b| b.is_ascii_hexdigit()));
    assert!(url.bytes().all(|b| b.is_ascii_graphic()), "{url:?}");
    // Neither a user's name nor another host for somebody who reads the link.
    assert!(!parsed.host().contains(['@', '/', '\\', '?', '#', '%']), "{url:?}");
}));

/// Percent-decoding, written for this.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut parts = text.split('%');
    out.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        out.push(u8::from_str_radix(&part[..2], 16).expect("two hexadecimal digits"));
        out.extend(part[2..].bytes());
    }
    out
}
