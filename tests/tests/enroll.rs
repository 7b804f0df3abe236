//! MFA devices, made by `keyfob aws enroll` and set right by `keyfob aws resync`: whatever fails or ends on the way, AWS and the keys
//! have the same device afterwards, or none.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use keyfob_tests::home::{Home, Told};
use keyfob_tests::kills::Kills;
use keyfob_tests::poll;
use keyfob_tests::stand_in::{Fault, KnownDevice, StandIn, World};
use keyfob_tests::terminal;
use keyfob_tests::turns::Turns;
use serde_json::Value;

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const OTHER_SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJA";
const KEYS: [&str; 2] = ["soft:demo", "soft:backup"];
/// Signed by the access key, which wants no touch here.
const ENROLL: &[&str] = &["--key", KEYS[0], "--key", KEYS[1], "--json", "aws", "enroll", "--no-touch", "new"];

/// The same, though the user has a device already that could make a session.
const BY_KEY: &[&str] =
    &["--key", KEYS[0], "--key", KEYS[1], "--json", "aws", "enroll", "--no-touch", "new", "--no-session"];

struct Fixture {
    aws: StandIn,
    home: Home,
}

/// A user whose access key is on the key `demo`, and another key.
fn fixture(build: impl FnOnce(&mut World)) -> Fixture {
    let aws = StandIn::start(build).unwrap();
    let mut home = Home::with_software_key().unwrap();
    home.succeed(&["soft", "create", "backup"], "").unwrap();
    aws.configure(&mut home);
    aws.put_on_key(&home, "alice").unwrap();
    aws.forget_requests();
    Fixture { aws, home }
}

fn alice(world: &mut World) {
    world.user("alice");
}

impl Fixture {
    /// Exit code, stdout, stderr.
    fn run(&self, args: &[&str]) -> Told {
        self.home.told(args).unwrap()
    }

    /// What it prints.
    #[track_caller]
    fn succeed(&self, args: &[&str]) -> Value {
        self.home.json(args).unwrap()
    }

    /// What it says, and the code of its failure.
    #[track_caller]
    fn fail(&self, args: &[&str], exit: i32, code: &str) -> String {
        self.home.fail(args, exit, code).unwrap()
    }

    /// The names of the accounts on a key.
    fn accounts(&self, key: &str) -> Vec<String> {
        let accounts = self.succeed(&["--key", key, "--json", "oath", "list"]);
        let names = accounts["accounts"].as_array().unwrap().iter();
        names.map(|account| account["name"].as_str().unwrap().to_owned()).collect()
    }

    fn has(&self, key: &str, name: &str) -> bool {
        self.accounts(key).contains(&StandIn::serial(name))
    }

    fn device(&self, name: &str) -> Option<KnownDevice> {
        self.aws.all_devices().into_iter().find(|device| device.serial == StandIn::serial(name))
    }

    /// Records of enrolments that were broken off.
    fn records(&self) -> usize {
        let data = self.home.path().join(".local/share/keyfob/enroll");
        let files = std::fs::read_dir(data).into_iter().flatten();
        files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "json")).count()
    }

    /// The device is enabled, and both keys give its codes.
    #[track_caller]
    fn is_enrolled(&self, name: &str) {
        let device = self.device(name).unwrap();
        assert_eq!(device.user.as_deref(), Some("alice"));
        for key in KEYS {
            for steps in [0, 1] {
                let before = self.aws.code(&device.serial, steps);
                let next: &[&str] = if steps == 1 { &["--next"] } else { &[] };
                let args = [&["--key", key, "code", &device.serial], next].concat();
                let code = self.home.succeed(&args, "").unwrap();
                // The step may have ended meanwhile.
                let after = self.aws.code(&device.serial, steps);
                assert!([before, after].contains(&code.trim().to_owned()), "{key}");
            }
        }
        assert_eq!(self.records(), 0);
    }

    /// Nothing is left of a device.
    #[track_caller]
    fn is_gone(&self, name: &str) {
        assert_eq!(self.device(name), None);
        for key in KEYS {
            assert!(!self.has(key, name), "{key}");
        }
        assert_eq!(self.records(), 0);
    }

    /// Removes a device everywhere, for the next one of that name.
    fn remove(&self, name: &str) {
        let serial = StandIn::serial(name);
        self.aws.remove_device(&serial);
        for key in KEYS {
            self.home.succeed(&["--key", key, "oath", "delete", "--force", &serial], "").unwrap();
        }
    }

    /// Starts it, to be ended when a call has come.
    fn start(&self, args: &[&str]) -> Child {
        let mut keyfob = self.home.keyfob().unwrap();
        keyfob.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        keyfob.spawn().unwrap()
    }
}

