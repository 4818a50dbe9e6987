//! From a notice to what is put into the outbox: names looked up, words chosen, times written. Sending is the outbox's.

use crate::fleet::Fleet;
use crate::ids;
use crate::registry::{Holdings, digest_id};
use chrono::{DateTime, SecondsFormat, Utc};
use nightbell_alerts::{Ack, DOUBT_RULE, IncidentRecord, InstanceKey, Notice, NoticeKind, Transform};
use nightbell_model::{AgentId, Timestamp, Ulid, catalogue};
use nightbell_notify::{AckFacts, AgentFacts, DoubtFacts, NoticeWord, Notification, Resource, RuleFacts, TopProcess};
use nightbell_store::{ChannelRow, NewDelivery};

/// Top processes older than this at the breach say nothing about it.
pub const TOP_FRESH_MS: i64 = 120_000;

/// After the end of quiet hours the evaluator says what it held back within this time, in milliseconds.
pub const CATCH_UP_MS: i64 = 4_000;
/// Quiet hours that ended so long before the hub began are not caught up with, in milliseconds.
pub const TOO_LATE_MS: i64 = 86_400_000;

/// Whether a channel is told in one digest what happened in its quiet hours: not where a program wants each alert for itself.
#[must_use]
pub fn takes_digests(channel: &ChannelRow) -> bool {
    let config: serde_json::Value = serde_json::from_str(&channel.config_json).unwrap_or_default();
    let format = config["format"].as_str().unwrap_or_default();
    !(channel.kind == "webhook" && matches!(format, "alertmanager" | "pagerduty"))
}

/// What pages are made from beside the notice.
#[derive(Debug)]
pub struct Context<'a> {
    /// Names, tags, time zone.
    pub holdings: &'a Holdings,
    /// Top processes.
    pub fleet: &'a Fleet,
}

/// A moment as the API writes it: RFC 3339, UTC, milliseconds.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    DateTime::<Utc>::from_timestamp_millis(at.as_millis()).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// What the deliveries of an alert are called after: they keep their order under it.
#[must_use]
pub fn instance_name(key: &InstanceKey) -> String {
    format!("{}/{}/{}", key.rule, key.agent, key.series)
}

impl Context<'_> {
    /// The outbox row of a notice.
    #[must_use]
    pub fn delivery(&self, notice: &Notice) -> NewDelivery {
        let key = &notice.incident.key;
        let digest = self.digest(notice);
        let payload = serde_json::to_string(&self.notification(notice)).unwrap_or_default();
        NewDelivery {
            id: ids::fresh(),
            channel: notice.channel,
            instance: instance_name(key),
            incident: notice.incident.id,
            kind: notice.kind,
            n: notice.n,
            payload_json: payload,
            created_at: notice.at,
            // A digest has waited long enough.
            not_before: if digest.is_some() { notice.at } else { notice.not_before },
            fold: digest,
        }
    }

    /// The digest that tells of a notice which quiet hours have held back until now, if they have.
    fn digest(&self, notice: &Notice) -> Option<Ulid> {
        let hush = &self.holdings.hush;
        let window = hush.ended_last(notice.channel, notice.at)?;
        let let_go = hush.started.map_or(window.end, |started| started.max(window.end));
        let is_catching_up = notice.at.millis_since(let_go) < CATCH_UP_MS && let_go.millis_since(window.end) < TOO_LATE_MS;
        let happened = match notice.kind {
            NoticeKind::Resolved => notice.incident.resolved_at.unwrap_or(notice.at),
            NoticeKind::Repeat | NoticeKind::Escalated => window.start,
            _ => notice.incident.fired_at,
        };
        let is_digested = takes_digests(self.holdings.channels.get(&notice.channel)?);
        (is_catching_up && is_digested && happened < window.end).then(|| digest_id(notice.channel, window.end))
    }

    /// What a notice says, for an outbox row or a line of a digest.
    #[must_use]
    pub fn notification(&self, notice: &Notice) -> Notification {
        let incident = &*notice.incident;
        let agent = self.holdings.agents.get(&incident.key.agent);
        let firing = matches!(notice.kind, NoticeKind::Fired | NoticeKind::Repeat | NoticeKind::Escalated);
        Notification {
            timestamp: rfc3339(notice.at),
            incident_id: incident.id.to_string(),
            rule: RuleFacts {
                id: incident.key.rule.to_string(),
                name: incident.rule_name.clone(),
                severity: incident.severity.name().to_owned(),
            },
            agent: AgentFacts {
                id: incident.key.agent.to_string(),
                name: agent.map_or_else(|| nobody(incident.key.agent), |agent| agent.name.clone()),
                tags: agent.map(|agent| agent.tags.clone()).unwrap_or_default(),
            },
            metric: incident.key.series.metric().to_owned(),
            labels: incident.key.series.labels().into_iter().collect(),
            unit: catalogue::find(incident.key.series.metric()).map_or("", |metric| metric.unit.name()).to_owned(),
            value: notice.value.or_else(|| self.newest(incident)).and_then(finite),
            op: incident.comparison.name().to_owned(),
            threshold: finite(incident.threshold),
            for_seconds: seconds(incident.hold_ms),
            started_at: rfc3339(incident.started_at),
            fired_at: Some(rfc3339(incident.fired_at)),
            resolved_at: incident.resolved_at.map(rfc3339),
            peak: finite(incident.peak),
            why: why(incident),
            top_processes: if firing { self.top(incident, notice.at) } else { Vec::new() },
            suppressed_count: notice.suppressed,
            late: notice.late,
            timezone: self.holdings.settings.timezone.name().to_owned(),
            doubt: (incident.key.rule == DOUBT_RULE).then(|| doubt(incident)),
            shape: self.shape(incident).to_owned(),
            ack: incident.ack.as_ref().filter(|_| notice.kind == NoticeKind::Acked).map(ack),
            ..Notification::new(NoticeWord::from(notice.kind))
        }
    }

    /// What is compared, where it is not the metric itself.
    fn shape(&self, incident: &IncidentRecord) -> &'static str {
        match self.holdings.rules.get(&incident.key.rule).map(|(rule, _)| &rule.transform) {
            Some(Transform::Rate { .. }) => "rate",
            Some(Transform::Forecast { .. }) => "forecast",
            Some(Transform::None) | None => "",
        }
    }

    /// The newest value of an incident's series: what a notice that a timer made after a restart speaks of.
    fn newest(&self, incident: &IncidentRecord) -> Option<f64> {
        // A rate or a forecast is compared, and not what is measured.
        let rule = self.holdings.rules.get(&incident.key.rule);
        if rule.is_some_and(|(rule, _)| rule.transform != Transform::None) {
            return None;
        }
        let value = self.fleet.get(incident.key.agent)?.value(&incident.key.series)?;
        value.is_finite().then_some(value)
    }

    fn top(&self, incident: &IncidentRecord, at: Timestamp) -> Vec<TopProcess> {
        let Some((told, json)) = self.fleet.get(incident.key.agent).and_then(|vitals| vitals.top) else {
            return Vec::new();
        };
        if at.millis_since(told).abs() > TOP_FRESH_MS {
            return Vec::new();
        }
        top(&json, incident.key.series.metric())
    }
}

