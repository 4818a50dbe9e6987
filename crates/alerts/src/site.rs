//! Where a step takes place: the rule, the agent and the moment, gathered so that functions take one argument for them.

use crate::book::Compiled;
use crate::context::{AgentView, Mute};
use crate::hush::{HOST_OFFLINE, Hold, Target, muted};
use crate::instance::Instance;
use crate::record::{IncidentRecord, InstanceKey, State};
use crate::rule::{Missing, Severity};
use nightbell_model::{ChannelId, SeriesKey, Timestamp};

/// How long notices wait for others to be folded with, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    pub(crate) group_ms: i64,
    pub(crate) offline_group_ms: i64,
}

/// One rule on one agent at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) compiled: &'a Compiled,
    pub(crate) agent: &'a AgentView,
    pub(crate) mutes: &'a [Mute],
    pub(crate) waits: Waits,
    pub(crate) now: Timestamp,
    /// Names the effects that are being filled, never 0: two turns are told apart well enough to save a search.
    pub(crate) turn: u8,
    /// One of the agent's offline rules is pending or firing: its other alerts are muted.
    pub(crate) host_offline: bool,
    /// A late burst is going on and the rule folds it: nothing is settled before its end.
    pub(crate) folding: bool,
    pub(crate) online: bool,
    /// From when the absence of single series counts at the earliest.
    pub(crate) counted_from: Timestamp,
}

impl Site<'_> {
    pub(crate) fn key(&self, series: &SeriesKey) -> InstanceKey {
        InstanceKey { rule: self.compiled.rule.id, agent: self.agent.id, series: series.clone() }
    }

    /// What withholds a notice about `series` from `channel` now.
    pub(crate) fn hold(&self, series: &SeriesKey, channel: ChannelId) -> Option<Hold> {
        let by_host = self.host_offline && !self.compiled.rule.is_offline();
        muted(self.mutes, &self.target(series), channel, (self.now, false))
            .or_else(|| by_host.then_some(Hold { reason: HOST_OFFLINE, until: Timestamp::MAX, mute: None }))
    }

    /// What withholds even the end of an incident from `channel` now.
    pub(crate) fn defer(&self, series: &SeriesKey, channel: ChannelId) -> Option<Hold> {
        muted(self.mutes, &self.target(series), channel, (self.now, true))
    }

    fn target<'s>(&'s self, series: &'s SeriesKey) -> Target<'s> {
        let rule = &self.compiled.rule;
        Target { rule, severity: rule.severity, agent: self.agent, series }
    }

    /// When a notice decided now may be sent: critical ones at once, others after the time in which they may be folded.
    /// Hosts fall silent in crowds, so notices of that rule wait for each other whatever their severity.
    pub(crate) fn not_before(&self, incident: &IncidentRecord) -> Timestamp {
        let wait = match incident.severity {
            _ if self.compiled.rule.is_offline() => self.waits.offline_group_ms,
            Severity::Critical => 0,
            Severity::Info | Severity::Warning => self.waits.group_ms,
        };
        self.now.plus_millis(wait)
    }

    /// When the absence of samples of an instance becomes an input; `None` if it never had one, or while the agent is offline.
    pub(crate) fn missing_at(&self, instance: &Instance) -> Option<Timestamp> {
        let watched = self.online && instance.last_ts != Timestamp::MIN && !self.compiled.rule.is_offline();
        let after = self.compiled.missing_after_ms(self.agent.interval_ms);
        watched.then(|| instance.heard.max(self.counted_from).plus_millis(after))
    }

    /// When an instance is given up because its series has not been seen for a day, while the agent is online.
    pub(crate) fn gone_at(&self, instance: &Instance) -> Option<Timestamp> {
        self.missing_at(instance).map(|missing| missing.max(instance.heard.plus_millis(SERIES_GONE_MS)))
    }

    /// Whether the absence of samples would change an instance.
    pub(crate) fn heeds_missing(&self, instance: &Instance) -> bool {
        match (instance.state(), self.compiled.rule.missing) {
            (State::NoData, _) | (State::Ok | State::Firing, Missing::Keep) | (State::Ok, Missing::Resolve) => false,
            (State::Ok | State::Firing, Missing::NoData) | (State::Pending, _) | (State::Firing, Missing::Resolve) => true,
        }
    }

    /// When an instance has to be looked at next, if no sample comes; `Timestamp::MAX` is never.
    pub(crate) fn wake_of(&self, instance: &Instance) -> Timestamp {
        let settle = instance.detail.as_ref().filter(|_| !self.folding).map_or(Timestamp::MAX, |detail| detail.wake);
        let missing = self.missing_at(instance).filter(|_| self.heeds_missing(instance)).unwrap_or(Timestamp::MAX);
        settle.min(missing).min(self.gone_at(instance).unwrap_or(Timestamp::MAX))
    }
}

/// An instance whose series has not been seen for this long is given up, in milliseconds.
pub(crate) const SERIES_GONE_MS: i64 = 24 * 3_600_000;
