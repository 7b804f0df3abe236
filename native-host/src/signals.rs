//! What is undone when the process is told to end: by Ctrl-C, a terminal that is closed, or `kill`.
//!
//! Elsewhere than on Unix nothing is: a console undoes its own settings.

#[cfg(unix)]
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(unix)]
use std::sync::{Mutex, Once, PoisonError};

/// Something to undo.
#[cfg(unix)]
type Undo = Box<dyn FnOnce() + Send>;

/// What is to be undone, by number.
#[cfg(unix)]
static UNDONE: Mutex<Vec<(u64, Undo)>> = Mutex::new(Vec::new());

/// Whether another part of the program says what signals do.
#[cfg(unix)]
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Has something undone if a signal ends the process before this is dropped.
#[derive(Debug)]
#[must_use = "nothing is undone once it is dropped"]
pub(crate) struct AtEnd {
    #[cfg(unix)]
    number: u64,
}

/// Has `undo` called if the process is told to end meanwhile. It must not wait for anything: the process ends after it.
pub(crate) fn at_end(undo: impl FnOnce() + Send + 'static) -> AtEnd {
    #[cfg(unix)]
    {
        static LISTENING: Once = Once::new();
        LISTENING.call_once(listen);
        let mut undone = UNDONE.lock().unwrap_or_else(PoisonError::into_inner);
        let number = undone.last().map_or(0, |(last, _)| last + 1);
        undone.push((number, Box::new(undo)));
        AtEnd { number }
    }
    #[cfg(not(unix))]
    {
        drop(undo);
        AtEnd {}
    }
}

#[cfg(unix)]
impl Drop for AtEnd {
    fn drop(&mut self) {
        UNDONE.lock().unwrap_or_else(PoisonError::into_inner).retain(|(number, _)| *number != self.number);
    }
}

/// From now on another part of the program says what signals do.
#[cfg(unix)]
pub(crate) fn take() {
    TAKEN.store(true, Ordering::SeqCst);
}

/// The signals that end the process, but for those that whoever started it wants ignored (`nohup`).
#[cfg(unix)]
pub(crate) fn ending() -> impl Iterator<Item = i32> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let ignored = ignored();
    [SIGHUP, SIGINT, SIGTERM].into_iter().filter(move |signal| ignored & (1 << (signal - 1)) == 0)
}

/// A bit for each signal that is ignored: proc_pid_status(5). Elsewhere nobody says, and a hangup is left as it is.
#[cfg(unix)]
fn ignored() -> u64 {
    let hangup = 1 << (signal_hook::consts::SIGHUP - 1);
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return hangup };
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(hangup)
}

/// Waits for signals as long as the process lives: a signal that was once listened to does nothing by itself any more.
#[cfg(unix)]
fn listen() {
    // Without it nothing is undone, and nothing else is different.
    let Ok(mut signals) = signal_hook::iterator::Signals::new(ending()) else { return };
    std::thread::spawn(move || {
        for signal in signals.forever() {
            // Whoever has taken them ends the process in time, or not at all.
            if TAKEN.load(Ordering::SeqCst) {
                continue;
            }
            let mut undone = UNDONE.lock().unwrap_or_else(PoisonError::into_inner);
            let all = std::mem::take(&mut *undone);
            drop(undone);
            all.into_iter().rev().for_each(|(_, undo)| undo());
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    });
}
