//! Pictures of an agent's series as PNG and SVG, and their values as CSV.

mod marks;

use super::agents;
use super::extract::{ApiPath, ApiQuery, Moment, number};
use super::history::{self, Asked, MOST_POINTS};
use super::problem::Problem;
use super::validator::{Validator, may_be_closed};
use super::wire::metric;
use crate::app::App;
use crate::clock;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use marks::Happened;
use nightbell_charts::{ChartError, ChartSpec, Theme};
use nightbell_model::{AgentId, Frame, catalogue};
use nightbell_store::{AgentRow, RangeQuery, StoreError};
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many pictures are drawn at once: drawing takes a core, and the pipeline needs one too.
static DRAWING: Semaphore = Semaphore::const_new(2);
/// The size in pixels if nothing is said.
const WIDTH: u32 = 1200;
const HEIGHT: u32 = 400;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(by_path)).routes(routes!(png)).routes(routes!(svg)).routes(routes!(csv))
}

/// What is drawn, and how.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ChartParams {
    /// Series keys and metric names, separated by commas (instead of the path).
    #[serde(default)]
    series: Option<String>,
    /// More of them.
    #[serde(default)]
    metrics: Option<String>,
    /// From when on; 24 hours before the end if left out. Also called `from`.
    #[serde(default, alias = "from")]
    #[param(value_type = Option<String>)]
    start: Option<Moment>,
    /// Until when; now if left out. Also called `to`.
    #[serde(default, alias = "to")]
    #[param(value_type = Option<String>)]
    end: Option<Moment>,
    /// 200 to 4000 pixels; 1200 if left out.
    #[serde(default, deserialize_with = "number")]
    width: Option<u32>,
    /// 100 to 2000 pixels; 400 if left out.
    #[serde(default, deserialize_with = "number")]
    height: Option<u32>,
    /// 1 to 3: multiplies the pixels.
    #[serde(default, deserialize_with = "number")]
    scale: Option<f64>,
    /// light or dark
    #[serde(default)]
    theme: Option<String>,
    /// The time zone of the axis, such as Europe/Berlin; that of the settings if left out.
    #[serde(default)]
    tz: Option<String>,
}

/// In which form a chart is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Png,
    Svg,
    Csv,
}

impl Form {
    fn from_extension(name: &str) -> Option<Self> {
        match name {
            "png" => Some(Self::Png),
            "svg" => Some(Self::Svg),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// A request, checked.
#[derive(Debug)]
struct Chart {
    agent: AgentRow,
    asked: Asked,
    keys: Vec<String>,
    size: (u32, u32),
    scale: f64,
    theme: Theme,
    tz: chrono_tz::Tz,
    form: Form,
}

/// The theme called `name`; light if nothing is said.
///
/// # Errors
/// When there is none of that name.
pub(super) fn theme(name: Option<&str>) -> Result<Theme, Problem> {
    match name {
        None | Some("light") => Ok(Theme::Light),
        Some("dark") => Ok(Theme::Dark),
        Some(other) => Err(Problem::invalid_field("theme", format!("{other:?} is neither light nor dark"))),
    }
}

/// The zone called `name`; that of the settings if nothing is said.
///
/// # Errors
/// When there is none of that name.
pub(super) fn zone(app: &App, name: Option<&str>) -> Result<chrono_tz::Tz, Problem> {
    let Some(name) = name else { return Ok(app.registry.read().settings.timezone) };
    name.parse()
        .map_err(|_unknown| Problem::invalid_field("tz", format!("{name:?} is no time zone such as Europe/Berlin or UTC")))
}

/// What a chart that cannot be drawn means to whoever asked.
pub(super) fn refused(error: ChartError) -> Problem {
    let text = error.to_string();
    match error {
        ChartError::OutOfRange { field, .. } => Problem::invalid_field(field, text),
        ChartError::TooManyPixels { .. } => Problem::invalid_field("scale", text),
        ChartError::TooManyLines { .. } => Problem::invalid_field("metrics", text),
        ChartError::EmptyRange | ChartError::DateOutOfRange => Problem::invalid_field("start", text),
        other => Problem::internal(&other),
    }
}

/// Runs `draw` on a thread that may take its time, with not too many others.
///
/// # Errors
/// What `draw` says; a panic is an internal error.
pub(super) async fn drawn<T: Send + 'static>(draw: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    let permit = DRAWING.acquire().await;
    let drawn = tokio::task::spawn_blocking(draw).await;
    drop(permit);
    drawn.unwrap_or_else(|gone| Err(Problem::internal(&gone)))
}

/// A picture as an answer.
pub(super) fn picture(form: Form, bytes: Vec<u8>, file: &str) -> Response {
    let kind = if form == Form::Svg { "image/svg+xml" } else { "image/png" };
    let disposition = format!("inline; filename=\"{file}\"");
    ([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)], bytes).into_response()
}

impl Chart {
    fn new(app: &App, id: AgentId, list: &str, form: Form, params: &ChartParams) -> Result<Self, Problem> {
        let agent = agents::find(&app.registry.read(), id)?;
        let list = params.metrics.as_deref().map_or_else(|| list.to_owned(), |more| format!("{list},{more}"));
        let scale = params.scale.unwrap_or(1.0);
        Ok(Self {
            agent,
            asked: history::span(params.start, params.end, clock::now())?,
            keys: metric::keys(&list)?,
            size: (params.width.unwrap_or(WIDTH), params.height.unwrap_or(HEIGHT)),
            scale,
            theme: theme(params.theme.as_deref())?,
            tz: zone(app, params.tz.as_deref())?,
            form,
        })
    }

