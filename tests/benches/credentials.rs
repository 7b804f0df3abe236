//! Credentials for other programs, as whole processes, from an agent that has them; and what that agent costs while nobody asks.
//!
//! One pinned core for the programs and all that they talk to; the cases take turns, so that a busy moment hits all of them;
//! medians of many, and ratios of one run.
//!
//! Prints tables, and last one line of JSON for programs.

#[path = "measure/turns.rs"]
mod turns;

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use keyfob_tests::home::Home;
use keyfob_tests::memory::mib;
use keyfob_tests::stand_in::StandIn;
use keyfob_tests::tool;
use serde_json::{Map, Value, json};
use turns::{Case, pin, take_turns, whole};

/// RFC 6238's, in base32.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/// How long the agent takes until it is idle: it looks a few times for a PC/SC service that is not there.
const SETTLED: Duration = Duration::from_secs(15);
/// How long the idle agent is looked at.
const IDLE: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    pin();
    let server = StandIn::start(|world| {
        world.user("alice").device("alice", SECRET);
        world.role("ops");
    })?;
    let mut home = Home::with_software_key()?;
    server.configure(&mut home);
    server.put_on_key(&home, "alice")?;
    fs::create_dir(home.path().join(".aws"))?;
    let config = format!(
        "[profile alice]\nkeyfob_access_key_id = {}\nkeyfob_mfa_serial = {}\n\
         [profile ops]\ncredential_process = {} credential-process ops\nkeyfob_role_arn = {}\n\
         keyfob_source_profile = alice\nkeyfob_mfa_serial = {}\n",
        server.key("alice")?.id,
        StandIn::serial("alice"),
        tool("KEYFOB_BIN")?.display(),
        StandIn::role_arn("ops"),
        StandIn::serial("alice"),
    );
    home.write(".aws/config", &config)?;
    // From here on the agent has it.
    home.succeed(&["credential-process", "ops"], "")?;

    let keyfob = |args: &[&str]| -> Result<Duration> { whole(home.keyfob()?.args(args)) };
    let aws = tool("KEYFOB_AWS")?;
    let aws = || whole(home.command(&aws).args(["configure", "export-credentials", "--profile", "ops"]));
    let mut cases = [
        Case::new("true_ms", "true", 1, || whole(&mut home.command("true"))),
        Case::new("exec_ms", "keyfob exec ops -- true", 1, || keyfob(&["exec", "ops", "--", "true"])),
        Case::new("process_ms", "keyfob credential-process ops", 1, || {
            keyfob(&["credential-process", "ops"])
        }),
        // A hundred times slower: a few are enough.
        Case::new("aws_ms", "aws configure export-credentials", 10, aws),
    ];
    take_turns(&mut cases)?;
    let median = |name: &str| cases.iter().find(|case| case.name == name).map_or(f64::NAN, Case::median);
    let [child, exec, process, theirs] = ["true_ms", "exec_ms", "process_ms", "aws_ms"].map(median);
    println!("\nA role's session, kept by the agent; medians       ms");
    for case in &cases {
        println!("  {:<42}{:>9.2}", case.what, case.median());
    }
    let (memory, woken) = idle(&home)?;
    let aims = [
        ("keyfob credential-process, in ms", process, "< 5", process < 5.0),
        ("aws configure export-credentials, by that", theirs / process, ">= 60", theirs / process >= 60.0),
        ("what exec adds to a program, in ms", exec - child, "<= 5", exec - child <= 5.0),
        ("the idle agent's memory, in MiB", memory, "< 10", memory < 10.0),
        ("wake-ups of the idle agent in 5 s", woken, "0", woken == 0.0),
    ];
    println!();
    for (what, value, aim, met) in &aims {
        println!("  {what:<50}{value:>9.2}   {aim:<6}{}", if *met { "" } else { "  MISSED" });
    }
    let mut figures: Map<String, Value> =
        cases.iter().map(|case| (case.name.to_owned(), json!(case.median()))).collect();
    figures.insert("agent_mib".to_owned(), json!(memory));
    figures.insert("agent_wakeups".to_owned(), json!(woken));
    println!("{}", Value::Object(figures));
    Ok(())
}

/// Memory of the agent in MiB, and how often it was woken while nobody asked.
fn idle(home: &Home) -> Result<(f64, f64)> {
    let status: Value = serde_json::from_str(&home.succeed(&["--json", "agent", "status"], "")?)?;
    let pid = status["pid"].as_u64().context("no process")?;
    sleep(SETTLED);
    let before = switches(pid)?;
    sleep(IDLE);
    let after = switches(pid)?;
    #[allow(clippy::cast_precision_loss, reason = "a few")]
    let woken = (after - before) as f64;
    Ok((mib(pid, "VmRSS")?, woken))
}

/// How often all threads of a process have gone to sleep: proc_pid_status(5).
fn switches(pid: u64) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += line.context("no voluntary_ctxt_switches")?.trim().parse::<u64>()?;
    }
    Ok(sum)
}
