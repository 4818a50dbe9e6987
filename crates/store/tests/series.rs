//! Agents that send ever new series: what they have is kept, what they add is bounded, and a long dictionary stays right.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nightbell_alerts::EventKind;
use nightbell_model::{AgentId, Batch, BootId, Schema, Tier, Timestamp, Ulid};
use nightbell_store::{Commit, LeaseToken, MetricStore, RangeQuery, SqliteOptions, SqliteStore, StateStore};
use rusqlite::Connection;
use std::path::Path;

/// As many series of one agent as are kept.
const MOST: usize = 200_000;
/// So many come with each heartbeat here.
const EACH: u32 = 1_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(20_000 * 86_400_000 + ms)
}

fn open(path: &Path) -> (SqliteStore, LeaseToken) {
    let store = SqliteStore::open(path, SqliteOptions::default()).unwrap();
    let lease = store.acquire(Ulid::from_bits(1), at(0)).unwrap();
    (store, lease)
}

/// A heartbeat with one series that always comes and `EACH` whose names begin with `name`.
fn beat(agent: u128, n: u32, name: &str) -> Batch {
    let keys = (0..EACH).map(|number| format!("job.value{{job={name}x{number}}}")).chain(["host.value".to_owned()]);
    let schema = Schema::new(keys.map(|key| key.parse().unwrap()).collect());
    let values = (0..=EACH).map(|place| f64::from(place) + f64::from(n) / 8.0).collect();
    let ts = at(i64::from(n) * 15_000);
    let boot_seq = Some((BootId("boot".into()), n.into()));
    Batch { agent: AgentId::from_bits(agent), ts, received: ts, boot_seq, schema, values }
}

/// Stores heartbeats and answers what the log says of it.
fn store_them(store: &SqliteStore, lease: LeaseToken, batches: Vec<Batch>) -> Vec<(EventKind, String)> {
    let logged = store.commit(lease, &Commit { batches, ..Commit::default() }).unwrap();
    logged.into_iter().map(|line| (line.event.kind, line.event.reason)).collect()
}

/// The raw values of a series, as many as there are.
fn values(store: &SqliteStore, agent: u128, series: &str) -> Vec<f64> {
    let query = RangeQuery {
        agent: AgentId::from_bits(agent),
        series: vec![series.to_owned()],
        start: Timestamp::MIN,
        end: Timestamp::MAX,
        tier: Some(Tier::Raw),
        max_points: 10_000,
        now: at(0),
    };
    let columns = store.range(&query).unwrap().columns;
    columns.iter().flat_map(|column| column.mean.iter().copied()).filter(|value| !value.is_nan()).collect()
}

#[test]
fn a_long_dictionary_gives_each_name_its_own_number() {
    let folder = tempfile::tempdir().unwrap();
    let (store, lease) = open(&folder.path().join("hub.db"));
    let names: Vec<String> = (0..12).map(|name| format!("n{name}")).collect();
    for (n, name) in (0..).zip(&names) {
        assert_eq!(store_them(&store, lease, vec![beat(1, n, name)]), []);
    }
    // The first come again, after many others.
    assert_eq!(store_them(&store, lease, vec![beat(1, 12, "n0")]), []);
    assert_eq!(store.series(AgentId::from_bits(1)).unwrap().len(), 12_001);
    for (n, name) in (0..).zip(&names) {
        let first = [f64::from(n) / 8.0, 1.5];
        assert_eq!(values(&store, 1, &format!("job.value{{job={name}x0}}")), first[..if n == 0 { 2 } else { 1 }], "{name}");
        assert_eq!(values(&store, 1, &format!("job.value{{job={name}x999}}"))[..1], [999.0 + first[0]], "{name}");
    }
    assert_eq!(values(&store, 1, "host.value").len(), 13);
}

#[test]
fn new_series_of_an_agent_that_has_too_many_are_not_kept_and_that_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
    store_them(&store, lease, vec![beat(1, 0, "n0"), beat(2, 0, "n0")]);
    drop(store);
    let most = i64::try_from(MOST).unwrap();
    let fill = "WITH RECURSIVE ids (id) AS (SELECT 1001 UNION ALL SELECT id + 1 FROM ids WHERE id < ?1) \
                INSERT INTO series (agent, id, key, decimals) SELECT 1, id, 'old.value{job=o' || id || '}', 6 FROM ids";
    Connection::open(&path).unwrap().execute(fill, [most - 11]).unwrap();
    let (store, lease) = open(&path);
    let count = |agent| store.series(AgentId::from_bits(agent)).unwrap().len();
    assert_eq!(count(1), MOST - 10);
    let said = store_them(&store, lease, vec![beat(1, 1, "n1")]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].0 == EventKind::Note && said[0].1.contains("200000 different series"), "{said:?}");
    assert_eq!(store_them(&store, lease, vec![beat(1, 2, "n2"), beat(2, 2, "n2"), beat(1, 3, "n0")]), []);
    assert_eq!((count(1), count(2)), (MOST, 2_001), "others are not concerned");
    assert_eq!(values(&store, 1, "host.value"), [1000.0, 1000.125, 1000.25, 1000.375], "what is known is kept");
    assert_eq!(values(&store, 1, "job.value{job=n0x7}"), [7.0, 7.375]);
    assert_eq!((values(&store, 1, "job.value{job=n1x9}"), values(&store, 1, "job.value{job=n1x10}")), (vec![9.125], vec![]));
}
