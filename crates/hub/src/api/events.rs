//! The event log, as pages and as CSV.

use super::extract::{ApiQuery, Listing, cursor, number, page_size};
use super::problem::Problem;
use super::wire::filter::{Filter, newest_first};
use super::wire::names::{self, Named, labels};
use crate::app::App;
use crate::page::rfc3339;
use crate::registry::Holdings;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use nightbell_alerts::EventKind;
use nightbell_charts::csv_field;
use nightbell_model::{AgentId, IncidentId, Ulid};
use nightbell_store::{EventQuery, LoggedEvent, Page};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The most lines of one CSV.
const CSV_LINES: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(csv))
}

/// A line of the event log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct EventView {
    id: String,
    /// Its place in the log; what `after` takes.
    seq: u64,
    ts: String,
    #[serde(rename = "type")]
    kind: &'static str,
    agent: Option<Named>,
    rule: Option<Named>,
    incident: Option<String>,
    metric: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    value: Option<f64>,
    threshold: Option<f64>,
    /// Why, in a few words; empty where the type says it all.
    reason: String,
}

/// Which lines.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventParams {
    /// Only of this agent.
    #[serde(default)]
    agent: Option<String>,
    /// Only of these types, separated by commas.
    #[serde(default, rename = "type")]
    kind: Option<String>,
    /// Only of this incident.
    #[serde(default)]
    incident: Option<String>,
    /// Only later than this `seq`, the oldest first; newest first without it.
    #[serde(default, deserialize_with = "number")]
    after: Option<u64>,
    /// At most so many, 1 to 500 (in a CSV to 10000).
    #[serde(default, deserialize_with = "number")]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// -ts: newest first, the one order of this list.
    #[serde(default)]
    sort: Option<String>,
    /// Words that each row must have: `field:text`, or text in some field.
    #[serde(default)]
    filter: Option<String>,
}

/// A line as the API shows it.
pub(super) fn view(holdings: &Holdings, logged: &LoggedEvent) -> EventView {
    let event = &logged.event;
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    EventView {
        id: Ulid::derived(event.at, &[b"event", &logged.seq.to_be_bytes()]).to_string(),
        seq: logged.seq,
        ts: rfc3339(event.at),
        kind: event.kind.name(),
        agent: event.agent.map(|id| names::agent(holdings, id)),
        rule: event.rule.map(|id| names::rule(holdings, id)),
        incident: event.incident.map(|id| id.to_string()),
        metric: event.series.as_ref().map(|key| key.metric().to_owned()),
        labels: event.series.as_ref().map(labels),
        value: finite(event.value),
        threshold: finite(event.threshold),
        reason: event.reason.clone(),
    }
}

/// A line as JSON, for live listeners.
pub(super) fn show(holdings: &Holdings, logged: &LoggedEvent) -> Value {
    serde_json::to_value(view(holdings, logged)).unwrap_or_default()
}

/// An id in a query, which must be one.
///
/// # Errors
/// When it is none.
pub(super) fn id_in_query<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: Option<&str>,
) -> Result<Option<T>, Problem> {
    text.map(|text| text.parse().map_err(|why: T::Err| Problem::invalid_field(name, why.to_string()))).transpose()
}

impl EventParams {
    fn query(&self, limit: usize) -> Result<EventQuery, Problem> {
        let kinds = self.kind.iter().flat_map(|list| list.split(','));
        let kind = |name: &str| {
            EventKind::from_name(name.trim())
                .ok_or_else(|| Problem::invalid_field("type", format!("{name:?} is no type of event")))
        };
        let place = cursor(self.cursor.as_deref())?;
        let ascending = self.after.is_some();
        if !ascending || self.sort.as_deref() != Some("ts") {
            newest_first(self.sort.as_deref(), "ts")?;
        }
        Ok(EventQuery {
            agent: id_in_query::<AgentId>("agent", self.agent.as_deref())?,
            kinds: kinds.map(kind).collect::<Result<_, _>>()?,
            incident: id_in_query::<IncidentId>("incident", self.incident.as_deref())?,
            during: None,
            after: if ascending { place.or(self.after) } else { None },
            before: if ascending { None } else { place },
            limit,
        })
    }
}

/// Lists events
#[utoipa::path(get, path = "/events", tag = "events", params(EventParams), responses((status = 200, description = "A page of the log", body = Listing<EventView>)))]
async fn list(State(app): State<Arc<App>>, ApiQuery(params): ApiQuery<EventParams>) -> Result<Json<Listing<EventView>>, Problem> {
    let query = params.query(page_size(params.limit)?)?;
    let filter = Filter::read(params.filter.as_deref())?;
    let found = app.read_state(move |store| store.events(&query)).await?;
    let holdings = app.registry.read();
    Ok(Json(Listing::of(found, |logged| view(&holdings, &logged)).filtered(&filter)))
}

/// Lists events as CSV
#[utoipa::path(get, path = "/events.csv", tag = "events", params(EventParams),
    responses((status = 200, description = "The log, RFC 4180", body = String, content_type = "text/csv")))]
async fn csv(State(app): State<Arc<App>>, ApiQuery(params): ApiQuery<EventParams>) -> Result<Response, Problem> {
    let limit = params.limit.unwrap_or(CSV_LINES);
    if !(1..=CSV_LINES).contains(&limit) {
        return Err(Problem::invalid_field("limit", format!("{limit} is not between 1 and {CSV_LINES}")));
    }
    let query = params.query(limit)?;
    let found: Page<LoggedEvent> = app.read_state(move |store| store.events(&query)).await?;
    let holdings = app.registry.read();
    let mut text = String::from("time_utc,type,agent,rule,series,value,threshold,reason,incident,seq\r\n");
    let filter = Filter::read(params.filter.as_deref())?;
    for logged in found.items.iter().filter(|logged| filter.is_open() || filter.admits(&view(&holdings, logged))) {
        text.push_str(&line(&holdings, logged));
    }
    let name = "attachment; filename=\"events.csv\"";
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8"), (header::CONTENT_DISPOSITION, name)], text).into_response())
}

fn line(holdings: &Holdings, logged: &LoggedEvent) -> String {
    let (event, view) = (&logged.event, view(holdings, logged));
    let name = |named: Option<Named>| named.map_or_else(String::new, |named| csv_field(&named.name));
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let series = event.series.as_ref().map_or_else(String::new, |key| csv_field(key.as_str()));
    let cells = [
        view.ts,
        view.kind.to_owned(),
        name(view.agent),
        name(view.rule),
        series,
        number(view.value),
        number(view.threshold),
        csv_field(&view.reason),
        view.incident.unwrap_or_default(),
        view.seq.to_string(),
    ];
    cells.join(",") + "\r\n"
}
