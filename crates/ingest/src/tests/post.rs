//! The HTTP way: enrolment, heartbeats in both forms, gzip, limits, and what happens when the hub cannot.

use super::client::{Answered, bearer, post};
use super::hub::{AGENT, CREDENTIAL, Hub, NOW, OTHER, OTHER_CREDENTIAL, TOKEN};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::SocketAddr;

const METRICS: &str = "/metrics/system";

async fn send(address: SocketAddr, body: &Value) -> Answered {
    post(address, METRICS, &bearer(CREDENTIAL), body.to_string().as_bytes()).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

#[track_caller]
fn problem(answer: &Answered, status: u16, code: &str) {
    assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{answer:?}");
    assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
    assert_eq!(answer.body["status"], status);
    assert!(["type", "title", "detail"].iter().all(|field| answer.body[field].as_str().is_some_and(|text| !text.is_empty())));
}

#[tokio::test]
async fn nodes_enrol_and_update_themselves() {
    let hub = Hub::default();
    let address = hub.serve().await;
    let node = json!({"hostname": "mx1", "ip": "10.0.0.7", "role": "mta", "version": "1.2", "more": [1]}).to_string();
    let answer = post(address, "/nodes", &bearer(TOKEN), node.as_bytes()).await;
    assert_eq!((answer.status, answer.body), (200, json!({"node_id": AGENT.to_string(), "credential": CREDENTIAL})));
    let answer = post(address, "/nodes", &bearer(CREDENTIAL), node.as_bytes()).await;
    assert_eq!((answer.status, answer.body), (200, json!({"node_id": AGENT.to_string()})));
    let described = hub.state().described[0].clone();
    assert_eq!(
        (described.hostname.as_deref(), described.ip.as_deref(), described.role.as_deref()),
        (Some("mx1"), Some("10.0.0.7"), Some("mta"))
    );
    assert_eq!(hub.state().enrolled[0].hostname.as_deref(), Some("mx1"));

    problem(&post(address, "/nodes", &bearer("nb_enroll_wrong"), node.as_bytes()).await, 401, "bad_token");
    problem(&post(address, "/nodes", &bearer("nb_enroll_wrong"), b"[").await, 401, "bad_token");
    problem(&post(address, "/nodes", "", node.as_bytes()).await, 401, "unauthorized");
    problem(&post(address, "/nodes", &bearer(TOKEN), b"[").await, 400, "malformed");
}

#[tokio::test]
async fn the_field_that_cannot_be_accepted_is_pointed_at() {
    let hub = Hub::default();
    let address = hub.serve().await;
    let long = "x".repeat(300);
    for (body, pointer) in [
        (json!({"hostname": 7}), "/hostname"),
        (json!({"tags": ["db", 7]}), "/tags/1"),
        (json!({"tags": "db"}), "/tags"),
        (json!({"facts": []}), "/facts"),
        (json!({"interval_ms": -1}), "/interval_ms"),
        (json!({"interval_ms": "often"}), "/interval_ms"),
        (json!({"interval_ms": 90_000_000_000_u64}), "/interval_ms"),
        (json!({"role": long}), "/role"),
        (json!([]), ""),
    ] {
        let answer = post(address, "/nodes", &bearer(TOKEN), body.to_string().as_bytes()).await;
        problem(&answer, 422, "invalid_message");
        assert_eq!(answer.body["errors"], json!([{"pointer": pointer, "detail": answer.body["detail"]}]), "{body}");
    }
    let facts = json!({"facts": {"os": "x".repeat(70_000)}}).to_string();
    let answer = post(address, "/nodes", &bearer(TOKEN), facts.as_bytes()).await;
    problem(&answer, 413, "too_large");
    assert_eq!(answer.body["errors"][0]["pointer"], "/facts");
    let answer = send(address, &json!(7)).await;
    problem(&answer, 422, "invalid_message");
    assert_eq!(answer.body["errors"][0]["pointer"], "");
    assert_eq!(post(address, "/nodes", "", b"{}").await.body["errors"], json!([]), "what is about no field points at none");
}

#[tokio::test]
async fn the_seeds_payload_is_stored() {
    let hub = Hub::default();
    let address = hub.serve().await;
    let payload = json!({"node_id": AGENT.to_string(), "timestamp": "2025-11-21T23:59:00.5Z",
        "system": {"cpu_percent": 12.5, "load_avg": [0.5, 0.25, 0.125]},
        "processes": {"postfix": {"status": "running", "pid": 7, "memory_mb": 2, "cpu_percent": 0.5}}, "services": {"port_25": true}});
    let answer =
        post(address, METRICS, &(bearer(CREDENTIAL) + "content-encoding: gzip\r\n"), &gzip(payload.to_string().as_bytes())).await;
    assert_eq!((answer.status, answer.body), (200, json!({"accepted": 1, "duplicates": 0, "rejected": []})));
    assert_eq!(send(address, &json!([payload])).await.body, json!({"accepted": 0, "duplicates": 1, "rejected": []}));
    let mut samples = hub.samples();
    samples.sort_unstable();
    assert_eq!(
        samples,
        [
            "-59500 cpu.usage_percent 12.5",
            "-59500 load.avg_15m 0.125",
            "-59500 load.avg_1m 0.5",
            "-59500 load.avg_5m 0.25",
            "-59500 port.open{port=25} 1",
            "-59500 process.count{process=postfix} 1",
            "-59500 process.cpu_percent{process=postfix} 0.5",
            "-59500 process.rss_bytes{process=postfix} 2097152",
        ]
    );
    let mut other = payload;
    other["node_id"] = json!(OTHER.to_string());
    let rejected = send(address, &other).await.body;
    assert!(rejected["rejected"][0]["why"].as_str().is_some_and(|why| why.starts_with("wrong_agent")), "{rejected}");
}

#[tokio::test]
async fn batches_are_answered_heartbeat_by_heartbeat() {
    let hub = Hub::default();
    let address = hub.serve().await;
    let batch = json!({"heartbeats": [
        {"timestamp": NOW - 30_000, "boot_id": "a", "seq": 1, "metrics": {"cpu.usage_percent": 1}},
        {"timestamp": NOW - 15_000, "boot_id": "a", "seq": 2, "metrics": {"cpu.usage_percent": "x"}},
        {"timestamp": NOW - 15_000, "boot_id": "a", "seq": 3, "metrics": {"cpu.usage_percent": 3}},
        {"timestamp": NOW - 8 * 86_400_000, "boot_id": "a", "seq": 4, "metrics": {"cpu.usage_percent": 4}},
        {"timestamp": NOW + 60_000, "boot_id": "a", "seq": 5, "metrics": {"cpu.usage_percent": 5}},
        7,
    ]});
    let answer = send(address, &batch).await;
    assert_eq!((answer.status, &answer.body["accepted"], &answer.body["duplicates"]), (200, &json!(3), &json!(0)));
    let rejected: Vec<_> = answer.body["rejected"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["index"].as_u64(), one["why"].as_str().unwrap_or_default().to_owned()))
        .collect();
    assert_eq!(rejected.iter().map(|(index, _)| index.unwrap_or(99)).collect::<Vec<_>>(), [1, 3, 5]);
    assert!(
        rejected[0].1.contains("cpu.usage_percent")
            && rejected[1].1.starts_with("too_old")
            && rejected[2].1.contains("heartbeat")
    );
    assert_eq!(hub.samples(), ["-30000 cpu.usage_percent 1", "-15000 cpu.usage_percent 3", "0 cpu.usage_percent 5"]);
    let again = send(address, &batch).await;
    assert_eq!((&again.body["accepted"], &again.body["duplicates"]), (&json!(0), &json!(3)));
    assert_eq!(send(address, &json!([])).await.body, json!({"accepted": 0, "duplicates": 0, "rejected": []}));
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_by_sent_at() {
    let hub = Hub::default();
    let address = hub.serve().await;
    for (skew, age, expected) in [(-3_600_000, 15_000, -15_000), (3_600_000, 14_000, -14_000), (1_900, 15_000, -13_100)] {
        let body = json!({"sent_at": NOW + skew, "heartbeats": [{"timestamp": NOW + skew - age, "metrics": {"a.b": skew}}]});
        assert_eq!(send(address, &body).await.body["accepted"], 1);
        assert_eq!(hub.state().stored.last().map(|(ts, _)| *ts), Some(expected), "{skew}");
    }
}

#[tokio::test]
async fn nobody_writes_without_a_credential() {
    let hub = Hub::default();
    let address = hub.serve().await;
    let body = br#"{"metrics":{"a.b":1}}"#;
    for headers in [
        String::new(),
        bearer("nope"),
        "authorization: Basic abc\r\n".to_owned(),
        "authorization: Bearer \r\n".to_owned(),
        bearer(TOKEN),
    ] {
        let answer = post(address, METRICS, &headers, body).await;
        assert_eq!(answer.status, 401, "{headers:?}");
        assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
    }
    // Without a credential nobody looks at the body.
    assert_eq!(post(address, METRICS, "", &vec![b' '; 2 << 20]).await.status, 401);
    assert_eq!(post(address, METRICS, &bearer(OTHER_CREDENTIAL), body).await.body["accepted"], 1);
    assert_eq!(hub.state().stored[0].1.agent, OTHER);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let hub = Hub::default();
    let address = hub.serve().await;
    let credential = bearer(CREDENTIAL);
    let gzipped = credential.clone() + "content-encoding: gzip\r\n";
    problem(&post(address, METRICS, &credential, &vec![b' '; (1 << 20) + 1]).await, 413, "too_large");
    let bomb = gzip(&vec![0; 1 << 20]).repeat(900);
    problem(&post(address, METRICS, &gzipped, &bomb).await, 413, "decoded_too_large");
    problem(&post(address, METRICS, &gzipped, b"not gzip").await, 400, "malformed");
    problem(&post(address, METRICS, &(credential.clone() + "content-encoding: br\r\n"), b"").await, 415, "unsupported_encoding");
    problem(&post(address, METRICS, &credential, b"").await, 400, "malformed");
    problem(&post(address, METRICS, &credential, b"\"text\"").await, 422, "invalid_message");
    let deep = "[".repeat(500_000);
    problem(&post(address, METRICS, &credential, deep.as_bytes()).await, 422, "too_deep");
    let many = format!("[{}]", vec!["{}"; 6001].join(","));
    problem(&post(address, METRICS, &credential, many.as_bytes()).await, 413, "too_many");
    assert_eq!(hub.state().stored.len(), 0);
}

#[tokio::test]
async fn a_chunked_body_is_bounded_too() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let hub = Hub::default();
    let mut stream = tokio::net::TcpStream::connect(hub.serve().await).await.expect("connects");
    let head = format!("POST {METRICS} HTTP/1.1\r\nhost: hub\r\n{}transfer-encoding: chunked\r\n\r\n", bearer(CREDENTIAL));
    stream.write_all(head.as_bytes()).await.expect("is sent");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..17 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn more_than_the_allowance_is_refused_with_a_time() {
    let hub = Hub::default();
    let address = hub.serve().await;
    let many = format!("[{}]", vec!["{}"; 6000].join(","));
    let first = post(address, METRICS, &bearer(CREDENTIAL), many.as_bytes()).await;
    assert_eq!((first.status, &first.body["accepted"]), (200, &json!(6000)));
    let second = post(address, METRICS, &bearer(CREDENTIAL), many.as_bytes()).await;
    problem(&second, 429, "too_many_requests");
    assert!(second.head.contains("retry-after: 2"), "{}", second.head);
    // Another agent has its own.
    assert_eq!(post(address, METRICS, &bearer(OTHER_CREDENTIAL), many.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn a_hub_that_cannot_says_so() {
    let hub = Hub::default();
    let address = hub.serve().await;
    hub.state().full = 1;
    let heartbeat = json!({"boot_id": "a", "seq": 1, "metrics": {"a.b": 1}});
    let full = send(address, &heartbeat).await;
    problem(&full, 503, "unavailable");
    assert!(full.head.contains("retry-after: 1"), "{}", full.head);
    hub.state().drop_next = true;
    problem(&send(address, &heartbeat).await, 503, "unavailable");
    assert_eq!(send(address, &heartbeat).await.body["accepted"], 1);
}
