//! Receivers that refuse, hang, redirect and break: what is tried again, when, and what is given up.

use crate::support::double::{Double, Reply, Rude, rude};
use crate::support::house::{House, rule};
use crate::support::mail::{Act, Relay};
use crate::support::receiver::Receiver;
use crate::support::slow;
use crate::support::wait::until;
use serde_json::{Value, json};
use std::time::Duration;

fn hook(name: &str, url: &str) -> Value {
    json!({"name": name, "kind": "webhook", "config": {"url": url, "allow_private": true}})
}

/// Makes channels and one rule that pages on all of them, and breaks it.
async fn breach(house: &House, bodies: &[Value]) -> Vec<String> {
    let mut channels = Vec::new();
    for body in bodies {
        channels.push(house.api.make("/channels", body).await);
    }
    let all: Vec<&str> = channels.iter().map(String::as_str).collect();
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &all)).await;
    let mut agent = house.json_agent("a").await;
    agent.beat(&json!({"cpu.usage_percent": 95})).await;
    agent.leave().await;
    channels
}

/// The only delivery on a channel, once it is in this state.
async fn settled(house: &House, channel: &str, state: &str) -> Value {
    until(format!("a delivery that is {state}"), async || {
        let rows = house.api.list("/outbox").await;
        let own: Vec<Value> = rows.into_iter().filter(|row| row["channel"]["id"] == channel).collect();
        assert!(own.len() <= 1, "{own:?}");
        own.into_iter().find(|row| row["state"] == state)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_and_failing_receivers_are_asked_again_in_their_time() {
    let house = House::start().await;
    let patient = Receiver::scripted(vec![Reply::of(429, "slow down").with("retry-after", "8")]).await;
    let failing = Receiver::scripted(vec![Reply::of(500, "oops"), Reply::of(503, "oops")]).await;
    let fine = Receiver::start().await;
    let channels = breach(&house, &[patient.channel("patient"), failing.channel("failing"), fine.channel("fine")]).await;
    fine.nth("incident.fired", 1).await;
    settled(&house, &channels[0], "sent").await;
    let pages = patient.all();
    assert_eq!(pages.iter().map(|page| page.answered).collect::<Vec<_>>(), [429, 204]);
    let waited = pages[1].at.duration_since(pages[0].at);
    assert!(waited >= Duration::from_millis(7_800), "Retry-After was 8 s, asked again after {waited:?}");
    assert!(pages[0].id == pages[1].id && !pages[1].is_repeat(), "the same page, which was surely not taken before");
    let sent = settled(&house, &channels[1], "sent").await;
    assert_eq!((&sent["attempts"], failing.all().len()), (&json!(3), 3), "{sent:#}");
    let pages = failing.all();
    let pauses: Vec<Duration> = pages.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at)).collect();
    assert!(pauses[0] >= Duration::from_millis(3_800) && pauses[1] >= Duration::from_millis(7_800), "5 s, then 10 s: {pauses:?}");
    assert_eq!(fine.all().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_wants_patience_is_left_alone_by_all_its_pages() {
    let house = House::start().await;
    let patient = Receiver::scripted(vec![Reply::of(429, "slow down").with("retry-after", "7")]).await;
    let channel = house.api.make("/channels", &patient.channel("patient")).await;
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel])).await;
    house.api.make("/rules", &rule("Memory", "mem.used_percent", 90.0, &[&channel])).await;
    let mut agent = house.json_agent("a").await;
    agent.beat(&json!({"cpu.usage_percent": 95})).await;
    until("the refusal", async || (patient.all().len() == 1).then_some(())).await;
    agent.beat(&json!({"mem.used_percent": 95})).await;
    until("both pages", async || (patient.taken().len() == 2).then_some(())).await;
    let pages = patient.all();
    let waits: Vec<Duration> = pages[1..].iter().map(|page| page.at.duration_since(pages[0].at)).collect();
    assert!(waits.iter().all(|wait| *wait >= Duration::from_millis(6_800)), "asked again after {waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_sent_no_more_than_its_rate_and_keeps_everything() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    house.api.make("/rules", &rule("Disk", "disk.used_percent", 90.0, &[&channel])).await;
    let mut agent = house.json_agent("a").await;
    let disks: serde_json::Map<_, _> = (0..40).map(|n| (format!("disk.used_percent{{mount=/{n}}}"), json!(95))).collect();
    agent.beat(&Value::Object(disks)).await;
    until("a page of each disk", async || (receiver.taken().len() == 40).then_some(())).await;
    let times: Vec<std::time::Instant> = receiver.taken().iter().map(|page| page.at).collect();
    let took = times.iter().max().unwrap().duration_since(*times.iter().min().unwrap());
    // Ten at once, then ten a second.
    assert!(took >= Duration::from_millis(2_700), "40 pages in {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed_and_the_channel_is_called_broken() {
    let house = House::start().await;
    let secret = Double::answering(Reply::of(200, "ok")).await;
    let moved = Double::answering(Reply::of(302, "").with("location", &secret.at("elsewhere"))).await;
    let gone = Double::answering(Reply::of(410, "gone")).await;
    let channels = breach(&house, &[hook("moved", &moved.at("x")), hook("gone", &gone.at("x"))]).await;
    for (channel, word) in [(&channels[0], "redirect"), (&channels[1], "410")] {
        let dead = settled(&house, channel, "dead").await;
        assert!(dead["last_error"].as_str().is_some_and(|error| error.contains(word)), "{dead:#}");
    }
    assert!(secret.received().is_empty(), "a redirect was followed");
    let broken = until("both channels broken", async || {
        let events = house.api.events("channel_broken").await;
        (events.len() == 2).then_some(events)
    })
    .await;
    assert!(broken.iter().any(|event| event["reason"].as_str().is_some_and(|reason| reason.contains("moved"))), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_accepted_is_sent_once_more_plain_and_then_buried() {
    let house = House::start().await;
    let strict = Double::answering(Reply::of(422, "not like this")).await;
    let channels = breach(&house, &[hook("strict", &strict.at("x"))]).await;
    let dead = settled(&house, &channels[0], "dead").await;
    assert_eq!((&dead["attempts"], strict.received().len()), (&json!(2), 2), "{dead:#}");
    // A dead letter can be sent again by hand.
    let id = dead["id"].as_str().unwrap();
    house.api.post(&format!("/outbox/{id}/retry"), &json!({})).await;
    until("another attempt", async || (strict.received().len() > 2).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_waited_out_and_what_may_have_arrived_is_marked() {
    let house = House::start().await;
    let (hung, reset) = (rude(Rude::Hangs).await, rude(Rude::Resets).await);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fine = Receiver::start().await;
    let bodies = [
        hook("hangs", hung.as_str()),
        hook("resets", reset.as_str()),
        hook("nobody", &format!("http://{free}/x")),
        fine.channel("fine"),
    ];
    let channels = breach(&house, &bodies).await;
    fine.nth("incident.fired", 1).await;
    for (index, word) in [(2, "onnect"), (1, "broke"), (0, "in time")] {
        let waiting = until("a failed attempt", async || {
            let row = settled(&house, &channels[index], "queued").await;
            (row["attempts"].as_u64() >= Some(1) && row["last_error"].is_string()).then_some(row)
        })
        .await;
        assert!(waiting["last_error"].as_str().unwrap().contains(word), "{word}: {waiting:#}");
        assert!(waiting["next_attempt_at"].is_string(), "{waiting:#}");
        let id = waiting["id"].as_str().unwrap();
        house.api.post(&format!("/outbox/{id}/cancel"), &json!({})).await;
        settled(&house, &channels[index], "cancelled").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_relays_that_are_busy_refuse_or_hang() {
    let house = House::start().await;
    let busy = Relay::scripted(&[Act::Says("451 4.3.0 later")]).await;
    let spam = Relay::scripted(&[Act::Says("550 5.7.1 spam"), Act::Says("550 5.7.1 spam")]).await;
    let hangs = Relay::scripted(&[Act::Hangs]).await;
    let channels = breach(&house, &[busy.channel("busy"), spam.channel("spam"), hangs.channel("hangs")]).await;
    let sent = settled(&house, &channels[0], "sent").await;
    assert_eq!((&sent["attempts"], busy.all().len()), (&json!(2), 2), "{sent:#}");
    let mails = busy.all();
    assert!(mails[1].at.duration_since(mails[0].at) >= Duration::from_millis(3_800));
    assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"), "one message, one id");
    let dead = settled(&house, &channels[1], "dead").await;
    assert!(dead["last_error"].as_str().is_some_and(|error| error.contains("550")), "{dead:#}");
    assert_eq!(spam.all().len(), 2, "once more, plain");
    assert!(spam.all()[1].parts("image/png").is_empty(), "the second try is plain");
    let sent = settled(&house, &channels[2], "sent").await;
    assert!(sent["attempts"].as_u64() >= Some(2), "{sent:#}");
    assert_eq!(hangs.taken().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_slow_at_every_step_gets_one_mail() {
    if !slow() {
        return eprintln!("skipped: it takes three minutes; set NIGHTBELL_SLOW=1");
    }
    let house = House::start().await;
    let relay = Relay::thinking(Duration::from_secs(19)).await;
    let mut body = relay.channel("slow");
    body["config"]["to"] = (0..8).map(|n| json!(format!("ops{n}@example.org"))).collect();
    let channels = breach(&house, &[body]).await;
    let sent = tokio::time::timeout(Duration::from_secs(240), async {
        loop {
            let rows = house.outbox("sent").await;
            if let [row] = rows.as_slice() {
                return row.clone();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let sent = sent.await.expect("a mail that took 152 s");
    assert_eq!((&sent["channel"]["id"], &sent["attempts"]), (&json!(channels[0]), &json!(1)), "{sent:#}");
    assert_eq!(relay.all().len(), 1);
}
