//! Quiet hours and silences that come again: what is withheld, what passes, and what is told at the end.

use crate::support::house::{House, rule, with};
use crate::support::now_ms;
use crate::support::receiver::Receiver;
use crate::support::wait::until;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;

fn cpu(value: f64) -> Value {
    json!({"cpu.usage_percent": value})
}

/// The time of day so many milliseconds from now, in UTC.
fn clock(in_ms: i64) -> String {
    let seconds = (now_ms() + in_ms).div_euclid(1000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A channel that is quiet for so long from now.
fn quiet(receiver: &Receiver, ms: i64) -> Value {
    let hours = json!([{"from": clock(-3_600_000), "to": clock(ms), "timezone": "UTC", "critical_passes": true}]);
    with(receiver.channel("night"), &json!({"quiet_hours": hours}))
}

async fn night(with_restart: bool) {
    let mut house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &quiet(&receiver, 14_000)).await;
    let shown = house.api.get(&format!("/channels/{channel}")).await;
    assert!(shown["quiet_until"].is_string() && shown["quiet_hours"][0]["critical_passes"] == true, "{shown:#}");
    assert_eq!(house.api.get("/banner").await["quiet_hours"]["active"], 1);
    let warm = with(rule("CPU warm", "cpu.usage_percent", 50.0, &[&channel]), &json!({"severity": "warning"}));
    house.api.make("/rules", &warm).await;
    house.api.make("/rules", &rule("Memory", "mem.used_percent", 90.0, &[&channel])).await;
    let (mut burns, mut burned) = (house.json_agent("burns").await, house.json_agent("burned").await);
    burns.beat(&cpu(60.0)).await;
    for value in [60.0, 5.0] {
        burned.beat(&cpu(value)).await;
    }
    burns.beat(&json!({"cpu.usage_percent": 61, "mem.used_percent": 95})).await;
    let passes = receiver.nth("incident.fired", 1).await;
    assert_eq!(passes.data["rule"]["name"], "Memory", "only what is critical passes");
    if with_restart {
        house.restart(Signal::KILL).await;
        burns = burns.reconnect(&house.hub.url).await;
    }
    let digest = receiver.nth("digest", 1).await;
    let items: Vec<(&str, &str)> = digest.data["items"].as_array().unwrap().iter().map(line).collect();
    assert_eq!(items, [("incident.fired", "burns"), ("incident.resolved", "burned")], "{:#}", digest.data);
    assert!(digest.data["quiet"]["until"].is_string());
    burns.beat(&cpu(5.0)).await;
    let end = receiver.find("incident.resolved", |page| page.data["rule"]["name"] == "CPU warm").await;
    assert_eq!(end.data["agent"]["name"], "burns", "who was told in the digest hears of the end");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let kinds: Vec<String> = receiver.taken().into_iter().map(|page| page.kind).collect();
    assert_eq!(kinds, ["incident.fired", "digest", "incident.resolved"]);
    assert!(house.outbox("queued").await.is_empty());
}

fn line(item: &Value) -> (&str, &str) {
    (item["type"].as_str().unwrap(), item["data"]["agent"]["name"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_hours_end_with_one_digest() {
    night(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_hours_end_with_one_digest_after_a_kill_too() {
    night(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_that_comes_again_is_in_force_at_its_times() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    house.api.make("/rules", &rule("Disk", "disk.used_percent", 90.0, &[&channel])).await;
    let matchers = json!([{"label": "mount", "op": "=~", "value": "/data.*"}]);
    let minute = (now_ms() / 60_000 - 1).rem_euclid(60);
    let body = json!({"cron": format!("{minute} * * * *"), "duration": "10m", "timezone": "Europe/Berlin", "matchers": matchers, "kind": "maintenance"});
    let silence = house.api.make("/silences", &body).await;
    let shown = house.api.get(&format!("/silences/{silence}")).await;
    assert_eq!(
        (&shown["state"], &shown["ends_at"], &shown["matchers"]),
        (&json!("active"), &Value::Null, &matchers),
        "{shown:#}"
    );
    assert!(shown["active_until"].is_string() && shown["next"].as_array().is_some_and(|next| next.len() == 5), "{shown:#}");
    let banner = house.api.get("/banner").await;
    assert_eq!(banner["maintenance"]["active"], 1, "{banner:#}");
    let mut agent = house.json_agent("a").await;
    agent.beat(&json!({"disk.used_percent{mount=/data1}": 99, "disk.used_percent{mount=/}": 99})).await;
    let page = receiver.nth("incident.fired", 1).await;
    assert_eq!(page.data["labels"], json!({"mount": "/"}), "the other one is at work");
    let held = house.api.events("suppressed").await;
    assert_eq!((held.len(), &held[0]["reason"]), (1, &json!("maintenance")), "{held:#?}");
    house.api.delete(&format!("/silences/{silence}")).await;
    receiver.find("incident.fired", |page| page.data["labels"]["mount"] == "/data1").await;
    let far = house.api.make("/silences", &json!({"cron": "30 2 1 1 *", "duration": "1h"})).await;
    let shown = house.api.get(&format!("/silences/{far}")).await;
    assert_eq!((&shown["state"], &shown["timezone"]), (&json!("pending"), &json!("UTC")));
    for (wrong, pointer) in [
        (json!({"cron": "0 30 2 * * *", "duration": "1h"}), "/cron"),
        (json!({"cron": "30 2 * * *"}), "/duration"),
        (json!({"cron": "30 2 * * *", "duration": "1h", "timezone": "Mars"}), "/timezone"),
        (json!({"duration": "1h", "matchers": [{"label": "a", "op": "=~", "value": "("}]}), "/matchers/0/value"),
    ] {
        let (status, answer) = house.api.ask(reqwest::Method::POST, "/silences", Some(&wrong)).await;
        assert_eq!((status, answer["errors"][0]["pointer"].as_str()), (422, Some(pointer)), "{answer:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_hours_are_refused_where_they_cannot_be_meant() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    for hours in [json!([{"from": "25:00", "to": "07:00"}]), json!([{"from": "22:00"}]), json!({"from": "22:00", "to": "07:00"})]
    {
        let body = with(receiver.channel("a"), &json!({"quiet_hours": hours}));
        let (status, answer) = house.api.ask(reqwest::Method::POST, "/channels", Some(&body)).await;
        assert_eq!(status, 422, "{answer:#}");
        assert!(answer["errors"][0]["pointer"].as_str().is_some_and(|at| at.starts_with("/quiet_hours")), "{answer:#}");
    }
    let channel = house.api.make("/channels", &quiet(&receiver, 60_000)).await;
    house.api.patch(&format!("/channels/{channel}"), &json!({"quiet_hours": []})).await;
    until("nothing is quiet", async || (house.api.get("/banner").await["quiet_hours"]["active"] == 0).then_some(())).await;
}
