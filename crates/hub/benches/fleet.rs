//! A simulated fleet against a real hub process over loopback: how many heartbeats a second become durable, how soon, and what
//! that costs the hub in CPU, memory and disk.
//!
//! `cargo bench -p nightbell --bench fleet -- [--agents 1000] [--metrics 100] [--seconds 20] [--warm-up 3] [--in-flight 4]
//! [--transport ws|http] [--client-threads 1] [--every-ms 0] [--back-hours 0]`
//!
//! Without `--every-ms` each agent sends as fast as it is acknowledged; with it, at that pace and spread evenly, as a real
//! fleet does.
//!
//! With `--back-hours` the heartbeats are of the past at first, 15 s apart, as of agents that were away: with 2 there are full hours to
//! be sealed, and what history takes on disk then is what it takes in the long run.
//!
//! Over a WebSocket heartbeats are packed CBOR with the names sent once, as our agent does it; over HTTP each is a POST of
//! compressed JSON on a connection that is kept.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a program for the console")]
#![expect(clippy::cast_precision_loss, reason = "figures for people to read")]

#[expect(dead_code, reason = "each benchmark uses a part")]
mod common;
#[path = "common/enrol.rs"]
mod enrol;
#[path = "fleet/post.rs"]
mod post;
#[path = "fleet/socket.rs"]
mod socket;
#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "benchmarks use a part of it")]
mod support;

use common::{flag, ms, percentile, report};
use enrol::enrol;
use rustix::process::Signal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::house::House;
use support::hub::on_data;
use tokio::sync::Barrier;

/// How far apart heartbeats of the past are.
const INTERVAL_MS: u64 = 15_000;

/// What the simulated agents share.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) root: String,
    pub(crate) metrics: usize,
    pub(crate) in_flight: usize,
    every: Duration,
    back_ms: u64,
    acknowledged: AtomicU64,
    measuring: AtomicBool,
    over: AtomicBool,
    ready: Barrier,
}

impl Fleet {
    /// Heartbeats have become durable, the last of them after `took`.
    pub(crate) fn durable(&self, count: u64, took: Duration, times: &mut Vec<Duration>) {
        if self.measuring.load(Ordering::Relaxed) {
            self.acknowledged.fetch_add(count, Ordering::Relaxed);
            times.push(took);
        }
    }

