//! `cargo xtask <command>`: finds the repository, picks the command, and prints one clear line when it fails.

use std::process::ExitCode;

use anyhow::{Result, bail};
use xtask::{console, dist, generated, migrations, pages, repo::Repo, slow, suite};

const USAGE: &str = "usage: cargo xtask <command>

  test [STEP…]                   install what this machine lacks, then every check and test (or only the steps named)
  test --list                    the names of the steps
  pages                          the UI's end-to-end tests against the hub that `cargo build` made
  slow                           soaks and hundreds of kills: the tests behind NIGHTBELL_SLOW=1, optimised
  dist                           the shipped binaries, with their sizes
  docs                           write the generated parts of the pages in docs/
  migrations --bless [--force]   record the checksums of new migrations (--force: of changed ones too, before a release only)";

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::problem(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the command that `words` names.
fn run(words: &[String]) -> Result<()> {
    let repo = Repo::here()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test", "--list"] => suite::list(&repo),
        ["test", steps @ ..] => suite::run(&repo, steps),
        ["slow"] => slow::run(&repo),
        ["pages"] => pages::run(&repo),
        ["dist"] => dist::run(&repo),
        ["docs"] => generated::write(&repo),
        ["migrations", "--bless"] => migrations::bless(&repo, false),
        ["migrations", "--bless", "--force"] => migrations::bless(&repo, true),
        [] | ["help" | "--help" | "-h"] => {
            console::say(USAGE);
            Ok(())
        }
        other => bail!("unknown command `{}`\n\n{USAGE}", other.join(" ")),
    }
}