#[test]
fn a_device_is_on_every_key_and_enabled() {
    let it = fixture(alice);
    let done = it.succeed(ENROLL);
    assert_eq!(done["serial"], StandIn::serial("new"));
    assert_eq!((&done["user"], &done["recovered"]), (&Value::from("alice"), &Value::from(false)));
    assert_eq!(done["keys"], serde_json::json!(KEYS));
    it.is_enrolled("new");
    let created = it.aws.requests_of("CreateVirtualMFADevice");
    assert_eq!(created.len(), 1);
    // IAM is in one region, whichever the profile's is.
    assert_eq!((created[0].region.as_str(), created[0].verified), ("us-east-1", true));
    // The codes that AWS has had are used up, for all of Keyfob's programs.
    let code = it.succeed(&["--key", KEYS[1], "--json", "code", &StandIn::serial("new")]);
    let sent = it.aws.requests_of("EnableMFADevice");
    let sent = sent[0].get("AuthenticationCode2").unwrap();
    if code["code"]["value"] == sent {
        assert_eq!(code["code"]["submitted"], true, "{code}");
    }

    // Once more, under the same name.
    let said = it.fail(BY_KEY, 1, "exists");
    assert!(said.contains("soft:demo has an account"), "{said}");
    assert_eq!(it.aws.calls("CreateVirtualMFADevice"), 1);
}

#[test]
fn a_name_that_no_key_has_room_for_is_cut() {
    let it = fixture(alice);
    let name = "a-device-with-a-name-that-is-longer-than-any-account-on-a-key";
    let serial = StandIn::serial(name);
    let args = ["--key", KEYS[0], "--key", KEYS[1], "--json", "aws", "enroll", "--no-touch", name];
    it.aws.fail_next("EnableMFADevice", 1, Fault::Status(403, "AccessDenied", "No."));
    it.fail(&args, 8, "aws-refused");
    assert_eq!(it.device(name), None);
    for key in KEYS {
        assert_eq!(it.accounts(key), [""; 0]);
    }
    assert_eq!(it.succeed(&args)["serial"], serial.as_str());
    it.is_enrolled(name);
    let names = it.accounts(KEYS[1]);
    assert!(names.len() == 1 && names[0] != serial, "{names:?}");
    // What AWS has had is known by the name that it has on the key.
    let code = it.succeed(&["--key", KEYS[1], "--json", "code", &serial]);
    let sent = it.aws.requests_of("EnableMFADevice");
    let sent = sent[1].get("AuthenticationCode2").unwrap();
    assert!(code["code"]["value"] != sent || code["code"]["submitted"] == true, "{code}");
    // Nobody knows any more which codes were used, and nobody has to wait for others.
    it.home.succeed(&["agent", "stop"], "").unwrap();
    it.aws.forget_codes();
    let told = it.succeed(&["--key", KEYS[0], "--json", "aws", "resync", name]);
    assert_eq!((&told["serial"], &told["key"]), (&serial.as_str().into(), &KEYS[0].into()));
}

#[test]
fn what_aws_refuses_is_undone() {
    let it = fixture(alice);
    for (action, code) in [
        ("GetCallerIdentity", "InvalidClientTokenId"),
        ("ListMFADevices", "InvalidClientTokenId"),
        ("CreateVirtualMFADevice", "AccessDenied"),
        ("CreateVirtualMFADevice", "LimitExceeded"),
        ("EnableMFADevice", "AccessDenied"),
        ("EnableMFADevice", "LimitExceeded"),
    ] {
        it.aws.fail_next(action, 1, Fault::Status(403, code, "No."));
        let said = it.fail(ENROLL, 8, "aws-refused");
        assert!(said.contains(&format!("{code}: No.")), "{action}: {said}");
        it.is_gone("new");
    }
    // A permission that it lacks is named.
    it.aws.fail_next("EnableMFADevice", 1, Fault::Status(403, "AccessDenied", "No."));
    let said = it.fail(ENROLL, 8, "aws-refused");
    assert!(said.contains("iam:EnableMFADevice") && said.contains("nothing of the device is left"), "{said}");
    it.is_gone("new");
    // What passes is not waited for by a person.
    it.aws.fail_next("CreateVirtualMFADevice", 1, Fault::Throttle);
    let busy = Fault::Status(409, "EntityTemporarilyUnmodifiable", "Later.");
    it.aws.fail_next("EnableMFADevice", 1, busy);
    let unknown = Fault::Status(404, "NoSuchEntity", "VirtualMFADevice with serial number x does not exist.");
    it.aws.fail_next("EnableMFADevice", 1, unknown);
    it.succeed(ENROLL);
    it.is_enrolled("new");
}

