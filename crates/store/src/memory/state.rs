//! Configuration, alerting state and logs as maps and lists.

use super::history::History;
use super::outbox::Outbox;
use super::page;
use crate::change::{enrolment_refusal, object, owner, taken};
use crate::entities::{
    AgentRow, ApiTokenRow, AuditEntry, Change, ChannelRow, EnrolmentToken, Loaded, SessionRow, SilenceRow, TokenHash, UserRow,
};
use crate::seams::{Attachment, EventQuery, IncidentQuery, LoggedEvent, Page, StoreError};
use nightbell_alerts::{Effects, Event, IncidentRecord, InstanceKey, InstanceRecord, Rule, ToldRecord};
use nightbell_model::{AgentId, ChannelId, IncidentId, Levels, RuleId, Timestamp, Ulid};
use std::collections::BTreeMap;

/// Everything but history.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    agents: BTreeMap<AgentId, AgentRow>,
    enrolments: BTreeMap<Ulid, EnrolmentToken>,
    users: BTreeMap<Ulid, UserRow>,
    sessions: BTreeMap<TokenHash, SessionRow>,
    tokens: BTreeMap<Ulid, ApiTokenRow>,
    channels: BTreeMap<ChannelId, ChannelRow>,
    rules: BTreeMap<RuleId, (Rule, Timestamp)>,
    silences: BTreeMap<Ulid, SilenceRow>,
    levels: BTreeMap<(Option<AgentId>, String), Levels>,
    settings: BTreeMap<String, String>,
    instances: BTreeMap<InstanceKey, InstanceRecord>,
    told: BTreeMap<(InstanceKey, ChannelId), ToldRecord>,
    incidents: Vec<(u64, IncidentRecord, Vec<Attachment>)>,
    last_incident: u64,
    events: Vec<LoggedEvent>,
    last_event: u64,
    audit: Vec<(u64, AuditEntry)>,
    last_audit: u64,
    pub(super) outbox: Outbox,
}

impl State {
    /// Appends a line to the audit log.
    pub(super) fn write_audit(&mut self, entry: &AuditEntry) {
        self.last_audit += 1;
        self.audit.push((self.last_audit, entry.clone()));
    }

    /// Whether there is such an agent.
    pub(super) fn has_agent(&self, agent: AgentId) -> bool {
        self.agents.contains_key(&agent)
    }

    /// Notes that an agent was heard of.
    pub(super) fn seen_alive(&mut self, agent: AgentId, received: Timestamp) {
        if let Some(agent) = self.agents.get_mut(&agent) {
            agent.last_seen = agent.last_seen.max(Some(received));
        }
    }

    /// Appends a line to the event log.
    pub(super) fn log(&mut self, event: &Event) -> LoggedEvent {
        self.last_event += 1;
        let line = LoggedEvent { seq: self.last_event, event: event.clone() };
        self.events.push(line.clone());
        line
    }

    /// Writes what the machine wants, but for log lines and notices.
    pub(super) fn write(&mut self, effects: &Effects) {
        effects.incidents.iter().for_each(|record| self.put_incident(record));
        for record in &effects.instances {
            let stored = InstanceRecord { last_ts: None, ..record.clone() };
            self.instances.insert(record.key.clone(), stored);
        }
        effects.forgotten.iter().for_each(|key| drop(self.instances.remove(key)));
        for record in &effects.told {
            let key = (record.key.clone(), record.channel);
            if record.is_blank() {
                self.told.remove(&key);
            } else {
                self.told.insert(key, record.clone());
            }
        }
    }

    /// Whether an incident is open, or some channel has not been told of its end.
    fn is_unfinished(&self, incident: &IncidentRecord) -> bool {
        let told = |record: &ToldRecord| [record.told, record.told_nodata].contains(&Some(incident.id));
        incident.resolved_at.is_none() || incident.late || self.told.values().any(told)
    }

