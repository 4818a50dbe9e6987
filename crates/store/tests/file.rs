//! The engine's file: what keeps it from being opened, what survives a crash, a full disk, damage, and being copied.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use nightbell_alerts::NoticeKind;
use nightbell_model::{AgentId, Batch, BootId, ChannelId, Frame, IncidentId, Schema, Tier, Timestamp, Ulid};
use nightbell_store::{
    AgentRow, Change, Commit, DeliveryState, LeaseToken, MetricStore, NewDelivery, OpenError, RangeQuery, Retention,
    SqliteOptions, SqliteStore, StateStore, StoreError,
};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const MIDNIGHT: i64 = 20_000 * 86_400_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(MIDNIGHT + ms)
}

fn open(path: &Path) -> (SqliteStore, LeaseToken) {
    let store = SqliteStore::open(path, SqliteOptions::default()).unwrap();
    let lease = store.acquire(Ulid::from_bits(1), at(0)).unwrap();
    (store, lease)
}

fn refusal(path: &Path) -> OpenError {
    match SqliteStore::open(path, SqliteOptions::default()) {
        Ok(_) => panic!("it must not open"),
        Err(error) => error,
    }
}

fn schema() -> Arc<Schema> {
    let keys = (0..100).map(|n| format!("custom.value{n}").parse().unwrap()).collect();
    Schema::new(keys)
}

fn beat(schema: &Arc<Schema>, agent: u128, n: u64) -> Batch {
    let ts = at(n.cast_signed() * 15_000);
    let values = (0..100_u32).map(|series| f64::from(series) / 7.0 + f64::from(u32::try_from(n).unwrap())).collect();
    let boot_seq = Some((BootId("boot".into()), n));
    Batch { agent: AgentId::from_bits(agent), ts, received: ts, boot_seq, schema: Arc::clone(schema), values }
}

fn range(store: &SqliteStore, agent: u128, tier: Tier) -> Frame {
    let agent = AgentId::from_bits(agent);
    let (start, end) = (Timestamp::MIN, Timestamp::MAX);
    store.range(&RangeQuery { agent, series: Vec::new(), start, end, tier: Some(tier), max_points: 100, now: at(0) }).unwrap()
}

fn delivery(id: u128) -> NewDelivery {
    NewDelivery {
        id: Ulid::from_bits(id),
        channel: ChannelId::from_bits(1),
        instance: format!("instance {id}"),
        incident: IncidentId::from_bits(id),
        kind: NoticeKind::Fired,
        n: 0,
        payload_json: "{}".to_owned(),
        created_at: at(0),
        not_before: at(0),
        fold: None,
    }
}

fn agent_row(n: u8) -> AgentRow {
    AgentRow {
        id: AgentId::from_bits(n.into()),
        name: format!("host-{n}"),
        tags: Vec::new(),
        created_at: at(0),
        last_seen: None,
        interval_ms: 15_000,
        paused: false,
        version: String::new(),
        facts_json: "{}".to_owned(),
        credential: [n; 32],
        enrolled_as: String::new(),
    }
}

/// A copy of the file as it lies on the disk at this moment, as after a loss of power.
fn crash_image(path: &Path, folder: &Path) -> PathBuf {
    let copy = folder.join("image.db");
    for suffix in ["", "-wal"] {
        let name = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        std::fs::copy(name(path), name(&copy)).unwrap();
    }
    copy
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/hub.db");
    let error = refusal(&path);
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
    assert!(error.to_string().contains("missing/hub.db") && error.to_string().contains("choose another"), "{error}");
    std::fs::create_dir_all(&path).unwrap();
    assert!(matches!(refusal(&path), OpenError::NotWritable { .. }), "a folder is no file");
}

#[test]
fn two_hubs_cannot_have_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let first = open(&path);
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    drop(first);
    open(&path);
}

#[test]
fn a_file_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "dear diary, ".repeat(1000)).unwrap();
    assert!(matches!(refusal(&text), OpenError::NotADatabase { .. }));
    let other = folder.path().join("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    let before = std::fs::read(&other).unwrap();
    assert!(matches!(refusal(&other), OpenError::NotADatabase { .. }));
    assert_eq!(std::fs::read(&other).unwrap(), before);
}

