//! Fleets of three sizes against a whole hub without sockets: what a heartbeat costs from its admission to its durable commit,
//! rules, housekeeping and all, and what the fleet takes in memory. The cost is to be flat over the size of the fleet.
//!
//! `cargo bench -p nightbell --bench pipeline -- [--fleets 1000,10000,100000] [--rate 3333] [--seconds 60] [--metrics 100]`
//!
//! Each fleet has a process of its own, so that memory is its own. Heartbeats come at `--rate` a second (3,333 is 100,000 agents
//! every 30 s), every agent once before one comes again, in an order that has nothing to do with how agents are stored. The CPU time
//! of the thread that makes them up is left out.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a program for the console")]
#![expect(clippy::cast_precision_loss, reason = "figures for people to read")]

#[expect(dead_code, reason = "each benchmark uses a part")]
mod common;

use common::{Host, flag, ms, percentile};
use nightbell::config::{Config, Sources};
use nightbell::wiring::Hub;
use nightbell::{clock, ids};
use nightbell_ingest::{Heard, SampleClock, Submission, reply};
use nightbell_model::{AgentId, BootId, Schema};
use nightbell_store::{AgentRow, Change};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The time of one heartbeat in so many is taken.
const SAMPLED: u64 = 32;
/// How often heartbeats are handed in, and how long a full queue is left alone.
const BEAT: Duration = Duration::from_millis(5);

