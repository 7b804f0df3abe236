//! An access key's way from the credentials file to the key: nothing else of the file changes, and nothing is lost whatever
//! comes in between.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use keyfob::aws_files::{AwsFile, AwsFileError};
use keyfob_tests::home::Home;
use keyfob_tests::moto::{Moto, User};
use keyfob_tests::random::Random;
use keyfob_tests::{poll, terminal, tool};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

/// One server for all tests; it ends with the program.
fn moto() -> &'static Moto {
    static MOTO: OnceLock<Moto> = OnceLock::new();
    MOTO.get_or_init(|| Moto::start(&[("alice", &["sts:*"]), ("bob", &["sts:*"])]).unwrap())
}

fn alice() -> &'static User {
    &moto().users()[0]
}

/// A home that knows the server, with the software keys `demo` and `backup`, and files in `.aws`.
fn home(files: &[(&str, &str)]) -> Home {
    let mut home = Home::with_software_key().unwrap();
    home.succeed(&["soft", "create", "backup"], "").unwrap();
    home.set("AWS_ENDPOINT_URL_STS", &moto().endpoint());
    fs::create_dir(home.path().join(".aws")).unwrap();
    for (name, content) in files {
        home.write(&format!(".aws/{name}"), content).unwrap();
    }
    home
}

fn credentials(home: &Home) -> PathBuf {
    home.path().join(".aws/credentials")
}

fn content(home: &Home) -> String {
    fs::read_to_string(credentials(home)).unwrap()
}

/// Exit code, stdout, stderr. The secret is in neither.
#[track_caller]
fn run(home: &Home, args: &[&str]) -> (Option<i32>, String, String) {
    let output = home.run(args, "").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, said) = (text(output.stdout), text(output.stderr));
    assert!(!format!("{out}{said}").contains(&alice().secret_access_key), "{out}{said}");
    (output.status.code(), out, said)
}

/// Imports by the server's word, which is named for that: it is not AWS.
#[track_caller]
fn import(home: &Home, args: &[&str]) -> (Option<i32>, String, String) {
    let endpoint = moto().endpoint();
    let named = if args.contains(&"--endpoint") { vec![] } else { vec!["--endpoint", &endpoint] };
    run(home, &[&["aws", "import"], &named[..], args].concat())
}

fn identities(home: &Home, key: &str) -> Vec<String> {
    let list = home.succeed(&["--json", "--key", key, "aws", "identities"], "").unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    let ids = list["identities"].as_array().unwrap().iter();
    ids.map(|identity| identity["access_key_id"].as_str().unwrap().to_owned()).collect()
}

fn lines_of(user: &User) -> String {
    format!(
        "aws_access_key_id = {}\naws_secret_access_key = {}\n",
        user.access_key_id, user.secret_access_key
    )
}

