//! Who signs: the access key on the key, or temporary credentials that are given.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use clap::Args;
use keyfob_core::message::{Answer, ErrorCode, Failure, Op, SignatureVersion};
use zeroize::Zeroizing;

use super::client::Client;
use super::commands::unexpected;
use super::complete;
use crate::error::failure;
use crate::front;
use crate::prompt;
use crate::signing::{Ask, Credentials, Session, only_identity};

/// More than any credentials are, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// Who signs, as it is typed.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
pub(super) struct Options {
    /// Which access key signs; needed when the key holds several
    #[arg(long, value_name = "ACCESS_KEY_ID", add = complete::identities())]
    pub(super) identity: Option<String>,
    /// Sign with temporary credentials rather than with the key: the JSON of a credential_process or of `aws sts …` in a
    /// file, - for stdin, env for the environment (AWS_ACCESS_KEY_ID, …)
    #[arg(long, value_name = "FILE|-|env", conflicts_with = "identity")]
    pub(super) credentials: Option<String>,
}

impl Ask for Client<'_> {
    fn ask(&mut self, op: Op) -> Result<Answer, Failure> {
        Client::ask(self, op)
    }
}

impl Options {
    /// Whether they are read from stdin, which then has nothing else.
    #[allow(clippy::wrong_self_convention, reason = "a question, no conversion")]
    pub(super) fn from_stdin(&self) -> bool {
        self.credentials.as_deref() == Some("-")
    }

    /// The credentials: those that are given, or the access key that is named, or the only one that can sign so.
    pub(super) fn resolve(
        &self,
        client: &mut Client<'_>,
        signature: SignatureVersion,
    ) -> Result<Credentials, Failure> {
        if let Some(given) = &self.credentials {
            let env = |name: &str| std::env::var(name).ok();
            let session = match given.as_str() {
                "env" => Session::from_env(env)?,
                "-" => from("stdin", Session::parse(&read(Path::new("-"), &mut |_| ())?))?,
                path => from(path, Session::parse(&read(Path::new(path), &mut |text| client.note(text))?))?,
            };
            return Ok(Credentials::Session(session));
        }
        let access_key_id = match &self.identity {
            Some(identity) => identity.clone(),
            None => match client.ask(Op::Identities {})? {
                Answer::Identities { identities, .. } => only_identity(identities, signature)?,
                other => return unexpected(other),
            },
        };
        Ok(Credentials::Key { access_key_id })
    }
}

/// Says of what is wrong with credentials where they are from.
fn from(place: &str, session: Result<Session, Failure>) -> Result<Session, Failure> {
    session.map_err(|error| Failure { message: format!("{place}: {}", error.message), ..error })
}

fn read(path: &Path, warn: &mut dyn FnMut(&str)) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    let is_stdin = path == Path::new("-");
    let file = if is_stdin { front::unbuffered_stdin() } else { File::open(path) };
    let read = file.and_then(|file| {
        if !is_stdin {
            prompt::warn_if_exposed(path, &file, warn);
        }
        file.take(MAX_FILE).read_to_end(&mut bytes)
    });
    read.map_err(|error| {
        failure(
            ErrorCode::Io,
            format!("cannot read the credentials from {}: {error}", path.display()),
            "name another file",
        )
    })?;
    Ok(bytes)
}
