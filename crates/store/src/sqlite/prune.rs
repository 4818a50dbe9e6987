//! Forgets series that nothing refers to any more, so that containers that come and go do not grow the dictionary for ever. Their
//! numbers are given again.

use super::cache::Cache;
use super::cells::parse;
use super::failure::Answer;
use super::history::blob;
use super::marks::{self, RAW_COLUMNS};
use super::raw::{HOT, LATE};
use crate::seams::Retention;
use crate::vector;
use nightbell_model::{AgentId, Tier, Timestamp};
use rusqlite::{Connection, params};
use std::collections::HashSet;

/// A series is only looked at when it was unused for so much longer than anything is kept, in milliseconds. Uses are known to a day.
const LEEWAY_MS: i64 = 3 * 86_400_000;
/// A series may have been used so long after its last known use, in milliseconds.
const UNSURE_MS: i64 = 2 * 86_400_000;
/// At most so many series of an agent are forgotten at once.
const SLICE: i64 = 500;

/// The first moment before which a series must have been used last to be looked at.
fn horizon(now: Timestamp, keep: &Retention) -> Timestamp {
    let longest = Tier::ALL.into_iter().map(|tier| keep.of(tier)).max().unwrap_or(0);
    now.plus_millis(-longest.saturating_add(LEEWAY_MS))
}

/// Forgets unused series of an agent; how many.
pub(super) fn agent(connection: &Connection, cache: &mut Cache, key: i64, now: Timestamp, keep: &Retention) -> Answer<usize> {
    let horizon = horizon(now, keep);
    let sql = "SELECT id, used_at FROM series WHERE agent = ?1 AND used_at < ?2 LIMIT ?3";
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map(params![key, horizon.as_millis(), SLICE], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let unused: Vec<(u32, i64)> = rows.collect::<rusqlite::Result<_>>()?;
    if unused.is_empty() {
        return Ok(0);
    }
    let oldest = oldest(connection, key)?;
    let Some(in_rows) = in_rows(connection, key)? else { return Ok(0) };
    let is_free = |(id, used_at): &&(u32, i64)| {
        oldest.is_none_or(|oldest| used_at.saturating_add(UNSURE_MS) < oldest) && !in_rows.contains(id)
    };
    cache.dictionaries.changing(key);
    let mut delete = connection.prepare_cached("DELETE FROM series WHERE agent = ?1 AND id = ?2")?;
    let mut forgotten = 0;
    for (id, _) in unused.iter().filter(is_free) {
        forgotten += delete.execute(params![key, id])?;
    }
    if forgotten > 0 {
        let sql = "SELECT agent FROM agent_keys WHERE key = ?1";
        let text: String = connection.prepare_cached(sql)?.query_row([key], |row| row.get(0))?;
        let agent: AgentId = parse("agent", &text)?;
        cache.forget_agent(agent);
    }
    Ok(forgotten)
}

/// The oldest moment of anything the file has of an agent, read or not.
fn oldest(connection: &Connection, key: i64) -> Answer<Option<i64>> {
    let mut oldest: Option<i64> = None;
    for (table, column) in [
        (HOT, "ts"),
        (LATE, "ts"),
        ("agent_metrics_5m", "bucket"),
        ("agent_metrics_hourly", "bucket"),
        ("agent_metrics_daily", "bucket"),
        ("agent_chunks", "start"),
    ] {
        let sql = format!("SELECT min({column}) FROM {table} WHERE agent = ?1");
        let found: Option<i64> = connection.prepare_cached(&sql)?.query_row([key], |row| row.get(0))?;
        oldest = oldest.into_iter().chain(found).min();
    }
    for tier in Tier::ROLLUPS {
        let sql = "SELECT min(start) FROM rollup_chunks WHERE agent = ?1 AND tier = ?2";
        let found: Option<i64> = connection.prepare_cached(sql)?.query_row([key, tier as i64], |row| row.get(0))?;
        oldest = oldest.into_iter().chain(found).min();
    }
    Ok(oldest)
}

/// The series in an agent's raw rows that do not stand in chunks; `None` if that cannot be told.
fn in_rows(connection: &Connection, key: i64) -> Answer<Option<HashSet<u32>>> {
    let mut found = HashSet::new();
    for table in [HOT, LATE] {
        let sql = format!("SELECT {RAW_COLUMNS} FROM {table} WHERE agent = ?1");
        let mut select = connection.prepare_cached(&sql)?;
        let mut rows = select.query([key])?;
        while let Some(row) = rows.next()? {
            let (_, mark) = marks::raw_row(row, key)?;
            let walked = vector::walk(blob(row, 7)?, mark, u32::MAX, |id, _| {
                found.insert(id);
                Ok(())
            });
            if walked.is_err() {
                return Ok(None);
            }
        }
    }
    Ok(Some(found))
}
