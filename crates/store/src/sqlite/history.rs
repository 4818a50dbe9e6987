//! Reading history: buckets of one agent from rows and chunks, and those computed at the moment of reading. What is damaged is
//! noted and missing from the answer; the rest goes on.

use super::cells::At;
use super::failure::{Answer, Failure};
use super::held::Held;
use super::marks;
use super::noted::{Noted, Spot};
use super::packed::Packed;
use super::raw;
use crate::rollup::{self, Bucket};
use crate::varint::Damage;
use nightbell_model::{Tier, Timestamp};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

/// A stretch of time: its first moment, and its first moment no more.
pub(super) type Span = (Timestamp, Timestamp);

/// Which series of an agent are read, and into which columns.
#[derive(Debug)]
pub(super) struct Selection<'a> {
    /// The agent's number.
    pub(super) agent: i64,
    /// Raw rows before this stand in chunks, or came late.
    pub(super) sealed_to: Timestamp,
    /// Decimals of all series of the dictionary, by number.
    pub(super) decimals: &'a [u8],
    /// The column of each series of the dictionary, by number.
    columns: Vec<Option<u32>>,
    /// The largest number that is read.
    pub(super) last: u32,
    /// How many columns there are.
    pub(super) width: usize,
    /// Where damage is noted.
    pub(super) noted: &'a Noted,
}

/// What is wrong with a row that was read before, or too late.
pub(super) const OUT_OF_ORDER: Damage = Damage("it was read out of order");

/// Takes rows of history as they are read, in the order of time.
pub(super) type Sink<'a> = &'a mut dyn FnMut(Timestamp, &[Bucket]) -> Answer<()>;

impl<'a> Selection<'a> {
    /// The series numbered `ids`, one column each in that order.
    pub(super) fn new(held: &Held, decimals: &'a [u8], ids: &[u32], noted: &'a Noted) -> Self {
        let mut columns = vec![None; decimals.len()];
        for (column, id) in (0_u32..).zip(ids) {
            if let Some(slot) = columns.get_mut(*id as usize) {
                *slot = Some(column);
            }
        }
        let last = ids.iter().copied().max().unwrap_or(0);
        Self { agent: held.key, sealed_to: held.sealed_to, decimals, columns, last, width: ids.len(), noted }
    }

    /// All series, each in the column of its number.
    pub(super) fn all(held: &Held, decimals: &'a [u8], noted: &'a Noted) -> Self {
        let ids: Vec<u32> = (0..).take(decimals.len()).collect();
        Self::new(held, decimals, &ids, noted)
    }

    /// The same agent with no column: when its rows are, and nothing of them.
    pub(super) fn bare(&self) -> Selection<'a> {
        let (agent, sealed_to, noted) = (self.agent, self.sealed_to, self.noted);
        Selection { agent, sealed_to, decimals: &[], columns: Vec::new(), last: 0, width: 0, noted }
    }

    /// The column of a series, if it is read.
    pub(super) fn column(&self, id: u32) -> Option<usize> {
        self.columns.get(id as usize).copied().flatten().map(|column| column as usize)
    }

    /// Adds the buckets of a rolled up row to `columns`.
    fn read_bucket(&self, bytes: &[u8], key: crate::checksum::Key, columns: &mut [Bucket]) -> Result<(), Damage> {
        let visit = |id: u32, bucket: &Bucket| {
            if let Some(column) = self.column(id).and_then(|column| columns.get_mut(column)) {
                column.merge(bucket);
            }
        };
        rollup::walk(bytes, key, self.last, self.decimals, visit)
    }

    /// A row without samples.
    pub(super) fn empty(&self) -> Vec<Bucket> {
        vec![Bucket::default(); self.width]
    }

    /// Notes that a stretch of a table is damaged.
    pub(super) fn note(&self, what: &'static str, span: Span, why: &dyn std::fmt::Display) {
        self.noted.note(Spot { agent: self.agent, what, start: span.0, until: span.1 }, why);
    }

    /// Notes what cannot be read because the file is damaged there, and goes on; other failures stay failures.
    pub(super) fn survive<T>(&self, what: &'static str, span: Span, read: Answer<T>) -> Answer<Option<T>> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(failure) if failure.is_damage() => {
                self.note(what, span, &failure);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }
}

