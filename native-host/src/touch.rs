//! The notice that the key waits for a touch: on the terminal at once, on the desktop when nobody has touched for a
//! while, gone from both when dropped.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use keyfob_core::message::{Event, Reply, Request};

use crate::front;
use crate::holder::{Desk, Replies};
use crate::notify::{self, Notification};
use crate::prompt::{TERMINAL, printable};

/// What heads the notification on the desktop.
const TITLE: &str = "Keyfob: touch your key";
/// How long after the terminal the desktop says it too: whoever sits at the terminal has touched by then.
const DESKTOP_AFTER: Duration = Duration::from_secs(2);
/// How long to wait before showing a notice where it is not known that a touch is wanted: a key that wants none has
/// answered by then.
pub const UNCERTAIN: Duration = Duration::from_millis(700);
/// How long the terminal may take to be cleared before what follows goes there all the same.
const TERMINAL_PATIENCE: Duration = Duration::from_secs(1);
/// How long the end of the program waits for the desktop to close a notification.
const DESKTOP_PATIENCE: Duration = Duration::from_millis(250);

/// The notice that the key waits for a touch; gone when dropped.
///
/// On the terminal device, also when all standard streams are captured; without a terminal, one line on stderr. Two
/// seconds later on the desktop, if there is one that shows notifications, and [`notify::OFF_ENV`] is not set. It never
/// blocks who shows it: a stopped terminal and a desktop that hangs hold up threads of their own.
#[derive(Debug)]
#[must_use = "it is gone when dropped"]
pub struct TouchNotice {
    /// First, so that what follows on the terminal finds it cleared.
    _terminal: Option<Later>,
    _desktop: Option<Later>,
}

impl TouchNotice {
    /// Shows `text`, control characters replaced, after `delay`: zero where the key is known to wait. Nothing is shown
    /// if it is dropped before; without a delay something always is.
    pub fn show(text: &str, delay: Duration) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = Line::later(Path::new(TERMINAL.1), text, dumb, delay);
        Self { _terminal: terminal, ..Self::on_desktop(text, delay) }
    }

    /// As [`TouchNotice::show`], on the desktop alone: for programs whose terminal, if they have one, is not theirs to
    /// write on.
    pub fn on_desktop(text: &str, delay: Duration) -> Self {
        let desktop = notify::session_bus(front::env).and_then(|bus| {
            let text = printable(text).into_owned();
            let show = move || Notification::show(&bus, TITLE, &text);
            Later::start(delay.saturating_add(DESKTOP_AFTER), DESKTOP_PATIENCE, show)
        });
        Self { _terminal: None, _desktop: desktop }
    }
}

/// A desk for a front end without a terminal: what it asks of the key's holder is shown on the desktop when a touch is
/// wanted for it.
pub struct OnDesktop(pub Box<dyn Desk>);

impl Desk for OnDesktop {
    fn ask(&self, request: Request, replies: Replies) {
        let notice = Mutex::new(None);
        let replies = move |reply: Reply| {
            let new = match &reply {
                Reply::Event { event: Event::TouchRequired { prompt, maybe }, .. } => {
                    let delay = if *maybe { UNCERTAIN } else { Duration::ZERO };
                    Some(TouchNotice::on_desktop(prompt, delay))
                }
                _ => None,
            };
            // First, for to hide a notice may take a moment.
            replies(reply);
            drop(std::mem::replace(&mut *notice.lock().unwrap_or_else(PoisonError::into_inner), new));
        };
        self.0.ask(request, Box::new(replies));
    }

