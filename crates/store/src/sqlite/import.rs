//! History from elsewhere, and the promise to keep it.

use super::append;
use super::cache::Cache;
use super::dictionary;
use super::failure::Answer;
use super::held;
use super::history::{self, Selection};
use super::noted::Noted;
use crate::seams::Imported;
use nightbell_model::{AgentId, Batch, SeriesKey, Tier, Timestamp};
use rusqlite::{Connection, params};
use std::collections::{BTreeSet, HashMap, HashSet};

/// So many heartbeats are taken in while commits wait: some 10 ms.
pub(super) const SLICE: usize = 200;

/// Takes in a slice of heartbeats, whatever agent they name. What a series has at a moment stands; what other series have there
/// comes beside it, so that the metrics of a host may be imported one after the other.
pub(super) fn slice(
    connection: &Connection,
    cache: &mut Cache,
    noted: &Noted,
    (agent, batches): (AgentId, &[Batch]),
) -> Answer<Imported> {
    let mut done = Imported::default();
    let mut there = there(connection, noted, agent, batches)?;
    for batch in batches {
        let mut batch = Batch { agent, boot_seq: None, ..batch.clone() };
        if batch.ts < cache.known(connection, agent)?.open_from {
            done.too_old += 1;
        } else if leave_new(&mut batch, &mut there) {
            append::put(connection, cache, &batch)?;
            done.stored += 1;
        } else {
            done.duplicates += 1;
        }
    }
    Ok(done)
}

/// Which series have a value at which moment.
type There = HashMap<Timestamp, HashSet<SeriesKey>>;

/// What the agent has of these series over the stretch of these heartbeats.
fn there(connection: &Connection, noted: &Noted, agent: AgentId, batches: &[Batch]) -> Answer<There> {
    let mut there = There::new();
    let times = || batches.iter().map(|batch| batch.ts);
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(there) };
    let Some(held) = held::of(connection, agent)? else { return Ok(there) };
    let wanted: BTreeSet<&SeriesKey> = batches.iter().flat_map(|batch| batch.schema.keys()).collect();
    let known = dictionary::read(connection, held.key)?;
    let (ids, keys): (Vec<u32>, Vec<&SeriesKey>) =
        known.entries.iter().filter(|entry| wanted.contains(&entry.key)).map(|entry| (entry.id, &entry.key)).unzip();
    if ids.is_empty() {
        return Ok(there);
    }
    let selection = Selection::new(&held, &known.decimals, &ids, noted);
    history::buckets(connection, &selection, Tier::Raw, (first, last.plus_millis(1)), &mut |time, columns| {
        let filled = keys.iter().zip(columns).filter(|(_, column)| column.count > 0).map(|(key, _)| (*key).clone());
        there.entry(time).or_default().extend(filled);
        Ok(())
    })?;
    Ok(there)
}

/// Leaves the values that are not there yet, and notes them; whether there is any.
fn leave_new(batch: &mut Batch, there: &mut There) -> bool {
    let at = there.entry(batch.ts).or_default();
    let mut is_any = false;
    for (key, value) in batch.schema.keys().iter().zip(&mut batch.values) {
        if value.is_nan() || at.insert(key.clone()) {
            is_any |= !value.is_nan();
        } else {
            *value = f64::NAN;
        }
    }
    is_any
}

/// Notes that an agent's history is kept whatever its age.
pub(super) fn keep(connection: &Connection, cache: &mut Cache, agent: AgentId) -> Answer<()> {
    let key = cache.known(connection, agent)?.key;
    connection.prepare_cached("UPDATE agent_keys SET kept = 1 WHERE key = ?1")?.execute(params![key])?;
    Ok(())
}
