//! The page of `presign-post` in real browsers: opened as a file, filled in, and submitted to two real servers.

use std::process::{Command, Stdio};

use keyfob_core::s3::{Endpoint, PresignRequest};
use keyfob_core::sigv4::{AmzDate, DateKey};
use keyfob_tests::ceph::Ceph;
use keyfob_tests::home::Home;
use keyfob_tests::http::{self, Answer};
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::s3s::S3s;
use keyfob_tests::tool;
use serde_json::{Value, json};

const BUCKET: &str = "test-bucket";
const REGION: &str = "eu-west-1";

/// Bytes that no text has, and a boundary's beginning.
const CONTENT: &[u8] = b"\0\xff\r\n------WebKitFormBoundary\r\n\xfe end";

/// What a link fetches.
fn get(port: u16, method: &str, key: &str) -> Answer {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let endpoint = Endpoint::custom(&format!("http://127.0.0.1:{port}"), REGION).unwrap();
    let request = PresignRequest {
        method,
        endpoint: &endpoint,
        bucket: BUCKET,
        key,
        access_key_id: ACCESS_KEY_ID,
        time,
        expires: 60,
        session_token: None,
        version_id: None,
        query: &[],
        headers: &[],
    };
    let date_key = DateKey::from_secret(SECRET_ACCESS_KEY.as_bytes(), AmzDate::from_unix(time).unwrap());
    let url = request.presign(&date_key.signing_key(REGION, "s3").unwrap()).unwrap();
    http::send(port, method, &url, &[], b"").unwrap()
}

/// Submits forms one after another: status and location of the answers.
fn submit(home: &Home, browser: &str, forms: &[Value]) -> Vec<(u16, String)> {
    let executable = tool(if browser == "chromium" { "KEYFOB_CHROMIUM" } else { "KEYFOB_FIREFOX" }).unwrap();
    let task = json!({ "browser": browser, "executable": executable, "folder": home.path(), "forms": forms });
    let task = home.write("task.json", &task.to_string()).unwrap();
    let mut node: Command = home.command("node");
    node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/browser/post_form.js"));
    let output = node.stdin(std::fs::File::open(task).unwrap()).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{browser}: {}", output.status);
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let one = |answer: &Value| {
        (answer["status"].as_u64().unwrap() as u16, answer["location"].as_str().unwrap().to_owned())
    };
    answers.iter().map(one).collect()
}

/// `named` is where an upload goes whose form leaves the name to the file.
fn check(browser: &str, port: u16, named: &str) {
    let home = Home::with_software_key().unwrap();
    home.succeed(&["aws", "add", ACCESS_KEY_ID], SECRET_ACCESS_KEY).unwrap();
    let endpoint = format!("http://127.0.0.1:{port}");
    let page = |name: &str, key: &str, options: &[&str]| {
        let object = format!("s3://{BUCKET}/{key}");
        let fixed = ["presign-post", &object, "--endpoint", &endpoint, "--region", REGION];
        home.write(name, &home.succeed(&[&fixed, options].concat(), "").unwrap()).unwrap()
    };
    let key = "a \"b\"/<ü>&'+%.bin";
    let rules =
        ["--field", "x-amz-meta-note=\"<&>' ü", "--starts-with", "x-amz-meta-who=al", "--max-bytes", "100"];
    let exact = page("exact.html", key, &[&rules[..], &["--status", "201"]].concat());
    let prefix = page("prefix.html", "up/", &["--prefix", "--redirect", &format!("{endpoint}/done")]);
    let plain = page("plain.html", "plain", &[]);
    let refused = page("refused.html", "refused", &rules);
    let file = home.path().join("chosen ü.bin");
    std::fs::write(&file, CONTENT).unwrap();
    let long = home.path().join("long.bin");
    std::fs::write(&long, [b'x'; 101]).unwrap();
    let tamper =
        |field: &str, value: &str| json!({ "page": refused, "file": file, "tamper": { field: value } });
    let forms = [
        json!({ "page": exact, "file": file, "fill": { "x-amz-meta-who": "ice" } }),
        json!({ "page": prefix, "file": file }),
        json!({ "page": plain, "file": file }),
        tamper("key", "other"),
        tamper("x-amz-meta-note", "other"),
        tamper("x-amz-meta-who", "eve"),
        tamper("policy", "eyJjb25kaXRpb25zIjogW119"),
        tamper("x-amz-signature", &"0".repeat(64)),
        json!({ "page": refused, "file": long }),
    ];
    let answers = submit(&home, browser, &forms);
    let statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
    let (taken, not) = statuses.split_at(3);
    assert_eq!(taken, [201, 303, 204], "{browser} {answers:?}");
    assert!(answers[1].1.starts_with(&format!("{endpoint}/done?")), "{browser} {answers:?}");
    assert!(not.iter().all(|status| matches!(status, 400 | 403)), "{browser} {answers:?}");
    for key in [key, named, "plain"] {
        let answer = get(port, "GET", key);
        assert_eq!((answer.status, answer.body.as_slice()), (200, CONTENT), "{browser} {key}");
        assert_eq!(get(port, "DELETE", key).status, 204);
    }
    for key in ["other", "refused"] {
        assert_eq!(get(port, "GET", key).status, 404, "{browser} {key}");
    }
}

#[test]
fn chromium_and_firefox_upload_to_the_gateway() {
    let server = Ceph::with_bucket(BUCKET).unwrap();
    for browser in ["chromium", "firefox"] {
        check(browser, server.port(), "up/chosen ü.bin");
    }
}

#[test]
fn chromium_uploads_to_s3s() {
    let server = S3s::start(ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET).unwrap();
    // It does not put the file's name in.
    check("chromium", server.port(), "up/${filename}");
}
