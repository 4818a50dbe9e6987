//! What holds for every timeline, whatever happens in it: random rules, heartbeats, gaps, buffers, mutes, words of people,
//! closes, edits, clock steps and restarts.

use crate::support::text::{agent_id, channel_id, rule};
use crate::support::{Hub, Output};
use nightbell_alerts::{
    AgentView, Clear, Comparison, EscalationStep, EventKind, IncidentRecord, InstanceKey, LevelTable, Missing, Mute, MuteKind,
    Notice, NoticeKind, Rule, Severity, State,
};
use nightbell_model::{AgentId, ChannelId, IncidentId, SeriesKey, Timestamp, Ulid};
use proptest::prelude::*;
use std::collections::BTreeMap;

const AGENTS: [&str; 2] = ["a", "b"];
const INTERVAL_MS: i64 = 30_000;
const MAX_GAP_MS: i64 = 90_000;
const SLACK_MS: i64 = 250;
/// A reminder that is late by so much counts as on time, and the next one is due as if it had been.
const LATENESS_MS: i64 = 1_000;

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Beat { agent: usize, value: f64 },
    Other { agent: usize },
    Late { agent: usize, age_s: i64, value: f64 },
    Mute { kind: MuteKind, for_s: i64, agent: Option<usize>, channel: Option<&'static str>, warnings_only: bool },
    Unmute,
    Ack { for_s: Option<i64> },
    Unack,
    Close { agent: usize, clean: bool, on_purpose: bool },
    Pause { agent: usize, paused: bool },
    Durations { cooldown_s: i64, repeat_s: i64 },
    Clock { by_ms: i64 },
    Restart,
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let policy = prop_oneof![Just(Missing::Keep), Just(Missing::NoData), Just(Missing::Resolve)];
    let durations = (0_i64..4, 0_i64..3, prop_oneof![Just(0_i64), 60_i64..900], prop_oneof![Just(0_i64), 60_i64..300]);
    let options = (any::<bool>(), any::<bool>(), any::<bool>(), 60_i64..400);
    (durations, policy, options).prop_map(|((hold, keep, cooldown, repeat), missing, (band, escalates, critical, after))| {
        let mut cpu = rule("cpu cpu.usage_percent > 90 channels ops,dev");
        cpu.hold_ms = hold * 30_000;
        cpu.keep_firing_ms = keep * 30_000;
        cpu.cooldown_ms = cooldown * 1000;
        cpu.repeat_ms = repeat * 1000;
        cpu.missing = missing;
        cpu.missing_after_ms = Some(after * 1000);
        cpu.clear = band.then_some(Clear::Value(80.0));
        cpu.severity = if critical { Severity::Critical } else { Severity::Warning };
        if escalates {
            cpu.escalation.push(EscalationStep { after_ms: 100_000, channels: vec![channel_id("lead")] });
            cpu.escalation.push(EscalationStep { after_ms: 200_000, channels: vec![channel_id("lead"), channel_id("ops")] });
        }
        vec![cpu, rule("off agent.offline == 1 for 2m channels ops cooldown 5m")]
    })
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![4 => Just(95.0), 3 => Just(50.0), 1 => Just(85.0), 1 => Just(99.0), 1 => Just(f64::NAN)]
}

fn mute() -> impl Strategy<Value = Op> {
    let kind = prop_oneof![Just(MuteKind::Silence), Just(MuteKind::Maintenance), Just(MuteKind::QuietHours)];
    let channel = prop_oneof![Just(None), Just(Some("ops")), Just(Some("dev")), Just(Some("lead"))];
    (kind, 10_i64..600, prop::option::of(0..AGENTS.len()), channel, any::<bool>())
        .prop_map(|(kind, for_s, agent, channel, warnings_only)| Op::Mute { kind, for_s, agent, channel, warnings_only })
}

