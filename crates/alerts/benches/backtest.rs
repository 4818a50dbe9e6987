//! How long a backtest takes: 30 days of 100 agents in five-minute buckets, for a threshold, a rate and a forecast.
//! `cargo bench -p nightbell-alerts --bench backtest`.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark measures time and prints it")]

use nightbell_alerts::{
    Aggregate, BacktestInput, BacktestReport, Comparison, Missing, Rule, RuleKind, Scope, Selector, Severity, Threshold,
    Transform, backtest,
};
use nightbell_model::{RuleId, SeriesKey, Timestamp};
use std::time::Instant;

const AGENTS: u32 = 100;
const BUCKETS: u32 = 30 * 288;
const STEP_MS: i64 = 300_000;

fn main() {
    let rate = Transform::Rate { window_ms: 3_600_000, per_ms: 3_600_000 };
    let forecast = Transform::Forecast { horizon_ms: 3 * 86_400_000, window_ms: 86_400_000 };
    for (name, kind, transform, threshold) in [
        ("threshold", RuleKind::Threshold, Transform::None, 90.0),
        ("rate", RuleKind::Rate, rate, 3.0),
        ("forecast", RuleKind::Forecast, forecast, 100.0),
    ] {
        let rule = rule(kind, transform, threshold);
        let (start, mut incidents, mut notices) = (Instant::now(), 0, 0);
        for agent in 0..AGENTS {
            let report = run(&rule, agent);
            (incidents, notices) = (incidents + report.incidents.len(), notices + report.notices.len());
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{name}: {seconds:.2} s for {AGENTS} agents x {BUCKETS} buckets, {incidents} incidents, {notices} notices");
    }
}

/// A disk that fills, is cleaned now and then, and wobbles.
fn value(agent: u32, bucket: u32) -> f64 {
    let period = 1500 + agent * 7;
    let fill = f64::from(bucket % period) / f64::from(period);
    let wobble = (f64::from(bucket) * 0.7 + f64::from(agent)).sin();
    20.0 + 75.0 * fill + 3.0 * wobble
}

fn run(rule: &Rule, agent: u32) -> BacktestReport {
    let at = |bucket: u32| Timestamp::from_millis(1_763_769_600_000 + i64::from(bucket) * STEP_MS);
    let Ok(key) = SeriesKey::new("disk.used_percent", &[("mount", "/")]) else { return BacktestReport::default() };
    let input = BacktestInput {
        key,
        samples: (0..BUCKETS).map(|bucket| (at(bucket), Some(value(agent, bucket)))),
        past: Vec::new(),
        interval_ms: STEP_MS,
        levels: None,
        mutes: Vec::new(),
        end: at(BUCKETS),
    };
    backtest(rule, input)
}

fn rule(kind: RuleKind, transform: Transform, threshold: f64) -> Rule {
    Rule {
        id: RuleId::from_bits(1),
        version: 1,
        name: "bench".to_owned(),
        key: None,
        kind,
        selector: Selector {
            metric: "disk.used_percent".to_owned(),
            labels: vec![],
            matchers: vec![],
            aggregate: Aggregate::Each,
        },
        transform,
        comparison: Comparison::Greater,
        threshold: Threshold::Value(threshold),
        clear: None,
        hold_ms: 600_000,
        keep_firing_ms: 0,
        cooldown_ms: 1_800_000,
        repeat_ms: 14_400_000,
        missing: Missing::Keep,
        missing_after_ms: None,
        severity: Severity::Warning,
        scope: Scope::Global,
        channels: vec![],
        escalation: vec![],
        fold_late: true,
        enabled: true,
    }
}
