//! Credential scope: what a signing key may sign.

use core::fmt;

use super::{AmzDate, TERMINATOR};

/// `YYYYMMDD/REGION/SERVICE/aws4_request`.
///
/// Kept as text, inline, for that is how it is used: it is signed, and it is part of the credential.
#[derive(Clone, Copy)]
pub struct Scope {
    text: [u8; Self::MAX_LEN],
    len: u8,
    region_end: u8,
    service_end: u8,
}

/// Why something is no [`Scope`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// Empty, too long, or with characters that no region has.
    #[error("{0:?} is no region: give 1 to 48 letters, digits, `-`, `_` or `.`, such as eu-west-1")]
    Region(String),
    /// Empty, too long, or with characters that no service has.
    #[error("{0:?} is no service: give 1 to 32 letters, digits, `-`, `_` or `.`, such as s3")]
    Service(String),
}

impl Scope {
    /// Longest region in bytes.
    pub const MAX_REGION: usize = 48;

    /// Longest service in bytes.
    pub const MAX_SERVICE: usize = 32;

    /// Longest scope in bytes.
    pub const MAX_LEN: usize =
        AmzDate::DATE_LEN + 1 + Self::MAX_REGION + 1 + Self::MAX_SERVICE + 1 + TERMINATOR.len();

    const REGION_START: usize = AmzDate::DATE_LEN + 1;

    /// The scope of the day `date` falls on.
    ///
    /// # Errors
    /// [`ScopeError`] if region or service is empty, too long, or holds anything but ASCII letters, digits,
    /// `-`, `_` and `.`: neither then needs an encoding, nor can be taken for two.
    pub fn new(date: &AmzDate, region: &str, service: &str) -> Result<Self, ScopeError> {
        if !is_name(region, Self::MAX_REGION) {
            return Err(ScopeError::Region(region.into()));
        }
        if !is_name(service, Self::MAX_SERVICE) {
            return Err(ScopeError::Service(service.into()));
        }
        let mut text = [0; Self::MAX_LEN];
        let mut len = 0;
        let mut put = |part: &[u8]| {
            if let Some(to) = text.get_mut(len..len + part.len()) {
                to.copy_from_slice(part);
                len += part.len();
            }
            len
        };
        put(date.date());
        put(b"/");
        let region_end = put(region.as_bytes());
        put(b"/");
        let service_end = put(service.as_bytes());
        put(b"/");
        let len = put(TERMINATOR.as_bytes());
        // All at most MAX_LEN, which is under 256.
        let byte = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
        Ok(Self { text, len: byte(len), region_end: byte(region_end), service_end: byte(service_end) })
    }

    /// The whole, as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The whole.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always ASCII.
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// `YYYYMMDD`.
    #[must_use]
    pub fn date(&self) -> &str {
        self.as_str().get(..AmzDate::DATE_LEN).unwrap_or_default()
    }

    /// Such as `eu-west-1`.
    #[must_use]
    pub fn region(&self) -> &str {
        self.as_str().get(Self::REGION_START..usize::from(self.region_end)).unwrap_or_default()
    }

    /// Such as `s3`.
    #[must_use]
    pub fn service(&self) -> &str {
        self.as_str().get(usize::from(self.region_end) + 1..usize::from(self.service_end)).unwrap_or_default()
    }
}

/// Whether `text` can be a region or a service.
fn is_name(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Scope {}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_spelled_and_taken_apart() {
        let date = AmzDate::from_unix(1_369_353_600).unwrap();
        #[track_caller]
        fn check(date: &AmzDate, region: &str, service: &str, expected: Result<&str, ScopeError>) {
            let scope = Scope::new(date, region, service);
            assert_eq!(scope.as_ref().map(Scope::as_str), expected.as_ref().copied());
            if let Ok(scope) = scope {
                assert_eq!((scope.date(), scope.region(), scope.service()), ("20130524", region, service));
            }
        }
        let long = "r".repeat(Scope::MAX_REGION);
        let service = "s".repeat(Scope::MAX_SERVICE);
        check(&date, "us-east-1", "s3", Ok("20130524/us-east-1/s3/aws4_request"));
        check(&date, "a", "b", Ok("20130524/a/b/aws4_request"));
        check(&date, &long, &service, Ok(&format!("20130524/{long}/{service}/aws4_request")));
        check(&date, "", "s3", Err(ScopeError::Region("".into())));
        check(&date, "us/east", "s3", Err(ScopeError::Region("us/east".into())));
        check(&date, "a\nb", "s3", Err(ScopeError::Region("a\nb".into())));
        let longer = "r".repeat(Scope::MAX_REGION + 1);
        check(&date, &longer, "s3", Err(ScopeError::Region(longer.clone())));
        check(&date, "us-east-1", "", Err(ScopeError::Service("".into())));
        check(&date, "us-east-1", "s3/", Err(ScopeError::Service("s3/".into())));
    }
}
