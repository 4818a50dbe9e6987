//! The whiteboard: which crate may know which, of ours and of others'. Arrows point down only.
//!
//! A wider face is a reviewed change; a new arrow needs a record in `docs/adr/` and an edit of the table below.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Package;

/// One row of the table.
#[derive(Debug)]
pub struct Place {
    /// The crate.
    pub name: &'static str,
    /// How high it stands: tests may borrow from crates of at most this height.
    pub height: u8,
    /// Those of ours that it is built on.
    pub ours: &'static [&'static str],
    /// Whether it must be built on all of `ours` (else it may).
    pub all_of_them: bool,
    /// Those of others' that it may name, where that list is closed.
    pub others: Option<&'static [&'static str]>,
    /// Packages it must not reach, not even through others.
    pub never: &'static [&'static str],
    /// Packages it must not name itself, though something below it may use them.
    pub never_named: &'static [&'static str],
}

/// The table of ARCHITECTURE.md.
pub const WHITEBOARD: [Place; 11] = [
    Place { others: Some(&[]), ..Place::at("nightbell-model", 0, &[]) },
    Place {
        others: Some(&["serde", "serde_json", "serde_bytes", "cbor4ii", "thiserror"]),
        never: &["tokio", "axum", "hyper", "reqwest", "tungstenite", "rusqlite"],
        ..Place::at("nightbell-protocol", 0, &[])
    },
    Place { never: &["tokio", "axum", "rusqlite"], ..Place::at("nightbell-ui", 0, &[]) },
    Place {
        others: Some(&["thiserror", "regex"]),
        never: &["tokio", "serde", "rusqlite", "axum", "hyper", "reqwest", "lettre", "serenity", "cron", "chrono"],
        ..Place::at("nightbell-alerts", 1, &["nightbell-model"])
    },
    Place {
        never: &["tokio", "axum", "hyper", "rusqlite", "reqwest", "font-kit"],
        ..Place::at("nightbell-charts", 1, &["nightbell-model"])
    },
    Place {
        never: &["rusqlite", "lettre", "reqwest", "serenity", "plotters"],
        ..Place::at("nightbell-ingest", 1, &["nightbell-model", "nightbell-protocol"])
    },
    Place {
        never: &["axum", "hyper", "reqwest", "lettre", "serenity", "plotters", "tokio"],
        never_named: &["serde_json"],
        ..Place::at("nightbell-store", 2, &["nightbell-alerts", "nightbell-model"])
    },
    Place {
        never: &["axum", "rusqlite", "plotters"],
        ..Place::at("nightbell-notify", 2, &["nightbell-alerts", "nightbell-model"])
    },
    Place {
        never: &["axum", "rusqlite", "plotters", "lettre", "reqwest", "serenity"],
        ..Place::at("nightbell-agent", 2, &["nightbell-model", "nightbell-protocol"])
    },
    Place {
        all_of_them: false,
        never_named: &["rusqlite", "rusqlite_migration", "plotters", "tiny-skia", "lettre", "serenity"],
        ..Place::at(
            "nightbell",
            3,
            &[
                "nightbell-agent",
                "nightbell-alerts",
                "nightbell-charts",
                "nightbell-ingest",
                "nightbell-model",
                "nightbell-notify",
                "nightbell-protocol",
                "nightbell-store",
                "nightbell-ui",
            ],
        )
    },
    Place { others: Some(&["anyhow", "serde_json", "sha2"]), ..Place::at("xtask", 0, &[]) },
];

