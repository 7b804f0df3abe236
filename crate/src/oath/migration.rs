//! `otpauth-migration://` URIs: Google Authenticator's "Transfer accounts", several accounts in a QR code.
//!
//! The parameter `data` is base64 of a protobuf message. There is no public document; what apps write is:
//!
//! ```text
//! MigrationPayload: 1 accounts (repeated message), 2 version, 3 batch size, 4 batch index (from 0), 5 batch id
//! an account:       1 secret (bytes), 2 name, 3 issuer, 4 algorithm (1 SHA1, 2 SHA256, 3 SHA512, 4 MD5),
//!                   5 digits (1 six, 2 eight), 6 type (1 HOTP, 2 TOTP), 7 counter
//! ```
//!
//! 0 or nothing is the default of each; the period is 30 seconds. More accounts than fit make a batch of codes.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use data_encoding::BASE64_NOPAD;
use zeroize::Zeroizing;

use super::protocol::DEFAULT_PERIOD;
use super::{Algorithm, DigitCount, IdError, Kind, OtpAuth};
use crate::secret::Secret;

/// How every such URI begins.
const PREFIX: &str = "otpauth-migration://offline?";
/// Longest URI that is read, in bytes. A QR code holds 2,953.
const MAX_URI: usize = 1 << 16;
/// Most parts of a batch. Apps put ten accounts in each.
const MAX_BATCH: u64 = 1000;

/// Why a text is no migration URI. No variant carries anything of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// Another scheme or host.
    #[error("not an otpauth-migration://offline URI")]
    Scheme,
    /// Longer than any such URI.
    #[error("the migration URI is over {MAX_URI} bytes long")]
    TooLong,
    /// No `data`.
    #[error("the migration URI has no data")]
    NoData,
    /// The data is no base64 (percent-encoded or not).
    #[error("the migration URI's data is not base64")]
    Base64,
    /// The data ends inside a field.
    #[error("the migration URI's data is cut off")]
    Truncated,
    /// The data is no protobuf message, or a field has another type than apps give it.
    #[error("the migration URI's data is malformed")]
    Malformed,
    /// Batch numbers that cannot be.
    #[error("the migration URI says it is part {index} of {size}")]
    Batch {
        /// The part, from 1.
        index: u64,
        /// How many parts there are.
        size: u64,
    },
}

/// Why an account of the payload cannot be on a card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationAccountError {
    /// No secret.
    #[error("it has no secret")]
    NoSecret,
    /// A hash that cards do not have.
    #[error("{0} is a hash that keys do not have")]
    Algorithm(&'static str),
    /// An unknown number in a field.
    #[error("its {field} has the unknown number {got}")]
    Unknown {
        /// What the field says.
        field: &'static str,
        /// The number.
        got: u64,
    },
    /// A counter that cards do not take.
    #[error("its counter is beyond 32 bits")]
    Counter,
    /// The name cannot be one.
    #[error(transparent)]
    Id(#[from] IdError),
}

/// One account of a payload, and what it is called even where it cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationAccount {
    /// The name as the app shows it, usually `Issuer:account`.
    pub name: String,
    /// The account.
    pub account: Result<OtpAuth, MigrationAccountError>,
}

/// What one migration URI says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The accounts in it, in the app's order.
    pub accounts: Vec<MigrationAccount>,
    /// The same number in all parts of a batch.
    pub batch: u64,
    /// Which part this is, from 0; less than `size`.
    pub index: u64,
    /// How many parts the batch has, at least 1.
    pub size: u64,
}

impl Migration {
    /// Whether `text` begins as such a URI does.
    #[must_use]
    pub fn is_uri(text: &str) -> bool {
        text.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
    }

