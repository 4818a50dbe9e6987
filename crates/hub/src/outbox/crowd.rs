//! What choosing messages has to know of the world: which channels take several notifications at once, and which hosts are about
//! to be found silent. The choice itself is [`crate::folding`]'s.

use crate::fleet::{Fleet, Vitals};
use crate::folding::{COMING_MS, Circumstances, Folds};
use crate::registry::Registry;
use nightbell_alerts::{Rule, Scope};
use nightbell_model::{ChannelId, Timestamp};
use nightbell_notify::ChannelConfig;
use nightbell_store::AgentRow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// So many missed heartbeats show that a host is on its way to being found silent.
const OVERDUE: i64 = 2;
/// After so many it is.
const SILENT: i64 = 3;

/// The world as the outbox sees it.
#[derive(Debug)]
pub(super) struct Crowd {
    registry: Arc<Registry>,
    fleet: Arc<Fleet>,
    /// The hub's start: silence is not counted from before.
    started: Timestamp,
}

impl Crowd {
    pub(super) fn new(registry: Arc<Registry>, fleet: Arc<Fleet>, started: Timestamp) -> Self {
        Self { registry, fleet, started }
    }

    fn folds(&self, channel: ChannelId) -> Folds {
        let holdings = self.registry.read();
        let Some(row) = holdings.channels.get(&channel) else { return Folds::Never };
        let config = serde_json::from_str(&row.config_json).ok().and_then(|json| ChannelConfig::parse(&row.kind, &json).ok());
        match config {
            Some(config) if !config.folds() => Folds::Never,
            Some(ChannelConfig::Webhook(_)) => Folds::Due,
            Some(_) => Folds::Storms,
            None => Folds::Never,
        }
    }

    /// Whether a channel takes several notifications in one message.
    pub(super) fn takes_several(&self, channel: ChannelId) -> bool {
        self.folds(channel) != Folds::Never
    }

    /// The world as it is at `now`.
    pub(super) fn at(&self, now: Timestamp) -> Present<'_> {
        Present { crowd: self, now, folding: RefCell::default() }
    }
}

/// The world at one moment.
#[derive(Debug)]
pub(super) struct Present<'a> {
    crowd: &'a Crowd,
    now: Timestamp,
    /// Which channels were asked about already, and what the answer was.
    folding: RefCell<HashMap<ChannelId, Folds>>,
}

impl Present<'_> {
    /// When a host will be paged as silent, if it is silent already and will be before long.
    fn expected(&self, vitals: &Vitals, hold_ms: i64) -> Option<Timestamp> {
        let since = vitals.last_seen?.max(self.crowd.started);
        let is_overdue = self.now.millis_since(since) >= OVERDUE * vitals.interval_ms.max(1);
        let at = since.plus_millis(hold_ms.max(SILENT * vitals.interval_ms));
        // Its page may be on its way to the outbox at this very moment.
        (is_overdue && at.plus_millis(COMING_MS) >= self.now).then_some(at)
    }
}

impl Circumstances for Present<'_> {
    fn folds(&self, channel: ChannelId) -> Folds {
        *self.folding.borrow_mut().entry(channel).or_insert_with(|| self.crowd.folds(channel))
    }

    fn is_about_silence(&self, rule: &str) -> bool {
        let holdings = self.crowd.registry.read();
        rule.parse().is_ok_and(|id| holdings.rules.get(&id).is_some_and(|(rule, _)| rule.is_offline()))
    }

    fn coming(&self, rule: &str) -> Option<Timestamp> {
        let holdings = self.crowd.registry.read();
        let (rule, _) = holdings.rules.get(&rule.parse().ok()?)?;
        if !rule.is_offline() {
            return None;
        }
        let fleet = self.crowd.fleet.read();
        let watched = holdings.agents.values().filter(|row| !row.paused && is_in_scope(rule, row));
        watched.filter_map(|row| self.expected(fleet.get(&row.id)?, rule.hold_ms)).max()
    }
}

fn is_in_scope(rule: &Rule, agent: &AgentRow) -> bool {
    match &rule.scope {
        Scope::Global => true,
        Scope::Tag(tag) => agent.tags.contains(tag),
        Scope::Agent(id) => agent.id == *id,
    }
}
