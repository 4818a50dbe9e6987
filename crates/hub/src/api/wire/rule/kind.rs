//! What sort of rule a JSON object asks for, and what is made of its values: the kind and the durations of its transform.

use super::fields::Fields;
use nightbell_alerts::{OFFLINE_METRIC, Preset, RuleKind, Transform};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Over how long a change is taken and for how long it is said, if nothing is said.
const RATE_WINDOW_MS: i64 = 5 * MINUTE_MS;
const RATE_PER_MS: i64 = HOUR_MS;
/// A forecast looks back as far as this share of how far it looks ahead, within the bounds below, if nothing is said.
const FORECAST_SHARE: i64 = 3;
const FORECAST_WINDOW_MS: (i64, i64) = (6 * HOUR_MS, 7 * DAY_MS);
const KINDS: &str = "threshold, offline, rate, forecast, unit_failed, container_down, container_unhealthy, process_missing, \
                     port_closed, smart_failing, reboot, clock_step";
/// The durations of transforms.
const SPANS: [&str; 3] = ["window", "per", "horizon"];

/// The kind; by default that of the metric: silence, or a threshold.
pub(super) fn kind(fields: &mut Fields<'_>) -> RuleKind {
    let silence = fields.get("metric").and_then(serde_json::Value::as_str) == Some(OFFLINE_METRIC);
    let default = if silence { RuleKind::Offline } else { RuleKind::Threshold };
    fields.choice("kind", KINDS, RuleKind::from_name, Ok(default))
}

/// What is made of a value, from the durations that go with the kind; others are faults.
pub(super) fn transform(kind: RuleKind, preset: Option<Preset>, fields: &mut Fields<'_>) -> Transform {
    let (transform, known) = match kind {
        RuleKind::Rate => (rate(RATE_WINDOW_MS, RATE_PER_MS, fields), &SPANS[..2]),
        RuleKind::Forecast => (forecast(fields), &["window", "horizon"][..]),
        _ => match preset.map(|preset| preset.transform) {
            Some(Transform::Rate { window_ms, .. }) => {
                let window_ms = fields.duration("window", window_ms);
                (rate(window_ms, window_ms, fields), &SPANS[..2])
            }
            _ => (Transform::None, &[][..]),
        },
    };
    for name in SPANS.iter().filter(|name| !known.contains(name)) {
        if fields.get(name).is_some() {
            fields.fault(name, format!("a rule of kind {} has no {name}", kind.name()));
        }
    }
    transform
}

fn rate(window_ms: i64, per_ms: i64, fields: &mut Fields<'_>) -> Transform {
    Transform::Rate { window_ms: fields.duration("window", window_ms), per_ms: fields.duration("per", per_ms) }
}

fn forecast(fields: &mut Fields<'_>) -> Transform {
    let Some(horizon_ms) = fields.optional_duration("horizon") else {
        if !fields.is_bad("horizon") {
            fields.fault("horizon", "is missing: how far ahead to look, such as \"3d\"");
        }
        return Transform::Forecast { horizon_ms: DAY_MS, window_ms: DAY_MS };
    };
    let (least, most) = FORECAST_WINDOW_MS;
    let window_ms = (horizon_ms / FORECAST_SHARE).clamp(least, most);
    Transform::Forecast { horizon_ms, window_ms: fields.duration("window", window_ms) }
}
