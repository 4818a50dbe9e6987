//! Figures of the SQLite engine: heartbeats a second by the size of commits, bytes for each sample, and questions (p50).
//!
//! `cargo bench -p nightbell-store`. Values are made by a seed and rounded as agents round them, with the mix of a real host:
//! percentages that wander, byte counts, rates, and many that stay as they are.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark speaks and stops at the first fault")]

use nightbell_model::{AgentId, Batch, BootId, Schema, SeriesKey, Tier, Timestamp, Ulid};
use nightbell_store::{AgentRow, Change, LeaseToken, MetricStore, RangeQuery, Retention, SqliteOptions, SqliteStore, StateStore};
use std::sync::Arc;
use std::time::{Duration, Instant};

const AGENTS: u64 = 100;
const SERIES: usize = 100;
const INTERVAL_MS: i64 = 15_000;
const BEGIN_MS: i64 = 20_000 * 86_400_000;

/// Random numbers after Marsaglia's xorshift (<https://www.jstatsoft.org/v08/i14/>).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Between -1 and 1.
    fn wander(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 40).unwrap()) / f64::from(1 << 23) - 1.0
    }
}

/// The names of 100 series of a host of 16 cores.
fn schema() -> Arc<Schema> {
    let mut names: Vec<String> = (0..16).map(|core| format!("cpu.core.usage_percent{{core={core}}}")).collect();
    names.extend(["cpu.usage_percent", "cpu.user_percent", "cpu.system_percent", "mem.used_percent"].map(String::from));
    for mount in ["/", "/home", "/srv", "/var"] {
        names.extend(
            ["used_percent", "used_bytes", "total_bytes", "available_bytes"].map(|one| format!("disk.{one}{{mount={mount}}}")),
        );
    }
    names.extend((names.len()..SERIES).map(|n| format!("custom.value{n}")));
    Schema::new(names.iter().map(|name| name.parse::<SeriesKey>().unwrap()).collect())
}

/// A fleet that goes on from heartbeat to heartbeat.
struct Fleet {
    schemas: Vec<Arc<Schema>>,
    values: Vec<Vec<f64>>,
    chance: Chance,
    beats: u64,
}

impl Fleet {
    fn new() -> Self {
        let schemas: Vec<_> = (0..AGENTS).map(|_| schema()).collect();
        Self {
            schemas,
            values: vec![vec![50.0; SERIES]; usize::try_from(AGENTS).unwrap()],
            chance: Chance(88_172_645_463_325_252),
            beats: 0,
        }
    }

    /// The next heartbeat, agent after agent.
    fn beat(&mut self) -> Batch {
        let (agent, seq) = (self.beats % AGENTS, self.beats / AGENTS);
        self.beats += 1;
        let schema = &self.schemas[usize::try_from(agent).unwrap()];
        let values = &mut self.values[usize::try_from(agent).unwrap()];
        for (key, value) in schema.keys().iter().zip(values.iter_mut()) {
            *value = step(key, *value, &mut self.chance);
        }
        let ts = Timestamp::from_millis(BEGIN_MS + seq.cast_signed() * INTERVAL_MS + agent.cast_signed() * 100);
        let boot_seq = Some((BootId("bench".into()), seq));
        let values = values.as_slice().into();
        Batch { agent: AgentId::from_bits(u128::from(agent)), ts, received: ts, boot_seq, schema: Arc::clone(schema), values }
    }
}

/// How a series goes on.
fn step(key: &SeriesKey, value: f64, chance: &mut Chance) -> f64 {
    let metric = key.metric();
    let cents = |value: f64| (value * 100.0).round() / 100.0;
    if metric.ends_with("total_bytes") {
        512e9
    } else if metric.ends_with("_bytes") {
        (value.max(64e9) + (chance.wander() * 64.0).round() * 4096.0).round()
    } else if metric.ends_with("_percent") {
        cents((value + chance.wander() * 5.0).clamp(0.0, 100.0))
    } else {
        match key.as_str().len() % 3 + usize::from(key.as_str().ends_with(['1', '4', '7'])) {
            0 => 3.0,
            1 if chance.next().is_multiple_of(20) => (value + chance.wander() * 4.0).round().max(0.0),
            1 => value,
            _ => cents((value + chance.wander() * 100.0).abs()),
        }
    }
}

fn agent_row(agent: u64) -> AgentRow {
    AgentRow {
        id: AgentId::from_bits(u128::from(agent)),
        name: format!("host-{agent}"),
        tags: Vec::new(),
        created_at: Timestamp::from_millis(BEGIN_MS),
        last_seen: None,
        interval_ms: INTERVAL_MS,
        paused: false,
        version: String::new(),
        facts_json: String::new(),
        credential: [u8::try_from(agent).unwrap(); 32],
        enrolled_as: String::new(),
    }
}

fn open(folder: &tempfile::TempDir) -> (SqliteStore, LeaseToken) {
    let store = SqliteStore::open(&folder.path().join("hub.db"), SqliteOptions::default()).unwrap();
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
    times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3
}

