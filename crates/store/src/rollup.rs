//! Buckets: what is kept of many samples of one series so that no peak is averaged away, and how a row of buckets is packed
//! (`docs/formats/rollup-row.md`, version 2, and reading version 1). Which buckets are made when is left to the engine.

use crate::checksum::Key;
use crate::varint::{Damage, Reader, put, put_wide, unzigzag, zigzag};
use crate::vector::{Sample, checked, integer, power, scaled, unscaled, walk_runs};

/// The version that is written: with a checksum at the end.
const VERSION: u8 = 2;
const EMPTY: u64 = 0;
const EXACT: u64 = 1;
const OWN_COUNT: u64 = 2;
const NEGATIVE: u64 = 3;
const POSITIVE: u64 = 4;

/// The samples of one series over one stretch of time. Merging is associative (up to the rounding of `rest`) and goes in the
/// order of time, since the last sample is the later bucket's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    /// How many samples; 0 is an empty bucket, whose other fields mean nothing.
    pub(crate) count: u64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
    /// The last.
    pub(crate) last: f64,
    /// The exact sum of those samples that are integers x 10^-decimals, in units of 10^-decimals.
    pub(crate) sum: i128,
    /// The sum of all other samples, added in the order of time.
    pub(crate) rest: f64,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { count: 0, min: 0.0, max: 0.0, last: 0.0, sum: 0, rest: 0.0 }
    }
}

impl Bucket {
    /// The bucket of one sample.
    #[must_use]
    #[inline]
    pub(crate) fn of(sample: Sample, decimals: u8) -> Self {
        let value = sample.value(decimals);
        let (sum, rest) = match sample {
            Sample::Scaled(integer) => (i128::from(integer), 0.0),
            Sample::Exact(value) => (0, value),
        };
        Self { count: 1, min: value, max: value, last: value, sum, rest }
    }

    /// Adds the next sample in time.
    #[inline]
    pub(crate) fn add(&mut self, sample: Sample, decimals: u8) {
        self.merge(&Self::of(sample, decimals));
    }

    /// Adds the bucket that follows in time.
    #[inline]
    pub(crate) fn merge(&mut self, later: &Self) {
        if later.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *later;
            return;
        }
        self.count = self.count.saturating_add(later.count);
        if later.min.total_cmp(&self.min).is_lt() {
            self.min = later.min;
        }
        if later.max.total_cmp(&self.max).is_gt() {
            self.max = later.max;
        }
        self.last = later.last;
        self.sum = self.sum.saturating_add(later.sum);
        self.rest += later.rest;
    }

    /// The mean, never outside of smallest and largest; NaN for an empty bucket.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean is rounded once; sums of real metrics are below 2^53")]
    pub(crate) fn mean(&self, decimals: u8) -> f64 {
        if self.count == 0 {
            return f64::NAN;
        }
        let count = self.count as f64;
        let mean = self.sum as f64 / power(decimals) / count + self.rest / count;
        if mean < self.min {
            self.min
        } else if mean > self.max {
            self.max
        } else {
            mean
        }
    }
}

/// Packs the buckets of an agent's series, indexed by series number, into `out`, which is emptied first. `key` is of the row's
/// other columns.
pub(crate) fn pack(out: &mut Vec<u8>, key: Key, buckets: &[Bucket], decimals: &[u8]) {
    out.clear();
    out.push(VERSION);
    let common = most_common_count(buckets);
    put(out, common);
    let numbered: Vec<(usize, &Bucket)> = buckets.iter().enumerate().filter(|(_, bucket)| bucket.count > 0).collect();
    let mut next = 0;
    for run in numbered.chunk_by(|a, b| a.0 + 1 == b.0) {
        let Some((first, _)) = run.first() else { continue };
        put(out, (first - next) as u64);
        put(out, run.len() as u64);
        for (at, bucket) in run {
            put_bucket(out, bucket, decimals.get(*at).copied().unwrap_or(0), common);
            next = at + 1;
        }
    }
    key.seal(out);
}

/// The count that most of the buckets have, the larger of two that are equally common.
fn most_common_count(buckets: &[Bucket]) -> u64 {
    let mut counts: Vec<u64> = buckets.iter().map(|bucket| bucket.count).filter(|count| *count > 0).collect();
    counts.sort_unstable();
    counts.chunk_by(|a, b| a == b).max_by_key(|run| run.len()).and_then(|run| run.first().copied()).unwrap_or(0)
}

/// A bucket in integers, if all of it can be said in them without loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plain {
    /// The smallest sample.
    pub(crate) min: i64,
    /// How far the largest is above it.
    pub(crate) spread: u64,
    /// How far the last is above it.
    pub(crate) last: u64,
    /// How far the sum is above that of as many smallest samples.
    pub(crate) surplus: u128,
}

