//! `settle` brings what each channel has been told up to date with the truth, as far as mutes and cooldown allow.
//!
//! It runs after every transition, at every mute's end and at the end of a cooldown, and is safe to run at any other time:
//! it looks at what is true and what was told, never at how it came about (only the count of suppressed changes and their log
//! lines follow the transition it is called with). The states themselves are `step`'s.

use crate::apply::SUPPRESSED_KEPT_MS;
use crate::hush::{COOLDOWN, Hold};
use crate::instance::{Detail, Instance, Told};
use crate::record::{Effects, Event, EventKind, IncidentRecord, InstanceKey, Notice, NoticeKind, State};
use crate::rule::{DOUBT_RULE, Rule};
use crate::site::Site;
use crate::step::Outcome;
use nightbell_model::{IncidentId, Timestamp};
use std::sync::Arc;

mod remind;

/// Says what is due about an instance and notes when to look again.
pub(crate) fn settle(site: &Site<'_>, instance: &mut Instance, cause: Outcome, out: &mut Effects) {
    let key = site.key(&instance.series);
    let (state, since) = (instance.state(), instance.machine().since);
    let Some(detail) = instance.detail.as_deref_mut() else { return };
    if matches!(state, State::Firing | State::NoData) || !detail.late.is_empty() {
        for channel in &site.compiled.rule.channels {
            detail.told_mut(*channel);
        }
    }
    let mut told = std::mem::take(&mut detail.told);
    let mut turn =
        Turn { site, key, state, since, cause, detail, out, wake: Timestamp::MAX, logged: Vec::new(), reminded: false };
    for entry in &mut told {
        turn.channel(entry);
    }
    turn.escalate(&mut told);
    let wake = turn.wake;
    detail.wake = wake;
    let named = |id: IncidentId| told.iter().any(|told| told.incident == Some(id) || told.episode == Some(id));
    detail.ended.retain(|incident| named(incident.id));
    detail.told = told;
    close_burst(detail, out);
}

/// What began in a late burst is settled now, and need not be remembered as such.
fn close_burst(detail: &mut Detail, out: &mut Effects) {
    detail.fired_late = false;
    for mut incident in detail.late.drain(..) {
        incident.late = false;
        out.incidents.push(incident);
    }
    if let Some(open) = detail.incident.as_mut().filter(|open| open.late) {
        open.late = false;
        out.incidents.push(open.clone());
    }
}

/// What is said of the hub's doubt in itself has kinds of its own.
const fn of_doubt(kind: NoticeKind) -> NoticeKind {
    match kind {
        NoticeKind::Fired => NoticeKind::HubDoubt,
        NoticeKind::Resolved => NoticeKind::HubDoubtEnd,
        other => other,
    }
}

/// One run of `settle` over the channels of one instance.
struct Turn<'a, 'o> {
    site: &'a Site<'a>,
    key: InstanceKey,
    state: State,
    since: Timestamp,
    cause: Outcome,
    detail: &'a Detail,
    out: &'o mut Effects,
    wake: Timestamp,
    logged: Vec<&'static str>,
    reminded: bool,
}

impl Turn<'_, '_> {
    fn rule(&self) -> &Rule {
        &self.site.compiled.rule
    }

    /// The open incident.
    fn open(&self) -> Option<&IncidentRecord> {
        self.detail.incident.as_ref()
    }

    fn channel(&mut self, told: &mut Told) {
        let hold = self.site.hold(&self.key.series, told.channel);
        let ended = self.end(told);
        if self.rule().channels.contains(&told.channel) {
            self.late(told, hold);
            self.fired(told, hold);
            self.nodata_start(told, hold);
            self.nodata_end(told, ended);
            self.repeat(told, hold);
        } else {
            self.nodata_end(told, ended);
        }
        if matches!(self.state, State::Ok | State::Pending) {
            self.remember(told, hold);
        }
    }

