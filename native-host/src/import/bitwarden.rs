//! Bitwarden's JSON exports: plain, and protected by a password of their own.
//!
//! Protected (the security whitepaper's names): the key is PBKDF2-HMAC-SHA256(password, salt, iterations), or Argon2id
//! with SHA-256 of the salt; the salt is the text as it stands, not what it may encode. HKDF-Expand with `enc` and
//! `mac` makes the two keys of `2.IV|ciphertext|MAC`: AES-256-CBC, and HMAC-SHA256 over IV and ciphertext.
//! `encKeyValidation_DO_NOT_EDIT` is sealed with the same keys and only tells whether the password is right.

use keyfob_core::oath::{IdError, OtpAuth};
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::error::{EntryError, ImportError, Origin};
use super::open::{self, Excessive, Key};
use super::record::{Collector, Record, SecretText, parse, utf8};
use super::uri::{self, starts_with};
use super::{Ask, Imported, MAX_ENTRIES, password};

const APP: &str = "Bitwarden";
/// AES-256-CBC with HMAC-SHA256, among the kinds of encrypted text.
const CBC_HMAC: &str = "2.";
/// `kdfType` of PBKDF2, and of Argon2id.
const PBKDF2: u64 = 0;
const ARGON2ID: u64 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Export<'a> {
    #[serde(default)]
    encrypted: bool,
    #[serde(default)]
    password_protected: bool,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Protected {
    salt: String,
    kdf_type: u64,
    kdf_iterations: u64,
    /// MiB.
    kdf_memory: Option<u64>,
    kdf_parallelism: Option<u64>,
    #[serde(rename = "encKeyValidation_DO_NOT_EDIT")]
    validation: String,
    data: String,
}

#[derive(Deserialize)]
struct Item {
    name: Option<String>,
    login: Option<Login>,
}

#[derive(Deserialize)]
struct Login {
    username: Option<String>,
    totp: Option<SecretText>,
}

pub(super) fn read(text: &str, ask: &mut Ask<'_>) -> Result<Vec<Imported>, ImportError> {
    let export: Export<'_> = parse(APP, text)?;
    match export {
        Export { encrypted: false, items, .. } => read_items(&items.unwrap_or_default()),
        Export { password_protected: false, .. } => Err(ImportError::AccountRestricted),
        Export { .. } => {
            let opened = parse::<Protected>(APP, text)?.open(ask)?;
            let export: Export<'_> = parse(APP, utf8(APP, &opened)?)?;
            read_items(&export.items.unwrap_or_default())
        }
    }
}

impl Protected {
    fn open(&self, ask: &mut Ask<'_>) -> Result<Zeroizing<Vec<u8>>, ImportError> {
        let sealed = Sealed::parse(&self.data)?;
        let validation = Sealed::parse(&self.validation)?;
        let (password, salt) = (password(APP, ask)?, self.salt.as_bytes());
        let key = match self.kdf_type {
            PBKDF2 => open::pbkdf2_sha256(password.expose(), salt, self.kdf_iterations),
            ARGON2ID => self
                .kdf_memory
                .and_then(|mebibytes| mebibytes.checked_mul(1024))
                .zip(self.kdf_parallelism)
                .ok_or(Excessive)
                .and_then(|(memory, lanes)| {
                    let salt = open::sha256(salt);
                    open::argon2id(password.expose(), &*salt, memory, self.kdf_iterations, lanes)
                }),
            _ => return Err(damaged("its key derivation is unknown")),
        };
        let key = key.map_err(|Excessive| ImportError::ExcessiveWork(APP))?;
        let keys = [open::hkdf_expand(&key, b"enc"), open::hkdf_expand(&key, b"mac")];
        validation.open(&keys).ok_or(ImportError::WrongPassword(APP))?;
        sealed.open(&keys).ok_or_else(|| damaged("its content is not what was encrypted"))
    }
}

/// IV, ciphertext, MAC.
struct Sealed([Vec<u8>; 3]);

impl Sealed {
    fn parse(text: &str) -> Result<Self, ImportError> {
        let parts = text.strip_prefix(CBC_HMAC).ok_or_else(|| damaged("its encryption is unknown"))?;
        let parts = parts.split('|').map(open::base64).collect::<Option<Vec<_>>>();
        let parts = parts.and_then(|parts| parts.try_into().ok());
        parts.map(Self).ok_or_else(|| damaged("its encrypted text is malformed"))
    }

    fn open(&self, [encryption, authentication]: &[Key; 2]) -> Option<Zeroizing<Vec<u8>>> {
        let Self([iv, ciphertext, mac]) = self;
        open::aes_cbc_hmac(encryption, authentication, iv, ciphertext, mac)
    }
}

fn read_items(items: &[&RawValue]) -> Result<Vec<Imported>, ImportError> {
    if items.len() > MAX_ENTRIES {
        return Err(ImportError::TooMany);
    }
    let mut collector = Collector::default();
    for (raw, number) in items.iter().zip(1..) {
        let origin = Origin::Entry(number);
        let Ok(item) = serde_json::from_str::<Item>(raw.get()) else {
            collector.push(origin, String::new, Err(EntryError::Malformed));
            continue;
        };
        // Notes, cards and logins without a second factor.
        let Some((totp, username)) = item.login.and_then(|login| Some((login.totp?, login.username))) else {
            continue;
        };
        if totp.0.trim().is_empty() {
            continue;
        }
        let record = Record {
            issuer: item.name.unwrap_or_default(),
            account: username.unwrap_or_default(),
            ..Record::default()
        };
        collector.push(origin, || record.name(), account(&record, totp));
    }
    collector.finish()
}

/// `login.totp`: a secret, an `otpauth` URI, or `steam://` and a secret.
fn account(named: &Record, totp: SecretText) -> Result<(OtpAuth, bool), EntryError> {
    let text = totp.0.trim();
    let from_secret = |kind: &str, secret: &str| {
        Record {
            kind: Some(kind.to_owned()),
            issuer: named.issuer.clone(),
            account: named.account.clone(),
            secret: Some(SecretText(Zeroizing::new(secret.to_owned()))),
            ..Record::default()
        }
        .account()
    };
    if starts_with(text, "steam://") {
        return from_secret("steam", text.get("steam://".len()..).unwrap_or_default());
    }
    if !text.contains("://") {
        return from_secret("totp", text);
    }
    match uri::account(text) {
        // A label may be missing, for Bitwarden has names of its own.
        Err(EntryError::Id(IdError::Empty)) => uri::account(&labelled(text, &named.name())),
        read => read,
    }
}

/// The URI with the label `name`, every byte of which is percent-encoded.
fn labelled(uri: &str, name: &str) -> Zeroizing<String> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let kind = path.split('/').nth(2).unwrap_or_default();
    let label: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    Zeroizing::new(format!("otpauth://{kind}/{label}?{query}"))
}

fn damaged(what: &'static str) -> ImportError {
    ImportError::Damaged { format: APP, what }
}
