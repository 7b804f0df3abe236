//! `keyfob serve`: the endpoint that SDKs ask as they ask a container's, with real clients and with hostile ones.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use keyfob_tests::home::{Home, told};
use keyfob_tests::http::{self, Answer};
use keyfob_tests::stand_in::StandIn;
use keyfob_tests::{poll, sdk_client, tool};
use serde_json::Value;

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const BOTO3: &str = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])";

struct Fixture {
    server: StandIn,
    home: Home,
}

fn fixture() -> Fixture {
    let server = StandIn::start(|world| {
        world.user("alice").device("alice", SECRET);
        world.role("ops").needs_mfa();
        world.role("deploy");
    })
    .unwrap();
    let mut home = Home::with_software_key().unwrap();
    server.configure(&mut home);
    server.put_on_key(&home, "alice").unwrap();
    fs::create_dir(home.path().join(".aws")).unwrap();
    let config = format!(
        "[profile alice]\nkeyfob_access_key_id = {}\n\
         [profile ops]\nrole_arn = {}\nsource_profile = alice\nmfa_serial = {}\n\
         [profile deploy]\nrole_arn = {}\nsource_profile = alice\n",
        server.key("alice").unwrap().id,
        StandIn::role_arn("ops"),
        StandIn::serial("alice"),
        StandIn::role_arn("deploy"),
    );
    home.write(".aws/config", &config).unwrap();
    Fixture { server, home }
}

/// A server in the background; ended when dropped.
struct Serving {
    child: Child,
    uri: String,
    token_file: PathBuf,
    token: String,
}

impl Serving {
    fn start(home: &Home, args: &[&str]) -> Self {
        Self::of("ops", home, args)
    }

