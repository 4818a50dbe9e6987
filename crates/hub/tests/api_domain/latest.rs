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
