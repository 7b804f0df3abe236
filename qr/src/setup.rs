//! What a code or a typed secret sets up, for AWS and for everybody else; and a name for it that is free.

use keyfob_core::aws;
use keyfob_core::message::AwsLogin;
use keyfob_core::oath::{Algorithm, CredentialId, Kind, OtpAuth, OtpAuthError};
use zeroize::Zeroizing;

/// Why a text sets up no account with a code of the time. No variant carries the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Neither an `otpauth` URI nor a base32 secret.
    #[error("neither an otpauth URI nor a base32 secret")]
    NotOtpAuth,
    /// Google Authenticator's export of several accounts.
    #[error("an export of several accounts")]
    Migration,
    /// A counter moves the code: a page that asks for two codes of the time wants none of it.
    #[error("an account whose codes go by a counter, not by the time")]
    Hotp,
    /// A secret, and nobody says whose.
    #[error("the secret has no account's name")]
    NoAccount,
    /// Characters that are not seen, or that order others anew: the name is not what it looks like.
    #[error("the name holds characters that cannot be seen")]
    Invisible,
    /// The name is longer than any.
    #[error("the name has over {MAX_NAME} bytes")]
    LongName,
    /// A broken `otpauth` URI.
    #[error(transparent)]
    OtpAuth(#[from] OtpAuthError),
}

impl SetupError {
    /// Stable, for the extension.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotOtpAuth => "not-otpauth",
            Self::Migration => "migration",
            Self::Hotp => "hotp",
            Self::NoAccount => "no-account",
            Self::Invisible | Self::LongName | Self::OtpAuth(_) => "invalid",
        }
    }
}

/// Longest full name that is taken, in bytes. Keys keep 64, and longer ones shortened; nobody's name is this long.
const MAX_NAME: usize = 256;

/// An account with a code of the time.
#[derive(Debug)]
pub struct Setup {
    /// The whole of it; its `Debug` hides the secret.
    otpauth: OtpAuth,
}

impl Setup {
    /// Reads an `otpauth` URI; or a base32 secret as people and pages write it, of the `account` that is given (of
    /// `issuer`, if there is one). Names that are given go before those in a URI.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn read(text: &str, issuer: Option<&str>, account: Option<&str>) -> Result<Self, SetupError> {
        let text = text.trim();
        let begins =
            |scheme: &str| text.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
        let given =
            |name: Option<&str>| name.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        let (issuer, account) = (given(issuer), given(account));
        let otpauth = if begins("otpauth-migration:") {
            return Err(SetupError::Migration);
        } else if begins("otpauth:") {
            let mut otpauth = OtpAuth::parse(text)?;
            otpauth.issuer = issuer.or(otpauth.issuer);
            otpauth.account = account.unwrap_or(otpauth.account);
            otpauth
        } else {
            // First whether it is a secret at all: that is the better thing to say.
            let secret = |account| OtpAuth::totp(issuer, account, text).map_err(|_| SetupError::NotOtpAuth);
            match account {
                Some(account) => secret(account)?,
                None => return Err(secret(String::new()).err().unwrap_or(SetupError::NoAccount)),
            }
        };
        if otpauth.kind != Kind::Totp {
            return Err(SetupError::Hotp);
        }
        otpauth.id().map_err(OtpAuthError::from)?;
        let setup = Self { otpauth };
        match setup.name() {
            name if name.len() > MAX_NAME => Err(SetupError::LongName),
            name if name.contains(is_invisible) => Err(SetupError::Invisible),
            _ => Ok(setup),
        }
    }

    /// The URI, which holds the secret.
    #[must_use]
    pub fn uri(&self) -> Zeroizing<String> {
        self.otpauth.to_uri()
    }

    /// Full name, `ISSUER:ACCOUNT` or `ACCOUNT`, however long.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.otpauth.issuer {
            Some(issuer) => [issuer, ":", &self.otpauth.account].concat(),
            None => self.otpauth.account.clone(),
        }
    }

    /// Issuer, if there is one.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.otpauth.issuer.as_deref()
    }

    /// Account name.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.otpauth.account
    }

    /// Digits of a code.
    #[must_use]
    pub fn digits(&self) -> u8 {
        self.otpauth.digits.get()
    }

    /// Seconds a code lasts.
    #[must_use]
    pub fn period(&self) -> u32 {
        self.otpauth.period
    }

    /// The hash.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.otpauth.algorithm
    }

    /// The login that the name speaks of, if it is one of AWS's.
    #[must_use]
    pub fn aws(&self) -> Option<AwsLogin> {
        aws::login(&self.name())
    }
}

