//! Canonical request: method, path, query, headers, names of the signed headers, payload hash, one line each.

use alloc::borrow::Cow;
use core::cmp::Ordering;

use super::encode::{encode_path, encode_query, recode_query};

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

    let mut sorted = Vec::with_capacity(headers.len());
    for &(name, value) in headers {
        check_header(name, value)?;
        // Behind those of the same name, which stay in order.
        insert_sorted(&mut sorted, (name, value), |a, b| compare_names(a.0, b.0));
    }
    let mut signed_headers = Vec::new();
    let mut last = "";
    for (name, value) in sorted {
        if name.eq_ignore_ascii_case(last) {
            out.pop();
            out.push(b',');
        } else {
            if !last.is_empty() {
                signed_headers.push(b';');
            }
            put_lower(&mut signed_headers, name);
            put_lower(&mut out, name);
            out.push(b':');
        }
        put_header_value(&mut out, value);
        out.push(b'\n');
        last = name;
    }
    out.push(b'\n');
    out.extend_from_slice(&signed_headers);
    out.push(b'\n');
    out.extend_from_slice(payload_hash.as_bytes());
    // Built from strings, and cut at ASCII only.
    let text = |bytes| String::from_utf8(bytes).unwrap_or_default();
    Ok(CanonicalRequest { text: text(out), signed_headers: text(signed_headers) })
}

/// Names and values encoded, sorted by encoded name, then by encoded value.
pub(super) fn put_query(out: &mut Vec<u8>, query: &[(&str, &str)]) {
    let encoded = |text: &str| {
        let mut out = Vec::with_capacity(text.len());
        encode_query(&mut out, text.as_bytes());
        out
    };
    let mut pairs = Vec::with_capacity(query.len());
    for (name, value) in query {
        insert_sorted(&mut pairs, (encoded(name), encoded(value)), Ord::cmp);
    }
    put_pairs(out, &pairs);
}

/// The query of a URL, without its `?`: taken apart as servers do it (`+` is a space, a name without `=` has an empty
/// value, nothing between two `&` is nothing), and put together by the rules.
pub(super) fn put_sent_query(out: &mut Vec<u8>, query: &str) {
    let recoded = |text: &str| {
        let mut out = Vec::with_capacity(text.len());
        recode_query(&mut out, text.as_bytes());
        out
    };
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (recoded(name), recoded(value)))
        .collect();
    // There may be any number.
    pairs.sort();
    put_pairs(out, &pairs);
}

fn put_pairs(out: &mut Vec<u8>, pairs: &[(Vec<u8>, Vec<u8>)]) {
    for (i, (name, value)) in pairs.iter().enumerate() {
        if i > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

/// Inserts behind what is smaller or equal. For a handful of items, and a tenth of the code of a `sort`.
fn insert_sorted<T>(sorted: &mut Vec<T>, item: T, compare: impl Fn(&T, &T) -> Ordering) {
    let at = sorted.partition_point(|other| compare(other, &item).is_le());
    sorted.insert(at, item);
}

/// The path without empty and dot segments; a slash at the end stays.
pub(super) fn normalized(path: &str) -> Cow<'_, str> {
    if path.starts_with('/') && !path.contains("//") && !path.contains("/.") {
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

/// Names of headers compared as they will be written, in lower case.
pub(crate) fn compare_names(a: &str, b: &str) -> Ordering {
    a.bytes().map(|b| b.to_ascii_lowercase()).cmp(b.bytes().map(|b| b.to_ascii_lowercase()))
}

/// Appends a header's name, or another ASCII text, in lower case.
pub(crate) fn put_lower(out: &mut Vec<u8>, name: &str) {
    out.extend(name.bytes().map(|b| b.to_ascii_lowercase()));
}

/// Appends a header's value: trimmed, runs of blanks collapsed to one space.
pub(crate) fn put_header_value(out: &mut Vec<u8>, value: &str) {
    // Mostly there is nothing to collapse. A space at the beginning is taken for a second one.
    let (mut plain, mut last) = (true, b' ');
    for byte in value.bytes() {
        plain &= (byte != b' ' || last != b' ') & (byte != b'\t');
        last = byte;
    }
    if plain && last != b' ' {
        return out.extend_from_slice(value.as_bytes());
    }
    for (i, word) in value.split([' ', '\t']).filter(|word| !word.is_empty()).enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    }
}

/// Longest method in bytes; the longest registered one has 17.
const MAX_METHOD: usize = 32;

pub(crate) fn check_method(method: &str) -> Result<(), CanonicalRequestError> {
    let good = matches!(method, "GET" | "PUT" | "HEAD") || (method.len() <= MAX_METHOD && is_token(method));
    if good { Ok(()) } else { Err(CanonicalRequestError::Method(method.into())) }
}

pub(crate) fn check_header(name: &str, value: &str) -> Result<(), CanonicalRequestError> {
    if !is_token(name) {
        return Err(CanonicalRequestError::Name(name.into()));
    }
    // Without a branch, as above.
    if !value.bytes().fold(true, |good, b| good & (b.wrapping_sub(b' ') <= b'~' - b' ' || b == b'\t')) {
        return Err(CanonicalRequestError::Value(name.into()));
    }
    Ok(())
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| lower(b) != 0)
}

/// The characters of tokens in lower case, and 0 for all others.
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
const TOKEN: [u8; 256] = {
    let mut table = [0; 256];
    let marks = b"!#$%&'*+-.^_`|~";
    let mut i = 0;
    while i < 256 {
        if (i as u8).is_ascii_alphanumeric() {
            table[i] = (i as u8).to_ascii_lowercase();
        }
        i += 1;
    }
    i = 0;
    while i < marks.len() {
        table[marks[i] as usize] = marks[i];
        i += 1;
    }
    table
};

/// A character of a token in lower case; 0 if it is none.
#[allow(clippy::indexing_slicing, reason = "a table of 256 indexed by a byte")]
pub(super) fn lower(byte: u8) -> u8 {
    TOKEN[usize::from(byte)]
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
        let error = check_header("x-amz-security-token", "hunter2\n").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
