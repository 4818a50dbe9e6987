//! Figures of the SQLite engine over a life in brief: heartbeats durable, rolled up, sealed, packed densely, asked for.
//!
//! `cargo bench -p nightbell-store --bench store`. Two loads: 1,000 agents for an hour and 100 agents for six hours, a hundred series
//! each every 15 s; then 100 agents for a day, for what is packed densely and for questions over long spans. `NIGHTBELL_BENCH_DIR` is
//! the folder to work in; name `hour`, `hours` or `day` to run one of the three.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark speaks and stops at the first fault")]

mod common;

use common::{Host, keys};
use nightbell_model::{AgentId, Batch, BootId, Schema, Tier, Timestamp, Ulid};
use nightbell_store::{
    AgentRow, Change, FleetQuery, LeaseToken, MetricStore, RangeQuery, Retention, SealPolicy, SqliteOptions, SqliteStore,
    StateStore,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const INTERVAL_MS: i64 = 15_000;
const BEGIN_MS: i64 = 20_000 * 86_400_000;
const HOUR_MS: i64 = 3_600_000;
/// Heartbeats to a commit.
const GROUP: usize = 100;

/// A fleet that goes on from heartbeat to heartbeat.
struct Fleet {
    hosts: Vec<Host>,
    schemas: Vec<Arc<Schema>>,
    beats: u64,
}

impl Fleet {
    fn new(agents: u64) -> Self {
        let names = keys();
        let schema = || Schema::new(names.iter().map(|(key, _)| key.parse().unwrap()).collect());
        Self { hosts: (1..=agents).map(Host::new).collect(), schemas: (0..agents).map(|_| schema()).collect(), beats: 0 }
    }

    fn agents(&self) -> u64 {
        self.hosts.len() as u64
    }

    /// The next heartbeat, agent after agent, each a little beside its time.
    fn beat(&mut self) -> Batch {
        let (agent, seq) = (self.beats % self.agents(), self.beats / self.agents());
        self.beats += 1;
        let at = usize::try_from(agent).unwrap();
        let jitter = (self.beats.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 41;
        let phase = agent.cast_signed() * INTERVAL_MS / self.agents().cast_signed();
        let ts = Timestamp::from_millis(BEGIN_MS + seq.cast_signed() * INTERVAL_MS + phase + jitter.cast_signed());
        let boot_seq = Some((BootId("bench".into()), seq));
        let (schema, values) = (Arc::clone(&self.schemas[at]), self.hosts[at].beat().into());
        Batch { agent: id(agent), ts, received: ts, boot_seq, schema, values }
    }
}

fn id(agent: u64) -> AgentId {
    AgentId::from_bits(u128::from(agent) + 1)
}

fn agent_row(agent: u64) -> AgentRow {
    let mut credential = [0; 32];
    credential[..8].copy_from_slice(&agent.to_le_bytes());
    AgentRow {
        id: id(agent),
        name: format!("host-{agent}"),
        tags: Vec::new(),
        created_at: Timestamp::from_millis(BEGIN_MS),
        last_seen: None,
        interval_ms: INTERVAL_MS,
        paused: false,
        version: String::new(),
        facts_json: String::new(),
        credential,
        enrolled_as: String::new(),
    }
}

fn open(path: &Path) -> (SqliteStore, LeaseToken) {
    let store = SqliteStore::open(path, SqliteOptions::default()).unwrap();
    let lease = store.acquire(Ulid::from_bits(1), Timestamp::from_millis(BEGIN_MS)).unwrap();
    (store, lease)
}

/// Where figures are to be about a disk, it must be one: the temporary folder may be memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(std::env::var_os("NIGHTBELL_BENCH_DIR").unwrap_or_else(|| std::env::temp_dir().into_os_string()))
        .unwrap()
}

fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    times.get((times.len().saturating_sub(1)) * percent / 100).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// CPU time of this process so far, user and system, in seconds (`/proc/self/stat`, in ticks of 10 ms).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Memory of this process that is in use, now and at most, in MiB.
fn memory() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or("");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn whole(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}

/// The bytes of the pages of tables and their indexes, by the names of the tables.
fn pages(path: &Path) -> Vec<(String, u64)> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let sql = "SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_schema USING (name) GROUP BY tbl_name";
    let mut select = connection.prepare(sql).unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Says how many bytes raw and rollups take for each raw sample.
fn say_pages(what: &str, path: &Path, samples: f64) {
    let all = pages(path);
    let of = |names: &[&str]| all.iter().filter(|(name, _)| names.contains(&name.as_str())).map(|one| whole(one.1)).sum::<f64>();
    let raw = of(&["agent_metrics", "agent_metrics_late", "agent_chunks"]);
    let rollups = of(&["agent_metrics_5m", "agent_metrics_hourly", "agent_metrics_daily", "rollup_chunks", "rollup_pending"]);
    println!("  {what:<34} raw {:.3} B/sample, rollups {:.3} B/sample", raw / samples, rollups / samples);
}

/// Commits the next `beats` heartbeats in groups, as fast as they go, with checkpoints from another thread.
fn ingest(store: &SqliteStore, lease: LeaseToken, fleet: &mut Fleet, beats: u64) {
    let (mut times, mut cpu, begin) = (Vec::new(), 0.0, Instant::now());
    std::thread::scope(|scope| {
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            while is_done.recv_timeout(Duration::from_secs(1)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                store.checkpoint().unwrap();
            }
        });
        let mut left = beats;
        while left > 0 {
            let batch: Vec<Batch> = (0..GROUP as u64).take_while(|n| *n < left).map(|_| fleet.beat()).collect();
            left -= batch.len() as u64;
            let (before, begin) = (cpu_seconds(), Instant::now());
            store.append(lease, &batch).unwrap();
            times.push(begin.elapsed());
            cpu += cpu_seconds() - before;
        }
        drop(done);
    });
    let busy: f64 = times.iter().map(Duration::as_secs_f64).sum();
    println!(
        "  stored {beats} heartbeats: {:.0}/s, {:.1} us CPU each, {:.4} CPU-s/M samples, commit p50 {:.2} ms p99 {:.2} ms ({:.1} s)",
        whole(beats) / busy,
        cpu / whole(beats) * 1e6,
        cpu / whole(beats) * 1e4,
        percentile(&mut times, 50),
        percentile(&mut times, 99),
        begin.elapsed().as_secs_f64(),
    );
}

