//! The rows that chunks stand in.

use super::failure::{Answer, Failure};
use super::history::{Selection, Span, blob};
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

/// The chunks of a tier that touch a span, as far as they can be read. Where a page of their list is damaged, the others are found one by
/// one; what cannot be read is noted.
pub(super) fn readable(connection: &Connection, selection: &Selection<'_>, tier: Tier, span: Span) -> Answer<Vec<Piece>> {
    match of(connection, selection.agent, tier, span) {
        Err(failure) if failure.is_damage() => one_by_one(connection, selection, tier, span),
        read => read,
    }
}

/// The number of a chunk, and its start.
pub(super) type Place = (i64, Timestamp);

/// The same without reading the list as a whole.
pub(super) fn one_by_one(connection: &Connection, selection: &Selection<'_>, tier: Tier, span: Span) -> Answer<Vec<Piece>> {
    let table = if tier == Tier::Raw { RAW } else { ROLLUPS };
    let (mut places, broken) = places(connection, (selection.agent, tier), span, "ASC")?;
    if let Some(damage) = broken {
        let (mut others, _) = self::places(connection, (selection.agent, tier), span, "DESC")?;
        let from = places.last().map_or(span.0, |(_, start)| start.plus_millis(1));
        others.retain(|(_, start)| *start >= from);
        let until = others.last().map_or(span.1, |(_, start)| *start);
        selection.note(table, (from, until), &damage);
        places.extend(others.into_iter().rev());
    }
    let sql = format!("SELECT id, start, until, rows, dense FROM {table} WHERE id = ?1");
    let mut select = connection.prepare_cached(&sql)?;
    let mut pieces = Vec::with_capacity(places.len());
    for (at, (id, start)) in places.iter().enumerate() {
        let until = places.get(at + 1).map_or(span.1, |(_, next)| *next).min(start.plus_millis(block_ms(tier)));
        let read = select.query_row([id], piece).map_err(Failure::from);
        let found = selection.survive(table, (*start, until), read)?;
        pieces.extend(found.filter(|piece| piece.start == *start && piece.until > span.0));
    }
    Ok(pieces)
}

/// Where the chunks of a tier are that may touch a span, by the index alone, and what ended the list before its end.
pub(super) fn places(
    connection: &Connection,
    (agent, tier): (i64, Tier),
    span: Span,
    order: &str,
) -> Answer<(Vec<Place>, Option<Failure>)> {
    let (table, of_tier) = if tier == Tier::Raw { (RAW, "?2 = ?2") } else { (ROLLUPS, "tier = ?2") };
    let sql = format!(
        "SELECT id, start FROM {table} WHERE agent = ?1 AND {of_tier} AND start > ?3 AND start < ?4 ORDER BY start {order}"
    );
    let earliest = span.0.plus_millis(-block_ms(tier)).as_millis();
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![agent, tier as i64, earliest, span.1.as_millis()])?;
    let mut found = Vec::new();
    loop {
        match rows.next().map_err(Failure::from) {
            Ok(Some(row)) => found.push((row.get(0)?, Timestamp::from_millis(row.get(1)?))),
            Ok(None) => return Ok((found, None)),
            Err(failure) if failure.is_damage() => return Ok((found, Some(failure))),
            Err(failure) => return Err(failure),
        }
    }
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
