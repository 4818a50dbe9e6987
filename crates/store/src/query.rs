//! Parts of a range query that every engine reads the same way. Pure.

use crate::seams::RangeQuery;
use nightbell_model::{SeriesKey, Timestamp};

/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;

impl RangeQuery {
    /// Whether a series is asked for: by its key, by its metric's name, or because everything is.
    #[must_use]
    pub fn wants(&self, key: &SeriesKey) -> bool {
        self.series.is_empty() || self.series.iter().any(|wanted| wanted == key.as_str() || wanted == key.metric())
    }

    /// The part of the span in which there may be anything, given the oldest and the newest moment there is something at. The
    /// oldest is taken by its day, so that rolling up changes nothing; nothing is left of a span beside the history.
    pub(crate) fn clip(&self, oldest: Timestamp, newest: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let start = self.start.max(oldest.floor_to(DAY_MS));
        let end = self.end.min(newest.plus_millis(1));
        (start < end).then_some((start, end))
    }
}
