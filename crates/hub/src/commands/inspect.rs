//! Commands that look: settings, and housekeeping on demand.

use super::{ConfigCommand, existing, say};
use crate::config::{Config, Origin, Sources};
use crate::jobs::Jobs;
use crate::measure::Measure;
use crate::server::TlsMaterial;
use crate::{clock, ids, wiring};
use anyhow::Context;
use nightbell_store::{MetricStore, StateStore};
use std::process::ExitCode;
use std::sync::Arc;

pub(super) fn config(command: &ConfigCommand, sources: &Sources) -> anyhow::Result<ExitCode> {
    let config = Config::from_sources(sources)?;
    match command {
        ConfigCommand::Check => {
            if let Some((cert, key)) = &config.server.tls {
                wiring::install_tls_provider();
                TlsMaterial::read(cert, key)?;
            }
            say("the settings can be used");
        }
        ConfigCommand::Show { origin } => {
            for (key, value, from) in sources.iter() {
                let value = toml::Value::String(value.to_owned());
                match (origin, &from) {
                    (true, from) => say(&format!("{key} = {value}  # {from}")),
                    (false, Origin::Default) => say(&format!("# {key} = {value}")),
                    (false, _) => say(&format!("{key} = {value}")),
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn maintain(config: &Config) -> anyhow::Result<ExitCode> {
    existing(config)?;
    let store = Arc::new(wiring::open(config)?);
    let lease = store.acquire(ids::fresh(), clock::now()).context("cannot take over the database")?;
    let jobs = Jobs::new(Arc::clone(&store), lease, config.retention, Arc::new(Measure::default()), None);
    let rolled = jobs.roll_up().context("cannot roll up")?;
    let packed = store.seal(lease, clock::now(), &config.retention.packing(true)).context("cannot pack what is complete")?;
    let retained = jobs.retain().context("cannot remove what is too old")?;
    store.compact(lease).context("cannot write the file anew")?;
    store.close().context("cannot fold the log")?;
    let stats = store.stats().context("cannot measure the database")?;
    say(&format!(
        "{} buckets written, {} chunks packed, {} rows removed; the database has {} bytes",
        rolled.buckets,
        packed.chunks,
        packed.removed + retained.removed,
        stats.bytes
    ));
    Ok(ExitCode::SUCCESS)
}
