//! The subjects of the envelopes, agent to hub and hub to agent. Replies go to the inbox that the request named instead.

/// Agent: a one-time token for a credential.
pub const REGISTER: &str = "agent.register";
/// Agent: the credential, at every later connection.
pub const AUTH: &str = "agent.auth";
/// Agent: the series names that packed heartbeats refer to.
pub const SCHEMA: &str = "agent.schema";
/// Agent: one heartbeat.
pub const HEARTBEAT: &str = "agent.heartbeat";
/// Agent: many heartbeats, oldest first: a buffer that is replayed.
pub const HEARTBEATS: &str = "agent.heartbeats";
/// Hub: heartbeats are durable.
pub const ACK: &str = "agent.heartbeat.ack";
/// Agent: what kind of host it is.
pub const FACTS: &str = "agent.facts";
/// Agent: the processes that use most, as an answer to [`TOP_REQUEST`] or unasked.
pub const TOP: &str = "agent.top";
/// Hub: asks for [`TOP`].
pub const TOP_REQUEST: &str = "agent.top.request";
/// Agent: it is about to stop.
pub const STOPPING: &str = "agent.stopping";
/// Hub: asks for patience.
pub const SLOW: &str = "agent.slow";
/// Hub: something was refused, and why.
pub const ERROR: &str = "error";
/// Agent: values of containers that belong to the heartbeat with the same boot id and number.
pub const CONTAINER: &str = "container.metrics";
/// What the subject of a reply starts with.
pub const INBOX_PREFIX: &str = "_INBOX.";