    /// Step 1: a channel that was told of an incident is told of its end, whatever the cooldown; whether it was now.
    fn end(&mut self, told: &mut Told) -> bool {
        let Some(id) = told.incident.filter(|id| Some(*id) != self.open().map(|open| open.id)) else { return false };
        if let Some(hold) = self.site.defer(&self.key.series, told.channel) {
            if self.cause.resolved.is_some() {
                self.log_suppressed(hold.reason, Some(id));
            }
            self.look_again(hold.until);
            return false;
        }
        let incident = self.recall(id);
        if self.is_unsent(told, &incident) {
            told.last_fired_at = None;
        }
        self.say(told, NoticeKind::Resolved, incident, 0);
        (told.incident, told.repeats) = (None, 0);
        true
    }

    /// Whether the beginning of an incident still waits for company: its end cancels it, so nobody hears of either, and no
    /// cooldown follows from what nobody heard.
    fn is_unsent(&self, told: &Told, incident: &IncidentRecord) -> bool {
        let wait = self.site.not_before(incident).millis_since(self.site.now);
        let said = told.last_fired_at.filter(|at| told.repeats == 0 && told.last_said_at == Some(*at));
        said.is_some_and(|at| self.site.now.millis_since(at) < wait)
    }

    /// Incidents that lay wholly inside a late burst: one message, for the last of them, that counts the others. While
    /// another incident is to be announced and a cooldown is set, that one goes first and counts them all.
    fn late(&mut self, told: &mut Told, hold: Option<Hold>) {
        let Some(last) = self.detail.late.last() else { return };
        let others = u32::try_from(self.detail.late.len() - 1).unwrap_or(u32::MAX);
        let hold = hold.or_else(|| self.cooldown(told));
        let gives_way = self.state == State::Firing && self.rule().cooldown_ms > 0;
        told.dirty = true;
        told.suppressed = told.suppressed.saturating_add(others);
        if told.incident.is_some() || gives_way || hold.is_some() {
            told.suppressed = told.suppressed.saturating_add(1);
            if let Some(hold) = hold {
                self.log_suppressed(hold.reason, Some(last.id));
            }
            return;
        }
        let incident = Arc::new(last.clone());
        self.say(told, NoticeKind::Resolved, incident, 0);
        told.suppressed = 0;
        told.last_fired_at = Some(self.site.now);
        told.last_said_at = Some(self.site.now);
    }

    /// Steps 2 and 3: an open incident is announced, or withheld and counted.
    fn fired(&mut self, told: &mut Told, hold: Option<Hold>) {
        if self.state != State::Firing {
            return;
        }
        let Some(open) = self.open() else { return };
        let id = open.id;
        if told.incident == Some(id) {
            return;
        }
        // An end that is withheld comes before the next beginning.
        let before = told.incident.and_then(|_| self.site.defer(&self.key.series, told.channel));
        match before.or(hold).or_else(|| self.cooldown(told)) {
            Some(hold) => self.withhold(told, hold, self.cause.fired, id),
            None => {
                let incident = Arc::new(open.clone());
                self.say(told, NoticeKind::Fired, incident, 0);
                told.incident = Some(id);
                (told.suppressed, told.repeats) = (0, 0);
                told.last_fired_at = Some(self.site.now);
                told.last_said_at = Some(self.site.now);
            }
        }
    }

    fn cooldown(&self, told: &Told) -> Option<Hold> {
        let until = told.cooldown_end(self.rule());
        (self.site.now < until).then_some(Hold { reason: COOLDOWN, until, mute: None })
    }

    /// N: samples stopped. No cooldown, for it is no repetition of what was said.
    fn nodata_start(&mut self, told: &mut Told, hold: Option<Hold>) {
        let Some(episode) = self.detail.episode.as_ref().filter(|_| self.state == State::NoData) else { return };
        let id = episode.id;
        if told.episode == Some(id) {
            return;
        }
        let before = told.episode.and_then(|_| self.site.defer(&self.key.series, told.channel));
        match before.or(hold) {
            Some(hold) => self.withhold(told, hold, self.cause.nodata_started, id),
            None => {
                self.end_episode(told, false);
                let episode = Arc::new(episode.clone());
                self.say(told, NoticeKind::NoDataStart, episode, 0);
                told.episode = Some(id);
            }
        }
    }

