//! Where STS and IAM are: the partitions' rules, and what people set instead.
//!
//! Source: the rule sets `sts` and `iam` of the AWS SDKs (`endpoint-rule-set-1.json` in botocore), which a test is held against;
//! "Service-specific endpoints" and "AWS STS Regional endpoints", AWS SDKs and Tools Reference Guide.

use keyfob_core::message::{ErrorCode, Failure};
use keyfob_core::partition::Partition;

use super::Endpoint;
use crate::error::failure;

/// The regions that had the global STS before regions had their own: for them alone it still answers.
const OLD_REGIONS: [&str; 16] = [
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "aws-global",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];
/// Where what is global in the commercial partition signs for.
const GLOBAL_REGION: &str = "us-east-1";
/// How the SDKs name no region of the commercial partition in particular.
const GLOBAL: &str = "aws-global";

/// Which of AWS's own endpoints is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Variant {
    /// With validated cryptography.
    pub(crate) fips: bool,
    /// Over IPv6 too.
    pub(crate) dual_stack: bool,
    /// STS: the global endpoint, for the regions that have it.
    pub(crate) legacy: bool,
}

/// AWS's STS for a region.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] for what cannot be a region's name.
pub(crate) fn sts(region: &str, variant: Variant) -> Result<Endpoint, Failure> {
    if !is_label(region) {
        let message = format!("{region:?} is no region");
        return Err(failure(ErrorCode::InvalidInput, message, "give one such as eu-west-1"));
    }
    let Variant { fips, dual_stack, legacy } = variant;
    if !fips && !dual_stack && (region == GLOBAL || legacy && OLD_REGIONS.contains(&region)) {
        let url = "https://sts.amazonaws.com".to_owned();
        return Ok(Endpoint { url, region: GLOBAL_REGION.to_owned() });
    }
    let region = if region == GLOBAL { GLOBAL_REGION } else { region };
    let partition = Partition::of_region(region);
    // In GovCloud the usual one is validated; the one over IPv6 is not.
    let fips = fips && (partition.id != "aws-us-gov" || dual_stack);
    let service = if fips { "sts-fips" } else { "sts" };
    let suffix = if dual_stack { partition.dual_stack_suffix } else { partition.dns_suffix };
    Ok(Endpoint { url: format!("https://{service}.{region}.{suffix}"), region: region.to_owned() })
}

/// AWS's IAM for the partition of a region: one for all of it.
///
/// # Errors
/// As [`sts`].
pub(crate) fn iam(region: &str, variant: Variant) -> Result<Endpoint, Failure> {
    // The same rules for names.
    sts(region, variant)?;
    let partition = Partition::of_region(region);
    let (plain, dual) = (partition.dns_suffix, partition.dual_stack_suffix);
    let at = iam_region(partition);
    let host = match (partition.id, variant.fips, variant.dual_stack) {
        ("aws", false, false) => format!("iam.{plain}"),
        ("aws", true, true) => format!("iam-fips.global.{dual}"),
        ("aws-us-gov", _, false) => format!("iam.us-gov.{plain}"),
        ("aws-us-gov", _, true) => format!("iam.us-gov.{dual}"),
        ("aws" | "aws-cn" | "aws-eusc", false, true) => format!("iam.global.{dual}"),
        ("aws-iso" | "aws-iso-b", true, false) => format!("iam-fips.{at}.{plain}"),
        (_, false, false) => format!("iam.{at}.{plain}"),
        (_, true, false) => format!("iam-fips.{plain}"),
        (_, false, true) => format!("iam.{dual}"),
        (_, true, true) => format!("iam-fips.{dual}"),
    };
    Ok(Endpoint { url: format!("https://{host}"), region: at.to_owned() })
}

/// The region that a partition's IAM signs for.
pub(crate) fn iam_region(partition: &Partition) -> &'static str {
    match partition.id {
        "aws-cn" => "cn-north-1",
        "aws-us-gov" => "us-gov-west-1",
        "aws-eusc" => "eusc-de-east-1",
        "aws-iso" => "us-iso-east-1",
        "aws-iso-b" => "us-isob-east-1",
        "aws-iso-e" => "eu-isoe-west-1",
        "aws-iso-f" => "us-isof-south-1",
        _ => GLOBAL_REGION,
    }
}

