//! What may be done, and by whom.

use nightbell_model::Ulid;
use nightbell_store::{Role, TokenHash};

/// One kind of thing that can be allowed. API tokens carry a list of them, roles stand for a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// See agents, history, charts, the hub's own numbers.
    MetricsRead,
    /// See rules, incidents, events, silences, channels without their secrets, deliveries.
    AlertsRead,
    /// Acknowledge and note.
    AlertsAck,
    /// Make and end silences.
    SilencesWrite,
    /// Change rules and thresholds.
    RulesWrite,
    /// Change channels, send tests, retry and cancel deliveries.
    ChannelsWrite,
    /// Make enrolment tokens.
    AgentsEnroll,
    /// Rename, tag, pause and delete agents.
    AgentsWrite,
    /// Everything, people, tokens and settings included.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::MetricsRead,
        Self::AlertsRead,
        Self::AlertsAck,
        Self::SilencesWrite,
        Self::RulesWrite,
        Self::ChannelsWrite,
        Self::AgentsEnroll,
        Self::AgentsWrite,
        Self::Admin,
    ];

    /// The name used in the API and in storage.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MetricsRead => "metrics:read",
            Self::AlertsRead => "alerts:read",
            Self::AlertsAck => "alerts:ack",
            Self::SilencesWrite => "silences:write",
            Self::RulesWrite => "rules:write",
            Self::ChannelsWrite => "channels:write",
            Self::AgentsEnroll => "agents:enroll",
            Self::AgentsWrite => "agents:write",
            Self::Admin => "admin",
        }
    }

    /// The scope called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    /// Whether a role includes it.
    #[must_use]
    pub const fn is_in(self, role: Role) -> bool {
        match self {
            Self::MetricsRead | Self::AlertsRead | Self::AlertsAck => true,
            Self::SilencesWrite | Self::RulesWrite | Self::AgentsWrite | Self::AgentsEnroll => {
                matches!(role, Role::Editor | Role::Admin)
            }
            Self::ChannelsWrite | Self::Admin => matches!(role, Role::Admin),
        }
    }
}

/// Somebody who proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A person in a browser.
    User {
        /// Who.
        id: Ulid,
        /// What they are called.
        name: String,
        /// What they may do.
        role: Role,
        /// Their session.
        session: TokenHash,
    },
    /// A program with an API token.
    Token {
        /// Which token.
        id: Ulid,
        /// What it is called.
        name: String,
        /// What it may do.
        scopes: Vec<Scope>,
    },
}

impl Principal {
    /// Whether they may do this. Reading is part of every API token's writing scopes' use, so it must be granted by itself.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        match self {
            Self::User { role, .. } => scope.is_in(*role),
            Self::Token { scopes, .. } => scopes.contains(&scope) || scopes.contains(&Scope::Admin),
        }
    }

    /// How they stand in the audit log and on acknowledgements.
    #[must_use]
    pub fn actor(&self) -> String {
        match self {
            Self::User { name, .. } => format!("user:{name}"),
            Self::Token { name, .. } => format!("token:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_grow_and_tokens_have_only_what_they_carry() {
        let user = |role| Principal::User { id: Ulid::default(), name: "ana".to_owned(), role, session: [0; 32] };
        for scope in Scope::ALL {
            assert!(user(Role::Admin).may(scope));
            assert!(!user(Role::Viewer).may(scope) || user(Role::Editor).may(scope));
            assert_eq!(Scope::from_name(scope.name()), Some(scope));
        }
        assert!(!user(Role::Viewer).may(Scope::RulesWrite) && !user(Role::Editor).may(Scope::ChannelsWrite));
        let token = Principal::Token { id: Ulid::default(), name: "ci".to_owned(), scopes: vec![Scope::MetricsRead] };
        assert!(token.may(Scope::MetricsRead) && !token.may(Scope::AlertsRead));
    }
}
