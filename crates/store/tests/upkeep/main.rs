//! What the SQLite engine does with its file over the months: bringing it forward, checking it, keeping it small.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod damage;
mod forward;
mod indexes;
mod small;

use nightbell_model::{AgentId, Batch, BootId, Frame, Schema, Tier, Timestamp, Ulid};
use nightbell_store::{LeaseToken, MetricStore, RangeQuery, ScrubPlace, SqliteOptions, SqliteStore, StateStore};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const MIDNIGHT: i64 = 20_000 * 86_400_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(MIDNIGHT + ms)
}

fn agent(n: u128) -> AgentId {
    AgentId::from_bits(n)
}

/// A folder that is gone with the test, and where the file lies in it.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    (folder, path)
}

fn open(path: &Path) -> (SqliteStore, LeaseToken) {
    let store = SqliteStore::open(path, SqliteOptions::default()).unwrap();
    let lease = store.acquire(Ulid::from_bits(1), at(0)).unwrap();
    (store, lease)
}

/// The same with a new store there.
fn fresh() -> (TempDir, PathBuf, SqliteStore, LeaseToken) {
    let (folder, path) = place();
    let (store, lease) = open(&path);
    (folder, path, store, lease)
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
