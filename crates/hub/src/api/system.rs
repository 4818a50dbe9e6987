//! The hub about itself, and the catalogue of metrics.

use super::extract::{ApiQuery, Listing, PageParams};
use super::problem::Problem;
use crate::app::App;
use crate::measure::Snapshot;
use axum::Json;
use axum::extract::State;
use nightbell_model::{Worse, catalogue};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(system)).routes(routes!(catalog))
}

/// The hub's own numbers.
#[derive(Debug, Serialize, ToSchema)]
struct System {
    version: &'static str,
    #[schema(value_type = Object)]
    metrics: Snapshot,
    agents: usize,
    agents_connected: usize,
    queue: usize,
    database_bytes: u64,
    /// Damaged pieces of history that were met since the hub started.
    damaged_pieces: u64,
    /// Deliveries, by state.
    outbox: BTreeMap<&'static str, u64>,
}

/// A metric of the catalogue.
#[derive(Debug, Serialize, ToSchema)]
struct CatalogRow {
    metric: &'static str,
    unit: &'static str,
    decimals: u8,
    /// high or low; null where neither is bad
    worse: Option<&'static str>,
    label: Option<&'static str>,
    help: &'static str,
}

/// Shows the hub's own numbers
#[utoipa::path(get, path = "/system", tag = "system", responses((status = 200, description = "The numbers of this moment", body = System)))]
async fn system(State(app): State<Arc<App>>) -> Result<Json<System>, Problem> {
    let counts = app.read_state(|store| store.delivery_counts()).await?;
    let stats = app.read_metrics(|store| store.stats()).await?;
    Ok(Json(System {
        version: env!("CARGO_PKG_VERSION"),
        metrics: app.measure.snapshot(),
        agents: app.registry.read().agents.len(),
        agents_connected: app.port.connected(),
        queue: app.pipeline.queued(),
        database_bytes: stats.bytes,
        damaged_pieces: stats.damaged,
        outbox: counts.into_iter().map(|(state, count)| (state.name(), count)).collect(),
    }))
}

/// Lists the metrics the hub knows by name
#[utoipa::path(get, path = "/metrics/catalog", tag = "metrics", params(PageParams), responses((status = 200, description = "All rows of the catalogue", body = Listing<CatalogRow>)))]
async fn catalog(ApiQuery(params): ApiQuery<PageParams>) -> Result<Json<Listing<CatalogRow>>, Problem> {
    let rows = catalogue::ROWS.iter().map(|row| CatalogRow {
        metric: row.name,
        unit: row.unit.name(),
        decimals: row.decimals,
        worse: row.worse.map(|worse| match worse {
            Worse::High => "high",
            Worse::Low => "low",
        }),
        label: row.label,
        help: row.help,
    });
    params.page(rows.map(|row| (row.metric.to_owned(), row)), false, &["metric", "unit", "worse", "label"]).map(Json)
}
