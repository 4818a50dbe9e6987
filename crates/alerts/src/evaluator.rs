//! The evaluator: many rules over many agents, told of everything and asking for nothing.
//!
//! Heartbeats, time, edits and people's words go in; what is to be stored, logged and told comes out as [`Effects`]. It reads no
//! clock, no storage and no channel: duplicates are removed before it, silences are expanded into intervals before it, and its
//! effects are written and sent after it. Each alert is one run of [`crate::step::step`].

mod change;
mod configure;
mod doubt;
mod fleet;
mod ghost;
mod observe;
mod people;
mod plan;
mod queue;
mod restore;
mod shaped;
mod silence;
mod slot;
mod standing;
mod timers;
mod view;

pub use shaped::{HistoryWant, TrendRow, trend_rows};
pub use standing::Standing;
pub use view::{EvaluatorStats, InstanceView, Withheld};

use crate::book::RuleBook;
use crate::context::{AgentView, LevelTable, Mute};
use crate::record::{Effects, IncidentRecord, InstanceRecord, ToldRecord};
use crate::rule::Rule;
use crate::site::Waits;
use fleet::Fleet;
use ghost::Ghost;
use nightbell_model::{AgentId, Batch, Timestamp};
use plan::LimitPool;
use queue::Queue;
use slot::{Slot, World};
use std::collections::BTreeMap;

/// What the evaluator starts from, beside what was stored of it.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// All rules, enabled or not.
    pub rules: Vec<Rule>,
    /// All agents.
    pub agents: Vec<AgentView>,
    /// Warn and crit levels.
    pub levels: LevelTable,
    /// The mutes of now and later.
    pub mutes: Vec<Mute>,
    /// How long notices wait to be folded with others, in milliseconds; critical ones do not wait. 10,000 by default of the hub.
    pub group_wait_ms: i64,
    /// The same for offline alerts of any severity. 5,000 by default of the hub.
    pub offline_group_wait_ms: i64,
}

/// What was stored: with it the evaluator goes on as if it had never stopped.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// The instances' records, `last_ts` filled in from the newest stored usable sample of each.
    pub instances: Vec<InstanceRecord>,
    /// What channels were told.
    pub told: Vec<ToldRecord>,
    /// The open incidents, and those that a `told` record still names although they ended (their end is withheld).
    pub incidents: Vec<IncidentRecord>,
    /// The time of each agent's newest stored heartbeat.
    pub last_ts: Vec<(AgentId, Timestamp)>,
}

/// Many rules over many agents. See the module.
#[derive(Debug)]
pub struct Evaluator {
    book: RuleBook,
    mutes: Vec<Mute>,
    levels: LevelTable,
    waits: Waits,
    pool: LimitPool,
    agents: BTreeMap<AgentId, Box<Slot>>,
    ghosts: Vec<Ghost>,
    queue: Queue,
    fleet: Fleet,
    /// What is told of the hub's doubt in itself.
    doubt: Option<Box<Ghost>>,
    /// What restoring had to say; handed out with the first input.
    backlog: Effects,
    clock: Timestamp,
    /// Moves on whenever the effects that are to be filled forget nothing yet; never 0.
    turn: u8,
    evaluated: u64,
    late_ignored: u64,
}

impl Evaluator {
    /// Evaluates a heartbeat that is no duplicate. One that is not later than what was already evaluated of its agent is only
    /// counted; that it came makes its agent online all the same.
    pub fn observe(&mut self, batch: &Batch, now: Timestamp, out: &mut Effects) {
        self.begin(now, out);
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        let Some(slot) = self.agents.get_mut(&batch.agent) else { return };
        let was_offline = slot.host_offline || !slot.online;
        slot.hear(batch.received, world, out);
        self.fleet.recount(slot, now);
        let mut wake = slot.overdue_at().unwrap_or(Timestamp::MAX);
        if was_offline {
            wake = now;
        }
        if slot.view.paused {
            slot.last_ts = slot.last_ts.max(batch.ts);
        } else if slot.admit(batch, now, out) {
            let has_values = !batch.schema.keys().is_empty();
            if has_values && slot.plan_for(batch, world, &self.levels, &mut self.pool) {
                slot.say_crowded(now, out);
                wake = now;
            }
            let evaluated = slot.evaluate(batch, world, &self.pool, out);
            self.evaluated += evaluated.count;
            wake = wake.min(evaluated.wake.unwrap_or(Timestamp::MAX));
            if let Some(last) = slot.burst {
                wake = wake.min(last.plus_millis(slot::BURST_END_MS));
            }
        } else {
            self.late_ignored += 1;
        }
        self.queue.arm(slot, wake);
        self.release(now, out);
    }

