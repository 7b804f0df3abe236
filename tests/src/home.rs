//! A home folder of a test's own.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::tool;

const PASSPHRASE_FILE: &str = "passphrase";

/// A temporary home with Keyfob's folders in it; gone when dropped.
pub struct Home {
    folder: TempDir,
    pcsc_socket: PathBuf,
    program: Option<PathBuf>,
    variables: Vec<(String, String)>,
}

impl Drop for Home {
    /// Ends the agent, if one was started.
    fn drop(&mut self) {
        if let Ok(mut keyfob) = self.keyfob() {
            let _ = keyfob
                .args(["--quiet", "agent", "stop"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

impl Home {
    /// An empty one, without any PC/SC service. The passphrase of software keys is read from a file in it.
    ///
    /// # Errors
    ///
    /// If there is no room for it.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("keyfob-home-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()?;
        let pcsc_socket = folder.path().join("no-pcscd");
        let home = Self { folder, pcsc_socket, program: None, variables: Vec::new() };
        std::fs::DirBuilder::new().mode(0o700).create(home.path().join("runtime"))?;
        home.write(PASSPHRASE_FILE, "a passphrase for a test\n")?;
        Ok(home)
    }

    /// One with the software key `demo`, which its programs use.
    ///
    /// # Errors
    ///
    /// If the key cannot be made.
    pub fn with_software_key() -> Result<Self> {
        let mut home = Self::new()?;
        home.succeed(&["soft", "create", "demo"], "")?;
        home.set("KEYFOB_KEY", "soft:demo");
        Ok(home)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Lets the programs of this home find the readers of that PC/SC service.
    pub fn use_pcscd(&mut self, pcscd: &crate::pcscd::Pcscd) {
        self.use_pcsc_socket(&pcscd.socket());
    }

    /// As [`Home::use_pcscd`], by the socket's path.
    pub fn use_pcsc_socket(&mut self, socket: &Path) {
        socket.clone_into(&mut self.pcsc_socket);
    }

    /// Takes that `keyfob` rather than the one that was built.
    pub fn use_program(&mut self, program: &Path) {
        self.program = Some(program.to_owned());
    }

    /// Sets an environment variable of this home's programs.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// A command that knows this home alone.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        for (name, _) in std::env::vars_os() {
            if ["KEYFOB_", "XDG_", "AWS_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        // No desktop, no keychain, no terminal of the user's.
        for name in ["DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK"] {
            command.env_remove(name);
        }
        command
            .env("HOME", self.path())
            .env("XDG_RUNTIME_DIR", self.path().join("runtime"))
            .env("PCSCLITE_CSOCK_NAME", &self.pcsc_socket)
            .env("KEYFOB_PASSPHRASE_FILE", self.path().join(PASSPHRASE_FILE))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path());
        command
    }

    /// `keyfob`, as built by `cargo xtask` unless [`Home::use_program`] says otherwise.
    ///
    /// # Errors
    ///
    /// As [`tool`].
    pub fn keyfob(&self) -> Result<Command> {
        let program = self.program.clone().map_or_else(|| tool("KEYFOB_BIN"), Ok)?;
        Ok(self.command(program))
    }

    /// The folder of the agent's socket.
    pub fn agent_folder(&self) -> PathBuf {
        self.path().join("runtime/keyfob")
    }

    /// Runs `keyfob` with these arguments, and with a secret on its standard input.
    ///
    /// # Errors
    ///
    /// If it cannot be run; not if it fails.
    pub fn run(&self, args: &[&str], input: &str) -> Result<Output> {
        let mut keyfob = self.keyfob()?;
        keyfob.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = keyfob.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // Who needs no input may have ended already.
            let _ = stdin.write_all(input.as_bytes());
        }
        Ok(child.wait_with_output()?)
    }

    /// As [`Home::run`], for what must succeed: gives what it prints.
    ///
    /// # Errors
    ///
    /// If it fails, with what it says.
    pub fn succeed(&self, args: &[&str], input: &str) -> Result<String> {
        let output = self.run(args, input)?;
        if !output.status.success() {
            bail!(
                "keyfob {}: {}\n{}",
                args.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// As [`Home::run`], without input: exit code, stdout and stderr.
    ///
    /// # Errors
    ///
    /// If it cannot be run, or says what is no text.
    pub fn told(&self, args: &[&str]) -> Result<Told> {
        told(&self.run(args, "")?)
    }

    /// As [`Home::succeed`], for what prints JSON.
    ///
    /// # Errors
    ///
    /// If it fails, with what it says, or prints anything else.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.succeed(args, "")?)?)
    }

    /// As [`Home::told`], for what must fail with that exit code and with that code of an error in JSON, and print nothing: what it
    /// says.
    ///
    /// # Errors
    ///
    /// If it does otherwise.
    pub fn fail(&self, args: &[&str], exit: i32, code: &str) -> Result<String> {
        let (actual, out, said) = self.told(args)?;
        ensure!(actual == Some(exit) && out.is_empty(), "exit {actual:?}, not {exit}: {out}{said}");
        let error = said.lines().find(|line| line.starts_with("{\"error\":")).context("no error in JSON")?;
        let error: Value = serde_json::from_str(error)?;
        ensure!(error["error"]["code"] == code, "not {code}: {said}");
        Ok(said)
    }

    /// Writes a file into this home, for its owner only.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.path().join(name);
        let mut options = std::fs::OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?
            .write_all(content.as_bytes())?;
        Ok(path)
    }
}

/// Exit code, stdout, stderr.
pub type Told = (Option<i32>, String, String);

/// What has come of a program that says only text.
///
/// # Errors
///
/// If it has said anything else.
pub fn told(output: &Output) -> Result<Told> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
    Ok((output.status.code(), text(&output.stdout)?, text(&output.stderr)?))
}
