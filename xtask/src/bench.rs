//! Speed and size, side by side with peers in one run. A benchmark, never a timed test.

use anyhow::Result;

use crate::run::{self, command, target};
use crate::setup::{self, For};
use crate::wasm::{self, Flavour};
use crate::{extension, test};

/// `cargo xtask bench`.
pub(crate) fn run() -> Result<()> {
    setup::ensure(For::Bench)?;
    extension::host("release")?;
    extension::assemble()?;
    wasm::build(Flavour::Signer)?;
    // Compiled before anything is measured.
    run::visible(&mut command("cargo bench --package keyfob-tests --no-run"))?;

    run::say("Sizes");
    for (what, flavour) in [
        ("the extension's wasm", Flavour::Extension),
        ("links", Flavour::Links),
        ("QR codes", Flavour::Qr),
        ("with signer and software key", Flavour::Signer),
    ] {
        let wasm = flavour.module();
        let (raw, gzipped) = (std::fs::metadata(&wasm)?.len(), wasm::gzipped(&wasm)?);
        println!("  {what:<30}{raw:>8} bytes, {gzipped:>6} gzipped");
    }
    for (what, line) in [
        ("Presigning", "cargo bench --quiet --package keyfob-tests --bench presign"),
        ("Batches of links", "cargo bench --quiet --package keyfob-tests --bench batch"),
        ("Signing", "cargo bench --quiet --package keyfob-tests --bench sign"),
        ("Whole processes", "cargo bench --quiet --package keyfob-tests --bench processes"),
        ("Credentials for other programs", "cargo bench --quiet --package keyfob-tests --bench credentials"),
        ("Presigning in wasm", "node tests/benches/wasm.js"),
        ("The extension", "node tests/benches/extension.js"),
    ] {
        run::say(what);
        let mut bench = command(line);
        test::environment(&mut bench);
        run::visible(bench.env("KEYFOB_BIN", target().join("release/keyfob")))?;
    }
    Ok(())
}
