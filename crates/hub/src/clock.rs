//! The only place of the hub where the time is asked: wall clock for stamps, boot clock for what has elapsed.
//!
//! Timers run on wall stamps; when the wall clock is set, [`StepDetector`] says by how much, and their anchors are moved.

use nightbell_model::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// A step of the wall clock below this is drift and jitter, not a step.
const STEP_MS: i64 = 2_000;

/// The wall clock now.
#[must_use]
pub fn now() -> Timestamp {
    let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    })
}

/// Milliseconds on the boot clock, which runs through suspend and is never set.
#[must_use]
pub fn boot_millis() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}

/// Compares the two clocks over time.
#[derive(Debug)]
pub struct StepDetector {
    offset_ms: i64,
}

impl StepDetector {
    /// Starts from the difference between the two clocks as they are.
    #[must_use]
    pub const fn new(wall: Timestamp, boot_ms: i64) -> Self {
        Self { offset_ms: wall.as_millis() - boot_ms }
    }

    /// By how much the wall clock was set since the last step, if it was; slow drift is followed silently.
    pub const fn check(&mut self, wall: Timestamp, boot_ms: i64) -> Option<i64> {
        let offset = wall.as_millis() - boot_ms;
        let step = offset - self.offset_ms;
        self.offset_ms = offset;
        if step.abs() > STEP_MS { Some(step) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_clock_is_told_from_drift() {
        let at = Timestamp::from_secs;
        let mut steps = StepDetector::new(at(1_000), 0);
        assert_eq!(steps.check(at(1_010), 10_000), None);
        assert_eq!(steps.check(at(1_021), 20_000), None, "a second of drift in ten is followed");
        assert_eq!(steps.check(at(4_631), 30_000), Some(3_600_000));
        assert_eq!(steps.check(at(4_641), 40_000), None, "told once");
        assert_eq!(steps.check(at(1_051), 50_000), Some(-3_600_000));
    }
}