/// What is not seen of a name, or has the rest of it seen in another order (Unicode's bidirectional controls).
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// `name` if none of `taken` has it, else the first of `name-2`, `name-3`, … that none has. The number stands before the
/// account of an IAM login, `alice-2@123456789012`, which so stays that account's; a number that is there already counts on.
///
/// `taken` are full names as the key tells them, shortened ones among them.
#[must_use]
pub fn free_name(name: &str, taken: &[String]) -> String {
    let is_free = |name: &str| {
        // As the key would tell it of the name: it may be too long for the key.
        let kept = CredentialId::for_name(Kind::Totp, PERIOD, name).map(|id| id.name(Kind::Totp));
        !taken.iter().any(|taken| taken == name || kept.as_ref() == Ok(taken))
    };
    if is_free(name) {
        return name.to_owned();
    }
    let (device, account) = match aws::login(name).and_then(|login| login.account) {
        Some(account) if name.ends_with(&["@", &account].concat()) => {
            name.split_at_checked(name.len() - account.len() - 1).unwrap_or((name, ""))
        }
        _ => (name, ""),
    };
    let (stem, number) = aws::numbered(device);
    (number + 1..)
        .map(|number| [stem, "-", &number.to_string(), account].concat())
        .find(|name| is_free(name))
        .unwrap_or_else(|| name.to_owned())
}

/// Seconds of nearly every account's codes: what a name is shortened to depends on them, and who else is on a key is none of
/// this file's knowledge. The key refuses what is taken all the same.
const PERIOD: u32 = 30;

#[cfg(test)]
mod tests {
    use keyfob_core::message::AwsFlow;
    use keyfob_core::oath::IdError;
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

    #[test]
    fn what_pages_show() {
        #[track_caller]
        fn check(
            text: &str,
            given: (Option<&str>, Option<&str>),
            name: &str,
            login: Option<(Option<&str>, &str)>,
        ) {
            let setup = Setup::read(text, given.0, given.1).unwrap();
            assert_eq!(setup.name(), name);
            let aws = setup.aws();
            assert_eq!(aws.as_ref().map(|aws| (aws.account.as_deref(), aws.device.as_str())), login);
            // The host reads the same out of the URI.
            let again = OtpAuth::parse(&setup.uri()).unwrap();
            assert_eq!(again, setup.otpauth);
        }
        let id = Some("123456789012");
        let uri = |label: &str| ["otpauth://totp/", label, "?secret=", SECRET].concat();
        let none = (None, None);
        check(
            &uri("Amazon%20Web%20Services:alice%40123456789012"),
            none,
            "Amazon Web Services:alice@123456789012",
            Some((id, "alice")),
        );
        check(&[" ", &uri("AWS%20SSO:bob"), "\n"].concat(), none, "AWS SSO:bob", Some((None, "bob")));
        check(&uri("GitHub:carol"), none, "GitHub:carol", None);
        check(&uri("carol"), (Some("GitHub"), None), "GitHub:carol", None);
        check(&uri("GitHub:carol"), (None, Some("dave")), "GitHub:dave", None);
        let aws = (Some("Amazon Web Services"), Some("phone@acme-dev"));
        check(
            "jbsw y3dp ehpk 3pxp",
            aws,
            "Amazon Web Services:phone@acme-dev",
            Some((Some("acme-dev"), "phone")),
        );
        check(SECRET, (Some(" "), Some("x")), "x", None);
        let aws = Setup::read(&uri("AWS%20SSO:bob"), None, None).unwrap().aws().unwrap();
        assert_eq!(aws.flow, AwsFlow::IdentityCenter);
    }

