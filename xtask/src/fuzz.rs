//! The fuzz targets of `fuzz/`: built with the compiler's own coverage instrumentation, run two at a time, and their
//! corpus kept. What `cargo fuzz` does, on a stable toolchain: the address sanitizer alone would want another.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::run::{self, command, target};
use crate::setup::{self, For};

/// Edges counted where they are, comparisons told to the fuzzer: what libFuzzer wants from LLVM's SanitizerCoverage.
const RUSTFLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

/// How long each target runs unless told otherwise, in seconds.
pub(crate) const SECONDS: u32 = 60;

/// How many run side by side.
const AT_ONCE: usize = 2;

/// An input that takes longer, in seconds, is a failure: an endless loop.
const TIMEOUT: u32 = 20;

/// Largest memory of a target, in MiB.
const MEMORY: u32 = 2048;

/// `cargo xtask fuzz [TARGET…] [--seconds N] [--keep]`, or a target and files to run once.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let all = targets()?;
    let (mut seconds, mut keep, mut chosen, mut files) = (SECONDS, false, Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(&arg) = args.next() {
        match arg {
            "--seconds" => {
                let number = args.next().context("--seconds wants a number")?;
                seconds = number.parse().with_context(|| format!("{number:?} is no number of seconds"))?;
            }
            "--keep" => keep = true,
            name if all.iter().any(|target| target == name) => chosen.push(name.to_owned()),
            file if Path::new(file).is_file() => files.push(file),
            other => bail!("no such target: {other}; there are {}", all.join(", ")),
        }
    }
    setup::ensure(For::Fuzz)?;
    let folder = build()?;
    match (&chosen[..], &files[..]) {
        (_, []) => fuzz(&folder, if chosen.is_empty() { &all } else { &chosen }, seconds, keep),
        ([name], files) => run::visible(Command::new(folder.join(name)).args(options()).args(files)),
        _ => bail!("files are run by one target: name it"),
    }
}

/// The targets' names: one source file each.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir("fuzz/targets").context("cannot read fuzz/targets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Builds all targets. The folder that they are in.
fn build() -> Result<PathBuf> {
    run::say("The fuzz targets");
    let version = run::output(&mut command("rustc -vV")).context("`rustc -vV` says nothing")?;
    let triple = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc has no host")?;
    // With a triple the flags are not for build scripts and macros; with a folder of its own nothing else is rebuilt.
    let mut cargo = command("cargo build --release --manifest-path fuzz/Cargo.toml --target-dir target/fuzz");
    cargo.args(["--target", triple]).env("RUSTFLAGS", RUSTFLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS");
    run::visible(&mut cargo)?;
    Ok(target().join("fuzz").join(triple).join("release"))
}

fn options() -> [String; 2] {
    [format!("-timeout={TIMEOUT}"), format!("-rss_limit_mb={MEMORY}")]
}

/// Runs every one of `names` for `seconds`, and tells what came of it. With `keep`, what was found that is new is added to
/// the corpus in the repository.
fn fuzz(folder: &Path, names: &[String], seconds: u32, keep: bool) -> Result<()> {
    run::say(&format!("Fuzzing: {} targets for {seconds} s each, {AT_ONCE} at a time", names.len()));
    let waiting = Mutex::new(names.iter());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(names.len()) {
            scope.spawn(|| {
                loop {
                    let Some(name) = waiting.lock().ok().and_then(|mut names| names.next()) else { return };
                    let result = one(&folder.join(name), name, seconds).and_then(|summary| {
                        eprintln!("  {name:<20}{summary}");
                        if keep { collect(&folder.join(name), name) } else { Ok(()) }
                    });
                    if let Err(error) = result {
                        eprintln!("  {name:<20}FAILED\n{error:#}");
                        failed.lock().into_iter().for_each(|mut failed| failed.push(name.as_str()));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    if !failed.is_empty() {
        bail!("these targets failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Where what a target found is kept between runs of this machine.
fn found(name: &str) -> PathBuf {
    target().join("fuzz/corpus").join(name)
}

/// Where what is kept for everybody is.
fn kept(name: &str) -> PathBuf {
    Path::new("fuzz/corpus").join(name)
}

/// One target. What it did, in a line.
fn one(program: &Path, name: &str, seconds: u32) -> Result<String> {
    let artifacts = target().join("fuzz/artifacts").join(name);
    let log = target().join("fuzz/logs").join(format!("{name}.log"));
    for folder in [&artifacts, &found(name), &kept(name)] {
        fs::create_dir_all(folder)?;
    }
    let output = run::create(&log)?;
    let mut fuzzer = fuzzer(program, &output)?;
    let dictionary = Path::new("fuzz/dictionaries").join(format!("{name}.dict"));
    if dictionary.exists() {
        fuzzer.arg(format!("-dict={}", dictionary.display()));
    }
    fuzzer
        .arg(format!("-max_total_time={seconds}"))
        .arg("-print_final_stats=1")
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        // New inputs go to the first.
        .args([found(name), kept(name)]);
    let status = fuzzer.status().with_context(|| format!("cannot start `{}`", run::shown(&fuzzer)))?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if !status.success() {
        bail!("{}", failure(name, &text, &log));
    }
    let value = |key: &str| {
        text.lines().rev().find_map(|line| line.strip_prefix(key)).unwrap_or("?").trim().to_owned()
    };
    let last = |key: &str| {
        let mut words =
            text.lines().rev().find(|line| line.contains(key)).unwrap_or_default().split_whitespace();
        words.find(|word| *word == key).and_then(|_| words.next()).unwrap_or("?").to_owned()
    };
    Ok(format!(
        "{:>10} inputs, {:>7} a second, {:>6} edges, {:>5} MiB",
        value("stat::number_of_executed_units:"),
        value("stat::average_exec_per_sec:"),
        last("cov:"),
        value("stat::peak_rss_mb:"),
    ))
}

fn fuzzer(program: &Path, output: &File) -> Result<Command> {
    let mut fuzzer = Command::new(program);
    fuzzer.args(options()).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
    Ok(fuzzer)
}

/// What went wrong, and how to see it again.
fn failure(name: &str, text: &str, log: &Path) -> String {
    // A panic's message, or what libFuzzer found: an endless loop, too much memory.
    let told =
        text.lines().skip_while(|line| !line.contains("panicked at") && !line.contains("ERROR: libFuzzer"));
    let told = told.take_while(|line| !line.starts_with("stack backtrace")).take(8);
    let mut lines: Vec<String> = told.map(|line| format!("    {line}\n")).collect();
    if lines.is_empty() {
        lines = text.lines().rev().take(8).map(|line| format!("    {line}\n")).collect();
        lines.reverse();
    }
    let mut told = format!("{}    all of it:  {}", lines.concat(), log.display());
    let artifact = text.lines().rev().find_map(|line| line.split_once("Test unit written to "));
    if let Some((_, file)) = artifact {
        told += &format!("\n    once more:  cargo xtask fuzz {name} {}", file.trim());
    }
    told
}

/// Adds to the corpus in the repository what was found that goes where nothing in it goes: as few as do, and by branches
/// alone, for how often each is taken would keep thousands of files.
fn collect(program: &Path, name: &str) -> Result<()> {
    let log = run::create(&target().join("fuzz/logs").join(format!("{name}-merge.log")))?;
    let mut merge = fuzzer(program, &log)?;
    run::visible(merge.args(["-set_cover_merge=1", "-use_counters=0"]).args([kept(name), found(name)]))?;
    eprintln!("  {name:<20}{:>10} inputs kept", fs::read_dir(kept(name))?.count());
    Ok(())
}
