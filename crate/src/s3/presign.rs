//! Query-signed requests: from bucket and key to a link.
//!
//! The link is built in one buffer. Path and query are written once, and stand first in the canonical
//! request that is hashed, then in the URL: what is signed and what is sent cannot differ.
//!
//! Source: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)", Amazon S3 API Reference.

use super::Endpoint;
use super::endpoint::TOKEN;
use super::name::{BucketError, KeyError, check_key};
use crate::message::Scheme;
use crate::sigv4::canonical_headers::{Header, STEP, put_encoded_names, put_lines, put_names, split_after};
use crate::sigv4::encode::{encode_path, encode_query, encoded_room, is_unreserved};
use crate::sigv4::hmac::sha256;
use crate::sigv4::{
    ALGORITHM, AmzDate, CanonicalRequestError, DateError, Scope, ScopeError, Signature, SigningKey,
    StringToSign, UNSIGNED_PAYLOAD, check_method, is_access_key_id, is_session_token,
};
use crate::sorted::{Ordered, Sorted};

/// Longest life of a link in seconds: 7 days.
pub const MAX_EXPIRES: u64 = 604_800;

/// Query parameters of GET and HEAD that set a header of the answer.
pub const RESPONSE_OVERRIDES: [&str; 6] = [
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];

/// Query parameters of requests for an object, besides [`RESPONSE_OVERRIDES`]: its version, its parts, and who pays.
pub const OBJECT_PARAMETERS: [&str; 5] = ["partNumber", "uploadId", "uploads", VERSION_ID, REQUEST_PAYER];

/// Query parameters of requests that list a bucket: ListObjectsV2, ListObjects, ListObjectVersions and
/// ListMultipartUploads. With one of them a request has no key.
pub const LIST_PARAMETERS: [&str; 15] = [
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "marker",
    "max-keys",
    "max-uploads",
    "prefix",
    "start-after",
    "upload-id-marker",
    "uploads",
    "version-id-marker",
    "versions",
];

/// The parameter of an object's version.
pub const VERSION_ID: &str = "versionId";

/// `requester` as its value says that whoever uses the link pays. A header elsewhere; a link has it as a parameter, for it
/// is all that its user has.
pub const REQUEST_PAYER: &str = "x-amz-request-payer";

/// A request for one object, or for a bucket's list, to be signed in its query.
///
/// ```
/// use keyfob_core::s3::{Endpoint, PresignRequest};
/// use keyfob_core::sigv4::{AmzDate, DateKey};
///
/// let endpoint = Endpoint::aws("eu-west-1")?;
/// let time = 1_369_353_600;
/// let request = PresignRequest {
///     method: "GET",
///     endpoint: &endpoint,
///     bucket: "bucket",
///     key: "a b/ü.txt",
///     access_key_id: "AKIAIOSFODNN7EXAMPLE",
///     time,
///     expires: 3600,
///     session_token: None,
///     version_id: None,
///     query: &[],
///     headers: &[],
/// };
/// let date_key = DateKey::from_secret(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", AmzDate::from_unix(time)?);
/// let url = request.presign(&date_key.signing_key("eu-west-1", "s3")?)?;
/// assert!(url.starts_with("https://bucket.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC.txt?X-Amz-Algorithm="));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct PresignRequest<'a> {
    /// Any method.
    pub method: &'a str,
    /// Server and region.
    pub endpoint: &'a Endpoint,
    /// Its name, 3 to 63 bytes; at an access point's endpoint `NAME-ACCOUNT`.
    pub bucket: &'a str,
    /// The object's key, 1 to 1024 bytes, not encoded; every byte of it stays (`..` and `//` too). Empty for GET and HEAD
    /// with one of [`LIST_PARAMETERS`].
    pub key: &'a str,
    /// `AKIA…`, or another server's: 1 to 128 letters, digits, `-`, `_`, `.` or `~`.
    pub access_key_id: &'a str,
    /// When the link begins to work: Unix time in seconds.
    pub time: u64,
    /// How long it works: 1 to [`MAX_EXPIRES`] seconds.
    pub expires: u64,
    /// That of temporary credentials, of STS unless the endpoint says otherwise ([`Endpoint::directory_session`]).
    pub session_token: Option<&'a str>,
    /// Which version of the object.
    pub version_id: Option<&'a str>,
    /// More parameters ([`RESPONSE_OVERRIDES`], `partNumber`, …), not encoded, in any order.
    pub query: &'a [(&'a str, &'a str)],
    /// More headers that the request will carry, besides Host, in any order and case.
    pub headers: &'a [(&'a str, &'a str)],
}

