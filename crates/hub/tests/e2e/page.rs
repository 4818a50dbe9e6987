//! From a breach to pages on every kind of channel, with pictures where they belong, and from its end to the all-clear.

use crate::support::double::Double;
use crate::support::house::{House, rule, with};
use crate::support::mail::Relay;
use crate::support::pictures::decode;
use crate::support::receiver::{Page, Receiver};
use crate::support::vendors;
use crate::support::wait::until;
use serde_json::{Value, json};

/// All receivers of the first test, and their channels.
struct Receivers {
    webhook: Receiver,
    relay: Relay,
    discord: Double,
    slack: Double,
    channels: Vec<String>,
}

async fn receivers(house: &House) -> Receivers {
    let (webhook, relay) = (Receiver::start().await, Relay::start().await);
    let (discord, slack) = (vendors::discord().await, vendors::slack().await);
    let vendor = |name: &str, kind: &str, url: String| json!({"name": name, "kind": kind, "config": {"webhook_url": url, "allow_private": true}});
    let mut channels = Vec::new();
    for body in [
        webhook.channel("hook"),
        relay.channel("mail"),
        vendor("discord", "discord", discord.at("api/v10/webhooks/1/token")),
        vendor("slack", "slack", slack.at("services/T0/B0/token")),
    ] {
        channels.push(house.api.make("/channels", &body).await);
    }
    Receivers { webhook, relay, discord, slack, channels }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breach_is_paged_on_every_channel_with_its_picture_and_so_is_its_end() {
    let house = House::start().await;
    let receivers = receivers(&house).await;
    let channels: Vec<&str> = receivers.channels.iter().map(String::as_str).collect();
    let draft = with(rule("CPU hot", "cpu.usage_percent", 90.0, &channels), &json!({"for": "1m", "clear": 85}));
    let rule = house.api.make("/rules", &draft).await;
    let mut agent = house.json_agent("db-01").await;
    for age_s in (4..=20).rev() {
        agent.beat_ago(&json!({"cpu.usage_percent": 40 + age_s, "mem.used_percent": 61.5}), age_s * 30_000).await;
    }
    assert!(receivers.webhook.all().is_empty(), "nothing has happened yet");
    for age_s in (0..4).rev() {
        agent.beat_ago(&json!({"cpu.usage_percent": 95 + age_s}), age_s * 30_000).await;
    }
    let fired = receivers.webhook.nth("incident.fired", 1).await;
    fired_page(&fired, &rule, &agent.identity.id);
    delivered(&house, fired.incident(), 4).await;
    let mail = receivers.relay.nth(1).await;
    assert!(mail.to[0].contains("ops@example.org"), "{:?}", mail.to);
    let subject = mail.header("Subject").expect("a subject");
    assert!(subject.contains("CPU hot") && subject.contains("db-01"), "{subject}");
    assert_eq!((mail.parts("text/plain").len(), mail.parts("text/html").len()), (1, 1), "{}", mail.text);
    let pictures = mail.parts("image/png");
    assert_eq!(pictures.len(), 2, "one on white, one on black");
    pictures.into_iter().for_each(|picture| drawn(&[picture]));
    let embed = receivers.discord.only();
    drawn(&embed.parts().into_iter().filter(|part| part.name == "files[0]").map(|part| part.bytes).collect::<Vec<_>>());
    assert!(receivers.slack.only().json().to_string().contains("CPU hot"));

    agent.beat(&json!({"cpu.usage_percent": 87})).await;
    agent.beat(&json!({"cpu.usage_percent": 30})).await;
    let resolved = receivers.webhook.nth("incident.resolved", 1).await;
    assert_eq!(resolved.incident(), fired.incident());
    assert!(
        resolved.data["resolved_at"].is_string() && resolved.data["fired_at"] == fired.data["fired_at"],
        "{:#}",
        resolved.data
    );
    assert_eq!(resolved.data["peak"], 98.0);
    delivered(&house, fired.incident(), 8).await;
    assert_eq!((receivers.webhook.all().len(), receivers.relay.all().len()), (2, 2));
    // On Discord the page itself is made to say that it is over, which wakes nobody; the end is a message of its own.
    assert_eq!((receivers.discord.received().len(), receivers.slack.received().len()), (3, 2));
    incident(&house, fired.incident(), &agent.identity.id).await;
}

/// The shape that the API's documentation promises, field by field.
fn fired_page(page: &Page, rule: &str, agent: &str) {
    let data = &page.data;
    assert_eq!(data["rule"], json!({"id": rule, "name": "CPU hot", "severity": "critical"}));
    assert_eq!(data["agent"], json!({"id": agent, "name": "db-01", "tags": []}));
    let told: Vec<&Value> =
        ["metric", "labels", "op", "threshold", "for_seconds", "resolved_at", "suppressed_count", "maybe_repeat"]
            .iter()
            .map(|field| &data[field])
            .collect();
    let expected = json!(["cpu.usage_percent", {}, ">", 90.0, 60.0, null, 0, false]);
    assert_eq!(json!(told), expected, "{data:#}");
    assert!(data["value"].as_f64().is_some_and(|value| value > 90.0) && data["peak"] == 98.0, "{data:#}");
    for field in ["started_at", "fired_at", "why", "url", "chart_url"] {
        assert!(data[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {data:#}");
    }
    assert!(data["top_processes"].is_array());
    assert!(data["why"].as_str().unwrap().contains("90"), "{}", data["why"]);
}

/// Exactly one picture, large enough and not blank.
fn drawn(pictures: &[Vec<u8>]) {
    assert_eq!(pictures.len(), 1, "one picture");
    let picture = decode(&pictures[0]);
    assert!(picture.width >= 800 && picture.height >= 300 && picture.colours > 16, "{picture:?}");
}

/// Waits until so many deliveries of an incident are sent; no other may be there.
async fn delivered(house: &House, incident: &str, sent: usize) {
    until(format!("{sent} deliveries"), async || {
        let all = house.api.list("/outbox").await;
        let own: Vec<&Value> = all.iter().filter(|row| row["incident_id"] == incident).collect();
        for row in &own {
            assert!(row["attempts"].as_u64() <= Some(1) && row["last_error"].is_null(), "{row:#}");
        }
        (own.len() == sent && own.iter().all(|row| row["state"] == "sent")).then_some(())
    })
    .await;
}

async fn incident(house: &House, id: &str, agent: &str) {
    let listed = house.api.list("/incidents?state=resolved").await;
    assert!(listed.iter().any(|incident| incident["id"] == id), "{listed:?}");
    assert!(house.api.list("/incidents?state=open").await.is_empty());
    assert_eq!(house.api.list(&format!("/incidents?state=all&agent={agent}")).await.len(), 1);
    let whole = house.api.get(&format!("/incidents/{id}")).await;
    assert_eq!(whole["deliveries"].as_array().map(Vec::len), Some(8), "{whole:#}");
    for kind in ["pending", "fired", "resolved"] {
        // The starter rules may have their own opinion of this host.
        let events = house.api.events(kind).await;
        let own: Vec<&Value> = events.iter().filter(|event| event["rule"]["name"] == "CPU hot").collect();
        assert_eq!(own.len(), 1, "{kind}: {events:?}");
        assert_eq!((&own[0]["agent"]["name"], &own[0]["metric"]), (&json!("db-01"), &json!("cpu.usage_percent")));
    }
    let png = house.api.file(&format!("/incidents/{id}/chart.png"), "image/png").await;
    drawn(&[png]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_notification_goes_through_the_outbox() {
    let house = House::start().await;
    let (webhook, relay) = (Receiver::start().await, Relay::start().await);
    for (body, kind) in [(webhook.channel("hook"), "webhook"), (relay.channel("mail"), "smtp")] {
        let channel = house.api.make("/channels", &body).await;
        let delivery = house.api.post(&format!("/channels/{channel}/test"), &json!({})).await;
        assert_eq!((&delivery["state"], &delivery["kind"]), (&json!("sent"), &json!("test")), "{delivery:#}");
        assert_eq!((&delivery["channel"]["id"], &delivery["channel"]["kind"]), (&json!(channel), &json!(kind)), "{delivery:#}");
        assert!(delivery["sent_at"].is_string() && delivery["latency_ms"].is_u64() && delivery["attempts"] == 1, "{delivery:#}");
        let listed = house.outbox("sent").await;
        assert!(listed.iter().any(|row| row["id"] == delivery["id"]), "{listed:?}");
    }
    assert_eq!((webhook.of("test").len(), webhook.all().len(), relay.taken().len()), (1, 1, 1));
}
