//! When the next turn may begin, and how long it waits for company. Pure.
//!
//! A commit costs a sync and some tenths of a millisecond of CPU, whatever is in it. Two things keep its price from being paid for each
//! heartbeat:
//!
//! * Many senders who each wait for their answer keep the queue nearly empty, and the pipeline would go round for ten heartbeats at a
//!   time, at a higher price than theirs. So under load turns keep a distance.
//! * Agents that send each few seconds come one by one. Nobody looks at their answers, so a turn of theirs waits a moment for others. It
//!   waits no longer once there is a page or anything else that somebody waits for, or a sender in a hurry: one that was heard of just
//!   now, or that has more than one thing to say.

use super::turn::MAX_HEARTBEATS;
use nightbell_model::AgentId;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A turn with so many submissions means load.
const COMPANY: usize = 8;
/// The distance: a hundred turns a second share their price among all, and nobody notices the wait.
const DISTANCE: Duration = Duration::from_millis(10);
/// How long a turn that nobody waits for stays open: ten a second are a seventh of what a thousand agents at 15 s would have, and what is
/// shown live comes as if at once.
const PATIENCE: Duration = Duration::from_millis(100);
/// Who sends again so soon has sent because it was answered: agents are asked for a heartbeat once a second at most.
const HURRY: Duration = Duration::from_millis(500);

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: Option<Instant>,
    heard: HashMap<AgentId, Instant>,
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

    /// Whether the agent, of which there are so many heartbeats now, is in a hurry.
    pub(super) fn hurries(&mut self, agent: AgentId, heartbeats: usize, now: Instant) -> bool {
        let before = self.heard.insert(agent, now);
        heartbeats > 1 || before.is_none_or(|before| now.saturating_duration_since(before) < HURRY)
    }

    /// The agent is gone.
    pub(super) fn forget(&mut self, agent: AgentId) {
        self.heard.remove(&agent);
    }
}

/// How much longer a turn that nobody waits for stays open.
pub(super) fn patience(begun: Instant, now: Instant) -> Duration {
    (begun + PATIENCE).saturating_duration_since(now)
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

    #[test]
    fn who_sends_because_it_was_answered_is_in_a_hurry() {
        let (begun, after) = (Instant::now(), Duration::from_millis);
        let (one, other) = (AgentId::from_bits(1), AgentId::from_bits(2));
        let mut pace = Pace::default();
        for (agent, later, heartbeats, expected) in [
            (one, 0, 1, true),
            (one, 499, 1, true),
            (one, 999, 1, false),
            (other, 1_000, 1, true),
            (one, 16_000, 2, true),
            (one, 31_000, 1, false),
        ] {
            assert_eq!(pace.hurries(agent, heartbeats, begun + after(later)), expected, "{later}");
        }
        pace.forget(one);
        assert!(pace.hurries(one, 1, begun + after(46_000)));
    }

    #[test]
    fn a_turn_waits_for_company_once() {
        let (begun, after) = (Instant::now(), Duration::from_millis);
        assert_eq!([0, 40, 100, 200].map(|later| patience(begun, begun + after(later))), [100, 60, 0, 0].map(after));
    }
}