/// Why a request cannot be presigned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresignError {
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not 1 to [`MAX_EXPIRES`] seconds.
    #[error("a link can last 1 to {MAX_EXPIRES} seconds (7 days), not {0}")]
    Expires(u64),
    /// Not 1 to 128 unreserved characters.
    #[error("{0:?} is no access key id: give one such as AKIAIOSFODNN7EXAMPLE")]
    AccessKeyId(String),
    /// Empty, or anything but printable ASCII. It is a secret, and is not printed.
    #[error("the session token is empty or has characters other than printable ASCII in it")]
    SessionToken,
    /// A parameter that is signed by itself, is given twice, or needs encoding.
    #[error("the query parameter {0:?} cannot be given: its name is reserved, given twice, or not plain")]
    Parameter(String),
    /// A header that is signed by itself or is given twice.
    #[error("the header {0:?} cannot be given: it is signed anyway, or given twice")]
    Header(String),
    /// The method, or a header's name or value.
    #[error(transparent)]
    Request(#[from] CanonicalRequestError),
    /// The time.
    #[error(transparent)]
    Date(#[from] DateError),
    /// The region.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The signing key is for another day, region or service.
    #[error("the signing key is for {key}, and the request for {request}: derive the key for the request")]
    OtherScope {
        /// What the key signs.
        key: String,
        /// What was asked.
        request: String,
    },
    /// Asked for in the clear, or with its scheme's own port spelled out.
    #[error(
        "{host} cannot be reached by {scheme}: AWS takes https only, and no scheme its own port spelled out"
    )]
    Scheme {
        /// The host.
        host: String,
        /// What was asked.
        scheme: &'static str,
    },
}

/// Where the parts stand in the buffer.
pub(super) struct Layout {
    /// Between path and query.
    pub(super) separator: usize,
    /// End of the query: after it stands the rest of the canonical request.
    pub(super) query_end: usize,
}

const AFTER_ALGORITHM: &[u8] = b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=";
pub(super) const SIGNATURE: &[u8] = b"&X-Amz-Signature=";
/// Parameters of this prefix are the signature's own.
const RESERVED_PREFIX: &str = "X-Amz-";

impl<'a> PresignRequest<'a> {
    /// The canonical request: what a front end sends to the host to be signed.
    ///
    /// # Errors
    /// [`PresignError`] if a field breaks a rule.
    pub fn canonical_request(&self) -> Result<String, PresignError> {
        let mut sorted = self.unsorted();
        self.sort(&mut sorted)?;
        let date = AmzDate::from_unix(self.time)?;
        Scope::new(&date, self.endpoint.region(), self.endpoint.service())?;
        let mut out = Vec::new();
        out.extend_from_slice(self.method.as_bytes());
        out.push(b'\n');
        self.write(&mut out, &date, &sorted)?;
        Ok(text(out))
    }

    /// The link.
    ///
    /// One allocation, the link's own.
    ///
    /// # Errors
    /// [`PresignError`] if a field breaks a rule, or `key` is for another day, region or service.
    pub fn presign(&self, key: &SigningKey) -> Result<String, PresignError> {
        let mut out = Vec::new();
        self.presign_into(key, &mut out)?;
        Ok(text(out))
    }

    /// Appends the link, ASCII alone, to what is in `out` already. No allocation where `out` has room for the canonical
    /// request besides the link: a batch of links needs one buffer.
    ///
    /// # Errors
    /// As [`presign`](Self::presign); `out` is left as it was.
    pub fn presign_into(&self, key: &SigningKey, out: &mut Vec<u8>) -> Result<(), PresignError> {
        let mut sorted = self.unsorted();
        self.sort(&mut sorted)?;
        let date = self.date(key)?;

        // The canonical request first, with the method just before the path; room is left for scheme and host,
        // which take the method's place once it is hashed.
        let origin = self.origin();
        let method = self.method.len() + 1;
        let room = len(&origin).max(method);
        let path = out.len() + room;
        out.reserve(room + self.capacity(&sorted));
        out.resize(path - method, 0);
        out.extend_from_slice(self.method.as_bytes());
        out.push(b'\n');
        match self.write(out, &date, &sorted) {
            Ok(layout) => {
                let sign = |hash: &_| key.sign(&StringToSign::new(&date, key.scope(), hash));
                finish(out, path, method, &layout, sign, &origin);
                Ok(())
            }
            Err(error) => {
                out.truncate(path - room);
                Err(error)
            }
        }
    }

