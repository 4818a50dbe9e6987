//! What a page is about, as one row of the outbox holds it: plain facts in JSON, whatever channel they will travel on.
//!
//! Choosing the facts is the hub's job; turning them into words is left to `page`, and into a channel's own form to the channels.

mod facts;
#[cfg(test)]
mod tests;

pub use facts::{AckFacts, AgentFacts, BrokenFacts, DoubtFacts, QuietFacts, RuleFacts, TopProcess};

use nightbell_alerts::{NoticeKind, Severity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a notification says, in the words of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NoticeWord {
    /// It fired.
    #[default]
    #[serde(rename = "fired")]
    Fired,
    /// It ended.
    #[serde(rename = "resolved")]
    Resolved,
    /// Samples stopped.
    #[serde(rename = "nodata_start")]
    NodataStart,
    /// Samples are back.
    #[serde(rename = "nodata_end")]
    NodataEnd,
    /// It still fires.
    #[serde(rename = "repeat")]
    Repeat,
    /// It still fires and nobody is on it.
    #[serde(rename = "escalated")]
    Escalated,
    /// A test that a user asked for.
    #[serde(rename = "test")]
    Test,
    /// Somebody is on it.
    #[serde(rename = "acked")]
    Acked,
    /// What happened while the channel was quiet, and what still fires.
    #[serde(rename = "digest")]
    Digest,
    /// Most of the fleet fell silent at once: the hub doubts itself.
    #[serde(rename = "hub_doubt")]
    HubDoubt,
    /// The hub trusts itself again.
    #[serde(rename = "hub_doubt_end")]
    HubDoubtEnd,
    /// Another channel refuses its pages.
    #[serde(rename = "channel_broken")]
    ChannelBroken,
}

impl From<NoticeKind> for NoticeWord {
    fn from(kind: NoticeKind) -> Self {
        match kind {
            NoticeKind::Fired => Self::Fired,
            NoticeKind::Resolved => Self::Resolved,
            NoticeKind::NoDataStart => Self::NodataStart,
            NoticeKind::NoDataEnd => Self::NodataEnd,
            NoticeKind::Repeat => Self::Repeat,
            NoticeKind::Escalated => Self::Escalated,
            NoticeKind::Test => Self::Test,
            NoticeKind::Acked => Self::Acked,
            NoticeKind::Digest => Self::Digest,
            NoticeKind::HubDoubt => Self::HubDoubt,
            NoticeKind::HubDoubtEnd => Self::HubDoubtEnd,
            NoticeKind::ChannelBroken => Self::ChannelBroken,
        }
    }
}

/// The facts of one notification, as the outbox stores them (`payload_json`). Times are RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// What it says.
    pub kind: NoticeWord,
    /// When it was decided.
    pub timestamp: String,
    /// Which incident (or no-data episode).
    pub incident_id: String,
    /// By which rule.
    pub rule: RuleFacts,
    /// On which agent.
    pub agent: AgentFacts,
    /// Which metric.
    pub metric: String,
    /// The labels of its series.
    pub labels: BTreeMap<String, String>,
    /// The catalogue's name of the metric's unit; empty for none.
    pub unit: String,
    /// The value at this notification.
    pub value: Option<f64>,
    /// How it is compared: `>`, `>=`, `<`, `<=`, `==`, `!=`.
    pub op: String,
    /// What it is compared with.
    pub threshold: Option<f64>,
    /// How long it had to breach before it fired, in seconds.
    pub for_seconds: f64,
    /// When it began to breach.
    pub started_at: String,
    /// When it fired.
    pub fired_at: Option<String>,
    /// When it ended.
    pub resolved_at: Option<String>,
    /// The worst value so far.
    pub peak: Option<f64>,
    /// The decision in one sentence: `97.2 % > 90 % for 5 m 0 s (20 samples)`.
    pub why: String,
    /// The busiest processes at the breach, the busiest first.
    pub top_processes: Vec<TopProcess>,
    /// How many changes this channel was not told of before.
    pub suppressed_count: u32,
    /// Whether all of it lay in the past when the agent could report it.
    pub late: bool,
    /// Whether an earlier attempt may have arrived although its answer was lost.
    pub maybe_repeat: bool,
    /// The incident's page.
    pub url: String,
    /// The incident's picture.
    pub chart_url: String,
    /// IANA name of the time zone in which people are told times.
    pub timezone: String,
    /// Something the hub has to say about itself, such as that it cannot write to its disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub_note: Option<String>,
    /// Who is on it (`acked`; on other kinds, if somebody is).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<AckFacts>,
    /// What a `digest` tells, the worst first: each as it would have been said by itself last (`fired` or `repeat` if it still
    /// fires), without items of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Self>,
    /// The quiet time that a `digest` tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<QuietFacts>,
    /// How much of the fleet is silent (`hub_doubt`, `hub_doubt_end`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<DoubtFacts>,
    /// Which channel refuses its pages (`channel_broken`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<BrokenFacts>,
    /// What value and threshold are, where they are not the metric itself: `rate` or `forecast`. Then `why` tells all of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shape: String,
    /// Only these recipients of the channel (mail addresses); empty is all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_to: Vec<String>,
}