#[test]
fn what_is_lost_on_the_way_is_looked_for() {
    // Made, and the answer lost; the one that was made is found by who makes it again, and is deleted with consent.
    let it = fixture(alice);
    it.aws.fail_next("CreateVirtualMFADevice", 1, Fault::HangUpAfter);
    let said = it.fail(ENROLL, 2, "invalid-input");
    assert!(said.contains("consent"), "{said}");
    assert_eq!((it.device("new").map(|device| device.user), it.records()), (Some(None), 1));
    // A person may say no.
    let mut keyfob = it.home.keyfob().unwrap();
    keyfob.args(ENROLL);
    let said_no = terminal::run(&keyfob, &[("make it anew?", "n")]).unwrap();
    assert!(!said_no.output.status.success());
    assert_eq!(it.device("new").map(|device| device.user), Some(None));
    let said_yes = terminal::run(&keyfob, &[("make it anew?", "y")]).unwrap();
    assert!(said_yes.output.status.success(), "{}", said_yes.screen);
    it.is_enrolled("new");

    // Not made, and no answer: made by the second call.
    let it = fixture(alice);
    it.aws.fail_next("CreateVirtualMFADevice", 1, Fault::HangUpBefore);
    it.succeed(ENROLL);
    it.is_enrolled("new");

    // Enabled, and the answer lost: it is on AWS's list.
    let it = fixture(alice);
    it.aws.fail_next("EnableMFADevice", 1, Fault::HangUpAfter);
    it.succeed(ENROLL);
    it.is_enrolled("new");

    // Or a proxy has said that it is not there, which may have been after it was done.
    let it = fixture(alice);
    it.aws.fail_next("EnableMFADevice", 1, Fault::UnavailableAfter);
    it.succeed(ENROLL);
    it.is_enrolled("new");

    // Not enabled: undone.
    let it = fixture(alice);
    it.aws.fail_next("EnableMFADevice", 1, Fault::HangUpBefore);
    let said = it.fail(ENROLL, 1, "io");
    assert!(said.contains("nothing of the device is left"), "{said}");
    it.is_gone("new");

    // Enabled, and all is silent afterwards: what is on the keys stays, and the next one sees that it is done.
    it.aws.fail_next("EnableMFADevice", 1, Fault::HangUpAfter);
    for _ in 0..2 {
        it.aws.fail_next("DeleteVirtualMFADevice", 3, Fault::HangUpBefore);
    }
    // The first is that before anything is made.
    it.aws.fail_next("ListMFADevices", 1, Fault::Skew(0));
    it.aws.fail_next("ListMFADevices", 3, Fault::HangUpBefore);
    let said = it.fail(ENROLL, 1, "io");
    assert!(said.contains("is not known") && said.contains("enroll it again"), "{said}");
    assert_eq!(it.records(), 1);
    it.aws.fail_no_more();
    let done = it.succeed(BY_KEY);
    assert_eq!(done["recovered"], true);
    it.is_enrolled("new");
    assert_eq!(it.aws.calls("EnableMFADevice"), 2);

    // The same, though the list does not know yet: it cannot be deleted.
    let it = fixture(alice);
    it.aws.fail_next("EnableMFADevice", 1, Fault::HangUpAfter);
    it.aws.fail_next("ListMFADevices", 1, Fault::Skew(0));
    it.aws.fail_next("ListMFADevices", 3, Fault::HangUpBefore);
    it.succeed(ENROLL);
    it.is_enrolled("new");
}

