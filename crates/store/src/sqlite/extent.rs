//! From when to when an agent has anything, wherever it lies, asking no more than the question needs.

use super::chunks::{self, DAY_MS, ROLLUPS};
use super::failure::Answer;
use super::held::Held;
use super::history::{Span, table};
use super::marks::{self, Piece};
use crate::chunk::{BucketChunk, Scratch};
use nightbell_model::{Tier, Timestamp};
use rusqlite::{Connection, params};

/// The part of a span in which the agent may have anything: from the day of its oldest row or bucket to its newest.
pub(super) fn clip(connection: &Connection, held: &Held, span: Span) -> Answer<Option<Span>> {
    let Some(newest) = newest(connection, held)? else { return Ok(None) };
    let Some(oldest) = oldest(connection, held, span.0)? else { return Ok(None) };
    Ok(crate::query::clip(span, (oldest, newest)))
}

fn edge(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Answer<Option<Timestamp>> {
    let edge: Option<i64> = connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
    Ok(edge.map(Timestamp::from_millis))
}

/// The newest moment at which there is a row, or else a bucket. The newest heartbeat stays a row when its hour is sealed.
pub(super) fn newest(connection: &Connection, held: &Held) -> Answer<Option<Timestamp>> {
    let hot = edge(connection, "SELECT max(ts) FROM agent_metrics WHERE agent = ?1", [held.key])?;
    let late = edge(connection, "SELECT max(ts) FROM agent_metrics_late WHERE agent = ?1", [held.key])?;
    let row = hot.max(late).filter(|ts| *ts >= held.whole_from.of(Tier::Raw));
    if row.is_some() {
        return Ok(row);
    }
    let mut newest = None;
    for tier in Tier::ROLLUPS {
        let Some(table) = table(tier) else { continue };
        let sql = format!("SELECT max(bucket) FROM {table} WHERE agent = ?1");
        newest = newest.max(edge(connection, &sql, [held.key])?);
        let sql = "SELECT max(start) FROM rollup_chunks WHERE agent = ?1 AND tier = ?2";
        if let Some(start) = edge(connection, sql, params![held.key, tier as i64])? {
            let pieces = chunks::rollups(connection, held.key, tier, (start, start.plus_millis(1)))?;
            newest = newest.max(buckets(connection, held, tier, &pieces)?.last().copied());
        }
    }
    Ok(newest)
}

/// When the buckets of some chunks start, as far as they are still looked at.
pub(super) fn buckets(connection: &Connection, held: &Held, tier: Tier, pieces: &[Piece]) -> Answer<Vec<Timestamp>> {
    let (mut all, mut times, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
    for piece in pieces {
        let key = marks::chunk(held.key, tier, piece);
        let read = chunks::body(connection, ROLLUPS, piece.id, |bytes| {
            BucketChunk::open(bytes, key).and_then(|chunk| chunk.times(&mut scratch, &mut times))
        })?;
        if read.is_ok() {
            all.extend(times.iter().copied().filter(|time| *time >= held.whole_from.of(tier)));
        }
    }
    Ok(all)
}

/// The oldest moment at which there is anything; any of the first that does not lie after the day of `enough` will do.
pub(super) fn oldest(connection: &Connection, held: &Held, enough: Timestamp) -> Answer<Option<Timestamp>> {
    let mut oldest: Option<Timestamp> = None;
    for tier in Tier::ALL.into_iter().rev() {
        for source in [oldest_row, oldest_chunk] {
            let found = source(connection, held, tier)?;
            oldest = oldest.into_iter().chain(found).min();
            if oldest.is_some_and(|oldest| oldest.floor_to(DAY_MS) <= enough) {
                return Ok(oldest);
            }
        }
    }
    Ok(oldest)
}

fn oldest_row(connection: &Connection, held: &Held, tier: Tier) -> Answer<Option<Timestamp>> {
    let from = held.whole_from.of(tier);
    if let Some(table) = table(tier) {
        let sql = format!("SELECT min(bucket) FROM {table} WHERE agent = ?1 AND bucket >= ?2");
        return edge(connection, &sql, params![held.key, from.as_millis()]);
    }
    let sql = "SELECT min(ts) FROM agent_metrics WHERE agent = ?1 AND ts >= ?2";
    let hot = edge(connection, sql, params![held.key, from.max(held.sealed_to).as_millis()])?;
    let sql = "SELECT min(ts) FROM agent_metrics_late WHERE agent = ?1 AND ts >= ?2";
    let late = edge(connection, sql, params![held.key, from.as_millis()])?;
    Ok(hot.into_iter().chain(late).min())
}

/// The first moment of the oldest chunk, or of its first bucket that is still looked at if that may be on another day.
fn oldest_chunk(connection: &Connection, held: &Held, tier: Tier) -> Answer<Option<Timestamp>> {
    let from = held.whole_from.of(tier);
    let sql = "SELECT min(start) FROM agent_chunks WHERE agent = ?1 AND start > ?2 AND until > ?3";
    let before = from.plus_millis(-chunks::block_ms(tier)).as_millis();
    if tier == Tier::Raw {
        let start = edge(connection, sql, params![held.key, before, from.as_millis()])?;
        return Ok(start.map(|start| start.max(from)));
    }
    let sql = "SELECT min(start) FROM rollup_chunks WHERE agent = ?1 AND tier = ?2 AND start > ?3 AND until > ?4";
    let mut after = before;
    while let Some(start) = edge(connection, sql, params![held.key, tier as i64, after, from.as_millis()])? {
        if start >= from && tier != Tier::Daily {
            return Ok(Some(start));
        }
        let pieces = chunks::rollups(connection, held.key, tier, (start, start.plus_millis(1)))?;
        if let Some(first) = buckets(connection, held, tier, &pieces)?.first() {
            return Ok(Some(*first));
        }
        after = start.as_millis();
    }
    Ok(None)
}
