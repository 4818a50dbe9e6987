//! What a heartbeat of an authenticated agent may claim.

use super::hub::{AGENT, NOW, OTHER};
use crate::SampleClock;
use crate::understand::Listener;
use nightbell_model::Timestamp;
use nightbell_protocol::Heartbeat;
use std::sync::Arc;

fn clock(heartbeat: &Heartbeat, sent_by: Option<i64>) -> SampleClock {
    let mut listener = Listener::new(AGENT, Arc::default());
    listener.hear(heartbeat, sent_by, Timestamp::from_millis(NOW)).expect("understood").clock
}

#[test]
fn the_best_time_that_is_there_counts() {
    let full = Heartbeat { age_ms: Some(5), timestamp: Some(7), sent_at: Some(8), ..Heartbeat::default() };
    assert_eq!(clock(&full, Some(9)), SampleClock::AgeMs(5));
    let stamped = Heartbeat { age_ms: None, ..full.clone() };
    let ts = Timestamp::from_millis(7);
    assert_eq!(clock(&stamped, Some(9)), SampleClock::Timestamp { ts, sent_at: Some(Timestamp::from_millis(8)) });
    let alone = Heartbeat { sent_at: None, ..stamped };
    assert_eq!(clock(&alone, Some(9)), SampleClock::Timestamp { ts, sent_at: None });
    assert_eq!(clock(&Heartbeat::default(), Some(9)), SampleClock::Timestamp { ts: Timestamp::from_millis(9), sent_at: None });
    assert_eq!(clock(&Heartbeat::default(), None), SampleClock::Receipt);
}

#[test]
fn claims_are_checked() {
    let mut listener = Listener::new(AGENT, Arc::default());
    let mut code = |heartbeat: Heartbeat| {
        listener.hear(&heartbeat, None, Timestamp::from_millis(NOW)).map(|_| ()).map_err(|reject| reject.code)
    };
    let of = |agent: &str| Heartbeat { agent_id: Some(agent.to_owned()), ..Heartbeat::default() };
    assert_eq!(code(of(&AGENT.to_string().to_lowercase())), Ok(()));
    assert_eq!(code(of(&OTHER.to_string())), Err("wrong_agent"));
    assert_eq!(code(of("")), Err("wrong_agent"));
    let boot = |boot: &str| Heartbeat { boot_id: Some(boot.to_owned()), seq: Some(1), ..Heartbeat::default() };
    assert_eq!(code(boot(&"é".repeat(32))), Ok(()));
    for bad in ["", "a\0b", "timestamps-of-hour:1", &"x".repeat(65)] {
        assert_eq!(code(boot(bad)), Err("invalid_boot_id"), "{bad:?}");
    }
}
