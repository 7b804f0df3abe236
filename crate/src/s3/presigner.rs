//! Links that differ in the object's key alone.

use super::presign::{Layout, PresignError, PresignRequest, SIGNATURE, finish};
use super::{KeyError, check_key};
use crate::sigv4::encode::encode_path;
use crate::sigv4::{SigningKey, SigningKeyAt};

/// Makes links that differ in the object's key alone. What is the same for all of them is checked, sorted, encoded and, where
/// it begins a string to sign, hashed once. What it signs with is erased on drop.
///
/// ```
/// use keyfob_core::s3::{Endpoint, PresignRequest, Presigner};
/// use keyfob_core::sigv4::{AmzDate, DateKey};
///
/// let endpoint = Endpoint::aws("eu-west-1")?;
/// let time = 1_369_353_600;
/// let request = PresignRequest {
///     method: "GET",
///     endpoint: &endpoint,
///     bucket: "bucket",
///     key: "",
///     access_key_id: "AKIAIOSFODNN7EXAMPLE",
///     time,
///     expires: 3600,
///     session_token: None,
///     version_id: None,
///     query: &[],
///     headers: &[],
/// };
/// let date_key = DateKey::from_secret(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", AmzDate::from_unix(time)?);
/// let signing_key = date_key.signing_key("eu-west-1", "s3")?;
/// let presigner = Presigner::new(&request, &signing_key)?;
/// let mut links = Vec::new();
/// for key in ["a.txt", "b.txt"] {
///     presigner.presign_into(key, &mut links)?;
///     links.push(b'\n');
/// }
/// let second = String::from_utf8(links)?.lines().nth(1).map(str::to_owned);
/// assert_eq!(second, Some(PresignRequest { key: "b.txt", ..request }.presign(&signing_key)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Presigner {
    signing_key: SigningKeyAt,
    /// Scheme and host.
    origin: Vec<u8>,
    /// Method, line break, and the path up to the key.
    before: Vec<u8>,
    /// How much of that is not path.
    method: usize,
    /// The canonical request from behind the path.
    after: Vec<u8>,
    /// How much of that is line break and query.
    query: usize,
}

impl Presigner {
    /// Of links such as `request`, whose key is ignored.
    ///
    /// # Errors
    /// [`PresignError`] if another field breaks a rule, or `signing_key` is for another day, region or service.
    pub fn new(request: &PresignRequest<'_>, signing_key: &SigningKey) -> Result<Self, PresignError> {
        // Any key, to be cut out again.
        const KEY: &str = "k";
        let request = PresignRequest { key: KEY, ..*request };
        let mut sorted = request.unsorted();
        request.sort(&mut sorted)?;
        let date = request.date(signing_key)?;
        let mut before = [request.method.as_bytes(), b"\n"].concat();
        let method = before.len();
        let layout = request.write(&mut before, &date, &sorted)?;
        let after = before.split_off(layout.separator);
        before.truncate(before.len() - KEY.len());
        let query = layout.query_end - layout.separator;
        let (signing_key, origin) = (signing_key.at(&date), request.origin().concat());
        Ok(Self { signing_key, origin, before, method, after, query })
    }

    /// Appends the link for an object's key of 1 to 1024 bytes, not encoded; every byte of it stays. It is ASCII alone. No
    /// allocation where `out` has room for the canonical request besides the link.
    ///
    /// # Errors
    /// [`KeyError`], and `out` is left as it was.
    pub fn presign_into(&self, key: &str, out: &mut Vec<u8>) -> Result<(), KeyError> {
        check_key(key)?;
        let room = self.origin.len().max(self.method);
        let path = out.len() + room;
        let more = 3 * key.len() + SIGNATURE.len() + 64;
        out.reserve(room + self.before.len() + more + self.after.len());
        out.resize(path - self.method, 0);
        out.extend_from_slice(&self.before);
        encode_path(out, key.as_bytes());
        let separator = out.len();
        out.extend_from_slice(&self.after);
        let layout = Layout { separator, query_end: separator + self.query };
        finish(out, path, self.method, &layout, |hash| self.signing_key.sign(hash), &[&self.origin]);
        Ok(())
    }
}

