//! `presign --check`: what is said of a link that works, and of one that does not.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use keyfob_core::sigv4::AmzDate;
use keyfob_tests::home::Home;
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::s3s::S3s;
use serde_json::Value;

const BUCKET: &str = "test-bucket";

/// How a command ended, and what it printed and said.
struct Ended {
    code: i32,
    out: String,
    said: String,
}

fn home(secret: &str) -> Home {
    let home = Home::with_software_key().unwrap();
    home.succeed(&["aws", "add", ACCESS_KEY_ID, "--no-touch"], secret).unwrap();
    home
}

#[track_caller]
fn presign(home: &Home, endpoint: &str, key: &str, options: &[&str]) -> Ended {
    let object = format!("s3://{BUCKET}/{key}");
    let fixed = ["presign", &object, "--endpoint", endpoint, "--region", "eu-west-1", "--check"];
    let output = home.run(&[&fixed, options].concat(), "").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), out: text(output.stdout), said: text(output.stderr) }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_link_that_works_is_told_with_what_is_there() {
    let server = S3s::start(ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET).unwrap();
    let home = home(SECRET_ACCESS_KEY);
    #[track_caller]
    fn check(home: &Home, server: &S3s, key: &str, options: &[&str], found: &str) {
        let ended = presign(home, &server.endpoint(), key, options);
        assert_eq!(ended.code, 0, "{}", ended.said);
        assert!(ended.said.contains(&format!("It was tried, and works: {found}")), "{}", ended.said);
        assert!(ended.out.starts_with(&server.endpoint()) && ended.out.lines().count() == 1, "{}", ended.out);
    }
    server.put(BUCKET, "long", &[b'x'; 12_345]).unwrap();
    server.put(BUCKET, "one", b"x").unwrap();
    server.put(BUCKET, "none", b"").unwrap();
    server.put(BUCKET, "a b/ü+%~.txt", b"content").unwrap();
    check(&home, &server, "long", &[], "12,345 bytes");
    check(&home, &server, "one", &[], "1 byte");
    check(&home, &server, "none", &[], "0 bytes");
    check(&home, &server, "a b/ü+%~.txt", &[], "7 bytes");
    check(&home, &server, "one", &["--response", "content-type=text/x-test"], "1 byte, text/x-test");
    // The headers that are signed are sent; a range of the link's own too.
    check(&home, &server, "long", &["--header", "x-amz-checksum-mode=ENABLED"], "12,345 bytes");
    check(&home, &server, "long", &["--header", "range=bytes=5-9"], "12,345 bytes");
    let ended = presign(&home, &server.endpoint(), "", &["--list"]);
    assert!(ended.code == 0 && ended.said.contains("It was tried, and works: "), "{}", ended.said);

    let ended = presign(&home, &server.endpoint(), "long", &["--json"]);
    let json: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&json["check"]["status"], &json["check"]["bytes"]), (&206.into(), &12_345.into()), "{json}");
    assert!(json["url"].as_str().unwrap().contains("X-Amz-Signature="));
    let ended = presign(&home, &server.endpoint(), "long", &["--quiet"]);
    assert_eq!((ended.code, ended.said.as_str()), (0, ""));
}

#[test]
fn a_link_that_does_not_work_is_printed_with_the_reason() {
    let server = S3s::start(ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET).unwrap();
    server.put(BUCKET, "a", b"content").unwrap();
    #[track_caller]
    fn check(home: &Home, endpoint: &str, key: &str, options: &[&str], code: i32, parts: &[&str]) {
        let ended = presign(home, endpoint, key, options);
        assert_eq!(ended.code, code, "{}", ended.said);
        assert!(ended.out.contains("X-Amz-Signature="), "{}", ended.said);
        for part in parts {
            assert!(ended.said.contains(part), "{part}: {}", ended.said);
        }
        // The link's signature is for whoever reads stdout.
        assert!(!ended.said.contains("X-Amz-"), "{}", ended.said);
    }
    let right = home(SECRET_ACCESS_KEY);
    let endpoint = server.endpoint();
    check(&right, &endpoint, "b", &[], 8, &["refused: NoSuchKey", "spelled right"]);
    let past = (now() - 7200).to_string();
    check(&right, &endpoint, "a", &["--at", &past], 8, &["refused: ", "expire"]);
    let wrong = home("another secret".replace(' ', "/").as_str());
    check(&wrong, &endpoint, "a", &[], 8, &["refused: SignatureDoesNotMatch"]);
    let ended = presign(&wrong, &endpoint, "a", &["--json"]);
    let (json, error): (Value, Value) =
        (serde_json::from_str(&ended.out).unwrap(), serde_json::from_str(&ended.said).unwrap());
    assert!(json["url"].is_string() && json.get("check").is_none(), "{json}");
    assert_eq!((ended.code, &error["error"]["code"]), (8, &"aws-refused".into()), "{error}");
    // Nobody is there.
    drop(server);
    check(&right, &endpoint, "a", &[], 1, &["127.0.0.1"]);
}

/// A server that gives these answers, one a connection, and then tells what it was asked.
fn stand_in(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let answer = |answer: String| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        };
        answers.into_iter().map(answer).collect()
    });
    (endpoint, thread)
}

