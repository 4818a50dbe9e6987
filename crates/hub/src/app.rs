//! The assembled hub, as request handlers see it: every part they may use, and nothing else.

use crate::auth::attempts::Attempts;
use crate::auth::token;
use crate::config::Config;
use crate::fleet::Fleet;
use crate::fleet_history::FleetHistory;
use crate::links::Links;
use crate::live::Live;
use crate::lookup::Lookup;
use crate::measure::Measure;
use crate::outbox::OutboxHandle;
use crate::outlook::Outlooks;
use crate::pipeline::PipelineHandle;
use crate::port::Port;
use crate::registry::Registry;
use nightbell_notify::Notifier;
use nightbell_store::{LeaseToken, MetricStore, SqliteStore, StateStore, StoreError, TokenHash};
use std::sync::{Arc, Mutex, PoisonError};

/// The hub's parts.
#[derive(Debug)]
pub struct App {
    /// Settings of the process.
    pub config: Config,
    /// Configuration in memory, and the way to change it.
    pub registry: Arc<Registry>,
    /// The newest values.
    pub fleet: Arc<Fleet>,
    /// What was asked of the fleet's history of late.
    pub fleet_history: Arc<FleetHistory>,
    /// Where series stand in what agents send.
    pub lookup: Lookup,
    /// What happens now.
    pub live: Live,
    /// The way to the evaluator.
    pub pipeline: PipelineHandle,
    /// The way to the worker that sends.
    pub outbox: OutboxHandle,
    /// The engine itself, for backups.
    pub engine: Arc<SqliteStore>,
    /// State.
    pub store: Arc<dyn StateStore>,
    /// History.
    pub metrics: Arc<dyn MetricStore>,
    /// Where disks are heading.
    pub outlooks: Arc<Outlooks>,
    /// The right to write.
    pub lease: LeaseToken,
    /// The hub's own numbers.
    pub measure: Arc<Measure>,
    /// Speaks to receivers.
    pub notifier: Arc<Notifier>,
    /// Where links lead.
    pub links: Links,
    /// The one-time key for the first admin.
    pub setup: SetupKey,
    /// Wrong passwords of late.
    pub attempts: Attempts,
    /// The agents' side.
    pub port: Arc<Port>,
}

impl App {
    /// Reads from the state store on a thread that may wait.
    ///
    /// # Errors
    /// What the store says.
    pub async fn read_state<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn StateStore) -> Result<T, StoreError> + Send + 'static,
    {
        let store = Arc::clone(&self.store);
        waited(tokio::task::spawn_blocking(move || read(&*store)).await)
    }

    /// Reads from history on a thread that may wait.
    ///
    /// # Errors
    /// What the store says.
    pub async fn read_metrics<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn MetricStore) -> Result<T, StoreError> + Send + 'static,
    {
        let metrics = Arc::clone(&self.metrics);
        waited(tokio::task::spawn_blocking(move || read(&*metrics)).await)
    }
}

fn waited<T>(ended: Result<Result<T, StoreError>, tokio::task::JoinError>) -> Result<T, StoreError> {
    ended.unwrap_or_else(|gone| Err(StoreError::Unavailable { operation: "read", source: Box::new(gone) }))
}

/// The one-time key that makes the first admin. It lives in memory only: a hub without people prints a new one at each start.
#[derive(Debug, Default)]
pub struct SetupKey(Mutex<Option<TokenHash>>);

impl SetupKey {
    /// A fresh key, and its text to print.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn mint(&self) -> Result<String, getrandom::Error> {
        let (text, hash) = token::mint(token::Kind::Setup)?;
        *self.lock() = Some(hash);
        Ok(text)
    }

    /// Whether somebody may still set the hub up.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        self.lock().is_some()
    }

    /// Whether this is the key.
    #[must_use]
    pub fn fits(&self, key: &str) -> bool {
        let hash = token::hash(key);
        self.lock().is_some_and(|known| bool::from(subtle::ConstantTimeEq::ct_eq(known.as_slice(), hash.as_slice())))
    }

    /// Ends the set-up.
    pub fn spend(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<TokenHash>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
