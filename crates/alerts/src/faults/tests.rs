//! Every fault is found, under its field, and good rules have none.

use super::*;
use crate::fixtures;
use crate::rule::{Comparison, EscalationStep, Matcher, Severity};
use nightbell_model::{AgentId, ChannelId};

fn good() -> Rule {
    fixtures::rule(1, "disk.used_percent")
}

/// The fields that are at fault after `change`.
fn fields(change: impl FnOnce(&mut Rule)) -> Vec<&'static str> {
    let mut rule = good();
    change(&mut rule);
    rule.faults().into_iter().map(|fault| fault.field).collect()
}

fn matcher(label: &str, kind: MatchKind, value: &str) -> Matcher {
    Matcher { label: label.into(), kind, value: value.into() }
}

fn step(after_ms: i64, channel: u128) -> EscalationStep {
    EscalationStep { after_ms, channels: vec![ChannelId::from_bits(channel)] }
}

#[test]
fn good_rules_have_no_fault() {
    assert_eq!(fields(|_| {}), [""; 0]);
    assert_eq!(
        fields(|rule| {
            rule.clear = Some(Clear::Value(85.0));
            rule.selector.matchers.push(matcher("mount", MatchKind::NotRegex, "/(boot|efi)"));
            rule.selector.aggregate = Aggregate::Max;
            rule.scope = Scope::Agent(AgentId::from_bits(1));
            rule.severity = Severity::Critical;
            rule.escalation = vec![step(60_000, 1), step(120_000, 2)];
            (rule.hold_ms, rule.repeat_ms, rule.missing_after_ms) = (MAX_HOLD_MS, MIN_REPEAT_MS, Some(MIN_MISSING_AFTER_MS));
        }),
        [""; 0]
    );
    assert_eq!(
        fields(|rule| {
            (rule.threshold, rule.clear) = (Threshold::Level(Level::Crit), Some(Clear::Level(Level::Warn)));
        }),
        [""; 0]
    );
    let offline = Rule { comparison: Comparison::Equal, threshold: Threshold::Value(1.0), ..fixtures::rule(1, OFFLINE_METRIC) };
    assert_eq!(offline.faults(), []);
}

#[test]
fn names_keys_and_tags_must_say_something_short() {
    assert_eq!(fields(|rule| rule.name = "  ".into()), ["name"]);
    assert_eq!(fields(|rule| rule.name = "é".repeat(MAX_NAME)), [""; 0]);
    assert_eq!(fields(|rule| rule.name = "é".repeat(MAX_NAME + 1)), ["name"]);
    assert_eq!(fields(|rule| rule.name = "two\nlines".into()), ["name"]);
    assert_eq!(fields(|rule| rule.key = Some(String::new())), ["key"]);
    assert_eq!(fields(|rule| rule.scope = Scope::Tag(String::new())), ["scope"]);
}

#[test]
fn selectors_must_be_able_to_match() {
    assert_eq!(fields(|rule| rule.selector.metric = "CPU".into()), ["metric"]);
    assert_eq!(fields(|rule| rule.selector.labels = vec![("Mount".into(), "/".into())]), ["labels"]);
    assert_eq!(fields(|rule| rule.selector.labels = vec![("m".into(), "/".into()), ("m".into(), "/".into())]), ["labels"]);
    assert_eq!(fields(|rule| rule.selector.labels = vec![("m".into(), "v".repeat(300))]), ["labels"]);
    assert_eq!(fields(|rule| rule.selector.matchers = vec![matcher("a b", MatchKind::Equal, "")]), ["matchers"]);
    for bad in ["(", "a)|(b", "[", "(?P<n>", "\\p{nothing}", &"(a{900}){900}".repeat(2)] {
        assert_eq!(fields(|rule| rule.selector.matchers = vec![matcher("mount", MatchKind::Regex, bad)]), ["matchers"], "{bad}");
    }
    assert_eq!(fields(|rule| rule.selector.matchers = vec![matcher("mount", MatchKind::Equal, "(")]), [""; 0]);
    assert_eq!(fields(|rule| rule.selector.matchers = vec![matcher("mount", MatchKind::Equal, "/"); 33]), ["labels"]);
    assert_eq!(
        fields(|rule| {
            rule.selector.metric = "cpu.usage_percent".into();
            rule.selector.aggregate = Aggregate::Avg;
        }),
        ["aggregate"]
    );
}

