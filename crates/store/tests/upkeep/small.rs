//! A file that stays small: history is packed in time, series are forgotten, a cap is kept, and all of it can be put off.

use super::{DAY, HOUR, MIDNIGHT, MINUTE, agent, at, beat, fresh, number, open, range, schema, scrub};
use nightbell_model::{Batch, Frame, Tier, Timestamp};
use nightbell_store::{MetricStore, Retention, ScrubPlace, SealPolicy, StoreError};
use std::path::Path;

#[test]
fn a_quarter_of_an_hour_is_packed_some_minutes_after_its_end() {
    let (_folder, path, store, lease) = fresh();
    let names = schema(["m.a".to_owned()]);
    let beats = |n: u128| (0..2 * 60).map(move |minute| (n, minute));
    let beats: Vec<Batch> = (1..31)
        .flat_map(beats)
        .map(|(n, minute)| beat(n, minute * MINUTE, &names, &[f64::from(u8::try_from(minute).unwrap())]))
        .collect();
    store.append(lease, &beats).unwrap();
    let before: Vec<Frame> = (1..31).map(|n| range(&store, n, Tier::Raw)).collect();
    let packed_to = |quarters: i64| {
        let sql = format!("SELECT count(*) FROM agent_keys WHERE sealed_to = {}", MIDNIGHT + quarters * SealPolicy::YOUNG_MS);
        number(&path, &sql)
    };
    let mut steps = Vec::new();
    for ms in [HOUR + 2 * MINUTE, HOUR + 5 * MINUTE, HOUR + 7 * MINUTE] {
        store.seal(lease, at(ms), &SealPolicy::default()).unwrap();
        steps.push((packed_to(3), packed_to(4)));
    }
    assert_eq!((steps[0], steps[2]), ((30, 0), (0, 30)), "{steps:?}");
    assert!(steps[1].0 > 0 && steps[1].1 > 0 && steps[1].0 + steps[1].1 == 30, "agents take turns: {steps:?}");
    assert_eq!(number(&path, "SELECT count(*) FROM agent_chunks"), 30 * 4);
    store.seal(lease, at(HOUR + 12 * MINUTE), &SealPolicy::default()).unwrap();
    assert_eq!(number(&path, "SELECT count(*) FROM agent_metrics"), 30 * 60, "what is packed is swept");
    assert_eq!((1..31).map(|n| range(&store, n, Tier::Raw)).collect::<Vec<_>>(), before);
    store.seal(lease, at(2 * DAY), &SealPolicy::default()).unwrap();
    assert_eq!(number(&path, "SELECT count(*) FROM agent_chunks WHERE dense = 1"), 30, "a day is one chunk");
    assert_eq!((1..31).map(|n| range(&store, n, Tier::Raw)).collect::<Vec<_>>(), before);
}

#[test]
fn containers_that_come_and_go_do_not_grow_the_dictionary_for_ever() {
    let (_folder, path, store, lease) = fresh();
    let keep =
        Retention { raw_ms: 2 * DAY, five_minutes_ms: 3 * DAY, hourly_ms: 3 * DAY, daily_ms: 10 * DAY, ..Retention::default() };
    let mut most = 0;
    for day in 0..150 {
        // Ten containers a day, each with two series; one of each ten comes back after a month.
        let names = (0..10).flat_map(|n| {
            let name = if n == 0 { day % 30 } else { day * 10 + n };
            ["cpu", "memory"].map(|what| format!("container.{what}{{name=c{name}}}"))
        });
        let keys = schema(names.chain(["cpu.usage_percent".to_owned()]));
        let value = f64::from(i32::try_from(day).unwrap());
        let beats: Vec<Batch> = (0..12).map(|n| beat(1, day * DAY + n * 2 * HOUR, &keys, &[value; 21])).collect();
        store.append(lease, &beats).unwrap();
        let now = at((day + 1) * DAY + 7 * HOUR);
        store.roll_up(lease, now).unwrap();
        store.seal(lease, now, &keep.packing(false)).unwrap();
        store.retain(lease, now, &keep).unwrap();
        most = most.max(number(&path, "SELECT count(*) FROM series"));
    }
    assert!((200..700).contains(&most), "{most} lines");
    assert!(number(&path, "SELECT max(id) FROM series") < 700, "numbers are given again");
    let raw = range(&store, 1, Tier::Raw);
    for column in &raw.columns {
        let name = column.key.as_str();
        let values: Vec<f64> = column.mean.iter().copied().filter(|value| !value.is_nan()).collect();
        let days = if name == "cpu.usage_percent" { 3..14 } else { 1..2 };
        let different = values.chunk_by(|a, b| a.to_bits() == b.to_bits()).count();
        assert!(days.contains(&different), "{name} has the values of its own days only: {values:?}");
    }
    assert!(store.damage(agent(1), Timestamp::MIN, Timestamp::MAX).unwrap().is_empty());
    assert_eq!(scrub(&store, lease), Vec::<String>::new());
}

