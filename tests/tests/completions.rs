//! Completions in real shells, at real terminals: what a TAB makes of what was typed.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use keyfob_tests::home::Home;
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::tool;

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A home whose key has accounts of awkward names, and an identity.
fn home() -> Home {
    let mut home = Home::with_software_key().unwrap();
    for name in ["AWS:alice@123456789012", "AWS:bob", "My Bank:it's $me", "plain", "Touchy:one", "wow!"] {
        let touch: &[&str] = if name.starts_with("Touchy") { &["--touch"] } else { &[] };
        home.succeed(&[&["oath", "add", name], touch].concat(), SECRET).unwrap();
    }
    home.succeed(&["aws", "add", ACCESS_KEY_ID, "--no-touch"], SECRET_ACCESS_KEY).unwrap();
    // A shell takes the program from its path.
    let folder = tool("KEYFOB_BIN").unwrap().parent().unwrap().to_owned();
    home.set("PATH", &format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()));
    home
}

/// What a person types into a shell (a TAB is `\t`), line by line, each waited for; gives the arguments that `keyfob`
/// then got, line by line. In the shell, `keyfob` is a function that prints them.
const PERSON: &str = r#"
import os, pty, re, select, sys, time
shell, lines = sys.argv[1:-1], sys.stdin.read().split("\n")
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(shell[0], shell)
seen = b""
def read(quiet, until=None):
    global seen
    end = time.monotonic() + 20
    while time.monotonic() < end:
        ready, _, _ = select.select([terminal], [], [], quiet)
        if not ready:
            if until is None or until in seen:
                return
            continue
        try:
            got = os.read(terminal, 65536)
        except OSError:
            return
        if not got:
            return
        # fish asks what the terminal is, and waits for the answer.
        if b"\x1b[c" in got or b"\x1b[0c" in got:
            os.write(terminal, b"\x1b[?62c")
        if b"\x1b[6n" in got:
            os.write(terminal, b"\x1b[1;1R")
        seen += got
    sys.exit(f"{until} did not come: {seen}")
def typed(text):
    os.write(terminal, text.encode())
read(0.2, b"ready")
typed("source " + sys.argv[-1] + "\r")
read(0.2, b"sourced")
for line in lines:
    seen = b""
    for part in re.split("(\t)", line):
        typed(part)
        # The shell is done when it has been quiet for a while.
        read(0.35 if part == "\t" else 0.05)
    typed("\r")
    read(0.1, b"]]")
    found = re.findall(rb"\[\[(.*?)\]\]", seen, re.S)
    print(found[-1].decode())
os.close(terminal)
os.waitpid(pid, 0)
"#;

/// The arguments that `keyfob` got for each of `lines`, typed in a shell started by `shell` after `setup`, which says
/// `sourced` at its end.
fn typed(home: &Home, shell: &[&str], setup: &Path, lines: &[&str]) -> Vec<String> {
    let mut python = home.command(tool("KEYFOB_PYTHON").unwrap());
    python.args(["-c", PERSON]).args(shell).arg(setup).env("TERM", "xterm").env("PS1", "ready> ");
    let output = piped(python, &lines.join("\n"));
    output.lines().map(str::to_owned).collect()
}

