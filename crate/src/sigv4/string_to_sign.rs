//! String to sign: algorithm, time, scope, and the hash of the canonical request.

use core::fmt;

use super::hmac::sha256;
use super::{ALGORITHM, AmzDate, Scope, encode};

const MAX_LEN: usize = ALGORITHM.len() + 1 + AmzDate::LEN + 1 + Scope::MAX_LEN + 1 + HASH;

/// Bytes of a SHA-256 in hex.
const HASH: usize = 64;

/// What is signed. Built inline: no allocation.
#[derive(Clone)]
pub struct StringToSign {
    text: [u8; MAX_LEN],
    len: usize,
}

/// The string to sign of a canonical request.
#[must_use]
pub fn string_to_sign(date: &AmzDate, scope: &Scope, canonical_request: &[u8]) -> StringToSign {
    StringToSign::new(date, scope, &sha256(canonical_request))
}

impl StringToSign {
    /// The string to sign of a canonical request whose SHA-256 is `hash`.
    #[must_use]
    pub fn new(date: &AmzDate, scope: &Scope, hash: &[u8; 32]) -> Self {
        let mut text = [0; MAX_LEN];
        let mut len = 0;
        for part in
            [ALGORITHM.as_bytes(), b"\n", date.as_bytes(), b"\n", scope.as_bytes(), b"\n", &encode::hex(hash)]
        {
            if let Some(to) = text.get_mut(len..len + part.len()) {
                to.copy_from_slice(part);
                len += part.len();
            }
        }
        Self { text, len }
    }

    /// All of it but the hash.
    pub(super) fn beginning(&self) -> &[u8] {
        self.text.get(..self.len - HASH).unwrap_or_default()
    }

    /// The text, as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always ASCII.
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for StringToSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_scope_fits() {
        let date = AmzDate::from_unix(AmzDate::MAX_UNIX).unwrap();
        let (region, service) = ("r".repeat(Scope::MAX_REGION), "s".repeat(Scope::MAX_SERVICE));
        let scope = Scope::new(&date, &region, &service).unwrap();
        assert_eq!(
            string_to_sign(&date, &scope, b"").as_str(),
            format!(
                "AWS4-HMAC-SHA256\n99991231T235959Z\n99991231/{region}/{service}/aws4_request\n\
                 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            )
        );
    }
}
