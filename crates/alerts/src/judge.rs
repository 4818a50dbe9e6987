//! A value held against a threshold: breach, clear, between, or nothing to say. Looking up an agent's own levels happens here
//! too; which series a rule looks at is decided in `matching`.

use crate::context::LevelTable;
use crate::rule::{Clear, Comparison, Rule, Threshold};
use crate::step::Verdict;
use nightbell_model::{AgentId, Levels, SeriesKey, Worse, catalogue};

/// A rule's comparison with every level looked up. NaN stands for "none".
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    comparison: Comparison,
    threshold: f64,
    clear: f64,
}

impl Limits {
    /// The limits of `rule` on one series of one agent, by its levels at this moment. Without a level, or with one whose
    /// direction contradicts the comparison, there is nothing to compare with and every sample counts as missing.
    #[must_use]
    pub fn resolve(rule: &Rule, levels: &LevelTable, agent: AgentId, series: &SeriesKey) -> Self {
        let named = || levels.lookup(agent, series).map(|(levels, _)| levels);
        let threshold = match rule.threshold {
            Threshold::Value(value) => value,
            Threshold::Level(level) => {
                named().filter(|levels| agrees(rule.comparison, series, *levels)).map_or(f64::NAN, |found| found.at(level))
            }
        };
        let clear = match rule.clear {
            None => f64::NAN,
            Some(Clear::Value(value)) => value,
            Some(Clear::Level(level)) => named().map_or(f64::NAN, |found| found.at(level)),
            Some(Clear::Margin(margin)) => match rule.comparison.direction() {
                Some(Worse::High) => threshold - margin,
                Some(Worse::Low) => threshold + margin,
                None => f64::NAN,
            },
        };
        Self { comparison: rule.comparison, threshold, clear }
    }

    /// The number compared with, if there is one.
    #[must_use]
    pub fn threshold(&self) -> Option<f64> {
        (!self.threshold.is_nan()).then_some(self.threshold)
    }

    /// The number beyond which it counts as clear, if that is another.
    #[must_use]
    pub fn clear(&self) -> Option<f64> {
        (!self.clear.is_nan()).then_some(self.clear)
    }

    /// What `value` says; `None` for a value or a threshold that is missing. Infinities compare as numbers do.
    #[must_use]
    #[inline]
    pub fn judge(&self, value: f64) -> Option<Verdict> {
        if value.is_nan() || self.threshold.is_nan() {
            return None;
        }
        if self.comparison.holds(value, self.threshold) {
            return Some(Verdict::Breach);
        }
        let beyond = match self.comparison.direction() {
            _ if self.clear.is_nan() => true,
            Some(Worse::High) => value < self.clear,
            Some(Worse::Low) => value > self.clear,
            None => true,
        };
        Some(if beyond { Verdict::Clear } else { Verdict::Between })
    }

    /// The same bits for limits that judge alike.
    pub(crate) const fn fingerprint(&self) -> (Comparison, u64, u64) {
        (self.comparison, self.threshold.to_bits(), self.clear.to_bits())
    }
}

impl Comparison {
    /// Whether `value` stands in this relation to `threshold`.
    #[must_use]
    #[inline]
    #[expect(clippy::float_cmp, reason = "== and != are exact on purpose: the user asked for equality")]
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Greater => value > threshold,
            Self::GreaterOrEqual => value >= threshold,
            Self::Less => value < threshold,
            Self::LessOrEqual => value <= threshold,
            Self::Equal => value == threshold,
            Self::NotEqual => value != threshold,
        }
    }

    /// Which way a value breaches; `None` for equality, which has no side.
    #[must_use]
    pub const fn direction(self) -> Option<Worse> {
        match self {
            Self::Greater | Self::GreaterOrEqual => Some(Worse::High),
            Self::Less | Self::LessOrEqual => Some(Worse::Low),
            Self::Equal | Self::NotEqual => None,
        }
    }

    /// Whether `a` is further in the bad direction than `b`.
    #[must_use]
    pub fn is_worse(self, a: f64, b: f64) -> bool {
        match self.direction() {
            Some(Worse::Low) => a < b,
            Some(Worse::High) | None => a > b,
        }
    }
}

/// Whether the levels of a series get worse in the direction the comparison breaches: as the catalogue says, or, for a metric
/// it does not know, as the two levels lie.
fn agrees(comparison: Comparison, series: &SeriesKey, levels: Levels) -> bool {
    let worse = match catalogue::find(series.metric()) {
        Some(metric) => metric.worse,
        None if levels.warn <= levels.crit => Some(Worse::High),
        None => Some(Worse::Low),
    };
    worse.is_some() && worse == comparison.direction()
}

#[cfg(test)]
mod tests;
