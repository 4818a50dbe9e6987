//! What goes in comes out, in order, until it is acknowledged or the bound is reached.

use super::*;
use crate::sheet::MISSING;
use proptest::prelude::*;

fn names(id: u32, count: usize) -> Arc<Names> {
    Arc::new(Names { id, keys: (0..count).map(|at| format!("a.b{{x={at}}}")).collect(), decimals: vec![2; count] })
}

fn beat(seq: u64, row: &[i64]) -> Beat {
    Beat { seq, at_ms: 1_000 + 15_000 * i64::try_from(seq).unwrap(), resumed: seq.is_multiple_of(7), row: row.into() }
}

fn drained(buffer: &Buffer) -> Vec<Beat> {
    let (mut all, mut seq) = (Vec::new(), 0);
    while let Some(parcel) = buffer.after(seq) {
        assert!(!parcel.beats.is_empty());
        seq = parcel.beats[parcel.beats.len() - 1].seq;
        all.extend(parcel.beats);
    }
    all
}

#[test]
fn heartbeats_wait_in_order_until_they_are_acknowledged() {
    let (mut buffer, names) = (Buffer::default(), names(1, 2));
    let beats: Vec<_> = (1..=200).map(|seq| beat(seq, &[i64::try_from(seq).unwrap() * 3, MISSING])).collect();
    for beat in &beats {
        buffer.push(&names, beat);
    }
    assert_eq!(drained(&buffer), beats);
    assert_eq!(buffer.len(), 200);
    buffer.acknowledge(70);
    assert_eq!(buffer.len(), 130);
    assert_eq!(drained(&buffer), beats[70..]);
    assert_eq!(buffer.count_after(150), 50);
    buffer.acknowledge(30);
    assert_eq!(buffer.len(), 130, "an old acknowledgement takes nothing back");
    buffer.acknowledge(200);
    assert!(buffer.is_empty() && buffer.after(0).is_none());
    buffer.push(&names, &beat(201, &[1, 2]));
    assert_eq!(drained(&buffer), [beat(201, &[1, 2])]);
}

#[test]
fn a_parcel_has_one_schema() {
    let (mut buffer, one, two) = (Buffer::default(), names(1, 1), names(2, 2));
    buffer.push(&one, &beat(1, &[1]));
    buffer.push(&two, &beat(2, &[1, 2]));
    buffer.push(&two, &beat(3, &[1, 2]));
    let first = buffer.after(0).unwrap();
    assert_eq!((first.names.id, first.beats.len()), (1, 1));
    let second = buffer.after(1).unwrap();
    assert_eq!((second.names.id, second.beats.len()), (2, 2));
}

#[test]
fn a_heartbeat_without_values_waits_too() {
    let (mut buffer, none) = (Buffer::default(), names(0, 0));
    buffer.push(&none, &beat(1, &[]));
    buffer.push(&none, &beat(2, &[]));
    assert_eq!(drained(&buffer), [beat(1, &[]), beat(2, &[])]);
}

#[test]
fn over_the_bound_the_oldest_are_thinned_then_dropped_and_counted() {
    let names = names(1, 50);
    let mut buffer = Buffer::bounded(60_000);
    for seq in 1..=2_000_u64 {
        let row: Vec<i64> = (0..50).map(|at| i64::try_from(seq * 7_919 * (at + 1) % 100_003).unwrap()).collect();
        buffer.push(&names, &beat(seq, &row));
        assert!(buffer.size() <= 60_000 + 12_000, "{}", buffer.size());
    }
    let left = drained(&buffer);
    assert_eq!(buffer.len() + buffer.dropped(), 2_000);
    assert_eq!(u64::try_from(left.len()).unwrap(), buffer.len());
    assert!(left.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert_eq!(left[left.len() - 1].seq, 2_000, "the newest are kept");
    assert!(left.windows(2).any(|pair| pair[1].seq - pair[0].seq == 4), "older ones are thinned");
}

#[test]
fn a_day_of_an_ordinary_host_fits() {
    let names = names(1, 120);
    let mut buffer = Buffer::default();
    let mut row = vec![0_i64; 120];
    for seq in 1..=5_760_u64 {
        for (at, value) in (0_u64..).zip(&mut row) {
            // A third stand still, a third wander a little, a third are counters of bytes.
            let step = i64::try_from(seq.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(at * 1_442_695) >> 40).unwrap();
            *value += [0, step % 500 - 250, step % 5_000_000][usize::try_from(at % 3).unwrap()];
        }
        buffer.push(&names, &beat(seq, &row));
    }
    assert_eq!((buffer.len(), buffer.dropped()), (5_760, 0));
    assert!(buffer.size() < MAX_BYTES / 2, "{}", buffer.size());
}

#[test]
fn heartbeats_of_yesterday_are_given_up() {
    let (mut buffer, names) = (Buffer::default(), names(1, 1));
    for seq in 1..=5_900 {
        buffer.push(&names, &beat(seq, &[1]));
    }
    assert!(buffer.dropped() > 60 && buffer.len() >= 5_760, "{} {}", buffer.dropped(), buffer.len());
}

proptest! {
    #[test]
    fn any_rows_read_back_bit_by_bit(
        rows in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(MISSING), any::<i64>(), -1000_i64..1000], 5), 1..150),
        gaps in proptest::collection::vec(1_u64..40, 150),
        acknowledged in 0_u64..3000,
    ) {
        let (mut buffer, names) = (Buffer::default(), names(1, 5));
        let (mut seq, mut beats) = (0, Vec::new());
        for (row, gap) in rows.iter().zip(gaps) {
            seq += gap;
            beats.push(beat(seq, row));
            buffer.push(&names, &beats[beats.len() - 1]);
        }
        prop_assert_eq!(drained(&buffer), beats.clone());
        buffer.acknowledge(acknowledged);
        beats.retain(|beat| beat.seq > acknowledged);
        prop_assert_eq!(buffer.len(), u64::try_from(beats.len()).unwrap());
        prop_assert_eq!(drained(&buffer), beats);
    }
}
