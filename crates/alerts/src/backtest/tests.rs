//! A backtest says what the evaluator would have done.

use super::*;
use crate::context::{LabelConditions, MuteKind};
use crate::fixtures;
use crate::rule::{Clear, Comparison, Missing, OFFLINE_METRIC, RuleKind, Threshold};
use nightbell_model::{Level, Ulid};

fn at(s: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + s)
}

type Samples = std::vec::IntoIter<(Timestamp, Option<f64>)>;

fn input(values: &[f64]) -> BacktestInput<Samples> {
    let samples: Vec<_> =
        (0_i64..).map(|step| at(step * 30)).zip(values.iter().map(|value| (!value.is_nan()).then_some(*value))).collect();
    let end = samples.last().map_or(at(0), |(ts, _)| *ts);
    let key = "cpu.usage_percent".parse().unwrap();
    BacktestInput {
        key,
        samples: samples.into_iter(),
        past: Vec::new(),
        interval_ms: 30_000,
        levels: None,
        mutes: Vec::new(),
        end,
    }
}

fn cpu() -> Rule {
    fixtures::rule(1, "cpu.usage_percent")
}

/// Transitions as seconds and names.
fn transitions(report: &BacktestReport) -> Vec<(i64, &'static str)> {
    report.transitions.iter().map(|(ts, state)| (ts.millis_since(at(0)) / 1000, state.name())).collect()
}

fn notices(report: &BacktestReport) -> Vec<(i64, &'static str)> {
    report.notices.iter().map(|(kind, ts)| (ts.millis_since(at(0)) / 1000, kind.name())).collect()
}

#[test]
fn it_tells_states_incidents_and_notices() {
    let rule = Rule { hold_ms: 60_000, ..cpu() };
    let report = backtest(&rule, input(&[10.0, 95.0, 96.0, 99.0, 97.0, 50.0, 95.0]));
    assert_eq!(transitions(&report), [(0, "ok"), (30, "pending"), (90, "firing"), (150, "ok"), (180, "pending")]);
    let incident = BacktestIncident { fired_at: at(90), resolved_at: Some(at(150)), peak: 99.0 };
    assert_eq!(report.incidents, [incident]);
    assert_eq!(notices(&report), [(90, "fired"), (150, "resolved")]);
}

#[test]
fn the_first_entry_is_the_state_at_the_first_sample() {
    assert_eq!(transitions(&backtest(&cpu(), input(&[95.0]))), [(0, "firing")]);
    assert_eq!(transitions(&backtest(&cpu(), input(&[f64::NAN, 95.0]))), [(0, "ok"), (30, "firing")]);
    assert_eq!(backtest(&cpu(), input(&[])), BacktestReport::default());
}

#[test]
fn missing_values_are_heartbeats_without_a_value_and_infinities_compare() {
    let values = [95.0, f64::NAN, f64::NAN, f64::NAN, f64::NAN, f64::NAN, f64::NAN, 10.0];
    let nodata = Rule { missing: Missing::NoData, ..cpu() };
    assert_eq!(transitions(&backtest(&nodata, input(&values))), [(0, "firing"), (150, "nodata"), (210, "ok")]);
    let resolve = Rule { missing: Missing::Resolve, ..cpu() };
    assert_eq!(transitions(&backtest(&resolve, input(&values))), [(0, "firing"), (150, "ok")]);
    assert_eq!(transitions(&backtest(&cpu(), input(&values))), [(0, "firing"), (210, "ok")]);
    let report = backtest(&cpu(), input(&[f64::INFINITY, f64::NEG_INFINITY]));
    assert_eq!(transitions(&report), [(0, "firing"), (30, "ok")]);
}

#[test]
fn a_gap_of_the_whole_agent_is_a_hole_and_no_missing_data() {
    let rule = Rule { hold_ms: 60_000, missing: Missing::NoData, ..cpu() };
    let mut input = input(&[95.0, 95.0]);
    let samples: Vec<_> =
        input.samples.by_ref().chain([(at(600), Some(95.0)), (at(630), Some(95.0)), (at(660), Some(95.0))]).collect();
    let report = backtest(&rule, BacktestInput { samples: samples.into_iter(), end: at(660), ..self::input(&[]) });
    assert_eq!(transitions(&report), [(0, "pending"), (660, "firing")]);
}