/// Does `job` while commits of 100 rows go on at a fleet's pace and empty ones as often as they get in: what it costs, and how long it
/// keeps others waiting.
fn beside<T>(
    what: &str,
    samples: f64,
    (store, lease): (&SqliteStore, LeaseToken),
    late: &mut Fleet,
    job: impl FnOnce() -> T,
) -> T {
    let is_done = AtomicBool::new(false);
    let (mut commits, mut holds) = (Vec::new(), Vec::new());
    let (cpu, begin) = (cpu_seconds(), Instant::now());
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                let batch: Vec<Batch> = (0..GROUP).map(|_| late.beat()).collect();
                let begin = Instant::now();
                store.append(lease, &batch).unwrap();
                commits.push(begin.elapsed());
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                let begin = Instant::now();
                store.append(lease, &[]).unwrap();
                holds.push(begin.elapsed());
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                store.checkpoint().unwrap();
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        let answer = job();
        is_done.store(true, Ordering::SeqCst);
        answer
    });
    println!(
        "  {what:<34} {:.2} s, {:.4} CPU-s/M samples; commits of {GROUP} beside it: {} p99 {:.1} ms max {:.1} ms; longest wait {:.1} ms",
        begin.elapsed().as_secs_f64(),
        (cpu_seconds() - cpu) / samples * 1e6,
        commits.len(),
        percentile(&mut commits, 99),
        percentile(&mut commits, 100),
        percentile(&mut holds, 100),
    );
    answer
}

fn ask(name: &str, count: usize, agents: u64, question: impl Fn(u64) -> usize) {
    let mut points = 0;
    let mut times: Vec<Duration> = (0..count as u64)
        .map(|n| {
            let begin = Instant::now();
            points = question(n * 7 % agents);
            begin.elapsed()
        })
        .collect();
    println!(
        "  {name:<44} {points:>7} values, p50 {:.3} ms p99 {:.3} ms",
        percentile(&mut times, 50),
        percentile(&mut times, 99)
    );
}

fn query(agent: u64, series: &[&str], end: Timestamp, hours: i64, tier: Option<Tier>) -> RangeQuery {
    let series = series.iter().map(|name| (*name).to_owned()).collect();
    RangeQuery { agent: id(agent), series, start: end.plus_millis(-hours * HOUR_MS), end, tier, max_points: 1000, now: end }
}

fn run(store: &SqliteStore, query: &RangeQuery) -> usize {
    store.range(query).unwrap().columns.iter().map(|column| column.mean.len()).sum()
}

/// Asks what people ask, of the hour before `end`.
fn ask_hour(store: &SqliteStore, agents: u64, end: Timestamp) {
    ask("one metric, 1 h raw", 500, agents, |agent| run(store, &query(agent, &["cpu.usage_percent"], end, 1, Some(Tier::Raw))));
    ask("host page: 100 series, 1 h raw", 200, agents, |agent| run(store, &query(agent, &[], end, 1, Some(Tier::Raw))));
    let fleet = FleetQuery {
        groups: vec![(0..agents).map(id).collect()],
        series: "cpu.usage_percent".to_owned(),
        start: end.plus_millis(-HOUR_MS),
        end,
        step_ms: 60_000,
    };
    ask("mean of one metric over all agents, 1 h", 20, agents, |_| store.fleet(&fleet).unwrap().groups[0].mean.len());
}

/// How long a store takes to be ready as it lies on the disk after a kill.
fn ready(path: &Path) {
    let elsewhere = folder();
    let copy = elsewhere.path().join("hub.db");
    for suffix in ["", "-wal"] {
        std::fs::copy(format!("{}{suffix}", path.display()), format!("{}{suffix}", copy.display())).unwrap();
    }
    let begin = Instant::now();
    let (store, _) = open(&copy);
    let opened = begin.elapsed();
    let loaded = store.load().unwrap().latest.len();
    println!(
        "  ready after a kill: {:.3} s (opened after {:.3} s, {loaded} agents loaded)",
        begin.elapsed().as_secs_f64(),
        opened.as_secs_f64()
    );
}

