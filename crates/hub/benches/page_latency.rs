//! From the heartbeat that breaks a rule to the page in the receiver's hands: a real hub, a real webhook, over loopback.
//!
//! `cargo bench -p nightbell --bench page_latency -- [--pages 200] [--pause-ms 120] [--agents 1000] [--every-ms 15000]`
//!
//! The pause keeps below the ten pages a second that one webhook is sent. Meanwhile so many agents send heartbeats, each at its own
//! moment of the interval, and ten rules look at every one of them.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a program for the console")]
#![expect(clippy::cast_precision_loss, reason = "figures for people to read")]

#[expect(dead_code, reason = "each benchmark uses a part")]
mod common;
#[path = "common/enrol.rs"]
mod enrol;
#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "benchmarks use a part of it")]
mod support;

use common::{flag, ms, percentile, report};
use enrol::enrol;
use serde_json::json;
use std::time::{Duration, Instant};
use support::agents::Identity;
use support::api::http;
use support::house::{House, rule};
use support::receiver::Receiver;

/// How many rules look at each agent.
const RULES: usize = 10;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let pages: usize = flag("--pages", 200);
    let pause = Duration::from_millis(flag("--pause-ms", 120));
    let house = House::start_with(&["--log", "warn"]).await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel])).await;
    for n in 0..RULES - 1 {
        house.api.make("/rules", &rule(&format!("Calm {n}"), &format!("crowd.calm_{n}"), 90.0, &[&channel])).await;
    }
    let (agents, every) = (flag("--agents", 1_000_usize), Duration::from_millis(flag("--every-ms", 15_000)));
    let identities = enrol(&house, agents).await;
    let client = http();
    for (identity, n) in identities.into_iter().zip(0_u32..) {
        let phase = every * n / u32::try_from(agents).unwrap();
        tokio::spawn(live((client.clone(), house.hub.url.clone()), identity, phase, every));
    }
    tokio::time::sleep(every.mul_f64(1.2)).await;
    report("crowd", format!("{agents} agents every {} s, {RULES} rules on each", every.as_secs_f64()));
    let mut agent = house.json_agent("a").await;
    let (mut fired, mut resolved, mut durable) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..pages {
        for (value, times, kind) in [(95, &mut fired, "incident.fired"), (5, &mut resolved, "incident.resolved")] {
            tokio::time::sleep(pause).await;
            let sent = Instant::now();
            agent.beat(&json!({"cpu.usage_percent": value})).await;
            durable.push(sent.elapsed());
            times.push(received(&receiver, kind, n).await.duration_since(sent));
        }
    }
    report("heartbeat to its acknowledgement, p50", ms(percentile(&mut durable, 50)));
    for (what, mut times) in [("breach to page", fired), ("end to all-clear", resolved)] {
        report(&format!("{what}, p50"), ms(percentile(&mut times, 50)));
        report(&format!("{what}, p99"), ms(percentile(&mut times, 99)));
    }
}

/// One of the crowd: a calm heartbeat at each interval, for as long as the benchmark lasts.
async fn live((client, root): (reqwest::Client, String), identity: Identity, phase: Duration, every: Duration) {
    let mut metrics = serde_json::Map::from_iter([("cpu.usage_percent".to_owned(), json!(12.5))]);
    metrics.extend((0..RULES - 1).map(|n| (format!("crowd.calm_{n}"), json!(10 + n))));
    let body = json!({"heartbeats": [{"metrics": metrics}]});
    tokio::time::sleep(phase).await;
    loop {
        let request = client.post(format!("{root}/api/v1/metrics/system")).bearer_auth(&identity.credential).json(&body);
        // The hub is gone when the benchmark ends.
        let Ok(answer) = request.send().await else { return };
        assert!(answer.status().is_success(), "{}", answer.status());
        tokio::time::sleep(every).await;
    }
}

/// When the page number `n` (from 0) of a kind came.
async fn received(receiver: &Receiver, kind: &str, n: usize) -> Instant {
    loop {
        if let Some(page) = receiver.of(kind).get(n) {
            return page.at;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
