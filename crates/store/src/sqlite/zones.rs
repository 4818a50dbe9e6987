//! Between which times the hot rows of each stretch of numbers lie, so that a question about the last minutes of a whole fleet reads
//! the few rows that were written last and not the table.
//!
//! What is remembered is never narrower than what a snapshot holds: the writer notes each row before its transaction ends, and of rows
//! from before the start a stretch is remembered once somebody has read all of it. What is not remembered is read.

use nightbell_model::Timestamp;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A stretch is 2 to this power numbers; few in tests, which write few rows.
const BITS: u32 = if cfg!(test) { 6 } else { 10 };
/// So many stretches are remembered, some 3 MB: 67 million rows.
const STRETCHES: usize = 65_536;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Zones(Mutex<Map>);

#[derive(Debug, Default)]
struct Map {
    /// Runs of stretches, all rows of which lie in the first one, by that.
    runs: BTreeMap<i64, Run>,
    /// All rows from this number on were noted.
    noted_from: Option<i64>,
    /// How many rows were noted for stretches that are not remembered.
    missed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// The first stretch that is not in it any more.
    until: i64,
    first: Timestamp,
    last: Timestamp,
}

impl Run {
    fn widen(&mut self, first: Timestamp, last: Timestamp) {
        (self.first, self.last) = (self.first.min(first), self.last.max(last));
    }
}

/// Numbers of rows that may lie within a span.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// Ascending.
    pub(super) ranges: Vec<RangeInclusive<i64>>,
    /// At most so many rows are in those of them that are remembered.
    pub(super) known: usize,
}

/// What a reader meets in a range of numbers.
#[derive(Debug)]
pub(super) struct Met<'a> {
    zones: &'a Zones,
    missed: u64,
    from: i64,
    run: Run,
}

impl<'a> Met<'a> {
    /// Nothing yet; `missed` is what it was before the snapshot was taken.
    pub(super) const fn new(zones: &'a Zones, missed: u64, range: &RangeInclusive<i64>) -> Self {
        let run = Run { until: (*range.end() >> BITS) + 1, first: Timestamp::MAX, last: Timestamp::MIN };
        Self { zones, missed, from: *range.start() >> BITS, run }
    }

    /// The next row.
    pub(super) fn row(&mut self, id: i64, ts: Timestamp) {
        let stretch = id >> BITS;
        if stretch > self.from {
            self.zones.learn(self.from, Run { until: stretch, ..self.run }, self.missed);
            (self.from, self.run.first, self.run.last) = (stretch, ts, ts);
        } else {
            self.run.widen(ts, ts);
        }
    }

    /// No more rows in the range, of a snapshot whose largest number is `newest`: that one's stretch is still written to.
    pub(super) fn end(self, newest: i64) {
        if self.run.until <= newest >> BITS {
            self.zones.learn(self.from, self.run, self.missed);
        }
    }
}

