//! Which service and region a host name of AWS says: the other direction of an endpoint.
//!
//! ```text
//! [resource.] service [-fips] [.dualstack] . region . suffix      sts.eu-west-1.amazonaws.com
//! resource . region . service . suffix                            search-x.eu-west-1.es.amazonaws.com
//! service [.global] . suffix                                      iam.amazonaws.com
//! ```
//!
//! Most services sign under the last word before the region; a table has the others. It is held against all endpoints
//! that botocore knows.
//!
//! Source: the endpoint rule sets of the AWS SDKs; "AWS service endpoints", AWS General Reference; the documentation of
//! Lambda's function URLs, API Gateway, AppSync, IoT, OpenSearch and VPC endpoints for the hosts of resources.

use crate::partition::{PARTITIONS, is_region, is_under};

/// What a host name says of the credential scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AwsHost<'a> {
    /// As credential scopes name it: `s3`, `execute-api`.
    pub service: &'a str,
    /// None where the name leaves it open: Transfer Acceleration's buckets are anywhere.
    pub region: Option<&'a str>,
    /// Whether requests there are signed for several regions at once, by SigV4A.
    pub multi_region: bool,
}

/// Under which resources have their names, beside the partitions' own suffixes, and the partition.
const MORE_SUFFIXES: [(&str, &str); 1] = [("on.aws", "aws")];

/// Where services are that have one endpoint for a whole partition (`implicitGlobalRegion` of the SDKs).
const GLOBAL_REGIONS: [(&str, &str); 8] = [
    ("aws", "us-east-1"),
    ("aws-cn", "cn-northwest-1"),
    ("aws-us-gov", "us-gov-west-1"),
    ("aws-eusc", "eusc-de-east-1"),
    ("aws-iso", "us-iso-east-1"),
    ("aws-iso-b", "us-isob-east-1"),
    ("aws-iso-e", "eu-isoe-west-1"),
    ("aws-iso-f", "us-isof-south-1"),
];

/// What stands before the region, or its last labels, and the service's name in credential scopes, where that is another.
const NAMES: &[(&str, &str)] = &[
    ("account-access-runtime", "account-access"),
    ("agent-registry-control", "agent-registry"),
    ("agreement-marketplace", "aws-marketplace"),
    ("analytics-omics", "omics"),
    ("aos", "es"),
    ("api.iot-tunneling", "IoTSecuredTunneling"),
    ("api.tunneling.iot", "IoTSecuredTunneling"),
    ("appconfigdata", "appconfig"),
    ("appstream2", "appstream"),
    ("appsync-api", "appsync"),
    ("aps-workspaces", "aps"),
    ("arc-recovery-control-config", "route53-recovery-control-config"),
    ("bedrock-agent", "bedrock"),
    ("bedrock-agent-runtime", "bedrock"),
    ("bedrock-agentcore-control", "bedrock-agentcore"),
    ("bedrock-data-automation", "bedrock"),
    ("bedrock-data-automation-runtime", "bedrock"),
    ("bedrock-runtime", "bedrock"),
    ("cassandra-streams", "cassandra"),
    ("catalog-marketplace", "aws-marketplace"),
    ("cloudhsmv2", "cloudhsm"),
    ("cloudsearchdomain", "cloudsearch"),
    ("cloudwatch-omni", "cloudwatch"),
    ("contact-lens", "connect"),
    ("control-kinesis", "kinesis"),
    ("control-storage-omics", "omics"),
    ("cp.maps.geo", "geo"),
    ("cp.places.geo", "geo"),
    ("cp.routes.geo", "geo"),
    ("data-ats.iot", "iotdata"),
    ("data-kinesis", "kinesis"),
    ("data-lakeformation", "lakeformation"),
    ("data-servicediscovery", "servicediscovery"),
    ("data-signer", "signer"),
    ("data.ats.iot", "iotdata"),
    ("data.iot", "iotdata"),
    ("data.jobs.iot", "iot-jobs-data"),
    ("ddb", "dynamodb"),
    ("deployment-marketplace", "aws-marketplace"),
    ("discovery-marketplace", "aws-marketplace"),
    ("efs", "elasticfilesystem"),
    ("email", "ses"),
    ("entitlement-marketplace", "aws-marketplace"),
    ("eventsv2", "events"),
    ("forecastquery", "forecast"),
    ("git-codecommit", "codecommit"),
    ("iam-toolbox", "iam"),
    ("identity-chime", "chime"),
    ("ivsrealtime", "ivs"),
    ("kafka-api", "kafka"),
    ("lambda-url", "lambda"),
    ("mail-manager", "ses"),
    ("maps.geo", "geo-maps"),
    ("marketplace", "aws-marketplace"),
    ("media-pipelines-chime", "chime"),
    ("meetings-chime", "chime"),
    ("memory-db", "memorydb"),
    ("messaging-chime", "chime"),
    ("metering-marketplace", "aws-marketplace"),
    ("migrationhub-config", "mgh"),
    ("models-v2-lex", "lex"),
    ("neptune", "neptune-db"),
    ("oidc", "sso-oauth"),
    ("participant.connect", "execute-api"),
    ("partnercentral-prm", "partnercentral"),
    ("personalize-events", "personalize"),
    ("personalize-runtime", "personalize"),
    ("pinpoint", "mobiletargeting"),
    ("places.geo", "geo-places"),
    ("portal.sso", "awsssoportal"),
    ("query-lakeformation", "lakeformation"),
    ("queue", "sqs"),
    ("reporting-marketplace", "aws-marketplace"),
    ("routes.geo", "geo-routes"),
    ("runtime-medical-imaging", "medical-imaging"),
    ("runtime-v2-lex", "lex"),
    ("s3-accesspoint", "s3"),
    ("s3-control", "s3"),
    ("s3express-control", "s3express"),
    ("servicecatalog-appregistry", "servicecatalog"),
    ("sms-voice.pinpoint", "sms-voice"),
    ("storage-omics", "omics"),
    ("stream-logs", "logs"),
    ("streaming-logs", "logs"),
    ("streams-dynamodb", "dynamodb"),
    ("sync-states", "states"),
    ("tags-omics", "omics"),
    ("timestream-ingest", "timestream"),
    ("timestream-query", "timestream"),
    ("transcribestreaming", "transcribe"),
    ("voice-chime", "chime"),
    ("workflows-omics", "omics"),
];

