//! The key's accounts and password from the command line, on a software key.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Base32 of the RFCs' secret.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

struct Home(tempfile::TempDir);

/// Exit code, stdout, stderr.
type Outcome = (i32, String, String);

impl Drop for Home {
    /// Ends the agent.
    fn drop(&mut self) {
        self.run(&["agent", "stop"], "");
    }
}

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let passphrase = home.0.path().join("passphrase");
        std::fs::write(&passphrase, "correct horse").unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&passphrase, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(home.run(&["soft", "create", "test"], "").0, 0);
        home
    }

    fn run(&self, args: &[&str], input: &str) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyfob"));
        command
            .args(args)
            .env_clear()
            .env("KEYFOB_CONFIG", self.0.path())
            .env("KEYFOB_PASSPHRASE_FILE", self.0.path().join("passphrase"))
            // This machine's own readers are never asked: these tests send RESET.
            .env("PCSCLITE_CSOCK_NAME", self.0.path().join("no-pcscd"))
            .env("KEYFOB_KEY", "soft:test")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A session of its own has no terminal: nobody can be asked.
        #[cfg(unix)]
        let mut command = {
            let mut session = Command::new("setsid");
            session.arg("--wait").arg(command.get_program()).args(command.get_args()).env_clear();
            for (name, value) in command.get_envs() {
                session.env(name, value.unwrap_or_default());
            }
            session
                .env("PATH", "/usr/bin:/bin")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            session
        };
        let mut child = command.spawn().unwrap();
        // What is refused at once is not read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn check(&self, args: &[&str], input: &str, code: i32, stdout: &str, stderr: &str) {
        let (got, out, err) = self.run(args, input);
        assert_eq!((got, out.as_str()), (code, stdout), "{args:?}: {err}");
        assert!(err.contains(stderr), "{args:?}: {err}");
    }
}

