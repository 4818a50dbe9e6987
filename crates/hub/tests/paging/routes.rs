//! Whom a rule without channels tells, and who hears of a channel that refuses its pages.

use crate::support::double::Reply;
use crate::support::house::{House, rule, with};
use crate::support::receiver::Receiver;
use crate::support::wait::until;
use rustix::process::Signal;
use serde_json::{Value, json};

fn cpu(value: f64) -> Value {
    json!({"cpu.usage_percent": value})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_without_channels_tells_whom_the_routes_name_and_them_of_the_end() {
    let mut house = House::start().await;
    let (ops, dba) = (Receiver::start().await, Receiver::start().await);
    let ops_id = house.api.make("/channels", &ops.channel("ops")).await;
    let dba_id = house.api.make("/channels", &dba.channel("dba")).await;
    let routes = json!({"items": [
        {"tags": ["db"], "severities": ["critical"], "channels": [dba_id]},
        {"when": {"from": "00:00", "to": "00:00"}, "channels": [ops_id]},
    ]});
    let set = house.api.put("/routes", &routes).await;
    assert_eq!(set["items"][0]["continue"], false, "{set:#}");
    assert_eq!(house.api.put("/routes", &set).await, set, "what was read may be written back");
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[])).await;
    let (mut db, mut web) = (house.json_agent("db-01").await, house.json_agent("web-01").await);
    house.api.patch(&format!("/agents/{}", db.identity.id), &json!({"tags": ["db"]})).await;
    db.beat(&cpu(95.0)).await;
    web.beat(&cpu(95.0)).await;
    assert_eq!(dba.nth("incident.fired", 1).await.data["agent"]["name"], "db-01");
    assert_eq!(ops.nth("incident.fired", 1).await.data["agent"]["name"], "web-01");
    // Whatever the routes say by then, and whoever was started again meanwhile.
    house.api.put("/routes", &json!({"items": [{"channels": [ops_id, dba_id]}]})).await;
    house.restart(Signal::KILL).await;
    let (mut db, mut web) = (db.reconnect(&house.hub.url).await, web.reconnect(&house.hub.url).await);
    for agent in [&mut db, &mut web] {
        agent.beat(&cpu(5.0)).await;
    }
    assert_eq!(dba.nth("incident.resolved", 1).await.data["agent"]["name"], "db-01");
    assert_eq!(ops.nth("incident.resolved", 1).await.data["agent"]["name"], "web-01");
    db.beat(&cpu(95.0)).await;
    ops.nth("incident.fired", 2).await;
    dba.nth("incident.fired", 2).await;
    assert_eq!((ops.all().len(), dba.all().len()), (3, 3));
    let wrong = json!({"items": [{"severities": ["loud"], "when": {"from": "8", "to": "17:00"}, "channels": ["x"]}]});
    let (status, answer) = house.api.ask(reqwest::Method::PUT, "/routes", Some(&wrong)).await;
    let pointers: Vec<&str> = answer["errors"].as_array().unwrap().iter().filter_map(|fault| fault["pointer"].as_str()).collect();
    assert_eq!((status, pointers), (422, vec!["/items/0/severities/0", "/items/0/when/from", "/items/0/channels/0"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_all_that_a_new_hub_needs_to_page() {
    let house = House::untouched(&[]).await;
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[])).await;
    let (ops, late) = (Receiver::start().await, Receiver::start().await);
    house.api.make("/channels", &ops.channel("ops")).await;
    let mut agent = house.json_agent("a").await;
    agent.beat(&cpu(95.0)).await;
    assert_eq!(ops.nth("incident.fired", 1).await.data["rule"]["name"], "CPU hot");
    house.api.make("/channels", &late.channel("late")).await;
    agent.beat(&cpu(5.0)).await;
    ops.nth("incident.resolved", 1).await;
    agent.beat(&cpu(95.0)).await;
    late.nth("incident.fired", 1).await;
    ops.nth("incident.fired", 2).await;
    // Nobody is somebody's word, not the absence of one.
    house.api.put("/routes", &json!({"items": [{"channels": []}]})).await;
    let rules = house.api.list("/rules").await;
    let hot = rules.iter().find(|rule| rule["name"] == "CPU hot").unwrap()["id"].as_str().unwrap();
    let explained = house.api.get(&format!("/rules/{hot}/explain?agent={}", agent.identity.id)).await;
    let reasons = explained["items"][0]["reasons"].as_array().unwrap();
    assert!(reasons.iter().any(|reason| reason["code"] == "no_channel"), "{explained:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_hears_once_of_a_channel_that_refuses_its_pages() {
    let house = House::start().await;
    let gone = Receiver::scripted(vec![Reply::of(410, "gone"), Reply::of(410, "gone"), Reply::of(410, "gone")]).await;
    let spare = Receiver::start().await;
    let gone_id = house.api.make("/channels", &gone.channel("ops")).await;
    let spare_id = house.api.make("/channels", &spare.channel("spare")).await;
    house.api.put("/settings", &json!({"timezone": "UTC", "fallback_channel": spare_id})).await;
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[&gone_id])).await;
    house.api.make("/rules", &with(rule("Memory", "mem.used_percent", 90.0, &[&gone_id]), &json!({}))).await;
    let mut agent = house.json_agent("a").await;
    agent.beat(&json!({"cpu.usage_percent": 95, "mem.used_percent": 95})).await;
    let notice = spare.nth("channel.broken", 1).await;
    assert_eq!(notice.data["broken"]["name"], "ops", "{:#}", notice.data);
    until("two dead pages", async || (house.outbox("dead").await.len() == 2).then_some(())).await;
    let banner = house.api.get("/banner").await;
    assert_eq!(banner["channels_broken"][0]["name"], "ops", "{banner:#}");
    assert_eq!(house.api.events("channel_broken").await.len(), 1);
    agent.beat(&cpu(5.0)).await;
    until("a third attempt", async || (gone.all().len() == 3).then_some(())).await;
    // It takes pages again: a dead one is sent by hand, and the mark goes.
    let dead = house.outbox("dead").await;
    let id = dead[0]["id"].as_str().unwrap();
    house.api.post(&format!("/outbox/{id}/retry"), &json!({})).await;
    until("sent after all", async || (house.api.list("/outbox?state=sent").await.len() == 2).then_some(())).await;
    until("it works", async || (house.api.get("/banner").await["channels_broken"] == json!([])).then_some(())).await;
    assert_eq!(spare.all().len(), 1, "one word of it is enough");
}
