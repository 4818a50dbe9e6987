//! What the command line does to a hub's data, whether the hub runs or not: decided here, applied by whoever owns the store.

use crate::auth::{Scope, password, token};
use crate::files::FilesOperation;
use crate::registry::Holdings;
use crate::transfer::{self, Transfer};
use crate::{clock, ids};
use nightbell_model::Timestamp;
use nightbell_store::{ApiTokenRow, AuditEntry, Change, EnrolmentToken, Role, UserRow};
use serde::{Deserialize, Serialize};

/// The most tags of one agent.
const TAG_LIMIT: usize = 64;

/// One operation of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Operation {
    /// Makes an API token.
    TokenCreate {
        /// What it is called.
        name: String,
        /// What it may do.
        scopes: Vec<String>,
        /// For how long, in milliseconds; for ever if not said.
        expires_ms: Option<i64>,
    },
    /// Makes an enrolment token.
    EnrollCreate {
        /// For how long, in milliseconds.
        expires_ms: Option<i64>,
        /// How often; without limit if not said.
        uses: Option<u32>,
        /// The tags of its agents.
        tags: Vec<String>,
    },
    /// Sets a person's password (and makes the person an admin if there is none of that name), ending their sessions.
    PasswordReset {
        /// Who.
        username: String,
        /// The new password.
        password: String,
    },
    /// Copies the database into a file while the hub runs.
    Backup {
        /// Which file.
        file: std::path::PathBuf,
    },
    /// Exports or applies the configuration as files.
    Files(FilesOperation),
    /// Asks whether the hub is ready.
    Health,
    /// Names the agents.
    Agents,
    /// Makes an agent of this name for imported history, if there is none.
    ImportAgent {
        /// What it is called.
        name: String,
        /// How far apart its samples are, in milliseconds.
        interval_ms: i64,
    },
    /// Carries a piece of history.
    Transfer(Transfer),
}

/// What an operation does and what is printed of it.
#[derive(Debug)]
pub struct Plan {
    /// The changes.
    pub changes: Vec<Change>,
    /// Their line in the audit log.
    pub audit: AuditEntry,
    /// What is printed: the token, and nothing else.
    pub output: String,
}

/// An operation that cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// A name, scope, tag, time or password that cannot be used.
    #[error("{why}")]
    Refused {
        /// Which word of the operation it is, as the API calls it.
        field: &'static str,
        /// What is wrong and what would be right.
        why: String,
    },
    /// The system has no randomness to give.
    #[error("no randomness for a token: {0}")]
    Chance(#[from] getrandom::Error),
}

fn refused(field: &'static str, why: impl Into<String>) -> OperationError {
    OperationError::Refused { field, why: why.into() }
}

/// Plans an operation that changes the data.
///
/// # Errors
/// When it cannot be done; nothing has happened.
pub fn plan(operation: &Operation, holdings: &Holdings) -> Result<Plan, OperationError> {
    let now = clock::now();
    match operation {
        Operation::TokenCreate { name, scopes, expires_ms } => {
            let (row, output) = api_token(name, scopes, expires_ms.map(|ms| now.plus_millis(ms)), now)?;
            let audit = audit(now, "token.create", row.id.to_string(), &serde_json::json!({"name": name, "scopes": scopes}));
            Ok(Plan { changes: vec![Change::PutToken(row)], audit, output })
        }
        Operation::EnrollCreate { expires_ms, uses, tags } => {
            let (row, output) = enrolment(expires_ms.map(|ms| now.plus_millis(ms)), *uses, tags, now)?;
            let audit = audit(now, "enrolment.create", row.id.to_string(), &serde_json::json!({"tags": tags, "uses": uses}));
            Ok(Plan { changes: vec![Change::PutEnrolment(row)], audit, output })
        }
        Operation::PasswordReset { username, password } => password_reset(username, password, holdings, now),
        Operation::ImportAgent { name, interval_ms } => import_agent(name, *interval_ms, holdings, now),
        Operation::Backup { .. } | Operation::Health | Operation::Agents | Operation::Transfer(_) | Operation::Files(_) => {
            Err(refused("op", "this operation needs a running hub"))
        }
    }
}