/// As S3 answers.
fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn error(code: &str, message: &str, more: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
    )
}

#[test]
fn what_aws_says_is_understood() {
    let home = home(SECRET_ACCESS_KEY);
    #[track_caller]
    fn check(home: &Home, answers: Vec<String>, code: i32, parts: &[&str]) -> Vec<String> {
        let (endpoint, server) = stand_in(answers);
        let ended = presign(home, &endpoint, "a", &[]);
        assert_eq!(ended.code, code, "{}", ended.said);
        for part in parts {
            assert!(ended.said.contains(part), "{part}: {}", ended.said);
        }
        server.join().unwrap()
    }
    let refused = |status, headers, body: String| vec![answer(status, headers, &body)];

    // An object without a byte has none to give: it is asked for whole.
    let empty = error("InvalidRange", "The requested range is not satisfiable", "");
    let whole = answer("200 OK", "Content-Type: text/plain\r\n", "");
    let answers = vec![answer("416 Range Not Satisfiable", "", &empty), whole];
    let asked = check(&home, answers, 0, &["It was tried, and works: 0 bytes, text/plain."]);
    assert!(asked[0].to_ascii_lowercase().contains("\r\nrange: bytes=0-0\r\n"), "{asked:?}");
    assert!(
        asked[1].starts_with("GET ") && !asked[1].to_ascii_lowercase().contains("\r\nrange:"),
        "{asked:?}"
    );
    // A server that knows no ranges.
    check(&home, vec![answer("200 OK", "", "content")], 0, &["works: 7 bytes."]);
    // One that promises more than it sends.
    let short = answer("200 OK", "", "content").replace("Length: 7", "Length: 1000");
    check(&home, vec![short], 1, &["127.0.0.1"]);
    let short = answer("206 Partial Content", "Content-Range: bytes 0-0/1000\r\n", "")
        .replace("Length: 0", "Length: 1");
    check(&home, vec![short], 1, &["127.0.0.1"]);

    let redirect = error(
        "PermanentRedirect",
        "The bucket you are attempting to access must be addressed using the specified endpoint.",
        "<Endpoint>test-bucket.s3.eu-central-1.amazonaws.com</Endpoint>",
    );
    let region = "x-amz-bucket-region: eu-central-1\r\n";
    let parts = ["PermanentRedirect", "give --region eu-central-1"];
    check(&home, refused("301 Moved Permanently", region, redirect), 8, &parts);
    let malformed = error(
        "AuthorizationQueryParametersError",
        "Error parsing the X-Amz-Credential parameter; the region 'eu-west-1' is wrong; expecting 'eu-central-1'",
        "<Region>eu-central-1</Region>",
    );
    let parts = ["AuthorizationQueryParametersError", "give --region eu-central-1"];
    check(&home, refused("400 Bad Request", "", malformed), 8, &parts);
    let denied = error("AccessDenied", "Access Denied", "");
    check(&home, refused("403 Forbidden", "", denied), 8, &["AccessDenied", "the policies do not allow it"]);
    let expired = error("AccessDenied", "Request has expired", "<X-Amz-Expires>60</X-Amz-Expires>");
    check(&home, refused("403 Forbidden", "", expired), 8, &["Request has expired", "make a new one"]);
    // A clock that is off is said with how far.
    let theirs = AmzDate::from_unix(now() + 1200).unwrap().to_http_date();
    let skewed = error("RequestTimeTooSkewed", "The difference is too large.", "");
    let date = format!("Date: {theirs}\r\n");
    let parts = ["RequestTimeTooSkewed", "this computer's clock is 20 min behind"];
    check(&home, refused("403 Forbidden", &date, skewed), 8, &parts);
    let missing = error("NoSuchBucket", "The specified bucket does not exist", "");
    check(&home, refused("404 Not Found", "", missing), 8, &["NoSuchBucket"]);
    // Nothing of a hostile answer reaches the terminal as it is.
    let hostile = error("Evil", "\u{1b}[2J&#x202e;", "");
    let (endpoint, server) = stand_in(refused("500 Evil", "", hostile));
    let ended = presign(&home, &endpoint, "a", &[]);
    assert!(ended.code == 8 && !ended.said.contains(['\u{1b}', '\u{202e}']), "{:?}", ended.said);
    server.join().unwrap();
    let (endpoint, server) = stand_in(vec!["HTTP/1.1 2".to_owned()]);
    assert_eq!(presign(&home, &endpoint, "a", &[]).code, 1);
    server.join().unwrap();
}

#[test]
fn what_cannot_be_tried_is_refused_before_it_is_signed() {
    let home = home(SECRET_ACCESS_KEY);
    #[track_caller]
    fn check(home: &Home, options: &[&str], part: &str) {
        let ended = presign(home, "http://127.0.0.1:1", "a", options);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{}", ended.said);
        assert!(ended.said.contains(part), "{}", ended.said);
    }
    for method in ["PUT", "DELETE", "HEAD", "POST"] {
        let part = format!("a {method} link can be tried only by doing what it is for");
        check(&home, &["-X", method], &part);
    }
    let later = (now() + 3600).to_string();
    check(&home, &["--at", &later], "will work only later");
}
