//! Incidents: the list, one with everything known about it, and people's words on it.

use super::charts::{self, Form};
use super::events::{self, EventView, id_in_query};
use super::extract::{ApiJson, ApiPath, ApiQuery, Caller, Listing, Span, cursor, number, page_size};
use super::outbox;
use super::problem::Problem;
use super::wire::body::OptionalJson;
use super::wire::change::Editor;
use super::wire::delivery::DeliveryView;
use super::wire::incident::{IncidentView, show};
use crate::app::App;
use crate::outbox::{ChartRequest, PictureError, incident_chart, incident_chart_svg};
use crate::page::{rfc3339, top_by_cpu};
use crate::clock;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use nightbell_alerts::{Ack, Event, EventKind, IncidentRecord, NoticeKind};
use nightbell_model::{AgentId, IncidentId, RuleId};
use nightbell_notify::{Notification, TopProcess};
use nightbell_store::{Attachment, Change, Delivery, DeliveryQuery, EventQuery, IncidentQuery, LoggedEvent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The most lines of a timeline, and the most deliveries shown with an incident.
const MOST_LINES: usize = 500;
/// The longest note, in characters.
const NOTE_LIMIT: usize = 4_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(acknowledge))
        .routes(routes!(unacknowledge))
        .routes(routes!(note))
        .routes(routes!(png))
        .routes(routes!(svg))
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
    /// What used most CPU at the breach.
    #[schema(value_type = Vec<Object>)]
    top_processes: Vec<TopProcess>,
    notes: Vec<Note>,
}

/// What somebody wrote.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Note {
    #[serde(default)]
    at: String,
    by: String,
    text: String,
}

/// Somebody is on it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AckBody {
    #[serde(default)]
    note: Option<String>,
    /// For how long, such as `2h`; to the end of the incident if left out.
    #[serde(default, rename = "for")]
    #[schema(value_type = Option<String>)]
    lasts: Option<Span>,
}

/// Something to write down.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NoteBody {
    text: String,
}

/// Nothing to say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// How the picture looks.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PictureParams {
    /// light or dark
    #[serde(default)]
    theme: Option<String>,
    /// 1 to 3; 2 if left out
    #[serde(default, deserialize_with = "number")]
    scale: Option<f64>,
    /// The time zone of the axis; that of the settings if left out.
    #[serde(default)]
    tz: Option<String>,
}

/// Lists incidents, newest first
#[utoipa::path(get, path = "/incidents", tag = "incidents", params(IncidentParams), responses((status = 200, description = "A page of incidents", body = Listing<IncidentView>)))]
async fn list(State(app): State<Arc<App>>, ApiQuery(params): ApiQuery<IncidentParams>) -> Result<Json<Listing<IncidentView>>, Problem> {
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
        before: cursor(params.cursor.as_deref())?,
        limit: page_size(params.limit)?,
    };
    let found = app.read_state(move |store| store.incidents(&query)).await?;
    let holdings = app.registry.read();
    Ok(Json(Listing::of(found, |record| show(&holdings, &record))))
}

/// Everything the store has of an incident.
struct Found {
    record: IncidentRecord,
    attachments: Vec<Attachment>,
    events: Vec<LoggedEvent>,
    deliveries: Vec<Delivery>,
}

async fn find(app: &App, id: IncidentId) -> Result<Found, Problem> {
    let found = app.read_state(move |store| {
        let Some((record, attachments)) = store.incident(id)? else { return Ok(None) };
        let events = store.events(&EventQuery { incident: Some(id), after: Some(0), limit: MOST_LINES, ..EventQuery::default() })?.items;
        let mut deliveries = store.deliveries(&DeliveryQuery { incident: Some(id), limit: MOST_LINES, ..DeliveryQuery::default() })?.items;
        deliveries.reverse();
        Ok(Some(Found { record, attachments, events, deliveries }))
    });
    found.await?.ok_or_else(|| Problem::not_found("incident"))
}

