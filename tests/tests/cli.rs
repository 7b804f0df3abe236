//! The command line as programs and people meet it: what it says and how it ends, hostile input, closed pipes,
//! kills, crowds, and where secrets must never be seen.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use keyfob_tests::home::Home;
use keyfob_tests::host::Host;
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::{poll, terminal};
use serde_json::{Value, json};

/// RFC 6238's secret, `12345678901234567890`, in base32.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/// Whatever happens, it happens within this time.
const NO_HANG: Duration = Duration::from_secs(10);

/// A home whose programs use the software key `demo`.
fn home() -> Home {
    Home::with_software_key().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Full names of the accounts on the key.
fn names(home: &Home) -> BTreeSet<String> {
    let list: Value = serde_json::from_str(&home.succeed(&["--json", "oath", "list"], "").unwrap()).unwrap();
    list["accounts"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap().to_owned()).collect()
}

/// The key's file and all others beside it.
fn files(home: &Home) -> Vec<(String, Vec<u8>)> {
    let folder = home.path().join(".local/share/keyfob/soft");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn every_command_has_help() {
    let home = Home::new().unwrap();
    let reference = include_str!("../../docs/cli.md");
    let commands: Vec<&str> =
        reference.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(" keyfob")).collect();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        for help in ["--help", "-h"] {
            let args: Vec<&str> = command.split_whitespace().chain([help]).collect();
            let output = home.run(&args, "").unwrap();
            let said = text(&output.stdout);
            assert!(output.status.success() && output.stderr.is_empty(), "{args:?}");
            assert!(said.contains("Usage: keyfob") && said.lines().count() > 5, "{args:?}: {said}");
        }
    }
    let output = home.run(&["--version"], "").unwrap();
    assert_eq!(text(&output.stdout), format!("keyfob {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_said_and_how_it_ends() {
    /// Exit code, stdout, and stderr: the whole of it, or how it begins where it ends in `…`.
    #[track_caller]
    fn check(home: &Home, args: &[&str], input: &str, exit: i32, stdout: &str, stderr: &str) {
        let start = Instant::now();
        let output = home.run(args, input).unwrap();
        let said = (output.status.code(), text(&output.stdout), text(&output.stderr));
        assert!(start.elapsed() < NO_HANG);
        match stderr.strip_suffix('…') {
            Some(begin) => assert!(said.2.starts_with(begin), "{args:?}: {}", said.2),
            None => assert_eq!(said.2, stderr, "{args:?}"),
        }
        assert_eq!((said.0, said.1.as_str()), (Some(exit), stdout), "{args:?}: {}", said.2);
    }
    let home = home();
    let wrong = |args: &[&str], message: &str| {
        check(&home, args, "", 2, "", &format!("error: {message}…"));
        // The same for a program.
        let output = home.run(&[&["--json"], args].concat(), "").unwrap();
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!((output.status.code(), error["error"]["code"].as_str()), (Some(2), Some("invalid-input")));
        assert!(error["error"]["message"].as_str().unwrap().starts_with(message), "{error}");
        assert!(output.stdout.is_empty());
    };
    wrong(&["nonsense"], "unrecognized subcommand 'nonsense'");
    wrong(&["code", "--at"], "a value is required for '--at <TIME>' but none was supplied");
    wrong(&["code", "--at", "yesterday"], "invalid value 'yesterday' for '--at <TIME>': give a time as");
    wrong(&["info", "b"], "unexpected argument 'b' found");
    wrong(&["oath", "add", "a", "--digits", "9"], "invalid value '9' for '--digits <DIGITS>'");
    wrong(&["oath", "add", "a", "--period", "0"], "invalid value '0' for '--period <PERIOD>'");
    wrong(&["oath", "add"], "the following required arguments were not provided:");
    // A secret is no argument: it stays an error, whoever tries.
    wrong(&["oath", "add", "a", "--secret", "x"], "unexpected argument '--secret' found");

    let hint = "\n  → ";
    let usage = |args: &[&str], input: &str, message: &str| {
        check(&home, args, input, 2, "", &format!("keyfob: {message}…"));
    };
    let add = |name| ["oath", "add", name];
    let copy = "copy the secret again from where it is shown\n";
    usage(&add(""), SECRET, &format!("the account's name is empty{hint}give ISSUER:ACCOUNT or ACCOUNT\n"));
    usage(&add("issuer:"), SECRET, &format!("the account's name is empty{hint}give ISSUER:ACCOUNT"));
    usage(&add(" "), SECRET, "the account's name is empty");
    usage(&["oath", "add", &"x".repeat(100_000)], SECRET, "the account's name has 100000 bytes");
    usage(&add("a"), "", &format!("nothing was given for the secret of a (base32){hint}"));
    usage(&add("a"), "\n", "nothing was given");
    usage(&add("a"), " \n", "nothing was given for the secret");
    usage(
        &add("a"),
        "0189",
        &format!("the secret is not base32: letters A to Z and digits 2 to 7{hint}{copy}"),
    );
    usage(&add("a"), "\u{fc}", "the secret is not base32");
    usage(&add("a"), &"A".repeat(1 << 20), "the secret of a (base32) is longer than 8192 bytes");
    usage(&["oath", "uri"], "http://x", &format!("not an otpauth:// URI{hint}"));
    usage(&["oath", "uri"], "otpauth://totp/x?secret=", "the otpauth URI has no secret");
    usage(&["oath", "uri"], "otpauth://totp/?secret=GEZDGNBV", "the account's name is empty");
    usage(&["oath", "uri"], &"A".repeat(1 << 20), "the otpauth:// URI is longer than 8192 bytes");
    usage(&["aws", "add", "AKIA"], "", "\"AKIA\" is no access key id: 16 to 40 capital letters and digits");
    usage(&["aws", "add", ACCESS_KEY_ID], "", "nothing was given for the secret access key");
    usage(&add("exile-AKIAIOSFODNN7EXAMPLE-SigV4"), SECRET, "names that begin with exile- are those of AWS");
    usage(
        &["oath", "delete", "plain"],
        "",
        "this wants a person's consent, and there is no terminal to ask on\n  → give --force\n",
    );
    usage(&["soft", "create", "../x"], "", "`../x` cannot name a software key");
    usage(&["--key", "soft:../x", "code"], "", "`../x` cannot name a software key");

    check(&home, &add("plain"), SECRET, 0, "", "Added plain.\n");
    check(&home, &["-q", "oath", "add", "Q:quiet"], SECRET, 0, "", "");
    let exists = "an account of this name is on the key already";
    let replace = "choose another name, or replace it with --force";
    check(&home, &add("plain"), SECRET, 1, "", &format!("keyfob: {exists}{hint}{replace}\n"));
    check(&home, &["oath", "add", "plain", "--force"], SECRET, 0, "", "Replaced plain.\n");
    check(&home, &["code", "plain", "--at", "59"], "", 0, "287082\n", "");
    check(&home, &["code", "pla", "--at", "1970-01-01T00:00:59Z"], "", 0, "287082\n", "");
    check(&home, &["oath", "code", "Q", "--at", "59"], "", 0, "287082\n", "");
    check(
        &home,
        &["--json", "code", "plain", "--at", "59"],
        "",
        0,
        "{\"account\":\"plain\",\"code\":{\"valid_from\":30,\"valid_until\":60,\"value\":\"287082\"}}\n",
        "",
    );
    let none = "no account nobody on this key\n  plain\n  Q:quiet\n  → `keyfob oath list` shows the accounts that are there\n";
    check(&home, &["code", "nobody"], "", 7, "", &format!("keyfob: {none}"));
    check(&home, &["oath", "delete", "--force", "nobody"], "", 7, "", "keyfob: no account nobody…");
    check(&home, &["--key", "soft:none", "code"], "", 7, "", "keyfob: there is no software key `none`…");
    check(&home, &["soft", "create", "demo"], "", 1, "", "keyfob: there is a software key `demo` already…");
    check(&home, &["soft", "list"], "", 0, "soft:demo\n", "");
    check(&home, &["--json", "soft", "list"], "", 0, "[\"soft:demo\"]\n", "");
    check(&home, &["oath", "list"], "", 0, "plain    TOTP\nQ:quiet  TOTP\n", "");
    check(&home, &["aws", "identities"], "", 0, "", "There are no identities on this key…");
    check(
        &home,
        &["presign", "s3://bucket/k", "--region", "eu-west-1"],
        "",
        7,
        "",
        "keyfob: there is no AWS access key…",
    );
    check(
        &home,
        &["aws", "add", ACCESS_KEY_ID, "--no-touch"],
        SECRET_ACCESS_KEY,
        0,
        "",
        &format!("Added {ACCESS_KEY_ID} for SigV4.\n"),
    );

    let presign = |args: &[&str], message: &str| {
        let fixed: &[&str] = &["presign", "--region", "eu-west-1"];
        check(&home, &[fixed, args].concat(), "", 2, "", &format!("keyfob: {message}…"));
    };
    presign(&["http://bucket/k"], "\"http://bucket/k\" is no S3 URL\n  → give s3://BUCKET/KEY\n");
    presign(&["s3://b/k"], "the bucket name");
    presign(&["s3:///k"], "the bucket name \"\" is 0 characters long");
    presign(&["s3://bucket/"], "the object key is empty");
    presign(&[&format!("s3://bucket/{}", "k".repeat(1025))], "the object key is 1025 bytes long");
    presign(
        &["s3://bucket/k", "--expires", "8d"],
        "a link can last 1 to 604800 seconds (7 days), not 691200\n",
    );
    presign(&["s3://bucket/k", "--expires", "0"], "a link can last 1 to 604800 seconds (7 days), not 0\n");
    presign(&["s3://bucket/k", "--header", "x"], "\"x\" is not NAME=VALUE");
    presign(
        &["s3://bucket/k", "--header", "x=a\nb: c"],
        "the value of the header x has characters other than",
    );
    presign(&["s3://bucket/k", "-X", "GET /"], "\"GET /\" is no HTTP method");
    presign(&["s3://bucket/k", "--endpoint", "file:///etc/passwd"], "\"file:///etc/passwd\" is no endpoint");
    check(
        &home,
        &["presign", "s3://bucket/k"],
        "",
        2,
        "",
        "keyfob: the bucket's region is not known\n  → give --region…",
    );
    check(
        &home,
        &["presign", "s3://bucket/k", "--region", "eu west"],
        "",
        2,
        "",
        "keyfob: \"eu west\" is no AWS region…",
    );
}

#[test]
fn names_of_others_cannot_steer_the_terminal() {
    let home = home();
    let hostile = "evil\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}txt\r\n\tend\u{9b}1m";
    home.succeed(&["oath", "add", hostile], SECRET).unwrap();
    let harmless = |bytes: &[u8]| {
        let text = text(bytes);
        let bad = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.contains(bad) && !text.contains("\n\u{fffd}end"), "{text:?}");
        text
    };
    for args in [&["oath", "list"][..], &["code"], &["code", "nobody"], &["code", hostile, "--at", "x"][..3]]
    {
        let output = home.run(args, "").unwrap();
        harmless(&output.stdout);
        harmless(&output.stderr);
    }
    let output = home.run(&["oath", "add", hostile], SECRET).unwrap();
    assert_eq!(output.status.code(), Some(1));
    harmless(&output.stderr);
    // Programs get it as it is.
    assert_eq!(names(&home), BTreeSet::from([hostile.to_owned()]));
    assert_eq!(home.succeed(&["code", hostile, "--at", "59"], "").unwrap(), "287082\n");
    // A person is asked about it at the terminal.
    let mut delete = home.keyfob().unwrap();
    delete.args(["oath", "delete", hostile]);
    let asked = terminal::run(&delete, &[("for good? [y/N]", "n")]).unwrap();
    assert_eq!(asked.output.status.code(), Some(1), "{}", asked.screen);
    let question = asked.screen.split("[y/N]").next().unwrap();
    assert!(question.contains("evil\u{fffd}[2J") && !question.contains('\u{1b}'), "{question:?}");
    assert_eq!(names(&home).len(), 1);
    let asked = terminal::run(&delete, &[("for good? [y/N]", "y")]).unwrap();
    assert!(asked.output.status.success(), "{}", asked.screen);
    assert!(names(&home).is_empty());
}

#[test]
fn arguments_that_are_no_text_are_refused() {
    let home = home();
    let bytes = std::ffi::OsStr::from_bytes(b"\xff\xfe\x80");
    for args in [&["code"][..], &["oath", "add"], &["presign"], &["--key"], &[]] {
        let output = home.keyfob().unwrap().args(args).arg(bytes).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    let output = home.keyfob().unwrap().env("KEYFOB_KEY", bytes).arg("code").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn output_that_nobody_takes() {
    let home = home();
    for i in 0..5 {
        home.succeed(&["oath", "add", &format!("account {i}")], SECRET).unwrap();
    }
    let before = files(&home);
    let shell = |script: &str| -> Output {
        let mut sh = home.command("/bin/sh");
        sh.args(["-c", script, "sh"]).arg(home.keyfob().unwrap().get_program());
        sh.stdin(Stdio::null()).output().unwrap()
    };
    // A reader that has had enough, or was never there.
    let output = shell("\"$1\" oath list | head -n 1");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("account 0  TOTP\n".to_owned(), String::new()));
    for command in ["oath list", "code", "--help", "--json oath list", "soft list"] {
        let output = shell(&format!("(\"$1\" {command}; echo $? >status) | true; cat status"));
        assert_eq!(
            (text(&output.stdout), text(&output.stderr)),
            ("0\n".to_owned(), String::new()),
            "{command}"
        );
    }
    // A disk that is full is no reader that has had enough.
    let output = shell("\"$1\" oath list >/dev/full");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("keyfob: cannot write to stdout: "), "{output:?}");
    let output = shell("\"$1\" code nobody 2>/dev/full");
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(files(&home), before);
    // Without any standard stream no file of ours takes their place.
    let output =
        shell(&format!("echo {SECRET} | \"$1\" oath add late >&- 2>&-; \"$1\" oath list >&- 2>&- <&-"));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(names(&home).len(), 6);
}

/// Kills at different instants: what was acknowledged is there, and the rest whole or not at all.
#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let home = home();
    let mut acknowledged = BTreeSet::new();
    // Whoever writes the file is killed, or whoever asks the agent to.
    for way in [&["--no-agent"][..], &[]] {
        let add = |name: &str| {
            let mut add = home.keyfob().unwrap();
            add.args(way).args(["oath", "add", name]).stdin(Stdio::piped()).stderr(Stdio::null());
            let mut child = add.spawn().unwrap();
            let _ = child.stdin.take().unwrap().write_all(SECRET.as_bytes());
            child
        };
        // How long it takes undisturbed, so that the kills fall all over it. The first one starts the agent.
        let mut whole = Duration::ZERO;
        for name in [format!("first {way:?}"), format!("second {way:?}")] {
            let start = Instant::now();
            assert!(add(&name).wait().unwrap().success());
            whole = start.elapsed();
            acknowledged.insert(name);
        }
        let (mut killed, rounds) = (0, 20);
        for round in 0..rounds {
            let name = format!("account {round} {way:?}");
            let mut child = add(&name);
            std::thread::sleep(whole * round / rounds);
            child.kill().unwrap();
            if child.wait().unwrap().success() {
                acknowledged.insert(name);
            } else {
                killed += 1;
            }
        }
        assert!(killed > 2, "{way:?}: {killed}");
    }
    let there = names(&home);
    assert!(there.is_superset(&acknowledged), "{acknowledged:?} {there:?}");
    for name in there {
        assert_eq!(home.succeed(&["code", &name, "--at", "59"], "").unwrap(), "287082\n");
    }
}