#[test]
fn a_profiles_key_moves_to_the_key() {
    let home = home(&[]);
    let user = alice();
    // As people keep it: a link to a file with comments and line ends of its own.
    let before = format!(
        "# of two accounts\r\n[other]\r\naws_access_key_id = AKIAOTHEROTHEROTHER1\r\naws_secret_access_key=other\r\n\r\n\
         [default]\r\n  AWS_ACCESS_KEY_ID\t= {}  \r\nregion = eu-west-1\r\n# the secret\r\naws_secret_access_key:{}\r\n\
         output=json",
        user.access_key_id, user.secret_access_key
    );
    let after = "# of two accounts\r\n[other]\r\naws_access_key_id = AKIAOTHEROTHEROTHER1\r\naws_secret_access_key=other\r\n\r\n\
                 [default]\r\nregion = eu-west-1\r\n# the secret\r\noutput=json";
    let file = home.write("dotfile", &before).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("../dotfile", credentials(&home)).unwrap();
    // Somebody else's, where this test may do that.
    let owner = std::os::unix::fs::chown(&file, Some(12345), Some(54321))
        .map_or_else(|_| fs::metadata(&file).map(|m| (m.uid(), m.gid())).unwrap(), |()| (12345, 54321));

    let (exit, out, said) = import(&home, &[]);
    assert_eq!((exit, out.as_str()), (Some(0), ""), "{said}");
    let id = &user.access_key_id;
    for says in [
        &format!("Added {id} to key soft:demo."),
        &format!(
            "Key soft:demo signs for arn:aws:iam::{}:user/alice, says 127.0.0.1:{}.",
            Moto::ACCOUNT,
            moto().port()
        ),
        &format!("Removed it from {}.", file.display()),
        "Tools that read the profile default find no access key there any more",
        "rotate it",
    ] {
        assert!(said.contains(says), "{says:?} is not in {said}");
    }
    assert_eq!(said.matches("Touch your key").count(), 1, "{said}");
    assert_eq!(content(&home), after);
    let metadata = fs::metadata(&file).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o640, owner.0, owner.1));
    assert!(fs::symlink_metadata(credentials(&home)).unwrap().is_symlink());
    let beside: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!beside.iter().any(|name| name.to_string_lossy().starts_with(".keyfob-")), "{beside:?}");
    let (exit, out, _) = run(&home, &["aws", "whoami"]);
    assert!(exit == Some(0) && out.contains("user/alice"), "{out}");
    // Done.
    let (exit, _, said) = import(&home, &[]);
    assert_eq!(exit, Some(7));
    assert!(said.contains("the profile \"default\" has no access key\n  other\n"), "{said}");
}

#[test]
fn for_programs_and_for_other_profiles() {
    let config = "[profile work]\nregion = eu-west-1\n";
    let mut home = home(&[
        ("credentials", &format!("[work]\n{}[default]\nregion=x\n", lines_of(alice()))),
        ("config", config),
    ]);
    home.set("AWS_PROFILE", "work");
    let (exit, out, said) = import(&home, &["--json", "-q", "--no-touch"]);
    assert_eq!((exit, said.as_str()), (Some(0), ""));
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["access_key_id"], alice().access_key_id.as_str());
    assert_eq!((&out["keys"][0], &out["account"]), (&"soft:demo".into(), &Moto::ACCOUNT.into()));
    assert_eq!(out["endpoint"], moto().endpoint());
    assert_eq!(out["removed"][0]["profile"], "work");
    assert_eq!(out["removed"][0]["file"], fs::canonicalize(credentials(&home)).unwrap().to_str().unwrap());
    assert_eq!(out["left"], Value::Array(Vec::new()));
    assert_eq!(content(&home), "[work]\n[default]\nregion=x\n");
}

#[test]
fn every_copy_is_proved_before_anything_goes() {
    let text = format!("[default]\n{}", lines_of(alice()));
    let mut home = home(&[("credentials", &text)]);
    home.set("KEYFOB_KEY", "");
    let both = ["--key", "soft:demo", "--key", "soft:backup", "--no-touch"];
    // The second has another secret for this access key.
    home.succeed(&["--key", "soft:backup", "aws", "add", &alice().access_key_id, "--no-touch"], "wrong")
        .unwrap();
    let (exit, _, said) = import(&home, &both);
    assert_eq!(exit, Some(8), "{said}");
    for says in [
        "is on key soft:backup already: its secret there is left as it is",
        "is on key soft:backup, but it is not known to work: ",
        "refused: SignatureDoesNotMatch",
        "; it is on soft:demo already; ",
        "credentials is as it was\n",
        "→ if the secret on the key is another one than in the file, replace it: --force",
    ] {
        assert!(said.contains(says), "{says:?} is not in {said}");
    }
    assert_eq!(content(&home), text);
    let (exit, _, said) = import(&home, &[&both[..], &["--force"]].concat());
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(content(&home), "[default]\n");
    for key in ["soft:demo", "soft:backup"] {
        let (exit, out, _) = run(&home, &["--key", key, "aws", "whoami"]);
        assert!(exit == Some(0) && out.contains("user/alice"), "{out}");
    }
}

