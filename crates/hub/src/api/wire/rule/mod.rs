//! A rule as JSON: how it is written, and with [`read()`] how it is understood, every fault named. What only the hub can say
//! (whether its channels, agent and metric exist) is left to the routes.

mod fields;
mod kind;
mod read;
#[cfg(test)]
mod tests;

pub(crate) use read::{Needs, read};

use super::seconds::Seconds;
use crate::api::time::duration_text;
use crate::page::rfc3339;
use nightbell_alerts::{Clear, Rule, Scope, Threshold, Transform};
use nightbell_model::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An alert rule. Durations are texts such as `5m`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct RuleBody {
    /// What people call it.
    name: String,
    /// threshold, offline, rate, forecast, or one of those that name their metric and comparison themselves: unit_failed,
    /// container_down, container_unhealthy, process_missing, port_closed, smart_failing, reboot, clock_step.
    #[schema(required = false)]
    kind: &'static str,
    /// Which metric, such as `cpu.usage_percent`; a kind that names it needs none.
    metric: String,
    /// Labels that must have exactly these values.
    #[schema(required = false)]
    labels: BTreeMap<String, String>,
    /// Further conditions on labels.
    #[schema(required = false)]
    matchers: Vec<MatcherBody>,
    /// How several series of one agent become instances: each, max, min or avg.
    #[schema(required = false)]
    aggregate: &'static str,
    /// `>`, `>=`, `<`, `<=`, `==` or `!=`
    op: &'static str,
    threshold: ThresholdBody,
    /// Where it counts as clear again.
    clear: Option<ClearBody>,
    /// Over how long a rate is taken, or how far back a forecast looks.
    window: Option<String>,
    /// For how long a rate is said: `1h` is "so much per hour".
    per: Option<String>,
    /// How far ahead a forecast looks.
    horizon: Option<String>,
    /// How long it must breach before it fires.
    #[serde(rename = "for")]
    #[schema(required = false)]
    hold: String,
    /// How long it must be clear before it ends.
    #[schema(required = false)]
    keep_firing: String,
    /// The least time between two pages of one series on one channel.
    #[schema(required = false)]
    cooldown: String,
    /// How often a page is repeated while nobody is on it; `0s` is never.
    #[schema(required = false)]
    repeat: String,
    /// What happens when samples stop: keep, nodata or resolve.
    #[schema(required = false)]
    missing: &'static str,
    /// After how long samples count as stopped; null is the longer of five intervals and two minutes.
    missing_after: Option<String>,
    /// info, warning or critical
    #[schema(required = false)]
    severity: &'static str,
    #[schema(required = false)]
    scope: ScopeBody,
    /// The ids of the channels that are told.
    #[schema(required = false)]
    channels: Vec<String>,
    /// Who else is told, later.
    #[schema(required = false)]
    escalation: Vec<EscalationBody>,
    /// Rules that share a key replace each other by scope; the rule's own id by default.
    #[schema(required = false)]
    key: String,
    /// Whether incidents that lie wholly inside a late report are told in one message.
    #[schema(required = false)]
    fold_late: bool,
    #[schema(required = false)]
    enabled: bool,
}

/// A condition on a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct MatcherBody {
    label: String,
    /// `=`, `!=`, `=~` or `!~`
    op: &'static str,
    value: String,
}

/// A number, or a level of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
enum ThresholdBody {
    /// In the metric's unit.
    Number(f64),
    Level {
        /// warn or crit
        level: &'static str,
    },
}

/// A number, a level, or a distance from the threshold.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
enum ClearBody {
    /// In the metric's unit.
    Number(f64),
    Level {
        /// warn or crit
        level: &'static str,
    },
    Margin {
        /// In the metric's unit, on the good side of the threshold.
        margin: f64,
    },
}

/// Which agents: `"global"`, `{"tag":…}` or `{"agent":id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
enum ScopeBody {
    /// global
    Everyone(&'static str),
    Tag {
        tag: String,
    },
    Agent {
        agent: String,
    },
}

/// A step of escalation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct EscalationBody {
    /// How long after it fired.
    after: String,
    channels: Vec<String>,
}