#[test]
fn levels_mutes_and_cooldown_count() {
    let level = Rule {
        comparison: Comparison::GreaterOrEqual,
        threshold: Threshold::Level(Level::Crit),
        clear: Some(Clear::Level(Level::Warn)),
        ..cpu()
    };
    let levels = Some(Levels { warn: 70.0, crit: 85.0 });
    let report = backtest(&level, BacktestInput { levels, ..input(&[84.0, 85.0, 70.0, 69.0]) });
    assert_eq!(transitions(&report), [(0, "ok"), (30, "firing"), (90, "ok")]);
    assert_eq!(transitions(&backtest(&level, input(&[99.0]))), [(0, "ok")]);

    let mute = Mute {
        id: Ulid::default(),
        kind: MuteKind::Silence,
        start: at(0),
        end: at(75),
        rule: None,
        agent: Some(AgentId::from_bits(77)),
        tag: Some("db".into()),
        series: None,
        labels: LabelConditions::default(),
        channel: None,
        up_to: None,
        defers_resolved: false,
    };
    let report = backtest(&cpu(), BacktestInput { mutes: vec![mute], ..input(&[95.0, 95.0, 95.0, 95.0]) });
    assert_eq!(notices(&report), [(75, "fired")]);

    let cooldown = Rule { cooldown_ms: 100_000, ..cpu() };
    let report = backtest(&cooldown, input(&[95.0, 10.0, 95.0, 95.0, 95.0]));
    assert_eq!(notices(&report), [(0, "fired"), (30, "resolved"), (100, "fired")]);
}

#[test]
fn timers_run_to_the_end_asked_for() {
    let rule = Rule { repeat_ms: 60_000, ..cpu() };
    let report = backtest(&rule, BacktestInput { end: at(185), ..input(&[95.0, 95.0]) });
    assert_eq!(notices(&report), [(0, "fired"), (60, "repeat"), (120, "repeat"), (180, "repeat")]);
}

#[test]
fn the_offline_rule_sees_the_gaps() {
    let rule = Rule { comparison: Comparison::Equal, threshold: Threshold::Value(1.0), ..fixtures::rule(1, OFFLINE_METRIC) };
    let samples = vec![(at(0), Some(1.0)), (at(30), None), (at(300), Some(1.0))];
    let report = backtest(&rule, BacktestInput { samples: samples.into_iter(), end: at(300), ..input(&[]) });
    assert_eq!(transitions(&report), [(0, "ok"), (120, "firing"), (300, "ok")]);
}

#[test]
fn the_median_spacing_is_the_middle_one() {
    let times = |seconds: &[i64]| seconds.iter().map(|s| at(*s)).collect::<Vec<_>>();
    assert_eq!(median_spacing(&times(&[0, 30, 60, 90, 1000])), Some(30_000));
    assert_eq!(median_spacing(&times(&[0, 10, 10, 40])), Some(10_000));
    assert_eq!(median_spacing(&times(&[5])), None);
    assert_eq!(median_spacing(&[]), None);
}

#[test]
fn a_forecast_is_taken_from_what_was_known_at_the_time() {
    // Half a percent an hour from 60 %: three days before it is full that is said, and once.
    let transform = Transform::Forecast { horizon_ms: 3 * 86_400_000, window_ms: 86_400_000 };
    let rule = Rule {
        transform,
        kind: RuleKind::Forecast,
        threshold: Threshold::Value(100.0),
        ..fixtures::rule(1, "disk.used_percent")
    };
    let samples: Vec<_> =
        (0..4 * 288).map(|step| (at(step * 300), Some(60.0 + 0.5 * f64::from(i32::try_from(step).unwrap()) / 12.0))).collect();
    let end = samples.last().unwrap().0;
    let key: SeriesKey = "disk.used_percent".parse().unwrap();
    let input = |past, samples: Vec<_>| BacktestInput {
        key: key.clone(),
        samples: samples.into_iter(),
        past,
        interval_ms: 300_000,
        levels: None,
        mutes: Vec::new(),
        end,
    };
    let report = backtest(&rule, input(Vec::new(), samples.clone()));
    assert_eq!(report.incidents.len(), 1);
    // 64 % and 36 points to come at half a point an hour.
    let hours = report.incidents[0].fired_at.millis_since(at(0)) / 3_600_000;
    assert!((12..=13).contains(&hours), "{hours}: it takes half a window to tell");
    assert!(report.compared.iter().all(|value| *value > 90.0), "{:?}", &report.compared[..3]);
    // With a day of history before it, it is said with the first sample that is beyond.
    let past = samples[..288].iter().map(|(ts, value)| (*ts, value.unwrap())).collect();
    let later = backtest(&rule, input(past, samples[288..].to_vec()));
    assert_eq!(later.incidents[0].fired_at, samples[288].0);
    assert!(backtest(&rule, input(Vec::new(), samples[..100].to_vec())).incidents.is_empty());
}

#[test]
fn a_rate_looks_back_on_the_past() {
    let transform = Transform::Rate { window_ms: 300_000, per_ms: 60_000 };
    let rule = Rule { transform, kind: RuleKind::Rate, threshold: Threshold::Value(1.0), ..cpu() };
    let values: Vec<f64> = (0..20).map(f64::from).collect();
    let alone = backtest(&rule, input(&values));
    assert_eq!(notices(&alone), [(300, "fired")]);
    assert!(alone.compared.iter().all(|rate| (rate - 2.0).abs() < 1e-9));
    let past = (1..=10).rev().map(|step| (at(-step * 30), f64::from(i32::try_from(-step).unwrap()))).collect();
    let primed = backtest(&rule, BacktestInput { past, ..input(&values) });
    assert_eq!(notices(&primed), [(0, "fired")]);
}
