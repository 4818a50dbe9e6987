//! The configuration changes under running alerts: rules, tags, pauses, and a clock that was set.

use super::ghost::Ghost;
use super::slot::{Slot, World};
use crate::apply::{Reading, apply, hand_out};
use crate::book::{Compiled, RuleBook};
use crate::instance::Instance;
use crate::record::{Effects, EndReason, Event, EventKind, State};
use crate::rule::{Rule, Scope};
use crate::settle::settle;
use crate::site::Site;
use crate::step::{Input, Machine, Outcome};
use crate::why::duration_text;
use nightbell_model::Timestamp;

impl Slot {
    /// Moves the agent's instances from the old book to the rules that apply to it now. What has no rule any more ends.
    pub(crate) fn adopt(&mut self, old: World<'_>, book: &RuleBook, (out, ghosts): (&mut Effects, &mut Vec<Ghost>)) {
        let rules = if self.view.paused { Vec::new() } else { book.effective(&self.view) };
        let scene = self.scene();
        let world = World { book, ..old };
        for mut instance in std::mem::take(&mut self.instances) {
            let before = old.book.get(instance.rule);
            let heir = book.position(before.rule.id);
            let valid = heir.filter(|at| rules.binary_search(at).is_ok() && book.get(*at).covers(&instance.series));
            let Some(at) = valid else {
                let reason = self.farewell(before, heir.map(|at| book.get(at)), &instance);
                let site = old.site(&self.view, scene, instance.rule);
                ghosts.extend(Ghost::retire(&site, instance, reason, out));
                continue;
            };
            instance.rule = at;
            let site = world.site(&self.view, scene, at);
            if asks_otherwise(&before.rule, &site.compiled.rule) {
                apply(&site, &mut instance, (Input::RuleChanged { at: old.now }, Reading::default()), out);
            }
            follow_edit(&site, &mut instance, out);
            if !site.folding {
                settle(&site, &mut instance, Outcome::default(), out);
            }
            hand_out(&site, &mut instance, out);
            self.instances.push(instance);
        }
        self.rules = rules;
        self.keep_shapes(book);
        self.forget_plans();
        self.note_host_offline();
    }

    /// Why an instance of `before` ends, given what became of the rule.
    fn farewell(&self, before: &Compiled, heir: Option<&Compiled>, instance: &Instance) -> EndReason {
        let Some(heir) = heir.filter(|heir| heir.rule.enabled) else { return EndReason::RuleRemoved };
        let lost_tag = matches!(&heir.rule.scope, Scope::Tag(tag) if !self.view.tags.contains(tag));
        if self.view.paused || (lost_tag && heir.rule.scope == before.rule.scope) {
            EndReason::AgentRemoved
        } else if !heir.covers(&instance.series) {
            EndReason::RuleChanged
        } else {
            EndReason::RuleRemoved
        }
    }

    /// Moves every anchor by `by_ms`, and hands out what is stored of them. Mutes are meant by the clock on the wall and stay
    /// where they are, so what they withhold is settled anew.
    pub(crate) fn shift(&mut self, by_ms: i64, world: World<'_>, out: &mut Effects) {
        for at in [&mut self.last_ts, &mut self.floor, &mut self.online_since, &mut self.armed] {
            *at = shifted(*at, by_ms);
        }
        for at in [&mut self.view.last_seen, &mut self.burst, &mut self.late_logged].into_iter().flatten() {
            *at = shifted(*at, by_ms);
        }
        self.shift_shapes(by_ms, world.now);
        self.for_each(world, |site, instance| {
            shift_instance(instance, by_ms, out);
            if let Some(detail) = instance.detail.as_deref_mut() {
                detail.wake = site.now;
            }
            hand_out(site, instance, out);
        });
    }
}

/// Moves the anchors of one instance. The open incident moves as well, for its escalation runs from when it fired; its id stays.
pub(crate) fn shift_instance(instance: &mut Instance, by_ms: i64, out: &mut Effects) {
    for at in [&mut instance.last_ts, &mut instance.heard] {
        *at = shifted(*at, by_ms);
    }
    let machine = instance.machine();
    let clear_since = machine.clear_since.map(|at| shifted(at, by_ms));
    instance.set_machine(Machine { since: shifted(machine.since, by_ms), clear_since, ..machine });
    let Some(detail) = instance.detail.as_deref_mut() else { return };
    detail.dirty = true;
    for told in &mut detail.told {
        told.dirty = true;
        for at in [&mut told.last_fired_at, &mut told.last_said_at].into_iter().flatten() {
            *at = shifted(*at, by_ms);
        }
    }
    if let Some(incident) = &mut detail.incident {
        incident.started_at = shifted(incident.started_at, by_ms);
        incident.fired_at = shifted(incident.fired_at, by_ms);
        out.incidents.push(incident.clone());
    }
}

/// `at` moved, but for the two ends of time, which stand for "never".
pub(crate) fn shifted(at: Timestamp, by_ms: i64) -> Timestamp {
    if at == Timestamp::MAX || at == Timestamp::MIN { at } else { at.plus_millis(by_ms) }
}

/// The log's line about a clock that was set.
pub(crate) fn clock_event(by_ms: i64, now: Timestamp) -> Event {
    let sign = if by_ms < 0 { "back" } else { "forward" };
    let by = duration_text(by_ms.saturating_abs());
    Event::line(now, EventKind::ClockStep, format!("the hub's clock was set {sign} by {by}"))
}

/// Whether an edit changes what the rule compares.
pub(crate) fn asks_otherwise(before: &Rule, after: &Rule) -> bool {
    !after.is_offline()
        && (before.selector != after.selector
            || before.transform != after.transform
            || before.comparison != after.comparison
            || before.threshold != after.threshold
            || before.clear != after.clear)
}

/// What else an edit does to an instance: a rise in severity calls for a new word.
fn follow_edit(site: &Site<'_>, instance: &mut Instance, out: &mut Effects) {
    let rule = &site.compiled.rule;
    let awaits_judgement = instance.machine().rule_changed;
    let state = instance.state();
    let Some(detail) = instance.detail.as_deref_mut() else { return };
    if !awaits_judgement && detail.version != rule.version {
        detail.version = rule.version;
        detail.dirty |= state != State::Ok;
    }
    let Some(incident) = detail.incident.as_mut().filter(|incident| incident.severity < rule.severity) else { return };
    incident.severity = rule.severity;
    if incident.ack.take().is_some() {
        out.events.push(Event {
            rule: Some(incident.key.rule),
            incident: Some(incident.id),
            series: Some(incident.key.series.clone()),
            ..Event::of_agent(incident.key.agent, site.now, EventKind::Unack, "severity raised".to_owned())
        });
    }
    out.incidents.push(incident.clone());
}
