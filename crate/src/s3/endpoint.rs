//! Where a bucket is reached.

use crate::message::Scheme;
use crate::partition::{Partition, is_aws_host, is_region};
use crate::sigv4::{Scope, ScopeError};

/// An S3 server and the region it signs for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    /// Host and port, without bucket.
    authority: String,
    region: String,
    style: Style,
}

/// Where the bucket goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Before the host, unless it has dots in it: those would not match the host's certificate.
    VirtualHosted,
    /// First in the path.
    Path,
}

/// Why something is no [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// AWS has no such region.
    #[error("{0:?} is no AWS region: give one such as eu-west-1, or an endpoint if the server is not AWS")]
    Region(String),
    /// A region that cannot be signed for.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// Neither `https://HOST[:PORT]` nor `http://HOST[:PORT]`.
    #[error(
        "{0:?} is no endpoint: give https://HOST, or http://HOST:PORT for a local server, and nothing after it"
    )]
    Url(String),
    /// Reached by its region.
    #[error("{0:?} is AWS itself: leave the endpoint out and give the region")]
    Aws(String),
}

impl Endpoint {
    /// AWS's endpoint of a region: `BUCKET.s3.REGION.amazonaws.com`, or `s3.REGION.amazonaws.com/BUCKET` for
    /// buckets with dots; always https.
    ///
    /// # Errors
    /// [`EndpointError::Region`] if `region` does not have the shape of one.
    pub fn aws(region: &str) -> Result<Self, EndpointError> {
        if !is_region(region) {
            return Err(EndpointError::Region(region.into()));
        }
        let authority = ["s3.", region, ".", Partition::of_region(region).dns_suffix].concat();
        Ok(Self { scheme: Scheme::Https, authority, region: region.into(), style: Style::VirtualHosted })
    }

    /// Another server: `https://HOST[:PORT]` or `http://HOST[:PORT]`, buckets in the path. `region` is whatever
    /// it signs for, often `us-east-1`.
    ///
    /// # Errors
    /// [`EndpointError`] if the URL is another or AWS's own, or the region cannot be in a scope.
    pub fn custom(url: &str, region: &str) -> Result<Self, EndpointError> {
        let error = || EndpointError::Url(url.into());
        let lower = url.to_ascii_lowercase();
        let (scheme, rest) = if let Some(rest) = lower.strip_prefix("https://") {
            (Scheme::Https, rest)
        } else if let Some(rest) = lower.strip_prefix("http://") {
            (Scheme::Http, rest)
        } else {
            return Err(error());
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_authority(authority).ok_or_else(error)?;
        if is_aws_host(host) {
            return Err(EndpointError::Aws(url.into()));
        }
        // Clients leave the scheme's own port out of the Host header.
        let authority = if port == Some(default_port(scheme)) { host } else { authority };
        Self::other(scheme, authority, region)
    }

    /// Another server, from what a Host header says.
    pub(super) fn other(scheme: Scheme, authority: &str, region: &str) -> Result<Self, EndpointError> {
        check_region(region)?;
        Ok(Self { scheme, authority: authority.into(), region: region.into(), style: Style::Path })
    }

    /// The same with the bucket always in the path.
    #[must_use]
    pub fn path_style(mut self) -> Self {
        self.style = Style::Path;
        self
    }

    /// How it is reached.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host, and port unless it is the scheme's own, without bucket.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The region it signs for.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The bucket in the host, and the bucket in the path: one of them is empty.
    pub(super) fn place<'a>(&self, bucket: &'a str) -> (&'a str, &'a str) {
        match self.style {
            Style::VirtualHosted if !bucket.contains('.') => (bucket, ""),
            _ => ("", bucket),
        }
    }
}

/// The port that needs no mention.
pub(super) fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Https => 443,
        Scheme::Http => 80,
    }
}

/// Whether `region` can be in a credential scope.
fn check_region(region: &str) -> Result<(), ScopeError> {
    // The date does not matter here.
    let epoch = crate::sigv4::AmzDate::from_unix(0).map_err(|_| ScopeError::Region(region.into()))?;
    Scope::new(&epoch, region, super::SERVICE).map(drop)
}