impl Notification {
    /// A notification that says `kind` and nothing else yet.
    #[must_use]
    pub fn new(kind: NoticeWord) -> Self {
        Self {
            kind,
            timestamp: String::new(),
            incident_id: String::new(),
            rule: RuleFacts::default(),
            agent: AgentFacts::default(),
            metric: String::new(),
            labels: BTreeMap::new(),
            unit: String::new(),
            value: None,
            op: String::new(),
            threshold: None,
            for_seconds: 0.0,
            started_at: String::new(),
            fired_at: None,
            resolved_at: None,
            peak: None,
            why: String::new(),
            top_processes: Vec::new(),
            suppressed_count: 0,
            late: false,
            maybe_repeat: false,
            url: String::new(),
            chart_url: String::new(),
            timezone: String::new(),
            hub_note: None,
            ack: None,
            items: Vec::new(),
            quiet: None,
            doubt: None,
            broken: None,
            shape: String::new(),
            only_to: Vec::new(),
        }
    }

    /// The rule's severity; one that no version knows is taken as `warning`.
    pub(crate) fn severity(&self) -> Severity {
        Severity::from_name(&self.rule.severity).unwrap_or(Severity::Warning)
    }

    /// Whether something is wrong at this moment, as far as this notification knows.
    pub(crate) const fn is_open(&self) -> bool {
        !matches!(self.kind, NoticeWord::Resolved | NoticeWord::NodataEnd | NoticeWord::HubDoubtEnd)
    }

    /// Whether it says of one incident that it goes on.
    pub(crate) const fn is_firing(&self) -> bool {
        matches!(self.kind, NoticeWord::Fired | NoticeWord::Repeat | NoticeWord::Escalated | NoticeWord::NodataStart)
    }

    /// Whether value and threshold are those of the metric itself.
    pub(crate) const fn is_plain_value(&self) -> bool {
        self.shape.is_empty()
    }

    /// What its processes are those that use most of.
    pub(crate) fn resource(&self) -> Resource {
        Resource::of(&self.metric)
    }

    /// The series in words: the metric, and its labels in braces where it has any.
    pub(crate) fn series(&self) -> String {
        if self.labels.is_empty() {
            return self.metric.clone();
        }
        let labels: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}{{{}}}", self.metric, labels.join(", "))
    }
}

/// What processes use, and a metric may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// What is read from and written to disks.
    Io,
}

impl Resource {
    /// The one that a host's processes are looked through for when this metric is the matter: CPU, unless it is about another.
    #[must_use]
    pub fn of(metric: &str) -> Self {
        let begins = |groups: &[&str]| groups.iter().any(|group| metric.starts_with(group));
        if begins(&["mem.", "swap.", "psi.memory_"]) {
            Self::Memory
        } else if begins(&["diskio.", "psi.io_", "cpu.iowait"]) {
            Self::Io
        } else {
            Self::Cpu
        }
    }
}
