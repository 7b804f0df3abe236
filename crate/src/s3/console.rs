//! The console's address bar: which object, bucket or prefix a page of the S3 console shows.
//!
//! Written from addresses that people published, newest to oldest; [`ConsoleLocation::parse`] has each as a test.
//! Only what is needed of URLs is read here, and strictly: https, an exact host, no user name, no port of its own.

use serde::Serialize;

use super::name::{BucketError, KeyError, check_bucket, check_key};
use crate::partition::{PARTITIONS, Partition, is_region};
use crate::sigv4::encode::decode;

/// What a page of the S3 console shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsoleLocation {
    /// What it is.
    pub kind: ConsoleKind,
    /// The bucket.
    pub bucket: String,
    /// The object's key, or the prefix that is shown; decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which version of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The bucket's region, if the address says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Id of the console's partition: `aws`, `aws-cn`, …
    pub partition: &'static str,
    /// 12-digit account id, if the person is signed in to several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// What a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ConsoleKind {
    /// One object; `key` is its key.
    Object,
    /// A bucket.
    Bucket,
    /// A part of a bucket; `key` is the prefix.
    Prefix,
    /// A directory bucket or something in it, which cannot be presigned.
    Directory,
}

/// Why an address shows nothing in S3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// Not an absolute https URL.
    #[error("this is no https address")]
    NotHttps,
    /// Another host.
    #[error("{0:?} is not the AWS console")]
    NotConsole(String),
    /// Another page of the console, or none of one bucket.
    #[error("this page of the console shows no bucket: open an object or a bucket in S3")]
    NoBucket,
    /// Not percent-encoded UTF-8.
    #[error("the address is not percent-encoded UTF-8")]
    Encoding,
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl ConsoleLocation {
    /// Reads the address of a page.
    ///
    /// # Errors
    /// [`ConsoleError`] if it is not one of the S3 console, on exactly the console's hosts.
    pub fn parse(url: &str) -> Result<Self, ConsoleError> {
        let rest = strip_prefix_ignore_case(url, "https://").ok_or(ConsoleError::NotHttps)?;
        // Browsers skip or rewrite these, each in its way.
        if url.bytes().any(|b| b.is_ascii_control() || b == b' ' || b == b'\\') {
            return Err(ConsoleError::Encoding);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).ok_or(ConsoleError::NotHttps)?;
        let host = Host::read(authority).ok_or_else(|| ConsoleError::NotConsole(authority.into()))?;

        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = strip_segment(path, "s3").ok_or(ConsoleError::NoBucket)?;
        let query = Parameters(query);
        let page = match Page::read(path, query)? {
            Some(page) => page,
            // Until about 2017 the page stood after the `#`, as a route or as more parameters.
            None => {
                let route = fragment.strip_prefix('!').unwrap_or(fragment);
                let (path, more) = route.split_once('?').unwrap_or((route, route));
                let path = strip_segment(path, "s3").unwrap_or(path);
                Page::read(path, Parameters(more))?.ok_or(ConsoleError::NoBucket)?
            }
        };
        page.locate(host, query)
    }
}

/// What the host says.
struct Host {
    partition: &'static Partition,
    account: Option<String>,
    region: Option<String>,
}

impl Host {
    /// `[ACCOUNT-RANDOM.][REGION. | s3.]CONSOLE[:443]`
    fn read(authority: &str) -> Option<Self> {
        let lower = authority.to_ascii_lowercase();
        let host = lower.strip_suffix(":443").unwrap_or(&lower);
        let (partition, labels) = PARTITIONS.iter().find_map(|partition| {
            let labels = host.strip_suffix(partition.console?)?;
            // On a dot boundary, or the console's host itself.
            let labels = if labels.is_empty() { labels } else { labels.strip_suffix('.')? };
            Some((partition, labels))
        })?;
        let mut labels: Vec<&str> = labels.split('.').filter(|_| !labels.is_empty()).collect();
        let account = labels.first().copied().and_then(account_of_session).map(str::to_owned);
        if account.is_some() {
            labels.remove(0);
        }
        let region = match labels.as_slice() {
            [] | ["s3"] => None,
            [region] if is_region(region) => Some((*region).to_owned()),
            _ => return None,
        };
        Some(Self { partition, account, region })
    }
}