    #[test]
    fn what_sets_up_nothing_is_named() {
        #[track_caller]
        fn check(text: &str, account: Option<&str>, expected: SetupError) {
            let error = Setup::read(text, None, account).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("JBSW"));
        }
        check("https://example.org/", None, SetupError::NotOtpAuth);
        check("https://example.org/", Some("x"), SetupError::NotOtpAuth);
        check("", Some("x"), SetupError::NotOtpAuth);
        check(SECRET, None, SetupError::NoAccount);
        check(SECRET, Some("  "), SetupError::NoAccount);
        check("otpauth-migration://offline?data=AAAA", None, SetupError::Migration);
        check("OTPAUTH-MIGRATION://offline", Some("x"), SetupError::Migration);
        check("otpauth://hotp/x?secret=JBSWY3DP&counter=0", None, SetupError::Hotp);
        check("otpauth:totp/x", None, OtpAuthError::Scheme.into());
        check("otpauth://totp/x", None, OtpAuthError::NoSecret.into());
        check("otpauth://totp/?secret=JBSWY3DP", None, OtpAuthError::Id(IdError::Empty).into());
        for hidden in ["%1B%5B31m", "%E2%80%AE", "%0A", "%C2%9B", "%E2%80%8B", "%E2%81%A9"] {
            let uri = ["otpauth://totp/Amazon%20Web%20Services:a", hidden, "b?secret=JBSWY3DP"].concat();
            check(&uri, None, SetupError::Invisible);
        }
        check(SECRET, Some("a\u{202E}b"), SetupError::Invisible);
        check(SECRET, Some(&"x".repeat(257)), SetupError::LongName);
        check(&["otpauth://totp/", &"x".repeat(10_000)].concat(), None, OtpAuthError::TooLong.into());
    }

    #[test]
    fn free_names() {
        #[track_caller]
        fn check(name: &str, taken: &[&str], expected: &str) {
            let taken: Vec<String> = taken.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(free_name(name, &taken), expected);
            assert_eq!(
                aws::login(expected).map(|login| (login.account, login.flow)),
                aws::login(name).map(|login| (login.account, login.flow))
            );
        }
        let alice = "Amazon Web Services:alice@123456789012";
        let second = "Amazon Web Services:alice-2@123456789012";
        check(alice, &[], alice);
        check(alice, &["Amazon Web Services:bob@123456789012"], alice);
        check(alice, &[alice], second);
        check(alice, &[alice, second], "Amazon Web Services:alice-3@123456789012");
        check(second, &[second], "Amazon Web Services:alice-3@123456789012");
        check("AWS SSO:bob", &["AWS SSO:bob"], "AWS SSO:bob-2");
        check("AWS SSO:bob-99", &["AWS SSO:bob-99"], "AWS SSO:bob-100");
        check("AWS SSO:bob-100", &["AWS SSO:bob-100"], "AWS SSO:bob-100-2");
        check(
            "Amazon Web Services:me@example.com",
            &["Amazon Web Services:me@example.com"],
            "Amazon Web Services:me@example.com-2",
        );
        check(
            "Amazon Web Services:x@acme-2",
            &["Amazon Web Services:x@acme-2"],
            "Amazon Web Services:x-2@acme-2",
        );
        let arn = "arn:aws:iam::123456789012:mfa/team/alice";
        check(arn, &[arn], "arn:aws:iam::123456789012:mfa/team/alice-2");
        check("GitHub:carol", &["GitHub:carol"], "GitHub:carol-2");
        check("-", &["-"], "--2");
        check("a-05", &["a-05"], "a-05-2");
    }

    #[test]
    fn a_name_that_was_shortened_is_taken() {
        let name = ["Amazon Web Services:", &"x".repeat(60), "@123456789012"].concat();
        let kept = CredentialId::for_name(Kind::Totp, PERIOD, &name).unwrap().name(Kind::Totp);
        assert_ne!(kept, name);
        let free = free_name(&name, &[kept]);
        assert_eq!(free, ["Amazon Web Services:", &"x".repeat(60), "-2@123456789012"].concat());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(otpauth(-migration)?://)?[ -~\u{80}-\u{2100}]{0,200}", name in ".{0,80}") {
            let _ = Setup::read(&text, Some(&name), Some(&name));
            let _ = Setup::read(&text, None, None);
        }

        #[test]
        fn a_free_name_is_free(name in "(Amazon Web Services:|AWS SSO:)?[a-z@0-9-]{1,70}", others in 0_usize..5) {
            let mut taken: Vec<String> = Vec::new();
            for _ in 0..=others {
                let free = free_name(&name, &taken);
                prop_assert!(!taken.contains(&free));
                taken.push(free);
            }
        }
    }
}
