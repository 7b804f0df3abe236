//! Whether a link to fetch an object works: its first byte is fetched, from here.
//!
//! By GET, for the method is signed, with a Range header, which is not.

use keyfob_core::message::Failure;

use crate::aws_call;
use crate::http::{Body, Http, Response};
use crate::prompt::grouped;

/// What is behind a link that works.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// 200, or 206 from a server that sends parts.
    pub status: u16,
    /// How long it is in bytes, if the server says so.
    pub bytes: Option<u64>,
    /// `text/plain`, if the server says so.
    pub content_type: Option<String>,
}

const RANGE: &str = "range";
/// How much is read of an answer that is more than the first byte: enough to see that it does come.
const MOST: u64 = 64 * 1024;

/// Fetches the first byte, or the beginning from a server that knows no ranges. `headers` are those that the link was signed with.
///
/// # Errors
/// Those of [`Http::send`]; [`keyfob_core::message::ErrorCode::AwsRefused`] as [`aws_call::refused`] words it.
pub fn fetch(http: &Http, url: &str, headers: &[(&str, &str)]) -> Result<Found, Failure> {
    get(http, url, headers)?.map_err(aws_call::refused)
}

/// As [`fetch`], for a link of which it is not known whether it is one to fetch or to ask by HEAD: it does not say.
///
/// # Errors
/// As [`fetch`]. A link for another method is refused, and does nothing.
pub fn fetch_or_head(http: &Http, url: &str) -> Result<Found, Failure> {
    let mut refused = match get(http, url, &[])? {
        Ok(found) => return Ok(found),
        Err(refused) => refused,
    };
    let body = refused.read(MOST).unwrap_or_default();
    let failure = aws_call::refused_with(&refused, &body);
    let code = aws_call::xml_text(&String::from_utf8_lossy(&body), "Code");
    if code.as_deref() != Some("SignatureDoesNotMatch") {
        return Err(failure);
    }
    let response = http.send("HEAD", url, &[], Body::Empty)?;
    match response.status {
        200 => Ok(Found::of(&response)),
        // What is signed for neither.
        403 => {
            let upload = "one to upload (PUT) can be tried only by uploading with it";
            let hint =
                failure.hint.map_or_else(|| upload.to_owned(), |hint| format!("{upload}; else {hint}"));
            Err(Failure { hint: Some(hint), ..failure })
        }
        _ => Err(aws_call::refused(response)),
    }
}

/// What there is, or what the server said instead.
fn get(http: &Http, url: &str, headers: &[(&str, &str)]) -> Result<Result<Found, Response>, Failure> {
    let signed = || headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let range = (RANGE.to_owned(), "bytes=0-0".to_owned());
    let has_range = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(RANGE));
    let first: Vec<_> = signed().chain((!has_range).then_some(range)).collect();
    let mut response = http.send("GET", url, &first, Body::Empty)?;
    // An object without any byte has no first one, but nothing can be long about it.
    if response.status == 416 && !has_range {
        response = http.send("GET", url, &signed().collect::<Vec<_>>(), Body::Empty)?;
    }
    match response.status {
        200 | 206 => {
            response.skim(MOST)?;
            Ok(Ok(Found::of(&response)))
        }
        _ => Ok(Err(response)),
    }
}

impl Found {
    fn of(response: &Response) -> Self {
        let bytes = match response.status {
            // `bytes 0-0/12345`; `*` where it is not known (RFC 9110, section 14.4).
            206 => {
                response.header("content-range").and_then(|range| range.rsplit_once('/')).map(|(_, all)| all)
            }
            _ => response.header("content-length"),
        };
        Self {
            status: response.status,
            bytes: bytes.and_then(|bytes| bytes.trim().parse().ok()),
            content_type: response.header("content-type").map(str::to_owned),
        }
    }
}

/// `12,345 bytes, text/plain`.
impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.bytes {
            Some(1) => f.write_str("1 byte")?,
            Some(bytes) => write!(f, "{} bytes", grouped(bytes))?,
            None => f.write_str("the server does not say how long it is")?,
        }
        match &self.content_type {
            Some(kind) => write!(f, ", {kind}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_told() {
        #[track_caller]
        fn check(status: u16, headers: &[(&str, &str)], expected: &str) {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let response = Response::new(status, headers.collect(), Vec::new(), "http://h");
            assert_eq!(Found::of(&response).to_string(), expected);
        }
        let part =
            |range| [("content-range", range), ("content-length", "1"), ("content-type", "text/plain")];
        check(206, &part("bytes 0-0/12345"), "12,345 bytes, text/plain");
        check(206, &part("bytes 0-0/1"), "1 byte, text/plain");
        check(206, &part("bytes 0-0/*"), "the server does not say how long it is, text/plain");
        check(206, &part("nonsense"), "the server does not say how long it is, text/plain");
        check(200, &[("content-length", "1000000")], "1,000,000 bytes");
        check(200, &[("content-length", "0")], "0 bytes");
        check(200, &[], "the server does not say how long it is");
    }
}
