//! Raw rows wherever they lie: in chunks, among those that came late, and hot. Read in the order of time, and those of the same time
//! in the order they came.

use super::chunks::{self, RAW};
use super::failure::{Answer, Failure};
use super::history::{OUT_OF_ORDER, Selection, Sink, Span, blob};
use super::marks::{self, Piece, RAW_COLUMNS};
use crate::checksum::Key;
use crate::chunk::{Chunk, Scratch};
use crate::rollup::Bucket;
use crate::varint::Damage;
use crate::vector::{self, Sample};
use nightbell_model::{Tier, Timestamp};
use rusqlite::{Connection, Rows, params};

/// Hot rows.
pub(super) const HOT: &str = "agent_metrics";
/// Rows that came after their hour was sealed.
pub(super) const LATE: &str = "agent_metrics_late";

impl Selection<'_> {
    /// Adds the samples of a raw row to `columns`.
    pub(super) fn read_raw(&self, bytes: &[u8], key: Key, columns: &mut [Bucket]) -> Result<(), Damage> {
        vector::walk(bytes, key, self.last, |id, sample| {
            if let Some(bucket) = self.column(id).and_then(|column| columns.get_mut(column)) {
                bucket.add(sample, self.decimals[id as usize]);
            }
            Ok(())
        })
    }
}

/// Raw rows within `span`, each as buckets of at most one sample.
pub(super) fn read(connection: &Connection, selection: &Selection<'_>, span: Span, sink: Sink<'_>) -> Answer<()> {
    if span.0 < selection.sealed_to {
        sealed(connection, selection, (span.0, span.1.min(selection.sealed_to)), sink)?;
    }
    let hot = (span.0.max(selection.sealed_to), span.1);
    if hot.0 >= hot.1 {
        return Ok(());
    }
    let mut select = connection.prepare_cached(&select_rows(HOT))?;
    let rows = select.query(params![selection.agent, hot.0.as_millis(), hot.1.as_millis()])?;
    let mut hot = RawRows::new(rows, selection, HOT, hot)?;
    hot.before(Timestamp::MAX, sink)
}

/// What asks for the rows of one of the two tables of raw rows.
fn select_rows(table: &str) -> String {
    format!("SELECT {RAW_COLUMNS}, id FROM {table} WHERE agent = ?1 AND ts >= ?2 AND ts < ?3 ORDER BY ts, id")
}

/// Rows of one of the tables of raw rows, the next one in memory.
struct RawRows<'q, 's> {
    rows: Rows<'q>,
    selection: &'s Selection<'s>,
    table: &'static str,
    span: Span,
    next: Option<Timestamp>,
    /// The time and the number of the last one: a broken index gives rows twice or in any order.
    last: Option<(Timestamp, i64)>,
    columns: Vec<Bucket>,
}

impl<'q, 's> RawRows<'q, 's> {
    fn new(rows: Rows<'q>, selection: &'s Selection<'s>, table: &'static str, span: Span) -> Answer<Self> {
        let mut new = Self { rows, selection, table, span, next: None, last: None, columns: selection.empty() };
        new.step()?;
        Ok(new)
    }

    /// Reads the next row that is sound.
    fn step(&mut self) -> Answer<()> {
        self.next = None;
        loop {
            let selection = self.selection;
            let read = self.rows.next().map_err(Failure::from);
            let Some(row) = selection.survive(self.table, self.span, read)?.flatten() else { return Ok(()) };
            let (ts, key) = marks::raw_row(row, selection.agent)?;
            let place = Some((ts, row.get(8)?));
            if place <= self.last {
                selection.note(self.table, (ts, ts.plus_millis(1)), &OUT_OF_ORDER);
                continue;
            }
            self.last = place;
            self.columns.fill(Bucket::default());
            match selection.read_raw(blob(row, 7)?, key, &mut self.columns) {
                Ok(()) => {
                    (self.next, self.span.0) = (Some(ts), ts);
                    return Ok(());
                }
                Err(damage) => selection.note(self.table, (ts, ts.plus_millis(1)), &damage),
            }
        }
    }

    /// Gives all rows before `time` to `sink`.
    fn before(&mut self, time: Timestamp, sink: Sink<'_>) -> Answer<()> {
        while let Some(next) = self.next.filter(|next| *next < time) {
            sink(next, &self.columns)?;
            self.step()?;
        }
        Ok(())
    }
}

/// Rows before the seal: those of chunks, and between them those that came late.
fn sealed(connection: &Connection, selection: &Selection<'_>, span: Span, sink: Sink<'_>) -> Answer<()> {
    let mut select = connection.prepare_cached(&select_rows(LATE))?;
    let rows = select.query(params![selection.agent, span.0.as_millis(), span.1.as_millis()])?;
    let mut late = RawRows::new(rows, selection, LATE, span)?;
    let (mut block, mut row) = (Block::new(selection.width), selection.empty());
    let pieces = chunks::readable(connection, selection, Tier::Raw, span)?;
    let mut until = Timestamp::MIN;
    for piece in &pieces {
        if piece.start < until {
            selection.note(RAW, (piece.start, piece.until), &OUT_OF_ORDER);
            continue;
        }
        until = piece.until;
        block.load(connection, selection, piece)?;
        for at in block.within(span) {
            late.before(block.times[at], sink)?;
            block.row(at, selection, &mut row);
            sink(block.times[at], &row)?;
        }
    }
    late.before(Timestamp::MAX, sink)
}

