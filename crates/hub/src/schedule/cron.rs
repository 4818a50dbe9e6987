//! Cron expressions as people write them (five fields, Sunday is 0 or 7), understood by a library that counts otherwise.

use super::{Window, first_at};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use nightbell_model::Timestamp;
use std::str::FromStr;

/// Days in the order of their numbers; 7 is Sunday again.
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// Months in the order of their numbers.
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
/// How far back the walk begins, in milliseconds: no zone is further from UTC.
const DAY_MS: i64 = 86_400_000;
/// At most so many beginnings are walked: two weeks of minutes.
const MOST_STARTS: usize = 20_160;
/// An expression is shorter than this.
const LONGEST: usize = 200;

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// It has another number of fields.
    #[error("must have five fields: minute, hour, day of the month, month, day of the week; this has {0}")]
    Fields(usize),
    /// One of the first four fields holds something else than its numbers.
    #[error("{item:?} is no {of}: use {least} to {most}, or *, lists, ranges and steps of them")]
    Field {
        /// Which field.
        of: &'static str,
        /// What it holds.
        item: String,
        /// Its smallest number.
        least: u32,
        /// Its largest.
        most: u32,
    },
    /// The last field names no days.
    #[error("{0:?} is no day of the week: use 0 to 7 (0 and 7 are Sunday) or mon to sun, lists, ranges and steps of them")]
    Weekday(String),
    /// The library cannot make sense of it.
    #[error("is no cron expression: {0}")]
    Unreadable(String),
}

/// When something begins again and again, on a wall clock.
#[derive(Debug, Clone)]
pub struct Cron {
    schedule: cron::Schedule,
    /// Every hour, or every so many: it follows the time that passes, not the hour that is shown.
    is_hourly: bool,
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else { return Err(CronError::Fields(fields.len())) };
        if text.len() > LONGEST {
            return Err(CronError::Unreadable(format!("it is longer than {LONGEST} characters")));
        }
        for (of, field, (least, most)) in
            [("minute", minute, (0, 59)), ("hour", hour, (0, 23)), ("day of the month", day, (1, 31)), ("month", month, (1, 12))]
        {
            let is_wrong = |item: &&str| !is_item(item, (least, most), if of == "month" { &MONTHS } else { &[] });
            if let Some(item) = field.split(',').find(is_wrong) {
                return Err(CronError::Field { of, item: item.to_owned(), least, most });
            }
        }
        let six = format!("0 {minute} {hour} {day} {month} {}", weekdays(weekday)?);
        let schedule = cron::Schedule::from_str(&six).map_err(|error| CronError::Unreadable(error.to_string()))?;
        Ok(Self { schedule, is_hourly: hour.starts_with('*') })
    }
}

/// Whether an item of a field is `*`, a number or a name within bounds, or a range of two, each possibly with a step.
fn is_item(item: &str, (least, most): (u32, u32), names: &[&str]) -> bool {
    let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
    let is_step = step.is_none_or(|step| step.parse().is_ok_and(|step: u32| (1..=most).contains(&step)));
    let number = |text: &str| match text.parse::<u32>() {
        Ok(number) => (least..=most).contains(&number).then_some(number),
        Err(_) => (1..).zip(names).find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(number, _)| number),
    };
    let is_range = match range.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
        None => matches!(range, "*" | "?") || number(range).is_some(),
    };
    is_step && is_range
}

/// The days of a field by their names.
fn weekdays(field: &str) -> Result<String, CronError> {
    if matches!(field, "*" | "?") {
        return Ok("*".to_owned());
    }
    let mut chosen = [false; 7];
    for item in field.split(',') {
        let (range, step) = item.split_once('/').map_or((item, Some(1)), |(range, step)| (range, step.parse().ok()));
        let step = step.filter(|step| (1..=7).contains(step)).ok_or_else(|| CronError::Weekday(item.to_owned()))?;
        let (first, last) = bounds(range, item.contains('/')).ok_or_else(|| CronError::Weekday(item.to_owned()))?;
        for number in (first..=last).step_by(step) {
            chosen[number % 7] = true;
        }
    }
    let names: Vec<&str> = DAYS.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(name, _)| *name).collect();
    Ok(names.join(","))
}

