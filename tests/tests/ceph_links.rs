//! The links that `keyfob presign` prints, against Ceph's gateway: versions, uploads as they were announced, every byte of a key,
//! lists of whatever a bucket holds, temporary credentials.

use std::collections::BTreeMap;

use keyfob_tests::ceph::Ceph;
use keyfob_tests::home::Home;
use keyfob_tests::http::{self, Answer};
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use serde_json::Value;

const BUCKET: &str = "test-bucket";

/// A gateway, and a software key with the identity of its one user.
struct Fixture {
    server: Ceph,
    home: Home,
}

impl Fixture {
    fn new() -> Self {
        let server = Ceph::with_bucket(BUCKET).unwrap();
        let mut home = Home::with_software_key().unwrap();
        home.set("AWS_REGION", "eu-west-1");
        home.succeed(&["aws", "add", ACCESS_KEY_ID], SECRET_ACCESS_KEY).unwrap();
        Self { server, home }
    }

    /// What is printed; the key comes as it is.
    #[track_caller]
    fn presign(&self, key: &str, options: &[&str]) -> String {
        let object = format!("s3://{BUCKET}/{key}");
        let endpoint = self.server.endpoint();
        let own = ["presign", &object, "--endpoint", &endpoint];
        self.home.succeed(&[&own, options].concat(), "").unwrap().trim_end().to_owned()
    }

    #[track_caller]
    fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        http::send(self.server.port(), method, url, headers, body).unwrap()
    }

    #[track_caller]
    fn put(&self, key: &str, content: &[u8]) -> Answer {
        let answer = self.ask("PUT", &self.presign(key, &["-X", "PUT"]), &[], content);
        assert_eq!(answer.status, 200, "{key:?}: {}", answer.text());
        answer
    }

    /// Lets the user ask for sessions.
    #[track_caller]
    fn allow_sessions(&self) {
        let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C\
                      %22Action%22%3A%22sts%3A%2A%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";
        let allow = "Action=PutUserPolicy&Version=2010-05-08&UserName=alice&PolicyName=sts&PolicyDocument=";
        self.send("POST", "/", "iam", &format!("{allow}{policy}"));
    }

    /// A request signed in its headers, and sent by `keyfob`.
    #[track_caller]
    fn send(&self, method: &str, path: &str, service: &str, body: &str) -> String {
        let url = self.server.endpoint() + path;
        let options = ["sign", method, &url, "--service", service, "--send", "--data", body];
        self.home.succeed(&options, "").unwrap()
    }
}

/// The contents of the first element of that name.
#[track_caller]
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split_once("</").unwrap().0
}

/// A bit of the last digit.
fn tampered(url: &str) -> String {
    let (rest, digit) = url.split_at(url.len() - 1);
    format!("{rest}{}", if digit == "0" { '1' } else { '0' })
}

#[test]
fn a_link_is_for_its_version() {
    let fixture = Fixture::new();
    let enable = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    fixture.send("PUT", &format!("/{BUCKET}?versioning"), "s3", enable);
    let first = fixture.put("a", b"first").header("x-amz-version-id").to_owned();
    let second = fixture.put("a", b"the second").header("x-amz-version-id").to_owned();
    let url = fixture.presign("a", &["--version-id", &first]);
    assert_eq!(fixture.ask("GET", &url, &[], b"").text(), "first");
    assert_eq!(fixture.ask("GET", &url.replace(&first, &second), &[], b"").status, 403);
    assert_eq!(fixture.ask("GET", &fixture.presign("a", &[]), &[], b"").text(), "the second");
    // Its names of versions begin with a dash at times.
    let url = fixture.presign("a", &["--version-id", "-a", "--upload-id", "-b"]);
    assert!(url.contains("&uploadId=-b&versionId=-a&"), "{url}");
    // Tried by the program itself.
    let checked = fixture.presign("a", &["--version-id", &second, "--check", "--json"]);
    let checked: Value = serde_json::from_str(&checked).unwrap();
    assert_eq!(checked["check"]["bytes"], 10, "{checked}");
    let url = fixture.presign("a", &["-X", "DELETE", "--version-id", &first]);
    assert_eq!(fixture.ask("DELETE", &tampered(&url), &[], b"").status, 403);
    assert_eq!(fixture.ask("DELETE", &url, &[], b"").status, 204);
    let gone = fixture.presign("a", &["--version-id", &first]);
    assert_eq!(fixture.ask("GET", &gone, &[], b"").status, 404);
    let versions = fixture.presign("", &["--query", "versions="]);
    let versions = fixture.ask("GET", &versions, &[], b"").text();
    assert!(versions.contains(&second) && !versions.contains(&first), "{versions}");
}