/// Host and port of a lower-case `HOST[:PORT]`: a name, an IPv4 address, or an IPv6 address in brackets. `None`
/// for user names, other characters, empty labels, a dot at the end, and ports that are no plain number.
pub(super) fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let label = |l: &str| {
        (1..=63).contains(&l.len()) && l.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    let good = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|ip| {
            ip.len() >= 2 && ip.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b':' | b'.'))
        }),
        None => host.len() <= 253 && host.split('.').all(label),
    };
    let port = match port {
        // No sign, no leading zero, not 0.
        Some(p) if p.bytes().all(|b| b.is_ascii_digit()) && !p.starts_with('0') => Some(p.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    good.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_is_reached_by_region() {
        #[track_caller]
        fn check(region: &str, bucket: &str, expected: Option<(&str, &str)>) {
            let got = Endpoint::aws(region).ok().map(|endpoint| {
                let (host, path) = endpoint.place(bucket);
                let dot = if host.is_empty() { "" } else { "." };
                (format!("{host}{dot}{}", endpoint.authority()), path.to_owned())
            });
            assert_eq!(got, expected.map(|(h, p)| (h.to_owned(), p.to_owned())), "{region}");
        }
        check("us-east-1", "b-1", Some(("b-1.s3.us-east-1.amazonaws.com", "")));
        check("us-east-1", "b.1", Some(("s3.us-east-1.amazonaws.com", "b.1")));
        check("cn-north-1", "b-1", Some(("b-1.s3.cn-north-1.amazonaws.com.cn", "")));
        check("us-gov-west-1", "b-1", Some(("b-1.s3.us-gov-west-1.amazonaws.com", "")));
        check("eusc-de-east-1", "b-1", Some(("b-1.s3.eusc-de-east-1.amazonaws.eu", "")));
        for bad in ["", "auto", "us-east-1.evil.test/", "US-EAST-1"] {
            check(bad, "b-1", None);
        }
        assert_eq!(Endpoint::aws("us-east-1").unwrap().path_style().place("b-1"), ("", "b-1"));
    }

    #[test]
    fn other_servers_are_reached_by_url() {
        type Error = fn(String) -> EndpointError;
        #[track_caller]
        fn check(url: &str, expected: Result<(Scheme, &str), Error>) {
            let got = Endpoint::custom(url, "us-east-1").map(|e| (e.scheme(), e.authority().to_owned()));
            assert_eq!(got, expected.map(|(s, a)| (s, a.to_owned())).map_err(|f| f(url.into())), "{url}");
        }
        check("http://127.0.0.1:9000", Ok((Scheme::Http, "127.0.0.1:9000")));
        check("HTTP://LocalHost:80/", Ok((Scheme::Http, "localhost")));
        check("https://minio.example.com:443", Ok((Scheme::Https, "minio.example.com")));
        check("https://minio.example.com:80", Ok((Scheme::Https, "minio.example.com:80")));
        check("http://[::1]:9000", Ok((Scheme::Http, "[::1]:9000")));
        check("https://[fe80::1]/", Ok((Scheme::Https, "[fe80::1]")));
        for bad in [
            "",
            "localhost:9000",
            "ftp://h",
            "https://",
            "https://h/path",
            "https://h?x",
            "https://h#x",
            "https://user@h",
            "https://h:",
            "https://h:0",
            "https://h:080",
            "https://h:65536",
            "https://h:+1",
            "https://h.",
            "https://.h",
            "https://h..i",
            "https://h\\i",
            "https://h\n",
            "https://ü.example",
            "https://[::1",
            "https://::1",
            "https://[]",
            "https://h%2e",
        ] {
            check(bad, Err(EndpointError::Url));
        }
        for aws in ["https://s3.us-east-1.amazonaws.com", "http://amazonaws.com:9000"] {
            check(aws, Err(EndpointError::Aws));
        }
        assert!(matches!(Endpoint::custom("http://h", "a/b"), Err(EndpointError::Scope(_))));
        assert_eq!(Endpoint::custom("http://h", "garage").unwrap().region(), "garage");
    }
}
