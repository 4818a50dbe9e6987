//! Chunks: every value comes back, and damage is damage.

use super::integers::{put_integers, read_integers};
use super::*;
use crate::checksum::Key;
use crate::rollup::Bucket;
use crate::varint::Reader;
use crate::vector::Sample;
use nightbell_model::Timestamp;
use proptest::prelude::*;

fn key() -> Key {
    Key::of(&[7, 1_700_000_000_000, 1])
}

fn odd_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(9_007_199_254_740_991.0),
        Just(9_007_199_254_740_993.0),
        Just(f64::MIN_POSITIVE / 4.0),
        Just(f64::MAX),
        any::<f64>(),
    ]
}

/// One series: a shape that real ones have, with a few odd values and holes.
fn series(rows: usize) -> impl Strategy<Value = Vec<f64>> {
    let shape = (0_u8..6, any::<u32>(), 0_u32..=100, 0_u32..=100);
    let holes = prop::collection::vec((0..rows, 1..rows + 1), 0..3);
    let odd = prop::collection::vec((0..rows, odd_value()), 0..4);
    (shape, holes, odd, prop::collection::vec(any::<i16>(), rows)).prop_map(
        move |((shape, base, often, _), holes, odd, noise)| {
            let base = f64::from(base);
            let mut values: Vec<f64> = (0..rows)
                .map(|row| {
                    let noise = f64::from(noise[row]);
                    match shape {
                        0 => base,
                        1 => (base + noise) / 100.0,
                        2 => (base + (noise / 256.0).round()) * 4096.0,
                        3 => base + 15.0 * f64::from(u32::try_from(row).unwrap()),
                        4 if noise.abs() < f64::from(often) * 100.0 => noise,
                        4 => 0.0,
                        _ => base.sqrt() + noise.sin(),
                    }
                })
                .collect();
            for (at, value) in odd {
                values[at] = value;
            }
            for (from, length) in holes {
                values[from..rows.min(from + length)].fill(f64::NAN);
            }
            values
        },
    )
}

/// The number, decimals and values of a series.
type Given = (u32, u8, Vec<f64>);

fn rows() -> impl Strategy<Value = (Vec<Timestamp>, Vec<Given>)> {
    (1_usize..100).prop_flat_map(|rows| {
        let steps = prop::collection::vec(prop_oneof![4 => 14_950_i64..15_050, 1 => Just(0_i64), 1 => 0_i64..100_000_000], rows);
        let times = (any::<i32>(), steps).prop_map(|(first, steps)| {
            let mut at = i64::from(first) * 1000;
            steps
                .into_iter()
                .map(|step| {
                    at += step;
                    Timestamp::from_millis(at)
                })
                .collect::<Vec<_>>()
        });
        let columns = prop::collection::vec((0_u32..3, 0_u8..=6, series(rows)), 0..6).prop_map(|columns| {
            let mut next = 0;
            columns
                .into_iter()
                .map(|(skip, decimals, values)| {
                    let id = next + skip;
                    next = id + 1;
                    (id, decimals, values)
                })
                .collect::<Vec<_>>()
        });
        (times, columns)
    })
}

fn density() -> impl Strategy<Value = Density> {
    prop_oneof![Just(Density::Young), Just(Density::Dense)]
}

fn bits(values: &[f64]) -> Vec<Option<u64>> {
    values.iter().map(|value| (!value.is_nan()).then(|| value.to_bits())).collect()
}

fn bucket_bits(bucket: &Bucket) -> Option<(u64, [u64; 4], i128)> {
    let doubles = [bucket.min, bucket.max, bucket.last, bucket.rest].map(f64::to_bits);
    (bucket.count > 0).then_some((bucket.count, doubles, bucket.sum))
}

fn packed(times: &[Timestamp], columns: &[Given], density: Density) -> Vec<u8> {
    let columns: Vec<Column<'_>> =
        columns.iter().map(|(id, decimals, values)| Column { id: *id, decimals: *decimals, values }).collect();
    let mut bytes = vec![1, 2, 3];
    pack(&mut bytes, key(), times, &columns, density).unwrap();
    bytes
}

/// Buckets of `width` rows each of a series.
fn folded(values: &[f64], decimals: u8, width: usize) -> Vec<Bucket> {
    let fold = |values: &[f64]| {
        let mut bucket = Bucket::default();
        values.iter().filter(|value| !value.is_nan()).for_each(|value| bucket.add(Sample::of(*value, decimals), decimals));
        bucket
    };
    values.chunks(width).map(fold).collect()
}

/// Integers of all sizes: near a base or far, with a factor, a few of them far off.
fn integers() -> impl Strategy<Value = Vec<i64>> {
    let off = prop::collection::vec(any::<u64>(), 1..200);
    let wide = prop::collection::vec((any::<prop::sample::Index>(), any::<i64>()), 0..5);
    (any::<i64>(), 0_u32..=64, 1_i64..5000, off, wide).prop_map(|(base, bits, factor, off, wide)| {
        let offset = |off: u64| off.checked_shr(64 - bits).unwrap_or(0).cast_signed().wrapping_mul(factor);
        let mut integers: Vec<i64> = off.into_iter().map(|off| base.wrapping_add(offset(off))).collect();
        for (at, value) in wide {
            let at = at.index(integers.len());
            integers[at] = value;
        }
        integers
    })
}

