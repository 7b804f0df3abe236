//! Sessions that the agent keeps, over its socket: many ask, one makes, and all get what it has made.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keyfob::client::Client;
use keyfob::config::Config;
use keyfob::policy::Caller;
use keyfob_tests::home::Home;
use keyfob_tests::host::Host;
use keyfob_tests::poll;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A front end's connection to the agent.
struct Front(UnixStream);

impl Front {
    fn new(home: &Home) -> Self {
        let socket = fs::read_dir(home.agent_folder())
            .unwrap()
            .map(|file| file.unwrap().path())
            .find(|file| file.extension().is_some_and(|extension| extension == "sock"))
            .unwrap();
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let client = Client::new(Caller::CommandLine, Config::default(), |_| None);
        let mut front = Self(stream);
        front.write(&json!({ "v": 1, "purpose": { "ask": client } }));
        assert_eq!(front.read(), "welcome");
        front
    }

    fn write(&mut self, message: &Value) {
        let message = message.to_string();
        let length = u32::try_from(message.len()).unwrap().to_ne_bytes();
        self.0.write_all(&[&length[..], message.as_bytes()].concat()).unwrap();
    }

    fn read(&mut self) -> Value {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut message = vec![0; usize::try_from(u32::from_ne_bytes(length)).unwrap()];
        self.0.read_exact(&mut message).unwrap();
        serde_json::from_slice(&message).unwrap()
    }

    fn send(&mut self, op: &Value) {
        self.write(&json!({ "v": 1, "id": "a", "op": op }));
    }

    /// What is answered, past what is only told.
    fn answer(&mut self) -> Value {
        loop {
            let mut reply = self.read();
            match reply["type"].as_str().unwrap() {
                "done" => return reply["answer"].take(),
                "failed" => return reply["error"].take(),
                _ => assert_eq!(reply["event"]["name"], "waiting"),
            }
        }
    }

    fn ask(&mut self, op: &Value) -> Value {
        self.send(op);
        self.answer()
    }

    /// Keeps a session under a lease.
    fn keep(&mut self, lease: &Value, id: &str, seconds: u64) {
        let noted = self.ask(&json!({ "name": "keep-session", "lease": lease, "session": {
            "access_key_id": id, "secret_access_key": "of a test", "session_token": "token",
            "expires_at": now() + seconds } }));
        assert_eq!(noted["name"], "noted", "{noted}");
    }