/// The account of `ACCOUNT-RANDOM`, the host label of one session of several.
fn account_of_session(label: &str) -> Option<&str> {
    let (account, random) = label.split_once('-')?;
    let good = account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && !random.is_empty()
        && random.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    good.then_some(account)
}

/// What the route says, decoded.
struct Page {
    object: bool,
    bucket: String,
    key: String,
}

impl Page {
    /// `/object/B[/KEY]`, `/buckets/B[/PREFIX/]`, `/upload/B`, or the parameters `bucket` and `prefix`. `None` if
    /// it is neither.
    fn read(path: &str, query: Parameters<'_>) -> Result<Option<Self>, ConsoleError> {
        let routes = [("object", true), ("buckets", false), ("upload", false)];
        let route = routes.iter().find_map(|(name, object)| Some((strip_segment(path, name)?, *object)));
        let (object, bucket, rest) = match route {
            Some((rest, object)) => {
                let rest = rest.strip_prefix('/').unwrap_or_default();
                let (bucket, rest) = rest.split_once('/').unwrap_or((rest, ""));
                (object, decode(bucket).ok_or(ConsoleError::Encoding)?, rest)
            }
            None => match query.get("bucket")? {
                Some(bucket) => (false, bucket, ""),
                None => return Ok(None),
            },
        };
        if bucket.is_empty() {
            return Ok(None);
        }
        let key = match query.get("prefix")? {
            Some(key) => key,
            None => decode_once_or_twice(rest).ok_or(ConsoleError::Encoding)?,
        };
        Ok(Some(Self { object, bucket, key }))
    }

    fn locate(self, host: Host, query: Parameters<'_>) -> Result<ConsoleLocation, ConsoleError> {
        let directory = query.get("bucketType")?.as_deref() == Some("directory");
        match check_bucket(&self.bucket) {
            Err(BucketError::Directory(_)) if directory => {}
            other => other?,
        }
        if self.object || !self.key.is_empty() {
            check_key(&self.key)?;
        }
        let kind = match self {
            _ if directory => ConsoleKind::Directory,
            Self { object: true, .. } => ConsoleKind::Object,
            Self { ref key, .. } if key.is_empty() => ConsoleKind::Bucket,
            _ => ConsoleKind::Prefix,
        };
        let of_partition =
            |region: &String| is_region(region) && Partition::of_region(region) == host.partition;
        let version_id = query.get("versionId")?.filter(|id| self.object && !id.is_empty());
        Ok(ConsoleLocation {
            kind,
            bucket: self.bucket,
            key: Some(self.key).filter(|key| !key.is_empty()),
            version_id,
            region: query.get("region")?.filter(of_partition).or(host.region),
            partition: host.partition.id,
            account: host.account,
        })
    }
}

/// The parameters of a query.
#[derive(Clone, Copy)]
struct Parameters<'a>(&'a str);

impl Parameters<'_> {
    /// The first of that name, decoded as forms are: `+` is a space.
    fn get(self, name: &str) -> Result<Option<String>, ConsoleError> {
        let mut pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        match pairs.find(|(other, _)| *other == name) {
            Some((_, value)) => decode(&value.replace('+', " ")).map(Some).ok_or(ConsoleError::Encoding),
            None => Ok(None),
        }
    }
}

/// `path` without its first segment, if that is `/segment`.
fn strip_segment<'a>(path: &'a str, segment: &str) -> Option<&'a str> {
    let rest = path.strip_prefix('/')?.strip_prefix(segment)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Decodes a key that stood in the path, where the old console sometimes encoded twice: if what comes out of the
/// first decoding could stand in a URL as it is and decodes again, it was.
fn decode_once_or_twice(text: &str) -> Option<String> {
    let once = decode(text)?;
    let could_stand = |b: u8| b.is_ascii_alphanumeric() || b"-._~%/!*'()".contains(&b);
    match decode(&once) {
        Some(twice) if once.contains('%') && once.bytes().all(could_stand) => Some(twice),
        _ => Some(once),
    }
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}
