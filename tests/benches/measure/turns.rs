//! Whole processes that take turns: what each case takes, from its start to its end.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

const ROUNDS: usize = 60;
/// So often in a row, in each round.
const BATCH: usize = 3;

/// One case: how long it takes once, and how often it is worth it.
pub(crate) struct Case<'a> {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    every: usize,
    once: Box<dyn Fn() -> Result<Duration> + 'a>,
    times: Vec<Duration>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(
        name: &'static str,
        what: &'static str,
        every: usize,
        once: impl Fn() -> Result<Duration> + 'a,
    ) -> Self {
        Self { name, what, every, once: Box::new(once), times: Vec::new() }
    }

    /// Milliseconds.
    pub(crate) fn median(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    }
}

/// Has the cases take turns, so that a busy moment hits all of them.
pub(crate) fn take_turns(cases: &mut [Case<'_>]) -> Result<()> {
    for round in 0..ROUNDS {
        for case in &mut *cases {
            if round % case.every == 0 {
                let batch = if case.every == 1 { BATCH } else { 1 };
                for _ in 0..batch {
                    case.times.push((case.once)().context(case.what)?);
                }
            }
        }
    }
    Ok(())
}

/// From spawn to exit.
pub(crate) fn whole(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null());
    let start = Instant::now();
    let output = command.output()?;
    let time = start.elapsed();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(time)
}

/// To one core, with all that is started from here on.
pub(crate) fn pin() {
    #[cfg(target_os = "linux")]
    {
        let mut cores = rustix::thread::CpuSet::new();
        cores.set(rustix::thread::sched_getcpu());
        if let Err(error) = rustix::thread::sched_setaffinity(None, &cores) {
            eprintln!("not pinned to a core: {error}");
        }
    }
}
