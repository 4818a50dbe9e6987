//! One input applied to one instance: `step` decides, this keeps the incident's record, the log and the stored fields in step
//! with it, and lets `settle` speak.

use crate::incident::Opening;
use crate::instance::{Detail, Instance, Told};
use crate::record::{Effects, EndReason, Event, EventKind, IncidentRecord, InstanceKey, State};
use crate::rule::Missing;
use crate::settle::settle;
use crate::site::Site;
use crate::step::{Input, Outcome, Verdict, step};
use crate::trend::Trend;
use crate::why::{why, why_shaped};
use nightbell_model::{SeriesKey, Timestamp};

/// How many changes nobody was told of is remembered for the next page, until the alert has been fine for so long, in
/// milliseconds: later they are no part of the same trouble.
pub(crate) const SUPPRESSED_KEPT_MS: i64 = 24 * 3_600_000;

/// A value and the number it was compared with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    pub(crate) value: Option<f64>,
    pub(crate) threshold: Option<f64>,
    /// The value as it was measured, where a rate or a forecast is compared.
    pub(crate) raw: Option<f64>,
    /// Where it is heading, where a forecast is compared and there is a trend.
    pub(crate) trend: Option<Trend>,
}

/// Applies `input` to an instance, and settles and hands out what changed.
pub(crate) fn apply(site: &Site<'_>, instance: &mut Instance, (input, reading): (Input, Reading), out: &mut Effects) -> Outcome {
    let before = instance.machine();
    let (after, outcome) = step(site.compiled.timing, before, input);
    instance.set_machine(after);
    if instance.detail.is_none() && after.state == State::Ok && !outcome.moved {
        return outcome;
    }
    let key = site.key(&instance.series);
    let last = Keeper { site, key, input, reading, outcome, since: after.since };
    let detail = instance.detail_mut(site.compiled.rule.version);
    let first = matches!(before.state, State::Ok) || before.since != after.since;
    last.keep(detail, (before.state, after.state), first, out);
    let calmed = before.state == State::Pending && after.state == State::Ok;
    if !site.folding && (outcome.is_transition() || calmed) {
        settle(site, instance, outcome, out);
    }
    hand_out(site, instance, out);
    outcome
}

/// Hands out what changed of an instance: its record and what channels were told, or that there is nothing left to remember.
pub(crate) fn hand_out(site: &Site<'_>, instance: &mut Instance, out: &mut Effects) {
    let (is_ok, since) = (instance.state() == State::Ok, instance.machine().since);
    let Some(detail) = instance.detail.as_deref_mut() else { return };
    let keeps_record = site.compiled.rule.missing == Missing::NoData && instance.last_ts != Timestamp::MIN;
    let idle = is_ok && detail.is_idle(site, (&instance.series, since));
    if idle {
        detail.told.iter_mut().for_each(Told::empty);
    }
    let dirty = std::mem::take(&mut detail.dirty);
    for told in detail.told.iter_mut().filter(|told| told.dirty) {
        told.dirty = false;
        out.told.push(told.record(site.key(&instance.series)));
    }
    if idle && !keeps_record {
        forget(site, instance, out);
    } else if dirty {
        remember(site, instance, out);
    }
    if idle {
        instance.detail = None;
    }
}

/// Hands out the record of an instance; if it was given up within the same effects, that is taken back.
pub(crate) fn remember(site: &Site<'_>, instance: &mut Instance, out: &mut Effects) {
    let key = site.key(&instance.series);
    if std::mem::take(&mut instance.forgotten) == site.turn {
        out.forgotten.retain(|forgotten| *forgotten != key);
    }
    out.instances.push(instance.record(key));
}

/// Gives up everything about an instance.
pub(crate) fn dismiss(site: &Site<'_>, instance: &mut Instance, out: &mut Effects) {
    let key = site.key(&instance.series);
    for mut told in instance.detail.take().map(|detail| detail.told).unwrap_or_default() {
        told.empty();
        if told.dirty {
            out.told.push(told.record(key.clone()));
        }
    }
    forget(site, instance, out);
}

/// Gives up the record of an instance.
fn forget(site: &Site<'_>, instance: &mut Instance, out: &mut Effects) {
    if std::mem::replace(&mut instance.forgotten, site.turn) == 0 {
        out.forgotten.push(site.key(&instance.series));
    }
}

/// The book-keeping of one input.
struct Keeper<'a> {
    site: &'a Site<'a>,
    key: InstanceKey,
    input: Input,
    reading: Reading,
    outcome: Outcome,
    since: Timestamp,
}

