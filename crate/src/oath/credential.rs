//! Credential ids: what stands in them, and the rules that made them.

use alloc::borrow::Cow;
use alloc::string::{String, ToString as _};
use core::fmt;

use sha2::{Digest as _, Sha256};

use super::base32;
use super::protocol::{DEFAULT_PERIOD, MAX_ID};

/// What moves the code. The high nibble of YKOATH's type byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A counter on the card (RFC 4226).
    Hotp = 0x10,
    /// Time (RFC 6238).
    Totp = 0x20,
}

/// The hash under the HMAC. The low nibble of YKOATH's type byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Algorithm {
    /// HMAC-SHA1: 20-byte responses.
    Sha1 = 0x01,
    /// HMAC-SHA256: 32-byte responses.
    Sha256 = 0x02,
    /// HMAC-SHA512: 64-byte responses (firmware 4.3.1).
    Sha512 = 0x03,
}

impl Kind {
    /// Reads the high nibble of a type byte.
    #[must_use]
    pub fn from_type_byte(byte: u8) -> Option<Self> {
        match byte & 0xF0 {
            0x10 => Some(Self::Hotp),
            0x20 => Some(Self::Totp),
            _ => None,
        }
    }
}

impl Algorithm {
    /// Reads the low nibble of a type byte.
    #[must_use]
    pub fn from_type_byte(byte: u8) -> Option<Self> {
        match byte & 0x0F {
            0x01 => Some(Self::Sha1),
            0x02 => Some(Self::Sha256),
            0x03 => Some(Self::Sha512),
            _ => None,
        }
    }

    /// Block length of the hash in bytes: longer keys are hashed first (RFC 2104).
    #[must_use]
    pub fn block_len(self) -> usize {
        match self {
            Self::Sha1 | Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    /// Name in an `otpauth` URI.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }
}

/// Why bytes cannot be a credential id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// There is no account name.
    #[error("the account's name is empty")]
    Empty,
    /// More bytes than the card keeps.
    #[error("the account's name has {0} bytes; a key keeps {MAX_ID}")]
    TooLong(usize),
    /// A colon in the issuer would end it early.
    #[error("the issuer contains a colon")]
    ColonInIssuer,
    /// TOTP with a period of 0 seconds.
    #[error("the period is 0 seconds")]
    ZeroPeriod,
}

/// A credential id, 1 to 64 bytes: `[PERIOD/][ISSUER:]ACCOUNT`.
///
/// The period stands there when it is not 30 seconds, and for TOTP only. Cards keep bytes; nothing promises
/// that they are UTF-8.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CredentialId(Vec<u8>);

/// What stands in a [`CredentialId`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameParts<'a> {
    /// Issuer, if there is one.
    pub issuer: Option<Cow<'a, str>>,
    /// Account name.
    pub account: Cow<'a, str>,
    /// Seconds; 0 for HOTP.
    pub period: u32,
}

impl CredentialId {
    /// Composes the id of an account, shortened to 64 bytes if it must be (see [`CredentialId::for_name`]).
    ///
    /// # Errors
    /// [`IdError::Empty`], [`IdError::ColonInIssuer`], [`IdError::ZeroPeriod`].
    pub fn new(kind: Kind, period: u32, issuer: Option<&str>, account: &str) -> Result<Self, IdError> {
        // By itself "Steam:" would be an issuer and nothing after it, wherever it is read.
        let ends_in_colon = |account: &str| {
            account
                .split_once(':')
                .is_some_and(|(issuer, rest)| !issuer.trim().is_empty() && rest.trim().is_empty())
        };
        let has_issuer = issuer.is_some_and(|issuer| !issuer.is_empty());
        if account.is_empty() || !has_issuer && ends_in_colon(account) {
            return Err(IdError::Empty);
        }
        match issuer {
            Some(issuer) if issuer.contains(':') => Err(IdError::ColonInIssuer),
            Some(issuer) if !issuer.is_empty() => {
                Self::for_name(kind, period, &[issuer, ":", account].concat())
            }
            _ => Self::for_name(kind, period, account),
        }
    }

