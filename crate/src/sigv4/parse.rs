//! The host's reading of a canonical request that is signed in its headers.
//!
//! A front end sends the bytes that are to be signed; the host takes them apart here, shows a person what it found, and
//! signs nothing that is not one request, whole. The form has no escapes: a line is what stands between two line
//! breaks, and no header's value holds one.
//!
//! Source: "Create a signed AWS API request", AWS IAM User Guide. S3's query-signed requests are [`crate::s3`]'s.

use alloc::string::String;
use alloc::vec::Vec;

use super::{
    AmzDate, Chunking, UNSIGNED_PAYLOAD, X_AMZ_DATE, X_AMZ_SECURITY_TOKEN, check_header, check_method,
};

/// Longest canonical request in bytes: servers take less.
const MAX_LEN: usize = 256 * 1024;
/// Most headers.
const MAX_HEADERS: usize = 256;

/// A canonical request, taken apart.
#[derive(Clone)]
pub struct ParsedRequest {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    payload_hash: String,
    date: AmzDate,
    host: String,
}

/// Why bytes are no canonical request that is signed in its headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Longer than servers take.
    #[error("the request to be signed has {0} bytes: no server takes such a one")]
    TooLong(usize),
    /// A part is missing or is not what it must be.
    #[error("what is to be signed is no canonical request: {0}")]
    Form(&'static str),
    /// It would be a link, whose life must be shown.
    #[error("the request is signed in its query: `keyfob presign` makes links")]
    QuerySigned,
}

impl ParsedRequest {
    /// Takes a canonical request apart.
    ///
    /// # Errors
    /// [`ParseError`]
    pub fn parse(canonical_request: &str) -> Result<Self, ParseError> {
        if canonical_request.len() > MAX_LEN {
            return Err(ParseError::TooLong(canonical_request.len()));
        }
        let mut lines = canonical_request.split('\n');
        let mut line = |what| lines.next().ok_or(ParseError::Form(what));
        let method = line("it is empty")?;
        let path = line("it has no path")?;
        let query = line("it has no query")?;
        check_method(method).map_err(|_| ParseError::Form("its method is none"))?;
        // As anything in a request's first line is: printable ASCII.
        if !path.starts_with('/') || ![path, query].iter().all(|s| s.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(ParseError::Form("its path or query is not encoded"));
        }
        let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
        if names.into_iter().any(|name| {
            ["X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Expires"]
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own))
        }) {
            return Err(ParseError::QuerySigned);
        }
        let mut headers: Vec<(String, String)> = Vec::new();
        loop {
            let header = line("its headers do not end")?;
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').ok_or(ParseError::Form("a header has no colon"))?;
            check_header(name, value).map_err(|_| ParseError::Form("a header is none"))?;
            if headers.len() >= MAX_HEADERS {
                return Err(ParseError::Form("it has too many headers"));
            }
            let sorted = headers.last().is_none_or(|(last, _)| last.as_str() < name);
            if !sorted || name.bytes().any(|b| b.is_ascii_uppercase()) {
                return Err(ParseError::Form("its headers are not sorted"));
            }
            headers.push((name.into(), value.into()));
        }
        let signed = line("it has no list of signed headers")?;
        if !signed.split(';').eq(headers.iter().map(|(name, _)| name.as_str())) {
            return Err(ParseError::Form("its list of signed headers is not that of its headers"));
        }
        let payload_hash = line("it has no payload hash")?;
        let is_hash = payload_hash.len() == 64
            && payload_hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let named = payload_hash == UNSIGNED_PAYLOAD
            || Chunking::ALL.iter().any(|chunking| chunking.payload_hash() == payload_hash);
        if !is_hash && !named {
            return Err(ParseError::Form("its payload hash is none"));
        }
        if lines.next().is_some() {
            return Err(ParseError::Form("something stands after it"));
        }
        let header =
            |wanted| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let date = header(X_AMZ_DATE).ok_or(ParseError::Form("it has no x-amz-date"))?;
        let date = AmzDate::parse(date).map_err(|_| ParseError::Form("its x-amz-date is no date"))?;
        let host = header("host").ok_or(ParseError::Form("it has no host"))?;
        let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err(ParseError::Form("its host is none"));
        }
        Ok(Self {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            host: host.into(),
            payload_hash: payload_hash.into(),
            headers,
            date,
        })
    }

    /// The bytes that it was parsed from, put together from its parts: these are signed.
    #[must_use]
    pub fn canonical_request(&self) -> String {
        let mut out = [self.method.as_str(), &self.path, &self.query].join("\n");
        out.push('\n');
        for (name, value) in &self.headers {
            for part in [name, ":", value, "\n"] {
                out.push_str(part);
            }
        }
        out.push('\n');
        for (i, (name, _)) in self.headers.iter().enumerate() {
            out.push_str(if i == 0 { "" } else { ";" });
            out.push_str(name);
        }
        out.push('\n');
        out.push_str(&self.payload_hash);
        out
    }

    /// Such as `POST`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The value of the header Host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The canonical path: encoded once for S3, twice for other services.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The canonical query.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// `X-Amz-Date`.
    #[must_use]
    pub fn date(&self) -> &AmzDate {
        &self.date
    }

    /// The signed headers, sorted by their names in lower case.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The value of a signed header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Whether temporary credentials sign it.
    #[must_use]
    pub fn has_session_token(&self) -> bool {
        self.header(X_AMZ_SECURITY_TOKEN).is_some()
    }

    /// SHA-256 of the body in hex, or what stands for it.
    #[must_use]
    pub fn payload_hash(&self) -> &str {
        &self.payload_hash
    }
}

