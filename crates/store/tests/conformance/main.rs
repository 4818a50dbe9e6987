//! One suite for both seams, run against every engine: the SQLite file and the model in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod alerting;
mod build;
mod configuration;
mod deliveries;
mod engine;
mod history;
mod random;
mod sealing;
mod tiers;

/// Runs each function of a module against every engine.
macro_rules! conformance {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(&mut crate::engine::Sqlite::new()); })*
        }
        mod memory {
            $(#[test] fn $name() { super::$name(&mut crate::engine::Memory::new()); })*
        }
    };
}
pub(crate) use conformance;