impl Place {
    const fn at(name: &'static str, height: u8, ours: &'static [&'static str]) -> Self {
        Self { name, height, ours, all_of_them: true, others: None, never: &[], never_named: &[] }
    }
}

/// Holds what the manifests say against the table.
#[must_use]
pub fn arrows(packages: &BTreeMap<String, Package>) -> Vec<String> {
    let mut wrong = Vec::new();
    for place in &WHITEBOARD {
        match packages.get(place.name) {
            Some(package) => wrong.extend(arrows_of(place, package)),
            None => wrong.push(format!("{}: on the whiteboard, but there is no such crate", place.name)),
        }
    }
    for name in packages.keys().filter(|name| place_of(name).is_none()) {
        wrong.push(format!("{name}: not on the whiteboard; a new crate needs its row and its record in docs/adr/"));
    }
    wrong
}

fn arrows_of(place: &Place, package: &Package) -> Vec<String> {
    let at = format!("{}/Cargo.toml", package.folder);
    let (ours, others): (Vec<&str>, Vec<&str>) =
        package.dependencies.iter().map(String::as_str).partition(|name| place_of(name).is_some());
    let mut wrong: Vec<String> =
        ours.iter().filter(|name| !place.ours.contains(name)).map(|name| format!("{at}: must not know {name}")).collect();
    if place.all_of_them {
        let missing = place.ours.iter().filter(|name| !ours.contains(name));
        wrong.extend(missing.map(|name| format!("{at}: the whiteboard has an arrow to {name} that nothing uses; take it off")));
    }
    if let Some(allowed) = place.others {
        let foreign = others.iter().filter(|name| !allowed.contains(name));
        wrong.extend(foreign.map(|name| format!("{at}: must not use {name}; it may use {}", list(allowed))));
    }
    let named = others.iter().filter(|name| place.never_named.contains(name));
    wrong.extend(named.map(|name| format!("{at}: must not name {name}; that belongs to a crate below")));
    let borrowed = package.dev_dependencies.iter().filter_map(|name| place_of(name));
    let upward = borrowed.filter(|other| other.height > place.height);
    wrong.extend(upward.map(|other| format!("{at}: its tests must not reach up to {}", other.name)));
    wrong
}

/// Holds what is compiled into a crate against what it must never know.
#[must_use]
pub fn bans(place: &Place, reached: &BTreeSet<String>) -> Vec<String> {
    let met = place.never.iter().filter(|name| reached.contains(**name));
    met.map(|name| format!("{}: reaches {name}; see `cargo tree -p {} -i {name}`", place.name, place.name)).collect()
}

/// The row of a crate, by name.
#[must_use]
pub fn place_of(name: &str) -> Option<&'static Place> {
    WHITEBOARD.iter().find(|place| place.name == name)
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "nothing of others".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(dependencies: &[&str], dev_dependencies: &[&str]) -> Package {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Package { folder: "f".to_owned(), dependencies: set(dependencies), dev_dependencies: set(dev_dependencies) }
    }

    fn of(name: &str, package: &Package) -> Vec<String> {
        arrows_of(place_of(name).expect("a row"), package)
    }

    #[test]
    fn an_arrow_upward_is_found() {
        let store = package(&["nightbell-alerts", "nightbell-model", "nightbell-notify", "serde_json"], &[]);
        assert_eq!(
            of("nightbell-store", &store),
            [
                "f/Cargo.toml: must not know nightbell-notify",
                "f/Cargo.toml: must not name serde_json; that belongs to a crate below"
            ]
        );
    }

    #[test]
    fn a_stale_arrow_a_foreigner_and_a_tall_test_are_found() {
        let alerts = package(&["serde"], &["nightbell-store", "proptest", "nightbell-model"]);
        assert_eq!(
            of("nightbell-alerts", &alerts),
            [
                "f/Cargo.toml: the whiteboard has an arrow to nightbell-model that nothing uses; take it off",
                "f/Cargo.toml: must not use serde; it may use thiserror, regex",
                "f/Cargo.toml: its tests must not reach up to nightbell-store"
            ]
        );
        assert!(of("nightbell", &package(&["nightbell-model", "axum"], &[])).is_empty());
    }

    #[test]
    fn unknown_and_missing_crates_are_found() {
        let packages = BTreeMap::from([("nightbell-new".to_owned(), package(&[], &[]))]);
        let wrong = arrows(&packages);
        assert_eq!(wrong.len(), WHITEBOARD.len() + 1);
        assert!(wrong.iter().any(|line| line.starts_with("nightbell-new: not on the whiteboard")));
    }

    #[test]
    fn a_ban_holds_through_others() {
        let place = place_of("nightbell-notify").expect("a row");
        let reached = BTreeSet::from(["hyper".to_owned(), "axum".to_owned()]);
        assert_eq!(bans(place, &reached), ["nightbell-notify: reaches axum; see `cargo tree -p nightbell-notify -i axum`"]);
    }

    #[test]
    fn arrows_of_the_table_point_down() {
        for place in &WHITEBOARD {
            for name in place.ours {
                assert!(place_of(name).is_some_and(|other| other.height < place.height), "{} -> {name}", place.name);
            }
        }
    }
}
