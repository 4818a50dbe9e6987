//! Incidents: the list, and one with everything known about it.

mod people;
mod picture;

pub(super) use picture::{PictureParams, picture_of};

use super::events::{self, EventView, id_in_query};
use super::extract::{ApiPath, ApiQuery, Caller, Listing, cursor, number, page_size};
use super::outbox;
use super::problem::Problem;
use super::rules::{self, Explained};
use super::wire::delivery::DeliveryView;
use super::wire::filter::{Filter, newest_first};
use super::wire::incident::{IncidentView, show};
use crate::app::App;
use crate::page::{rfc3339, top};
use axum::Json;
use axum::extract::State;
use nightbell_alerts::{IncidentRecord, NoticeKind};
use nightbell_model::{AgentId, IncidentId, RuleId};
use nightbell_notify::{Notification, TopProcess};
use nightbell_store::{Attachment, Delivery, DeliveryQuery, EventQuery, IncidentQuery, LoggedEvent};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The most lines of a timeline, and the most deliveries shown with an incident.
const MOST_LINES: usize = 500;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one)).merge(people::routes()).merge(picture::routes())
}

/// Which incidents.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct IncidentParams {
    /// open, resolved or all; all if left out
    #[serde(default)]
    state: Option<String>,
    /// Only of this agent.
    #[serde(default)]
    agent: Option<String>,
    /// Only of this rule.
    #[serde(default)]
    rule: Option<String>,
    /// At most so many, 1 to 500.
    #[serde(default, deserialize_with = "number")]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// -fired_at: newest first, the one order of this list.
    #[serde(default)]
    sort: Option<String>,
    /// Words that each row must have: `field:text`, or text in some field.
    #[serde(default)]
    filter: Option<String>,
}

/// An incident with everything known about it.
#[derive(Debug, Serialize, ToSchema)]
struct IncidentDetail {
    #[serde(flatten)]
    incident: IncidentView,
    /// What happened, the oldest first.
    timeline: Vec<EventView>,
    /// Who was told, the oldest first.
    deliveries: Vec<DeliveryView>,
    /// What used most CPU at the breach; of an incident about memory or disks, what used most of those.
    #[schema(value_type = Vec<Object>)]
    top_processes: Vec<TopProcess>,
    notes: Vec<Note>,
    /// While it is open: how it stands now, why, and when more may be said; null once it is over.
    now: Option<Explained>,
    /// Whether all that is shown is stored. False while the hub cannot write to its disk and knows more than it could store: the incident
    /// is then shown from memory, and what is not written yet is missing from `timeline` and `deliveries`.
    stored: bool,
}

/// What somebody wrote.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Note {
    #[serde(default)]
    pub(super) at: String,
    pub(super) by: String,
    pub(super) text: String,
}

/// Lists incidents, newest first
#[utoipa::path(get, path = "/incidents", tag = "incidents", params(IncidentParams), responses((status = 200, description = "A page of incidents", body = Listing<IncidentView>)))]
async fn list(
    State(app): State<Arc<App>>,
    ApiQuery(params): ApiQuery<IncidentParams>,
) -> Result<Json<Listing<IncidentView>>, Problem> {
    let filter = Filter::read(params.filter.as_deref())?;
    newest_first(params.sort.as_deref(), "fired_at")?;
    let open = match params.state.as_deref() {
        None | Some("all") => None,
        Some("open") => Some(true),
        Some("resolved") => Some(false),
        Some(other) => return Err(Problem::invalid_field("state", format!("{other:?} is none of open, resolved, all"))),
    };
    let query = IncidentQuery {
        open,
        agent: id_in_query::<AgentId>("agent", params.agent.as_deref())?,
        rule: id_in_query::<RuleId>("rule", params.rule.as_deref())?,
        during: None,
        before: cursor(params.cursor.as_deref())?,
        limit: page_size(params.limit)?,
    };
    let found = app.read_state(move |store| store.incidents(&query)).await?;
    let holdings = app.registry.read();
    Ok(Json(Listing::of(found, |record| show(&holdings, &record)).filtered(&filter)))
}

/// Everything the store has of an incident, and what the hub knows of it beyond that.
pub(super) struct Found {
    pub(super) record: IncidentRecord,
    /// Whether the record is stored as it is here.
    pub(super) stored: bool,
    attachments: Vec<Attachment>,
    pub(super) events: Vec<LoggedEvent>,
    deliveries: Vec<Delivery>,
}

