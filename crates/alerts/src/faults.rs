//! Every reason why a rule cannot be: what is refused where rules come in, each fault with its field and the mend.
//!
//! That a metric exists, a channel is known or an id is free is for the hub to say; this looks at the rule alone.

use crate::matching::compile;
use crate::rule::{Aggregate, Clear, MatchKind, OFFLINE_METRIC, Rule, RuleKind, Scope, Threshold, Transform};
use crate::why::duration_text;
use nightbell_model::series::is_metric_name;
use nightbell_model::{Level, SeriesKey, Worse, catalogue};
use std::collections::BTreeSet;
use thiserror::Error;

/// The longest `for` and `keep_firing`: a longer condition is a report, not an alert.
pub const MAX_HOLD_MS: i64 = 7 * 86_400_000;
/// The longest cooldown, repeat, `missing_after` and escalation delay.
pub const MAX_WAIT_MS: i64 = 30 * 86_400_000;
/// The window of a rate: at least what two heartbeats of a usual agent span, at most what its few points in memory resolve.
pub const RATE_WINDOW_MS: (i64, i64) = (60_000, 86_400_000);
/// For how long a rate may be said.
pub const RATE_PER_MS: (i64, i64) = (1_000, 30 * 86_400_000);
/// How far ahead a forecast may look.
pub const FORECAST_HORIZON_MS: (i64, i64) = (10 * 60_000, 366 * 86_400_000);
/// How far back a forecast may look.
pub const FORECAST_WINDOW_MS: (i64, i64) = (3_600_000, 90 * 86_400_000);
/// The shortest repeat: a page a minute is the most that anybody can want.
pub const MIN_REPEAT_MS: i64 = 60_000;
/// The shortest `missing_after`: the fastest heartbeat.
pub const MIN_MISSING_AFTER_MS: i64 = 1_000;
/// The longest name, key and tag, in characters.
pub const MAX_NAME: usize = 200;
/// The most channels of a rule and of an escalation step.
pub const MAX_CHANNELS: usize = 32;
/// The most escalation steps.
pub const MAX_STEPS: usize = 16;
/// The most labels and matchers.
pub const MAX_CONDITIONS: usize = 32;

/// One reason why a rule cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {why}")]
pub struct RuleFault {
    /// The field of the rule, as the API names it.
    pub field: &'static str,
    /// What is wrong with it and what would be right.
    pub why: String,
}

impl Rule {
    /// Everything that makes the rule impossible; empty for a good one.
    #[must_use]
    pub fn faults(&self) -> Vec<RuleFault> {
        let mut faults = Faults::default();
        self.name_faults(&mut faults);
        self.kind_faults(&mut faults);
        self.transform_faults(&mut faults);
        self.selector_faults(&mut faults);
        self.threshold_faults(&mut faults);
        self.clear_faults(&mut faults);
        self.duration_faults(&mut faults);
        self.channel_faults(&mut faults);
        if self.is_offline() {
            self.offline_faults(&mut faults);
        }
        faults.0
    }

    fn name_faults(&self, faults: &mut Faults) {
        faults.text("name", &self.name);
        if let Some(key) = &self.key {
            faults.text("key", key);
        }
        if let Scope::Tag(tag) = &self.scope {
            faults.text("scope", tag);
        }
    }

    /// That a rule is what its kind says.
    fn kind_faults(&self, faults: &mut Faults) {
        let (kind, transform) = (self.kind.name(), self.transform.name());
        let labelled = !self.selector.labels.is_empty() || !self.selector.matchers.is_empty();
        let Some(preset) = self.kind.preset(labelled) else {
            let expected = if self.kind == RuleKind::Threshold { "none" } else { kind };
            if transform != expected {
                faults.add("kind", format!("a rule of kind {kind} cannot have a {transform}"));
            }
            if self.is_offline() {
                faults.add("kind", format!("a rule on {OFFLINE_METRIC} is of kind offline"));
            }
            return;
        };
        if self.selector.metric != preset.metric {
            faults.add("metric", format!("a rule of kind {kind} looks at {}: leave it out", preset.metric));
        }
        let comparison = preset.comparison;
        if self.comparison != comparison && self.kind != RuleKind::Offline {
            faults.add("op", format!("a rule of kind {kind} compares with {}: leave it out", comparison.name()));
        }
        if transform != preset.transform.name() {
            faults.add("kind", format!("a rule of kind {kind} cannot have a {transform}"));
        }
    }