#[test]
fn a_newer_schema_is_refused_and_says_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    drop(open(&path));
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let error = refusal(&path);
    let shipped = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/sqlite")).unwrap().count();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("99") && error.to_string().contains(&format!("up to {shipped}")), "{error}");
}

#[test]
fn the_file_has_its_form_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let store = open(&path).0;
    let ask = |pragma: &str| -> String {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.query_row(&format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!([ask("journal_mode"), ask("auto_vacuum"), ask("page_size")], ["wal", "2", "4096"]);
    drop(store);
}

#[test]
fn what_was_acknowledged_is_in_every_crash_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
    let schema = schema();
    for n in 0..60 {
        store.append(lease, &[beat(&schema, 1, n), beat(&schema, 2, n)]).unwrap();
        if n == 30 {
            store.checkpoint().unwrap();
        }
        if n % 15 == 0 {
            let elsewhere = tempfile::tempdir().unwrap();
            let (image, _) = open(&crash_image(&path, elsewhere.path()));
            let found = range(&image, 2, Tier::Raw);
            assert_eq!(found.times.len() as u64, n + 1);
            assert_eq!(found, range(&store, 2, Tier::Raw));
        }
    }
}

#[test]
fn rolling_up_can_be_interrupted_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
    let schema = schema();
    for hour in 0..10 {
        let beats: Vec<Batch> = (0..240).step_by(4).map(|n| beat(&schema, 1, hour * 240 + n)).collect();
        store.append(lease, &beats).unwrap();
    }
    let expected = Tier::ALL.map(|tier| range(&store, 1, tier));
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                let lease = store.acquire(Ulid::from_bits(1), at(0)).unwrap();
                // Another takeover may come at any moment and stop it between two slices.
                let rolled = store.roll_up(lease, at(3 * DAY));
                assert!(matches!(rolled, Ok(_) | Err(StoreError::Conflict(_))), "{rolled:?}");
            }
        });
        for _ in 0..40 {
            store.acquire(Ulid::from_bits(2), at(0)).unwrap();
            assert_eq!(Tier::ALL.map(|tier| range(&store, 1, tier)), expected);
        }
        is_done.store(true, Ordering::SeqCst);
    });
    drop(store);
    let (store, lease) = open(&path);
    store.roll_up(lease, at(3 * DAY)).unwrap();
    assert_eq!(store.roll_up(lease, at(3 * DAY)).unwrap().buckets, 0);
    assert_eq!(Tier::ALL.map(|tier| range(&store, 1, tier)), expected);
}

#[test]
fn a_full_disk_is_said_and_the_same_commit_works_once_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { max_pages: Some(300), ..SqliteOptions::default() };
    let store = SqliteStore::open(&folder.path().join("hub.db"), options).unwrap();
    let lease = store.acquire(Ulid::from_bits(1), at(0)).unwrap();
    let schema = schema();
    let commit = |n: u64| Commit {
        // Space is given back by pages: the first commits are all of the agent that goes later.
        batches: (n * 10..n * 10 + 10).map(|beat_n| beat(&schema, if n < 20 { 2 } else { 1 }, beat_n)).collect(),
        outbox: vec![delivery(u128::from(n) + 1)],
        ..Commit::default()
    };
    let full = (0..1000).find(|n| store.commit(lease, &commit(*n)).is_err()).unwrap();
    assert!(full > 25, "{full}");
    for _ in 0..3 {
        assert!(matches!(store.commit(lease, &commit(full)), Err(StoreError::Unavailable { .. })));
    }
    let stored = || range(&store, 1, Tier::Raw).times.len() as u64;
    assert_eq!(stored(), (full - 20) * 10, "nothing of a failed commit is there");
    let row = agent_row(2);
    let id = row.id;
    store.apply(lease, &[Change::PutAgent(row), Change::DeleteAgent { id, purge: true }], None).unwrap();
    store.retain(lease, at(DAY), &Retention::default()).unwrap();
    store.commit(lease, &commit(full)).unwrap();
    store.commit(lease, &commit(full)).unwrap();
    assert_eq!(stored(), (full - 20) * 10 + 10);
    assert_eq!(range(&store, 2, Tier::Raw).times.len(), 0);
    assert!(store.delivery(Ulid::from_bits(u128::from(full) + 1)).unwrap().is_some());
}

