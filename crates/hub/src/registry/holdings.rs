//! The maps of the configuration and how one change alters them.

use super::{Hush, Settings, Topic};
use crate::routing;
use nightbell_alerts::{LevelTable, Mute, Rule, Transform};
use nightbell_model::{AgentId, ChannelId, RuleId, Timestamp, Ulid};
use nightbell_store::{
    AgentRow, ApiTokenRow, Change, ChannelRow, EnrolmentToken, Loaded, SessionRow, SilenceRow, TokenHash, UserRow,
};
use std::collections::{BTreeMap, HashMap};

/// Everything configured, by id.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    /// Agents; their `last_seen` here is that of the start, the fleet knows better.
    pub agents: HashMap<AgentId, AgentRow>,
    /// Agents by the hash of their credential.
    pub credentials: HashMap<TokenHash, AgentId>,
    /// Enrolment tokens by hash.
    pub enrolments: HashMap<TokenHash, EnrolmentToken>,
    /// People.
    pub users: BTreeMap<Ulid, UserRow>,
    /// Sessions by the hash of their cookie.
    pub sessions: HashMap<TokenHash, SessionRow>,
    /// API tokens by hash.
    pub tokens: HashMap<TokenHash, ApiTokenRow>,
    /// Channels.
    pub channels: BTreeMap<ChannelId, ChannelRow>,
    /// Rules with the time they were made.
    pub rules: BTreeMap<RuleId, (Rule, Timestamp)>,
    /// Silences.
    pub silences: BTreeMap<Ulid, SilenceRow>,
    /// Warn and crit levels.
    pub levels: LevelTable,
    /// Settings people change at run time.
    pub settings: Settings,
    /// Silences and quiet hours as intervals, for the days around the last expansion.
    pub hush: Hush,
}

impl Holdings {
    /// Whether a rule compares how fast something changes: its threshold is then no value of the series.
    #[must_use]
    pub fn compares_rates(&self, rule: RuleId) -> bool {
        self.rules.get(&rule).is_some_and(|(rule, _)| matches!(rule.transform, Transform::Rate { .. }))
    }

    /// The holdings of what was loaded; the state of alerts is left where it is.
    #[must_use]
    pub fn from_loaded(loaded: &Loaded) -> Self {
        let mut holdings = Self {
            agents: loaded.agents.iter().map(|row| (row.id, row.clone())).collect(),
            credentials: loaded.agents.iter().map(|row| (row.credential, row.id)).collect(),
            enrolments: loaded.enrolments.iter().map(|row| (row.hash, row.clone())).collect(),
            users: loaded.users.iter().map(|row| (row.id, row.clone())).collect(),
            sessions: loaded.sessions.iter().map(|row| (row.hash, row.clone())).collect(),
            tokens: loaded.tokens.iter().map(|row| (row.hash, row.clone())).collect(),
            channels: loaded.channels.iter().map(|row| (row.id, row.clone())).collect(),
            rules: loaded.rules.iter().map(|(rule, at)| (rule.id, (rule.clone(), *at))).collect(),
            silences: loaded.silences.iter().map(|row| (row.id, row.clone())).collect(),
            ..Self::default()
        };
        for (agent, key, levels) in &loaded.levels {
            holdings.levels_of(*agent).insert(key.clone(), *levels);
        }
        for (key, value) in &loaded.settings {
            holdings.settings.set(key, value);
        }
        holdings
    }

    /// The agent called `name`.
    #[must_use]
    pub fn agent_named(&self, name: &str) -> Option<&AgentRow> {
        self.agents.values().find(|agent| agent.name == name)
    }

