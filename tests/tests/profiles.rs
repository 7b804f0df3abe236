//! Profiles, held against botocore: which settings one has, with whose credentials it begins and which roles follow, and where
//! services are; and against the parser of AWS's SDK for Rust. Then `keyfob aws setup`, whose profiles botocore goes by.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_runtime::env_config::section::EnvConfigSections;
use aws_types::os_shim_internal::{Env, Fs};
use keyfob::aws_files::AwsFiles;
use keyfob::profile::{self, Base, Profile};
use keyfob_tests::home::{Home, Told};
use keyfob_tests::random::Random;
use keyfob_tests::tool;
use serde::Deserialize;
use serde_json::{Value, json};

/// Two files, and a profile in them.
#[derive(Debug, Clone, Default)]
struct Case {
    config: String,
    credentials: String,
    profile: String,
}

impl Case {
    fn question(&self) -> Value {
        json!({ "config": self.config, "credentials": self.credentials, "profile": self.profile })
    }

    /// Hands files with these in them to `use_them`, by the variables that name them.
    fn with<T>(&self, use_them: impl FnOnce(profile::Env<'_>) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let [config, credentials] = ["config", "credentials"].map(|name| folder.path().join(name));
        fs::write(&config, &self.config).unwrap();
        fs::write(&credentials, &self.credentials).unwrap();
        use_them(&|name| match name {
            "AWS_CONFIG_FILE" => Some(config.clone().into()),
            "AWS_SHARED_CREDENTIALS_FILE" => Some(credentials.clone().into()),
            _ => None,
        })
    }
}

#[derive(Deserialize)]
struct Answers {
    read: Vec<Option<Read>>,
    begin: Vec<Option<Begin>>,
    endpoints: Vec<profile_endpoint::Endpoint>,
    regions: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Read {
    settings: BTreeMap<String, Value>,
    names: Vec<String>,
}

/// Who begins, and the roles that follow.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Begin {
    key: String,
    roles: Vec<AssumeRole>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRole {
    role_arn: String,
    external_id: Option<String>,
    duration_seconds: Option<u32>,
    serial_number: Option<String>,
}

mod profile_endpoint {
    #[derive(Debug, PartialEq, Eq, serde::Deserialize)]
    pub struct Endpoint {
        pub url: String,
        pub region: String,
    }
}

fn botocore(questions: &Value) -> Answers {
    let mut command = Command::new(tool("KEYFOB_PYTHON").unwrap());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    let mut child = command
        .args(["-X", "utf8"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/botocore_profiles.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // One line each way: neither waits for the other.
    writeln!(child.stdin.take().unwrap(), "{questions}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "botocore failed, see above");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// As botocore gives it: what is indented below a name is a table.
fn read(case: &Case) -> Option<Read> {
    case.with(|env| {
        let files = AwsFiles::open(env).ok()?;
        let lines = files.lines_of(&case.profile);
        let mut settings = BTreeMap::new();
        for (name, line) in lines.iter().flat_map(|lines| lines.entries()) {
            let value = match line.value.strip_prefix('\n') {
                Some(nested) => nested
                    .lines()
                    .filter_map(|line| line.split_once('='))
                    .map(|(name, value)| (name.trim().to_owned(), Value::from(value.trim())))
                    .collect(),
                None => Value::from(line.value),
            };
            settings.entry(name.to_owned()).or_insert(value);
        }
        (!lines.is_empty()).then(|| Read { settings, names: files.names() })
    })
}

#[test]
fn profiles_are_read_as_botocore_reads_them() {
    const LINES: [&str; 40] = [
        "[default]",
        "[profile default]",
        "[profile a]",
        "[profile  a]",
        "[profile \"a\"]",
        "[profile 'b c']",
        "[profile b\\ c]",
        "[profile a b]",
        "[profile \"a]",
        "[profile]",
        "[profilex a]",
        " [profile d]",
        "[Profile a]",
        "[a]",
        "[a] # comment",
        "[b c]",
        "[DEFAULT]",
        "[services s]",
        "[sso-session a]",
        "[plugins]",
        "region = eu-west-1",
        "REGION : x",
        "region=",
        " region = y # no comment",
        "# region = z",
        "  ; a comment",
        "",
        "",
        "role_arn = arn:aws:iam::123456789012:role/r",
        "source_profile=b c",
        "  source_profile = a",
        "mfa_serial =  arn:aws:iam::123456789012:mfa/a=b  ",
        "credential_process = \"/opt/a b\" --x='y z'",
        "s3 =\n  max_concurrent_requests = 2\n  addressing_style = path",
        "sts =\n    endpoint_url = http://localhost:1\n\n    x=y",
        "aws_access_key_id = AKIA1",
        "AWS_Secret_Access_Key = a/b+c==",
        "keyfob_role_arn = x",
        "é = ü",
        "duration_seconds = 3600",
    ];
    let mut random = Random::new(0x9a0f_11e5);
    let mut text = || {
        let mut text = String::new();
        text.push_str(["[default]\n", "[profile a]\n", "[a]\n", ""][random.below(4)]);
        for _ in 0..random.below(7) {
            text.push_str(random.of(&LINES).unwrap());
            text.push_str(["\n", "\n", "\n", "\r\n"][random.below(4)]);
        }
        text
    };
    let texts: Vec<_> = (0..700).map(|_| (text(), text())).collect();
    let names = ["a", "default", "b c"];
    let cases: Vec<_> = texts
        .into_iter()
        .enumerate()
        .map(|(i, (config, credentials))| Case { config, credentials, profile: names[i % 3].to_owned() })
        .collect();
    let questions = json!({ "read": cases.iter().map(Case::question).collect::<Vec<_>>() });
    let answers = botocore(&questions).read;
    assert_eq!(answers.len(), cases.len());
    let mut known = 0;
    for (case, answer) in cases.iter().zip(answers) {
        known += usize::from(answer.is_some());
        assert_eq!(read(case), answer, "{case:?}");
    }
    assert!((150..650).contains(&known), "{known} of {} were read", cases.len());
}

/// As botocore tells it; none where it is the key that begins.
fn begin(profile: &Profile) -> Option<Begin> {
    let key = match &profile.base {
        Base::Given(session) => session.access_key_id.clone(),
        Base::Process { profile, .. } => format!("AKIAPROCESS{profile}"),
        _ => return None,
    };
    let roles = profile.roles.iter().map(|role| AssumeRole {
        role_arn: role.arn.clone(),
        external_id: role.external_id.clone(),
        duration_seconds: role.duration,
        serial_number: None,
    });
    Some(Begin { key, roles: roles.collect() })
}

#[test]
fn profiles_begin_and_go_on_as_botocores_do() {
    const NAMES: [&str; 4] = ["a", "b", "c", "default"];
    let mut random = Random::new(0xc4a1_4ed5);
    let cases: Vec<Case> = (0..700)
        .map(|i| {
            let mut case = Case { profile: NAMES[i % 4].to_owned(), ..Case::default() };
            let keys = |id: String| format!("aws_access_key_id = {id}\naws_secret_access_key = s\n");
            for name in NAMES {
                let section = if name == "default" { name.to_owned() } else { format!("profile {name}") };
                case.config += &format!("[{section}]\n");
                if random.below(4) > 0 {
                    case.config += &format!("role_arn = arn:aws:iam::123456789012:role/{name}\n");
                }
                if random.below(4) > 0 {
                    case.config += &format!("source_profile = {}\n", random.of(&NAMES).unwrap());
                }
                if random.below(4) == 0 {
                    case.config += &format!("mfa_serial = arn:aws:iam::123456789012:mfa/{name}\n");
                }
                if random.below(4) == 0 {
                    case.config += &format!("external_id = id-{name}\nduration_seconds = {}\n", 900 + random.below(9));
                }
                if random.below(5) == 0 {
                    case.config += &keys(format!("AKIACONFIG{name}"));
                }
                if random.below(5) == 0 {
                    case.config += &format!(
                        "credential_process = /bin/echo '{{\"Version\": 1, \"AccessKeyId\": \"AKIAPROCESS{name}\", \"SecretAccessKey\": \"s\"}}'\n"
                    );
                }
                if random.below(5) == 0 {
                    case.credentials += &format!("[{name}]\n{}", keys(format!("AKIAFILE{name}")));
                }
            }
            case
        })
        .collect();
    let questions = json!({ "begin": cases.iter().map(Case::question).collect::<Vec<_>>() });
    let answers = botocore(&questions).begin;
    assert_eq!(answers.len(), cases.len());
    let (mut same, mut chains) = (0, 0);
    for (case, answer) in cases.iter().zip(answers) {
        let ours = case.with(|env| profile::resolve(&case.profile, env));
        // What botocore has no credentials for may have them here: on the key.
        let Some(mut answer) = answer else { continue };
        let ours = ours.unwrap_or_else(|error| panic!("{case:?}: {error:?}"));
        // One session of the identity does for all of them: the first device proves it.
        let devices: Vec<_> = answer.roles.iter_mut().filter_map(|role| role.serial_number.take()).collect();
        if let Some(device) = devices.first() {
            assert_eq!(ours.mfa.as_ref().map(|mfa| &mfa.serial), Some(device), "{case:?}");
        }
        assert_eq!(begin(&ours).as_ref(), Some(&answer), "{case:?}");
        same += 1;
        chains += usize::from(answer.roles.len() > 1);
    }
    assert!(same > 180 && chains > 15, "{same}, of them {chains} chains");
}

#[test]
fn services_are_where_botocore_has_them() {
    let regions = botocore(&json!({})).regions;
    assert!(regions.len() > 40);
    let regions: Vec<_> =
        regions.into_iter().filter(|region| region == "aws-global" || !region.ends_with("-global")).collect();
    let mut asked = Vec::new();
    for region in &regions {
        for variant in 0..8 {
            let [fips, dual_stack, legacy] = [1, 2, 4].map(|bit| variant & bit != 0);
            // There is no answer for the global pseudo-region over IPv6.
            if region == "aws-global" && (fips || dual_stack) {
                continue;
            }
            for service in ["sts", "iam"] {
                asked.push(
                    json!({ "service": service, "region": region, "fips": fips, "dual_stack": dual_stack,
                    // botocore's own rules for both: those without IPv6 and validation only.
                    "legacy": legacy && !fips && !dual_stack }),
                );
            }
        }
    }
    let answers = botocore(&json!({ "endpoints": asked })).endpoints;
    assert_eq!(answers.len(), asked.len());
    for (question, answer) in asked.iter().zip(answers) {
        let is = |name: &str| question[name].as_bool().unwrap();
        let legacy = if is("legacy") { "legacy" } else { "regional" };
        let config = format!(
            "[profile p]\nregion = {}\nuse_fips_endpoint = {}\nuse_dualstack_endpoint = {}\nsts_regional_endpoints = {legacy}\n",
            question["region"].as_str().unwrap(),
            is("fips"),
            is("dual_stack"),
        );
        let case = Case { config, profile: "p".to_owned(), ..Case::default() };
        let profile = case.with(|env| profile::resolve("p", env)).unwrap();
        let ours = if question["service"] == "sts" { profile.sts } else { profile.iam };
        let expected = profile::Endpoint { url: answer.url, region: answer.region };
        assert_eq!(ours, expected, "{question}");
    }
}

/// As AWS's SDK for Rust reads them.
async fn by_the_sdk(case: &Case) -> Option<EnvConfigSections> {
    let files = EnvConfigFiles::builder()
        .with_contents(EnvConfigFileKind::Config, &*case.config)
        .with_contents(EnvConfigFileKind::Credentials, &*case.credentials)
        .build();
    let (env, fs) = (Env::from_slice(&[]), Fs::from_slice(&[]));
    let source = aws_runtime::env_config::source::load(&env, &fs, &files).await.unwrap();
    EnvConfigSections::parse(source).ok()
}

#[tokio::test]
async fn ordinary_profiles_are_read_as_the_sdk_for_rust_reads_them() {
    const LINES: [&str; 12] = [
        "region = eu-west-1",
        "Output=json",
        "# a comment",
        "; another",
        "",
        "role_arn = arn:aws:iam::123456789012:role/a.b@c",
        "source_profile =   b",
        "mfa_serial = arn:aws:iam::123456789012:mfa/a=b",
        "external_id = a#b",
        "credential_process = \"/opt/a b\" --x='y z'",
        "aws_access_key_id = AKIA1",
        "keyfob_role_arn = x",
    ];
    let mut random = Random::new(0x5d4);
    let mut compared = 0;
    for _ in 0..300 {
        let mut section = |head: &str| {
            let mut lines: Vec<_> = LINES.iter().filter(|_| random.below(3) > 0).collect();
            let at = random.below(lines.len().max(1));
            lines.rotate_left(at);
            let lines: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
            format!("{head}\n{lines}\n")
        };
        let config = [section("[default]"), section("[profile a]"), section("[profile b]")].concat();
        let credentials = [section("[a]"), section("[c]")].concat();
        let mut case = Case { config, credentials, ..Case::default() };
        let sdk = by_the_sdk(&case).await.unwrap();
        for name in ["default", "a", "b", "c"] {
            let theirs = sdk.get_profile(name).unwrap();
            case.profile = name.to_owned();
            let ours = read(&case).unwrap().settings;
            for key in
                LINES.iter().filter_map(|line| line.split_once('=')).map(|(key, _)| key.trim().to_lowercase())
            {
                assert_eq!(ours.get(&key).and_then(Value::as_str), theirs.get(&key), "{key}: {case:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 10_000, "{compared}");
}

#[tokio::test]
async fn where_the_sdk_for_rust_reads_otherwise_it_is_as_botocore() {
    /// What `x` is in the profile `p`, to botocore and to the SDK.
    async fn check(config: &str, botocores: Option<&str>, sdks: Option<&str>) {
        let case = Case { config: config.to_owned(), profile: "p q".to_owned(), ..Case::default() };
        let profile = if config.contains("p q") { "p q" } else { "p" };
        let case = Case { profile: profile.to_owned(), ..case };
        let value = |read: Option<Read>| read?.settings.get("x")?.as_str().map(str::to_owned);
        assert_eq!(value(read(&case)).as_deref(), botocores, "{config}");
        let theirs = botocore(&json!({ "read": [case.question()] })).read.remove(0);
        assert_eq!(value(theirs).as_deref(), botocores, "{config}");
        let sdk = by_the_sdk(&case).await;
        let sdk = sdk.as_ref().and_then(|sdk| sdk.get_profile(profile)?.get("x"));
        assert_eq!(sdk, sdks, "{config}");
    }
    check("[profile p]\nx = 1 # 2\n", Some("1 # 2"), Some("1")).await;
    check("[profile \"p q\"]\nx = 1\n", Some("1"), None).await;
    check("[profile p]\ny = 1\n  # c\nx = 2\n", Some("2"), Some("2")).await;
    check("[profile p]\nx = 1\n  # c\n", Some("1"), Some("1\n# c")).await;
    check("[profile p]\nx : 1\n", Some("1"), None).await;
    check("[profile p]\nx = 1\n[profile p]\ny = 2\n", None, Some("1")).await;
}

fn setup(home: &Home, args: &[&str]) -> Told {
    home.told(&[&["aws", "setup"], args].concat()).unwrap()
}

const ROLE: &str = "arn:aws:iam::123456789012:role/deploy";

#[test]
fn a_profile_is_set_up() {
    let home = Home::new().unwrap();
    let config = home.path().join(".aws/config");
    // Without any file: one for this person alone.
    let (code, diff, _) = setup(&home, &["work", "--dry-run", "--region", "eu-west-1"]);
    let path = config.display();
    let expected = format!(
        "--- {path}\n+++ {path}\n@@ -0,0 +1,3 @@\n+[profile work]\n+credential_process = keyfob credential-process work\n+region = eu-west-1\n"
    );
    assert_eq!((code, diff), (Some(0), expected));
    assert!(!config.exists());
    let (code, output, said) = setup(&home, &["work", "--force", "--region", "eu-west-1"]);
    assert_eq!((code, output.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("+region = eu-west-1"), "{said}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&config), 0o600);
    // With the only access key on the key, by which a kept session is found without it.
    let with_key = Home::with_software_key().unwrap();
    with_key
        .succeed(
            &["aws", "add", "AKIAIOSFODNN7EXAMPLE", "--no-touch"],
            "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
        )
        .unwrap();
    let (_, diff, said) = setup(&with_key, &["work", "--dry-run"]);
    assert!(diff.ends_with("+keyfob_access_key_id = AKIAIOSFODNN7EXAMPLE\n"), "{diff}{said}");
    let (_, diff, _) = setup(&with_key, &["work", "--dry-run", "--access-key-id", "AKIAI44QH8DHBEXAMPLE"]);
    assert!(!diff.contains("AKIAIOSFODNN7EXAMPLE"), "{diff}");
    // Nobody consents where nobody is.
    let before = fs::read_to_string(&config).unwrap();
    let (code, _, said) = setup(&home, &["work", "--region", "eu-west-2"]);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(fs::read_to_string(&config).unwrap(), before);

    // Into a file of somebody's own: every other byte stays, and the mode.
    let own = "# mine\r\n[default]\r\noutput = json\r\n\r\n[profile a b]\r\n[profile work]\r\n  Region:us-east-1 \r\n\r\n[services s]\r\n";
    fs::write(&config, own).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).unwrap();
    let args = [
        "work",
        "-f",
        "--region",
        "eu-west-1",
        "--role-arn",
        ROLE,
        "--mfa-serial",
        "GAHT12345678",
        "--duration",
        "1h",
    ];
    let (code, _, said) = setup(&home, &args);
    assert_eq!(code, Some(0), "{said}");
    let written = fs::read_to_string(&config).unwrap();
    let expected = own.replace(
        "  Region:us-east-1 \r\n",
        &format!(
            "  Region:eu-west-1\r\n  credential_process = keyfob credential-process work\r\n  keyfob_role_arn = {ROLE}\r\n  keyfob_mfa_serial = GAHT12345678\r\n  keyfob_duration_seconds = 3600\r\n"
        ),
    );
    assert_eq!(written, expected);
    assert_eq!(mode(&config), 0o640);
    let (code, _, said) = setup(&home, &args);
    assert_eq!(code, Some(0));
    assert!(said.contains("is so already"), "{said}");
    assert_eq!(fs::read_to_string(&config).unwrap(), expected);

    // botocore goes by it, and so does Keyfob.
    let (code, json, said) = setup(&home, &["x y", "-f", "--json", "--source-profile", "work"]);
    assert_eq!(code, Some(0), "{said}");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["written"], &json["profile"]), (&json!(true), &json!("x y")));
    let case =
        Case { config: fs::read_to_string(&config).unwrap(), profile: "x y".to_owned(), ..Case::default() };
    let theirs = botocore(&json!({ "read": [case.question()] })).read.remove(0).unwrap();
    assert_eq!(theirs.settings["credential_process"], "keyfob credential-process \"x y\"");
    let ours = case.with(|env| profile::resolve("x y", env)).unwrap();
    assert_eq!(ours.roles.iter().map(|role| role.arn.as_str()).collect::<Vec<_>>(), [ROLE]);
    assert_eq!(ours.mfa.unwrap().serial, "GAHT12345678");
}

#[test]
fn what_aws_tools_would_pass_by_is_not_set_up() {
    let home = Home::new().unwrap();
    fs::create_dir(home.path().join(".aws")).unwrap();
    let [config, credentials] = ["config", "credentials"].map(|name| home.path().join(".aws").join(name));
    #[track_caller]
    fn refused(home: &Home, args: &[&str], what: &str, hint: &str) {
        let read = || fs::read_to_string(home.path().join(".aws/config")).unwrap();
        let before = read();
        let (code, _, said) = setup(home, &[args, &["--force"]].concat());
        assert!(
            [Some(2), Some(7)].contains(&code) && said.contains(what) && said.contains(hint),
            "{code:?} {said}"
        );
        assert_eq!(read(), before);
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    let text = format!(
        "[profile p]\nrole_arn = {ROLE}\nsource_profile = b\n[profile q]\nsso_account_id = 1\n[profile r]\ncredential_process = other\n[profile s]\n"
    );
    fs::write(&config, text).unwrap();
    fs::write(
        &credentials,
        "[s]\naws_access_key_id = AKIAEXAMPLE000000000\naws_secret_access_key = s3cr3t\n",
    )
    .unwrap();
    refused(&home, &["p"], "config:2: the profile \"p\" has role_arn, by which", "--role-arn");
    refused(&home, &["q"], "config:5: the profile \"q\" has sso_account_id, by which", "choose another name");
    refused(
        &home,
        &["s"],
        "credentials:2: the profile \"s\" has aws_access_key_id, by which",
        "keyfob aws import --profile s",
    );
    refused(
        &home,
        &["t", "--role-arn", "deploy"],
        "keyfob_role_arn = \"deploy\" of the profile \"t\" is no role's ARN",
        "",
    );
    refused(
        &home,
        &["t", "--source-profile", "none"],
        "that profile would not work: there is no profile \"none\"",
        "",
    );
    refused(&home, &["t", "--source-profile", "t2", "--duration", "10s"], "that profile would not work", "");
    refused(&home, &["a\nb"], "cannot be the name of a profile", "");
    let (code, _, said) = setup(&home, &["r", "--force"]);
    assert!(
        code != Some(0) && said.contains("config:7: the profile \"r\" has another credential_process"),
        "{said}"
    );
}
