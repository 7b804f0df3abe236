//! Whole processes, from their start to their answer: what a person at the command line, a shell at a TAB and a browser wait
//! for, and the memory that it takes.
//!
//! One pinned core for the programs and all that they talk to; the cases take turns in short batches, so that a busy moment
//! hits all of them; medians of many. The yardstick is the bare PC/SC exchange, as a process of its own: what nobody can
//! save.
//!
//! Prints tables, and last one line of JSON for programs.

#[path = "measure/turns.rs"]
mod turns;

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use keyfob::browser::DEVELOPMENT_ID;
use keyfob_core::oath::protocol::ins;
use keyfob_tests::bare;
use keyfob_tests::counted::Counted;
use keyfob_tests::home::Home;
use keyfob_tests::memory::mib;
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};
use keyfob_tests::tool;
use serde_json::{Value, json};
use turns::{Case, pin, take_turns, whole};

/// RFC 6238's, in base32.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const ACCOUNTS: usize = 8;
const ACCOUNT: &str = "Amazon Web Services:user5@123456789012";
/// As many as a YubiKey 5.7 has room for.
const MANY: usize = 64;
/// This program's argument for being the yardstick.
const BARE: &str = "--bare-exchange";

fn main() -> Result<()> {
    if let [_, bare, reader] = std::env::args().collect::<Vec<_>>().as_slice()
        && bare == BARE
    {
        return bare_exchange(reader);
    }
    pin();
    let pcscd = Pcscd::start(&[YUBIKEY_READER])?;
    let mut home = Home::new()?;
    home.use_pcscd(&pcscd);
    home.succeed(&["soft", "create", "bench"], "")?;
    let card = pcscd.insert_soft_key(0, &home, "bench")?;
    for i in 0..ACCOUNTS {
        home.succeed(&["oath", "add", &format!("Amazon Web Services:user{i}@123456789012")], SECRET)?;
    }
    // The agents of setup and of measurement are two: the one that is measured has opened no software key.
    home.succeed(&["agent", "stop"], "")?;
    let mut figures = times(&home)?;
    let memory = memory(&home)?;
    drop((card, pcscd));
    let commands = commands()?;
    for (name, value) in memory.into_iter().chain(commands) {
        figures.insert(name, value);
    }
    println!("{}", Value::Object(figures));
    Ok(())
}

type Figures = serde_json::Map<String, Value>;

/// How long each takes, in milliseconds.
fn times(home: &Home) -> Result<Figures> {
    let reader = format!("{YUBIKEY_READER} 00 00");
    let keyfob = |args: &[&str]| -> Result<Duration> { whole(home.keyfob()?.args(args)) };
    let cold = |args: &[&str]| -> Result<Duration> {
        home.succeed(&["agent", "stop"], "")?;
        keyfob(args)
    };
    let tab: &[&str] = &["complete", "bash", "--", "keyfob code Amazon\\ Web", "Amazon\\ Web"];
    let myself = std::env::current_exe()?;
    let ykman = tool("KEYFOB_YKMAN")?;
    // Without --reader ykman would ask every key of the user's what it is.
    let theirs =
        || whole(home.command(&ykman).args(["--reader", &reader, "oath", "accounts", "code", "-s", ACCOUNT]));
    let mut cases = [
        Case::new("bare_ms", "bare exchange, a process", 1, || {
            whole(home.command(&myself).arg(BARE).arg(&reader))
        }),
        Case::new("bare_in_process_ms", "bare exchange, the exchange alone", 1, || {
            let output = home.command(&myself).arg(BARE).arg(&reader).output()?;
            Ok(Duration::from_nanos(String::from_utf8_lossy(&output.stdout).trim().parse()?))
        }),
        Case::new("code_ms", "keyfob code", 1, || keyfob(&["code", ACCOUNT])),
        Case::new("no_agent_ms", "keyfob --no-agent code", 1, || keyfob(&["--no-agent", "code", ACCOUNT])),
        Case::new("version_ms", "keyfob --version", 1, || keyfob(&["--version"])),
        Case::new("complete_ms", "completion of an account", 1, || keyfob(tab)),
        Case::new("native_host_ms", "native host, spawn to first answer", 1, || {
            native_host(&mut home.keyfob()?)
        }),
        // A hundred times slower: a few are enough.
        Case::new("ykman_ms", "ykman oath accounts code", 10, theirs),
        // Last: they end the agent that the others ask.
        Case::new("code_cold_ms", "keyfob code, and starts the agent", 4, || cold(&["code", ACCOUNT])),
        Case::new("complete_cold_ms", "completion, and starts the agent", 4, || cold(tab)),
    ];
    take_turns(&mut cases)?;
    let median = |name: &str| cases.iter().find(|case| case.name == name).map_or(f64::NAN, Case::median);
    let [bare, theirs] = ["bare_ms", "ykman_ms"].map(median);
    println!("\n{ACCOUNTS} accounts on a virtual reader, medians       ms   over bare    ykman");
    for case in &cases {
        let ms = case.median();
        println!("  {:<38}{ms:>8.2}    {:>+8.2}  {:>6.1}×", case.what, ms - bare, theirs / ms);
    }
    Ok(cases.iter().map(|case| (case.name.to_owned(), json!(case.median()))).collect())
}