    fn put_incident(&mut self, record: &IncidentRecord) {
        match self.incidents.iter_mut().find(|entry| entry.1.id == record.id) {
            Some(entry) => entry.1 = record.clone(),
            None => {
                self.last_incident += 1;
                self.incidents.push((self.last_incident, record.clone(), Vec::new()));
            }
        }
    }

    /// Makes one change; the caller throws the state away if it is refused.
    pub(super) fn apply(&mut self, change: &Change, logged: &mut Vec<LoggedEvent>) -> Result<(), StoreError> {
        if self.is_taken(change) {
            return Err(StoreError::Conflict(taken(change)));
        }
        if self.is_ownerless(change) {
            return Err(StoreError::NotFound(owner(change).unwrap_or_else(|| object(change))));
        }
        if self.put(change, logged)? || self.delete(change) {
            return Ok(());
        }
        Err(StoreError::NotFound(object(change)))
    }

    /// Whether another object has what must be this one's alone.
    fn is_taken(&self, change: &Change) -> bool {
        match change {
            Change::PutAgent(row) => {
                let same = |other: &AgentRow| other.name == row.name || other.credential == row.credential;
                self.agents.values().any(|other| other.id != row.id && same(other))
            }
            Change::PutUser(row) | Change::PutFirstUser(row) => {
                self.users.values().any(|other| other.id != row.id && other.username == row.username)
            }
            Change::PutChannel(row) => self.channels.values().any(|other| other.id != row.id && other.name == row.name),
            Change::PutToken(row) => self.tokens.values().any(|other| other.id != row.id && other.hash == row.hash),
            Change::PutEnrolment(row) => self.enrolments.values().any(|other| other.id != row.id && other.hash == row.hash),
            _ => false,
        }
    }

    /// Whether what the object belongs to is not there.
    fn is_ownerless(&self, change: &Change) -> bool {
        match change {
            Change::PutSession(row) => !self.users.contains_key(&row.user),
            Change::PutLevels { agent: Some(agent), .. } => !self.agents.contains_key(agent),
            Change::AttachToIncident { incident, .. } => self.incidents.iter().all(|entry| entry.1.id != *incident),
            _ => false,
        }
    }

