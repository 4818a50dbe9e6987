//! Heartbeats by POST, for networks that let no WebSocket through: enrolment and description by `/nodes`, heartbeats in gzip by
//! `/metrics/system`, three more attempts after 1, 2 and 4 s, then the buffer.

use super::{Ended, Event, Link, Order, Up, encode};
use crate::AgentError;
use crate::buffer::Parcel;
use crate::clock::Moment;
use crate::state::Credential;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use nightbell_protocol::http::{HeartbeatsAnswer, NodeAnswer, encode_heartbeats};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pauses before the attempts after the first.
const RETRIES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// No answer of the hub is honestly longer.
const MAX_ANSWER: usize = 1 << 20;
/// A hub that asks for patience without a time gets this much.
const SLOW_MS: u64 = 5_000;

/// A connection that is kept from one POST to the next.
struct Client {
    kept: Option<SendRequest<Full<Bytes>>>,
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
}

/// One request.
struct Post<'a> {
    route: &'a str,
    bearer: &'a str,
    body: Bytes,
    gzipped: bool,
}

/// What the hub answered.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Introduces the agent and carries orders until the hub cannot be reached.
pub(super) async fn session(link: &mut Link) -> Ended {
    let mut client = Client { kept: None, local: None, peer: None };
    let credential = match introduce(link, &mut client).await {
        Ok(credential) => credential,
        Err(ended) => return ended,
    };
    let local = client.local.map(|address| address.ip());
    let up = Up { agent_id: credential.agent_id.clone(), local, peer: client.peer, clock_offset_ms: None };
    if let Some(ended) = link.up(up).await {
        return ended;
    }
    loop {
        let carried = match link.orders.recv().await {
            None | Some(Order::Stop) => return Ended::Stopped,
            Some(Order::HangUp) => return Ended::lost("the hub owes an answer"),
            Some(Order::Beats(_)) if link.is_quiet() => Ok(()),
            Some(Order::Beats(parcel)) => post_beats(link, &mut client, &credential, parcel).await,
            Some(Order::Describe(_)) => introduce(link, &mut client).await.map(drop),
            // There is no route for it.
            Some(Order::Top(_)) => Ok(()),
        };
        if let Err(ended) = carried {
            return ended;
        }
    }
}

/// Enrols with the token, or describes the host with the credential.
async fn introduce(link: &Link, client: &mut Client) -> Result<Credential, Ended> {
    let credential = link.credential().map_err(Ended::Fatal)?;
    let (bearer, known) = match (&credential, &link.config.token) {
        (Some(credential), _) => (credential.credential.clone(), true),
        (None, Some(token)) => (token.clone(), false),
        (None, None) => return Err(Ended::lost("there is neither a credential nor a token")),
    };
    // The address is known once there is a connection, so one is made first.
    client.connect(link).await?;
    let body = serde_json::to_vec(&link.node(client.local.map(|address| address.ip()))).map_err(Ended::lost)?;
    let post = Post { route: "nodes", bearer: &bearer, body: Bytes::from(body), gzipped: false };
    let answer = client.post(link, post).await?;
    if answer.status.is_success() {
        let node: NodeAnswer = serde_json::from_slice(&answer.body)
            .map_err(|error| Ended::lost(format!("the hub's answer is no such thing: {error}")))?;
        return match (node.credential, credential) {
            (Some(secret), _) => link.keep(node.node_id, secret).map_err(Ended::Fatal),
            (None, Some(credential)) => Ok(credential),
            (None, None) => Err(Ended::lost("the hub enrolled this agent without a credential")),
        };
    }
    let passes = answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS;
    let (code, message) = answer.problem();
    if passes {
        Err(Ended::Lost { why: format!("{code}: {message}"), retry_after: answer.retry_after_ms().map(Duration::from_millis) })
    } else if known || link.known {
        Err(Ended::Refused { code, message })
    } else {
        Err(Ended::Fatal(AgentError::Enrolment { code, message }))
    }
}

