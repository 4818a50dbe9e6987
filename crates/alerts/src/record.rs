//! The facts the machine keeps and emits, as plain data: what is stored, logged and told. Writing them down and sending them
//! is left to the store and the hub; nothing here decides anything.

use crate::rule::{Comparison, DOUBT_RULE, Severity, named};
use nightbell_model::{AgentId, ChannelId, IncidentId, RuleId, SeriesKey, Timestamp};
use std::sync::Arc;

/// One rule on one series of one agent: the unit that has a state. For an aggregate the series is the bare metric.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceKey {
    /// Which rule.
    pub rule: RuleId,
    /// Which agent.
    pub agent: AgentId,
    /// Which series of it.
    pub series: SeriesKey,
}

impl InstanceKey {
    /// The rule, unless it is the hub's own, which nobody made.
    pub(crate) fn known_rule(&self) -> Option<RuleId> {
        Some(self.rule).filter(|rule| *rule != DOUBT_RULE)
    }

    /// The agent, unless it is the hub that is spoken of.
    pub(crate) fn known_agent(&self) -> Option<AgentId> {
        Some(self.agent).filter(|_| self.rule != DOUBT_RULE)
    }
}

/// The resident states of an instance. "Resolved" is an event, not a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Not breaching.
    Ok,
    /// Breaching, not yet for long enough.
    Pending,
    /// An incident is open.
    Firing,
    /// Samples stopped, and the rule wants that said.
    NoData,
}

named!(State { Ok => "ok", Pending => "pending", Firing => "firing", NoData => "nodata" });

/// What is stored of an instance: enough to go on after a restart as if there had been none. An instance that is `Ok` and has
/// nothing to remember is not stored.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceRecord {
    /// Which instance.
    pub key: InstanceKey,
    /// Its state.
    pub state: State,
    /// Since when it is in that state (in event time); for `Pending` and `Firing` since when it has been breaching.
    pub since: Timestamp,
    /// When the open incident fired.
    pub fired_at: Option<Timestamp>,
    /// Since when it has been clear while still firing.
    pub clear_since: Option<Timestamp>,
    /// Whether `NoData` was entered from `Firing`.
    pub was_firing: bool,
    /// The open incident.
    pub incident: Option<IncidentId>,
    /// The rule's version that this state was judged by.
    pub rule_version: u64,
    /// How many breaching samples were seen since `since`.
    pub samples: u32,
    /// The worst value since `since`, in the direction of the comparison.
    pub peak: Option<f64>,
    /// When the last usable sample was evaluated; not stored, but filled in from the newest stored sample when loaded.
    pub last_ts: Option<Timestamp>,
}

/// What one channel has been told of one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct ToldRecord {
    /// Of which instance.
    pub key: InstanceKey,
    /// Which channel.
    pub channel: ChannelId,
    /// The incident it was told of and not yet told the end of.
    pub told: Option<IncidentId>,
    /// The no-data episode it was told of and not yet told the end of.
    pub told_nodata: Option<IncidentId>,
    /// When it was last told that something fired.
    pub last_fired_at: Option<Timestamp>,
    /// When it was last told or reminded (repeats run from here).
    pub last_said_at: Option<Timestamp>,
    /// How many changes it was not told of since then.
    pub suppressed: u32,
    /// How many repeats and escalation steps of the open incident it was sent: they number its notices.
    pub repeats: u32,
}

impl ToldRecord {
    /// Whether there is nothing in it that later notices depend on.
    #[must_use]
    pub const fn is_blank(&self) -> bool {
        self.told.is_none()
            && self.told_nodata.is_none()
            && self.last_fired_at.is_none()
            && self.last_said_at.is_none()
            && self.suppressed == 0
            && self.repeats == 0
    }
}

/// A user's word that somebody is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What they said.
    pub note: String,
    /// Until when it holds; `None` is until the end of the incident.
    pub until: Option<Timestamp>,
}

