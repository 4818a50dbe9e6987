//! Opening the file: its lock, its form, its connections. What each refusal means is said here, with its mend.

use super::SqliteOptions;
use include_dir::{Dir, include_dir};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rusqlite_migration::Migrations;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The migrations of this engine, as plain SQL, oldest first.
static MIGRATIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../migrations/sqlite");
/// How long a statement waits for the few moments in which another connection has the file (the end of a checkpoint).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// So many prepared statements are kept on a connection: more than the engine has.
const STATEMENTS: usize = 256;
/// The writer checkpoints by itself only if nobody else did for so many pages (256 MiB).
const LAST_RESORT_CHECKPOINT_PAGES: u32 = 65_536;
/// At most so much log is kept on disk after a checkpoint, in bytes.
const LOG_SIZE_LIMIT: u32 = 64 << 20;

/// Why the store could not be opened, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or the file cannot be written.
    #[error("cannot write to {}: make the folder, or give it to the user that runs the hub, or choose another data folder", path.display())]
    NotWritable {
        /// What cannot be written.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{} is not a database of this hub: move it away, or choose another data folder", path.display())]
    NotADatabase {
        /// Which file.
        path: PathBuf,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file was written by a newer hub.
    #[error(
        "{} has schema version {found}, and this hub knows versions up to {known}: install the newer hub again, or restore the \
         backup made before the upgrade",
        path.display()
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The schema version of the file.
        found: u32,
        /// The newest schema version this program knows.
        known: u32,
    },
    /// Another hub has it.
    #[error("{} is in use by another hub: stop that one first, or choose another data folder", path.display())]
    Locked {
        /// Which file.
        path: PathBuf,
    },
    /// The copy that is made before the file is brought to a newer schema could not be written.
    #[error("cannot write {}, the copy that is made before an upgrade: free some space there; nothing was changed", path.display())]
    NoBackup {
        /// The copy.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Anything else that kept the file from being opened.
    #[error("cannot open {}: check the disk (free space, errors in the system log), then try again", path.display())]
    Failed {
        /// Which file.
        path: PathBuf,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Takes the lock that keeps a second hub away for as long as the answer lives.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let lock_path = beside(path, ".lock");
    let not_writable = |source| OpenError::NotWritable { path: lock_path.clone(), source };
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(&lock_path).map_err(not_writable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(not_writable(source)),
    }
}

/// The file beside `path` whose name is longer by `suffix`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens the writing connection and brings the file into the form of this program.
pub(super) fn writer(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    if let Err(source) = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path) {
        return Err(OpenError::NotWritable { path: path.to_owned(), source });
    }
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| refused(path, error))?;
    let found = recognise(path, &connection)?;
    prepare(&connection, options).map_err(|error| refused(path, error))?;
    if found > 0 && found < known() {
        back_up_before(path, &connection, found)?;
    }
    let migrated = Migrations::from_directory(&MIGRATIONS).and_then(|migrations| migrations.to_latest(&mut connection));
    migrated.map_err(|source| OpenError::Failed { path: path.to_owned(), source: Box::new(source) })?;
    Ok(connection)
}

/// The newest schema version this program knows.
fn known() -> u32 {
    u32::try_from(MIGRATIONS.dirs().count()).unwrap_or(u32::MAX)
}

/// Copies a file of the schema version `found` beside itself before it is brought forward: going back is to put the copy in its
/// place. One that is there already is from before an attempt that did not end, and is the one to keep.
fn back_up_before(path: &Path, connection: &Connection, found: u32) -> Result<(), OpenError> {
    let copy = beside(path, &format!(".schema-{found}-before-{}", known()));
    if copy.exists() {
        return Ok(());
    }
    tracing::info!(from = found, to = known(), copy = %copy.display(), "copying the database before it is brought to a newer schema");
    let half = beside(&copy, ".part");
    let copied = backup_target(&half)
        .and_then(|mut target| Backup::new(connection, &mut target)?.step(-1))
        .map_err(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>)
        .and_then(|step| if step == StepResult::Done { Ok(()) } else { Err("the file is in use".into()) })
        .and_then(|()| File::open(&half)?.sync_all().map_err(Into::into))
        .and_then(|()| std::fs::rename(&half, &copy).map_err(Into::into));
    copied.map_err(|source| {
        // What is left of it is of no use; that it cannot be removed changes nothing.
        drop(std::fs::remove_file(&half));
        OpenError::NoBackup { path: copy, source }
    })
}

/// Refuses a file that is not ours or from the future, before anything in it is touched; its schema version.
fn recognise(path: &Path, connection: &Connection) -> Result<u32, OpenError> {
    let ask = |sql| connection.query_row(sql, [], |row| row.get::<_, u32>(0)).map_err(|error| refused(path, error));
    let known = known();
    let found = ask("PRAGMA user_version")?;
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    if found == 0 && ask("SELECT count(*) FROM sqlite_schema WHERE type = 'table'")? > 0 {
        return Err(OpenError::NotADatabase { path: path.to_owned(), source: "it has tables of another program".into() });
    }
    Ok(found)
}

/// Opens a connection that can only read.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    Ok(connection)
}

/// Opens a new file to back up into.
pub(super) fn backup_target(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
}

/// Opens the connection that checkpoints and does nothing else.
pub(super) fn checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise what is bound to a LIMIT becomes a part of the plan, and each execution plans anew.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF")?;
    Ok(connection)
}

/// Sets what holds for the file from its making on (page size, auto_vacuum, journal mode), and what holds for the writer.
fn prepare(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    let is_new: bool = connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    if is_new {
        connection.pragma_update(None, "page_size", options.page_size)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |_row| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", LAST_RESORT_CHECKPOINT_PAGES)?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_SIZE_LIMIT, |_row| Ok(()))?;
    connection.pragma_update(None, "cache_size", -options.writer_cache_kib)?;
    if let Some(pages) = options.max_pages {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_row| Ok(()))?;
    }
    Ok(())
}

fn refused(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::NotADatabase { path, source: Box::new(error) },
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            OpenError::NotWritable { path, source: std::io::Error::other(error) }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Locked { path },
        _ => OpenError::Failed { path, source: Box::new(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus;

    #[test]
    fn a_statement_is_planned_once_whatever_is_bound_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let connection = backup_target(&folder.path().join("file.db")).unwrap();
        connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3)").unwrap();
        let mut select = connection.prepare("SELECT count(*) FROM (SELECT 1 FROM t WHERE id >= ?1 LIMIT ?2)").unwrap();
        for limit in [1, 2, 2, 3] {
            let count: i64 = select.query_row([1, limit], |row| row.get(0)).unwrap();
            assert_eq!(count, limit);
        }
        assert_eq!(select.get_status(StatementStatus::RePrepare), 0);
    }
}
