//! History to be asked for: an hour of a fleet up to now, and months of one agent.

use crate::common::report;
use crate::hosts::{self, Host};
use nightbell::config::{Config, Sources};
use nightbell::{clock, ids, transfer, wiring};
use nightbell_model::{AgentId, Batch, Schema, Timestamp};
use nightbell_store::{Change, LeaseToken, MetricStore as _, Retention, SealPolicy, SqliteStore, StateStore as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const INTERVAL_MS: i64 = 15_000;
const BEATS_OF_AN_HOUR: i64 = 240;
/// So long agents count as online after their last heartbeat: the whole benchmark.
const PATIENCE_MS: i64 = 3_600_000;

/// What was loaded.
pub(crate) struct Loaded {
    /// The fleet.
    pub(crate) agents: Vec<AgentId>,
    /// The agent with a long past.
    pub(crate) archive: AgentId,
    /// The newest heartbeat, and a millisecond.
    pub(crate) end: i64,
    /// How many days the long past has.
    pub(crate) days: i64,
}

struct Loader {
    store: SqliteStore,
    lease: LeaseToken,
    schema: Arc<Schema>,
}

impl Loader {
    fn agent(&self, name: &str) -> AgentId {
        let row = transfer::imported_agent(name, PATIENCE_MS, clock::now()).unwrap();
        let id = row.id;
        self.store.apply(self.lease, &[Change::PutAgent(row)], None).unwrap();
        id
    }

    fn batch(&self, agent: AgentId, host: &mut Host, at: i64) -> Batch {
        let ts = Timestamp::from_millis(at);
        Batch { agent, ts, received: ts, boot_seq: None, schema: Arc::clone(&self.schema), values: host.beat().into() }
    }

    fn fleet(&self, count: u64, end: i64) -> Vec<AgentId> {
        let agents: Vec<AgentId> = (0..count).map(|number| self.agent(&format!("host-{number:04}"))).collect();
        let mut hosts: Vec<Host> = (0..count).map(Host::new).collect();
        let begun = Instant::now();
        for beat in 0..BEATS_OF_AN_HOUR {
            let base = end - (BEATS_OF_AN_HOUR - beat) * INTERVAL_MS;
            let places = (0_i64..).zip(agents.iter().zip(&mut hosts));
            let batches: Vec<Batch> = places
                .map(|(at, (agent, host))| self.batch(*agent, host, base + at * INTERVAL_MS / i64::try_from(count).unwrap()))
                .collect();
            self.store.append(self.lease, &batches).unwrap();
        }
        let samples = agents.len() * self.schema.keys().len() * usize::try_from(BEATS_OF_AN_HOUR).unwrap();
        report("fleet written", format!("{samples} samples in {:.1} s", begun.elapsed().as_secs_f64()));
        agents
    }

    fn archive(&self, days: i64, end: i64) -> AgentId {
        let (agent, mut host) = (self.agent("archive"), Host::new(7));
        let begun = Instant::now();
        let beats = days * 24 * BEATS_OF_AN_HOUR;
        let mut next = 0;
        while next < beats {
            let until = (next + 2_000).min(beats);
            let batches: Vec<Batch> =
                (next..until).map(|beat| self.batch(agent, &mut host, end - (beats - beat) * INTERVAL_MS)).collect();
            self.store.import(self.lease, agent, &batches, true).unwrap();
            next = until;
        }
        report("long past written", format!("{days} days in {:.1} s", begun.elapsed().as_secs_f64()));
        agent
    }

    /// Rolls up, packs and removes, as the hub does in the course of time.
    fn keep_house(&self) {
        let begun = Instant::now();
        self.store.roll_up(self.lease, clock::now()).unwrap();
        self.store.seal(self.lease, clock::now(), &SealPolicy::default()).unwrap();
        self.store.retain(self.lease, clock::now(), &Retention::default()).unwrap();
        report("rolled up and sealed", format!("in {:.1} s", begun.elapsed().as_secs_f64()));
    }
}

/// Fills a data folder.
pub(crate) fn load(data: &Path, agents: u64, days: i64) -> Loaded {
    let mut sources = Sources::default();
    sources.add_flag("data", "--data", Some(data.to_str().unwrap().to_owned()));
    let store = wiring::open(&Config::from_sources(&sources).unwrap()).unwrap();
    let lease = store.acquire(ids::fresh(), clock::now()).unwrap();
    let keys = hosts::keys().into_iter().take(100).map(|(key, _)| key.parse().unwrap()).collect();
    let loader = Loader { store, lease, schema: Schema::new(keys) };
    let archive = loader.archive(days, clock::now().as_millis());
    loader.keep_house();
    let end = clock::now().as_millis();
    let agents = loader.fleet(agents, end);
    loader.keep_house();
    loader.store.close().unwrap();
    // Quarters of hours are packed whole: how much of the last hour is rows, which take longer to read, follows from the time of day.
    let database = rusqlite::Connection::open(data.join("nightbell.db")).unwrap();
    let sealed_to: i64 = database.query_row("SELECT max(sealed_to) FROM agent_keys", [], |row| row.get(0)).unwrap();
    report("of the last hour not packed yet", format!("{} min", (end - sealed_to).clamp(0, 3_600_000) / 60_000));
    Loaded { agents, archive, end: end + 1, days }
}
