//! What is to be signed, as the host reads it, and what the person is told of it.
//!
//! A touch must buy what the prompt says, and nothing else. So everything is read strictly, in one way only; what cannot
//! be shown is not signed; and what decides (place, identity, how long) comes first, where nothing that follows can
//! push it out of sight.

use std::collections::BTreeSet;
use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use keyfob_core::message::{Op, Password, Scheme, SignatureVersion};
use keyfob_core::s3::{self, EndpointKind, MAX_EXPIRES, ParsedPresign};
use keyfob_core::sigv4::{AmzDate, ParsedRequest, Scope, UNSIGNED_PAYLOAD};
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::duration;
use super::links::{self, Links};
use super::signing::invalid;
use crate::error::Refusal;
use crate::http::http_date;
use crate::policy::CLOCK_TOLERANCE;
use crate::prompt::word;

/// Longest policy of a form in bytes, in base64: S3 takes 20 KB of form in all.
const MAX_POLICY: usize = 64 * 1024;
/// Most parameters, headers and conditions besides what decides: nobody reads more.
const MAX_MORE: usize = 32;
/// Longest list of scopes in a prompt, in characters; it is never cut.
const MAX_PLACES: usize = 2000;
/// SHA-256 of nothing, in hex.
const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// Headers that do not say what a request does.
const DULL: [&str; 13] = [
    "accept",
    "accept-encoding",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "content-length",
    "content-md5",
    "content-type",
    "host",
    "user-agent",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-user-agent",
];

/// What is to be signed, taken apart.
pub(super) enum Work {
    /// A link.
    Presign(ParsedPresign, Scheme),
    /// Several links.
    Links(Links),
    /// A request with its signature in a header; and what it asks for.
    Sign { request: ParsedRequest, scope: Scope, asks: Vec<String> },
    /// A form; its place and life, and what else holds.
    Policy { policy: String, scope: Scope, text: String, more: Vec<String> },
    /// A form by Signature Version 2.
    PolicyV2 { policy: Password, text: String, more: Vec<String> },
    /// A request by Signature Version 2.
    V2 { string_to_sign: Password, text: String, more: Vec<String> },
}

/// What an operation would have signed, as a person is told it, but for the program that asks; `now` is Unix time in
/// seconds. For tests that feed it with nonsense.
///
/// # Errors
/// Why it is not signed.
pub fn describe(op: &Op, now: u64) -> Result<String, keyfob_core::message::Failure> {
    let described = || match op {
        Op::SigningKeys { access_key_id, at, scopes, purpose } => {
            let date = AmzDate::from_unix(*at).map_err(invalid)?;
            let scopes: Vec<_> = scopes.iter().map(|s| (s.region.as_str(), s.service.as_str())).collect();
            describe_keys(access_key_id, &date, &scopes, purpose, now)
        }
        op => match identity(op)? {
            Some((access_key_id, _)) => Work::of(op)?.describe(&access_key_id, now),
            None => Err(invalid("there is nothing to sign")),
        },
    };
    described().map_err(|Refusal(failure)| failure)
}

/// The identity that an operation signs with, and by which signature; none if it signs nothing.
pub(super) fn identity(op: &Op) -> Result<Option<(String, SignatureVersion)>, Refusal> {
    use SignatureVersion::{HmacV1, SigV4};
    Ok(match op {
        Op::Presign { canonical_request, virtual_hosted, .. } => {
            let request = parse_presign(&canonical_request.0, *virtual_hosted)?;
            Some((request.access_key_id().to_owned(), SigV4))
        }
        // That of all; whether it is, is seen when they are read.
        Op::PresignMany { canonical_requests, .. } => match canonical_requests.first() {
            Some(first) => Some((parse_presign(&first.0, false)?.access_key_id().to_owned(), SigV4)),
            None => return Err(links::wrong_number(0)),
        },
        Op::Sign { access_key_id, .. } | Op::SigningKeys { access_key_id, .. } => {
            Some((access_key_id.clone(), SigV4))
        }
        Op::SignPolicy { access_key_id, signature, .. } => Some((access_key_id.clone(), *signature)),
        Op::SignV2 { access_key_id, .. } => Some((access_key_id.clone(), HmacV1)),
        _ => None,
    })
}

pub(super) fn parse_presign(
    canonical_request: &str,
    virtual_hosted: bool,
) -> Result<ParsedPresign, s3::ParseError> {
    if virtual_hosted {
        ParsedPresign::parse_virtual_hosted(canonical_request)
    } else {
        ParsedPresign::parse(canonical_request)
    }
}