#[test]
fn thresholds_are_finite_and_levels_agree_with_their_metric() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(fields(|rule| rule.threshold = Threshold::Value(value)), ["threshold"]);
    }
    let level = |metric: &str, comparison| {
        fields(|rule| {
            rule.selector.metric = metric.into();
            (rule.threshold, rule.comparison) = (Threshold::Level(Level::Warn), comparison);
        })
    };
    assert_eq!(level("cpu.usage_percent", Comparison::GreaterOrEqual), [""; 0]);
    assert_eq!(level("cpu.usage_percent", Comparison::Less), ["op"]);
    assert_eq!(level("battery.percent", Comparison::LessOrEqual), [""; 0]);
    assert_eq!(level("battery.percent", Comparison::Greater), ["op"]);
    assert_eq!(level("cpu.usage_percent", Comparison::Equal), ["op"]);
    assert_eq!(level("cpu.frequency_mhz", Comparison::Greater), ["threshold"]);
    assert_eq!(level("custom.anything", Comparison::Less), [""; 0]);
}

#[test]
fn clear_lies_on_the_good_side() {
    let clear = |comparison, threshold, clear| {
        fields(|rule| (rule.comparison, rule.threshold, rule.clear) = (comparison, threshold, Some(clear)))
    };
    let value = Threshold::Value(90.0);
    assert_eq!(clear(Comparison::Greater, value, Clear::Value(90.0)), [""; 0]);
    assert_eq!(clear(Comparison::Greater, value, Clear::Value(90.1)), ["clear"]);
    assert_eq!(clear(Comparison::LessOrEqual, value, Clear::Value(89.9)), ["clear"]);
    assert_eq!(clear(Comparison::LessOrEqual, value, Clear::Value(95.0)), [""; 0]);
    assert_eq!(clear(Comparison::Equal, value, Clear::Value(80.0)), ["clear"]);
    assert_eq!(clear(Comparison::NotEqual, value, Clear::Margin(1.0)), ["clear"]);
    assert_eq!(clear(Comparison::Greater, value, Clear::Value(f64::NAN)), ["clear"]);
    assert_eq!(clear(Comparison::Greater, value, Clear::Margin(f64::INFINITY)), ["clear"]);
    assert_eq!(clear(Comparison::Greater, value, Clear::Margin(0.0)), ["clear"]);
    assert_eq!(clear(Comparison::Greater, value, Clear::Margin(-1.0)), ["clear"]);
    assert_eq!(clear(Comparison::Greater, value, Clear::Level(Level::Warn)), ["clear"]);
    let crit = Threshold::Level(Level::Crit);
    assert_eq!(clear(Comparison::Greater, crit, Clear::Value(80.0)), ["clear"]);
    assert_eq!(clear(Comparison::Greater, crit, Clear::Margin(5.0)), [""; 0]);
    assert_eq!(clear(Comparison::Greater, Threshold::Level(Level::Warn), Clear::Level(Level::Crit)), ["clear"]);
}

#[test]
fn durations_are_neither_negative_nor_endless() {
    for (field, set) in [
        ("for", (|rule, ms| rule.hold_ms = ms) as fn(&mut Rule, i64)),
        ("keep_firing", |rule, ms| rule.keep_firing_ms = ms),
        ("cooldown", |rule, ms| rule.cooldown_ms = ms),
        ("repeat", |rule, ms| rule.repeat_ms = ms),
        ("missing_after", |rule, ms| rule.missing_after_ms = Some(ms)),
    ] {
        assert_eq!(fields(|rule| set(rule, -1)), [field]);
        assert_eq!(fields(|rule| set(rule, i64::MAX)), [field]);
        assert_eq!(fields(|rule| set(rule, 60_000)), [""; 0]);
    }
    assert_eq!(fields(|rule| rule.repeat_ms = 59_999), ["repeat"]);
    assert_eq!(fields(|rule| rule.missing_after_ms = Some(0)), ["missing_after"]);
    assert_eq!(fields(|rule| rule.hold_ms = MAX_HOLD_MS + 1), ["for"]);
}

