//! Files that are generated from Rust. The tests that find them stale also write them.

use anyhow::Result;

use crate::run::{self, command};
use crate::setup::{self, For};

/// `cargo xtask generate`.
pub(crate) fn run() -> Result<()> {
    setup::ensure(For::Build)?;
    run::visible(command("cargo test --quiet --package keyfob-core").env("KEYFOB_UPDATE", "1"))
}
