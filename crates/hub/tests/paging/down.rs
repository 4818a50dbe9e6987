//! A receiver that is away for a while: nothing is lost, everything comes in its order and once, and nobody else waits for it.
//!
//! Half a minute, or ten with `NIGHTBELL_SLOW=1`.

use crate::support::double::{Double, Received, Reply};
use crate::support::house::{House, rule};
use crate::support::receiver::Receiver;
use crate::support::slow;
use crate::support::wait::{until_true, within};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const AGENTS: usize = 5;

/// What was taken: the page's id, its type and its incident, in the order of arrival.
type Taken = Arc<Mutex<Vec<(String, String, String)>>>;

fn page(request: &Received) -> (String, String, String) {
    let body = request.json();
    let id = request.headers.get("webhook-id").expect("an id").clone();
    (id, body["type"].as_str().unwrap().to_owned(), body["data"]["incident_id"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_to_a_receiver_that_is_away_are_kept_and_sent_in_order_once() {
    let house = House::start().await;
    let (away, taken) = (Arc::new(AtomicBool::new(true)), Taken::default());
    let (is_away, kept) = (Arc::clone(&away), Arc::clone(&taken));
    let flaky = Double::start(move |request| {
        if is_away.load(Ordering::SeqCst) {
            return Reply::of(503, "away");
        }
        kept.lock().unwrap().push(page(request));
        Reply::of(204, "")
    })
    .await;
    let fine = Receiver::start().await;
    let hook = json!({"name": "away", "kind": "webhook", "config": {"url": flaky.at("page"), "allow_private": true}});
    let channels = [house.api.make("/channels", &hook).await, house.api.make("/channels", &fine.channel("fine")).await];
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[&channels[0], &channels[1]])).await;
    let mut agents = Vec::new();
    for n in 0..AGENTS {
        agents.push(house.json_agent(&format!("a-{n}")).await);
    }
    let (begun, outage) = (Instant::now(), Duration::from_secs(if slow() { 600 } else { 30 }));
    let (mut told, mut slowest) = (0, Duration::ZERO);
    while begun.elapsed() < outage {
        for value in [95, 5] {
            for agent in &mut agents {
                agent.beat(&json!({"cpu.usage_percent": value})).await;
            }
            told += AGENTS;
            let sent = Instant::now();
            until_true("the other channel", async || fine.taken().len() == told).await;
            slowest = slowest.max(sent.elapsed());
        }
        tokio::time::sleep(outage / 10).await;
    }
    assert!(slowest < Duration::from_secs(5), "a dead channel delayed another by {slowest:?}");
    assert!(taken.lock().unwrap().is_empty() && house.outbox("dead").await.is_empty());
    away.store(false, Ordering::SeqCst);
    within(Duration::from_secs(1_500), "everything that was kept", async || (taken.lock().unwrap().len() >= told).then_some(()))
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    in_order_once(&taken.lock().unwrap(), told);
    let sent: Vec<Value> = house.outbox("sent").await;
    assert!(sent.iter().all(|row| row["attempts"].as_u64() >= Some(1)), "{sent:#?}");
    eprintln!("{told} pages kept over {outage:?}, other channel at most {slowest:?} late");
}

fn in_order_once(taken: &[(String, String, String)], told: usize) {
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut ids: Vec<&str> = taken.iter().map(|(id, ..)| id.as_str()).collect();
    for (_, kind, incident) in taken {
        kinds.entry(incident).or_default().push(kind);
    }
    assert_eq!((taken.len(), kinds.len()), (told, told / 2), "lost or doubled");
    assert!(kinds.values().all(|kinds| *kinds == ["incident.fired", "incident.resolved"]), "{kinds:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), told, "each page has its own id");
}
