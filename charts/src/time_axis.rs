//! The time axis: which moments are named, and how, in a given zone. Days and hours are the zone's own, so they stay right
//! when its clocks change. Where the labels stand is left to the layout.

use chrono::{
    DateTime, Datelike as _, Days, LocalResult, Months, NaiveDate, NaiveTime, Offset as _, TimeDelta, TimeZone as _,
    Timelike as _,
};
use chrono_tz::Tz;
use nightbell_model::{Frame, Timestamp};

/// One moment on the axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimeTick {
    /// When.
    pub(crate) at: Timestamp,
    /// How it reads.
    pub(crate) label: String,
    /// Whether it opens something larger: a day among hours, a year among months.
    pub(crate) strong: bool,
}

/// How far ticks lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Seconds that divide a day.
    Seconds(i64),
    /// Days.
    Days(u32),
    /// Months, dividing or multiplying a year.
    Months(u32),
}

const SECOND_MS: i64 = 1000;
const DAY_MS: i64 = 86_400 * SECOND_MS;

/// Below this span labels carry seconds.
const SECONDS_SHOWN_BELOW_MS: i64 = 5 * 60 * SECOND_MS;

/// From this span on the range is told without times of day.
const DATES_ONLY_FROM_MS: i64 = 7 * DAY_MS;

#[rustfmt::skip]
const STEPS: &[Step] = &[
    Step::Seconds(1), Step::Seconds(2), Step::Seconds(5), Step::Seconds(10), Step::Seconds(15), Step::Seconds(30),
    Step::Seconds(60), Step::Seconds(120), Step::Seconds(300), Step::Seconds(600), Step::Seconds(900), Step::Seconds(1800),
    Step::Seconds(3600), Step::Seconds(7200), Step::Seconds(10_800), Step::Seconds(21_600), Step::Seconds(43_200),
    Step::Days(1), Step::Days(2), Step::Days(7), Step::Days(14), Step::Months(1), Step::Months(3), Step::Months(6),
    Step::Months(12), Step::Months(24), Step::Months(60), Step::Months(120), Step::Months(240), Step::Months(600),
    Step::Months(1200), Step::Months(2400), Step::Months(6000), Step::Months(12_000), Step::Months(24_000),
];

impl Step {
    /// Its usual length.
    const fn millis(self) -> i64 {
        match self {
            Self::Seconds(seconds) => seconds * SECOND_MS,
            Self::Days(days) => days as i64 * DAY_MS,
            Self::Months(months) => months as i64 * 30 * DAY_MS,
        }
    }
}

/// The moments to name between the start and the end of `frame`, at most about `count`, in the words of `tz`.
pub(crate) fn ticks(frame: &Frame, tz: Tz, count: usize) -> Vec<TimeTick> {
    let span = frame.end.millis_since(frame.start);
    let room = i64::try_from(count.max(1)).unwrap_or(i64::MAX);
    let step = STEPS.iter().copied().find(|step| span / step.millis() <= room).unwrap_or(Step::Months(24_000));
    let moments = match step {
        Step::Seconds(seconds) => within_days(frame, tz, seconds * SECOND_MS),
        Step::Days(days) => midnights(frame, tz, days),
        Step::Months(months) => firsts_of_months(frame, tz, months),
    };
    let label = |at: Timestamp| local(at, tz).map(|when| named(at, &when, step, span));
    moments.into_iter().filter_map(label).collect()
}

fn named(at: Timestamp, when: &DateTime<Tz>, step: Step, span: i64) -> TimeTick {
    let midnight = when.num_seconds_from_midnight() == 0;
    let (format, strong) = match step {
        Step::Months(months) if months >= 12 => ("%Y", false),
        Step::Months(_) if when.month() == 1 => ("%Y", true),
        Step::Months(_) => ("%b", false),
        Step::Days(_) => ("%-d %b", false),
        Step::Seconds(_) if midnight => ("%-d %b", true),
        Step::Seconds(step) if step < 60 || span < SECONDS_SHOWN_BELOW_MS => ("%H:%M:%S", false),
        Step::Seconds(_) => ("%H:%M", false),
    };
    TimeTick { at, label: when.format(format).to_string(), strong }
}

/// The multiples of `step_ms` on the zone's own clock.
fn within_days(frame: &Frame, tz: Tz, step_ms: i64) -> Vec<Timestamp> {
    let mut found = Vec::new();
    let (mut from, end) = (frame.start.as_millis(), frame.end.as_millis());
    while from <= end {
        let offset = offset_ms(from, tz);
        let next = -(-(from + offset)).div_euclid(step_ms) * step_ms - offset;
        if offset_ms(next, tz) == offset {
            if next <= end {
                found.push(Timestamp::from_millis(next));
            }
            from = next + 1;
        } else {
            // The clocks change on the way: go on from there, by the new clock.
            from = first_change(from, next, tz);
        }
    }
    found
}

