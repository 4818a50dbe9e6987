//! From what people say of time to intervals in UTC: a wall clock in a zone, days of the week, cron expressions. Pure.
//!
//! Twice a year a wall clock jumps. A moment that does not exist that day is the first one after the gap; of a moment that comes
//! twice a beginning is the first and the end of quiet hours the second. Durations are time that passes, whatever the clock says.

mod cron;
mod quiet;

pub use cron::{Cron, CronError};
pub use quiet::{QuietHours, TimeOfDay, Weekday};

use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use nightbell_model::Timestamp;

/// The longest gap that a zone ever made in its clock, in minutes, with room to spare (a day was once skipped in Samoa).
const LONGEST_GAP_MINUTES: i64 = 25 * 60;

/// A stretch of time: from `start` on, `end` not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// The first moment.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
}

impl Window {
    /// Whether `at` lies in it.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// The moment at which the clocks of `zone` show `local`: the first such moment, or the first after the gap if there is none.
#[must_use]
pub fn first_at(zone: Tz, local: NaiveDateTime) -> Timestamp {
    resolve(zone, local, |first, _second| first)
}

/// The same, but the last such moment where the clock shows it twice.
#[must_use]
pub fn last_at(zone: Tz, local: NaiveDateTime) -> Timestamp {
    resolve(zone, local, |_first, second| second)
}

fn resolve(zone: Tz, local: NaiveDateTime, pick: impl Fn(DateTime<Tz>, DateTime<Tz>) -> DateTime<Tz>) -> Timestamp {
    for minutes in 0..LONGEST_GAP_MINUTES {
        let shown = local + Duration::minutes(minutes);
        match zone.from_local_datetime(&shown) {
            LocalResult::Single(at) => return millis(at),
            LocalResult::Ambiguous(first, second) => return millis(pick(first, second)),
            LocalResult::None => {}
        }
    }
    Timestamp::from_millis(local.and_utc().timestamp_millis())
}

fn millis(at: DateTime<Tz>) -> Timestamp {
    Timestamp::from_millis(at.timestamp_millis())
}

/// What the clocks of `zone` show at `at`.
#[must_use]
pub fn local(zone: Tz, at: Timestamp) -> NaiveDateTime {
    let at = DateTime::from_timestamp_millis(at.as_millis()).unwrap_or_default();
    at.with_timezone(&zone).naive_local()
}

/// The windows in order, those that touch or overlap as one.
#[must_use]
pub fn merged(mut windows: Vec<Window>) -> Vec<Window> {
    windows.sort_unstable();
    let mut merged: Vec<Window> = Vec::with_capacity(windows.len());
    for window in windows {
        match merged.last_mut() {
            Some(last) if window.start <= last.end => last.end = last.end.max(window.end),
            _ => merged.push(window),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
