//! Chunks: every value comes back, and damage is damage.

use super::*;
use crate::checksum::Key;
use crate::rollup::Bucket;
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

fn rows() -> impl Strategy<Value = (Vec<Timestamp>, Vec<(u32, u8, Vec<f64>)>)> {
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

fn packed(times: &[Timestamp], columns: &[(u32, u8, Vec<f64>)], density: Density) -> Vec<u8> {
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

proptest! {
    #[test]
    fn every_value_comes_back_bit_for_bit((times, columns) in rows(), density in density()) {
        let bytes = packed(&times, &columns, density);
        let chunk = Chunk::open(&bytes, key()).unwrap();
        let (mut scratch, mut back, mut values) = (Scratch::default(), Vec::new(), Vec::new());
        chunk.times(&mut scratch, &mut back).unwrap();
        prop_assert_eq!(&back, &times);
        prop_assert_eq!(chunk.rows(), times.len());
        let present: Vec<_> = columns.iter().filter(|column| column.2.iter().any(|value| !value.is_nan())).collect();
        prop_assert_eq!(chunk.columns().map(|part| part.id()).collect::<Vec<_>>(), present.iter().map(|one| one.0).collect::<Vec<_>>());
        for (id, decimals, expected) in &present {
            let part = chunk.column(*id).unwrap();
            part.values(*decimals, &mut scratch, &mut values).unwrap();
            prop_assert_eq!(bits(&values), bits(expected));
            prop_assert!(part.values(decimals + 1, &mut scratch, &mut values).is_err());
            let mut samples = vec![None; times.len()];
            part.samples(*decimals, &mut scratch, |row, sample| samples[row] = Some(sample)).unwrap();
            let expected: Vec<_> = expected.iter().map(|value| (!value.is_nan()).then(|| Sample::of(*value, *decimals))).collect();
            prop_assert_eq!(format!("{samples:?}"), format!("{expected:?}"), "in the form they are summed in");
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
        prop_assert_eq!((&back, chunk.rows()), (&starts, starts.len()));
        for (id, decimals, expected) in folded.iter().filter(|one| one.2.iter().any(|bucket| bucket.count > 0)) {
            chunk.column(*id).unwrap().buckets(*decimals, &mut scratch, &mut buckets).unwrap();
            let expected: Vec<_> = expected.iter().map(bucket_bits).collect();
            prop_assert_eq!(buckets.iter().map(bucket_bits).collect::<Vec<_>>(), expected);
        }
    }
}
