//! The hub: wiring, pipeline, REST API, housekeeping. `main` hands over to [`commands`]; everything else is assembled in
//! [`wiring`].

pub mod acks;
mod ageing;
pub mod api;
pub mod app;
pub mod auth;
#[cfg(feature = "discord-bot")]
pub mod bot;
pub mod breach;
mod bygone;
pub mod clock;
#[cfg(feature = "parquet")]
mod columnar;
pub mod commands;
pub mod config;
pub mod control;
pub mod digest;
mod digits;
mod export;
pub mod files;
pub mod fleet;
pub mod fleet_history;
pub mod folding;
pub mod ids;
pub mod jobs;
pub mod links;
pub mod live;
pub mod lookback;
pub mod lookup;
pub mod measure;
mod memory;
pub mod operations;
pub mod outbox;
pub mod outlook;
pub mod page;
pub mod pipeline;
pub mod port;
pub mod process;
pub mod registry;
pub mod rhythm;
pub mod routing;
pub mod schedule;
pub mod sealing;
pub mod seldom;
pub mod server;
pub mod signing;
pub mod slow;
pub mod starter;
mod table;
pub mod transfer;
pub mod wiring;
