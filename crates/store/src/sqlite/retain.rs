//! Removes what is older than it is kept, in slices. What a tier is whole from is raised before anything is removed, in the
//! transaction before: nobody reads a tier that is half gone, and being killed in between leaves only rows nobody reads.

use super::cache::Cache;
use super::cells::{At, parse};
use super::failure::Answer;
use super::held::{self, Held};
use super::history::table;
use super::{chunks, extent, marks, pins};
use crate::chunk::{Chunk, Scratch};
use crate::retention::{self, WholeFrom};
use crate::seams::Retention;
use nightbell_model::{AgentId, Tier, Timestamp};
use rusqlite::{Connection, params};

/// At most so many rows are removed, or looked at, while commits wait: some 10 ms.
const SLICE: i64 = 500;
/// At most so many chunks are removed at once: their pages are many.
const CHUNKS: i64 = 32;
/// So many processes of an agent are remembered, as many as the door does, and hours of heartbeats without numbers, which it notes in
/// the same way; the longest unused are forgotten first.
const BOOTS_KEPT: i64 = 64 + 1024;

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

    /// From when on a tier is whole; `None` if nothing of it was ever removed.
    pub(super) fn before(&self, tier: Tier) -> Option<Timestamp> {
        self.whole_from.marks()[tier as usize]
    }
}

/// The table and the column of time of a tier.
fn place(tier: Tier) -> (&'static str, &'static str) {
    table(tier).map_or(("agent_metrics", "ts"), |table| (table, "bucket"))
}

/// So many agents' tiers are raised at once.
pub(super) const AGENTS: i64 = 100;

/// Raises what the tiers of the next agents after `after`, `most` at most, are whole from; empty when there is no agent left. `at` is told
/// whose turn it is.
pub(super) fn raise(
    connection: &Connection,
    cache: &mut Cache,
    (after, most, at): (i64, i64, &mut i64),
    now: Timestamp,
    keep: &Retention,
) -> Answer<Vec<Cut>> {
    let sql =
        format!("SELECT {}, agent FROM agent_keys WHERE key > ?1 AND agent IS NOT NULL ORDER BY key LIMIT ?2", held::COLUMNS);
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query([after, most])?;
    let mut cuts = Vec::new();
    while let Some(row) = rows.next()? {
        let held = held::read(row)?;
        *at = held.key;
        let agent: AgentId = parse("agent", &row.get::<_, String>(8)?)?;
        let whole_from = if held.kept { held.whole_from } else { raised(connection, &held, now, keep)? };
        if whole_from != held.whole_from {
            write_marks(connection, held.key, whole_from)?;
            cache.close_before(agent, whole_from.of(Tier::Raw));
        }
        forget_boots(connection, cache, held.key)?;
        cuts.push(Cut { key: held.key, whole_from });
    }
    Ok(cuts)
}

/// What an agent's tiers are whole from once everything that is too old is gone.
fn raised(connection: &Connection, held: &Held, now: Timestamp, keep: &Retention) -> Answer<WholeFrom> {
    let pending: Option<At> = connection
        .prepare_cached("SELECT min(bucket) FROM rollup_pending WHERE agent = ?1")?
        .query_row([held.key], |row| row.get(0))?;
    let mut whole_from = held.whole_from;
    for (tier, cut) in retention::cuts(now, keep, pending.map(|at| at.0)) {
        let cut = if tier == Tier::Raw { unsealed(connection, held, cut)? } else { cut };
        if has_any(connection, held, tier, (held.whole_from.of(tier), cut))? {
            whole_from.raise(tier, cut);
        }
    }
    Ok(whole_from)
}

/// How far raw may be removed: what is kept for incidents has to be packed first.
fn unsealed(connection: &Connection, held: &Held, cut: Timestamp) -> Answer<Timestamp> {
    let open = (held.sealed_to.max(held.whole_from.of(Tier::Raw)), cut);
    if open.0 >= open.1 || pins::stretches(connection, held.key, open)?.is_empty() {
        return Ok(cut);
    }
    Ok(open.0)
}

/// Whether a tier has a row or bucket within a span.
fn has_any(connection: &Connection, held: &Held, tier: Tier, span: (Timestamp, Timestamp)) -> Answer<bool> {
    let tables: &[(&str, &str)] = match table(tier) {
        Some(table) => &[(table, "bucket")],
        None => &[("agent_metrics", "ts"), ("agent_metrics_late", "ts")],
    };
    for (table, column) in tables {
        let sql = format!("SELECT 1 FROM {table} WHERE agent = ?1 AND {column} >= ?2 AND {column} < ?3 LIMIT 1");
        if connection.prepare_cached(&sql)?.exists(params![held.key, span.0.as_millis(), span.1.as_millis()])? {
            return Ok(true);
        }
    }
    let pieces = chunks::of(connection, held.key, tier, span)?;
    let is_inside = |piece: &&marks::Piece| piece.start >= span.0 && piece.until <= span.1;
    if pieces.iter().any(|piece| is_inside(&piece)) {
        return Ok(true);
    }
    let times =
        if tier == Tier::Raw { times(connection, held, &pieces)? } else { extent::buckets(connection, held, tier, &pieces)? };
    Ok(times.iter().any(|time| *time >= span.0 && *time < span.1))
}

