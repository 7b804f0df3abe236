//! Signing: what is asked, as the host reads it; what the person is told; the key of the day.
//!
//! ```text
//! request ─► parsed here ─► prompt ─► CALCULATE over the date ─► date key ─► signing keys ─► signature
//!                                                                  erased      erased, or kept as long as the user wants
//! ```

use std::time::{Duration, Instant};

use keyfob_core::identity::IdentityName;
use keyfob_core::message::{Answer, ErrorCode, MAX_SCOPES, Op, Password, Scheme, SignatureVersion};
use keyfob_core::oath::CalculateFull;
use keyfob_core::s3::{self, ParsedPresign};
use keyfob_core::sigv2;
use keyfob_core::sigv4::{AmzDate, DateKey, ParsedRequest, Scope, Signature, SigningKey, string_to_sign};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{Events, Service, duration, no_identity, touch};
use crate::client::Client;
use crate::entry::{Entry, stored};
use crate::error::{Refusal, failure};
use crate::key::Conversation;
use crate::locked::Locked;
use crate::policy;
use crate::prompt::shown;

/// Most signing keys that are kept at a time: each has locked pages of its own.
const MOST_KEPT: usize = 64;
/// Longest policy of a form in bytes, in base64: S3 takes 20 KB of form in all.
const MAX_POLICY: usize = 64 * 1024;

type KeyBytes = Zeroizing<[u8; 32]>;

/// A signing key that the user wants kept for a while.
pub(super) struct Kept {
    access_key_id: String,
    scope: Scope,
    key: Locked<[u8; 32]>,
    /// The program that the person touched for.
    asker: String,
    since: Instant,
    /// As long as the person was told.
    keep: Duration,
}

impl Kept {
    /// Whether it is as old as that, or as the person was told.
    fn is_older_than(&self, keep: Duration) -> bool {
        self.since.elapsed() >= self.keep.min(keep)
    }
}

/// What is to be signed, taken apart.
enum Work {
    Presign(ParsedPresign, Scheme),
    Sign { request: ParsedRequest, scope: Scope, action: Option<String> },
    Policy { policy: String, scope: Scope, text: String },
    PolicyV2 { policy: String, text: String },
    V2 { string_to_sign: String, text: String },
}

fn invalid(error: impl std::fmt::Display) -> Refusal {
    failure(ErrorCode::InvalidInput, error.to_string(), "").into()
}

/// The identity that an operation signs with, and by which signature; none if it signs nothing.
pub(super) fn identity(op: &Op) -> Result<Option<(String, SignatureVersion)>, Refusal> {
    use SignatureVersion::{HmacV1, SigV4};
    Ok(match op {
        Op::Presign { canonical_request, virtual_hosted, .. } => {
            let request = parse_presign(canonical_request, *virtual_hosted)?;
            Some((request.access_key_id().to_owned(), SigV4))
        }
        Op::Sign { access_key_id, .. } | Op::SigningKeys { access_key_id, .. } => {
            Some((access_key_id.clone(), SigV4))
        }
        Op::SignPolicy { access_key_id, signature, .. } => Some((access_key_id.clone(), *signature)),
        Op::SignV2 { access_key_id, .. } => Some((access_key_id.clone(), HmacV1)),
        _ => None,
    })
}

impl Work {
    fn of(op: &Op) -> Result<Self, Refusal> {
        Ok(match op {
            Op::Presign { canonical_request, scheme, virtual_hosted } => {
                Self::Presign(parse_presign(canonical_request, *virtual_hosted)?, *scheme)
            }
            Op::Sign { region, service, canonical_request, body, .. } => {
                let request = ParsedRequest::parse(canonical_request).map_err(invalid)?;
                let scope = Scope::new(request.date(), region, service).map_err(invalid)?;
                let action = action(&request, body.as_ref())?;
                Self::Sign { request, scope, action }
            }
            Op::SignPolicy { access_key_id, signature: SignatureVersion::SigV4, policy } => {
                let (text, scope) = read_policy(policy, access_key_id)?;
                let scope =
                    scope.ok_or_else(|| invalid("the policy has no x-amz-credential and x-amz-date"))?;
                Self::Policy { policy: policy.clone(), scope, text }
            }
            Op::SignPolicy { access_key_id, policy, .. } => {
                let (text, _) = read_policy(policy, access_key_id)?;
                Self::PolicyV2 { policy: policy.clone(), text }
            }
            Op::SignV2 { string_to_sign, host, .. } => {
                let text = read_v2(string_to_sign).ok_or_else(|| {
                    invalid("what is to be signed is no string to sign of Signature Version 2")
                })?;
                Self::V2 {
                    string_to_sign: string_to_sign.clone(),
                    text: format!("{text} at {}", shown(host)),
                }
            }
            _ => return Err(invalid("there is nothing to sign")),
        })
    }

