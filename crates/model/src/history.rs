//! History as queries answer it: columns over one shared time axis. Choosing tiers and reading storage is left to the store.

use crate::series::SeriesKey;
use crate::time::Timestamp;

/// At which resolution history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Every heartbeat as it came.
    Raw,
    /// Buckets of five minutes.
    FiveMinutes,
    /// Buckets of one hour.
    Hourly,
    /// Buckets of one day (UTC).
    Daily,
}

impl Tier {
    /// All tiers, finest first.
    pub const ALL: [Self; 4] = [Self::Raw, Self::FiveMinutes, Self::Hourly, Self::Daily];
    /// The tiers that hold buckets, finest first.
    pub const ROLLUPS: [Self; 3] = [Self::FiveMinutes, Self::Hourly, Self::Daily];

    /// The width of a bucket in milliseconds; `None` on raw, whose spacing is the agent's.
    #[must_use]
    pub const fn width_ms(self) -> Option<i64> {
        match self {
            Self::Raw => None,
            Self::FiveMinutes => Some(5 * 60_000),
            Self::Hourly => Some(3_600_000),
            Self::Daily => Some(86_400_000),
        }
    }

    /// The name used in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::FiveMinutes => "5m",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
        }
    }

    /// The tier called `name` in the API.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

/// One series over the time axis of its frame. A missing value is NaN in all three columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Which series.
    pub key: SeriesKey,
    /// The mean of each bucket; on raw the value itself.
    pub mean: Vec<f64>,
    /// The smallest value in each bucket; on raw the value itself.
    pub min: Vec<f64>,
    /// The largest value in each bucket; on raw the value itself.
    pub max: Vec<f64>,
}

/// The answer to a range query: some series of one agent over `start..end`.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The first moment asked for.
    pub start: Timestamp,
    /// The first moment not asked for any more.
    pub end: Timestamp,
    /// The tiers the answer was stitched from, finest first; empty when nothing was there.
    pub tiers: Vec<Tier>,
    /// The width of the answer's buckets in milliseconds (the finest, if they differ); `None` when it is raw samples.
    pub step_ms: Option<i64>,
    /// The start of each bucket, or the time of each raw sample, ascending.
    pub times: Vec<Timestamp>,
    /// The series, each as long as `times`.
    pub columns: Vec<Column>,
}

impl Frame {
    /// A frame that found nothing.
    #[must_use]
    pub const fn empty(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end, tiers: Vec::new(), step_ms: None, times: Vec::new(), columns: Vec::new() }
    }
}
