//! `keyfob login`: signs in to the AWS console with a role's session.

use clap::Args;
use keyfob_core::message::Failure;

use super::args::Global;
use crate::exit::Exit;

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    /// Profile of the AWS config file
    #[arg(add = super::complete::profiles())]
    pub(super) profile: String,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let _ = (global, options);
    todo!()
}
