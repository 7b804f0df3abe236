//! The real program as a browser starts it: what it answers, and what it refuses however it is asked.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use keyfob::browser::{DEVELOPMENT_ID, FIREFOX_ID, MANIFEST_FILE};
use keyfob_core::s3::{Endpoint, PresignRequest};
use serde_json::{Value, json};

const IDENTITY: &str = "AKIAIOSFODNN7EXAMPLE";
const ACCOUNT: &str = "Amazon Web Services:me@123456789012";

/// A home with a software key: an AWS account, one that wants a touch, one of another site, and an identity.
struct Home {
    folder: tempfile::TempDir,
}

impl Drop for Home {
    /// Ends the agent.
    fn drop(&mut self) {
        let _ = self.command().args(["--quiet", "agent", "stop"]).stdout(Stdio::null()).status();
    }
}

impl Home {
    fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        let passphrase = home.folder.path().join("passphrase");
        std::fs::write(&passphrase, "correct horse").unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&passphrase, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(
            home.folder.path().join("config.toml"),
            "[browser]\nallow_accounts = [\"GitHub:ann\"]\nallow_endpoints = [\"http://127.0.0.1:9000\"]\n",
        )
        .unwrap();
        let secret = "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        home.cli(&["soft", "create", "test"], "");
        for (name, touch) in
            [(ACCOUNT, false), ("AWS SSO:ann", true), ("GitHub:ann", false), ("Bank:ann", false)]
        {
            let uri = format!("otpauth://totp/{}?{secret}", name.replace(' ', "%20"));
            let args: &[&str] = if touch { &["oath", "uri", "--touch"] } else { &["oath", "uri"] };
            home.cli(args, &uri);
        }
        home.cli(&["aws", "add", IDENTITY], "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        home
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyfob"));
        command
            .env_clear()
            .env("KEYFOB_CONFIG", self.folder.path())
            .env("KEYFOB_PASSPHRASE_FILE", self.folder.path().join("passphrase"))
            // This machine's own readers are never asked.
            .env("PCSCLITE_CSOCK_NAME", self.folder.path().join("no-pcscd"))
            .env("KEYFOB_KEY", "soft:test");
        command
    }

    fn cli(&self, args: &[&str], input: &str) {
        let mut child = self.command().arg("--quiet").args(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{args:?}");
    }

    fn host(&self) -> Host {
        self.host_for(&[format!("chrome-extension://{DEVELOPMENT_ID}/")])
    }

    fn host_for(&self, args: &[String]) -> Host {
        let mut command = self.command();
        command.args(args);
        Host::start(command)
    }
}

struct Host {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Host {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        Self { input: child.stdin.take(), output: child.stdout.take().unwrap(), child }
    }

    fn send(&mut self, message: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(&u32::try_from(message.len()).unwrap().to_ne_bytes()).unwrap();
        input.write_all(message).unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut length = [0; 4];
        self.output.read_exact(&mut length).unwrap();
        let mut message = vec![0; u32::from_ne_bytes(length) as usize];
        self.output.read_exact(&mut message).unwrap();
        serde_json::from_slice(&message).unwrap()
    }

    /// The last reply to an operation, and the prompts before it.
    fn ask(&mut self, op: &Value) -> (Value, Vec<String>) {
        self.send(json!({ "v": 1, "id": "x", "op": op }).to_string().as_bytes());
        let mut prompts = Vec::new();
        loop {
            let reply = self.receive();
            assert_eq!(reply["id"], "x");
            if reply["type"] != "event" {
                return (reply, prompts);
            }
            // Where the step was about to end, it waits for the next.
            let Some(prompt) = reply["event"]["prompt"].as_str() else { continue };
            // Named by the program that started it: this one.
            let (asker, what) = prompt.split_once(' ').unwrap();
            assert!(asker.starts_with("native_messaging"), "{asker}");
            prompts.push(what.to_owned());
        }
    }

