//! Sets of sequence numbers as few closed ranges: which heartbeats of one agent process are stored. Deciding which heartbeats
//! are let in is left to the door; this only keeps a repeated commit from storing one twice.

use crate::varint::{Damage, Reader, put};

/// At most so many ranges of one process are remembered; the lowest are forgotten first. A commit is repeated at once or never,
/// so what is forgotten here lies far behind.
pub(crate) const MAX_RANGES: usize = 256;

/// Closed ranges, ascending, with at least one number missing between two of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// The set of these ranges, which may overlap and stand in any order; an inverted one is empty.
    #[must_use]
    pub(crate) fn new(mut ranges: Vec<(u64, u64)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// The ranges.
    #[must_use]
    pub(crate) fn as_slice(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Whether `seq` is in the set.
    #[must_use]
    pub(crate) fn contains(&self, seq: u64) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= seq);
        after.checked_sub(1).is_some_and(|at| self.0[at].1 >= seq)
    }

    /// Puts `seq` into the set; `false` if it was there.
    pub(crate) fn insert(&mut self, seq: u64) -> bool {
        if let Some(last) = self.0.last_mut()
            && last.1.checked_add(1) == Some(seq)
        {
            last.1 = seq;
            return true;
        }
        if self.contains(seq) {
            return false;
        }
        let at = self.0.partition_point(|(first, _)| *first <= seq);
        let joins_before = at > 0 && self.0[at - 1].1.checked_add(1) == Some(seq);
        let joins_after = at < self.0.len() && seq.checked_add(1) == Some(self.0[at].0);
        match (joins_before, joins_after) {
            (true, true) => self.0[at - 1].1 = self.0.remove(at).1,
            (true, false) => self.0[at - 1].1 = seq,
            (false, true) => self.0[at].0 = seq,
            (false, false) => self.0.insert(at, (seq, seq)),
        }
        if self.0.len() > MAX_RANGES {
            self.0.remove(0);
        }
        true
    }

    /// All numbers of both sets.
    #[must_use]
    pub(crate) fn union(&self, other: &Self) -> Self {
        Self::new(self.0.iter().chain(&other.0).copied().collect())
    }

    /// Appends the set as pairs of numbers: the distance from the end before, and the length minus one.
    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        let mut end = 0;
        for (first, last) in &self.0 {
            put(out, first - end);
            put(out, last - first);
            end = *last;
        }
    }

    /// The set that was packed into `bytes`.
    ///
    /// # Errors
    /// If the bytes are no such pairs.
    pub(crate) fn unpack(bytes: &[u8]) -> Result<Self, Damage> {
        let (mut reader, mut ranges, mut end) = (Reader::new(bytes), Vec::new(), 0_u64);
        while !reader.is_empty() {
            let first = end.checked_add(reader.varint()?).ok_or(Damage("a number is too large"))?;
            let last = first.checked_add(reader.varint()?).ok_or(Damage("a number is too large"))?;
            ranges.push((first, last));
            end = last;
        }
        Ok(Self::new(ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_hold_what_a_set_holds(numbers in prop::collection::vec(prop_oneof![0_u64..60, u64::MAX - 3..=u64::MAX], 0..80)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(ranges.insert(number), set.insert(number));
            }
            for number in 0..70 {
                prop_assert_eq!(ranges.contains(number), set.contains(&number));
            }
            prop_assert_eq!(&Ranges::new(ranges.as_slice().to_vec()), &ranges);
            let mut bytes = Vec::new();
            ranges.pack(&mut bytes);
            prop_assert_eq!(Ranges::unpack(&bytes), Ok(ranges));
        }
    }

    #[test]
    fn the_lowest_ranges_are_forgotten_first() {
        let mut ranges = Ranges::default();
        for number in 0..=MAX_RANGES as u64 {
            ranges.insert(number * 2);
        }
        assert_eq!(ranges.as_slice().len(), MAX_RANGES);
        assert!(!ranges.contains(0) && ranges.contains(2));
    }

    #[test]
    fn sets_are_joined() {
        let (left, right) = (Ranges::new(vec![(1, 3), (7, 9)]), Ranges::new(vec![(4, 6), (20, 21)]));
        assert_eq!(left.union(&right).as_slice(), [(1, 9), (20, 21)]);
    }
}
