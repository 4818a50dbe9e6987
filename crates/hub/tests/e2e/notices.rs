//! When a page is held back, and that it is not forgotten: cooldown, silences, acknowledgements.

use crate::support::house::{House, rule, with};
use crate::support::receiver::Receiver;
use crate::support::slow;
use serde_json::{Value, json};
use std::time::Duration;

const HIGH: f64 = 95.0;
const LOW: f64 = 5.0;

fn cpu(value: f64) -> Value {
    json!({"cpu.usage_percent": value})
}

#[tokio::test(flavor = "multi_thread")]
async fn within_the_cooldown_nothing_is_fired_and_after_it_what_still_burns() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    let draft = with(rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel]), &json!({"cooldown": "6s"}));
    house.api.make("/rules", &draft).await;
    let mut agent = house.json_agent("a").await;
    agent.beat(&cpu(HIGH)).await;
    let first = receiver.nth("incident.fired", 1).await;
    for value in [LOW, HIGH, LOW, HIGH] {
        agent.beat(&cpu(value)).await;
    }
    let resolved = receiver.nth("incident.resolved", 1).await;
    assert_eq!(resolved.incident(), first.incident(), "the end is not held by the cooldown");
    let second = receiver.nth("incident.fired", 2).await;
    let apart = second.at_ms - first.at_ms;
    assert!(apart >= 5_500, "two pages {apart} ms apart with a cooldown of 6 s");
    assert_ne!(second.incident(), first.incident());
    assert!(second.data["suppressed_count"].as_u64().is_some_and(|count| count >= 1), "{:#}", second.data);
    assert_eq!((receiver.of("incident.fired").len(), receiver.of("incident.resolved").len()), (2, 1));
    let held = house.api.events("suppressed").await;
    assert!(held.iter().any(|event| event["reason"].as_str().is_some_and(|reason| reason.contains("cooldown"))), "{held:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_holds_pages_and_its_end_lets_them_go() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    let hot = house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel])).await;
    let full = house.api.make("/rules", &rule("Memory full", "mem.used_percent", 90.0, &[&channel])).await;
    let mut agent = house.json_agent("a").await;
    let silence = house.api.make("/silences", &json!({"rule": hot, "duration": "1h", "comment": "at work"})).await;
    agent.beat(&json!({"cpu.usage_percent": HIGH, "mem.used_percent": HIGH})).await;
    let loud = receiver.nth("incident.fired", 1).await;
    assert_eq!(loud.data["rule"]["id"], *full, "a silence is about its rule alone");
    let suppressed = house.api.events("suppressed").await;
    assert_eq!(
        (suppressed[0]["reason"].as_str(), &suppressed[0]["rule"]["id"]),
        (Some("silence"), &json!(hot)),
        "{suppressed:?}"
    );
    let open = house.api.list("/incidents?state=open").await;
    assert_eq!(open.len(), 2, "a silence changes no state");
    assert_eq!(receiver.all().len(), 1);
    house.api.delete(&format!("/silences/{silence}")).await;
    let late = receiver.find("incident.fired", |page| page.data["rule"]["id"] == *hot).await;
    agent.beat(&json!({"cpu.usage_percent": LOW, "mem.used_percent": LOW})).await;
    receiver.find("incident.resolved", |page| page.incident() == late.incident()).await;
    receiver.find("incident.resolved", |page| page.incident() == loud.incident()).await;
    assert_eq!(receiver.all().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_is_on_it_is_not_reminded_and_still_told_of_the_end() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    let draft = with(rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel]), &json!({"repeat": "1m"}));
    house.api.make("/rules", &draft).await;
    let mut agent = house.json_agent("a").await;
    agent.beat(&cpu(HIGH)).await;
    let fired = receiver.nth("incident.fired", 1).await;
    let incident = fired.incident();
    if slow() {
        // A reminder comes a minute after the page, and none a minute after the acknowledgement.
        let repeat = receiver.nth("incident.repeat", 1).await;
        assert!(repeat.incident() == incident && repeat.at_ms - fired.at_ms >= 59_000, "{repeat:?}");
    }
    house.api.post(&format!("/incidents/{incident}/ack"), &json!({"note": "looking"})).await;
    let acked = house.api.get(&format!("/incidents/{incident}")).await;
    assert_eq!(acked["ack"]["note"], "looking", "{acked:#}");
    assert_eq!(house.api.events("ack").await.len(), 1);
    let audit = house.api.list("/audit").await;
    assert_eq!(audit.iter().filter(|line| line["action"] == "incident.ack").count(), 1, "{audit:#?}");
    if slow() {
        tokio::time::sleep(Duration::from_secs(65)).await;
        assert_eq!(receiver.of("incident.repeat").len(), 1, "reminders go on after the acknowledgement");
    }
    agent.beat(&cpu(LOW)).await;
    receiver.find("incident.resolved", |page| page.incident() == incident).await;
    agent.beat(&cpu(HIGH)).await;
    let again = receiver.nth("incident.fired", 2).await;
    assert_ne!(again.incident(), incident);
    let shown = house.api.get(&format!("/incidents/{}", again.incident())).await;
    assert!(shown["ack"].is_null(), "nobody is on the next one: {shown:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_own_level_decides_where_a_rule_names_it() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    let draft = with(
        rule("CPU critical", "cpu.usage_percent", 0.0, &[&channel]),
        &json!({"threshold": {"level": "crit"}, "clear": {"level": "warn"}}),
    );
    house.api.make("/rules", &draft).await;
    let (mut usual, mut own) = (house.json_agent("usual").await, house.json_agent("own").await);
    let path = format!("/agents/{}/thresholds/cpu.usage_percent", own.identity.id);
    house.api.put(&path, &json!({"warn": 96, "crit": 98})).await;
    for agent in [&mut usual, &mut own] {
        agent.beat(&cpu(95.0)).await;
    }
    let page = receiver.nth("incident.fired", 1).await;
    assert_eq!((&page.data["agent"]["name"], &page.data["threshold"]), (&json!("usual"), &json!(85.0)), "{:#}", page.data);
    own.beat(&cpu(99.0)).await;
    let page = receiver.nth("incident.fired", 2).await;
    assert_eq!((&page.data["agent"]["name"], &page.data["threshold"]), (&json!("own"), &json!(98.0)), "{:#}", page.data);
    let shown = house.api.agent("own").await;
    assert_eq!(shown["thresholds"]["cpu.usage_percent"], json!({"warn": 96.0, "crit": 98.0, "custom": true}), "{shown:#}");
    usual.beat(&cpu(75.0)).await;
    usual.beat(&cpu(69.0)).await;
    let resolved = receiver.nth("incident.resolved", 1).await;
    assert_eq!(resolved.data["agent"]["name"], "usual");
}
