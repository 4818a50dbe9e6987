//! The smaller facts of a notification: whom and what it is about. Plain data; every field that came later than the first
//! release reads as empty where it is missing.

use serde::{Deserialize, Serialize};

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

/// One of the processes that used most at the moment of the breach.
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
    /// What it reads from and writes to disks, in bytes a second, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_bytes_per_second: Option<u64>,
}

/// Who is on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AckFacts {
    /// Their name.
    pub by: String,
    /// What they said; empty for nothing.
    pub note: String,
    /// Until when it holds (RFC 3339); `None` is until the end of the incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// A quiet time that is over.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QuietFacts {
    /// From when (RFC 3339).
    pub from: String,
    /// To when (RFC 3339).
    pub until: String,
}

/// How much of the fleet is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DoubtFacts {
    /// How many agents are overdue; at the end of the doubt, how many were at most.
    pub overdue: u32,
    /// How many agents there are.
    pub agents: u32,
}

/// A channel that refuses its pages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BrokenFacts {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `webhook`, `smtp`, `discord` or `slack`.
    pub kind: String,
    /// Why, in the sender's words.
    pub error: String,
    /// How many of its pages were not delivered.
    pub undelivered: u32,
}
