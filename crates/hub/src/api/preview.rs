//! The preview of a rule: what it would have done over stored history, by the evaluator itself.

mod resolution;
mod stats;

use super::extract::{ApiJson, Moment};
use super::history::{self, Asked};
use super::problem::{Fault, Problem};
use super::rules::{agents_in_scope, allows_unknown, faults};
use super::wire::body::Object;
use super::wire::names::labels;
use super::wire::replay::Replay;
use super::wire::rule::{Needs, RuleBody, read};
use crate::app::App;
use crate::clock;
use axum::Json;
use axum::extract::State;
use nightbell_alerts::matching::Filter;
use nightbell_alerts::{
    BacktestInput, BacktestReport, Comparison, LevelTable, Mute, OFFLINE_METRIC, Rule, Track, Transform, backtest,
    median_spacing, tracks_by,
};
use nightbell_model::{Frame, SeriesKey, Timestamp};
use nightbell_store::{AgentRow, RangeQuery};
use serde::Serialize;
use serde_json::Value;
pub(crate) use stats::summary;

use resolution::{Resolution, Seen, lead_ms};
use stats::{Stats, at_night, suggestion};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Previews take cores: one at a time, on so many of them.
const WORKERS: usize = 4;
/// Whose turn it is.
static PREVIEWING: Semaphore = Semaphore::const_new(1);
/// How long one may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How many samples are read over all agents, and at least and at most of one: 100,000 are a week of raw at 6 s. Over 100 agents
/// 20,000 of each are left, so that 30 days are looked at in five minutes' buckets: of raw, 4.7 million samples took 3 s with a
/// threshold and 7 s with a forecast, and nobody drags a threshold that slowly.
const SAMPLES: usize = 2_000_000;
const SAMPLES_OF_AGENT: (usize, usize) = (500, 100_000);
/// Beyond so many series, those on which nothing happened are only counted.
const QUIET_SERIES: usize = 500;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(preview))
}

/// What a rule would have done.
#[derive(Debug, Serialize, ToSchema)]
struct Preview {
    totals: Totals,
    /// Each series with what happened on it; where there are very many, only those on which something did.
    series: Vec<SeriesPreview>,
    stats: Stats,
    /// A threshold that one value in a hundred is beyond, rounded outward to three digits; null where none can be told.
    suggested_threshold: Option<f64>,
    resolution: Resolution,
}

/// Counts over all series.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
struct Totals {
    /// Agents on which it would have fired.
    agents: usize,
    incidents: usize,
    /// Pages, counting each channel.
    notices: usize,
    /// Those of them between 22:00 and 07:00 in the time zone of the settings.
    notices_at_night: usize,
}

/// One series.
#[derive(Debug, Serialize, ToSchema)]
struct SeriesPreview {
    agent: String,
    metric: String,
    labels: BTreeMap<String, String>,
    #[serde(flatten)]
    replay: Replay,
}

/// A draft, and over which time.
#[derive(Debug, ToSchema, Serialize)]
struct PreviewBody {
    #[serde(flatten)]
    rule: RuleBody,
    /// From when on; 24 hours before the end if left out.
    start: Option<String>,
    /// Until when; now if left out.
    end: Option<String>,
}

/// Shows what a rule would have done over stored history
#[utoipa::path(post, path = "/rules/preview", tag = "rules", request_body = PreviewBody, responses((status = 200, description = "What it would have done", body = Preview)))]
async fn preview(State(app): State<Arc<App>>, ApiJson(body): ApiJson<Object>) -> Result<Json<Preview>, Problem> {
    let job = Job::new(&app, body).await?;
    let permit = PREVIEWING.acquire().await;
    let done = tokio::task::spawn_blocking(move || job.run(&app)).await;
    drop(permit);
    done.unwrap_or_else(|gone| Err(Problem::internal(&gone))).map(Json)
}

/// Takes a moment out of the body.
fn moment(body: &mut Object, names: [&str; 2]) -> Result<Option<Moment>, Problem> {
    let mut found = None;
    for name in names {
        match body.remove(name) {
            None | Some(Value::Null) => {}
            Some(value) => {
                let read = serde_json::from_value(value);
                found =
                    Some(read.map_err(|why: serde_json::Error| Problem::invalid_field(&format!("/{name}"), why.to_string()))?);
            }
        }
    }
    Ok(found)
}

