//! Asking the person: secrets and consent, on the terminal device.
//!
//! The terminal device is used rather than the standard streams because these are often not a terminal when a
//! person is there all the same: AWS tools swallow the stderr of a credential process, and shells capture stdout.
//! No secret is ever an argument of the command line.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};

use keyfob_core::message::ErrorCode;
use keyfob_core::secret::Secret;
use zeroize::{Zeroize as _, Zeroizing};

/// The environment variable that names the file whose first line is the software key's passphrase.
pub const PASSPHRASE_FILE_ENV: &str = "KEYFOB_PASSPHRASE_FILE";

/// Longest secret, in bytes; the longest in use are `otpauth://` URIs.
const MAX_SECRET: usize = 8192;

/// The terminal device, for reading and for writing.
#[cfg(unix)]
pub(crate) const TERMINAL: (&str, &str) = ("/dev/tty", "/dev/tty");
/// The terminal device, for reading and for writing.
#[cfg(not(unix))]
pub(crate) const TERMINAL: (&str, &str) = ("CONIN$", "CONOUT$");

/// Why nothing could be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// There is no terminal.
    #[error("no terminal to ask for {0} on")]
    NoTerminal(String),
    /// The person gave nothing, or the input has ended.
    #[error("nothing was given for {0}")]
    Nothing(String),
    /// Two inputs that should be the same are not.
    #[error("the two inputs differ: try again")]
    Mismatch,
    /// More than a secret has.
    #[error("{0} is longer than {MAX_SECRET} bytes")]
    TooLong(String),
    /// The file that the environment names cannot be read.
    #[error("cannot read {}, which {PASSPHRASE_FILE_ENV} names: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("cannot ask for {what}: {source}")]
    Io {
        /// What was asked for.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl PromptError {
    /// The protocol's code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            // Whatever wanted a passphrase stays locked without one.
            Self::NoTerminal(_) | Self::Nothing(_) => ErrorCode::Locked,
            Self::Mismatch | Self::TooLong(_) => ErrorCode::InvalidInput,
            Self::File { .. } | Self::Io { .. } => ErrorCode::Io,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoTerminal(_) => Some(
                "Run it in a terminal, pipe the secret into it, or put a software key's passphrase into a file \
                 and name that in KEYFOB_PASSPHRASE_FILE",
            ),
            Self::Nothing(_) => Some("Type it, or pipe it in as one line"),
            Self::File { .. } => {
                Some("Name a file whose first line is the passphrase, or unset the variable")
            }
            Self::Mismatch | Self::TooLong(_) | Self::Io { .. } => None,
        }
    }
}

/// A software key's passphrase: the first line of the file that [`PASSPHRASE_FILE_ENV`] names, else typed on the
/// terminal. `what` completes "enter …"; `env` reads an environment variable; `warn` gets a sentence if others
/// can read the file.
///
/// # Errors
/// [`PromptError`].
pub fn passphrase(
    what: &str,
    env: impl Fn(&str) -> Option<OsString>,
    warn: &mut dyn FnMut(&str),
) -> Result<Secret, PromptError> {
    match passphrase_file(what, env, warn)? {
        Some(secret) => Ok(secret),
        None => typed_secret(what),
    }
}

/// As [`passphrase`], for a new one: typed twice.
///
/// # Errors
/// [`PromptError`].
pub fn new_passphrase(
    what: &str,
    env: impl Fn(&str) -> Option<OsString>,
    warn: &mut dyn FnMut(&str),
) -> Result<Secret, PromptError> {
    if let Some(secret) = passphrase_file(what, env, warn)? {
        return Ok(secret);
    }
    typed_twice(what)
}

/// As [`secret`], for a new one: typed twice.
///
/// # Errors
/// [`PromptError`].
pub fn new_secret(what: &str) -> Result<Secret, PromptError> {
    if io::stdin().is_terminal() { typed_twice(what) } else { secret(what) }
}

fn typed_twice(what: &str) -> Result<Secret, PromptError> {
    let first = typed_secret(what)?;
    if first == typed_secret(&format!("{what} again"))? { Ok(first) } else { Err(PromptError::Mismatch) }
}

