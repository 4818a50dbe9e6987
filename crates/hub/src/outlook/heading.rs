//! What an agent's history says of when its mounts will be full. Pure; the slope is the forecast rule's.
//!
//! Three windows are looked at: six hours, a day and a week, and a window is believed for three times its length, as a forecast
//! rule would, and only where the mount stands near its peak of the whole week: what fills and is emptied again every night is not
//! about to be full.

use nightbell_alerts::trend::{Outlook, Trend, outlook};
use nightbell_model::{Column, Frame, SeriesKey, Timestamp};

const HOUR_MS: i64 = 3_600_000;
/// The windows that slopes are taken from, in milliseconds; the last one is all that is read.
pub const WINDOWS_MS: [i64; 3] = [6 * HOUR_MS, 24 * HOUR_MS, 7 * 24 * HOUR_MS];
/// A window is believed for so many times its length ahead: the same share that a forecast rule takes by itself.
const AHEAD: i64 = 3;
/// It may stand so much of what it gained in the window below its peak, as [`outlook`] lets it fall back.
const SETBACK: f64 = 1.0 / 3.0;
/// Where a mount is full.
const FULL: f64 = 100.0;

/// A mount that fills up, and how fast.
#[derive(Debug, Clone, PartialEq)]
pub struct Heading {
    /// Which.
    pub key: SeriesKey,
    /// How fast, and how far that is to be trusted.
    pub trend: Trend,
    /// The window it was taken from, in milliseconds.
    pub window_ms: i64,
}

impl Heading {
    /// In how many milliseconds it is full, going on from `value`; `None` if that is further ahead than can be said.
    #[must_use]
    pub fn full_in_ms(&self, value: f64) -> Option<i64> {
        let ms = self.trend.reaches_in_ms(value, FULL)?;
        #[expect(clippy::cast_precision_loss, reason = "three weeks in milliseconds")]
        let most = (AHEAD * self.window_ms) as f64;
        #[expect(clippy::cast_possible_truncation, reason = "at most three weeks in milliseconds")]
        (ms <= most).then_some(ms as i64)
    }
}

/// The mounts that fill up, by a day of fine history and a week of coarse one; for each every window that says so.
#[must_use]
pub(super) fn headings(fine: &Frame, coarse: &Frame, now: Timestamp) -> Vec<Heading> {
    let mut found = Vec::new();
    for column in &coarse.columns {
        let day = fine.columns.iter().find(|other| other.key == column.key);
        let Some(newest) = day.and_then(newest).or_else(|| newest(column)) else { continue };
        let peak = column.mean.iter().chain(day.into_iter().flat_map(|day| &day.mean)).copied().fold(newest, f64::max);
        for window_ms in WINDOWS_MS {
            let is_week = window_ms == WINDOWS_MS[2];
            let Some((frame, column)) = (if is_week { Some((coarse, column)) } else { day.map(|day| (fine, day)) }) else {
                continue;
            };
            let points = frame.times.iter().copied().zip(column.mean.iter().copied());
            let Outlook::Clear(trend) = outlook(points, now, window_ms) else { continue };
            #[expect(clippy::cast_precision_loss, reason = "a week in milliseconds")]
            let gained = trend.per_ms * window_ms as f64;
            if gained > 0.0 && peak - newest <= SETBACK * gained {
                found.push(Heading { key: column.key.clone(), trend, window_ms });
            }
        }
    }
    found
}

/// The newest value of a column.
fn newest(column: &Column) -> Option<f64> {
    column.mean.iter().rev().copied().find(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end() -> Timestamp {
        Timestamp::from_secs(1_763_769_600)
    }

    /// History of one mount, `step_ms` apart over `span_ms`; `value` is asked by hours before the end.
    fn frame(span_ms: i64, step_ms: i64, value: impl Fn(f64) -> f64) -> Frame {
        let times: Vec<Timestamp> = (0..span_ms / step_ms).map(|step| end().plus_millis(step * step_ms - span_ms)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a week in milliseconds")]
        let hours = |at: &Timestamp| end().millis_since(*at) as f64 / HOUR_MS as f64;
        let mean: Vec<f64> = times.iter().map(|at| value(hours(at))).collect();
        let key = "disk.used_percent{mount=/}".parse().expect("a key");
        let column = Column { key, min: mean.clone(), max: mean.clone(), mean };
        Frame { times, columns: vec![column], ..Frame::empty(end().plus_millis(-span_ms), end()) }
    }

    /// In how many hours it is full, by each window that says so.
    fn full_in(value: impl Fn(f64) -> f64) -> Vec<(i64, i64)> {
        let (fine, coarse) = (frame(WINDOWS_MS[1], 300_000, &value), frame(WINDOWS_MS[2], HOUR_MS, &value));
        let found = headings(&fine, &coarse, end());
        let hours = |heading: &Heading| Some((heading.window_ms / HOUR_MS, heading.full_in_ms(value(0.1))? / HOUR_MS));
        found.iter().filter_map(hours).collect()
    }

    #[test]
    fn what_rises_says_when_it_is_full() {
        // 90 now, a tenth an hour: full in 100 hours, which only the week may say.
        assert_eq!(full_in(|ago| 90.0 - 0.1 * ago), [(168, 100)]);
        // Two an hour since yesterday: the day says so, and so do its last six hours.
        assert_eq!(full_in(|ago| 80.0 - 2.0 * ago.min(30.0)), [(6, 10), (24, 10)]);
        // An hour's worth a month is further ahead than a week can see.
        assert_eq!(full_in(|ago| 40.0 - 0.01 * ago), []);
    }

    #[test]
    fn what_falls_stands_or_swings_says_nothing() {
        assert_eq!(full_in(|_| 92.0), []);
        assert_eq!(full_in(|ago| 50.0 + 0.2 * ago), []);
        assert_eq!(full_in(|_| f64::NAN), []);
        // A backup that is written all day and moved away in the night: it rises now, and always falls again.
        assert_eq!(full_in(|ago| 60.0 + 30.0 * ((180.0 - ago) % 24.0) / 24.0), []);
    }

    #[test]
    fn history_of_a_day_is_enough_for_a_day() {
        let day = |ago: f64| if ago > 20.0 { f64::NAN } else { 80.0 - ago };
        assert_eq!(full_in(day), [(24, 20)], "the six hours' word of 20 would go too far");
        assert_eq!(full_in(|ago| if ago > 2.0 { f64::NAN } else { 80.0 - ago }), [], "two hours are nothing");
    }
}
