//! One metric over many agents, step by step, by tag.

use super::extract::{ApiQuery, Moment, Span};
use super::history::{self, Asked, MOST_POINTS};
use super::problem::Problem;
use super::validator::Validator;
use super::wire::metric;
use super::wire::seconds::Seconds;
use crate::app::App;
use crate::clock;
use crate::digits::{push_integer, push_json, push_json_number};
use crate::page::rfc3339;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use nightbell_model::{SeriesKey, Tier};
use nightbell_store::{FleetColumn, FleetFrame, FleetQuery};
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What nobody has asked for of late is read from the store, which takes a core: one at a time.
static READING: Semaphore = Semaphore::const_new(1);
/// The span and the step if nothing is said.
const STEP_MS: i64 = 60_000;
/// The narrowest step.
const NARROWEST_MS: i64 = 1_000;
/// So many heartbeats or buckets may be read for one answer: some seconds.
const MOST_ROWS: i64 = 10_000_000;
/// How far apart heartbeats usually are.
const HEARTBEAT_MS: i64 = 15_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(fleet))
}

/// What is wanted of the fleet.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FleetParams {
    /// A series key, or a metric, all of whose series of an agent are taken together.
    metric: String,
    /// From when on: RFC 3339, epoch seconds or milliseconds, `now`, `-24h`. Also called `from`.
    #[serde(default, alias = "from")]
    #[param(value_type = Option<String>)]
    start: Option<Moment>,
    /// Until when; now if left out. Also called `to`.
    #[serde(default, alias = "to")]
    #[param(value_type = Option<String>)]
    end: Option<Moment>,
    /// How wide the steps are, such as 5m; 1m if left out. Steps are aligned to multiples of it (UTC) and always whole.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    step: Option<Span>,
    /// mean (of each agent's mean, if left out), max or min (of all samples)
    #[serde(default)]
    agg: Option<String>,
    /// tag: one line for each tag, and one for agents without; else one line for all
    #[serde(default)]
    group_by: Option<String>,
    /// Only agents with this tag.
    #[serde(default)]
    tag: Option<String>,
}

/// One metric over many agents.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the shape of what is written straight into the answer")]
struct FleetAnswer {
    metric: String,
    unit: &'static str,
    /// mean, max or min
    agg: &'static str,
    start: String,
    end: String,
    #[schema(value_type = f64)]
    step_seconds: Seconds,
    /// The start of each step, in epoch milliseconds.
    t: Vec<i64>,
    groups: Vec<FleetGroup>,
}

/// The agents of a tag over the steps.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the shape of what is written straight into the answer")]
struct FleetGroup {
    /// The tag; null for agents without, or when nothing is grouped.
    tag: Option<String>,
    /// How many agents are in the group.
    agents: usize,
    /// Null where no agent has a sample.
    v: Vec<Option<f64>>,
    /// How many agents have a sample.
    count: Vec<u32>,
}

/// How the samples of a step become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agg {
    Mean,
    Max,
    Min,
}

impl Agg {
    fn from_name(name: &str) -> Option<Self> {
        [Self::Mean, Self::Max, Self::Min].into_iter().find(|agg| agg.name() == name)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Max => "max",
            Self::Min => "min",
        }
    }

    fn of(self, column: &FleetColumn) -> &[f64] {
        match self {
            Self::Mean => &column.mean,
            Self::Max => &column.max,
            Self::Min => &column.min,
        }
    }
}

/// A question, checked.
struct Question {
    key: SeriesKey,
    agg: Agg,
    asked: Asked,
    tags: Vec<Option<String>>,
    query: FleetQuery,
}

impl Question {
    fn new(app: &App, params: FleetParams) -> Result<Self, Problem> {
        let key = metric::key(&params.metric, "metric")?;
        let agg = params.agg.as_deref().unwrap_or("mean");
        let agg =
            Agg::from_name(agg).ok_or_else(|| Problem::invalid_field("agg", format!("{agg:?} is none of mean, max, min")))?;
        let step_ms = params.step.map_or(STEP_MS, |step| step.0);
        if step_ms < NARROWEST_MS {
            return Err(Problem::invalid_field("step", "a step is at least one second"));
        }
        let asked = history::span(params.start, params.end, clock::now())?;
        let (start, end) = (asked.start.floor_to(step_ms), asked.until.plus_millis(step_ms - 1).floor_to(step_ms));
        if end.millis_since(start) / step_ms > i64::try_from(MOST_POINTS).unwrap_or(i64::MAX) {
            return Err(Problem::invalid_field("step", format!("that is more than {MOST_POINTS} steps; ask for wider ones")));
        }
        let by_tag = match params.group_by.as_deref() {
            None => false,
            Some("tag") => true,
            Some(other) => return Err(Problem::invalid_field("group_by", format!("{other:?} is not tag"))),
        };
        let (tags, groups): (Vec<_>, Vec<_>) = app.registry.read().groups(by_tag, params.tag.as_deref()).into_iter().unzip();
        let query = FleetQuery { groups, series: key.to_string(), start, end, step_ms };
        check_size(&query)?;
        Ok(Self { key, agg, asked, tags, query })
    }