/// Why an incident ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The value went back over the threshold (and `clear`, and `keep_firing`).
    Cleared,
    /// Samples stopped and the rule resolves on that.
    NoData,
    /// The rule was edited and the next sample did not breach it any more.
    RuleChanged,
    /// The rule was deleted or disabled, or a narrower one took its place.
    RuleRemoved,
    /// The agent was deleted or paused, or lost the rule's tag.
    AgentRemoved,
    /// The series has not been seen for a day.
    SeriesGone,
    /// A heartbeat came: the end of an offline incident.
    AgentBack,
}

named!(EndReason {
    Cleared => "cleared",
    NoData => "no data",
    RuleChanged => "rule changed",
    RuleRemoved => "rule removed",
    AgentRemoved => "agent removed",
    SeriesGone => "series gone",
    AgentBack => "agent back",
});

/// One firing period, as history keeps it. The rule's fields are those of the moment it fired.
#[derive(Debug, Clone, PartialEq)]
pub struct IncidentRecord {
    /// Names it.
    pub id: IncidentId,
    /// Which rule on which series of which agent.
    pub key: InstanceKey,
    /// What the rule was called.
    pub rule_name: String,
    /// How bad.
    pub severity: Severity,
    /// The comparison that broke.
    pub comparison: Comparison,
    /// The number compared with (a level already looked up).
    pub threshold: f64,
    /// How long it had to breach, in milliseconds.
    pub hold_ms: i64,
    /// When it began to breach.
    pub started_at: Timestamp,
    /// When it fired.
    pub fired_at: Timestamp,
    /// When it ended.
    pub resolved_at: Option<Timestamp>,
    /// Why it ended.
    pub end_reason: Option<EndReason>,
    /// The value that made it fire.
    pub value: f64,
    /// The worst value so far.
    pub peak: f64,
    /// How many breaching samples made it fire.
    pub samples: u32,
    /// Who is on it.
    pub ack: Option<Ack>,
    /// Why it fired, in words, where its numbers alone do not tell: of a forecast, a rate, the hub's doubt. Else empty.
    pub why: String,
    /// It began in a late burst that is not over: nobody was told, and what is to be told is settled at the burst's end.
    pub late: bool,
}

/// What a notice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoticeKind {
    /// F: it fired.
    Fired,
    /// R: it ended.
    Resolved,
    /// N: samples stopped.
    NoDataStart,
    /// E: samples are back.
    NoDataEnd,
    /// P: it still fires.
    Repeat,
    /// S: it still fires and nobody is on it.
    Escalated,
    /// A test that a user asked for.
    Test,
    /// Somebody is on it.
    Acked,
    /// What happened while a channel was quiet, and what still fires.
    Digest,
    /// Most of the fleet fell silent at once: the hub doubts itself.
    HubDoubt,
    /// The hub trusts itself again.
    HubDoubtEnd,
    /// Another channel refuses its pages.
    ChannelBroken,
}

named!(NoticeKind {
    Fired => "fired",
    Resolved => "resolved",
    NoDataStart => "nodata_start",
    NoDataEnd => "nodata_end",
    Repeat => "repeat",
    Escalated => "escalated",
    Test => "test",
    Acked => "acked",
    Digest => "digest",
    HubDoubt => "hub_doubt",
    HubDoubtEnd => "hub_doubt_end",
    ChannelBroken => "channel_broken",
});

/// Something one channel is to be told: becomes one row of the outbox, unique by (incident, kind, n, channel).
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What it says.
    pub kind: NoticeKind,
    /// The number of this notice among those of its kind for this incident and channel, from 0.
    pub n: u32,
    /// Whom it is for.
    pub channel: ChannelId,
    /// The incident, as it stands at this notice; for N and E a record of the no-data episode (its `fired_at` is the start).
    pub incident: Arc<IncidentRecord>,
    /// The value at this notice, if it has one.
    pub value: Option<f64>,
    /// When it was decided, in the hub's time.
    pub at: Timestamp,
    /// Not to be sent before this moment (`group_wait`).
    pub not_before: Timestamp,
    /// How many changes the channel was not told of before this one.
    pub suppressed: u32,
    /// Whether the whole incident lay inside a late burst: "was firing A..B, reported late".
    pub late: bool,
}

