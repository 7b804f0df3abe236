//! Whole processes, from their start to their answer: what a person at the command line and a browser wait for.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use keyfob::browser::DEVELOPMENT_ID;
use keyfob_tests::home::Home;
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};
use keyfob_tests::tool;

/// RFC 6238's, in base32.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const ACCOUNTS: usize = 8;

fn main() -> Result<()> {
    let pcscd = Pcscd::start(&[YUBIKEY_READER])?;
    let mut home = Home::new()?;
    home.use_pcscd(&pcscd);
    home.succeed(&["soft", "create", "bench"], "")?;
    let _card = pcscd.insert_soft_key(0, &home, "bench")?;
    for i in 0..ACCOUNTS {
        home.succeed(&["oath", "add", &format!("Amazon Web Services:user{i}@123456789012")], SECRET)?;
    }
    let account = "Amazon Web Services:user5@123456789012";

    let keyfob = || -> Result<Command> { home.keyfob() };
    let reader = format!("{YUBIKEY_READER} 00 00");
    let ykman = || -> Result<Command> {
        let mut command = home.command(tool("KEYFOB_YKMAN")?);
        command.args(["--reader", &reader, "oath", "accounts", "code", account]);
        Ok(command)
    };
    let mut code = Vec::new();
    let mut theirs = Vec::new();
    let mut version = Vec::new();
    let mut first_answer = Vec::new();
    for round in 0..200 {
        code.push(whole(keyfob()?.args(["code", account]))?);
        version.push(whole(keyfob()?.arg("--version"))?);
        first_answer.push(native_host(&mut keyfob()?)?);
        // A hundred times slower: a few are enough.
        if round % 10 == 0 {
            theirs.push(whole(&mut ykman()?)?);
        }
    }
    let [code, theirs, version, first_answer] = [code, theirs, version, first_answer].map(median);
    println!("\nWhole processes, medians                              ms");
    for (what, time) in [
        ("keyfob --version", version),
        ("keyfob code, 8 accounts on a virtual reader", code),
        ("ykman oath accounts code, the same", theirs),
        ("native host, from spawn to first answer", first_answer),
    ] {
        println!("  {what:<46}{:>8.2}", milliseconds(time));
    }
    let ratio = theirs.as_secs_f64() / code.as_secs_f64();
    println!("  ykman takes {ratio:.0} times as long as keyfob");
    println!(
        "{}",
        serde_json::json!({
            "bench": "processes", "code_ms": milliseconds(code), "ykman_ms": milliseconds(theirs),
            "ratio": ratio, "version_ms": milliseconds(version), "native_host_ms": milliseconds(first_answer),
        })
    );
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// From spawn to exit.
fn whole(command: &mut Command) -> Result<Duration> {
    let start = Instant::now();
    let output = command.output()?;
    let time = start.elapsed();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(time)
}

/// From spawn, as a browser does it, to the answer to the first question.
fn native_host(command: &mut Command) -> Result<Duration> {
    let request = br#"{"v":1,"id":"bench","op":{"name":"hello"}}"#;
    let start = Instant::now();
    let mut child = command
        .arg(format!("chrome-extension://{DEVELOPMENT_ID}/"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let mut stdout = child.stdout.take().context("no stdout")?;
    stdin.write_all(&u32::try_from(request.len())?.to_ne_bytes())?;
    stdin.write_all(request)?;
    let mut length = [0; 4];
    stdout.read_exact(&mut length)?;
    let mut answer = vec![0; usize::try_from(u32::from_ne_bytes(length))?];
    stdout.read_exact(&mut answer)?;
    let time = start.elapsed();
    drop(stdin);
    child.wait()?;
    ensure!(answer.starts_with(b"{\"type\":\"done\""), "{}", String::from_utf8_lossy(&answer));
    Ok(time)
}
