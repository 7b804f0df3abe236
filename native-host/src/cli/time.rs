//! Times and durations as people type them.

use std::time::Duration;

use keyfob_core::sigv4::AmzDate;

/// Unix seconds, or RFC 3339: `2026-11-21T12:00:00Z`, also with an offset and a fraction (dropped).
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix('@').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return digits.parse().ok().filter(|&unix| unix <= AmzDate::MAX_UNIX).ok_or_else(hint);
    }
    rfc_3339(text).ok_or_else(hint)
}

fn hint() -> String {
    "give a time as 2026-11-21T12:00:00Z, or as Unix seconds".to_owned()
}

fn rfc_3339(text: &str) -> Option<u64> {
    let (local, rest) = text.split_at_checked("2026-11-21T12:00:00".len())?;
    let shape = local.bytes().enumerate().all(|(i, b)| match i {
        4 | 7 => b == b'-',
        10 => matches!(b, b'T' | b't' | b' '),
        13 | 16 => b == b':',
        _ => b.is_ascii_digit(),
    });
    if !shape {
        return None;
    }
    let digits: String = local.chars().filter(char::is_ascii_digit).collect();
    let (date, clock) = digits.split_at_checked(8)?;
    let unix = AmzDate::parse(&format!("{date}T{clock}Z")).ok()?.unix();
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if zone.len() == fraction.len() {
                return None;
            }
            zone
        }
        None => rest,
    };
    if matches!(zone, "Z" | "z") {
        return Some(unix);
    }
    let (sign, offset) = zone.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':')?;
    let two = |text: &str, below: u64| {
        let plain = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse().ok()).flatten().filter(|&number: &u64| number < below)
    };
    let offset = two(hours, 24)? * 3600 + two(minutes, 60)? * 60;
    match sign {
        "+" => unix.checked_sub(offset),
        "-" => unix.checked_add(offset),
        _ => None,
    }
}

/// Unix seconds as `2026-11-21T12:00:00Z`.
pub(crate) fn rfc3339(unix: u64) -> String {
    AmzDate::from_unix(unix.min(AmzDate::MAX_UNIX)).map(|date| date.to_iso8601()).unwrap_or_default()
}

/// Seconds, or a number with `s`, `m`, `h` or `d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" | "s" => Some(1),
        "m" | "min" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds =
        number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    seconds.map(Duration::from_secs).ok_or_else(|| "give a duration as 900, 15m, 1h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_every_form() {
        #[track_caller]
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
        check("0", Some(0));
        check("@1111111109", Some(1_111_111_109));
        check("2005-03-18T01:58:29Z", Some(1_111_111_109));
        check("2005-03-18 01:58:29.123Z", Some(1_111_111_109));
        check("2005-03-18T02:58:29+01:00", Some(1_111_111_109));
        check("2005-03-17T20:58:29-05:00", Some(1_111_111_109));
        check("2005-03-18T01:58:29", None);
        check("2005-03-18", None);
        check("2005-02-30T00:00:00Z", None);
        check("2005-03-18T01:58:29.Z", None);
        check("2005-03-18T01:58:29+1:00", None);
        check("1970-01-01T00:00:00+01:00", None);
        check("now", None);
        check("", None);
        check("99999999999999999999", None);
        check("é005-03-18T01:58:29Z", None);
    }

    #[test]
    fn durations_of_every_form() {
        #[track_caller]
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(duration(text).ok().map(|d| d.as_secs()), expected, "{text}");
        }
        check("900", Some(900));
        check("90s", Some(90));
        check("15m", Some(900));
        check("1h", Some(3600));
        check("7d", Some(604_800));
        check("", None);
        check("h", None);
        check("-1", None);
        check("1w", None);
        check("18446744073709551615d", None);
    }
}
