//! One agent's raw rows of a block of time, read from wherever they lie, as one chunk.

use super::{Built, Seen, Unit, remove_pieces};
use crate::chunk::{Chunk, Column, Density, MAX_ROWS, Scratch, pack};
use crate::sqlite::cache::Cache;
use crate::sqlite::chunks::{self, RAW};
use crate::sqlite::dictionary::{self, Dictionary};
use crate::sqlite::failure::{Answer, Failure, damaged};
use crate::sqlite::history::{OUT_OF_ORDER, Span, blob};
use crate::sqlite::marks::{self, Piece, RAW_COLUMNS};
use crate::sqlite::quarantine::Fault;
use crate::sqlite::raw::{HOT, LATE};
use crate::sqlite::sight::Sight;
use crate::varint::Damage;
use crate::vector;
use nightbell_model::{Tier, Timestamp};
use rusqlite::{Connection, params};

/// The tables that rows come from, and their columns of time.
pub(super) const SOURCES: &[(&str, &str)] = &[(HOT, "ts"), (LATE, "ts")];

/// Rows being gathered, in columns.
#[derive(Debug)]
struct Gathered {
    times: Vec<Timestamp>,
    /// By number: a value for each row up to the last that had one; `None` where the dictionary has no series.
    columns: Vec<Option<Vec<f64>>>,
    /// How many rows there may be.
    rows: usize,
    bad: Vec<Fault>,
}

/// A value goes into row `at` of its series' column.
fn put(columns: &mut [Option<Vec<f64>>], rows: usize, at: usize, (id, value): (u32, f64)) {
    if let Some(Some(column)) = columns.get_mut(id as usize) {
        if column.capacity() == 0 {
            column.reserve_exact(rows);
        }
        column.resize(at, f64::NAN);
        column.push(value);
    }
}

impl Gathered {
    fn new(known: &Dictionary, rows: usize) -> Self {
        let mut columns = vec![None; known.decimals.len()];
        for entry in &known.entries {
            if let Some(column) = columns.get_mut(entry.id as usize) {
                *column = Some(Vec::new());
            }
        }
        Self { times: Vec::with_capacity(rows), columns, rows, bad: Vec::new() }
    }

    fn chunk(&mut self, bytes: &[u8], key: crate::checksum::Key, known: &Dictionary) -> Result<(), Damage> {
        let chunk = Chunk::open(bytes, key)?;
        let (mut scratch, mut times, mut values) = (Scratch::default(), Vec::new(), Vec::new());
        chunk.times(&mut scratch, &mut times)?;
        let before = self.times.len();
        for part in chunk.columns() {
            let Some(Some(column)) = self.columns.get_mut(part.id() as usize) else {
                return Err(Damage("a series is not in the dictionary"));
            };
            part.values(known.decimals.get(part.id() as usize).copied().unwrap_or(0), &mut scratch, &mut values)?;
            column.resize(before, f64::NAN);
            column.append(&mut values);
        }
        self.times.append(&mut times);
        Ok(())
    }

    /// Adds the rows of a table.
    fn rows(&mut self, connection: &Connection, (key, known): (i64, &Dictionary), table: &'static str, span: Span) -> Answer<()> {
        let sql = format!("SELECT {RAW_COLUMNS}, id FROM {table} WHERE agent = ?1 AND ts >= ?2 AND ts < ?3 ORDER BY ts, id");
        let mut select = connection.prepare_cached(&sql)?;
        let mut rows = select.query(params![key, span.0.as_millis(), span.1.as_millis()])?;
        let mut values: Vec<(u32, f64)> = Vec::new();
        let mut last = None;
        while let Some(row) = rows.next()? {
            let (ts, mark) = marks::raw_row(row, key)?;
            let place: Option<(Timestamp, i64)> = Some((ts, row.get(8)?));
            if place <= last {
                return Err(damaged("a block of history".to_owned(), OUT_OF_ORDER));
            }
            last = place;
            values.clear();
            let walked = vector::walk(blob(row, 7)?, mark, u32::MAX, |id, sample| {
                let is_known = self.columns.get(id as usize).is_some_and(Option::is_some);
                let decimals = known.decimals.get(id as usize).filter(|_| is_known);
                values.push((id, sample.value(*decimals.ok_or(Damage("a series is not in the dictionary"))?)));
                Ok(())
            });
            if let Err(damage) = walked {
                let (id, span, why) = (row.get(8)?, (ts, ts.plus_millis(1)), damage.to_string());
                self.bad.push(Fault { agent: key, table, id, span, why });
                continue;
            }
            let at = self.times.len();
            values.iter().for_each(|value| put(&mut self.columns, self.rows, at, *value));
            self.times.push(ts);
        }
        Ok(())
    }

    /// Brings rows into the order of time, those of the same time as they came.
    fn sort(&mut self) {
        let rows = self.times.len();
        let used = |column: &&mut Vec<f64>| !column.is_empty();
        self.columns.iter_mut().flatten().filter(used).for_each(|column| column.resize(rows, f64::NAN));
        if self.times.is_sorted() {
            return;
        }
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by_key(|at| self.times[*at]);
        self.times = order.iter().map(|at| self.times[*at]).collect();
        for column in self.columns.iter_mut().flatten().filter(used) {
            *column = order.iter().map(|at| column[*at]).collect();
        }
    }
}