#[test]
fn what_is_on_the_key_already_is_tried_and_left() {
    let text = format!("[default]\n{}", lines_of(alice()));
    let home = home(&[("credentials", &text)]);
    home.succeed(&["aws", "add", &alice().access_key_id, "--no-touch"], &alice().secret_access_key).unwrap();
    let (exit, _, said) = import(&home, &["--keep"]);
    assert_eq!(exit, Some(0));
    assert!(said.contains("is on key soft:demo already"), "{said}");
    assert!(said.contains("The secret is still in the profile default: "), "{said}");
    assert_eq!(content(&home), text);
    // Without a call nobody knows whether it is the same.
    let (exit, _, said) = import(&home, &["--keep", "--no-check"]);
    assert_eq!(exit, Some(1), "{said}");
    assert_eq!(import(&home, &["--no-check"]).0, Some(2));
    let (exit, _, said) = import(&home, &[]);
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(content(&home), "[default]\n");
}

#[test]
fn a_secret_that_aws_refuses_stays_where_it_is() {
    let id = &alice().access_key_id;
    let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {}\n", "w".repeat(40));
    let home = home(&[("credentials", &text)]);
    let (exit, _, said) = import(&home, &[]);
    assert_eq!(exit, Some(8));
    assert!(said.contains("is on key soft:demo, but it is not known to work: "), "{said}");
    assert!(said.contains("credentials is as it was") && !said.contains("www"), "{said}");
    assert_eq!(content(&home), text);
    // Nobody answers.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (exit, _, said) = import(&home, &["--endpoint", &format!("http://127.0.0.1:{port}")]);
    assert_eq!(exit, Some(1));
    assert!(said.contains("nothing listens at") && said.contains("as it was"), "{said}");
    assert_eq!(content(&home), text);
}

#[test]
fn the_same_key_in_several_profiles() {
    let key = lines_of(alice());
    let text = format!("[default]\n{key}[copy]\n{key}");
    let config = format!("[profile third]\n{key}region = x\n");
    let files = [("credentials", text.as_str()), ("config", config.as_str())];
    let config = |home: &Home| fs::read_to_string(home.path().join(".aws/config")).unwrap();
    // Nobody can be asked: they stay, and are named.
    let first = home(&files);
    let (exit, _, said) = import(&first, &["--no-touch"]);
    assert_eq!(exit, Some(0));
    assert!(said.contains("The secret is still in the profile copy: "), "{said}");
    assert!(said.contains("The secret is still in the profile third: "), "{said}");
    assert!(said.contains("`keyfob aws import --profile third` removes it there."), "{said}");
    assert!(!said.contains("find no access key"), "{said}");
    assert_eq!(content(&first), format!("[default]\n[copy]\n{key}"));
    assert_eq!(config(&first), files[1].1);
    // A person says yes.
    let second = home(&files);
    let mut command = second.keyfob().unwrap();
    command.args(["aws", "import", "--no-touch", "--endpoint", &moto().endpoint()]);
    let session = terminal::run(&command, &[("once it is on the key?", "y")]).unwrap();
    assert!(session.output.status.success(), "{}", session.screen);
    assert!(
        session.screen.contains("in copy (") && session.screen.contains("and third ("),
        "{}",
        session.screen
    );
    assert_eq!(
        (content(&second), config(&second)),
        ("[default]\n[copy]\n".into(), "[profile third]\nregion = x\n".into())
    );
    // A script does.
    let third = home(&files);
    let (exit, _, said) = import(&third, &["--no-touch", "--everywhere", "--profile", "third"]);
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(
        (content(&third), config(&third)),
        ("[default]\n[copy]\n".into(), "[profile third]\nregion = x\n".into())
    );
}

