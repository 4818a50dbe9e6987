//! An incident as the API shows it.

use super::names::{self, Named, labels};
use super::seconds::Seconds;
use crate::page::{self, rfc3339};
use crate::registry::Holdings;
use nightbell_alerts::IncidentRecord;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// One firing period.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct IncidentView {
    id: String,
    /// open or resolved
    state: &'static str,
    rule: IncidentRule,
    agent: IncidentAgent,
    metric: String,
    labels: BTreeMap<String, String>,
    /// The full series key.
    series: String,
    op: &'static str,
    threshold: Option<f64>,
    /// The value that made it fire.
    value: Option<f64>,
    /// The worst value so far.
    peak: Option<f64>,
    #[schema(value_type = f64)]
    for_seconds: Seconds,
    started_at: String,
    fired_at: String,
    resolved_at: Option<String>,
    end_reason: Option<&'static str>,
    why: String,
    ack: Option<AckView>,
    /// How many breaching samples made it fire.
    samples: u32,
}

/// The rule, as it was called when the incident fired.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct IncidentRule {
    id: String,
    name: String,
    severity: &'static str,
}

/// The agent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct IncidentAgent {
    id: String,
    name: String,
    tags: Vec<String>,
}

/// Somebody's word that they are on it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct AckView {
    by: String,
    at: String,
    note: String,
    until: Option<String>,
}

/// An incident with the names of now.
pub(crate) fn show(holdings: &Holdings, record: &IncidentRecord) -> IncidentView {
    let finite = |value: f64| Some(value).filter(|value| value.is_finite());
    let Named { id: agent, name } = names::agent(holdings, record.key.agent);
    let tags = holdings.agents.get(&record.key.agent).map(|row| row.tags.clone()).unwrap_or_default();
    IncidentView {
        id: record.id.to_string(),
        state: if record.resolved_at.is_some() { "resolved" } else { "open" },
        rule: IncidentRule { id: record.key.rule.to_string(), name: record.rule_name.clone(), severity: record.severity.name() },
        agent: IncidentAgent { id: agent, name, tags },
        metric: record.key.series.metric().to_owned(),
        labels: labels(&record.key.series),
        series: record.key.series.to_string(),
        op: record.comparison.name(),
        threshold: finite(record.threshold),
        value: finite(record.value),
        peak: finite(record.peak),
        for_seconds: Seconds(record.hold_ms),
        started_at: rfc3339(record.started_at),
        fired_at: rfc3339(record.fired_at),
        resolved_at: record.resolved_at.map(rfc3339),
        end_reason: record.end_reason.map(nightbell_alerts::EndReason::name),
        why: page::why(record),
        ack: record.ack.as_ref().map(|ack| AckView {
            by: ack.by.clone(),
            at: rfc3339(ack.at),
            note: ack.note.clone(),
            until: ack.until.map(rfc3339),
        }),
        samples: record.samples,
    }
}
