//! Canonical headers: a line for each name in lower case, sorted, and the names of the signed headers.
//!
//! Most of the time that a signature takes besides hashing goes here. So the beginnings of names are numbers, which are
//! brought to lower case, checked and compared at once; and the lines of ordinary values are written as they are and looked
//! at together afterwards.
//!
//! Source: "Create a signed AWS API request", AWS IAM User Guide; RFC 9110 sections 5.5 and 5.6.2.

use core::cmp::Ordering;

use super::CanonicalRequestError;
use super::encode::{encode_query, encoded_query_len};
use crate::sorted::Ordered;

/// Those up to a name, it included, and those after it.
#[inline]
pub(crate) fn split_after<'s, 'h>(
    sorted: &'s [Header<'h>],
    name: &Header<'h>,
) -> (&'s [Header<'h>], &'s [Header<'h>]) {
    sorted.split_at_checked(sorted.partition_point(|other| other.compare(name).is_le())).unwrap_or_default()
}

/// A header with a good name, and its beginning as a number that sorts as the name does. The value is checked when it is
/// written.
#[derive(Clone, Copy, Default)]
pub(crate) struct Header<'h> {
    /// The first 16 bytes in lower case, and zeros, which no name has.
    order: u128,
    name: &'h str,
    value: &'h str,
}

/// By names as they are written.
impl Ordered for Header<'_> {
    #[inline]
    fn compare(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order).then_with(|| {
            let [a, b] = [self.name, other.name].map(|n| n.as_bytes().get(ORDERED..).unwrap_or_default());
            compare_rest(a, b)
        })
    }

    #[inline]
    fn is_same(&self, other: &Self) -> bool {
        self.order == other.order && self.name.len() == other.name.len() && self.compare(other).is_eq()
    }
}

/// How much of a name is in [`Header::order`].
const ORDERED: usize = size_of::<u128>();

impl<'h> Header<'h> {
    /// # Errors
    /// [`CanonicalRequestError::Name`] if the name is none.
    #[inline]
    pub(crate) fn new(name: &'h str, value: &'h str) -> Result<Self, CanonicalRequestError> {
        let header = Self { order: order(name.as_bytes()), name, value };
        if header.is_plain() || is_token(name) {
            Ok(header)
        } else {
            Err(CanonicalRequestError::Name(name.into()))
        }
    }

    /// One without a value, whose name is known to be good and in lower case: made by the compiler.
    pub(crate) const fn known(name: &'static str) -> Self {
        Self { order: known_order(name), name, value: "" }
    }

    /// The same with a value.
    #[inline]
    pub(crate) fn with<'v>(&self, value: &'v str) -> Header<'v>
    where
        'h: 'v,
    {
        Header { order: self.order, name: self.name, value }
    }

    /// The name as it was given.
    #[inline]
    pub(crate) fn name(&self) -> &'h str {
        self.name
    }

    /// At least as many bytes as its line and its name need together.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        2 * self.name.len() + self.value.len() + 3
    }

    /// # Errors
    /// [`CanonicalRequestError::Value`] if the value is none.
    pub(crate) fn check_value(&self) -> Result<(), CanonicalRequestError> {
        check_value(self.name, self.value)
    }

    /// A number below 64, the same for the same name.
    #[inline]
    pub(crate) const fn slot(&self) -> u32 {
        let mixed = ((self.order >> 64) as u64 ^ self.order as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 58) as u32
    }

    /// Whether the name has letters, digits and hyphens alone: then it is a token. Most are.
    #[inline]
    fn is_plain(&self) -> bool {
        let name = self.name.as_bytes();
        // Hyphens instead of the zeros behind a short name.
        let behind = u128::MAX.checked_shr(8 * name.len() as u32).unwrap_or_default();
        let start = self.order | (each(b'-') & behind);
        let is_plain = |word: &[u8; ORDERED]| are_plain(lower_case(u128::from_be_bytes(*word)));
        // A long name word by word, and the last one once more as far as it does not fit.
        let (words, _) = name.get(ORDERED..).unwrap_or_default().as_chunks::<ORDERED>();
        let rest =
            name.len() <= ORDERED || (words.iter().all(is_plain) && name.last_chunk().is_some_and(is_plain));
        !name.is_empty() && are_plain(start) && rest
    }

    #[inline]
    fn is_trimmed(&self) -> bool {
        let value = self.value.as_bytes();
        value.first() != Some(&b' ') && value.last() != Some(&b' ')
    }

    /// In lower case.
    #[inline]
    fn put_name(&self, out: &mut Vec<u8>) {
        let (start, name) = (out.len(), self.name.as_bytes());
        out.extend_from_slice(&self.order.to_be_bytes());
        // Whole words are quicker: what is too much goes again.
        let Some(end) = name.last_chunk() else { return out.truncate(start + name.len()) };
        let put = |out: &mut Vec<u8>, word: &[u8; ORDERED]| {
            out.extend_from_slice(&lower_case(u128::from_ne_bytes(*word)).to_ne_bytes());
        };
        let (words, _) = name.get(ORDERED..).unwrap_or_default().as_chunks();
        words.iter().for_each(|word| put(out, word));
        out.truncate(start + name.len() - ORDERED);
        put(out, end);
    }
}

