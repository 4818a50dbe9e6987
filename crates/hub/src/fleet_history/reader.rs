//! Reads the fleet's last hour ahead: some agents at a time, with pauses, and never for more than a small share of a core, so that
//! neither a start nor heartbeats nor questions notice.

use super::ahead::{MEMBERS, Stretch};
use super::{Arrivals, FleetHistory};
use crate::app::App;
use crate::clock;
use crate::fleet::Fleet;
use crate::registry::Registry;
use nightbell_model::{AgentId, Timestamp};
use nightbell_store::{FleetSurvey, MetricStore, StoreError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it is looked whether there is something to read.
const LOOK: Duration = Duration::from_secs(2);
/// So many rows are read in one piece: two milliseconds, for which a reader of the store is taken.
const ROWS: usize = 1_000;
/// The pause between two pieces.
const PAUSE: Duration = Duration::from_millis(10);
/// One part in so many of the time is spent reading, over long: 0.25 % of a core.
const SHARE: i64 = 400;

/// Reads ahead.
#[derive(Debug)]
pub struct Reader {
    history: Arc<FleetHistory>,
    fleet: Arc<Fleet>,
    registry: Arc<Registry>,
    metrics: Arc<dyn MetricStore>,
}

impl Reader {
    /// A reader for the hub.
    #[must_use]
    pub fn of(app: &App) -> Self {
        Self {
            history: Arc::clone(&app.fleet_history),
            fleet: Arc::clone(&app.fleet),
            registry: Arc::clone(&app.registry),
            metrics: Arc::clone(&app.metrics),
        }
    }

    /// Reads until the task is dropped.
    pub async fn run(self) {
        let (mut savings, mut looked) = (Savings::FULL, Instant::now());
        loop {
            tokio::time::sleep(LOOK).await;
            savings.earn(looked.elapsed());
            looked = Instant::now();
            while savings.is_left()
                && let Some(stretch) = self.next(clock::now())
            {
                match self.read(stretch).await {
                    Ok(took) => savings.spend(took),
                    Err(error) => {
                        tracing::debug!(error = &error as &dyn std::error::Error, "the fleet cannot be read ahead now");
                        break;
                    }
                }
            }
        }
    }

    fn next(&self, now: Timestamp) -> Option<Stretch> {
        let (all, by_tag) = {
            let holdings = self.registry.read();
            if holdings.agents.len() > MEMBERS {
                return None;
            }
            (holdings.groups(false, None).pop()?.1, holdings.groups(true, None))
        };
        let by_tag: Vec<Vec<AgentId>> = by_tag.into_iter().map(|group| group.1).collect();
        self.history.ahead.next(now, &all, &by_tag, self.arrivals())
    }

    fn arrivals(&self) -> &Arrivals {
        self.fleet.arrivals()
    }

    /// Reads a stretch; how long that took, its pauses left out.
    async fn read(&self, stretch: Stretch) -> Result<Duration, StoreError> {
        let (mut survey, mut took) = (stretch.survey(), Duration::ZERO);
        while !survey.is_done() {
            let metrics = Arc::clone(&self.metrics);
            let piece = tokio::task::spawn_blocking(move || piece(&*metrics, survey));
            let (read, time) = piece
                .await
                .map_err(|gone| StoreError::Unavailable { operation: "read the fleet's history", source: Box::new(gone) })??;
            survey = read;
            took += time;
            tokio::time::sleep(PAUSE).await;
        }
        tracing::debug!(took_ms = took.as_millis(), "the fleet is read ahead, some minutes more");
        self.history.ahead.keep(stretch, survey.finish());
        Ok(took)
    }
}

fn piece(metrics: &dyn MetricStore, mut survey: FleetSurvey) -> Result<(FleetSurvey, Duration), StoreError> {
    let begun = Instant::now();
    metrics.survey(&mut survey, ROWS)?;
    Ok((survey, begun.elapsed()))
}

/// For how long may be read, in microseconds. What was read last may have taken more than was left: it is earned back first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Savings(i64);

impl Savings {
    /// So much may be read at once after a rest, as after a start: the last hour of a thousand agents takes a third of it.
    const FULL: Self = Self(3_000_000);

    /// Earns the share of a time that has passed.
    fn earn(&mut self, passed: Duration) {
        self.0 = self.0.saturating_add(micros(passed) / SHARE).min(Self::FULL.0);
    }

    fn spend(&mut self, took: Duration) {
        self.0 = self.0.saturating_sub(micros(took));
    }

    const fn is_left(self) -> bool {
        self.0 > 0
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_long_no_more_than_its_share_is_read() {
        let (mut savings, mut read) = (Savings::FULL, Duration::ZERO);
        let (look, piece) = (Duration::from_secs(2), Duration::from_millis(700));
        for _look in 0..10_000 {
            savings.earn(look);
            while savings.is_left() {
                savings.spend(piece);
                read += piece;
            }
        }
        let share = Duration::from_secs(20_000) / 400;
        assert!(read >= share && read <= share + Duration::from_millis(3_000 + 700), "{read:?}");
        (0..10_000).for_each(|_| savings.earn(look));
        assert_eq!(savings, Savings::FULL, "a rest is worth no more");
    }
}