/// Everything that can happen, each with the seconds that pass before it.
fn ops() -> impl Strategy<Value = Vec<(i64, Op)>> {
    let agent = || 0..AGENTS.len();
    let op = prop_oneof![
        24 => (agent(), value()).prop_map(|(agent, value)| Op::Beat { agent, value }),
        3 => agent().prop_map(|agent| Op::Other { agent }),
        3 => (agent(), 1_i64..600, value()).prop_map(|(agent, age_s, value)| Op::Late { agent, age_s, value }),
        2 => mute(),
        1 => Just(Op::Unmute),
        1 => prop::option::of(30_i64..300).prop_map(|for_s| Op::Ack { for_s }),
        1 => Just(Op::Unack),
        1 => (agent(), any::<bool>(), any::<bool>()).prop_map(|(agent, clean, on_purpose)| Op::Close { agent, clean, on_purpose }),
        1 => (agent(), any::<bool>()).prop_map(|(agent, paused)| Op::Pause { agent, paused }),
        1 => (0_i64..600, 0_i64..300).prop_map(|(cooldown_s, repeat_s)| Op::Durations { cooldown_s, repeat_s }),
        1 => (-5_000_000_i64..5_000_000).prop_map(|by_ms| Op::Clock { by_ms }),
        2 => Just(Op::Restart),
    ];
    prop::collection::vec((prop_oneof![8 => 5_i64..20, 2 => 20_i64..60, 1 => 100_i64..400], op), 20..120)
}

/// What does not depend on when the evaluator was started: usable heartbeats without gaps, mutes and people's words.
fn steady_ops() -> impl Strategy<Value = Vec<(i64, Op)>> {
    let value = prop_oneof![4 => Just(95.0), 3 => Just(50.0), 1 => Just(85.0), 1 => Just(99.0)];
    let aside = prop_oneof![
        8 => Just(None),
        2 => mute().prop_map(Some),
        1 => Just(Some(Op::Unmute)),
        1 => prop::option::of(30_i64..300).prop_map(|for_s| Some(Op::Ack { for_s })),
        1 => Just(Some(Op::Unack)),
        1 => (0_i64..600, 0_i64..300).prop_map(|(cooldown_s, repeat_s)| Some(Op::Durations { cooldown_s, repeat_s })),
        1 => (-5_000_000_i64..5_000_000).prop_map(|by_ms| Some(Op::Clock { by_ms })),
    ];
    let turn = (10_i64..20, value.clone(), value, aside);
    prop::collection::vec(turn, 10..80).prop_map(|turns| {
        let mut ops = Vec::new();
        for (dt, a, b, aside) in turns {
            ops.push((dt, Op::Beat { agent: 0, value: a }));
            ops.push((dt, Op::Beat { agent: 1, value: b }));
            ops.extend(aside.map(|op| (1, op)));
        }
        ops
    })
}

/// Outputs without the newest value where no sample of that moment brought it: after a restart the hub has to fill it in.
fn without_newest(outputs: Vec<Output>) -> impl Iterator<Item = Output> {
    use EventKind::{Ack, Escalated, Repeat, Suppressed, Unack};
    outputs.into_iter().map(|output| match output {
        Output::Notice(at, notice) => Output::Notice(at, Notice { value: None, ..notice }),
        Output::Event(at, event) if matches!(event.kind, Ack | Escalated | Repeat | Suppressed | Unack) => {
            Output::Event(at, nightbell_alerts::Event { value: None, ..event })
        }
        event => event,
    })
}

/// Compares item by item in print, where NaN equals NaN, and names the first that differs.
pub(crate) fn same<T: std::fmt::Debug>(one: impl IntoIterator<Item = T>, two: impl IntoIterator<Item = T>) {
    let print = |item: T| format!("{item:?}");
    let (one, two): (Vec<_>, Vec<_>) = (one.into_iter().map(print).collect(), two.into_iter().map(print).collect());
    if let Some(at) = (0..one.len().max(two.len())).find(|at| one.get(*at) != two.get(*at)) {
        panic!("item {at} differs: {:?} AND {:?}", one.get(at), two.get(at));
    }
}

fn agent(at: usize) -> AgentId {
    agent_id(AGENTS[at])
}

fn view(at: usize) -> AgentView {
    AgentView {
        id: agent(at),
        tags: Vec::new(),
        interval_ms: INTERVAL_MS,
        paused: false,
        last_seen: None,
        closed: false,
        stopped_on_purpose: false,
    }
}

