//! Which blocks are complete: quarters of an hour that have settled, days that are old, chunks for which something came late. Asks a few indexed
//! questions for each agent.

use super::Unit;
use crate::retention::GRACE_MS;
use crate::seams::SealPolicy;
use crate::sqlite::chunks::{self, DAY_MS, HOUR_MS, block_ms};
use crate::sqlite::failure::Answer;
use crate::sqlite::held::{self, Held};
use crate::sqlite::history::{Span, table};
use nightbell_model::{AgentId, Tier, Timestamp};
use rusqlite::{Connection, params};

/// A block is packed as one if it has at most so many values, rows times series; else hour by hour. Some 32 MB while it is packed.
const VALUES: i64 = 4 << 20;
/// The same for buckets, which take more.
const BUCKETS: i64 = 400 << 10;

/// The next agents after the number `after`.
pub(super) fn agents(connection: &Connection, after: i64) -> Answer<Vec<(i64, AgentId)>> {
    let sql = "SELECT key, agent FROM agent_keys WHERE key > ?1 AND agent IS NOT NULL ORDER BY key LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params![after, i64::try_from(super::AGENTS).unwrap_or(i64::MAX)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(0)?, crate::sqlite::cells::parse("agent", &row.get::<_, String>(1)?)?));
    }
    Ok(found)
}

/// The next units of these agents and tiers that are due, at most one of each.
pub(super) fn units(
    connection: &Connection,
    (agents, tiers): (&[(i64, AgentId)], &[Tier]),
    now: Timestamp,
    policy: &SealPolicy,
) -> Answer<Vec<Unit>> {
    let mut found = Vec::new();
    for (key, agent) in agents {
        let Some(held) = held::by_key(connection, *key)? else { continue };
        let clock = Clock::new(*key, now, policy);
        for tier in tiers {
            let next = match tier {
                Tier::Raw => raw(connection, &held, &clock)?,
                _ => rollup(connection, &held, *tier, &clock)?,
            };
            found.extend(next.map(|(span, dense)| Unit { key: *key, agent: *agent, tier: *tier, span, dense }));
        }
    }
    Ok(found)
}

/// What is late enough, for one agent.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// Blocks that end here or before have settled.
    settled: Timestamp,
    /// Days that end here or before are packed densely.
    old: Timestamp,
    /// Heartbeats received here or before are merged.
    merged: Timestamp,
}

impl Clock {
    fn new(key: i64, now: Timestamp, policy: &SealPolicy) -> Self {
        // Neighbouring numbers come far apart (the golden ratio's multiples are spread evenly).
        let spread = key.wrapping_mul(0x9e37_79b9).rem_euclid(1 << 16) * policy.stagger_ms / (1 << 16);
        let settled = now.plus_millis(-policy.settle_ms - spread);
        let old = policy.dense_after_ms.map_or(Timestamp::MIN, |after| now.plus_millis(-after).min(settled));
        Self { settled, old, merged: now.plus_millis(-policy.settle_ms) }
    }

    /// The block of `moment`: its day if that is old, else its quarter of an hour.
    fn block(&self, moment: Timestamp) -> (Span, bool) {
        let day = within(moment, DAY_MS);
        if day.1 <= self.old { (day, true) } else { (within(moment, SealPolicy::YOUNG_MS), false) }
    }
}

/// The block of `width` that `moment` lies in.
const fn within(moment: Timestamp, width: i64) -> Span {
    let start = moment.floor_to(width);
    (start, start.plus_millis(width))
}

