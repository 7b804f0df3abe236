//! Signing keys: secret access key → date key → signing key → signature.
//!
//! ```text
//! date key    = HMAC-SHA256("AWS4" + secret access key, YYYYMMDD)
//! signing key = HMAC-SHA256(HMAC-SHA256(HMAC-SHA256(date key, region), service), "aws4_request")
//! signature   = HMAC-SHA256(signing key, string to sign), in hex
//! ```
//!
//! The date key is what a smart card gives (CALCULATE on a SHA-256 credential whose key is `AWS4` + secret). It
//! signs for every region and service of that UTC day: derive the signing keys at once, and drop it.

use core::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::hmac::{BegunMac, HmacKey};
use super::{AmzDate, Scope, ScopeError, StringToSign, TERMINATOR, encode};

/// The key of one UTC day. Erased on drop.
pub struct DateKey {
    key: Zeroizing<[u8; 32]>,
    date: AmzDate,
}

impl DateKey {
    /// The date key that a card calculated for the day `date` falls on.
    #[must_use]
    pub fn new(key: [u8; 32], date: AmzDate) -> Self {
        Self { key: Zeroizing::new(key), date }
    }

    /// Derives the date key of the day `date` falls on from a secret access key.
    #[must_use]
    pub fn from_secret(secret_access_key: &[u8], date: AmzDate) -> Self {
        let key = HmacKey::new([b"AWS4", secret_access_key]);
        Self { key: Zeroizing::new(key.mac(date.date())), date }
    }

    /// Derives the key for one region and service.
    ///
    /// # Errors
    /// [`ScopeError`] if region or service cannot be one.
    pub fn signing_key(&self, region: &str, service: &str) -> Result<SigningKey, ScopeError> {
        let scope = Scope::new(&self.date, region, service)?;
        Ok(SigningKey { scope, key: HmacKey::from_code(*self.derive(region, service)) })
    }

    /// The bytes of that key, for [`SigningKey::new`] elsewhere.
    ///
    /// # Errors
    /// [`ScopeError`] if region or service cannot be one.
    pub fn signing_key_bytes(&self, region: &str, service: &str) -> Result<Zeroizing<[u8; 32]>, ScopeError> {
        Scope::new(&self.date, region, service)?;
        Ok(self.derive(region, service))
    }

    fn derive(&self, region: &str, service: &str) -> Zeroizing<[u8; 32]> {
        let date_key = HmacKey::from_code(*self.key);
        let region_key = date_key.derive(region.as_bytes());
        let service_key = region_key.derive(service.as_bytes());
        Zeroizing::new(service_key.mac(TERMINATOR.as_bytes()))
    }
}

impl ZeroizeOnDrop for DateKey {}

impl fmt::Debug for DateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DateKey").field("date", &self.date).finish_non_exhaustive()
    }
}

/// The key of one credential scope. Erased on drop.
///
/// Kept as HMAC's key schedule, so that a signature costs one HMAC of the string to sign and no re-keying.
pub struct SigningKey {
    scope: Scope,
    key: HmacKey,
}

impl SigningKey {
    /// The key of a scope, as [`DateKey::signing_key_bytes`] gave it.
    #[must_use]
    pub fn new(scope: Scope, key: [u8; 32]) -> Self {
        Self { scope, key: HmacKey::from_code(key) }
    }

    /// What it signs.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, string_to_sign: &StringToSign) -> Signature {
        self.sign_text(string_to_sign.as_bytes())
    }

    /// Signs a policy of a form that uploads to S3: JSON in base64.
    #[must_use]
    pub fn sign_policy(&self, policy: &str) -> Signature {
        self.sign_text(policy.as_bytes())
    }

    /// For many requests of one time.
    pub(crate) fn at(&self, date: &AmzDate) -> SigningKeyAt {
        let to_sign = StringToSign::new(date, &self.scope, &[0; 32]);
        let (mac, rest) = self.key.begin(to_sign.beginning());
        let mut end = [0; 128];
        end.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
        SigningKeyAt { mac, end, rest: rest.len() }
    }

    /// Signs what is no string to sign of a request: a chunk of a body, a policy.
    pub(crate) fn sign_text(&self, text: &[u8]) -> Signature {
        Signature(self.key.mac(text))
    }
}