    fn of(profile: &str, home: &Home, args: &[&str]) -> Self {
        let mut keyfob = home.keyfob().unwrap();
        keyfob.args(["serve", profile]).args(args).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = keyfob.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut value = |name: &str| {
            let line = lines.next().unwrap().unwrap();
            let value = line.strip_prefix(&format!("export {name}=")).unwrap_or_else(|| panic!("{line}"));
            value.trim_matches('\'').to_owned()
        };
        let uri = value("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let token_file = PathBuf::from(value("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
        let token = fs::read_to_string(&token_file).unwrap();
        Self { child, uri, token_file, token }
    }

    fn port(&self) -> u16 {
        self.uri.trim_start_matches("http://127.0.0.1:").trim_end_matches("/credentials").parse().unwrap()
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let url = format!("http://127.0.0.1:{}{path}", self.port());
        http::send(self.port(), method, &url, headers, b"").unwrap()
    }

    fn credentials(&self) -> Value {
        let answer = self.ask("GET", "/credentials", &[("authorization", &self.token)]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "no-store");
        serde_json::from_slice(&answer.body).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill(child: &Child, signal: &str) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// One of the programs, when it is started as that.
#[test]
fn sdk_client() {
    sdk_client::client().unwrap();
}

#[test]
fn every_sdk_asks_it() {
    let fixture = fixture();
    let python = tool("KEYFOB_PYTHON").unwrap();
    let endpoint = fixture.server.endpoint();
    let aws = tool("KEYFOB_AWS").unwrap();
    let aws_args =
        ["sts", "get-caller-identity", "--query", "Arn", "--output", "text", "--endpoint-url", &endpoint];
    let (rust, rust_args, (variable, value)) = sdk_client::program().unwrap();
    let words = |words: &[&str]| words.iter().map(OsString::from).collect();
    let clients: [(&str, &Path, Vec<OsString>); 3] = [
        ("boto3", &python, words(&["-c", BOTO3])),
        ("the AWS CLI", &aws, words(&aws_args)),
        ("the SDK for Rust", &rust, rust_args),
    ];
    // As a program of its own, and beside others that have the variables.
    let serving = Serving::start(&fixture.home, &[]);
    for (name, program, args) in clients {
        let mut keyfob = fixture.home.keyfob().unwrap();
        keyfob.args(["serve", "ops", "--"]).arg(program).args(&args).env("AWS_DEFAULT_REGION", "eu-west-1");
        keyfob.env(variable, value);
        let (code, out, err) = told(&keyfob.output().unwrap()).unwrap();
        assert!(code == Some(0) && out.contains(":assumed-role/ops/keyfob-"), "{name}: {out}{err}");
        let mut client = fixture.home.command(program);
        client.args(&args).env("AWS_DEFAULT_REGION", "eu-west-1").env(variable, value);
        client.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &serving.uri);
        client.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &serving.token_file);
        if name == "the AWS CLI" {
            // Older ones know no file.
            client.env("AWS_CONTAINER_AUTHORIZATION_TOKEN", &serving.token);
        }
        let (code, out, err) = told(&client.output().unwrap()).unwrap();
        assert!(code == Some(0) && out.contains(":assumed-role/ops/keyfob-"), "{name}: {out}{err}");
    }
    assert_eq!((fixture.server.calls("GetSessionToken"), fixture.server.calls("AssumeRole")), (1, 1));
}

#[test]
fn nobody_else_gets_anything() {
    let fixture = fixture();
    let serving = Serving::start(&fixture.home, &[]);
    let metadata = fs::metadata(&serving.token_file).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(serving.token.len(), 64);
    let token = serving.token.clone();
    let auth = ("authorization", token.as_str());
    let almost = format!("{}0", &token[..63]);
    let mut wrong = almost.clone();
    if wrong == token {
        wrong = format!("{}1", &token[..63]);
    }
    let other_port = format!("127.0.0.1:{}", serving.port() ^ 1);
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let checks: [(&str, &str, Headers<'_>, u16); 14] = [
        ("GET", "/credentials", &[], 403),
        ("GET", "/credentials", &[("authorization", "")], 403),
        ("GET", "/credentials", &[("authorization", &wrong)], 403),
        ("GET", "/credentials", &[("authorization", &token[..63])], 403),
        ("GET", "/credentials", &[auth, auth], 403),
        ("GET", "/credentials", &[auth, ("host", "evil.example")], 403),
        ("GET", "/credentials", &[auth, ("host", &other_port)], 403),
        ("GET", "/credentials", &[auth, ("origin", "http://127.0.0.1")], 403),
        ("GET", "/credentials", &[auth, ("origin", "null")], 403),
        ("GET", "/", &[auth], 404),
        ("GET", "/credentials/", &[auth], 404),
        ("GET", "/credentials?x", &[auth], 404),
        ("POST", "/credentials", &[auth], 405),
        ("OPTIONS", "/credentials", &[auth], 405),
    ];
    for (method, path, headers, status) in checks {
        let answer = serving.ask(method, path, headers);
        assert_eq!(answer.status, status, "{method} {path} {headers:?}: {}", answer.text());
        assert!(!answer.text().contains("ASIA"), "{method} {path} {headers:?}");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    // Nonsense, and too much of it.
    for bytes in
        [&b"\x16\x03\x01\x02\x00\x01"[..], b"\r\n\r\n", &[b'a'; 100_000], b"GET / HTTP/1.1\r\nx\r\n\r\n"]
    {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, serving.port())).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains("ASIA"));
    }
    assert!(serving.credentials()["AccessKeyId"].as_str().unwrap().starts_with("ASIA"));
    // It listens on this computer alone.
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let listens = format!(":{:04X} 00000000:0000 0A", serving.port());
    let line = table.lines().find(|line| line.contains(&listens)).unwrap();
    assert!(line.contains("0100007F:"), "{line}");
    // The token is in no argument and in no environment of the server.
    for file in ["cmdline", "environ"] {
        let text = fs::read(format!("/proc/{}/{file}", serving.child.id())).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&text).contains(&token), "{file}");
    }
}

#[test]
fn who_sends_slowly_or_nothing_keeps_nobody_waiting() {
    let fixture = fixture();
    let serving = Serving::start(&fixture.home, &[]);
    let mut silent: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, serving.port())).unwrap()).collect();
    for (number, stream) in silent.iter_mut().enumerate() {
        // Some stay when they have their answer.
        let sent: &[u8] = if number % 3 == 0 { b"GET / HTTP/1.1\r\n\r\nmore" } else { b"GET /cred" };
        let _ = stream.write_all(sent);
    }
    let answered = poll("an answer beside silent clients", || {
        let answer =
            http::send(serving.port(), "GET", &serving.uri, &[("authorization", &serving.token)], b"")
                .ok()?;
        (answer.status == 200).then_some(())
    });
    answered.unwrap();
}

#[test]
fn credentials_are_renewed_in_time() {
    let fixture = fixture();
    // The roles' sessions from now on end soon, and are made anew when half of that is over: which is later than what a command may
    // take, for that is the time of each, not of the server.
    fixture.server.shorten_sessions(Some(24));
    let serving = Serving::of("deploy", &fixture.home, &["--no-session", "--timeout", "11s"]);
    let first = serving.credentials();
    let renewed = poll("new credentials", || {
        let now = serving.credentials();
        (now["AccessKeyId"] != first["AccessKeyId"]).then_some(now)
    });
    let renewed = renewed.unwrap();
    assert!(renewed["Expiration"].as_str() > first["Expiration"].as_str(), "{first} {renewed}");
}

