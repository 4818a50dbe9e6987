//! The hub's doubt in itself, as an alert like any other: it fires once on the channels of the offline rules, is muted by what mutes
//! everything, survives a restart, and ends once. When it begins and ends is the fleet's to say.

use super::Evaluator;
use super::ghost::Ghost;
use super::slot::World;
use crate::apply::{Reading, apply, hand_out};
use crate::book::{Compiled, RuleBook};
use crate::context::AgentView;
use crate::instance::Instance;
use crate::record::{Effects, EndReason};
use crate::rule::{Comparison, DOUBT_RULE, OFFLINE_METRIC, Rule, RuleKind, Scope, Selector, Severity, Threshold, Transform};
use crate::step::Input;
use nightbell_model::{AgentId, ChannelId, SeriesKey, Timestamp};

impl Evaluator {
    /// Whether so many agents are overdue that the hub takes itself for the cause and pages nobody about them.
    #[must_use]
    pub fn doubts_itself(&self) -> bool {
        self.doubt.as_ref().is_some_and(|ghost| ghost.instance.incident().is_some())
    }

    /// The doubt begins: it is said on every channel that would have heard of the agents.
    pub(crate) fn begin_doubt(&mut self, now: Timestamp, out: &mut Effects) {
        let Some(series) = SeriesKey::new(OFFLINE_METRIC, &[]).ok() else { return };
        let compiled = Compiled::new(rule(&self.book));
        let ghost = self.doubt.get_or_insert_with(|| {
            Box::new(Ghost { compiled: compiled.clone(), agent: nobody(), instance: Instance::new(series, 0, now) })
        });
        ghost.compiled = compiled;
        let (overdue, all) = self.fleet.counts();
        // The record keeps both counts: how many are silent, of how many.
        let (overdue, all) = (Some(count(overdue)), Some(count(all)));
        let reading = Reading { value: overdue, threshold: all, raw: all, ..Reading::default() };
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        let Ghost { compiled, agent, instance } = &mut **ghost;
        let site = world.site_of(compiled, agent, Ghost::scene(now));
        apply(&site, instance, (Input::Silent { since: now, at: now, fires: true }, reading), out);
    }

    /// The doubt is over: those who heard of it are told so.
    pub(crate) fn end_doubt(&mut self, now: Timestamp, out: &mut Effects) {
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        let Some(ghost) = self.doubt.as_mut() else { return };
        let Ghost { compiled, agent, instance } = &mut **ghost;
        let site = world.site_of(compiled, agent, Ghost::scene(now));
        apply(&site, instance, (Input::Gone { at: now, reason: EndReason::AgentBack }, Reading::default()), out);
        hand_out(&site, instance, out);
        self.settle_doubt(now, out);
    }

    /// Says of it what may be said now, and forgets it when there is nothing left to say.
    pub(crate) fn settle_doubt(&mut self, now: Timestamp, out: &mut Effects) {
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        let Some(ghost) = self.doubt.as_mut() else { return };
        let goes_on = ghost.instance.incident().is_some();
        if !ghost.settle(world, out) && !goes_on {
            self.doubt = None;
        }
    }

    /// Other rules may tell other channels.
    pub(crate) fn doubt_by_new_rules(&mut self, now: Timestamp, out: &mut Effects) {
        if let Some(ghost) = self.doubt.as_mut() {
            ghost.compiled = Compiled::new(rule(&self.book));
            self.settle_doubt(now, out);
        }
    }

    /// When the doubt has to be looked at next.
    pub(crate) fn doubt_wake(&self) -> Timestamp {
        let says = self.doubt.as_ref().map_or(Timestamp::MAX, |ghost| ghost.wake());
        says.min(self.fleet.may_end_at().filter(|at| *at > self.clock).unwrap_or(Timestamp::MAX))
    }
}

/// The rule of the hub's doubt: it tells whom the offline rules tell, as urgently as the most urgent of them.
pub(crate) fn rule(book: &RuleBook) -> Rule {
    let offline = || book.offline_rules();
    let mut channels: Vec<ChannelId> = offline().flat_map(|rule| rule.channels.iter().copied()).collect();
    channels.sort_unstable();
    channels.dedup();
    Rule {
        id: DOUBT_RULE,
        version: 1,
        name: "Hub self-doubt".to_owned(),
        key: None,
        kind: RuleKind::Offline,
        selector: Selector {
            metric: OFFLINE_METRIC.to_owned(),
            labels: Vec::new(),
            matchers: Vec::new(),
            aggregate: crate::rule::Aggregate::Each,
        },
        transform: Transform::None,
        comparison: Comparison::Greater,
        threshold: Threshold::Value(0.0),
        clear: None,
        hold_ms: 0,
        keep_firing_ms: 0,
        cooldown_ms: offline().map(|rule| rule.cooldown_ms).min().unwrap_or(0),
        repeat_ms: 0,
        missing: crate::rule::Missing::Keep,
        missing_after_ms: None,
        severity: offline().map(|rule| rule.severity).max().unwrap_or(Severity::Critical),
        scope: Scope::Global,
        channels,
        escalation: Vec::new(),
        fold_late: false,
        enabled: true,
    }
}

/// The hub itself, where an alert has an agent.
pub(crate) fn nobody() -> AgentView {
    AgentView {
        id: AgentId::default(),
        tags: Vec::new(),
        interval_ms: 15_000,
        paused: false,
        last_seen: None,
        closed: false,
        stopped_on_purpose: false,
    }
}

#[expect(clippy::cast_precision_loss, reason = "fleets are far smaller than 2^53")]
const fn count(agents: usize) -> f64 {
    agents as f64
}
