//! What to evaluate in a heartbeat of one agent, worked out once per schema: which position feeds which instance, against which
//! limits. A steady heartbeat then looks up no name and allocates nothing.

use super::slot::Slot;
use crate::book::RuleBook;
use crate::context::LevelTable;
use crate::instance::Instance;
use crate::judge::Limits;
use crate::rule::{Aggregate, Comparison};
use nightbell_model::{Schema, SeriesKey, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

/// At most so many instances of one agent are watched. Each stays for a day after its last sample, and a host has some hundred: one
/// whose series never come twice would take the memory of all.
pub(crate) const MOST_INSTANCES: usize = 10_000;

/// The evaluation plan of one agent for one schema.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) schema: Arc<Schema>,
    pub(crate) bindings: Box<[Binding]>,
    pub(crate) groups: Box<[Group]>,
    /// Series that rules look at are missing here, because the agent has too many.
    pub(crate) is_crowded: bool,
}

/// One value that feeds one instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding {
    pub(crate) position: u32,
    pub(crate) instance: u32,
    pub(crate) limits: u32,
}

/// Several values that feed one instance, or one that is not compared as it comes.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) instance: u32,
    pub(crate) limits: u32,
    pub(crate) aggregate: Aggregate,
    pub(crate) positions: Box<[u32]>,
    /// What the rule remembers of the series, if it compares something else than the value.
    pub(crate) shape: Option<u32>,
}

/// Limits that judge alike are kept once for the whole fleet: most agents share the global thresholds.
#[derive(Debug, Default)]
pub(crate) struct LimitPool {
    limits: Vec<Limits>,
    known: HashMap<(Comparison, u64, u64), u32>,
}

impl LimitPool {
    pub(crate) fn get(&self, at: u32) -> &Limits {
        &self.limits[at as usize]
    }

    fn intern(&mut self, limits: Limits) -> u32 {
        *self.known.entry(limits.fingerprint()).or_insert_with(|| {
            self.limits.push(limits);
            to_u32(self.limits.len() - 1)
        })
    }

    /// Forgets all limits; every plan must be made anew.
    pub(crate) fn clear(&mut self) {
        self.limits.clear();
        self.known.clear();
    }
}

impl Plan {
    /// Whether this plan fits a heartbeat of `schema`; the same keys behind another pointer become this plan's own.
    pub(crate) fn fits(&mut self, schema: &Arc<Schema>) -> bool {
        if Arc::ptr_eq(&self.schema, schema) {
            return true;
        }
        let same = *self.schema == **schema;
        if same {
            self.schema = Arc::clone(schema);
        }
        same
    }

    /// Works out the plan of `slot` for `schema`, making the instances that are not there yet.
    pub(crate) fn make(slot: &mut Slot, schema: &Arc<Schema>, builder: Builder<'_>) -> Self {
        let mut work = Work { known: HashMap::new(), slot, builder };
        for (at, instance) in (0_u32..).zip(&work.slot.instances) {
            work.known.insert((instance.rule, instance.series.clone()), at);
        }
        let (mut bindings, mut is_crowded) = (Vec::new(), false);
        let mut groups: Vec<(Group, Vec<u32>)> = Vec::new();
        for (position, series) in (0_u32..).zip(schema.keys()) {
            for rule in work.builder.book.on_metric(series.metric()).to_vec() {
                let compiled = work.builder.book.get(rule);
                if work.slot.rules.binary_search(&rule).is_err() || compiled.rule.is_offline() || !compiled.filter.admits(series)
                {
                    continue;
                }
                let aggregate = compiled.rule.selector.aggregate;
                let Some(whole) = whole_series(aggregate, series) else { continue };
                let Some((instance, limits)) = work.instance(rule, &whole) else {
                    is_crowded = true;
                    continue;
                };
                let shape = work.slot.shape(&compiled.rule, &whole);
                if aggregate == Aggregate::Each && shape.is_none() {
                    bindings.push(Binding { position, instance, limits });
                } else if let Some((_, positions)) = groups.iter_mut().find(|(group, _)| group.instance == instance) {
                    positions.push(position);
                } else {
                    groups.push((Group { instance, limits, aggregate, positions: Box::default(), shape }, vec![position]));
                }
            }
        }
        work.slot.instances.shrink_to_fit();
        bindings.sort_unstable_by_key(|binding| (binding.instance, binding.position));
        let groups = groups.into_iter().map(|(group, positions)| Group { positions: positions.into(), ..group });
        Self { schema: Arc::clone(schema), bindings: bindings.into(), groups: groups.collect(), is_crowded }
    }
}

impl Group {
    /// The value of the group; NaN if none of its members has one.
    pub(crate) fn value(&self, values: &[f64]) -> f64 {
        self.aggregate.of(self.positions.iter().filter_map(|at| values.get(*at as usize).copied()))
    }
}

/// What making a plan needs beside the agent.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    pub(crate) book: &'a RuleBook,
    pub(crate) levels: &'a LevelTable,
    pub(crate) pool: &'a mut LimitPool,
    pub(crate) now: Timestamp,
}

struct Work<'a, 'b> {
    known: HashMap<(u32, SeriesKey), u32>,
    slot: &'a mut Slot,
    builder: Builder<'b>,
}

impl Work<'_, '_> {
    /// The place of an instance and its limits; `None` if it would be one too many.
    fn instance(&mut self, rule: u32, series: &SeriesKey) -> Option<(u32, u32)> {
        if self.slot.instances.len() >= MOST_INSTANCES && !self.known.contains_key(&(rule, series.clone())) {
            return None;
        }
        let Builder { book, levels, pool, now } = &mut self.builder;
        let limits = pool.intern(Limits::resolve(&book.get(rule).rule, levels, self.slot.view.id, series));
        let at = *self.known.entry((rule, series.clone())).or_insert_with(|| {
            self.slot.instances.push(Instance::new(series.clone(), rule, *now));
            to_u32(self.slot.instances.len() - 1)
        });
        Some((at, limits))
    }
}

/// The series an instance stands on: the series itself, or the bare metric of an aggregate.
fn whole_series(aggregate: Aggregate, series: &SeriesKey) -> Option<SeriesKey> {
    match aggregate {
        Aggregate::Each => Some(series.clone()),
        Aggregate::Max | Aggregate::Min | Aggregate::Avg => SeriesKey::new(series.metric(), &[]).ok(),
    }
}

/// Positions within one agent's heartbeat: frames are bounded far below four billion values.
fn to_u32(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