/// The rows of one chunk.
#[derive(Debug)]
pub(super) struct Block {
    /// When they were measured.
    pub(super) times: Vec<Timestamp>,
    /// For each column a value for each row, NaN where there is none; nothing for a series that the chunk does not have.
    columns: Vec<Vec<f64>>,
    /// The decimals of each column.
    decimals: Vec<u8>,
    scratch: Scratch,
}

impl Block {
    /// An empty block.
    pub(super) fn new(width: usize) -> Self {
        let columns = vec![Vec::new(); width];
        Self { times: Vec::new(), columns, decimals: vec![0; width], scratch: Scratch::default() }
    }

    /// Reads a chunk; one that is damaged is noted and leaves the block empty.
    pub(super) fn load(&mut self, connection: &Connection, selection: &Selection<'_>, piece: &Piece) -> Answer<()> {
        self.times.clear();
        self.columns.iter_mut().for_each(Vec::clear);
        let key = marks::chunk(selection.agent, Tier::Raw, piece);
        let read = chunks::body(connection, RAW, piece.id, |bytes| self.unpack(bytes, key, selection));
        let outcome = selection.survive(RAW, (piece.start, piece.until), read)?;
        if let Some(Err(damage)) = &outcome {
            selection.note(RAW, (piece.start, piece.until), damage);
        }
        if !matches!(outcome, Some(Ok(()))) {
            self.times.clear();
        }
        Ok(())
    }

    fn unpack(&mut self, bytes: &[u8], key: Key, selection: &Selection<'_>) -> Result<(), Damage> {
        let chunk = Chunk::open(bytes, key)?;
        chunk.times(&mut self.scratch, &mut self.times)?;
        for part in chunk.columns().take_while(|part| part.id() <= selection.last) {
            let Some(column) = selection.column(part.id()) else { continue };
            let decimals = selection.decimals.get(part.id() as usize).copied().unwrap_or(0);
            if let (Some(values), Some(slot)) = (self.columns.get_mut(column), self.decimals.get_mut(column)) {
                part.values(decimals, &mut self.scratch, values)?;
                *slot = decimals;
            }
        }
        Ok(())
    }

    /// Which rows lie within a span.
    pub(super) fn within(&self, span: Span) -> std::ops::Range<usize> {
        let edge = |moment: Timestamp| self.times.partition_point(|time| *time < moment);
        edge(span.0)..edge(span.1).max(edge(span.0))
    }

    /// One row as buckets of at most one sample.
    fn row(&self, at: usize, selection: &Selection<'_>, row: &mut [Bucket]) {
        for ((to, column), decimals) in row.iter_mut().zip(&self.columns).zip(&self.decimals) {
            *to = match column.get(at) {
                Some(value) if !value.is_nan() => Bucket::of(Sample::of(*value, *decimals), *decimals),
                _ => Bucket::default(),
            };
        }
        debug_assert_eq!(row.len(), selection.width, "a row has as many values as columns");
    }
}

/// How many rows lie within a span, as far as it matters: more than `enough` if there are more, and not if there are not.
pub(super) fn count(connection: &Connection, selection: &Selection<'_>, span: Span, enough: usize) -> Answer<usize> {
    let (mut count, mut edges) = (0, Vec::new());
    if span.0 < selection.sealed_to {
        let pieces = chunks::readable(connection, selection, Tier::Raw, span)?;
        let (inside, others) = pieces.into_iter().partition::<Vec<_>, _>(|piece| piece.start >= span.0 && piece.until <= span.1);
        edges = others;
        count += inside.iter().map(rows).sum::<usize>();
        count += count_rows(connection, selection.agent, LATE, span, enough)?;
    }
    let hot = (span.0.max(selection.sealed_to), span.1);
    if count <= enough && hot.0 < hot.1 {
        count += count_rows(connection, selection.agent, HOT, hot, enough)?;
    }
    let at_edges = edges.iter().map(rows).sum::<usize>();
    if count > enough || count + at_edges <= enough {
        return Ok(count + at_edges);
    }
    // Only here it matters which rows of the chunks at the edges lie outside.
    let (mut block, bare) = (Block::new(0), selection.bare());
    for piece in &edges {
        block.load(connection, &bare, piece)?;
        count += block.within(span).len();
    }
    Ok(count)
}

fn rows(piece: &Piece) -> usize {
    usize::try_from(piece.rows).unwrap_or(0)
}

fn count_rows(connection: &Connection, agent: i64, table: &str, span: Span, enough: usize) -> Answer<usize> {
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {table} WHERE agent = ?1 AND ts >= ?2 AND ts < ?3 LIMIT ?4)");
    let limit = i64::try_from(enough).unwrap_or(i64::MAX).saturating_add(1);
    let mut select = connection.prepare_cached(&sql)?;
    let count: i64 = select.query_row(params![agent, span.0.as_millis(), span.1.as_millis(), limit], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Whether there is a row of the agent at exactly `ts` that does not stand in a chunk.
pub(super) fn is_row(connection: &Connection, agent: i64, ts: Timestamp) -> Answer<bool> {
    let mut hot = connection.prepare_cached("SELECT 1 FROM agent_metrics WHERE agent = ?1 AND ts = ?2")?;
    let mut late = connection.prepare_cached("SELECT 1 FROM agent_metrics_late WHERE agent = ?1 AND ts = ?2")?;
    Ok(hot.exists(params![agent, ts.as_millis()])? || late.exists(params![agent, ts.as_millis()])?)
}
