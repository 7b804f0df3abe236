//! The command line: parses arguments, asks the service, prints.
//!
//! Data goes to stdout, talk to stderr. Secrets come by prompt or stdin, never by argument: other users of the
//! machine see those.

mod args;
mod commands;
mod output;
mod time;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::exit::Exit;

/// Runs the command line and says how the process ends.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    let parsed = match args::Cli::try_parse_from(args) {
        Ok(parsed) => parsed,
        Err(error) => {
            // A closed pipe is all that can go wrong here.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok.into(),
                _ => Exit::Usage.into(),
            };
        }
    };
    let json = parsed.global.json;
    match commands::run(parsed) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            output::failure(&failure, json);
            Exit::from(failure.code).into()
        }
    }
}
