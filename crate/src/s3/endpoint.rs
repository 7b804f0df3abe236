//! Where a bucket is reached.
//!
//! Every form of host is put together in one place ([`Target::aws`]) and taken apart in one ([`AwsHost::read`]); a test
//! holds them against each other. Source: the endpoint rule set of S3 in the AWS SDKs, and "Amazon S3 endpoints and
//! quotas", AWS General Reference.

use super::arn::{AccessPointArn, ArnError, is_access_point_label, is_label, is_outpost};
use super::name::{BucketError, check_bucket, check_directory_bucket, directory_zone};
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
    kind: EndpointKind,
    style: Style,
    /// Whether a session token is one of `CreateSession`.
    directory_session: bool,
}

/// What is reached at an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointKind {
    /// AWS: buckets of a region.
    Bucket,
    /// AWS: buckets of any region, by the nearest edge (Transfer Acceleration).
    Accelerate,
    /// AWS: an access point of a bucket.
    AccessPoint,
    /// AWS: an access point of Object Lambda.
    ObjectLambda,
    /// AWS: an access point of an Outpost's bucket.
    Outpost,
    /// AWS: directory buckets of one zone (S3 Express One Zone).
    Directory,
    /// Buckets of a server that is not AWS.
    Other,
}

impl EndpointKind {
    /// The service that the credential scope names.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::Bucket | Self::Accelerate | Self::AccessPoint | Self::Other => super::SERVICE,
            Self::ObjectLambda => "s3-object-lambda",
            Self::Outpost => "s3-outposts",
            Self::Directory => "s3express",
        }
    }

    /// Whether the bucket may stand in the path.
    fn has_paths(self) -> bool {
        matches!(self, Self::Bucket | Self::Other)
    }
}

/// Where the bucket goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Before the host, unless it has dots in it: those would not match the host's certificate.
    VirtualHosted,
    /// Before the host, always.
    AlwaysVirtualHosted,
    /// First in the path.
    Path,
}

/// Where a person wants the bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Addressing {
    /// On AWS before the host where its name allows that, on other servers in the path.
    #[default]
    Auto,
    /// Before the host: `https://BUCKET.HOST/KEY`.
    Virtual,
    /// In the path: `https://HOST/BUCKET/KEY`.
    Path,
}

/// Which of AWS's endpoints, where there are several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Variant {
    /// The one that answers over IPv6 too.
    pub dual_stack: bool,
    /// The one whose cryptography is validated by FIPS 140.
    pub fips: bool,
    /// Transfer Acceleration's.
    pub accelerate: bool,
    /// Where the bucket goes.
    pub addressing: Addressing,
}

