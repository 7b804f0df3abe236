//! `keyfob serve`: hands a profile's credentials to programs that ask a container's endpoint.

use std::process::ExitCode;

use clap::Args;
use keyfob_core::message::Failure;

use super::args::Global;

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    /// Profile of the AWS config file
    #[arg(add = super::complete::profiles())]
    pub(super) profile: String,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode, Failure> {
    let _ = (global, options);
    todo!()
}