#[test]
fn what_cannot_be_imported_is_said() {
    #[track_caller]
    fn check(home: &Home, credentials: &str, config: &str, profile: &str, exit: i32, says: &str) {
        for (name, text) in [("credentials", credentials), ("config", config)] {
            let path = home.path().join(".aws").join(name);
            let _ = fs::remove_file(&path);
            if !text.is_empty() {
                home.write(&format!(".aws/{name}"), text).unwrap();
            }
        }
        let (code, _, said) = import(home, &["--profile", profile]);
        assert_eq!(code, Some(exit), "{said}");
        assert!(said.contains(says), "{says:?} is not in {said}");
        if !credentials.is_empty() {
            assert_eq!(content(home), credentials);
        }
        assert!(identities(home, "soft:demo").is_empty());
    }
    let home = &home(&[]);
    let key = lines_of(alice());
    let (id, secret) = (&alice().access_key_id, &alice().secret_access_key);
    check(home, "", "", "default", 7, "there is no profile \"default\" in ");
    check(home, &format!("[a]\n{key}"), "", "b", 7, "there is no profile \"b\"");
    check(home, &format!("[a]\n{key}"), "", "b", 7, "\n  a\n  → name one that has an access key: --profile");
    check(home, "", "[profile a]\nsso_session = x\n", "a", 7, "has its credentials by sso_session");
    check(
        home,
        "[a]\nregion = x\n",
        "[profile a]\ncredential_process = /x\n",
        "a",
        7,
        "by credential_process",
    );
    check(home, "", "[profile a]\nrole_arn = x\nsource_profile = b\n", "a", 7, "by role_arn");
    check(home, &format!("[a]\n{key}aws_session_token = x\n"), "", "a", 2, "are temporary");
    check(
        home,
        &format!("[a]\n{}", key.replace("AKIA", "ASIA")),
        "",
        "a",
        2,
        "belongs to temporary credentials",
    );
    check(
        home,
        &format!("[a]\naws_access_key_id = {id}\n"),
        "",
        "a",
        2,
        "credentials:2: the profile \"a\" has an access key id without its secret",
    );
    check(home, &format!("[a]\n{}", key.replace('\n', " # mine\n")), "", "a", 2, "is none");
    let comment = format!("[a]\naws_access_key_id = {id}\naws_secret_access_key = {secret} # mine\n");
    check(home, &comment, "", "a", 2, "credentials:3: that is no secret access key");
    check(home, &comment, "", "a", 2, "a comment too: correct the line");
    // In the wrong order, and not shown for that.
    check(
        home,
        &format!("[a]\naws_access_key_id = {secret}\naws_secret_access_key = {id}\n"),
        "",
        "a",
        2,
        "credentials:2: what the profile has for an access key id is none",
    );
    check(home, &format!("[a]\n{key}[a]\n"), "", "a", 2, "credentials:4: there is a section [a] already");
    check(
        home,
        &format!("[a]\n{key}aws_access_key_id = 2\n"),
        "",
        "a",
        2,
        "credentials:4: [a] has aws_access_key_id already",
    );
    check(
        home,
        &format!("{key}[a]\n"),
        "",
        "a",
        2,
        "credentials:1: the first section must begin before that",
    );
    check(home, &format!("[DEFAULT]\n{key}[a]\n"), "", "a", 2, "every profile inherits");
    let on = format!("[a]\naws_access_key_id = {id}\naws_secret_access_key =\n  {secret}\n");
    check(
        home,
        &on,
        "",
        "a",
        2,
        "credentials:3: what aws_secret_access_key goes on with is not NAME = VALUE",
    );
}

/// Stands between the client and the server; `meanwhile` is called with every request that has come, before it goes on.
fn between(meanwhile: impl Fn() + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let port = moto().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 8192];
            while !request.ends_with(b"Version=2011-06-15") {
                match client.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&buffer[..read]),
                }
            }
            meanwhile();
            let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            server.write_all(&request).unwrap();
            let mut answer = Vec::new();
            let _ = server.read_to_end(&mut answer);
            // Who was killed takes none.
            let _ = client.write_all(&answer);
            let _ = client.shutdown(Shutdown::Both);
        }
    });
    url
}

/// A server that takes everything for a right signature.
fn yes_man() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 8192]);
            while !request.ends_with(b"Version=2011-06-15") {
                match client.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&buffer[..read]),
                }
            }
            let body = "<Account>1</Account><Arn>arn:yes</Arn><UserId>u</UserId>";
            let head =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = client.write_all((head + body).as_bytes());
        }
    });
    host
}

