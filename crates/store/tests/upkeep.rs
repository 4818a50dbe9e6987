//! What the SQLite engine does with its file over the months: bringing it forward, checking it, keeping it small.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nightbell_model::{AgentId, Batch, BootId, Frame, Schema, Tier, Timestamp, Ulid};
use nightbell_store::{
    LeaseToken, MetricStore, OpenError, RangeQuery, Retention, ScrubPlace, SealPolicy, SqliteOptions, SqliteStore, StateStore,
    StoreError,
};
use rusqlite::Connection;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MIDNIGHT: i64 = 20_000 * 86_400_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The schema of the first release, as it shipped.
const FIRST_SCHEMA: &str = include_str!("../../../migrations/sqlite/0001-init/up.sql");

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(MIDNIGHT + ms)
}

fn agent(n: u128) -> AgentId {
    AgentId::from_bits(n)
}

fn open(path: &Path) -> (SqliteStore, LeaseToken) {
    let store = SqliteStore::open(path, SqliteOptions::default()).unwrap();
    let lease = store.acquire(Ulid::from_bits(1), at(0)).unwrap();
    (store, lease)
}

fn schema(names: impl IntoIterator<Item = String>) -> Arc<Schema> {
    Schema::new(names.into_iter().map(|name| name.parse().unwrap()).collect())
}

fn beat(n: u128, ms: i64, schema: &Arc<Schema>, values: &[f64]) -> Batch {
    let boot_seq = Some((BootId("boot".into()), ms.unsigned_abs()));
    Batch { agent: agent(n), ts: at(ms), received: at(ms), boot_seq, schema: Arc::clone(schema), values: values.into() }
}

fn range(store: &SqliteStore, n: u128, tier: Tier) -> Frame {
    let (start, end) = (Timestamp::MIN, Timestamp::MAX);
    let query = RangeQuery { agent: agent(n), series: Vec::new(), start, end, tier: Some(tier), max_points: 9, now: at(0) };
    store.range(&query).unwrap()
}

fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A file as the first release wrote it, with two heartbeats of one agent: 9.0 and 9.1 percent.
fn first_release(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL").unwrap();
    connection.execute_batch(FIRST_SCHEMA).unwrap();
    let key = agent(1).to_string();
    connection.execute("INSERT INTO agent_keys (key, agent) VALUES (1, ?1)", [&key]).unwrap();
    connection.execute_batch("INSERT INTO series VALUES (1, 0, 'cpu.usage_percent', 2)").unwrap();
    for (ms, vector) in [(0, "010001870700"), (15_000, "010001910700")] {
        // version 1, skip 0, length 1, 900 + 3 and 910 + 3 as varints
        let vector = &vector[..10];
        let sql = format!(
            "INSERT INTO agent_metrics (agent, ts, received, cpu_percent, vector) VALUES (1, {0}, {0}, 9.0, x'{vector}')",
            MIDNIGHT + ms
        );
        connection.execute_batch(&sql).unwrap();
    }
    connection.execute_batch("PRAGMA user_version = 1").unwrap();
}

fn copies(folder: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.to_string_lossy().contains(".schema-")).collect()
}

#[test]
fn a_file_of_the_first_release_is_copied_and_brought_forward() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    first_release(&path);
    let (store, lease) = open(&path);
    let found = range(&store, 1, Tier::Raw);
    assert_eq!((found.times, found.columns[0].mean.clone()), (vec![at(0), at(15_000)], vec![9.0, 9.1]));
    let percent = schema(["cpu.usage_percent".to_owned()]);
    store.append(lease, &[beat(1, 30_000, &percent, &[9.2])]).unwrap();
    store.seal(lease, at(DAY), &SealPolicy::AT_ONCE).unwrap();
    assert_eq!(range(&store, 1, Tier::Raw).columns[0].mean, [9.0, 9.1, 9.2]);
    assert_eq!(number(&path, "SELECT count(*) FROM series WHERE mark IS NULL"), 0, "old lines have their checksums now");
    drop(store);
    let copies = copies(folder.path());
    assert_eq!(copies.len(), 1, "{copies:?}");
    let name = copies[0].file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.starts_with("hub.db.schema-1-before-"), "{name}");
    assert_eq!(number(&copies[0], "PRAGMA user_version"), 1);
    assert_eq!(number(&copies[0], "SELECT count(*) FROM agent_metrics"), 2);
    // Going back is to put the copy in its place.
    let back = folder.path().join("back.db");
    std::fs::copy(&copies[0], &back).unwrap();
    assert_eq!(range(&open(&back).0, 1, Tier::Raw).times.len(), 2);
    open(&path);
    assert_eq!(self::copies(folder.path()).len(), 2, "only what is brought forward is copied: this file and the one put back");
}

