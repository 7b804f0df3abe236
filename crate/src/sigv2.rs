//! Signature Version 2 for S3-compatible servers that want it: HMAC-SHA1 over a string to sign, with the secret itself.
//!
//! The signature is a key's to make, so that everything comes in two halves: [`S3Request::string_to_sign`] says over what,
//! [`authorization`] and [`S3Request::link`] take the 20 bytes. A card takes the whole string to sign as its
//! challenge, in one short APDU: [`check_challenge`].
//!
//! What this is not: Signature Version 2 of other services, which is another. AWS itself takes it in its oldest
//! regions only, and for no new bucket.
//!
//! Source: "Signing and Authenticating REST Requests" (Signature Version 2), Amazon S3 User Guide. The list of
//! sub-resources is botocore's.

use core::fmt;

use crate::apdu;
use crate::message::Scheme;
use crate::oath::CredentialId;
use crate::sigv4::{
    CanonicalRequestError, X_AMZ_DATE, X_AMZ_SECURITY_TOKEN, check_header, check_method, compare_names,
    encode_query, put_lower,
};

/// Length of a signature in bytes.
pub const SIGNATURE_LEN: usize = 20;

/// Parameters that are signed; all others are not.
#[rustfmt::skip]
pub const SUB_RESOURCES: [&str; 35] = [
    "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location",
    "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
    "response-cache-control", "response-content-disposition", "response-content-encoding",
    "response-content-language", "response-content-type", "response-expires", "restore", "select", "select-type",
    "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
];

/// A request to S3.
#[derive(Clone, Copy)]
pub struct S3Request<'a> {
    /// Any method.
    pub method: &'a str,
    /// The bucket, if it stands in the host's name; else empty.
    pub bucket: &'a str,
    /// The path as it is sent, encoded; with the bucket, if that does not stand in the host's name.
    pub path: &'a str,
    /// Names and values, not encoded, in any order; `None` for a name without `=`.
    pub query: &'a [(&'a str, Option<&'a str>)],
    /// The headers, in any order and case.
    pub headers: &'a [(&'a str, &'a str)],
    /// That of temporary credentials.
    pub session_token: Option<&'a str>,
}

/// Values of headers may be secrets: only names are printed.
impl fmt::Debug for S3Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Request")
            .field("method", &self.method)
            .field("bucket", &self.bucket)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("session_token", &self.session_token.map(|_| "…"))
            .finish()
    }
}

/// When a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When<'a> {
    /// Signed in its headers: the value of its header Date ([`crate::sigv4::AmzDate::to_http_date`]). If the request has
    /// an `x-amz-date`, that one is signed instead.
    Date(&'a str),
    /// Signed in its query: Unix time in seconds after which it is refused.
    Expires(u64),
}

/// Why a request cannot be signed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigV2Error {
    /// The method, or a header's name or value.
    #[error(transparent)]
    Request(#[from] CanonicalRequestError),
    /// A line break or another control character, which would make the string to sign ambiguous.
    #[error("the {0} has control characters in it")]
    Control(&'static str),
    /// A header that is signed by itself.
    #[error("the header {0:?} cannot be given: it is signed anyway")]
    Header(String),
    /// Empty, or anything but printable ASCII. It is a secret, and is not printed.
    #[error("the session token is empty or has characters other than printable ASCII in it")]
    SessionToken,
    /// More than a card takes at once.
    #[error(
        "what is to be signed has {len} bytes, and the key takes {max} at once: take a shorter name or fewer headers and \
         parameters, or sign with Signature Version 4"
    )]
    TooLong {
        /// In bytes.
        len: usize,
        /// In bytes.
        max: usize,
    },
}

/// Longest challenge in bytes that fits one short APDU beside a credential's id: 217 for an identity's of 33 bytes.
#[must_use]
pub fn max_challenge(id: &CredentialId) -> usize {
    // Tag, length and value; lengths of 128 and more take two bytes.
    let tlv = |len: usize| len + if len < 128 { 2 } else { 3 };
    let room = apdu::MAX_DATA.saturating_sub(tlv(id.as_bytes().len()));
    (0..room).rev().find(|len| tlv(*len) <= room).unwrap_or_default()
}

