//! The agent: measures one host and tells the hub.
//!
//! [`run()`] is all that a program needs; the hub calls it too, to watch its own host. Inside, readings (`collect`) become rows
//! on a `sheet`, wait in a `buffer` until the hub calls them durable, and travel by `wire`; `schedule`, `backoff` and `courier`
//! decide when, and know no clock. GPUs are left to later parts.

pub mod backoff;
pub mod buffer;
pub mod clock;
pub mod collect;
pub mod config;
pub mod courier;
mod endpoint;
mod error;
pub mod log;
mod offset;
mod once;
mod probe;
mod run;
pub mod schedule;
pub mod sheet;
mod signals;
mod state;
pub mod watch;
mod wire;

pub use collect::Roots;
pub use config::{AgentConfig, Encoding, Transport};
pub use error::AgentError;
pub use once::once;
pub use run::run;
pub use state::{enrolled_as, has_credential};
pub use watch::Watch;
