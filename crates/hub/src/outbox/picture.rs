//! The picture on a page: the last hour of the series, the threshold as a line, the breach shaded.

use crate::page::level_text;
use nightbell_charts::{ChartError, ChartSpec, Line, Span, ThresholdLine};
use nightbell_model::{AgentId, SeriesKey, Timestamp, catalogue};
use nightbell_notify::Notification;
use nightbell_store::{MetricStore, RangeQuery, StoreError};

/// How much is shown before now, or before the end of an incident.
const SHOWN_MS: i64 = 3_600_000;
/// The picture's size in pixels before scaling where it is asked for and no size is named.
pub const PAGE_SIZE: (u32, u32) = (600, 300);
/// The same on a message: between what a phone shows (some 350 pixels) and a mail or a chat at a desk (some 550), so that its words
/// are read on the one and not coarse on the other.
const MESSAGE_SIZE: (u32, u32) = (480, 260);
/// So scaled it is sharp on every screen.
const MESSAGE_SCALE: f64 = 2.5;

/// What to draw.
#[derive(Debug, Clone)]
pub struct ChartRequest {
    /// Whose.
    pub agent: AgentId,
    /// The agent's name, for the title.
    pub agent_name: String,
    /// Which series.
    pub series: SeriesKey,
    /// The threshold.
    pub threshold: Option<f64>,
    /// How it is compared.
    pub op: String,
    /// When the breach began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it goes on.
    pub ended_at: Option<Timestamp>,
    /// The hub's time.
    pub now: Timestamp,
    /// In which time zone times are shown.
    pub zone: chrono_tz::Tz,
    /// Its size in pixels before scaling.
    pub size: (u32, u32),
    /// Light or dark.
    pub theme: nightbell_charts::Theme,
    /// Pixels per point.
    pub scale: f64,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// History could not be read.
    #[error("history cannot be read")]
    Store(#[from] StoreError),
    /// It could not be drawn.
    #[error("the chart cannot be drawn: {0}")]
    Chart(#[from] ChartError),
}

impl ChartRequest {
    /// The picture of a page; `None` where there is no series to draw (an agent that is offline, a test).
    #[must_use]
    pub fn of_page(page: &Notification, now: Timestamp) -> Option<Self> {
        let labels: Vec<(&str, &str)> = page.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if page.metric == nightbell_alerts::OFFLINE_METRIC {
            return None;
        }
        Some(Self {
            agent: page.agent.id.parse().ok()?,
            agent_name: page.agent.name.clone(),
            series: SeriesKey::new(&page.metric, &labels).ok()?,
            threshold: page.threshold,
            op: page.op.clone(),
            started_at: moment(&page.started_at)?,
            ended_at: page.resolved_at.as_deref().and_then(moment),
            now,
            zone: page.timezone.parse().unwrap_or(chrono_tz::UTC),
            size: MESSAGE_SIZE,
            theme: nightbell_charts::Theme::Light,
            scale: MESSAGE_SCALE,
        })
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|at| Timestamp::from_millis(at.timestamp_millis()))
}

/// Draws it as PNG.
///
/// # Errors
/// When history cannot be read or the chart cannot be drawn.
pub fn incident_chart(metrics: &dyn MetricStore, request: &ChartRequest) -> Result<Vec<u8>, PictureError> {
    drawn(metrics, request, nightbell_charts::render_png)
}

/// Draws it as SVG.
///
/// # Errors
/// When history cannot be read or the chart cannot be drawn.
pub fn incident_chart_svg(metrics: &dyn MetricStore, request: &ChartRequest) -> Result<String, PictureError> {
    drawn(metrics, request, nightbell_charts::render_svg)
}

fn drawn<T>(
    metrics: &dyn MetricStore,
    request: &ChartRequest,
    render: impl FnOnce(&ChartSpec<'_>) -> Result<T, ChartError>,
) -> Result<T, PictureError> {
    let last = request.ended_at.unwrap_or(request.now);
    // A page that waited long still shows the beginning of its breach.
    let start = last.plus_millis(-SHOWN_MS).min(request.started_at.plus_millis(-SHOWN_MS / 4));
    let end = last.plus_millis(if request.ended_at.is_some() { 300_000 } else { 1 }).min(request.now.plus_millis(1));
    let query = RangeQuery {
        agent: request.agent,
        series: vec![request.series.as_str().to_owned()],
        start,
        end,
        tier: None,
        max_points: 1_000,
        now: request.now,
    };
    let frame = metrics.range(&query)?;
    let metric = catalogue::find(request.series.metric());
    let unit = metric.map_or(catalogue::Unit::None, |metric| metric.unit);
    let mut spec = ChartSpec::new(&frame, format!("{}: {}", request.agent_name, request.series), unit);
    spec.subtitle = metric.map_or_else(String::new, |metric| metric.help.to_owned());
    spec.lines = frame.columns.iter().map(|column| Line { label: column.key.to_string(), column }).collect();
    if let Some(value) = request.threshold {
        let label = format!("{} {}", request.op, level_text(value, unit));
        spec.thresholds = vec![ThresholdLine { value, label, is_mild: false }];
    }
    spec.breaches = vec![Span { start: request.started_at, end: last }];
    (spec.width, spec.height) = request.size;
    spec.scale = request.scale;
    spec.theme = request.theme;
    spec.tz = request.zone;
    Ok(render(&spec)?)
}