    /// Makes a session for a profile.
    fn make(&mut self, digit: &str, profile: &str, id: &str, seconds: u64) {
        let answer = self.ask(&take(digit, profile));
        assert_eq!(answer["name"], "make-session", "{answer}");
        self.keep(&answer["lease"], id, seconds);
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn take(digit: &str, profile: &str) -> Value {
    json!({ "name": "take-session", "question": digit.repeat(64), "lasting": 0,
        "label": { "profile": profile, "of": "AKIAIOSFODNN7EXAMPLE", "made_by": "GetSessionToken" } })
}

fn started() -> Home {
    let home = Home::new().unwrap();
    home.succeed(&["agent", "start"], "").unwrap();
    home
}

fn list(home: &Home) -> Vec<Value> {
    serde_json::from_str(&home.succeed(&["--json", "sessions", "list"], "").unwrap()).unwrap()
}

fn runs(home: &Home) -> bool {
    home.run(&["agent", "status"], "").unwrap().status.success()
}

#[test]
fn of_a_crowd_one_makes_it_and_all_get_it() {
    let home = started();
    let mut crowd: Vec<_> = (0..20).map(|_| Front::new(&home)).collect();
    crowd.iter_mut().for_each(|front| front.send(&take("1", "dev")));
    // Each hears at once whether it makes it or waits.
    let heard: Vec<_> = crowd.iter_mut().map(Front::read).collect();
    let makers: Vec<_> = (0..20).filter(|i| heard[*i]["answer"]["name"] == "make-session").collect();
    assert_eq!(makers.len(), 1, "{heard:?}");
    assert_eq!(heard.iter().filter(|reply| reply["event"]["name"] == "waiting").count(), 19, "{heard:?}");
    // It goes away without a word, and one of the others makes it.
    drop(crowd.remove(makers[0]));
    let (found, answers) = std::sync::mpsc::channel();
    let waiting: Vec<_> = crowd
        .into_iter()
        .map(|mut front| {
            let found = found.clone();
            std::thread::spawn(move || {
                let answer = front.answer();
                if answer["name"] == "make-session" {
                    front.keep(&answer["lease"], "ASIA1", 3600);
                }
                found.send(answer).unwrap();
            })
        })
        .collect();
    waiting.into_iter().for_each(|thread| thread.join().unwrap());
    drop(found);
    let answers: Vec<Value> = answers.iter().collect();
    let got = answers.iter().filter(|answer| answer["session"]["access_key_id"] == "ASIA1").count();
    assert_eq!((answers.len(), got), (19, 18), "{answers:?}");
    assert_eq!(Front::new(&home).ask(&take("1", "ci"))["session"]["session_token"], "token");
}

#[test]
fn sessions_are_listed_and_forgotten() {
    let home = started();
    assert!(list(&home).is_empty());
    let mut front = Front::new(&home);
    front.make("1", "dev", "ASIA1", 7200);
    front.make("2", "prod", "ASIA2", 3600);
    let printed = list(&home);
    assert_eq!(printed.iter().map(|kept| &kept["access_key_id"]).collect::<Vec<_>>(), ["ASIA2", "ASIA1"]);
    let text = home.succeed(&["sessions", "list"], "").unwrap();
    assert!(text.starts_with("prod") && text.contains("GetSessionToken"), "{text}");
    assert!(!text.contains("of a test") && !text.contains("token\n"), "{text}");
    // One unknown name, and nothing is forgotten.
    let unknown = home.run(&["sessions", "clear", "dev", "test"], "").unwrap();
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert_eq!(unknown.status.code(), Some(7), "{said}");
    assert!(said.contains("\"test\"") && said.contains("  dev\n  prod\n"), "{said}");
    assert_eq!(list(&home).len(), 2);
    assert_eq!(home.succeed(&["--json", "sessions", "clear", "dev"], "").unwrap(), "{\"cleared\":1}\n");
    assert_eq!(list(&home).len(), 1);
    home.succeed(&["lock"], "").unwrap();
    assert!(list(&home).is_empty());
    front.make("2", "prod", "ASIA3", 3600);
    home.succeed(&["sessions", "clear"], "").unwrap();
    assert!(list(&home).is_empty());
}

#[test]
fn where_no_agent_runs_nothing_is_kept_and_none_is_started() {
    let home = Home::new().unwrap();
    assert!(list(&home).is_empty());
    assert_eq!(home.succeed(&["--json", "sessions", "clear"], "").unwrap(), "{\"cleared\":0}\n");
    let unknown = home.run(&["sessions", "clear", "dev"], "").unwrap();
    assert_eq!(unknown.status.code(), Some(7), "{unknown:?}");
    assert!(!runs(&home));
}

#[test]
fn an_agent_stays_for_as_long_as_it_keeps_a_session() {
    let home = Home::new().unwrap();
    let mut agent = home.keyfob().unwrap().args(["agent", "run", "--idle", "1"]).spawn().unwrap();
    poll("the agent", || runs(&home).then_some(())).unwrap();
    Front::new(&home).make("1", "dev", "ASIA1", 4);
    let made = now();
    assert!(poll("its end", || agent.try_wait().unwrap()).unwrap().success());
    assert!(now() >= made + 3, "it ended while it kept a session");
}

#[test]
fn a_browser_gets_no_sessions() {
    let home = started();
    Front::new(&home).make("1", "dev", "ASIA1", 3600);
    let mut host = Host::start(&home).unwrap();
    for op in [take("1", "dev"), json!({ "name": "sessions" }), json!({ "name": "clear-sessions" })] {
        host.send("a", &op).unwrap();
        assert_eq!(host.receive().unwrap()["error"]["code"], "forbidden");
    }
    assert_eq!(list(&home).len(), 1);
}

#[test]
fn a_stopped_agent_is_not_said_to_keep_nothing() {
    let home = started();
    Front::new(&home).make("1", "dev", "ASIA1", 3600);
    let status: Value =
        serde_json::from_str(&home.succeed(&["--json", "agent", "status"], "").unwrap()).unwrap();
    let pid = i32::try_from(status["pid"].as_i64().unwrap()).unwrap();
    let signal = |signal| kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    signal(Signal::STOP);
    let outputs = ["list", "clear"].map(|what| home.run(&["sessions", what], ""));
    signal(Signal::CONT);
    for output in outputs {
        let output = output.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("the agent does not answer"), "{said}");
    }
    assert_eq!(list(&home).len(), 1);
}
