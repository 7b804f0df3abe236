//! One-time codes from HMACs: RFC 4226 (HOTP), RFC 6238 (TOTP), and Steam's letters.

use alloc::string::{String, ToString as _};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use super::Algorithm;

/// How many digits a code has: 6 to 8, and 5 for cards that keep Steam's so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigitCount(u8);

/// A number of digits that no code has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code of {0} digits: 6 to 8 are possible")]
pub struct InvalidDigits(pub u8);

impl DigitCount {
    /// What everybody uses.
    pub const SIX: Self = Self(6);

    /// # Errors
    /// [`InvalidDigits`].
    pub fn new(digits: u8) -> Result<Self, InvalidDigits> {
        if (5..=8).contains(&digits) { Ok(Self(digits)) } else { Err(InvalidDigits(digits)) }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// The code of a truncated HMAC, with leading zeros.
    ///
    /// `value` is reduced modulo 10^digits whoever calculated it, for some cards do not.
    #[must_use]
    pub fn format(self, value: u32) -> String {
        let reduced = (value & 0x7FFF_FFFF) % 10_u32.pow(u32::from(self.0));
        let digits = reduced.to_string();
        "0".repeat(usize::from(self.0).saturating_sub(digits.len())) + &digits
    }
}

/// HMAC of `message` under `key`: 20, 32 or 64 bytes.
#[must_use]
pub fn hmac(algorithm: Algorithm, key: &[u8], message: &[u8]) -> Zeroizing<Vec<u8>> {
    macro_rules! compute {
        ($hash:ty) => {
            match Hmac::<$hash>::new_from_slice(key) {
                Ok(mac) => mac.chain_update(message).finalize().into_bytes().to_vec(),
                // HMAC takes keys of every length.
                Err(_) => Vec::new(),
            }
        };
    }
    Zeroizing::new(match algorithm {
        Algorithm::Sha1 => compute!(Sha1),
        Algorithm::Sha256 => compute!(Sha256),
        Algorithm::Sha512 => compute!(Sha512),
    })
}

/// Dynamic truncation (RFC 4226, 5.3): 31 bits of an HMAC of at least 20 bytes. 0 for shorter input.
#[must_use]
pub fn truncate(mac: &[u8]) -> u32 {
    let offset = mac.last().map_or(0, |last| usize::from(last & 0x0F));
    match mac.get(offset..).and_then(<[u8]>::first_chunk::<4>) {
        Some(bytes) => u32::from_be_bytes(*bytes) & 0x7FFF_FFFF,
        None => 0,
    }
}

/// The truncated HMAC for a counter (HOTP) or a time step (TOTP: Unix time divided by the period).
#[must_use]
pub fn hotp(algorithm: Algorithm, key: &[u8], counter: u64) -> u32 {
    truncate(&hmac(algorithm, key, &counter.to_be_bytes()))
}

/// Steam's five characters for a truncated HMAC.
#[must_use]
pub fn steam_code(value: u32) -> String {
    const ALPHABET: &[u8; 26] = b"23456789BCDFGHJKMNPQRTVWXY";
    let mut rest = value & 0x7FFF_FFFF;
    (0..5)
        .map(|_| {
            let index = rest as usize % ALPHABET.len();
            rest /= ALPHABET.len() as u32;
            char::from(ALPHABET.get(index).copied().unwrap_or(b'?'))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The RFCs' vectors are in `crate/tests/vectors/oath.json`, for they run in wasm too.

    #[test]
    fn unreduced_values_are_reduced() {
        assert_eq!(DigitCount::SIX.format(1_284_755_224), "755224");
        assert_eq!(DigitCount::SIX.format(u32::MAX), "483647");
        assert_eq!(DigitCount::SIX.format(7), "000007");
        assert_eq!(DigitCount::new(4), Err(InvalidDigits(4)));
        assert_eq!(DigitCount::new(9), Err(InvalidDigits(9)));
    }

    #[test]
    fn truncation_of_too_few_bytes_is_no_panic() {
        assert_eq!(truncate(&[]), 0);
        assert_eq!(truncate(&[0x0F]), 0);
        assert_eq!(truncate(&[1, 2, 3, 0]), 0x0102_0300);
    }

    #[test]
    fn steam_letters() {
        assert_eq!(steam_code(0), "22222");
        assert_eq!(steam_code(25), "Y2222");
        assert_eq!(steam_code(26), "23222");
    }
}