/// The first line of the file that [`PASSPHRASE_FILE_ENV`] names; none if it names none.
///
/// # Errors
/// [`PromptError::File`], [`PromptError::Nothing`], [`PromptError::TooLong`].
pub fn passphrase_file(
    what: &str,
    env: impl Fn(&str) -> Option<OsString>,
    warn: &mut dyn FnMut(&str),
) -> Result<Option<Secret>, PromptError> {
    let Some(path) = env(PASSPHRASE_FILE_ENV).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Ok(None);
    };
    let mut file = File::open(&path).map_err(|source| PromptError::File { path: path.clone(), source })?;
    warn_if_exposed(&path, &file, warn);
    match read_line(what, &mut file) {
        Err(PromptError::Io { source, .. }) => Err(PromptError::File { path, source }),
        result => result.map(Some),
    }
}

/// Warns if others can read a file that has a secret in it. Not refused: where secrets are mounted into a container, nobody else
/// is there.
pub(crate) fn warn_if_exposed(path: &Path, file: &File, warn: &mut dyn FnMut(&str)) {
    if is_exposed(file) {
        warn(&format!("{} can be read by others: run `chmod 600` on it", path.display()));
    }
}

fn is_exposed(file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        false
    }
}

/// A secret from standard input if something is piped into it, one line, else typed on the terminal.
///
/// # Errors
/// [`PromptError`].
pub fn secret(what: &str) -> Result<Secret, PromptError> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return typed_secret(what);
    }
    let mut input = crate::front::unbuffered_stdin()
        .map_err(|source| PromptError::Io { what: what.to_owned(), source })?;
    read_line(what, &mut input)
}

/// A secret typed on the terminal, without echo.
///
/// # Errors
/// [`PromptError`].
pub fn typed_secret(what: &str) -> Result<Secret, PromptError> {
    typed_on(what, TERMINAL)
}

fn typed_on(what: &str, (input, output): (&str, &str)) -> Result<Secret, PromptError> {
    if OpenOptions::new().read(true).open(input).is_err() {
        return Err(PromptError::NoTerminal(what.to_owned()));
    }
    #[cfg(unix)]
    let _echo = echo(Path::new(input));
    let config = rpassword::ConfigBuilder::new().input_file_path(input).output_file_path(output).build();
    match rpassword::prompt_password_with_config(format!("Enter {}: ", printable(what)), config) {
        Ok(text) if text.is_empty() => Err(PromptError::Nothing(what.to_owned())),
        Ok(mut text) if text.len() > MAX_SECRET => {
            text.zeroize();
            Err(PromptError::TooLong(what.to_owned()))
        }
        Ok(text) => Ok(Secret::from(text)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(PromptError::Nothing(what.to_owned()))
        }
        Err(source) => Err(PromptError::Io { what: what.to_owned(), source }),
    }
}

/// Has the terminal show again what is typed, should a signal end the process while it does not. In the background nothing is
/// listened to: there the system stops a process that asks, and a stopped one is ended by what nobody listens to alone.
#[cfg(unix)]
fn echo(terminal: &Path) -> Option<crate::signals::AtEnd> {
    use rustix::process::getpgrp;
    use rustix::termios::{OptionalActions, tcgetattr, tcgetpgrp, tcsetattr};
    let device = File::open(terminal).ok()?;
    let before = tcgetattr(&device).ok()?;
    let is_in_front = |device: &File| tcgetpgrp(device).is_ok_and(|group| group == getpgrp());
    is_in_front(&device).then(|| {
        crate::signals::at_end(move || {
            if is_in_front(&device) {
                let _ = tcsetattr(&device, OptionalActions::Now, &before);
            }
        })
    })
}

/// One line, without its end (`\n` or `\r\n`), read byte by byte: nothing of the secret stays in a buffer and
/// nothing behind it is taken.
fn read_line(what: &str, input: &mut impl Read) -> Result<Secret, PromptError> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_SECRET));
    let mut byte = Zeroizing::new([0]);
    loop {
        match input.read(&mut *byte) {
            Ok(0) => break,
            Ok(_) if *byte == *b"\n" => break,
            Ok(_) if line.len() == MAX_SECRET => return Err(PromptError::TooLong(what.to_owned())),
            Ok(_) => line.extend_from_slice(&*byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(PromptError::Io { what: what.to_owned(), source }),
        }
    }
    let secret = line.strip_suffix(b"\r").unwrap_or(&line);
    if secret.is_empty() {
        return Err(PromptError::Nothing(what.to_owned()));
    }
    Ok(Secret::new(secret.to_owned()))
}

