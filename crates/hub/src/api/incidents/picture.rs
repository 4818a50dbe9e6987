//! The picture of an incident: its series, its threshold, and the breach shaded.

use crate::api::charts::{self, Form};
use crate::api::extract::{ApiPath, ApiQuery, number};
use crate::api::problem::Problem;
use crate::api::wire::names;
use crate::app::App;
use crate::clock;
use crate::outbox::{ChartRequest, PAGE_SIZE, PictureError, incident_chart, incident_chart_svg};
use axum::extract::State;
use axum::response::Response;
use nightbell_model::IncidentId;
use serde::Deserialize;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(png)).routes(routes!(svg))
}

/// How the picture looks.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PictureParams {
    /// light or dark
    #[serde(default)]
    theme: Option<String>,
    /// In pixels before scaling; 600 if left out.
    #[serde(default, deserialize_with = "number")]
    width: Option<u32>,
    /// In pixels before scaling; 300 if left out.
    #[serde(default, deserialize_with = "number")]
    height: Option<u32>,
    /// 1 to 3; 2 if left out
    #[serde(default, deserialize_with = "number")]
    scale: Option<f64>,
    /// The time zone of the axis; that of the settings if left out.
    #[serde(default)]
    tz: Option<String>,
}

impl PictureParams {
    /// A picture in this theme, as pages carry it.
    pub(in crate::api) const fn themed(theme: Option<String>) -> Self {
        Self { theme, width: None, height: None, scale: None, tz: None }
    }
}

/// The picture of an incident as PNG, for whoever may see it.
///
/// # Errors
/// When there is no such incident, or its history cannot be read.
pub(in crate::api) async fn picture_of(app: Arc<App>, id: IncidentId, params: PictureParams) -> Result<Response, Problem> {
    draw(app, id, params, Form::Png).await
}

async fn draw(app: Arc<App>, id: IncidentId, params: PictureParams, form: Form) -> Result<Response, Problem> {
    let record = match super::unwritten(&app, id).await {
        Some(record) => record,
        None => app.read_state(move |store| store.incident(id)).await?.ok_or_else(|| Problem::not_found("incident"))?.0,
    };
    let request = ChartRequest {
        agent: record.key.agent,
        agent_name: names::agent(&app.registry.read(), record.key.agent).name,
        threshold: Some(record.threshold)
            .filter(|value| value.is_finite() && !app.registry.read().compares_rates(record.key.rule)),
        op: record.comparison.name().to_owned(),
        started_at: record.started_at,
        ended_at: record.resolved_at,
        now: clock::now(),
        zone: charts::zone(&app, params.tz.as_deref())?,
        size: (params.width.unwrap_or(PAGE_SIZE.0), params.height.unwrap_or(PAGE_SIZE.1)),
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
async fn png(
    State(app): State<Arc<App>>,
    ApiPath(id): ApiPath<IncidentId>,
    ApiQuery(params): ApiQuery<PictureParams>,
) -> Result<Response, Problem> {
    draw(app, id, params, Form::Png).await
}

/// Draws the series around an incident as SVG
#[utoipa::path(get, path = "/incidents/{id}/chart.svg", tag = "incidents", params(("id" = String, Path, description = "Which incident"), PictureParams),
    responses((status = 200, description = "The picture", body = String, content_type = "image/svg+xml")))]
async fn svg(
    State(app): State<Arc<App>>,
    ApiPath(id): ApiPath<IncidentId>,
    ApiQuery(params): ApiQuery<PictureParams>,
) -> Result<Response, Problem> {
    draw(app, id, params, Form::Svg).await
}
