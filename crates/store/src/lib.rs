//! The storage seams, rollup maths, and the SQLite engine.
//!
//! Others see two traits and plain rows; all SQL lives in the engine's folder and none leaves it. What engines must agree on
//! (buckets, plans, cuts, gaps, refusals) is pure and stands beside them.

mod change;
mod checksum;
mod chunk;
pub mod entities;
mod export;
mod fleet;
#[doc(hidden)]
pub mod formats;
mod frame;
mod history;
mod mark;
pub mod memory;
mod outbox;
mod query;
mod ranges;
mod resolution;
mod retention;
mod rollup;
pub mod seams;
pub mod sqlite;
mod survey;
mod texts;
mod varint;
mod vector;

pub use entities::*;
pub use memory::MemoryStore;
pub use seams::*;
pub use sqlite::{OpenError, SqliteOptions, SqliteStore};
pub use survey::{FleetSurvey, Surveyed};
