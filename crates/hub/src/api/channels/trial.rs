//! The test of a channel: a page like any other, through the same outbox.

use super::find;
use crate::api::extract::{ApiPath, Caller};
use crate::api::outbox;
use crate::api::problem::Problem;
use crate::api::wire::change::Editor;
use crate::api::wire::delivery::DeliveryView;
use crate::app::App;
use crate::page::rfc3339;
use crate::{clock, ids};
use axum::Json;
use axum::extract::State;
use nightbell_alerts::NoticeKind;
use nightbell_model::{ChannelId, IncidentId, Timestamp, Ulid};
use nightbell_notify::{AgentFacts, NoticeWord, Notification, RuleFacts};
use nightbell_store::{Change, ChannelRow, Delivery, DeliveryState, NewDelivery};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// For how long an answer to a test waits for its delivery, and how often it looks.
const TEST_WAIT: Duration = Duration::from_secs(10);
const TEST_LOOK: Duration = Duration::from_millis(50);

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(test))
}

/// Sends a test page through the outbox, and waits up to ten seconds for what becomes of it
#[utoipa::path(post, path = "/channels/{id}/test", tag = "channels", params(("id" = String, Path, description = "Which channel")),
    responses((status = 200, description = "The delivery", body = DeliveryView)))]
async fn test(
    State(app): State<Arc<App>>,
    caller: Caller,
    editor: Editor,
    ApiPath(id): ApiPath<ChannelId>,
) -> Result<Json<DeliveryView>, Problem> {
    let row = find(&app, id)?;
    let delivery = test_delivery(&app, &row, &editor.name(), clock::now());
    let entry = editor.entry("channel.test", id, &json!({"delivery": delivery.id.to_string()}));
    let sent = delivery.id;
    app.registry.apply(vec![Change::PutDelivery(delivery)], Some(entry)).await?;
    app.outbox.wake();
    let settled = settled(&app, sent).await?;
    Ok(Json(outbox::view(&app, &caller, &settled)))
}

/// The delivery once it is sent or has failed for the first time, or as it stands when waiting has been long enough.
async fn settled(app: &App, id: Ulid) -> Result<Delivery, Problem> {
    let deadline = tokio::time::Instant::now() + TEST_WAIT;
    loop {
        let found = app.read_state(move |store| store.delivery(id)).await?;
        let delivery = found.ok_or_else(|| Problem::not_found("delivery"))?;
        let is_open = match delivery.state {
            DeliveryState::Sending => true,
            DeliveryState::Queued => delivery.attempts == 0,
            _ => false,
        };
        if !is_open || tokio::time::Instant::now() >= deadline {
            return Ok(delivery);
        }
        tokio::time::sleep(TEST_LOOK).await;
    }
}

fn test_delivery(app: &App, channel: &ChannelRow, author: &str, now: Timestamp) -> NewDelivery {
    let (id, incident) = (ids::fresh(), IncidentId(ids::fresh()));
    let zone = app.registry.read().settings.timezone;
    NewDelivery {
        id,
        channel: channel.id,
        instance: format!("test/{id}"),
        incident,
        kind: NoticeKind::Test,
        n: 0,
        payload_json: serde_json::to_string(&test_page(channel, incident, author, now, zone)).unwrap_or_default(),
        created_at: now,
        not_before: now,
        fold: None,
    }
}

fn test_page(channel: &ChannelRow, incident: IncidentId, author: &str, now: Timestamp, zone: chrono_tz::Tz) -> Notification {
    Notification {
        timestamp: rfc3339(now),
        incident_id: incident.to_string(),
        rule: RuleFacts { id: incident.to_string(), name: "Test".to_owned(), severity: "info".to_owned() },
        agent: AgentFacts { id: String::new(), name: "nightbell".to_owned(), tags: Vec::new() },
        metric: "cpu.usage_percent".to_owned(),
        unit: "percent".to_owned(),
        op: ">".to_owned(),
        started_at: rfc3339(now),
        fired_at: Some(rfc3339(now)),
        why: format!("{author} sent a test to the channel {}.", channel.name),
        timezone: zone.name().to_owned(),
        ..Notification::new(NoticeWord::Test)
    }
}
