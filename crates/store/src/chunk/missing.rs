//! Which rows of a column have a value (`docs/formats/agent-chunk.md`, `missing`).

use super::layout::length;
use crate::varint::{Damage, Reader, put};

/// Set in a column's head if some rows have no value.
pub(super) const MISSING: u8 = 0x10;

/// Appends which of `rows` rows are present; `is_present` is asked in order. The smaller of runs and bits.
pub(super) fn put_missing(out: &mut Vec<u8>, rows: usize, is_present: impl Fn(usize) -> bool) {
    let mut runs: Vec<u64> = Vec::new();
    let (mut state, mut since) = (true, 0);
    for row in 0..rows {
        if is_present(row) != state {
            runs.push((row - since) as u64);
            (state, since) = (!state, row);
        }
    }
    let mut packed = Vec::new();
    put(&mut packed, runs.len() as u64);
    runs.iter().for_each(|run| put(&mut packed, *run));
    if packed.len() <= rows.div_ceil(8) {
        return out.extend_from_slice(&packed);
    }
    out.push(0);
    out.extend((0..rows).step_by(8).map(|first| {
        let bits = (first..rows.min(first + 8)).zip(0..8_u32);
        bits.fold(0_u8, |byte, (row, bit)| byte | (u8::from(is_present(row)) << bit))
    }));
}

/// Reads which of `rows` rows are present into `out`, which is emptied first.
///
/// # Errors
/// If the bytes are damaged.
pub(super) fn read_missing(reader: &mut Reader<'_>, rows: usize, out: &mut Vec<u32>) -> Result<(), Damage> {
    out.clear();
    let runs = reader.varint()?;
    if runs == 0 {
        return read_bits(reader, rows, out);
    }
    let (mut row, mut state) = (0_usize, true);
    for _ in 0..runs {
        let end = row.checked_add(length(reader)?).filter(|end| *end < rows).ok_or(Damage("a run of rows is too long"))?;
        if state {
            out.extend((row..end).map(number));
        }
        (row, state) = (end, !state);
    }
    if state {
        out.extend((row..rows).map(number));
    }
    Ok(())
}

fn read_bits(reader: &mut Reader<'_>, rows: usize, out: &mut Vec<u32>) -> Result<(), Damage> {
    let bytes = reader.slice(rows.div_ceil(8))?;
    for (byte, first) in bytes.iter().zip((0..).step_by(8)) {
        let mut bits = *byte;
        while bits != 0 {
            out.push(first + bits.trailing_zeros());
            bits &= bits - 1;
        }
    }
    if out.last().is_some_and(|last| *last as usize >= rows) { Err(Damage("a row is present that is not there")) } else { Ok(()) }
}

/// A row's number; there are at most [`super::MAX_ROWS`].
#[expect(clippy::cast_possible_truncation, reason = "rows are few")]
const fn number(row: usize) -> u32 {
    row as u32
}
