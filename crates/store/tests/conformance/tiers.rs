//! Buckets, retention, and answers stitched from several tiers.

use crate::build::{DAY, HOUR, MINUTE, all, at, beat, schema};
use crate::engine::Engine;
use nightbell_model::{Frame, Tier, Timestamp};
use nightbell_store::{RangeQuery, Retention};

crate::conformance!(
    what_is_not_rolled_up_yet_is_answered_as_if_it_were,
    a_late_heartbeat_corrects_its_buckets,
    rolling_up_again_writes_nothing,
    no_maximum_is_lost_at_any_budget,
    a_stretch_without_heartbeats_is_one_missing_row,
    rows_for_gaps_count_as_points,
    what_is_removed_is_answered_by_a_coarser_tier,
    raw_is_not_removed_before_it_is_rolled_up,
    a_heartbeat_older_than_raw_is_not_stored,
    each_sample_counts_once_over_all_seams,
    logs_are_kept_for_their_time,
);

fn roll_up(engine: &dyn Engine, ms: i64) -> u64 {
    engine.store().roll_up(engine.lease(), at(ms)).unwrap().buckets
}

fn retain(engine: &dyn Engine, ms: i64) {
    engine.store().retain(engine.lease(), at(ms), &Retention::default()).unwrap();
}

fn range(engine: &dyn Engine, tier: Tier) -> Frame {
    engine.store().range(&all(tier)).unwrap()
}

/// Every value of a frame as bits, since NaN is not equal to itself.
pub(crate) fn bits(frame: &Frame) -> Vec<Vec<u64>> {
    let parts = frame.columns.iter().flat_map(|column| [&column.mean, &column.min, &column.max]);
    parts.map(|part| part.iter().map(|value| if value.is_nan() { u64::MAX } else { value.to_bits() }).collect()).collect()
}

