//! What a host is busy with at the breach: asked for, on the page, and kept with the incident.

use crate::support::house::{House, rule};
use crate::support::receiver::Receiver;
use crate::support::wait::until;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn top(name: &str) -> Value {
    json!({"age_ms": 0, "cpu": [{"pid": 7, "name": name, "cpu_percent": 81.0, "rss_bytes": 1024}], "mem": []})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_asked_at_the_breach_and_its_answer_is_on_the_page() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel])).await;
    let mut agent = house.json_agent("a").await;
    agent.say("agent.top", &top("idle")).await;
    agent.beat(&json!({"cpu.usage_percent": 5})).await;
    // What it told is older than the breach: it is asked again.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    agent.send(&json!({"cpu.usage_percent": 95})).await;
    loop {
        let message = agent.hear().await;
        if message["subject"] != "agent.heartbeat.ack" {
            assert!(message["subject"].as_str().is_some_and(|subject| subject.contains("top")), "{message}");
            break;
        }
    }
    agent.say("agent.top", &top("postgres")).await;
    let page = receiver.nth("incident.fired", 1).await;
    assert_eq!(page.data["top_processes"][0]["name"], "postgres", "{:#}", page.data);
    until("kept with the incident", async || {
        let incident = house.api.get(&format!("/incidents/{}", page.incident())).await;
        (incident["top_processes"][0]["name"] == "postgres").then_some(())
    })
    .await;
    // One that does not answer holds the page up for a moment only.
    agent.beat(&json!({"cpu.usage_percent": 5})).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let begun = Instant::now();
    agent.beat(&json!({"cpu.usage_percent": 95})).await;
    receiver.nth("incident.fired", 2).await;
    assert!(begun.elapsed() < Duration::from_millis(2_500), "{:?}", begun.elapsed());
}
