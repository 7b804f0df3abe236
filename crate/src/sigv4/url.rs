//! The URL of a request to be signed, taken apart and spelled so that what is sent is what is signed.

use core::fmt;

use super::encode::recode_path;
use crate::message::Scheme;

/// An absolute http or https URL.
///
/// Path and query are spelled anew, by the encoding that is signed: what may be written in several ways in a URL is
/// written in the one way that a server arrives at. Dot segments stay, for in S3 they are parts of keys: an HTTP client
/// that resolves them sends another path than was signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    host: String,
    path: String,
    query: String,
}

/// Why something is no [`Url`] of a request. The URL may hold secrets, and is not printed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Neither `http://` nor `https://`.
    #[error("the URL must begin with https:// or http://")]
    Scheme,
    /// Name and password before the host.
    #[error("the URL has a user's name in it: take what stands before @ out of it")]
    User,
    /// No host, or no host's name.
    #[error("{0:?} is no host: give one such as sts.eu-west-1.amazonaws.com or 127.0.0.1:9000")]
    Host(String),
    /// Control characters.
    #[error("the URL has control characters in it")]
    Control,
}

impl Url {
    /// Reads a URL. A fragment is left out, for it is never sent.
    ///
    /// # Errors
    /// [`UrlError`]
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.chars().any(char::is_control) {
            return Err(UrlError::Control);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = [Scheme::Https, Scheme::Http]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(scheme))
            .ok_or(UrlError::Scheme)?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let host = host(authority, scheme).ok_or_else(|| UrlError::Host(authority.into()))?;
        let mut out = Vec::with_capacity(path.len() + 1);
        recode_path(&mut out, path.as_bytes());
        if out.is_empty() {
            out.push(b'/');
        }
        // The encoder writes ASCII only.
        let path = String::from_utf8(out).unwrap_or_default();
        Ok(Self { scheme, host, path, query: spelled_query(query) })
    }

    /// How it is reached.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The value of the header Host: in lower case, without the scheme's own port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path, encoded once.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query without its `?`; empty if there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }
}

/// The URL to send the request to.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.host, self.path)?;
        if self.query.is_empty() { Ok(()) } else { write!(f, "?{}", self.query) }
    }
}

/// A query may hold secrets.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = if self.query.is_empty() { "" } else { "?…" };
        write!(f, "{}://{}{}{query}", self.scheme.as_str(), self.host, self.path)
    }
}

/// Only what cannot be sent is encoded; the signature decodes it all anyway.
fn spelled_query(query: &str) -> String {
    let mut out = String::with_capacity(query.len());
    for c in query.chars() {
        if c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}') {
            out.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

fn host(authority: &str, scheme: Scheme) -> Option<String> {
    let (name, port) = match authority.rsplit_once(':') {
        // Not within an address of version 6.
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (authority, None),
    };
    let good = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<core::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)),
    };
    if !good {
        return None;
    }
    let own = match scheme {
        Scheme::Https => 443,
        Scheme::Http => 80,
    };
    let mut host = name.to_ascii_lowercase();
    // An empty port is none, as RFC 3986 section 3.2.3 has it.
    if let Some(port) = port.filter(|port| !port.is_empty()) {
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse::<u16>().ok().filter(|port| digits && *port != 0)?;
        if port != own {
            host.push_str(&format!(":{port}"));
        }
    }
    Some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        #[track_caller]
        fn check(text: &str, expected: Result<(&str, &str, &str), UrlError>) {
            let url = Url::parse(text);
            assert_eq!(
                url.as_ref().map(|url| (url.host(), url.path(), url.query())),
                expected.as_ref().copied()
            );
            if let Ok(url) = url {
                assert_eq!(Url::parse(&url.to_string()), Ok(url), "spelled anew it is the same");
            }
        }
        check("https://h", Ok(("h", "/", "")));
        check("HTTPS://Example.COM:443?a=b#c", Ok(("example.com", "/", "a=b")));
        check("http://h:80/a//../b", Ok(("h", "/a//../b", "")));
        check("http://h:443/", Ok(("h:443", "/", "")));
        check("https://h:/", Ok(("h", "/", "")));
        check("https://[::1]:9000/x", Ok(("[::1]:9000", "/x", "")));
        check(
            "https://h/a b(1)%2f%7eü?q=ü \"&r=%2f+",
            Ok(("h", "/a%20b%281%29%2F~%C3%BC", "q=%C3%BC%20%22&r=%2f+")),
        );
        check("https://h/%zz", Ok(("h", "/%25zz", "")));
        check("ftp://h/", Err(UrlError::Scheme));
        check("h/", Err(UrlError::Scheme));
        check("https://u:p@h/", Err(UrlError::User));
        check("https:///", Err(UrlError::Host("".into())));
        check("https://a_b c/", Err(UrlError::Host("a_b c".into())));
        check("https://h:0/", Err(UrlError::Host("h:0".into())));
        check("https://h:65536/", Err(UrlError::Host("h:65536".into())));
        check("https://h:+1/", Err(UrlError::Host("h:+1".into())));
        check("https://[x]/", Err(UrlError::Host("[x]".into())));
        check("https://h/\n", Err(UrlError::Control));
    }

    #[test]
    fn queries_are_not_printed() {
        let url = Url::parse("https://h/a?password=hunter2").unwrap();
        assert_eq!(format!("{url:?}"), "https://h/a?…");
    }
}