#[test]
fn what_is_somebody_elses_is_left_alone() {
    let it = fixture(|world| {
        world.user("alice");
        world.user("bob").device("new", SECRET);
    });
    let said = it.fail(ENROLL, 1, "exists");
    assert!(said.contains("not made") && said.contains(&StandIn::serial("new")), "{said}");
    let said = it.fail(&[ENROLL, &["--force"]].concat(), 1, "exists");
    assert!(said.contains("enroll NAME"), "{said}");
    assert_eq!(it.device("new").unwrap().user.as_deref(), Some("bob"));
    // Even where an answer was lost.
    it.aws.fail_next("CreateVirtualMFADevice", 1, Fault::HangUpBefore);
    it.fail(&[ENROLL, &["--force"]].concat(), 1, "exists");
    assert_eq!(it.device("new").unwrap().user.as_deref(), Some("bob"));
    assert_eq!(it.records(), 0);
    assert!(!it.has(KEYS[0], "new") && !it.has(KEYS[1], "new"));

    // An account of that name on one of the keys: AWS is asked for nothing.
    it.aws.forget_requests();
    let other = StandIn::serial("other");
    it.home.succeed(&["--key", KEYS[1], "oath", "add", &other], SECRET).unwrap();
    let args = ["--key", KEYS[0], "--key", KEYS[1], "--json", "aws", "enroll", "other"];
    let said = it.fail(&args, 1, "exists");
    assert!(said.contains("soft:backup has an account"), "{said}");
    assert_eq!(it.aws.calls("CreateVirtualMFADevice"), 0);
    assert_eq!(it.home.succeed(&["--key", KEYS[1], "oath", "list"], "").unwrap().lines().count(), 1);
    let same = ["--key", KEYS[0], "--key", KEYS[0], "--json", "aws", "enroll", "x"];
    assert!(it.fail(&same, 2, "invalid-input").contains("named twice"));
    let two = ["--json", "aws", "enroll", "x", "--copies", "2"];
    assert!(it.fail(&two, 2, "invalid-input").contains("one key is named"));
    let bad = ["--key", KEYS[0], "--json", "aws", "enroll", "team/alice"];
    assert!(it.fail(&bad, 2, "invalid-input").contains("no name of AWS's"));
}

#[test]
fn codes_that_aws_does_not_take_are_followed_by_the_next() {
    let it = fixture(alice);
    // Where it is a minute later, the code before this one is too old, and the next one is not.
    it.aws.turn_clock(60);
    it.succeed(ENROLL);
    let sent = it.aws.requests_of("EnableMFADevice");
    let codes = |n: usize| {
        let code = |name| sent[n].get(name).unwrap().to_owned();
        (code("AuthenticationCode1"), code("AuthenticationCode2"))
    };
    assert_eq!((sent.len(), sent[0].code.as_str()), (2, "InvalidAuthenticationCode"));
    assert_eq!(codes(0).1, codes(1).0);
    assert_eq!(it.device("new").unwrap().user.as_deref(), Some("alice"));
    it.aws.turn_clock(-60);
    it.is_enrolled("new");

    // Where none is right, it is undone; the next step is not waited for beyond the time that was given.
    let it = fixture(alice);
    it.aws.fail_next("EnableMFADevice", 9, Fault::Status(403, "InvalidAuthenticationCode", "No."));
    let args = [&["--timeout", "12s"], ENROLL].concat();
    let said = it.fail(&args, 8, "aws-refused");
    assert!(said.contains("doctor --clock"), "{said}");
    it.is_gone("new");
}

#[test]
fn a_key_that_is_gone_in_between_is_undone_later() {
    let it = fixture(alice);
    let backup = it.home.path().join(".local/share/keyfob/soft");
    let file = std::fs::read_dir(&backup).unwrap().map(|file| file.unwrap().path());
    let file = file.into_iter().find(|path| path.to_string_lossy().contains("backup")).unwrap();
    let away = it.home.path().join("away");
    // Pulled out while AWS makes the device: the other key has it by then, or not yet; it is taken off again.
    it.aws.fail_next("CreateVirtualMFADevice", 1, Fault::Delay(Duration::from_secs(2)));
    let mut child = it.start(ENROLL);
    it.aws.wait_for("CreateVirtualMFADevice", 1).unwrap();
    std::fs::rename(&file, &away).unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(it.device("new"), None);
    assert!(!it.has(KEYS[0], "new"));
    assert_eq!(it.records(), 1);
    // It may be on the one that is gone: that is said, until it is seen.
    let first = ["--key", KEYS[0], "--json", "aws", "enroll", "--no-touch", "new"];
    let said = it.run(&first).2;
    assert!(said.contains("soft:backup is not there"), "{said}");
    std::fs::rename(&away, &file).unwrap();
    it.succeed(ENROLL);
    it.is_enrolled("new");
}

