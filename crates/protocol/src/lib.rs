//! What agent and hub say to each other: envelopes with a subject, in JSON or CBOR over a WebSocket, and the bodies of the
//! HTTP way.
//!
//! Decoding checks shapes and bounds, and nothing more: what a name means, whether a value is possible and which moment is
//! meant is decided by `nightbell-ingest`. A heartbeat that is readable but wrong is still decoded, with its
//! [`Fault`], so that it can be refused by its number while its neighbours are kept. No sockets, no clock, no storage.

mod codec;
mod envelope;
mod error;
mod fields;
mod heartbeat;
pub mod http;
mod hub;
mod messages;
mod number;
mod scalar;
pub mod subject;
mod tolerant;
mod values;
mod when;

pub use envelope::{Envelope, FromAgent, decode_from_agent, encode_from_agent};
pub use error::{DecodeError, EncodeError};
pub use heartbeat::{Fault, Heartbeat};
pub use hub::{FromHub, decode_from_hub, encode_from_hub};
pub use messages::{
    Auth, Container, ContainerMetrics, Facts, PLAIN_DECIMALS, Register, SchemaMsg, Stopping, TopProcess, TopProcesses,
};
pub use number::{Lenient, scaled, unscaled};
pub use values::{NamedValues, Values};
pub use when::parse_rfc3339;

/// The WebSocket subprotocol whose frames are CBOR (RFC 8949), sent as binary messages.
pub const SUBPROTOCOL_CBOR: &str = "nightbell.v1.cbor";
/// The WebSocket subprotocol whose frames are JSON, sent as text messages.
pub const SUBPROTOCOL_JSON: &str = "nightbell.v1.json";

/// How the frames of one connection are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Binary, for our own agents.
    Cbor,
    /// Text, for agents in any language.
    Json,
}

impl Encoding {
    /// The name of the WebSocket subprotocol that stands for this encoding.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Cbor => SUBPROTOCOL_CBOR,
            Self::Json => SUBPROTOCOL_JSON,
        }
    }

    /// The encoding that a WebSocket subprotocol stands for.
    #[must_use]
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        [Self::Cbor, Self::Json].into_iter().find(|encoding| encoding.subprotocol() == name)
    }
}

/// How much one frame or body may hold. What passes a bound is refused by name, before memory is set aside for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, decoded.
    pub bytes: usize,
    /// Objects and lists within each other.
    pub depth: u8,
    /// Values in one heartbeat, and names in one schema: ten times what a large host sends.
    pub values: usize,
    /// Heartbeats in one message: 24 hours at 15 s are 5,760.
    pub heartbeats: usize,
}

impl Limits {
    /// For one WebSocket message.
    pub const FRAME: Self = Self { bytes: 1 << 20, depth: 16, values: 4096, heartbeats: 6000 };
    /// For one HTTP body after gzip is undone.
    pub const BODY: Self = Self { bytes: 4 << 20, ..Self::FRAME };
}

impl Default for Limits {
    fn default() -> Self {
        Self::FRAME
    }
}