impl ZeroizeOnDrop for SigningKey {}

/// A signing key and a time, whose strings to sign are the same but for the hash at their end. Erased on drop.
pub(crate) struct SigningKeyAt {
    mac: BegunMac,
    /// What follows what is in `mac`: less than a block, then room for the hash.
    end: [u8; 128],
    /// How much less than a block.
    rest: usize,
}

impl SigningKeyAt {
    /// Signs the canonical request whose SHA-256 is `hash`.
    pub(crate) fn sign(&self, hash: &[u8; 32]) -> Signature {
        let (mut end, hash) = (self.end, encode::hex(hash));
        let len = self.rest + hash.len();
        end.get_mut(self.rest..len).into_iter().for_each(|to| to.copy_from_slice(&hash));
        Signature(self.mac.finish(end.get(..len).unwrap_or_default()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// A signature. Compared in constant time.
#[derive(Clone, Copy)]
pub struct Signature([u8; 32]);

impl Signature {
    /// A signature that was made elsewhere.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// In lower-case hex, as requests carry it.
    #[must_use]
    pub fn to_hex(self) -> [u8; 64] {
        encode::hex(&self.0)
    }
}

impl PartialEq for Signature {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Signature {}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Always ASCII.
        f.write_str(core::str::from_utf8(&self.to_hex()).unwrap_or_default())
    }
}

/// Whoever has a presigned link's signature has the link: not printed.
impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// "Examples of how to derive a signing key for Signature Version 4", AWS General Reference.
    #[test]
    fn keys_are_derived_stage_by_stage() {
        #[track_caller]
        fn check(stage: &str, key: &[u8], expected: &str) {
            assert_eq!(data_encoding::HEXLOWER.encode(key), expected, "{stage}");
        }
        let date = AmzDate::parse("20120215T000000Z").unwrap();
        let day = DateKey::from_secret(SECRET, date);
        check("date", &*day.key, "969fbb94feb542b71ede6f87fe4d5fa29c789342b0f407474670f0c2489e0a0d");
        let next = |key: &[u8], message: &[u8]| HmacKey::new([key, &[]]).mac(message);
        let region = next(day.key.as_slice(), b"us-east-1");
        check("region", &region, "69daa0209cd9c5ff5c8ced464a696fd4252e981430b10e3d3fd8e2f197d7a70c");
        let service = next(&region, b"iam");
        check("service", &service, "f72cfd46f26bc4643f06a11eabb6c0ba18780c19a8da0c31ace671265e3c87fa");
        let signing = next(&service, TERMINATOR.as_bytes());
        check("signing", &signing, "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");

        let sts = super::super::string_to_sign(&date, &Scope::new(&date, "us-east-1", "iam").unwrap(), b"");
        let whole = day.signing_key("us-east-1", "iam").unwrap();
        assert_eq!(*whole.sign(&sts).as_bytes(), next(&signing, sts.as_bytes()));
        let from_card = DateKey::new(*day.key, date).signing_key("us-east-1", "iam").unwrap();
        assert_eq!(from_card.sign(&sts), whole.sign(&sts));
        let bytes = day.signing_key_bytes("us-east-1", "iam").unwrap();
        assert_eq!(SigningKey::new(*whole.scope(), *bytes).sign(&sts), whole.sign(&sts));
    }

    #[test]
    fn keys_are_not_printed() {
        let date = AmzDate::parse("20130524T000000Z").unwrap();
        let day = DateKey::new([0xAB; 32], date);
        assert_eq!(format!("{day:?}"), "DateKey { date: 20130524T000000Z, .. }");
        let key = day.signing_key("us-east-1", "s3").unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey { scope: 20130524/us-east-1/s3/aws4_request, .. }");
        let signature = key.sign(&super::super::string_to_sign(&date, key.scope(), b""));
        assert_eq!(format!("{signature:?}"), "Signature(…)");
    }
}
