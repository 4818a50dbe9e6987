//! The frames of the live connection, and the task that makes those of the whole fleet once a second.

use crate::app::App;
use crate::fleet::Vitals;
use crate::server::stopped;
use crate::{clock, page};
use nightbell_model::{AgentId, Timestamp};
use nightbell_store::LoggedEvent;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// How often frames are made.
const PERIOD: Duration = Duration::from_secs(1);
/// The hub's own numbers go out with every second of them (MISSION S4: every 2 s).
const METRICS_EVERY: u64 = 2;
/// How many ticks a slow listener may lag behind.
const BACKLOG: usize = 16;

/// The metrics that the list of agents shows; an agent's own page gets all.
const HEADLINES: [&str; 6] = [
    "cpu.usage_percent",
    "mem.used_percent",
    "disk.used_percent",
    "net.rx_bytes_per_second",
    "net.tx_bytes_per_second",
    "load.avg_1m",
];

/// What one second brought.
#[derive(Debug, Clone, Default)]
pub(super) struct Tick {
    /// The agents that changed, as one frame.
    pub(super) fleet: Option<Arc<str>>,
    /// The hub's own numbers.
    pub(super) metrics: Option<Arc<str>>,
    /// Each agent that changed, with everything.
    pub(super) agents: Arc<HashMap<AgentId, Arc<str>>>,
}

/// Where ticks are told.
#[derive(Debug)]
pub(super) struct Frames {
    sender: broadcast::Sender<Tick>,
}

impl Frames {
    /// Starts the task that makes frames while anybody listens.
    pub(super) fn start(app: Arc<App>, mut stop: watch::Receiver<bool>) -> Arc<Self> {
        let frames = Arc::new(Self { sender: broadcast::channel(BACKLOG).0 });
        let maker = Arc::clone(&frames);
        tokio::spawn(async move {
            let mut known = HashMap::new();
            for second in 0_u64.. {
                tokio::select! {
                    () = stopped(&mut stop) => return,
                    () = tokio::time::sleep(PERIOD) => {}
                }
                let tick = maker.make(&app, &mut known, second);
                let _nobody = maker.sender.send(tick);
            }
        });
        frames
    }

    /// Listens from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Tick> {
        self.sender.subscribe()
    }

    fn make(&self, app: &App, known: &mut HashMap<AgentId, bool>, second: u64) -> Tick {
        let mut changed = app.fleet.take_changed();
        if self.sender.receiver_count() == 0 {
            return Tick::default();
        }
        let now = clock::now();
        for (id, vitals) in app.fleet.read().iter() {
            let online = vitals.is_online(now);
            if known.insert(*id, online) != Some(online) {
                changed.insert(*id);
            }
        }
        let metrics = second.is_multiple_of(METRICS_EVERY).then(|| metrics(app));
        if changed.is_empty() {
            return Tick { metrics, ..Tick::default() };
        }
        let (mut briefs, mut agents) = (Vec::new(), HashMap::new());
        for id in changed {
            match app.fleet.get(id) {
                Some(vitals) => {
                    briefs.push(vitals_json(id, &vitals, now, true));
                    agents.insert(id, frame("agent", now, vitals_json(id, &vitals, now, false)));
                }
                None => {
                    known.remove(&id);
                    briefs.push(json!({"id": id.to_string(), "deleted": true}));
                }
            }
        }
        Tick { fleet: Some(frame("fleet", now, json!({"agents": briefs}))), metrics, agents: Arc::new(agents) }
    }
}

/// A frame that says what cannot be done.
pub(super) fn error(why: &str) -> Arc<str> {
    frame("error", clock::now(), json!({"detail": why}))
}

/// The hub's own numbers.
pub(super) fn metrics(app: &App) -> Arc<str> {
    frame("metrics", clock::now(), serde_json::to_value(app.measure.snapshot()).unwrap_or(Value::Null))
}

/// A line of the event log.
pub(super) fn event(app: &App, event: &LoggedEvent) -> Arc<str> {
    frame("event", clock::now(), crate::api::events::show(&app.registry.read(), event))
}

/// The whole fleet, for a listener that has just come.
pub(super) fn whole_fleet(app: &App) -> Arc<str> {
    let now = clock::now();
    let known = app.registry.read().agents.keys().copied().collect::<Vec<_>>();
    let fleet = app.fleet.read();
    let nothing = Vitals::default();
    let agents: Vec<Value> = known.iter().map(|id| vitals_json(*id, fleet.get(id).unwrap_or(&nothing), now, true)).collect();
    frame("fleet", now, json!({"agents": agents}))
}

/// One agent with all its newest values.
pub(super) fn agent(app: &App, id: AgentId) -> Option<Arc<str>> {
    let (vitals, now) = (app.fleet.get(id)?, clock::now());
    Some(frame("agent", now, vitals_json(id, &vitals, now, false)))
}

fn vitals_json(id: AgentId, vitals: &Vitals, now: Timestamp, brief: bool) -> Value {
    let mut metrics = Map::new();
    if let Some(batch) = &vitals.latest {
        for (key, value) in batch.samples() {
            if value.is_finite() && (!brief || HEADLINES.contains(&key.metric())) {
                metrics.insert(key.to_string(), json!(value));
            }
        }
    }
    let mut older = Map::new();
    for value in vitals.older().filter(|older| older.value.is_finite() && !brief) {
        metrics.insert(value.key.to_string(), json!(value.value));
        older.insert(value.key.to_string(), json!(page::rfc3339(value.at)));
    }
    let status = if vitals.is_online(now) { "online" } else { "offline" };
    let mut said =
        json!({"id": id.to_string(), "status": status, "last_seen": vitals.last_seen.map(page::rfc3339), "metrics": metrics});
    if !older.is_empty() {
        said["older"] = Value::Object(older);
    }
    said
}

fn frame(kind: &str, at: Timestamp, data: Value) -> Arc<str> {
    json!({"type": kind, "timestamp": page::rfc3339(at), "data": data}).to_string().into()
}
