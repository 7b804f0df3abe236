//! AWS access keys whose secret is an OATH credential, and how such credentials are named and made.
//!
//! The names are those of exile, whose users have them on their keys: `exile-AKIA…-SigV4` (HMAC-SHA256 under
//! `AWS4` + secret: CALCULATE over a date gives SigV4's date key) and `exile-AKIA…-HmacV1` (HMAC-SHA1 under the
//! bare secret: CALCULATE over the string to sign gives the signature).

use alloc::string::{String, ToString as _};

use zeroize::Zeroizing;

use crate::message::SignatureVersion;
use crate::oath::{Algorithm, CredentialId, DigitCount, IdError, Put};
use crate::secret::Secret;

const PREFIX: &str = "exile-";
/// The bounds of an access key id of IAM; here what fits beside the longest affixes is the most.
const IAM_LEN: core::ops::RangeInclusive<usize> = 16..=40;
/// Those of other servers: MinIO has three characters at least, and a credential's id 64 bytes at most.
const OTHER_LEN: core::ops::RangeInclusive<usize> = 3..=51;
/// Length of a secret access key of IAM, in characters.
const SECRET_LEN: usize = 40;
/// Of what is no access key id so much is shown, for it may be the secret, given in the wrong place.
const SHOWN: usize = 4;
/// More than any secret access key has, in bytes.
const MAX_SECRET: usize = 128;

/// Why something is no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Not an access key id.
    #[error("{0:?} is no access key id: {rule}", rule = rule(.0))]
    AccessKeyId(String),
    /// Temporary credentials are not worth a slot, and useless without their token.
    #[error("{0} belongs to temporary credentials: put a long-term access key (AKIA…) on the key")]
    Temporary(String),
    /// Not a secret access key. The text is not shown.
    #[error("that is no secret access key: 1 to {MAX_SECRET} letters, digits, / and +, without spaces")]
    Secret,
    /// The name does not fit a key.
    #[error(transparent)]
    Id(#[from] IdError),
}

/// An identity: which access key, and which signature its credential makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityName {
    access_key_id: String,
    signature: SignatureVersion,
}

impl IdentityName {
    /// The identity of an access key.
    ///
    /// # Errors
    /// [`IdentityError::AccessKeyId`], [`IdentityError::Temporary`].
    pub fn new(access_key_id: &str, signature: SignatureVersion) -> Result<Self, IdentityError> {
        let all = |fits: fn(u8) -> bool| access_key_id.bytes().all(fits);
        let of_iam = is_of_iam(access_key_id);
        let len = access_key_id.len();
        let is_id = if of_iam {
            IAM_LEN.contains(&len) && all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        } else {
            let mixed = !all(|b| !b.is_ascii_uppercase()) && !all(|b| !b.is_ascii_lowercase());
            OTHER_LEN.contains(&len)
                && all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
                && !(len == SECRET_LEN && mixed)
        };
        if !is_id {
            let mut shown: String = access_key_id.chars().take(SHOWN).collect();
            if access_key_id.chars().nth(SHOWN).is_some() {
                shown.push('…');
            }
            return Err(IdentityError::AccessKeyId(shown));
        }
        if access_key_id.starts_with("ASIA") {
            return Err(IdentityError::Temporary(access_key_id.to_string()));
        }
        Ok(Self { access_key_id: access_key_id.to_string(), signature })
    }

    /// Reads a credential's id; none if it is no identity's.
    #[must_use]
    pub fn parse(id: &CredentialId) -> Option<Self> {
        let name = core::str::from_utf8(id.as_bytes()).ok()?.strip_prefix(PREFIX)?;
        let (access_key_id, kind) = name.rsplit_once('-')?;
        let signature = [SignatureVersion::SigV4, SignatureVersion::HmacV1]
            .into_iter()
            .find(|signature| suffix(*signature) == kind)?;
        Self::new(access_key_id, signature).ok()
    }

    /// Whether a credential's id is in the name space of identities, well-formed or not: such a credential is
    /// never shown, calculated or deleted as an account.
    #[must_use]
    pub fn is_reserved(id: &CredentialId) -> bool {
        id.as_bytes().starts_with(PREFIX.as_bytes())
    }

    /// `AKIA…`.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// What it can sign.
    #[must_use]
    pub fn signature(&self) -> SignatureVersion {
        self.signature
    }

    /// The credential's id on the key.
    ///
    /// # Errors
    /// [`IdError::TooLong`] cannot happen: 40 characters and the affixes are 54.
    pub fn id(&self) -> Result<CredentialId, IdError> {
        CredentialId::from_bytes(
            [PREFIX, &self.access_key_id, "-", suffix(self.signature)].concat().as_bytes(),
        )
    }