#[test]
fn what_is_uploaded_is_as_the_link_says() {
    let fixture = Fixture::new();
    let options =
        ["-X", "PUT", "--content-type", "text/x-test", "--content-length", "7", "--acl", "public-read"];
    let more = ["--tag", "who=a b", "--tag", "c=", "--header", "x-amz-meta-note=two words"];
    let url = fixture.presign("a", &[&options[..], &more].concat());
    let headers = [
        ("content-type", "text/x-test"),
        ("x-amz-acl", "public-read"),
        ("x-amz-meta-note", "two words"),
        ("x-amz-tagging", "who=a%20b&c="),
    ];
    for i in 0..headers.len() {
        let mut changed = headers;
        changed[i].1 = "private";
        assert_eq!(fixture.ask("PUT", &url, &changed, b"content").status, 403, "{changed:?}");
        let fewer = [&headers[..i], &headers[i + 1..]].concat();
        assert_eq!(fixture.ask("PUT", &url, &fewer, b"content").status, 403, "{fewer:?}");
    }
    assert_eq!(fixture.ask("PUT", &url, &headers, b"longer content").status, 403);
    assert_eq!(fixture.ask("GET", &fixture.presign("a", &[]), &[], b"").status, 404);
    assert_eq!(fixture.ask("PUT", &url, &headers, b"content").status, 200);
    // Everybody may read it, and it is what the headers said.
    let public = fixture.ask("GET", &format!("{}/{BUCKET}/a", fixture.server.endpoint()), &[], b"");
    assert_eq!((public.status, public.text().as_str()), (200, "content"));
    assert_eq!(
        (public.header("content-type"), public.header("x-amz-meta-note")),
        ("text/x-test", "two words")
    );
    let tags = fixture.send("GET", &format!("/{BUCKET}/a?tagging"), "s3", "");
    assert!(tags.contains("<Key>who</Key><Value>a b</Value>"), "{tags}");

    let options = ["--response", "content-type=text/x-other", "--response", "content-disposition=attachment"];
    let url = fixture.presign("a", &options);
    let answer = fixture.ask("GET", &url, &[], b"");
    let answered = (answer.header("content-type"), answer.header("content-disposition"));
    assert_eq!(answered, ("text/x-other", "attachment"));
    assert_eq!(fixture.ask("GET", &url.replace("x-other", "x-html"), &[], b"").status, 403);

    // In parts.
    let begin = fixture.presign("big", &["-X", "POST", "--query", "uploads="]);
    let begun = fixture.ask("POST", &begin, &[], b"").text();
    let id = element(&begun, "UploadId");
    let mut complete = String::from("<CompleteMultipartUpload>");
    for (number, part) in [("1", vec![b'x'; 5 << 20]), ("2", b"y".to_vec())] {
        let url = fixture.presign("big", &["-X", "PUT", "--upload-id", id, "--part-number", number]);
        let answer = fixture.ask("PUT", &url, &[], &part);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let tag = answer.header("etag");
        complete += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
        let other = url.replace(&format!("partNumber={number}"), "partNumber=3");
        assert_eq!(fixture.ask("PUT", &other, &[], b"small").status, 403);
    }
    complete += "</CompleteMultipartUpload>";
    let url = fixture.presign("big", &["-X", "POST", "--upload-id", id]);
    assert_eq!(fixture.ask("POST", &url, &[], complete.as_bytes()).status, 200);
    let head = fixture.ask("HEAD", &fixture.presign("big", &["-X", "HEAD"]), &[], b"");
    assert_eq!(head.header("content-length"), ((5 << 20) + 1).to_string());
}