proptest! {
    #[test]
    fn integers_of_all_sizes_come_back(integers in integers(), density in density(), cut in any::<prop::sample::Index>()) {
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        put_integers(&mut bytes, &integers, density);
        let mut reader = Reader::new(&bytes);
        read_integers(&mut reader, integers.len(), &mut back).unwrap();
        prop_assert!(reader.is_empty());
        prop_assert_eq!(&back, &integers);
        prop_assert!(bytes.len() <= 9 * integers.len() + 12, "never much larger than as they are");
        let shorter = &bytes[..cut.index(bytes.len())];
        prop_assert!(read_integers(&mut Reader::new(shorter), integers.len(), &mut back).is_err(), "and not without its end");
    }

    #[test]
    fn every_value_comes_back_bit_for_bit((times, columns) in rows(), density in density()) {
        let bytes = packed(&times, &columns, density);
        let chunk = Chunk::open(&bytes, key()).unwrap();
        let (mut scratch, mut back, mut values) = (Scratch::default(), Vec::new(), Vec::new());
        chunk.times(&mut scratch, &mut back).unwrap();
        prop_assert_eq!(&back, &times);
        let present: Vec<_> = columns.iter().filter(|column| column.2.iter().any(|value| !value.is_nan())).collect();
        prop_assert_eq!(chunk.columns().map(|part| part.id()).collect::<Vec<_>>(), present.iter().map(|one| one.0).collect::<Vec<_>>());
        for (id, decimals, expected) in &present {
            let part = chunk.column(*id).unwrap();
            part.values(*decimals, &mut scratch, &mut values).unwrap();
            prop_assert_eq!(bits(&values), bits(expected));
            prop_assert!(part.values(decimals + 1, &mut scratch, &mut values).is_err());
        }
    }

    #[test]
    fn every_bucket_comes_back_bit_for_bit((times, columns) in rows(), density in density(), width in 1_usize..9) {
        let starts: Vec<Timestamp> = times.iter().copied().step_by(width).collect();
        let folded: Vec<_> = columns.iter().map(|(id, decimals, values)| (*id, *decimals, folded(values, *decimals, width))).collect();
        let given: Vec<_> =
            folded.iter().map(|(id, decimals, buckets)| BucketColumn { id: *id, decimals: *decimals, buckets }).collect();
        let mut bytes = Vec::new();
        pack_buckets(&mut bytes, key(), &starts, &given, density).unwrap();
        let chunk = BucketChunk::open(&bytes, key()).unwrap();
        let (mut scratch, mut back, mut buckets) = (Scratch::default(), Vec::new(), Vec::new());
        chunk.times(&mut scratch, &mut back).unwrap();
        prop_assert_eq!(&back, &starts);
        for (id, decimals, expected) in folded.iter().filter(|one| one.2.iter().any(|bucket| bucket.count > 0)) {
            chunk.columns().find(|part| part.id() == *id).unwrap().buckets(*decimals, &mut scratch, &mut buckets).unwrap();
            let expected: Vec<_> = expected.iter().map(bucket_bits).collect();
            prop_assert_eq!(buckets.iter().map(bucket_bits).collect::<Vec<_>>(), expected);
        }
    }
}

/// A few series of all forms: constant, integers with a common factor, a counter, exceptions, missing, odd values, other decimals,
/// none at all.
fn sample_columns(rows: u32) -> Vec<Given> {
    let column = |value: &dyn Fn(u32) -> f64| (0..rows).map(value).collect::<Vec<f64>>();
    vec![
        (0, 2, column(&|_| 12.5)),
        (1, 2, column(&|row| f64::from((row * 7_919) % 1_013) / 100.0)),
        (2, 0, column(&|row| f64::from(row * row % 97) * 4096.0 + 1e9)),
        (3, 0, column(&|row| f64::from(row) * 15.0 + 1e6)),
        (5, 0, column(&|row| if row % 11 == 0 { 90_000.0 } else { 0.0 })),
        (6, 1, column(&|row| if row % 5 < 2 { f64::NAN } else { f64::from(row % 50) / 10.0 })),
        (7, 1, column(&|row| if row == 3 { -0.0 } else { f64::from(row % 20) / 10.0 })),
        (9, 2, column(&|row| f64::from(row * 31 % 4_001) / 100_000.0)),
        (12, 3, column(&|row| (f64::from(row) / 7.0).sin())),
    ]
}

fn sample_times(rows: u32) -> Vec<Timestamp> {
    (0..rows).map(|row| Timestamp::from_millis(1_700_000_000_000 + i64::from(row * 15_000 + row * 37 % 90))).collect()
}

