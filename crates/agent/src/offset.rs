//! By how much the host's clock differs from the hub's, from the times the hub says. Pure.
//!
//! Every word of the hub is late by its way here, and one that waited out a night's sleep is late by that night; of the last
//! few the one that differs least is nearest to the truth.

use std::collections::VecDeque;

/// How many of the hub's times are compared.
const RECENT: usize = 8;

/// The last differences, in milliseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offset {
    recent: VecDeque<i64>,
}

impl Offset {
    /// Our clock minus the hub's, as one word of the hub has it.
    pub(crate) fn heard(&mut self, difference_ms: i64) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(difference_ms);
    }

    /// The likeliest difference; nothing before the hub has said its time.
    pub(crate) fn best_ms(&self) -> Option<i64> {
        self.recent.iter().copied().min_by_key(|difference| difference.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_word_does_no_harm_and_a_wrong_clock_is_seen_after_a_few() {
        let mut offset = Offset::default();
        assert_eq!(offset.best_ms(), None);
        for difference in [12, 3, 28_800_000] {
            offset.heard(difference);
        }
        assert_eq!(offset.best_ms(), Some(3));
        for _ in 0..RECENT {
            offset.heard(-60_004);
        }
        assert_eq!(offset.best_ms(), Some(-60_004));
    }
}
