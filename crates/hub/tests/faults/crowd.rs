//! Thousands of agents that are connected and say nothing, while one goes on: 1,000, or 10,000 with `NIGHTBELL_SLOW=1`.

use crate::support::agents::JsonAgent;
use crate::support::house::House;
use crate::support::slow;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How many connect at the same time.
const AT_ONCE: usize = 64;

/// Room for so many sockets in this process and its children; whether there is.
fn room_for(sockets: u64) -> bool {
    let wanted = sockets + 500;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return true;
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        .or_else(|_| setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }))
        .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_agents_are_held_and_one_goes_on() {
    let crowd: u32 = if slow() { 10_000 } else { 1_000 };
    if !room_for(u64::from(crowd)) {
        return eprintln!("skipped: this process may not open {crowd} sockets");
    }
    let house = House::start().await;
    let mut lively = house.json_agent("lively").await;
    lively.beat(&json!({"cpu.usage_percent": 1})).await;
    let before = house.hub.rss_bytes();
    let (token, gate) = (Arc::new(house.enrolment(crowd)), Arc::new(Semaphore::new(AT_ONCE)));
    let (begun, mut arriving) = (Instant::now(), JoinSet::new());
    for n in 0..crowd {
        let (root, token, gate) = (house.hub.url.clone(), Arc::clone(&token), Arc::clone(&gate));
        arriving.spawn(async move {
            let _turn = gate.acquire_owned().await.unwrap();
            JsonAgent::enrol(&root, &token, &format!("idle-{n}"), 3_600_000).await
        });
    }
    let mut idle = arriving.join_all().await;
    let each = house.hub.rss_bytes().saturating_sub(before) / u64::from(crowd);
    eprintln!("{crowd} agents enrolled and connected in {:?}: {each} bytes of the hub's memory each", begun.elapsed());
    assert!(each <= 40 << 10, "{each} bytes for an idle connection");
    assert!(house.api.metrics_text().await.contains("nightbell"));
    let begun = Instant::now();
    for n in 0..200 {
        lively.beat(&json!({"cpu.usage_percent": n % 100})).await;
    }
    let mean = begun.elapsed() / 200;
    eprintln!("a heartbeat among them is durable after {mean:?}");
    assert!(mean.as_millis() < 500, "{mean:?}");
    // They are still there: each of some says something.
    for agent in idle.iter_mut().step_by(97) {
        agent.beat(&json!({"cpu.usage_percent": 2})).await;
    }
    let shown = house.api.list("/agents").await;
    assert_eq!(shown.len(), usize::try_from(crowd).unwrap() + 1);
}
