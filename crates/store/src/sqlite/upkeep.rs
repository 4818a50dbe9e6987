//! Looking after the file: checkpoints, free space, backups, its size.

use super::failure::{Answer, Failure};
use super::open::beside;
use super::{SqliteStore, open};
use crate::seams::{LeaseToken, StoreError};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

/// A log longer than this is begun again after the next checkpoint, in bytes; a shorter one is only copied, which stops nobody.
const LOG_LIMIT_BYTES: u64 = 16 << 20;
/// Beginning the log again keeps commits waiting for as long as it waits for readers: not long.
const PATIENCE: Duration = Duration::from_millis(2);
/// How long the last checkpoint waits, when nobody commits any more.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// So many free pages are left to be used again; space beyond that is given back.
const FREE_PAGES_KEPT: i64 = 1024;
/// At most so many pages are given back while commits wait.
const PAGES_GIVEN_BACK: i64 = 256;

impl SqliteStore {
    /// Copies the log into the file, and lets it begin again if it has grown long. To be called every few seconds.
    ///
    /// The log keeps its size on the disk: writing over blocks that are there costs half of what new ones do, and a commit's sync
    /// has nothing to wait for but its own bytes.
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be written.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let connection = self.checkpointer.lock().unwrap_or_else(PoisonError::into_inner);
        if checkpoint(&connection, "PASSIVE", PATIENCE)? > LOG_LIMIT_BYTES {
            // No slice of housekeeping reads from here on, and what came meanwhile is copied before commits are held up.
            let _slice = self.housekeeping();
            checkpoint(&connection, "PASSIVE", PATIENCE)?;
            let _writer = self.gate.urgent();
            checkpoint(&connection, "RESTART", PATIENCE)?;
        }
        Ok(())
    }

    /// Ends what housekeeping and imports are doing, within moments, and refuses more of it ([`StoreError::Stopping`]); what they
    /// did is durable, and what they left is done after the next start. Everything else goes on.
    pub fn wind_down(&self) {
        self.gate.begin_closing();
    }

    /// Brings everything into the one file, so that it can be copied as it is. The store can still be used afterwards.
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be written.
    pub fn close(&self) -> Result<(), StoreError> {
        let connection = self.checkpointer.lock().unwrap_or_else(PoisonError::into_inner);
        checkpoint(&connection, "TRUNCATE", LAST_PATIENCE).map(drop)
    }

    /// Writes a copy of the store as it is now to `path`, which must not be there yet, while the store is in use. Deliveries
    /// that wait are held in the copy: a restored hub must not send old pages by itself.
    ///
    /// # Errors
    /// `Conflict` if there is a file at `path`, `Unavailable` if it cannot be written.
    pub fn backup_to(&self, path: &Path) -> Result<(), StoreError> {
        if path.exists() {
            return Err(StoreError::Conflict(format!("{} is there already", path.display())));
        }
        let half = beside(path, ".part");
        let copied = self.readers.read("back up the store", |connection| copy(connection, &half));
        let moved = copied.and_then(|()| {
            std::fs::rename(&half, path)
                .map_err(|source| StoreError::Unavailable { operation: "back up the store", source: Box::new(source) })
        });
        if moved.is_err() {
            // What is left of it is of no use; that it cannot be removed changes nothing for the caller.
            drop(std::fs::remove_file(&half));
        }
        moved
    }

    /// Gives pages that are free back to the disk, but for some that will be used again soon if the cap leaves room for them; a log
    /// that takes the file over its cap begins again.
    pub(super) fn give_back_space(&self, lease: LeaseToken, cap: Option<u64>) -> Result<(), StoreError> {
        let room = cap.map_or(u64::MAX, room_under);
        loop {
            let writer = self.gate.patient(lease)?;
            match give_back(writer.connection(), room) {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) if failure.is_damage() => {
                    tracing::warn!(%failure, "space cannot be given back before `nightbell maintain` has written the file anew");
                    break;
                }
                Err(failure) => return Err(failure.while_doing("give back space")),
            }
        }
        if self.size_bytes() > cap.unwrap_or(u64::MAX) {
            self.shorten_log()?;
        }
        Ok(())
    }

    /// Copies the log into the file and cuts both to what is used of them.
    fn shorten_log(&self) -> Result<(), StoreError> {
        let connection = self.checkpointer.lock().unwrap_or_else(PoisonError::into_inner);
        let _slice = self.housekeeping();
        checkpoint(&connection, "PASSIVE", PATIENCE)?;
        let _writer = self.gate.urgent();
        checkpoint(&connection, "TRUNCATE", PATIENCE).map(drop)
    }

    /// The size of the file and its log.
    pub(super) fn size_bytes(&self) -> u64 {
        file_bytes(&self.path) + file_bytes(&beside(&self.path, "-wal"))
    }
}

/// What of a cap on file and log is the file's. The rest is the log's, which is begun again at [`LOG_LIMIT_BYTES`].
pub(super) fn room_under(cap: u64) -> u64 {
    cap - LOG_LIMIT_BYTES.min(cap / 4)
}

fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Checkpoints, waiting for readers at most so long; how many bytes of the log are in use. One that does not get through is no
/// error: the next one will.
fn checkpoint(connection: &Connection, mode: &str, patience: Duration) -> Result<u64, StoreError> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let number = |sql: &str, cell: usize| connection.query_row(sql, [], |row| row.get::<_, i64>(cell));
    let pages = connection.busy_timeout(patience).and_then(|()| number(&sql, 1));
    pages
        .and_then(|pages| Ok(pages.max(0).saturating_mul(number("PRAGMA page_size", 0)?).unsigned_abs()))
        .map_err(|error| Failure::from(error).while_doing("copy the log into the file"))
}

/// Copies the snapshot that `connection` reads into a new file, all at once: commits go on meanwhile.
fn copy(connection: &Connection, path: &Path) -> Answer<()> {
    let mut target = open::backup_target(path)?;
    let step = Backup::new(connection, &mut target)?.step(-1)?;
    if !matches!(step, StepResult::Done) {
        let source = "the file is being used in a way that keeps it from being copied".into();
        return Err(StoreError::Unavailable { operation: "back up the store", source }.into());
    }
    target.execute_batch(
        "UPDATE outbox SET state = 'held', lease_until = NULL, maybe_repeat = max(maybe_repeat, state = 'sending') \
         WHERE state IN ('queued', 'sending')",
    )?;
    target.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(()))?;
    Ok(())
}

/// Gives some pages back; whether there are more to give before the file has `room`.
fn give_back(connection: &Connection, room: u64) -> Answer<bool> {
    let ask = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let (free, pages, page_size) = (ask("PRAGMA freelist_count")?, ask("PRAGMA page_count")?, ask("PRAGMA page_size")?);
    let fitting = i64::try_from(room / page_size.max(1).unsigned_abs()).unwrap_or(i64::MAX);
    let kept = FREE_PAGES_KEPT.min(fitting.saturating_sub(pages - free)).max(0);
    let surplus = free - kept;
    if surplus <= 0 {
        return Ok(false);
    }
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({})", surplus.min(PAGES_GIVEN_BACK)))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    let left = ask("PRAGMA freelist_count")?;
    Ok(left < free && left > kept)
}
