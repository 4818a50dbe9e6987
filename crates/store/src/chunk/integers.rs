//! Sequences of 64-bit integers in few bytes (`docs/formats/agent-chunk.md`, `integers`): the smallest of what fits. What the
//! integers stand for is left to the columns.

use super::Density;
use super::blocks::{Blocks, read_blocks};
use super::dense::{put_dense, read_dense};
use crate::varint::{Damage, Reader, put};

const SAME: u8 = 0;
const OFFSETS: u8 = 1;
const STEPS: u8 = 2;
const DENSE: u8 = 3;
/// Set in the shape if a factor follows.
const FACTOR: u8 = 8;
/// Fewer integers than this are not worth trying to pack densely.
const MIN_DENSE: usize = 64;
/// Of so many steps the usual one is taken.
const STEPS_LOOKED_AT: usize = 31;

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

/// The greatest common factor of two numbers; of 0 and another, the other.
pub(super) const fn common_factor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The greatest common factor of all `numbers`; 0 if all are 0.
fn factor_of(numbers: &[u64]) -> u64 {
    let mut factor = 0;
    for number in numbers {
        if factor == 1 {
            break;
        }
        factor = common_factor(*number, factor);
    }
    factor
}

/// Divides all `numbers` by a factor of theirs.
fn divide(numbers: &mut [u64], factor: u64) {
    if factor.is_power_of_two() {
        let shift = factor.trailing_zeros();
        numbers.iter_mut().for_each(|number| *number >>= shift);
    } else {
        numbers.iter_mut().for_each(|number| *number /= factor);
    }
}

/// The steps from number to number.
fn steps(numbers: &[u64]) -> impl ExactSizeIterator<Item = i64> {
    numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]).cast_signed())
}

/// The middle one of some steps.
fn usual_step(numbers: &[u64]) -> i64 {
    let stride = (numbers.len() / STEPS_LOOKED_AT).max(1);
    let mut some = [0; STEPS_LOOKED_AT];
    let mut count = 0;
    for (slot, step) in some.iter_mut().zip(steps(numbers).step_by(stride)) {
        *slot = step;
        count += 1;
    }
    let some = &mut some[..count];
    let middle = count / 2;
    if count == 0 { 0 } else { *some.select_nth_unstable(middle).1 }
}

/// Appends `integers` in the smallest form.
pub(super) fn put_integers(out: &mut Vec<u8>, integers: &[i64], density: Density) {
    let (Some(min), Some(max)) = (integers.iter().copied().min(), integers.iter().copied().max()) else { return };
    if min == max {
        out.push(SAME);
        return put(out, zigzag(min));
    }
    let begin = out.len();
    let mut numbers: Vec<u64> = integers.iter().map(|integer| integer.wrapping_sub(min).cast_unsigned()).collect();
    let factor = factor_of(&numbers);
    if factor > 1 {
        divide(&mut numbers, factor);
    }
    let usual = usual_step(&numbers);
    let steps: Vec<u64> = steps(&numbers).map(|step| zigzag(step.wrapping_sub(usual))).collect();
    let (by_offsets, by_steps) = (Blocks::of(&numbers), Blocks::of(&steps));
    let stepping = max.checked_sub(min).is_some() && by_steps.size + 1 < by_offsets.size;
    out.push(if stepping { STEPS } else { OFFSETS } | if factor > 1 { FACTOR } else { 0 });
    put(out, zigzag(if stepping { integers.first().copied().unwrap_or(0) } else { min }));
    if factor > 1 {
        put(out, factor);
    }
    if stepping {
        put(out, zigzag(usual));
        by_steps.put(out);
    } else {
        by_offsets.put(out);
    }
    if density == Density::Dense && integers.len() >= MIN_DENSE {
        put_dense_if_smaller(out, begin, min, factor, &numbers);
    }
}

/// Writes the integers again from `begin` on, if packing them densely is smaller.
fn put_dense_if_smaller(out: &mut Vec<u8>, begin: usize, min: i64, factor: u64, numbers: &[u64]) {
    let mut other = vec![DENSE | if factor > 1 { FACTOR } else { 0 }];
    put(&mut other, zigzag(min));
    if factor > 1 {
        put(&mut other, factor);
    }
    if put_dense(&mut other, numbers) && other.len() < out.len() - begin {
        out.truncate(begin);
        out.append(&mut other);
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
    let offset = |number: u64| base.wrapping_add(factor.wrapping_mul(number.cast_signed()));
    out.reserve(count);
    match shape & !FACTOR {
        OFFSETS => read_blocks(reader, count, |block| out.extend(block.iter().map(|number| offset(*number)))),
        STEPS => {
            let usual = unzigzag(reader.varint()?);
            let mut last = base;
            out.push(base);
            read_blocks(reader, count.saturating_sub(1), |block| {
                out.extend(block.iter().map(|number| {
                    last = last.wrapping_add(factor.wrapping_mul(usual.wrapping_add(unzigzag(*number))));
                    last
                }));
            })
        }
        DENSE => {
            let mut numbers = vec![0_u64; count];
            read_dense(reader, &mut numbers)?;
            out.extend(numbers.into_iter().map(offset));
            Ok(())
        }
        _ => Err(Damage("its shape is not known")),
    }
}