/// The first moment after `from`, at most `until`, at which the zone's clock is not what it was at `from`.
fn first_change(from: i64, until: i64, tz: Tz) -> i64 {
    let before = offset_ms(from, tz);
    let (mut same, mut changed) = (from, until);
    while changed - same > 1 {
        let middle = same.midpoint(changed);
        if offset_ms(middle, tz) == before { same = middle } else { changed = middle }
    }
    changed
}

fn midnights(frame: &Frame, tz: Tz, days: u32) -> Vec<Timestamp> {
    let Some(first) = local(frame.start, tz).map(|when| when.date_naive()) else {
        return Vec::new();
    };
    // Weeks begin on Monday; other steps are counted from a fixed day, so that ticks do not wander with the range.
    let ahead = first.num_days_from_ce() - 1;
    let behind = u64::from(ahead.rem_euclid(i32::try_from(days).unwrap_or(1)).unsigned_abs());
    let start = first.checked_sub_days(Days::new(behind)).unwrap_or(first);
    dates(frame, tz, start, |date| date.checked_add_days(Days::new(u64::from(days))))
}

fn firsts_of_months(frame: &Frame, tz: Tz, months: u32) -> Vec<Timestamp> {
    let Some(first) = local(frame.start, tz).map(|when| when.date_naive()) else {
        return Vec::new();
    };
    let counted = first.year() * 12 + i32::try_from(first.month0()).unwrap_or(0);
    let aligned = counted - counted.rem_euclid(i32::try_from(months).unwrap_or(1));
    let month = u32::try_from(aligned.rem_euclid(12)).unwrap_or(0) + 1;
    let start = NaiveDate::from_ymd_opt(aligned.div_euclid(12), month, 1).unwrap_or(first);
    dates(frame, tz, start, |date| date.checked_add_months(Months::new(months)))
}

/// The midnights of `start` and of the dates that follow it, as far as they lie in the range.
fn dates(frame: &Frame, tz: Tz, start: NaiveDate, next: impl Fn(NaiveDate) -> Option<NaiveDate>) -> Vec<Timestamp> {
    std::iter::successors(Some(start), |date| next(*date))
        .map_while(|date| midnight(date, tz))
        .take_while(|at| *at <= frame.end)
        .filter(|at| *at >= frame.start)
        .collect()
}

/// The first moment of `date` in `tz`: where clocks jump over midnight, the moment they jump.
fn midnight(date: NaiveDate, tz: Tz) -> Option<Timestamp> {
    let wall = date.and_time(NaiveTime::MIN);
    let moment = (0..=12).find_map(|quarters| match tz.from_local_datetime(&(wall + TimeDelta::minutes(15 * quarters))) {
        LocalResult::Single(when) | LocalResult::Ambiguous(when, _) => Some(when),
        LocalResult::None => None,
    })?;
    Some(Timestamp::from_millis(moment.timestamp_millis()))
}

fn local(at: Timestamp, tz: Tz) -> Option<DateTime<Tz>> {
    DateTime::from_timestamp_millis(at.as_millis()).map(|utc| utc.with_timezone(&tz))
}

fn offset_ms(at: i64, tz: Tz) -> i64 {
    local(Timestamp::from_millis(at), tz).map_or(0, |when| i64::from(when.offset().fix().local_minus_utc()) * SECOND_MS)
}

/// The range of `frame` in words, without its zone: `5 Nov 2026, 13:00 – 14:00`.
pub(crate) fn range_text(frame: &Frame, tz: Tz) -> String {
    let (Some(start), Some(end)) = (local(frame.start, tz), local(frame.end, tz)) else {
        return String::new();
    };
    let span = frame.end.millis_since(frame.start);
    let clock = if span < SECONDS_SHOWN_BELOW_MS { "%H:%M:%S" } else { "%H:%M" };
    let day = if start.year() == end.year() { "%-d %b" } else { "%-d %b %Y" };
    let (from, to) = if span >= DATES_ONLY_FROM_MS {
        (day.to_owned(), "%-d %b %Y".to_owned())
    } else if start.date_naive() == end.date_naive() {
        (format!("%-d %b %Y, {clock}"), clock.to_owned())
    } else {
        (format!("{day}, {clock}"), format!("%-d %b %Y, {clock}"))
    };
    format!("{} – {}", start.format(&from), end.format(&to))
}

#[cfg(test)]
mod tests;
