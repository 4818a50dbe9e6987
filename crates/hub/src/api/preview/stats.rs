//! What the values of a preview are like, and which threshold they suggest. Pure.

use chrono::{DateTime, Timelike, Utc};
use nightbell_alerts::Comparison;
use nightbell_model::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// The night: from the first hour on, to before the second.
const NIGHT: (u32, u32) = (22, 7);

/// Percentiles over all values (nearest rank); null without values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(super) struct Stats {
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
}

impl Stats {
    /// Of finite values, whose order is changed.
    pub(super) fn of(values: &mut [f64]) -> Self {
        let [p50, p95, p99, max] = [50, 95, 99, 100].map(|percent| percentile(values, percent));
        Self { p50, p95, p99, max }
    }
}

/// What compared values are like, in one line for people.
pub(crate) fn summary(mut values: Vec<f64>, comparison: Comparison) -> String {
    values.retain(|value| value.is_finite());
    let text = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let stats = Stats::of(&mut values);
    let [p50, p95, p99, max] = [stats.p50, stats.p95, stats.p99, stats.max].map(text);
    let suggested = text(suggestion(&mut values, comparison));
    format!("p50 {p50}  p95 {p95}  p99 {p99}  max {max}; a threshold that one value in a hundred is beyond: {suggested}")
}

/// The smallest value that at least `percent` of all values do not exceed (nearest rank).
fn percentile(values: &mut [f64], percent: usize) -> Option<f64> {
    let rank = (values.len() * percent).div_ceil(100).checked_sub(1)?;
    Some(*values.select_nth_unstable_by(rank, f64::total_cmp).1)
}

/// Whether people sleep at `at` in `zone`.
pub(super) fn at_night(at: Timestamp, zone: chrono_tz::Tz) -> bool {
    let hour = DateTime::<Utc>::from_timestamp_millis(at.as_millis()).unwrap_or_default().with_timezone(&zone).hour();
    hour >= NIGHT.0 || hour < NIGHT.1
}

/// A round number just beyond all but one in a hundred of the values, on the side that the comparison calls bad; `None` where there
/// is no such side or no value.
pub(super) fn suggestion(values: &mut [f64], comparison: Comparison) -> Option<f64> {
    match comparison {
        Comparison::Greater | Comparison::GreaterOrEqual => percentile(values, 99).map(|value| rounded(value, f64::ceil)),
        Comparison::Less | Comparison::LessOrEqual => percentile(values, 1).map(|value| rounded(value, f64::floor)),
        Comparison::Equal | Comparison::NotEqual => None,
    }
}

/// `value` with one decimal, or with three digits where it is large or small.
fn rounded(value: f64, outward: fn(f64) -> f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let digits = value.abs().log10().floor();
    let scale = if (0.0..3.0).contains(&digits) { 10.0 } else { 10_f64.powf(2.0 - digits) };
    // What is a round number already, but for the last bits, stays it.
    let scaled = value * scale;
    let nearest = scaled.round();
    let moved = if (scaled - nearest).abs() < 1e-6 { nearest } else { outward(scaled) };
    moved / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(Stats::of(&mut values), Stats { p50: Some(50.0), p95: Some(95.0), p99: Some(99.0), max: Some(100.0) });
        assert_eq!(Stats::of(&mut [7.5]), Stats { p50: Some(7.5), p95: Some(7.5), p99: Some(7.5), max: Some(7.5) });
        assert_eq!(Stats::of(&mut []), Stats { p50: None, p95: None, p99: None, max: None });
    }

    #[test]
    fn suggestions_lie_beyond_and_are_round() {
        let mut values: Vec<f64> = (0..1000_u32).map(|i| f64::from(i) * 0.0917).collect();
        assert_eq!(suggestion(&mut values, Comparison::Greater), Some(90.7));
        assert_eq!(suggestion(&mut values, Comparison::Less), Some(0.825));
        assert_eq!(suggestion(&mut values, Comparison::Equal), None);
        assert_eq!(suggestion(&mut [8_589_934_592.0], Comparison::Less), Some(8_580_000_000.0));
        assert_eq!(suggestion(&mut [90.0], Comparison::Greater), Some(90.0));
        assert_eq!(suggestion(&mut [], Comparison::Greater), None);
    }

    #[test]
    fn the_night_is_that_of_the_zone() {
        let at = |hour: i64| Timestamp::from_secs(1_763_769_600 + hour * 3600);
        let night: Vec<i64> = (0..24).filter(|hour| at_night(at(*hour), chrono_tz::UTC)).collect();
        assert_eq!(night, [0, 1, 2, 3, 4, 5, 6, 22, 23]);
        assert!(at_night(at(21), chrono_tz::Europe::Berlin) && !at_night(at(6), chrono_tz::Europe::Berlin));
    }
}
