//! What can be wrong with a file, and where. No text here repeats anything of a file but names and numbers.

use std::fmt;

use keyfob_core::oath::{IdError, MigrationAccountError, MigrationError, OtpAuthError};

/// Where an account stood in its file. Numbers begin at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A line of a text.
    Line(usize),
    /// An account of the migration URI in a line.
    LineAccount(usize, usize),
    /// An entry of an app's list.
    Entry(usize),
    /// A QR code, counted from the top of the picture.
    QrCode(usize),
    /// An account of the migration URI in a QR code.
    QrCodeAccount(usize, usize),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::LineAccount(line, account) => write!(f, "line {line}, account {account}"),
            Self::Entry(entry) => write!(f, "entry {entry}"),
            Self::QrCode(code) => write!(f, "QR code {code}"),
            Self::QrCodeAccount(code, account) => write!(f, "QR code {code}, account {account}"),
        }
    }
}

/// Why a file gives no accounts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Over [`MAX_FILE`](super::MAX_FILE) bytes.
    #[error("the file is over {} MiB large", super::MAX_FILE >> 20)]
    TooLarge,
    /// More entries than anybody has.
    #[error("the file has more entries than can be accounts")]
    TooMany,
    /// Nothing that is known.
    #[error(
        "not an export that Keyfob knows: otpauth URIs, Google Authenticator's QR codes (PNG, JPEG), Aegis, \
         andOTP, 2FAS or Bitwarden (JSON)"
    )]
    UnknownFormat,
    /// A text in Windows' two-byte encoding.
    #[error("the file is text in UTF-16: save it as UTF-8")]
    Utf16,
    /// No account in it.
    #[error("there is no account in the file")]
    Empty,
    /// Broken JSON, or JSON in which something is not what the app writes.
    #[error("the {format} file is broken at line {line}, column {column}")]
    Json {
        /// Which app's.
        format: &'static str,
        /// Line of the (decrypted) text, from 1.
        line: usize,
        /// Column, in bytes from 1.
        column: usize,
    },
    /// Another version of the format.
    #[error("the {format} file has version {got}, which Keyfob does not know")]
    Version {
        /// Which app's.
        format: &'static str,
        /// The version.
        got: u64,
    },
    /// Entries that cannot be read, or that no key can hold.
    #[error(transparent)]
    Entries(Problems),
    /// No password was given.
    #[error("the {0} file is encrypted, and no password was given")]
    NoPassword(&'static str),
    /// The password does not open the file.
    #[error("wrong password for the {0} file, or the file is damaged")]
    WrongPassword(&'static str),
    /// The file contradicts itself.
    #[error("the {format} file is damaged: {what}")]
    Damaged {
        /// Which app's.
        format: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// The file asks for more work than any that the app writes.
    #[error("the {0} file asks for more work than the app itself does: it is damaged, or a trap")]
    ExcessiveWork(&'static str),
    /// Opened by the app's own key only.
    #[error(
        "this Bitwarden export is restricted to its account: export again as \"password protected\", or as plain JSON"
    )]
    AccountRestricted,
    /// A vault that only the phone's fingerprint opens.
    #[error("no password opens this Aegis vault: set one in the app, and export again")]
    NoPasswordSlot,
    /// Parts of a batch are not there.
    #[error("Google Authenticator made {size} QR codes, and {} of them are missing: {}", missing.len(), list(missing))]
    MissingParts {
        /// Which ones, from 1.
        missing: Vec<u64>,
        /// How many there are.
        size: u64,
    },
    /// Two accounts of one name, and different secrets.
    #[error(
        "{first} and {second} are both {name:?} and not the same: a key holds one of a name, rename the other"
    )]
    SameName {
        /// The name they would have on the key.
        name: String,
        /// The first.
        first: Origin,
        /// The other, perhaps of another file.
        second: Origin,
    },
    /// A broken picture, or one in which no decoder finds its way.
    #[error("the picture cannot be read: {0}")]
    Picture(&'static str),
    /// A picture of too many pixels.
    #[error("the picture has over 64 megapixels: cut out the QR codes")]
    PictureSize,
    /// No QR code in the picture.
    #[error("there is no QR code in the picture: take it from nearer, flat and in focus")]
    NoQrCode,
    /// QR codes that cannot be read.
    #[error("{0} of the QR codes in the picture cannot be read: take each by itself, flat and in focus")]
    UnreadableQrCode(usize),
    /// This build has no picture reader.
    #[error("this build of Keyfob reads no pictures (feature `qr`)")]
    NoPictures,
}