#[test]
fn twenty_at_once_lose_nothing() {
    let home = home();
    let spawn = |i: u32| -> Child {
        let mut add = home.keyfob().unwrap();
        add.args(["oath", "add", &format!("account {i}")]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = add.spawn().unwrap();
        child.stdin.take().unwrap().write_all(SECRET.as_bytes()).unwrap();
        child
    };
    let children: Vec<_> = (0..20).map(spawn).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(names(&home), (0..20).map(|i| format!("account {i}")).collect());
    // Of twenty that want the same name one gets it.
    let same: Vec<_> = (0..20)
        .map(|_| {
            let mut add = home.keyfob().unwrap();
            add.args(["oath", "add", "the one"]).stdin(Stdio::piped()).stderr(Stdio::null());
            let mut child = add.spawn().unwrap();
            child.stdin.take().unwrap().write_all(SECRET.as_bytes()).unwrap();
            child
        })
        .collect();
    let codes: Vec<_> = same.into_iter().map(|mut child| child.wait().unwrap().code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == Some(1)).count(), 19, "{codes:?}");
}

/// What others can read of a process: its arguments and its environment; and those of its children.
fn visible(pid: u32) -> Vec<u8> {
    let read = |pid: u32, file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let mut all = [read(pid, "cmdline"), read(pid, "environ")].concat();
    let children = text(&read(pid, &format!("task/{pid}/children")));
    for child in children.split_whitespace() {
        all.extend(visible(child.parse().unwrap()));
    }
    all
}

