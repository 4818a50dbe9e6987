//! The sheet that the collectors fill in at each heartbeat: values by metric and label, gaps by source.
//!
//! A series gets its place when it is first written and keeps it, so the names go to the hub once and a heartbeat is a row of
//! numbers. Values are whole numbers scaled by the catalogue's decimals from here on. What is not written in a heartbeat is
//! missing in it; what has not been written for long loses its place.

use nightbell_model::catalogue::{self, Metric};
use nightbell_model::series::SeriesKey;
use std::sync::Arc;

/// The mark of a missing value in a row.
pub const MISSING: i64 = i64::MIN;
/// The hub accepts no more values in one heartbeat; a host with more has lost its mind, or ours.
const MAX_SERIES: usize = 4096;
/// Heartbeats after which an unwritten series loses its place: an hour at 15 s, so that a flapping device changes no schema.
const FORGET_AFTER: u16 = 240;

/// A source that could not be read or understood, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The file or call, such as `/proc/diskstats`.
    pub source: String,
    /// What went wrong, in words.
    pub why: String,
}

/// The names of a row's values. Another set of names has another `id`.
#[derive(Debug, PartialEq, Eq)]
pub struct Names {
    /// Counts up within one process.
    pub id: u32,
    /// The series keys.
    pub keys: Vec<String>,
    /// By how many decimals each value is scaled; as long as `keys`.
    pub decimals: Vec<u8>,
}

/// One kernel counter as read, for `--once`.
pub type RawCounter = (String, u64);

#[derive(Debug)]
struct Place {
    metric: &'static Metric,
    label: Box<str>,
    unwritten: u16,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Sheet {
    places: Vec<Place>,
    row: Vec<i64>,
    cursor: usize,
    names: Arc<Names>,
    changed: bool,
    gaps: Vec<Gap>,
    errors: u64,
    resets: u64,
    counters: Option<Vec<RawCounter>>,
}

impl Sheet {
    /// An empty sheet; it notes raw counters too if `with_counters`.
    #[must_use]
    pub fn new(with_counters: bool) -> Self {
        Self {
            places: Vec::new(),
            row: Vec::new(),
            cursor: 0,
            names: Arc::new(Names { id: 0, keys: Vec::new(), decimals: Vec::new() }),
            changed: false,
            gaps: Vec::new(),
            errors: 0,
            resets: 0,
            counters: with_counters.then(Vec::new),
        }
    }

    /// Clears the values and gaps of the last heartbeat.
    pub fn begin(&mut self) {
        self.row.fill(MISSING);
        self.cursor = 0;
        self.gaps.clear();
        if let Some(counters) = &mut self.counters {
            counters.clear();
        }
    }

    /// Writes the value of a metric without label; `None` or a value outside the metric's range is missing.
    pub fn put(&mut self, metric: &'static str, value: Option<f64>) {
        self.put_for(metric, "", value);
    }

    /// Writes the value of a metric for one value of its key label.
    pub fn put_for(&mut self, metric: &'static str, label: &str, value: Option<f64>) {
        if let Some(at) = self.place(metric, label) {
            self.row[at] = scaled(self.places[at].metric, value);
            self.places[at].unwritten = 0;
        }
    }

    /// Notes a source that could not be read.
    pub fn gap(&mut self, source: impl Into<String>, why: impl Into<String>) {
        self.errors += 1;
        self.gaps.push(Gap { source: source.into(), why: why.into() });
    }

    /// Counts a group of counters that began anew.
    pub fn count_reset(&mut self) {
        self.resets += 1;
    }

    /// Notes a raw kernel counter, if anyone wants them.
    pub fn counter(&mut self, name: &str, label: &[(&str, &str)], value: u64) {
        if let (Some(counters), Ok(key)) = (&mut self.counters, SeriesKey::new(name, label)) {
            counters.push((key.as_str().to_owned(), value));
        }
    }

