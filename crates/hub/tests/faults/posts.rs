//! Bodies that must not be posted, and more of them than an agent may send.

use crate::support::agents::gzip;
use crate::support::house::House;
use crate::support::now_ms;
use crate::support::wait::PATIENCE;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_have_a_status_and_a_code() {
    let house = House::start().await;
    let (agent, other) = (house.http_agent("a").await, house.http_agent("b").await);
    let good = json!({"timestamp": now_ms(), "metrics": {"cpu.usage_percent": 1}});
    let beats = |count: usize| json!({"heartbeats": vec![json!({"age_ms": 0}); count]}).to_string().into_bytes();
    let before = house.hub.rss_bytes();
    for (name, body, encoding, status) in [
        ("a gzip bomb", gzip(&vec![b' '; 200 << 20]), Some("gzip"), 413),
        ("decoded over 4 MiB", gzip(format!("{{\"pad\":\"{}\"}}", "x".repeat(5 << 20)).as_bytes()), Some("gzip"), 413),
        ("2 MiB on the wire", vec![b' '; 2 << 20], None, 413),
        ("cut off gzip", gzip(good.to_string().as_bytes())[..20].to_vec(), Some("gzip"), 400),
        ("no gzip at all", good.to_string().into_bytes(), Some("gzip"), 400),
        ("an unknown encoding", good.to_string().into_bytes(), Some("br"), 415),
        ("no JSON", b"{\"metrics\":".to_vec(), None, 400),
        ("a number", b"7".to_vec(), None, 400),
        ("nested too deep", format!("{}{}", "[".repeat(4_000), "]".repeat(4_000)).into_bytes(), None, 400),
        ("too many heartbeats", beats(6_001), None, 400),
    ] {
        let (found, _, problem) = agent.post_bytes(body, encoding).await;
        let fits = found == status || (status == 400 && matches!(found, 413 | 422));
        assert!(fits && problem["code"].is_string() && problem["status"] == found, "{name}: {found} {problem}");
    }
    let grown = house.hub.rss_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "bad bodies took {grown} bytes");
    let foreign = json!({"node_id": other.identity.id, "timestamp": now_ms(), "system": {"cpu_percent": 99}});
    let (_, answer) = agent.post(&foreign).await;
    assert_eq!((&answer["accepted"], &answer["rejected"][0]["index"]), (&json!(0), &json!(0)), "{answer}");
    assert_eq!(house.api.get(&format!("/agents/{}", other.identity.id)).await["metrics"], json!({}));
    assert_eq!(agent.post(&good).await.1["accepted"], 1);
    let mut stranger = agent.clone();
    stranger.identity.credential.push('x');
    let (status, problem) = stranger.post(&good).await;
    assert_eq!((status, problem["code"].is_string()), (401, true), "{problem}");
    let (status, _) = house.api.ask(reqwest::Method::POST, "/metrics/system", Some(&good)).await;
    assert_eq!(status, 401, "an API token is no agent's credential");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_sends_too_much_is_told_when_to_come_back() {
    let house = House::start().await;
    let (agent, quiet) = (house.http_agent("loud").await, house.http_agent("quiet").await);
    let mut number = 0;
    let mut refused = None;
    for _ in 0..40 {
        let beats: Vec<Value> = (0..2_000).map(|n| json!({"boot_id": "b", "seq": number + n + 1, "age_ms": 0})).collect();
        let (status, retry_after, answer) = agent.post_bytes(json!({"heartbeats": beats}).to_string().into_bytes(), None).await;
        match status {
            200 => number += 2_000,
            429 => {
                refused = Some((retry_after, answer));
                break;
            }
            _ => panic!("{status}: {answer}"),
        }
    }
    let (retry_after, problem) = refused.expect("80,000 heartbeats in a few seconds are too many");
    assert!(
        retry_after.is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds))),
        "{problem}"
    );
    assert!(number >= 10_000, "a burst of 10,000 is fine: {number}");
    let (status, answer) = quiet.post(&json!({"timestamp": now_ms(), "metrics": {"cpu.usage_percent": 1}})).await;
    assert_eq!((status, &answer["accepted"]), (200, &json!(1)), "one agent's noise is not another's");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_asked_may_close_its_half_of_the_connection() {
    let house = House::start().await;
    let agent = house.http_agent("a").await;
    let body = json!({"timestamp": now_ms(), "metrics": {"cpu.usage_percent": 1}}).to_string();
    let address = house.hub.url.strip_prefix("http://").unwrap();
    let request = format!(
        "POST /api/v1/metrics/system HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        agent.identity.credential,
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an answer and an end").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"accepted\":1"), "{answer:?}");
}