    fn transform_faults(&self, faults: &mut Faults) {
        match self.transform {
            Transform::None => {}
            Transform::Rate { window_ms, per_ms } => {
                faults.within("window", window_ms, RATE_WINDOW_MS);
                faults.within("per", per_ms, RATE_PER_MS);
                if matches!(self.threshold, Threshold::Level(_)) {
                    faults.add("threshold", "levels are values, not changes: a rate needs a number");
                }
            }
            Transform::Forecast { horizon_ms, window_ms } => {
                faults.within("horizon", horizon_ms, FORECAST_HORIZON_MS);
                faults.within("window", window_ms, FORECAST_WINDOW_MS);
                if self.comparison.direction().is_none() {
                    faults.add("op", "a forecast needs one of > >= < <=: it hardly ever hits a number exactly");
                }
            }
        }
    }

    fn selector_faults(&self, faults: &mut Faults) {
        let selector = &self.selector;
        if !is_metric_name(&selector.metric) {
            faults.add("metric", "must be lower-case words joined by dots, such as cpu.usage_percent");
            return;
        }
        if selector.labels.len() + selector.matchers.len() > MAX_CONDITIONS {
            faults.add("labels", format!("at most {MAX_CONDITIONS} labels and matchers"));
        }
        let labels: Vec<(&str, &str)> = selector.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if let Err(error) = SeriesKey::new(&selector.metric, &labels) {
            faults.add("labels", error.to_string());
        }
        for matcher in &selector.matchers {
            if SeriesKey::new(&selector.metric, &[(&matcher.label, "")]).is_err() {
                faults.add("matchers", format!("{:?} is no label name: lower-case letters, digits and _", matcher.label));
            }
            if matches!(matcher.kind, MatchKind::Regex | MatchKind::NotRegex)
                && let Err(error) = compile(&matcher.value)
            {
                faults.add("matchers", format!("{:?} is no regular expression: {error}", matcher.value));
            }
        }
        if selector.aggregate != Aggregate::Each && catalogue::find(&selector.metric).is_some_and(|row| row.label.is_none()) {
            faults.add("aggregate", format!("{} has no labels to aggregate over: use \"each\"", selector.metric));
        }
    }

    fn threshold_faults(&self, faults: &mut Faults) {
        match self.threshold {
            Threshold::Value(value) if !value.is_finite() => faults.add("threshold", "must be a finite number"),
            Threshold::Value(_) => {}
            Threshold::Level(_) => self.level_faults(faults),
        }
    }

    fn level_faults(&self, faults: &mut Faults) {
        let Some(direction) = self.comparison.direction() else {
            faults.add("op", "a level needs one of > >= < <=, for == and != have no worse side");
            return;
        };
        let Some(metric) = catalogue::find(&self.selector.metric) else { return };
        let op = match metric.worse {
            Some(Worse::High) => "> or >=",
            Some(Worse::Low) => "< or <=",
            None => return faults.add("threshold", format!("{} has no worse side, so no levels: use a number", metric.name)),
        };
        if metric.worse != Some(direction) {
            faults.add("op", format!("{} gets worse the other way: a level needs {op}", metric.name));
        }
    }

    fn clear_faults(&self, faults: &mut Faults) {
        let Some(clear) = self.clear else { return };
        let Some(direction) = self.comparison.direction() else {
            return faults.add("clear", "== and != have no good side: leave it out");
        };
        match (self.threshold, clear) {
            (_, Clear::Value(value) | Clear::Margin(value)) if !value.is_finite() => {
                faults.add("clear", "must be a finite number")
            }
            (_, Clear::Margin(margin)) if margin <= 0.0 => faults.add("clear", "a margin must be greater than 0"),
            (_, Clear::Margin(_)) => {}
            (Threshold::Value(threshold), Clear::Value(value)) => {
                if direction == Worse::High && value > threshold {
                    faults.add("clear", format!("must not lie above the threshold {threshold}"));
                } else if direction == Worse::Low && value < threshold {
                    faults.add("clear", format!("must not lie below the threshold {threshold}"));
                }
            }
            (Threshold::Value(_), Clear::Level(_)) => faults.add("clear", "a level needs a threshold that is a level"),
            (Threshold::Level(_), Clear::Value(_)) => {
                faults.add("clear", "with a level as threshold, clear is {\"level\":\"warn\"} or {\"margin\":5}");
            }
            (Threshold::Level(Level::Warn), Clear::Level(Level::Crit)) => {
                faults.add("clear", "crit lies on the wrong side of warn");
            }
            (Threshold::Level(_), Clear::Level(_)) => {}
        }
    }

