//! One agent's buckets of a tier over a block of time, from their rows and chunks, as one chunk. A row goes before the chunk its
//! bucket is also in.

use super::samples::fault;
use super::{Built, Seen, Unit, remove_pieces};
use crate::chunk::{BucketChunk, BucketColumn, Density, Scratch, pack_buckets};
use crate::rollup::{self, Bucket};
use crate::sqlite::chunks::{self, ROLLUPS};
use crate::sqlite::dictionary::{self, Dictionary};
use crate::sqlite::failure::{Answer, damaged};
use crate::sqlite::history::{blob, table};
use crate::sqlite::marks::{self, Piece};
use crate::sqlite::quarantine::Fault;
use crate::sqlite::sight::Sight;
use crate::varint::Damage;
use nightbell_model::{Tier, Timestamp};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// The tables that buckets come from, and their columns of time.
pub(super) const fn sources(tier: Tier) -> &'static [(&'static str, &'static str)] {
    match tier {
        Tier::Raw | Tier::FiveMinutes => &[("agent_metrics_5m", "bucket")],
        Tier::Hourly => &[("agent_metrics_hourly", "bucket")],
        Tier::Daily => &[("agent_metrics_daily", "bucket")],
    }
}

/// The buckets of each moment, by the number of their series.
type Gathered = BTreeMap<Timestamp, Vec<(u32, Bucket)>>;

fn add_chunk(bytes: &[u8], key: crate::checksum::Key, known: &Dictionary, all: &mut Gathered) -> Result<(), Damage> {
    let chunk = BucketChunk::open(bytes, key)?;
    let (mut scratch, mut times, mut buckets) = (Scratch::default(), Vec::new(), Vec::new());
    chunk.times(&mut scratch, &mut times)?;
    let mut found: Gathered = times.iter().map(|time| (*time, Vec::new())).collect();
    for part in chunk.columns() {
        if known.entry(part.id()).is_none() {
            return Err(Damage("a series is not in the dictionary"));
        }
        part.buckets(known.decimals.get(part.id() as usize).copied().unwrap_or(0), &mut scratch, &mut buckets)?;
        for (time, bucket) in times.iter().zip(&buckets).filter(|(_, bucket)| bucket.count > 0) {
            if let Some(row) = found.get_mut(time) {
                row.push((part.id(), *bucket));
            }
        }
    }
    all.extend(found);
    Ok(())
}

/// Packs a unit.
pub(super) fn build(connection: &Connection, sight: &Sight<'_>, unit: &Unit, seen: Seen) -> Answer<Option<Built>> {
    let Some(table) = table(unit.tier) else { return Ok(None) };
    let known = sight.whole_dictionary(connection, unit.key)?;
    let (mut all, mut bad) = (Gathered::new(), Vec::new());
    for piece in chunks::rollups(connection, unit.key, unit.tier, unit.span)? {
        if piece.start < unit.span.0 || piece.until > unit.span.1 {
            return Ok(None);
        }
        let mark = marks::chunk(unit.key, unit.tier, &piece);
        let read = chunks::body(connection, ROLLUPS, piece.id, |bytes| add_chunk(bytes, mark, &known, &mut all));
        if let Some(why) = fault(read)? {
            return Ok(Some(Built::Damaged(Fault::chunk(unit.key, ROLLUPS, &piece, why))));
        }
    }
    let sql = format!("SELECT bucket, vector, id FROM {table} WHERE agent = ?1 AND bucket >= ?2 AND bucket < ?3 ORDER BY bucket");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![unit.key, unit.span.0.as_millis(), unit.span.1.as_millis()])?;
    while let Some(row) = rows.next()? {
        let time = Timestamp::from_millis(row.get(0)?);
        let mut buckets = Vec::new();
        let mark = marks::bucket(unit.key, unit.tier, time);
        let read = rollup::walk(blob(row, 1)?, mark, u32::MAX, &known.decimals, |id, bucket| buckets.push((id, *bucket)));
        match read {
            Ok(()) => drop(all.insert(time, buckets)),
            Err(damage) => {
                let (id, span, why) = (row.get(2)?, (time, time.plus_millis(1)), damage.to_string());
                bad.push(Fault { agent: unit.key, table, id, span, why });
            }
        }
    }
    drop(rows);
    let (body, piece) = packed(unit, &known, &all)?;
    let used = all.values().flatten().map(|(id, _)| *id).collect();
    let used = dictionary::stale(connection, unit.key, &used, unit.span.0)?;
    Ok(Some(Built::Packed { piece, body, seen, used, bad }))
}

fn packed(unit: &Unit, known: &Dictionary, all: &Gathered) -> Answer<(Vec<u8>, Piece)> {
    let times: Vec<Timestamp> = all.keys().copied().collect();
    let mut columns: BTreeMap<u32, Vec<Bucket>> = BTreeMap::new();
    for (at, row) in all.values().enumerate() {
        for (id, bucket) in row {
            let column = columns.entry(*id).or_default();
            column.resize(at, Bucket::default());
            column.push(*bucket);
        }
    }
    columns.values_mut().for_each(|column| column.resize(times.len(), Bucket::default()));
    let decimals = |id: u32| known.decimals.get(id as usize).copied().unwrap_or(0);
    let columns: Vec<BucketColumn<'_>> =
        columns.iter().map(|(id, buckets)| BucketColumn { id: *id, decimals: decimals(*id), buckets }).collect();
    let rows = i64::try_from(times.len()).unwrap_or(i64::MAX);
    let piece = Piece { id: 0, start: unit.span.0, until: unit.span.1, rows, dense: unit.dense };
    let mut body = Vec::new();
    if rows > 0 {
        let density = if unit.dense { Density::Dense } else { Density::Young };
        pack_buckets(&mut body, marks::chunk(unit.key, unit.tier, &piece), &times, &columns, density)
            .map_err(|_unfit| damaged("a block of buckets".to_owned(), Damage("it cannot be packed")))?;
    }
    Ok((body, piece))
}

/// Takes away what a unit was made from.
pub(super) fn replace(connection: &Connection, unit: &Unit, seen: &Seen) -> Answer<()> {
    remove_pieces(connection, ROLLUPS, &seen.pieces)?;
    let Some(table) = table(unit.tier) else { return Ok(()) };
    let sql = format!("DELETE FROM {table} WHERE agent = ?1 AND bucket >= ?2 AND bucket < ?3");
    let values = params![unit.key, unit.span.0.as_millis(), unit.span.1.as_millis()];
    connection.prepare_cached(&sql)?.execute(values)?;
    Ok(())
}
