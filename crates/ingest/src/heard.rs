//! One heartbeat that was understood, before anybody decided whether it is new and which moment it means.

use nightbell_model::{AgentId, BootId, Schema, Timestamp};
use std::sync::Arc;

/// What a heartbeat says of its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleClock {
    /// It was this old when it was sent, in milliseconds on a clock that runs through suspend.
    AgeMs(i64),
    /// It was measured at `ts` by the sender's clock.
    Timestamp {
        /// When it was measured.
        ts: Timestamp,
        /// What the same clock said when the message was sent, if the sender told.
        sent_at: Option<Timestamp>,
    },
    /// Nothing: the receipt stands for it.
    Receipt,
}

/// By how much a sender's clock may be off before its timestamps are corrected, in milliseconds.
const SKEW_MS: i64 = 2000;

impl SampleClock {
    /// The moment meant, in the hub's time: never later than `received`.
    #[must_use]
    pub fn resolve(self, received: Timestamp) -> Timestamp {
        let meant = match self {
            Self::AgeMs(age) => received.plus_millis(age.saturating_neg()),
            Self::Timestamp { ts, sent_at: Some(sent) } if received.millis_since(sent).saturating_abs() > SKEW_MS => {
                ts.plus_millis(received.millis_since(sent))
            }
            Self::Timestamp { ts, .. } => ts,
            Self::Receipt => received,
        };
        meant.min(received)
    }
}

/// One heartbeat, understood.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Whose it is, by its credential.
    pub agent: AgentId,
    /// The agent process that sent it and its number there, if the agent counts.
    pub boot_seq: Option<(BootId, u64)>,
    /// What it says of its time.
    pub clock: SampleClock,
    /// When it was received.
    pub received: Timestamp,
    /// Which series the values belong to.
    pub schema: Arc<Schema>,
    /// One value for each key of the schema; NaN is missing.
    pub values: Box<[f64]>,
    /// Whether any value is there: without one it only says "alive", and there is nothing to store.
    pub has_values: bool,
}

impl Heard {
    /// The moment it means by its own word; admission may move it by a millisecond to keep heartbeats in order.
    #[must_use]
    pub fn sample_time(&self) -> Timestamp {
        self.clock.resolve(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(clock: SampleClock, expected: i64) {
        assert_eq!(clock.resolve(Timestamp::from_millis(100_000)), Timestamp::from_millis(expected), "{clock:?}");
    }

    fn at(ts: i64, sent_at: Option<i64>) -> SampleClock {
        SampleClock::Timestamp { ts: Timestamp::from_millis(ts), sent_at: sent_at.map(Timestamp::from_millis) }
    }

    #[test]
    fn the_moment_meant_follows_the_law() {
        check(SampleClock::AgeMs(0), 100_000);
        check(SampleClock::AgeMs(40_000), 60_000);
        check(SampleClock::AgeMs(-5), 100_000);
        check(SampleClock::AgeMs(i64::MIN), 100_000);
        check(SampleClock::AgeMs(i64::MAX), 100_000 - i64::MAX);
        check(SampleClock::Receipt, 100_000);
        check(at(90_000, None), 90_000);
        check(at(110_000, None), 100_000);
        // Two seconds of difference may be the way; more is a wrong clock.
        check(at(90_000, Some(98_000)), 90_000);
        check(at(90_000, Some(97_999)), 92_001);
        check(at(150_000, Some(160_000)), 90_000);
        check(at(150_000, Some(140_000)), 100_000);
        check(at(i64::MIN, Some(i64::MAX)), i64::MIN);
    }
}
