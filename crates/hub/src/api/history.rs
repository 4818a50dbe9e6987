//! History of an agent's series, as JSON columns or CSV.

mod columns;
mod stream;

use super::agents;
use super::extract::{ApiPath, ApiQuery, Moment, number};
use super::problem::Problem;
use super::validator::{Validator, may_be_closed};
use super::wire::metric;
use super::wire::names::file_part;
use crate::app::App;
use crate::clock;
use crate::export::Wanted;
use crate::page::rfc3339;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use columns::History;
use nightbell_model::{AgentId, Frame, SeriesKey, Tier, Timestamp};
use nightbell_store::{AgentRow, Damaged, MetricStore, RangeQuery, StoreError};
use serde::Deserialize;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The span that is shown if nothing is said.
const DEFAULT_SPAN_MS: i64 = 86_400_000;
/// Points: by default, and the most (Prometheus' own cap of a range query).
const DEFAULT_POINTS: usize = 1_000;
pub(super) const MOST_POINTS: usize = 11_000;
/// An end so near to the present means the present, and everything acknowledged up to it.
const PRESENT_MS: i64 = 1_000;
/// Heartbeats that come faster than one in a millisecond take the milliseconds after it: so far ahead of the clock their times may
/// run (ALERTING.md, section 1), and they have been acknowledged.
const AHEAD_MS: i64 = 1_000;
/// The most values of one answer: some hundred megabytes of JSON.
const MOST_VALUES: usize = 5_000_000;
/// The most series that are chosen from others by their names.
const MOST_CHOSEN: usize = 2_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(history)).routes(routes!(history_csv))
}

/// Which part of history.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryParams {
    /// Series keys and metric names, separated by commas; all of them if left out.
    #[serde(default)]
    metrics: Option<String>,
    /// From when on: RFC 3339, epoch seconds or milliseconds, `now`, `-24h`. Also called `from`.
    #[serde(default, alias = "from")]
    #[param(value_type = Option<String>)]
    start: Option<Moment>,
    /// Until when; now if left out. Also called `to`.
    #[serde(default, alias = "to")]
    #[param(value_type = Option<String>)]
    end: Option<Moment>,
    /// At most about so many points, 1 to 11000; 1000 if left out.
    #[serde(default, deserialize_with = "number")]
    max_points: Option<usize>,
    /// auto, raw, 5m, hourly or daily
    #[serde(default)]
    tier: Option<String>,
}

/// A span as it was asked for and as it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// The first moment that is not read.
    pub(super) until: Timestamp,
}

/// The span from `start` to `end`, by default the last 24 hours.
///
/// # Errors
/// When it is empty.
pub(super) fn span(start: Option<Moment>, end: Option<Moment>, now: Timestamp) -> Result<Asked, Problem> {
    let end = end.map_or(now, |end| end.0);
    let start = start.map_or_else(|| end.plus_millis(-DEFAULT_SPAN_MS), |start| start.0);
    if start >= end {
        return Err(Problem::invalid_field("start", format!("{} does not lie before the end {}", rfc3339(start), rfc3339(end))));
    }
    let is_present = now.millis_since(end).abs() < PRESENT_MS;
    Ok(Asked { start, end, until: if is_present { end.max(now).plus_millis(AHEAD_MS + 1) } else { end } })
}

/// In which form history is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
}

impl Form {
    const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

/// A request, checked.
struct Request {
    agent: AgentRow,
    asked: Asked,
    query: RangeQuery,
}

impl Request {
    fn new(app: &App, id: AgentId, params: &HistoryParams) -> Result<Self, Problem> {
        let agent = agents::find(&app.registry.read(), id)?;
        let now = clock::now();
        let asked = span(params.start, params.end, now)?;
        let series = params.metrics.as_deref().map(metric::keys).transpose()?.unwrap_or_default();
        let max_points = params.max_points.unwrap_or(DEFAULT_POINTS);
        if !(1..=MOST_POINTS).contains(&max_points) {
            return Err(Problem::invalid_field("max_points", format!("{max_points} is not between 1 and {MOST_POINTS}")));
        }
        let no_tier = |name| Problem::invalid_field("tier", format!("{name:?} is none of auto, raw, 5m, hourly, daily"));
        let tier = match params.tier.as_deref() {
            None | Some("auto") => None,
            Some(name) => Some(Tier::from_name(name).ok_or_else(|| no_tier(name))?),
        };
        let query = RangeQuery { agent: id, series, start: asked.start, end: asked.until, tier, max_points, now };
        Ok(Self { agent, asked, query })
    }

