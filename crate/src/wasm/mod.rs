//! The only `#[wasm_bindgen]`: the core as the extension calls it.
//!
//! Structured values cross as plain JavaScript objects; `extension/src/keyfob_core.d.ts` has their types. Every
//! error is an `Error` with a `code`, one of [`ErrorCode`]'s. Without the feature `signer` nothing here takes a
//! key or a secret.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt::Display;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::aws;
use crate::message::{Account, ErrorCode, Scheme};
use crate::s3::{ConsoleLocation, Endpoint, ParsedPresign, PresignRequest};

#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
}

/// The one conversion of errors: a JavaScript `Error` with a `code`.
pub(crate) fn error(code: ErrorCode, message: impl Display) -> JsValue {
    let error = js_sys::Error::new(&message.to_string());
    // Setting a property of an object that was just made does not fail.
    let _ = js_sys::Reflect::set(&error, &"code".into(), &code.as_str().into());
    error.into()
}

fn invalid(message: impl Display) -> JsValue {
    error(ErrorCode::InvalidInput, message)
}

fn from_js<T: DeserializeOwned>(value: JsValue) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value).map_err(|e| error(ErrorCode::BadRequest, e))
}

fn to_js(value: &impl Serialize) -> Result<JsValue, JsValue> {
    serde_wasm_bindgen::to_value(value).map_err(|e| error(ErrorCode::Internal, e))
}

/// [`aws::signin_flow`]: `"iam"`, `"identity-center"`, or `undefined` for origins that are not AWS's.
///
/// # Errors
/// `internal`.
#[wasm_bindgen]
pub fn signin_flow(origin: &str) -> Result<JsValue, JsValue> {
    aws::signin_flow(origin).map_or(Ok(JsValue::UNDEFINED), |flow| to_js(&flow))
}

/// [`aws::is_lookalike`].
#[wasm_bindgen]
#[must_use]
pub fn is_lookalike(url: &str) -> bool {
    aws::is_lookalike(url)
}

/// [`aws::candidates`] of an array of accounts for the page at `url`; none if that is no sign-in page.
///
/// # Errors
/// `bad-request` if `accounts` is not an array of accounts.
#[wasm_bindgen]
pub fn choose_accounts(accounts: JsValue, url: &str) -> Result<JsValue, JsValue> {
    let accounts: Vec<Account> = from_js(accounts)?;
    let page = aws::sign_in_page(url);
    to_js(&page.map(|page| aws::candidates(&accounts, &page)).unwrap_or_default())
}

/// [`ConsoleLocation::parse`].
///
/// # Errors
/// `invalid-input` if the address is not one of the S3 console, or names no bucket.
#[wasm_bindgen]
pub fn parse_console_url(url: &str) -> Result<JsValue, JsValue> {
    to_js(&ConsoleLocation::parse(url).map_err(invalid)?)
}

/// What a person asks for in the popup.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PresignParams {
    method: String,
    bucket: String,
    key: String,
    region: String,
    access_key_id: String,
    /// Seconds.
    expires: u64,
    /// Unix time in seconds.
    at: u64,
    version_id: Option<String>,
    /// Of a server that is not AWS.
    endpoint: Option<String>,
}

/// What will be signed, as the host will read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PresignPreview<'a> {
    canonical_request: &'a str,
    scheme: Scheme,
    method: &'a str,
    host: &'a str,
    bucket: &'a str,
    key: &'a str,
    /// Unix time in seconds.
    expires_at: u64,
}

/// The canonical request of a presigned link, and what it says: read back from it by the same parser as the
/// host's, so that what is shown is what will be signed.
///
/// # Errors
/// `invalid-input` for a bucket, key, region, expiry or endpoint that cannot be.
#[wasm_bindgen]
pub fn presign_preview(params: JsValue) -> Result<JsValue, JsValue> {
    let params: PresignParams = from_js(params)?;
    let endpoint = match &params.endpoint {
        Some(url) => Endpoint::custom(url, &params.region),
        None => Endpoint::aws(&params.region),
    }
    .map_err(invalid)?;
    let request = PresignRequest {
        method: &params.method,
        endpoint: &endpoint,
        bucket: &params.bucket,
        key: &params.key,
        access_key_id: &params.access_key_id,
        time: params.at,
        expires: params.expires,
        session_token: None,
        version_id: params.version_id.as_deref(),
        query: &[],
        headers: &[],
    };
    let canonical_request = request.canonical_request().map_err(invalid)?;
    let parsed = ParsedPresign::parse(&canonical_request).map_err(invalid)?;
    to_js(&PresignPreview {
        canonical_request: &canonical_request,
        scheme: endpoint.scheme(),
        method: parsed.method(),
        host: parsed.host(),
        bucket: parsed.bucket(),
        key: parsed.key(),
        expires_at: parsed.expires_at(),
    })
}
