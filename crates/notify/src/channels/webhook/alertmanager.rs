//! The webhook body of Prometheus Alertmanager, version 4
//! (<https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>), for receivers that already speak it.

use super::standard::why;
use crate::delivery::Message;
use crate::notification::{NoticeWord, Notification};
use crate::page::Page;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What Alertmanager writes for an end that has not come.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// The body of a message: the alert it leads with, and those folded into it.
pub(super) fn body(message: &Message<'_>) -> Value {
    let leading = message.notification;
    // A digest is what its matters are; an empty one still says that it is one.
    let digest = leading.kind == NoticeWord::Digest && !leading.items.is_empty();
    let all: Vec<&Notification> = if digest { leading.items.iter().collect() } else { message.all().collect() };
    let alerts: Vec<Value> = all.iter().map(|one| alert(message, one)).collect();
    let labels: Vec<BTreeMap<String, String>> = all.iter().map(|one| labels(one)).collect();
    let firing = all.iter().any(|one| one.is_open());
    let common: BTreeMap<&String, &String> = labels
        .first()
        .into_iter()
        .flatten()
        .filter(|(name, value)| labels.iter().all(|other| other.get(*name) == Some(*value)))
        .collect();
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{rule_id=\"{}\"}}", leading.rule.id),
        "truncatedAlerts": 0,
        "status": if firing { "firing" } else { "resolved" },
        "receiver": "nightbell",
        "groupLabels": {"alertname": leading.rule.name, "rule_id": leading.rule.id},
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": external_url(&leading.url),
        "alerts": alerts,
    })
}

fn alert(message: &Message<'_>, notification: &Notification) -> Value {
    let page = Page::of(&message.about(notification));
    let labels = labels(notification);
    let ended = notification.resolved_at.as_deref().or((!notification.is_open()).then_some(notification.timestamp.as_str()));
    json!({
        "status": if notification.is_open() { "firing" } else { "resolved" },
        "labels": labels,
        "annotations": annotations(notification, &page),
        "startsAt": notification.fired_at.as_deref().unwrap_or(&notification.started_at),
        "endsAt": ended.unwrap_or(NO_END),
        "generatorURL": notification.url,
        "fingerprint": fingerprint(&labels),
    })
}

fn annotations(notification: &Notification, page: &Page) -> BTreeMap<&'static str, String> {
    let mut annotations = BTreeMap::from([
        ("summary", page.headline()),
        ("description", page.sentence.clone()),
        ("why", why(notification)),
        ("incident_id", notification.incident_id.clone()),
        ("maybe_repeat", notification.maybe_repeat.to_string()),
        ("suppressed_count", notification.suppressed_count.to_string()),
    ]);
    if let Some(value) = notification.value {
        annotations.insert("value", value.to_string());
    }
    if !notification.chart_url.is_empty() {
        annotations.insert("chart_url", notification.chart_url.clone());
    }
    annotations
}

/// The labels that make an alert the same alert from its start to its end. A series' own labels never replace ours.
fn labels(notification: &Notification) -> BTreeMap<String, String> {
    let mut labels = notification.labels.clone();
    let kind = match notification.kind {
        NoticeWord::NodataStart | NoticeWord::NodataEnd => "nodata",
        NoticeWord::Test => "test",
        NoticeWord::HubDoubt | NoticeWord::HubDoubtEnd => "hub_doubt",
        NoticeWord::ChannelBroken => "channel_broken",
        _ => "threshold",
    };
    labels.extend(
        [
            ("alertname", notification.rule.name.as_str()),
            ("severity", notification.rule.severity.as_str()),
            ("rule_id", &notification.rule.id),
            ("instance", &notification.agent.name),
            ("agent_id", &notification.agent.id),
            ("metric", &notification.metric),
            ("kind", kind),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    labels
}

/// Sixteen hexadecimal digits over the labels.
fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for (name, value) in labels {
        for part in [name, value] {
            hash.update(part.as_bytes());
            hash.update([0xff]);
        }
    }
    hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing into a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hub's own address: that of the incident's page without its path.
fn external_url(url: &str) -> String {
    url::Url::parse(url).map_or_else(|_not_set| String::new(), |url| url.origin().ascii_serialization())
}
