//! The form of presigned links: what is typed, as it will be signed.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::{field, invalid, number, text, to_js};
use crate::curl;
use crate::message::{MAX_LINKS, Scheme};
use crate::s3::{
    Endpoint, EndpointKind, KeyList, MAX_EXPIRES, ParsedPresign, PresignRequest, attachment, attachment_name,
    check_media_type, has_dot_segments,
};

/// [`MAX_EXPIRES`].
#[wasm_bindgen]
pub fn max_expires() -> f64 {
    MAX_EXPIRES as f64
}

/// [`curl::upload`]. `key` is the object's: the file is taken to have the name after its last slash.
#[wasm_bindgen]
pub fn curl_upload(url: &str, content_type: Option<String>, key: &str) -> String {
    let name = key.rsplit('/').next().unwrap_or_default();
    // A name that does more to a terminal than to stand there is not put into one.
    let file = if attachment(name).is_ok() && !name.is_empty() { name } else { "FILE" };
    curl::upload(url, content_type.as_deref(), file)
}

/// A link's form, read once for all its objects.
struct Form {
    method: String,
    endpoint: Endpoint,
    access_key_id: String,
    time: u64,
    expires: u64,
    version_id: Option<String>,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
}

impl Form {
    fn read(params: &JsValue) -> Result<Self, JsValue> {
        let optional = |name| field(params, name).map(|_| text(params, name)).transpose();
        let region = text(params, "region")?;
        let endpoint = match optional("endpoint")? {
            Some(url) => Endpoint::custom(&url, &region),
            None => Endpoint::aws(&region),
        }
        .map_err(invalid)?;
        let access_key_id = text(params, "accessKeyId")?;
        // "Unique ID prefixes", IAM User Guide.
        if access_key_id.starts_with("ASIA") && endpoint.kind() != EndpointKind::Other {
            return Err(invalid(
                "this access key is a temporary one, which AWS takes with its session token only: take a long-term one",
            ));
        }
        let method = text(params, "method")?;
        let (mut query, mut headers) = (Vec::new(), Vec::new());
        if let Some(name) = optional("downloadName")? {
            query.push((DISPOSITION, attachment(&name).map_err(invalid)?));
        }
        if let Some(kind) = optional("contentType")? {
            check_media_type(&kind).map_err(invalid)?;
            match method.as_str() {
                "PUT" => headers.push((CONTENT_TYPE, kind)),
                _ => query.push((RESPONSE_TYPE, kind)),
            }
        }
        Ok(Self {
            method,
            endpoint,
            access_key_id,
            time: number(params, "at")?,
            expires: number(params, "expires")?,
            version_id: optional("versionId")?,
            query,
            headers,
        })
    }

    /// The canonical request for one object, and what the host's parser reads in it.
    fn request(&self, bucket: &str, key: &str) -> Result<ParsedPresign, JsValue> {
        fn pairs<'a>(of: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
            of.iter().map(|(name, value)| (*name, value.as_str())).collect()
        }
        let request = PresignRequest {
            method: &self.method,
            endpoint: &self.endpoint,
            bucket,
            key,
            access_key_id: &self.access_key_id,
            time: self.time,
            expires: self.expires,
            session_token: None,
            version_id: self.version_id.as_deref(),
            query: &pairs(&self.query),
            headers: &pairs(&self.headers),
        };
        ParsedPresign::parse(&request.canonical_request().map_err(invalid)?).map_err(invalid)
    }
}

const DISPOSITION: &str = "response-content-disposition";
const RESPONSE_TYPE: &str = "response-content-type";
const CONTENT_TYPE: &str = "content-type";

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
    region: &'a str,
    access_key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    download_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    /// Unix time in seconds.
    expires_at: u64,
    /// Whether browsers would ask for another object.
    dot_segments: bool,
}

impl<'a> PresignPreview<'a> {
    fn new(form: &Form, parsed: &'a ParsedPresign) -> Self {
        fn value<'a>(of: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
            of.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
        }
        let (query, headers) = (parsed.parameters(), parsed.headers());
        Self {
            canonical_request: parsed.canonical_request(),
            scheme: form.endpoint.scheme(),
            method: parsed.method(),
            host: parsed.host(),
            bucket: parsed.bucket(),
            key: parsed.key(),
            region: parsed.region(),
            access_key_id: parsed.access_key_id(),
            version_id: parsed.version_id(),
            download_name: value(query, DISPOSITION).and_then(attachment_name),
            content_type: value(headers, CONTENT_TYPE).or_else(|| value(query, RESPONSE_TYPE)),
            expires_at: parsed.expires_at(),
            dot_segments: has_dot_segments(parsed.key()),
        }
    }
}

/// The canonical request of a presigned link, and what it says: read back from it by the same parser as the
/// host's, so that what is shown is what will be signed.
///
/// `params` has `method`, `bucket`, `key`, `region`, `accessKeyId`, `expires` (seconds), `at` (Unix time in
/// seconds), and where it applies `versionId`, `downloadName` (the name of a file), `contentType` (of what is uploaded, else of
/// the answer), and the `endpoint` of a server that is not AWS.
///
/// # Errors
/// `invalid-input` for a bucket, key, region, expiry, name, type or endpoint that cannot be; `bad-request` for `params`
/// of another shape.
#[wasm_bindgen]
pub fn presign_preview(params: &JsValue) -> Result<JsValue, JsValue> {
    let form = Form::read(params)?;
    let parsed = form.request(&text(params, "bucket")?, &text(params, "key")?)?;
    to_js(&PresignPreview::new(&form, &parsed))
}

/// What is wrong with a line of a list.
#[derive(Serialize)]
struct Fault {
    line: usize,
    message: String,
}

/// Links for the objects of a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PresignList<'a> {
    bucket: &'a str,
    keys: &'a [&'a str],
    /// Lines that say something, also more than there are keys.
    count: usize,
    most: usize,
    faults: Vec<Fault>,
    /// Of a list that is clean, in the order of the keys; else none.
    canonical_requests: Vec<&'a str>,
    /// What the first one says.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<PresignPreview<'a>>,
    dot_segments: bool,
}

/// The same for a list, a key or `s3://BUCKET/KEY` a line ([`KeyList`]): `params` as of [`presign_preview`], but for `key`;
/// `bucket` may be empty where the list says it. Where neither does, nothing is signed.
///
/// # Errors
/// As there. What is wrong with lines is told, and is no error.
#[wasm_bindgen]
pub fn presign_list(params: &JsValue, list: &str) -> Result<JsValue, JsValue> {
    let bucket = text(params, "bucket")?;
    let list = KeyList::read(list, &bucket);
    let is_whole = list.is_clean() && !list.bucket.is_empty();
    let form = is_whole.then(|| Form::read(params)).transpose()?;
    let requests: Vec<ParsedPresign> = match &form {
        Some(form) => list.keys.iter().map(|key| form.request(list.bucket, key)).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let faults = list.faults.iter().map(|(line, error)| Fault { line: *line, message: error.to_string() });
    to_js(&PresignList {
        bucket: list.bucket,
        keys: &list.keys,
        count: list.count,
        most: MAX_LINKS,
        faults: faults.collect(),
        canonical_requests: requests.iter().map(ParsedPresign::canonical_request).collect(),
        first: form.as_ref().zip(requests.first()).map(|(form, first)| PresignPreview::new(form, first)),
        dot_segments: list.keys.iter().any(|key| has_dot_segments(key)),
    })
}