impl Work {
    pub(super) fn of(op: &Op) -> Result<Self, Refusal> {
        Ok(match op {
            Op::Presign { canonical_request, scheme, virtual_hosted } => {
                Self::Presign(parse_presign(&canonical_request.0, *virtual_hosted)?, *scheme)
            }
            Op::PresignMany { canonical_requests, scheme } => {
                Self::Links(Links::read(canonical_requests, *scheme)?)
            }
            Op::Sign { region, service, canonical_request, body, .. } => {
                let request = ParsedRequest::parse(&canonical_request.0).map_err(invalid)?;
                let scope = Scope::new(request.date(), region, service).map_err(invalid)?;
                let asks = asks(&request, body.as_ref())?;
                Self::Sign { request, scope, asks }
            }
            Op::SignPolicy { access_key_id, signature, policy } => {
                let Form { text, more, scope } = read_policy(policy, access_key_id)?;
                let policy = policy.clone();
                match (signature, scope) {
                    (SignatureVersion::SigV4, Some(scope)) => Self::Policy { policy, scope, text, more },
                    (SignatureVersion::HmacV1, None) => {
                        Self::PolicyV2 { policy: Password(policy), text, more }
                    }
                    _ => return Err(invalid("the policy is one for another signature")),
                }
            }
            Op::SignV2 { string_to_sign, host, .. } => {
                let (text, more) = read_v2(&string_to_sign.0).ok_or_else(|| {
                    invalid("what is to be signed is no string to sign of Signature Version 2")
                })?;
                let text = format!("{text} at {}", word(host));
                Self::V2 { string_to_sign: string_to_sign.clone(), text, more }
            }
            _ => return Err(invalid("there is nothing to sign")),
        })
    }

    /// What the person is told, but for the program: what decides first, then all the rest.
    pub(super) fn describe(&self, access_key_id: &str, now: u64) -> Result<String, Refusal> {
        let id = word(access_key_id);
        let mut names = String::new();
        let (text, more) = match self {
            Self::Presign(request, scheme) => (presign_text(request, *scheme, now), presign_more(request)),
            Self::Links(links) => {
                names = links.names();
                // Each one's version stands with its name.
                let more = presign_more(links.first()).split_off(links.first().version_id().iter().len());
                (links.text(now), more)
            }
            Self::Sign { request, scope, asks } => {
                let mut text =
                    format!("{} {}", request.method(), word(&[request.host(), request.path()].concat()));
                if !request.query().is_empty() {
                    text += &format!(" ?{}", word(request.query()));
                }
                text += &format!(" as {id} ({} in {}", scope.service(), scope.region());
                if request.date().unix().abs_diff(now) > CLOCK_TOLERANCE {
                    text += &format!(", for {}", request.date().as_str());
                }
                (text + ")", asks.clone())
            }
            Self::Policy { text, more, scope, .. } => {
                (format!("{text} as {id} (s3 in {})", scope.region()), more.clone())
            }
            Self::PolicyV2 { text, more, .. } | Self::V2 { text, more, .. } => {
                (format!("{text} as {id} by Signature Version 2"), more.clone())
            }
        };
        if more.len() > MAX_MORE {
            return Err(invalid(format!(
                "{} headers, parameters and conditions are more than a prompt can show: {MAX_MORE} are the most",
                more.len()
            )));
        }
        Ok(more.iter().fold(text, |text, more| text + ", " + more) + &names)
    }
}

/// What signing keys are asked for. What they can do comes first: the purpose is the front end's own word.
pub(super) fn describe_keys(
    access_key_id: &str,
    date: &AmzDate,
    scopes: &[(&str, &str)],
    purpose: &str,
    now: u64,
) -> Result<String, Refusal> {
    for (region, service) in scopes {
        Scope::new(date, region, service).map_err(invalid)?;
    }
    let services: BTreeSet<_> = scopes.iter().map(|(_, service)| *service).collect();
    let places: Vec<_> = services
        .into_iter()
        .map(|service| {
            let regions: BTreeSet<_> =
                scopes.iter().filter(|(_, s)| *s == service).map(|(region, _)| *region).collect();
            format!("{service} in {}", regions.into_iter().collect::<Vec<_>>().join(", "))
        })
        .collect();
    let places = places.join("; ");
    if places.len() > MAX_PLACES {
        return Err(invalid("so many regions and services cannot be shown: declare those that are needed"));
    }
    let today = AmzDate::from_unix(now).is_ok_and(|today| today.date() == date.date());
    let day = String::from_utf8_lossy(date.date()).into_owned();
    let until = if today {
        "until midnight UTC".to_owned()
    } else {
        format!("for the day {day} (UTC), which is not today")
    };
    Ok(format!("anything for {places} as {} {until}: {}", word(access_key_id), word(purpose)))
}

/// `NAME: VALUE`, but no secret.
fn field(name: &str, value: &str) -> String {
    match value {
        "" => word(name),
        _ if s3::is_secret_header(name) => format!("{}: a key that is not shown", word(name)),
        _ if name == "x-amz-security-token" || name == "x-amz-s3session-token" => {
            "a session token".to_owned()
        }
        value => format!("{}: {}", word(name), word(value)),
    }
}

