//! A million links through the whole program, beside a million single ones in this process, and beside peers.
//!
//! `keyfob presign --stdin` reads the keys from a file in memory and writes the links to another, or into a pipe that this program
//! reads; its time is that of the process, from its start to its end, with asking the agent for the signing key in it. A single link is
//! one call of `presign` in this process, on one core, into nothing. The aim is the share of a million of those that each core
//! has, output included. The cases take turns, and the ratios are those of each round, so that a busy moment hits all of them; medians.
//!
//! Prints tables, and last one line of JSON for programs.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{available_parallelism, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use keyfob_core::s3::{Endpoint, PresignRequest};
use keyfob_core::sigv4::{AmzDate, DateKey};
use keyfob_tests::home::Home;
use keyfob_tests::memory::mib;
use rusty_s3::S3Action as _;
use serde_json::json;

const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const BUCKET: &str = "examplebucket";
const REGION: &str = "us-east-1";
const TIME: u64 = 1_369_353_600;
const EXPIRES: u64 = 604_800;

const LINKS: usize = 1_000_000;
/// So many of the peers', for they take long: their times are scaled.
const PEERS_LINKS: usize = 100_000;
const ROUNDS: usize = 9;
/// This program's argument for being the peer.
const RUSTY: &str = "--rusty-s3";

fn main() -> Result<()> {
    if std::env::args().any(|arg| arg == RUSTY) {
        return rusty();
    }
    // In memory, where there is such a folder: a disk would be measured otherwise.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new().prefix("keyfob-bench-").tempdir_in(folder)?;
    let keys: Vec<String> = (0..LINKS).map(|i| format!("photos/2026/11/IMG_{i:08}.jpg")).collect();
    let (million, some) = (folder.path().join("million"), folder.path().join("some"));
    write_lines(&million, &keys)?;
    write_lines(&some, keys.get(..PEERS_LINKS).unwrap_or_default())?;
    let out = folder.path().join("out");

    let home = Home::new()?;
    home.succeed(&["soft", "create", "bench"], "")?;
    home.succeed(&["--key", "soft:bench", "aws", "add", ACCESS_KEY_ID], SECRET)?;
    let batch = |args: &[&str]| -> Result<Command> {
        let mut keyfob = home.keyfob()?;
        keyfob.args([
            "--quiet",
            "--key",
            "soft:bench",
            "presign",
            "--stdin",
            "--region",
            REGION,
            "--expires",
            "7d",
        ]);
        keyfob
            .args(["--at", &TIME.to_string(), "--identity", ACCESS_KEY_ID])
            .args(args)
            .arg(format!("s3://{BUCKET}"));
        keyfob.stderr(Stdio::null());
        Ok(keyfob)
    };

    // Nobody is fast at something else.
    let expected = links(&keys)?;
    to_file(&mut batch(&[])?, &million, &out)?;
    ensure!(std::fs::read(&out)? == expected.as_bytes(), "the batch makes other links");
    to_file(&mut peer()?, &some, &out)?;
    ensure!(
        std::fs::read(&out)?
            == expected.as_bytes().get(..std::fs::metadata(&out)?.len() as usize).unwrap_or_default(),
        "rusty-s3 makes other links"
    );
    drop(expected);

    let cores = available_parallelism()?.get();
    let scale = LINKS as f64 / PEERS_LINKS as f64;
    let mut times: [Vec<f64>; 5] = Default::default();
    for _ in 0..ROUNDS {
        let round = [
            single(&keys)?.as_secs_f64(),
            to_file(&mut batch(&[])?, &million, &out)?.as_secs_f64(),
            to_pipe(&mut batch(&[])?, &million)?.as_secs_f64(),
            to_file(&mut batch(&["--format", "jsonl"])?, &million, &out)?.as_secs_f64(),
            to_file(&mut peer()?, &some, &out)?.as_secs_f64() * scale,
        ];
        for (times, time) in times.iter_mut().zip(round) {
            times.push(time);
        }
    }
    let [single, file, pipe, jsonl, rusty] = &times;
    let share = |times: &[f64]| median(times.iter().zip(single).map(|(a, b)| a / (b / cores as f64)));
    let peak = peak(&mut batch(&[])?, &million, &out)?;

    println!(
        "A million links on {cores} cores, medians of {ROUNDS} rounds          seconds   x share of single"
    );
    let rows = [
        ("single, in process, one core, no output", single),
        ("keyfob presign --stdin, file in memory to file in memory", file),
        ("the same into a pipe that is read", pipe),
        ("the same as JSON lines, to the file", jsonl),
        ("rusty-s3, a loop that prints, one core (scaled)", rusty),
    ];
    for (what, times) in rows {
        println!("  {what:<60}{:>8.3}    {:>6.2}", median(times.iter().copied()), share(times));
    }
    let botocore = botocore();
    if let Some(us) = botocore {
        println!(
            "  {:<60}{us:>8.1}    {:>6.0}",
            "botocore, a loop, one core, no output (scaled)",
            us / median(single.iter().copied()) * cores as f64
        );
    }
    println!("  {:<60}{peak:>8.1} MiB (aim: under 50)", "most memory of keyfob presign --stdin");
    println!(
        "  batch / share of single: {:.2} to a file, {:.2} into a pipe (aim: at most 1.5)",
        share(file),
        share(pipe)
    );
    println!(
        "{}",
        json!({
            "bench": "batch", "links": LINKS, "cores": cores, "peak_mib": round2(peak), "botocore_s": botocore,
            "seconds": {
                "single": round2(median(single.iter().copied())), "file": round2(median(file.iter().copied())),
                "pipe": round2(median(pipe.iter().copied())), "jsonl": round2(median(jsonl.iter().copied())),
                "rusty_s3": round2(median(rusty.iter().copied())),
            },
            "ratios": { "batch to a file / share of single": round2(share(file)),
                        "batch into a pipe / share of single": round2(share(pipe)) },
        })
    );
    Ok(())
}

