//! The one writing connection: who may have it, in which order, and what is remembered beside it.

use super::cache::Cache;
use super::failure::Answer;
use super::sight::Dictionaries;
use super::zones::Zones;
use crate::seams::{LeaseToken, StoreError};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long housekeeping stands back before it asks again whether somebody still waits.
const STAND_BACK: Duration = Duration::from_micros(200);

/// So long may a slice of housekeeping go on while commits wait. What it wrote is then still to be made durable.
const SLICE_TIME: Duration = Duration::from_millis(8);

/// A long question looks up after so many of the engine's steps: some hundred times a second.
const STEPS: i32 = 10_000;

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
    /// Whether there are no more turns for housekeeping.
    closing: Arc<AtomicBool>,
}

impl Gate {
    /// A gate before `connection`, which nobody has the right to write on yet.
    pub(super) fn new(connection: Connection, dictionaries: Arc<Dictionaries>, zones: Arc<Zones>) -> Self {
        let writer = Writer { connection, lease: None, cache: Cache::new(dictionaries, zones) };
        Self { writer: Mutex::new(writer), waiting: AtomicUsize::new(0), closing: Arc::default() }
    }

    /// The writer, as soon as whoever has it is done.
    pub(super) fn urgent(&self) -> MutexGuard<'_, Writer> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let writer = self.lock();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        writer
    }

    /// The writer for a slice of housekeeping, once nobody else wants it: every slice asks here, so this is where a store that is
    /// about to be closed ends it.
    pub(super) fn patient(&self, lease: LeaseToken) -> Result<MutexGuard<'_, Writer>, StoreError> {
        loop {
            if self.is_closing() {
                return Err(StoreError::Stopping);
            }
            if self.waiting.load(Ordering::SeqCst) == 0 {
                let writer = self.lock();
                if self.waiting.load(Ordering::SeqCst) == 0 {
                    return writer.check(lease).map(|()| writer);
                }
            }
            std::thread::sleep(STAND_BACK);
        }
    }

    /// Gives housekeeping no more turns.
    pub(super) fn begin_closing(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Whether housekeeping gets no more turns.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Asks `connection` a question that may take long, and lets go of it when housekeeping gets no more turns.
    pub(super) fn ask<T>(&self, connection: &Connection, question: impl FnOnce(&Connection) -> Answer<T>) -> Answer<T> {
        let closing = Arc::clone(&self.closing);
        connection.progress_handler(STEPS, Some(move || closing.load(Ordering::SeqCst)))?;
        let answer = question(connection);
        connection.progress_handler(0, None::<fn() -> bool>)?;
        if answer.is_err() && self.is_closing() { Err(StoreError::Stopping.into()) } else { answer }
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
