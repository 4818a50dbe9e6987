//! The configuration in memory: what the store holds of agents, people, rules, channels and silences, read without a query.
//!
//! Every change goes through [`Registry::apply`]: one durable transaction with its audit line, then the same change here, then
//! word to the pipeline and to live listeners. So memory never says what the store does not.

mod groups;
mod holdings;
mod hush;
mod settings;
mod told;

pub use holdings::Holdings;
pub use hush::{Hush, digest_id, quiet_hours, silence_windows};
pub use settings::{FALLBACK_CHANNEL, ROUTES, Settings, TIMEZONE};

use crate::clock;
use crate::live::{Happening, Live};
use crate::pipeline::{Control, PipelineHandle};
use nightbell_alerts::{Mute, Rule};
use nightbell_model::AgentId;
use nightbell_store::{AgentRow, AuditEntry, Change, LeaseToken, StateStore, StoreError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// The configuration and the one way to change it.
#[derive(Debug)]
pub struct Registry {
    holdings: RwLock<Holdings>,
    /// Held over store and memory, so that both see changes in the same order.
    turn: Mutex<()>,
    store: Arc<dyn StateStore>,
    lease: LeaseToken,
    pipeline: PipelineHandle,
    live: Live,
}

impl Registry {
    /// A registry of what was loaded.
    #[must_use]
    pub fn new(holdings: Holdings, store: Arc<dyn StateStore>, lease: LeaseToken, pipeline: PipelineHandle, live: Live) -> Self {
        Self { holdings: RwLock::new(holdings), turn: Mutex::new(()), store, lease, pipeline, live }
    }

    /// What the configuration says now; hold it shortly and never across an await.
    pub fn read(&self) -> RwLockReadGuard<'_, Holdings> {
        self.holdings.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies changes durably, on this thread, which must be one that may wait.
    ///
    /// # Errors
    /// What the store says; nothing has changed then.
    pub fn apply_blocking(&self, changes: Vec<Change>, audit: Option<AuditEntry>) -> Result<(), StoreError> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.apply_in_turn(&turn, changes, audit)
    }

    /// Changes one agent as it is at this moment, so that two who change different fields do not undo each other. `alter`
    /// answers which further changes belong to it; an agent that is gone changes nothing, and one that stays as it was nothing but
    /// what is audited.
    ///
    /// # Errors
    /// What the store says; nothing has changed then.
    pub fn alter_agent_blocking(
        &self,
        id: AgentId,
        audit: Option<AuditEntry>,
        alter: impl FnOnce(&mut AgentRow) -> Vec<Change>,
    ) -> Result<(), StoreError> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = self.read().agents.get(&id).cloned() else { return Ok(()) };
        let mut row = before.clone();
        let mut changes = alter(&mut row);
        if row == before && audit.is_none() {
            return Ok(());
        }
        changes.push(Change::PutAgent(row));
        self.apply_in_turn(&turn, changes, audit)
    }

    /// The same without holding up the async threads.
    ///
    /// # Errors
    /// What the store says; nothing has changed then.
    pub async fn alter_agent(
        self: &Arc<Self>,
        id: AgentId,
        audit: AuditEntry,
        alter: impl FnOnce(&mut AgentRow) + Send + 'static,
    ) -> Result<(), StoreError> {
        let registry = Arc::clone(self);
        let altered = tokio::task::spawn_blocking(move || {
            registry.alter_agent_blocking(id, Some(audit), |row| {
                alter(row);
                Vec::new()
            })
        });
        altered.await.unwrap_or_else(gone)
    }

    /// The transaction, then memory, then word to the others; `_turn` shows that the order is ours to keep.
    fn apply_in_turn(
        &self,
        _turn: &MutexGuard<'_, ()>,
        mut changes: Vec<Change>,
        audit: Option<AuditEntry>,
    ) -> Result<(), StoreError> {
        let line = audit.as_ref().and_then(|audit| told::line(audit, &changes, &self.read()));
        changes.extend(line.map(Change::LogEvent));
        let events = self.store.apply(self.lease, &changes, audit.as_ref())?;
        let controls = {
            let mut holdings = self.holdings.write().unwrap_or_else(PoisonError::into_inner);
            let mut wanted = Vec::new();
            for change in changes {
                holdings.take(change, &mut wanted);
            }
            wanted.sort_unstable();
            wanted.dedup();
            if wanted.contains(&Topic::Mutes) {
                holdings.expand(clock::now());
            }
            wanted.into_iter().map(|topic| control(&holdings, topic)).collect::<Vec<_>>()
        };
        for control in controls {
            self.pipeline.tell(control);
        }
        self.live.tell_events(events);
        self.live.tell(Happening::Config);
        Ok(())
    }

    /// Applies what `decide` makes of the configuration as it is, while nobody else changes it; nothing is no change.
    ///
    /// # Errors
    /// What the store says; nothing has changed then.
    pub async fn decide(
        self: &Arc<Self>,
        decide: impl FnOnce(&Holdings) -> Vec<Change> + Send + 'static,
    ) -> Result<(), StoreError> {
        let registry = Arc::clone(self);
        let applied = tokio::task::spawn_blocking(move || {
            let turn = registry.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let changes = decide(&registry.read());
            if changes.is_empty() { Ok(()) } else { registry.apply_in_turn(&turn, changes, None) }
        });
        applied.await.unwrap_or_else(gone)
    }

    /// Expands silences and quiet hours anew, so that the evaluator knows those of the coming days.
    pub fn expand_mutes(&self) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let control = {
            let mut holdings = self.holdings.write().unwrap_or_else(PoisonError::into_inner);
            holdings.expand(clock::now());
            control(&holdings, Topic::Mutes)
        };
        self.pipeline.tell(control);
    }

    /// Applies changes durably without holding up the async threads.
    ///
    /// # Errors
    /// What the store says; nothing has changed then.
    pub async fn apply(self: &Arc<Self>, changes: Vec<Change>, audit: Option<AuditEntry>) -> Result<(), StoreError> {
        let registry = Arc::clone(self);
        tokio::task::spawn_blocking(move || registry.apply_blocking(changes, audit)).await.unwrap_or_else(gone)
    }
}

/// A thread that made a change panicked or was dropped.
fn gone(gone: tokio::task::JoinError) -> Result<(), StoreError> {
    Err(StoreError::Unavailable { operation: "apply a change", source: Box::new(gone) })
}

/// What the pipeline has to hear of after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Rules,
    Levels,
    Mutes,
    Agent(AgentId),
}

fn control(holdings: &Holdings, topic: Topic) -> Control {
    match topic {
        Topic::Rules => Control::Rules(holdings.routed_rules().collect::<Vec<Rule>>()),
        Topic::Levels => Control::Levels(holdings.levels.clone()),
        Topic::Mutes => Control::Mutes(holdings.mutes().collect::<Vec<Mute>>()),
        Topic::Agent(id) => match holdings.agents.get(&id) {
            Some(agent) => Control::Agent(agent.clone()),
            None => Control::AgentRemoved(id),
        },
    }
}
