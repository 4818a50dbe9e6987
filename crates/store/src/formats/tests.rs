//! Bytes of every version that was ever written are read for ever: `tests/fixtures/`. A new version adds its files
//! (`NIGHTBELL_WRITE_FIXTURES=1` writes those that are not there yet); none is ever changed.

use super::*;
use crate::checksum::real;
use std::path::PathBuf;

const ROWS: usize = 96;
const FIVE_MINUTES_MS: i64 = 300_000;
const BEGIN_MS: i64 = 1_700_000_000_000;

fn fixture(name: &str, make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    if !path.exists() && std::env::var_os("NIGHTBELL_WRITE_FIXTURES").is_some() {
        std::fs::write(&path, make()).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is in all fixtures: what real series do, and what they should not.
fn series() -> Vec<Series> {
    let number = |at: usize| f64::from(u32::try_from(at).unwrap());
    let series = |id, decimals, value: &dyn Fn(usize) -> f64| Series { id, decimals, values: (0..ROWS).map(value).collect() };
    vec![
        series(0, 2, &|_| 12.5),
        series(1, 2, &|at| number(at * 7_919 % 1_013) / 100.0),
        series(2, 0, &|at| number(at * at % 97) * 4096.0 + 64e9),
        series(3, 0, &|at| number(at) * 15.0 + 2e6),
        series(4, 0, &|at| if at.is_multiple_of(11) { 90_000.0 } else { 0.0 }),
        series(6, 1, &|at| if at % 5 < 2 { f64::NAN } else { number(at % 50) / -10.0 }),
        series(7, 1, &|at| if at == 3 { -0.0 } else { number(at % 20) / 10.0 }),
        series(8, 2, &|at| number(at * 31 % 4_001) / 100_000.0),
        series(9, 2, &|at| [f64::INFINITY, f64::MIN_POSITIVE / 8.0, 1e300, f64::NEG_INFINITY][at % 4]),
        series(10, 0, &|at| if at % 29 == 5 { number(at) * 1e9 } else { number(at * 13 % 17) }),
        series(11, 1, &|at| if at < 40 { f64::NAN } else { number(at % 3) * 0.5 }),
        series(12, 0, &|at| if at.is_multiple_of(3) { number(at * 7_919 % 4_001) } else { 0.0 }),
        series(13, 0, &|at| if at * 7 % 13 < 6 { 1e6 + number(at % 4) } else { number(at % 3) }),
        series(200, 3, &|at| (number(at * at) / 7.0).fract() + number(at) / 3.0),
    ]
}

fn times() -> Vec<i64> {
    (0..).map(|at: i64| BEGIN_MS + at * 15_000 + at * 37 % 90).take(ROWS).collect()
}

fn key() -> Key {
    Key::of(&[42, BEGIN_MS, real(Some(12.5)), real(None)])
}

fn bits(values: &[f64]) -> Vec<Option<u64>> {
    values.iter().map(|value| (!value.is_nan()).then(|| value.to_bits())).collect()
}

fn bucket_bits(bucket: &Bucket) -> (u64, [u64; 4], i128) {
    (bucket.count, [bucket.min, bucket.max, bucket.last, bucket.rest].map(f64::to_bits), bucket.sum)
}

/// A row with and without the checksum that came with version 2.
fn row(version: u8, pack: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    pack(&mut bytes);
    if version == 1 {
        bytes.truncate(bytes.len() - 4);
        bytes[0] = 1;
    }
    bytes
}

fn heartbeat_row(version: u8) -> Vec<u8> {
    let series = series();
    let slots: Vec<Slot> =
        series.iter().zip(0..).map(|(one, position)| Slot { id: one.id, position, decimals: one.decimals }).collect();
    let values: Vec<f64> = series.iter().map(|one| one.values[3]).collect();
    row(version, |out| vector::pack(out, key(), &slots, &values))
}

fn buckets(width_ms: i64) -> Buckets {
    Buckets::of(&times(), &series(), width_ms)
}

/// Decimals and buckets at `at` by number.
fn bucket_row(at: usize) -> (Vec<u8>, Vec<Bucket>) {
    let (mut decimals, mut row) = (vec![0; 201], vec![Bucket::default(); 201]);
    for (id, its_decimals, buckets) in buckets(FIVE_MINUTES_MS).series {
        decimals[id as usize] = its_decimals;
        row[id as usize] = buckets[at];
    }
    (decimals, row)
}

#[test]
fn rows_of_heartbeats_of_all_versions_are_read() {
    for version in [1, 2] {
        let bytes = fixture(&format!("agent-metrics-row-v{version}.bin"), || heartbeat_row(version));
        let mut read = Vec::new();
        vector::walk(&bytes, key(), u32::MAX, |id, sample| {
            read.push((id, sample));
            Ok(())
        })
        .unwrap();
        let series = series();
        let expected: Vec<_> = series.iter().filter(|one| !one.values[3].is_nan()).collect();
        assert_eq!(read.len(), expected.len());
        for ((id, sample), one) in read.iter().zip(expected) {
            assert_eq!((*id, sample.value(one.decimals).to_bits()), (one.id, one.values[3].to_bits()));
        }
        assert_eq!(version == 1, vector::walk(&bytes, Key::NONE, u32::MAX, |_, _| Ok(())).is_ok(), "version 2 knows its row");
    }
}

#[test]
fn rolled_up_rows_of_all_versions_are_read() {
    let (decimals, row_of_buckets) = bucket_row(1);
    for version in [1, 2] {
        let pack = |out: &mut Vec<u8>| rollup::pack(out, key(), &row_of_buckets, &decimals);
        let bytes = fixture(&format!("rollup-row-v{version}.bin"), || row(version, pack));
        let mut read = vec![Bucket::default(); 201];
        rollup::walk(&bytes, key(), u32::MAX, &decimals, |id, bucket| read[id as usize] = *bucket).unwrap();
        let bits = |buckets: &[Bucket]| buckets.iter().map(bucket_bits).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&row_of_buckets));
    }
}

