//! A token bucket: so many a second, and a burst after a rest. Pure: the caller says what time it is.

/// Heartbeats an agent may send each second over a long time: a thousand times what agents send by themselves.
pub(crate) const HEARTBEATS_PER_SECOND: u32 = 1000;
/// Heartbeats an agent may send at once after a rest: a whole day's buffer at 15 s is 5,760.
pub(crate) const BURST: u32 = 10_000;

/// What is left of one agent's allowance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenBucket {
    per_second: f64,
    burst: f64,
    /// Below 0 while an oversized take is paid off.
    tokens: f64,
    at_ms: u64,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(per_second: u32, burst: u32, now_ms: u64) -> Self {
        Self { per_second: f64::from(per_second), burst: f64::from(burst), tokens: f64::from(burst), at_ms: now_ms }
    }

    /// Takes `count` at `now_ms` of any clock that never goes back.
    ///
    /// # Errors
    /// In how many milliseconds it would succeed (nothing is taken now). A count beyond the burst needs a full bucket.
    pub fn take(&mut self, count: usize, now_ms: u64) -> Result<(), u64> {
        self.refill(now_ms);
        let count = count_of(count);
        let missing = count.min(self.burst) - self.tokens;
        if missing > 0.0 {
            return Err(self.wait_ms(missing).max(1));
        }
        self.tokens -= count;
        Ok(())
    }

    /// Takes `count` at `now_ms` whatever is there; in how many milliseconds the debt is paid, 0 if there is none.
    pub fn overdraw(&mut self, count: usize, now_ms: u64) -> u64 {
        self.refill(now_ms);
        self.tokens -= count_of(count);
        self.wait_ms(-self.tokens)
    }

    fn refill(&mut self, now_ms: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a pause in milliseconds is far below 2^53")]
        let elapsed_s = now_ms.saturating_sub(self.at_ms) as f64 / 1000.0;
        self.tokens = (self.tokens + elapsed_s * self.per_second).min(self.burst);
        self.at_ms = self.at_ms.max(now_ms);
    }

    /// How long it takes to gain so many tokens; 0 for none and fewer.
    fn wait_ms(&self, tokens: f64) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates at 0")]
        let wait_ms = (tokens / self.per_second * 1000.0).ceil() as u64;
        wait_ms
    }

    /// Whether the bucket is full again at `now_ms`: then it need not be remembered.
    #[must_use]
    pub fn is_full(&self, now_ms: u64) -> bool {
        let mut later = *self;
        later.refill(now_ms);
        later.tokens >= later.burst
    }
}

fn count_of(count: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "heartbeats of a message are few")]
    let count = count as f64;
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = TokenBucket::new(1000, 10_000, 0);
        assert_eq!(bucket.take(6000, 0), Ok(()));
        assert_eq!(bucket.take(4000, 0), Ok(()));
        assert_eq!(bucket.take(1, 0), Err(1));
        assert_eq!(bucket.take(500, 0), Err(500));
        assert_eq!(bucket.take(500, 499), Err(1));
        assert_eq!(bucket.take(500, 500), Ok(()));
        assert!(!bucket.is_full(500) && bucket.is_full(10_500));
    }

    #[test]
    fn more_than_the_burst_is_paid_off_afterwards() {
        let mut bucket = TokenBucket::new(10, 20, 1000);
        assert_eq!(bucket.take(50, 1000), Ok(()));
        assert_eq!(bucket.take(1, 1000), Err(3100));
        assert_eq!(bucket.take(1, 4100), Ok(()));
    }

    #[test]
    fn an_overdrawn_bucket_says_when_the_debt_is_paid() {
        let mut bucket = TokenBucket::new(1000, 10_000, 0);
        assert_eq!(bucket.overdraw(6000, 0), 0);
        assert_eq!(bucket.overdraw(4000, 0), 0);
        assert_eq!(bucket.overdraw(1500, 0), 1500);
        assert_eq!(bucket.overdraw(10, 1500), 10);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = TokenBucket::new(1, 1, 5000);
        assert_eq!(bucket.take(1, 5000), Ok(()));
        assert_eq!(bucket.take(1, 0), Err(1000));
        assert_eq!(bucket.take(1, 6000), Ok(()));
    }
}