/// What is wrong with one entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// A broken URI.
    #[error(transparent)]
    OtpAuth(OtpAuthError),
    /// A broken migration URI.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// An account of a migration URI.
    #[error(transparent)]
    MigrationAccount(#[from] MigrationAccountError),
    /// Something else among the URIs.
    #[error("not an otpauth:// URI")]
    NoUri,
    /// Not what the app writes there.
    #[error("not as the app writes it")]
    Malformed,
    /// No secret.
    #[error("it has no secret")]
    NoSecret,
    /// The secret is not base32.
    #[error("its secret is not base32")]
    Secret,
    /// Codes of a kind that keys do not calculate.
    #[error("{0} codes cannot be calculated by a key")]
    Kind(&'static str),
    /// An unknown kind.
    #[error("neither TOTP, HOTP nor Steam")]
    UnknownKind,
    /// A hash that keys do not have.
    #[error("{0} is a hash that keys do not have: SHA1, SHA256 and SHA512 are possible")]
    Algorithm(&'static str),
    /// An unknown hash.
    #[error("its hash is neither SHA1, SHA256 nor SHA512")]
    UnknownAlgorithm,
    /// Codes of a length that keys do not have.
    #[error("codes of {0} digits: 6 to 8 are possible")]
    Digits(u64),
    /// A period that cannot be one.
    #[error("its period is out of range")]
    Period,
    /// A counter that keys do not take.
    #[error("its counter is missing or beyond 32 bits")]
    Counter,
    /// The name cannot be one.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl From<OtpAuthError> for EntryError {
    /// Without the text that could not be understood: in a broken URI it may be the secret.
    fn from(error: OtpAuthError) -> Self {
        match error {
            OtpAuthError::Kind(_) => Self::UnknownKind,
            OtpAuthError::Algorithm(name) => Self::algorithm(&name),
            OtpAuthError::NoSecret => Self::NoSecret,
            OtpAuthError::Secret => Self::Secret,
            OtpAuthError::Id(error) => Self::Id(error),
            error => Self::OtpAuth(error),
        }
    }
}

impl EntryError {
    /// For a hash that is not one of the three.
    pub(super) fn algorithm(name: &str) -> Self {
        ["MD5", "SHA224", "SHA384"]
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(name))
            .map_or(Self::UnknownAlgorithm, Self::Algorithm)
    }
}

/// An entry that keeps the file from being imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// What it is called, as far as that is known; printable.
    pub name: String,
    /// What is wrong.
    pub error: EntryError,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "{}: {}", self.origin, self.error),
            name => write!(f, "{} ({name}): {}", self.origin, self.error),
        }
    }
}

/// All entries that keep a file from being imported; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// How many are written out.
    const SHOWN: usize = 20;
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().take(Self::SHOWN).enumerate() {
            write!(f, "{}{problem}", if i == 0 { "" } else { "\n" })?;
        }
        match self.0.len().saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

/// A name from a file as a terminal may show it: at most 64 characters, none of them a control character.
pub(super) fn printable(name: &str) -> String {
    name.chars()
        .take(64)
        .map(|c| if c.is_control() || ('\u{202A}'..='\u{202E}').contains(&c) { '\u{FFFD}' } else { c })
        .collect()
}

fn list(numbers: &[u64]) -> String {
    numbers.iter().take(20).map(u64::to_string).collect::<Vec<_>>().join(", ")
}
