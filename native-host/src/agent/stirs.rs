//! Tells of what no front end tells the agent: its socket was removed, the machine was asleep.
//!
//! The system says so by itself, so that an agent with nothing to do sleeps. Where it does not, the agent has to look.

use std::path::Path;

/// Calls `stir` whenever the socket may be gone, or the clock has jumped, as it does when the machine wakes: from a thread
/// of its own. Whether it will.
#[cfg(target_os = "linux")]
pub(super) fn watch(socket: &Path, stir: impl Fn() + Send + 'static) -> bool {
    let Ok((files, clock)) = linux::begin(socket) else { return false };
    let watch = move || {
        // What cannot be watched any more is looked at now and then all the same.
        let _ = linux::watch(&files, &clock, stir);
    };
    std::thread::Builder::new().name("stirs".to_owned()).stack_size(64 << 10).spawn(watch).is_ok()
}

/// Calls nothing: the agent has to look.
#[cfg(not(target_os = "linux"))]
pub(super) fn watch(_: &Path, _: impl Fn() + Send + 'static) -> bool {
    false
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::path::Path;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
    use rustix::io::{Errno, read, retry_on_intr};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    /// As far from now as matters.
    const NEVER: i64 = i64::MAX / 2;

    /// The folder's events, and a clock that says when it is set, or was stopped by a sleep.
    pub(super) fn begin(socket: &Path) -> io::Result<(OwnedFd, OwnedFd)> {
        let folder = socket.parent().ok_or(io::ErrorKind::NotFound)?;
        let files = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let gone = WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&files, folder, gone)?;
        let clock = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        // The kernel cancels a timer of the wall clock when that jumps: when it is set, and when the machine wakes.
        let never = Timespec { tv_sec: NEVER, tv_nsec: 0 };
        let timer = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: never };
        timerfd_settime(&clock, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &timer)?;
        Ok((files, clock))
    }

    /// Returns when nothing can be watched any more.
    pub(super) fn watch(files: &OwnedFd, clock: &OwnedFd, stir: impl Fn()) -> Result<(), Errno> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        loop {
            let mut both = [PollFd::new(files, PollFlags::IN), PollFd::new(clock, PollFlags::IN)];
            retry_on_intr(|| poll(&mut both, None))?;
            let [file, jump] = both;
            if !jump.revents().is_empty() {
                // It is read as cancelled; from then on it is cancelled by the next jump.
                match read(clock, &mut [0; 8]) {
                    Ok(_) | Err(Errno::CANCELED) => {}
                    Err(error) => return Err(error),
                }
            }
            if !file.revents().is_empty() {
                let mut events = Reader::new(files, &mut buffer);
                loop {
                    match events.next() {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(Errno::AGAIN) => break,
                        Err(error) => return Err(error),
                    }
                }
            }
            stir();
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::watch;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_socket_that_is_removed_or_moved_or_loses_its_folder_stirs() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("run");
        fs::create_dir(&inner).unwrap();
        let socket = inner.join("agent.sock");
        fs::write(&socket, "").unwrap();
        let (sender, stirred) = channel();
        assert!(watch(&socket, move || sender.send(()).unwrap_or_default()));
        fs::remove_file(&socket).unwrap();
        stirred.recv_timeout(PATIENCE).unwrap();
        // Nothing stirs by itself, nor what is only written.
        while stirred.recv_timeout(Duration::from_millis(100)).is_ok() {}
        fs::write(&socket, "").unwrap();
        assert!(stirred.recv_timeout(Duration::from_millis(100)).is_err());
        fs::rename(&inner, folder.path().join("elsewhere")).unwrap();
        stirred.recv_timeout(PATIENCE).unwrap();
        // There is no such folder.
        assert!(!watch(&socket, || ()));
    }
}