    /// The id of the account with the full name `ISSUER:ACCOUNT` (or `ACCOUNT`).
    ///
    /// A name that does not fit is cut to a prefix, `~`, and the first eight base32 characters (lower case) of
    /// the SHA-256 of the full name: the same name always gives the same id, so it is found again.
    ///
    /// # Errors
    /// [`IdError::Empty`], [`IdError::ZeroPeriod`].
    pub fn for_name(kind: Kind, period: u32, name: &str) -> Result<Self, IdError> {
        if name.is_empty() {
            return Err(IdError::Empty);
        }
        let mut id = match kind {
            Kind::Totp if period == 0 => return Err(IdError::ZeroPeriod),
            // A name that looks like one with a period would be read as that without one of its own.
            Kind::Totp if period != DEFAULT_PERIOD || split_period(Cow::Borrowed(name)).1 != name => {
                period.to_string() + "/"
            }
            _ => String::new(),
        };
        let room = MAX_ID.saturating_sub(id.len());
        if name.len() <= room {
            id.push_str(name);
        } else {
            let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
            let hash = base32::eight_characters(digest.first_chunk().copied().unwrap_or_default());
            let cut = (0..=room.saturating_sub(1 + hash.len())).rev().find(|&i| name.is_char_boundary(i));
            id.push_str(name.get(..cut.unwrap_or(0)).unwrap_or_default());
            id.push('~');
            id.extend(hash.map(char::from));
        }
        Self::from_bytes(id.as_bytes())
    }

    /// Takes the bytes of an id as a card gives them.
    ///
    /// # Errors
    /// [`IdError::Empty`], [`IdError::TooLong`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
        match bytes.len() {
            0 => Err(IdError::Empty),
            1..=MAX_ID => Ok(Self(bytes.to_vec())),
            n => Err(IdError::TooLong(n)),
        }
    }

    /// The bytes, as the card keeps them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes the id apart, as Yubico's clients do. Bytes that are not UTF-8 show as U+FFFD.
    #[must_use]
    pub fn parts(&self, kind: Kind) -> NameParts<'_> {
        let text = String::from_utf8_lossy(&self.0);
        let (period, name) = match kind {
            Kind::Hotp => (0, text),
            Kind::Totp => split_period(text),
        };
        match name.split_once(':') {
            Some((issuer, account)) if !issuer.is_empty() && !account.is_empty() => NameParts {
                issuer: Some(Cow::Owned(issuer.to_string())),
                account: Cow::Owned(account.to_string()),
                period,
            },
            _ => NameParts { issuer: None, account: name, period },
        }
    }

    /// Full name: the id without the period.
    #[must_use]
    pub fn name(&self, kind: Kind) -> String {
        let parts = self.parts(kind);
        match parts.issuer {
            Some(issuer) => [&issuer, ":", &parts.account].concat(),
            None => parts.account.into_owned(),
        }
    }

    /// Whether the account with this full name would have this id: also when the name had to be cut.
    #[must_use]
    pub fn is_named(&self, kind: Kind, name: &str) -> bool {
        self.name(kind) == name
            || Self::for_name(kind, self.parts(kind).period.max(1), name).is_ok_and(|id| id == *self)
    }
}

/// Splits `60/rest`. What is no usable period (0, too many digits, nothing after it) belongs to the name.
fn split_period(text: Cow<'_, str>) -> (u32, Cow<'_, str>) {
    let split = text.split_once('/').and_then(|(digits, rest)| {
        let plain = !rest.is_empty() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let period = plain.then(|| digits.parse::<u32>().ok()).flatten().filter(|&p| p > 0)?;
        Some((period, rest.to_string()))
    });
    match split {
        Some((period, rest)) => (period, Cow::Owned(rest)),
        None => (DEFAULT_PERIOD, text),
    }
}

