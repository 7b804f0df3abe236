//! A person at a terminal.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result};

use crate::tool;

/// What was seen on the terminal, and how the program ended.
pub struct Session {
    /// All that was written to the terminal device.
    pub screen: String,
    /// Exit code, and what went to stdout and stderr, which are not the terminal.
    pub output: Output,
}

/// Runs `command` with a terminal of its own (stdin, stdout and stderr are none: what it asks, it must ask on the
/// terminal device), and types each of `answers` once its prompt has appeared.
///
/// # Errors
///
/// If it cannot be run, or a prompt does not appear, or the end does not come, within ten seconds.
pub fn run(command: &Command, answers: &[(&str, &str)]) -> Result<Session> {
    run_with_input(command, "", answers)
}

/// As [`run`], with `input` on stdin.
///
/// # Errors
///
/// As [`run`].
pub fn run_with_input(command: &Command, input: &str, answers: &[(&str, &str)]) -> Result<Session> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("stdin"), input)?;
    let mut python = Command::new(tool("KEYFOB_PYTHON")?);
    python.args(["-c", PERSON]).arg(folder.path()).arg(answers.len().to_string());
    for (prompt, answer) in answers {
        python.args([prompt, answer]);
    }
    python.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        python.current_dir(folder);
    }
    let person = python.env("TERM", OsStr::new("xterm")).stdin(Stdio::null()).output()?;
    let screen = String::from_utf8_lossy(&person.stdout).into_owned();
    anyhow::ensure!(
        person.status.code() != Some(99),
        "{}\n{screen}",
        String::from_utf8_lossy(&person.stderr)
    );
    let read = |name| std::fs::read(file(name)).with_context(|| format!("no {name}"));
    let output = Output { status: person.status, stdout: read("stdout")?, stderr: read("stderr")? };
    Ok(Session { screen, output })
}

/// Arguments: a folder for stdin, stdout and stderr, the number of answers, prompt and answer of each, the command.
const PERSON: &str = r#"
import os, pty, select, signal, sys, termios, time
folder, n = sys.argv[1], int(sys.argv[2])
answers = [(sys.argv[3 + 2 * i].encode(), sys.argv[4 + 2 * i].encode()) for i in range(n)]
command = sys.argv[3 + 2 * n:]
pid, terminal = pty.fork()
if pid == 0:
    # The terminal ends when nobody has it open, and the program opens it only to ask.
    os.set_inheritable(os.dup(0), True)
    for fd, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT, 0o600), fd)
    os.dup2(os.open(os.path.join(folder, "stdin"), os.O_RDONLY), 0)
    os.execvp(command[0], command)
screen, seen, end = b"", 0, time.monotonic() + 10
while True:
    ready, _, _ = select.select([terminal], [], [], 0.05)
    if ready:
        try:
            read = os.read(terminal, 4096)
        except OSError:
            read = b""
        if not read:
            break
        screen += read
        os.write(1, read)
    if answers and answers[0][0] in screen[seen:]:
        seen = len(screen)
        # A person is slower than the program, which flushes what is typed before the echo is off.
        quiet = time.monotonic() + 0.5
        while termios.tcgetattr(terminal)[3] & termios.ECHO and time.monotonic() < quiet:
            time.sleep(0.005)
        os.write(terminal, answers.pop(0)[1] + b"\n")
        end = time.monotonic() + 10
    elif time.monotonic() > end:
        os.kill(pid, signal.SIGKILL)
        sys.exit(99)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;