#[test]
fn a_failure_is_told_and_the_next_one_may_be_better() {
    let fixture = fixture();
    fixture.server.shorten_sessions(Some(12));
    let serving = Serving::start(&fixture.home, &["--no-session"]);
    fixture.server.shorten_sessions(None);
    let denied = keyfob_tests::stand_in::Fault::Status(403, "AccessDenied", "not today");
    fixture.server.fail_next("AssumeRole", 1, denied);
    let told = poll("the failure", || {
        let answer = serving.ask("GET", "/credentials", &[("authorization", &serving.token)]);
        (answer.status != 200).then_some(answer)
    });
    let told = told.unwrap();
    let text: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!((told.status, text["Code"].as_str()), (503, Some("aws-refused")), "{text}");
    assert!(text["Message"].as_str().unwrap().contains("not today"), "{text}");
    let again = poll("credentials again", || {
        let answer = serving.ask("GET", "/credentials", &[("authorization", &serving.token)]);
        (answer.status == 200).then_some(())
    });
    again.unwrap();
}

#[test]
fn it_ends_with_its_program_and_leaves_nothing() {
    let fixture = fixture();
    let run = |args: &[&str]| {
        told(&fixture.home.run(&[&["serve", "ops", "--"], args].concat(), "").unwrap()).unwrap()
    };
    let (code, out, err) = run(&["sh", "-c", "echo $AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE; exit 7"]);
    assert_eq!(code, Some(7), "{err}");
    assert!(!Path::new(out.trim()).exists() && out.contains("token-"), "{out}");
    assert_eq!(run(&["sh", "-c", "kill -9 $$"]).0, Some(137));
    assert_eq!(run(&["no-such-program"]).0, Some(127));
    let environment = run(&["env"]).1;
    for name in ["AWS_ACCESS_KEY_ID=", "AWS_SESSION_TOKEN=", "AWS_PROFILE="] {
        assert!(!environment.contains(name), "{name}");
    }
    // A signal goes on to the program.
    let mut keyfob = fixture.home.keyfob().unwrap();
    keyfob.args([
        "serve",
        "ops",
        "--",
        "sh",
        "-c",
        "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.05; done",
    ]);
    let mut child = keyfob.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "up");
    kill(&child, "-TERM");
    assert_eq!(lines.next().unwrap().unwrap(), "told");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    // Alone, it ends at once and takes the token with it.
    for signal in ["-TERM", "-INT", "-HUP"] {
        let mut serving = Serving::start(&fixture.home, &[]);
        kill(&serving.child, signal);
        serving.child.wait().unwrap();
        assert!(!serving.token_file.exists(), "{signal}");
    }
    // What a killed one has left is gone with the next, and not what a living one has.
    let mut killed = Serving::start(&fixture.home, &[]);
    let living = Serving::start(&fixture.home, &[]);
    kill(&killed.child, "-KILL");
    killed.child.wait().unwrap();
    assert!(killed.token_file.exists());
    let next = Serving::start(&fixture.home, &[]);
    assert!(!killed.token_file.exists() && living.token_file.exists() && next.token_file.exists());
    // Two cannot have one file, nor one port.
    let file = fixture.home.path().join("token");
    let _first = Serving::start(&fixture.home, &["--token-file", file.to_str().unwrap()]);
    let second = fixture.home.run(&["serve", "ops", "--token-file", file.to_str().unwrap()], "").unwrap();
    assert!(
        second.status.code() == Some(1) && told(&second).unwrap().2.contains("another server"),
        "{:?}",
        told(&second).unwrap()
    );
    let second = fixture.home.run(&["serve", "ops", "--port", &living.port().to_string()], "").unwrap();
    assert!(
        second.status.code() == Some(1) && told(&second).unwrap().2.contains("--port"),
        "{:?}",
        told(&second).unwrap()
    );
}

#[test]
fn the_default_profiles_own_credentials_do_not_come_first() {
    let fixture = fixture();
    let old = "[default]\naws_access_key_id = AKIAOLDOLDOLDOLDOLD1\naws_secret_access_key = old\n";
    fixture.home.write(".aws/credentials", old).unwrap();
    let python = tool("KEYFOB_PYTHON").unwrap();
    let mut keyfob = fixture.home.keyfob().unwrap();
    keyfob.args(["serve", "ops", "--"]).arg(python).args(["-c", BOTO3]);
    let (code, out, err) = told(&keyfob.output().unwrap()).unwrap();
    assert!(code == Some(0) && out.contains(":assumed-role/ops/"), "{out}{err}");
    assert!(err.contains("default"), "{err}");
}
