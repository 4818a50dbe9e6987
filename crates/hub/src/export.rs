//! Long tables of history, read and written a page at a time: however long the whole is, no more than a page is held, and no
//! snapshot of the store stays open while the receiver takes its time.

use crate::table::Table;
use nightbell_model::{AgentId, SeriesKey, Tier, Timestamp};
use nightbell_store::{ExportCursor, ExportQuery, MetricStore, RangeQuery, StoreError};
use std::sync::Arc;

/// About so many values are read at once, half a day of a hundred series: two megabytes of text.
const PAGE_VALUES: usize = 300_000;
/// The fewest and the most rows of a page.
const PAGE_ROWS: (usize, usize) = (500, 10_000);

/// What is wanted of an agent's history.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Whose.
    pub(crate) agent: AgentId,
    /// Series keys and metric names; empty is everything.
    pub(crate) series: Vec<String>,
    /// The first moment wanted.
    pub(crate) start: Timestamp,
    /// The first moment not wanted.
    pub(crate) end: Timestamp,
    /// The tier; where it holds nothing any more, coarser ones answer.
    pub(crate) tier: Tier,
    /// Whether a stretch without rows is marked by a row of empty cells.
    pub(crate) marks_gaps: bool,
    /// The hub's time.
    pub(crate) now: Timestamp,
}

/// A table that is being written.
#[derive(Debug)]
pub(crate) struct Export {
    metrics: Arc<dyn MetricStore>,
    query: ExportQuery,
    table: Option<Table>,
    marks_gaps: bool,
    is_done: bool,
}

impl Export {
    /// Begins a table. Its columns are the series that have samples in the span, or in the buckets that touch it.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn begin(metrics: Arc<dyn MetricStore>, wanted: &Wanted) -> Result<Self, StoreError> {
        let outline = RangeQuery {
            agent: wanted.agent,
            series: wanted.series.clone(),
            start: wanted.start,
            end: wanted.end,
            tier: None,
            max_points: 1,
            now: wanted.now,
        };
        let frame = metrics.range(&outline)?;
        let series: Vec<SeriesKey> = frame.columns.into_iter().map(|column| column.key).collect();
        let (fewest, most) = PAGE_ROWS;
        let query = ExportQuery {
            agent: wanted.agent,
            start: wanted.start,
            end: wanted.end,
            tier: wanted.tier,
            cursor: None,
            max_rows: (PAGE_VALUES / (series.len() + 4)).clamp(fewest, most),
            series,
        };
        Ok(Self { metrics, is_done: query.series.is_empty(), query, table: None, marks_gaps: wanted.marks_gaps })
    }

    /// The columns.
    pub(crate) fn series(&self) -> &[SeriesKey] {
        &self.query.series
    }

    /// The text of the next page, the header before the first one; `None` at the end.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let mut out = Vec::new();
        let Self { query, table, marks_gaps, .. } = self;
        let is_first = table.is_none();
        let table = table.get_or_insert_with(|| Table::new(&mut out, &query.series, *marks_gaps));
        while !self.is_done && (out.is_empty() || is_first) {
            let page = self.metrics.export_page(query)?;
            out.reserve(page.times.len() * (26 + 6 * query.series.len()));
            table.rows(&mut out, &page);
            self.is_done = !advance(&mut query.cursor, page.next);
            if is_first {
                break;
            }
        }
        Ok(Some(out).filter(|out| !out.is_empty()))
    }
}

/// Moves to the next page, if there is one; a cursor that stands still would never come to an end.
fn advance(cursor: &mut Option<ExportCursor>, next: Option<ExportCursor>) -> bool {
    let moves = next.is_some() && *cursor != next;
    *cursor = next;
    moves
}
