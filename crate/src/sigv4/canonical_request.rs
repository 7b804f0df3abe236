//! Canonical request: method, path, query, headers, names of the signed headers, payload hash, one line each.

use alloc::borrow::Cow;
use core::cmp::Ordering;

use super::canonical_headers::{Header, is_token, put_lines, put_names};
use super::encode::{encode_path, encode_query, is_recoded_query, is_unreserved, recode_query};
use crate::sorted::{FEW, Ordered, Sorted};

/// A canonical request, and what the request must carry to match it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalRequest {
    /// The canonical request itself.
    pub text: String,
    /// Names of the signed headers, lower case, sorted, joined by `;`.
    pub signed_headers: String,
}

/// What varies between services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How the path is encoded.
    pub path_encoding: PathEncoding,
    /// Whether the path is normalized first.
    pub path_normalization: PathNormalization,
}

impl Settings {
    /// What S3 wants: the path as it is sent.
    pub const S3: Self =
        Self { path_encoding: PathEncoding::Once, path_normalization: PathNormalization::Disabled };

    /// What every other service wants.
    pub const OTHERS: Self =
        Self { path_encoding: PathEncoding::Twice, path_normalization: PathNormalization::Enabled };
}

/// How the path is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathEncoding {
    /// As it is sent, which is encoded once.
    Once,
    /// Encoded once more than it is sent.
    Twice,
}

/// Whether the path is normalized (RFC 3986 section 5.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathNormalization {
    /// `.` and `..` segments are resolved, and empty ones removed.
    Enabled,
    /// Every segment stays.
    Disabled,
}

/// Why there is no canonical request: with such a part, two requests could have the same one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalRequestError {
    /// No token of RFC 9110 section 5.6.2, or over 32 bytes.
    #[error("{0:?} is no HTTP method: give one such as GET or PUT")]
    Method(String),
    /// Control characters.
    #[error("the path or payload hash has a line break in it")]
    LineBreak,
    /// No token of RFC 9110 section 5.6.2.
    #[error("{0:?} is no name of an HTTP header")]
    Name(String),
    /// Anything but printable ASCII, spaces and tabs. The value may be a secret, and is not printed.
    #[error("the value of the header {0} has characters other than printable ASCII in it")]
    Value(String),
}

/// Puts a canonical request together.
///
/// `path` is as it is sent, encoded once; `query` is *not* encoded, in any order; `headers` are in any order and
/// case, and must hold `host`. Header values are trimmed and their runs of spaces collapsed; those of one name
/// are joined by commas in their order.
///
/// # Errors
/// [`CanonicalRequestError`] if a part holds what would make the result ambiguous.
pub fn canonical_request(
    method: &str,
    path: &str,
    query: &[(&str, &str)],
    headers: &[(&str, &str)],
    payload_hash: &str,
    settings: Settings,
) -> Result<CanonicalRequest, CanonicalRequestError> {
    check_method(method)?;
    if has_control(path) || has_control(payload_hash) {
        return Err(CanonicalRequestError::LineBreak);
    }
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(method.as_bytes());
    out.push(b'\n');
    let path = match settings.path_normalization {
        PathNormalization::Enabled => normalized(path),
        PathNormalization::Disabled if path.is_empty() => "/".into(),
        PathNormalization::Disabled => path.into(),
    };
    match settings.path_encoding {
        PathEncoding::Once => out.extend_from_slice(path.as_bytes()),
        PathEncoding::Twice => encode_path(&mut out, path.as_bytes()),
    }
    out.push(b'\n');
    put_query(&mut out, query);
    out.push(b'\n');

    let mut sorted = Sorted::new(headers.len());
    for &(name, value) in headers {
        sorted.insert(Header::new(name, value)?);
    }
    put_lines(&mut out, sorted.as_slice())?;
    out.push(b'\n');
    let names = out.len();
    put_names(&mut out, sorted.as_slice());
    let signed_headers = out.get(names..).unwrap_or_default().to_vec();
    out.push(b'\n');
    out.extend_from_slice(payload_hash.as_bytes());
    // Built from strings, and cut at ASCII only.
    let text = |bytes| String::from_utf8(bytes).unwrap_or_default();
    Ok(CanonicalRequest { text: text(out), signed_headers: text(signed_headers) })
}

/// Names and values encoded, sorted by encoded name, then by encoded value.
pub(super) fn put_query(out: &mut Vec<u8>, query: &[(&str, &str)]) {
    if put_plain(out, query.iter().copied(), is_unreserved) {
        return;
    }
    let encoded = |text: &str| {
        let mut out = Vec::with_capacity(text.len());
        encode_query(&mut out, text.as_bytes());
        out
    };
    put_pairs(out, query.iter().map(|(name, value)| (encoded(name), encoded(value))).collect());
}

/// The query of a URL, without its `?`: taken apart as servers do it (`+` is a space, a name without `=` has an empty
/// value, nothing between two `&` is nothing), and put together by the rules.
pub(super) fn put_sent_query(out: &mut Vec<u8>, query: &str) {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    if put_plain(out, pairs.clone(), is_recoded_query) {
        return;
    }
    let recoded = |text: &str| {
        let mut out = Vec::with_capacity(text.len());
        recode_query(&mut out, text.as_bytes());
        out
    };
    put_pairs(out, pairs.map(|(name, value)| (recoded(name), recoded(value))).collect());
}