/// Asks for consent on the terminal. Anything but `y` or `yes` is a no.
///
/// # Errors
/// [`PromptError::NoTerminal`] where nobody can be asked.
pub fn confirm(question: &str) -> Result<bool, PromptError> {
    let answer = answer(&format!("{question} [y/N] "))?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Asks a question on the terminal and reads one line, trimmed.
///
/// # Errors
/// [`PromptError::NoTerminal`] where nobody can be asked.
pub fn answer(question: &str) -> Result<String, PromptError> {
    let nobody = |_| PromptError::NoTerminal("consent".to_owned());
    let input = OpenOptions::new().read(true).open(TERMINAL.0).map_err(nobody)?;
    let mut output = OpenOptions::new().write(true).open(TERMINAL.1).map_err(nobody)?;
    let failed = |source| PromptError::Io { what: "consent".to_owned(), source };
    write!(output, "{}", printable(question)).map_err(failed)?;
    let mut answer = String::new();
    io::BufReader::new(input.take(1024)).read_line(&mut answer).map_err(failed)?;
    Ok(answer.trim().to_owned())
}

/// Text of others (an account's name on a card, a page's host) as it may stand on a terminal: control characters,
/// those that change the writing direction, and those that cannot be seen are replaced, so that it cannot pass for
/// something else.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    // Unicode's Default_Ignorable_Code_Point, the line and paragraph separators, and the blank pattern of Braille.
    let is_bad = |c: char| {
        c.is_control()
            || matches!(c,
                '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
                | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
    };
    if text.contains(is_bad) { text.replace(is_bad, "\u{fffd}").into() } else { text.into() }
}

/// Text from outside, fit for a prompt of one line.
#[must_use]
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut clean: String = printable(text).chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        clean.push('…');
    }
    clean
}

/// `1234567` as `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Text from outside as one word of a prompt: what could be taken for another part of it is in quotes, and what is too long
/// is cut in the middle, for its end may matter as much as its beginning.
#[must_use]
pub fn word(text: &str) -> String {
    const LONGEST: usize = 200;
    const FIRST: usize = 120;
    const LAST: usize = 60;
    let clean: Vec<char> = printable(text).chars().collect();
    let is_plain = |c: &char| c.is_alphanumeric() || "-._~/:+=@%*$!&;?#[]".contains(*c);
    let plain = !clean.is_empty() && clean.iter().all(is_plain);
    let (first, last) = match clean.len() {
        0..=LONGEST => (clean.as_slice(), [].as_slice()),
        len => (clean.get(..FIRST).unwrap_or_default(), clean.get(len - LAST..).unwrap_or_default()),
    };
    let spelled = |part: &[char]| -> String {
        let escape = |c: &char| {
            (!plain && matches!(c, '"' | '\\')).then_some('\\').into_iter().chain([*c]).collect::<String>()
        };
        part.iter().map(escape).collect()
    };
    let cut = if last.is_empty() { "" } else { "…" };
    let quote = if plain { "" } else { "\"" };
    [quote, &spelled(first), cut, &spelled(last), quote].concat()
}

/// A real terminal device for tests: a pseudo-terminal.
#[cfg(test)]
#[cfg(target_os = "linux")]
pub(crate) mod pseudo_terminal {
    use std::fs::{File, OpenOptions};
    use std::io::Read as _;
    use std::path::PathBuf;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{Winsize, tcsetwinsize};

    /// A pseudo-terminal.
    pub(crate) struct Terminal {
        /// What the person sees and types.
        pub(crate) screen: File,
        /// Its device.
        pub(crate) path: PathBuf,
        /// Keeps the device alive between the opens of others.
        pub(crate) device: File,
    }

