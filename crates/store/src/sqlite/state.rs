//! The state seam on SQLite: each method one transaction of the writer, or one snapshot of a reader.

use super::{SqliteStore, alerts, apply, commit, load, log, outbox};
use crate::entities::{AuditEntry, Change, Commit, Delivery, DeliveryState, Loaded, Settled, Waiting};
use crate::seams::{
    Attachment, DeliveryCommand, DeliveryQuery, EventQuery, IncidentQuery, LeaseToken, LoggedEvent, Page, StateStore, StoreError,
};
use nightbell_alerts::IncidentRecord;
use nightbell_model::{IncidentId, Timestamp, Ulid};

impl StateStore for SqliteStore {
    fn acquire(&self, owner: Ulid, now: Timestamp) -> Result<LeaseToken, StoreError> {
        let mut writer = self.gate.urgent();
        let lease = writer.write("take over the store", |connection, _| commit::acquire(connection, owner, now))?;
        writer.lease = Some(lease);
        Ok(lease)
    }

    fn load(&self) -> Result<Loaded, StoreError> {
        self.readers.read("load the state", |connection| load::load(connection, &self.sight()))
    }

    fn commit(&self, lease: LeaseToken, commit: &Commit) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut writer = self.gate.urgent();
        writer.check(lease)?;
        writer.write("store heartbeats", |connection, cache| commit::commit(connection, cache, commit))
    }

    fn apply(&self, lease: LeaseToken, changes: &[Change], audit: Option<&AuditEntry>) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut writer = self.gate.urgent();
        writer.check(lease)?;
        writer.write("change the configuration", |connection, cache| {
            let mut logged = Vec::new();
            for change in changes {
                apply::apply(connection, cache, change, &mut logged)?;
            }
            if let Some(entry) = audit {
                log::write_audit(connection, entry)?;
            }
            Ok(logged)
        })
    }

    fn waiting(&self, until: Timestamp) -> Result<Vec<Waiting>, StoreError> {
        self.readers.read("look into the outbox", |connection| outbox::waiting(connection, until))
    }

    fn claim(
        &self,
        lease: LeaseToken,
        now: Timestamp,
        until: Timestamp,
        messages: &[Vec<Ulid>],
    ) -> Result<Vec<Vec<Delivery>>, StoreError> {
        let mut writer = self.gate.urgent();
        writer.check(lease)?;
        writer.write("take deliveries", |connection, _| outbox::claim(connection, now, until, messages))
    }

    fn shift_deliveries(&self, lease: LeaseToken, by_ms: i64) -> Result<(), StoreError> {
        let mut writer = self.gate.urgent();
        writer.check(lease)?;
        writer.write("move deliveries in time", |connection, _| outbox::shift(connection, by_ms))
    }

    fn pull_back_deliveries(&self, lease: LeaseToken, now: Timestamp, longest_ms: i64) -> Result<usize, StoreError> {
        let mut writer = self.gate.urgent();
        writer.check(lease)?;
        writer.write("move deliveries in time", |connection, _| outbox::pull_back(connection, now, longest_ms))
    }

    fn note_progress(&self, lease: LeaseToken, id: Ulid, progress_json: &str) -> Result<(), StoreError> {
        let mut writer = self.gate.urgent();
        writer.check(lease)?;
        writer.write("note a delivery's progress", |connection, _| outbox::note_progress(connection, id, progress_json))
    }

    fn settle(&self, lease: LeaseToken, results: &[(Ulid, Settled)], now: Timestamp) -> Result<(), StoreError> {
        let mut writer = self.gate.urgent();
        writer.check(lease)?;
        writer.write("settle deliveries", |connection, _| {
            results.iter().try_for_each(|(id, settled)| outbox::settle(connection, *id, settled, now))
        })
    }

    fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.readers.read("look for due deliveries", outbox::next_due)
    }

    fn command_delivery(
        &self,
        lease: LeaseToken,
        id: Ulid,
        command: DeliveryCommand,
        now: Timestamp,
    ) -> Result<Delivery, StoreError> {
        let mut writer = self.gate.urgent();
        writer.check(lease)?;
        writer.write("change a delivery", |connection, _| outbox::command(connection, id, command, now))
    }

    fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery>, StoreError> {
        self.readers.read("list deliveries", |connection| outbox::list(connection, query))
    }

    fn delivery(&self, id: Ulid) -> Result<Option<Delivery>, StoreError> {
        self.readers.read("read a delivery", |connection| outbox::one(connection, id))
    }

    fn delivery_counts(&self) -> Result<Vec<(DeliveryState, u64)>, StoreError> {
        self.readers.read("count deliveries", outbox::counts)
    }

    fn incidents(&self, query: &IncidentQuery) -> Result<Page<IncidentRecord>, StoreError> {
        self.readers.read("list incidents", |connection| alerts::incidents(connection, query))
    }

    fn incident(&self, id: IncidentId) -> Result<Option<(IncidentRecord, Vec<Attachment>)>, StoreError> {
        self.readers.read("read an incident", |connection| alerts::incident(connection, id))
    }

    fn events(&self, query: &EventQuery) -> Result<Page<LoggedEvent>, StoreError> {
        self.readers.read("read the event log", |connection| log::events(connection, query))
    }

    fn audit(&self, before: Option<u64>, limit: usize) -> Result<Page<AuditEntry>, StoreError> {
        self.readers.read("read the audit log", |connection| log::audit(connection, before, limit))
    }
}
