//! What depends on what, as cargo says it: the arrows between our crates, and the packages each of them drags in.
//! What is allowed stands in the rules.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::repo::{Repo, cargo};

/// One of our crates.
#[derive(Debug, Clone, Default)]
pub struct Package {
    /// Its folder from the root: `crates/store`, `charts`.
    pub folder: String,
    /// What it is built of: the names of its normal and build dependencies.
    pub dependencies: BTreeSet<String>,
    /// What only its tests use.
    pub dev_dependencies: BTreeSet<String>,
}

/// Our crates by name, from `cargo metadata`.
///
/// # Errors
/// When cargo fails or answers in another shape.
pub fn packages(repo: &Repo) -> Result<BTreeMap<String, Package>> {
    let text = repo.output_of(&cargo(), &["metadata", "--format-version", "1", "--no-deps", "--locked"])?;
    parse(&text, &repo.root.to_string_lossy())
}

/// Reads cargo's answer; `root` is what all manifest paths begin with.
fn parse(metadata: &str, root: &str) -> Result<BTreeMap<String, Package>> {
    let metadata: Value = serde_json::from_str(metadata).context("cargo metadata is not JSON")?;
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().context("cargo metadata has no packages")? {
        let name = package["name"].as_str().context("a package without name")?;
        let manifest = package["manifest_path"].as_str().context("a package without manifest")?;
        let folder = manifest.trim_start_matches(root).trim_start_matches('/').trim_end_matches("/Cargo.toml");
        let mut entry = Package { folder: folder.to_owned(), ..Package::default() };
        for dependency in package["dependencies"].as_array().context("a package without dependencies")? {
            let name = dependency["name"].as_str().context("a dependency without name")?.to_owned();
            match dependency["kind"].as_str() {
                Some("dev") => entry.dev_dependencies.insert(name),
                _ => entry.dependencies.insert(name),
            };
        }
        found.insert(name.to_owned(), entry);
    }
    Ok(found)
}

/// Every package that is compiled into `package` on this platform, by name; proc macros and build scripts left out.
///
/// # Errors
/// When cargo fails.
pub fn reach(repo: &Repo, package: &str) -> Result<BTreeSet<String>> {
    let listed = tree(repo, &["-p", package])?;
    Ok(listed.lines().filter_map(name_and_version).map(|(name, _)| name).filter(|name| name != package).collect())
}

/// Every package compiled into any crate of ours, by name with its versions.
///
/// # Errors
/// When cargo fails.
pub fn versions(repo: &Repo) -> Result<BTreeMap<String, BTreeSet<String>>> {
    Ok(group(&tree(repo, &["--workspace"])?))
}

fn tree(repo: &Repo, whose: &[&str]) -> Result<String> {
    let mut args = vec!["tree", "--locked", "-e", "normal,no-proc-macro", "--prefix", "none"];
    args.extend(whose);
    repo.output_of(&cargo(), &args)
}

fn group(listed: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version) in listed.lines().filter_map(name_and_version) {
        found.entry(name).or_default().insert(version);
    }
    found
}

/// `serde v1.0.1 (*)` -> `("serde", "1.0.1")`.
fn name_and_version(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    let version = words.next()?.strip_prefix('v')?;
    Some((name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_gives_folder_and_kinds() {
        let text = r#"{"packages":[{"name":"a","manifest_path":"/r/crates/a/Cargo.toml","dependencies":[
            {"name":"b","kind":null},{"name":"c","kind":"dev"},{"name":"d","kind":"build"}]}]}"#;
        let found = parse(text, "/r").expect("parses");
        assert_eq!(found["a"].folder, "crates/a");
        assert_eq!(found["a"].dependencies.iter().collect::<Vec<_>>(), ["b", "d"]);
        assert_eq!(found["a"].dev_dependencies.iter().collect::<Vec<_>>(), ["c"]);
        assert!(parse("{}", "/r").is_err());
    }

    #[test]
    fn versions_of_one_name_are_gathered() {
        let found = group("base64 v0.22.1\nbase64 v0.23.0 (*)\n\nnightbell v0.1.0 (/r/crates/hub)\nbase64 v0.22.1 (*)\n");
        assert_eq!(found["base64"].iter().collect::<Vec<_>>(), ["0.22.1", "0.23.0"]);
        assert_eq!(found["nightbell"].len(), 1);
    }
}
