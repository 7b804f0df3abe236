//! S3: endpoints, presigned requests, and the console's URLs.
//!
//! [`PresignRequest`] goes from what a person asks for to a link, [`ParsedPresign`] from the canonical request
//! that another program sent back to what it asks for, and [`ConsoleLocation`] from the console's address
//! bar to an object.
//!
//! What this is not: it lists and fetches nothing, and signs no requests by header (those are put together
//! from [`crate::sigv4`] directly). Directory buckets and multi-region access points sign differently, and are
//! refused by name.

mod console;
mod endpoint;
mod name;
mod parse;
mod presign;

pub use console::{ConsoleError, ConsoleKind, ConsoleLocation};
pub use endpoint::{Endpoint, EndpointError};
pub use name::{BucketError, KeyError, MAX_KEY, check_bucket, check_key};
pub use parse::{ParseError, ParsedPresign};
pub use presign::{MAX_EXPIRES, PresignError, PresignRequest, RESPONSE_OVERRIDES};

/// The service as credential scopes spell it.
pub const SERVICE: &str = "s3";
