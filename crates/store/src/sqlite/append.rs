//! Heartbeats into rows: each once, packed, and its five minutes marked for rolling up.

use super::cache::Cache;
use super::failure::Answer;
use super::marks::{self, Beside};
use super::{agents, chunks, held, raw};
use crate::chunk::{Chunk, Scratch};
use crate::entities::SeenRow;
use crate::ranges::Ranges;
use crate::vector;
use nightbell_model::{AgentId, Batch, BootId, Tier, Timestamp};
use rusqlite::{Connection, params};

/// Width of the finest buckets, in milliseconds.
const FIVE_MINUTES_MS: i64 = 5 * 60_000;

const INSERT_HOT: &str = "INSERT INTO agent_metrics (agent, ts, received, boot, seq, cpu_percent, mem_percent, disk_percent, \
                          vector) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const INSERT_LATE: &str = "INSERT INTO agent_metrics_late (agent, ts, received, boot, seq, cpu_percent, mem_percent, \
                           disk_percent, vector) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

/// What became of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It is stored.
    Stored,
    /// It was stored before.
    Known,
    /// It is from before what is kept of raw: its buckets are closed.
    Closed,
}

/// Whose heartbeats are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Anybody's.
    All,
    /// Those of agents that exist.
    Enrolled,
}

impl Of {
    /// Whether an agent is one of them. The cache forgets one that is deleted, so that the others are not looked up each time.
    fn includes(self, connection: &Connection, cache: &Cache, agent: AgentId) -> Answer<bool> {
        Ok(self == Self::All || cache.knows(agent) || agents::is_there(connection, agent)?)
    }
}

/// Stores what is not stored yet. Heartbeats from before what is kept of raw are left out: their buckets are closed.
pub(super) fn append(connection: &Connection, cache: &mut Cache, batches: &[Batch], of: Of) -> Answer<()> {
    let mut closed = 0_usize;
    for batch in batches {
        if !of.includes(connection, cache, batch.agent)? {
            continue;
        }
        let taken = take_in(connection, cache, batch)?;
        closed += usize::from(taken == Taken::Closed);
        if taken == Taken::Stored && batch.boot_seq.is_none() {
            seen_alive(connection, batch.agent, batch.received)?;
        }
    }
    if closed > 0 {
        tracing::warn!(heartbeats = closed, "heartbeats older than raw history were not stored");
    }
    Ok(())
}

/// Stores a heartbeat without a number, whatever is there.
pub(super) fn put(connection: &Connection, cache: &mut Cache, batch: &Batch) -> Answer<()> {
    insert(connection, cache, batch, None)?;
    mark(connection, cache, batch)
}

/// Stores one heartbeat, if it is not stored yet and not closed.
fn take_in(connection: &Connection, cache: &mut Cache, batch: &Batch) -> Answer<Taken> {
    if batch.ts < cache.known(connection, batch.agent)?.open_from {
        return Ok(Taken::Closed);
    }
    let boot_seq = match &batch.boot_seq {
        Some((boot, seq)) => match number(connection, cache, batch, boot, *seq)? {
            Some(key) => Some((key, seq.cast_signed())),
            None => return Ok(Taken::Known),
        },
        None if is_stored(connection, cache, batch)? => return Ok(Taken::Known),
        None => None,
    };
    insert(connection, cache, batch, boot_seq)?;
    mark(connection, cache, batch)?;
    Ok(Taken::Stored)
}

/// Notes what the door has seen. Without ranges, the door has forgotten the process, and so does the store.
pub(super) fn seen(connection: &Connection, cache: &mut Cache, rows: &[SeenRow], of: Of) -> Answer<()> {
    for row in rows {
        if !of.includes(connection, cache, row.agent)? {
            continue;
        }
        if row.ranges.is_empty() {
            cache.forget_boot(connection, row.agent, &row.boot)?;
            continue;
        }
        let boot = cache.boot(connection, row.agent, &row.boot, row.used_at)?;
        boot.used_at = boot.used_at.max(row.used_at);
        boot.seen = Ranges::new(row.ranges.clone());
    }
    Ok(())
}

/// Notes that an agent was heard of.
pub(super) fn seen_alive(connection: &Connection, agent: AgentId, received: Timestamp) -> Answer<()> {
    let sql = "UPDATE agents SET last_seen = max(coalesce(last_seen, ?2), ?2) WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![agent.to_string(), received.as_millis()])?;
    Ok(())
}

