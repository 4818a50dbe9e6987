//! An agent's bytes become heartbeats that can be stored, or exactly why not.
//!
//! Pure parts: [`Flattener`] (names and numbers become series by the catalogue), [`Admission`] (what was seen before, and which
//! moment is meant), [`TokenBucket`]. Shell: [`Endpoints`], the agents' WebSocket and HTTP endpoints, which hand what they
//! understood to a [`HubPort`] and pass its answers back. Storing and evaluating are left to the hub.

mod acks;
mod admission;
mod body;
mod flatten;
mod heard;
mod introduction;
mod mailbox;
mod plan;
mod port;
mod post;
mod problem;
mod rate;
mod router;
mod seed;
mod seen;
mod session;
mod socket;
#[cfg(test)]
mod tests;
mod understand;

pub use admission::{Admission, SeenRanges, Verdict};
pub use flatten::{Flat, Flattener, Reject};
pub use futures_util::future::BoxFuture;
pub use heard::{Heard, SampleClock};
pub use mailbox::{Answer, Closer, Done, Replied, ReplyTo, reply};
pub use port::{Description, Enrol, Enrolled, HubPort, Refusal, Submission};
pub use rate::TokenBucket;
pub use router::Endpoints;
