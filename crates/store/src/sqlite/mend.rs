//! Makes an index again that disagrees with its table or cannot be read. An index holds nothing that its table does not have, so this
//! loses nothing; a table whose own pages are broken is not mended here.

use super::SqliteStore;
use super::failure::Answer;
use crate::seams::{LeaseToken, StoreError};
use rusqlite::{Connection, OptionalExtension, Transaction};

/// Where the engine takes its locks; the page that this byte is in is never used.
const LOCK_BYTE: i64 = 1 << 30;
/// A name that no index of ours has.
const SPARE: &str = "spare_root";

impl SqliteStore {
    /// Makes an index of a table again. One whose own pages cannot be read cannot even be emptied: it gets new ones. If its table
    /// does not allow that, it stays as it is: what is read through it is checked, and the rest goes on.
    pub(super) fn make_again(&self, lease: LeaseToken, table: &str, index: &str) -> Result<(), StoreError> {
        let mut writer = self.gate.patient(lease)?;
        let mended = match writer.write("make an index again", |connection, _| reindex(connection, table, index)) {
            Err(StoreError::Corrupt { .. }) => {
                let replanted = writer.write("make an index again", |connection, _| replant(connection, table, index));
                // Whatever came of it, the schema is read from the file again.
                let reread = writer.connection().execute_batch("PRAGMA writable_schema = RESET");
                reread.map_err(|error| super::failure::Failure::from(error).while_doing("read the schema again"))?;
                replanted.map(|()| "its old pages are lost room until `nightbell maintain` writes the file anew")
            }
            done => done.map(|()| "it did not agree with its table"),
        };
        match mended {
            Ok(why) => tracing::warn!(index, why, "an index was made again"),
            Err(StoreError::Corrupt { what, source }) => {
                tracing::error!(index, what, source, "an index cannot be made again: restore a backup, or export what is left");
            }
            Err(StoreError::Conflict(why)) => {
                tracing::error!(index, why, "an index cannot be made again: restore a backup, or export what is left");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes the file anew, without pages that nothing refers to any more; whether there were any. Nothing else is done meanwhile.
    ///
    /// # Errors
    /// `Unavailable` if there is no room for a second file, `Corrupt` if there is damage that this cannot leave behind.
    pub fn compact(&self, lease: LeaseToken) -> Result<bool, StoreError> {
        let writer = self.gate.patient(lease)?;
        let done = has_lost_pages(writer.connection()).and_then(|has| {
            if has {
                writer.connection().execute_batch("VACUUM")?;
            }
            Ok(has)
        });
        done.map_err(|failure| failure.while_doing("write the file anew"))
    }
}

/// Which indexes of a table are broken, by what was found wrong with it: those that are named, and those with pages that are none.
pub(super) fn broken(connection: &Connection, table: &str, found: &[String]) -> Answer<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1";
    let mut select = connection.prepare_cached(sql)?;
    let names = select.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let mut broken = Vec::new();
    for name in names {
        let is_named = found.iter().any(|fault| fault.contains(name.as_str()));
        if is_named || has_broken_page(connection, &name)? {
            broken.push(name);
        }
    }
    Ok(broken)
}

fn has_broken_page(connection: &Connection, index: &str) -> Answer<bool> {
    let mut select = connection.prepare_cached("SELECT 1 FROM dbstat WHERE name = ?1 AND pagetype = 'corrupted'")?;
    match select.exists([index]) {
        Ok(is_broken) => Ok(is_broken),
        Err(error) if super::failure::is_damage(&error) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn reindex(connection: &Connection, table: &str, index: &str) -> Answer<()> {
    // An index that the engine makes by itself has no name to make it again by: its table has.
    let what = if index.starts_with("sqlite_autoindex") { table } else { index };
    Ok(connection.execute_batch(&format!("REINDEX {what}"))?)
}

/// Gives an index the root of a new, empty one, and fills it. A spare index is made and its root handed over in the schema table
/// (<https://www.sqlite.org/pragma.html#pragma_writable_schema>): the same for an index with a name and for one of a constraint.
fn replant(connection: &Transaction<'_>, table: &str, index: &str) -> Answer<()> {
    let sql = "SELECT name FROM pragma_table_info(?1) LIMIT 1";
    let column: Option<String> = connection.query_row(sql, [table], |row| row.get(0)).optional()?;
    let Some(column) = column else { return Ok(()) };
    connection.execute_batch(&format!(
        "CREATE INDEX {SPARE} ON {table} ({column}) WHERE {column} IS NULL AND {column} IS NOT NULL; \
         PRAGMA writable_schema = ON"
    ))?;
    let sql = "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = ?1) WHERE name = ?2";
    connection.execute(sql, [SPARE, index])?;
    connection.execute("DELETE FROM sqlite_schema WHERE name = ?1", [SPARE])?;
    connection.execute_batch("PRAGMA writable_schema = RESET")?;
    reindex(connection, table, index)
}

/// Whether there are pages that nothing refers to: those that are neither a tree's, nor free, nor the map of pages
/// (<https://www.sqlite.org/fileformat2.html#pointer_map_or_ptrmap_pages>), nor the one that is never used.
fn has_lost_pages(connection: &Connection) -> Answer<bool> {
    let ask = |sql| -> Answer<i64> { Ok(connection.query_row(sql, [], |row| row.get(0))?) };
    let (pages, page_size) = (ask("PRAGMA page_count")?, ask("PRAGMA page_size")?.max(5));
    let maps = if ask("PRAGMA auto_vacuum")? > 0 && pages > 1 { (pages - 2) / (page_size / 5 + 1) + 1 } else { 0 };
    let never_used = i64::from(pages.saturating_mul(page_size) > LOCK_BYTE);
    let known = ask("SELECT count(*) FROM dbstat")? + ask("PRAGMA freelist_count")? + maps + never_used;
    Ok(known < pages)
}
