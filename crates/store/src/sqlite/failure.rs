//! What goes wrong inside of the engine, and what the caller is told of it: no driver type leaves this folder.

use crate::seams::StoreError;
use crate::varint::Damage;
use rusqlite::ErrorCode;

/// Inside of the engine: the driver's error, or one that is already the caller's.
#[derive(Debug)]
pub(super) enum Failure {
    /// The driver's.
    Sql(rusqlite::Error),
    /// The caller's.
    Said(StoreError),
}

/// The first damage that a round of housekeeping met: it goes on with what is sound, and says so at its end.
#[derive(Debug, Default)]
pub(super) struct Met(Option<StoreError>);

impl Met {
    /// What was done; `None` where damage is in the way.
    ///
    /// # Errors
    /// Those that are not about what can be read.
    pub(super) fn past<T>(&mut self, done: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match done {
            Err(error @ StoreError::Corrupt { .. }) => {
                self.0.get_or_insert(error);
                Ok(None)
            }
            done => done.map(Some),
        }
    }

    /// What was met.
    ///
    /// # Errors
    /// If anything was.
    pub(super) fn end(self) -> Result<(), StoreError> {
        self.0.map_or(Ok(()), Err)
    }
}

/// What engine functions answer.
pub(super) type Answer<T> = Result<T, Failure>;

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Said(error)
    }
}

impl Failure {
    /// The caller's error for what failed while doing `operation`.
    pub(super) fn while_doing(self, operation: &'static str) -> StoreError {
        let error = match self {
            Self::Said(error) => return error,
            Self::Sql(error) => error,
        };
        if is_damage(&error) {
            return StoreError::Corrupt { what: format!("what was read to {operation}"), source: Box::new(error) };
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => StoreError::Conflict(format!("cannot {operation}: {error}")),
            _ => StoreError::Unavailable { operation, source: Box::new(error) },
        }
    }

    /// Whether what was read is not what can have been written.
    pub(super) const fn is_damage(&self) -> bool {
        match self {
            Self::Sql(error) => is_damage(error),
            Self::Said(error) => matches!(error, StoreError::Corrupt { .. }),
        }
    }

    /// Whether something stands in the way that must be unique.
    pub(super) fn is_taken(&self) -> bool {
        use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
        matches!(self, Self::Sql(rusqlite::Error::SqliteFailure(cause, _))
            if [SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY].contains(&cause.extended_code))
    }

    /// Whether what is referred to is not there.
    pub(super) fn is_dangling(&self) -> bool {
        matches!(self, Self::Sql(rusqlite::Error::SqliteFailure(cause, _))
            if cause.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sql(error) => error.fmt(f),
            Self::Said(error) => error.fmt(f),
        }
    }
}

/// Whether the driver says that what it read is not what can have been written.
pub(super) const fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => true,
        rusqlite::Error::SqliteFailure(cause, _) => matches!(cause.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase),
        _ => false,
    }
}

/// Packed bytes of `what` are damaged.
pub(super) fn damaged(what: String, damage: Damage) -> Failure {
    Failure::Said(StoreError::Corrupt { what, source: Box::new(damage) })
}
