//! History as JSON: its shape, and the writer that puts a frame's columns straight into the answer. A page of a host is a hundred
//! thousand numbers.

use super::{Asked, tier_name};
use crate::api::wire::metric;
use crate::api::wire::names::labels;
use crate::api::wire::seconds::Seconds;
use crate::digits::{push_integer, push_json, push_json_number};
use crate::page::rfc3339;
use nightbell_model::{AgentId, Column, Frame};
use nightbell_store::Damaged;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// About how long a number is, so that memory is asked for once.
const NUMBER_BYTES: usize = 6;

/// A part of an agent's history: one time axis, and the series over it.
#[derive(Debug, ToSchema)]
#[cfg_attr(test, derive(Serialize))]
#[cfg_attr(not(test), expect(dead_code, reason = "the shape of what is written straight into the answer"))]
pub(super) struct History {
    agent: String,
    start: String,
    end: String,
    /// raw, 5m, hourly, daily or mixed
    tier: &'static str,
    /// The width of the buckets; null where these are raw samples.
    #[schema(value_type = Option<f64>)]
    step_seconds: Option<Seconds>,
    points: usize,
    /// What was found damaged in the span and is missing from the answer; left out where nothing is.
    #[cfg_attr(test, serde(skip_serializing_if = "Vec::is_empty"))]
    #[schema(required = false)]
    damaged: Vec<DamagedView>,
    /// Epoch milliseconds.
    t: Vec<i64>,
    series: Vec<HistorySeries>,
}

/// A stretch of history that cannot be read any more.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DamagedView {
    start: String,
    end: String,
    /// What is wrong with it.
    why: String,
}

impl From<&Damaged> for DamagedView {
    fn from(damaged: &Damaged) -> Self {
        Self { start: rfc3339(damaged.start), end: rfc3339(damaged.end), why: damaged.why.clone() }
    }
}

/// One series; a gap is null.
#[derive(Debug, ToSchema)]
#[cfg_attr(test, derive(Serialize))]
#[cfg_attr(not(test), expect(dead_code, reason = "the shape of what is written straight into the answer"))]
struct HistorySeries {
    metric: String,
    labels: BTreeMap<String, String>,
    unit: &'static str,
    /// The mean of each bucket; the value itself on raw.
    #[schema(value_type = Vec<Option<f64>>)]
    v: Vec<f64>,
    #[schema(value_type = Vec<Option<f64>>)]
    min: Vec<f64>,
    #[schema(value_type = Vec<Option<f64>>)]
    max: Vec<f64>,
}

/// The answer as [`History`] has it.
pub(super) fn json(agent: AgentId, asked: Asked, frame: &Frame, damaged: &[Damaged]) -> Vec<u8> {
    let numbers = frame.times.len() * (2 + 3 * frame.columns.len());
    let mut out = Vec::with_capacity(numbers * NUMBER_BYTES + 256 * (1 + frame.columns.len()));
    out.extend_from_slice(b"{\"agent\":");
    push_json(&mut out, &agent.to_string());
    out.extend_from_slice(b",\"start\":");
    push_json(&mut out, &rfc3339(asked.start));
    out.extend_from_slice(b",\"end\":");
    push_json(&mut out, &rfc3339(asked.end));
    out.extend_from_slice(b",\"tier\":");
    push_json(&mut out, tier_name(frame));
    out.extend_from_slice(b",\"step_seconds\":");
    push_json(&mut out, &frame.step_ms.map(Seconds));
    out.extend_from_slice(b",\"points\":");
    push_json(&mut out, &frame.times.len());
    if !damaged.is_empty() {
        out.extend_from_slice(b",\"damaged\":");
        push_json(&mut out, &damaged.iter().map(DamagedView::from).collect::<Vec<_>>());
    }
    out.extend_from_slice(b",\"t\":");
    list(&mut out, &frame.times, |out, time| push_integer(out, time.as_millis()));
    out.extend_from_slice(b",\"series\":");
    list(&mut out, &frame.columns, |out, column| series(out, column, frame.step_ms.is_none()));
    out.push(b'}');
    out
}

