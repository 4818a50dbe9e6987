//! Values that are not compared as they come: what rules on rates and forecasts remember of each series, and how it is filled
//! from stored history, which the hub reads.

use super::Evaluator;
use super::change::shifted;
use super::slot::Slot;
use crate::apply::Reading;
use crate::book::RuleBook;
use crate::record::State;
use crate::ring::{Ring, is_counter};
use crate::rule::{Rule, Transform};
use crate::site::SERIES_GONE_MS;
use crate::track::tracks;
use crate::trend::{Outlook, refresh_ms};
use nightbell_model::{AgentId, Frame, RuleId, SeriesKey, Timestamp};

/// The clock of a host against the hub's: another number, and no news of the host, once the hub's own clock was set.
const CLOCK_OFFSET: &str = "clock.offset_seconds";
/// For so many heartbeats a host may go on saying what it was before: an agent says the least of the last eight differences that it
/// heard. Twice that, for acknowledgements may lag behind.
const OFFSET_LAG: i64 = 16;
/// The least of such a wait, in milliseconds.
const LEAST_LAG_MS: i64 = 60_000;

/// What one rule remembers of one series beside its alert.
#[derive(Debug)]
pub(crate) struct Shape {
    rule: RuleId,
    series: SeriesKey,
    transform: Transform,
    lens: Lens,
    /// What was compared last; NaN while there was nothing.
    newest: f64,
    /// When it was last given anything; `Timestamp::MIN` is not yet.
    fed: Timestamp,
}

#[derive(Debug)]
enum Lens {
    Rate(Ring),
    Forecast(Outlook),
}

/// History that a rule needs of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryWant {
    /// Whose.
    pub agent: AgentId,
    /// For which rule: its selector says which series.
    pub rule: RuleId,
    /// What for; its window says how far back.
    pub transform: Transform,
}

/// The outlook of one series for one rule.
#[derive(Debug, Clone, PartialEq)]
pub struct TrendRow {
    /// Whose.
    pub agent: AgentId,
    /// For which rule.
    pub rule: RuleId,
    /// Which series; for an aggregate the bare metric.
    pub series: SeriesKey,
    /// Where it is heading.
    pub outlook: Outlook,
}

impl Shape {
    fn new(rule: &Rule, series: &SeriesKey) -> Option<Self> {
        let lens = match rule.transform {
            Transform::None => return None,
            Transform::Rate { window_ms, .. } => Lens::Rate(Ring::new(window_ms, is_counter(series.metric()))),
            Transform::Forecast { .. } => Lens::Forecast(Outlook::TooShort),
        };
        Some(Self {
            rule: rule.id,
            series: series.clone(),
            transform: rule.transform,
            lens,
            newest: f64::NAN,
            fed: Timestamp::MIN,
        })
    }

    /// What is compared in place of `value`: NaN while there is nothing to compare.
    pub(crate) fn reading(&mut self, ts: Timestamp, value: f64, max_gap_ms: i64) -> Reading {
        let raw = Some(value);
        let (value, trend) = match (&mut self.lens, self.transform) {
            (Lens::Rate(ring), Transform::Rate { per_ms, .. }) => {
                (ring.push(ts, value, max_gap_ms).map_or(f64::NAN, |rate| rate * span(per_ms)), None)
            }
            (Lens::Forecast(Outlook::Clear(trend)), Transform::Forecast { horizon_ms, .. }) => {
                (value + trend.per_ms * span(horizon_ms), Some(*trend))
            }
            (Lens::Forecast(Outlook::Unclear), _) => (value, None),
            _ => (f64::NAN, None),
        };
        (self.newest, self.fed) = (value, ts);
        Reading { value: Some(value), raw, trend, ..Reading::default() }
    }

    /// What was compared last.
    pub(crate) fn newest(&self) -> Option<f64> {
        Some(self.newest).filter(|value| !value.is_nan())
    }

    /// Where the series is heading, if that is asked.
    pub(crate) fn outlook(&self) -> Option<Outlook> {
        match &self.lens {
            Lens::Rate(_) => None,
            Lens::Forecast(outlook) => Some(*outlook),
        }
    }

    /// The hub's clock was set. A host's offset against it is another number from `settled` on, which is no change of the host's.
    fn shift(&mut self, by_ms: i64, settled: Timestamp) {
        self.fed = shifted(self.fed, by_ms);
        if let Lens::Rate(ring) = &mut self.lens {
            if self.series.metric() == CLOCK_OFFSET {
                ring.begin_at(settled);
            } else {
                ring.shift(by_ms);
            }
        }
    }
}

impl Slot {
    /// The place of what a rule with a transform remembers of a series, made if there is none.
    pub(crate) fn shape(&mut self, rule: &Rule, series: &SeriesKey) -> Option<u32> {
        let found = self.shapes.iter().position(|shape| shape.rule == rule.id && shape.series == *series);
        let at = match found {
            Some(at) => at,
            None => {
                self.shapes.push(Shape::new(rule, series)?);
                self.shapes.len() - 1
            }
        };
        u32::try_from(at).ok()
    }

    pub(crate) fn shape_of(&self, rule: RuleId, series: &SeriesKey) -> Option<&Shape> {
        self.shapes.iter().find(|shape| shape.rule == rule && shape.series == *series)
    }

    /// Forgets what no rule of the agent asks for any more. Plans must be made anew.
    pub(crate) fn keep_shapes(&mut self, book: &RuleBook) {
        let current = |rule: RuleId, transform: Transform| {
            let at = book.position(rule).filter(|at| self.rules.binary_search(at).is_ok())?;
            Some(book.get(at)).filter(|compiled| compiled.rule.transform == transform)
        };
        self.shapes.retain(|shape| current(shape.rule, shape.transform).is_some_and(|rule| rule.covers(&shape.series)));
        self.primed.retain(|(rule, transform)| current(*rule, *transform).is_some());
    }

