//! `keyfob sign` against real servers that verify signatures (s3s-fs, Ceph's gateway, moto), and with the real curl.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use keyfob_tests::ceph::Ceph;
use keyfob_tests::home::Home;
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::memory::mib;
use keyfob_tests::moto::Moto;
use keyfob_tests::s3s::S3s;
use keyfob_tests::tls::{Stream, TlsServer};
use keyfob_tests::{poll, terminal, tool};

const BUCKET: &str = "test-bucket";

/// A home with a software key that has this access key on it.
fn home(access_key_id: &str, secret: &str) -> Home {
    let home = Home::with_software_key().unwrap();
    home.succeed(&["aws", "add", access_key_id], secret).unwrap();
    home
}

/// A server of S3, and the home of somebody who may use it.
struct Fixture {
    server: S3s,
    home: Home,
}

impl Fixture {
    fn new() -> Self {
        Self {
            server: S3s::start(ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET).unwrap(),
            home: home(ACCESS_KEY_ID, SECRET_ACCESS_KEY),
        }
    }

    fn url(&self, key: &str) -> String {
        format!("{}/{BUCKET}/{key}", self.server.endpoint())
    }

    /// `keyfob sign METHOD URL --service s3 …`.
    fn sign(&self, method: &str, url: &str, options: &[&str], input: &str) -> Output {
        let fixed = ["sign", method, url, "--service", "s3"];
        self.home.run(&[&fixed, options].concat(), input).unwrap()
    }

