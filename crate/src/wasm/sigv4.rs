//! Presigning in JavaScript, with a secret that the caller holds: for tests, benchmarks, and other users of the
//! core. The extension is built without it.

use alloc::string::String;
use alloc::vec::Vec;

use js_sys::{Array, Reflect};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::{error, field, invalid, number, text};
use crate::message::ErrorCode;
use crate::s3::{Endpoint, PresignRequest, SERVICE};
use crate::secret::Secret;
use crate::sigv4::{
    AmzDate, DateKey, PathEncoding, PathNormalization, Scope, Settings, SigningKey, canonical_request,
    string_to_sign,
};

/// Presigns for one identity at one server. Keeps the signing key of the day it was last used for.
#[wasm_bindgen]
pub struct Presigner {
    access_key_id: String,
    secret_access_key: Secret,
    session_token: Option<String>,
    endpoint: Endpoint,
    /// The day in days since 1970, and its key.
    key: Option<(u64, SigningKey)>,
}

#[wasm_bindgen]
impl Presigner {
    /// `endpoint` is the URL of a server that is not AWS.
    ///
    /// # Errors
    /// `invalid-input` for a region or endpoint that cannot be.
    #[wasm_bindgen(constructor)]
    pub fn new(
        access_key_id: String,
        secret_access_key: String,
        region: &str,
        endpoint: Option<String>,
        session_token: Option<String>,
    ) -> Result<Self, JsValue> {
        let endpoint = match endpoint {
            Some(url) => Endpoint::custom(&url, region),
            None => Endpoint::aws(region),
        }
        .map_err(invalid)?;
        let secret_access_key = secret_access_key.into();
        Ok(Self { access_key_id, secret_access_key, session_token, endpoint, key: None })
    }

    /// The same with the bucket always in the path.
    #[must_use]
    pub fn path_style(mut self) -> Self {
        self.endpoint = self.endpoint.path_style();
        self
    }

    /// The link of one object: `time` in Unix seconds, `expires` in seconds.
    ///
    /// # Errors
    /// `invalid-input` for a bucket, key, method, time or expiry that cannot be.
    pub fn presign(
        &mut self,
        method: &str,
        bucket: &str,
        key: &str,
        time: f64,
        expires: u32,
    ) -> Result<String, JsValue> {
        let time = seconds(time)?;
        self.sign(Fields {
            method,
            bucket,
            key,
            time,
            expires: expires.into(),
            version_id: None,
            query: &[],
            headers: &[],
        })
    }

    /// The link of a request with `method`, `bucket`, `key`, `time`, `expires`, and where it applies `versionId`,
    /// and `query` and `headers` as arrays of pairs.
    ///
    /// # Errors
    /// `invalid-input` for what cannot be, `bad-request` for an object of another shape.
    pub fn presign_request(&mut self, request: &JsValue) -> Result<String, JsValue> {
        let version_id = field(request, "versionId").map(|_| text(request, "versionId")).transpose()?;
        let (query, headers) = (pairs(request, "query")?, pairs(request, "headers")?);
        self.sign(Fields {
            method: &text(request, "method")?,
            bucket: &text(request, "bucket")?,
            key: &text(request, "key")?,
            time: number(request, "time")?,
            expires: number(request, "expires")?,
            version_id: version_id.as_deref(),
            query: &borrowed(&query),
            headers: &borrowed(&headers),
        })
    }