/// A word of sixteen such bytes.
#[inline]
pub(super) const fn each(byte: u8) -> u128 {
    u128::from_ne_bytes([byte; ORDERED])
}

/// The highest bits of those bytes of a word that are from `first` to `last`, where all are below 128.
#[inline]
pub(super) const fn within(word: u128, first: u8, last: u8) -> u128 {
    // Either sum has the highest bit if the byte is at least that; none carries over to its neighbour.
    (word + each(0x80 - first)) ^ (word + each(0x7f - last))
}

/// Sixteen ASCII letters at once.
#[inline]
fn lower_case(word: u128) -> u128 {
    let capital = within(word & each(0x7f), b'A', b'Z') & !word & each(0x80);
    // 0x20, the difference.
    word | capital >> 2
}

/// Whether all bytes are small letters, digits or hyphens.
#[inline]
fn are_plain(word: u128) -> bool {
    let low = word & each(0x7f);
    let plain = within(low, b'a', b'z') | within(low, b'0', b'9') | within(low, b'-', b'-');
    plain & !word & each(0x80) == each(0x80)
}

/// The first 16 bytes in lower case, and zeros. Read a word at a time: the words at both ends, which overlap, and of the
/// second only what the first has not.
#[inline]
fn order(name: &[u8]) -> u128 {
    let len = name.len();
    let number = if let Some(first) = name.first_chunk::<ORDERED>() {
        u128::from_be_bytes(*first)
    } else if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        let last = u64::from_be_bytes(*last).checked_shl(8 * (16 - len as u32)).unwrap_or_default();
        u128::from(u64::from_be_bytes(*first)) << 64 | u128::from(last)
    } else if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        let last = u32::from_be_bytes(*last).checked_shl(8 * (8 - len as u32)).unwrap_or_default();
        (u128::from(u32::from_be_bytes(*first)) << 32 | u128::from(last)) << 64
    } else {
        name.iter().enumerate().fold(0, |n, (i, byte)| n | u128::from(*byte) << (120 - 8 * i))
    };
    lower_case(number)
}

/// [`order`] of a name in lower case, by the compiler.
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
const fn known_order(name: &str) -> u128 {
    let name = name.as_bytes();
    let (mut order, mut at) = (0, 0);
    while at < ORDERED {
        order = order << 8 | if at < name.len() { name[at] as u128 } else { 0 };
        at += 1;
    }
    order
}