#[test]
fn accounts_are_renamed_and_verified() {
    let home = Home::new();
    home.check(&["oath", "add", "A:one"], SECRET, 0, "", "Added A:one.");
    home.check(&["oath", "add", "60/B:two", "--period", "60"], SECRET, 0, "", "Added");
    home.check(&["oath", "rename", "A:one", "60/B:two"], "", 1, "", "on the key already");
    home.check(&["oath", "add", "60/B:two", "--force"], SECRET, 1, "", "on the key already");
    // A name that looks like a period is none.
    home.check(&["oath", "rename", "A:one", "60/C:three"], "", 0, "", "Renamed to 60/C:three.");
    let (_, json, _) = home.run(&["--json", "oath", "list"], "");
    assert!(json.contains(r#""name":"60/C:three","period":30"#), "{json}");
    assert!(json.contains(r#""name":"60/B:two","period":60"#), "{json}");
    home.check(&["oath", "reset", "--force"], "", 0, "", "The key is empty.");

    home.check(&["oath", "add", "A:one"], SECRET, 0, "", "Added A:one.");
    home.check(&["oath", "add", "B:two"], SECRET, 0, "", "Added B:two.");
    home.check(&["oath", "rename", "A:one", "B:two"], "", 1, "", "on the key already");
    home.check(&["oath", "rename", "A:one", "exile-AKIA"], "", 2, "", "identities");
    home.check(&["oath", "rename", "A:none", "C:x"], "", 7, "", "no account A:none");
    home.check(&["oath", "rename", "A:one", "C:three"], "", 0, "", "Renamed to C:three.");
    home.check(&["oath", "list"], "", 0, "C:three  TOTP\nB:two    TOTP\n", "");

    home.check(&["oath", "verify", "C:three", "287082", "--at", "59"], "", 0, "", "right");
    home.check(&["oath", "verify", "C:three", "--at", "59"], "287082", 0, "", "right");
    home.check(&["oath", "verify", "C:three", "287082", "--at", "60"], "", 7, "", "not right");
    home.check(&["oath", "verify", "C:three", "287082", "--at", "89", "--window", "1"], "", 0, "", "right");
    home.check(
        &["oath", "verify", "C:three", "287082", "--at", "90", "--window", "1"],
        "",
        7,
        "",
        "not right",
    );
    home.check(&["oath", "verify", "C:three", "287082", "--at", "0", "--window", "1"], "", 0, "", "right");
    home.check(&["oath", "add", "H", "--hotp"], SECRET, 0, "", "Added");
    home.check(&["oath", "verify", "H", "755224"], "", 1, "", "would move the counter");
    home.check(&["code", "H"], "", 0, "755224\n", "");
}

#[test]
fn names_are_kept_as_they_are_given() {
    let home = Home::new();
    for name in ["arn:aws:iam::123456789012:mfa/alice", "I:p:dev", "I:dev", "a@b/c?d#e&f=g%20ü+", "Steam:me"]
    {
        home.check(&["oath", "add", name], SECRET, 0, "", &format!("Added {name}."));
    }
    let (_, json, _) = home.run(&["--json", "oath", "list"], "");
    assert!(json.contains(r#""aws":{"account":"123456789012","device":"alice","flow":"iam"}"#), "{json}");
    home.check(&["oath", "add", ":bar"], SECRET, 2, "", "issuer before the colon is empty");
    home.check(&["oath", "add", "foo:"], SECRET, 2, "", "name is empty");
    // A full name that is not there is no beginning of another.
    home.check(&["code", "I:de", "--at", "59"], "", 7, "", "no account I:de");
    home.check(&["code", "I:dev", "--at", "59"], "", 0, "287082\n", "");
    home.check(&["code", "a@", "--at", "59"], "", 0, "287082\n", "");
    home.check(&["code", "I", "--at", "59"], "", 4, "", "I:p:dev");
    home.check(&["code", "Steam:me", "--at", "59"], "", 0, "PV9M4\n", "");
}

#[test]
fn an_identity_is_deleted_whole_or_not_at_all() {
    let home = Home::new();
    home.check(&["aws", "delete", "AKIAIOSFODNN7EXAMPLE", "-f"], "", 7, "", "not on this key");
    home.check(&["aws", "add", "AKIAIOSFODNN7EXAMPLE"], "secret", 0, "", "Added");
    home.check(&["aws", "delete", "AKIAIOSFODNN7EXAMPLE"], "", 2, "", "no terminal");
    home.check(&["aws", "delete", "AKIAIOSFODNN7EXAMPLE", "-f"], "", 0, "", "Deleted");
    home.check(&["aws", "identities"], "", 0, "", "no identities");
}

#[test]
fn soft_is_the_only_software_key() {
    let home = Home::new();
    home.check(&["--key", "soft", "oath", "list"], "", 0, "", "no accounts");
    assert_eq!(home.run(&["soft", "create", "other"], "").0, 0);
    home.check(&["--key", "soft", "oath", "list"], "", 4, "", "soft:other");
}

#[test]
fn an_hmac_is_never_an_identitys() {
    let home = Home::new();
    home.check(&["oath", "add", "A:one"], SECRET, 0, "", "");
    home.check(&["aws", "add", "AKIAIOSFODNN7EXAMPLE", "--no-touch"], "secret", 0, "", "");
    // RFC 4226, appendix D: the HMAC for counter 1.
    let expected = "75a48a19d4cbe100644e8ac1397eea747a2d33ab\n";
    home.check(&["oath", "hmac", "A:one", "0000000000000001"], "", 0, expected, "");
    for name in ["exile-AKIAIOSFODNN7EXAMPLE-SigV4", "exile", "AKIAIOSFODNN7EXAMPLE"] {
        home.check(&["oath", "hmac", name, "3230323630313031"], "", 7, "", "no account");
        home.check(&["oath", "verify", name, "000000"], "", 7, "", "no account");
        home.check(&["oath", "rename", name, "x"], "", 7, "", "no account");
        home.check(&["oath", "delete", name, "--force"], "", 7, "", "no account");
    }
    for challenge in ["0", "", "xx", &"00".repeat(65)] {
        home.check(&["oath", "hmac", "A:one", challenge], "", 2, "", "hexadecimal");
    }
}

#[test]
fn a_password_is_set_asked_for_and_reset() {
    let home = Home::new();
    home.check(&["oath", "add", "A:one"], SECRET, 0, "", "");
    home.check(&["oath", "access", "remember"], "", 7, "", "no password");
    home.check(&["oath", "access", "change"], "", 2, "", "nothing was given");
    home.check(&["oath", "access", "change"], " hunter 2 \n", 0, "", "The password is set.");
    // Whoever set it need not give it, until the agent is told to forget.
    home.check(&["oath", "list"], "", 0, "A:one  TOTP\n", "");
    home.check(&["--no-agent", "oath", "list"], "", 5, "", "the key is locked");
    for args in [
        &["code", "A:one"][..],
        &["oath", "list"],
        &["oath", "delete", "A:one", "-f"],
        &["oath", "access", "change"],
    ] {
        home.check(&["lock"], "", 0, "", "Locked.");
        home.check(
            args,
            "x\n",
            5,
            "",
            "the key is locked: no terminal to ask for the password of the software key",
        );
    }
    home.check(&["oath", "reset"], "", 2, "", "no terminal");
    home.check(&["oath", "reset", "--force"], "", 0, "", "empty");
    home.check(&["oath", "list"], "", 0, "", "no accounts");
}

#[test]
fn accounts_of_other_apps_are_imported_all_or_none() {
    let home = Home::new();
    let data = format!("{}/tests/data/import", env!("CARGO_MANIFEST_DIR"));
    let file = |name: &str| format!("{data}/{name}");
    let names = |home: &Home| {
        let (_, json, _) = home.run(&["--json", "oath", "list"], "");
        let list: serde_json::Value = serde_json::from_str(&json).unwrap();
        let names = list.get("accounts").and_then(|a| a.as_array()).cloned().unwrap_or_default();
        names.iter().filter_map(|a| a.get("name")?.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };

    home.check(&["oath", "import", &file("aegis.json"), "--dry-run"], "", 0, "", "Would add");
    assert!(names(&home).is_empty());
    home.check(&["oath", "import", &file("aegis.json")], "", 0, "", "Added");
    let aegis = names(&home);
    assert!(aegis.len() > 1, "{aegis:?}");
    home.check(&["oath", "import", &file("aegis.json")], "", 1, "", "nothing was added");
    home.check(&["oath", "import", &file("aegis.json"), "--skip"], "", 0, "", "nothing to add");
    home.check(&["oath", "import", &file("aegis.json"), "--force"], "", 0, "", "Added");
    assert_eq!(names(&home), aegis);

    home.check(&["oath", "reset", "-f"], "", 0, "", "");
    home.check(&["oath", "import", &file("one.png")], "", 0, "", "Added");
    assert_eq!(names(&home).len(), 1);
    home.check(&["oath", "reset", "-f"], "", 0, "", "");
    home.check(
        &["oath", "import"],
        "otpauth://totp/a?secret=AAAA\n# comment\notpauth://totp/b?secret=AAAA\n",
        0,
        "",
        "Added b.",
    );
    assert_eq!(names(&home), ["a", "b"]);

    // What cannot be read adds nothing, and says where it is wrong.
    home.check(
        &["oath", "import"],
        "otpauth://totp/c?secret=AAAA\notpauth://totp/d?secret=!\n",
        2,
        "",
        "line 2",
    );
    home.check(&["oath", "import", &file("google-part-1.png")], "", 2, "", "nothing was added");
    home.check(&["oath", "import", &file("blank.png")], "", 2, "", "nothing was added");
    home.check(&["oath", "import", &file("aegis-encrypted.json")], "", 2, "", "nothing was added");
    home.check(&["oath", "import", &file("absent")], "", 1, "", "cannot read");
    home.check(&["oath", "import"], "", 2, "", "nothing was added");
    assert_eq!(names(&home), ["a", "b"]);
}

#[test]
fn several_codes_have_their_names() {
    let home = Home::new();
    home.check(&["oath", "add", "A:one"], SECRET, 0, "", "");
    home.check(&["oath", "add", "B:two", "--digits", "8"], SECRET, 0, "", "");
    home.check(&["code", "--at", "59", "B", "A:one"], "", 0, "B:two  94287082\nA:one  287082\n", "");
    home.check(&["code", "--at", "59", "B", "none"], "", 7, "", "no account none");
}

#[test]
fn completions_and_manual_are_written() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, script, _) = home.run(&["completions", shell], "");
        assert_eq!(code, 0);
        assert!(script.contains("keyfob"), "{shell}");
    }
    let folder = home.0.path().join("man");
    home.check(&["man", &folder.display().to_string()], "", 0, "", "manual pages");
    let page = std::fs::read_to_string(folder.join("keyfob-oath-add.1")).unwrap();
    assert!(page.contains(".TH keyfob-oath-add 1"), "{page}");
    home.check(&["man", "/dev/null/x"], "", 1, "", "cannot write");
}
