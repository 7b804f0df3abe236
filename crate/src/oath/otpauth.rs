//! `otpauth://` URIs, as authenticator apps and web pages exchange them (Google Authenticator's Key Uri Format).

use alloc::string::{String, ToString as _};

use zeroize::Zeroizing;

use super::base32;
use super::protocol::DEFAULT_PERIOD;
use super::{Algorithm, CredentialId, DigitCount, IdError, Kind, Put};
use crate::secret::Secret;
use crate::sigv4::encode::{decode, encode_query};

/// Longest URI that is read, in bytes.
const MAX_URI: usize = 4096;

/// Why a text is no `otpauth` URI. No variant carries the secret, nor the URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OtpAuthError {
    /// Another scheme.
    #[error("not an otpauth:// URI")]
    Scheme,
    /// Longer than any such URI.
    #[error("the otpauth URI is over {MAX_URI} bytes long")]
    TooLong,
    /// Neither `totp` nor `hotp`.
    #[error("unknown kind {0:?} in the otpauth URI: totp or hotp expected")]
    Kind(String),
    /// `%` without two hexadecimal digits, or not UTF-8 once decoded.
    #[error("broken percent-encoding in the otpauth URI ({0})")]
    PercentEncoding(&'static str),
    /// A parameter stands there twice: which one counts is anybody's guess.
    #[error("parameter {0} stands twice in the otpauth URI")]
    Duplicate(&'static str),
    /// No secret.
    #[error("the otpauth URI has no secret")]
    NoSecret,
    /// The secret is not base32.
    #[error("the secret is not base32: letters A to Z and digits 2 to 7")]
    Secret,
    /// A number that is not one, or out of range.
    #[error("parameter {0} of the otpauth URI is out of range")]
    Number(&'static str),
    /// An unknown hash.
    #[error("unknown algorithm {0:?} in the otpauth URI: SHA1, SHA256 or SHA512 expected")]
    Algorithm(String),
    /// The name cannot be one.
    #[error(transparent)]
    Id(#[from] IdError),
}

/// What an `otpauth` URI says: one account, its secret included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtpAuth {
    /// What moves the code.
    pub kind: Kind,
    /// Issuer, if there is one: the parameter before the label's prefix.
    pub issuer: Option<String>,
    /// Account name.
    pub account: String,
    /// The bare key.
    pub secret: Secret,
    /// The hash.
    pub algorithm: Algorithm,
    /// Digits of a code.
    pub digits: DigitCount,
    /// Seconds a code lasts (TOTP); 0 for HOTP.
    pub period: u32,
    /// Moving factor of the first code (HOTP).
    pub counter: u32,
}

impl OtpAuth {
    /// A TOTP account with everybody's settings: SHA1, 6 digits, 30 seconds. `secret` is base32 as people type
    /// it: spaces, dashes, lower case and missing padding are taken.
    ///
    /// # Errors
    /// [`OtpAuthError::Secret`], [`OtpAuthError::NoSecret`].
    pub fn totp(issuer: Option<String>, account: String, secret: &str) -> Result<Self, OtpAuthError> {
        Ok(Self {
            kind: Kind::Totp,
            issuer,
            account,
            secret: read_secret(secret)?,
            algorithm: Algorithm::Sha1,
            digits: DigitCount::SIX,
            period: DEFAULT_PERIOD,
            counter: 0,
        })
    }

    /// Reads a URI.
    ///
    /// # Errors
    /// [`OtpAuthError`].
    pub fn parse(uri: &str) -> Result<Self, OtpAuthError> {
        if uri.len() > MAX_URI {
            return Err(OtpAuthError::TooLong);
        }
        let scheme = "otpauth://";
        let rest = match uri.get(..scheme.len()) {
            Some(start) if start.eq_ignore_ascii_case(scheme) => uri.get(scheme.len()..).unwrap_or_default(),
            _ => return Err(OtpAuthError::Scheme),
        };
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (kind, label) = path.split_once('/').unwrap_or((path, ""));
        let kind = match () {
            () if kind.eq_ignore_ascii_case("totp") => Kind::Totp,
            () if kind.eq_ignore_ascii_case("hotp") => Kind::Hotp,
            () => return Err(OtpAuthError::Kind(kind.chars().take(16).collect())),
        };

        let mut params = Params::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            params.set(name, value)?;
        }

        // The colon between issuer and account may itself be encoded.
        let label = percent_decode(label, "label")?;
        let (prefix, account) = match label.split_once(':').filter(|(prefix, _)| !prefix.trim().is_empty()) {
            Some((prefix, account)) => (Some(prefix.trim()), account.trim_start()),
            None => (None, label.as_str()),
        };
        let issuer = percent_decode(params.issuer.unwrap_or_default(), "issuer")?;
        // A parameter without anything in it says nothing.
        let issuer = Some(issuer.trim()).filter(|issuer| !issuer.is_empty()).or(prefix);
        // Blanks after an issuer's colon are none of the account's, wherever the issuer stood.
        let account = if issuer.is_some() { account.trim_start() } else { account };
        let number = |name, text: Option<&str>, default: u32| match text {
            None => Ok(default),
            Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse::<u32>().map_err(|_| OtpAuthError::Number(name))
            }
            Some(_) => Err(OtpAuthError::Number(name)),
        };
        let digits = number("digits", params.digits, 6)?;
        let counter = number("counter", params.counter, 0)?;
        let period = number("period", params.period, DEFAULT_PERIOD)?;
        if period == 0 {
            return Err(OtpAuthError::Number("period"));
        }
        let algorithm = match params.algorithm {
            None => Algorithm::Sha1,
            Some(name) => [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512]
                .into_iter()
                .find(|known| {
                    name.eq_ignore_ascii_case(known.as_str())
                        || name
                            .strip_prefix("Hmac")
                            .or(name.strip_prefix("HMAC"))
                            .unwrap_or(name)
                            .eq_ignore_ascii_case(known.as_str())
                })
                .ok_or_else(|| OtpAuthError::Algorithm(name.chars().take(16).collect()))?,
        };
        let secret = Zeroizing::new(percent_decode(params.secret.ok_or(OtpAuthError::NoSecret)?, "secret")?);
        let parsed = Self {
            kind,
            issuer: issuer.map(ToString::to_string),
            account: account.to_string(),
            secret: read_secret(&secret)?,
            algorithm,
            digits: u8::try_from(digits)
                .ok()
                .and_then(|digits| DigitCount::new(digits).ok())
                .ok_or(OtpAuthError::Number("digits"))?,
            period: if kind == Kind::Totp { period } else { 0 },
            counter: if kind == Kind::Hotp { counter } else { 0 },
        };
        parsed.id()?;
        Ok(parsed)
    }

    /// The URI that [`OtpAuth::parse`] reads as this account.
    #[must_use]
    pub fn to_uri(&self) -> Zeroizing<String> {
        // Room for the longest, so that no copy of the secret is left behind by a reallocation.
        let mut uri = Zeroizing::new(Vec::with_capacity(MAX_URI));
        let (kind, moving) = match self.kind {
            Kind::Totp => ("totp", self.period),
            Kind::Hotp => ("hotp", self.counter),
        };
        uri.extend_from_slice(b"otpauth://");
        uri.extend_from_slice(kind.as_bytes());
        uri.push(b'/');
        if let Some(issuer) = &self.issuer {
            encode_query(&mut uri, issuer.as_bytes());
            uri.push(b':');
        }
        encode_query(&mut uri, self.account.as_bytes());
        uri.extend_from_slice(b"?secret=");
        base32::encode(&mut uri, self.secret.expose());
        if let Some(issuer) = &self.issuer {
            uri.extend_from_slice(b"&issuer=");
            encode_query(&mut uri, issuer.as_bytes());
        }
        let name = if self.kind == Kind::Totp { "period" } else { "counter" };
        for (name, value) in [
            ("algorithm", self.algorithm.as_str()),
            ("digits", &self.digits.get().to_string()),
            (name, &moving.to_string()),
        ] {
            for part in ["&", name, "=", value] {
                uri.extend_from_slice(part.as_bytes());
            }
        }
        // Only ASCII was written.
        Zeroizing::new(String::from_utf8(core::mem::take(&mut *uri)).unwrap_or_default())
    }

    /// The credential id it gets on a card.
    ///
    /// # Errors
    /// [`IdError`].
    pub fn id(&self) -> Result<CredentialId, IdError> {
        CredentialId::new(self.kind, self.period, self.issuer.as_deref(), &self.account)
    }

    /// The instruction that puts it on a card.
    ///
    /// # Errors
    /// [`IdError`].
    pub fn put(&self, touch: bool) -> Result<Put, IdError> {
        let id = self.id()?;
        Ok(match self.kind {
            Kind::Totp => Put::totp(id, self.algorithm, self.digits, self.secret.expose(), touch),
            Kind::Hotp => {
                Put::hotp(id, self.algorithm, self.digits, self.secret.expose(), touch, self.counter)
            }
        })
    }
}

