//! Opening encrypted exports: key derivation within bounds, and authenticated decryption.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use argon2::{Argon2, Params, Version};
use data_encoding::{BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// A derived key.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// Most memory that a derivation may take, in bytes: as much as Bitwarden lets people choose.
const MAX_MEMORY: u64 = 1 << 30;
/// Most rounds of PBKDF2: as many as Bitwarden lets people choose.
const MAX_ROUNDS: u64 = 2_000_000;
/// Most passes of Argon2id: Bitwarden's.
const MAX_PASSES: u64 = 10;
/// Most lanes of Argon2id: Bitwarden's.
const MAX_LANES: u64 = 16;
/// Most of N · r · p in scrypt, sixteen times what Aegis asks for: four times its time at its largest memory.
const MAX_SCRYPT: u64 = 1 << 22;

/// The parameters are beyond the bounds, or cannot be any.
pub(super) struct Excessive;

/// PBKDF2-HMAC-SHA1 (RFC 8018, 5.2).
pub(super) fn pbkdf2_sha1(password: &[u8], salt: &[u8], rounds: u64) -> Result<Key, Excessive> {
    let mut key = Key::default();
    pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, bounded(rounds, MAX_ROUNDS)?, &mut *key);
    Ok(key)
}

/// PBKDF2-HMAC-SHA256 (RFC 8018, 5.2).
pub(super) fn pbkdf2_sha256(password: &[u8], salt: &[u8], rounds: u64) -> Result<Key, Excessive> {
    let mut key = Key::default();
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, bounded(rounds, MAX_ROUNDS)?, &mut *key);
    Ok(key)
}

/// Argon2id (RFC 9106); `memory` in KiB.
pub(super) fn argon2id(
    password: &[u8],
    salt: &[u8],
    memory: u64,
    passes: u64,
    lanes: u64,
) -> Result<Key, Excessive> {
    let params = Params::new(
        bounded(memory, MAX_MEMORY >> 10)?,
        bounded(passes, MAX_PASSES)?,
        bounded(lanes, MAX_LANES)?,
        Some(32),
    )
    .map_err(|_| Excessive)?;
    let mut key = Key::default();
    Argon2::new(argon2::Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, &mut *key)
        .map_err(|_| Excessive)?;
    Ok(key)
}

/// scrypt (RFC 7914). A file may have several that are tried: `work` is what is left of [`Work`].
pub(super) fn scrypt(
    password: &[u8],
    salt: &[u8],
    (n, r, p): (u64, u64, u64),
    work: &mut Work,
) -> Result<Key, Excessive> {
    let block = r.checked_mul(128).ok_or(Excessive)?;
    let memory = n.checked_mul(block).ok_or(Excessive)?;
    let cost = n.checked_mul(r).and_then(|cost| cost.checked_mul(p)).ok_or(Excessive)?;
    if !n.is_power_of_two() || n < 2 || cost == 0 || memory > MAX_MEMORY {
        return Err(Excessive);
    }
    work.0 = work.0.checked_sub(cost).ok_or(Excessive)?;
    let log_n = u8::try_from(n.ilog2()).map_err(|_| Excessive)?;
    let params = scrypt::Params::new(log_n, bounded(r, MAX_SCRYPT)?, bounded(p, MAX_SCRYPT)?)
        .map_err(|_| Excessive)?;
    let mut key = Key::default();
    scrypt::scrypt(password, salt, &params, &mut *key).map_err(|_| Excessive)?;
    Ok(key)
}

/// How much scrypt may still be done for a file.
pub(super) struct Work(u64);

impl Work {
    pub(super) fn new() -> Self {
        Self(MAX_SCRYPT)
    }
}

/// SHA-256 as a key.
pub(super) fn sha256(bytes: &[u8]) -> Key {
    Zeroizing::new(Sha256::digest(bytes).into())
}

/// HKDF-Expand with SHA-256 to 32 bytes (RFC 5869, 2.3): one block.
pub(super) fn hkdf_expand(key: &Key, info: &[u8]) -> Key {
    Zeroizing::new(hmac_sha256(key).chain_update(info).chain_update([1]).finalize().into_bytes().into())
}

fn hmac_sha256(key: &Key) -> Hmac<Sha256> {
    // The key is half a block long, so it is padded as HMAC does it (RFC 2104).
    let mut block = Zeroizing::new([0; 64]);
    for (to, from) in block.iter_mut().zip(key.iter()) {
        *to = *from;
    }
    Hmac::new((&*block).into())
}

/// AES-256-GCM (NIST SP 800-38D) with a nonce of 12 bytes and the tag at the end. `None` if it is not authentic.
pub(super) fn aes_gcm(key: &Key, nonce: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let nonce = Nonce::<aes::cipher::consts::U12>::try_from(nonce).ok()?;
    let (ciphertext, tag) = sealed.split_last_chunk::<16>()?;
    let mut text = Zeroizing::new(ciphertext.to_vec());
    let cipher = Aes256Gcm::new((&**key).into());
    cipher.decrypt_inout_detached(&nonce, &[], text.as_mut_slice().into(), &Tag::from(*tag)).ok()?;
    Some(text)
}

/// AES-256-CBC with PKCS #7 padding, and HMAC-SHA256 over IV and ciphertext, which is checked first and in constant
/// time. `None` if it is not authentic.
pub(super) fn aes_cbc_hmac(
    encryption: &Key,
    authentication: &Key,
    iv: &[u8],
    ciphertext: &[u8],
    mac: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    hmac_sha256(authentication).chain_update(iv).chain_update(ciphertext).verify_slice(mac).ok()?;
    let iv = <[u8; 16]>::try_from(iv).ok()?;
    let mut text = Zeroizing::new(ciphertext.to_vec());
    let cipher = cbc::Decryptor::<aes::Aes256>::new((&**encryption).into(), (&iv).into());
    let length = cipher.decrypt_padded::<Pkcs7>(&mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

/// Base64 of the standard alphabet, padded or not.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok()
}

/// Hexadecimal, in whatever case.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

fn bounded(value: u64, most: u64) -> Result<u32, Excessive> {
    if (1..=most).contains(&value) { value.try_into().map_err(|_| Excessive) } else { Err(Excessive) }
}
