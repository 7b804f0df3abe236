//! What a bucket and a key may be called.

use super::arn::is_label;

/// Longest key in bytes of UTF-8.
pub const MAX_KEY: usize = 1024;

/// Why something is no bucket that can be presigned for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// Under 3 or over 63 characters.
    #[error("the bucket name {0:?} is {len} characters long: S3 has 3 to 63", len = .0.chars().count())]
    Length(String),
    /// A character, or a place for it, that no bucket name has.
    #[error(
        "{0:?} is no bucket name: it must be lower-case letters, digits, `-` and single `.`, with a letter or \
         digit at both ends"
    )]
    Character(String),
    /// Four numbers.
    #[error("{0:?} is no bucket name but an IP address: if it is the server, give it as the endpoint")]
    IpAddress(String),
    /// A directory bucket (S3 Express): it has an endpoint of its own, by its zone.
    #[error(
        "{0:?} is a directory bucket, which only the endpoint of its zone has: leave out what says another, or use a \
         general purpose bucket"
    )]
    Directory(String),
    /// Not `NAME--ZONE--x-s3`.
    #[error("{0:?} is no directory bucket: those are named NAME--ZONE--x-s3, without dots")]
    NotDirectory(String),
    /// A directory bucket of another zone than the endpoint's.
    #[error("the directory bucket {0:?} is in another zone than the endpoint")]
    Zone(String),
    /// Dots do not fit the certificate of the host that the bucket would be a part of.
    #[error(
        "{0:?} has dots in it, and so would not fit the server's certificate in the host name: put the bucket into \
         the path"
    )]
    Dots(String),
    /// Not what an access point's endpoint has in the bucket's place.
    #[error("{0:?} is no access point's NAME-ACCOUNT")]
    AccessPoint(String),
    /// An alias of an Outpost's access point.
    #[error(
        "{0:?} is the alias of an access point on an Outpost, which does not say all that is needed: give its ARN"
    )]
    OutpostAlias(String),
    /// A multi-region access point: signed with SigV4A.
    #[error(
        "{0:?} is a multi-region access point, which needs SigV4A: use the bucket or a regional access point"
    )]
    MultiRegion(String),
}

/// Why something is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Nothing.
    #[error("the object key is empty: give the name of one object")]
    Empty,
    /// Over [`MAX_KEY`] bytes.
    #[error("the object key is {0} bytes long, and S3 allows {MAX_KEY}: shorten it")]
    TooLong(usize),
}