    /// What the person is told, but for the program and the identity.
    fn describe(&self, access_key_id: &str, now: u64) -> String {
        match self {
            Self::Presign(request, scheme) => describe(request, *scheme, now),
            Self::Sign { request, scope, action } => {
                let mut text =
                    format!("{} {}{}", request.method(), shown(request.host()), shown(request.path()));
                if !request.query().is_empty() {
                    text += &format!("?{}", shown(request.query()));
                }
                if let Some(action) = action {
                    text += &format!(", {}", shown(action));
                }
                text += &format!(" as {access_key_id} ({} in {}", scope.service(), scope.region());
                if request.date().unix().abs_diff(now) > policy::CLOCK_TOLERANCE {
                    text += &format!(", for {}", request.date().as_str());
                }
                text + ")"
            }
            Self::Policy { text, .. } => format!("{text} as {access_key_id}"),
            Self::PolicyV2 { text, .. } | Self::V2 { text, .. } => {
                format!("{text} as {access_key_id} by Signature Version 2")
            }
        }
    }
}

impl Service {
    /// Answers what asks for one signature.
    pub(super) fn sign(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        op: &Op,
        events: Events<'_>,
    ) -> Result<Answer, Refusal> {
        let work = Work::of(op)?;
        let now = self.now(None);
        if let Work::Presign(request, scheme) = &work {
            policy::check_presign(client, request, *scheme, now)?;
        }
        let Some((access_key_id, signature)) = identity(op)? else {
            return Err(invalid("nobody is named to sign"));
        };
        let identity = super::identity(&access_key_id, signature)?;
        let prompt = |kept: &str| {
            format!("{} asks to sign {}{kept}", client.asker, work.describe(&access_key_id, now))
        };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (scope, date) = match &work {
            Work::Presign(request, _) => (request.scope(), request.date()),
            Work::Sign { request, scope, .. } => (scope, request.date()),
            Work::Policy { scope, .. } => (scope, &day_of(scope)?),
            Work::PolicyV2 { policy: text, .. } | Work::V2 { string_to_sign: text, .. } => {
                sigv2::check_challenge(&identity.id()?, text).map_err(invalid)?;
                let mac = self.calculate(choice, &identity, text.as_bytes(), events, || prompt(""))?;
                return Ok(Answer::Signed { signature: hex(&mac) });
            }
        };
        let scopes = [(scope.region(), scope.service())];
        let keys = self.scope_keys(client, choice, &identity, date, &scopes, events, &prompt)?;
        let Some(key) = keys.into_iter().next() else { return Err(invalid("nothing is to be signed")) };
        let key = SigningKey::new(*scope, *key);
        Ok(match &work {
            Work::Presign(request, scheme) => {
                let url = request.sign(&key, *scheme).map_err(invalid)?;
                Answer::Presigned { url, expires_at: request.expires_at() }
            }
            Work::Sign { request, .. } => {
                let canonical = request.canonical_request();
                let signature = key.sign(&string_to_sign(request.date(), scope, canonical.as_bytes()));
                Answer::Signed { signature: signature.to_string() }
            }
            Work::Policy { policy, .. } => {
                let signature: Signature = key.sign_policy(policy);
                Answer::Signed { signature: signature.to_string() }
            }
            Work::PolicyV2 { .. } | Work::V2 { .. } => return Err(invalid("that was signed already")),
        })
    }