    /// Its time, if a key is for its day, region and service.
    pub(super) fn date(&self, key: &SigningKey) -> Result<AmzDate, PresignError> {
        let date = AmzDate::from_unix(self.time)?;
        let (scope, endpoint) = (key.scope(), self.endpoint);
        if scope.region() == endpoint.region()
            && scope.date().as_bytes() == date.date()
            && scope.service() == endpoint.service()
        {
            return Ok(date);
        }
        Err(other_scope(key, &Scope::new(&date, endpoint.region(), endpoint.service())?))
    }

    /// Scheme and host.
    pub(super) fn origin(&self) -> [&'a [u8]; 5] {
        let (bucket, _) = self.endpoint.place(self.bucket);
        let dot: &[u8] = if bucket.is_empty() { b"" } else { b"." };
        let scheme = self.endpoint.scheme().as_str().as_bytes();
        [scheme, b"://", bucket.as_bytes(), dot, self.endpoint.authority().as_bytes()]
    }

    /// Room for parameters and headers.
    #[inline]
    pub(super) fn unsorted(&self) -> SortedParts<'a> {
        SortedParts {
            parameters: Sorted::new(self.query.len() + 1),
            headers: Sorted::new(self.headers.len() + 1),
        }
    }

    /// Everything that needs no key.
    pub(super) fn check(&self) -> Result<(), PresignError> {
        let mut sorted = self.unsorted();
        self.sort(&mut sorted)?;
        sorted.headers.as_slice().iter().try_for_each(Header::check_value)?;
        Ok(())
    }

    /// Puts parameters and headers in order, and checks everything that needs no key but the values of headers, which are
    /// looked at when they are written.
    pub(super) fn sort(&self, sorted: &mut SortedParts<'a>) -> Result<(), PresignError> {
        check_method(self.method)?;
        self.endpoint.check_bucket(self.bucket)?;
        if !(self.key.is_empty() && self.is_list()) {
            check_key(self.key)?;
        }
        if !(1..=MAX_EXPIRES).contains(&self.expires) {
            return Err(PresignError::Expires(self.expires));
        }
        if !is_access_key_id(self.access_key_id) {
            return Err(PresignError::AccessKeyId(self.access_key_id.into()));
        }
        if self.session_token.is_some_and(|token| !is_session_token(token)) {
            return Err(PresignError::SessionToken);
        }
        for (name, value) in self.parameters() {
            let reserved =
                name.get(..RESERVED_PREFIX.len()).is_some_and(|p| p.eq_ignore_ascii_case(RESERVED_PREFIX));
            let reserved = reserved && name != REQUEST_PAYER;
            let twice = sorted.parameters.insert(Parameter(name, value)).is_some();
            if name.is_empty() || reserved || twice || !is_unreserved(name) {
                return Err(PresignError::Parameter(name.into()));
            }
        }
        sorted.headers.insert(HOST);
        for &(name, value) in self.headers {
            if let Some(same) = sorted.headers.insert(Header::new(name, value)?) {
                // The one that came first, but as it was given here.
                let name = if same.is_same(&HOST) { name } else { same.name() };
                return Err(PresignError::Header(name.into()));
            }
        }
        Ok(())
    }

    /// The parameters that are not the signature's own.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
        self.query.iter().copied().chain(self.version_id.map(|id| (VERSION_ID, id)))
    }

    /// Whether it asks for a bucket's list. With another method it would make or delete the bucket.
    fn is_list(&self) -> bool {
        matches!(self.method, "GET" | "HEAD")
            && self.query.iter().any(|(name, _)| LIST_PARAMETERS.contains(name))
    }

    /// Appends path, line break, query, and the rest of the canonical request.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        date: &AmzDate,
        sorted: &SortedParts<'_>,
    ) -> Result<Layout, PresignError> {
        out.push(b'/');
        let (_, bucket) = self.endpoint.place(self.bucket);
        if !bucket.is_empty() {
            out.extend_from_slice(bucket.as_bytes());
            if !self.key.is_empty() {
                out.push(b'/');
            }
        }
        encode_path(out, self.key.as_bytes());
        let separator = out.len();
        out.push(b'\n');
        self.put_query(out, date, sorted);
        let query_end = out.len();
        out.push(b'\n');
        if self.headers.is_empty() {
            out.extend_from_slice(b"host:");
            self.put_host(out);
            out.extend_from_slice(b"\n\nhost\n");
            out.extend_from_slice(UNSIGNED_PAYLOAD.as_bytes());
            return Ok(Layout { separator, query_end });
        }
        let headers = sorted.headers.as_slice();
        let (before, after) = split_after(headers, &HOST);
        put_lines(out, before.split_last().map_or(&[], |(_host, before)| before))?;
        out.extend_from_slice(b"host:");
        self.put_host(out);
        out.push(b'\n');
        put_lines(out, after)?;
        out.push(b'\n');
        put_names(out, headers);
        out.push(b'\n');
        out.extend_from_slice(UNSIGNED_PAYLOAD.as_bytes());
        Ok(Layout { separator, query_end })
    }

    /// The query, sorted.
    fn put_query(&self, out: &mut Vec<u8>, date: &AmzDate, sorted: &SortedParts<'_>) {
        let parameters = sorted.parameters.as_slice();
        let before = parameters.partition_point(|Parameter(name, _)| *name < RESERVED_PREFIX);
        let (before, after) = parameters.split_at_checked(before).unwrap_or_default();
        for Parameter(name, value) in before {
            put_parameter(out, name, value);
            out.push(b'&');
        }
        out.extend_from_slice(AFTER_ALGORITHM);
        out.extend_from_slice(self.access_key_id.as_bytes());
        out.extend_from_slice(b"%2F");
        out.extend_from_slice(date.date());
        out.extend_from_slice(b"%2F");
        out.extend_from_slice(self.endpoint.region().as_bytes());
        out.extend_from_slice(b"%2F");
        out.extend_from_slice(self.endpoint.service().as_bytes());
        out.extend_from_slice(b"%2Faws4_request&X-Amz-Date=");
        out.extend_from_slice(date.as_bytes());
        out.extend_from_slice(b"&X-Amz-Expires=");
        put_decimal(out, self.expires);
        if let Some(token) = self.session_token {
            out.push(b'&');
            out.extend_from_slice(self.endpoint.token_parameter().as_bytes());
            out.push(b'=');
            encode_query(out, token.as_bytes());
        }
        out.extend_from_slice(b"&X-Amz-SignedHeaders=");
        if self.headers.is_empty() {
            out.extend_from_slice(b"host");
        } else {
            put_encoded_names(out, sorted.headers.as_slice());
        }
        for Parameter(name, value) in after {
            out.push(b'&');
            put_parameter(out, name, value);
        }
    }

    fn put_host(&self, out: &mut Vec<u8>) {
        let (bucket, _) = self.endpoint.place(self.bucket);
        if !bucket.is_empty() {
            out.extend_from_slice(bucket.as_bytes());
            out.push(b'.');
        }
        out.extend_from_slice(self.endpoint.authority().as_bytes());
    }

    /// At least as many bytes as canonical request and link need from the path on.
    fn capacity(&self, sorted: &SortedParts<'_>) -> usize {
        let parameter =
            |Parameter(name, value): &Parameter<'_>| name.len() + encoded_room(value.as_bytes()) + 2;
        // Each name is in the query too, all encoded at the most.
        let header = |header: &Header<'_>| header.room() + 3 * header.name().len() + 3;
        let host = self.bucket.len() + self.endpoint.authority().len() + 2;
        host * 2
            + 3 * self.key.len()
            + self.access_key_id.len()
            + self.endpoint.region().len()
            + self.endpoint.service().len()
            + self.session_token.map_or(0, |t| encoded_room(t.as_bytes()) + TOKEN.len() + 2)
            + sorted.parameters.as_slice().iter().map(parameter).sum::<usize>()
            + sorted.headers.as_slice().iter().map(header).sum::<usize>()
            + FIXED
    }
}

