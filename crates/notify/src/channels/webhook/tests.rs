//! The three bodies, the signature as a receiver checks it, and PagerDuty's checks.

use super::*;
use crate::config::ChannelConfig;
use crate::notification::NoticeWord;
use crate::testing::double::{Double, Received, Reply};
use crate::testing::samples::storm;
use crate::testing::{KINDS, any_notification, channel, hostile, message, notification, notifier, vendors};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;

const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";

async fn sent(config: Value, message: Message<'_>) -> Received {
    let double = Double::answering(Reply::of(204, "")).await;
    let mut config = config;
    (config["url"], config["allow_private"]) = (json!(double.at("hook")), json!(true));
    let outcome = notifier().attempt(&channel("webhook", &config), message).await;
    assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
    double.only()
}

#[test]
fn every_kind_looks_as_agreed() {
    for (name, kind) in KINDS {
        let notification = notification(kind);
        insta::assert_json_snapshot!(format!("webhook_standard_{name}"), standard::body(&notification));
        insta::assert_json_snapshot!(format!("webhook_alertmanager_{name}"), alertmanager::body(&message(&notification)));
    }
}

#[tokio::test]
async fn a_page_has_exactly_the_promised_fields() {
    let received = sent(json!({}), message(&notification(NoticeWord::Fired))).await;
    let body = received.json();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&body), "data timestamp type");
    assert_eq!(
        keys(&body["data"]),
        "agent chart_url fired_at for_seconds incident_id labels maybe_repeat metric op peak resolved_at rule started_at suppressed_count \
         threshold top_processes url value why"
    );
    assert_eq!(keys(&body["data"]["rule"]), "id name severity");
    assert_eq!(keys(&body["data"]["agent"]), "id name tags");
    assert_eq!(keys(&body["data"]["top_processes"][2]), "cpu_percent name rss_bytes");
    assert_eq!(keys(&body["data"]["top_processes"][0]), "cpu_percent io_bytes_per_second name rss_bytes", "where it is known");
    assert_eq!(received.headers["content-type"], "application/json");
    assert!(received.headers["user-agent"].starts_with("Nightbell/"));
    assert!(!received.headers.contains_key("webhook-signature"), "nothing to sign with");
}

#[tokio::test]
async fn the_signature_is_one_a_receiver_can_check() {
    for (secret, key) in [
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()),
        ("just a secret", b"just a secret".to_vec()),
    ] {
        let received = sent(json!({"secret": secret}), message(&hostile())).await;
        let header = |name: &str| received.headers[name].clone();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
        mac.update(&received.body);
        let signature = header("webhook-signature");
        mac.verify_slice(&STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap()).unwrap();
        assert_eq!(header("webhook-id"), "01KANB0000000000000000000D");
        let age = Utc::now().timestamp() - header("webhook-timestamp").parse::<i64>().unwrap();
        assert!((0..60).contains(&age), "{age}");
    }
}

#[tokio::test]
async fn while_a_secret_is_changed_either_is_enough() {
    let (new, old) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "the one before");
    let page = notification(NoticeWord::Fired);
    let received = sent(json!({"secret": new, "previous_secret": old}), message(&page)).await;
    let signed = |secret: &str| {
        let timestamp = received.headers["webhook-timestamp"].parse().unwrap();
        signature::sign(secret, &received.headers["webhook-id"], timestamp, received.text()).unwrap()
    };
    assert_eq!(received.headers["webhook-signature"], format!("{} {}", signed(new), signed(old)));
}

#[tokio::test]
async fn a_channel_may_have_headers_of_its_own_and_no_error_shows_them() {
    let config = json!({"headers": {"Authorization": "Bearer CANARY-1", "x-team": "night CANARY-2"}});
    let page = notification(NoticeWord::Fired);
    let received = sent(config.clone(), message(&page)).await;
    assert_eq!(
        (received.headers["authorization"].as_str(), received.headers["x-team"].as_str()),
        ("Bearer CANARY-1", "night CANARY-2")
    );
    let double = Double::answering(Reply::of(403, "no Bearer CANARY-1 and no night CANARY-2")).await;
    let mut config = config;
    (config["url"], config["allow_private"]) = (json!(double.at("hook")), json!(true));
    let channel = channel("webhook", &config);
    let outcome = notifier().attempt(&channel, message(&page)).await;
    assert!(matches!(outcome, Outcome::Broken { .. }), "{outcome:?}");
    assert!(!format!("{outcome:?} {channel:?}").contains("CANARY"), "{outcome:?} {channel:?}");
}

#[test]
fn what_has_no_field_of_its_own_is_said_in_the_reason() {
    let why = standard::why(&hostile());
    assert!(why.ends_with(" (reported late) — The hub cannot write to its disk."), "{why}");
}

