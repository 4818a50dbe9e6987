//! Writers that keep what is not acknowledged and send it again, as agents do. The value of each heartbeat is its number, and a
//! level that rises and falls with it.

use crate::support::agents::{HttpAgent, Identity, Socket, dial};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

/// Between two heartbeats of one writer.
const PACE: Duration = Duration::from_millis(6);
/// Heartbeats that may wait for their acknowledgement.
const OUTSTANDING: usize = 64;
/// How many heartbeats the level stays where it is.
const LEVEL: u64 = 120;
/// How many heartbeats one request carries.
const BATCH: usize = 20;

/// How often the level of a writer of so many heartbeats rises: what a hub that is never killed would fire.
pub(crate) fn rises(made: u64) -> u64 {
    // The last heartbeat is low wherever it stands.
    (1..).step_by(2).take_while(|block| block * LEVEL < made).count() as u64
}

/// What the writers have in common.
#[derive(Debug, Default)]
pub(crate) struct Load {
    acknowledged: AtomicU64,
    finishing: AtomicBool,
}

impl Load {
    /// Heartbeats that are durable, of all writers.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// No new heartbeats, but all of them acknowledged.
    pub(crate) fn finish(&self) {
        self.finishing.store(true, Ordering::SeqCst);
    }

    fn finishing(&self) -> bool {
        self.finishing.load(Ordering::SeqCst)
    }

    fn count(&self, more: u64) {
        self.acknowledged.fetch_add(more, Ordering::SeqCst);
    }
}

/// What a writer has made and knows of.
#[derive(Debug, Default)]
struct Journal {
    made: u64,
    waiting: VecDeque<(u64, Instant)>,
    ended: bool,
}

impl Journal {
    /// Makes a heartbeat. The last one is low, so that whatever fires ends.
    fn make(&mut self, last: bool) {
        self.made += 1;
        self.ended = last;
        self.waiting.push_back((self.made, Instant::now()));
    }

    fn value(&self, seq: u64, at: Instant) -> Value {
        let low = (seq / LEVEL).is_multiple_of(2) || (self.ended && seq == self.made);
        let age_ms = u64::try_from(at.elapsed().as_millis()).unwrap();
        let metrics = json!({"kill.seq": seq, "kill.level": if low { 1 } else { 99 }});
        json!({"boot_id": "one-process", "seq": seq, "age_ms": age_ms, "metrics": metrics})
    }

    fn acknowledge(&mut self, seq: u64, load: &Load) {
        while self.waiting.front().is_some_and(|(first, _)| *first <= seq) {
            self.waiting.pop_front();
            load.count(1);
        }
    }

    fn is_done(&self) -> bool {
        self.ended && self.waiting.is_empty()
    }
}

/// Writes over a WebSocket until told to finish; gives how many heartbeats there were.
pub(crate) async fn socket_writer(root: String, identity: Identity, load: Arc<Load>) -> u64 {
    let mut journal = Journal::default();
    while !journal.is_done() {
        // The hub is away for a moment each time it is killed.
        if let Ok(socket) = dial(&root, "nightbell.v1.json").await {
            let _lost = connection(socket, &identity, &mut journal, &load).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    journal.made
}

/// One connection, until it breaks or everything is done.
async fn connection(mut socket: Socket, identity: &Identity, journal: &mut Journal, load: &Load) -> Option<()> {
    let auth = json!({"subject": "agent.auth", "reply": "_INBOX.1", "data": {"agent_id": identity.id, "credential": identity.credential, "interval_ms": 600_000}});
    socket.send(Message::text(auth.to_string())).await.ok()?;
    let answer = next(&mut socket).await?;
    assert_eq!(answer["data"]["ok"], true, "{answer}");
    let mut sent = 0;
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !journal.is_done() {
        tokio::select! {
            message = next(&mut socket) => hear(&message?, journal, load),
            _tick = pace.tick() => {
                if journal.waiting.len() < OUTSTANDING && !journal.ended {
                    journal.make(load.finishing());
                }
                sent = send_after(&mut socket, journal, sent).await?;
            }
        }
    }
    socket.close(None).await.ok()
}

/// Sends what waits and has a higher number than `sent`: one by one as it is made, and all in one message on a new connection.
async fn send_after(socket: &mut Socket, journal: &Journal, sent: u64) -> Option<u64> {
    let unsent = journal.waiting.iter().filter(|(seq, _)| *seq > sent);
    let beats: Vec<Value> = unsent.map(|(seq, at)| journal.value(*seq, *at)).collect();
    let message = match beats.as_slice() {
        [] => return Some(sent),
        [only] => json!({"subject": "agent.heartbeat", "data": only}),
        _ => json!({"subject": "agent.heartbeats", "data": beats}),
    };
    socket.send(Message::text(message.to_string())).await.ok()?;
    Some(journal.made)
}

fn hear(message: &Value, journal: &mut Journal, load: &Load) {
    let data = &message["data"];
    match message["subject"].as_str() {
        Some("agent.heartbeat.ack") => journal.acknowledge(data["seq"].as_u64().expect("a number"), load),
        Some("agent.slow" | "agent.top.request") => {}
        _ => panic!("the hub refuses something: {message}"),
    }
}

async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return serde_json::from_str(&text).ok(),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

/// Writes over HTTP until told to finish; gives how many heartbeats there were.
pub(crate) async fn post_writer(agent: HttpAgent, load: Arc<Load>) -> u64 {
    let mut journal = Journal::default();
    while !journal.is_done() {
        while journal.waiting.len() < BATCH && !journal.ended {
            journal.make(load.finishing());
        }
        let batch: Vec<Value> = journal.waiting.iter().map(|(seq, at)| journal.value(*seq, *at)).collect();
        if let Some(answer) = agent.try_post(&json!({"heartbeats": batch})).await {
            let number = |field: &str| answer[field].as_u64().expect("a number");
            assert_eq!(
                (number("accepted") + number("duplicates"), &answer["rejected"]),
                (batch.len() as u64, &json!([])),
                "{answer}"
            );
            journal.acknowledge(journal.made, &load);
        }
        tokio::time::sleep(PACE * 8).await;
    }
    journal.made
}