    /// Makes a change that adds or replaces; `false` if it is of another kind.
    fn put(&mut self, change: &Change, logged: &mut Vec<LoggedEvent>) -> Result<bool, StoreError> {
        match change {
            Change::PutAgent(row) => {
                let last_seen = self.agents.get(&row.id).map_or(row.last_seen, |old| old.last_seen);
                self.agents.insert(row.id, AgentRow { last_seen, ..row.clone() });
            }
            Change::PutEnrolment(row) => drop(self.enrolments.insert(row.id, row.clone())),
            Change::UseEnrolment { id, now } => self.use_enrolment(*id, *now)?,
            Change::PutFirstUser(_) if !self.users.is_empty() => {
                return Err(StoreError::Conflict("there is a first user already".to_owned()));
            }
            Change::PutUser(row) | Change::PutFirstUser(row) => drop(self.users.insert(row.id, row.clone())),
            Change::PutSession(row) => {
                let (used_at, expires_at) = (row.used_at, row.expires_at);
                let old = self.sessions.get(&row.hash).cloned().unwrap_or_else(|| row.clone());
                self.sessions.insert(row.hash, SessionRow { used_at, expires_at, ..old });
            }
            Change::PutToken(row) => drop(self.tokens.insert(row.id, row.clone())),
            Change::PutChannel(row) => drop(self.channels.insert(row.id, row.clone())),
            Change::PutRule { rule, created_at } => {
                let created_at = self.rules.get(&rule.id).map_or(*created_at, |old| old.1);
                self.rules.insert(rule.id, (rule.clone(), created_at));
            }
            Change::PutSilence(row) => drop(self.silences.insert(row.id, row.clone())),
            Change::PutLevels { agent, key, levels } => drop(self.levels.insert((*agent, key.clone()), *levels)),
            Change::PutSetting { key, value } => drop(self.settings.insert(key.clone(), value.clone())),
            Change::LogEvent(event) => logged.push(self.log(event)),
            Change::PutIncident(record) => self.put_incident(record),
            Change::AttachToIncident { incident, at, kind, json } => {
                let attachment = Attachment { at: *at, kind: kind.clone(), json: json.clone() };
                self.incidents
                    .iter_mut()
                    .filter(|entry| entry.1.id == *incident)
                    .for_each(|entry| entry.2.push(attachment.clone()));
            }
            Change::PutDelivery(row) => {
                if let Some(event) = self.outbox.put(row) {
                    logged.push(self.log(&event));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn use_enrolment(&mut self, id: Ulid, now: Timestamp) -> Result<(), StoreError> {
        if let Some(refusal) = enrolment_refusal(self.enrolments.get(&id), now) {
            return Err(StoreError::Conflict(refusal.to_owned()));
        }
        if let Some(uses) = self.enrolments.get_mut(&id).and_then(|token| token.uses_left.as_mut()) {
            *uses -= 1;
        }
        Ok(())
    }

    /// Makes a change that removes; `false` if what it removes is not there.
    fn delete(&mut self, change: &Change) -> bool {
        match change {
            Change::DeleteAgent { id, .. } => {
                self.levels.retain(|(agent, _), _| *agent != Some(*id));
                self.agents.remove(id).is_some()
            }
            Change::DeleteEnrolment(id) => self.enrolments.remove(id).is_some(),
            Change::DeleteUser(id) => {
                self.sessions.retain(|_, session| session.user != *id);
                self.users.remove(id).is_some()
            }
            Change::DeleteSession(hash) => self.sessions.remove(hash).is_some(),
            Change::DeleteSessionsOf(user) => {
                self.sessions.retain(|_, session| session.user != *user);
                true
            }
            Change::DeleteToken(id) => self.tokens.remove(id).is_some(),
            Change::DeleteChannel(id) => {
                self.outbox.cancel_channel(*id);
                self.channels.remove(id).is_some()
            }
            Change::DeleteRule(id) => self.rules.remove(id).is_some(),
            Change::DeleteSilence(id) => self.silences.remove(id).is_some(),
            Change::DeleteLevels { agent, key } => self.levels.remove(&(*agent, key.clone())).is_some(),
            _ => false,
        }
    }

    /// Everything the hub keeps in memory.
    pub(super) fn load(&self, histories: &BTreeMap<AgentId, History>) -> Loaded {
        let agents = self.agents.values().map(|agent| {
            let boots_seen = histories.get(&agent.id).and_then(History::boots_seen);
            AgentRow { last_seen: agent.last_seen.max(boots_seen), ..agent.clone() }
        });
        let instances = self.instances.values().map(|record| {
            let history = histories.get(&record.key.agent);
            let is_at_rest = record.state == nightbell_alerts::State::Ok;
            let last_ts = history.filter(|_| !is_at_rest).and_then(|history| history.last_ts(&record.key.series));
            InstanceRecord { last_ts, ..record.clone() }
        });
        Loaded {
            agents: agents.collect(),
            latest: self.agents.keys().filter_map(|id| histories.get(id)?.newest()).collect(),
            seen: histories.iter().flat_map(|(id, history)| history.seen(*id)).collect(),
            enrolments: self.enrolments.values().cloned().collect(),
            users: self.users.values().cloned().collect(),
            sessions: self.sessions.values().cloned().collect(),
            tokens: self.tokens.values().cloned().collect(),
            channels: self.channels.values().cloned().collect(),
            rules: self.rules.values().cloned().collect(),
            silences: self.silences.values().cloned().collect(),
            levels: self.levels.iter().map(|((agent, key), levels)| (*agent, key.clone(), *levels)).collect(),
            settings: self.settings.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            instances: instances.collect(),
            told: self.told.values().cloned().collect(),
            incidents: self.incidents.iter().map(|entry| &entry.1).filter(|one| self.is_unfinished(one)).cloned().collect(),
        }
    }

    /// When the incidents of an agent fired and ended, in the order in which they fired.
    pub(super) fn spans(&self, agent: AgentId) -> Vec<(Timestamp, Timestamp)> {
        let of_agent = self.incidents.iter().map(|entry| &entry.1).filter(|record| record.key.agent == agent);
        let mut spans: Vec<_> = of_agent.map(|one| (one.fired_at, one.resolved_at.unwrap_or(Timestamp::MAX))).collect();
        spans.sort_unstable();
        spans
    }

    /// Incidents, newest first.
    pub(super) fn incidents_page(&self, query: &IncidentQuery) -> Page<IncidentRecord> {
        let fits = |record: &IncidentRecord| {
            query.open.is_none_or(|open| record.resolved_at.is_none() == open)
                && query.agent.is_none_or(|agent| record.key.agent == agent)
                && query.rule.is_none_or(|rule| record.key.rule == rule)
                && query.during.is_none_or(|(start, end)| {
                    record.started_at < end && record.resolved_at.is_none_or(|resolved_at| resolved_at > start)
                })
        };
        let found = self.incidents.iter().filter(|entry| fits(&entry.1));
        page(found.map(|entry| (entry.0, entry.1.clone())), query.before, query.limit)
    }

    /// One incident with what is attached to it.
    pub(super) fn incident(&self, id: IncidentId) -> Option<(IncidentRecord, Vec<Attachment>)> {
        self.incidents.iter().find(|entry| entry.1.id == id).map(|entry| (entry.1.clone(), entry.2.clone()))
    }

    /// The event log.
    pub(super) fn events_page(&self, query: &EventQuery) -> Page<LoggedEvent> {
        let fits = |line: &&LoggedEvent| {
            query.agent.is_none_or(|agent| line.event.agent == Some(agent))
                && query.incident.is_none_or(|incident| line.event.incident == Some(incident))
                && query.during.is_none_or(|(start, end)| (start..end).contains(&line.event.at))
                && (query.kinds.is_empty() || query.kinds.contains(&line.event.kind))
                && query.after.is_none_or(|after| line.seq > after)
        };
        let found = self.events.iter().filter(fits).map(|line| (line.seq, line.clone()));
        if query.after.is_none() {
            return page(found, query.before, query.limit);
        }
        let rows: Vec<LoggedEvent> =
            found.map(|line| line.1).filter(|line| query.before.is_none_or(|before| line.seq < before)).collect();
        let items: Vec<LoggedEvent> = rows.iter().take(query.limit).cloned().collect();
        let next = items.last().filter(|_| rows.len() > query.limit).map(|line| line.seq);
        Page { items, next }
    }

    /// The audit log, newest first.
    pub(super) fn audit_page(&self, before: Option<u64>, limit: usize) -> Page<AuditEntry> {
        page(self.audit.iter().cloned(), before, limit)
    }

    /// Removes log lines, ended incidents and finished deliveries from before `before`, those that were given up from before
    /// `dead_before`; how many.
    pub(super) fn retain(&mut self, before: Timestamp, dead_before: Timestamp) -> u64 {
        let count = self.events.len() + self.incidents.len() + self.audit.len();
        self.audit.retain(|line| line.1.at >= before);
        self.events.retain(|line| line.event.at >= before);
        self.incidents.retain(|entry| entry.1.resolved_at.is_none_or(|end| end >= before));
        let removed = count - self.events.len() - self.incidents.len() - self.audit.len();
        let told = &self.told;
        let is_told = |id| told.values().any(|record| [record.told, record.told_nodata].contains(&Some(id)));
        removed as u64 + self.outbox.retain(before, dead_before, is_told)
    }
}
