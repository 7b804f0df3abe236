//! A line of a batch that is a JSON object, and the records that are printed.

use std::fmt;
use std::io::Write as _;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::time;

/// Names and values.
pub(super) type Pairs = Vec<(String, String)>;

/// What a line says of its link.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    pub(super) bucket: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) key: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) url: Option<String>,
    pub(super) method: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    pub(super) expires: Option<u64>,
    pub(super) version_id: Option<String>,
    #[serde(default, deserialize_with = "pairs")]
    pub(super) query: Pairs,
    #[serde(default, deserialize_with = "pairs")]
    pub(super) headers: Pairs,
    pub(super) region: Option<String>,
}

/// A number where text is meant, such as a part's.
enum Word {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Word;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or a whole number that is not negative")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Word, E> {
                Ok(Word::Number(number))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Word, E> {
                Ok(Word::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl Spec {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| {
            // Of a line there is one.
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or_default();
            format!("it is no JSON object that says a link: {what}, at its byte {}", error.column())
        })
    }

    /// Whether it asks for something that only the link as a whole shows to be right or wrong.
    pub(super) fn is_special(&self) -> bool {
        self.method.is_some()
            || self.version_id.is_some()
            || !self.query.is_empty()
            || !self.headers.is_empty()
    }
}

/// What is there is text: without it a line means something else.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// Seconds, or as they are typed.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Option::<Word>::deserialize(deserializer)? {
        None => None,
        Some(Word::Number(seconds)) => Some(seconds),
        Some(Word::Text(text)) => {
            Some(time::duration(&text).map_err(<D::Error as de::Error>::custom)?.as_secs())
        }
    })
}

/// An object's members, in their order, and those of the same name too: they are for others to refuse.
fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pairs, D::Error> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Pairs;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of texts")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
            let mut pairs = Pairs::new();
            while let Some((name, value)) = map.next_entry()? {
                let value = match value {
                    Word::Number(number) => number.to_string(),
                    Word::Text(text) => text,
                };
                pairs.push((name, value));
            }
            Ok(pairs)
        }
    }
    deserializer.deserialize_map(Members)
}

/// Appends a JSON string.
pub(super) fn put_json(out: &mut Vec<u8>, text: &str) {
    // Neither text nor a vector can fail.
    let _ = serde_json::to_writer(out, text);
}

/// Appends the members method and headers of a record, each only where a plain GET would not do. Names are in lower case, as
/// headers of a single link are.
pub(super) fn put_request<'a>(
    out: &mut Vec<u8>,
    method: &str,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    if method != "GET" {
        out.extend_from_slice(b",\"method\":");
        put_json(out, method);
    }
    let mut any = false;
    for (name, value) in headers {
        out.extend_from_slice(if any { b"," } else { b",\"headers\":{" });
        any = true;
        put_json(out, &name.to_ascii_lowercase());
        out.push(b':');
        put_json(out, value);
    }
    if any {
        out.push(b'}');
    }
}

/// Appends a number.
pub(super) fn put_number(out: &mut Vec<u8>, number: u64) {
    let _ = write!(out, "{number}");
}

/// Appends a field of a CSV record (RFC 4180), in quotes where it needs them.
pub(super) fn put_csv(out: &mut Vec<u8>, text: &str) {
    // Spaces belong to a field, but some readers need to be told.
    let plain = !text.contains(['"', ',', '\r', '\n']) && text.trim() == text;
    if plain {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    for (i, part) in text.split('"').enumerate() {
        if i > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_read() {
        #[track_caller]
        fn check(line: &str, expected: Result<Spec, &str>) {
            match (Spec::read(line), expected) {
                (Ok(spec), Ok(expected)) => assert_eq!(spec, expected, "{line}"),
                (Err(error), Err(part)) => {
                    assert!(error.contains(part) && !error.contains("line 1"), "{error}");
                }
                (actual, expected) => panic!("{actual:?} is not {expected:?}: {line}"),
            }
        }
        let text = |text: &str| Some(text.to_owned());
        check("{}", Ok(Spec::default()));
        check(r#"{"key":"{\"\u00fc\n"}"#, Ok(Spec { key: text("{\"ü\n"), ..Spec::default() }));
        check(r#" {"expires":"15m"} "#, Ok(Spec { expires: Some(900), ..Spec::default() }));
        check(r#"{"expires":7,"bucket":null}"#, Ok(Spec { expires: Some(7), ..Spec::default() }));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        check(
            r#"{"query":{"partNumber":3,"b":""},"headers":{"X":"y","X":"z"}}"#,
            Ok(Spec {
                query: vec![pair("partNumber", "3"), pair("b", "")],
                headers: vec![pair("X", "y"), pair("X", "z")],
                ..Spec::default()
            }),
        );
        check(r#"{"keys":"a"}"#, Err("unknown field `keys`"));
        check(r#"{"key":"a","key":"b"}"#, Err("duplicate field `key`"));
        check(r#"{"key":"a"} {"#, Err("trailing characters, at its byte 13"));
        check(r#"{"key":"a""#, Err("EOF"));
        check(r#"{"key":7}"#, Err("invalid type"));
        let number = "expected text, or a whole number that is not negative, at its byte";
        for bad in [
            r#"{"expires":-1}"#,
            r#"{"expires":1.5}"#,
            r#"{"query":{"partNumber":-5}}"#,
            r#"{"headers":{"a":null}}"#,
        ] {
            check(bad, Err(number));
        }
        check(r#"{"expires":null}"#, Ok(Spec::default()));
        check(r#"{"key":null}"#, Err("null, expected a string, at its byte 11"));
        check(r#"{"url":null}"#, Err("null, expected a string"));
        check(r#"{"expires":"soon"}"#, Err("give a duration"));
        check(r#"{"query":["a"]}"#, Err("an object of texts"));
        check(r#"{"query":{"a":["b"]}}"#, Err("at its byte"));
        check(&"[".repeat(60_000), Err("at its byte"));
        check(&format!("{{\"query\":{}", "{\"a\":".repeat(12_000)), Err("at its byte"));
    }

    #[test]
    fn records_say_what_to_send() {
        #[track_caller]
        fn check(method: &str, headers: &[(&str, &str)], expected: &str) {
            let mut out = Vec::new();
            put_request(&mut out, method, headers.iter().copied());
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        check("GET", &[], "");
        check("PUT", &[], r#","method":"PUT""#);
        check("GET", &[("Range", "bytes=0-0")], r#","headers":{"range":"bytes=0-0"}"#);
        check("PUT", &[("a", "\""), ("B", "")], r#","method":"PUT","headers":{"a":"\"","b":""}"#);
    }

    #[test]
    fn records_are_written() {
        #[track_caller]
        fn check(text: &str, csv: &str, json: &str) {
            let mut out = Vec::new();
            put_csv(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), csv);
            let mut out = Vec::new();
            put_json(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), json);
        }
        check("", "", "\"\"");
        check("a/b c.txt", "a/b c.txt", "\"a/b c.txt\"");
        check("a,b", "\"a,b\"", "\"a,b\"");
        check("\"", "\"\"\"\"", "\"\\\"\"");
        check("a\r\nb", "\"a\r\nb\"", "\"a\\r\\nb\"");
        check(" a", "\" a\"", "\" a\"");
        // Exact, whatever a spreadsheet takes it for.
        check("=1+1", "=1+1", "\"=1+1\"");
        check("@ü", "@ü", "\"@ü\"");
    }
}
