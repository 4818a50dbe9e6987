//! Sets of numbers as closed ranges: bounded, because what is remembered for ever must not grow for ever.

/// How many ranges one set holds at most. An agent that loses nothing needs one; each gap costs one more.
pub(crate) const MAX_RANGES: usize = 64;

/// Which numbers were seen. When the bound is reached the two lowest ranges become one: the numbers between them count as
/// seen from then on, so one of them that comes after 63 later gaps is taken for a duplicate, and none is ever taken twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    ranges: Vec<(u64, u64)>,
}

impl Ranges {
    /// A set from stored ranges, in any order; ones that end before they begin are left out.
    pub(crate) fn from_stored(mut stored: Vec<(u64, u64)>) -> Self {
        stored.retain(|(start, end)| start <= end);
        stored.sort_unstable();
        let mut ranges: Vec<(u64, u64)> = Vec::with_capacity(stored.len());
        for (start, end) in stored {
            match ranges.last_mut() {
                Some(last) if start <= last.1.saturating_add(1) => last.1 = last.1.max(end),
                _ => ranges.push((start, end)),
            }
        }
        let mut set = Self { ranges };
        set.bound();
        set
    }

    pub(crate) fn as_slice(&self) -> &[(u64, u64)] {
        &self.ranges
    }

    pub(crate) fn highest(&self) -> Option<u64> {
        self.ranges.last().map(|(_, end)| *end)
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        let after = self.ranges.partition_point(|(start, _)| *start <= number);
        after > 0 && self.ranges[after - 1].1 >= number
    }

    /// Adds a number; whether it is new.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        let after = self.ranges.partition_point(|(start, _)| *start <= number);
        let joins_before = after > 0 && self.ranges[after - 1].1.saturating_add(1) >= number;
        if joins_before && self.ranges[after - 1].1 >= number {
            return false;
        }
        let joins_after = self.ranges.get(after).is_some_and(|(start, _)| *start == number.saturating_add(1));
        match (joins_before, joins_after) {
            (true, true) => {
                self.ranges[after - 1].1 = self.ranges[after].1;
                self.ranges.remove(after);
            }
            (true, false) => self.ranges[after - 1].1 = number,
            (false, true) => self.ranges[after].0 = number,
            (false, false) => self.ranges.insert(after, (number, number)),
        }
        self.bound();
        true
    }

    fn bound(&mut self) {
        while self.ranges.len() > MAX_RANGES {
            let end = self.ranges.remove(1).1;
            self.ranges[0].1 = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn neighbours_join() {
        let mut set = Ranges::default();
        for number in [5, 7, 6, 1, 2, u64::MAX, 0] {
            assert!(set.insert(number) && !set.insert(number), "{number}");
        }
        assert_eq!(set.as_slice(), [(0, 2), (5, 7), (u64::MAX, u64::MAX)]);
        assert_eq!(set.highest(), Some(u64::MAX));
        assert!(set.contains(6) && !set.contains(3) && !set.contains(8));
    }

    #[test]
    fn the_lowest_gaps_are_forgotten_first() {
        let mut set = Ranges::default();
        for number in (0..200).step_by(2) {
            set.insert(number);
        }
        assert_eq!(set.as_slice().len(), MAX_RANGES);
        assert!(set.contains(1) && !set.contains(197));
    }

    proptest! {
        #[test]
        fn it_is_a_set(numbers in proptest::collection::vec(0_u64..100, 0..200)) {
            let (mut set, mut model) = (Ranges::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(set.insert(number), model.insert(number));
            }
            for number in 0..101 {
                prop_assert_eq!(set.contains(number), model.contains(&number));
            }
            prop_assert_eq!(&Ranges::from_stored(set.as_slice().to_vec()), &set);
        }

        #[test]
        fn nothing_is_new_twice_whatever_is_forgotten(numbers in proptest::collection::vec(any::<u16>(), 0..2000)) {
            let (mut set, mut model) = (Ranges::default(), BTreeSet::new());
            for number in numbers {
                let new = set.insert(number.into());
                prop_assert!(!new || model.insert(number));
                prop_assert!(set.as_slice().len() <= MAX_RANGES);
            }
        }
    }
}
