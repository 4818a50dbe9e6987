//! The preview of a rule: what it counts, and that it is what the evaluator would have done.

use crate::world::{World, now_ms};
use nightbell_alerts::{BacktestInput, backtest};
use nightbell_model::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

/// One value for each 15 s: two breaches, of which the second is long.
fn values() -> Vec<f64> {
    let breach = |i: usize| (40..44).contains(&i) || (100..160).contains(&i);
    (0..240).map(|i| if breach(i) { 95.0 } else { 20.0 }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_what_the_evaluator_would_have_done() {
    let world = World::new().await;
    let (busy, idle) = (world.agent("busy").await, world.agent("idle").await);
    let start = (now_ms() - 3_700_000) / 1000 * 1000;
    let times = (0..).map(|i| start + i * 15_000);
    let beats: Vec<(i64, Value)> =
        times.clone().zip(values()).map(|(at, value)| (at, json!({"cpu.usage_percent": value}))).collect();
    busy.post(&beats).await;
    idle.post(&[(start, json!({"cpu.usage_percent": 1})), (start + 15_000, json!({"cpu.usage_percent": 2}))]).await;
    let draft = json!({"metric": "cpu.usage_percent", "op": ">", "threshold": 90, "for": "2m", "start": start - 1, "end": "now"});
    let preview = world.post("/rules/preview", draft).await;
    assert_eq!((&preview["totals"]["agents"], &preview["totals"]["incidents"]), (&json!(1), &json!(1)));
    assert_eq!(preview["totals"]["notices"], 2);
    assert!(preview["totals"]["notices_at_night"].as_u64().unwrap() <= 2);
    assert_eq!(preview["stats"], json!({"p50": 20.0, "p95": 95.0, "p99": 95.0, "max": 95.0}));
    assert_eq!(preview["suggested_threshold"], 95.0);
    assert_eq!(preview["resolution"], json!({"tiers": ["raw"], "step_seconds": null, "hides": null}));
    let series = preview["series"].as_array().unwrap();
    let of = |id: &str| series.iter().find(|series| series["agent"] == id).unwrap_or_else(|| panic!("no {id} in {preview:#}"));
    assert_eq!((of(&idle.id)["transitions"].as_array().unwrap().len(), &of(&idle.id)["incidents"]), (1, &json!([])));
    let found = of(&busy.id);
    assert_eq!((&found["metric"], &found["labels"]), (&json!("cpu.usage_percent"), &json!({})));
    let rule = nightbell_alerts::Rule { hold_ms: 120_000, ..world_rule(&world) };
    let input = BacktestInput {
        key: "cpu.usage_percent".parse().unwrap(),
        samples: times.map(Timestamp::from_millis).zip(values().into_iter().map(Some)),
        past: Vec::new(),
        interval_ms: 15_000,
        levels: None,
        mutes: Vec::new(),
        end: Timestamp::from_millis(now_ms()),
    };
    let expected = backtest(&rule, input);
    let epoch = |at: Timestamp| json!(at.as_secs_f64());
    let transitions: Vec<Value> = expected.transitions.iter().map(|(at, state)| json!([epoch(*at), state.name()])).collect();
    assert_eq!(found["transitions"], json!(transitions));
    let incidents: Vec<Value> = expected
        .incidents
        .iter()
        .map(|i| json!({"fired_at": epoch(i.fired_at), "resolved_at": i.resolved_at.map(epoch), "peak": i.peak}))
        .collect();
    assert_eq!((incidents.len(), &found["incidents"]), (1, &json!(incidents)));
    let notices: Vec<Value> = expected.notices.iter().map(|(kind, at)| json!({"kind": kind.name(), "at": epoch(*at)})).collect();
    assert_eq!(found["notices"], json!(notices));
}

/// The starter rule on the CPU, bent to the draft of the test.
fn world_rule(world: &World) -> nightbell_alerts::Rule {
    use nightbell_alerts::{Comparison, Threshold};
    let holdings = world.hub.app.registry.read();
    let (rule, _) = holdings.rules.values().find(|(rule, _)| rule.selector.metric == "cpu.usage_percent").unwrap();
    nightbell_alerts::Rule { clear: None, threshold: Threshold::Value(90.0), comparison: Comparison::Greater, ..rule.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_aggregates_and_silence_are_previewed() {
    let world = World::new().await;
    let agent = world.agent("db-01").await;
    let start = now_ms() - 1_800_000;
    let beats: Vec<(i64, Value)> = (0..60_i64)
        .filter(|i| !(20..40).contains(i))
        .map(|i| (start + i * 15_000, json!({"disk.used_percent{mount=/}": 50, "disk.used_percent{mount=/srv}": 95})))
        .collect();
    agent.post(&beats).await;
    let ask = async |change: Value| {
        let mut draft = json!({"metric": "disk.used_percent", "op": ">", "threshold": 90, "start": "-1h"});
        draft.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        world.post("/rules/preview", draft).await
    };
    let each = ask(json!({})).await;
    assert_eq!((each["series"].as_array().unwrap().len(), &each["totals"]["incidents"]), (2, &json!(1)));
    let one = ask(json!({"labels": {"mount": "/"}})).await;
    assert_eq!((one["series"].as_array().unwrap().len(), &one["totals"]["agents"]), (1, &json!(0)));
    let matched = ask(json!({"matchers": [{"label": "mount", "op": "=~", "value": "/s.*"}]})).await;
    assert_eq!((&matched["series"][0]["labels"], &matched["totals"]["incidents"]), (&json!({"mount": "/srv"}), &json!(1)));
    let mean = ask(json!({"aggregate": "avg", "threshold": 72})).await;
    assert_eq!(
        (&mean["series"][0]["labels"], &mean["stats"]["max"], &mean["totals"]["incidents"]),
        (&json!({}), &json!(72.5), &json!(1))
    );
    let silent = ask(json!({"metric": "agent.offline", "threshold": 0})).await;
    assert_eq!(silent["totals"]["incidents"], 2, "the hole, and the end: {silent:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_and_forecasts_are_previewed_with_what_came_before() {
    let world = World::new().await;
    let agent = world.agent("db-01").await;
    let start = now_ms() - 7_200_000;
    // One point in a minute for an hour, then none.
    let value = |i: i64| if i < 240 { 20.0 + 0.25 * f64::from(i32::try_from(i).unwrap()) } else { 80.0 };
    let beats: Vec<(i64, Value)> =
        (0..480).map(|i| (start + i * 15_000, json!({"disk.used_percent{mount=/}": value(i)}))).collect();
    agent.post(&beats).await;
    let draft = json!({"kind": "rate", "metric": "disk.used_percent", "op": ">", "threshold": 30, "window": "10m", "per": "1h",
        "start": start + 1_200_000});
    let rate = world.post("/rules/preview", draft).await;
    assert_eq!(rate["totals"]["incidents"], 1, "{rate:#}");
    let fired = rate["series"][0]["incidents"][0]["fired_at"].as_f64().unwrap();
    let begin = Timestamp::from_millis(start + 1_200_000).as_secs_f64();
    assert!((fired - begin).abs() < 16.0, "the first sample of the span looks back: {rate:#}");
    assert!((rate["stats"]["max"].as_f64().unwrap() - 60.0).abs() < 0.01, "in per cent an hour: {rate:#}");
    let draft = json!({"kind": "forecast", "metric": "disk.used_percent", "op": ">=", "threshold": 100, "horizon": "2h", "window": "1h",
        "start": start, "end": start + 3_600_000});
    let forecast = world.post("/rules/preview", draft).await;
    assert_eq!(forecast["totals"]["incidents"], 1, "{forecast:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_that_cannot_be_are_refused() {
    let world = World::new().await;
    let draft = json!({"metric": "cpu.usage_percent", "op": ">", "threshold": 90, "for": "x", "nmae": "y"});
    assert_eq!(world.ask(Method::POST, "/rules/preview", Some(draft)).await.pointers(), ["/nmae", "/for"]);
    for (times, pointer) in [(json!({"start": "x"}), "/start"), (json!({"start": "now", "end": "-1h"}), "start")] {
        let mut draft = json!({"metric": "cpu.usage_percent", "op": ">", "threshold": 90});
        draft.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        assert_eq!(world.ask(Method::POST, "/rules/preview", Some(draft)).await.pointers(), [pointer]);
    }
    let empty = world.post("/rules/preview", json!({"metric": "cpu.usage_percent", "op": ">", "threshold": 90})).await;
    assert_eq!(
        (&empty["series"], &empty["suggested_threshold"], &empty["stats"]["p50"]),
        (&json!([]), &json!(null), &json!(null))
    );
}
