//! Where disks are heading, kept in memory: lists and host pages say when a mount will be full, and ask no history for it.
//!
//! Slopes are taken anew in turns, some agents at a time, so that a large fleet costs no more at once than a small one. What a
//! slope means for the value of this moment is worked out by whoever asks. Rules have forecasts of their own (`lookback`).

mod heading;

pub use heading::{Heading, WINDOWS_MS};

use crate::clock;
use crate::fleet::Fleet;
use nightbell_model::{AgentId, Frame, Tier, Timestamp};
use nightbell_store::{MetricStore, RangeQuery, StoreError};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The metric whose future is of interest.
pub const METRIC: &str = "disk.used_percent";
/// How often some agents are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How many at once: some 0.1 s of reading, and a thousand agents within five minutes.
const AT_ONCE: usize = 20;
/// How long slopes are good for, in milliseconds: a twenty-fourth of the shortest window.
const GOOD_MS: i64 = 900_000;
/// More points than the longest of both questions has buckets.
const POINTS: usize = 600;

/// The mounts of one agent that fill up.
type Headings = Arc<[Heading]>;

/// What is known of every agent's mounts, and since when.
#[derive(Debug, Default)]
pub struct Outlooks(RwLock<HashMap<AgentId, (Timestamp, Headings)>>);

impl Outlooks {
    /// The mounts of an agent that fill up, for each every window that says so.
    #[must_use]
    pub fn of(&self, agent: AgentId) -> Headings {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&agent).map_or_else(|| Arc::from([]), |(_, headings)| Arc::clone(headings))
    }

    /// Those of `agents` that were looked at longest ago, the ones never looked at first; what is still good is left out, and
    /// agents that are gone are forgotten.
    fn due(&self, agents: &[AgentId], now: Timestamp) -> Vec<AgentId> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|agent, _| agents.binary_search(agent).is_ok());
        let looked_at = |agent: &AgentId| known.get(agent).map(|(at, _)| *at);
        let mut due: Vec<(Option<Timestamp>, AgentId)> = agents
            .iter()
            .map(|agent| (looked_at(agent), *agent))
            .filter(|(at, _)| at.is_none_or(|at| now.millis_since(at) >= GOOD_MS))
            .collect();
        due.sort_unstable();
        due.truncate(AT_ONCE);
        due.into_iter().map(|(_, agent)| agent).collect()
    }

    fn put(&self, agent: AgentId, now: Timestamp, headings: Headings) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(agent, (now, headings));
    }
}

/// Looks at agents in turns until the task is dropped.
pub async fn keep(outlooks: Arc<Outlooks>, fleet: Arc<Fleet>, metrics: Arc<dyn MetricStore>) {
    let mut failing = HashSet::new();
    loop {
        let (known, agents, store, now) = (Arc::clone(&outlooks), with_disks(&fleet), Arc::clone(&metrics), clock::now());
        let round = tokio::task::spawn_blocking(move || round(&known, &agents, &*store, now));
        match round.await {
            Ok(looked) => looked.iter().for_each(|(agent, failed)| say(&mut failing, *agent, failed.as_ref())),
            Err(error) => tracing::error!(%error, "reading history of disks panicked"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Says of an agent that its history cannot be read, once until it can be again.
fn say(failing: &mut HashSet<AgentId>, agent: AgentId, failed: Option<&StoreError>) {
    let Some(error) = failed else {
        failing.remove(&agent);
        return;
    };
    if failing.insert(agent) {
        let error: &dyn std::error::Error = error;
        tracing::warn!(%agent, error, "the history of an agent's disks cannot be read; it is tried again");
    }
}

/// The agents that send the metric, by id.
fn with_disks(fleet: &Fleet) -> Vec<AgentId> {
    let fleet = fleet.read();
    let has_disks = |batch: &nightbell_model::Batch| batch.schema.keys().iter().any(|key| key.metric() == METRIC);
    let mut agents: Vec<AgentId> =
        fleet.iter().filter(|(_, vitals)| vitals.latest.as_deref().is_some_and(has_disks)).map(|(id, _)| *id).collect();
    agents.sort_unstable();
    agents
}

/// Looks at those whose turn it is. One that cannot be read keeps no other waiting: its turn comes again like everybody's.
fn round(
    outlooks: &Outlooks,
    agents: &[AgentId],
    metrics: &dyn MetricStore,
    now: Timestamp,
) -> Vec<(AgentId, Option<StoreError>)> {
    let look = |agent: AgentId| match read(metrics, agent, now) {
        Ok(headings) => {
            outlooks.put(agent, now, headings.into());
            (agent, None)
        }
        Err(error) => {
            outlooks.put(agent, now, outlooks.of(agent));
            (agent, Some(error))
        }
    };
    outlooks.due(agents, now).into_iter().map(look).collect()
}

fn read(metrics: &dyn MetricStore, agent: AgentId, now: Timestamp) -> Result<Vec<Heading>, StoreError> {
    let read = |window_ms: i64, tier: Tier| -> Result<Frame, StoreError> {
        metrics.range(&RangeQuery {
            agent,
            series: vec![METRIC.to_owned()],
            start: now.plus_millis(-window_ms),
            end: now,
            tier: Some(tier),
            max_points: POINTS,
            now,
        })
    };
    let (fine, coarse) = (read(WINDOWS_MS[1], Tier::FiveMinutes)?, read(WINDOWS_MS[2], Tier::Hourly)?);
    Ok(heading::headings(&fine, &coarse, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(bits: u128) -> AgentId {
        AgentId::from_bits(bits)
    }

    #[test]
    fn agents_take_turns_and_the_gone_are_forgotten() {
        let outlooks = Outlooks::default();
        let at = |seconds: i64| Timestamp::from_secs(1_000_000 + seconds);
        let all: Vec<AgentId> = (0..50).map(agent).collect();
        let first = outlooks.due(&all, at(0));
        assert_eq!(first, all[..AT_ONCE]);
        for agent in first {
            outlooks.put(agent, at(0), Arc::from([]));
        }
        assert_eq!(outlooks.due(&all, at(5)), all[AT_ONCE..2 * AT_ONCE]);
        for agent in &all {
            outlooks.put(*agent, at(10), Arc::from([]));
        }
        outlooks.put(agent(7), at(3), Arc::from([]));
        assert_eq!(outlooks.due(&all, at(905)), [agent(7)]);
        assert_eq!(outlooks.due(&all, at(909))[0], agent(7), "the oldest first");
        assert_eq!(outlooks.due(&[agent(9)], at(20)), []);
        assert_eq!(outlooks.0.read().expect("a lock").len(), 1);
    }

    #[test]
    fn one_whose_history_cannot_be_read_keeps_no_other_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _, [ruined, sound]) = crate::seldom::tests::half_readable(folder.path());
        let now = crate::seldom::tests::start().plus_millis(3_600_000);
        let outlooks = Outlooks::default();
        let failed = |looked: Vec<(AgentId, Option<StoreError>)>| -> Vec<(AgentId, bool)> {
            looked.into_iter().map(|(agent, failed)| (agent, failed.is_some())).collect()
        };
        let agents = [ruined, sound];
        assert_eq!(failed(round(&outlooks, &agents, &store, now)), [(ruined, true), (sound, false)]);
        assert!(round(&outlooks, &agents, &store, now.plus_millis(GOOD_MS - 1)).is_empty(), "each has had its turn");
        assert_eq!(round(&outlooks, &agents, &store, now.plus_millis(GOOD_MS)).len(), 2, "and has it again");
    }
}
