//! Requests signed in their headers: any method, any service.
//!
//! [`Signer::sign`] takes a request as it will be sent and gives the headers that it must carry besides. They go into
//! the place of those of the same names. [`Signer::prepare`] stops at the string to sign, for whoever has the signing
//! key elsewhere.
//!
//! All is written into one buffer: `Authorization` up to the signature, and behind it the canonical request, which the
//! signature takes the place of once it is hashed. The body is hashed at the same time as what of the canonical request
//! stands before its hash.
//!
//! Source: "Authenticating Requests: Using the Authorization Header", Amazon S3 API Reference; "Create a signed AWS API
//! request", AWS IAM User Guide. Which headers stay unsigned is what botocore and the `aws-sigv4` crate agree upon
//! together.

use core::fmt;
use core::ops::Range;

use super::canonical_headers::{Header, STEP, put_lines, put_names, split_after};
use super::canonical_request::{has_control, normalized, put_query, put_sent_query};
use super::encode::{encode_path, hex};
use super::hmac::{sha256, sha256_beside};
use super::{
    ALGORITHM, AmzDate, CanonicalRequestError, Chunking, PathEncoding, PathNormalization, Scope, Settings,
    Signature, SigningKey, StringToSign, UNSIGNED_PAYLOAD, check_method, is_access_key_id, is_session_token,
};
use crate::sorted::{Ordered as _, Sorted};

/// The header that holds the time.
pub const X_AMZ_DATE: &str = "x-amz-date";
/// The header that holds the payload hash.
pub const X_AMZ_CONTENT_SHA256: &str = "x-amz-content-sha256";
/// The header that holds the session token.
pub const X_AMZ_SECURITY_TOKEN: &str = "x-amz-security-token";
/// The header that holds the token of a session with a directory bucket.
pub const X_AMZ_S3SESSION_TOKEN: &str = "x-amz-s3session-token";
/// The header that holds the signature.
pub const AUTHORIZATION: &str = "authorization";

/// Headers that are not signed: proxies and HTTP clients change them, or the signature is in them.
pub const UNSIGNED_HEADERS: [&str; 15] = [
    AUTHORIZATION,
    "baggage",
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

/// A request as it will be sent.
#[derive(Clone, Copy)]
pub struct SignableRequest<'a> {
    /// Any method.
    pub method: &'a str,
    /// The value of the header Host: a name, and a port unless it is the scheme's own. One among the headers holds
    /// instead.
    pub host: &'a str,
    /// The path as it is sent, encoded once.
    pub path: &'a str,
    /// The query.
    pub query: Query<'a>,
    /// The headers, in any order and case; names may repeat.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub payload: Payload<'a>,
}

/// A query.
#[derive(Debug, Clone, Copy)]
pub enum Query<'a> {
    /// As it is sent, without the `?`.
    Sent(&'a str),
    /// Names and values that are not encoded, in any order. They are to be sent by [`super::encode_query`].
    Pairs(&'a [(&'a str, &'a str)]),
}

/// What is said of a body in the signature.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// All of it: its hash is calculated and signed.
    Bytes(&'a [u8]),
    /// Its SHA-256.
    Hash([u8; 32]),
    /// Nothing: S3 by https, and services that say so.
    Unsigned,
    /// In chunks ([`super::ChunkedBody`]).
    Chunked(Chunking),
}

impl Payload<'_> {
    /// No body.
    pub const EMPTY: Self = Self::Bytes(&[]);

    /// A body that is to be hashed has zeros yet.
    fn text_or_zeros(&self) -> PayloadHash {
        match self {
            Self::Bytes(_) => PayloadHash::Hex([b'0'; 64]),
            Self::Hash(hash) => PayloadHash::Hex(hex(hash)),
            Self::Unsigned => PayloadHash::Name(UNSIGNED_PAYLOAD),
            Self::Chunked(chunking) => PayloadHash::Name(chunking.payload_hash()),
        }
    }
}

/// The body itself is not printed.
impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            other => f.write_str(other.text_or_zeros().as_str()),
        }
    }
}

#[derive(Clone, Copy)]
enum PayloadHash {
    Hex([u8; 64]),
    Name(&'static str),
}

impl PayloadHash {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Hex(hex) => hex,
            Self::Name(name) => name.as_bytes(),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            // Always ASCII.
            Self::Hex(hex) => core::str::from_utf8(hex).unwrap_or_default(),
            Self::Name(name) => name,
        }
    }
}

