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
    /// A directory bucket or something in it, for which browsers get no links: only the command line makes them.
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
    /// Match patterns of extensions for the pages of the S3 console, in every partition that has a public one.
    pub fn match_patterns() -> impl Iterator<Item = String> {
        PARTITIONS.iter().filter_map(|partition| Some(["https://*.", partition.console?, "/s3/*"].concat()))
    }

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
        let (partition, before) = PARTITIONS
            .iter()
            .find_map(|partition| Some((partition, host.strip_suffix(partition.console?)?)))?;
        let mut labels: Vec<&str> = match before {
            "" => Vec::new(),
            // On a dot boundary.
            _ => before.strip_suffix('.')?.split('.').collect(),
        };
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

/// The partition whose console is at `host`, and the account that the host names where several sessions are open at once.
pub(crate) fn console_host(host: &str) -> Option<(&'static Partition, Option<String>)> {
    Host::read(host).map(|host| (host.partition, host.account))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What an address should say: kind, bucket, key, version, region, partition, account.
    type Expected<'a> = (ConsoleKind, &'a str, &'a str, &'a str, &'a str, &'a str, &'a str);

    #[track_caller]
    fn check(url: &str, expected: Expected<'_>) {
        let got = ConsoleLocation::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (key, version, region, account) =
            (text(&got.key), text(&got.version_id), text(&got.region), text(&got.account));
        let got = (got.kind, &*got.bucket, &*key, &*version, &*region, got.partition, &*account);
        assert_eq!(got, expected, "{url}");
    }

    #[test]
    fn pages_of_today_are_read() {
        use ConsoleKind::{Bucket, Directory, Object, Prefix};
        const C: &str = "https://console.aws.amazon.com/s3";
        let at = |path: &str| format!("{C}{path}");

        check(
            &at("/object/my-bucket?region=eu-west-1&bucketType=general&prefix=a/b%20c.txt"),
            (Object, "my-bucket", "a/b c.txt", "", "eu-west-1", "aws", ""),
        );
        check(
            "https://eu-west-1.console.aws.amazon.com/s3/object/my-bucket?region=eu-north-1&prefix=k",
            (Object, "my-bucket", "k", "", "eu-north-1", "aws", ""),
        );
        check(
            "https://eu-west-1.console.aws.amazon.com/s3/object/my-bucket?prefix=k",
            (Object, "my-bucket", "k", "", "eu-west-1", "aws", ""),
        );
        check(
            "https://s3.console.aws.amazon.com/s3/object/my.bucket.x?region=us-east-1&prefix=k&versionId=3%2FL4kq",
            (Object, "my.bucket.x", "k", "3/L4kq", "us-east-1", "aws", ""),
        );
        check(
            &at("/object/my-bucket?region=us-east-1&prefix=%C3%BC%2B%25+~.txt&tab=versions#top"),
            (Object, "my-bucket", "ü+% ~.txt", "", "us-east-1", "aws", ""),
        );
        // Decoded once: here a key may have any name, `%20` too.
        check(&at("/object/my-bucket?prefix=100%2520"), (Object, "my-bucket", "100%20", "", "", "aws", ""));
        check(
            &at("/buckets/my-bucket?region=us-east-1&bucketType=general&tab=objects"),
            (Bucket, "my-bucket", "", "", "us-east-1", "aws", ""),
        );
        check(
            &at("/buckets/my-bucket?region=us-east-1&prefix=a/b/&showversions=false"),
            (Prefix, "my-bucket", "a/b/", "", "us-east-1", "aws", ""),
        );
        check(
            &at("/buckets/b--usw2-az1--x-s3?region=us-west-2&bucketType=directory&prefix=a/"),
            (Directory, "b--usw2-az1--x-s3", "a/", "", "us-west-2", "aws", ""),
        );
        check(
            &at("/upload/my-bucket?region=us-east-1&prefix=in/"),
            (Prefix, "my-bucket", "in/", "", "us-east-1", "aws", ""),
        );
        check(
            "HTTPS://Console.AWS.Amazon.com:443/s3/buckets/my-bucket",
            (Bucket, "my-bucket", "", "", "", "aws", ""),
        );
    }

    #[test]
    fn other_partitions_and_sessions_are_read() {
        use ConsoleKind::Object;
        check(
            "https://cn-north-1.console.amazonaws.cn/s3/object/my-bucket?prefix=k",
            (Object, "my-bucket", "k", "", "cn-north-1", "aws-cn", ""),
        );
        check(
            "https://console.amazonaws-us-gov.com/s3/object/my-bucket?region=us-gov-west-1&prefix=k",
            (Object, "my-bucket", "k", "", "us-gov-west-1", "aws-us-gov", ""),
        );
        check(
            "https://eusc-de-east-1.console.amazonaws-eusc.eu/s3/object/my-bucket?prefix=k",
            (Object, "my-bucket", "k", "", "eusc-de-east-1", "aws-eusc", ""),
        );
        check(
            "https://123456789012-abc12xyz.us-west-2.console.aws.amazon.com/s3/object/my-bucket?prefix=k",
            (Object, "my-bucket", "k", "", "us-west-2", "aws", "123456789012"),
        );
        // A region of another partition than the console's is none of this bucket's.
        check(
            "https://us-west-2.console.aws.amazon.com/s3/object/my-bucket?region=cn-north-1&prefix=k",
            (Object, "my-bucket", "k", "", "us-west-2", "aws", ""),
        );
    }

    #[test]
    fn pages_of_the_past_are_read() {
        use ConsoleKind::{Bucket, Object, Prefix};
        const C: &str = "https://s3.console.aws.amazon.com/s3";
        let at = |path: &str| format!("{C}{path}");
        let one = |kind, key| (kind, "my-bucket", key, "", "us-east-1", "aws", "");

        check(&at("/object/my-bucket/a/b.txt?region=us-east-1&tab=overview"), one(Object, "a/b.txt"));
        check(&at("/object/my-bucket/a%20b/%C3%BC+.txt?region=us-east-1"), one(Object, "a b/ü+.txt"));
        check(&at("/object/my-bucket/a%2520b/%25C3%25BC.txt?region=us-east-1"), one(Object, "a b/ü.txt"));
        // Not twice: `50% off` could not stand in a URL.
        check(&at("/object/my-bucket/50%25%20off%2520?region=us-east-1"), one(Object, "50% off%20"));
        check(&at("/object/my-bucket/100%25?region=us-east-1"), one(Object, "100%"));
        check(&at("/buckets/my-bucket/a/b/?region=us-east-1&tab=overview"), one(Prefix, "a/b/"));
        check(&at("/buckets/my-bucket/?region=us-east-1"), one(Bucket, ""));
        check(&at("/home?region=us-east-1&bucket=my-bucket&prefix=a/"), one(Prefix, "a/"));
        check(&at("/home?region=us-east-1#&bucket=my-bucket&prefix=a/"), one(Prefix, "a/"));
        check(&at("/home?region=us-east-1#/buckets/my-bucket?prefix=a/"), one(Prefix, "a/"));
        check(&at("/home?region=us-east-1#!/object/my-bucket/a%20b"), one(Object, "a b"));
    }

    #[test]
    fn other_addresses_are_refused() {
        #[track_caller]
        fn check(url: &str, expected: ConsoleError) {
            assert_eq!(ConsoleLocation::parse(url), Err(expected), "{url}");
        }
        for host in [
            "console.aws.amazon.com.evil.test",
            "evilconsole.aws.amazon.com",
            "console-aws.amazon.com",
            "console.aws.haqm.com",
            "aws.amazon.com",
            "us-east-1.evil.console.aws.amazon.com",
            "x.us-east-1.console.aws.amazon.com",
            "evil.console.aws.amazon.com",
            "user@console.aws.amazon.com",
            "console.aws.amazon.com@evil.test",
            "console.aws.amazon.com:444",
            "console.aws.amazon.com.",
            ".console.aws.amazon.com",
            "12345678901-abc.us-east-1.console.aws.amazon.com",
            "1234567890123-abc.us-east-1.console.aws.amazon.com",
            "",
            "сonsole.aws.amazon.com",
        ] {
            check(
                &format!("https://{host}/s3/object/my-bucket?prefix=k"),
                ConsoleError::NotConsole(host.into()),
            );
        }
        for url in [
            "",
            "http://console.aws.amazon.com/s3/buckets/my-bucket",
            "//console.aws.amazon.com",
            "https:",
            "about:blank",
            "httpsü//",
        ] {
            check(url, ConsoleError::NotHttps);
        }
        const C: &str = "https://console.aws.amazon.com";
        for path in [
            "",
            "/",
            "/ec2/home",
            "/s3",
            "/s3/",
            "/s3/home?region=us-east-1",
            "/s3x/object/my-bucket",
            "/s3/objects/b/k",
            "/s3/object/",
            "/s3/buckets?region=us-east-1",
            "/S3/object/my-bucket?prefix=k",
        ] {
            check(&format!("{C}{path}"), ConsoleError::NoBucket);
        }
        for path in [
            "/s3/object/my-bucket?prefix=%zz",
            "/s3/object/my-bucket?prefix=%FF",
            "/s3/object/my-bucket/%",
            "/s3/object/%C3?prefix=k",
            "\\@evil.test/s3",
            "/s3/object/my-bucket?prefix=a b",
            "/s3/object/my-bucket?prefix=a\nb",
        ] {
            check(&format!("{C}{path}"), ConsoleError::Encoding);
        }
        check(&format!("{C}/s3/object/my-bucket"), ConsoleError::Key(KeyError::Empty));
        check(
            &format!("{C}/s3/object/my-bucket?prefix={}", "k".repeat(1025)),
            ConsoleError::Key(KeyError::TooLong(1025)),
        );
        check(
            &format!("{C}/s3/object/My_Bucket?prefix=k"),
            ConsoleError::Bucket(BucketError::Character("My_Bucket".into())),
        );
        check(
            &format!("{C}/s3/object/b--usw2-az1--x-s3?prefix=k"),
            ConsoleError::Bucket(BucketError::Directory("b--usw2-az1--x-s3".into())),
        );
    }

    #[test]
    fn pages_have_match_patterns() {
        let patterns: Vec<String> = ConsoleLocation::match_patterns().collect();
        assert_eq!(
            patterns,
            [
                "https://*.console.amazonaws.cn/s3/*",
                "https://*.console.amazonaws-us-gov.com/s3/*",
                "https://*.console.amazonaws-eusc.eu/s3/*",
                "https://*.console.aws.amazon.com/s3/*",
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            text in "(https://)?[a-z0-9.-]{0,12}(console\\.aws\\.amazon\\.com)?\\PC{0,40}"
        ) {
            let _ = ConsoleLocation::parse(&text);
            let _ = ConsoleLocation::parse(&format!("https://console.aws.amazon.com/s3/{text}"));
        }
    }
}