    /// How old the heartbeat of this number is when it is sent, in milliseconds.
    pub(crate) const fn age_ms(&self, seq: u64) -> u64 {
        self.back_ms.saturating_sub(seq * INTERVAL_MS)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Waits until the next heartbeat is due.
    pub(crate) async fn pace(&self) {
        if !self.every.is_zero() && !self.is_over() {
            tokio::time::sleep(self.every).await;
        }
    }

    /// Waits until all agents are connected, and this one's turn has come: those of a real fleet do not speak all at once.
    pub(crate) async fn assemble(&self, number: u64) {
        self.ready.wait().await;
        // Neighbouring numbers come far apart (the golden ratio's multiples are spread evenly).
        let spread = u32::try_from(number.wrapping_mul(0x9e37_79b9) % (1 << 16)).unwrap();
        tokio::time::sleep(self.every * spread / (1 << 16)).await;
    }
}

fn main() {
    let threads = flag("--client-threads", 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let (agents, metrics) = (flag("--agents", 1_000_usize), flag("--metrics", 100_usize));
    let (seconds, warm_up) = (flag("--seconds", 20_u64), flag("--warm-up", 3_u64));
    let (transport, every) = (flag("--transport", "ws".to_owned()), Duration::from_millis(flag("--every-ms", 0)));
    let mut house = House::start_with(&["--log", "warn"]).await;
    let identities = enrol(&house, agents).await;
    let idle_rss = house.hub.rss_bytes();
    let fleet = Arc::new(Fleet {
        root: house.hub.url.clone(),
        metrics,
        in_flight: if every.is_zero() { flag("--in-flight", 4) } else { 1 },
        every,
        back_ms: flag("--back-hours", 0) * 3_600_000,
        acknowledged: AtomicU64::new(0),
        measuring: AtomicBool::new(false),
        over: AtomicBool::new(false),
        ready: Barrier::new(agents + 1),
    });
    let mut tasks = tokio::task::JoinSet::new();
    for (number, identity) in (0..).zip(identities) {
        let fleet = Arc::clone(&fleet);
        match transport.as_str() {
            "ws" => tasks.spawn(socket::agent(fleet, identity, number)),
            "http" => tasks.spawn(post::agent(fleet, identity, number)),
            other => panic!("--transport is ws or http, not {other}"),
        };
    }
    fleet.ready.wait().await;
    tokio::time::sleep(Duration::from_secs(warm_up)).await;
    let (cpu, begun) = (house.hub.cpu(), Instant::now());
    fleet.measuring.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    fleet.measuring.store(false, Ordering::Relaxed);
    let (cpu, took) = (house.hub.cpu() - cpu, begun.elapsed());
    let rss = house.hub.rss_bytes();
    fleet.over.store(true, Ordering::Relaxed);
    let (mut times, mut total) = (Vec::new(), 0_u64);
    for (made, own) in tasks.join_all().await {
        total += made;
        times.extend(own);
    }
    let durable = fleet.acknowledged.load(Ordering::Relaxed);
    let in_flight = if transport == "ws" { fleet.in_flight } else { 1 };
    report("fleet", format!("{agents} agents x {metrics} metrics over {transport}, {in_flight} in flight each"));
    report("heartbeats durable a second", format!("{:.0}", durable as f64 / took.as_secs_f64()));
    report("samples durable a second", format!("{:.0}", durable as f64 * metrics as f64 / took.as_secs_f64()));
    report("acknowledged after, p50", ms(percentile(&mut times, 50)));
    report("acknowledged after, p99", ms(percentile(&mut times, 99)));
    report("hub CPU for a heartbeat", format!("{:.1} us", cpu.as_secs_f64() * 1e6 / durable as f64));
    report("hub CPU", format!("{:.2} cores", cpu.as_secs_f64() / took.as_secs_f64()));
    report("hub memory, enrolled and idle", format!("{:.1} MiB", idle_rss as f64 / 1_048_576.0));
    report("hub memory under load", format!("{:.1} MiB", rss as f64 / 1_048_576.0));
    disk(&mut house, total, metrics).await;
}

/// How soon the hub is there again after a kill, and what history takes on disk before and after it was put in order.
async fn disk(house: &mut House, heartbeats: u64, metrics: usize) {
    report("samples in history", heartbeats * metrics as u64);
    house.restart(Signal::KILL).await;
    report("ready after kill -9", ms(house.hub.ready_after));
    house.hub.end(Signal::TERM).await;
    let samples = (heartbeats * metrics as u64) as f64;
    size("on disk", house.hub.data(), samples);
    let begun = Instant::now();
    on_data(house.hub.data(), &["maintain"]);
    report("`nightbell maintain` took", format!("{:.1} s", begun.elapsed().as_secs_f64()));
    size("on disk then", house.hub.data(), samples);
}

/// The pages of raw history and of the tiers made from it, and the whole folder.
fn size(what: &str, data: &Path, samples: f64) {
    let database = rusqlite::Connection::open(data.join("nightbell.db")).unwrap();
    let pages = |like: &str| {
        let sql = "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE aggregate = TRUE AND name IN \
                   (SELECT name FROM sqlite_schema WHERE tbl_name GLOB ?1)";
        database.query_row(sql, [like], |row| row.get::<_, f64>(0)).unwrap()
    };
    let raw = pages("agent_metrics") + pages("agent_metrics_late") + pages("agent_chunks");
    let all = pages("agent_metrics*") + pages("agent_chunks*") + pages("rollup_chunks*");
    let each = |bytes: f64| format!("{:.2}", bytes / samples);
    report(&format!("{what}: raw, bytes a sample"), each(raw));
    report(&format!("{what}: rollups, bytes a raw sample"), each(all - raw));
    report(&format!("{what}: the folder"), format!("{:.1} MiB", folder_bytes(data) as f64 / 1_048_576.0));
}

fn folder_bytes(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}
