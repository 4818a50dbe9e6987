//! One metric over the fleet, step by step, kept in memory from question to question: a screen that shows the last hour asks for the
//! same sixty minutes again and again, and a thousand agents' hour is a quarter of a million heartbeats.
//!
//! What is kept is never older than what is stored. Each minute counts the heartbeats that were stored in it, late ones too, before
//! they are acknowledged; a step is as it was read for as long as the counts of its minutes are what they were before it was read.
//! The last hour is read before anybody asks (`ahead`).
//! What the store makes of a question is the store's.

mod ahead;
pub mod reader;

use ahead::Ahead;
use nightbell_model::Timestamp;
use nightbell_store::{FleetColumn, FleetFrame, FleetQuery, StoreError};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A minute in milliseconds.
const MINUTE_MS: i64 = 60_000;
/// So many minutes are counted, the newest ones: what lies before is read each time it is asked for.
const MINUTES: usize = 49 * 60;
/// So many cells (steps times groups) are kept over all questions: about eight megabytes.
const CELLS: usize = 200_000;

/// How many heartbeats were stored in each minute since the start.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Grows with whatever may have changed any minute.
    upheavals: u64,
    minutes: BTreeMap<i64, u64>,
    /// Minutes before this one are not counted any more.
    from: Option<i64>,
}

impl Arrivals {
    /// Counts heartbeats that have become durable. Call it before anybody is told so.
    pub fn note(&self, times: impl Iterator<Item = Timestamp>) {
        let mut counts = lock(&self.0);
        for time in times {
            let minute = time.as_millis().div_euclid(MINUTE_MS);
            if counts.from.is_none_or(|from| minute >= from) {
                *counts.minutes.entry(minute).or_default() += 1;
            }
        }
        while counts.minutes.len() > MINUTES {
            counts.from = counts.minutes.pop_first().map(|(minute, _)| minute + 1);
        }
    }

    /// Notes that any minute may have changed: history was brought in from elsewhere.
    pub fn upheaval(&self) {
        lock(&self.0).upheavals += 1;
    }

