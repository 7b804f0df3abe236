//! The one URI encoder: what is signed and what is sent come from here.
//!
//! "Create a signed AWS API request", `UriEncode()`: every byte but the unreserved ones of RFC 3986 section
//! 2.3 (`A-Z a-z 0-9 - . _ ~`) becomes `%XX` in upper-case hex; `/` stays as it is in paths.

use super::canonical_headers::{each, within};

/// Which bytes stand for themselves: the unreserved ones, and in paths the slash.
///
/// Without a branch or a table, so that the compiler looks at many bytes at once.
#[inline]
const fn is_kept<const PATH: bool>(byte: u8) -> bool {
    // Small and capital letters differ in one bit.
    ((byte | 0x20).wrapping_sub(b'a') < 26)
        | (byte.wrapping_sub(b'0') < 10)
        | (byte == b'-')
        | (byte == b'.')
        | (byte == b'_')
        | (byte == b'~')
        | (PATH & (byte == b'/'))
}

/// [`is_kept`] of every byte, for one at a time.
static KEPT: [bool; 256] = kept::<false>();
static KEPT_IN_PATHS: [bool; 256] = kept::<true>();

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
const fn kept<const PATH: bool>() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = is_kept::<PATH>(byte as u8);
        byte += 1;
    }
    table
}

const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Appends `text` as a part of a path: `/` is kept.
pub fn encode_path(out: &mut Vec<u8>, text: &[u8]) {
    encode::<true>(out, text);
}

/// Appends `text` as a name or value of a query: `/` is encoded.
pub fn encode_query(out: &mut Vec<u8>, text: &[u8]) {
    encode::<false>(out, text);
}

/// Room for what [`encode_query`] appends: all of it for a short text, and for what long texts are, tokens in base64.
pub(crate) fn encoded_room(text: &[u8]) -> usize {
    if text.len() <= SHORT { 3 * text.len() } else { 2 * SHORT + text.len() + text.len() / 4 }
}

const SHORT: usize = 128;

/// Length in bytes of what [`encode_path`] appends.
#[cfg(test)]
pub(crate) fn encoded_path_len(text: &[u8]) -> usize {
    encoded_len::<true>(text)
}

/// Length in bytes of what [`encode_query`] appends.
pub(crate) fn encoded_query_len(text: &[u8]) -> usize {
    encoded_len::<false>(text)
}

fn encoded_len<const PATH: bool>(text: &[u8]) -> usize {
    // As many as are counted in a byte.
    let escaped = |some: &[u8]| some.iter().fold(0, |n, &byte| n + u8::from(!is_kept::<PATH>(byte)));
    text.len() + 2 * text.chunks(128).map(|some| usize::from(escaped(some))).sum::<usize>()
}

#[allow(clippy::indexing_slicing, reason = "a table of 16 indexed by halves of a byte")]
fn encode<const PATH: bool>(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    loop {
        let kept = put_kept_run::<PATH>(out, rest);
        let Some((&byte, after)) = rest.get(kept..).unwrap_or_default().split_first() else { return };
        out.extend_from_slice(&[b'%', HEX_UPPER[usize::from(byte >> 4)], HEX_UPPER[usize::from(byte & 15)]]);
        rest = after;
    }
}

/// Appends the bytes at the beginning that are kept, and gives their number. Most texts are one such run.
#[inline]
fn put_kept_run<const PATH: bool>(out: &mut Vec<u8>, text: &[u8]) -> usize {
    let (words, _) = text.as_chunks::<WORD>();
    for (i, word) in words.iter().enumerate() {
        // Whole words are quicker: what is too much goes again.
        out.extend_from_slice(word);
        if !word.iter().fold(true, |kept, &byte| kept & is_kept::<PATH>(byte)) {
            let kept = kept_in_word::<PATH>(u128::from_le_bytes(*word));
            out.truncate(out.len() - WORD + kept);
            return i * WORD + kept;
        }
    }
    let rest = text.get(words.len() * WORD..).unwrap_or_default();
    let kept = kept_in_rest::<PATH>(rest);
    out.extend_from_slice(rest.get(..kept).unwrap_or_default());
    words.len() * WORD + kept
}

/// How many bytes at the beginning are kept.
fn kept_run<const PATH: bool>(text: &[u8]) -> usize {
    let (words, _) = text.as_chunks::<WORD>();
    for (i, word) in words.iter().enumerate() {
        let kept = kept_in_word::<PATH>(u128::from_le_bytes(*word));
        if kept < WORD {
            return i * WORD + kept;
        }
    }
    words.len() * WORD + kept_in_rest::<PATH>(text.get(words.len() * WORD..).unwrap_or_default())
}

const WORD: usize = size_of::<u128>();

