//! One instance in memory: a small part for every one, and a detail only for those that have something to remember.

use crate::record::{IncidentRecord, InstanceKey, InstanceRecord, State, ToldRecord};
use crate::rule::{Comparison, Rule};
use crate::step::{Machine, Verdict};
use nightbell_model::{AgentId, ChannelId, IncidentId, RuleId, SeriesKey, Timestamp, Ulid};

/// One rule on one series of the agent that holds it. There are as many of these as there are series under rules, so the
/// machine's fields are laid out to fill one cache line with the rest.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) series: SeriesKey,
    since: Timestamp,
    /// `Timestamp::MAX` is none.
    clear_since: Timestamp,
    /// The time of the last usable sample; `Timestamp::MIN` before the first.
    pub(crate) last_ts: Timestamp,
    /// When that sample was received.
    pub(crate) heard: Timestamp,
    pub(crate) detail: Option<Box<Detail>>,
    /// Which rule, by its position in the book.
    pub(crate) rule: u32,
    state: State,
    was_firing: bool,
    rule_changed: bool,
    /// In which turn its record was given up; 0 if there may be one.
    pub(crate) forgotten: u8,
}

/// What an instance that is not simply fine has to remember.
#[derive(Debug, Clone)]
pub(crate) struct Detail {
    /// Breaching samples since the breach began.
    pub(crate) samples: u32,
    /// The worst value since then.
    pub(crate) peak: Option<f64>,
    /// The newest value.
    pub(crate) value: Option<f64>,
    /// The open incident.
    pub(crate) incident: Option<IncidentRecord>,
    /// The no-data episode while in it.
    pub(crate) episode: Option<IncidentRecord>,
    /// What has ended and some channel has still to hear of.
    pub(crate) ended: Vec<IncidentRecord>,
    /// Incidents that began and ended in the late burst that is going on.
    pub(crate) late: Vec<IncidentRecord>,
    /// The open incident began in the late burst that is going on.
    pub(crate) fired_late: bool,
    /// What each channel was told, in the order of the channels.
    pub(crate) told: Vec<Told>,
    /// The rule's version that the state was judged by.
    pub(crate) version: u64,
    /// When `settle` has to look again; `Timestamp::MAX` is never.
    pub(crate) wake: Timestamp,
    /// The record differs from what was last handed out.
    pub(crate) dirty: bool,
}

/// What one channel has been told of the instance.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) channel: ChannelId,
    pub(crate) incident: Option<IncidentId>,
    pub(crate) episode: Option<IncidentId>,
    pub(crate) last_fired_at: Option<Timestamp>,
    pub(crate) last_said_at: Option<Timestamp>,
    pub(crate) suppressed: u32,
    pub(crate) repeats: u32,
    pub(crate) dirty: bool,
}

impl Instance {
    pub(crate) fn new(series: SeriesKey, rule: u32, now: Timestamp) -> Self {
        Self {
            series,
            since: now,
            clear_since: Timestamp::MAX,
            state: State::Ok,
            was_firing: false,
            rule_changed: false,
            last_ts: Timestamp::MIN,
            heard: Timestamp::MIN,
            detail: None,
            rule,
            forgotten: 0,
        }
    }

