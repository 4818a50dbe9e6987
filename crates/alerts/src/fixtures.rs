//! Rules and agents for the tests of this crate: plain ones, to be changed field by field.

use crate::context::AgentView;
use crate::rule::{Aggregate, Comparison, Missing, Rule, RuleKind, Scope, Selector, Severity, Threshold, Transform};
use nightbell_model::{AgentId, RuleId};

/// A rule `metric > 90` without any wait, for every agent.
pub(crate) fn rule(id: u128, metric: &str) -> Rule {
    Rule {
        id: RuleId::from_bits(id),
        version: 1,
        name: format!("rule {id}"),
        key: None,
        kind: if metric == crate::rule::OFFLINE_METRIC { RuleKind::Offline } else { RuleKind::Threshold },
        transform: Transform::None,
        selector: Selector { metric: metric.to_owned(), labels: vec![], matchers: vec![], aggregate: Aggregate::Each },
        comparison: Comparison::Greater,
        threshold: Threshold::Value(90.0),
        clear: None,
        hold_ms: 0,
        keep_firing_ms: 0,
        cooldown_ms: 0,
        repeat_ms: 0,
        missing: Missing::Keep,
        missing_after_ms: None,
        severity: Severity::Warning,
        scope: Scope::Global,
        channels: vec![],
        escalation: vec![],
        fold_late: true,
        enabled: true,
    }
}

/// An agent with an interval of 15 s that was never seen.
pub(crate) fn agent(id: u128, tags: &[&str]) -> AgentView {
    AgentView {
        id: AgentId::from_bits(id),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        interval_ms: 15_000,
        paused: false,
        last_seen: None,
        closed: false,
        stopped_on_purpose: false,
    }
}
