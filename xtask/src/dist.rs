//! `cargo xtask dist`: the two shipped programs, each in its own profile, with their sizes against the budget.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::console::say;
use crate::machine::target_folder;
use crate::repo::Repo;
use crate::step::Step;

/// A shipped program.
struct Shipped {
    name: &'static str,
    profile: &'static str,
    /// Whether it is linked statically: one file that runs on any host of its architecture, and smaller in memory.
    linked_statically: bool,
    /// The largest size it may have, where the budgets name one.
    budget_bytes: Option<u64>,
}

const SHIPPED: [Shipped; 2] = [
    Shipped { name: "nightbell", profile: "dist", linked_statically: false, budget_bytes: None },
    Shipped { name: "nightbell-agent", profile: "dist-agent", linked_statically: true, budget_bytes: Some(5 * 1024 * 1024) },
];

/// Builds both and prints their sizes.
///
/// # Errors
/// When a build fails or a program is over its budget.
pub fn run(repo: &Repo) -> Result<()> {
    let host = host_triple()?;
    for program in &SHIPPED {
        let line = format!("build --locked --profile {} --package {} --bin {}", program.profile, program.name, program.name);
        let step = if program.linked_statically {
            Step::cargo(program.name, &repo.root, &format!("{line} --target {host}"))
                .env("RUSTFLAGS", "-C target-feature=+crt-static")
        } else {
            Step::cargo(program.name, &repo.root, &line)
        };
        step.env("NIGHTBELL_UI", "require").run()?;
    }
    say("");
    for program in &SHIPPED {
        let folder = target_folder(repo).join(if program.linked_statically { host.as_str() } else { "" });
        let file = folder.join(program.profile).join(program.name);
        let size = fs::metadata(&file).with_context(|| format!("{} was not built", file.display()))?.len();
        say(&format!("{:<16} {:>10}  {}", program.name, mebibytes(size), file.display()));
        if program.budget_bytes.is_some_and(|budget| size > budget) {
            bail!("{} is over its budget of {}", program.name, mebibytes(program.budget_bytes.unwrap_or_default()));
        }
    }
    Ok(())
}

/// The triple this compiler builds for by itself.
fn host_triple() -> Result<String> {
    let output = std::process::Command::new("rustc").arg("-vV").output().context("rustc cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).context("rustc does not say its host")
}

/// `5452595` -> `5.1 MiB`: whole tenths, the rest cut off.
fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) / (1024 * 1024);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!(mebibytes(5 * 1024 * 1024), "5.0 MiB");
        assert_eq!(mebibytes(5_452_595), "5.1 MiB");
    }
}
