//! Where an answer goes: to stdout or into a file, as it came or as JSON.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use data_encoding::BASE64;
use keyfob_core::message::{ErrorCode, Failure};
use serde_json::json;

use super::object;
use crate::aws_call;
use crate::cli::output;
use crate::error::failure;
use crate::http::Response;
use crate::signals;

/// What is to become of an answer.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    /// The file that is wanted; `-` is stdout.
    pub(super) file: Option<&'a Path>,
    /// Status and headers are wanted too.
    pub(super) include: bool,
    /// JSON is wanted.
    pub(super) json: bool,
    /// Nothing but failures is said.
    pub(super) quiet: bool,
}

impl Output<'_> {
    /// Gives it.
    ///
    /// # Errors
    /// [`ErrorCode::AwsRefused`] for one that refuses, which is shown, and changes no file; [`ErrorCode::Io`] if it breaks off,
    /// cannot be written, or is nothing for a terminal.
    pub(super) fn give(self, mut response: Response) -> Result<(), Failure> {
        // A redirect is none that could be followed: the signature is for this host.
        if response.status >= 300 && response.status != 304 {
            return Err(self.refused(&mut response));
        }
        let head = if self.include { head(&response) } else { String::new() };
        if let Some(path) = self.file.filter(|path| *path != Path::new("-")) {
            let len = save(path, &head, &mut response)?;
            if !self.json {
                return Ok(());
            }
            return output::json(&json!({
                "status": response.status,
                "headers": object(&response.headers),
                "file": path.to_string_lossy(),
                "length": len,
            }));
        }
        let mut out = Stdout { text: self.text(), gone: false, unfit: false };
        let copied = if self.json {
            copy_as_json(&mut response, &mut out)
        } else {
            let begun = out.write_all(head.as_bytes()).map_err(|error| unwritten(&error));
            begun.and_then(|()| response.copy_to(&mut out).map(drop))
        };
        // Whoever has read enough has gone.
        if out.gone {
            return Ok(());
        }
        if out.unfit || copied.is_ok() && out.text.is_some_and(|text| !text.cut.is_empty()) {
            let said = "the answer is no text, and could do anything to the terminal: not all of it is shown";
            return Err(failure(ErrorCode::Io, said, "give -o FILE, or -o - to print it all the same"));
        }
        copied
    }

    /// What is looked at before it gets to a terminal.
    fn text(self) -> Option<Text> {
        (io::stdout().is_terminal() && self.file != Some(Path::new("-"))).then(Text::default)
    }

    /// Shows what a server says when it refuses, and makes it the failure.
    fn refused(self, response: &mut Response) -> Failure {
        let body = response.read(aws_call::MAX_ERROR).unwrap_or_default();
        let refused = aws_call::refused_with(response, &body);
        // That it cannot be shown matters less than what it says.
        if self.json {
            let _ = output::json(&json!({
                "status": response.status,
                "headers": object(&response.headers),
                "body": BASE64.encode(&body),
            }));
            return refused;
        }
        let head = if self.include { head(response) } else { String::new() };
        let line = io::stdout().is_terminal() && body.last().is_some_and(|last| *last != b'\n');
        let all = [head.as_bytes(), &body, if line { b"\n" } else { b"" }].concat();
        if self.text().is_some_and(|mut text| text.take(&all).is_none_or(|taken| taken != all)) {
            output::note(
                self.quiet,
                "What it answered is no text, and is left out: -o - prints it all the same.",
            );
        } else {
            let _ = output::raw(&all);
        }
        refused
    }
}

/// Status and headers.
fn head(response: &Response) -> String {
    let headers = response.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
    format!("HTTP/1.1 {}\n{}\n", response.status, headers.collect::<String>())
}

fn unwritten(error: &dyn std::fmt::Display) -> Failure {
    failure(ErrorCode::Io, format!("cannot write the answer: {error}"), "")
}

/// Writes an answer as an object with its status, its headers and its body (RFC 4648 section 4), however long that is: one that
/// breaks off leaves what is no JSON.
fn copy_as_json(response: &mut Response, out: &mut Stdout) -> Result<(), Failure> {
    let headers = serde_json::Value::from(object(&response.headers));
    let head = format!("{{\"status\":{},\"headers\":{headers},\"body\":\"", response.status);
    out.write_all(head.as_bytes()).map_err(|error| unwritten(&error))?;
    let mut body = InBase64 { out: &mut *out, rest: Vec::new() };
    response.copy_to(&mut body)?;
    let rest = BASE64.encode(&body.rest);
    out.write_all(format!("{rest}\"}}\n").as_bytes()).map_err(|error| unwritten(&error))
}