/// Appends the lines of sorted headers: values trimmed, runs of blanks in them collapsed, those of one name joined by
/// commas.
///
/// # Errors
/// [`CanonicalRequestError::Value`] if a value is none. Something has been appended then.
pub(crate) fn put_lines(out: &mut Vec<u8>, headers: &[Header<'_>]) -> Result<(), CanonicalRequestError> {
    if headers.is_empty() {
        return Ok(());
    }
    let start = out.len();
    let lines = put_all_lines(out, headers, |out, value| out.extend_from_slice(value.as_bytes()));
    if headers.iter().all(Header::is_trimmed) && is_clean(out, start, lines) {
        return Ok(());
    }
    // Some value has to be written otherwise, or is none.
    out.truncate(start);
    headers.iter().try_for_each(Header::check_value)?;
    put_all_lines(out, headers, put_header_value);
    Ok(())
}

/// How many lines.
#[inline]
fn put_all_lines(out: &mut Vec<u8>, headers: &[Header<'_>], put_value: impl Fn(&mut Vec<u8>, &str)) -> usize {
    let mut lines = 0;
    let mut last: Option<&Header<'_>> = None;
    for header in headers {
        if last.is_some_and(|last| last.is_same(header)) {
            out.pop();
            out.push(b',');
        } else {
            header.put_name(out);
            out.push(b':');
            lines += 1;
        }
        put_value(out, header.value);
        out.push(b'\n');
        last = Some(header);
    }
    lines
}

/// How many bytes [`is_clean`] looks at together; at most 255.
pub(crate) const STEP: usize = 64;

/// Whether behind `start` there is nothing but printable ASCII and so many line breaks, and no two spaces side by side.
fn is_clean(out: &mut Vec<u8>, start: usize, lines: usize) -> bool {
    let end = out.len();
    // Whole steps are quicker.
    out.extend_from_slice(&[b'-'; STEP]);
    let text = out.get(start..).unwrap_or_default();
    let (bytes, _) = text.as_chunks::<STEP>();
    let (followers, _) = text.get(1..).unwrap_or_default().as_chunks::<STEP>();
    let (mut clean, mut breaks) = (true, 0);
    for (bytes, followers) in bytes.iter().zip(followers) {
        // Without a branch, so that the compiler looks at many bytes at once.
        let (good, ends) = bytes.iter().zip(followers).fold((true, 0_u8), |(good, ends), (&b, &next)| {
            let end = b == b'\n';
            let twice = (b == b' ') & (next == b' ');
            (good & (end | (b.wrapping_sub(b' ') <= b'~' - b' ')) & !twice, ends + u8::from(end))
        });
        clean &= good;
        breaks += usize::from(ends);
    }
    out.truncate(end);
    clean && breaks == lines
}

/// Appends the names, without repetitions, in lower case.
pub(crate) fn put_names(out: &mut Vec<u8>, headers: &[Header<'_>]) {
    each_name(headers, |i, header| {
        if i > 0 {
            out.push(b';');
        }
        header.put_name(out);
    });
}

/// The same as a value of a query.
pub(crate) fn put_encoded_names(out: &mut Vec<u8>, headers: &[Header<'_>]) {
    let start = out.len();
    let mut semicolons = 0;
    each_name(headers, |i, header| {
        if i > 0 {
            out.extend_from_slice(b"%3B");
            semicolons += 1;
        }
        header.put_name(out);
    });
    // A name may hold what a query must not, which no semicolon accounts for.
    let written = out.get(start..).unwrap_or_default();
    if encoded_query_len(written) != written.len() + 2 * semicolons {
        let mut names = Vec::with_capacity(written.len());
        put_names(&mut names, headers);
        out.truncate(start);
        encode_query(out, &names);
    }
}

#[inline]
fn each_name(headers: &[Header<'_>], mut put: impl FnMut(usize, &Header<'_>)) {
    let mut last: Option<&Header<'_>> = None;
    for (i, header) in headers.iter().enumerate() {
        if !last.is_some_and(|last| last.is_same(header)) {
            put(i, header);
        }
        last = Some(header);
    }
}

/// Names of headers compared as they will be written, in lower case.
pub(crate) fn compare_names(a: &str, b: &str) -> Ordering {
    compare_rest(a.as_bytes(), b.as_bytes())
}

fn compare_rest(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() && !b.is_empty() {
        let by_word = order(a).cmp(&order(b));
        if by_word.is_ne() {
            return by_word;
        }
        (a, b) = (a.get(ORDERED..).unwrap_or_default(), b.get(ORDERED..).unwrap_or_default());
    }
    a.len().cmp(&b.len())
}

/// Appends a header's name, or another ASCII text, in lower case.
pub(crate) fn put_lower(out: &mut Vec<u8>, name: &str) {
    let start = out.len();
    out.extend_from_slice(name.as_bytes());
    out.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
}

/// Appends a header's value: trimmed, runs of blanks collapsed to one space.
fn put_header_value(out: &mut Vec<u8>, value: &str) {
    for (i, word) in value.split([' ', '\t']).filter(|word| !word.is_empty()).enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    }
}

/// Whether name and value can be those of a header that is signed.
///
/// # Errors
/// [`CanonicalRequestError`] if the name or the value of a header is none.
pub fn check_header(name: &str, value: &str) -> Result<(), CanonicalRequestError> {
    if is_token(name) { check_value(name, value) } else { Err(CanonicalRequestError::Name(name.into())) }
}

fn check_value(name: &str, value: &str) -> Result<(), CanonicalRequestError> {
    // Without a branch, as above.
    if value.bytes().fold(true, |good, b| good & (b.wrapping_sub(b' ') <= b'~' - b' ' || b == b'\t')) {
        Ok(())
    } else {
        Err(CanonicalRequestError::Value(name.into()))
    }
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sorted::Sorted;
    use proptest::prelude::*;

    /// Lines and names, put together one by one.
    fn simply(headers: &[(&str, &str)]) -> Result<(String, String), CanonicalRequestError> {
        headers.iter().try_for_each(|(name, value)| check_header(name, value))?;
        let mut sorted: Vec<_> =
            headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let mut names: Vec<_> = sorted.iter().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        let line = |name: &&str| {
            let values = sorted
                .iter()
                .filter(|header| header.0 == *name)
                .map(|(_, value)| value.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
            format!("{name}:{}\n", values.collect::<Vec<_>>().join(","))
        };
        Ok((names.iter().map(line).collect(), names.join(";")))
    }

    #[track_caller]
    fn check(headers: &[(&str, &str)]) {
        let ours = || {
            let mut sorted = Sorted::new(headers.len() / 2);
            for &(name, value) in headers {
                let same = sorted.insert(Header::new(name, value)?);
                assert_eq!(
                    same.map(|header| header.name().to_ascii_lowercase()),
                    sorted
                        .as_slice()
                        .iter()
                        .filter(|h| h.name().eq_ignore_ascii_case(name))
                        .nth(1)
                        .map(|_| name.to_ascii_lowercase())
                );
            }
            let (mut lines, mut names, mut encoded) = (b"before\n  ".to_vec(), Vec::new(), Vec::new());
            put_lines(&mut lines, sorted.as_slice())?;
            put_names(&mut names, sorted.as_slice());
            put_encoded_names(&mut encoded, sorted.as_slice());
            let text = |bytes| String::from_utf8(bytes).unwrap();
            let (names, lines) = (text(names), text(lines));
            let mut expected = Vec::new();
            encode_query(&mut expected, names.as_bytes());
            assert_eq!(encoded, expected);
            for name in names.split(';').filter(|name| !name.is_empty()) {
                let (before, after) = split_after(sorted.as_slice(), &Header::new(name, "")?);
                assert!(before.iter().all(|header| header.name().to_ascii_lowercase().as_str() <= name));
                assert!(after.iter().all(|header| header.name().to_ascii_lowercase().as_str() > name));
                assert_eq!(before.len() + after.len(), headers.len());
            }
            Ok::<_, CanonicalRequestError>((lines.strip_prefix("before\n  ").unwrap().to_owned(), names))
        };
        assert_eq!(ours().is_err(), simply(headers).is_err(), "{headers:?}");
        if let Ok(expected) = simply(headers) {
            assert_eq!(ours(), Ok(expected), "{headers:?}");
        }
    }

    #[test]
    fn words_are_as_their_bytes() {
        for byte in 0..=u8::MAX {
            for place in 0..ORDERED {
                let mut bytes = [b'a'; ORDERED];
                bytes[place] = byte;
                let mut lower = bytes;
                lower.make_ascii_lowercase();
                let word = lower_case(u128::from_be_bytes(bytes));
                assert_eq!(word.to_be_bytes(), lower);
                let plain = byte.is_ascii_alphanumeric() || byte == b'-';
                assert_eq!(are_plain(word), plain, "{byte}");
            }
        }
    }

    #[test]
    fn names_sort_by_their_numbers() {
        let name = "X-Amz-Meta-A-Long-Name";
        let mut last = 0;
        for len in 0..name.len() {
            let name = &name[..len];
            assert_eq!(order(name.as_bytes()), known_order(&name.to_ascii_lowercase()), "{name}");
            assert!(
                if len > ORDERED { order(name.as_bytes()) == last } else { order(name.as_bytes()) >= last },
                "{name}"
            );
            last = order(name.as_bytes());
        }
    }

    #[test]
    fn edges_are_kept() {
        for name in [
            "",
            "a",
            "a\0",
            "\0",
            "a\0b",
            "abc",
            "abcd",
            "abcdefg\0",
            "ABCDEFGH",
            "x-amz-content-sha",
            "x-amz-content-sh",
            "a;b",
            "a:",
            "!#$%&'*+-.^_`|~",
            "x\u{80}",
            "X-AMZ-META-ABCDEFGHIJKLMNOPQRSTUVWXYZ[",
            "X-AMZ-META-ABCDEFGHIJKLMNOPQRSTUVWXYZ-X-AMZ-META-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        ] {
            check(&[(name, "b")]);
        }
        for value in [
            "", " ", "  ", "\t", " a", "a ", "a  b", "a\tb", "a: b", "a\nb", "\n", "a\u{7f}", "a\0", "ü",
            "a, b",
        ] {
            check(&[("host", "h"), ("a", value), ("z", "z")]);
            check(&[("host", "h"), ("a", "1"), ("A", value), ("z", "z")]);
        }
        // At every place of a step.
        for len in 0..3 * STEP {
            let long = "v".repeat(len);
            for end in ["", "\n", "  v", " v", "\u{7f}"] {
                check(&[("n", &format!("{long}{end}")), ("o", "v")]);
                check(&[("n", &format!("{long}{end}"))]);
            }
        }
    }

    proptest! {
        #[test]
        fn lines_are_as_put_together_one_by_one(
            headers in prop::collection::vec(
                (
                    "([a-cA-C]|[a-c-]{3,5}|[A-Ca-c-]{7,9}|x-amz-[ab]{9,12}|x-amz-content-[a-bA-B_]{1,3}|x-amz-meta-[aA]{4,40}|[ -~]{1,3})",
                    "([a-z ,:]{0,20}|[ -~\t]{0,70}|.{0,3})",
                ),
                0..40,
            )
        ) {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            // Mostly some of them is wrong.
            let good: Vec<_> = headers.iter().copied().filter(|(name, value)| check_header(name, value).is_ok()).collect();
            check(&headers);
            check(&good);
        }
    }
}