    /// What the steps depend on, one mark for each; `None` where that is not counted any more.
    fn marks(&self, steps: &[Timestamp], step_ms: i64) -> Vec<Option<u64>> {
        let counts = lock(&self.0);
        let mark = |step: &Timestamp| {
            let first = step.as_millis().div_euclid(MINUTE_MS);
            let last = step.plus_millis(step_ms - 1).as_millis().div_euclid(MINUTE_MS);
            let sum: u64 = counts.minutes.range(first..=last).map(|(_, count)| count).sum();
            // Both only grow: their sum is what it was only if both are.
            counts.from.is_none_or(|from| first >= from).then(|| sum + counts.upheavals)
        };
        steps.iter().map(mark).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a question is about, its span left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Matter {
    series: String,
    step_ms: i64,
    groups: Vec<Vec<nightbell_model::AgentId>>,
}

/// The steps of a matter that are kept.
#[derive(Debug, Default)]
struct Known {
    steps: BTreeMap<Timestamp, Step>,
    /// When it was last asked for, by count of questions.
    used: u64,
}

/// A step of all groups, as it was read when its mark was this.
#[derive(Debug, Clone)]
struct Step {
    mark: u64,
    cells: Box<[Cell]>,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    mean: f64,
    min: f64,
    max: f64,
    count: u32,
}

impl Cell {
    /// The cell of a step.
    fn of(column: &FleetColumn, at: usize) -> Self {
        Self { mean: column.mean[at], min: column.min[at], max: column.max[at], count: column.count[at] }
    }
}

/// What is kept.
#[derive(Debug, Default)]
pub struct FleetHistory {
    matters: Mutex<Matters>,
    ahead: Ahead,
}

#[derive(Debug, Default)]
struct Matters {
    known: HashMap<Matter, Known>,
    questions: u64,
}

impl FleetHistory {
    /// Answers a question about whole steps. `read` asks the store, only for what is not known or not right any more.
    ///
    /// # Errors
    /// What `read` says.
    pub fn answer(
        &self,
        query: &FleetQuery,
        arrivals: &Arrivals,
        read: impl Fn(&FleetQuery) -> Result<FleetFrame, StoreError>,
    ) -> Result<FleetFrame, StoreError> {
        let times = query.steps();
        // Before anything is read: what arrives in the meantime makes the mark one of the past.
        let marks = arrivals.marks(&times, query.step_ms);
        let matter = Matter { series: query.series.clone(), step_ms: query.step_ms, groups: query.groups.clone() };
        let mut steps = self.known(&matter, &times, &marks);
        self.ahead.fill(query, &times, &marks, &mut steps);
        for run in runs(&steps) {
            let (start, end) = (times[run.start], times[run.end - 1].plus_millis(query.step_ms));
            let frame = read(&FleetQuery { start, end, ..query.clone() })?;
            for (at, cells) in run.zip(rows(&frame)) {
                steps[at] = Some(cells);
            }
        }
        self.keep(matter, &times, &marks, &steps);
        Ok(columns(times, &steps, query.groups.len()))
    }

    /// The steps that are known and still right.
    fn known(&self, matter: &Matter, times: &[Timestamp], marks: &[Option<u64>]) -> Vec<Option<Box<[Cell]>>> {
        let mut matters = lock(&self.matters);
        matters.questions += 1;
        let used = matters.questions;
        let Some(known) = matters.known.get_mut(matter) else { return vec![None; times.len()] };
        known.used = used;
        let step = |(time, mark): (&Timestamp, &Option<u64>)| {
            known.steps.get(time).filter(|step| Some(step.mark) == *mark).map(|step| step.cells.clone())
        };
        times.iter().zip(marks).map(step).collect()
    }

    fn keep(&self, matter: Matter, times: &[Timestamp], marks: &[Option<u64>], steps: &[Option<Box<[Cell]>>]) {
        if times.len().saturating_mul(matter.groups.len()) > CELLS {
            return;
        }
        let mut matters = lock(&self.matters);
        let used = matters.questions;
        let known = matters.known.entry(matter).or_default();
        known.used = used;
        for ((time, mark), cells) in times.iter().zip(marks).zip(steps) {
            if let (Some(mark), Some(cells)) = (*mark, cells) {
                known.steps.insert(*time, Step { mark, cells: cells.clone() });
            }
        }
        matters.make_room();
    }
}

impl Matters {
    /// Forgets what was not asked for longest until the rest fits; of a single matter the oldest steps.
    fn make_room(&mut self) {
        let size = |(matter, known): (&Matter, &Known)| matter.groups.len().max(1) * known.steps.len();
        let mut total: usize = self.known.iter().map(size).sum();
        while total > CELLS {
            let Some(oldest) = self.known.iter().min_by_key(|(_, known)| known.used).map(|(matter, _)| matter.clone()) else {
                return;
            };
            let Some(known) = self.known.get_mut(&oldest) else { return };
            let width = oldest.groups.len().max(1);
            let steps = known.steps.len();
            while known.steps.len() > steps / 2 {
                known.steps.pop_first();
            }
            total -= width * (steps - known.steps.len());
            if known.steps.is_empty() {
                self.known.remove(&oldest);
            }
        }
    }
}

/// The stretches of steps that are not known.
fn runs(steps: &[Option<Box<[Cell]>>]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in steps.iter().enumerate().filter(|(_, step)| step.is_none()) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// A frame step by step.
fn rows(frame: &FleetFrame) -> impl Iterator<Item = Box<[Cell]>> + '_ {
    (0..frame.times.len()).map(move |at| frame.groups.iter().map(|group| Cell::of(group, at)).collect())
}

fn columns(times: Vec<Timestamp>, steps: &[Option<Box<[Cell]>>], groups: usize) -> FleetFrame {
    let mut columns = vec![FleetColumn::default(); groups];
    let nothing = Cell { mean: f64::NAN, min: f64::NAN, max: f64::NAN, count: 0 };
    for step in steps {
        for (at, column) in columns.iter_mut().enumerate() {
            let cell = step.as_ref().and_then(|cells| cells.get(at)).unwrap_or(&nothing);
            column.mean.push(cell.mean);
            column.min.push(cell.min);
            column.max.push(cell.max);
            column.count.push(cell.count);
        }
    }
    FleetFrame { times, groups: columns }
}

#[cfg(test)]
mod tests;
