//! Removes chunks of which nothing is looked at any more. Of raw, what incidents need is kept: a chunk that lies within their
//! stretches stays, of one that only touches them the stretches stay.

use super::chunks::{self, RAW};
use super::failure::Answer;
use super::history::Span;
use super::marks::{self, Piece};
use super::noted::Noted;
use super::quarantine::{self, Fault};
use super::retain::{self, Cut};
use super::{dictionary, held, pins};
use crate::chunk::{Chunk, Column, Density, Scratch, pack};
use crate::varint::Damage;
use nightbell_model::{Tier, Timestamp};
use rusqlite::{Connection, params};

/// At most so many chunks are removed while commits wait: some milliseconds.
const SLICE: i64 = 16;

/// Removes the next slice of what an agent's tiers do not hold any more: rows, chunks, and raw whose incidents are gone; how many.
pub(super) fn slice(connection: &Connection, noted: &Noted, cut: &Cut, now: Timestamp) -> Answer<usize> {
    for tier in Tier::ALL {
        let gone = retain::remove(connection, cut, tier)? + remove(connection, noted, cut, tier, now)?;
        if gone > 0 {
            return Ok(gone);
        }
    }
    unpin(connection, cut.key())
}

/// Removes a slice of an agent's chunks of a tier that lie before what it is whole from; how many are gone.
fn remove(connection: &Connection, noted: &Noted, cut: &Cut, tier: Tier, now: Timestamp) -> Answer<usize> {
    let Some(before) = cut.before(tier) else { return Ok(0) };
    if tier == Tier::Raw {
        return remove_raw(connection, noted, cut.key(), before, now);
    }
    let sql = "DELETE FROM rollup_chunks WHERE id IN (SELECT id FROM rollup_chunks WHERE agent = ?1 AND tier = ?2 AND start < ?3 \
               AND until <= ?3 ORDER BY start LIMIT ?4)";
    Ok(connection.prepare_cached(sql)?.execute(params![cut.key(), tier as i64, before.as_millis(), SLICE])?)
}

fn remove_raw(connection: &Connection, noted: &Noted, key: i64, before: Timestamp, now: Timestamp) -> Answer<usize> {
    let sql = "SELECT id, start, until, rows, dense FROM agent_chunks \
               WHERE agent = ?1 AND start < ?2 AND until <= ?2 AND pinned = 0 ORDER BY start LIMIT ?3";
    let mut select = connection.prepare_cached(sql)?;
    let pieces: Vec<Piece> =
        select.query_map(params![key, before.as_millis(), SLICE], chunks::piece)?.collect::<rusqlite::Result<_>>()?;
    for (at, piece) in pieces.iter().enumerate() {
        let stretches = pins::stretches(connection, key, (piece.start, piece.until))?;
        match stretches.as_slice() {
            [] => delete(connection, piece.id)?,
            [whole] if *whole == (piece.start, piece.until) => {
                connection.prepare_cached("UPDATE agent_chunks SET pinned = 1 WHERE id = ?1")?.execute([piece.id])?;
            }
            some => {
                // It is packed again: one is enough for a slice.
                cut_out(connection, noted, (key, piece), some, now)?;
                return Ok(at + 1);
            }
        }
    }
    Ok(pieces.len())
}

fn delete(connection: &Connection, id: i64) -> Answer<()> {
    connection.prepare_cached("DELETE FROM agent_chunks WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Rows of a chunk, and the numbers, decimals and values of its columns.
type Rows = (Vec<Timestamp>, Vec<(u32, u8, Vec<f64>)>);

/// Puts the stretches of a chunk that are kept in its place.
fn cut_out(
    connection: &Connection,
    noted: &Noted,
    (key, piece): (i64, &Piece),
    stretches: &[Span],
    now: Timestamp,
) -> Answer<()> {
    let known = dictionary::read(connection, key)?;
    let mark = marks::chunk(key, Tier::Raw, piece);
    let (times, columns) = match chunks::body(connection, RAW, piece.id, |bytes| unpack(bytes, mark, &known))? {
        Ok(rows) => rows,
        Err(damage) => {
            let fault = Fault::chunk(key, RAW, piece, damage.to_string());
            return quarantine::set_aside(connection, noted, &fault, now);
        }
    };
    delete(connection, piece.id)?;
    let mut body = Vec::new();
    for (start, until) in stretches {
        let edge = |moment: &Timestamp| times.partition_point(|time| time < moment);
        let rows = edge(start)..edge(until);
        let columns: Vec<Column<'_>> = columns
            .iter()
            .map(|(id, decimals, values)| Column { id: *id, decimals: *decimals, values: &values[rows.clone()] })
            .collect();
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let kept = Piece { id: 0, start: *start, until: *until, rows: count, dense: true };
        if pack(&mut body, marks::chunk(key, Tier::Raw, &kept), &times[rows], &columns, Density::Young).is_ok() {
            let sql =
                "INSERT INTO agent_chunks (agent, start, until, rows, dense, pinned, body) VALUES (?1, ?2, ?3, ?4, 1, 1, ?5)";
            connection.prepare_cached(sql)?.execute(params![key, start.as_millis(), until.as_millis(), count, body])?;
        }
    }
    Ok(())
}

fn unpack(bytes: &[u8], key: crate::checksum::Key, known: &dictionary::Dictionary) -> Result<Rows, Damage> {
    let chunk = Chunk::open(bytes, key)?;
    let (mut scratch, mut times, mut columns) = (Scratch::default(), Vec::new(), Vec::new());
    chunk.times(&mut scratch, &mut times)?;
    for part in chunk.columns() {
        let decimals = known.decimals.get(part.id() as usize).copied().unwrap_or(0);
        let mut values = Vec::new();
        part.values(decimals, &mut scratch, &mut values)?;
        columns.push((part.id(), decimals, values));
    }
    Ok((times, columns))
}

/// Removes what was kept of an agent's raw for incidents that are not known any more; how many pieces.
fn unpin(connection: &Connection, key: i64) -> Answer<usize> {
    let sql = "SELECT id, start, until, rows, dense FROM agent_chunks WHERE agent = ?1 AND pinned = 1";
    let mut select = connection.prepare_cached(sql)?;
    let pieces: Vec<Piece> = select.query_map([key], chunks::piece)?.collect::<rusqlite::Result<_>>()?;
    let mut removed = 0;
    for piece in &pieces {
        if pins::stretches(connection, key, (piece.start, piece.until))?.is_empty() {
            delete(connection, piece.id)?;
            removed += 1;
        }
    }
    if removed > 0 {
        // Answers that were given with them are not those of now.
        held::revise(connection, key)?;
    }
    Ok(removed)
}

/// Removes the oldest pieces that are kept for incidents, of all agents: the file has no room for them; how many.
pub(super) fn give_up_pins(connection: &Connection) -> Answer<usize> {
    let sql =
        "DELETE FROM agent_chunks WHERE id IN (SELECT id FROM agent_chunks WHERE pinned = 1 ORDER BY agent, start LIMIT ?1)";
    Ok(connection.prepare_cached(sql)?.execute([SLICE])?)
}
