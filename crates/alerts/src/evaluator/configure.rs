//! The configuration is replaced while alerts run: rules, levels, mutes, agents. What that does to one agent's alerts stands in
//! `change`.

use super::Evaluator;
use super::ghost::Ghost;
use super::slot::{Slot, World};
use crate::book::RuleBook;
use crate::context::{AgentView, LevelTable, Mute};
use crate::record::{Effects, EndReason};
use crate::rule::Rule;
use nightbell_model::{AgentId, Timestamp};

impl Evaluator {
    /// Puts other rules in place. Holds and `keep_firing` count from the next sample on, channels, cooldowns and repeats at once;
    /// neither takes an alert back. Where what is compared changed, a pending alert is fine at once and a firing one is judged by its next sample.
    pub fn set_rules(&mut self, rules: Vec<Rule>, now: Timestamp, out: &mut Effects) {
        self.begin(now, out);
        let book = RuleBook::new(rules);
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        for slot in self.agents.values_mut() {
            slot.adopt(world, &book, (out, &mut self.ghosts));
            self.fleet.recount(slot, now);
            self.queue.arm(slot, now);
        }
        self.book = book;
        self.pool.clear();
        self.doubt_by_new_rules(now, out);
        self.revive();
        self.release(now, out);
    }

    /// Puts other warn and crit levels in place; they count from the next sample on.
    pub fn set_levels(&mut self, levels: LevelTable) {
        self.levels = levels;
        self.pool.clear();
        for slot in self.agents.values_mut() {
            slot.forget_plans();
        }
    }

    /// Puts other mutes in place and says what they do not withhold any more.
    pub fn set_mutes(&mut self, mutes: Vec<Mute>, now: Timestamp, out: &mut Effects) {
        self.begin(now, out);
        self.mutes = mutes;
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        for slot in self.agents.values_mut() {
            slot.settle_all(world, out);
            let wake = slot.next_wake(world, self.fleet.in_doubt());
            self.queue.arm(slot, wake);
        }
        self.ghosts.retain_mut(|ghost| ghost.settle(world, out));
        self.settle_doubt(now, out);
    }

    /// Adds an agent, or takes over the tags, the interval and the pause of one that is known. What the evaluator has seen of
    /// it itself (last heartbeat, connections) stays.
    pub fn upsert_agent(&mut self, agent: AgentView, now: Timestamp, out: &mut Effects) {
        self.begin(now, out);
        let id = agent.id;
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        let slot = self.agents.entry(id).or_insert_with(|| Box::new(Slot::new(agent.clone(), world.book, now)));
        if slot.view.paused && !agent.paused {
            slot.floor = now;
        }
        (slot.view.tags, slot.view.interval_ms, slot.view.paused) = (agent.tags, agent.interval_ms, agent.paused);
        if slot.view.paused {
            slot.burst = None;
            slot.online = false;
        }
        slot.adopt(world, world.book, (out, &mut self.ghosts));
        slot.settle_all(world, out);
        self.fleet.recount(slot, now);
        self.queue.arm(slot, now);
        self.revive();
        self.release(now, out);
    }

    /// Forgets an agent; its open incidents end.
    pub fn remove_agent(&mut self, id: AgentId, now: Timestamp, out: &mut Effects) {
        self.begin(now, out);
        let Some(mut slot) = self.agents.remove(&id) else { return };
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        for instance in std::mem::take(&mut slot.instances) {
            let site = world.site(&slot.view, slot.scene(), instance.rule);
            self.ghosts.extend(Ghost::retire(&site, instance, EndReason::AgentRemoved, out));
        }
        self.fleet.remove(&slot);
        self.release(now, out);
    }

    /// Gives ghosts whose rule applies again their place back.
    fn revive(&mut self) {
        for ghost in std::mem::take(&mut self.ghosts) {
            let rule = self.book.position(ghost.compiled.rule.id);
            let slot = self.agents.get_mut(&ghost.agent.id);
            let (Some(at), Some(slot)) = (rule, slot) else {
                self.ghosts.push(ghost);
                continue;
            };
            let applies = slot.rules.binary_search(&at).is_ok() && self.book.get(at).covers(&ghost.instance.series);
            let is_same =
                |instance: &&mut crate::instance::Instance| instance.rule == at && instance.series == ghost.instance.series;
            match slot.instances.iter_mut().find(is_same) {
                Some(instance) if applies && instance.detail.is_none() => instance.detail = ghost.instance.detail,
                None if applies => {
                    slot.instances.push(ghost.revive(at));
                    slot.forget_plans();
                }
                _ => self.ghosts.push(ghost),
            }
        }
    }
}
