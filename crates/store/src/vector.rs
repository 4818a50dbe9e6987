//! The packed vector of one heartbeat: `docs/formats/agent-metrics-row.md`, version 2, and reading version 1.
//!
//! Packing goes straight from a batch's values through a list of slots, made once for each schema, without allocating. Keeping the
//! dictionary that gives series their numbers is left to the engine.

use crate::checksum::Key;
use crate::varint::{Damage, Reader, put};

/// The version that is written: with a checksum at the end.
const VERSION: u8 = 2;
/// The first version, without one.
const UNCHECKED: u8 = 1;
const MISSING: u64 = 0;
const EXACT: u64 = 1;
const NEGATIVE: u64 = 2;
const POSITIVE: u64 = 3;

/// Decimals of series whose metric the catalogue does not know.
pub(crate) const CUSTOM_DECIMALS: u8 = 3;
/// More decimals than any metric has: larger numbers in a dictionary are damage.
pub(crate) const MAX_DECIMALS: u8 = 9;

/// Integers below this are exact as doubles.
const EXACT_BELOW: i64 = 1 << 53;

/// A stored value in the form it is summed in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sample {
    /// An integer that stands for value x 10^decimals.
    Scaled(i64),
    /// A double that is no such integer.
    Exact(f64),
}

impl Sample {
    /// The sample of `value`, which must not be NaN.
    #[must_use]
    pub(crate) fn of(value: f64, decimals: u8) -> Self {
        scaled(value, decimals).map_or(Self::Exact(value), Self::Scaled)
    }

    /// The value.
    #[must_use]
    #[inline]
    pub(crate) fn value(self, decimals: u8) -> f64 {
        match self {
            Self::Scaled(integer) => unscaled(integer, decimals),
            Self::Exact(value) => value,
        }
    }
}

/// 10^decimals.
#[must_use]
#[inline]
pub(crate) fn power(decimals: u8) -> f64 {
    const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
    POWERS[usize::from(decimals.min(MAX_DECIMALS))]
}

/// The integer that stands for `value` x 10^decimals, if reading it back gives the same bits.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and the way back is compared bit for bit")]
pub(crate) fn scaled(value: f64, decimals: u8) -> Option<i64> {
    let integer = (value * power(decimals) + 0.5_f64.copysign(value)) as i64;
    let fits = -EXACT_BELOW < integer && integer < EXACT_BELOW;
    (fits && unscaled(integer, decimals).to_bits() == value.to_bits()).then_some(integer)
}

/// The value that `integer` stands for.
#[must_use]
#[inline]
#[expect(clippy::cast_precision_loss, reason = "scaled integers are below 2^53")]
pub(crate) fn unscaled(integer: i64, decimals: u8) -> f64 {
    integer as f64 / power(decimals)
}

/// To how many decimals values of `metric` are kept as integers.
#[must_use]
pub(crate) fn decimals_of(metric: &str) -> u8 {
    nightbell_model::catalogue::find(metric).map_or(CUSTOM_DECIMALS, |row| row.decimals.min(MAX_DECIMALS))
}

/// Where one series of a schema stands in the agent's dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    /// The series' number in the dictionary.
    pub(crate) id: u32,
    /// Its position in the batch.
    pub(crate) position: u32,
    /// Its decimals.
    pub(crate) decimals: u8,
}

/// Packs `values` into `out`, which is emptied first. `slots` ascend by id; `key` is of the row's other columns.
pub(crate) fn pack(out: &mut Vec<u8>, key: Key, slots: &[Slot], values: &[f64]) {
    out.clear();
    out.push(VERSION);
    let mut next = 0;
    for run in slots.chunk_by(|a, b| a.id + 1 == b.id) {
        let Some(first) = run.first() else { continue };
        put(out, u64::from(first.id - next));
        put(out, run.len() as u64);
        for slot in run {
            put_value(out, values.get(slot.position as usize).copied().unwrap_or(f64::NAN), slot.decimals);
            next = slot.id + 1;
        }
    }
    key.seal(out);
}

