//! The agent, as many programs meet it at once: one holder of the key that is started, killed, stopped, replaced and
//! attacked, while others go on.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keyfob::client::Client;
use keyfob::config::Config;
use keyfob::policy::Caller;
use keyfob_core::softkey::{Environment, SoftKey};
use keyfob_tests::home::Home;
use keyfob_tests::host::Host;
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};
use keyfob_tests::random::Random;
use keyfob_tests::vpcd::{Answer, Inserted};
use keyfob_tests::{poll, terminal, tool};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// RFC 4226's and RFC 6238's secret, `12345678901234567890`, in base32.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/// An account that browsers see.
const AWS: &str = "Amazon Web Services:alice@123456789012";
const OTHER_AWS: &str = "Amazon Web Services:bob@123456789012";

/// A home whose programs use the software key `demo`, with one account.
fn home() -> Home {
    let home = Home::with_software_key().unwrap();
    home.succeed(&["--no-agent", "oath", "add", "plain"], SECRET).unwrap();
    home
}

/// A home with readers, whose cards the test is.
fn home_with_readers(readers: &[&str]) -> (Home, Pcscd) {
    let pcscd = Pcscd::start(readers).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    (home, pcscd)
}

/// A key in the hand of the test: it sees each touch that is asked for, and gives it or not.
#[derive(Clone)]
struct Key {
    key: Arc<Mutex<SoftKey>>,
    finger: Finger,
    fingers: Arc<Mutex<Option<Sender<bool>>>>,
}

#[derive(Clone)]
struct Finger {
    asked: Arc<AtomicUsize>,
    touches: Arc<Mutex<Receiver<bool>>>,
}

impl Environment for Finger {
    fn touch(&mut self, _: &[u8]) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // It gives up by itself, as a card does.
        self.touches.lock().unwrap().recv_timeout(Duration::from_secs(15)).unwrap_or(false)
    }

    fn random(&mut self) -> [u8; 8] {
        [7; 8]
    }
}

impl Key {
    fn new(serial: u32) -> Self {
        let (touch, touches) = channel();
        let finger = Finger { asked: Arc::default(), touches: Arc::new(Mutex::new(touches)) };
        let mut salt = [1; 8];
        salt[..4].copy_from_slice(&serial.to_be_bytes());
        let key = Arc::new(Mutex::new(SoftKey::new(serial, salt)));
        Self { key, finger, fingers: Arc::new(Mutex::new(Some(touch))) }
    }

    /// Puts it into a reader.
    fn insert(&self, pcscd: &Pcscd, reader: usize) -> Inserted {
        let Self { key, finger, .. } = self.clone();
        key.lock().unwrap().power_cycle();
        let mut finger = finger;
        pcscd
            .insert(reader, move |command| {
                Answer::Response(key.lock().unwrap().transmit(command, &mut finger).to_vec())
            })
            .unwrap()
    }

    /// How many touches were asked for.
    fn asked(&self) -> usize {
        self.finger.asked.load(Ordering::SeqCst)
    }

    /// Waits until so many touches were asked for, in all.
    #[track_caller]
    fn blinks(&self, times: usize) {
        poll("a touch to be asked for", || (self.asked() >= times).then_some(())).unwrap();
        assert_eq!(self.asked(), times);
    }

