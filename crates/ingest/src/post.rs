//! The HTTP way: `POST /nodes` and `POST /metrics/system`.

use crate::body::{self, Wire};
use crate::heard::Heard;
use crate::introduction::check_node;
use crate::mailbox::{Answer, reply};
use crate::port::{Description, Enrol, Submission};
use crate::problem::Problem;
use crate::router::Shared;
use axum::Json;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use nightbell_model::{AgentId, Timestamp};
use nightbell_protocol::Limits;
use nightbell_protocol::http::{HeartbeatsAnswer, NodeAnswer, NodeRequest, Rejected, decode_entries, decode_node};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How long a request waits for its heartbeats to be durable: a commit takes milliseconds, and a full disk much longer.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest description of a host that is kept, in bytes of JSON.
pub(crate) const FACTS_LIMIT: usize = 64 << 10;

/// Where a request comes from, if the server said.
pub(crate) fn remote(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip())
}

/// `POST /nodes`: enrols with a token, or updates what is known of the agent whose credential came.
pub(crate) async fn nodes(State(shared): State<Arc<Shared>>, request: Request) -> Result<Json<NodeAnswer>, Problem> {
    let remote = remote(&request);
    let (parts, body) = request.into_parts();
    let bearer = bearer(&parts.headers)?;
    let known = shared.port.authenticate(None, bearer).await;
    if known.is_err() {
        shared.port.knows_enrolment(bearer)?;
    }
    let node = read_node(&parts.headers, body).await?;
    if let Ok(agent) = known {
        shared.port.described(agent, description(node)).await?;
        return Ok(Json(NodeAnswer { node_id: agent.to_string(), credential: None }));
    }
    let enrolled = shared.port.register(enrol(bearer.to_owned(), node, remote)).await?;
    Ok(Json(NodeAnswer { node_id: enrolled.agent.to_string(), credential: Some(enrolled.credential) }))
}

async fn read_node(headers: &HeaderMap, body: Body) -> Result<NodeRequest, Problem> {
    let wire = body::read(headers, body).await?;
    let node = wire.decoded(|json| Ok(decode_node(json, &Limits::BODY)?))?;
    check_node(&node).map_err(|reject| Problem::invalid(reject.code, reject.pointer, reject.why))?;
    if node.facts.as_ref().is_some_and(|facts| facts_json(facts).len() > FACTS_LIMIT) {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "facts may have 64 KiB").at("/facts"));
    }
    Ok(node)
}

pub(crate) fn facts_json(facts: &nightbell_protocol::Facts) -> String {
    serde_json::Value::Object(facts.0.clone()).to_string()
}

fn description(node: NodeRequest) -> Description {
    Description {
        interval_ms: node.interval_ms,
        version: node.version,
        facts_json: node.facts.as_ref().map(facts_json),
        hostname: node.hostname,
        role: node.role,
        ip: node.ip,
    }
}

fn enrol(token: String, node: NodeRequest, remote: IpAddr) -> Enrol {
    Enrol {
        token,
        facts_json: node.facts.as_ref().map(facts_json),
        name: node.name,
        hostname: node.hostname,
        ip: node.ip,
        role: node.role,
        version: node.version,
        interval_ms: node.interval_ms,
        public_key: None,
        tags: node.tags,
        remote,
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = || Problem::unauthorized("unauthorized", "send `Authorization: Bearer <credential>`");
    let value = headers.get(header::AUTHORIZATION).ok_or_else(missing)?.to_str().map_err(|_binary| missing())?;
    let (scheme, token) = value.split_once(' ').ok_or_else(missing)?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() { Ok(token) } else { Err(missing()) }
}

/// `POST /metrics/system`: heartbeats, answered once they are durable.
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>, request: Request) -> Result<Json<HeartbeatsAnswer>, Problem> {
    // The request, and the room for reading it, are gone while the commit is waited for: a thousand of them would lie there otherwise.
    let Understood { agent, heard, indices, mut answer } = Box::pin(listen(&shared, request)).await?;
    if heard.is_empty() {
        return Ok(Json(answer));
    }
    let (done, replied) = reply();
    if shared.port.submit(Submission { agent, heard, done }).is_err() {
        return Err(Problem::unavailable("the hub has no room for heartbeats now: send them again"));
    }
    let unknown = || Problem::unavailable("the heartbeats could not be made durable: send them again");
    let done = tokio::time::timeout(COMMIT_TIMEOUT, replied.wait()).await.ok().flatten().ok_or_else(unknown)?;
    for (index, verdict) in indices.into_iter().zip(done.answers) {
        tally(&mut answer, index, verdict);
    }
    answer.rejected.sort_by_key(|rejected| rejected.index);
    Ok(Json(answer))
}

/// Takes a request apart and understands what its sender says.
async fn listen(shared: &Arc<Shared>, request: Request) -> Result<Understood, Problem> {
    let received = shared.port.now();
    let (parts, body) = request.into_parts();
    let agent = shared.port.authenticate(None, bearer(&parts.headers)?).await?;
    let wire = body::read(&parts.headers, body).await?;
    if !wire.is_large() {
        return understand(shared, agent, wire, received);
    }
    let shared = Arc::clone(shared);
    let beside = tokio::task::spawn_blocking(move || understand(&shared, agent, wire, received));
    beside.await.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()))?
}

struct Understood {
    agent: AgentId,
    heard: Vec<Heard>,
    /// Where in the body each of them stood.
    indices: Vec<usize>,
    answer: HeartbeatsAnswer,
}

fn understand(shared: &Shared, agent: AgentId, wire: Wire, received: Timestamp) -> Result<Understood, Problem> {
    let entries = wire.decoded(|json| Ok(decode_entries(json, &Limits::BODY)?))?;
    let desk = shared.desk(agent);
    let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
    desk.bucket.take(entries.len(), shared.elapsed_ms()).map_err(Problem::too_fast)?;
    let mut understood =
        Understood { agent, heard: Vec::with_capacity(entries.len()), indices: Vec::new(), answer: HeartbeatsAnswer::default() };
    for (index, entry) in entries.iter().enumerate() {
        match desk.listener.hear_entry(entry, received) {
            Ok(heard) => {
                understood.heard.push(heard);
                understood.indices.push(index);
            }
            Err(reject) => {
                let why = format!("{}: {}", reject.code, reject.why);
                understood.answer.rejected.push(Rejected { index, why });
            }
        }
    }
    Ok(understood)
}

fn tally(answer: &mut HeartbeatsAnswer, index: usize, verdict: Answer) {
    match verdict {
        Answer::Stored => answer.accepted += 1,
        Answer::Duplicate => answer.duplicates += 1,
        Answer::TooOld => {
            let why = "too_old: older than the raw history that is kept".to_owned();
            answer.rejected.push(Rejected { index, why });
        }
        Answer::Refused { code, why } => answer.rejected.push(Rejected { index, why: format!("{code}: {why}") }),
    }
}
