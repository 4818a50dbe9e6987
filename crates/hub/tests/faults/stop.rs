//! A hub that is stopped tells its agents so, and they lose nothing by it.

use crate::support::agents::{Heard, JsonAgent};
use crate::support::house::House;
use crate::support::now_ms;
use rustix::process::Signal;
use serde_json::json;

/// RFC 6455, section 7.4.1: the other side is going away.
const AWAY: u16 = 1001;

/// Why the hub closed the connection, passing over what it says before.
async fn farewell(agent: &mut JsonAgent) -> (u16, String) {
    loop {
        match agent.listen().await {
            Heard::Message(_) => {}
            Heard::Closed(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
            Heard::Closed(None) => return (0, "without a word".to_owned()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_stops_says_so_to_its_agents() {
    let mut house = House::start().await;
    let (mut one, mut other) = (house.json_agent("one").await, house.json_agent("other").await);
    one.beat(&json!({"stop.seq": 1})).await;
    // Whether these are acknowledged before the end is left to chance: the agent keeps what is not.
    for seq in 2..=20 {
        one.send(&json!({"stop.seq": seq})).await;
    }
    let (ended, said, also) = tokio::join!(house.hub.end(Signal::TERM), farewell(&mut one), farewell(&mut other));
    assert!(ended.success(), "{ended}: {}", house.hub.log());
    assert_eq!(said, (AWAY, "shutdown".to_owned()));
    assert_eq!(also, (AWAY, "shutdown".to_owned()));
    house.hub.again().await;
    let mut back = JsonAgent::back(&house.hub.url, &one.identity, &one.boot, 1).await;
    for seq in 2..=20 {
        back.send_with(&json!({"stop.seq": seq}), &json!({"age_ms": 0})).await;
    }
    back.acknowledged(20).await;
    let now = now_ms();
    let history = house.api.raw_history(&one.identity.id, "stop.seq", now - 600_000, now + 1_000).await;
    let mut seen: Vec<i64> =
        history.iter().filter_map(|(_, value)| value.map(|value| format!("{value}").parse().unwrap())).collect();
    seen.sort_unstable();
    assert_eq!(seen, (1..=20).collect::<Vec<i64>>());
}
