//! The API's domain routes on a hub inside the test's process: shapes, faults, and what follows from what.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "api_domain/agents.rs"]
mod agents;
#[path = "api_domain/backtest.rs"]
mod backtest;
#[path = "api_domain/channels.rs"]
mod channels;
#[path = "api_domain/explain.rs"]
mod explain;
#[path = "api_domain/fleet.rs"]
mod fleet;
#[path = "api_domain/forecasts.rs"]
mod forecasts;
#[path = "api_domain/history.rs"]
mod history;
#[path = "api_domain/incidents.rs"]
mod incidents;
#[path = "api_domain/latest.rs"]
mod latest;
#[path = "api_domain/preview.rs"]
mod preview;
#[path = "api_domain/rules.rs"]
mod rules;
#[path = "api_domain/silences.rs"]
mod silences;
#[path = "api_domain/validators.rs"]
mod validators;
#[path = "api_domain/world.rs"]
mod world;
