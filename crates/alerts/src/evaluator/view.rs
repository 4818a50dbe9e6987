//! What the evaluator shows of itself: every instance with the reasons for what it says and does not say.

use super::Evaluator;
use super::shaped::Shape;
use super::slot::{Slot, World};
use crate::hush::{COOLDOWN, Hold};
use crate::instance::{Detail, Instance, Told};
use crate::judge::Limits;
use crate::record::{IncidentRecord, InstanceKey, State, ToldRecord};
use crate::rule::{Comparison, Transform};
use crate::site::Site;
use crate::trend::Outlook;
use nightbell_model::{AgentId, ChannelId, RuleId, Timestamp, Ulid};

/// One instance and why it is as it is.
#[derive(Debug, Clone)]
pub struct InstanceView<'a> {
    /// Which instance.
    pub key: InstanceKey,
    /// Its state.
    pub state: State,
    /// Since when it is in that state, in event time.
    pub since: Timestamp,
    /// How long it has to breach before it fires, in milliseconds; of an agent how long it has to be silent.
    pub hold_ms: i64,
    /// How long it has to be clear before it ends, in milliseconds.
    pub keep_firing_ms: i64,
    /// How it compares.
    pub comparison: Comparison,
    /// What is made of a value before it is compared.
    pub transform: Transform,
    /// How many breaching samples it has seen since the breach began.
    pub samples: u32,
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
    /// Where it counts as clear again, if that is another number.
    pub clear: Option<f64>,
    /// Where a forecast's series is heading.
    pub outlook: Option<Outlook>,
    /// When the last usable sample was measured.
    pub last_ts: Option<Timestamp>,
    /// Whether what it shows is old: its samples stopped, or its agent is offline.
    pub stale: bool,
    /// What its channels were told.
    pub told: Vec<ToldRecord>,
    /// Until when the cooldown holds its next "fired" on at least one channel.
    pub cooldown_until: Option<Timestamp>,
    /// When something more may be said of it, if nothing changes: a repeat, a step of the escalation, what is withheld now.
    pub next_notice_at: Option<Timestamp>,
    /// A late burst is going on, at whose end it is told what came of it.
    pub in_burst: bool,
    /// Whether it has a channel to tell.
    pub has_channels: bool,
    /// What withholds its notices now, channel by channel.
    pub withheld: Vec<Withheld>,
    /// What withholds its notices now, without repeats: the kind of a mute, `host_offline` or `cooldown`.
    pub muted: Vec<&'static str>,
}

/// Something that withholds what one channel is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld {
    /// Which channel.
    pub channel: ChannelId,
    /// The kind of a mute, `host_offline` or `cooldown`.
    pub reason: &'static str,
    /// Until when at least; `Timestamp::MAX` is not known.
    pub until: Timestamp,
    /// The silence behind it.
    pub mute: Option<Ulid>,
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
        self.shown(self.agents.values(), |_| true)
    }

    /// The instances of a rule, by agent; only those of `agent` if one is named. Others are not looked at closely.
    pub fn instances_of(&self, rule: RuleId, agent: Option<AgentId>) -> impl Iterator<Item = InstanceView<'_>> {
        let rule = self.book.position(rule);
        let slots = self.agents.values().filter(move |slot| agent.is_none_or(|agent| agent == slot.view.id));
        self.shown(slots, move |instance| Some(instance.rule) == rule)
    }

    fn shown<'a>(
        &'a self,
        slots: impl Iterator<Item = &'a Box<Slot>>,
        wanted: impl Fn(&Instance) -> bool + Copy,
    ) -> impl Iterator<Item = InstanceView<'a>> {
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now: self.clock, turn: self.turn };
        slots.flat_map(move |slot| {
            let shown = move |instance| self.view_of(slot, world, instance);
            slot.instances.iter().filter(move |instance| wanted(instance)).map(shown)
        })
    }

    /// The state of the only instance of a backtest.
    pub(crate) fn only_state(&self) -> State {
        self.agents.values().flat_map(|slot| &slot.instances).next().map_or(State::Ok, Instance::state)
    }

    /// What its rule on a rate or a forecast compared last.
    pub(crate) fn only_value(&self) -> Option<f64> {
        self.agents.values().flat_map(|slot| &slot.shapes).next().and_then(Shape::newest)
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
        let detail = instance.detail.as_deref();
        let told = detail.map_or(&[][..], |detail| &detail.told);
        let cooldown_until = told.iter().map(|told| told.cooldown_end(rule)).filter(|end| *end > world.now).max();
        let (machine, incident) = (instance.machine(), instance.incident());
        let limits = Limits::resolve(rule, &self.levels, slot.view.id, &instance.series);
        let shape = slot.shape_of(rule.id, &instance.series);
        let withheld = withheld_by(&site, instance, told);
        InstanceView {
            state: machine.state,
            since: machine.since,
            hold_ms: match slot.offline_fires_at(rule.hold_ms).filter(|_| rule.is_offline()) {
                Some(fires_at) => fires_at.millis_since(machine.since),
                None => rule.hold_ms,
            },
            keep_firing_ms: rule.keep_firing_ms,
            comparison: rule.comparison,
            transform: rule.transform,
            samples: incident.map_or_else(|| detail.map_or(0, |detail| detail.samples), |incident| incident.samples),
            clear_since: machine.clear_since,
            was_firing: machine.was_firing,
            incident,
            value: detail.and_then(|detail| detail.value).or_else(|| shape.and_then(Shape::newest)),
            threshold: limits.threshold(),
            clear: limits.clear(),
            outlook: shape.and_then(Shape::outlook),
            last_ts: (instance.last_ts != Timestamp::MIN).then_some(instance.last_ts),
            stale: !slot.online || site.missing_at(instance).is_some_and(|at| at <= world.now),
            told: told.iter().map(|told| told.record(key.clone())).collect(),
            cooldown_until,
            next_notice_at: next_notice(machine.state, detail, world.now),
            in_burst: site.folding,
            has_channels: !rule.channels.is_empty(),
            muted: reasons_of(&withheld),
            withheld,
            key,
        }
    }
}

/// When `settle` looks at an alert again that is not simply fine.
fn next_notice(state: State, detail: Option<&Detail>, now: Timestamp) -> Option<Timestamp> {
    let wakes = matches!(state, State::Firing | State::NoData);
    detail.map(|detail| detail.wake).filter(|wake| wakes && *wake > now && *wake < Timestamp::MAX)
}

fn withheld_by(site: &Site<'_>, instance: &Instance, told: &[Told]) -> Vec<Withheld> {
    let rule = &site.compiled.rule;
    let mut all = Vec::new();
    for channel in &rule.channels {
        let cooling =
            told.iter().find(|told| told.channel == *channel && told.incident.is_none()).map(|told| told.cooldown_end(rule));
        let cooling = cooling.filter(|end| *end > site.now).map(|until| Hold { reason: COOLDOWN, until, mute: None });
        let holds = site.hold(&instance.series, *channel).into_iter().chain(cooling);
        all.extend(holds.map(|Hold { reason, until, mute }| Withheld { channel: *channel, reason, until, mute }));
    }
    all
}

fn reasons_of(withheld: &[Withheld]) -> Vec<&'static str> {
    let mut reasons: Vec<&'static str> = Vec::new();
    for reason in withheld.iter().map(|withheld| withheld.reason) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons
}