fn say_memory() {
    let (now, most) = memory();
    println!("  memory: {now:.0} MiB, at most {most:.0} MiB (the made-up fleet included)");
}

/// So many agents for so many hours: stored, rolled up, sealed, asked.
fn hours(agents: u64, hours: i64) {
    println!("{agents} agents x 100 series x 15 s x {hours} h");
    let folder = folder();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
    let mut fleet = Fleet::new(agents);
    store.apply(lease, &(0..agents).map(|agent| Change::PutAgent(agent_row(agent))).collect::<Vec<_>>(), None).unwrap();
    // The sweep of the hour before is over.
    store.seal(lease, Timestamp::from_millis(BEGIN_MS + 46 * 60_000), &SealPolicy::default()).unwrap();
    say_memory();
    let beats = agents * u64::try_from(hours * HOUR_MS / INTERVAL_MS).unwrap();
    let samples = whole(beats) * 100.0;
    ingest(&store, lease, &mut fleet, beats);
    say_memory();
    store.close().unwrap();
    say_pages("as rows", &path, samples);
    ready(&path);
    let end = Timestamp::from_millis(BEGIN_MS + hours * HOUR_MS);
    ask_hour(&store, agents, end);
    let now = end.plus_millis(HOUR_MS * 3 / 4);
    beside("rolled up", samples, (&store, lease), &mut fleet, || store.roll_up(lease, now).unwrap());
    let policy = SealPolicy::default();
    // All agents' turns are over after 40 minutes; rows are swept after 45.
    let before = end.plus_millis(41 * 60_000);
    let sealed = beside("sealed", samples, (&store, lease), &mut fleet, || store.seal(lease, before, &policy).unwrap());
    let swept = beside("swept", samples, (&store, lease), &mut fleet, || store.seal(lease, now, &policy).unwrap());
    println!("  {} chunks, {} rows removed", sealed.chunks + swept.chunks, swept.removed);
    say_memory();
    store.close().unwrap();
    // What came meanwhile is rows of the next hour: it is not counted to what is sealed.
    let meanwhile = whole(fleet.beats - beats) * 100.0;
    say_pages(&format!("sealed (and {meanwhile:.0} samples as rows)"), &path, samples);
    ask_hour(&store, agents, end);
    ready(&path);
}

/// A hundred agents for a day, packed densely.
fn day() {
    let agents = 100;
    println!("{agents} agents x 100 series x 15 s x 24 h");
    let folder = folder();
    let path = folder.path().join("hub.db");
    let (store, lease) = open(&path);
    let mut fleet = Fleet::new(agents);
    store.apply(lease, &(0..agents).map(|agent| Change::PutAgent(agent_row(agent))).collect::<Vec<_>>(), None).unwrap();
    let mut end = Timestamp::from_millis(BEGIN_MS);
    for _ in 0..24 {
        for _ in 0..240 {
            let batch: Vec<Batch> = (0..agents).map(|_| fleet.beat()).collect();
            store.append(lease, &batch).unwrap();
        }
        end = end.plus_millis(HOUR_MS);
        let now = end.plus_millis(HOUR_MS * 3 / 4);
        store.roll_up(lease, now).unwrap();
        store.seal(lease, now, &SealPolicy { dense_after_ms: None, ..SealPolicy::default() }).unwrap();
        store.checkpoint().unwrap();
    }
    let samples = whole(fleet.beats) * 100.0;
    store.close().unwrap();
    say_pages("a day of young chunks", &path, samples);
    let now = end.plus_millis(7 * HOUR_MS);
    let roll = beside("rolled up", samples, (&store, lease), &mut fleet, || store.roll_up(lease, now).unwrap());
    println!("  {} buckets", roll.buckets);
    let policy = SealPolicy::default();
    let done = beside("packed densely", samples, (&store, lease), &mut fleet, || store.seal(lease, now, &policy).unwrap());
    println!("  {} chunks", done.chunks);
    say_memory();
    store.close().unwrap();
    say_pages("a dense day", &path, samples);
    ask_hour(&store, agents, end.plus_millis(-12 * HOUR_MS));
    let five = Some(Tier::FiveMinutes);
    ask("one metric, 24 h (5-minute tier)", 200, agents, |agent| {
        run(&store, &query(agent, &["cpu.usage_percent"], end, 24, five))
    });
    ask("one metric, 24 h raw", 100, agents, |agent| {
        run(&store, &query(agent, &["cpu.usage_percent"], end, 24, Some(Tier::Raw)))
    });
    let later = end.plus_millis(9 * 86_400_000);
    beside("removed", samples, (&store, lease), &mut fleet, || store.retain(lease, later, &Retention::default()).unwrap());
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    if is_wanted("hour") {
        hours(1000, 1);
    }
    if is_wanted("hours") {
        hours(100, 6);
    }
    if is_wanted("day") {
        day();
    }
}