fn write_lines(path: &Path, lines: &[String]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for line in lines {
        writeln!(file, "{line}")?;
    }
    Ok(file.flush()?)
}

fn with_request<T>(
    work: impl FnOnce(&PresignRequest<'_>, &keyfob_core::sigv4::SigningKey) -> Result<T>,
) -> Result<T> {
    let endpoint = Endpoint::aws(REGION)?;
    let request = PresignRequest {
        method: "GET",
        endpoint: &endpoint,
        bucket: BUCKET,
        key: "",
        access_key_id: ACCESS_KEY_ID,
        time: TIME,
        expires: EXPIRES,
        session_token: None,
        version_id: None,
        query: &[],
        headers: &[],
    };
    let key = DateKey::from_secret(SECRET.as_bytes(), AmzDate::from_unix(TIME)?).signing_key(REGION, "s3")?;
    work(&request, &key)
}

/// All links, a line each.
fn links(keys: &[String]) -> Result<String> {
    with_request(|request, signing_key| {
        let mut out = String::new();
        for key in keys {
            out += &PresignRequest { key, ..*request }.presign(signing_key)?;
            out.push('\n');
        }
        Ok(out)
    })
}

/// One call after the other.
fn single(keys: &[String]) -> Result<Duration> {
    with_request(|request, signing_key| {
        let start = Instant::now();
        for key in keys {
            black_box(PresignRequest { key, ..*request }.presign(black_box(signing_key))?);
        }
        Ok(start.elapsed())
    })
}

fn ended(mut child: Child) -> Result<()> {
    ensure!(child.wait()?.success(), "it failed");
    Ok(())
}

/// From the start of the process to its end. The file is made anew.
fn to_file(command: &mut Command, keys: &Path, out: &PathBuf) -> Result<Duration> {
    let _ = std::fs::remove_file(out);
    command.stdin(File::open(keys)?).stdout(File::create(out)?);
    let start = Instant::now();
    ended(command.spawn()?)?;
    Ok(start.elapsed())
}

fn to_pipe(command: &mut Command, keys: &Path) -> Result<Duration> {
    command.stdin(File::open(keys)?).stdout(Stdio::piped());
    let mut buffer = vec![0; 1 << 16];
    let start = Instant::now();
    let mut child = command.spawn()?;
    let mut stdout = child.stdout.take().context("no stdout")?;
    while stdout.read(&mut buffer)? > 0 {}
    ended(child)?;
    Ok(start.elapsed())
}

/// The most memory of the process, in MiB, looked at until it ends.
fn peak(command: &mut Command, keys: &Path, out: &PathBuf) -> Result<f64> {
    command.stdin(File::open(keys)?).stdout(File::create(out)?);
    let mut child = command.spawn()?;
    let mut most = 0.0_f64;
    while child.try_wait()?.is_none() {
        // None: it is just ending.
        most = most.max(mib(child.id().into(), "VmHWM").unwrap_or(0.0));
        sleep(Duration::from_millis(2));
    }
    ensure!(most > 0.0, "it was not seen");
    Ok(most)
}

fn peer() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(RUSTY);
    Ok(command)
}

/// What somebody would write with rusty-s3.
fn rusty() -> Result<()> {
    let endpoint = format!("https://s3.{REGION}.amazonaws.com").parse()?;
    let bucket = rusty_s3::Bucket::new(endpoint, rusty_s3::UrlStyle::VirtualHost, BUCKET, REGION)?;
    let credentials = rusty_s3::Credentials::new(ACCESS_KEY_ID, SECRET);
    let time = jiff::Timestamp::from_second(TIME as i64)?;
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    for line in BufReader::with_capacity(1 << 16, std::io::stdin().lock()).lines() {
        let line = line?;
        let action = bucket.get_object(Some(&credentials), &line);
        writeln!(out, "{}", action.sign_with_time(Duration::from_secs(EXPIRES), &time))?;
    }
    Ok(out.flush()?)
}

/// Seconds of a million, by its own clock in a loop of 500.
fn botocore() -> Option<f64> {
    let python = std::env::var_os("KEYFOB_PYTHON")?;
    let mut child = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/botocore_presign.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(b"{\"bench\": 500}\n").ok()?;
    let output = child.wait_with_output().ok()?;
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    answer.get("microseconds")?.as_f64()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn round2(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
