//! S3: endpoints, presigned requests, and the console's URLs.
//!
//! [`PresignRequest`] goes from what a person asks for to a link, [`Presigner`] to many, [`ParsedPresign`] from the canonical request
//! that another program sent back to what it asks for, and [`ConsoleLocation`] from the console's address
//! bar to an object.
//!
//! What this is not: it lists and fetches nothing, and signs no requests by header (those are put together
//! from [`crate::sigv4`] directly). Multi-region access points want SigV4A, and are refused by name.

mod arn;
mod console;
mod content;
mod endpoint;
mod key_list;
mod name;
mod parse;
mod post_policy;
mod presign;
mod presign_v2;
mod presigner;

pub use arn::{AccessPointArn, ArnError, split_location};
pub(crate) use console::console_host;
pub use console::{ConsoleError, ConsoleKind, ConsoleLocation};
pub use content::{ContentError, attachment, attachment_name, check_media_type};
pub use endpoint::{Addressing, Endpoint, EndpointError, EndpointKind, Target, Variant};
pub use key_list::{KeyList, KeyListError};
pub use name::{BucketError, KeyError, MAX_KEY, check_bucket, check_key, directory_zone, has_dot_segments};
pub use parse::{ParseError, ParsedPresign, is_secret_header};
pub use post_policy::{
    Condition, FILENAME, FieldFault, PostForm, PostKey, PostPolicy, PostPolicyError, PreparedForm,
    PreparedFormV2, escape_html,
};
pub use presign::{
    LIST_PARAMETERS, MAX_EXPIRES, OBJECT_PARAMETERS, PresignError, PresignRequest, REQUEST_PAYER,
    RESPONSE_OVERRIDES, VERSION_ID, tagging,
};
pub use presign_v2::{LinkV2, LinkV2Error};
pub use presigner::Presigner;

/// The service as credential scopes spell it, for all but some endpoints ([`Endpoint::service`]).
pub const SERVICE: &str = "s3";
