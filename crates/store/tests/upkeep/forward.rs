//! Files of older releases: copied, then brought forward, or left alone.

use super::{DAY, MIDNIGHT, agent, at, beat, number, open, place, range, schema};
use nightbell_model::Tier;
use nightbell_store::{MetricStore, OpenError, SealPolicy, SqliteOptions, SqliteStore};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// The schema of the first release, as it shipped.
const FIRST_SCHEMA: &str = include_str!("../../../../migrations/sqlite/0001-init/up.sql");

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
    let (folder, path) = place();
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
    let (folder, path) = place();
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