    /// A point for each pixel of the width says all that can be seen, as each carries its extremes.
    fn max_points(&self) -> usize {
        let (width, factor) = (self.size.0.clamp(1, 4_000), if self.scale > 1.0 { 2 } else { 1 });
        usize::try_from(width).unwrap_or(MOST_POINTS).saturating_mul(factor).min(MOST_POINTS)
    }

    fn unit(&self) -> Result<catalogue::Unit, Problem> {
        let mut units = self.keys.iter().map(|key| metric::unit(key.split_once('{').map_or(key.as_str(), |(name, _)| name)));
        let first = units.next().unwrap_or(catalogue::Unit::None);
        if units.all(|unit| unit == first) {
            return Ok(first);
        }
        Err(Problem::invalid_field("metrics", "one chart has one unit; ask for metrics of the same unit"))
    }

    fn title(&self) -> String {
        match self.keys.as_slice() {
            [one] => format!("{}: {one}", self.agent.name),
            many => format!("{}: {}", self.agent.name, many.join(", ")),
        }
    }

    /// What the answer depends on beside what happened; `None` while it still grows.
    fn validator(&self, happened: &Happened, revision: Option<u64>) -> Option<Validator> {
        let look = (self.size, self.scale.to_bits(), format!("{:?}", self.theme), self.tz.name(), format!("{:?}", self.form));
        let whose = (self.agent.id.bits(), &self.agent.name, &self.keys);
        let span = (self.asked.start.as_millis(), self.asked.until.as_millis());
        revision.map(|revision| Validator::of((revision, span, whose, look, happened.parts())))
    }

    fn render(&self, app: &App, headers: &HeaderMap) -> Result<Response, Problem> {
        let unit = if self.form == Form::Csv { catalogue::Unit::None } else { self.unit()? };
        let (start, until) = (self.asked.start, self.asked.until);
        let is_closed = may_be_closed(until, clock::now());
        let revision = if is_closed { app.metrics.revision(self.agent.id, start, until)? } else { None };
        let happened = Happened::look_up(self, app)?;
        let validator = self.validator(&happened, revision);
        if let Some(known) = validator.as_ref().and_then(|validator| validator.unless_known(headers)) {
            return Ok(known);
        }
        let answer = self.draw(app, unit, &happened)?;
        Ok(match validator {
            Some(validator) => validator.sign(answer),
            None => answer,
        })
    }

    fn draw(&self, app: &App, unit: catalogue::Unit, happened: &Happened) -> Result<Response, Problem> {
        let frame = self.frame(app)?;
        let what = self.keys.first().map_or("chart", String::as_str);
        if self.form == Form::Csv {
            return history::csv_response(&self.agent, what, &frame);
        }
        let mut spec = ChartSpec::new(&frame, self.title(), unit);
        (spec.width, spec.height) = self.size;
        (spec.scale, spec.theme, spec.tz) = (self.scale, self.theme, self.tz);
        if let [key] = self.keys.as_slice() {
            spec.subtitle = catalogue::find(key.split_once('{').map_or(key, |(name, _)| name))
                .map_or_else(String::new, |row| row.help.to_owned());
        }
        happened.mark(self, &mut spec);
        let bytes = match self.form {
            Form::Svg => nightbell_charts::render_svg(&spec).map_err(refused)?.into_bytes(),
            _ => nightbell_charts::render_png(&spec).map_err(refused)?,
        };
        let extension = if self.form == Form::Svg { "svg" } else { "png" };
        Ok(picture(self.form, bytes, &history::file_name(&self.agent, what, &frame, extension)))
    }

