//! One simulated agent over HTTP: by hand on a kept connection, with its values compressed before anything is measured. Who
//! compresses while the clock runs spends more than the hub does, and then the figures are the generator's own.

use crate::Fleet;
use crate::common::Host;
use crate::support::agents::Identity;
use crate::support::now_ms;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use nightbell_protocol::Values;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How many moments an agent has ready. It goes through them to and fro, so that gauges move in their small steps throughout.
const MOMENTS: usize = 16;
/// Room for an answer: its head and one line of JSON.
const ANSWER_ROOM: usize = 2048;

/// Posts one heartbeat after the other until the fleet is dismissed; gives how many, and how long each took.
pub(crate) async fn agent(fleet: Arc<Fleet>, identity: Identity, number: u64) -> (u64, Vec<Duration>) {
    let mut host = Host::new(number, fleet.metrics);
    let moments: Vec<Moment> = (0..MOMENTS).map(|_| Moment::measured(&mut host)).collect();
    let address = fleet.root.strip_prefix("http://").unwrap();
    let head = format!(
        "POST /api/v1/metrics/system HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: ",
        identity.credential
    );
    fleet.assemble(number).await;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).unwrap();
    let (mut seq, mut times, mut request) = (0, Vec::new(), Vec::new());
    while !fleet.is_over() {
        seq += 1;
        request.clear();
        request.extend_from_slice(head.as_bytes());
        moments[to_and_fro(seq)].post(&mut request, seq, fleet.age_ms(seq));
        let sent = Instant::now();
        stream.write_all(&request).await.expect("the hub reads");
        accepted(&mut stream).await;
        fleet.durable(1, sent.elapsed(), &mut times);
        fleet.pace().await;
    }
    (seq, times)
}

/// Which moment the heartbeat of this number tells of.
fn to_and_fro(seq: u64) -> usize {
    let at = usize::try_from(seq).unwrap() % (2 * MOMENTS - 2);
    at.min(2 * MOMENTS - 2 - at)
}

/// The values of one moment, as the end of a gzipped body.
struct Moment {
    deflated: Vec<u8>,
    crc: Crc,
}

impl Moment {
    fn measured(host: &mut Host) -> Self {
        let scales: Vec<f64> = host.decimals.iter().map(|decimals| 10_f64.powi(i32::from(*decimals))).collect();
        let numbers: Vec<_> = host.measure().iter().zip(scales).map(|(value, scale)| Some(*value as f64 / scale)).collect();
        let Values::Named(named) = Values::named(host.names.iter().zip(numbers)) else { panic!("values by name") };
        let json = format!("\"metrics\":{}}}]}}", serde_json::to_string(&named).unwrap());
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(json.as_bytes()).unwrap();
        let mut crc = Crc::new();
        crc.update(json.as_bytes());
        Self { deflated: encoder.finish().unwrap(), crc }
    }

    /// Appends the rest of the request. The body is one ordinary gzip member (RFC 1952): what changes with each heartbeat is a
    /// stored block of its deflate stream (RFC 1951, section 3.2.4), and the values are the blocks that follow.
    fn post(&self, request: &mut Vec<u8>, seq: u64, age_ms: u64) {
        const MEMBER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        const STORED: u8 = 0;
        let timestamp = now_ms() - i64::try_from(age_ms).unwrap();
        let fresh = format!("{{\"heartbeats\":[{{\"boot_id\":\"K2M7Q9R4T6V8\",\"seq\":{seq},\"timestamp\":{timestamp},");
        let length = u16::try_from(fresh.len()).unwrap();
        let mut crc = Crc::new();
        crc.update(fresh.as_bytes());
        crc.combine(&self.crc);
        let bytes = MEMBER.len() + 1 + 2 * size_of_val(&length) + fresh.len() + self.deflated.len() + 8;
        write!(request, "{bytes}\r\n\r\n").unwrap();
        request.extend_from_slice(&MEMBER);
        request.push(STORED);
        request.extend_from_slice(&length.to_le_bytes());
        request.extend_from_slice(&(!length).to_le_bytes());
        request.extend_from_slice(fresh.as_bytes());
        request.extend_from_slice(&self.deflated);
        request.extend_from_slice(&crc.sum().to_le_bytes());
        request.extend_from_slice(&crc.amount().to_le_bytes());
    }
}

/// Reads one answer to its end: the heartbeat is durable.
async fn accepted(stream: &mut TcpStream) {
    let (mut room, mut filled) = ([0; ANSWER_ROOM], 0);
    while !is_whole(&room[..filled]) {
        let read = stream.read(&mut room[filled..]).await.expect("the hub answers");
        assert!(read > 0, "broken off: {}", String::from_utf8_lossy(&room[..filled]));
        filled += read;
    }
    let answer = str::from_utf8(&room[..filled]).unwrap();
    assert!(answer.contains("\"accepted\":1"), "{answer}");
}

/// Whether this is a whole answer: its head, and as many bytes as that says.
fn is_whole(answer: &[u8]) -> bool {
    let answer = str::from_utf8(answer).unwrap_or_default();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
    });
    body.len() >= length.expect("a length")
}
