//! `bindgen NAME.wasm OUT_DIR`: writes `NAME.js`, `NAME.d.ts` and `NAME_bg.wasm`.
//!
//! The library in place of the `wasm-bindgen` program: the glue must be of exactly the version of the
//! `wasm-bindgen` crate, and here one lock file holds both. A package of its own, so that `cargo xtask`
//! starts without waiting for it.

use std::path::PathBuf;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(wasm), Some(out), None) = (args.next(), args.next(), args.next()) else {
        anyhow::bail!("usage: bindgen NAME.wasm OUT_DIR");
    };
    let name = wasm.file_stem().and_then(|name| name.to_str()).context("the wasm has no name")?;
    wasm_bindgen_cli_support::Bindgen::new()
        .input_path(&wasm)
        .out_name(name)
        .web(true)?
        .typescript(true)
        // The extension and the tests say themselves where the wasm lies.
        .omit_default_module_path(true)
        .remove_producers_section(true)
        .generate(&out)
        .with_context(|| format!("cannot make the glue for {}", wasm.display()))
}
