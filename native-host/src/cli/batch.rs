//! `keyfob presign --stdin` and `--recursive`: many links, one touch.

use clap::Args;
use keyfob_core::message::Failure;

use super::args::Global;
use super::presign;

/// A batch, as it is typed.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Links for what stdin names, one a line
    #[arg(long)]
    pub(super) stdin: bool,
}

impl Options {
    /// Whether it is one.
    pub(super) fn is_batch(&self) -> bool {
        self.stdin
    }
}

pub(super) fn run(_global: &Global, _args: &presign::Options) -> Result<(), Failure> {
    Err(crate::error::failure(keyfob_core::message::ErrorCode::Unsupported, "not yet", ""))
}
