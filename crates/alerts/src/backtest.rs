//! What a rule would have done: the evaluator itself, folded over stored history of one series.
//!
//! Nothing here decides anything, so a backtest cannot disagree with the alert it predicts. Reading history, choosing its
//! resolution and counting over many series are left to the caller.

use crate::context::{AgentView, LevelTable, Mute};
use crate::evaluator::{Config, Evaluator, Saved, TrendRow};
use crate::record::{Effects, IncidentRecord, NoticeKind, State};
use crate::rule::{Aggregate, Rule, Scope, Selector, Transform};
use crate::trend::{outlook, refresh_ms};
use nightbell_model::{AgentId, Batch, ChannelId, Column, Frame, Levels, RuleId, Schema, SeriesKey, Tier, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// The most timers that may be due between two samples: reminders once a minute for almost two years.
const MOST_TICKS: usize = 1_000_000;

/// What a backtest folds over.
#[derive(Debug, Clone)]
pub struct BacktestInput<I> {
    /// Which series; the rule's own selector is taken to have chosen it.
    pub key: SeriesKey,
    /// Its samples in the order of their times: one for each heartbeat, `None` or NaN where the value was missing. No entry is no
    /// heartbeat: the agent was not heard.
    pub samples: I,
    /// Samples before those, for a rule on a rate or a forecast to look back on; nothing is judged on them.
    pub past: Vec<(Timestamp, f64)>,
    /// The agent's interval, in milliseconds; see [`median_spacing`].
    pub interval_ms: i64,
    /// The agent's warn and crit levels of this series.
    pub levels: Option<Levels>,
    /// Mutes that match the agent; their conditions on agents and tags are taken to hold.
    pub mutes: Vec<Mute>,
    /// Until when timers run after the last sample.
    pub end: Timestamp,
}

/// What would have happened.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BacktestReport {
    /// The state at the first sample, then one entry for each change.
    pub transitions: Vec<(Timestamp, State)>,
    /// The incidents, in the order in which they fired.
    pub incidents: Vec<BacktestIncident>,
    /// What would have been sent, in order; to one channel if the rule names none.
    pub notices: Vec<(NoticeKind, Timestamp)>,
    /// What was compared, sample by sample, where that is a rate or a forecast; else the samples themselves were.
    pub compared: Vec<f64>,
}

/// One firing period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BacktestIncident {
    /// When it fired.
    pub fired_at: Timestamp,
    /// When it ended; `None` if it was still open at the end.
    pub resolved_at: Option<Timestamp>,
    /// The worst value in it.
    pub peak: f64,
}

/// Folds `rule` over the history of one series.
#[must_use]
pub fn backtest<I>(rule: &Rule, input: BacktestInput<I>) -> BacktestReport
where
    I: Iterator<Item = (Timestamp, Option<f64>)>,
{
    let mut samples = input.samples.peekable();
    let Some((start, _)) = samples.peek().copied() else { return BacktestReport::default() };
    let agent = AgentId::default();
    let draft = draft(rule, &input.key);
    let mut outlooks = Outlooks::of(&draft, input.past);
    let mut run = Run::new(draft, input.levels, (input.mutes, input.interval_ms), (&input.key, start));
    outlooks.begin(&mut run.evaluator, &input.key);
    let schema = Schema::new(vec![input.key]);
    for (ts, value) in samples {
        run.pass(ts.plus_millis(-1));
        let value = value.unwrap_or(f64::NAN);
        outlooks.renew(&mut run.evaluator, (ts, value), &schema.keys()[0]);
        let batch = Batch { agent, ts, received: ts, boot_seq: None, schema: schema.clone(), values: Box::new([value]) };
        run.evaluator.observe(&batch, ts, &mut run.out);
        run.note(ts);
        if outlooks.transform != Transform::None && !value.is_nan() {
            run.report.compared.extend(run.evaluator.only_value());
        }
        run.tick(ts);
    }
    run.pass(input.end);
    run.report()
}

/// What a rule on a rate or a forecast looks back on: stored history, which the hub hands to the evaluator while it runs.
struct Outlooks {
    rule: RuleId,
    transform: Transform,
    /// Times and values up to now, as far back as matters.
    past: VecDeque<(Timestamp, f64)>,
    /// Up to when the outlook was taken last.
    taken: Timestamp,
}

impl Outlooks {
    fn of(rule: &Rule, past: Vec<(Timestamp, f64)>) -> Self {
        Self { rule: rule.id, transform: rule.transform, past: past.into(), taken: Timestamp::MIN }
    }

