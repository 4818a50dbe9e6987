//! Points in time, in whole milliseconds. Reading clocks and printing dates is left to the shells.

/// A moment: milliseconds since 1970-01-01T00:00:00Z, leap seconds ignored as in Unix time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest moment that can be said.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest moment that can be said.
    pub const MAX: Self = Self(i64::MAX);

    /// The moment `ms` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// The moment `s` seconds after the Unix epoch.
    #[must_use]
    pub const fn from_secs(s: i64) -> Self {
        Self(s.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Seconds since the Unix epoch with the milliseconds as a fraction (exact up to the year 287,396).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of any real date are far below 2^53")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// How many milliseconds this moment lies after `earlier`; negative if it lies before.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment moved by `ms` milliseconds, stopping at the ends of the range.
    #[must_use]
    pub const fn plus_millis(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The start of the bucket of `width_ms` milliseconds this moment lies in, buckets aligned to the epoch (so to UTC).
    #[must_use]
    pub const fn floor_to(self, width_ms: i64) -> Self {
        Self(self.0.div_euclid(width_ms).saturating_mul(width_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_aligned_to_the_epoch_on_both_sides_of_it() {
        assert_eq!(Timestamp::from_millis(59_999).floor_to(60_000), Timestamp::from_millis(0));
        assert_eq!(Timestamp::from_millis(60_000).floor_to(60_000), Timestamp::from_millis(60_000));
        assert_eq!(Timestamp::from_millis(-1).floor_to(60_000), Timestamp::from_millis(-60_000));
    }

    #[test]
    fn differences_saturate_instead_of_wrapping() {
        assert_eq!(Timestamp::MAX.millis_since(Timestamp::MIN), i64::MAX);
        assert_eq!(Timestamp::MAX.plus_millis(1), Timestamp::MAX);
    }
}
