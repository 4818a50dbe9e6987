//! Chunks of samples (`docs/formats/agent-chunk.md`): one column for each series, one value or none for each row.

use super::directory::Slot;
use super::layout::{Columns, Heading, Kind, Layout, ended};
use super::missing::{MISSING, put_missing, read_missing};
use super::values::{Form, put_values, read_values};
use super::{Density, Scratch, Unfit};
use crate::checksum::Key;
use crate::varint::Damage;
use crate::vector::power;
use nightbell_model::Timestamp;

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
    packed.finish(out, key, &Heading { kind: Kind::Samples, times, counts: &[] }, density)
}

/// Appends a column; the flags of its head.
fn put_column(out: &mut Vec<u8>, column: &Column<'_>, density: Density, scratch: &mut Scratch) -> u8 {
    if column.values.iter().all(|value| !value.is_nan()) {
        return put_values(out, column.values, column.decimals, density, scratch);
    }
    put_missing(out, column.values.len(), |row| !column.values[row].is_nan());
    let present: Vec<f64> = column.values.iter().copied().filter(|value| !value.is_nan()).collect();
    MISSING | put_values(out, &present, column.decimals, density, scratch)
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
        let form = self.read(decimals, scratch)?;
        if form == Form::Integers && scratch.odd.is_empty() && scratch.integers.len() == self.0.rows {
            put_unscaled(&scratch.integers, decimals, out);
            return Ok(());
        }
        out.resize(self.0.rows, f64::NAN);
        self.place(form, decimals, scratch, out);
        Ok(())
    }

    /// Reads integers, odd values, and, if some are missing, the rows of those that are there.
    fn read(&self, decimals: u8, scratch: &mut Scratch) -> Result<Form, Damage> {
        let mut reader = self.0.reader(decimals)?;
        let mut count = self.0.rows;
        if self.0.flags & MISSING != 0 {
            read_missing(&mut reader, count, &mut scratch.present)?;
            count = scratch.present.len();
        }
        let form = read_values(&mut reader, self.0.flags, count, scratch)?;
        ended(&reader)?;
        Ok(form)
    }

    /// Puts each value where its row is.
    fn place(&self, form: Form, decimals: u8, scratch: &Scratch, out: &mut [f64]) {
        let some_missing = self.0.flags & MISSING != 0;
        let mut present = scratch.present.iter();
        let (mut odd, mut integers) = (scratch.odd.iter().peekable(), scratch.integers.iter());
        for at in 0..scratch.odd.len() + scratch.integers.len() {
            let row = if some_missing { present.next().map_or(usize::MAX, |row| *row as usize) } else { at };
            let value = match odd.next_if(|(place, _)| *place as usize == at) {
                Some((_, value)) => *value,
                None => integers.next().map_or(f64::NAN, |integer| form.value(*integer, decimals)),
            };
            if let Some(slot) = out.get_mut(row) {
                *slot = value;
            }
        }
    }
}

/// Appends the values that all `integers` stand for.
#[expect(clippy::cast_precision_loss, reason = "scaled integers are below 2^53")]
fn put_unscaled(integers: &[i64], decimals: u8, out: &mut Vec<f64>) {
    if decimals == 0 {
        return out.extend(integers.iter().map(|integer| *integer as f64));
    }
    let power = power(decimals);
    out.extend(integers.iter().map(|integer| *integer as f64 / power));
}
