//! The last hour of the fleet, minute by minute, read before anybody asks: all metrics of a minute for hardly more than one of them
//! costs, so that the first question about any of them finds it there.
//!
//! What is kept is told from what is out of date by the same marks as answers are. It answers questions in steps of a minute, about
//! a whole metric, of all agents or of those with a tag, as long as there is room for tags; all others are read when they are asked.
//! When and on which thread it is read is left to [`super::reader`].

use super::{Arrivals, Cell, MINUTE_MS, lock};
use nightbell_model::{AgentId, Timestamp};
use nightbell_store::{FleetQuery, FleetSurvey, Surveyed};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// So many minutes are kept: an hour, and some for questions whose end is a little back.
const MINUTES: i64 = 64;
/// So many cells (metrics times groups) each of them has at most: altogether 0.8 MB.
const CELLS: usize = 400;
/// So many agents, each once for every group of it, are told apart: 160 kB.
pub(super) const MEMBERS: usize = 10_000;
/// So many minutes are read at once: a packed hour is unpacked once for each such stretch, and one agent's part is in memory.
const STRETCH: i64 = 32;
/// A minute is read so long after its end, in milliseconds: its last heartbeats are on their way until then.
const SETTLED_MS: i64 = 2_000;

/// The minutes that were read ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    minutes: BTreeMap<Timestamp, Minute>,
    /// With so many groups there was no room for all metrics.
    too_many: Option<usize>,
}

/// A minute, as it was read when its mark was this.
#[derive(Debug)]
struct Minute {
    mark: u64,
    about: Arc<About>,
    /// The groups of the first metric, then those of the next.
    cells: Box<[Cell]>,
}

/// What the cells of a minute are about. Minutes that follow each other have it in common.
#[derive(Debug, PartialEq)]
struct About {
    groups: Vec<Vec<AgentId>>,
    /// Ascending.
    metrics: Vec<String>,
}

impl About {
    /// The cells of a minute that answer a question, if they do.
    fn places(&self, series: &str, groups: &[Vec<AgentId>]) -> Option<Vec<usize>> {
        let metric = self.metrics.binary_search_by(|metric| metric.as_str().cmp(series)).ok()?;
        let place = |group: &Vec<AgentId>| self.groups.iter().position(|known| known == group);
        groups.iter().map(|group| place(group).map(|place| metric * self.groups.len() + place)).collect()
    }
}

/// A stretch of minutes that is to be read.
#[derive(Debug)]
pub(super) struct Stretch {
    groups: Vec<Vec<AgentId>>,
    first: Timestamp,
    /// The marks that its minutes had before.
    marks: Vec<u64>,
}

impl Stretch {
    /// The survey that reads it.
    pub(super) fn survey(&self) -> FleetSurvey {
        let minutes = i64::try_from(self.marks.len()).unwrap_or(0);
        let span = (self.first, self.first.plus_millis(minutes * MINUTE_MS));
        FleetSurvey::new(&self.groups, span, MINUTE_MS, CELLS / self.groups.len().max(1))
    }
}

impl Ahead {
    /// Fills in what is known and right of the steps of a question that are still empty.
    pub(super) fn fill(&self, query: &FleetQuery, times: &[Timestamp], marks: &[Option<u64>], steps: &mut [Option<Box<[Cell]>>]) {
        if query.step_ms != MINUTE_MS {
            return;
        }
        let kept = lock(&self.0);
        let mut last: Option<(&Arc<About>, Option<Vec<usize>>)> = None;
        for ((time, mark), step) in times.iter().zip(marks).zip(steps).filter(|(_, step)| step.is_none()) {
            let Some(minute) = kept.minutes.get(time).filter(|minute| Some(minute.mark) == *mark) else { continue };
            let known = last.take().filter(|(about, _)| Arc::ptr_eq(about, &minute.about));
            let (about, places) = known.unwrap_or_else(|| (&minute.about, minute.about.places(&query.series, &query.groups)));
            *step = places.as_ref().map(|places| places.iter().filter_map(|place| minute.cells.get(*place).copied()).collect());
            last = Some((about, places));
        }
    }

    /// What is to be read next: the newest minutes that are not known or not right any more. `by_tag` are the groups beside `all`,
    /// which are left out if there are too many of them.
    pub(super) fn next(&self, now: Timestamp, all: &[AgentId], by_tag: &[Vec<AgentId>], arrivals: &Arrivals) -> Option<Stretch> {
        let until = now.plus_millis(-SETTLED_MS).floor_to(MINUTE_MS);
        let times: Vec<Timestamp> = (1..=MINUTES).map(|back| until.plus_millis(-back * MINUTE_MS)).collect();
        let marks = arrivals.marks(&times, MINUTE_MS);
        let mut kept = lock(&self.0);
        kept.forget_beside(until.plus_millis(-MINUTES * MINUTE_MS), until);
        let groups = kept.groups(all, by_tag)?;
        let is_wanted = |(time, mark): &(&Timestamp, &Option<u64>)| {
            let known = kept.minutes.get(*time).filter(|minute| Some(minute.mark) == **mark);
            mark.is_some() && known.is_none_or(|minute| minute.about.groups != groups)
        };
        let newest_first = times.iter().zip(&marks);
        let stretch = newest_first.skip_while(|minute| !is_wanted(minute)).take_while(is_wanted);
        let most = usize::try_from(STRETCH).unwrap_or(1);
        let mut found: Vec<(Timestamp, u64)> =
            stretch.take(most).filter_map(|(time, mark)| mark.map(|mark| (*time, mark))).collect();
        found.reverse();
        let first = found.first()?.0;
        Some(Stretch { groups, first, marks: found.into_iter().map(|(_, mark)| mark).collect() })
    }

    /// Keeps what was read.
    pub(super) fn keep(&self, stretch: Stretch, found: Surveyed) {
        let mut kept = lock(&self.0);
        if found.is_short {
            kept.too_many = Some(stretch.groups.len());
        }
        let (metrics, columns): (Vec<_>, Vec<_>) = found.metrics.into_iter().unzip();
        let about = kept.shared(About { groups: stretch.groups, metrics });
        for (at, (time, mark)) in found.times.into_iter().zip(stretch.marks).enumerate() {
            let cells = columns.iter().flatten().map(|column| Cell::of(column, at)).collect();
            kept.minutes.insert(time, Minute { mark, about: Arc::clone(&about), cells });
        }
    }
}

impl Kept {
    /// Forgets all minutes but those within `first..until`.
    fn forget_beside(&mut self, first: Timestamp, until: Timestamp) {
        self.minutes.retain(|time, _| (first..until).contains(time));
    }

    /// The groups there is room for, each once.
    fn groups(&self, all: &[AgentId], by_tag: &[Vec<AgentId>]) -> Option<Vec<Vec<AgentId>>> {
        if all.is_empty() || all.len() > MEMBERS {
            return None;
        }
        let mut groups = vec![all.to_vec()];
        let members: usize = by_tag.iter().map(Vec::len).sum();
        if members + all.len() <= MEMBERS && by_tag.len() < CELLS {
            for group in by_tag {
                if !groups.contains(group) {
                    groups.push(group.clone());
                }
            }
        }
        if self.too_many.is_some_and(|too_many| groups.len() >= too_many) {
            groups.truncate(1);
        }
        Some(groups)
    }

    /// The one that a minute is about already, if it is the same.
    fn shared(&self, about: About) -> Arc<About> {
        let same = self.minutes.values().map(|minute| &minute.about).find(|known| ***known == about);
        same.map_or_else(|| Arc::new(about), Arc::clone)
    }
}

#[cfg(test)]
mod tests;
