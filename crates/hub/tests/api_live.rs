//! The live connection: topics, deltas, what was missed, and whom it does not serve.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[expect(dead_code, reason = "each of the test programs uses a part")]
mod inside;

use inside::live::Listener;
use inside::{Answer, Inside, Who};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Instant;

/// The agent of this id in a fleet frame.
fn of<'a>(fleet: &'a Value, id: &str) -> Option<&'a Value> {
    fleet["agents"].as_array().unwrap().iter().find(|agent| agent["id"] == id)
}

#[tokio::test]
async fn the_fleet_comes_whole_and_then_what_changes() {
    let inside = Inside::new().await;
    let admin = inside.admin().await;
    let (db, db_credential) = inside.agent("db-01").await;
    let (web, _) = inside.agent("web-01").await;
    let mut listener = Listener::connect(&inside, &admin).await;
    listener.subscribe(&["fleet"], None).await;
    let whole = listener.frame("fleet").await;
    for id in [&db, &web] {
        let agent = of(&whole, id).expect("all agents");
        assert_eq!((&agent["status"], &agent["metrics"]), (&json!("offline"), &json!({})), "{agent}");
    }
    inside
        .beat(&db_credential, &json!({"cpu.usage_percent": 97.5, "disk.used_percent{mount=/}": 40.0, "tcp.established": 3}))
        .await;
    let delta = loop {
        let delta = listener.frame("fleet").await;
        if of(&delta, &db).is_some_and(|agent| agent["metrics"] != json!({})) {
            break delta;
        }
    };
    let agent = of(&delta, &db).unwrap();
    assert_eq!(agent["status"], "online");
    assert!(agent["last_seen"].as_str().unwrap().ends_with('Z'), "{agent}");
    let headlines = json!({"cpu.usage_percent": 97.5, "disk.used_percent{mount=/}": 40.0});
    assert_eq!(agent["metrics"], headlines, "a list shows the headlines");
    inside.beat(&db_credential, &json!({"cpu.usage_percent": 98.5})).await;
    let next = loop {
        let next = listener.frame("fleet").await;
        if of(&next, &db).is_some_and(|agent| agent["metrics"]["cpu.usage_percent"] == 98.5) {
            break next;
        }
    };
    assert!(of(&next, &web).is_none(), "what did not change is not told: {next}");
    assert_eq!(Answer::of(inside.request(&admin, Method::DELETE, &format!("/agents/{web}"))).await.status, 204);
    let gone = loop {
        if let Some(agent) = of(&listener.frame("fleet").await, &web) {
            break agent.clone();
        }
    };
    assert_eq!(gone["deleted"], true, "{gone}");
    inside.hub.stop().await;
}

#[tokio::test]
async fn one_agent_comes_with_everything() {
    let inside = Inside::new().await;
    let program = inside.program(&["metrics:read"]).await;
    let ((db, db_credential), (_, web_credential)) = (inside.agent("db-01").await, inside.agent("web-01").await);
    let mut listener = Listener::connect(&inside, &program).await;
    inside.beat(&db_credential, &json!({"cpu.usage_percent": 1.0, "tcp.established": 3})).await;
    listener.subscribe(&[&format!("agent:{db}")], None).await;
    let first = listener.frame("agent").await;
    assert_eq!((&first["id"], &first["metrics"]), (&json!(db), &json!({"cpu.usage_percent": 1.0, "tcp.established": 3.0})));
    inside.beat(&web_credential, &json!({"cpu.usage_percent": 50.0})).await;
    inside.beat(&db_credential, &json!({"cpu.usage_percent": 2.0})).await;
    loop {
        let frame = listener.next().await.unwrap();
        assert_eq!((&frame["type"], &frame["data"]["id"]), (&json!("agent"), &json!(db)), "only what was asked for");
        if frame["data"]["metrics"]["cpu.usage_percent"] == 2.0 {
            break;
        }
    }
    inside.hub.stop().await;
}

#[tokio::test]
async fn the_hubs_own_numbers_come_every_two_seconds() {
    let inside = Inside::new().await;
    let admin = inside.admin().await;
    let mut listener = Listener::connect(&inside, &admin).await;
    listener.subscribe(&["metrics"], None).await;
    let first = listener.next().await.unwrap();
    let mut keys: Vec<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!((keys, &first["type"]), (vec!["data", "timestamp", "type"], &json!("metrics")));
    for field in
        ["http_requests", "http_4xx", "http_5xx", "http_mean_ms", "ws_connections", "rss_bytes", "cpu_seconds", "uptime_seconds"]
    {
        assert!(first["data"][field].is_number(), "no {field} in {first}");
    }
    assert_eq!(first["data"]["ws_connections"], 1);
    listener.frame("metrics").await;
    let begun = Instant::now();
    let (frames, mut later) = (3, Value::Null);
    for _ in 0..frames {
        later = listener.frame("metrics").await;
    }
    let each = begun.elapsed().as_secs_f64() / f64::from(frames);
    assert!((1.5..4.0).contains(&each), "{each} s");
    assert!(later["uptime_seconds"].as_f64() > first["data"]["uptime_seconds"].as_f64(), "{later}");
    inside.hub.stop().await;
}

