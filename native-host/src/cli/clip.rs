//! Codes to the clipboard, for half a minute; and text or a picture from it.
//!
//! On X11 and Wayland what is on the clipboard lives in the program that put it there, so that a child of this program
//! stays behind: it takes the code from its standard input (arguments are seen by all), holds it, and clears it when
//! the time is over and nobody has copied something else meanwhile.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use keyfob_core::message::{ErrorCode, Failure};
use zeroize::Zeroizing;

use crate::error::failure;
use crate::front;

/// How long a code stays on the clipboard.
pub(super) const CLEAR_AFTER: Duration = Duration::from_secs(30);
/// What is said when an account was taken from the clipboard.
pub(super) const STILL_THERE: &str = "The secret is still on the clipboard: copy something else afterwards.";
/// The hidden subcommand that holds it.
pub(super) const HOLD: &str = "hold-clipboard";
/// What the child says once it holds the code; anything else is why it does not.
const HELD: &str = "held";
/// How long the clipboard is waited for: its owner may hang.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest text that is held, in bytes.
const MAX_TEXT: u64 = 4096;
/// How often the child looks whether somebody else has copied something.
const LOOK: Duration = Duration::from_secs(1);

/// Puts a code on the clipboard, marked as a secret for clipboard managers, for [`CLEAR_AFTER`].
///
/// # Errors
/// If there is no clipboard here, or it does not answer.
pub(super) fn copy(code: &str) -> Result<(), Failure> {
    let broken = |error: std::io::Error| no_clipboard(&error.to_string());
    let mut child = Command::new(this_program().map_err(broken)?);
    child.arg(HOLD).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(
        &mut child,
        0x0000_0008, /* DETACHED_PROCESS */
    );
    let mut child = child.spawn().map_err(broken)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(code.as_bytes()).map_err(broken)?;
    }
    let (Some(stdout), (sender, answer)) = (child.stdout.take(), mpsc::channel()) else {
        return Err(no_clipboard("its holder does not answer"));
    };
    thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout.take(MAX_TEXT)).read_line(&mut line);
        // Nobody listens any more when it took too long.
        let _ = sender.send(read.map(|_| line));
        // A program that goes on leaves no zombie behind.
        let _ = child.wait();
    });
    match answer.recv_timeout(PATIENCE) {
        Ok(Ok(line)) if line.trim() == HELD => Ok(()),
        Ok(Ok(line)) if !line.trim().is_empty() => Err(no_clipboard(line.trim())),
        _ => Err(no_clipboard("its holder does not answer")),
    }
}

/// Says early, before a key is touched for nothing, that there is no clipboard.
///
/// # Errors
/// If there is no desktop.
pub(super) fn check() -> Result<(), Failure> {
    let set = |name| front::env(name).is_some_and(|value| !value.is_empty());
    if cfg!(any(windows, target_os = "macos")) || set("DISPLAY") || set("WAYLAND_DISPLAY") {
        return Ok(());
    }
    Err(no_clipboard("there is no desktop"))
}

/// This program's file. After an upgrade the path leads to another one, or nowhere.
fn this_program() -> std::io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let this = PathBuf::from("/proc/self/exe");
    Ok(if path.exists() || !this.exists() { path } else { this })
}

fn no_clipboard(why: &str) -> Failure {
    failure(
        ErrorCode::Unsupported,
        format!("the clipboard cannot be used: {why}"),
        "run it on a desktop (DISPLAY or WAYLAND_DISPLAY says where that is), or leave --clip away",
    )
}

/// The child: holds the text of standard input on the clipboard, says so on standard output, and clears it after
/// that time unless somebody else has copied something.
///
/// # Errors
/// None that anybody would read: the parent was told.
pub(super) fn hold(clear_after: Duration) -> Result<(), Failure> {
    #[cfg(unix)]
    {
        // A closed terminal ends its session; this is none of it. Fails where it leads one already.
        let _ = rustix::process::setsid();
    }
    #[cfg(target_os = "linux")]
    {
        // The code is not for debuggers and core dumps of other programs. Fails on no system.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
    let mut text = Zeroizing::new(String::new());
    let read = front::unbuffered_stdin().and_then(|stdin| stdin.take(MAX_TEXT).read_to_string(&mut text));
    let held = read.map_err(|error| error.to_string()).and_then(|_| native::Held::new(&text));
    let mut stdout = std::io::stdout();
    let held = match held {
        // A parent that is gone hears nothing; the person asked for it all the same.
        Ok(held) => {
            let _ = writeln!(stdout, "{HELD}");
            held
        }
        Err(why) => {
            let _ = writeln!(stdout, "{}", why.replace('\n', " "));
            return Err(no_clipboard(&why));
        }
    };
    let start = Instant::now();
    held.keep(|| clear_after.checked_sub(start.elapsed()).map(|left| left.min(LOOK)), &text);
    Ok(())
}

/// What is on the clipboard: text as it is, else a picture as PNG.
///
/// # Errors
/// If there is no clipboard, or nothing of the two is on it.
pub(super) fn paste() -> Result<Zeroizing<Vec<u8>>, Failure> {
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || sender.send(native::read()));
    match answer.recv_timeout(PATIENCE) {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(failure(
            ErrorCode::NotFound,
            "there is neither text nor a picture on the clipboard",
            "copy a QR code, or an otpauth:// URI, and try again",
        )),
        Ok(Err(why)) => Err(no_clipboard(&why)),
        Err(_) => Err(no_clipboard("the program that holds it does not answer")),
    }
}

