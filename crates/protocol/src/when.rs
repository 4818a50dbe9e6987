//! Moments as others write them: RFC 3339 text, seconds or milliseconds since 1970.

use crate::scalar::Scalar;

/// Numbers below this are seconds, from here on milliseconds: 1e11 s is the year 5138, 1e11 ms is March 1973.
const SECONDS_BELOW: f64 = 1e11;

/// The milliseconds since 1970 that a value of a frame says, or what is wrong with it.
pub(crate) fn millis(value: &Scalar<'_>) -> Result<Option<i64>, String> {
    match value {
        Scalar::Null => Ok(None),
        Scalar::Text(text) => parse_rfc3339(text).map(Some).ok_or_else(|| format!("no moment in RFC 3339: {}", shortened(text))),
        other => match other.number() {
            Ok(number) => Ok(from_number(number)),
            Err(kind) => Err(format!("must be a moment (RFC 3339, or milliseconds or seconds since 1970), not {kind}")),
        },
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, and the ends of the range are handled as times")]
fn from_number(number: f64) -> Option<i64> {
    let ms = if number.abs() < SECONDS_BELOW { number * 1000.0 } else { number };
    ms.is_finite().then_some(ms.round() as i64)
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The milliseconds since 1970 of an RFC 3339 date and time such as `2026-01-31T23:59:59.25+01:00`; a space may stand for the
/// `T`, and a leap second counts as the first moment of the next minute. Digits beyond the millisecond are cut.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || bytes.len() > 40 {
        return None;
    }
    let (year, month, day) = (digits(bytes, 0, 4)?, digits(bytes, 5, 2)?, digits(bytes, 8, 2)?);
    let (hour, minute, second) = (digits(bytes, 11, 2)?, digits(bytes, 14, 2)?, digits(bytes, 17, 2)?);
    let separated =
        bytes[4] == b'-' && bytes[7] == b'-' && matches!(bytes[10], b'T' | b't' | b' ') && bytes[13] == b':' && bytes[16] == b':';
    let possible =
        (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !separated || !possible {
        return None;
    }
    let (fraction, zone) = milliseconds(&bytes[19..])?;
    let offset = zone_minutes(zone)?;
    Some((((days_from_civil(year, month, day) * 24 + hour) * 60 + minute - offset) * 60 + second) * 1000 + fraction)
}

fn digits(bytes: &[u8], at: usize, count: usize) -> Option<i64> {
    bytes
        .get(at..at + count)?
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// The fraction of a second at the start of `rest` in milliseconds, and what follows it.
fn milliseconds(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(fraction) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let end = fraction.iter().position(|byte| !byte.is_ascii_digit())?;
    let ms = (0..3).fold(0, |ms, place| ms * 10 + fraction[..end].get(place).map_or(0, |byte| i64::from(byte - b'0')));
    (end > 0).then_some((ms, &fraction[end..]))
}

fn zone_minutes(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (digits(zone, 1, 2)?, digits(zone, 4, 2)?);
            let total = hours * 60 + minutes;
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -total } else { total })
        }
        _ => None,
    }
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar: years are counted from March, so that the leap day comes last.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days_before_month = (month * 153 + 2) / 5;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + days_before_month + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_every_common_form() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-22T16:29:45.123Z", 1_795_364_985_123),
            ("2026-11-22t17:29:45.1239999+01:00", 1_795_364_985_123),
            ("2024-02-29 00:00:00z", 1_709_164_800_000),
            ("1969-12-31T23:59:59.5-00:00", -500),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
            ("2000-03-01T00:00:00-05:30", 951_888_600_000),
        ] {
            assert_eq!(parse_rfc3339(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "now",
            "2026-11-22",
            "2026-11-22T16:29:45",
            "2026-13-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T16:29:45.Z",
            "2026-11-22T16:29:45+0100",
            "2026-11-22T16:29:45+25:00",
            "2026/11/22T16:29:45Z",
            "２026-11-22T16:29:45Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn small_numbers_are_seconds() {
        assert_eq!(millis(&Scalar::Whole(1_763_769_600)), Ok(Some(1_763_769_600_000)));
        assert_eq!(millis(&Scalar::Real(1_763_769_600.5)), Ok(Some(1_763_769_600_500)));
        assert_eq!(millis(&Scalar::Whole(1_763_769_600_123)), Ok(Some(1_763_769_600_123)));
        assert_eq!(millis(&Scalar::Null), Ok(None));
        assert_eq!(millis(&Scalar::Real(f64::NAN)), Ok(None));
        assert!(millis(&Scalar::Bool(true)).is_err_and(|why| why.contains("true or false")));
    }
}
