//! Indexes that are broken are made again from their tables.

use super::damage::filled;
use super::{DAY, MINUTE, at, beat, fresh, number, open, place, range, schema, scrub};
use nightbell_model::{Batch, Tier};
use nightbell_store::{MetricStore, Retention};
use rusqlite::Connection;
use std::path::Path;

#[test]
fn an_index_that_lost_entries_is_made_again() {
    let (_folder, path) = place();
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
        let (_folder, path, store, lease) = fresh();
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