    /// The instruction that puts the secret on a key.
    ///
    /// # Errors
    /// [`IdentityError::Secret`], [`IdentityError::Id`].
    pub fn put(&self, secret_access_key: &Secret, touch: bool) -> Result<Put, IdentityError> {
        let secret = secret_access_key.expose();
        if !(1..=MAX_SECRET).contains(&secret.len()) || !secret.iter().all(u8::is_ascii_graphic) {
            return Err(IdentityError::Secret);
        }
        let (algorithm, prefix) = match self.signature {
            SignatureVersion::SigV4 => (Algorithm::Sha256, &b"AWS4"[..]),
            SignatureVersion::HmacV1 => (Algorithm::Sha1, &b""[..]),
        };
        let key = Zeroizing::new([prefix, secret].concat());
        Ok(Put::totp(self.id()?, algorithm, DigitCount::SIX, &key, touch))
    }
}

/// What an access key id that begins so must be like.
fn rule(id: &str) -> &'static str {
    if is_of_iam(id) {
        "16 to 40 capital letters and digits, such as AKIAIOSFODNN7EXAMPLE"
    } else {
        "AWS's are such as AKIAIOSFODNN7EXAMPLE, and other servers' have 3 to 51 letters, digits, `-`, `_` and `.`"
    }
}

/// Whether it is meant as one of IAM's.
fn is_of_iam(id: &str) -> bool {
    id.get(..4).is_some_and(|start| ["AKIA", "ASIA"].iter().any(|own| start.eq_ignore_ascii_case(own)))
}

fn suffix(signature: SignatureVersion) -> &'static str {
    match signature {
        SignatureVersion::SigV4 => "SigV4",
        SignatureVersion::HmacV1 => "HmacV1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oath::Request as _;

    #[test]
    fn names_are_those_of_exile() {
        #[track_caller]
        fn check(id: &str, expected: Option<(&str, SignatureVersion)>) {
            let id = CredentialId::from_bytes(id.as_bytes()).unwrap();
            let name = IdentityName::parse(&id);
            assert_eq!(name.as_ref().map(|n| (n.access_key_id(), n.signature())), expected);
            if let Some(name) = name {
                assert_eq!(name.id().unwrap(), id);
            }
        }
        check("exile-AKIAIOSFODNN7EXAMPLE-SigV4", Some(("AKIAIOSFODNN7EXAMPLE", SignatureVersion::SigV4)));
        check("exile-AKIAIOSFODNN7EXAMPLE-HmacV1", Some(("AKIAIOSFODNN7EXAMPLE", SignatureVersion::HmacV1)));
        check("exile-AKIAIOSFODNN7EXAMPLE-SigV5", None);
        check("exile-AKIA-SigV4", None);
        check("exile-minioadmin-SigV4", Some(("minioadmin", SignatureVersion::SigV4)));
        check("exile-a-b-HmacV1", Some(("a-b", SignatureVersion::HmacV1)));
        check("exile-AKIAIOSFODNN7EXAMPL:-SigV4", None);
        check("Amazon Web Services:exile-AKIAIOSFODNN7EXAMPLE-SigV4", None);
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        let new = |id: &str| IdentityName::new(id, SignatureVersion::SigV4);
        assert_eq!(new("akia"), Err(IdentityError::AccessKeyId("akia".into())));
        assert_eq!(new("akiaiosfodnn7example"), Err(IdentityError::AccessKeyId("akia…".into())));
        assert_eq!(new("ab"), Err(IdentityError::AccessKeyId("ab".into())));
        assert_eq!(new("a b"), Err(IdentityError::AccessKeyId("a b".into())));
        assert_eq!(new(&"a".repeat(52)), Err(IdentityError::AccessKeyId("aaaa…".into())));
        // A secret in the wrong place is not shown.
        let secrets =
            ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMIaK7MDENGabPxRfiCYEXAMPLEKEY"];
        for secret in secrets {
            assert_eq!(new(secret), Err(IdentityError::AccessKeyId("wJal…".into())));
        }
        // Those of R2, of MinIO, and the longest.
        for id in ["0123456789abcdef0123456789abcdef", "minioadmin", &"a".repeat(51)] {
            assert!(new(id).unwrap().id().is_ok());
        }
        assert_eq!(new("ASIAIOSFODNN7EXAMPLE"), Err(IdentityError::Temporary("ASIAIOSFODNN7EXAMPLE".into())));
        let identity = new("AKIAIOSFODNN7EXAMPLE").unwrap();
        let put = |secret: &[u8]| {
            identity.put(&Secret::new(secret.to_vec()), true).map(|put| put.command().unwrap())
        };
        assert_eq!(put(b"").err(), Some(IdentityError::Secret));
        assert_eq!(put(b"with space").err(), Some(IdentityError::Secret));
        assert_eq!(put(&[b'x'; 129]).err(), Some(IdentityError::Secret));
        let command = put(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").unwrap();
        let key = b"\x22\x06AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\x78\x02\x00";
        assert!(command.as_bytes().ends_with(key), "SHA256, AWS4 before the secret, touch");
    }
}
