//! AWS Signature Version 4: canonical request → string to sign → signing key → signature.
//!
//! One file a step, each pure: time, keys and headers are arguments. S3's query-signed requests are put
//! together in [`crate::s3`], from these steps.
//!
//! What this is not: it sends nothing, reads no clock and no credential files, hashes no bodies, and does
//! neither SigV4A nor chunked uploads.
//!
//! Source: "Create a signed AWS API request" in the AWS IAM User Guide, and "Authenticating Requests: Using
//! Query Parameters" in the Amazon S3 API Reference.

mod canonical_request;
mod date;
pub(crate) mod encode;
pub(crate) mod hmac;
mod key;
mod scope;
mod string_to_sign;

pub use canonical_request::{
    CanonicalRequest, CanonicalRequestError, PathEncoding, PathNormalization, Settings, canonical_request,
};
pub(crate) use canonical_request::{check_header, check_method, compare_names, put_header_value, put_lower};
pub use date::{AmzDate, DateError};
pub use encode::{encode_path, encode_query};
pub use key::{DateKey, Signature, SigningKey};
pub use scope::{Scope, ScopeError};
pub use string_to_sign::{StringToSign, string_to_sign};

/// Name of the algorithm, as requests spell it.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What ends every credential scope and every key derivation.
pub const TERMINATOR: &str = "aws4_request";

/// Payload hash of a request whose body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
