//! `keyfob doctor` and what is known of keys, against a real PC/SC service: absent, dead, hung; its readers empty, taken
//! by another program, with cards that are no keys; a card that comes and goes; the clock against a server of the test's.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use keyfob_tests::home::Home;
use keyfob_tests::host::Host;
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};
use keyfob_tests::tls::{Stream, TlsServer};
use keyfob_tests::vpcd::Answer;
use serde_json::{Value, json};

fn home_and_pcscd(readers: &[&str]) -> (Home, Pcscd) {
    let pcscd = Pcscd::start(readers).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    home.succeed(&["soft", "create", "demo"], "").unwrap();
    (home, pcscd)
}

/// Runs the doctor: the findings that are no mere "ok" of files and agent, as id and level, and the whole for messages.
#[track_caller]
fn check(home: &Home, args: &[&str], exit: i32, expected: &[(&str, &str)]) -> String {
    let output = home.run(&[&["--json"], args].concat(), "").unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let findings = answer["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let findings: Vec<_> = findings
        .iter()
        .map(|finding| (finding["id"].as_str().unwrap(), finding["level"].as_str().unwrap()))
        .filter(|finding| ![("soft-key", "ok"), ("agent", "ok")].contains(finding))
        .collect();
    assert_eq!(findings, expected, "{text}");
    assert_eq!(output.status.code(), Some(exit), "{}", String::from_utf8_lossy(&output.stderr));
    let problems = expected.iter().filter(|finding| finding.1 == "problem").count();
    assert_eq!(answer["problems"], problems, "{text}");
    text
}

#[test]
fn no_service() {
    let mut home = Home::new().unwrap();
    home.succeed(&["soft", "create", "demo"], "").unwrap();
    let text = check(&home, &["doctor"], 1, &[("pcsc-stopped", "problem")]);
    assert!(text.contains("no-pcscd"), "{text}");
    // A software key needs none.
    check(&home, &["--key", "soft:demo", "doctor"], 0, &[("pcsc-stopped", "note")]);

    let output = home.run(&["doctor"], "").unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("PROBLEM  the smart-card service (pcscd) does not run"), "{text}");
    assert!(text.contains("\n         → start it"), "{text}");
    assert_eq!(output.status.code(), Some(1));

    // A service that was killed leaves its socket behind.
    let socket = home.path().join("pcscd.comm");
    drop(UnixListener::bind(&socket).unwrap());
    home.use_pcsc_socket(&socket);
    check(&home, &["doctor"], 1, &[("pcsc-dead", "problem")]);
}

