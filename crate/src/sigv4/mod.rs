//! AWS Signature Version 4: canonical request → string to sign → signing key → signature.
//!
//! One file a step, each pure: time, keys and headers are arguments. Requests that carry the signature in their headers
//! are put together by [`Signer`], bodies that are signed chunk by chunk by [`ChunkEncoder`], S3's query-signed
//! requests and forms in [`crate::s3`].
//!
//! What this is not: it sends nothing, reads no clock and no credential files, and does no SigV4A.
//!
//! Source: "Create a signed AWS API request" in the AWS IAM User Guide, and "Authenticating Requests: Using
//! Query Parameters" in the Amazon S3 API Reference.

pub(crate) mod canonical_headers;
mod canonical_request;
mod chunked;
mod date;
pub(crate) mod encode;
mod header;
pub(crate) mod hmac;
mod key;
mod parse;
mod scope;
mod string_to_sign;
mod url;

pub use canonical_headers::check_header;
pub(crate) use canonical_headers::{compare_names, put_lower};
pub(crate) use canonical_request::check_method;
pub use canonical_request::{
    CanonicalRequest, CanonicalRequestError, PathEncoding, PathNormalization, Settings, canonical_request,
};
pub use chunked::{CHUNK_END, ChunkEncoder, ChunkError, ChunkHeader, ChunkedBody, Chunking, MIN_CHUNK};
pub use date::{AmzDate, DateError};
pub use encode::{encode_path, encode_query};
pub use header::{
    AUTHORIZATION, ContentHash, Payload, Prepared, Query, SignError, SignableRequest, SignedHeaders, Signer,
    UNSIGNED_HEADERS, X_AMZ_CONTENT_SHA256, X_AMZ_DATE, X_AMZ_S3SESSION_TOKEN, X_AMZ_SECURITY_TOKEN,
};
pub(crate) use key::SigningKeyAt;
pub use key::{DateKey, Signature, SigningKey};
pub use parse::{ParseError, ParsedRequest};
pub use scope::{Scope, ScopeError};
pub use string_to_sign::{StringToSign, string_to_sign};
pub use url::{Url, UrlError};

/// Name of the algorithm, as requests spell it.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What ends every credential scope and every key derivation.
pub const TERMINATOR: &str = "aws4_request";

/// Payload hash of a request whose body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Whether an access key id can be one, AWS's or another server's: 1 to 128 unreserved characters (RFC 3986 section 2.3).
pub(crate) fn is_access_key_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && encode::is_unreserved(id)
}

/// Whether a session token can be one: printable ASCII, and not empty.
#[must_use]
pub fn is_session_token(token: &str) -> bool {
    // Without a branch, for it is long.
    !token.is_empty() && token.bytes().fold(true, |good, b| good & b.is_ascii_graphic())
}
