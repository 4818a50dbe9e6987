//! The names that declarations may use for other objects, and the ids behind them.

use super::references::Named;
use crate::registry::Holdings;
use nightbell_model::{Timestamp, Ulid};
use std::collections::{BTreeMap, BTreeSet};

/// Names and ids, both ways.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_name: BTreeMap<(Named, String), BTreeSet<Ulid>>,
    by_id: BTreeMap<Ulid, String>,
    /// Whether every name of an agent is taken for one: nobody is there who knows them.
    any_agent: bool,
}

impl Names {
    /// The names of a hub's agents; `None` where there is no hub to ask.
    pub(super) fn new(holdings: Option<&Holdings>) -> Self {
        let mut names = Self { any_agent: holdings.is_none(), ..Self::default() };
        for agent in holdings.into_iter().flat_map(|holdings| holdings.agents.values()) {
            names.add(Named::Agent, &agent.name, agent.id.0);
        }
        names
    }

    /// All names of a hub.
    pub(super) fn of(holdings: &Holdings) -> Self {
        let mut names = Self::new(Some(holdings));
        for (id, row) in &holdings.channels {
            names.add(Named::Channel, &row.name, id.0);
        }
        for (id, (rule, _)) in &holdings.rules {
            names.add(Named::Rule, &rule.name, id.0);
        }
        names
    }

    pub(super) fn add(&mut self, named: Named, name: &str, id: Ulid) {
        self.by_name.entry((named, name.to_owned())).or_default().insert(id);
        self.by_id.insert(id, name.to_owned());
    }

    /// The id behind a name, or an id as it is.
    ///
    /// # Errors
    /// In words, when there is none, or more than one.
    pub(super) fn id(&self, named: Named, name: &str) -> Result<Ulid, String> {
        if let Some(ids) = self.by_name.get(&(named, name.to_owned())) {
            let alone = ids.first().filter(|_| ids.len() == 1).copied();
            return alone.ok_or_else(|| format!("there are {} {}s called {name:?}: say the id", ids.len(), named.word()));
        }
        if let Some(id) = name.parse().ok().filter(|id| self.by_id.contains_key(id)) {
            return Ok(id);
        }
        if named == Named::Agent && self.any_agent {
            return Ok(Ulid::derived(Timestamp::from_millis(0), &[b"agent", name.as_bytes()]));
        }
        let known = self.by_name.keys().filter(|(other, _)| *other == named).map(|(_, name)| name.as_str());
        let hint = super::nearest::hint(name, known);
        Err(format!("there is no {} called {name:?}{hint}", named.word()))
    }

    /// The name of what an id stands for, if it stands for nothing else.
    pub(super) fn name(&self, named: Named, id: &str) -> Option<&str> {
        let id: Ulid = id.parse().ok()?;
        let name = self.by_id.get(&id)?;
        let alone = self.by_name.get(&(named, name.clone())).is_some_and(|ids| ids.len() == 1);
        alone.then_some(name.as_str())
    }
}
