//! PagerDuty's Events API, version 2 (<https://developer.pagerduty.com/docs/send-alert-event>): one incident there for one of
//! ours, tied together by the incident's id. One request per notification; a test is opened and closed again.

use super::standard::why;
use crate::config::WebhookConfig;
use crate::delivery::{Message, Outcome};
use crate::notification::{NoticeWord, Notification};
use crate::notifier::Notifier;
use crate::page::{Page, clean};
use crate::truncate;
use chrono::Utc;
use nightbell_alerts::Severity;
use serde_json::{Value, json};

/// The longest `payload.summary`.
pub(crate) const SUMMARY_LIMIT: usize = 1024;
/// The longest `dedup_key`.
pub(crate) const DEDUP_KEY_LIMIT: usize = 255;

/// Sends the event, and for a test the one that closes it.
pub(super) async fn deliver(notifier: &Notifier, config: &WebhookConfig, message: &Message<'_>) -> Outcome {
    let Some(key) = &config.routing_key else {
        return Outcome::broken("the channel has no routing key");
    };
    let url = config.url.as_ref().unwrap_or(&notifier.services.pagerduty);
    let is_test = message.notification.kind == NoticeWord::Test;
    let dedup = if is_test { &message.delivery_id } else { &message.notification.incident_id };
    let action = if message.notification.is_open() { "trigger" } else { "resolve" };
    let mut bodies = vec![event(message, key.expose(), dedup, action)];
    if is_test {
        bodies.push(event(message, key.expose(), dedup, "resolve"));
    }
    let mut outcome = Outcome::broken("nothing was sent");
    for body in bodies {
        let request = notifier.http.post(config.allow_private, url).json(&body);
        outcome = match notifier.http.send(config.allow_private, url, request).await {
            Ok(answer) => answer.outcome(url.host_str().unwrap_or_default(), &[key.expose()], Utc::now()),
            Err(outcome) => outcome,
        };
        if !matches!(outcome, Outcome::Sent { .. }) {
            break;
        }
    }
    outcome
}

/// One event. A resolving one needs no payload, but says why all the same.
pub(super) fn event(message: &Message<'_>, routing_key: &str, dedup_key: &str, action: &str) -> Value {
    let notification = message.notification;
    let page = Page::of(&Message { folded: Vec::new(), chart_png: None, ..message.clone() });
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": truncate::to_chars(dedup_key, DEDUP_KEY_LIMIT),
        "client": "Nightbell",
        "payload": {
            "summary": truncate::to_chars(&page.headline(), SUMMARY_LIMIT),
            "source": source(notification),
            "severity": severity(notification),
            "timestamp": notification.timestamp,
            "component": notification.series(),
            "class": clean(&notification.rule.name),
        },
    });
    if !message.plain {
        event["payload"]["custom_details"] = details(notification, &page);
    }
    if !page.url.is_empty() {
        event["client_url"] = json!(page.url);
        event["links"] = json!([{"href": page.url, "text": "The incident in Nightbell"}]);
    }
    // Pictures are fetched by PagerDuty, and only over https.
    if notification.chart_url.starts_with("https://") && !message.plain {
        event["images"] = json!([{"src": notification.chart_url, "href": page.url, "alt": page.title()}]);
    }
    event
}

fn details(notification: &Notification, page: &Page) -> Value {
    let processes: Vec<String> =
        page.processes.iter().map(|process| format!("{}: {} CPU, {}", process.name, process.cpu, process.memory)).collect();
    let facts: serde_json::Map<String, Value> = page.facts.iter().map(|fact| (fact.name.to_owned(), json!(fact.value))).collect();
    json!({
        "what": page.sentence,
        "why": why(notification),
        "facts": facts,
        "notes": page.notes,
        "top_processes": processes,
        "tags": notification.agent.tags,
        "incident_id": notification.incident_id,
        "maybe_repeat": notification.maybe_repeat,
        "times_in": page.zone,
    })
}

/// Never empty: PagerDuty refuses an event without a source.
fn source(notification: &Notification) -> String {
    let name = clean(&notification.agent.name);
    if name.is_empty() { "Nightbell".to_owned() } else { name }
}

fn severity(notification: &Notification) -> &'static str {
    match (notification.kind, notification.severity()) {
        (NoticeWord::Test, _) | (_, Severity::Info) => "info",
        (_, Severity::Warning) => "warning",
        (_, Severity::Critical) => "critical",
    }
}