#[test]
fn killed_at_any_call_it_is_done_or_undone_by_the_next() {
    let it = fixture(alice);
    // What is killed while a call is on its way to AWS, or its answer on its way back.
    for (action, n) in [
        ("GetCallerIdentity", 1),
        ("ListMFADevices", 1),
        ("CreateVirtualMFADevice", 1),
        ("EnableMFADevice", 1),
    ] {
        for is_done in [false, true] {
            let time = Duration::from_secs(20);
            let fault = if is_done { Fault::SlowAnswer(time) } else { Fault::HalfOpen };
            it.aws.forget_requests();
            it.aws.fail_next(action, 1, fault);
            let mut child = it.start(ENROLL);
            it.aws.wait_for(action, n).unwrap();
            if is_done {
                poll("the call", || it.aws.requests_of(action)[0].is_done().then_some(())).unwrap();
            }
            child.kill().unwrap();
            child.wait().unwrap();
            let was_enabled = action == "EnableMFADevice" && is_done;
            let done = it.succeed(&[BY_KEY, &["--force"]].concat());
            assert_eq!(done["recovered"], was_enabled, "{action} {is_done}");
            it.is_enrolled("new");
            assert_eq!(it.aws.all_devices().len(), 1);
            it.remove("new");
        }
    }
}

#[test]
fn a_user_with_a_device_signs_by_a_session() {
    let it = fixture(|world| {
        world.user("alice").device("old", SECRET).device("lost", OTHER_SECRET).iam_only_with_mfa();
    });
    // The account of one of them is on no key: the other one proves. The list has two pages.
    it.aws.page(1);
    it.home.succeed(&["oath", "delete", "--force", &StandIn::serial("lost")], "").unwrap();
    it.succeed(ENROLL);
    it.is_enrolled("new");
    assert_eq!(it.aws.calls("GetSessionToken"), 1);
    for action in ["CreateVirtualMFADevice", "EnableMFADevice"] {
        let requests = it.aws.requests_of(action);
        assert!(requests.len() == 1 && requests[0].mfa && requests[0].verified, "{action}");
        assert!(requests[0].access_key_id.starts_with("ASIA"), "{action}");
    }
    assert_eq!(it.aws.requests_of("EnableMFADevice")[0].get("UserName"), Some("alice"));
    assert_eq!(it.aws.requests_of("GetSessionToken")[0].get("SerialNumber").unwrap(), StandIn::serial("old"));
    // For another user, by who may.
    let done = it.succeed(&["--json", "aws", "enroll", "--no-touch", "--user", "alice", "third"]);
    assert_eq!((&done["user"], &done["keys"]), (&"alice".into(), &serde_json::json!(["soft:demo"])));
    // The session is one.
    assert_eq!(it.aws.calls("GetSessionToken"), 1);
}

#[test]
fn what_may_not_be_deleted_at_aws_is_named() {
    let it = fixture(|world| {
        world.user("alice").iam_only_with_mfa();
    });
    it.aws.fail_next("EnableMFADevice", 1, Fault::Status(409, "LimitExceeded", "No."));
    let said = it.fail(ENROLL, 8, "aws-refused");
    assert!(said.contains("the device is left at AWS"), "{said}");
    assert_eq!(it.device("new").unwrap().user, None);
    for key in KEYS {
        assert!(!it.has(key, "new"));
    }
    let said = it.fail(ENROLL, 8, "aws-refused");
    assert!(said.contains("which nobody has, stays at AWS") && said.contains("enroll NAME"), "{said}");
    it.succeed(&["--json", "aws", "enroll", "--no-touch", "another"]);
    assert_eq!(it.device("another").unwrap().user.as_deref(), Some("alice"));
}

