//! The notice that the key waits for a touch, as the command line shows it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use keyfob_tests::home::Home;
use keyfob_tests::{terminal, tool};

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A home whose key is touched after half a second.
fn home() -> Home {
    let mut home = Home::with_software_key().unwrap();
    home.set("KEYFOB_SOFT_TOUCH", "500");
    home.succeed(&["oath", "add", "AWS:alice", "--touch"], SECRET).unwrap();
    home.succeed(&["oath", "add", "plain"], SECRET).unwrap();
    home.succeed(&["oath", "add", "counter", "--hotp"], SECRET).unwrap();
    home
}

#[test]
fn it_is_on_the_terminal() {
    #[track_caller]
    fn check(home: &Home, args: &[&str], code: &str, notice: bool) {
        let mut keyfob = home.keyfob().unwrap();
        // Its standard streams are captured.
        let session = terminal::run(keyfob.args(args), &[]).unwrap();
        assert!(session.output.status.success(), "{args:?}: {}", session.screen);
        assert_eq!(String::from_utf8_lossy(&session.output.stdout).trim(), code, "{args:?}");
        assert!(session.output.stderr.is_empty(), "{args:?}");
        if notice {
            assert!(session.screen.starts_with("Touch your key: "), "{:?}", session.screen);
            assert!(session.screen.contains(" asks for the code of "), "{:?}", session.screen);
            // This terminal has no width, so that nothing can be cleared on it.
            assert!(session.screen.ends_with("AWS:alice\r\n"), "{:?}", session.screen);
        } else {
            assert_eq!(session.screen, "", "{args:?}");
        }
    }
    let home = home();
    check(&home, &["code", "AWS", "--at", "59"], "287082", true);
    check(&home, &["--no-agent", "code", "AWS", "--at", "59"], "287082", true);
    check(&home, &["code", "plain", "--at", "59"], "287082", false);
    // Whether a counter wants a touch cannot be known; the answer is there before anybody would be told to.
    check(&home, &["code", "counter"], "755224", false);
}

#[test]
fn it_names_the_program_that_asks() {
    let home = home();
    let script = home.write("deploy-tool", "#!/bin/sh\n\"$@\"\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    for agent in [&[][..], &["--no-agent"]] {
        let mut command = home.command(&script);
        command.arg(tool("KEYFOB_BIN").unwrap()).args(agent).args(["code", "AWS", "--at", "59"]);
        let session = terminal::run(&command, &[]).unwrap();
        assert_eq!(session.output.stdout, b"287082\n", "{}", session.screen);
        let notice = "Touch your key: deploy-tool asks for the code of ";
        assert!(session.screen.starts_with(notice), "{:?}", session.screen);
    }
}

#[test]
fn without_a_terminal_it_is_on_stderr() {
    let home = home();
    // A session of its own has no terminal, whoever runs the test.
    let mut setsid = home.command("setsid");
    setsid.arg("--wait").arg(tool("KEYFOB_BIN").unwrap()).args(["code", "AWS", "--at", "59"]);
    let output = setsid.stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(output.stdout, b"287082\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("Touch your key: ") && said.ends_with('\n') && said.lines().count() == 1,
        "{said:?}"
    );
}

/// Arguments: the command. Says whether the terminal echoes once the command, ended at its prompt, is gone.
const ENDED_AT_THE_PROMPT: &str = r#"
import os, pty, signal, subprocess, sys, termios, time
pid, terminal = pty.fork()
if pid == 0:
    # As a script does it: what comes after the command has the same terminal.
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)
    print("PID", child.pid, flush=True)
    child.wait()
    print("GONE", child.returncode, flush=True)
    time.sleep(60)
screen = b""
def until(what):
    global screen
    end = time.monotonic() + 20
    while not what() and time.monotonic() < end:
        os.set_blocking(terminal, False)
        try:
            screen += os.read(terminal, 4096)
        except BlockingIOError:
            time.sleep(0.005)
    assert what(), screen
echoes = lambda: bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
assert echoes()
until(lambda: b"Enter " in screen and not echoes())
os.kill(int(screen.split()[1]), getattr(signal, sys.argv[1]))
until(lambda: b"GONE" in screen)
print(screen.split(b"GONE")[1].split()[0].decode(), echoes())
os.kill(pid, signal.SIGKILL)
"#;

#[test]
fn who_is_ended_at_a_prompt_leaves_the_terminal_as_it_was() {
    let mut home = Home::new().unwrap();
    home.succeed(&["soft", "create", "demo"], "").unwrap();
    home.set("KEYFOB_PASSPHRASE_FILE", "");
    for (signal, code) in [("SIGTERM", "-15"), ("SIGINT", "-2"), ("SIGHUP", "-1")] {
        let mut command = home.command(tool("KEYFOB_PYTHON").unwrap());
        let keyfob = tool("KEYFOB_BIN").unwrap();
        command.args(["-c", ENDED_AT_THE_PROMPT, signal]).arg(keyfob).args([
            "--key",
            "soft:demo",
            "code",
            "x",
        ]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.trim(), format!("{code} True"), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