#[test]
fn channels_and_steps_are_few_and_in_order() {
    let channels = |count: u128| (0..count).map(ChannelId::from_bits).collect::<Vec<_>>();
    assert_eq!(fields(|rule| rule.channels = channels(32)), [""; 0]);
    assert_eq!(fields(|rule| rule.channels = channels(33)), ["channels"]);
    assert_eq!(fields(|rule| rule.channels = vec![ChannelId::from_bits(1); 2]), ["channels"]);
    assert_eq!(fields(|rule| rule.escalation = vec![step(60_000, 1), step(60_000, 2)]), ["escalation"]);
    assert_eq!(fields(|rule| rule.escalation = vec![step(-1, 1)]), ["escalation"]);
    assert_eq!(fields(|rule| rule.escalation = vec![EscalationStep { after_ms: 1, channels: vec![] }]), ["escalation"]);
    let many = (1..=17).map(|at| step(at * 60_000, 1)).collect::<Vec<_>>();
    assert_eq!(fields(|rule| rule.escalation = many), ["escalation"]);
}

#[test]
fn the_offline_rule_asks_whether_it_is_one() {
    let offline = |change: fn(&mut Rule)| {
        fields(|rule| {
            (rule.selector.metric, rule.kind) = (OFFLINE_METRIC.into(), RuleKind::Offline);
            (rule.comparison, rule.threshold) = (Comparison::Equal, Threshold::Value(1.0));
            change(rule);
        })
    };
    assert_eq!(offline(|_| {}), [""; 0]);
    assert_eq!(offline(|rule| (rule.comparison, rule.threshold) = (Comparison::Greater, Threshold::Value(0.0))), [""; 0]);
    assert_eq!(offline(|rule| rule.threshold = Threshold::Value(0.0)), ["threshold"]);
    assert_eq!(offline(|rule| (rule.comparison, rule.threshold) = (Comparison::Greater, Threshold::Value(1.0))), ["threshold"]);
    assert_eq!(offline(|rule| rule.selector.labels = vec![("a".into(), "b".into())]), ["metric"]);
    assert_eq!(offline(|rule| (rule.comparison, rule.clear) = (Comparison::GreaterOrEqual, Some(Clear::Margin(0.5)))), ["clear"]);
}

#[test]
fn a_rule_is_what_its_kind_says() {
    let kind = |change: fn(&mut Rule)| fields(change);
    assert_eq!(kind(|rule| rule.kind = RuleKind::Rate), ["kind"]);
    assert_eq!(kind(|rule| rule.transform = rate_of(300_000, 1_000)), ["kind"]);
    assert_eq!(kind(|rule| (rule.kind, rule.transform) = (RuleKind::Rate, rate_of(60_000, 1_000))), [""; 0]);
    assert_eq!(kind(|rule| (rule.kind, rule.transform) = (RuleKind::Rate, rate_of(59_999, 999))), ["window", "per"]);
    assert_eq!(kind(|rule| (rule.kind, rule.transform) = (RuleKind::Rate, rate_of(86_400_001, 1_000))), ["window"]);
    let forecast = |horizon_ms, window_ms| Transform::Forecast { horizon_ms, window_ms };
    assert_eq!(fields(|rule| (rule.kind, rule.transform) = (RuleKind::Forecast, forecast(86_400_000, 3_600_000))), [""; 0]);
    assert_eq!(fields(|rule| (rule.kind, rule.transform) = (RuleKind::Forecast, forecast(1, 1))), ["horizon", "window"]);
    assert_eq!(kind(|rule| rule.kind = RuleKind::PortClosed), ["metric", "op"]);
    assert_eq!(
        kind(|rule| {
            (rule.kind, rule.comparison, rule.threshold) = (RuleKind::PortClosed, Comparison::Less, Threshold::Value(1.0));
            rule.selector.metric = "port.open".into();
        }),
        [""; 0]
    );
    assert_eq!(kind(|rule| rule.selector.metric = OFFLINE_METRIC.into()), ["kind", "threshold"]);
    assert_eq!(
        kind(|rule| {
            (rule.kind, rule.transform, rule.threshold) = (RuleKind::Rate, rate_of(60_000, 1_000), Threshold::Level(Level::Crit));
        }),
        ["threshold"]
    );
}

fn rate_of(window_ms: i64, per_ms: i64) -> Transform {
    Transform::Rate { window_ms, per_ms }
}

#[test]
fn a_fault_reads_as_a_sentence() {
    let mut rule = good();
    rule.hold_ms = -1;
    let text: Vec<String> = rule.faults().iter().map(ToString::to_string).collect();
    assert_eq!(text, ["for: must not be negative"]);
}
