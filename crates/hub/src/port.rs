//! What the agents' endpoints need of the hub: enrolment, authentication, and a way into the pipeline.

use crate::auth::token::{self, Kind};
use crate::clock;
use crate::fleet::Fleet;
use crate::ids;
use crate::pipeline::{Control, PipelineHandle};
use crate::registry::Registry;
use crate::rhythm::Rhythms;
use nightbell_alerts::{Event, EventKind};
use nightbell_ingest::{BoxFuture, Closer, Description, Enrol, Enrolled, HubPort, Refusal, Submission};
use nightbell_model::{AgentId, Timestamp};
use nightbell_protocol::FromHub;
use nightbell_store::{AgentRow, AuditEntry, Change, EnrolmentToken, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// For how long a lost register reply may be asked for again by the same name with the same token.
const RETRY_REGISTER_MS: i64 = 600_000;
/// How often another name is chosen when agents of one name enrol at once.
const NAME_TRIES: u32 = 20;
/// The refusal that says so; it never leaves this file.
const NAME_TAKEN: &str = "name_taken";
/// How often it is looked whether all connections are closed.
const LOOK: Duration = Duration::from_millis(5);
/// The longest name of an agent, in characters.
const NAME_LIMIT: usize = 200;
/// What agents say beside their facts and what stands among them for whoever reads: host name, address, role.
const PLACE: [&str; 3] = ["hostname", "ip", "role"];
/// Why nothing is kept now.
const CANNOT_STORE: &str = "the hub cannot store anything now; try again";

/// The hub as agents see it.
#[derive(Debug)]
pub struct Port {
    registry: Arc<Registry>,
    fleet: Arc<Fleet>,
    pipeline: PipelineHandle,
    interval_ms: u64,
    /// How often agents send that do not say so.
    rhythms: Mutex<Rhythms>,
    /// The newest connection of each agent, by number.
    connections: Mutex<HashMap<AgentId, (u64, Closer)>>,
}

impl Port {
    /// A port into this hub.
    #[must_use]
    pub fn new(registry: Arc<Registry>, fleet: Arc<Fleet>, pipeline: PipelineHandle, interval_ms: u64) -> Self {
        Self { registry, fleet, pipeline, interval_ms, rhythms: Mutex::default(), connections: Mutex::default() }
    }

    /// Closes an agent's connection: its credential is gone.
    pub fn disconnect(&self, agent: AgentId) {
        self.rhythms().forget(agent);
        let closer = self.lock().remove(&agent);
        if let Some((_, closer)) = closer {
            closer.close("agent_deleted");
        }
    }

    /// Asks an agent what it is busy with, if it is connected.
    pub fn ask_top(&self, agent: AgentId) {
        let closer = self.lock().get(&agent).map(|(_, closer)| closer.clone());
        if let Some(closer) = closer {
            closer.say(FromHub::TopRequest);
        }
    }

    /// Whether an agent is connected and has told before what it is busy with: it can be waited for.
    #[must_use]
    pub fn tells_top(&self, agent: AgentId) -> bool {
        self.lock().contains_key(&agent) && self.fleet.get(agent).is_some_and(|vitals| vitals.top.is_some())
    }

    /// Closes every connection, because the hub stops, and waits for the agents to hear it, for at most `grace`.
    pub async fn close_all(&self, grace: Duration) {
        for (_, closer) in self.lock().values() {
            closer.close("shutdown");
        }
        let closed = async {
            while self.connected() > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(grace, closed).await.is_err() {
            tracing::debug!(left = self.connected(), "some agents did not close their connection in time");
        }
    }

    /// How many agents are connected.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentId, (u64, Closer)>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enrols, choosing another name as long as somebody else takes the chosen one first.
    async fn enrol(&self, request: Enrol) -> Result<Enrolled, Refusal> {
        for _attempt in 0..NAME_TRIES {
            match self.enrol_once(&request).await {
                Err(refusal) if refusal.code == NAME_TAKEN => {}
                done => return done,
            }
        }
        Err(Refusal {
            code: "unavailable".to_owned(),
            message: "too many agents of this name enrol at once; try again".to_owned(),
        })
    }

    /// The row of an enrolment token.
    fn enrolment(&self, text: &str) -> Result<EnrolmentToken, Refusal> {
        if token::kind_of(text) != Some(Kind::Enrolment) {
            return Err(bad_token("this is not an enrolment token: make one with `nightbell enroll create`"));
        }
        let known = self.registry.read().enrolments.get(&token::hash(text)).cloned();
        let gone = "this enrolment token does not exist (any more): make a new one with `nightbell enroll create`";
        known.ok_or_else(|| bad_token(gone))
    }

    fn rhythms(&self) -> MutexGuard<'_, Rhythms> {
        self.rhythms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns how often an agent sends that has not said so.
    fn keep_time(&self, submission: &Submission) {
        let agent = submission.agent;
        let known_ms = || self.registry.read().agents.get(&agent).map(|row| row.interval_ms);
        let times = submission.heard.iter().map(|heard| (heard.sample_time(), heard.received));
        let learnt = self.rhythms().hear(agent, times, known_ms);
        let (Some(interval_ms), Ok(runtime)) = (learnt, tokio::runtime::Handle::try_current()) else { return };
        self.fleet.update_known(agent, |vitals| vitals.interval_ms = interval_ms);
        let registry = Arc::clone(&self.registry);
        drop(runtime.spawn_blocking(move || {
            let altered = registry.alter_agent_blocking(agent, None, |row| {
                row.interval_ms = interval_ms;
                Vec::new()
            });
            if let Err(error) = altered {
                tracing::warn!(error = &error as &dyn std::error::Error, "how often an agent sends cannot be stored");
            }
        }));
    }

    async fn enrol_once(&self, request: &Enrol) -> Result<Enrolled, Refusal> {
        let now = clock::now();
        let enrolment = self.enrolment(&request.token)?;
        let name = wanted_name(request);
        let again = self.lost_reply(&name, &enrolment, now);
        let (credential, credential_hash) = token::mint(Kind::Agent).map_err(|error| internal(&error))?;
        let row = match again {
            Some(row) => AgentRow { credential: credential_hash, ..row },
            None if enrolment.expires_at.is_some_and(|at| at <= now) => {
                return Err(bad_token("this enrolment token has expired: make a new one with `nightbell enroll create`"));
            }
            None => self.new_agent(request, &name, &enrolment, credential_hash),
        };
        let fresh = self.fleet.get(row.id).is_none();
        let id = row.id;
        self.registry.apply(changes(row.clone(), &enrolment, fresh, now), Some(audit(&row, request, now))).await.map_err(
            |error| match error {
                StoreError::Conflict(why)
                    if self.registry.read().agent_named(&row.name).is_some_and(|other| other.id != row.id) =>
                {
                    Refusal { code: NAME_TAKEN.to_owned(), message: why }
                }
                StoreError::Conflict(why) => bad_token(&why),
                error => {
                    tracing::error!(error = &error as &dyn std::error::Error, "an agent cannot be enrolled");
                    Refusal { code: "unavailable".to_owned(), message: CANNOT_STORE.to_owned() }
                }
            },
        )?;
        if request.interval_ms.is_some() {
            self.rhythms().state(id);
        }
        self.fleet.update(id, |vitals| vitals.interval_ms = row.interval_ms);
        Ok(Enrolled { agent: id, credential })
    }

    /// The agent that this request already enrolled, if its reply was lost: same token, same name, never heard of since.
    fn lost_reply(&self, name: &str, enrolment: &EnrolmentToken, now: Timestamp) -> Option<AgentRow> {
        let holdings = self.registry.read();
        let row = holdings.agents.values().find(|row| row.enrolled_as == enrolled_as(name, enrolment))?;
        // A token with uses left may be meant for another host of the same name: two agents must never share an identity.
        let spent = enrolment.uses_left == Some(0);
        let silent = self.fleet.get(row.id).is_none_or(|vitals| vitals.last_seen.is_none());
        (spent && silent && now.millis_since(row.created_at) <= RETRY_REGISTER_MS).then(|| row.clone())
    }

    fn new_agent(&self, request: &Enrol, name: &str, enrolment: &EnrolmentToken, credential: [u8; 32]) -> AgentRow {
        let holdings = self.registry.read();
        let mut tags = enrolment.tags.clone();
        tags.extend(request.tags.iter().filter(|tag| valid_tag(tag)).cloned());
        tags.sort_unstable();
        tags.dedup();
        let taken = |name: &str| holdings.agent_named(name).is_some();
        let free = if taken(name) {
            (2..).map(|n| format!("{name}-{n}")).find(|name| !taken(name)).unwrap_or_default()
        } else {
            name.to_owned()
        };
        AgentRow {
            id: AgentId(ids::fresh()),
            name: free,
            tags,
            created_at: clock::now(),
            last_seen: None,
            interval_ms: i64::try_from(request.interval_ms.unwrap_or(self.interval_ms)).unwrap_or(15_000),
            paused: false,
            version: request.version.clone().unwrap_or_default(),
            facts_json: facts("{}", request.facts_json.as_deref(), [&request.hostname, &request.ip, &request.role]),
            credential,
            enrolled_as: enrolled_as(name, enrolment),
        }
    }
}

fn bad_token(why: &str) -> Refusal {
    Refusal { code: "bad_token".to_owned(), message: why.to_owned() }
}

/// Which name and token an agent enrolled with.
fn enrolled_as(name: &str, enrolment: &EnrolmentToken) -> String {
    format!("{}/{name}", enrolment.id)
}

fn wanted_name(request: &Enrol) -> String {
    let wanted = request.name.as_deref().or(request.hostname.as_deref()).map(str::trim).filter(|name| !name.is_empty());
    let clean: String = wanted.unwrap_or("agent").chars().filter(|c| !c.is_control()).take(NAME_LIMIT).collect();
    if clean.is_empty() { "agent".to_owned() } else { clean }
}

/// Whether a text can be a tag: letters, digits, `.`, `_`, `-`, `:` and `/`, 1 to 64 of them.
#[must_use]
pub fn valid_tag(tag: &str) -> bool {
    !tag.is_empty() && tag.len() <= 64 && tag.chars().all(|c| c.is_alphanumeric() || "._-:/".contains(c))
}

fn changes(row: AgentRow, enrolment: &EnrolmentToken, fresh: bool, now: Timestamp) -> Vec<Change> {
    let mut changes = Vec::new();
    if fresh {
        changes.push(Change::UseEnrolment { id: enrolment.id, now });
        changes.push(Change::LogEvent(Event::of_agent(row.id, now, EventKind::AgentRegistered, row.name.clone())));
    }
    changes.insert(usize::from(fresh), Change::PutAgent(row));
    changes
}

/// Writes what an agent says of itself into its row.
fn describe(row: &mut AgentRow, description: &Description) {
    if let Some(interval) = description.interval_ms {
        row.interval_ms = i64::try_from(interval).unwrap_or(row.interval_ms);
    }
    if let Some(version) = &description.version {
        row.version.clone_from(version);
    }
    let Description { hostname, ip, role, .. } = description;
    row.facts_json = facts(&row.facts_json, description.facts_json.as_deref(), [hostname, ip, role]);
}

/// Facts as they are kept: those told now, else those of `before`, with the host's place among them; a part of it that is not told
/// again stays as it was.
fn facts(before: &str, told: Option<&str>, place: [&Option<String>; 3]) -> String {
    if told.is_none() && place.iter().all(|part| part.is_none()) {
        return before.to_owned();
    }
    let read = |json: &str| serde_json::from_str::<serde_json::Map<_, _>>(json).unwrap_or_default();
    let before = read(before);
    let mut facts = told.map_or_else(|| before.clone(), read);
    for (name, part) in PLACE.into_iter().zip(place) {
        let said = part.as_deref().map(serde_json::Value::from);
        if let Some(value) = said.or_else(|| facts.get(name).or_else(|| before.get(name)).cloned()) {
            facts.insert(name.to_owned(), value);
        }
    }
    serde_json::Value::Object(facts).to_string()
}

/// Whether an agent that described itself before now speaks of another boot of its host's kernel.
fn rebooted(before: &str, now: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Facts {
        kernel_boot_id: Option<String>,
    }
    let boot = |json: &str| serde_json::from_str::<Facts>(json).ok().and_then(|facts| facts.kernel_boot_id);
    matches!((boot(before), boot(now)), (Some(before), Some(now)) if before != now)
}

fn audit(row: &AgentRow, request: &Enrol, now: Timestamp) -> AuditEntry {
    AuditEntry {
        at: now,
        actor: format!("agent:{}", row.id),
        action: "agent.enrol".to_owned(),
        object: row.id.to_string(),
        detail_json: serde_json::json!({"name": row.name, "tags": row.tags}).to_string(),
        address: request.remote.to_string(),
    }
}

fn internal(error: &(dyn std::error::Error + 'static)) -> Refusal {
    tracing::error!(error, "an agent cannot be enrolled");
    Refusal { code: "internal".to_owned(), message: "the hub cannot make a credential now; try again".to_owned() }
}

impl HubPort for Port {
    fn knows_enrolment(&self, token: &str) -> Result<(), Refusal> {
        self.enrolment(token).map(drop)
    }

    fn register(&self, request: Enrol) -> BoxFuture<'_, Result<Enrolled, Refusal>> {
        Box::pin(self.enrol(request))
    }

    fn authenticate<'a>(&'a self, agent_id: Option<AgentId>, credential: &'a str) -> BoxFuture<'a, Result<AgentId, Refusal>> {
        Box::pin(async move {
            let refused = || Refusal {
                code: "bad_credential".to_owned(),
                message: "this credential is unknown or revoked: enrol again".to_owned(),
            };
            if token::kind_of(credential) != Some(Kind::Agent) {
                return Err(refused());
            }
            let hash = token::hash(credential);
            let holdings = self.registry.read();
            let known = match agent_id {
                Some(id) => holdings.agents.get(&id),
                None => holdings.credentials.get(&hash).and_then(|id| holdings.agents.get(id)),
            };
            let fits =
                known.is_some_and(|row| bool::from(subtle::ConstantTimeEq::ct_eq(row.credential.as_slice(), hash.as_slice())));
            known.filter(|_| fits).map(|row| row.id).ok_or_else(refused)
        })
    }

    fn described(&self, agent: AgentId, description: Description) -> BoxFuture<'static, Result<(), Refusal>> {
        if description.interval_ms.is_some() {
            self.rhythms().state(agent);
        }
        let known = self.registry.read().agents.get(&agent).is_some_and(|row| {
            let mut same = row.clone();
            describe(&mut same, &description);
            same == *row
        });
        if known {
            return Box::pin(async { Ok(()) });
        }
        if let Some(interval) = description.interval_ms {
            self.fleet.update_known(agent, |vitals| vitals.interval_ms = i64::try_from(interval).unwrap_or(vitals.interval_ms));
        }
        let registry = Arc::clone(&self.registry);
        let noting = tokio::task::spawn_blocking(move || {
            let altered = registry.alter_agent_blocking(agent, None, |row| {
                let before = row.facts_json.clone();
                describe(row, &description);
                let reboot = rebooted(&before, &row.facts_json);
                let event = || Change::LogEvent(Event::of_agent(agent, clock::now(), EventKind::Reboot, String::new()));
                reboot.then(event).into_iter().collect()
            });
            if let Err(error) = &altered {
                tracing::warn!(error = error as &dyn std::error::Error, "what an agent says of itself cannot be stored");
            }
            altered.is_ok()
        });
        Box::pin(async move {
            let unavailable = || Refusal { code: "unavailable".to_owned(), message: CANNOT_STORE.to_owned() };
            noting.await.is_ok_and(|noted| noted).then_some(()).ok_or_else(unavailable)
        })
    }

    fn opened(&self, agent: AgentId, connection: u64, closer: Closer) {
        let mut connections = self.lock();
        let replaced = connections.insert(agent, (connection, closer));
        // Told before others may open or close one: the pipeline hears of all in their order.
        self.pipeline.tell(Control::Opened(agent));
        drop(connections);
        if let Some((_, older)) = replaced {
            older.close("replaced");
        }
    }

    fn closed(&self, agent: AgentId, connection: u64, clean: bool, on_purpose: bool) {
        let mut connections = self.lock();
        if connections.get(&agent).is_some_and(|(newest, _)| *newest == connection) {
            self.pipeline.tell(Control::Closed { agent, clean, on_purpose });
            connections.remove(&agent);
        }
    }

    fn submit(&self, submission: Submission) -> Result<(), Submission> {
        self.keep_time(&submission);
        self.pipeline.submit(submission)
    }

    fn top_processes(&self, agent: AgentId, at: Timestamp, json: String) {
        self.fleet.update_known(agent, |vitals| vitals.top = Some((at, json.into())));
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn interval_ms(&self) -> u64 {
        self.interval_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reboot_is_another_kernel_boot_id_and_nothing_else() {
        assert!(rebooted(r#"{"kernel_boot_id":"a"}"#, r#"{"kernel_boot_id":"b","cores":2}"#));
        assert!(!rebooted(r#"{"kernel_boot_id":"a","cores":1}"#, r#"{"kernel_boot_id":"a","cores":2}"#));
        assert!(!rebooted("{}", r#"{"kernel_boot_id":"b"}"#));
    }

    #[test]
    fn a_hosts_place_stands_among_its_facts_until_it_says_another() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(facts("{}", None, [&some("mx1"), &some("10.0.0.7"), &None]), r#"{"hostname":"mx1","ip":"10.0.0.7"}"#);
        let moved = facts(r#"{"ip":"10.0.0.7","cores":2,"hostname":"mx1"}"#, None, [&None, &some("10.0.0.8"), &some("mta")]);
        assert_eq!(moved, r#"{"cores":2,"hostname":"mx1","ip":"10.0.0.8","role":"mta"}"#);
        assert_eq!(
            facts(&moved, Some(r#"{"cores":4}"#), [&None; 3]),
            r#"{"cores":4,"hostname":"mx1","ip":"10.0.0.8","role":"mta"}"#
        );
        assert_eq!(facts(r#"{ "a": 1 }"#, None, [&None; 3]), r#"{ "a": 1 }"#, "nothing is written anew for nothing");
    }

    #[test]
    fn tags_are_short_words() {
        assert!(valid_tag("db") && valid_tag("env:prod/eu-1") && valid_tag("köln"));
        assert!(!valid_tag("") && !valid_tag("two words") && !valid_tag(&"x".repeat(65)) && !valid_tag("a,b"));
    }
}
