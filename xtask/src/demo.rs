//! The main job, shown: see `tests/src/bin/demo.rs` for what it does.

use std::time::Instant;

use anyhow::Result;

use crate::run::{self, command};
use crate::setup::{self, For};
use crate::{extension, test};

/// `cargo xtask demo`.
pub(crate) fn run(headless: bool) -> Result<()> {
    let start = Instant::now();
    setup::ensure(For::Demo)?;
    extension::host("dev")?;
    extension::assemble()?;
    run::say("The demonstration");
    let mut demo = command("cargo run --quiet --package keyfob-tests --bin demo --");
    test::environment(&mut demo);
    if headless {
        demo.arg("--headless");
    }
    run::visible(&mut demo)?;
    eprintln!("(all of it took {} s)", start.elapsed().as_secs());
    Ok(())
}
