//! Puts an answer together: columns over one time axis, joined into the step of the query, with gaps shown as gaps. Pure; the
//! rows come from the engine in the order of time.

use crate::rollup::Bucket;
use nightbell_model::{Column, Frame, SeriesKey, Tier, Timestamp};

/// A hole of more than so many usual spacings between raw samples is a gap.
const HOLE_SPACINGS: i64 = 3;

/// How far raw samples usually are apart: agents send so often if nobody says otherwise.
const USUAL_SPACING_MS: i64 = 15_000;
/// Room is made for so many rows at first; longer answers find more when they need it.
const MOST_ROOM: usize = 1_024;

/// A series that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Which.
    pub(crate) key: SeriesKey,
    /// Its decimals.
    pub(crate) decimals: u8,
}

/// What is kept of the rows given so far.
#[derive(Debug)]
pub(crate) struct Assembly {
    wanted: Vec<Wanted>,
    step_ms: Option<i64>,
    times: Vec<Timestamp>,
    /// How wide the bucket at each time is; `None` for a raw sample.
    widths: Vec<Option<i64>>,
    columns: Vec<[Vec<f64>; 3]>,
    open: Option<(Timestamp, i64)>,
    buckets: Vec<Bucket>,
    tiers: Vec<Tier>,
}

impl Assembly {
    /// An answer with these columns and this step (`None`: raw samples), with room for what a span of `span_ms` usually has.
    #[must_use]
    pub(crate) fn new(wanted: Vec<Wanted>, step_ms: Option<i64>, span_ms: i64) -> Self {
        let rows = usize::try_from(span_ms / step_ms.unwrap_or(USUAL_SPACING_MS)).map_or(0, |rows| (rows + 1).min(MOST_ROOM));
        let columns = wanted.iter().map(|_| std::array::from_fn(|_| Vec::with_capacity(rows))).collect();
        let buckets = vec![Bucket::default(); wanted.len()];
        let (times, widths) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        Self { wanted, step_ms, times, widths, columns, open: None, buckets, tiers: Vec::new() }
    }

    /// Adds the next row in time, `values` as many as columns: a raw sample (its own width `None`) or a bucket of its tier.
    /// Rows narrower than the step are joined.
    pub(crate) fn row(&mut self, tier: Tier, time: Timestamp, values: &[Bucket]) {
        if !self.tiers.contains(&tier) {
            self.tiers.push(tier);
        }
        let (start, width) = match (self.step_ms, tier.width_ms()) {
            (None, None) => {
                self.close();
                return if self.completes(time, values) { self.complete(values) } else { self.push(time, None, values) };
            }
            (Some(step), None) => (time.floor_to(step), step),
            (Some(step), Some(width)) if step % width == 0 => (time.floor_to(step), step),
            (_, Some(width)) => (time, width),
        };
        if self.open != Some((start, width)) {
            self.close();
            self.open = Some((start, width));
        }
        for (bucket, value) in self.buckets.iter_mut().zip(values) {
            bucket.merge(value);
        }
    }

    /// How many values are kept, those that are missing counted.
    pub(crate) fn values(&self) -> usize {
        self.times.len().saturating_mul(self.wanted.len())
    }

    /// Whether a raw row says of the moment of the last one what that left open, and nothing else: such rows come from series that
    /// were imported one after the other, and are one row of the answer.
    fn completes(&self, time: Timestamp, values: &[Bucket]) -> bool {
        let is_beside = self.times.last() == Some(&time) && self.widths.last() == Some(&None);
        let is_open = |[mean, ..]: &[Vec<f64>; 3]| mean.last().is_some_and(|value| value.is_nan());
        is_beside && self.columns.iter().zip(values).all(|(column, value)| value.count == 0 || is_open(column))
    }

    fn complete(&mut self, values: &[Bucket]) {
        for (column, value) in self.columns.iter_mut().zip(values).filter(|(_, value)| value.count > 0) {
            column.iter_mut().filter_map(|part| part.last_mut()).for_each(|last| *last = value.last);
        }
    }

    fn close(&mut self) {
        if let Some((start, width)) = self.open.take() {
            let mut buckets = std::mem::take(&mut self.buckets);
            self.push(start, Some(width), &buckets);
            buckets.fill(Bucket::default());
            self.buckets = buckets;
        }
    }

    fn push(&mut self, time: Timestamp, width: Option<i64>, values: &[Bucket]) {
        self.times.push(time);
        self.widths.push(width);
        for ((column, wanted), bucket) in self.columns.iter_mut().zip(&self.wanted).zip(values) {
            let row = match (bucket.count, width) {
                (0, _) => [f64::NAN; 3],
                (_, None) => [bucket.last; 3],
                _ => [bucket.mean(wanted.decimals), bucket.min, bucket.max],
            };
            column.iter_mut().zip(row).for_each(|(part, value)| part.push(value));
        }
    }

    /// The answer. Series without any sample in it are left out; if none is left, it is empty.
    #[must_use]
    pub(crate) fn finish(mut self, start: Timestamp, end: Timestamp) -> Frame {
        self.close();
        self.mark_gaps();
        self.tiers.sort_unstable();
        let step_ms = self.widths.iter().flatten().copied().min();
        let columns: Vec<Column> = self
            .wanted
            .into_iter()
            .zip(self.columns)
            .filter(|(_, [_, min, _])| min.iter().any(|value| !value.is_nan()))
            .map(|(wanted, [mean, min, max])| Column { key: wanted.key, mean, min, max })
            .collect();
        if columns.is_empty() {
            return Frame::empty(start, end);
        }
        Frame { start, end, tiers: self.tiers, step_ms, times: self.times, columns }
    }