/// The same of a word, whose first byte is the lowest.
#[inline]
fn kept_in_word<const PATH: bool>(word: u128) -> usize {
    let low = word & each(0x7f);
    // Small and capital letters differ in one bit; hyphen, point, slash and digits follow each other.
    let letters = within(low | each(0x20), b'a', b'z');
    let others =
        if PATH { within(low, b'-', b'9') } else { within(low, b'-', b'.') | within(low, b'0', b'9') };
    let marks = within(low, b'_', b'_') | within(low, b'~', b'~');
    let other = !(letters | others | marks) | word;
    (other & each(0x80)).trailing_zeros() as usize / 8
}

/// The same of less than a word.
#[inline]
#[allow(clippy::indexing_slicing, reason = "a table of 256 indexed by a byte")]
fn kept_in_rest<const PATH: bool>(rest: &[u8]) -> usize {
    let keep = if PATH { &KEPT_IN_PATHS } else { &KEPT };
    rest.iter().position(|&byte| !keep[usize::from(byte)]).unwrap_or(rest.len())
}

/// Appends a part of a path that came encoded by anybody's rules, encoded by ours: `%2F` stays, `%7e` becomes `~`.
///
/// What an escape stands for does not change, and a `%` that begins none is taken as itself.
pub(crate) fn recode_path(out: &mut Vec<u8>, text: &[u8]) {
    recode::<true>(out, text);
}

/// The same for a name or value of a query, where `+` is a space, as forms and AWS have it.
pub(crate) fn recode_query(out: &mut Vec<u8>, text: &[u8]) {
    recode::<false>(out, text);
}

fn recode<const PATH: bool>(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escaped = match after {
            [high, low, after @ ..] if byte == b'%' => {
                hex_value(*high).zip(hex_value(*low)).map(|(high, low)| (high << 4 | low, after))
            }
            _ => None,
        };
        if let Some((byte, after)) = escaped {
            rest = after;
            // An escaped slash is no separator.
            encode::<false>(out, &[byte]);
        } else {
            encode::<PATH>(out, &[if !PATH && byte == b'+' { b' ' } else { byte }]);
        }
    }
}

/// Whether [`recode_query`] would leave a text as it is.
#[allow(clippy::indexing_slicing, reason = "a table of 256 indexed by a byte")]
pub(crate) fn is_recoded_query(text: &str) -> bool {
    let is_upper = |digit: &u8| !digit.is_ascii_lowercase();
    let mut rest = text.as_bytes();
    loop {
        rest = rest.get(kept_run::<false>(rest)..).unwrap_or_default();
        let [b'%', high, low, after @ ..] = rest else { return rest.is_empty() };
        match hex_value(*high).zip(hex_value(*low)) {
            Some((h, l)) if is_upper(high) && is_upper(low) && !KEPT[usize::from(h << 4 | l)] => rest = after,
            _ => return false,
        }
    }
}

/// Whether `text` needs no encoding in a query.
pub(crate) fn is_unreserved(text: &str) -> bool {
    let text = text.as_bytes();
    let is_kept = |word: &[u8; WORD]| kept_in_word::<false>(u128::from_le_bytes(*word)) == WORD;
    let (words, rest) = text.as_chunks();
    // The words at both ends overlap.
    words.iter().all(is_kept)
        && match (text.last_chunk(), rest.first_chunk::<8>(), rest.last_chunk::<8>()) {
            (Some(last), ..) => is_kept(last),
            (None, Some(first), Some(last)) => {
                let [first, last] = [first, last].map(|half| u128::from(u64::from_le_bytes(*half)));
                kept_in_word::<false>(first | last << 64) == WORD
            }
            _ => kept_in_rest::<false>(rest) == rest.len(),
        }
}

/// The text that [`encode_path`] or [`encode_query`] was given, or `None` if `%` is not followed by two
/// hex digits or the bytes are not UTF-8.
///
/// Decodes more than the encoder writes (lower-case digits, bytes that need no encoding): whoever needs the
/// one canonical spelling encodes again and compares.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = hex_value(bytes.next()?)?;
            let low = hex_value(bytes.next()?)?;
            out.push(high << 4 | low);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// 32 bytes in lower-case hex, as hashes and signatures are written.
