//! Removes what is older than it is kept, in slices. What a tier is whole from is raised before anything is removed, in the
//! transaction before: nobody reads a tier that is half gone, and being killed in between leaves only rows nobody reads.

use super::cache::Cache;
use super::cells::{At, parse};
use super::failure::Answer;
use super::history::table;
use crate::retention::{self, WholeFrom};
use crate::seams::Retention;
use nightbell_model::{AgentId, Tier, Timestamp};
use rusqlite::{Connection, params};

/// At most so many rows are removed, or looked at, while commits wait: some 10 ms.
const SLICE: i64 = 500;
/// So many processes of an agent are remembered, as many as the door does; the longest unused are forgotten first.
const BOOTS_KEPT: i64 = 64;

/// An agent's key and how far each tier may be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    key: i64,
    whole_from: WholeFrom,
}

impl Cut {
    /// The agent's number.
    pub(super) const fn key(&self) -> i64 {
        self.key
    }
}

/// The table and the column of time of a tier.
fn place(tier: Tier) -> (&'static str, &'static str) {
    table(tier).map_or(("agent_metrics", "ts"), |table| (table, "bucket"))
}

/// Raises what the tiers of the next agents after `after` are whole from; empty when there is no agent left.
pub(super) fn raise(
    connection: &Connection,
    cache: &mut Cache,
    after: i64,
    now: Timestamp,
    keep: &Retention,
) -> Answer<Vec<Cut>> {
    let sql = "SELECT key, agent, raw_whole_from, five_minutes_whole_from, hourly_whole_from, daily_whole_from \
               FROM agent_keys WHERE key > ?1 AND agent IS NOT NULL ORDER BY key LIMIT 100";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([after])?;
    let mut cuts = Vec::new();
    while let Some(row) = rows.next()? {
        let mark = |at: usize| row.get::<_, Option<At>>(at).map(|at| at.map(|at| at.0));
        let old = WholeFrom::new([mark(2)?, mark(3)?, mark(4)?, mark(5)?]);
        let key: i64 = row.get(0)?;
        let agent: AgentId = parse("agent", &row.get::<_, String>(1)?)?;
        let whole_from = raised(connection, key, old, now, keep)?;
        if whole_from != old {
            write_marks(connection, key, whole_from)?;
            cache.close_before(agent, whole_from.of(Tier::Raw));
        }
        forget_boots(connection, cache, key)?;
        cuts.push(Cut { key, whole_from });
    }
    Ok(cuts)
}

/// What an agent's tiers are whole from once everything that is too old is gone.
fn raised(connection: &Connection, key: i64, old: WholeFrom, now: Timestamp, keep: &Retention) -> Answer<WholeFrom> {
    let pending: Option<At> = connection
        .prepare_cached("SELECT min(bucket) FROM rollup_pending WHERE agent = ?1")?
        .query_row([key], |row| row.get(0))?;
    let mut whole_from = old;
    for (tier, cut) in retention::cuts(now, keep, pending.map(|at| at.0)) {
        let (table, column) = place(tier);
        let sql = format!("SELECT 1 FROM {table} WHERE agent = ?1 AND {column} >= ?2 AND {column} < ?3 LIMIT 1");
        let from = old.of(tier).as_millis();
        if connection.prepare_cached(&sql)?.exists(params![key, from, cut.as_millis()])? {
            whole_from.raise(tier, cut);
        }
    }
    Ok(whole_from)
}

fn write_marks(connection: &Connection, key: i64, whole_from: WholeFrom) -> Answer<()> {
    let sql = "UPDATE agent_keys SET raw_whole_from = ?2, five_minutes_whole_from = ?3, hourly_whole_from = ?4, \
               daily_whole_from = ?5 WHERE key = ?1";
    let [raw, five_minutes, hourly, daily] = whole_from.marks().map(super::cells::ms);
    connection.prepare_cached(sql)?.execute(params![key, raw, five_minutes, hourly, daily])?;
    Ok(())
}

/// Forgets the oldest processes of an agent, if there are many.
fn forget_boots(connection: &Connection, cache: &mut Cache, key: i64) -> Answer<()> {
    let sql = "DELETE FROM boots WHERE agent = ?1 AND key IN \
               (SELECT key FROM boots WHERE agent = ?1 ORDER BY used_at DESC, key DESC LIMIT -1 OFFSET ?2)";
    if connection.prepare_cached(sql)?.execute([key, BOOTS_KEPT])? > 0 {
        cache.forget_boots();
    }
    Ok(())
}

