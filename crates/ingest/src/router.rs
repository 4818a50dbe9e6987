//! The agents' endpoints, as a router and the busiest of them without one, and what they share.

use crate::plan::PlanPool;
use crate::port::HubPort;
use crate::rate::{BURST, HEARTBEATS_PER_SECOND, TokenBucket};
use crate::understand::Listener;
use crate::{post, socket};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post as on_post};
use nightbell_model::AgentId;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// `GET /agents/connect` (WebSocket), `POST /nodes` and `POST /metrics/system`. The server should put the peer's address into the
/// requests (`ConnectInfo<SocketAddr>`); without it agents have no address.
#[derive(Debug, Clone)]
pub struct Endpoints(Arc<Shared>);

impl Endpoints {
    /// Where heartbeats are posted, below a base.
    pub const HEARTBEATS: &str = "/metrics/system";

    /// The endpoints around `port`. Clones know the same agents, and bound them together.
    #[must_use]
    pub fn new(port: Arc<dyn HubPort>) -> Self {
        Self(Arc::new(Shared::new(port)))
    }

    /// Their routes under each of the API's base paths (whole paths: a nested router takes every request's address apart).
    pub fn router(&self, bases: &[&str]) -> Router {
        let under = |router: Router<Arc<Shared>>, base: &&str| {
            router
                .route(&format!("{base}/agents/connect"), get(socket::connect))
                .route(&format!("{base}/nodes"), on_post(post::nodes))
                .route(&format!("{base}{}", Self::HEARTBEATS), on_post(post::metrics))
        };
        bases.iter().fold(Router::new(), under).with_state(Arc::clone(&self.0))
    }

    /// Answers what was posted to [`Self::HEARTBEATS`], for servers that want no router between them and a heartbeat.
    pub async fn heartbeats(&self, request: Request) -> Response {
        post::metrics(State(Arc::clone(&self.0)), request).await.into_response()
    }
}

/// What one agent has at the HTTP way: the plan of its last names, and its allowance.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) listener: Listener,
    pub(crate) bucket: TokenBucket,
}

/// When so many desks are kept, those whose agents have rested are cleared away.
const DESKS_BEFORE_CLEARING: usize = 1024;

pub(crate) struct Shared {
    pub(crate) port: Arc<dyn HubPort>,
    pub(crate) pool: Arc<PlanPool>,
    desks: Mutex<Desks>,
    started: Instant,
}

#[derive(Debug, Default)]
struct Desks {
    by_agent: HashMap<AgentId, Arc<Mutex<Desk>>>,
    clear_at: usize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Numbers the connections of this process, whatever router they came through.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

impl Shared {
    pub(crate) fn new(port: Arc<dyn HubPort>) -> Self {
        Self { port, pool: Arc::default(), desks: Mutex::default(), started: Instant::now() }
    }

    /// Milliseconds of a clock that never goes back.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn bucket(&self) -> TokenBucket {
        TokenBucket::new(HEARTBEATS_PER_SECOND, BURST, self.elapsed_ms())
    }

    pub(crate) fn listener(&self, agent: AgentId) -> Listener {
        Listener::new(agent, Arc::clone(&self.pool))
    }

    /// The desk of this agent.
    pub(crate) fn desk(&self, agent: AgentId) -> Arc<Mutex<Desk>> {
        let mut desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        if desks.by_agent.len() >= desks.clear_at.max(DESKS_BEFORE_CLEARING) {
            let now = self.elapsed_ms();
            desks.by_agent.retain(|_, desk| {
                Arc::strong_count(desk) > 1 || !desk.lock().unwrap_or_else(PoisonError::into_inner).bucket.is_full(now)
            });
            desks.clear_at = desks.by_agent.len() * 2;
        }
        let new = || Arc::new(Mutex::new(Desk { listener: self.listener(agent), bucket: self.bucket() }));
        Arc::clone(desks.by_agent.entry(agent).or_insert_with(new))
    }

    pub(crate) fn next_connection(&self) -> u64 {
        CONNECTIONS.fetch_add(1, Ordering::Relaxed)
    }
}