/// Of a session token nothing is shown but that there is one.
impl core::fmt::Debug for PresignRequest<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PresignRequest")
            .field("method", &self.method)
            .field("endpoint", &self.endpoint)
            .field("bucket", &self.bucket)
            .field("key", &self.key)
            .field("access_key_id", &self.access_key_id)
            .field("time", &self.time)
            .field("expires", &self.expires)
            .field("session_token", &self.session_token.map(|_| "…"))
            .field("version_id", &self.version_id)
            .field("query", &self.query)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}

const HOST: Header<'static> = Header::known("host");

/// A parameter's name and value, not encoded. Every name is plain ASCII, so that names sort as their encodings do.
#[derive(Clone, Copy, Default)]
struct Parameter<'a>(&'a str, &'a str);

impl Ordered for Parameter<'_> {
    #[inline]
    fn compare(&self, other: &Self) -> core::cmp::Ordering {
        self.0.cmp(other.0)
    }
}

/// What has an order in the canonical request.
pub(super) struct SortedParts<'a> {
    parameters: Sorted<Parameter<'a>>,
    headers: Sorted<Header<'a>>,
}

/// More than the parts of fixed length need together: scheme, names of the parameters, date, expiry, host header,
/// payload hash, signature, and what `put_lines` wants.
const FIXED: usize = 16 + 256 + SIGNATURE.len() + 64 + 32 + STEP;