    #[track_caller]
    fn succeed(&self, method: &str, url: &str, options: &[&str], input: &str) -> String {
        let output = self.sign(method, url, options, input);
        assert!(output.status.success(), "{method} {url} {options:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a shell makes of a script, in which `$KEYFOB` is there.
    #[track_caller]
    fn shell(&self, script: &str) -> String {
        let mut sh = self.home.command("sh");
        sh.args(["-ec", script]).env("KEYFOB", tool("KEYFOB_BIN").unwrap()).stdin(Stdio::null());
        let output = sh.output().unwrap();
        assert!(output.status.success(), "{script}: {} {}", stdout(&output), said(&output));
        stdout(&output)
    }

    #[track_caller]
    fn stored(&self, key: &str) -> Vec<u8> {
        fs::read(self.server.file(BUCKET, key)).unwrap()
    }

    /// A file in the home with bytes of all values.
    fn file(&self, len: usize) -> PathBuf {
        let path = self.home.path().join(format!("{len} bytes"));
        fs::write(&path, bytes(len)).unwrap();
        path
    }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * i / 7 % 256) as u8).collect()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn printed_headers_are_what_curl_sends() {
    let fixture = Fixture::new();
    let file = fixture.file(100_000);
    let (url, file) = (fixture.url("a%20b/c"), file.to_str().unwrap().to_owned());
    let sign = "\"$KEYFOB\" -q -k soft:demo sign --service s3";
    let curl = "curl --silent --show-error --globoff --path-as-is -H @-";
    fixture.shell(&format!(
        "{sign} PUT {url} -H 'x-amz-meta-a:  b   c' --body '{file}' | {curl} -T '{file}' {url} --fail"
    ));
    assert!(fixture.stored("a b/c") == bytes(100_000));
    fixture.shell(&format!("{sign} GET {url} | {curl} {url} --fail | cmp - '{file}'"));
    // A changed byte is refused: of the body, the path, the query, a header, the signature.
    let refused = |script: &str| {
        let status = fixture.shell(&format!("{script} -o /dev/null -w '%{{http_code}}'"));
        // It answers 500 to what is wrong in the middle of a body.
        assert!(["400", "403", "500"].contains(&status.as_str()), "{script}: {status}");
    };
    refused(&format!(
        "{sign} PUT {url} --body '{file}' | {curl} --data-binary changed -H Content-Type: -X PUT {url}"
    ));
    refused(&format!("{sign} GET {url} | {curl} {url}x"));
    refused(&format!("{sign} GET '{url}?versionId=1' | {curl} '{url}?versionId=2'"));
    refused(&format!(
        "{sign} PUT {url} -H 'x-amz-acl: private' | sed s/private/public/ | {curl} -X PUT --data-raw '' -H Content-Type: {url}"
    ));
    refused(&format!("{sign} GET {url} | sed 's/\\(Signature=.*\\).$/\\1-/' | {curl} {url}"));
    refused(&format!("{sign} GET {url} --at @1 | {curl} {url}"));
    assert!(fixture.stored("a b/c") == bytes(100_000));
}

#[test]
fn printed_commands_run() {
    let fixture = Fixture::new();
    let small = fixture.home.path().join("-it's $HOME [1-3]{a,b}");
    fs::write(&small, "content").unwrap();
    // Typed without a folder, as from within it.
    let name = small.file_name().unwrap().to_str().unwrap();
    let run = |method: &str, key: &str, options: &[&str]| {
        let command =
            fixture.succeed(method, &fixture.url(key), &[options, &["--print", "curl"]].concat(), "");
        let (words, headers) = command.split_once(" <<'HEADERS'\n").unwrap();
        assert!(!words.contains("AWS4") && !words.contains('\n') || options.contains(&"-d"), "{words}");
        assert!(headers.contains("AWS4-HMAC-SHA256"), "{headers}");
        fixture.shell(&command.replacen("curl ", "curl --silent --show-error --fail ", 1))
    };
    let hard = "it's/$HOME/`a`/[1-3]{a,b}!*'();:@&=+$,~ü\"<>%5C";
    run("PUT", hard, &[&format!("--body={name}")]);
    assert_eq!(fixture.stored("it's/$HOME/`a`/[1-3]{a,b}!*'();:@&=+$,~ü\"<>\\"), b"content");
    assert_eq!(run("GET", hard, &[]), "content");
    assert!(run("HEAD", hard, &[]).to_ascii_lowercase().contains("content-length: 7"));
    run(
        "PUT",
        "text",
        &["-d", "it's\n$HOME `x` \\ \"", "-H", "Content-Type: text/plain", "-H", "x-amz-meta-a;"],
    );
    assert_eq!(fixture.stored("text"), b"it's\n$HOME `x` \\ \"");
    run("PUT", "empty", &[]);
    assert_eq!(fixture.stored("empty"), b"");
    run("put", "at", &["--data", &format!("@{name}")]);
    assert_eq!(fixture.stored("at"), b"content");
    run("DELETE", "text", &[]);
    assert!(!fixture.server.file(BUCKET, "text").exists());
    // Where curl would put the file's name behind the URL, and take it for a form.
    let body = fixture.home.write("delete.xml", "<Delete><Object><Key>at</Key></Object></Delete>").unwrap();
    run("POST", "?delete", &["--body", body.to_str().unwrap()]);
    assert!(!fixture.server.file(BUCKET, "at").exists());
    fixture.home.write("x", "").unwrap();
    let command = fixture.succeed("POST", &fixture.url("?delete"), &["--body", "x", "--print", "curl"], "");
    assert!(
        command.contains("--data-binary @./x") && command.ends_with("\nContent-Type:\nHEADERS\n"),
        "{command}"
    );
}

#[test]
fn a_request_is_signed_as_the_reference_has_it() {
    let home = home(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    let url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08";
    let kind = "Content-Type: application/x-www-form-urlencoded; charset=utf-8";
    let sign = ["sign", "GET", url, "-H", kind, "--at", "2015-08-30T12:36:00Z"];
    // The example of the AWS General Reference.
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    let credentials = format!(r#"{{"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "{secret}"}}"#);
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date, \
        Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    let printed = home.succeed(&[&sign[..], &["--credentials", "-"]].concat(), &credentials).unwrap();
    assert_eq!(printed, format!("{kind}\nx-amz-date: 20150830T123600Z\nauthorization: {authorization}\n"));

    let json = [&sign[..], &["--json", "-H", "X-A: 1", "-H", "x-a: 2"]].concat();
    let output = home.run(&json, "").unwrap();
    for part in
        ["GET iam.amazonaws.com/", "Action=ListUsers", ACCESS_KEY_ID, "iam in us-east-1", "20150830T123600Z"]
    {
        assert!(said(&output).contains(part), "the prompt says {part}: {}", said(&output));
    }
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&json["method"], &json["url"], &json["identity"]),
        (&"GET".into(), &url.into(), &ACCESS_KEY_ID.into())
    );
    assert_eq!(
        (&json["headers"]["x-a"], &json["headers"]["x-amz-date"]),
        (&"1,2".into(), &"20150830T123600Z".into())
    );
}

#[test]
fn bodies_of_every_kind_arrive() {
    let fixture = Fixture::new();
    #[track_caller]
    fn check(fixture: &Fixture, key: &str, options: &[&str], input: &str, expected: &[u8]) {
        fixture.succeed("PUT", &fixture.url(key), &[options, &["--send"]].concat(), input);
        assert!(fixture.stored(key) == expected, "{key}");
    }
    check(&fixture, "nothing", &[], "", b"");
    check(&fixture, "text", &["-d", "text"], "", b"text");
    for len in [0, 1, 65_536, 65_537, 3_000_000] {
        let (file, input) = (fixture.file(len), "a".repeat(len));
        let path = file.to_str().unwrap();
        check(&fixture, &format!("file-{len}"), &["--body", path], "", &bytes(len));
        check(&fixture, &format!("at-{len}"), &["-d", &format!("@{path}")], "", &bytes(len));
        check(&fixture, &format!("pipe-{len}"), &["-T", "-"], &input, input.as_bytes());
    }
    // Standard input that is a file, half read by somebody else.
    let file = fixture.file(300_000);
    let url = fixture.url("rest");
    fixture.shell(&format!(
        "{{ head -c 100000 >/dev/null; \"$KEYFOB\" -q -k soft:demo sign PUT {url} --service s3 --body - --send; }} < '{}'",
        file.display()
    ));
    assert!(fixture.stored("rest") == bytes(300_000)[100_000..]);
}

#[test]
fn chunks_arrive_with_every_checksum() {
    let fixture = Fixture::new();
    let file = fixture.file(200_000);
    let file = file.to_str().unwrap();
    let put = |key: &str, options: &[&str]| {
        let output = fixture.sign(
            "PUT",
            &fixture.url(key),
            &[&["--body", file, "--send", "-i"], options].concat(),
            "",
        );
        assert!(output.status.success(), "{key}: {}", said(&output));
        assert!(fixture.stored(key) == bytes(200_000), "{key}");
        (stdout(&output), said(&output))
    };
    let (_, prompt) = put("plain", &["--chunked"]);
    let purpose = format!("PUT 127.0.0.1:{}/{BUCKET}/plain, 200000 bytes in chunks", fixture.server.port());
    assert!(prompt.contains(&purpose) && prompt.contains(ACCESS_KEY_ID), "{prompt}");
    put("small-chunks", &["--chunked", "--chunk-size", "8192"]);
    put("one-chunk", &["--chunked", "--chunk-size", "1000000"]);
    put("encoded", &["--chunked", "-H", "Content-Encoding: gzip"]);
    for algorithm in ["crc32", "crc32c", "crc64nvme", "sha1", "SHA256"] {
        let (answer, _) = put(algorithm, &["--trailer", algorithm]);
        let name = format!("x-amz-checksum-{}: ", algorithm.to_ascii_lowercase());
        assert!(answer.contains(&name), "the server compares it: {answer}");
    }
    // What can be read but once, and nothing at all.
    let input = "a".repeat(300_000);
    fixture.succeed("PUT", &fixture.url("pipe"), &["--body", "-", "--trailer", "crc32", "--send"], &input);
    assert!(fixture.stored("pipe") == input.as_bytes());
    fixture.succeed("PUT", &fixture.url("empty"), &["--chunked", "--send"], "");
    assert_eq!(fixture.stored("empty"), b"");
}

/// Stands before a server, and passes on what comes, but changes one byte of the first request's body if it is told to.
fn meddler(server: u16, change: Option<usize>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).unwrap();
        let (mut back, mut to) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
        let answers = std::thread::spawn(move || {
            let _ = std::io::copy(&mut back, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
        let (mut seen, mut body, mut buffer) = (Vec::new(), None, vec![0; 1 << 16]);
        while let Ok(read @ 1..) = client.read(&mut buffer) {
            let start = seen.len();
            seen.extend_from_slice(&buffer[..read]);
            body = body.or_else(|| seen.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4));
            if let Some(at) = body.zip(change).map(|(body, change)| body + change)
                && (start..start + read).contains(&at)
            {
                buffer[at - start] ^= 1;
            }
            if upstream.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = upstream.shutdown(Shutdown::Write);
        answers.join().unwrap();
    });
    port
}

#[test]
fn a_changed_byte_of_a_body_is_refused() {
    let fixture = Fixture::new();
    let file = fixture.file(100_000);
    let file = file.to_str().unwrap();
    for (name, options) in
        [("hashed", &[][..]), ("chunked", &["--chunked"]), ("trailer", &["--trailer", "crc32c"])]
    {
        for (key, change) in [("as-it-is", None), ("first", Some(90)), ("later", Some(80_000))] {
            let key = format!("{name}-{key}");
            let url = format!("http://127.0.0.1:{}/{BUCKET}/{key}", meddler(fixture.server.port(), change));
            let output = fixture.sign("PUT", &url, &[options, &["--body", file, "--send"]].concat(), "");
            // A server may hang up on the rest of what is wrong in the middle.
            let codes = if change.is_some() { [1, 8] } else { [0, 0] };
            let code = output.status.code().unwrap();
            assert!(codes.contains(&code), "{key}: {code}: {}", said(&output));
            assert_eq!(fixture.server.file(BUCKET, &key).exists(), change.is_none(), "{key}");
        }
    }
}

#[test]
fn answers_go_where_they_should() {
    let fixture = Fixture::new();
    fixture.server.put(BUCKET, "key", b"content").unwrap();
    fixture.server.put(BUCKET, "big", &bytes(2_000_000)).unwrap();
    let (url, big, missing) = (fixture.url("key"), fixture.url("big"), fixture.url("missing"));
    assert_eq!(fixture.succeed("GET", &url, &["--send"], ""), "content");
    let with_head = fixture.succeed("GET", &url, &["--send", "-i"], "");
    assert!(with_head.starts_with("HTTP/1.1 200\n") && with_head.ends_with("\n\ncontent"), "{with_head}");
    assert!(fixture.succeed("HEAD", &url, &["--send", "-i"], "").contains("content-length: 7\n"));

    // Into a file: whole, or not at all; nothing is left beside it.
    let out = fixture.home.path().join("out");
    let path = out.to_str().unwrap();
    fixture.succeed("GET", &big, &["--send", "-o", path], "");
    assert!(fs::read(&out).unwrap() == bytes(2_000_000));
    let refused = fixture.sign("GET", &missing, &["--send", "-o", path], "");
    assert_eq!(refused.status.code(), Some(8));
    assert!(
        stdout(&refused).contains("<Code>NoSuchKey</Code>"),
        "it is lost otherwise: {}",
        stdout(&refused)
    );
    assert!(said(&refused).contains("refused: NoSuchKey"), "{}", said(&refused));
    assert_eq!(fs::metadata(&out).unwrap().len(), 2_000_000);
    fixture.succeed("GET", &url, &["--send", "-o", path], "");
    assert_eq!(fs::read(&out).unwrap(), b"content");
    let link = fixture.home.path().join("link");
    std::os::unix::fs::symlink("out", &link).unwrap();
    fixture.succeed("GET", &big, &["--send", "-o", link.to_str().unwrap()], "");
    assert!(link.is_symlink() && fs::metadata(&out).unwrap().len() == 2_000_000);
    let beside = |home: &Home| {
        let names = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".part")).count()
    };
    assert_eq!(beside(&fixture.home), 0);

    // What a server says when it refuses is shown.
    let refused = fixture.sign("GET", &missing, &["--send"], "");
    assert_eq!(refused.status.code(), Some(8));
    assert!(stdout(&refused).contains("<Code>NoSuchKey</Code>"), "{}", stdout(&refused));

    // Full disks, and readers that have gone.
    let full = fixture.sign("GET", &big, &["--send", "-o", "/dev/full"], "");
    assert_eq!(full.status.code(), Some(1));
    assert!(said(&full).contains("cannot write the answer: No space left"), "{}", said(&full));
    let folder = fixture.sign("GET", &url, &["--send", "-o", "no/such/folder"], "");
    assert!(said(&folder).contains("cannot write no/such/folder"), "{}", said(&folder));
    let script = format!(
        "{{ \"$KEYFOB\" -q -k soft:demo sign GET {big} --service s3 --send; echo $? >&2; }} | head -c 5"
    );
    let mut sh = fixture.home.command("sh");
    let output = sh.args(["-c", &script]).env("KEYFOB", tool("KEYFOB_BIN").unwrap()).output().unwrap();
    assert!(said(&output).ends_with("\n0\n") && !said(&output).contains("keyfob:"), "{}", said(&output));
    let mut sh = fixture.home.command("sh");
    let script = format!("\"$KEYFOB\" -q -k soft:demo sign GET {url} --service s3 --send > /dev/full");
    let output = sh.args(["-c", &script]).env("KEYFOB", tool("KEYFOB_BIN").unwrap()).output().unwrap();
    assert!(said(&output).contains("No space left") && output.status.code() == Some(1), "{}", said(&output));
}