    /// E: samples are back; where the end of the incident is said in the same breath, that says it too.
    fn nodata_end(&mut self, told: &mut Told, ended: bool) {
        let current = self.detail.episode.as_ref().map(|episode| episode.id);
        if told.episode.is_some() && told.episode != current {
            self.end_episode(told, ended);
        }
    }

    fn end_episode(&mut self, told: &mut Told, said: bool) {
        let Some(id) = told.episode else { return };
        if !said {
            if let Some(hold) = self.site.defer(&self.key.series, told.channel) {
                self.look_again(hold.until);
                return;
            }
            let episode = self.recall(id);
            self.say(told, NoticeKind::NoDataEnd, episode, 0);
        }
        told.episode = None;
        told.dirty = true;
    }

    /// Looks again when the entry of an alert that does not fire has nothing left to remember.
    fn remember(&mut self, told: &Told, hold: Option<Hold>) {
        if let Some(hold) = self.cooldown(told) {
            self.look_again(hold.until);
        }
        if told.suppressed > 0 {
            let forgotten_at = self.since.plus_millis(SUPPRESSED_KEPT_MS);
            let at = hold.map_or(forgotten_at, |hold| hold.until.max(forgotten_at));
            if at > self.site.now {
                self.look_again(at);
            }
        }
    }

    fn withhold(&mut self, told: &mut Told, hold: Hold, is_new: bool, id: IncidentId) {
        if is_new {
            told.suppressed = told.suppressed.saturating_add(1);
            told.dirty = true;
            self.log_suppressed(hold.reason, Some(id));
        }
        self.look_again(hold.until);
    }

    fn look_again(&mut self, at: Timestamp) {
        self.wake = self.wake.min(at);
    }

    fn say(&mut self, told: &mut Told, kind: NoticeKind, incident: Arc<IncidentRecord>, n: u32) {
        told.dirty = true;
        let kind = if self.rule().id == DOUBT_RULE { of_doubt(kind) } else { kind };
        let late = kind == NoticeKind::Resolved && self.detail.late.iter().any(|late| late.id == incident.id);
        self.out.notices.push(Notice {
            kind,
            n,
            channel: told.channel,
            value: match kind {
                NoticeKind::NoDataStart => None,
                _ => self.detail.value,
            },
            at: self.site.now,
            not_before: self.site.not_before(&incident),
            suppressed: if matches!(kind, NoticeKind::Fired | NoticeKind::HubDoubt) || late { told.suppressed } else { 0 },
            late,
            incident,
        });
    }

    /// The record of an incident or episode that a channel was told of.
    fn recall(&self, id: IncidentId) -> Arc<IncidentRecord> {
        let known = self.open().into_iter().chain(&self.detail.episode).chain(&self.detail.ended).find(|record| record.id == id);
        Arc::new(known.cloned().unwrap_or_else(|| IncidentRecord::lost(id, self.key.clone(), self.rule(), self.site.now)))
    }

    fn log_suppressed(&mut self, reason: &'static str, incident: Option<IncidentId>) {
        if !self.logged.contains(&reason) {
            self.logged.push(reason);
            self.log(EventKind::Suppressed, incident, reason.to_owned());
        }
    }

    fn log(&mut self, kind: EventKind, incident: Option<IncidentId>, reason: String) {
        self.out.events.push(Event {
            at: self.site.now,
            kind,
            agent: self.key.known_agent(),
            rule: self.key.known_rule(),
            incident,
            series: Some(self.key.series.clone()),
            value: self.detail.value,
            threshold: self.open().map(|open| open.threshold),
            reason,
        });
    }
}
