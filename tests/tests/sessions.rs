//! Sessions: what STS is asked for a profile, who makes the call that proves it, what is kept, and what goes wrong on the way.
//!
//! Every session is proved by a call that the stand-in verifies; each user of it has a device of its own, so that no test waits for the
//! next code.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use keyfob_tests::home::Home;
use keyfob_tests::stand_in::{Fault, Request, StandIn, World};
use keyfob_tests::{terminal, tool};
use serde_json::Value;

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const WHO: &str = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])";

/// Users, each with a device, and the software key with all that they have; the config file that `config` writes.
fn start(
    users: &[&str],
    build: impl FnOnce(&mut World),
    config: impl FnOnce(&StandIn) -> String,
) -> (StandIn, Home) {
    let aws = StandIn::start(|world| {
        for user in users {
            world.user(user).device(user, SECRET);
        }
        build(world);
    })
    .unwrap();
    let mut home = Home::with_software_key().unwrap();
    aws.configure(&mut home);
    for user in users {
        aws.put_on_key(&home, user).unwrap();
    }
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    home.write(".aws/config", &config(&aws)).unwrap();
    (aws, home)
}

/// A section of the config file.
fn profile(name: &str, lines: &[(&str, &str)]) -> String {
    let lines: String = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    format!("[profile {name}]\n{lines}")
}

/// A profile of a user's access key on the key, with MFA.
fn user(aws: &StandIn, name: &str) -> String {
    let (key, serial) = (aws.key(name).unwrap().id, StandIn::serial(name));
    profile(name, &[("keyfob_access_key_id", &key), ("mfa_serial", &serial)])
}

/// A profile of a role that a user assumes.
fn role(name: &str, source: &str, more: &[(&str, &str)]) -> String {
    let (arn, serial) = (StandIn::role_arn(name), StandIn::serial(source));
    let lines = [("role_arn", arn.as_str()), ("source_profile", source), ("mfa_serial", &serial)];
    profile(name, &[&lines, more].concat())
}