    /// Forgets what is remembered of a series that is gone. Plans must be made anew.
    pub(crate) fn drop_shape(&mut self, rule: RuleId, series: &SeriesKey) {
        self.shapes.retain(|shape| shape.rule != rule || shape.series != *series);
    }

    /// Forgets series that nothing was heard of for a day, though they never had a value to compare: containers that come and go.
    pub(crate) fn prune_shapes(&mut self, book: &RuleBook, now: Timestamp) {
        for shape in self.shapes.iter_mut().filter(|shape| shape.fed == Timestamp::MIN) {
            shape.fed = now;
        }
        let is_gone = |shape: &Shape| now.millis_since(shape.fed) > SERIES_GONE_MS;
        if !self.shapes.iter().any(is_gone) {
            return;
        }
        let gone: Vec<Shape> = self.shapes.extract_if(.., |shape| is_gone(shape)).collect();
        self.instances.retain(|instance| {
            let is_blank = instance.last_ts == Timestamp::MIN && instance.state() == State::Ok && instance.detail.is_none();
            let rule = book.get(instance.rule).rule.id;
            !is_blank || gone.iter().all(|shape| shape.rule != rule || shape.series != instance.series)
        });
        self.forget_plans();
    }

    pub(crate) fn shift_shapes(&mut self, by_ms: i64, now: Timestamp) {
        let settled = now.plus_millis(self.view.interval_ms.saturating_mul(OFFSET_LAG).max(LEAST_LAG_MS));
        self.shapes.iter_mut().for_each(|shape| shape.shift(by_ms, settled));
    }
}

impl Evaluator {
    /// The history that rules on rates and forecasts need: of a rate once, to go on after a restart or an edit as if there had
    /// been none (hand it to [`Self::prime`]); of a forecast again and again, a whole window each time
    /// (hand what [`trend_rows`] makes of it to [`Self::set_trends`]).
    #[must_use]
    pub fn history_wants(&self) -> Vec<HistoryWant> {
        let mut wants = Vec::new();
        if !self.book.has_transforms() {
            return wants;
        }
        for slot in self.agents.values() {
            for rule in slot.rules.iter().map(|at| &self.book.get(*at).rule) {
                let wanted = match rule.transform {
                    Transform::None => false,
                    Transform::Rate { .. } => !slot.primed.contains(&(rule.id, rule.transform)),
                    Transform::Forecast { .. } => true,
                };
                if wanted {
                    wants.push(HistoryWant { agent: slot.view.id, rule: rule.id, transform: rule.transform });
                }
            }
        }
        wants
    }

    /// Puts stored raw history before what a rule on a rate has seen of an agent. What it has seen already is left out, so a frame
    /// may reach up to now.
    pub fn prime(&mut self, agent: AgentId, rule: RuleId, frame: &Frame) {
        let Some((at, slot)) = self.book.position(rule).zip(self.agents.get_mut(&agent)) else { return };
        let compiled = self.book.get(at);
        if !matches!(compiled.rule.transform, Transform::Rate { .. }) || slot.rules.binary_search(&at).is_err() {
            return;
        }
        let gap = compiled.max_gap_ms(slot.view.interval_ms);
        // What is stored of a host's clock may be from before the hub's was set.
        let tracks = tracks(&compiled.rule, &compiled.filter, frame).into_iter();
        for track in tracks.filter(|track| track.key.metric() != CLOCK_OFFSET) {
            let Some(at) = slot.shape(&compiled.rule, &track.key) else { continue };
            if let Some(Shape { lens: Lens::Rate(ring), .. }) = slot.shapes.get_mut(at as usize) {
                ring.prime(frame.times.iter().copied().zip(track.values), gap);
            }
        }
        if !slot.primed.contains(&(rule, compiled.rule.transform)) {
            slot.primed.push((rule, compiled.rule.transform));
        }
    }

    /// Puts newer outlooks in place; they count from the next sample on.
    pub fn set_trends(&mut self, rows: Vec<TrendRow>) {
        for row in rows {
            let Some((at, slot)) = self.book.position(row.rule).zip(self.agents.get_mut(&row.agent)) else { continue };
            let compiled = self.book.get(at);
            if slot.rules.binary_search(&at).is_err() || !compiled.covers(&row.series) {
                continue;
            }
            let Some(at) = slot.shape(&compiled.rule, &row.series) else { continue };
            if let Some(Shape { lens: Lens::Forecast(outlook), fed, .. }) = slot.shapes.get_mut(at as usize) {
                (*outlook, *fed) = (row.outlook, (*fed).max(self.clock));
            }
        }
    }
}

/// The outlooks of a rule's series, from an agent's history up to `now`; they hold until the next multiple of
/// [`refresh_ms`].
#[must_use]
pub fn trend_rows(rule: &Rule, agent: AgentId, frame: &Frame, now: Timestamp) -> Vec<TrendRow> {
    let window_ms = rule.transform.window_ms();
    let end = now.floor_to(refresh_ms(window_ms));
    let filter = crate::matching::Filter::new(&rule.selector);
    let row = |track: crate::track::Track| TrendRow {
        agent,
        rule: rule.id,
        outlook: crate::trend::outlook(frame.times.iter().copied().zip(track.values), end, window_ms),
        series: track.key,
    };
    tracks(rule, &filter, frame).into_iter().map(row).collect()
}

#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^53 ms")]
const fn span(ms: i64) -> f64 {
    ms as f64
}
