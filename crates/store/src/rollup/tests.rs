//! Buckets: merging, means, and the packed row.

use super::*;
use proptest::prelude::*;

const KEY: Key = Key::NONE;

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(-0.0),
        Just(f64::INFINITY),
        Just(1e300),
        Just(-1e300),
        any::<f64>().prop_filter("NaN is missing", |value| !value.is_nan()),
        (-100_000_i32..100_000).prop_map(|hundredths| f64::from(hundredths) / 100.0),
    ]
}

fn round_value() -> impl Strategy<Value = f64> {
    (-100_000_i32..100_000).prop_map(|hundredths| f64::from(hundredths) / 100.0)
}

fn fold(values: &[f64], decimals: u8) -> Bucket {
    let mut bucket = Bucket::default();
    values.iter().for_each(|value| bucket.add(Sample::of(*value, decimals), decimals));
    bucket
}

fn bits(bucket: &Bucket) -> (u64, [u64; 4], i128) {
    let doubles = [bucket.min, bucket.max, bucket.last, bucket.rest].map(f64::to_bits);
    (bucket.count, doubles, bucket.sum)
}

fn unpacked(bytes: &[u8], count: usize, decimals: &[u8]) -> Vec<Bucket> {
    let mut buckets = vec![Bucket::default(); count];
    walk(bytes, KEY, u32::MAX, decimals, |id, bucket| buckets[id as usize] = *bucket).unwrap();
    buckets
}

proptest! {
    #[test]
    fn merging_is_associative_and_equals_one_long_fold(
        a in prop::collection::vec(round_value(), 0..12),
        b in prop::collection::vec(round_value(), 0..12),
        c in prop::collection::vec(round_value(), 0..12),
    ) {
        let [fa, fb, fc] = [&a, &b, &c].map(|values| fold(values, 2));
        let (mut left, mut right) = (fa, fb);
        left.merge(&fb);
        left.merge(&fc);
        right.merge(&fc);
        let mut whole = fa;
        whole.merge(&right);
        prop_assert_eq!(bits(&left), bits(&whole));
        prop_assert_eq!(bits(&left), bits(&fold(&[a, b, c].concat(), 2)));
    }

    #[test]
    fn no_extreme_is_lost_and_the_mean_lies_between(values in prop::collection::vec(any_value(), 1..40), decimals in 0_u8..=6) {
        let bucket = fold(&values, decimals);
        let max = values.iter().copied().max_by(f64::total_cmp).unwrap();
        let min = values.iter().copied().min_by(f64::total_cmp).unwrap();
        prop_assert_eq!((bucket.min.to_bits(), bucket.max.to_bits()), (min.to_bits(), max.to_bits()));
        prop_assert_eq!(bucket.last.to_bits(), values.last().unwrap().to_bits());
        let mean = bucket.mean(decimals);
        prop_assert!(mean.is_nan() || (min <= mean && mean <= max), "{min} {mean} {max}");
    }

    #[test]
    fn a_row_comes_back_bit_for_bit(
        series in prop::collection::vec((prop::collection::vec(any_value(), 0..6), 0_u8..=6), 0..40)
    ) {
        let decimals: Vec<u8> = series.iter().map(|one| one.1).collect();
        let buckets: Vec<Bucket> = series.iter().map(|(values, decimals)| fold(values, *decimals)).collect();
        let mut bytes = vec![9];
        pack(&mut bytes, KEY, &buckets, &decimals);
        let back = unpacked(&bytes, buckets.len(), &decimals);
        prop_assert_eq!(back.iter().map(bits).collect::<Vec<_>>(), buckets.iter().map(bits).collect::<Vec<_>>());
    }

    #[test]
    fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = walk(&bytes, KEY, u32::MAX, &[2; 50], |_, _| ());
        let mut sealed = [&[VERSION], &*bytes].concat();
        KEY.seal(&mut sealed);
        let _ = walk(&sealed, KEY, u32::MAX, &[2; 50], |_, _| ());
    }
}

#[test]
fn the_bytes_are_those_of_the_document() {
    let buckets = [fold(&[1.0, 2.5, 2.0], 1), Bucket::default(), fold(&[-3.0, -3.0, -3.0], 0), fold(&[7.0], 0)];
    let mut bytes = Vec::new();
    pack(&mut bytes, KEY, &buckets, &[1, 0, 0, 0]);
    // version, common 3; skip 0 length 1: smallest 10, +15, +10, 55 - 30; skip 1 length 2: constant -3; own count 1, constant 7
    // and the checksum
    let mut expected = vec![2, 3, 0, 1, 24, 15, 10, 25, 1, 2, 3, 5, 2, 1, 19];
    KEY.seal(&mut expected);
    assert_eq!(bytes, expected);
}

#[test]
fn equal_values_have_exactly_their_mean() {
    let bucket = fold(&[0.1, 0.1, 0.1], 1);
    assert_eq!(bucket.mean(1).to_bits(), 0.1_f64.to_bits());
    assert!(Bucket::default().mean(1).is_nan());
}

#[test]
fn a_row_of_zero_samples_or_of_unknown_series_is_damage() {
    assert!(walk(&[1, 0, 0, 1, 5], KEY, u32::MAX, &[0], |_, _| ()).is_err());
    assert!(walk(&[1, 3, 5, 1, 5], KEY, u32::MAX, &[0], |_, _| ()).is_err());
    assert!(walk(&[2, 3], KEY, u32::MAX, &[0], |_, _| ()).is_err());
    assert!(walk(&[1, 3, 0, 1, 2, 1, 2], KEY, u32::MAX, &[0], |_, _| ()).is_err());
}
