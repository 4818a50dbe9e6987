//! Looks through the whole store, a stretch at a time: every packed row and chunk against its checksum, and the pages of every table
//! and index. What is damaged is named and set aside, an index that is broken or disagrees with its table is made again, and the rest goes on.

use super::SqliteStore;
use super::chunks::{RAW, ROLLUPS};
use super::failure::{Answer, Failure};
use super::history::{blob, table};
use super::marks::{self, Piece, RAW_COLUMNS};
use super::mend;
use super::quarantine::{self, Fault};
use super::raw::{HOT, LATE};
use crate::chunk::{BucketChunk, Chunk};
use crate::seams::{LeaseToken, ScrubPlace, ScrubReport, StoreError};
use crate::varint::Damage;
use crate::vector;
use nightbell_model::{Tier, Timestamp};
use rusqlite::{Connection, Row};

/// So many bytes of rows are looked at in one stretch.
const BYTES: usize = 8 << 20;
/// So many rows are looked at in one stretch.
const ROWS: i64 = 10_000;
/// The tables of history, in the order in which they are looked through; the tables' pages follow.
const PARTS: [Part; ScrubPlace::PAGES.part as usize] = [
    Part::Chunks(RAW),
    Part::Chunks(ROLLUPS),
    Part::Rows(HOT),
    Part::Rows(LATE),
    Part::Buckets(Tier::FiveMinutes),
    Part::Buckets(Tier::Hourly),
    Part::Buckets(Tier::Daily),
];