/// What used most at the breach: what was attached, else what the first page said, else, while it lasts, what uses most now.
fn top_processes(app: &App, found: &Found) -> Vec<TopProcess> {
    if let Some(attached) = found.attachments.iter().find(|attachment| attachment.kind == "top_processes") {
        return top_by_cpu(&attached.json);
    }
    let first = found.deliveries.iter().find(|delivery| delivery.row.kind == NoticeKind::Fired);
    let told = first.and_then(|delivery| serde_json::from_str::<Notification>(&delivery.row.payload_json).ok());
    if let Some(page) = told.filter(|page| !page.top_processes.is_empty()) {
        return page.top_processes;
    }
    let now = found.record.resolved_at.is_none().then(|| app.fleet.get(found.record.key.agent)).flatten();
    now.and_then(|vitals| vitals.top).map(|(_, json)| top_by_cpu(&json)).unwrap_or_default()
}

fn notes(attachments: &[Attachment]) -> Vec<Note> {
    let read = |attachment: &Attachment| Some(Note { at: rfc3339(attachment.at), ..serde_json::from_str(&attachment.json).ok()? });
    attachments.iter().filter(|attachment| attachment.kind == "note").filter_map(read).collect()
}

/// Shows an incident with its timeline, deliveries, processes and notes
#[utoipa::path(get, path = "/incidents/{id}", tag = "incidents", params(("id" = String, Path, description = "Which incident")),
    responses((status = 200, description = "The incident", body = IncidentDetail)))]
async fn one(State(app): State<Arc<App>>, caller: Caller, ApiPath(id): ApiPath<IncidentId>) -> Result<Json<IncidentDetail>, Problem> {
    detail(&app, &caller, id).await.map(Json)
}

async fn detail(app: &App, caller: &Caller, id: IncidentId) -> Result<IncidentDetail, Problem> {
    let found = find(app, id).await?;
    let top_processes = top_processes(app, &found);
    let deliveries = found.deliveries.iter().map(|delivery| outbox::view(app, caller, delivery)).collect();
    let holdings = app.registry.read();
    Ok(IncidentDetail {
        incident: show(&holdings, &found.record),
        timeline: found.events.iter().map(|event| events::view(&holdings, event)).collect(),
        deliveries,
        top_processes,
        notes: notes(&found.attachments),
    })
}

fn checked_note(pointer: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.chars().count() > NOTE_LIMIT {
        return Err(Problem::invalid_field(pointer, format!("at most {NOTE_LIMIT} characters")));
    }
    Ok(text.to_owned())
}

/// Says that the caller is on it: repeats and escalation stop
#[utoipa::path(post, path = "/incidents/{id}/ack", tag = "incidents", params(("id" = String, Path, description = "Which incident")),
    request_body = AckBody, responses((status = 200, description = "The incident", body = IncidentDetail)))]
async fn acknowledge(
    State(app): State<Arc<App>>,
    caller: Caller,
    editor: Editor,
    ApiPath(id): ApiPath<IncidentId>,
    OptionalJson(body): OptionalJson<AckBody>,
) -> Result<Json<IncidentDetail>, Problem> {
    let (note, now) = (checked_note("/note", body.note.as_deref().unwrap_or(""))?, clock::now());
    if body.lasts.is_some_and(|span| span.0 == 0) {
        return Err(Problem::invalid_field("/for", "must be longer than nothing"));
    }
    find(&app, id).await?;
    let ack = Ack { by: editor.name(), at: now, note: note.clone(), until: body.lasts.map(|span| now.plus_millis(span.0)) };
    if !app.pipeline.acknowledge(id, ack).await {
        return Err(Problem::conflict("this incident is not open any more"));
    }
    app.registry.apply(Vec::new(), Some(editor.entry("incident.ack", id, &json!({"note": note})))).await?;
    detail(&app, &caller, id).await.map(Json)
}

/// Takes an acknowledgement back
#[utoipa::path(post, path = "/incidents/{id}/unack", tag = "incidents", params(("id" = String, Path, description = "Which incident")),
    responses((status = 200, description = "The incident", body = IncidentDetail)))]
