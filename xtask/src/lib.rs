//! The house's own tools: the one test command, the rules of the house, the shipped binaries, the generated pages.
//!
//! `cargo xtask` is the shell (`main.rs`); what it does stands here so that `xtask/tests/` can hold every rule as a test.
//! A rule is a pure function from text to a list of violations, each with its file and its mend; only [`repo`] and
//! [`graph`] look at the disk and at cargo. Nothing of the product is used here, and nothing of this is shipped.

pub mod catalogue;
pub mod console;
pub mod dist;
pub mod generated;
pub mod graph;
pub mod machine;
pub mod migrations;
pub mod pages;
pub mod repo;
pub mod rules;
pub mod settings;
pub mod slow;
pub mod step;
pub mod suite;