/// A column; where these are raw samples, all three of its parts are the same.
fn series(out: &mut Vec<u8>, column: &Column, is_raw: bool) {
    out.extend_from_slice(b"{\"metric\":");
    push_json(out, column.key.metric());
    out.extend_from_slice(b",\"labels\":");
    push_json(out, &labels(&column.key));
    out.extend_from_slice(b",\"unit\":");
    push_json(out, metric::unit(column.key.metric()).name());
    out.extend_from_slice(b",\"v\":");
    let begin = out.len();
    numbers(out, &column.mean);
    let mean = begin..out.len();
    for (name, part) in [(&b",\"min\":"[..], &column.min), (b",\"max\":", &column.max)] {
        out.extend_from_slice(name);
        if is_raw {
            out.extend_from_within(mean.clone());
        } else {
            numbers(out, part);
        }
    }
    out.push(b'}');
}

fn numbers(out: &mut Vec<u8>, values: &[f64]) {
    let mut decimals = 2;
    list(out, values, |out, value| push_json_number(out, *value, &mut decimals));
}

fn list<T>(out: &mut Vec<u8>, items: &[T], mut item: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (at, one) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        item(out, one);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_model::{Tier, Timestamp};

    /// The same by the general way.
    fn plainly(agent: AgentId, asked: Asked, frame: &Frame, damaged: &[Damaged]) -> String {
        let series = frame.columns.iter().map(|column| HistorySeries {
            metric: column.key.metric().to_owned(),
            labels: labels(&column.key),
            unit: metric::unit(column.key.metric()).name(),
            v: column.mean.clone(),
            min: column.min.clone(),
            max: column.max.clone(),
        });
        let history = History {
            agent: agent.to_string(),
            start: rfc3339(asked.start),
            end: rfc3339(asked.end),
            tier: tier_name(frame),
            step_seconds: frame.step_ms.map(Seconds),
            points: frame.times.len(),
            damaged: damaged.iter().map(DamagedView::from).collect(),
            t: frame.times.iter().map(|time| time.as_millis()).collect(),
            series: series.collect(),
        };
        serde_json::to_string(&history).expect("plain data")
    }

    #[test]
    fn a_frame_is_written_as_its_description_says() {
        let (start, end) = (Timestamp::from_secs(1_700_000_000), Timestamp::from_secs(1_700_003_600));
        let (asked, agent) = (Asked { start, end, until: end }, AgentId::from_bits(7));
        let column = |key: &str, mean: &[f64], spread: f64| Column {
            key: key.parse().expect("a key"),
            mean: mean.to_vec(),
            min: mean.iter().map(|value| value - spread).collect(),
            max: mean.iter().map(|value| value + spread).collect(),
        };
        let raw = Frame {
            tiers: vec![Tier::Raw],
            times: vec![start, start.plus_millis(15_001)],
            columns: vec![
                column("cpu.usage_percent", &[12.25, f64::NAN], 0.0),
                column("disk.used_bytes{mount=\"/a \\\"b\\\"\"}", &[f64::INFINITY, 5e11], 0.0),
            ],
            ..Frame::empty(start, end)
        };
        let buckets = Frame {
            step_ms: Some(300_500),
            tiers: vec![Tier::Raw, Tier::Hourly],
            columns: vec![column("a.b", &[1.0 / 3.0, -0.0], 0.125)],
            ..raw.clone()
        };
        for frame in [raw, buckets, Frame::empty(start, end)] {
            let damaged = Damaged { start, end, why: "its checksum does not fit".to_owned() };
            for damaged in [&[][..], &[damaged][..]] {
                let text = String::from_utf8(json(agent, asked, &frame, damaged)).expect("text");
                assert_eq!(text, plainly(agent, asked, &frame, damaged));
                assert_eq!(text.contains("damaged"), !damaged.is_empty());
            }
        }
    }
}
