//! `cargo xtask COMMAND`: everything that building, showing and testing Keyfob takes, from a fresh machine.

mod bench;
mod demo;
mod dist;
mod extension;
mod fuzz;
mod generate;
mod run;
mod setup;
mod test;
mod wasm;

use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  build               the host, the wasm, and the extension in target/extension
  demo [--headless]   the main job on a software key: code in the page, presigned link, pictures in target/demo
  test                everything that must hold, from formatting to real browsers
  fuzz [TARGET…] [--seconds N] [--keep]
                      hostile bytes for every parser; see fuzz/README.md
  bench               speed and size, side by side with peers
  dist [--check]      the stores' packages in target/dist; --check: another checkout gives the same bytes
  generate            rewrite the files that are generated from Rust (a test fails when they are stale)

Each installs what it needs first, says what and why, and does nothing twice.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[&str]) -> Result<()> {
    // Every path below is relative to the repository.
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
    match args {
        ["build"] => extension::build(),
        ["demo"] => demo::run(!has_display()),
        ["demo", "--headless"] => demo::run(true),
        ["test"] => test::run(),
        ["fuzz", args @ ..] => fuzz::run(args),
        ["bench"] => bench::run(),
        ["dist"] => dist::run(false),
        ["dist", "--check"] => dist::run(true),
        ["generate"] => generate::run(),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => anyhow::bail!("no such command: {}\n\n{USAGE}", args.join(" ")),
    }
}

fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()))
}
