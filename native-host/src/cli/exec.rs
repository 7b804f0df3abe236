//! `keyfob exec`: runs a program with a profile's credentials in its environment.

use std::ffi::{OsStr, OsString};
use std::process::{Command, ExitCode, ExitStatus};

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
    match replace(command) {
        Ok(code) => Ok(code),
        Err(error) => Ok(not_run(program, &error, global.json)),
    }
}

/// Says why a program was not run, and gives the exit code for it.
fn not_run(program: &OsStr, error: &std::io::Error, json: bool) -> ExitCode {
    let is_missing = error.kind() == std::io::ErrorKind::NotFound;
    let message = if is_missing {
        format!("there is no program {}", program.display())
    } else {
        format!("cannot run {}: {error}", program.display())
    };
    output::failure(&failure(ErrorCode::Io, message, "see that it is spelled right, and in your PATH"), json);
    ExitCode::from(if is_missing { NOT_FOUND } else { NOT_RUN })
}

/// Becomes the program: it has the terminal, the signals and the parent that this one had.
#[cfg(unix)]
fn replace(mut command: Command) -> Result<ExitCode, std::io::Error> {
    use std::os::unix::process::CommandExt as _;

    crate::harden::end();
    Err(command.exec())
}

/// Windows replaces no program: it is waited for.
#[cfg(not(unix))]
fn replace(mut command: Command) -> Result<ExitCode, std::io::Error> {
    let mut child = command.spawn()?;
    leave_to_child();
    child.wait().map(code_of)
}

/// Ctrl-C goes to both, and the child says what comes of it.
#[cfg(not(unix))]
fn leave_to_child() {
    // Where it cannot be had, this process ends first, and the child goes on.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGINT, std::sync::Arc::default());
}

/// Runs a program beside this one, which passes on what tells it to end, and ends as it does.
pub(super) fn run_child(mut command: Command, program: &OsStr, json: bool) -> Result<ExitCode, Failure> {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(not_run(program, &error, json)),
    };
    #[cfg(unix)]
    pass_on(child.id());
    #[cfg(not(unix))]
    leave_to_child();
    let status = child.wait().map_err(|error| {
        failure(ErrorCode::Io, format!("cannot wait for {}: {error}", program.display()), "")
    })?;
    Ok(code_of(status))
}

/// As a shell tells it: of a program that a signal has ended, 128 and the signal.
fn code_of(status: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    let code = status.code().or(signal.map(|signal| 128 + signal)).unwrap_or(1);
    // Where a code has more bits than fit, it is a failure all the same.
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Passes signals on to a child. What is typed on a terminal goes to the child by itself.
#[cfg(unix)]
fn pass_on(child: u32) {
    use rustix::process::{Pid, Signal, getpgrp, kill_process};
    use signal_hook::consts::SIGINT;

    crate::signals::take();
    let Ok(mut signals) = signal_hook::iterator::Signals::new(crate::signals::ending()) else { return };
    let Some(child) = i32::try_from(child).ok().and_then(Pid::from_raw) else { return };
    std::thread::spawn(move || {
        let is_in_front = || {
            let terminal = std::fs::File::open("/dev/tty").ok();
            terminal.and_then(|terminal| rustix::termios::tcgetpgrp(terminal).ok()) == Some(getpgrp())
        };
        for signal in signals.forever() {
            if signal == SIGINT && is_in_front() {
                continue;
            }
            if let Some(signal) = Signal::from_named_raw(signal) {
                let _ = kill_process(child, signal);
            }
        }
    });
}