/// CPU time of this process so far, user and system, in seconds (`/proc/self/stat`, in ticks of 10 ms).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Commits of `group` heartbeats for some seconds, with checkpoints from another thread.
fn ingest(group: usize) {
    let folder = folder();
    let (store, lease) = open(&folder);
    let mut fleet = Fleet::new();
    let total = (group * 400).clamp(4_000, 100_000);
    let beats: Vec<Batch> = (0..total).map(|_| fleet.beat()).collect();
    let mut times = Vec::new();
    let cpu = cpu_seconds();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        let store = &store;
        scope.spawn(move || {
            while is_done
                .recv_timeout(Duration::from_secs(1))
                .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                store.checkpoint().unwrap();
            }
        });
        for chunk in beats.chunks(group) {
            let begin = Instant::now();
            store.append(lease, chunk).unwrap();
            times.push(begin.elapsed());
        }
        drop(done);
    });
    let rows = f64::from(u32::try_from(total).unwrap());
    let (wall, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!(
        "commits of {group:>4}: {:>7.0} heartbeats/s, {:>5.1} us CPU each, commit p50 {:.2} ms p99 {:.2} ms",
        rows / wall,
        cpu / rows * 1e6,
        percentile(&mut times, 50),
        percentile(&mut times, 99)
    );
}

fn ask(name: &str, count: usize, question: impl Fn(u128) -> usize) {
    let mut points = 0;
    let mut times: Vec<Duration> = (0..count)
        .map(|n| {
            let begin = Instant::now();
            points = question(u128::try_from(n).unwrap() % u128::from(AGENTS));
            begin.elapsed()
        })
        .collect();
    println!("{name:<44} {points:>7} values, p50 {:.3} ms p99 {:.3} ms", percentile(&mut times, 50), percentile(&mut times, 99));
}

/// One day of the fleet: disk, roll-up, questions, retention.
fn day() {
    let folder = folder();
    let (store, lease) = open(&folder);
    let mut fleet = Fleet::new();
    let agents: Vec<Change> = (0..AGENTS).map(|agent| Change::PutAgent(agent_row(agent))).collect();
    store.apply(lease, &agents, None).unwrap();
    let beats = 86_400_000 / INTERVAL_MS;
    for _ in 0..beats {
        let batch: Vec<Batch> = (0..AGENTS).map(|_| fleet.beat()).collect();
        store.append(lease, &batch).unwrap();
        if fleet.beats.is_multiple_of(AGENTS * 200) {
            store.checkpoint().unwrap();
        }
    }
    store.close().unwrap();
    let samples = f64::from(u32::try_from(fleet.beats).unwrap()) * f64::from(u32::try_from(SERIES).unwrap());
    let bytes = |store: &SqliteStore| f64::from(u32::try_from(store.stats().unwrap().bytes).unwrap());
    let raw = bytes(&store);
    println!("raw rows, all pages of the file: {:.2} bytes/sample", raw / samples);
    let end = Timestamp::from_millis(BEGIN_MS + 86_400_000);
    let begin = Instant::now();
    let rolled = store.roll_up(lease, end.plus_millis(3_600_000)).unwrap();
    println!(
        "rolling up: {:.1} us/bucket, {} buckets",
        begin.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(rolled.buckets).unwrap()),
        rolled.buckets
    );
    store.close().unwrap();
    println!("rollups of all tiers: {:.2} bytes/raw sample", (bytes(&store) - raw) / samples);
    let query = |agent: u128, series: &[&str], hours: i64, tier| RangeQuery {
        agent: AgentId::from_bits(agent),
        series: series.iter().map(|name| (*name).to_owned()).collect(),
        start: end.plus_millis(-hours * 3_600_000),
        end,
        tier,
        max_points: 1000,
        now: end,
    };
    let run = |query: RangeQuery| store.range(&query).unwrap().columns.iter().map(|column| column.mean.len()).sum();
    ask("one metric, 1 h raw", 500, |agent| run(query(agent, &["cpu.usage_percent"], 1, None)));
    ask("host page: 100 series, 1 h raw", 200, |agent| run(query(agent, &[], 1, None)));
    ask("one metric, 24 h (5-minute tier)", 500, |agent| run(query(agent, &["cpu.usage_percent"], 24, None)));
    ask("100 series, 24 h (5-minute tier)", 100, |agent| run(query(agent, &[], 24, None)));
    ask("one metric, 24 h hourly", 200, |agent| run(query(agent, &["cpu.usage_percent"], 24, Some(Tier::Hourly))));
    ask("one metric, 24 h raw", 100, |agent| run(query(agent, &["cpu.usage_percent"], 24, Some(Tier::Raw))));
    ask("loading everything (100 agents)", 10, |_| store.load().unwrap().latest.len());
    let begin = Instant::now();
    let removed = store.retain(lease, end.plus_millis(8 * 86_400_000), &Retention::default()).unwrap().removed;
    println!(
        "removing {removed} rows: {:.1} us/row",
        begin.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(removed.max(1)).unwrap())
    );
}

fn main() {
    for group in [1, 10, 100, 1000] {
        ingest(group);
    }
    day();
}
