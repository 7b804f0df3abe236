//! What keeps this process's memory its own, as far as the system helps.

#[cfg(unix)]
use std::sync::OnceLock;
use std::time::Duration;

/// Makes this process one that others of the same user can neither trace nor dump, and that leaves no core behind.
/// What the system does not offer is not done: it is one wall of several.
pub fn process() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let before = getrlimit(Resource::Core);
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), ..before });
        let _ = CORE.set(before);
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// The limit of cores that the process was started with.
#[cfg(unix)]
static CORE: OnceLock<rustix::process::Rlimit> = OnceLock::new();

/// As [`process`], for a process that never becomes another program: nothing in it can raise the limit again.
pub fn for_good() {
    process();
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
}

/// Gives a program that this process becomes what it would have had: whether it leaves cores is its own user's to say.
#[cfg(unix)]
pub(crate) fn end() {
    if let Some(before) = CORE.get() {
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, *before);
    }
}

/// Lets this process have so many files open, or as many as the system allows it. Windows knows no such limit.
pub fn room_for_files(number: u64) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let wanted = limit.maximum.map_or(number, |maximum| maximum.min(number));
        if limit.current.is_some_and(|current| current < wanted) {
            let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
        }
    }
    #[cfg(not(unix))]
    let _ = number;
}

/// Notices that the machine was asleep: the clock that goes on meanwhile has got ahead of the one that does not.
#[derive(Debug)]
pub struct SleepDetector {
    last: Duration,
}

impl SleepDetector {
    /// Begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { last: asleep() }
    }

    /// Whether the machine was asleep since this was last asked.
    pub fn has_slept(&mut self) -> bool {
        const NOTICEABLE: Duration = Duration::from_secs(1);
        let now = asleep();
        let slept = now.saturating_sub(self.last) > NOTICEABLE;
        self.last = now;
        slept
    }
}

impl Default for SleepDetector {
    fn default() -> Self {
        Self::new()
    }
}

/// How long the machine has been asleep since it was started.
fn asleep() -> Duration {
    #[cfg(target_os = "linux")]
    {
        use rustix::time::{ClockId, clock_gettime};
        let clock = |id| Duration::try_from(clock_gettime(id)).unwrap_or_default();
        clock(ClockId::Boottime).saturating_sub(clock(ClockId::Monotonic))
    }
    #[cfg(not(target_os = "linux"))]
    Duration::ZERO
}
