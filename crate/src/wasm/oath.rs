//! YKOATH in JavaScript: the codec's exchanges, and the software key to run them against.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::{error, invalid};
use crate::message::ErrorCode;
use crate::oath::{
    Calculate, CalculateAll, Calculated, CredentialId, Exchange, Kind, List, OathError, OtpAuth, Session,
    Single, Step,
};
use crate::softkey::{Environment, SoftKey};

/// What an exchange ends in, made a JavaScript value.
type Boxed = Box<dyn Exchange<Output = JsValue>>;

/// One exchange with the OATH applet: `step()` gives the first command, `step(response)` the next, until there is an
/// `answer`.
#[wasm_bindgen]
pub struct OathExchange(Boxed);

/// An exchange whose answer is made a JavaScript value.
struct Mapped<E, F>(E, F);

impl<E: Exchange, F: Fn(E::Output) -> JsValue> Exchange for Mapped<E, F> {
    type Output = JsValue;

    fn step(&mut self, response: Option<&[u8]>) -> Result<Step<JsValue>, OathError> {
        Ok(match self.0.step(response)? {
            Step::Transmit(command) => Step::Transmit(command),
            Step::Done(answer) => Step::Done((self.1)(answer)),
        })
    }
}

fn boxed<E: Exchange + 'static>(exchange: E, map: impl Fn(E::Output) -> JsValue + 'static) -> OathExchange {
    OathExchange(Box::new(Mapped(exchange, map)))
}

fn object(fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // Setting a property of an object that was just made does not fail.
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object.into()
}

fn name(id: &CredentialId) -> JsValue {
    String::from_utf8_lossy(id.as_bytes()).as_ref().into()
}

#[wasm_bindgen]
impl OathExchange {
    /// SELECT: `{ version, locked }`.
    #[must_use]
    pub fn select() -> Self {
        boxed(Session::select(), |selected| {
            object(&[
                ("version", alloc::format!("{}", selected.version).into()),
                ("locked", selected.challenge.is_some().into()),
            ])
        })
    }

    /// LIST: an array of credential ids.
    #[must_use]
    pub fn list() -> Self {
        boxed(Single::new(List), |entries| {
            entries.iter().map(|entry| name(&entry.id)).collect::<Array>().into()
        })
    }

    /// CALCULATE ALL for a time step: an array of `{ id, code }`, `code` being `null` where a touch or a counter
    /// is in the way.
    #[must_use]
    pub fn calculate_all(step: u64) -> Self {
        boxed(Single::new(CalculateAll { challenge: step }), |entries| {
            let entry = |(id, calculated): &(CredentialId, Calculated)| {
                let code = match calculated {
                    Calculated::Code(code) => code.code().into(),
                    _ => JsValue::NULL,
                };
                object(&[("id", name(id)), ("code", code)])
            };
            entries.iter().map(entry).collect::<Array>().into()
        })
    }

    /// CALCULATE for a time step, or for the counter on the card: the code.
    ///
    /// # Errors
    /// `invalid-input` if `id` is none.
    pub fn calculate(id: &str, hotp: bool, step: u64) -> Result<Self, JsValue> {
        let id = CredentialId::from_bytes(id.as_bytes()).map_err(invalid)?;
        let kind = if hotp { Kind::Hotp } else { Kind::Totp };
        Ok(boxed(Single::new(Calculate { id, kind, challenge: step }), |code| code.code().into()))
    }

    /// PUT of the account in an `otpauth` URI: `undefined`.
    ///
    /// # Errors
    /// `invalid-input` if it is none.
    pub fn put(uri: &str, touch: bool) -> Result<Self, JsValue> {
        let put = OtpAuth::parse(uri).map_err(invalid)?.put(touch).map_err(invalid)?;
        Ok(boxed(Single::new(put), |()| JsValue::UNDEFINED))
    }

    /// Starts, or goes on with a response: `{ command }` or `{ answer }`.
    ///
    /// # Errors
    /// `bad-answer` if the card refuses, or does not answer as an OATH applet does.
    pub fn step(&mut self, response: Option<Vec<u8>>) -> Result<JsValue, JsValue> {
        match self.0.step(response.as_deref()) {
            Ok(Step::Transmit(command)) => {
                Ok(object(&[("command", Uint8Array::from(command.as_bytes()).into())]))
            }
            Ok(Step::Done(answer)) => Ok(object(&[("answer", answer)])),
            Err(failed) => Err(error(ErrorCode::BadAnswer, failed)),
        }
    }
}

/// The card's side: a software key without a file, whose touch is always given.
#[wasm_bindgen]
pub struct OathCard(SoftKey);

struct Willing;

impl Environment for Willing {
    fn touch(&mut self, _id: &[u8]) -> bool {
        true
    }

    /// Only a key with a password asks, and no password can be set from here.
    fn random(&mut self) -> [u8; 8] {
        [0; 8]
    }
}

#[wasm_bindgen]
impl OathCard {
    /// An empty key.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(serial: u32) -> Self {
        Self(SoftKey::new(serial, [0; 8]))
    }

    /// Response APDU to a command APDU.
    #[must_use]
    pub fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        self.0.transmit(command, &mut Willing).to_vec()
    }
}
