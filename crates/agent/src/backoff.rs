//! How long to wait before the next attempt to connect: full jitter, so that agents that lost one hub together do not come back
//! together. Pure: chance is handed in.

/// A connection that lasted this long was a good one: the next loss starts from the beginning.
const GOOD_AFTER_MS: i64 = 60_000;
/// The first wait is at most this long.
const FIRST_MS: i64 = 1_000;

/// The attempts since the last good connection.
#[derive(Debug, Clone)]
pub struct Backoff {
    most_ms: i64,
    attempts: u32,
}

impl Backoff {
    /// Waits of at most `most_ms`.
    #[must_use]
    pub fn new(most_ms: i64) -> Self {
        Self { most_ms: most_ms.max(FIRST_MS), attempts: 0 }
    }

    /// A connection was lost after it had been up for `lasted_ms` (0 if it never was).
    pub fn lost(&mut self, lasted_ms: i64) {
        self.attempts = if lasted_ms >= GOOD_AFTER_MS { 0 } else { self.attempts.saturating_add(1) };
    }

    /// How long to wait now: anything up to 1 s, 2 s, 4 s and so on, by `chance`.
    #[must_use]
    pub fn wait_ms(&self, chance: u64) -> i64 {
        jitter(self.ceiling_ms(), chance)
    }

    /// How long to wait when trying again can hardly help (a credential that is no longer known): near the longest wait.
    #[must_use]
    pub fn long_wait_ms(&self, chance: u64) -> i64 {
        self.most_ms / 2 + jitter(self.most_ms / 2, chance)
    }

    fn ceiling_ms(&self) -> i64 {
        let doublings = self.attempts.saturating_sub(1).min(20);
        (FIRST_MS << doublings).min(self.most_ms)
    }
}

/// A whole number from 1 to `most`.
#[must_use]
pub fn jitter(most: i64, chance: u64) -> i64 {
    let most = u64::try_from(most).unwrap_or(0).max(1);
    i64::try_from(chance % most + 1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_the_most_and_are_spread_below_it() {
        let mut backoff = Backoff::new(60_000);
        let mut ceilings = Vec::new();
        for _ in 0..9 {
            backoff.lost(0);
            ceilings.push(backoff.ceiling_ms());
            for chance in [0, 1, u64::MAX / 2, u64::MAX] {
                assert!((1..=backoff.ceiling_ms()).contains(&backoff.wait_ms(chance)));
            }
        }
        assert_eq!(ceilings, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        assert_eq!(backoff.wait_ms(0), 1, "full jitter reaches down to nothing");
    }

    #[test]
    fn a_minute_up_starts_anew() {
        let mut backoff = Backoff::new(60_000);
        for _ in 0..5 {
            backoff.lost(0);
        }
        backoff.lost(59_999);
        assert_eq!(backoff.ceiling_ms(), 32_000);
        backoff.lost(60_000);
        assert_eq!(backoff.ceiling_ms(), 1_000);
    }

    #[test]
    fn hopeless_attempts_are_rare() {
        let backoff = Backoff::new(60_000);
        assert!((30_001..=60_000).contains(&backoff.long_wait_ms(12_345)));
    }
}