/// A chunk of samples and one of buckets, young and dense.
fn few_chunks() -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let (times, columns) = (sample_times(96), sample_columns(96));
    for density in [Density::Young, Density::Dense] {
        chunks.push(packed(&times, &columns, density));
        let folded: Vec<_> = columns.iter().map(|one| (one.0, one.1, folded(&one.2, one.1, 8))).collect();
        let given: Vec<_> =
            folded.iter().map(|(id, decimals, buckets)| BucketColumn { id: *id, decimals: *decimals, buckets }).collect();
        let starts: Vec<Timestamp> = times.iter().copied().step_by(8).collect();
        let mut bytes = Vec::new();
        pack_buckets(&mut bytes, key(), &starts, &given, density).unwrap();
        chunks.push(bytes);
    }
    chunks
}

fn opens(bytes: &[u8], key: Key) -> bool {
    Chunk::open(bytes, key).is_ok() || BucketChunk::open(bytes, key).is_ok()
}

#[test]
fn every_flipped_bit_and_every_cut_is_damage() {
    for chunk in few_chunks() {
        assert!(opens(&chunk, key()));
        assert!(!opens(&chunk, Key::of(&[7, 1_700_000_000_001, 1])), "in another row");
        for length in 0..chunk.len() {
            assert!(!opens(&chunk[..length], key()), "cut to {length}");
        }
        let mut flipped = chunk.clone();
        for bit in 0..chunk.len() * 8 {
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!opens(&flipped, key()), "bit {bit}");
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn packing_again_gives_the_same_bytes() {
    assert_eq!(few_chunks(), few_chunks());
}

#[test]
fn a_chunk_of_samples_is_none_of_buckets() {
    let chunks = few_chunks();
    assert!(BucketChunk::open(&chunks[0], key()).is_err() && Chunk::open(&chunks[1], key()).is_err());
}

#[test]
fn what_a_chunk_cannot_hold_is_refused() {
    let mut out = Vec::new();
    let time = Timestamp::from_millis(1);
    let column = |id, values| Column { id, decimals: 0, values };
    assert_eq!(pack(&mut out, key(), &[], &[], Density::Young), Err(Unfit::Rows(0)));
    assert_eq!(pack(&mut out, key(), &vec![time; MAX_ROWS + 1], &[], Density::Young), Err(Unfit::Rows(MAX_ROWS + 1)));
    assert_eq!(pack(&mut out, key(), &[time], &[column(4, &[1.0, 2.0])], Density::Young), Err(Unfit::Length(4)));
    let columns = [column(4, &[1.0]), column(4, &[2.0])];
    assert_eq!(pack(&mut out, key(), &[time], &columns, Density::Young), Err(Unfit::Order(4)));
}

#[test]
fn a_chunk_of_nothing_but_times_is_one() {
    let (mut out, mut times, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
    let given = vec![Timestamp::from_millis(5); 3];
    pack(&mut out, key(), &given, &[Column { id: 0, decimals: 0, values: &[f64::NAN; 3] }], Density::Dense).unwrap();
    let chunk = Chunk::open(&out, key()).unwrap();
    chunk.times(&mut scratch, &mut times).unwrap();
    assert_eq!((times, chunk.columns().count(), chunk.column(0).is_none()), (given, 0, true));
}

#[test]
fn one_odd_value_does_not_blow_up_a_column() {
    let values: Vec<f64> = (0..240).map(|row| f64::from(row * 7_919 % 1_013) / 100.0).collect();
    let times: Vec<Timestamp> = (0..240).map(|row| Timestamp::from_millis(row * 15_000)).collect();
    let size = |values: &[f64]| packed(&times, &[(0, 2, values.to_vec())], Density::Young).len();
    let mut odd = values.clone();
    odd[100] = -0.0;
    assert!(size(&odd) <= size(&values) + 16, "{} and {}", size(&odd), size(&values));
}

#[test]
fn constant_series_cost_a_few_bytes() {
    let times: Vec<Timestamp> = (0..240).map(|row| Timestamp::from_millis(row * 15_000)).collect();
    let columns: Vec<_> = (0..100).map(|id| (id, 0, vec![1.0; 240])).collect();
    assert!(packed(&times, &columns, Density::Young).len() <= 430, "four for each, and the frame");
}

#[test]
fn a_claim_of_rows_without_bytes_behind_it_takes_no_more_than_eight_bytes_each() {
    let mut bytes = vec![b'S', 1, 0x80, 0x80, 0x08, 4, 0, 0, 0, 0, 1, 0, 1, 0, 2, 0, 2];
    key().seal(&mut bytes);
    let chunk = Chunk::open(&bytes, key()).unwrap();
    let (mut scratch, mut values) = (Scratch::default(), Vec::new());
    chunk.column(0).unwrap().values(0, &mut scratch, &mut values).unwrap();
    assert_eq!((values.len(), values[MAX_ROWS - 1]), (MAX_ROWS, 1.0));
    bytes.truncate(bytes.len() - 4);
    bytes[4] = 0x09;
    key().seal(&mut bytes);
    assert_eq!(Chunk::open(&bytes, key()).unwrap_err(), crate::varint::Damage("its number of rows is impossible"));
}
