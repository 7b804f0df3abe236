//! Base32 (RFC 4648, section 6), as people type secrets and as names are shortened.
//!
//! Our own, for it is small: the general library is a third of the whole wasm.

use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Decodes, whatever the case; white space and dashes are passed over, padding may be there or not, and bits left
/// over in the last character are ignored, as every other reader of secrets does. `None` for anything else.
pub(super) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() * 5 / 8));
    let (mut bits, mut count, mut characters) = (0_u32, 0, 0_usize);
    let mut symbols = text.chars().filter(|c| !c.is_whitespace() && *c != '-').peekable();
    while let Some(symbol) = symbols.next_if(|&c| c != '=') {
        let value = match symbol {
            'A'..='Z' => u32::from(symbol) - u32::from('A'),
            'a'..='z' => u32::from(symbol) - u32::from('a'),
            '2'..='7' => u32::from(symbol) - u32::from('2') + 26,
            _ => return None,
        };
        bits = (bits << 5 | value) & 0xFFF;
        count += 5;
        characters += 1;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xFF).ok()?);
        }
    }
    let padding = symbols.clone().count();
    // 1, 3 or 6 characters in the last group say no whole byte more than one fewer would.
    let whole = !matches!(characters % 8, 1 | 3 | 6);
    let padded = padding == 0 || (characters + padding) % 8 == 0 && padding < 8 && symbols.all(|c| c == '=');
    (whole && padded).then_some(bytes)
}

/// Appends the encoding, without padding.
pub(super) fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    for group in bytes.chunks(5) {
        let mut five = [0; 5];
        five.iter_mut().zip(group).for_each(|(to, from)| *to = *from);
        let characters = (group.len() * 8).div_ceil(5);
        out.extend(eight_characters(five).iter().take(characters).map(u8::to_ascii_uppercase));
    }
}

/// The first eight characters of the encoding of at least five bytes, in lower case.
pub(super) fn eight_characters(bytes: [u8; 5]) -> [u8; 8] {
    let number = bytes.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    core::array::from_fn(|i| {
        let index = (number >> (35 - 5 * i)) as usize % ALPHABET.len();
        ALPHABET.get(index).copied().unwrap_or_default().to_ascii_lowercase()
    })
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE32, BASE32_NOPAD};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc_4648_section_10() {
        let table = [
            ("", ""),
            ("f", "MY======"),
            ("fo", "MZXQ===="),
            ("foo", "MZXW6==="),
            ("foob", "MZXW6YQ="),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI======"),
        ];
        for (plain, encoded) in table {
            assert_eq!(decode(encoded).unwrap().as_slice(), plain.as_bytes());
            assert_eq!(
                decode(&encoded.replace('=', "").to_lowercase()).unwrap().as_slice(),
                plain.as_bytes()
            );
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in
            ["A", "AAA", "AAAAAA", "A1", "A8", "AAÄ", "MY=====", "MY=======", "MY===A==", "=", "========"]
        {
            assert!(decode(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_another_implementation(bytes: Vec<u8>) {
            prop_assert_eq!(&*decode(&BASE32.encode(&bytes)).unwrap(), &bytes);
            prop_assert_eq!(&*decode(&BASE32_NOPAD.encode(&bytes)).unwrap(), &bytes);
            let mut encoded = Vec::new();
            encode(&mut encoded, &bytes);
            prop_assert_eq!(encoded, BASE32_NOPAD.encode(&bytes).into_bytes());
        }

        #[test]
        fn no_text_panics(text in "[A-Z2-7a-z= \u{0}-\u{ff}-]{0,40}") {
            let _ = decode(&text);
        }

        #[test]
        fn eight_characters_are_those(bytes: [u8; 5]) {
            let expected = BASE32.encode(&bytes).to_lowercase();
            prop_assert_eq!(&eight_characters(bytes)[..], expected.as_bytes());
        }
    }
}