#[test]
fn what_is_not_aws_proves_nothing_unless_a_person_says_so() {
    let host = yes_man();
    let endpoint = format!("http://{host}");
    let text = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        alice().access_key_id,
        "w".repeat(40)
    );
    let config = format!("[default]\nendpoint_url = {endpoint}\n");
    let refusal =
        format!("{host} is not AWS's STS: that it takes a signature may prove nothing; nothing was done");

    // By the profile, or by the environment: nobody can be asked.
    for by_env in [false, true] {
        let mut home = home(&[("credentials", &text), ("config", if by_env { "" } else { &config })]);
        home.set("AWS_ENDPOINT_URL_STS", if by_env { &endpoint } else { "" });
        let (exit, _, said) = run(&home, &["aws", "import", "--no-touch"]);
        assert_eq!(exit, Some(2), "{said}");
        assert!(said.contains(&refusal) && said.contains("--endpoint URL"), "{said}");
        assert_eq!(content(&home), text);
        assert!(identities(&home, "soft:demo").is_empty());
        // Nothing is lost by it where nothing is removed, and who said it is named.
        let (exit, _, said) = run(&home, &["aws", "import", "--no-touch", "--keep"]);
        assert!(exit == Some(0) && said.contains(&format!("signs for arn:yes, says {host}.")), "{said}");
        assert_eq!(content(&home), text);
    }

    // A person is asked.
    for (answer, code, after) in [("n", 1, text.as_str()), ("y", 0, "[default]\n")] {
        let mut home = home(&[("credentials", &text), ("config", &config)]);
        home.set("AWS_ENDPOINT_URL_STS", "");
        let mut command = home.keyfob().unwrap();
        command.args(["aws", "import", "--no-touch"]);
        let session = terminal::run(&command, &[("takes its signature?", answer)]).unwrap();
        assert_eq!(session.output.status.code(), Some(code), "{}", session.screen);
        assert!(session.screen.contains(&format!("The settings lead to {host}, which is not AWS's STS.")));
        assert_eq!(content(&home), after);
    }
}

#[test]
fn a_profile_without_a_name_is_not_the_default_one() {
    let text = format!("[default]\n{}", lines_of(alice()));
    #[track_caller]
    fn check(variable: Option<&str>, text: &str, args: &[&str]) {
        let mut home = home(&[("credentials", text)]);
        variable.into_iter().for_each(|variable| home.set(variable, ""));
        let (exit, _, said) = import(&home, args);
        assert_eq!(exit, Some(2), "{said}");
        assert!(said.contains("the profile that is named has no name\n  → give --profile NAME"), "{said}");
        assert_eq!(content(&home), text);
        assert!(identities(&home, "soft:demo").is_empty());
    }
    check(None, &text, &["--no-touch", "--profile", ""]);
    check(None, &text, &["--no-touch", "--profile= "]);
    check(Some("AWS_PROFILE"), &text, &["--no-touch"]);
    check(Some("AWS_DEFAULT_PROFILE"), &text, &["--no-touch"]);
}