    fn leave(&self) {
        self.0.leave();
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

/// Something that is shown by a thread of its own after a delay, and hidden by it when this is dropped.
#[derive(Debug)]
struct Later {
    /// Closed: time to hide it.
    gone: Option<Sender<Infallible>>,
    /// Closed: it is hidden.
    hidden: Receiver<Infallible>,
    /// How long that is waited for.
    patience: Duration,
}

impl Later {
    /// Runs `show` after `delay`; what it gives hides itself when dropped. None if there is no thread.
    fn start<T>(
        delay: Duration,
        patience: Duration,
        show: impl FnOnce() -> T + Send + 'static,
    ) -> Option<Self> {
        let (gone, is_gone) = mpsc::channel::<Infallible>();
        let (hide, hidden) = mpsc::channel();
        thread::Builder::new()
            .name("touch notice".to_owned())
            .spawn(move || {
                // Closed when this thread ends.
                let _hide = hide;
                let in_time = !delay.is_zero()
                    && !matches!(is_gone.recv_timeout(delay), Err(RecvTimeoutError::Timeout));
                if in_time {
                    return;
                }
                let shown = show();
                // Nothing ever comes but the end.
                let _ = is_gone.recv();
                drop(shown);
            })
            .ok()?;
        Some(Self { gone: Some(gone), hidden, patience })
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        drop(self.gone.take());
        // Whatever holds the thread up, nobody waits longer.
        let _ = self.hidden.recv_timeout(self.patience);
    }
}

/// A text on the terminal device that is cleared when dropped.
#[derive(Debug)]
struct Line {
    device: File,
    columns: usize,
    /// How wide the text is.
    width: usize,
}

impl Line {
    fn later(terminal: &Path, text: &str, dumb: bool, delay: Duration) -> Option<Later> {
        let (terminal, text) = (PathBuf::from(terminal), printable(text).into_owned());
        Later::start(delay, TERMINAL_PATIENCE, move || Self::show(&terminal, &text, dumb))
    }

    fn show(terminal: &Path, text: &str, dumb: bool) -> Option<Self> {
        let Ok(mut device) = OpenOptions::new().write(true).open(terminal) else {
            // Nobody is left to be told that stderr is closed.
            let _ = writeln!(std::io::stderr(), "{text}");
            return None;
        };
        // On one that cannot move its cursor the notice stays.
        let columns = if dumb { 0 } else { columns(&device) };
        let end = if columns == 0 { "\n" } else { "" };
        // A terminal that is gone shows nothing; the key blinks all the same.
        let _ = device.write_all(format!("{text}{end}").as_bytes());
        Some(Self { device, columns, width: text.chars().count() })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.columns == 0 {
            return;
        }
        // The cursor is in the last of the lines that the text takes, also when that is just full.
        let above = self.width.saturating_sub(1) / self.columns;
        let up = if above == 0 { String::new() } else { format!("\x1b[{above}A") };
        let _ = self.device.write_all(format!("\r{up}\x1b[J").as_bytes());
    }
}

/// The terminal's width in characters; 0 where its cursor cannot be moved, or nothing is known.
fn columns(device: &File) -> usize {
    #[cfg(unix)]
    {
        rustix::termios::tcgetwinsize(device).map_or(0, |size| size.ws_col.into())
    }
    #[cfg(not(unix))]
    {
        let _ = device;
        0
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::prompt::pseudo_terminal::terminal;

    #[test]
    fn the_touch_notice_comes_and_goes() {
        #[track_caller]
        fn check(columns: u16, dumb: bool, text: &str, shown: &str, cleared: &str) {
            let mut terminal = terminal(columns);
            let notice = Line::later(&terminal.path, text, dumb, Duration::ZERO);
            assert_eq!(terminal.read(shown.len()), shown);
            drop(notice);
            // Something always comes, so that the read ends.
            (&terminal.device).write_all(b".").unwrap();
            assert_eq!(terminal.read(cleared.len() + 1), format!("{cleared}."));
        }
        check(80, false, "Touch your key", "Touch your key", "\r\x1b[J");
        check(80, true, "Touch your key", "Touch your key\r\n", "");
        check(0, false, "Touch your key", "Touch your key\r\n", "");
        check(7, false, "Touch your key", "Touch your key", "\r\x1b[1A\x1b[J");
        check(6, false, "Touch your key", "Touch your key", "\r\x1b[2A\x1b[J");
        check(80, false, "a\x1b[2J", "a\u{fffd}[2J", "\r\x1b[J");
    }

    #[test]
    fn nothing_is_shown_before_its_time() {
        let mut terminal = terminal(80);
        let long = Duration::from_secs(1000);
        drop(Line::later(&terminal.path, "Touch your key", false, long));
        let notice = Line::later(&terminal.path, "Touch it", false, Duration::from_millis(1));
        assert_eq!(terminal.read(8), "Touch it");
        drop(notice);
        assert_eq!(terminal.read(4), "\r\x1b[J");
    }

    #[test]
    fn what_hangs_holds_nobody_up() {
        let (end, ended) = mpsc::channel::<Infallible>();
        let start = Instant::now();
        let hanging = Later::start(Duration::ZERO, Duration::from_millis(20), move || {
            // As a stopped terminal does.
            let _ = ended.recv();
        });
        drop(hanging.unwrap());
        assert!(start.elapsed() < Duration::from_secs(10));
        drop(end);
    }
}