    /// Readings that failed since the start.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// Groups of counters that began anew since the start.
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// The gaps of this heartbeat.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The raw counters of this heartbeat.
    #[must_use]
    pub fn counters(&self) -> &[RawCounter] {
        self.counters.as_deref().unwrap_or_default()
    }

    /// Ends the heartbeat: the names as they stand and the row that belongs to them.
    pub fn finish(&mut self) -> (Arc<Names>, Box<[i64]>) {
        self.forget_the_unwritten();
        if self.changed {
            self.names = Arc::new(Names {
                id: self.names.id + 1,
                keys: self.places.iter().map(Place::key).collect(),
                decimals: self.places.iter().map(|place| place.metric.decimals).collect(),
            });
            self.changed = false;
        }
        (Arc::clone(&self.names), self.row.as_slice().into())
    }

    /// Finds or makes the place of a series. Collectors write in the same order each time, so it is nearly always the next one.
    fn place(&mut self, metric: &'static str, label: &str) -> Option<usize> {
        let count = self.places.len();
        let next = (0..count).map(|step| (self.cursor + step) % count).find(|at| self.places[*at].is(metric, label));
        let at = match next {
            Some(at) => at,
            None => self.add(metric, label)?,
        };
        self.cursor = at + 1;
        Some(at)
    }

    fn add(&mut self, name: &'static str, label: &str) -> Option<usize> {
        let metric = catalogue::find(name)?;
        let place = Place { metric, label: label.into(), unwritten: 0 };
        if self.places.len() >= MAX_SERIES {
            self.gap(name, format!("more than {MAX_SERIES} series"));
            return None;
        }
        if place.key().is_empty() {
            self.gap(name, "the name of the object is too long for a series");
            return None;
        }
        self.places.push(place);
        self.row.push(MISSING);
        self.changed = true;
        Some(self.places.len() - 1)
    }

    fn forget_the_unwritten(&mut self) {
        for (place, value) in self.places.iter_mut().zip(&self.row) {
            if *value == MISSING {
                place.unwritten = place.unwritten.saturating_add(1);
            }
        }
        if self.places.iter().any(|place| place.unwritten > FORGET_AFTER) {
            let keep: Vec<bool> = self.places.iter().map(|place| place.unwritten <= FORGET_AFTER).collect();
            let (mut kept, mut kept_too) = (keep.iter(), keep.iter());
            self.places.retain(|_| *kept.next().unwrap_or(&true));
            self.row.retain(|_| *kept_too.next().unwrap_or(&true));
            self.changed = true;
        }
    }
}

impl Place {
    fn is(&self, metric: &str, label: &str) -> bool {
        self.metric.name == metric && &*self.label == label
    }

    /// The series key; empty if there is none (the label is too long).
    fn key(&self) -> String {
        let key = match self.metric.label {
            Some(name) if !self.label.is_empty() => SeriesKey::new(self.metric.name, &[(name, &self.label)]),
            _ => SeriesKey::new(self.metric.name, &[]),
        };
        key.map(|key| key.as_str().to_owned()).unwrap_or_default()
    }
}

/// `value` as a whole number of the metric's last decimal; [`MISSING`] if the metric does not admit it.
#[expect(clippy::cast_possible_truncation, reason = "the catalogue's ranges scaled by its decimals lie within 63 bits")]
fn scaled(metric: &Metric, value: Option<f64>) -> i64 {
    match value {
        Some(value) if metric.admits(value) => (value * 10_f64.powi(i32::from(metric.decimals))).round() as i64,
        _ => MISSING,
    }
}

/// The number that a scaled value stands for; nothing for a missing one.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "the sheet scaled an f64, so nothing is lost that was there")]
pub fn unscaled(value: i64, decimals: u8) -> Option<f64> {
    (value != MISSING).then(|| value as f64 / 10_f64.powi(i32::from(decimals)))
}

#[cfg(test)]
mod tests;
