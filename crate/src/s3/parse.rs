//! The host's own reading of a canonical request that a front end wants signed.
//!
//! This is a security boundary: what the person at the key is shown comes from here, and so must be all that
//! the signature will say. So the request is taken apart, put together again by [`PresignRequest`] from nothing
//! but the parts, and must come out byte for byte as it came in. Whatever is ambiguous, unsorted, doubly encoded
//! or hidden does not survive that. What is left is an S3 request for an object or a bucket's list, signed in its query,
//! with parameters and headers from closed lists.

use super::endpoint::{DIRECTORY_TOKEN, TOKEN, default_port, split_authority};
use super::presign::{
    LIST_PARAMETERS, OBJECT_PARAMETERS, REQUEST_PAYER, RESPONSE_OVERRIDES, VERSION_ID, sign_canonical,
};
use super::{Endpoint, EndpointError, EndpointKind, PresignError, PresignRequest};
use crate::message::Scheme;
use crate::partition::is_aws_host;
use crate::sigv4::encode::decode;
use crate::sigv4::{
    ALGORITHM, AmzDate, DateError, Scope, ScopeError, SigningKey, TERMINATOR, UNSIGNED_PAYLOAD,
};

/// Longest canonical request in bytes. A key of 1024 bytes, all encoded, is 3 KiB, S3 takes 8 KiB of headers, and
/// tokens are under 4 KiB; what is longer is nobody's link, and costs time.
const MAX_LEN: usize = 32 * 1024;
/// Most headers.
const MAX_HEADERS: usize = 256;

/// A canonical request of a query-signed S3 request for an object or a bucket's list, understood whole.
pub struct ParsedPresign {
    canonical_request: String,
    method: String,
    endpoint: Endpoint,
    host: String,
    bucket: String,
    key: String,
    access_key_id: String,
    date: AmzDate,
    scope: Scope,
    expires: u64,
    session: bool,
    parameters: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

/// Why a text is not the canonical request of a query-signed S3 object request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Longer than any link can be.
    #[error(
        "the canonical request is {0} bytes long, and {MAX_LEN} are the most: shorten key, headers or token"
    )]
    TooLong(usize),
    /// Lines are missing, or there are more.
    #[error("this is no canonical request: it lacks {0}")]
    Missing(&'static str),
    /// After the payload hash there is more.
    #[error("the canonical request goes on after its payload hash")]
    Trailing,
    /// Not percent-encoded UTF-8.
    #[error("{0} of the canonical request is not percent-encoded UTF-8")]
    Encoding(&'static str),
    /// Twice the same parameter or header.
    #[error("{0:?} is there twice: a request must say each thing once")]
    Twice(String),
    /// A parameter that could make it another operation than the one shown.
    #[error(
        "the query parameter {0:?} is not signed for: with a key allowed are {object}, {answer}, and without one those that list a bucket",
        object = OBJECT_PARAMETERS.join(", "),
        answer = RESPONSE_OVERRIDES.join(", ")
    )]
    Parameter(String),
    /// A header that could make it another operation than the one shown.
    #[error(
        "the header {0:?} is not signed for: allowed are those that say what is stored, who may read it, how it is \
         encrypted, and under which condition"
    )]
    Header(String),
    /// Not [`ALGORITHM`].
    #[error("the algorithm is {0:?}: only {ALGORITHM} is signed")]
    Algorithm(String),
    /// Not `ID/DATE/REGION/SERVICE/aws4_request`.
    #[error("{0:?} is no credential of the form ID/DATE/REGION/s3/{TERMINATOR}")]
    Credential(String),
    /// Another service than the host's.
    #[error("the scope is for the service {scope:?}, and the host is one of {host:?}")]
    Service {
        /// The scope's service.
        scope: String,
        /// The service of the host: `s3`, but for some access points and directory buckets.
        host: &'static str,
    },
    /// The scope is for another day than the request.
    #[error("the scope is for {scope:?} and the request of {request:?}: they must be of one day")]
    ScopeDate {
        /// The scope's date.
        scope: String,
        /// `X-Amz-Date`.
        request: String,
    },
    /// `X-Amz-Date`.
    #[error(transparent)]
    Date(#[from] DateError),
    /// Region or service.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// Not a number.
    #[error("{0:?} is no expiry: give seconds, 1 to 604800")]
    Expires(String),
    /// Not [`UNSIGNED_PAYLOAD`].
    #[error("the payload hash is {0:?}: a link is signed with {UNSIGNED_PAYLOAD}")]
    Payload(String),
    /// Neither a host name nor an address, with or without a port.
    #[error("{0:?} is no host")]
    Host(String),
    /// Under AWS's domains, but not S3's endpoint of the region it is signed for.
    #[error("{host} is no S3 endpoint of {region}: use s3.{region} with the suffix of its partition")]
    NotS3 {
        /// The host.
        host: String,
        /// The scope's region.
        region: String,
    },
    /// A part breaks a rule of S3.
    #[error(transparent)]
    Invalid(#[from] PresignError),
    /// Put together again from its parts, it differs.
    #[error(
        "the canonical request is not in canonical form at byte {0}: parts must be sorted, encoded once, and in \
         one spelling"
    )]
    NotCanonical(usize),
}

impl ParsedPresign {
    /// Reads a canonical request. On a server that is not AWS the bucket is in the path.
    ///
    /// # Errors
    /// [`ParseError`] for anything but the exact form of an S3 request for an object or a bucket's list that is signed in
    /// its query.
    pub fn parse(canonical_request: &str) -> Result<Self, ParseError> {
        Self::read(canonical_request, false)
    }

