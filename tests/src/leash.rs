//! Background programs that end with whoever started them, however that comes to its end.

use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};

/// A program in the background. Ends when dropped; and when this process is killed, since the shell that holds it then
/// reads the end of its standard input.
pub struct Leash {
    shell: Child,
    held: Option<ChildStdin>,
}

/// A signal to the shell (Ctrl-C goes to the whole foreground group) ends the program as well. The handlers do nothing, but they
/// must be handlers: ignored signals would be ignored by the program too.
const SHELL: &str = r#"
trap : INT TERM HUP
"$@" </dev/null &
read -r _
kill "$!" 2>/dev/null
wait "$!"
"#;

impl Leash {
    /// Starts `command` with its environment and folder; what it prints goes to `log`.
    ///
    /// # Errors
    ///
    /// If the log cannot be written or the shell not be started. A program that ends at once is no error here: wait
    /// for what it is to do.
    pub fn start(command: &Command, log: &Path) -> Result<Self> {
        let log = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SHELL, "leash"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
        }
        let mut shell = shell
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let held = shell.stdin.take();
        Ok(Self { shell, held })
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.held.take());
        // Its status says nothing: it was killed.
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll;

    #[test]
    fn ends_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$; exec sleep 1000"]);
        let leash = Leash::start(&command, &log).unwrap();
        let pid = poll("the pid", || std::fs::read_to_string(&log).ok()?.trim().parse::<u32>().ok()).unwrap();
        let process = format!("/proc/{pid}");
        assert!(Path::new(&process).exists());
        drop(leash);
        assert!(!Path::new(&process).exists());
    }
}
