//! The host's reading of a canonical request that a front end wants signed: a security boundary. What is shown to the
//! person must be what the signature says.

#![no_main]

use keyfob::service::describe;
use keyfob_core::message::{Op, Password, Scheme};
use keyfob_core::s3::ParsedPresign;
use keyfob_core::sigv4::{DateKey, ParsedRequest};
use keyfob_fuzz::within;
use libfuzzer_sys::fuzz_target;

/// Within five minutes of nothing that a fuzzer makes.
const NOW: u64 = 0;

fuzz_target!(|text: &str| within((1 << 16) + 64 * text.len(), || {
    several(&text.split('\0').collect::<Vec<_>>());
    if let Ok(parsed) = ParsedPresign::parse_virtual_hosted(text) {
        check(text, &parsed);
    }
    if let Ok(parsed) = ParsedRequest::parse(text) {
        assert_eq!(parsed.canonical_request(), text);
        // A link is signed as one only.
        let query = text.split('\n').nth(2).unwrap_or_default();
        assert!(query.split('&').all(|pair| !pair.starts_with("X-Amz-Expires=")), "{text:?}");
        assert!(text.contains(&format!("\nx-amz-date:{}\n", parsed.date().as_str())));
        assert!(text.contains(&format!("\nhost:{}\n", parsed.host())));
    }
    match ParsedPresign::parse(text) {
        Ok(parsed) => check(text, &parsed),
        Err(error) => {
            assert!(!error.to_string().contains(|c: char| c.is_control()), "{error}");
        }
    }
}));

fn check(text: &str, parsed: &ParsedPresign) {
    assert_eq!(parsed.canonical_request(), text);
    // Read once more, in the plainest way.
    let mut lines = text.split('\n');
    let mut next = || lines.next().expect("a canonical request has all its lines");
    let (method, path, query) = (next(), next(), next());
    assert_eq!(parsed.method(), method);
    assert_eq!(query.matches("X-Amz-Credential=").count(), 1);
    assert!(query.contains(&format!("X-Amz-Credential={}%2F", parsed.access_key_id())));
    let service = parsed.scope().service();
    assert!(matches!(service, "s3" | "s3-object-lambda" | "s3-outposts" | "s3express"));
    assert!(query.contains(&format!("%2F{}%2F{service}%2Faws4_request", parsed.region())));
    assert!(query.contains(&format!("X-Amz-Date={}", parsed.date().as_str())));
    assert!(query.contains(&format!("X-Amz-Expires={}", parsed.expires())));
    assert!((1..=604_800).contains(&parsed.expires()));
    let token = query.contains("X-Amz-Security-Token=") || query.contains("X-Amz-S3session-Token=");
    assert_eq!(token, parsed.has_session_token());
    assert_eq!(parsed.is_aws_host(), aws(parsed.host()));
    // Without a key only a list is signed, never what would make or delete a bucket.
    assert!(!parsed.key().is_empty() || matches!(method, "GET" | "HEAD"));
    assert_eq!(query.contains("versionId="), parsed.version_id().is_some());
    assert!(text.contains(&format!("\nhost:{}\n", parsed.host())));
    let virtual_host = parsed.host() == format!("{}.{}", parsed.bucket(), parsed.authority());
    let object = if virtual_host {
        format!("/{}", parsed.key())
    } else if parsed.key().is_empty() {
        format!("/{}", parsed.bucket())
    } else {
        format!("/{}/{}", parsed.bucket(), parsed.key())
    };
    assert!(virtual_host || parsed.host() == parsed.authority());
    assert_eq!(decoded(path), object.as_bytes());

    let key = DateKey::new([1; 32], *parsed.date())
        .signing_key(parsed.region(), service)
        .expect("the parsed scope");
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
}

/// Links that are signed with one touch are each a link, and alike in all that the prompt says once.
fn several(texts: &[&str]) {
    let canonical_requests = texts.iter().map(|text| Password((*text).to_owned())).collect();
    let Ok(told) = describe(&Op::PresignMany { canonical_requests, scheme: Scheme::Https }, NOW) else {
        return;
    };
    assert!(texts.len() <= 100);
    assert!(told.starts_with(&format!("{} link", texts.len())), "{told:?}");
    assert!(!told.contains(|c: char| c.is_control()) && told.chars().count() < 40_000, "{told:?}");
    let first = ParsedPresign::parse(texts[0]).expect("a link");
    for text in texts {
        let link = ParsedPresign::parse(text).expect("a link");
        assert!(!link.key().is_empty() && !link.has_session_token());
        let common = |link: &ParsedPresign| {
            let name = |name: &str| name.to_owned();
            (
                name(link.method()),
                name(link.host()),
                name(link.bucket()),
                name(link.scope().as_str()),
                link.time(),
                link.expires(),
            )
        };
        assert_eq!(common(&link), common(&first));
        assert_eq!(link.headers(), first.headers());
        assert!(text.contains(&format!("X-Amz-Credential={}%2F", first.access_key_id())));
        assert!(told.contains(&format!(" as {} (work", link.access_key_id())), "{told:?}");
        for (name, value) in link.parameters().iter().filter(|(name, _)| name != "versionId") {
            assert!(first.parameters().contains(&(name.clone(), value.clone())), "{name}");
        }
    }
}

/// Whether a host is AWS's, the plain way.
fn aws(host: &str) -> bool {
    let suffixes = [
        "amazonaws.com",
        "amazonaws.com.cn",
        "amazonaws.eu",
        "c2s.ic.gov",
        "sc2s.sgov.gov",
        "cloud.adc-e.uk",
        "csp.hci.ic.gov",
    ];
    let name = host.split(':').next().unwrap_or(host);
    suffixes.iter().any(|suffix| name == *suffix || name.ends_with(&format!(".{suffix}")))
}

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
