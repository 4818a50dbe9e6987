//! The newest values of the fleet, and who leads in a metric.

use crate::world::{World, encode, now_ms};
use reqwest::Method;
use serde_json::{Value, json};

/// Three agents with values, the last silent for an hour, and one that never said anything.
async fn fleet(world: &World) -> Vec<String> {
    let mut ids = Vec::new();
    for (name, cpu, at) in [("db-01", 40.5, 0), ("db-02", 90.25, 0), ("web-01", 99.0, -3_600_000)] {
        let poster = world.agent(name).await;
        let values = json!({"cpu.usage_percent": cpu, "disk.used_percent{mount=/}": cpu / 2.0, "disk.used_percent{mount=/b}": 7});
        poster.post(&[(now_ms() + at, values)]).await;
        ids.push(poster.id);
    }
    ids.push(world.agent("new-01").await.id);
    world.patch(&format!("/agents/{}", ids[1]), json!({"tags": ["big", "db"]})).await;
    ids
}

fn named<'a>(latest: &'a Value, name: &str) -> &'a Value {
    latest["items"].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_values_of_all_agents_are_one_answer() {
    let world = World::new().await;
    let ids = fleet(&world).await;
    let all = world.get("/agents/latest").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 4);
    for id in &ids {
        let (own, agent) =
            (all["items"].as_array().unwrap().iter().find(|item| item["id"] == **id), world.get(&format!("/agents/{id}")).await);
        let own = own.unwrap();
        for field in ["name", "status", "metrics"] {
            assert_eq!(own[field], agent[field], "{field}");
        }
    }
    assert_eq!(named(&all, "new-01")["t"], Value::Null);
    let named_only = world.get(&format!("/agents/latest?metrics={}", encode("disk.used_percent,cpu.usage_percent"))).await;
    let db = named(&named_only, "db-01");
    assert_eq!(
        db["metrics"],
        json!({"cpu.usage_percent": 40.5, "disk.used_percent{mount=/}": 20.25, "disk.used_percent{mount=/b}": 7.0})
    );
    assert!((db["t"].as_i64().unwrap() - now_ms()).abs() < 60_000);
    let one = world.get(&format!("/agents/latest?metrics={}&tag=big", encode("disk.used_percent{mount=/b}"))).await;
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    assert_eq!(named(&one, "db-02")["metrics"], json!({"disk.used_percent{mount=/b}": 7.0}));
    assert_eq!(world.get("/agents/latest?tag=none").await, json!({"items": []}));
    let (status, code) = world.refusal(Method::GET, "/agents/latest?metrics=CPU", None).await;
    assert_eq!((status, code.as_str()), (422, "invalid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_by_the_hour_stays_with_its_own_time() {
    let world = World::new().await;
    let poster = world.agent("db-01").await;
    let (now, health, wear) = (now_ms(), "smart.healthy{device=sda}", "smart.wear_percent{device=sda}");
    poster.post(&[(now - 3_500_000, json!({"cpu.usage_percent": 1, "load.avg_1m": 2, health: 1, wear: 7}))]).await;
    poster.post(&[(now - 1_000, json!({"cpu.usage_percent": 3}))]).await;
    let all = world.get("/agents/latest").await;
    let own = named(&all, "db-01");
    assert_eq!(
        own["metrics"],
        json!({"cpu.usage_percent": 3.0, health: 1.0, wear: 7.0}),
        "what comes with each heartbeat is gone"
    );
    assert_eq!(own["older"], json!({health: now - 3_500_000, wear: now - 3_500_000}));
    let one = world.get("/agents/latest?metrics=smart.wear_percent").await;
    assert_eq!(named(&one, "db-01")["metrics"], json!({wear: 7.0}));
    assert_eq!(named(&one, "db-01")["older"], json!({wear: now - 3_500_000}));
    let fast = world.get("/agents/latest?metrics=cpu.usage_percent").await;
    assert_eq!(named(&fast, "db-01")["older"], Value::Null);
    let agent = world.get(&format!("/agents/{}", poster.id)).await;
    assert_eq!(agent["metrics"], own["metrics"]);
    let mut named: Vec<&String> = agent["older"].as_object().unwrap().keys().collect();
    named.sort();
    assert_eq!(named, [health, wear]);
    let ranking = world.get("/metrics/top?metric=smart.wear_percent").await;
    assert_eq!((&ranking["items"][0]["value"], &ranking["items"][0]["timestamp"]), (&json!(7.0), &agent["older"][wear]));
    poster.post(&[(now, json!({"cpu.usage_percent": 4, wear: 8}))]).await;
    let agent = world.get(&format!("/agents/{}", poster.id)).await;
    assert_eq!((&agent["metrics"][wear], &agent["older"][wear]), (&json!(8.0), &Value::Null));
    // A buffer that is replayed has its reading in its midst.
    let cpu = json!({"cpu.usage_percent": 5});
    let replayed = world.agent("db-02").await;
    replayed.post(&[(now - 90_000, cpu.clone()), (now - 60_000, json!({health: 1})), (now - 30_000, cpu)]).await;
    let agent = world.get(&format!("/agents/{}", replayed.id)).await;
    assert_eq!(agent["metrics"], json!({"cpu.usage_percent": 5.0, health: 1.0}));
}

fn ranked(ranking: &Value) -> Vec<(&str, f64)> {
    let items = ranking["items"].as_array().unwrap().iter();
    items.map(|item| (item["agent"]["name"].as_str().unwrap(), item["value"].as_f64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_and_the_smallest_are_ranked_over_the_agents_that_are_online() {
    let world = World::new().await;
    fleet(&world).await;
    world.agent("web-02").await.post(&[(now_ms(), json!({"cpu.usage_percent": 12, "disk.used_percent{mount=/}": 7}))]).await;
    let top = world.get("/metrics/top?metric=cpu.usage_percent").await;
    // The hour-old value came just now: its agent is online, but what it says is the newest it has.
    assert_eq!(ranked(&top), [("web-01", 99.0), ("db-02", 90.25), ("db-01", 40.5), ("web-02", 12.0)]);
    assert_eq!((&top["metric"], &top["unit"], &top["order"]), (&json!("cpu.usage_percent"), &json!("percent"), &json!("desc")));
    let least = world.get("/metrics/top?metric=cpu.usage_percent&order=asc&n=2").await;
    assert_eq!(ranked(&least), [("web-02", 12.0), ("db-01", 40.5)]);
    let disks = world.get("/metrics/top?metric=disk.used_percent&n=2").await;
    assert_eq!(disks["items"][1]["labels"], json!({"mount": "/"}));
    assert_eq!(ranked(&disks), [("web-01", 49.5), ("db-02", 45.125)]);
    let one = world.get(&format!("/metrics/top?metric={}&tag=big", encode("disk.used_percent{mount=/b}"))).await;
    assert_eq!(ranked(&one), [("db-02", 7.0)]);
    for (query, pointer) in [
        ("", "metric"),
        ("metric=CPU", "metric"),
        ("metric=cpu.usage_percent&n=0", "n"),
        ("metric=cpu.usage_percent&n=1001", "n"),
        ("metric=cpu.usage_percent&order=up", "order"),
    ] {
        let answer = world.ask(Method::GET, &format!("/metrics/top?{query}"), None).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer.to_owned()]), "{query}");
    }
}
