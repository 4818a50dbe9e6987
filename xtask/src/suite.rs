//! `cargo xtask test`: the list of steps, in the order in which a mistake is cheapest to hear of.
//!
//! What a step does belongs to its tool; what the machine must bring stands in [`machine`].

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::console::say;
use crate::machine;
use crate::repo::Repo;
use crate::step::{Step, human};

/// Runs the steps called `picked`, or all of them; stops at the first that fails.
///
/// # Errors
/// When a name is unknown, when the machine lacks something that cannot be installed, or when a step fails.
pub fn run(repo: &Repo, picked: &[&str]) -> Result<()> {
    let all = steps(repo)?;
    if let Some(unknown) = picked.iter().find(|name| all.iter().all(|step| step.name != **name)) {
        bail!("no step is called `{unknown}`; they are: {}", names(&all));
    }
    let path = search_path(machine::ready(repo)?)?;
    let mut took: Vec<(&str, Duration)> = Vec::new();
    for step in all.into_iter().filter(|step| picked.is_empty() || picked.contains(&step.name)) {
        let name = step.name;
        took.push((name, step.on_path(&path).run()?));
    }
    say("\nall steps passed:");
    for (name, duration) in &took {
        say(&format!("    {name:<12} {:>10}", human(*duration)));
    }
    say(&format!("    {:<12} {:>10}", "together", human(took.iter().map(|(_, duration)| *duration).sum())));
    Ok(())
}

/// Prints the names of the steps.
///
/// # Errors
/// When `web/package.json` cannot be read.
pub fn list(repo: &Repo) -> Result<()> {
    say(&names(&steps(repo)?));
    Ok(())
}

fn names(steps: &[Step]) -> String {
    steps.iter().map(|step| step.name).collect::<Vec<_>>().join(" ")
}

/// Every step, in order.
fn steps(repo: &Repo) -> Result<Vec<Step>> {
    let root = &repo.root;
    let cargo = |name, line| Step::cargo(name, root, line).env("NIGHTBELL_UI", "require");
    let mut steps = vec![
        Step::cargo("fmt", root, "fmt --all --check"),
        Step::cargo("rules", root, "test --package xtask --locked"),
        cargo("clippy", "clippy --workspace --all-targets --locked -- -D warnings"),
        cargo("build", "build --workspace --bins --locked"),
        cargo("test", "test --workspace --exclude xtask --locked"),
        // What the usual build leaves out.
        cargo(
            "bot-clippy",
            "clippy --package nightbell --package nightbell-notify --features discord-bot --all-targets --locked -- -D warnings",
        ),
        cargo(
            "bot",
            "test --package nightbell --package nightbell-notify --features discord-bot --locked --lib --test api_domain -- bot:: buttons",
        ),
        cargo("parquet-lint", "clippy --package nightbell --features parquet --all-targets --locked -- -D warnings"),
        cargo("parquet", "test --package nightbell --features parquet --locked --lib --test cli -- columnar:: as_parquet::"),
    ];
    steps.extend(web_steps(repo)?);
    let doc = cargo("doc", "doc --workspace --no-deps --document-private-items --locked");
    steps.push(doc.env("RUSTDOCFLAGS", "-D warnings"));
    Ok(steps)
}

/// The steps of the web UI: what `web/package.json` calls them. Its end-to-end tests run
/// against a double with a large fleet, and then against the hub that `build` made.
fn web_steps(repo: &Repo) -> Result<Vec<Step>> {
    let folder = repo.root.join("web");
    let package: Value = serde_json::from_str(&repo.read("web/package.json")?).context("web/package.json is not JSON")?;
    let mut steps = vec![Step::new("web-install", &folder, "npm", "ci --no-audit --no-fund")];
    for (name, script) in
        [("web-types", "typecheck"), ("web-test", "test"), ("web-build", "build"), ("web-size", "size"), ("web-e2e", "e2e")]
    {
        if package["scripts"][script].is_null() {
            bail!("web/package.json has no script `{script}`");
        }
        let step = Step::new(name, &folder, "npm", &format!("run --silent {script}"));
        steps.push(if script == "e2e" { step.env("NIGHTBELL_E2E_CHROMIUM", &machine::chromium()) } else { step });
    }
    let this = env::current_exe().context("this program does not know where it stands")?;
    steps.push(Step::new("web-hub", &repo.root, &this.to_string_lossy(), "pages"));
    Ok(steps)
}

/// The folders of `tools` before those of this process.
fn search_path(tools: Vec<PathBuf>) -> Result<OsString> {
    let own = env::var_os("PATH").unwrap_or_default();
    env::join_paths(tools.into_iter().chain(env::split_paths(&own))).context("a folder of the search path holds a `:`")
}