#[test]
fn what_cannot_be_removed_is_said_to_be_there() {
    let text = format!("[default]\n{}", lines_of(alice()));
    let home = home(&[("credentials", &text)]);
    let (from, to) = (home.path().join(".aws"), home.path().join("gone"));
    let endpoint = between({
        let (from, to) = (from.clone(), to.clone());
        // Its folder is away just when it is to be written.
        move || fs::rename(&from, &to).unwrap()
    });
    let (exit, _, said) = import(&home, &["--no-touch", "--endpoint", &endpoint]);
    assert_eq!(exit, Some(1), "{said}");
    let says =
        format!("; {} is on key soft:demo, and its secret is in the file still", alice().access_key_id);
    assert!(said.contains("cannot write into ") && said.contains(&says), "{said}");
    assert!(
        said.contains("→ see that you may write the file") && said.contains("then do it again"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(to.join("credentials")).unwrap(), text);
    // Then it goes on.
    fs::rename(&to, &from).unwrap();
    let (exit, _, said) = import(&home, &["--no-touch"]);
    assert_eq!((exit, content(&home).as_str()), (Some(0), "[default]\n"), "{said}");
}

#[test]
fn what_is_no_file_is_said() {
    let mut home = home(&[]);
    #[track_caller]
    fn check(home: &Home, exit: i32, says: &str) {
        let (code, _, said) = import(home, &["--no-touch"]);
        assert_eq!(code, Some(exit), "{said}");
        assert!(said.contains(says), "{says:?} is not in {said}");
    }
    home.set("AWS_SHARED_CREDENTIALS_FILE", home.path().to_owned().to_str().unwrap());
    check(&home, 1, ": it is a folder\n  → AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE name the files");
    let pipe = home.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    home.set("AWS_SHARED_CREDENTIALS_FILE", pipe.to_str().unwrap());
    check(&home, 1, "pipe: it is no file, but a pipe");
    home.set("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    check(&home, 7, "there is no profile \"default\" in /dev/null or ");
}

#[test]
fn both_signatures_or_none() {
    const SLOTS: usize = 32;
    let id = &alice().access_key_id;
    let both = ["aws", "add", id, "--no-touch", "--signature", "both"];
    let home = home(&[]);
    let added = home.run(&both, "secret").unwrap();
    let said = String::from_utf8(added.stderr).unwrap();
    assert_eq!(said, format!("Added {id} for SigV4.\nAdded {id} for Signature Version 2.\n"));
    let out = home.succeed(&[&["--json"], &both[..], &["--force"]].concat(), "secret").unwrap();
    let out: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&out[0]["signature"], &out[1]["signature"]), (&"SigV4".into(), &"HmacV1".into()), "{out:?}");

    // A key with one place left, which it tells.
    home.succeed(&["soft", "create", "few", "--firmware", "5.2"], "").unwrap();
    let few = |args: &[&str]| home.run(&[&["--key", "soft:few"], args].concat(), "GEZDGNBVGY3TQOJQ").unwrap();
    for i in 1..SLOTS {
        assert!(few(&["oath", "add", &format!("account {i}")]).status.success());
    }
    let refused = |output: Output, says: &str| {
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(says), "{said}");
    };
    refused(few(&both), "the key has room for 1 more, and these would be 2: nothing was added\n  → delete");
    assert!(identities(&home, "soft:few").is_empty());
    // One fits; and what is there already takes no room.
    assert!(few(&["aws", "add", id, "--no-touch"]).status.success());
    refused(
        few(&[&both[..], &["--force"]].concat()),
        "the key has room for 0 more, and these would be 1: nothing",
    );

    // One that does not tell: what was done is said. Filled with what is smaller than a secret, so that one fits, but not two.
    home.succeed(&["soft", "create", "neo", "--firmware", "neo"], "").unwrap();
    let neo = |args: &[&str]| home.run(&[&["--key", "soft:neo"], args].concat(), "GEZDGNBVGY3TQOJQ").unwrap();
    for i in 0..20 {
        assert!(neo(&["oath", "add", &format!("account {i:050}")]).status.success());
    }
    let half = (0..200).find_map(|i| {
        let added = neo(&both);
        if !added.status.success() {
            return Some(added);
        }
        assert!(neo(&["aws", "delete", "--force", id]).status.success());
        assert!(neo(&["oath", "add", &format!("a{i}")]).status.success());
        None
    });
    refused(half.unwrap(), "the key is full; the secret for SigV4 is on the key");
    assert_eq!(identities(&home, "soft:neo"), std::slice::from_ref(id));
}

#[test]
fn other_names_of_the_file_are_told_of() {
    let home = home(&[("credentials", &format!("[default]\n{}", lines_of(alice())))]);
    let says = "That file has other names (hard links), which keep what was in it: delete them.";
    let (exit, _, said) = import(&home, &["--keep"]);
    assert!(exit == Some(0) && !said.contains(says), "{said}");
    fs::hard_link(credentials(&home), home.path().join("copy")).unwrap();
    let (exit, _, said) = import(&home, &[]);
    assert!(exit == Some(0) && said.contains(says), "{said}");
}