#[test]
fn chunks_of_samples_of_all_versions_are_read() {
    for (name, density) in [("agent-chunk-v1-young.bin", Density::Young), ("agent-chunk-v1-dense.bin", Density::Dense)] {
        let series = series();
        let bytes = fixture(name, || {
            let columns: Vec<Column<'_>> =
                series.iter().map(|one| Column { id: one.id, decimals: one.decimals, values: &one.values }).collect();
            let mut out = Vec::new();
            chunk::pack(&mut out, key(), &timestamps(&times()), &columns, density).unwrap();
            out
        });
        let chunk = Chunk::open(&bytes, key()).unwrap();
        let (mut scratch, mut read_times, mut values) = (Scratch::default(), Vec::new(), Vec::new());
        chunk.times(&mut scratch, &mut read_times).unwrap();
        assert_eq!(read_times, timestamps(&times()));
        assert_eq!(chunk.columns().count(), series.len());
        for one in &series {
            chunk.column(one.id).unwrap().values(one.decimals, &mut scratch, &mut values).unwrap();
            assert_eq!(bits(&values), bits(&one.values), "series {}", one.id);
        }
    }
}

#[test]
fn chunks_of_buckets_of_all_versions_are_read() {
    let files = [
        ("agent-rollup-chunk-v1-young.bin", Density::Young, FIVE_MINUTES_MS),
        ("agent-rollup-chunk-v1-dense.bin", Density::Dense, 15_000),
        ("agent-rollup-chunk-v2-young.bin", Density::Young, FIVE_MINUTES_MS),
        ("agent-rollup-chunk-v2-dense.bin", Density::Dense, 15_000),
        ("agent-rollup-chunk-v2-minutes.bin", Density::Young, 60_000),
    ];
    for (name, density, width_ms) in files {
        let buckets = buckets(width_ms);
        let bytes = fixture(name, || {
            let columns: Vec<BucketColumn<'_>> = buckets
                .series
                .iter()
                .map(|(id, decimals, buckets)| BucketColumn { id: *id, decimals: *decimals, buckets })
                .collect();
            let mut out = Vec::new();
            chunk::pack_buckets(&mut out, key(), &buckets.starts, &columns, density).unwrap();
            out
        });
        let chunk = BucketChunk::open(&bytes, key()).unwrap();
        let (mut scratch, mut starts, mut read) = (Scratch::default(), Vec::new(), Vec::new());
        chunk.times(&mut scratch, &mut starts).unwrap();
        assert_eq!(starts, buckets.starts);
        assert_eq!(chunk.columns().count(), buckets.series.len());
        for (id, decimals, expected) in &buckets.series {
            chunk.columns().find(|part| part.id() == *id).unwrap().buckets(*decimals, &mut scratch, &mut read).unwrap();
            let bits = |buckets: &[Bucket]| buckets.iter().map(bucket_bits).collect::<Vec<_>>();
            assert_eq!(bits(&read), bits(expected), "series {id}");
        }
    }
}
