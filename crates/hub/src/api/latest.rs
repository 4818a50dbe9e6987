//! What the fleet measures now: the newest values of all agents, and the largest and smallest of a metric. Answered from memory.

use super::extract::{ApiQuery, number};
use super::problem::Problem;
use super::wire::metric;
use super::wire::names::{Named, labels};
use crate::app::App;
use crate::clock;
use crate::digits::{push_integer, push_json, push_json_number};
use crate::fleet::Vitals;
use crate::lookup::Places;
use crate::page::rfc3339;
use crate::registry::Holdings;
use crate::slow::Older;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use nightbell_model::{Batch, SeriesKey, Timestamp};
use nightbell_store::AgentRow;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many series a ranking names if nothing is said, and the most.
const TOP_DEFAULT: usize = 10;
const TOP_MOST: usize = 1_000;
/// About how long an agent is in the answer, so that memory is asked for once.
const AGENT_BYTES: usize = 160;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(latest)).routes(routes!(top))
}

/// Which agents and series.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LatestParams {
    /// Series keys and metric names, separated by commas; all of them if left out.
    #[serde(default)]
    metrics: Option<String>,
    /// Only agents with this tag.
    #[serde(default)]
    tag: Option<String>,
}

/// The newest values of all agents, by id.
#[derive(Debug, ToSchema)]
#[cfg_attr(test, derive(Serialize))]
#[cfg_attr(not(test), expect(dead_code, reason = "the shape of what is written straight into the answer"))]
struct Latest {
    items: Vec<LatestAgent>,
}

/// The newest values of an agent.
#[derive(Debug, ToSchema)]
#[cfg_attr(test, derive(Serialize))]
#[cfg_attr(not(test), expect(dead_code, reason = "the shape of what is written straight into the answer"))]
struct LatestAgent {
    id: String,
    name: String,
    /// online or offline
    status: &'static str,
    /// When the values were measured, in epoch milliseconds; null if there are none.
    t: Option<i64>,
    /// The value of each series; null where it is infinite.
    metrics: BTreeMap<String, Option<f64>>,
    /// When series were measured whose value is older than `t`, because they are measured more seldom, in epoch milliseconds; left
    /// out if there are none.
    older: Option<BTreeMap<String, i64>>,
}

/// What is ranked, and how.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TopParams {
    /// A metric, all of whose series take part, or one series key.
    metric: String,
    /// How many, 1 to 1000; 10 if left out.
    #[serde(default, deserialize_with = "number")]
    n: Option<usize>,
    /// desc (the largest first, if left out) or asc
    #[serde(default)]
    order: Option<String>,
    /// Only agents with this tag.
    #[serde(default)]
    tag: Option<String>,
}

/// The largest or smallest newest values of a metric over the agents that are online.
#[derive(Debug, Serialize, ToSchema)]
struct Ranking {
    metric: String,
    unit: &'static str,
    /// desc or asc
    order: &'static str,
    items: Vec<Ranked>,
}

/// A series in a ranking.
#[derive(Debug, Serialize, ToSchema)]
struct Ranked {
    agent: Named,
    metric: String,
    labels: BTreeMap<String, String>,
    value: f64,
    /// When it was measured.
    timestamp: String,
}

/// An agent with its newest heartbeat, picked out quickly so that the pipeline need not wait.
struct Reading<'a> {
    row: &'a AgentRow,
    online: bool,
    latest: Option<Arc<Batch>>,
    older: Vec<Older>,
}

/// The agents with a tag (all if none is named), by id.
fn readings<'a>(app: &App, holdings: &'a Holdings, tag: Option<&String>) -> Vec<Reading<'a>> {
    let now = clock::now();
    let rows = holdings.agents.values().filter(|row| tag.is_none_or(|tag| row.tags.contains(tag)));
    let fleet = app.fleet.read();
    let reading = |row: &'a AgentRow| {
        let vitals: Option<&Vitals> = fleet.get(&row.id);
        Reading {
            row,
            online: vitals.is_some_and(|v| v.is_online(now)),
            latest: vitals.and_then(|v| v.latest.clone()),
            older: vitals.map(|v| v.older().cloned().collect()).unwrap_or_default(),
        }
    };
    let mut found: Vec<Reading<'a>> = rows.map(reading).collect();
    drop(fleet);
    found.sort_unstable_by_key(|reading| reading.row.id);
    found
}

/// Reads the newest values of all agents
#[utoipa::path(get, path = "/agents/latest", tag = "metrics", params(LatestParams),
    responses((status = 200, description = "The newest values of all agents", body = Latest)))]
async fn latest(State(app): State<Arc<App>>, ApiQuery(params): ApiQuery<LatestParams>) -> Result<Response, Problem> {
    let wanted = params.metrics.as_deref().map(metric::keys).transpose()?.unwrap_or_default();
    let holdings = app.registry.read();
    let readings = readings(&app, &holdings, params.tag.as_ref());
    let mut out = Vec::with_capacity(readings.len() * AGENT_BYTES);
    out.extend_from_slice(b"{\"items\":[");
    app.lookup.ask(&wanted, |places| {
        for reading in &readings {
            let older: Vec<&Older> = reading.older.iter().filter(|older| places.wants(&older.key)).collect();
            write_reading(&mut out, reading, &older, |out, batch| {
                let mut decimals = 2;
                for place in places.of(&batch.schema) {
                    let value = batch.values[place.position as usize];
                    if !value.is_nan() {
                        out.extend_from_slice(&place.field);
                        push_json_number(out, value, &mut decimals);
                        out.push(b',');
                    }
                }
            });
        }
    });
    close(&mut out, b"]}");
    Ok(([(header::CONTENT_TYPE, "application/json")], out).into_response())
}