/// Values of headers may be secrets: only names are printed.
impl fmt::Debug for SignableRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignableRequest")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("payload", &self.payload)
            .finish()
    }
}

/// Whether the payload hash is sent as a header too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentHash {
    /// Always.
    Always,
    /// Where the server could not know it: when the request has such a header already, and when the payload is not
    /// simply hashed.
    WhereNeeded,
}

impl ContentHash {
    /// What a service wants.
    #[must_use]
    pub fn for_service(service: &str) -> Self {
        let wanted = Settings::for_service(service) == Settings::S3 || matches!(service, "aoss" | "glacier");
        if wanted { Self::Always } else { Self::WhereNeeded }
    }
}

impl Settings {
    /// What a service wants, by its name in credential scopes.
    #[must_use]
    pub fn for_service(service: &str) -> Self {
        match service {
            "s3" | "s3express" | "s3-object-lambda" | "s3-outposts" => Self::S3,
            _ => Self::OTHERS,
        }
    }
}

/// Who signs, and how.
///
/// ```
/// use keyfob_core::sigv4::{AmzDate, DateKey, Payload, Query, SignableRequest, Signer};
///
/// let date = AmzDate::parse("20150830T123600Z")?;
/// // On a key this is one CALCULATE; here the secret is at hand.
/// let date_key = DateKey::from_secret(b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", date);
/// let request = SignableRequest {
///     method: "GET",
///     host: "iam.amazonaws.com",
///     path: "/",
///     query: Query::Sent("Action=ListUsers&Version=2010-05-08"),
///     headers: &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
///     payload: Payload::EMPTY,
/// };
/// let signer = Signer::new("AKIDEXAMPLE", None, "iam");
/// let signed = signer.sign(&request, &date, &date_key.signing_key("us-east-1", "iam")?)?;
/// let names: Vec<_> = signed.headers().map(|(name, _)| name).collect();
/// assert_eq!(names, ["x-amz-date", "authorization"]);
/// // As the AWS General Reference had it.
/// assert!(signed.authorization().ends_with("5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// `AKIA…`, `ASIA…`, or another server's: 1 to 128 letters, digits, `-`, `_`, `.` or `~`.
    pub access_key_id: &'a str,
    /// That of temporary credentials.
    pub session_token: Option<&'a str>,
    /// The header that the token goes into.
    pub token_header: &'static str,
    /// The rules for paths.
    pub settings: Settings,
    /// Whether the payload hash is sent too.
    pub content_hash: ContentHash,
}

impl fmt::Debug for Signer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("access_key_id", &self.access_key_id)
            .field("session_token", &self.session_token.map(|_| "…"))
            .field("token_header", &self.token_header)
            .field("settings", &self.settings)
            .field("content_hash", &self.content_hash)
            .finish()
    }
}

/// Why a request cannot be signed in its headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// Not 1 to 128 unreserved characters.
    #[error("{0:?} is no access key id: give one such as AKIAIOSFODNN7EXAMPLE")]
    AccessKeyId(String),
    /// Empty, or anything but printable ASCII. It is a secret, and is not printed.
    #[error("the session token is empty or has characters other than printable ASCII in it")]
    SessionToken,
    /// The method, the path, or a header's name or value.
    #[error(transparent)]
    Request(#[from] CanonicalRequestError),
    /// The signing key is for another day.
    #[error("the signing key is for {scope}, and the request for {date}: derive the key for the request")]
    OtherDay {
        /// What the key signs.
        scope: String,
        /// The request's time.
        date: String,
    },
}

const AUTHORIZATION_START: &[u8] = b"AWS4-HMAC-SHA256 Credential=";
const _: () = assert!(AUTHORIZATION_START.len() == ALGORITHM.len() + " Credential=".len());

/// More than the parts of fixed length take: what `Authorization` begins with, line breaks, and what `put_lines` wants.
const FIXED: usize = 64 + STEP;

impl<'a> Signer<'a> {
    /// A signer for a service by its own rules.
    #[must_use]
    pub fn new(access_key_id: &'a str, session_token: Option<&'a str>, service: &str) -> Self {
        Self {
            access_key_id,
            session_token,
            token_header: X_AMZ_SECURITY_TOKEN,
            settings: Settings::for_service(service),
            content_hash: ContentHash::for_service(service),
        }
    }