/// Services that have the region of a resource before them.
const BEHIND_REGION: [&str; 6] = ["aoss", "cloudsearch", "es", "neptune", "neptune-graph", "queue"];

impl<'a> AwsHost<'a> {
    /// Reads a host name in lower case; a port is ignored. None if it is none of AWS's, or says no service: what customers
    /// run there (load balancers, instances) signs as they please.
    #[must_use]
    pub fn parse(host: &'a str) -> Option<Self> {
        let host = host.split(':').next().unwrap_or_default();
        let (before, partition) = split(host)?;
        let labels: Vec<_> = before.split('.').filter(|label| *label != "dualstack").map(plain).collect();
        let global =
            |id: &str| GLOBAL_REGIONS.iter().find(|(known, _)| *known == id).map(|(_, region)| *region);
        let everywhere = |service| Some(Self { service, region: None, multi_region: true });
        match labels.as_slice() {
            [prefix @ .., region] | [prefix @ .., region, "us-gov" | "vpce"] if is_region(region) => {
                Self::of(prefix, Some(region))
            }
            [.., region, service] if is_region(region) && BEHIND_REGION.contains(service) => {
                Self::of(&[service], Some(region))
            }
            [.., "mrap", "accesspoint", "s3-global"] => everywhere("s3"),
            [.., "cloudfront-kvs", "global"] => everywhere("cloudfront-keyvaluestore"),
            [.., "s3-accelerate"] => Some(Self { service: "s3", region: None, multi_region: false }),
            [.., "s3" | "s3-external-1"] => Self::of(&["s3"], global(partition)),
            // China has IAM elsewhere than all else.
            ["iam"] | ["iam", "global"] if partition == "aws-cn" => Self::of(&["iam"], Some("cn-north-1")),
            [prefix @ .., "us-gov"] => Self::of(prefix, global("aws-us-gov")),
            [prefix @ .., "global"] => Self::of(prefix, global(partition)),
            [service] | ["global", service] => Self::of(&[service], global(partition)),
            // The older names of S3's regions: bucket.s3-us-west-2.amazonaws.com.
            [.., old] => {
                let region = old.strip_prefix("s3-").filter(|region| is_region(region))?;
                Self::of(&["s3"], Some(region))
            }
            [] => None,
        }
    }

