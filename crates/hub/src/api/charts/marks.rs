//! What happened, on a chart: levels and breaches where there is one series, restarts and killed processes.

use super::Chart;
use crate::api::problem::Problem;
use crate::app::App;
use crate::page::level_text;
use nightbell_alerts::{Event, EventKind, IncidentRecord, LevelTable};
use nightbell_charts::{ChartSpec, Marker, Span, ThresholdLine};
use nightbell_model::catalogue::Unit;
use nightbell_model::{Level, Levels};
use nightbell_store::{EventQuery, IncidentQuery, Page, StoreError};

/// How many incidents and events are asked for at once, and looked at in all: more cannot be told apart in a picture.
const PAGE: usize = 500;
const MOST: usize = 5_000;

/// What happened in the span of a chart, on whichever of the agent's series.
#[derive(Debug)]
pub(super) struct Happened {
    incidents: Vec<IncidentRecord>,
    events: Vec<Event>,
    levels: LevelTable,
}

impl Happened {
    /// Looks it up.
    pub(super) fn look_up(chart: &Chart, app: &App) -> Result<Self, Problem> {
        let (agent, during) = (Some(chart.agent.id), Some((chart.asked.start, chart.asked.until)));
        let incidents =
            all(|before| app.store.incidents(&IncidentQuery { agent, during, before, limit: PAGE, ..IncidentQuery::default() }))?;
        let events = all(|before| {
            let kinds = vec![EventKind::Reboot, EventKind::OomKill];
            app.store.events(&EventQuery { agent, kinds, during, before, limit: PAGE, ..EventQuery::default() })
        })?;
        let holdings = app.registry.read();
        let own = holdings.levels.agents.get(&chart.agent.id).map(|own| (chart.agent.id, own.clone()));
        let levels = LevelTable { global: holdings.levels.global.clone(), agents: own.into_iter().collect() };
        Ok(Self { incidents, events: events.into_iter().map(|logged| logged.event).collect(), levels })
    }

    /// What pictures of it depend on.
    pub(super) fn parts(&self) -> String {
        let incident = |record: &IncidentRecord| (record.id, record.started_at, record.resolved_at);
        let event = |event: &Event| (event.at, event.kind);
        let (incidents, events) = (self.incidents.iter().map(incident), self.events.iter().map(event));
        format!("{:?} {:?} {:?}", incidents.collect::<Vec<_>>(), events.collect::<Vec<_>>(), self.levels)
    }

    /// Adds it to a picture: levels and breaches where that shows one series.
    pub(super) fn mark(&self, chart: &Chart, spec: &mut ChartSpec<'_>) {
        let word = |kind| if kind == EventKind::Reboot { "reboot" } else { "out of memory" };
        spec.markers = self.events.iter().map(|event| Marker { at: event.at, label: word(event.kind).to_owned() }).collect();
        let [column] = spec.frame.columns.as_slice() else { return };
        let key = &column.key;
        let levels = self.levels.lookup(chart.agent.id, key);
        spec.thresholds = levels.map(|(levels, _)| level_lines(levels, spec.unit)).unwrap_or_default();
        let is_of_key = |record: &&IncidentRecord| record.key.series == *key || record.key.series.as_str() == key.metric();
        let span =
            |record: &IncidentRecord| Span { start: record.started_at, end: record.resolved_at.unwrap_or(chart.asked.until) };
        spec.breaches = self.incidents.iter().filter(is_of_key).map(span).collect();
    }
}

/// Everything that is found, page by page.
fn all<T>(page: impl Fn(Option<u64>) -> Result<Page<T>, StoreError>) -> Result<Vec<T>, StoreError> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let next = page(before)?;
        found.extend(next.items);
        before = next.next;
        if before.is_none() || found.len() >= MOST {
            return Ok(found);
        }
    }
}

fn level_lines(levels: Levels, unit: Unit) -> Vec<ThresholdLine> {
    let line = |level: Level| {
        let value = levels.at(level);
        let label = format!("{} {}", level.name(), level_text(value, unit));
        ThresholdLine { value, label, is_mild: level == Level::Warn }
    };
    [Level::Warn, Level::Crit].map(line).to_vec()
}