/// Packs a unit.
pub(super) fn build(connection: &Connection, sight: &Sight<'_>, unit: &Unit, seen: Seen) -> Answer<Option<Built>> {
    let known = sight.whole_dictionary(connection, unit.key)?;
    let pieces = chunks::raw(connection, unit.key, unit.span)?;
    let rows = seen.rows.iter().map(|rows| rows.0).chain(pieces.iter().map(|piece| piece.rows)).sum::<i64>();
    let mut gathered = Gathered::new(&known, usize::try_from(rows).unwrap_or(0).min(MAX_ROWS));
    for piece in pieces {
        if piece.start < unit.span.0 || piece.until > unit.span.1 {
            return Ok(None);
        }
        let mark = marks::chunk(unit.key, Tier::Raw, &piece);
        let read = chunks::body(connection, RAW, piece.id, |bytes| gathered.chunk(bytes, mark, &known));
        if let Some(why) = fault(read)? {
            return Ok(Some(Built::Damaged(Fault::chunk(unit.key, RAW, &piece, why))));
        }
    }
    gathered.rows(connection, (unit.key, &known), LATE, unit.span)?;
    gathered.rows(connection, (unit.key, &known), HOT, (unit.span.0.max(seen.sealed_to), unit.span.1))?;
    gathered.sort();
    let decimals = |id: u32| known.decimals.get(id as usize).copied().unwrap_or(0);
    let with_values =
        (0..).zip(&gathered.columns).filter_map(|(id, column)| Some((id, column.as_ref().filter(|it| !it.is_empty())?)));
    let columns: Vec<Column<'_>> = with_values.map(|(id, values)| Column { id, decimals: decimals(id), values }).collect();
    let rows = i64::try_from(gathered.times.len()).unwrap_or(i64::MAX);
    let piece = Piece { id: 0, start: unit.span.0, until: unit.span.1, rows, dense: unit.dense };
    let mut body = Vec::new();
    if rows > 0 {
        let density = if unit.dense { Density::Dense } else { Density::Young };
        let packed = pack(&mut body, marks::chunk(unit.key, Tier::Raw, &piece), &gathered.times, &columns, density);
        packed.map_err(|unfit| {
            tracing::error!(agent = %unit.agent, %unfit, "a block cannot be packed and stays as it is");
            damaged("a block of history".to_owned(), Damage("it cannot be packed"))
        })?;
    }
    let used = columns.iter().map(|column| column.id).collect();
    let used = dictionary::stale(connection, unit.key, &used, unit.span.0)?;
    Ok(Some(Built::Packed { piece, body, seen, used, bad: gathered.bad }))
}

/// What is wrong with a chunk, if its damage does not keep the store from going on.
pub(super) fn fault(read: Answer<Result<(), Damage>>) -> Answer<Option<String>> {
    match read {
        Ok(Ok(())) => Ok(None),
        Ok(Err(damage)) => Ok(Some(damage.to_string())),
        Err(failure) if failure.is_damage() => Ok(Some(failure.to_string())),
        Err(failure) => Err(failure),
    }
}

/// Takes away what a unit was made from. The newest heartbeat of the agent stays a row: it is what the agent is known by.
pub(super) fn replace(connection: &Connection, cache: &mut Cache, unit: &Unit, seen: &Seen) -> Answer<()> {
    remove_pieces(connection, RAW, &seen.pieces)?;
    if seen.rows.get(1).is_some_and(|late| late.0 > 0) {
        keep_newest(connection, unit)?;
        let sql = "DELETE FROM agent_metrics_late WHERE agent = ?1 AND ts >= ?2 AND ts < ?3";
        let values = params![unit.key, unit.span.0.as_millis(), unit.span.1.as_millis()];
        connection.prepare_cached(sql)?.execute(values)?;
    }
    if seen.rows.first().is_some_and(|hot| hot.0 > 0) {
        let sql = "UPDATE agent_keys SET sealed_to = ?2 WHERE key = ?1";
        connection.prepare_cached(sql)?.execute(params![unit.key, unit.span.1.as_millis()])?;
        cache.seal_before(unit.agent, unit.span.1);
    }
    cache.chunk_times = None;
    Ok(())
}

/// Makes the last late heartbeat of a unit a row of the hot table, if it is the agent's newest. It lies before the seal, where
/// nobody looks for hot rows, so that the zones need not know of it.
fn keep_newest(connection: &Connection, unit: &Unit) -> Answer<()> {
    let columns = "agent, ts, received, boot, seq, cpu_percent, mem_percent, disk_percent, vector";
    let sql = format!(
        "INSERT INTO agent_metrics ({columns}) SELECT {columns} FROM agent_metrics_late \
         WHERE agent = ?1 AND ts >= ?2 AND ts < ?3 \
         AND ts >= coalesce((SELECT max(ts) FROM agent_metrics WHERE agent = ?1), ?2) ORDER BY ts DESC, id DESC LIMIT 1"
    );
    let values = params![unit.key, unit.span.0.as_millis(), unit.span.1.as_millis()];
    connection.prepare_cached(&sql)?.execute(values).map_err(Failure::from)?;
    Ok(())
}