#[test]
fn a_damaged_row_is_named_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
    let schema = schema();
    store.append(lease, &[beat(&schema, 1, 0), beat(&schema, 2, 0), beat(&schema, 1, 1)]).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("UPDATE agent_metrics SET received = received + 1 WHERE id = 1").unwrap();
    let query = |agent| RangeQuery {
        agent: AgentId::from_bits(agent),
        series: Vec::new(),
        start: Timestamp::MIN,
        end: Timestamp::MAX,
        tier: None,
        max_points: 10,
        now: at(0),
    };
    for _ in 0..2 {
        assert_eq!(store.range(&query(1)).unwrap().times, [at(15_000)]);
        let damage = store.damage(AgentId::from_bits(1), Timestamp::MIN, Timestamp::MAX).unwrap();
        assert_eq!(damage.iter().map(|one| (one.start, one.end)).collect::<Vec<_>>(), [(at(0), at(1))]);
        assert_eq!((damage[0].why.as_str(), store.stats().unwrap().damaged), ("its checksum is wrong", 1));
    }
    assert_eq!(store.range(&query(2)).unwrap().times.len(), 1);
    assert_eq!(store.damage(AgentId::from_bits(2), Timestamp::MIN, Timestamp::MAX).unwrap(), []);
    store.append(lease, &[beat(&schema, 1, 2)]).unwrap();
}

/// Makes the first page of a table or index unreadable.
fn ruin(path: &Path, name: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let sql = "SELECT (rootpage - 1) * page_size FROM sqlite_schema, pragma_page_size WHERE name = ?1";
    let at: i64 = connection.query_row(sql, [name], |row| row.get(0)).unwrap();
    drop(connection);
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[0xff; 8], at.unsigned_abs()).unwrap();
}

#[test]
fn a_page_of_history_that_cannot_be_read_keeps_no_hub_from_starting_and_one_of_the_rules_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    {
        let (store, lease) = open(&path);
        store.apply(lease, &[Change::PutAgent(agent_row(1))], None).unwrap();
        store.append(lease, &[beat(&schema(), 1, 0)]).unwrap();
    }
    ruin(&path, "agent_metrics_by_time");
    let (store, _lease) = open(&path);
    let loaded = store.load().unwrap();
    assert_eq!((loaded.agents[0].name.as_str(), loaded.latest.len()), ("host-1", 0));
    drop(store);
    ruin(&path, "alert_rules");
    let error = open(&path).0.load().unwrap_err();
    assert!(error.to_string().contains("the table alert_rules is damaged"), "{error}");
}

#[test]
fn a_backup_is_whole_and_holds_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (store, lease) = open(&folder.path().join("hub.db"));
    let schema = schema();
    store.commit(lease, &Commit { outbox: vec![delivery(1), delivery(2)], ..Commit::default() }).unwrap();
    store.claim(lease, at(0), at(1), &[vec![Ulid::from_bits(1)]]).unwrap();
    let copy = folder.path().join("backup.db");
    let is_done = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut n = 0;
            while !is_done.load(Ordering::SeqCst) {
                store.append(lease, &[beat(&schema, 1, n)]).unwrap();
                n += 1;
            }
            n
        });
        while range(&store, 1, Tier::Raw).times.len() < 50 {
            std::thread::yield_now();
        }
        store.backup_to(&copy).unwrap();
        is_done.store(true, Ordering::SeqCst);
        load.join().unwrap()
    });
    assert!(matches!(store.backup_to(&copy), Err(StoreError::Conflict(_))));
    let (copied, lease) = open(&copy);
    let count = range(&copied, 1, Tier::Raw).times.len() as u64;
    assert!((50..=acknowledged).contains(&count));
    let state = |id| copied.delivery(Ulid::from_bits(id)).unwrap().map(|one| (one.state, one.maybe_repeat));
    assert_eq!(state(1), Some((DeliveryState::Held, true)));
    assert_eq!(state(2), Some((DeliveryState::Held, false)));
    assert_eq!(copied.claim(lease, at(DAY), at(DAY + 1), &[vec![Ulid::from_bits(1)]]).unwrap(), [Vec::new()]);
    assert_eq!(copied.waiting(at(DAY)).unwrap(), []);
    copied.append(lease, &[beat(&schema, 1, count)]).unwrap();
    assert_eq!(range(&copied, 1, Tier::Raw).times.len() as u64, count + 1);
}