    async fn frame(&self, app: &App) -> Result<(Frame, Vec<Damaged>), Problem> {
        let query = self.query.clone();
        let read = move |store: &dyn MetricStore| {
            let frame = within_bounds(store, &query, MOST_VALUES)?;
            // What is found damaged while it is read is in the list, too.
            Ok((frame, store.damage(query.agent, query.start, query.end)?))
        };
        match app.read_metrics(read).await {
            Err(error @ StoreError::TooMuch { .. }) => {
                let why = format!("{error}; ask for fewer series, less time or a coarser tier, or for CSV of a tier");
                Err(Problem::invalid_field("metrics", why))
            }
            read => Ok(read?),
        }
    }

    /// What the answer depends on; `None` while it still grows.
    async fn validator(&self, app: &App, form: &str) -> Result<Option<Validator>, Problem> {
        let RangeQuery { agent, start, end, now, .. } = self.query;
        if !may_be_closed(end, now) {
            return Ok(None);
        }
        let read =
            move |store: &dyn MetricStore| Ok((store.revision(agent, start, end)?, store.damage(agent, start, end)?.len()));
        let (revision, damaged) = app.read_metrics(read).await?;
        let query = &self.query;
        let asked = (start.as_millis(), end.as_millis(), query.max_points, query.tier, &query.series);
        Ok(revision.map(|revision| Validator::of((form, revision, damaged, asked, agent.bits(), &self.agent.name))))
    }

    async fn answer(&self, app: &App, headers: &HeaderMap, form: Form) -> Result<Response, Problem> {
        let validator = self.validator(app, form.name()).await?;
        if let Some(known) = validator.as_ref().and_then(|validator| validator.unless_known(headers)) {
            return Ok(known);
        }
        let answer = match form {
            Form::Json => self.json(app).await?,
            Form::Csv => self.csv(app).await?,
        };
        Ok(match validator {
            Some(validator) => validator.sign(answer),
            None => answer,
        })
    }

    async fn json(&self, app: &App) -> Result<Response, Problem> {
        let (frame, damaged) = self.frame(app).await?;
        let body = columns::json(self.agent.id, self.asked, &frame, &damaged);
        Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
    }

    /// A tier named outright is given whole, however long that is; what the hub chooses fits into the point budget.
    async fn csv(&self, app: &App) -> Result<Response, Problem> {
        let Some(tier) = self.query.tier else {
            let (frame, _damaged) = self.frame(app).await?;
            return csv_response(&self.agent, what(frame.columns.iter().map(|column| &column.key)), &frame);
        };
        let RangeQuery { agent, series, start, end, now, .. } = self.query.clone();
        let (columns, body) = stream::stream(app, Wanted { agent, series, start, end, tier, marks_gaps: true, now }).await?;
        let name = file_name(&self.agent, what(columns.iter()), &Frame::empty(start, end), "csv");
        Ok((csv_headers(&name), body).into_response())
    }
}

/// Reads no more than fits into an answer. An agent may have had many series in its life and few of them in the span, whose others
/// have no place in the answer: only if the first try finds too much, it is asked which those are.
fn within_bounds(store: &dyn MetricStore, query: &RangeQuery, most: usize) -> Result<Frame, StoreError> {
    match store.range_within(query, most) {
        Err(StoreError::TooMuch { .. }) => {}
        read => return read,
    }
    let outline = store.range(&RangeQuery { tier: None, max_points: 1, ..query.clone() })?;
    if outline.columns.len() > MOST_CHOSEN {
        return Err(StoreError::TooMuch { most });
    }
    let series = outline.columns.iter().map(|column| column.key.to_string()).collect();
    store.range_within(&RangeQuery { series, ..query.clone() }, most)
}

fn tier_name(frame: &Frame) -> &'static str {
    match frame.tiers.as_slice() {
        [] => Tier::Raw.name(),
        [tier] => tier.name(),
        _ => "mixed",
    }
}

/// A frame as a file of comma-separated values called after the agent.
pub(super) fn csv_response(agent: &AgentRow, what: &str, frame: &Frame) -> Result<Response, Problem> {
    let mut bytes = Vec::new();
    nightbell_charts::write_csv(frame, &mut bytes).map_err(|error| Problem::internal(&error))?;
    Ok((csv_headers(&file_name(agent, what, frame, "csv")), bytes).into_response())
}