fn moment(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Answer<Option<Timestamp>> {
    let found: Option<i64> = connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
    Ok(found.map(Timestamp::from_millis))
}

fn raw(connection: &Connection, held: &Held, clock: &Clock) -> Answer<Option<(Span, bool)>> {
    let sql = "SELECT min(ts) FROM agent_metrics WHERE agent = ?1 AND ts >= ?2";
    if let Some(oldest) = moment(connection, sql, params![held.key, held.sealed_to.as_millis()])? {
        let (span, dense) = clock.block(oldest);
        if span.1 <= clock.settled {
            return sized(connection, held, oldest, (span, dense)).map(Some);
        }
    }
    if let Some(merged) = late(connection, held, clock)? {
        return Ok(Some(merged));
    }
    let sql = "SELECT min(start) FROM agent_chunks WHERE agent = ?1 AND dense = 0 AND pinned = 0 AND start >= ?2";
    let from = held.whole_from.of(Tier::Raw).as_millis();
    let young = moment(connection, sql, params![held.key, from])?;
    match young.map(|young| (young, clock.block(young))) {
        Some((young, (span, true))) => sized(connection, held, young, (span, true)).map(Some),
        _ => Ok(None),
    }
}

/// The unit of the oldest heartbeat that came late, if its time has come.
fn late(connection: &Connection, held: &Held, clock: &Clock) -> Answer<Option<(Span, bool)>> {
    let mut from = held.whole_from.of(Tier::Raw);
    let sql = "SELECT min(ts) FROM agent_metrics_late WHERE agent = ?1 AND ts >= ?2";
    while let Some(oldest) = moment(connection, sql, params![held.key, from.as_millis()])? {
        let (span, dense) = match chunks::raw(connection, held.key, (oldest, oldest.plus_millis(1)))?.first() {
            Some(piece) => ((piece.start, piece.until), piece.dense),
            None => clock.block(oldest),
        };
        let sql = "SELECT min(received) FROM agent_metrics_late WHERE agent = ?1 AND ts >= ?2 AND ts < ?3";
        let values = params![held.key, span.0.as_millis(), span.1.as_millis()];
        if moment(connection, sql, values)?.is_some_and(|received| received <= clock.merged) {
            return sized(connection, held, oldest, (span, dense)).map(Some);
        }
        from = span.1;
    }
    Ok(None)
}

/// A day as it is if it is not too large, else the hour of `moment`, as dense as the day would be.
fn sized(connection: &Connection, held: &Held, moment: Timestamp, (span, dense): (Span, bool)) -> Answer<(Span, bool)> {
    if span.1.millis_since(span.0) <= HOUR_MS {
        return Ok((span, dense));
    }
    let pieces = chunks::raw(connection, held.key, span)?;
    let packed: i64 = pieces.iter().map(|piece| piece.rows).sum();
    if pieces.iter().any(|piece| piece.start <= span.0 && piece.until >= span.1) {
        return Ok((span, dense));
    }
    let count = |table: &str, from: Timestamp| -> Answer<i64> {
        let sql = format!("SELECT count(*) FROM {table} WHERE agent = ?1 AND ts >= ?2 AND ts < ?3");
        let values = params![held.key, from.as_millis(), span.1.as_millis()];
        Ok(connection.prepare_cached(&sql)?.query_row(values, |row| row.get(0))?)
    };
    let rows = packed + count("agent_metrics", span.0.max(held.sealed_to))? + count("agent_metrics_late", span.0)?;
    let fits = rows.saturating_mul(series(connection, held)?) <= VALUES;
    Ok(if fits { (span, dense) } else { (within(moment, HOUR_MS), dense) })
}

/// How many series the agent has.
fn series(connection: &Connection, held: &Held) -> Answer<i64> {
    let sql = "SELECT count(*) FROM series WHERE agent = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([held.key], |row| row.get(0))?)
}

/// The next block of a tier's buckets: those that stand in rows, then young chunks that are old.
fn rollup(connection: &Connection, held: &Held, tier: Tier, clock: &Clock) -> Answer<Option<(Span, bool)>> {
    let (Some(table), Some(width)) = (table(tier), tier.width_ms()) else { return Ok(None) };
    let mut from = held.whole_from.of(tier);
    let sql = format!("SELECT min(bucket) FROM {table} WHERE agent = ?1 AND bucket >= ?2");
    while let Some(oldest) = moment(connection, &sql, params![held.key, from.as_millis()])? {
        let (span, dense) = match chunks::rollups(connection, held.key, tier, (oldest, oldest.plus_millis(1)))?.first() {
            Some(piece) => ((piece.start, piece.until), piece.dense),
            None => block(connection, held, tier, oldest, clock)?,
        };
        let is_complete = span.1.plus_millis(width + GRACE_MS) <= clock.settled || span.1 <= clock.old;
        if is_complete && !is_pending(connection, held.key, tier, span)? {
            return Ok(Some((span, dense)));
        }
        if !is_complete {
            break;
        }
        from = span.1;
    }
    let sql = "SELECT min(start) FROM rollup_chunks WHERE agent = ?1 AND tier = ?2 AND dense = 0 AND start >= ?3";
    let from = held.whole_from.of(tier).as_millis();
    let Some(young) = moment(connection, sql, params![held.key, tier as i64, from])? else { return Ok(None) };
    let (span, dense) = block(connection, held, tier, young, clock)?;
    Ok((dense && !is_pending(connection, held.key, tier, span)?).then_some((span, true)))
}

/// The block of a tier's buckets: five minutes go by hours until their day is old, the others by their long blocks at once.
fn block(connection: &Connection, held: &Held, tier: Tier, moment: Timestamp, clock: &Clock) -> Answer<(Span, bool)> {
    let span = within(moment, block_ms(tier));
    if tier != Tier::FiveMinutes {
        return Ok((span, true));
    }
    let hour = within(moment, HOUR_MS);
    if span.1 > clock.old {
        return Ok((hour, false));
    }
    let fits = series(connection, held)?.saturating_mul(DAY_MS / (5 * 60_000)) <= BUCKETS;
    Ok(if fits { (span, true) } else { (hour, true) })
}

/// Whether buckets of a span are not written yet, or not right any more.
fn is_pending(connection: &Connection, key: i64, tier: Tier, span: Span) -> Answer<bool> {
    let sql = "SELECT 1 FROM rollup_pending WHERE agent = ?1 AND tier = ?2 AND bucket >= ?3 AND bucket < ?4 LIMIT 1";
    let values = params![key, tier as i64, span.0.as_millis(), span.1.as_millis()];
    Ok(connection.prepare_cached(sql)?.exists(values)?)
}
