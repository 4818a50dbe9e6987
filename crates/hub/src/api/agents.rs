//! Agents: the list with newest values and levels, their names and tags, and their removal.

use super::extract::{ApiJson, ApiPath, ApiQuery, Listing, number, page_size};
use super::problem::{Fault, Problem};
use super::thresholds::{LevelsView, levels_of};
use super::wire::body::{Object, typed};
use super::wire::change::{self, Editor};
use super::wire::filter::{self, Filter};
use super::wire::paging;
use super::wire::seconds::Seconds;
use crate::app::App;
use crate::clock;
use crate::fleet::Vitals;
use crate::page::rfc3339;
use crate::port::valid_tag;
use crate::registry::Holdings;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use nightbell_model::{AgentId, Timestamp};
use nightbell_store::{AgentRow, Change};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The longest name, in characters, and the most tags.
const NAME_LIMIT: usize = 200;
const TAG_LIMIT: usize = 64;
/// What a GET shows that cannot be changed.
const READ_ONLY: [&str; 10] =
    ["id", "status", "last_seen", "created_at", "version", "interval_seconds", "facts", "metrics", "older", "thresholds"];
/// What every agent's facts have, known or not.
const FACTS: [&str; 5] = ["os", "kernel", "cpu_model", "cores", "memory_bytes"];

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, change, remove))
}

/// An agent.
#[derive(Debug, Serialize, ToSchema)]
struct Agent {
    id: String,
    name: String,
    /// online or offline
    status: &'static str,
    last_seen: Option<String>,
    created_at: String,
    /// The agent program's version.
    version: String,
    tags: Vec<String>,
    /// A paused agent is not alerted on.
    paused: bool,
    #[schema(value_type = f64)]
    interval_seconds: Seconds,
    /// What its host is.
    #[schema(value_type = Object)]
    facts: Value,
    /// The newest value of each series.
    metrics: BTreeMap<String, Option<f64>>,
    /// When series were measured whose value is older than the newest heartbeat, because they are measured more seldom.
    older: BTreeMap<String, String>,
    /// The levels of each metric or series that has some.
    thresholds: BTreeMap<String, LevelsView>,
}

/// Which agents.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// online or offline
    #[serde(default)]
    status: Option<String>,
    /// Only those with this tag.
    #[serde(default)]
    tag: Option<String>,
    /// Only those whose name, id or tags contain this text.
    #[serde(default)]
    q: Option<String>,
    /// At most so many, 1 to 500.
    #[serde(default, deserialize_with = "number")]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// name, status, last_seen or created_at; with a minus in front descending
    #[serde(default)]
    sort: Option<String>,
    /// Words that each agent must have: `field:text` (such as `tags:db`), or text in its name, id, tags, status or version.
    #[serde(default)]
    filter: Option<String>,
}

/// What is to be different.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AgentPatch {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    paused: Option<bool>,
}

/// What is to be removed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RemoveParams {
    /// Whether its history goes too.
    #[serde(default, deserialize_with = "number")]
    purge: Option<bool>,
}

/// An agent that must be there.
///
/// # Errors
/// When it is not.
pub(super) fn find(holdings: &Holdings, id: AgentId) -> Result<AgentRow, Problem> {
    holdings.agents.get(&id).cloned().ok_or_else(|| Problem::not_found("agent"))
}

fn status(vitals: &Vitals, now: Timestamp) -> &'static str {
    if vitals.is_online(now) { "online" } else { "offline" }
}

fn facts(text: &str) -> Value {
    let mut facts: Object = serde_json::from_str(text).unwrap_or_default();
    for name in FACTS {
        facts.entry(name).or_insert(Value::Null);
    }
    Value::Object(facts)
}