    /// Answers an [`Op::SigningKeys`].
    pub(super) fn signing_keys(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        op: &Op,
        events: Events<'_>,
    ) -> Result<Answer, Refusal> {
        let Op::SigningKeys { access_key_id, at, scopes, purpose } = op else {
            return Err(invalid("no signing keys are asked for"));
        };
        if !(1..=MAX_SCOPES).contains(&scopes.len()) {
            return Err(invalid(format!("1 to {MAX_SCOPES} scopes can be declared, not {}", scopes.len())));
        }
        let identity = super::identity(access_key_id, SignatureVersion::SigV4)?;
        let date = AmzDate::from_unix(*at).map_err(invalid)?;
        let scopes: Vec<_> =
            scopes.iter().map(|scope| (scope.region.as_str(), scope.service.as_str())).collect();
        for (region, service) in &scopes {
            Scope::new(&date, region, service).map_err(invalid)?;
        }
        let day = String::from_utf8_lossy(date.date()).into_owned();
        let places: Vec<_> =
            scopes.iter().map(|(region, service)| format!("{service} in {region}")).collect();
        let prompt = |kept: &str| {
            format!(
                "{} asks to sign {} as {access_key_id} (it may sign anything for {} on {day}){kept}",
                client.asker,
                shown(purpose),
                shown(&places.join(", ")),
            )
        };
        let keys = self.scope_keys(client, choice, &identity, &date, &scopes, events, &prompt)?;
        let hex = |key: KeyBytes| Password(key.iter().map(|byte| format!("{byte:02x}")).collect());
        Ok(Answer::SigningKeys { keys: keys.into_iter().map(hex).collect() })
    }

    /// The keys of a day's scopes: those that are kept, or all anew, from one date key.
    #[allow(clippy::too_many_arguments, reason = "as many as there are")]
    fn scope_keys(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        identity: &IdentityName,
        date: &AmzDate,
        scopes: &[(&str, &str)],
        events: Events<'_>,
        prompt: &dyn Fn(&str) -> String,
    ) -> Result<Vec<KeyBytes>, Refusal> {
        let access_key_id = identity.access_key_id();
        // What a browser asks for is what its person was shown, each time.
        let keep =
            client.config.signing_keep.filter(|_| !client.caller.is_browser()).map(Duration::from_secs);
        let declared: Vec<Scope> = scopes
            .iter()
            .map(|(region, service)| Scope::new(date, region, service).map_err(invalid))
            .collect::<Result<_, _>>()?;
        if let Some(keep) = keep {
            let mut kept = self.unlocked.kept();
            kept.retain(|kept| !kept.is_older_than(Duration::MAX));
            let known = |scope: &Scope| {
                kept.iter().find(|kept| {
                    kept.access_key_id == access_key_id
                        && kept.scope == *scope
                        && kept.asker == client.asker
                        && !kept.is_older_than(keep)
                })
            };
            let keys: Option<Vec<_>> =
                declared.iter().map(|scope| Some(Zeroizing::new(*known(scope)?.key))).collect();
            if let Some(keys) = keys {
                return Ok(keys);
            }
        }
        let note = keep.map(|keep| format!(", and so for {}", duration(keep.as_secs()))).unwrap_or_default();
        let mac = self.calculate(choice, identity, date.date(), events, || prompt(&note))?;
        let mac = <[u8; 32]>::try_from(mac.as_slice()).map_err(|_| not_for(identity, "SigV4"))?;
        let date_key = DateKey::new(mac, *date);
        let keys = scopes
            .iter()
            .map(|(region, service)| date_key.signing_key_bytes(region, service).map_err(invalid))
            .collect::<Result<Vec<_>, _>>()?;
        drop(date_key);
        if let Some(keep) = keep {
            let mut kept = self.unlocked.kept();
            for (scope, key) in declared.iter().zip(&keys) {
                kept.retain(|kept| {
                    kept.access_key_id != access_key_id || kept.scope != *scope || kept.asker != client.asker
                });
                kept.push(Kept {
                    access_key_id: access_key_id.to_owned(),
                    scope: *scope,
                    key: Locked::new(**key),
                    asker: client.asker.clone(),
                    since: Instant::now(),
                    keep,
                });
            }
            let too_many = kept.len().saturating_sub(MOST_KEPT);
            kept.drain(..too_many);
        }
        Ok(keys)
    }

    /// The whole HMAC of an identity over a challenge: 32 bytes for SigV4, 20 for Signature Version 2.
    fn calculate(
        &mut self,
        choice: Option<&str>,
        identity: &IdentityName,
        challenge: &[u8],
        events: Events<'_>,
        prompt: impl FnOnce() -> String,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let now = self.now(None);
        let mac = self.open(choice, true, |key| {
            let entry = listed(key, identity, now)?;
            touch(&entry, events, prompt);
            let calculate = CalculateFull { id: entry.id.clone(), challenge: challenge.to_vec() };
            let response = key.call(calculate).map_err(|error| entry.named(error))?;
            Ok(Zeroizing::new(response.expose().to_vec()))
        })?;
        let expected = match identity.signature() {
            SignatureVersion::HmacV1 => (sigv2::SIGNATURE_LEN, "Signature Version 2"),
            _ => (32, "SigV4"),
        };
        if mac.len() != expected.0 {
            return Err(not_for(identity, expected.1));
        }
        Ok(mac)
    }
}