    /// Hands the past to a rule on a rate.
    fn begin(&mut self, evaluator: &mut Evaluator, key: &SeriesKey) {
        if !matches!(self.transform, Transform::Rate { .. }) || self.past.is_empty() {
            return;
        }
        let (times, values): (Vec<_>, Vec<_>) = self.past.drain(..).unzip();
        let column = Column { key: key.clone(), mean: values.clone(), min: values.clone(), max: values };
        let (start, end) = (Timestamp::MIN, Timestamp::MAX);
        let frame = Frame { start, end, tiers: vec![Tier::Raw], step_ms: None, times, columns: vec![column] };
        evaluator.prime(AgentId::default(), self.rule, &frame);
    }

    /// Takes the outlook of a forecast anew when it is due, from what came before this sample.
    fn renew(&mut self, evaluator: &mut Evaluator, (ts, value): (Timestamp, f64), key: &SeriesKey) {
        let Transform::Forecast { window_ms, .. } = self.transform else { return };
        let end = ts.floor_to(refresh_ms(window_ms));
        if end != self.taken {
            self.taken = end;
            let begin = end.plus_millis(-window_ms);
            while self.past.front().is_some_and(|(at, _)| *at < begin) {
                self.past.pop_front();
            }
            let outlook = outlook(self.past.iter().copied(), end, window_ms);
            let row = TrendRow { agent: AgentId::default(), rule: self.rule, series: key.clone(), outlook };
            evaluator.set_trends(vec![row]);
        }
        if !value.is_nan() {
            self.past.push_back((ts, value));
        }
    }
}

/// The spacing in the middle of all spacings, in milliseconds; `None` for fewer than two times.
#[must_use]
pub fn median_spacing(times: &[Timestamp]) -> Option<i64> {
    let mut spacings: Vec<i64> = times.windows(2).map(|pair| pair[1].millis_since(pair[0])).filter(|ms| *ms > 0).collect();
    spacings.sort_unstable();
    spacings.get(spacings.len().saturating_sub(1) / 2).copied()
}

/// The rule as it applies to exactly this series.
fn draft(rule: &Rule, key: &SeriesKey) -> Rule {
    let mut draft = Rule { enabled: true, scope: Scope::Global, key: None, ..rule.clone() };
    if !rule.is_offline() {
        draft.selector =
            Selector { metric: key.metric().to_owned(), labels: Vec::new(), matchers: Vec::new(), aggregate: Aggregate::Each };
    }
    if draft.channels.is_empty() {
        draft.channels.push(ChannelId::default());
    }
    draft
}

struct Run {
    evaluator: Evaluator,
    out: Effects,
    report: BacktestReport,
    incidents: BTreeMap<Timestamp, IncidentRecord>,
}

impl Run {
    fn new(
        rule: Rule,
        levels: Option<Levels>,
        (mutes, interval_ms): (Vec<Mute>, i64),
        (key, start): (&SeriesKey, Timestamp),
    ) -> Self {
        let mut table = LevelTable::default();
        if let Some(levels) = levels {
            table.global.insert(key.as_str().to_owned(), levels);
        }
        let agent = AgentView {
            id: AgentId::default(),
            tags: Vec::new(),
            interval_ms: interval_ms.max(1),
            paused: false,
            last_seen: None,
            closed: false,
            stopped_on_purpose: false,
        };
        let mutes = mutes.into_iter().map(|mute| Mute { agent: None, tag: None, ..mute }).collect();
        let config =
            Config { rules: vec![rule], agents: vec![agent], levels: table, mutes, group_wait_ms: 0, offline_group_wait_ms: 0 };
        let evaluator = Evaluator::restore(config, Saved::default(), start);
        Self { evaluator, out: Effects::default(), report: BacktestReport::default(), incidents: BTreeMap::new() }
    }

    /// Lets time pass to `until`, doing what is due on the way at its own moment.
    fn pass(&mut self, until: Timestamp) {
        for _ in 0..MOST_TICKS {
            let Some(due) = self.evaluator.next_deadline().filter(|due| *due <= until) else { return };
            self.tick(due);
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.evaluator.tick(now, &mut self.out);
        if !self.report.transitions.is_empty() {
            self.note(now);
        }
    }

    /// Takes over what the last input did.
    fn note(&mut self, now: Timestamp) {
        let state = self.evaluator.only_state();
        if self.report.transitions.last().is_none_or(|(_, last)| *last != state) {
            self.report.transitions.push((now, state));
        }
        self.report.notices.extend(self.out.notices.iter().map(|notice| (notice.kind, notice.at)));
        for incident in self.out.incidents.drain(..) {
            self.incidents.insert(incident.fired_at, incident);
        }
        self.out.clear();
    }

    fn report(mut self) -> BacktestReport {
        self.report.incidents = self
            .incidents
            .into_values()
            .map(|incident| BacktestIncident {
                fired_at: incident.fired_at,
                resolved_at: incident.resolved_at,
                peak: incident.peak,
            })
            .collect();
        self.report
    }
}

#[cfg(test)]
mod tests;