/// The first and the last day of a range, the last one possibly in the next week.
fn bounds(range: &str, has_step: bool) -> Option<(usize, usize)> {
    if range == "*" {
        return Some((0, 6));
    }
    let Some((first, last)) = range.split_once('-') else {
        let only = day(range)?;
        return Some((only, if has_step { 6.max(only) } else { only }));
    };
    let (first, last) = (day(first)?, day(last)?);
    Some((first, if last < first { last + 7 } else { last }))
}

fn day(text: &str) -> Option<usize> {
    match text.parse::<usize>() {
        Ok(number) => (number <= 7).then_some(number),
        Err(_) => DAYS.iter().position(|name| name.eq_ignore_ascii_case(text)),
    }
}

impl Cron {
    /// The stretches of `duration_ms` that begin on the clocks of `zone` and overlap `within`, at most `most` of them, in order;
    /// those that touch are one.
    #[must_use]
    pub fn windows(&self, zone: Tz, duration_ms: i64, within: Window, most: usize) -> Vec<Window> {
        let from = within.start.plus_millis(-duration_ms);
        if self.is_hourly {
            gathered(self.passing(zone, from).take_while(|start| *start < within.end), duration_ms, most)
        } else {
            // The wall clock is walked as if it never jumped, from a day before, and each reading is then looked up.
            let wall = super::local(zone, from.plus_millis(-DAY_MS)).and_utc();
            let starts = self.schedule.after(&wall).map(|shown| first_at(zone, shown.naive_utc()));
            let starts = starts.skip_while(|start| *start <= from).take_while(|start| *start < within.end);
            gathered(starts, duration_ms, most)
        }
    }

    /// The beginnings after `from` of what follows the time that passes: the wall clock is walked between two changes of the zone's
    /// distance from UTC, up to each and on from it, so that an hour which is shown twice begins twice, wherever the walk begins.
    fn passing(&self, zone: Tz, from: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        let mut at = from;
        let mut ahead_ms = ahead_ms(zone, at.plus_millis(1));
        let mut shown = self.schedule.after(&utc(at.plus_millis(ahead_ms)));
        std::iter::from_fn(move || {
            loop {
                let start = Timestamp::from_millis(shown.next()?.timestamp_millis()).plus_millis(-ahead_ms);
                if self::ahead_ms(zone, start) == ahead_ms {
                    at = start;
                    return Some(start);
                }
                let change = change_between(zone, at.plus_millis(1), start);
                at = change.plus_millis(-1);
                ahead_ms = self::ahead_ms(zone, change);
                shown = self.schedule.after(&utc(at.plus_millis(ahead_ms)));
            }
        })
    }
}

/// By how much the clocks of a zone are ahead of UTC at `at`, in milliseconds.
fn ahead_ms(zone: Tz, at: Timestamp) -> i64 {
    super::local(zone, at).and_utc().timestamp_millis() - at.as_millis()
}

/// The first moment of another distance from UTC than at `before`, which `after` has.
fn change_between(zone: Tz, before: Timestamp, after: Timestamp) -> Timestamp {
    let (mut before, mut after, was) = (before, after, ahead_ms(zone, before));
    while after.millis_since(before) > 1 {
        let middle = before.plus_millis(after.millis_since(before) / 2);
        if ahead_ms(zone, middle) == was { before = middle } else { after = middle }
    }
    after
}

/// Stretches of `duration_ms` from each start on, at most `most`; those that touch are one.
fn gathered(starts: impl Iterator<Item = Timestamp>, duration_ms: i64, most: usize) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for start in starts.take(MOST_STARTS) {
        let (end, count) = (start.plus_millis(duration_ms), windows.len());
        match windows.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ if count == most => break,
            _ => windows.push(Window { start, end }),
        }
    }
    windows
}

fn utc(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.as_millis()).unwrap_or_default()
}
