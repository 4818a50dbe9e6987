//! Whether the hub lives, whether it is ready, and its counters for Prometheus.

use super::problem::Problem;
use crate::app::App;
use crate::clock;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use nightbell_store::{DeliveryState, StoreError};
use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The pipeline takes a turn at least every second; this long without one is an illness.
const TURN_LIMIT: Duration = Duration::from_secs(5);
/// A delivery that is due for so long without an attempt means that the outbox does not work.
const OVERDUE_MS: i64 = 300_000;

/// How long the pipeline may take to say how many incidents are open.
const PIPELINE_PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
}

/// Says that the process lives
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "It lives", body = String, content_type = "text/plain")))]
async fn healthz() -> &'static str {
    "alive\n"
}

/// Whether the hub does its work.
///
/// # Errors
/// In words, what does not work.
pub async fn readiness(app: &Arc<App>) -> Result<(), String> {
    if !app.measure.is_writable() {
        return Err("the database cannot be written".to_owned());
    }
    if app.measure.since_turn() > TURN_LIMIT {
        return Err(format!("the pipeline has not moved for {} s", app.measure.since_turn().as_secs()));
    }
    match app.read_state(|store| store.next_due()).await {
        Ok(Some(due)) if clock::now().millis_since(due) > OVERDUE_MS => Err("deliveries are due and not sent".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => {
            // Anybody may ask: what the disk said stays in the log.
            tracing::error!(error = &error as &dyn std::error::Error, "the hub is not ready");
            Err("the database cannot be read".to_owned())
        }
    }
}

/// Says whether the hub does its work
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, description = "It does", body = String, content_type = "text/plain")))]
async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    readiness(&app).await.map(|()| "ready\n").map_err(Problem::unavailable)
}

/// Shows the hub's counters to Prometheus
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, description = "Text of the format 0.0.4", body = String, content_type = "text/plain")))]
async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let text = text(&app).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// The counters of the process and gauges of the fleet.
async fn text(app: &Arc<App>) -> Result<String, StoreError> {
    let (counts, stats) =
        (app.read_state(|store| store.delivery_counts()).await?, app.read_metrics(|store| store.stats()).await?);
    let now = clock::now();
    let (online, all) = {
        let (fleet, holdings) = (app.fleet.read(), app.registry.read());
        let online = holdings.agents.keys().filter(|id| fleet.get(id).is_some_and(|vitals| vitals.is_online(now))).count();
        (online, holdings.agents.len())
    };
    let question = app.pipeline.ask(|evaluator| (evaluator.open_incidents().count(), evaluator.stats()));
    let evaluator = tokio::time::timeout(PIPELINE_PATIENCE, question).await.ok().flatten();
    let mut out = classic(&app.measure.prometheus_text());
    let snapshot = app.measure.snapshot();
    gauge(
        &mut out,
        "agents",
        "Agents, by status",
        &[("status=\"online\"", online.to_string()), ("status=\"offline\"", (all - online).to_string())],
    );
    // A pipeline that is too busy to answer leaves a gap, not a zero.
    if let Some((incidents, stats)) = evaluator {
        gauge(&mut out, "incidents_open", "Incidents open now", &[("", incidents.to_string())]);
        gauge(&mut out, "rule_instances", "Rules on series that are evaluated", &[("", stats.instances.to_string())]);
        counter(&mut out, "evaluations_total", "Values judged by rules", stats.evaluated);
        counter(&mut out, "late_ignored_total", "Heartbeats that came too late to be judged", stats.late_ignored);
    }
    let by_state: Vec<(String, String)> = DeliveryState::ALL
        .into_iter()
        .map(|state| {
            let count = counts.iter().find(|(other, _)| *other == state).map_or(0, |(_, count)| *count);
            (format!("state=\"{}\"", state.name()), count.to_string())
        })
        .collect();
    let by_state: Vec<(&str, String)> = by_state.iter().map(|(label, count)| (label.as_str(), count.clone())).collect();
    gauge(&mut out, "outbox_deliveries", "Deliveries in the outbox, by state", &by_state);
    gauge(&mut out, "database_bytes", "Size of the database", &[("", stats.bytes.to_string())]);
    let damaged = [("", stats.damaged.to_string())];
    gauge(&mut out, "damaged_pieces", "Damaged pieces of history that were met since the start", &damaged);
    gauge(&mut out, "resident_memory_bytes", "Resident memory of the hub", &[("", snapshot.rss_bytes.to_string())]);
    gauge(&mut out, "uptime_seconds", "Time since the hub started", &[("", snapshot.uptime_seconds.to_string())]);
    gauge(&mut out, "queue_submissions", "Submissions waiting for the pipeline", &[("", app.pipeline.queued().to_string())]);
    counter(&mut out, "cpu_seconds_total", "CPU time used by the hub", snapshot.cpu_seconds);
    Ok(out)
}

/// OpenMetrics as the older text format 0.0.4: the comments of a counter carry its full name, units and the end are not said.
fn classic(open_metrics: &str) -> String {
    let counters: HashSet<&str> =
        open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut out = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| !line.starts_with("# UNIT") && *line != "# EOF") {
        let comment = ["# HELP ", "# TYPE "].iter().find_map(|kind| Some((*kind, line.strip_prefix(kind)?.split_once(' ')?)));
        let _written = match comment {
            Some((kind, (name, rest))) if counters.contains(name) => writeln!(out, "{kind}{name}_total {rest}"),
            _ => writeln!(out, "{line}"),
        };
    }
    out
}

fn gauge(out: &mut String, name: &str, help: &str, rows: &[(&str, String)]) {
    // Writing into a string cannot fail.
    let _written = write!(out, "# HELP nightbell_hub_{name} {help}.\n# TYPE nightbell_hub_{name} gauge\n");
    for (label, value) in rows {
        let labels = if label.is_empty() { String::new() } else { format!("{{{label}}}") };
        let _written = writeln!(out, "nightbell_hub_{name}{labels} {value}");
    }
}

fn counter(out: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    let _written =
        write!(out, "# HELP nightbell_hub_{name} {help}.\n# TYPE nightbell_hub_{name} counter\nnightbell_hub_{name} {value}\n");
}
