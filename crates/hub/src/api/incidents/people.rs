//! People's words on an incident: somebody is on it, nobody is after all, and what they found.

use super::{IncidentDetail, detail, find};
use crate::acks;
use crate::api::extract::{ApiJson, ApiPath, Caller, Span};
use crate::api::problem::Problem;
use crate::api::wire::body::OptionalJson;
use crate::api::wire::change::Editor;
use crate::app::App;
use crate::clock;
use crate::page::rfc3339;
use crate::pipeline::Word;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use nightbell_alerts::{Ack, Event, EventKind};
use nightbell_model::IncidentId;
use nightbell_store::Change;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The longest note, in characters.
const NOTE_LIMIT: usize = 4_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(acknowledge)).routes(routes!(unacknowledge)).routes(routes!(note))
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

/// A word that counts and is not stored yet, for the hub cannot write to its disk.
#[derive(Debug, Serialize, ToSchema)]
struct Unstored {
    /// Which incident.
    id: String,
    /// Who is on it now; null if nobody is any more.
    ack: Option<UnstoredAck>,
    /// Always false.
    stored: bool,
    /// What that means.
    detail: &'static str,
}

/// Somebody's word as far as the hub remembers it.
#[derive(Debug, Serialize, ToSchema)]
struct UnstoredAck {
    by: String,
    at: String,
    note: String,
    until: Option<String>,
}

/// Nothing to say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn checked_note(pointer: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.chars().count() > NOTE_LIMIT {
        return Err(Problem::invalid_field(pointer, format!("at most {NOTE_LIMIT} characters")));
    }
    Ok(text.to_owned())
}

/// What somebody who said `ack` is answered.
async fn answer(app: &App, caller: &Caller, id: IncidentId, (word, ack): (Word, Option<Ack>)) -> Result<Response, Problem> {
    match word {
        Word::Stored => Ok(Json(detail(app, caller, id).await?).into_response()),
        Word::Unstored => {
            let ack =
                ack.map(|ack| UnstoredAck { by: ack.by, at: rfc3339(ack.at), note: ack.note, until: ack.until.map(rfc3339) });
            let detail = "it counts from now on, but the hub cannot write to its disk: it is written down as soon as there is room, \
                and forgotten if the hub is restarted before";
            let unstored = Unstored { id: id.to_string(), ack, stored: false, detail };
            Ok((StatusCode::ACCEPTED, Json(unstored)).into_response())
        }
        Word::NotOpen => {
            let known = find(app, id).await?;
            let why = if known.record.resolved_at.is_some() || ack.is_some() {
                "this incident is not open any more"
            } else {
                "nobody has acknowledged this incident"
            };
            Err(Problem::conflict(why))
        }
        Word::Unheard => Err(Problem::unavailable("the hub is stopping")),
    }
}

/// Says that the caller is on it: repeats and escalation stop
#[utoipa::path(post, path = "/incidents/{id}/ack", tag = "incidents", params(("id" = String, Path, description = "Which incident")),
    request_body = AckBody, responses((status = 200, description = "The incident", body = IncidentDetail),
        (status = 202, description = "It counts, but could not be stored yet: the hub cannot write to its disk", body = Unstored)))]
async fn acknowledge(
    State(app): State<Arc<App>>,
    caller: Caller,
    editor: Editor,
    ApiPath(id): ApiPath<IncidentId>,
    OptionalJson(body): OptionalJson<AckBody>,
) -> Result<Response, Problem> {
    let (note, now) = (checked_note("/note", body.note.as_deref().unwrap_or(""))?, clock::now());
    if body.lasts.is_some_and(|span| span.0 == 0) {
        return Err(Problem::invalid_field("/for", "must be longer than nothing"));
    }
    let ack = Ack { by: editor.name(), at: now, note: note.clone(), until: body.lasts.map(|span| now.plus_millis(span.0)) };
    let audit = editor.entry("incident.ack", id, &json!({"note": note}));
    // The evaluator is asked first: of what fired while the disk is full it alone knows.
    let word = acks::acknowledge(&app, id, ack.clone(), audit).await;
    answer(&app, &caller, id, (word, Some(ack))).await
}

/// Takes an acknowledgement back
#[utoipa::path(post, path = "/incidents/{id}/unack", tag = "incidents", params(("id" = String, Path, description = "Which incident")),
    responses((status = 200, description = "The incident", body = IncidentDetail),
        (status = 202, description = "It counts, but could not be stored yet: the hub cannot write to its disk", body = Unstored)))]
async fn unacknowledge(
    State(app): State<Arc<App>>,
    caller: Caller,
    editor: Editor,
    ApiPath(id): ApiPath<IncidentId>,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Response, Problem> {
    let audit = editor.entry("incident.unack", id, &json!({}));
    let word = app.pipeline.unacknowledge(id, editor.name(), audit).await;
    answer(&app, &caller, id, (word, None)).await
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
        rule: Some(record.key.rule),
        incident: Some(id),
        series: Some(record.key.series),
        ..Event::of_agent(record.key.agent, at, EventKind::Note, format!("{}: {text}", editor.name()))
    };
    let attach = Change::AttachToIncident { incident: id, at, kind: "note".to_owned(), json: json.to_string() };
    app.registry.apply(vec![attach, Change::LogEvent(event)], Some(editor.entry("incident.note", id, &json))).await?;
    detail(&app, &caller, id).await.map(Json)
}