impl Zones {
    fn map(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a row that a transaction, which is not ended, writes.
    pub(super) fn note(&self, id: i64, ts: Timestamp) {
        let mut map = self.map();
        let (stretch, noted_from) = (id >> BITS, *map.noted_from.get_or_insert(id));
        match map.runs.range_mut(..=stretch).next_back().filter(|(_, run)| stretch < run.until) {
            Some((from, run)) if *from == stretch => run.widen(ts, ts),
            // A number is used again: what was a gap is none.
            Some((from, _)) => {
                let from = *from;
                map.runs.remove(&from);
                map.missed += 1;
            }
            None if stretch << BITS >= noted_from => {
                map.runs.insert(stretch, Run { until: stretch + 1, first: ts, last: ts });
            }
            None => map.missed += 1,
        }
        while map.runs.len() > STRETCHES {
            let gone = map.runs.pop_first();
            map.noted_from = map.noted_from.max(gone.map(|(_, run)| run.until << BITS));
        }
    }

    /// How many rows were noted in vain; to be asked before the snapshot is taken in which stretches are read.
    pub(super) fn missed(&self) -> u64 {
        self.map().missed
    }

    /// Remembers a run that was read to its end, unless a row was noted in vain since `missed`.
    fn learn(&self, from: i64, run: Run, missed: u64) {
        let mut map = self.map();
        if map.missed != missed || map.runs.len() >= STRETCHES {
            return;
        }
        let known = map.runs.range_mut(..run.until).next_back().filter(|(_, known)| known.until > from);
        match known {
            None => drop(map.runs.insert(from, run)),
            Some((at, known)) if *at == from && known.until == run.until => known.widen(run.first, run.last),
            // A part of it is known: the rest is, once that is read by itself.
            Some(_) => {}
        }
    }

    /// Which of `all` may lie within a span.
    pub(super) fn within(&self, all: &RangeInclusive<i64>, (start, end): (Timestamp, Timestamp)) -> Numbers {
        let (map, mut found) = (self.map(), Numbers::default());
        let (mut at, last) = (*all.start() >> BITS, *all.end() >> BITS);
        let mut add = |from: i64, until: i64| {
            let numbers = (from << BITS).max(*all.start())..=((until << BITS) - 1).min(*all.end());
            match found.ranges.last_mut() {
                Some(range) if range.end() + 1 == *numbers.start() => *range = *range.start()..=*numbers.end(),
                _ if !numbers.is_empty() => found.ranges.push(numbers),
                _ => {}
            }
        };
        let first = map.runs.range(..=at).next_back().map_or(at, |(from, _)| *from);
        for (from, run) in map.runs.range(first..=last).filter(|(_, run)| run.until > *all.start() >> BITS) {
            if at < *from {
                add(at, *from);
            }
            if run.first < end && run.last >= start {
                add(*from, from + 1);
                found.known += 1 << BITS;
            }
            at = run.until;
        }
        if at <= last {
            add(at, last + 1);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRETCH: i64 = 1 << BITS;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn learn(zones: &Zones, stretch: i64, first: i64, last: i64) {
        zones.learn(stretch, Run { until: stretch + 1, first: at(first), last: at(last) }, zones.missed());
    }

    fn within(zones: &Zones, all: RangeInclusive<i64>, from: i64, to: i64) -> Vec<RangeInclusive<i64>> {
        zones.within(&all, (at(from), at(to))).ranges
    }

    #[test]
    fn what_is_not_remembered_is_read_and_the_rest_by_its_times() {
        let zones = Zones::default();
        let all = 5..=5 * STRETCH;
        assert_eq!(within(&zones, all.clone(), 0, 9), std::slice::from_ref(&all), "nothing is known");
        learn(&zones, 1, 10, 20);
        learn(&zones, 2, 30, 40);
        assert_eq!(within(&zones, all.clone(), 50, 60), [5..=STRETCH - 1, 3 * STRETCH..=5 * STRETCH]);
        assert_eq!(
            within(&zones, all.clone(), 20, 30),
            [5..=2 * STRETCH - 1, 3 * STRETCH..=5 * STRETCH],
            "the end is not wanted"
        );
        assert_eq!(within(&zones, all.clone(), 15, 31), std::slice::from_ref(&all));
        assert_eq!(zones.within(&all, (at(15), at(31))).known, 2 << BITS);
    }

    #[test]
    fn rows_that_are_written_widen_their_stretch() {
        let (zones, all) = (Zones::default(), 0..=4 * STRETCH - 1);
        for id in STRETCH + 3..4 * STRETCH {
            zones.note(id, at(100 + id / STRETCH));
        }
        // The first of them was written to in part before anybody noted.
        assert_eq!(within(&zones, all.clone(), 0, 50), [0..=2 * STRETCH - 1]);
        assert_eq!(within(&zones, all.clone(), 103, 104), [0..=2 * STRETCH - 1, 3 * STRETCH..=4 * STRETCH - 1]);
        zones.note(3 * STRETCH, at(7));
        assert_eq!(within(&zones, all, 7, 8), [0..=2 * STRETCH - 1, 3 * STRETCH..=4 * STRETCH - 1]);
    }

    #[test]
    fn what_was_read_before_a_row_was_noted_in_vain_is_not_remembered() {
        let (zones, all) = (Zones::default(), 2 * STRETCH..=2 * STRETCH);
        zones.note(10 * STRETCH + 5, at(1));
        let mut met = Met::new(&zones, zones.missed(), &(0..=3 * STRETCH));
        zones.note(2 * STRETCH, at(77));
        met.row(2 * STRETCH + 7, at(1));
        met.row(3 * STRETCH, at(1));
        assert_eq!(within(&zones, all.clone(), 70, 80).len(), 1, "it is not taken for known");
        learn(&zones, 2, 1, 77);
        assert_eq!((within(&zones, all.clone(), 3, 70).len(), within(&zones, all, 78, 80).len()), (1, 0));
    }

    #[test]
    fn what_a_reader_meets_is_remembered_with_the_gaps_but_for_the_last_stretch() {
        let (zones, all) = (Zones::default(), 0..=(9 << BITS) + 5);
        let mut met = Met::new(&zones, 0, &all);
        for (id, ts) in [(3 << BITS, 5), ((3 << BITS) + 1, 4), (7 << BITS, 9), (9 << BITS, 1)] {
            met.row(id, at(ts));
        }
        met.end((9 << BITS) + 5);
        assert_eq!(within(&zones, all.clone(), 9, 10), [7 << BITS..=(8 << BITS) - 1, 9 << BITS..=(9 << BITS) + 5]);
        assert_eq!(within(&zones, all.clone(), 4, 5), [3 << BITS..=(4 << BITS) - 1, 9 << BITS..=(9 << BITS) + 5]);
        zones.note(5 << BITS, at(50));
        assert_eq!(within(&zones, all, 50, 51).len(), 2, "a row in a gap is not lost");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let zones = Zones::default();
        for stretch in 0..STRETCHES as i64 + 10 {
            zones.note(stretch * STRETCH, at(1));
        }
        assert_eq!(zones.map().runs.len(), STRETCHES);
        assert_eq!(within(&zones, 0..=11 * STRETCH - 1, 5, 6), [0..=10 * STRETCH - 1], "the oldest are forgotten");
    }
}
