//! The only place of the hub where the time is asked: wall clock for stamps, boot clock for what has elapsed.
//!
//! Timers run on wall stamps; when the wall clock is set, [`StepDetector`] says by how much, and their anchors are moved.

use nightbell_model::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// A step of the wall clock below this is drift and jitter, not a step.
const STEP_MS: i64 = 2_000;
/// For so long after a step something may still come that was stamped before it, in milliseconds: what waits in a queue.
const IN_FLIGHT_MS: i64 = 10_000;

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
    /// The last step, and when it was found on the boot clock.
    last: Option<(i64, i64)>,
}

impl StepDetector {
    /// Starts from the difference between the two clocks as they are.
    #[must_use]
    pub const fn new(wall: Timestamp, boot_ms: i64) -> Self {
        Self { offset_ms: wall.as_millis() - boot_ms, last: None }
    }

    /// By how much the wall clock was set since the last step, if it was; slow drift is followed silently.
    pub const fn check(&mut self, wall: Timestamp, boot_ms: i64) -> Option<i64> {
        let offset = wall.as_millis() - boot_ms;
        let step = offset - self.offset_ms;
        self.offset_ms = offset;
        if step.abs() <= STEP_MS {
            return None;
        }
        self.last = Some((step, boot_ms));
        Some(step)
    }

    /// Whether something may still come that was stamped before the last step.
    #[must_use]
    pub fn is_recent(&self, boot_ms: i64) -> bool {
        self.last.is_some_and(|(_, at)| boot_ms - at <= IN_FLIGHT_MS)
    }

    /// A moment that was stamped a little while ago on the clock as it is now, `wall`: what was stamped before the last step is moved
    /// by it.
    #[must_use]
    pub fn on_this_clock(&self, stamped: Timestamp, wall: Timestamp) -> Timestamp {
        let Some((step, _)) = self.last else { return stamped };
        let moved = stamped.plus_millis(step);
        if wall.millis_since(moved).abs() < wall.millis_since(stamped).abs() { moved } else { stamped }
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

    #[test]
    fn what_was_stamped_before_a_step_is_moved_with_it() {
        let at = Timestamp::from_secs;
        let mut steps = StepDetector::new(at(1_000), 0);
        assert_eq!((steps.is_recent(0), steps.on_this_clock(at(999), at(1_000))), (false, at(999)));
        assert_eq!(steps.check(at(4_601), 1_000), Some(3_600_000));
        assert_eq!(steps.on_this_clock(at(1_000), at(4_601)), at(4_600), "stamped before");
        assert_eq!(steps.on_this_clock(at(4_601), at(4_601)), at(4_601), "and after");
        assert!(steps.is_recent(11_000) && !steps.is_recent(11_001));
        assert_eq!(steps.check(at(1_003), 3_000), Some(-3_600_000));
        assert_eq!(steps.on_this_clock(at(4_602), at(1_003)), at(1_002));
    }
}