/// A table of history.
#[derive(Debug, Clone, Copy)]
enum Part {
    Chunks(&'static str),
    Rows(&'static str),
    Buckets(Tier),
}

/// What looking through a stretch of a table found, and the last row it looked at.
#[derive(Debug, Default)]
struct Stretch {
    checked: u64,
    faults: Vec<Fault>,
    last: Option<i64>,
}

impl SqliteStore {
    /// Looks through the next stretch.
    pub(super) fn scrub_next(
        &self,
        lease: LeaseToken,
        now: Timestamp,
        place: &mut ScrubPlace,
    ) -> Result<ScrubReport, StoreError> {
        drop(self.gate.patient(lease)?);
        let Some(part) = PARTS.get(place.part as usize) else { return self.scrub_pages(lease, place) };
        let _slice = self.housekeeping();
        let read = self.readers.read("look through history", |connection| match part {
            Part::Chunks(table) => chunks(connection, table, place.after),
            Part::Rows(table) => rows(connection, table, place.after),
            Part::Buckets(tier) => buckets(connection, *tier, place.after),
        });
        let stretch = match read {
            // Pages that cannot be read at all are found, and named, when the pages are looked through.
            Err(StoreError::Corrupt { .. }) => Stretch::default(),
            read => read?,
        };
        // In a broken table the last row need not be a later one: then its pages will tell.
        *place = match stretch.last.filter(|last| *last > place.after) {
            Some(after) => ScrubPlace { after, ..*place },
            None => ScrubPlace { part: place.part + 1, after: 0 },
        };
        if !stretch.faults.is_empty() {
            let mut writer = self.gate.patient(lease)?;
            writer.write("set damaged history aside", |connection, cache| {
                cache.chunk_times = None;
                stretch.faults.iter().try_for_each(|fault| quarantine::set_aside(connection, &self.noted, fault, now))
            })?;
        }
        let found = stretch.faults.iter().map(Fault::words).collect();
        Ok(ScrubReport { checked: stretch.checked, found, is_round: false })
    }

    /// Looks through the pages of the next table.
    fn scrub_pages(&self, lease: LeaseToken, place: &mut ScrubPlace) -> Result<ScrubReport, StoreError> {
        let at = place.part as usize - PARTS.len();
        let tables = self.readers.read("list tables", tables)?;
        let Some(name) = tables.get(at) else {
            *place = ScrubPlace::default();
            return Ok(ScrubReport { is_round: true, ..ScrubReport::default() });
        };
        let found =
            self.readers.read("check the file", |connection| self.gate.ask(connection, |connection| check(connection, name)))?;
        for fault in &found {
            tracing::error!(table = name, %fault, "the file is damaged");
        }
        if !found.is_empty() {
            let indexes = self.readers.read("look at indexes", |connection| mend::broken(connection, name, &found))?;
            indexes.iter().try_for_each(|index| self.make_again(lease, name, index))?;
        }
        place.part += 1;
        let found = found.into_iter().map(|fault| format!("{name}: {fault}")).collect();
        Ok(ScrubReport { checked: 1, found, is_round: at + 1 == tables.len() })
    }
}

fn tables(connection: &Connection) -> Answer<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut select = connection.prepare_cached(sql)?;
    Ok(select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// What is wrong with the pages of a table and its indexes.
fn check(connection: &Connection, table: &str) -> Answer<Vec<String>> {
    let mut select = connection.prepare(&format!("PRAGMA integrity_check({table})"))?;
    let lines = select.query_map([], |row| row.get::<_, String>(0)).and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>);
    match lines.map_err(Failure::from) {
        Ok(lines) => Ok(lines.into_iter().filter(|line| line != "ok").collect()),
        Err(failure) if failure.is_damage() => Ok(vec![failure.to_string()]),
        Err(failure) => Err(failure),
    }
}

/// Looks at each of the next rows, until they are many.
fn each(
    connection: &Connection,
    sql: &str,
    after: i64,
    mut look: impl FnMut(&Row<'_>) -> Answer<(usize, Option<Fault>)>,
) -> Answer<Stretch> {
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([after, ROWS])?;
    let (mut stretch, mut bytes) = (Stretch::default(), 0);
    while bytes < BYTES
        && let Some(row) = rows.next()?
    {
        let (size, fault) = look(row)?;
        bytes += size;
        stretch.checked += 1;
        stretch.faults.extend(fault);
        stretch.last = Some(row.get(0)?);
    }
    Ok(stretch)
}

fn fault(agent: i64, table: &'static str, row: &Row<'_>, span: (i64, i64), why: &Damage) -> Answer<Option<Fault>> {
    let span = (Timestamp::from_millis(span.0), Timestamp::from_millis(span.1));
    Ok(Some(Fault { agent, table, id: row.get(0)?, span, why: why.to_string() }))
}

fn chunks(connection: &Connection, table: &'static str, after: i64) -> Answer<Stretch> {
    let tier = if table == RAW { "0" } else { "tier" };
    let sql =
        format!("SELECT id, agent, {tier}, start, until, rows, dense, body FROM {table} WHERE id > ?1 ORDER BY id LIMIT ?2");
    each(connection, &sql, after, |row| {
        let (agent, tier, start, until): (i64, i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        let at = Timestamp::from_millis;
        let piece = Piece { id: row.get(0)?, start: at(start), until: at(until), rows: row.get(5)?, dense: row.get(6)? };
        let bytes = blob(row, 7)?;
        let tier = Tier::ALL.into_iter().find(|known| *known as i64 == tier);
        let opened = match tier {
            Some(Tier::Raw) => Chunk::open(bytes, marks::chunk(agent, Tier::Raw, &piece)).map(drop),
            Some(tier) => BucketChunk::open(bytes, marks::chunk(agent, tier, &piece)).map(drop),
            None => Err(Damage("its tier is not known")),
        };
        let found = opened.err().map_or(Ok(None), |damage| fault(agent, table, row, (start, until), &damage))?;
        Ok((bytes.len(), found))
    })
}

fn rows(connection: &Connection, table: &'static str, after: i64) -> Answer<Stretch> {
    let columns = RAW_COLUMNS.trim_end_matches(", vector");
    let sql = format!("SELECT id, agent, vector, {columns} FROM {table} WHERE id > ?1 ORDER BY id LIMIT ?2");
    each(connection, &sql, after, |row| {
        let agent: i64 = row.get(1)?;
        let (ts, mark) = marks::raw_row_from(row, 3, agent)?;
        let bytes = blob(row, 2)?;
        let walked = vector::walk(bytes, mark, u32::MAX, |_, _| Ok(()));
        let span = (ts.as_millis(), ts.plus_millis(1).as_millis());
        let found = walked.err().map_or(Ok(None), |damage| fault(agent, table, row, span, &damage))?;
        Ok((bytes.len(), found))
    })
}

fn buckets(connection: &Connection, tier: Tier, after: i64) -> Answer<Stretch> {
    let Some(table) = table(tier) else { return Ok(Stretch::default()) };
    let sql = format!("SELECT id, agent, bucket, vector FROM {table} WHERE id > ?1 ORDER BY id LIMIT ?2");
    each(connection, &sql, after, |row| {
        let (agent, bucket): (i64, i64) = (row.get(1)?, row.get(2)?);
        let bytes = blob(row, 3)?;
        let checked = vector::checked(bytes, marks::bucket(agent, tier, Timestamp::from_millis(bucket)));
        let end = bucket.saturating_add(tier.width_ms().unwrap_or(1));
        let found = checked.err().map_or(Ok(None), |damage| fault(agent, table, row, (bucket, end), &damage))?;
        Ok((bytes.len(), found))
    })
}