/// The identity's credential, as the key lists it.
fn listed(key: &mut Conversation<'_>, identity: &IdentityName, now: u64) -> Result<Entry, Refusal> {
    let id = identity.id()?;
    let mut entries = stored(key, now)?;
    if let Some(at) = entries.iter().position(|entry| entry.id == id) {
        return Ok(entries.swap_remove(at));
    }
    let mut missing = no_identity(identity.access_key_id());
    // The secret may be there for the other signature.
    if entries.iter().any(|entry| {
        IdentityName::parse(&entry.id).is_some_and(|other| other.access_key_id() == identity.access_key_id())
    }) {
        let (has, wants, option) = match identity.signature() {
            SignatureVersion::HmacV1 => ("SigV4", "Signature Version 2", "v2"),
            _ => ("Signature Version 2", "SigV4", "v4"),
        };
        missing.message = format!(
            "the secret of {} is on this key for {has} only, not for {wants}",
            shown(identity.access_key_id())
        );
        missing.hint = Some(format!("`keyfob aws add --signature {option}` adds it, from the secret itself"));
    }
    Err(missing.into())
}

fn not_for(identity: &IdentityName, signature: &str) -> Refusal {
    let text = format!("the credential of {} is not one for {signature}", identity.access_key_id());
    failure(ErrorCode::BadAnswer, text, "delete the identity and add it again").into()
}

/// The first second of a scope's day.
fn day_of(scope: &Scope) -> Result<AmzDate, Refusal> {
    AmzDate::parse(&format!("{}T000000Z", scope.date())).map_err(invalid)
}

/// What a request asks for, as far as a service says that outside the path: the `Action` of a form, or `X-Amz-Target`.
fn action(request: &ParsedRequest, body: Option<&Password>) -> Result<Option<String>, Refusal> {
    if let Some(target) = request.header("x-amz-target") {
        return Ok(Some(target.to_owned()));
    }
    let Some(Password(body)) = body else { return Ok(None) };
    let hash: String = Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    if !bool::from(hash.as_bytes().ct_eq(request.payload_hash().as_bytes())) {
        return Err(invalid("the body is not the one whose hash is to be signed"));
    }
    let is_form = request
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    // Nothing else of it: there may be secrets in a body.
    Ok(body.split('&').find(|pair| is_form && pair.starts_with("Action=")).map(str::to_owned))
}

/// What a policy of a form allows, in words, and the scope that it is signed for, if it names one.
fn read_policy(policy: &str, access_key_id: &str) -> Result<(String, Option<Scope>), Refusal> {
    let broken = || invalid("what is to be signed is no policy of a form");
    if policy.len() > MAX_POLICY {
        return Err(broken());
    }
    let json = data_encoding::BASE64.decode(policy.as_bytes()).map_err(|_| broken())?;
    let json: serde_json::Value = serde_json::from_slice(&json).map_err(|_| broken())?;
    let expiration = json.get("expiration").and_then(|value| value.as_str()).ok_or_else(broken)?;
    let conditions = json.get("conditions").and_then(|value| value.as_array()).ok_or_else(broken)?;
    let (mut bucket, mut rest, mut credential, mut date) = (None, Vec::new(), None, None);
    for condition in conditions {
        let words = match condition {
            serde_json::Value::Object(fields) if fields.len() == 1 => fields
                .iter()
                .next()
                .map(|(name, value)| vec!["eq".into(), format!("${name}").into(), value.clone()]),
            serde_json::Value::Array(words) if words.len() == 3 => Some(words.clone()),
            _ => None,
        }
        .ok_or_else(broken)?;
        let texts: Vec<String> =
            words.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect();
        let [how, field, value] = texts.as_slice() else { return Err(broken()) };
        match (how.to_ascii_lowercase().as_str(), field.trim_start_matches('$')) {
            ("eq", "bucket") => bucket = Some(value.clone()),
            ("eq", name) if name.eq_ignore_ascii_case("x-amz-credential") => credential = Some(value.clone()),
            ("eq", name) if name.eq_ignore_ascii_case("x-amz-date") => date = Some(value.clone()),
            ("eq", name)
                if ["x-amz-algorithm", "x-amz-security-token"]
                    .iter()
                    .any(|n| name.eq_ignore_ascii_case(n)) => {}
            ("eq", name) => rest.push(format!("{name}: {value}")),
            ("starts-with", name) if value.is_empty() => rest.push(format!("any {name}")),
            ("starts-with", name) => rest.push(format!("{name} begins with {value}")),
            ("content-length-range", least) => rest.push(format!("{least} to {value} bytes")),
            _ => return Err(broken()),
        }
    }
    let bucket = bucket.ok_or_else(|| invalid("the policy names no bucket"))?;
    let scope = match (credential, date) {
        (Some(credential), Some(date)) => {
            let date = AmzDate::parse(&date).map_err(invalid)?;
            let mut parts = credential.split('/');
            let id = parts.next().unwrap_or_default();
            let [_, region, service, _] = parts.collect::<Vec<_>>()[..] else { return Err(broken()) };
            let scope = Scope::new(&date, region, service).map_err(invalid)?;
            if id != access_key_id || credential != format!("{id}/{scope}") {
                return Err(invalid("the policy is of another access key, or another day"));
            }
            Some(scope)
        }
        _ => None,
    };
    let text = format!(
        "a form that uploads to {}, {}, until {}",
        shown(&format!("s3://{bucket}")),
        shown(&rest.join(", ")),
        shown(expiration)
    );
    Ok((text, scope))
}

