//! An agent falls silent and comes back: its status, its offline alerts, and what that means for its other alerts.

use super::slot::{Slot, World};
use crate::apply::{Reading, apply, hand_out};
use crate::instance::Instance;
use crate::record::{Effects, EndReason, Event, EventKind, State};
use crate::rule::{OFFLINE_METRIC, Threshold};
use crate::settle::settle;
use crate::step::{Input, Outcome};
use nightbell_model::{SeriesKey, Timestamp};

impl Slot {
    /// The states of the agent's offline alerts.
    pub(crate) fn offline_states(&self) -> impl Iterator<Item = State> {
        self.instances.iter().filter(|instance| instance.series.as_str() == OFFLINE_METRIC).map(Instance::state)
    }

    /// A heartbeat was received: whatever its age, the agent is back.
    pub(crate) fn hear(&mut self, received: Timestamp, world: World<'_>, out: &mut Effects) {
        let seen = self.view.last_seen.map_or(received, |seen| seen.max(received));
        self.view.last_seen = Some(seen);
        (self.view.closed, self.view.stopped_on_purpose, self.known_away) = (false, false, false);
        if !self.online && !self.view.paused {
            (self.online, self.online_since) = (true, received);
            out.events.push(Event::of_agent(self.view.id, received, EventKind::AgentOnline, String::new()));
        }
        if self.host_offline {
            self.end_offline(received, world, out);
        }
    }

    /// Ends the agent's offline alerts and lets its others speak again.
    fn end_offline(&mut self, at: Timestamp, world: World<'_>, out: &mut Effects) {
        self.for_each(world, |site, instance| {
            if site.compiled.rule.is_offline() {
                apply(site, instance, (Input::Gone { at, reason: EndReason::AgentBack }, Reading::default()), out);
            }
        });
        self.note_host_offline();
        self.settle_all(world, out);
    }

    /// A planned stop: an alert that only waits is called off, a firing one stays until a heartbeat comes.
    pub(crate) fn call_off(&mut self, world: World<'_>, out: &mut Effects) {
        let at = world.now;
        self.for_each(world, |site, instance| {
            if site.compiled.rule.is_offline() && instance.state() == State::Pending {
                apply(site, instance, (Input::Gone { at, reason: EndReason::AgentBack }, Reading::default()), out);
            }
        });
        self.note_host_offline();
        self.settle_all(world, out);
    }

    /// The status becomes offline.
    pub(crate) fn go_offline(&mut self, at: Timestamp, reason: &str, out: &mut Effects) {
        if std::mem::replace(&mut self.online, false) {
            out.events.push(Event::of_agent(self.view.id, at, EventKind::AgentOffline, reason.to_owned()));
        }
    }

    /// Moves the agent's offline alerts on; whether one would have fired but for the doubt.
    pub(crate) fn judge_silence(&mut self, world: World<'_>, in_doubt: bool, out: &mut Effects) -> bool {
        let (Some(offline_at), Some(last_seen)) = (self.offline_at(), self.view.last_seen) else { return false };
        if world.now < offline_at {
            return false;
        }
        let mut held = false;
        for at in 0..self.rules.len() {
            let rule = self.rules[at];
            let compiled = world.book.get(rule);
            if !compiled.rule.is_offline() {
                continue;
            }
            let due = self.offline_fires_at(compiled.rule.hold_ms).is_some_and(|at| at <= world.now);
            let Some(index) = self.offline_instance(rule, world.now) else { continue };
            held |= due && in_doubt && self.instances[index].state() != State::Firing;
            let input = Input::Silent { since: last_seen, at: world.now, fires: due && !in_doubt };
            let threshold = match compiled.rule.threshold {
                Threshold::Value(value) => value,
                Threshold::Level(_) => 1.0,
            };
            let reading = Reading { value: Some(1.0), threshold: Some(threshold), ..Reading::default() };
            let site = world.site(&self.view, self.scene(), rule);
            apply(&site, &mut self.instances[index], (input, reading), out);
        }
        self.note_host_offline();
        held
    }

    fn offline_instance(&mut self, rule: u32, now: Timestamp) -> Option<usize> {
        if let Some(at) = self.instances.iter().position(|instance| instance.rule == rule) {
            return Some(at);
        }
        let series = SeriesKey::new(OFFLINE_METRIC, &[]).ok()?;
        self.instances.push(Instance::new(series, rule, now));
        Some(self.instances.len() - 1)
    }

    /// Brings "host offline" in step with the agent's offline alerts.
    pub(crate) fn note_host_offline(&mut self) {
        let muted = self.offline_states().any(|state| matches!(state, State::Pending | State::Firing));
        self.host_offline = muted;
    }

    /// Settles every instance that has something to remember.
    pub(crate) fn settle_all(&mut self, world: World<'_>, out: &mut Effects) {
        self.for_each(world, |site, instance| {
            if instance.detail.is_some() && !site.folding {
                settle(site, instance, Outcome::default(), out);
                hand_out(site, instance, out);
            }
        });
    }
}