impl Plain {
    /// `bucket` in integers; `None` if that would lose anything.
    #[must_use]
    pub(crate) fn of(bucket: &Bucket, decimals: u8) -> Option<Self> {
        if bucket.rest.to_bits() != 0 {
            return None;
        }
        let (min, max) = (scaled(bucket.min, decimals)?, scaled(bucket.max, decimals)?);
        let last = scaled(bucket.last, decimals)?;
        let surplus = bucket.sum - i128::from(min) * i128::from(bucket.count);
        Some(Self {
            min,
            spread: u64::try_from(max - min).ok()?,
            last: u64::try_from(last - min).ok()?,
            surplus: u128::try_from(surplus).ok()?,
        })
    }

    /// The bucket of `count` samples that this stands for.
    ///
    /// # Errors
    /// If there is none, because a number is too large.
    pub(crate) fn bucket(self, count: u64, decimals: u8) -> Result<Bucket, Damage> {
        let too_large = Damage("a value is too large");
        let above = |offset: u64| i64::try_from(offset).ok().and_then(|offset| self.min.checked_add(offset)).ok_or(too_large);
        let base = i128::from(self.min) * i128::from(count);
        let sum = i128::try_from(self.surplus).ok().and_then(|surplus| base.checked_add(surplus)).ok_or(too_large)?;
        let min = unscaled(self.min, decimals);
        let (max, last) = (unscaled(above(self.spread)?, decimals), unscaled(above(self.last)?, decimals));
        Ok(Bucket { count, min, max, last, sum, rest: 0.0 })
    }
}

/// Appends all of a bucket but its count, as it is.
pub(crate) fn put_exact(out: &mut Vec<u8>, bucket: &Bucket) {
    for value in [bucket.min, bucket.max, bucket.last] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    put_wide(out, zigzag(bucket.sum));
    out.extend_from_slice(&bucket.rest.to_le_bytes());
}

fn put_bucket(out: &mut Vec<u8>, bucket: &Bucket, decimals: u8, common: u64) {
    let Some(plain) = Plain::of(bucket, decimals) else {
        put(out, EXACT);
        put(out, bucket.count);
        return put_exact(out, bucket);
    };
    if bucket.count != common {
        put(out, OWN_COUNT);
        put(out, bucket.count);
    }
    let constant = plain.spread == 0 && plain.surplus == 0;
    if plain.min >= 0 {
        put(out, POSITIVE + ((plain.min.unsigned_abs() << 1) | u64::from(constant)));
    } else {
        put(out, NEGATIVE);
        put(out, ((plain.min.unsigned_abs() - 1) << 1) | u64::from(constant));
    }
    if !constant {
        put(out, plain.spread);
        put(out, plain.last);
        put_wide(out, plain.surplus);
    }
}

/// Calls `visit` with each bucket of a packed row that is not empty, ascending by series number, up to the series `last`.
/// `decimals` are those of the dictionary, by series number; `key` is of the row's other columns.
///
/// # Errors
/// If the bytes are damaged or name a series that the dictionary does not have.
pub(crate) fn walk(
    bytes: &[u8],
    key: Key,
    last: u32,
    decimals: &[u8],
    mut visit: impl FnMut(u32, &Bucket),
) -> Result<(), Damage> {
    let mut reader = checked(bytes, key)?;
    let common = reader.varint()?;
    walk_runs(&mut reader, last, |id, reader| {
        let decimals = *decimals.get(id as usize).ok_or(Damage("a series is not in the dictionary"))?;
        if let Some(bucket) = read_bucket(reader, decimals, common)? {
            visit(id, &bucket);
        }
        Ok(())
    })
}

#[inline]
fn read_bucket(reader: &mut Reader<'_>, decimals: u8, common: u64) -> Result<Option<Bucket>, Damage> {
    let (mut head, mut count) = (reader.varint()?, common);
    if head == EMPTY {
        return Ok(None);
    }
    if head == EXACT {
        count = reader.varint()?;
        return read_exact(reader, count).map(Some);
    }
    if head == OWN_COUNT {
        (count, head) = (reader.varint()?, reader.varint()?);
        if head < NEGATIVE {
            return Err(Damage("a bucket has a count of its own and no values"));
        }
    }
    if count == 0 {
        return Err(Damage("a bucket without samples has values"));
    }
    let (lowest, constant) = if head == NEGATIVE {
        let bits = reader.varint()?;
        (-1 - integer(bits >> 1)?, bits & 1 == 1)
    } else {
        let bits = head - POSITIVE;
        (integer(bits >> 1)?, bits & 1 == 1)
    };
    let (spread, last, surplus) = if constant { (0, 0, 0) } else { (reader.varint()?, reader.varint()?, reader.wide()?) };
    Plain { min: lowest, spread, last, surplus }.bucket(count, decimals).map(Some)
}

/// The bucket of `count` samples that [`put_exact`] wrote.
///
/// # Errors
/// If the bytes are damaged.
pub(crate) fn read_exact(reader: &mut Reader<'_>, count: u64) -> Result<Bucket, Damage> {
    let (min, max, last) = (reader.double()?, reader.double()?, reader.double()?);
    let sum = unzigzag(reader.wide()?);
    Ok(Bucket { count, min, max, last, sum, rest: reader.double()? })
}

#[cfg(test)]
mod tests;