/// What a string to sign of Signature Version 2 asks for, in words; none if it is not one.
fn read_v2(string_to_sign: &str) -> Option<String> {
    let mut lines = string_to_sign.split('\n');
    let method = lines.next().filter(|m| !m.is_empty() && m.bytes().all(|b| b.is_ascii_uppercase()))?;
    let (_md5, content_type, date) = (lines.next()?, lines.next()?, lines.next()?);
    let mut headers = Vec::new();
    let resource = loop {
        let line = lines.next()?;
        if line.starts_with('/') {
            break line;
        }
        let (name, value) = line.split_once(':').filter(|(name, _)| name.starts_with("x-amz-"))?;
        headers.push((name, value));
    };
    if lines.next().is_some() || string_to_sign.chars().any(|c| c.is_control() && c != '\n') {
        return None;
    }
    let mut text = format!("{method} {}", shown(resource));
    if !content_type.is_empty() {
        text += &format!(", content-type: {}", shown(content_type));
    }
    for (name, value) in &headers {
        let secret = s3::is_secret_header(name) || *name == "x-amz-security-token";
        text += &format!(", {name}: {}", if secret { "not shown".to_owned() } else { shown(value) });
    }
    if let Ok(expires) = date.parse::<u64>() {
        let until = AmzDate::from_unix(expires).ok()?;
        text += &format!(", a link until {}", until.to_iso8601());
    }
    Some(text)
}

fn parse_presign(canonical_request: &str, virtual_hosted: bool) -> Result<ParsedPresign, s3::ParseError> {
    if virtual_hosted {
        ParsedPresign::parse_virtual_hosted(canonical_request)
    } else {
        ParsedPresign::parse(canonical_request)
    }
}

/// What a signature is for, from our own parse: all of it, but a secret that the server is to encrypt with.
fn describe(request: &ParsedPresign, scheme: Scheme, now: u64) -> String {
    let (method, bucket, key) = (request.method(), request.bucket(), request.key());
    let mut text = if key.is_empty() {
        format!("{method} the list of s3://{bucket}")
    } else {
        format!("{method} s3://{bucket}/{}", shown(key))
    };
    if let Some(id) = request.version_id() {
        text += &format!(", version {}", shown(id));
    }
    let parameters = request.parameters().iter().filter(|(name, _)| name != s3::VERSION_ID);
    for (name, value) in parameters.chain(request.headers()) {
        text += &match value.as_str() {
            "" => format!(", {}", shown(name)),
            _ if s3::is_secret_header(name) => format!(", {}: a key that is not shown", shown(name)),
            value => format!(", {}: {}", shown(name), shown(value)),
        };
    }
    text += &format!(" at {}", request.authority());
    if scheme == Scheme::Http {
        text += " without TLS";
    }
    text += &format!(" as {} (works for {}", request.access_key_id(), duration(request.expires()));
    if request.time().abs_diff(now) > policy::CLOCK_TOLERANCE {
        text += &format!(" from {}", request.date().as_str());
    }
    text + ")"
}

