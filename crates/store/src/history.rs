//! What the history seam is asked and what it answers: plain questions and answers, no engine in them.

use nightbell_model::{AgentId, SeriesKey, Tier, Timestamp};

/// A question for history: some series of one agent over `start..end`.
#[derive(Debug, Clone)]
pub struct RangeQuery {
    /// Whose.
    pub agent: AgentId,
    /// Full series keys, or bare metric names that stand for all their series. Empty is everything.
    pub series: Vec<String>,
    /// The first moment wanted.
    pub start: Timestamp,
    /// The first moment not wanted.
    pub end: Timestamp,
    /// `None` lets the store choose by span and point budget.
    pub tier: Option<Tier>,
    /// At most about so many points on the time axis when the store chooses; a tier named outright is answered whole.
    pub max_points: usize,
    /// The hub's time: what tiers still hold depends on it.
    pub now: Timestamp,
}

/// For how long each tier is kept, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Raw heartbeats.
    pub raw_ms: i64,
    /// Five-minute buckets.
    pub five_minutes_ms: i64,
    /// Hourly buckets.
    pub hourly_ms: i64,
    /// Daily buckets.
    pub daily_ms: i64,
    /// Events, ended incidents, deliveries but for dead ones, audit lines.
    pub log_ms: i64,
    /// The file may grow to about so many bytes; what would make it larger goes early, oldest raw first.
    pub max_bytes: Option<u64>,
}

/// Deliveries that were given up can be sent again for so long, in milliseconds; after that nobody wants to hear of them.
const DEAD_MS: i64 = 30 * 86_400_000;

impl Retention {
    /// From when on logs are kept at `now`.
    pub(crate) const fn logs_from(&self, now: Timestamp) -> Timestamp {
        now.plus_millis(-self.log_ms)
    }

    /// From when on deliveries that were given up are kept at `now`, whatever is set for logs.
    pub(crate) const fn dead_from(now: Timestamp) -> Timestamp {
        now.plus_millis(-DEAD_MS)
    }

    /// How long `tier` is kept.
    #[must_use]
    pub const fn of(&self, tier: Tier) -> i64 {
        match tier {
            Tier::Raw => self.raw_ms,
            Tier::FiveMinutes => self.five_minutes_ms,
            Tier::Hourly => self.hourly_ms,
            Tier::Daily => self.daily_ms,
        }
    }
}

impl Retention {
    /// When blocks are packed under these ages: raw that is removed by hours is not packed by days.
    #[must_use]
    pub fn packing(&self, at_once: bool) -> SealPolicy {
        let policy = if at_once { SealPolicy::AT_ONCE } else { SealPolicy::default() };
        let by_days = self.raw_ms >= crate::retention::WHOLE_DAYS_FROM_MS;
        SealPolicy { dense_after_ms: policy.dense_after_ms.filter(|_| by_days), ..policy }
    }
}

impl Default for Retention {
    /// Raw 7 days, 5-minute 30 days, hourly 7 days, daily 90 days, logs 90 days.
    fn default() -> Self {
        const DAY: i64 = 86_400_000;
        Self {
            raw_ms: 7 * DAY,
            five_minutes_ms: 30 * DAY,
            hourly_ms: 7 * DAY,
            daily_ms: 90 * DAY,
            log_ms: 90 * DAY,
            max_bytes: None,
        }
    }
}

/// What a round of housekeeping did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Housekeeping {
    /// Buckets written or corrected.
    pub buckets: u64,
    /// Rows removed.
    pub removed: u64,
    /// Chunks written.
    pub chunks: u64,
}

/// How large the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Bytes of the file and its log.
    pub bytes: u64,
    /// Damaged pieces met since the store was opened, each counted once.
    pub damaged: u64,
}

/// When blocks of history are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealPolicy {
    /// A quarter of an hour is sealed so long after its end, in milliseconds: most late heartbeats have come by then.
    pub settle_ms: i64,
    /// Agents' quarters are sealed spread over so long, in milliseconds.
    pub stagger_ms: i64,
    /// A day is packed densely so long after its end, in milliseconds; `None` is never.
    pub dense_after_ms: Option<i64>,
}

impl SealPolicy {
    /// The block of young chunks, in milliseconds: a quarter of an hour.
    pub const YOUNG_MS: i64 = 900_000;

    /// Everything whose quarter of an hour is over is packed at once, and every day that is over densely.
    pub const AT_ONCE: Self = Self { settle_ms: 0, stagger_ms: 0, dense_after_ms: Some(0) };
}