    /// Reads a canonical request for a server that is not AWS and has the bucket before its host's name: what the bytes
    /// themselves do not say. AWS's hosts are known, and read as [`Self::parse`] does.
    ///
    /// # Errors
    /// [`ParseError`] as there.
    pub fn parse_virtual_hosted(canonical_request: &str) -> Result<Self, ParseError> {
        Self::read(canonical_request, true)
    }

    fn read(canonical_request: &str, virtual_hosted: bool) -> Result<Self, ParseError> {
        use ParseError::Missing;

        if canonical_request.len() > MAX_LEN {
            return Err(ParseError::TooLong(canonical_request.len()));
        }
        let mut lines = canonical_request.split('\n');
        let method = lines.next().unwrap_or_default();
        let path = lines.next().ok_or(Missing("the path"))?;
        let query = Query::parse(lines.next().ok_or(Missing("the query"))?)?;
        let mut host = None;
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(Missing("a colon after a header's name"))?;
            if headers.len() >= MAX_HEADERS {
                return Err(ParseError::Header(name.into()));
            }
            if name == "host" {
                set(&mut host, name, value.to_owned())?;
            } else if headers.iter().any(|(other, _)| other == name) {
                return Err(ParseError::Twice(name.into()));
            } else if is_plain_header(name) {
                headers.push((name.into(), value.into()));
            } else {
                return Err(ParseError::Header(name.into()));
            }
        }
        // The names of the signed headers are compared as a part of the whole, below.
        lines.next().ok_or(Missing("the names of the signed headers"))?;
        let payload = lines.next().ok_or(Missing("the payload hash"))?;
        if payload != UNSIGNED_PAYLOAD {
            return Err(ParseError::Payload(payload.into()));
        }
        if lines.next().is_some() {
            return Err(ParseError::Trailing);
        }

        let algorithm = query.algorithm.ok_or(Missing("X-Amz-Algorithm"))?;
        if algorithm != ALGORITHM {
            return Err(ParseError::Algorithm(algorithm));
        }
        let date = AmzDate::parse(&query.date.ok_or(Missing("X-Amz-Date"))?)?;
        let credential = query.credential.ok_or(Missing("X-Amz-Credential"))?;
        let (access_key_id, scope) = read_credential(&credential, &date)?;
        let expires = query.expires.ok_or(Missing("X-Amz-Expires"))?;
        let expires = match expires.parse() {
            Ok(seconds) if expires.bytes().all(|b| b.is_ascii_digit()) => seconds,
            _ => return Err(ParseError::Expires(expires)),
        };
        let host = host.ok_or(Missing("the header host"))?;
        let place = Place::read(&host, path, scope.region(), virtual_hosted)?;
        if scope.service() != place.endpoint.service() {
            let (scope, host) = (scope.service().into(), place.endpoint.service());
            return Err(ParseError::Service { scope, host });
        }
        let is_list = place.key.is_empty() && query.parameters.iter().any(|(name, _)| is_of_list(name));
        let known = if is_list { is_of_list } else { is_of_object };
        if let Some((name, _)) =
            query.parameters.iter().find(|(name, _)| !known(name) && name != REQUEST_PAYER)
        {
            return Err(ParseError::Parameter(name.clone()));
        }
        let endpoint = match query.directory_token {
            Some(_) if query.session_token.is_some() => return Err(ParseError::Twice(TOKEN.into())),
            Some(_) => place.endpoint.directory_session(),
            None => place.endpoint,
        };
        let session_token = query.session_token.or(query.directory_token);

        let parsed = Self {
            canonical_request: canonical_request.into(),
            method: method.into(),
            endpoint,
            bucket: place.bucket,
            key: place.key,
            host,
            access_key_id,
            date,
            scope,
            expires,
            session: session_token.is_some(),
            parameters: query.parameters,
            headers,
        };
        let rebuilt = parsed.rebuild(session_token.as_deref())?;
        match differ_at(&rebuilt, canonical_request) {
            None => Ok(parsed),
            Some(offset) => Err(ParseError::NotCanonical(offset)),
        }
    }

    /// The canonical request, from the parts alone.
    fn rebuild(&self, session_token: Option<&str>) -> Result<String, PresignError> {
        fn pairs(of: &[(String, String)]) -> Vec<(&str, &str)> {
            of.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
        }
        let request = PresignRequest {
            method: &self.method,
            endpoint: &self.endpoint,
            bucket: &self.bucket,
            key: &self.key,
            access_key_id: &self.access_key_id,
            time: self.date.unix(),
            expires: self.expires,
            session_token,
            version_id: None,
            query: &pairs(&self.parameters),
            headers: &pairs(&self.headers),
        };
        request.canonical_request()
    }

    /// Signs what was parsed, and makes the link of it.
    ///
    /// # Errors
    /// [`PresignError::OtherScope`] if the key is for another day, region or service; [`PresignError::Scheme`] if
    /// AWS is to be reached in the clear, or the host spells the scheme's own port out, which clients do not send.
    pub fn sign(&self, key: &SigningKey, scheme: Scheme) -> Result<String, PresignError> {
        let own_port =
            split_authority(&self.host).is_some_and(|(_, port)| port == Some(default_port(scheme)));
        if own_port || (self.is_aws_host() && scheme != Scheme::Https) {
            return Err(PresignError::Scheme { host: self.host.clone(), scheme: scheme.as_str() });
        }
        sign_canonical(&self.canonical_request, &self.host, scheme, &self.date, &self.scope, key)
    }

    /// The text that was parsed.
    #[must_use]
    pub fn canonical_request(&self) -> &str {
        &self.canonical_request
    }

    /// HTTP method: any; which ones may be signed is the caller's policy.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Host header: the bucket's host on AWS, and the port unless it is the scheme's own.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host and port without the bucket: what a list of allowed servers holds.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.endpoint.authority()
    }

    /// Whether the host is AWS's S3 in the scope's region, and not another server.
    #[must_use]
    pub fn is_aws_host(&self) -> bool {
        self.endpoint.kind() != EndpointKind::Other
    }

    /// Where it goes. The scheme is not signed, and not known here.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The bucket; at an access point's endpoint its `NAME-ACCOUNT`.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The object's key, decoded; empty when a bucket's list is asked for.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The access key whose secret is to sign.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// When the link begins to work.
    #[must_use]
    pub fn date(&self) -> &AmzDate {
        &self.date
    }

    /// When the link begins to work, Unix time in seconds.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.date.unix()
    }

    /// How long it works, 1 to 604800 seconds.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// First second in which the link works no more, Unix time.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.time() + self.expires
    }

    /// What the signing key must be for; the service is the endpoint's, the date that of [`Self::date`].
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The region it is signed for.
    #[must_use]
    pub fn region(&self) -> &str {
        self.scope.region()
    }

    /// Whether it is signed with temporary credentials, which can end before the link.
    #[must_use]
    pub fn has_session_token(&self) -> bool {
        self.session
    }

    /// Which version of the object, if it says so.
    #[must_use]
    pub fn version_id(&self) -> Option<&str> {
        self.parameters.iter().find(|(name, _)| name == VERSION_ID).map(|(_, id)| id.as_str())
    }

    /// All parameters but the signature's own, decoded, in the order of their names.
    #[must_use]
    pub fn parameters(&self) -> &[(String, String)] {
        &self.parameters
    }

    /// Signed headers besides Host.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }
}

