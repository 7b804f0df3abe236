//! The identity that the tests put on keys, and that their servers know: the access key of AWS's documentation ("Signature
//! Calculations for the Authorization Header", Amazon S3 API Reference), which is nobody's.

/// The public half.
pub const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
/// The secret, with which everything is signed.
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
