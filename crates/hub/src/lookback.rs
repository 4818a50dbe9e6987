//! Rules on rates and forecasts look back: what they need of stored history is read here, off the pipeline, and handed to it.
//! Which history is wanted is the evaluator's to say, what it means is a pure function of the alerting crate.

use crate::clock;
use crate::pipeline::{Control, PipelineHandle};
use crate::registry::Registry;
use nightbell_alerts::trend::refresh_ms;
use nightbell_alerts::{HistoryWant, Rule, Transform, trend_rows};
use nightbell_model::{AgentId, Frame, RuleId, Tier, Timestamp};
use nightbell_store::{MetricStore, RangeQuery, StoreError};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether history is wanted.
const LOOK: Duration = Duration::from_secs(10);
/// The points that a trend is taken from at most, of each series.
const POINTS: usize = 600;
/// How much more than the window is read for a rate: the ring needs a point at its very beginning.
const SPARE_MS: i64 = 120_000;

/// Reads history for the evaluator.
#[derive(Debug)]
pub struct Lookback {
    pipeline: PipelineHandle,
    registry: Arc<Registry>,
    metrics: Arc<dyn MetricStore>,
    /// Up to when each trend was taken last.
    taken: HashMap<(AgentId, RuleId, Transform), Timestamp>,
}

impl Lookback {
    /// A reader that has read nothing yet.
    #[must_use]
    pub fn new(pipeline: PipelineHandle, registry: Arc<Registry>, metrics: Arc<dyn MetricStore>) -> Self {
        Self { pipeline, registry, metrics, taken: HashMap::new() }
    }

    /// Looks and reads until the task is dropped.
    pub async fn run(mut self) {
        loop {
            self.round().await;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn round(&mut self) {
        let Some(wants) = self.pipeline.ask(nightbell_alerts::Evaluator::history_wants).await else { return };
        let now = clock::now();
        let wanted: HashSet<_> = wants.iter().map(key_of).collect();
        self.taken.retain(|key, _| wanted.contains(key));
        for want in wants {
            let up_to = now.floor_to(refresh_ms(want.transform.window_ms()));
            if self.taken.get(&key_of(&want)) == Some(&up_to) {
                continue;
            }
            let Some(rule) = self.registry.read().rules.get(&want.rule).map(|(rule, _)| rule.clone()) else { continue };
            let metrics = Arc::clone(&self.metrics);
            match tokio::task::spawn_blocking(move || read(&*metrics, &rule, want, now)).await {
                Ok(Ok(control)) => {
                    self.pipeline.tell(control);
                    if matches!(want.transform, Transform::Forecast { .. }) {
                        self.taken.insert(key_of(&want), up_to);
                    }
                }
                Ok(Err(error)) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "history for a rule cannot be read; it is tried again"
                    );
                    return;
                }
                Err(error) => tracing::error!(%error, "reading history for a rule panicked"),
            }
        }
    }
}

const fn key_of(want: &HistoryWant) -> (AgentId, RuleId, Transform) {
    (want.agent, want.rule, want.transform)
}

/// What is wanted, as word for the pipeline.
fn read(metrics: &dyn MetricStore, rule: &Rule, want: HistoryWant, now: Timestamp) -> Result<Control, StoreError> {
    let is_rate = matches!(want.transform, Transform::Rate { .. });
    let spare_ms = if is_rate { SPARE_MS } else { refresh_ms(want.transform.window_ms()) };
    let frame: Frame = metrics.range(&RangeQuery {
        agent: want.agent,
        series: vec![rule.selector.metric.clone()],
        start: now.plus_millis(-want.transform.window_ms() - spare_ms),
        end: now,
        tier: is_rate.then_some(Tier::Raw),
        max_points: POINTS,
        now,
    })?;
    Ok(if is_rate {
        Control::Prime(want.agent, want.rule, Box::new(frame))
    } else {
        Control::Trends(trend_rows(rule, want.agent, &frame, now))
    })
}
