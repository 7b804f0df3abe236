//! Accounts from other apps: what they export, recognised by what is in the file.
//!
//! ```text
//!   picture ─ qr ─┐
//!                 ├─► uri ──────────────────────────────┐
//!   text ─────────┘                                     ├─► OtpAuth ─► Import::finish
//!   JSON ─► aegis, andotp, bitwarden, twofas ─► Record ─┘
//!            └─ open (encrypted ones)
//! ```
//!
//! All or nothing: a file with one entry that cannot be read, or that no key can hold, gives an error that names
//! it, and no account. What a file asks for (memory, rounds, pixels) is bounded. `docs/import.md` lists the formats.

mod aegis;
mod andotp;
mod bitwarden;
mod error;
mod open;
#[cfg(feature = "qr")]
mod qr;
mod record;
mod twofas;
mod uri;

use std::collections::{BTreeMap, BTreeSet};

use keyfob_core::oath::{CredentialId, OtpAuth};
use keyfob_core::secret::Secret;
use serde::Deserialize;
use serde_json::value::RawValue;

pub use error::{EntryError, ImportError, Origin, Problem, Problems};

/// Largest file that is read, in bytes. Every icon of an app's export is in it.
pub const MAX_FILE: usize = 16 << 20;
/// Most entries of a file.
const MAX_ENTRIES: usize = 100_000;

/// Asks for the password that the text names. `None` when there is nobody to ask, or they give none.
pub type Ask<'a> = dyn FnMut(&str) -> Option<Secret> + 'a;

/// An account of another app, ready to be put on a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// What is put on the key. Its name on the key can be made: [`OtpAuth::id`] gives no error.
    pub account: OtpAuth,
    /// Where it stood.
    pub origin: Origin,
    /// Whether its codes are Steam's five characters; the issuer is `Steam` then, by which clients know.
    pub steam: bool,
}

/// Reads one file. See [`Import`] for batches of Google Authenticator over several files.
///
/// # Errors
/// [`ImportError`].
pub fn read(bytes: &[u8], ask: &mut Ask<'_>) -> Result<Vec<Imported>, ImportError> {
    let mut import = Import::new();
    import.add(bytes, ask)?;
    import.finish()
}

/// Reads several files as one.
#[derive(Debug, Default)]
pub struct Import {
    accounts: Vec<Imported>,
    batches: Batches,
}

/// Parts of Google Authenticator's batches: by the batch's number, how many there are and which are here.
#[derive(Debug, Default)]
struct Batches(BTreeMap<u64, (u64, BTreeSet<u64>)>);

impl Batches {
    /// Whether this part is a new one.
    fn add(&mut self, batch: u64, size: u64, index: u64) -> bool {
        let (known, parts) = self.0.entry(batch).or_default();
        *known = size.max(*known);
        parts.insert(index)
    }

    /// What is missing of the first batch that is not whole.
    fn check(&self) -> Result<(), ImportError> {
        for (size, parts) in self.0.values() {
            let missing: Vec<u64> =
                (0..*size).filter(|index| !parts.contains(index)).map(|index| index + 1).collect();
            if !missing.is_empty() {
                return Err(ImportError::MissingParts { missing, size: *size });
            }
        }
        Ok(())
    }
}

impl Import {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a file. On an error, nothing of it is taken.
    ///
    /// # Errors
    /// [`ImportError`], about this file.
    pub fn add(&mut self, bytes: &[u8], ask: &mut Ask<'_>) -> Result<(), ImportError> {
        if bytes.len() > MAX_FILE {
            return Err(ImportError::TooLarge);
        }
        let accounts = match Content::of(bytes)? {
            Content::Picture => {
                #[cfg(feature = "qr")]
                {
                    uri::from_codes(&qr::read(bytes)?, &mut self.batches)?
                }
                #[cfg(not(feature = "qr"))]
                return Err(ImportError::NoPictures);
            }
            Content::Text(text) => uri::from_lines(text, &mut self.batches)?,
            Content::Json(text) => read_json(text, ask)?,
            Content::Binary => andotp::open(bytes, ask)?,
        };
        if accounts.is_empty() {
            return Err(ImportError::Empty);
        }
        self.accounts.extend(accounts);
        Ok(())
    }

