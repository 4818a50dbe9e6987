//! Whom a rule without channels of its own tells: the first route that fits by severity, tag, rule and time of day, and those after
//! it as long as each says to go on. Pure; rules that name channels are not asked.
//!
//! Where there is no route at all it tells every channel: whoever sets up a hub adds a channel and believes that it is told, and a
//! page too many is found out sooner than one that never comes. That nobody is told has to be said, by a route without channels.
//!
//! The evaluator knows such a rule with all channels that any route could choose; which of them are told of an incident is decided
//! here when it fires, by the moment at which it fired, and who was told of it hears of its end whatever the routes say by then.

use crate::registry::Holdings;
use crate::schedule::{QuietHours, TimeOfDay, Weekday};
use chrono_tz::Tz;
use nightbell_alerts::{IncidentRecord, Notice, NoticeKind, Rule, Severity};
use nightbell_model::{ChannelId, IncidentId, RuleId, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The most incidents that are remembered with whom they were told to.
const REMEMBERED: usize = 100_000;

/// Hours of the day, on certain days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The days on which they begin; empty for every day.
    #[serde(default)]
    pub weekdays: Vec<Weekday>,
    /// When they begin.
    pub from: TimeOfDay,
    /// When they end, the next day if that is not later.
    pub to: TimeOfDay,
    /// The time zone of both; the hub's if left out.
    #[serde(default)]
    pub timezone: Option<Tz>,
}

impl Hours {
    fn hold(&self, zone: Tz, at: Timestamp) -> bool {
        let Self { weekdays, from, to, timezone } = self.clone();
        QuietHours { weekdays, from, to, timezone, critical_passes: false }.holds(zone, at)
    }
}

/// One route. Conditions that are empty are met by everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// Only these severities.
    pub severities: Vec<Severity>,
    /// Only agents with one of these tags.
    pub tags: Vec<String>,
    /// Only these rules.
    pub rules: Vec<RuleId>,
    /// Only what fires in these hours.
    pub when: Option<Hours>,
    /// Whom to tell; nobody is an answer too.
    pub channels: Vec<ChannelId>,
    /// Whether routes after this one are asked as well.
    pub goes_on: bool,
}

impl Route {
    fn fits_rule(&self, rule: RuleId, severity: Severity) -> bool {
        (self.severities.is_empty() || self.severities.contains(&severity))
            && (self.rules.is_empty() || self.rules.contains(&rule))
    }

    fn fits(&self, incident: &IncidentRecord, tags: &[String], zone: Tz) -> bool {
        self.fits_rule(incident.key.rule, incident.severity)
            && (self.tags.is_empty() || self.tags.iter().any(|tag| tags.contains(tag)))
            && self.when.as_ref().is_none_or(|hours| hours.hold(zone, incident.fired_at))
    }
}

/// The routes that are asked: those there are, or while there is none the one that tells everybody.
#[must_use]
pub fn in_force(holdings: &Holdings) -> Cow<'_, [Route]> {
    let routes = &holdings.settings.routes;
    if !routes.is_empty() {
        return Cow::Borrowed(routes);
    }
    Cow::Owned(vec![Route { channels: holdings.channels.keys().copied().collect(), ..Route::default() }])
}

/// All channels that routes may choose for a rule.
#[must_use]
pub fn reach(routes: &[Route], rule: &Rule) -> Vec<ChannelId> {
    let mut channels = Vec::new();
    for route in routes.iter().filter(|route| route.fits_rule(rule.id, rule.severity)) {
        add(&mut channels, &route.channels);
    }
    channels
}

/// The channels that routes choose for an incident on an agent with these tags.
#[must_use]
pub fn choose(routes: &[Route], incident: &IncidentRecord, tags: &[String], zone: Tz) -> Vec<ChannelId> {
    let mut channels = Vec::new();
    for route in routes.iter().filter(|route| route.fits(incident, tags, zone)) {
        add(&mut channels, &route.channels);
        if !route.goes_on {
            break;
        }
    }
    channels
}

fn add(channels: &mut Vec<ChannelId>, more: &[ChannelId]) {
    for channel in more {
        if !channels.contains(channel) {
            channels.push(*channel);
        }
    }
}

/// Whom an incident is told to, as things stand: its rule's own channels, or those that routes choose.
#[must_use]
pub fn told_to(holdings: &Holdings, incident: &IncidentRecord) -> Vec<ChannelId> {
    match holdings.rules.get(&incident.key.rule) {
        Some((rule, _)) if !rule.channels.is_empty() => rule.channels.clone(),
        _ => {
            let tags = holdings.agents.get(&incident.key.agent).map_or(&[][..], |agent| &agent.tags);
            choose(&in_force(holdings), incident, tags, holdings.settings.timezone)
        }
    }
}

