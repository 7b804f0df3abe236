//! Aegis vaults (the app's `docs/vault.md`), plain and encrypted.
//!
//! Encrypted: a random master key seals `db` with AES-256-GCM; each slot holds the master key, sealed with a key of
//! its own. That of a password slot is scrypt(password, salt, n, r, p).

use keyfob_core::secret::Secret;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::error::ImportError;
use super::open::{self, Key};
use super::record::{Record, SecretText, parse, parse_bytes, read_list};
use super::{Ask, Imported, password};

const APP: &str = "Aegis";
/// Newest version of `db`.
const NEWEST_DB: u64 = 3;
/// A slot that a password opens.
const PASSWORD_SLOT: u64 = 1;

#[derive(Deserialize)]
struct Vault<'a> {
    version: u64,
    #[serde(borrow)]
    header: Header<'a>,
    db: &'a RawValue,
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    slots: Option<Vec<&'a RawValue>>,
    params: Option<Sealing>,
}

/// Nonce and tag of AES-GCM, in hexadecimal.
#[derive(Deserialize)]
struct Sealing {
    nonce: String,
    tag: String,
}

#[derive(Deserialize)]
struct SlotKind {
    #[serde(rename = "type")]
    kind: u64,
}

#[derive(Deserialize)]
struct PasswordSlot {
    key: String,
    key_params: Sealing,
    n: u64,
    r: u64,
    p: u64,
    salt: String,
}

#[derive(Deserialize)]
struct Db<'a> {
    version: u64,
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    issuer: Option<String>,
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    secret: Option<SecretText>,
    algo: Option<String>,
    digits: Option<u64>,
    period: Option<u64>,
    counter: Option<u64>,
}

pub(super) fn read(text: &str, ask: &mut Ask<'_>) -> Result<Vec<Imported>, ImportError> {
    let vault: Vault<'_> = parse(APP, text)?;
    if vault.version != 1 {
        return Err(ImportError::Version { format: APP, got: vault.version });
    }
    if !vault.db.get().starts_with('"') {
        return read_db(parse(APP, vault.db.get())?);
    }
    let Header { slots: Some(slots), params: Some(sealing) } = vault.header else {
        return Err(damaged("its header has no slots"));
    };
    let db: String = parse(APP, vault.db.get())?;
    let slots = password_slots(&slots)?;
    let master = master_key(&slots, &password(APP, ask)?)?;
    let db = open::base64(&db).ok_or_else(|| damaged("its content is not base64"))?;
    let opened = sealing.open(&master, db).ok_or_else(|| damaged("its content is not what was encrypted"))?;
    read_db(parse_bytes(APP, &opened)?)
}

fn read_db(db: Db<'_>) -> Result<Vec<Imported>, ImportError> {
    if !(1..=NEWEST_DB).contains(&db.version) {
        return Err(ImportError::Version { format: APP, got: db.version });
    }
    read_list(&db.entries, |entry: Entry| {
        Some(Record {
            kind: Some(entry.kind),
            issuer: entry.issuer.unwrap_or_default(),
            account: entry.name.unwrap_or_default(),
            secret: entry.info.secret,
            algorithm: entry.info.algo,
            digits: entry.info.digits,
            period: entry.info.period,
            counter: entry.info.counter,
        })
    })
}

fn password_slots(slots: &[&RawValue]) -> Result<Vec<PasswordSlot>, ImportError> {
    let mut found = Vec::new();
    for slot in slots {
        let SlotKind { kind } = parse(APP, slot.get())?;
        if kind == PASSWORD_SLOT {
            found.push(parse(APP, slot.get())?);
        }
    }
    if found.is_empty() { Err(ImportError::NoPasswordSlot) } else { Ok(found) }
}

/// The master key, from the first slot that the password opens.
fn master_key(slots: &[PasswordSlot], password: &Secret) -> Result<Key, ImportError> {
    let mut work = open::Work::new();
    for slot in slots {
        let hex = |text| open::hex(text).ok_or_else(|| damaged("a slot is not hexadecimal"));
        let (salt, sealed) = (hex(&slot.salt)?, hex(&slot.key)?);
        let key = open::scrypt(password.expose(), &salt, (slot.n, slot.r, slot.p), &mut work)
            .map_err(|open::Excessive| ImportError::ExcessiveWork(APP))?;
        if let Some(master) = slot.key_params.open(&key, sealed) {
            let master = master.as_slice().try_into().map_err(|_| damaged("its key is not of 32 bytes"))?;
            return Ok(Zeroizing::new(master));
        }
    }
    Err(ImportError::WrongPassword(APP))
}

impl Sealing {
    fn open(&self, key: &Key, mut sealed: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
        sealed.extend(open::hex(&self.tag)?);
        open::aes_gcm(key, &open::hex(&self.nonce)?, &sealed)
    }
}

fn damaged(what: &'static str) -> ImportError {
    ImportError::Damaged { format: APP, what }
}
