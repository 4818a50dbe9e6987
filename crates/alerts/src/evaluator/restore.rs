//! Going on after a restart as if there had been none: from the stored records back to running alerts.
//!
//! What became impossible meanwhile (a rule or an agent that is gone, an edit that was not judged yet) is carried out with the
//! first input, because only then is there somebody to hand the effects to.

use super::fleet::Fleet;
use super::ghost::Ghost;
use super::plan::LimitPool;
use super::queue::Queue;
use super::slot::{Scene, Slot, World};
use super::{Config, Evaluator, Saved};
use crate::apply::{Reading, apply, hand_out};
use crate::book::{Compiled, RuleBook};
use crate::context::AgentView;
use crate::incident::Opening;
use crate::instance::{Detail, Instance, Told};
use crate::record::{Effects, EndReason, IncidentRecord, InstanceKey, InstanceRecord, State, ToldRecord};
use crate::rule::{DOUBT_RULE, Missing, Rule};
use crate::site::Waits;
use crate::step::{Input, Machine};
use nightbell_model::{IncidentId, Timestamp};
use std::collections::{BTreeMap, HashMap};

impl Evaluator {
    /// An evaluator that goes on from what was stored. Timers of silence start from `now` at the earliest, so that a restart
    /// cannot announce the fleet offline.
    #[must_use]
    pub fn restore(config: Config, saved: Saved, now: Timestamp) -> Self {
        let waits = Waits { group_ms: config.group_wait_ms, offline_group_ms: config.offline_group_wait_ms };
        let book = RuleBook::new(config.rules);
        let slots = config.agents.into_iter().map(|view| (view.id, Box::new(Slot::new(view, &book, now))));
        let mut evaluator = Self {
            agents: slots.collect(),
            book,
            mutes: config.mutes,
            levels: config.levels,
            waits,
            pool: LimitPool::default(),
            ghosts: Vec::new(),
            queue: Queue::default(),
            fleet: Fleet::new(),
            doubt: None,
            backlog: Effects::default(),
            clock: now,
            turn: 1,
            evaluated: 0,
            late_ignored: 0,
        };
        evaluator.recall_silence();
        evaluator.recall_times(&saved, now);
        for parts in gather(saved, now) {
            evaluator.place(parts, now);
        }
        for slot in evaluator.agents.values_mut() {
            slot.note_host_offline();
            // One whose silence is an alert already was offline before the restart, whoever was heard since.
            slot.online &= !slot.host_offline;
            evaluator.fleet.recount(slot, now);
            evaluator.queue.arm(slot, now);
        }
        evaluator
    }

    /// Agents that were offline while the hub still heard others were offline before the restart: their status is not news.
    fn recall_silence(&mut self) {
        let alive_until = self.agents.values().filter_map(|slot| slot.view.last_seen).max();
        for slot in self.agents.values_mut() {
            let silence = slot.view.interval_ms.saturating_mul(3);
            let went = slot.view.last_seen.map(|seen| seen.plus_millis(silence));
            if went.zip(alive_until).is_some_and(|(went, alive)| went <= alive) {
                (slot.online, slot.known_away) = (false, true);
            }
        }
    }

    /// The newest heartbeat of each agent; none can lie in the future, unless the clock was set back while the hub was down.
    fn recall_times(&mut self, saved: &Saved, now: Timestamp) {
        for (agent, ts) in &saved.last_ts {
            if let Some(slot) = self.agents.get_mut(agent) {
                slot.last_ts = (*ts).min(now);
            }
        }
    }

    /// Puts one instance where it belongs, or ends it if it belongs nowhere any more.
    fn place(&mut self, parts: Parts, now: Timestamp) {
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        if parts.key.rule == DOUBT_RULE {
            return self.recall_doubt(parts, now);
        }
        let rule = self.book.position(parts.key.rule);
        let slot = self.agents.get_mut(&parts.key.agent);
        if let (Some(at), Some(slot)) = (rule, slot) {
            let compiled = self.book.get(at);
            if slot.rules.binary_search(&at).is_ok() && compiled.covers(&parts.key.series) {
                let newest = slot.last_ts;
                let mut instance = parts.into_instance(&compiled.rule, at, (newest, now));
                if instance.detail.as_ref().is_some_and(|detail| detail.fired_late || !detail.late.is_empty()) {
                    // The burst that was going on goes on, or is found to be over.
                    slot.burst = Some(now);
                }
                if is_unjudged(&instance, &compiled.rule) {
                    let site = world.site(&slot.view, slot.scene(), at);
                    apply(&site, &mut instance, (Input::RuleChanged { at: now }, Reading::default()), &mut self.backlog);
                    hand_out(&site, &mut instance, &mut self.backlog);
                }
                slot.instances.push(instance);
                return;
            }
        }
        self.lay_to_rest(parts, now);
    }

