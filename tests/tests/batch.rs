//! Many links at once: every line against botocore, hostile lines, full disks, closed pipes, signals, keys that are pulled, and
//! a server that verifies what was listed and signed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use keyfob_tests::ceph::Ceph;
use keyfob_tests::home::Home;
use keyfob_tests::http;
use keyfob_tests::memory::mib;
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};
use keyfob_tests::s3s::S3s;
use keyfob_tests::{poll, tool};
use serde_json::{Value, json};

const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const BUCKET: &str = "test-bucket";
const AT: &str = "2026-11-22T00:00:00Z";
const TIME: u64 = 1_795_305_600;
/// Whatever happens, it happens within this time.
const NO_HANG: Duration = Duration::from_secs(30);

/// A home with an identity on the software key `demo`, which its programs use.
fn home() -> Home {
    let mut home = home_with_cards();
    home.set("KEYFOB_KEY", "soft:demo");
    home
}

/// The same, whose programs use the card that is there.
fn home_with_cards() -> Home {
    let mut home = Home::new().unwrap();
    home.succeed(&["soft", "create", "demo"], "").unwrap();
    home.set("AWS_REGION", "eu-west-1");
    home.succeed(&["--key", "soft:demo", "aws", "add", ACCESS_KEY_ID], SECRET_ACCESS_KEY).unwrap();
    home
}

/// Exit code, stdout and stderr, the latter without the touch prompt.
fn presign(home: &Home, args: &[&str], input: impl AsRef<[u8]>) -> (i32, String, String) {
    let mut keyfob = home.keyfob().unwrap();
    keyfob.arg("presign").args(args);
    keyfob.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = keyfob.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.as_ref().to_vec();
    // Who needs no input may have ended already.
    let feed = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    said(&output)
}

fn said(output: &Output) -> (i32, String, String) {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    let stderr: String =
        stderr.lines().filter(|l| !l.starts_with("Touch your key")).map(|l| format!("{l}\n")).collect();
    let code = output.status.code().unwrap_or_else(|| panic!("{:?}: {stderr}", output.status.signal()));
    (code, String::from_utf8(output.stdout.clone()).unwrap(), stderr)
}

/// The key that a link of [`BUCKET`] is for, without any encoded character in it.
fn key_of(link: &str) -> &str {
    let (_, path) = link.split_once(".amazonaws.com/").unwrap_or_else(|| panic!("{link}"));
    path.split('?').next().unwrap()
}

/// A link whose parameters, which are signed in one order, stand in it: botocore sends some in another.
fn sorted(link: &str) -> String {
    let (path, query) = link.split_once('?').unwrap();
    let mut parameters: Vec<&str> = query.split('&').collect();
    parameters.sort_unstable();
    format!("{path}?{}", parameters.join("&"))
}

