//! The main job, shown: `tests/browser/demo.js` does it, here is what it takes.

use std::time::Instant;

use anyhow::Result;

use crate::run::{self, command, target};
use crate::setup::{self, For};
use crate::{extension, test};

/// `cargo xtask demo`.
pub(crate) fn run(headless: bool) -> Result<()> {
    let start = Instant::now();
    setup::ensure(For::Demo)?;
    extension::host("dev")?;
    extension::assemble()?;
    run::say("The demonstration");
    let mut demo = command("node tests/browser/demo.js");
    test::environment(&mut demo);
    demo.arg(target().join("demo"));
    if headless {
        demo.arg("--headless");
    }
    run::visible(&mut demo)?;
    eprintln!("\nAll of it took {} s.", start.elapsed().as_secs());
    Ok(())
}