#[derive(Default)]
struct Params<'a> {
    secret: Option<&'a str>,
    issuer: Option<&'a str>,
    algorithm: Option<&'a str>,
    digits: Option<&'a str>,
    period: Option<&'a str>,
    counter: Option<&'a str>,
}

impl<'a> Params<'a> {
    fn set(&mut self, name: &str, value: &'a str) -> Result<(), OtpAuthError> {
        let (slot, name) = match name {
            "secret" => (&mut self.secret, "secret"),
            "issuer" => (&mut self.issuer, "issuer"),
            "algorithm" => (&mut self.algorithm, "algorithm"),
            "digits" => (&mut self.digits, "digits"),
            "period" => (&mut self.period, "period"),
            "counter" => (&mut self.counter, "counter"),
            // Pages add pictures and other things of their own.
            _ => return Ok(()),
        };
        if slot.replace(value).is_some() { Err(OtpAuthError::Duplicate(name)) } else { Ok(()) }
    }
}

/// A secret as people type it.
fn read_secret(text: &str) -> Result<Secret, OtpAuthError> {
    let mut bytes = base32::decode(text).ok_or(OtpAuthError::Secret)?;
    if bytes.is_empty() { Err(OtpAuthError::NoSecret) } else { Ok(Secret::new(core::mem::take(&mut *bytes))) }
}