/// Makes a link of a canonical request, the last thing in `out`: its method, `method` bytes with the line break, ends where
/// `path` begins, and there is room before that for the parts of `origin`.
pub(super) fn finish(
    out: &mut Vec<u8>,
    path: usize,
    method: usize,
    layout: &Layout,
    sign: impl FnOnce(&[u8; 32]) -> Signature,
    origin: &[&[u8]],
) {
    let signature = sign(&sha256(out.get(path - method..).unwrap_or_default()));

    // From here on it is the link.
    out.truncate(layout.query_end);
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&signature.to_hex());
    if let Some(separator) = out.get_mut(layout.separator) {
        *separator = b'?';
    }
    let mut at = path - len(origin);
    // Only behind a method that is longer than the server's name.
    let spare = path - len(origin).max(method)..at;
    for part in origin {
        if let Some(to) = out.get_mut(at..at + part.len()) {
            to.copy_from_slice(part);
        }
        at += part.len();
    }
    out.drain(spare);
}

fn len(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// Signs a canonical request that is known to be one of a query-signed S3 object request, and makes the link of it.
pub(super) fn sign_canonical(
    canonical_request: &str,
    host: &str,
    scheme: Scheme,
    date: &AmzDate,
    scope: &Scope,
    key: &SigningKey,
) -> Result<String, PresignError> {
    if key.scope() != scope {
        return Err(other_scope(key, scope));
    }
    let string_to_sign = crate::sigv4::string_to_sign(date, scope, canonical_request.as_bytes());
    let signature = key.sign(&string_to_sign).to_string();
    let mut lines = canonical_request.split('\n').skip(1);
    let (path, query) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    Ok([scheme.as_str(), "://", host, path, "?", query, "&X-Amz-Signature=", &signature].concat())
}

fn other_scope(key: &SigningKey, request: &Scope) -> PresignError {
    PresignError::OtherScope { key: key.scope().as_str().into(), request: request.as_str().into() }
}

/// An object's tags as the header `x-amz-tagging` has them: in the form of a query.
#[must_use]
pub fn tagging(tags: &[(String, String)]) -> String {
    let mut out = Vec::new();
    for (name, value) in tags {
        if !out.is_empty() {
            out.push(b'&');
        }
        encode_query(&mut out, name.as_bytes());
        out.push(b'=');
        encode_query(&mut out, value.as_bytes());
    }
    text(out)
}

fn put_parameter(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
    encode_query(out, value.as_bytes());
}

/// At most [`MAX_EXPIRES`], in decimal.
fn put_decimal(out: &mut Vec<u8>, number: u64) {
    let mut divisor = 100_000;
    while divisor > 1 && number < divisor {
        divisor /= 10;
    }
    while divisor > 0 {
        out.push(b'0' + (number / divisor % 10) as u8);
        divisor /= 10;
    }
}

/// Only ASCII has been written.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_default()
}

