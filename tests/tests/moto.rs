//! Calls to STS and IAM that a key signs, against a server that verifies them: taken when right, refused when a byte is
//! changed, and what is said then.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use keyfob::aws_call::{self, Call, xml_text};
use keyfob::http::Http;
use keyfob::signing::{Ask, Credentials, Session};
use keyfob_core::message::{Answer, ErrorCode, Failure, Op};
use keyfob_core::secret::Secret;
use keyfob_tests::home::Home;
use keyfob_tests::http;
use keyfob_tests::identity::ACCESS_KEY_ID;
use keyfob_tests::moto::{Moto, User};
use keyfob_tests::tls::{Stream, TlsServer};
use serde_json::Value;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A home with the user's access key on the software key `demo`, which wants a touch only where that is said.
fn home(user: &User, endpoint: &str) -> Home {
    let mut home = Home::with_software_key().unwrap();
    home.set("AWS_ENDPOINT_URL_STS", endpoint);
    home.succeed(&["aws", "add", &user.access_key_id, "--no-touch"], &user.secret_access_key).unwrap();
    home
}

/// Exit code, stdout, stderr.
fn run(home: &Home, args: &[&str]) -> (Option<i32>, String, String) {
    let output = home.run(args, "").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn whoami() {
    let moto = Moto::start(&[("alice", &["sts:*"])]).unwrap();
    let user = &moto.users()[0];
    let home = home(user, &moto.endpoint());
    let (exit, out, said) = run(&home, &["--json", "aws", "whoami"]);
    assert_eq!((exit, said.as_str()), (Some(0), ""));
    let who: Value = serde_json::from_str(&out).unwrap();
    let arn = format!("arn:aws:iam::{}:user/alice", Moto::ACCOUNT);
    assert_eq!((who["account"].as_str(), who["arn"].as_str()), (Some(Moto::ACCOUNT), Some(arn.as_str())));
    assert_eq!(who["access_key_id"], user.access_key_id.as_str());
    assert!(!who["user_id"].as_str().unwrap().is_empty());
    let (exit, out, _) =
        run(&home, &["aws", "whoami", "--region", "eu-west-1", "--identity", &user.access_key_id]);
    assert_eq!(exit, Some(0));
    assert!(out.contains("Account     123456789012\n") && out.contains(&arn), "{out}");

    // The same by credentials that are given, without any key.
    let given = home
        .write(
            "credentials.json",
            &format!(
                "{{\"Version\":1,\"AccessKeyId\":{:?},\"SecretAccessKey\":{:?}}}",
                user.access_key_id, user.secret_access_key
            ),
        )
        .unwrap();
    let (exit, out, said) = run(&home, &["aws", "whoami", "--credentials", given.to_str().unwrap()]);
    assert_eq!(exit, Some(0), "{said}");
    assert!(out.contains(&arn), "{out}");
}

#[test]
fn a_wrong_secret_is_refused() {
    let moto = Moto::start(&[("alice", &["sts:*"])]).unwrap();
    let mut user = moto.users()[0].clone();
    // One character of it.
    let last = user.secret_access_key.pop().unwrap();
    user.secret_access_key.push(if last == 'x' { 'y' } else { 'x' });
    let home = home(&user, &moto.endpoint());
    let (exit, out, said) = run(&home, &["aws", "whoami"]);
    assert_eq!((exit, out.as_str()), (Some(8), ""));
    assert!(said.contains("refused: SignatureDoesNotMatch: "), "{said}");
    assert!(said.contains("keyfob aws add --force"), "{said}");
    assert!(!said.contains(&user.secret_access_key), "{said}");
    let (exit, _, said) = run(&home, &["--json", "aws", "whoami"]);
    let error: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((exit, error["error"]["code"].as_str()), (Some(8), Some("aws-refused")));

    // An access key that nobody has.
    let nobody = User { access_key_id: ACCESS_KEY_ID.to_owned(), ..user };
    home.succeed(&["aws", "add", &nobody.access_key_id, "--no-touch"], "secret").unwrap();
    let (exit, _, said) = run(&home, &["aws", "whoami", "--identity", &nobody.access_key_id]);
    assert_eq!(exit, Some(8), "{said}");
    assert!(said.contains("InvalidClientTokenId") && said.contains("list-access-keys"), "{said}");
}

#[test]
fn without_a_server_or_for_a_wrong_one() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let user = User {
        name: String::new(),
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: "secret".to_owned(),
    };
    let home = home(&user, &format!("http://{nobody}"));
    let (exit, _, said) = run(&home, &["aws", "whoami"]);
    assert_eq!(exit, Some(1));
    assert!(said.contains(&format!("nothing listens at http://{nobody}")), "{said}");
    let (exit, _, said) = run(&home, &["aws", "whoami", "--endpoint", "sts.example"]);
    assert_eq!(exit, Some(2));
    assert!(said.contains("https://"), "{said}");
    home.succeed(&["aws", "delete", "--force", &user.access_key_id], "").unwrap();
    let (exit, _, said) = run(&home, &["aws", "whoami"]);
    assert_eq!(exit, Some(7), "{said}");
}