/// Which incidents were told to whom by routes: their ends go to the same.
#[derive(Debug, Default)]
pub struct Routed {
    /// An incident that routes told to nobody is in it too: its end is for nobody either.
    told: BTreeMap<IncidentId, Vec<ChannelId>>,
}

impl Routed {
    /// Whom each of these incidents was told to, as the outbox knows it.
    #[must_use]
    pub fn restore(told: impl Iterator<Item = (IncidentId, ChannelId)>) -> Self {
        let mut routed = Self::default();
        for (incident, channel) in told {
            routed.note(incident, channel);
        }
        routed
    }

    fn note(&mut self, incident: IncidentId, channel: ChannelId) {
        add(self.entry(incident), &[channel]);
    }

    /// Whom an incident was told to; the oldest are forgotten first.
    fn entry(&mut self, incident: IncidentId) -> &mut Vec<ChannelId> {
        if self.told.len() >= REMEMBERED && !self.told.contains_key(&incident) {
            self.told.pop_first();
        }
        self.told.entry(incident).or_default()
    }

    /// Whether a notice is for its channel. One that tells of an incident or of its end is asked in the order they were said.
    pub fn passes(&mut self, holdings: &Holdings, notice: &Notice) -> bool {
        let incident = &*notice.incident;
        // Of a rule that was deleted since it is known by what was told.
        let rule = holdings.rules.get(&incident.key.rule);
        let is_routed = rule.map_or_else(|| self.told.contains_key(&incident.id), |(rule, _)| rule.channels.is_empty());
        if !is_routed {
            return true;
        }
        let was_told = self.told.get(&incident.id).is_some_and(|told| told.contains(&notice.channel));
        match notice.kind {
            // A step of an escalation names its channels itself.
            NoticeKind::Escalated => {
                self.note(incident.id, notice.channel);
                true
            }
            NoticeKind::Fired | NoticeKind::NoDataStart => {
                let is_chosen = was_told || told_to(holdings, incident).contains(&notice.channel);
                let told = self.entry(incident.id);
                if is_chosen {
                    add(told, &[notice.channel]);
                }
                is_chosen
            }
            // One that is over when it is told of is told once.
            NoticeKind::Resolved if notice.late => told_to(holdings, incident).contains(&notice.channel),
            NoticeKind::Resolved | NoticeKind::NoDataEnd => {
                self.entry(incident.id).retain(|channel| *channel != notice.channel);
                was_told
            }
            NoticeKind::Repeat | NoticeKind::Acked => was_told,
            _ => true,
        }
    }
}

/// Routes as the settings keep them: JSON, ids and names as text.
mod stored {
    use super::{Hours, Route};
    use nightbell_alerts::Severity;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Row {
        severities: Vec<String>,
        tags: Vec<String>,
        rules: Vec<String>,
        when: Option<Hours>,
        channels: Vec<String>,
        #[serde(rename = "continue")]
        goes_on: bool,
    }

    /// The text of routes.
    pub(super) fn write(routes: &[Route]) -> String {
        let row = |route: &Route| Row {
            severities: route.severities.iter().map(|severity| severity.name().to_owned()).collect(),
            tags: route.tags.clone(),
            rules: route.rules.iter().map(ToString::to_string).collect(),
            when: route.when.clone(),
            channels: route.channels.iter().map(ToString::to_string).collect(),
            goes_on: route.goes_on,
        };
        serde_json::to_string(&routes.iter().map(row).collect::<Vec<_>>()).unwrap_or_default()
    }

    /// The routes of a text; what cannot be read is none.
    pub(super) fn read(text: &str) -> Vec<Route> {
        let route = |row: Row| Route {
            severities: row.severities.iter().filter_map(|name| Severity::from_name(name)).collect(),
            tags: row.tags,
            rules: row.rules.iter().filter_map(|id| id.parse().ok()).collect(),
            when: row.when,
            channels: row.channels.iter().filter_map(|id| id.parse().ok()).collect(),
            goes_on: row.goes_on,
        };
        serde_json::from_str::<Vec<Row>>(text).unwrap_or_default().into_iter().map(route).collect()
    }
}

/// Routes as a setting's value.
#[must_use]
pub fn write(routes: &[Route]) -> String {
    stored::write(routes)
}

/// The routes of a setting's value; what cannot be read (a newer hub may have written it) is none.
#[must_use]
pub fn read(text: &str) -> Vec<Route> {
    stored::read(text)
}

#[cfg(test)]
pub(crate) mod tests;