fn main() {
    let fleet = flag("--fleet", 0_u64);
    if fleet > 0 {
        return println!("{}", of_fleet(fleet));
    }
    let fleets = flag("--fleets", "1000,10000,100000".to_owned());
    println!(
        "{:>8} {:>12} {:>10} {:>10} {:>8} {:>10} {:>10} {:>9}",
        "agents", "heartbeats/s", "us each", "cores", "refused", "p50", "p99", "MiB"
    );
    for fleet in fleets.split(',') {
        let mut again = Command::new(std::env::current_exe().unwrap());
        let output = again.args(std::env::args().skip(1)).args(["--fleet", fleet]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// One line of the table.
fn of_fleet(agents: u64) -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let hub = runtime.block_on(Hub::start(config(folder.path().to_str().unwrap()))).unwrap();
    let fleet = Arc::new(Fleet::enrol(&hub, agents));
    let feeder = {
        let (fleet, runtime, pipeline) = (Arc::clone(&fleet), runtime.handle().clone(), hub.app.pipeline.clone());
        std::thread::spawn(move || fleet.feed(&runtime, |submission| pipeline.submit(submission)))
    };
    // Every agent is known before anything is measured: its series are written down at its first heartbeat.
    while fleet.count() < agents || hub.app.pipeline.queued() > 0 {
        std::thread::sleep(BEAT);
    }
    std::thread::sleep(Duration::from_secs(5));
    fleet.refused.store(0, Ordering::Relaxed);
    let (count, own, all, begun) = (fleet.count(), fleet.own_cpu(), cpu(), Instant::now());
    fleet.latencies.lock().unwrap().clear();
    std::thread::sleep(Duration::from_secs(flag("--seconds", 60)));
    let (count, own, all, took) = (fleet.count() - count, fleet.own_cpu() - own, cpu() - all, begun.elapsed());
    let rss = nightbell::process::usage().rss_bytes;
    fleet.over.store(true, Ordering::Relaxed);
    feeder.join().expect("no panic");
    let mut latencies = std::mem::take(&mut *fleet.latencies.lock().unwrap());
    let (refused, spent) = (fleet.refused.load(Ordering::Relaxed), all.saturating_sub(own).as_secs_f64());
    runtime.block_on(hub.stop());
    format!(
        "{agents:>8} {:>12.0} {:>10.1} {:>10.2} {refused:>8} {:>10} {:>10} {:>9.0}",
        count as f64 / took.as_secs_f64(),
        spent * 1e6 / count as f64,
        spent / took.as_secs_f64(),
        ms(percentile(&mut latencies, 50)),
        ms(percentile(&mut latencies, 99)),
        rss as f64 / 1_048_576.0
    )
}

fn config(folder: &str) -> Config {
    let mut sources = Sources::default();
    sources.add_flag("data", "--data", Some(folder.to_owned()));
    sources.add_flag("listen", "--listen", Some("127.0.0.1:0".to_owned()));
    Config::from_sources(&sources).unwrap()
}

/// CPU time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

struct Fleet {
    agents: Vec<AgentId>,
    schema: Arc<Schema>,
    host: Host,
    rate: f64,
    made: AtomicU64,
    refused: AtomicU64,
    /// CPU time of the thread that feeds, in nanoseconds.
    own: AtomicU64,
    over: AtomicBool,
    latencies: Arc<Mutex<Vec<Duration>>>,
}

impl Fleet {
    fn enrol(hub: &Hub, agents: u64) -> Self {
        let host = Host::new(0, flag("--metrics", 100));
        let rows: Vec<AgentRow> = (0..agents).map(row).collect();
        for some in rows.chunks(2_000) {
            hub.app.registry.apply_blocking(some.iter().cloned().map(Change::PutAgent).collect(), None).unwrap();
        }
        let keys = host.names.iter().map(|name| name.parse().unwrap()).collect();
        Self {
            agents: rows.into_iter().map(|row| row.id).collect(),
            schema: Schema::new(keys),
            host,
            rate: flag("--rate", 3333.0),
            made: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            own: AtomicU64::new(0),
            over: AtomicBool::new(false),
            latencies: Arc::default(),
        }
    }

    fn count(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    fn own_cpu(&self) -> Duration {
        Duration::from_nanos(self.own.load(Ordering::Relaxed))
    }

    /// Hands in heartbeats at their rate until it is over.
    fn feed(&self, runtime: &tokio::runtime::Handle, submit: impl Fn(Submission) -> Result<(), Submission>) {
        let known = self.agents.len() as u64;
        let mut begun = Instant::now();
        while !self.over.load(Ordering::Relaxed) {
            if self.count() < known {
                begun = Instant::now();
            }
            // The first round is as fast as it goes.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let due = known + (begun.elapsed().as_secs_f64() * self.rate) as u64;
            while self.count() < due {
                if submit(self.heartbeat(self.count(), runtime)).is_err() {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                self.made.fetch_add(1, Ordering::Relaxed);
            }
            let own = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            self.own.store((own.tv_sec * 1_000_000_000 + own.tv_nsec).unsigned_abs(), Ordering::Relaxed);
            std::thread::sleep(BEAT);
        }
    }

    fn heartbeat(&self, number: u64, runtime: &tokio::runtime::Handle) -> Submission {
        let agents = self.agents.len() as u64;
        let moment = number / agents;
        // A prime step goes round all of them, far from the order they were enrolled in.
        let place = number % agents * 48_271 % agents;
        let agent = self.agents[usize::try_from(place).unwrap()];
        let (done, replied) = reply();
        if number.is_multiple_of(SAMPLED) {
            let (sent, latencies) = (Instant::now(), Arc::clone(&self.latencies));
            runtime.spawn(async move {
                if replied.wait().await.is_some() {
                    latencies.lock().unwrap().push(sent.elapsed());
                }
            });
        }
        let heard = Heard {
            agent,
            boot_seq: Some((BootId("K2M7Q9R4T6V8".into()), moment + 1)),
            clock: SampleClock::AgeMs(0),
            received: clock::now(),
            schema: Arc::clone(&self.schema),
            values: self.host.at(place, moment),
            has_values: true,
        };
        Submission { agent, heard: vec![heard], done }
    }
}

fn row(number: u64) -> AgentRow {
    let mut credential = [0; 32];
    credential[..8].copy_from_slice(&number.to_le_bytes());
    AgentRow {
        id: AgentId(ids::fresh()),
        name: format!("host-{number}"),
        tags: vec![format!("rack-{}", number % 100)],
        created_at: clock::now(),
        last_seen: None,
        interval_ms: 30_000,
        paused: false,
        version: "1.0".to_owned(),
        facts_json: r#"{"os":"linux","cores":8}"#.to_owned(),
        credential,
        enrolled_as: format!("bench/host-{number}"),
    }
}
