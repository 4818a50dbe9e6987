//! A state store whose channels are sealed: what goes in is sealed, what comes out is opened. Everything else passes through.
//!
//! A channel that cannot be opened is not lost: it comes out as it stands in the database, marked as broken with the reason, and
//! goes back in as it came out.

use super::{Keyring, SealError, is_sealed};
use nightbell_alerts::IncidentRecord;
use nightbell_model::{IncidentId, Timestamp, Ulid};
use nightbell_store::{
    Attachment, AuditEntry, Change, ChannelRow, Commit, Delivery, DeliveryCommand, DeliveryQuery, DeliveryState, EventQuery,
    IncidentQuery, LeaseToken, Loaded, LoggedEvent, Page, Settled, StateStore, StoreError, Waiting,
};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The store and the keys.
#[derive(Debug)]
pub struct SealedStore {
    inner: Arc<dyn StateStore>,
    keyring: Arc<Keyring>,
    /// Whether something was read that is to be sealed anew.
    has_stale: AtomicBool,
}

fn owner(row: &ChannelRow) -> String {
    format!("channel/{}", row.id)
}

impl SealedStore {
    /// A store around `inner` with these keys.
    #[must_use]
    pub const fn new(inner: Arc<dyn StateStore>, keyring: Arc<Keyring>) -> Self {
        Self { inner, keyring, has_stale: AtomicBool::new(false) }
    }

    /// Seals what was read in clear, or under a key that seals no more; how many channels that were.
    ///
    /// # Errors
    /// What the store says, or that there is no key.
    pub fn seal_all(&self, lease: LeaseToken) -> Result<usize, StoreError> {
        if !self.has_stale.swap(false, Ordering::Relaxed) {
            return Ok(0);
        }
        let stale = |row: &ChannelRow| self.keyring.open(&owner(row), &row.config_json).is_ok_and(|opened| !opened.is_current);
        let rows: Vec<ChannelRow> = self.inner.load()?.channels.into_iter().filter(stale).collect();
        let opened = rows.into_iter().map(|row| Change::PutChannel(self.opened(row)));
        let changes: Vec<Change> = opened.collect();
        if !changes.is_empty() {
            self.apply(lease, &changes, None)?;
        }
        Ok(changes.len())
    }

    fn opened(&self, mut row: ChannelRow) -> ChannelRow {
        match self.keyring.open(&owner(&row), &row.config_json) {
            Ok(opened) => {
                self.has_stale.fetch_or(!opened.is_current, Ordering::Relaxed);
                row.config_json = opened.text;
            }
            Err(error) => {
                tracing::error!(channel = row.name, %error, "a channel's secrets cannot be opened");
                row.broken = Some(format!("its secrets cannot be opened: {error}"));
            }
        }
        row
    }

    fn sealed(&self, row: &ChannelRow) -> Result<ChannelRow, SealError> {
        // One that could not be opened goes back as it came.
        let config_json = if is_sealed(&row.config_json) {
            row.config_json.clone()
        } else {
            self.keyring.seal(&owner(row), &row.config_json)?
        };
        Ok(ChannelRow { config_json, ..row.clone() })
    }

    fn seal_changes<'a>(&self, changes: &'a [Change]) -> Result<Cow<'a, [Change]>, StoreError> {
        if !changes.iter().any(|change| matches!(change, Change::PutChannel(_))) {
            return Ok(Cow::Borrowed(changes));
        }
        let seal = |change: &Change| match change {
            Change::PutChannel(row) => self.sealed(row).map(Change::PutChannel),
            other => Ok(other.clone()),
        };
        let sealed: Result<Vec<Change>, SealError> = changes.iter().map(seal).collect();
        sealed.map(Cow::Owned).map_err(|error| StoreError::Conflict(error.to_string()))
    }
}

impl StateStore for SealedStore {
    fn acquire(&self, owner: Ulid, now: Timestamp) -> Result<LeaseToken, StoreError> {
        self.inner.acquire(owner, now)
    }

    fn load(&self) -> Result<Loaded, StoreError> {
        let mut loaded = self.inner.load()?;
        loaded.channels = loaded.channels.into_iter().map(|row| self.opened(row)).collect();
        Ok(loaded)
    }

    fn commit(&self, lease: LeaseToken, commit: &Commit) -> Result<Vec<LoggedEvent>, StoreError> {
        self.inner.commit(lease, commit)
    }

    fn apply(&self, lease: LeaseToken, changes: &[Change], audit: Option<&AuditEntry>) -> Result<Vec<LoggedEvent>, StoreError> {
        self.inner.apply(lease, &self.seal_changes(changes)?, audit)
    }

    fn waiting(&self, until: Timestamp) -> Result<Vec<Waiting>, StoreError> {
        self.inner.waiting(until)
    }

    fn claim(
        &self,
        lease: LeaseToken,
        now: Timestamp,
        until: Timestamp,
        messages: &[Vec<Ulid>],
    ) -> Result<Vec<Vec<Delivery>>, StoreError> {
        self.inner.claim(lease, now, until, messages)
    }

    fn shift_deliveries(&self, lease: LeaseToken, by_ms: i64) -> Result<(), StoreError> {
        self.inner.shift_deliveries(lease, by_ms)
    }

    fn pull_back_deliveries(&self, lease: LeaseToken, now: Timestamp, longest_ms: i64) -> Result<usize, StoreError> {
        self.inner.pull_back_deliveries(lease, now, longest_ms)
    }

    fn note_progress(&self, lease: LeaseToken, id: Ulid, progress_json: &str) -> Result<(), StoreError> {
        self.inner.note_progress(lease, id, progress_json)
    }

    fn settle(&self, lease: LeaseToken, results: &[(Ulid, Settled)], now: Timestamp) -> Result<(), StoreError> {
        self.inner.settle(lease, results, now)
    }

    fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due()
    }

    fn command_delivery(
        &self,
        lease: LeaseToken,
        id: Ulid,
        command: DeliveryCommand,
        now: Timestamp,
    ) -> Result<Delivery, StoreError> {
        self.inner.command_delivery(lease, id, command, now)
    }

    fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery>, StoreError> {
        self.inner.deliveries(query)
    }

    fn delivery(&self, id: Ulid) -> Result<Option<Delivery>, StoreError> {
        self.inner.delivery(id)
    }

    fn delivery_counts(&self) -> Result<Vec<(DeliveryState, u64)>, StoreError> {
        self.inner.delivery_counts()
    }

    fn incidents(&self, query: &IncidentQuery) -> Result<Page<IncidentRecord>, StoreError> {
        self.inner.incidents(query)
    }

    fn incident(&self, id: IncidentId) -> Result<Option<(IncidentRecord, Vec<Attachment>)>, StoreError> {
        self.inner.incident(id)
    }

    fn events(&self, query: &EventQuery) -> Result<Page<LoggedEvent>, StoreError> {
        self.inner.events(query)
    }

    fn audit(&self, before: Option<u64>, limit: usize) -> Result<Page<AuditEntry>, StoreError> {
        self.inner.audit(before, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_model::ChannelId;
    use nightbell_store::{MemoryStore, SqliteOptions, SqliteStore};

    const CLEAR: &str = r#"{"url":"https://example.org/canary"}"#;

    fn row(config_json: &str) -> ChannelRow {
        ChannelRow {
            id: ChannelId::from_bits(1),
            name: "ops".to_owned(),
            kind: "webhook".to_owned(),
            config_json: config_json.to_owned(),
            enabled: true,
            broken: None,
            created_at: Timestamp::from_secs(1),
            quiet_json: "[]".to_owned(),
            version: 1,
        }
    }

    fn around(inner: &Arc<MemoryStore>, keyring: Keyring) -> SealedStore {
        SealedStore::new(Arc::clone(inner) as _, Arc::new(keyring))
    }

    fn stored(store: &dyn StateStore) -> ChannelRow {
        store.load().expect("a store").channels.remove(0)
    }

    #[test]
    fn what_an_older_hub_left_in_clear_is_gone_from_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("nightbell.db");
        let canary = |place: &str| std::fs::read(place).is_ok_and(|bytes| bytes.windows(6).any(|six| six == b"canary"));
        let engine = Arc::new(SqliteStore::open(&path, SqliteOptions::default()).expect("a store"));
        let lease = engine.acquire(Ulid::default(), Timestamp::from_secs(1)).expect("a lease");
        for n in 1..=40_u128 {
            let clear = format!(
                r#"{{"url":"https://example.org/canary{n}","pad":"{}"}}"#,
                "x".repeat(usize::try_from(n).expect("small") * 200)
            );
            let row = ChannelRow { id: ChannelId::from_bits(n), name: n.to_string(), ..row(&clear) };
            engine.apply(lease, &[Change::PutChannel(row)], None).expect("of an older hub");
        }
        engine.close().expect("folded");
        let files = [path.clone(), folder.path().join("nightbell.db-wal")].map(|path| path.to_str().expect("text").to_owned());
        assert!(canary(&files[0]), "it stands there in clear");
        let store = SealedStore::new(Arc::clone(&engine) as _, Arc::new(Keyring::new([[1; 32]])));
        store.load().expect("a store");
        assert_eq!(store.seal_all(lease).expect("a key"), 40);
        engine.close().expect("folded");
        assert!(!canary(&files[0]) && !canary(&files[1]), "no page of the file holds it any more");
        assert_eq!(store.load().expect("a store").channels.len(), 40);
    }

    #[test]
    fn what_stands_below_is_sealed_and_survives_the_loss_of_its_key() {
        let inner = Arc::new(MemoryStore::default());
        let lease = inner.acquire(Ulid::default(), Timestamp::from_secs(1)).expect("a lease");
        inner.apply(lease, &[Change::PutChannel(row(CLEAR))], None).expect("of an older hub");
        let store = around(&inner, Keyring::new([[1; 32]]));
        assert_eq!(stored(&store).config_json, CLEAR, "clear rows are read");
        assert_eq!(store.seal_all(lease).expect("a key"), 1);
        assert_eq!(stored(&store).config_json, CLEAR);
        assert_eq!(store.seal_all(lease).expect("a key"), 0, "once is enough");
        assert!(is_sealed(&stored(&*inner).config_json) && !stored(&*inner).config_json.contains("canary"));
        assert_eq!((stored(&store).config_json.as_str(), stored(&store).broken), (CLEAR, None));

        let lost = around(&inner, Keyring::new([[2; 32]]));
        let broken = stored(&lost);
        assert!(broken.broken.as_deref().expect("broken").contains("not in the key file"), "{broken:?}");
        lost.apply(lease, &[Change::PutChannel(broken)], None).expect("it goes back as it came");
        assert_eq!(stored(&store).config_json, CLEAR, "and opens again when the key is back");
        assert_eq!(lost.seal_all(lease).expect("a key"), 0);

        let rotated = around(&inner, Keyring::new([[2; 32], [1; 32]]));
        assert_eq!(stored(&rotated).config_json, CLEAR);
        assert_eq!(rotated.seal_all(lease).expect("both keys"), 1);
        assert_eq!(stored(&lost).config_json, CLEAR, "the newer key alone opens it now");
        let none = around(&inner, Keyring::without("the key file k is gone"));
        let refused = none.apply(lease, &[Change::PutChannel(row(CLEAR))], None).expect_err("no key");
        assert!(refused.to_string().contains("the key file k is gone"), "{refused}");
    }
}