    /// Puts one row of missing values into each stretch without rows.
    fn mark_gaps(&mut self) {
        let spacing = usual_spacing(&self.times, &self.widths);
        let gap_after = |at: usize| {
            let (usual, allowed) = match self.widths[at] {
                Some(width) => (width, width),
                None => (spacing?, spacing?.saturating_mul(HOLE_SPACINGS)),
            };
            let distance = self.times.get(at + 1)?.millis_since(self.times[at]);
            (distance > allowed).then(|| (at, self.times[at].plus_millis(usual)))
        };
        let gaps: Vec<(usize, Timestamp)> = (0..self.times.len()).filter_map(gap_after).collect();
        if gaps.is_empty() {
            return;
        }
        self.times = with_gaps(&self.times, &gaps, |time| time);
        for part in self.columns.iter_mut().flatten() {
            *part = with_gaps(part, &gaps, |_| f64::NAN);
        }
    }
}

/// `rows` with one more after each gap.
fn with_gaps<T: Copy>(rows: &[T], gaps: &[(usize, Timestamp)], missing: impl Fn(Timestamp) -> T) -> Vec<T> {
    let mut all = Vec::with_capacity(rows.len() + gaps.len());
    let mut from = 0;
    for (at, time) in gaps {
        all.extend_from_slice(&rows[from..=*at]);
        all.push(missing(*time));
        from = at + 1;
    }
    all.extend_from_slice(&rows[from..]);
    all
}

/// The median distance between neighbouring raw samples, those at the same moment left out.
fn usual_spacing(times: &[Timestamp], widths: &[Option<i64>]) -> Option<i64> {
    let mut distances: Vec<i64> = (1..times.len())
        .filter(|at| widths[*at].is_none() && widths[at - 1].is_none())
        .map(|at| times[at].millis_since(times[at - 1]))
        .filter(|distance| *distance > 0)
        .collect();
    let middle = distances.len().checked_sub(1)? / 2;
    Some(*distances.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::Sample;

    fn row(values: &[f64]) -> Vec<Bucket> {
        let bucket = |value: &f64| if value.is_nan() { Bucket::default() } else { Bucket::of(Sample::of(*value, 1), 1) };
        values.iter().map(bucket).collect()
    }

    fn assembly(keys: &[&str], step_ms: Option<i64>) -> Assembly {
        Assembly::new(keys.iter().map(|key| Wanted { key: key.parse().unwrap(), decimals: 1 }).collect(), step_ms, 600_000)
    }

    fn times(frame: &Frame) -> Vec<i64> {
        frame.times.iter().map(|time| time.as_millis()).collect()
    }

    #[test]
    fn a_hole_between_raw_samples_is_one_missing_row_after_the_usual_spacing() {
        let mut answer = assembly(&["a.b"], None);
        for time in [0, 10, 20, 51, 60, 90] {
            answer.row(Tier::Raw, Timestamp::from_millis(time), &row(&[1.0]));
        }
        let frame = answer.finish(Timestamp::MIN, Timestamp::MAX);
        assert_eq!(times(&frame), [0, 10, 20, 30, 51, 60, 90]);
        assert!(frame.columns[0].mean[3].is_nan() && !frame.columns[0].mean[4].is_nan());
        assert_eq!((frame.tiers, frame.step_ms), (vec![Tier::Raw], None));
    }

    #[test]
    fn rows_are_joined_into_the_step_and_keep_their_extremes() {
        let width = 5 * 60_000;
        let mut answer = assembly(&["a.b", "c.d"], Some(2 * width));
        for (at, value) in [(0, 1.0), (1, 9.0), (2, f64::NAN), (3, 4.0), (8, 2.0)] {
            answer.row(Tier::FiveMinutes, Timestamp::from_millis(at * width), &row(&[value, f64::NAN]));
        }
        let frame = answer.finish(Timestamp::MIN, Timestamp::MAX);
        assert_eq!(times(&frame), [0, 2 * width, 4 * width, 8 * width]);
        assert_eq!(frame.columns.len(), 1, "a series without samples is left out");
        assert_eq!(frame.columns[0].max[..2], [9.0, 4.0]);
        assert_eq!(frame.columns[0].mean[..2], [5.0, 4.0]);
        assert!(frame.columns[0].min[2].is_nan());
        assert_eq!(frame.step_ms, Some(2 * width));
    }

    #[test]
    fn a_seam_between_buckets_and_raw_samples_keeps_the_order() {
        let mut answer = assembly(&["a.b"], None);
        answer.row(Tier::FiveMinutes, Timestamp::from_millis(0), &row(&[1.0]));
        answer.row(Tier::FiveMinutes, Timestamp::from_millis(300_000), &row(&[2.0]));
        for time in [600_000, 600_000, 615_000] {
            answer.row(Tier::Raw, Timestamp::from_millis(time), &row(&[3.0]));
        }
        let frame = answer.finish(Timestamp::MIN, Timestamp::MAX);
        assert_eq!(times(&frame), [0, 300_000, 600_000, 600_000, 615_000]);
        assert_eq!(frame.columns[0].mean, [1.0, 2.0, 3.0, 3.0, 3.0]);
        assert_eq!((frame.tiers, frame.step_ms), (vec![Tier::Raw, Tier::FiveMinutes], Some(300_000)));
    }

    #[test]
    fn without_samples_the_answer_is_empty() {
        let mut answer = assembly(&["a.b"], None);
        answer.row(Tier::Raw, Timestamp::from_millis(1), &row(&[f64::NAN]));
        let frame = answer.finish(Timestamp::MIN, Timestamp::MAX);
        assert_eq!(frame, Frame::empty(Timestamp::MIN, Timestamp::MAX));
    }
}