impl fmt::Debug for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialId({:?})", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_composed_and_taken_apart() {
        #[track_caller]
        fn check(kind: Kind, period: u32, issuer: Option<&str>, account: &str, expected: &str) {
            let id = CredentialId::new(kind, period, issuer, account).unwrap();
            assert_eq!(id.as_bytes(), expected.as_bytes());
            let parts = id.parts(kind);
            assert_eq!((parts.issuer.as_deref(), &*parts.account, parts.period), (issuer, account, period));
        }
        check(Kind::Totp, 30, Some("Issuer"), "me", "Issuer:me");
        check(Kind::Totp, 60, Some("Issuer"), "me", "60/Issuer:me");
        check(Kind::Totp, 30, None, "me", "me");
        check(Kind::Totp, 30, None, "60/me", "30/60/me");
        check(Kind::Totp, 30, Some("60/I"), "me", "30/60/I:me");
        check(Kind::Totp, 30, Some("I"), "a:b", "I:a:b");
        check(Kind::Totp, 30, Some("I"), "a/b", "I:a/b");
        check(Kind::Hotp, 0, Some("60/I"), "me", "60/I:me");
        check(Kind::Hotp, 0, None, "ü", "ü");
    }

    #[test]
    fn odd_ids_are_read_without_panic() {
        #[track_caller]
        fn check(bytes: &[u8], expected: (Option<&str>, &str, u32)) {
            let id = CredentialId::from_bytes(bytes).unwrap();
            let parts = id.parts(Kind::Totp);
            assert_eq!((parts.issuer.as_deref(), &*parts.account, parts.period), expected);
        }
        check(b"0/me", (None, "0/me", 30));
        check(b"/me", (None, "/me", 30));
        check(b"60/", (None, "60/", 30));
        check(b"99999999999/me", (None, "99999999999/me", 30));
        check(b"+6/me", (None, "+6/me", 30));
        check(b":me", (None, ":me", 30));
        check(b"me:", (None, "me:", 30));
        check(b"\xFF:x", (Some("\u{FFFD}"), "x", 30));
    }

    #[test]
    fn what_cannot_be_an_id_is_refused() {
        assert_eq!(CredentialId::new(Kind::Totp, 30, None, ""), Err(IdError::Empty));
        assert_eq!(CredentialId::new(Kind::Totp, 30, None, "Steam: "), Err(IdError::Empty));
        assert!(CredentialId::new(Kind::Totp, 30, None, ":x").is_ok());
        assert_eq!(CredentialId::new(Kind::Totp, 0, None, "x"), Err(IdError::ZeroPeriod));
        assert_eq!(CredentialId::new(Kind::Totp, 30, Some("a:b"), "x"), Err(IdError::ColonInIssuer));
        assert_eq!(CredentialId::from_bytes(&[b'x'; 65]), Err(IdError::TooLong(65)));
    }

    #[test]
    fn long_names_are_cut_and_still_found() {
        #[track_caller]
        fn check(period: u32, name: &str) {
            let id = CredentialId::for_name(Kind::Totp, period, name).unwrap();
            assert!(id.as_bytes().len() <= MAX_ID);
            assert!(core::str::from_utf8(id.as_bytes()).is_ok(), "cut inside a character");
            assert!(id.is_named(Kind::Totp, name), "{name}");
            assert!(!id.is_named(Kind::Totp, &name[1..]));
        }
        check(30, "Amazon Web Services:root-account-mfa-device@123456789012");
        let long = format!("Amazon Web Services:{}@123456789012", "device".repeat(20));
        check(30, &long);
        check(60, &long);
        check(30, &format!("a{}", "ü".repeat(40)));
        let other = CredentialId::for_name(Kind::Totp, 30, &(long.clone() + "x")).unwrap();
        assert_ne!(other, CredentialId::for_name(Kind::Totp, 30, &long).unwrap());
    }
}
