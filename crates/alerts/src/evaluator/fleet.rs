//! The fleet as a whole: how many agents are overdue at the same moment, and whether the hub should rather doubt itself.
//!
//! If more than half of a fleet of five or more fall silent together, it is the hub (or its network) that is cut off. Then no
//! offline alert fires; what is said instead stands in `doubt`. The doubt ends when the overdue are no majority any more; those
//! that are silent still are given time as after a start of the hub, for they find their way back one by one. Agents that are known to be away (paged, or silent for over an hour without a rule that would
//! page) count neither among the overdue nor among those that could have been heard: three hosts that died last week must not
//! hide a fourth.

use super::slot::{Presence, Slot};
use crate::record::State;
use nightbell_model::{AgentId, Timestamp};
use std::collections::BTreeSet;

/// Smaller fleets are paged agent by agent.
const SMALLEST_FLEET: usize = 5;

/// An agent that nobody is to be paged about is known to be away after this long, in milliseconds.
const AWAY_AFTER_MS: i64 = 3_600_000;

/// Counts of the fleet, kept up to date agent by agent.
#[derive(Debug)]
pub(crate) struct Fleet {
    present: usize,
    overdue: usize,
    away: usize,
    /// Agents whose offline alert would have fired.
    held: BTreeSet<AgentId>,
    doubting: bool,
    not_before: Timestamp,
}

impl Fleet {
    pub(crate) const fn new() -> Self {
        Self { present: 0, overdue: 0, away: 0, held: BTreeSet::new(), doubting: false, not_before: Timestamp::MIN }
    }

    /// Counts an agent by what it is at `now`.
    pub(crate) fn recount(&mut self, slot: &mut Slot, now: Timestamp) {
        let presence = presence(slot, now);
        if presence != slot.presence {
            self.add(slot.presence, false);
            self.add(presence, true);
            slot.presence = presence;
        }
    }

    /// Stops counting an agent.
    pub(crate) fn remove(&mut self, slot: &Slot) {
        self.add(slot.presence, false);
        self.held.remove(&slot.view.id);
    }

    fn add(&mut self, presence: Presence, one_more: bool) {
        let count = match presence {
            Presence::Uncounted => return,
            Presence::Present => &mut self.present,
            Presence::Overdue => &mut self.overdue,
            Presence::Away => &mut self.away,
        };
        *count = if one_more { *count + 1 } else { count.saturating_sub(1) };
    }

    /// Whether so many agents are overdue that the hub is the likelier cause.
    pub(crate) fn in_doubt(&self) -> bool {
        self.present + self.overdue + self.away >= SMALLEST_FLEET && self.overdue > self.present
    }

    /// How many are overdue, of how many that could be heard.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.overdue, self.present + self.overdue)
    }

    /// Notes that an agent's offline alert is held; whether it is the first of this doubt.
    pub(crate) fn hold(&mut self, agent: AgentId) -> bool {
        self.held.insert(agent);
        !std::mem::replace(&mut self.doubting, true)
    }

    /// Goes on doubting after a restart, until `at` at least: only then can agents be overdue again.
    pub(crate) fn resume(&mut self, at: Timestamp) {
        (self.doubting, self.not_before) = (true, at);
    }

    /// The hub's clock was set.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        self.not_before = super::change::shifted(self.not_before, by_ms);
    }

    /// When a doubt that a restart interrupted may end.
    pub(crate) fn may_end_at(&self) -> Option<Timestamp> {
        Some(self.not_before).filter(|_| self.doubting)
    }

    /// The agents whose alerts are held no longer, if a doubt ends now.
    pub(crate) fn release(&mut self, now: Timestamp) -> Option<BTreeSet<AgentId>> {
        if !self.doubting || self.in_doubt() || now < self.not_before {
            return None;
        }
        self.doubting = false;
        Some(std::mem::take(&mut self.held))
    }
}

/// When an overdue agent becomes known to be away without anybody being paged.
pub(crate) fn away_at(slot: &Slot) -> Option<Timestamp> {
    slot.overdue_at().map(|at| at.plus_millis(AWAY_AFTER_MS))
}

fn presence(slot: &Slot, now: Timestamp) -> Presence {
    let (Some(overdue_at), Some(away_at)) = (slot.overdue_at(), away_at(slot)) else { return Presence::Uncounted };
    let fired = slot.host_offline && slot.offline_states().any(|state| state == State::Firing);
    let nobody_to_tell = !slot.host_offline && now >= away_at;
    if slot.known_away || fired || nobody_to_tell {
        Presence::Away
    } else if now >= overdue_at {
        Presence::Overdue
    } else {
        Presence::Present
    }
}
