//! Presigned links against a real S3 server that verifies signatures.

use keyfob_tests::home::Home;
use keyfob_tests::s3s::S3s;
use ureq::Agent;

const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
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
        let home = Home::new().unwrap();
        home.succeed(&["soft", "create", "demo"], "").unwrap();
        let add = ["--key", "soft:demo", "aws", "add", ACCESS_KEY_ID];
        home.succeed(&add, SECRET_ACCESS_KEY).unwrap();
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        Self { server, home, agent }
    }

    #[track_caller]
    fn presign(&self, key: &str, options: &[&str]) -> String {
        let object = format!("s3://{BUCKET}/{key}");
        let endpoint = self.server.endpoint();
        let fixed =
            ["--key", "soft:demo", "presign", &object, "--endpoint", &endpoint, "--region", "eu-west-1"];
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
fn what_cannot_be_signed_is_refused_with_its_reason() {
    let fixture = Fixture::new();
    #[track_caller]
    fn check(fixture: &Fixture, args: &[&str], code: &str, part: &str) {
        let fixed = ["--json", "--key", "soft:demo", "presign", "--region", "eu-west-1"];
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
    check(
        &fixture,
        &["s3://test-bucket/a", "--identity", "AKIAIOSFODNN7NOTHERE"],
        "not-found",
        "AKIAIOSFODNN7NOTHERE",
    );
}
