//! `keyfob aws rotate`: replaces an access key by a new one, on every key that holds it.

use clap::Args;
use keyfob_core::message::Failure;

use super::args::Global;
use crate::exit::Exit;

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {}

pub(super) fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let _ = (global, options);
    todo!()
}
