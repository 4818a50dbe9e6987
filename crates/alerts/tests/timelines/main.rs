//! Whole timelines: heartbeats, time, edits and people's words go in, and what comes out is checked.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod explain;
mod properties;
mod restart;
mod scenarios;
mod support;
mod traces;
