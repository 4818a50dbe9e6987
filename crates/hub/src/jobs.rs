//! Housekeeping by the clock: rollups, retention, checkpoints of the write-ahead log. What is done is the store's; when, the
//! schedule's.

use crate::clock;
use crate::measure::Measure;
use chrono::Utc;
use nightbell_store::{Housekeeping, LeaseToken, MetricStore, Retention, SqliteStore, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// How often the log of the database is folded into its file, off the writer's path.
const CHECKPOINT: Duration = Duration::from_secs(5);
/// The pause when a schedule has no next time.
const FOREVER: Duration = Duration::from_secs(86_400);

/// What housekeeping works on.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// The store.
    pub store: Arc<SqliteStore>,
    /// The right to write.
    pub lease: LeaseToken,
    /// How long each tier is kept.
    pub retention: Retention,
    /// Counts what ran.
    pub measure: Arc<Measure>,
}

impl Jobs {
    /// Writes rollups now, on this thread.
    ///
    /// # Errors
    /// What the store says.
    pub fn roll_up(&self) -> Result<Housekeeping, StoreError> {
        self.store.roll_up(self.lease, clock::now())
    }

    /// Removes what is too old, on this thread.
    ///
    /// # Errors
    /// What the store says.
    pub fn retain(&self) -> Result<Housekeeping, StoreError> {
        self.store.retain(self.lease, clock::now(), &self.retention)
    }

    /// Runs a job at each time its schedule names, until the task is dropped. A run that takes longer than the pause before the
    /// next is not run twice.
    pub async fn at(self, name: &'static str, schedule: cron::Schedule, job: fn(&Self) -> Result<Housekeeping, StoreError>) {
        loop {
            let pause =
                schedule.upcoming(Utc).next().map_or(FOREVER, |next| (next - Utc::now()).to_std().unwrap_or(Duration::ZERO));
            tokio::time::sleep(pause.max(Duration::from_millis(10))).await;
            self.run(name, job).await;
        }
    }

    async fn run(&self, name: &'static str, job: fn(&Self) -> Result<Housekeeping, StoreError>) {
        let _running = self.measure.job();
        let jobs = self.clone();
        let ended = tokio::task::spawn_blocking(move || job(&jobs)).await;
        let well = match ended {
            Ok(Ok(did)) => {
                tracing::debug!(job = name, buckets = did.buckets, removed = did.removed, "housekeeping done");
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    job = name,
                    error = &error as &dyn std::error::Error,
                    "housekeeping failed; it runs again at its next time"
                );
                false
            }
            Err(error) => {
                tracing::error!(job = name, %error, "housekeeping panicked; it runs again at its next time");
                false
            }
        };
        self.measure.job_ended(name, well);
    }

    /// Folds the database's log into its file every few seconds, until the task is dropped.
    pub async fn checkpoint(self) {
        loop {
            tokio::time::sleep(CHECKPOINT).await;
            let store = Arc::clone(&self.store);
            match tokio::task::spawn_blocking(move || store.checkpoint()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(error = &error as &dyn std::error::Error, "the log cannot be folded now"),
                Err(error) => tracing::error!(%error, "folding the log panicked"),
            }
        }
    }
}