    fn duration_faults(&self, faults: &mut Faults) {
        faults.duration("for", self.hold_ms, MAX_HOLD_MS);
        faults.duration("keep_firing", self.keep_firing_ms, MAX_HOLD_MS);
        faults.duration("cooldown", self.cooldown_ms, MAX_WAIT_MS);
        faults.duration("repeat", self.repeat_ms, MAX_WAIT_MS);
        if (1..MIN_REPEAT_MS).contains(&self.repeat_ms) {
            faults.add("repeat", "must be 0 (off) or at least 1m");
        }
        if let Some(after) = self.missing_after_ms {
            faults.duration("missing_after", after, MAX_WAIT_MS);
            if (0..MIN_MISSING_AFTER_MS).contains(&after) {
                faults.add("missing_after", "must be at least 1s");
            }
        }
    }

    fn channel_faults(&self, faults: &mut Faults) {
        faults.channels("channels", &self.channels);
        if self.escalation.len() > MAX_STEPS {
            faults.add("escalation", format!("at most {MAX_STEPS} steps"));
        }
        for step in &self.escalation {
            faults.duration("escalation", step.after_ms, MAX_WAIT_MS);
            faults.channels("escalation", &step.channels);
            if step.channels.is_empty() {
                faults.add("escalation", "a step must name a channel");
            }
        }
        if self.escalation.windows(2).any(|pair| pair[1].after_ms <= pair[0].after_ms) {
            faults.add("escalation", "each step must come later than the one before");
        }
    }

    fn offline_faults(&self, faults: &mut Faults) {
        let selector = &self.selector;
        if !selector.labels.is_empty() || !selector.matchers.is_empty() || selector.aggregate != Aggregate::Each {
            faults.add("metric", format!("{OFFLINE_METRIC} has no labels to select or aggregate"));
        }
        if self.clear.is_some() {
            faults.add("clear", format!("{OFFLINE_METRIC} ends with the first heartbeat: leave it out"));
        }
        let (one, zero) = match self.threshold {
            Threshold::Value(value) => (self.comparison.holds(1.0, value), self.comparison.holds(0.0, value)),
            Threshold::Level(_) => return faults.add("threshold", format!("{OFFLINE_METRIC} has no levels: use == 1")),
        };
        if !one || zero {
            faults.add("threshold", format!("{OFFLINE_METRIC} is 1 while the agent is offline, else 0: use == 1"));
        }
    }
}

#[derive(Default)]
struct Faults(Vec<RuleFault>);

impl Faults {
    fn add(&mut self, field: &'static str, why: impl Into<String>) {
        self.0.push(RuleFault { field, why: why.into() });
    }

    fn text(&mut self, field: &'static str, text: &str) {
        if text.trim().is_empty() {
            self.add(field, "must not be empty");
        } else if text.chars().count() > MAX_NAME {
            self.add(field, format!("must not be longer than {MAX_NAME} characters"));
        } else if text.chars().any(char::is_control) {
            self.add(field, "must not hold control characters");
        }
    }

    fn duration(&mut self, field: &'static str, ms: i64, most: i64) {
        if ms < 0 {
            self.add(field, "must not be negative");
        } else if ms > most {
            self.add(field, format!("must not be longer than {} days", most / 86_400_000));
        }
    }

    fn within(&mut self, field: &'static str, ms: i64, (least, most): (i64, i64)) {
        if ms < least || ms > most {
            self.add(field, format!("must be between {} and {}", duration_text(least), duration_text(most)));
        }
    }

    fn channels(&mut self, field: &'static str, channels: &[nightbell_model::ChannelId]) {
        if channels.len() > MAX_CHANNELS {
            self.add(field, format!("at most {MAX_CHANNELS} channels"));
        }
        if channels.iter().collect::<BTreeSet<_>>().len() < channels.len() {
            self.add(field, "a channel stands twice");
        }
    }
}

#[cfg(test)]
mod tests;
