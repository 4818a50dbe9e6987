//! The program itself: exit codes, signals, and `--once` against the kernel's own files.

use crate::common::Hub;
use nightbell_protocol::FromAgent;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Child, Command, Output, Stdio};

fn agent() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightbell-agent"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("NIGHTBELL_AGENT_")) {
        command.env_remove(name);
    }
    command
}

fn output(arguments: &[&str]) -> Output {
    agent().args(arguments).output().unwrap()
}

fn start(hub: &str, state: &std::path::Path) -> Child {
    agent()
        .args(["--hub", hub, "--interval", "1s", "--state"])
        .arg(state)
        .env("NIGHTBELL_AGENT_TOKEN", "t")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn wrong_settings_end_with_code_2_and_say_what_to_do() {
    for (arguments, part) in [
        (&["--hub", "ws://10.1.2.3:8787", "--token", "t"][..], "plain text"),
        (&["--hub", "wss://hub", "--token", "t", "--interval", "0s"], "choose a time from 1s to 1h"),
        (&["--hub", "nonsense"], "is no URL"),
        (&["--colour", "red"], "--colour"),
        (&[], "NIGHTBELL_AGENT_HUB"),
    ] {
        let output = output(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_state_folder_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = output(&["--hub", "wss://hub", "--token", "t", "--state", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&file.display().to_string()));
}

#[tokio::test]
async fn sigterm_sends_a_last_heartbeat_and_ends_with_0() {
    let (hub, state) = (Hub::start().await, tempfile::tempdir().unwrap());
    let mut child = start(&hub.url(), state.path());
    let mut conversation = hub.accept().await;
    conversation.welcome().await;
    let first = conversation.heartbeats().await;
    conversation.acknowledge(&first).await;
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let (mut beats, mut stopping) = (0, false);
    while let Some(envelope) = conversation.next().await {
        match envelope.data {
            FromAgent::Heartbeat(beat) => {
                beats += 1;
                conversation.acknowledge(&[beat]).await;
            }
            FromAgent::Stopping(said) => stopping = said.on_purpose,
            _ => {}
        }
    }
    assert!(beats >= 1 && stopping, "{beats} heartbeats, goodbye: {stopping}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn sigint_without_a_hub_ends_with_0_at_once() {
    let (hub, state) = (Hub::start().await, tempfile::tempdir().unwrap());
    let mut child = start(&hub.url(), state.path());
    // It has reached its loop when it knocks.
    let knock = crate::common::within(hub.listener.accept()).await.unwrap();
    let begun = std::time::Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    drop(knock);
}

fn once() -> Value {
    let output = output(&["--once", "--json"]);
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The kernel's counters as a plain reader sees them.
fn oracle() -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let total: Vec<u64> = stat.lines().next().unwrap().split_whitespace().skip(1).map(|word| word.parse().unwrap()).collect();
    for (name, ticks) in ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"].iter().zip(total) {
        counters.insert(format!("cpu.{name}_ticks"), ticks);
    }
    for line in std::fs::read_to_string("/proc/net/dev").unwrap().lines().skip(2) {
        let (name, numbers) = line.rsplit_once(':').unwrap();
        let numbers: Vec<u64> = numbers.split_whitespace().map(|word| word.parse().unwrap()).collect();
        counters.insert(format!("net.rx_bytes_total{{iface={}}}", name.trim()), numbers[0]);
        counters.insert(format!("net.tx_bytes_total{{iface={}}}", name.trim()), numbers[8]);
    }
    for line in std::fs::read_to_string("/proc/diskstats").unwrap().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        counters.insert(format!("diskio.read_bytes_total{{device={}}}", words[2]), words[5].parse::<u64>().unwrap() * 512);
        counters.insert(format!("diskio.write_bytes_total{{device={}}}", words[2]), words[9].parse::<u64>().unwrap() * 512);
    }
    counters
}

#[test]
fn counters_lie_between_two_readings_of_the_kernels_files() {
    for _ in 0..5 {
        let before = oracle();
        let reading = once();
        let after = oracle();
        let counters = reading["counters"].as_object().unwrap();
        assert!(counters.contains_key("cpu.user_ticks") && counters.len() >= 8);
        for (name, value) in counters {
            // Idle and iowait may step back by a few ticks; all else only grows.
            let slack = if name.contains("idle") || name.contains("iowait") { 5 } else { 0 };
            let value = value.as_u64().unwrap();
            assert!(
                before[name] <= value + slack && value <= after[name] + slack,
                "{name}: {} {value} {}",
                before[name],
                after[name]
            );
        }
        assert!(reading["gaps"].as_array().is_some());
    }
}

#[test]
fn every_sample_of_this_host_is_in_the_catalogue_with_its_unit() {
    let reading = once();
    let samples = reading["samples"].as_array().unwrap();
    let sample = |name: &str| samples.iter().find(|sample| sample["metric"] == name);
    for name in [
        "cpu.usage_percent",
        "mem.used_percent",
        "load.avg_1m",
        "disk.used_percent",
        "sys.uptime_seconds",
        "proc.total",
        "agent.rss_bytes",
    ] {
        assert!(sample(name).is_some_and(|sample| sample["value"].is_number()), "{name}");
    }
    for sample in samples {
        let metric = nightbell_model::catalogue::find(sample["metric"].as_str().unwrap()).unwrap();
        assert_eq!(sample["unit"], metric.unit.name());
        let labels: Vec<&String> = sample["labels"].as_object().unwrap().keys().collect();
        assert_eq!(labels, metric.label.iter().collect::<Vec<_>>(), "{sample}");
        assert!(metric.admits(sample["value"].as_f64().unwrap()), "{sample}");
    }
    assert!(reading["agent"]["hostname"].is_string());
}

#[test]
fn recorded_trees_can_be_read() {
    let tree = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/host8/first");
    let output = output(&["--once", "--json", "--proc", &format!("{tree}/proc"), "--sys", &format!("{tree}/sys")]);
    let reading: Value = serde_json::from_slice(&output.stdout).unwrap();
    let samples = reading["samples"].as_array().unwrap();
    let cores = samples.iter().filter(|sample| sample["metric"] == "temp.celsius").count();
    assert_eq!(cores, 7);
    assert!(samples.iter().any(|sample| sample["labels"]["sensor"] == "nvme@0000:02:00.0/composite" && sample["value"] == 41.9));
}

#[test]
fn what_is_watched_is_in_the_one_heartbeat() {
    let dir = tempfile::tempdir().unwrap();
    let report = r#"{"smartctl":{"exit_status":0},"device":{"name":"/dev/sda","type":"sat"},"power_on_time":{"hours":17}}"#;
    std::fs::write(dir.path().join("sda.json"), report).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let smart = dir.path().display().to_string();
    let ports = format!("{},{address}", address.port());
    let output = output(&["--once", "--process", "us=nightbell-agent,none=no-such-program", "--port", &ports, "--smart", &smart]);
    let said = String::from_utf8(output.stdout).unwrap();
    let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)?.split(' ').nth(1)?.parse::<f64>().ok());
    // Other tests run agents beside this one.
    assert!(value("process.count{process=us}").is_some_and(|count| count >= 1.0), "{said}");
    assert_eq!(value("process.count{process=none}"), Some(0.0));
    assert_eq!(value(&format!("port.open{{port={}}}", address.port())), Some(1.0), "{said}");
    assert_eq!(value(&format!("port.open{{port={address}}}")), Some(1.0));
    assert!(value(&format!("port.connect_ms{{port={address}}}")).is_some());
    assert_eq!(value("smart.power_on_hours{device=sda}"), Some(17.0));
}