async fn post_beats(link: &mut Link, client: &mut Client, credential: &Credential, parcel: Parcel) -> Result<(), Ended> {
    let mut pauses = RETRIES.into_iter();
    loop {
        let request = encode::named(&parcel, &link.boot_id, Moment::now());
        let body = encode_heartbeats(&request).map_err(Ended::lost).and_then(|json| gzip(&json))?;
        let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let post = Post { route: "metrics/system", bearer: &credential.credential, body, gzipped: true };
        let failure = match client.post(link, post).await {
            Ok(answer) if answer.status.is_success() => {
                accepted(link, &parcel, &answer, size).await;
                return Ok(());
            }
            Ok(answer) if matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
                link.slow_down(answer.retry_after_ms().unwrap_or(SLOW_MS)).await;
                return Ok(());
            }
            Ok(answer) if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                let (code, message) = answer.problem();
                return Err(Ended::Refused { code, message });
            }
            Ok(answer) if answer.status.is_client_error() => {
                // It would be refused for ever, and hold up all that follow.
                let (code, message) = answer.problem();
                tracing::error!(code, message, heartbeats = parcel.beats.len(), "the hub refused heartbeats for good");
                acknowledge(link, &parcel).await;
                return Ok(());
            }
            Ok(answer) => Ended::lost(format!("the hub answers {}", answer.status)),
            Err(ended) => ended,
        };
        match pauses.next() {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(failure),
        }
    }
}

async fn accepted(link: &Link, parcel: &Parcel, answer: &Answer, size: u64) {
    let said: HeartbeatsAnswer = serde_json::from_slice(&answer.body).unwrap_or_default();
    for rejected in said.rejected {
        let seq = parcel.beats.get(rejected.index).map(|beat| beat.seq);
        tracing::warn!(seq, why = rejected.why, "the hub refused a heartbeat");
    }
    if parcel.beats.len() == 1 {
        link.tell(Event::Sent(size)).await;
    }
    acknowledge(link, parcel).await;
}

async fn acknowledge(link: &Link, parcel: &Parcel) {
    let seq = parcel.beats.last().map(|beat| beat.seq);
    link.tell(Event::Acknowledged { boot_id: Some(link.boot_id.clone()), seq, clock_offset_ms: None }).await;
}

fn gzip(json: &[u8]) -> Result<Bytes, Ended> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 4), Compression::default());
    encoder.write_all(json).and_then(|()| encoder.finish()).map(Bytes::from).map_err(Ended::lost)
}

impl Client {
    /// Makes sure that there is a connection.
    async fn connect(&mut self, link: &Link) -> Result<&mut SendRequest<Full<Bytes>>, Ended> {
        let usable = self.kept.take().filter(|kept| !kept.is_closed());
        let sender = match usable {
            Some(kept) => kept,
            None => {
                let dialed = link.dialer.dial().await.map_err(Ended::lost)?;
                (self.local, self.peer) = (dialed.local, dialed.peer);
                let (sender, connection) = handshake(TokioIo::new(dialed.stream)).await.map_err(Ended::lost)?;
                // It ends by itself when the sender is dropped or the hub closes.
                drop(tokio::spawn(async { drop(connection.await) }));
                sender
            }
        };
        Ok(self.kept.insert(sender))
    }

    async fn post(&mut self, link: &Link, post: Post<'_>) -> Result<Answer, Ended> {
        let exchange = async {
            let mut request = Request::builder()
                .method(Method::POST)
                .uri(link.endpoint.path(post.route))
                .header(HOST, link.endpoint.authority())
                .header(USER_AGENT, concat!("nightbell-agent/", env!("CARGO_PKG_VERSION")))
                .header(AUTHORIZATION, format!("Bearer {}", post.bearer))
                .header(CONTENT_TYPE, "application/json");
            if post.gzipped {
                request = request.header(CONTENT_ENCODING, "gzip");
            }
            let request = request.body(Full::new(post.body)).map_err(Ended::lost)?;
            let sender = self.connect(link).await?;
            sender.ready().await.map_err(Ended::lost)?;
            let (head, body) = sender.send_request(request).await.map_err(Ended::lost)?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(Ended::lost)?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await;
        answer.unwrap_or_else(|_elapsed| Err(Ended::lost("the hub does not answer"))).inspect_err(|_| self.kept = None)
    }
}

impl Answer {
    /// Code and words of an error.
    fn problem(&self) -> (String, String) {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |name: &str| problem.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        let code = text("code").unwrap_or_else(|| self.status.as_str().to_owned());
        (code, text("detail").or_else(|| text("title")).unwrap_or_else(|| self.status.to_string()))
    }

    fn retry_after_ms(&self) -> Option<u64> {
        let seconds: u64 = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        seconds.checked_mul(1000)
    }
}
