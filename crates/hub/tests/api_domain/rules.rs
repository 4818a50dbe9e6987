//! Rules: what may be written, what comes back, and who may overtake whom.

use crate::world::{World, send};
use reqwest::Method;
use serde_json::{Value, json};

fn hot() -> Value {
    json!({"name": "CPU hot", "metric": "cpu.usage_percent", "labels": {}, "op": ">", "threshold": 90, "clear": 85, "for": "5m",
        "keep_firing": "0s", "cooldown": "30m", "repeat": "0s", "missing": "keep", "severity": "critical", "scope": "global",
        "channels": [], "enabled": true})
}

fn with(change: Value) -> Value {
    let mut rule = hot();
    rule.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    rule
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_comes_back_and_may_be_sent_again() {
    let world = World::new().await;
    let agent = world.agent("db-01").await;
    let sent = with(json!({"scope": {"agent": agent.id}}));
    let answer = world.ask(Method::POST, "/rules", Some(sent.clone())).await;
    assert_eq!(answer.status, 201);
    let made = answer.json();
    for (field, value) in sent.as_object().unwrap() {
        let same = made[field] == *value || made[field].as_f64().is_some_and(|number| value.as_f64() == Some(number));
        assert!(same, "{field}: {} is not {value}", made[field]);
    }
    assert_eq!((&made["version"], &made["for_seconds"], &made["cooldown_seconds"]), (&json!(1), &json!(300), &json!(1800)));
    assert_eq!(made["key"], made["id"]);
    let path = format!("/rules/{}", made["id"].as_str().unwrap());
    assert_eq!(world.get(&path).await, made);
    let again = world.put(&path, made.clone()).await;
    assert_eq!(again["version"], 2);
    let patched = world.patch(&path, json!({"threshold": {"level": "crit"}, "clear": {"margin": 5}, "for": "90s"})).await;
    assert_eq!(
        (&patched["threshold"], &patched["clear"], &patched["for_seconds"]),
        (&json!({"level": "crit"}), &json!({"margin": 5.0}), &json!(90))
    );
    assert_eq!((&patched["name"], &patched["severity"]), (&json!("CPU hot"), &json!("critical")));
    let defaults = world.put(&path, json!({"name": "x", "metric": "cpu.usage_percent", "op": ">=", "threshold": 1})).await;
    assert_eq!(
        (&defaults["for"], &defaults["clear"], &defaults["severity"], &defaults["scope"]),
        (&json!("0s"), &json!(null), &json!("warning"), &json!("global"))
    );
    let listed = world.get("/rules").await;
    assert!(listed["items"].as_array().unwrap().contains(&defaults));
    world.delete(&path).await;
    assert_eq!(world.refusal(Method::GET, &path, None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_faults_are_named_at_once() {
    let world = World::new().await;
    let stranger = "01JD8Y3W5M2K7Q9R4T6V8X0ZAB";
    for (change, pointers) in [
        (json!({"for": "soon", "severity": "loud", "colour": "red"}), vec!["/colour", "/for", "/severity"]),
        (json!({"clear": 95}), vec!["/clear"]),
        (json!({"op": "==", "clear": 85}), vec!["/clear"]),
        (json!({"threshold": "90"}), vec!["/threshold"]),
        (json!({"scope": {"agent": stranger}, "channels": [stranger]}), vec!["/scope/agent", "/channels/0"]),
        (json!({"metric": "cpu.usage_precent"}), vec!["/metric"]),
        (json!({"threshold": {"level": "crit"}, "clear": null, "op": "<"}), vec!["/op"]),
    ] {
        let answer = world.ask(Method::POST, "/rules", Some(with(change.clone()))).await;
        assert_eq!((answer.status, answer.pointers()), (422, pointers.iter().map(|p| (*p).to_owned()).collect()), "{change}");
        let verdict = world.post("/rules/validate", with(change.clone())).await;
        assert_eq!((&verdict["valid"], verdict["errors"].as_array().unwrap().len()), (&json!(false), pointers.len()), "{change}");
    }
    assert_eq!(world.post("/rules/validate", hot()).await, json!({"valid": true, "errors": []}));
    let text = world.ask(Method::POST, "/rules", Some(with(json!({"metric": "cpu.usage_precent"})))).await.text();
    assert!(text.contains("cpu.usage_percent"), "{text}");
    let unread = world.ask(Method::POST, "/rules", Some(json!([1]))).await;
    assert_eq!(unread.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_metrics_need_a_word_or_an_agent_that_sends_them() {
    let world = World::new().await;
    let custom = with(json!({"metric": "queue.depth_count"}));
    assert_eq!(world.refusal(Method::POST, "/rules", Some(custom.clone())).await.0, 422);
    let allowed = world.post("/rules", with(json!({"metric": "queue.depth_count", "allow_unknown": true}))).await;
    let path = format!("/rules/{}", allowed["id"].as_str().unwrap());
    world.patch(&path, json!({"threshold": 95})).await;
    world.agent("a").await.now(json!({"queue.depth_count": 3})).await;
    world.post("/rules", custom).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_read_an_older_version_is_told_so() {
    let world = World::new().await;
    let made = world.ask(Method::POST, "/rules", Some(hot())).await;
    let (old, path) = (made.header("etag"), format!("/rules/{}", made.json()["id"].as_str().unwrap()));
    let patch = |tag: &str| world.request(Method::PATCH, &path).header("if-match", tag).json(&json!({"threshold": 91}));
    let first = send(patch(&old)).await;
    assert_eq!(first.status, 200);
    assert_ne!(first.header("etag"), old);
    let second = send(patch(&old)).await;
    assert_eq!((second.status, second.json()["code"].as_str()), (412, Some("stale")));
    assert_eq!(send(world.request(Method::DELETE, &path).header("if-match", &old)).await.status, 412);
    assert_eq!(send(patch("*")).await.status, 200);
    let audit = world.get("/audit?limit=1").await;
    assert_eq!(audit["items"][0]["detail"]["after"]["threshold"], 91.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_explains_each_of_its_series() {
    let world = World::new().await;
    let agent = world.agent("db-01").await;
    let rule = world.post("/rules", with(json!({"threshold": 50, "clear": null}))).await;
    agent.now(json!({"cpu.usage_percent": 77.5})).await;
    let shown = world.only(&format!("/rules/{}/explain", rule["id"].as_str().unwrap())).await;
    assert_eq!((&shown["agent"], &shown["metric"]), (&json!({"id": agent.id, "name": "db-01"}), &json!("cpu.usage_percent")));
    assert_eq!((&shown["state"], &shown["value"], &shown["threshold"]), (&json!("pending"), &json!(77.5), &json!(50.0)));
}