/// What a link is for, where, by whom, how long.
fn presign_text(request: &ParsedPresign, scheme: Scheme, now: u64) -> String {
    let (method, bucket, key) = (request.method(), request.bucket(), request.key());
    let list = if key.is_empty() { "the list of " } else { "" };
    let place = if request.endpoint().kind() == EndpointKind::Other {
        // Where that server has its buckets is not known here.
        let path = request.canonical_request().split('\n').nth(1).unwrap_or_default();
        word(&format!("{}://{}{path}", scheme.as_str(), request.host()))
    } else {
        let place = if key.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{key}") };
        format!("{} at {}", word(&place), tls_of(request, scheme))
    };
    format!("{method} {list}{place} as {} {}", request.access_key_id(), life(request, "works", now))
}

/// AWS's server, and whether it is reached in the clear.
pub(super) fn tls_of(request: &ParsedPresign, scheme: Scheme) -> String {
    let tls = if scheme == Scheme::Http { " without TLS" } else { "" };
    format!("{}{tls}", word(request.authority()))
}

/// `(works for 1 h)`.
pub(super) fn life(request: &ParsedPresign, works: &str, now: u64) -> String {
    let mut text = format!("({works} for {}", duration(request.expires()));
    if request.time().abs_diff(now) > CLOCK_TOLERANCE {
        text += &format!(" from {}", request.date().as_str());
    }
    text + ")"
}

/// All else that a link says.
fn presign_more(request: &ParsedPresign) -> Vec<String> {
    let version = request.version_id().map(|id| format!("version {}", word(id)));
    let parameters = request.parameters().iter().filter(|(name, _)| name != s3::VERSION_ID);
    let token = request.has_session_token().then(|| "a session token".to_owned());
    let more = parameters.chain(request.headers()).map(|(name, value)| field(name, value));
    version.into_iter().chain(more).chain(token).collect()
}

/// What a request asks for, outside its method and path: its action, its headers, its body.
fn asks(request: &ParsedRequest, body: Option<&Password>) -> Result<Vec<String>, Refusal> {
    let mut asks = Vec::new();
    // Of a body that is not signed, or chunk by chunk, it says nothing what was sent along.
    let is_hashed =
        request.payload_hash() != UNSIGNED_PAYLOAD && !request.payload_hash().starts_with("STREAMING-");
    let body = body.filter(|_| is_hashed).map(|Password(body)| body.as_str());
    if let Some(body) = body {
        let hash = HEXLOWER.encode(&Sha256::digest(body.as_bytes()));
        if !bool::from(hash.as_bytes().ct_eq(request.payload_hash().as_bytes())) {
            return Err(invalid("the body is not the one whose hash is to be signed"));
        }
    }
    let form = "application/x-www-form-urlencoded";
    let is_form = request.header("content-type").is_some_and(|kind| {
        kind.trim().get(..form.len()).is_some_and(|start| start.eq_ignore_ascii_case(form))
    });
    let form = body.filter(|_| is_form);
    let mut actions = actions(request.query()).chain(form.into_iter().flat_map(actions));
    let action = actions.next();
    if actions.next().is_some() {
        return Err(invalid("the request names an action more than once"));
    }
    if let Some((name, value)) = action {
        let plain = (1..=128).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric());
        if name != "Action" || !plain {
            return Err(invalid("the request spells its action in a way that cannot be shown"));
        }
        asks.push(format!("Action={value}"));
    }
    asks.extend(
        request
            .headers()
            .iter()
            .filter(|(name, _)| !DULL.contains(&name.as_str()))
            .map(|(name, value)| field(name, value)),
    );
    match (request.payload_hash(), body) {
        (EMPTY_HASH, _) => {}
        (_, Some(_)) if is_form && action.is_some() => {}
        (_, Some(body)) => asks.push(format!("with a body of {} bytes", body.len())),
        (UNSIGNED_PAYLOAD, None) => asks.push("with whatever body".to_owned()),
        (hash, None) if hash.starts_with("STREAMING-") => asks.push("with a body in chunks".to_owned()),
        (_, None) => asks.push("with a body that is not shown".to_owned()),
    }
    Ok(asks)
}