/// A name and a value, encoded.
#[derive(Clone, Copy, Default)]
struct Pair<'q>(&'q str, &'q str);

impl Ordered for Pair<'_> {
    #[inline]
    fn compare(&self, other: &Self) -> Ordering {
        self.0.cmp(other.0).then_with(|| self.1.cmp(other.1))
    }
}

/// Appends a few pairs that are encoded as they must be, without an allocation. If they are not, it appends nothing and says
/// so.
fn put_plain<'q>(
    out: &mut Vec<u8>,
    pairs: impl Iterator<Item = (&'q str, &'q str)>,
    is_encoded: impl Fn(&str) -> bool,
) -> bool {
    let mut sorted = Sorted::new(0);
    for (i, (name, value)) in pairs.enumerate() {
        if i == FEW || !is_encoded(name) || !is_encoded(value) {
            return false;
        }
        sorted.insert(Pair(name, value));
    }
    for (i, Pair(name, value)) in sorted.as_slice().iter().enumerate() {
        put_pair(out, i, name.as_bytes(), value.as_bytes());
    }
    true
}

fn put_pairs(out: &mut Vec<u8>, mut pairs: Vec<(Vec<u8>, Vec<u8>)>) {
    pairs.sort();
    for (i, (name, value)) in pairs.iter().enumerate() {
        put_pair(out, i, name, value);
    }
}

fn put_pair(out: &mut Vec<u8>, index: usize, name: &[u8], value: &[u8]) {
    if index > 0 {
        out.push(b'&');
    }
    out.extend_from_slice(name);
    out.push(b'=');
    out.extend_from_slice(value);
}

/// The path without empty and dot segments; a slash at the end stays.
pub(super) fn normalized(path: &str) -> Cow<'_, str> {
    // Without a branch, so that the compiler looks at many bytes at once.
    let followers = path.bytes().skip(1);
    let odd = path
        .bytes()
        .zip(followers)
        .fold(false, |odd, (b, next)| odd | ((b == b'/') & ((next == b'/') | (next == b'.'))));
    if path.starts_with('/') && !odd {
        return path.into();
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len() + 1);
    for segment in &segments {
        out.push('/');
        out.push_str(segment);
    }
    if segments.is_empty() || matches!(path.rsplit('/').next(), Some("" | "." | "..")) {
        out.push('/');
    }
    out.into()
}

/// Longest method in bytes; the longest registered one has 17.
const MAX_METHOD: usize = 32;

pub(crate) fn check_method(method: &str) -> Result<(), CanonicalRequestError> {
    let good = matches!(method, "GET" | "PUT" | "HEAD") || (method.len() <= MAX_METHOD && is_token(method));
    if good { Ok(()) } else { Err(CanonicalRequestError::Method(method.into())) }
}

/// Without a branch, so that the compiler looks at many bytes at once.
pub(super) fn has_control(text: &str) -> bool {
    text.bytes().fold(false, |found, b| found | b.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalized() {
        #[track_caller]
        fn check(path: &str, expected: &str) {
            assert_eq!(normalized(path), expected, "{path}");
        }
        check("", "/");
        check("/", "/");
        check("//", "/");
        check("/a", "/a");
        check("/a/", "/a/");
        check("//a//", "/a/");
        check("/a/..", "/");
        check("/a/./b/../../c", "/c");
        check("/a/b/..", "/a/");
        check("/a/b/.", "/a/b/");
        check("/../../a", "/a");
    }

    #[test]
    fn ambiguous_parts_are_refused() {
        #[track_caller]
        fn check(method: &str, path: &str, header: (&str, &str), expected: CanonicalRequestError) {
            let headers = [("host", "h"), header];
            let got = canonical_request(method, path, &[], &headers, "UNSIGNED-PAYLOAD", Settings::S3);
            assert_eq!(got, Err(expected));
        }
        let fine = ("a", "b");
        check("", "/", fine, CanonicalRequestError::Method("".into()));
        check("GET\nX", "/", fine, CanonicalRequestError::Method("GET\nX".into()));
        check("GET /", "/", fine, CanonicalRequestError::Method("GET /".into()));
        let long = "G".repeat(33);
        check(&long, "/", fine, CanonicalRequestError::Method(long.clone()));
        check("GET", "/\nx", fine, CanonicalRequestError::LineBreak);
        check("GET", "/", ("", "b"), CanonicalRequestError::Name("".into()));
        check("GET", "/", ("a:", "b"), CanonicalRequestError::Name("a:".into()));
        check("GET", "/", ("a", "b\nc"), CanonicalRequestError::Value("a".into()));
        check("GET", "/", ("a", "ü"), CanonicalRequestError::Value("a".into()));
    }

    #[test]
    fn secrets_in_headers_are_not_printed() {
        let headers = [("x-amz-security-token", "hunter2\n")];
        let error = canonical_request("GET", "/", &[], &headers, "", Settings::S3).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
