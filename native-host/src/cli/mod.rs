//! The command line: parses arguments, asks the service, prints.
//!
//! Data goes to stdout, talk to stderr. Secrets come by prompt or stdin, never by argument: other users of the
//! machine see those.

mod args;
mod aws_import;
mod aws_setup;
mod batch;
mod batch_line;
mod caller;
mod client;
mod clip;
mod commands;
mod complete;
mod copies;
mod credential_process;
mod credentials;
mod doctor;
mod enroll;
mod environment;
mod exec;
mod login;
mod output;
mod place;
mod presign;
mod presign_post;
mod profile;
mod resync;
mod rotate;
mod serve;
mod sessions;
mod sign;
pub(crate) mod time;
mod upload;
mod watch;
mod whoami;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};
use keyfob_core::message::{ErrorCode, Failure};

use crate::error::failure;
use crate::exit::Exit;

/// Runs the command line and says how the process ends.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    let wants_json = args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json");
    let parsed = match parse(args) {
        Ok(parsed) => parsed,
        Err(error) => {
            let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            if wants_json && !help {
                output::failure(&wrong_usage(&error), true);
            } else {
                // A closed pipe is all that can go wrong here.
                let _ = error.print();
            }
            return if help { Exit::Ok.into() } else { Exit::Usage.into() };
        }
    };
    let json = parsed.global.json;
    match commands::run(parsed) {
        Ok(code) => code,
        Err(failure) => {
            output::failure(&failure, json);
            Exit::from(failure.code).into()
        }
    }
}

fn parse(args: Vec<OsString>) -> Result<args::Cli, clap::Error> {
    let matches = args::Cli::command().try_get_matches_from(args)?;
    let mut cli = args::Cli::from_arg_matches(&matches)?;
    cli.global.key_is_typed = matches.value_source("key") == Some(ValueSource::CommandLine);
    Ok(cli)
}

/// What clap says of a command line, without its usage and its advice.
fn wrong_usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let lines: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let message = lines.join(" ");
    failure(
        ErrorCode::InvalidInput,
        message.strip_prefix("error: ").unwrap_or(&message),
        "`keyfob --help` says what can be given",
    )
}