#[test]
fn a_file_that_changes_meanwhile_is_left() {
    let text = format!("[default]\n{}", lines_of(alice()));
    let home = home(&[("credentials", &text)]);
    let path = credentials(&home);
    let changed = format!("{text}[new]\naws_access_key_id = 1\n");
    let endpoint = between({
        let (path, changed) = (path.clone(), changed.clone());
        move || fs::write(&path, &changed).unwrap()
    });
    let (exit, _, said) = import(&home, &["--no-touch", "--endpoint", &endpoint]);
    assert_eq!(exit, Some(1));
    assert!(said.contains("credentials has changed meanwhile: nothing was removed from it"), "{said}");
    assert!(said.contains("→ try again"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), changed);
    let (exit, _, said) = import(&home, &[]);
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "[default]\n[new]\naws_access_key_id = 1\n");
}

#[test]
fn a_kill_at_any_instant_loses_nothing() {
    let text = format!("# mine\n[default]\n{}region = x\n", lines_of(alice()));
    let after = "# mine\n[default]\nregion = x\n";
    let mut home = home(&[]);
    // All that holds anything is in the process that is killed.
    home.set("KEYFOB_NO_AGENT", "1");
    let file = credentials(&home);
    let start = |endpoint: &str| {
        let mut keyfob = home.keyfob().unwrap();
        keyfob.args(["aws", "import", "--no-touch", "--endpoint", endpoint]);
        keyfob.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        keyfob
    };
    let again = || {
        let _ = home.run(&["aws", "delete", "--force", &alice().access_key_id], "").unwrap();
        home.write(".aws/credentials", &text).unwrap();
    };
    // How far it came, and that the secret is somewhere; done again it ends as it should.
    let check = |when: &str| {
        let now = fs::read_to_string(&file).unwrap();
        assert!(now == text || now == after, "{when}: {now}");
        let moved = now == after;
        if moved {
            let (exit, out, said) = run(&home, &["aws", "whoami"]);
            assert!(exit == Some(0) && out.contains("user/alice"), "{when}: {said}");
        } else {
            let (exit, _, said) = import(&home, &["--no-touch"]);
            assert_eq!((exit, content(&home).as_str()), (Some(0), after), "{when}: {said}");
        }
        moved
    };
    // While AWS is asked.
    again();
    let asked = Arc::new(AtomicBool::new(false));
    let endpoint = between({
        let asked = Arc::clone(&asked);
        move || {
            asked.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(300));
        }
    });
    let mut child = start(&endpoint).spawn().unwrap();
    poll("the call", || asked.load(Ordering::SeqCst).then_some(())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(identities(&home, "soft:demo"), [alice().access_key_id.clone()]);
    assert!(!check("while AWS is asked"));

    // At other instants, from the beginning to the end, closest where the end is.
    again();
    let begin = Instant::now();
    assert!(start(&moto().endpoint()).status().unwrap().success());
    let whole = begin.elapsed();
    let (mut moved, mut left) = (0, 0);
    for round in 0..40u32 {
        again();
        let mut child = start(&moto().endpoint()).spawn().unwrap();
        let part = if round % 2 == 0 { f64::from(round) / 40.0 } else { 0.85 + f64::from(round) / 120.0 };
        thread::sleep(whole.mul_f64(part));
        child.kill().unwrap();
        child.wait().unwrap();
        if check(&format!("after {part:.2} of it")) { moved += 1 } else { left += 1 }
    }
    assert!(left > 5, "{moved} of 40 were not killed in time");
}

#[derive(Deserialize)]
struct Reply {
    sections: BTreeMap<String, BTreeMap<String, String>>,
    profiles: Vec<String>,
}