#[tokio::test]
async fn alertmanagers_receivers_get_all_alerts_in_one_message() {
    let fired = notification(NoticeWord::Fired);
    let mut resolved = notification(NoticeWord::Resolved);
    resolved.agent.name = "db-02".to_owned();
    let body =
        sent(json!({"format": "alertmanager"}), Message { folded: vec![resolved.clone()], ..message(&fired) }).await.json();
    assert_eq!((&body["version"], &body["status"]), (&json!("4"), &json!("firing")));
    let alerts = body["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 2);
    assert_eq!((&alerts[0]["status"], &alerts[0]["endsAt"]), (&json!("firing"), &json!("0001-01-01T00:00:00Z")));
    assert_eq!((&alerts[1]["status"], &alerts[1]["endsAt"]), (&json!("resolved"), &json!("2026-11-22T02:31:45.000Z")));
    assert_ne!(alerts[0]["fingerprint"], alerts[1]["fingerprint"]);
    assert_eq!(body["commonLabels"]["alertname"], "CPU hot");
    assert!(body["commonLabels"]["instance"].is_null(), "the two are on different hosts");
    resolved.agent.name = "db-01".to_owned();
    let ended = alertmanager::body(&message(&resolved));
    assert_eq!(ended["alerts"][0]["fingerprint"], alerts[0]["fingerprint"], "the same alert from its start to its end");
}

#[test]
fn a_storm_is_one_group_of_alerts() {
    let (lead, folded) = storm(NoticeWord::Fired);
    let body = alertmanager::body(&Message { folded, ..message(&lead) });
    assert_eq!(body["alerts"].as_array().unwrap().len(), 14);
    insta::assert_json_snapshot!("webhook_alertmanager_storm", body);
}

#[test]
fn a_series_cannot_pass_itself_off_as_another_rule() {
    let mut disguised = notification(NoticeWord::Fired);
    disguised.labels.insert("alertname".to_owned(), "Other".to_owned());
    assert_eq!(alertmanager::body(&message(&disguised))["alerts"][0]["labels"]["alertname"], "CPU hot");
}

async fn paged(double: &Double, message: Message<'_>) -> Outcome {
    let config =
        json!({"url": double.at("v2/enqueue"), "format": "pagerduty", "routing_key": ROUTING_KEY, "allow_private": true});
    let channel = channel("webhook", &config);
    assert!(matches!(&channel, ChannelConfig::Webhook(_)));
    notifier().attempt(&channel, message).await
}

#[tokio::test]
async fn pagerduty_opens_and_closes_one_incident_for_one_of_ours() {
    for (name, kind) in KINDS {
        let pagerduty = vendors::pagerduty().await;
        let outcome = paged(&pagerduty, message(&notification(kind))).await;
        assert_eq!(outcome, Outcome::sent("127.0.0.1 answered 202 Accepted"), "{name}");
        let events: Vec<Value> = pagerduty.received().iter().map(Received::json).collect();
        let actions: Vec<&str> = events.iter().map(|event| event["event_action"].as_str().unwrap()).collect();
        match kind {
            NoticeWord::Resolved | NoticeWord::NodataEnd | NoticeWord::HubDoubtEnd => assert_eq!(actions, ["resolve"]),
            NoticeWord::Acked => assert_eq!(actions, ["acknowledge"]),
            NoticeWord::Digest => assert_eq!(actions, ["trigger"; 3], "what still fires"),
            NoticeWord::Test => assert_eq!(actions, ["trigger", "resolve"], "a test leaves nothing open"),
            _ => assert_eq!(actions, ["trigger"]),
        }
        let dedup = if kind == NoticeWord::Test { "01KANB0000000000000000000D" } else { "01KANB0000000000000000000A" };
        assert!(events.iter().all(|event| event["dedup_key"] == dedup), "{events:?}");
        insta::assert_json_snapshot!(format!("webhook_pagerduty_{name}"), events);
    }
}

#[tokio::test]
async fn pagerduty_takes_a_plain_event_and_its_refusals_hide_the_key() {
    let pagerduty = vendors::pagerduty().await;
    let notification = notification(NoticeWord::Fired);
    assert!(matches!(paged(&pagerduty, Message { plain: true, ..message(&notification) }).await, Outcome::Sent { .. }));
    assert!(pagerduty.only().json()["payload"]["custom_details"].is_null());
    let double = Double::answering(Reply::of(400, &format!("bad key {ROUTING_KEY}"))).await;
    let outcome = paged(&double, message(&notification)).await;
    assert!(matches!(outcome, Outcome::Unacceptable { .. }) && !format!("{outcome:?}").contains(ROUTING_KEY));
    assert_eq!(double.received().len(), 1);
}

#[test]
fn our_limits_are_pagerdutys() {
    assert_eq!((pagerduty::SUMMARY_LIMIT, pagerduty::DEDUP_KEY_LIMIT), (1_024, 255));
    for (pointer, limit) in [("/payload/summary", 1_024), ("/dedup_key", 255)] {
        let with = |length: usize| {
            let mut event = pagerduty::event(&message(&notification(NoticeWord::Fired)), ROUTING_KEY, "k", "trigger");
            *event.pointer_mut(pointer).unwrap() = json!("x".repeat(length));
            vendors::pagerduty_event(&event)
        };
        assert_eq!(with(limit), Ok(()), "{pointer}");
        assert!(with(limit + 1).is_err(), "{pointer}");
    }
    let summary = |length: usize| {
        let mut long = notification(NoticeWord::Fired);
        long.agent.name = "ä".repeat(1_000);
        // "Critical: " before, " on " between, " (97.2 % > 90 %)" after.
        long.rule.name = "r".repeat(length - 1_000 - 10 - 4 - 16);
        pagerduty::event(&message(&long), ROUTING_KEY, "k", "trigger")["payload"]["summary"].as_str().unwrap().to_owned()
    };
    let whole = summary(1_040);
    assert!(whole.ends_with('…') && whole.chars().count() == 1_024);
}

proptest! {
    #[test]
    fn whatever_the_notification_it_is_json_and_pagerduty_takes_it(notification in any_notification(), plain: bool) {
        let body = serde_json::to_string(&standard::body(&notification)).unwrap();
        prop_assert!(serde_json::from_str::<Value>(&body).is_ok());
        let message = Message { plain, ..message(&notification) };
        prop_assert!(alertmanager::body(&message)["alerts"].is_array());
        let event = pagerduty::event(&message, ROUTING_KEY, "k", "trigger");
        prop_assert_eq!(vendors::pagerduty_event(&event), Ok(()));
    }
}
