//! One metric over many agents: each agent's samples by step, and the mean of the agents' means. Pure; reading them is left to
//! the engine.

use crate::history::{FleetColumn, FleetFrame, FleetQuery};
use crate::rollup::Bucket;
use nightbell_model::{AgentId, Timestamp};
use std::collections::BTreeMap;

/// Agents' samples by step, in one piece of memory: it goes back to the system as one.
#[derive(Debug)]
pub(crate) struct Steps {
    first: Timestamp,
    step_ms: i64,
    width: usize,
    buckets: Vec<Bucket>,
}

impl Steps {
    /// The steps of `query` for one agent, empty.
    #[must_use]
    pub(crate) fn new(query: &FleetQuery) -> Self {
        Self::of_many(query, 1)
    }

    /// The same for many agents.
    #[must_use]
    pub(crate) fn of_many(query: &FleetQuery, agents: usize) -> Self {
        let (step_ms, width) = (query.step_ms.max(1), query.steps().len());
        Self { first: query.start.floor_to(step_ms), step_ms, width, buckets: vec![Bucket::default(); width * agents] }
    }

    /// Forgets what was added.
    pub(crate) fn clear(&mut self) {
        self.buckets.fill(Bucket::default());
    }

    /// Adds a sample or bucket of a single agent at `time`. Rows come in the order of time.
    #[inline]
    pub(crate) fn add(&mut self, time: Timestamp, value: &Bucket) {
        self.add_of(0, time, value);
    }

    /// Adds a sample or bucket of one of many agents.
    #[inline]
    pub(crate) fn add_of(&mut self, agent: usize, time: Timestamp, value: &Bucket) {
        let at = usize::try_from(time.millis_since(self.first).div_euclid(self.step_ms)).ok();
        let at = at.filter(|at| *at < self.width).map(|at| agent * self.width + at);
        if let Some(bucket) = at.and_then(|at| self.buckets.get_mut(at)) {
            bucket.merge(value);
        }
    }

    /// The steps of one of many agents.
    fn of(&self, agent: usize) -> &[Bucket] {
        self.buckets.get(agent * self.width..(agent + 1) * self.width).unwrap_or_default()
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

    /// Adds what a single agent has.
    pub(crate) fn add(&mut self, agent: AgentId, steps: &Steps, decimals: u8) {
        self.add_of(agent, steps, 0, decimals);
    }

    /// Adds what one of many agents has, which is at `place` in `steps`.
    pub(crate) fn add_of(&mut self, agent: AgentId, steps: &Steps, place: usize, decimals: u8) {
        for group in self.groups.get(&agent).into_iter().flatten() {
            let Some(column) = self.frame.groups.get_mut(*group) else { continue };
            for (at, bucket) in steps.of(place).iter().enumerate().filter(|(_, bucket)| bucket.count > 0) {
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
