//! Chunks of samples (`docs/formats/agent-chunk.md`): one column for each series, one value or none for each row.

use super::integers::{put_integers, read_integers};
use super::layout::{Columns, Heading, Kind, Layout, Slot, ended, length};
use super::missing::{MISSING, put_missing, read_missing};
use super::{Density, Scratch, Unfit};
use crate::checksum::Key;
use crate::varint::{Damage, Reader, put};
use crate::vector::{MAX_DECIMALS, Sample, integer, scaled, unscaled};
use nightbell_model::Timestamp;

/// Set in a column's head if some values are not like the others.
const ODD: u8 = 0x20;
/// The bits of a column's head that say how values are written.
const FORM: u8 = 0xc0;
const INTEGERS: u8 = 0x00;
const SCALED: u8 = 0x40;
const DOUBLES: u8 = 0x80;

/// The values of one series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column<'a> {
    /// The number of the series.
    pub(crate) id: u32,
    /// Its decimals, as the dictionary has them.
    pub(crate) decimals: u8,
    /// A value for each row; NaN where there is none.
    pub(crate) values: &'a [f64],
}

/// Packs rows at `times`, which ascend, with `columns`, which ascend by number, into `out`, which is emptied first. `key` is of the
/// row that the chunk will stand in. A column without any value is left out.
///
/// # Errors
/// If a chunk cannot hold this.
pub(crate) fn pack(
    out: &mut Vec<u8>,
    key: Key,
    times: &[Timestamp],
    columns: &[Column<'_>],
    density: Density,
) -> Result<(), Unfit> {
    let (mut packed, mut scratch) = (Columns::default(), Scratch::default());
    for column in columns {
        if column.values.len() != times.len() {
            return Err(Unfit::Length(column.id));
        }
        if column.values.iter().any(|value| !value.is_nan()) {
            packed.add(column.id, column.decimals, |bytes| put_column(bytes, column, density, &mut scratch))?;
        }
    }
    packed.finish(out, Kind::Samples, &Heading { times, counts: &[] }, density, key)
}

/// Appends a column; the flags of its head.
fn put_column(out: &mut Vec<u8>, column: &Column<'_>, density: Density, scratch: &mut Scratch) -> u8 {
    let mut flags = INTEGERS;
    if column.values.iter().any(|value| value.is_nan()) {
        flags |= MISSING;
        put_missing(out, column.values.len(), |row| !column.values[row].is_nan());
    }
    scratch.integers.clear();
    scratch.odd.clear();
    for (at, value) in (0..).zip(column.values.iter().filter(|value| !value.is_nan())) {
        match scaled(*value, column.decimals) {
            Some(integer) => scratch.integers.push(integer),
            None => scratch.odd.push((at, *value)),
        }
    }
    if !scratch.odd.is_empty() {
        flags |= ODD;
        put_odd(out, &scratch.odd);
    }
    put_integers(out, &scratch.integers, density);
    flags
}

fn put_odd(out: &mut Vec<u8>, odd: &[(u32, f64)]) {
    put(out, odd.len() as u64);
    let mut next = 0;
    for (at, value) in odd {
        put(out, u64::from(at - next));
        out.extend_from_slice(&value.to_le_bytes());
        next = at + 1;
    }
}

/// A chunk of samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk<'a>(Layout<'a>);

impl<'a> Chunk<'a> {
    /// Verifies `bytes`, which stand in a row with `key`; its columns are looked at when they are read.
    ///
    /// # Errors
    /// If the checksum is wrong, or this is no chunk of samples.
    pub(crate) fn open(bytes: &'a [u8], key: Key) -> Result<Self, Damage> {
        Layout::open(bytes, Kind::Samples, key).map(Self)
    }

    /// How many rows there are: at least one.
    #[must_use]
    pub(crate) const fn rows(&self) -> usize {
        self.0.rows
    }

    /// Reads the times of all rows into `out`, which is emptied first.
    ///
    /// # Errors
    /// If they are damaged.
    pub(crate) fn times(&self, scratch: &mut Scratch, out: &mut Vec<Timestamp>) -> Result<(), Damage> {
        self.0.times(&mut scratch.integers, out)
    }

    /// The columns, ascending by the numbers of their series.
    pub(crate) fn columns(&self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        self.0.columns().map(Part)
    }

    /// The column of a series, if it has any value here.
    #[must_use]
    pub(crate) fn column(&self, id: u32) -> Option<Part<'a>> {
        self.columns().find(|part| part.id() >= id).filter(|part| part.id() == id)
    }
}

/// One column of a chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a>(Slot<'a>);

impl Part<'_> {
    /// The number of its series.
    #[must_use]
    pub(crate) const fn id(&self) -> u32 {
        self.0.id
    }

    /// The decimals that it was packed for.
    #[must_use]
    pub(crate) const fn decimals(&self) -> u8 {
        self.0.decimals
    }

    /// Reads a value for each row into `out`, which is emptied first; NaN where there is none. `decimals` are those of the
    /// dictionary.
    ///
    /// # Errors
    /// If the column is damaged, or was packed for other decimals.
    pub(crate) fn values(&self, decimals: u8, scratch: &mut Scratch, out: &mut Vec<f64>) -> Result<(), Damage> {
        out.clear();
        out.resize(self.0.rows, f64::NAN);
        self.samples(decimals, scratch, |row, sample| out[row] = sample.value(decimals))
    }

    /// Calls `visit` with each sample and its row, in order. `decimals` are those of the dictionary.
    ///
    /// # Errors
    /// If the column is damaged, or was packed for other decimals; nothing was visited then.
    pub(crate) fn samples(
        &self,
        decimals: u8,
        scratch: &mut Scratch,
        mut visit: impl FnMut(usize, Sample),
    ) -> Result<(), Damage> {
        let mut reader = self.0.reader(decimals)?;
        let rows = self.0.rows;
        let Scratch { integers, present, odd, .. } = scratch;
        let some_missing = self.0.flags & MISSING != 0;
        if some_missing {
            read_missing(&mut reader, rows, present)?;
        }
        let count = if some_missing { present.len() } else { rows };
        odd.clear();
        if self.0.flags & ODD != 0 {
            read_odd(&mut reader, count, odd)?;
        }
        integers.clear();
        if odd.len() < count {
            read_integers(&mut reader, count - odd.len(), integers)?;
        }
        ended(&reader)?;
        let (mut odd, mut integers) = (odd.iter().peekable(), integers.iter());
        for at in 0..count {
            let row = if some_missing { present.get(at).copied().unwrap_or(0) as usize } else { at };
            let sample = match odd.next_if(|(place, _)| *place as usize == at) {
                Some((_, value)) => Sample::Exact(*value),
                None => Sample::Scaled(integers.next().copied().unwrap_or(0)),
            };
            visit(row, sample);
        }
        Ok(())
    }
}

fn read_odd(reader: &mut Reader<'_>, count: usize, out: &mut Vec<(u32, f64)>) -> Result<(), Damage> {
    let impossible = Damage("a value stands where there is none");
    let odd = length(reader)?;
    if odd > count {
        return Err(impossible);
    }
    let mut next = 0_usize;
    for _ in 0..odd {
        let at = next.checked_add(length(reader)?).filter(|at| *at < count).ok_or(impossible)?;
        out.push((u32::try_from(at).map_err(|_large| impossible)?, reader.double()?));
        next = at + 1;
    }
    Ok(())
}
