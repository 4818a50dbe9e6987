//! What the real agent costs a host: memory and CPU over some minutes against a real hub, and how soon its first heartbeat is
//! there. The agent's program has to be built beside the hub's: `cargo build --release -p nightbell-agent`.
//!
//! `cargo bench -p nightbell --bench agent -- [--seconds 180] [--interval 15s]`

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a program for the console")]
#![expect(clippy::cast_precision_loss, reason = "figures for people to read")]

#[expect(dead_code, reason = "each benchmark uses a part")]
mod common;
#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "benchmarks use a part of it")]
mod support;

use common::{flag, report};
use rustix::process::Pid;
use std::time::Duration;
use support::house::{AgentProcess, House, agent_program};
use support::hub::{cpu, rss_bytes};
use support::now_ms;
use support::wait::until;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let (seconds, interval) = (flag("--seconds", 180_u64), flag("--interval", "15s".to_owned()));
    let Some(program) = agent_program() else { return };
    let house = House::start_with(&["--log", "warn"]).await;
    report("program", format!("{:.2} MiB", std::fs::metadata(&program).unwrap().len() as f64 / 1_048_576.0));
    let mut agent = AgentProcess::start(&program, &house, "a", &["--interval", &interval]);
    first_heartbeat(&house, now_ms(), "start to first heartbeat, enrolling").await;
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    let started = now_ms();
    agent.again();
    first_heartbeat(&house, started, "start to first heartbeat, enrolled").await;
    let pid = Pid::from_child(&agent.child);
    let begun = cpu(pid);
    let (mut most, half) = (0, Duration::from_millis(500));
    for _ in 0..seconds * 2 {
        tokio::time::sleep(half).await;
        most = most.max(rss_bytes(pid));
    }
    let used = (cpu(pid) - begun).as_secs_f64();
    report("memory at the end", format!("{:.2} MiB", rss_bytes(pid) as f64 / 1_048_576.0));
    report("memory at most", format!("{:.2} MiB", most as f64 / 1_048_576.0));
    report("CPU", format!("{used:.2} s in {seconds} s, {:.2} s an hour", used * 3600.0 / seconds as f64));
    let shown = house.api.agent("a").await;
    report("series", shown["metrics"].as_object().map_or(0, serde_json::Map::len));
}

/// Says when the hub first heard a heartbeat after `started`.
async fn first_heartbeat(house: &House, started: i64, what: &str) {
    let seen = until("the first heartbeat", async || {
        let agent = house.api.agent("a").await;
        let seen = chrono::DateTime::parse_from_rfc3339(agent["last_seen"].as_str()?).unwrap().timestamp_millis();
        (seen >= started).then_some(seen)
    })
    .await;
    report(what, format!("{} ms", seen - started));
}
