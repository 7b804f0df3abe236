//! Pages: which are AWS's sign-in, an enrolment, the S3 console; and which accounts belong to them.

use alloc::string::String;
use alloc::vec::Vec;

use js_sys::{Array, Object, Reflect};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::{field, invalid, number, text, to_js};
use crate::aws;
use crate::message::{Account, AccountKind};
use crate::s3::ConsoleLocation;

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

/// [`aws::is_console_login`].
#[wasm_bindgen]
#[must_use]
pub fn is_console_login(url: &str) -> bool {
    aws::is_console_login(url)
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

/// [`ConsoleLocation::parse`].
///
/// # Errors
/// `invalid-input` if the address is not one of the S3 console, or names no bucket.
#[wasm_bindgen]
pub fn parse_console_url(url: &str) -> Result<JsValue, JsValue> {
    to_js(&ConsoleLocation::parse(url).map_err(invalid)?)
}

/// [`ConsoleLocation::match_patterns`].
#[wasm_bindgen]
pub fn console_patterns() -> Array {
    ConsoleLocation::match_patterns().map(JsValue::from).collect()
}
