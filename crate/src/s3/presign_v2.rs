//! Links by Signature Version 2, for servers that are not AWS and want it: the same request as for Version 4, of which less
//! is signed.
//!
//! Neither the server nor parameters but [`SUB_RESOURCES`](crate::sigv2::SUB_RESOURCES) are; a header that is not is refused,
//! for it would bind nobody.
//!
//! Source: "Query String Request Authentication Alternative" in "Signing and Authenticating REST Requests" (Signature
//! Version 2), Amazon S3 User Guide.

use super::{PresignError, PresignRequest};
use crate::sigv2::{S3Request, SIGNATURE_LEN, SUB_RESOURCES, SigV2Error, When};
use crate::sigv4::encode_path;

/// Why a request cannot be a link of Signature Version 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkV2Error {
    /// What Version 4 would refuse too.
    #[error(transparent)]
    Request(#[from] PresignError),
    /// What Version 2 does.
    #[error(transparent)]
    SigV2(#[from] SigV2Error),
    /// A header that the signature would not cover.
    #[error(
        "Signature Version 2 does not sign the header {0:?}, so that nobody would be bound to it: leave it out; signed are \
         content-type, content-md5 and x-amz-*"
    )]
    NotSigned(String),
}

/// A link that wants nothing but its signature.
///
/// ```
/// use keyfob_core::s3::{Endpoint, PresignRequest};
///
/// let endpoint = Endpoint::custom("http://127.0.0.1:9000", "us-east-1")?;
/// let request = PresignRequest {
///     method: "GET",
///     endpoint: &endpoint,
///     bucket: "bucket",
///     key: "a b.txt",
///     access_key_id: "AKIAIOSFODNN7EXAMPLE",
///     time: 1_369_353_600,
///     expires: 3600,
///     session_token: None,
///     version_id: None,
///     query: &[],
///     headers: &[],
/// };
/// let link = request.prepare_v2()?;
/// assert_eq!(link.string_to_sign(), "GET\n\n\n1369357200\n/bucket/a%20b.txt");
/// // HMAC-SHA1 of it under the secret access key.
/// let signature = [0; 20];
/// assert!(link.finish(&signature).starts_with("http://127.0.0.1:9000/bucket/a%20b.txt?AWSAccessKeyId=AKIA"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LinkV2<'a> {
    request: PresignRequest<'a>,
    host: String,
    path: String,
    string_to_sign: String,
}

impl<'a> PresignRequest<'a> {
    /// The link but for its signature, by Signature Version 2. A parameter without a value is sent without `=`.
    ///
    /// # Errors
    /// [`LinkV2Error`] if a field breaks a rule.
    pub fn prepare_v2(&self) -> Result<LinkV2<'a>, LinkV2Error> {
        self.check()?;
        let bound = |name: &str| {
            let name = name.to_ascii_lowercase();
            matches!(name.as_str(), "content-type" | "content-md5") || name.starts_with("x-amz-")
        };
        if let Some((name, _)) = self.headers.iter().find(|(name, _)| !bound(name)) {
            return Err(LinkV2Error::NotSigned((*name).into()));
        }
        let (before, first) = self.endpoint.place(self.bucket);
        let dot = if before.is_empty() { "" } else { "." };
        let host = [before, dot, self.endpoint.authority()].concat();
        // A bucket too ends in one: clients that send it without sign it with one, and servers differ.
        let slash = if first.is_empty() { "" } else { "/" };
        let mut path = ["/", first, slash].concat().into_bytes();
        encode_path(&mut path, self.key.as_bytes());
        // Of ASCII alone: the bucket's name was checked.
        let path = String::from_utf8(path).unwrap_or_default();
        let link = LinkV2 { request: *self, host, path, string_to_sign: String::new() };
        let string_to_sign = link.request(&link.query()).string_to_sign(When::Expires(link.expires_at()))?;
        Ok(LinkV2 { string_to_sign, ..link })
    }
}

impl LinkV2<'_> {
    /// What is to be signed by HMAC-SHA1. A card takes it whole ([`crate::sigv2::check_challenge`]).
    #[must_use]
    pub fn string_to_sign(&self) -> &str {
        &self.string_to_sign
    }

    /// The value of the header Host. It is not signed.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// When it stops working: Unix time in seconds. It works from now on: there is no beginning in it.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.request.time.saturating_add(self.request.expires)
    }

    /// Parameters that the link has and the signature does not cover: whoever has the link can change them.
    pub fn unsigned_parameters(&self) -> impl Iterator<Item = &str> {
        self.request.parameters().map(|(name, _)| name).filter(|name| !SUB_RESOURCES.contains(name))
    }

    /// With the signature. It must carry the headers that it was signed with.
    #[must_use]
    pub fn finish(&self, signature: &[u8; SIGNATURE_LEN]) -> String {
        let (scheme, id) = (self.request.endpoint.scheme(), self.request.access_key_id);
        self.request(&self.query()).link(scheme, &self.host, id, self.expires_at(), signature)
    }

    fn query(&self) -> Vec<(&str, Option<&str>)> {
        self.request.parameters().map(|(name, value)| (name, Some(value).filter(|v| !v.is_empty()))).collect()
    }

    fn request<'b>(&'b self, query: &'b [(&'b str, Option<&'b str>)]) -> S3Request<'b> {
        let PresignRequest { method, headers, session_token, .. } = self.request;
        let (bucket, _) = self.request.endpoint.place(self.request.bucket);
        S3Request { method, bucket, path: &self.path, query, headers, session_token }
    }
}