impl Default for SealPolicy {
    /// Quarters of an hour after three minutes, spread over four; days after six hours. Rows cost a question ten times what a chunk
    /// does, so that they do not stay longer than it takes most heartbeats to come.
    fn default() -> Self {
        Self { settle_ms: 180_000, stagger_ms: 240_000, dense_after_ms: Some(6 * 3_600_000) }
    }
}

/// How far scrubbing has come. The default is the beginning; at the end it begins again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubPlace {
    /// Which part of the store.
    pub part: u32,
    /// The last row looked at in that part.
    pub after: i64,
}

impl ScrubPlace {
    /// Where the rows have been looked at, and the pages of tables and indexes come.
    pub const PAGES: Self = Self { part: 7, after: 0 };
}

/// What a stretch of scrubbing found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScrubReport {
    /// Rows and chunks looked at.
    pub checked: u64,
    /// What was damaged, in words.
    pub found: Vec<String>,
    /// Whether it has come round to the beginning.
    pub is_round: bool,
}

/// A question for one metric over many agents.
#[derive(Debug, Clone)]
pub struct FleetQuery {
    /// Agents, by the groups they are joined in. One agent may be in several.
    pub groups: Vec<Vec<AgentId>>,
    /// A full series key, or a bare metric name that stands for all its series of an agent.
    pub series: String,
    /// The first moment wanted.
    pub start: Timestamp,
    /// The first moment not wanted.
    pub end: Timestamp,
    /// The width of a step in milliseconds, at least 1; steps are aligned to multiples of it, and those at both ends are whole.
    pub step_ms: i64,
}

impl FleetQuery {
    /// The starts of its steps.
    #[must_use]
    pub fn steps(&self) -> Vec<Timestamp> {
        let step = self.step_ms.max(1);
        let first = self.start.floor_to(step);
        std::iter::successors(Some(first), |time| Some(time.plus_millis(step))).take_while(|time| *time < self.end).collect()
    }
}

/// The answer to a [`FleetQuery`]: for each group as many values as there are steps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FleetFrame {
    /// The starts of the steps.
    pub times: Vec<Timestamp>,
    /// The groups, in the order of the question.
    pub groups: Vec<FleetColumn>,
}

/// One group over the steps of its frame; NaN where no agent of the group has a sample.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FleetColumn {
    /// The mean over the agents of each agent's mean: an agent that sends more often weighs no more.
    pub mean: Vec<f64>,
    /// The smallest sample.
    pub min: Vec<f64>,
    /// The largest sample.
    pub max: Vec<f64>,
    /// How many agents have a sample.
    pub count: Vec<u32>,
}

/// A question for the next rows of a long answer.
#[derive(Debug, Clone)]
pub struct ExportQuery {
    /// Whose.
    pub agent: AgentId,
    /// The columns, in the order of the answer.
    pub series: Vec<SeriesKey>,
    /// The first moment wanted.
    pub start: Timestamp,
    /// The first moment not wanted.
    pub end: Timestamp,
    /// The tier; where it holds nothing any more, coarser ones answer.
    pub tier: Tier,
    /// Where the page before ended; `None` for the first.
    pub cursor: Option<ExportCursor>,
    /// At least one and at most so many rows, as long as there are any. A page may end before, where reading on would read again
    /// what does not fit.
    pub max_rows: usize,
}

/// The place between two rows of a long answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportCursor {
    /// The time from which on rows follow.
    pub time: Timestamp,
    /// How many rows of just that time were given.
    pub given: usize,
    /// How long a stretch is that about fills a page, in milliseconds; 0 where that is not known.
    pub stretch_ms: i64,
}

/// Some rows of a long answer. There are no rows for gaps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExportPage {
    /// The time of each row, ascending.
    pub times: Vec<Timestamp>,
    /// How wide the bucket of each row is, in milliseconds; `None` is a raw sample.
    pub widths: Vec<Option<i64>>,
    /// For each series asked for as many values as rows, NaN where there is none: the value on raw, the mean of a bucket.
    pub mean: Vec<Vec<f64>>,
    /// The same with the smallest value; empty on rows of raw alone, where it is the value.
    pub min: Vec<Vec<f64>>,
    /// The same with the largest value; empty on rows of raw alone, where it is the value.
    pub max: Vec<Vec<f64>>,
    /// Where the next page begins, if there may be one.
    pub next: Option<ExportCursor>,
}

/// What became of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// Heartbeats stored.
    pub stored: u64,
    /// Heartbeats at whose time there was one already.
    pub duplicates: u64,
    /// Heartbeats from before what is still open: their buckets cannot be made again.
    pub too_old: u64,
}

/// A stretch of history that is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its first moment.
    pub start: Timestamp,
    /// Its first moment no more.
    pub end: Timestamp,
    /// What is wrong with it.
    pub why: String,
}
