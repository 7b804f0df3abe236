//! ARNs that stand in a bucket's place: access points of buckets, of Object Lambda and of Outposts.
//!
//! Source: "Resources defined by Amazon S3", Service Authorization Reference, and "Referencing access points", Amazon S3
//! User Guide.

use super::endpoint::EndpointKind;
use crate::partition::{PARTITIONS, Partition, is_region};

/// What all of them begin with.
const PREFIX: &str = "arn:";

/// An access point's ARN, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessPointArn<'a> {
    /// Of a bucket, of Object Lambda, or of an Outpost.
    pub kind: EndpointKind,
    /// Where it is.
    pub region: &'a str,
    /// 12 digits.
    pub account: &'a str,
    /// `op-…`, of an Outpost alone.
    pub outpost: Option<&'a str>,
    /// Its name: lower-case letters, digits and `-`.
    pub name: &'a str,
}

/// Why something is no ARN of an access point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArnError {
    /// Another resource, or none.
    #[error(
        "{0:?} is no ARN of an access point: those look like arn:aws:s3:eu-west-1:123456789012:accesspoint/NAME"
    )]
    Shape(String),
    /// Another service.
    #[error("the ARN is of the service {0:?}: access points are of s3, s3-object-lambda and s3-outposts")]
    Service(String),
    /// No such partition, or a region of another one.
    #[error("the ARN says partition {partition:?} and region {region:?}, which do not belong together")]
    Partition {
        /// Second part.
        partition: String,
        /// Fourth part.
        region: String,
    },
    /// Not 12 digits.
    #[error("{0:?} is no account id: it must be 12 digits")]
    Account(String),
    /// Cannot be a part of a host name.
    #[error("{0:?} is no access point's name: 3 to 50 lower-case letters, digits and `-`")]
    Name(String),
    /// Without region.
    #[error(
        "{0:?} is a multi-region access point, which needs SigV4A, and the key signs with SigV4 only: use the \
         bucket or a regional access point"
    )]
    MultiRegion(String),
}

impl<'a> AccessPointArn<'a> {
    /// Whether `bucket` is meant to be an ARN: no bucket's name has a colon in it.
    #[must_use]
    pub fn is_meant(bucket: &str) -> bool {
        bucket.starts_with(PREFIX)
    }

    /// `arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME`, the same of `s3-object-lambda`, or
    /// `arn:PARTITION:s3-outposts:REGION:ACCOUNT:outpost/ID/accesspoint/NAME`; `:` may stand for each `/`.
    ///
    /// # Errors
    /// [`ArnError`], saying which part is wrong.
    pub fn parse(arn: &'a str) -> Result<Self, ArnError> {
        let shape = || ArnError::Shape(arn.into());
        let mut parts = arn.splitn(6, ':');
        let mut next = || parts.next().ok_or_else(shape);
        let (prefix, partition, service) = (next()?, next()?, next()?);
        let (region, account, resource) = (next()?, next()?, next()?);
        if prefix.len() + 1 != PREFIX.len() || !Self::is_meant(arn) {
            return Err(shape());
        }
        let kind = match service {
            "s3" => EndpointKind::AccessPoint,
            "s3-object-lambda" => EndpointKind::ObjectLambda,
            "s3-outposts" => EndpointKind::Outpost,
            _ => return Err(ArnError::Service(service.into())),
        };
        let words: Vec<&str> = resource.split([':', '/']).collect();
        let (outpost, name) = match (kind, words.as_slice()) {
            (EndpointKind::Outpost, ["outpost", outpost, "accesspoint", name]) => (Some(*outpost), *name),
            (EndpointKind::AccessPoint | EndpointKind::ObjectLambda, ["accesspoint", name]) => (None, *name),
            _ => return Err(shape()),
        };
        if kind == EndpointKind::AccessPoint && region.is_empty() {
            return Err(ArnError::MultiRegion(name.into()));
        }
        let known = PARTITIONS.iter().any(|known| known.id == partition);
        if !known || !is_region(region) || Partition::of_region(region).id != partition {
            return Err(ArnError::Partition { partition: partition.into(), region: region.into() });
        }
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ArnError::Account(account.into()));
        }
        if !is_access_point_name(name) {
            return Err(ArnError::Name(name.into()));
        }
        match outpost {
            Some(id) if !is_outpost(id) => Err(shape()),
            _ => Ok(Self { kind, region, account, outpost, name }),
        }
    }

    /// What stands in the place of the bucket in the host: `NAME-ACCOUNT`.
    #[must_use]
    pub fn label(&self) -> String {
        [self.name, "-", self.account].concat()
    }
}

/// "Access points naming rules, restrictions, and limitations", Amazon S3 User Guide.
fn is_access_point_name(name: &str) -> bool {
    (3..=50).contains(&name.len()) && is_label(name)
}

/// `op-` and letters and digits.
pub(super) fn is_outpost(id: &str) -> bool {
    id.strip_prefix("op-").is_some_and(|rest| rest.len() <= 60 && is_label(rest))
}

