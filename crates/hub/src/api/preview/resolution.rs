//! How finely a preview saw the past, and what that hides. Pure.

use nightbell_alerts::trend::refresh_ms;
use nightbell_alerts::{Rule, Transform};
use nightbell_model::{Frame, Tier};
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// How finely the past was seen.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Resolution {
    /// What was read: raw, 5m, hourly, daily.
    tiers: Vec<&'static str>,
    /// The width of the coarsest buckets; null when every sample was seen.
    step_seconds: Option<f64>,
    /// What that hides; null when nothing.
    hides: Option<String>,
}

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    tiers: BTreeSet<Tier>,
}

impl Seen {
    /// Adds the history of one agent.
    pub(super) fn add(&mut self, frame: &Frame) {
        self.tiers.extend(frame.tiers.iter().copied());
    }

    /// Takes over what was read elsewhere.
    pub(super) fn append(&mut self, other: &mut Self) {
        self.tiers.append(&mut other.tiers);
    }

    /// What that means for a rule.
    pub(super) fn tell(&self, rule: &Rule) -> Resolution {
        let step_ms = self.tiers.iter().filter_map(|tier| tier.width_ms()).max();
        Resolution {
            tiers: self.tiers.iter().map(|tier| tier.name()).collect(),
            step_seconds: step_ms.map(crate::page::seconds),
            hides: step_ms.map(|step_ms| hides(rule, step_ms)),
        }
    }
}

fn hides(rule: &Rule, step_ms: i64) -> String {
    let step = crate::api::time::duration_text(step_ms);
    match rule.transform {
        _ if rule.is_offline() => format!(
            "part of the span is seen in buckets of {step}: an agent counts as heard in all of a bucket in which it was heard at all, \
             so silences shorter than that are not seen, and times are those of buckets"
        ),
        Transform::None if rule.hold_ms < step_ms => format!(
            "part of the span is seen in buckets of {step}: their worst value is judged, so an incident may be longer than it was, \
             several in one bucket count as one, and times are those of buckets"
        ),
        Transform::None => format!(
            "part of the span is seen in buckets of {step}: their mean is judged, so breaches and reliefs shorter than that are \
             not seen, and times are those of buckets"
        ),
        Transform::Rate { .. } | Transform::Forecast { .. } => format!(
            "part of the span is seen in buckets of {step}: changes are taken between their means, so what is faster than that \
             is smoothed, and times are those of buckets"
        ),
    }
}

/// How much history before the span a rule looks back on, in milliseconds.
pub(super) const fn lead_ms(rule: &Rule) -> i64 {
    match rule.transform {
        Transform::None => 0,
        Transform::Rate { window_ms, .. } => window_ms.saturating_add(600_000),
        Transform::Forecast { window_ms, .. } => window_ms.saturating_add(refresh_ms(window_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::wire::rule::{Needs, read};
    use nightbell_alerts::{OFFLINE_METRIC, Selector};
    use serde_json::json;

    fn rule(hold: &str) -> Rule {
        let body = json!({"metric": "cpu.usage_percent", "op": ">", "threshold": 90, "for": hold});
        read(body.as_object().expect("an object"), Needs::Draft, nightbell_model::RuleId::default(), 1).expect("a rule")
    }

    #[test]
    fn raw_hides_nothing_and_buckets_say_what_they_hide() {
        let mut seen = Seen::default();
        assert_eq!(seen.tell(&rule("0s")), Resolution { tiers: vec![], step_seconds: None, hides: None });
        seen.tiers.insert(Tier::Raw);
        assert_eq!(seen.tell(&rule("0s")), Resolution { tiers: vec!["raw"], step_seconds: None, hides: None });
        seen.tiers.extend([Tier::FiveMinutes, Tier::Hourly]);
        let told = seen.tell(&rule("5m"));
        assert_eq!((told.tiers, told.step_seconds), (vec!["raw", "5m", "hourly"], Some(3600.0)));
        assert!(told.hides.expect("something").contains("worst value"));
        assert!(seen.tell(&rule("1h")).hides.expect("something").contains("mean"));
        let offline = Rule { selector: Selector { metric: OFFLINE_METRIC.to_owned(), ..rule("0s").selector }, ..rule("0s") };
        assert!(seen.tell(&offline).hides.expect("something").contains("silences shorter than that are not seen"));
    }
}
