//! History as a table of comma-separated values, page by page: the shape of [`nightbell_charts::write_csv`], for answers that are too
//! long to be held. Pure; where pages come from is the caller's.

use crate::digits::{Moments, push_cell};
use nightbell_charts::csv_field;
use nightbell_model::{SeriesKey, Timestamp};
use nightbell_store::ExportPage;
use std::ops::Range;

/// A hole of more than so many usual spacings between raw samples is a gap, as in answers that are given whole.
const HOLE_SPACINGS: i64 = 3;

/// A table that is being written.
#[derive(Debug)]
pub(crate) struct Table {
    moments: Moments,
    /// The decimals that each column had last.
    decimals: Vec<u8>,
    marks_gaps: bool,
    /// The usual distance between raw samples, as the first page that has some tells it.
    spacing: Option<i64>,
    /// The last row that was written: its time and the width of its bucket.
    last: Option<(Timestamp, Option<i64>)>,
}

impl Table {
    /// A table of these series; writes its header. Where `marks_gaps`, each stretch without rows is one row of empty cells.
    pub(crate) fn new(out: &mut Vec<u8>, series: &[SeriesKey], marks_gaps: bool) -> Self {
        out.extend_from_slice(b"time_utc");
        for key in series {
            out.push(b',');
            out.extend_from_slice(csv_field(key.as_str()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        Self { moments: Moments::default(), decimals: vec![2; series.len()], marks_gaps, spacing: None, last: None }
    }

    /// Writes some of the rows of the next page.
    pub(crate) fn rows(&mut self, out: &mut Vec<u8>, page: &ExportPage, rows: Range<usize>) {
        self.spacing = self.spacing.or_else(|| usual_spacing(page));
        for (row, time) in rows.clone().zip(page.times.get(rows).unwrap_or_default()) {
            let width = page.widths.get(row).copied().flatten();
            if self.marks_gaps
                && let Some(gap) = self.gap_before(*time)
            {
                self.moments.push(out, gap);
                out.resize(out.len() + self.decimals.len(), b',');
                out.extend_from_slice(b"\r\n");
            }
            self.moments.push(out, *time);
            for (column, decimals) in page.mean.iter().zip(&mut self.decimals) {
                out.push(b',');
                push_cell(out, column[row], decimals);
            }
            out.extend_from_slice(b"\r\n");
            self.last = Some((*time, width));
        }
    }

    /// The time of the row that marks a gap between the last row and one at `time`, if there is one.
    fn gap_before(&self, time: Timestamp) -> Option<Timestamp> {
        let (last, width) = self.last?;
        let (usual, allowed) = match width {
            Some(width) => (width, width),
            None => (self.spacing?, self.spacing?.saturating_mul(HOLE_SPACINGS)),
        };
        (time.millis_since(last) > allowed).then(|| last.plus_millis(usual))
    }
}

/// The median distance between neighbouring raw samples, those at the same moment left out.
fn usual_spacing(page: &ExportPage) -> Option<i64> {
    let is_raw = |at: usize| page.widths.get(at).is_some_and(Option::is_none);
    let mut distances: Vec<i64> = (1..page.times.len())
        .filter(|at| is_raw(*at) && is_raw(at - 1))
        .map(|at| page.times[at].millis_since(page.times[at - 1]))
        .filter(|distance| *distance > 0)
        .collect();
    let middle = distances.len().checked_sub(1)? / 2;
    Some(*distances.select_nth_unstable(middle).1)
}