/// There may be a session token in it.
impl core::fmt::Debug for Presigner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Presigner").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::{Endpoint, MAX_KEY};
    use crate::sigv4::{AmzDate, DateKey};

    const TIME: u64 = 1_369_353_600;

    fn signing_key() -> SigningKey {
        let date = AmzDate::from_unix(TIME).unwrap();
        DateKey::from_secret(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", date)
            .signing_key("us-east-1", "s3")
            .unwrap()
    }

    fn check_all(check: impl Fn(PresignRequest<'_>)) {
        let urls = ["http://h", "https://a-rather-long-host-name.example.com:65535"];
        let mut endpoints = vec![Endpoint::aws("us-east-1").unwrap()];
        endpoints.extend(urls.iter().map(|url| Endpoint::custom(url, "us-east-1").unwrap()));
        for endpoint in &endpoints {
            for method in ["GET", "PUT", "METHOD-LONGER-THAN-THE-SERVER"] {
                for bucket in ["bucket", "bucket.with.dots"] {
                    let plain = PresignRequest {
                        method,
                        endpoint,
                        bucket,
                        key: "",
                        access_key_id: "AKIAIOSFODNN7EXAMPLE",
                        time: TIME,
                        expires: 604_800,
                        session_token: None,
                        version_id: None,
                        query: &[],
                        headers: &[],
                    };
                    check(plain);
                    check(PresignRequest {
                        session_token: Some("IQoJb3JpZ2luX2VjE+PT//8/wE=="),
                        version_id: Some("a/b"),
                        query: &[
                            ("response-content-type", "a/b; c=\"d\""),
                            ("Part", ""),
                            ("x-id", "GetObject"),
                        ],
                        headers: &[("x-amz-meta-a", " b  c "), ("A!", "b"), ("range", "bytes=0-9")],
                        ..plain
                    });
                }
            }
        }
    }

    #[test]
    fn links_are_those_of_single_requests() {
        let signing_key = signing_key();
        let long = "ü".repeat(512);
        check_all(|request| {
            let presigner = Presigner::new(&request, &signing_key).unwrap();
            let mut links = b"before".to_vec();
            let mut expected = links.clone();
            for key in ["k", "a/../b//", "ü &?#", &long, "photos/2006/February/sample.jpg"] {
                presigner.presign_into(key, &mut links).unwrap();
                let link = PresignRequest { key, ..request }.presign(&signing_key).unwrap();
                expected.extend_from_slice(link.as_bytes());
                assert_eq!(String::from_utf8_lossy(&links), String::from_utf8_lossy(&expected));
            }
            assert_eq!(presigner.presign_into("", &mut links), Err(KeyError::Empty));
            let longer = "k".repeat(MAX_KEY + 1);
            assert_eq!(presigner.presign_into(&longer, &mut links), Err(KeyError::TooLong(MAX_KEY + 1)));
            assert_eq!(links, expected);
        });
    }

    #[test]
    fn what_no_link_could_have_is_refused_at_once() {
        let signing_key = signing_key();
        check_all(|request| {
            for bad in [
                PresignRequest { expires: 0, ..request },
                PresignRequest { bucket: "B", ..request },
                PresignRequest { time: TIME + 86_400, ..request },
                PresignRequest { headers: &[("a", "b\n")], ..request },
                PresignRequest { query: &[("a", ""), ("a", "")], ..request },
                PresignRequest { session_token: Some(""), ..request },
            ] {
                let expected = PresignRequest { key: "k", ..bad }.presign(&signing_key).unwrap_err();
                assert_eq!(Presigner::new(&bad, &signing_key).map(drop), Err(expected));
            }
        });
    }

    #[test]
    fn secrets_are_not_printed() {
        let signing_key = signing_key();
        check_all(|request| {
            let request = PresignRequest { session_token: Some("hunter2"), ..request };
            assert!(!format!("{:?}", Presigner::new(&request, &signing_key).unwrap()).contains("hunter2"));
        });
    }
}
