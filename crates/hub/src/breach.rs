//! What a host is busy with at the moment of a breach: when an incident fires its agent is asked once, and the answer is kept with
//! the incident. Pages wait a moment for it (see the outbox); an agent that does not answer holds up nothing.

use crate::app::App;
use crate::clock;
use crate::fleet::Fleet;
use crate::live::{Happening, Live};
use crate::page::TOP_FRESH_MS;
use crate::port::Port;
use crate::registry::Registry;
use nightbell_alerts::{Event, EventKind};
use nightbell_model::{AgentId, IncidentId, Timestamp};
use nightbell_store::Change;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// How long an agent has for its answer.
const WAIT_MS: i64 = 2_000;
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// An agent that told what it is busy with so shortly before is not asked again, in milliseconds.
const JUST_TOLD_MS: i64 = 2_000;
/// The most agents that are asked at once: in a storm a few answers say as much as all.
const MOST_ASKED: usize = 100;

/// Asks agents and keeps their answers.
#[derive(Debug)]
pub struct Breaches {
    port: Arc<Port>,
    fleet: Arc<Fleet>,
    registry: Arc<Registry>,
    live: Live,
    asked: HashMap<AgentId, Asked>,
}

/// An agent that was asked, and for what.
#[derive(Debug)]
struct Asked {
    at: Timestamp,
    incidents: Vec<IncidentId>,
}

/// Whether an answer of `told` is one to a question of `asked`.
#[must_use]
pub fn is_answer(told: Timestamp, asked: Timestamp) -> bool {
    told.plus_millis(JUST_TOLD_MS) >= asked
}

impl Breaches {
    /// The breaches of this hub.
    #[must_use]
    pub fn of(app: &App) -> Self {
        Self {
            port: Arc::clone(&app.port),
            fleet: Arc::clone(&app.fleet),
            registry: Arc::clone(&app.registry),
            live: app.live.clone(),
            asked: HashMap::new(),
        }
    }

    /// Works until it is dropped.
    pub async fn run(mut self) {
        let mut happenings = self.live.listen();
        loop {
            tokio::select! {
                happening = happenings.recv() => match happening {
                    Ok(Happening::Event(line)) => self.hear(&line.event),
                    Ok(Happening::Config) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                () = tokio::time::sleep(LOOK), if !self.asked.is_empty() => {}
            }
            self.keep_answers(clock::now()).await;
        }
    }

    fn hear(&mut self, event: &Event) {
        let (EventKind::Fired, Some(agent), Some(incident)) = (event.kind, event.agent, event.incident) else { return };
        if let Some(asked) = self.asked.get_mut(&agent) {
            asked.incidents.push(incident);
        } else if self.asked.len() < MOST_ASKED {
            let now = clock::now();
            let just_told = self.told(agent).is_some_and(|at| is_answer(at, now));
            // One of another make may not know the question; what it told before may still be fresh.
            if !just_told && self.port.tells_top(agent) {
                self.port.ask_top(agent);
            }
            self.asked.insert(agent, Asked { at: now, incidents: vec![incident] });
        }
    }

    fn told(&self, agent: AgentId) -> Option<Timestamp> {
        self.fleet.get(agent)?.top.map(|(at, _)| at)
    }

    async fn keep_answers(&mut self, now: Timestamp) {
        let is_done = |agent: &AgentId, asked: &Asked| {
            now.millis_since(asked.at).abs() >= WAIT_MS || self.told(*agent).is_some_and(|told| is_answer(told, asked.at))
        };
        let done: Vec<AgentId> = self.asked.iter().filter(|(agent, asked)| is_done(agent, asked)).map(|(id, _)| *id).collect();
        let mut changes = Vec::new();
        for agent in done {
            let Some(asked) = self.asked.remove(&agent) else { continue };
            let Some((at, json)) = self.fleet.get(agent).and_then(|vitals| vitals.top) else { continue };
            if asked.at.millis_since(at).abs() <= TOP_FRESH_MS {
                let kind = || "top_processes".to_owned();
                let attach = |incident| Change::AttachToIncident { incident, at, kind: kind(), json: json.to_string() };
                changes.extend(asked.incidents.into_iter().map(attach));
            }
        }
        if changes.is_empty() {
            return;
        }
        if let Err(error) = self.registry.apply(changes, None).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "top processes cannot be kept with their incident");
        }
    }
}
