//! Sequences of 64-bit integers in few bytes (`docs/formats/agent-chunk.md`, `integers`): the smallest of what fits. What the
//! integers stand for is left to the columns.

use super::Density;
use super::bits::{blocks_size, put_blocks, read_blocks};
use crate::varint::{Damage, Reader, put};

const SAME: u8 = 0;
const OFFSETS: u8 = 1;
const STEPS: u8 = 2;
/// Set in the shape if a factor follows.
const FACTOR: u8 = 8;

/// A signed number as an unsigned one, small where the number is near zero.
#[inline]
pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
#[inline]
pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// The greatest common factor of how far `integers` are above `min`; 0 if all are the same.
fn common_factor(integers: &[i64], min: i64) -> u64 {
    let mut factor = 0;
    for integer in integers {
        let (mut a, mut b) = (integer.wrapping_sub(min).cast_unsigned(), factor);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        factor = a;
        if factor == 1 {
            break;
        }
    }
    factor
}

/// The middle one of the steps from integer to integer.
fn usual_step(integers: &[i64], factor: i64, steps: &mut Vec<i64>) -> i64 {
    steps.clear();
    steps.extend(integers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]).wrapping_div(factor)));
    let middle = steps.len() / 2;
    if steps.is_empty() { 0 } else { *steps.clone().select_nth_unstable(middle).1 }
}

/// Appends `integers` in the smallest form.
pub(super) fn put_integers(out: &mut Vec<u8>, integers: &[i64], _density: Density) {
    let (Some(min), Some(max)) = (integers.iter().copied().min(), integers.iter().copied().max()) else { return };
    let factor = common_factor(integers, min);
    if factor == 0 {
        out.push(SAME);
        return put(out, zigzag(min));
    }
    let offsets: Vec<u64> = integers.iter().map(|integer| integer.wrapping_sub(min).cast_unsigned() / factor).collect();
    let signed = i64::try_from(factor).unwrap_or(1);
    let mut steps = Vec::new();
    let step = usual_step(integers, signed, &mut steps);
    let steps: Vec<u64> = steps.iter().map(|one| zigzag(one.wrapping_sub(step))).collect();
    let by_steps = max.checked_sub(min).is_some() && blocks_size(&steps) + 1 < blocks_size(&offsets);
    let flag = if factor > 1 { FACTOR } else { 0 };
    out.push(flag | if by_steps { STEPS } else { OFFSETS });
    put(out, zigzag(if by_steps { integers.first().copied().unwrap_or(0) } else { min }));
    if factor > 1 {
        put(out, factor);
    }
    if by_steps {
        put(out, zigzag(step));
        put_blocks(out, &steps);
    } else {
        put_blocks(out, &offsets);
    }
}

/// Takes `count` integers, at least one, from `reader` into `out`, which is emptied first.
///
/// # Errors
/// If the bytes are damaged.
pub(super) fn read_integers(reader: &mut Reader<'_>, count: usize, out: &mut Vec<i64>) -> Result<(), Damage> {
    out.clear();
    let shape = reader.byte()?;
    let base = unzigzag(reader.varint()?);
    if shape == SAME {
        out.resize(count, base);
        return Ok(());
    }
    let factor = if shape & FACTOR == 0 { 1 } else { reader.varint()?.cast_signed() };
    out.reserve(count);
    match shape & !FACTOR {
        OFFSETS => read_blocks(reader, count, |block| {
            out.extend(block.iter().map(|number| base.wrapping_add(factor.wrapping_mul(number.cast_signed()))));
        }),
        STEPS => {
            let step = unzigzag(reader.varint()?);
            let mut last = base;
            out.push(base);
            read_blocks(reader, count.saturating_sub(1), |block| {
                out.extend(block.iter().map(|number| {
                    last = last.wrapping_add(factor.wrapping_mul(step.wrapping_add(unzigzag(*number))));
                    last
                }));
            })
        }
        _ => Err(Damage("its shape is not known")),
    }
}
