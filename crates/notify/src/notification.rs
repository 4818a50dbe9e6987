//! What a page is about, as one row of the outbox holds it: plain facts in JSON, whatever channel they will travel on.
//!
//! Choosing the facts is the hub's job; turning them into words is left to `page`, and into a channel's own form to the channels.

use nightbell_alerts::{NoticeKind, Severity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a notification says, in the words of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoticeWord {
    /// It fired.
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
        }
    }
}

/// The rule that a notification speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RuleFacts {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
}

/// The agent that a notification speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgentFacts {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
}

/// One of the busiest processes at the moment of the breach.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TopProcess {
    /// Its name.
    pub name: String,
    /// Its process id, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// 100 is one core.
    pub cpu_percent: f64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
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
}

impl Notification {
    /// The rule's severity; one that no version knows is taken as `warning`.
    pub(crate) fn severity(&self) -> Severity {
        Severity::from_name(&self.rule.severity).unwrap_or(Severity::Warning)
    }

    /// Whether something is wrong at this moment, as far as this notification knows.
    pub(crate) const fn is_open(&self) -> bool {
        !matches!(self.kind, NoticeWord::Resolved | NoticeWord::NodataEnd)
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
