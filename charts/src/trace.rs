//! From a column to what is drawn: unbroken runs of values, thinned to the pixels there are without losing a peak.
//! Colours and positions are left to the drawing code.

use nightbell_model::{Column, Frame, Tier};

/// A line breaks where two values lie further apart than this many usual steps.
const GAP_STEPS: f64 = 3.0;

/// A series is held for slower than its frame, and not full of holes, from this many of the frame's steps between values.
const SLOW_FROM: f64 = 1.5;

/// Values beyond this are skipped like infinities: the span of an axis around them would not fit into a float.
pub(crate) const LARGEST: f64 = 1e100;

/// One bucket or sample with a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    /// Milliseconds after the start of the range.
    pub(crate) at: f64,
    /// The value of a sample, the mean of a bucket.
    pub(crate) mean: f64,
    /// The smallest value in the bucket.
    pub(crate) min: f64,
    /// The largest value in the bucket.
    pub(crate) max: f64,
}

/// Values that follow each other without a gap; never empty.
pub(crate) type Run = Vec<Row>;

/// The runs of `column` within the range of `frame`.
///
/// A run ends at a missing value and where the time to the next one is more than three median steps of the frame. A series
/// that is measured more rarely than the frame has rows is judged by its own median step.
pub(crate) fn runs(frame: &Frame, column: &Column) -> Vec<Run> {
    let all = rows(frame, column);
    let times: Vec<f64> = all.iter().map(|row| row.at).collect();
    let present: Vec<Row> = all.iter().copied().filter(is_plottable).collect();
    let usual = median_step(&times);
    let own = median_step(&present.iter().map(|row| row.at).collect::<Vec<_>>());
    let slow = own >= SLOW_FROM * usual;
    let step = if slow { own } else { usual };
    let coarsest = coarsest_bucket(frame);
    let mut runs: Vec<Run> = Vec::new();
    let mut broken = true;
    for (index, row) in all.iter().enumerate() {
        if !is_plottable(row) {
            broken = broken || !slow;
            continue;
        }
        let far = runs.last().and_then(|run| run.last()).is_some_and(|last| {
            let apart = row.at - last.at;
            apart > GAP_STEPS * step && !is_coarser_stretch(&times, index, apart, coarsest)
        });
        match runs.last_mut() {
            Some(run) if !broken && !far => run.push(*row),
            _ => runs.push(vec![*row]),
        }
        broken = false;
    }
    runs
}

/// The rows of the range; the bucket that holds the start is moved to it.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a range are far below 2^53")]
fn rows(frame: &Frame, column: &Column) -> Vec<Row> {
    let (span, width) = (frame.end.millis_since(frame.start), frame.step_ms.unwrap_or(0));
    let values = column.mean.iter().zip(&column.min).zip(&column.max);
    let row = |(time, ((mean, min), max)): (&nightbell_model::Timestamp, ((&f64, &f64), &f64))| {
        let at = time.millis_since(frame.start);
        (at > -width.max(1) && at <= span).then(|| Row {
            at: at.max(0) as f64,
            mean: *mean,
            min: min.min(*mean),
            max: max.max(*mean),
        })
    };
    frame.times.iter().zip(values).filter_map(row).collect()
}

fn is_plottable(row: &Row) -> bool {
    [row.mean, row.min, row.max].iter().all(|value| value.abs() < LARGEST)
}

