//! A real S3, IAM and STS server that verifies signatures of both versions and keeps versions of objects: Ceph's gateway,
//! on one monitor and one store in memory of its own, up within a second.
//!
//! Everything is in one temporary folder and on 127.0.0.1; nothing in `/etc/ceph` or `/var/lib/ceph` is read or written. Its
//! parts do not authenticate each other: what is in it are the test's objects only. There is no manager, for nothing here needs
//! its statistics.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use keyfob_core::sigv4::{AmzDate, DateKey, Payload, Query, SignableRequest, Signer};
use tempfile::TempDir;

use crate::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use crate::leash::Leash;
use crate::{http, poll};

/// The gateway and what is behind it; ends, with its files, when dropped.
pub struct Ceph {
    /// In the order in which they end: each talks to the next.
    parts: Vec<Leash>,
    folder: TempDir,
    port: u16,
}

const CLUSTER: &str = "e1a4bd0c-3e22-4dfb-a6b1-1d7a27a4d5b1";
const STORE: &str = "0c5d9a5e-7a0a-4b7c-8a43-2f6c6f4d8a11";

impl Ceph {
    /// The name before which the gateway looks for a bucket. Nobody resolves it: it is for the header Host.
    pub const DOMAIN: &'static str = "s3.test";

    /// Starts one, without users.
    ///
    /// # Errors
    ///
    /// If it is not installed, or does not come up within half a minute.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("keyfob-ceph-").tempdir()?;
        let (monitor, port) = two_free_ports()?;
        let mut server = Self { parts: Vec::new(), folder, port };
        for name in ["mon", "osd", "rgw"] {
            fs::create_dir(server.path().join(name))?;
        }
        fs::write(server.configuration(), configuration(server.path(), monitor, port))?;

        let map = server.path().join("monmap");
        let mut monmaptool = Command::new("monmaptool");
        monmaptool.args(["--create", "--fsid", CLUSTER, "--addv", "a", &address(monitor)]).arg(&map);
        run(&mut monmaptool)?;
        run(server
            .command("ceph-mon")
            .args(["--id", "a", "--mkfs", "--no-mon-config", "--monmap"])
            .arg(&map))?;
        run(server.command("ceph-osd").args([
            "--id",
            "0",
            "--mkfs",
            "--no-mon-config",
            "--osd-uuid",
            STORE,
        ]))?;
        server.part("ceph-mon", &["--id", "a"])?;
        run(server.command("ceph").args(["--connect-timeout", "30", "osd", "new", STORE, "0"]))
            .with_context(|| server.log("ceph-mon"))?;
        server.part("ceph-osd", &["--id", "0"])?;
        server.part("radosgw", &["--name", "client.rgw"])?;
        poll("Ceph's gateway", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
            .with_context(|| server.log("ceph-osd") + &server.log("radosgw"))?;
        Ok(server)
    }