#[cfg(test)]
mod tests {
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
            let text = describe(&parsed, Scheme::Https, 1_369_353_600);
            assert_eq!(text, format!("{expected} as AKIA (works for 15 min)"));
        }
        let s3 = "at s3.eu-west-1.amazonaws.com";
        check(
            "bucket",
            |r| r.query = &[("uploadId", "a/b"), ("partNumber", "3")],
            &format!("PUT s3://bucket/k, partNumber: 3, uploadId: a/b {s3}"),
        );
        check(
            "bucket",
            |r| (r.method, r.query) = ("POST", &[("uploads", "")]),
            &format!("POST s3://bucket/k, uploads {s3}"),
        );
        check(
            "bucket",
            |r| (r.method, r.key, r.query) = ("GET", "", &[("prefix", "a/"), ("list-type", "2")]),
            &format!("GET the list of s3://bucket, list-type: 2, prefix: a/ {s3}"),
        );
        check(
            "bucket",
            |r| (r.version_id, r.headers) = (Some("1"), &[("X-Amz-Acl", "public-read")]),
            &format!("PUT s3://bucket/k, version 1, x-amz-acl: public-read {s3}"),
        );
        check(
            "bucket",
            |r| r.headers = &[("x-amz-server-side-encryption-customer-key", "c2VjcmV0")],
            &format!(
                "PUT s3://bucket/k, x-amz-server-side-encryption-customer-key: a key that is not shown {s3}"
            ),
        );
        check(
            "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/my-ap",
            |_| (),
            "PUT s3://my-ap-123456789012/k at s3-object-lambda.eu-west-1.amazonaws.com",
        );
    }

    #[test]
    fn strings_of_version_2_are_read() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(read_v2(text).as_deref(), expected, "{text:?}");
        }
        check(
            "GET\n\n\n1369357200\n/bucket/key?acl",
            Some("GET /bucket/key?acl, a link until 2013-05-24T01:00:00Z"),
        );
        check(
            "PUT\n\ntext/plain\nTue, 27 Mar 2007 19:36:42 +0000\nx-amz-acl:private\n/b/k",
            Some("PUT /b/k, content-type: text/plain, x-amz-acl: private"),
        );
        check(
            "PUT\n\n\n1369357200\nx-amz-server-side-encryption-customer-key:c2VjcmV0\n/b/k",
            Some(
                "PUT /b/k, x-amz-server-side-encryption-customer-key: not shown, a link until 2013-05-24T01:00:00Z",
            ),
        );
        check("GET\n\n\n1369357200\n/b/k\n", None);
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
            let actual = read_policy(&data_encoding::BASE64.encode(json.as_bytes()), "AKIA");
            match (actual, expected) {
                (Ok((text, scope)), Ok((expected, expected_scope))) => {
                    assert_eq!(
                        (text.as_str(), scope.as_ref().map(Scope::as_str)),
                        (expected, expected_scope)
                    );
                }
                (Err(Refusal(failure)), Err(expected)) => {
                    assert!(failure.message.contains(expected), "{}", failure.message);
                }
                (actual, expected) => panic!("{actual:?} is not {expected:?}"),
            }
        }
        let policy = |conditions: &str| {
            format!(r#"{{"expiration": "2026-01-01T00:00:00Z", "conditions": [{conditions}]}}"#)
        };
        check(
            &policy(
                r#"{"bucket": "b"}, ["starts-with", "$key", "up/"], ["content-length-range", 1, 10],
                   {"acl": "private"}, ["starts-with", "$Content-Type", ""]"#,
            ),
            Ok((
                "a form that uploads to s3://b, key begins with up/, 1 to 10 bytes, acl: private, any Content-Type, \
                 until 2026-01-01T00:00:00Z",
                None,
            )),
        );
        let scoped = |credential: &str| {
            policy(&format!(
                r#"{{"bucket": "b"}}, {{"x-amz-credential": "{credential}"}}, {{"x-amz-date": "20260101T000000Z"}}"#
            ))
        };
        check(
            &scoped("AKIA/20260101/eu-west-1/s3/aws4_request"),
            Ok((
                "a form that uploads to s3://b, , until 2026-01-01T00:00:00Z",
                Some("20260101/eu-west-1/s3/aws4_request"),
            )),
        );
        check(&scoped("AKIB/20260101/eu-west-1/s3/aws4_request"), Err("another access key"));
        check(&scoped("AKIA/20260102/eu-west-1/s3/aws4_request"), Err("another access key"));
        check(&scoped("AKIA/20260101/eu-west-1/s3"), Err("no policy"));
        check(&policy(""), Err("no bucket"));
        check(&policy(r#"["matches", "$key", "x"]"#), Err("no policy"));
        check("[]", Err("no policy"));
        check("", Err("no policy"));
    }
}