fn view(holdings: &Holdings, row: &AgentRow, vitals: &Vitals, now: Timestamp) -> Agent {
    let finite = |value: f64| Some(value).filter(|value| value.is_finite());
    let newest = vitals.latest.iter().flat_map(|batch| batch.samples());
    let older = vitals.older().map(|older| (&older.key, older.value));
    Agent {
        id: row.id.to_string(),
        name: row.name.clone(),
        status: status(vitals, now),
        last_seen: vitals.last_seen.map(rfc3339),
        created_at: rfc3339(row.created_at),
        version: row.version.clone(),
        tags: row.tags.clone(),
        paused: row.paused,
        interval_seconds: Seconds(row.interval_ms),
        facts: facts(&row.facts_json),
        metrics: newest.chain(older).map(|(key, value)| (key.to_string(), finite(value))).collect(),
        older: vitals.older().map(|older| (older.key.to_string(), rfc3339(older.at))).collect(),
        thresholds: levels_of(&holdings.levels, row.id),
    }
}

/// What a filter looks at.
fn brief(row: &AgentRow, status: &str) -> Value {
    json!({"id": row.id.to_string(), "name": row.name, "status": status, "tags": row.tags, "version": row.version, "paused": row.paused})
}

fn view_of(app: &App, id: AgentId) -> Result<Agent, Problem> {
    let vitals = app.fleet.get(id).unwrap_or_default();
    let holdings = app.registry.read();
    let row = find(&holdings, id)?;
    Ok(view(&holdings, &row, &vitals, clock::now()))
}

impl ListParams {
    fn admits(&self, row: &AgentRow, status: &str) -> bool {
        let contains =
            |text: &str| row.name.to_lowercase().contains(text) || row.tags.iter().any(|tag| tag.to_lowercase().contains(text));
        self.status.as_deref().is_none_or(|wanted| wanted == status)
            && self.tag.as_ref().is_none_or(|tag| row.tags.contains(tag))
            && self.q.as_deref().is_none_or(|q| contains(&q.to_lowercase()) || q.eq_ignore_ascii_case(&row.id.to_string()))
    }

    /// By what to sort, and whether descending.
    fn order(&self) -> Result<(&'static str, bool), Problem> {
        let order = filter::order(self.sort.as_deref(), &["name", "status", "last_seen", "created_at"])?;
        Ok(order.unwrap_or(("name", false)))
    }
}

fn sort_key(field: &str, row: &AgentRow, vitals: &Vitals, status: &str) -> String {
    let moment = |at: Option<Timestamp>| format!("{:020}", at.map_or(0, |at| at.as_millis().max(0)));
    match field {
        "status" => status.to_owned(),
        "last_seen" => moment(vitals.last_seen),
        "created_at" => moment(Some(row.created_at)),
        _ => row.name.to_lowercase(),
    }
}

/// Lists agents
#[utoipa::path(get, path = "/agents", tag = "agents", params(ListParams),
    responses((status = 200, description = "A page of agents", body = Listing<Agent>)))]
async fn list(State(app): State<Arc<App>>, ApiQuery(params): ApiQuery<ListParams>) -> Result<Json<Listing<Agent>>, Problem> {
    let (limit, (field, descending), now) = (page_size(params.limit)?, params.order()?, clock::now());
    let filter = Filter::read(params.filter.as_deref())?;
    if let Some(wanted) = params.status.as_deref().filter(|wanted| !["online", "offline"].contains(wanted)) {
        return Err(Problem::invalid_field("status", format!("{wanted:?} is neither online nor offline")));
    }
    let fleet = app.fleet.read().clone();
    let holdings = app.registry.read();
    let nothing = Vitals::default();
    let rows = holdings.agents.values().filter_map(|row| {
        let vitals = fleet.get(&row.id).unwrap_or(&nothing);
        let status = status(vitals, now);
        let admitted = params.admits(row, status) && (filter.is_open() || filter.admits(&brief(row, status)));
        admitted.then(|| ((sort_key(field, row, vitals, status), row.id.to_string()), (row, vitals)))
    });
    let found = paging::page(rows.collect(), descending, limit, params.cursor.as_deref())?;
    let items = found.items.into_iter().map(|(row, vitals)| view(&holdings, row, vitals, now)).collect();
    Ok(Json(Listing { items, next_cursor: found.next_cursor }))
}