    /// The detail, made if there is none.
    pub(crate) fn detail_mut(&mut self, version: u64) -> &mut Detail {
        self.detail.get_or_insert_with(|| Box::new(Detail::new(version)))
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn machine(&self) -> Machine {
        Machine {
            state: self.state,
            since: self.since,
            clear_since: (self.clear_since != Timestamp::MAX).then_some(self.clear_since),
            was_firing: self.was_firing,
            rule_changed: self.rule_changed,
        }
    }

    pub(crate) fn set_machine(&mut self, machine: Machine) {
        (self.state, self.since) = (machine.state, machine.since);
        self.clear_since = machine.clear_since.unwrap_or(Timestamp::MAX);
        (self.was_firing, self.rule_changed) = (machine.was_firing, machine.rule_changed);
    }

    /// Takes a sample that cannot change anything: of an alert that is fine and stays so, or fires and does not get worse.
    /// False if it has to be looked at properly.
    #[inline]
    pub(crate) fn takes_steadily(&mut self, verdict: Verdict, (value, comparison): (f64, Comparison), version: u64) -> bool {
        match (self.state, verdict) {
            (State::Ok, Verdict::Between | Verdict::Clear) => {
                if let Some(detail) = self.detail.as_deref_mut() {
                    detail.value = Some(value);
                }
                self.last_ts != Timestamp::MIN
            }
            (State::Firing, Verdict::Breach) if self.clear_since == Timestamp::MAX && !self.rule_changed => {
                let Some(detail) = self.detail.as_deref_mut() else { return false };
                let worse = detail.incident.as_ref().is_none_or(|incident| comparison.is_worse(value, incident.peak));
                if worse || detail.version != version {
                    return false;
                }
                detail.value = Some(value);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn incident(&self) -> Option<&IncidentRecord> {
        self.detail.as_ref()?.incident.as_ref()
    }

    /// The record as it is to be stored.
    pub(crate) fn record(&self, key: InstanceKey) -> InstanceRecord {
        let detail = self.detail.as_deref();
        let incident = self.incident();
        InstanceRecord {
            key,
            state: self.state,
            since: self.since,
            fired_at: incident.map(|incident| incident.fired_at),
            clear_since: self.machine().clear_since,
            was_firing: self.was_firing,
            incident: incident.map(|incident| incident.id),
            rule_version: detail.map_or(0, |detail| detail.version),
            samples: detail.map_or(0, |detail| detail.samples),
            peak: detail.and_then(|detail| detail.peak),
            last_ts: (self.last_ts != Timestamp::MIN).then_some(self.last_ts),
        }
    }
}

impl Detail {
    pub(crate) fn new(version: u64) -> Self {
        Self {
            samples: 0,
            peak: None,
            value: None,
            incident: None,
            episode: None,
            ended: Vec::new(),
            late: Vec::new(),
            fired_late: false,
            told: Vec::new(),
            version,
            wake: Timestamp::MAX,
            dirty: false,
        }
    }

    /// The entry of a channel, made if there is none.
    pub(crate) fn told_mut(&mut self, channel: ChannelId) -> &mut Told {
        Told::of(&mut self.told, channel)
    }

    /// Counts a breaching sample; whether the peak rose.
    pub(crate) fn count(&mut self, comparison: Comparison, value: f64, first: bool) -> bool {
        if first {
            (self.samples, self.peak) = (0, None);
        }
        self.samples = self.samples.saturating_add(1);
        let worse = self.peak.is_none_or(|peak| comparison.is_worse(value, peak));
        if worse {
            self.peak = Some(value);
        }
        worse
    }
}

impl Told {
    pub(crate) const fn new(channel: ChannelId) -> Self {
        Self {
            channel,
            incident: None,
            episode: None,
            last_fired_at: None,
            last_said_at: None,
            suppressed: 0,
            repeats: 0,
            dirty: false,
        }
    }

    /// The entry of a channel, made if there is none; they stand in the order of their channels, before and after a restart.
    pub(crate) fn of(all: &mut Vec<Self>, channel: ChannelId) -> &mut Self {
        let at = all.binary_search_by_key(&channel, |told| told.channel).unwrap_or_else(|at| {
            all.insert(at, Self::new(channel));
            at
        });
        &mut all[at]
    }

    /// Forgets what does not matter any more.
    pub(crate) fn empty(&mut self) {
        let blank = Self { dirty: true, ..Self::new(self.channel) };
        if self.last_said_at.is_some() || self.last_fired_at.is_some() || self.suppressed > 0 || self.repeats > 0 {
            *self = blank;
        }
    }

    /// The entry as it was stored. Nothing was said later than `now`, unless the clock was set back while the hub was down.
    pub(crate) fn from_record(record: &ToldRecord, now: Timestamp) -> Self {
        Self {
            channel: record.channel,
            incident: record.told,
            episode: record.told_nodata,
            last_fired_at: record.last_fired_at.map(|at| at.min(now)),
            last_said_at: record.last_said_at.map(|at| at.min(now)),
            suppressed: record.suppressed,
            repeats: record.repeats,
            dirty: false,
        }
    }

    pub(crate) fn record(&self, key: InstanceKey) -> ToldRecord {
        ToldRecord {
            key,
            channel: self.channel,
            told: self.incident,
            told_nodata: self.episode,
            last_fired_at: self.last_fired_at,
            last_said_at: self.last_said_at,
            suppressed: self.suppressed,
            repeats: self.repeats,
        }
    }

    /// Until when the cooldown holds the next "fired".
    pub(crate) fn cooldown_end(&self, rule: &Rule) -> Timestamp {
        self.last_fired_at.map_or(Timestamp::MIN, |at| at.plus_millis(rule.cooldown_ms))
    }
}

/// The id of the incident of an instance that fired at `at`: the same input gives the same id, however often it is evaluated.
pub(crate) fn incident_id(rule: RuleId, agent: AgentId, series: &SeriesKey, at: Timestamp) -> IncidentId {
    derive(b"incident", (rule, agent), series, at)
}

/// The id of the no-data episode of an instance that began at `at`.
pub(crate) fn episode_id(rule: RuleId, agent: AgentId, series: &SeriesKey, at: Timestamp) -> IncidentId {
    derive(b"nodata", (rule, agent), series, at)
}

fn derive(what: &[u8], (rule, agent): (RuleId, AgentId), series: &SeriesKey, at: Timestamp) -> IncidentId {
    let parts: [&[u8]; 5] = [
        what,
        &rule.bits().to_be_bytes(),
        &agent.bits().to_be_bytes(),
        series.as_str().as_bytes(),
        &at.as_millis().to_be_bytes(),
    ];
    IncidentId(Ulid::derived(at, &parts))
}
