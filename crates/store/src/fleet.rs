//! One metric over many agents: each agent's samples by step, and the mean of the agents' means. Pure; reading them is left to
//! the engine.

use crate::history::{FleetColumn, FleetFrame, FleetQuery};
use crate::rollup::Bucket;
use nightbell_model::{AgentId, Timestamp};

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

    /// Makes room for so many agents at least.
    pub(crate) fn make_room(&mut self, agents: usize) {
        let length = self.buckets.len().max(agents * self.width);
        self.buckets.resize(length, Bucket::default());
    }

    /// Adds a sample or bucket of a single agent at `time`. Rows come in the order of time.
    #[inline]
    pub(crate) fn add(&mut self, time: Timestamp, value: &Bucket) {
        self.add_of(0, time, value);
    }

    /// Adds a sample or bucket of one of many agents.
    #[inline]
    pub(crate) fn add_of(&mut self, agent: usize, time: Timestamp, value: &Bucket) {
        if let Some(at) = self.at(time) {
            self.merge(agent, at, value);
        }
    }

    /// The number of the step at `time`.
    #[inline]
    pub(crate) fn at(&self, time: Timestamp) -> Option<usize> {
        let at = usize::try_from(time.millis_since(self.first).div_euclid(self.step_ms)).ok();
        at.filter(|at| *at < self.width)
    }

    /// Adds a sample or bucket of one of many agents to the step numbered `at`.
    #[inline]
    pub(crate) fn merge(&mut self, agent: usize, at: usize, value: &Bucket) {
        if let Some(bucket) = self.buckets.get_mut(agent * self.width + at) {
            bucket.merge(value);
        }
    }

    /// The steps of one of many agents.
    pub(crate) fn of(&self, agent: usize) -> &[Bucket] {
        self.buckets.get(agent * self.width..(agent + 1) * self.width).unwrap_or_default()
    }
}

/// Which agents are in which groups.
#[derive(Debug)]
pub(crate) struct Members(Vec<(AgentId, usize)>);

impl Members {
    /// The agents of `groups`. One that is named twice in a group is in it once.
    #[must_use]
    pub(crate) fn new(groups: &[Vec<AgentId>]) -> Self {
        let places = groups.iter().enumerate().flat_map(|(at, group)| group.iter().map(move |agent| (*agent, at)));
        let mut members: Vec<(AgentId, usize)> = places.collect();
        members.sort_unstable();
        members.dedup();
        Self(members)
    }

    /// All agents, each once, in the order of their ids.
    #[must_use]
    pub(crate) fn agents(&self) -> Vec<AgentId> {
        self.0.chunk_by(|one, other| one.0 == other.0).filter_map(|same| same.first()).map(|member| member.0).collect()
    }

    /// The groups of an agent.
    pub(crate) fn groups_of(&self, agent: AgentId) -> impl Iterator<Item = usize> + '_ {
        let first = self.0.partition_point(|member| member.0 < agent);
        self.0.iter().skip(first).take_while(move |member| member.0 == agent).map(|member| member.1)
    }
}

impl FleetColumn {
    /// Sums over no agent yet.
    #[must_use]
    pub(crate) fn sums(steps: usize) -> Self {
        Self { mean: vec![0.0; steps], min: vec![f64::NAN; steps], max: vec![f64::NAN; steps], count: vec![0; steps] }
    }

    /// Adds what one agent has to the sums. Agents come in the order of their ids.
    pub(crate) fn add(&mut self, steps: &[Bucket], decimals: u8) {
        for (at, bucket) in steps.iter().enumerate().filter(|(_, bucket)| bucket.count > 0) {
            self.mean[at] += bucket.mean(decimals);
            self.min[at] = self.min[at].min(bucket.min);
            self.max[at] = self.max[at].max(bucket.max);
            self.count[at] += 1;
        }
    }

    /// Makes means of the sums.
    pub(crate) fn divide(&mut self) {
        for (mean, count) in self.mean.iter_mut().zip(&self.count) {
            *mean = if *count == 0 { f64::NAN } else { *mean / f64::from(*count) };
        }
    }
}

/// Sums over the agents of each group.
#[derive(Debug)]
pub(crate) struct Sums {
    members: Members,
    frame: FleetFrame,
}

impl Sums {
    /// The groups of `query`, empty.
    #[must_use]
    pub(crate) fn new(query: &FleetQuery) -> Self {
        let times = query.steps();
        let column = FleetColumn::sums(times.len());
        Self { members: Members::new(&query.groups), frame: FleetFrame { times, groups: vec![column; query.groups.len()] } }
    }

    /// The agents asked for, each once, in the order of their ids.
    #[must_use]
    pub(crate) fn agents(&self) -> Vec<AgentId> {
        self.members.agents()
    }

    /// Adds what a single agent has.
    pub(crate) fn add(&mut self, agent: AgentId, steps: &Steps, decimals: u8) {
        self.add_of(agent, steps, 0, decimals);
    }

    /// Adds what one of many agents has, which is at `place` in `steps`.
    pub(crate) fn add_of(&mut self, agent: AgentId, steps: &Steps, place: usize, decimals: u8) {
        for group in self.members.groups_of(agent) {
            if let Some(column) = self.frame.groups.get_mut(group) {
                column.add(steps.of(place), decimals);
            }
        }
    }

    /// The answer.
    #[must_use]
    pub(crate) fn finish(mut self) -> FleetFrame {
        self.frame.groups.iter_mut().for_each(FleetColumn::divide);
        self.frame
    }
}
