//! The way to a hub's history: through its socket if it runs, else the store of its data folder itself.

use super::existing;
use crate::config::Config;
use crate::control::{self, Answer};
use crate::operations::{self, Operation};
use crate::registry::Holdings;
use crate::transfer::{self, Transfer};
use crate::{clock, ids, wiring};
use anyhow::{Context, bail};
use nightbell_store::{LeaseToken, SqliteStore, StateStore};
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// An open way.
#[derive(Debug)]
pub(super) enum Carrier {
    /// A hub runs on this data folder.
    Hub(PathBuf),
    /// No hub runs: its store is ours.
    Store(Box<SqliteStore>, LeaseToken),
}

impl Carrier {
    /// Finds the way.
    ///
    /// # Errors
    /// When there is no database, or it cannot be opened.
    pub(super) fn open(config: &Config) -> anyhow::Result<Self> {
        if control::ask(&config.data, &Operation::Agents)?.is_some() {
            return Ok(Self::Hub(config.data.clone()));
        }
        existing(config)?;
        let store = wiring::open(config)?;
        let lease = store.acquire(ids::fresh(), clock::now()).context("cannot take over the database")?;
        Ok(Self::Store(Box::new(store), lease))
    }

    /// The agents: id and name, by name.
    ///
    /// # Errors
    /// When the hub or the store does not say.
    pub(super) fn agents(&mut self) -> anyhow::Result<Vec<(String, String)>> {
        let text = match self {
            Self::Hub(data) => ask(data, &Operation::Agents)?,
            Self::Store(store, _) => operations::agents(&Holdings::from_loaded(&store.load()?)),
        };
        serde_json::from_str(&text).context("the hub's answer cannot be read")
    }

    /// The id of the agent of this name, which is made if there is none.
    ///
    /// # Errors
    /// When it cannot be.
    pub(super) fn agent(&mut self, name: &str, interval_ms: i64) -> anyhow::Result<String> {
        let operation = Operation::ImportAgent { name: name.to_owned(), interval_ms };
        match self {
            Self::Hub(data) => ask(data, &operation),
            Self::Store(store, lease) => {
                let holdings = Holdings::from_loaded(&store.load().context("cannot read the database")?);
                let plan = operations::plan(&operation, &holdings)?;
                store.apply(*lease, &plan.changes, Some(&plan.audit)).context("cannot write to the database")?;
                Ok(plan.output)
            }
        }
    }

    /// Carries a piece of history; what came of it.
    ///
    /// # Errors
    /// When the hub or the store refuses it.
    pub(super) fn carry<T: DeserializeOwned>(&mut self, transfer: &Transfer) -> anyhow::Result<T> {
        let text = match self {
            Self::Hub(data) => ask(data, &Operation::Transfer(transfer.clone()))?,
            Self::Store(store, lease) => transfer::carry(&**store, *lease, transfer)?,
        };
        serde_json::from_str(&text).context("the hub's answer cannot be read")
    }
}

fn ask(data: &std::path::Path, operation: &Operation) -> anyhow::Result<String> {
    match control::ask(data, operation)? {
        Some(Answer::Done(text)) => Ok(text),
        Some(Answer::Refused(why)) => bail!(why),
        None => bail!("the hub on {} has stopped", data.display()),
    }
}