/// Of values that may be secret nothing is printed.
impl core::fmt::Debug for LinkV2<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("LinkV2").field(&self.request).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::{Endpoint, KeyError};

    fn with<T>(
        change: impl FnOnce(&mut PresignRequest<'_>),
        then: impl FnOnce(Result<LinkV2<'_>, LinkV2Error>) -> T,
    ) -> T {
        let endpoint = Endpoint::custom("http://h.test:9000", "us-east-1").unwrap();
        let mut request = PresignRequest {
            method: "GET",
            endpoint: &endpoint,
            bucket: "bucket",
            key: "a//../ü",
            access_key_id: "AKIAIOSFODNN7EXAMPLE",
            time: 1_369_353_600,
            expires: 60,
            session_token: None,
            version_id: None,
            query: &[],
            headers: &[],
        };
        change(&mut request);
        then(request.prepare_v2())
    }

    #[test]
    fn links_are_made() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut PresignRequest<'_>), string_to_sign: &str, link: &str) {
            with(change, |prepared| {
                let prepared = prepared.unwrap();
                assert_eq!(prepared.string_to_sign(), string_to_sign);
                let (before, after) = link.split_once('…').unwrap();
                let signature =
                    "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D";
                assert_eq!(prepared.finish(&[0; 20]), [before, signature, after].concat());
                assert_eq!(prepared.expires_at(), 1_369_353_660);
            });
        }
        let hosted = Endpoint::custom("https://h.test", "us-east-1").unwrap().virtual_hosted().unwrap();
        check(
            |_| (),
            "GET\n\n\n1369353660\n/bucket/a//../%C3%BC",
            "http://h.test:9000/bucket/a//../%C3%BC?…&Expires=1369353660",
        );
        check(
            |r| r.endpoint = Box::leak(Box::new(hosted.clone())),
            "GET\n\n\n1369353660\n/bucket/a//../%C3%BC",
            "https://bucket.h.test/a//../%C3%BC?…&Expires=1369353660",
        );
        check(
            |r| {
                (r.method, r.version_id) = ("PUT", Some("a+b"));
                r.query = &[("acl", ""), ("prefix", "x y")];
                r.headers = &[("Content-Type", "text/plain"), ("X-Amz-Acl", "private"), ("content-md5", "m")];
            },
            "PUT\nm\ntext/plain\n1369353660\nx-amz-acl:private\n/bucket/a//../%C3%BC?acl&versionId=a+b",
            "http://h.test:9000/bucket/a//../%C3%BC?acl&prefix=x%20y&versionId=a%2Bb&…&Expires=1369353660",
        );
        check(
            |r| (r.key, r.query) = ("", &[("list-type", "2")]),
            "GET\n\n\n1369353660\n/bucket/",
            "http://h.test:9000/bucket/?list-type=2&…&Expires=1369353660",
        );
        check(
            |r| r.session_token = Some("t+"),
            "GET\n\n\n1369353660\nx-amz-security-token:t+\n/bucket/a//../%C3%BC",
            "http://h.test:9000/bucket/a//../%C3%BC?…&x-amz-security-token=t%2B&Expires=1369353660",
        );
    }

    #[test]
    fn what_is_not_bound_is_refused_or_named() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut PresignRequest<'_>), expected: LinkV2Error) {
            with(change, |prepared| assert_eq!(prepared.map(|_| ()), Err(expected)));
        }
        for name in ["content-length", "Cache-Control", "range", "if-match"] {
            let headers: &'static [(&str, &str)] = Vec::leak(vec![(name, "1")]);
            check(|r| r.headers = headers, LinkV2Error::NotSigned(name.into()));
        }
        check(|r| r.key = "", PresignError::Key(KeyError::Empty).into());
        check(|r| r.expires = 604_801, PresignError::Expires(604_801).into());
        check(|r| r.version_id = Some("a\nb"), SigV2Error::Control("query").into());
        check(
            |r| r.headers = &[("x-amz-security-token", "t")],
            SigV2Error::Header("x-amz-security-token".into()).into(),
        );
        with(
            |r| r.query = &[("prefix", "x"), ("acl", ""), ("max-keys", "1")],
            |prepared| {
                let prepared = prepared.unwrap();
                assert_eq!(prepared.unsigned_parameters().collect::<Vec<_>>(), ["prefix", "max-keys"]);
            },
        );
        with(
            |r| r.headers = &[("x-amz-server-side-encryption-customer-key", "hunter2")],
            |prepared| assert!(!format!("{prepared:?}").contains("hunter2")),
        );
    }
}