#[test]
fn a_server_is_not_waited_for_longer_than_was_said() {
    // Connections are taken, and nothing comes of them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let user = User {
        name: String::new(),
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: "secret".to_owned(),
    };
    let home = home(&user, &url);
    let credentials =
        format!("[default]\naws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = secret\n");
    home.write("credentials", &credentials).unwrap();
    #[track_caller]
    fn check(home: &Home, url: &str, args: &[&str]) {
        let (exit, _, said) = run(home, &[&["--timeout", "2s"], args].concat());
        assert_eq!(exit, Some(1), "{said}");
        assert!(said.contains(&format!("{url} has not answered in time")), "{said}");
        assert!(said.contains("--timeout"), "{said}");
    }
    let place = ["--endpoint", &url, "--region", "eu-west-1"];
    check(&home, &url, &["aws", "whoami"]);
    check(&home, &url, &[&["presign", "s3://test-bucket/a", "--check"][..], &place].concat());
    check(&home, &url, &[&["presign", "s3://test-bucket/a", "--recursive"][..], &place].concat());
    check(
        &home,
        &url,
        &["sign", "GET", &format!("{url}/a"), "--service", "s3", "--region", "eu-west-1", "--send"],
    );
    let mut home = home;
    let file = home.path().join("credentials");
    home.set("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap());
    check(&home, &url, &["aws", "import", "--endpoint", &url]);
}

#[test]
fn what_is_wrong_with_given_credentials_is_said_with_where() {
    let moto = Moto::start(&[("alice", &["sts:*"])]).unwrap();
    let home = home(&moto.users()[0], &moto.endpoint());
    let json = |id: &str, expiration: &str| {
        format!(
            "{{\"Version\":1,\"AccessKeyId\":{id:?},\"SecretAccessKey\":\"s\",\"SessionToken\":\"t\",\
             \"Expiration\":{expiration:?}}}"
        )
    };
    let file = home.write("given.json", &json("ASIAIOSFODNN7EXAMPLE", "soon")).unwrap();
    let file = file.to_str().unwrap();
    let (exit, _, said) = run(&home, &["aws", "whoami", "--credentials", file]);
    assert_eq!(exit, Some(2), "{said}");
    assert!(
        said.contains(&format!("keyfob: {file}: the Expiration is no time\n  → give a time as ")),
        "{said}"
    );
    home.write("given.json", "{}").unwrap();
    let (_, _, said) = run(&home, &["aws", "whoami", "--credentials", file]);
    assert!(said.contains(&format!("keyfob: {file}: these are no credentials\n")), "{said}");
    // A session that has ended, and that AWS knows no more.
    home.write("given.json", &json("ASIAIOSFODNN7EXAMPLE", "2020-01-01T00:00:00Z")).unwrap();
    let (exit, _, said) = run(&home, &["aws", "whoami", "--credentials", file]);
    assert_eq!(exit, Some(8), "{said}");
    assert!(said.contains("get new credentials") && !said.contains("list-access-keys"), "{said}");

    let mut home = home;
    for (name, value) in [
        ("ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE"),
        ("SECRET_ACCESS_KEY", "s"),
        ("CREDENTIAL_EXPIRATION", "soon"),
    ] {
        home.set(&format!("AWS_{name}"), value);
    }
    let (exit, _, said) = run(&home, &["aws", "whoami", "--credentials", "env"]);
    assert_eq!(exit, Some(2), "{said}");
    assert!(said.contains("the AWS_CREDENTIAL_EXPIRATION is no time\n  → give a time as "), "{said}");
}

/// Nobody is to be asked.
struct NoKey;

impl Ask for NoKey {
    fn ask(&mut self, _: Op) -> Result<Answer, Failure> {
        panic!("these credentials sign by themselves")
    }
}

fn session(user: &User) -> Credentials {
    Credentials::Session(Session {
        access_key_id: user.access_key_id.clone(),
        secret_access_key: Secret::from(user.secret_access_key.clone()),
        session_token: None,
        expires_at: None,
    })
}

