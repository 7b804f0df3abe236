//! Whether the clock is right: codes follow from it. A server's `Date` header says what time it is, to the second.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keyfob_core::message::Failure;
use keyfob_core::oath::protocol::DEFAULT_PERIOD;

use super::Finding;
use crate::http::{Body, Http};

/// Who is asked if nobody else is named: AWS, for that is who will look at the codes.
pub const DEFAULT_URL: &str = "https://sts.amazonaws.com/";

/// How a clock is set right.
pub(crate) const ADVICE: &str = if cfg!(windows) {
    "switch on \"Set time automatically\" in the settings, or run `w32tm /resync` as administrator"
} else if cfg!(target_os = "macos") {
    "switch on \"Set time and date automatically\" in System Settings, or run `sudo sntp -sS time.apple.com`"
} else {
    "let it be set over the network: `sudo timedatectl set-ntp true`"
};

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
    #[error("{}", .0.message)]
    Http(Failure),
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
        ADVICE,
    )
}

/// How many seconds this clock is ahead of the server's.
fn offset(url: &str) -> Result<i64, ClockError> {
    if !url.starts_with("https://") {
        return Err(ClockError::NotHttps(url.to_owned()));
    }
    let http = Http::with_patience(PATIENCE).map_err(ClockError::Http)?;
    let start = Instant::now();
    // Any answer has the header, and only the first is from whom we asked.
    let response = http.send("HEAD", url, &[], Body::Empty).map_err(ClockError::Http)?;
    // The server wrote it between question and answer: half of that time is the best guess.
    let age = start.elapsed() / 2;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(age).as_secs();
    let date = response.date().ok_or_else(|| ClockError::Date {
        url: url.to_owned(),
        got: response.header("date").map(str::to_owned),
    })?;
    Ok(now.cast_signed() - date.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

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
