//! From the heartbeat that breaks a rule to the page in the receiver's hands: a real hub, a real webhook, over loopback.
//!
//! `cargo bench -p nightbell --bench page_latency -- [--pages 200] [--pause-ms 120]`
//!
//! The pause keeps below the ten pages a second that one webhook is sent.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a program for the console")]
#![expect(clippy::cast_precision_loss, reason = "figures for people to read")]

#[expect(dead_code, reason = "each benchmark uses a part")]
mod common;
#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "benchmarks use a part of it")]
mod support;

use common::{flag, ms, percentile, report};
use serde_json::json;
use std::time::{Duration, Instant};
use support::house::{House, rule};
use support::receiver::Receiver;

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

/// When the page number `n` (from 0) of a kind came.
async fn received(receiver: &Receiver, kind: &str, n: usize) -> Instant {
    loop {
        if let Some(page) = receiver.of(kind).get(n) {
            return page.at;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
