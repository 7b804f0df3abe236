//! How much memory a process takes.

use anyhow::{Context as _, Result};

/// A line of a process's status (proc_pid_status(5)) in MiB: `VmHWM` is the most that it had, `VmRSS` what it has,
/// `RssAnon` what of that is its own, and no part of a file.
///
/// # Errors
///
/// If there is no such process, or no such line.
pub fn mib(pid: u64, line: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value =
        status.lines().find_map(|each| each.strip_prefix(line)?.strip_prefix(':')?.strip_suffix("kB"));
    Ok(value.with_context(|| format!("no {line} in\n{status}"))?.trim().parse::<f64>()? / 1024.0)
}
