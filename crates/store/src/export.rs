//! Long answers a page at a time: which stretch is read next, and where a page ends. Pure; reading rows is left to the engine.

use crate::history::{ExportCursor, ExportPage, ExportQuery};
use crate::resolution::Segment;
use crate::rollup::Bucket;
use nightbell_model::{Tier, Timestamp};

/// Takes the rows of a stretch, in the order of time.
pub(crate) type Rows<'a, E> = &'a mut dyn FnMut(Timestamp, &[Bucket]) -> Result<(), E>;

/// So long a stretch of a tier is read at once, in milliseconds: some hundred rows, and at most what one chunk holds.
const fn stretch_ms(tier: Tier) -> i64 {
    match tier {
        Tier::Raw => 3_600_000,
        Tier::FiveMinutes => 86_400_000,
        Tier::Hourly => 8 * 86_400_000,
        Tier::Daily => 256 * 86_400_000,
    }
}

/// The stretch of raw that about fills a page of `max_rows`, after one of `stretch_ms` had so many rows: whole hours that divide a
/// day, since a day is the longest chunk and is unpacked as a whole for whatever part of it is read.
fn fitting_ms(stretch_ms: i64, rows: usize, max_rows: usize) -> i64 {
    const HOUR_MS: i64 = 3_600_000;
    let count = |rows: usize| i64::try_from(rows.max(1)).unwrap_or(i64::MAX);
    let ideal = stretch_ms.saturating_mul(count(max_rows)) / count(rows);
    [24, 12, 8, 6, 4, 3, 2].into_iter().map(|hours| hours * HOUR_MS).find(|fitting| *fitting <= ideal).unwrap_or(HOUR_MS)
}

/// The rows of one page so far.
struct Filling<'a> {
    page: ExportPage,
    decimals: &'a [u8],
    cursor: Option<ExportCursor>,
    /// Rows that were given by the page before and are met again.
    skipped: usize,
    /// How many stored rows each row of the page is made of.
    parts: Vec<usize>,
}

impl Filling<'_> {
    fn row(&mut self, tier: Tier, time: Timestamp, values: &[Bucket]) {
        if let Some(cursor) = self.cursor
            && (time < cursor.time || (time == cursor.time && self.skipped < cursor.given))
        {
            self.skipped += usize::from(time == cursor.time);
            return;
        }
        if tier == Tier::Raw && self.completes(time, values) {
            return self.complete(values);
        }
        if tier != Tier::Raw {
            self.widen();
        }
        self.parts.push(1);
        self.page.times.push(time);
        self.page.widths.push(tier.width_ms());
        let has_extremes = !self.page.min.is_empty();
        for (at, (bucket, decimals)) in values.iter().zip(self.decimals).enumerate() {
            let [mean, min, max] = match (bucket.count, tier) {
                (0, _) => [f64::NAN; 3],
                (_, Tier::Raw) => [bucket.last; 3],
                _ => [bucket.mean(*decimals), bucket.min, bucket.max],
            };
            self.page.mean[at].push(mean);
            if has_extremes {
                self.page.min[at].push(min);
                self.page.max[at].push(max);
            }
        }
    }

    /// Whether a raw row says of the moment of the last one what that left open, and nothing else, as in an answer to a range: such
    /// rows come from tables that were imported one after the other.
    fn completes(&self, time: Timestamp, values: &[Bucket]) -> bool {
        let is_beside = self.page.times.last() == Some(&time) && self.page.widths.last() == Some(&None);
        let is_open = |column: &Vec<f64>| column.last().is_some_and(|value| value.is_nan());
        is_beside && self.page.mean.iter().zip(values).all(|(column, value)| value.count == 0 || is_open(column))
    }

    fn complete(&mut self, values: &[Bucket]) {
        for columns in [&mut self.page.mean, &mut self.page.min, &mut self.page.max] {
            let with_values = columns.iter_mut().zip(values).filter(|(_, value)| value.count > 0);
            with_values
                .filter_map(|(column, value)| Some((column.last_mut()?, value)))
                .for_each(|(last, value)| *last = value.last);
        }
        self.parts.last_mut().into_iter().for_each(|parts| *parts += 1);
    }

    /// Gives the page columns of extremes, which are the values themselves so far.
    fn widen(&mut self) {
        if self.page.min.is_empty() {
            self.page.min.clone_from(&self.page.mean);
            self.page.max.clone_from(&self.page.mean);
        }
    }

    /// The page, after which rows from `next` on follow. What does not fit is left for the next page.
    fn cut(mut self, max_rows: usize, next: Timestamp, stretch_ms: i64) -> ExportPage {
        let page = &mut self.page;
        if page.times.len() <= max_rows {
            page.next = Some(ExportCursor { time: next, given: 0, stretch_ms });
            return self.page;
        }
        page.times.truncate(max_rows);
        page.widths.truncate(max_rows);
        self.parts.truncate(max_rows);
        page.mean.iter_mut().chain(&mut page.min).chain(&mut page.max).for_each(|column| column.truncate(max_rows));
        if let Some(time) = page.times.last().copied() {
            let of_this_time = page.times.iter().zip(&self.parts).rev().take_while(|(other, _)| **other == time);
            let same: usize = of_this_time.map(|(_, parts)| parts).sum();
            let before = self.cursor.filter(|cursor| cursor.time == time).map_or(0, |cursor| cursor.given);
            page.next = Some(ExportCursor { time, given: before + same, stretch_ms });
        }
        self.page
    }
}

/// Reads the next page of `query` over `segments`. `read` gives the rows of a stretch of a tier with a bucket for each series
/// asked for, whose decimals are `decimals`.
///
/// # Errors
/// What `read` says.
pub(crate) fn page<E>(
    query: &ExportQuery,
    segments: &[Segment],
    decimals: &[u8],
    mut read: impl FnMut(Tier, (Timestamp, Timestamp), Rows<'_, E>) -> Result<(), E>,
) -> Result<ExportPage, E> {
    let page = ExportPage { mean: vec![Vec::new(); query.series.len()], ..ExportPage::default() };
    let mut filling = Filling { page, decimals, cursor: query.cursor, skipped: 0, parts: Vec::new() };
    let from = query.cursor.map_or(Timestamp::MIN, |cursor| cursor.time);
    let max_rows = query.max_rows.max(1);
    for segment in segments.iter().filter(|segment| segment.end > from) {
        let known = query.cursor.map_or(0, |cursor| cursor.stretch_ms);
        let mut usual = if segment.tier == Tier::Raw && known > 0 { known } else { stretch_ms(segment.tier) };
        let (mut at, mut stretch) = (segment.start.max(from), usual);
        while at < segment.end {
            let end = at.plus_millis(stretch).floor_to(usual).max(at.plus_millis(1)).min(segment.end);
            let before = filling.page.times.len();
            read(segment.tier, (at, end), &mut |time, values| {
                filling.row(segment.tier, time, values);
                Ok(())
            })?;
            let rows = filling.page.times.len() - before;
            if rows > 0 && segment.tier == Tier::Raw {
                usual = fitting_ms(end.millis_since(at), rows, max_rows);
            }
            // What is empty is crossed ever faster.
            stretch = if rows == 0 { stretch.saturating_mul(2) } else { usual };
            at = end;
            // A page that is half full ends with a stretch: reading on would read again what does not fit.
            if filling.page.times.len() >= max_rows.div_ceil(2) {
                return Ok(filling.cut(max_rows, at, usual));
            }
        }
    }
    Ok(filling.page)
}