/// Exit code, stdout, stderr.
fn run(home: &Home, args: &[&str]) -> (Option<i32>, String, String) {
    told(&home.run(args, "").unwrap())
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What `credential-process` prints.
#[track_caller]
fn credentials(home: &Home, args: &[&str]) -> Value {
    let (exit, out, said) = run(home, &[&["credential-process"], args].concat());
    assert_eq!(exit, Some(0), "{said}");
    serde_json::from_str(&out).unwrap()
}

/// Whose credentials boto3 has in that environment.
#[track_caller]
fn who(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (exit, out, said) = told(&output);
    assert_eq!(exit, Some(0), "{said}");
    out.trim().to_owned()
}

fn python() -> String {
    tool("KEYFOB_PYTHON").unwrap().to_str().unwrap().to_owned()
}

/// How often the two calls were made that make sessions.
fn made(aws: &StandIn) -> (usize, usize) {
    (aws.calls("GetSessionToken"), aws.calls("AssumeRole"))
}

/// The last request of an action.
#[track_caller]
fn last(aws: &StandIn, action: &str) -> Request {
    aws.requests_of(action).pop().unwrap()
}

/// Every way to hand out credentials, for one profile: each tool then makes a call that is verified, and the key is asked once.
#[test]
fn tools_get_credentials() {
    let (aws, home) = start(
        &["alice"],
        |world| {
            world.role("ops").needs_mfa();
        },
        |aws| {
            let keyfob = tool("KEYFOB_BIN").unwrap();
            let key = aws.key("alice").unwrap().id;
            let process = format!("{} credential-process tool", keyfob.display());
            let tool = profile(
                "tool",
                &[
                    ("credential_process", &process),
                    ("keyfob_access_key_id", &key),
                    ("keyfob_mfa_serial", &StandIn::serial("alice")),
                    ("keyfob_role_arn", &StandIn::role_arn("ops")),
                    ("keyfob_role_session_name", "me"),
                ],
            );
            format!("{}{tool}", user(aws, "alice"))
        },
    );
    let python = python();
    let me = "arn:aws:sts::123456789012:assumed-role/ops/me";
    let given = credentials(&home, &["tool"]);
    assert_eq!(given["Version"], 1);
    assert_eq!(given["AccountId"], "123456789012");
    let end: jiff::Timestamp = given["Expiration"].as_str().unwrap().parse().unwrap();
    let left = end.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((3500..=3600).contains(&left), "{left}");

    // boto3 asks by itself.
    assert_eq!(who(home.command(&python).args(["-c", WHO]).env("AWS_PROFILE", "tool")), me);

    // exec, with other credentials in the way.
    let mut exec = home.keyfob().unwrap();
    exec.args(["exec", "tool", "--", &python, "-c", WHO]);
    exec.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "x");
    exec.env("AWS_SESSION_TOKEN", "y").env("AWS_PROFILE", "nothing");
    assert_eq!(who(&mut exec), me);

    // env, in every form.
    for (shell, format) in [("sh", "sh"), ("fish", "fish")] {
        if !Path::new("/usr/bin").join(shell).exists() && shell != "sh" {
            continue;
        }
        let keyfob = tool("KEYFOB_BIN").unwrap();
        let take = if shell == "sh" {
            format!("eval \"$('{}' env tool)\"", keyfob.display())
        } else {
            format!("'{}' env tool --format {format} | source", keyfob.display())
        };
        let script = format!("{take}; exec '{python}' -c \"{WHO}\"");
        assert_eq!(who(home.command(shell).args(["-c", &script])), me, "{shell}");
    }
    let (_, dotenv, said) = run(&home, &["env", "tool", "--format", "dotenv"]);
    assert!(said.contains("Good for 5") && said.contains(" min"), "{said}");
    let variables = dotenv.lines().map(|line| line.split_once('=').unwrap());
    assert_eq!(who(home.command(&python).args(["-c", WHO]).envs(variables)), me);
    let (_, json, _) = run(&home, &["env", "tool", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let variables = json.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap()));
    assert_eq!(who(home.command(&python).args(["-c", WHO]).envs(variables)), me);
    let (_, ini, _) = run(&home, &["env", "tool", "--format", "ini"]);
    let file = home.write("credentials.ini", &ini).unwrap();
    let mut boto = home.command(&python);
    boto.args(["-c", WHO]).env("AWS_PROFILE", "tool").env("AWS_SHARED_CREDENTIALS_FILE", &file);
    assert_eq!(who(boto.env("AWS_CONFIG_FILE", "/dev/null")), me);

    assert_eq!(made(&aws), (1, 1));
    assert!(aws.requests().iter().all(|request| request.verified));
    let asked = last(&aws, "AssumeRole");
    assert!(asked.mfa && asked.get("TokenCode").is_none());
    assert_eq!(last(&aws, "GetSessionToken").get("SerialNumber"), Some(StandIn::serial("alice").as_str()));
}

/// The profiles of the readme of awscli-plugin-yubikeytotp: keys in the credentials file, the code from the key.
#[test]
fn plain_profiles_work_unchanged() {
    let (aws, home) = start(
        &["alice"],
        |world| {
            world.role("ops").needs_mfa();
        },
        |aws| {
            let plain = profile("plain", &[("region", "eu-central-1")]);
            let alias = profile(
                "alias",
                &[
                    ("source_profile", "default"),
                    ("role_arn", &StandIn::role_arn("ops")),
                    ("mfa_serial", &StandIn::serial("alice")),
                    ("mfa_alias", "work"),
                ],
            );
            let _ = aws;
            let begin = profile("begin", &[("mfa_serial", &StandIn::serial("alice"))])
                .replace("profile begin", "default");
            format!(
                "{begin}{}{plain}{alias}",
                role("ops", "alice", &[]).replace("source_profile = alice", "source_profile = default")
            )
        },
    );
    let key = aws.key("alice").unwrap();
    let section = |name: &str| {
        format!("[{name}]\naws_access_key_id = {}\naws_secret_access_key = {}\n", key.id, key.secret)
    };
    home.write(".aws/credentials", &format!("{}{}", section("default"), section("plain"))).unwrap();
    home.succeed(&["aws", "delete", "--force", &key.id], "").unwrap();
    let python = python();
    let arn = who(home.keyfob().unwrap().args(["exec", "ops", "--", &python, "-c", WHO]));
    assert!(arn.starts_with("arn:aws:sts::123456789012:assumed-role/ops/"), "{arn}");
    assert!(last(&aws, "AssumeRole").mfa);

    // Without MFA: left alone.
    let before = aws.requests().len();
    let given = credentials(&home, &["plain"]);
    assert_eq!(
        (given["AccessKeyId"].as_str(), given["SessionToken"].as_str()),
        (Some(key.id.as_str()), None)
    );
    assert_eq!(aws.requests().len(), before);
    let (_, out, said) = run(&home, &["env", "plain"]);
    assert!(out.contains("AWS_DEFAULT_REGION='eu-central-1'"), "{out}");
    assert!(said.contains("do not end"), "{said}");

    // The account's name that the profile gives is the only one that does.
    let (exit, _, said) = run(&home, &["credential-process", "alias"]);
    if exit != Some(0) {
        assert!(said.contains("work"), "{said}");
    }
}

