//! By which clock history grows old. Pure.
//!
//! What is removed does not come back, and raw history from before what was removed is closed: heartbeats of that time are not stored.
//! A clock that leaps ahead for an hour would take years of history with it, and then refuse what is measured until it has caught
//! up with itself. So a leap is believed a day later, if the clock still stands by it; until then history ages by the time that passes.

use nightbell_model::Timestamp;

/// A clock that is further ahead than this has leapt, in milliseconds: corrections and the pauses of a hub are smaller.
const LEAP_MS: i64 = 3_600_000;
/// For so long a clock that has leapt is not believed, in milliseconds of the clock that is never set.
const DOUBT_MS: i64 = 86_400_000;

/// The clock of history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ageing {
    /// The last moment that was believed, and what the clock that is never set showed then.
    believed: (Timestamp, i64),
    /// Since when the clock is ahead, on the clock that is never set.
    ahead_since: Option<i64>,
}

impl Ageing {
    /// A clock that showed `at` when the one that is never set showed `boot_ms`.
    #[must_use]
    pub(crate) const fn from(at: Timestamp, boot_ms: i64) -> Self {
        Self { believed: (at, boot_ms), ahead_since: None }
    }

    /// The moment by which history is as old as it is, where the wall clock shows `wall`.
    pub(crate) fn now(&mut self, wall: Timestamp, boot_ms: i64) -> Timestamp {
        let (at, at_ms) = self.believed;
        let expected = at.plus_millis(boot_ms.saturating_sub(at_ms));
        let has_leapt = wall.millis_since(expected) > LEAP_MS;
        if has_leapt && boot_ms.saturating_sub(*self.ahead_since.get_or_insert(boot_ms)) < DOUBT_MS {
            return expected;
        }
        *self = Self::from(wall, boot_ms);
        wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    #[test]
    fn a_clock_that_leaps_ahead_is_believed_a_day_later() {
        let at = Timestamp::from_millis;
        let mut ageing = Ageing::from(at(100 * DAY), 0);
        for (wall, boot, expected) in [
            (100 * DAY + HOUR, HOUR, 100 * DAY + HOUR),
            // It leaps a month ahead, and is set right after five hours.
            (130 * DAY, 2 * HOUR, 100 * DAY + 2 * HOUR),
            (130 * DAY + 4 * HOUR, 6 * HOUR, 100 * DAY + 6 * HOUR),
            (100 * DAY + 7 * HOUR, 7 * HOUR, 100 * DAY + 7 * HOUR),
            // A leap that stays is a clock that was wrong before.
            (130 * DAY, 8 * HOUR, 100 * DAY + 8 * HOUR),
            (131 * DAY - 1, 8 * HOUR + DAY - 1, 101 * DAY + 8 * HOUR - 1),
            (131 * DAY, 8 * HOUR + DAY, 131 * DAY),
            (131 * DAY + HOUR, 9 * HOUR + DAY, 131 * DAY + HOUR),
            // One that goes back makes nothing older.
            (90 * DAY, 10 * HOUR + DAY, 90 * DAY),
            (90 * DAY + HOUR, 11 * HOUR + DAY, 90 * DAY + HOUR),
        ] {
            assert_eq!(ageing.now(at(wall), boot), at(expected), "{wall} {boot}");
        }
    }
}