async fn unacknowledge(
    State(app): State<Arc<App>>,
    caller: Caller,
    editor: Editor,
    ApiPath(id): ApiPath<IncidentId>,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Json<IncidentDetail>, Problem> {
    find(&app, id).await?;
    if !app.pipeline.unacknowledge(id, editor.name()).await {
        return Err(Problem::conflict("this incident is not open any more, or nobody had acknowledged it"));
    }
    app.registry.apply(Vec::new(), Some(editor.entry("incident.unack", id, &json!({})))).await?;
    detail(&app, &caller, id).await.map(Json)
}

/// Writes a note on an incident
#[utoipa::path(post, path = "/incidents/{id}/note", tag = "incidents", params(("id" = String, Path, description = "Which incident")),
    request_body = NoteBody, responses((status = 200, description = "The incident", body = IncidentDetail)))]
async fn note(
    State(app): State<Arc<App>>,
    caller: Caller,
    editor: Editor,
    ApiPath(id): ApiPath<IncidentId>,
    ApiJson(body): ApiJson<NoteBody>,
) -> Result<Json<IncidentDetail>, Problem> {
    let text = checked_note("/text", &body.text)?;
    if text.is_empty() {
        return Err(Problem::invalid_field("/text", "must not be empty"));
    }
    let (record, at) = (find(&app, id).await?.record, clock::now());
    let json: Value = json!({"by": editor.name(), "text": text});
    let event = Event {
        at,
        kind: EventKind::Note,
        agent: Some(record.key.agent),
        rule: Some(record.key.rule),
        incident: Some(id),
        series: Some(record.key.series),
        value: None,
        threshold: None,
        reason: format!("{}: {text}", editor.name()),
    };
    let attach = Change::AttachToIncident { incident: id, at, kind: "note".to_owned(), json: json.to_string() };
    app.registry.apply(vec![attach, Change::LogEvent(event)], Some(editor.entry("incident.note", id, &json))).await?;
    detail(&app, &caller, id).await.map(Json)
}

async fn draw(app: Arc<App>, id: IncidentId, params: PictureParams, form: Form) -> Result<Response, Problem> {
    let found = app.read_state(move |store| store.incident(id)).await?;
    let (record, _) = found.ok_or_else(|| Problem::not_found("incident"))?;
    let request = ChartRequest {
        agent: record.key.agent,
        agent_name: super::wire::names::agent(&app.registry.read(), record.key.agent).name,
        threshold: Some(record.threshold).filter(|value| value.is_finite()),
        op: record.comparison.name().to_owned(),
        started_at: record.started_at,
        ended_at: record.resolved_at,
        now: clock::now(),
        zone: charts::zone(&app, params.tz.as_deref())?,
        theme: charts::theme(params.theme.as_deref())?,
        scale: params.scale.unwrap_or(2.0),
        series: record.key.series,
    };
    let bytes = charts::drawn(move || {
        let drawn = match form {
            Form::Svg => incident_chart_svg(&*app.metrics, &request).map(String::into_bytes),
            _ => incident_chart(&*app.metrics, &request),
        };
        drawn.map_err(|error| match error {
            PictureError::Store(error) => error.into(),
            PictureError::Chart(error) => charts::refused(error),
        })
    });
    let extension = if form == Form::Svg { "svg" } else { "png" };
    Ok(charts::picture(form, bytes.await?, &format!("incident_{id}.{extension}")))
}

/// Draws the series around an incident as PNG
#[utoipa::path(get, path = "/incidents/{id}/chart.png", tag = "incidents", params(("id" = String, Path, description = "Which incident"), PictureParams),
    responses((status = 200, description = "The picture", body = Vec<u8>, content_type = "image/png")))]
async fn png(State(app): State<Arc<App>>, ApiPath(id): ApiPath<IncidentId>, ApiQuery(params): ApiQuery<PictureParams>) -> Result<Response, Problem> {
    draw(app, id, params, Form::Png).await
}

/// Draws the series around an incident as SVG
#[utoipa::path(get, path = "/incidents/{id}/chart.svg", tag = "incidents", params(("id" = String, Path, description = "Which incident"), PictureParams),
    responses((status = 200, description = "The picture", body = String, content_type = "image/svg+xml")))]
async fn svg(State(app): State<Arc<App>>, ApiPath(id): ApiPath<IncidentId>, ApiQuery(params): ApiQuery<PictureParams>) -> Result<Response, Problem> {
    draw(app, id, params, Form::Svg).await
}