/// The most memory of one process after another, in MiB.
fn memory(home: &Home) -> Result<Figures> {
    let agent = || -> Result<u64> {
        let status: Value = serde_json::from_str(&home.succeed(&["--json", "agent", "status"], "")?)?;
        status["pid"].as_u64().context("no process")
    };
    home.succeed(&["agent", "stop"], "")?;
    for _ in 0..100 {
        home.succeed(&["code", ACCOUNT], "")?;
    }
    let mut rows = vec![("agent_mib", "the agent, after 100 codes", mib(agent()?, "VmHWM")?)];
    for (name, what, args) in [
        ("code_mib", "keyfob code", &["code", ACCOUNT] as &[_]),
        ("no_agent_mib", "keyfob --no-agent code", &["--no-agent", "code", ACCOUNT]),
        ("complete_mib", "completion", &["complete", "zsh", "--", "keyfob", "code", ""]),
    ] {
        rows.push((name, what, peak_of(home.keyfob()?.args(args))?));
    }
    for _ in 0..5 {
        home.succeed(&["lock"], "")?;
        home.succeed(&["--key", "soft:bench", "code", ACCOUNT], "")?;
    }
    rows.push(("agent_soft_peak_mib", "the agent, while it opens a software key", mib(agent()?, "VmHWM")?));
    rows.push(("agent_soft_mib", "the agent, after five of them", mib(agent()?, "VmRSS")?));
    println!("\nMost memory                                     MiB");
    for (_, what, mib) in &rows {
        println!("  {what:<42}{mib:>8.1}");
    }
    Ok(rows.into_iter().map(|(name, _, mib)| (name.to_owned(), json!(mib))).collect())
}

/// How many commands a full key gets, continuations aside.
fn commands() -> Result<Figures> {
    let pcscd = Pcscd::start(&[YUBIKEY_READER])?;
    let mut home = Home::new()?;
    home.use_pcscd(&pcscd);
    let key = Counted::insert(&pcscd, 0, &home, MANY)?;
    let count = |args: &[&str]| -> Result<usize> {
        home.succeed(args, "")?;
        Ok(key.take().into_iter().filter(|[ins, _]| *ins != ins::SEND_REMAINING).count())
    };
    let account = Counted::account(MANY - 1);
    println!("\nCommands to a key of {MANY} accounts        agent  without");
    let mut figures = Figures::new();
    for (name, args) in [("list", &["oath", "list"] as &[_]), ("code", &["code", &account])] {
        let counts = [count(args)?, count(&[&["--no-agent"], args].concat())?];
        let [agent, without] = counts;
        println!("  keyfob {name:<30}{agent:>8} {without:>8}");
        figures.insert(format!("{name}_commands"), json!(counts));
    }
    Ok(figures)
}

/// The bare exchange as a process; prints how many nanoseconds the exchange itself took.
fn bare_exchange(reader: &str) -> Result<()> {
    let start = Instant::now();
    let length = bare::exchange(reader)?;
    println!("{}", start.elapsed().as_nanos());
    ensure!(length > 0, "the card has said nothing");
    Ok(())
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

/// The most memory that a command has taken by the time that it prints: it is held up there by a pipe that is full.
fn peak_of(command: &mut Command) -> Result<f64> {
    // pipe(7).
    const CAPACITY: usize = 65536;
    let (mut reader, mut writer) = std::io::pipe()?;
    writer.write_all(&[0; CAPACITY])?;
    let mut child = command.stdin(Stdio::null()).stdout(writer).spawn()?;
    // Longer than it takes to get there; it gets no further.
    sleep(Duration::from_millis(300));
    ensure!(child.try_wait()?.is_none(), "the pipe has not held the command up");
    let peak = mib(child.id().into(), "VmHWM")?;
    // The command's own end of it goes with the command.
    command.stdout(Stdio::null());
    reader.read_to_end(&mut Vec::new())?;
    ensure!(child.wait()?.success(), "it failed");
    Ok(peak)
}