/// What a role's profile says reaches STS.
#[test]
fn what_a_profile_says_is_asked() {
    let (aws, home) = start(
        &["alice"],
        |world| {
            world.role("ops").external_id("a b&c").max_duration(3600);
        },
        |aws| {
            let ops = role(
                "ops",
                "alice",
                &[
                    ("external_id", "a b&c"),
                    ("role_session_name", "al@example.com"),
                    ("duration_seconds", "1800"),
                    ("session_tags", "team=a b,cost=1+1"),
                    ("transitive_session_tags", "team"),
                    ("source_identity", "al"),
                ],
            );
            format!("{}{ops}", user(aws, "alice"))
        },
    );
    credentials(&home, &["ops"]);
    let asked = last(&aws, "AssumeRole");
    for (name, value) in [
        ("RoleArn", "arn:aws:iam::123456789012:role/ops"),
        ("RoleSessionName", "al@example.com"),
        ("DurationSeconds", "1800"),
        ("ExternalId", "a b&c"),
        ("SourceIdentity", "al"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "a b"),
        ("Tags.member.2.Key", "cost"),
        ("Tags.member.2.Value", "1+1"),
        ("TransitiveTagKeys.member.1", "team"),
    ] {
        assert_eq!(asked.get(name), Some(value), "{name}");
    }
    assert!(asked.is_done());
}

/// More than the chained hour is asked for by the identity itself, and said; where it cannot be had, too.
#[test]
fn long_roles() {
    let (aws, home) = start(
        &["alice"],
        |world| {
            world.role("long").needs_mfa().max_duration(43_200);
            world.role("next").max_duration(43_200);
        },
        |aws| {
            let long = role("long", "alice", &[("duration_seconds", "7200")]);
            let next = profile(
                "next",
                &[
                    ("role_arn", &StandIn::role_arn("next")),
                    ("source_profile", "long"),
                    ("duration_seconds", "7200"),
                ],
            );
            format!("{}{long}{next}", user(aws, "alice"))
        },
    );
    let (exit, out, said) = run(&home, &["credential-process", "long"]);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("more than an hour"), "{said}");
    let given: Value = serde_json::from_str(&out).unwrap();
    let end: jiff::Timestamp = given["Expiration"].as_str().unwrap().parse().unwrap();
    assert!(end.duration_since(jiff::Timestamp::now()).as_secs() > 7000);
    assert_eq!(made(&aws), (0, 1));
    assert!(last(&aws, "AssumeRole").get("TokenCode").is_some());

    // The next role is assumed by that session, for an hour.
    let (exit, _, said) = run(&home, &["credential-process", "next"]);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("an hour at most"), "{said}");
    assert_eq!(made(&aws), (0, 2));
    assert_eq!(last(&aws, "AssumeRole").get("DurationSeconds"), Some("3600"));
}

