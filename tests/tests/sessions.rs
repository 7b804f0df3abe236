//! Sessions: what STS is asked for a profile, who makes the call that proves it, what is kept, and what goes wrong on the way.
//!
//! Every session is proved by a call that the stand-in verifies; each user of it has a device of its own, so that no test waits for the
//! next code.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keyfob_core::softkey::{Environment, SoftKey};
use keyfob_tests::home::{Home, Told, told};
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};
use keyfob_tests::stand_in::{Fault, Request, StandIn, World};
use keyfob_tests::vpcd::Answer;
use keyfob_tests::{terminal, tool};
use serde_json::Value;

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/// Another device's.
const OTHER: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
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
fn run(home: &Home, args: &[&str]) -> Told {
    home.told(args).unwrap()
}

/// What `credential-process` prints.
#[track_caller]
fn credentials(home: &Home, args: &[&str]) -> Value {
    let (exit, out, said) = run(home, &[&["credential-process"], args].concat());
    assert_eq!(exit, Some(0), "{said}");
    serde_json::from_str(&out).unwrap()
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

/// The profiles of awscli-plugin-yubikeytotp's readme: access key in the credentials file, code from the key, the account called as
/// the device or by `mfa_alias`. A profile without MFA is left alone.
#[test]
fn plain_profiles_work_unchanged() {
    let aws = StandIn::start(|world| {
        world.user("alice").device("alice", SECRET).device("phone", OTHER);
        world.role("ops").needs_mfa();
    })
    .unwrap();
    let mut home = Home::with_software_key().unwrap();
    aws.configure(&mut home);
    home.succeed(&["oath", "add", &StandIn::serial("alice")], SECRET).unwrap();
    home.succeed(&["oath", "add", "work"], OTHER).unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let config = format!(
        "[plugins]\nyubikeytotp = awscli_plugin_yubikeytotp\n\n[profile ops]\nrole_arn = {role}\nmfa_serial = {alice}\n\
         source_profile = default\n\n[profile alias]\nrole_arn = {role}\nmfa_serial = {phone}\nmfa_alias = work\n\
         source_profile = default\n\n[profile plain]\nregion = eu-central-1\n",
        role = StandIn::role_arn("ops"),
        alice = StandIn::serial("alice"),
        phone = StandIn::serial("phone"),
    );
    home.write(".aws/config", &config).unwrap();
    let key = aws.key("alice").unwrap();
    let section = |name: &str| {
        format!("[{name}]\naws_access_key_id = {}\naws_secret_access_key = {}\n", key.id, key.secret)
    };
    home.write(".aws/credentials", &format!("{}{}", section("default"), section("plain"))).unwrap();

    let python = tool("KEYFOB_PYTHON").unwrap();
    let mut exec = home.keyfob().unwrap();
    let output = exec.args(["exec", "ops", "--"]).arg(&python).args(["-c", WHO]).output().unwrap();
    let (exit, out, said) = told(&output).unwrap();
    assert_eq!(exit, Some(0), "{said}");
    assert!(out.starts_with("arn:aws:sts::123456789012:assumed-role/ops/"), "{out}");
    assert_eq!(last(&aws, "GetSessionToken").get("SerialNumber"), Some(StandIn::serial("alice").as_str()));
    assert!(last(&aws, "AssumeRole").mfa);

    credentials(&home, &["alias", "--no-session"]);
    assert_eq!(last(&aws, "AssumeRole").get("SerialNumber"), Some(StandIn::serial("phone").as_str()));

    let before = aws.requests().len();
    let given = credentials(&home, &["plain"]);
    assert_eq!(
        (given["AccessKeyId"].as_str(), given["SessionToken"].as_str()),
        (Some(key.id.as_str()), None)
    );
    let (_, _, said) = run(&home, &["env", "plain"]);
    assert!(said.contains("do not end"), "{said}");
    assert_eq!(aws.requests().len(), before);
}

/// What a role's profile says reaches STS.
#[test]
fn what_a_profile_says_is_asked() {
    let (aws, home) = start(
        &["alice"],
        |world| {
            world.role("ops").external_id("a+b/c:d").max_duration(3600);
        },
        |aws| {
            let ops = role(
                "ops",
                "alice",
                &[
                    ("external_id", "a+b/c:d"),
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
        ("ExternalId", "a+b/c:d"),
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
    let processes: Vec<_> = (0..50)
        .map(|_| {
            let mut keyfob = home.keyfob().unwrap();
            keyfob.args(["credential-process", "ops"]).stdout(Stdio::piped()).stderr(Stdio::piped());
            keyfob.spawn().unwrap()
        })
        .collect();
    let given: Vec<_> =
        processes.into_iter().map(|process| told(&process.wait_with_output().unwrap()).unwrap()).collect();
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

/// Two that want a code each at the same time do not get the same one: it would be refused to the second.
#[test]
fn no_code_is_given_to_two() {
    let (aws, home) = start(
        &["alice"],
        |world| {
            world.role("long").needs_mfa().max_duration(7200);
        },
        |aws| format!("{}{}", user(aws, "alice"), role("long", "alice", &[("duration_seconds", "7200")])),
    );
    let processes: Vec<_> = ["alice", "long"]
        .into_iter()
        .map(|profile| {
            let mut keyfob = home.keyfob().unwrap();
            keyfob.args(["credential-process", profile]).stdout(Stdio::piped()).stderr(Stdio::piped());
            keyfob.spawn().unwrap()
        })
        .collect();
    for process in processes {
        let (exit, _, said) = told(&process.wait_with_output().unwrap()).unwrap();
        assert_eq!(exit, Some(0), "{said}");
    }
    assert_eq!(made(&aws), (1, 1));
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
    let (exit, _, said) = run(&home, &["--timeout", "4s", "credential-process", "carl", "--no-session"]);
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("has not answered in time"), "{said}");
    assert!(start.elapsed() < Duration::from_secs(18));
    // Ctrl-C ends that at once, and the next one gets what it asks for.
    aws.forget_requests();
    aws.fail_next("GetSessionToken", 1, Fault::HalfOpen);
    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(["credential-process", "carl"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let keyfob = keyfob.spawn().unwrap();
    aws.wait_for("GetSessionToken", 1).unwrap();
    let start = Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&keyfob), rustix::process::Signal::INT)
        .unwrap();
    let (exit, out, _) = told(&keyfob.wait_with_output().unwrap()).unwrap();
    assert!(exit != Some(0) && out.is_empty(), "{exit:?} {out}");
    assert!(start.elapsed() < Duration::from_secs(10));
    credentials(&home, &["carl"]);
    assert_eq!(aws.calls("GetSessionToken"), 2);
}

/// The access key is on one card, the account of the user's second device on another: both are found.
#[test]
fn the_code_comes_from_whichever_key_has_it() {
    let aws = StandIn::start(|world| {
        world.user("alice").device("alice", SECRET).device("backup", OTHER);
    })
    .unwrap();
    let pcscd = Pcscd::start(&[YUBIKEY_READER, "Other Maker Reader"]).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    aws.configure(&mut home);
    let key = aws.key("alice").unwrap();
    for (name, put) in [("first", true), ("second", false)] {
        home.succeed(&["soft", "create", name], "").unwrap();
        let at = format!("soft:{name}");
        if put {
            home.succeed(&["--key", &at, "aws", "add", &key.id, "--no-touch"], &key.secret).unwrap();
        } else {
            home.succeed(&["--key", &at, "oath", "add", &StandIn::serial("backup")], OTHER).unwrap();
        }
    }
    home.succeed(&["agent", "stop"], "").unwrap();
    let _first = pcscd.insert_soft_key(0, &home, "first").unwrap();
    let _second = pcscd.insert_soft_key(1, &home, "second").unwrap();
    let serials = format!("{},{}", StandIn::serial("alice"), StandIn::serial("backup"));
    let lines = [("keyfob_access_key_id", key.id.as_str()), ("keyfob_mfa_serial", &serials)];
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    home.write(".aws/config", &profile("alice", &lines)).unwrap();
    credentials(&home, &["alice"]);
    let asked = last(&aws, "GetSessionToken");
    assert_eq!(asked.get("SerialNumber"), Some(StandIn::serial("backup").as_str()));
    assert!(asked.is_done());
}

/// A person, who touches whenever the key blinks; how often is counted.
struct Finger(Arc<AtomicUsize>);

impl Environment for Finger {
    fn touch(&mut self, _id: &[u8]) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst);
        true
    }
    fn random(&mut self) -> [u8; 8] {
        [9; 8]
    }
}

/// Twenty processes at once cost the touches of one: for the code and for the signature; a role of the same identity costs none.
#[test]
fn two_touches_for_all() {
    let aws = StandIn::start(|world| {
        world.user("alice").device("alice", SECRET);
        world.role("ops").needs_mfa();
        world.role("dev").needs_mfa();
    })
    .unwrap();
    let pcscd = Pcscd::start(&[YUBIKEY_READER]).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    aws.configure(&mut home);
    let touches = Arc::new(AtomicUsize::new(0));
    let (mut key, mut finger) = (SoftKey::new(31_313_131, [6; 8]), Finger(Arc::clone(&touches)));
    let _card = pcscd
        .insert(0, move |command| Answer::Response(key.transmit(command, &mut finger).to_vec()))
        .unwrap();
    keyfob_tests::poll("the card", || home.succeed(&["info"], "").ok()).unwrap();
    let known = aws.key("alice").unwrap();
    home.succeed(&["aws", "add", &known.id], &known.secret).unwrap();
    home.succeed(&["oath", "add", "--touch", &StandIn::serial("alice")], SECRET).unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let roles = ["ops", "dev"].map(|name| role(name, "alice", &[])).concat();
    home.write(".aws/config", &format!("{}{roles}", user(&aws, "alice"))).unwrap();

    touches.store(0, Ordering::SeqCst);
    aws.fail_next("GetSessionToken", 1, Fault::SlowAnswer(Duration::from_secs(1)));
    let processes: Vec<_> = (0..20)
        .map(|n| {
            let mut keyfob = home.keyfob().unwrap();
            keyfob.args(["credential-process", ["ops", "dev", "alice"][n % 3]]);
            keyfob.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for process in processes {
        let (exit, _, said) = told(&process.wait_with_output().unwrap()).unwrap();
        assert_eq!(exit, Some(0), "{said}");
    }
    assert_eq!((touches.load(Ordering::SeqCst), made(&aws)), (2, (1, 2)));
}

/// A kept session that AWS has ended is made again; that takes another code, which is waited for.
#[test]
fn a_session_that_aws_ended_is_made_again() {
    let (aws, home) = start(
        &["alice"],
        |world| {
            world.role("ops").needs_mfa();
        },
        |aws| format!("{}{}", user(aws, "alice"), role("ops", "alice", &[])),
    );
    let first = credentials(&home, &["ops"]);
    aws.end_sessions();
    // The role's session is kept, so another one is asked for: it is to be made by the session that has ended.
    let (exit, out, said) = run(&home, &["credential-process", "ops", "--duration", "30m"]);
    assert_eq!(exit, Some(0), "{said}");
    let second: Value = serde_json::from_str(&out).unwrap();
    assert_ne!(first["AccessKeyId"], second["AccessKeyId"]);
    assert_eq!(made(&aws), (2, 3));
    let codes: Vec<_> = aws
        .requests_of("GetSessionToken")
        .iter()
        .map(|request| request.get("TokenCode").unwrap().to_owned())
        .collect();
    assert_ne!(codes[0], codes[1]);
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
    let (exit, out, said) = told(&session.output).unwrap();
    assert_eq!(exit, Some(0), "{said} {}", session.screen);
    assert!(out.contains("\"SessionToken\""), "{out}");
    assert!(!session.screen.contains(&code), "{}", session.screen);
    assert_eq!(last(&aws, "GetSessionToken").get("TokenCode"), Some(code.as_str()));
}

#[test]
fn of_several_keys_the_one_that_has_it_signs() {
    let aws = StandIn::start(|world| {
        world.user("alice").device("alice", SECRET);
    })
    .unwrap();
    let pcscd = Pcscd::start(&[YUBIKEY_READER, "Other Maker Reader"]).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    aws.configure(&mut home);
    let key = aws.key("alice").unwrap();
    for name in ["one", "two"] {
        home.succeed(&["soft", "create", name], "").unwrap();
        home.succeed(&["--key", &format!("soft:{name}"), "aws", "add", &key.id, "--no-touch"], &key.secret)
            .unwrap();
    }
    home.succeed(&["--key", "soft:two", "oath", "add", &StandIn::serial("alice")], SECRET).unwrap();
    home.succeed(&["agent", "stop"], "").unwrap();
    let _one = pcscd.insert_soft_key(0, &home, "one").unwrap();
    let _two = pcscd.insert_soft_key(1, &home, "two").unwrap();
    // By its id, which both have; and where none is named, for it is the same on both.
    for id in [format!("keyfob_access_key_id = {}\n", key.id), String::new()] {
        let config = format!("[profile alice]\n{id}keyfob_mfa_serial = {}\n", StandIn::serial("alice"));
        let _ = std::fs::create_dir(home.path().join(".aws"));
        home.write(".aws/config", &config).unwrap();
        let out = home.succeed(&["credential-process", "alice"], "").unwrap();
        assert!(out.contains("ASIA"), "{out}");
    }
    assert_eq!(aws.calls("GetSessionToken"), 1);
}

#[test]
fn a_full_disk_keeps_nobody_from_sessions() {
    let (aws, home) = start(&["alice"], |_| (), |aws| user(aws, "alice"));
    // File systems without room for a byte, which only these processes see: what they write into, but for the key.
    let mut unshare = home.command("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let script = r#"
for folder in runtime .cache .local/state; do
    mkdir -p -m 700 "$folder" && mount -t tmpfs -o size=4k,mode=700 none "$folder" && printf %4096s > "$folder/full" || exit 99
done
"$@" credential-process alice && "$@" credential-process alice && "$@" agent status && "$@" agent stop
"#;
    unshare.args(["--mount", "/bin/sh", "-c", script, "sh"]).arg(tool("KEYFOB_BIN").unwrap());
    let (code, out, err) = told(&unshare.output().unwrap()).unwrap();
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(out.matches("\"SessionToken\"").count(), 2, "{out}");
    assert_eq!(aws.calls("GetSessionToken"), 1, "{err}");
}
