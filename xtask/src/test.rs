//! Everything that must hold: form, lints, unit tests, vectors in wasm, and the whole on real parts.

use std::fs;
use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{self, command, find, target};
use crate::setup::{self, For};
use crate::wasm::{self, Flavour};
use crate::{dist, extension, fuzz};

/// `cargo xtask test`.
pub(crate) fn run() -> Result<()> {
    setup::ensure(For::Test)?;
    extension::host("dev")?;
    extension::assemble()?;
    wasm::build(Flavour::Signer)?;

    let mut failed = Vec::new();
    // Tests install the packages.
    if let Err(error) = dist::check() {
        eprintln!("{error:#}");
        failed.push("Packages");
    }
    // A browser that hangs fails its file, and not the whole run.
    let node = "node --test --test-timeout=900000";
    // The largest, which has both browsers do several things at once, has them for itself.
    let (corpus, others): (Vec<_>, Vec<_>) =
        javascript_tests()?.into_iter().partition(|file| file.ends_with("corpus.test.js"));
    // Most of the time they wait, to see that nothing happens.
    let others = format!("{node} --test-concurrency=3 {}", others.join(" "));
    let corpus = format!("{node} {}", corpus.join(" "));
    let javascript = [
        ("JavaScript: the corpus of sign-in pages, in both browsers", corpus.as_str()),
        ("JavaScript: the wasm's vectors, the extension in both browsers", others.as_str()),
    ];
    for (what, line) in STEPS.iter().chain(&javascript) {
        run::say(what);
        let mut step = command(line);
        environment(&mut step);
        if let Err(error) = run::visible(&mut step) {
            eprintln!("{error:#}");
            failed.push(*what);
        }
    }
    if let Err(error) = fuzz::run(&[]) {
        eprintln!("{error:#}");
        failed.push("Fuzzing");
    }
    if !failed.is_empty() {
        bail!("these failed: {}", failed.join("; "));
    }
    eprintln!("\nAll of it passed.");
    Ok(())
}

// The test runners last: their closing lines are what a reader looks for. One after another, all of them, so that one
// run tells everything that is wrong.
const STEPS: &[(&str, &str)] = &[
    ("Formatting", "cargo fmt --all --check"),
    ("Lints", "cargo clippy --quiet --workspace --all-targets -- --deny warnings"),
    ("Formatting of the fuzz targets", "cargo fmt --manifest-path fuzz/Cargo.toml --check"),
    (
        "Lints of the fuzz targets",
        "cargo clippy --quiet --manifest-path fuzz/Cargo.toml --target-dir target/fuzz/lint -- --deny warnings",
    ),
    ("Rust: units, vectors, PC/SC, S3", "cargo test --workspace --no-fail-fast"),
];

/// Named one by one: what `node --test` makes of folders and globs differs between its versions.
fn javascript_tests() -> Result<Vec<String>> {
    let mut files = Vec::new();
    for folder in ["tests/wasm", "tests/browser", "extension/test"] {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry?.path().to_string_lossy().into_owned();
            if path.ends_with(".test.js") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Tells the tests where everything is, and keeps them away from what is the user's.
pub(crate) fn environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if ["AWS_", "KEYFOB_", "XDG_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    let target = target();
    command
        .env("KEYFOB_BIN", target.join("debug/keyfob"))
        .env("KEYFOB_PYTHON", target.join("venv/bin/python"))
        .env("KEYFOB_YKMAN", target.join("venv/bin/ykman"))
        .env("KEYFOB_AWS", setup::aws())
        .env("KEYFOB_S3S_FS", target.join("tools/bin/s3s-fs"))
        .env("KEYFOB_EXTENSION", target.join("extension"))
        .env("KEYFOB_PACKAGES", target.join("dist"))
        .env("KEYFOB_WASM", Flavour::Signer.folder())
        .env("KEYFOB_PICTURES", target.join("pictures"))
        .env("KEYFOB_CHROMIUM", find("chromium").unwrap_or_default())
        .env("KEYFOB_FIREFOX", find("firefox-esr").or_else(|| find("firefox")).unwrap_or_default())
        // Whoever forgets to name a PC/SC service of his own finds none: never the machine's, with somebody's key.
        .env("PCSCLITE_CSOCK_NAME", target.join("no-pcscd-here"));
}