    /// A doubt that was not over goes on: agents can be overdue again when they had the time to be heard.
    fn recall_doubt(&mut self, parts: Parts, now: Timestamp) {
        let compiled = Compiled::new(super::doubt::rule(&self.book));
        let instance = parts.into_instance(&compiled.rule, 0, (now, now));
        if instance.incident().is_some() {
            let longest = self.agents.values().map(|slot| slot.view.interval_ms).max().unwrap_or(0);
            self.fleet.resume(now.plus_millis(longest.saturating_mul(3)));
        }
        self.doubt = Some(Box::new(Ghost { compiled, agent: super::doubt::nobody(), instance }));
    }

    /// Ends an instance whose rule or agent is gone.
    fn lay_to_rest(&mut self, parts: Parts, now: Timestamp) {
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        let rule = self.book.position(parts.key.rule).map(|at| self.book.get(at).clone());
        let agent = self.agents.get(&parts.key.agent).map(|slot| slot.view.clone());
        let reason = match (&rule, &agent) {
            (_, None) => EndReason::AgentRemoved,
            (_, Some(view)) if view.paused => EndReason::AgentRemoved,
            _ => EndReason::RuleRemoved,
        };
        let compiled = rule.unwrap_or_else(|| Compiled::new(parts.stand_in()));
        let agent = agent.unwrap_or_else(|| nobody(&parts.key));
        let instance = parts.into_instance(&compiled.rule, 0, (now, now));
        let scene = Scene { host_offline: false, bursting: false, online: false, counted_from: now };
        let site = world.site_of(&compiled, &agent, scene);
        self.ghosts.extend(Ghost::retire(&site, instance, reason, &mut self.backlog));
    }
}

/// Everything stored about one instance.
#[derive(Debug)]
struct Parts {
    key: InstanceKey,
    record: Option<InstanceRecord>,
    told: Vec<Told>,
    incidents: Vec<IncidentRecord>,
}

impl Parts {
    /// The instance as it was; `newest` stands in where the time of its last sample is not known.
    fn into_instance(self, rule: &Rule, at: u32, (newest, now): (Timestamp, Timestamp)) -> Instance {
        let mut instance = Instance::new(self.key.series.clone(), at, now);
        let mut detail = Detail::new(rule.version);
        let (open, ended): (Vec<_>, Vec<_>) = self.incidents.into_iter().partition(|incident| incident.resolved_at.is_none());
        (detail.late, detail.ended) = ended.into_iter().partition(|incident| incident.late);
        detail.told = self.told;
        detail.told.sort_unstable_by_key(|told| told.channel);
        let mut open = open.into_iter();
        if let Some(record) = self.record {
            let machine = Machine {
                state: record.state,
                since: record.since,
                clear_since: record.clear_since,
                was_firing: record.was_firing,
                rule_changed: false,
            };
            instance.set_machine(machine);
            let is_sampled = !rule.is_offline();
            let last = record.last_ts.unwrap_or(if newest == Timestamp::MIN { record.since } else { newest });
            instance.last_ts = if is_sampled { last.min(now) } else { Timestamp::MIN };
            instance.heard = instance.last_ts;
            (detail.samples, detail.peak) = (record.samples, record.peak);
            if record.state != State::Ok {
                detail.version = record.rule_version;
            }
            if machine.is_open() {
                let found = open.find(|incident| Some(incident.id) == record.incident);
                let incident = found.unwrap_or_else(|| reopen(&self.key, rule, &record));
                (detail.peak, detail.fired_late) = (Some(incident.peak), incident.late);
                detail.incident = Some(incident);
            }
            if record.state == State::NoData {
                let mut episode = IncidentRecord::episode(self.key.clone(), rule, record.since);
                episode.id = detail.named_episode(episode.id);
                detail.episode = Some(episode);
            }
        }
        detail.ended.extend(open);
        let is_plain =
            instance.state() == State::Ok && detail.told.is_empty() && detail.ended.is_empty() && detail.late.is_empty();
        if !is_plain {
            // Whatever is due after the time in between is said with the first tick.
            detail.wake = Timestamp::MIN;
            instance.detail = Some(Box::new(detail));
        }
        instance
    }

