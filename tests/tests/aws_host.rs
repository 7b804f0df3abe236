//! What host names say, held against every endpoint that botocore knows.

use std::collections::BTreeMap;
use std::process::Command;

use keyfob_core::aws_host::AwsHost;
use keyfob_tests::tool;

/// Ends of names, without region and suffix, under which botocore signs otherwise than the name says.
const EXPLAINED: [(&str, &str); 2] = [
    ("signin", "the console's own sign-in service: no host of an API"),
    ("sustainability", "signed for us-east-1 in every region"),
];

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
    let wrong: Vec<_> = hosts
        .iter()
        .filter(|(_, expected)| {
            !EXPLAINED.iter().any(|(name, _)| expected.iter().all(|(service, _)| service == name))
        })
        .map(|(host, expected)| (host, expected, AwsHost::parse(host)))
        .filter(|(_, expected, ours)| {
            !ours.is_some_and(|it| {
                !it.multi_region && it.region.is_some_and(|region| expected.contains(&(it.service, region)))
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), hosts.len());
}
