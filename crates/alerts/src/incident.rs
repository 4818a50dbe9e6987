//! How records of incidents and no-data episodes come to be and end.

use crate::instance::{episode_id, incident_id};
use crate::record::{Ack, EndReason, IncidentRecord, InstanceKey};
use crate::rule::{Rule, Threshold};
use nightbell_model::{IncidentId, Timestamp};

/// What is known at the moment an incident begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening {
    pub(crate) started_at: Timestamp,
    pub(crate) fired_at: Timestamp,
    pub(crate) threshold: f64,
    pub(crate) value: f64,
    pub(crate) peak: f64,
    pub(crate) samples: u32,
}

impl IncidentRecord {
    pub(crate) fn open(key: InstanceKey, rule: &Rule, opening: Opening) -> Self {
        Self {
            id: incident_id(key.rule, key.agent, &key.series, opening.fired_at),
            key,
            rule_name: rule.name.clone(),
            severity: rule.severity,
            comparison: rule.comparison,
            threshold: opening.threshold,
            hold_ms: rule.hold_ms,
            started_at: opening.started_at,
            fired_at: opening.fired_at,
            resolved_at: None,
            end_reason: None,
            value: opening.value,
            peak: opening.peak,
            samples: opening.samples,
            ack: None,
            why: String::new(),
            late: false,
        }
    }

    /// The record of a no-data episode that began at `at`; it has no values.
    pub(crate) fn episode(key: InstanceKey, rule: &Rule, at: Timestamp) -> Self {
        let id = episode_id(key.rule, key.agent, &key.series, at);
        Self { id, ..Self::open(key, rule, Opening::without_values(rule, at)) }
    }

    /// A stand-in for a record that a channel was told of and that is not to be found any more: its end can still be said.
    pub(crate) fn lost(id: IncidentId, key: InstanceKey, rule: &Rule, now: Timestamp) -> Self {
        let opening = Opening::without_values(rule, id.0.timestamp());
        let why = "its record is not to be found any more".to_owned();
        Self { id, resolved_at: Some(now), why, ..Self::open(key, rule, opening) }
    }

    pub(crate) fn end(&mut self, at: Timestamp, reason: EndReason) {
        self.resolved_at = Some(at);
        self.end_reason = Some(reason);
    }

    /// Until when somebody is on it (`Timestamp::MAX` is to the end); `None` if nobody is at `now`.
    #[must_use]
    pub fn acked_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.ack.as_ref().map(Ack::end).filter(|until| now < *until)
    }
}

impl Opening {
    fn without_values(rule: &Rule, at: Timestamp) -> Self {
        let threshold = match rule.threshold {
            Threshold::Value(value) => value,
            Threshold::Level(_) => f64::NAN,
        };
        Self { started_at: at, fired_at: at, threshold, value: f64::NAN, peak: f64::NAN, samples: 0 }
    }
}

impl Ack {
    fn end(&self) -> Timestamp {
        self.until.unwrap_or(Timestamp::MAX)
    }
}
