//! That every heartbeat is in history exactly once, at its own time, and what can be made of history: tables and pictures.

use crate::support::api::encode;
use crate::support::house::House;
use crate::support::now_ms;
use crate::support::pictures::decode;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn every_heartbeat_is_in_history_with_its_own_time() {
    let house = House::start().await;
    let mut agent = house.json_agent("a").await;
    let start = now_ms() - 3_600_000;
    for minute in 0..60_i64 {
        let metrics = if minute == 30 {
            json!({"mem.used_percent": 5})
        } else {
            json!({"cpu.usage_percent": minute, "disk.used_percent{mount=/}": 60.25, "mem.used_percent": 5})
        };
        let time = json!({"timestamp": start + minute * 60_000});
        agent.send_with(&metrics, &time).await;
    }
    agent.acknowledged(60).await;
    let id = agent.identity.id.clone();
    let raw = house.api.raw_history(&id, "cpu.usage_percent", start - 1, now_ms()).await;
    let expected: Vec<(i64, Option<f64>)> =
        (0..60_u8).map(|minute| (start + i64::from(minute) * 60_000, (minute != 30).then_some(f64::from(minute)))).collect();
    // Whether a heartbeat without this metric has a row of its own in the answer is left open; a value it must not have.
    let with_values: Vec<_> = expected.iter().copied().filter(|(_, value)| value.is_some()).collect();
    let found: Vec<_> = raw.iter().copied().filter(|(_, value)| value.is_some()).collect();
    assert_eq!(found, with_values);

    let labelled = house.api.raw_history(&id, "disk.used_percent{mount=/}", start - 1, now_ms()).await;
    assert_eq!(labelled.iter().filter(|(_, value)| *value == Some(60.25)).count(), 59);
    assert!(house.api.raw_history(&id, "net.up{iface=eth0}", start, now_ms()).await.is_empty());
    buckets(&house, &id, start).await;
    tables(&house, &id, start).await;
}

/// Five-minute buckets hold every sample that was acknowledged, rolled up or not, and lose no extreme.
async fn buckets(house: &House, id: &str, start: i64) {
    let query = format!("metrics=cpu.usage_percent&start={}&end={}&tier=5m", start - 600_000, now_ms() + 1);
    let history = house.api.get(&format!("/agents/{id}/metrics/history?{query}")).await;
    assert_eq!((&history["tier"], &history["series"][0]["unit"]), (&json!("5m"), &json!("percent")), "{history}");
    let numbers =
        |field: &str| -> Vec<f64> { history["series"][0][field].as_array().unwrap().iter().filter_map(Value::as_f64).collect() };
    let (least, most) = (numbers("min"), numbers("max"));
    assert!((12..=14).contains(&most.len()), "{} buckets", most.len());
    assert_eq!((least.first(), most.last()), (Some(&0.0), Some(&59.0)));
    assert!(history["t"].as_array().unwrap().iter().all(|t| t.as_i64().unwrap() % 300_000 == 0), "{history}");
}

