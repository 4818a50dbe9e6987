//! One simulated agent over HTTP: by hand on a kept connection, because a full client would cost more than the hub.

use crate::Fleet;
use crate::common::Host;
use crate::support::agents::{Identity, gzip};
use crate::support::now_ms;
use nightbell_protocol::http::{HeartbeatsRequest, encode_heartbeats};
use nightbell_protocol::{Heartbeat, Values};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Posts one heartbeat after the other until the fleet is dismissed; gives how many, and how long each took.
pub(crate) async fn agent(fleet: Arc<Fleet>, identity: Identity, number: u64) -> (u64, Vec<Duration>) {
    let mut host = Host::new(number, fleet.metrics);
    let address = fleet.root.strip_prefix("http://").unwrap();
    let mut stream = BufReader::new(TcpStream::connect(address).await.expect("a connection"));
    stream.get_ref().set_nodelay(true).unwrap();
    fleet.assemble().await;
    let (mut seq, mut times) = (0, Vec::new());
    while !fleet.is_over() {
        seq += 1;
        let body = body(seq, fleet.age_ms(seq), &mut host);
        let sent = Instant::now();
        let head = format!(
            "POST /api/v1/metrics/system HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            identity.credential,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), &body].concat()).await.expect("the hub reads");
        let answer = answer(&mut stream).await;
        assert!(answer.contains("\"accepted\":1"), "{answer}");
        fleet.durable(1, sent.elapsed(), &mut times);
        fleet.pace().await;
    }
    (seq, times)
}

fn body(seq: u64, age_ms: u64, host: &mut Host) -> Vec<u8> {
    let scales: Vec<f64> = host.decimals.iter().map(|decimals| 10_f64.powi(i32::from(*decimals))).collect();
    let numbers: Vec<_> = host.measure().iter().zip(scales).map(|(value, scale)| Some(*value as f64 / scale)).collect();
    let values = Values::named(host.names.iter().zip(numbers));
    let beat = Heartbeat {
        boot_id: Some("K2M7Q9R4T6V8".to_owned()),
        seq: Some(seq),
        timestamp: Some(now_ms() - i64::try_from(age_ms).unwrap()),
        values,
        ..Heartbeat::default()
    };
    gzip(&encode_heartbeats(&HeartbeatsRequest { heartbeats: vec![beat], sent_at: None }).unwrap())
}

async fn answer(stream: &mut BufReader<TcpStream>) -> String {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        assert!(stream.read_line(&mut line).await.expect("the hub answers") > 0, "the connection is closed");
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a whole answer");
    String::from_utf8(body).unwrap()
}
