//! `otpauth` and `otpauth-migration` URIs, of a text or of QR codes.

use keyfob_core::oath::{Migration, OtpAuth};
use zeroize::Zeroizing;

use super::error::{EntryError, ImportError, Origin};
use super::record::{Collector, finish};
use super::{Batches, Imported, MAX_ENTRIES};

/// Reads a text of one URI a line. Blank lines, and lines that begin with `#`, say nothing.
pub(super) fn from_lines(text: &str, batches: &mut Batches) -> Result<Vec<Imported>, ImportError> {
    let lines = || {
        text.lines()
            .enumerate()
            .map(|(i, line)| (i + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    };
    if lines().nth(MAX_ENTRIES).is_some() {
        return Err(ImportError::TooMany);
    }
    let known = |line: &str| ["otpauth", "motp:", "steam:"].iter().any(|s| starts_with(line, s));
    if lines().next().is_some() && !lines().any(|(_, line)| known(line)) {
        return Err(ImportError::UnknownFormat);
    }
    read(lines().map(|(number, line)| (line, Origin::Line(number))), batches)
}

/// Reads what stands in the QR codes of a picture.
#[cfg(feature = "qr")]
pub(super) fn from_codes(
    codes: &[Zeroizing<String>],
    batches: &mut Batches,
) -> Result<Vec<Imported>, ImportError> {
    read(codes.iter().zip(1..).map(|(code, number)| (code.trim(), Origin::QrCode(number))), batches)
}

fn read<'a>(
    uris: impl Iterator<Item = (&'a str, Origin)>,
    batches: &mut Batches,
) -> Result<Vec<Imported>, ImportError> {
    let mut collector = Collector::default();
    let mut parts = Vec::new();
    for (uri, origin) in uris {
        if !Migration::is_uri(uri) {
            collector.push(origin, String::new, account(uri));
            continue;
        }
        match Migration::parse(uri) {
            Err(error) => collector.push(origin, String::new, Err(error.into())),
            Ok(migration) => {
                parts.push((migration.batch, migration.size, migration.index));
                for (migrated, number) in migration.accounts.into_iter().zip(1..) {
                    let origin = match origin {
                        Origin::Line(line) => Origin::LineAccount(line, number),
                        Origin::QrCode(code) => Origin::QrCodeAccount(code, number),
                        other => other,
                    };
                    let read = migrated.account.map_err(EntryError::from);
                    collector.push(origin, || migrated.name, read.and_then(|account| finish(account, false)));
                }
            }
        }
    }
    let accounts = collector.finish()?;
    for (batch, size, index) in parts {
        batches.add(batch, size, index);
    }
    Ok(accounts)
}

/// Reads one `otpauth` URI, and what apps have made of it.
pub(super) fn account(uri: &str) -> Result<(OtpAuth, bool), EntryError> {
    if starts_with(uri, "motp:") {
        return Err(EntryError::Kind("mOTP"));
    }
    if starts_with(uri, "otpauth://yaotp/") || starts_with(uri, "otpauth://yandex/") {
        return Err(EntryError::Kind("Yandex"));
    }
    if !starts_with(uri, "otpauth:") {
        return Err(EntryError::NoUri);
    }
    // Aegis has a kind of its own for Steam, KeePassXC a parameter.
    let steam_kind = "otpauth://steam/";
    if starts_with(uri, steam_kind) {
        let rest = uri.get(steam_kind.len()..).unwrap_or_default();
        let totp = Zeroizing::new(["otpauth://totp/", rest].concat());
        return finish(OtpAuth::parse(&totp)?, true);
    }
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    let steam = query.split('&').any(|pair| pair.eq_ignore_ascii_case("encoder=steam"));
    finish(OtpAuth::parse(uri)?, steam)
}

/// Whether `text` begins with `start`, whatever the case.
pub(super) fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}