/// Twenty processes at once cost one code and one signature; who wants none of it gets an own one.
#[test]
fn one_flight_for_all() {
    let (aws, home) = start(
        &["alice"],
        |world| {
            world.user("bob");
            world.role("ops").needs_mfa();
        },
        |aws| {
            let bob = profile("bob", &[("keyfob_access_key_id", &aws.key("bob").unwrap().id)]);
            format!("{}{}{bob}", user(aws, "alice"), role("ops", "alice", &[]))
        },
    );
    aws.put_on_key(&home, "bob").unwrap();
    // So that all are there before there is an answer.
    aws.fail_next("GetSessionToken", 1, Fault::SlowAnswer(Duration::from_secs(1)));
    let processes: Vec<_> = (0..20)
        .map(|_| {
            let mut keyfob = home.keyfob().unwrap();
            keyfob.args(["credential-process", "ops"]).stdout(Stdio::piped()).stderr(Stdio::piped());
            keyfob.spawn().unwrap()
        })
        .collect();
    let given: Vec<_> =
        processes.into_iter().map(|process| told(&process.wait_with_output().unwrap())).collect();
    for (exit, out, said) in &given {
        assert_eq!((*exit, out), (Some(0), &given[0].1), "{said}");
    }
    assert_eq!(made(&aws), (1, 1));

    // A session that is wanted anew is not kept, and no kept one is given.
    let kept = credentials(&home, &["bob"]);
    assert_eq!(credentials(&home, &["bob"]), kept);
    assert_eq!(made(&aws), (2, 1));
    let new = credentials(&home, &["bob", "--no-session"]);
    assert_ne!(new["AccessKeyId"], kept["AccessKeyId"]);
    assert_eq!(credentials(&home, &["bob"]), kept);
    assert_eq!(made(&aws), (3, 1));

    // Without the agent there is nobody to keep it.
    let mut home = home;
    home.set("KEYFOB_NO_AGENT", "1");
    let own = credentials(&home, &["bob"]);
    assert_ne!(own["AccessKeyId"], kept["AccessKeyId"]);
    assert_eq!(made(&aws), (4, 1));
}

/// A session that is near its end is not handed out, and one that AWS has ended is made again.
#[test]
fn what_ends_is_made_again() {
    let (aws, home) = start(
        &[],
        |world| {
            world.user("bob");
            world.role("ops");
        },
        |aws| {
            let bob = profile("bob", &[("keyfob_access_key_id", &aws.key("bob").unwrap().id)]);
            let ops = profile("ops", &[("role_arn", &StandIn::role_arn("ops")), ("source_profile", "bob")]);
            format!("{bob}{ops}")
        },
    );
    aws.put_on_key(&home, "bob").unwrap();
    // Less than the quarter of an hour in which SDKs renew.
    aws.shorten_sessions(Some(800));
    let first = credentials(&home, &["bob"]);
    aws.shorten_sessions(None);
    let second = credentials(&home, &["bob"]);
    assert_ne!(first["AccessKeyId"], second["AccessKeyId"]);
    assert_eq!(credentials(&home, &["bob"]), second);
    assert_eq!(made(&aws), (2, 0));
    credentials(&home, &["ops"]);
    credentials(&home, &["ops"]);
    assert_eq!(aws.calls("AssumeRole"), 1);
}