/// Has botocore read these.
fn botocore(texts: &[String]) -> Vec<Option<Reply>> {
    let mut child = Command::new(tool("KEYFOB_PYTHON").unwrap())
        .args(["-X", "utf8"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/botocore_files.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let question = serde_json::to_string(texts).unwrap();
    let writer = thread::spawn(move || writeln!(stdin, "{question}").unwrap());
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    serde_json::from_str(&line).unwrap()
}

/// As botocore gives it: without `[DEFAULT]`, whose entries all sections have.
fn sections(file: &AwsFile) -> BTreeMap<String, BTreeMap<String, String>> {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let all: Vec<(String, BTreeMap<_, _>)> =
        file.sections().map(|(name, entries)| (name.to_owned(), entries.map(owned).collect())).collect();
    let inherited = all.iter().find(|(name, _)| name == "DEFAULT").map(|(_, entries)| entries.clone());
    let inherited = inherited.unwrap_or_default();
    let own = all.into_iter().filter(|(name, _)| name != "DEFAULT");
    own.map(|(name, entries)| (name, inherited.clone().into_iter().chain(entries).collect())).collect()
}

#[test]
fn files_are_read_as_botocore_reads_them() {
    const PIECES: [&str; 34] = [
        "[default]",
        "[a]",
        "[b ]",
        "[profile a]",
        "[profile \"b c\"]",
        "[DEFAULT]",
        "[",
        "]",
        "aws_access_key_id",
        "AWS_SECRET_ACCESS_KEY",
        "aws_secret_access_key",
        "region",
        " = ",
        "=",
        ":",
        " : ",
        "AKIA1",
        "sEcRet/+",
        " # c",
        "# c",
        "; c",
        "#",
        "\n",
        "\n",
        "\r\n",
        "\r",
        "\n\n",
        " ",
        "  ",
        "\t",
        "\u{a0}",
        "\u{e9}\u{130}",
        "\u{1f}",
        "s3 =\n  x = 1",
    ];
    const LINES: [&str; 14] = [
        "aws_access_key_id = AKIA1",
        "aws_secret_access_key=sEcRet",
        "region=x",
        "output : json",
        "# comment",
        "  ; comment",
        "",
        "  ",
        "s3 =\n  a = 1\n\n  b=2",
        " role_arn = y",
        "\tx = 1",
        "  nested = 3",
        "[a]",
        "[profile c]",
    ];
    let mut random = Random::new(0x5eed);
    let texts: Vec<String> = (0..5_000)
        .map(|i| {
            let mut text = String::new();
            // Half of them of pieces, half of lines that mostly can be read.
            let count = 1 + random.below(14);
            if i % 2 == 0 {
                text.push_str(["[default]\n", "", "[x]\n"][random.below(3)]);
                for _ in 0..count {
                    text.push_str(random.of(&PIECES).unwrap());
                }
            } else {
                text.push_str("[default]\n");
                for _ in 0..count {
                    text.push_str(random.of(&LINES).unwrap());
                    text.push_str(["\n", "\n", "\r\n", "\r"][random.below(4)]);
                }
            }
            text
        })
        .collect();
    let parse = |text: &str| AwsFile::parse(Path::new("f"), Zeroizing::new(text.as_bytes().to_vec()));
    // What is read, and what of it is without its access keys.
    let (mut rests, mut read) = (Vec::new(), 0);
    for (text, reply) in texts.iter().zip(botocore(&texts)) {
        match (parse(text), reply) {
            (Ok(file), Some(reply)) => {
                assert_eq!(sections(&file), reply.sections, "{text:?}");
                let names: Vec<&str> = file.sections().map(|(name, _)| name).collect();
                let rest = file.without(&names).unwrap();
                rests.push((String::from_utf8(rest.to_vec()).unwrap(), reply));
                read += 1;
            }
            (Err(AwsFileError::Syntax { .. }), None) => {}
            (ours, theirs) => panic!("{text:?}: {ours:?}, botocore {}", theirs.is_some()),
        }
    }
    assert!((1_000..4_500).contains(&read), "{read} of {} were read", texts.len());
    let left: Vec<String> = rests.iter().map(|(rest, _)| rest.clone()).collect();
    for ((rest, mut before), after) in rests.into_iter().zip(botocore(&left)) {
        for entries in before.sections.values_mut() {
            entries
                .retain(|name, _| !["aws_access_key_id", "aws_secret_access_key"].contains(&name.as_str()));
        }
        let after = after.unwrap();
        assert_eq!((after.sections, after.profiles), (before.sections, before.profiles), "{rest:?}");
    }
}
