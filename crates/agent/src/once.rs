//! One heartbeat for people and tests: `nightbell-agent --once`.

use crate::clock::{self, Moment};
use crate::collect::{Collector, Dealings, Reading, Roots, facts};
use crate::sheet::{MISSING, RawCounter, unscaled};
use crate::watch::Watch;
use nightbell_model::catalogue::{self, Unit};
use nightbell_model::series::SeriesKey;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::time::Duration;

/// The time between the two samples from which rates are made.
const BETWEEN: Duration = Duration::from_millis(250);

/// Reads the host below `roots`, and what is watched on it, twice, 250 ms apart, and gives one heartbeat: as one JSON object
/// `{"agent", "samples":[{"metric","labels","value","unit"}], "gaps":[{"source","why"}], "counters"}`, or as a line of text for
/// each value. Blocks meanwhile.
#[must_use]
pub fn once(roots: &Roots, watch: &Watch, json: bool) -> String {
    let mut collector = Collector::new(roots, watch, true);
    let dealings = Dealings::default();
    let first = collector.collect(Moment::now(), &dealings);
    std::thread::sleep(BETWEEN);
    let mut reading = collector.collect(Moment::now(), &dealings);
    keep_slow(&first, &mut reading);
    if json { as_json(roots, &reading, collector.counters()) } else { as_text(&reading) }
}

/// What has a period of its own is told once, perhaps in the first reading.
fn keep_slow(first: &Reading, reading: &mut Reading) {
    for (at, value) in first.row.iter().enumerate().filter(|(_, value)| **value != MISSING) {
        let key: Option<SeriesKey> = first.names.keys[at].parse().ok();
        let slow = key.and_then(|key| catalogue::find(key.metric())).is_some_and(|metric| metric.period_ms.is_some());
        let place = reading.names.keys.iter().position(|name| *name == first.names.keys[at]);
        if let Some(place) = place.filter(|place| slow && reading.row[*place] == MISSING) {
            reading.row[place] = *value;
        }
    }
}

/// The present values with their keys.
fn samples(reading: &Reading) -> impl Iterator<Item = (SeriesKey, f64)> {
    let cells = reading.names.keys.iter().zip(&reading.names.decimals).zip(&reading.row);
    cells.filter_map(|((key, decimals), value)| Some((key.parse().ok()?, unscaled(*value, *decimals)?)))
}

fn as_json(roots: &Roots, reading: &Reading, counters: &[RawCounter]) -> String {
    let samples: Vec<Value> = samples(reading)
        .map(|(key, value)| {
            let labels: Map<String, Value> = key.labels().into_iter().map(|(name, value)| (name, Value::from(value))).collect();
            json!({"metric": key.metric(), "labels": labels, "value": number(value), "unit": unit(&key).name()})
        })
        .collect();
    let gaps: Vec<Value> = reading.gaps.iter().map(|gap| json!({"source": gap.source, "why": gap.why})).collect();
    let counters: Map<String, Value> = counters.iter().map(|(key, value)| (key.clone(), Value::from(*value))).collect();
    let mut agent = facts(roots);
    agent.insert("version".to_owned(), Value::from(env!("CARGO_PKG_VERSION")));
    agent.insert("timestamp_ms".to_owned(), Value::from(clock::wall_ms()));
    json!({"agent": agent, "samples": samples, "gaps": gaps, "counters": counters}).to_string()
}

/// Whole numbers without a fraction, as JSON readers of other languages like them.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        return Value::from(value as i64);
    }
    Value::from(value)
}

fn as_text(reading: &Reading) -> String {
    let mut text = String::new();
    for (key, value) in samples(reading) {
        let _infallible = writeln!(text, "{key} {value} {}", unit(&key).symbol());
    }
    for gap in &reading.gaps {
        let _infallible = writeln!(text, "gap: {} {}", gap.source, gap.why);
    }
    text.trim_end().to_owned()
}

fn unit(key: &SeriesKey) -> Unit {
    catalogue::find(key.metric()).map_or(Unit::None, |metric| metric.unit)
}
