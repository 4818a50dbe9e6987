//! `nightbell export config`, `apply` and `check`: reads and writes the folder and looks secrets up; what the files mean is
//! decided elsewhere. They go through the hub's socket if it runs, else to the data folder itself.

use super::{existing, say};
use crate::config::Config;
use crate::control::{self, Answer};
use crate::files::{self, Applied, FilesOperation, Secrets, SourceFile};
use crate::operations::Operation;
use crate::registry::Holdings;
use crate::{clock, ids, wiring};
use anyhow::{Context, bail, ensure};
use clap::Args;
use nightbell_store::StateStore;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The most that all files of a folder may hold together: a thousand rules are half a megabyte.
const MOST_BYTES: usize = 4 << 20;
/// What a dry run ends with when there are differences.
const DIFFERENCES: u8 = 2;
/// How deep folders may stand in each other.
const DEEPEST: usize = 16;

/// What `export config` is asked.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The folder they go into; it is made
    folder: PathBuf,
    /// Also into a folder that has TOML files: those of the same names are replaced
    #[arg(long)]
    force: bool,
}

/// What `apply` is asked.
#[derive(Debug, Args)]
pub(super) struct ApplyArguments {
    /// The folder with the files (*.toml, also in folders below it)
    folder: PathBuf,
    /// Only says what would be done; ends with 2 if there is anything
    #[arg(long)]
    dry_run: bool,
    /// Leaves what no file declares any more as it is, to be edited again, instead of removing it
    #[arg(long)]
    release: bool,
}

/// What `check` is asked.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// The folder with the files (*.toml, also in folders below it)
    folder: PathBuf,
}

pub(super) fn export(config: &Config, arguments: &ExportArguments) -> anyhow::Result<ExitCode> {
    let folder = &arguments.folder;
    let is_used = folder.exists() && !arguments.force && !read_folder(folder)?.is_empty();
    ensure!(!is_used, "{} has TOML files already; choose another folder, or --force", folder.display());
    let Applied::Exported(files) = carry_out(config, FilesOperation::Export)? else { bail!("the hub's answer is another's") };
    for file in &files {
        let path = folder.join(&file.path);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
        std::fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    say(&format!("{} written into {}; secrets are not among them", several(files.len(), "file"), folder.display()));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn apply(config: &Config, arguments: &ApplyArguments) -> anyhow::Result<ExitCode> {
    let files = declared(&arguments.folder)?;
    let secrets = Secrets::known(looked_up(&arguments.folder, &files));
    let &ApplyArguments { dry_run, release, .. } = arguments;
    match carry_out(config, FilesOperation::Apply { files, secrets, dry_run, release })? {
        Applied::Planned { text, differences } => {
            say(&text);
            Ok(if dry_run && differences > 0 { ExitCode::from(DIFFERENCES) } else { ExitCode::SUCCESS })
        }
        Applied::Faulty(faults) => Ok(faulty(&faults)),
        Applied::Exported(_) => bail!("the hub's answer is another's"),
    }
}

pub(super) fn check(arguments: &CheckArguments) -> anyhow::Result<ExitCode> {
    let files = declared(&arguments.folder)?;
    match files::check(&files, looked_up(&arguments.folder, &files), clock::now()) {
        Ok(count) => {
            say(&format!("{} in {} in order", several(count, "object"), several(files.len(), "file")));
            Ok(ExitCode::SUCCESS)
        }
        Err(faults) => Ok(faulty(&faults.iter().map(ToString::to_string).collect::<Vec<_>>())),
    }
}

fn faulty(faults: &[String]) -> ExitCode {
    for fault in faults {
        eprintln!("{fault}");
    }
    eprintln!("nightbell: {}; nothing was changed", several(faults.len(), "fault"));
    ExitCode::FAILURE
}

/// A number of things, in words.
fn several(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn carry_out(config: &Config, operation: FilesOperation) -> anyhow::Result<Applied> {
    match control::ask(&config.data, &Operation::Files(operation.clone()))? {
        Some(Answer::Done(text)) => serde_json::from_str(&text).context("the hub's answer cannot be read"),
        Some(Answer::Refused(why)) => bail!(why),
        None => offline(config, operation),
    }
}

/// As a running hub would, on the data folder itself.
fn offline(config: &Config, operation: FilesOperation) -> anyhow::Result<Applied> {
    existing(config)?;
    let store = wiring::open_sealed(config)?;
    let holdings = Holdings::from_loaded(&store.load().context("cannot read the database")?);
    let (applied, work) = files::carry_out(operation, &holdings, clock::now());
    if let Some((changes, audit)) = work {
        let lease = store.acquire(ids::fresh(), clock::now()).context("cannot take over the database")?;
        store.apply(lease, &changes, Some(&audit)).context("cannot write to the database")?;
    }
    Ok(applied)
}

/// The files of a folder, which has at least one: an empty folder is more likely the wrong one than a wish to remove everything.
fn declared(folder: &Path) -> anyhow::Result<Vec<SourceFile>> {
    let files = read_folder(folder)?;
    ensure!(
        !files.is_empty(),
        "there is no .toml file in {}; if nothing is to be managed by files any more, put an empty one there",
        folder.display()
    );
    Ok(files)
}

fn read_folder(folder: &Path) -> anyhow::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    collect(folder, Path::new(""), 0, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let bytes: usize = files.iter().map(|file| file.text.len()).sum();
    ensure!(bytes <= MOST_BYTES, "the files hold {bytes} bytes; {MOST_BYTES} are the most");
    Ok(files)
}

/// Names that begin with a dot are somebody else's: version control, editors, and what lies behind mounted configuration.
fn collect(root: &Path, below: &Path, depth: usize, files: &mut Vec<SourceFile>) -> anyhow::Result<()> {
    ensure!(depth < DEEPEST, "{} is nested too deep; does a link lead back up?", below.display());
    let folder = root.join(below);
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let name = entry.with_context(|| format!("cannot read the folder {}", folder.display()))?.file_name();
        let (path, Some(text)) = (below.join(&name), name.to_str()) else { continue };
        if text.starts_with('.') {
            continue;
        }
        let whole = root.join(&path);
        let data = std::fs::metadata(&whole).with_context(|| format!("cannot read {}", whole.display()))?;
        if data.is_dir() {
            collect(root, &path, depth + 1, files)?;
        } else if path.extension().is_some_and(|end| end == "toml") {
            ensure!(data.len() <= MOST_BYTES as u64, "{} is too long for configuration", whole.display());
            let text = std::fs::read_to_string(&whole).with_context(|| format!("cannot read {}", whole.display()))?;
            files.push(SourceFile { path: path.display().to_string(), text });
        }
    }
    Ok(())
}

/// What the references of the files stand for, as far as they can be read here. Paths begin at the folder.
fn looked_up(folder: &Path, files: &[SourceFile]) -> BTreeMap<String, String> {
    let read = |reference: &str| match reference.split_once(':')? {
        ("env", name) => std::env::var(name).ok(),
        (_, path) => std::fs::read_to_string(folder.join(path)).ok(),
    };
    let found = files::references(files).into_iter().filter_map(|reference| {
        let secret = read(&reference)?.trim_end_matches(['\r', '\n']).to_owned();
        (!secret.is_empty()).then_some((reference, secret))
    });
    found.collect()
}
