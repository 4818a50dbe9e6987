//! What a hub with history answers over HTTP, and how soon: a thousand agents with a hundred series for an hour, and one agent with
//! months of raw history.
//!
//! `cargo bench -p nightbell --bench queries -- [--agents 1000] [--days 90] [--rounds 300]`
//!
//! History is written by the store itself, a fleet's heartbeat after the other as they would arrive; then the real program is started
//! on it and asked by one client on a kept connection. Whether the machine had other work is for whoever reads the figures to know.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a program for the console")]
#![expect(clippy::cast_precision_loss, reason = "figures for people to read")]

#[path = "queries/client.rs"]
mod client;
#[expect(dead_code, reason = "benchmarks use a part of it")]
mod common;
#[path = "../../store/benches/common/mod.rs"]
mod hosts;
#[path = "queries/load.rs"]
mod load;
#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "benchmarks use a part of it")]
mod support;

use client::Client;
use common::{flag, ms, percentile, report};
use load::Loaded;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::hub::{Hub, Start, on_data, rss_bytes};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// By then a hub has read the last hour of its fleet.
const READ_AHEAD: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let loaded = load::load(&data, flag("--agents", 1_000), flag("--days", 90));
    let token = on_data(&data, &["token", "create", "--name", "bench", "--scopes", "metrics:read"]);
    let hub = Hub::start(Start::serve(&data).with(&["--log", "warn"])).await;
    report("hub ready after", ms(hub.ready_after));
    report("hub memory at rest", mib(hub.rss_bytes()));
    tokio::task::block_in_place(|| ask(&hub, &token, &loaded));
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

/// Asks everything in turn.
fn ask(hub: &Hub, token: &str, loaded: &Loaded) {
    let mut client = Client::connect(&hub.url, token);
    let rounds = flag("--rounds", 300);
    let (end, archive) = (loaded.end, &loaded.archive);
    let agent = |round: usize| &loaded.agents[round % loaded.agents.len()];
    let cpu = "metrics=cpu.usage_percent";
    let span = |ms: i64| format!("start={}&end={end}", end - ms);
    let fleet = |series: &str| format!("/metrics/fleet?metric={series}&{}&step=1m", span(HOUR_MS));
    measure(&mut client, "fleet mean per minute, 1 h, just after the start", 1, |_| fleet("load.avg_15m"));
    let cpu_before = hub.cpu();
    std::thread::sleep(READ_AHEAD);
    report("reading the fleet's last hour ahead", format!("{} of CPU", ms(hub.cpu() - cpu_before)));
    report("hub memory after that", mib(hub.rss_bytes()));
    // The hub has closed the connection in the meantime.
    let mut client = Client::connect(&hub.url, token);
    measure(&mut client, "one metric, 1 h raw (0.4 ms)", rounds, |round| {
        format!("/agents/{}/metrics/history?{cpu}&{}&tier=raw", agent(round), span(HOUR_MS))
    });
    measure(&mut client, "host page, 100 metrics, 1 h (3 ms)", rounds, |round| {
        format!("/agents/{}/metrics/history?{}&tier=raw", agent(round), span(HOUR_MS))
    });
    measure(&mut client, "latest of all agents, 3 metrics (1 ms)", rounds, |_| {
        "/agents/latest?metrics=cpu.usage_percent,mem.used_percent,disk.used_percent".to_owned()
    });
    measure(&mut client, "top 10 (1 ms)", rounds, |_| "/metrics/top?metric=cpu.usage_percent".to_owned());
    for series in ["load.avg_1m", "load.avg_5m", "mem.used_percent"] {
        measure(&mut client, "fleet mean per minute, 1 h, first time (5 ms)", 1, |_| fleet(series));
    }
    measure(&mut client, "the same of a series with labels, first time", 1, |_| fleet("cpu.core.usage_percent{core=0}"));
    measure(&mut client, "fleet mean per minute, 1 h, again (5 ms)", rounds, |_| fleet("load.avg_1m"));
    let minutes = |round: usize| {
        let end = end - i64::try_from(round % 50).unwrap() * MINUTE_MS;
        // Series with labels are not read ahead.
        format!("/metrics/fleet?metric=cpu.core.usage_percent{{core=1}}&start={}&end={end}&step=1m", end - MINUTE_MS)
    };
    // What a screen that is refreshed asks the store for while the fleet sends: what was not read before is a minute or two.
    measure(&mut client, "fleet mean, the last minutes anew (5 ms)", 50, minutes);
    measure(&mut client, "30 days of one metric, 5 minutes (3 ms)", rounds, |_| {
        format!("/agents/{archive}/metrics/history?{cpu}&{}&tier=5m&max_points=11000", span(30 * DAY_MS))
    });
    report("hub memory after that", mib(hub.rss_bytes()));
    let all = format!("/agents/{archive}/metrics/history.csv?{}&tier=raw", span(loaded.days * DAY_MS));
    table(hub, &mut client, "CSV of all series, raw", &all);
    let one = format!("/agents/{archive}/metrics/history.csv?{cpu}&{}&tier=raw", span(loaded.days * DAY_MS));
    table(hub, &mut client, "CSV of one metric, raw", &one);
}

/// How long an answer takes, by its percentiles, and how long it is.
fn measure(client: &mut Client, what: &str, rounds: usize, path: impl Fn(usize) -> String) {
    let (mut times, mut bytes) = (Vec::new(), 0);
    if rounds > 1 {
        client.get(&path(0));
    }
    for round in 0..rounds {
        let path = path(round);
        let begun = Instant::now();
        bytes = client.get(&path);
        times.push(begun.elapsed());
    }
    let (half, most) = (ms(percentile(&mut times, 50)), ms(percentile(&mut times, 99)));
    report(what, format!("p50 {half}, p99 {most}, {bytes} bytes"));
}

/// How fast a table of any length comes, and what it takes the hub in memory.
fn table(hub: &Hub, client: &mut Client, what: &str, path: &str) {
    let (most, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (pid, before) = (hub.pid(), hub.rss_bytes());
    let watch = std::thread::spawn({
        let (most, over) = (Arc::clone(&most), Arc::clone(&over));
        move || {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(rss_bytes(pid), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
    let (begun, cpu) = (Instant::now(), hub.cpu());
    let bytes = client.get(path);
    let (took, cpu) = (begun.elapsed(), hub.cpu() - cpu);
    over.store(true, Ordering::Relaxed);
    watch.join().unwrap();
    let per_second = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    let more = most.load(Ordering::Relaxed).saturating_sub(before);
    report(
        what,
        format!(
            "{:.1} MB at {:.0} MB/s ({:.0} MB for a second of the hub's CPU), {} more memory",
            bytes as f64 / 1e6,
            per_second(took),
            per_second(cpu),
            mib(more)
        ),
    );
}
