//! The SQLite engine: one file, one writer, a few readers. All SQL of the house lives in this folder.
//!
//! Acknowledged is durable: write-ahead log with `synchronous = FULL`, many heartbeats to a commit. Checkpoints run on a
//! connection of their own, so that a commit never waits for one to begin with. Scheduling housekeeping is left to the hub.

mod across;
mod agents;
mod alerts;
mod append;
mod apply;
mod cache;
mod cells;
mod chunks;
mod commit;
mod dictionary;
mod expire;
mod extent;
mod failure;
mod filter;
mod held;
mod history;
mod import;
mod load;
mod log;
mod marks;
mod mend;
mod metrics;
mod noted;
mod numbers;
mod open;
mod outbox;
mod packed;
mod people;
mod pins;
#[cfg(test)]
mod plans;
mod pool;
mod prune;
mod quarantine;
mod questions;
mod range;
mod raw;
mod retain;
mod rollups;
mod rules;
mod scrub;
mod seal;
mod sight;
mod state;
mod survey;
mod thin;
mod upkeep;
mod writer;
mod zones;

pub use open::OpenError;

use nightbell_model::Timestamp;
use noted::Noted;
use pool::Pool;
use rusqlite::Connection;
use sight::{Dictionaries, Sight};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use writer::Gate;
use zones::Zones;

/// How the engine uses the machine.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// How many questions are answered at the same time.
    pub readers: usize,
    /// The size of a page in bytes, for a file that is made new.
    pub page_size: u32,
    /// The page cache of the writer, in KiB.
    pub writer_cache_kib: i64,
    /// The file may grow to so many pages; `None` is as far as the disk goes.
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    /// Four readers, pages of 4 KiB, a writer's cache of 5 MiB, no limit.
    fn default() -> Self {
        Self { readers: 4, page_size: 4096, writer_cache_kib: 5 << 10, max_pages: None }
    }
}

/// The store in one SQLite file, and its lock.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    gate: Gate,
    readers: Pool,
    checkpointer: Mutex<Connection>,
    /// What was found damaged.
    noted: Noted,
    /// Dictionaries that were read.
    dictionaries: Arc<Dictionaries>,
    /// Where hot rows stand.
    zones: Arc<Zones>,
    /// Held by the one slice of housekeeping that is being done.
    housekeeping: Mutex<()>,
    /// Hot rows of hours before this have been swept.
    swept_to: Mutex<Timestamp>,
    _lock: File,
}

impl SqliteStore {
    /// Opens the store at `path`, making it if there is none, and brings it to the newest schema. It is locked until dropped.
    ///
    /// # Errors
    /// If the folder cannot be written, another hub has it, or the file is something else, newer or damaged.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self, OpenError> {
        let lock = open::lock(path)?;
        let connection = open::writer(path, &options)?;
        let failed = |error: rusqlite::Error| OpenError::Failed { path: path.to_owned(), source: Box::new(error) };
        let readers = Pool::open(path, options.readers).map_err(failed)?;
        let checkpointer = Mutex::new(open::checkpointer(path).map_err(failed)?);
        let (dictionaries, zones) = (Arc::<Dictionaries>::default(), Arc::<Zones>::default());
        let (noted, housekeeping, swept_to) = (Noted::default(), Mutex::new(()), Mutex::new(Timestamp::MIN));
        Ok(Self {
            path: path.to_owned(),
            gate: Gate::new(connection, Arc::clone(&dictionaries), Arc::clone(&zones)),
            dictionaries,
            zones,
            readers,
            checkpointer,
            noted,
            housekeeping,
            swept_to,
            _lock: lock,
        })
    }

    /// What a question has beside a snapshot that it takes from now on.
    fn sight(&self) -> Sight<'_> {
        Sight::new(&self.noted, &self.dictionaries, &self.zones)
    }

    /// Where the store is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
