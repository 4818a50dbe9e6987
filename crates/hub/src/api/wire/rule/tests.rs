//! Rules as the API writes them: what is taken, what comes back, what is refused.

use super::*;
use nightbell_model::RuleId;
use serde_json::{Map, Value, json};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// A good rule with `change` over it.
fn draft(change: Value) -> Map<String, Value> {
    let mut draft = object(json!({"name": "CPU hot", "metric": "cpu.usage_percent", "op": ">", "threshold": 90}));
    draft.extend(object(change));
    draft
}

fn pointers(change: Value) -> Vec<String> {
    match read(&draft(change), Needs::Whole, RuleId::default(), 1) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|fault| fault.pointer).collect(),
    }
}

#[test]
fn what_is_written_can_be_read_back() {
    let whole = draft(json!({
        "labels": {}, "clear": 85, "for": "5m", "keep_firing": "1m", "cooldown": "30m", "repeat": "4h", "missing": "nodata",
        "missing_after": "10m", "severity": "critical", "scope": {"tag": "db"}, "key": "cpu", "fold_late": false, "enabled": false,
        "channels": ["01JD8Y3W5M2K7Q9R4T6V8X0ZAB"],
        "escalation": [{"after": "15m", "channels": ["01JD8Y3W5M2K7Q9R4T6V8X0ZAC"]}],
    }));
    let rule = read(&whole, Needs::Whole, RuleId::default(), 3).expect("a good rule");
    let shown = object(serde_json::to_value(RuleView::of(&rule, Timestamp::from_secs(1))).expect("written"));
    for (name, value) in &whole {
        let same = shown[name] == *value || shown[name].as_f64().is_some_and(|number| Some(number) == value.as_f64());
        assert!(same, "{name}: {} is not {value}", shown[name]);
    }
    assert_eq!(shown["for_seconds"], 300);
    assert_eq!(shown["missing_after_seconds"], 600);
    assert_eq!(read(&shown, Needs::Whole, RuleId::default(), 3).expect("a GET may be PUT"), rule);
}

#[test]
fn levels_matchers_and_scopes_have_their_forms() {
    let change = json!({
        "metric": "disk.used_percent", "threshold": {"level": "crit"}, "clear": {"margin": 5}, "aggregate": "max",
        "matchers": [{"label": "mount", "op": "=~", "value": "/srv.*"}], "scope": {"agent": "01JD8Y3W5M2K7Q9R4T6V8X0ZAB"},
    });
    let rule = read(&draft(change), Needs::Whole, RuleId::default(), 1).expect("a good rule");
    assert_eq!(RuleBody::of(&rule).threshold, ThresholdBody::Level { level: "crit" });
    assert_eq!(RuleBody::of(&rule).clear, Some(ClearBody::Margin { margin: 5.0 }));
    assert!(matches!(rule.scope, Scope::Agent(_)));
    assert_eq!(pointers(json!({"threshold": {"level": "warn"}, "clear": {"level": "crit"}})), ["/clear"]);
}

/// A rule of this kind with `change` over it, as it is shown.
fn of_kind(kind: &str, change: Value) -> Map<String, Value> {
    let mut body = object(json!({"name": "x", "kind": kind}));
    body.extend(object(change));
    let rule = read(&body, Needs::Whole, RuleId::default(), 1).unwrap_or_else(|faults| panic!("{kind}: {faults:?}"));
    let shown = object(serde_json::to_value(RuleView::of(&rule, Timestamp::from_secs(1))).expect("written"));
    assert_eq!(read(&shown, Needs::Whole, RuleId::default(), 1).expect("a GET may be PUT"), rule, "{kind}");
    shown
}

#[test]
fn a_kind_names_what_it_stands_for() {
    for (kind, change, metric, op, threshold) in [
        ("offline", json!({}), "agent.offline", "==", 1.0),
        ("unit_failed", json!({}), "unit.failed", ">", 0.0),
        ("unit_failed", json!({"labels": {"unit": "nginx.service"}}), "unit.active", "<", 1.0),
        ("container_down", json!({"labels": {"container": "db"}}), "container.up", "<", 1.0),
        ("container_unhealthy", json!({}), "container.health", "<", 1.0),
        ("process_missing", json!({"labels": {"process": "cron"}, "threshold": 2}), "process.count", "<", 2.0),
        ("port_closed", json!({"labels": {"port": "25"}}), "port.open", "<", 1.0),
        ("smart_failing", json!({}), "smart.healthy", "<", 1.0),
        ("reboot", json!({}), "sys.uptime_seconds", "<", 600.0),
        ("clock_step", json!({}), "clock.offset_seconds", ">", 2.0),
    ] {
        let shown = of_kind(kind, change);
        assert_eq!((&shown["kind"], &shown["metric"], &shown["op"]), (&json!(kind), &json!(metric), &json!(op)));
        assert_eq!(shown["threshold"].as_f64(), Some(threshold), "{kind}");
    }
    assert_eq!(of_kind("clock_step", json!({}))["window"], "10m");
    assert_eq!(draft_kind(json!({"metric": "agent.offline", "op": "==", "threshold": 1})), "offline");
    assert_eq!(draft_kind(json!({})), "threshold");
}

