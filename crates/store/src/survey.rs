//! All metrics over many agents at once, some agents at a time: of each metric what a [`FleetQuery`] says of it, bit for bit, for
//! hardly more than one of them costs. Pure; reading is left to the engine.

use crate::fleet::{Members, Steps};
use crate::history::{FleetColumn, FleetQuery};
use crate::rollup::Bucket;
use nightbell_model::{AgentId, Timestamp};
use std::collections::HashMap;

/// A survey that has come so far.
#[derive(Debug)]
pub struct FleetSurvey {
    /// What is asked for, but for groups and metric.
    span: FleetQuery,
    members: Members,
    groups: usize,
    agents: Vec<AgentId>,
    /// How many of them are done.
    done: usize,
    /// The place of each metric.
    places: HashMap<Box<str>, usize>,
    /// So many metrics are read.
    most: usize,
    is_short: bool,
    /// For each place what the agent at hand has.
    steps: Steps,
    /// For each place the sums of all groups.
    sums: Vec<Vec<FleetColumn>>,
}

/// What a survey has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Surveyed {
    /// The starts of the steps.
    pub times: Vec<Timestamp>,
    /// Each metric by its name, ascending, and its groups in the order of the question.
    pub metrics: Vec<(String, Vec<FleetColumn>)>,
    /// Whether there are metrics for which there was no room.
    pub is_short: bool,
}

/// Where the series of an agent are taken together.
#[derive(Debug)]
pub(crate) struct Layout {
    /// For each series that is read its position in the list and the place of its metric.
    pub(crate) columns: Vec<(usize, usize)>,
    /// The places, each with the decimals of the first series there.
    decimals: Vec<(usize, u8)>,
}

impl FleetSurvey {
    /// A survey of `groups` over `start..end` in steps of `step_ms`, of at most `most` metrics.
    #[must_use]
    pub fn new(groups: &[Vec<AgentId>], (start, end): (Timestamp, Timestamp), step_ms: i64, most: usize) -> Self {
        let span = FleetQuery { groups: Vec::new(), series: String::new(), start, end, step_ms };
        let members = Members::new(groups);
        Self {
            agents: members.agents(),
            members,
            groups: groups.len(),
            done: 0,
            places: HashMap::new(),
            most,
            is_short: false,
            steps: Steps::of_many(&span, 0),
            sums: Vec::new(),
            span,
        }
    }

    /// Whether all agents were read.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.done == self.agents.len()
    }

    /// The agent that is to be read next.
    pub(crate) fn next_agent(&self) -> Option<AgentId> {
        self.agents.get(self.done).copied()
    }

    /// What is asked for, but for groups and metric.
    pub(crate) fn span(&self) -> FleetQuery {
        self.span.clone()
    }

    /// The question about one metric.
    pub(crate) fn of(&self, metric: &str) -> FleetQuery {
        FleetQuery { series: metric.to_owned(), ..self.span.clone() }
    }

    /// Where series of these metrics and decimals go.
    pub(crate) fn layout<'a>(&mut self, series: impl Iterator<Item = (&'a str, u8)>) -> Layout {
        let mut layout = Layout { columns: Vec::new(), decimals: Vec::new() };
        for (position, (metric, decimals)) in series.enumerate() {
            let Some(place) = self.place(metric) else { continue };
            layout.columns.push((position, place));
            if layout.decimals.iter().all(|(known, _)| *known != place) {
                layout.decimals.push((place, decimals));
            }
        }
        layout
    }

    /// The place of a metric, if there is room for it.
    fn place(&mut self, metric: &str) -> Option<usize> {
        if let Some(place) = self.places.get(metric) {
            return Some(*place);
        }
        let place = self.sums.len();
        if place >= self.most {
            self.is_short = true;
            return None;
        }
        self.places.insert(metric.into(), place);
        self.sums.push(vec![FleetColumn::sums(self.span.steps().len()); self.groups]);
        self.steps.make_room(place + 1);
        Some(place)
    }

    /// Adds a row of the agent at hand, one bucket for each of the columns of its layout.
    #[inline]
    pub(crate) fn row(&mut self, layout: &Layout, time: Timestamp, row: &[Bucket]) {
        let Some(at) = self.steps.at(time) else { return };
        for ((_, place), bucket) in layout.columns.iter().zip(row) {
            self.steps.merge(*place, at, bucket);
        }
    }

    /// Adds what the agent at hand has of one metric.
    pub(crate) fn add(&mut self, metric: &str, steps: &Steps, decimals: u8) {
        let (Some(agent), Some(place)) = (self.next_agent(), self.place(metric)) else { return };
        for group in self.members.groups_of(agent) {
            self.sums[place][group].add(steps.of(0), decimals);
        }
    }

    /// Forgets the rows of the agent at hand: it is read once more.
    pub(crate) fn again(&mut self) {
        self.steps.clear();
    }

    /// The rows of the agent at hand were all there are: the next one's turn.
    pub(crate) fn end(&mut self, layout: &Layout) {
        let Some(agent) = self.next_agent() else { return };
        for (place, decimals) in &layout.decimals {
            for group in self.members.groups_of(agent) {
                self.sums[*place][group].add(self.steps.of(*place), *decimals);
            }
        }
        self.steps.clear();
        self.pass();
    }

    /// The agent at hand has nothing more: the next one's turn.
    pub(crate) const fn pass(&mut self) {
        self.done += 1;
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> Surveyed {
        self.sums.iter_mut().flatten().for_each(FleetColumn::divide);
        let column = |(metric, place): (Box<str>, usize)| (metric.into_string(), std::mem::take(&mut self.sums[place]));
        let mut metrics: Vec<(String, Vec<FleetColumn>)> = self.places.into_iter().map(column).collect();
        metrics.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Surveyed { times: self.span.steps(), metrics, is_short: self.is_short }
    }
}
