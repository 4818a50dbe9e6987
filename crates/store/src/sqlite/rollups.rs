//! Writes buckets that are complete, finest tier first, a slice at a time. Each slice is one transaction that takes its marks
//! away, so being killed anywhere repeats nothing and skips nothing.

use super::append::mark_pending;
use super::cache::Cache;
use super::cells::{At, parse};
use super::failure::Answer;
use super::history::{self, Selection};
use super::noted::Spot;
use super::sight::Sight;
use super::writer::Turn;
use super::{chunks, dictionary, held, marks};
use crate::retention::GRACE_MS;
use crate::rollup::{self, Bucket};
use crate::seams::StoreError;
use crate::varint::Damage;
use nightbell_model::{AgentId, Tier, Timestamp};
use rusqlite::{Connection, params};
use std::collections::HashSet;

/// At most so many buckets are written while commits wait.
const SLICE: usize = 100;
/// At most so many that cannot be written are passed over at once: some damaged pages, and each costs a slice.
const MOST_PASSED: usize = 1_000;

/// Buckets that cannot be written are tried again for a day, in milliseconds: so long somebody may take to put a backup back.
const GIVE_UP_MS: i64 = 86_400_000;

/// Buckets that cannot be written because the file is damaged where they stand, for as long as one round takes: the others go on.
#[derive(Debug, Default)]
pub(super) struct Passed {
    marks: HashSet<(i64, Timestamp)>,
    /// The one that is being written.
    at: Option<(i64, Timestamp)>,
    first: Option<StoreError>,
}

