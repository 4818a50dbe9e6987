//! The nouns of Nightbell: time, ids, the metric catalogue, series keys, samples and history.
//!
//! Every other crate speaks in these words. Nothing here reads a clock, does IO or knows a wire format:
//! what an agent says stands in `nightbell-protocol`, what the API answers in the hub.

pub mod catalogue;
pub mod history;
pub mod id;
pub mod level;
pub mod sample;
pub mod series;
pub mod time;

pub use history::{Column, Frame, Tier};
pub use id::{AgentId, BootId, ChannelId, IncidentId, RuleId, Ulid};
pub use level::{Level, Levels, Worse};
pub use sample::{Batch, Schema};
pub use series::{SeriesKey, SeriesKeyError};
pub use time::Timestamp;
