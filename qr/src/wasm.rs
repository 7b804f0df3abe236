//! The crate as the extension calls it; `extension/src/keyfob_qr.d.ts` has the types.

use js_sys::{Reflect, Uint8Array};
use keyfob_core::message::AwsLogin;
use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::draw::draw;
use crate::picture::Picture;
use crate::setup::{Setup, free_name};

/// A JavaScript `Error` with a `code`.
fn error(code: &str, message: &str) -> JsValue {
    let error = js_sys::Error::new(message);
    // Setting a property of an object that was just made does not fail.
    let _ = Reflect::set(&error, &"code".into(), &code.into());
    error.into()
}

fn to_js(value: &impl Serialize) -> Result<JsValue, JsValue> {
    serde_wasm_bindgen::to_value(value).map_err(JsValue::from)
}

/// [`Picture::codes`]: the texts of the codes in `luma`, shades of grey with `width` in a row. None if that is no picture.
///
/// It may trap, and may take hours: for workers that can be ended.
#[wasm_bindgen]
#[must_use]
pub fn read_qr(luma: &[u8], width: usize) -> Vec<String> {
    let Some(picture) = Picture::new(luma, width) else { return Vec::new() };
    picture.codes().texts.iter().map(|text| text.as_str().to_owned()).collect()
}

/// [`draw()`]: `{ size, modules }`, a byte for each module, 1 where it is dark.
///
/// # Errors
/// `too-long`.
#[wasm_bindgen]
pub fn draw_qr(text: &str) -> Result<JsValue, JsValue> {
    let drawing = draw(text).map_err(|e| error("too-long", &e.to_string()))?;
    let bytes: Vec<u8> = drawing.modules.iter().map(|&dark| u8::from(dark)).collect();
    let object = js_sys::Object::new();
    // A code has 177 modules on a side at most.
    let size = u32::try_from(drawing.size).unwrap_or_default();
    let _ = Reflect::set(&object, &"size".into(), &size.into());
    let _ = Reflect::set(&object, &"modules".into(), &Uint8Array::from(bytes.as_slice()));
    Ok(object.into())
}

/// What [`read_setup`] answers.
#[derive(Serialize)]
struct Read<'a> {
    uri: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    account: &'a str,
    kind: &'static str,
    digits: u8,
    period: u32,
    algorithm: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws: Option<AwsLogin>,
}

/// [`Setup::read`]. `given` may have an `issuer` and an `account`.
///
/// # Errors
/// The codes of [`SetupError`](crate::setup::SetupError).
#[wasm_bindgen]
pub fn read_setup(text: &str, given: &JsValue) -> Result<JsValue, JsValue> {
    let name = |name: &str| Reflect::get(given, &name.into()).ok().and_then(|value| value.as_string());
    let setup = Setup::read(text, name("issuer").as_deref(), name("account").as_deref())
        .map_err(|e| error(e.code(), &e.to_string()))?;
    to_js(&Read {
        uri: &setup.uri(),
        name: &setup.name(),
        issuer: setup.issuer(),
        account: setup.account(),
        kind: "totp",
        digits: setup.digits(),
        period: setup.period(),
        algorithm: setup.algorithm().as_str(),
        aws: setup.aws(),
    })
}

/// [`free_name`].
#[wasm_bindgen]
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "what JavaScript gives is given away")]
pub fn names_for(name: &str, taken: Vec<String>) -> String {
    free_name(name, &taken)
}
