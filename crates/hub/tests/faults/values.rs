//! Values that cannot be and times that cannot be meant: they become missing, or are moved, or are refused, and never make a page.

use crate::support::house::{House, rule};
use crate::support::now_ms;
use crate::support::receiver::Receiver;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn values_that_cannot_be_are_missing_values() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel])).await;
    let mut agent = house.json_agent("a").await;
    let (id, begun) = (agent.identity.id.clone(), now_ms());
    for value in ["null", "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "-5", "1e300", "100.5", "99999999999999999999999"] {
        agent.seq += 1;
        let (boot, seq) = (agent.boot.clone(), agent.seq);
        let data = format!(
            r#"{{"boot_id":"{boot}","seq":{seq},"age_ms":0,"metrics":{{"cpu.usage_percent":{value},"mem.used_percent":50}}}}"#
        );
        agent.say_raw(format!(r#"{{"subject":"agent.heartbeat","data":{data}}}"#)).await;
        agent.acknowledged(seq).await;
    }
    let shown = house.api.get(&format!("/agents/{id}")).await;
    assert!(shown["metrics"].get("cpu.usage_percent").is_none_or(Value::is_null), "{shown:#}");
    assert_eq!(shown["metrics"]["mem.used_percent"], 50.0);
    let cpu = house.api.raw_history(&id, "cpu.usage_percent", begun - 1, now_ms() + 1).await;
    assert!(cpu.iter().all(|(_, value)| value.is_none()), "{cpu:?}");
    let memory = house.api.raw_history(&id, "mem.used_percent", begun - 1, now_ms() + 1).await;
    assert_eq!(memory.iter().filter(|(_, value)| *value == Some(50.0)).count(), 10, "{memory:?}");
    agent.beat(&json!({"cpu.usage_percent": 91})).await;
    receiver.nth("incident.fired", 1).await;
    assert_eq!(receiver.all().len(), 1, "nothing that cannot be has paged");
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_cannot_be_meant_are_moved_or_refused() {
    let house = House::start().await;
    let mut agent = house.json_agent("a").await;
    let id = agent.identity.id.clone();
    let begun = now_ms();
    let day = 86_400_000;
    // The future is now; what is older than the raw retention is acknowledged and not kept.
    for (n, time) in [
        (1, json!({"timestamp": begun + day})),
        (2, json!({"timestamp": begun - 8 * day})),
        (3, json!({"age_ms": -day})),
        (4, json!({"age_ms": 30 * day})),
        (5, json!({"timestamp": begun - day})),
        (6, json!({"age_ms": 1e300})),
        (7, json!({"timestamp": 1, "sent_at": 2})),
    ] {
        let seq = agent.send_with(&json!({"own.number": n}), &time).await;
        loop {
            let message = agent.hear().await;
            if message["subject"] == "agent.heartbeat.ack" && message["data"]["seq"] == seq {
                break;
            }
        }
    }
    let raw = house.api.raw_history(&id, "own.number", begun - 20 * day, begun + 20 * day).await;
    let at = |number: f64| raw.iter().find(|(_, value)| *value == Some(number)).map(|(ts, _)| *ts);
    for now in [1.0, 3.0] {
        let ts = at(now).unwrap_or_else(|| panic!("{now} is lost: {raw:?}"));
        assert!((begun - 1..=now_ms() + 1_000).contains(&ts), "{now} at {ts}");
    }
    assert_eq!(at(5.0), Some(begun - day));
    for old in [2.0, 4.0, 6.0] {
        assert_eq!(at(old), None, "older than the raw retention");
    }
    // A clock that is off by decades and says so is corrected.
    assert!(at(7.0).is_some_and(|ts| (begun - 1_000..=now_ms() + 1).contains(&ts)), "{raw:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_twice_is_acknowledged_twice_and_kept_once() {
    let house = House::start().await;
    let mut agent = house.json_agent("a").await;
    let (id, begun) = (agent.identity.id.clone(), now_ms());
    for _ in 0..3 {
        for seq in 1..=5 {
            let data = json!({"boot_id": "b", "seq": seq, "age_ms": 0, "metrics": {"own.number": seq}});
            agent.say("agent.heartbeat", &data).await;
            let ack = agent.hear().await;
            assert_eq!((&ack["subject"], &ack["data"]["boot_id"]), (&json!("agent.heartbeat.ack"), &json!("b")), "{ack}");
        }
    }
    // Without a number it is the time that tells.
    for _ in 0..2 {
        agent.say("agent.heartbeat", &json!({"timestamp": begun - 1_000, "metrics": {"own.number": 6}})).await;
        assert_eq!(agent.hear().await["subject"], "agent.heartbeat.ack");
    }
    let raw = house.api.raw_history(&id, "own.number", begun - 5_000, now_ms() + 1_000).await;
    let mut values: Vec<f64> = raw.iter().filter_map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    assert_eq!(values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}
