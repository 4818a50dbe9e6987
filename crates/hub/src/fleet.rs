//! The newest values and signs of life of every agent, in memory: what lists, badges and live views read.
//!
//! The pipeline writes it after each commit; nobody else does. History is the store's.

use crate::fleet_history::Arrivals;
use crate::slow::{Older, Slow};
use nightbell_model::{AgentId, Batch, Schema, SeriesKey, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// How many intervals without a heartbeat make an agent offline.
const MISSED_INTERVALS: i64 = 3;
/// What containers used is shown beside what their host did for three intervals and at least so long, in milliseconds: the hole
/// of ALERTING.md, section 1.
const LEAST_HOLE_MS: i64 = 60_000;
/// How the metrics of containers begin.
const OF_CONTAINERS: &str = "container.";

/// What is known of one agent right now.
#[derive(Debug, Clone, Default)]
pub struct Vitals {
    /// When its last heartbeat was received.
    pub last_seen: Option<Timestamp>,
    /// Its newest heartbeat with values, and what its containers used where that came as a message of its own.
    pub latest: Option<Arc<Batch>>,
    /// The two that `latest` is joined of.
    parts: Parts,
    /// The newest values of what it measures more seldom than it sends heartbeats.
    slow: Slow,
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

    /// Takes a heartbeat with values, unless a newer one is known. What containers used, said by itself, replaces what was known of
    /// containers and nothing else.
    pub fn take(&mut self, batch: Arc<Batch>) {
        let of_containers = is_of_containers(&batch);
        if !of_containers {
            self.take_seldom(&batch);
        }
        let hole_ms = (MISSED_INTERVALS * self.interval_ms).max(LEAST_HOLE_MS);
        self.latest = self.parts.take(batch, of_containers, hole_ms);
    }

    /// Takes what a heartbeat of the host, which need not be the newest, says of what is measured seldom.
    pub(crate) fn take_seldom(&mut self, batch: &Batch) {
        self.slow.take(batch, self.interval_ms);
    }

    /// The clock was set by `step_ms`: what is known moves along, or nothing newer would be taken, or an agent be online for too long.
    fn shift(&mut self, step_ms: i64) {
        let moved = |at: Timestamp| at.plus_millis(step_ms);
        self.last_seen = self.last_seen.map(moved);
        self.slow.shift(step_ms);
        self.top = self.top.take().map(|(at, json)| (moved(at), json));
        for batch in [&mut self.latest, &mut self.parts.host, &mut self.parts.containers].into_iter().flatten() {
            *batch = Arc::new(Batch { ts: moved(batch.ts), received: moved(batch.received), ..(**batch).clone() });
        }
    }

    /// The newest value of a series.
    #[must_use]
    pub fn value(&self, key: &SeriesKey) -> Option<f64> {
        let newest = self.latest.as_ref().and_then(|batch| batch.value(key)).filter(|value| !value.is_nan());
        newest.or_else(|| self.older().find(|older| older.key == *key).map(|older| older.value))
    }

    /// Values that are older than the newest heartbeat, and not too old for how often they are measured.
    pub fn older(&self) -> impl Iterator<Item = &Older> {
        self.slow.beside(self.latest.as_deref())
    }
}

/// Whether a heartbeat says of containers alone what they used.
pub(crate) fn is_of_containers(batch: &Batch) -> bool {
    let keys = batch.schema.keys();
    !keys.is_empty() && keys.iter().all(|key| key.metric().starts_with(OF_CONTAINERS))
}

/// What an agent last said of its host, and of containers in a message of their own.
#[derive(Debug, Clone, Default)]
struct Parts {
    host: Option<Arc<Batch>>,
    containers: Option<Arc<Batch>>,
    /// How they were last joined.
    joined: Option<Joined>,
}

impl Parts {
    /// Takes a heartbeat, of containers alone or not; what is the newest of both now.
    fn take(&mut self, batch: Arc<Batch>, of_containers: bool, hole_ms: i64) -> Option<Arc<Batch>> {
        let place = if of_containers { &mut self.containers } else { &mut self.host };
        if place.as_ref().is_none_or(|known| known.ts <= batch.ts) {
            *place = Some(batch);
        }
        let (Some(host), Some(containers)) = (&self.host, &self.containers) else {
            return self.host.clone().or_else(|| self.containers.clone());
        };
        let says_itself = host.schema.keys().iter().any(|key| key.metric().starts_with(OF_CONTAINERS));
        let allowed_ms = if says_itself { 0 } else { hole_ms };
        if host.ts.millis_since(containers.ts) > allowed_ms {
            self.containers = None;
            return self.host.clone();
        }
        let (host, containers) = (Arc::clone(host), Arc::clone(containers));
        Some(Arc::new(self.join(&host, &containers)))
    }

    fn join(&mut self, host: &Batch, containers: &Batch) -> Batch {
        let known = self.joined.take().filter(|joined| joined.is_of(host, containers));
        let joined = known.unwrap_or_else(|| Joined::new(host, containers));
        let of_host = joined.kept.iter().filter_map(|at| host.values.get(*at));
        let values = of_host.chain(&containers.values).copied().collect();
        let schema = Arc::clone(&joined.schema);
        self.joined = Some(joined);
        Batch { ts: host.ts.max(containers.ts), schema, values, ..host.clone() }
    }
}

/// How two schemas are joined: agents send the same ones again and again.
#[derive(Debug, Clone)]
struct Joined {
    parts: [Arc<Schema>; 2],
    /// The positions of the host's series that the other does not have.
    kept: Box<[usize]>,
    schema: Arc<Schema>,
}

impl Joined {
    fn new(host: &Batch, containers: &Batch) -> Self {
        let keys = host.schema.keys();
        let kept: Box<[usize]> = (0..keys.len()).filter(|at| containers.schema.position(&keys[*at]).is_none()).collect();
        let all = kept.iter().map(|at| &keys[*at]).chain(containers.schema.keys()).cloned().collect();
        Self { parts: [host, containers].map(|part| Arc::clone(&part.schema)), kept, schema: Schema::new(all) }
    }

    fn is_of(&self, host: &Batch, containers: &Batch) -> bool {
        self.parts.iter().zip([host, containers]).all(|(known, part)| Arc::ptr_eq(known, &part.schema))
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

    /// Changes the vitals of one agent, unless it is not known (any more).
    pub fn update_known(&self, agent: AgentId, change: impl FnOnce(&mut Vitals)) {
        if let Some(vitals) = self.agents.write().unwrap_or_else(PoisonError::into_inner).get_mut(&agent) {
            change(vitals);
            self.changed().insert(agent);
        }
    }

    /// Changes several at once, under one lock; those that are new are added.
    pub fn update_all<F: FnOnce(&mut Vitals)>(&self, changes: impl Iterator<Item = (AgentId, F)>) {
        let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = self.changed();
        for (agent, change) in changes {
            change(agents.entry(agent).or_default());
            changed.insert(agent);
        }
    }

    /// The clock was set by `step_ms`.
    pub fn shift(&self, step_ms: i64) {
        let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
        agents.values_mut().for_each(|vitals| vitals.shift(step_ms));
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
    use crate::slow::tests::batch;

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

    #[test]
    fn what_containers_used_stands_beside_what_their_host_did() {
        let batch = |secs: i64, values: &[(&str, f64)]| Arc::new(batch(secs, values));
        let mut vitals = Vitals { interval_ms: 30_000, ..Vitals::default() };
        let mut check = |taken: Arc<Batch>, expected: &str| {
            vitals.take(taken);
            let latest = vitals.latest.as_ref().expect("has one");
            let shown: Vec<String> = latest.samples().map(|(key, value)| format!("{key} {value}")).collect();
            assert_eq!(shown.join(", "), expected);
        };
        let (web, db) = ("container.cpu_percent{container=web}", "container.cpu_percent{container=db}");
        check(batch(0, &[(web, 1.0)]), "container.cpu_percent{container=web} 1");
        check(batch(1, &[("cpu.usage_percent", 5.0)]), "cpu.usage_percent 5, container.cpu_percent{container=web} 1");
        check(batch(2, &[(db, 2.0)]), "cpu.usage_percent 5, container.cpu_percent{container=db} 2");
        check(batch(92, &[("load.avg_1m", 1.0)]), "load.avg_1m 1, container.cpu_percent{container=db} 2");
        check(batch(60, &[("load.avg_1m", 9.0)]), "load.avg_1m 1, container.cpu_percent{container=db} 2");
        check(batch(93, &[("load.avg_1m", 2.0)]), "load.avg_1m 2");
        check(batch(94, &[(web, 3.0)]), "load.avg_1m 2, container.cpu_percent{container=web} 3");
        check(batch(95, &[("load.avg_1m", 4.0), (db, 4.0)]), "load.avg_1m 4, container.cpu_percent{container=db} 4");
        check(batch(95, &[(web, 7.0)]), &format!("load.avg_1m 4, {db} 4, {web} 7"));
        check(batch(96, &[(db, 8.0)]), &format!("load.avg_1m 4, {db} 8"));
        // The clock is set back: what comes next is the newest all the same.
        vitals.last_seen = Some(Timestamp::from_secs(95));
        vitals.shift(-3_600_000);
        vitals.take(batch(100 - 3_600, &[("load.avg_1m", 5.0)]));
        assert_eq!(vitals.latest.as_ref().expect("has one").values.first(), Some(&5.0));
        assert!(vitals.is_online(Timestamp::from_secs(100 - 3_600)) && !vitals.is_online(Timestamp::from_secs(200 - 3_600)));
    }
}
