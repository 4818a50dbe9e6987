//! Times and durations as requests write them.

use crate::clock;
use chrono::{DateTime, NaiveDateTime, Utc};
use nightbell_model::Timestamp;
use std::time::Duration;

/// Numbers up to here are epoch seconds, above it milliseconds: as seconds it is the year 5138, as milliseconds March 1973.
const SECONDS_LIMIT: f64 = 1e11;
/// No date beyond the year 9999 is taken.
const LATEST_MS: i64 = 253_402_300_799_999;
/// The longest duration that is taken: a century.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Reads a moment: RFC 3339, epoch seconds or milliseconds, `now`, or a span before now such as `-24h`.
///
/// # Errors
/// In words, when it is none of these.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    moment_at(text, clock::now())
}

/// As [`moment`], with `now` told.
///
/// # Errors
/// In words, when it is no moment.
pub fn moment_at(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    if text == "now" {
        return Ok(now);
    }
    if let Ok(number) = text.parse::<f64>() {
        return from_number(number).ok_or_else(|| format!("{text} is no time between 1970 and 9999"));
    }
    if let Some(span) = text.strip_prefix('-') {
        let span = duration_ms(span)?;
        return Ok(now.plus_millis(-span));
    }
    // A plus that was not escaped in a query arrives as a space.
    let escaped = text.rsplit_once(' ').filter(|(date, _)| date.contains('T')).map(|(date, zone)| format!("{date}+{zone}"));
    if let Ok(at) = DateTime::parse_from_rfc3339(escaped.as_deref().unwrap_or(text)) {
        let ms = at.with_timezone(&Utc).timestamp_millis();
        return in_range(ms).ok_or_else(|| format!("{text} is no time between 1970 and 9999"));
    }
    Err(format!("{text:?} is no time: write 2026-11-22T03:04:05Z, epoch seconds or milliseconds, now, or -24h"))
}

/// Reads a moment as series files write it: also `2026-11-22 03:04:05`, which is UTC.
///
/// # Errors
/// In words, when it is no moment.
pub fn moment_in_file(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(naive) = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f") {
        return Ok(Timestamp::from_millis(naive.and_utc().timestamp_millis()));
    }
    if let Ok(number) = text.parse::<f64>() {
        return from_number(number).ok_or_else(|| format!("{text} is no time between 1970 and 9999"));
    }
    DateTime::parse_from_rfc3339(text)
        .map(|at| Timestamp::from_millis(at.timestamp_millis()))
        .map_err(|_parse| format!("{text:?} is no time: write epoch seconds, 2026-11-22T03:04:05Z or 2026-11-22 03:04:05"))
}

#[expect(clippy::cast_possible_truncation, reason = "bounded by the check")]
fn from_number(number: f64) -> Option<Timestamp> {
    let ms = if number.abs() < SECONDS_LIMIT { number * 1000.0 } else { number };
    if ms.is_finite() && ms.abs() < 1e15 { in_range(ms.round() as i64) } else { None }
}

fn in_range(ms: i64) -> Option<Timestamp> {
    (0..=LATEST_MS).contains(&ms).then(|| Timestamp::from_millis(ms))
}

/// Reads a duration such as `90s`, `5m`, `12h`, `7d` or `1h30m`, in milliseconds; `0` needs no unit.
///
/// # Errors
/// In words, when it is none, is negative or longer than a century.
pub fn duration_ms(text: &str) -> Result<i64, String> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(format!("{text} is negative"));
    }
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{text:?} is no duration such as 90s, 5m, 12h or 7d: {error}"))?;
    if duration > LONGEST {
        return Err(format!("{text} is longer than a century"));
    }
    i64::try_from(duration.as_millis()).map_err(|_range| format!("{text} is too long"))
}

/// Writes a duration as [`duration_ms`] reads it: `5m`, `1h30m`, `0s`.
#[must_use]
pub fn duration_text(ms: i64) -> String {
    humantime::format_duration(Duration::from_millis(ms.max(0).unsigned_abs())).to_string().replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_all_their_forms() {
        let now = Timestamp::from_millis(1_763_769_600_000);
        let at = |text| moment_at(text, now).map(Timestamp::as_millis);
        assert_eq!(at("now"), Ok(1_763_769_600_000));
        assert_eq!(at("-24h"), Ok(1_763_683_200_000));
        assert_eq!(at("1763769600"), Ok(1_763_769_600_000));
        assert_eq!(at("1763769600.25"), Ok(1_763_769_600_250));
        assert_eq!(at("1763769600000"), Ok(1_763_769_600_000));
        assert_eq!(at("2025-11-22T00:00:00Z"), Ok(1_763_769_600_000));
        assert_eq!(at("2025-11-22T01:00:00+01:00"), Ok(1_763_769_600_000));
        assert_eq!(at("2025-11-22T01:00:00 01:00"), Ok(1_763_769_600_000), "a plus that was not escaped");
        for wrong in [
            "",
            "yesterday",
            "-1",
            "-5 apples",
            "2025-11-22",
            "2025-11-22 01:00:00",
            "2025-11-22T01:00:00 x",
            "1e300",
            "NaN",
            "inf",
        ] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_come_back_as_they_went_in() {
        for text in ["0s", "90s", "5m", "12h", "1h30m", "250ms"] {
            let ms = duration_ms(text).expect(text);
            assert_eq!(duration_ms(&duration_text(ms)), Ok(ms), "{text}");
        }
        assert_eq!(duration_text(300_000), "5m");
        assert_eq!(duration_ms("7d"), Ok(604_800_000));
        assert!(duration_ms("-5m").is_err() && duration_ms("5").is_err() && duration_ms("9999999999d").is_err());
    }
}
