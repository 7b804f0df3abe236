//! Forms that upload: posted to two real servers that verify them, refused when anything is changed, and equal to botocore's.

use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use keyfob_core::sigv4::AmzDate;
use keyfob_tests::ceph::Ceph;
use keyfob_tests::home::Home;
use keyfob_tests::http::{self, Answer};
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::s3s::S3s;
use keyfob_tests::{botocore, terminal};
use serde_json::{Value, json};

const BUCKET: &str = "test-bucket";

/// A home with a software key that makes both signatures.
fn home() -> Home {
    let home = Home::with_software_key().unwrap();
    home.succeed(&["aws", "add", ACCESS_KEY_ID, "--no-touch", "--signature", "both"], SECRET_ACCESS_KEY)
        .unwrap();
    home
}

/// A form's URL and fields, in any order.
#[derive(Debug, Clone)]
struct Form {
    url: String,
    fields: Vec<(String, String)>,
}

impl Form {
    #[track_caller]
    fn read(json: &str) -> Self {
        let json: Value = serde_json::from_str(json).unwrap();
        let fields = json["fields"].as_object().unwrap().iter();
        let fields = fields.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        Self { url: json["url"].as_str().unwrap().to_owned(), fields }
    }

    #[track_caller]
    fn make(home: &Home, endpoint: &str, object: &str, options: &[&str]) -> Self {
        let fixed = ["--json", "presign-post", object, "--endpoint", endpoint, "--region", "eu-west-1"];
        Self::read(&home.succeed(&[&fixed, options].concat(), "").unwrap())
    }

    /// With a field set to something else, or another one.
    fn with(&self, name: &str, value: &str) -> Self {
        let mut form = self.clone();
        form.fields.retain(|(other, _)| other != name);
        form.fields.push((name.to_owned(), value.to_owned()));
        form
    }

    fn field(&self, name: &str) -> &str {
        &self.fields.iter().find(|(other, _)| other == name).unwrap().1
    }

