//! The live view on a real terminal: what is seen, what keys do, and that the terminal is given back.

use std::process::Stdio;

use keyfob_tests::home::Home;
use keyfob_tests::tool;
use serde_json::{Value, json};

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// Arguments: steps as JSON, then the command. Prints as JSON what was seen after each wait, the exit code, and
/// whether the terminal is as it was.
const PERSON: &str = r#"
import fcntl, json, os, pty, re, select, signal, struct, subprocess, sys, termios, time
steps, command = json.loads(sys.argv[1]), sys.argv[2:]
terminal, device = os.openpty()
fcntl.ioctl(device, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
before = termios.tcgetattr(device)
def own():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
program = subprocess.Popen(command, stdin=device, stdout=device, stderr=device, preexec_fn=own)
seen, new = b"", b""
def read(seconds):
    global seen, new
    if select.select([terminal], [], [], seconds)[0]:
        got = os.read(terminal, 65536)
        seen += got
        new += got
for kind, value in steps:
    end = time.monotonic() + 20
    if kind == "wait":
        while not re.search(value, new.decode(errors="replace"), re.S):
            read(0.05)
            if time.monotonic() > end:
                program.kill()
                sys.exit(f"{value!r} did not come: {new.decode(errors='replace')!r}")
        new = b""
    elif kind == "type":
        # A person is slower than the program, which flushes what is typed before the echo is off.
        while termios.tcgetattr(device)[3] & termios.ECHO and time.monotonic() < end:
            time.sleep(0.005)
        os.write(terminal, value.encode())
    elif kind == "run":
        subprocess.run(value[:-1], input=value[-1].encode(), check=True, stdin=None)
    elif kind == "resize":
        fcntl.ioctl(device, termios.TIOCSWINSZ, struct.pack("HHHH", *value, 0, 0))
        program.send_signal(signal.SIGWINCH)
end = time.monotonic() + 20
while program.poll() is None and time.monotonic() < end:
    read(0.05)
if program.poll() is None:
    program.kill()
    sys.exit("it did not end")
while select.select([terminal], [], [], 0.1)[0]:
    read(0)
print(json.dumps({"exit": program.returncode, "restored": termios.tcgetattr(device) == before,
                  "screen": seen.decode(errors="replace")}))
"#;

fn watch(home: &Home, args: &[&str], steps: &Value) -> Value {
    let mut python = home.command(tool("KEYFOB_PYTHON").unwrap());
    python.args(["-c", PERSON, &steps.to_string()]).arg(tool("KEYFOB_BIN").unwrap()).args(args);
    python.env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
    let output = python.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["restored"], true, "{result}");
    let screen = result["screen"].as_str().unwrap();
    // The other screen is left, the cursor shows again.
    assert_eq!(screen.contains("\u{1b}[?1049h"), screen.contains("\u{1b}[?1049l"), "{screen:?}");
    assert!(screen.rfind("\u{1b}[?25h") >= screen.rfind("\u{1b}[?25l"), "{screen:?}");
    result
}

fn home() -> Home {
    let mut home = Home::with_software_key().unwrap();
    home.set("KEYFOB_SOFT_TOUCH", "700");
    home.succeed(&["oath", "add", "AWS:alice"], SECRET).unwrap();
    home.succeed(&["oath", "add", "Touchy", "--touch"], SECRET).unwrap();
    home.succeed(&["oath", "add", "Counter", "--hotp"], SECRET).unwrap();
    home
}

#[test]
fn codes_are_seen_and_asked_for() {
    let home = home();
    let keyfob = tool("KEYFOB_BIN").unwrap();
    let result = watch(
        &home,
        &["code", "--watch"],
        &json!([
            [
                "wait",
                "Software key soft:demo.*> 1 AWS:alice +[0-9]{6}  +[█░]{10} .*2 Touchy +Enter, and a touch"
            ],
            ["type", "2"],
            ["wait", "> 2 Touchy"],
            ["type", "\r"],
            ["wait", "Touch your key: .* asks for the code of Touchy"],
            ["wait", "> 2 Touchy +[0-9]{6} .*[█░]{10}"],
            // RFC 4226's first codes.
            ["type", "3\r"],
            ["wait", "> 3 Counter +755224"],
            ["type", "\r"],
            ["wait", "> 3 Counter +287082"],
            // Others put an account on the key.
            ["run", [keyfob, "oath", "add", "Later", SECRET]],
            ["wait", "4 Later +[0-9]{6}"],
            ["resize", [5, 30]],
            ["wait", "> 3 Counter"],
            ["type", "q"],
        ]),
    );
    assert_eq!(result["exit"], 0, "{result}");
}

#[test]
fn a_key_that_goes_and_comes_back_is_survived() {
    let mut home = home();
    home.succeed(&["oath", "access", "change"], "hunter2\n").unwrap();
    home.succeed(&["lock"], "").unwrap();
    let file = home.path().join(".local/share/keyfob/soft/demo.key");
    let moved = home.path().join("moved");
    let result = watch(
        &home,
        &["code", "--watch"],
        &json!([
            ["wait", "Enter the password of .*: "],
            ["type", "wrong\r"],
            ["wait", "wrong.*Enter the password of .*: "],
            // Wrong ones are answered later and later.
            ["run", ["sleep", "1.5", ""]],
            ["type", "hunter2\r"],
            ["wait", "> 1 AWS:alice +[0-9]{6}"],
            ["run", ["mv", &file, &moved, ""]],
            ["wait", "No key.*there is no software key `demo`"],
            ["run", ["mv", &moved, &file, ""]],
            ["wait", "> 1 AWS:alice +[0-9]{6}"],
            ["type", "\u{3}"],
        ]),
    );
    assert_eq!(result["exit"], 0, "{result}");
    assert!(!result["screen"].as_str().unwrap().contains("hunter2"), "{result}");

    // Without one it is waited for.
    home.set("KEYFOB_KEY", "12345678");
    let result =
        watch(&home, &["code", "--watch"], &json!([["wait", "Plug in the key"], ["type", "\u{1b}"]]));
    assert_eq!(result["exit"], 0, "{result}");
}

#[test]
fn it_wants_a_terminal() {
    let home = home();
    let output = home.run(&["code", "--watch"], "").unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("keyfob: a live view wants a terminal\n  → leave --watch away"), "{said}");
    let result =
        watch(&home, &["--key", "soft:none", "code", "--watch"], &json!([["wait", "no software key"]]));
    assert_eq!(result["exit"], 7, "{result}");
}