    /// Signs.
    ///
    /// # Errors
    /// [`SignError`] if a part breaks a rule, or `key` is for another day.
    pub fn sign(
        &self,
        request: &SignableRequest<'_>,
        date: &AmzDate,
        key: &SigningKey,
    ) -> Result<SignedHeaders<'a>, SignError> {
        let prepared = self.prepare(request, date, key.scope())?;
        let signature = key.sign(prepared.string_to_sign());
        Ok(prepared.finish(&signature))
    }

    /// All but the signature. Of headers in the request that are the signer's to write, the values are ignored.
    ///
    /// # Errors
    /// [`SignError`] if a part breaks a rule, or `scope` is of another day.
    pub fn prepare(
        &self,
        request: &SignableRequest<'_>,
        date: &AmzDate,
        scope: &Scope,
    ) -> Result<Prepared<'a>, SignError> {
        self.check(date, scope)?;
        check_method(request.method)?;
        if has_control(request.path) {
            return Err(CanonicalRequestError::LineBreak.into());
        }
        let token = match self.session_token {
            Some(token) => Some(Header::new(self.token_header, token)?),
            None => None,
        };
        // For a body that is still to be hashed it is a place for the hash.
        let mut payload_hash = request.payload.text_or_zeros();
        let simple = matches!(payload_hash, PayloadHash::Hex(_));
        let mut send_hash = self.content_hash == ContentHash::Always || !simple;

        let mut headers = Sorted::new(request.headers.len() + 4);
        let mut host_given = false;
        for &(name, value) in request.headers {
            let header = Header::new(name, value)?;
            match role(&header, token.as_ref()) {
                Role::Signed => {}
                Role::Host => host_given = true,
                Role::Unsigned => {
                    header.check_value()?;
                    continue;
                }
                Role::ContentHash => {
                    header.check_value()?;
                    send_hash = true;
                    continue;
                }
            }
            headers.insert(header);
        }
        if !host_given {
            headers.insert(HOST.with(request.host));
        }
        headers.insert(DATE.with(date.as_str()));
        if send_hash {
            headers.insert(CONTENT_SHA256.with(payload_hash.as_str()));
        }
        if let Some(token) = token {
            headers.insert(token);
        }

        let query = match request.query {
            Query::Sent(query) => query.len(),
            Query::Pairs(pairs) => pairs.iter().map(|(name, value)| name.len() + value.len() + 2).sum(),
        };
        // The names stand in it thrice.
        let lines: usize =
            headers.as_slice().iter().map(|header| header.room() + header.name().len() + 1).sum();
        let target = request.method.len() + 3 * (request.path.len() + query) + payload_hash.as_bytes().len();
        let credential = self.access_key_id.len() + scope.as_bytes().len();
        // Not much too large: small memory is quicker to get.
        let mut out = Vec::with_capacity(lines + target + credential + FIXED);
        out.extend_from_slice(AUTHORIZATION_START);
        out.extend_from_slice(self.access_key_id.as_bytes());
        out.push(b'/');
        out.extend_from_slice(scope.as_bytes());
        out.extend_from_slice(b", SignedHeaders=");
        let names = out.len();
        put_names(&mut out, headers.as_slice());
        let start = out.len();
        out.extend_from_slice(request.method.as_bytes());
        out.push(b'\n');
        self.put_path(&mut out, request.path);
        out.push(b'\n');
        match request.query {
            Query::Sent(query) => put_sent_query(&mut out, query),
            Query::Pairs(pairs) => put_query(&mut out, pairs),
        }
        out.push(b'\n');
        let (before, after) = split_after(headers.as_slice(), &CONTENT_SHA256);
        put_lines(&mut out, before)?;
        // The last thing in these lines, and in all.
        let sent_hash = send_hash.then(|| out.len() - 1 - payload_hash.as_bytes().len());
        put_lines(&mut out, after)?;
        out.push(b'\n');
        out.extend_from_within(names..start);
        out.push(b'\n');
        let signed_hash = out.len();
        out.extend_from_slice(payload_hash.as_bytes());

        let hash = if let Payload::Bytes(body) = request.payload {
            let known = sent_hash.unwrap_or(signed_hash);
            let (hash, begun) = sha256_beside(body, out.get(start..known).unwrap_or_default());
            let hash = hex(&hash);
            for at in [sent_hash, Some(signed_hash)].into_iter().flatten() {
                if let Some(to) = out.get_mut(at..at + hash.len()) {
                    to.copy_from_slice(&hash);
                }
            }
            payload_hash = PayloadHash::Hex(hash);
            begun.finish(out.get(start..).unwrap_or_default())
        } else {
            sha256(out.get(start..).unwrap_or_default())
        };
        Ok(Prepared {
            string_to_sign: StringToSign::new(date, scope, &hash),
            buffer: out,
            signed_headers: names..start,
            date: *date,
            token: self.session_token.map(|token| (self.token_header, token)),
            payload_hash: send_hash.then_some(payload_hash),
        })
    }

    fn check(&self, date: &AmzDate, scope: &Scope) -> Result<(), SignError> {
        if !is_access_key_id(self.access_key_id) {
            return Err(SignError::AccessKeyId(self.access_key_id.into()));
        }
        if self.session_token.is_some_and(|token| !is_session_token(token)) {
            return Err(SignError::SessionToken);
        }
        if scope.date().as_bytes() != date.date() {
            return Err(SignError::OtherDay { scope: scope.to_string(), date: date.to_string() });
        }
        Ok(())
    }

    fn put_path(&self, out: &mut Vec<u8>, path: &str) {
        let normal;
        let path = match self.settings.path_normalization {
            PathNormalization::Enabled => {
                normal = normalized(path);
                &*normal
            }
            PathNormalization::Disabled if path.is_empty() => "/",
            PathNormalization::Disabled => path,
        };
        match self.settings.path_encoding {
            PathEncoding::Once => out.extend_from_slice(path.as_bytes()),
            PathEncoding::Twice => encode_path(out, path.as_bytes()),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Role {
    /// Not signed, or written anew.
    Unsigned,
    /// Written anew, if only because the request has it.
    ContentHash,
    /// Instead of the request's host.
    Host,
    Signed,
}

const HOST: Header<'static> = Header::known("host");
const DATE: Header<'static> = Header::known(X_AMZ_DATE);
const CONTENT_SHA256: Header<'static> = Header::known(X_AMZ_CONTENT_SHA256);

/// The slots of headers that are not simply signed, as bits.
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
const SLOTS: u64 = {
    let mut slots = 1 << HOST.slot() | 1 << DATE.slot() | 1 << CONTENT_SHA256.slot();
    let mut i = 0;
    while i < UNSIGNED_HEADERS.len() {
        slots |= 1 << Header::known(UNSIGNED_HEADERS[i]).slot();
        i += 1;
    }
    slots
};

/// What becomes of a header that the request has.
#[inline]
fn role(header: &Header<'_>, token: Option<&Header<'_>>) -> Role {
    if token.is_some_and(|token| token.is_same(header)) {
        return Role::Unsigned;
    }
    // Most are ruled out at once.
    if SLOTS >> header.slot() & 1 == 0 {
        return Role::Signed;
    }
    if header.is_same(&HOST) {
        Role::Host
    } else if header.is_same(&CONTENT_SHA256) {
        Role::ContentHash
    } else if header.is_same(&DATE) || UNSIGNED_HEADERS.iter().any(|n| n.eq_ignore_ascii_case(header.name()))
    {
        Role::Unsigned
    } else {
        Role::Signed
    }
}

/// A request that wants nothing but its signature.
#[derive(Clone)]
pub struct Prepared<'a> {
    string_to_sign: StringToSign,
    /// What `Authorization` begins with, up to the names of the signed headers, then the canonical request.
    buffer: Vec<u8>,
    signed_headers: Range<usize>,
    date: AmzDate,
    token: Option<(&'static str, &'a str)>,
    payload_hash: Option<PayloadHash>,
}

impl<'a> Prepared<'a> {
    /// What is to be signed.
    #[must_use]
    pub fn string_to_sign(&self) -> &StringToSign {
        &self.string_to_sign
    }

    /// What the string to sign has the hash of. It holds the values of all signed headers, the token's too.
    #[must_use]
    pub fn canonical_request(&self) -> &str {
        // Put together from strings.
        core::str::from_utf8(self.buffer.get(self.signed_headers.end..).unwrap_or_default())
            .unwrap_or_default()
    }

    /// Names of the signed headers, lower case, sorted, joined by `;`.
    #[must_use]
    pub fn signed_headers(&self) -> &str {
        // Always ASCII.
        core::str::from_utf8(self.buffer.get(self.signed_headers.clone()).unwrap_or_default())
            .unwrap_or_default()
    }

    /// With the signature.
    #[must_use]
    pub fn finish(mut self, signature: &Signature) -> SignedHeaders<'a> {
        self.buffer.truncate(self.signed_headers.end);
        self.buffer.extend_from_slice(b", Signature=");
        self.buffer.extend_from_slice(&signature.to_hex());
        SignedHeaders {
            // Put together from strings, and cut at ASCII only.
            authorization: String::from_utf8(self.buffer).unwrap_or_default(),
            date: self.date,
            token: self.token,
            payload_hash: self.payload_hash,
            signature: *signature,
        }
    }
}

