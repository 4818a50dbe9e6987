//! Agents whose heartbeats can be told by their number alone: each value follows from the agent, the number and the series, so
//! that what is read back can be held against what was sent. What a hub acknowledges is put into the record as a mark.

use crate::record::Marks;
use crate::support::agents::{HttpAgent, Identity, Socket, dial};
use crate::support::now_ms;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

/// Between two messages of one agent.
const PACE: Duration = Duration::from_millis(60);
/// Heartbeats that may wait for their acknowledgement.
const OUTSTANDING: u64 = 60;
/// How many heartbeats the level stays where it is.
const LEVEL: u64 = 20;
/// From one heartbeat that was measured long ago to the next, in milliseconds.
const OLD_STEP: i64 = 15_000;
/// How many of these go into one message.
const OLD_AT_ONCE: u64 = 8;
/// Series beside the number and the level.
const SERIES: u64 = 6;

/// How an agent speaks, and of when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Of now, over a WebSocket.
    Socket,
    /// Of now, by HTTP.
    Http,
    /// Of hours ago, over a WebSocket, many at once: what an agent does that was away.
    Old,
}

/// One agent.
#[derive(Debug, Clone)]
pub(crate) struct Voice {
    pub(crate) identity: Identity,
    pub(crate) manner: Manner,
    /// Makes its values its own.
    pub(crate) number: u64,
    /// When it began to measure.
    pub(crate) since: i64,
}

impl Voice {
    /// Whether the level is high at a number.
    pub(crate) fn is_high(&self, seq: u64) -> bool {
        self.manner != Manner::Old && (seq / LEVEL) % 2 == 1
    }

    /// The values of a heartbeat by series.
    pub(crate) fn values(&self, seq: u64) -> Vec<(String, f64)> {
        let of = |series: u64| {
            let mixed = (self.number << 40 ^ seq << 8 ^ series).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            // Most are percentages with two decimals, some move freely, some hardly at all.
            let value = match series % 3 {
                0 => f64::from(u32::try_from((mixed >> 33) % 10_000).unwrap()) / 100.0,
                1 => f64::from(u32::try_from(mixed >> 40).unwrap()) * 4096.0,
                _ => f64::from(u32::try_from(seq / 50).unwrap()) + 0.125,
            };
            (format!("crash.value{{n={series}}}"), value)
        };
        let mut values: Vec<(String, f64)> = (0..SERIES).map(of).collect();
        values.push(("crash.seq".to_owned(), f64::from(u32::try_from(seq).unwrap())));
        if self.manner != Manner::Old {
            values.push(("crash.level".to_owned(), if self.is_high(seq) { 99.0 } else { 1.0 }));
        }
        values
    }

    fn heartbeat(&self, seq: u64, made: i64) -> Value {
        let at = if self.manner == Manner::Old { self.since + i64::try_from(seq).unwrap() * OLD_STEP } else { made };
        let metrics: serde_json::Map<String, Value> =
            self.values(seq).into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        json!({"boot_id": "one-process", "seq": seq, "age_ms": (now_ms() - at).max(0), "metrics": metrics})
    }
}

/// What all agents have in common.
#[derive(Debug)]
pub(crate) struct Load {
    marks: Marks,
    over: AtomicBool,
    acknowledged: AtomicU64,
}

impl Load {
    pub(crate) fn new(marks: Marks) -> Self {
        Self { marks, over: AtomicBool::new(false), acknowledged: AtomicU64::new(0) }
    }

    /// Ends the agents where they stand.
    pub(crate) fn finish(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

/// What an agent has made and knows of.
#[derive(Debug, Default)]
struct Journal {
    /// When each was measured, from number 1 on.
    made: Vec<i64>,
    /// Up to this number all are durable.
    durable: u64,
}

impl Journal {
    fn last(&self) -> u64 {
        self.made.len() as u64
    }

    fn make(&mut self, count: u64) {
        for _ in 0..count {
            if self.last() - self.durable < OUTSTANDING {
                self.made.push(now_ms());
            }
        }
    }

    fn beats(&self, voice: &Voice, after: u64) -> Vec<Value> {
        (after + 1..=self.last()).map(|seq| voice.heartbeat(seq, self.made[usize::try_from(seq).unwrap() - 1])).collect()
    }

    fn hear(&mut self, voice: &Voice, seq: u64, load: &Load) {
        if seq > self.durable {
            load.marks.put(&format!("ack {} {seq}", voice.number));
            load.acknowledged.fetch_add(seq - self.durable, Ordering::SeqCst);
            self.durable = seq;
        }
    }
}

/// Speaks until the load is over, through any number of lives of the hub.
pub(crate) async fn speak(root: String, voice: Voice, poster: Option<HttpAgent>, load: Arc<Load>) {
    let mut journal = Journal::default();
    while !load.is_over() {
        match &poster {
            Some(agent) => drop(post(agent, &voice, &mut journal, &load).await),
            // The hub is away for a moment each time it is killed.
            None => {
                if let Ok(socket) = dial(&root, "nightbell.v1.json").await {
                    let _lost = connection(socket, &voice, &mut journal, &load).await;
                }
            }
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn post(agent: &HttpAgent, voice: &Voice, journal: &mut Journal, load: &Load) -> Option<()> {
    journal.make(2);
    let last = journal.last();
    let answer = agent.try_post(&json!({"heartbeats": journal.beats(voice, journal.durable)})).await?;
    assert_eq!(answer["rejected"], json!([]), "{answer}");
    journal.hear(voice, last, load);
    Some(())
}

/// One connection, until it breaks or the load is over.
async fn connection(mut socket: Socket, voice: &Voice, journal: &mut Journal, load: &Load) -> Option<()> {
    let auth = json!({"subject": "agent.auth", "reply": "_INBOX.1", "data": {"agent_id": voice.identity.id, "credential": voice.identity.credential, "interval_ms": 600_000}});
    socket.send(Message::text(auth.to_string())).await.ok()?;
    let answer = next(&mut socket).await?;
    assert_eq!(answer["data"]["ok"], true, "{answer}");
    let mut sent = journal.durable;
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !load.is_over() {
        tokio::select! {
            message = next(&mut socket) => hear(&message?, voice, journal, load),
            _tick = pace.tick() => {
                journal.make(if voice.manner == Manner::Old { OLD_AT_ONCE } else { 1 });
                let beats = journal.beats(voice, sent);
                if !beats.is_empty() {
                    let message = json!({"subject": "agent.heartbeats", "data": beats});
                    socket.send(Message::text(message.to_string())).await.ok()?;
                }
                sent = journal.last();
            }
        }
    }
    Some(())
}

fn hear(message: &Value, voice: &Voice, journal: &mut Journal, load: &Load) {
    match message["subject"].as_str() {
        Some("agent.heartbeat.ack") => journal.hear(voice, message["data"]["seq"].as_u64().expect("a number"), load),
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
