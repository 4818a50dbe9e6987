//! What each kind of rule stands for: a metric, a comparison, a transform, and numbers where nothing else is said. Kinds are
//! data for the machine that all rules share; reading them from a wire format is left to the hub.

use crate::rule::{Comparison, OFFLINE_METRIC, Rule, RuleKind, Transform};

const MINUTE_MS: i64 = 60_000;
/// A host counts as just started for this long, in seconds: it fires with the first heartbeat after a start, and ends by itself.
const STARTED_FOR_S: f64 = 600.0;
/// The offset of a host's clock may move by this much within the window of [`CLOCK_WINDOW_MS`], in seconds: what a time daemon
/// slews stays below, what somebody sets does not.
const CLOCK_MOVED_S: f64 = 2.0;
/// Over how long the offset's change is taken. A step is inside it once, so the alert ends by itself when it has passed.
const CLOCK_WINDOW_MS: i64 = 10 * MINUTE_MS;

/// What a kind of rule fixes, and what it takes for granted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// The metric it looks at.
    pub metric: &'static str,
    /// How it compares.
    pub comparison: Comparison,
    /// The threshold, if none is said.
    pub threshold: f64,
    /// What is made of the value.
    pub transform: Transform,
}

impl Preset {
    const fn below_one(metric: &'static str) -> Self {
        Self { metric, comparison: Comparison::Less, threshold: 1.0, transform: Transform::None }
    }
}

impl RuleKind {
    /// What the kind stands for, for a rule that names series by their labels or does not; `None` for kinds whose metric and
    /// comparison are the user's to say.
    #[must_use]
    pub const fn preset(self, labelled: bool) -> Option<Preset> {
        let preset = match self {
            Self::Threshold | Self::Rate | Self::Forecast => return None,
            Self::Offline => Preset { comparison: Comparison::Equal, ..Preset::below_one(OFFLINE_METRIC) },
            Self::UnitFailed if labelled => Preset::below_one("unit.active"),
            Self::UnitFailed => Preset { comparison: Comparison::Greater, threshold: 0.0, ..Preset::below_one("unit.failed") },
            Self::ContainerDown => Preset::below_one("container.up"),
            Self::ContainerUnhealthy => Preset::below_one("container.health"),
            Self::ProcessMissing => Preset::below_one("process.count"),
            Self::PortClosed => Preset::below_one("port.open"),
            Self::SmartFailing => Preset::below_one("smart.healthy"),
            Self::Reboot => Preset { threshold: STARTED_FOR_S, ..Preset::below_one("sys.uptime_seconds") },
            Self::ClockStep => Preset {
                comparison: Comparison::Greater,
                threshold: CLOCK_MOVED_S,
                transform: Transform::Rate { window_ms: CLOCK_WINDOW_MS, per_ms: CLOCK_WINDOW_MS },
                ..Preset::below_one("clock.offset_seconds")
            },
        };
        Some(preset)
    }
}

impl Transform {
    /// The name used in the API and in storage.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Rate { .. } => "rate",
            Self::Forecast { .. } => "forecast",
        }
    }

    /// The two durations as they are stored: the window, and what it is said per or how far ahead is looked.
    #[must_use]
    pub const fn spans(self) -> Option<(i64, i64)> {
        match self {
            Self::None => None,
            Self::Rate { window_ms, per_ms } => Some((window_ms, per_ms)),
            Self::Forecast { horizon_ms, window_ms } => Some((window_ms, horizon_ms)),
        }
    }

    /// The transform called `name` with these durations.
    #[must_use]
    pub fn from_spans(name: &str, spans: Option<(i64, i64)>) -> Option<Self> {
        match (name, spans) {
            ("none", None) => Some(Self::None),
            ("rate", Some((window_ms, per_ms))) => Some(Self::Rate { window_ms, per_ms }),
            ("forecast", Some((window_ms, horizon_ms))) => Some(Self::Forecast { horizon_ms, window_ms }),
            _ => None,
        }
    }

    /// How far back history matters to it, in milliseconds.
    #[must_use]
    pub const fn window_ms(self) -> i64 {
        match self.spans() {
            Some((window_ms, _)) => window_ms,
            None => 0,
        }
    }
}

impl Rule {
    /// Whether it fires and ends by itself, by what happened and not by how things stand: a reboot, a clock that was set.
    #[must_use]
    pub const fn is_momentary(&self) -> bool {
        matches!(self.kind, RuleKind::Reboot | RuleKind::ClockStep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_model::catalogue;

    const KINDS: [RuleKind; 12] = [
        RuleKind::Threshold,
        RuleKind::Offline,
        RuleKind::Rate,
        RuleKind::Forecast,
        RuleKind::UnitFailed,
        RuleKind::ContainerDown,
        RuleKind::ContainerUnhealthy,
        RuleKind::ProcessMissing,
        RuleKind::PortClosed,
        RuleKind::SmartFailing,
        RuleKind::Reboot,
        RuleKind::ClockStep,
    ];

    #[test]
    fn every_preset_looks_at_a_metric_of_the_catalogue() {
        for preset in KINDS.iter().flat_map(|kind| [kind.preset(false), kind.preset(true)]).flatten() {
            assert!(catalogue::find(preset.metric).is_some(), "{preset:?}");
        }
    }

    #[test]
    fn names_and_spans_come_back() {
        for kind in KINDS {
            assert_eq!(RuleKind::from_name(kind.name()), Some(kind));
        }
        for transform in
            [Transform::None, Transform::Rate { window_ms: 1, per_ms: 2 }, Transform::Forecast { horizon_ms: 3, window_ms: 4 }]
        {
            assert_eq!(Transform::from_spans(transform.name(), transform.spans()), Some(transform));
        }
        assert_eq!(Transform::from_spans("rate", None), None);
    }
}
