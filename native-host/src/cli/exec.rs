//! `keyfob exec`: runs a program with a profile's credentials in its environment.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use clap::Args;
use keyfob_core::message::{ErrorCode, Failure};

use super::args::Global;
use super::{output, profile};
use crate::error::failure;
use crate::session::child;

/// What a shell says of a program that is not there, and of one that cannot be run (POSIX, "Exit status for commands").
const NOT_FOUND: u8 = 127;
const NOT_RUN: u8 = 126;

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    #[command(flatten)]
    profile: profile::Options,
    /// Program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode, Failure> {
    let Some((program, arguments)) = options.command.split_first() else {
        return Err(failure(ErrorCode::InvalidInput, "there is no program to run", "name it behind --"));
    };
    let (profile, session) = options.profile.credentials(global)?;
    let mut command = Command::new(program);
    command.args(arguments);
    child::clear(&mut command, &profile);
    child::give(&mut command, &session)?;
    drop(session);
    let error = match replace(command) {
        Ok(code) => return Ok(code),
        Err(error) => error,
    };
    let is_missing = error.kind() == std::io::ErrorKind::NotFound;
    let message = if is_missing {
        format!("there is no program {}", program.display())
    } else {
        format!("cannot run {}: {error}", program.display())
    };
    output::failure(
        &failure(ErrorCode::Io, message, "see that it is spelled right, and in your PATH"),
        global.json,
    );
    Ok(ExitCode::from(if is_missing { NOT_FOUND } else { NOT_RUN }))
}

/// Becomes the program: it has the terminal, the signals and the parent that this one had.
#[cfg(unix)]
fn replace(mut command: Command) -> Result<ExitCode, std::io::Error> {
    use std::os::unix::process::CommandExt as _;

    crate::harden::end();
    Err(command.exec())
}

/// Windows replaces no program: it is waited for, and Ctrl-C goes to both.
#[cfg(not(unix))]
fn replace(mut command: Command) -> Result<ExitCode, std::io::Error> {
    let status = command.status()?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1) & 0xff).unwrap_or(1)))
}
