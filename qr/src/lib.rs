//! QR codes and `otpauth` URIs, for putting accounts on a key: a picture's codes, what they set up, a free name.
//!
//! Apart from the core, because enrolment alone needs it: the extension loads it then and not before. No I/O, and no
//! decoder of PNG or JPEG: pictures come as shades of grey. The decoder of codes is other people's; it may panic or take
//! for ever over a picture that was made for it, so whoever calls it does so where both can be survived.

pub mod draw;
pub mod picture;
pub mod setup;
#[cfg(target_arch = "wasm32")]
pub mod wasm;
