//! When heartbeats are due: gauges at once, rates after a second, then every interval at the agent's own phase, so that a fleet
//! that was started together does not send together. Pure: told the time, answers with the next moment.

/// The second heartbeat follows the first by this much: it brings the first rates.
const FIRST_RATES_MS: i64 = 1_000;

/// The times of one agent process, on a clock that runs through suspend.
#[derive(Debug, Clone)]
pub struct Schedule {
    interval_ms: i64,
    phase_ms: i64,
    started_ms: i64,
    due: u32,
}

impl Schedule {
    /// A schedule that begins at `now_ms`; the phase follows from the agent's id, or from any text as long as that is unknown.
    #[must_use]
    pub fn new(identity: &str, interval_ms: i64, now_ms: i64) -> Self {
        let interval_ms = interval_ms.max(1);
        Self { interval_ms, phase_ms: phase(identity, interval_ms), started_ms: now_ms, due: 0 }
    }

    /// The agent has learnt its id.
    pub fn identify(&mut self, identity: &str) {
        self.phase_ms = phase(identity, self.interval_ms);
    }

    /// A heartbeat has been taken.
    pub fn taken(&mut self) {
        self.due = self.due.saturating_add(1);
    }

    /// Whether a heartbeat has been taken.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.due > 0
    }

    /// When the next heartbeat is due, seen from `now_ms`. Heartbeats that were slept through are not made up for.
    #[must_use]
    pub fn next(&self, now_ms: i64) -> i64 {
        match self.due {
            0 => self.started_ms,
            1 => self.started_ms + FIRST_RATES_MS.min(self.interval_ms),
            // Not right after the last one: rates over a few milliseconds say nothing.
            _ => self.at_phase_after(now_ms + (self.interval_ms / 4).min(FIRST_RATES_MS / 2)),
        }
    }

    fn at_phase_after(&self, ms: i64) -> i64 {
        let into = (ms - self.phase_ms).rem_euclid(self.interval_ms);
        ms - into + self.interval_ms
    }
}

/// Where in the interval an agent sends: FNV-1a of its id, which spreads ids that differ in one letter.
#[must_use]
pub fn phase(identity: &str, interval_ms: i64) -> i64 {
    let hash =
        identity.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = hash ^ (hash >> 32);
    i64::try_from(mixed % u64::try_from(interval_ms.max(1)).unwrap_or(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_then_rates_then_the_phase() {
        let mut schedule = Schedule::new("01J", 15_000, 7_000);
        let phase = phase("01J", 15_000);
        assert_eq!(schedule.next(7_000), 7_000);
        schedule.taken();
        assert_eq!(schedule.next(7_003), 8_000);
        schedule.taken();
        let third = schedule.next(8_004);
        assert_eq!(third.rem_euclid(15_000), phase);
        assert!(third > 8_504 && third <= 8_504 + 15_000);
        schedule.taken();
        assert_eq!(schedule.next(third + 2), third + 15_000);
    }

    #[test]
    fn what_was_slept_through_is_left_out() {
        let mut schedule = Schedule::new("a", 15_000, 0);
        schedule.taken();
        schedule.taken();
        let next = schedule.next(3_600_000);
        assert!(next > 3_600_000 && next <= 3_615_500);
    }

    #[test]
    fn a_fleet_is_spread_over_the_interval() {
        let mut tenths = [0_u32; 10];
        for agent in 0..1_000 {
            let phase = phase(&format!("01JD8Y3W5M2K7Q9R4T6V8X{agent:04}"), 15_000);
            tenths[usize::try_from(phase / 1_500).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (60..150).contains(count)), "{tenths:?}");
    }

    #[test]
    fn the_shortest_interval_works() {
        let mut schedule = Schedule::new("a", 1_000, 0);
        schedule.taken();
        assert_eq!(schedule.next(0), 1_000);
        schedule.taken();
        let third = schedule.next(1_000);
        assert!(third > 1_250 && third <= 2_250, "{third}");
    }
}