#[cfg(feature = "clipboard")]
mod native {
    use std::thread::sleep;
    use std::time::Duration;

    use arboard::{Clipboard, Error, ImageData};
    use zeroize::Zeroizing;

    /// A text that this program holds on the clipboard.
    pub(super) struct Held(Clipboard);

    impl Held {
        pub(super) fn new(text: &str) -> Result<Self, String> {
            let mut clipboard = Clipboard::new().map_err(|error| error.to_string())?;
            let set = clipboard.set();
            #[cfg(unix)]
            let set = {
                #[cfg(target_os = "macos")]
                use arboard::SetExtApple as _;
                #[cfg(not(target_os = "macos"))]
                use arboard::SetExtLinux as _;
                set.exclude_from_history()
            };
            #[cfg(windows)]
            let set = {
                use arboard::SetExtWindows as _;
                set.exclude_from_monitoring()
            };
            set.text(text).map_err(|error| error.to_string())?;
            Ok(Self(clipboard))
        }

        /// Holds `text` as long as `left` gives a pause, then clears it; not if it is another's by then.
        pub(super) fn keep(mut self, left: impl Fn() -> Option<Duration>, text: &str) {
            while let Some(pause) = left() {
                sleep(pause);
                if self.has(text) == Some(false) {
                    return;
                }
            }
            if self.has(text) == Some(true) {
                // Whoever took the clipboard away has cleared it.
                let _ = self.0.clear();
            }
        }

        /// Whether this text is on the clipboard, also as a clipboard manager's; none where its owner does not answer.
        fn has(&mut self, text: &str) -> Option<bool> {
            match self.0.get_text().map(Zeroizing::new) {
                Ok(other) => Some(*other == text),
                // Somebody else's picture, or nothing.
                Err(Error::ContentNotAvailable | Error::ConversionFailure) => Some(false),
                Err(_) => None,
            }
        }
    }

    /// Text, or a picture as PNG, or neither.
    pub(super) fn read() -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        let mut clipboard = Clipboard::new().map_err(|error| error.to_string())?;
        let nothing = |error: &Error| matches!(error, Error::ContentNotAvailable | Error::ConversionFailure);
        let text = match clipboard.get_text() {
            Ok(text) if !text.trim().is_empty() => return Ok(Some(Zeroizing::new(text.into_bytes()))),
            text => text,
        };
        match (clipboard.get_image(), text) {
            (Ok(image), _) => png(image).map(Some).map_err(|error| error.to_string()),
            // Some programs answer the question for a text with a picture: wrong is then only what has neither.
            (Err(error), Ok(_)) if nothing(&error) => Ok(None),
            (Err(error), Err(other)) if nothing(&error) && nothing(&other) => Ok(None),
            (Err(error), _) => Err(error.to_string()),
        }
    }

    /// As files have it: pictures are read in one place.
    fn png(image: ImageData<'_>) -> Result<Zeroizing<Vec<u8>>, png::EncodingError> {
        let pixels = Zeroizing::new(image.bytes.into_owned());
        let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut bytes = Zeroizing::new(Vec::new());
        let mut encoder = png::Encoder::new(&mut *bytes, size(image.width), size(image.height));
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_compression(png::Compression::Fast);
        encoder.write_header()?.write_image_data(&pixels)?;
        Ok(bytes)
    }
}

#[cfg(not(feature = "clipboard"))]
mod native {
    use std::convert::Infallible;
    use std::time::Duration;

    use zeroize::Zeroizing;

    const NONE: &str = "this program was built without support for one";

    pub(super) struct Held(Infallible);

    impl Held {
        pub(super) fn new(_text: &str) -> Result<Self, String> {
            Err(NONE.to_owned())
        }

        pub(super) fn keep(self, _left: impl Fn() -> Option<Duration>, _text: &str) {
            match self.0 {}
        }
    }

    pub(super) fn read() -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        Err(NONE.to_owned())
    }
}
