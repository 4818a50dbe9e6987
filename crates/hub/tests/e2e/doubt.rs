//! Most of a fleet falls silent at once: the hub says once that it doubts itself, pages about no agent, and says once that this is
//! over.

use crate::support::agents::JsonAgent;
use crate::support::house::House;
use crate::support::receiver::Receiver;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_hears_nobody_says_so_once_and_pages_about_no_agent() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    let rules = house.api.list("/rules").await;
    let offline = rules.iter().find(|rule| rule["name"] == "Agent offline").expect("the offline rule");
    house.api.patch(&format!("/rules/{}", offline["id"].as_str().unwrap()), &json!({"channels": [channel]})).await;
    let token = house.enrolment(6);
    let mut agents = Vec::new();
    for number in 0..6 {
        agents.push(JsonAgent::enrol(&house.hub.url, &token, &format!("web-{number}"), 1_000).await);
    }
    for _ in 0..3 {
        beat(&mut agents).await;
    }
    // Their connections stand, and nothing comes.
    let doubt = receiver.nth("hub.doubt", 1).await;
    assert_eq!(doubt.data["doubt"], json!({"overdue": 6, "agents": 6}), "{:#}", doubt.data);
    assert_eq!(doubt.data["agent"]["name"], "hub");
    let open = house.api.list("/incidents?state=open").await;
    assert_eq!((open.len(), &open[0]["rule"]["name"]), (1, &json!("Hub self-doubt")), "{open:#?}");
    let explain = format!("/rules/{}/explain", offline["id"].as_str().unwrap());
    let held = house.api.get(&explain).await["items"].as_array().unwrap().clone();
    let codes = |one: &Value| one["reasons"].as_array().unwrap().iter().map(|reason| reason["code"].clone()).collect::<Vec<_>>();
    assert!(held.iter().any(|one| codes(one).contains(&json!("self_doubt"))), "{held:#?}");
    let over = loop {
        beat(&mut agents).await;
        if let Some(over) = receiver.of("hub.doubt_end").pop() {
            break over;
        }
    };
    assert_eq!(over.incident(), doubt.incident());
    assert_eq!(receiver.all().len(), 2, "{:#?}", receiver.all());
    assert_eq!(house.api.list("/incidents?state=open").await.len(), 0);
}

/// A heartbeat of each, and half a second.
async fn beat(agents: &mut [JsonAgent]) {
    for agent in agents {
        agent.beat(&json!({"cpu.usage_percent": 5})).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
}
