//! The rules of the house: pure functions from the tree's text to violations.
//!
//! A violation is one line: the place, what is wrong there, and what mends it. `xtask/tests/house_rules.rs` runs every
//! rule over the real tree; the rules' own tests show that each of them can fail.

pub mod chapters;
pub mod duplicates;
pub mod files;
pub mod manifests;
pub mod purity;
pub mod whiteboard;
pub mod words;
