//! The read-only connections: a few, lent out one at a time, each question in one snapshot.

use super::failure::Answer;
use super::open;
use crate::seams::StoreError;
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

/// The connections that nobody reads on now.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

/// A connection that goes back when it is dropped.
struct Lent<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            self.pool.returned.notify_one();
        }
    }
}

impl Pool {
    /// Opens `count` connections.
    pub(super) fn open(path: &Path, count: usize) -> rusqlite::Result<Self> {
        let idle = (0..count.max(1)).map(|_| open::reader(path)).collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Self { idle: Mutex::new(idle), returned: Condvar::new() })
    }

    /// Answers a question in one snapshot of the store; waits for a connection if all are in use.
    pub(super) fn read<T>(
        &self,
        operation: &'static str,
        question: impl FnOnce(&Connection) -> Answer<T>,
    ) -> Result<T, StoreError> {
        let lent = self.lend();
        let Some(connection) = &lent.connection else {
            return Err(StoreError::Unavailable { operation, source: "no connection is left".into() });
        };
        let answer = connection.unchecked_transaction().map_err(Into::into).and_then(|snapshot| question(&snapshot));
        answer.map_err(|failure| failure.while_doing(operation))
    }

    fn lend(&self) -> Lent<'_> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = idle.pop() {
                return Lent { pool: self, connection: Some(connection) };
            }
            idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