/// The processes of an agent's lists that say most about a metric: those that use most of what it is about, else those that use most CPU;
/// at most five.
#[must_use]
pub fn top(json: &str, metric: &str) -> Vec<TopProcess> {
    #[derive(serde::Deserialize)]
    struct Lists {
        #[serde(default)]
        cpu: Vec<TopProcess>,
        #[serde(default)]
        mem: Vec<TopProcess>,
        #[serde(default)]
        io: Vec<TopProcess>,
    }
    let Ok(Lists { cpu, mem, io }) = serde_json::from_str::<Lists>(json) else { return Vec::new() };
    let told = match Resource::of(metric) {
        Resource::Memory if !mem.is_empty() => mem,
        Resource::Io if !io.is_empty() => io,
        _ => cpu,
    };
    told.into_iter().take(5).collect()
}

/// Why an incident fired, in one line for people.
#[must_use]
pub fn why(incident: &IncidentRecord) -> String {
    nightbell_alerts::why(incident)
}

/// A threshold on a picture: exact, but for sizes and rates, whose plain numbers nobody reads.
#[must_use]
pub fn level_text(value: f64, unit: catalogue::Unit) -> String {
    match unit {
        catalogue::Unit::Bytes | catalogue::Unit::BytesPerSecond => nightbell_alerts::why::value_text(value, unit),
        _ => format!("{value} {}", unit.symbol()).trim_end().to_owned(),
    }
}

/// What an agent is called that is not known: by its id, or, where none is meant, the hub itself.
#[must_use]
pub fn nobody(id: AgentId) -> String {
    if id == AgentId::default() { "hub".to_owned() } else { id.to_string() }
}

/// How much of the fleet is silent: the record of a doubt keeps both counts.
fn doubt(incident: &IncidentRecord) -> DoubtFacts {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of agents; NaN is none")]
    let count = |value: f64| value as u32;
    DoubtFacts { overdue: count(incident.value), agents: count(incident.threshold) }
}

/// Who is on it.
fn ack(ack: &Ack) -> AckFacts {
    AckFacts { by: ack.by.clone(), note: ack.note.clone(), until: ack.until.map(rfc3339) }
}

/// A number that JSON can say.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Milliseconds as seconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^53 ms")]
pub const fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_said_as_people_read_it() {
        let text = level_text;
        assert_eq!(text(1e6, catalogue::Unit::BytesPerSecond), "1 MB/s");
        assert_eq!(text(1_610_612_736.0, catalogue::Unit::Bytes), "1.5 GiB");
        assert_eq!(text(0.001, catalogue::Unit::Percent), "0.001 %");
        assert_eq!(text(250.0, catalogue::Unit::Count), "250");
    }

    #[test]
    fn the_processes_on_a_page_are_those_that_say_most_about_its_metric() {
        let json = r#"{"cpu":[{"name":"gcc","cpu_percent":99,"rss_bytes":1}],"mem":[{"name":"java","cpu_percent":1,"rss_bytes":9}],
            "io":[{"name":"rsync","cpu_percent":2,"rss_bytes":3,"io_bytes_per_second":4}]}"#;
        let first = |json: &str, metric: &str| top(json, metric).first().map(|process| process.name.clone());
        assert_eq!(first(json, "cpu.usage_percent").as_deref(), Some("gcc"));
        for metric in ["mem.used_percent", "swap.used_percent", "psi.memory_full_percent"] {
            assert_eq!(first(json, metric).as_deref(), Some("java"), "{metric}");
        }
        for metric in ["diskio.util_percent{device=sda}", "psi.io_some_percent", "cpu.iowait_percent"] {
            assert_eq!(first(json, metric).as_deref(), Some("rsync"), "{metric}");
        }
        assert_eq!(top(json, "diskio.util_percent")[0].io_bytes_per_second, Some(4));
        let older = r#"{"cpu":[{"name":"gcc","cpu_percent":99,"rss_bytes":1}]}"#;
        assert_eq!(first(older, "mem.used_percent").as_deref(), Some("gcc"), "an agent that tells of one order only");
        assert_eq!(first(older, "diskio.util_percent").as_deref(), Some("gcc"), "one that may not know");
        assert_eq!(first("[]", "mem.used_percent"), None);
    }
}
