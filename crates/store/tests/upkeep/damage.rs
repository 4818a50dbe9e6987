//! Damaged rows, chunks and pages: what is lost is named, and everything else goes on.

use super::{DAY, HOUR, MINUTE, agent, at, beat, fresh, number, open, place, range, schema, scrub};
use nightbell_model::{Batch, Tier, Timestamp};
use nightbell_store::{LeaseToken, MetricStore, Retention, SealPolicy, SqliteStore, StoreError};
use rusqlite::Connection;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Three agents with a day of heartbeats, rolled up and packed, and some that are neither.
pub(super) fn filled(path: &Path) -> (SqliteStore, LeaseToken) {
    let (store, lease) = open(path);
    let names = schema((0..20).map(|n| format!("custom.value{n}")));
    for n in 1..4 {
        let values =
            |minute: i64| (0..20_i32).map(move |series| f64::from(series) + f64::from(i32::try_from(minute).unwrap()) / 8.0);
        let beats: Vec<Batch> =
            (0..26 * 60).map(|minute| beat(n, minute * MINUTE, &names, &values(minute).collect::<Vec<_>>())).collect();
        store.append(lease, &beats).unwrap();
    }
    store.roll_up(lease, at(25 * HOUR + 30 * MINUTE)).unwrap();
    store.seal(lease, at(25 * HOUR + 30 * MINUTE), &SealPolicy::AT_ONCE).unwrap();
    (store, lease)
}

#[test]
fn scrubbing_names_what_is_damaged_and_the_rest_goes_on() {
    let (_folder, path) = place();
    let (store, lease) = filled(&path);
    assert_eq!(scrub(&store, lease), Vec::<String>::new());
    let whole = Tier::ALL.map(|tier| range(&store, 2, tier));
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "UPDATE agent_chunks SET body = CAST(substr(body, 1, 99) || x'00ff' || substr(body, 102) AS BLOB) WHERE agent = 1 AND dense = 1;
             UPDATE agent_metrics SET seq = seq + 1 WHERE id = (SELECT max(id) FROM agent_metrics WHERE agent = 1);
             UPDATE rollup_chunks SET until = until + 1 WHERE agent = 1 AND tier = 1 AND dense = 0;
             UPDATE agent_metrics_hourly SET bucket = bucket + 3600000 WHERE agent = 3",
        )
        .unwrap();
    let found = scrub(&store, lease);
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found.iter().all(|words| words.contains("its checksum is wrong")), "{found:#?}");
    assert!(found[0].starts_with("agent_chunks row") && found[0].contains("agent number 1"), "{found:#?}");
    assert_eq!(number(&path, "SELECT count(*) FROM quarantine WHERE body IS NOT NULL"), 4);
    assert_eq!(scrub(&store, lease), Vec::<String>::new(), "what is set aside is not found again");
    drop(store);
    let (store, lease) = open(&path);
    let damage = store.damage(agent(1), at(0), at(2 * DAY)).unwrap();
    assert_eq!(damage.len(), 3, "{damage:?}");
    assert_eq!((damage[0].start, damage[0].end), (at(0), at(DAY)));
    assert_eq!(Tier::ALL.map(|tier| range(&store, 2, tier)), whole, "other agents have lost nothing");
    let left = range(&store, 1, Tier::Raw);
    assert_eq!((left.times[0], left.times.len()), (at(DAY), 119), "the day that was damaged is missing, and one row");
    store.seal(lease, at(3 * DAY), &SealPolicy::AT_ONCE).unwrap();
    assert_eq!(range(&store, 1, Tier::Raw), left);
}

/// Makes the second leaf of a table or an index unreadable.
fn break_a_leaf(path: &Path, name: &str) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let sql = "SELECT pgoffset FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' ORDER BY path";
    let mut select = connection.prepare(sql).unwrap();
    let leaves: Vec<i64> = select.query_map([name], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(leaves.len() > 2, "{name} has {} leaves", leaves.len());
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[0xff; 8], leaves[1].unsigned_abs()).unwrap();
}

