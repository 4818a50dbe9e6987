//! Heartbeats that nobody waits for share a commit; a page, and who sends because it was answered, wait for nobody. What is quick is
//! asked of the quickest of several tries, for the machine may be busy.

use crate::support::agents::JsonAgent;
use crate::support::house::{House, rule};
use crate::support::receiver::Receiver;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const TRIES: usize = 20;
/// Longer than a sender in a hurry takes.
const REST: Duration = Duration::from_millis(600);
/// Half of what a turn that nobody waits for stays open.
const AT_ONCE: Duration = Duration::from_millis(50);

async fn commits(house: &House) -> u64 {
    let text = house.api.metrics_text().await;
    let line = text.lines().find_map(|line| line.strip_prefix("nightbell_hub_commit_duration_seconds_count "));
    line.expect("commits are counted").parse().expect("a number")
}

/// How long the answer to one heartbeat takes.
async fn answered_after(agent: &mut JsonAgent, cpu: f64) -> Duration {
    let sent = Instant::now();
    agent.beat(&json!({"cpu.usage_percent": cpu})).await;
    sent.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_that_nobody_waits_for_share_a_commit() {
    let house = House::start().await;
    let mut agents = [house.json_agent("a").await, house.json_agent("b").await];
    for _ in 0..TRIES {
        sleep(REST).await;
        let before = commits(&house).await;
        for agent in &mut agents {
            agent.send(&json!({"cpu.usage_percent": 5.0})).await;
            sleep(Duration::from_millis(10)).await;
        }
        for agent in &mut agents {
            agent.acknowledged(agent.seq).await;
        }
        if commits(&house).await == before + 1 {
            return;
        }
    }
    panic!("each heartbeat had a commit of its own in {TRIES} tries");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_waits_for_nobody() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel])).await;
    let mut agent = house.json_agent("a").await;
    agent.beat(&json!({"cpu.usage_percent": 5.0})).await;
    let mut quickest = Duration::MAX;
    for hot in [true, false].into_iter().cycle().take(TRIES) {
        sleep(REST).await;
        quickest = quickest.min(answered_after(&mut agent, if hot { 99.0 } else { 5.0 }).await);
    }
    assert!(quickest < AT_ONCE, "{quickest:?}");
    receiver.nth("incident.fired", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_because_it_was_answered_waits_for_nobody() {
    let house = House::start().await;
    let mut agent = house.json_agent("a").await;
    agent.beat(&json!({"cpu.usage_percent": 5.0})).await;
    let mut quickest = Duration::MAX;
    for _ in 0..TRIES {
        quickest = quickest.min(answered_after(&mut agent, 5.0).await);
    }
    assert!(quickest < AT_ONCE, "{quickest:?}");
}
