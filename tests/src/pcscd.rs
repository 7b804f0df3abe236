//! A PC/SC service of a test's own, with virtual readers and no others.
//!
//! It runs in a mount namespace in which `/run` is a folder of the test's (the socket's path is compiled into pcscd), and the
//! folder of USB drivers is empty: it can never open a reader that is plugged into the machine.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::home::Home;
use crate::leash::Leash;
use crate::poll;
use crate::vpcd::{Answer, Inserted};

/// A reader's name as a YubiKey's: programs look for it.
pub const YUBIKEY_READER: &str = "Yubico YubiKey OTP+FIDO+CCID";

const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";

/// The service; ends, with its sockets and files, when dropped.
pub struct Pcscd {
    leash: Option<Leash>,
    folder: TempDir,
    /// First slot of each reader.
    ports: Vec<u16>,
}

impl Pcscd {
    /// Starts a service with one virtual reader for each name. A reader shows up as `NAME 00 00`, with a second
    /// slot `NAME 00 01` that stays empty.
    ///
    /// # Errors
    ///
    /// If it may not have a mount namespace, or does not come up within half a minute.
    pub fn start(readers: &[&str]) -> Result<Self> {
        if !Path::new(DRIVER).exists() {
            bail!("{DRIVER} is not installed: please run `cargo xtask test`");
        }
        let folder = tempfile::Builder::new().prefix("keyfob-pcscd-").tempdir()?;
        for name in ["run/pcscd", "empty", "conf"] {
            fs::create_dir_all(folder.path().join(name))?;
        }
        let mut conf = String::new();
        let mut ports = Vec::new();
        for (i, reader) in readers.iter().enumerate() {
            // A copy for each: the driver keeps its state in static variables.
            let driver = folder.path().join(format!("libifdvpcd{i}.so"));
            fs::copy(DRIVER, &driver)?;
            let port = two_free_ports()?;
            conf += &format!(
                "FRIENDLYNAME \"{reader}\"\nDEVICENAME /dev/null:{port}\nLIBPATH {}\nCHANNELID {port}\n\n",
                driver.display()
            );
            ports.push(port);
        }
        fs::write(folder.path().join("conf/readers"), conf)?;

        let mut command = Command::new("unshare");
        // An ordinary user is root in a user namespace of his own.
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--mount", "/bin/sh", "-c", START, "pcscd"]).arg(folder.path());
        command.arg(pcscd().context("pcscd is not installed: please run `cargo xtask test`")?);
        let leash = Leash::start(&command, &folder.path().join("log"))?;
        let pcscd = Self { leash: Some(leash), folder, ports };
        poll("pcscd", || UnixStream::connect(pcscd.socket()).ok()).with_context(|| pcscd.log())?;
        Ok(pcscd)
    }

    /// What `PCSCLITE_CSOCK_NAME` has to be for its clients.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("run/pcscd/pcscd.comm")
    }

    /// Puts a scripted card into the first slot of a reader, and waits until it was powered on.
    ///
    /// # Errors
    ///
    /// If there is no such reader, or nothing happens within half a minute.
    pub fn insert(
        &self,
        reader: usize,
        answer: impl FnMut(&[u8]) -> Answer + Send + 'static,
    ) -> Result<Inserted> {
        let port = self.port(reader).with_context(|| format!("there is no reader {reader}"))?;
        Inserted::new(port, answer).with_context(|| self.log())
    }

    /// Puts a software key of `home` into the first slot of a reader, and waits until it is listed as a card.
    /// It is out of it when what is returned is dropped.
    ///
    /// # Errors
    ///
    /// If there is no such reader, or the card does not show up within half a minute.
    pub fn insert_soft_key(&self, reader: usize, home: &Home, name: &str) -> Result<Leash> {
        let port = self.port(reader).with_context(|| format!("there is no reader {reader}"))?;
        let before = cards(home)?;
        let mut serve = home.keyfob()?;
        serve.args(["soft", "serve", name, "--reader", &format!("127.0.0.1:{port}")]);
        let log = home.path().join(format!("serve-{name}.log"));
        let leash = Leash::start(&serve, &log)?;
        poll("the card", || cards(home).ok().filter(|now| *now > before))
            .with_context(|| std::fs::read_to_string(log).unwrap_or_default() + &self.log())?;
        Ok(leash)
    }

    /// TCP port on which a reader's first slot listens, for a card in another process.
    pub fn port(&self, reader: usize) -> Option<u16> {
        self.ports.get(reader).copied()
    }

    /// What the service has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends the service, with all cards still in its readers; its socket's file stays behind.
    pub fn stop(&mut self) {
        drop(self.leash.take());
    }
}

impl Drop for Pcscd {
    fn drop(&mut self) {
        // Before its folder goes.
        self.stop();
    }
}

/// `$1` is the folder, `$2` pcscd. Newer ones ask polkit who may talk to them, over a system bus that is not the test's.
const START: &str = r#"
mount --bind "$1/run" /run &&
mount --bind "$1/empty" /usr/lib/pcsc/drivers || exit
polkit=$("$2" --help 2>&1 | grep -o -- --disable-polkit)
exec "$2" --foreground --config "$1/conf" $polkit
"#;

fn pcscd() -> Option<&'static str> {
    ["/usr/sbin/pcscd", "/usr/bin/pcscd"].into_iter().find(|path| Path::new(path).exists())
}

/// How many cards `keyfob list` shows.
fn cards(home: &Home) -> Result<usize> {
    let output = home.keyfob()?.args(["--json", "list"]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).matches("smart-card").count())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The first of two neighbouring free ports: a virtual reader has two slots.
fn two_free_ports() -> Result<u16> {
    for _ in 0..100 {
        let first = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let port = first.local_addr()?.port();
        let Some(next) = port.checked_add(1) else { continue };
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, next)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no two neighbouring TCP ports are free")
}
