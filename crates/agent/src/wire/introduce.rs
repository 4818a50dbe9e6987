//! Who the agent is and what its host is, for enrolment and for every connection.

use super::{About, Link};
use crate::collect::facts;
use crate::state::Credential;
use nightbell_protocol::http::NodeRequest;
use nightbell_protocol::{Auth, Facts, Register};
use serde_json::{Value, json};
use std::net::IpAddr;

const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Link {
    /// The host's facts with what changes while it runs.
    pub(super) fn facts(&self, about: &About) -> Facts {
        let mut facts = facts(&self.config.roots);
        if let Some(ip) = about.ip {
            facts.insert("ip".to_owned(), Value::from(ip.to_string()));
        }
        if let Some(role) = &self.config.role {
            facts.insert("role".to_owned(), Value::from(role.as_str()));
        }
        let gaps: Vec<Value> = about.gaps.iter().map(|gap| json!({"source": gap.source, "why": gap.why})).collect();
        facts.insert("gaps".to_owned(), Value::from(gaps));
        Facts(facts)
    }

    /// The request for a credential.
    pub(super) fn register(&self, token: &str, ip: Option<IpAddr>) -> Register {
        let node = self.node(ip);
        Register {
            token: token.to_owned(),
            name: node.name,
            hostname: node.hostname,
            ip: node.ip,
            role: node.role,
            version: node.version,
            interval_ms: node.interval_ms,
            public_key: None,
            tags: node.tags,
            facts: node.facts,
        }
    }

    /// The credential with what belongs to every connection.
    pub(super) fn auth(&self, credential: &Credential, ip: Option<IpAddr>) -> Auth {
        Auth {
            agent_id: Some(credential.agent_id.clone()),
            credential: credential.credential.clone(),
            interval_ms: self.interval_ms(),
            version: Some(VERSION.to_owned()),
            facts: Some(self.facts(&About { ip, ..About::default() })),
        }
    }

    /// The body that enrols and describes over HTTP.
    pub(super) fn node(&self, ip: Option<IpAddr>) -> NodeRequest {
        let facts = self.facts(&About { ip, ..About::default() });
        let hostname = facts.0.get("hostname").and_then(Value::as_str).map(str::to_owned);
        NodeRequest {
            name: self.config.name.clone().or_else(|| hostname.clone()),
            hostname,
            ip: ip.map(|ip| ip.to_string()),
            role: self.config.role.clone(),
            version: Some(VERSION.to_owned()),
            interval_ms: self.interval_ms(),
            tags: self.config.tags.clone(),
            facts: Some(facts),
        }
    }

    /// The credential to use now: none if there is none for this hub, or if the hub has refused it and a token may do better.
    pub(super) fn credential(&self) -> Result<Option<Credential>, crate::AgentError> {
        if self.enrol_again {
            return Ok(None);
        }
        let identity = self.endpoint.identity();
        let credential = crate::state::load(&self.config.state)?;
        // With a token at hand, a credential of another hub is not shown to this one.
        Ok(credential.filter(|credential| credential.hub == identity || self.config.token.is_none()))
    }

    /// Keeps what enrolment gave.
    pub(super) fn keep(&self, agent_id: String, credential: String) -> Result<Credential, crate::AgentError> {
        let credential = Credential { hub: self.endpoint.identity(), agent_id, credential };
        crate::state::save(&self.config.state, &credential)?;
        tracing::info!(agent_id = credential.agent_id, "enrolled");
        Ok(credential)
    }

    fn interval_ms(&self) -> Option<u64> {
        u64::try_from(self.config.interval.as_millis()).ok()
    }
}
