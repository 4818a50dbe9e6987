//! PagerDuty's Events API, version 2 (<https://developer.pagerduty.com/docs/send-alert-event>): one incident there for one of
//! ours, tied together by the incident's id. One request per event.

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

/// Sends the events of a message, one after the other.
pub(super) async fn deliver(notifier: &Notifier, config: &WebhookConfig, message: &Message<'_>) -> Outcome {
    let Some(key) = &config.routing_key else {
        return Outcome::broken("the channel has no routing key");
    };
    let url = config.url.as_ref().unwrap_or(&notifier.services.pagerduty);
    let mut outcome = Outcome::sent("nothing of it is open");
    for body in events(message, key.expose()) {
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

/// What a message says there. A test is opened and closed again; of a digest every incident that still fires is opened, since
/// it was held back, and will be closed by its own end. Sending one of them twice changes nothing there.
pub(super) fn events(message: &Message<'_>, routing_key: &str) -> Vec<Value> {
    let notification = message.notification;
    let incident = &notification.incident_id;
    match notification.kind {
        NoticeWord::Test => ["trigger", "resolve"].map(|action| event(message, routing_key, &message.delivery_id, action)).into(),
        NoticeWord::Digest => {
            let open = notification.items.iter().filter(|item| item.is_firing());
            open.map(|item| event(&message.about(item), routing_key, &item.incident_id, "trigger")).collect()
        }
        NoticeWord::Acked => vec![event(message, routing_key, incident, "acknowledge")],
        _ if notification.is_open() => vec![event(message, routing_key, incident, "trigger")],
        _ => vec![event(message, routing_key, incident, "resolve")],
    }
}

/// One event. A resolving one needs no payload, but says why all the same.
pub(super) fn event(message: &Message<'_>, routing_key: &str, dedup_key: &str, action: &str) -> Value {
    let notification = message.notification;
    let page = Page::of(&message.about(notification));
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": truncate::to_chars(dedup_key, DEDUP_KEY_LIMIT),
        "client": "Nightbell",
        "payload": {
            "summary": page.headline_within(SUMMARY_LIMIT),
            "source": source(notification),
            "severity": severity(notification),
            "timestamp": notification.timestamp,
        },
    });
    // What speaks of no series or no rule leaves them out.
    for (name, value) in [("component", clean(&notification.series())), ("class", clean(&notification.rule.name))] {
        if !value.is_empty() {
            event["payload"][name] = json!(value);
        }
    }
    if !message.plain {
        event["payload"]["custom_details"] = details(notification, &page);
    }
    if !page.url.is_empty() {
        event["client_url"] = json!(page.url);
        event["links"] = json!([{"href": page.url, "text": page.link}]);
    }
    // Pictures are fetched by PagerDuty, and only over https.
    if notification.chart_url.starts_with("https://") && !message.plain {
        event["images"] = json!([{"src": notification.chart_url, "href": page.url, "alt": page.title()}]);
    }
    event
}

fn details(notification: &Notification, page: &Page) -> Value {
    let processes: Vec<String> = page.processes.iter().map(|process| format!("{}: {}", process.name, process.uses())).collect();
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
        (NoticeWord::HubDoubt | NoticeWord::HubDoubtEnd, _) => "critical",
        (NoticeWord::ChannelBroken, _) => "warning",
        (NoticeWord::Test, _) | (_, Severity::Info) => "info",
        (_, Severity::Warning) => "warning",
        (_, Severity::Critical) => "critical",
    }
}