/// `--json` is JSON, whatever the answer, and goes with no other form of what is printed.
#[test]
fn answers_as_json() {
    let fixture = Fixture::new();
    fixture.server.put(BUCKET, "big", &bytes(200_000)).unwrap();
    fixture.server.put(BUCKET, "key", b"a\x1b\xff").unwrap();
    let (url, big, missing) = (fixture.url("key"), fixture.url("big"), fixture.url("missing"));
    let json = |output: &Output| serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    let body = |answer: &serde_json::Value| {
        aws_smithy_types::base64::decode(answer["body"].as_str().unwrap()).unwrap()
    };
    for (url, options, content) in [
        (&url, &[][..], b"a\x1b\xff".to_vec()),
        (&url, &["-i"], b"a\x1b\xff".to_vec()),
        (&big, &["-o", "-"], bytes(200_000)),
    ] {
        let answer = json(&fixture.sign("GET", url, &[&["--json", "--send"], options].concat(), ""));
        assert_eq!((&answer["status"], &body(&answer)), (&200.into(), &content), "{options:?}");
        assert_eq!(answer["headers"]["content-length"], content.len().to_string(), "{options:?}");
    }
    assert_eq!(body(&json(&fixture.sign("HEAD", &url, &["--json", "--send"], ""))), b"");
    let saved = json(&fixture.sign("GET", &big, &["--json", "--send", "-o", "out"], ""));
    assert_eq!(
        (&saved["status"], &saved["file"], &saved["length"]),
        (&200.into(), &"out".into(), &200_000.into())
    );
    assert!(fs::read(fixture.home.path().join("out")).unwrap() == bytes(200_000));
    for options in [&[][..], &["-o", "out"]] {
        let refused = fixture.sign("GET", &missing, &[&["--json", "--send"], options].concat(), "");
        assert_eq!((refused.status.code(), &json(&refused)["status"]), (Some(8), &404.into()));
        let document = String::from_utf8(body(&json(&refused))).unwrap();
        assert!(document.contains("<Code>NoSuchKey</Code>"), "{document}");
        assert!(said(&refused).contains(r#""code":"aws-refused""#), "{}", said(&refused));
    }
    assert!(fs::read(fixture.home.path().join("out")).unwrap() == bytes(200_000));
    // One that breaks off is no JSON.
    let half = stub(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of it", false);
    let broken = fixture.sign("GET", &half, &["--json", "--send"], "");
    assert!(
        broken.status.code() == Some(1)
            && serde_json::from_slice::<serde_json::Value>(&broken.stdout).is_err()
    );

    // The same of every command.
    let bucket = format!("s3://{BUCKET}/key");
    let endpoint = fixture.server.endpoint();
    let at = ["--endpoint", endpoint.as_str()];
    let prefix = format!("s3://{BUCKET}/");
    let sign = ["sign", "GET", url.as_str(), "--service", "s3"];
    let form = [&["presign-post", bucket.as_str()], &at[..]].concat();
    let batch = [&["presign", "--stdin", prefix.as_str()], &at[..]].concat();
    for (command, option, others, own) in [
        (&sign[..], "--print", &["headers", "curl"][..], "json"),
        (&form, "--format", &["html", "curl"], "json"),
        (&batch, "--format", &["text", "csv"], "jsonl"),
    ] {
        for other in others {
            let output =
                fixture.home.run(&[&["--json"], command, &[option, other]].concat(), "key\n").unwrap();
            assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{option} {other}");
            assert!(said(&output).contains(&format!("leave --json or {option} out")), "{}", said(&output));
        }
        for options in [&[][..], &[option, own]] {
            json(&fixture.home.run(&[&["--json"], command, options].concat(), "key\n").unwrap());
        }
    }
}

/// What a terminal makes of control characters is not for a server to say.
#[test]
fn terminals_get_text_only() {
    let home = home(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    const CLEAR: &str = "\x1b[2J";
    #[track_caller]
    fn check(home: &Home, answer: &'static [u8], options: &str, code: i32, shown: bool, expected: &str) {
        let url = stub(answer, false);
        let mut sh = home.command("sh");
        sh.args([
            "-c",
            &format!("exec \"$KEYFOB\" -q sign GET {url} --service s3 --send {options} > /dev/tty"),
        ]);
        sh.env("KEYFOB", tool("KEYFOB_BIN").unwrap());
        let session = terminal::run(&sh, &[]).unwrap();
        let said = said(&session.output);
        assert_eq!(session.output.status.code(), Some(code), "{options}: {said}");
        assert_eq!(session.screen.contains(CLEAR), shown, "{options}: {:?}", session.screen);
        assert!(
            format!("{}{said}", session.screen).contains(expected),
            "{options}: {:?} {said}",
            session.screen
        );
    }
    let text: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n<a>\tb\r\n\n";
    let hostile: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab\x1b[2J";
    let refusal: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nab\x1b[2J";
    check(&home, text, "-i", 0, false, "<a>");
    check(&home, hostile, "", 1, false, "-o - to print it all the same");
    check(&home, hostile, "-i", 1, false, "-o FILE");
    check(&home, hostile, "-o -", 0, true, "");
    check(&home, hostile, "--json", 0, false, "YWIbWzJK");
    check(&home, refusal, "", 8, false, "refused: status 403");
    check(&home, refusal, "-o -", 8, true, "refused: status 403");
    // Nobody's terminal.
    let url = stub(hostile, false);
    let output = home.run(&["sign", "GET", &url, "--service", "s3", "--send"], "").unwrap();
    assert_eq!(output.stdout, b"ab\x1b[2J");
}

/// A pipe can be read but once: what else is wrong is said before.
#[test]
fn a_pipe_is_left_alone_until_it_can_be_signed() {
    let home = home(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    home.succeed(&["aws", "add", "AKIAI44QH8DHBEXAMPLE"], SECRET_ACCESS_KEY).unwrap();
    let ended = r#"{"AccessKeyId": "ASIA", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "2020-01-01T00:00:00Z"}"#;
    home.write("ended.json", ended).unwrap();
    for (options, code) in [("", 4), ("--identity AKIAI44QH8DHBEXAMPLE", 0), ("--credentials ended.json", 2)]
    {
        let mut sh = home.command("sh");
        let sign = "\"$KEYFOB\" -q sign PUT https://b.s3.eu-west-1.amazonaws.com/k -T -";
        sh.args(["-c", &format!("{{ {sign} {options} >/dev/null; echo code $?; cat; }}")]);
        sh.env("KEYFOB", tool("KEYFOB_BIN").unwrap()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = sh.stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"what is there only once").unwrap();
        let output = child.wait_with_output().unwrap();
        let rest = if code == 0 { "" } else { "what is there only once" };
        assert_eq!(stdout(&output), format!("code {code}\n{rest}"), "{options}");
    }
    // Whoever waits for the pipe does not wait for a touch.
    let mut sh = home.command("sh");
    let sign = "\"$KEYFOB\" --timeout 1s sign PUT https://b.s3.eu-west-1.amazonaws.com/k -T -";
    sh.args(["-c", &format!("{{ sleep 1.5; echo body; }} | {sign} --identity {ACCESS_KEY_ID}")]);
    let output = sh.env("KEYFOB", tool("KEYFOB_BIN").unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// A server that answers with `answer` and then does nothing, or goes.
fn stub(answer: &'static [u8], stay: bool) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/{BUCKET}/key", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        stream.write_all(answer).unwrap();
        while stay && stream.read(&mut request).is_ok_and(|read| read > 0) {}
    });
    url
}

#[test]
fn what_breaks_off_leaves_the_file_as_it_was() {
    let fixture = Fixture::new();
    let half: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of it";
    let out = fixture.home.write("out", "as it was").unwrap();
    let path = out.to_str().unwrap();
    let broken = fixture.sign("GET", &stub(half, false), &["--send", "-o", path], "");
    assert_eq!(broken.status.code(), Some(1));
    assert!(said(&broken).contains("broke"), "{}", said(&broken));
    assert_eq!(fs::read_to_string(&out).unwrap(), "as it was");

    // Ctrl-C while the answer comes.
    let mut keyfob = fixture.home.keyfob().unwrap();
    let url = stub(half, true);
    keyfob
        .args(["-k", "soft:demo", "sign", "GET", &url, "--service", "s3", "--send", "-i"])
        .args(["-o", path]);
    let mut child = keyfob.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    poll("the answer's beginning", || {
        let parts = fs::read_dir(fixture.home.path()).unwrap().map(|entry| entry.unwrap().path());
        parts
            .filter(|path| path.extension().is_some_and(|it| it == "part"))
            .find(|path| fs::read_to_string(path).is_ok_and(|text| text.ends_with("half of it")))
    })
    .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(2));
    assert_eq!(fs::read_to_string(&out).unwrap(), "as it was");
    let names = fs::read_dir(fixture.home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().ends_with(".part")).count(), 0);
}

/// Takes a body of `length` bytes: after its first MiB and after its last byte it says so, and waits to be told to go on.
fn patient(length: usize) -> (String, Receiver<()>, Sender<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/{BUCKET}/key", listener.local_addr().unwrap());
    let ((says, hears), (tells, told)) = (channel(), channel());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        for part in [1 << 20, length - (1 << 20)] {
            let taken = std::io::copy(&mut (&stream).take(part as u64), &mut std::io::sink());
            says.send(()).unwrap();
            if taken.is_ok_and(|taken| taken < part as u64) || told.recv().is_err() {
                return;
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    (url, hears, tells)
}

#[test]
fn long_bodies_take_little_memory_and_do_not_change_on_the_way() {
    const LEN: usize = 100_000_000;
    let home = home(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    let path = home.path().join("body");
    // Its first and last bytes are all that is on the disk.
    let file = fs::File::create(&path).unwrap();
    file.set_len(LEN as u64).unwrap();
    let start = |url: &str, options: &[&str]| {
        let mut keyfob = home.keyfob().unwrap();
        keyfob
            .args(["-q", "-k", "soft:demo", "sign", "PUT", url, "--service", "s3", "--send", "--body"])
            .arg(&path);
        keyfob.args(options).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let chunked_len = LEN + LEN.div_ceil(65_536) * 90 + 86 - 1;
    for (options, len) in [(&[][..], LEN), (&["--chunked"], chunked_len)] {
        let (url, hears, tells) = patient(len);
        let child = start(&url, options);
        hears.recv().unwrap();
        tells.send(()).unwrap();
        hears.recv().unwrap();
        let most = mib(child.id().into(), "VmHWM").unwrap();
        tells.send(()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(most < 50.0, "{most} MiB for {} MB", LEN / 1_000_000);
    }

    let (url, hears, tells) = patient(LEN);
    let child = start(&url, &[]);
    hears.recv().unwrap();
    file.write_all_at(b"x", LEN as u64 - 1).unwrap();
    tells.send(()).unwrap();
    hears.recv().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the file was changed while it was read"), "{}", said(&output));
}

#[test]
fn a_long_body_is_not_sent_to_who_refuses() {
    let fixture = Fixture::new();
    let file = fixture.file(20_000_000);
    let credentials = fixture
        .home
        .write(
            "other.json",
            &format!(r#"{{"AccessKeyId": "{ACCESS_KEY_ID}", "SecretAccessKey": "another"}}"#),
        )
        .unwrap();
    let credentials = ["--credentials", credentials.to_str().unwrap()];
    for options in [&[][..], &["--chunked"]] {
        let body = ["--body", file.to_str().unwrap(), "--send"];
        let output = fixture.sign("PUT", &fixture.url("key"), &[options, &credentials, &body].concat(), "");
        assert_eq!(output.status.code(), Some(8), "{}", said(&output));
        assert!(said(&output).contains("refused: SignatureDoesNotMatch"), "{}", said(&output));
    }
}

/// The calls of AWS itself: STS and IAM, whose service and region the host's name says, as moto verifies them.
#[test]
fn sts_and_iam_take_what_was_signed() {
    let moto = Moto::start(&[("alice", &["iam:ListUsers", "sts:*"])]).unwrap();
    let alice = &moto.users()[0];
    let run =
        |home: &Home, options: &[&str]| home.run(&[&["sign"], options, &["--send"]].concat(), "").unwrap();
    let right = home(&alice.access_key_id, &alice.secret_access_key);
    let url = moto.endpoint();
    let whoami = "Action=GetCallerIdentity&Version=2011-06-15";
    let sts = ["POST", &url, "--service", "sts", "--region", "us-east-1", "-d", whoami];
    let output = run(&right, &sts);
    assert!(stdout(&output).contains("user/alice"), "{} {}", stdout(&output), said(&output));
    assert!(said(&output).contains("Action=GetCallerIdentity"), "the prompt says it: {}", said(&output));
    // From a file, under AWS's own name; and for IAM. (Moto takes no signature of a GET with a query.)
    let form = right.write("form", whoami).unwrap();
    let at = format!("@{}", form.display());
    let host = ["-H", "Host: sts.eu-west-1.amazonaws.com"];
    assert!(run(&right, &[&["POST", &url, "-d", &at], &host[..]].concat()).status.success());
    let host = ["-H", "Host: iam.amazonaws.com"];
    let users =
        run(&right, &[&["POST", &url, "-d", "Action=ListUsers&Version=2010-05-08"], &host[..]].concat());
    assert!(stdout(&users).contains("<UserName>alice</UserName>"), "{} {}", stdout(&users), said(&users));
    let denied =
        run(&right, &[&["POST", &url, "-d", "Action=ListGroups&Version=2010-05-08"], &host[..]].concat());
    assert_eq!(denied.status.code(), Some(8));
    assert!(
        said(&denied).contains("AccessDenied") && said(&denied).contains("policies"),
        "{}",
        said(&denied)
    );

    let wrong = home(&alice.access_key_id, "another");
    let output = run(&wrong, &sts);
    assert_eq!(output.status.code(), Some(8), "{}", said(&output));
    assert!(said(&output).contains("SignatureDoesNotMatch"), "{}", said(&output));
}

/// Everything by `sign` alone: a bucket, objects with names that curl or a server would tidy up, a session and what it signs.
#[test]
fn ceph_takes_what_was_signed_by_key_and_session() {
    let server = Ceph::start().unwrap();
    server.add_user("alice", ACCESS_KEY_ID, SECRET_ACCESS_KEY, "user-policy=*").unwrap();
    let home = home(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    let run = |method: &str, path: &str, options: &[&str]| {
        let url = format!("{}/{path}", server.endpoint());
        let fixed = ["-q", "sign", method, &url, "--region", "us-east-1"];
        home.run(&[&fixed, options, &["--send"]].concat(), "").unwrap()
    };
    let s3 = |method: &str, path: &str, options: &[&str]| {
        let output = run(method, path, &[&["--service", "s3"], options].concat());
        assert!(output.status.success(), "{method} {path}: {} {}", stdout(&output), said(&output));
        stdout(&output)
    };
    s3("PUT", "bucket", &[]);
    for key in ["a", "a//b/", "a/../b/./c", "%20+%2B/~*'()", "ü/日本"] {
        s3("PUT", &format!("bucket/{key}"), &["-d", key]);
        assert_eq!(s3("GET", &format!("bucket/{key}"), &[]), key);
    }
    let list = s3("GET", "bucket?prefix=a/../&list-type=2&&x=%2f+", &[]);
    assert!(list.contains("<Key>a/../b/./c</Key>") && !list.contains("<Key>a</Key>"), "{list}");
    let file = home.path().join("file");
    fs::write(&file, bytes(300_000)).unwrap();
    s3("PUT", "bucket/chunked", &["--body", file.to_str().unwrap(), "--chunked"]);
    let out = home.path().join("out");
    s3("GET", "bucket/chunked", &["-o", out.to_str().unwrap()]);
    assert!(fs::read(&out).unwrap() == bytes(300_000));
    // Requests that are late or early.
    for at in ["2026-01-01T00:00:00Z", "2126-01-01T00:00:00Z"] {
        let output = run("GET", "bucket/a", &["--service", "s3", "--at", at]);
        assert_eq!(output.status.code(), Some(8), "{at}: {}", said(&output));
    }

    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","sts:*"],"Resource":"*"}]}"#;
    let policy: String = policy.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let form = format!("Action=PutUserPolicy&UserName=alice&PolicyName=p&PolicyDocument={policy}");
    let made = run("POST", "", &["--service", "iam", "-d", &form]);
    assert!(made.status.success(), "{}", said(&made));
    let form = "Action=GetSessionToken&Version=2011-06-15&DurationSeconds=900";
    let answer = run("POST", "", &["--service", "sts", "-d", form]);
    assert!(answer.status.success(), "{}", said(&answer));
    let part = |name: &str| keyfob::aws_call::xml_text(&stdout(&answer), name).unwrap();
    let session = |token: &str| {
        let json = serde_json::json!({
            "AccessKeyId": part("AccessKeyId"),
            "SecretAccessKey": part("SecretAccessKey"),
            "SessionToken": token,
            "Expiration": part("Expiration"),
        });
        home.write("session.json", &json.to_string()).unwrap()
    };
    let path = session(&part("SessionToken"));
    let by_session = ["--service", "s3", "--credentials", path.to_str().unwrap()];
    let output = run("GET", "bucket/a", &by_session);
    assert_eq!(stdout(&output), "a", "{}", said(&output));
    let chunked = ["--body", file.to_str().unwrap(), "--chunked"];
    assert!(run("PUT", "bucket/b", &[&by_session[..], &chunked].concat()).status.success());
    session(&part("SessionToken").replacen(|c: char| c.is_ascii_alphabetic(), "", 1));
    let refused = run("GET", "bucket/a", &by_session);
    assert_eq!(refused.status.code(), Some(8), "{}", said(&refused));
}

/// What cannot be signed is said at once: there is no key here, and none is asked for.
#[test]
fn what_is_typed_wrong_is_said_without_a_key() {
    let home = Home::new().unwrap();
    #[track_caller]
    fn check(home: &Home, options: &[&str], expected: &[&str]) {
        let output = home.run(&[&["sign"], options].concat(), "").unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {said}");
        assert!(output.stdout.is_empty());
        for part in expected {
            assert!(said.contains(part), "{options:?}: {said}");
        }
    }
    let s3 = "https://bucket.s3.eu-west-1.amazonaws.com/key";
    check(&home, &["GET", "https://example.com/"], &["example.com does not say which service", "--service"]);
    check(
        &home,
        &["GET", "https://example.com/", "--service", "es"],
        &["which region", "--region", "AWS_REGION"],
    );
    check(&home, &["GET", "https://bucket.s3-accelerate.amazonaws.com/"], &["which region"]);
    check(&home, &["GET", "https://u:hunter2@h/", "--service", "s3"], &["user's name"]);
    check(&home, &["GET", "h"], &["https://"]);
    check(&home, &["GET X", s3], &["no HTTP method"]);
    check(&home, &["", s3], &["no HTTP method"]);
    check(&home, &["GET", s3, "-H", "a b: c"], &["no name of an HTTP header"]);
    check(&home, &["GET", s3, "-H", "a: b\r\nx-amz-acl: public-read"], &["printable ASCII"]);
    check(&home, &["GET", s3, "-H", "a: ü"], &["printable ASCII"]);
    check(&home, &["GET", s3, "-H", "Authorization: Basic hunter2"], &["for the signature to write"]);
    check(&home, &["GET", s3, "-H", &format!("a: {}", "b".repeat(70_000))], &["no service takes more"]);
    check(&home, &["GET", s3, "--service", "s 3"], &["s 3"]);
    check(&home, &["GET", s3, "--region", "eu/west"], &["eu/west"]);
    check(
        &home,
        &["PUT", s3, "-d", "a", "-H", "Content-Length: 2"],
        &["Content-Length says \"2\"", "1 bytes"],
    );
    check(&home, &["PUT", "http://h/", "--service", "s3", "--unsigned-payload"], &["unprotected by http"]);
    check(&home, &["PUT", s3, "--chunked", "--unsigned-payload", "--send"], &["--trailer"]);
    check(
        &home,
        &["POST", "https://sts.amazonaws.com", "--chunked", "--send"],
        &["sts takes no body in signed chunks"],
    );
    check(&home, &["PUT", s3, "--chunked"], &["--send"]);
    check(&home, &["PUT", s3, "--chunked", "--send", "--chunk-size", "8191"], &["8191"]);
    check(&home, &["PUT", s3, "--send", "--chunk-size", "8192"], &["--chunked|--trailer"]);
    check(&home, &["PUT", s3, "--body", "-", "-H", "@-"], &["stdin can be one thing only"]);
    check(&home, &["PUT", s3, "-d", "@-", "--credentials", "-"], &["stdin can be one thing only"]);
    check(&home, &["PUT", s3, "--body", "-", "--print", "curl"], &["could not read the body again"]);
    check(&home, &["PUT", s3, "-d", "@-", "--print", "curl"], &["could not read the body again"]);
    check(&home, &["PUT", s3, "-d", "@/dev/null", "--print", "curl"], &["could not read the body again"]);
    check(&home, &["GET", s3, "--at", "yesterday"], &["give a time as"]);
    check(&home, &["GET", &format!("{s3}?X-Amz-Signature=0")], &["signed already"]);

    let other = |options: &[&str], code: i32, expected: &str| {
        let output = home.run(&[&["sign"], options].concat(), "").unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
    };
    other(&["GET", "https://x.mrap.accesspoint.s3-global.amazonaws.com/k"], 1, "SigV4A");
    other(&["PUT", s3, "--body", "no-such-file"], 1, "cannot read the body from no-such-file");
    other(&["PUT", s3, "--body", "."], 1, "cannot read the body from .");
    other(&["PUT", s3, "-H", "@no-such-file"], 1, "cannot read the headers from no-such-file");
    other(&["GET", s3], 3, "");
    let ended = r#"{"AccessKeyId": "ASIA", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "2020-01-01T00:00:00Z"}"#;
    let ended = home.write("ended.json", ended).unwrap();
    other(&["GET", s3, "--credentials", ended.to_str().unwrap()], 2, "the session has ended");
    other(
        &["GET", "http://127.0.0.1:9/", "--service", "s3", "--credentials", "env", "--send"],
        7,
        "no credentials",
    );
}

#[test]
fn secret_headers_come_from_a_file() {
    let home = home(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    let name = "x-amz-server-side-encryption-customer-key";
    let headers = home.write("headers", &format!("{name}: c2VjcmV0\n\nX-Other: 1\r\n")).unwrap();
    let s3 = "https://bucket.s3.eu-west-1.amazonaws.com/key";
    let sign = ["sign", "GET", s3];
    let output = home.run(&[&sign[..], &["-H", &format!("@{}", headers.display())]].concat(), "").unwrap();
    let printed = stdout(&output);
    assert!(printed.starts_with(&format!("{name}: c2VjcmV0\nX-Other: 1\n")), "{printed} {}", said(&output));
    assert!(printed.contains(&format!("host;x-amz-content-sha256;x-amz-date;{name};x-other")), "{printed}");
    let by_stdin = home.succeed(&[&sign[..], &["-H", "@-"]].concat(), &format!("{name}: c2VjcmV0")).unwrap();
    assert!(by_stdin.contains("c2VjcmV0"));
    let typed = home.run(&[&sign[..], &["-H", &format!("{name}: c2VjcmV0")]].concat(), "").unwrap();
    assert!(typed.status.code() == Some(2) && !said(&typed).contains("c2VjcmV0"), "{}", said(&typed));
    // Which line is wrong.
    for (line, why) in [
        ("c2VjcmV0", "a header is not 'Name: value'"),
        ("X-B:", "the header X-B has no value"),
        ("X B: c2VjcmV0", "\"X B\" is no name of an HTTP header"),
        ("X-B: ü", "the value of the header X-B has characters other than printable ASCII"),
        ("Authorization: c2VjcmV0", "Authorization is for the signature to write"),
    ] {
        let text = format!("X-A: 1\n\n{line}\n");
        let file = home.write("headers", &text).unwrap();
        let file = file.to_str().unwrap();
        for (given, place) in [(format!("@{file}"), file), ("@-".to_owned(), "stdin")] {
            let output = home.run(&[&sign[..], &["-H", &given]].concat(), &text).unwrap();
            assert_eq!(output.status.code(), Some(2), "{line}: {}", said(&output));
            assert!(said(&output).contains(&format!("{place}, line 3: {why}")), "{line}: {}", said(&output));
            assert!(!said(&output).contains("c2VjcmV0"), "{line}: {}", said(&output));
        }
    }
}

/// Who names no region gets that one, and can read so.
#[test]
fn the_region_of_other_servers_is_said() {
    let home = home(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    let url = "https://minio.example/bucket/key";
    assert!(home.succeed(&["sign", "GET", url, "--service", "s3"], "").unwrap().contains("/us-east-1/s3/"));
    let link =
        home.succeed(&["presign", "s3://bucket/key", "--endpoint", "https://minio.example"], "").unwrap();
    assert!(link.contains("%2Fus-east-1%2Fs3%2F"), "{link}");
    for command in ["sign", "presign", "presign-post"] {
        let help = home.succeed(&[command, "--help"], "").unwrap();
        let region = help.split_once("--region <").unwrap().1.split("--").next().unwrap().to_owned();
        assert!(region.contains("us-east-1"), "{command}: {region}");
    }
}

#[test]
fn credentials_that_others_can_read_are_warned_of() {
    let home = home(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    let file = home.write("keys.json", r#"{"AccessKeyId": "AKIA", "SecretAccessKey": "s"}"#).unwrap();
    let sign = ["sign", "GET", "https://sts.amazonaws.com", "--credentials", file.to_str().unwrap()];
    for (mode, warned) in [(0o600, false), (0o644, true), (0o640, true)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let output = home.run(&sign, "").unwrap();
        assert!(output.status.success(), "{mode:o}: {}", said(&output));
        assert_eq!(said(&output).contains("keys.json can be read by others"), warned, "{mode:o}");
        let quiet = home.run(&[&["-q"], &sign[..]].concat(), "").unwrap();
        assert_eq!(said(&quiet), "", "{mode:o}");
    }
}

/// Stands before a server, for TLS.
fn tls(server: u16) -> TlsServer {
    let pass_on = move |stream: &mut Stream| {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let lower = head.to_ascii_lowercase();
        if lower.contains("\r\nexpect: 100-continue\r\n") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body)?;
        let mut upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
        upstream.write_all(head.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes())?;
        upstream.write_all(&body)?;
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer)?;
        // It says itself that it goes on with the body.
        stream.write_all(answer.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answer))
    };
    TlsServer::start(&["localhost"], pass_on).unwrap()
}

#[test]
fn what_is_not_signed_goes_by_https() {
    let mut fixture = Fixture::new();
    let tls = tls(fixture.server.port());
    let origin = tls.origin();
    let bundle = fixture.home.write("ca.pem", tls.authority()).unwrap();
    fixture.home.set("AWS_CA_BUNDLE", bundle.to_str().unwrap());
    let file = fixture.file(200_000);
    for (key, options, hash) in [
        ("unsigned", &[][..], "UNSIGNED-PAYLOAD"),
        ("trailer", &["--trailer", "crc64nvme"], "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
    ] {
        let url = format!("{origin}/{BUCKET}/{key}");
        let body = ["--unsigned-payload", "--body", file.to_str().unwrap()];
        let output = fixture.sign("PUT", &url, &[options, &body, &["--send", "-i"]].concat(), "");
        assert!(output.status.success(), "{key}: {}", said(&output));
        assert!(fixture.stored(key) == bytes(200_000), "{key}");
        // One signature, and not whatever else the signing key could sign.
        assert!(said(&output).contains(&format!("/{BUCKET}/{key}")), "{}", said(&output));
        assert!(!said(&output).contains("anything"), "{}", said(&output));
        if options.is_empty() {
            let printed = fixture.succeed("PUT", &url, &body, "");
            assert!(printed.contains(&format!("x-amz-content-sha256: {hash}\n")), "{printed}");
        }
    }
    let url = format!("{origin}/{BUCKET}/unsigned");
    assert!(fixture.succeed("HEAD", &url, &["--send", "-i"], "").starts_with("HTTP/1.1 200\n"));
}
