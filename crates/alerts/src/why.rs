//! An incident in one line for people: `97.2 % > 90 % for 5 m 0 s (20 samples)`. Units come from the catalogue.

use crate::record::IncidentRecord;
use crate::rule::{DOUBT_RULE, OFFLINE_METRIC, Rule, Transform};
use crate::trend::Trend;
use nightbell_model::Timestamp;
use nightbell_model::catalogue::{self, Unit};

/// Why an incident fired, from its record; an episode without data has no value and says so.
#[must_use]
pub fn why(incident: &IncidentRecord) -> String {
    if !incident.why.is_empty() {
        return incident.why.clone();
    }
    if incident.value.is_nan() {
        let silent = |end: Timestamp| format!("no samples for {}", duration_text(end.millis_since(incident.fired_at)));
        return incident.resolved_at.map_or_else(|| "samples stopped".to_owned(), silent);
    }
    let lasted = duration_text(incident.fired_at.millis_since(incident.started_at));
    let metric = incident.key.series.metric();
    if metric == OFFLINE_METRIC {
        return format!("no heartbeat for {lasted}");
    }
    let unit = catalogue::find(metric).map_or(Unit::None, |metric| metric.unit);
    let compared = incident.comparison.name();
    let text = format!("{} {compared} {}", value_text(incident.value, unit), value_text(incident.threshold, unit));
    text + &lasted_text(incident)
}

/// For how long, and by how many samples.
fn lasted_text(incident: &IncidentRecord) -> String {
    let lasted = duration_text(incident.fired_at.millis_since(incident.started_at));
    let mut text = String::new();
    if incident.fired_at > incident.started_at {
        text.push_str(" for ");
        text.push_str(&lasted);
    }
    match incident.samples {
        0 => {}
        1 => text.push_str(" (1 sample)"),
        samples => text.push_str(&format!(" ({samples} samples)")),
    }
    text
}

/// Why an incident of a rule on a rate or a forecast fired, from what was measured and where it is heading; empty for others,
/// whose numbers tell.
pub(crate) fn why_shaped(rule: &Rule, incident: &IncidentRecord, measured: Option<(f64, Option<Trend>)>) -> String {
    let Some((raw, trend)) = measured else { return String::new() };
    let series = &incident.key.series;
    let unit = catalogue::find(series.metric()).map_or(Unit::None, |metric| metric.unit);
    let text = match rule.transform {
        Transform::None if rule.id == DOUBT_RULE => return doubt_text(incident.value, raw),
        Transform::None => return String::new(),
        Transform::Rate { window_ms, per_ms } if window_ms == per_ms => format!(
            "{} in {} {} {}",
            signed_text(incident.value, unit),
            duration_text(window_ms),
            incident.comparison.name(),
            value_text(incident.threshold, unit),
        ),
        Transform::Rate { window_ms, per_ms } => format!(
            "{}{} over {} {} {}{}",
            signed_text(incident.value, unit),
            per_text(per_ms),
            duration_text(window_ms),
            incident.comparison.name(),
            value_text(incident.threshold, unit),
            per_text(per_ms),
        ),
        Transform::Forecast { .. } => forecast_text(incident, (raw, trend), unit),
    };
    text + &lasted_text(incident)
}

/// What most of the fleet falling silent at once means.
fn doubt_text(overdue: f64, all: f64) -> String {
    format!("{overdue:.0} of {all:.0} agents fell silent together: the hub has most likely lost its network")
}

/// `at +0.8 %/h /data reaches 100 % in 2 d 4 h (confidence 87 %)`.
fn forecast_text(incident: &IncidentRecord, (raw, trend): (f64, Option<Trend>), unit: Unit) -> String {
    let series = &incident.key.series;
    let labels: Vec<String> = series.labels().into_iter().map(|(_, value)| value).collect();
    let name = if labels.is_empty() { series.metric().to_owned() } else { labels.join(", ") };
    let threshold = value_text(incident.threshold, unit);
    let Some((trend, eta)) = trend.and_then(|trend| Some((trend, trend.reaches_in_ms(raw, incident.threshold)?))) else {
        return format!("{name} is at {}, {} {threshold} already", value_text(raw, unit), incident.comparison.name());
    };
    // Rounded to what is shown, and far below 2^63.
    #[expect(clippy::cast_possible_truncation, reason = "a float as large as this saturates")]
    let eta = duration_text(eta as i64);
    let (per, name_of_per) = if (trend.per_ms * HOUR_MS).abs() < 0.1 { (24.0 * HOUR_MS, "/d") } else { (HOUR_MS, "/h") };
    let slope = signed_text(trend.per_ms * per, unit);
    format!("at {slope}{name_of_per} {name} reaches {threshold} in {eta} (confidence {})", confidence_text(trend.confidence))
}

/// A share from 0 to 1. What is nearly certain is not certain, and what is hardly likely not impossible.
fn confidence_text(share: f64) -> String {
    let percent = (share * 100.0).round();
    if percent >= 100.0 && share < 1.0 {
        "over 99 %".to_owned()
    } else if percent <= 0.0 && share > 0.0 {
        "under 1 %".to_owned()
    } else {
        format!("{percent:.0} %")
    }
}