#[test]
fn one_touch_a_key_and_one_a_call() {
    let mut it = fixture(alice);
    it.home.set("KEYFOB_SOFT_TOUCH", "1");
    let id = it.aws.key("alice").unwrap().id;
    let secret = it.aws.key("alice").unwrap().secret;
    it.home.succeed(&["aws", "add", "--force", &id], &secret).unwrap();
    let args = ["--key", KEYS[0], "--key", KEYS[1], "aws", "enroll", "new"];
    let (exit, out, said) = it.run(&args);
    assert_eq!((exit, out.trim()), (Some(0), StandIn::serial("new").as_str()), "{said}");
    let touches: Vec<&str> = said.lines().filter(|line| line.starts_with("Touch your key: ")).collect();
    let confirmed = touches.iter().filter(|line| line.contains("to confirm arn:aws:iam::")).count();
    assert_eq!((touches.len(), confirmed), (6, 2), "{said}");
    for call in ["ListMFADevices", "GetCallerIdentity", "CreateVirtualMFADevice", "EnableMFADevice"] {
        assert_eq!(touches.iter().filter(|line| line.contains(call)).count(), 1, "{said}");
    }
    // No code and no secret is shown.
    let device = it.device("new").unwrap();
    assert!(!said.contains(&device.base32));
    for sent in it.aws.requests_of("EnableMFADevice")[0].parameters.iter().filter(|(n, _)| n.contains("Code"))
    {
        assert!(!said.contains(&sent.1), "{said}");
    }
    let accounts = it.succeed(&["--key", KEYS[1], "--json", "oath", "list"]);
    assert_eq!(accounts["accounts"][0]["touch"], true);
    // Nobody touches the second key: nothing is left.
    it.home.succeed(&["aws", "add", "--force", "--no-touch", &id], &secret).unwrap();
    it.home.set("KEYFOB_SOFT_TOUCH", "never");
    let args = ["--key", KEYS[0], "--key", KEYS[1], "--json", "aws", "enroll", "other", "--no-session"];
    let said = it.fail(&args, 6, "touch-timeout");
    assert!(said.contains("nothing of the device is left"), "{said}");
    it.is_gone("other");
}

#[test]
fn a_clock_that_is_off_is_told() {
    let it = fixture(|world| {
        world.user("alice").device("alice", SECRET);
    });
    let serial = StandIn::serial("alice");
    it.aws.drift(&serial, 40);
    let told = it.succeed(&["--json", "aws", "resync"]);
    assert_eq!((&told["serial"], &told["key"]), (&Value::from(serial.as_str()), &Value::from("soft:demo")));
    let sent = &it.aws.requests_of("ResyncMFADevice")[0];
    let code = |name| sent.get(name).unwrap().to_owned();
    assert_ne!(code("AuthenticationCode1"), code("AuthenticationCode2"));
    // By the key's clock again.
    let before = it.aws.code(&serial, 0);
    let code = it.home.succeed(&["code", &serial], "").unwrap();
    assert!([before, it.aws.code(&serial, 0)].contains(&code.trim().to_owned()));

    // By its name, its ARN; and what is not there.
    it.aws.forget_codes();
    for name in ["nobody", "arn:aws:iam::123456789012:mfa/nobody"] {
        let said = it.fail(&["--json", "aws", "resync", name], 7, "not-found");
        assert!(said.contains("arn:aws:iam::123456789012:mfa/nobody"), "{said}");
    }
    assert_eq!(it.aws.calls("ResyncMFADevice"), 1);
}

#[test]
fn the_user_of_a_profile_is_who_signs() {
    let mut it = fixture(|world| {
        world.user("alice").device("old", SECRET);
        world.user("bob");
        world.role("ops");
    });
    let (id, old) = (it.aws.key("alice").unwrap().id, StandIn::serial("old"));
    it.aws.put_on_key(&it.home, "bob").unwrap();
    it.home.succeed(&["oath", "rename", &old, "work"], "").unwrap();
    let config = format!(
        "[profile alice]\nkeyfob_access_key_id = {id}\nmfa_serial = {old}\nmfa_alias = work\n\
         [profile ops]\nrole_arn = {}\nsource_profile = alice\nmfa_serial = {old}\nmfa_alias = work\n",
        StandIn::role_arn("ops")
    );
    std::fs::create_dir(it.home.path().join(".aws")).unwrap();
    it.home.write(".aws/config", &config).unwrap();
    // With two access keys on the key one has to be named.
    let said = it.fail(&["--json", "aws", "enroll"], 4, "ambiguous");
    assert!(said.contains(&id), "{said}");
    // Not the role: it has no devices. Without a name, the device has the user's.
    let done = it.succeed(&["--json", "aws", "enroll", "--no-touch", "--profile", "ops"]);
    assert_eq!((&done["user"], &done["serial"]), (&"alice".into(), &StandIn::serial("alice").into()));
    let made = &it.aws.requests_of("CreateVirtualMFADevice")[0];
    assert!(made.mfa && it.aws.calls("AssumeRole") == 0);
    assert_eq!(it.aws.requests_of("GetSessionToken")[0].get("SerialNumber"), Some(old.as_str()));
    assert_eq!(it.device("alice").unwrap().user.as_deref(), Some("alice"));
    let done =
        it.succeed(&["--json", "aws", "enroll", "--no-touch", "--identity", &it.aws.key("bob").unwrap().id]);
    assert_eq!(done["serial"], StandIn::serial("bob"));
    // What the environment names is what other tools use.
    it.home.set("AWS_PROFILE", "alice");
    it.home.succeed(&["agent", "stop"], "").unwrap();
    it.aws.forget_codes();
    let told = it.succeed(&["--json", "aws", "resync"]);
    assert_eq!((&told["user"], &told["serial"]), (&"alice".into(), &old.as_str().into()));
    it.home.set("AWS_PROFILE", "nobody");
    it.fail(&["--json", "aws", "resync"], 7, "not-found");
}

