//! AWS partitions and their domains: one table.
//!
//! Source: `partitions.json` of the AWS SDKs for regions and DNS suffixes; the consoles' own addresses for the
//! rest. Consoles of the isolated partitions are not public and so not listed.

/// A partition: a set of regions with accounts, ARNs and domains of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Partition {
    /// As ARNs spell it: `aws`, `aws-cn`, …
    pub id: &'static str,
    /// Under which its services live: `amazonaws.com`, …
    pub dns_suffix: &'static str,
    /// Under which the same services answer over IPv6 too: `api.aws`, …
    pub dual_stack_suffix: &'static str,
    /// The console's domain, if it is public: `console.aws.amazon.com`, …
    pub console: Option<&'static str>,
    /// What its regions' names begin with; the longest prefix decides, and `""` is every other region.
    region_prefix: &'static str,
}

/// Every partition, the commercial one last, for its prefix fits every region.
pub const PARTITIONS: &[Partition] = &[
    partition(
        "aws-cn",
        "amazonaws.com.cn",
        "api.amazonwebservices.com.cn",
        Some("console.amazonaws.cn"),
        "cn-",
    ),
    partition("aws-us-gov", "amazonaws.com", "api.aws", Some("console.amazonaws-us-gov.com"), "us-gov-"),
    partition(
        "aws-eusc",
        "amazonaws.eu",
        "api.amazonwebservices.eu",
        Some("console.amazonaws-eusc.eu"),
        "eusc-",
    ),
    partition("aws-iso", "c2s.ic.gov", "api.aws.ic.gov", None, "us-iso-"),
    partition("aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud", None, "us-isob-"),
    partition("aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", None, "eu-isoe-"),
    partition("aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov", None, "us-isof-"),
    AWS,
];

/// The commercial partition.
const AWS: Partition = partition("aws", "amazonaws.com", "api.aws", Some("console.aws.amazon.com"), "");

const fn partition(
    id: &'static str,
    dns_suffix: &'static str,
    dual_stack_suffix: &'static str,
    console: Option<&'static str>,
    region_prefix: &'static str,
) -> Partition {
    Partition { id, dns_suffix, dual_stack_suffix, console, region_prefix }
}

impl Partition {
    /// The partition of a region, by the region's prefix; the commercial one if no other fits.
    #[must_use]
    pub fn of_region(region: &str) -> &'static Self {
        PARTITIONS.iter().find(|p| region.starts_with(p.region_prefix)).unwrap_or(&AWS)
    }
}

/// Whether `name` has the shape of an AWS region: `eu-west-1`, `us-gov-west-1`, `eusc-de-east-1`.
///
/// A shape, not a list: new regions must not need a new release.
#[must_use]
pub fn is_region(name: &str) -> bool {
    let Some((words, number)) = name.rsplit_once('-') else { return false };
    let word = |w: &str| w.len() >= 2 && w.bytes().all(|b| b.is_ascii_lowercase());
    words.contains('-')
        && name.len() <= 32
        && words.split('-').all(word)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// Whether `host` (without port, lower case) is `suffix` or a name under it.
#[must_use]
pub fn is_under(host: &str, suffix: &str) -> bool {
    host.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether `host` (without port, lower case) lies under the DNS suffix of any partition.
#[must_use]
pub fn is_aws_host(host: &str) -> bool {
    PARTITIONS.iter().any(|p| is_under(host, p.dns_suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_lie_in_partitions() {
        #[track_caller]
        fn check(region: &str, id: &str, dns_suffix: &str) {
            let partition = Partition::of_region(region);
            assert_eq!((partition.id, partition.dns_suffix), (id, dns_suffix), "{region}");
        }
        check("us-east-1", "aws", "amazonaws.com");
        check("eu-west-1", "aws", "amazonaws.com");
        check("cn-north-1", "aws-cn", "amazonaws.com.cn");
        check("us-gov-west-1", "aws-us-gov", "amazonaws.com");
        check("eusc-de-east-1", "aws-eusc", "amazonaws.eu");
        check("us-iso-east-1", "aws-iso", "c2s.ic.gov");
        check("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov");
        check("eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk");
        check("us-isof-south-1", "aws-iso-f", "csp.hci.ic.gov");
    }

    #[test]
    fn regions_have_a_shape() {
        #[track_caller]
        fn check(name: &str, expected: bool) {
            assert_eq!(is_region(name), expected, "{name}");
        }
        for region in ["us-east-1", "ap-southeast-7", "us-gov-west-1", "eusc-de-east-1", "us-isob-west-1"] {
            check(region, true);
        }
        for other in
            ["", "auto", "us-east", "us-1", "US-EAST-1", "us--1", "us-east-1x", "us-east-123", "../-1"]
        {
            check(other, false);
        }
    }

    #[test]
    fn suffixes_end_on_a_dot_boundary() {
        #[track_caller]
        fn check(host: &str, expected: bool) {
            assert_eq!(is_aws_host(host), expected, "{host}");
        }
        check("s3.us-east-1.amazonaws.com", true);
        check("amazonaws.com", true);
        check("s3.cn-north-1.amazonaws.com.cn", true);
        check("s3.eusc-de-east-1.amazonaws.eu", true);
        check("evilamazonaws.com", false);
        check("s3.amazonaws.com.evil.test", false);
        check("s3.amazonaws.com.", false);
        check("", false);
    }
}
