//! Warn and crit levels of a metric, and which way it gets worse. Which level applies to which agent is looked up by the hub.

/// Which direction of a metric is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Worse {
    /// Large values are bad (load, used percent).
    High,
    /// Small values are bad (free bytes, battery charge).
    Low,
}

/// One of the two levels an agent has for a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Worth a look.
    Warn,
    /// Act now.
    Crit,
}

impl Level {
    /// The name used in the API and in storage.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Crit => "crit",
        }
    }
}

/// The warn and crit levels of one metric on one agent, in the metric's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// From here on the badge is yellow.
    pub warn: f64,
    /// From here on the badge is red.
    pub crit: f64,
}

impl Levels {
    /// The value of `level`.
    #[must_use]
    pub const fn at(self, level: Level) -> f64 {
        match level {
            Level::Warn => self.warn,
            Level::Crit => self.crit,
        }
    }

    /// The highest level `value` has reached, if any; NaN reaches none.
    #[must_use]
    pub fn reached(self, value: f64, worse: Worse) -> Option<Level> {
        let beyond = |limit: f64| match worse {
            Worse::High => value >= limit,
            Worse::Low => value <= limit,
        };
        if beyond(self.crit) {
            Some(Level::Crit)
        } else if beyond(self.warn) {
            Some(Level::Warn)
        } else {
            None
        }
    }

    /// Whether the two levels are finite and in the order that `worse` asks for.
    #[must_use]
    pub fn are_ordered(self, worse: Worse) -> bool {
        self.warn.is_finite()
            && self.crit.is_finite()
            && match worse {
                Worse::High => self.warn <= self.crit,
                Worse::Low => self.crit <= self.warn,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_reached_at_their_value_in_the_bad_direction() {
        let cpu = Levels { warn: 70.0, crit: 85.0 };
        assert_eq!(cpu.reached(69.9, Worse::High), None);
        assert_eq!(cpu.reached(70.0, Worse::High), Some(Level::Warn));
        assert_eq!(cpu.reached(85.0, Worse::High), Some(Level::Crit));
        assert_eq!(cpu.reached(f64::NAN, Worse::High), None);
        let battery = Levels { warn: 30.0, crit: 10.0 };
        assert_eq!(battery.reached(30.1, Worse::Low), None);
        assert_eq!(battery.reached(10.0, Worse::Low), Some(Level::Crit));
        assert!(battery.are_ordered(Worse::Low) && !battery.are_ordered(Worse::High));
    }
}
