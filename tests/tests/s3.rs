//! Presigned links against a real S3 server that verifies signatures.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use keyfob_tests::home::Home;
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::s3s::S3s;
use ureq::Agent;

const BUCKET: &str = "test-bucket";

/// A server, and a software key with the identity that it knows.
struct Fixture {
    server: S3s,
    home: Home,
    agent: Agent,
}

impl Fixture {
    fn new() -> Self {
        let server = S3s::start(ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET).unwrap();
        let home = Home::with_software_key().unwrap();
        let add = ["aws", "add", ACCESS_KEY_ID];
        home.succeed(&add, SECRET_ACCESS_KEY).unwrap();
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        Self { server, home, agent }
    }

    #[track_caller]
    fn presign(&self, key: &str, options: &[&str]) -> String {
        self.presign_at(key, &[&["--endpoint", &self.server.endpoint()], options].concat())
    }

    /// The same at an endpoint among the options.
    #[track_caller]
    fn presign_at(&self, key: &str, options: &[&str]) -> String {
        let object = format!("s3://{BUCKET}/{key}");
        let fixed = ["presign", &object, "--region", "eu-west-1"];
        self.home.succeed(&[&fixed, options].concat(), "").unwrap().trim().to_owned()
    }

    /// Status and body.
    #[track_caller]
    fn get(&self, url: &str) -> (u16, Vec<u8>) {
        let mut response = self.agent.get(url).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_vec().unwrap())
    }

    #[track_caller]
    fn put(&self, url: &str, body: &[u8]) -> u16 {
        self.agent.put(url).send(body).unwrap().status().as_u16()
    }
}

#[test]
fn a_put_link_stores_and_a_get_link_fetches() {
    let fixture = Fixture::new();
    let check = |key: &str| {
        let content = format!("content of {key}");
        let status = fixture.put(&fixture.presign(key, &["--method", "PUT"]), content.as_bytes());
        assert_eq!(status, 200, "{key}");
        // What is on the disk says that the server understood the same key.
        assert_eq!(std::fs::read_to_string(fixture.server.file(BUCKET, key)).unwrap(), content, "{key}");
        let url = fixture.presign(key, &[]);
        assert_eq!(fixture.get(&url), (200, content.into_bytes()), "{url}");
    };
    check("plain.txt");
    check("a b/ü+%~.txt");
    check("folder/%20 and %2F/x");
    check("!*'()&=?#;:@,$[]{}|^`\"<>");
    check("日本語/🔑");

    // As long as a key may be, 1,024 bytes: more than this server can store, but its signature is accepted.
    let longest = vec!["k".repeat(204); 5].join("/");
    let url = fixture.presign(&longest, &[]);
    let (status, body) = fixture.get(&url);
    assert_eq!((longest.len(), status), (1024, 404), "{}", String::from_utf8_lossy(&body));
}

