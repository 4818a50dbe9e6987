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
use std::collections::HashMap;
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

    fn put(&self, agent: AgentId, now: Timestamp, headings: Vec<Heading>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(agent, (now, headings.into()));
    }
}

/// Looks at agents in turns until the task is dropped.
pub async fn keep(outlooks: Arc<Outlooks>, fleet: Arc<Fleet>, metrics: Arc<dyn MetricStore>) {
    loop {
        let (known, agents, store, now) = (Arc::clone(&outlooks), with_disks(&fleet), Arc::clone(&metrics), clock::now());
        let round = tokio::task::spawn_blocking(move || round(&known, &agents, &*store, now));
        match round.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "history of disks cannot be read; it is tried again")
            }
            Err(error) => tracing::error!(%error, "reading history of disks panicked"),
        }
        tokio::time::sleep(LOOK).await;
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

fn round(outlooks: &Outlooks, agents: &[AgentId], metrics: &dyn MetricStore, now: Timestamp) -> Result<(), StoreError> {
    for agent in outlooks.due(agents, now) {
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
        outlooks.put(agent, now, heading::headings(&fine, &coarse, now));
    }
    Ok(())
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
            outlooks.put(agent, at(0), Vec::new());
        }
        assert_eq!(outlooks.due(&all, at(5)), all[AT_ONCE..2 * AT_ONCE]);
        for agent in &all {
            outlooks.put(*agent, at(10), Vec::new());
        }
        outlooks.put(agent(7), at(3), Vec::new());
        assert_eq!(outlooks.due(&all, at(905)), [agent(7)]);
        assert_eq!(outlooks.due(&all, at(909))[0], agent(7), "the oldest first");
        assert_eq!(outlooks.due(&[agent(9)], at(20)), []);
        assert_eq!(outlooks.0.read().expect("a lock").len(), 1);
    }
}