    /// Posts it with a file, as a browser does (RFC 7578).
    #[track_caller]
    fn post(&self, port: u16, file: &str, content: &[u8]) -> Answer {
        let boundary = "----a-boundary-that-is-in-no-file";
        let mut body = Vec::new();
        for (name, value) in &self.fields {
            let part =
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let part = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(part.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={boundary}");
        http::send(port, "POST", &self.url, &[("content-type", &kind)], &body).unwrap()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What is there, by a link.
#[track_caller]
fn get(home: &Home, endpoint: &str, port: u16, key: &str) -> Answer {
    let object = format!("s3://{BUCKET}/{key}");
    let link = ["presign", &object, "--endpoint", endpoint, "--region", "eu-west-1"];
    http::send(port, "GET", home.succeed(&link, "").unwrap().trim(), &[], b"").unwrap()
}

#[test]
fn a_gateway_takes_forms_as_they_are_signed() {
    let server = Ceph::with_bucket(BUCKET).unwrap();
    let (home, port, endpoint) = (home(), server.port(), server.endpoint());
    let make = |object: &str, options: &[&str]| {
        Form::make(&home, &endpoint, &format!("s3://{BUCKET}/{object}"), options)
    };
    let there = |key: &str| get(&home, &endpoint, port, key);

    let form = make("a b/ü+%~.txt", &[]);
    let answer = form.post(port, "other.txt", b"content");
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(there("a b/ü+%~.txt").text(), "content");

    // The name of the file behind a beginning, which may be nothing.
    let answer = make("up/", &["--prefix", "--status", "201"]).post(port, "my file.bin", &[0, 255, 13, 10]);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(there("up/my file.bin").body, [0, 255, 13, 10]);
    assert_eq!(make("", &["--prefix"]).post(port, "bare", b"x").status, 204);
    assert_eq!(there("bare").text(), "x");

    // Whatever has one value.
    let options = [
        "--content-type",
        "text/x-test",
        "--acl",
        "private",
        "--field",
        "x-amz-meta-who=a \"b\"; c",
        "--redirect",
        "http://127.0.0.1:1/done?x=1",
    ];
    let form = make("all", &options);
    let answer = form.post(port, "f", b"content");
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(answer.header("location").starts_with("http://127.0.0.1:1/done?x=1"), "{answer:?}");
    let stored = there("all");
    let header = |name| stored.header(name);
    assert_eq!((header("content-type"), header("x-amz-meta-who")), ("text/x-test", "a \"b\"; c"));

    // Whatever is chosen by whoever uploads.
    let form = make("chosen", &["--starts-with", "Content-Type=image/", "--starts-with", "x-amz-meta-note="]);
    let chosen = form.with("Content-Type", "image/png").with("x-amz-meta-note", "anything");
    assert_eq!(chosen.post(port, "f", b"png").status, 204);
    assert_eq!(there("chosen").header("content-type"), "image/png");
    assert_eq!(chosen.with("Content-Type", "text/html").post(port, "f", b"png").status, 403);

    // Lengths, both ends included.
    let form = make("sized", &["--min-bytes", "2", "--max-bytes", "4"]);
    let status = |content: &[u8]| form.post(port, "f", content).status;
    assert_eq!([b"12".as_slice(), b"1234"].map(status), [204, 204]);
    for wrong in [b"1".as_slice(), b"12345"] {
        assert!(matches!(status(wrong), 400 | 403), "{}", wrong.len());
    }

    refuses_changes(&make("one", &["--acl", "private"]), port, "x-amz-signature");
    assert_eq!(there("one").status, 404);

    // Late. Too early a form of Version 4 is not refused by this server, whose policies have an end only.
    let late = make("late", &["--at", &(now() - 7200).to_string(), "--expires", "1h"]);
    assert_eq!(late.post(port, "f", b"x").status, 403);
}

/// Posts a form for one key with every kind of change, all of which must be refused.
#[track_caller]
fn refuses_changes(form: &Form, port: u16, signature: &str) {
    let refused = |changed: &Form| {
        let answer = changed.post(port, "f", b"content");
        assert!(matches!(answer.status, 400 | 403), "{changed:#?}: {} {}", answer.status, answer.text());
    };
    refused(&form.with("key", "other"));
    refused(&form.with("acl", "public-read"));
    refused(&form.with("x-amz-meta-more", "1"));
    for (name, value) in &form.fields {
        let mut without = form.clone();
        without.fields.retain(|(other, _)| other != name);
        refused(&without);
        if name == signature || name == "policy" {
            // Every character of them, by one bit.
            for (at, byte) in value.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_alphanumeric()) {
                let bit = if byte.is_ascii_digit() { 1 } else { 2 };
                let mut bytes = value.clone().into_bytes();
                bytes[at] ^= bit;
                let changed = String::from_utf8(bytes).unwrap();
                // What is behind the last whole byte counts for nothing (RFC 4648, section 3.5).
                let same = name == "signature" && at + 2 == value.len();
                if !same && changed.bytes().all(|b| b.is_ascii_alphanumeric()) {
                    refused(&form.with(name, &changed));
                }
            }
        }
    }
}

#[test]
fn a_gateway_takes_forms_of_version_2() {
    let server = Ceph::with_bucket(BUCKET).unwrap();
    let (home, port, endpoint) = (home(), server.port(), server.endpoint());
    let make = |object: &str, options: &[&str]| {
        let object = format!("s3://{BUCKET}/{object}");
        Form::make(&home, &endpoint, &object, &[&["--sigv2"], options].concat())
    };
    let form = make("a b.txt", &[]);
    assert_eq!(form.field("AWSAccessKeyId"), ACCESS_KEY_ID);
    let answer = form.post(port, "f", b"content");
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(get(&home, &endpoint, port, "a b.txt").text(), "content");
    let form = make("up/", &["--prefix", "--max-bytes", "3"]);
    assert_eq!(form.post(port, "f", b"123").status, 204);
    assert_eq!(get(&home, &endpoint, port, "up/f").text(), "123");
    assert!(matches!(form.post(port, "g", b"1234").status, 400 | 403));
    refuses_changes(&make("one", &["--acl", "private"]), port, "signature");
    assert_eq!(get(&home, &endpoint, port, "one").status, 404);
    assert_eq!(make("late", &["--at", &(now() - 7200).to_string()]).post(port, "f", b"x").status, 403);
}

#[test]
fn another_server_takes_them_too_and_a_shell_posts_them() {
    let server = S3s::start(ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET).unwrap();
    let (home, endpoint) = (home(), server.endpoint());
    let form = Form::make(&home, &endpoint, &format!("s3://{BUCKET}/a/b"), &["--acl", "private"]);
    let answer = form.post(server.port(), "f", b"content");
    assert!(matches!(answer.status, 200 | 204), "{} {}", answer.status, answer.text());
    assert_eq!(std::fs::read(server.file(BUCKET, "a/b")).unwrap(), b"content");
    let other = form.with("x-amz-signature", &"0".repeat(64)).post(server.port(), "f", b"other");
    assert_eq!(other.status, 403, "{}", other.text());

    // The printed command, as a shell runs it: whatever is in the values and in the file's name.
    let file = "it's a \"file\"; $(x), `y` \\.txt";
    home.write(file, "uploaded\n").unwrap();
    let key = "q'\"$HOME\\ @x;type=a";
    let object = format!("s3://{BUCKET}/{key}");
    let post = ["presign-post", &object, "--endpoint", &endpoint, "--region", "eu-west-1"];
    let options = [
        "--format",
        "curl",
        "--file",
        file,
        "--field",
        "x-amz-meta-a=@/etc/passwd;type=b",
        "--content-type",
        "<x",
    ];
    let command = home.succeed(&[&post[..], &options].concat(), "").unwrap();
    let mut sh = home.command("/bin/sh");
    let output = sh.arg("-c").arg(&command).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(std::fs::read(server.file(BUCKET, key)).unwrap(), b"uploaded\n");
    // Nothing of the form is an argument, which others could read.
    let (arguments, rest) = command.split_once('\n').unwrap();
    assert_eq!(arguments, "curl --fail-with-body --globoff --config - <<'END'");
    assert!(rest.contains("x-amz-signature=") && rest.ends_with("\nEND\n"));
    // What is refused is no success.
    let changed = command.replace("x-amz-signature=", "x-amz-signature=0");
    let output = home.command("/bin/sh").arg("-c").arg(&changed).stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Fields of a page: its hidden inputs, with their values as a browser reads them.
fn inputs(html: &str) -> Vec<(String, String)> {
    let unescape = |text: &str| {
        let text =
            text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
        text.replace("&amp;", "&")
    };
    html.lines()
        .filter_map(|line| line.strip_prefix("<input type=\"hidden\" name=\"")?.strip_suffix("\">"))
        .map(|line| line.split_once("\" value=\"").unwrap())
        .map(|(name, value)| (unescape(name), unescape(value)))
        .collect()
}

#[test]
fn every_format_has_the_same_form() {
    let home = home();
    let object = format!("s3://{BUCKET}/<a> & \"b\"/");
    let fixed =
        ["presign-post", &object, "--prefix", "--region", "eu-west-1", "--at", "2026-11-22T04:00:00Z"];
    let fields =
        ["--starts-with", "Content-Type=image/", "--tag", "who=<me>", "--tag", "b=c", "--max-bytes", "9000"];
    let make = |options: &[&str]| home.run(&[&fixed[..], &fields, options].concat(), "").unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();

    let html = make(&[]);
    let json = Form::read(&text(&make(&["--format", "json"]).stdout));
    let page = text(&html.stdout);
    let mut sorted = inputs(&page);
    sorted.sort();
    assert_eq!(sorted, json.fields);
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains(&format!("<form action=\"{}\"", json.url)));
    // What a person sees.
    assert!(
        page.contains("<title>Upload to test-bucket</title>")
            && page.contains("<h1>Upload to test-bucket</h1>"),
        "{page}"
    );
    let stored = "A file of at most 9,000 bytes. It will be stored under its own name behind s3://test-bucket/&lt;a&gt; &amp; &quot;b&quot;/.";
    assert!(
        page.contains(&format!("<p>{stored}</p>\n<p>This form works until 2026-11-22 05:00:00 UTC.</p>")),
        "{page}"
    );
    assert!(
        page.contains("<p><label>Type of the file; it begins with image/<br>\n<input name=\"Content-Type\""),
        "{page}"
    );
    assert_eq!(json.field("key"), "<a> & \"b\"/${filename}");
    let tags = "<Tagging><TagSet><Tag><Key>who</Key><Value>&lt;me&gt;</Value></Tag><Tag><Key>b</Key><Value>c</Value></Tag>\
                </TagSet></Tagging>";
    assert_eq!(json.field("tagging"), tags);
    let said = text(&html.stderr);
    assert!(said.contains("It works until 2026-11-22 05:00:00 UTC."), "{said}");
    assert!(said.contains("must give the field Content-Type: what begins with image/"), "{said}");

    let output = make(&["--json"]);
    let own: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&own["expires_at"], &own["identity"]), (&1_795_323_600.into(), &ACCESS_KEY_ID.into()));
    assert_eq!(own["open"], json!({ "Content-Type": "image/" }));
    assert_eq!(Form::read(&text(&output.stdout)).fields, json.fields);
    let curl = make(&["--format", "curl"]);
    assert!(text(&curl.stderr).contains("in place of FILE"), "{curl:?}");
    assert!(text(&curl.stdout).contains("form = \"file=@\\\"FILE\\\"\""), "{curl:?}");
}

#[test]
fn botocore_makes_the_same_forms() {
    const TIME: u64 = 1_795_320_000;
    let home = home();
    home.write(
        "session",
        &format!(r#"{{"AccessKeyId":"{ACCESS_KEY_ID}","SecretAccessKey":"{SECRET_ACCESS_KEY}","SessionToken":"tok+/="}}"#),
    )
    .unwrap();
    /// Our options, and what botocore takes in their place.
    struct Case {
        object: &'static str,
        options: &'static [&'static str],
        question: Value,
    }
    let case = |object, options, more: Value| {
        let mut question = json!({
            "signature_version": "s3v4", "endpoint": null, "region": "eu-west-1", "addressing": "virtual",
            "access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY, "session_token": null,
            "time": TIME, "expires": 3600, "bucket": BUCKET, "fields": [], "conditions": [],
        });
        for (name, value) in more.as_object().unwrap() {
            question[name] = value.clone();
        }
        Case { object, options, question }
    };
    let (local, v2) = (json!("http://127.0.0.1:9000"), json!("s3"));
    let cases = [
        case("s3://test-bucket/k", &[], json!({ "key": "k" })),
        case(
            "s3://test-bucket/a//../ü \"x\"",
            &["-e", "7d"],
            json!({ "key": "a//../ü \"x\"", "expires": 604_800 }),
        ),
        case("s3://test-bucket/up/", &["--prefix"], json!({ "key": "up/${filename}" })),
        case("s3://test-bucket/", &["--prefix"], json!({ "key": "${filename}" })),
        case(
            "s3://test-bucket/k",
            &["--acl", "public-read", "--content-type", "text/plain", "--max-bytes", "99"],
            json!({
                "key": "k",
                "fields": [["Content-Type", "text/plain"], ["acl", "public-read"]],
                "conditions": [{ "Content-Type": "text/plain" }, { "acl": "public-read" }, ["content-length-range", 0, 99]],
            }),
        ),
        case(
            "s3://test-bucket/k",
            &["--starts-with", "x-amz-meta-a=b", "--status", "201", "--credentials", "session"],
            json!({
                "key": "k", "session_token": "tok+/=",
                "fields": [["success_action_status", "201"]],
                "conditions": [{ "success_action_status": "201" }, ["starts-with", "$x-amz-meta-a", "b"]],
            }),
        ),
        case(
            "s3://test-bucket/k",
            &["--endpoint", "http://127.0.0.1:9000"],
            json!({ "key": "k", "endpoint": local, "addressing": "path" }),
        ),
        case(
            "s3://my.bucket/k",
            &["--region", "cn-north-1"],
            json!({ "key": "k", "bucket": "my.bucket", "region": "cn-north-1", "addressing": "path" }),
        ),
        case(
            "s3://test-bucket/k",
            &["--endpoint", "http://127.0.0.1:9000", "--sigv2"],
            json!({ "key": "k", "endpoint": local, "addressing": "path", "signature_version": v2 }),
        ),
        case(
            "s3://test-bucket/up/",
            &["--endpoint", "http://127.0.0.1:9000", "--sigv2", "--prefix", "--acl", "private"],
            json!({
                "key": "up/${filename}", "endpoint": local, "addressing": "path", "signature_version": v2,
                "fields": [["acl", "private"]], "conditions": [{ "acl": "private" }],
            }),
        ),
    ];
    let questions: Vec<_> = cases.iter().map(|case| case.question.clone()).collect();
    let answers = botocore::client(&questions).unwrap();
    for (case, theirs) in cases.iter().zip(answers) {
        let at = TIME.to_string();
        let fixed = ["presign-post", case.object, "--format", "json", "--at", &at];
        let region = if case.options.contains(&"--region") { &[][..] } else { &["--region", "eu-west-1"] };
        let printed = home.succeed(&[&fixed, region, case.options].concat(), "").unwrap();
        let ours = Form::read(&printed);
        let mut fields: Vec<(String, String)> = serde_json::from_value(theirs["fields"].clone()).unwrap();
        fields.sort();
        assert_eq!((ours.url.as_str(), ours.fields), (theirs["url"].as_str().unwrap(), fields), "{printed}");
    }
}

#[test]
fn what_cannot_be_a_form_is_refused_with_its_reason() {
    let home = home();
    #[track_caller]
    fn check(home: &Home, object: &str, options: &[&str], part: &str) {
        let fixed = ["--json", "presign-post", object, "--region", "eu-west-1"];
        let output = home.run(&[&fixed, options].concat(), "").unwrap();
        let error: Value = serde_json::from_slice(&output.stderr).unwrap_or_default();
        let said = format!("{} {}", error["error"]["message"], error["error"]["hint"]);
        assert!(output.stdout.is_empty() && output.status.code() == Some(2), "{part}: {output:?}");
        assert!(said.contains(part), "{said}");
    }
    let object = "s3://test-bucket/k";
    check(&home, "test-bucket/k", &[], "is no S3 URL");
    check(&home, "s3://test-bucket", &[], "--prefix for any key");
    check(&home, &format!("s3://test-bucket/{}", "k".repeat(1025)), &[], "1025 bytes");
    check(&home, &format!("s3://test-bucket/{}", "k".repeat(1025)), &["--prefix"], "1025 bytes");
    check(&home, "s3://Bad_Bucket/k", &[], "Bad_Bucket");
    check(&home, "s3://test-bucket/a/${filename}", &[], "give --prefix");
    check(&home, object, &["--expires", "8d"], "604800");
    check(&home, object, &["--expires", "0"], "604800");
    check(&home, object, &["--min-bytes", "2", "--max-bytes", "1"], "2 bytes or more");
    check(&home, object, &["--max-bytes", "many"], "--max-bytes");
    check(&home, object, &["--field", "acl"], "NAME=VALUE");
    check(&home, object, &["--field", "key=other"], "the form has one of this name itself");
    check(&home, object, &["--field", "acl=a", "--acl", "b"], "given twice");
    check(&home, object, &["--field", "policy=x"], "the form has one of this name itself");
    check(&home, object, &["--starts-with", "acl=a", "--acl", "b"], "given twice");
    check(&home, object, &["--field", "a=b\r\nc"], "control characters in its value");
    for name in ["a\"b", "a\u{e4}", "a b"] {
        check(&home, object, &["--field", &format!("{name}=x")], "its name is to be of ASCII letters");
    }
    for name in ["success_action_redirect", "Redirect"] {
        let part = format!("{name}: ");
        check(&home, object, &["--field", &format!("{name}=javascript:alert(1)")], &part);
    }
    check(&home, object, &["--file", "f"], "add --format curl");
    check(&home, object, &["--redirect", "javascript:alert(1)"], "--redirect");
    check(&home, object, &["--redirect", "https://a.test", "--status", "200"], "cannot be used with");
    check(&home, object, &["--status", "404"], "404");
    let secret = "x-amz-server-side-encryption-customer-key=c2VjcmV0";
    check(&home, object, &["--field", secret], "is a secret");
    check(&home, object, &["--sigv2"], "AWS takes Signature Version 2 for no bucket made since");
    check(&home, "s3://b--euw1-az1--x-s3/k", &[], "general purpose buckets only");
    check(
        &home,
        "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/ap-1/k",
        &[],
        "general purpose buckets only",
    );
    let mrap = "s3://arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap/k";
    check(&home, mrap, &[], "SigV4A");
    // More than a key takes at once.
    let local = ["--endpoint", "http://127.0.0.1:9000", "--sigv2", "--acl", "bucket-owner-full-control"];
    let local = [&local[..], &["--max-bytes", "10", "--content-type", "text/plain"]].concat();
    check(&home, object, &local, "the key takes 217 at once");
    let output = home.run(&["presign-post", "s3://test-bucket/a\nb", "--region", "eu-west-1"], "").unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("browsers change the line breaks"));
    // Before a touch, and before anything is said of a form.
    for (file, part) in
        [("-", "cannot upload its stdin"), ("/dev/stdin", "its stdin"), ("a\nb", "line breaks")]
    {
        let post = ["presign-post", object, "--region", "eu-west-1", "--format", "curl", "--file", file];
        let output = home.run(&post, "").unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{file:?}: {said}");
        assert!(said.contains(part) && !said.contains("It works until") && !said.contains("Touch"), "{said}");
    }

