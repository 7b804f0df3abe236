//! Files that are generated from Rust: TypeScript types and tables, examples of the protocol, the command line's reference. The
//! tests that find them stale also write them.

use anyhow::Result;

use crate::run::{self, command};
use crate::setup::{self, For};

/// `cargo xtask generate`.
pub(crate) fn run() -> Result<()> {
    setup::ensure(For::Build)?;
    let mut tests = command(
        "cargo test --quiet --package keyfob-core --lib --test protocol --package keyfob --test cli_reference",
    );
    run::visible(tests.env("KEYFOB_UPDATE", "1"))
}
