//! andOTP's backups: a JSON list, and the same encrypted, without any mark of their own.
//!
//! ```text
//! since 0.6.3:  rounds (4, big-endian) | salt (12) | nonce (12) | AES-256-GCM ciphertext | tag (16)
//!               key = PBKDF2-HMAC-SHA1(password, salt, rounds)
//! before:       nonce (12) | AES-256-GCM ciphertext | tag (16)
//!               key = SHA-256(password)
//! ```

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::ImportError;
use super::open;
use super::record::{Record, SecretText, parse, read_list, utf8};
use super::{Ask, Imported, password};

const APP: &str = "andOTP";
/// Bytes of a salt and of a nonce.
const TWELVE: usize = 12;
/// Most rounds that the app has written, several times over. More, and the file is not of the new format.
const MAX_ROUNDS: u64 = 1_000_000;

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: Option<String>,
    issuer: Option<String>,
    label: Option<String>,
    secret: Option<SecretText>,
    algorithm: Option<String>,
    digits: Option<u64>,
    period: Option<u64>,
    counter: Option<u64>,
}

pub(super) fn read(text: &str) -> Result<Vec<Imported>, ImportError> {
    let entries: Vec<&RawValue> = parse(APP, text)?;
    read_list(&entries, |entry: Entry| {
        let label = entry.label.unwrap_or_default();
        // Before there was a field for it, the issuer stood in the label.
        let (issuer, account) = match (entry.issuer, label.split_once(" - ")) {
            (Some(issuer), _) => (issuer, label),
            (None, Some((issuer, account))) => (issuer.to_owned(), account.to_owned()),
            (None, None) => (String::new(), label),
        };
        Some(Record {
            kind: entry.kind,
            issuer,
            account,
            secret: entry.secret,
            algorithm: entry.algorithm,
            digits: entry.digits,
            period: entry.period,
            counter: entry.counter,
        })
    })
}

/// Opens an encrypted backup; tries the new format, then the old one.
pub(super) fn open(bytes: &[u8], ask: &mut Ask<'_>) -> Result<Vec<Imported>, ImportError> {
    // Nonce, tag, and the shortest list.
    if bytes.len() < TWELVE + 16 + 2 {
        return Err(ImportError::UnknownFormat);
    }
    let password = password(APP, ask)?;
    let new = || {
        let (rounds, rest) = bytes.split_first_chunk::<4>()?;
        let (salt, rest) = rest.split_first_chunk::<TWELVE>()?;
        let (nonce, sealed) = rest.split_first_chunk::<TWELVE>()?;
        let rounds = Some(u64::from(u32::from_be_bytes(*rounds))).filter(|&rounds| rounds <= MAX_ROUNDS)?;
        let key = open::pbkdf2_sha1(password.expose(), salt, rounds).ok()?;
        open::aes_gcm(&key, nonce, sealed)
    };
    let old = || {
        let (nonce, sealed) = bytes.split_first_chunk::<TWELVE>()?;
        open::aes_gcm(&open::sha256(password.expose()), nonce, sealed)
    };
    let opened = new().or_else(old).ok_or(ImportError::WrongPassword(APP))?;
    read(utf8(APP, &opened)?)
}
