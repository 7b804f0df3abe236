//! What a link says of the content: its media type, and the name that it is saved under.

use crate::sigv4::encode::{decode, encode_query};

/// Longest name of a file in bytes: what file systems take.
const MAX_NAME: usize = 255;

/// Why something is no name of a file, or no media type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// A path.
    #[error("{0:?} is a path: give the name of the file alone, without slashes")]
    Path(String),
    /// Characters that are not seen, or that turn the others round.
    #[error("the file name {0:?} has characters in it that cannot be seen: leave them out")]
    Invisible(String),
    /// Over [`MAX_NAME`].
    #[error("the file name is {0} bytes long, and file systems take {MAX_NAME}: shorten it")]
    TooLong(usize),
    /// Not `TYPE/SUBTYPE`.
    #[error("{0:?} is no content type: give one such as text/plain or application/pdf")]
    MediaType(String),
}

/// The Content-Disposition that has a browser save the answer under `name` (RFC 6266, section 4): a name for all to read, and
/// where that cannot be the same, or is read differently, the name itself (RFC 8187).
///
/// # Errors
/// [`ContentError`] for what no file can be called.
pub fn attachment(name: &str) -> Result<String, ContentError> {
    if name.contains(['/', '\\']) {
        return Err(ContentError::Path(name.into()));
    }
    if name.chars().any(is_invisible) {
        return Err(ContentError::Invisible(name.into()));
    }
    if name.len() > MAX_NAME {
        return Err(ContentError::TooLong(name.len()));
    }
    // A `%` is decoded by some browsers (RFC 6266, appendix D), and a quote ends the text for others.
    let plain = |c: char| c == ' ' || c.is_ascii_graphic() && !matches!(c, '"' | '%');
    let fallback: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let mut out = [PLAIN, &fallback, "\""].concat();
    if fallback != name {
        let mut encoded = Vec::new();
        encode_query(&mut encoded, name.as_bytes());
        out.push_str(EXTENDED);
        out.extend(encoded.iter().copied().map(char::from));
    }
    Ok(out)
}

const PLAIN: &str = "attachment; filename=\"";
const EXTENDED: &str = "; filename*=UTF-8''";

/// The name in a Content-Disposition that [`attachment`] made; none of any other.
#[must_use]
pub fn attachment_name(disposition: &str) -> Option<String> {
    let (_, quoted) = disposition.split_at_checked(PLAIN.len())?;
    let name = match quoted.strip_suffix('"') {
        Some(name) => name.into(),
        None => decode(quoted.rsplit_once(EXTENDED)?.1)?,
    };
    (attachment(&name).as_deref() == Ok(disposition)).then_some(name)
}

/// Controls, and what orders text anew (Unicode's bidirectional controls): a name with them is not what it looks like.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `TYPE/SUBTYPE`, and parameters after a semicolon (RFC 9110, section 8.3.1).
///
/// # Errors
/// [`ContentError::MediaType`].
pub fn check_media_type(text: &str) -> Result<(), ContentError> {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let good =
        essence.trim_end_matches(' ').split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub))
            && parameters.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    if good { Ok(()) } else { Err(ContentError::MediaType(text.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_offered_to_every_browser() {
        #[track_caller]
        fn check(name: &str, expected: &str) {
            let made = attachment(name).unwrap();
            assert_eq!(made, expected);
            assert_eq!(attachment_name(&made).as_deref(), Some(name));
        }
        check("report.pdf", r#"attachment; filename="report.pdf""#);
        check("a b; c=d.txt", r#"attachment; filename="a b; c=d.txt""#);
        check("ü.txt", r#"attachment; filename="_.txt"; filename*=UTF-8''%C3%BC.txt"#);
        check(r#"a"b.txt"#, r#"attachment; filename="a_b.txt"; filename*=UTF-8''a%22b.txt"#);
        check("100%41.txt", r#"attachment; filename="100_41.txt"; filename*=UTF-8''100%2541.txt"#);
        check("€ rates", r#"attachment; filename="_ rates"; filename*=UTF-8''%E2%82%AC%20rates"#);
        check("; filename*=UTF-8''x", r#"attachment; filename="; filename*=UTF-8''x""#);
        check(
            "\"; filename*=UTF-8''x",
            r#"attachment; filename="_; filename*=UTF-8''x"; filename*=UTF-8''%22%3B%20filename%2A%3DUTF-8%27%27x"#,
        );
    }

    #[test]
    fn what_no_file_is_called_is_refused() {
        assert_eq!(attachment("a/b"), Err(ContentError::Path("a/b".into())));
        assert_eq!(attachment(r"..\b"), Err(ContentError::Path(r"..\b".into())));
        for name in ["a\nb", "\u{7f}", "invoice\u{202e}fdp.exe", "\u{2066}a", "\u{85}"] {
            assert_eq!(attachment(name), Err(ContentError::Invisible(name.into())));
        }
        assert!(attachment(&"n".repeat(255)).is_ok());
        assert_eq!(attachment(&"ü".repeat(128)), Err(ContentError::TooLong(256)));
    }

    #[test]
    fn other_dispositions_have_no_name_of_ours() {
        for text in [
            "",
            "inline",
            "attachment",
            "attachment; filename=a",
            "attachment; filename=\"a\" ",
            "attachment; filename=\"ü\"",
            "attachment; filename=\"b\"; filename*=UTF-8''%C3%BC",
            "attachment; filename=\"_\"; filename*=UTF-8''%c3%bc",
            "x; filename*=UTF-8''%FF",
        ] {
            assert_eq!(attachment_name(text), None, "{text}");
        }
    }

    #[test]
    fn media_types() {
        for good in
            ["text/plain", "application/vnd.api+json", "text/plain; charset=utf-8", "a/b;c=\"d\"", "a/b ;c"]
        {
            assert_eq!(check_media_type(good), Ok(()));
        }
        for bad in [
            "",
            "text",
            "/",
            "text/",
            "/plain",
            "text /plain",
            "a/b/c",
            "text/plain; ü",
            "a/b\n",
            " a/b",
            "a/b;\u{0}",
        ] {
            assert_eq!(check_media_type(bad), Err(ContentError::MediaType(bad.into())));
        }
    }

    proptest::proptest! {
        #[test]
        fn every_name_is_read_back(name in "\\PC{1,60}") {
            if let Ok(made) = attachment(&name) {
                proptest::prop_assert!(made.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
                proptest::prop_assert_eq!(attachment_name(&made), Some(name));
            }
        }

        #[test]
        fn any_disposition_is_read_or_not(text in "(attachment; filename=\")?\\PC{0,20}(\"; filename\\*=UTF-8'')?\\PC{0,20}") {
            if let Some(name) = attachment_name(&text) {
                proptest::prop_assert_eq!(attachment(&name), Ok(text));
            }
        }
    }
}
