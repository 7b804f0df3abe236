//! The only `#[wasm_bindgen]`: the core as the extension calls it.
//!
//! Structured values cross as plain JavaScript objects; `extension/src/keyfob_core.d.ts` has their types. Every
//! error is an `Error` with a `code`, one of [`ErrorCode`]'s. Without the feature `signer` nothing here takes a
//! key or a secret.

pub mod enrolment;
pub mod links;
#[cfg(feature = "signer")]
mod oath;
#[cfg(feature = "signer")]
mod sigv4;

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt::Display;

use js_sys::{Array, Object, Reflect};
use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::aws;
use crate::message::{Account, AccountKind, ErrorCode};

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

/// [`aws::match_pattern`], or [`crate::enrolment::permission`] for pages of enrolments.
#[wasm_bindgen]
#[must_use]
pub fn match_pattern(url: &str) -> Option<String> {
    aws::match_pattern(url).or_else(|| crate::enrolment::permission(url))
}

/// [`aws::choose`]: those of an array of accounts that fit the page at `url`, as `{ accounts, likely, login? }`; none if
/// that is no sign-in page. `login` is what the person told the page before, `{ account?, user? }`.
///
/// # Errors
/// `bad-request` if one of `accounts` is not an account of the protocol, or `login` is of another shape.
#[wasm_bindgen]
pub fn choose_accounts(accounts: &Array, url: &str, login: &JsValue) -> Result<Object, JsValue> {
    let read = |account: JsValue| {
        Ok(Account {
            name: text(&account, "name")?,
            issuer: None,
            kind: if text(&account, "kind")? == "totp" { AccountKind::Totp } else { AccountKind::Hotp },
            period: 0,
            digits: field(&account, "digits").map(|_| number(&account, "digits")).transpose()?.map(
                |digits| {
                    // More than a byte holds is certainly not six.
                    u8::try_from(digits).unwrap_or(u8::MAX)
                },
            ),
            touch: None,
            aws: None,
            code: None,
        })
    };
    let typed = |name| field(login, name).map(|_| text(login, name)).transpose();
    let login = aws::Login::new(typed("account")?.as_deref(), typed("user")?.as_deref());
    let read: Vec<Account> = accounts.iter().map(read).collect::<Result<_, JsValue>>()?;
    let choice = aws::sign_in_page(url).map(|page| aws::choose(&read, &page, &login));
    let names = choice.iter().flat_map(|choice| &choice.accounts).map(|account| account.name.as_str());
    let of_name =
        |name| accounts.iter().find(|account| text(account, "name").is_ok_and(|theirs| theirs == name));
    let result = Object::new();
    // Setting a property of an object that was just made does not fail.
    let set = |name: &str, value: &JsValue| drop(Reflect::set(&result, &name.into(), value));
    set("accounts", &names.filter_map(of_name).collect::<Array>());
    set(
        "likely",
        &u32::try_from(choice.as_ref().map_or(0, |choice| choice.likely)).unwrap_or(u32::MAX).into(),
    );
    if let Some(login) = choice.as_ref().and_then(|choice| choice.login.as_ref()) {
        set("login", &login.into());
    }
    Ok(result)
}
