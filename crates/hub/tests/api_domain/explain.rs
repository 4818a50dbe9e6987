//! Why a rule pages and why it does not, over the API; and kinds of rules as they are written and shown.

use crate::world::{Receiver, World, now_ms};
use nightbell_protocol::parse_rfc3339;
use reqwest::Method;
use serde_json::{Value, json};

/// The codes of the reasons of the first thing explained.
async fn codes(world: &World, rule: &str, agent: &str) -> Vec<String> {
    let all = world.get(&format!("/rules/{rule}/explain?agent={agent}")).await;
    let reasons = all["items"][0]["reasons"].as_array().unwrap_or_else(|| panic!("{all:#}")).clone();
    reasons.iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect()
}

async fn rule(world: &World, change: Value) -> String {
    let mut body = json!({"name": "CPU hot", "metric": "cpu.usage_percent", "op": ">", "threshold": 90});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    world.post("/rules", body).await["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_silence_has_a_reason() {
    let world = World::new().await;
    let agent = world.agent("db-01").await;
    let plain = rule(&world, json!({})).await;
    assert_eq!(codes(&world, &plain, &agent.id).await, ["no_sample"]);
    agent.post(&[(now_ms(), json!({"cpu.usage_percent": 45}))]).await;
    assert_eq!(codes(&world, &plain, &agent.id).await, ["not_breaching", "no_channel"]);
    let explained = world.get(&format!("/rules/{plain}/explain?agent={}", agent.id)).await;
    assert_eq!(explained["items"][0]["reasons"][0]["text"], "45 % is not > 90 %", "{explained:#}");
    let mean =
        json!({"metric": "disk.used_percent", "aggregate": "avg", "matchers": [{"label": "mount", "op": "=~", "value": "/d.*"}]});
    let mean = rule(&world, mean).await;
    agent
        .post(&[(
            now_ms(),
            json!({"disk.used_percent{mount=/}": 99, "disk.used_percent{mount=/d1}": 20, "disk.used_percent{mount=/d2}": 40}),
        )])
        .await;
    let found = reason(&world, &mean, "not_breaching").await.unwrap();
    assert_eq!(found["text"], "30 % is not > 90 %", "what several make together is shown as well");
    let waiting = rule(&world, json!({"threshold": 40, "for": "5m"})).await;
    agent.post(&[(now_ms(), json!({"cpu.usage_percent": 45}))]).await;
    assert_eq!(codes(&world, &waiting, &agent.id).await[0], "pending");
    let disabled = rule(&world, json!({"enabled": false})).await;
    assert_eq!(codes(&world, &disabled, &agent.id).await, ["disabled"]);
    let wide = rule(&world, json!({"key": "k"})).await;
    let near = rule(&world, json!({"key": "k", "scope": {"agent": agent.id}})).await;
    let replaced = world.get(&format!("/rules/{wide}/explain?agent={}", agent.id)).await;
    let reason = &replaced["items"][0]["reasons"][0];
    assert_eq!((&reason["code"], &reason["rule"]), (&json!("replaced"), &json!(near)));
    let elsewhere = rule(&world, json!({"scope": {"tag": "web"}})).await;
    assert_eq!(codes(&world, &elsewhere, &agent.id).await, ["out_of_scope"]);
    world.patch(&format!("/agents/{}", agent.id), json!({"paused": true})).await;
    assert_eq!(codes(&world, &plain, &agent.id).await, ["paused"]);
    let wrong = world.ask(Method::GET, &format!("/rules/{plain}/explain?agent=x"), None).await;
    assert_eq!(wrong.pointers(), ["agent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_fails_or_is_held_has_a_reason_and_an_incident_explains_itself() {
    let world = World::new().await;
    let agent = world.agent("db-01").await;
    // Nobody listens there.
    let config = json!({"url": "http://127.0.0.1:9/", "allow_private": true});
    let channel = world.post("/channels", json!({"name": "dead", "kind": "webhook", "config": config})).await;
    let firing = rule(&world, json!({"severity": "critical", "channels": [channel["id"]], "repeat": "10m"})).await;
    agent.post(&[(now_ms(), json!({"cpu.usage_percent": 95}))]).await;
    let found = world
        .until("the delivery fails", async || {
            let found = codes(&world, &firing, &agent.id).await;
            found.contains(&"channel_failing".to_owned()).then_some(found)
        })
        .await;
    assert!(found.contains(&"firing".to_owned()) && found.contains(&"next_notice".to_owned()), "{found:?}");
    let open = world.get("/incidents?state=open").await;
    let incident = world.get(&format!("/incidents/{}", open["items"][0]["id"].as_str().unwrap())).await;
    assert_eq!((&incident["now"]["state"], &incident["now"]["value"]), (&json!("firing"), &json!(95.0)), "{incident:#}");
    assert!(incident["now"]["next_notice_at"].is_string(), "{incident:#}");

    let silence = world.post("/silences", json!({"comment": "work", "rule": firing, "duration": "10m"})).await;
    agent.post(&[(now_ms(), json!({"cpu.usage_percent": 10}))]).await;
    agent.post(&[(now_ms(), json!({"cpu.usage_percent": 95}))]).await;
    let held = world.get(&format!("/rules/{firing}/explain")).await;
    let reasons = held["items"][0]["reasons"].as_array().unwrap();
    let reason = reasons.iter().find(|reason| reason["code"] == "silence").unwrap_or_else(|| panic!("{held:#}"));
    assert_eq!((&reason["silence"], &reason["channel"]["name"]), (&silence["id"], &json!("dead")));
    assert!(reason["until"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_too_short_to_page_and_a_broken_channel_are_reasons() {
    let world = World::new().await;
    let agent = world.agent("db-01").await;
    let receiver = Receiver::new().await;
    let channel = world.channel("ops", &receiver.url).await;
    let brief = rule(&world, json!({"channels": [channel]})).await;
    for value in [95, 10] {
        agent.now(json!({"cpu.usage_percent": value})).await;
    }
    assert!(codes(&world, &brief, &agent.id).await.contains(&"too_short".to_owned()));
    receiver.answer_with(410);
    let loud = rule(&world, json!({"channels": [channel], "severity": "critical"})).await;
    agent.now(json!({"cpu.usage_percent": 95})).await;
    let both = ["channel_broken", "channel_failing"];
    world
        .until("the channel is broken and its page given up", async || {
            let found = codes(&world, &loud, &agent.id).await;
            both.iter().all(|code| found.iter().any(|found| found == code)).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_waits_goes_nowhere_or_can_never_come_has_a_reason() {
    let world = World::new().await;
    let agent = world.agent("db-01").await;
    let receiver = Receiver::new().await;
    let channel = world.channel("ops", &receiver.url).await;
    let unknown = rule(&world, json!({"metric": "shop.orders", "allow_unknown": true})).await;
    assert_eq!(codes(&world, &unknown, &agent.id).await, ["no_sample", "unknown_metric"]);
    let patient = rule(&world, json!({"name": "waits", "channels": [channel]})).await;
    world.put("/routes", json!({"items": [{"channels": []}, {"channels": [channel]}]})).await;
    let routed = rule(&world, json!({"name": "routed"})).await;
    agent.now(json!({"cpu.usage_percent": 95})).await;
    assert!(codes(&world, &patient, &agent.id).await.contains(&"gathering".to_owned()), "its page is not due yet");
    assert!(codes(&world, &routed, &agent.id).await.contains(&"no_route".to_owned()), "the first route names nobody");
    assert_eq!(reason(&world, &routed, "firing").await.unwrap()["text"], "firing; no channel is told of it");
    assert_eq!(reason(&world, &patient, "firing").await.unwrap()["text"], "firing; one channel is told of it");
    world.patch(&format!("/channels/{channel}"), json!({"enabled": false})).await;
    assert!(codes(&world, &patient, &agent.id).await.contains(&"channel_disabled".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_heartbeats_and_a_trend_that_is_none_are_reasons() {
    let world = World::new().await;
    let agent = world.agent("db-01").await;
    let hot = rule(&world, json!({})).await;
    agent.post(&[(now_ms() - 600_000, json!({"cpu.usage_percent": 95}))]).await;
    let late = reason(&world, &hot, "late_burst").await.expect("a buffer is coming in");
    assert_eq!(late["text"], "old heartbeats are coming in: what they change is told at their end");
    let other = world.agent("db-02").await;
    let start = now_ms() - 5_400_000;
    let saw = |n: i64| json!({"disk.used_percent{mount=/}": 50 + n * 7_919 % 37});
    let beats: Vec<(i64, Value)> = (0..360).map(|n| (start + n * 15_000, saw(n))).collect();
    other.post(&beats).await;
    let forecast = json!({"name": "full", "kind": "forecast", "metric": "disk.used_percent", "op": ">=", "threshold": 100,
        "horizon": "3h", "window": "1h"});
    let id = world.post("/rules", forecast).await["id"].as_str().unwrap().to_owned();
    let unclear = world
        .until("the trend is looked at", async || {
            other.post(&[(now_ms(), saw(0))]).await;
            reason(&world, &id, "no_clear_trend").await
        })
        .await;
    assert_eq!(unclear["text"], "it goes this way and that: the value stands for itself");
}

/// The reason of this name of the first thing explained.
async fn reason(world: &World, rule: &str, code: &str) -> Option<Value> {
    let all = world.get(&format!("/rules/{rule}/explain")).await;
    all["items"][0]["reasons"].as_array().unwrap().iter().find(|reason| reason["code"] == code).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_another_pages_receiver_holds_up_says_so() {
    let world = World::new().await;
    let agent = world.agent("db-01").await;
    let receiver = Receiver::new().await;
    let channel = world.channel("ops", &receiver.url).await;
    receiver.ask_for_patience("50");
    let loud = json!({"channels": [channel], "severity": "critical"});
    let first = rule(&world, loud.clone()).await;
    agent.now(json!({"cpu.usage_percent": 95})).await;
    world.until("the receiver refuses", async || reason(&world, &first, "channel_failing").await).await;
    let second = rule(&world, loud).await;
    agent.now(json!({"cpu.usage_percent": 96})).await;
    let held = world.until("the other page is held", async || reason(&world, &second, "channel_patience").await).await;
    assert_eq!(
        (&held["channel"]["name"], &held["text"]),
        (&json!("ops"), &json!("the receiver asked to be left alone for a while"))
    );
    let failing = reason(&world, &first, "channel_failing").await.unwrap();
    let ends = |reason: &Value| parse_rfc3339(reason["until"].as_str().unwrap()).unwrap();
    let apart = (ends(&failing) - ends(&held)).abs();
    assert!(apart < 12_000, "both wait for the same, but for what is added by chance: {held:#} {failing:#}");
    agent.now(json!({"cpu.usage_percent": 10})).await;
    let behind = world.until("the end waits too", async || reason(&world, &second, "in_line").await).await;
    assert_eq!(behind["text"], "its page waits for an earlier one of the same alert");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_is_kept_with_what_it_stands_for() {
    let world = World::new().await;
    let made = world.post("/rules", json!({"name": "SMTP", "kind": "port_closed", "labels": {"port": "25"}})).await;
    assert_eq!((&made["metric"], &made["op"], &made["threshold"]), (&json!("port.open"), &json!("<"), &json!(1.0)), "{made:#}");
    let id = made["id"].as_str().unwrap();
    let shown = world.get(&format!("/rules/{id}")).await;
    assert_eq!(shown, made);
    let again = world.put(&format!("/rules/{id}"), shown).await;
    assert_eq!(again["kind"], "port_closed");
    let refused = world.ask(Method::PATCH, &format!("/rules/{id}"), Some(json!({"op": ">"}))).await;
    assert_eq!(refused.pointers(), ["/op"]);
    let agent = world.agent("mail-01").await;
    agent.post(&[(now_ms(), json!({"port.open{port=25}": 0}))]).await;
    let open = world.get("/incidents?state=open").await;
    assert_eq!(
        (&open["items"][0]["rule"]["name"], &open["items"][0]["why"]),
        (&json!("SMTP"), &json!("0 < 1 (1 sample)")),
        "{open:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_looks_back_on_stored_history() {
    let world = World::new().await;
    let agent = world.agent("db-01").await;
    let start = now_ms() - 1_200_000;
    let value = |at: i64| f64::from(i32::try_from((at - start) / 1_000).unwrap()) / 60.0;
    let beats: Vec<(i64, Value)> =
        (0..80).map(|i| start + i * 15_000).map(|at| (at, json!({"disk.used_percent{mount=/}": value(at)}))).collect();
    agent.post(&beats).await;
    let rate =
        json!({"name": "fills", "kind": "rate", "metric": "disk.used_percent", "op": ">", "threshold": 30, "window": "10m"});
    let id = world.post("/rules", rate).await["id"].as_str().unwrap().to_owned();
    // The history is read within seconds; then a single sample says the rate.
    let why = world
        .until("the rate is known", async || {
            let at = now_ms();
            agent.post(&[(at, json!({"disk.used_percent{mount=/}": value(at)}))]).await;
            let open = world.get(&format!("/incidents?state=open&rule={id}")).await;
            open["items"][0]["why"].as_str().map(str::to_owned)
        })
        .await;
    let (rate, rest) = why.split_once(" %/h over 10 m 0 s > 30 %/h").unwrap_or_else(|| panic!("{why}"));
    assert!((rate.parse::<f64>().unwrap() - 60.0).abs() < 1.0 && rest == " (1 sample)", "{why}");
    assert!(codes(&world, &id, &agent.id).await.contains(&"firing".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_says_when_it_will_be_full() {
    let world = World::new().await;
    let agent = world.agent("db-01").await;
    let start = now_ms() - 5_400_000;
    // 0.8 points an hour, from 40 %.
    let value = |at: i64| 40.0 + 0.8 * f64::from(i32::try_from(at - start).unwrap()) / 3_600_000.0;
    let beats: Vec<(i64, Value)> =
        (0..360).map(|i| start + i * 15_000).map(|at| (at, json!({"disk.used_percent{mount=/data}": value(at)}))).collect();
    agent.post(&beats).await;
    let forecast = json!({"name": "full", "kind": "forecast", "metric": "disk.used_percent", "op": ">=", "threshold": 100,
        "horizon": "4d", "window": "1h"});
    let id = world.post("/rules", forecast).await["id"].as_str().unwrap().to_owned();
    let why = world
        .until("the trend is known", async || {
            let at = now_ms();
            agent.post(&[(at, json!({"disk.used_percent{mount=/data}": value(at)}))]).await;
            let open = world.get(&format!("/incidents?state=open&rule={id}")).await;
            open["items"][0]["why"].as_str().map(str::to_owned)
        })
        .await;
    assert!(why.starts_with("at +0.8 %/h /data reaches 100 % in 3 d 1"), "{why}");
    assert!(why.contains("(confidence 100 %)"), "{why}");
    let explained = world.get(&format!("/rules/{id}/explain?agent={}", agent.id)).await;
    let trend = &explained["items"][0]["trend"];
    assert_eq!(trend["outlook"], "clear", "{explained:#}");
    assert!((trend["per_hour"].as_f64().unwrap() - 0.8).abs() < 0.01, "{explained:#}");
}
