//! Quiet hours: the stretch of certain days in which a channel's people are not to be woken.

use super::{Window, first_at, last_at, local};
use chrono::{Datelike, Days, NaiveDate, NaiveTime};
use chrono_tz::Tz;
use nightbell_model::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::str::FromStr;
use utoipa::ToSchema;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Weekday {
    /// The day of a date.
    #[must_use]
    pub fn of(date: NaiveDate) -> Self {
        match date.weekday() {
            chrono::Weekday::Mon => Self::Mon,
            chrono::Weekday::Tue => Self::Tue,
            chrono::Weekday::Wed => Self::Wed,
            chrono::Weekday::Thu => Self::Thu,
            chrono::Weekday::Fri => Self::Fri,
            chrono::Weekday::Sat => Self::Sat,
            chrono::Weekday::Sun => Self::Sun,
        }
    }
}

/// A time on a wall clock, `22:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(pub NaiveTime);

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = ["%H:%M", "%H:%M:%S"].iter().find_map(|format| NaiveTime::parse_from_str(text, format).ok());
        time.map(Self).ok_or_else(|| format!("{text:?} is no time of day such as 22:00"))
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use chrono::Timelike as _;
        let format = if self.0.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
        self.0.format(format).fmt(f)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Hours in which a channel's people are not to be woken. What they missed comes as one digest at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// The days on which they begin; empty for every day.
    #[serde(default)]
    pub weekdays: Vec<Weekday>,
    /// When they begin.
    #[schema(value_type = String, example = "22:00")]
    pub from: TimeOfDay,
    /// When they end, the next day if that is not later; the same time as `from` is a whole day.
    #[schema(value_type = String, example = "07:00")]
    pub to: TimeOfDay,
    /// The time zone of both; the hub's if left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub timezone: Option<Tz>,
    /// Whether critical pages pass.
    #[serde(default)]
    pub critical_passes: bool,
}

impl QuietHours {
    /// The stretches that overlap `within`, in order; `zone` is the hub's.
    #[must_use]
    pub fn windows(&self, zone: Tz, within: Window) -> Vec<Window> {
        let zone = self.timezone.unwrap_or(zone);
        // They may have begun the day before, and clocks differ from UTC by less than a day.
        let first = local(zone, within.start).date() - Days::new(2);
        let window = |day: NaiveDate| {
            let last = if self.to > self.from { day } else { day + Days::new(1) };
            Window { start: first_at(zone, day.and_time(self.from.0)), end: last_at(zone, last.and_time(self.to.0)) }
        };
        let begins = |day: &NaiveDate| self.weekdays.is_empty() || self.weekdays.contains(&Weekday::of(*day));
        let until = |window: &Window| window.start < within.end;
        let overlaps = |window: &Window| window.end > within.start && window.end > window.start;
        first.iter_days().filter(begins).map(window).take_while(until).filter(overlaps).collect()
    }

    /// Whether `at` lies in them.
    #[must_use]
    pub fn holds(&self, zone: Tz, at: Timestamp) -> bool {
        !self.windows(zone, Window { start: at, end: at.plus_millis(1) }).is_empty()
    }
}