    /// Reads a URI.
    ///
    /// # Errors
    /// [`MigrationError`]. An account that cannot be on a card is none: see [`MigrationAccount::account`].
    pub fn parse(uri: &str) -> Result<Self, MigrationError> {
        if uri.len() > MAX_URI {
            return Err(MigrationError::TooLong);
        }
        if !Self::is_uri(uri) {
            return Err(MigrationError::Scheme);
        }
        let query = uri.get(PREFIX.len()..).unwrap_or_default();
        let query = query.split_once('#').map_or(query, |(before, _)| before);
        let data =
            query.split('&').find_map(|pair| pair.strip_prefix("data=")).ok_or(MigrationError::NoData)?;
        Self::from_bytes(&base64(data).ok_or(MigrationError::Base64)?)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`MigrationError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MigrationError> {
        let mut payload = Self { accounts: Vec::new(), batch: 0, index: 0, size: 1 };
        let mut fields = Fields(bytes);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => payload.accounts.push(read_account(value.bytes()?)?),
                3 => payload.size = value.number()?.max(1),
                4 => payload.index = value.number()?,
                5 => payload.batch = value.number()?,
                _ => {}
            }
        }
        if payload.index >= payload.size || payload.size > MAX_BATCH {
            return Err(MigrationError::Batch { index: payload.index.saturating_add(1), size: payload.size });
        }
        Ok(payload)
    }
}

fn read_account(bytes: &[u8]) -> Result<MigrationAccount, MigrationError> {
    let (mut secret, mut name, mut issuer): (&[u8], _, _) = (&[], "", "");
    let (mut algorithm, mut digits, mut kind, mut counter) = (0, 0, 0, 0);
    let mut fields = Fields(bytes);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => secret = value.bytes()?,
            2 => name = value.text()?,
            3 => issuer = value.text()?,
            4 => algorithm = value.number()?,
            5 => digits = value.number()?,
            6 => kind = value.number()?,
            7 => counter = value.number()?,
            _ => {}
        }
    }
    // The issuer often stands in the name as well, as in an otpauth label.
    let issuer = issuer.trim();
    let (issuer, account) = match name.split_once(':').map(|(prefix, account)| (prefix.trim(), account)) {
        Some((prefix, account)) if !prefix.is_empty() && (issuer.is_empty() || prefix == issuer) => {
            (prefix, account.trim_start())
        }
        _ if issuer.is_empty() => (issuer, name),
        // As in a label, the account begins with no space.
        _ => (issuer, name.trim_start()),
    };
    let account = || -> Result<OtpAuth, MigrationAccountError> {
        use MigrationAccountError::{Algorithm as Hash, Counter, NoSecret, Unknown};
        let kind = match kind {
            0 | 2 => Kind::Totp,
            1 => Kind::Hotp,
            got => return Err(Unknown { field: "type", got }),
        };
        let read = OtpAuth {
            kind,
            issuer: (!issuer.is_empty()).then(|| issuer.to_string()),
            account: account.to_string(),
            secret: if secret.is_empty() { return Err(NoSecret) } else { Secret::new(secret.to_vec()) },
            algorithm: match algorithm {
                0 | 1 => Algorithm::Sha1,
                2 => Algorithm::Sha256,
                3 => Algorithm::Sha512,
                4 => return Err(Hash("MD5")),
                got => return Err(Unknown { field: "algorithm", got }),
            },
            digits: match digits {
                0 | 1 => DigitCount::SIX,
                2 => DigitCount::new(8).unwrap_or(DigitCount::SIX),
                got => return Err(Unknown { field: "number of digits", got }),
            },
            period: if kind == Kind::Totp { DEFAULT_PERIOD } else { 0 },
            counter: if kind == Kind::Hotp { counter.try_into().map_err(|_| Counter)? } else { 0 },
        };
        read.id()?;
        Ok(read)
    };
    Ok(MigrationAccount { name: name.to_string(), account: account() })
}

/// Base64 of the standard or the URL alphabet, padded or not, percent-encoded or not.
fn base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut symbols = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        symbols.push(match byte {
            b'%' => {
                let (pair, after) = rest.split_first_chunk::<2>()?;
                rest = after;
                match &pair.map(|digit| digit.to_ascii_uppercase()) {
                    b"2B" => b'+',
                    b"2F" => b'/',
                    b"3D" => b'=',
                    _ => return None,
                }
            }
            // A plus sign that went through a form's decoder.
            b'-' | b' ' => b'+',
            b'_' => b'/',
            byte => byte,
        });
    }
    while symbols.last() == Some(&b'=') {
        symbols.pop();
    }
    BASE64_NOPAD.decode(&symbols).ok().map(Zeroizing::new)
}

/// The fields of a protobuf message, of the wire types that there are (encoding document of Protocol Buffers).
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Fixed32 or fixed64: in no field that is read here.
    Fixed,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, MigrationError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(MigrationError::Malformed),
        };
        match tag >> 3 {
            0 => Err(MigrationError::Malformed),
            number => Ok(Some((number, value))),
        }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], MigrationError> {
        let length = usize::try_from(length).map_err(|_| MigrationError::Truncated)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(MigrationError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Groups of seven bits, the lowest first; at most ten.
    fn varint(&mut self) -> Result<u64, MigrationError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(MigrationError::Truncated)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(MigrationError::Malformed)
    }
}

impl<'a> Value<'a> {
    fn number(&self) -> Result<u64, MigrationError> {
        if let Self::Varint(number) = self { Ok(*number) } else { Err(MigrationError::Malformed) }
    }

    fn bytes(&self) -> Result<&'a [u8], MigrationError> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(MigrationError::Malformed) }
    }

    fn text(&self) -> Result<&'a str, MigrationError> {
        core::str::from_utf8(self.bytes()?).map_err(|_| MigrationError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An account's fields: `(number, value)`, short enough for lengths of one byte.
    fn account(bytes: &[(u8, &[u8])], numbers: &[(u8, u8)]) -> Vec<u8> {
        let mut message = Vec::new();
        for (number, value) in bytes {
            message.extend([number << 3 | 2, u8::try_from(value.len()).unwrap()]);
            message.extend(*value);
        }
        for (number, value) in numbers {
            message.extend([number << 3, *value]);
        }
        let mut payload = vec![0x0A, u8::try_from(message.len()).unwrap()];
        payload.extend(message);
        payload
    }

    #[test]
    fn accounts_of_every_kind() {
        #[track_caller]
        fn check(bytes: &[(u8, &[u8])], numbers: &[(u8, u8)], expected: &str) {
            let read = Migration::from_bytes(&account(bytes, numbers)).unwrap();
            let [MigrationAccount { account: Ok(account), .. }] = &read.accounts[..] else {
                panic!("{read:?}")
            };
            assert_eq!(account, &OtpAuth::parse(expected).unwrap());
        }
        check(
            &[(1, b"12345678901234567890"), (2, b"AWS:ann"), (3, b"AWS")],
            &[(4, 1), (5, 1), (6, 2)],
            "otpauth://totp/AWS:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        );
        check(&[(1, b"1"), (2, b"ann")], &[], "otpauth://totp/ann?secret=GE");
        check(&[(1, b"1"), (2, b"I: ann")], &[(9, 1)], "otpauth://totp/I:ann?secret=GE");
        check(&[(1, b"1"), (2, b"a:b"), (3, b"I")], &[], "otpauth://totp/I:a%3Ab?secret=GE");
        check(&[(1, b"1"), (2, b" ann"), (3, b" I")], &[], "otpauth://totp/I:ann?secret=GE");
        check(&[(1, b"1"), (2, b":ann")], &[], "otpauth://totp/%3Aann?secret=GE");
        check(
            &[(1, b"1"), (2, b"ann"), (3, b"I")],
            &[(4, 3), (5, 2), (6, 1), (7, 42)],
            "otpauth://hotp/I:ann?secret=GE&algorithm=SHA512&digits=8&counter=42",
        );
        check(&[(1, b"1"), (2, b"ann")], &[(4, 2)], "otpauth://totp/ann?secret=GE&algorithm=SHA256");
    }

    #[test]
    fn what_cannot_be_on_a_card_is_named() {
        #[track_caller]
        fn check(bytes: &[(u8, &[u8])], numbers: &[(u8, u8)], expected: MigrationAccountError) {
            let read = Migration::from_bytes(&account(bytes, numbers)).unwrap();
            assert_eq!(read.accounts[0].account, Err(expected));
        }
        use MigrationAccountError as E;
        let named: &[(u8, &[u8])] = &[(1, b"1"), (2, b"x")];
        check(&[(2, b"x")], &[], E::NoSecret);
        check(&[(1, b"1")], &[], E::Id(IdError::Empty));
        check(named, &[(4, 4)], E::Algorithm("MD5"));
        check(named, &[(4, 9)], E::Unknown { field: "algorithm", got: 9 });
        check(named, &[(5, 3)], E::Unknown { field: "number of digits", got: 3 });
        check(named, &[(6, 3)], E::Unknown { field: "type", got: 3 });
        check(&[(1, b"1"), (2, b"x"), (3, b"a:b")], &[], E::Id(IdError::ColonInIssuer));
        let message = b"\x0A\x01s\x12\x01x\x30\x01\x38\x80\x80\x80\x80\x10";
        let payload = [&[0x0A, u8::try_from(message.len()).unwrap()], &message[..]].concat();
        assert_eq!(Migration::from_bytes(&payload).unwrap().accounts[0].account, Err(E::Counter));
    }

    #[test]
    fn uris_of_the_wild() {
        // From the published descriptions of the format: "Hello!" and DE AD BE EF.
        let expected = "otpauth://totp/Example:alice@google.com?secret=JBSWY3DPEHPK3PXP";
        #[track_caller]
        fn check(data: &str, expected: &str) {
            let read = Migration::parse(&["otpauth-migration://offline?data=", data].concat()).unwrap();
            assert_eq!(read.accounts[0].account.as_ref(), Ok(&OtpAuth::parse(expected).unwrap()));
            assert_eq!((read.index, read.size), (0, 1));
        }
        let data = "CjEKCkhlbGxvId6tvu8SGEV4YW1wbGU6YWxpY2VAZ29vZ2xlLmNvbRoHRXhhbXBsZTAC";
        check(data, expected);
        check(&[data, "&x=y#z"].concat(), expected);
        // The same with every spelling of the last two symbols and the padding.
        let secret = [0xFF_u8, 0xFF, 0xF8, 0];
        let bytes = account(&[(1, &secret), (2, b"mee")], &[]);
        let encoded = data_encoding::BASE64.encode(&bytes);
        assert!(encoded.contains('+') && encoded.contains('/') && encoded.contains('='), "{encoded}");
        let expected = ["otpauth://totp/mee?secret=", &data_encoding::BASE32.encode(&secret)].concat();
        check(&encoded, &expected);
        check(&encoded.replace('+', " "), &expected);
        check(encoded.trim_end_matches('='), &expected);
        check(&encoded.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D"), &expected);
        check(&data_encoding::BASE64URL.encode(&bytes), &expected);
    }

    #[test]
    fn broken_uris_are_named() {
        #[track_caller]
        fn check(uri: &str, expected: MigrationError) {
            assert_eq!(Migration::parse(uri), Err(expected));
        }
        use MigrationError as E;
        check("otpauth://totp/x?secret=AA", E::Scheme);
        check("otpauth-migration://online?data=AA", E::Scheme);
        check("otpauth-migration://offline?x=AA", E::NoData);
        check("otpauth-migration://offline?data=%", E::Base64);
        check("otpauth-migration://offline?data=%41", E::Base64);
        check("otpauth-migration://offline?data=A", E::Base64);
        check("otpauth-migration://offline?data=Cg", E::Truncated);
        check("otpauth-migration://offline?data=CgE", E::Truncated);
        check(&("otpauth-migration://offline?data=".to_string() + &"A".repeat(MAX_URI)), E::TooLong);
        let parse = |bytes: &[u8]| Migration::from_bytes(bytes).unwrap_err();
        assert_eq!(parse(&[0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]), E::Truncated);
        assert_eq!(parse(&[0x80; 11]), E::Malformed);
        assert_eq!(parse(&[0x00, 0x00]), E::Malformed, "field 0");
        assert_eq!(parse(&[0x0B]), E::Malformed, "a group");
        assert_eq!(parse(&[0x08, 0x00]), E::Malformed, "an account that is a number");
        assert_eq!(parse(&[0x1A, 0x00]), E::Malformed, "a batch size that is bytes");
        assert_eq!(parse(&[0x0A, 0x03, 0x12, 0x01, 0xFF]), E::Malformed, "a name that is not UTF-8");
        assert_eq!(parse(&[0x18, 2, 0x20, 2]), E::Batch { index: 3, size: 2 });
        assert_eq!(parse(&[0x18, 0xFF, 0x7F]), E::Batch { index: 1, size: 16383 });
    }

    #[test]
    fn batches_announce_themselves() {
        // A negative id takes ten bytes.
        let bytes = [0x18, 3, 0x20, 2, 0x28, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1];
        let read = Migration::from_bytes(&bytes).unwrap();
        assert_eq!((read.index, read.size, read.batch), (2, 3, u64::MAX - 1));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Migration::from_bytes(&bytes);
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = Migration::parse(&text);
            let _ = Migration::parse(&[PREFIX, "data=", &text].concat());
        }

        #[test]
        fn what_is_cut_off_is_no_payload(
            secret in prop::collection::vec(any::<u8>(), 1..65),
            name in "[a-z:]{1,40}",
            cut in any::<prop::sample::Index>(),
        ) {
            let whole = account(&[(1, &secret), (2, name.as_bytes())], &[(6, 2)]);
            let read = Migration::from_bytes(&whole).unwrap();
            if let Ok(account) = &read.accounts[0].account {
                prop_assert_eq!(account.secret.expose(), &secret[..]);
            }
            let cut = cut.index(whole.len());
            prop_assert!(cut == 0 || Migration::from_bytes(&whole[..cut]).is_err());
        }
    }
}