/// botocore's answers to questions of the form that `oracle/botocore_presign.py` takes.
fn botocore(questions: &[Value]) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/botocore_presign.py");
    let mut child = Command::new(tool("KEYFOB_PYTHON").unwrap())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let feed = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let url = |line: &str| {
        let answer: Value = serde_json::from_str(line).unwrap();
        answer["url"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    answers.lines().map(url).collect()
}

#[test]
fn every_line_is_the_link_that_botocore_makes() {
    let home = home();
    let question = |bucket: &str, key: &str, method: &str, region: &str, expires: u64| {
        json!({
            "method": method, "endpoint": null, "region": region, "path_style": false, "bucket": bucket, "key": key,
            "access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY, "session_token": null,
            "time": TIME, "expires": expires, "version_id": null, "query": [], "headers": [],
        })
    };
    let plain = |bucket: &str, key: &str| question(bucket, key, "GET", "eu-west-1", 604_800);
    let with = |mut question: Value, name: &str, value: Value| {
        question[name] = value;
        question
    };
    let longest = "k".repeat(1024);
    let mut lines = vec![
        (r#"{"bucket":"test-bucket","key":"a"}"#.to_owned(), plain(BUCKET, "a")),
        ("s3://test-bucket/a b/ü+%~.txt".to_owned(), plain(BUCKET, "a b/ü+%~.txt")),
        ("s3://dotted.bucket.name//a/../b".to_owned(), plain("dotted.bucket.name", "/a/../b")),
        (r#"{"url":"s3://other-bucket/%20{x}"}"#.to_owned(), plain("other-bucket", "%20{x}")),
        (
            r#"{"bucket":"test-bucket","key":"日本\n語/🔑","expires":"15m"}"#.to_owned(),
            question(BUCKET, "日本\n語/🔑", "GET", "eu-west-1", 900),
        ),
        (
            r#"{"bucket":"test-bucket","key":"s3://x","method":"put","region":"us-east-2","expires":60}"#.to_owned(),
            question(BUCKET, "s3://x", "PUT", "us-east-2", 60),
        ),
        (
            r#"{"bucket":"test-bucket","key":"v","version_id":"a/b=="}"#.to_owned(),
            with(plain(BUCKET, "v"), "version_id", json!("a/b==")),
        ),
        (
            r#"{"bucket":"test-bucket","key":"q","query":{"response-content-type":"a/b; c=\"d\"","response-cache-control":"no-store"}}"#
                .to_owned(),
            with(
                plain(BUCKET, "q"),
                "query",
                json!([["response-content-type", "a/b; c=\"d\""], ["response-cache-control", "no-store"]]),
            ),
        ),
        (
            r#"{"bucket":"test-bucket","key":"h","method":"PUT","headers":{"Content-Type":"text/plain","x-amz-acl":"private"}}"#
                .to_owned(),
            with(
                question(BUCKET, "h", "PUT", "eu-west-1", 604_800),
                "headers",
                json!([["content-type", "text/plain"], ["x-amz-acl", "private"]]),
            ),
        ),
        (format!("s3://test-bucket/{longest}"), plain(BUCKET, &longest)),
    ];
    // Enough for several blocks, of lines of all lengths.
    for i in 0..3000 {
        let key = format!("{i}/{}ü {}", "x".repeat(i % 700), i * 7);
        lines.push((format!("s3://test-bucket/{key}"), plain(BUCKET, &key)));
    }
    let (input, questions): (Vec<String>, Vec<Value>) = lines.into_iter().unzip();
    let args =
        ["--stdin", "--at", AT, "--expires", "7d", "--also-region", "us-east-2", "--also-method", "PUT"];
    let (code, links, stderr) = presign(&home, &args, input.join("\n"));
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains(
            "3,010 links, of which the first works until 2026-11-22 00:01:00 UTC, the last until 2026-11-29"
        ),
        "{stderr}"
    );
    let links: Vec<&str> = links.lines().collect();
    assert_eq!(links.len(), input.len());
    for ((link, expected), line) in links.iter().zip(botocore(&questions)).zip(&input) {
        assert_eq!(sorted(link), sorted(&expected), "{line}");
    }

    // The same as the single command makes, with all that it was given for all of them.
    let given = ["--at", AT, "-X", "PUT", "--content-type", "a/b", "--request-payer", "--version-id", "v 1"];
    let (_, single, _) = presign(&home, &[&["s3://test-bucket/p/ü"], &given[..]].concat(), "");
    let (code, many, _) =
        presign(&home, &[&["--stdin", "s3://test-bucket/p/"], &given[..]].concat(), "ü\r\n{\"key\":\"ü\"}");
    assert_eq!((code, many), (0, format!("{single}{single}")));
}

#[test]
fn one_touch_is_for_what_the_prompt_says() {
    let mut home = home();
    home.set("KEYFOB_SOFT_TOUCH", "1");
    #[track_caller]
    fn check(home: &Home, args: &[&str], input: &str, expected: &[&str]) {
        let output = home.run(&[&["presign"], args].concat(), input).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let prompts: Vec<_> = stderr.lines().filter(|line| line.starts_with("Touch your key")).collect();
        assert_eq!(prompts.len(), 1, "{stderr}");
        for part in expected {
            assert!(prompts[0].contains(part), "{part}: {stderr}");
        }
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2, "{stderr}");
    }
    check(
        &home,
        &["--stdin", "s3://test-bucket", "--expires", "7d", "--at", AT],
        "a\nb\n",
        &[
            "s3 in eu-west-1",
            ACCESS_KEY_ID,
            "GET links to the objects that stdin names, in s3://test-bucket, 7 d",
        ],
    );
    let prefix = "p".repeat(80);
    let shown = format!(
        "HEAD links to the objects that stdin names, in s3://test-bucket/{}… at 127.0.0.1:9 without TLS, 1 h",
        &prefix[..60]
    );
    let args =
        ["--stdin", &format!("s3://test-bucket/{prefix}"), "-X", "HEAD", "--endpoint", "http://127.0.0.1:9"];
    check(&home, &args, "a\nb\n", &[&shown]);
    check(
        &home,
        &["--stdin", "--also-method", "put", "--also-region", "us-east-1", "--at", AT],
        "s3://abc/a\n{\"bucket\":\"abc\",\"key\":\"b\",\"region\":\"us-east-1\",\"method\":\"PUT\"}\n",
        &["eu-west-1", "us-east-1", "GET or PUT links to the objects that stdin names, in any bucket, 1 h"],
    );
}

#[test]
fn a_bad_line_is_told_by_its_number_and_stops_nothing() {
    let home = home();
    /// Of one line between two good ones.
    #[track_caller]
    fn check(home: &Home, args: &[&str], line: &[u8], expected: &str) {
        let input = [b"s3://test-bucket/p/1\n", line, b"\ns3://test-bucket/p/3\n"].concat();
        let args = [&["--stdin", "--at", AT], args].concat();
        let (code, links, stderr) = presign(home, &args, &input);
        let keys: Vec<_> = links.lines().map(key_of).collect();
        assert_eq!((code, keys), (1, vec!["p/1", "p/3"]), "{stderr}");
        let (line, rest) = stderr.split_once('\n').unwrap();
        assert!(line.starts_with("line 2: ") && line.contains(expected), "{line}");
        assert!(rest.starts_with("2 links that work until 2026-11-22 01:00:00 UTC.\n"), "{rest}");
        assert!(rest.contains("keyfob: 1 of 3 lines was bad\n"), "{rest}");
    }
    let all = |line: &[u8], expected: &str| check(&home, &[], line, expected);
    all(b"key", "it names no bucket");
    all(br#"{"key":"a"}"#, "it names no bucket");
    all(b"s3://test-bucket/", "empty");
    all(b"s3://test-bucket", "empty");
    all(b"s3://Test-Bucket/a", "no bucket name");
    all(b"s3://ab/a", "3 to 63");
    all(b"s3:///a", "3 to 63");
    all(b"s3://arn:aws:s3::123456789012:accesspoint:abc.mrap/a", "SigV4A");
    all(b"s3://arn:aws:s3:us-east-1:123456789012:accesspoint/abc/k", "give --also-region us-east-1");
    all(b"s3://abc--euw1-az1--x-s3/k", "give the command its bucket");
    all(format!("s3://test-bucket/{}", "k".repeat(1025)).as_bytes(), "1025 bytes long");
    all(b"s3://test-bucket/\xff", "not UTF-8 from its byte 18 on");
    all(b"s3://test-bucket/\xed\xa0\x80", "not UTF-8");
    all(&[b's'; 64 * 1024 + 1], "longer than 65536 bytes");
    all(&[b's'; 200 * 1024], "longer than 65536 bytes");
    all(&[b's'; 1024 * 1024], "longer than 65536 bytes");
    all(b"{", "no JSON object");
    all(br#"{"bucket":"test-bucket","key":"a","expiry":1}"#, "unknown field `expiry`");
    all(br#"{"bucket":"test-bucket"}"#, "it must have key");
    all(br#"{"bucket":"test-bucket","key":"a","url":"s3://b/c"}"#, "it must have key");
    all(br#"{"url":"https://test-bucket/a"}"#, "s3://BUCKET/KEY");
    all(br#"{"bucket":"test-bucket","key":"a","method":"DELETE"}"#, "--also-method DELETE");
    all(br#"{"bucket":"test-bucket","key":"a","region":"us-east-1"}"#, "--also-region us-east-1");
    all(br#"{"bucket":"test-bucket","key":"a","region":"nowhere"}"#, "no AWS region");
    all(br#"{"bucket":"test-bucket","key":"a","expires":0}"#, "not 0");
    all(br#"{"bucket":"test-bucket","key":"a","expires":"7d"}"#, "give the command --expires 604800s");
    all(br#"{"bucket":"test-bucket","key":"a","query":{"X-Amz-Date":"1"}}"#, "X-Amz-Date");
    all(br#"{"bucket":"test-bucket","key":"a","query":{"versionId":"1"},"version_id":"2"}"#, "versionId");
    all(br#"{"bucket":"test-bucket","key":"a","query":{"acl":""}}"#, "acl");
    all(
        br#"{"bucket":"test-bucket","key":"a","expires":-5}"#,
        "expected text, or a whole number that is not negative",
    );
    all(br#"{"bucket":"test-bucket","key":null}"#, "null, expected a string");
    all(br#"{"bucket":"test-bucket","key":"a","version_id":""}"#, "the version id is empty");
    all(br#"{"bucket":"test-bucket","key":"a","query":{"uploadId":""}}"#, "the upload id is empty");
    all(br#"{"bucket":"test-bucket","key":"a","headers":{"Host":"evil"}}"#, "Host");
    all(br#"{"bucket":"test-bucket","key":"a","headers":{"a":"1\n2"}}"#, "header");
    let secret = br#"{"bucket":"test-bucket","key":"a","headers":{"x-amz-server-side-encryption-customer-key":"hunter2"}}"#;
    all(secret, "is a secret");
    let (_, _, stderr) = presign(&home, &["--stdin"], secret);
    assert!(!stderr.contains("hunter2"), "{stderr}");
    // Names of others steer no terminal.
    all(b"s3://\x1b[2J/a", "no bucket name");
    let (_, _, stderr) = presign(&home, &["--stdin"], "s3://\u{1b}[2J\u{202e}/a");
    assert!(!stderr.contains(['\u{1b}', '\u{202e}']), "{stderr:?}");

    // No line leaves the bucket that was given, nor what is in front of its keys.
    let given = |line: &[u8], expected: &str| check(&home, &["s3://test-bucket/p/"], line, expected);
    given(b"s3://other-bucket/p/a", "leave that away for lines of several buckets");
    given(br#"{"bucket":"other-bucket","key":"p/a"}"#, "other-bucket");
    given(br#"{"bucket":"test-bucket","key":"a"}"#, "does not begin with \"p/\"");
    given(b"s3://test-bucket/q/a", "does not begin with \"p/\"");
    given("k".repeat(1023).as_bytes(), "1025 bytes long");
    // Nor does it where dots are resolved, by programs before they ask, or by servers.
    for line in
        ["../x", "..", "a/../../x", "a/../b", "./../x", "s3://test-bucket/p/../x", r#"{"key":"../x"}"#]
    {
        given(line.as_bytes(), r#"there is a .. in its key, by which programs and servers leave "p/""#);
    }
    let keys = ["--stdin", "--keys", "s3://test-bucket/p/"];
    let (code, links, stderr) = presign(&home, &keys, "../x");
    assert_eq!((code, links.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains("there is a .. in its key"), "{stderr}");
}

#[test]
fn links_whose_paths_programs_change_are_counted() {
    let home = home();
    #[track_caller]
    fn check(home: &Home, url: &str, input: &str, links: usize, expected: Option<&str>) {
        let (code, text, stderr) = presign(home, &["--stdin", url, "--json"], input);
        assert_eq!((code, text.lines().count()), (0, links), "{stderr}");
        let told: Vec<_> = stderr.lines().filter(|line| line.contains("between the slashes")).collect();
        assert_eq!(told.len(), usize::from(expected.is_some()), "{stderr}");
        assert!(expected.is_none_or(|expected| told[0].starts_with(expected)), "{stderr}");
    }
    check(&home, "s3://test-bucket", "a.txt\n.a/..b\n...\n", 3, None);
    check(&home, "s3://test-bucket", "../a\nb\nc/.\n", 3, Some("2 links have a . or .. between"));
    check(&home, "s3://test-bucket/p/", "./a\nb\n", 2, Some("1 link has a . or .. between"));
    // The prefix itself is meant.
    check(&home, "s3://test-bucket/p/../q/", "a\nb\n", 2, Some("2 links have"));
}

#[test]
fn records_say_what_is_to_be_sent() {
    let home = home();
    #[track_caller]
    fn check(home: &Home, args: &[&str], line: &str, expected: Value) {
        let args = [&["--stdin", "s3://test-bucket", "--json"], args].concat();
        let (code, text, stderr) = presign(home, &args, line);
        let record: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((code, json!([record["method"], record["headers"]])), (0, expected), "{stderr}");
    }
    check(&home, &[], "a", json!([null, null]));
    check(&home, &[], r#"{"key":"a","expires":60}"#, json!([null, null]));
    let put = ["-X", "PUT", "--header", "Content-Type=a/\"b\""];
    check(&home, &put, "a", json!(["PUT", { "content-type": "a/\"b\"" }]));
    let own = r#"{"key":"a","method":"HEAD","headers":{"CONTENT-TYPE":"c/d","Range":"bytes=0-0"}}"#;
    let also = [&put[..], &["--also-method", "head"]].concat();
    check(&home, &also, own, json!(["HEAD", { "content-type": "c/d", "range": "bytes=0-0" }]));
}

#[test]
fn twenty_bad_lines_are_shown_or_all() {
    let home = home();
    let input: String =
        (0..1000).map(|i| if i % 2 == 0 { format!("k{i}\n") } else { "{}\n".to_owned() }).collect();
    let bucket = ["--stdin", "s3://test-bucket"];
    let bad = |stderr: &str| stderr.lines().filter(|line| line.starts_with("line ")).count();
    let (code, links, stderr) = presign(&home, &bucket, &input);
    assert_eq!((code, links.lines().count(), bad(&stderr)), (1, 500, 20), "{stderr}");
    assert!(stderr.contains("… and 480 bad lines more; -v shows all of them."), "{stderr}");
    assert!(stderr.contains("keyfob: 500 of 1,000 lines were bad\n"), "{stderr}");
    let (code, _, stderr) = presign(&home, &[&bucket[..], &["-v"]].concat(), &input);
    assert_eq!((code, bad(&stderr)), (1, 500), "{stderr}");
    assert!(stderr.contains("line 1000: ") && !stderr.contains("more;"), "{stderr}");

    // Among the JSON lines each is in its place.
    let (code, lines, stderr) = presign(&home, &[&bucket[..], &["--format", "jsonl"]].concat(), &input);
    assert_eq!((code, bad(&stderr)), (1, 0), "{stderr}");
    for (i, line) in lines.lines().enumerate() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["line"], i + 1);
        assert_eq!(record["error"].is_string(), i % 2 == 1, "{line}");
        assert_eq!(record["key"].as_str().map(str::to_owned), (i % 2 == 0).then(|| format!("k{i}")));
    }
    assert_eq!(lines.lines().count(), 1000);

    // The first one ends it, wherever it is, and all before it is written.
    for at in [0, 1, 7, 20_000] {
        let good: String = (0..at).map(|i| format!("k{i}\n")).collect();
        let input = format!("{good}{{}}\n{}", "after\n".repeat(30_000));
        let (code, links, stderr) = presign(&home, &[&bucket[..], &["--strict"]].concat(), input);
        let keys: Vec<_> = links.lines().map(key_of).collect();
        assert_eq!((code, keys.len()), (1, at), "{stderr}");
        assert!(keys.iter().enumerate().all(|(i, key)| *key == format!("k{i}")));
        assert_eq!(bad(&stderr), 0, "{stderr}");
        assert!(stderr.contains(&format!("keyfob: line {} is bad, and before it ", at + 1)), "{stderr}");
    }
}

#[test]
fn lines_end_as_they_are_told_to() {
    let home = home();
    #[track_caller]
    fn check(home: &Home, args: &[&str], input: &str, keys: &[&str], stderr: &str) {
        let args = [&["--stdin", "s3://test-bucket", "--format", "jsonl"], args].concat();
        let (code, lines, said) = presign(home, &args, input);
        let key =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["key"].as_str().unwrap().to_owned();
        assert_eq!(lines.lines().map(key).collect::<Vec<_>>(), keys);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(stderr), "{said}");
    }
    check(&home, &[], "", &[], "0 links.\n");
    check(&home, &[], "\n\n\r\n", &[], "0 links.\n3 empty lines skipped.\n");
    check(&home, &[], "a", &["a"], "1 link that works until ");
    check(&home, &[], "\u{feff}a\r\n\nb \r\n\u{feff}c", &["a", "b ", "\u{feff}c"], "1 empty line skipped.\n");
    check(&home, &["--null"], "a\nb\0\0c\r\0s3:\0", &["a\nb", "c\r", "s3:"], "1 empty line skipped.\n");
    check(&home, &["-0"], "{\"key\":\n\"a\"}\0", &["a"], "");
    // Whatever a name looks like.
    check(
        &home,
        &["--keys"],
        "{\"key\":\"a\"}\ns3://test-bucket/b\n{\n",
        &["{\"key\":\"a\"}", "s3://test-bucket/b", "{"],
        "3 links",
    );
    let longest = "k".repeat(1024);
    check(&home, &[], &format!("{longest}\n{longest}"), &[&longest, &longest], "2 links");
}

#[test]
fn csv_is_what_others_read_and_keys_are_exact() {
    let home = home();
    let keys = ["a", "b,c", "d\"e\"", "f\r\ng", " h ", "=1+1", "+a", "-b", "@c", "ü;\t"];
    let input: String = keys.iter().map(|key| format!("{key}\0")).collect();
    let args = ["--stdin", "--null", "s3://test-bucket", "--format", "csv", "--at", AT];
    let (code, csv, stderr) = presign(&home, &args, &input);
    assert_eq!(code, 0, "{stderr}");
    let (_, text, _) = presign(&home, &["--stdin", "--null", "s3://test-bucket", "--at", AT], &input);
    let read = "import csv, json, sys; print(json.dumps(list(csv.reader(open(sys.argv[1], newline='', encoding='utf-8')))))";
    let path = home.write("links.csv", &csv).unwrap();
    let output = Command::new(tool("KEYFOB_PYTHON").unwrap()).args(["-c", read]).arg(path).output().unwrap();
    let rows: Vec<Vec<String>> = serde_json::from_slice(&output.stdout).unwrap();
    let mut expected = vec![["bucket", "key", "url", "expires_at"].map(str::to_owned).to_vec()];
    for (key, link) in keys.iter().zip(text.lines()) {
        expected.push([BUCKET, key, link, "1795309200"].map(str::to_owned).to_vec());
    }
    assert_eq!(rows, expected);
    assert!(csv.ends_with("\r\n"), "{csv}");
    let (_, header, _) = presign(&home, &args, "");
    assert_eq!(header, "bucket,key,url,expires_at\r\n");
}

#[test]
fn what_cannot_be_is_said_before_a_touch() {
    let home = home();
    let check = |args: &[&str], expected: &str| {
        let output = home.run(&[&["presign"], args].concat(), "a\n").unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(expected) && output.stdout.is_empty(), "{args:?}: {stderr}");
        assert!(!stderr.contains("Touch your key"), "{args:?}: {stderr}");
    };
    let bucket = "s3://test-bucket/p/";
    check(&["--stdin", bucket, "--sigv2"], "a touch for each link");
    check(&["--stdin", bucket, "--check"], "--check is for a single link");
    check(&["--stdin", bucket, "--list"], "--list is one link");
    check(&["--stdin", bucket, "--credentials", "-"], "stdin cannot have both");
    check(&["--stdin", bucket, "--expires", "8d"], "604800");
    check(&["--stdin", bucket, "-X", "G T"], "G T");
    check(&["--stdin", bucket, "--also-method", "PAT CH"], "PAT CH");
    check(&["--stdin", bucket, "--query", "acl="], "acl");
    check(&["--stdin", bucket, "-X", "PUT", "--part-number", "5"], "give its id too");
    check(&["--stdin", bucket, "--at", "9999-12-31T23:59:59Z", "--expires", "7d"], "beyond the year 9999");
    check(&["--recursive", bucket, "--version-id", "5"], "leave --version-id away");
    check(&["--stdin", "test-bucket"], "s3://BUCKET");
    check(&["--stdin", "s3://"], "s3://BUCKET");
    check(&["--stdin", "s3://Bucket"], "no bucket name");
    check(&["--stdin", "--keys"], "<URL>");
    check(&["--stdin", "--recursive", bucket], "cannot be used with");
    check(&["--recursive"], "<URL>");
    check(&["--recursive", bucket, "--null"], "cannot be used with");
    check(&["--recursive", bucket, "--at", "2020-01-01T00:00:00Z"], "one touch is for one day");
    check(&["--recursive", "s3://abc--euw1-az1--x-s3/", "--start-after", "a"], "no order");
    check(&[bucket, "--strict"], "--stdin|--recursive");
    check(&[bucket, "--start-after", "a"], "--recursive");
}

#[test]
fn a_session_signs_too_and_no_link_outlives_it() {
    let home = home();
    let session = format!(
        r#"{{"AccessKeyId":"ASIAIOSFODNN7EXAMPLE","SecretAccessKey":"{SECRET_ACCESS_KEY}","SessionToken":"a/b+c=","Expiration":"2026-11-22T02:00:00Z"}}"#
    );
    let file = home.write("session.json", &session).unwrap();
    let file = file.to_str().unwrap();
    let fixed = ["--stdin", "s3://test-bucket", "--credentials", file, "--at", AT];
    let (code, links, stderr) = presign(&home, &fixed, "a\nb ü\n");
    assert_eq!(code, 0, "{stderr}");
    let question = |key: &str| {
        json!({
            "method": "GET", "endpoint": null, "region": "eu-west-1", "path_style": false, "bucket": BUCKET, "key": key,
            "access_key_id": "ASIAIOSFODNN7EXAMPLE", "secret_access_key": SECRET_ACCESS_KEY, "session_token": "a/b+c=",
            "time": TIME, "expires": 3600, "version_id": null, "query": [], "headers": [],
        })
    };
    let expected = botocore(&[question("a"), question("b ü")]);
    assert_eq!(
        links.lines().map(sorted).collect::<Vec<_>>(),
        expected.iter().map(|link| sorted(link)).collect::<Vec<_>>()
    );
    let (code, links, stderr) = presign(&home, &[&fixed[..], &["--expires", "3h"]].concat(), "a\n");
    assert_eq!((code, links.as_str()), (2, ""), "{stderr}");
    assert!(stderr.contains("the session ends in 2 h"), "{stderr}");
}

#[test]
fn slow_input_is_answered_line_by_line() {
    let home = home();
    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(["presign", "--stdin", "s3://test-bucket"]);
    let mut child =
        keyfob.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for i in 0..20 {
        // In two parts, of which the first is no line yet.
        write!(stdin, "key").unwrap();
        std::thread::sleep(Duration::from_millis(5));
        writeln!(stdin, "{i}").unwrap();
        let mut link = String::new();
        stdout.read_line(&mut link).unwrap();
        assert_eq!(key_of(&link), format!("key{i}"));
    }
    // What follows the last line's end is one, too.
    write!(stdin, "last").unwrap();
    drop(stdin);
    let mut link = String::new();
    stdout.read_to_string(&mut link).unwrap();
    assert_eq!(key_of(&link), "last");
    assert!(child.wait().unwrap().success());
}

/// Starts a batch that is fed for as long as it takes input.
fn endless(home: &Home, stdout: impl Into<Stdio>) -> (Child, JoinHandle<()>) {
    let keyfob = home.keyfob().unwrap();
    // Whoever runs the tests may have signals ignored (`nohup`), which programs inherit and respect.
    let mut env = home.command("/usr/bin/env");
    env.args(["--default-signal=INT,TERM,HUP"]).arg(keyfob.get_program()).args(keyfob.get_args());
    env.args(["presign", "--stdin", "s3://test-bucket"]);
    let mut child = env.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || {
        let mut i = 0_u64;
        loop {
            let lines: String = (i..i + 1000).map(|i| format!("k{i}\n")).collect();
            if stdin.write_all(lines.as_bytes()).is_err() {
                return;
            }
            i += 1000;
        }
    });
    (child, feed)
}

fn wait(child: Child) -> (i32, String, String) {
    let pid = child.id();
    let (sender, ended) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        let output = child.wait_with_output().unwrap();
        let _ = sender.send(());
        output
    });
    if ended.recv_timeout(NO_HANG).is_err() {
        kill(pid, "KILL");
        panic!("it hangs");
    }
    said(&waiting.join().unwrap())
}

fn kill(pid: u32, signal: &str) {
    assert!(Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap().success());
}

/// All links of `k0`, `k1`, …, whole, and how many.
#[track_caller]
fn whole(links: &str) -> usize {
    assert!(
        links.is_empty() || links.ends_with('\n'),
        "the last line is cut off: {:?}",
        links.lines().last()
    );
    for (i, link) in links.lines().enumerate() {
        assert_eq!(key_of(link), format!("k{i}"));
        let (_, signature) = link.split_once("X-Amz-Signature=").unwrap();
        assert_eq!(signature.len(), 64, "{link}");
    }
    links.lines().count()
}

#[test]
fn memory_is_bounded_and_the_order_is_kept() {
    const LINES: usize = 200_000;
    let home = home();
    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(["presign", "--stdin", "s3://test-bucket", "--quiet"]);
    let mut child =
        keyfob.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (sender, end) = std::sync::mpsc::channel::<()>();
    let feed = std::thread::spawn(move || {
        let lines: String = (0..LINES).map(|i| format!("k{i}\n")).collect();
        stdin.write_all(lines.as_bytes()).unwrap();
        // Its input goes on, so that it is still there to be looked at.
        let _ = end.recv();
    });
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for i in 0..LINES {
        line.clear();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(key_of(&line), format!("k{i}"));
        if i == 1000 {
            // Whoever reads is slow: nobody piles up what he does not take.
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    let peak = mib(child.id().into(), "VmHWM").unwrap();
    assert!(peak < 50.0, "{peak} MiB");
    drop(sender);
    feed.join().unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_signal_leaves_whole_lines() {
    let home = home();
    for signal in ["INT", "TERM", "HUP"] {
        // Into a file, and into a pipe that is read slowly, so that a write is always under way.
        let path = home.path().join(format!("out-{signal}"));
        let (child, feed) = endless(&home, File::create(&path).unwrap());
        poll("links", || fs::metadata(&path).ok().filter(|data| data.len() > 2_000_000)).unwrap();
        kill(child.id(), signal);
        let (code, _, stderr) = wait(child);
        let links = whole(&fs::read_to_string(&path).unwrap());
        assert_eq!(code, 1, "{stderr}");
        feed.join().unwrap();
        let said = stderr.replace(',', "");
        assert!(said.contains(&format!("stopped: {links} links were written")), "{links}: {stderr}");
        assert!(said.contains(&format!("what is left begins at line {}", links + 1)), "{links}: {stderr}");

        let (mut child, feed) = endless(&home, Stdio::piped());
        let mut stdout = child.stdout.take().unwrap();
        let mut links = vec![0; 300_000];
        stdout.read_exact(&mut links).unwrap();
        kill(child.id(), signal);
        std::thread::sleep(Duration::from_millis(100));
        stdout.read_to_end(&mut links).unwrap();
        let links = whole(&String::from_utf8(links).unwrap());
        let (code, _, stderr) = wait(child);
        feed.join().unwrap();
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.replace(',', "").contains(&format!("stopped: {links} links")), "{links}: {stderr}");
    }

    // While nothing comes, and while nobody reads: then the second one ends it.
    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(["presign", "--stdin", "s3://test-bucket"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = keyfob.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    writeln!(stdin, "k0").unwrap();
    let mut link = String::new();
    stdout.read_line(&mut link).unwrap();
    kill(child.id(), "INT");
    let (code, _, stderr) = wait(child);
    assert!(code == 1 && stderr.contains("stopped: 1 link was written"), "{stderr}");
    drop(stdin);
    let (mut child, feed) = endless(&home, Stdio::piped());
    let stdout = child.stdout.take().unwrap();
    let full = || fs::read_to_string(format!("/proc/{}/wchan", child.id())).is_ok();
    poll("the pipe", || full().then_some(())).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    kill(child.id(), "INT");
    std::thread::sleep(Duration::from_millis(300));
    kill(child.id(), "INT");
    let start = Instant::now();
    let status = child.wait().unwrap();
    assert!(start.elapsed() < NO_HANG && status.signal() == Some(2), "{status}");
    drop(stdout);
    feed.join().unwrap();
}

#[test]
fn what_a_shell_ignores_stays_ignored() {
    let home = home();
    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(["presign", "--stdin", "s3://test-bucket"]);
    let mut nohup = home.command("/bin/sh");
    nohup.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(keyfob.get_program()).args(keyfob.get_args());
    let mut child = nohup.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut next = |stdin: &mut std::process::ChildStdin| {
        writeln!(stdin, "k").unwrap();
        let mut link = String::new();
        stdout.read_line(&mut link).unwrap();
        assert_eq!(key_of(&link), "k");
    };
    next(&mut stdin);
    kill(child.id(), "HUP");
    std::thread::sleep(Duration::from_millis(300));
    next(&mut stdin);
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let home = home();
    let (mut child, feed) = endless(&home, Stdio::piped());
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut link = String::new();
    stdout.read_line(&mut link).unwrap();
    assert_eq!(key_of(&link), "k0");
    drop(stdout);
    let (code, _, stderr) = wait(child);
    feed.join().unwrap();
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn a_full_disk_leaves_whole_lines() {
    let home = home();
    // A file system of half a megabyte, which only this process and its children see.
    let mut unshare = home.command("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let script = r#"
mkdir full && mount -t tmpfs -o size=512k none full && shift 0
"$@" > full/links
code=$?
cat full/links
exit $code
"#;
    unshare.args(["--mount", "/bin/sh", "-c", script, "sh"]).arg(tool("KEYFOB_BIN").unwrap());
    unshare.args(["presign", "--stdin", "s3://test-bucket"]);
    let mut child =
        unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || {
        let lines: String = (0..5000).map(|i| format!("k{i}\n")).collect();
        // It does not take all of it.
        let _ = stdin.write_all(lines.as_bytes());
    });
    let (code, links, stderr) = wait(child);
    feed.join().unwrap();
    let links = whole(&links);
    assert_eq!(code, 1, "{stderr}");
    assert!(links > 1000, "{links}");
    let said = stderr.replace(',', "");
    assert!(said.contains("No space left on device"), "{stderr}");
    assert!(said.contains(&format!("{links} links were written all of them whole")), "{links}: {stderr}");
    assert!(said.contains(&format!("what is left begins at line {}", links + 1)), "{links}: {stderr}");

    // Where nothing can be cut back, nothing was written.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(["presign", "--stdin", "s3://test-bucket"]).stdin(Stdio::piped()).stdout(full);
    let mut child = keyfob.stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"k0\n").unwrap();
    let (code, _, stderr) = wait(child);
    assert!(code == 1 && stderr.contains("0 links were written"), "{stderr}");
}

#[test]
fn the_key_and_the_agent_may_go_once_it_was_touched() {
    let pcscd = Pcscd::start(&[YUBIKEY_READER]).unwrap();
    let mut home = home_with_cards();
    home.use_pcscd(&pcscd);
    let card = pcscd.insert_soft_key(0, &home, "demo").unwrap();

    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(["presign", "--stdin", "s3://test-bucket"]);
    let mut child =
        keyfob.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut next = |i: usize| {
        writeln!(stdin, "k{i}").unwrap();
        let mut link = String::new();
        stdout.read_line(&mut link).unwrap();
        assert_eq!(key_of(&link), format!("k{i}"));
    };
    next(0);
    drop(card);
    let gone = || !home.succeed(&["--json", "list"], "").unwrap().contains("smart-card");
    poll("the card to be gone", || gone().then_some(())).unwrap();
    next(1);
    let status: Value =
        serde_json::from_str(&home.succeed(&["--json", "agent", "status"], "").unwrap()).unwrap();
    kill(u32::try_from(status["pid"].as_u64().unwrap()).unwrap(), "KILL");
    for i in 2..10 {
        next(i);
    }
    drop(stdin);
    let (code, _, stderr) = said(&child.wait_with_output().unwrap());
    assert!(code == 0 && stderr.contains("10 links that work until "), "{stderr}");

    // Without it nothing begins.
    let (code, links, stderr) = presign(&home, &["--stdin", "s3://test-bucket"], "a\n");
    assert_eq!((code, links.as_str()), (3, ""), "{stderr}");
}

#[test]
fn a_key_that_is_pulled_before_the_touch_is_said() {
    let pcscd = Pcscd::start(&[YUBIKEY_READER]).unwrap();
    let mut home = home_with_cards();
    home.use_pcscd(&pcscd);
    // Nobody touches it.
    home.set("KEYFOB_SOFT_TOUCH", "60000");
    let card = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(["presign", "--stdin", "s3://test-bucket", "--identity", ACCESS_KEY_ID]);
    let mut child =
        keyfob.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"a\n").unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut prompt = String::new();
    stderr.read_line(&mut prompt).unwrap();
    assert!(prompt.starts_with("Touch your key"), "{prompt}");
    drop(card);
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    let (code, links, _) = wait(child);
    assert_eq!((code, links.as_str()), (3, ""), "{said}");
    assert!(said.contains("plug the key in again"), "{said}");
}

fn get(url: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent.get(url).call().unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

#[test]
fn all_objects_under_a_prefix_have_a_link_that_works() {
    const MANY: usize = 2300;
    let home = home();
    let server = S3s::start(ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET).unwrap();
    let mut expected = BTreeSet::new();
    // More than two pages.
    for i in 0..MANY {
        let key = format!("photos/{i:04}.jpg");
        server.put(BUCKET, &key, key.as_bytes()).unwrap();
        expected.insert(key);
    }
    for key in ["photos/a b/ü.txt", "photos/日本/🔑", "photos/!*'()&=#;:@,$[]{}|^`\"<>"] {
        server.put(BUCKET, key, key.as_bytes()).unwrap();
        expected.insert(key.to_owned());
    }
    server.put(BUCKET, "other", b"no").unwrap();
    let endpoint = server.endpoint();
    let fixed = ["--recursive", "s3://test-bucket/photos/", "--endpoint", &endpoint, "--json"];
    let (code, lines, stderr) = presign(&home, &fixed, "");
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("2,303 links that work until "), "{stderr}");
    let records: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let key = |record: &Value| record["key"].as_str().unwrap().to_owned();
    assert_eq!(records.iter().map(key).collect::<BTreeSet<_>>(), expected);
    assert_eq!(records.len(), expected.len());
    for record in records
        .iter()
        .filter(|record| record["line"].as_u64().unwrap() % 97 == 0 || !key(record).ends_with(".jpg"))
    {
        let url = record["url"].as_str().unwrap();
        assert_eq!(get(url), (200, key(record)), "{url}");
        assert_eq!(get(&url.replace("X-Amz-Expires=3600", "X-Amz-Expires=3601")).0, 403);
    }
    // As many as stand behind that one.
    let after = records[2000]["key"].as_str().unwrap();
    let (_, rest, _) = presign(&home, &[&fixed[..], &["--start-after", after]].concat(), "");
    let rest: Vec<Value> = rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rest.iter().map(key).collect::<Vec<_>>(), records[2001..].iter().map(key).collect::<Vec<_>>());
    let none = ["--recursive", "s3://test-bucket/nothing", "--endpoint", &endpoint];
    let (code, links, stderr) = presign(&home, &none, "");
    assert_eq!((code, links.as_str(), stderr.lines().last()), (0, "", Some("0 links.")));

    // A server that does not know the key, or the bucket.
    let other = S3s::start(ACCESS_KEY_ID, "another secret", BUCKET).unwrap();
    let refused = ["--recursive", "s3://test-bucket/", "--endpoint", &other.endpoint()];
    let (code, links, stderr) = presign(&home, &refused, "");
    assert_eq!((code, links.as_str()), (8, ""), "{stderr}");
    assert!(stderr.contains("SignatureDoesNotMatch"), "{stderr}");
    let (code, _, stderr) =
        presign(&home, &["--recursive", "s3://no-such-bucket/", "--endpoint", &endpoint], "");
    assert!(code == 8 && stderr.contains("NoSuchBucket"), "{stderr}");
}

/// A server that gives these answers, one a connection, then nothing any more. Gives the requests' first lines.
fn scripted(answers: Vec<(u16, String)>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
            let mut head = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while !head.ends_with("\r\n\r\n") {
                assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
            }
            asked.push(head.lines().next().unwrap().to_owned());
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
        asked
    });
    (endpoint, thread)
}

fn page(keys: &[&str], next: Option<&str>) -> (u16, String) {
    let contents: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
    let next = next.map_or(String::new(), |token| {
        format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>")
    });
    (200, format!("<ListBucketResult><EncodingType>url</EncodingType>{next}{contents}</ListBucketResult>"))
}

#[test]
fn a_list_that_breaks_off_says_how_to_go_on() {
    let home = home();
    let busy = || (503, "<Error><Code>SlowDown</Code><Message>slower</Message></Error>".to_owned());
    let run = |answers, args: &[&str]| {
        let (endpoint, server) = scripted(answers);
        let fixed = ["--recursive", "s3://test-bucket/p", "--endpoint", &endpoint, "--region", "eu-west-1"];
        let ended = presign(&home, &[&fixed[..], args].concat(), "");
        (ended, server.join().unwrap())
    };
    let links = |text: &str| -> Vec<String> {
        text.lines()
            .map(|link| link.split_once("/test-bucket/").unwrap().1.split('?').next().unwrap().to_owned())
            .collect()
    };
    // A server that is busy for a moment is asked again; then it is gone.
    let answers = vec![page(&["p+1%2B", "p%0A2"], Some("t/+=")), busy(), busy(), page(&["p'3"], Some("u"))];
    let ((code, text, stderr), asked) = run(answers, &[]);
    assert_eq!(
        (code, links(&text)),
        (1, vec!["p%201%2B".to_owned(), "p%0A2".into(), "p%273".into()]),
        "{stderr}"
    );
    assert!(stderr.contains("nothing listens at http://127.0.0.1:"), "{stderr}");
    assert!(stderr.contains("; 3 links were written before"), "{stderr}");
    assert!(stderr.contains(r"go on with --start-after 'p'\''3'"), "{stderr}");
    let token =
        "GET /test-bucket?continuation-token=t%2F%2B%3D&encoding-type=url&list-type=2&prefix=p HTTP/1.1";
    let first = "GET /test-bucket?encoding-type=url&list-type=2&prefix=p HTTP/1.1";
    assert_eq!(asked, [first, token, token, token]);

    // Whoever was told to begin somewhere begins there again.
    let denied = (403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".to_owned());
    let ((code, text, stderr), asked) = run(vec![denied], &["--start-after", "pö", "--request-payer"]);
    assert_eq!((code, text.as_str()), (8, ""), "{stderr}");
    assert!(stderr.contains("AccessDenied") && stderr.contains("go on with --start-after 'pö'"), "{stderr}");
    assert_eq!(
        asked,
        ["GET /test-bucket?encoding-type=url&list-type=2&prefix=p&start-after=p%C3%B6 HTTP/1.1"]
    );

    // What is no list, or goes round in circles.
    let ((code, text, stderr), _) = run(vec![(200, "<html>".to_owned())], &[]);
    assert!(code == 1 && text.is_empty() && stderr.contains("no list of a bucket"), "{stderr}");
    let ((code, text, stderr), _) = run(vec![page(&["p1"], Some("t")), page(&["p2"], Some("t"))], &[]);
    assert!(code == 1 && stderr.contains("the same page twice"), "{stderr}");
    assert_eq!(links(&text), ["p1", "p2"]);
    // A key that no link can be for is told, and stops nothing.
    let long = "p".repeat(1025);
    let ((code, text, stderr), _) = run(vec![page(&["p1", &long, "p3"], None)], &[]);
    assert_eq!((code, links(&text)), (1, vec!["p1".to_owned(), "p3".into()]), "{stderr}");
    assert!(stderr.contains("object 2: the object key is 1025 bytes long"), "{stderr}");
    assert!(stderr.contains("keyfob: 1 of 3 objects was bad\n"), "{stderr}");
    assert!(stderr.contains("there are links for all the others") && !stderr.contains("line"), "{stderr}");
    // A server that lists what was not asked for, which the touch was not for.
    let ((code, text, stderr), _) = run(vec![page(&["p1", "outside%2Fevil", "", "P3", "p4"], None)], &[]);
    assert_eq!((code, links(&text)), (1, vec!["p1".to_owned(), "p4".into()]), "{stderr}");
    let told = r#"object 2: the server lists "outside/evil", which does not begin with "p""#;
    assert!(stderr.contains(told) && stderr.contains("3 of 5 objects were bad"), "{stderr}");
    let ((code, text, stderr), _) = run(vec![page(&["p1", "evil"], None)], &["--strict"]);
    assert_eq!((code, links(&text)), (1, vec!["p1".to_owned()]), "{stderr}");
    assert!(
        stderr.contains("object 2 is bad, and before it 1 link was written: the server lists"),
        "{stderr}"
    );
}

#[test]
fn a_list_that_is_stopped_before_it_began_is_asked_for_again() {
    let home = home();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(["presign", "--recursive", "s3://test-bucket/p", "--endpoint", &endpoint]);
    let child = keyfob.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (_stream, _) = listener.accept().unwrap();
    kill(child.id(), "TERM");
    let (code, links, stderr) = wait(child);
    assert_eq!((code, links.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains("stopped: 0 links") && stderr.contains("ask for all of them again"), "{stderr}");
    assert!(!stderr.contains("--start-after"), "{stderr}");
}

#[test]
fn a_list_and_its_links_are_taken_by_another_server_whatever_the_keys_are() {
    let home = home();
    let server = Ceph::start().unwrap();
    server.add_user("user", ACCESS_KEY_ID, SECRET_ACCESS_KEY, "").unwrap();
    server.add_bucket(ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET).unwrap();
    let mut keys: Vec<String> = [
        "a+b",
        "a b",
        "a%2Bb",
        "a%20b",
        "%",
        "a\nb",
        "a\r",
        "//a//",
        "../a/./b",
        "ü/日本/🔑",
        "{\"key\":\"a\"}",
        "s3://x/y",
        "!*'()&=#;:@,$[]{}|^`\"<>\\?~",
        "-",
        "=1+1",
        "tab\tand\u{7f}",
    ]
    .map(str::to_owned)
    .to_vec();
    keys.push("k".repeat(1024));
    // A second page.
    keys.extend((0..1000).map(|i| format!("more/{i:04}")));
    keys.sort_unstable();
    let endpoint = server.endpoint();
    let input: String = keys.iter().map(|key| format!("{key}\0")).collect();
    let put = ["--stdin", "--keys", "--null", "-X", "PUT", "s3://test-bucket", "--endpoint", &endpoint];
    let (code, links, stderr) = presign(&home, &put, &input);
    assert_eq!((code, links.lines().count()), (0, keys.len()), "{stderr}");
    for (key, url) in keys.iter().zip(links.lines()) {
        let answer = http::send(server.port(), "PUT", url, &[], key.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
    }
    let list = ["--recursive", "s3://test-bucket", "--endpoint", &endpoint, "--json"];
    let (code, lines, stderr) = presign(&home, &list, "");
    assert_eq!(code, 0, "{stderr}");
    let records: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listed: Vec<_> = records.iter().map(|record| record["key"].as_str().unwrap()).collect();
    assert_eq!(listed, keys);
    for (record, key) in
        records.iter().zip(&keys).filter(|(_, key)| !key.starts_with("more/") || key.ends_with('7'))
    {
        let url = record["url"].as_str().unwrap();
        let answer = http::send(server.port(), "GET", url, &[], b"").unwrap();
        assert_eq!((answer.status, answer.body), (200, key.as_bytes().to_vec()), "{url}");
        let (rest, digit) = url.split_at(url.len() - 1);
        let changed = format!("{rest}{}", if digit == "0" { "1" } else { "0" });
        assert_eq!(http::send(server.port(), "GET", &changed, &[], b"").unwrap().status, 403, "{changed}");
    }
    // From any of them on, and below a prefix that needs encoding.
    for after in ["a b", "a+b", "a\nb", "ü/日本/🔑", "more/0999"] {
        let (_, rest, stderr) = presign(&home, &[&list[..], &["--start-after", after]].concat(), "");
        let rest: Vec<Value> = rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected: Vec<_> = keys.iter().filter(|key| key.as_str() > after).collect();
        assert_eq!(
            rest.iter().map(|record| record["key"].as_str().unwrap()).collect::<Vec<_>>(),
            expected,
            "{stderr}"
        );
    }
    for prefix in ["a+", "a ", "ü/", "//", "a%", "none"] {
        let url = format!("s3://test-bucket/{prefix}");
        let (code, links, stderr) =
            presign(&home, &["--recursive", &url, "--endpoint", &endpoint, "--json"], "");
        let expected: Vec<_> = keys.iter().filter(|key| key.starts_with(prefix)).collect();
        let found: Vec<Value> = links.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(
            found.iter().map(|record| record["key"].as_str().unwrap()).collect::<Vec<_>>(),
            expected,
            "{stderr}"
        );
    }
}

#[test]
fn progress_is_drawn_on_a_terminal() {
    /// Runs a command whose stderr alone is a terminal, and prints what is on it.
    const SCREEN: &str = r#"
import os, pty, subprocess, sys
screen, terminal = pty.openpty()
child = subprocess.Popen(sys.argv[2:], stdin=open(sys.argv[1], "rb"), stdout=subprocess.DEVNULL, stderr=terminal)
os.close(terminal)
while True:
    try:
        text = os.read(screen, 4096)
    except OSError:
        break
    os.write(1, text)
sys.exit(child.wait())
"#;
    let home = home();
    let lines: String =
        (0..100_000).map(|i| if i == 70_000 { "{}\n".to_owned() } else { format!("k{i}\n") }).collect();
    let file = home.write("keys", &lines).unwrap();
    let keyfob = tool("KEYFOB_BIN").unwrap();
    let run = |args: &[&str]| {
        let mut python = home.command(tool("KEYFOB_PYTHON").unwrap());
        python
            .args(["-c", SCREEN])
            .arg(&file)
            .arg(&keyfob)
            .args(["presign", "--stdin", "s3://test-bucket"])
            .args(args);
        let output = python.env("TERM", "xterm").output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, screen) = run(&[]);
    assert_eq!(code, Some(1), "{screen}");
    let drawn: Vec<&str> =
        screen.split('\r').filter(|part| part.contains(" lines, ") && part.contains("/s")).collect();
    assert!(!drawn.is_empty(), "{screen:?}");
    // Gone where something else is to be read.
    for part in [
        "line 70001: it must have key",
        "99,999 links that work until ",
        "keyfob: 1 of 100,000 lines was bad",
    ] {
        let line = screen.split(['\n', '\r']).find(|line| line.contains(part));
        assert!(line.is_some_and(|line| line.starts_with(part)), "{screen:?}");
    }
    let (_, screen) = run(&["--quiet"]);
    assert!(!screen.contains("/s"), "{screen:?}");
}