impl Passed {
    /// A slice has failed: passes over the bucket that is damaged, or answers the error if that is not why, or there are too many.
    pub(super) fn over(&mut self, error: StoreError) -> Result<(), StoreError> {
        match self.at.take() {
            Some(mark) if matches!(error, StoreError::Corrupt { .. }) && self.marks.len() < MOST_PASSED => {
                self.marks.insert(mark);
                self.first.get_or_insert(error);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Those that are given up by now, for raw history is kept as long as a bucket of it is to be written.
    pub(super) fn lost(&self, now: Timestamp) -> Vec<(i64, Timestamp)> {
        self.marks.iter().copied().filter(|(_, bucket)| now.millis_since(*bucket) > GIVE_UP_MS).collect()
    }

    /// What the first of them failed with, if there are any.
    pub(super) fn end(self) -> Result<(), StoreError> {
        self.first.map_or(Ok(()), Err)
    }
}

/// Takes the marks of buckets away that stay as they are: on a damaged page.
pub(super) fn give_up(
    connection: &Connection,
    cache: &mut Cache,
    sight: &Sight<'_>,
    tier: Tier,
    lost: &[(i64, Timestamp)],
) -> Answer<()> {
    let (Some(table), Some(width)) = (history::table(tier), tier.width_ms()) else { return Ok(()) };
    let sql = "DELETE FROM rollup_pending WHERE agent = ?1 AND tier = ?2 AND bucket = ?3";
    let mut delete = connection.prepare_cached(sql)?;
    for (agent, bucket) in lost {
        delete.execute(params![agent, tier as i64, bucket.as_millis()])?;
        let spot = Spot { agent: *agent, what: table, start: *bucket, until: bucket.plus_millis(width) };
        sight.noted.note(spot, &Damage("its page is damaged, and cannot be written"));
    }
    // What comes late is marked again.
    cache.forget();
    Ok(())
}

/// A mark.
#[derive(Debug)]
struct Marked {
    key: i64,
    agent: Option<AgentId>,
    bucket: Timestamp,
}

/// Writes one slice of a tier's complete buckets; how many were written, and whether there may be more.
pub(super) fn slice(
    connection: &Connection,
    cache: &mut Cache,
    sight: &Sight<'_>,
    (tier, now): (Tier, Timestamp),
    passed: &mut Passed,
) -> Answer<(u64, bool)> {
    passed.at = None;
    let most = SLICE + passed.marks.len();
    let mut due = marked(connection, tier, now, most)?;
    let has_more = due.len() == most;
    due.retain(|mark| !passed.marks.contains(&(mark.key, mark.bucket)));
    let (mut written, mut buffer, turn) = (0, std::mem::take(&mut cache.buffer), Turn::new());
    let mut is_cut = false;
    for mark in &due {
        if turn.is_over() {
            is_cut = true;
            break;
        }
        passed.at = Some((mark.key, mark.bucket));
        if write(connection, sight, mark, tier, &mut buffer)? {
            written += 1;
        }
        let sql = "DELETE FROM rollup_pending WHERE agent = ?1 AND tier = ?2 AND bucket = ?3";
        let taken = connection.prepare_cached(sql)?.execute(params![mark.key, tier as i64, mark.bucket.as_millis()])?;
        if taken == 0 {
            // The marks' index has one that their table lost. What was just written is right; what was answered before was not.
            let spot = Spot { agent: mark.key, what: "rollup_pending", start: mark.bucket, until: mark.bucket };
            sight.noted.note(spot, &Damage("a mark is in its index alone"));
        }
        if let (Tier::FiveMinutes, Some(agent)) = (tier, mark.agent) {
            cache.unmark(agent, mark.bucket);
        }
    }
    cache.buffer = buffer;
    passed.at = None;
    Ok((written, is_cut || has_more))
}

/// The marks of complete buckets, oldest first, at most so many.
fn marked(connection: &Connection, tier: Tier, now: Timestamp, most: usize) -> Answer<Vec<Marked>> {
    let Some(width) = tier.width_ms() else { return Ok(Vec::new()) };
    let newest = now.plus_millis(-GRACE_MS).plus_millis(-width);
    let sql = "SELECT rollup_pending.agent, agent_keys.agent, bucket FROM rollup_pending \
               JOIN agent_keys ON agent_keys.key = rollup_pending.agent \
               WHERE tier = ?1 AND bucket <= ?2 ORDER BY bucket LIMIT ?3";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params![tier as i64, newest.as_millis(), i64::try_from(most).unwrap_or(i64::MAX)])?;
    let mut due = Vec::with_capacity(most);
    while let Some(row) = rows.next()? {
        let agent = row.get_ref(1)?.as_str_or_null().ok().flatten().map(|id| parse("agent", id)).transpose()?;
        due.push(Marked { key: row.get(0)?, agent, bucket: row.get::<_, At>(2)?.0 });
    }
    Ok(due)
}

/// Writes one bucket and marks the coarser one it is in; `false` if there is nothing in it, or damage under one that was written
/// before: that one is better.
fn write(connection: &Connection, sight: &Sight<'_>, mark: &Marked, tier: Tier, buffer: &mut Vec<u8>) -> Answer<bool> {
    let (Some(table), Some(width)) = (history::table(tier), tier.width_ms()) else { return Ok(false) };
    let Some(held) = held::by_key(connection, mark.key)? else { return Ok(false) };
    let span = (mark.bucket, mark.bucket.plus_millis(width));
    let known = match sight.whole_dictionary(connection, mark.key) {
        Err(failure) if failure.is_damage() => {
            sight.noted.note(Spot { agent: mark.key, what: "series", start: span.0, until: span.1 }, &failure);
            return Ok(false);
        }
        known => known?,
    };
    let selection = Selection::all(&held, &known.decimals, sight.noted);
    let mut found: Option<Vec<Bucket>> = None;
    let mut keep = |_: Timestamp, columns: &[Bucket]| {
        found = Some(columns.to_vec());
        Ok(())
    };
    history::make(connection, &selection, tier, mark.bucket, &mut keep)?;
    let Some(columns) = found else { return Ok(false) };
    if !sight.noted.of(mark.key, span.0, span.1).is_empty() && is_written(connection, mark, tier)? {
        return Ok(false);
    }
    rollup::pack(buffer, marks::bucket(mark.key, tier, mark.bucket), &columns, &known.decimals);
    let sql = format!(
        "INSERT INTO {table} (agent, bucket, vector) VALUES (?1, ?2, ?3) \
         ON CONFLICT (agent, bucket) DO UPDATE SET vector = excluded.vector"
    );
    connection.prepare_cached(&sql)?.execute(params![mark.key, mark.bucket.as_millis(), &*buffer])?;
    let used = (0..).zip(&columns).filter(|(_, bucket)| bucket.count > 0).map(|(id, _)| id).collect();
    let stale = dictionary::stale(connection, mark.key, &used, mark.bucket)?;
    dictionary::use_at(connection, mark.key, &stale, mark.bucket)?;
    if let Some(coarser) = coarser(tier)
        && let Some(width) = coarser.width_ms()
    {
        mark_pending(connection, mark.key, coarser, mark.bucket.floor_to(width))?;
    }
    Ok(true)
}

/// Whether a bucket was written before, as a row or into a chunk.
fn is_written(connection: &Connection, mark: &Marked, tier: Tier) -> Answer<bool> {
    let Some(table) = history::table(tier) else { return Ok(false) };
    // Its own page, not that of the index alone, has to be there.
    let sql = format!("SELECT length(vector) FROM {table} WHERE agent = ?1 AND bucket = ?2");
    let is_row = connection.prepare_cached(&sql)?.exists(params![mark.key, mark.bucket.as_millis()])?;
    let span = (mark.bucket, mark.bucket.plus_millis(1));
    Ok(is_row || !chunks::rollups(connection, mark.key, tier, span)?.is_empty())
}

/// The tier that is made from `tier`.
const fn coarser(tier: Tier) -> Option<Tier> {
    match tier {
        Tier::Raw => Some(Tier::FiveMinutes),
        Tier::FiveMinutes => Some(Tier::Hourly),
        Tier::Hourly => Some(Tier::Daily),
        Tier::Daily => None,
    }
}