fn cpu() -> SeriesKey {
    "cpu.usage_percent".parse().unwrap()
}

/// A run under observation.
pub(crate) struct Run {
    pub(crate) hub: Hub,
    /// What each channel believes, from what it was told alone.
    believes: BTreeMap<(InstanceKey, ChannelId), IncidentId>,
    /// When it was last told of a beginning, and the shortest cooldown in force since then.
    last_fired: BTreeMap<(InstanceKey, ChannelId), (i64, i64)>,
    /// Usable evaluated samples of each agent.
    samples: BTreeMap<AgentId, Vec<(Timestamp, f64)>>,
    /// The newest heartbeat of each agent.
    newest: BTreeMap<AgentId, Timestamp>,
    checked: usize,
    /// Whether each channel's view is held against the truth after everything that happens. That is for runs in which nobody
    /// goes offline and nothing comes late.
    watches_truth: bool,
    /// When a channel was last told that something fires, and the shortest repeat in force since then.
    last_said: BTreeMap<(InstanceKey, ChannelId), (i64, i64)>,
}

impl Run {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let hub = Hub::new(rules, vec![view(0), view(1)], LevelTable::default(), Vec::new());
        Self {
            hub,
            believes: BTreeMap::new(),
            last_fired: BTreeMap::new(),
            samples: BTreeMap::new(),
            newest: BTreeMap::new(),
            checked: 0,
            watches_truth: false,
            last_said: BTreeMap::new(),
        }
    }

    pub(crate) fn watch_truth(&mut self) {
        self.watches_truth = true;
    }

    pub(crate) fn play(&mut self, ops: &[(i64, Op)], restarts: &[bool]) {
        for (at, (dt_s, op)) in ops.iter().enumerate() {
            let until = self.hub.elapsed + dt_s * 1000;
            self.hub.pass_to(until);
            self.check(true);
            self.act(op);
            if self.watches_truth {
                // As the hub does, which lets time work at the end of every turn.
                let now = self.hub.elapsed;
                self.hub.pass_to(now);
            }
            self.check(false);
            if restarts.get(at).copied().unwrap_or(false) {
                self.hub.restart();
            }
        }
    }

    fn act(&mut self, op: &Op) {
        match *op {
            Op::Beat { agent: at, value } => self.beat(at, 0, value),
            Op::Late { agent: at, age_s, value } => self.beat(at, age_s * 1000, value),
            Op::Other { agent: at } => {
                self.newest.insert(agent(at), self.hub.now());
                self.hub.beat(agent(at), 0, &[("custom.other".parse().unwrap(), 1.0)]);
            }
            Op::Mute { kind, for_s, agent: on, channel, warnings_only } => {
                let mut mutes = self.hub.mutes.clone();
                mutes.push(Mute {
                    id: Ulid::from_bits(mutes.len() as u128),
                    kind,
                    start: self.hub.now(),
                    end: self.hub.now().plus_millis(for_s * 1000),
                    rule: None,
                    agent: on.map(agent),
                    tag: None,
                    series: None,
                    labels: nightbell_alerts::LabelConditions::default(),
                    channel: channel.map(channel_id),
                    up_to: warnings_only.then_some(Severity::Warning),
                    defers_resolved: kind == MuteKind::QuietHours,
                });
                self.hub.set_mutes(mutes);
            }
            Op::Unmute => self.hub.set_mutes(Vec::new()),
            Op::Ack { for_s } => {
                let until = for_s.map(|s| self.hub.now().plus_millis(s * 1000));
                if let Some(id) = self.an_open_incident() {
                    assert!(self.hub.ack(id, "joe", until));
                }
            }
            Op::Unack => {
                let open = self.hub.evaluator.open_incidents().next().map(|incident| (incident.id, incident.ack.is_some()));
                if let Some((id, is_acked)) = open {
                    let taken_back = self.hub.act(|evaluator, now, out| evaluator.unacknowledge(id, "joe", now, out));
                    assert_eq!(taken_back, is_acked, "what nobody said cannot be taken back");
                }
            }
            Op::Close { agent: at, clean, on_purpose } => self.hub.close(agent(at), clean, on_purpose),
            Op::Pause { agent: at, paused } => self.hub.upsert_agent(AgentView { paused, ..view(at) }),
            Op::Durations { cooldown_s, repeat_s } => {
                let mut rules = self.hub.rules.clone();
                rules[0].version += 1;
                (rules[0].cooldown_ms, rules[0].repeat_ms) = (cooldown_s * 1000, repeat_s * 1000);
                let cpu = self.last_fired.iter_mut().filter(|((key, _), _)| key.rule == rules[0].id);
                cpu.for_each(|(_, (_, least))| *least = (*least).min(cooldown_s * 1000));
                let said = self.last_said.iter_mut().filter(|((key, _), _)| key.rule == rules[0].id);
                said.for_each(|(_, (_, least))| {
                    *least = if *least == 0 { repeat_s * 1000 } else { (*least).min(repeat_s * 1000).max(1) }
                });
                self.hub.set_rules(rules);
            }
            Op::Clock { by_ms } => {
                self.hub.step_clock(by_ms);
                let moved = |(at, value): &(Timestamp, f64)| (at.plus_millis(by_ms), *value);
                self.samples.values_mut().for_each(|samples| *samples = samples.iter().map(moved).collect());
                self.newest.values_mut().for_each(|at| *at = at.plus_millis(by_ms));
            }
            Op::Restart => self.hub.restart(),
        }
    }

    fn beat(&mut self, at: usize, age_ms: i64, value: f64) {
        let paused = self.hub.agents.iter().any(|view| view.id == agent(at) && view.paused);
        let ts = self.hub.now().plus_millis(-age_ms);
        let newest = self.newest.get(&agent(at)).copied();
        if newest.is_none_or(|newest| newest < ts) {
            self.newest.insert(agent(at), ts);
            if !paused && !value.is_nan() {
                self.samples.entry(agent(at)).or_default().push((ts, value));
            }
        }
        self.hub.beat(agent(at), age_ms, &[(cpu(), value)]);
    }

    fn an_open_incident(&self) -> Option<IncidentId> {
        self.hub.evaluator.open_incidents().next().map(|incident| incident.id)
    }

    /// Checks what came out since the last check.
    fn check(&mut self, from_timers: bool) {
        let outputs = self.hub.outputs[self.checked..].to_vec();
        self.checked = self.hub.outputs.len();
        for output in &outputs {
            match output {
                Output::Event(_, event) if event.kind == EventKind::Fired => {
                    let offline = event.series.as_ref().is_some_and(|series| series.as_str() == "agent.offline");
                    assert!(offline || !from_timers, "a timer fired {event:?}");
                    if !offline {
                        let id = event.incident.unwrap();
                        let incident = self.hub.store.incidents[&id].clone();
                        self.lasted(&incident);
                    }
                }
                Output::Event(..) => {}
                Output::Notice(at, notice) => self.heard(*at, notice),
            }
        }
        if self.watches_truth {
            self.knows_the_truth();
        }
    }

    /// Each channel knows now what it is to know: of an open incident unless a mute or the cooldown holds that back, of none that
    /// has ended unless a mute holds ends back.
    fn knows_the_truth(&self) {
        let (now, rule) = (self.hub.now(), &self.hub.rules[0]);
        let key = InstanceKey { rule: rule.id, agent: agent(0), series: cpu() };
        let open = self.hub.evaluator.open_incidents().next().map(|incident| incident.id);
        for channel in &rule.channels {
            let slot = (key.clone(), *channel);
            let believed = self.believes.get(&slot).copied();
            let covering: Vec<bool> = self
                .hub
                .mutes
                .iter()
                .filter(|mute| mute.start <= now && now < mute.end)
                .filter(|mute| mute.channel.is_none_or(|only| only == *channel))
                .filter(|mute| mute.up_to.is_none_or(|limit| rule.severity <= limit))
                .map(|mute| mute.defers_resolved)
                .collect();
            let deferring = covering.iter().any(|defers| *defers);
            let cooling = self.last_fired.get(&slot).is_some_and(|(at, _)| self.hub.elapsed - at < rule.cooldown_ms);
            match (open, believed) {
                (None, None) => {}
                (None, Some(_)) => assert!(deferring, "{channel:?} was not told of an end"),
                (Some(_), None) => assert!(!covering.is_empty() || cooling, "{channel:?} was not told of a beginning"),
                (Some(open), Some(believed)) => assert!(open == believed || deferring, "{channel:?} believes in the past"),
            }
        }
    }

    /// Nothing fires before its hold, and every sample in between breached, without a hole.
    fn lasted(&self, incident: &IncidentRecord) {
        let (from, to) = (incident.started_at, incident.fired_at);
        assert!(to.millis_since(from) + SLACK_MS >= incident.hold_ms, "{incident:?}");
        let samples = &self.samples[&incident.key.agent];
        let inside: Vec<_> = samples.iter().filter(|(ts, _)| *ts >= from && *ts <= to).collect();
        assert!(inside.iter().all(|(_, value)| Comparison::Greater.holds(*value, 90.0)), "{incident:?} {inside:?}");
        assert!(inside.windows(2).all(|pair| pair[1].0.millis_since(pair[0].0) <= MAX_GAP_MS), "{incident:?} {inside:?}");
        assert_eq!(inside.len(), incident.samples as usize, "{incident:?} {inside:?}");
    }

    /// A receiver hears something: does it make sense to one who knows nothing else, and was it allowed?
    fn heard(&mut self, at: i64, notice: &Notice) {
        let slot = (notice.incident.key.clone(), notice.channel);
        let (id, believed) = (notice.incident.id, self.believes.get(&slot).copied());
        let muted = self.muted_at(notice);
        match notice.kind {
            NoticeKind::Resolved if notice.late => assert_eq!((believed, muted), (None, None), "{notice:?}"),
            NoticeKind::Resolved => {
                assert_eq!(believed, Some(id), "the end of another incident than was told: {notice:?}");
                assert!(muted.is_none_or(|defers| !defers), "an end inside quiet hours: {notice:?}");
                self.believes.remove(&slot);
                self.cancelled(&slot, at, notice);
            }
            NoticeKind::Fired => {
                assert_eq!(believed, None, "a second beginning without an end: {notice:?}");
                self.believes.insert(slot.clone(), id);
            }
            NoticeKind::Escalated => {
                assert!(believed.is_none_or(|told| told == id), "{notice:?}");
                self.believes.insert(slot.clone(), id);
            }
            NoticeKind::Repeat => {
                assert_eq!(believed, Some(id), "{notice:?}");
                assert!(notice.incident.acked_until(notice.at).is_none(), "repeated though somebody is on it: {notice:?}");
                let (last, least) = self.last_said[&slot];
                assert!(
                    least > 0 && at - last + LATENESS_MS >= least,
                    "repeated {} ms after the last word: {notice:?}",
                    at - last
                );
            }
            NoticeKind::Acked => {
                assert_eq!(believed, Some(id), "somebody is on what was not told: {notice:?}");
                assert!(notice.incident.acked_until(notice.at).is_some(), "{notice:?}");
                assert!(muted.is_none_or(|defers| !defers), "inside quiet hours: {notice:?}");
            }
            _ => {}
        }
        if matches!(notice.kind, NoticeKind::Fired | NoticeKind::Escalated | NoticeKind::Repeat) {
            let repeat = self.hub.rules.iter().find(|rule| rule.id == notice.incident.key.rule).unwrap().repeat_ms;
            self.last_said.insert(slot.clone(), (at, repeat));
        }
        // Silences let through what calms: that it is over, and that somebody is on it.
        let calms = matches!(notice.kind, NoticeKind::Resolved | NoticeKind::NoDataEnd | NoticeKind::Acked) && !notice.late;
        assert!(calms || muted.is_none(), "said inside a mute: {notice:?}");
        if notice.kind == NoticeKind::Fired || notice.late {
            let cooldown = self.hub.rules.iter().find(|rule| rule.id == notice.incident.key.rule).unwrap().cooldown_ms;
            if let Some((last, least)) = self.last_fired.insert(slot, (at, cooldown)) {
                assert!(at - last >= least, "{notice:?} only {} ms after the last", at - last);
            }
        }
    }

    /// A beginning that still waits for company when its end comes is sent to nobody: no cooldown follows from it.
    fn cancelled(&mut self, slot: &(InstanceKey, ChannelId), at: i64, notice: &Notice) {
        let wait = notice.not_before.millis_since(notice.at);
        let (fired, said) = (self.last_fired.get(slot), self.last_said.get(slot));
        if fired.is_some_and(|(fired, _)| at - fired < wait && said.is_some_and(|(said, _)| said == fired)) {
            self.last_fired.remove(slot);
        }
    }

    /// Whether a mute covers what was said, and whether one of those holds ends back as well.
    fn muted_at(&self, notice: &Notice) -> Option<bool> {
        let rule = self.hub.rules.iter().find(|rule| rule.id == notice.incident.key.rule)?;
        let covering = self.hub.mutes.iter().filter(|mute| {
            mute.start <= notice.at
                && notice.at < mute.end
                && mute.agent.is_none_or(|agent| agent == notice.incident.key.agent)
                && mute.channel.is_none_or(|channel| channel == notice.channel)
                && mute.up_to.is_none_or(|limit| rule.severity <= limit)
        });
        covering.map(|mute| mute.defers_resolved).reduce(|a, b| a || b)
    }

    /// When mutes and cooldowns are over and the agents are there, every channel believes exactly what is true.
    fn settle_down(&mut self) {
        self.hub.set_mutes(Vec::new());
        self.check(false);
        for at in 0..AGENTS.len() {
            self.hub.upsert_agent(view(at));
        }
        self.check(false);
        for _ in 0..40 {
            let until = self.hub.elapsed + INTERVAL_MS;
            self.hub.pass_to(until);
            self.check(true);
            for at in 0..AGENTS.len() {
                let firing = self.hub.state(self.hub.rules[0].id, agent(at), None) == State::Firing;
                self.beat(at, 0, if firing { 95.0 } else { 50.0 });
                self.check(false);
            }
        }
        for at in 0..AGENTS.len() {
            let open = self.hub.evaluator.open_incidents().find(|incident| incident.key.agent == agent(at));
            let key = InstanceKey { rule: self.hub.rules[0].id, agent: agent(at), series: cpu() };
            for channel in &self.hub.rules[0].channels {
                let believed = self.believes.get(&(key.clone(), *channel)).copied();
                assert_eq!(believed, open.map(|incident| incident.id), "the view of {channel:?} on {at}");
            }
        }
        assert!(self.believes.keys().all(|(key, _)| key.series == cpu()), "{:?}", self.believes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn receivers_are_told_the_truth_and_nothing_they_must_not_hear(rules in rules(), ops in ops()) {
        let mut run = Run::new(rules);
        run.play(&ops, &[]);
        run.settle_down();
    }

    #[test]
    fn a_restart_in_mid_run_changes_nothing(rules in rules(), ops in steady_ops(), seed in any::<u64>()) {
        let restarts: Vec<bool> = (0..ops.len()).map(|at| (seed >> (at % 64)) & 1 == 1).collect();
        let (mut straight, mut broken) = (Run::new(rules.clone()), Run::new(rules));
        straight.play(&ops, &[]);
        broken.play(&ops, &restarts);
        same(without_newest(straight.hub.outputs), without_newest(broken.hub.outputs));
        same(straight.hub.store.instances.values(), broken.hub.store.instances.values());
        same(straight.hub.store.told.values(), broken.hub.store.told.values());
        same(straight.hub.store.incidents.values(), broken.hub.store.incidents.values());
    }

    #[test]
    fn the_same_input_gives_the_same_output(rules in rules(), ops in ops()) {
        let (mut one, mut two) = (Run::new(rules.clone()), Run::new(rules));
        one.play(&ops, &[]);
        two.play(&ops, &[]);
        same(&one.hub.outputs, &two.hub.outputs);
    }
}
