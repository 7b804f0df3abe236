//! The only `#[wasm_bindgen]`: the core as the extension calls it.
//!
//! Structured values cross as plain JavaScript objects; `extension/src/keyfob_core.d.ts` and `keyfob_links.d.ts` have their
//! types. Every error is an `Error` with a `code`, one of [`ErrorCode`]'s. Without the feature `signer` nothing here takes a
//! key or a secret. What the extension needs on every page (`pages`) is a module of its own, and small; what it needs to
//! make links (`links`) is another, loaded when somebody makes one.

#[cfg(feature = "pages")]
pub mod enrolment;
#[cfg(feature = "links")]
pub mod links;
#[cfg(feature = "signer")]
mod oath;
#[cfg(feature = "pages")]
pub mod pages;
#[cfg(feature = "signer")]
mod sigv4;

use alloc::string::{String, ToString as _};
use core::fmt::Display;

use js_sys::Reflect;
use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::message::ErrorCode;

#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
}

/// The one conversion of errors: a JavaScript `Error` with a `code`.
pub(crate) fn error(code: ErrorCode, message: impl Display) -> JsValue {
    let error = js_sys::Error::new(&message.to_string());
    // Setting a property of an object that was just made does not fail.
    let _ = Reflect::set(&error, &"code".into(), &code.as_str().into());
    error.into()
}

fn invalid(message: impl Display) -> JsValue {
    error(ErrorCode::InvalidInput, message)
}

// Fields are read one by one: serde's way in would be a fifth of the whole wasm.

/// A field that may be absent.
fn field(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into()).ok().filter(|value| !value.is_undefined())
}

/// A field that holds text.
fn text(object: &JsValue, name: &str) -> Result<String, JsValue> {
    field(object, name)
        .and_then(|value| value.as_string())
        .ok_or_else(|| error(ErrorCode::BadRequest, [name, " is no text"].concat()))
}

/// A field that holds a whole number, not negative.
fn number(object: &JsValue, name: &str) -> Result<u64, JsValue> {
    /// The largest number before which every whole one is exact.
    const MAX_SAFE: f64 = 9_007_199_254_740_991.0;
    let number = field(object, name).and_then(|value| value.as_f64());
    match number {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range")]
        Some(number) if (0.0..=MAX_SAFE).contains(&number) && number.trunc() == number => Ok(number as u64),
        _ => Err(error(ErrorCode::BadRequest, [name, " is no whole number"].concat())),
    }
}

fn to_js(value: &impl Serialize) -> Result<JsValue, JsValue> {
    serde_wasm_bindgen::to_value(value).map_err(|e| error(ErrorCode::Internal, e))
}
