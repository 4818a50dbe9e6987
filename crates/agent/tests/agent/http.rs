//! The agent against a hub over real HTTP: enrolment, gzip, retries, patience, refusals.

use crate::common::{ID, config, run, within};
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use nightbell_agent::{AgentConfig, AgentError, Transport};
use nightbell_protocol::Limits;
use nightbell_protocol::http::{Entry, decode_entries};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// A request as it came, waiting for the test's answer.
struct Asked {
    path: String,
    bearer: String,
    gzipped: bool,
    body: Vec<u8>,
    answer: oneshot::Sender<Response<Full<Bytes>>>,
}

impl Asked {
    fn answer(self, status: u16, body: Value) {
        self.answer_with(status, None, body);
    }

    fn answer_with(self, status: u16, retry_after: Option<&str>, body: Value) {
        let mut response = Response::builder().status(status);
        if let Some(seconds) = retry_after {
            response = response.header("retry-after", seconds);
        }
        let _gone = self.answer.send(response.body(Full::from(body.to_string())).unwrap());
    }

    fn entries(&self) -> Vec<Entry> {
        assert_eq!((self.path.as_str(), self.gzipped, self.bearer.as_str()), ("/api/v1/metrics/system", true, "Bearer secret"));
        let mut json = Vec::new();
        GzDecoder::new(&*self.body).read_to_end(&mut json).unwrap();
        decode_entries(&json, &Limits::BODY).unwrap()
    }
}

async fn serve() -> (SocketAddr, mpsc::Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, requests) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = asked.clone();
            let handle = service_fn(move |request| ask(asked.clone(), request));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handle));
        }
    });
    (address, requests)
}

async fn ask(asked: mpsc::Sender<Asked>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let (path, bearer, gzipped) =
        (request.uri().path().to_owned(), header("authorization"), header("content-encoding") == "gzip");
    let body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
    let (answer, answered) = oneshot::channel();
    asked.send(Asked { path, bearer, gzipped, body, answer }).await.ok().unwrap();
    Ok(answered.await.unwrap())
}

async fn next(requests: &mut mpsc::Receiver<Asked>) -> Asked {
    within(requests.recv()).await.unwrap()
}

fn http(address: SocketAddr, state: &std::path::Path) -> AgentConfig {
    AgentConfig { transport: Transport::Http, ..config(&format!("http://{address}"), state, Some("enrol")) }
}

async fn enrol(requests: &mut mpsc::Receiver<Asked>) -> Value {
    let asked = next(requests).await;
    assert_eq!((asked.path.as_str(), asked.bearer.as_str()), ("/api/v1/nodes", "Bearer enrol"));
    let body = serde_json::from_slice(&asked.body).unwrap();
    asked.answer(200, json!({"node_id": ID, "credential": "secret"}));
    body
}

#[tokio::test]
async fn enrols_and_posts_heartbeats_in_gzip_with_their_times() {
    let (address, mut requests) = serve().await;
    let state = tempfile::tempdir().unwrap();
    let mut agent = run(http(address, state.path()));
    let body = enrol(&mut requests).await;
    assert!(body["hostname"].is_string() && body["ip"] == "127.0.0.1" && body["version"].is_string());
    for seq in 1..=2 {
        let asked = next(&mut requests).await;
        let entries = asked.entries();
        let beat = &entries[0].heartbeat;
        assert_eq!((entries.len(), beat.seq, &beat.fault), (1, Some(seq), &None));
        let lag = beat.sent_at.unwrap() - beat.timestamp.unwrap();
        assert!((0..5_000).contains(&lag), "{lag}");
        assert!(asked.body.len() < 4_096, "{} bytes", asked.body.len());
        asked.answer(200, json!({"accepted": 1, "duplicates": 0, "rejected": []}));
    }
    agent.stop();
    let last = next(&mut requests).await;
    assert_eq!(last.entries()[0].heartbeat.seq, Some(3));
    last.answer(200, json!({"accepted": 1, "duplicates": 0, "rejected": []}));
    agent.ended().await.unwrap();
}

#[tokio::test]
async fn failures_are_retried_patience_is_given_and_refusals_are_not_repeated() {
    let (address, mut requests) = serve().await;
    let state = tempfile::tempdir().unwrap();
    let _agent = run(http(address, state.path()));
    enrol(&mut requests).await;
    let asked = next(&mut requests).await;
    assert_eq!(asked.entries()[0].heartbeat.seq, Some(1));
    let begun = std::time::Instant::now();
    asked.answer(500, json!({}));
    let retried = next(&mut requests).await;
    assert!(begun.elapsed() >= std::time::Duration::from_millis(950), "{:?}", begun.elapsed());
    assert_eq!(retried.entries()[0].heartbeat.seq, Some(1), "the same again");
    let begun = std::time::Instant::now();
    retried.answer_with(503, Some("1"), json!({"code": "busy"}));
    let patient = next(&mut requests).await;
    assert!(begun.elapsed() >= std::time::Duration::from_millis(950), "{:?}", begun.elapsed());
    let numbers: Vec<_> = patient.entries().iter().filter_map(|entry| entry.heartbeat.seq).collect();
    assert_eq!(numbers[0], 1);
    assert!(numbers.len() >= 2, "what came meanwhile goes along: {numbers:?}");
    patient.answer(422, json!({"code": "invalid", "detail": "no"}));
    let next = next(&mut requests).await;
    assert_eq!(next.entries()[0].heartbeat.seq, numbers.last().map(|seq| seq + 1), "refused for good");
}

#[tokio::test]
async fn a_refused_token_ends_the_first_start() {
    let (address, mut requests) = serve().await;
    let state = tempfile::tempdir().unwrap();
    let agent = run(http(address, state.path()));
    next(&mut requests).await.answer_with(503, Some("0"), json!({"code": "unavailable"}));
    next(&mut requests).await.answer(401, json!({"code": "bad_token", "detail": "this enrolment token has expired"}));
    let error = agent.ended().await.unwrap_err();
    assert!(
        matches!(&error, AgentError::Enrolment { code, message } if code == "bad_token" && message.contains("expired")),
        "{error}"
    );
}
