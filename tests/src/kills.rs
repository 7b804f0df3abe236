//! Programs that are killed at random instants, again and again.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::random::Random;

/// How often something is killed: as `KEYFOB_KILLS` says, or else a few times.
pub struct Kills {
    rounds: usize,
    random: Random,
    /// How long it takes if nothing ends it; changes with what else the computer does.
    whole: Duration,
    killed: usize,
    done: usize,
}

impl Kills {
    /// So many rounds, unless the environment says otherwise. `whole` is how long what is killed takes.
    pub fn new(rounds: usize, whole: Duration) -> Self {
        let rounds = std::env::var("KEYFOB_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(rounds);
        Self { rounds, random: Random::new(0x6b65_7966_6f62), whole, killed: 0, done: 0 }
    }

    /// Whether there is another round.
    pub fn goes_on(&mut self) -> bool {
        self.done += 1;
        self.done <= self.rounds
    }

    /// Runs `command` and kills it at some instant (SIGKILL); says whether it was killed before it was through.
    ///
    /// # Errors
    ///
    /// If it cannot be run.
    pub fn run(&mut self, mut command: Command) -> Result<bool> {
        let time = self.whole * u32::try_from(self.random.below(1000))? / 1000;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let begin = Instant::now();
        thread::sleep(time);
        // It may be through.
        let _ = child.kill();
        let killed = !child.wait()?.success();
        self.killed += usize::from(killed);
        self.whole = if killed { self.whole * 21 / 20 } else { begin.elapsed().min(self.whole) };
        Ok(killed)
    }

    /// Says that it was killed often enough for the test to be one.
    ///
    /// # Errors
    ///
    /// If it was through in most rounds.
    pub fn check(&self) -> Result<()> {
        ensure!(self.killed * 4 >= self.rounds, "{} of {} were killed in time", self.killed, self.rounds);
        Ok(())
    }
}
