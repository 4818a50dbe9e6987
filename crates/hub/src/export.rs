//! Long tables of history, read and written a page at a time: however long the whole is, no more than a page is held, and no
//! snapshot of the store stays open while the receiver takes its time.

use crate::table::Table;
use nightbell_model::{AgentId, SeriesKey, Tier, Timestamp};
use nightbell_store::{ExportCursor, ExportPage, ExportQuery, MetricStore, RangeQuery, StoreError};
use std::sync::Arc;

/// About so many values are read at once: half a day of a hundred series.
const PAGE_VALUES: usize = 300_000;
/// About so many values are written at once: two hundred kilobytes of text.
const PIECE_VALUES: usize = 32_000;
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
    /// What was read last, and how many rows of it are written.
    page: ExportPage,
    written: usize,
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
        Ok(Self {
            metrics,
            is_done: query.series.is_empty(),
            query,
            table: None,
            marks_gaps: wanted.marks_gaps,
            page: ExportPage::default(),
            written: 0,
        })
    }

    /// The columns.
    pub(crate) fn series(&self) -> &[SeriesKey] {
        &self.query.series
    }

    /// The next piece of text, beginning with the header; `None` at the end.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let width = self.query.series.len() + 1;
        let rows = (PIECE_VALUES / width).max(1);
        let mut out = Vec::with_capacity(rows * (20 + 7 * width));
        if self.table.is_none() {
            self.table = Some(Table::new(&mut out, &self.query.series, self.marks_gaps));
        }
        while self.written == self.page.times.len() && !self.is_done {
            self.page = self.metrics.export_page(&self.query)?;
            self.written = 0;
            self.is_done = !advance(&mut self.query.cursor, self.page.next);
        }
        let until = (self.written + rows).min(self.page.times.len());
        if let Some(table) = &mut self.table {
            table.rows(&mut out, &self.page, self.written..until);
        }
        self.written = until;
        Ok(Some(out).filter(|out| !out.is_empty()))
    }
}

/// Moves to the next page, if there is one; a cursor that stands still would never come to an end.
fn advance(cursor: &mut Option<ExportCursor>, next: Option<ExportCursor>) -> bool {
    let moves = next.is_some() && *cursor != next;
    *cursor = next;
    moves
}