/// Neither the session token nor header values.
impl core::fmt::Debug for ParsedPresign {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ParsedPresign")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("bucket", &self.bucket)
            .field("key", &self.key)
            .field("access_key_id", &self.access_key_id)
            .field("scope", &self.scope)
            .field("date", &self.date)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The parameters, decoded.
#[derive(Default)]
struct Query {
    algorithm: Option<String>,
    credential: Option<String>,
    date: Option<String>,
    expires: Option<String>,
    session_token: Option<String>,
    directory_token: Option<String>,
    signed_headers: Option<String>,
    parameters: Vec<(String, String)>,
}

impl Query {
    fn parse(query: &str) -> Result<Self, ParseError> {
        let mut parsed = Self::default();
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').ok_or(ParseError::Encoding("the query"))?;
            let value = decode(value).ok_or(ParseError::Encoding("the query"))?;
            let slot = match name {
                "X-Amz-Algorithm" => &mut parsed.algorithm,
                "X-Amz-Credential" => &mut parsed.credential,
                "X-Amz-Date" => &mut parsed.date,
                "X-Amz-Expires" => &mut parsed.expires,
                TOKEN => &mut parsed.session_token,
                DIRECTORY_TOKEN => &mut parsed.directory_token,
                // Compared as a part of the whole.
                "X-Amz-SignedHeaders" => &mut parsed.signed_headers,
                _ if !is_of_object(name) && !is_of_list(name) => {
                    return Err(ParseError::Parameter(name.into()));
                }
                _ if parsed.parameters.iter().any(|(other, _)| other == name) => {
                    return Err(ParseError::Twice(name.into()));
                }
                _ => {
                    parsed.parameters.push((name.into(), value));
                    continue;
                }
            };
            set(slot, name, value)?;
        }
        Ok(parsed)
    }
}

fn set(slot: &mut Option<String>, name: &str, value: String) -> Result<(), ParseError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ParseError::Twice(name.into())),
    }
}

fn is_of_object(parameter: &str) -> bool {
    OBJECT_PARAMETERS.contains(&parameter) || RESPONSE_OVERRIDES.contains(&parameter)
}

/// Whether the header's value is a secret, to be shown nowhere: the key that the server is to encrypt with.
#[must_use]
pub fn is_secret_header(name: &str) -> bool {
    name.eq_ignore_ascii_case("x-amz-server-side-encryption-customer-key")
}

fn is_of_list(parameter: &str) -> bool {
    LIST_PARAMETERS.contains(&parameter)
}

