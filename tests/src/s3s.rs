//! A real S3 server that verifies signatures: s3s-fs, on a folder and a port of its own.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::leash::Leash;
use crate::{poll, tool};

/// The server; ends, with its files, when dropped.
pub struct S3s {
    leash: Option<Leash>,
    folder: TempDir,
    port: u16,
}

impl S3s {
    /// Starts a server that knows one access key, with one empty bucket.
    ///
    /// # Errors
    ///
    /// If it is not installed or does not come up within half a minute.
    pub fn start(access_key_id: &str, secret_access_key: &str, bucket: &str) -> Result<Self> {
        Self::start_as(access_key_id, secret_access_key, bucket, None)
    }

    /// The same, for which the bucket stands before `domain` and the port.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_virtual_hosted(
        access_key_id: &str,
        secret_access_key: &str,
        bucket: &str,
        domain: &str,
    ) -> Result<Self> {
        Self::start_as(access_key_id, secret_access_key, bucket, Some(domain))
    }

    fn start_as(
        access_key_id: &str,
        secret_access_key: &str,
        bucket: &str,
        domain: Option<&str>,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("keyfob-s3-").tempdir()?;
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join(bucket))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = Command::new(tool("KEYFOB_S3S_FS")?);
        command
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            // It takes its key no other way; this one protects a temporary folder.
            .args(["--access-key", access_key_id, "--secret-key", secret_access_key])
            .args(domain.map(|domain| format!("--domain={domain}:{port}")))
            .arg(&root);
        let log = folder.path().join("log");
        let leash = Leash::start(&command, &log)?;
        let server = Self { leash: Some(leash), folder, port };
        poll("the S3 server", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
            .with_context(|| std::fs::read_to_string(log).unwrap_or_default())?;
        Ok(server)
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where an object's content lies.
    pub fn file(&self, bucket: &str, key: &str) -> PathBuf {
        self.folder.path().join("root").join(bucket).join(key)
    }

    /// Stores an object without asking the server.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn put(&self, bucket: &str, key: &str, content: &[u8]) -> Result<()> {
        let file = self.file(bucket, key);
        std::fs::create_dir_all(file.parent().unwrap_or_else(|| Path::new("/")))?;
        Ok(std::fs::write(file, content)?)
    }
}

impl Drop for S3s {
    fn drop(&mut self) {
        // Before its folder goes.
        drop(self.leash.take());
    }
}