/// Status and body of a request as it is, to a server whose name nobody resolves.
fn ask(port: u16, method: &str, url: &str) -> (u16, String) {
    let (host, rest) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    write!(stream, "{method} /{rest} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn a_bucket_stands_before_the_host_where_it_is_told_to() {
    let mut fixture = Fixture::new();
    let server = S3s::start_virtual_hosted(ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET, "s3.test").unwrap();
    server.put(BUCKET, "a/b c.txt", b"content").unwrap();
    fixture.server = server;
    let port = fixture.server.port();
    let endpoint = format!("http://s3.test:{port}");
    let virtual_hosted = ["--endpoint", &endpoint, "--addressing", "virtual"];
    let url = fixture.presign_at("a/b c.txt", &virtual_hosted);
    assert!(url.starts_with(&format!("http://{BUCKET}.s3.test:{port}/a/b%20c.txt?")), "{url}");
    let (status, body) = ask(port, "GET", &url);
    assert_eq!((status, body.contains("content")), (200, true), "{body}");
    assert_eq!(ask(port, "GET", &url.replace("b%20c", "b%20d")).0, 403);
    let list = fixture.presign_at("a/", &[&virtual_hosted[..], &["--list"]].concat());
    let (status, body) = ask(port, "GET", &list);
    assert!(status == 200 && body.contains("<Key>a/b c.txt</Key>"), "{list}: {status} {body}");
    // The same server's other name for it.
    let path = fixture.presign_at("a/b c.txt", &["--endpoint", &endpoint]);
    assert!(path.starts_with(&format!("http://s3.test:{port}/{BUCKET}/a/b%20c.txt?")), "{path}");
    assert_eq!(ask(port, "GET", &path).0, 200);
}

#[test]
fn every_operation_is_one_link() {
    let fixture = Fixture::new();
    let text = |url: &str| {
        let (status, body) = fixture.get(url);
        (status, String::from_utf8(body).unwrap())
    };
    fixture.server.put(BUCKET, "a/1", b"content").unwrap();
    fixture.server.put(BUCKET, "b/2", b"content").unwrap();

    // A list, of what begins with the prefix alone.
    let (status, list) = text(&fixture.presign("a/", &["--list", "--query", "max-keys=10"]));
    assert!(status == 200 && list.contains("<Key>a/1</Key>") && !list.contains("b/2"), "{status} {list}");
    let (status, list) = text(&fixture.presign("", &["--list"]));
    assert!(status == 200 && list.contains("<Key>a/1</Key>") && list.contains("<Key>b/2</Key>"), "{list}");
    let url = fixture.presign("a/", &["--list"]);
    assert_eq!(fixture.get(&url.replace("prefix=a", "prefix=b")).0, 403);

    // HEAD and DELETE, and nothing else by the same link.
    let head = fixture.presign("b/2", &["--method", "HEAD"]);
    assert_eq!(fixture.agent.head(&head).call().unwrap().status().as_u16(), 200);
    assert_eq!(fixture.get(&head).0, 403);
    let delete = fixture.presign("b/2", &["--method", "delete"]);
    assert_eq!(fixture.agent.delete(&delete).call().unwrap().status().as_u16(), 204);
    assert!(!fixture.server.file(BUCKET, "b/2").exists());

    // An upload in parts.
    let created = fixture
        .agent
        .post(fixture.presign("big", &["--method", "POST", "--query", "uploads="]))
        .send_empty()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    let (_, rest) = created.split_once("<UploadId>").unwrap_or_else(|| panic!("{created}"));
    let (id, _) = rest.split_once("</UploadId>").unwrap();
    let mut complete = String::from("<CompleteMultipartUpload>");
    for (number, byte) in [("1", b'x'), ("2", b'y')] {
        let part = vec![byte; 5 << 20];
        let url = fixture.presign("big", &["-X", "PUT", "--upload-id", id, "--part-number", number]);
        let response = fixture.agent.put(&url).send(&part[..]).unwrap();
        assert_eq!(response.status().as_u16(), 200, "{url}");
        let tag = response.headers()["etag"].to_str().unwrap();
        complete += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
        let changed = url.replace(&format!("partNumber={number}"), "partNumber=3");
        assert_eq!(fixture.put(&changed, b"small"), 403);
    }
    complete += "</CompleteMultipartUpload>";
    let url = fixture.presign("big", &["-X", "POST", "--upload-id", id]);
    assert_eq!(fixture.agent.post(&url).send(&complete).unwrap().status().as_u16(), 200);
    let stored = std::fs::read(fixture.server.file(BUCKET, "big")).unwrap();
    assert_eq!((stored.len(), stored.first(), stored.last()), (10 << 20, Some(&b'x'), Some(&b'y')));
}

#[test]
fn what_is_uploaded_is_as_the_link_says() {
    let fixture = Fixture::new();
    // SHA-256 of `content`, in base64.
    let checksum = "7XACtDnprIRfIjV9giusFERzD722AW0+yUMil7nsn3M=";
    let url = fixture.presign(
        "a",
        &[
            "-X",
            "PUT",
            "--content-type",
            "text/x-test",
            "--content-length",
            "7",
            "--acl",
            "private",
            "--tag",
            "who=a b",
            "--tag",
            "c=",
            "--sse",
            "AES256",
            "--header",
            "x-amz-meta-note=1",
        ],
    );
    let signed = "content-length%3Bcontent-type%3Bhost%3Bx-amz-acl%3Bx-amz-meta-note%3Bx-amz-server-side-encryption%3B\
                  x-amz-tagging";
    assert!(url.contains(&format!("X-Amz-SignedHeaders={signed}&")), "{url}");
    let put = |content_type: &str, tags: &str, body: &[u8]| {
        let request = fixture.agent.put(&url).content_type(content_type);
        let request = request.header("x-amz-acl", "private").header("x-amz-tagging", tags);
        let request = request.header("x-amz-server-side-encryption", "AES256").header("x-amz-meta-note", "1");
        request.send(body).unwrap().status().as_u16()
    };
    assert_eq!(put("text/x-test", "who=a%20b&c=", b"content"), 200);
    assert_eq!(put("text/html", "who=a%20b&c=", b"content"), 403);
    assert_eq!(put("text/x-test", "who=eve", b"content"), 403);
    assert_eq!(put("text/x-test", "who=a%20b&c=", b"other content"), 403);
    assert_eq!(fixture.put(&url, b"content"), 403);

    let url = fixture.presign("b", &["-X", "PUT", "--checksum", &format!("SHA256={checksum}")]);
    let put = |checksum: &str, body: &[u8]| {
        let request = fixture.agent.put(&url).header("x-amz-checksum-sha256", checksum);
        request.send(body).unwrap().status().as_u16()
    };
    assert_eq!(put(checksum, b"content"), 200);
    assert_eq!(put("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", b""), 403);
    // What the checksum says is the server's to check.
    assert_eq!(put(checksum, b"another"), 400);
}

#[test]
fn how_long_a_link_works_and_what_it_wants_is_said() {
    let fixture = Fixture::new();
    let at = ["--at", "2026-11-22T04:00:00Z", "--expires", "15m", "-X", "PUT", "--content-type", "a/b"];
    let endpoint = fixture.server.endpoint();
    let object = format!("s3://{BUCKET}/a");
    let fixed = ["presign", &object, "--endpoint", &endpoint];
    let output = fixture.home.run(&[&fixed[..], &at].concat(), "").unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("It works until 2026-11-22 04:15:00 UTC."), "{said}");
    assert!(said.contains("must send content-type: a/b"), "{said}");
    let json = fixture.home.succeed(&[&["--json"], &fixed[..], &at].concat(), "").unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["method"], &json["headers"]["content-type"]), (&"PUT".into(), &"a/b".into()));
    assert_eq!(json["expires_at"], 1_795_320_900);
    let quiet = fixture.home.run(&[&["--quiet"], &fixed[..], &at].concat(), "").unwrap();
    let said = String::from_utf8(quiet.stderr).unwrap();
    assert!(said.starts_with("Touch your key") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_link_is_refused_once_a_byte_is_changed() {
    let fixture = Fixture::new();
    fixture.server.put(BUCKET, "a b/ü+%~.txt", b"content").unwrap();
    fixture.server.put(BUCKET, "b b/ü+%~.txt", b"another").unwrap();
    let url = fixture.presign("a b/ü+%~.txt", &[]);
    assert_eq!(fixture.get(&url), (200, b"content".to_vec()));

    let check = |from: &str, to: &str| {
        let changed = url.replacen(from, to, 1);
        assert_ne!(changed, url, "{from}");
        let (status, body) = fixture.get(&changed);
        assert!(matches!(status, 400 | 403), "{changed}: {status} {}", String::from_utf8_lossy(&body));
    };
    check("/a%20b/", "/b%20b/");
    check("X-Amz-Expires=3600", "X-Amz-Expires=3601");
    check("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=host%3Bx-amz-a");
    check("eu-west-1", "eu-west-2");
    check("X-Amz-Algorithm", "versionId=1&X-Amz-Algorithm");
    check(ACCESS_KEY_ID, "AKIAIOSFODNN7EXAMPLF");
    // Every digit of the signature counts.
    let (rest, signature) = url.split_once("X-Amz-Signature=").unwrap();
    for at in 0..signature.len() {
        let digit = if &signature[at..=at] == "0" { "1" } else { "0" };
        let changed = format!("{rest}X-Amz-Signature={}{digit}{}", &signature[..at], &signature[at + 1..]);
        assert_eq!(fixture.get(&changed).0, 403, "{changed}");
    }
    // A link to fetch does not store.
    assert_eq!(fixture.put(&url, b"other"), 403);
}

#[test]
fn a_link_is_refused_when_its_time_is_over() {
    let fixture = Fixture::new();
    fixture.server.put(BUCKET, "a", b"content").unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let check = |ago: u64, expires: &str, works: bool| {
        let url = fixture.presign("a", &["--expires", expires, "--at", &(now - ago).to_string()]);
        let (status, body) = fixture.get(&url);
        assert_eq!(status == 200, works, "{url}: {status} {}", String::from_utf8_lossy(&body));
    };
    check(60, "10m", true);
    check(60, "50", false);
    check(3600, "59m", false);
    check(6 * 86400, "7d", true);
    check(7 * 86400 + 60, "7d", false);
}

#[test]
fn what_the_link_sets_is_what_the_server_answers() {
    let fixture = Fixture::new();
    fixture.server.put(BUCKET, "a", b"content").unwrap();
    let disposition = "attachment; filename=\"ü +.txt\"";
    let url = fixture
        .presign("a", &["--response", "content-type=text/x-test", "--header", "x-amz-checksum-mode=ENABLED"]);
    // The signed header belongs to the request.
    assert_eq!(fixture.get(&url).0, 403);
    let response = fixture.agent.get(&url).header("x-amz-checksum-mode", "ENABLED").call().unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let url = fixture.presign("a", &["--response", &format!("content-disposition={disposition}")]);
    assert_eq!(fixture.get(&url).0, 200);
}

#[test]
fn keys_are_kept_as_they_are() {
    let fixture = Fixture::new();
    for key in
        ["..", ".", "/", "//", "a/../b", "a/./b", "a//b/", "/a", "../../etc/passwd", "a/..//.", "%2e%2e/a"]
    {
        let link = fixture.presign(key, &[]);
        let path = key.replace('%', "%25");
        let start = format!("{}/{BUCKET}/{path}?X-Amz-Algorithm=", fixture.server.endpoint());
        assert!(link.starts_with(&start), "{key}: {link}");
    }
}

/// As curl does unless it is told not to, and every browser.
#[test]
fn paths_that_programs_change_are_told_once() {
    let fixture = Fixture::new();
    let check = |key: &str, options: &[&str], expected: usize| {
        let object = format!("s3://{BUCKET}/{key}");
        let endpoint = fixture.server.endpoint();
        let args = [&["presign", &object, "--endpoint", &endpoint], options].concat();
        let output = fixture.home.run(&args, "").unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert_eq!(said.matches("a . or .. between the slashes").count(), expected, "{key}: {said}");
        assert_eq!(said.matches("--path-as-is").count(), expected, "{key}: {said}");
    };
    for key in ["a/../b", "..", "./a", "a/."] {
        check(key, &[], 1);
    }
    check("a/../b", &["--json"], 1);
    check("a/../b", &["-q"], 0);
    check("a/../b/", &["--list"], 0);
    for key in ["a", ".a/b.", "a/.../b", "..a"] {
        check(key, &[], 0);
    }
}

/// Temporary credentials from wherever they come sign no longer than they last.
#[test]
fn sessions_sign_links_that_end_with_them() {
    let fixture = Fixture::new();
    fixture.server.put(BUCKET, "a", b"content").unwrap();
    let object = format!("s3://{BUCKET}/a");
    let endpoint = fixture.server.endpoint();
    let fixed = ["--json", "presign", &object, "--endpoint", &endpoint, "--region", "eu-west-1"];
    let presign = |home: &Home, source: &str, input: &str, expires: &str| {
        let args = [&fixed[..], &["--credentials", source, "--expires", expires]].concat();
        let output = home.run(&args, input).unwrap();
        let text = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.code().unwrap(), serde_json::from_slice::<serde_json::Value>(&text).unwrap())
    };
    let end = std::time::SystemTime::now() + std::time::Duration::from_secs(1800);
    let end = end.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let expiration = keyfob_core::sigv4::AmzDate::from_unix(end).unwrap().to_iso8601();
    // The server knows the identity without a session: as long-term credentials that end.
    let given = format!(
        r#"{{"Version":1,"AccessKeyId":"{ACCESS_KEY_ID}","SecretAccessKey":"{SECRET_ACCESS_KEY}","Expiration":"{expiration}"}}"#
    );
    let file = fixture.home.write("session", &given).unwrap();
    let file = file.to_str().unwrap();
    for (source, input) in [(file, ""), ("-", &*given)] {
        let (code, link) = presign(&fixture.home, source, input, "15m");
        assert_eq!(
            (code, fixture.get(link["url"].as_str().unwrap())),
            (0, (200, b"content".to_vec())),
            "{link}"
        );
        assert!(link["expires_at"].as_u64().unwrap() <= end);
        let (code, error) = presign(&fixture.home, source, input, "1h");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(
            code == 2 && message.starts_with("the session ends in ") && message.contains("min"),
            "{error}"
        );
        assert!(error["error"]["hint"].as_str().unwrap().starts_with("give --expires "), "{error}");
    }
    let ended = given.replace(&expiration, "2026-01-01T00:00:00Z");
    let (code, error) = presign(&fixture.home, "-", &ended, "15m");
    assert!(code == 2 && error["error"]["message"].as_str().unwrap().contains("has ended"), "{error}");
    // What is none is not repeated.
    for wrong in [
        "hunter2",
        "",
        "{}",
        r#"{"AccessKeyId":"A","SecretAccessKey":"hunter2","SessionToken":"hunter2\u0007"}"#,
    ] {
        let (code, error) = presign(&fixture.home, "-", wrong, "15m");
        assert!(code == 2 && !error.to_string().contains("hunter2"), "{error}");
    }
    let (code, error) = presign(&fixture.home, "no-such-file", "", "15m");
    assert!(code == 1 && error["error"]["message"].as_str().unwrap().contains("no-such-file"), "{error}");

    let mut home = Home::new().unwrap();
    let (code, error) = presign(&home, "env", "", "15m");
    assert_eq!((code, &error["error"]["code"]), (7, &"not-found".into()), "{error}");
    for (name, value) in
        [("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "t+/")]
    {
        home.set(name, value);
    }
    let (code, link) = presign(&home, "env", "", "15m");
    assert!(code == 0 && link["url"].as_str().unwrap().contains("&X-Amz-Security-Token=t%2B%2F&"), "{link}");
    assert_eq!(link["identity"], "ASIAEXAMPLE");
}

#[test]
fn variables_that_choose_an_endpoint_are_named() {
    #[track_caller]
    fn check(name: &str, value: &str, options: &[&str], expected: Result<&str, &[&str]>) {
        let mut home = Home::with_software_key().unwrap();
        home.succeed(&["aws", "add", ACCESS_KEY_ID], SECRET_ACCESS_KEY).unwrap();
        home.set(name, value);
        let args = [&["presign", "s3://test-bucket/a", "--region", "eu-west-1"], options].concat();
        let output = home.run(&args, "").unwrap();
        let (out, said) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        match expected {
            Ok(start) => assert!(output.status.success() && out.starts_with(start), "{out}{said}"),
            Err(parts) => {
                assert_eq!((output.status.code(), out.as_str()), (Some(2), ""), "{said}");
                assert!(parts.iter().all(|part| said.contains(part)), "{said}");
            }
        }
    }
    let dual_stack = "AWS_USE_DUALSTACK_ENDPOINT";
    let fips = "AWS_USE_FIPS_ENDPOINT";
    let server = ["--endpoint", "http://127.0.0.1:9"];
    check(dual_stack, "True", &[], Ok("https://test-bucket.s3.dualstack.eu-west-1.amazonaws.com/a?"));
    check(fips, "true", &[], Ok("https://test-bucket.s3-fips.eu-west-1.amazonaws.com/a?"));
    for value in ["", "false", "FALSE"] {
        check(fips, value, &server, Ok("http://127.0.0.1:9/test-bucket/a?"));
    }
    let said = [&format!("{dual_stack} is set, and ")[..], &format!("unset {dual_stack}")];
    check(dual_stack, "true", &server, Err(&said));
    check(fips, "true", &["--accelerate"], Err(&["AWS_USE_FIPS_ENDPOINT is set, and Transfer Acceleration"]));
    for value in ["nonsense", "1", "yes"] {
        let said = format!("{fips} is {value:?}");
        check(fips, value, &[], Err(&[&said, "set it to true or false"]));
    }
}

#[test]
fn what_cannot_be_signed_is_refused_with_its_reason() {
    let fixture = Fixture::new();
    #[track_caller]
    fn check(fixture: &Fixture, args: &[&str], code: &str, part: &str) {
        let fixed = ["--json", "presign", "--region", "eu-west-1"];
        let output = fixture.home.run(&[&fixed, args].concat(), "").unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.stdout.is_empty());
        let answer: serde_json::Value = serde_json::from_str(&error).unwrap_or_default();
        assert_eq!(answer["error"]["code"], code, "{error}");
        let message = format!("{} {}", answer["error"]["message"], answer["error"]["hint"]);
        assert!(message.contains(part), "{message}");
    }
    check(&fixture, &["s3://test-bucket/"], "invalid-input", "empty");
    check(&fixture, &[&format!("s3://test-bucket/{}", "k".repeat(1025))], "invalid-input", "1025");
    check(&fixture, &["s3://test-bucket/a", "--expires", "604801"], "invalid-input", "604800");
    check(&fixture, &["s3://test-bucket/a", "--expires", "8d"], "invalid-input", "604800");
    check(&fixture, &["s3://test-bucket/a", "--expires", "0"], "invalid-input", "604800");
    check(&fixture, &["s3://Bad_Bucket/a"], "invalid-input", "Bad_Bucket");
    // No endpoint has it all.
    let object = "s3://test-bucket/a";
    check(&fixture, &[object, "--fips", "--accelerate"], "invalid-input", "no FIPS endpoint");
    check(&fixture, &[object, "--path-style", "--accelerate"], "invalid-input", "path addressing");
    check(&fixture, &["s3://my.bucket/a", "--accelerate"], "invalid-input", "certificate");
    check(&fixture, &["s3://my.bucket/a", "--addressing", "virtual"], "invalid-input", "certificate");
    check(&fixture, &[object, "--endpoint", "http://127.0.0.1:1", "--fips"], "invalid-input", "AWS's own");
    let local = ["--endpoint", "http://127.0.0.1:1", "--addressing", "virtual"];
    check(&fixture, &[&[object][..], &local].concat(), "invalid-input", "address");
    check(&fixture, &["s3://b--euw1-az1--x-s3/a", "--path-style"], "invalid-input", "host name each");
    let arn = "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/ap-1/a";
    check(&fixture, &[arn, "--accelerate"], "invalid-input", "access points");
    let arn = "s3://arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap/a";
    check(&fixture, &[arn], "invalid-input", "SigV4A");
    check(&fixture, &["s3://mfzwi23gnjvgw.mrap/a"], "invalid-input", "SigV4A");
    // Buckets that are none.
    for bucket in
        ["ab", "a..b", "-ab", "ab-", "a.-b", "a_b", "ABC", "b\u{fc}cket", "192.168.1.1", &"b".repeat(64)]
    {
        let part = if bucket == "192.168.1.1" { "IP address" } else { bucket.trim_start_matches("b\u{fc}") };
        check(&fixture, &[&format!("s3://{bucket}/a")], "invalid-input", part);
    }
    // Headers that the signature has itself, that are there twice, or that cannot be one.
    for (headers, part) in [
        (&["host=evil.test"][..], "signed anyway"),
        (&["content-type=a", "Content-Type=b"], "given twice"),
        (&["authorization=x"], "authorization"),
        (&["x-amz-date=20260101T000000Z"], "x-amz-date"),
        (&["x amz=1"], "x amz"),
        (&["content-type=\u{fc}"], "content-type"),
        (&["=x"], "NAME=VALUE"),
    ] {
        let headers = headers.iter().flat_map(|header| ["--header", header]);
        let args: Vec<_> = [object, "-X", "PUT"].into_iter().chain(headers).collect();
        check(&fixture, &args, "invalid-input", part);
    }
    check(&fixture, &[object, "--query", "X-Amz-Expires=9"], "invalid-input", "X-Amz-Expires");
    check(&fixture, &[object, "--version-id", "1", "--query", "versionId=2"], "invalid-input", "versionId");
    // Another operation than the one that is said.
    check(&fixture, &[object, "--query", "acl="], "invalid-input", "acl");
    check(&fixture, &[object, "--query", "prefix=a"], "invalid-input", "prefix");
    for method in ["PUT", "DELETE"] {
        check(&fixture, &[object, "--list", "-X", method], "invalid-input", "a list is read");
    }
    check(&fixture, &["s3://test-bucket/"], "invalid-input", "or --list, for the list of the bucket");
    for (parameter, part) in
        [("response-foo=a", "response-content-disposition"), ("response-x=1", "partNumber, uploadId")]
    {
        check(&fixture, &[object, "--query", parameter], "invalid-input", part);
    }
    check(&fixture, &[object, "--response", "foo=a"], "invalid-input", "response-expires");
    // What can be signed, and what S3 refuses whoever uses it.
    for (options, part) in [
        (&["--checksum", "sha256=abc"][..], "x-amz-checksum-sha256 is 32 bytes in base64"),
        (&["--checksum", "sha256="], "x-amz-checksum-sha256 is 32 bytes in base64"),
        (&["--checksum", "sha256=!!"], "x-amz-checksum-sha256 is 32 bytes in base64"),
        (&["--checksum", "sha256=AAAAAA=="], "x-amz-checksum-sha256 is 32 bytes in base64"),
        (&["--checksum", "crc32=AAAAAA"], "x-amz-checksum-crc32 is 4 bytes in base64"),
        (&["--header", "X-Amz-Checksum-Crc64nvme=AAAAAA=="], "x-amz-checksum-crc64nvme is 8 bytes"),
        (&["--part-number", "5"], "give its id too"),
        (&["--query", "partNumber=5"], "give its id too"),
        (&["--upload-id", ""], "the upload id is empty"),
        (&["--version-id", ""], "the version id is empty"),
        (&["--query", "versionId="], "the version id is empty"),
        (&["--content-type", ""], "the content type is empty"),
        (&["--sse", "AES256", "--sse-kms-key-id", "k"], "encryption without KMS"),
        (&["--at", "9999-12-31T23:59:59Z", "--expires", "7d"], "beyond the year 9999"),
    ] {
        check(&fixture, &[&[object, "-X", "PUT"], options].concat(), "invalid-input", part);
    }
    for options in [
        &["-X", "PUT", "--checksum", "crc32=AAAAAA=="][..],
        &["-X", "PUT", "--checksum", "crc64nvme=AAAAAAAAAAA="],
        &["-X", "PUT", "--upload-id", "u", "--part-number", "5"],
        &["-X", "PUT", "--sse", "aws:kms", "--sse-kms-key-id", "k"],
        // That of an object of two parts.
        &["-X", "POST", "--upload-id", "u", "--header", "x-amz-checksum-crc32=AAAAAA==-2"],
        &["--part-number", "5", "--at", "9999-12-31T23:59:58Z", "--expires", "1s"],
    ] {
        fixture.home.succeed(&[&["presign", "--region", "eu-west-1", object], options].concat(), "").unwrap();
    }
    check(
        &fixture,
        &[object, "-X", "PUT", "--header", "x-amz-copy-source=b/c"],
        "invalid-input",
        "copy-source",
    );
    let secret = "x-amz-server-side-encryption-customer-key=c2VjcmV0";
    check(&fixture, &[object, "--header", secret], "invalid-input", "is a secret");
    check(
        &fixture,
        &["s3://test-bucket/a", "--identity", "AKIAIOSFODNN7NOTHERE"],
        "not-found",
        "AKIAIOSFODNN7NOTHERE",
    );
}
