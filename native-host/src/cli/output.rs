//! What is printed, as text or as JSON.

use std::io::{self, IsTerminal as _, Write as _};

use keyfob_core::message::{Account, AccountKind, ErrorCode, Failure, Identity, Key, KeyKind};
use serde::Serialize;

use crate::error::failure as failed;
use crate::prompt::printable;

/// Prints a line of data. A reader that has gone away (`| head -1`) is no error worth words.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    raw(format!("{text}\n").as_bytes())
}

/// Prints data as JSON, on several lines for people.
pub(super) fn json(data: &impl Serialize) -> Result<(), Failure> {
    let text = if io::stdout().is_terminal() {
        serde_json::to_string_pretty(data)
    } else {
        serde_json::to_string(data)
    };
    line(&text.map_err(|error| failed(ErrorCode::Internal, error, ""))?)
}

/// Prints text as it is.
pub(super) fn raw(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(failed(ErrorCode::Io, format!("cannot write to stdout: {error}"), ""))
        }
        _ => Ok(()),
    }
}

/// Says something on stderr.
pub(super) fn note(quiet: bool, text: &str) {
    if !quiet {
        // Nobody is left to be told that stderr is closed.
        let _ = writeln!(io::stderr(), "{}", printable(text));
    }
}

/// Says why there is no result: on stderr, as text or as JSON.
pub(super) fn failure(failure: &Failure, json: bool) {
    #[derive(Serialize)]
    struct Error<'a> {
        error: &'a Failure,
    }
    let mut stderr = io::stderr().lock();
    let result = if json {
        let text = serde_json::to_string(&Error { error: failure }).unwrap_or_default();
        writeln!(stderr, "{text}")
    } else {
        let mut text = format!("keyfob: {}\n", printable(&failure.message));
        for candidate in &failure.candidates {
            text += &format!("  {}\n", printable(candidate));
        }
        if let Some(hint) = &failure.hint {
            text += &format!("  → {}\n", printable(hint));
        }
        write!(stderr, "{text}")
    };
    // Nobody is left to be told that stderr is closed.
    let _ = result;
}

/// Rows of cells under each other.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    // What no row has takes no room.
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            line += &format!("{cell:<width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Prints cells under each other.
pub(super) fn rows(rows: &[Vec<String>]) -> Result<(), Failure> {
    raw(table(rows).as_bytes())
}

/// The keys, one a line.
pub(super) fn keys(keys: &[Key]) -> Result<(), Failure> {
    let row = |key: &Key| {
        let kind = match key.kind {
            KeyKind::Software => "software key",
            _ => "smart card",
        };
        let locked = if key.locked { "locked" } else { "" };
        let form_factor = key.form_factor.as_deref().unwrap_or_default();
        vec![
            printable(&key.id).into_owned(),
            printable(key.name.as_deref().unwrap_or_default()).into_owned(),
            kind.to_owned(),
            printable(key.firmware.as_ref().unwrap_or(&key.version)).into_owned(),
            printable(form_factor).into_owned(),
            printable(&key.label).into_owned(),
            printable(&key.enabled.join(", ")).into_owned(),
            locked.to_owned(),
        ]
    };
    rows(&keys.iter().map(row).collect::<Vec<_>>())
}

/// The accounts, one a line, with their codes where they have any.
pub(super) fn accounts(accounts: &[Account], codes: bool) -> Result<(), Failure> {
    let row = |account: &Account| {
        let name = printable(&account.name).into_owned();
        let note = match (&account.code, account.kind, account.touch) {
            (Some(code), _, _) => code.value.clone(),
            (None, AccountKind::Hotp, _) if codes => "(counter: ask for it by name)".to_owned(),
            (None, AccountKind::Hotp, _) => "HOTP".to_owned(),
            (None, _, Some(true)) if codes => "(touch: ask for it by name)".to_owned(),
            (None, _, Some(true)) => "TOTP touch".to_owned(),
            (None, _, _) if codes => "(ask for it by name)".to_owned(),
            (None, _, _) => "TOTP".to_owned(),
        };
        vec![name, note]
    };
    rows(&accounts.iter().map(row).collect::<Vec<_>>())
}

/// The identities, one a line.
pub(super) fn identities(identities: &[Identity]) -> Result<(), Failure> {
    let row = |identity: &Identity| {
        let touch = match identity.touch {
            Some(true) => "touch",
            Some(false) => "no touch",
            None => "",
        };
        vec![identity.access_key_id.clone(), format!("{:?}", identity.signature), touch.to_owned()]
    };
    rows(&identities.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let cells = |row: &[&str]| row.iter().map(|&c| c.to_owned()).collect();
        assert_eq!(table(&[cells(&["a", "1"]), cells(&["ünü", "22"])]), "a    1\nünü  22\n");
        assert_eq!(table(&[]), "");
    }
}
