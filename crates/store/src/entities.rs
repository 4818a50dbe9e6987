//! What the state store keeps beside history, as plain rows: agents, credentials, people, channels, silences, deliveries.
//!
//! Texts named `*_json` are opaque here: the hub writes and reads them. Secrets arrive as hashes or already sealed.

mod deliveries;

pub use deliveries::*;

use nightbell_alerts::{Event, IncidentRecord, InstanceRecord, Rule, Severity, ToldRecord};
use nightbell_model::{AgentId, Batch, BootId, ChannelId, IncidentId, Levels, Timestamp, Ulid};

/// SHA-256 of a random token: the only form in which tokens are kept (256 bits of chance need no slow hash).
pub type TokenHash = [u8; 32];

/// An agent as the hub knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentRow {
    /// Names it.
    pub id: AgentId,
    /// What people call it; unique.
    pub name: String,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// When it enrolled.
    pub created_at: Timestamp,
    /// When its last heartbeat was received.
    pub last_seen: Option<Timestamp>,
    /// How often it says it sends heartbeats, in milliseconds.
    pub interval_ms: i64,
    /// Whether it is left out of alerting.
    pub paused: bool,
    /// The agent program's version.
    pub version: String,
    /// What it says of its host (JSON object).
    pub facts_json: String,
    /// The hash of its credential.
    pub credential: TokenHash,
    /// What it called itself when it enrolled (name or key): a lost register reply may be asked for again with the same.
    pub enrolled_as: String,
}

/// A token with which agents may enrol.
#[derive(Debug, Clone, PartialEq)]
pub struct EnrolmentToken {
    /// Names it.
    pub id: Ulid,
    /// Its hash.
    pub hash: TokenHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it works; `None` is for ever.
    pub expires_at: Option<Timestamp>,
    /// How often it may still be used; `None` is without limit.
    pub uses_left: Option<u32>,
    /// The tags its agents get.
    pub tags: Vec<String>,
}

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees everything but secrets; may acknowledge.
    Viewer,
    /// Also changes rules, silences, thresholds, agents' names and tags.
    Editor,
    /// Also people, tokens, channels, settings.
    Admin,
}

impl Role {
    /// The name used in the API and in storage.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    /// The role called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Editor, Self::Admin].into_iter().find(|role| role.name() == name)
    }
}

/// A person who can log in.
#[derive(Debug, Clone, PartialEq)]
pub struct UserRow {
    /// Names them.
    pub id: Ulid,
    /// What they type at login; unique, lower case.
    pub username: String,
    /// Their password as an argon2id PHC string.
    pub password_phc: String,
    /// What they may do.
    pub role: Role,
    /// When they were added.
    pub created_at: Timestamp,
}

/// A browser that is logged in.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRow {
    /// The hash of its cookie.
    pub hash: TokenHash,
    /// Whose.
    pub user: Ulid,
    /// When it logged in.
    pub created_at: Timestamp,
    /// When it was last used (written at most once a minute).
    pub used_at: Timestamp,
    /// When it ends whatever happens.
    pub expires_at: Timestamp,
}

/// A token for the API.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiTokenRow {
    /// Names it.
    pub id: Ulid,
    /// What people call it.
    pub name: String,
    /// Its hash.
    pub hash: TokenHash,
    /// What it may do, sorted.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it works; `None` is for ever.
    pub expires_at: Option<Timestamp>,
    /// When it was last used (written at most once a minute).
    pub used_at: Option<Timestamp>,
}

/// A way to reach people.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelRow {
    /// Names it.
    pub id: ChannelId,
    /// What people call it; unique.
    pub name: String,
    /// `webhook`, `smtp`, `discord` or `slack`.
    pub kind: String,
    /// Where to and how, secrets included (JSON object).
    pub config_json: String,
    /// Whether anything is sent on it.
    pub enabled: bool,
    /// Why it is marked broken; `None` while it works.
    pub broken: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its people are not to be woken (JSON array, see the hub's `schedule`); empty for never.
    pub quiet_json: String,
    /// Counts its edits.
    pub version: u64,
}

/// When a silence comes again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    /// Its beginnings, as five fields of cron.
    pub cron: String,
    /// IANA name of the time zone whose wall clock the fields speak of.
    pub timezone: String,
    /// How long each lasts, in milliseconds.
    pub duration_ms: i64,
}

/// A silence as people configure it; conditions that are `None` match everything.
#[derive(Debug, Clone, PartialEq)]
pub struct SilenceRow {
    /// Names it.
    pub id: Ulid,
    /// `silence` or `maintenance`.
    pub kind: nightbell_alerts::MuteKind,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when; `Timestamp::MAX` is until somebody ends it.
    pub ends_at: Timestamp,
    /// Its times between start and end; `None` is all the time.
    pub recurrence: Option<Recurrence>,
    /// Only series whose labels satisfy all of these.
    pub matchers: Vec<nightbell_alerts::Matcher>,
    /// Only this rule.
    pub rule: Option<nightbell_model::RuleId>,
    /// Only this agent.
    pub agent: Option<AgentId>,
    /// Only agents with this tag.
    pub tag: Option<String>,
    /// Only this metric or series.
    pub series: Option<String>,
    /// Only severities up to this one.
    pub up_to: Option<Severity>,
    /// Why.
    pub comment: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
}

/// Which heartbeats of one agent process were seen: closed ranges of sequence numbers, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenRow {
    /// Which agent.
    pub agent: AgentId,
    /// Which process of it.
    pub boot: BootId,
    /// When a heartbeat of it was last received; the oldest processes are forgotten first.
    pub used_at: Timestamp,
    /// The ranges, ends included; none in a commit means that the process is forgotten.
    pub ranges: Vec<(u64, u64)>,
}