/// Whether `label` is [`AccessPointArn::label`] of some access point.
pub(super) fn is_access_point_label(label: &str) -> bool {
    label.rsplit_once('-').is_some_and(|(name, account)| {
        is_access_point_name(name) && account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Lower-case letters, digits, and hyphens that are at neither end.
pub(super) fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Bucket and key of what stands after `s3://`: `BUCKET/KEY` or `ARN/KEY`. Nothing is decoded; the key is empty if there is
/// none.
#[must_use]
pub fn split_location(location: &str) -> (&str, &str) {
    let bucket = location.find('/').unwrap_or(location.len());
    let end = if AccessPointArn::is_meant(location) { arn_end(location) } else { None };
    let (bucket, key) = location.split_at_checked(end.unwrap_or(bucket)).unwrap_or((location, ""));
    (bucket, key.strip_prefix('/').unwrap_or(key))
}

/// Where the ARN ends: after the name of the access point.
fn arn_end(location: &str) -> Option<usize> {
    let (resource, _) = location.match_indices(':').nth(4)?;
    let mut ends = location.match_indices([':', '/']).map(|(at, _)| at).filter(|at| *at > resource);
    // `accesspoint/NAME` or `outpost/ID/accesspoint/NAME`.
    let words = if location.get(resource + 1..)?.starts_with("outpost") { 4 } else { 2 };
    Some(ends.nth(words - 1).unwrap_or(location.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_points_have_arns() {
        type Expected<'a> = Result<(EndpointKind, &'a str, Option<&'a str>, &'a str), fn(String) -> ArnError>;
        #[track_caller]
        fn check(arn: &str, expected: Expected<'_>, datum: &str) {
            let got = AccessPointArn::parse(arn).map(|arn| (arn.kind, arn.region, arn.outpost, arn.name));
            assert_eq!(got, expected.map_err(|f| f(datum.into())), "{arn}");
        }
        const N: &str = "123456789012";
        let good = |kind, region, outpost, name| Ok((kind, region, outpost, name));
        let ap = good(EndpointKind::AccessPoint, "us-west-2", None, "my-ap");
        check(&format!("arn:aws:s3:us-west-2:{N}:accesspoint/my-ap"), ap, "");
        check(&format!("arn:aws:s3:us-west-2:{N}:accesspoint:my-ap"), ap, "");
        let cn = good(EndpointKind::AccessPoint, "cn-north-1", None, "my-ap");
        check(&format!("arn:aws-cn:s3:cn-north-1:{N}:accesspoint/my-ap"), cn, "");
        let lambda = good(EndpointKind::ObjectLambda, "us-west-2", None, "my-ap");
        check(&format!("arn:aws:s3-object-lambda:us-west-2:{N}:accesspoint/my-ap"), lambda, "");
        let outpost = good(EndpointKind::Outpost, "us-west-2", Some("op-0123abc"), "my-ap");
        check(
            &format!("arn:aws:s3-outposts:us-west-2:{N}:outpost/op-0123abc/accesspoint/my-ap"),
            outpost,
            "",
        );
        check(
            &format!("arn:aws:s3-outposts:us-west-2:{N}:outpost:op-0123abc:accesspoint:my-ap"),
            outpost,
            "",
        );

        let mrap = format!("arn:aws:s3::{N}:accesspoint/mfzwi23gnjvgw.mrap");
        check(&mrap, Err(ArnError::MultiRegion), "mfzwi23gnjvgw.mrap");
        for bad in [
            "arn:aws:s3:us-west-2",
            "arn:aws:s3:::bucket",
            &format!("arn:aws:s3:us-west-2:{N}:accesspoint"),
            &format!("arn:aws:s3:us-west-2:{N}:accesspoint/a/b"),
            &format!("arn:aws:s3:us-west-2:{N}:bucket/my-ap"),
            &format!("arn:aws:s3:us-west-2:{N}:outpost/op-0123abc/accesspoint/my-ap"),
            &format!("arn:aws:s3-outposts:us-west-2:{N}:accesspoint/my-ap"),
            &format!("arn:aws:s3-outposts:us-west-2:{N}:outpost/evil.test/accesspoint/my-ap"),
        ] {
            check(bad, Err(ArnError::Shape), bad);
        }
        check(&format!("arn:aws:iam:us-west-2:{N}:accesspoint/my-ap"), Err(ArnError::Service), "iam");
        for account in ["", "12345678901", "12345678901x", "1234567890123"] {
            let arn = format!("arn:aws:s3:us-west-2:{account}:accesspoint/my-ap");
            check(&arn, Err(ArnError::Account), account);
        }
        for name in ["", "ab", "my.ap", "My-ap", "-ap", "ap-", "a_p", &"a".repeat(51)] {
            let arn = format!("arn:aws:s3:us-west-2:{N}:accesspoint/{name}");
            check(&arn, Err(ArnError::Name), name);
        }
        for (partition, region) in
            [("aws-cn", "us-west-2"), ("aws", "cn-north-1"), ("x", "us-west-2"), ("aws", "x")]
        {
            let arn = format!("arn:{partition}:s3:{region}:{N}:accesspoint/my-ap");
            let error = ArnError::Partition { partition: partition.into(), region: region.into() };
            assert_eq!(AccessPointArn::parse(&arn), Err(error), "{arn}");
        }
    }

    #[test]
    fn locations_are_split_once() {
        #[track_caller]
        fn check(location: &str, expected: (&str, &str)) {
            assert_eq!(split_location(location), expected, "{location}");
        }
        check("b/k", ("b", "k"));
        check("b/a/../b//", ("b", "a/../b//"));
        check("b//k", ("b", "/k"));
        check("b/", ("b", ""));
        check("b", ("b", ""));
        check("", ("", ""));
        let arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap";
        check(&format!("{arn}/a/b:c"), (arn, "a/b:c"));
        check(&format!("{arn}//a"), (arn, "/a"));
        check(arn, (arn, ""));
        let arn = "arn:aws:s3:us-west-2:123456789012:accesspoint:my-ap";
        check(&format!("{arn}/a/b"), (arn, "a/b"));
        let arn = "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-1/accesspoint/my-ap";
        check(&format!("{arn}/a/b"), (arn, "a/b"));
        check("arn:aws/k", ("arn:aws", "k"));
    }
}