impl Keeper<'_> {
    fn keep(&self, detail: &mut Detail, (before, after): (State, State), first: bool, out: &mut Effects) {
        detail.dirty |= self.outcome.moved;
        if let Some(value) = self.reading.value {
            detail.value = Some(value);
        }
        if detail.version != self.site.compiled.rule.version && self.judged() {
            detail.version = self.site.compiled.rule.version;
            detail.dirty = true;
        }
        self.count(detail, (before, after), first, out);
        if self.outcome.nodata_ended {
            self.end_episode(detail, out);
        }
        if self.outcome.pending {
            self.log(out, EventKind::Pending, None, String::new());
        }
        if self.outcome.fired {
            self.open(detail, out);
        }
        if let Some(reason) = self.outcome.resolved {
            self.close(detail, reason, out);
        }
        if self.outcome.nodata_started {
            self.begin_episode(detail, out);
        }
        if after == State::Ok {
            (detail.samples, detail.peak) = (0, None);
        }
    }

    /// Whether this input judged the alert by the rule as it is now.
    fn judged(&self) -> bool {
        matches!(self.input, Input::Sample { .. })
    }

    /// Counts breaching samples until it fires, and the worst value to the end.
    fn count(&self, detail: &mut Detail, (before, after): (State, State), first: bool, out: &mut Effects) {
        let Input::Sample { verdict: Verdict::Breach, .. } = self.input else { return };
        let Some(value) = self.reading.value else { return };
        let comparison = self.site.compiled.rule.comparison;
        if let (State::Firing, Some(incident)) = (after, detail.incident.as_mut()) {
            if comparison.is_worse(value, incident.peak) {
                incident.peak = value;
                detail.peak = Some(value);
                out.incidents.push(incident.clone());
            }
            return;
        }
        detail.count(comparison, value, first || before == State::NoData);
        detail.dirty = true;
    }

    fn open(&self, detail: &mut Detail, out: &mut Effects) {
        let value = self.reading.value.unwrap_or(f64::NAN);
        let opening = Opening {
            started_at: self.since,
            fired_at: self.at(),
            threshold: self.reading.threshold.unwrap_or(f64::NAN),
            value,
            peak: detail.peak.unwrap_or(value),
            samples: detail.samples,
        };
        let mut incident = IncidentRecord::open(self.key.clone(), &self.site.compiled.rule, opening);
        incident.why = why_shaped(&self.site.compiled.rule, &incident, self.reading.raw.zip(Some(self.reading.trend)));
        incident.late = self.site.folding;
        self.log(out, EventKind::Fired, Some(&incident), why(&incident));
        out.incidents.push(incident.clone());
        detail.incident = Some(incident);
        detail.fired_late = self.site.folding;
    }

    fn close(&self, detail: &mut Detail, reason: EndReason, out: &mut Effects) {
        let Some(mut incident) = detail.incident.take() else { return };
        let wholly_late = self.site.folding && std::mem::take(&mut detail.fired_late);
        incident.end(self.at(), reason);
        incident.late &= wholly_late;
        self.log(out, EventKind::Resolved, Some(&incident), reason.name().to_owned());
        out.incidents.push(incident.clone());
        if wholly_late { detail.late.push(incident) } else { detail.ended.push(incident) }
    }

    fn begin_episode(&self, detail: &mut Detail, out: &mut Effects) {
        let episode = IncidentRecord::episode(self.key.clone(), &self.site.compiled.rule, self.at());
        self.log(out, EventKind::NoDataStart, detail.incident.as_ref(), String::new());
        detail.episode = Some(episode);
    }

    fn end_episode(&self, detail: &mut Detail, out: &mut Effects) {
        let Some(mut episode) = detail.episode.take() else { return };
        episode.resolved_at = Some(self.at());
        self.log(out, EventKind::NoDataEnd, detail.incident.as_ref(), String::new());
        detail.ended.push(episode);
    }

    fn at(&self) -> Timestamp {
        match self.input {
            Input::Sample { ts: at, .. }
            | Input::Silent { at, .. }
            | Input::Missing { at }
            | Input::RuleChanged { at }
            | Input::Gone { at, .. } => at,
        }
    }

    fn log(&self, out: &mut Effects, kind: EventKind, incident: Option<&IncidentRecord>, reason: String) {
        out.events.push(Event {
            at: self.at(),
            kind,
            agent: self.key.known_agent(),
            rule: self.key.known_rule(),
            incident: incident.map(|incident| incident.id),
            series: Some(self.key.series.clone()),
            value: self.reading.value,
            threshold: self.reading.threshold,
            reason,
        });
    }
}

impl Detail {
    /// Whether an alert that is fine has nothing left to remember.
    fn is_idle(&self, site: &Site<'_>, (series, since): (&SeriesKey, Timestamp)) -> bool {
        let is_forgotten = since.plus_millis(SUPPRESSED_KEPT_MS) <= site.now;
        let idle = |told: &Told| {
            told.incident.is_none()
                && told.episode.is_none()
                && told.cooldown_end(&site.compiled.rule) <= site.now
                && (told.suppressed == 0 || (is_forgotten && site.hold(series, told.channel).is_none()))
        };
        self.late.is_empty() && self.told.iter().all(idle)
    }
}