async fn tables(house: &House, id: &str, start: i64) {
    let span = format!("start={}&end={}", start - 1, now_ms());
    let csv =
        house.api.file(&format!("/agents/{id}/metrics/history.csv?metrics=cpu.usage_percent&tier=raw&{span}"), "text/csv").await;
    let csv = String::from_utf8(csv).unwrap();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("time_utc,cpu.usage_percent"));
    let rows: Vec<(&str, &str)> = lines.map(|line| line.split_once(',').unwrap()).collect();
    assert_eq!(rows.iter().filter(|(_, value)| !value.is_empty()).count(), 59, "{csv}");
    assert!(rows.iter().all(|(time, _)| time.ends_with('Z') && time.contains('T')), "{csv}");
    for path in [
        format!("/agents/{id}/charts/cpu.usage_percent.png?{span}&width=900&height=300&scale=2"),
        format!(
            "/agents/{id}/charts/{}.png?{span}&width=900&height=300&scale=2&theme=dark",
            encode("disk.used_percent{mount=/}")
        ),
        format!(
            "/agents/{id}/chart.png?series={}&{span}&width=900&height=300&scale=2&tz=Europe/Berlin",
            encode("disk.used_percent{mount=/}")
        ),
    ] {
        let picture = decode(&house.api.file(&path, "image/png").await);
        assert_eq!((picture.width, picture.height), (1800, 600), "{path}");
        assert!(picture.colours > 16, "{path}: {picture:?}");
    }
    let svg = house.api.file(&format!("/agents/{id}/charts/cpu.usage_percent.svg?{span}"), "image/svg+xml").await;
    assert!(String::from_utf8(svg).unwrap().contains("<svg"));
    let csv = house.api.file(&format!("/agents/{id}/charts/cpu.usage_percent.csv?{span}"), "text/csv").await;
    assert!(csv.starts_with(b"time_utc,cpu.usage_percent"));
    for bad in [
        "metrics=cpu..x",
        "metrics=cpu.usage_percent&max_points=11001",
        "metrics=cpu.usage_percent&tier=weekly",
        "metrics=cpu.usage_percent&start=now&end=-1h",
        "metrics=cpu.usage_percent&wrong=1",
    ] {
        let (status, problem) = house.api.ask(Method::GET, &format!("/agents/{id}/metrics/history?{bad}"), None).await;
        assert!((400..500).contains(&status) && problem["code"].is_string(), "{bad}: {status} {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_http_way_takes_one_or_many_plain_or_compressed_and_the_seeds_own_form() {
    let house = House::start().await;
    let agent = house.http_agent("web-01").await;
    let (id, start) = (&agent.identity.id, now_ms() - 60_000);
    let one = json!({"timestamp": start, "metrics": {"cpu.usage_percent": 1}});
    assert_eq!(agent.post(&one).await, (200, json!({"accepted": 1, "duplicates": 0, "rejected": []})));
    assert_eq!(agent.post(&one).await, (200, json!({"accepted": 0, "duplicates": 1, "rejected": []})));
    let many: Vec<Value> = (1..40)
        .map(|n| json!({"timestamp": start + n * 1000, "boot_id": "b", "seq": n, "metrics": {"cpu.usage_percent": 1 + n}}))
        .collect();
    assert_eq!(agent.post_gzip(&json!({"heartbeats": many})).await.1["accepted"], 39);
    assert_eq!(agent.post_gzip(&json!({"heartbeats": many})).await.1["duplicates"], 39);
    let mixed = json!([{"timestamp": start + 50_000, "metrics": {"cpu.usage_percent": "hot"}}, {"timestamp": start + 51_000, "metrics": {"cpu.usage_percent": 41}}]);
    let (status, answer) = agent.post(&mixed).await;
    assert_eq!((status, &answer["accepted"], &answer["rejected"][0]["index"]), (200, &json!(1), &json!(0)), "{answer}");
    assert!(answer["rejected"][0]["why"].as_str().unwrap().contains("cpu.usage_percent"), "{answer}");
    let raw = house.api.raw_history(id, "cpu.usage_percent", start - 1, now_ms()).await;
    let values: Vec<f64> = raw.iter().filter_map(|(_, value)| *value).collect();
    assert_eq!(values, (1..=41).map(f64::from).collect::<Vec<_>>());

    let seed = json!({"node_id": id, "timestamp": start + 55_000,
        "system": {"cpu_percent": 12.5, "cpu_cores": [10, 15], "ram_used_percent": 40, "ram_total_bytes": 8_589_934_592_u64, "load_avg": [0.5, 0.25, 0.125], "disk_used_percent": 61, "net_rx_bytes_sec": 1000},
        "processes": {"postfix": {"status": "running", "pid": 7, "memory_mb": 16, "cpu_percent": 3}, "redis": {"status": "not_found", "pid": null, "memory_mb": 0, "cpu_percent": 0}},
        "services": {"port_25": true}});
    assert_eq!(agent.post(&seed).await.1["accepted"], 1);
    let shown = house.api.get(&format!("/agents/{id}")).await;
    assert_eq!((&shown["name"], &shown["version"]), (&json!("web-01"), &json!("9.9")), "{shown:#}");
    for (series, value) in [
        ("cpu.usage_percent", 12.5),
        ("cpu.core.usage_percent{core=1}", 15.0),
        ("mem.used_percent", 40.0),
        ("load.avg_15m", 0.125),
        ("disk.used_percent{mount=/}", 61.0),
        ("net.rx_bytes_per_second{iface=total}", 1000.0),
        ("process.count{process=postfix}", 1.0),
        ("process.rss_bytes{process=postfix}", 16_777_216.0),
        ("process.count{process=redis}", 0.0),
        ("port.open{port=25}", 1.0),
    ] {
        assert_eq!(shown["metrics"][series], value, "{series}: {shown:#}");
    }
}