#[inline]
fn put_value(out: &mut Vec<u8>, value: f64, decimals: u8) {
    if value.is_nan() {
        return put(out, MISSING);
    }
    match scaled(value, decimals) {
        Some(integer) if integer >= 0 => put(out, integer.unsigned_abs() + POSITIVE),
        Some(integer) => {
            put(out, NEGATIVE);
            put(out, integer.unsigned_abs() - 1);
        }
        None => {
            put(out, EXACT);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Calls `visit` with each value of a packed vector that is not missing, ascending by series number, up to the series `last`.
/// `key` is of the row's other columns.
///
/// # Errors
/// If the bytes are damaged; what was visited before is to be thrown away.
pub(crate) fn walk(
    bytes: &[u8],
    key: Key,
    last: u32,
    mut visit: impl FnMut(u32, Sample) -> Result<(), Damage>,
) -> Result<(), Damage> {
    let mut reader = checked(bytes, key)?;
    walk_runs(&mut reader, last, |id, reader| read_value(reader)?.map_or(Ok(()), |sample| visit(id, sample)))
}

/// What follows the version in a row's blob, after its checksum was verified.
pub(crate) fn checked(bytes: &[u8], key: Key) -> Result<Reader<'_>, Damage> {
    let bytes = match bytes.first() {
        Some(&UNCHECKED) => bytes,
        Some(&VERSION) => key.open(bytes)?,
        _ => return Err(Damage("its version is not known")),
    };
    Ok(Reader::new(bytes.get(1..).unwrap_or_default()))
}

/// Reads `skip length entry…` to the end of the bytes, or until the series `last` is passed.
pub(crate) fn walk_runs<'a>(
    reader: &mut Reader<'a>,
    last: u32,
    mut entry: impl FnMut(u32, &mut Reader<'a>) -> Result<(), Damage>,
) -> Result<(), Damage> {
    let mut id = 0_u32;
    while !reader.is_empty() {
        id = number(reader).and_then(|skip| id.checked_add(skip).ok_or(Damage("a series number is too large")))?;
        let length = number(reader)?;
        if length == 0 {
            return Err(Damage("a run is empty"));
        }
        for _ in 0..length {
            if id > last {
                return Ok(());
            }
            entry(id, reader)?;
            id = id.checked_add(1).ok_or(Damage("a series number is too large"))?;
        }
    }
    Ok(())
}

fn number(reader: &mut Reader<'_>) -> Result<u32, Damage> {
    u32::try_from(reader.varint()?).map_err(|_large| Damage("a series number is too large"))
}

#[inline]
fn read_value(reader: &mut Reader<'_>) -> Result<Option<Sample>, Damage> {
    Ok(match reader.varint()? {
        MISSING => None,
        EXACT => Some(Sample::Exact(reader.double()?)),
        NEGATIVE => Some(Sample::Scaled(-1 - integer(reader.varint()?)?)),
        code => Some(Sample::Scaled(integer(code - POSITIVE)?)),
    })
}

/// A stored integer: below 2^53.
#[inline]
pub(crate) fn integer(value: u64) -> Result<i64, Damage> {
    i64::try_from(value).ok().filter(|integer| *integer < EXACT_BELOW).ok_or(Damage("a value is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: Key = Key::NONE;

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            Just(f64::NAN),
            Just(-0.0),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(9_007_199_254_740_991.0),
            Just(9_007_199_254_740_993.0),
            Just(f64::MIN_POSITIVE),
            Just(f64::MAX),
            any::<f64>(),
            (-100_000_i32..100_000).prop_map(|hundredths| f64::from(hundredths) / 100.0),
        ]
    }

    fn unpacked(bytes: &[u8], count: usize, decimals: &[u8]) -> Vec<Option<u64>> {
        let mut values = vec![None; count];
        walk(bytes, KEY, u32::MAX, |id, sample| {
            values[id as usize] = Some(sample.value(decimals[id as usize]).to_bits());
            Ok(())
        })
        .unwrap();
        values
    }

    proptest! {
        #[test]
        fn every_value_comes_back_bit_for_bit(series in prop::collection::vec((any_value(), 0_u8..=6, any::<bool>()), 0..60)) {
            let decimals: Vec<u8> = series.iter().map(|one| one.1).collect();
            let values: Vec<f64> = series.iter().map(|one| one.0).collect();
            let slots: Vec<Slot> = series.iter().enumerate().filter(|(_, one)| one.2)
                .map(|(at, one)| (u32::try_from(at).unwrap(), one.1))
                .map(|(at, decimals)| Slot { id: at, position: at, decimals }).collect();
            let mut bytes = vec![7; 3];
            pack(&mut bytes, KEY, &slots, &values);
            let expected: Vec<Option<u64>> =
                series.iter().map(|one| (one.2 && !one.0.is_nan()).then(|| one.0.to_bits())).collect();
            prop_assert_eq!(unpacked(&bytes, series.len(), &decimals), expected);
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = walk(&bytes, KEY, u32::MAX, |_, _| Ok(()));
            let mut sealed = [&[VERSION], &*bytes].concat();
            KEY.seal(&mut sealed);
            let _ = walk(&sealed, KEY, u32::MAX, |_, _| Ok(()));
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let slots = [(0, 2), (1, 0), (5, 2)].map(|(id, decimals)| Slot { id, position: id, decimals });
        let values = [91.3, -2.0, f64::NAN, f64::NAN, f64::NAN, -0.0];
        let mut bytes = Vec::new();
        pack(&mut bytes, KEY, &slots, &values);
        // version; skip 0, length 2; 9130 + 3 as a varint; negative 1 + 1; skip 3, length 1; a double; the checksum
        let mut expected = vec![2, 0, 2, 0xad, 0x47, 2, 1, 3, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0x80];
        KEY.seal(&mut expected);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_hundred_common_values_take_about_two_bytes_each() {
        let slots: Vec<Slot> = (0..100).map(|id| Slot { id, position: id, decimals: 2 }).collect();
        let values: Vec<f64> = (0..100).map(|n| f64::from(n) + 0.25).collect();
        let mut bytes = Vec::new();
        pack(&mut bytes, KEY, &slots, &values);
        assert!(bytes.len() <= 208, "{}", bytes.len());
    }
}
