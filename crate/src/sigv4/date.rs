//! `X-Amz-Date`: Unix time as `YYYYMMDD'T'HHMMSS'Z'`, and back.

use core::fmt;

/// A moment in the form that SigV4 signs: ISO 8601 basic format, UTC, to the second, 1970 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AmzDate([u8; Self::LEN]);

/// Why something is no [`AmzDate`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DateError {
    /// After the year 9999.
    #[error("Unix time {0} lies after the year 9999: it must be in seconds, not milliseconds")]
    OutOfRange(u64),
    /// Another form, or no day of the calendar.
    #[error("{0:?} is no date of the form 20130524T000000Z")]
    Malformed(String),
}

const SECONDS_PER_DAY: u64 = 86_400;

impl AmzDate {
    /// Length in bytes.
    pub const LEN: usize = 16;

    /// Length in bytes of the date alone, `YYYYMMDD`.
    pub const DATE_LEN: usize = 8;

    /// Last second that can be written, 9999-12-31T23:59:59Z.
    pub const MAX_UNIX: u64 = 253_402_300_799;

    /// The moment `unix` seconds after 1970-01-01T00:00:00Z, leap seconds not counted.
    ///
    /// # Errors
    /// [`DateError::OutOfRange`] after [`Self::MAX_UNIX`].
    pub fn from_unix(unix: u64) -> Result<Self, DateError> {
        if unix > Self::MAX_UNIX {
            return Err(DateError::OutOfRange(unix));
        }
        // Both fit, and 32 bits divide faster.
        let narrow = |n: u64| u32::try_from(n).unwrap_or_default();
        let (year, month, day) = civil_from_days(narrow(unix / SECONDS_PER_DAY));
        let second = narrow(unix % SECONDS_PER_DAY);
        let [y1, y2] = two_digits(year / 100);
        let [y3, y4] = two_digits(year % 100);
        let [m1, m2] = two_digits(month);
        let [d1, d2] = two_digits(day);
        let [h1, h2] = two_digits(second / 3600);
        let [i1, i2] = two_digits(second / 60 % 60);
        let [s1, s2] = two_digits(second % 60);
        Ok(Self([y1, y2, y3, y4, m1, m2, d1, d2, b'T', h1, h2, i1, i2, s1, s2, b'Z']))
    }

    /// Reads `YYYYMMDD'T'HHMMSS'Z'`, nothing else.
    ///
    /// # Errors
    /// [`DateError::Malformed`] for any other form, and for a day or time that does not exist.
    pub fn parse(text: &str) -> Result<Self, DateError> {
        Self::read(text.as_bytes()).ok_or_else(|| DateError::Malformed(text.into()))
    }