impl Found {
    /// One of which nothing is stored.
    const fn in_memory(record: IncidentRecord) -> Self {
        Self { record, stored: false, attachments: Vec::new(), events: Vec::new(), deliveries: Vec::new() }
    }

    /// What people wrote on it.
    pub(super) fn notes(&self) -> Vec<Note> {
        notes(&self.attachments)
    }
}

/// What is known of an incident and could not be written yet, because the disk is full.
async fn unwritten(app: &App, id: IncidentId) -> Option<IncidentRecord> {
    if app.measure.is_writable() { None } else { app.pipeline.unwritten(id).await }
}

pub(super) async fn find(app: &App, id: IncidentId) -> Result<Found, Problem> {
    // Before the store is read: what is written meanwhile is in both.
    let newer = unwritten(app, id).await;
    let found = app.read_state(move |store| {
        let Some((record, attachments)) = store.incident(id)? else { return Ok(None) };
        let events =
            store.events(&EventQuery { incident: Some(id), after: Some(0), limit: MOST_LINES, ..EventQuery::default() })?.items;
        let mut deliveries =
            store.deliveries(&DeliveryQuery { incident: Some(id), limit: MOST_LINES, ..DeliveryQuery::default() })?.items;
        deliveries.reverse();
        Ok(Some(Found { record, stored: true, attachments, events, deliveries }))
    });
    match (found.await?, newer) {
        (None, None) => Err(Problem::not_found("incident")),
        (Some(found), None) => Ok(found),
        (Some(found), Some(record)) => Ok(Found { record, stored: false, ..found }),
        (None, Some(record)) => Ok(Found::in_memory(record)),
    }
}

/// What used most CPU (or memory, or the disks, where that is the matter) at the breach: what was attached, else what the first page
/// said, else, while it lasts, what uses most now.
pub(super) fn top_processes(app: &App, found: &Found) -> Vec<TopProcess> {
    let metric = found.record.key.series.metric();
    if let Some(attached) = found.attachments.iter().find(|attachment| attachment.kind == "top_processes") {
        return top(&attached.json, metric);
    }
    let first = found.deliveries.iter().find(|delivery| delivery.row.kind == NoticeKind::Fired);
    let told = first.and_then(|delivery| serde_json::from_str::<Notification>(&delivery.row.payload_json).ok());
    if let Some(page) = told.filter(|page| !page.top_processes.is_empty()) {
        return page.top_processes;
    }
    let now = found.record.resolved_at.is_none().then(|| app.fleet.get(found.record.key.agent)).flatten();
    now.and_then(|vitals| vitals.top).map(|(_, json)| top(&json, metric)).unwrap_or_default()
}

fn notes(attachments: &[Attachment]) -> Vec<Note> {
    let read =
        |attachment: &Attachment| Some(Note { at: rfc3339(attachment.at), ..serde_json::from_str(&attachment.json).ok()? });
    attachments.iter().filter(|attachment| attachment.kind == "note").filter_map(read).collect()
}

/// Shows an incident with its timeline, deliveries, processes and notes
#[utoipa::path(get, path = "/incidents/{id}", tag = "incidents", params(("id" = String, Path, description = "Which incident")),
    responses((status = 200, description = "The incident", body = IncidentDetail)))]
async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    ApiPath(id): ApiPath<IncidentId>,
) -> Result<Json<IncidentDetail>, Problem> {
    detail(&app, &caller, id).await.map(Json)
}

async fn detail(app: &App, caller: &Caller, id: IncidentId) -> Result<IncidentDetail, Problem> {
    let found = find(app, id).await?;
    let now = match found.record.resolved_at {
        None => rules::of_incident(app, found.record.key.rule, id).await?,
        Some(_) => None,
    };
    let top_processes = top_processes(app, &found);
    let deliveries = found.deliveries.iter().map(|delivery| outbox::view(app, caller, delivery)).collect();
    let holdings = app.registry.read();
    Ok(IncidentDetail {
        incident: show(&holdings, &found.record),
        timeline: found.events.iter().map(|event| events::view(&holdings, event)).collect(),
        deliveries,
        top_processes,
        notes: notes(&found.attachments),
        now,
        stored: found.stored,
    })
}
