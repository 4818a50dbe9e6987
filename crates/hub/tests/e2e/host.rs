//! The real agent's program, and the hub that watches its own host.

use crate::support::api::{Api, http};
use crate::support::house::{AgentProcess, House, agent_program, rule};
use crate::support::hub::{Hub, Start, on_data};
use crate::support::receiver::Receiver;
use crate::support::wait::{until, within};
use crate::support::{now_ms, slow};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// What every host has.
const EVERYWHERE: [&str; 6] =
    ["cpu.usage_percent", "mem.used_percent", "mem.total_bytes", "load.avg_1m", "sys.uptime_seconds", "proc.total"];

/// The values an agent has sent last, once those that every host has are there.
async fn measured(api: &Api, name: &str, limit: Duration) -> Value {
    within(limit, format!("the values of {name}"), async || {
        let agents = api.list("/agents").await;
        let agent = agents.into_iter().find(|agent| name.is_empty() || agent["name"] == name)?;
        EVERYWHERE.iter().all(|metric| agent["metrics"][metric].is_number()).then_some(agent)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn up_watches_its_own_host_stops_at_an_interrupt_and_goes_on_with_the_same_data() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("nightbell-data");
    let mut hub = Hub::start(Start::up(&data)).await;
    assert!(hub.greeting.contains("/setup?key=nb_setup_"), "{}", hub.greeting);
    let token = on_data(&data, &["token", "create", "--name", "tests", "--scopes", "admin"]);
    let api = Api::new(&hub.url, &token);
    // The promise is 10 s on a free machine; tests share theirs.
    let agent = measured(&api, "", Duration::from_secs(30)).await;
    eprintln!("`nightbell up` showed this host {} ms after it was ready", since(&agent));
    assert_eq!((&agent["status"], agent["facts"]["cores"].is_u64()), (&json!("online"), true), "{agent:#}");
    let page = http().get(format!("{}/", hub.url)).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let before = now_ms();
    let ended = hub.end(Signal::INT).await;
    assert_eq!(ended.code(), Some(0), "{}", hub.log());
    assert!(!hub.log().contains("ERROR"), "{}", hub.log());
    hub.again().await;
    let id = agent["id"].as_str().unwrap();
    until("a heartbeat of the second start", async || {
        let raw = api.raw_history(id, "mem.used_percent", before, now_ms() + 1).await;
        raw.iter().any(|(_, value)| value.is_some()).then_some(())
    })
    .await;
    let all = api.list("/agents").await;
    assert_eq!(all.len(), 1, "the host is not enrolled a second time: {all:?}");
    let old = api.raw_history(id, "mem.used_percent", before - 600_000, before).await;
    assert!(!old.is_empty(), "what was measured before is still there");
    assert_eq!(hub.end(Signal::TERM).await.code(), Some(0));
}

/// Milliseconds from an agent's enrolment to its newest heartbeat.
fn since(agent: &Value) -> i64 {
    moment(&agent["last_seen"]) - moment(&agent["created_at"])
}

fn moment(value: &Value) -> i64 {
    chrono::DateTime::parse_from_rfc3339(value.as_str().expect("a time")).unwrap().timestamp_millis()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_agent_measures_pages_falls_silent_and_comes_back() {
    let Some(program) = agent_program() else { return };
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    let rules = house.api.list("/rules").await;
    assert_eq!(rules.len(), 5, "starter rules: {rules:#?}");
    let offline = rules.iter().find(|rule| rule["name"] == "Agent offline").expect("the offline rule");
    let offline = format!("/rules/{}", offline["id"].as_str().unwrap());
    house.api.patch(&offline, &json!({"channels": [channel]})).await;
    let mut agent = AgentProcess::start(&program, &house, "real-01", &["--interval", "1s", "--reconnect-max", "1s"]);
    let shown = measured(&house.api, "real-01", Duration::from_secs(60)).await;
    let metrics = shown["metrics"].as_object().unwrap();
    assert!(metrics.len() > 40, "{} series", metrics.len());
    for prefix in ["disk.used_percent{mount=", "net.rx_bytes_per_second{iface=", "cpu.core.usage_percent{core="] {
        // A container may have no real network interface.
        assert!(prefix.starts_with("net.") || metrics.keys().any(|key| key.starts_with(prefix)), "no {prefix}: {shown:#}");
    }
    let hot = house.api.make("/rules", &rule("Memory used", "mem.used_percent", 0.001, &[&channel])).await;
    let fired = receiver.find("incident.fired", |page| page.metric() == "mem.used_percent").await;
    assert_eq!(fired.data["agent"]["name"], "real-01");
    house.api.patch(&format!("/rules/{hot}"), &json!({"threshold": 99.9})).await;
    receiver.find("incident.resolved", |page| page.incident() == fired.incident()).await;

    let last_seen = {
        kill_process(Pid::from_child(&agent.child), Signal::KILL).unwrap();
        agent.child.wait().unwrap();
        moment(&house.api.agent("real-01").await["last_seen"])
    };
    let gone = receiver.find("incident.fired", |page| page.data["rule"]["name"] == "Agent offline").await;
    let after = moment(&gone.data["fired_at"]) - last_seen;
    assert!(after >= 2_700, "offline {after} ms after the last heartbeat, with an interval of 1 s");
    assert_eq!(house.api.agent("real-01").await["status"], "offline");
    assert_eq!(house.api.events("agent_offline").await.len(), 1);
    agent.again();
    receiver.find("incident.resolved", |page| page.incident() == gone.incident()).await;
    until("the agent online", async || (house.api.agent("real-01").await["status"] == "online").then_some(())).await;
    kill_process(Pid::from_child(&agent.child), Signal::TERM).unwrap();
    let child = &mut agent.child;
    let ended = until("the agent's end", async || child.try_wait().unwrap()).await;
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_hub_is_away_an_agent_keeps_its_heartbeats_with_their_times() {
    let Some(program) = agent_program() else { return };
    tokio::join!(kept_while_away(&program, "ws"), kept_while_away(&program, "http"));
}

async fn kept_while_away(program: &Path, transport: &str) {
    let away = Duration::from_secs(if slow() { 300 } else { 12 });
    let mut house = House::start().await;
    let flags = ["--interval", "1s", "--reconnect-max", "1s", "--transport", transport];
    let _agent = AgentProcess::start(program, &house, "real-02", &flags);
    let shown = measured(&house.api, "real-02", Duration::from_secs(60)).await;
    let id = shown["id"].as_str().unwrap();
    house.hub.end(Signal::KILL).await;
    let from = now_ms();
    tokio::time::sleep(away).await;
    let to = now_ms();
    house.hub.again().await;
    let least = away.as_secs() - 2;
    let raw = until("the heartbeats of the time between", async || {
        let raw = house.api.raw_history(id, "mem.used_percent", from, to).await;
        (raw.len() as u64 >= least).then_some(raw)
    })
    .await;
    let widest = raw.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap_or(0);
    assert!(widest <= 2_600, "{transport}: a gap of {widest} ms: {raw:?}");
    assert!(raw.len() as u64 <= away.as_secs() + 2, "{transport}: {} heartbeats in {away:?}", raw.len());
}
