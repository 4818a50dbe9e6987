//! `nightbell backup` and `nightbell restore`.

use super::say;
use crate::config::Config;
use crate::control::{self, Answer};
use crate::operations::Operation;
use crate::wiring;
use anyhow::{Context, bail, ensure};
use nightbell_store::{SqliteOptions, SqliteStore, StateStore};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) fn backup(config: &Config, file: PathBuf) -> anyhow::Result<ExitCode> {
    ensure!(!file.exists(), "{} exists already; choose another name", file.display());
    let file = std::path::absolute(&file).with_context(|| format!("{} is no path", file.display()))?;
    match control::ask(&config.data, &Operation::Backup { file: file.clone() })? {
        Some(Answer::Done(word)) => say(&word),
        Some(Answer::Refused(why)) => bail!(why),
        None => {
            wiring::open(config)?.backup_to(&file).context("cannot back up")?;
            say(&format!("backed up into {}", file.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Verifies the backup by opening a copy of it, then puts the copy in the place of the database, which is kept beside it.
/// Deliveries that were waiting stand in it as held: a restore never sends old pages by itself.
pub(super) fn restore(config: &Config, file: &Path) -> anyhow::Result<ExitCode> {
    if control::ask(&config.data, &Operation::Health)?.is_some() {
        bail!("a hub runs on {}; stop it first", config.data.display());
    }
    std::fs::create_dir_all(&config.data).with_context(|| format!("cannot make the data folder {}", config.data.display()))?;
    let (database, incoming) = (config.data.join("nightbell.db"), config.data.join("nightbell.db.restoring"));
    std::fs::copy(file, &incoming).with_context(|| format!("cannot read the backup {}", file.display()))?;
    verify(&incoming).with_context(|| format!("{} is no usable backup; nothing was changed", file.display()))?;
    if database.exists() {
        // Folds the log first, so that what is kept is whole.
        drop(wiring::open(config)?);
        let kept = config.data.join(format!("nightbell.db.before-restore-{}", crate::ids::fresh()));
        std::fs::rename(&database, &kept).with_context(|| format!("cannot keep the old database as {}", kept.display()))?;
        say(&format!("the old database is kept as {}", kept.display()));
    }
    for rest in ["nightbell.db-wal", "nightbell.db-shm"] {
        let _none = std::fs::remove_file(config.data.join(rest));
    }
    std::fs::rename(&incoming, &database).with_context(|| format!("cannot put the backup into {}", config.data.display()))?;
    say(&format!("restored {}", file.display()));
    Ok(ExitCode::SUCCESS)
}

fn verify(copy: &Path) -> anyhow::Result<()> {
    let store = SqliteStore::open(copy, SqliteOptions::default())?;
    store.load().context("its rows cannot be read")?;
    Ok(())
}
