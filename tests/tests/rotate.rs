//! Access keys that take the place of others, by `keyfob aws rotate`: on every key, with an AWS that verifies every signature, and that
//! fails.

use std::process::Stdio;
use std::time::Duration;

use keyfob_tests::home::{Home, Told};
use keyfob_tests::stand_in::{Fault, KnownKey, StandIn, World};
use keyfob_tests::terminal;
use keyfob_tests::turns::Turns;
use serde_json::Value;

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const KEYS: [&str; 2] = ["soft:demo", "soft:backup"];
const ROTATE: &[&str] = &["--key", KEYS[0], "--key", KEYS[1], "--json", "aws", "rotate"];

struct Fixture {
    aws: StandIn,
    home: Home,
    old: KnownKey,
}

/// A user whose access key is on two keys.
fn fixture(build: impl FnOnce(&mut World)) -> Fixture {
    let aws = StandIn::start(build).unwrap();
    let mut home = Home::with_software_key().unwrap();
    home.succeed(&["soft", "create", "backup"], "").unwrap();
    aws.configure(&mut home);
    aws.put_on_key(&home, "alice").unwrap();
    let old = aws.key("alice").unwrap();
    home.succeed(&["--key", KEYS[1], "aws", "add", &old.id, "--no-touch"], &old.secret).unwrap();
    aws.forget_requests();
    Fixture { aws, home, old }
}

fn alice(world: &mut World) {
    world.user("alice");
}

impl Fixture {
    /// Exit code, stdout, stderr.
    fn run(&self, args: &[&str]) -> Told {
        self.home.told(args).unwrap()
    }

    #[track_caller]
    fn succeed(&self, args: &[&str]) -> Value {
        self.home.json(args).unwrap()
    }

    #[track_caller]
    fn rotate(&self, more: &[&str]) -> Value {
        self.succeed(&[ROTATE, more].concat())
    }

    /// What it says, and the code of its failure.
    #[track_caller]
    fn fail(&self, args: &[&str], exit: i32, code: &str) -> String {
        self.home.fail(args, exit, code).unwrap()
    }