    fn touch(&self) {
        self.fingers.lock().unwrap().as_ref().unwrap().send(true).unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What `keyfob agent status` tells; none if none runs.
fn status(home: &Home) -> Option<Value> {
    let output = home.run(&["--json", "agent", "status"], "").unwrap();
    match output.status.code() {
        Some(0) => Some(serde_json::from_slice(&output.stdout).unwrap()),
        Some(7) => None,
        _ => panic!("{output:?}"),
    }
}

#[track_caller]
fn pid(home: &Home) -> i32 {
    i32::try_from(status(home).expect("an agent")["pid"].as_i64().unwrap()).unwrap()
}

fn clients(home: &Home) -> u64 {
    status(home).map_or(0, |status| status["clients"].as_u64().unwrap())
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn is_there(pid: i32) -> bool {
    // One that nobody has waited for is none.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
}

/// The program at a place in the home: its agents are known by its path.
fn own_program(home: &mut Home) -> PathBuf {
    let (built, program) = (tool("KEYFOB_BIN").unwrap(), home.path().join("keyfob"));
    if fs::hard_link(&built, &program).is_err() {
        fs::copy(&built, &program).unwrap();
    }
    home.use_program(&program);
    program
}

/// The agents of a program that run.
fn agents(program: &Path) -> BTreeSet<i32> {
    let begin = [program.as_os_str().as_encoded_bytes(), b"\0agent\0run\0"].concat();
    let runs =
        |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(&begin));
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(runs)
        .collect()
}

/// Starts `keyfob`; what it says is kept.
fn start(home: &Home, args: &[&str]) -> Child {
    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// As [`start`], without any terminal: what there is to be said about touches goes to stderr.
fn start_alone(home: &Home, args: &[&str]) -> Child {
    let keyfob = home.keyfob().unwrap();
    let mut alone = home.command("setsid");
    alone.arg(keyfob.get_program()).args(args);
    alone.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the line of stderr in which something is said.
#[track_caller]
fn says(child: &mut Child, what: &str) {
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap());
    let mut said = String::new();
    while !said.contains(what) {
        let before = said.len();
        lines.read_line(&mut said).unwrap();
        assert!(said.len() > before, "{what:?} was not said: {said}");
    }
}

#[track_caller]
fn succeeded(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

fn sockets(home: &Home) -> Vec<PathBuf> {
    let files = fs::read_dir(home.agent_folder()).into_iter().flatten();
    files
        .map(|file| file.unwrap().path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "sock"))
        .collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn one_agent_answers_a_crowd() {
    let mut home = home();
    let program = own_program(&mut home);
    assert!(status(&home).is_none() && agents(&program).is_empty());
    let crowd: Vec<_> = (0..20).map(|_| start(&home, &["code", "plain", "--at", "59"])).collect();
    for child in crowd {
        assert_eq!(succeeded(child), "287082\n");
    }
    let first = pid(&home);
    // Those that were too late to be it have ended.
    poll("one agent", || (agents(&program) == BTreeSet::from([first])).then_some(())).unwrap();
    assert_eq!(sockets(&home).len(), 1);
    let lock = sockets(&home)[0].with_extension("lock");
    assert_eq!(fs::read_to_string(&lock).unwrap(), format!("{first}\n"));
    home.succeed(&["agent", "start"], "").unwrap();
    assert_eq!(pid(&home), first);

    // Two that start at once are one.
    home.succeed(&["agent", "stop"], "").unwrap();
    poll("its end", || (!is_there(first)).then_some(())).unwrap();
    assert!(sockets(&home).is_empty());
    let mut two = [start(&home, &["agent", "run"]), start(&home, &["agent", "run"])];
    let ended = |child: &mut Child| child.try_wait().unwrap();
    let gone =
        poll("the second to give way", || two.iter_mut().position(|child| ended(child).is_some())).unwrap();
    assert!(ended(&mut two[gone]).unwrap().success());
    poll("the other to listen", || status(&home)).unwrap();
    let stayed = &mut two[1 - gone];
    assert_eq!(pid(&home), i32::try_from(stayed.id()).unwrap());
    home.succeed(&["agent", "stop"], "").unwrap();
    assert!(stayed.wait().unwrap().success());
}

#[test]
fn a_killed_agent_leaves_nothing_in_the_way() {
    let home = home();
    for _ in 0..3 {
        assert_eq!(home.succeed(&["code", "plain", "--at", "59"], "").unwrap(), "287082\n");
        let first = pid(&home);
        signal(first, Signal::KILL);
        poll("its end", || (!is_there(first)).then_some(())).unwrap();
        assert_eq!(sockets(&home).len(), 1, "it was left behind");
        assert!(status(&home).is_none());
        assert_eq!(home.succeed(&["code", "plain", "--at", "59"], "").unwrap(), "287082\n");
        assert_ne!(pid(&home), first);
    }
}

#[test]
fn killed_clients_leave_nothing_behind() {
    let (home, pcscd) = home_with_readers(&[YUBIKEY_READER]);
    let key = Key::new(1);
    let _card = key.insert(&pcscd, 0);
    home.succeed(&["oath", "add", "plain"], SECRET).unwrap();
    home.succeed(&["oath", "add", "touchy", "--touch", "--period", "600"], SECRET).unwrap();
    let agent = pid(&home);
    let threads = || fs::read_dir(format!("/proc/{agent}/task")).unwrap().count();
    // Its files are for those alone who may trace it.
    let files = || fs::read_dir(format!("/proc/{agent}/fd")).map_or(0, Iterator::count);
    poll("its clients to leave", || (clients(&home) == 0).then_some(())).unwrap();
    let before = (threads(), files());

    // Killed while the key blinks for it: the next one is told, and gets its own touch.
    let mut first = start(&home, &["code", "touchy"]);
    key.blinks(1);
    first.kill().unwrap();
    first.wait().unwrap();
    poll("its end to be noticed", || (clients(&home) == 0).then_some(())).unwrap();
    let mut second = start_alone(&home, &["code", "touchy"]);
    says(&mut second, "the key still blinks for a request that was cancelled: do not touch it");
    key.touch();
    key.blinks(2);
    assert!(second.try_wait().unwrap().is_none(), "the first one's touch bought something");
    key.touch();
    assert_eq!(succeeded(second).len(), 7);

    // Killed at any moment.
    for i in 0..100 {
        let mut child = start(&home, &["code", "plain"]);
        std::thread::sleep(Duration::from_micros(100 * (i % 50)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(home.succeed(&["code", "plain", "--at", "59"], "").unwrap(), "287082\n");
    poll("its clients to leave", || (clients(&home) == 0).then_some(())).unwrap();
    let after = poll("its threads to end", || Some((threads(), files())).filter(|after| *after <= before));
    after.unwrap_or_else(|_| panic!("{before:?}, then {:?}", (threads(), files())));
    assert_eq!((pid(&home), key.asked()), (agent, 2));
}

/// A process that is stopped; goes on when dropped, also where the test has failed.
struct Stopped(i32);

impl Stopped {
    fn new(pid: i32) -> Self {
        signal(pid, Signal::STOP);
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, Signal::CONT);
    }
}

#[test]
fn a_stopped_agent_is_done_without() {
    let home = home();
    home.succeed(&["code", "plain"], "").unwrap();
    let agent = pid(&home);
    let stopped = Stopped::new(agent);
    assert_eq!(home.succeed(&["code", "plain", "--at", "59"], "").unwrap(), "287082\n");
    drop(stopped);
    assert_eq!(home.succeed(&["code", "plain", "--at", "59"], "").unwrap(), "287082\n");
    assert_eq!(pid(&home), agent);
}

#[test]
fn an_agent_that_is_stopped_under_its_clients() {
    let (home, pcscd) = home_with_readers(&[YUBIKEY_READER]);
    let key = Key::new(1);
    let _card = key.insert(&pcscd, 0);
    home.succeed(&["oath", "add", "touchy", "--touch", "--period", "600"], SECRET).unwrap();
    let mut waits = start_alone(&home, &["code", "touchy"]);
    says(&mut waits, "Touch your key");
    let stopped = Stopped::new(pid(&home));
    // Nobody waits for ever.
    let output = waits.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.contains("the agent does not answer") && said.contains("--no-agent"), "{said}");
    // It goes on, and the touch that came late buys nothing.
    drop(stopped);
    poll("the key to be asked no more", || (clients(&home) == 0).then_some(())).unwrap();
    let mut again = start_alone(&home, &["code", "touchy"]);
    says(&mut again, "Touch your key");
    // A touch takes as long as a person wants.
    std::thread::sleep(std::time::Duration::from_secs(6));
    assert!(again.try_wait().unwrap().is_none());
    key.touch();
    succeeded(again);
}

#[test]
fn an_agent_that_is_killed_under_its_clients() {
    let (home, pcscd) = home_with_readers(&[YUBIKEY_READER]);
    let key = Key::new(1);
    let _card = key.insert(&pcscd, 0);
    home.succeed(&["oath", "add", "plain"], SECRET).unwrap();
    home.succeed(&["oath", "add", "touchy", "--touch", "--period", "600"], SECRET).unwrap();
    let agent = pid(&home);
    let touchy = start(&home, &["code", "touchy"]);
    key.blinks(1);
    let mut reads = start_alone(&home, &["code", "plain", "--at", "59"]);
    says(&mut reads, "the key waits for a touch for ");
    let mut writes = start_alone(&home, &["oath", "rename", "plain", "other"]);
    says(&mut writes, "the key waits for a touch for ");
    signal(agent, Signal::KILL);
    // A touch is not asked for twice, nor is anything written that might have been written.
    for child in [touchy, writes] {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains("the agent ended before it answered"), "{output:?}");
    }
    // The key gives the agent's touch up.
    key.touch();
    assert_eq!(succeeded(reads), "287082\n");
    assert_ne!(pid(&home), agent);
    let names = home.succeed(&["oath", "list"], "").unwrap();
    assert!(names.contains("plain") && !names.contains("other"), "{names}");
    assert_eq!(key.asked(), 1);
}

#[test]
fn it_is_ended_and_locked_while_the_key_blinks() {
    let (home, pcscd) = home_with_readers(&[YUBIKEY_READER]);
    let key = Key::new(1);
    let _card = key.insert(&pcscd, 0);
    let mut agent = start(&home, &["agent", "run"]);
    poll("the agent", || status(&home)).unwrap();
    home.succeed(&["oath", "add", "touchy", "--touch", "--period", "600"], SECRET).unwrap();
    let cancelled = |child: Child| {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains("the keys were locked meanwhile"), "{output:?}");
    };
    // Whoever waits is told at once; the key blinks on.
    let waits = start(&home, &["code", "touchy"]);
    key.blinks(1);
    let lock = start(&home, &["lock"]);
    cancelled(waits);
    key.touch();
    succeeded(lock);
    let waits = start(&home, &["code", "touchy"]);
    key.blinks(2);
    home.succeed(&["agent", "stop"], "").unwrap();
    cancelled(waits);
    assert!(poll("its end", || agent.try_wait().unwrap()).unwrap().success());
    assert!(sockets(&home).is_empty());
    key.touch();
    let next = start(&home, &["code", "touchy"]);
    key.blinks(3);
    key.touch();
    succeeded(next);
}

#[test]
fn equal_questions_cost_one_touch() {
    let (home, pcscd) = home_with_readers(&[YUBIKEY_READER]);
    let key = Key::new(1);
    let _card = key.insert(&pcscd, 0);
    home.succeed(&["oath", "add", "touchy", "--touch", "--period", "600"], SECRET).unwrap();
    home.succeed(&["oath", "add", "other", "--touch", "--period", "600"], SECRET).unwrap();
    home.succeed(&["oath", "add", "counter", "--hotp"], SECRET).unwrap();

    let mut storm: Vec<_> = (0..50).map(|_| start_alone(&home, &["code", "touchy"])).collect();
    for child in &mut storm {
        says(child, "Touch your key");
    }
    // Another question waits for its own.
    let mut other = start_alone(&home, &["code", "other"]);
    says(&mut other, "the key waits for a touch for ");
    key.blinks(1);
    key.touch();
    poll("all to be answered", || {
        storm.iter_mut().all(|child| child.try_wait().unwrap().is_some()).then_some(())
    })
    .unwrap();
    let codes: BTreeSet<_> = storm.into_iter().map(succeeded).collect();
    assert_eq!(codes.len(), 1, "{codes:?}");
    key.blinks(2);
    key.touch();
    succeeded(other);
    assert_eq!(key.asked(), 2);

    // RFC 4226, appendix D: each gets its own.
    let counter: Vec<_> = (0..5).map(|_| start(&home, &["code", "counter"])).collect();
    let codes: BTreeSet<_> = counter.into_iter().map(succeeded).collect();
    let expected = ["755224\n", "287082\n", "359152\n", "969429\n", "338314\n"].map(str::to_owned);
    assert_eq!(codes, expected.into());
}

#[test]
fn a_touch_after_a_cancel_buys_nothing() {
    let (home, pcscd) = home_with_readers(&[YUBIKEY_READER]);
    let key = Key::new(1);
    let _card = key.insert(&pcscd, 0);
    home.succeed(&["oath", "add", AWS, "--touch", "--period", "600"], SECRET).unwrap();
    let mut host = Host::start(&home).unwrap();
    // Both come, in whatever order.
    #[track_caller]
    fn next(host: &mut Host, expected: &[(&str, &str)]) {
        let summary = |message: Value| {
            let what = [&message["event"]["name"], &message["error"]["code"], &message["answer"]["name"]];
            let what = what.iter().find_map(|what| what.as_str()).unwrap_or_default();
            (message["id"].as_str().unwrap().to_owned(), what.to_owned())
        };
        let got: BTreeSet<_> = expected.iter().map(|_| summary(host.receive().unwrap())).collect();
        assert_eq!(got, expected.iter().map(|(id, what)| ((*id).to_owned(), (*what).to_owned())).collect());
    }
    // Nobody is asked to touch for a code that runs out at once.
    poll("time enough in this step", || (now() % 600 < 592).then_some(())).unwrap();
    let code = json!({ "name": "code", "account": AWS });
    host.send("a", &code).unwrap();
    next(&mut host, &[("a", "touch-required")]);
    key.blinks(1);
    host.send("cancel", &json!({ "name": "cancel", "request": "a" })).unwrap();
    next(&mut host, &[("a", "cancelled"), ("cancel", "withdrawn")]);
    host.send("b", &code).unwrap();
    next(&mut host, &[("b", "waiting")]);
    key.touch();
    next(&mut host, &[("b", "touch-required")]);
    key.blinks(2);
    key.touch();
    next(&mut host, &[("b", "code")]);
    // What waits is taken back as well, and no touch is asked for it.
    host.send("c", &code).unwrap();
    next(&mut host, &[("c", "touch-required")]);
    host.send("d", &json!({ "name": "code", "account": AWS, "purpose": "elsewhere" })).unwrap();
    next(&mut host, &[("d", "waiting")]);
    host.send("cancel", &json!({ "name": "cancel", "request": "d" })).unwrap();
    next(&mut host, &[("d", "cancelled"), ("cancel", "withdrawn")]);
    key.touch();
    next(&mut host, &[("c", "code")]);
    assert_eq!(key.asked(), 3);
}

#[test]
fn what_one_unlocks_is_unlocked_for_all_until_it_is_locked() {
    let (mut home, pcscd) = home_with_readers(&[YUBIKEY_READER]);
    let program = own_program(&mut home);
    let mut agent = start(&home, &["agent", "run", "--idle", "2s"]);
    poll("the agent", || status(&home)).unwrap();
    let (key, other) = (Key::new(1), Key::new(2));
    let card = key.insert(&pcscd, 0);
    home.succeed(&["oath", "add", AWS], SECRET).unwrap();
    home.succeed(&["oath", "access", "change"], "correct horse\n").unwrap();
    // Whoever has set it need not give it; nor need others.
    let mut host = Host::start(&home).unwrap();
    let accounts = json!({ "name": "accounts" });
    let is_open = |host: &mut Host| match host.ask(&accounts).unwrap() {
        reply if reply["type"] == "done" => true,
        reply if reply["error"]["code"] == "locked" => false,
        reply => panic!("{reply}"),
    };
    let unlock = |host: &mut Host| {
        let reply = host.ask(&json!({ "name": "unlock", "password": "correct horse" })).unwrap();
        assert_eq!(reply["answer"]["name"], "unlocked", "{reply}");
    };
    assert!(is_open(&mut host));
    // Each process for itself knows nothing of it.
    let alone = home.run(&["--no-agent", "oath", "list"], "").unwrap();
    assert_eq!(alone.status.code(), Some(5), "{alone:?}");

    home.succeed(&["lock"], "").unwrap();
    assert!(!is_open(&mut host));
    let locked = home.run(&["oath", "list"], "").unwrap();
    assert_eq!(locked.status.code(), Some(5), "{locked:?}");
    unlock(&mut host);
    assert!(home.succeed(&["oath", "list"], "").unwrap().contains(AWS));

    // Taken out, and another one put in its place for a while.
    drop(card);
    let card = other.insert(&pcscd, 0);
    assert!(is_open(&mut host), "another card's password");
    drop(card);
    let card = key.insert(&pcscd, 0);
    assert!(!is_open(&mut host));
    unlock(&mut host);
    // Taken out and put back at once.
    drop(card);
    let _card = key.insert(&pcscd, 0);
    assert!(!is_open(&mut host));
    unlock(&mut host);

    // Left alone for longer than it may be.
    std::thread::sleep(Duration::from_millis(4500));
    assert!(!is_open(&mut host));
    assert_eq!(agents(&program).len(), 1, "as long as somebody is connected it stays");
    drop(host);
    poll("its end", || agent.try_wait().unwrap()).unwrap();
    assert!(agents(&program).is_empty() && sockets(&home).is_empty());
}

#[test]
fn a_code_that_was_submitted_is_known_to_all() {
    let home = home();
    home.succeed(&["oath", "add", AWS, "--period", "5"], SECRET).unwrap();
    home.succeed(&["oath", "add", OTHER_AWS, "--period", "5"], SECRET).unwrap();
    let mut host = Host::start(&home).unwrap();
    let code = |args: &[&str]| -> Value {
        let printed = home.succeed(&[&["--json", "code"], args].concat(), "").unwrap();
        serde_json::from_str::<Value>(&printed).unwrap()["code"].clone()
    };
    let from = |code: &Value| code["valid_from"].as_u64().unwrap();
    // Once more where a step ends meanwhile.
    let (step, by_host, by_all) = poll("a step that lasts", || {
        let first = code(&[AWS]);
        let submitted = json!({ "name": "submitted", "account": AWS, "valid_from": first["valid_from"] });
        assert_eq!(host.ask(&submitted).unwrap()["answer"]["name"], "noted");
        let by_host = host.ask(&json!({ "name": "code", "account": AWS })).unwrap()["answer"]["code"].clone();
        let by_all = host.ask(&json!({ "name": "accounts", "codes": true })).unwrap()["answer"].clone();
        let again = code(&[AWS]);
        (from(&again) == from(&first)).then(|| {
            assert_eq!(again["submitted"], true, "{again}");
            (from(&first), by_host, by_all)
        })
    })
    .unwrap();
    assert_eq!((from(&by_host), &by_host["submitted"]), (step, &json!(true)));
    for account in by_all["accounts"].as_array().unwrap() {
        let is_submitted = account["code"]["submitted"] == true;
        assert_eq!(is_submitted, account["name"] == AWS, "{account}");
    }
    // The next one is waited for; of an account that has submitted none there is nothing to wait for.
    assert!(from(&code(&["--fresh", OTHER_AWS])) >= step);
    let fresh = code(&["--fresh", AWS]);
    assert!(from(&fresh) > step && fresh["submitted"] != true, "{step}: {fresh}");
}

#[test]
fn a_program_that_was_replaced_is_started_anew() {
    let mut home = home();
    let program = own_program(&mut home);
    home.succeed(&["oath", "add", AWS], SECRET).unwrap();
    let mut host = Host::start(&home).unwrap();
    let hosts_code = |host: &mut Host| host.ask(&json!({ "name": "code", "account": AWS })).unwrap();
    assert_eq!(hosts_code(&mut host)["type"], "done");
    let old = pid(&home);
    // As package managers do it.
    let new = home.path().join("keyfob.new");
    fs::copy(&program, &new).unwrap();
    fs::rename(&new, &program).unwrap();
    assert_eq!(home.succeed(&["code", "plain", "--at", "59"], "").unwrap(), "287082\n");
    let agent = pid(&home);
    assert_ne!(agent, old);
    // Whoever was connected is served on, and by and by all by the new one.
    assert_eq!(hosts_code(&mut host)["type"], "done");
    poll("the old one's end", || (agents(&program) == BTreeSet::from([agent])).then_some(())).unwrap();
    assert_eq!(hosts_code(&mut host)["type"], "done");
    // Also when there is none left to be found.
    signal(agent, Signal::KILL);
    poll("its end", || (!is_there(agent)).then_some(())).unwrap();
    assert_eq!(hosts_code(&mut host)["type"], "done");
    assert_eq!(agents(&program).len(), 1);
}

#[test]
fn the_key_that_has_an_account_is_found() {
    let (mut home, pcscd) = home_with_readers(&[YUBIKEY_READER, "Other Maker Reader"]);
    let keys = [Key::new(11_111_111), Key::new(22_222_222)];
    let _cards = [keys[0].insert(&pcscd, 0), keys[1].insert(&pcscd, 1)];
    fs::create_dir_all(home.path().join(".config/keyfob")).unwrap();
    home.write(".config/keyfob/config.toml", "[keys]\nwork = \"11111111\"\nbackup = \"22222222\"\n").unwrap();
    home.succeed(&["--key", "work", "oath", "add", "first"], SECRET).unwrap();
    home.succeed(&["--key", "backup", "oath", "add", "second"], SECRET).unwrap();
    for key in ["work", "22222222"] {
        home.succeed(&["--key", key, "oath", "add", "both"], SECRET).unwrap();
    }
    for way in [&[][..], &["--no-agent"]] {
        let run = |args: &[&str]| home.run(&[way, args].concat(), "").unwrap();
        for (args, exit, stdout) in [
            (&["code", "first", "--at", "59"][..], 0, "287082\n"),
            (&["code", "second", "--at", "59"], 0, "287082\n"),
            (&["code", "sec", "--at", "59"], 0, "287082\n"),
            (&["code", "nowhere"], 7, ""),
            (&["code", "both", "--at", "59"], 4, ""),
            (&["--key", "backup", "code", "both", "--at", "59"], 0, "287082\n"),
            (&["--key", "backup", "code", "first", "--at", "59"], 7, ""),
        ] {
            let output = run(args);
            assert_eq!(
                (output.status.code(), text(&output.stdout).as_str()),
                (Some(exit), stdout),
                "{output:?}"
            );
        }
        let output = run(&["--json", "code", "both"]);
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["candidates"], json!(["11111111", "22222222"]), "{error}");
    }
    // On one that is locked it may be: its password is asked for, by the name of its reader.
    home.succeed(&["--key", "backup", "oath", "access", "change"], "correct horse\n").unwrap();
    home.succeed(&["lock"], "").unwrap();
    assert_eq!(home.succeed(&["code", "first", "--at", "59"], "").unwrap(), "287082\n");
    let mut second = home.keyfob().unwrap();
    second.args(["code", "second", "--at", "59"]);
    let asked = terminal::run(&second, &[("Other Maker Reader", "correct horse")]).unwrap();
    assert_eq!(text(&asked.output.stdout), "287082\n", "{}", asked.screen);
    home.set("KEYFOB_KEY", "backup");
    assert_eq!(home.succeed(&["code", "both", "--at", "59"], "").unwrap(), "287082\n");
}

/// A program of the same user's that tries what a debugger does, given a process that it may and one that it may not.
const INTRUDER: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
ATTACH, DETACH = 16, 17
def tries(pid):
    got = []
    for name in ("mem", "environ", "maps"):
        try:
            open(f"/proc/{pid}/{name}", "rb").read(1 if name != "mem" else 0)
            got.append(name)
        except PermissionError:
            pass
    if libc.ptrace(ATTACH, int(pid), 0, 0) == 0:
        os.waitpid(int(pid), 0)
        libc.ptrace(DETACH, int(pid), 0, 0)
        got.append("ptrace")
    return got
# A child may be traced, however careful the system is.
child = os.fork()
if child == 0:
    import time
    time.sleep(100)
try:
    print(tries(child), tries(sys.argv[1]))
finally:
    os.kill(child, 9)
"#;

#[test]
fn others_of_the_same_user_cannot_look_into_it() {
    let home = home();
    // It is given away with the home.
    let program = home.path().join("keyfob");
    fs::copy(tool("KEYFOB_BIN").unwrap(), &program).unwrap();
    let nobody = 65534;
    let root = rustix::process::geteuid().is_root();
    if root {
        // Root may trace anybody: so it is to be nobody's.
        let mut chown = Command::new("chown");
        assert!(chown.args(["-R", &nobody.to_string()]).arg(home.path()).status().unwrap().success());
    }
    let as_user = |program: &Path| -> Command {
        if !root {
            return home.command(program);
        }
        let mut command = home.command("setpriv");
        command.args([&format!("--reuid={nobody}"), &format!("--regid={nobody}"), "--clear-groups", "--"]);
        command.arg(program);
        command
    };
    let keyfob = |args: &[&str]| -> Output {
        let mut command = as_user(&program);
        command.args(args).env("KEYFOB_MARKER", "MARKER").stdin(Stdio::null()).output().unwrap()
    };
    let code = keyfob(&["code", "plain", "--at", "59"]);
    assert_eq!(text(&code.stdout), "287082\n", "{code:?}");
    let status: Value = serde_json::from_slice(&keyfob(&["--json", "agent", "status"]).stdout).unwrap();
    let agent = status["pid"].to_string();
    let python = fs::canonicalize(tool("KEYFOB_PYTHON").unwrap()).unwrap();
    let mut intruder = as_user(&python);
    let output = intruder.args(["-I", "-c", INTRUDER, &agent]).output().unwrap();
    assert_eq!(text(&output.stdout), "['mem', 'environ', 'maps', 'ptrace'] []\n", "{output:?}");
    // What those may read who may read all.
    if root {
        let environ = text(&fs::read(format!("/proc/{agent}/environ")).unwrap());
        assert!(environ.contains("HOME="), "{environ}");
        assert!(!environ.contains("MARKER") && !environ.contains("PASSPHRASE"), "{environ}");
    }
    let line = text(&fs::read(format!("/proc/{agent}/cmdline")).unwrap());
    assert_eq!(line, format!("{}\0agent\0run\0", program.display()));
    let limits = fs::read_to_string(format!("/proc/{agent}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    // Another user, be it root, is no client.
    if root {
        let mut stranger = UnixStream::connect(&sockets(&home)[0]).unwrap();
        let _ = stranger.write_all(&framed(br#"{"v":1,"purpose":"status"}"#));
        let mut answer = Vec::new();
        let _ = stranger.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{answer:?}");
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&home.agent_folder()), 0o700);
    assert_eq!(mode(&sockets(&home)[0].with_extension("lock")), 0o600);
    let stopped = keyfob(&["agent", "stop"]);
    assert!(stopped.status.success(), "{stopped:?}");
    // It has let its socket go; its process ends a moment later.
    poll("the agent to end", || agents(&program).is_empty().then_some(())).unwrap();

    // A folder that others may write into is none for it: each process holds the key for itself.
    fs::set_permissions(home.agent_folder(), fs::Permissions::from_mode(0o770)).unwrap();
    let code = keyfob(&["code", "plain", "--at", "59"]);
    assert_eq!(text(&code.stdout), "287082\n", "{code:?}");
    assert_eq!(keyfob(&["agent", "status"]).status.code(), Some(7));
    let start = keyfob(&["agent", "start"]);
    assert!(text(&start.stderr).contains("there is no folder for the agent's socket"), "{start:?}");
    assert!(agents(&program).is_empty());
}

/// One message out of a socket.
fn message(stream: &mut impl std::io::Read) -> String {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::try_from(u32::from_ne_bytes(length)).unwrap()];
    stream.read_exact(&mut message).unwrap();
    text(&message)
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u32::try_from(message.len()).unwrap().to_ne_bytes()[..], message].concat()
}

/// The most that a process has ever had in memory, in KiB.
fn peak_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[test]
fn hostile_input_costs_little_and_breaks_nothing() {
    let (home, pcscd) = home_with_readers(&[YUBIKEY_READER]);
    let _card = Key::new(1).insert(&pcscd, 0);
    home.succeed(&["oath", "add", "plain"], SECRET).unwrap();
    let agent = pid(&home);
    let before = peak_memory(agent);
    let socket = sockets(&home).remove(0);
    let connect = || UnixStream::connect(&socket).unwrap();
    let answer = |bytes: &[u8]| {
        let mut stream = connect();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        // It may break off.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let mut random = Random::new(1);
    for _ in 0..200 {
        let n = random.below(64);
        let bytes = random.bytes(n);
        answer(&bytes);
        assert!(!answer(&framed(&bytes)).contains("welcome"));
    }
    for message in [
        &b""[..],
        b"null",
        br#"{"v":1}"#,
        br#"{"v":1,"purpose":{"ask":{}}}"#,
        br#"{"v":1,"purpose":"steal"}"#,
        &vec![b'['; 1 << 20],
        &vec![b'"'; 2 << 20],
    ] {
        let answer = answer(&framed(message));
        assert!(answer.is_empty() || answer.contains("unsupported-version"), "{answer}");
    }
    assert!(answer(&framed(br#"{"v":1,"purpose":"status"}"#)).contains(&format!("\"pid\":{agent}")));
    // Lengths that nothing follows, and frames that end in the middle.
    let crowd: Vec<_> = (0..900)
        .map(|i| {
            let mut stream = connect();
            match i % 4 {
                0 => {}
                1 => stream.write_all(&u32::to_ne_bytes(1 << 20)).unwrap(),
                2 => stream.write_all(&u32::to_ne_bytes(64 << 20)).unwrap(),
                _ => stream.write_all(&framed(b"{\"v\":1,\"purpose\":")).unwrap(),
            }
            stream
        })
        .collect();
    // Meanwhile others are served.
    assert_eq!(home.succeed(&["code", "plain", "--at", "59"], "").unwrap(), "287082\n");
    assert!(clients(&home) > 500, "the crowd was not there");
    // More than it takes: whoever comes then is none of its, and told no lies about it.
    let more: Vec<_> = (0..600).map_while(|_| UnixStream::connect(&socket).ok()).collect();
    if more.len() == 600 {
        poll("the crowd to be full", || {
            (home.run(&["agent", "status"], "").unwrap().status.code() == Some(1)).then_some(())
        })
        .unwrap();
        assert_eq!(home.succeed(&["code", "plain", "--at", "59"], "").unwrap(), "287082\n");
    }
    drop(more);
    // They are shown the door, all at once.
    let mut silent = &crowd[0];
    silent.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0);
    poll("them to be gone", || (clients(&home) == 0).then_some(())).unwrap();
    drop(crowd);

    // Well-behaved ones, many and idle.
    let client = Client::new(Caller::CommandLine, Config::default(), |_| None);
    let opening = framed(json!({ "v": 1, "purpose": { "ask": client } }).to_string().as_bytes());
    let hello = framed(br#"{"v":1,"id":"a","op":{"name":"hello"}}"#);
    let mut guests: Vec<_> = (0..300).map(|_| connect()).collect();
    for guest in &mut guests {
        guest.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        guest.write_all(&[&opening[..], &hello].concat()).unwrap();
    }
    for guest in &mut guests {
        assert!(message(guest).contains("welcome"));
        assert!(message(guest).contains("protocol"));
    }
    assert_eq!(clients(&home), 300);
    // One that asks on and never reads is left; the others are not.
    let mut flood = &guests[0];
    // As long as it is read it waits for nothing.
    flood.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    assert!((0..1_000_000).any(|_| flood.write_all(&hello).is_err()), "it was read on and on");
    let mut last = &guests[299];
    last.write_all(&hello).unwrap();
    assert!(message(&mut last).contains("protocol"));
    drop(guests);
    assert_eq!(home.succeed(&["code", "plain", "--at", "59"], "").unwrap(), "287082\n");
    assert_eq!(pid(&home), agent);
    let after = peak_memory(agent);
    println!("the agent's peak: {before} KiB, then {after} KiB");
    assert!(after < 96 << 10, "{after} KiB");
}

#[test]
fn all_is_the_same_without_it() {
    /// Exit code, stdout, stderr.
    type Said = (Option<i32>, String, String);
    fn session(agent: bool) -> Vec<Said> {
        let mut home = home();
        if !agent {
            home.set("KEYFOB_NO_AGENT", "1");
        }
        let said = |home: &Home, args: &[&str], input: &str| -> Said {
            let output = home.run(args, input).unwrap();
            (output.status.code(), text(&output.stdout), text(&output.stderr))
        };
        let mut all = vec![
            said(&home, &["oath", "add", AWS, "--touch"], SECRET),
            said(&home, &["oath", "add", AWS], SECRET),
            said(&home, &["oath", "add", "counter", "--hotp"], SECRET),
            said(&home, &["code", "counter"], ""),
            said(&home, &["code", "counter"], ""),
            said(&home, &["code", "plain", "--at", "59"], ""),
            said(&home, &["--json", "code", "plain", "--at", "59"], ""),
            said(&home, &["info"], ""),
            said(&home, &["oath", "list"], ""),
            said(&home, &["code", "nobody"], ""),
            said(&home, &["oath", "rename", "plain", "simple"], ""),
            said(&home, &["oath", "verify", "simple", "287082", "--at", "59"], ""),
            said(&home, &["oath", "verify", "simple", "287083", "--at", "59"], ""),
            said(&home, &["oath", "hmac", "simple", "0000000000000001"], ""),
            said(&home, &["oath", "delete", "--force", "counter"], ""),
            said(&home, &["--key", "soft:none", "code", "x"], ""),
        ];
        home.set("KEYFOB_SOFT_TOUCH", "never");
        all.push(said(&home, &["--json", "code", AWS, "--at", "59"], ""));
        home.set("KEYFOB_SOFT_TOUCH", "200");
        all.push(said(&home, &["--json", "code", AWS, "--at", "59"], ""));
        all.push(said(&home, &["oath", "access", "change"], "correct horse\n"));
        all.push(said(&home, &["lock", "--quiet"], ""));
        all.push(said(&home, &["oath", "list"], ""));
        all.push(said(&home, &["oath", "reset", "--force"], ""));
        assert_eq!(status(&home).is_some(), agent);
        all
    }
    let (with, without) = (session(true), session(false));
    for (with, without) in with.iter().zip(&without) {
        assert_eq!(with, without);
    }
    let exits: Vec<_> = with.iter().filter_map(|(exit, ..)| *exit).collect();
    assert_eq!(exits, [0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 7, 0, 0, 7, 6, 0, 0, 0, 5, 0]);
}

/// A lock that a script holds while it runs its commands is free when it has ended, though the agent goes on.
#[test]
fn it_keeps_no_file_of_who_started_it() {
    let home = home();
    let mut script = home.command("sh");
    script.args(["-c", r#"exec 9>held; flock 9; "$0" code plain --at 59"#]).arg(tool("KEYFOB_BIN").unwrap());
    assert_eq!(text(&script.output().unwrap().stdout), "287082\n");
    pid(&home);
    let free = home.command("flock").args(["--nonblock", "held", "true"]).status().unwrap();
    assert!(free.success());
}

#[test]
fn it_ends_with_its_folder() {
    let mut home = home();
    let program = own_program(&mut home);
    home.succeed(&["code", "plain"], "").unwrap();
    let first = pid(&home);
    fs::remove_dir_all(home.agent_folder()).unwrap();
    poll("its end", || (!is_there(first)).then_some(())).unwrap();
    assert_eq!(home.succeed(&["code", "plain", "--at", "59"], "").unwrap(), "287082\n");
    assert_eq!(agents(&program).len(), 1);
}