/// Values of headers may be secrets: only names are printed.
impl core::fmt::Debug for ParsedRequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ParsedRequest")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("payload_hash", &self.payload_hash)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigv4::{Payload, Query, Scope, SignableRequest, Signer};

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn what_the_signer_writes_is_read() {
        let date = AmzDate::parse("20150830T123600Z").unwrap();
        let scope = Scope::new(&date, "us-east-1", "iam").unwrap();
        let request = SignableRequest {
            method: "POST",
            host: "iam.amazonaws.com",
            path: "/a b/",
            query: Query::Sent("Action=ListUsers&Version=2010-05-08"),
            headers: &[("Content-Type", "text/plain"), ("X-Two", " a  b "), ("x-two", "c")],
            payload: Payload::EMPTY,
        };
        for token in [None, Some("token")] {
            let prepared = Signer::new("AKIDEXAMPLE", token, "iam").prepare(&request, &date, &scope).unwrap();
            let text = prepared.canonical_request();
            let parsed = ParsedRequest::parse(text).unwrap();
            assert_eq!(parsed.canonical_request(), text);
            assert_eq!((parsed.method(), parsed.host()), ("POST", "iam.amazonaws.com"));
            assert_eq!((parsed.date(), parsed.payload_hash()), (&date, EMPTY));
            assert_eq!(parsed.header("x-two"), Some("a b,c"));
            assert_eq!(parsed.has_session_token(), token.is_some());
            // Nothing can be cut off or doubled.
            for n in 0..text.len() {
                assert!(ParsedRequest::parse(&text[..n]).is_err(), "{n}");
            }
            assert!(ParsedRequest::parse(&format!("{text}\n")).is_err());
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            let error = ParsedRequest::parse(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let good = format!("GET\n/\n\nhost:a\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n{EMPTY}");
        assert!(ParsedRequest::parse(&good).is_ok());
        let with = |from: &str, to: &str| good.replacen(from, to, 1);
        check(&with("GET", "G T"), "method");
        check(&with("\n/\n", "\na\n"), "path");
        check(&with("/\n\n", "/\na b\n"), "not encoded");
        check(&with("/\n\n", "/\nX-Amz-Expires=7\n"), "query");
        check(&with("host:a\n", ""), "list of signed");
        check(&with("host:a", "zost:a"), "not sorted");
        check(&with("host:a", "Host:a"), "not sorted");
        check(&with("host:a", "host:"), "host is none");
        check(&with("host:a", "host:a/?Action=GetUser"), "host is none");
        check(&with("20150830T", "20151330T"), "no date");
        check(&with("host;x-amz-date", "host"), "list of signed");
        check(&with("e3b0", "E3B0"), "payload hash");
        check(&with(EMPTY, "x"), "payload hash");
        check(&"a".repeat(MAX_LEN + 1), "no server");
        check("", "no path");
    }
}