    #[track_caller]
    fn refused(&mut self, op: &Value, code: &str) {
        let (reply, prompts) = self.ask(op);
        assert_eq!(reply["error"]["code"], code, "{op} → {reply}");
        assert!(prompts.is_empty(), "the key would have blinked for {op}");
        assert_ne!(reply["error"]["message"], "");
    }

    fn end(mut self) -> bool {
        drop(self.input.take());
        self.child.wait().unwrap().success()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn canonical(method: &str, endpoint: &Endpoint, time: u64, headers: &[(&str, &str)]) -> String {
    PresignRequest {
        method,
        endpoint,
        bucket: "bucket",
        key: "a b/ü+%~.txt",
        access_key_id: IDENTITY,
        time,
        expires: 900,
        session_token: None,
        version_id: None,
        query: &[],
        headers,
    }
    .canonical_request()
    .unwrap()
}

fn presign(canonical: &str) -> Value {
    json!({ "name": "presign", "canonical_request": canonical })
}

#[test]
fn a_browser_gets_what_it_is_for() {
    let home = Home::new();
    let mut host = home.host();
    let (reply, _) = host.ask(&json!({ "name": "hello" }));
    assert_eq!(reply["answer"]["protocol"], 1);

    let (reply, _) = host.ask(&json!({ "name": "accounts", "codes": true }));
    let accounts = reply["answer"]["accounts"].as_array().unwrap();
    let names: Vec<_> = accounts.iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(names, [ACCOUNT, "AWS SSO:ann", "GitHub:ann"], "AWS's, and the one that is allowed");
    assert_eq!(accounts[0]["code"]["value"].as_str().unwrap().len(), 6);
    assert!(accounts[1].get("code").is_none(), "a touch is never taken for a list");

    let (reply, prompts) = host.ask(&json!({ "name": "code", "account": ACCOUNT }));
    assert_eq!(reply["answer"]["code"]["value"].as_str().unwrap().len(), 6);
    assert!(prompts.is_empty());
    let code =
        json!({ "name": "code", "account": "AWS SSO:ann", "purpose": "us-east-1.signin.aws\u{1b}[2J" });
    let (reply, prompts) = host.ask(&code);
    assert_eq!(reply["type"], "done");
    assert_eq!(prompts, ["asks for the code of AWS SSO:ann for us-east-1.signin.aws\u{FFFD}[2J"]);

    let (reply, _) = host.ask(&json!({ "name": "identities" }));
    let identities = &reply["answer"]["identities"];
    assert_eq!(identities[0]["access_key_id"], IDENTITY);

    let endpoint = Endpoint::aws("eu-west-1").unwrap();
    let (reply, prompts) = host.ask(&presign(&canonical("GET", &endpoint, now(), &[])));
    let url = reply["answer"]["url"].as_str().unwrap();
    assert!(url.starts_with("https://bucket.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC%2B%25~.txt?"), "{url}");
    assert_eq!(
        prompts,
        [format!(
            "asks to sign GET \"s3://bucket/a b/ü+%~.txt\" at s3.eu-west-1.amazonaws.com as {IDENTITY} \
             (works for 15 min)"
        )]
    );
    let custom = Endpoint::custom("http://127.0.0.1:9000", "us-east-1").unwrap();
    let op = json!({ "name": "presign", "canonical_request": canonical("PUT", &custom, now(), &[]), "scheme": "http" });
    assert_eq!(host.ask(&op).0["type"], "done");
    assert!(host.end());
}

#[test]
fn a_browser_gets_nothing_else() {
    let home = Home::new();
    let mut host = home.host();
    let endpoint = Endpoint::aws("eu-west-1").unwrap();
    let good = canonical("GET", &endpoint, now(), &[]);
    let today = &good[good.find("X-Amz-Date=").unwrap() + 11..][..8];

    // Time.
    let month = 30 * 86_400;
    host.refused(&json!({ "name": "code", "account": ACCOUNT, "at": now() + month }), "forbidden");
    host.refused(&json!({ "name": "code", "account": ACCOUNT, "at": 0 }), "forbidden");
    host.refused(&json!({ "name": "accounts", "codes": true, "at": now() + month }), "forbidden");
    host.refused(&presign(&canonical("GET", &endpoint, now() + 365 * 86_400, &[])), "forbidden");
    host.refused(&presign(&canonical("GET", &endpoint, now() + 400, &[])), "forbidden");
    host.refused(&presign(&canonical("GET", &endpoint, now() - 400, &[])), "forbidden");
    let other_day = good.replacen(&format!("%2F{today}%2F"), "%2F20990101%2F", 1);
    host.refused(&presign(&other_day), "invalid-input");
    host.refused(&presign(&good.replace("X-Amz-Expires=900", "X-Amz-Expires=604801")), "invalid-input");

    // Counter-based codes, which do not run out, though the account is named as AWS's.
    home.cli(&["oath", "add", "AWS SSO:counter", "--hotp"], "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    host.refused(&json!({ "name": "code", "account": "AWS SSO:counter" }), "not-found");

    // Accounts and identities.
    host.refused(&json!({ "name": "code", "account": "Bank:ann" }), "not-found");
    host.refused(&json!({ "name": "code", "account": format!("exile-{IDENTITY}-SigV4") }), "not-found");
    host.refused(&json!({ "name": "code", "account": "exile" }), "not-found");
    host.refused(&json!({ "name": "code", "account": "Amazon" }), "not-found");
    host.refused(&json!({ "name": "code", "account": "" }), "not-found");
    let reply = host.ask(&json!({ "name": "code", "account": "nope" })).0.to_string();
    assert!(!reply.contains("Bank"), "a refusal names no account that the browser may not see");

    // Other signatures than those of S3 objects.
    host.refused(&presign(&good.replace("%2Fs3%2F", "%2Fsts%2F")), "invalid-input");
    host.refused(&presign(&good.replace("s3.eu-west-1", "sts.eu-west-1")), "invalid-input");
    host.refused(
        &presign(&good.replacen("X-Amz-Algorithm", "Action=GetSessionToken&X-Amz-Algorithm", 1)),
        "invalid-input",
    );
    host.refused(&presign(&canonical("DELETE", &endpoint, now(), &[])), "forbidden");
    host.refused(&presign(&canonical("GET", &endpoint, now(), &[("x-amz-meta-a", "b")])), "forbidden");
    for header in ["x-amz-acl", "x-amz-tagging", "x-amz-server-side-encryption", "content-length", "range"] {
        host.refused(&presign(&canonical("PUT", &endpoint, now(), &[(header, "1")])), "forbidden");
    }
    for parameter in ["partNumber", "uploadId", "uploads", "x-amz-request-payer"] {
        let with = good.replacen("\nhost:", &format!("&{parameter}=1\nhost:"), 1);
        host.refused(&presign(&with), "forbidden");
    }
    let path = good.lines().nth(1).unwrap();
    let list = good.replacen(path, "/", 1).replacen("\nhost:", "&list-type=2\nhost:", 1);
    host.refused(&presign(&list), "forbidden");
    for other in [
        "bucket.s3.dualstack.eu-west-1.amazonaws.com",
        "bucket.s3-fips.eu-west-1.amazonaws.com",
        "bucket.s3-accelerate.amazonaws.com",
        "bucket-123456789012.s3-accesspoint.eu-west-1.amazonaws.com",
        "bucket.bucket.vpce-1a.s3.eu-west-1.vpce.amazonaws.com",
    ] {
        host.refused(&presign(&good.replace("bucket.s3.eu-west-1.amazonaws.com", other)), "forbidden");
    }
    // That a bucket stands before a host is for the command line to say: the bytes do not.
    let text = good.replace("bucket.s3.eu-west-1.amazonaws.com", "bucket.localhost:9000");
    let op =
        json!({ "name": "presign", "canonical_request": text, "scheme": "http", "virtual_hosted": true });
    host.refused(&op, "forbidden");
    host.refused(&presign(&good.replace("UNSIGNED-PAYLOAD", &"a".repeat(64))), "invalid-input");
    host.refused(&presign(""), "invalid-input");
    let other = Endpoint::custom("https://evil.test", "us-east-1").unwrap();
    host.refused(&presign(&canonical("GET", &other, now(), &[])), "forbidden");
    let local = Endpoint::custom("http://127.0.0.1:9001", "us-east-1").unwrap();
    let op = json!({ "name": "presign", "canonical_request": canonical("GET", &local, now(), &[]), "scheme": "http" });
    host.refused(&op, "forbidden");
    let op = json!({ "name": "presign", "canonical_request": good, "scheme": "http" });
    host.refused(&op, "forbidden");

    // Anything that changes the key, but accounts that it sees. (What it may do with those, tests/tests/browser_ops.rs tries.)
    host.refused(&json!({ "name": "reset" }), "forbidden");
    for hidden in ["Bank:ann", "AWS SSO:counter", &format!("exile-{IDENTITY}-SigV4")] {
        host.refused(&json!({ "name": "delete-account", "account": hidden }), "not-found");
        host.refused(&json!({ "name": "rename-account", "account": hidden, "to": "AWS SSO:x" }), "not-found");
        let confirm =
            json!({ "name": "confirm-account", "account": hidden, "uri": "otpauth://totp/x?secret=AAAA" });
        host.refused(&confirm, "not-found");
    }
    host.refused(&json!({ "name": "delete-identity", "access_key_id": IDENTITY }), "forbidden");
    let uri = "otpauth://totp/x?secret=AAAA";
    host.refused(
        &json!({ "name": "add-account", "uri": uri, "touch": false, "overwrite": true }),
        "forbidden",
    );
    let counter = "otpauth://hotp/x?secret=AAAA&counter=0";
    host.refused(&json!({ "name": "add-account", "uri": counter, "touch": false }), "forbidden");
    let add = json!({
        "name": "add-identity", "access_key_id": IDENTITY, "secret_access_key": "x", "touch": false, "overwrite": true
    });
    host.refused(&add, "forbidden");
    host.refused(&json!({ "name": "rename-account", "account": ACCOUNT, "to": "x" }), "forbidden");
    host.refused(&json!({ "name": "change-password", "new": "x" }), "forbidden");
    host.refused(&json!({ "name": "remember-password" }), "forbidden");
    host.refused(&json!({ "name": "forget-password" }), "forbidden");

    // HMACs over challenges of its own choice: a date key would sign for anybody.
    host.refused(
        &json!({ "name": "hmac", "account": ACCOUNT, "challenge": "3230393930313031" }),
        "forbidden",
    );

    // What is no operation at all.
    host.refused(&json!({ "name": "transmit", "apdu": "00A40400" }), "bad-request");
    host.refused(&json!({ "name": "code", "account": ACCOUNT, "challenge": 5 }), "bad-request");
    assert_eq!(host.ask(&json!({ "name": "accounts" })).0["answer"]["accounts"].as_array().unwrap().len(), 3);
    assert!(host.end());
}

#[test]
fn a_browser_chooses_no_software_key() {
    let home = Home::new();
    home.cli(&["soft", "create", "other"], "");
    let mut host = home.host();
    let ask = |host: &mut Host, key: &str| {
        let request = json!({ "v": 1, "id": "x", "key": key, "op": { "name": "accounts" } });
        host.send(request.to_string().as_bytes());
        host.receive()
    };
    assert_eq!(ask(&mut host, "soft:test")["type"], "done", "the configured one");
    for key in ["soft:other", "soft", "soft:", "soft:absent"] {
        assert_eq!(ask(&mut host, key)["error"]["code"], "forbidden", "{key}");
    }
}

#[test]
fn wrong_passwords_are_answered_later_and_later() {
    let home = Home::new();
    home.cli(&["lock"], "");
    let mut command = home.command();
    command.env_remove("KEYFOB_PASSPHRASE_FILE").arg(format!("chrome-extension://{DEVELOPMENT_ID}/"));
    let mut host = Host::start(command);
    host.refused(&json!({ "name": "accounts" }), "locked");
    for _ in 0..3 {
        host.refused(&json!({ "name": "unlock", "password": "wrong" }), "wrong-password");
    }
    // Too early, even for the right one.
    host.refused(&json!({ "name": "unlock", "password": "correct horse" }), "busy");
    std::thread::sleep(std::time::Duration::from_millis(600));
    host.refused(&json!({ "name": "unlock", "password": "wrong" }), "wrong-password");
    std::thread::sleep(std::time::Duration::from_millis(600));
    host.refused(&json!({ "name": "unlock", "password": "correct horse" }), "busy");
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert_eq!(host.ask(&json!({ "name": "unlock", "password": "correct horse" })).0["type"], "done");
    assert_eq!(host.ask(&json!({ "name": "accounts" })).0["type"], "done");
}

#[test]
fn the_prompt_says_all_that_is_signed() {
    let home = Home::new();
    let mut host = home.host();
    let endpoint = Endpoint::aws("eu-west-1").unwrap();
    let canonical = PresignRequest {
        method: "GET",
        endpoint: &endpoint,
        bucket: "bucket",
        key: "k",
        access_key_id: IDENTITY,
        time: now(),
        expires: 60,
        session_token: None,
        version_id: Some("v1"),
        query: &[("response-content-type", "text/html")],
        headers: &[("Content-Type", "text/plain")],
    }
    .canonical_request()
    .unwrap();
    let (reply, prompts) = host.ask(&presign(&canonical));
    assert_eq!(reply["type"], "done", "{reply}");
    assert_eq!(
        prompts,
        [format!(
            "asks to sign GET s3://bucket/k at s3.eu-west-1.amazonaws.com as {IDENTITY} (works for 1 min), version v1, \
             response-content-type: text/html, content-type: text/plain"
        )]
    );
}

#[test]
fn broken_messages_are_answered_and_the_next_one_is_read() {
    let home = Home::new();
    let mut host = home.host();
    for broken in [&b""[..], b"{", b"\xFF\xFE", b"null", b"[]", b"{\"v\":1}", &[b'['; 100_000]] {
        host.send(broken);
        let reply = host.receive();
        assert_eq!(reply["error"]["code"], "bad-request", "{broken:?}");
    }
    host.send(br#"{"v":2,"id":"later","op":{"name":"hello"}}"#);
    let reply = host.receive();
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!("later"), &json!("unsupported-version")));
    assert_eq!(host.ask(&json!({ "name": "hello" })).0["type"], "done");
    // A length of 4 GiB, which is what 5 GB come to in four bytes: refused before anything is allocated for it.
    host.input.as_mut().unwrap().write_all(&u32::MAX.to_ne_bytes()).unwrap();
    assert_eq!(host.receive()["error"]["code"], "bad-request");
    assert!(!host.child.wait().unwrap().success());
}

#[test]
fn firefox_is_a_browser_too_and_strangers_are_not() {
    let home = Home::new();
    let manifest = home.folder.path().join(MANIFEST_FILE).display().to_string();
    let mut host = home.host_for(&[manifest.clone(), FIREFOX_ID.to_owned()]);
    host.refused(&json!({ "name": "reset" }), "forbidden");
    assert!(host.end());
    let mut host = home.host_for(&[manifest, "other@addon".to_owned()]);
    assert!(!host.child.wait().unwrap().success());
    let mut host = home.host_for(&["chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/".to_owned()]);
    assert!(!host.child.wait().unwrap().success());
}

#[test]
fn without_a_key_and_without_a_choice_there_is_none() {
    let home = Home::new();
    let run = |key: Option<&str>| {
        let mut command = home.command();
        command.env_remove("KEYFOB_KEY").args(["code", "x"]).stdin(Stdio::null());
        command.args(key.map(|key| ["--key", key]).iter().flatten());
        command.output().unwrap()
    };
    let output = run(None);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(output.stdout.is_empty());
    assert_eq!(run(Some("12345678")).status.code(), Some(3));
    assert_eq!(run(Some("soft:absent")).status.code(), Some(7));
    assert_eq!(run(Some("soft:../x")).status.code(), Some(2));
}

/// A browser's host for whom the key is touched after so many milliseconds.
fn touched_after(home: &Home, milliseconds: u32) -> Host {
    let mut command = home.command();
    command.env("KEYFOB_SOFT_TOUCH", milliseconds.to_string());
    command.arg(format!("chrome-extension://{DEVELOPMENT_ID}/"));
    Host::start(command)
}

fn request(id: &str, op: &Value) -> Vec<u8> {
    json!({ "v": 1, "id": id, "op": op }).to_string().into_bytes()
}

/// Asks for the code that wants a touch, and waits until the key blinks.
fn blink(host: &mut Host, id: &str, purpose: &str) {
    host.send(&request(id, &json!({ "name": "code", "account": "AWS SSO:ann", "purpose": purpose })));
    loop {
        let reply = host.receive();
        assert_eq!(reply["id"], id, "{reply}");
        if reply["event"]["name"] == "touch-required" {
            return;
        }
        // The step is about to end.
        assert_eq!(reply["event"]["name"], "waiting", "{reply}");
    }
}

/// The code of the account without touch, in a step of which there is something left.
fn code_with_time(host: &mut Host) -> Value {
    loop {
        let (reply, _) = host.ask(&json!({ "name": "code", "account": ACCOUNT }));
        let code = reply["answer"]["code"].clone();
        if code["valid_until"].as_u64().unwrap() >= now() + 5 {
            return code;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}

#[test]
fn a_touch_after_a_cancel_buys_nothing() {
    let home = Home::new();
    let (mut host, mut other) = (touched_after(&home, 1000), touched_after(&home, 1000));
    let cancel = |id: &str| json!({ "name": "cancel", "request": id });

    blink(&mut host, "a", "one.signin.aws.amazon.com");
    host.send(&request("b", &cancel("a")));
    let (first, second) = (host.receive(), host.receive());
    assert_eq!((&first["id"], &first["error"]["code"]), (&json!("a"), &json!("cancelled")));
    assert_eq!((&second["id"], &second["answer"]["name"]), (&json!("b"), &json!("withdrawn")));
    std::thread::sleep(std::time::Duration::from_millis(1300));
    assert_eq!(host.ask(&json!({ "name": "hello" })).0["answer"]["name"], "hello", "no late code");

    // What is not known, or not one's own, is not cancelled.
    assert_eq!(host.ask(&cancel("nobody's")).0["answer"]["name"], "withdrawn");
    blink(&mut host, "a", "one.signin.aws.amazon.com");
    assert_eq!(other.ask(&cancel("a")).0["answer"]["name"], "withdrawn");
    assert_eq!(host.receive()["answer"]["code"]["value"].as_str().unwrap().len(), 6);

    // Nor does a touch go to whoever is next.
    blink(&mut host, "a", "one.signin.aws.amazon.com");
    let next = json!({ "name": "code", "account": "AWS SSO:ann", "purpose": "two.signin.aws.amazon.com" });
    other.send(&request("n", &next));
    let waiting = other.receive();
    assert_eq!(waiting["event"]["name"], "waiting", "{waiting}");
    assert!(
        waiting["event"]["why"].as_str().unwrap().contains("waits for a touch for native_messaging"),
        "{waiting}"
    );
    host.send(&request("b", &cancel("a")));
    assert_eq!(host.receive()["error"]["code"], "cancelled");
    let touch = loop {
        let reply = other.receive();
        if reply["event"]["name"] != "waiting" {
            break reply;
        }
    };
    let prompt = touch["event"]["prompt"].as_str().unwrap();
    assert!(
        prompt.ends_with("the code of AWS SSO:ann for two.signin.aws.amazon.com"),
        "its own prompt: {prompt}"
    );
    assert_eq!(other.receive()["answer"]["name"], "code");
}

#[test]
fn a_submitted_code_is_not_given_as_a_fresh_one() {
    let home = Home::new();
    let (mut host, mut other) = (home.host(), home.host());
    let code = code_with_time(&mut host);
    assert!(code.get("submitted").is_none());
    let fresh = json!({ "name": "code", "account": ACCOUNT, "fresh": true });
    assert_eq!(other.ask(&fresh).0["answer"]["code"], code);
    let submitted =
        |account: &str| json!({ "name": "submitted", "account": account, "valid_from": code["valid_from"] });
    host.refused(&submitted("Bank:ann"), "forbidden");
    let never = json!({ "name": "submitted", "account": ACCOUNT, "valid_from": now() + 3600 });
    host.refused(&never, "invalid-input");
    assert_eq!(host.ask(&submitted(ACCOUNT)).0["answer"]["name"], "noted");

    // For every front end, by each operation that gives codes.
    for host in [&mut host, &mut other] {
        let (reply, _) = host.ask(&json!({ "name": "accounts", "codes": true }));
        let accounts = reply["answer"]["accounts"].as_array().unwrap();
        assert_eq!(accounts[0]["code"]["submitted"], true, "{reply}");
        assert!(accounts[2]["code"].get("submitted").is_none(), "another account's is not: {reply}");
        let (reply, _) = host.ask(&json!({ "name": "code", "account": ACCOUNT }));
        assert_eq!(reply["answer"]["code"]["submitted"], true);
        host.send(&request("f", &fresh));
        let waiting = host.receive();
        assert_eq!(waiting["event"]["name"], "waiting", "{waiting}");
        assert!(waiting["event"]["why"].as_str().unwrap().contains("used already"), "{waiting}");
        host.send(&request("c", &json!({ "name": "cancel", "request": "f" })));
        assert_eq!(host.receive()["error"]["code"], "cancelled");
        assert_eq!(host.receive()["answer"]["name"], "withdrawn");
    }
}

#[test]
fn lock_locks_for_every_front_end_and_cancels_what_waits() {
    let home = Home::new();
    home.cli(&["lock"], "");
    // Nobody but the person knows the passphrase.
    let start = || {
        let mut command = home.command();
        command.env_remove("KEYFOB_PASSPHRASE_FILE").env("KEYFOB_SOFT_TOUCH", "1000");
        command.arg(format!("chrome-extension://{DEVELOPMENT_ID}/"));
        Host::start(command)
    };
    let (mut host, mut other) = (start(), start());
    let (reply, _) = host.ask(&json!({ "name": "accounts" }));
    assert_eq!(reply["error"]["wants"]["key"], "soft:test", "{reply}");
    assert_eq!(host.ask(&json!({ "name": "unlock", "password": "correct horse" })).0["type"], "done");
    assert_eq!(other.ask(&json!({ "name": "accounts" })).0["type"], "done", "unlocked for both");

    blink(&mut host, "a", "one.signin.aws.amazon.com");
    other.send(&request("l", &json!({ "name": "lock" })));
    let cancelled = host.receive();
    assert_eq!((&cancelled["id"], &cancelled["error"]["code"]), (&json!("a"), &json!("cancelled")));
    let locked = other.receive();
    assert_eq!((&locked["id"], &locked["answer"]["name"]), (&json!("l"), &json!("locked")));
    host.refused(&json!({ "name": "accounts" }), "locked");
    other.refused(&json!({ "name": "code", "account": ACCOUNT }), "locked");
}