/// Headers that say what is stored, who may read it, how it is encrypted, or under which condition; but not where it
/// comes from (`x-amz-copy-source`), for then it is another operation.
fn is_plain_header(name: &str) -> bool {
    matches!(
        name,
        "cache-control"
            | "content-disposition"
            | "content-encoding"
            | "content-language"
            | "content-length"
            | "content-md5"
            | "content-type"
            | "expires"
            | "if-match"
            | "if-modified-since"
            | "if-none-match"
            | "if-unmodified-since"
            | "range"
            | "x-amz-acl"
            | "x-amz-bypass-governance-retention"
            | "x-amz-expected-bucket-owner"
            | "x-amz-mp-object-size"
            | "x-amz-optional-object-attributes"
            | REQUEST_PAYER
            | "x-amz-sdk-checksum-algorithm"
            | "x-amz-storage-class"
            | "x-amz-tagging"
            | "x-amz-website-redirect-location"
    ) || PLAIN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

const PLAIN_PREFIXES: [&str; 6] = [
    "x-amz-checksum-",
    "x-amz-grant-",
    "x-amz-if-match-",
    "x-amz-meta-",
    "x-amz-object-lock-",
    "x-amz-server-side-encryption",
];

fn read_credential(credential: &str, date: &AmzDate) -> Result<(String, Scope), ParseError> {
    let error = || ParseError::Credential(credential.into());
    let mut parts = credential.split('/');
    let mut next = || parts.next().ok_or_else(error);
    let (access_key_id, day, region, service, terminator) = (next()?, next()?, next()?, next()?, next()?);
    if terminator != TERMINATOR || parts.next().is_some() {
        return Err(error());
    }
    if day.as_bytes() != date.date() {
        return Err(ParseError::ScopeDate { scope: day.into(), request: date.as_str().into() });
    }
    Ok((access_key_id.into(), Scope::new(date, region, service)?))
}

/// Where the object is.
struct Place {
    endpoint: Endpoint,
    bucket: String,
    key: String,
}

impl Place {
    fn read(host: &str, path: &str, region: &str, virtual_hosted: bool) -> Result<Self, ParseError> {
        let (name, _) = split_authority(host).ok_or_else(|| ParseError::Host(host.into()))?;
        let path = path.strip_prefix('/').ok_or(ParseError::Missing("the slash before the path"))?;
        let (endpoint, bucket) = if is_aws_host(name) {
            let not_s3 = || ParseError::NotS3 { host: host.into(), region: region.into() };
            Endpoint::read_aws(host, region).ok_or_else(not_s3)?
        } else if virtual_hosted {
            let (bucket, server) = host.split_once('.').ok_or_else(|| ParseError::Host(host.into()))?;
            (Endpoint::other(Scheme::Https, server, region)?.virtual_hosted()?, Some(bucket))
        } else {
            // Which scheme it is for is not signed, and so does not matter here.
            (Endpoint::other(Scheme::Https, host, region)?, None)
        };
        let (bucket, key) = match bucket {
            Some(bucket) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let key = decode(key).ok_or(ParseError::Encoding("the path"))?;
        Ok(Self { endpoint, bucket: bucket.to_owned(), key })
    }
}

impl From<EndpointError> for ParseError {
    fn from(error: EndpointError) -> Self {
        match error {
            EndpointError::Scope(error) => Self::Scope(error),
            other => Self::Host(other.to_string()),
        }
    }
}

/// Offset of the first byte that is not the same.
fn differ_at(a: &str, b: &str) -> Option<usize> {
    (a != b).then(|| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::{BucketError, KeyError, Target, Variant};
    use crate::sigv4::{CanonicalRequestError, DateKey};
    use proptest::prelude::*;

    const TIME: u64 = 1_369_353_600;

    const GOOD: &str = "GET\n/a%20b/%C3%BC.txt\n\
        X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
        &X-Amz-Date=20130524T000000Z\
        &X-Amz-Expires=86400\
        &X-Amz-Security-Token=IQo%2F%2B%3D%3D\
        &X-Amz-SignedHeaders=content-type%3Bhost\
        &response-content-type=text%2Fplain\
        &versionId=3%2FL4\n\
        content-type:a/b; c=d\n\
        host:examplebucket.s3.us-east-1.amazonaws.com\n\n\
        content-type;host\nUNSIGNED-PAYLOAD";

    #[test]
    fn a_good_request_is_understood_whole() {
        let parsed = ParsedPresign::parse(GOOD).unwrap();
        assert_eq!(parsed.canonical_request(), GOOD);
        assert_eq!(parsed.method(), "GET");
        assert_eq!(parsed.host(), "examplebucket.s3.us-east-1.amazonaws.com");
        assert_eq!(parsed.authority(), "s3.us-east-1.amazonaws.com");
        assert!(parsed.is_aws_host());
        assert_eq!((parsed.bucket(), parsed.key()), ("examplebucket", "a b/ü.txt"));
        assert_eq!(parsed.access_key_id(), "AKIAIOSFODNN7EXAMPLE");
        assert_eq!((parsed.time(), parsed.expires(), parsed.expires_at()), (TIME, 86_400, TIME + 86_400));
        assert_eq!(parsed.scope().as_str(), "20130524/us-east-1/s3/aws4_request");
        assert_eq!(parsed.region(), "us-east-1");
        assert!(parsed.has_session_token());
        assert_eq!(parsed.version_id(), Some("3/L4"));
        assert_eq!(
            parsed.parameters().first(),
            Some(&("response-content-type".to_owned(), "text/plain".to_owned()))
        );
        assert_eq!(parsed.headers(), [("content-type".to_owned(), "a/b; c=d".to_owned())]);
        assert!(!format!("{parsed:?}").contains("IQo"), "the session token is not printed");
    }

    #[test]
    fn other_servers_are_told_from_aws() {
        #[track_caller]
        fn check(host: &str, path: &str, expected: (bool, &str, &str, &str)) {
            let text = GOOD
                .replace("examplebucket.s3.us-east-1.amazonaws.com", host)
                .replace("/a%20b/%C3%BC.txt", path);
            let parsed = ParsedPresign::parse(&text).unwrap();
            assert_eq!((parsed.is_aws_host(), parsed.authority(), parsed.bucket(), parsed.key()), expected);
        }
        let aws = "s3.us-east-1.amazonaws.com";
        check(aws, "/my.bucket/k", (true, aws, "my.bucket", "k"));
        check(aws, "/my-bucket/a/../b//", (true, aws, "my-bucket", "a/../b//"));
        check("127.0.0.1:9000", "/my-bucket/k", (false, "127.0.0.1:9000", "my-bucket", "k"));
        check("[::1]:9000", "/my-bucket/k", (false, "[::1]:9000", "my-bucket", "k"));
        let look_alike = "my-bucket.s3.us-east-1.amazonaws.com.evil.test";
        check(look_alike, "/my-bucket/k", (false, look_alike, "my-bucket", "k"));
    }

    /// Every form of host, and what the prompt is written from.
    #[test]
    fn every_endpoint_is_told() {
        #[track_caller]
        fn check(host: &str, path: &str, service: &str, expected: (EndpointKind, &str, &str)) {
            let text = GOOD
                .replace("examplebucket.s3.us-east-1.amazonaws.com", host)
                .replace("/a%20b/%C3%BC.txt", path)
                .replace("%2Fs3%2F", &format!("%2F{service}%2F"));
            let parsed = ParsedPresign::parse(&text).unwrap();
            assert_eq!((parsed.endpoint().kind(), parsed.bucket(), parsed.key()), expected, "{host}");
            assert_eq!(parsed.scope().service(), service);
            assert!(parsed.is_aws_host());
        }
        use EndpointKind as K;
        check("s3.dualstack.us-east-1.amazonaws.com", "/my.bucket/k", "s3", (K::Bucket, "my.bucket", "k"));
        check("my-bucket.s3-fips.us-east-1.amazonaws.com", "/k", "s3", (K::Bucket, "my-bucket", "k"));
        check("my-bucket.s3-accelerate.amazonaws.com", "/b/k", "s3", (K::Accelerate, "my-bucket", "b/k"));
        let point = "ap-1-123456789012";
        let host = |rest: &str| format!("{point}.{rest}.us-east-1.amazonaws.com");
        check(&host("s3-accesspoint"), "/k", "s3", (K::AccessPoint, point, "k"));
        check(&host("s3-object-lambda"), "/k", "s3-object-lambda", (K::ObjectLambda, point, "k"));
        check(&host("op-1a.s3-outposts"), "/k", "s3-outposts", (K::Outpost, point, "k"));
        let zone = "b--use1-az4--x-s3";
        let host = format!("{zone}.s3express-use1-az4.us-east-1.amazonaws.com");
        check(&host, "/k", "s3express", (K::Directory, zone, "k"));
        let vpc = "b-1.bucket.vpce-1a-2b.s3.us-east-1.vpce.amazonaws.com";
        check(vpc, "/k", "s3", (K::Bucket, "b-1", "k"));

        // The host decides on the service.
        let text = GOOD.replace("examplebucket.s3.us-east-1.amazonaws.com", &host);
        let error = ParseError::Service { scope: "s3".into(), host: "s3express" };
        assert_eq!(ParsedPresign::parse(&text).err(), Some(error));
    }

    #[test]
    fn a_bucket_before_another_host_is_read_when_told() {
        let text = GOOD.replace("examplebucket.s3.us-east-1.amazonaws.com", "my-bucket.minio.test:9000");
        let parsed = ParsedPresign::parse_virtual_hosted(&text).unwrap();
        assert_eq!((parsed.bucket(), parsed.key()), ("my-bucket", "a b/ü.txt"));
        assert_eq!(parsed.authority(), "minio.test:9000");
        assert!(parsed.endpoint().is_virtual_hosted() && !parsed.is_aws_host());
        for bad in ["localhost", "my-bucket.127.0.0.1", "my-bucket.1"] {
            let text = GOOD.replace("examplebucket.s3.us-east-1.amazonaws.com", bad);
            assert!(matches!(ParsedPresign::parse_virtual_hosted(&text), Err(ParseError::Host(_))), "{bad}");
        }
        // AWS's hosts say it themselves.
        let parsed = ParsedPresign::parse_virtual_hosted(GOOD).unwrap();
        assert_eq!(parsed.authority(), "s3.us-east-1.amazonaws.com");
    }

    #[test]
    fn a_list_has_no_key_and_parameters_of_its_own() {
        let list = GOOD.replace("/a%20b/%C3%BC.txt", "/").replace(
            "&response-content-type=text%2Fplain&versionId=3%2FL4",
            "&list-type=2&prefix=a%2F&x-amz-request-payer=requester",
        );
        let parsed = ParsedPresign::parse(&list).unwrap();
        assert_eq!((parsed.bucket(), parsed.key()), ("examplebucket", ""));
        let names: Vec<_> = parsed.parameters().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["list-type", "prefix", "x-amz-request-payer"]);

        let error = |from: &str, to: &str| ParsedPresign::parse(&list.replacen(from, to, 1)).err();
        assert_eq!(
            error("&list-type=2", "&list-type=2&partNumber=1"),
            Some(ParseError::Parameter("partNumber".into()))
        );
        // With another method it would make or delete the bucket.
        for method in ["PUT", "DELETE", "POST"] {
            let expected = ParseError::Invalid(PresignError::Key(KeyError::Empty));
            assert_eq!(error("GET", method), Some(expected), "{method}");
        }
        assert_eq!(error("GET\n/\n", "GET\n/k\n"), Some(ParseError::Parameter("list-type".into())));
        // In the path there is no slash after the bucket.
        let path = list.replace("examplebucket.", "").replace("GET\n/\n", "GET\n/examplebucket\n");
        assert_eq!(ParsedPresign::parse(&path).unwrap().bucket(), "examplebucket");
        let slash = path.replace("/examplebucket\n", "/examplebucket/\n");
        assert!(matches!(ParsedPresign::parse(&slash), Err(ParseError::NotCanonical(_))));
    }

    #[test]
    fn parts_and_directory_sessions_are_read() {
        let text = GOOD
            .replace(
                "&response-content-type=text%2Fplain&versionId=3%2FL4",
                "&partNumber=3&uploadId=VXBs%2Bb2Fk",
            )
            .replace("GET", "PUT");
        let parsed = ParsedPresign::parse(&text).unwrap();
        let part = ("partNumber".to_owned(), "3".to_owned());
        assert_eq!(parsed.parameters(), [part, ("uploadId".to_owned(), "VXBs+b2Fk".to_owned())]);

        // The token of a directory bucket's session is for directory buckets.
        check_form("&X-Amz-Security-Token=IQo%2F%2B%3D%3D", "&X-Amz-S3session-Token=IQo%2F%2B%3D%3D");
        check(
            "&X-Amz-Security-Token=IQo%2F%2B%3D%3D",
            "&X-Amz-S3session-Token=1&X-Amz-Security-Token=2",
            ParseError::Twice(TOKEN.into()),
        );
        let host = "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com";
        let text = GOOD
            .replace("examplebucket.s3.us-east-1.amazonaws.com", host)
            .replace("%2Fs3%2F", "%2Fs3express%2F")
            .replace("X-Amz-Security-Token", "X-Amz-S3session-Token");
        let parsed = ParsedPresign::parse(&text).unwrap();
        assert!(parsed.has_session_token());
        assert!(!format!("{parsed:?}").contains("IQo"));
    }

    /// [`GOOD`] with one part replaced.
    #[track_caller]
    fn check(from: &str, to: &str, expected: ParseError) {
        assert!(GOOD.contains(from), "{from}");
        assert_eq!(ParsedPresign::parse(&GOOD.replacen(from, to, 1)).err(), Some(expected), "{from} → {to}");
    }

    /// The same, and it is no canonical form any more.
    #[track_caller]
    fn check_form(from: &str, to: &str) {
        assert!(GOOD.contains(from), "{from}");
        let error = ParsedPresign::parse(&GOOD.replacen(from, to, 1)).err();
        assert!(matches!(error, Some(ParseError::NotCanonical(_))), "{from} → {to}: {error:?}");
    }

    #[test]
    fn errors_quote_what_they_show() {
        let error =
            ParsedPresign::parse(&GOOD.replacen("%2F20130524%2F", "%2F2013\t\u{1B}[2J%2F", 1)).unwrap_err();
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }

    #[test]
    fn another_operation_is_refused() {
        check(
            "AWS4-HMAC-SHA256",
            "AWS4-ECDSA-P256-SHA256",
            ParseError::Algorithm("AWS4-ECDSA-P256-SHA256".into()),
        );
        for service in ["sts", "s3express", "s3-object-lambda"] {
            let error = ParseError::Service { scope: service.into(), host: "s3" };
            check("%2Fs3%2F", &format!("%2F{service}%2F"), error);
        }
        check(
            "%2F20130524%2F",
            "%2F20130525%2F",
            ParseError::ScopeDate { scope: "20130525".into(), request: "20130524T000000Z".into() },
        );
        check(
            "Date=20130524",
            "Date=20140524",
            ParseError::ScopeDate { scope: "20130524".into(), request: "20140524T000000Z".into() },
        );
        check(
            "20130524T000000Z",
            "20130532T000000Z",
            ParseError::Date(DateError::Malformed("20130532T000000Z".into())),
        );
        check(
            "aws4_request",
            "aws5_request",
            ParseError::Credential("AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws5_request".into()),
        );
        check(
            "aws4_request",
            "aws4_request%2Fx",
            ParseError::Credential("AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request/x".into()),
        );
        check(
            "AKIAIOSFODNN7EXAMPLE",
            "AKIA%2FX",
            ParseError::Credential("AKIA/X/20130524/us-east-1/s3/aws4_request".into()),
        );
        check("AKIAIOSFODNN7EXAMPLE", "", ParseError::Invalid(PresignError::AccessKeyId("".into())));
        check("UNSIGNED-PAYLOAD", "e3b0", ParseError::Payload("e3b0".into()));
        check("UNSIGNED-PAYLOAD", "UNSIGNED-PAYLOAD\n", ParseError::Trailing);
        check("=86400", "=604801", ParseError::Invalid(PresignError::Expires(604_801)));
        check("=86400", "=0", ParseError::Invalid(PresignError::Expires(0)));
        check("=86400", "=-1", ParseError::Expires("-1".into()));
        check("=86400", "=%2B86400", ParseError::Expires("+86400".into()));
        check("=86400", "=99999999999999999999", ParseError::Expires("99999999999999999999".into()));
        check("&versionId=3%2FL4", "&acl=", ParseError::Parameter("acl".into()));
        check("&versionId=3%2FL4", "&prefix=x", ParseError::Parameter("prefix".into()));
        check("&versionId=3%2FL4", "&tagging=", ParseError::Parameter("tagging".into()));
        check("&versionId=3%2FL4", "&versionid=x", ParseError::Parameter("versionid".into()));
        check("&versionId=3%2FL4", "&X-Amz-Signature=x", ParseError::Parameter("X-Amz-Signature".into()));
        check("content-type:", "x-amz-copy-source:", ParseError::Header("x-amz-copy-source".into()));
        check("content-type:", "Content-Type:", ParseError::Header("Content-Type".into()));
        check(
            "GET",
            "GET /",
            ParseError::Invalid(PresignError::Request(CanonicalRequestError::Method("GET /".into()))),
        );
    }

    #[test]
    fn another_place_is_refused() {
        let not_s3 = |host: &str| ParseError::NotS3 { host: host.into(), region: "us-east-1".into() };
        let host = "examplebucket.s3.us-east-1.amazonaws.com";
        for other in [
            "examplebucket.s3.eu-west-1.amazonaws.com",
            "examplebucket.s3.us-east-1.amazonaws.com.cn",
            "examplebuckets3.us-east-1.amazonaws.com",
            "sts.amazonaws.com",
            "iam.amazonaws.com",
            "examplebucket.s3.us-east-1.amazonaws.com:443",
            // A bucket with dots goes into the path, and access points have none.
            "example.bucket.s3.us-east-1.amazonaws.com",
            "s3-accesspoint.us-east-1.amazonaws.com",
            "s3-accelerate.amazonaws.com",
            "examplebucket.s3.dualstack.eu-west-1.amazonaws.com",
            "examplebucket.s3-website.us-east-1.amazonaws.com",
            "examplebucket.s3.us-east-1.vpce.amazonaws.com",
            "s3-us-east-1.amazonaws.com",
        ] {
            check(host, other, not_s3(other));
        }
        check(
            "%2Fus-east-1%2F",
            "%2Feu-west-1%2F",
            ParseError::NotS3 { host: host.into(), region: "eu-west-1".into() },
        );
        for bad in ["", "a b", "h/", "user@h", "h:", "h:x", "h.", "EXAMPLE.test", "h?x", "h\\x", "ü.test"] {
            check(host, bad, ParseError::Host(bad.into()));
        }
        check(
            host,
            "a_b.s3.us-east-1.amazonaws.com",
            ParseError::Invalid(PresignError::Bucket(BucketError::Character("a_b".into()))),
        );
        check(
            host,
            "127.0.0.1",
            ParseError::Invalid(PresignError::Bucket(BucketError::Character("a%20b".into()))),
        );
        check("/a%20b/%C3%BC.txt", "/", ParseError::Invalid(PresignError::Key(KeyError::Empty)));
        check(
            "/a%20b/%C3%BC.txt",
            &format!("/{}", "k".repeat(1025)),
            ParseError::Invalid(PresignError::Key(KeyError::TooLong(1025))),
        );
        check("/a%20b/%C3%BC.txt", "", ParseError::Missing("the slash before the path"));
        check("/a%20b/%C3%BC.txt", "/%FF", ParseError::Encoding("the path"));
        check("/a%20b/%C3%BC.txt", "/%2", ParseError::Encoding("the path"));
    }

    #[test]
    fn what_is_missing_or_twice_is_named() {
        for (parameter, name) in [
            ("X-Amz-Algorithm=AWS4-HMAC-SHA256&", "X-Amz-Algorithm"),
            ("X-Amz-Date=20130524T000000Z&", "X-Amz-Date"),
            ("X-Amz-Expires=86400&", "X-Amz-Expires"),
        ] {
            check(parameter, "", ParseError::Missing(name));
            check(parameter, &parameter.repeat(2), ParseError::Twice(name.into()));
        }
        check("&versionId=3%2FL4", "&versionId=3&versionId=4", ParseError::Twice("versionId".into()));
        let twice = "&response-content-type=a&response-content-type=b";
        check(
            "&response-content-type=text%2Fplain",
            twice,
            ParseError::Twice("response-content-type".into()),
        );
        check(
            "content-type:a/b; c=d\n",
            "content-type:a\ncontent-type:b\n",
            ParseError::Twice("content-type".into()),
        );
        let host = "host:examplebucket.s3.us-east-1.amazonaws.com\n";
        check(host, &host.repeat(2), ParseError::Twice("host".into()));
        check(host, "", ParseError::Missing("the header host"));
        check(host, "host\n", ParseError::Missing("a colon after a header's name"));
        check("&versionId=3%2FL4", "&versionId", ParseError::Encoding("the query"));
        check("&versionId=3%2FL4", "&", ParseError::Encoding("the query"));
        assert_eq!(ParsedPresign::parse("").err(), Some(ParseError::Missing("the path")));
        let long = GOOD.replace("content-type:", &format!("content-type:{}", "x".repeat(MAX_LEN)));
        assert_eq!(ParsedPresign::parse(&long).err(), Some(ParseError::TooLong(GOOD.len() + MAX_LEN)));
        assert_eq!(ParsedPresign::parse("GET\n/").err(), Some(ParseError::Missing("the query")));
    }

    #[test]
    fn there_is_one_spelling_only() {
        // Unsorted, doubly or needlessly or not encoded, in lower-case hex.
        check_form(
            "&response-content-type=text%2Fplain&versionId=3%2FL4",
            "&versionId=3%2FL4&response-content-type=text%2Fplain",
        );
        check_form("&versionId=3%2FL4", "&versionId=3/L4");
        check_form("&versionId=3%2FL4", "&versionId=3%2fL4");
        check_form("&versionId=3%2FL4", "&versionId=%33%2FL4");
        check_form("&versionId=3%2FL4", "&versionId=3+L4");
        check_form("a%20b", "a%20%62");
        check_form("a%20b", "a%2fb");
        check_form("a%20b", "a%2Fb");
        check_form("a%20b", "a+b");
        check_form("a%20b", "a b");
        check_form("a%20b", "a%2520b?");
        check_form("=86400", "=086400");
        check_form("content-type%3Bhost", "content-type;host");
        check_form("content-type%3Bhost", "content-type%3bhost");
        // Headers that are not named, or named and not there, or not trimmed.
        check_form("content-type%3Bhost", "host");
        check_form("\ncontent-type;host", "\nhost");
        check_form("content-type:a/b; c=d\n", "");
        check_form("content-type:a/b; c=d\n", "content-type: a/b; c=d\n");
        check_form("content-type:a/b; c=d\n", "content-type:a/b;  c=d\n");
        check_form("content-type:a/b; c=d\n", "range:bytes=0-0\n");
    }

    #[test]
    fn signing_is_for_what_was_parsed() {
        #[track_caller]
        fn check(host: &str, scheme: Scheme, expected: bool) {
            let text = GOOD
                .replace("examplebucket.s3.us-east-1.amazonaws.com", host)
                .replace("/a%20b/%C3%BC.txt", "/my-bucket/k");
            let parsed = ParsedPresign::parse(&text).unwrap();
            let date_key = DateKey::new([7; 32], *parsed.date());
            let key = date_key.signing_key("us-east-1", "s3").unwrap();
            let link = parsed.sign(&key, scheme);
            if expected {
                let (base, query) =
                    (format!("{}://{host}/my-bucket/k?", scheme.as_str()), text.split('\n').nth(2).unwrap());
                let link = link.unwrap();
                assert_eq!(
                    link.strip_prefix(&base).unwrap().rsplit_once("&X-Amz-Signature=").unwrap().0,
                    query
                );
            } else {
                assert_eq!(link, Err(PresignError::Scheme { host: host.into(), scheme: scheme.as_str() }));
            }
            for (region, service) in [("us-east-2", "s3"), ("us-east-1", "sts")] {
                let other = date_key.signing_key(region, service).unwrap();
                assert!(parsed.sign(&other, Scheme::Https).is_err());
            }
            let tomorrow = AmzDate::from_unix(TIME + 86_400).unwrap();
            let other = DateKey::new([7; 32], tomorrow).signing_key("us-east-1", "s3").unwrap();
            assert!(parsed.sign(&other, Scheme::Https).is_err());
        }
        check("s3.us-east-1.amazonaws.com", Scheme::Https, true);
        check("s3.us-east-1.amazonaws.com", Scheme::Http, false);
        check("localhost:9000", Scheme::Http, true);
        check("localhost:80", Scheme::Http, false);
        check("localhost:80", Scheme::Https, true);
        check("localhost:443", Scheme::Https, false);
    }

    /// Valid requests, of all shapes.
    fn valid() -> impl Strategy<Value = String> {
        (
            prop::sample::select(vec!["GET", "HEAD", "PUT", "DELETE", "x-odd~method"]),
            prop::sample::select(vec![
                (None, "examplebucket"),
                (None, "my.bucket.example"),
                (None, "b--euw1-az1--x-s3"),
                (None, "arn:aws:s3:eu-west-1:123456789012:accesspoint/my-ap"),
                (None, "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/my-ap"),
                (None, "arn:aws:s3-outposts:eu-west-1:123456789012:outpost/op-1/accesspoint/my-ap"),
                (Some("http://127.0.0.1:9000"), "examplebucket"),
                (Some("https://minio.example.com"), "my.bucket.example"),
                (Some("https://bucket.vpce-1a.s3.eu-west-1.vpce.amazonaws.com"), "examplebucket"),
            ]),
            (any::<bool>(), any::<bool>()),
            "\\PC{1,24}|[ /.%+&=?#]{1,12}",
            (0..=AmzDate::MAX_UNIX, 1..=604_800_u64),
            prop::option::of("[!-~]{1,40}"),
            prop::option::of("\\PC{1,12}"),
            prop::option::of("\\PC{1,24}"),
            prop::option::of("[ -~]{0,24}"),
        )
            .prop_map(
                |(
                    method,
                    (url, name),
                    (dual_stack, fips),
                    key,
                    (time, expires),
                    token,
                    version_id,
                    disposition,
                    header,
                )| {
                    let variant = Variant { dual_stack, fips, ..Variant::default() };
                    let target = match url {
                        Some(url) => Target::server(url, "eu-west-1", name, Variant::default()),
                        None => Target::aws(name, Some("eu-west-1"), variant)
                            .or_else(|_| Target::aws(name, Some("eu-west-1"), Variant::default())),
                    };
                    let Target { endpoint, bucket } = target.unwrap();
                    let query: Vec<_> =
                        disposition.iter().map(|d| ("response-content-disposition", d.as_str())).collect();
                    let headers: Vec<_> = header.iter().map(|h| ("X-Amz-Meta-Note", h.as_str())).collect();
                    let request = PresignRequest {
                        method,
                        endpoint: &endpoint,
                        bucket: &bucket,
                        key: &key,
                        access_key_id: "AKIAIOSFODNN7EXAMPLE",
                        time,
                        expires,
                        session_token: token.as_deref(),
                        version_id: version_id.as_deref(),
                        query: &query,
                        headers: &headers,
                    };
                    request.canonical_request().unwrap()
                },
            )
    }

    /// Whatever is accepted comes out byte for byte, and the parts say the same when they are read again.
    fn accepted_or_refused(text: &str) -> bool {
        let Ok(parsed) = ParsedPresign::parse(text) else { return false };
        let query = Query::parse(text.split('\n').nth(2).unwrap()).unwrap();
        assert_eq!(parsed.rebuild(query.session_token.or(query.directory_token).as_deref()).unwrap(), text);
        assert_eq!(parsed.canonical_request(), text);
        true
    }

    proptest! {
        #[test]
        fn what_we_write_we_read(text in valid()) {
            prop_assert!(accepted_or_refused(&text), "{:?}: {}", ParsedPresign::parse(&text), text);
        }

        #[test]
        fn damage_is_refused_or_means_what_it_says(
            text in valid(),
            at in any::<prop::sample::Index>(),
            byte in prop_oneof![any::<u8>(), prop::sample::select(b"\n%&=/:;+. 0AZaz\0".to_vec())],
            how in 0..4,
        ) {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
            accepted_or_refused(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,20}(\n\\PC{0,20}){0,8}") {
            accepted_or_refused(&text);
        }

        #[test]
        fn lines_can_be_exchanged_without_harm(text in valid(), from in 0..8_usize, to in 0..8_usize) {
            let mut lines: Vec<&str> = text.split('\n').collect();
            let (from, to) = (from % lines.len(), to % lines.len());
            lines.swap(from, to);
            accepted_or_refused(&lines.join("\n"));
        }
    }
}
