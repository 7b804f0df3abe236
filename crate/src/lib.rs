//! The core of Keyfob: what it computes, without any I/O.

extern crate alloc;

pub mod apdu;
pub mod aws;
pub mod aws_host;
pub mod curl;
pub mod enrolment;
pub mod identity;
pub mod management;
pub mod message;
pub mod oath;
pub mod partition;
pub mod s3;
pub mod secret;
pub mod sigv2;
pub mod sigv4;
pub mod softkey;
mod sorted;
pub mod tlv;
#[cfg(test)]
mod typescript;
#[cfg(all(target_arch = "wasm32", any(feature = "links", feature = "pages")))]
pub mod wasm;