    /// The service by the labels before its region.
    fn of(labels: &[&'a str], region: Option<&'a str>) -> Option<Self> {
        let last = *labels.last().filter(|label| !label.is_empty())?;
        let ends = |name: &str| {
            let mut labels = labels.iter().rev();
            name.rsplit('.').all(|label| labels.next() == Some(&label))
        };
        let known = NAMES.iter().filter(|(name, _)| ends(name)).max_by_key(|(name, _)| name.len());
        let service = match known {
            Some((_, service)) => service,
            None if last.starts_with("s3express-") => "s3express",
            // An account's own endpoint for its devices.
            None if last == "iot" && labels.len() > 1 => "iotdata",
            None => last,
        };
        Some(Self { service, region, multi_region: false })
    }
}

/// What stands before the suffix, and the partition of it.
fn split(host: &str) -> Option<(&str, &'static str)> {
    let plain = PARTITIONS.iter().map(|partition| (partition.dns_suffix, partition.id));
    let dual_stack = PARTITIONS.iter().map(|partition| (partition.dual_stack_suffix, partition.id));
    // The last of equals: the commercial partition.
    let suffixes = plain.chain(dual_stack).chain(MORE_SUFFIXES);
    let (suffix, partition) =
        suffixes.filter(|(suffix, _)| is_under(host, suffix)).max_by_key(|(suffix, _)| suffix.len())?;
    Some((host.strip_suffix(suffix)?.strip_suffix('.')?, partition))
}

/// A label without what says that its cryptography is validated.
fn plain(label: &str) -> &str {
    label.strip_suffix("-fips").unwrap_or(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_say_service_and_region() {
        #[track_caller]
        fn check(host: &str, service: &str, region: &str) {
            let expected = AwsHost { service, region: Some(region), multi_region: false };
            assert_eq!(AwsHost::parse(host), Some(expected), "{host}");
        }
        check("sts.eu-west-1.amazonaws.com", "sts", "eu-west-1");
        check("sts.amazonaws.com:443", "sts", "us-east-1");
        check("iam.amazonaws.com", "iam", "us-east-1");
        check("iam.us-gov.amazonaws.com", "iam", "us-gov-west-1");
        check("iam.cn-north-1.amazonaws.com.cn", "iam", "cn-north-1");
        check("iam.amazonaws.com.cn", "iam", "cn-north-1");
        check("route53.amazonaws.com.cn", "route53", "cn-northwest-1");
        check("ec2.eu-west-1.api.aws", "ec2", "eu-west-1");
        check("global.health.amazonaws.com", "health", "us-east-1");
        check("kms-fips.us-gov-west-1.amazonaws.com", "kms", "us-gov-west-1");
        check("sqs.eusc-de-east-1.amazonaws.eu", "sqs", "eusc-de-east-1");
        check("us-west-2.queue.amazonaws.com", "sqs", "us-west-2");
        // S3 in all its names.
        check("s3.amazonaws.com", "s3", "us-east-1");
        check("my.bucket.s3.amazonaws.com", "s3", "us-east-1");
        check("bucket.s3-eu-west-1.amazonaws.com", "s3", "eu-west-1");
        check("bucket.s3-fips.dualstack.us-east-2.amazonaws.com", "s3", "us-east-2");
        check("ap-123456789012.s3-accesspoint.eu-west-1.amazonaws.com", "s3", "eu-west-1");
        check("ap-123456789012.s3-object-lambda.eu-west-1.amazonaws.com", "s3-object-lambda", "eu-west-1");
        check("a.op-1.123456789012.s3-outposts.us-east-1.amazonaws.com", "s3-outposts", "us-east-1");
        check("b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com", "s3express", "us-east-1");
        check("s3express-control.us-east-1.amazonaws.com", "s3express", "us-east-1");
        check("b.bucket.vpce-0a-1b.s3.eu-west-1.vpce.amazonaws.com", "s3", "eu-west-1");
        // Resources of accounts.
        check("a1b2.execute-api.eu-west-1.amazonaws.com", "execute-api", "eu-west-1");
        check("vpce-0a-1b.execute-api.eu-west-1.vpce.amazonaws.com", "execute-api", "eu-west-1");
        check("a1b2.lambda-url.eu-west-1.on.aws", "lambda", "eu-west-1");
        check("a1b2.appsync-api.eu-west-1.amazonaws.com", "appsync", "eu-west-1");
        check("search-x-a1.eu-west-1.es.amazonaws.com", "es", "eu-west-1");
        check("search-x-a1.aos.eu-west-1.on.aws", "es", "eu-west-1");
        check("a1b2.eu-west-1.aoss.amazonaws.com", "aoss", "eu-west-1");
        check("a1b2-ats.iot.eu-west-1.amazonaws.com", "iotdata", "eu-west-1");
        check("iot.eu-west-1.amazonaws.com", "iot", "eu-west-1");
        check("x.cluster-y.eu-west-1.neptune.amazonaws.com", "neptune-db", "eu-west-1");
        check("123456789012.ddb.eu-west-1.amazonaws.com", "dynamodb", "eu-west-1");
        check("bedrock-runtime.eu-west-1.amazonaws.com", "bedrock", "eu-west-1");
        check("resource-explorer-2.eu-west-1.api.aws", "resource-explorer-2", "eu-west-1");
    }

    #[test]
    fn hosts_that_leave_something_open() {
        #[track_caller]
        fn check(host: &str, expected: Option<(&str, bool)>) {
            let actual = AwsHost::parse(host);
            assert_eq!(actual.map(|it| (it.service, it.multi_region)), expected, "{host}");
            assert_eq!(actual.and_then(|it| it.region), None, "{host}");
        }
        check("bucket.s3-accelerate.amazonaws.com", Some(("s3", false)));
        check("bucket.s3-accelerate.dualstack.amazonaws.com", Some(("s3", false)));
        check("x.mrap.accesspoint.s3-global.amazonaws.com", Some(("s3", true)));
        check("123456789012.cloudfront-kvs.global.api.aws", Some(("cloudfront-keyvaluestore", true)));
        check("my-lb-1.eu-west-1.elb.amazonaws.com", None);
        check("ec2-1-2-3-4.eu-west-1.compute.amazonaws.com", None);
        check("eu-west-1.amazonaws.com", None);
        check("amazonaws.com", None);
        check(".amazonaws.com", None);
        check("a..amazonaws.com", None);
        check("s3.eu-west-1.example.com", None);
        check("127.0.0.1:9000", None);
        check("[::1]:9000", None);
        check("", None);
    }
}
