//! The extension, assembled in `target/extension` as a browser loads it.

use std::fs;

use anyhow::Result;

use crate::run::{self, command, copy_folder, target};
use crate::setup::{self, For};
use crate::wasm::{self, Flavour};

/// `cargo xtask build`.
pub(crate) fn build() -> Result<()> {
    setup::ensure(For::Build)?;
    host("dev")?;
    assemble()?;
    eprintln!("\nThe host: target/debug/keyfob\nThe extension: target/extension");
    Ok(())
}

/// Builds the program `keyfob`.
pub(crate) fn host(profile: &str) -> Result<()> {
    run::say("The host");
    run::visible(command("cargo build --package keyfob --profile").arg(profile))
}

/// Compiles the wasm and the TypeScript, and puts them beside the static files.
pub(crate) fn assemble() -> Result<()> {
    let modules = [Flavour::Extension, Flavour::Links, Flavour::Qr];
    for module in modules {
        wasm::build(module)?;
    }
    run::say("The extension");
    let folder = target().join("extension");
    // Nothing stale may be loaded by a browser.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for file in modules.iter().flat_map(|module| [module.script(), module.module()]) {
        fs::copy(&file, folder.join(file.file_name().unwrap_or_default()))?;
    }
    copy_folder("extension/static".as_ref(), &folder)?;
    run::visible(
        command("node extension/node_modules/typescript/bin/tsc --project extension --outDir").arg(&folder),
    )
}
