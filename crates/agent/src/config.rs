//! How an agent is to run: the face that a program fills in, with the defaults, and the check that makes it usable.
//!
//! Where settings come from (flags, environment, file) is left to `config::sources`; nothing here is global.

pub mod cli;
mod sources;

use crate::collect::Roots;
use crate::endpoint::Endpoint;
use crate::error::AgentError;
use crate::watch::Watch;
pub use nightbell_protocol::Encoding;
use std::path::PathBuf;
use std::time::Duration;

/// How heartbeats travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// One WebSocket that stays open.
    #[default]
    WebSocket,
    /// A POST for each heartbeat, for networks that let nothing else through.
    Http,
}

/// Everything an agent needs to know.
#[derive(Clone)]
pub struct AgentConfig {
    /// The hub's URL: `wss://hub.example.org`, or `ws://127.0.0.1:8787` on this host.
    pub hub: String,
    /// A one-time enrolment token; not needed once the state folder holds a credential.
    pub token: Option<String>,
    /// The folder where the credential is kept; it is made if it is not there.
    pub state: PathBuf,
    /// What the agent wants to be called; the host's name otherwise.
    pub name: Option<String>,
    /// What the host is for.
    pub role: Option<String>,
    /// Tags for the enrolment.
    pub tags: Vec<String>,
    /// The time between heartbeats, from 1 s to 1 h.
    pub interval: Duration,
    /// How heartbeats travel.
    pub transport: Transport,
    /// How WebSocket frames are written.
    pub encoding: Encoding,
    /// The longest wait between two attempts to connect.
    pub reconnect_max: Duration,
    /// Whether the credential may cross a network unencrypted.
    pub allow_plaintext: bool,
    /// Certificates (PEM) that are trusted beside the system's own.
    pub ca_file: Option<PathBuf>,
    /// Where the kernel's trees are.
    pub roots: Roots,
    /// What is watched beside the host itself.
    pub watch: Watch,
    /// Whether SIGTERM and SIGINT end the agent; a program that handles them itself says no.
    pub install_signal_handlers: bool,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            hub: String::new(),
            token: None,
            state: default_state(),
            name: None,
            role: None,
            tags: Vec::new(),
            interval: Duration::from_secs(15),
            transport: Transport::default(),
            encoding: Encoding::Cbor,
            reconnect_max: Duration::from_secs(60),
            allow_plaintext: false,
            ca_file: None,
            roots: Roots::default(),
            watch: Watch::default(),
            install_signal_handlers: true,
        }
    }
}

impl std::fmt::Debug for AgentConfig {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentConfig")
            .field("hub", &self.hub)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("state", &self.state)
            .field("interval", &self.interval)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

impl AgentConfig {
    /// Checks what can be checked without the network.
    ///
    /// # Errors
    /// The first setting that cannot be used, with what to write instead.
    pub(crate) fn check(&self) -> Result<Endpoint, AgentError> {
        let endpoint = Endpoint::parse(&self.hub, self.allow_plaintext)?;
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(3600));
        if !(least..=most).contains(&self.interval) {
            let why = format!("{} is not possible", humantime::format_duration(self.interval));
            return Err(AgentError::config("the interval", why, "choose a time from 1s to 1h"));
        }
        if !(least..=most).contains(&self.reconnect_max) {
            let why = format!("{} is not possible", humantime::format_duration(self.reconnect_max));
            return Err(AgentError::config("the longest wait to reconnect", why, "choose a time from 1s to 1h"));
        }
        Ok(endpoint)
    }
}

/// What the service manager gives, else the place for the user: `/var/lib` for root.
fn default_state() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = set("STATE_DIRECTORY") {
        return folder;
    }
    if rustix::process::geteuid().is_root() {
        return "/var/lib/nightbell-agent".into();
    }
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    state.unwrap_or_else(|| ".".into()).join("nightbell-agent")
}
