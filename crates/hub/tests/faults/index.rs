//! An index whose root cannot be read: the hub finds it by the job that fails, and makes it again by itself.

use crate::support::hub::{Hub, Start};
use crate::support::wait::until_true;
use rusqlite::Connection;
use rustix::process::Signal;
use std::os::unix::fs::FileExt as _;

/// The page size of a database that the hub makes.
const PAGE: u64 = 4096;

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_index_is_made_again_while_the_hub_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut start = Start::serve(&data);
    start.environment.push(("NIGHTBELL_JOBS_ROLL_UP".to_owned(), "* * * * * *".into()));
    let mut hub = Hub::start(start).await;
    assert!(hub.end(Signal::TERM).await.success());
    let path = data.join("nightbell.db");
    let connection = Connection::open(&path).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'rollup_pending_by_time'";
    let root: u64 = connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(connection);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0x4a], (root - 1) * PAGE).unwrap();
    drop(file);
    hub.again().await;
    until_true("the index to be made again", async || hub.log().contains("an index was made again")).await;
    assert!(hub.end(Signal::TERM).await.success());
    let connection = Connection::open(&path).unwrap();
    let said: String = connection.query_row("PRAGMA integrity_check(rollup_pending)", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
}
