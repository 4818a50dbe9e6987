//! Parts of a range query that every engine reads the same way. Pure.

use crate::seams::RangeQuery;
use nightbell_model::{SeriesKey, Timestamp};

/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;

impl RangeQuery {
    /// Whether a series is asked for: by its key, by its metric's name, or because everything is.
    #[must_use]
    pub fn wants(&self, key: &SeriesKey) -> bool {
        self.series.is_empty() || self.series.iter().any(|wanted| names(wanted, key))
    }
}

/// The part of a span in which there may be anything, given the oldest and the newest moment there is something at. The oldest is
/// taken by its day, so that rolling up changes nothing; nothing is left of a span beside the history.
pub(crate) fn clip(
    (start, end): (Timestamp, Timestamp),
    (oldest, newest): (Timestamp, Timestamp),
) -> Option<(Timestamp, Timestamp)> {
    let (start, end) = (start.max(oldest.floor_to(DAY_MS)), end.min(newest.plus_millis(1)));
    (start < end).then_some((start, end))
}

/// Whether a series is what `wanted` names: its key, or its metric.
pub(crate) fn names(wanted: &str, key: &SeriesKey) -> bool {
    wanted == key.as_str() || wanted == key.metric()
}

/// One number for what an answer over a span depends on (FNV-1a over its parts).
pub(crate) fn revision_of(parts: &[i64]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |mark, byte| (mark ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