#[test]
fn a_service_that_turns_everybody_away() {
    let mut home = Home::new().unwrap();
    let socket = home.path().join("pcscd.comm");
    home.use_pcsc_socket(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    // As pcscd does with whom polkit refuses. It ends with this process.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    // Where polkit has rules for the service, they are why.
    let policy = std::path::Path::new("/usr/share/polkit-1/actions/org.debian.pcsc-lite.policy").exists();
    let id = if policy { "pcsc-polkit" } else { "pcsc-broken" };
    check(&home, &["doctor"], 1, &[(id, "problem")]);
}

#[test]
fn a_service_that_hangs() {
    let mut home = Home::new().unwrap();
    let socket = home.path().join("pcscd.comm");
    home.use_pcsc_socket(&socket);
    let _listener = UnixListener::bind(&socket).unwrap();
    check(&home, &["doctor"], 1, &[("pcsc-hung", "problem")]);
}

#[test]
fn a_card_that_comes_and_goes() {
    let (home, pcscd) = home_and_pcscd(&[YUBIKEY_READER]);
    let text = check(&home, &["doctor"], 1, &[("no-card", "problem")]);
    assert!(text.contains(&format!("{YUBIKEY_READER} 00 00, nor in {YUBIKEY_READER} 00 01")), "{text}");
    let card = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    check(&home, &["doctor"], 0, &[("key", "ok")]);
    check(&home, &["--key", "1", "doctor"], 1, &[("key", "ok"), ("chosen-key", "problem")]);
    drop(card);
    keyfob_tests::poll("the card to be gone", || {
        (home.run(&["doctor"], "").unwrap().status.code() == Some(1)).then_some(())
    })
    .unwrap();
    check(&home, &["doctor"], 1, &[("no-card", "problem")]);
}

#[test]
fn cards_that_are_no_keys() {
    #[track_caller]
    fn with(reader: &str, answer: fn(&[u8]) -> Answer, expected: (&str, &str)) {
        let (home, pcscd) = home_and_pcscd(&[reader]);
        let _card = pcscd.insert(0, answer).unwrap();
        check(&home, &["doctor"], 1, &[expected]);
    }
    let nothing: fn(&[u8]) -> Answer = |_| Answer::Response(vec![0x6A, 0x82]);
    with(YUBIKEY_READER, nothing, ("oath-disabled", "problem"));
    with("ACS ACR122U PICC Interface", nothing, ("no-oath", "problem"));
    with(YUBIKEY_READER, |_| Answer::Response(vec![0x90]), ("card", "problem"));

    // Beside a key such a card is no problem.
    let (home, pcscd) = home_and_pcscd(&[YUBIKEY_READER, "Bank Card Reader"]);
    let _bank = pcscd.insert(1, nothing).unwrap();
    let _key = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    check(&home, &["doctor"], 0, &[("key", "ok"), ("no-oath", "note")]);
}

/// Another process that holds the card; let go of when dropped.
struct Holder {
    child: Child,
    /// Not closed before it has ended: it would be told.
    _output: ChildStdout,
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

const HOLD: &str = "KEYFOB_TESTS_HOLD";

/// This program under another name, as [`holds_the_card_for_another_test`].
fn hold(home: &Home, name: &str) -> Holder {
    let program = home.path().join(name);
    std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command: Command = home.command(program);
    command.args(["--exact", "holds_the_card_for_another_test", "--ignored", "--nocapture"]).env(HOLD, "1");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let lines = BufReader::new(&mut output).lines().map_while(Result::ok);
    let held = lines.into_iter().any(|line| line.ends_with("held"));
    let holder = Holder { child, _output: output };
    assert!(held, "it could not take the card");
    holder
}

#[test]
#[ignore = "what another test starts as a program of its own"]
fn holds_the_card_for_another_test() {
    if std::env::var_os(HOLD).is_none() {
        return;
    }
    let context = pcsc::Context::establish(pcsc::Scope::User).unwrap();
    let readers = context.list_readers_owned().unwrap();
    let card = context.connect(&readers[0], pcsc::ShareMode::Exclusive, pcsc::Protocols::ANY).unwrap();
    println!("held");
    // Until the other test lets go, or has ended.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    card.disconnect(pcsc::Disposition::LeaveCard).map_err(|(_, error)| error).unwrap();
}

#[test]
fn who_holds_the_key_is_named() {
    let (home, pcscd) = home_and_pcscd(&[YUBIKEY_READER]);
    let _card = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    home.succeed(&["oath", "add", "one"], "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();

    let holder = hold(&home, "scdaemon");
    let name = format!("scdaemon (pid {})", holder.child.id());
    let text = check(&home, &["doctor"], 1, &[("key-held", "problem")]);
    assert!(text.contains(&name) && text.contains("gpgconf --kill scdaemon"), "{text}");
    let output = home.run(&["--json", "code", "one"], "").unwrap();
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["code"], "busy", "{error}");
    assert_eq!(error["error"]["message"], format!("another program holds the key: {name}"));
    assert!(error["error"]["hint"].as_str().unwrap().contains("gpgconf --kill scdaemon"), "{error}");
    drop(holder);

    // Let go of at last, and nobody is blamed any more.
    let holder = hold(&home, "some-program");
    let waiting = {
        let mut keyfob = home.keyfob().unwrap();
        keyfob.args(["code", "one"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    std::thread::sleep(std::time::Duration::from_millis(500));
    drop(holder);
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    check(&home, &["doctor"], 0, &[("key", "ok")]);
}

#[test]
fn a_key_tells_what_it_is_and_is_asked_once() {
    let pcscd = Pcscd::start(&[YUBIKEY_READER]).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    let asked = Arc::new(AtomicUsize::new(0));
    let card = |serial: u8, asked: Arc<AtomicUsize>| {
        let mut oath = false;
        move |command: &[u8]| {
            let response: &[u8] = match command {
                [0, 0xA4, 4, 0, 7, 0xA0, 0, 0, 5, 0x27, 0x21, 1, ..] => {
                    oath = true;
                    &[0x79, 3, 5, 4, 3, 0x71, 8, 1, 2, 3, 4, 5, 6, 7, serial, 0x90, 0]
                }
                [0, 0xA4, 4, 0, 8, 0xA0, 0, 0, 5, 0x27, 0x47, 0x11, 0x17, ..] => {
                    oath = false;
                    asked.fetch_add(1, Ordering::Relaxed);
                    b"FW version 5.4.3\x90\x00"
                }
                // A key on USB: OTP and OATH of OTP, U2F and OATH are on; USB-A, for the key ring.
                [0, 0x1D, 0, ..] if !oath => {
                    &[15, 1, 1, 0x23, 3, 1, 0x21, 2, 4, 0, 0, 1, serial, 4, 1, 1, 0x90, 0]
                }
                [0, 0xA1 | 0xA4, ..] if oath => &[0x90, 0],
                _ => &[0x6D, 0],
            };
            Answer::Response(response.to_vec())
        }
    };
    let first = pcscd.insert(0, card(7, asked.clone())).unwrap();
    let keys: Value =
        serde_json::from_str(&home.succeed(&["--no-agent", "--json", "list"], "").unwrap()).unwrap();
    let expected = json!([{
        "id": "263", "kind": "smart-card", "label": format!("{YUBIKEY_READER} 00 00"), "version": "5.4.3",
        "locked": false, "serial": 263, "firmware": "5.4.3", "form_factor": "Keychain (USB-A)",
        "enabled": ["Yubico OTP", "OATH"], "slots": 32,
    }]);
    assert_eq!(keys, expected);
    let text = home.succeed(&["--no-agent", "list"], "").unwrap();
    assert!(text.starts_with("263  smart card  5.4.3  Keychain (USB-A)  Yubico YubiKey"), "{text}");
    assert!(text.contains("Yubico OTP, OATH"), "{text}");
    let info = home.succeed(&["--no-agent", "info"], "").unwrap();
    assert!(info.contains("\nused        0 of 32\n"), "{info}");

    // One process, or its agent: a card is asked once, and another card in its place again.
    let mut host = Host::start(&home).unwrap();
    let before = asked.load(Ordering::Relaxed);
    for _ in 0..3 {
        assert_eq!(host.ask(&json!({ "name": "keys" })).unwrap()["answer"]["keys"], expected);
    }
    assert_eq!(asked.load(Ordering::Relaxed), before + 1);
    drop(first);
    // The service looks every 400 ms: faster than that is no pulling out.
    keyfob_tests::poll("the reader to be empty", || {
        let reply = host.ask(&json!({ "name": "accounts" })).unwrap();
        (reply["error"]["code"] == "no-key").then_some(())
    })
    .unwrap();
    let _second = pcscd.insert(0, card(8, asked.clone())).unwrap();
    keyfob_tests::poll("the other card", || {
        let reply = host.ask(&json!({ "name": "keys" })).unwrap();
        (reply["answer"]["keys"][0]["id"] == "264").then_some(())
    })
    .unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), before + 2);
}

#[test]
fn manifests_of_browsers() {
    let (home, pcscd) = home_and_pcscd(&[YUBIKEY_READER]);
    let _card = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    std::fs::create_dir_all(home.path().join(".config/chromium")).unwrap();
    std::fs::create_dir_all(home.path().join("snap/firefox")).unwrap();
    let sandbox = ("browser-sandbox", "note");
    check(&home, &["doctor"], 0, &[("key", "ok"), ("manifest-missing", "note"), sandbox]);
    home.succeed(&["browser", "install", "--dev", "chromium"], "").unwrap();
    check(&home, &["doctor"], 0, &[("key", "ok"), ("manifest", "ok"), sandbox]);
    let manifest = home.path().join(".config/chromium/NativeMessagingHosts/dev.keyfob.host.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let path = serde_json::from_str::<Value>(&text).unwrap()["path"].as_str().unwrap().to_owned();
    std::fs::write(&manifest, text.replace(&path, "/gone/keyfob")).unwrap();
    let text = check(&home, &["doctor"], 1, &[("key", "ok"), ("manifest-stale", "problem"), sandbox]);
    assert!(text.contains("keyfob browser install chromium --dev"), "{text}");
    home.write("config.toml", "key = 1\n").unwrap();
    home.write(".config/chromium/NativeMessagingHosts/dev.keyfob.host.json", "{").unwrap();
    let mut broken = home.keyfob().unwrap();
    broken.args(["--json", "doctor"]).env("KEYFOB_CONFIG", home.path());
    let text = String::from_utf8(broken.output().unwrap().stdout).unwrap();
    assert!(text.contains("config.toml:1: ") && text.contains("its manifest is damaged"), "{text}");
}

/// A server that says what time it is; `date` is the header's line, whole.
fn serve(date: impl Fn() -> String + Send + 'static) -> TlsServer {
    let serve = move |stream: &mut Stream| {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line)? > 2 {
            line.clear();
        }
        let answer =
            format!("HTTP/1.1 404 Not Found\r\n{}Content-Length: 0\r\nConnection: close\r\n\r\n", date());
        stream.get_mut().write_all(answer.as_bytes())
    };
    TlsServer::start(&["localhost"], serve).unwrap()
}

/// A `Date` header so many seconds from now.
fn date(offset: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let time = jiff::Timestamp::from_second(now + offset).unwrap();
    format!(
        "Date: {}\r\n",
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap()
    )
}

#[test]
fn the_clock_against_a_server() {
    let (mut home, pcscd) = home_and_pcscd(&[YUBIKEY_READER]);
    let _card = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    let right = serve(|| date(0));
    // Nobody vouches for it yet.
    let url = |server: &TlsServer| server.origin() + "/";
    let text =
        check(&home, &["doctor", "--clock", &url(&right)], 1, &[("key", "ok"), ("clock-unknown", "problem")]);
    assert!(text.contains("certificate"), "{text}");

    let servers = [
        (right, 0, ("clock", "ok")),
        (serve(|| date(20)), 0, ("clock", "ok")),
        (serve(|| date(3600)), 1, ("clock-off", "problem")),
        (serve(|| date(-40)), 1, ("clock-off", "problem")),
        (serve(String::new), 1, ("clock-unknown", "problem")),
        (serve(|| "Date: yesterday\r\n".to_owned()), 1, ("clock-unknown", "problem")),
    ];
    let authorities: String = servers.iter().map(|server| server.0.authority()).collect();
    let authorities = home.write("authorities.pem", &authorities).unwrap();
    home.set("SSL_CERT_FILE", authorities.to_str().unwrap());
    for (server, exit, expected) in &servers {
        check(&home, &["doctor", "--clock", &url(server)], *exit, &[("key", "ok"), *expected]);
    }
    // Not over the open: anybody on the way could set the clock's judge.
    let open = url(&servers[0].0).replace("https", "http");
    check(&home, &["doctor", "--clock", &open], 1, &[("key", "ok"), ("clock-unknown", "problem")]);
}
