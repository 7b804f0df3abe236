//! 2FAS backups, schema 1 to 4, plain and encrypted.
//!
//! Encrypted: `servicesEncrypted` is `ciphertext and tag:salt:nonce`, each in base64; AES-256-GCM under
//! PBKDF2-HMAC-SHA256(password, salt, 10,000).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::ImportError;
use super::open;
use super::record::{Record, SecretText, parse, parse_bytes, read_list};
use super::{Ask, Imported, password};

const APP: &str = "2FAS";
const NEWEST_SCHEMA: u64 = 4;
const ROUNDS: u64 = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Backup<'a> {
    schema_version: u64,
    #[serde(borrow)]
    services: Option<Vec<&'a RawValue>>,
    services_encrypted: Option<String>,
}

#[derive(Deserialize)]
struct Service {
    name: Option<String>,
    secret: Option<SecretText>,
    #[serde(default)]
    otp: Otp,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Otp {
    label: Option<String>,
    account: Option<String>,
    issuer: Option<String>,
    token_type: Option<String>,
    algorithm: Option<String>,
    digits: Option<u64>,
    period: Option<u64>,
    counter: Option<u64>,
}

pub(super) fn read(text: &str, ask: &mut Ask<'_>) -> Result<Vec<Imported>, ImportError> {
    let backup: Backup<'_> = parse(APP, text)?;
    if !(1..=NEWEST_SCHEMA).contains(&backup.schema_version) {
        return Err(ImportError::Version { format: APP, got: backup.schema_version });
    }
    let Some(sealed) = backup.services_encrypted else {
        return services(&backup.services.unwrap_or_default());
    };
    let damaged = |what| ImportError::Damaged { format: APP, what };
    let parts = sealed.split(':').map(open::base64).collect::<Option<Vec<_>>>();
    let parts = parts.ok_or_else(|| damaged("its content is not base64"))?;
    let [sealed, salt, nonce] = parts.as_slice() else {
        return Err(damaged("its content is not of three parts"));
    };
    let key = open::pbkdf2_sha256(password(APP, ask)?.expose(), salt, ROUNDS)
        .map_err(|open::Excessive| ImportError::ExcessiveWork(APP))?;
    let opened = open::aes_gcm(&key, nonce, sealed).ok_or(ImportError::WrongPassword(APP))?;
    services(&parse_bytes::<Vec<&RawValue>>(APP, &opened)?)
}

fn services(entries: &[&RawValue]) -> Result<Vec<Imported>, ImportError> {
    read_list(entries, |service: Service| {
        let text = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let otp = service.otp;
        Some(Record {
            kind: otp.token_type,
            issuer: text(otp.issuer).or(text(service.name)).unwrap_or_default(),
            account: text(otp.account).or(text(otp.label)).unwrap_or_default(),
            secret: service.secret,
            algorithm: otp.algorithm,
            digits: otp.digits,
            period: otp.period,
            counter: otp.counter,
        })
    })
}