    /// The access keys on a key, each with whether it wants a touch.
    fn on(&self, key: &str) -> Vec<String> {
        let listed = self.succeed(&["--key", key, "--json", "aws", "identities"]);
        let mut ids: Vec<_> = listed["identities"]
            .as_array()
            .unwrap()
            .iter()
            .map(|identity| identity["access_key_id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    }

    fn stages(&self) -> Vec<String> {
        let status = self.succeed(&["--json", "aws", "rotate", "--status"]);
        let rotations = status["rotations"].as_array().unwrap().iter();
        rotations.map(|rotation| rotation["stage"].as_str().unwrap().to_owned()).collect()
    }

    /// AWS takes what a key signs by an access key.
    #[track_caller]
    fn works(&self, key: &str, id: &str) {
        let who = self.succeed(&["--key", key, "--json", "aws", "whoami", "--identity", id]);
        assert_eq!(who["arn"], "arn:aws:iam::123456789012:user/alice");
    }

    /// One access key is all there is, at AWS and on both keys, and it works.
    #[track_caller]
    fn only(&self) -> KnownKey {
        let known = self.aws.key("alice").unwrap();
        assert!(known.active);
        for key in KEYS {
            assert_eq!(self.on(key), std::slice::from_ref(&known.id), "{key}");
            self.works(key, &known.id);
        }
        assert_eq!(self.stages(), [""; 0]);
        known
    }
}

#[test]
fn an_access_key_takes_the_place_of_another() {
    let it = fixture(alice);
    let told = it.rotate(&[]);
    let new = told["access_key_id"].as_str().unwrap().to_owned();
    assert_eq!((&told["state"], &told["old"]), (&"resting".into(), &it.old.id.as_str().into()));
    assert_eq!(told["keys"], serde_json::json!(KEYS));
    let known = it.aws.keys("alice");
    assert!(known.len() == 2 && !known[0].active && known[1].active && known[1].id == new);
    for key in KEYS {
        assert_eq!(it.on(key).len(), 2);
        it.works(key, &new);
    }
    // Each key has signed with it before the old one was ended.
    let requests = it.aws.requests();
    let ended = requests.iter().position(|request| request.action == "UpdateAccessKey").unwrap();
    let proofs = requests[..ended]
        .iter()
        .filter(|r| r.action == "GetCallerIdentity" && r.access_key_id == new && r.verified);
    assert_eq!(proofs.count(), 2);
    // The secret is nowhere but on the keys.
    let journal = it.home.path().join(".local/share/keyfob/rotate").join(format!("{}.json", it.old.id));
    let journal = std::fs::read_to_string(journal).unwrap();
    assert!(journal.contains(&new) && !journal.contains(&known[1].secret));

    // Not due yet; a longer grace is kept; and then it is.
    assert_eq!(it.rotate(&[])["due"], told["due"]);
    let later = it.rotate(&["--grace", "30d"])["due"].clone();
    assert_ne!(later, told["due"]);
    assert_eq!(it.rotate(&[])["due"], later);
    assert_eq!(it.aws.keys("alice").len(), 2);
    assert_eq!(it.rotate(&["--grace", "0"])["state"], "done");
    assert_eq!(it.only().id, new);

    // Again, at once, by the name of the access key.
    let told = it.rotate(&["--grace", "0", &new]);
    assert_eq!(told["state"], "done");
    assert_ne!(it.only().id, new);
    it.fail(&[ROTATE, &[&new]].concat(), 7, "not-found");
}

#[test]
fn the_old_one_can_be_had_again() {
    let it = fixture(alice);
    it.fail(&[ROTATE, &["--undo"]].concat(), 7, "not-found");
    it.rotate(&[]);
    assert_eq!(it.stages(), ["resting"]);
    assert_eq!(it.rotate(&["--undo"])["state"], "both");
    assert!(it.aws.keys("alice").iter().all(|key| key.active));
    it.works(KEYS[1], &it.old.id);
    assert_eq!(it.rotate(&["--undo"])["state"], "undone");
    assert_eq!(it.only(), it.old);
    // And on again.
    it.rotate(&[]);
    it.rotate(&["--undo"]);
    assert_eq!(it.rotate(&["--grace", "0"])["state"], "done");
    assert_ne!(it.only().id, it.old.id);
}

#[test]
fn what_aws_refuses_is_undone() {
    let it = fixture(alice);
    // What fails before anything is made; what fails afterwards.
    for (action, calls) in [("ListAccessKeys", 0), ("CreateAccessKey", 1)] {
        it.aws.forget_requests();
        it.aws.fail_next(action, 1, Fault::Status(403, "AccessDenied", "No."));
        let said = it.fail(&[ROTATE, &["--no-session"]].concat(), 8, "aws-refused");
        assert!(said.contains("AccessDenied: No.") && said.contains(&format!("iam:{action}")), "{said}");
        assert_eq!(it.aws.calls("CreateAccessKey"), calls, "{action}");
        assert_eq!(it.only(), it.old);
    }
    it.aws.fail_next("GetCallerIdentity", 1, Fault::Status(403, "SignatureDoesNotMatch", "No."));
    let said = it.fail(ROTATE, 8, "aws-refused");
    assert!(
        said.contains("SignatureDoesNotMatch") && said.contains("nothing of the new access key"),
        "{said}"
    );
    assert_eq!(it.only(), it.old);
    // Where the old one may not be ended, both go on, and the person says what then.
    it.aws.fail_next("UpdateAccessKey", 1, Fault::Status(403, "AccessDenied", "No."));
    let said = it.fail(ROTATE, 8, "aws-refused");
    assert!(said.contains("both work") && said.contains("--undo"), "{said}");
    assert_eq!(it.stages(), ["proved"]);
    assert_eq!(it.rotate(&["--undo"])["state"], "undone");
    assert_eq!(it.only(), it.old);
    // What passes is waited for: by the same signature.
    it.aws.slow_keys(3, Duration::ZERO);
    it.aws.fail_next("CreateAccessKey", 1, Fault::Throttle);
    it.rotate(&["--grace", "0"]);
    it.only();
}

#[test]
fn what_is_lost_on_the_way_is_found() {
    // Made, and the answer lost: deleted, and made again.
    for fault in [Fault::HangUpAfter, Fault::UnavailableAfter] {
        let it = fixture(alice);
        it.aws.fail_next("CreateAccessKey", 1, fault);
        it.rotate(&["--grace", "0", "--force"]);
        assert_eq!((it.aws.calls("CreateAccessKey"), it.aws.calls("DeleteAccessKey")), (2, 2));
        assert_ne!(it.only().id, it.old.id);
    }
    // Somebody else may have had it made: nobody deletes it unasked.
    let it = fixture(alice);
    it.aws.fail_next("CreateAccessKey", 1, Fault::HangUpAfter);
    it.fail(&[ROTATE, &["--grace", "7d"]].concat(), 2, "invalid-input");
    assert_eq!((it.aws.keys("alice").len(), it.stages()), (2, vec!["creating".to_owned()]));
    // What was said then still holds: that both keys get it, and the grace.
    for _ in 0..2 {
        let said = it.fail(&["--json", "aws", "rotate", "--force", "--key", KEYS[0]], 3, "no-key");
        assert!(said.contains(&format!("--waive {}", KEYS[1])), "{said}");
    }
    let due: jiff::Timestamp = it.rotate(&[])["due"].as_str().unwrap().parse().unwrap();
    assert!(due.duration_since(jiff::Timestamp::now()).as_hours() > 6 * 24, "{due}");

    // Made, and all is silent afterwards: found by the next one, with consent.
    let it = fixture(alice);
    it.aws.fail_next("CreateAccessKey", 1, Fault::HangUpAfter);
    it.aws.fail_next("ListAccessKeys", 1, Fault::Skew(0));
    it.aws.fail_next("ListAccessKeys", 3, Fault::HangUpBefore);
    it.fail(ROTATE, 1, "io");
    assert_eq!((it.aws.keys("alice").len(), it.stages()), (2, vec!["creating".to_owned()]));
    let said = it.fail(ROTATE, 2, "invalid-input");
    assert!(said.contains("consent"), "{said}");
    assert_eq!(it.rotate(&["--force", "--grace", "0"])["state"], "done");
    assert_ne!(it.only().id, it.old.id);

    // Ended, and the answer lost.
    let it = fixture(alice);
    it.aws.fail_next("UpdateAccessKey", 3, Fault::HangUpAfter);
    let said = it.fail(ROTATE, 1, "io");
    assert!(said.contains("is not known"), "{said}");
    assert_eq!(it.rotate(&["--grace", "0"])["state"], "done");
    it.only();
}

#[test]
fn keys_that_hold_it_are_all_wanted() {
    let it = fixture(alice);
    // One of them is not there.
    let absent = ["--key", KEYS[0], "--key", "soft:gone", "--json", "aws", "rotate"];
    let said = it.fail(&absent, 7, "not-found");
    assert!(said.contains("`gone`") && said.contains("--waive SERIAL"), "{said}");
    // One of them does not hold it.
    it.home.succeed(&["soft", "create", "third"], "").unwrap();
    let third = ["--key", KEYS[0], "--key", "soft:third", "--json", "aws", "rotate"];
    assert!(it.fail(&third, 7, "not-found").contains("soft:third does not hold"));
    let copies = ["--key", KEYS[0], "--json", "aws", "rotate", "--copies", "2"];
    assert!(it.fail(&copies, 3, "no-key").contains("2 are said to"));
    let both = ["--key", KEYS[0], "--json", "aws", "rotate", "--waive", KEYS[0]];
    it.fail(&both, 2, "invalid-input");
    assert_eq!(it.aws.calls("CreateAccessKey"), 0);
    // Left out by a person's word: what it has is worth nothing afterwards.
    let waived = ["--key", KEYS[0], "--json", "aws", "rotate", "--waive", KEYS[1], "--grace", "0"];
    let told = it.succeed(&waived);
    assert_eq!((&told["state"], &told["waived"]), (&"done".into(), &serde_json::json!([KEYS[1]])));
    let new = it.aws.key("alice").unwrap();
    assert_eq!(it.on(KEYS[0]), std::slice::from_ref(&new.id));
    it.works(KEYS[0], &new.id);
}

#[test]
fn both_kinds_of_signatures_move() {
    let it = fixture(alice);
    let v2 = ["--key", KEYS[1], "aws", "add", &it.old.id, "--no-touch", "--signature", "v2"];
    it.home.succeed(&v2, &it.old.secret).unwrap();
    let told = it.rotate(&["--grace", "0"]);
    let new = told["access_key_id"].as_str().unwrap().to_owned();
    let signatures = |key: &str| {
        let listed = it.succeed(&["--key", key, "--json", "aws", "identities"]);
        let each = listed["identities"].as_array().unwrap().iter();
        each.map(|one| (one["access_key_id"].clone(), one["signature"].clone())).collect::<Vec<_>>()
    };
    assert!(signatures(KEYS[0]).len() == 1 && signatures(KEYS[1]).len() == 2, "{:?}", signatures(KEYS[1]));
    assert!(signatures(KEYS[1]).iter().all(|(id, _)| *id == new), "{:?}", signatures(KEYS[1]));
    // A key that has it for the older kind alone cannot prove a new one.
    it.home.succeed(&["--key", KEYS[1], "aws", "delete", "--force", &new], "").unwrap();
    let secret = it.aws.key("alice").unwrap().secret;
    it.home
        .succeed(&["--key", KEYS[1], "aws", "add", &new, "--no-touch", "--signature", "v2"], &secret)
        .unwrap();
    assert!(it.fail(ROTATE, 1, "unsupported").contains("--waive"));
}

#[test]
fn another_profile_does_not_go_on_with_it() {
    let it = fixture(alice);
    it.rotate(&[]);
    std::fs::create_dir(it.home.path().join(".aws")).unwrap();
    let config = "[profile b]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = secret\n";
    it.home.write(".aws/config", config).unwrap();
    for more in [&["--grace", "0"][..], &["--undo"]] {
        let said = it.fail(&[ROTATE, more, &["--profile", "b"]].concat(), 2, "invalid-input");
        assert!(said.contains("not on a key"), "{said}");
    }
    assert_eq!(it.stages(), ["resting"]);
    assert_eq!(it.aws.keys("alice").len(), 2);
}

#[test]
fn two_access_keys_are_one_too_many() {
    let it = fixture(alice);
    it.home.succeed(&["aws", "rotate", "--key", KEYS[0], "--waive", KEYS[1]], "").unwrap();
    // The journal is lost: what is left is a second access key that nobody knows.
    let new = it.aws.keys("alice")[1].id.clone();
    std::fs::remove_dir_all(it.home.path().join(".local/share/keyfob/rotate")).unwrap();
    let said = it.fail(&["--json", "aws", "rotate", &new], 1, "exists");
    assert!(said.contains(&it.old.id) && said.contains("(inactive)"), "{said}");
    assert!(said.contains("has been used") && said.contains("delete-access-key"), "{said}");
    let said = it.fail(&["--json", "aws", "rotate"], 4, "ambiguous");
    assert!(said.contains(&new), "{said}");
}

#[test]
fn a_session_with_mfa_signs_where_policies_want_it() {
    let it = fixture(|world| {
        world.user("alice").device("alice", SECRET).iam_only_with_mfa();
    });
    it.rotate(&["--grace", "0"]);
    it.only();
    assert_eq!(it.aws.calls("GetSessionToken"), 1);
    for action in ["CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"] {
        assert!(it.aws.requests_of(action).iter().all(|request| request.mfa), "{action}");
    }
    let said = it.fail(&[ROTATE, &["--no-session"]].concat(), 8, "aws-refused");
    assert!(said.contains("mfa_serial"), "{said}");
}

#[test]
fn profiles_name_the_new_one() {
    let it = fixture(alice);
    std::fs::create_dir(it.home.path().join(".aws")).unwrap();
    let config = |id: &str| {
        format!(
            "# mine\n[profile a]\nkeyfob_access_key_id = {id}\nregion = eu-west-1\n[profile b]\nregion=x\n\
             [profile c]\n  keyfob_access_key_id={id}\n"
        )
    };
    it.home.write(".aws/config", &config(&it.old.id)).unwrap();
    let read = || std::fs::read_to_string(it.home.path().join(".aws/config")).unwrap();
    // Nobody can be asked: told.
    let (exit, out, said) = it.run(&[ROTATE, &["--profile", "a"]].concat());
    assert_eq!(exit, Some(0), "{said}");
    let told: Value = serde_json::from_str(&out).unwrap();
    let new = told["access_key_id"].as_str().unwrap().to_owned();
    assert!(said.contains("[profile a], [profile c]") && said.contains(&new), "{said}");
    assert_eq!(read(), config(&it.old.id));
    // It is found by the old name, though that is inactive; asked, a person says yes.
    it.rotate(&["--profile", "a", "--undo"]);
    let mut keyfob = it.home.keyfob().unwrap();
    keyfob.args([ROTATE, &["--profile", "a"]].concat()).stdin(Stdio::null());
    let said = terminal::run(&keyfob, &[("there?", "y")]).unwrap();
    assert!(said.output.status.success(), "{}", said.screen);
    assert_eq!(read(), config(&new));
    // Back, with --force.
    it.rotate(&["--profile", "a", "--undo"]);
    it.rotate(&["--profile", "a", "--undo", "--force"]);
    assert_eq!(read(), config(&it.old.id));
    assert_eq!(it.only(), it.old);
}

#[test]
fn touches_are_as_before_and_one_a_key() {
    let mut it = fixture(alice);
    it.home.set("KEYFOB_SOFT_TOUCH", "1");
    let (id, secret) = (it.old.id.clone(), it.old.secret.clone());
    it.home.succeed(&["--key", KEYS[1], "aws", "add", "--force", &id], &secret).unwrap();
    let args = ["--key", KEYS[0], "--key", KEYS[1], "aws", "rotate", "--no-session"];
    it.aws.slow_keys(2, Duration::ZERO);
    let (exit, out, said) = it.run(&args);
    assert_eq!(exit, Some(0), "{said}");
    let new = it.aws.keys("alice")[1].clone();
    assert_eq!(out.trim(), new.id);
    let touches: Vec<&str> = said.lines().filter(|line| line.starts_with("Touch your key: ")).collect();
    let proofs = touches.iter().filter(|line| line.contains("GetCallerIdentity")).count();
    // The other key wants none, as before; that AWS did not know it at first costs no second one.
    assert_eq!(proofs, 1, "{said}");
    assert_eq!(touches.iter().filter(|line| line.contains("CreateAccessKey")).count(), 1, "{said}");
    assert!(!said.contains(&new.secret));
    // Nobody touches it: all is as it was.
    it.home
        .succeed(&["aws", "rotate", "--key", KEYS[0], "--key", KEYS[1], "--grace", "0", "--no-session"], "")
        .unwrap();
    let known = it.aws.key("alice").unwrap();
    it.home.set("KEYFOB_SOFT_TOUCH", "never");
    it.fail(&[ROTATE, &["--no-session"]].concat(), 6, "touch-timeout");
    assert_eq!(it.aws.key("alice").unwrap(), known);
    assert_eq!(it.stages(), [""; 0]);
}

#[test]
fn one_rotation_runs_at_a_time() {
    let it = fixture(alice);
    // One of them makes the new one, and the others find that it is done.
    let children: Vec<_> = (0..3)
        .map(|_| {
            let mut keyfob = it.home.keyfob().unwrap();
            keyfob.args(ROTATE).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            keyfob.spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(it.aws.calls("CreateAccessKey"), 1);
    assert_eq!(it.rotate(&["--grace", "0"])["state"], "done");
    it.only();
}

#[test]
fn keys_take_turns_in_one_reader() {
    let aws = StandIn::start(alice).unwrap();
    let mut home = Home::new().unwrap();
    aws.configure(&mut home);
    let old = aws.key("alice").unwrap();
    let mut turns = Turns::new(&mut home, &["one", "two"]).unwrap();
    for at in 0..2 {
        let id = turns.insert(at).unwrap();
        home.succeed(&["--key", &id, "aws", "add", &old.id, "--no-touch"], &old.secret).unwrap();
    }
    turns.remove();

    // Nothing is in the reader: each key is asked for in turn.
    let [one, two] = [0, 1].map(|at| turns.id(at).to_owned());
    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(["--key", &one, "--key", &two, "--wait", "aws", "rotate", "--grace", "0", &old.id]);
    let (succeeded, asked, said) = turns.run(keyfob).unwrap();
    assert!(succeeded, "{said}");
    let known = aws.key("alice").unwrap();
    assert!(known.active && known.id != old.id, "{said}");
    // Looked at; looked at and written; written; rid of the old one.
    assert_eq!(asked, [0, 1, 0, 1], "{said}");
    for at in 0..2 {
        let id = turns.insert(at).unwrap();
        let there = home.succeed(&["--key", &id, "--json", "aws", "identities"], "").unwrap();
        assert!(there.contains(&known.id) && !there.contains(&old.id), "{there}");
    }
}