    /// The rules as the evaluator is to know them: one without channels of its own with all that routes may choose for it.
    pub fn routed_rules(&self) -> impl Iterator<Item = Rule> + '_ {
        let routes = routing::in_force(self);
        self.rules.values().map(move |(rule, _)| {
            let mut rule = rule.clone();
            if rule.channels.is_empty() {
                rule.channels = routing::reach(&routes, &rule);
            }
            rule
        })
    }

    /// The silences and quiet hours as intervals for the evaluator, as far as they were expanded.
    pub fn mutes(&self) -> impl Iterator<Item = Mute> + '_ {
        self.hush.mutes.iter().cloned()
    }

    /// Expands silences that come again and quiet hours into intervals around `now`.
    pub fn expand(&mut self, now: Timestamp) {
        let started = self.hush.started.unwrap_or(now);
        self.hush = Hush::of(self, now);
        self.hush.started = Some(started);
    }

    fn levels_of(&mut self, agent: Option<AgentId>) -> &mut BTreeMap<String, nightbell_model::Levels> {
        match agent {
            Some(agent) => self.levels.agents.entry(agent).or_default(),
            None => &mut self.levels.global,
        }
    }

    /// Alters the maps as the store has altered its tables, and notes what the pipeline has to hear of.
    pub(crate) fn take(&mut self, change: Change, topics: &mut Vec<Topic>) {
        match change {
            Change::PutAgent(row) => {
                topics.push(Topic::Agent(row.id));
                if let Some(known) = self.agents.get(&row.id) {
                    self.credentials.remove(&known.credential);
                }
                self.credentials.insert(row.credential, row.id);
                self.agents.insert(row.id, row);
            }
            Change::DeleteAgent { id, .. } => self.drop_agent(id, topics),
            Change::PutRule { rule, created_at } => {
                topics.push(Topic::Rules);
                self.rules.insert(rule.id, (rule, created_at));
            }
            Change::DeleteRule(id) => {
                topics.push(Topic::Rules);
                self.rules.remove(&id);
            }
            Change::PutSilence(row) => {
                topics.push(Topic::Mutes);
                self.silences.insert(row.id, row);
            }
            Change::DeleteSilence(id) => {
                topics.push(Topic::Mutes);
                self.silences.remove(&id);
            }
            Change::PutChannel(row) => {
                topics.push(Topic::Mutes);
                if self.channels.insert(row.id, row).is_none() {
                    // Where there is no route, rules without channels tell the new one too.
                    topics.push(Topic::Rules);
                }
            }
            Change::DeleteChannel(id) => {
                topics.extend([Topic::Mutes, Topic::Rules]);
                self.channels.remove(&id);
            }
            Change::PutSetting { key, value } => {
                // Zone and routes are among them.
                topics.extend([Topic::Mutes, Topic::Rules]);
                self.settings.set(&key, &value);
            }
            Change::PutLevels { agent, key, levels } => {
                topics.push(Topic::Levels);
                self.levels_of(agent).insert(key, levels);
            }
            Change::DeleteLevels { agent, key } => {
                topics.push(Topic::Levels);
                self.levels_of(agent).remove(&key);
            }
            other => self.take_access(other),
        }
    }

    fn drop_agent(&mut self, id: AgentId, topics: &mut Vec<Topic>) {
        if let Some(row) = self.agents.remove(&id) {
            self.credentials.remove(&row.credential);
        }
        self.levels.agents.remove(&id);
        let before = self.silences.len();
        self.silences.retain(|_, silence| silence.agent != Some(id));
        if self.silences.len() != before {
            topics.push(Topic::Mutes);
        }
        topics.push(Topic::Agent(id));
    }

    /// The changes that no evaluation depends on.
    fn take_access(&mut self, change: Change) {
        match change {
            Change::PutEnrolment(row) => drop(self.enrolments.insert(row.hash, row)),
            Change::UseEnrolment { id, .. } => {
                if let Some(row) = self.enrolments.values_mut().find(|row| row.id == id) {
                    row.uses_left = row.uses_left.map(|left| left.saturating_sub(1));
                }
            }
            Change::DeleteEnrolment(id) => self.enrolments.retain(|_, row| row.id != id),
            Change::PutUser(row) | Change::PutFirstUser(row) => drop(self.users.insert(row.id, row)),
            Change::DeleteUser(id) => {
                self.users.remove(&id);
                self.sessions.retain(|_, session| session.user != id);
            }
            Change::PutSession(row) => drop(self.sessions.insert(row.hash, row)),
            Change::DeleteSession(hash) => drop(self.sessions.remove(&hash)),
            Change::DeleteSessionsOf(user) => self.sessions.retain(|_, session| session.user != user),
            Change::PutToken(row) => drop(self.tokens.insert(row.hash, row)),
            Change::DeleteToken(id) => self.tokens.retain(|_, row| row.id != id),
            _ => {}
        }
    }
}