fn write_reading(out: &mut Vec<u8>, reading: &Reading<'_>, older: &[&Older], values: impl FnOnce(&mut Vec<u8>, &Batch)) {
    out.extend_from_slice(b"{\"id\":");
    push_json(out, &reading.row.id.to_string());
    out.extend_from_slice(b",\"name\":");
    push_json(out, &reading.row.name);
    out.extend_from_slice(if reading.online { b",\"status\":\"online\",\"t\":" } else { b",\"status\":\"offline\",\"t\":" });
    match &reading.latest {
        Some(batch) => {
            push_integer(out, batch.ts.as_millis());
            out.extend_from_slice(b",\"metrics\":{");
            values(out, batch);
        }
        None => out.extend_from_slice(b"null,\"metrics\":{"),
    }
    write_older(out, older);
    out.extend_from_slice(b"},");
}

/// The values of slow series, the end of the values, and when those were measured.
fn write_older(out: &mut Vec<u8>, older: &[&Older]) {
    let field = |out: &mut Vec<u8>, older: &Older| {
        push_json(out, older.key.as_str());
        out.push(b':');
    };
    let mut decimals = 2;
    for older in older {
        field(out, older);
        push_json_number(out, older.value, &mut decimals);
        out.push(b',');
    }
    close(out, b"}");
    if older.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"older\":{");
    for older in older {
        field(out, older);
        push_integer(out, older.at.as_millis());
        out.push(b',');
    }
    close(out, b"}");
}

/// Ends a list or object: a comma after its last member goes.
fn close(out: &mut Vec<u8>, end: &[u8]) {
    out.pop_if(|last| *last == b',');
    out.extend_from_slice(end);
}

/// Ranks the newest values of a metric over the agents that are online
#[utoipa::path(get, path = "/metrics/top", tag = "metrics", params(TopParams),
    responses((status = 200, description = "The largest or smallest values now", body = Ranking)))]
async fn top(State(app): State<Arc<App>>, ApiQuery(params): ApiQuery<TopParams>) -> Result<Json<Ranking>, Problem> {
    let key = metric::key(&params.metric, "metric")?;
    let count = params.n.unwrap_or(TOP_DEFAULT);
    if !(1..=TOP_MOST).contains(&count) {
        return Err(Problem::invalid_field("n", format!("{count} is not between 1 and {TOP_MOST}")));
    }
    let order = match params.order.as_deref() {
        None | Some("desc") => "desc",
        Some("asc") => "asc",
        Some(other) => return Err(Problem::invalid_field("order", format!("{other:?} is neither desc nor asc"))),
    };
    let holdings = app.registry.read();
    let readings = readings(&app, &holdings, params.tag.as_ref());
    let items = app.lookup.ask(&[key.to_string()], |places| best(candidates(&readings, places), count, order == "desc"));
    let items = items.iter().map(Candidate::show).collect();
    Ok(Json(Ranking { metric: key.to_string(), unit: metric::unit(key.metric()).name(), order, items }))
}

/// A series that takes part in a ranking.
#[derive(Debug)]
struct Candidate<'a> {
    row: &'a AgentRow,
    key: &'a SeriesKey,
    at: Timestamp,
    value: f64,
}

impl Candidate<'_> {
    /// By value, and where that is the same by agent and series, so that the same question has the same answer.
    fn compare(&self, other: &Self, largest_first: bool) -> Ordering {
        let values = self.value.total_cmp(&other.value);
        let values = if largest_first { values.reverse() } else { values };
        values.then_with(|| (self.row.id, self.key).cmp(&(other.row.id, other.key)))
    }

    fn show(&self) -> Ranked {
        Ranked {
            agent: Named { id: self.row.id.to_string(), name: self.row.name.clone() },
            metric: self.key.metric().to_owned(),
            labels: labels(self.key),
            value: self.value,
            timestamp: rfc3339(self.at),
        }
    }
}

/// The finite values of the agents that are online: what an agent said before it fell silent is not how things are.
fn candidates<'a>(readings: &'a [Reading<'_>], places: &mut Places) -> Vec<Candidate<'a>> {
    let mut found = Vec::with_capacity(readings.len());
    for reading in readings.iter().filter(|reading| reading.online) {
        let Some(batch) = reading.latest.as_deref() else { continue };
        for place in places.of(&batch.schema) {
            let position = place.position as usize;
            let value = batch.values[position];
            if value.is_finite() {
                found.push(Candidate { row: reading.row, key: &batch.schema.keys()[position], at: batch.ts, value });
            }
        }
        let older = reading.older.iter().filter(|older| older.value.is_finite() && places.wants(&older.key));
        found.extend(older.map(|older| Candidate { row: reading.row, key: &older.key, at: older.at, value: older.value }));
    }
    found
}

/// The first `count` of the ranking.
fn best(mut candidates: Vec<Candidate<'_>>, count: usize, largest_first: bool) -> Vec<Candidate<'_>> {
    if count < candidates.len() {
        candidates.select_nth_unstable_by(count, |a, b| a.compare(b, largest_first));
        candidates.truncate(count);
    }
    candidates.sort_unstable_by(|a, b| a.compare(b, largest_first));
    candidates
}