/// A rule as the API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct RuleView {
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) created_at: String,
    /// The file that declares it, which alone may change it; null if none does.
    pub(crate) managed_by: Option<String>,
    #[serde(flatten)]
    body: RuleBody,
    #[schema(value_type = f64)]
    for_seconds: Seconds,
    #[schema(value_type = f64)]
    keep_firing_seconds: Seconds,
    #[schema(value_type = f64)]
    cooldown_seconds: Seconds,
    #[schema(value_type = f64)]
    repeat_seconds: Seconds,
    #[schema(value_type = Option<f64>)]
    missing_after_seconds: Option<Seconds>,
    /// What is made of a value before it is compared: none, rate or forecast.
    transform: &'static str,
    #[schema(value_type = Option<f64>)]
    window_seconds: Option<Seconds>,
    #[schema(value_type = Option<f64>)]
    per_seconds: Option<Seconds>,
    #[schema(value_type = Option<f64>)]
    horizon_seconds: Option<Seconds>,
}

impl RuleBody {
    /// The rule as JSON.
    #[must_use]
    pub(crate) fn of(rule: &Rule) -> Self {
        let selector = &rule.selector;
        let channels = |ids: &[nightbell_model::ChannelId]| ids.iter().map(ToString::to_string).collect();
        Self {
            name: rule.name.clone(),
            kind: rule.kind.name(),
            window: rule.transform.spans().map(|(window_ms, _)| duration_text(window_ms)),
            per: per_ms(rule).map(duration_text),
            horizon: horizon_ms(rule).map(duration_text),
            metric: selector.metric.clone(),
            labels: selector.labels.iter().cloned().collect(),
            matchers: selector
                .matchers
                .iter()
                .map(|matcher| MatcherBody {
                    label: matcher.label.clone(),
                    op: matcher.kind.name(),
                    value: matcher.value.clone(),
                })
                .collect(),
            aggregate: selector.aggregate.name(),
            op: rule.comparison.name(),
            threshold: match rule.threshold {
                Threshold::Value(value) => ThresholdBody::Number(value),
                Threshold::Level(level) => ThresholdBody::Level { level: level.name() },
            },
            clear: rule.clear.map(|clear| match clear {
                Clear::Value(value) => ClearBody::Number(value),
                Clear::Level(level) => ClearBody::Level { level: level.name() },
                Clear::Margin(margin) => ClearBody::Margin { margin },
            }),
            hold: duration_text(rule.hold_ms),
            keep_firing: duration_text(rule.keep_firing_ms),
            cooldown: duration_text(rule.cooldown_ms),
            repeat: duration_text(rule.repeat_ms),
            missing: rule.missing.name(),
            missing_after: rule.missing_after_ms.map(duration_text),
            severity: rule.severity.name(),
            scope: match &rule.scope {
                Scope::Global => ScopeBody::Everyone("global"),
                Scope::Tag(tag) => ScopeBody::Tag { tag: tag.clone() },
                Scope::Agent(agent) => ScopeBody::Agent { agent: agent.to_string() },
            },
            channels: channels(&rule.channels),
            escalation: rule
                .escalation
                .iter()
                .map(|step| EscalationBody { after: duration_text(step.after_ms), channels: channels(&step.channels) })
                .collect(),
            key: rule.key.clone().unwrap_or_else(|| rule.id.to_string()),
            fold_late: rule.fold_late,
            enabled: rule.enabled,
        }
    }
}

impl RuleView {
    /// The rule as the API shows it.
    #[must_use]
    pub(crate) fn of(rule: &Rule, created_at: Timestamp) -> Self {
        Self {
            id: rule.id.to_string(),
            version: rule.version,
            created_at: rfc3339(created_at),
            managed_by: None,
            body: RuleBody::of(rule),
            for_seconds: Seconds(rule.hold_ms),
            keep_firing_seconds: Seconds(rule.keep_firing_ms),
            cooldown_seconds: Seconds(rule.cooldown_ms),
            repeat_seconds: Seconds(rule.repeat_ms),
            missing_after_seconds: rule.missing_after_ms.map(Seconds),
            transform: rule.transform.name(),
            window_seconds: rule.transform.spans().map(|(window_ms, _)| Seconds(window_ms)),
            per_seconds: per_ms(rule).map(Seconds),
            horizon_seconds: horizon_ms(rule).map(Seconds),
        }
    }
}

const fn per_ms(rule: &Rule) -> Option<i64> {
    match rule.transform {
        Transform::Rate { per_ms, .. } => Some(per_ms),
        Transform::None | Transform::Forecast { .. } => None,
    }
}

const fn horizon_ms(rule: &Rule) -> Option<i64> {
    match rule.transform {
        Transform::Forecast { horizon_ms, .. } => Some(horizon_ms),
        Transform::None | Transform::Rate { .. } => None,
    }
}