/// Whether a card can sign this, whose credential is `id`.
///
/// # Errors
/// [`SigV2Error::TooLong`]
pub fn check_challenge(id: &CredentialId, string_to_sign: &str) -> Result<(), SigV2Error> {
    let (len, max) = (string_to_sign.len(), max_challenge(id));
    if len > max { Err(SigV2Error::TooLong { len, max }) } else { Ok(()) }
}

/// The value of the header Authorization.
#[must_use]
pub fn authorization(access_key_id: &str, signature: &[u8; SIGNATURE_LEN]) -> String {
    format!("AWS {access_key_id}:{}", base64(signature))
}

/// A signature, or a policy, as requests carry it.
pub(crate) fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}

impl<'a> S3Request<'a> {
    /// What is to be signed.
    ///
    /// # Errors
    /// [`SigV2Error`] if a part breaks a rule.
    pub fn string_to_sign(&self, when: When<'_>) -> Result<String, SigV2Error> {
        self.check()?;
        let mut out = Vec::with_capacity(256);
        let line = |out: &mut Vec<u8>, text: &str| {
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        };
        line(&mut out, self.method);
        line(&mut out, self.header("content-md5"));
        line(&mut out, self.header("content-type"));
        match when {
            When::Date(date) => {
                check_header("date", date)?;
                let other = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(X_AMZ_DATE));
                line(&mut out, if other { "" } else { date });
            }
            When::Expires(unix) => line(&mut out, &unix.to_string()),
        }
        self.put_amz_headers(&mut out);
        self.put_resource(&mut out);
        // Put together from strings.
        Ok(String::from_utf8(out).unwrap_or_default())
    }

    /// The link of a request that is signed in its query, by a signature over its string to sign with
    /// [`When::Expires`]. It must carry the headers that it was signed with.
    #[must_use]
    pub fn link(
        &self,
        scheme: Scheme,
        host: &str,
        access_key_id: &str,
        expires: u64,
        signature: &[u8; SIGNATURE_LEN],
    ) -> String {
        let mut out = Vec::with_capacity(256);
        for part in [scheme.as_str(), "://", host, self.path] {
            out.extend_from_slice(part.as_bytes());
        }
        let (expires, signature) = (expires.to_string(), base64(signature));
        // In botocore's order.
        let own = [
            ("AWSAccessKeyId", Some(access_key_id)),
            ("Signature", Some(signature.as_str())),
            (X_AMZ_SECURITY_TOKEN, self.session_token),
            ("Expires", Some(expires.as_str())),
        ];
        let own = own.into_iter().filter(|(name, value)| *name != X_AMZ_SECURITY_TOKEN || value.is_some());
        for (i, (name, value)) in self.query.iter().copied().chain(own).enumerate() {
            out.push(if i == 0 { b'?' } else { b'&' });
            encode_query(&mut out, name.as_bytes());
            if let Some(value) = value {
                out.push(b'=');
                encode_query(&mut out, value.as_bytes());
            }
        }
        // Put together from strings, and encoded to ASCII.
        String::from_utf8(out).unwrap_or_default()
    }

    fn check(&self) -> Result<(), SigV2Error> {
        let control = |text: &str| text.bytes().any(|b| b.is_ascii_control());
        check_method(self.method)?;
        for (what, text) in [("bucket", self.bucket), ("path", self.path)] {
            if control(text) {
                return Err(SigV2Error::Control(what));
            }
        }
        if self.signed_parameters().any(|(_, value)| control(value.unwrap_or_default())) {
            return Err(SigV2Error::Control("query"));
        }
        for &(name, value) in self.headers {
            check_header(name, value)?;
            if ["authorization", "date", X_AMZ_SECURITY_TOKEN]
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own))
            {
                return Err(SigV2Error::Header(name.into()));
            }
        }
        if self.session_token.is_some_and(|t| t.is_empty() || !t.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(SigV2Error::SessionToken);
        }
        Ok(())
    }

    fn header(&self, name: &str) -> &'a str {
        self.headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value.trim())
    }

    /// CanonicalizedAmzHeaders: sorted, those of one name joined by commas in their order.
    fn put_amz_headers(&self, out: &mut Vec<u8>) {
        let amz = |name: &str| name.get(..6).is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-amz-"));
        let mut headers: Vec<_> = self.headers.iter().copied().filter(|(name, _)| amz(name)).collect();
        headers.extend(self.session_token.map(|token| (X_AMZ_SECURITY_TOKEN, token)));
        // Stable.
        headers.sort_by(|a, b| compare_names(a.0, b.0));
        let mut last = "";
        for (name, value) in headers {
            if name.eq_ignore_ascii_case(last) {
                out.pop();
                out.push(b',');
            } else {
                put_lower(out, name);
                out.push(b':');
            }
            out.extend_from_slice(value.trim().as_bytes());
            out.push(b'\n');
            last = name;
        }
    }

    /// CanonicalizedResource: the bucket, the path as it is sent, and the parameters that matter, not encoded.
    fn put_resource(&self, out: &mut Vec<u8>) {
        if !self.bucket.is_empty() {
            out.push(b'/');
            out.extend_from_slice(self.bucket.as_bytes());
        }
        out.extend_from_slice(if self.path.is_empty() { b"/" } else { self.path.as_bytes() });
        let mut parameters: Vec<_> = self.signed_parameters().collect();
        parameters.sort_by_key(|(name, _)| *name);
        for (i, (name, value)) in parameters.into_iter().enumerate() {
            out.push(if i == 0 { b'?' } else { b'&' });
            out.extend_from_slice(name.as_bytes());
            if let Some(value) = value {
                out.push(b'=');
                out.extend_from_slice(value.as_bytes());
            }
        }
    }

    fn signed_parameters(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        self.query.iter().copied().filter(|(name, _)| SUB_RESOURCES.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::IdentityName;
    use crate::message::SignatureVersion;
    use crate::oath::{CalculateFull, Request as _};
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use sha1::Sha1;

    fn sign(secret: &[u8], text: &str) -> [u8; SIGNATURE_LEN] {
        let mut mac = Hmac::<Sha1>::new_from_slice(secret).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }

    const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    /// "Signing and Authenticating REST Requests", Amazon S3 User Guide: its examples.
    #[test]
    fn examples_of_the_guide() {
        #[track_caller]
        fn check(request: S3Request<'_>, date: &str, string_to_sign: &str, signature: &str) {
            let got = request.string_to_sign(When::Date(date)).unwrap();
            assert_eq!(got, string_to_sign);
            let id = "AKIAIOSFODNN7EXAMPLE";
            assert_eq!(authorization(id, &sign(SECRET, &got)), format!("AWS {id}:{signature}"));
        }
        let plain = S3Request {
            method: "GET",
            bucket: "awsexamplebucket1",
            path: "/",
            query: &[],
            headers: &[],
            session_token: None,
        };
        check(
            S3Request { path: "/photos/puppy.jpg", ..plain },
            "Tue, 27 Mar 2007 19:36:42 +0000",
            "GET\n\n\nTue, 27 Mar 2007 19:36:42 +0000\n/awsexamplebucket1/photos/puppy.jpg",
            "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
        );
        check(
            S3Request {
                method: "PUT",
                path: "/photos/puppy.jpg",
                headers: &[("Content-Type", "image/jpeg"), ("Content-Length", "94328")],
                ..plain
            },
            "Tue, 27 Mar 2007 21:15:45 +0000",
            "PUT\n\nimage/jpeg\nTue, 27 Mar 2007 21:15:45 +0000\n/awsexamplebucket1/photos/puppy.jpg",
            "iqRzw+ileNPu1fhspnRs8nOjjIA=",
        );
        check(
            S3Request {
                query: &[("prefix", Some("photos")), ("max-keys", Some("50")), ("marker", Some("puppy"))],
                headers: &[("User-Agent", "Mozilla/5.0")],
                ..plain
            },
            "Tue, 27 Mar 2007 19:42:41 +0000",
            "GET\n\n\nTue, 27 Mar 2007 19:42:41 +0000\n/awsexamplebucket1/",
            "m0WP8eCtspQl5Ahe6L1SozdX9YA=",
        );
        check(
            S3Request { query: &[("acl", None)], ..plain },
            "Tue, 27 Mar 2007 19:44:46 +0000",
            "GET\n\n\nTue, 27 Mar 2007 19:44:46 +0000\n/awsexamplebucket1/?acl",
            "82ZHiFIjc+WbcwFKGUVEQspPn+0=",
        );
        check(
            S3Request {
                method: "PUT",
                bucket: "static.awsexamplebucket1.net",
                path: "/db-backup.dat.gz",
                headers: &[
                    ("User-Agent", "curl/7.15.5"),
                    ("x-amz-acl", "public-read"),
                    ("content-type", "application/x-download"),
                    ("Content-MD5", "4gJE4saaMU4BqNR0kLY+lw=="),
                    ("X-Amz-Meta-ReviewedBy", "joe@awsexamplebucket1.net"),
                    ("X-Amz-Meta-ReviewedBy", "jane@awsexamplebucket1.net"),
                    ("X-Amz-Meta-FileChecksum", "0x02661779"),
                    ("X-Amz-Meta-ChecksumAlgorithm", "crc32"),
                    ("Content-Encoding", "gzip"),
                ],
                ..plain
            },
            "Tue, 27 Mar 2007 21:06:08 +0000",
            "PUT\n4gJE4saaMU4BqNR0kLY+lw==\napplication/x-download\nTue, 27 Mar 2007 21:06:08 +0000\n\
             x-amz-acl:public-read\nx-amz-meta-checksumalgorithm:crc32\nx-amz-meta-filechecksum:0x02661779\n\
             x-amz-meta-reviewedby:joe@awsexamplebucket1.net,jane@awsexamplebucket1.net\n\
             /static.awsexamplebucket1.net/db-backup.dat.gz",
            "dKZcB+bz2EPXgSdXZp9ozGeOM4I=",
        );
        check(
            S3Request { bucket: "", ..plain },
            "Wed, 28 Mar 2007 01:29:59 +0000",
            "GET\n\n\nWed, 28 Mar 2007 01:29:59 +0000\n/",
            "qGdzdERIC03wnaRNKh6OqZehG9s=",
        );
        check(
            S3Request { bucket: "", path: "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re", ..plain },
            "Wed, 28 Mar 2007 01:49:49 +0000",
            "GET\n\n\nWed, 28 Mar 2007 01:49:49 +0000\n/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re",
            "DNEZGsoieTZ92F3bUfSPQcbGmlM=",
        );

        // "Query String Request Authentication Alternative", whose bucket was of another name.
        let request = S3Request { bucket: "johnsmith", path: "/photos/puppy.jpg", ..plain };
        let got = request.string_to_sign(When::Expires(1_175_139_620)).unwrap();
        assert_eq!(got, "GET\n\n\n1175139620\n/johnsmith/photos/puppy.jpg");
        assert_eq!(base64(&sign(SECRET, &got)), "NpgCjnDzrM+WFzoENXmpNDUsSn8=");
    }

    #[test]
    fn what_is_signed() {
        let request = S3Request {
            method: "PUT",
            bucket: "",
            path: "/b/k%20",
            query: &[
                ("versionId", Some("a+b/=")),
                ("uploads", None),
                ("acl", Some("")),
                ("x-id", Some("PutObject")),
            ],
            headers: &[
                ("X-Amz-Meta-B", " 2  3 "),
                ("content-MD5", " md5 "),
                ("x-amz-meta-a", "1"),
                ("x-amz-meta-b", "4"),
                ("Range", "bytes=0-9"),
            ],
            session_token: Some("token+/="),
        };
        let other = S3Request { headers: &[("X-AMZ-Date", "Tue, 27 Mar 2007 21:20:26 +0000")], ..request };
        let expected = "PUT\n\n\n\nx-amz-date:Tue, 27 Mar 2007 21:20:26 +0000\nx-amz-security-token:token+/=\n\
                        /b/k%20?acl=&uploads&versionId=a+b/=";
        assert_eq!(other.string_to_sign(When::Date("Tue, 27 Mar 2007 21:20:27 +0000")).unwrap(), expected);

        let expected = "PUT\nmd5\n\n1175139620\nx-amz-meta-a:1\nx-amz-meta-b:2  3,4\nx-amz-security-token:token+/=\n\
                        /b/k%20?acl=&uploads&versionId=a+b/=";
        assert_eq!(request.string_to_sign(When::Expires(1_175_139_620)).unwrap(), expected);
        assert_eq!(
            request.link(Scheme::Http, "127.0.0.1:9000", "AKID", 1_175_139_620, &[0xFB; 20]),
            "http://127.0.0.1:9000/b/k%20?versionId=a%2Bb%2F%3D&uploads&acl=&x-id=PutObject\
             &AWSAccessKeyId=AKID&Signature=%2B%2Fv7%2B%2Fv7%2B%2Fv7%2B%2Fv7%2B%2Fv7%2B%2Fv7%2B%2Fs%3D\
             &x-amz-security-token=token%2B%2F%3D&Expires=1175139620"
        );
        assert!(!format!("{request:?}").contains("token+"));
    }

    #[test]
    fn ambiguous_parts_are_refused() {
        #[track_caller]
        fn check(request: S3Request<'_>, expected: SigV2Error) {
            assert_eq!(request.string_to_sign(When::Expires(0)), Err(expected));
        }
        let plain =
            S3Request { method: "GET", bucket: "", path: "/", query: &[], headers: &[], session_token: None };
        let wrong = SigV2Error::Request;
        check(S3Request { method: "G T", ..plain }, wrong(CanonicalRequestError::Method("G T".into())));
        check(S3Request { path: "/\n", ..plain }, SigV2Error::Control("path"));
        check(S3Request { bucket: "b\n", ..plain }, SigV2Error::Control("bucket"));
        check(S3Request { query: &[("acl", Some("\n"))], ..plain }, SigV2Error::Control("query"));
        check(
            S3Request { headers: &[("a", "\n")], ..plain },
            wrong(CanonicalRequestError::Value("a".into())),
        );
        check(S3Request { headers: &[("Date", "")], ..plain }, SigV2Error::Header("Date".into()));
        check(S3Request { session_token: Some("a\nb"), ..plain }, SigV2Error::SessionToken);
        assert!(plain.string_to_sign(When::Date("a\nb")).is_err());
        assert!(S3Request { query: &[("q", Some("\n"))], ..plain }.string_to_sign(When::Expires(0)).is_ok());
    }

    /// The longest challenge is what the command can hold, and no byte less.
    #[test]
    fn challenges_fit_one_apdu() {
        let identity =
            IdentityName::new("AKIAIOSFODNN7EXAMPLE", SignatureVersion::HmacV1).unwrap().id().unwrap();
        assert_eq!(max_challenge(&identity), 217);
        for name_len in 1..=64 {
            let id = CredentialId::from_bytes("n".repeat(name_len).as_bytes()).unwrap();
            let max = max_challenge(&id);
            let command = |len| CalculateFull { id: id.clone(), challenge: vec![b'x'; len] }.command();
            assert!(command(max).is_ok() && command(max + 1).is_err(), "{name_len}");
            assert_eq!(check_challenge(&id, &"x".repeat(max)), Ok(()));
            let long = SigV2Error::TooLong { len: max + 1, max };
            assert_eq!(check_challenge(&id, &"x".repeat(max + 1)), Err(long));
        }
    }
}