/// Keys that a file system could not hold.
const KEYS: [&str; 15] = [
    "/a",
    "a/",
    "a//b",
    "..",
    "../a",
    "a/../b",
    "./a",
    " a ",
    "a+b%20%2F",
    "!*'()&=?#;:@,$[]{}|^`\"<>\\",
    "tab\there",
    "line\nbreak",
    "ü 日本語 🔑",
    "{\"key\": 1}",
    "s3://other/key",
];

#[test]
fn every_byte_of_a_key_stays() {
    let fixture = Fixture::new();
    let host = format!("http://{}:{}", Ceph::DOMAIN, fixture.server.port());
    for key in KEYS {
        fixture.put(key, key.as_bytes());
        let answer = fixture.ask("GET", &fixture.presign(key, &[]), &[], b"");
        assert_eq!((answer.status, answer.text().as_str()), (200, key));
        let object = format!("s3://{BUCKET}/{key}");
        let url = ["presign", &object, "--endpoint", &host, "--addressing", "virtual"];
        let url = fixture.home.succeed(&url, "").unwrap();
        assert!(url.starts_with(&format!("http://{BUCKET}.{}:", Ceph::DOMAIN)), "{url}");
        let answer = fixture.ask("GET", url.trim_end(), &[], b"");
        assert_eq!((answer.status, answer.text().as_str()), (200, key), "{url}");
        assert_eq!(fixture.ask("GET", &tampered(url.trim_end()), &[], b"").status, 403, "{url}");
    }

    // As the server lists them, and as somebody else does.
    let check = |lines: &str| {
        let mut found = BTreeMap::new();
        for line in lines.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let (key, url) = (record["key"].as_str().unwrap(), record["url"].as_str().unwrap());
            let answer = fixture.ask("GET", url, &[], b"");
            assert_eq!((answer.status, answer.text().as_str()), (200, key), "{url}");
            assert_eq!(fixture.ask("GET", &tampered(url), &[], b"").status, 403, "{url}");
            found.insert(key.to_owned(), ());
        }
        let expected: BTreeMap<_, _> = KEYS.iter().map(|key| ((*key).to_owned(), ())).collect();
        assert_eq!(found, expected);
    };
    check(&fixture.presign("", &["--recursive", "--format", "jsonl"]));
    let rest = fixture.presign("", &["--recursive", "--start-after", "-b", "--format", "jsonl"]);
    assert_eq!(rest.lines().count(), KEYS.iter().filter(|key| **key > "-b").count());
    let endpoint = fixture.server.endpoint();
    let bucket = format!("s3://{BUCKET}/");
    let stdin =
        ["presign", &bucket, "--endpoint", &endpoint, "--stdin", "--keys", "--null", "--format", "jsonl"];
    check(&fixture.home.succeed(&stdin, &KEYS.map(|key| format!("{key}\0")).concat()).unwrap());
}

