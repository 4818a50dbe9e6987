//! When the next turn may begin. Pure.
//!
//! A commit costs a sync and some tenths of a millisecond of CPU, whatever is in it. Many senders who each wait for their answer
//! keep the queue nearly empty, and the pipeline would go round for ten heartbeats at a time, at a higher price than theirs. So
//! under load turns keep a distance. What comes alone waits for nobody.

use super::turn::MAX_HEARTBEATS;
use std::time::{Duration, Instant};

/// A turn with so many submissions means load.
const COMPANY: usize = 8;
/// The distance: a hundred turns a second share their price among all, and nobody notices the wait.
const DISTANCE: Duration = Duration::from_millis(10);

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: Option<Instant>,
}

impl Pace {
    /// A turn with so many submissions has begun.
    pub(super) fn begun(&mut self, now: Instant, submissions: usize) {
        self.next = (submissions >= COMPANY).then(|| now + DISTANCE);
    }

    /// How long to let company gather before the next turn, when so many wait for it already.
    pub(super) fn rest(&self, now: Instant, queued: usize) -> Duration {
        match self.next {
            Some(next) if queued < MAX_HEARTBEATS => next.saturating_duration_since(now),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_keep_a_distance_under_load_and_only_then() {
        let (begun, after) = (Instant::now(), Duration::from_millis);
        let mut pace = Pace::default();
        assert_eq!(pace.rest(begun, 0), Duration::ZERO);
        for (submissions, later, queued, expected) in [
            (COMPANY - 1, 0, 0, 0),
            (COMPANY, 0, 0, 10),
            (COMPANY, 4, 0, 6),
            (COMPANY, 4, MAX_HEARTBEATS - 1, 6),
            (COMPANY, 4, MAX_HEARTBEATS, 0),
            (COMPANY, 11, 0, 0),
            (1, 4, 0, 0),
        ] {
            pace.begun(begun, submissions);
            assert_eq!(pace.rest(begun + after(later), queued), after(expected), "{submissions} {later} {queued}");
        }
    }
}
