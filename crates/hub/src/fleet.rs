//! The newest values and signs of life of every agent, in memory: what lists, badges and live views read.
//!
//! The pipeline writes it after each commit; nobody else does. History is the store's.

use crate::fleet_history::Arrivals;
use nightbell_model::{AgentId, Batch, SeriesKey, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// How many intervals without a heartbeat make an agent offline.
const MISSED_INTERVALS: i64 = 3;

/// What is known of one agent right now.
#[derive(Debug, Clone, Default)]
pub struct Vitals {
    /// When its last heartbeat was received.
    pub last_seen: Option<Timestamp>,
    /// Its newest heartbeat with values.
    pub latest: Option<Arc<Batch>>,
    /// How often it sends them, in milliseconds.
    pub interval_ms: i64,
    /// Whether its newest connection was closed cleanly since its last heartbeat.
    pub closed: bool,
    /// Its top processes as it last told them (JSON), and when.
    pub top: Option<(Timestamp, Arc<str>)>,
}

impl Vitals {
    /// Online until a clean close or three missed intervals.
    #[must_use]
    pub fn is_online(&self, now: Timestamp) -> bool {
        !self.closed && self.last_seen.is_some_and(|seen| now.millis_since(seen) < MISSED_INTERVALS * self.interval_ms)
    }

    /// Takes a heartbeat with values, unless a newer one is known.
    pub fn take(&mut self, batch: Arc<Batch>) {
        if self.latest.as_ref().is_none_or(|known| known.ts <= batch.ts) {
            self.latest = Some(batch);
        }
    }

    /// The newest value of a series.
    #[must_use]
    pub fn value(&self, key: &SeriesKey) -> Option<f64> {
        self.latest.as_ref()?.value(key)
    }
}

/// All agents' vitals and which of them changed since somebody last asked.
#[derive(Debug, Default)]
pub struct Fleet {
    agents: RwLock<HashMap<AgentId, Vitals>>,
    changed: Mutex<BTreeSet<AgentId>>,
    arrivals: Arrivals,
}

impl Fleet {
    /// How many heartbeats have been stored in which minute.
    #[must_use]
    pub const fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// The vitals of all agents; hold it shortly.
    pub fn read(&self) -> RwLockReadGuard<'_, HashMap<AgentId, Vitals>> {
        self.agents.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The vitals of one agent.
    #[must_use]
    pub fn get(&self, agent: AgentId) -> Option<Vitals> {
        self.read().get(&agent).cloned()
    }

    /// Changes the vitals of one agent, which is added if it is new.
    pub fn update(&self, agent: AgentId, change: impl FnOnce(&mut Vitals)) {
        self.update_all(std::iter::once((agent, change)));
    }

    /// Changes several at once, under one lock.
    pub fn update_all<F: FnOnce(&mut Vitals)>(&self, changes: impl Iterator<Item = (AgentId, F)>) {
        let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = self.changed();
        for (agent, change) in changes {
            change(agents.entry(agent).or_default());
            changed.insert(agent);
        }
    }

    /// Forgets an agent.
    pub fn remove(&self, agent: AgentId) {
        self.agents.write().unwrap_or_else(PoisonError::into_inner).remove(&agent);
        self.changed().insert(agent);
    }

    /// The agents that changed since the last call.
    pub fn take_changed(&self) -> BTreeSet<AgentId> {
        std::mem::take(&mut *self.changed())
    }

    fn changed(&self) -> MutexGuard<'_, BTreeSet<AgentId>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_online_for_three_intervals_or_until_it_says_goodbye() {
        let at = Timestamp::from_secs;
        let mut vitals = Vitals { last_seen: Some(at(100)), interval_ms: 15_000, ..Vitals::default() };
        assert!(vitals.is_online(at(144)));
        assert!(!vitals.is_online(at(145)));
        vitals.closed = true;
        assert!(!vitals.is_online(at(101)));
        assert!(!Vitals::default().is_online(at(0)), "never seen is not online");
    }
}
