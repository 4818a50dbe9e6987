//! Chunks of buckets (`docs/formats/agent-rollup-chunk.md`, version 2, and reading version 1): one column for each series, one bucket
//! or none for each row.

use super::bits::{BitReader, BitWriter, bits_of};
use super::directory::Slot;
use super::integers::{common_factor, read_integers};
use super::layout::{Columns, FIRST, Heading, Kind, Layout, ended, length};
use super::missing::{MISSING, put_missing, read_missing};
use super::numbers::{put_numbers, read_numbers};
use super::{Density, Scratch, Unfit};
use crate::checksum::Key;
use crate::rollup::{Bucket, Plain, put_exact, read_exact};
use crate::varint::{Damage, Reader, put};
use crate::vector::integer;
use nightbell_model::Timestamp;

/// Set in a column's head if some buckets are written as they are.
const EXACT: u8 = 0x20;
/// Set in a column's head if its counts are not those of most series.
const COUNTS: u8 = 0x40;
/// Set in a column's head if within each of its buckets all samples are the same.
const STEADY: u8 = 0x80;

/// The buckets of one series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BucketColumn<'a> {
    /// The number of the series.
    pub(crate) id: u32,
    /// Its decimals, as the dictionary has them.
    pub(crate) decimals: u8,
    /// A bucket for each row; an empty one where there is none.
    pub(crate) buckets: &'a [Bucket],
}