impl fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("string_to_sign", &self.string_to_sign)
            .field("signed_headers", &self.signed_headers())
            .finish_non_exhaustive()
    }
}

/// The headers that make a request a signed one. To be set, not appended.
#[derive(Clone)]
pub struct SignedHeaders<'a> {
    authorization: String,
    date: AmzDate,
    token: Option<(&'static str, &'a str)>,
    payload_hash: Option<PayloadHash>,
    signature: Signature,
}

impl SignedHeaders<'_> {
    /// Names in lower case, and values: `x-amz-date`, the session token's, `x-amz-content-sha256`, `authorization`.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            Some((X_AMZ_DATE, self.date.as_str())),
            self.token,
            self.payload_hash.as_ref().map(|hash| (X_AMZ_CONTENT_SHA256, hash.as_str())),
            Some((AUTHORIZATION, self.authorization.as_str())),
        ]
        .into_iter()
        .flatten()
    }

    /// The value of `Authorization`.
    #[must_use]
    pub fn authorization(&self) -> &str {
        &self.authorization
    }

    /// The signature alone: what the first chunk of a body is chained to.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }
}

/// Whoever has them has the request: only names are printed.
impl fmt::Debug for SignedHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.headers().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigv4::{DateKey, canonical_request};

    const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn date() -> AmzDate {
        AmzDate::parse("20130524T000000Z").unwrap()
    }

    fn key(service: &str) -> SigningKey {
        DateKey::from_secret(SECRET, date()).signing_key("us-east-1", service).unwrap()
    }

    /// "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk", Amazon S3 API
    /// Reference: its four examples.
    #[test]
    fn examples_of_the_reference() {
        #[track_caller]
        fn check(
            method: &str,
            target: &str,
            headers: &[(&str, &str)],
            payload: Payload<'_>,
            signature: &str,
        ) {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let request = SignableRequest {
                method,
                host: "examplebucket.s3.amazonaws.com",
                path,
                query: Query::Sent(query),
                headers,
                payload,
            };
            let signer = Signer::new("AKIAIOSFODNN7EXAMPLE", None, "s3");
            let signed = signer.sign(&request, &date(), &key("s3")).unwrap();
            assert_eq!(signed.signature().to_string(), signature, "{target}");
            assert!(signed.authorization().ends_with(signature));
            assert!(signed.authorization().starts_with(
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                 SignedHeaders="
            ));
        }
        check(
            "GET",
            "/test.txt",
            &[("Range", "bytes=0-9")],
            Payload::EMPTY,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        );
        check(
            "PUT",
            "/test%24file.text",
            &[("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            Payload::Bytes(b"Welcome to Amazon S3."),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        );
        check(
            "GET",
            "/?lifecycle",
            &[],
            Payload::EMPTY,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        );
        check(
            "GET",
            "/?max-keys=2&prefix=J",
            &[],
            Payload::Hash(sha256(b"")),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        );
    }

    fn text(payload: &Payload<'_>) -> String {
        match payload {
            Payload::Bytes(bytes) => data_encoding::HEXLOWER.encode(&sha256(bytes)),
            other => other.text_or_zeros().as_str().into(),
        }
    }

    /// What is signed, line by line.
    #[test]
    fn canonical_requests() {
        #[track_caller]
        fn check(service: &str, request: SignableRequest<'_>, token: Option<&str>, expected: &[&str]) {
            let signer = Signer::new("AKIAIOSFODNN7EXAMPLE", token, service);
            let prepared = signer.prepare(&request, &date(), key(service).scope()).unwrap();
            let hash = text(&request.payload);
            let lines: Vec<_> = prepared.canonical_request().split('\n').collect();
            let expected: Vec<_> = expected.iter().map(|line| line.replace("HASH", &hash)).collect();
            assert_eq!(lines, expected);
            assert_eq!(Some(prepared.signed_headers()), lines.iter().rev().nth(1).copied());
        }
        let plain = SignableRequest {
            method: "GET",
            host: "h:8000",
            path: "",
            query: Query::Sent(""),
            headers: &[],
            payload: Payload::EMPTY,
        };
        let own = "host:h:8000";
        let time = "x-amz-date:20130524T000000Z";
        check("iam", plain, None, &["GET", "/", "", own, time, "", "host;x-amz-date", "HASH"]);
        check(
            "s3",
            plain,
            None,
            &[
                "GET",
                "/",
                "",
                own,
                "x-amz-content-sha256:HASH",
                time,
                "",
                "host;x-amz-content-sha256;x-amz-date",
                "HASH",
            ],
        );
        // Paths by each service's rules.
        let path = SignableRequest { path: "/a//b/../%20c%2F", ..plain };
        check("iam", path, None, &["GET", "/a/%2520c%252F", "", own, time, "", "host;x-amz-date", "HASH"]);
        // Queries as they are sent, and as they are meant.
        let query = "b=2&a+b=%7e&b&&b=1%2b&%62=/=";
        let sent = SignableRequest { query: Query::Sent(query), ..plain };
        let canonical = "a%20b=~&b=&b=%2F%3D&b=1%2B&b=2";
        check("iam", sent, None, &["GET", "/", canonical, own, time, "", "host;x-amz-date", "HASH"]);
        let pairs = [("b", "2"), ("a b", "~"), ("b", ""), ("b", "1+"), ("b", "/=")];
        let meant = SignableRequest { query: Query::Pairs(&pairs), ..plain };
        check("iam", meant, None, &["GET", "/", canonical, own, time, "", "host;x-amz-date", "HASH"]);
        // Headers: folded, repeated, long, left out, written anew.
        let headers = [
            ("X-Amz-Meta-A-Long-Name-2", "2"),
            ("x-amz-meta-a-long-name-1", "  a   b\t c "),
            ("X-AMZ-META-A-LONG-NAME-1", "d"),
            ("X-Amz-Date", "yesterday"),
            ("x-amz-security-token", "another"),
            ("Authorization", "another"),
            ("User-Agent", "keyfob"),
            ("Expect", "100-continue"),
            ("Empty", ""),
            ("HOST", "other"),
        ];
        let many = SignableRequest { headers: &headers, payload: Payload::Unsigned, ..plain };
        check(
            "iam",
            many,
            Some("token"),
            &[
                "GET",
                "/",
                "",
                "empty:",
                "host:other",
                "x-amz-content-sha256:UNSIGNED-PAYLOAD",
                time,
                "x-amz-meta-a-long-name-1:a b c,d",
                "x-amz-meta-a-long-name-2:2",
                "x-amz-security-token:token",
                "",
                "empty;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a-long-name-1;x-amz-meta-a-long-name-2;\
             x-amz-security-token",
                "UNSIGNED-PAYLOAD",
            ],
        );
        // A header that says what the payload hash is says the truth.
        let lie = SignableRequest { headers: &[("X-Amz-Content-Sha256", "0")], ..plain };
        check(
            "iam",
            lie,
            None,
            &[
                "GET",
                "/",
                "",
                own,
                "x-amz-content-sha256:HASH",
                time,
                "",
                "host;x-amz-content-sha256;x-amz-date",
                "HASH",
            ],
        );
    }

    /// The two ways to a canonical request agree.
    #[test]
    fn it_is_the_canonical_request() {
        let headers = [("b", " 1  2"), ("A", "x"), ("b", "3"), ("Content-Type", "text/plain")];
        let request = SignableRequest {
            method: "POST",
            host: "example.com",
            path: "/a/../b%20c",
            query: Query::Pairs(&[("q", "ü"), ("a", "")]),
            headers: &headers,
            payload: Payload::Bytes(b"body"),
        };
        let prepared =
            Signer::new("AKID", Some("t"), "sts").prepare(&request, &date(), key("sts").scope()).unwrap();
        let all = [
            &headers[..],
            &[("host", "example.com"), ("x-amz-date", "20130524T000000Z"), ("x-amz-security-token", "t")],
        ]
        .concat();
        let hash = text(&request.payload);
        let query = [("q", "ü"), ("a", "")];
        let expected =
            canonical_request("POST", "/a/../b%20c", &query, &all, &hash, Settings::OTHERS).unwrap();
        assert_eq!(prepared.canonical_request(), expected.text);
        assert_eq!(prepared.signed_headers(), expected.signed_headers);
    }

    #[test]
    fn what_cannot_be_signed() {
        #[track_caller]
        fn check(signer: Signer<'_>, request: SignableRequest<'_>, expected: SignError) {
            assert_eq!(signer.sign(&request, &date(), &key("s3")).map(|_| ()), Err(expected));
        }
        let signer = Signer::new("AKID", None, "s3");
        let request = SignableRequest {
            method: "GET",
            host: "h",
            path: "/",
            query: Query::Sent(""),
            headers: &[],
            payload: Payload::EMPTY,
        };
        let long = "A".repeat(129);
        for id in ["", "a/b", "a b", long.as_str()] {
            check(Signer::new(id, None, "s3"), request, SignError::AccessKeyId(id.into()));
        }
        for token in ["", "a b", "a\n", "ü"] {
            check(Signer::new("A", Some(token), "s3"), request, SignError::SessionToken);
        }
        let wrong = |error| SignError::Request(error);
        let method = SignableRequest { method: "GET /", ..request };
        check(signer, method, wrong(CanonicalRequestError::Method("GET /".into())));
        check(signer, SignableRequest { path: "/\n", ..request }, wrong(CanonicalRequestError::LineBreak));
        let host = SignableRequest { host: "h\nx", ..request };
        check(signer, host, wrong(CanonicalRequestError::Value("host".into())));
        let name = SignableRequest { headers: &[("a b", "")], ..request };
        check(signer, name, wrong(CanonicalRequestError::Name("a b".into())));
        let value = SignableRequest { headers: &[("cookie", "s\r\n")], ..request };
        check(signer, value, wrong(CanonicalRequestError::Value("cookie".into())));
        let tomorrow = AmzDate::parse("20130525T000000Z").unwrap();
        assert_eq!(
            signer.sign(&request, &tomorrow, &key("s3")).map(|_| ()),
            Err(SignError::OtherDay {
                scope: "20130524/us-east-1/s3/aws4_request".into(),
                date: "20130525T000000Z".into()
            })
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let headers = [("cookie", "hunter2")];
        let request = SignableRequest {
            method: "GET",
            host: "h",
            path: "/",
            query: Query::Sent(""),
            headers: &headers,
            payload: Payload::Bytes(b"hunter2"),
        };
        let signer = Signer::new("AKID", Some("hunter2"), "s3");
        let prepared = signer.prepare(&request, &date(), key("s3").scope()).unwrap();
        let signed = prepared.clone().finish(&Signature::from_bytes([0; 32]));
        let printed = format!("{request:?} {signer:?} {prepared:?} {signed:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("00000000"), "{printed}");
    }

    #[test]
    fn every_header_has_its_role() {
        let token = Header::new("X-Amz-Security-Token", "").unwrap();
        #[track_caller]
        fn check(name: &str, token: Option<&Header<'_>>, expected: Role) {
            for name in [name.to_owned(), name.to_ascii_uppercase()] {
                assert_eq!(role(&Header::new(&name, "").unwrap(), token), expected, "{name}");
            }
        }
        for name in UNSIGNED_HEADERS.into_iter().chain([X_AMZ_DATE]) {
            check(name, None, Role::Unsigned);
        }
        check(X_AMZ_SECURITY_TOKEN, Some(&token), Role::Unsigned);
        check(X_AMZ_SECURITY_TOKEN, None, Role::Signed);
        check("host", Some(&token), Role::Host);
        check(X_AMZ_CONTENT_SHA256, Some(&token), Role::ContentHash);
        for name in
            ["x-amz-content-sha512", "x-amzn-trace-id2", "a", "content-type", "hos", "hostt", "x-amz-dat"]
        {
            check(name, Some(&token), Role::Signed);
        }
    }
}