    fn write(&self, frame: &FleetFrame) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + frame.times.len() * (15 + 10 * frame.groups.len()));
        out.extend_from_slice(b"{\"metric\":");
        push_json(&mut out, self.key.as_str());
        out.extend_from_slice(b",\"unit\":");
        push_json(&mut out, metric::unit(self.key.metric()).name());
        out.extend_from_slice(b",\"agg\":");
        push_json(&mut out, self.agg.name());
        out.extend_from_slice(b",\"start\":");
        push_json(&mut out, &rfc3339(self.asked.start));
        out.extend_from_slice(b",\"end\":");
        push_json(&mut out, &rfc3339(self.asked.end));
        out.extend_from_slice(b",\"step_seconds\":");
        push_json(&mut out, &Seconds(self.query.step_ms));
        out.extend_from_slice(b",\"t\":");
        list(&mut out, &frame.times, |out, time| push_integer(out, time.as_millis()));
        out.extend_from_slice(b",\"groups\":[");
        for (at, ((tag, agents), column)) in self.tags.iter().zip(&self.query.groups).zip(&frame.groups).enumerate() {
            out.extend_from_slice(if at == 0 { b"{\"tag\":" } else { b",{\"tag\":" });
            push_json(&mut out, tag);
            out.extend_from_slice(b",\"agents\":");
            push_json(&mut out, &agents.len());
            out.extend_from_slice(b",\"v\":");
            let mut decimals = 2;
            list(&mut out, self.agg.of(column), |out, value| push_json_number(out, *value, &mut decimals));
            out.extend_from_slice(b",\"count\":");
            list(&mut out, &column.count, |out, count| push_integer(out, i64::from(*count)));
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        out
    }
}

fn list<T>(out: &mut Vec<u8>, items: &[T], mut item: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for one in items {
        item(out, one);
        out.push(b',');
    }
    out.pop_if(|last| *last == b',');
    out.push(b']');
}

/// Refuses what would keep a core busy for long.
fn check_size(query: &FleetQuery) -> Result<(), Problem> {
    let agents: i64 = query.groups.iter().map(|group| i64::try_from(group.len()).unwrap_or(i64::MAX)).sum();
    let tiers = Tier::ROLLUPS.into_iter().rev().filter_map(Tier::width_ms);
    let row_ms = tiers.into_iter().find(|width| query.step_ms % width == 0).unwrap_or(HEARTBEAT_MS);
    let rows = agents.saturating_mul(query.end.millis_since(query.start) / row_ms);
    if rows > MOST_ROWS {
        let why = format!(
            "that is about {rows} heartbeats or buckets, and one answer reads {MOST_ROWS}; ask for less time, fewer agents, or a step that is a multiple of 5m, 1h or 1d"
        );
        return Err(Problem::invalid_field("step", why));
    }
    Ok(())
}

/// Reads one metric over many agents
#[utoipa::path(get, path = "/metrics/fleet", tag = "metrics", params(FleetParams),
    responses((status = 200, description = "The metric by step and group", body = FleetAnswer), (status = 304, description = "Not changed since")))]
async fn fleet(
    State(app): State<Arc<App>>,
    ApiQuery(params): ApiQuery<FleetParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let question = Question::new(&app, params)?;
    let query = question.query.clone();
    let frame = {
        let app = Arc::clone(&app);
        let read = move || app.fleet_history.answer(&query, app.fleet.arrivals(), |missing| app.metrics.fleet(missing));
        let permit = READING.acquire().await;
        let found = tokio::task::spawn_blocking(read).await;
        drop(permit);
        found.map_err(|gone| Problem::internal(&gone))??
    };
    let body = question.write(&frame);
    // What is kept makes the answer for less than asking a thousand agents for their revisions: it is its own validator.
    let validator = (question.query.end <= clock::now()).then(|| Validator::of(&body));
    if let Some(known) = validator.as_ref().and_then(|validator| validator.unless_known(&headers)) {
        return Ok(known);
    }
    let answer = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    Ok(match validator {
        Some(validator) => validator.sign(answer),
        None => answer,
    })
}