/// Writes in Base64 what it gets, but for the bytes behind the last three.
struct InBase64<'a> {
    out: &'a mut dyn Write,
    rest: Vec<u8>,
}

impl Write for InBase64<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        let rest = self.rest.split_off(self.rest.len() / 3 * 3);
        self.out.write_all(BASE64.encode(&self.rest).as_bytes())?;
        self.rest = rest;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Text that comes in parts, fit for a terminal: in UTF-8, without control characters but tabs and the ends of lines.
#[derive(Default)]
struct Text {
    /// The beginning of a character whose end is still to come.
    cut: Vec<u8>,
}

impl Text {
    /// The text so far, as of the end of what was taken before; none if it is no such text.
    fn take(&mut self, part: &[u8]) -> Option<Vec<u8>> {
        let mut all = [&self.cut, part].concat();
        let valid = match std::str::from_utf8(&all) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return None,
        };
        self.cut = all.split_off(valid);
        let text = String::from_utf8(all).ok()?;
        let is_bad = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
        (!text.contains(is_bad)).then(|| text.into_bytes())
    }
}

/// Standard output, that of somebody who may have gone, or of a terminal.
struct Stdout {
    text: Option<Text>,
    gone: bool,
    /// What was to be written is nothing for a terminal.
    unfit: bool,
}

impl Stdout {
    fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.gone |= result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        result
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(text) = &mut self.text else {
            let written = io::stdout().lock().write(bytes);
            return self.noted(written);
        };
        let Some(text) = text.take(bytes) else {
            self.unfit = true;
            return Err(io::ErrorKind::InvalidData.into());
        };
        let written = io::stdout().lock().write_all(&text);
        self.noted(written).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = io::stdout().lock().flush();
        self.noted(flushed)
    }
}

/// Writes the answer into a file: all of it, or nothing. What is no file (a device, a pipe) gets it as it comes. Gives the
/// body's length in bytes.
fn save(path: &Path, head: &str, response: &mut Response) -> Result<u64, Failure> {
    let unwritten = |error: &dyn std::fmt::Display| {
        failure(
            ErrorCode::Io,
            format!("cannot write {}: {error}", path.display()),
            "choose another file for -o",
        )
    };
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        let mut file = File::options().write(true).open(path).map_err(|error| unwritten(&error))?;
        file.write_all(head.as_bytes()).map_err(|error| unwritten(&error))?;
        return response.copy_to(&mut file);
    }
    // Where a link leads, rather than the link.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if target.exists() {
        // One that may not be written is not replaced either.
        File::options().write(true).open(&target).map_err(|error| unwritten(&error))?;
    }
    let mut part = tempfile::Builder::new();
    part.prefix(".keyfob-").suffix(".part");
    // As any new file, by the mask of the user.
    #[cfg(unix)]
    part.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut part = part.tempfile_in(folder).map_err(|error| unwritten(&error))?;
    let path_of_part = part.path().to_owned();
    let _removed = signals::at_end(move || drop(std::fs::remove_file(path_of_part)));
    part.write_all(head.as_bytes()).map_err(|error| unwritten(&error))?;
    let len = response.copy_to(&mut part)?;
    if let Ok(metadata) = target.metadata() {
        // One that is there keeps its own; if not, it is no reason to lose the answer.
        let _ = part.as_file().set_permissions(metadata.permissions());
    }
    part.persist(&target).map_err(|error| unwritten(&error.error))?;
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fit_for_a_terminal() {
        #[track_caller]
        fn check(bytes: &[u8], fit: bool) {
            // However it is cut.
            for at in 0..=bytes.len() {
                let mut text = Text::default();
                let (first, second) = bytes.split_at(at);
                let taken = [first, second].map(|part| text.take(part));
                assert_eq!(taken.iter().all(Option::is_some) && text.cut.is_empty(), fit, "{bytes:?} {at}");
                if fit {
                    assert_eq!(taken.into_iter().flatten().flatten().collect::<Vec<_>>(), bytes);
                }
            }
        }
        check(b"", true);
        check("<a>\n\tü 漢 😀\r\n".as_bytes(), true);
        check(b"a\x1b[2Jb", false);
        check(b"a\0b", false);
        check(b"\x7f", false);
        check("\u{9b}2J".as_bytes(), false);
        check(b"\x9b2J", false);
        check(b"\xe6\xbc", false);
    }

    #[test]
    fn base64_however_it_comes() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..10 {
            let mut out = Vec::new();
            let mut body = InBase64 { out: &mut out, rest: Vec::new() };
            for part in bytes.chunks(len.max(1)) {
                body.write_all(part).unwrap();
            }
            let rest = BASE64.encode(&body.rest);
            assert_eq!(String::from_utf8(out).unwrap() + &rest, BASE64.encode(&bytes));
        }
    }
}
