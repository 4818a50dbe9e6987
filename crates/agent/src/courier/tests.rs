//! Order, windows, pauses and repetition, with time moved by hand.

use super::*;
use crate::clock::Moment;
use crate::sheet::Names;

fn courier() -> (Courier, Arc<Names>) {
    let names = Arc::new(Names { id: 1, keys: vec!["load.avg_1m".into()], decimals: vec![2] });
    (Courier::new("boot".into(), Buffer::default()), names)
}

fn take(courier: &mut Courier, names: &Arc<Names>, seconds: i64) {
    let at = Moment { boot_ms: seconds * 1000, awake_ns: seconds * 1_000_000_000 };
    courier.take(Reading { at, names: Arc::clone(names), row: Box::from([seconds]), gaps: Vec::new(), resumed: false });
}

fn sent(courier: &mut Courier, now_ms: i64) -> Vec<u64> {
    courier.next(now_ms, 0).map(|parcel| parcel.beats.iter().map(|beat| beat.seq).collect()).unwrap_or_default()
}

#[test]
fn nothing_is_sent_without_a_connection_and_nothing_is_forgotten() {
    let (mut courier, names) = courier();
    take(&mut courier, &names, 0);
    assert_eq!((sent(&mut courier, 0), courier.wants_at()), (vec![], None));
    courier.connected(5);
    assert_eq!(sent(&mut courier, 5), [1]);
    assert_eq!((sent(&mut courier, 5), courier.waiting()), (vec![], 1), "sent is not yet durable");
    courier.acknowledge(Some("boot"), Some(1));
    assert_eq!(courier.waiting(), 0);
}

#[test]
fn live_heartbeats_do_not_wait_for_a_slow_commit_but_only_so_many() {
    let (mut courier, names) = courier();
    courier.connected(0);
    for seconds in 1..=4 {
        take(&mut courier, &names, seconds);
        assert_eq!(sent(&mut courier, seconds * 1000), [u64::try_from(seconds).unwrap()]);
    }
    take(&mut courier, &names, 5);
    assert!(sent(&mut courier, 5000).is_empty());
    courier.acknowledge(Some("boot"), Some(4));
    assert_eq!(sent(&mut courier, 5000), [5]);
}

#[test]
fn a_replay_goes_parcel_by_parcel_with_a_pause_and_live_ones_follow() {
    let (mut courier, names) = courier();
    for seconds in 0..130 {
        take(&mut courier, &names, seconds);
    }
    courier.connected(0);
    assert_eq!(sent(&mut courier, 0), (1..=64).collect::<Vec<_>>());
    assert!(sent(&mut courier, 10).is_empty(), "the first parcel is not acknowledged");
    courier.acknowledge(Some("boot"), Some(64));
    assert!(sent(&mut courier, 0).is_empty(), "the pause");
    take(&mut courier, &names, 130);
    assert_eq!(sent(&mut courier, 1), (65..=128).collect::<Vec<_>>());
    courier.acknowledge(Some("boot"), Some(128));
    assert_eq!(sent(&mut courier, 300), [129, 130, 131]);
}

#[test]
fn what_was_not_acknowledged_is_sent_again_on_the_next_connection() {
    let (mut courier, names) = courier();
    courier.connected(0);
    for seconds in 1..=3 {
        take(&mut courier, &names, seconds);
        sent(&mut courier, seconds * 1000);
    }
    courier.acknowledge(Some("boot"), Some(1));
    courier.disconnected();
    take(&mut courier, &names, 4);
    courier.connected(10_000);
    assert_eq!(sent(&mut courier, 10_000), [2, 3, 4]);
}

#[test]
fn a_hub_that_asks_for_patience_gets_it_and_then_everything_again() {
    let (mut courier, names) = courier();
    courier.connected(0);
    take(&mut courier, &names, 1);
    assert_eq!(sent(&mut courier, 1000), [1]);
    courier.slow_down(30_000, 1000);
    take(&mut courier, &names, 16);
    assert!(sent(&mut courier, 30_999).is_empty());
    assert_eq!(courier.wants_at(), Some(31_000));
    assert_eq!(sent(&mut courier, 31_000), [1, 2]);
}

#[test]
fn acknowledgements_of_another_process_or_of_the_future_do_no_harm() {
    let (mut courier, names) = courier();
    courier.connected(0);
    take(&mut courier, &names, 1);
    sent(&mut courier, 1000);
    courier.acknowledge(Some("another"), Some(1));
    assert_eq!(courier.waiting(), 1);
    courier.acknowledge(Some("boot"), Some(u64::MAX));
    assert_eq!(courier.waiting(), 0);
    take(&mut courier, &names, 2);
    assert_eq!(sent(&mut courier, 2000), [2], "numbers go on");
    courier.acknowledge(None, None);
    assert_eq!(courier.waiting(), 0, "an old hub");
}

#[test]
fn a_hub_that_owes_an_answer_and_is_silent_is_given_up() {
    let (mut courier, names) = courier();
    courier.connected(0);
    assert_eq!(courier.gives_up_at(), None, "it owes nothing");
    take(&mut courier, &names, 100);
    sent(&mut courier, 100_000);
    assert_eq!(courier.gives_up_at(), Some(160_000));
    courier.heard(120_000);
    assert_eq!(courier.gives_up_at(), Some(180_000));
    courier.acknowledge(Some("boot"), Some(1));
    assert_eq!(courier.gives_up_at(), None);
}