/// Packs rows of buckets that start at `times`, which ascend, with `columns`, which ascend by number, into `out`, which is emptied
/// first. `key` is of the row that the chunk will stand in. A column of empty buckets is left out.
///
/// # Errors
/// If a chunk cannot hold this.
pub(crate) fn pack_buckets(
    out: &mut Vec<u8>,
    key: Key,
    times: &[Timestamp],
    columns: &[BucketColumn<'_>],
    density: Density,
) -> Result<(), Unfit> {
    let mut packed = Columns::default();
    if let Some(wrong) = columns.iter().find(|column| column.buckets.len() != times.len()) {
        return Err(Unfit::Length(wrong.id));
    }
    let counts: Vec<i64> = (0..times.len()).map(|row| common_count(columns, row)).collect();
    for column in columns.iter().filter(|column| column.buckets.iter().any(|bucket| bucket.count > 0)) {
        packed.add(column.id, column.decimals, |bytes| put_column(bytes, column, &counts, density))?;
    }
    packed.finish(out, key, &Heading { kind: Kind::Buckets, times, counts: &counts }, density)
}

/// The count that most buckets of a row have, the larger of two that are equally common.
fn common_count(columns: &[BucketColumn<'_>], row: usize) -> i64 {
    let count = |column: &BucketColumn<'_>| column.buckets.get(row).map(|bucket| bucket.count).filter(|count| *count > 0);
    let mut counts: Vec<u64> = columns.iter().filter_map(count).collect();
    counts.sort_unstable();
    let common = counts.chunk_by(|a, b| a == b).max_by_key(|run| run.len()).and_then(|run| run.first());
    common.map_or(0, |count| count.cast_signed())
}

/// A bucket in integers whose parts fit the widths that follow from its spread.
fn narrow(bucket: &Bucket, decimals: u8) -> Option<Plain> {
    let plain = Plain::of(bucket, decimals)?;
    let most = bucket.count.checked_mul(plain.spread).filter(|most| *most < u64::MAX)?;
    let fits = plain.last <= plain.spread && plain.surplus <= u128::from(most);
    fits.then_some(plain)
}

/// Appends a column; the flags of its head.
fn put_column(out: &mut Vec<u8>, column: &BucketColumn<'_>, common: &[i64], density: Density) -> u8 {
    let mut flags = 0;
    if column.buckets.iter().any(|bucket| bucket.count == 0) {
        flags |= MISSING;
        put_missing(out, column.buckets.len(), |row| column.buckets[row].count > 0);
    }
    let present = || column.buckets.iter().zip(common).filter(|(bucket, _)| bucket.count > 0);
    if present().any(|(bucket, common)| bucket.count.cast_signed() != *common) {
        flags |= COUNTS;
        put_numbers(out, &present().map(|(bucket, _)| bucket.count.cast_signed()).collect::<Vec<_>>(), density);
    }
    let (mut plain, mut exact) = (Vec::new(), Vec::new());
    for (at, (bucket, _)) in present().enumerate() {
        match narrow(bucket, column.decimals) {
            Some(integers) => plain.push((bucket.count, integers)),
            None => exact.push((at, *bucket)),
        }
    }
    if !exact.is_empty() {
        flags |= EXACT;
        put_exacts(out, &exact);
    }
    put_numbers(out, &plain.iter().map(|(_, plain)| plain.min).collect::<Vec<_>>(), density);
    if plain.iter().all(|(_, plain)| plain.spread == 0) {
        return flags | STEADY;
    }
    put_spreads(out, &plain, density);
    flags
}

fn put_exacts(out: &mut Vec<u8>, exact: &[(usize, Bucket)]) {
    put(out, exact.len() as u64);
    let mut next = 0;
    for (at, bucket) in exact {
        put(out, (at - next) as u64);
        put_exact(out, bucket);
        next = at + 1;
    }
}

/// Appends what there is beside the smallest samples.
fn put_spreads(out: &mut Vec<u8>, plain: &[(u64, Plain)], density: Density) {
    let factor = plain.iter().fold(0, |factor, (_, plain)| {
        let low = u64::try_from(plain.surplus).unwrap_or(1);
        common_factor(common_factor(common_factor(factor, plain.spread), plain.last), low)
    });
    let factor = factor.max(1);
    let parts: Vec<(u64, u64, u64, u64)> = plain
        .iter()
        .map(|(count, plain)| {
            let surplus = u64::try_from(plain.surplus).unwrap_or(0) / factor;
            (*count, plain.spread / factor, plain.last / factor, surplus)
        })
        .collect();
    let marked = is_worth_marking(&parts);
    put(out, ((factor - 1) << 1) | u64::from(marked));
    put_numbers(out, &parts.iter().map(|part| part.1.cast_signed()).collect::<Vec<_>>(), density);
    let mut bits = BitWriter::new(out);
    for (count, spread, last, surplus) in parts.into_iter().filter(|part| part.1 > 0) {
        match (marked, last) {
            (false, _) => bits.choose(last, spread + 1),
            (true, 0) => bits.put(1, 0),
            (true, _) => {
                bits.put(1, 1);
                bits.choose(last - 1, spread);
            }
        }
        bits.choose(surplus, spread * count + 1);
    }
    bits.finish();
}

/// Whether so many of some buckets end at their smallest sample that a bit for each pays.
fn is_worth_marking(parts: &[(u64, u64, u64, u64)]) -> bool {
    let varied = parts.iter().filter(|part| part.1 > 0);
    let (all, saved) = varied
        .fold((0, 0), |(all, saved), (_, spread, last, _)| (all + 1, saved + if *last == 0 { bits_of(*spread) } else { 0 }));
    saved > all
}

/// A chunk of buckets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BucketChunk<'a>(Layout<'a>);

impl<'a> BucketChunk<'a> {
    /// Verifies `bytes`, which stand in a row with `key`; its columns are looked at when they are read.
    ///
    /// # Errors
    /// If the checksum is wrong, or this is no chunk of buckets.
    pub(crate) fn open(bytes: &'a [u8], key: Key) -> Result<Self, Damage> {
        Layout::open(bytes, Kind::Buckets, key).map(Self)
    }

    /// Reads when the buckets of all rows start into `out`, which is emptied first.
    ///
    /// # Errors
    /// If the times are damaged.
    pub(crate) fn times(&self, scratch: &mut Scratch, out: &mut Vec<Timestamp>) -> Result<(), Damage> {
        self.0.times(&mut scratch.integers, out)
    }

    /// The columns, ascending by the numbers of their series.
    pub(crate) fn columns(&self) -> impl Iterator<Item = BucketPart<'a>> + use<'a> {
        let layout = self.0;
        layout.columns().map(move |slot| BucketPart { layout, slot })
    }
}

/// One column of a chunk of buckets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BucketPart<'a> {
    layout: Layout<'a>,
    slot: Slot<'a>,
}

impl BucketPart<'_> {
    /// The number of its series.
    #[must_use]
    pub(crate) const fn id(&self) -> u32 {
        self.slot.id
    }

    /// The decimals that it was packed for.
    #[must_use]
    pub(crate) const fn decimals(&self) -> u8 {
        self.slot.decimals
    }

    /// Reads a bucket for each row into `out`, which is emptied first; an empty one where there is none. `decimals` are those of
    /// the dictionary.
    ///
    /// # Errors
    /// If the column is damaged, or was packed for other decimals.
    pub(crate) fn buckets(&self, decimals: u8, scratch: &mut Scratch, out: &mut Vec<Bucket>) -> Result<(), Damage> {
        out.clear();
        out.resize(self.slot.rows, Bucket::default());
        let mut reader = self.slot.reader(decimals)?;
        self.read_present(&mut reader, scratch)?;
        let present = std::mem::take(&mut scratch.present);
        let read = self.read_values(&mut reader, decimals, scratch, |at, bucket| {
            if let Some(to) = present.get(at).and_then(|row| out.get_mut(*row as usize)) {
                *to = bucket;
            }
        });
        scratch.present = present;
        read
    }

    /// Reads which rows have a bucket, and their counts.
    fn read_present(&self, reader: &mut Reader<'_>, scratch: &mut Scratch) -> Result<(), Damage> {
        let Scratch { present, counts, .. } = scratch;
        if self.slot.flags & MISSING == 0 {
            present.clear();
            present.extend((0..).take(self.slot.rows));
        } else {
            read_missing(reader, self.slot.rows, present)?;
        }
        if self.slot.flags & COUNTS != 0 {
            self.read_numbers(reader, present.len(), counts)?;
        } else {
            self.layout.counts(counts)?;
            for (at, row) in present.iter().enumerate() {
                counts[at] = counts[*row as usize];
            }
            counts.truncate(present.len());
        }
        if counts.contains(&0) { Err(Damage("a bucket without samples has values")) } else { Ok(()) }
    }

    /// Reads all that are there and gives each to `put`, with its place among them.
    fn read_values(
        &self,
        reader: &mut Reader<'_>,
        decimals: u8,
        scratch: &mut Scratch,
        mut put: impl FnMut(usize, Bucket),
    ) -> Result<(), Damage> {
        let Scratch { integers: mins, counts, more: spreads, .. } = scratch;
        let mut plain: Vec<usize> = (0..counts.len()).collect();
        if self.slot.flags & EXACT != 0 {
            read_exacts(reader, counts, &mut plain, &mut put)?;
        }
        if plain.is_empty() {
            return ended(reader);
        }
        self.read_numbers(reader, plain.len(), mins)?;
        let (mut factor, mut marked) = (1, false);
        if self.slot.flags & STEADY != 0 {
            spreads.clear();
            spreads.resize(plain.len(), 0);
        } else if self.layout.version == FIRST {
            read_integers(reader, plain.len(), spreads)?;
            factor = reader.varint()?;
        } else {
            let head = reader.varint()?;
            (factor, marked) = ((head >> 1) + 1, head & 1 == 1);
            read_numbers(reader, plain.len(), spreads)?;
        }
        let mut bits = BitReader::new(reader.rest());
        for (at, (min, spread)) in plain.iter().zip(mins.iter().zip(spreads)) {
            let count = counts.get(*at).map_or(0, |count| count.cast_unsigned());
            let known = (*min, spread.cast_unsigned(), count);
            integer(min.unsigned_abs())?;
            let plain = match self.layout.version {
                FIRST => take_first(&mut bits, known, factor)?,
                _ => take_plain(&mut bits, known, factor, marked)?,
            };
            put(*at, plain.bucket(count, decimals)?);
        }
        bits.finish()
    }

    /// Reads some integers, as the version has them.
    fn read_numbers(&self, reader: &mut Reader<'_>, count: usize, out: &mut Vec<i64>) -> Result<(), Damage> {
        if self.layout.version == FIRST { read_integers(reader, count, out) } else { read_numbers(reader, count, out) }
    }
}