/// The pairs of a query or a form that a server may take for the action, however they are spelled.
fn actions(pairs: &str) -> impl Iterator<Item = (&str, &str)> {
    pairs.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).filter(|(name, _)| {
        let mut decoded = Vec::with_capacity(name.len());
        let mut rest = name.bytes();
        while let Some(byte) = rest.next() {
            let hex = || Some((rest.clone().next()?, rest.clone().nth(1)?));
            let digit = |byte: u8| char::from(byte).to_digit(16);
            match (byte, hex()) {
                (b'%', Some((high, low))) if digit(high).is_some() && digit(low).is_some() => {
                    let value = digit(high).unwrap_or(0) * 16 + digit(low).unwrap_or(0);
                    decoded.push(u8::try_from(value).unwrap_or_default());
                    rest.nth(1);
                }
                (b'+', _) => decoded.push(b' '),
                _ => decoded.push(byte),
            }
        }
        // A second decoding would find another one in there.
        let trimmed = decoded.trim_ascii();
        trimmed.eq_ignore_ascii_case(b"Action") || trimmed.contains(&b'%')
    })
}

/// A policy as the form's maker writes it, and in no other way: servers differ in what they make of names that are there
/// twice or in another case, and of conditions of other forms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    expiration: String,
    conditions: Vec<Condition>,
}

