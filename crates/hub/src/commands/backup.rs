//! `nightbell backup` and `nightbell restore`.

use super::{existing, say};
use crate::config::Config;
use crate::control::{self, Answer};
use crate::operations::Operation;
use crate::{clock, ids, wiring};
use anyhow::{Context, bail, ensure};
use nightbell_store::{MetricStore, OpenError, ScrubPlace, SqliteOptions, SqliteStore, StateStore};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How every SQLite file begins (its file format, section 1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// So many damaged parts of a backup are told one by one.
const TOLD: usize = 20;

pub(super) fn backup(config: &Config, file: PathBuf) -> anyhow::Result<ExitCode> {
    ensure!(!file.exists(), "{} exists already; choose another name", file.display());
    let file = std::path::absolute(&file).with_context(|| format!("{} is no path", file.display()))?;
    match control::ask(&config.data, &Operation::Backup { file: file.clone() })? {
        Some(Answer::Done(word)) => say(&word),
        Some(Answer::Refused(why)) => bail!(why),
        None => {
            existing(config)?;
            wiring::open(config)?.backup_to(&file).context("cannot back up")?;
            say(&format!("backed up into {}", file.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Verifies the backup by opening a copy of it and looking through all that it holds, then puts the copy in the place of the database,
/// which is kept beside it. One with damage is refused, unless that was asked for: what is damaged is set aside then.
/// Deliveries that were waiting stand in it as held: a restore never sends old pages by itself.
pub(super) fn restore(config: &Config, file: &Path, takes_damaged: bool) -> anyhow::Result<ExitCode> {
    if control::ask(&config.data, &Operation::Health)?.is_some() {
        bail!("a hub runs on {}; stop it first", config.data.display());
    }
    let is_database = std::fs::File::open(file).and_then(|opened| {
        let mut head = Vec::new();
        opened.take(MAGIC.len() as u64).read_to_end(&mut head).map(|_| head == MAGIC)
    });
    let is_database = is_database.with_context(|| format!("cannot read the backup {}", file.display()))?;
    ensure!(is_database, "{} is no backup of a hub; nothing was changed", file.display());
    std::fs::create_dir_all(&config.data).with_context(|| format!("cannot make the data folder {}", config.data.display()))?;
    let (database, incoming) = (config.data.join("nightbell.db"), config.data.join("nightbell.db.restoring"));
    std::fs::copy(file, &incoming).with_context(|| format!("cannot copy {} into {}", file.display(), config.data.display()))?;
    let verified = verify(&incoming).and_then(|damage| whole_enough(&damage, takes_damaged));
    for rest in ["-wal", "-shm", ".lock"] {
        remove(&beside(&incoming, rest));
    }
    if verified.is_err() {
        remove(&incoming);
    }
    verified.with_context(|| format!("{} is no usable backup; nothing was changed", file.display()))?;
    if let Some(kept) = set_aside(config, &database)? {
        say(&format!("the old database is kept as {}", kept.display()));
    }
    std::fs::rename(&incoming, &database).with_context(|| format!("cannot put the backup into {}", config.data.display()))?;
    say(&format!("restored {}", file.display()));
    Ok(ExitCode::SUCCESS)
}

/// Opens the copy as a hub would, looks through all of it, and leaves everything in the one file. What is damaged, in words; it is set
/// aside in the copy.
fn verify(copy: &Path) -> anyhow::Result<Vec<String>> {
    let store = SqliteStore::open(copy, SqliteOptions::default())?;
    store.load().context("its rows cannot be read")?;
    let lease = store.acquire(ids::fresh(), clock::now()).context("cannot write to the copy")?;
    let (mut place, mut damage) = (ScrubPlace::default(), Vec::new());
    loop {
        let report = store.scrub(lease, clock::now(), &mut place).context("it cannot be looked through")?;
        damage.extend(report.found);
        if report.is_round {
            break;
        }
    }
    store.close().context("cannot write to the copy")?;
    Ok(damage)
}

/// Names what is damaged.
///
/// # Errors
/// If anything is and that was not asked for.
fn whole_enough(damage: &[String], takes_damaged: bool) -> anyhow::Result<()> {
    for what in damage.iter().take(TOLD) {
        eprintln!("nightbell: damaged: {what}");
    }
    if damage.len() > TOLD {
        eprintln!("nightbell: damaged: {} more", damage.len() - TOLD);
    }
    let count = match damage.len() {
        1 => "a part of it is".to_owned(),
        many => format!("{many} parts of it are"),
    };
    ensure!(damage.is_empty() || takes_damaged, "{count} damaged; --damaged restores the rest");
    Ok(())
}

/// Moves a database that is there out of the way; where it is then.
fn set_aside(config: &Config, database: &Path) -> anyhow::Result<Option<PathBuf>> {
    if !database.exists() {
        return Ok(None);
    }
    let kept = beside(database, &format!(".before-restore-{}", ids::fresh()));
    match wiring::open(config) {
        // Folds the log first, so that what is kept is whole.
        Ok(store) => store.close().context("cannot fold the log of the old database")?,
        Err(error) => match error.downcast_ref() {
            Some(OpenError::Locked { .. } | OpenError::NotWritable { .. }) => return Err(error),
            // A damaged one is what backups are for: it is kept as it is, its log beside it.
            _ => {
                let log = beside(database, "-wal");
                if log.exists() {
                    std::fs::rename(&log, beside(&kept, "-wal")).with_context(|| format!("cannot keep {}", log.display()))?;
                }
            }
        },
    }
    for rest in ["-wal", "-shm"] {
        remove(&beside(database, rest));
    }
    std::fs::rename(database, &kept).with_context(|| format!("cannot keep the old database as {}", kept.display()))?;
    Ok(Some(kept))
}

/// The file beside `path` whose name is longer by `suffix`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a file that is of no use; that it is not there is fine.
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "cannot be removed");
    }
}
