//! The agent: measures one host and tells the hub.
pub mod clock;
pub mod collect;
pub mod sheet;
