//! Speed and size, side by side with peers in one run. A benchmark, never a timed test.

use anyhow::Result;

use crate::run::{self, command};
use crate::setup::{self, For};
use crate::wasm::{self, Flavour};
use crate::{extension, test};

/// `cargo xtask bench`.
pub(crate) fn run() -> Result<()> {
    setup::ensure(For::Bench)?;
    extension::host("release")?;
    wasm::build(Flavour::Extension)?;
    wasm::build(Flavour::Signer)?;
    for flavour in [Flavour::Extension, Flavour::Signer] {
        let wasm = flavour.folder().join("keyfob_core_bg.wasm");
        let (raw, gzipped) = (std::fs::metadata(&wasm)?.len(), wasm::gzipped(&wasm)?);
        println!("{}: {raw} bytes, {gzipped} gzipped", wasm.display());
    }
    run::say("Presigning, against aws-sigv4, rusty-s3 and botocore");
    let mut bench = command("cargo bench --package keyfob-tests --bench presign");
    test::environment(&mut bench);
    run::visible(&mut bench)?;
    run::say("Presigning in wasm, against aws4fetch and the AWS SDK for JavaScript");
    let mut bench = command("node tests/benches/presign.js");
    // What the SDK says of this Node is none of the result.
    test::environment(bench.env("NODE_NO_WARNINGS", "1"));
    run::visible(&mut bench)
}
