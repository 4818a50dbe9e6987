//! A hub that is killed and comes back: nothing is told twice, nothing is forgotten.

use crate::support::house::{House, rule, with};
use crate::support::receiver::Receiver;
use crate::support::wait::until;
use rustix::process::Signal;
use serde_json::{Value, json};

fn cpu(value: f64) -> Value {
    json!({"cpu.usage_percent": value})
}

async fn state(house: &House, kind: &str) -> usize {
    house.api.events(kind).await.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_neither_what_is_pending_nor_what_fires() {
    for signal in [Signal::KILL, Signal::TERM] {
        let mut house = House::start().await;
        let receiver = Receiver::start().await;
        let channel = house.api.make("/channels", &receiver.channel("hook")).await;
        let draft = with(rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel]), &json!({"for": "1m"}));
        house.api.make("/rules", &draft).await;
        let mut agent = house.json_agent("a").await;
        agent.beat_ago(&cpu(95.0), 61_000).await;
        until("the pending state", async || (state(&house, "pending").await == 1).then_some(())).await;
        house.restart(signal).await;
        agent = agent.reconnect(&house.hub.url).await;
        agent.beat(&cpu(96.0)).await;
        let fired = receiver.nth("incident.fired", 1).await;
        house.restart(signal).await;
        agent = agent.reconnect(&house.hub.url).await;
        agent.beat(&cpu(97.0)).await;
        house.restart(signal).await;
        agent = agent.reconnect(&house.hub.url).await;
        agent.beat(&cpu(98.0)).await;
        agent.beat(&cpu(5.0)).await;
        let resolved = receiver.nth("incident.resolved", 1).await;
        assert_eq!(resolved.incident(), fired.incident());
        until("an empty outbox", async || house.outbox("queued").await.is_empty().then_some(())).await;
        assert_eq!(
            (receiver.all().len(), state(&house, "fired").await, state(&house, "resolved").await),
            (2, 1, 1),
            "{:#?}",
            receiver.all()
        );
        assert_eq!(state(&house, "agent_offline").await, 0, "a restart announces nobody offline");
        agent.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_by_the_hour_is_known_after_a_restart() {
    const HEALTH: &str = "smart.healthy{device=sda}";
    let mut house = House::start().await;
    let mut agent = house.json_agent("a").await;
    agent.beat_ago(&json!({"cpu.usage_percent": 1, HEALTH: 1}), 2_400_000).await;
    agent.beat(&cpu(2.0)).await;
    let path = format!("/agents/{}", agent.identity.id);
    let before = house.api.get(&path).await;
    house.restart(Signal::KILL).await;
    let after = until("what is measured seldom", async || {
        let said = house.api.get(&path).await;
        said["older"][HEALTH].is_string().then_some(said)
    })
    .await;
    assert_eq!((&after["metrics"], &after["older"]), (&before["metrics"], &before["older"]));
    assert_eq!((&after["metrics"][HEALTH], &after["metrics"]["cpu.usage_percent"]), (&json!(1.0), &json!(2.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_resent_after_a_restart_is_not_stored_twice() {
    let mut house = House::start().await;
    let mut agent = house.json_agent("a").await;
    let begun = crate::support::now_ms() - 120_000;
    for n in 0..20_i64 {
        agent.beat_ago(&json!({"own.number": n}), 60_000 - n * 1000).await;
    }
    house.restart(Signal::KILL).await;
    // The agent knows of no acknowledgement and sends everything again, and what came meanwhile.
    let (identity, boot) = (agent.identity.clone(), agent.boot.clone());
    let mut agent = crate::support::agents::JsonAgent::back(&house.hub.url, &identity, &boot, 0).await;
    let replay: Vec<Value> = (0..25_i64)
        .map(|n| json!({"boot_id": boot, "seq": n + 1, "age_ms": 60_000 - n * 1000, "metrics": {"own.number": n}}))
        .collect();
    agent.say("agent.heartbeats", &json!(replay)).await;
    agent.acknowledged(25).await;
    let raw = house.api.raw_history(&identity.id, "own.number", begun, crate::support::now_ms() + 1).await;
    let values: Vec<f64> = raw.iter().filter_map(|(_, value)| *value).collect();
    assert_eq!(values, (0..25).map(f64::from).collect::<Vec<_>>());
}