#[test]
fn a_damaged_page_of_the_list_of_chunks_hides_only_its_own() {
    const DAYS: i64 = 700;
    for (broken, tier) in [
        ("agent_chunks", Tier::Raw),
        ("sqlite_autoindex_agent_chunks_1", Tier::Raw),
        ("rollup_chunks", Tier::FiveMinutes),
        ("sqlite_autoindex_rollup_chunks_1", Tier::FiveMinutes),
    ] {
        let (_folder, path, store, lease) = fresh();
        let names = schema((0..4).map(|n| format!("custom.value{n}")));
        for day in 0..DAYS {
            let values = |n: i64| [1.0, 2.5, 3.25, f64::from(i32::try_from(day * n).unwrap()) / 7.0];
            let beats: Vec<Batch> = (0..2).map(|n| beat(1, day * DAY + n * HOUR, &names, &values(n))).collect();
            store.append(lease, &beats).unwrap();
        }
        let now = at(DAYS * DAY + 2 * HOUR);
        store.roll_up(lease, now).unwrap();
        store.seal(lease, now, &SealPolicy::AT_ONCE).unwrap();
        let whole = range(&store, 1, tier).times;
        store.close().unwrap();
        drop(store);
        break_a_leaf(&path, broken);
        let (store, _lease) = open(&path);
        let left: Vec<Timestamp> = range(&store, 1, tier).times;
        let is_there = |day: i64| left.contains(&at(day * DAY));
        let lost = (0..DAYS).filter(|day| !is_there(*day)).count();
        assert!(is_there(0) && is_there(DAYS - 1), "{broken}: both ends are read");
        assert!(lost > 0 && lost < 350, "{broken}: {lost} of {DAYS} days are lost");
        let damage = store.damage(agent(1), Timestamp::MIN, Timestamp::MAX).unwrap();
        let is_named = |time: &Timestamp| damage.iter().any(|one| one.start <= *time && *time < one.end);
        let unnamed = whole.iter().filter(|time| !left.contains(time)).filter(|time| !is_named(time)).count();
        assert_eq!(unnamed, 0, "{broken}: what is missing is named");
    }
}

#[test]
fn buckets_that_can_be_written_are_written_where_others_cannot_be() {
    let (_folder, path, store, lease) = fresh();
    let names = schema((0..20).map(|n| format!("custom.value{n}")));
    let beats = |n: u128, extra_ms: i64| -> Vec<Batch> {
        let value = |minute: i32, series: i32| f64::from((minute * 7919 + series * 104_729) % 1000) / 8.0;
        let values = |minute: i32| (0..20).map(|series| value(minute, series)).collect::<Vec<_>>();
        (0..600).map(|minute| beat(n, i64::from(minute) * MINUTE + extra_ms, &names, &values(minute))).collect()
    };
    (1..4).for_each(|n| store.append(lease, &beats(n, 0)).unwrap());
    store.roll_up(lease, at(11 * HOUR)).unwrap();
    store.close().unwrap();
    drop(store);
    break_a_leaf(&path, "agent_metrics_5m");
    let (store, lease) = open(&path);
    // All buckets have to be made again, some of them on the damaged page.
    (1..4).for_each(|n| store.append(lease, &beats(n, 1)).unwrap());
    let marks = || number(&path, "SELECT count(*) FROM rollup_pending WHERE tier = 1");
    assert_eq!(marks(), 360);
    for _round in 0..2 {
        let rolled = store.roll_up(lease, at(12 * HOUR));
        assert!(matches!(rolled, Err(StoreError::Corrupt { .. })), "that something is damaged is said: {rolled:?}");
        let left = marks();
        assert!((1..60).contains(&left), "{left} of 360 buckets are left");
    }
    // Raw history is not kept for ever because of them.
    drop(store.roll_up(lease, at(3 * DAY)));
    assert_eq!(marks(), 0);
    drop(store.roll_up(lease, at(3 * DAY)));
    store.roll_up(lease, at(3 * DAY)).unwrap();
}

#[test]
fn what_is_too_old_goes_where_that_of_another_agent_cannot() {
    let (_folder, path, store, lease) = fresh();
    let names = schema((0..4).map(|n| format!("custom.value{n}")));
    let now = at(300 * DAY + 2 * HOUR);
    for n in 1..4 {
        for day in 0..if n == 1 { 300 } else { 3 } {
            let values = |hour: i64| [1.0, 2.5, 3.25, f64::from(i32::try_from(day * hour).unwrap()) / 7.0];
            let beats: Vec<Batch> = (0..2).map(|hour| beat(n, day * DAY + hour * HOUR, &names, &values(hour))).collect();
            store.append(lease, &beats).unwrap();
        }
        // One after the other, so that the damaged page is of the first alone.
        store.roll_up(lease, now).unwrap();
        store.seal(lease, now, &SealPolicy::AT_ONCE).unwrap();
    }
    store.close().unwrap();
    drop(store);
    break_a_leaf(&path, "agent_chunks");
    let (store, lease) = open(&path);
    let raw = |n: u128| range(&store, n, Tier::Raw).times.len();
    assert!(raw(2) > 0 && raw(3) > 0);
    let keep = Retention { raw_ms: DAY, five_minutes_ms: 2000 * DAY, ..Retention::default() };
    let removed = store.retain(lease, now, &keep);
    let left = number(&path, "SELECT count(*) FROM agent_chunks INDEXED BY sqlite_autoindex_agent_chunks_1 WHERE agent > 1");
    assert_eq!(left, 0, "{removed:?}");
    assert!(matches!(removed, Err(StoreError::Corrupt { .. })), "and the damage is said: {removed:?}");
}