/// Everything that one turn of the pipeline writes, in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Admitted heartbeats in the order they are to be stored.
    pub batches: Vec<Batch>,
    /// Heartbeats that carry no samples and only say "alive": agent and receipt.
    pub alive: Vec<(AgentId, Timestamp)>,
    /// The new state of de-duplication of the agents above.
    pub seen: Vec<SeenRow>,
    /// Whether nothing of this is stored of agents that do not exist: one may be deleted while its heartbeats wait for the commit.
    pub enrolled_only: bool,
    /// What the evaluator wants written, but for notices.
    pub effects: nightbell_alerts::Effects,
    /// The notices, rendered into outbox rows. A `Resolved` whose `Fired` of the same incident and channel is still queued,
    /// untried and not yet due is cancelled together with it (`too short`).
    pub outbox: Vec<NewDelivery>,
    /// Who asked for what of it.
    pub audit: Vec<AuditEntry>,
}

/// One change of the configuration. Several are applied in one transaction, with their audit entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Adds an agent or replaces all its fields but `last_seen`.
    PutAgent(AgentRow),
    /// Removes an agent and its state; its history as well if `purge`.
    DeleteAgent {
        /// Which.
        id: AgentId,
        /// Whether its history goes too.
        purge: bool,
    },
    /// Adds or replaces an enrolment token.
    PutEnrolment(EnrolmentToken),
    /// Uses an enrolment token once; the whole change fails with `Conflict` if it is used up, expired or gone.
    UseEnrolment {
        /// Which.
        id: Ulid,
        /// When.
        now: Timestamp,
    },
    /// Removes an enrolment token.
    DeleteEnrolment(Ulid),
    /// Adds or replaces a person.
    PutUser(UserRow),
    /// Adds the first person; fails with `Conflict` if there is one.
    PutFirstUser(UserRow),
    /// Removes a person and their sessions.
    DeleteUser(Ulid),
    /// Adds or refreshes a session.
    PutSession(SessionRow),
    /// Ends a session.
    DeleteSession(TokenHash),
    /// Ends all sessions of a person.
    DeleteSessionsOf(Ulid),
    /// Adds or refreshes an API token.
    PutToken(ApiTokenRow),
    /// Removes an API token.
    DeleteToken(Ulid),
    /// Adds or replaces a channel.
    PutChannel(ChannelRow),
    /// Removes a channel; its queued deliveries are cancelled.
    DeleteChannel(ChannelId),
    /// Adds or replaces a rule.
    PutRule {
        /// The rule.
        rule: Rule,
        /// When it was first made.
        created_at: Timestamp,
    },
    /// Removes a rule.
    DeleteRule(nightbell_model::RuleId),
    /// Adds or replaces a silence.
    PutSilence(SilenceRow),
    /// Removes a silence.
    DeleteSilence(Ulid),
    /// Sets levels by metric name or series key, for one agent or (`None`) for all.
    PutLevels {
        /// Whose.
        agent: Option<AgentId>,
        /// Metric name or series key.
        key: String,
        /// The levels.
        levels: Levels,
    },
    /// Takes levels away.
    DeleteLevels {
        /// Whose.
        agent: Option<AgentId>,
        /// Metric name or series key.
        key: String,
    },
    /// Sets a setting of the hub.
    PutSetting {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
    },
    /// Writes a line into the event log.
    LogEvent(Event),
    /// Writes or replaces an incident's record (acknowledgements, top processes).
    PutIncident(IncidentRecord),
    /// Attaches a note or a list of top processes to an incident (JSON object), appended in order.
    AttachToIncident {
        /// Which.
        incident: IncidentId,
        /// When.
        at: Timestamp,
        /// `note` or `top_processes`.
        kind: String,
        /// What (JSON object).
        json: String,
    },
    /// Puts a delivery into the outbox outside the pipeline (tests of a channel).
    PutDelivery(NewDelivery),
}

/// Who changed what: one line of the audit log, written with the change.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who: `user:<name>`, `token:<name>`, `agent:<id>` or `hub`.
    pub actor: String,
    /// What was done: `rule.create`, `channel.delete`, …
    pub action: String,
    /// To which object.
    pub object: String,
    /// What changed, secrets left out (JSON object).
    pub detail_json: String,
    /// From which address.
    pub address: String,
}

/// Everything the hub keeps in memory, as read at start.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// All agents.
    pub agents: Vec<AgentRow>,
    /// The newest stored heartbeat of each agent: latest values, and `last_ts`.
    pub latest: Vec<Batch>,
    /// De-duplication state.
    pub seen: Vec<SeenRow>,
    /// Enrolment tokens.
    pub enrolments: Vec<EnrolmentToken>,
    /// People.
    pub users: Vec<UserRow>,
    /// Sessions.
    pub sessions: Vec<SessionRow>,
    /// API tokens.
    pub tokens: Vec<ApiTokenRow>,
    /// Channels.
    pub channels: Vec<ChannelRow>,
    /// Rules with the time they were made.
    pub rules: Vec<(Rule, Timestamp)>,
    /// Silences.
    pub silences: Vec<SilenceRow>,
    /// Levels: whose (`None` is everyone's), key, levels.
    pub levels: Vec<(Option<AgentId>, String, Levels)>,
    /// Settings.
    pub settings: Vec<(String, String)>,
    /// Instances that are not at rest, `last_ts` filled in from the newest stored sample of their series.
    pub instances: Vec<InstanceRecord>,
    /// What channels have been told.
    pub told: Vec<ToldRecord>,
    /// Incidents that are open, and ended ones whose end some channel has not been told of.
    pub incidents: Vec<IncidentRecord>,
}