#[test]
fn a_cap_thins_the_oldest_raw_first() {
    let (_folder, path, store, lease) = fresh();
    let names = schema((0..60).map(|n| format!("custom.noise{n}")));
    let mut seed = 88_172_645_463_325_252_u64;
    for day in 0..6 {
        let mut noise = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            f64::from(u32::try_from(seed >> 44).unwrap()) / 1000.0
        };
        let beats: Vec<Batch> = (0..1440)
            .map(|minute| beat(1, day * DAY + minute * MINUTE, &names, &(0..60).map(|_| noise()).collect::<Vec<_>>()))
            .collect();
        store.append(lease, &beats).unwrap();
        let now = at((day + 1) * DAY + 10 * MINUTE);
        store.roll_up(lease, now).unwrap();
        store.seal(lease, now, &SealPolicy::AT_ONCE).unwrap();
    }
    let used = |path: &Path| {
        number(path, "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count)")
            * 4096
    };
    let (now, before) = (at(6 * DAY + 20 * MINUTE), used(&path));
    // A quarter of a small cap is the log's.
    let room = before.unsigned_abs() * 2 / 3;
    let cap = room * 4 / 3;
    let on_disk = || store.stats().unwrap().bytes;
    let five = range(&store, 1, Tier::FiveMinutes);
    store
        .retain(lease, now, &Retention { max_bytes: Some((before.unsigned_abs() + 1) * 4 / 3 + 1), ..Retention::default() })
        .unwrap();
    assert_eq!(used(&path), before, "below the cap nothing goes");
    store.retain(lease, now, &Retention { max_bytes: Some(cap), ..Retention::default() }).unwrap();
    assert!(used(&path).unsigned_abs() <= room, "{} of {room}, {before} before", used(&path));
    assert!(on_disk() <= cap, "file and log are {} of {cap}", on_disk());
    assert!(cap / 2 <= on_disk(), "and not more went than had to: {} of {cap}", on_disk());
    let raw = range(&store, 1, Tier::Raw);
    assert_eq!(raw.tiers, [Tier::Raw, Tier::FiveMinutes]);
    assert_eq!(raw.times.last(), Some(&at(6 * DAY - MINUTE)), "the newest stays");
    assert_eq!(range(&store, 1, Tier::FiveMinutes).times, five.times, "buckets go after raw");
}

#[test]
fn a_store_that_winds_down_puts_housekeeping_off() {
    let (_folder, path, store, lease) = fresh();
    let names = schema(["custom.value".to_owned()]);
    let beats: Vec<Batch> = (0..3000).map(|n| beat(1, n * 5 * MINUTE, &names, &[1.5])).collect();
    let (now, keep) = (at(3000 * 5 * MINUTE + HOUR), Retention::default());
    store.append(lease, &beats[..2999]).unwrap();
    let stopping = |said: Result<_, StoreError>| matches!(said, Err(StoreError::Stopping));
    std::thread::scope(|scope| {
        // Whatever it has come to by then: it ends, and what it did stays.
        let rolling = scope.spawn(|| store.roll_up(lease, now));
        store.wind_down();
        assert!(stopping(rolling.join().unwrap()));
    });
    assert!(stopping(store.seal(lease, now, &SealPolicy::AT_ONCE)));
    assert!(stopping(store.retain(lease, now, &keep)));
    assert!(matches!(store.import(lease, agent(2), &beats[..1], false), Err(StoreError::Stopping)));
    assert!(matches!(store.scrub(lease, now, &mut ScrubPlace::default()), Err(StoreError::Stopping)));
    store.append(lease, &beats[2999..]).unwrap();
    assert_eq!(range(&store, 1, Tier::Raw).times.len(), 3000, "heartbeats are still taken");
    drop(store);
    let (store, lease) = open(&path);
    store.roll_up(lease, now).unwrap();
    assert_eq!(number(&path, "SELECT count(*) FROM agent_metrics_5m"), 3000, "nothing is skipped");
}
