//! Pages that set up authenticator apps, for the extension.

use alloc::string::String;

use js_sys::Array;
use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::to_js;
use crate::enrolment;
use crate::message::AwsFlow;

/// [`enrolment::is_enrolment_origin`].
#[wasm_bindgen]
#[must_use]
pub fn is_enrolment_origin(origin: &str) -> bool {
    enrolment::is_enrolment_origin(origin)
}

/// What an address says of an enrolment.
#[derive(Serialize)]
struct EnrolmentPage {
    flow: AwsFlow,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

/// [`enrolment::enrolment_page`], or `undefined`.
///
/// # Errors
/// `internal`.
#[wasm_bindgen]
pub fn enrolment_page(url: &str) -> Result<JsValue, JsValue> {
    enrolment::enrolment_page(url).map_or(Ok(JsValue::UNDEFINED), |page| {
        to_js(&EnrolmentPage { flow: page.flow, account: page.account, user: page.user })
    })
}

/// [`enrolment::names`] on the page at `url`: the issuer and the account's name, or `undefined` if they cannot be.
#[wasm_bindgen]
#[must_use]
pub fn enrolment_names(url: &str, device: &str, account: &str) -> Option<Array> {
    let page = enrolment::enrolment_page(url)?;
    let (issuer, label) = enrolment::names(page.flow, device, account)?;
    Some(Array::of2(&issuer.into(), &label.into()))
}

/// [`enrolment::account_in`].
#[wasm_bindgen]
#[must_use]
pub fn account_in(text: &str) -> Option<String> {
    enrolment::account_in(text)
}

/// [`enrolment::match_pattern`].
#[wasm_bindgen]
#[must_use]
pub fn enrolment_pattern(permission: &str) -> Option<String> {
    enrolment::match_pattern(permission)
}