    fn read(text: &[u8]) -> Option<Self> {
        let bytes: [u8; Self::LEN] = text.try_into().ok()?;
        let digits = |range: core::ops::Range<usize>| {
            bytes
                .get(range)?
                .iter()
                .try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
        };
        let days = days_from_civil(digits(0..4)?, digits(4..6)?, digits(6..8)?)?;
        let (hour, minute, second) = (digits(9..11)?, digits(11..13)?, digits(13..15)?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let unix = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
        // Writing it again also checks the letters, and that the day exists.
        Self::from_unix(unix).ok().filter(|date| date.0 == bytes)
    }

    /// Unix time in seconds.
    #[must_use]
    pub fn unix(&self) -> u64 {
        let digit = |i: usize| u64::from(self.0.get(i).map_or(0, |b| b - b'0'));
        let pair = |i: usize| digit(i) * 10 + digit(i + 1);
        let days = days_from_civil(pair(0) * 100 + pair(2), pair(4), pair(6)).unwrap_or(0);
        days * SECONDS_PER_DAY + pair(9) * 3600 + pair(11) * 60 + pair(13)
    }

    /// As HTTP's Date header has it (IMF-fixdate, RFC 9110 section 5.6.7): `Fri, 24 May 2013 00:00:00 GMT`.
    #[must_use]
    pub fn to_http_date(&self) -> String {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let part = |range| self.as_str().get(range).unwrap_or_default();
        // 1970-01-01 was a Thursday.
        let weekday = usize::try_from(self.unix() / SECONDS_PER_DAY % 7).unwrap_or_default();
        let month = part(4..6).parse::<usize>().unwrap_or(1) - 1;
        format!(
            "{}, {} {} {} {}:{}:{} GMT",
            DAYS.get(weekday).unwrap_or(&""),
            part(6..8),
            MONTHS.get(month).unwrap_or(&""),
            part(0..4),
            part(9..11),
            part(11..13),
            part(13..15)
        )
    }

    /// In the extended form of ISO 8601, as policies have it: `2013-05-24T00:00:00Z`.
    #[must_use]
    pub fn to_iso8601(&self) -> String {
        let part = |range| self.as_str().get(range).unwrap_or_default();
        format!(
            "{}-{}-{}T{}:{}:{}Z",
            part(0..4),
            part(4..6),
            part(6..8),
            part(9..11),
            part(11..13),
            part(13..15)
        )
    }

    /// The text, as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// `YYYYMMDD`, the date of the credential scope.
    #[must_use]
    pub fn date(&self) -> &[u8; Self::DATE_LEN] {
        // Always there: the array is longer. The compiler sees it too, and leaves no branch.
        self.0.first_chunk().unwrap_or(b"19700101")
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always ASCII.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for AmzDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AmzDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `n` under 100, in decimal.
fn two_digits(n: u32) -> [u8; 2] {
    [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]
}

/// Year, month and day of the day `days` after 1970-01-01, in the Gregorian calendar.
///
/// Howard Hinnant's algorithm ("chrono-compatible low-level date algorithms"): years begin in March, so that
/// the leap day is the last.
fn civil_from_days(days: u32) -> (u32, u32, u32) {
    let shifted = days + 719_468; // days since 0000-03-01
    let era = shifted / 146_097; // 400 years each
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day)
}

/// Days since 1970-01-01 of a date from then on, `None` if it lies before or has no such month. The day is
/// not checked against the month.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_forms() {
        #[track_caller]
        fn check(unix: u64, http: &str, iso: &str) {
            let date = AmzDate::from_unix(unix).unwrap();
            assert_eq!((date.to_http_date().as_str(), date.to_iso8601().as_str()), (http, iso));
        }
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z");
        // RFC 9110's own example.
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z");
        check(1_369_353_600, "Fri, 24 May 2013 00:00:00 GMT", "2013-05-24T00:00:00Z");
        check(AmzDate::MAX_UNIX, "Fri, 31 Dec 9999 23:59:59 GMT", "9999-12-31T23:59:59Z");
    }

    #[test]
    fn moments_are_written_and_read() {
        #[track_caller]
        fn check(unix: u64, text: &str) {
            let date = AmzDate::from_unix(unix).unwrap();
            assert_eq!(date.as_str(), text);
            assert_eq!(AmzDate::parse(text), Ok(date));
            assert_eq!(date.unix(), unix, "{text}");
            assert_eq!(date.date(), &text.as_bytes()[..8]);
        }
        check(0, "19700101T000000Z");
        check(68_169_599, "19720228T235959Z");
        check(68_169_600, "19720229T000000Z");
        check(951_782_400, "20000229T000000Z");
        check(1_369_353_600, "20130524T000000Z");
        check(1_440_938_160, "20150830T123600Z");
        check(4_107_542_400, "21000301T000000Z");
        check(AmzDate::MAX_UNIX, "99991231T235959Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        // An independent count: month lengths by table.
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..366 * 500 {
            assert_eq!(civil_from_days(days), (year, month, day));
            let days_back = days_from_civil(year.into(), month.into(), day.into());
            assert_eq!(days_back, Some(days.into()));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u32::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn other_forms_are_refused() {
        #[track_caller]
        fn check(text: &str) {
            assert_eq!(AmzDate::parse(text), Err(DateError::Malformed(text.into())));
        }
        for text in [
            "",
            "20130524",
            "2013-05-24T00:00:00Z",
            "20130524T000000",
            "20130524t000000z",
            "20130524T000000+",
            "20130230T000000Z",
            "20130229T000000Z",
            "20131301T000000Z",
            "20130001T000000Z",
            "20130500T000000Z",
            "20130524T240000Z",
            "20130524T006000Z",
            "20130524T000060Z",
            "19691231T235959Z",
            "00000101T000000Z",
            "+2130524T000000Z",
            "２130524T0000Z",
        ] {
            check(text);
        }
        assert_eq!(AmzDate::from_unix(253_402_300_800), Err(DateError::OutOfRange(253_402_300_800)));
        assert_eq!(AmzDate::from_unix(u64::MAX), Err(DateError::OutOfRange(u64::MAX)));
    }
}