#[test]
fn without_room_for_the_copy_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    first_release(&path);
    let known = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/sqlite")).unwrap().count();
    // Something is in the way of the copy while it is made.
    let half = folder.path().join(format!("hub.db.schema-1-before-{known}.part"));
    std::fs::create_dir(&half).unwrap();
    let refused = SqliteStore::open(&path, SqliteOptions::default());
    assert!(matches!(refused, Err(OpenError::NoBackup { .. })), "{refused:?}");
    assert_eq!(number(&path, "PRAGMA user_version"), 1);
    std::fs::remove_dir(&half).unwrap();
    open(&path);
}

/// Scrubs once round; what was found.
fn scrub(store: &SqliteStore, lease: LeaseToken) -> Vec<String> {
    let (mut place, mut found) = (ScrubPlace::default(), Vec::new());
    loop {
        let report = store.scrub(lease, at(9 * DAY), &mut place).unwrap();
        found.extend(report.found);
        if report.is_round {
            return found;
        }
    }
}

/// Three agents with a day of heartbeats, rolled up and packed, and some that are neither.
fn filled(path: &Path) -> (SqliteStore, LeaseToken) {
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
fn a_quarter_of_an_hour_is_packed_some_minutes_after_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
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
fn scrubbing_names_what_is_damaged_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.db");
        let (store, lease) = open(&path);
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
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
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
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
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

#[test]
fn an_index_that_lost_entries_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    drop(filled(&path));
    // A row that its index does not know of: the schema forgets the index while the row is written.
    let index = "name = 'agent_metrics_by_time'";
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA writable_schema = ON; CREATE TABLE aside AS SELECT * FROM sqlite_schema WHERE {index};
             DELETE FROM sqlite_schema WHERE {index}; PRAGMA writable_schema = RESET"
        ))
        .unwrap();
    drop(connection);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("UPDATE agent_metrics SET id = id + 1000000 WHERE id = (SELECT max(id) FROM agent_metrics)")
        .unwrap();
    connection
        .execute_batch(
            "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM aside; DROP TABLE aside; PRAGMA writable_schema = RESET",
        )
        .unwrap();
    drop(connection);
    let (store, lease) = open(&path);
    let found = scrub(&store, lease);
    assert!(!found.is_empty() && found.iter().all(|words| words.contains("agent_metrics_by_time")), "{found:#?}");
    assert_eq!(scrub(&store, lease), Vec::<String>::new());
    assert_eq!(number(&path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.db");
        let (store, lease) = open(&path);
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
fn containers_that_come_and_go_do_not_grow_the_dictionary_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
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
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
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
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
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

/// The first byte of an index's root page, which says what kind of page it is.
fn break_the_root(path: &Path, index: &str) {
    let root = number(path, &format!("SELECT rootpage FROM sqlite_schema WHERE name = '{index}'"));
    Connection::open(path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    bytes[usize::try_from(root - 1).unwrap() * 4096] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn an_index_without_a_root_is_made_again() {
    for index in ["agent_metrics_by_time", "sqlite_autoindex_agent_metrics_5m_1", "rollup_pending_by_time"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.db");
        let (store, lease) = open(&path);
        let names = schema(["custom.value".to_owned()]);
        let beats: Vec<Batch> = (0..4000).map(|n| beat(1, n * 5 * MINUTE, &names, &[1.5])).collect();
        store.append(lease, &beats).unwrap();
        store.roll_up(lease, at(3000 * 5 * MINUTE)).unwrap();
        let whole = range(&store, 1, Tier::Raw);
        drop(store);
        break_the_root(&path, index);
        let (store, lease) = open(&path);
        let found = scrub(&store, lease);
        assert!(!found.is_empty(), "{index}");
        assert_eq!(scrub(&store, lease), Vec::<String>::new(), "{index} is mended by the first round");
        store.roll_up(lease, at(4001 * 5 * MINUTE)).unwrap();
        assert_eq!(range(&store, 1, Tier::Raw), whole, "{index}");
        assert_eq!(number(&path, "SELECT count(*) FROM agent_metrics_5m"), 4000, "{index}");
        let keep = Retention { raw_ms: DAY, ..Retention::default() };
        store.retain(lease, at(4001 * 5 * MINUTE), &keep).unwrap();
        assert!(store.compact(lease).unwrap(), "{index}: the old pages are lost room");
        assert!(!store.compact(lease).unwrap(), "{index}: and there is none any more");
        assert_eq!(number(&path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0, "{index}");
        store.append(lease, &[beat(1, 4002 * 5 * MINUTE, &names, &[2.5])]).unwrap();
        drop(store);
        let (store, _) = open(&path);
        assert_eq!(range(&store, 1, Tier::Raw).times.last(), Some(&at(4002 * 5 * MINUTE)), "{index}");
    }
}