/// The blob of a row.
pub(super) fn blob<'a>(row: &'a Row<'_>, at: usize) -> Answer<&'a [u8]> {
    match row.get_ref(at)? {
        ValueRef::Blob(bytes) => Ok(bytes),
        _ => Err(super::failure::damaged("a row of history".to_owned(), Damage("its vector is not there"))),
    }
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

/// Buckets that start within `span`, as they would be written now: those that are not written yet, or not right any more, are made
/// from finer ones. A bucket's own row goes before the chunk it is also in.
pub(super) fn buckets(connection: &Connection, selection: &Selection<'_>, tier: Tier, span: Span, sink: Sink<'_>) -> Answer<()> {
    let (Some(table), Some(width)) = (table(tier), tier.width_ms()) else {
        return raw::read(connection, selection, span, sink);
    };
    // A broken index gives rows twice or in any order.
    let mut last = None;
    let mut ascending = |time: Timestamp, columns: &[Bucket]| {
        if last.is_some_and(|last| time <= last) {
            selection.note(table, (time, time.plus_millis(width)), &OUT_OF_ORDER);
            return Ok(());
        }
        last = Some(time);
        sink(time, columns)
    };
    let sink: Sink<'_> = &mut ascending;
    let mut merge = Merge {
        connection,
        selection,
        tier,
        packed: Packed::open(connection, selection, tier, span)?,
        unwritten: unwritten(connection, selection.agent, tier, width, span)?.into_iter().peekable(),
    };
    let sql = format!("SELECT bucket, vector FROM {table} WHERE agent = ?1 AND bucket >= ?2 AND bucket < ?3 ORDER BY bucket");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![selection.agent, span.0.as_millis(), span.1.as_millis()])?;
    let (mut columns, mut from) = (selection.empty(), span.0);
    while let Some(row) = selection.survive(table, (from, span.1), rows.next().map_err(Failure::from))?.flatten() {
        let bucket = row.get::<_, At>(0)?.0;
        from = bucket;
        merge.before(bucket, sink)?;
        if merge.at(bucket, sink)? {
            continue;
        }
        columns.fill(Bucket::default());
        let read = selection.read_bucket(blob(row, 1)?, marks::bucket(selection.agent, tier, bucket), &mut columns);
        match read {
            Ok(()) => sink(bucket, &columns)?,
            Err(damage) => selection.note(table, (bucket, bucket.plus_millis(width)), &damage),
        }
    }
    merge.before(Timestamp::MAX, sink)
}

/// What comes beside the rows of a tier: buckets in chunks, and those that have to be made.
struct Merge<'c, 's> {
    connection: &'c Connection,
    selection: &'s Selection<'s>,
    tier: Tier,
    packed: Packed<'c, 's>,
    unwritten: std::iter::Peekable<std::vec::IntoIter<Timestamp>>,
}

impl Merge<'_, '_> {
    /// Gives all buckets before `bucket` to `sink`.
    fn before(&mut self, bucket: Timestamp, sink: Sink<'_>) -> Answer<()> {
        loop {
            let packed = self.packed.peek()?.filter(|next| *next < bucket);
            let made = self.unwritten.peek().copied().filter(|next| *next < bucket);
            match (packed, made) {
                (None, None) => return Ok(()),
                (Some(next), made) if made.is_none_or(|made| next < made) => self.packed.take(sink)?,
                (packed, Some(next)) => {
                    self.unwritten.next();
                    if packed == Some(next) {
                        self.packed.skip();
                    }
                    make(self.connection, self.selection, self.tier, next, sink)?;
                }
                (Some(_), None) => self.packed.take(sink)?,
            }
        }
    }

    /// Passes the bucket at `bucket`, whose own row is there; whether it had to be made.
    fn at(&mut self, bucket: Timestamp, sink: Sink<'_>) -> Answer<bool> {
        if self.packed.peek()? == Some(bucket) {
            self.packed.skip();
        }
        if self.unwritten.next_if_eq(&bucket).is_none() {
            return Ok(false);
        }
        make(self.connection, self.selection, self.tier, bucket, sink)?;
        Ok(true)
    }
}

/// The buckets of a tier that are marked, or that lie over finer ones that are.
fn unwritten(connection: &Connection, agent: i64, tier: Tier, width: i64, span: Span) -> Answer<Vec<Timestamp>> {
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
pub(super) fn make(
    connection: &Connection,
    selection: &Selection<'_>,
    tier: Tier,
    bucket: Timestamp,
    sink: Sink<'_>,
) -> Answer<()> {
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
