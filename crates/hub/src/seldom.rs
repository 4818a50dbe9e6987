//! The newest values of what is measured more seldom than heartbeats are sent, read back after a start: the last heartbeat that is
//! restored does not have them, and the next reading may be an hour away.
//!
//! Read beside everything else, agent by agent, from raw history; what comes meanwhile is newer and stands. A disk's health that cannot
//! be read back is there again with its next reading.

use crate::fleet::Fleet;
use crate::slow;
use nightbell_model::{AgentId, Batch, Frame, Schema, SeriesKey, Tier, Timestamp};
use nightbell_store::{MetricStore, RangeQuery, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// More rows than any agent has in the longest period that is read at once: an hour of heartbeats each second, twice.
const ROWS: usize = 7_200;

/// Reads them back for all agents. What cannot be read of one keeps nothing of the others back.
pub async fn recall(fleet: Arc<Fleet>, metrics: Arc<dyn MetricStore>) {
    match tokio::task::spawn_blocking(move || of_all(&fleet, &*metrics)).await {
        Ok(failed) => {
            let agents = failed.len();
            if let Some((first, error)) = failed.first() {
                let error: &dyn std::error::Error = error;
                tracing::warn!(
                    agents,
                    %first,
                    error,
                    "what is measured seldom cannot be read back of some agents; it is known again after their next reading"
                );
            }
        }
        Err(error) => tracing::error!(%error, "reading back what is measured seldom panicked"),
    }
}

/// Answers whose could not be read, and why.
fn of_all(fleet: &Fleet, metrics: &dyn MetricStore) -> Vec<(AgentId, StoreError)> {
    let heard = |(agent, vitals): (&AgentId, &crate::fleet::Vitals)| Some((*agent, vitals.latest.as_ref()?.ts));
    let agents: Vec<(AgentId, Timestamp)> = fleet.read().iter().filter_map(heard).collect();
    let mut failed = Vec::new();
    for (agent, latest) in agents {
        match of(agent, latest, metrics) {
            Ok(batches) if batches.is_empty() => {}
            Ok(batches) => fleet.update(agent, |vitals| batches.into_iter().for_each(|batch| vitals.take(Arc::new(batch)))),
            Err(error) => failed.push((agent, error)),
        }
    }
    failed
}

/// The newest values of an agent's slow series that are not too old beside its heartbeat at `latest`, as the heartbeats they came with.
/// Usually the period before it has them all.
fn of(agent: AgentId, latest: Timestamp, metrics: &dyn MetricStore) -> Result<Vec<Batch>, StoreError> {
    let mut wanted: Vec<SeriesKey> = metrics.series(agent)?.into_iter().filter(|key| slow::period_ms(key).is_some()).collect();
    let mut found: BTreeMap<Timestamp, Vec<(SeriesKey, f64)>> = BTreeMap::new();
    for back in 0..slow::PERIODS {
        let Some(period_ms) = wanted.iter().filter_map(slow::period_ms).max() else { break };
        let end = latest.plus_millis(1 - back * period_ms);
        let frame = metrics.range(&RangeQuery {
            agent,
            series: wanted.iter().map(ToString::to_string).collect(),
            start: end.plus_millis(-period_ms),
            end,
            tier: Some(Tier::Raw),
            max_points: ROWS,
            now: latest,
        })?;
        for (key, at, value) in newest(&frame) {
            wanted.retain(|other| *other != key);
            found.entry(at).or_default().push((key, value));
        }
    }
    Ok(found.into_iter().map(|(ts, said)| batch(agent, ts, said)).collect())
}

/// The newest sample of each series of a frame, if it is of raw samples: the time of a bucket is not that of a reading.
fn newest(frame: &Frame) -> Vec<(SeriesKey, Timestamp, f64)> {
    if frame.tiers != [Tier::Raw] {
        return Vec::new();
    }
    let last = |column: &nightbell_model::Column| {
        let at = column.mean.iter().rposition(|value| !value.is_nan())?;
        Some((column.key.clone(), *frame.times.get(at)?, *column.mean.get(at)?))
    };
    frame.columns.iter().filter_map(last).collect()
}

fn batch(agent: AgentId, ts: Timestamp, said: Vec<(SeriesKey, f64)>) -> Batch {
    let (keys, values): (Vec<SeriesKey>, Vec<f64>) = said.into_iter().unzip();
    Batch { agent, ts, received: ts, boot_seq: None, schema: Schema::new(keys), values: values.into() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fleet::Vitals;
    use crate::slow::tests::batch as beat;
    use nightbell_store::memory::MemoryStore;
    use nightbell_store::sqlite::{SqliteOptions, SqliteStore};
    use nightbell_store::{LeaseToken, StateStore};
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    /// The first moment of [`half_readable`].
    pub(crate) const fn start() -> Timestamp {
        Timestamp::from_secs(1_728_000_000)
    }

    /// A store with an hour of history of two agents, of the first of which a page cannot be read.
    pub(crate) fn half_readable(folder: &Path) -> (SqliteStore, LeaseToken, [AgentId; 2]) {
        let path = folder.join("hub.db");
        let agents = [1, 2].map(AgentId::from_bits);
        let open = || {
            let store = SqliteStore::open(&path, SqliteOptions::default()).expect("a store");
            let lease = store.acquire(nightbell_model::Ulid::from_bits(1), Timestamp::default()).expect("free");
            (store, lease)
        };
        let (store, lease) = open();
        for agent in agents {
            let said = |n: i64| Batch { agent, ..beat(1_728_000_000 + n, &[("smart.healthy{device=sda}", 1.0)]) };
            store.append(lease, &(0..3600).map(said).collect::<Vec<_>>()).expect("stored");
        }
        store.close().expect("closed");
        drop(store);
        let connection = rusqlite::Connection::open(&path).expect("a file");
        let sql = "SELECT pgoffset FROM dbstat WHERE name = 'agent_metrics_by_time' AND pagetype = 'leaf' ORDER BY path LIMIT 1";
        let at: i64 = connection.query_row(sql, [], |row| row.get(0)).expect("a page");
        drop(connection);
        let file = std::fs::OpenOptions::new().write(true).open(&path).expect("a file");
        file.write_all_at(&[0xff; 8], at.unsigned_abs()).expect("written");
        let (store, lease) = open();
        (store, lease, agents)
    }

    #[test]
    fn what_cannot_be_read_of_one_agent_keeps_nothing_of_another_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _, [ruined, sound]) = half_readable(folder.path());
        let fleet = Fleet::default();
        for agent in [ruined, sound] {
            let newest = Batch { agent, ..beat(1_728_000_000 + 3600, &[("cpu.usage_percent", 1.0)]) };
            fleet.update(agent, |vitals| vitals.take(Arc::new(newest)));
        }
        let failed: Vec<AgentId> = of_all(&fleet, &store).into_iter().map(|(agent, _)| agent).collect();
        assert_eq!(failed, [ruined]);
        assert_eq!(fleet.get(sound).expect("known").older().count(), 1);
    }

    #[test]
    fn readings_of_the_last_three_periods_come_back_with_their_own_times() {
        const SDA: &str = "smart.healthy{device=sda}";
        const SDB: &str = "smart.healthy{device=sdb}";
        let store = MemoryStore::default();
        let lease = store.acquire(nightbell_model::Ulid::from_bits(1), Timestamp::default()).expect("free");
        let (cpu, hour) = ("cpu.usage_percent", 3_600);
        let said = [
            beat(10 * hour, &[(SDA, 1.0), (SDB, 1.0), ("smart.wear_percent{device=sda}", 3.0)]),
            beat(12 * hour, &[(cpu, 1.0), (SDA, 0.0)]),
            beat(13 * hour + 60, &[(cpu, 2.0), (SDB, 0.0)]),
            beat(13 * hour + 75, &[(cpu, 3.0)]),
        ];
        store.append(lease, &said).expect("stored");
        let fleet = Fleet::default();
        let agent = said[0].agent;
        fleet.update(agent, |vitals: &mut Vitals| vitals.take(Arc::new(said[3].clone())));
        assert_eq!(fleet.get(agent).expect("known").older().count(), 0, "the last heartbeat does not say them");
        assert!(of_all(&fleet, &store).is_empty());
        let vitals = fleet.get(agent).expect("known");
        let mut older: Vec<(String, i64, f64)> =
            vitals.older().map(|older| (older.key.to_string(), older.at.as_millis() / 1000, older.value)).collect();
        older.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(older, [(SDA.to_owned(), 12 * hour, 0.0), (SDB.to_owned(), 13 * hour + 60, 0.0)]);
        assert_eq!(vitals.latest.expect("one").ts, Timestamp::from_secs(13 * hour + 75), "the newest heartbeat stays the newest");
    }
}