/// Whether there is a `.` or `..` between a key's slashes. S3 takes it as it is, but HTTP clients resolve it before they ask
/// (RFC 3986, section 5.2.4), so that they ask for something else than was signed; and so do some servers.
#[must_use]
pub fn has_dot_segments(key: &str) -> bool {
    // Few keys get any further.
    (key.starts_with('.') || key.contains("/."))
        && key.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// "General purpose bucket naming rules", Amazon S3 User Guide; access point aliases follow them too.
///
/// # Errors
/// [`BucketError`], saying which rule.
pub fn check_bucket(bucket: &str) -> Result<(), BucketError> {
    let error = |f: fn(String) -> BucketError| Err(f(bucket.into()));
    if !(3..=63).contains(&bucket.len()) {
        return error(BucketError::Length);
    }
    let mut last = b'.';
    let mut only_numbers = true;
    for byte in bucket.bytes() {
        match byte {
            b'a'..=b'z' | b'-' => only_numbers = false,
            b'0'..=b'9' => {}
            b'.' if last != b'.' => {}
            _ => return error(BucketError::Character),
        }
        // A label neither ends nor begins with a hyphen: it would be no host name.
        if last == b'.' && byte == b'-' || last == b'-' && byte == b'.' {
            return error(BucketError::Character);
        }
        last = byte;
    }
    if !last.is_ascii_alphanumeric() {
        return error(BucketError::Character);
    }
    if only_numbers && bucket.split('.').count() == 4 {
        return error(BucketError::IpAddress);
    }
    if bucket.ends_with("--x-s3") || bucket.ends_with("--xa-s3") {
        return error(BucketError::Directory);
    }
    if bucket.ends_with("--op-s3") {
        return error(BucketError::OutpostAlias);
    }
    if bucket.ends_with(".mrap") {
        return error(BucketError::MultiRegion);
    }
    Ok(())
}

/// The zone of a directory bucket, `NAME--ZONE--x-s3`, or of an access point to one, `NAME--ZONE--xa-s3`; `None` for
/// every other name.
#[must_use]
pub fn directory_zone(bucket: &str) -> Option<&str> {
    let rest = bucket.strip_suffix("--x-s3").or_else(|| bucket.strip_suffix("--xa-s3"))?;
    rest.rsplit_once("--").map(|(_, zone)| zone).filter(|zone| !zone.is_empty())
}

/// "Directory bucket naming rules", Amazon S3 User Guide. The zone.
///
/// # Errors
/// [`BucketError`], saying which rule.
pub(super) fn check_directory_bucket(bucket: &str) -> Result<&str, BucketError> {
    if !(3..=63).contains(&bucket.len()) {
        return Err(BucketError::Length(bucket.into()));
    }
    let zone = directory_zone(bucket).filter(|zone| is_label(bucket) && is_label(zone) && zone.len() <= 20);
    zone.ok_or_else(|| BucketError::NotDirectory(bucket.into()))
}

/// 1 to [`MAX_KEY`] bytes of UTF-8, whatever they are.
///
/// # Errors
/// [`KeyError`], saying which bound.
pub fn check_key(key: &str) -> Result<(), KeyError> {
    match key.len() {
        0 => Err(KeyError::Empty),
        1..=MAX_KEY => Ok(()),
        len => Err(KeyError::TooLong(len)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_have_names() {
        #[track_caller]
        fn check(bucket: &str, error: Option<fn(String) -> BucketError>) {
            assert_eq!(check_bucket(bucket), error.map_or(Ok(()), |f| Err(f(bucket.into()))), "{bucket:?}");
        }
        for good in
            ["abc", "a-b", "my.bucket.example", "123", "1.2.3", "1.2.3.4.5", "1.2.3.a", &"a".repeat(63)]
        {
            check(good, None);
        }
        check("examp-jsmith-k3v9c8t1m3p-s3alias", None);
        for bad in ["", "ab", &"a".repeat(64)] {
            check(bad, Some(BucketError::Length));
        }
        for bad in [
            "Abc", "a_b", "-ab", "ab-", ".ab", "ab.", "a..b", "a.-b", "a-.b", "a b", "a/b", "a%b", "a?b",
            "büc", "a\nb",
        ] {
            check(bad, Some(BucketError::Character));
        }
        check("192.168.5.4", Some(BucketError::IpAddress));
        check("bucket--usw2-az1--x-s3", Some(BucketError::Directory));
        check("point--usw2-az1--xa-s3", Some(BucketError::Directory));
        check("test-o0b1d075431d83bebde8xz5w8ijx1qzlbp3i3kuse10--op-s3", Some(BucketError::OutpostAlias));
        check("mfzwi23gnjvgw.mrap", Some(BucketError::MultiRegion));
    }

    #[test]
    fn dots_are_segments_only_alone() {
        #[track_caller]
        fn check(key: &str, expected: bool) {
            assert_eq!(has_dot_segments(key), expected, "{key:?}");
        }
        for key in [".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "//..//", ".a/.."] {
            check(key, true);
        }
        for key in
            ["", "a", ".a", "..a", "a.", "a..", "...", "a/.b", "a/..b/c.d", "a/.../b", "%2e%2e/a", "a\\..\\b"]
        {
            check(key, false);
        }
    }

    #[test]
    fn keys_have_bounds() {
        #[track_caller]
        fn check(key: &str, expected: Result<(), KeyError>) {
            assert_eq!(check_key(key), expected, "{} bytes", key.len());
        }
        check("", Err(KeyError::Empty));
        check("/", Ok(()));
        check(&"k".repeat(1024), Ok(()));
        check(&"k".repeat(1025), Err(KeyError::TooLong(1025)));
        check(&"ü".repeat(512), Ok(()));
        check(&"ü".repeat(513), Err(KeyError::TooLong(1026)));
    }
}