    /// The stages of signing any request: `{ canonicalRequest, stringToSign, signature }`.
    ///
    /// `request` has `method`, `path` as it is sent, `query` and `headers` as arrays of pairs, `payloadHash`, `time`,
    /// `region`, `service`, and whether the path is encoded `twice` and `normalized`.
    ///
    /// # Errors
    /// `invalid-input` for what cannot be signed, `bad-request` for an object of another shape.
    pub fn stages(request: &JsValue, secret_access_key: String) -> Result<JsValue, JsValue> {
        let flag = |name| field(request, name).is_some_and(|value| value.is_truthy());
        let settings = Settings {
            path_encoding: if flag("twice") { PathEncoding::Twice } else { PathEncoding::Once },
            path_normalization: if flag("normalized") {
                PathNormalization::Enabled
            } else {
                PathNormalization::Disabled
            },
        };
        let (query, headers) = (pairs(request, "query")?, pairs(request, "headers")?);
        let canonical = canonical_request(
            &text(request, "method")?,
            &text(request, "path")?,
            &borrowed(&query),
            &borrowed(&headers),
            &text(request, "payloadHash")?,
            settings,
        )
        .map_err(invalid)?;
        let date = AmzDate::from_unix(number(request, "time")?).map_err(invalid)?;
        let (region, service) = (text(request, "region")?, text(request, "service")?);
        let scope = Scope::new(&date, &region, &service).map_err(invalid)?;
        let string_to_sign = string_to_sign(&date, &scope, canonical.text.as_bytes());
        let secret = Secret::from(secret_access_key);
        let key =
            DateKey::from_secret(secret.expose(), date).signing_key(&region, &service).map_err(invalid)?;
        let signature = key.sign(&string_to_sign).to_hex();

        let stages = js_sys::Object::new();
        for (name, value) in [
            ("canonicalRequest", canonical.text.as_str()),
            ("stringToSign", string_to_sign.as_str()),
            ("signature", core::str::from_utf8(&signature).unwrap_or_default()),
        ] {
            // Setting a property of an object that was just made does not fail.
            let _ = Reflect::set(&stages, &name.into(), &value.into());
        }
        Ok(stages.into())
    }
}

/// What a request has besides the presigner's own.
struct Fields<'a> {
    method: &'a str,
    bucket: &'a str,
    key: &'a str,
    time: u64,
    expires: u64,
    version_id: Option<&'a str>,
    query: &'a [(&'a str, &'a str)],
    headers: &'a [(&'a str, &'a str)],
}

impl Presigner {
    fn sign(&mut self, fields: Fields<'_>) -> Result<String, JsValue> {
        let day = fields.time / 86_400;
        let key = match self.key.take() {
            Some((of, key)) if of == day => key,
            _ => {
                let date = AmzDate::from_unix(fields.time).map_err(invalid)?;
                let date_key = DateKey::from_secret(self.secret_access_key.expose(), date);
                date_key.signing_key(self.endpoint.region(), SERVICE).map_err(invalid)?
            }
        };
        let request = PresignRequest {
            method: fields.method,
            endpoint: &self.endpoint,
            bucket: fields.bucket,
            key: fields.key,
            access_key_id: &self.access_key_id,
            time: fields.time,
            expires: fields.expires,
            session_token: self.session_token.as_deref(),
            version_id: fields.version_id,
            query: fields.query,
            headers: fields.headers,
        };
        let link = request.presign(&key).map_err(invalid);
        self.key = Some((day, key));
        link
    }
}

/// Unix time as JavaScript has numbers.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "in range; the fraction is cut off"
)]
fn seconds(time: f64) -> Result<u64, JsValue> {
    if (0.0..9e15).contains(&time) {
        Ok(time as u64)
    } else {
        Err(error(ErrorCode::InvalidInput, "no Unix time"))
    }
}

/// A field that is an array of pairs of texts; none if it is absent.
fn pairs(object: &JsValue, name: &str) -> Result<Vec<(String, String)>, JsValue> {
    let Some(array) = field(object, name) else { return Ok(Vec::new()) };
    Array::from(&array)
        .iter()
        .map(|pair| {
            let pair = Array::from(&pair);
            pair.get(0).as_string().zip(pair.get(1).as_string())
        })
        .collect::<Option<_>>()
        .ok_or_else(|| error(ErrorCode::BadRequest, [name, " is no array of pairs"].concat()))
}

fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