/// Why something is no [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// AWS has no such region.
    #[error("{0:?} is no AWS region: give one such as eu-west-1, or an endpoint if the server is not AWS")]
    Region(String),
    /// Only an ARN says by itself where it is.
    #[error("the bucket's region is not known")]
    NoRegion,
    /// A region that cannot be signed for.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// Neither `https://HOST[:PORT]` nor `http://HOST[:PORT]`.
    #[error(
        "{0:?} is no endpoint: give https://HOST, or http://HOST:PORT for a local server, and nothing after it"
    )]
    Url(String),
    /// Reached by its region.
    #[error(
        "{0:?} is AWS itself, and no interface endpoint for S3 of a VPC in this region: leave the endpoint out and give \
         the region"
    )]
    Aws(String),
    /// No name can stand before an address.
    #[error("{0:?} is an address, before which no bucket can stand: put the bucket into the path")]
    Address(String),
    /// Two wishes that no endpoint fulfils, or one that none does here. The text says which, and what to do.
    #[error("{0}")]
    Excluded(&'static str),
    /// The ARN.
    #[error(transparent)]
    Arn(#[from] ArnError),
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

/// Where a request goes, and what stands there in the bucket's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server.
    pub endpoint: Endpoint,
    /// The bucket, or an access point's `NAME-ACCOUNT`: [`super::PresignRequest::bucket`].
    pub bucket: String,
}

impl Target {
    /// AWS's endpoint for `name`: a bucket, a directory bucket (`…--ZONE--x-s3`), or the ARN of an access point, which
    /// says its region itself.
    ///
    /// # Errors
    /// [`EndpointError`] for what is neither, for a region that is missing or none, and for a variant that AWS does
    /// not have.
    pub fn aws(name: &str, region: Option<&str>, variant: Variant) -> Result<Self, EndpointError> {
        let arn = AccessPointArn::is_meant(name).then(|| AccessPointArn::parse(name)).transpose()?;
        let (kind, region) = match &arn {
            Some(arn) => (arn.kind, arn.region),
            None if directory_zone(name).is_some() => {
                (EndpointKind::Directory, region.ok_or(EndpointError::NoRegion)?)
            }
            None if variant.accelerate => (EndpointKind::Accelerate, region.ok_or(EndpointError::NoRegion)?),
            None => (EndpointKind::Bucket, region.ok_or(EndpointError::NoRegion)?),
        };
        if !is_region(region) {
            return Err(EndpointError::Region(region.into()));
        }
        let partition = Partition::of_region(region);
        exclude(kind, partition, variant)?;

        let fips = if variant.fips { "-fips" } else { "" };
        let dual_stack = if variant.dual_stack { ".dualstack" } else { "" };
        let suffix = partition.dns_suffix;
        let authority = match kind {
            EndpointKind::Bucket | EndpointKind::Other => {
                ["s3", fips, dual_stack, ".", region, ".", suffix].concat()
            }
            EndpointKind::Accelerate => ["s3-accelerate", dual_stack, ".", suffix].concat(),
            EndpointKind::AccessPoint => {
                ["s3-accesspoint", fips, dual_stack, ".", region, ".", suffix].concat()
            }
            EndpointKind::ObjectLambda => ["s3-object-lambda", fips, ".", region, ".", suffix].concat(),
            EndpointKind::Outpost => {
                let outpost = arn.and_then(|arn| arn.outpost).unwrap_or_default();
                [outpost, ".s3-outposts.", region, ".", suffix].concat()
            }
            EndpointKind::Directory => {
                let zone = directory_zone(name).unwrap_or_default();
                ["s3express", fips, "-", zone, dual_stack, ".", region, ".", suffix].concat()
            }
        };
        let style = match variant.addressing {
            _ if !kind.has_paths() => Style::AlwaysVirtualHosted,
            Addressing::Auto => Style::VirtualHosted,
            Addressing::Virtual => Style::AlwaysVirtualHosted,
            Addressing::Path => Style::Path,
        };
        let endpoint = Endpoint::of_aws(authority, region, kind, style);
        let bucket = arn.map_or_else(|| name.to_owned(), |arn| arn.label());
        endpoint.check_bucket(&bucket)?;
        Ok(Self { endpoint, bucket })
    }

    /// A bucket of another server, or of AWS by a VPC's interface endpoint (`https://bucket.vpce-….vpce.amazonaws.com`);
    /// there an ARN can name an access point (`https://accesspoint.vpce-…`). `region` as for [`Endpoint::custom`].
    ///
    /// # Errors
    /// [`EndpointError`] as of [`Endpoint::custom`], and for a variant, for only AWS has those.
    pub fn server(url: &str, region: &str, name: &str, variant: Variant) -> Result<Self, EndpointError> {
        if variant.dual_stack || variant.fips || variant.accelerate {
            return Err(EndpointError::Excluded(
                "dual-stack, FIPS and acceleration are endpoints of AWS's own: leave them or the endpoint out",
            ));
        }
        let endpoint = Endpoint::custom(url, region)?;
        let endpoint = match variant.addressing {
            Addressing::Auto => endpoint,
            Addressing::Virtual => endpoint.virtual_hosted()?,
            Addressing::Path => endpoint.path_style(),
        };
        let bucket = if AccessPointArn::is_meant(name) {
            let arn = AccessPointArn::parse(name)?;
            if endpoint.kind != arn.kind || endpoint.region != arn.region {
                return Err(EndpointError::Excluded(
                    "the ARN is not of what this endpoint serves: leave the endpoint out, or name the bucket",
                ));
            }
            arn.label()
        } else {
            name.to_owned()
        };
        endpoint.check_bucket(&bucket)?;
        Ok(Self { endpoint, bucket })
    }
}

/// Refuses what the endpoint rule set of S3 refuses, and Transfer Acceleration outside the commercial partition, which
/// has no edges elsewhere.
fn exclude(kind: EndpointKind, partition: &Partition, variant: Variant) -> Result<(), EndpointError> {
    use EndpointKind as K;
    let Variant { dual_stack, fips, accelerate, addressing } = variant;
    let path = addressing == Addressing::Path;
    let rules = [
        (accelerate && fips, "Transfer Acceleration has no FIPS endpoint: leave one of them out"),
        (
            accelerate && kind != K::Accelerate,
            "Transfer Acceleration is for general purpose buckets, not for access points or directory buckets: leave it \
             out",
        ),
        (
            accelerate && path,
            "Transfer Acceleration has the bucket in the host name: leave path addressing out",
        ),
        (
            accelerate && partition.id != "aws",
            "Transfer Acceleration is in the commercial partition only: leave it out",
        ),
        (
            path && !kind.has_paths(),
            "access points and directory buckets have a host name each: leave path addressing out",
        ),
        (fips && partition.id == "aws-cn", "there are no FIPS endpoints in China: leave it out"),
        (fips && kind == K::Outpost, "Outposts have no FIPS endpoint: leave it out"),
        (dual_stack && kind == K::Outpost, "Outposts have no dual-stack endpoint: leave it out"),
        (dual_stack && kind == K::ObjectLambda, "Object Lambda has no dual-stack endpoint: leave it out"),
    ];
    match rules.into_iter().find(|(applies, _)| *applies) {
        Some((_, why)) => Err(EndpointError::Excluded(why)),
        None => Ok(()),
    }
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
        Ok(Self::of_aws(authority, region, EndpointKind::Bucket, Style::VirtualHosted))
    }

    fn of_aws(authority: String, region: &str, kind: EndpointKind, style: Style) -> Self {
        let region = region.into();
        Self { scheme: Scheme::Https, authority, region, kind, style, directory_session: false }
    }

    /// Another server: `https://HOST[:PORT]` or `http://HOST[:PORT]`, buckets in the path. `region` is whatever
    /// it signs for, often `us-east-1`. An interface endpoint of a VPC (`https://bucket.vpce-…`) is AWS all the same.
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
        // Clients leave the scheme's own port out of the Host header.
        let authority = if port == Some(default_port(scheme)) { host } else { authority };
        if is_aws_host(host) {
            let kind = AwsHost::read(authority, region).filter(|aws| aws.vpc && scheme == Scheme::Https);
            let kind = kind.ok_or_else(|| EndpointError::Aws(url.into()))?.kind;
            let style = if kind.has_paths() { Style::VirtualHosted } else { Style::AlwaysVirtualHosted };
            return Ok(Self::of_aws(authority.into(), region, kind, style));
        }
        Self::other(scheme, authority, region)
    }

    /// Another server, from what a Host header says.
    pub(super) fn other(scheme: Scheme, authority: &str, region: &str) -> Result<Self, EndpointError> {
        check_region(region)?;
        let (authority, region) = (authority.into(), region.into());
        let kind = EndpointKind::Other;
        Ok(Self { scheme, authority, region, kind, style: Style::Path, directory_session: false })
    }

    /// AWS's endpoint that a Host header names, and the bucket before it; `None` if it is none of S3 in this region.
    pub(super) fn read_aws<'a>(host: &'a str, region: &str) -> Option<(Self, Option<&'a str>)> {
        if !is_region(region) {
            return None;
        }
        if let Some(AwsHost { kind, .. }) = AwsHost::read(host, region) {
            let endpoint = Self::of_aws(host.into(), region, kind, Style::Path);
            return kind.has_paths().then_some((endpoint, None));
        }
        // A bucket in a host of AWS's has no dots.
        let (bucket, authority) = host.split_once('.')?;
        let kind = AwsHost::read(authority, region)?.kind;
        Some((Self::of_aws(authority.into(), region, kind, Style::AlwaysVirtualHosted), Some(bucket)))
    }

    /// The same with the bucket always in the path, where the endpoint has such a form.
    #[must_use]
    pub fn path_style(mut self) -> Self {
        if self.kind.has_paths() {
            self.style = Style::Path;
        }
        self
    }

    /// The same with the bucket always before the host.
    ///
    /// # Errors
    /// [`EndpointError::Address`] if the host is an address and no name.
    pub fn virtual_hosted(mut self) -> Result<Self, EndpointError> {
        let host = split_authority(&self.authority).map_or("", |(host, _)| host);
        let number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
        // By its last label, as the URL Standard tells addresses from names.
        if host.starts_with('[') || host.rsplit('.').next().is_none_or(number) {
            return Err(EndpointError::Address(self.authority));
        }
        self.style = Style::AlwaysVirtualHosted;
        Ok(self)
    }

    /// The same for the temporary credentials of `CreateSession`, with which directory buckets are asked quickest:
    /// their token has a parameter of its own. No other endpoint takes them, and none changes.
    #[must_use]
    pub fn directory_session(mut self) -> Self {
        self.directory_session = self.kind == EndpointKind::Directory;
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

    /// The service it signs for: `s3`, but for some access points and for directory buckets.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.kind.service()
    }

    /// What is reached there.
    #[must_use]
    pub fn kind(&self) -> EndpointKind {
        self.kind
    }

    /// Whether the bucket stands before the host, where its name allows that.
    #[must_use]
    pub fn is_virtual_hosted(&self) -> bool {
        self.style != Style::Path
    }

    /// The parameter of a session token.
    pub(super) fn token_parameter(&self) -> &'static str {
        if self.directory_session { DIRECTORY_TOKEN } else { TOKEN }
    }

    /// The bucket in the host, and the bucket in the path: one of them is empty.
    pub(super) fn place<'a>(&self, bucket: &'a str) -> (&'a str, &'a str) {
        match self.style {
            Style::VirtualHosted if bucket.contains('.') => ("", bucket),
            Style::VirtualHosted | Style::AlwaysVirtualHosted => (bucket, ""),
            Style::Path => ("", bucket),
        }
    }

    /// Whether `bucket` can be asked for here.
    pub(super) fn check_bucket(&self, bucket: &str) -> Result<(), BucketError> {
        match self.kind {
            EndpointKind::Bucket | EndpointKind::Accelerate | EndpointKind::Other => {
                check_bucket(bucket)?;
                if self.style == Style::AlwaysVirtualHosted && bucket.contains('.') {
                    Err(BucketError::Dots(bucket.into()))
                } else {
                    Ok(())
                }
            }
            EndpointKind::Directory => {
                let zone = check_directory_bucket(bucket)?;
                // `s3express-ZONE`, or `s3express-fips-ZONE`.
                let label = self.authority.split('.').next().unwrap_or_default();
                let there = label.strip_prefix("s3express").unwrap_or_default();
                let there = there.strip_prefix("-fips").unwrap_or(there);
                match there.strip_prefix('-') {
                    Some(there) if there == zone => Ok(()),
                    _ => Err(BucketError::Zone(bucket.into())),
                }
            }
            EndpointKind::AccessPoint | EndpointKind::ObjectLambda | EndpointKind::Outpost => {
                if is_access_point_label(bucket) {
                    Ok(())
                } else {
                    Err(BucketError::AccessPoint(bucket.into()))
                }
            }
        }
    }
}