/// Shows an agent
#[utoipa::path(get, path = "/agents/{id}", tag = "agents", params(("id" = String, Path, description = "Which agent")),
    responses((status = 200, description = "The agent", body = Agent)))]
async fn show(State(app): State<Arc<App>>, ApiPath(id): ApiPath<AgentId>) -> Result<Json<Agent>, Problem> {
    view_of(&app, id).map(Json)
}

/// Changes an agent's name, tags, or whether it is paused
#[utoipa::path(patch, path = "/agents/{id}", tag = "agents", params(("id" = String, Path, description = "Which agent")),
    request_body = AgentPatch, responses((status = 200, description = "Changed", body = Agent)))]
async fn change(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiPath(id): ApiPath<AgentId>,
    ApiJson(body): ApiJson<Object>,
) -> Result<Json<Agent>, Problem> {
    let patch: AgentPatch = typed(body, &READ_ONLY)?;
    let turn = change::turn().await;
    let mut row = find(&app.registry.read(), id)?;
    let detail = json!({"name": patch.name, "tags": patch.tags, "paused": patch.paused});
    apply(patch.clone(), &mut row)?;
    let namesake = app.registry.read().agent_named(&row.name).is_some_and(|other| other.id != id);
    if namesake {
        return Err(Problem::conflict(format!("there is another agent called {:?}", row.name)));
    }
    // What the agent says of itself may change meanwhile.
    let alter = move |row: &mut AgentRow| drop(apply(patch, row));
    app.registry.alter_agent(id, editor.entry("agent.change", id, &detail), alter).await?;
    drop(turn);
    view_of(&app, id).map(Json)
}

fn apply(patch: AgentPatch, row: &mut AgentRow) -> Result<(), Problem> {
    let mut faults = Vec::new();
    if let Some(name) = patch.name {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME_LIMIT || name.chars().any(char::is_control) {
            faults.push(Fault::new("/name", format!("a name has 1 to {NAME_LIMIT} characters and no control characters")));
        }
        name.clone_into(&mut row.name);
    }
    if let Some(mut tags) = patch.tags {
        for (at, tag) in tags.iter().enumerate().filter(|(_, tag)| !valid_tag(tag)) {
            faults.push(Fault::new(
                format!("/tags/{at}"),
                format!("{tag:?} is no tag: letters, digits, . _ - : and /, 1 to 64 bytes"),
            ));
        }
        tags.sort_unstable();
        tags.dedup();
        if tags.len() > TAG_LIMIT {
            faults.push(Fault::new("/tags", format!("at most {TAG_LIMIT} tags")));
        }
        row.tags = tags;
    }
    row.paused = patch.paused.unwrap_or(row.paused);
    if faults.is_empty() { Ok(()) } else { Err(Problem::invalid(faults)) }
}

/// Removes an agent: its credential stops working, its incidents end
#[utoipa::path(delete, path = "/agents/{id}", tag = "agents",
    params(("id" = String, Path, description = "Which agent"), RemoveParams), responses((status = 204, description = "Removed")))]
async fn remove(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiPath(id): ApiPath<AgentId>,
    ApiQuery(params): ApiQuery<RemoveParams>,
) -> Result<StatusCode, Problem> {
    let purge = params.purge.unwrap_or(false);
    let _turn = change::turn().await;
    let row = find(&app.registry.read(), id)?;
    let entry = editor.entry("agent.delete", id, &json!({"name": row.name, "purge": purge}));
    app.registry.apply(vec![Change::DeleteAgent { id, purge }], Some(entry)).await?;
    app.port.disconnect(id);
    Ok(StatusCode::NO_CONTENT)
}