    // A session, which signs by Version 4 alone, and no longer than it lasts.
    let session = format!(
        r#"{{"AccessKeyId":"ASIA","SecretAccessKey":"s","SessionToken":"t","Expiration":"{}"}}"#,
        AmzDate::from_unix(now() + 600).unwrap().to_iso8601()
    );
    home.write("session", &session).unwrap();
    check(&home, object, &["--credentials", "session"], "the session ends in");
    let post = ["presign-post", object, "--region", "eu-west-1", "--credentials", "session"];
    home.succeed(&[&post[..], &["--expires", "5m"]].concat(), "").unwrap();
    let local = ["--endpoint", "http://127.0.0.1:9000", "--sigv2", "--expires", "5m"];
    let output = home.run(&[&post[..], &local].concat(), "").unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not for temporary credentials"), "{output:?}");
}

#[test]
fn the_prompt_says_what_may_be_uploaded() {
    let home = Home::with_software_key().unwrap();
    home.succeed(&["aws", "add", ACCESS_KEY_ID], SECRET_ACCESS_KEY).unwrap();
    let mut keyfob: Command = home.keyfob().unwrap();
    keyfob.args([
        "presign-post",
        "s3://test-bucket/up/",
        "--prefix",
        "--region",
        "eu-west-1",
        "--max-bytes",
        "10",
    ]);
    keyfob.args(["--at", "2026-11-22T04:00:00Z"]);
    let run = terminal::run(&keyfob, &[]).unwrap();
    assert!(run.output.status.success(), "{}", run.screen);
    for part in ["a form", "begins with s3://test-bucket/up/", "0 to 10 bytes", "until 2026-11-22T05:00:00Z"]
    {
        assert!(run.screen.contains(part), "{part}: {}", run.screen);
    }
}
