//! Where a series is heading: a slope that outliers do not bend, and how far it can be trusted. Pure; which history it is taken
//! from, and when anew, is the hub's to say.
//!
//! The slope is that of Theil and Sen: the median of the slopes of all pairs of points (Sen, "Estimates of the Regression
//! Coefficient Based on Kendall's Tau", JASA 63, 1968). Its confidence is the share of pairs whose slope has the same sign as
//! it. A trend is trusted if four in five pairs agree and the series never fell back by more than a third of what it gained
//! over the span: a log that is rotated every night, a cache that is emptied, a noise without direction are no trend.

use nightbell_model::Timestamp;

/// The history is averaged into at most so many points: 2,016 pairs, some 20 µs.
const BINS: usize = 64;
/// With fewer points, nothing is said.
const FEWEST: usize = 12;
/// So much of all pairs has to agree with the median.
const AGREEING: f64 = 0.8;
/// It may fall back by so much of what it gained.
const SETBACK: f64 = 1.0 / 3.0;

/// What the past of a series says about its future.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outlook {
    /// The history is too short, or has too many holes.
    TooShort,
    /// It goes this way and that: nothing is forecast, the value stands for itself.
    Unclear,
    /// It goes somewhere.
    Clear(Trend),
}

/// A trend that can be trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// By how much it changes in a millisecond.
    pub per_ms: f64,
    /// The share of pairs of points that agree with its direction, 0.8 to 1.
    pub confidence: f64,
}

impl Trend {
    /// When a series that is at `value` now reaches `threshold`, in milliseconds from now; `None` if it goes the other way, or
    /// is there already.
    #[must_use]
    pub fn reaches_in_ms(&self, value: f64, threshold: f64) -> Option<f64> {
        Some((threshold - value) / self.per_ms).filter(|ms| ms.is_finite() && *ms > 0.0)
    }
}

/// How often a trend over `window_ms` is taken anew, in milliseconds: at whole multiples of this since 1970.
#[must_use]
pub const fn refresh_ms(window_ms: i64) -> i64 {
    const LEAST_MS: i64 = 300_000;
    let share = window_ms / 48;
    if share > LEAST_MS { share } else { LEAST_MS }
}