/// When the rows of some raw chunks were measured.
fn times(connection: &Connection, held: &Held, pieces: &[marks::Piece]) -> Answer<Vec<Timestamp>> {
    let (mut all, mut times, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
    for piece in pieces {
        let key = marks::chunk(held.key, Tier::Raw, piece);
        let read = chunks::body(connection, chunks::RAW, piece.id, |bytes| {
            Chunk::open(bytes, key).and_then(|chunk| chunk.times(&mut scratch, &mut times))
        })?;
        if read.is_ok() {
            all.append(&mut times);
        }
    }
    Ok(all)
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
    let Some(before) = cut.before(tier) else { return Ok(0) };
    let (table, column) = place(tier);
    let late = if tier == Tier::Raw { remove_late(connection, cut.key, before)? } else { 0 };
    if late > 0 {
        return Ok(late);
    }
    let sql = format!(
        "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE agent = ?1 AND {column} < ?2 ORDER BY {column} LIMIT ?3)"
    );
    Ok(connection.prepare_cached(&sql)?.execute(params![cut.key, before.as_millis(), SLICE])?)
}

/// Removes a slice of heartbeats that came late and are too old by now.
fn remove_late(connection: &Connection, key: i64, before: Timestamp) -> Answer<usize> {
    let sql = "DELETE FROM agent_metrics_late WHERE id IN \
               (SELECT id FROM agent_metrics_late WHERE agent = ?1 AND ts < ?2 ORDER BY ts LIMIT ?3)";
    Ok(connection.prepare_cached(sql)?.execute(params![key, before.as_millis(), SLICE])?)
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
pub(super) fn purge(connection: &Connection, cache: &mut Cache) -> Answer<Option<usize>> {
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
    for (table, limit) in
        [("agent_metrics_late", SLICE), ("agent_chunks", CHUNKS), ("rollup_chunks", CHUNKS), ("quarantine", CHUNKS)]
    {
        let sql = format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE agent = ?1 LIMIT ?2)");
        let removed = connection.prepare_cached(&sql)?.execute([key, limit])?;
        if removed > 0 {
            return Ok(Some(removed));
        }
    }
    cache.dictionaries.changing(key);
    for table in ["rollup_pending", "boots", "series"] {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE agent = ?1"))?.execute([key])?;
    }
    connection.prepare_cached("DELETE FROM agent_keys WHERE key = ?1")?.execute([key])?;
    Ok(Some(0))
}

/// What the logs are cut with, one after another.
pub(super) const LOGS: [&str; 7] = [
    "DELETE FROM quarantine WHERE id IN (SELECT id FROM (SELECT id, at FROM quarantine WHERE id > 0 ORDER BY id LIMIT ?2) WHERE at < ?1)",
    "DELETE FROM alert_events WHERE seq IN \
     (SELECT seq FROM (SELECT seq, at FROM alert_events WHERE seq > 0 ORDER BY seq LIMIT ?2) WHERE at < ?1)",
    "DELETE FROM audit WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM audit WHERE seq > 0 ORDER BY seq LIMIT ?2) WHERE at < ?1)",
    "DELETE FROM incidents WHERE place IN \
     (SELECT place FROM incidents WHERE resolved_at IS NOT NULL AND resolved_at < ?1 LIMIT ?2)",
    // Whom a beginning was told, the end has to be told: what is not over is kept.
    "DELETE FROM outbox WHERE place IN (SELECT place FROM (SELECT place, created_at FROM outbox WHERE state = 'sent' \
     AND NOT (kind IN ('fired', 'nodata_start', 'escalated') AND incident IN (SELECT told FROM notice_state \
     WHERE told IS NOT NULL UNION ALL SELECT told_nodata FROM notice_state WHERE told_nodata IS NOT NULL)) \
     ORDER BY place LIMIT ?2) WHERE created_at < ?1)",
    "DELETE FROM outbox WHERE place IN (SELECT place FROM (SELECT place, created_at FROM outbox WHERE state = 'cancelled' \
     ORDER BY place LIMIT ?2) WHERE created_at < ?1)",
    "DELETE FROM outbox WHERE place IN (SELECT place FROM (SELECT place, created_at FROM outbox WHERE state = 'held' \
     ORDER BY place LIMIT ?2) WHERE created_at < ?1)",
];

/// What deliveries that were given up are cut with, at a time of their own.
pub(super) const DEAD: &str = "DELETE FROM outbox WHERE place IN (SELECT place FROM (SELECT place, created_at FROM outbox \
     WHERE state = 'dead' ORDER BY place LIMIT ?2) WHERE created_at < ?1)";

/// Removes a slice of one log.
pub(super) fn cut_log(connection: &Connection, sql: &str, before: Timestamp) -> Answer<usize> {
    Ok(connection.prepare_cached(sql)?.execute([before.as_millis(), SLICE])?)
}