#[test]
fn checkpoints_keep_the_log_short_and_space_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
    let schema = schema();
    for chunk in 0..200 {
        let beats: Vec<Batch> = (0..200).map(|n| beat(&schema, 1, chunk * 200 + n)).collect();
        store.append(lease, &beats).unwrap();
        store.checkpoint().unwrap();
    }
    let log = PathBuf::from(format!("{}-wal", path.display()));
    assert!(std::fs::metadata(&log).unwrap().len() < 24 << 20);
    let before = store.stats().unwrap();
    store.roll_up(lease, at(30 * DAY)).unwrap();
    store.retain(lease, at(200 * DAY), &Retention::default()).unwrap();
    store.close().unwrap();
    let after = store.stats().unwrap();
    let rows = |table: &str| -> i64 {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows("agent_metrics"), rows("agent_metrics_5m")), (0, 0));
    assert!(after.bytes < 6 << 20 && after.bytes < before.bytes / 2, "{before:?} {after:?}");
}

#[test]
fn a_long_reader_stops_neither_commits_nor_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
    let schema = schema();
    store.append(lease, &[beat(&schema, 1, 0)]).unwrap();
    let reader = rusqlite::Connection::open(&path).unwrap();
    let count = || reader.query_row("SELECT count(*) FROM agent_metrics", [], |row| row.get::<_, u32>(0)).map(u64::from).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(count(), 1);
    let log_bytes = || std::fs::metadata(format!("{}-wal", path.display())).unwrap().len();
    let mut n = 1;
    while log_bytes() < 18 << 20 {
        store.append(lease, &(n..n + 200).map(|n| beat(&schema, 1, n)).collect::<Vec<_>>()).unwrap();
        n += 200;
    }
    store.checkpoint().unwrap();
    store.append(lease, &[beat(&schema, 1, n)]).unwrap();
    assert_eq!(count(), 1, "the reader still sees what it began with");
    assert!(log_bytes() > 16 << 20);
    reader.execute_batch("COMMIT").unwrap();
    let long = log_bytes();
    store.checkpoint().unwrap();
    store.append(lease, &[beat(&schema, 1, n + 1)]).unwrap();
    assert_eq!((count(), log_bytes()), (n + 2, long), "the log is written from its beginning again, where it is");
    let in_use = reader.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, u32>(1)).unwrap();
    assert!(in_use < 20, "{in_use} pages");
    store.close().unwrap();
    assert_eq!(log_bytes(), 0);
}

#[test]
fn a_person_can_read_the_headline_with_plain_sql() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
    let keys = ["mem.used_percent", "cpu.usage_percent", "disk.used_percent{mount=/srv}", "disk.used_percent{mount=/}"];
    let schema = Schema::new(keys.iter().map(|key| key.parse().unwrap()).collect());
    let values = [40.5, 12.25, 1.0, f64::NAN].into();
    store.append(lease, &[Batch { schema, values, ..beat(&self::schema(), 1, 0) }]).unwrap();
    let sql = "SELECT at, cpu_percent, mem_percent, disk_percent FROM agent_metrics_readable";
    let row: (String, f64, f64, Option<f64>) = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap();
    assert_eq!(row, ("2024-10-04T00:00:00.000Z".to_owned(), 12.25, 40.5, None));
}
