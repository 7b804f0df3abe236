//! What every front end sets up: the environment read once, the service, and who answers its questions.

use std::ffi::OsString;
use std::fs::File;

use keyfob_core::message::Failure;

use crate::config::Config;
use crate::error::{Refusal, failure};
use crate::key::{AskPassphrase, Keys, ServedCard, SoftKeys};
use crate::passwords::Passwords;
use crate::paths::Paths;
use crate::policy::Caller;
use crate::prompt::{self, PromptError};
use crate::service::{AskPassword, Service};
use crate::soft;

/// Who answers when a password is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// The person at the terminal.
    Terminal,
    /// Nobody: the front end unlocks by a request of its own.
    Nobody,
}

/// An environment variable of the process.
#[must_use]
pub fn env(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The service for a caller, as configuration and environment say.
///
/// # Errors
/// What is wrong with them.
pub fn service(caller: Caller, asking: Asking) -> Result<Service, Failure> {
    let paths = paths()?;
    let config =
        Config::load(&paths.config_file(), env).map_err(|error| failure(error.code(), &error, ""))?;
    let keys = Keys::new(soft_keys(&paths, asking));
    let ask: AskPassword = match asking {
        Asking::Terminal => {
            Box::new(|what| match prompt::typed_secret(what) {
                // Only a person knows it, and the prompt's own hint speaks of software keys.
                Err(error @ PromptError::NoTerminal(_)) => Err(failure(
                    error.code(),
                    format!("the key is locked with a password: {error}"),
                    "run it in a terminal",
                )),
                secret => secret.map(Some).map_err(|error| prompt_failure(&error)),
            })
        }
        Asking::Nobody => Box::new(|_| Ok(None)),
    };
    Ok(Service::new(keys, config, caller, ask, Passwords::new(paths.passwords())))
}

/// Standard input, past the buffer of [`std::io::stdin`]: that is never erased, and takes more than it is asked for.
///
/// # Errors
/// If there is none.
pub fn unbuffered_stdin() -> std::io::Result<File> {
    #[cfg(unix)]
    let handle = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned();
    #[cfg(windows)]
    let handle = std::os::windows::io::AsHandle::as_handle(&std::io::stdin()).try_clone_to_owned();
    handle.map(File::from)
}

/// The files of the software keys.
///
/// # Errors
/// If there is no folder for them.
pub fn soft_files() -> Result<soft::SoftKeys, Failure> {
    Ok(soft::SoftKeys::new(paths()?.soft_keys()))
}

/// A software key as a card.
///
/// # Errors
/// What keeps it from being opened.
pub fn served_card(name: &str) -> Result<ServedCard, Failure> {
    soft_keys(&paths()?, Asking::Terminal).card(name).map_err(|error| Refusal::from(error).0)
}

fn paths() -> Result<Paths, Failure> {
    Paths::resolve(env).map_err(|error| failure(error.code(), &error, ""))
}

fn soft_keys(paths: &Paths, asking: Asking) -> SoftKeys {
    let ask: AskPassphrase = Box::new(move |name| {
        let what = format!("the passphrase of the software key {name}");
        let mut warn = |text: &str| eprintln!("{}", prompt::printable(text));
        match asking {
            Asking::Terminal => prompt::passphrase(&what, env, &mut warn).map(Some),
            Asking::Nobody => prompt::passphrase_file(&what, env, &mut warn),
        }
        .map_err(|error| prompt_failure(&error))
    });
    SoftKeys::new(soft::SoftKeys::new(paths.soft_keys()), ask)
}

/// A prompt's error as the protocol says it.
#[must_use]
pub fn prompt_failure(error: &PromptError) -> Failure {
    failure(error.code(), error, error.hint().unwrap_or_default())
}