///
/// By arithmetic, which the compiler does for all of them at once, and which takes the same time for all.
pub(crate) fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    let digit = |n: u8| n + if n > 9 { b'a' - 10 } else { b'0' };
    let mut out = [0; 64];
    for (pair, &byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_encoded_strictly() {
        #[track_caller]
        fn check(text: &str, path: &str, query: &str) {
            let run = |f: fn(&mut Vec<u8>, &[u8])| {
                let mut out = Vec::new();
                f(&mut out, text.as_bytes());
                String::from_utf8(out).unwrap()
            };
            assert_eq!(run(encode_path), path);
            assert_eq!(run(encode_query), query);
            assert_eq!(encoded_path_len(text.as_bytes()), path.len());
            assert_eq!(encoded_query_len(text.as_bytes()), query.len());
            assert_eq!(decode(path).as_deref(), Some(text));
            assert_eq!(decode(query).as_deref(), Some(text));
        }
        check("", "", "");
        check("a b/ü+%~.txt", "a%20b/%C3%BC%2B%25~.txt", "a%20b%2F%C3%BC%2B%25~.txt");
        check("AZaz09-._~", "AZaz09-._~", "AZaz09-._~");
        check("//a/../b/./", "//a/../b/./", "%2F%2Fa%2F..%2Fb%2F.%2F");
        check(
            "!\"#$&'()*,:;<=>?@[\\]^`{|}",
            &{
                let text = "!\"#$&'()*,:;<=>?@[\\]^`{|}";
                text.bytes().map(|b| format!("%{b:02X}")).collect::<String>()
            },
            &{
                let text = "!\"#$&'()*,:;<=>?@[\\]^`{|}";
                text.bytes().map(|b| format!("%{b:02X}")).collect::<String>()
            },
        );
        check(
            "\0\n\u{7f}日本😀",
            "%00%0A%7F%E6%97%A5%E6%9C%AC%F0%9F%98%80",
            "%00%0A%7F%E6%97%A5%E6%9C%AC%F0%9F%98%80",
        );
    }

    #[test]
    fn what_is_encoded_is_encoded_strictly() {
        #[track_caller]
        fn check(text: &str, path: &str, query: &str) {
            let run = |f: fn(&mut Vec<u8>, &[u8])| {
                let mut out = Vec::new();
                f(&mut out, text.as_bytes());
                String::from_utf8(out).unwrap()
            };
            assert_eq!((run(recode_path).as_str(), run(recode_query).as_str()), (path, query), "{text}");
            assert_eq!((is_recoded_query(text), is_recoded_query(query)), (text == query, true), "{text}");
            for once in [path, query] {
                let again = |f: fn(&mut Vec<u8>, &[u8])| {
                    let mut out = Vec::new();
                    f(&mut out, once.as_bytes());
                    out
                };
                assert_eq!(again(if once == path { recode_path } else { recode_query }), once.as_bytes());
            }
        }
        check("", "", "");
        check("/a%2fb/%7Eü (1)", "/a%2Fb/~%C3%BC%20%281%29", "%2Fa%2Fb%2F~%C3%BC%20%281%29");
        check("a+b%2B", "a%2Bb%2B", "a%20b%2B");
        check("%", "%25", "%25");
        check("%4", "%254", "%254");
        check("%zz%41", "%25zzA", "%25zzA");
        check("%ff", "%FF", "%FF");
        check("%%20", "%25%20", "%25%20");
    }

    #[test]
    fn every_byte_is_encoded_at_every_place() {
        #[track_caller]
        fn check<const PATH: bool>(byte: u8, marks: &str) {
            let kept = byte.is_ascii_alphanumeric() || marks.contains(char::from(byte));
            let escaped = if kept { char::from(byte).to_string() } else { format!("%{byte:02X}") };
            for (before, after) in
                [(0, 0), (0, 3), (0, 15), (0, 16), (7, 9), (15, 0), (15, 40), (16, 0), (33, 1)]
            {
                let ends = ["a".repeat(before), "a".repeat(after)];
                let text = [ends[0].as_bytes(), &[byte], ends[1].as_bytes()].concat();
                let mut out = b"b".to_vec();
                encode::<PATH>(&mut out, &text);
                assert_eq!(out, format!("b{}{escaped}{}", ends[0], ends[1]).as_bytes(), "{byte}");
                assert_eq!(kept_run::<PATH>(&text), if kept { text.len() } else { before }, "{byte}");
                assert_eq!(encoded_len::<PATH>(&text), out.len() - 1, "{byte}");
                if !PATH {
                    let text = std::str::from_utf8(&text);
                    assert!(text.is_err() || is_unreserved(text.unwrap()) == kept, "{byte}");
                }
                assert!(encoded_room(&text) >= out.len() - 1, "{byte}");
            }
        }
        for byte in 0..=u8::MAX {
            check::<false>(byte, "-._~");
            check::<true>(byte, "-._~/");
        }
    }

    #[test]
    fn hashes_are_written_in_hex() {
        for first in (0..=u8::MAX).step_by(32) {
            let bytes = core::array::from_fn(|i| first + u8::try_from(i).unwrap());
            assert_eq!(hex(&bytes), data_encoding::HEXLOWER.encode(&bytes).as_bytes());
        }
    }

    #[test]
    fn what_is_no_encoding_is_not_decoded() {
        #[track_caller]
        fn check(text: &str) {
            assert_eq!(decode(text), None, "{text}");
        }
        for text in ["%", "%4", "%zz", "%C3", "%FF", "a%", "%%20"] {
            check(text);
        }
    }
}
