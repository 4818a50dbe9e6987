//! Reading history: raw rows and buckets of one agent, and what is computed of them at the moment of reading.

use super::cells::At;
use super::failure::{Answer, damaged};
use crate::checksum::Key;
use crate::rollup::{self, Bucket};
use crate::vector::{self, MAX_DECIMALS};
use nightbell_model::{SeriesKey, Tier, Timestamp};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

/// A series of an agent's dictionary.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its number.
    pub(super) id: u32,
    /// Its key.
    pub(super) key: SeriesKey,
}

/// Which series of an agent are read, and into which columns.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// The agent's number.
    agent: i64,
    /// Decimals of all series of the dictionary, by number.
    pub(super) decimals: Vec<u8>,
    /// The column of each series of the dictionary, by number.
    columns: Vec<Option<u32>>,
    /// The largest number that is read.
    last: u32,
    /// How many columns there are.
    pub(super) width: usize,
}

/// Takes rows of history as they are read, in the order of time.
pub(super) type Sink<'a> = &'a mut dyn FnMut(Timestamp, &[Bucket]) -> Answer<()>;

/// The dictionary of an agent with the decimals of all its series, by number.
pub(super) fn dictionary(connection: &Connection, agent: i64) -> Answer<(Vec<Entry>, Vec<u8>)> {
    let mut select = connection.prepare_cached("SELECT id, key, decimals FROM series WHERE agent = ?1 ORDER BY id")?;
    let mut rows = select.query([agent])?;
    let (mut entries, mut decimals) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let id: u32 = row.get(0)?;
        entries.push(Entry { id, key: super::cells::parse("series key", row.get_ref(1)?.as_str().map_err(text_expected)?)? });
        decimals.resize(id as usize, 0);
        decimals.push(row.get::<_, u8>(2)?.min(MAX_DECIMALS));
    }
    Ok((entries, decimals))
}

/// The error of a cell that holds no text.
fn text_expected(error: rusqlite::types::FromSqlError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error))
}

impl Selection {
    /// The series numbered `ids`, one column each in that order.
    pub(super) fn new(agent: i64, decimals: Vec<u8>, ids: &[u32]) -> Self {
        let mut columns = vec![None; decimals.len()];
        for (column, id) in (0_u32..).zip(ids) {
            if let Some(slot) = columns.get_mut(*id as usize) {
                *slot = Some(column);
            }
        }
        Self { agent, decimals, columns, last: ids.iter().copied().max().unwrap_or(0), width: ids.len() }
    }

    /// All series, each in the column of its number.
    pub(super) fn all(connection: &Connection, agent: i64) -> Answer<Self> {
        let mut select = connection.prepare_cached("SELECT id, decimals FROM series WHERE agent = ?1 ORDER BY id")?;
        let mut rows = select.query([agent])?;
        let mut decimals = Vec::new();
        while let Some(row) = rows.next()? {
            decimals.resize(row.get::<_, u32>(0)? as usize, 0);
            decimals.push(row.get::<_, u8>(1)?.min(MAX_DECIMALS));
        }
        let ids: Vec<u32> = (0..).take(decimals.len()).collect();
        Ok(Self::new(agent, decimals, &ids))
    }

    fn column(&self, id: u32) -> Option<usize> {
        self.columns.get(id as usize).copied().flatten().map(|column| column as usize)
    }

    /// Adds the samples of a raw row to `columns`.
    fn read_raw(&self, bytes: &[u8], columns: &mut [Bucket]) -> Answer<()> {
        let visit = |id: u32, sample| {
            if let Some(bucket) = self.column(id).and_then(|column| columns.get_mut(column)) {
                bucket.add(sample, self.decimals[id as usize]);
            }
            Ok(())
        };
        vector::walk(bytes, Key::NONE, self.last, visit).map_err(|damage| damaged("a heartbeat's row".to_owned(), damage))
    }

    /// Adds the buckets of a rolled up row to `columns`.
    fn read_bucket(&self, bytes: &[u8], columns: &mut [Bucket]) -> Answer<()> {
        let visit = |id: u32, bucket: &Bucket| {
            if let Some(column) = self.column(id).and_then(|column| columns.get_mut(column)) {
                column.merge(bucket);
            }
        };
        rollup::walk(bytes, Key::NONE, self.last, &self.decimals, visit)
            .map_err(|damage| damaged("a rolled up row".to_owned(), damage))
    }

    fn empty(&self) -> Vec<Bucket> {
        vec![Bucket::default(); self.width]
    }
}

/// The blob of a row.
pub(super) fn blob<'a>(row: &'a Row<'_>, at: usize) -> Answer<&'a [u8]> {
    match row.get_ref(at)? {
        ValueRef::Blob(bytes) => Ok(bytes),
        _ => Err(damaged("a row of history".to_owned(), crate::varint::Damage("its vector is not there"))),
    }
}