    /// The accounts of all files, in order; what stands there twice, once.
    ///
    /// # Errors
    /// [`ImportError::MissingParts`], [`ImportError::SameName`].
    pub fn finish(self) -> Result<Vec<Imported>, ImportError> {
        self.batches.check()?;
        let mut seen: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        let mut accounts: Vec<Imported> = Vec::with_capacity(self.accounts.len());
        for imported in self.accounts {
            let id = imported.account.id().as_ref().map(CredentialId::as_bytes).unwrap_or_default().to_vec();
            match seen.get(&id).and_then(|&index| accounts.get(index)) {
                Some(other) if other.account == imported.account => {}
                Some(other) => {
                    return Err(ImportError::SameName {
                        name: error::printable(&String::from_utf8_lossy(&id)),
                        first: other.origin,
                        second: imported.origin,
                    });
                }
                None => {
                    seen.insert(id, accounts.len());
                    accounts.push(imported);
                }
            }
        }
        Ok(accounts)
    }
}

/// What a file is, at first sight.
enum Content<'a> {
    Picture,
    Json(&'a str),
    Text(&'a str),
    /// Neither: andOTP's encrypted backups have no mark of their own.
    Binary,
}

impl<'a> Content<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, ImportError> {
        const PICTURES: [&[u8]; 2] = [b"\x89PNG\r\n\x1A\n", b"\xFF\xD8\xFF"];
        // What people take for an export: other pictures, archives, documents, databases, encrypted files.
        const OTHERS: [&[u8]; 13] = [
            b"GIF8",
            b"RIFF",
            b"BM",
            b"PK\x03\x04",
            b"\x1F\x8B",
            b"7z\xBC\xAF",
            b"%PDF",
            b"SQLite format",
            b"II*\0",
            b"MM\0*",
            b"age-encryption.org",
            b"\0\0\0\x18ftyp",
            b"\0\0\0\x1Cftyp",
        ];
        if PICTURES.iter().any(|start| bytes.starts_with(start)) {
            return Ok(Self::Picture);
        }
        if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
            return Err(ImportError::Utf16);
        }
        if bytes.is_empty() || OTHERS.iter().any(|start| bytes.starts_with(start)) {
            return Err(ImportError::UnknownFormat);
        }
        let Ok(text) = std::str::from_utf8(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)) else {
            return Ok(Self::Binary);
        };
        Ok(if text.trim_start().starts_with(['{', '[']) { Self::Json(text) } else { Self::Text(text) })
    }
}

/// The members by which exports are told apart.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow)]
    header: Option<&'a RawValue>,
    db: Option<&'a RawValue>,
    services: Option<&'a RawValue>,
    #[serde(rename = "servicesEncrypted")]
    services_encrypted: Option<&'a RawValue>,
    encrypted: Option<&'a RawValue>,
    items: Option<&'a RawValue>,
}

fn read_json(text: &str, ask: &mut Ask<'_>) -> Result<Vec<Imported>, ImportError> {
    if text.trim_start().starts_with('[') {
        return andotp::read(text);
    }
    let probe: Probe<'_> = record::parse("JSON", text)?;
    match probe {
        Probe { header: Some(_), db: Some(_), .. } => aegis::read(text, ask),
        Probe { services: Some(_), .. } | Probe { services_encrypted: Some(_), .. } => {
            twofas::read(text, ask)
        }
        Probe { encrypted: Some(_), .. } | Probe { items: Some(_), .. } => bitwarden::read(text, ask),
        _ => Err(ImportError::UnknownFormat),
    }
}

/// Asks for the password of an app's file.
fn password(app: &'static str, ask: &mut Ask<'_>) -> Result<Secret, ImportError> {
    ask(&format!("Password of the {app} file")).ok_or(ImportError::NoPassword(app))
}