#[test]
fn a_session_signs_until_it_ends() {
    let fixture = Fixture::new();
    fixture.put("a", b"content");
    fixture.allow_sessions();
    let ask = "Action=GetSessionToken&Version=2011-06-15&DurationSeconds=900";
    let session = |ask: &str| {
        let xml = fixture.send("POST", "/", "sts", ask);
        let field = |name: &str| Value::from(element(&xml, name));
        let names = ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"];
        let mut json: serde_json::Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), field(name))).collect();
        json.insert("Version".into(), 1.into());
        json
    };
    let (right, other) = (session(ask), session(ask));
    let write = |credentials: &serde_json::Map<String, Value>| {
        let file = fixture.home.write("session.json", &Value::from(credentials.clone()).to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let presign = |credentials: &serde_json::Map<String, Value>, expires: &str| {
        fixture.presign("a", &["--expires", expires, "--credentials", &write(credentials)])
    };
    let url = presign(&right, "10m");
    assert!(url.contains("X-Amz-Security-Token="), "{url}");
    assert_eq!(fixture.ask("GET", &url, &[], b"").text(), "content");
    assert_eq!(fixture.ask("GET", &tampered(&url), &[], b"").status, 403);
    // No link says that it lasts longer than its session.
    let object = format!("s3://{BUCKET}/a");
    let endpoint = fixture.server.endpoint();
    let long =
        ["presign", &object, "--endpoint", &endpoint, "--expires", "16m", "--credentials", &write(&right)];
    let output = fixture.home.run(&long, "").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("the session ends in 1"), "{said}");
    for field in ["SecretAccessKey", "SessionToken"] {
        let mut wrong = right.clone();
        wrong[field] = other[field].clone();
        let answer = fixture.ask("GET", &presign(&wrong, "10m"), &[], b"");
        assert_eq!(answer.status, 403, "{field}: {}", answer.text());
    }
}

#[test]
fn a_profiles_session_is_the_gateways_own() {
    let fixture = Fixture::new();
    fixture.put("a", b"content");
    fixture.allow_sessions();
    let endpoint = fixture.server.endpoint();
    let keyfob = keyfob_tests::tool("KEYFOB_BIN").unwrap();
    let config = format!(
        "[profile ceph]\nkeyfob_access_key_id = {ACCESS_KEY_ID}\nendpoint_url = {endpoint}\n\
         [profile tool]\ncredential_process = {} credential-process ceph\nendpoint_url = {endpoint}\n",
        keyfob.display()
    );
    std::fs::create_dir(fixture.home.path().join(".aws")).unwrap();
    fixture.home.write(".aws/config", &config).unwrap();
    let text = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let aws = keyfob_tests::tool("KEYFOB_AWS").unwrap();
    let object = format!("s3://{BUCKET}/a");
    let cat = ["s3", "cp", &object, "-", "--endpoint-url", &endpoint];
    // The gateway makes the session, by a request that the key has signed, and takes it on S3: no other server is in between.
    let mut exec = fixture.home.keyfob().unwrap();
    let output = exec.args(["exec", "ceph", "--"]).arg(&aws).args(cat).output().unwrap();
    assert_eq!(text(&output), "content", "{}", String::from_utf8_lossy(&output.stderr));
    let mut tool = fixture.home.command(&aws);
    let output = tool.args(cat).env("AWS_PROFILE", "tool").output().unwrap();
    assert_eq!(text(&output), "content", "{}", String::from_utf8_lossy(&output.stderr));
    // One session for both, and links that it signs.
    let sessions = fixture.home.succeed(&["--json", "sessions", "list"], "").unwrap();
    let sessions: Value = serde_json::from_str(&sessions).unwrap();
    assert_eq!(sessions.as_array().unwrap().len(), 1, "{sessions}");
    let credentials = fixture.home.succeed(&["credential-process", "ceph"], "").unwrap();
    let file = fixture.home.write("session.json", &credentials).unwrap();
    let url = fixture.presign("a", &["--credentials", file.to_str().unwrap()]);
    assert_eq!(fixture.ask("GET", &url, &[], b"").text(), "content");
    // A token that is another one's is none.
    let mut wrong: Value = serde_json::from_str(&credentials).unwrap();
    let token = wrong["SessionToken"].as_str().unwrap().to_owned();
    let (rest, last) = token.split_at(token.len() - 6);
    wrong["SessionToken"] = format!("{rest}{}", last.chars().rev().collect::<String>()).into();
    let file = fixture.home.write("session.json", &wrong.to_string()).unwrap();
    let url = fixture.presign("a", &["--credentials", file.to_str().unwrap()]);
    assert_eq!(fixture.ask("GET", &url, &[], b"").status, 403);
}
