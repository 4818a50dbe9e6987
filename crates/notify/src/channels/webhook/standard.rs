//! Our own page in JSON: exactly the shape that the API's documentation promises to receivers.

use crate::notification::{AckFacts, AgentFacts, BrokenFacts, DoubtFacts, NoticeWord, Notification, QuietFacts, RuleFacts};
use serde::Serialize;
use std::collections::BTreeMap;

/// A whole page.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    r#type: &'static str,
    timestamp: &'a str,
    data: Data<'a>,
}

#[derive(Debug, Serialize)]
struct Data<'a> {
    incident_id: &'a str,
    rule: &'a RuleFacts,
    agent: &'a AgentFacts,
    metric: &'a str,
    labels: &'a BTreeMap<String, String>,
    value: Option<f64>,
    op: &'a str,
    threshold: Option<f64>,
    for_seconds: f64,
    started_at: &'a str,
    fired_at: Option<&'a str>,
    resolved_at: Option<&'a str>,
    peak: Option<f64>,
    why: String,
    /// `rate` or `forecast`, where value and threshold are that and not the metric itself.
    #[serde(skip_serializing_if = "str::is_empty")]
    shape: &'a str,
    top_processes: Vec<Process<'a>>,
    suppressed_count: u32,
    maybe_repeat: bool,
    /// Nobody is on it yet: it is told to more people, or again, and not just remembered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    escalated: bool,
    url: &'a str,
    chart_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack: Option<&'a AckFacts>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<Body<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet: Option<&'a QuietFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<DoubtFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<&'a BrokenFacts>,
}

#[derive(Debug, Serialize)]
struct Process<'a> {
    name: &'a str,
    cpu_percent: f64,
    rss_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    io_bytes_per_second: Option<u64>,
}

/// The page of one notification. The types are a closed list for receivers, so that an escalation is a repeat with a mark.
pub(super) fn body(notification: &Notification) -> Body<'_> {
    Body {
        r#type: match notification.kind {
            NoticeWord::Fired => "incident.fired",
            NoticeWord::Resolved => "incident.resolved",
            NoticeWord::Repeat | NoticeWord::Escalated => "incident.repeat",
            NoticeWord::NodataStart => "nodata.start",
            NoticeWord::NodataEnd => "nodata.end",
            NoticeWord::Test => "test",
            NoticeWord::Acked => "incident.acked",
            NoticeWord::Digest => "digest",
            NoticeWord::HubDoubt => "hub.doubt",
            NoticeWord::HubDoubtEnd => "hub.doubt_end",
            NoticeWord::ChannelBroken => "channel.broken",
        },
        timestamp: &notification.timestamp,
        data: Data {
            incident_id: &notification.incident_id,
            rule: &notification.rule,
            agent: &notification.agent,
            metric: &notification.metric,
            labels: &notification.labels,
            value: notification.value,
            op: &notification.op,
            threshold: notification.threshold,
            for_seconds: notification.for_seconds,
            started_at: &notification.started_at,
            fired_at: notification.fired_at.as_deref(),
            resolved_at: notification.resolved_at.as_deref(),
            peak: notification.peak,
            why: why(notification),
            shape: &notification.shape,
            top_processes: notification
                .top_processes
                .iter()
                .map(|process| Process {
                    name: &process.name,
                    cpu_percent: process.cpu_percent,
                    rss_bytes: process.rss_bytes,
                    io_bytes_per_second: process.io_bytes_per_second,
                })
                .collect(),
            suppressed_count: notification.suppressed_count,
            maybe_repeat: notification.maybe_repeat,
            escalated: notification.kind == NoticeWord::Escalated,
            url: &notification.url,
            chart_url: &notification.chart_url,
            ack: notification.ack.as_ref(),
            items: notification.items.iter().map(body).collect(),
            quiet: notification.quiet.as_ref(),
            doubt: notification.doubt,
            broken: notification.broken.as_ref(),
        },
    }
}

/// The decision in words, with what the fixed shape has no field for.
pub(super) fn why(notification: &Notification) -> String {
    let mut why = notification.why.clone();
    if notification.late {
        why.push_str(" (reported late)");
    }
    if let Some(note) = &notification.hub_note {
        why.push_str(" — ");
        why.push_str(note);
    }
    why
}