    /// Starts one with the user `alice`, who may use IAM, has the access key of [`crate::identity`], and owns this bucket.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn with_bucket(bucket: &str) -> Result<Self> {
        let server = Self::start()?;
        server.add_user("alice", ACCESS_KEY_ID, SECRET_ACCESS_KEY, "user-policy=*")?;
        server.add_bucket(ACCESS_KEY_ID, SECRET_ACCESS_KEY, bucket)?;
        Ok(server)
    }

    /// Makes a user. `capabilities` are of the gateway's own, such as `user-policy=*` for whoever may use IAM.
    ///
    /// # Errors
    ///
    /// If the gateway does not take it.
    pub fn add_user(
        &self,
        name: &str,
        access_key_id: &str,
        secret_access_key: &str,
        capabilities: &str,
    ) -> Result<()> {
        let mut admin = self.command("radosgw-admin");
        admin
            .args(["--name", "client.rgw", "user", "create", "--uid", name, "--display-name", name])
            // It takes its key no other way; this one protects a temporary folder.
            .args(["--access-key", access_key_id, "--secret-key", secret_access_key])
            .args(["--caps", capabilities]);
        run(&mut admin)
    }

    /// Makes a user's bucket.
    ///
    /// # Errors
    ///
    /// If the gateway does not take it.
    pub fn add_bucket(&self, access_key_id: &str, secret_access_key: &str, bucket: &str) -> Result<()> {
        let date = AmzDate::from_unix(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        let (host, path) = (format!("127.0.0.1:{}", self.port), format!("/{bucket}"));
        let request = SignableRequest {
            method: "PUT",
            host: &host,
            path: &path,
            query: Query::Sent(""),
            headers: &[],
            payload: Payload::EMPTY,
        };
        let key = DateKey::from_secret(secret_access_key.as_bytes(), date).signing_key("default", "s3")?;
        let signed = Signer::new(access_key_id, None, "s3").sign(&request, &date, &key)?;
        let headers: Vec<_> = signed.headers().collect();
        let answer = http::send(self.port, "PUT", &(self.endpoint() + &path), &headers, b"")?;
        if answer.status != 200 {
            bail!("{bucket}: {} {}", answer.status, answer.text());
        }
        Ok(())
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What a part (`radosgw`, …) has printed.
    pub fn log(&self, part: &str) -> String {
        fs::read_to_string(self.path().join(part).with_extension("log")).unwrap_or_default()
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn configuration(&self) -> std::path::PathBuf {
        self.path().join("ceph.conf")
    }

    /// A program that reads this server's configuration and no other.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for name in ["CEPH_ARGS", "CEPH_CONF", "CEPH_KEYRING", "CEPH_LIB"] {
            command.env_remove(name);
        }
        command.arg("--conf").arg(self.configuration()).current_dir(self.path());
        command
    }

    fn part(&mut self, program: &str, args: &[&str]) -> Result<()> {
        let log = self.path().join(program).with_extension("log");
        let leash = Leash::start(self.command(program).args(args).arg("--foreground"), &log)?;
        self.parts.insert(0, leash);
        Ok(())
    }
}

impl Drop for Ceph {
    fn drop(&mut self) {
        // Before its folder goes.
        self.parts.drain(..).for_each(drop);
    }
}

/// Runs what must succeed.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output =
        output.with_context(|| format!("{program} is not installed: please run `cargo xtask test`"))?;
    if !output.status.success() {
        bail!("{program}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn address(port: u16) -> String {
    format!("[v2:127.0.0.1:{port}]")
}

/// For the smallest cluster there can be, whose monitor does not gather changes before it agrees with itself: its second's
/// pause for every pool is most of what a start takes otherwise. Nor does it end where the disk has 0 % left, rounded: its few
/// megabytes fit.
fn configuration(folder: &Path, monitor: u16, port: u16) -> String {
    let (folder, address, domain) = (folder.display(), address(monitor), Ceph::DOMAIN);
    format!(
        r"[global]
fsid = {CLUSTER}
mon host = {address}
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms bind ipv6 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = {folder}
crash dir = {folder}
admin socket =
log file =
log to stderr = true
err to stderr = true
mon cluster log file =
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = -1
paxos propose interval = 0.02
paxos min wait = 0.01

[mon.a]
mon data = {folder}/mon
public addr = {address}

[osd.0]
osd data = {folder}/osd
osd objectstore = memstore
osd uuid = {STORE}
osd fast shutdown notify mon = false

[client.rgw]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw dns name = {domain}
rgw s3 auth use sts = true
rgw sts key = 0123456789abcdef
"
    )
}

fn two_free_ports() -> Result<(u16, u16)> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok((first.local_addr()?.port(), second.local_addr()?.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_knows_its_users_and_leaves_nothing() {
        let server = Ceph::start().unwrap();
        server.add_user("alice", ACCESS_KEY_ID, "secret", "user-policy=*").unwrap();
        assert!(server.add_user("alice", "AKIAIOSFODNN7EXAMPLF", "other", "").is_err());
        let (folder, port) = (server.path().to_owned(), server.port());
        drop(server);
        assert!(!folder.exists() && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
