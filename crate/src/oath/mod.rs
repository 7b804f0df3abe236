//! YKOATH.
pub mod protocol;