#[test]
fn secrets_are_seen_nowhere() {
    const PASSPHRASE: &str = "a passphrase for a test";
    /// Every secret there is, and the parts of them that an error might quote.
    const SECRETS: &[&str] = &[
        SECRET,
        "GEZDGNBV",
        SECRET_ACCESS_KEY,
        "bPxRfiCY",
        PASSPHRASE,
        "MARKER",
        "correct horse",
        "12345678901234567890",
    ];
    #[track_caller]
    fn hidden(bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    let mut home = home();
    // While it asks, works, and afterwards.
    let watched = |args: &[&str], input: &str| {
        let mut keyfob = home.keyfob().unwrap();
        keyfob.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = keyfob.spawn().unwrap();
        let pid = child.id();
        // One that has ended has no arguments any more.
        poll("the program", || {
            let runs = !fs::read(format!("/proc/{pid}/cmdline")).ok()?.is_empty();
            (runs || child.try_wait().unwrap().is_some()).then_some(())
        })
        .unwrap();
        hidden(&visible(pid));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        while child.try_wait().unwrap().is_none() {
            hidden(&visible(pid));
        }
        let output = child.wait_with_output().unwrap();
        hidden(&output.stdout);
        hidden(&output.stderr);
        output.status.code()
    };
    assert_eq!(watched(&["oath", "add", "a"], SECRET), Some(0));
    assert_eq!(watched(&["--json", "oath", "add", "b"], SECRET), Some(0));
    assert_eq!(watched(&["oath", "add", "a"], SECRET), Some(1));
    assert_eq!(watched(&["oath", "uri"], &format!("otpauth://totp/c?secret={SECRET}")), Some(0));
    assert_eq!(watched(&["aws", "add", ACCESS_KEY_ID, "--no-touch"], SECRET_ACCESS_KEY), Some(0));
    assert_eq!(watched(&["aws", "identities"], ""), Some(0));
    assert_eq!(watched(&["code"], ""), Some(0));
    assert_eq!(watched(&["--json", "info"], ""), Some(0));
    assert_eq!(watched(&["presign", "s3://bucket/k", "--region", "eu-west-1"], ""), Some(0));
    // What is wrong is not quoted.
    for json in [&["--json"][..], &[]] {
        for wrong in ["MARKER0189", "MARKER!", "MARKER\u{fc}", "MARKER MARKER 1"] {
            assert_eq!(watched(&[json, &["oath", "add", "d"]].concat(), wrong), Some(2));
        }
        for wrong in [
            "MARKER",
            "otpauth://totp/d?secret=MARKER1",
            "otpauth://totp/d?secret=GEZDGNBV&digits=99",
            "otpauth://totp/d?secret=GEZDGNBV&algorithm=MD5",
            "otpauth://totp/d?secret=GEZDGNBV&period=0",
            "otpauth://else/d?secret=GEZDGNBV",
            "otpauth://totp/d%ZZ?secret=MARKER",
            "http://MARKER",
        ] {
            assert_eq!(watched(&[json, &["oath", "uri"]].concat(), wrong), Some(2), "{wrong}");
        }
        assert_eq!(watched(&[json, &["aws", "add", ACCESS_KEY_ID]].concat(), SECRET_ACCESS_KEY), Some(1));
    }
    home.write("passphrase", "MARKER\n").unwrap();
    // The agent knows the right one until it is told to forget it.
    home.succeed(&["lock"], "").unwrap();
    assert_eq!(watched(&["code"], ""), Some(5));
    assert_eq!(watched(&["--no-agent", "code"], ""), Some(5));
    home.write("passphrase", &format!("{PASSPHRASE}\n")).unwrap();
    assert_eq!(watched(&["code"], ""), Some(0));
    let agent: Value =
        serde_json::from_str(&home.succeed(&["--json", "agent", "status"], "").unwrap()).unwrap();
    hidden(&visible(u32::try_from(agent["pid"].as_u64().unwrap()).unwrap()));
    home.succeed(&["lock"], "").unwrap();

    // A host that was told a passphrase, and one that was told nonsense.
    home.set("KEYFOB_PASSPHRASE_FILE", "");
    let mut host = Host::start(&home).unwrap();
    for (password, answer) in [("correct horse", "failed"), (PASSPHRASE, "done")] {
        let reply = host.ask(&json!({ "name": "unlock", "password": password })).unwrap();
        assert_eq!(reply["type"], answer, "{reply}");
        hidden(reply.to_string().as_bytes());
        hidden(&visible(host.pid()));
    }
    let reply = host.ask(&json!({ "name": "unlock", "password": { "MARKER": 1 } })).unwrap();
    assert_eq!(reply["error"]["code"], "bad-request", "{reply}");
    hidden(reply.to_string().as_bytes());

    // Nor on the disk, nor where others could read it.
    for (name, content) in files(&home) {
        hidden(&content);
        let path = home.path().join(".local/share/keyfob/soft").join(&name);
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap()) & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
}

#[test]
fn a_passphrase_is_asked_for_at_the_terminal() {
    let home = home();
    home.succeed(&["oath", "add", "a"], SECRET).unwrap();
    let before = files(&home);
    let keyfob = || -> Command {
        let mut keyfob = home.keyfob().unwrap();
        keyfob.env_remove("KEYFOB_PASSPHRASE_FILE").args(["code", "a", "--at", "59"]);
        keyfob
    };
    let lock = || home.succeed(&["lock"], "").unwrap();
    lock();
    let prompt = "Enter the passphrase of the software key demo";
    let right = terminal::run(&keyfob(), &[(prompt, "a passphrase for a test")]).unwrap();
    assert_eq!(text(&right.output.stdout), "287082\n", "{}", right.screen);
    assert!(!right.screen.contains("passphrase for"), "{}", right.screen);
    // Nor again, until it is locked.
    let known = terminal::run(&keyfob(), &[]).unwrap();
    assert_eq!((text(&known.output.stdout).as_str(), known.screen.as_str()), ("287082\n", ""));
    lock();
    for (answer, code) in [("wrong", 5), ("", 5)] {
        let wrong = terminal::run(&keyfob(), &[(prompt, answer)]).unwrap();
        assert_eq!(wrong.output.status.code(), Some(code), "{}", wrong.screen);
        assert!(wrong.output.stdout.is_empty() && !wrong.output.stderr.is_empty());
    }
    // Nobody to ask.
    let mut alone = Command::new("setsid");
    alone.arg("--wait").arg(keyfob().get_program()).args(keyfob().get_args());
    for (name, value) in keyfob().get_envs() {
        match value {
            Some(value) => alone.env(name, value),
            None => alone.env_remove(name),
        };
    }
    let output = alone.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(
        output.stdout.is_empty() && text(&output.stderr).contains("KEYFOB_PASSPHRASE_FILE"),
        "{output:?}"
    );
    assert_eq!(files(&home), before);
}

#[test]
fn a_damaged_key_is_told_and_left_alone() {
    let home = home();
    home.succeed(&["oath", "add", "a"], SECRET).unwrap();
    let path = home.path().join(".local/share/keyfob/soft/demo.key");
    let good = fs::read(&path).unwrap();
    #[track_caller]
    fn check(home: &Home, path: &std::path::Path, bytes: &[u8], exit: i32) {
        fs::write(path, bytes).unwrap();
        for (args, input) in [(&["code", "a", "--at", "59"][..], ""), (&["oath", "add", "b"], SECRET)] {
            let output = home.run(args, input).unwrap();
            assert_eq!(output.status.code(), Some(exit), "{output:?}");
            assert!(output.stdout.is_empty() && text(&output.stderr).contains("demo"), "{output:?}");
            assert_eq!(fs::read(path).unwrap(), bytes);
        }
    }
    check(&home, &path, b"", 1);
    check(&home, &path, &good[..good.len() - 1], 1);
    check(&home, &path, &good[..64], 1);
    check(&home, &path, &vec![0; 2 << 20], 1);
    for at in [0, 8, 9, 12, 30, 50, 70, good.len() - 40, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        check(&home, &path, &bytes, 1);
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(home.succeed(&["code", "a", "--at", "59"], "").unwrap(), "287082\n");
}

/// Input that never ends, and that never comes.
#[test]
fn input_without_end_is_not_read_for_ever() {
    let home = home();
    let mut keyfob = home.keyfob().unwrap();
    keyfob.args(["oath", "add", "a"]).stdin(fs::File::open("/dev/zero").unwrap());
    let start = Instant::now();
    let output = keyfob.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let mut child = home
        .keyfob()
        .unwrap()
        .arg("oath")
        .arg("uri")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than it takes: it ends although the pipe stays open.
    let _ = stdin.write_all(&[b'A'; 60_000]);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
    assert!(said.contains("longer than 8192 bytes") && start.elapsed() < NO_HANG, "{said}");
}