/// An hour, in milliseconds.
const HOUR_MS: f64 = 3_600_000.0;

/// What a rate is said per: `/h`, `/min`, ` per 10 m 0 s`.
fn per_text(per_ms: i64) -> String {
    match per_ms {
        1_000 => "/s".to_owned(),
        60_000 => "/min".to_owned(),
        3_600_000 => "/h".to_owned(),
        86_400_000 => "/d".to_owned(),
        other => format!(" per {}", duration_text(other)),
    }
}

/// A value with its sign.
fn signed_text(value: f64, unit: Unit) -> String {
    let text = value_text(value, unit);
    if value > 0.0 && value.is_finite() { format!("+{text}") } else { text }
}

/// A value with its unit, as people read it: at most two decimals, bytes in powers of 1024, bytes a second in powers of 1000.
#[must_use]
pub fn value_text(value: f64, unit: Unit) -> String {
    if value.is_nan() {
        return "?".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let (number, sign) = unit.scaled(value);
    if sign.is_empty() { number_text(number) } else { format!("{} {sign}", number_text(number)) }
}

/// A duration as people read it, to the second: `1 d 2 h`, `5 m 0 s`, `45 s`.
#[must_use]
pub fn duration_text(ms: i64) -> String {
    let seconds = ms.max(0).saturating_add(500) / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    if days > 0 {
        format!("{days} d {hours} h")
    } else if hours > 0 {
        format!("{hours} h {minutes} m")
    } else if minutes > 0 {
        format!("{minutes} m {} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

fn number_text(value: f64) -> String {
    let text = format!("{value:.2}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::InstanceKey;
    use crate::rule::{Comparison, Severity};
    use nightbell_model::{AgentId, IncidentId, RuleId};

    fn incident(series: &str, (value, threshold): (f64, f64), lasted_ms: i64, samples: u32) -> IncidentRecord {
        let fired_at = Timestamp::from_millis(1_763_769_600_000);
        IncidentRecord {
            id: IncidentId::default(),
            key: InstanceKey { rule: RuleId::default(), agent: AgentId::default(), series: series.parse().unwrap() },
            rule_name: "hot".into(),
            severity: Severity::Critical,
            comparison: Comparison::Greater,
            threshold,
            hold_ms: 300_000,
            started_at: fired_at.plus_millis(-lasted_ms),
            fired_at,
            resolved_at: None,
            end_reason: None,
            value,
            peak: value,
            samples,
            ack: None,
            why: String::new(),
            late: false,
        }
    }

    #[test]
    fn an_incident_says_why_in_the_units_of_its_metric() {
        for (series, values, lasted, samples, expected) in [
            ("cpu.usage_percent", (97.2, 90.0), 300_000, 20, "97.2 % > 90 % for 5 m 0 s (20 samples)"),
            ("cpu.usage_percent", (97.0, 90.0), 299_800, 20, "97 % > 90 % for 5 m 0 s (20 samples)"),
            ("cpu.usage_percent", (97.256, 90.0), 0, 1, "97.26 % > 90 % (1 sample)"),
            ("disk.used_bytes{mount=/}", (1_610_612_736.0, 1024.0), 60_000, 4, "1.5 GiB > 1 KiB for 1 m 0 s (4 samples)"),
            ("custom.depth", (f64::INFINITY, -0.001), 5_400_000, 9, "+Inf > 0 for 1 h 30 m (9 samples)"),
            ("agent.offline", (1.0, 0.0), 45_000, 0, "no heartbeat for 45 s"),
        ] {
            assert_eq!(why(&incident(series, values, lasted, samples)), expected);
        }
    }

    #[test]
    fn an_episode_without_data_says_that_it_has_none() {
        let begun = incident("cpu.usage_percent", (f64::NAN, 90.0), 0, 0);
        assert_eq!(why(&begun), "samples stopped");
        let ended = IncidentRecord { resolved_at: Some(begun.fired_at.plus_millis(210_000)), ..begun };
        assert_eq!(why(&ended), "no samples for 3 m 30 s");
    }

    #[test]
    fn values_and_durations_are_read_easily() {
        assert_eq!(value_text(f64::NAN, Unit::Percent), "?");
        assert_eq!(value_text(-3.5, Unit::Celsius), "-3.5 °C");
        assert_eq!(value_text(2048.0, Unit::BytesPerSecond), "2.05 kB/s");
        assert_eq!(duration_text(90_000_000), "1 d 1 h");
        assert_eq!(duration_text(-5), "0 s");
    }

    #[test]
    fn confidence_is_rounded_to_neither_end() {
        let shares = [0.0, 0.000_1, 0.004_9, 0.01, 0.87, 0.994, 0.995, 0.997_5, 0.999_999, 1.0];
        let texts = shares.map(confidence_text);
        let expected = ["0 %", "under 1 %", "under 1 %", "1 %", "87 %", "99 %", "over 99 %", "over 99 %", "over 99 %", "100 %"];
        assert_eq!(texts, expected);
    }
}
