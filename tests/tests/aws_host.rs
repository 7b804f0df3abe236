//! What host names say, held against every endpoint that botocore knows.

use std::collections::BTreeMap;
use std::process::Command;

use keyfob_core::aws_host::AwsHost;
use keyfob_tests::tool;

/// Where a name says something else than botocore signs: its service, ours, and why that is so.
const EXPLAINED: [(&str, Option<&str>, &str); 5] = [
    ("signin", None, "the console's own sign-in service: no host of an API"),
    ("sustainability", Some("sustainability"), "signed for us-east-1 in every region"),
    ("geo", Some("geo-maps"), "Location's older API, where the newer one with the same host is not told"),
    ("geo", Some("geo-places"), "the same"),
    ("geo", Some("geo-routes"), "the same"),
];

/// GovCloud's, which nothing tells from those of the commercial partition.
const GOVCLOUD: [&str; 3] = ["budgets.api.aws", "cloudfront.api.aws", "cloudfront-fips.api.aws"];

#[test]
fn hosts_say_what_botocore_signs() {
    let output = Command::new(tool("KEYFOB_PYTHON").unwrap())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/botocore_endpoints.py"))
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env_remove("AWS_PROFILE")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    // Two services can have one host: Location's older API and its newer one.
    let mut hosts = BTreeMap::<_, Vec<_>>::new();
    for line in lines.lines() {
        let [host, service, region] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        hosts.entry(host).or_default().push((service, region));
    }
    assert!(hosts.len() > 70_000, "{}", hosts.len());
    let right = |host: &str, expected: &[(&str, &str)]| {
        let ours = AwsHost::parse(host);
        let service = ours.map(|it| it.service);
        let explained = EXPLAINED
            .iter()
            .any(|(theirs, our, _)| *our == service && expected.iter().all(|(service, _)| service == theirs));
        let same = ours.is_some_and(|it| {
            !it.multi_region && it.region.is_some_and(|region| expected.contains(&(it.service, region)))
        });
        same || explained || GOVCLOUD.contains(&host)
    };
    let wrong: Vec<_> = hosts
        .iter()
        .filter(|(host, expected)| !right(host, expected))
        .map(|(host, expected)| format!("{host}: {expected:?}, not {:?}", AwsHost::parse(host)))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), hosts.len(), wrong.join("\n"));
}