enum Condition {
    Equals(String, String),
    StartsWith(String, String),
    Length(u64, u64),
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Condition;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a condition")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Condition, A::Error> {
                let (name, value) =
                    map.next_entry::<String, String>()?.ok_or_else(|| A::Error::custom("it is empty"))?;
                match map.next_key::<IgnoredAny>()? {
                    None => Ok(Condition::Equals(name, value)),
                    Some(_) => Err(A::Error::custom("two in one")),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Condition, A::Error> {
                let short = || A::Error::custom("it is too short");
                let how: String = list.next_element()?.ok_or_else(short)?;
                let condition = match how.as_str() {
                    "starts-with" => {
                        let name: String = list.next_element()?.ok_or_else(short)?;
                        let name = name.strip_prefix('$').ok_or_else(|| A::Error::custom("no field"))?;
                        Condition::StartsWith(name.to_owned(), list.next_element()?.ok_or_else(short)?)
                    }
                    "content-length-range" => Condition::Length(
                        list.next_element()?.ok_or_else(short)?,
                        list.next_element()?.ok_or_else(short)?,
                    ),
                    _ => return Err(A::Error::custom("not known")),
                };
                match list.next_element::<IgnoredAny>()? {
                    None => Ok(condition),
                    Some(_) => Err(A::Error::custom("it is too long")),
                }
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// A form, read.
#[derive(Debug)]
struct Form {
    /// Where it uploads to, and until when.
    text: String,
    /// What else holds.
    more: Vec<String>,
    /// What it is signed for, if its policy says so.
    scope: Option<Scope>,
}

fn read_policy(policy: &str, access_key_id: &str) -> Result<Form, Refusal> {
    let broken = || {
        invalid("what is to be signed is no policy of a form, in the one way in which they are written here")
    };
    if policy.len() > MAX_POLICY {
        return Err(broken());
    }
    let json = BASE64.decode(policy.as_bytes()).map_err(|_| broken())?;
    let Policy { expiration, conditions } = serde_json::from_slice(&json).map_err(|_| broken())?;
    let end = crate::cli::time::parse(&expiration).ok().and_then(|end| AmzDate::from_unix(end).ok());
    let end = end.filter(|end| end.to_iso8601() == expiration).ok_or_else(broken)?;

    let (mut bucket, mut key, mut credential, mut date) = (None, None, None, None);
    let mut more = Vec::new();
    let mut names = BTreeSet::new();
    for condition in conditions {
        let name = match &condition {
            Condition::Equals(name, _) | Condition::StartsWith(name, _) => name.to_ascii_lowercase(),
            Condition::Length(..) => "content-length-range".to_owned(),
        };
        let plain =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !plain || !names.insert(name.clone()) {
            return Err(broken());
        }
        match (name.as_str(), condition) {
            ("bucket", Condition::Equals(_, value)) => bucket = Some(value),
            ("key", condition) => key = Some(condition),
            ("bucket" | "policy" | "x-amz-signature" | "signature" | "awsaccesskeyid", _) => {
                return Err(broken());
            }
            ("x-amz-credential", Condition::Equals(_, value)) => credential = Some(value),
            ("x-amz-date", Condition::Equals(_, value)) => date = Some(value),
            ("x-amz-algorithm", Condition::Equals(_, value)) if value == keyfob_core::sigv4::ALGORITHM => {}
            ("x-amz-algorithm" | "x-amz-credential" | "x-amz-date", _) => return Err(broken()),
            (name, Condition::Equals(_, value)) => more.push(field(name, &value)),
            (name, Condition::StartsWith(_, start)) if start.is_empty() => more.push(format!("any {name}")),
            (name, Condition::StartsWith(_, start)) => {
                more.push(format!("{name} begins with {}", word(&start)));
            }
            (_, Condition::Length(least, most)) => more.push(format!("{least} to {most} bytes")),
        }
    }
    let bucket = bucket.ok_or_else(|| invalid("the policy names no bucket"))?;
    let place = match key {
        Some(Condition::Equals(_, key)) => word(&format!("s3://{bucket}/{key}")),
        Some(Condition::StartsWith(_, start)) => {
            format!("whatever begins with {}", word(&format!("s3://{bucket}/{start}")))
        }
        _ => return Err(invalid("the policy does not say for which keys it is")),
    };
    let scope = match (credential, date) {
        (Some(credential), Some(date)) => {
            let date = AmzDate::parse(&date).map_err(invalid)?;
            let region = credential.split('/').nth(2).unwrap_or_default();
            let scope = Scope::new(&date, region, s3::SERVICE).map_err(invalid)?;
            if credential != format!("{access_key_id}/{scope}") {
                return Err(invalid("the policy is of another access key, another day, or not for S3"));
            }
            if end.unix() <= date.unix() || end.unix() - date.unix() > MAX_EXPIRES {
                return Err(invalid("the policy ends before it begins, or lasts longer than 7 days"));
            }
            Some(scope)
        }
        (None, None) => None,
        _ => return Err(broken()),
    };
    Ok(Form { text: format!("a form that uploads to {place} until {expiration}"), more, scope })
}

/// What a string to sign of Signature Version 2 asks for, and all else that it says; none if it is not one.
fn read_v2(string_to_sign: &str) -> Option<(String, Vec<String>)> {
    let mut lines = string_to_sign.split('\n');
    let method = lines.next().filter(|m| !m.is_empty() && m.bytes().all(|b| b.is_ascii_uppercase()))?;
    let (md5, content_type, date) = (lines.next()?, lines.next()?, lines.next()?);
    let mut headers: Vec<(&str, &str)> = Vec::new();
    let resource = loop {
        let line = lines.next()?;
        if line.starts_with('/') {
            break line;
        }
        let (name, value) = line.split_once(':').filter(|(name, _)| name.starts_with("x-amz-"))?;
        if headers.last().is_some_and(|(last, _)| *last >= name) {
            return None;
        }
        headers.push((name, value));
    };
    if lines.next().is_some() || string_to_sign.chars().any(|c| c.is_control() && c != '\n') {
        return None;
    }
    let amz_date = headers.iter().find(|(name, _)| *name == "x-amz-date").map(|(_, value)| *value);
    let when = if let Ok(expires) = date.parse::<u64>() {
        // One spelling: servers read others as the same number, or as none.
        let end = AmzDate::from_unix(expires).ok().filter(|_| expires.to_string() == date)?;
        format!("a link until {}", end.to_iso8601())
    } else if date.is_empty() {
        format!("of {}", word(amz_date?))
    } else {
        AmzDate::from_unix(http_date(date)?).ok().filter(|read| read.to_http_date() == date)?;
        format!("of {}", word(date))
    };
    let text = format!("{method} {}, {when},", word(resource));
    let md5 = (!md5.is_empty()).then(|| field("content-md5", md5));
    let content_type = (!content_type.is_empty()).then(|| field("content-type", content_type));
    let headers =
        headers.iter().filter(|(name, _)| *name != "x-amz-date").map(|(name, value)| field(name, value));
    Some((text, content_type.into_iter().chain(md5).chain(headers).collect()))
}

#[cfg(test)]
mod tests {
    use keyfob_core::sigv4::{Payload, Query, SignableRequest, Signer};

    use super::*;

    #[test]
    fn a_prompt_says_all_that_is_signed() {
        use keyfob_core::s3::{PresignRequest, Target, Variant};

        #[track_caller]
        fn check(name: &str, change: impl FnOnce(&mut PresignRequest<'_>), expected: &str) {
            let Target { endpoint, bucket } =
                Target::aws(name, Some("eu-west-1"), Variant::default()).unwrap();
            let mut request = PresignRequest {
                method: "PUT",
                endpoint: &endpoint,
                bucket: &bucket,
                key: "k",
                access_key_id: "AKIA",
                time: 1_369_353_600,
                expires: 900,
                session_token: None,
                version_id: None,
                query: &[],
                headers: &[],
            };
            change(&mut request);
            let parsed = ParsedPresign::parse(&request.canonical_request().unwrap()).unwrap();
            let text = Work::Presign(parsed, Scheme::Https).describe("AKIA", 1_369_353_600).unwrap();
            let (place, more) = expected.split_once('|').unwrap_or((expected, ""));
            assert_eq!(text, format!("{place} as AKIA (works for 15 min){more}"));
        }
        let s3 = "at s3.eu-west-1.amazonaws.com";
        check(
            "bucket",
            |r| r.query = &[("uploadId", "a/b"), ("partNumber", "3")],
            &format!("PUT s3://bucket/k {s3}|, partNumber: 3, uploadId: a/b"),
        );
        check(
            "bucket",
            |r| (r.method, r.query) = ("POST", &[("uploads", "")]),
            &format!("POST s3://bucket/k {s3}|, uploads"),
        );
        check(
            "bucket",
            |r| (r.method, r.key, r.query) = ("GET", "", &[("prefix", "a/"), ("list-type", "2")]),
            &format!("GET the list of s3://bucket {s3}|, list-type: 2, prefix: a/"),
        );
        check(
            "bucket",
            |r| (r.version_id, r.headers) = (Some("1"), &[("X-Amz-Acl", "public-read")]),
            &format!("PUT s3://bucket/k {s3}|, version 1, x-amz-acl: public-read"),
        );
        check(
            "bucket",
            |r| r.headers = &[("x-amz-server-side-encryption-customer-key", "c2VjcmV0")],
            &format!(
                "PUT s3://bucket/k {s3}|, x-amz-server-side-encryption-customer-key: a key that is not shown"
            ),
        );
        check(
            "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/my-ap",
            |_| (),
            "PUT s3://my-ap-123456789012/k at s3-object-lambda.eu-west-1.amazonaws.com",
        );
        // What could be taken for another part is in quotes, and nothing important can be pushed out of sight.
        check(
            "bucket",
            |r| r.key = "a.txt at s3 as AKIA (works for 1 min)",
            &format!("PUT \"s3://bucket/a.txt at s3 as AKIA (works for 1 min)\" {s3}"),
        );
        check(
            "bucket",
            |r| r.headers = &[("x-amz-meta-a", "1, x-amz-acl: private")],
            &format!("PUT s3://bucket/k {s3}|, x-amz-meta-a: \"1, x-amz-acl: private\""),
        );
        let long: &str = ["a".repeat(300), "/end.txt".to_owned()].concat().leak();
        let cut = ["s3://bucket/", &"a".repeat(108), "…", &"a".repeat(52), "/end.txt"].concat();
        check("bucket", |r| r.key = long, &format!("PUT {cut} {s3}"));
    }

    #[test]
    fn a_server_of_ones_own_is_shown_as_it_is_reached() {
        use keyfob_core::s3::{Endpoint, PresignRequest};
        let endpoint = Endpoint::custom("http://bucket.example:9000", "us-east-1").unwrap();
        let request = PresignRequest {
            method: "GET",
            endpoint: &endpoint,
            bucket: "abc",
            key: "k",
            access_key_id: "AKIA",
            time: 1_369_353_600,
            expires: 900,
            session_token: None,
            version_id: None,
            query: &[],
            headers: &[],
        };
        let parsed = ParsedPresign::parse(&request.canonical_request().unwrap()).unwrap();
        assert_eq!(
            Work::Presign(parsed, Scheme::Http).describe("AKIA", 1_369_353_600).unwrap(),
            "GET http://bucket.example:9000/abc/k as AKIA (works for 15 min)"
        );
    }

    /// A request of IAM that is to be signed, and a body that may be sent along.
    fn op(query: &str, headers: &[(&str, &str)], payload: Payload<'_>, body: Option<&str>) -> Op {
        let date = AmzDate::from_unix(1_369_353_600).unwrap();
        let scope = Scope::new(&date, "us-east-1", "iam").unwrap();
        let (host, query) = ("iam.amazonaws.com", Query::Sent(query));
        let request = SignableRequest { method: "POST", host, path: "/", query, headers, payload };
        let prepared = Signer::new("AKIA", None, "iam").prepare(&request, &date, &scope).unwrap();
        Op::Sign {
            access_key_id: "AKIA".to_owned(),
            region: "us-east-1".to_owned(),
            service: "iam".to_owned(),
            canonical_request: Password(prepared.canonical_request().to_owned()),
            body: body.map(|body| Password(body.to_owned())),
        }
    }

    #[test]
    fn an_action_is_shown_or_not_signed() {
        /// What is said of a request with that query and those headers, and of a body that may be sent along.
        #[track_caller]
        fn check(
            query: &str,
            headers: &[(&str, &str)],
            body: &str,
            sent: bool,
            expected: Result<&str, &str>,
        ) {
            let op = op(query, headers, Payload::Bytes(body.as_bytes()), sent.then_some(body));
            match (describe(&op, 1_369_353_600), expected) {
                (Ok(text), Ok(expected)) => {
                    let (_, asks) = text.split_once("as AKIA (iam in us-east-1)").unwrap();
                    assert_eq!(asks, expected);
                }
                (Err(failure), Err(expected)) => assert!(failure.message.contains(expected), "{failure:?}"),
                (actual, expected) => panic!("{actual:?} is not {expected:?}"),
            }
        }
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let body = "Action=CreateAccessKey&UserName=admin";
        let unsigned = describe(&op("", &form, Payload::Unsigned, Some(body)), 1_369_353_600).unwrap();
        assert!(unsigned.ends_with("(iam in us-east-1), with whatever body"), "{unsigned}");
        check("", &form, body, true, Ok(", Action=CreateAccessKey"));
        check("", &form, body, false, Ok(", with a body that is not shown"));
        check(
            "",
            &[("Content-Type", "Application/X-WWW-form-urlencoded")],
            body,
            true,
            Ok(", Action=CreateAccessKey"),
        );
        check("", &[], body, true, Ok(", with a body of 37 bytes"));
        check(
            "",
            &[form[0], ("x-amz-target", "Action=GetUser")],
            body,
            true,
            Ok(", Action=CreateAccessKey, x-amz-target: Action=GetUser"),
        );
        check("Action=GetUser", &form, body, true, Err("more than once"));
        check("Action=GetUser", &form, body, false, Ok(", Action=GetUser, with a body that is not shown"));
        check("Action=GetUser&Acti%6Fn=DeleteUser", &[], "", false, Err("more than once"));
        check("acti%6Fn=DeleteUser", &[], "", false, Err("cannot be shown"));
        check("Acti%256Fn=DeleteUser", &[], "", false, Err("cannot be shown"));
        check("", &form, "%41ction=DeleteUser", true, Err("cannot be shown"));
        check("", &form, "Action=Get%0AUser", true, Err("cannot be shown"));
        let long = format!("A={}&Action=CreateAccessKey", "a".repeat(300));
        check(&long, &[], "", false, Ok(", Action=CreateAccessKey"));
        check(
            "",
            &[("x-amz-copy-source", "/secret/passwords"), ("x-amz-acl", "public-read"), ("user-agent", "x")],
            "",
            false,
            Ok(", x-amz-acl: public-read, x-amz-copy-source: /secret/passwords"),
        );
        let many: Vec<String> = (0..40).map(|n| format!("x-amz-meta-{n:02}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "v")).collect();
        check("", &many, "", false, Err("more than a prompt can show"));
    }

    #[test]
    fn strings_of_version_2_are_read() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            let read = read_v2(text).map(|(text, more)| [vec![text], more].concat().join(" "));
            assert_eq!(read.as_deref(), expected, "{text:?}");
        }
        check(
            "GET\n\n\n1369357200\n/bucket/key?acl",
            Some("GET /bucket/key?acl, a link until 2013-05-24T01:00:00Z,"),
        );
        check(
            "PUT\n\ntext/plain\nTue, 27 Mar 2007 19:36:42 GMT\nx-amz-acl:private\n/b/k",
            Some(
                "PUT /b/k, of \"Tue, 27 Mar 2007 19:36:42 GMT\", content-type: text/plain x-amz-acl: private",
            ),
        );
        check(
            "PUT\n\n\n\nx-amz-date:Tue, 27 Mar 2007 19:36:42 GMT\n/b/k",
            Some("PUT /b/k, of \"Tue, 27 Mar 2007 19:36:42 GMT\","),
        );
        check(
            "PUT\n\n\n1369357200\nx-amz-server-side-encryption-customer-key:c2VjcmV0\n/b/k",
            Some(
                "PUT /b/k, a link until 2013-05-24T01:00:00Z, x-amz-server-side-encryption-customer-key: a key that is \
                 not shown",
            ),
        );
        for date in [
            " 1369357200",
            "1369357200 ",
            "+1369357200",
            "01369357200",
            "1369357200x",
            "99999999999999999999",
            "",
        ] {
            check(&format!("GET\n\n\n{date}\n/b/k"), None);
        }
        check("GET\n\n\n1369357200\n/b/k\n", None);
        check("GET\n\n\n1369357200\nx-amz-b:1\nx-amz-a:1\n/b/k", None);
        check("GET\n\n\n1369357200\nb/k", None);
        check("get\n\n\n1369357200\n/b/k", None);
        check("GET\n\n1369357200\n/b/k", None);
        check("GET\n\n\n\u{7}\n/b/k", None);
        check("", None);
    }

    #[test]
    fn policies_are_read() {
        #[track_caller]
        fn check(json: &str, expected: Result<(&str, Option<&str>), &str>) {
            match (read_policy(&BASE64.encode(json.as_bytes()), "AKIA"), expected) {
                (Ok(form), Ok((expected, expected_scope))) => {
                    let text = [vec![form.text], form.more].concat().join(", ");
                    assert_eq!(
                        (text.as_str(), form.scope.as_ref().map(Scope::as_str)),
                        (expected, expected_scope)
                    );
                }
                (Err(Refusal(failure)), Err(expected)) => {
                    assert!(failure.message.contains(expected), "{json}: {}", failure.message);
                }
                (actual, expected) => panic!("{json}: {actual:?} is not {expected:?}"),
            }
        }
        let until = |expiration: &str, conditions: &str| {
            format!(r#"{{"expiration": "{expiration}", "conditions": [{conditions}]}}"#)
        };
        let policy = |conditions: &str| until("2026-01-01T00:00:00Z", conditions);
        check(
            &policy(
                r#"{"acl": "private"}, ["starts-with", "$Content-Type", ""], ["content-length-range", 1, 10],
                   {"bucket": "b"}, ["starts-with", "$key", "up/"]"#,
            ),
            Ok((
                "a form that uploads to whatever begins with s3://b/up/ until 2026-01-01T00:00:00Z, acl: private, any \
                 content-type, 1 to 10 bytes",
                None,
            )),
        );
        let exact = r#"{"bucket": "b"}, {"key": "k"}"#;
        let scoped = |credential: &str, date: &str| {
            policy(&format!(r#"{exact}, {{"x-amz-credential": "{credential}"}}, {{"x-amz-date": "{date}"}}"#))
        };
        let date = "20251231T000000Z";
        check(
            &scoped("AKIA/20251231/eu-west-1/s3/aws4_request", date),
            Ok((
                "a form that uploads to s3://b/k until 2026-01-01T00:00:00Z",
                Some("20251231/eu-west-1/s3/aws4_request"),
            )),
        );
        check(&scoped("AKIB/20251231/eu-west-1/s3/aws4_request", date), Err("another access key"));
        check(&scoped("AKIA/20251230/eu-west-1/s3/aws4_request", date), Err("another day"));
        check(&scoped("AKIA/20251231/us-east-1/iam/aws4_request", date), Err("not for S3"));
        check(
            &scoped("AKIA/20251201/eu-west-1/s3/aws4_request", "20251201T000000Z"),
            Err("longer than 7 days"),
        );
        check(
            &scoped("AKIA/20260102/eu-west-1/s3/aws4_request", "20260102T000000Z"),
            Err("before it begins"),
        );
        check(&policy(r#"{"key": "k"}"#), Err("no bucket"));
        check(&policy(r#"{"bucket": "b"}"#), Err("for which keys"));
        // What servers read in ways of their own.
        for conditions in [
            r#"{"bucket": "b", "bucket": "harmless"}"#,
            r#"{"bucket": "b"}, {"Bucket": "harmless"}"#,
            r#"["eq", "bucket", "bucket"]"#,
            r#"["eq", "$bucket", "b"]"#,
            r#"["starts-with", "$bucket", "b"]"#,
            r#"["starts-with", "key", "b"]"#,
            r#"["starts-with", "$$$key", "b"]"#,
            r#"["starts-with", "$key", ["b"]]"#,
            r#"["starts-with", "$key", "b", "c"]"#,
            r#"["content-length-range", "1", "2"]"#,
            r#"["content-length-range", 1, -2]"#,
            r#"{"key": 1}"#,
            r#"{}"#,
            r#"["matches", "$key", "x"]"#,
            r#"{"x-amz-algorithm": "none"}"#,
            r#"{"x-amz-date": "20251231T000000Z"}"#,
        ] {
            check(&policy(&format!("{exact}, {conditions}")), Err("the one way"));
        }
        check(
            r#"{"expiration": "2099-01-01T00:00:00Z", "expiration": "2026-01-01T00:00:00Z", "conditions": []}"#,
            Err("the one way"),
        );
        check(
            r#"{"expiration": "2026-01-01T00:00:00Z", "Conditions": [], "conditions": []}"#,
            Err("the one way"),
        );
        check(&until("whenever", exact), Err("the one way"));
        check(&until("2026-01-01", exact), Err("the one way"));
        check(&until("2026-01-01T00:00:00+00:00", exact), Err("the one way"));
        check("[]", Err("the one way"));
        check("", Err("the one way"));
    }

    #[test]
    fn what_keys_can_do_comes_first() {
        let date = AmzDate::from_unix(1_369_353_600).unwrap();
        let scopes = [("eu-west-1", "s3"), ("us-east-1", "iam"), ("eu-central-1", "s3")];
        let text =
            describe_keys("AKIA", &date, &scopes, "one link as AKIA (harmless)", 1_369_353_600).unwrap();
        assert_eq!(
            text,
            "anything for iam in us-east-1; s3 in eu-central-1, eu-west-1 as AKIA until midnight UTC: \
             \"one link as AKIA (harmless)\""
        );
        let text = describe_keys("AKIA", &date, &scopes[..1], "links", 1_400_000_000).unwrap();
        assert_eq!(
            text,
            "anything for s3 in eu-west-1 as AKIA for the day 20130524 (UTC), which is not today: links"
        );
        let regions: Vec<String> = (0..128).map(|n| format!("region-{n:040}")).collect();
        let scopes: Vec<_> = regions.iter().map(|region| (region.as_str(), "s3")).collect();
        assert!(describe_keys("AKIA", &date, &scopes, "links", 1_369_353_600).is_err());
    }
}
