//! What the evaluator shows of itself: every instance with the reasons for what it says and does not say.

use super::Evaluator;
use super::slot::{Slot, World};
use crate::hush::COOLDOWN;
use crate::instance::{Instance, Told};
use crate::judge::Limits;
use crate::record::{IncidentRecord, InstanceKey, State, ToldRecord};
use crate::site::Site;
use nightbell_model::{AgentId, Timestamp};

/// One instance and why it is as it is.
#[derive(Debug, Clone)]
pub struct InstanceView<'a> {
    /// Which instance.
    pub key: InstanceKey,
    /// Its state.
    pub state: State,
    /// Since when it is in that state, in event time.
    pub since: Timestamp,
    /// How long it has to breach before it fires, in milliseconds.
    pub hold_ms: i64,
    /// Since when it has been clear while still firing.
    pub clear_since: Option<Timestamp>,
    /// Whether `NoData` was entered from `Firing`.
    pub was_firing: bool,
    /// The open incident.
    pub incident: Option<&'a IncidentRecord>,
    /// The newest value that mattered: kept while it is not simply fine.
    pub value: Option<f64>,
    /// The number compared with, a level already looked up; `None` if there is none now.
    pub threshold: Option<f64>,
    /// When the last usable sample was measured.
    pub last_ts: Option<Timestamp>,
    /// Whether what it shows is old: its samples stopped, or its agent is offline.
    pub stale: bool,
    /// What its channels were told.
    pub told: Vec<ToldRecord>,
    /// Until when the cooldown holds its next "fired" on at least one channel.
    pub cooldown_until: Option<Timestamp>,
    /// What withholds its notices now, without repeats: the kind of a mute, `host_offline` or `cooldown`.
    pub muted: Vec<&'static str>,
}

/// Counters and sizes of the evaluator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EvaluatorStats {
    /// How many values were judged since the start.
    pub evaluated: u64,
    /// How many heartbeats came too late to be evaluated since the start.
    pub late_ignored: u64,
    /// How many instances there are.
    pub instances: usize,
}

impl Evaluator {
    /// Every instance there is, by agent.
    pub fn instances(&self) -> impl Iterator<Item = InstanceView<'_>> {
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now: self.clock, turn: self.turn };
        self.agents.values().flat_map(move |slot| {
            let shown = move |instance| self.view_of(slot, world, instance);
            slot.instances.iter().map(shown)
        })
    }

    /// The incidents that are open.
    pub fn open_incidents(&self) -> impl Iterator<Item = &IncidentRecord> {
        let doubt = self.doubt.iter().filter_map(|ghost| ghost.instance.incident());
        self.agents.values().flat_map(|slot| &slot.instances).filter_map(Instance::incident).chain(doubt)
    }

    /// Whether the agent counts as online at `now`: seen, not closed cleanly since, and not silent for three intervals.
    #[must_use]
    pub fn is_online(&self, id: AgentId, now: Timestamp) -> bool {
        self.agents.get(&id).is_some_and(|slot| slot.online && slot.offline_at().is_some_and(|at| now < at))
    }

    /// How many heartbeats came too late to be evaluated since the start.
    #[must_use]
    pub fn late_ignored(&self) -> u64 {
        self.late_ignored
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> EvaluatorStats {
        let instances = self.agents.values().map(|slot| slot.instances.len()).sum();
        EvaluatorStats { evaluated: self.evaluated, late_ignored: self.late_ignored, instances }
    }

    fn view_of<'a>(&'a self, slot: &'a Slot, world: World<'a>, instance: &'a Instance) -> InstanceView<'a> {
        let site = world.site(&slot.view, slot.scene(), instance.rule);
        let rule = &site.compiled.rule;
        let key = site.key(&instance.series);
        let told = instance.detail.as_deref().map_or(&[][..], |detail| &detail.told);
        let cooldown_until = told.iter().map(|told| told.cooldown_end(rule)).filter(|end| *end > world.now).max();
        let machine = instance.machine();
        InstanceView {
            state: machine.state,
            since: machine.since,
            hold_ms: rule.hold_ms,
            clear_since: machine.clear_since,
            was_firing: machine.was_firing,
            incident: instance.incident(),
            value: instance.detail.as_ref().and_then(|detail| detail.value),
            threshold: Limits::resolve(rule, &self.levels, slot.view.id, &instance.series).threshold(),
            last_ts: (instance.last_ts != Timestamp::MIN).then_some(instance.last_ts),
            stale: !slot.online || site.missing_at(instance).is_some_and(|at| at <= world.now),
            told: told.iter().map(|told| told.record(key.clone())).collect(),
            cooldown_until,
            muted: withheld_by(&site, instance, told),
            key,
        }
    }
}

fn withheld_by(site: &Site<'_>, instance: &Instance, told: &[Told]) -> Vec<&'static str> {
    let mut reasons: Vec<&'static str> = Vec::new();
    for channel in &site.compiled.rule.channels {
        let cooling = told
            .iter()
            .any(|told| told.channel == *channel && told.incident.is_none() && told.cooldown_end(&site.compiled.rule) > site.now);
        let hold = site.hold(&instance.series, *channel).map(|hold| hold.reason);
        for reason in hold.into_iter().chain(cooling.then_some(COOLDOWN)) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    reasons
}