/// What AWS says, as it said it, with what it means here; and nothing is tried that makes it worse.
#[test]
fn refusals() {
    let users = ["alice", "bert", "cleo", "dora", "emil"];
    let (aws, home) = start(
        &users,
        |world| {
            world.role("other").trusts(&["nobody"]);
        },
        |aws| {
            let users: String = users.iter().map(|name| user(aws, name)).collect();
            format!("{users}{}", role("other", "emil", &[]))
        },
    );
    #[track_caller]
    fn check(home: &Home, profile: &str, expected: &[&str]) {
        let (exit, out, said) = run(home, &["credential-process", profile]);
        assert_eq!((exit, out.as_str()), (Some(8), ""), "{said}");
        for part in expected {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        assert!(!said.contains(SECRET), "{said}");
    }
    // A device whose clock went astray: a code is sent once.
    aws.drift(&StandIn::serial("alice"), 20);
    check(&home, "alice", &["MultiFactorAuthentication failed with invalid MFA one time pass code"]);
    assert_eq!(aws.calls("GetSessionToken"), 1);
    // A clock that is off.
    aws.fail_next("GetSessionToken", 1, Fault::Skew(3600));
    check(&home, "bert", &["Signature expired", "clock"]);
    assert_eq!(aws.calls("GetSessionToken"), 2);
    // An access key that is gone.
    aws.fail_next(
        "GetSessionToken",
        1,
        Fault::Status(403, "InvalidClientTokenId", "The security token included in the request is invalid."),
    );
    check(&home, "cleo", &["InvalidClientTokenId"]);
    assert_eq!(aws.calls("GetSessionToken"), 3);
    // What is no STS.
    aws.fail_next("GetSessionToken", 1, Fault::Garbage);
    check(&home, "dora", &["none of AWS's answers"]);
    // A role that trusts others.
    check(&home, "other", &["AccessDenied", "sts:AssumeRole"]);
    assert!(aws.requests().iter().all(|request| request.code == "Garbage"
        || request.code != "SignatureDoesNotMatch"
        || request.get("SerialNumber") == Some(&StandIn::serial("bert"))));
}

/// Networks: what passes is tried again, a code that may have been taken is not; and nobody waits longer than was said.
#[test]
fn networks() {
    let users = ["alice", "bert"];
    let (aws, home) = start(
        &users,
        |world| {
            world.user("carl");
        },
        |aws| {
            let users: String = users.iter().map(|name| user(aws, name)).collect();
            format!("{users}{}", profile("carl", &[("keyfob_access_key_id", &aws.key("carl").unwrap().id)]))
        },
    );
    aws.put_on_key(&home, "carl").unwrap();
    // Throttled requests were not looked at: the very same one goes again.
    aws.fail_next("GetSessionToken", 2, Fault::Throttle);
    credentials(&home, &["alice"]);
    let codes: Vec<_> = aws
        .requests_of("GetSessionToken")
        .iter()
        .map(|request| request.get("TokenCode").unwrap().to_owned())
        .collect();
    assert!(codes.len() == 3 && codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    aws.forget_requests();
    // Without a code a lost answer does no harm.
    aws.fail_next("GetSessionToken", 1, Fault::HangUpAfter);
    credentials(&home, &["carl", "--no-session"]);
    assert_eq!(aws.calls("GetSessionToken"), 2);
    aws.forget_requests();
    // With one it is not sent again.
    aws.fail_next("GetSessionToken", 1, Fault::HangUpAfter);
    let (exit, _, said) = run(&home, &["credential-process", "bert"]);
    assert_eq!(exit, Some(1), "{said}");
    assert_eq!(aws.calls("GetSessionToken"), 1);
    // A connection that stays, and says nothing.
    aws.fail_next("GetSessionToken", 1, Fault::HalfOpen);
    let start = Instant::now();
    let (exit, _, said) = run(&home, &["--timeout", "2s", "credential-process", "carl", "--no-session"]);
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("has not answered in time"), "{said}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

/// With no key plugged in that has the device, a person types the code.
#[test]
fn a_code_is_typed() {
    let (aws, home) = start(
        &[],
        |world| {
            world.user("alice").device("alice", SECRET);
        },
        |aws| user(aws, "alice"),
    );
    let key = aws.key("alice").unwrap();
    home.succeed(&["aws", "add", &key.id, "--no-touch"], &key.secret).unwrap();
    let serial = StandIn::serial("alice");
    let (exit, _, said) = run(&home, &["credential-process", "alice"]);
    assert!(exit != Some(0) && said.contains(&serial), "{exit:?} {said}");
    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(["credential-process", "alice"]);
    let code = aws.code(&serial, 0);
    let session = terminal::run(&keyfob, &[(&serial, &code)]).unwrap();
    let (exit, out, said) = told(&session.output);
    assert_eq!(exit, Some(0), "{said} {}", session.screen);
    assert!(out.contains("\"SessionToken\""), "{out}");
    assert!(!session.screen.contains(&code), "{}", session.screen);
    assert_eq!(last(&aws, "GetSessionToken").get("TokenCode"), Some(code.as_str()));
}

/// The program's own exit code, and a shell's for what cannot be run.
#[test]
fn exec_is_the_program() {
    let (_aws, home) = start(
        &[],
        |world| {
            world.user("bob");
        },
        |aws| profile("bob", &[("keyfob_access_key_id", &aws.key("bob").unwrap().id)]),
    );
    _aws.put_on_key(&home, "bob").unwrap();
    assert_eq!(run(&home, &["exec", "bob", "--", "sh", "-c", "exit 42"]).0, Some(42));
    let (exit, _, said) = run(&home, &["exec", "bob", "--", "no-such-program"]);
    assert_eq!(exit, Some(127), "{said}");
    let (exit, out, said) = run(&home, &["exec", "bob", "--", "sh", "-c", "env"]);
    assert_eq!(exit, Some(0), "{said}");
    assert!(out.contains("\nAWS_SESSION_TOKEN=") || out.starts_with("AWS_SESSION_TOKEN="), "{out}");
    assert!(!out.contains("AWS_PROFILE="), "{out}");
    let (exit, _, said) = run(&home, &["exec", "nobody", "--", "true"]);
    assert_eq!(exit, Some(7), "{said}");
    assert!(said.contains("bob"), "{said}");
}