#[test]
fn a_device_that_is_set_right_is_the_right_one() {
    // Another secret than the device's is on the key.
    let it = fixture(|world| {
        world.user("alice").device("one", SECRET).device("two", OTHER_SECRET);
    });
    let said = it.fail(&["--json", "aws", "resync"], 4, "ambiguous");
    assert!(said.contains(&StandIn::serial("one")) && said.contains(&StandIn::serial("two")), "{said}");
    let (one, two) = (StandIn::serial("one"), StandIn::serial("two"));
    it.home.succeed(&["oath", "delete", "--force", &one], "").unwrap();
    it.home.succeed(&["oath", "rename", &two, &one], "").unwrap();
    let said = it.fail(&["--json", "aws", "resync", "one"], 8, "aws-refused");
    assert!(said.contains("InvalidAuthenticationCode") && said.contains("not this device's"), "{said}");
    // A user who is none is said to be none.
    let role = ["--json", "aws", "resync", "--identity", "AKIAIOSFODNN7EXAMPLE"];
    it.fail(&role, 7, "not-found");
}

/// Whether AWS has enabled the device, and there is nothing to go on with.
fn is_done(it: &Fixture) -> bool {
    it.device("new").is_some_and(|device| device.user.is_some()) && it.records() == 0
}

#[test]
fn killed_at_any_instant_it_is_done_or_undone_by_the_next() {
    let it = fixture(alice);
    let begin = Instant::now();
    it.succeed(ENROLL);
    let mut kills = Kills::new(12, begin.elapsed());
    it.remove("new");
    while kills.goes_on() {
        let mut keyfob = it.home.keyfob().unwrap();
        keyfob.args(ENROLL);
        let killed = kills.run(keyfob).unwrap();
        // Killed at the very end, it is done.
        if killed && !is_done(&it) {
            // Told that it may, it is the next one that goes on, or goes back and begins anew.
            it.succeed(&[BY_KEY, &["--force"]].concat());
        }
        it.is_enrolled("new");
        assert_eq!(it.aws.all_devices().len(), 1);
        it.remove("new");
    }
    kills.check().unwrap();
}

#[test]
fn keys_take_turns_in_one_reader() {
    let aws = StandIn::start(alice).unwrap();
    let mut home = Home::new().unwrap();
    aws.configure(&mut home);
    let signer = aws.key("alice").unwrap();
    let mut turns = Turns::new(&mut home, &["one", "two"]).unwrap();
    // One of them has the access key, and both get the device.
    let id = turns.insert(0).unwrap();
    home.succeed(&["--key", &id, "aws", "add", &signer.id, "--no-touch"], &signer.secret).unwrap();
    turns.remove();
    let [one, two] = [0, 1].map(|at| turns.id(at).to_owned());
    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(["--key", &one, "--key", &two, "--wait", "aws", "enroll", "new", "--no-touch"]);
    let (succeeded, asked, said) = turns.run(keyfob).unwrap();
    assert!(succeeded, "{said}");
    assert!(asked.len() <= 9, "{asked:?} {said}");
    assert_eq!(aws.all_devices().len(), 1);
    for at in 0..2 {
        let id = turns.insert(at).unwrap();
        let there = home.succeed(&["--key", &id, "oath", "list"], "").unwrap();
        assert!(there.contains(&StandIn::serial("new")), "{there}");
    }
}
