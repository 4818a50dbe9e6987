//! Housekeeping by the clock: rollups, packing, checking, retention, checkpoints of the write-ahead log. What is done is the store's;
//! when, the schedule's.

use crate::ageing::Ageing;
use crate::clock;
use crate::measure::Measure;
use chrono::Utc;
use nightbell_alerts::{Event, EventKind};
use nightbell_model::Timestamp;
use nightbell_store::{
    Change, Housekeeping, LeaseToken, MetricStore, Retention, ScrubPlace, SqliteStore, StateStore, StoreError,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
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
    /// By which clock history grows old.
    ageing: Arc<Mutex<Ageing>>,
    /// How far the store has been checked.
    pub scrubbed_to: Arc<Mutex<ScrubPlace>>,
    /// The jobs whose last run met damage.
    met_damage: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Jobs {
    /// Housekeeping of `store`, checking from its beginning. `heard` is when the last of any agent was heard: a clock that is far ahead
    /// of it may be wrong.
    #[must_use]
    pub fn new(
        store: Arc<SqliteStore>,
        lease: LeaseToken,
        retention: Retention,
        measure: Arc<Measure>,
        heard: Option<Timestamp>,
    ) -> Self {
        let now = clock::now();
        let ageing = Ageing::from(heard.map_or(now, |heard| heard.min(now)), clock::boot_millis());
        let ageing = Arc::new(Mutex::new(ageing));
        Self { store, lease, retention, measure, ageing, scrubbed_to: Arc::default(), met_damage: Arc::default() }
    }

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
        let (wall, boot_ms) = (clock::now(), clock::boot_millis());
        let now = self.ageing.lock().unwrap_or_else(PoisonError::into_inner).now(wall, boot_ms);
        if now < wall {
            tracing::warn!(
                wall = wall.as_millis(),
                now = now.as_millis(),
                "the clock has leapt ahead: history does not age by it yet"
            );
        }
        self.store.retain(self.lease, now, &self.retention)
    }

    /// Packs what is complete, on this thread.
    ///
    /// # Errors
    /// What the store says.
    pub fn seal(&self) -> Result<Housekeeping, StoreError> {
        self.store.seal(self.lease, clock::now(), &self.retention.packing(false))
    }

    /// Checks the next stretch of the store, on this thread; what is damaged becomes a line of the event log.
    ///
    /// # Errors
    /// What the store says.
    pub fn scrub(&self) -> Result<Housekeeping, StoreError> {
        let mut place = *self.scrubbed_to.lock().unwrap_or_else(PoisonError::into_inner);
        self.look(&mut place)?;
        *self.scrubbed_to.lock().unwrap_or_else(PoisonError::into_inner) = place;
        Ok(Housekeeping::default())
    }

    /// Looks through the pages of all tables and indexes at once, on this thread: a job cannot go on, and a broken index, which may
    /// be why, is made again.
    fn mend(&self) -> Result<Housekeeping, StoreError> {
        let mut place = ScrubPlace::PAGES;
        while !self.look(&mut place)? {}
        Ok(Housekeeping::default())
    }

    /// Looks through the stretch at `place`; whether it was the last of a round.
    fn look(&self, place: &mut ScrubPlace) -> Result<bool, StoreError> {
        let report = self.store.scrub(self.lease, clock::now(), place)?;
        let lines: Vec<Change> = report.found.iter().map(|what| Change::LogEvent(damage(what))).collect();
        if !lines.is_empty() {
            self.store.apply(self.lease, &lines, None)?;
        }
        Ok(report.is_round)
    }

    /// Runs a job at each time its schedule names, until the task is dropped. A run that takes longer than the pause before the
    /// next is not run twice.
    pub async fn at(self, name: &'static str, schedule: cron::Schedule, job: fn(&Self) -> Result<Housekeeping, StoreError>) {
        loop {
            let pause =
                schedule.upcoming(Utc).next().map_or(FOREVER, |next| (next - Utc::now()).to_std().unwrap_or(Duration::ZERO));
            tokio::time::sleep(pause.max(Duration::from_millis(10))).await;
            if self.run(name, job).await {
                self.run("mend", Self::mend).await;
            }
        }
    }

    /// Runs a job; whether it has met damage that its run before had not.
    async fn run(&self, name: &'static str, job: fn(&Self) -> Result<Housekeeping, StoreError>) -> bool {
        let _running = self.measure.job();
        let jobs = self.clone();
        let ended = tokio::task::spawn_blocking(move || job(&jobs)).await;
        let is_damaged = matches!(&ended, Ok(Err(StoreError::Corrupt { .. })));
        let well = match ended {
            Ok(Ok(did)) => {
                tracing::debug!(
                    job = name,
                    buckets = did.buckets,
                    removed = did.removed,
                    chunks = did.chunks,
                    "housekeeping done"
                );
                true
            }
            Ok(Err(error @ StoreError::Stopping)) => {
                tracing::debug!(job = name, %error, "housekeeping is put off");
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
        let mut met = self.met_damage.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_damaged {
            met.remove(name);
        }
        is_damaged && met.insert(name)
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

/// The line of the event log about something damaged.
fn damage(what: &str) -> Event {
    Event::line(clock::now(), EventKind::Note, format!("damaged history was found and set aside: {what}"))
}
