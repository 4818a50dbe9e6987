//! `cargo xtask slow`: what takes too long for every push. The tests behind `NIGHTBELL_SLOW=1` (soaks, crash images,
//! hundreds of kills), optimised, one at a time, with what they print.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::graph;
use crate::repo::Repo;
use crate::step::Step;

/// The environment variable that a slow test looks for.
const GATE: &str = "NIGHTBELL_SLOW";

/// Runs them all.
///
/// # Errors
/// When no test looks for the gate, or when one fails.
pub fn run(repo: &Repo) -> Result<()> {
    let packages = gated(repo)?;
    if packages.is_empty() {
        bail!("no test of any crate looks for {GATE}");
    }
    let binaries = "build --profile slow --locked --package nightbell --package nightbell-agent --bins";
    Step::cargo("binaries", &repo.root, binaries).run()?;
    let picked: Vec<String> = packages.iter().map(|name| format!("--package {name}")).collect();
    let line = format!("test --profile slow --locked {} --tests -- --nocapture --test-threads=1", picked.join(" "));
    Step::cargo("slow", &repo.root, &line).env(GATE, "1").run()?;
    Ok(())
}

/// The crates with a test behind the gate.
fn gated(repo: &Repo) -> Result<BTreeSet<String>> {
    let files = repo.files(&[".rs"])?;
    let behind_gate = |folder: &str| {
        let prefix = format!("{folder}/");
        files.iter().any(|file| file.path.starts_with(&prefix) && file.text.contains(GATE))
    };
    let packages = graph::packages(repo)?;
    Ok(packages
        .into_iter()
        .filter(|(name, package)| name != "xtask" && behind_gate(&package.folder))
        .map(|(name, _)| name)
        .collect())
}
