//! STS and IAM that verify signatures and policies: moto's server, on a port of its own.
//!
//! It accepts what has no right signature until it is told not to (`reset-auth`); until then its users are made.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use keyfob::aws_call::xml_text;
use tempfile::TempDir;

use crate::leash::Leash;
use crate::{http, poll, tool};

/// The server; ends, with all that it knows, when dropped.
pub struct Moto {
    leash: Option<Leash>,
    folder: TempDir,
    port: u16,
    users: Vec<User>,
}

/// A user of IAM.
#[derive(Debug, Clone)]
pub struct User {
    /// The name: the ARN is `arn:aws:iam::123456789012:user/NAME`.
    pub name: String,
    /// `AKIA…`, of the only access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

impl Moto {
    /// The number of the only account.
    pub const ACCOUNT: &'static str = "123456789012";

    /// Starts a server that knows these users, each with the actions that are allowed for them (`iam:*`), and refuses
    /// everything else.
    ///
    /// # Errors
    ///
    /// If it is not installed, or does not come up within half a minute.
    pub fn start(users: &[(&str, &[&str])]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("keyfob-moto-").tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = Command::new(tool("KEYFOB_PYTHON")?);
        command
            .args(["-m", "moto.server", "--host", "127.0.0.1", "--port", &port.to_string()])
            .env("HOME", folder.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(folder.path());
        for (name, _) in std::env::vars_os() {
            if ["AWS_", "MOTO_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        let log = folder.path().join("log");
        let leash = Leash::start(&command, &log)?;
        let mut server = Self { leash: Some(leash), folder, port, users: Vec::new() };
        poll("moto", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
            .with_context(|| server.log())?;
        for (name, actions) in users {
            let user = server.add_user(name, actions).with_context(|| server.log())?;
            server.users.push(user);
        }
        let plain = [("content-type", "text/plain")];
        let url = format!("{}/moto-api/reset-auth", server.endpoint());
        let answer = http::send(port, "POST", &url, &plain, b"0")?;
        ensure!(answer.status == 200, "moto verifies nothing: {}", answer.text());
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The users, in the order in which they were named.
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// What it has to say.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn add_user(&self, name: &str, actions: &[&str]) -> Result<User> {
        self.iam(&format!("Action=CreateUser&UserName={name}"))?;
        let policy = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }],
        });
        // Nothing in it but what stands for itself in a form, and these.
        let escape = |c: char| match c {
            '"' | '{' | '}' | '[' | ']' | ':' | ',' | '*' => format!("%{:02X}", u32::from(c)),
            c => c.to_string(),
        };
        let policy: String = policy.to_string().chars().map(escape).collect();
        self.iam(&format!("Action=PutUserPolicy&UserName={name}&PolicyName=p&PolicyDocument={policy}"))?;
        let made = self.iam(&format!("Action=CreateAccessKey&UserName={name}"))?;
        let part = |element| xml_text(&made, element).with_context(|| format!("no {element}: {made}"));
        Ok(User {
            name: name.to_owned(),
            access_key_id: part("AccessKeyId")?,
            secret_access_key: part("SecretAccessKey")?,
        })
    }

    /// A call that nobody has signed.
    fn iam(&self, form: &str) -> Result<String> {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            // It finds the service in it.
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=x",
            ),
        ];
        let body = format!("{form}&Version=2010-05-08");
        let answer = http::send(self.port, "POST", &self.endpoint(), &headers, body.as_bytes())?;
        ensure!(answer.status == 200, "{form}: {}", answer.text());
        Ok(answer.text())
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Before its folder goes.
        drop(self.leash.take());
    }
}
