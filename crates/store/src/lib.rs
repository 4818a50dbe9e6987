//! The storage seams, rollup maths, and the SQLite engine.
//!
//! Others see two traits and plain rows; all SQL lives in the engine's folder and none leaves it.

pub mod entities;
pub mod seams;
