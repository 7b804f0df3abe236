//! Where a bucket is: what is typed of it, and the endpoint that follows.

use clap::{Args, ValueEnum};
use keyfob_core::message::{ErrorCode, Failure};
use keyfob_core::s3::{Addressing, Endpoint, EndpointError, EndpointKind, Target, Variant};

use super::presign::invalid;
use crate::error::failure;

/// The heading of these options.
const PLACE: &str = "Where the bucket is";

/// Where the bucket is, as it is typed.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(super) struct Options {
    /// Region of the bucket; an ARN says its own, and other servers than AWS's are in us-east-1 unless they are told
    #[arg(long, env = "AWS_REGION", help_heading = PLACE)]
    pub(super) region: Option<String>,
    /// Server other than AWS (http://127.0.0.1:9000), or the interface endpoint of a VPC (https://bucket.vpce-…)
    #[arg(long, value_name = "URL", help_heading = PLACE)]
    pub(super) endpoint: Option<String>,
    /// Where the bucket goes: before the host name, or into the path. Without it: before AWS's unless the bucket has dots,
    /// and into the path of other servers
    #[arg(long, value_name = "WHERE", default_value = "auto", hide_default_value = true, help_heading = PLACE)]
    pub(super) addressing: AddressingStyle,
    /// The same as --addressing path
    #[arg(long, conflicts_with = "addressing", help_heading = PLACE)]
    pub(super) path_style: bool,
    /// AWS's endpoint that answers over IPv6 too; also with AWS_USE_DUALSTACK_ENDPOINT=true
    #[arg(long, help_heading = PLACE)]
    pub(super) dual_stack: bool,
    /// AWS's endpoint whose cryptography is validated by FIPS 140; also with AWS_USE_FIPS_ENDPOINT=true
    #[arg(long, help_heading = PLACE)]
    pub(super) fips: bool,
    /// AWS's endpoint of Transfer Acceleration, which must be switched on for the bucket
    #[arg(long, help_heading = PLACE)]
    pub(super) accelerate: bool,
}

/// [`keyfob_core::s3::Addressing`], as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum AddressingStyle {
    /// As the server and the bucket's name allow it
    Auto,
    /// https://BUCKET.HOST/KEY
    Virtual,
    /// https://HOST/BUCKET/KEY
    Path,
}

impl Options {
    /// Where `bucket`, or the ARN in its place, is.
    pub(super) fn target(&self, bucket: &str) -> Result<Target, Failure> {
        let env = |name: &'static str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let region =
            self.region.clone().filter(|region| !region.is_empty()).or_else(|| env("AWS_DEFAULT_REGION"));
        let addressing = match self.addressing {
            _ if self.path_style => Addressing::Path,
            AddressingStyle::Auto => Addressing::Auto,
            AddressingStyle::Virtual => Addressing::Virtual,
            AddressingStyle::Path => Addressing::Path,
        };
        let (dual_stack, fips) = (wanted(DUAL_STACK, env(DUAL_STACK))?, wanted(FIPS, env(FIPS))?);
        let variant = Variant {
            dual_stack: self.dual_stack || dual_stack,
            fips: self.fips || fips,
            accelerate: self.accelerate,
            addressing,
        };
        // What nobody typed is named by what says it.
        let by_variable = [(DUAL_STACK, dual_stack && !self.dual_stack), (FIPS, fips && !self.fips)]
            .into_iter()
            .find_map(|(name, only)| only.then_some(name));
        let refused = |error: EndpointError| match (by_variable, &error) {
            (Some(name), EndpointError::Excluded(_)) => invalid(
                &format!("{name} is set, and {error}"),
                &format!("unset {name}, or leave the other out"),
            ),
            _ => invalid(&error, ""),
        };
        let aws = || match Target::aws(bucket, region.as_deref(), variant) {
            Err(error @ EndpointError::NoRegion) => Err(invalid(&error, "give --region, or set AWS_REGION")),
            other => other.map_err(refused),
        };
        let server = |url: &str| {
            let region = region.as_deref().unwrap_or("us-east-1");
            Target::server(url, region, bucket, variant)
        };
        if let Some(url) = &self.endpoint {
            return server(url).map_err(refused);
        }
        for name in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
            let Some(url) = env(name) else { continue };
            return match server(&url) {
                // Said of AWS itself it says nothing more than the region.
                Err(EndpointError::Aws(_)) => aws(),
                Err(error @ (EndpointError::Url(_) | EndpointError::Scope(_))) => {
                    Err(invalid(&format!("{name}: {error}"), "correct it, or unset it"))
                }
                other => other.map_err(refused),
            };
        }
        aws()
    }
}

/// Variables that choose among AWS's endpoints ("Dual-stack and FIPS endpoints", AWS SDKs and Tools Reference Guide).
const DUAL_STACK: &str = "AWS_USE_DUALSTACK_ENDPOINT";
const FIPS: &str = "AWS_USE_FIPS_ENDPOINT";

/// Whether a variable says true.
fn wanted(name: &str, value: Option<String>) -> Result<bool, Failure> {
    match value.as_deref() {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(value) => Err(invalid(&format!("{name} is {value:?}"), "set it to true or false, or unset it")),
    }
}

/// Refuses Signature Version 2 for AWS itself, which has withdrawn it ("Amazon S3 Update – SigV2 Deprecation Period Extended &
/// Modified", AWS News Blog): a link that works for some old buckets only is a trap.
pub(super) fn check_sigv2(endpoint: &Endpoint) -> Result<(), Failure> {
    match endpoint.kind() {
        EndpointKind::Other => Ok(()),
        _ => Err(failure(
            ErrorCode::InvalidInput,
            "AWS takes Signature Version 2 for no bucket made since June 2020, and in no region opened since 2014",
            "leave --sigv2 out; for another server name it: --endpoint",
        )),
    }
}