/// The parameter of STS's session tokens.
pub(super) const TOKEN: &str = "X-Amz-Security-Token";
/// That of `CreateSession`'s. It sorts into the same place.
pub(super) const DIRECTORY_TOKEN: &str = "X-Amz-S3session-Token";

/// What the name of one of AWS's hosts says, without bucket.
struct AwsHost {
    kind: EndpointKind,
    /// Reached from inside a VPC.
    vpc: bool,
}

impl AwsHost {
    /// `None` if it is no endpoint of S3 in `region`.
    fn read(authority: &str, region: &str) -> Option<Self> {
        let partition = Partition::of_region(region);
        let before = |whole, end| -> Option<_> { str::strip_suffix(whole, end)?.strip_suffix('.') };
        let rest: &str = before(authority, partition.dns_suffix)?;
        if partition.id == "aws" && matches!(rest, "s3-accelerate" | "s3-accelerate.dualstack") {
            return Some(Self { kind: EndpointKind::Accelerate, vpc: false });
        }
        if let Some(rest) = before(rest, "vpce") {
            let (what, id) = before(rest, region)?.strip_suffix(".s3")?.split_once('.')?;
            let kind = match what {
                "bucket" => EndpointKind::Bucket,
                "accesspoint" => EndpointKind::AccessPoint,
                _ => return None,
            };
            let known = id.strip_prefix("vpce-").is_some_and(is_label);
            return known.then_some(Self { kind, vpc: true });
        }
        let rest = before(rest, region)?;
        let (name, dual_stack) = match rest.strip_suffix(".dualstack") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        // No FIPS endpoint in China, as the rule set has it.
        if partition.id == "aws-cn" && name.contains("-fips") {
            return None;
        }
        let kind = match (name, dual_stack) {
            ("s3" | "s3-fips", _) => EndpointKind::Bucket,
            ("s3-accesspoint" | "s3-accesspoint-fips", _) => EndpointKind::AccessPoint,
            ("s3-object-lambda" | "s3-object-lambda-fips", false) => EndpointKind::ObjectLambda,
            _ if name.strip_prefix("s3express-").is_some_and(is_label) => EndpointKind::Directory,
            (_, false) if name.strip_suffix(".s3-outposts").is_some_and(is_outpost) => EndpointKind::Outpost,
            _ => return None,
        };
        Some(Self { kind, vpc: false })
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

    const N: &str = "123456789012";

    /// The host with the bucket and the service, or a part of the reason why there is none.
    type Expected = Result<(&'static str, &'static str), &'static str>;

    /// Everything that reaches AWS: what is named, how, in which region.
    #[rustfmt::skip]
    fn targets() -> Vec<(String, &'static str, &'static str, Expected)> {
        let s3 = |host| Ok((host, "s3"));
        let ap = |service: &str, partition: &str, region: &str| format!("arn:{partition}:{service}:{region}:{N}:accesspoint/my-ap");
        let outpost = format!("arn:aws:s3-outposts:us-west-2:{N}:outpost/op-01/accesspoint/my-ap");
        let (plain, dots, zone) = ("bucket".to_owned(), "my.bucket".to_owned(), "bkt--usw2-az1--x-s3".to_owned());
        let west = || ap("s3", "aws", "us-west-2");
        let lambda = || ap("s3-object-lambda", "aws", "us-west-2");
        vec![
            (plain.clone(), "", "us-west-2", s3("bucket.s3.us-west-2.amazonaws.com")),
            (plain.clone(), "path", "us-west-2", s3("s3.us-west-2.amazonaws.com")),
            (plain.clone(), "virtual", "us-west-2", s3("bucket.s3.us-west-2.amazonaws.com")),
            (plain.clone(), "dual", "us-west-2", s3("bucket.s3.dualstack.us-west-2.amazonaws.com")),
            (plain.clone(), "dual path", "us-west-2", s3("s3.dualstack.us-west-2.amazonaws.com")),
            (plain.clone(), "fips", "us-gov-west-1", s3("bucket.s3-fips.us-gov-west-1.amazonaws.com")),
            (plain.clone(), "fips dual", "us-west-2", s3("bucket.s3-fips.dualstack.us-west-2.amazonaws.com")),
            (plain.clone(), "fips dual path", "us-west-2", s3("s3-fips.dualstack.us-west-2.amazonaws.com")),
            (plain.clone(), "fips", "cn-north-1", Err("China")),
            (plain.clone(), "accelerate", "us-west-2", s3("bucket.s3-accelerate.amazonaws.com")),
            (plain.clone(), "accelerate dual", "us-west-2", s3("bucket.s3-accelerate.dualstack.amazonaws.com")),
            (plain.clone(), "accelerate fips", "us-west-2", Err("no FIPS endpoint")),
            (plain.clone(), "accelerate path", "us-west-2", Err("path addressing")),
            (plain.clone(), "accelerate", "cn-north-1", Err("commercial partition")),
            (plain.clone(), "", "cn-north-1", s3("bucket.s3.cn-north-1.amazonaws.com.cn")),
            (plain.clone(), "dual", "cn-north-1", s3("bucket.s3.dualstack.cn-north-1.amazonaws.com.cn")),
            (plain.clone(), "", "eusc-de-east-1", s3("bucket.s3.eusc-de-east-1.amazonaws.eu")),
            (plain.clone(), "", "us-iso-east-1", s3("bucket.s3.us-iso-east-1.c2s.ic.gov")),
            (plain.clone(), "", "us-isob-east-1", s3("bucket.s3.us-isob-east-1.sc2s.sgov.gov")),
            (plain.clone(), "", "", Err("region is not known")),
            (plain, "", "auto", Err("no AWS region")),
            (dots.clone(), "", "us-west-2", s3("s3.us-west-2.amazonaws.com")),
            (dots.clone(), "virtual", "us-west-2", Err("certificate")),
            (dots, "accelerate", "us-west-2", Err("certificate")),
            (west(), "", "eu-west-1", s3("my-ap-123456789012.s3-accesspoint.us-west-2.amazonaws.com")),
            (west(), "", "", s3("my-ap-123456789012.s3-accesspoint.us-west-2.amazonaws.com")),
            (west(), "dual", "", s3("my-ap-123456789012.s3-accesspoint.dualstack.us-west-2.amazonaws.com")),
            (west(), "fips dual", "", s3("my-ap-123456789012.s3-accesspoint-fips.dualstack.us-west-2.amazonaws.com")),
            (west(), "accelerate", "", Err("not for access points")),
            (west(), "path", "", Err("host name each")),
            (ap("s3", "aws-cn", "cn-north-1"), "", "", s3("my-ap-123456789012.s3-accesspoint.cn-north-1.amazonaws.com.cn")),
            (lambda(), "", "", Ok(("my-ap-123456789012.s3-object-lambda.us-west-2.amazonaws.com", "s3-object-lambda"))),
            (lambda(), "fips", "", Ok(("my-ap-123456789012.s3-object-lambda-fips.us-west-2.amazonaws.com", "s3-object-lambda"))),
            (lambda(), "dual", "", Err("no dual-stack")),
            (outpost.clone(), "", "", Ok(("my-ap-123456789012.op-01.s3-outposts.us-west-2.amazonaws.com", "s3-outposts"))),
            (outpost.clone(), "dual", "", Err("no dual-stack")),
            (outpost, "fips", "", Err("no FIPS")),
            (zone.clone(), "", "us-west-2", Ok(("bkt--usw2-az1--x-s3.s3express-usw2-az1.us-west-2.amazonaws.com", "s3express"))),
            (zone.clone(), "fips", "us-west-2", Ok(("bkt--usw2-az1--x-s3.s3express-fips-usw2-az1.us-west-2.amazonaws.com", "s3express"))),
            (zone.clone(), "dual", "us-west-2", Ok(("bkt--usw2-az1--x-s3.s3express-usw2-az1.dualstack.us-west-2.amazonaws.com", "s3express"))),
            ("ap--usw2-az1--xa-s3".to_owned(), "", "us-west-2", Ok(("ap--usw2-az1--xa-s3.s3express-usw2-az1.us-west-2.amazonaws.com", "s3express"))),
            (zone.clone(), "accelerate", "us-west-2", Err("not for access points or directory buckets")),
            (zone, "path", "us-west-2", Err("host name each")),
            ("a.b--usw2-az1--x-s3".to_owned(), "", "us-west-2", Err("without dots")),
            ("a--evil.test/--x-s3".to_owned(), "", "us-west-2", Err("no directory bucket")),
            ("bkt--x-s3".to_owned(), "", "us-west-2", Err("directory bucket")),
            (format!("arn:aws:s3::{N}:accesspoint/mfzwi23gnjvgw.mrap"), "", "us-west-2", Err("SigV4A")),
            ("arn:aws:s3:::bucket".to_owned(), "", "us-west-2", Err("no ARN of an access point")),
            ("Bad".to_owned(), "", "us-west-2", Err("no bucket name")),
        ]
    }

    fn variant(words: &str) -> Variant {
        let has = |word| words.split(' ').any(|other| other == word);
        let addressing = match (has("virtual"), has("path")) {
            (true, _) => Addressing::Virtual,
            (_, true) => Addressing::Path,
            _ => Addressing::Auto,
        };
        Variant { dual_stack: has("dual"), fips: has("fips"), accelerate: has("accelerate"), addressing }
    }

    #[test]
    fn aws_has_a_host_for_everything_or_a_reason() {
        for (name, words, region, expected) in targets() {
            let region = Some(region).filter(|region| !region.is_empty());
            let got = Target::aws(&name, region, variant(words));
            match (got, expected) {
                (Ok(Target { endpoint, bucket }), Ok((host, service))) => {
                    let (before, in_path) = endpoint.place(&bucket);
                    let dot = if before.is_empty() { "" } else { "." };
                    assert_eq!(
                        (&*format!("{before}{dot}{}", endpoint.authority()), endpoint.service()),
                        (host, service)
                    );
                    assert!(before.is_empty() != in_path.is_empty());
                    // The parser takes the host apart into the same.
                    let (read, label) = Endpoint::read_aws(host, endpoint.region()).unwrap();
                    assert_eq!(
                        (read.kind(), read.authority()),
                        (endpoint.kind(), endpoint.authority()),
                        "{host}"
                    );
                    assert_eq!(label.unwrap_or_default(), before);
                    assert_eq!(read.place(&bucket), (before, in_path));
                    read.check_bucket(&bucket).unwrap();
                }
                (Err(error), Err(reason)) => {
                    assert!(error.to_string().contains(reason), "{name} {words}: {error}")
                }
                (got, expected) => panic!("{name} {words}: {got:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn an_endpoint_takes_its_own_buckets_only() {
        #[track_caller]
        fn check(host: &str, bucket: &str, expected: fn(String) -> BucketError) {
            let (endpoint, _) = Endpoint::read_aws(host, "us-west-2").unwrap();
            assert_eq!(endpoint.check_bucket(bucket), Err(expected(bucket.into())), "{host}");
        }
        let directory = "x.s3express-usw2-az1.us-west-2.amazonaws.com";
        check(directory, "b--usw2-az2--x-s3", BucketError::Zone);
        check(directory, "b--1--x-s3", BucketError::Zone);
        check(directory, "bucket", BucketError::NotDirectory);
        check("x.s3-accesspoint.us-west-2.amazonaws.com", "bucket", BucketError::AccessPoint);
        check("x.op-1.s3-outposts.us-west-2.amazonaws.com", "ap-12345678901", BucketError::AccessPoint);
        check("x.s3-accelerate.amazonaws.com", "my.bucket", BucketError::Dots);
        check("s3.us-west-2.amazonaws.com", "b--usw2-az2--x-s3", BucketError::Directory);
    }

    #[test]
    fn buckets_stand_before_other_servers_too() {
        #[track_caller]
        fn check(url: &str, name: &str, words: &str, expected: Result<&str, &str>) {
            let got =
                Target::server(url, "us-east-1", name, variant(words)).map(|Target { endpoint, bucket }| {
                    let (before, path) = endpoint.place(&bucket);
                    format!("{before}|{}|{path}", endpoint.authority())
                });
            match (got, expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected),
                (Err(error), Err(reason)) => assert!(error.to_string().contains(reason), "{error}"),
                (got, expected) => panic!("{url} {name} {words}: {got:?}, not {expected:?}"),
            }
        }
        check("https://minio.example.com", "bucket", "", Ok("|minio.example.com|bucket"));
        check("https://minio.example.com", "bucket", "path", Ok("|minio.example.com|bucket"));
        check("https://minio.example.com", "bucket", "virtual", Ok("bucket|minio.example.com|"));
        check("http://localhost:9000", "bucket", "virtual", Ok("bucket|localhost:9000|"));
        for address in ["http://127.0.0.1:9000", "http://[::1]:9000", "http://2130706433", "http://0x7f.1"] {
            check(address, "bucket", "virtual", Err("address"));
        }
        check("https://minio.example.com", "my.bucket", "virtual", Err("certificate"));
        for words in ["fips", "dual", "accelerate"] {
            check("https://minio.example.com", "bucket", words, Err("AWS's own"));
        }
        let arn = format!("arn:aws:s3:us-east-1:{N}:accesspoint/my-ap");
        check("https://minio.example.com", &arn, "", Err("not of what this endpoint serves"));

        let vpc = "vpce-1a2b3c4d-5e6f-us-east-1a.s3.us-east-1.vpce.amazonaws.com";
        check(&format!("https://bucket.{vpc}"), "bucket", "", Ok(&format!("bucket|bucket.{vpc}|")));
        check(&format!("https://bucket.{vpc}"), "my.bucket", "", Ok(&format!("|bucket.{vpc}|my.bucket")));
        check(&format!("https://bucket.{vpc}"), "bucket", "path", Ok(&format!("|bucket.{vpc}|bucket")));
        check(&format!("https://accesspoint.{vpc}"), &arn, "", Ok(&format!("my-ap-{N}|accesspoint.{vpc}|")));
        check(&format!("https://bucket.{vpc}"), &arn, "", Err("not of what this endpoint serves"));
        check(&format!("http://bucket.{vpc}"), "bucket", "", Err("AWS itself"));
        check(&format!("https://control.{vpc}"), "bucket", "", Err("AWS itself"));
        check("https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com", "bucket", "", Err("AWS itself"));
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