fn draft_kind(change: Value) -> String {
    let rule = read(&draft(change), Needs::Whole, RuleId::default(), 1).expect("a good rule");
    rule.kind.name().to_owned()
}

#[test]
fn rates_and_forecasts_have_their_durations() {
    let rate = of_kind("rate", json!({"metric": "disk.used_bytes", "op": ">", "threshold": 1e9, "window": "30m", "per": "1h"}));
    assert_eq!((&rate["transform"], &rate["window_seconds"], &rate["per"]), (&json!("rate"), &json!(1800), &json!("1h")));
    let forecast = of_kind("forecast", json!({"metric": "disk.used_percent", "op": ">=", "threshold": 100, "horizon": "3d"}));
    assert_eq!((&forecast["horizon"], &forecast["window"], &forecast["per"]), (&json!("3days"), &json!("1day"), &Value::Null));
    for (change, expected) in [
        (json!({"kind": "rates"}), vec!["/kind"]),
        (json!({"kind": "forecast"}), vec!["/horizon"]),
        (json!({"kind": "forecast", "horizon": "1m"}), vec!["/horizon"]),
        (json!({"kind": "forecast", "horizon": "1d", "per": "1h"}), vec!["/per"]),
        (json!({"kind": "rate", "horizon": "1d"}), vec!["/horizon"]),
        (json!({"kind": "rate", "window": "1s"}), vec!["/window"]),
        (json!({"kind": "rate", "threshold": {"level": "crit"}}), vec!["/threshold"]),
        (json!({"window": "1h"}), vec!["/window"]),
        (json!({"kind": "port_closed"}), vec!["/metric", "/op"]),
        (json!({"kind": "reboot", "window": "1h"}), vec!["/window"]),
    ] {
        assert_eq!(pointers(change.clone()), expected, "{change}");
    }
}

#[test]
fn each_fault_is_named_by_its_field() {
    for (change, expected) in [
        (json!({"name": null}), "/name"),
        (json!({"name": " "}), "/name"),
        (json!({"name": 5}), "/name"),
        (json!({"metric": null}), "/metric"),
        (json!({"metric": "cpu"}), "/metric"),
        (json!({"op": null}), "/op"),
        (json!({"op": "=>"}), "/op"),
        (json!({"threshold": null}), "/threshold"),
        (json!({"threshold": "90"}), "/threshold"),
        (json!({"threshold": {"level": "bad"}}), "/threshold"),
        (json!({"threshold": {"level": "crit"}, "op": "<"}), "/op"),
        (json!({"clear": 95}), "/clear"),
        (json!({"clear": 90, "op": "=="}), "/clear"),
        (json!({"clear": {"margin": -1}}), "/clear"),
        (json!({"clear": []}), "/clear"),
        (json!({"for": "-5m"}), "/for"),
        (json!({"for": 300}), "/for"),
        (json!({"for": "soon"}), "/for"),
        (json!({"for": "8d"}), "/for"),
        (json!({"keep_firing": "x"}), "/keep_firing"),
        (json!({"cooldown": "31d"}), "/cooldown"),
        (json!({"repeat": "1s"}), "/repeat"),
        (json!({"missing": "ignore"}), "/missing"),
        (json!({"missing_after": "1ms"}), "/missing_after"),
        (json!({"severity": "bad"}), "/severity"),
        (json!({"scope": "all"}), "/scope"),
        (json!({"scope": {"agent": "x"}}), "/scope/agent"),
        (json!({"scope": {"tag": ""}}), "/scope"),
        (json!({"channels": ["x"]}), "/channels/0"),
        (json!({"channels": "x"}), "/channels"),
        (json!({"escalation": [{"after": "x", "channels": []}]}), "/escalation/0/after"),
        (json!({"escalation": [{"after": "5m"}]}), "/escalation/0"),
        (json!({"labels": {"mount": 1}}), "/labels/mount"),
        (json!({"labels": []}), "/labels"),
        (json!({"matchers": [{"label": "a", "op": "~", "value": "b"}]}), "/matchers/0"),
        (json!({"matchers": [{"label": "a", "op": "=~", "value": "("}]}), "/matchers"),
        (json!({"aggregate": "max"}), "/aggregate"),
        (json!({"enabled": "yes"}), "/enabled"),
        (json!({"allow_unknown": 1}), "/allow_unknown"),
        (json!({"threshhold": 1}), "/threshhold"),
    ] {
        assert_eq!(pointers(change.clone()), [expected], "{change}");
    }
}

#[test]
fn all_faults_come_at_once_and_none_is_made_up() {
    let change = json!({"for": "x", "severity": "bad", "threshold": "90", "clear": 95, "scope": 5, "nmae": "x"});
    assert_eq!(pointers(change), ["/nmae", "/threshold", "/for", "/severity", "/scope"]);
}