/// Removes a slice of an agent's rows that lie before what their tier is whole from.
pub(super) fn remove(connection: &Connection, cut: &Cut, tier: Tier) -> Answer<usize> {
    let (table, column) = place(tier);
    let Some(before) = cut.whole_from.marks()[tier as usize] else { return Ok(0) };
    let sql = format!(
        "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE agent = ?1 AND {column} < ?2 ORDER BY {column} LIMIT ?3)"
    );
    Ok(connection.prepare_cached(&sql)?.execute(params![cut.key, before.as_millis(), SLICE])?)
}

/// Removes rows that lie before what raw is whole from among a slice of the oldest commits after the row `after`: agents'
/// rows lie mixed in the order of commits, and going through them in that order touches each page once. Answers how many it
/// removed and the last row it looked at; `None` once rows are too young for anything to be removed.
pub(super) fn remove_oldest(connection: &Connection, after: i64, horizon: Timestamp) -> Answer<(usize, Option<i64>)> {
    let sql = "SELECT id, received, ts < coalesce(raw_whole_from, -9223372036854775808) FROM agent_metrics \
               JOIN agent_keys ON agent_keys.key = agent_metrics.agent WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([after, SLICE])?;
    let (mut last, mut looked_at, mut gone, mut is_old) = (after, 0, Vec::new(), false);
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        looked_at += 1;
        is_old |= row.get::<_, At>(1)?.0 < horizon;
        if row.get(2)? {
            gone.push(last);
        }
    }
    let mut delete = connection.prepare_cached("DELETE FROM agent_metrics WHERE id = ?1")?;
    for id in &gone {
        delete.execute([id])?;
    }
    Ok((gone.len(), (is_old && looked_at == SLICE).then_some(last)))
}

/// Removes a slice of a history that is cut off from its agent; `None` when no such history is left.
pub(super) fn purge(connection: &Connection) -> Answer<Option<usize>> {
    let mut select = connection.prepare_cached("SELECT key FROM agent_keys WHERE agent IS NULL LIMIT 1")?;
    let mut rows = select.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let key: i64 = row.get(0)?;
    for tier in Tier::ALL {
        let (table, _) = place(tier);
        let sql = format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE agent = ?1 LIMIT ?2)");
        let removed = connection.prepare_cached(&sql)?.execute([key, SLICE])?;
        if removed > 0 {
            return Ok(Some(removed));
        }
    }
    for table in ["rollup_pending", "boots", "series"] {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE agent = ?1"))?.execute([key])?;
    }
    connection.prepare_cached("DELETE FROM agent_keys WHERE key = ?1")?.execute([key])?;
    Ok(Some(0))
}

/// What the logs are cut with, one after another.
pub(super) const LOGS: [&str; 7] = [
    "DELETE FROM alert_events WHERE seq IN \
     (SELECT seq FROM (SELECT seq, at FROM alert_events WHERE seq > 0 ORDER BY seq LIMIT ?2) WHERE at < ?1)",
    "DELETE FROM audit WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM audit WHERE seq > 0 ORDER BY seq LIMIT ?2) WHERE at < ?1)",
    "DELETE FROM incidents WHERE place IN \
     (SELECT place FROM incidents WHERE resolved_at IS NOT NULL AND resolved_at < ?1 LIMIT ?2)",
    "DELETE FROM outbox WHERE place IN (SELECT place FROM (SELECT place, created_at FROM outbox WHERE state = 'sent' \
     ORDER BY place LIMIT ?2) WHERE created_at < ?1)",
    "DELETE FROM outbox WHERE place IN (SELECT place FROM (SELECT place, created_at FROM outbox WHERE state = 'dead' \
     ORDER BY place LIMIT ?2) WHERE created_at < ?1)",
    "DELETE FROM outbox WHERE place IN (SELECT place FROM (SELECT place, created_at FROM outbox WHERE state = 'cancelled' \
     ORDER BY place LIMIT ?2) WHERE created_at < ?1)",
    "DELETE FROM outbox WHERE place IN (SELECT place FROM (SELECT place, created_at FROM outbox WHERE state = 'held' \
     ORDER BY place LIMIT ?2) WHERE created_at < ?1)",
];

/// Removes a slice of one log.
pub(super) fn cut_log(connection: &Connection, sql: &str, before: Timestamp) -> Answer<usize> {
    Ok(connection.prepare_cached(sql)?.execute([before.as_millis(), SLICE])?)
}
