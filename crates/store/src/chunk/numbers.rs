//! Sequences of integers that need not begin with the smallest of them (`docs/formats/agent-rollup-chunk.md`, `numbers`): a few small
//! ones in a single width, without the words that longer sequences are worth.

use super::Density;
use super::bits::{BLOCK, MAX_WIDTH, bits_of, packed_size, put_packed, unpack};
use super::integers::{put_integers, read_integers};
use crate::varint::{Damage, Reader};

/// Set in the first byte if a width and nothing else stands in it; no shape has it.
const PLAIN: u8 = 0x80;
/// More numbers than this are never written in a single width.
const MOST: usize = BLOCK;

/// Appends `integers` in the smaller form.
pub(super) fn put_numbers(out: &mut Vec<u8>, integers: &[i64], density: Density) {
    let begin = out.len();
    put_integers(out, integers, density);
    let all = integers.iter().fold(0, |all, integer| all | integer);
    let width = bits_of(all.cast_unsigned());
    let size = 1 + packed_size(width, integers.len());
    if all >= 0 && integers.len() <= MOST && size < out.len() - begin {
        out.truncate(begin);
        out.push(PLAIN | u8::try_from(width).unwrap_or(0));
        put_packed(out, width, integers.iter().map(|integer| integer.cast_unsigned()));
    }
}

/// Takes `count` integers, at least one, from `reader` into `out`, which is emptied first.
///
/// # Errors
/// If the bytes are damaged.
pub(super) fn read_numbers(reader: &mut Reader<'_>, count: usize, out: &mut Vec<i64>) -> Result<(), Damage> {
    let Some(head) = reader.rest().first().filter(|head| **head & PLAIN != 0) else {
        return read_integers(reader, count, out);
    };
    let width = u32::from(head & !PLAIN);
    if width > MAX_WIDTH || count > MOST {
        return Err(Damage("its width is impossible"));
    }
    reader.byte()?;
    let mut block = [0; BLOCK];
    let numbers = &mut block[..count];
    unpack(reader, width, numbers)?;
    out.clear();
    out.extend(numbers.iter().map(|number| number.cast_signed()));
    Ok(())
}
