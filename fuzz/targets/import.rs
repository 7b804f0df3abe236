//! Files of other apps: Aegis, andOTP, 2FAS, Bitwarden, and lists of URIs. Pictures are left out: their decoders are
//! other people's, and run in a thread of their own where a panic is an error.
//!
//! A password is given where the file asks for little work: key derivation is no parser, and slow by design.

#![no_main]

use keyfob::import::{ImportError, read};
use keyfob_core::secret::Secret;
use keyfob_fuzz::{check_account, within};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Rounds of PBKDF2, or blocks of memory of the others: microseconds each.
const MOST_WORK: u64 = 1 << 12;

fuzz_target!(|bytes: &[u8]| {
    if bytes.starts_with(b"\x89PNG") || bytes.starts_with(b"\xFF\xD8\xFF") {
        return;
    }
    let password = || Some(Secret::new(b"keyfob".to_vec())).filter(|_| work(bytes) <= MOST_WORK);
    // 4 MiB for the key derivation.
    let result = within((8 << 20) + 512 * bytes.len(), || read(bytes, &mut |_| password()));
    match result {
        Ok(accounts) => {
            assert!(!accounts.is_empty());
            let mut ids = std::collections::BTreeSet::new();
            for imported in &accounts {
                let account = &imported.account;
                let id = account.id().expect("an imported account has an id");
                assert!(ids.insert(id.as_bytes().to_vec()), "nothing overwrites what the same file brought");
                assert!(!imported.steam || account.issuer.as_deref() == Some("Steam"));
                assert!(account.digits.get() >= 6);
                check_account(account);
            }
        }
        Err(error) => {
            // It goes to a terminal, and the file is anybody's.
            let text = error.to_string();
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
            if let ImportError::MissingParts { missing, .. } = &error {
                assert!(!missing.is_empty());
            }
        }
    }
});

/// How much work the file asks for: the product of all numbers of key derivation in it.
fn work(bytes: &[u8]) -> u64 {
    const NAMES: [&str; 5] = ["n", "r", "p", "kdfIterations", "kdfParallelism"];
    fn product(value: &Value) -> u64 {
        match value {
            Value::Array(values) => values.iter().map(product).fold(1, u64::saturating_mul),
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| match value.as_u64() {
                    Some(number) if NAMES.contains(&name.as_str()) => number.max(1),
                    Some(mebibytes) if name == "kdfMemory" => mebibytes.saturating_mul(1024).max(1),
                    _ => product(value),
                })
                .fold(1, u64::saturating_mul),
            _ => 1,
        }
    }
    match serde_json::from_slice(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)) {
        Ok(value) => product(&value),
        // andOTP's rounds stand in the first four bytes.
        Err(_) => bytes.first_chunk().map_or(1, |rounds| u64::from(u32::from_be_bytes(*rounds))),
    }
}