/// What points of a series over the last `window_ms` before `end` say, in the order of their times; NaN is missing.
#[must_use]
pub fn outlook(points: impl Iterator<Item = (Timestamp, f64)>, end: Timestamp, window_ms: i64) -> Outlook {
    let points = binned(points, end, window_ms);
    let covered = points.first().zip(points.last()).map_or(0.0, |(first, last)| last.0 - first.0);
    if points.len() < FEWEST || covered < 0.5 * width(window_ms) {
        return Outlook::TooShort;
    }
    let mut slopes = Vec::with_capacity(points.len() * (points.len() - 1) / 2);
    for (at, (x, y)) in points.iter().enumerate() {
        slopes.extend(points[at + 1..].iter().map(|(later, value)| (value - y) / (later - x)));
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand pairs")]
    let share = |agrees: fn(&&f64) -> bool| slopes.iter().filter(agrees).count() as f64 / slopes.len() as f64;
    let (rising, falling) = (share(|slope| **slope > 0.0), share(|slope| **slope < 0.0));
    if rising.max(falling) < AGREEING {
        // Too few agree whichever way the median goes: it need not be looked for, which is most of the work.
        return Outlook::Unclear;
    }
    let middle = slopes.len() / 2;
    let median = *slopes.select_nth_unstable_by(middle, f64::total_cmp).1;
    let confidence = if median > 0.0 { rising } else { falling };
    if setback(&points, median) > SETBACK * median.abs() * covered {
        return Outlook::Unclear;
    }
    Outlook::Clear(Trend { per_ms: median, confidence })
}

/// The mean of each of [`BINS`] equal parts of the window that has one: mean time (since the window's begin) and mean value.
fn binned(points: impl Iterator<Item = (Timestamp, f64)>, end: Timestamp, window_ms: i64) -> Vec<(f64, f64)> {
    let begin = end.plus_millis(-window_ms);
    let mut bins = [(0.0, 0.0, 0.0); BINS];
    for (at, value) in points.filter(|(at, value)| value.is_finite() && *at >= begin && *at <= end) {
        let since = at.millis_since(begin);
        let bin = since.saturating_mul(BINS as i64) / window_ms.max(1);
        let (count, time, sum) = &mut bins[usize::try_from(bin).map_or(0, |bin| bin.min(BINS - 1))];
        (*count, *time, *sum) = (*count + 1.0, *time + width(since), *sum + value);
    }
    bins.iter().filter(|(count, ..)| *count > 0.0).map(|(count, time, sum)| (time / count, sum / count)).collect()
}

/// The deepest fall from what was reached before, against the direction of `slope`.
fn setback(points: &[(f64, f64)], slope: f64) -> f64 {
    let (mut reached, mut deepest) = (f64::NEG_INFINITY, 0.0_f64);
    for value in points.iter().map(|(_, value)| value * slope.signum()) {
        reached = reached.max(value);
        deepest = deepest.max(reached - value);
    }
    deepest
}

#[expect(clippy::cast_precision_loss, reason = "windows are far below 2^53 ms")]
const fn width(ms: i64) -> f64 {
    ms as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const DAY_MS: i64 = 24 * HOUR_MS;

    fn end() -> Timestamp {
        Timestamp::from_secs(1_763_769_600)
    }

    /// What five-minute values of a day say; `value` is asked by hour.
    fn of(value: impl Fn(f64) -> f64) -> Outlook {
        let points =
            (0..288_i32).map(|step| (end().plus_millis(i64::from(step) * 300_000 - DAY_MS), value(f64::from(step) / 12.0)));
        outlook(points, end(), DAY_MS)
    }

    /// Noise between -1 and 1 that is the same in every run.
    fn noise(x: f64) -> f64 {
        ((x * 12.9898).sin() * 43_758.545_3).fract()
    }

    fn per_hour(outlook: Outlook) -> (f64, f64) {
        match outlook {
            Outlook::Clear(trend) => (trend.per_ms * width(HOUR_MS), trend.confidence),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_is_found_whatever_outliers_stand_in_it() {
        let (slope, confidence) = per_hour(of(|hour| 40.0 + 0.8 * hour));
        assert!((slope - 0.8).abs() < 1e-9 && (confidence - 1.0).abs() < 1e-9, "{slope} {confidence}");
        let (slope, confidence) = per_hour(of(|hour| 40.0 + 0.8 * hour + 2.0 * noise(hour)));
        assert!((slope - 0.8).abs() < 0.05 && confidence > 0.9, "{slope} {confidence}");
        let spiked = per_hour(of(|hour| if (10.0..10.1).contains(&hour) { 44.0 } else { 40.0 + 0.8 * hour }));
        assert!((spiked.0 - 0.8).abs() < 0.01, "{spiked:?}");
        assert!((per_hour(of(|hour| 90.0 - 0.5 * hour)).0 + 0.5).abs() < 1e-9);
    }

    #[test]
    fn what_goes_this_way_and_that_is_no_trend() {
        for (what, outlook) in [
            ("rotated every six hours", of(|hour| 40.0 + 5.0 * (hour % 6.0))),
            ("cleaned once", of(|hour| if hour < 20.0 { 40.0 + 2.0 * hour } else { 20.0 })),
            ("a step", of(|hour| if hour < 12.0 { 40.0 } else { 60.0 })),
            ("noise", of(|hour| 40.0 + noise(hour))),
            ("flat", of(|_| 40.0)),
            ("a day's wave", of(|hour| 40.0 + 10.0 * (hour / 24.0 * std::f64::consts::TAU).sin())),
        ] {
            assert_eq!(outlook, Outlook::Unclear, "{what}");
        }
    }

    #[test]
    fn little_history_says_nothing() {
        assert_eq!(outlook(std::iter::empty(), end(), DAY_MS), Outlook::TooShort);
        assert_eq!(of(|hour| if hour < 13.0 { f64::NAN } else { hour }), Outlook::TooShort);
        assert_eq!(of(|hour| if hour % 2.5 < 0.1 { hour } else { f64::NAN }), Outlook::TooShort);
        assert!(matches!(of(|hour| if hour < 11.0 { f64::NAN } else { hour }), Outlook::Clear(_)));
    }

    #[test]
    fn it_says_when_it_gets_there() {
        let trend = Trend { per_ms: 0.8 / width(HOUR_MS), confidence: 0.87 };
        let ms = trend.reaches_in_ms(58.4, 100.0).expect("it gets there");
        assert!((ms / width(HOUR_MS) - 52.0).abs() < 1e-9, "{ms}");
        assert_eq!(trend.reaches_in_ms(100.0, 100.0), None);
        assert_eq!(trend.reaches_in_ms(99.0, 90.0), None);
        assert_eq!(Trend { per_ms: 0.0, ..trend }.reaches_in_ms(50.0, 100.0), None);
    }
}