/// Raw rows with `from <= ts < to`, each as buckets of at most one sample.
pub(super) fn raw(connection: &Connection, selection: &Selection, from: Timestamp, to: Timestamp, sink: Sink<'_>) -> Answer<()> {
    let sql = "SELECT ts, vector FROM agent_metrics WHERE agent = ?1 AND ts >= ?2 AND ts < ?3 ORDER BY ts, id";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params![selection.agent, from.as_millis(), to.as_millis()])?;
    let mut columns = selection.empty();
    while let Some(row) = rows.next()? {
        columns.fill(Bucket::default());
        selection.read_raw(blob(row, 1)?, &mut columns)?;
        sink(row.get::<_, At>(0)?.0, &columns)?;
    }
    Ok(())
}

/// The table of a tier's buckets; raw has none.
pub(super) const fn table(tier: Tier) -> Option<&'static str> {
    match tier {
        Tier::Raw => None,
        Tier::FiveMinutes => Some("agent_metrics_5m"),
        Tier::Hourly => Some("agent_metrics_hourly"),
        Tier::Daily => Some("agent_metrics_daily"),
    }
}

/// The tier that `tier` is made from.
const fn finer(tier: Tier) -> Tier {
    match tier {
        Tier::Raw | Tier::FiveMinutes => Tier::Raw,
        Tier::Hourly => Tier::FiveMinutes,
        Tier::Daily => Tier::Hourly,
    }
}

/// Buckets that start within `from..to`, as they would be written now: those that are not written yet, or not right any more,
/// are made from finer ones.
pub(super) fn buckets(
    connection: &Connection,
    selection: &Selection,
    tier: Tier,
    span: (Timestamp, Timestamp),
    sink: Sink<'_>,
) -> Answer<()> {
    let (Some(table), Some(width)) = (table(tier), tier.width_ms()) else {
        return raw(connection, selection, span.0, span.1, sink);
    };
    let mut unwritten = unwritten(connection, selection.agent, tier, width, span)?.into_iter().peekable();
    let sql = format!("SELECT bucket, vector FROM {table} WHERE agent = ?1 AND bucket >= ?2 AND bucket < ?3 ORDER BY bucket");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![selection.agent, span.0.as_millis(), span.1.as_millis()])?;
    let mut columns = selection.empty();
    while let Some(row) = rows.next()? {
        let bucket = row.get::<_, At>(0)?.0;
        while let Some(earlier) = unwritten.next_if(|other| *other < bucket) {
            make(connection, selection, tier, earlier, sink)?;
        }
        if unwritten.next_if_eq(&bucket).is_some() {
            make(connection, selection, tier, bucket, sink)?;
            continue;
        }
        columns.fill(Bucket::default());
        selection.read_bucket(blob(row, 1)?, &mut columns)?;
        sink(bucket, &columns)?;
    }
    unwritten.try_for_each(|bucket| make(connection, selection, tier, bucket, sink))
}

/// The buckets of a tier that are marked, or that lie over finer ones that are.
fn unwritten(
    connection: &Connection,
    agent: i64,
    tier: Tier,
    width: i64,
    span: (Timestamp, Timestamp),
) -> Answer<Vec<Timestamp>> {
    let sql = "SELECT bucket FROM rollup_pending WHERE agent = ?1 AND tier = ?2 AND bucket >= ?3 AND bucket < ?4";
    let mut select = connection.prepare_cached(sql)?;
    let mut found = Vec::new();
    for finer in Tier::ROLLUPS.into_iter().filter(|finer| *finer <= tier) {
        let mut rows = select.query(params![agent, finer as i64, span.0.as_millis(), span.1.as_millis()])?;
        while let Some(row) = rows.next()? {
            found.push(row.get::<_, At>(0)?.0.floor_to(width));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// One bucket made from the next finer tier, if there is anything in it.
pub(super) fn make(connection: &Connection, selection: &Selection, tier: Tier, bucket: Timestamp, sink: Sink<'_>) -> Answer<()> {
    let Some(width) = tier.width_ms() else { return Ok(()) };
    let (mut columns, mut is_empty) = (selection.empty(), true);
    let mut join = |_: Timestamp, parts: &[Bucket]| {
        is_empty = false;
        columns.iter_mut().zip(parts).for_each(|(column, part)| column.merge(part));
        Ok(())
    };
    buckets(connection, selection, finer(tier), (bucket, bucket.plus_millis(width)), &mut join)?;
    if is_empty { Ok(()) } else { sink(bucket, &columns) }
}