    /// Does everything that is due at `now`.
    pub fn tick(&mut self, now: Timestamp, out: &mut Effects) {
        self.begin(now, out);
        // All that are due are counted before any of them is judged: whether the hub doubts itself depends on all.
        let due = self.queue.take_due(now, &mut self.agents);
        for id in &due {
            if let Some(slot) = self.agents.get_mut(id) {
                self.fleet.recount(slot, now);
            }
        }
        self.release(now, out);
        for id in &due {
            self.run_agent(*id, now, out);
        }
        self.queue.give_back(due);
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        self.ghosts.retain_mut(|ghost| ghost.wake() > now || ghost.settle(world, out));
        if self.doubt.as_ref().is_some_and(|ghost| ghost.wake() <= now) {
            self.settle_doubt(now, out);
        }
        self.release(now, out);
    }

    /// When `tick` has to be called next, at the latest; earlier and more often is harmless.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if !self.backlog.is_empty() {
            return Some(self.clock);
        }
        let ghosts = self.ghosts.iter().map(Ghost::wake).filter(|wake| *wake < Timestamp::MAX);
        ghosts.chain(self.queue.next()).chain(Some(self.doubt_wake()).filter(|wake| *wake < Timestamp::MAX)).min()
    }

    /// A connection of the agent was opened. That alone changes nothing: it is a heartbeat that brings an agent back.
    pub fn connection_opened(&mut self, _id: AgentId, now: Timestamp) {
        self.clock = now;
    }

    /// The newest connection of the agent was closed (of one that was replaced before, the close does not matter). A clean close
    /// makes the agent offline at once, though its offline alert counts from its last heartbeat on. One that stops on purpose is
    /// not paged. Either ends a late burst.
    #[expect(clippy::too_many_arguments, reason = "two independent facts about the close")]
    pub fn connection_closed(&mut self, id: AgentId, clean: bool, on_purpose: bool, now: Timestamp, out: &mut Effects) {
        self.begin(now, out);
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        let Some(slot) = self.agents.get_mut(&id) else { return };
        if slot.burst.is_some() {
            slot.end_burst(world, out);
        }
        if clean || on_purpose {
            slot.view.closed = true;
            slot.view.stopped_on_purpose = on_purpose;
            slot.go_offline(now, if on_purpose { "stopped on purpose" } else { "connection closed" }, out);
            if on_purpose {
                slot.call_off(world, out);
            }
        }
        self.fleet.recount(slot, now);
        self.queue.arm(slot, now);
        self.release(now, out);
    }

    /// The hub's system clock was set forward by `by_ms` (back if negative): every anchor moves along, so that no duration, hole
    /// or order changes. `now` is the time after the step.
    pub fn clock_stepped(&mut self, by_ms: i64, now: Timestamp, out: &mut Effects) {
        self.begin(now, out);
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        for slot in self.agents.values_mut() {
            slot.shift(by_ms, world, out);
        }
        for ghost in self.ghosts.iter_mut().chain(self.doubt.as_deref_mut()) {
            change::shift_instance(&mut ghost.instance, by_ms, out);
        }
        self.fleet.shift(by_ms);
        self.queue.shift(by_ms);
        for slot in self.agents.values_mut() {
            self.queue.arm(slot, now);
        }
        self.ghosts.retain_mut(|ghost| ghost.settle(world, out));
        self.settle_doubt(now, out);
        out.events.push(change::clock_event(by_ms, now));
    }

    fn begin(&mut self, now: Timestamp, out: &mut Effects) {
        self.clock = now;
        if out.forgotten.is_empty() {
            self.turn = self.turn.checked_add(1).unwrap_or(1);
        }
        if !self.backlog.is_empty() {
            out.append(&mut self.backlog);
        }
    }

    /// Runs the timers of one agent and arms it anew.
    fn run_agent(&mut self, id: AgentId, now: Timestamp, out: &mut Effects) {
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        let Some(slot) = self.agents.get_mut(&id) else { return };
        let held = slot.run_timers(world, self.fleet.in_doubt(), out);
        let doubt_begins = held && self.fleet.hold(id);
        self.fleet.recount(slot, now);
        let wake = slot.next_wake(world, self.fleet.in_doubt());
        self.queue.arm(slot, wake);
        if doubt_begins {
            self.begin_doubt(now, out);
        }
    }

    /// Once the doubt is over, says so, and gives those whose offline alerts were held the time that a start of the hub gives.
    fn release(&mut self, now: Timestamp, out: &mut Effects) {
        let Some(held) = self.fleet.release(now) else { return };
        for id in held {
            if let Some(slot) = self.agents.get_mut(&id) {
                slot.floor = now;
                self.fleet.recount(slot, now);
                self.queue.arm(slot, now);
            }
        }
        self.end_doubt(now, out);
    }
}