/// The median distance between neighbours; 0 below two moments.
fn median_step(times: &[f64]) -> f64 {
    let mut steps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    if steps.is_empty() {
        return 0.0;
    }
    let middle = steps.len() / 2;
    *steps.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// The widest bucket of an answer that was stitched from several tiers, in milliseconds; 0 if it comes from one.
#[expect(clippy::cast_precision_loss, reason = "a day in milliseconds is far below 2^53")]
fn coarsest_bucket(frame: &Frame) -> f64 {
    let stitched = frame.tiers.len() > 1;
    frame.tiers.iter().filter(|_| stitched).filter_map(|tier: &Tier| tier.width_ms()).max().unwrap_or(0) as f64
}

/// Whether the wide step before the row at `index` belongs to a stretch of coarser buckets rather than to a gap: it is not
/// wider than such a bucket, and neither is its neighbour much narrower.
fn is_coarser_stretch(times: &[f64], index: usize, apart: f64, coarsest: f64) -> bool {
    let step_before = |at: usize| (at >= 1 && at < times.len()).then(|| times[at] - times[at - 1]);
    let similar = |step: Option<f64>| step.is_some_and(|step| step >= 0.5 * apart);
    apart <= 1.5 * coarsest && (similar(step_before(index.wrapping_sub(1))) || similar(step_before(index + 1)))
}

/// Cuts `run` into at most `columns` equal stretches of `span` and keeps of each the first, the least, the greatest and the
/// last value (M4: Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014), so that no peak is
/// lost. Runs that are short already stay as they are.
pub(crate) fn thin(run: &[Row], span: f64, columns: usize) -> Vec<(f64, f64)> {
    if run.len() <= columns {
        return run.iter().map(|row| (row.at, row.mean)).collect();
    }
    let mut points = Vec::with_capacity(columns * 4);
    for stretch in stretches(run, span, columns) {
        let by_mean = |a: &usize, b: &usize| stretch[*a].mean.total_cmp(&stretch[*b].mean);
        let last = stretch.len() - 1;
        let least = (0..=last).min_by(by_mean).unwrap_or(0);
        let greatest = (0..=last).max_by(by_mean).unwrap_or(0);
        let mut kept = [0, least, greatest, last];
        kept.sort_unstable();
        for (place, index) in kept.iter().enumerate() {
            if place == 0 || kept[place - 1] != *index {
                points.push((stretch[*index].at, stretch[*index].mean));
            }
        }
    }
    points
}

/// The band between the smallest and the largest value, thinned like the line: `(at, min, max)`.
pub(crate) fn thin_band(run: &[Row], span: f64, columns: usize) -> Vec<(f64, f64, f64)> {
    if run.len() <= columns {
        return run.iter().map(|row| (row.at, row.min, row.max)).collect();
    }
    let joined = |stretch: &[Row]| {
        let min = stretch.iter().map(|row| row.min).fold(f64::INFINITY, f64::min);
        let max = stretch.iter().map(|row| row.max).fold(f64::NEG_INFINITY, f64::max);
        (stretch[0].at, min, max)
    };
    stretches(run, span, columns).map(joined).collect()
}

/// A run that is too dense to be seen as a line.
#[derive(Debug)]
pub(crate) struct Dense {
    /// Its mean course.
    pub(crate) course: Vec<(f64, f64)>,
    /// The outline of all its values: in each stretch from the least to the greatest, and to where the stretch before ended.
    pub(crate) outline: Vec<(f64, f64)>,
}

/// How many stretches of the outline make one point of the mean course.
const COURSE: usize = 3;

/// Draws `run` together into `columns` equal stretches of `span`, if it has several values in each.
#[expect(clippy::cast_precision_loss, reason = "a count of rows or pixels")]
pub(crate) fn condense(run: &[Row], span: f64, columns: usize) -> Option<Dense> {
    if run.len() <= 2 * columns {
        return None;
    }
    let middle = |stretch: &[Row]| {
        let count = stretch.len() as f64;
        stretch.iter().fold((0.0, 0.0), |sum, row| (sum.0 + row.at / count, sum.1 + row.mean / count))
    };
    // The ends are the run's own, so that the line begins and ends where its samples do.
    let ends = [run[0], run[run.len() - 1]].map(|row| (row.at, row.mean));
    let inner = stretches(run, span, columns.div_ceil(COURSE)).map(middle);
    let course = std::iter::once(ends[0]).chain(inner).chain([ends[1]]).collect();
    let per_column = columns.max(1) as f64 / span;
    let (mut upper, mut lower, mut before) = (Vec::new(), Vec::new(), run[0].mean);
    for stretch in stretches(run, span, columns) {
        let (low, high) = stretch.iter().fold((before, before), |(low, high), row| (row.mean.min(low), row.mean.max(high)));
        let place = (stretch[0].at * per_column).floor();
        let (left, right) = (place / per_column, ((place + 1.0) / per_column).min(span));
        upper.extend([(left, high), (right, high)]);
        lower.extend([(left, low), (right, low)]);
        before = stretch[stretch.len() - 1].mean;
    }
    upper.extend(lower.into_iter().rev());
    Some(Dense { course, outline: upper })
}

/// Neighbouring rows that share one of `columns` equal stretches of `span`.
fn stretches(run: &[Row], span: f64, columns: usize) -> impl Iterator<Item = &[Row]> {
    #[expect(clippy::cast_precision_loss, reason = "a count of pixels")]
    let per_column = columns.max(1) as f64 / span;
    run.chunk_by(move |a, b| (a.at * per_column).floor().total_cmp(&(b.at * per_column).floor()).is_eq())
}

#[cfg(test)]
mod tests;
