//! A heartbeat is evaluated: every value against the rules that look at it, in event time.

use super::plan::{Builder, Group, LimitPool, MOST_INSTANCES, Plan};
use super::slot::{Slot, World};
use crate::apply::{Reading, apply, hand_out, remember};
use crate::context::LevelTable;
use crate::instance::Instance;
use crate::record::{Effects, Event, EventKind, State};
use crate::rule::Missing;
use crate::settle::settle;
use crate::site::Site;
use crate::step::{Input, Outcome, Verdict};
use crate::why::duration_text;
use nightbell_model::{Batch, Timestamp};

/// The log says at most this often that heartbeats of an agent came too late, in milliseconds.
const LATE_LOG_MS: i64 = 60_000;

/// What evaluating one heartbeat came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Evaluated {
    /// How many values were judged.
    pub(crate) count: u64,
    /// When the earliest of the instances that changed has to be looked at.
    pub(crate) wake: Option<Timestamp>,
}

impl Slot {
    /// Whether a heartbeat lies after everything already evaluated of the agent; if not, the log says so now and then.
    pub(crate) fn admit(&mut self, batch: &Batch, now: Timestamp, out: &mut Effects) -> bool {
        if batch.ts > self.last_ts {
            return true;
        }
        if self.late_logged.is_none_or(|at| now.millis_since(at) >= LATE_LOG_MS) {
            self.late_logged = Some(now);
            let age = duration_text(self.last_ts.millis_since(batch.ts));
            let reason = format!("a heartbeat came {age} behind the newest");
            out.events.push(Event::of_agent(self.view.id, now, EventKind::LateIgnored, reason));
        }
        false
    }

    /// Says once that the agent has more series than are watched.
    pub(crate) fn say_crowded(&mut self, now: Timestamp, out: &mut Effects) {
        if self.plan.as_ref().is_some_and(|plan| plan.is_crowded) && !std::mem::replace(&mut self.crowd_logged, true) {
            let reason =
                format!("rules watch {MOST_INSTANCES} series of it: further ones are not watched before others are gone");
            out.events.push(Event::of_agent(self.view.id, now, EventKind::Note, reason));
        }
    }

    /// Makes sure that there is a plan for the heartbeat's schema; whether it was made anew.
    pub(crate) fn plan_for(&mut self, batch: &Batch, world: World<'_>, levels: &LevelTable, pool: &mut LimitPool) -> bool {
        if self.plan.as_mut().is_some_and(|plan| plan.fits(&batch.schema)) {
            return false;
        }
        let newest = self.plan.take().map(Box::new);
        let other = std::mem::replace(&mut self.other_plan, newest);
        if let Some(mut plan) = other
            && plan.fits(&batch.schema)
        {
            self.plan = Some(*plan);
            return false;
        }
        let builder = Builder { book: world.book, levels, pool, now: world.now };
        let plan = Plan::make(self, &batch.schema, builder);
        self.plan = Some(plan);
        true
    }

    /// Evaluates a heartbeat. A late one opens a burst or goes on with it, the first that is not late closes it.
    pub(crate) fn evaluate(&mut self, batch: &Batch, world: World<'_>, pool: &LimitPool, out: &mut Effects) -> Evaluated {
        let late = self.is_late(batch.ts, batch.received);
        if late {
            self.burst = Some(world.now);
        }
        self.last_ts = batch.ts;
        let scene = self.scene();
        let Some(plan) = &self.plan else { return Evaluated::default() };
        let mut evaluated = Evaluated::default();
        for binding in &plan.bindings {
            let limits = pool.get(binding.limits);
            let value = batch.values.get(binding.position as usize).copied().unwrap_or(f64::NAN);
            let Some(verdict) = limits.judge(value) else { continue };
            evaluated.count += 1;
            let instance = &mut self.instances[binding.instance as usize];
            let rule = &world.book.get(instance.rule).rule;
            if instance.takes_steadily(verdict, (value, rule.comparison), rule.version) {
                (instance.last_ts, instance.heard) = (batch.ts, batch.received);
                continue;
            }
            let site = world.site(&self.view, scene, instance.rule);
            let reading = Reading { value: Some(value), threshold: limits.threshold(), ..Reading::default() };
            evaluated.note(sample(&site, instance, (batch, verdict, reading), out));
        }
        for group in &plan.groups {
            let limits = pool.get(group.limits);
            let value = Group::value(group, &batch.values);
            let instance = &mut self.instances[group.instance as usize];
            let site = world.site(&self.view, scene, instance.rule);
            let shape = group.shape.filter(|_| !value.is_nan()).and_then(|at| self.shapes.get_mut(at as usize));
            let reading = match shape {
                Some(shape) => shape.reading(batch.ts, value, site.compiled.max_gap_ms(site.agent.interval_ms)),
                None => Reading { value: Some(value), ..Reading::default() },
            };
            let Some(verdict) = limits.judge(reading.value.unwrap_or(f64::NAN)) else { continue };
            evaluated.count += 1;
            let reading = Reading { threshold: limits.threshold(), ..reading };
            evaluated.note(sample(&site, instance, (batch, verdict, reading), out));
        }
        if !late && self.burst.is_some() {
            self.end_burst(world, out);
            evaluated.note(world.now);
        }
        evaluated
    }

    /// The late burst is over: what it changed is settled, once.
    pub(crate) fn end_burst(&mut self, world: World<'_>, out: &mut Effects) {
        self.burst = None;
        self.for_each(world, |site, instance| {
            let Some(detail) = instance.detail.as_deref().filter(|_| site.compiled.rule.fold_late) else { return };
            let fired = detail.fired_late && instance.state() == State::Firing;
            settle(site, instance, Outcome { fired, ..Outcome::default() }, out);
            hand_out(site, instance, out);
        });
    }
}

impl Evaluated {
    fn note(&mut self, wake: Timestamp) {
        self.wake = Some(self.wake.map_or(wake, |earlier| earlier.min(wake)));
    }
}

/// One usable sample of one instance; when it has to be looked at next.
fn sample(
    site: &Site<'_>,
    instance: &mut Instance,
    (batch, verdict, reading): (&Batch, Verdict, Reading),
    out: &mut Effects,
) -> Timestamp {
    let is_first = instance.last_ts == Timestamp::MIN;
    let gap = site.compiled.max_gap_ms(site.agent.interval_ms);
    let after_hole = !is_first && batch.ts.millis_since(instance.last_ts) > gap;
    (instance.last_ts, instance.heard) = (batch.ts, batch.received);
    apply(site, instance, (Input::Sample { ts: batch.ts, verdict, after_hole }, reading), out);
    // That it exists is all that an alert about missing samples has to remember of a series that is fine.
    if is_first && instance.state() == State::Ok && instance.detail.is_none() && site.compiled.rule.missing == Missing::NoData {
        remember(site, instance, out);
    }
    site.wake_of(instance)
}