#[test]
fn calls_of_iam() {
    let moto = Moto::start(&[("alice", &["iam:*"]), ("bob", &["iam:ListUsers"])]).unwrap();
    let [alice, bob] = moto.users() else { panic!() };
    let http = Http::new().unwrap();
    let iam = |user: &User, form: &str| {
        let body = format!("{form}&Version=2010-05-08");
        let call = Call {
            method: "POST",
            url: &moto.endpoint(),
            region: "us-east-1",
            service: "iam",
            headers: &[FORM],
            body: body.as_bytes(),
        };
        let mut response = aws_call::call(&mut NoKey, &session(user), &http, &call)?;
        Ok::<_, Failure>(String::from_utf8(response.read(1 << 20)?).unwrap())
    };
    let users = iam(alice, "Action=ListUsers").unwrap();
    assert!(
        users.contains("<UserName>alice</UserName>") && users.contains("<UserName>bob</UserName>"),
        "{users}"
    );
    let made = iam(alice, "Action=CreateUser&UserName=carol%2Btest").unwrap();
    assert_eq!(xml_text(&made, "UserName").as_deref(), Some("carol+test"), "{made}");
    iam(bob, "Action=ListUsers").unwrap();
    let refused = iam(bob, "Action=CreateUser&UserName=dave").unwrap_err();
    assert_eq!(refused.code, ErrorCode::AwsRefused);
    assert!(refused.message.contains("refused: AccessDenied: "), "{refused:?}");
    assert!(refused.hint.unwrap().contains("policies"));
    let unknown = iam(alice, "Action=GetUser&UserName=nobody").unwrap_err();
    assert!(unknown.message.contains("refused: NoSuchEntity: "), "{unknown:?}");
}

/// Takes one request of the client's, answers it with 204, and gives head and body.
fn caught(send: impl FnOnce(&str)) -> (String, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, request) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
            let head = loop {
                let read = stream.read(&mut buffer).unwrap();
                bytes.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    break head.to_owned();
                }
            };
            stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
            sender.send((head.clone(), bytes.split_off(head.len() + 4))).unwrap();
        });
        send(&url);
    });
    request.recv().unwrap()
}

#[test]
fn a_changed_byte_is_refused() {
    let moto = Moto::start(&[("alice", &["iam:*"])]).unwrap();
    let alice = &moto.users()[0];
    // Signed for another port of this computer, and brought to the server by hand: Host is what was signed.
    let (head, body) = caught(|url| {
        let call = Call {
            method: "POST",
            url,
            region: "us-east-1",
            service: "iam",
            headers: &[FORM],
            body: b"Action=ListUsers&Version=2010-05-08&MaxItems=9",
        };
        aws_call::call(&mut NoKey, &session(alice), &Http::new().unwrap(), &call).unwrap();
    });
    let headers: Vec<(&str, &str)> =
        head.lines().skip(1).map(|line| line.split_once(": ").unwrap()).collect();
    let send = |headers: &[(&str, &str)], body: &[u8]| {
        let answer = http::send(moto.port(), "POST", &moto.endpoint(), headers, body).unwrap();
        (answer.status, xml_text(&answer.text(), "Code").unwrap_or_default())
    };
    assert_eq!(send(&headers, &body), (200, String::new()));
    let mut tried = 0;
    for (at, (name, value)) in headers.iter().enumerate() {
        if !["authorization", "x-amz-date"].contains(name) {
            continue;
        }
        // The signature's digits, and those of the time.
        let from = value.find("Signature=").map_or(0, |at| at + "Signature=".len());
        for i in (from..value.len()).filter(|&i| value.as_bytes()[i].is_ascii_digit()) {
            let mut changed = value.as_bytes().to_vec();
            changed[i] = if changed[i] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            let mut headers = headers.clone();
            headers[at].1 = &changed;
            let (status, code) = send(&headers, &body);
            assert_eq!((status, code.as_str()), (403, "SignatureDoesNotMatch"), "{name} {changed}");
            tried += 1;
        }
    }
    assert!(tried > 25, "{tried}");
    let mut other = body.clone();
    *other.last_mut().unwrap() = b'8';
    assert_eq!(send(&headers, &other), (403, "SignatureDoesNotMatch".to_owned()));
}

/// Answers every request with an error and a date.
fn stand_in(date: &'static str, code: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 8192];
            let mut request = String::new();
            while !request.ends_with("Version=2011-06-15") {
                let read = stream.read(&mut buffer).unwrap();
                request += &String::from_utf8_lossy(&buffer[..read]);
            }
            let body = format!(
                "<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>"
            );
            let head = format!(
                "HTTP/1.1 403 Forbidden\r\nDate: {date}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn a_wrong_clock_is_said() {
    let user = User {
        name: String::new(),
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: "secret".to_owned(),
    };
    let home = home(&user, "http://127.0.0.1:1");
    for code in ["RequestTimeTooSkewed", "SignatureDoesNotMatch"] {
        for (date, says) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", "days ahead of "),
            ("Fri, 01 Jan 2100 00:00:00 GMT", "days behind "),
        ] {
            let (exit, _, said) = run(&home, &["aws", "whoami", "--endpoint", &stand_in(date, code)]);
            assert_eq!(exit, Some(8));
            assert!(said.contains("(this computer's clock is ") && said.contains(says), "{said}");
            assert!(said.contains("set the clock"), "{said}");
        }
    }
    let (_, _, said) = run(&home, &["aws", "whoami", "--endpoint", &stand_in("", "RequestTimeTooSkewed")]);
    assert!(said.contains("keyfob doctor --clock"), "{said}");
}

