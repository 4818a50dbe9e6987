//! The rules of the house, held against the tree as it stands. A rule that matters is a test.

use anyhow::{Result, ensure};
use xtask::graph;
use xtask::repo::Repo;
use xtask::rules::{chapters, duplicates, files, manifests, purity, whiteboard, words};
use xtask::{generated, migrations};

#[track_caller]
fn holds(violations: &[String]) {
    assert!(violations.is_empty(), "the house has a rule against this:\n  {}\n", violations.join("\n  "));
}

#[test]
fn arrows_between_our_crates_are_those_of_the_whiteboard() -> Result<()> {
    holds(&whiteboard::arrows(&graph::packages(&Repo::here()?)?));
    Ok(())
}

#[test]
fn no_crate_reaches_what_it_must_never_know() -> Result<()> {
    let repo = Repo::here()?;
    for place in whiteboard::WHITEBOARD.iter().filter(|place| !place.never.is_empty()) {
        holds(&whiteboard::bans(place, &graph::reach(&repo, place.name)?));
    }
    Ok(())
}

#[test]
fn pure_code_reads_no_clock_and_does_no_io() -> Result<()> {
    holds(&purity::text(&Repo::here()?.files(&[".rs"])?));
    Ok(())
}

#[test]
fn pure_crates_ban_the_clock_in_clippy() -> Result<()> {
    let repo = Repo::here()?;
    let of_crates = purity::CRATES.map(|folder| (folder, repo.read(&format!("{folder}/clippy.toml")).ok()));
    holds(&purity::clippy(&repo.read("clippy.toml")?, &of_crates));
    Ok(())
}

#[test]
fn files_say_what_they_are_for_and_stay_short() -> Result<()> {
    let all = Repo::here()?.files(&[".rs"])?;
    ensure!(all.iter().any(|file| file.path == "crates/model/src/lib.rs"), "the crates were not found");
    holds(&files::check(&all));
    Ok(())
}

#[test]
fn every_crate_has_its_paragraph_in_the_architecture() -> Result<()> {
    let repo = Repo::here()?;
    let mut folders: Vec<String> = graph::packages(&repo)?.into_values().map(|package| package.folder).collect();
    folders.push("web".to_owned());
    holds(&chapters::check(&repo.read("ARCHITECTURE.md")?, &folders));
    Ok(())
}

#[test]
fn shipped_migrations_are_unchanged() -> Result<()> {
    let repo = Repo::here()?;
    let present = migrations::present(&repo)?;
    ensure!(!present.is_empty(), "there is no migration at all");
    holds(&migrations::check(&migrations::parse(&repo.read(migrations::LIST)?), &present));
    Ok(())
}

#[test]
fn there_is_one_tls_stack_and_every_duplicate_has_its_reason() -> Result<()> {
    let repo = Repo::here()?;
    holds(&duplicates::check(&graph::versions(&repo)?, &repo.read(duplicates::LIST)?));
    Ok(())
}

#[test]
fn nothing_is_left_unfinished() -> Result<()> {
    holds(&words::check(&Repo::here()?.files(&[".rs", ".ts", ".tsx", ".mjs"])?));
    Ok(())
}

#[test]
fn manifests_take_everything_from_the_workspace() -> Result<()> {
    let mut of_crates = Repo::here()?.files(&["Cargo.toml"])?;
    // One that is the root of a workspace of its own cannot inherit anything.
    of_crates.retain(|file| !file.text.lines().any(|line| line == "[workspace]"));
    ensure!(!of_crates.is_empty(), "the crates were not found");
    holds(&manifests::check(&of_crates));
    Ok(())
}

#[test]
fn generated_parts_of_pages_are_current() -> Result<()> {
    let repo = Repo::here()?;
    for part in generated::PARTS {
        let (page, fresh) = part.renewed(&repo)?;
        assert!(page == fresh, "{} is not current; run: cargo xtask docs", part.page);
    }
    Ok(())
}
