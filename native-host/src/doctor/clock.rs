//! Whether the clock is right: codes follow from it. A server's `Date` header says what time it is, to the second.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keyfob_core::oath::protocol::DEFAULT_PERIOD;
use keyfob_core::sigv4::AmzDate;
use ureq::tls::{RootCerts, TlsConfig};

use super::Finding;

/// Who is asked if nobody else is named: AWS, for that is who will look at the codes.
pub const DEFAULT_URL: &str = "https://sts.amazonaws.com/";

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the time is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// Anybody on the way could tell any time.
    #[error("{0} is no https:// address")]
    NotHttps(String),
    /// There was no answer.
    #[error("{url} does not answer: {source}")]
    Http {
        /// Who was asked.
        url: String,
        /// What happened.
        source: Box<ureq::Error>,
    },
    /// The answer does not tell the time.
    #[error("{url} does not tell the time: its Date header is {got:?}")]
    Date {
        /// Who was asked.
        url: String,
        /// What it said instead.
        got: Option<String>,
    },
}

/// Asks the server at `url` for the time, and says whether the clock is right.
#[must_use]
pub fn check(url: &str) -> Finding {
    match offset(url) {
        Ok(offset) => judge(offset, url),
        Err(error) => Finding::problem(
            "clock-unknown",
            error.to_string(),
            "see that you are online, or name another server: `keyfob doctor --clock https://…`; a clock that is far off \
             makes certificates look invalid, too",
        ),
    }
}

/// What it means that the clock is so many seconds ahead.
fn judge(offset: i64, url: &str) -> Finding {
    let step = i64::from(DEFAULT_PERIOD);
    if offset.abs() <= step {
        return Finding::ok("clock", format!("the clock is right to the step of {step} s, as {url} says"));
    }
    let direction = if offset > 0 { "ahead" } else { "behind" };
    Finding::problem(
        "clock-off",
        format!(
            "the clock is {} s {direction}, as {url} says: codes and signatures are refused",
            offset.abs()
        ),
        if cfg!(windows) {
            "switch on \"Set time automatically\" in the settings, or run `w32tm /resync` as administrator"
        } else if cfg!(target_os = "macos") {
            "switch on \"Set time and date automatically\" in System Settings, or run `sudo sntp -sS time.apple.com`"
        } else {
            "let it be set over the network: `sudo timedatectl set-ntp true`"
        },
    )
}

/// How many seconds this clock is ahead of the server's.
fn offset(url: &str) -> Result<i64, ClockError> {
    if !url.starts_with("https://") {
        return Err(ClockError::NotHttps(url.to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(PATIENCE))
        // Any answer has the header, and only the first is from whom we asked.
        .max_redirects(0)
        .http_status_as_error(false)
        .https_only(true)
        .user_agent(concat!("keyfob/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let start = Instant::now();
    let response = agent
        .head(url)
        .call()
        .map_err(|source| ClockError::Http { url: url.to_owned(), source: Box::new(source) })?;
    // The server wrote it between question and answer: half of that time is the best guess.
    let age = start.elapsed() / 2;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(age).as_secs();
    let header =
        response.headers().get("date").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let date = header.as_deref().and_then(http_date);
    let date = date.ok_or_else(|| ClockError::Date { url: url.to_owned(), got: header })?;
    Ok(now.cast_signed() - date.cast_signed())
}

/// Unix time of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7: the one form that is written today).
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.trim().split_once(", ")?;
    let mut words = rest.split(' ');
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let (clock, zone) = (words.next()?, words.next()?);
    if zone != "GMT" || words.next().is_some() || day.len() != 2 || clock.len() != 8 {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let text = format!("{year}{month:02}{day}T{}Z", clock.replace(':', ""));
    AmzDate::parse(&text).ok().map(|date| date.unix())
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn dates_of_servers_are_read() {
        #[track_caller]
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(http_date(text), expected, "{text}");
        }
        // RFC 9110's own example; `date -ud` says the same of the next.
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777));
        check("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199));
        check("Thu, 30 Feb 2024 23:59:59 GMT", None);
        check("Sunday, 06-Nov-94 08:49:37 GMT", None);
        check("Sun Nov  6 08:49:37 1994", None);
        check("Sun, 06 Nov 1994 08:49:37 CET", None);
        check("Sun, 6 Nov 1994 08:49:37 GMT", None);
        check("Sun, 06 Nov 1994 084937 GMT", None);
        check("Sun, 06 Nov 1994 08:49:37 GMT more", None);
        check("", None);
        check("é, é é é é", None);
    }

    #[test]
    fn a_step_off_is_wrong() {
        #[track_caller]
        fn check(offset: i64, id: &str, says: &str) {
            let finding = judge(offset, "https://x/");
            assert_eq!(finding.id, id, "{finding:?}");
            assert!(finding.title.contains(says), "{finding:?}");
        }
        check(0, "clock", "right");
        check(30, "clock", "right");
        check(-30, "clock", "right");
        check(31, "clock-off", "31 s ahead");
        check(-3600, "clock-off", "3600 s behind");
    }

    #[test]
    fn only_tls_is_asked() {
        let finding = super::check("http://127.0.0.1:1/");
        assert_eq!((finding.id, finding.level), ("clock-unknown", Level::Problem));
        assert!(finding.title.contains("https"), "{finding:?}");
    }
}