/// A server by TLS that takes every signature.
fn tls_server(names: &[&str]) -> TlsServer {
    let serve = |stream: &mut Stream| {
        let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
        while !request.ends_with(b"Version=2011-06-15") {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                read => request.extend_from_slice(&buffer[..read]),
            }
        }
        let body = "<Account>1</Account><Arn>arn:by-tls</Arn><UserId>u</UserId>";
        let length = body.len();
        let answer =
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes())
    };
    TlsServer::start(names, serve).unwrap()
}

/// A proxy that leads every name to that port of this computer, and keeps what it was asked for.
fn proxy(port: u16) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                if client.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            noted.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
            let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            thread::spawn(move || std::io::copy(&mut server, &mut client));
        }
    });
    (url, asked)
}

#[test]
fn by_tls_and_through_a_proxy() {
    let server = tls_server(&["localhost", "sts.keyfob.invalid"]);
    let (port, origin) = (server.port(), server.origin());
    let user = User {
        name: String::new(),
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: "secret".to_owned(),
    };
    let mut home = home(&user, &origin);
    // An authority that nobody knows.
    let (exit, out, said) = run(&home, &["aws", "whoami"]);
    assert_eq!((exit, out.as_str()), (Some(1), ""));
    assert!(said.contains(&format!("no secure connection to {origin}: ")), "{said}");
    assert!(said.contains("AWS_CA_BUNDLE"), "{said}");
    let bundle = home.write("ca.pem", server.authority()).unwrap();
    home.set("AWS_CA_BUNDLE", bundle.to_str().unwrap());
    let (exit, out, said) = run(&home, &["aws", "whoami"]);
    assert!(exit == Some(0) && out.contains("arn:by-tls"), "{said}");

    // A name that only the proxy knows; and what is on this computer goes past it.
    let (url, asked) = proxy(port);
    home.set("HTTPS_PROXY", &url);
    let there = format!("https://sts.keyfob.invalid:{port}");
    let (exit, out, said) = run(&home, &["aws", "whoami", "--endpoint", &there]);
    assert!(exit == Some(0) && out.contains("arn:by-tls"), "{said}");
    assert_eq!(*asked.lock().unwrap(), [format!("CONNECT sts.keyfob.invalid:{port} HTTP/1.1")]);
    assert_eq!(run(&home, &["aws", "whoami"]).0, Some(0));
    assert_eq!(asked.lock().unwrap().len(), 1);
    home.set("NO_PROXY", "keyfob.invalid,.keyfob.invalid");
    let (exit, _, said) = run(&home, &["aws", "whoami", "--endpoint", &there]);
    assert_eq!(exit, Some(1));
    assert!(said.contains("https://sts.keyfob.invalid"), "{said}");
    assert_eq!(asked.lock().unwrap().len(), 1);
    home.set("NO_PROXY", "");
    home.set("HTTPS_PROXY", "http://person:hunter2@127.0.0.1:1");
    let (exit, _, said) = run(&home, &["aws", "whoami", "--endpoint", &there]);
    assert_eq!(exit, Some(1));
    let says = "nothing listens at the proxy http://127.0.0.1:1: https://sts.keyfob.invalid";
    assert!(said.contains(says) && said.contains("see HTTPS_PROXY"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    // What is none is not gone past.
    home.set("HTTPS_PROXY", "garbage://person:hunter2@127.0.0.1");
    for endpoint in [&there, &origin] {
        let (exit, _, said) = run(&home, &["aws", "whoami", "--endpoint", endpoint]);
        assert_eq!(exit, Some(2), "{said}");
        assert!(
            said.contains("what HTTPS_PROXY names is no HTTP proxy") && !said.contains("hunter2"),
            "{said}"
        );
    }
    home.set("HTTPS_PROXY", "");

    home.set("AWS_CA_BUNDLE", "/nowhere.pem");
    let (exit, _, said) = run(&home, &["aws", "whoami"]);
    assert_eq!(exit, Some(2));
    assert!(said.contains("AWS_CA_BUNDLE names /nowhere.pem: "), "{said}");
}
