//! The rows that chunks stand in.

use super::failure::Answer;
use super::history::{Span, blob};
use super::marks::Piece;
use nightbell_model::{Tier, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Chunks of raw rows.
pub(super) const RAW: &str = "agent_chunks";
/// Chunks of buckets.
pub(super) const ROLLUPS: &str = "rollup_chunks";

/// A day, in milliseconds: the longest block of raw and of five minutes.
pub(super) const DAY_MS: i64 = 86_400_000;
/// An hour, in milliseconds: the block of young five minutes, and of raw that is too much for a day.
pub(super) const HOUR_MS: i64 = 3_600_000;

/// The block of a tier's chunks once they are dense, in milliseconds.
pub(super) const fn block_ms(tier: Tier) -> i64 {
    match tier {
        Tier::Raw | Tier::FiveMinutes | Tier::Hourly => DAY_MS,
        Tier::Daily => 32 * DAY_MS,
    }
}

/// A chunk from a row of its number, span, rows and density.
pub(super) fn piece(row: &Row<'_>) -> rusqlite::Result<Piece> {
    let at = |cell: usize| row.get(cell).map(Timestamp::from_millis);
    Ok(Piece { id: row.get(0)?, start: at(1)?, until: at(2)?, rows: row.get(3)?, dense: row.get(4)? })
}

/// The raw chunks of an agent that touch a span.
pub(super) fn raw(connection: &Connection, agent: i64, span: Span) -> Answer<Vec<Piece>> {
    let sql = "SELECT id, start, until, rows, dense FROM agent_chunks \
               WHERE agent = ?1 AND start > ?2 AND start < ?3 AND until > ?4 ORDER BY start";
    let earliest = span.0.plus_millis(-DAY_MS).as_millis();
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map(params![agent, earliest, span.1.as_millis(), span.0.as_millis()], piece)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The chunks of a tier of buckets that touch a span.
pub(super) fn rollups(connection: &Connection, agent: i64, tier: Tier, span: Span) -> Answer<Vec<Piece>> {
    let sql = "SELECT id, start, until, rows, dense FROM rollup_chunks \
               WHERE agent = ?1 AND tier = ?2 AND start > ?3 AND start < ?4 AND until > ?5 ORDER BY start";
    let earliest = span.0.plus_millis(-block_ms(tier)).as_millis();
    let mut select = connection.prepare_cached(sql)?;
    let values = params![agent, tier as i64, earliest, span.1.as_millis(), span.0.as_millis()];
    Ok(select.query_map(values, piece)?.collect::<rusqlite::Result<_>>()?)
}

/// The chunks of a tier that touch a span.
pub(super) fn of(connection: &Connection, agent: i64, tier: Tier, span: Span) -> Answer<Vec<Piece>> {
    if tier == Tier::Raw { raw(connection, agent, span) } else { rollups(connection, agent, tier, span) }
}

/// Reads the body of a chunk of `table`.
pub(super) fn body<T>(connection: &Connection, table: &str, id: i64, read: impl FnOnce(&[u8]) -> T) -> Answer<T> {
    let mut select = connection.prepare_cached(&format!("SELECT body FROM {table} WHERE id = ?1"))?;
    let mut rows = select.query([id])?;
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(read(blob(row, 0)?))
}

/// The last raw chunk of an agent that starts before `before`.
pub(super) fn last_raw(connection: &Connection, agent: i64, before: Timestamp) -> Answer<Option<Piece>> {
    let sql =
        "SELECT id, start, until, rows, dense FROM agent_chunks WHERE agent = ?1 AND start < ?2 ORDER BY start DESC LIMIT 1";
    Ok(connection.prepare_cached(sql)?.query_row(params![agent, before.as_millis()], piece).optional()?)
}