/// A stretch of an index takes the place of the one after it, as when a page's number is damaged.
fn repeat_a_page(path: &Path, index: &str) {
    let root = number(path, &format!("SELECT rootpage FROM sqlite_schema WHERE name = '{index}'"));
    Connection::open(path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let page = &mut bytes[usize::try_from(root - 1).unwrap() * 4096..][..4096];
    // https://www.sqlite.org/fileformat2.html#b_tree_pages: 2 is an inner page of an index, its cells begin with a page's number.
    let cell = |page: &[u8], n: usize| usize::from(u16::from_be_bytes([page[12 + 2 * n], page[13 + 2 * n]]));
    assert!(page[0] == 2 && page[4] >= 2, "the index has inner pages");
    let (first, second) = (cell(page, 0), cell(page, 1));
    page.copy_within(first..first + 4, second);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_broken_index_gives_no_row_twice() {
    for (index, tier) in [("agent_metrics_by_time", Tier::Raw), ("sqlite_autoindex_agent_metrics_5m_1", Tier::FiveMinutes)] {
        let (_folder, path, store, lease) = fresh();
        let names = schema(["custom.value".to_owned()]);
        let beats: Vec<Batch> =
            (0..4000).map(|n| beat(1, n * 5 * MINUTE, &names, &[f64::from(i32::try_from(n).unwrap())])).collect();
        store.append(lease, &beats).unwrap();
        store.roll_up(lease, at(4000 * 5 * MINUTE)).unwrap();
        let whole = range(&store, 1, tier);
        drop(store);
        repeat_a_page(&path, index);
        let (store, lease) = open(&path);
        let left = range(&store, 1, tier);
        assert!(left.times.is_sorted_by(|a, b| a < b) && left.times.len() < whole.times.len(), "{tier:?}");
        assert!(left.times.iter().all(|time| whole.times.contains(time)), "{tier:?}");
        let damage = store.damage(agent(1), Timestamp::MIN, Timestamp::MAX).unwrap();
        assert!(damage.iter().any(|one| one.why == "it was read out of order"), "{tier:?}: {damage:?}");
        assert!(!scrub(&store, lease).is_empty(), "{tier:?}: it is named, and scrubbing comes round");
        let found = range(&store, 1, tier);
        assert!(found.times.is_sorted_by(|a, b| a < b), "{tier:?}");
    }
}

#[test]
fn what_is_complete_is_packed_where_other_history_cannot_be_read() {
    for broken in ["agent_metrics_by_time", "agent_metrics"] {
        let (_folder, path, store, lease) = fresh();
        let names = schema((0..20).map(|n| format!("custom.value{n}")));
        let values =
            |minute: i64| (0..20).map(|n| f64::from(i32::try_from(minute * n % 1000).unwrap()) / 8.0).collect::<Vec<_>>();
        // One after the other, so that the damaged page is of the first alone.
        for n in 1..4 {
            let beats: Vec<Batch> = (0..600).map(|minute| beat(n, minute * MINUTE, &names, &values(minute))).collect();
            store.append(lease, &beats).unwrap();
        }
        store.roll_up(lease, at(10 * HOUR)).unwrap();
        store.close().unwrap();
        drop(store);
        break_a_leaf(&path, broken);
        let (store, lease) = open(&path);
        let sealed = store.seal(lease, at(10 * HOUR + 30 * MINUTE), &SealPolicy::AT_ONCE);
        assert!(matches!(sealed, Err(StoreError::Corrupt { .. })), "{broken}: the damage is said: {sealed:?}");
        let chunks = |n: u8| number(&path, &format!("SELECT count(*) FROM agent_chunks WHERE agent = {n}"));
        let packed = |n: u8| number(&path, &format!("SELECT count(*) FROM rollup_chunks WHERE tier = 1 AND agent = {n}"));
        assert_eq!([2, 3].map(|n| (chunks(n), packed(n))), [(40, 9); 2], "{broken}");
        assert!(chunks(1) < 40 || packed(1) < 9, "{broken}: {} and {}", chunks(1), packed(1));
        let left = number(&path, "SELECT count(*) FROM agent_metrics NOT INDEXED WHERE id > 610");
        assert!(
            (2..100).contains(&left),
            "{broken}: what is packed is removed, but for what shares pages with the damage: {left}"
        );
    }
}