/// A preview that can be computed.
struct Job {
    rule: Rule,
    agents: Vec<AgentRow>,
    levels: LevelTable,
    mutes: Vec<Mute>,
    zone: chrono_tz::Tz,
    asked: Asked,
    now: Timestamp,
    max_points: usize,
}

impl Job {
    async fn new(app: &App, mut body: Object) -> Result<Self, Problem> {
        let now = clock::now();
        let asked = history::span(moment(&mut body, ["start", "from"])?, moment(&mut body, ["end", "to"])?, now)?;
        let id = body.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok()).unwrap_or_default();
        let rule = read(&body, Needs::Draft, id, 1).map_err(Problem::invalid)?;
        let faults: Vec<Fault> = faults(app, &rule, allows_unknown(&body)).await?;
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let holdings = app.registry.read();
        let agents = agents_in_scope(&holdings, &rule.scope)?;
        let (least, most) = SAMPLES_OF_AGENT;
        Ok(Self {
            max_points: (SAMPLES / agents.len().max(1)).clamp(least, most),
            agents,
            levels: holdings.levels.clone(),
            mutes: holdings.mutes().filter(|mute| mute.rule.is_none_or(|wanted| wanted == rule.id)).collect(),
            zone: holdings.settings.timezone,
            asked,
            now,
            rule,
        })
    }

    fn run(self, app: &App) -> Result<Preview, Problem> {
        let begun = Instant::now();
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(WORKERS));
        let share = self.agents.len().div_ceil(cores).max(1);
        let parts: Vec<Result<Part, Problem>> = std::thread::scope(|scope| {
            let job = &self;
            let part = |agents| scope.spawn(move || job.part(app, agents, begun));
            let workers: Vec<_> = self.agents.chunks(share).map(part).collect();
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        let mut whole = Part::default();
        for part in parts {
            whole.append(part?);
        }
        let Part { totals, mut values, mut series, seen } = whole;
        if series.len() > QUIET_SERIES {
            series.retain(|series| series.replay.transitions.len() > 1);
        }
        let suggested_threshold = suggestion(&mut values, self.rule.comparison);
        Ok(Preview { totals, series, stats: Stats::of(&mut values), suggested_threshold, resolution: seen.tell(&self.rule) })
    }

    /// What it would have done on some of the agents.
    fn part(&self, app: &App, agents: &[AgentRow], begun: Instant) -> Result<Part, Problem> {
        let (mut part, filter) = (Part::default(), Filter::new(&self.rule.selector));
        for agent in agents {
            if begun.elapsed() > TIME_LIMIT {
                return Err(Problem::unavailable("the preview takes too long; ask for less time or fewer agents"));
            }
            let Some((frame, tracks)) = self.tracks(app, agent, &filter)? else { continue };
            part.seen.add(&frame);
            let before = part.totals.incidents;
            for track in tracks {
                let report = self.replay(agent, &frame, &track);
                let compared = if self.rule.transform == Transform::None { &track.values } else { &report.compared };
                part.values.extend(compared.iter().copied().filter(|value| value.is_finite()));
                part.totals.count(&report, self.zone);
                part.series.push(SeriesPreview {
                    agent: agent.id.to_string(),
                    metric: track.key.metric().to_owned(),
                    labels: labels(&track.key),
                    replay: Replay::of(&report),
                });
            }
            part.totals.agents += usize::from(part.totals.incidents > before);
        }
        Ok(part)
    }

    /// The agent's history and what the rule looks at in it; `None` when there is nothing.
    fn tracks(&self, app: &App, agent: &AgentRow, filter: &Filter) -> Result<Option<(Frame, Vec<Track>)>, Problem> {
        let metric = if self.rule.is_offline() {
            // Any series that comes with every heartbeat says when the agent was heard.
            let Some(any) = app.metrics.series(agent.id)?.into_iter().next() else { return Ok(None) };
            any.to_string()
        } else {
            self.rule.selector.metric.clone()
        };
        let query = RangeQuery {
            agent: agent.id,
            series: vec![metric],
            start: self.asked.start.plus_millis(-lead_ms(&self.rule)),
            end: self.asked.until,
            tier: None,
            max_points: self.max_points,
            now: self.now,
        };
        let frame = app.metrics.range(&query)?;
        let tracks = if self.rule.is_offline() { heard(&frame) } else { self.judged(&frame, filter) };
        Ok(Some((frame, tracks)))
    }

    /// The values that are judged: on raw the samples; of buckets the mean, or, where the rule waits for less than a bucket and looks
    /// at the value itself, the extreme on the bad side, which a single sample could have fired.
    fn judged(&self, frame: &Frame, filter: &Filter) -> Vec<Track> {
        let coarse = frame.step_ms.is_some_and(|step| self.rule.hold_ms < step) && self.rule.transform == Transform::None;
        match self.rule.comparison {
            Comparison::Greater | Comparison::GreaterOrEqual if coarse => {
                tracks_by(&self.rule, filter, frame, |column| &column.max)
            }
            Comparison::Less | Comparison::LessOrEqual if coarse => tracks_by(&self.rule, filter, frame, |column| &column.min),
            _ => tracks_by(&self.rule, filter, frame, |column| &column.mean),
        }
    }

    /// What came before the span, for a rule that looks back; NaN is left out.
    fn past(&self, frame: &Frame, track: &Track) -> Vec<(Timestamp, f64)> {
        let all = frame.times.iter().copied().zip(track.values.iter().copied());
        all.take_while(|(at, _)| *at < self.asked.start).filter(|(_, value)| !value.is_nan()).collect()
    }

    fn replay(&self, agent: &AgentRow, frame: &Frame, track: &Track) -> BacktestReport {
        let samples =
            frame.times.iter().copied().zip(track.values.iter().map(|value| Some(*value).filter(|value| !value.is_nan())));
        let samples = samples.skip_while(|(at, value)| *at < self.asked.start || value.is_none() && !self.rule.is_offline());
        let is_for = |mute: &&Mute| {
            mute.agent.is_none_or(|wanted| wanted == agent.id) && mute.tag.as_ref().is_none_or(|tag| agent.tags.contains(tag))
        };
        let interval_ms = frame.step_ms.or_else(|| median_spacing(&frame.times)).unwrap_or(agent.interval_ms);
        let input = BacktestInput {
            key: track.key.clone(),
            samples,
            past: self.past(frame, track),
            interval_ms,
            levels: self.levels.lookup(agent.id, &track.key).map(|(levels, _)| levels),
            mutes: self.mutes.iter().filter(is_for).cloned().collect(),
            end: self.asked.until.min(self.now),
        };
        backtest(&self.rule, input)
    }
}

/// The agent's heartbeats, for the rule that watches for silence.
fn heard(frame: &Frame) -> Vec<Track> {
    let key = SeriesKey::new(OFFLINE_METRIC, &[]).ok();
    key.into_iter().map(|key| Track { key, values: vec![f64::NAN; frame.times.len()] }).collect()
}

/// What a rule would have done on some agents.
#[derive(Default)]
struct Part {
    totals: Totals,
    /// What was compared.
    values: Vec<f64>,
    series: Vec<SeriesPreview>,
    seen: Seen,
}

impl Part {
    fn append(&mut self, mut other: Self) {
        self.totals.agents += other.totals.agents;
        self.totals.incidents += other.totals.incidents;
        self.totals.notices += other.totals.notices;
        self.totals.notices_at_night += other.totals.notices_at_night;
        self.values.append(&mut other.values);
        self.series.append(&mut other.series);
        self.seen.append(&mut other.seen);
    }
}

impl Totals {
    fn count(&mut self, report: &BacktestReport, zone: chrono_tz::Tz) {
        self.incidents += report.incidents.len();
        self.notices += report.notices.len();
        self.notices_at_night += report.notices.iter().filter(|(_, at)| at_night(*at, zone)).count();
    }
}
