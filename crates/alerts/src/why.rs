//! An incident in one line for people: `97.2 % > 90 % for 5 m 0 s (20 samples)`. Units come from the catalogue.

use crate::record::IncidentRecord;
use crate::rule::OFFLINE_METRIC;
use nightbell_model::catalogue::{self, Unit};

/// Why an incident fired, from its record.
#[must_use]
pub fn why(incident: &IncidentRecord) -> String {
    let lasted = duration_text(incident.fired_at.millis_since(incident.started_at));
    let metric = incident.key.series.metric();
    if metric == OFFLINE_METRIC {
        return format!("no heartbeat for {lasted}");
    }
    let unit = catalogue::find(metric).map_or(Unit::None, |metric| metric.unit);
    let mut text =
        format!("{} {} {}", value_text(incident.value, unit), incident.comparison.name(), value_text(incident.threshold, unit));
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

/// A value with its unit, as people read it: at most two decimals, bytes in powers of 1024.
#[must_use]
pub fn value_text(value: f64, unit: Unit) -> String {
    if value.is_nan() {
        return "?".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    match unit {
        Unit::Bytes => bytes_text(value, ""),
        Unit::BytesPerSecond => bytes_text(value, "/s"),
        _ if unit.symbol().is_empty() => number_text(value),
        _ => format!("{} {}", number_text(value), unit.symbol()),
    }
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

fn bytes_text(value: f64, per: &str) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut scaled, mut unit) = (value, 0);
    while scaled.abs() >= 1024.0 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    format!("{} {}{per}", number_text(scaled), UNITS[unit])
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
    use nightbell_model::{AgentId, IncidentId, RuleId, Timestamp};

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
    fn values_and_durations_are_read_easily() {
        assert_eq!(value_text(f64::NAN, Unit::Percent), "?");
        assert_eq!(value_text(-3.5, Unit::Celsius), "-3.5 °C");
        assert_eq!(value_text(2048.0, Unit::BytesPerSecond), "2 KiB/s");
        assert_eq!(duration_text(90_000_000), "1 d 1 h");
        assert_eq!(duration_text(-5), "0 s");
    }
}