/// One heartbeat of the series `m.a` (three decimals) every `step`, the n-th with the value `value(n)`.
fn fill(engine: &dyn Engine, from: i64, to: i64, step: i64, value: impl Fn(i64) -> f64) {
    let keys = schema(&["m.a"]);
    let beats: Vec<_> =
        (0..).map(|n| (n, from + n * step)).take_while(|(_, ms)| *ms < to).map(|(n, ms)| beat(ms, &keys, &[value(n)])).collect();
    engine.store().append(engine.lease(), &beats).unwrap();
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn wave(n: i64) -> f64 {
    (n * 7 % 101) as f64 / 8.0
}

fn what_is_not_rolled_up_yet_is_answered_as_if_it_were(engine: &mut dyn Engine) {
    fill(engine, -3 * HOUR, 2 * HOUR, 2 * MINUTE, wave);
    let before = Tier::ALL.map(|tier| range(engine, tier));
    assert_eq!(before[3].times, [at(-DAY), at(0)]);
    assert_eq!(before[2].times.len(), 5);
    for now in [HOUR, 2 * HOUR + 7 * MINUTE, 3 * DAY] {
        roll_up(engine, now);
        let after = Tier::ALL.map(|tier| range(engine, tier));
        assert_eq!(after.each_ref().map(bits), before.each_ref().map(bits));
        assert_eq!(after.map(|frame| frame.times), before.each_ref().map(|frame| frame.times.clone()));
    }
}

fn a_late_heartbeat_corrects_its_buckets(engine: &mut dyn Engine) {
    fill(engine, 0, 2 * HOUR, MINUTE, |_| 1.0);
    roll_up(engine, 2 * DAY);
    engine.store().append(engine.lease(), &[beat(30_500, &schema(&["m.a"]), &[61.0])]).unwrap();
    for now in [DAY, 3 * DAY] {
        for (tier, count, buckets) in [(Tier::FiveMinutes, 6.0, 24), (Tier::Hourly, 61.0, 2), (Tier::Daily, 121.0, 1)] {
            let frame = range(engine, tier);
            assert_eq!(frame.times.len(), buckets);
            assert_eq!((frame.columns[0].min[0], frame.columns[0].max[0]), (1.0, 61.0));
            assert_eq!(frame.columns[0].mean[0].to_bits(), f64::to_bits((count - 1.0 + 61.0) / count));
        }
        roll_up(engine, now);
    }
}

fn rolling_up_again_writes_nothing(engine: &mut dyn Engine) {
    fill(engine, 0, HOUR, MINUTE, wave);
    assert_eq!(roll_up(engine, 5 * MINUTE), 0, "a bucket waits a little for those that are late");
    assert_eq!(roll_up(engine, 6 * MINUTE), 1);
    assert_eq!(roll_up(engine, 6 * MINUTE), 0);
    engine.reopen();
    assert_eq!(roll_up(engine, 2 * DAY), 11 + 1 + 1);
    assert_eq!(roll_up(engine, 2 * DAY), 0);
}

fn no_maximum_is_lost_at_any_budget(engine: &mut dyn Engine) {
    fill(engine, 0, 3 * DAY, 5 * MINUTE, |n| if n == 333 { 1000.0 } else { wave(n) });
    roll_up(engine, 2 * DAY);
    for max_points in [1, 2, 7, 50, 300, 10_000] {
        let frame = engine.store().range(&RangeQuery { tier: None, max_points, ..all(Tier::Raw) }).unwrap();
        assert!(frame.times.len() <= max_points.max(2), "{max_points}: {}", frame.times.len());
        let max = frame.columns[0].max.iter().copied().fold(f64::MIN, f64::max);
        let min = frame.columns[0].min.iter().copied().fold(f64::MAX, f64::min);
        assert_eq!((min, max), (0.0, 1000.0), "{max_points}");
    }
}

fn a_stretch_without_heartbeats_is_one_missing_row(engine: &mut dyn Engine) {
    fill(engine, 0, HOUR, MINUTE, wave);
    fill(engine, 4 * HOUR, 5 * HOUR, MINUTE, wave);
    roll_up(engine, 4 * HOUR);
    for (tier, rows, gap) in [(Tier::Raw, 121, HOUR), (Tier::FiveMinutes, 25, HOUR), (Tier::Hourly, 3, HOUR)] {
        let frame = range(engine, tier);
        assert_eq!(frame.times.len(), rows);
        let missing: Vec<Timestamp> =
            frame.times.iter().zip(&frame.columns[0].mean).filter(|row| row.1.is_nan()).map(|row| *row.0).collect();
        assert_eq!(missing, [at(gap)], "{tier:?}");
    }
}

fn rows_for_gaps_count_as_points(engine: &mut dyn Engine) {
    for hour in 0..20 {
        fill(engine, hour * HOUR, hour * HOUR + 3 * MINUTE, MINUTE, wave);
    }
    let within = |max_points| {
        let query = RangeQuery { tier: None, max_points, ..all(Tier::Raw) };
        engine.store().range(&query).unwrap()
    };
    let raw = within(79);
    assert_eq!((raw.tiers.as_slice(), raw.times.len()), ([Tier::Raw].as_slice(), 60 + 19));
    let fewer = within(60);
    assert!(fewer.times.len() <= 60 && fewer.step_ms.is_some(), "{} rows, {:?}", fewer.times.len(), fewer.step_ms);
}

fn what_is_removed_is_answered_by_a_coarser_tier(engine: &mut dyn Engine) {
    fill(engine, 0, 40 * DAY, HOUR, wave);
    roll_up(engine, 41 * DAY);
    let daily = range(engine, Tier::Daily);
    retain(engine, 41 * DAY);
    engine.reopen();
    assert_eq!(bits(&range(engine, Tier::Daily)), bits(&daily));
    let raw = range(engine, Tier::Raw);
    assert_eq!(raw.tiers, [Tier::Raw, Tier::FiveMinutes, Tier::Daily]);
    assert_eq!(raw.times[..12], (0..11).map(|day| at(day * DAY)).chain([at(11 * DAY)]).collect::<Vec<_>>());
    assert_eq!(raw.times.last(), Some(&at(40 * DAY - HOUR)));
    assert!(raw.times.is_sorted());
    let month = RangeQuery { start: at(11 * DAY), end: at(41 * DAY), tier: None, max_points: 1000, ..all(Tier::Raw) };
    assert_eq!(engine.store().range(&month).unwrap().tiers, [Tier::FiveMinutes]);
    let quarter = RangeQuery { start: at(0), ..month };
    assert_eq!(engine.store().range(&quarter).unwrap().tiers, [Tier::Daily]);
}

fn raw_is_not_removed_before_it_is_rolled_up(engine: &mut dyn Engine) {
    fill(engine, 0, 3 * DAY, HOUR, wave);
    let before = range(engine, Tier::Raw);
    retain(engine, 30 * DAY);
    assert_eq!(bits(&range(engine, Tier::Raw)), bits(&before));
    roll_up(engine, 30 * DAY);
    retain(engine, 30 * DAY);
    assert_eq!(range(engine, Tier::Raw).tiers, [Tier::FiveMinutes]);
}

fn a_heartbeat_older_than_raw_is_not_stored(engine: &mut dyn Engine) {
    fill(engine, 0, 20 * DAY, HOUR, wave);
    roll_up(engine, 20 * DAY);
    retain(engine, 20 * DAY);
    let before = Tier::ALL.map(|tier| range(engine, tier));
    engine.store().append(engine.lease(), &[beat(DAY + 5, &schema(&["m.a"]), &[500.0])]).unwrap();
    assert_eq!(Tier::ALL.map(|tier| bits(&range(engine, tier))), before.each_ref().map(bits));
}

fn each_sample_counts_once_over_all_seams(engine: &mut dyn Engine) {
    fill(engine, 0, 100 * DAY, 3 * HOUR, |_| 1.0);
    for day in [40, 70, 100] {
        roll_up(engine, day * DAY);
        retain(engine, day * DAY);
    }
    // A sum over an answer is the sum of mean times count; with equal values the buckets' widths must add up to the span.
    for tier in Tier::ALL {
        let frame = range(engine, tier);
        assert!(frame.times.is_sorted_by(|a, b| a < b), "{tier:?}");
        assert!(frame.columns[0].mean.iter().all(|value| value.is_nan() || value.to_bits() == 1.0_f64.to_bits()));
    }
    assert_eq!(range(engine, Tier::Daily).times.len(), 90, "ninety days are kept");
}

fn logs_are_kept_for_their_time(engine: &mut dyn Engine) {
    use crate::build::{delivery, event, incident};
    use nightbell_alerts::{EventKind, IncidentRecord, NoticeKind};
    use nightbell_store::{Change, DeliveryQuery, EventQuery, IncidentQuery, Settled};
    let ended = IncidentRecord { resolved_at: Some(at(DAY)), ..incident(2) };
    let changes = [
        Change::LogEvent(event(0, EventKind::Note)),
        Change::LogEvent(event(50 * DAY, EventKind::Note)),
        Change::PutIncident(incident(1)),
        Change::PutIncident(ended),
        Change::PutDelivery(delivery(1, NoticeKind::Fired, 0, 0)),
        Change::PutDelivery(delivery(2, NoticeKind::Fired, 1, 0)),
    ];
    engine.store().apply(engine.lease(), &changes, None).unwrap();
    let first = delivery(1, NoticeKind::Fired, 0, 0).id;
    engine.store().claim(engine.lease(), at(1), at(2), &[vec![first]]).unwrap();
    engine.store().settle(engine.lease(), &[(first, Settled::Sent { latency_ms: 1 })], at(1)).unwrap();
    retain(engine, 100 * DAY);
    let events = engine.store().events(&EventQuery { limit: 9, ..Default::default() }).unwrap().items;
    assert_eq!(events.iter().map(|line| line.seq).collect::<Vec<_>>(), [2]);
    let incidents = engine.store().incidents(&IncidentQuery { limit: 9, ..Default::default() }).unwrap().items;
    assert_eq!(incidents.iter().map(|record| record.id).collect::<Vec<_>>(), [incident(1).id], "an open one stays");
    let deliveries = engine.store().deliveries(&DeliveryQuery { limit: 9, ..Default::default() }).unwrap().items;
    assert_eq!(deliveries.iter().map(|one| one.row.n).collect::<Vec<_>>(), [1], "one that waits stays");
}
