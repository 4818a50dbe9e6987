//! The deadlines of all agents. Each agent has one that counts; a heartbeat that only moves it later leaves it where it is, and
//! it is looked at anew when it comes up. So a steady heartbeat costs the queue nothing.

use super::slot::Slot;
use nightbell_model::{AgentId, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// A queue of deadlines by agent.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<(Timestamp, AgentId)>>,
    /// Kept for its memory.
    due: Vec<AgentId>,
}

impl Queue {
    /// Makes sure that the agent is looked at by `wake`.
    pub(crate) fn arm(&mut self, slot: &mut Slot, wake: Timestamp) {
        if wake < slot.armed {
            slot.armed = wake;
            self.heap.push(Reverse((wake, slot.view.id)));
        }
    }

    /// The earliest deadline, or one that was overtaken and will prove to be nothing.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the agents that are due, in the order of their deadlines, and disarms them.
    pub(crate) fn take_due(&mut self, now: Timestamp, agents: &mut BTreeMap<AgentId, Box<Slot>>) -> Vec<AgentId> {
        let mut due = std::mem::take(&mut self.due);
        while let Some(Reverse((at, id))) = self.heap.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.heap.pop();
            if let Some(slot) = agents.get_mut(&id).filter(|slot| slot.armed == at) {
                slot.armed = Timestamp::MAX;
                due.push(id);
            }
        }
        due
    }

    /// Gives the list of `take_due` back.
    pub(crate) fn give_back(&mut self, mut due: Vec<AgentId>) {
        due.clear();
        self.due = due;
    }

    /// Moves every deadline.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        let entries = std::mem::take(&mut self.heap);
        self.heap = entries.into_iter().map(|Reverse((at, id))| Reverse((at.plus_millis(by_ms), id))).collect();
    }
}