#[tokio::test]
async fn events_come_as_they_happen_and_missed_ones_afterwards() {
    let inside = Inside::new().await;
    let program = inside.program(&["alerts:read"]).await;
    let mut listener = Listener::connect(&inside, &program).await;
    listener.subscribe(&["events"], None).await;
    // What was asked for is heard from then on: an error frame says that the subscription before it was read.
    listener.subscribe(&["events", "nonsense"], None).await;
    listener.frame("error").await;
    let (db, _) = inside.agent("db-01").await;
    let registered = listener.frame("event").await;
    assert_eq!((&registered["type"], &registered["agent"]["id"]), (&json!("agent_registered"), &json!(db)));
    let seq = registered["seq"].as_u64().expect("its place");
    drop(listener);
    for number in 0..3 {
        inside.agent(&format!("web-{number}")).await;
    }
    let mut listener = Listener::connect(&inside, &program).await;
    listener.subscribe(&["events"], Some(seq)).await;
    let (mut seen, mut names) = (seq, Vec::new());
    let mut enrolled = None;
    while names.len() < 4 {
        let event = listener.frame("event").await;
        let next = event["seq"].as_u64().unwrap();
        assert!(next > seen, "{next} after {seen}: in order and once");
        seen = next;
        if event["type"] == "agent_registered" {
            names.push(event["agent"]["name"].as_str().unwrap().to_owned());
        }
        if names.len() == 3 && enrolled.is_none() {
            enrolled = Some(inside.agent("web-3").await);
        }
    }
    assert_eq!(names, ["web-0", "web-1", "web-2", "web-3"]);
    let listed = inside.get(&program, &format!("/events?after={seq}&type=agent_registered")).await.fine();
    assert_eq!(listed["items"].as_array().unwrap().len(), 4, "the list says the same");
    inside.hub.stop().await;
}

#[tokio::test]
async fn what_cannot_be_had_is_said_and_the_rest_goes_on() {
    let inside = Inside::new().await;
    let admin = inside.admin().await;
    let mut listener = Listener::connect(&inside, &admin).await;
    for (text, why) in [
        (r#"{"subscribe":["fleets"]}"#, "there is no topic"),
        (r#"{"subscribe":["agent:01J00000000000000000000000"]}"#, "no such agent"),
        (r#"{"subscribe":["agent:x"]}"#, "no such agent"),
        (r#"{"subscribe":["fleet:x"]}"#, "there is no topic"),
        (r#"{"subscribe":["agent-log:x"]}"#, "do not send their log"),
        (r#"{"subscribe":"fleet"}"#, "no subscription"),
        (r#"{"subscribe":[],"since":1}"#, "since"),
        ("hello", "no subscription"),
    ] {
        listener.say(text).await;
        let said = listener.frame("error").await;
        assert!(said["detail"].as_str().unwrap().contains(why), "{text}: {said}");
    }
    listener.subscribe(&["nonsense", "fleet"], None).await;
    listener.frame("error").await;
    assert!(listener.frame("fleet").await["agents"].is_array());
    listener.say(&"x".repeat(64 * 1024)).await;
    assert!(matches!(listener.end().await, 1006 | 1009), "too long a message ends it");
    inside.hub.stop().await;
}

#[tokio::test]
async fn topics_need_the_scopes_that_their_routes_need() {
    let inside = Inside::new().await;
    let (db, agent) = inside.agent("db-01").await;
    let one = format!("agent:{db}");
    for (scopes, allowed) in [
        (vec!["metrics:read"], vec!["fleet", "metrics", &one]),
        (vec!["alerts:read"], vec!["events"]),
        (vec!["agents:enroll"], vec![]),
    ] {
        let mut listener = Listener::connect(&inside, &inside.program(&scopes).await).await;
        for topic in ["fleet", "metrics", "events", &one] {
            listener.subscribe(&[topic, "nonsense"], None).await;
            let said = listener.frame("error").await["detail"].as_str().unwrap().to_owned();
            assert_eq!(said.contains("needs the scope"), !allowed.contains(&topic), "{scopes:?} {topic}: {said}");
            if !allowed.contains(&topic) {
                listener.frame("error").await;
            }
        }
    }
    for who in [Who::Nobody, agent] {
        assert_eq!(Listener::connect_with(&inside, &who, &[]).await.err(), Some(401));
    }
    inside.hub.stop().await;
}

#[tokio::test]
async fn a_hub_that_stops_says_goodbye() {
    let inside = Inside::new().await;
    let admin = inside.admin().await;
    let mut listener = Listener::connect(&inside, &admin).await;
    listener.subscribe(&["fleet"], None).await;
    listener.frame("fleet").await;
    let stopping = tokio::spawn(inside.hub.stop());
    assert_eq!(listener.end().await, 1001);
    stopping.await.unwrap();
}

#[tokio::test]
async fn no_websocket_is_a_problem() {
    let inside = Inside::new().await;
    let admin = inside.admin().await;
    inside.get(&admin, "/ws").await.problem(400, "bad_request");
    inside.hub.stop().await;
}