    /// One of that width.
    pub(crate) fn terminal(columns: u16) -> Terminal {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let path = PathBuf::from(ptsname(&screen, Vec::new()).unwrap().into_string().unwrap());
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&screen, size).unwrap();
        // Never this process's controlling terminal.
        let device = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        Terminal { screen: File::from(screen), path, device }
    }

    impl Terminal {
        /// What comes, until it is at least `length` bytes: a terminal hands on what it has so far.
        pub(crate) fn read(&mut self, length: usize) -> String {
            let mut text = Vec::new();
            let mut bytes = [0; 4096];
            while text.len() < length {
                let n = self.screen.read(&mut bytes).unwrap();
                text.extend_from_slice(&bytes[..n]);
            }
            String::from_utf8(text).unwrap()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_no_more() {
        #[track_caller]
        fn check(input: &[u8], expected: Result<&[u8], &str>, rest: &[u8]) {
            let mut input = input;
            match (read_line("the secret", &mut input), expected) {
                (Ok(secret), Ok(expected)) => assert_eq!(secret.expose(), expected),
                (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected),
                (actual, expected) => panic!("{actual:?} is not {expected:?}"),
            }
            assert_eq!(input, rest);
        }
        check(b"a b", Ok(b"a b"), b"");
        check(b"one\ntwo\n", Ok(b"one"), b"two\n");
        check(b"one\r\n", Ok(b"one"), b"");
        check(b" \xff \n", Ok(b" \xff "), b"");
        check(b"", Err("nothing was given for the secret"), b"");
        check(b"\nlater", Err("nothing was given for the secret"), b"later");
        check(&[b'x'; MAX_SECRET], Ok(&[b'x'; MAX_SECRET]), b"");
        check(&[b'x'; MAX_SECRET + 1], Err("the secret is longer than 8192 bytes"), b"");
    }

    #[test]
    fn the_environment_names_a_file_with_the_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass");
        let env = |name: &str| (name == PASSPHRASE_FILE_ENV).then(|| path.clone().into_os_string());
        let error = passphrase("it", env, &mut |_| panic!()).unwrap_err();
        assert!(matches!(error, PromptError::File { .. }), "{error:?}");
        crate::paths::write_atomically(&path, b"correct horse\nbattery").unwrap();
        let secret = new_passphrase("it", env, &mut |warning| panic!("{warning}")).unwrap();
        assert_eq!(secret.expose(), b"correct horse");
        assert!(passphrase_file("it", |_| None, &mut |_| ()).unwrap().is_none());
        assert!(passphrase_file("it", |_| Some(OsString::new()), &mut |_| ()).unwrap().is_none());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).unwrap();
            let mut warnings = Vec::new();
            passphrase("it", env, &mut |warning| warnings.push(warning.to_owned())).unwrap();
            assert!(warnings.len() == 1 && warnings[0].contains("can be read by others"), "{warnings:?}");
        }
    }

    #[test]
    fn text_of_others_cannot_steer_the_terminal() {
        assert_eq!(printable("a é 漢"), "a é 漢");
        assert_eq!(
            printable("a\x1b[2Jb\r\nc\u{202e}d\u{85}"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}d\u{fffd}"
        );
    }

    #[test]
    fn prompts_cannot_be_forged_by_names() {
        assert_eq!(shown("a\x1b[2Jb\nc\u{202E}d"), "a\u{FFFD}[2Jb\u{FFFD}c\u{FFFD}d");
        assert_eq!(shown(&"x".repeat(300)).chars().count(), 201);
    }

    /// On a real terminal device: a pseudo-terminal.
    #[cfg(target_os = "linux")]
    mod terminal {
        use std::time::{Duration, Instant};

        use rustix::termios::{LocalModes, tcgetattr};

        use super::super::pseudo_terminal::terminal;
        use super::*;

        #[test]
        fn secrets_are_typed_without_echo() {
            let mut terminal = terminal(80);
            let path = terminal.path.to_str().unwrap().to_owned();
            let asking = std::thread::spawn(move || typed_on("the \x1bpassphrase", (&path, &path)));
            let prompt = "Enter the \u{fffd}passphrase: ";
            assert_eq!(terminal.read(prompt.len()), prompt);
            let start = Instant::now();
            while tcgetattr(&terminal.device).unwrap().local_modes.contains(LocalModes::ECHO) {
                assert!(start.elapsed() < Duration::from_secs(5), "echo stays on");
                std::thread::sleep(Duration::from_millis(1));
            }
            terminal.screen.write_all(b"hunter2\n").unwrap();
            assert_eq!(asking.join().unwrap().unwrap().expose(), b"hunter2");
            (&terminal.device).write_all(b".").unwrap();
            let mut shown = String::new();
            while !shown.ends_with('.') {
                shown += &terminal.read(1);
            }
            assert!(!shown.contains("hunter"), "{shown:?}");
            let restored = tcgetattr(&terminal.device).unwrap().local_modes;
            assert!(restored.contains(LocalModes::ECHO));
        }

        #[test]
        fn without_a_terminal_that_is_said() {
            let error = typed_on("the passphrase", ("/nonexistent", "/nonexistent")).unwrap_err();
            assert!(matches!(error, PromptError::NoTerminal(_)), "{error:?}");
            assert_eq!(error.code(), ErrorCode::Locked);
            assert!(error.hint().unwrap().contains("KEYFOB_PASSPHRASE_FILE"));
        }
    }
}