const TOO_LARGE: Damage = Damage("a value is too large");

/// The next bucket of `count` samples, of which the smallest and the spread in units of `factor` are known.
#[inline]
fn take_plain(
    bits: &mut BitReader<'_>,
    (min, units, count): (i64, u64, u64),
    factor: u64,
    marked: bool,
) -> Result<Plain, Damage> {
    if units == 0 {
        return Ok(Plain { min, spread: 0, last: 0, surplus: 0 });
    }
    let (spread, widest) = (units.checked_mul(factor).ok_or(TOO_LARGE)?, units.checked_mul(count).ok_or(TOO_LARGE)?);
    let last = if !marked {
        bits.chosen(units.checked_add(1).ok_or(TOO_LARGE)?)?
    } else if bits.take(1)? == 0 {
        0
    } else {
        bits.chosen(units)? + 1
    };
    let surplus = bits.chosen(widest.checked_add(1).ok_or(TOO_LARGE)?)?;
    Ok(Plain { min, spread, last: last * factor, surplus: u128::from(surplus) * u128::from(factor) })
}

/// The same as version 1 has it, the spread as it is.
fn take_first(bits: &mut BitReader<'_>, (min, spread, count): (i64, u64, u64), factor: u64) -> Result<Plain, Damage> {
    let units = spread.checked_div(factor).ok_or(Damage("a factor is 0"))?;
    let widest = units.checked_mul(count).ok_or(TOO_LARGE)?;
    let last = bits.take(bits_of(units))?.checked_mul(factor).ok_or(TOO_LARGE)?;
    let surplus = u128::from(bits.take(bits_of(widest))?) * u128::from(factor);
    Ok(Plain { min, spread, last, surplus })
}

fn read_exacts(
    reader: &mut Reader<'_>,
    counts: &[i64],
    plain: &mut Vec<usize>,
    put: &mut impl FnMut(usize, Bucket),
) -> Result<(), Damage> {
    let impossible = Damage("a bucket stands where there is none");
    let mut next = 0_usize;
    plain.clear();
    for _ in 0..length(reader)? {
        let at = next.checked_add(length(reader)?).ok_or(impossible)?;
        let count = counts.get(at).ok_or(impossible)?.cast_unsigned();
        plain.extend(next..at);
        put(at, read_exact(reader, count)?);
        next = at + 1;
    }
    plain.extend(next..counts.len());
    Ok(())
}