const _: () = assert!(AFTER_ALGORITHM.len() == "X-Amz-Algorithm=&X-Amz-Credential=".len() + ALGORITHM.len());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigv4::DateKey;

    const TIME: u64 = 1_369_353_600;

    fn key(region: &str, service: &str, time: u64) -> SigningKey {
        let date = AmzDate::from_unix(time).unwrap();
        DateKey::from_secret(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", date)
            .signing_key(region, service)
            .unwrap()
    }

    fn with(change: impl FnOnce(&mut PresignRequest<'_>)) -> Result<String, PresignError> {
        let endpoint = Endpoint::aws("us-east-1").unwrap();
        let mut request = PresignRequest {
            method: "GET",
            endpoint: &endpoint,
            bucket: "examplebucket",
            key: "test.txt",
            access_key_id: "AKIAIOSFODNN7EXAMPLE",
            time: TIME,
            expires: 86_400,
            session_token: None,
            version_id: None,
            query: &[],
            headers: &[],
        };
        change(&mut request);
        let link = request.presign(&key("us-east-1", "s3", TIME));
        let mut lines = b"before\n".to_vec();
        let appended = request.presign_into(&key("us-east-1", "s3", TIME), &mut lines);
        assert_eq!(appended.as_ref().err(), link.as_ref().err());
        assert_eq!(lines, format!("before\n{}", link.as_deref().unwrap_or_default()).as_bytes());
        // Both ways to a result agree on what is allowed.
        assert_eq!(link.as_ref().err(), request.canonical_request().err().as_ref());
        link
    }

    #[test]
    fn rules_are_kept() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut PresignRequest<'_>), expected: PresignError) {
            assert_eq!(with(change), Err(expected));
        }
        check(|r| r.key = "", PresignError::Key(KeyError::Empty));
        let long = "k".repeat(1025);
        assert_eq!(with(|r| r.key = leak(&long)), Err(PresignError::Key(KeyError::TooLong(1025))));
        for method in ["PUT", "DELETE", "POST"] {
            let list =
                |r: &mut PresignRequest<'_>| (r.method, r.key, r.query) = (method, "", &[("list-type", "2")]);
            check(list, PresignError::Key(KeyError::Empty));
        }
        check(|r| (r.key, r.query) = ("", &[("partNumber", "2")]), PresignError::Key(KeyError::Empty));
        check(|r| r.bucket = "B", PresignError::Bucket(BucketError::Length("B".into())));
        check(|r| r.bucket = "a/b", PresignError::Bucket(BucketError::Character("a/b".into())));
        check(|r| r.expires = 0, PresignError::Expires(0));
        check(|r| r.expires = MAX_EXPIRES + 1, PresignError::Expires(604_801));
        check(|r| r.access_key_id = "", PresignError::AccessKeyId("".into()));
        check(|r| r.access_key_id = "A/B", PresignError::AccessKeyId("A/B".into()));
        check(|r| r.session_token = Some(""), PresignError::SessionToken);
        check(|r| r.session_token = Some("a\nb"), PresignError::SessionToken);
        check(
            |r| r.time = AmzDate::MAX_UNIX + 1,
            PresignError::Date(DateError::OutOfRange(AmzDate::MAX_UNIX + 1)),
        );
        check(|r| r.method = "GET\n", PresignError::Request(CanonicalRequestError::Method("GET\n".into())));
        for name in ["", "a b", "X-Amz-Date", "x-amz-expires", "X-Amz-Signature", "versionId"] {
            let query = [(name, "1")];
            let query: &'static [(&str, &str)] = Vec::leak(query.to_vec());
            let change = |r: &mut PresignRequest<'_>| (r.query, r.version_id) = (query, Some("1"));
            assert_eq!(with(change), Err(PresignError::Parameter(name.into())));
        }
        check(|r| r.headers = &[("Host", "evil.test")], PresignError::Header("Host".into()));
        check(|r| r.headers = &[("a", "1"), ("A", "2")], PresignError::Header("a".into()));
        check(
            |r| r.headers = &[("a", "1\nx:2")],
            PresignError::Request(CanonicalRequestError::Value("a".into())),
        );
    }

    fn leak(text: &str) -> &'static str {
        String::leak(text.into())
    }

    #[test]
    fn bounds_belong() {
        for expires in [1, 9, 10, 99, 100, 3600, 99_999, 100_000, MAX_EXPIRES] {
            let link = with(|r| r.expires = expires).unwrap();
            assert!(link.contains(&format!("&X-Amz-Expires={expires}&")), "{link}");
        }
        with(|r| r.key = leak(&"ü".repeat(512))).unwrap();
        let link =
            with(|r| (r.key, r.query) = ("", &[("prefix", "a/"), (REQUEST_PAYER, "requester")])).unwrap();
        assert!(
            link.starts_with("https://examplebucket.s3.us-east-1.amazonaws.com/?X-Amz-Algorithm"),
            "{link}"
        );
        assert!(link.contains("host&prefix=a%2F&x-amz-request-payer=requester&X-Amz-Signature="), "{link}");
        assert!(with(|r| r.query = &[("X-Amz-Request-Payer", "requester")]).is_err());
        // A method that takes more room than scheme and host.
        let method = "M".repeat(32);
        let endpoint = Endpoint::custom("http://h", "us-east-1").unwrap();
        let link = with(|r| (r.method, r.endpoint) = (leak(&method), Box::leak(Box::new(endpoint)))).unwrap();
        assert!(link.starts_with("http://h/examplebucket/test.txt?X-Amz-Algorithm"), "{link}");
    }

    #[test]
    fn a_key_signs_its_own_scope_only() {
        #[track_caller]
        fn check(key: &SigningKey, time: u64, fits: bool) {
            let endpoint = Endpoint::aws("us-east-1").unwrap();
            let request = PresignRequest {
                method: "GET",
                endpoint: &endpoint,
                bucket: "examplebucket",
                key: "test.txt",
                access_key_id: "AKIAIOSFODNN7EXAMPLE",
                time,
                expires: 1,
                session_token: None,
                version_id: None,
                query: &[],
                headers: &[],
            };
            let expected = (!fits).then(|| {
                other_scope(key, &Scope::new(&AmzDate::from_unix(time).unwrap(), "us-east-1", "s3").unwrap())
            });
            assert_eq!(request.presign(key).err(), expected);
        }
        check(&key("us-east-1", "s3", TIME), TIME, true);
        check(&key("us-east-1", "s3", TIME), TIME + 86_399, true);
        check(&key("us-east-1", "s3", TIME), TIME + 86_400, false);
        check(&key("us-east-1", "s3", TIME), TIME - 1, false);
        check(&key("us-east-2", "s3", TIME), TIME, false);
        check(&key("us-east-1", "sts", TIME), TIME, false);
    }

    #[test]
    fn secrets_are_not_printed() {
        let endpoint = Endpoint::aws("us-east-1").unwrap();
        let request = PresignRequest {
            method: "GET",
            endpoint: &endpoint,
            bucket: "examplebucket",
            key: "test.txt",
            access_key_id: "AKIAIOSFODNN7EXAMPLE",
            time: TIME,
            expires: 1,
            session_token: Some("hunter2"),
            version_id: None,
            query: &[],
            headers: &[("x-amz-server-side-encryption-customer-key", "hunter2")],
        };
        assert!(!format!("{request:?}").contains("hunter2"));
        let bad = PresignRequest { session_token: Some("hunter2\n"), ..request };
        let error = bad.canonical_request().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn one_allocation_is_enough_room() {
        // What `presign` reserves is never too little: the buffer is the size that was asked for at first.
        #[track_caller]
        fn check(request: &PresignRequest<'_>) {
            let date = AmzDate::from_unix(request.time).unwrap();
            let mut out = Vec::new();
            let mut sorted = request.unsorted();
            request.sort(&mut sorted).unwrap();
            let layout = request.write(&mut out, &date, &sorted).unwrap();
            let needed = out.len().max(layout.query_end + SIGNATURE.len() + 64);
            let capacity = request.capacity(&sorted);
            assert!(capacity >= needed, "{capacity} < {needed}");
        }
        let token = "IQoJb3JpZ2luX2VjE+PT//8/wE==".repeat(70);
        for url in [None, Some("http://h"), Some("https://a-rather-long-host-name.example.com:65535")] {
            let endpoint = url
                .map_or(Endpoint::aws("eusc-de-east-1"), |u| Endpoint::custom(u, &"r".repeat(48)))
                .unwrap();
            for key in ["k", "ü/ü", &"%".repeat(1024)] {
                for (session_token, version_id) in [(None, None), (Some(&*token), Some("a/b/c=="))] {
                    for headers in [&[][..], &[("A", ""), ("!#$%&'*+", "")]] {
                        check(&PresignRequest {
                            method: "DELETE",
                            endpoint: &endpoint,
                            bucket: "abc",
                            key,
                            access_key_id: &"A".repeat(128),
                            time: TIME,
                            expires: MAX_EXPIRES,
                            session_token,
                            version_id,
                            query: &[("response-content-type", "a/b; c=\"d\""), ("a", "")],
                            headers,
                        });
                    }
                }
            }
        }
    }
}