fn piped(mut command: Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What was typed, and what `keyfob` got of it.
const TABLE: &[(&str, &str)] = &[
    ("keyfob oath acc\t", "<oath><access>"),
    ("keyfob code pl\t", "<code><plain>"),
    // Colons and an @, at which readline breaks words.
    ("keyfob code AWS:al\t", "<code><AWS:alice@123456789012>"),
    ("keyfob code AWS:alice@1\t", "<code><AWS:alice@123456789012>"),
    ("keyfob code \"AWS:al\t", "<code><AWS:alice@123456789012>"),
    ("keyfob code 'AWS:b\t", "<code><AWS:bob>"),
    // Spaces and what a shell would make something of.
    ("keyfob code My\t", "<code><My Bank:it's $me>"),
    ("keyfob code My\\ Ba\t", "<code><My Bank:it's $me>"),
    ("keyfob code \"My Ba\t", "<code><My Bank:it's $me>"),
    ("keyfob code My\\ Bank:i\t", "<code><My Bank:it's $me>"),
    ("keyfob code wo\t", "<code><wow!>"),
    // In the middle: the second of two.
    ("keyfob code plain Tou\t", "<code><plain><Touchy:one>"),
    // No identity where an account is wanted, and the other way round.
    ("keyfob oath delete AKI\t", "<oath><delete><AKI>"),
    ("keyfob aws delete AKI\t", "<aws><delete><AKIAIOSFODNN7EXAMPLE>"),
    ("keyfob presign --identity AKI\t", "<presign><--identity><AKIAIOSFODNN7EXAMPLE>"),
    ("keyfob --key so\t", "<--key><soft:demo>"),
    ("keyfob -k soft:d\t", "<-k><soft:demo>"),
    ("keyfob --key=so\t", "<--key=soft:demo>"),
    // Of a key that is not there: nothing, and no word about it.
    ("keyfob --key soft:none code pl\t", "<--key><soft:none><code><pl>"),
    ("keyfob oath import pict\t", "<oath><import><picture of a code.png>"),
];

#[track_caller]
fn check(shell: &[&str], setup: &str, name: &str) {
    let home = home();
    home.write("picture of a code.png", "").unwrap();
    let script = home.succeed(&["completions", name], "").unwrap();
    let setup = home.write("setup", &setup.replace("SCRIPT", &script)).unwrap();
    let lines: Vec<_> = TABLE.iter().map(|(line, _)| *line).collect();
    let got = typed(&home, shell, &setup, &lines);
    let expected: Vec<_> = TABLE.iter().map(|(_, arguments)| *arguments).collect();
    for ((line, expected), got) in lines.iter().zip(&expected).zip(&got) {
        assert_eq!(got, expected, "{name}: {line:?}");
    }
    assert_eq!(got.len(), expected.len());
}

#[test]
fn bash() {
    let setup = "keyfob() { printf '[['; printf '<%s>' \"$@\"; printf ']]'; }\nSCRIPT\necho sour''ced\n";
    check(&["bash", "--norc", "--noprofile", "-i"], setup, "bash");
}

#[test]
fn zsh() {
    let setup = "autoload -U compinit; compinit -u -D\n\
                 keyfob() { printf '[['; printf '<%s>' \"$@\"; printf ']]' }\nSCRIPT\necho sour''ced\n";
    check(&["zsh", "-f", "-i"], setup, "zsh");
}

#[test]
fn fish() {
    let setup =
        "function keyfob; printf '[['; printf '<%s>' $argv; printf ']]'; end\nSCRIPT\necho sour''ced\n";
    check(&["fish", "--no-config", "-i", "-C", "function fish_prompt; echo 'ready> '; end"], setup, "fish");
}

#[test]
fn nothing_is_asked_or_said() {
    let mut home = home();
    let complete = |home: &Home, words: &[&str]| {
        let mut keyfob = home.keyfob().unwrap();
        keyfob.args(["complete", "zsh", "--", "keyfob"]).args(words);
        let output = keyfob.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(complete(&home, &["code", ""]).contains("=Touchy:one\n"));
    assert!(!complete(&home, &["code", ""]).contains("AKIA"));
    assert_eq!(complete(&home, &["aws", "delete", ""]), format!("={ACCESS_KEY_ID}\n"));
    // A password that nobody has given.
    home.succeed(&["oath", "access", "change"], "password\n").unwrap();
    home.succeed(&["lock"], "").unwrap();
    assert_eq!(complete(&home, &["code", ""]), "");
    // A passphrase likewise.
    home.succeed(&["lock"], "").unwrap();
    home.set("KEYFOB_PASSPHRASE_FILE", "");
    assert_eq!(complete(&home, &["code", ""]), "");
    assert_eq!(complete(&home, &["--key", "soft:n"]), "=soft:demo\n");
    // Names that the user gave to keys.
    std::fs::create_dir_all(home.path().join(".config/keyfob")).unwrap();
    home.write(".config/keyfob/config.toml", "[keys]\nwork = \"12345678\"\n").unwrap();
    assert_eq!(complete(&home, &["--key", "w"]), "=soft:demo\n=work\n");
    // Broken settings, hostile words.
    home.set("KEYFOB_KEY", "soft:../x");
    assert_eq!(complete(&home, &["code", "\u{1b}[2J"]), "");
    assert_eq!(complete(&home, &[]), "");
}