    fn frame(&self, app: &App) -> Result<Frame, StoreError> {
        let query = RangeQuery {
            agent: self.agent.id,
            series: self.keys.clone(),
            start: self.asked.start,
            end: self.asked.until,
            tier: None,
            max_points: self.max_points(),
            now: clock::now(),
        };
        app.metrics.range(&query)
    }
}

/// What was asked, and what the client has already.
struct Question {
    params: ChartParams,
    headers: HeaderMap,
}

async fn answer(app: Arc<App>, id: AgentId, list: &str, form: Form, asked: Question) -> Result<Response, Problem> {
    let chart = Chart::new(&app, id, list, form, &asked.params)?;
    drawn(move || chart.render(&app, &asked.headers)).await
}

async fn by_parameter(app: Arc<App>, id: AgentId, form: Form, asked: Question) -> Result<Response, Problem> {
    let list = asked.params.series.clone().ok_or_else(|| Problem::invalid_field("series", "say which series or metric"))?;
    answer(app, id, &list, form, asked).await
}

/// Draws a series or metric: the path ends in its percent-encoded key and .png, .svg or .csv
#[utoipa::path(get, path = "/agents/{id}/charts/{*chart}", tag = "charts",
    params(("id" = String, Path, description = "Which agent"), ("chart" = String, Path, description = "Series key or metric, then .png, .svg or .csv"), ChartParams),
    responses((status = 200, description = "The chart", content((Vec<u8> = "image/png"), (String = "image/svg+xml"), (String = "text/csv"))), (status = 304, description = "Not changed since")))]
async fn by_path(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
    ApiQuery(params): ApiQuery<ChartParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path((id, name)) = path.map_err(|_encoding| Problem::not_found("chart"))?;
    let id: AgentId = id.parse().map_err(|_no_id| Problem::not_found("agent"))?;
    let parts = name.rsplit_once('.').and_then(|(key, extension)| Some((key, Form::from_extension(extension)?)));
    let (key, form) = parts.ok_or_else(|| Problem::not_found("chart: its name ends in .png, .svg or .csv"))?;
    let list = params.series.as_deref().map_or_else(|| key.to_owned(), |more| format!("{key},{more}"));
    answer(app, id, &list, form, Question { params, headers }).await
}

/// Draws series as PNG
#[utoipa::path(get, path = "/agents/{id}/chart.png", tag = "charts", params(("id" = String, Path, description = "Which agent"), ChartParams),
    responses((status = 200, description = "The picture", body = Vec<u8>, content_type = "image/png"), (status = 304, description = "Not changed since")))]
async fn png(
    State(app): State<Arc<App>>,
    ApiPath(id): ApiPath<AgentId>,
    ApiQuery(params): ApiQuery<ChartParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    by_parameter(app, id, Form::Png, Question { params, headers }).await
}

/// Draws series as SVG
#[utoipa::path(get, path = "/agents/{id}/chart.svg", tag = "charts", params(("id" = String, Path, description = "Which agent"), ChartParams),
    responses((status = 200, description = "The picture", body = String, content_type = "image/svg+xml"), (status = 304, description = "Not changed since")))]
async fn svg(
    State(app): State<Arc<App>>,
    ApiPath(id): ApiPath<AgentId>,
    ApiQuery(params): ApiQuery<ChartParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    by_parameter(app, id, Form::Svg, Question { params, headers }).await
}

/// Reads the values of a chart as CSV
#[utoipa::path(get, path = "/agents/{id}/chart.csv", tag = "charts", params(("id" = String, Path, description = "Which agent"), ChartParams),
    responses((status = 200, description = "The values", body = String, content_type = "text/csv"), (status = 304, description = "Not changed since")))]
async fn csv(
    State(app): State<Arc<App>>,
    ApiPath(id): ApiPath<AgentId>,
    ApiQuery(params): ApiQuery<ChartParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    by_parameter(app, id, Form::Csv, Question { params, headers }).await
}