/// Whether a region may become a label of a host name.
pub(crate) fn is_label(region: &str) -> bool {
    (1..=40).contains(&region.len())
        && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !region.starts_with('-')
        && !region.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_all_partitions() {
        /// `variant`: f, d, l for what is wanted.
        #[track_caller]
        fn check(
            service: fn(&str, Variant) -> Result<Endpoint, Failure>,
            region: &str,
            variant: &str,
            host: &str,
            scope: &str,
        ) {
            let has = |c| variant.contains(c);
            let variant = Variant { fips: has('f'), dual_stack: has('d'), legacy: has('l') };
            let expected = Endpoint { url: format!("https://{host}"), region: scope.to_owned() };
            assert_eq!(service(region, variant).unwrap(), expected, "{region} {variant:?}");
        }
        check(sts, "eu-west-1", "", "sts.eu-west-1.amazonaws.com", "eu-west-1");
        check(sts, "eu-west-1", "l", "sts.amazonaws.com", "us-east-1");
        check(sts, "eu-west-1", "lf", "sts-fips.eu-west-1.amazonaws.com", "eu-west-1");
        check(sts, "me-south-1", "l", "sts.me-south-1.amazonaws.com", "me-south-1");
        check(sts, "eu-west-1", "d", "sts.eu-west-1.api.aws", "eu-west-1");
        check(sts, "eu-west-1", "fd", "sts-fips.eu-west-1.api.aws", "eu-west-1");
        check(sts, "aws-global", "", "sts.amazonaws.com", "us-east-1");
        check(sts, "aws-global", "f", "sts-fips.us-east-1.amazonaws.com", "us-east-1");
        check(sts, "cn-north-1", "d", "sts.cn-north-1.api.amazonwebservices.com.cn", "cn-north-1");
        check(sts, "us-gov-east-1", "f", "sts.us-gov-east-1.amazonaws.com", "us-gov-east-1");
        check(sts, "us-gov-east-1", "fd", "sts-fips.us-gov-east-1.api.aws", "us-gov-east-1");
        check(sts, "eusc-de-east-1", "f", "sts-fips.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1");
        check(sts, "eu-isoe-west-1", "d", "sts.eu-isoe-west-1.api.cloud-aws.adc-e.uk", "eu-isoe-west-1");
        check(iam, "eu-west-1", "", "iam.amazonaws.com", "us-east-1");
        check(iam, "eu-west-1", "f", "iam-fips.amazonaws.com", "us-east-1");
        check(iam, "eu-west-1", "d", "iam.global.api.aws", "us-east-1");
        check(iam, "eu-west-1", "fd", "iam-fips.global.api.aws", "us-east-1");
        check(iam, "cn-northwest-1", "", "iam.cn-north-1.amazonaws.com.cn", "cn-north-1");
        check(iam, "cn-north-1", "f", "iam-fips.amazonaws.com.cn", "cn-north-1");
        check(iam, "us-gov-east-1", "f", "iam.us-gov.amazonaws.com", "us-gov-west-1");
        check(iam, "us-gov-east-1", "d", "iam.us-gov.api.aws", "us-gov-west-1");
        check(iam, "eusc-de-east-1", "", "iam.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1");
        check(iam, "us-iso-west-1", "f", "iam-fips.us-iso-east-1.c2s.ic.gov", "us-iso-east-1");
        check(iam, "eu-isoe-west-1", "f", "iam-fips.cloud.adc-e.uk", "eu-isoe-west-1");
        check(iam, "us-isof-south-1", "d", "iam.api.aws.hci.ic.gov", "us-isof-south-1");
        for region in ["", "-a", "a.b", "evil.example/", "EU-WEST-1"] {
            assert!(sts(region, Variant::default()).is_err() && iam(region, Variant::default()).is_err());
        }
    }
}
