//! The engines as the suite sees them.

use nightbell_model::{Timestamp, Ulid};
use nightbell_store::{LeaseToken, MemoryStore, MetricStore, SqliteOptions, SqliteStore, StateStore};
use tempfile::TempDir;

/// Both seams.
pub(crate) trait Store: MetricStore + StateStore {}
impl<S: MetricStore + StateStore> Store for S {}

/// An engine with an empty store that this process has the right to write.
pub(crate) trait Engine {
    /// The store.
    fn store(&self) -> &dyn Store;
    /// The right to write.
    fn lease(&self) -> LeaseToken;
    /// What a restart of the hub does to it.
    fn reopen(&mut self);
}

/// The engine in a file.
pub(crate) struct Sqlite {
    folder: TempDir,
    store: Option<SqliteStore>,
    lease: LeaseToken,
}

impl Sqlite {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("hub.db"), SqliteOptions::default()).unwrap();
        let lease = store.acquire(Ulid::from_bits(1), Timestamp::from_secs(0)).unwrap();
        Self { folder, store: Some(store), lease }
    }
}

impl Sqlite {
    /// Goes on with a copy of what lies on the disk at this moment: the store is not closed in good order.
    pub(crate) fn crash(&mut self) {
        let elsewhere = tempfile::tempdir().unwrap();
        for name in ["hub.db", "hub.db-wal"] {
            std::fs::copy(self.folder.path().join(name), elsewhere.path().join(name)).unwrap();
        }
        drop(self.store.take());
        self.folder = elsewhere;
        self.reopen();
    }
}

impl Engine for Sqlite {
    fn store(&self) -> &dyn Store {
        self.store.as_ref().unwrap()
    }

    fn lease(&self) -> LeaseToken {
        self.lease
    }

    fn reopen(&mut self) {
        drop(self.store.take());
        let store = SqliteStore::open(&self.folder.path().join("hub.db"), SqliteOptions::default()).unwrap();
        self.lease = store.acquire(Ulid::from_bits(1), Timestamp::from_secs(0)).unwrap();
        self.store = Some(store);
    }
}

/// The model.
pub(crate) struct Memory {
    store: MemoryStore,
    lease: LeaseToken,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let store = MemoryStore::new();
        let lease = store.acquire(Ulid::from_bits(1), Timestamp::from_secs(0)).unwrap();
        Self { store, lease }
    }
}

impl Engine for Memory {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn lease(&self) -> LeaseToken {
        self.lease
    }

    fn reopen(&mut self) {
        self.lease = self.store.acquire(Ulid::from_bits(1), Timestamp::from_secs(0)).unwrap();
    }
}
