//! Hosts behind one dead switch: one page with all of them, one word when they are back, and no other even if the hub dies in
//! between.

use crate::support::agents::JsonAgent;
use crate::support::house::{House, rule, with};
use crate::support::mail::{Mail, Relay};
use crate::support::receiver::Receiver;
use crate::support::wait::until_true;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const INTERVAL_MS: u64 = 1_000;
const LOST: usize = 6;
const OTHERS: usize = 8;

fn cpu() -> Value {
    json!({"cpu.usage_percent": 5})
}

fn text(mail: &Mail) -> String {
    String::from_utf8_lossy(&mail.parts("text/plain").concat()).into_owned()
}

/// How many of the lost hosts a mail names.
fn named(mail: &Mail) -> usize {
    let text = text(mail);
    (0..LOST).filter(|n| text.contains(&format!("lost-{n:02}"))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_are_lost_together_are_one_page_and_one_all_clear() {
    let mut house = House::start().await;
    let relay = Relay::start().await;
    let channel = house.api.make("/channels", &relay.channel("mail")).await;
    let offline = with(rule("Host offline", "agent.offline", 0.0, &[&channel]), &json!({}));
    house.api.make("/rules", &offline).await;
    let mut others = Vec::new();
    for n in 0..OTHERS {
        let mut agent = house.json_agent(&format!("other-{n}")).await;
        agent.beat(&cpu()).await;
        others.push(agent);
    }
    let mut lost = Vec::new();
    for n in 0..LOST {
        let name = format!("lost-{n:02}");
        let mut agent = JsonAgent::enrol(&house.hub.url, &house.enrolment(1), &name, INTERVAL_MS).await;
        agent.beat(&cpu()).await;
        lost.push(agent);
    }
    // Each has its own phase in the interval; then the switch dies.
    let mut gone = Vec::new();
    for mut agent in lost {
        agent.beat(&cpu()).await;
        tokio::time::sleep(Duration::from_millis(INTERVAL_MS / LOST as u64)).await;
        gone.push(agent);
    }
    let page = relay.nth(1).await;
    assert_eq!(named(&page), LOST, "{}", text(&page));
    house.restart(Signal::KILL).await;
    for agent in gone {
        let mut agent = agent.reconnect(&house.hub.url).await;
        agent.beat(&cpu()).await;
        others.push(agent);
    }
    let clear = relay.nth(2).await;
    assert_eq!(named(&clear), LOST, "{}", text(&clear));
    let subject = clear.header("Subject").unwrap_or_default();
    assert!(!subject.contains("offline") || subject.contains("Back"), "{subject}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(relay.taken().len(), 2, "{:?}", relay.taken().iter().map(text).collect::<Vec<_>>());
    let sent = house.outbox("sent").await;
    assert_eq!(sent.len(), 2 * LOST, "each is written down by itself: {sent:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_rule_that_fires_on_many_is_one_page_and_a_lone_one_is_not_kept_waiting() {
    let house = House::start().await;
    let relay = Relay::start().await;
    let channel = house.api.make("/channels", &relay.channel("mail")).await;
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel])).await;
    let mut lone = house.json_agent("lone").await;
    lone.beat(&json!({"cpu.usage_percent": 95})).await;
    let begun = Instant::now();
    relay.nth(1).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "a critical page took {:?}", begun.elapsed());
    let mut agents = Vec::new();
    for n in 0..10 {
        agents.push(house.json_agent(&format!("host-{n:02}")).await);
    }
    for agent in &mut agents {
        agent.send(&json!({"cpu.usage_percent": 95})).await;
    }
    let page = relay.nth(2).await;
    let body = text(&page);
    let hosts = (0..10).filter(|n| body.contains(&format!("host-{n:02}"))).count();
    assert_eq!(hosts, 10, "{body}");
    assert!(body.contains("Paged before and still on: lone."), "{body}");
    // Told alone or in the list, they are one storm with one end.
    lone.send(&json!({"cpu.usage_percent": 5})).await;
    for agent in &mut agents {
        agent.send(&json!({"cpu.usage_percent": 5})).await;
    }
    let clear = text(&relay.nth(3).await);
    assert_eq!((0..10).filter(|n| clear.contains(&format!("host-{n:02}"))).count(), 10, "{clear}");
    assert!(clear.contains("lone"), "{clear}");
    assert_eq!(relay.taken().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_a_storm_neither_loses_nor_doubles_anybody() {
    let mut house = House::start().await;
    let relay = Relay::start().await;
    let channel = house.api.make("/channels", &relay.channel("mail")).await;
    let warm = with(rule("CPU warm", "cpu.usage_percent", 50.0, &[&channel]), &json!({"severity": "warning"}));
    house.api.make("/rules", &warm).await;
    let mut agents = Vec::new();
    for n in 0..LOST {
        agents.push(house.json_agent(&format!("lost-{n:02}")).await);
    }
    // Some have their page waiting, some are yet to come.
    for agent in &mut agents[..LOST / 2] {
        agent.beat(&json!({"cpu.usage_percent": 60})).await;
    }
    until_true("pages that wait", async || house.outbox("queued").await.len() == LOST / 2).await;
    house.restart(Signal::KILL).await;
    let mut back = Vec::new();
    for agent in agents {
        back.push(agent.reconnect(&house.hub.url).await);
    }
    for agent in &mut back {
        agent.beat(&json!({"cpu.usage_percent": 61})).await;
    }
    until_true("every page sent", async || house.outbox("sent").await.len() == LOST).await;
    let mails = relay.taken();
    assert_eq!(mails.iter().map(named).sum::<usize>(), LOST, "{:?}", mails.iter().map(text).collect::<Vec<_>>());
    assert_eq!(mails.len(), 1, "those from before and after the kill are one storm");
    let sent = house.outbox("sent").await;
    let messages: BTreeSet<&str> = sent.iter().filter_map(|row| row["message_id"].as_str()).collect();
    assert_eq!(messages.len(), 1, "{sent:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_host_is_told_of_soon_and_one_that_stays_bad_keeps_nobodys_end() {
    let house = House::start().await;
    let relay = Relay::start().await;
    let channel = house.api.make("/channels", &relay.channel("mail")).await;
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel])).await;
    let mut agents = Vec::new();
    for n in 0..4 {
        agents.push(house.json_agent(&format!("lost-{n:02}")).await);
    }
    for (n, agent) in agents.iter_mut().take(2).enumerate() {
        let begun = Instant::now();
        agent.beat(&json!({"cpu.usage_percent": 95})).await;
        let page = relay.nth(n + 1).await;
        assert!(text(&page).starts_with(&format!("Critical: CPU hot on lost-{n:02} (")), "{}", text(&page));
        let most = Duration::from_secs(if n == 0 { 4 } else { 9 });
        assert!(begun.elapsed() < most, "host {n} was told of after {:?}", begun.elapsed());
    }
    for agent in &mut agents[2..] {
        agent.beat(&json!({"cpu.usage_percent": 95})).await;
    }
    let list = text(&relay.nth(3).await);
    assert!(list.contains("Paged before and still on: lost-00, lost-01."), "{list}");
    let [first, second, storm] = [0, 1, 2].map(|n| relay.taken()[n].clone());
    let thread = storm.header("References").unwrap_or_default();
    for earlier in [first, second] {
        assert!(thread.contains(&earlier.header("Message-ID").unwrap()), "the list does not join the thread: {thread}");
    }
    let begun = Instant::now();
    for agent in &mut agents[..3] {
        agent.beat(&json!({"cpu.usage_percent": 5})).await;
    }
    let clear = text(&relay.nth(4).await);
    let after = begun.elapsed();
    assert!((Duration::from_secs(18)..Duration::from_secs(40)).contains(&after), "the ends came after {after:?}");
    assert!(clear.starts_with("Resolved: CPU hot on 3 hosts"), "{clear}");
    assert!(clear.contains("Paged together and still on: lost-03."), "{clear}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_host_has_several_the_disk_is_named() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    house.api.make("/rules", &rule("Disk", "disk.used_percent", 90.0, &[&channel])).await;
    let mut agent = house.json_agent("db").await;
    agent.beat(&json!({"disk.used_percent{mount=/}": 95})).await;
    receiver.nth("incident.fired", 1).await;
    agent.beat(&json!({"disk.used_percent{mount=/}": 95, "disk.used_percent{mount=/data}": 96})).await;
    let second = receiver.nth("incident.fired", 2).await;
    let why = second.data["why"].as_str().unwrap();
    assert!(why.ends_with("Paged before and still on: db (/)."), "{why}");
}
