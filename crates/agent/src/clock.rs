//! The agent's clocks: the only place that reads them.
//!
//! Heartbeats are dated by the clock that runs through suspend, rates are divided by the clock that does not, and wall time
//! is only said where the hub cannot reckon without it (HTTP).

use rustix::time::{ClockId, Timespec, clock_gettime};

/// One reading of the clocks that matter to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// `CLOCK_BOOTTIME` in milliseconds: time since the host started, suspend included.
    pub boot_ms: i64,
    /// `CLOCK_MONOTONIC` in nanoseconds: time the host was awake.
    pub awake_ns: i64,
}

impl Moment {
    /// The clocks as they stand.
    #[must_use]
    pub fn now() -> Self {
        Self { boot_ms: nanoseconds(ClockId::Boottime) / 1_000_000, awake_ns: nanoseconds(ClockId::Monotonic) }
    }

    /// Seconds awake since `earlier`, if any time has passed.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of any uptime below 104 days are exact, and beyond nearly so")]
    pub fn seconds_since(self, earlier: Self) -> Option<f64> {
        let ns = self.awake_ns.saturating_sub(earlier.awake_ns);
        (ns > 0).then(|| ns as f64 / 1e9)
    }

    /// Whether the host slept for over a second between `earlier` and this moment.
    #[must_use]
    pub fn slept_since(self, earlier: Self) -> bool {
        let awake_ms = self.awake_ns.saturating_sub(earlier.awake_ns) / 1_000_000;
        self.boot_ms.saturating_sub(earlier.boot_ms).saturating_sub(awake_ms) > 1_000
    }
}

/// Wall time in milliseconds since the Unix epoch.
#[must_use]
pub fn wall_ms() -> i64 {
    nanoseconds(ClockId::Realtime) / 1_000_000
}

/// CPU time this process has used, in nanoseconds.
#[must_use]
pub fn process_cpu_ns() -> i64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

fn nanoseconds(clock: ClockId) -> i64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    tv_sec.saturating_mul(1_000_000_000).saturating_add(tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_told_from_waiting() {
        let before = Moment { boot_ms: 10_000, awake_ns: 10_000_000_000 };
        let waited = Moment { boot_ms: 25_000, awake_ns: 25_000_000_000 };
        let slept = Moment { boot_ms: 3_610_000, awake_ns: 11_000_000_000 };
        assert!(!waited.slept_since(before) && slept.slept_since(before));
        assert_eq!(waited.seconds_since(before), Some(15.0));
        assert_eq!(slept.seconds_since(before), Some(1.0), "rates are over the time awake");
        assert_eq!(before.seconds_since(before), None);
    }

    #[test]
    fn the_clocks_run() {
        let first = Moment::now();
        assert!(Moment::now().awake_ns >= first.awake_ns && first.boot_ms > 0);
        assert!(wall_ms() > 1_600_000_000_000 && process_cpu_ns() > 0);
    }
}
