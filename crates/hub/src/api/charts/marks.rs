//! What happened, on a chart: levels and breaches where there is one series, restarts and killed processes.

use super::Chart;
use crate::api::problem::Problem;
use crate::app::App;
use nightbell_alerts::{EventKind, IncidentRecord};
use nightbell_charts::{ChartSpec, Marker, Span, ThresholdLine};
use nightbell_model::{Level, Levels, SeriesKey};
use nightbell_store::{EventQuery, IncidentQuery, StateStore, StoreError};

/// How many incidents and events are looked through for marks.
const LOOKED_THROUGH: usize = 500;

impl Chart {
    /// Adds what happened.
    pub(super) fn mark(&self, app: &App, spec: &mut ChartSpec<'_>) -> Result<(), Problem> {
        spec.markers = self.markers(&*app.store)?;
        let [column] = spec.frame.columns.as_slice() else { return Ok(()) };
        let levels = app.registry.read().levels.lookup(self.agent.id, &column.key);
        spec.thresholds = levels.map(|(levels, _)| level_lines(levels)).unwrap_or_default();
        spec.breaches = self.breaches(&*app.store, &column.key)?;
        Ok(())
    }

    fn breaches(&self, store: &dyn StateStore, key: &SeriesKey) -> Result<Vec<Span>, StoreError> {
        let query = IncidentQuery { agent: Some(self.agent.id), limit: LOOKED_THROUGH, ..IncidentQuery::default() };
        let is_of_key = |record: &IncidentRecord| record.key.series == *key || record.key.series.as_str() == key.metric();
        let found = store.incidents(&query)?.items.into_iter().filter(is_of_key);
        let span =
            |record: IncidentRecord| Span { start: record.started_at, end: record.resolved_at.unwrap_or(self.asked.until) };
        Ok(found.map(span).filter(|span| span.start < self.asked.until && span.end > self.asked.start).collect())
    }

    fn markers(&self, store: &dyn StateStore) -> Result<Vec<Marker>, StoreError> {
        let kinds = vec![EventKind::Reboot, EventKind::OomKill];
        let query = EventQuery { agent: Some(self.agent.id), kinds, limit: LOOKED_THROUGH, ..EventQuery::default() };
        let events = store.events(&query)?.items.into_iter().map(|logged| logged.event);
        let word = |kind| if kind == EventKind::Reboot { "reboot" } else { "out of memory" };
        let inside = events.filter(|event| event.at >= self.asked.start && event.at < self.asked.until);
        Ok(inside.map(|event| Marker { at: event.at, label: word(event.kind).to_owned() }).collect())
    }
}

fn level_lines(levels: Levels) -> Vec<ThresholdLine> {
    let line = |level: Level| ThresholdLine { value: levels.at(level), label: format!("{} {}", level.name(), levels.at(level)) };
    [Level::Warn, Level::Crit].map(line).to_vec()
}