/// Percent-decoding (RFC 3986, 2.1). A plus sign stays one: labels are a path.
fn percent_decode(text: &str, what: &'static str) -> Result<String, OtpAuthError> {
    decode(text).ok_or(OtpAuthError::PercentEncoding(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_of_the_wild() {
        #[track_caller]
        fn check(uri: &str, issuer: Option<&str>, account: &str, id: &str) {
            let parsed = OtpAuth::parse(uri).unwrap();
            assert_eq!((parsed.issuer.as_deref(), parsed.account.as_str()), (issuer, account));
            assert_eq!(parsed.id().unwrap().as_bytes(), id.as_bytes());
        }
        check(
            "otpauth://totp/Amazon%20Web%20Services:root@123456789012?secret=JBSWY3DPEHPK3PXP&issuer=Amazon%20Web%20Services",
            Some("Amazon Web Services"),
            "root@123456789012",
            "Amazon Web Services:root@123456789012",
        );
        check(
            "otpauth://totp/Amazon%20Web%20Services:dev%40alias?secret=JBSWY3DPEHPK3PXP",
            Some("Amazon Web Services"),
            "dev@alias",
            "Amazon Web Services:dev@alias",
        );
        check("otpauth://totp/A%3Ab?secret=AAAA", Some("A"), "b", "A:b");
        check("otpauth://totp/me?secret=AAAA&period=60", None, "me", "60/me");
        check("otpauth://totp/Old:me?issuer=New&secret=AAAA", Some("New"), "me", "New:me");
        check("OTPAUTH://TOTP/A:%20b?secret=aaaa&image=https%3A%2F%2Fx", Some("A"), "b", "A:b");
        check("otpauth://hotp/H:c?secret=AAAA&counter=7&period=15", Some("H"), "c", "H:c");
        check("otpauth://totp/AWS%20SSO:ann?secret=AAAA#x", Some("AWS SSO"), "ann", "AWS SSO:ann");
        check("otpauth://totp/A:b:c?secret=AAAA&issuer=", Some("A"), "b:c", "A:b:c");
        check("otpauth://totp/A:b:c?secret=AAAA&issuer=%20", Some("A"), "b:c", "A:b:c");
        check("otpauth://totp/b?secret=AAAA&issuer=%20A%20", Some("A"), "b", "A:b");
        check("otpauth://totp/%20:b:c?secret=AAAA", None, " :b:c", " :b:c");
        check("otpauth://totp/%20b?secret=AAAA&issuer=A", Some("A"), "b", "A:b");
    }

    #[test]
    fn every_parameter_counts() {
        let uri =
            "otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=SHA256&digits=8&counter=9";
        let parsed = OtpAuth::parse(uri).unwrap();
        assert_eq!(parsed.secret, Secret::new(b"12345678901234567890".to_vec()));
        assert_eq!((parsed.algorithm, parsed.digits.get(), parsed.counter), (Algorithm::Sha256, 8, 9));
        let totp = OtpAuth::parse("otpauth://totp/x?secret=GE&counter=9").unwrap();
        assert_eq!((totp.period, totp.counter), (30, 0));
    }

    #[test]
    fn accounts_come_back_from_their_uris() {
        for (issuer, account) in [
            (None, "me"),
            (Some("A b"), "c:d/e?f&g=h#ü%"),
            (Some("arn"), "aws:iam::123456789012:mfa/alice"),
            (Some("I"), "p:dev"),
            (None, ":bar"),
        ] {
            let mut account =
                OtpAuth::totp(issuer.map(str::to_owned), account.to_owned(), "GEZDGNBVGY3TQOJQ").unwrap();
            assert_eq!(OtpAuth::parse(&account.to_uri()).unwrap(), account);
            (account.kind, account.period, account.counter) = (Kind::Hotp, 0, 7);
            (account.algorithm, account.digits) = (Algorithm::Sha512, DigitCount::new(8).unwrap());
            assert_eq!(OtpAuth::parse(&account.to_uri()).unwrap(), account);
        }
    }

    #[test]
    fn secrets_as_people_type_them() {
        #[track_caller]
        fn check(text: &str, expected: Result<&[u8], OtpAuthError>) {
            assert_eq!(read_secret(text), expected.map(|bytes| Secret::new(bytes.to_vec())), "{text}");
        }
        check("gezd gnbv-GY3T QOJQ", Ok(b"1234567890"));
        check("GE======", Ok(b"1"));
        check("GE", Ok(b"1"));
        check("GF", Ok(b"1"));
        check("G", Err(OtpAuthError::Secret));
        check("G1", Err(OtpAuthError::Secret));
        check("GEü", Err(OtpAuthError::Secret));
        check(" ", Err(OtpAuthError::NoSecret));
    }

    #[test]
    fn broken_uris_are_named() {
        #[track_caller]
        fn check(uri: &str, expected: OtpAuthError) {
            assert_eq!(OtpAuth::parse(uri).unwrap_err(), expected, "{uri}");
        }
        check("", OtpAuthError::Scheme);
        check("https://totp/x?secret=AAAA", OtpAuthError::Scheme);
        check("otpauth://", OtpAuthError::Kind(String::new()));
        check("otpauth://steam/x?secret=AAAA", OtpAuthError::Kind("steam".into()));
        check("otpauth://totp/x", OtpAuthError::NoSecret);
        check("otpauth://totp/x?secret=", OtpAuthError::NoSecret);
        check("otpauth://totp/x?secret=!", OtpAuthError::Secret);
        check("otpauth://totp/?secret=AAAA", OtpAuthError::Id(IdError::Empty));
        check("otpauth://totp/x%2?secret=AAAA", OtpAuthError::PercentEncoding("label"));
        check("otpauth://totp/x%FF?secret=AAAA", OtpAuthError::PercentEncoding("label"));
        check("otpauth://totp/x?secret=AAAA&secret=BBBB", OtpAuthError::Duplicate("secret"));
        check("otpauth://totp/x?secret=AAAA&digits=9", OtpAuthError::Number("digits"));
        check("otpauth://totp/x?secret=AAAA&digits=+6", OtpAuthError::Number("digits"));
        check("otpauth://totp/x?secret=AAAA&period=0", OtpAuthError::Number("period"));
        check("otpauth://totp/x?secret=AAAA&algorithm=MD5", OtpAuthError::Algorithm("MD5".into()));
        check("otpauth://totp/x?secret=AAAA&issuer=a%3Ab", OtpAuthError::Id(IdError::ColonInIssuer));
        check(&("otpauth://totp/".to_string() + &"x".repeat(5000)), OtpAuthError::TooLong);
    }
}
