//! One metric over many agents: each agent's samples by step, and the mean of the agents' means. Pure; reading them is left to
//! the engine.

use crate::history::{FleetColumn, FleetFrame, FleetQuery};
use crate::rollup::Bucket;
use nightbell_model::{AgentId, Timestamp};
use std::collections::BTreeMap;

/// One agent's samples by step.
#[derive(Debug)]
pub(crate) struct Steps {
    first: Timestamp,
    step_ms: i64,
    buckets: Vec<Bucket>,
}

impl Steps {
    /// The steps of `query`, empty.
    #[must_use]
    pub(crate) fn new(query: &FleetQuery) -> Self {
        let step_ms = query.step_ms.max(1);
        Self { first: query.start.floor_to(step_ms), step_ms, buckets: vec![Bucket::default(); query.steps().len()] }
    }

    /// Forgets what was added.
    pub(crate) fn clear(&mut self) {
        self.buckets.fill(Bucket::default());
    }

    /// Adds a sample or bucket at `time`. Rows come in the order of time.
    #[inline]
    pub(crate) fn add(&mut self, time: Timestamp, value: &Bucket) {
        let at = time.millis_since(self.first).div_euclid(self.step_ms);
        if let Some(bucket) = usize::try_from(at).ok().and_then(|at| self.buckets.get_mut(at)) {
            bucket.merge(value);
        }
    }
}

/// Sums over the agents of each group.
#[derive(Debug)]
pub(crate) struct Sums {
    groups: BTreeMap<AgentId, Vec<usize>>,
    frame: FleetFrame,
}

impl Sums {
    /// The groups of `query`, empty.
    #[must_use]
    pub(crate) fn new(query: &FleetQuery) -> Self {
        let times = query.steps();
        let mut groups: BTreeMap<AgentId, Vec<usize>> = BTreeMap::new();
        for (at, group) in query.groups.iter().enumerate() {
            for agent in group {
                let places = groups.entry(*agent).or_default();
                if !places.contains(&at) {
                    places.push(at);
                }
            }
        }
        let steps = times.len();
        let column =
            FleetColumn { mean: vec![0.0; steps], min: vec![f64::NAN; steps], max: vec![f64::NAN; steps], count: vec![0; steps] };
        Self { groups, frame: FleetFrame { times, groups: vec![column; query.groups.len()] } }
    }

    /// The agents asked for, each once, in the order of their ids.
    #[must_use]
    pub(crate) fn agents(&self) -> Vec<AgentId> {
        self.groups.keys().copied().collect()
    }

    /// Adds what one agent has.
    pub(crate) fn add(&mut self, agent: AgentId, steps: &Steps, decimals: u8) {
        for place in self.groups.get(&agent).into_iter().flatten() {
            let Some(column) = self.frame.groups.get_mut(*place) else { continue };
            for (at, bucket) in steps.buckets.iter().enumerate().filter(|(_, bucket)| bucket.count > 0) {
                column.mean[at] += bucket.mean(decimals);
                column.min[at] = column.min[at].min(bucket.min);
                column.max[at] = column.max[at].max(bucket.max);
                column.count[at] += 1;
            }
        }
    }

    /// The answer.
    #[must_use]
    pub(crate) fn finish(mut self) -> FleetFrame {
        for column in &mut self.frame.groups {
            for (mean, count) in column.mean.iter_mut().zip(&column.count) {
                *mean = if *count == 0 { f64::NAN } else { *mean / f64::from(*count) };
            }
        }
        self.frame
    }
}
