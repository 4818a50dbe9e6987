//! The one writing connection: who may have it, in which order, and what is remembered beside it.

use super::cache::Cache;
use super::failure::Answer;
use super::sight::Dictionaries;
use crate::seams::{LeaseToken, StoreError};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long housekeeping stands back before it asks again whether somebody still waits.
const STAND_BACK: Duration = Duration::from_micros(200);

/// So long may a slice of housekeeping go on while commits wait. What it wrote is then still to be made durable.
const SLICE_TIME: Duration = Duration::from_millis(8);

/// The time that a slice of housekeeping has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn(Instant);

impl Turn {
    /// From now on.
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.0.elapsed() >= SLICE_TIME
    }
}

/// The writing connection and what goes with it.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    /// Who may write; `None` before the first takeover.
    pub(super) lease: Option<LeaseToken>,
    cache: Cache,
}

/// Lets one in at a time, commits before housekeeping.
#[derive(Debug)]
pub(super) struct Gate {
    writer: Mutex<Writer>,
    waiting: AtomicUsize,
}

impl Gate {
    /// A gate before `connection`, which nobody has the right to write on yet.
    pub(super) fn new(connection: Connection, dictionaries: Arc<Dictionaries>) -> Self {
        let writer = Writer { connection, lease: None, cache: Cache::new(dictionaries) };
        Self { writer: Mutex::new(writer), waiting: AtomicUsize::new(0) }
    }

    /// The writer, as soon as whoever has it is done.
    pub(super) fn urgent(&self) -> MutexGuard<'_, Writer> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let writer = self.lock();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        writer
    }

    /// The writer, once nobody else wants it.
    pub(super) fn patient(&self) -> MutexGuard<'_, Writer> {
        loop {
            if self.waiting.load(Ordering::SeqCst) == 0 {
                let writer = self.lock();
                if self.waiting.load(Ordering::SeqCst) == 0 {
                    return writer;
                }
            }
            std::thread::sleep(STAND_BACK);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(|poisoned: PoisonError<_>| {
            // Whoever panicked was rolled back, but what is remembered may be ahead of the file.
            self.writer.clear_poison();
            let mut writer: MutexGuard<'_, Writer> = poisoned.into_inner();
            writer.cache.forget();
            writer.cache.dictionaries.ended();
            writer
        })
    }
}

impl Writer {
    /// Refuses a lease that somebody else has taken over.
    pub(super) fn check(&self, lease: LeaseToken) -> Result<(), StoreError> {
        if self.lease == Some(lease) {
            return Ok(());
        }
        Err(StoreError::Conflict("the right to write was taken over by another hub".to_owned()))
    }

    /// Does `work` in one durable transaction, or nothing of it.
    pub(super) fn write<T>(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>, &mut Cache) -> Answer<T>,
    ) -> Result<T, StoreError> {
        let done = self.transact(work);
        self.cache.dictionaries.ended();
        if done.is_err() {
            self.cache.forget();
        }
        done.map_err(|failure| failure.while_doing(operation))
    }

    fn transact<T>(&mut self, work: impl FnOnce(&Transaction<'_>, &mut Cache) -> Answer<T>) -> Answer<T> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let answer = work(&transaction, &mut self.cache)?;
        transaction.commit()?;
        Ok(answer)
    }

    /// The connection, for what cannot be done inside of a transaction.
    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }
}
