//! How fast each kind of channel may be spoken to, as a token bucket that is told the time. Keeping one per channel is left to
//! the hub.

/// The rate of a kind of channel: so many messages at once, and one more each time a spacing has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelRate {
    /// How many may go out at once after a rest.
    pub burst: u32,
    /// After how many milliseconds one more may go out.
    pub spacing_ms: i64,
}

impl ChannelRate {
    /// Five messages in 2 s for each webhook (measured by users of Discord's API; what it refuses beyond says how long to wait). Two at once
    /// and then evenly, so that no two seconds have more than five: a bucket of five would be filled up again meanwhile.
    pub const DISCORD: Self = Self { burst: 2, spacing_ms: 550 };
    /// One message a second for each webhook (<https://api.slack.com/apis/rate-limits>).
    pub const SLACK: Self = Self { burst: 1, spacing_ms: 1_000 };
    /// Ten mails a minute after twenty at once: below what common relays grant one sender.
    pub const SMTP: Self = Self { burst: 20, spacing_ms: 6_000 };
    /// Ten requests a second: a receiver of one's own has no stated limit, but need not be flooded.
    pub const WEBHOOK: Self = Self { burst: 10, spacing_ms: 100 };

    /// The rate of the channel kind `webhook`, `smtp`, `discord` or `slack`.
    #[must_use]
    pub fn of(kind: &str) -> Option<Self> {
        match kind {
            "discord" => Some(Self::DISCORD),
            "slack" => Some(Self::SLACK),
            "smtp" => Some(Self::SMTP),
            "webhook" => Some(Self::WEBHOOK),
            _ => None,
        }
    }
}

/// One channel's allowance. Time is handed in, in milliseconds of a clock that does not step.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate: ChannelRate,
    /// When the bucket will be full again.
    full_at_ms: i64,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub const fn new(rate: ChannelRate) -> Self {
        Self { rate, full_at_ms: i64::MIN }
    }

    /// Takes one token at `now_ms`.
    ///
    /// # Errors
    /// How many milliseconds to wait for one, if there is none; nothing is taken then.
    pub fn take(&mut self, now_ms: i64) -> Result<(), i64> {
        let full_at = self.full_at_ms.max(now_ms);
        let capacity = self.rate.spacing_ms.saturating_mul(i64::from(self.rate.burst));
        let next_full_at = full_at.saturating_add(self.rate.spacing_ms);
        let wait = next_full_at.saturating_sub(now_ms).saturating_sub(capacity);
        if wait > 0 {
            return Err(wait);
        }
        self.full_at_ms = next_full_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_per_spacing() {
        let mut bucket = TokenBucket::new(ChannelRate { burst: 5, spacing_ms: 400 });
        for _ in 0..5 {
            assert_eq!(bucket.take(1_000), Ok(()));
        }
        assert_eq!(bucket.take(1_000), Err(400));
        assert_eq!(bucket.take(1_399), Err(1));
        assert_eq!(bucket.take(1_400), Ok(()));
        assert_eq!(bucket.take(1_400), Err(400));
    }

    #[test]
    fn discord_never_gets_more_than_five_in_two_seconds() {
        let mut bucket = TokenBucket::new(ChannelRate::DISCORD);
        let taken: Vec<i64> = (0..20_000).filter(|ms| bucket.take(*ms).is_ok()).collect();
        let most = taken.iter().map(|from| taken.iter().filter(|ms| (*from..from + 2_000).contains(ms)).count()).max();
        assert_eq!(most, Some(5), "{taken:?}");
        assert!(taken.len() > 30, "one each 550 ms");
    }

    #[test]
    fn a_rest_fills_it_up_but_not_over() {
        let mut bucket = TokenBucket::new(ChannelRate::SLACK);
        assert_eq!(bucket.take(0), Ok(()));
        assert_eq!(bucket.take(0), Err(1_000));
        assert_eq!(bucket.take(1_000_000), Ok(()));
        assert_eq!(bucket.take(1_000_000), Err(1_000));
    }

    #[test]
    fn every_kind_has_a_rate() {
        for kind in ["webhook", "smtp", "discord", "slack"] {
            assert!(ChannelRate::of(kind).is_some(), "{kind}");
        }
        assert_eq!(ChannelRate::of("fax"), None);
    }
}
