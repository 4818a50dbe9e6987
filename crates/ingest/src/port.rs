//! What the endpoints need of the hub, and what they hand to it.

use crate::heard::Heard;
use crate::mailbox::{Closer, ReplyTo};
use futures_util::future::BoxFuture;
use nightbell_model::{AgentId, Timestamp};
use std::net::IpAddr;

/// An agent that wants a credential.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrol {
    /// The enrolment token.
    pub token: String,
    /// What it wants to be called.
    pub name: Option<String>,
    /// Its host's name.
    pub hostname: Option<String>,
    /// Its host's address as it sees it.
    pub ip: Option<String>,
    /// What its host is for.
    pub role: Option<String>,
    /// The agent program's version.
    pub version: Option<String>,
    /// How often it will send heartbeats, in milliseconds.
    pub interval_ms: Option<u64>,
    /// Its Ed25519 key in text form, if it has one.
    pub public_key: Option<String>,
    /// Tags it wants.
    pub tags: Vec<String>,
    /// What its host is: a JSON object.
    pub facts_json: Option<String>,
    /// Where the connection comes from; unspecified if the server did not say.
    pub remote: IpAddr,
}

/// An agent that got its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// Its id.
    pub agent: AgentId,
    /// What it authenticates with from now on.
    pub credential: String,
}

/// Why the hub refused an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, for programs. `unavailable` means: try again later; it is the only one that is not final.
    pub code: String,
    /// For people.
    pub message: String,
}

/// What an agent said of itself when it connected or later; `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Description {
    /// How often it will send heartbeats, in milliseconds.
    pub interval_ms: Option<u64>,
    /// The agent program's version.
    pub version: Option<String>,
    /// What its host is: a JSON object.
    pub facts_json: Option<String>,
    /// Its host's name.
    pub hostname: Option<String>,
    /// What its host is for.
    pub role: Option<String>,
    /// Its host's address as it sees it.
    pub ip: Option<String>,
}

/// Heartbeats of one agent on their way into the hub.
#[derive(Debug)]
pub struct Submission {
    /// Whose they are.
    pub agent: AgentId,
    /// The heartbeats, in the order they came.
    pub heard: Vec<Heard>,
    /// Who waits for the answer.
    pub done: ReplyTo,
}

/// The hub, as the agents' endpoints see it.
pub trait HubPort: Send + Sync + 'static {
    /// Whether this is an enrolment token at all, before anything else of a request is looked at; whether it can still be used is said
    /// by [`HubPort::register`].
    ///
    /// # Errors
    /// When it is none.
    fn knows_enrolment(&self, token: &str) -> Result<(), Refusal>;

    /// Exchanges an enrolment token for a credential.
    fn register(&self, request: Enrol) -> BoxFuture<'_, Result<Enrolled, Refusal>>;

    /// Whose credential this is. A cheap look-up: ten thousand agents may come back at once.
    fn authenticate<'a>(&'a self, agent: Option<AgentId>, credential: &'a str) -> BoxFuture<'a, Result<AgentId, Refusal>>;

    /// Takes note of what an agent says of itself: begun at once, whether the answer, that it is durable, is waited for or not.
    fn described(&self, agent: AgentId, description: Description) -> BoxFuture<'static, Result<(), Refusal>>;

    /// An agent is connected; `closer` ends the connection from this side.
    fn opened(&self, agent: AgentId, connection: u64, closer: Closer);

    /// A connection has ended: cleanly (the agent closed it), and on purpose (somebody stopped the agent).
    fn closed(&self, agent: AgentId, connection: u64, clean: bool, on_purpose: bool);

    /// Takes heartbeats, to answer when they are durable. Never waits.
    ///
    /// # Errors
    /// The submission itself, when the hub has no room for it now.
    fn submit(&self, submission: Submission) -> Result<(), Submission>;

    /// Takes the processes that used most at that moment: `{"cpu":[…],"mem":[…]}`.
    fn top_processes(&self, agent: AgentId, at: Timestamp, json: String);

    /// The hub's time.
    fn now(&self) -> Timestamp;

    /// How often agents send heartbeats that say nothing of it, in milliseconds.
    fn interval_ms(&self) -> u64;
}
