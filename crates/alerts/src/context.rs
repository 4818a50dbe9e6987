//! What the machine must be told about its surroundings: agents, their levels, and the times in which nothing is said.
//! Keeping these in step with the configuration is left to the hub, which also expands recurring silences into intervals.

use crate::matching::{Filter, compile};
use crate::rule::{Aggregate, MatchKind, Matcher, Selector, Severity};
use nightbell_model::{AgentId, ChannelId, Levels, RuleId, SeriesKey, Timestamp, Ulid};
use std::collections::{BTreeMap, HashMap};

/// What the machine knows of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentView {
    /// Which agent.
    pub id: AgentId,
    /// Its tags, for rules and mutes that name one.
    pub tags: Vec<String>,
    /// How often it sends a heartbeat, in milliseconds.
    pub interval_ms: i64,
    /// A paused agent is not evaluated and never offline.
    pub paused: bool,
    /// When its last heartbeat was received; `None` before the first.
    pub last_seen: Option<Timestamp>,
    /// Whether its newest connection was closed cleanly since then (status "offline" at once, paged no sooner).
    pub closed: bool,
    /// Whether it announced that it stops on purpose: nobody is paged for that.
    pub stopped_on_purpose: bool,
}

/// Warn and crit levels: global defaults and each agent's own, by metric name or full series key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LevelTable {
    /// The defaults of the whole fleet.
    pub global: BTreeMap<String, Levels>,
    /// Each agent's own.
    pub agents: HashMap<AgentId, BTreeMap<String, Levels>>,
}

impl LevelTable {
    /// The levels of a series of an agent and whether they are its own: full key before metric name, the agent's before the global.
    #[must_use]
    pub fn lookup(&self, agent: AgentId, key: &SeriesKey) -> Option<(Levels, bool)> {
        let find = |table: &BTreeMap<String, Levels>| table.get(key.as_str()).or_else(|| table.get(key.metric())).copied();
        self.agents
            .get(&agent)
            .and_then(find)
            .map(|levels| (levels, true))
            .or_else(|| find(&self.global).map(|levels| (levels, false)))
    }
}

/// Why nothing is said for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MuteKind {
    /// A user's silence.
    Silence,
    /// Planned work.
    Maintenance,
    /// Hours in which a channel's people are not to be woken.
    QuietHours,
}

crate::rule::named!(MuteKind { Silence => "silence", Maintenance => "maintenance", QuietHours => "quiet_hours" });

/// Conditions on the labels of a series, compiled once; none at all are satisfied by every series.
#[derive(Debug, Clone, Default)]
pub struct LabelConditions {
    matchers: Vec<Matcher>,
    filter: Option<Filter>,
}

impl LabelConditions {
    /// Whether the labels of a series satisfy all of them.
    #[must_use]
    pub fn admit(&self, series: &SeriesKey) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.admits(series))
    }

    /// What is wrong with a condition, if anything is: its expression cannot be read or is too large.
    #[must_use]
    pub fn fault(matcher: &Matcher) -> Option<String> {
        let is_expression = matches!(matcher.kind, MatchKind::Regex | MatchKind::NotRegex);
        compile(&matcher.value).err().filter(|_| is_expression).map(|error| error.to_string())
    }
}

impl From<Vec<Matcher>> for LabelConditions {
    fn from(matchers: Vec<Matcher>) -> Self {
        if matchers.is_empty() {
            return Self::default();
        }
        let (metric, labels) = (String::new(), Vec::new());
        let selector = Selector { metric, labels, matchers: matchers.clone(), aggregate: Aggregate::Each };
        Self { matchers, filter: Some(Filter::new(&selector)) }
    }
}

impl PartialEq for LabelConditions {
    fn eq(&self, other: &Self) -> bool {
        self.matchers == other.matchers
    }
}

/// An interval in which matching notices are withheld. Conditions that are `None` match everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Mute {
    /// Names the silence it was expanded from.
    pub id: Ulid,
    /// Why.
    pub kind: MuteKind,
    /// From when on.
    pub start: Timestamp,
    /// Until when (the first moment it does not cover).
    pub end: Timestamp,
    /// Only this rule.
    pub rule: Option<RuleId>,
    /// Only this agent.
    pub agent: Option<AgentId>,
    /// Only agents with this tag.
    pub tag: Option<String>,
    /// Only this metric, or, where it has labels, this series.
    pub series: Option<String>,
    /// Only series whose labels satisfy all of these.
    pub labels: LabelConditions,
    /// Only this channel.
    pub channel: Option<ChannelId>,
    /// Only severities up to this one; the worse pass.
    pub up_to: Option<Severity>,
    /// Whether the end of an incident is withheld as well (quiet hours) or passes (silences, maintenance).
    pub defers_resolved: bool,
}
