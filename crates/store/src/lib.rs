//! The storage seams, rollup maths, and the SQLite engine.
//!
//! Others see two traits and plain rows; all SQL lives in the engine's folder and none leaves it.

pub mod entities;
pub mod frame;
pub mod ranges;
pub mod resolution;
pub mod retention;
pub mod rollup;
pub mod seams;
pub mod varint;
pub mod vector;

pub use entities::*;
pub use seams::*;
