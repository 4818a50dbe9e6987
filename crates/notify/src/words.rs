//! Values, durations and times as people read them at night. Pure; what they are put together to stands in `page`.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use nightbell_model::catalogue::Unit;

/// `value` with its unit in a form that is short but not misleading: `97.2 %`, `3.1 GiB`, `2 h 5 m`.
pub(crate) fn value(value: f64, unit: &str) -> String {
    with_decimals(value, unit, 2)
}

/// Two values that are compared: with as many decimals as it takes to see that they differ.
pub(crate) fn pair(left: f64, right: f64, unit: &str) -> (String, String) {
    let mut texts = (String::new(), String::new());
    for decimals in 2..=9 {
        texts = (with_decimals(left, unit, decimals), with_decimals(right, unit, decimals));
        if texts.0 != texts.1 || left.total_cmp(&right).is_eq() {
            break;
        }
    }
    texts
}

fn with_decimals(value: f64, unit: &str, decimals: usize) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "no number".to_owned()
        } else if value > 0.0 {
            "+infinity".to_owned()
        } else {
            "-infinity".to_owned()
        };
    }
    match unit {
        "percent" => format!("{} %", number(value, decimals)),
        "bytes" => sized(Unit::Bytes.scaled(value), decimals),
        "bytes_per_second" => sized(Unit::BytesPerSecond.scaled(value), decimals),
        "per_second" => format!("{} /s", number(value, decimals)),
        "seconds" if value.abs() >= 60.0 && decimals == 2 => duration(value),
        "seconds" => format!("{} s", number(value, decimals)),
        "milliseconds" => format!("{} ms", number(value, decimals)),
        "celsius" => format!("{} °C", number(value, decimals)),
        "watts" => format!("{} W", number(value, decimals)),
        "megahertz" => format!("{} MHz", number(value, decimals)),
        "rpm" => format!("{} rpm", number(value, decimals)),
        _ => number(value, decimals),
    }
}

/// At most `decimals` decimals, none that are zeros; small numbers keep as many significant digits.
fn number(value: f64, decimals: usize) -> String {
    if value != 0.0 && value.abs() < 0.1 {
        let text = format!("{value:.*e}", decimals.saturating_sub(1));
        let exact: f64 = text.parse().unwrap_or(value);
        return if value.abs() < 1e-6 { text } else { exact.to_string() };
    }
    let text = format!("{value:.decimals$}");
    let trimmed = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if trimmed == "-0" { "0".to_owned() } else { trimmed.to_owned() }
}

fn sized((scaled, sign): (f64, &str), decimals: usize) -> String {
    format!("{} {sign}", number(scaled, decimals))
}

/// A span of seconds by its two largest parts: `45 s`, `5 m`, `2 h 5 m`, `3 d 4 h`.
#[expect(clippy::cast_possible_truncation, reason = "spans are cut to 10,000 years first")]
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "an unknown time".to_owned();
    }
    if seconds.abs() < 1.0 {
        return format!("{} s", number(seconds.max(0.0), 2));
    }
    let whole = seconds.clamp(0.0, 3.2e11).round() as i64;
    let parts = [(whole / 86_400, "d"), (whole % 86_400 / 3_600, "h"), (whole % 3_600 / 60, "m"), (whole % 60, "s")];
    let shown = parts.iter().skip_while(|(count, _)| *count == 0).take(2).filter(|(count, _)| *count > 0);
    shown.map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

/// A stored time, if it is one.
pub(crate) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
}

/// The seconds from one stored time to another; `None` if either is no time or they run backwards.
pub(crate) fn seconds_between(from: &str, to: &str) -> Option<f64> {
    let span = parse_time(to)?.signed_duration_since(parse_time(from)?).to_std().ok()?;
    Some(span.as_secs_f64())
}

/// The clock on the wall of the people who are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wall(Tz);

impl Wall {
    /// The wall clock of a time zone by its IANA name; UTC where the name is unknown.
    pub(crate) fn of(timezone: &str) -> Self {
        Self(timezone.parse().unwrap_or(Tz::UTC))
    }

    /// The time zone's name.
    pub(crate) fn zone(self) -> &'static str {
        self.0.name()
    }

    /// `03:04:05 CET on 22 Nov 2026`; a text that is no time is shown as it is.
    pub(crate) fn long(self, text: &str) -> String {
        self.format(text, "%H:%M:%S %Z on %-d %b %Y")
    }

    /// `03:04:05 CET`.
    pub(crate) fn short(self, text: &str) -> String {
        self.format(text, "%H:%M:%S %Z")
    }

    fn format(self, text: &str, form: &str) -> String {
        parse_time(text).map_or_else(|| text.to_owned(), |time| time.with_timezone(&self.0).format(form).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_carry_their_unit() {
        for (number, unit, text) in [
            (97.2, "percent", "97.2 %"),
            (90.0, "percent", "90 %"),
            (0.0, "percent", "0 %"),
            (-0.001, "count", "-0.001"),
            (1_610_612_736.0, "bytes", "1.5 GiB"),
            (1023.0, "bytes", "1023 B"),
            (125_000.0, "bytes_per_second", "125 kB/s"),
            (7_500.0, "seconds", "2 h 5 m"),
            (12.5, "seconds", "12.5 s"),
            (71.0, "celsius", "71 °C"),
            (100_000.0, "count", "100000"),
            (0.0123, "", "0.012"),
            (4.25, "", "4.25"),
            (f64::INFINITY, "percent", "+infinity"),
        ] {
            assert_eq!(value(number, unit), text);
        }
    }

    #[test]
    fn what_is_compared_is_seen_to_differ() {
        assert_eq!(pair(97.2, 90.0, "percent"), ("97.2 %".to_owned(), "90 %".to_owned()));
        assert_eq!(pair(90.0004, 90.0, "percent"), ("90.0004 %".to_owned(), "90 %".to_owned()));
        assert_eq!(pair(90.0, 90.0, "percent"), ("90 %".to_owned(), "90 %".to_owned()));
        assert_eq!(pair(3_661.0, 3_660.0, "seconds"), ("3661 s".to_owned(), "3660 s".to_owned()));
    }

    #[test]
    fn durations_have_two_parts() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.25, "0.25 s"),
            (45.0, "45 s"),
            (300.0, "5 m"),
            (3_600.0, "1 h"),
            (7_505.0, "2 h 5 m"),
            (273_600.0, "3 d 4 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(duration(86_401.0), "1 d");
        assert_eq!(duration(f64::NAN), "an unknown time");
    }

    #[test]
    fn times_are_those_of_the_wall() {
        let wall = Wall::of("Europe/Berlin");
        assert_eq!(wall.long("2026-11-22T02:04:05.000Z"), "03:04:05 CET on 22 Nov 2026");
        assert_eq!(wall.short("2026-07-01T02:04:05.000Z"), "04:04:05 CEST");
        assert_eq!(wall.short("soon"), "soon");
        assert_eq!(Wall::of("Mars/Olympus").long("2026-11-22T02:04:05.000Z"), "02:04:05 UTC on 22 Nov 2026");
        assert_eq!(seconds_between("2026-11-22T02:04:05.000Z", "2026-11-22T02:05:05.500Z"), Some(60.5));
        assert_eq!(seconds_between("2026-11-22T02:05:05.000Z", "2026-11-22T02:04:05.500Z"), None);
    }
}