/// A new API token's row and its text.
///
/// # Errors
/// When name or scopes cannot be used.
pub fn api_token(
    name: &str,
    scopes: &[String],
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(ApiTokenRow, String), OperationError> {
    if name.trim().is_empty() || name.chars().count() > 100 {
        return Err(refused("name", "a token's name has 1 to 100 characters"));
    }
    if scopes.is_empty() {
        return Err(refused("scopes", "a token needs at least one scope"));
    }
    check_expiry(expires_at, now)?;
    let mut known: Vec<String> = Vec::new();
    for scope in scopes {
        if Scope::from_name(scope).is_none() {
            let all = Scope::ALL.map(Scope::name).join(", ");
            return Err(refused("scopes", format!("there is no scope {scope:?}; scopes are {all}")));
        }
        known.push(scope.clone());
    }
    known.sort_unstable();
    known.dedup();
    let (text, hash) = token::mint(token::Kind::Api)?;
    let row = ApiTokenRow {
        id: ids::fresh(),
        name: name.trim().to_owned(),
        hash,
        scopes: known,
        created_at: now,
        expires_at,
        used_at: None,
    };
    Ok((row, text))
}

/// A new enrolment token's row and its text.
///
/// # Errors
/// When uses or tags cannot be used.
pub fn enrolment(
    expires_at: Option<Timestamp>,
    uses: Option<u32>,
    tags: &[String],
    now: Timestamp,
) -> Result<(EnrolmentToken, String), OperationError> {
    if uses == Some(0) {
        return Err(refused("uses", "an enrolment token needs at least one use"));
    }
    check_expiry(expires_at, now)?;
    if tags.len() > TAG_LIMIT {
        return Err(refused("tags", format!("an agent has at most {TAG_LIMIT} tags")));
    }
    if let Some(tag) = tags.iter().find(|tag| !crate::port::valid_tag(tag)) {
        return Err(refused("tags", format!("{tag:?} is no tag: tags are letters, digits and ._-:/, at most 64")));
    }
    let (text, hash) = token::mint(token::Kind::Enrolment)?;
    let mut tags = tags.to_vec();
    tags.sort_unstable();
    tags.dedup();
    Ok((EnrolmentToken { id: ids::fresh(), hash, created_at: now, expires_at, uses_left: uses, tags }, text))
}

fn check_expiry(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), OperationError> {
    if expires_at.is_some_and(|at| at <= now) {
        return Err(refused("expires", "a token that expires at once is of no use; say for how long, such as 1h or 90d"));
    }
    Ok(())
}

/// Whether a text can be a user's name, and the form in which it is kept.
///
/// # Errors
/// When it cannot.
pub fn username(text: &str) -> Result<String, OperationError> {
    let name = text.trim().to_lowercase();
    let fine = (1..=64).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || "._-@+".contains(c));
    if fine { Ok(name) } else { Err(refused("username", "a user name has 1 to 64 letters, digits and ._-@+")) }
}

/// Whether a text can be a password.
///
/// # Errors
/// When it is too short or too long.
pub fn check_password(text: &str) -> Result<(), OperationError> {
    if text.chars().count() < password::SHORTEST {
        return Err(refused("password", format!("a password has at least {} characters", password::SHORTEST)));
    }
    if text.len() > password::LONGEST {
        return Err(refused("password", format!("a password has at most {} bytes", password::LONGEST)));
    }
    Ok(())
}

fn password_reset(name: &str, secret: &str, holdings: &Holdings, now: Timestamp) -> Result<Plan, OperationError> {
    let name = username(name)?;
    check_password(secret)?;
    let password_phc = password::hash_blocking(secret).map_err(|error| refused("password", error.to_string()))?;
    let known = holdings.users.values().find(|user| user.username == name);
    let row = match known {
        Some(user) => UserRow { password_phc, ..user.clone() },
        None => UserRow { id: ids::fresh(), username: name.clone(), password_phc, role: Role::Admin, created_at: now },
    };
    let audit = audit(now, "user.password_reset", row.id.to_string(), &serde_json::json!({"username": name}));
    let output = match known {
        Some(_) => format!("the password of {name} is set; all their sessions are ended"),
        None => format!("{name} is a new admin"),
    };
    let id = row.id;
    Ok(Plan { changes: vec![Change::PutUser(row), Change::DeleteSessionsOf(id)], audit, output })
}

fn import_agent(name: &str, interval_ms: i64, holdings: &Holdings, now: Timestamp) -> Result<Plan, OperationError> {
    let known = holdings.agent_named(name.trim());
    let row = known.map_or_else(|| transfer::imported_agent(name, interval_ms, now), |row| Ok(row.clone()))?;
    let detail = serde_json::json!({"name": row.name, "made": known.is_none()});
    let (audit, output) = (audit(now, "history.import", row.id.to_string(), &detail), row.id.to_string());
    let changes = if known.is_none() { vec![Change::PutAgent(row)] } else { Vec::new() };
    Ok(Plan { changes, audit, output })
}

/// All agents by name, as a JSON list of id and name.
pub fn agents(holdings: &Holdings) -> String {
    let mut all: Vec<(&str, String)> = holdings.agents.values().map(|row| (&*row.name, row.id.to_string())).collect();
    all.sort_unstable();
    serde_json::json!(all.iter().map(|(name, id)| (id, name)).collect::<Vec<_>>()).to_string()
}

fn audit(at: Timestamp, action: &str, object: String, detail: &serde_json::Value) -> AuditEntry {
    AuditEntry {
        at,
        actor: "command line".to_owned(),
        action: action.to_owned(),
        object,
        detail_json: detail.to_string(),
        address: String::new(),
    }
}
