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
    taken: HashMap<Key, Timestamp>,
    /// What could not be read when it was tried last. It is tried again and again; only the first time is said.
    failing: HashSet<Key>,
}

/// Whose history, and what for.
type Key = (AgentId, RuleId, Transform);

impl Lookback {
    /// A reader that has read nothing yet.
    #[must_use]
    pub fn new(pipeline: PipelineHandle, registry: Arc<Registry>, metrics: Arc<dyn MetricStore>) -> Self {
        Self { pipeline, registry, metrics, taken: HashMap::new(), failing: HashSet::new() }
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
        self.look(wants, clock::now()).await;
    }

    /// Reads what is wanted and hands it over. What cannot be read of one agent keeps nobody else waiting.
    async fn look(&mut self, wants: Vec<HistoryWant>, now: Timestamp) {
        let wanted: HashSet<_> = wants.iter().map(key_of).collect();
        self.taken.retain(|key, _| wanted.contains(key));
        self.failing.retain(|key| wanted.contains(key));
        for want in wants {
            let key = key_of(&want);
            let up_to = now.floor_to(refresh_ms(want.transform.window_ms()));
            if self.taken.get(&key) == Some(&up_to) {
                continue;
            }
            let Some(rule) = self.registry.read().rules.get(&want.rule).map(|(rule, _)| rule.clone()) else { continue };
            let metrics = Arc::clone(&self.metrics);
            match tokio::task::spawn_blocking(move || read(&*metrics, &rule, want, now)).await {
                Ok(Ok(control)) => {
                    self.pipeline.tell(control);
                    self.failing.remove(&key);
                    if matches!(want.transform, Transform::Forecast { .. }) {
                        self.taken.insert(key, up_to);
                    }
                }
                Ok(Err(error)) => self.failed(key, &error),
                Err(panicked) => self.failed(key, &panicked),
            }
        }
    }

    fn failed(&mut self, key: Key, error: &(dyn std::error::Error + 'static)) {
        if self.failing.insert(key) {
            let (agent, rule, _) = key;
            tracing::warn!(%agent, %rule, error, "history for a rule cannot be read; it is tried again");
        }
    }
}

const fn key_of(want: &HistoryWant) -> Key {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Live;
    use crate::pipeline;
    use crate::registry::Holdings;
    use crate::seldom::tests::{half_readable, start};
    use nightbell_store::{Change, Loaded, StateStore};

    #[tokio::test]
    async fn what_cannot_be_read_of_one_agent_keeps_no_other_waiting_and_is_said_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, lease, [ruined, sound]) = half_readable(folder.path());
        let first = crate::starter::changes(&[], start()).into_iter().find_map(|change| match change {
            Change::PutRule { rule, .. } => Some(rule),
            _ => None,
        });
        let mut rule = Rule { transform: Transform::Rate { window_ms: 3_600_000, per_ms: 3_600_000 }, ..first.expect("a rule") };
        rule.selector.metric = "smart.healthy".to_owned();
        let loaded = Loaded { rules: vec![(rule.clone(), start())], ..Loaded::default() };
        let store = Arc::new(store);
        let (pipeline, input) = pipeline::queue();
        let state: Arc<dyn StateStore> = Arc::clone(&store) as _;
        let registry = Arc::new(Registry::new(Holdings::from_loaded(&loaded), state, lease, pipeline.clone(), Live::default()));
        let mut lookback = Lookback::new(pipeline, registry, store);
        let wants: Vec<_> = [ruined, sound].map(|agent| HistoryWant { agent, rule: rule.id, transform: rule.transform }).into();
        for round in 1..3 {
            lookback.look(wants.clone(), start().plus_millis(3_600_000)).await;
            let heard = input.controls();
            assert!(matches!(heard[..], [Control::Prime(agent, ..)] if agent == sound), "{round}: {heard:?}");
            assert_eq!(lookback.failing.iter().map(|key| key.0).collect::<Vec<_>>(), [ruined]);
        }
    }
}
