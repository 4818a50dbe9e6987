//! The values of a column of samples as integers (`docs/formats/agent-chunk.md`, `values`), whatever they are. Which rows they
//! belong to is left to `samples`.

use super::dense::{put_dense, read_dense};
use super::integers::{put_integers, read_integers};
use super::layout::length;
use super::{Density, Scratch};
use crate::varint::{Damage, Reader, put};
use crate::vector::{MAX_DECIMALS, scaled, unscaled};

/// Set in a column's head if some values are not like the others.
const ODD: u8 = 0x20;
/// The bits of a column's head that say how values are written.
const FORM: u8 = 0xc0;
const SCALED: u8 = 0x40;
const DOUBLES: u8 = 0x80;
const DENSE_DOUBLES: u8 = 0xc0;
/// So many values decide which scale is tried.
const LOOKED_AT: usize = 64;

/// What the integers of a column stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Value x 10^decimals of the series.
    Integers,
    /// Value x 10^scale.
    Scaled(u8),
    /// Bits of doubles.
    Doubles,
}

impl Form {
    /// The value that `integer` stands for in a series with `decimals`.
    #[inline]
    pub(super) fn value(self, integer: i64, decimals: u8) -> f64 {
        match self {
            Self::Integers => unscaled(integer, decimals),
            Self::Scaled(scale) => unscaled(integer, scale),
            Self::Doubles => from_ordered(integer),
        }
    }
}

/// The bits of a double as an integer that is the larger the larger the double is.
const fn ordered(value: f64) -> i64 {
    let bits = value.to_bits().cast_signed();
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

/// The inverse of [`ordered`].
const fn from_ordered(integer: i64) -> f64 {
    let bits = if integer < 0 { integer ^ i64::MAX } else { integer };
    f64::from_bits(bits.cast_unsigned())
}

/// Splits `values` into integers and those that are none, with their places.
fn split(values: &[f64], scale: u8, integers: &mut Vec<i64>, odd: &mut Vec<(u32, f64)>) {
    integers.clear();
    odd.clear();
    integers.reserve(values.len());
    for (at, value) in (0..).zip(values) {
        match scaled(*value, scale) {
            Some(integer) => integers.push(integer),
            None => odd.push((at, *value)),
        }
    }
}

/// Appends `values` of a series with `decimals`, which are not NaN, in the smallest form; the flags of the column's head.
pub(super) fn put_values(out: &mut Vec<u8>, values: &[f64], decimals: u8, density: Density, scratch: &mut Scratch) -> u8 {
    let Scratch { integers, odd, .. } = scratch;
    split(values, decimals, integers, odd);
    if odd.is_empty() {
        put_integers(out, integers, density);
        return 0;
    }
    let mut best = (ODD, with_odd(Vec::new(), integers, odd, density));
    let mut offer = |flags: u8, bytes: Vec<u8>| {
        if bytes.len() < best.1.len() {
            best = (flags, bytes);
        }
    };
    let scale = best_scale(values);
    if scale != decimals {
        split(values, scale, integers, odd);
        let flags = if odd.is_empty() { SCALED } else { SCALED | ODD };
        offer(flags, with_odd(vec![scale], integers, odd, density));
    }
    let bits: Vec<i64> = values.iter().copied().map(ordered).collect();
    let mut bytes = Vec::new();
    put_integers(&mut bytes, &bits, Density::Young);
    offer(DOUBLES, bytes);
    let mut bytes = Vec::new();
    if density == Density::Dense && put_dense(&mut bytes, values) {
        offer(DENSE_DOUBLES, bytes);
    }
    out.extend_from_slice(&best.1);
    best.0
}

/// The scale at which most of some values are integers, the lowest of these.
fn best_scale(values: &[f64]) -> u8 {
    let stride = (values.len() / LOOKED_AT).max(1);
    let fits = |scale: u8| values.iter().step_by(stride).filter(|value| scaled(**value, scale).is_some()).count();
    (0..=MAX_DECIMALS).rev().max_by_key(|scale| fits(*scale)).unwrap_or(0)
}

fn with_odd(mut out: Vec<u8>, integers: &[i64], odd: &[(u32, f64)], density: Density) -> Vec<u8> {
    if !odd.is_empty() {
        put(&mut out, odd.len() as u64);
    }
    let mut next = 0;
    for (at, value) in odd {
        put(&mut out, u64::from(at - next));
        out.extend_from_slice(&value.to_le_bytes());
        next = at + 1;
    }
    put_integers(&mut out, integers, density);
    out
}

/// Reads `count` values of a column with these flags: their integers, and those that are odd with their places, into `scratch`.
///
/// # Errors
/// If the bytes are damaged.
pub(super) fn read_values(reader: &mut Reader<'_>, flags: u8, count: usize, scratch: &mut Scratch) -> Result<Form, Damage> {
    let Scratch { integers, odd, values, .. } = scratch;
    odd.clear();
    integers.clear();
    let form = match flags & FORM {
        SCALED => Form::Scaled(reader.byte()?),
        DOUBLES | DENSE_DOUBLES => Form::Doubles,
        _ => Form::Integers,
    };
    if flags & ODD != 0 {
        read_odd(reader, count, odd)?;
    }
    let regular = count - odd.len();
    if flags & FORM == DENSE_DOUBLES {
        values.clear();
        values.resize(regular, 0.0);
        read_dense(reader, values)?;
        integers.extend(values.iter().copied().map(ordered));
    } else if regular > 0 {
        read_integers(reader, regular, integers)?;
    }
    Ok(form)
}

fn read_odd(reader: &mut Reader<'_>, count: usize, out: &mut Vec<(u32, f64)>) -> Result<(), Damage> {
    let impossible = Damage("a value stands where there is none");
    let odd = length(reader)?;
    if odd == 0 || odd > count {
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