/// The number of the process that sent the heartbeat, which counts as stored from here on; `None` if it was already.
fn number(connection: &Connection, cache: &mut Cache, batch: &Batch, boot: &BootId, seq: u64) -> Answer<Option<i64>> {
    let boot = cache.boot(connection, batch.agent, boot, batch.received)?;
    boot.used_at = boot.used_at.max(batch.received);
    Ok(boot.stored.insert(seq).then_some(boot.key))
}

/// Whether there is a row of the agent at exactly this time, in a chunk or not.
fn is_stored(connection: &Connection, cache: &mut Cache, batch: &Batch) -> Answer<bool> {
    let known = cache.known(connection, batch.agent)?;
    let (key, is_sealed) = (known.key, batch.ts < known.sealed_to);
    Ok(raw::is_row(connection, key, batch.ts)? || (is_sealed && is_packed(connection, cache, key, batch.ts)?))
}

/// Whether there is a row of the agent at exactly this time in a chunk.
fn is_packed(connection: &Connection, cache: &mut Cache, agent: i64, ts: Timestamp) -> Answer<bool> {
    let Some(piece) = chunks::raw(connection, agent, (ts, ts.plus_millis(1)))?.pop() else { return Ok(false) };
    if cache.chunk_times.as_ref().is_none_or(|(id, owner, _)| (*id, *owner) != (piece.id, agent)) {
        let (mut times, mut scratch) = (Vec::new(), Scratch::default());
        let key = marks::chunk(agent, Tier::Raw, &piece);
        let read = chunks::body(connection, chunks::RAW, piece.id, |bytes| {
            Chunk::open(bytes, key).and_then(|chunk| chunk.times(&mut scratch, &mut times))
        })?;
        if read.is_err() {
            // What a damaged chunk held is lost: what comes again is welcome.
            times.clear();
        }
        cache.chunk_times = Some((piece.id, agent, times));
    }
    Ok(cache.chunk_times.as_ref().is_some_and(|(_, _, times)| times.binary_search(&ts).is_ok()))
}

fn insert(connection: &Connection, cache: &mut Cache, batch: &Batch, boot_seq: Option<(i64, i64)>) -> Answer<()> {
    let mut buffer = std::mem::take(&mut cache.buffer);
    let (key, sealed_to) = (cache.known(connection, batch.agent)?.key, cache.known(connection, batch.agent)?.sealed_to);
    let layout = cache.layout(connection, batch)?;
    let headline = layout.headline(&batch.values);
    let (ts, received) = (batch.ts.as_millis(), batch.received.as_millis());
    let beside = Beside { ts, received, boot_seq, headline };
    vector::pack(&mut buffer, beside.key(key), &layout.slots, &batch.values);
    let is_late = batch.ts < sealed_to;
    let sql = if is_late { INSERT_LATE } else { INSERT_HOT };
    let (boot, seq) = boot_seq.unzip();
    let [cpu, mem, disk] = headline;
    connection.prepare_cached(sql)?.execute(params![key, ts, received, boot, seq, cpu, mem, disk, buffer])?;
    cache.buffer = buffer;
    if is_late {
        return held::revise(connection, key);
    }
    cache.zones.note(connection.last_insert_rowid(), batch.ts);
    Ok(())
}

/// Marks the five minutes of a heartbeat, unless they were the last to be marked.
fn mark(connection: &Connection, cache: &mut Cache, batch: &Batch) -> Answer<()> {
    let bucket = batch.ts.floor_to(FIVE_MINUTES_MS);
    let known = cache.known(connection, batch.agent)?;
    if known.marked != Some(bucket) {
        known.marked = Some(bucket);
        mark_pending(connection, known.key, Tier::FiveMinutes, bucket)?;
    }
    Ok(())
}

/// Marks a bucket as not written yet or not right any more.
pub(super) fn mark_pending(connection: &Connection, agent: i64, tier: Tier, bucket: Timestamp) -> Answer<()> {
    let sql = "INSERT INTO rollup_pending (agent, tier, bucket) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    connection.prepare_cached(sql)?.execute(params![agent, tier as i64, bucket.as_millis()])?;
    Ok(())
}