fn csv_headers(file: &str) -> [(header::HeaderName, String); 2] {
    let disposition = format!("attachment; filename=\"{file}\"");
    [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, disposition)]
}

/// `db-01_cpu.usage_percent_2026-11-21T00-00Z_24h.csv`
pub(super) fn file_name(agent: &AgentRow, what: &str, frame: &Frame, extension: &str) -> String {
    let start = rfc3339(frame.start);
    let minutes = frame.end.millis_since(frame.start) / 60_000;
    let span = if minutes % 60 == 0 { format!("{}h", minutes / 60) } else { format!("{minutes}m") };
    let start = start.get(..16).unwrap_or("start").replace(':', "-");
    format!("{}_{}_{start}Z_{span}.{extension}", file_part(&agent.name), file_part(what))
}

/// What a file of these series is called after.
fn what<'a>(mut series: impl ExactSizeIterator<Item = &'a SeriesKey>) -> &'a str {
    if series.len() == 1 { series.next().map_or("history", SeriesKey::as_str) } else { "history" }
}

/// Reads an agent's history; CSV if `Accept` says text/csv
#[utoipa::path(get, path = "/agents/{id}/metrics/history", tag = "metrics", params(("id" = String, Path, description = "Which agent"), HistoryParams),
    responses((status = 200, description = "The history", content((History = "application/json"), (String = "text/csv"))), (status = 304, description = "Not changed since")))]
async fn history(
    State(app): State<Arc<App>>,
    ApiPath(id): ApiPath<AgentId>,
    ApiQuery(params): ApiQuery<HistoryParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let request = Request::new(&app, id, &params)?;
    let is_table = accept.contains("text/csv") && !accept.contains("application/json");
    let mut answer = request.answer(&app, &headers, if is_table { Form::Csv } else { Form::Json }).await?;
    answer.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    Ok(answer)
}

/// Reads an agent's history as CSV
#[utoipa::path(get, path = "/agents/{id}/metrics/history.csv", tag = "metrics", params(("id" = String, Path, description = "Which agent"), HistoryParams),
    responses((status = 200, description = "The history, RFC 4180", body = String, content_type = "text/csv"), (status = 304, description = "Not changed since")))]
async fn history_csv(
    State(app): State<Arc<App>>,
    ApiPath(id): ApiPath<AgentId>,
    ApiQuery(params): ApiQuery<HistoryParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Request::new(&app, id, &params)?.answer(&app, &headers, Form::Csv).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_model::{Batch, Schema, Ulid};
    use nightbell_store::StateStore;
    use nightbell_store::memory::MemoryStore;

    /// Series that come and go: in each hour another hundred.
    fn store(hours: i64, in_last_hour: i64) -> MemoryStore {
        let store = MemoryStore::default();
        let lease = store.acquire(Ulid::from_bits(1), Timestamp::default()).expect("free");
        for hour in 0..hours {
            let schema = Schema::new((0..100).map(|n| format!("a.b{{n={hour}-{n}}}").parse().expect("a key")).collect());
            let beat = |n: i64| {
                let ts = Timestamp::from_secs(hour * 3600 + n);
                let (agent, schema, values) = (AgentId::from_bits(1), Arc::clone(&schema), vec![1.0; 100].into());
                Batch { agent, ts, received: ts, boot_seq: None, schema, values }
            };
            let count = if hour == hours - 1 { in_last_hour } else { 1 };
            store.append(lease, &(0..count).map(beat).collect::<Vec<_>>()).expect("stored");
        }
        store
    }

    #[test]
    fn series_without_a_value_in_the_span_are_not_in_the_way() {
        let store = store(60, 10);
        let hour = |hour: i64| Timestamp::from_secs(hour * 3600);
        let query = |start| RangeQuery {
            agent: AgentId::from_bits(1),
            series: Vec::new(),
            start,
            end: hour(60),
            tier: Some(Tier::Raw),
            max_points: 1000,
            now: hour(60),
        };
        assert!(matches!(store.range_within(&query(hour(59)), 50_000), Err(StoreError::TooMuch { .. })));
        let frame = within_bounds(&store, &query(hour(59)), 50_000).expect("it fits");
        assert_eq!((frame.columns.len(), frame.times.len()), (100, 10));
        let all = within_bounds(&store, &query(hour(0)), 50_000);
        assert!(matches!(all, Err(StoreError::TooMuch { most: 50_000 })), "{all:?}");
    }
}
