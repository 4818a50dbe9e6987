//! The rules as the evaluator holds them: compiled, found by metric, and resolved for each agent by scope.

use crate::context::AgentView;
use crate::evaluator::Standing;
use crate::matching::Filter;
use crate::rule::{Aggregate, Rule, Scope, Transform};
use crate::step::Timing;
use nightbell_model::{RuleId, SeriesKey, catalogue};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// A rule ready to be evaluated.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    pub(crate) rule: Rule,
    pub(crate) timing: Timing,
    pub(crate) filter: Filter,
    /// How often the metric is measured if slower than the heartbeat, in milliseconds; else 0.
    pub(crate) period_ms: i64,
}

/// All rules. A rule is named by its position, which holds until the next edit.
#[derive(Debug, Default)]
pub(crate) struct RuleBook {
    rules: Vec<Compiled>,
    by_metric: HashMap<String, Vec<u32>>,
    by_id: HashMap<RuleId, u32>,
    /// Rules that replace each other: those with the same key.
    groups: Vec<Vec<u32>>,
}

impl Compiled {
    pub(crate) fn new(rule: Rule) -> Self {
        let period_ms = catalogue::find(&rule.selector.metric).and_then(|metric| metric.period_ms).unwrap_or(0);
        Self { timing: Timing::from(&rule), filter: Filter::new(&rule.selector), period_ms, rule }
    }

    /// Whether an instance on `series` can come from this rule.
    pub(crate) fn covers(&self, series: &SeriesKey) -> bool {
        if series.metric() != self.rule.selector.metric {
            return false;
        }
        match self.rule.selector.aggregate {
            Aggregate::Each => self.filter.admits(series),
            Aggregate::Max | Aggregate::Min | Aggregate::Avg => !series.has_labels(),
        }
    }

    /// The longest gap between two samples that is no hole.
    pub(crate) fn max_gap_ms(&self, interval_ms: i64) -> i64 {
        const FLOOR_MS: i64 = 60_000;
        interval_ms.max(self.period_ms).saturating_mul(3).max(FLOOR_MS)
    }

    /// After how long without a sample an instance is missing.
    ///
    /// The law's default is the longer of 5 intervals and 120 s; a metric that is measured more slowly than the heartbeat
    /// counts its own period as the interval, as it does for holes, or each of its pauses would look like an outage.
    pub(crate) fn missing_after_ms(&self, interval_ms: i64) -> i64 {
        const FLOOR_MS: i64 = 120_000;
        let default = || interval_ms.max(self.period_ms).saturating_mul(5).max(FLOOR_MS);
        self.rule.missing_after_ms.unwrap_or_else(default)
    }
}

impl RuleBook {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let rules: Vec<Compiled> = rules.into_iter().map(Compiled::new).collect();
        let mut by_metric: HashMap<String, Vec<u32>> = HashMap::new();
        let mut groups: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (at, Compiled { rule, .. }) in (0_u32..).zip(&rules) {
            by_metric.entry(rule.selector.metric.clone()).or_default().push(at);
            groups.entry(rule.key.clone().unwrap_or_else(|| rule.id.to_string())).or_default().push(at);
        }
        let by_id = (0_u32..).zip(&rules).map(|(at, compiled)| (compiled.rule.id, at)).collect();
        Self { rules, by_metric, by_id, groups: groups.into_values().collect() }
    }

    /// The rules that watch for silence and are in force.
    pub(crate) fn offline_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|compiled| &compiled.rule).filter(|rule| rule.is_offline() && rule.enabled)
    }

    /// Whether any rule compares something else than the value as it comes.
    pub(crate) fn has_transforms(&self) -> bool {
        self.rules.iter().any(|compiled| compiled.rule.transform != Transform::None)
    }

    pub(crate) fn get(&self, at: u32) -> &Compiled {
        &self.rules[at as usize]
    }

    pub(crate) fn position(&self, id: RuleId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// The rules on a metric, applicable or not.
    pub(crate) fn on_metric(&self, metric: &str) -> &[u32] {
        self.by_metric.get(metric).map_or(&[], Vec::as_slice)
    }

    /// Which rules apply to an agent, ascending: of each key the most specific scope wins; in the same scope the stricter
    /// severity, then the lower id. Where every rule of the winning scope is disabled, the agent is exempt.
    pub(crate) fn effective(&self, agent: &AgentView) -> Vec<u32> {
        let mut chosen: Vec<u32> = self.groups.iter().filter_map(|group| self.winner(group, agent)).collect();
        chosen.sort_unstable();
        chosen
    }

    /// Why a rule does not apply to an agent that is not paused.
    pub(crate) fn absence(&self, at: u32, agent: &AgentView) -> Standing {
        let rule = &self.get(at).rule;
        let Some(own) = specificity(&rule.scope, agent) else { return Standing::OutOfScope };
        let group = self.groups.iter().find(|group| group.contains(&at)).map_or(&[][..], Vec::as_slice);
        let narrower = group
            .iter()
            .copied()
            .find(|other| specificity(&self.get(*other).rule.scope, agent).is_some_and(|theirs| theirs > own));
        match self.winner(group, agent).or(narrower) {
            _ if !rule.enabled => Standing::Disabled,
            Some(other) if other != at => Standing::ReplacedBy(self.get(other).rule.id),
            _ => Standing::Applies,
        }
    }

    fn winner(&self, group: &[u32], agent: &AgentView) -> Option<u32> {
        let specific = |at: &u32| specificity(&self.get(*at).rule.scope, agent);
        let best = group.iter().filter_map(specific).max()?;
        group
            .iter()
            .copied()
            .filter(|at| specific(at) == Some(best) && self.get(*at).rule.enabled)
            .max_by_key(|at| (self.get(*at).rule.severity, Reverse(self.get(*at).rule.id)))
    }
}

/// How closely a scope names an agent; `None` if it does not.
fn specificity(scope: &Scope, agent: &AgentView) -> Option<u8> {
    match scope {
        Scope::Global => Some(0),
        Scope::Tag(tag) => agent.tags.contains(tag).then_some(1),
        Scope::Agent(id) => (*id == agent.id).then_some(2),
    }
}

#[cfg(test)]
mod tests;
