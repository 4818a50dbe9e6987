//! Channels without their secrets, their test, and what may be done to deliveries.

use crate::world::{Receiver, World};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_written_and_never_shown() {
    let world = World::new().await;
    let secret = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0";
    let config = json!({"url": "https://example.org/in", "secret": secret});
    let answer = world.ask(Method::POST, "/channels", Some(json!({"name": "ops", "kind": "webhook", "config": config}))).await;
    assert_eq!((answer.status, answer.text().contains(secret)), (201, false));
    let made = answer.json();
    assert_eq!(
        (&made["name"], &made["kind"], &made["enabled"], &made["broken"]),
        (&json!("ops"), &json!("webhook"), &json!(true), &json!(false))
    );
    assert_eq!(made["config"]["secret"], "set");
    let path = format!("/channels/{}", made["id"].as_str().unwrap());
    let again = world.put(&path, made.clone()).await;
    assert_eq!((&again["config"], &again["version"]), (&made["config"], &json!(2)));
    let stored = world.hub.app.registry.read().channels.values().next().unwrap().config_json.clone();
    assert!(stored.contains(secret), "what was sent back as shown is kept: {stored}");
    let renamed = world.patch(&path, json!({"name": "night", "enabled": false})).await;
    assert_eq!((&renamed["name"], &renamed["enabled"]), (&json!("night"), &json!(false)));
    assert!(!world.ask(Method::GET, "/audit", None).await.text().contains(secret));
    world.delete(&path).await;
    assert_eq!(world.refusal(Method::DELETE, &path, None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_channel_is_named() {
    let world = World::new().await;
    let made =
        world.post("/channels", json!({"name": "ops", "kind": "webhook", "config": {"url": "https://example.org/in"}})).await;
    for (body, pointers) in [
        (
            json!({"name": "", "kind": "webhook", "config": {"url": "x", "colour": 1}}),
            vec!["/name", "/config/url", "/config/colour"],
        ),
        (json!({"name": "a", "kind": "pigeon", "config": {}}), vec!["/kind"]),
        (
            json!({"name": "a", "kind": "smtp", "config": {"host": "h", "port": 25, "tls": "none", "from": "a@b.example", "to": ["x"]}}),
            vec!["/config/to/0"],
        ),
        (json!({"name": "a", "kind": "webhook"}), vec!["/config"]),
    ] {
        let answer = world.ask(Method::POST, "/channels", Some(body.clone())).await;
        let mut found = answer.pointers();
        let mut wanted: Vec<String> = pointers.iter().map(|pointer| (*pointer).to_owned()).collect();
        found.sort();
        wanted.sort();
        assert_eq!((answer.status, found), (422, wanted), "{body}");
    }
    let namesake = json!({"name": "ops", "kind": "webhook", "config": {"url": "https://example.org/two"}});
    assert_eq!(world.refusal(Method::POST, "/channels", Some(namesake)).await, (409, "conflict".to_owned()));
    let id = made["id"].as_str().unwrap();
    let rule = json!({"name": "r", "metric": "cpu.usage_percent", "op": ">", "threshold": 1, "channels": [id]});
    let rule = world.post("/rules", rule).await;
    assert_eq!(world.refusal(Method::DELETE, &format!("/channels/{id}"), None).await.0, 409);
    world.delete(&format!("/rules/{}", rule["id"].as_str().unwrap())).await;
    world.delete(&format!("/channels/{id}")).await;
}

fn check_shape(delivery: &Value, channel: &str) {
    assert_eq!(delivery["channel"], json!({"id": channel, "name": "ops", "kind": "webhook"}));
    let mut fields: Vec<&String> = delivery.as_object().unwrap().keys().collect();
    fields.sort();
    let expected = [
        "attempts",
        "channel",
        "created_at",
        "id",
        "incident_id",
        "kind",
        "last_error",
        "latency_ms",
        "message_id",
        "next_attempt_at",
        "sent_at",
        "state",
        "unreached",
    ];
    assert_eq!(fields, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_goes_through_the_outbox_and_says_what_became_of_it() {
    let world = World::new().await;
    let receiver = Receiver::new().await;
    let channel = world.channel("ops", &receiver.url).await;
    let sent = world.ask(Method::POST, &format!("/channels/{channel}/test"), None).await;
    assert_eq!(sent.status, 200);
    let delivery = sent.json();
    check_shape(&delivery, &channel);
    assert_eq!((&delivery["state"], &delivery["kind"], &delivery["attempts"]), (&json!("sent"), &json!("test"), &json!(1)));
    assert_eq!((&delivery["incident_id"], &delivery["last_error"]), (&json!(null), &json!(null)));
    assert!(delivery["latency_ms"].is_i64() && delivery["sent_at"].is_string());
    assert_eq!(receiver.bodies().len(), 1);
    assert_eq!(receiver.bodies()[0]["type"], "test");
    assert_eq!(world.only("/outbox").await, delivery);
    assert_eq!(world.only("/outbox?state=sent").await, delivery);
    assert_eq!(world.get("/outbox?state=dead").await["items"], json!([]));
    assert_eq!(world.get(&format!("/outbox/{}", delivery["id"].as_str().unwrap())).await, delivery);
    assert_eq!(world.ask(Method::GET, "/outbox?state=lost", None).await.pointers(), ["state"]);
    let again = world.refusal(Method::POST, &format!("/outbox/{}/retry", delivery["id"].as_str().unwrap()), None).await;
    assert_eq!(again, (409, "conflict".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_tried_again_or_taken_back_by_hand() {
    let world = World::new().await;
    let receiver = Receiver::new().await;
    receiver.answer_with(503);
    let channel = world.channel("ops", &receiver.url).await;
    let test = async || world.post(&format!("/channels/{channel}/test"), json!({})).await;
    let first = test().await;
    assert_eq!((&first["state"], &first["attempts"]), (&json!("queued"), &json!(1)));
    assert!(first["next_attempt_at"].is_string() && first["last_error"].as_str().unwrap().contains("503"), "{first}");
    receiver.answer_with(200);
    let path = format!("/outbox/{}", first["id"].as_str().unwrap());
    assert_eq!(world.post(&format!("{path}/retry"), json!({})).await["state"], "queued");
    let sent =
        world.until("the second try", async || Some(world.get(&path).await).filter(|delivery| delivery["state"] == "sent")).await;
    assert_eq!(sent["attempts"], 2);
    receiver.answer_with(503);
    let second = test().await;
    let cancelled = world.post(&format!("/outbox/{}/cancel", second["id"].as_str().unwrap()), json!({})).await;
    assert_eq!(cancelled["state"], "cancelled");
    let audit = world.get("/audit?limit=1").await;
    assert_eq!(audit["items"][0]["action"], "outbox.cancel");
}
