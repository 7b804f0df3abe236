//! `keyfob aws whoami`.

use clap::Args;
use keyfob_core::message::Failure;

use super::args::Global;

/// As it is typed.
#[derive(Debug, Args)]
pub(super) struct Options {}

pub(super) fn run(_global: &Global, _args: &Options) -> Result<(), Failure> {
    Err(crate::error::failure(keyfob_core::message::ErrorCode::Unsupported, "not yet", ""))
}