    /// A rule in place of one that does not exist any more, as far as its incidents remember it.
    fn stand_in(&self) -> Rule {
        use crate::rule::{Aggregate, Comparison, RuleKind, Scope, Selector, Severity, Threshold, Transform};
        let remembered = self.incidents.first();
        Rule {
            id: self.key.rule,
            version: 0,
            name: remembered.map_or_else(|| "deleted rule".to_owned(), |incident| incident.rule_name.clone()),
            key: None,
            kind: RuleKind::Threshold,
            transform: Transform::None,
            selector: Selector {
                metric: self.key.series.metric().to_owned(),
                labels: Vec::new(),
                matchers: Vec::new(),
                aggregate: Aggregate::Each,
            },
            comparison: remembered.map_or(Comparison::Greater, |incident| incident.comparison),
            threshold: Threshold::Value(remembered.map_or(f64::NAN, |incident| incident.threshold)),
            clear: None,
            hold_ms: 0,
            keep_firing_ms: 0,
            cooldown_ms: 0,
            repeat_ms: 0,
            missing: Missing::Keep,
            missing_after_ms: None,
            severity: remembered.map_or(Severity::Warning, |incident| incident.severity),
            scope: Scope::Global,
            channels: Vec::new(),
            escalation: Vec::new(),
            fold_late: true,
            enabled: false,
        }
    }
}

impl Detail {
    /// What the stretch without data is called that goes on: `derived` from its beginning, or, where that was moved with the clock and
    /// no channel knows it by that name, as it was called when channels were told of it.
    fn named_episode(&self, derived: IncidentId) -> IncidentId {
        let known = || self.told.iter().filter_map(|told| told.episode);
        if known().any(|id| id == derived) { derived } else { known().next().unwrap_or(derived) }
    }
}

/// Brings together what was stored of each instance, in the order of their keys.
fn gather(saved: Saved, now: Timestamp) -> impl Iterator<Item = Parts> {
    let mut all: BTreeMap<InstanceKey, Parts> = BTreeMap::new();
    let mut parts_of = |key: &InstanceKey, change: &mut dyn FnMut(&mut Parts)| {
        let empty = || Parts { key: key.clone(), record: None, told: Vec::new(), incidents: Vec::new() };
        change(all.entry(key.clone()).or_insert_with(empty));
    };
    for record in saved.instances {
        parts_of(&record.key.clone(), &mut |parts| parts.record = Some(record.clone()));
    }
    for told in saved.told.iter().filter(|told| !is_blank(told)) {
        parts_of(&told.key, &mut |parts| parts.told.push(Told::from_record(told, now)));
    }
    let mut seen: HashMap<IncidentId, ()> = HashMap::new();
    for incident in saved.incidents {
        if seen.insert(incident.id, ()).is_none() {
            parts_of(&incident.key, &mut |parts| parts.incidents.push(incident.clone()));
        }
    }
    all.into_values()
}

/// Whether what was stored of a channel has nothing in it.
fn is_blank(told: &ToldRecord) -> bool {
    let said = told.told.is_some() || told.told_nodata.is_some() || told.last_fired_at.is_some() || told.last_said_at.is_some();
    !said && told.suppressed == 0 && told.repeats == 0
}

/// Whether the rule was edited and the stored state not judged by it yet.
fn is_unjudged(instance: &Instance, rule: &Rule) -> bool {
    let version = instance.detail.as_ref().map(|detail| detail.version);
    !rule.is_offline() && instance.state() != State::Ok && version != Some(rule.version)
}

/// An open incident whose own record is not to be found.
fn reopen(key: &InstanceKey, rule: &Rule, record: &InstanceRecord) -> IncidentRecord {
    let fired_at = record.fired_at.unwrap_or(record.since);
    let value = record.peak.unwrap_or(f64::NAN);
    let opening = Opening {
        started_at: record.since.min(fired_at),
        fired_at,
        threshold: f64::NAN,
        value,
        peak: value,
        samples: record.samples,
    };
    let mut incident = IncidentRecord::open(key.clone(), rule, opening);
    incident.id = record.incident.unwrap_or(incident.id);
    incident
}

/// An agent that does not exist any more.
fn nobody(key: &InstanceKey) -> AgentView {
    AgentView {
        id: key.agent,
        tags: Vec::new(),
        interval_ms: 15_000,
        paused: false,
        last_seen: None,
        closed: false,
        stopped_on_purpose: false,
    }
}