/// What kind of thing the event log recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// An instance began to breach.
    Pending,
    /// An incident began.
    Fired,
    /// An incident ended.
    Resolved,
    /// Samples stopped.
    NoDataStart,
    /// Samples are back.
    NoDataEnd,
    /// A notice was withheld; the reason says why.
    Suppressed,
    /// A reminder was sent.
    Repeat,
    /// An escalation step was sent.
    Escalated,
    /// A user is on it.
    Ack,
    /// A user took that back.
    Unack,
    /// A user wrote a note.
    Note,
    /// Heartbeats are back.
    AgentOnline,
    /// Heartbeats stopped.
    AgentOffline,
    /// An agent enrolled.
    AgentRegistered,
    /// A host restarted.
    Reboot,
    /// The kernel killed a process for want of memory.
    OomKill,
    /// A clock was set.
    ClockStep,
    /// Samples came too late to be evaluated.
    LateIgnored,
    /// Somebody changed the configuration.
    Config,
    /// A channel refuses what it is sent.
    ChannelBroken,
}

named!(EventKind {
    Pending => "pending",
    Fired => "fired",
    Resolved => "resolved",
    NoDataStart => "nodata_start",
    NoDataEnd => "nodata_end",
    Suppressed => "suppressed",
    Repeat => "repeat",
    Escalated => "escalated",
    Ack => "ack",
    Unack => "unack",
    Note => "note",
    AgentOnline => "agent_online",
    AgentOffline => "agent_offline",
    AgentRegistered => "agent_registered",
    Reboot => "reboot",
    OomKill => "oom_kill",
    ClockStep => "clock_step",
    LateIgnored => "late_ignored",
    Config => "config",
    ChannelBroken => "channel_broken",
});

/// One line of the append-only log.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When, in event time.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// On which agent.
    pub agent: Option<AgentId>,
    /// By which rule.
    pub rule: Option<RuleId>,
    /// Of which incident.
    pub incident: Option<IncidentId>,
    /// On which series.
    pub series: Option<SeriesKey>,
    /// The value, if there was one.
    pub value: Option<f64>,
    /// The number it was compared with.
    pub threshold: Option<f64>,
    /// Why, in a few words; empty where the kind says it all.
    pub reason: String,
}

impl Event {
    /// A line about nothing in particular.
    #[must_use]
    pub const fn line(at: Timestamp, kind: EventKind, reason: String) -> Self {
        Self { at, kind, agent: None, rule: None, incident: None, series: None, value: None, threshold: None, reason }
    }

    /// A line about an agent.
    #[must_use]
    pub fn of_agent(agent: AgentId, at: Timestamp, kind: EventKind, reason: String) -> Self {
        Self { agent: Some(agent), ..Self::line(at, kind, reason) }
    }
}

/// Everything one step of the machine wants done, to be written in the transaction that stores the sample.
///
/// To be applied list by list, `instances` before `forgotten`; within a list a later entry of the same key wins. What channels
/// were told of a forgotten instance is emptied in `told`, so those rows may be removed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Effects {
    /// Instances whose stored fields changed.
    pub instances: Vec<InstanceRecord>,
    /// Instances that have nothing left to remember: their record is removed.
    pub forgotten: Vec<InstanceKey>,
    /// Incidents that began, ended or got a new peak or acknowledgement.
    pub incidents: Vec<IncidentRecord>,
    /// What channels have been told, where that changed.
    pub told: Vec<ToldRecord>,
    /// What channels are to be told.
    pub notices: Vec<Notice>,
    /// Lines for the log.
    pub events: Vec<Event>,
}

impl Effects {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
            && self.forgotten.is_empty()
            && self.incidents.is_empty()
            && self.told.is_empty()
            && self.notices.is_empty()
            && self.events.is_empty()
    }

    /// Takes over everything from `other`, which is left empty.
    pub fn append(&mut self, other: &mut Self) {
        self.instances.append(&mut other.instances);
        self.forgotten.append(&mut other.forgotten);
        self.incidents.append(&mut other.incidents);
        self.told.append(&mut other.told);
        self.notices.append(&mut other.notices);
        self.events.append(&mut other.events);
    }

    /// Empties every list and keeps their memory for the next step.
    pub fn clear(&mut self) {
        self.instances.clear();
        self.forgotten.clear();
        self.incidents.clear();
        self.told.clear();
        self.notices.clear();
        self.events.clear();
    }
}
