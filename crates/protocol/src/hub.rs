//! What the hub says to an agent.

use crate::codec;
use crate::envelope::{Data, Envelope, decode_envelope};
use crate::error::{DecodeError, EncodeError};
use crate::fields::Fields;
use crate::{Encoding, Limits, subject};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// What the hub may say.
#[derive(Debug, Clone, PartialEq)]
pub enum FromHub {
    /// The answer to `agent.register`: keep the credential, it is said once.
    Registered {
        /// The agent's id.
        agent_id: String,
        /// What it authenticates with from now on.
        credential: String,
        /// How often the hub wants heartbeats, in seconds, if it has a wish.
        interval_s: Option<f64>,
    },
    /// The answer to `agent.auth`.
    AuthOk {
        /// The agent's id.
        agent_id: String,
        /// How often the hub expects heartbeats, in seconds.
        interval_s: f64,
        /// The hub's time, in milliseconds since 1970.
        server_time: i64,
    },
    /// Heartbeats are durable, or were refused by name: all of `boot_id` up to `seq`, or the one that had neither.
    Ack {
        /// The hub's time, in milliseconds since 1970.
        timestamp: i64,
        /// Which start of the agent process.
        boot_id: Option<String>,
        /// Up to which number.
        seq: Option<u64>,
    },
    /// Too fast: send nothing for a while and keep what is not acknowledged.
    Slow {
        /// For how long, in milliseconds.
        retry_after_ms: u64,
    },
    /// Something was refused.
    Error {
        /// Stable, for programs.
        code: String,
        /// For people.
        message: String,
        /// The inbox that would have been answered.
        reply: Option<String>,
        /// Which start of the agent process the refused heartbeat belongs to.
        boot_id: Option<String>,
        /// The number of the refused heartbeat: it is done with, and must not be sent again.
        seq: Option<u64>,
    },
    /// Asks for `agent.top`.
    TopRequest,
    /// A subject this version does not know: from a newer hub, to be ignored.
    Unknown {
        /// The subject.
        subject: String,
    },
}

impl FromHub {
    /// The subject that the message has if it does not answer an inbox.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Registered { .. } => subject::REGISTER,
            Self::AuthOk { .. } => subject::AUTH,
            Self::Ack { .. } => subject::ACK,
            Self::Slow { .. } => subject::SLOW,
            Self::Error { .. } => subject::ERROR,
            Self::TopRequest => subject::TOP_REQUEST,
            Self::Unknown { subject } => subject,
        }
    }

    /// An error that belongs to no heartbeat.
    pub fn error(code: impl Into<String>, message: impl Into<String>, reply: Option<String>) -> Self {
        Self::Error { code: code.into(), message: message.into(), reply, boot_id: None, seq: None }
    }
}

/// The fields of all messages; each writes those it has.
#[derive(Debug, Default, Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_s: Option<crate::Lenient>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl Serialize for FromHub {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match self {
            Self::Registered { agent_id, credential, interval_s } => Written {
                agent_id: Some(agent_id),
                credential: Some(credential),
                interval_s: interval_s.map(Into::into),
                ..Written::default()
            },
            Self::AuthOk { agent_id, interval_s, server_time } => Written {
                ok: Some(true),
                agent_id: Some(agent_id),
                interval_s: Some((*interval_s).into()),
                server_time: Some(*server_time),
                ..Written::default()
            },
            Self::Ack { timestamp, boot_id, seq } => {
                Written { timestamp: Some(*timestamp), boot_id: boot_id.as_deref(), seq: *seq, ..Written::default() }
            }
            Self::Slow { retry_after_ms } => Written { retry_after_ms: Some(*retry_after_ms), ..Written::default() },
            Self::Error { code, message, reply, boot_id, seq } => Written {
                code: Some(code),
                message: Some(message),
                reply: reply.as_deref(),
                boot_id: boot_id.as_deref(),
                seq: *seq,
                ..Written::default()
            },
            Self::TopRequest | Self::Unknown { .. } => Written::default(),
        };
        written.serialize(serializer)
    }
}

impl From<FromHub> for Envelope<FromHub> {
    /// The message under its own subject.
    fn from(data: FromHub) -> Self {
        Self { subject: data.subject().to_owned(), reply: None, data, timestamp: None }
    }
}

impl FromHub {
    /// The message as the answer to `inbox`, or under its own subject when nobody named one.
    #[must_use]
    pub fn answering(self, inbox: Option<String>) -> Envelope<Self> {
        let subject = inbox.unwrap_or_else(|| self.subject().to_owned());
        Envelope { subject, reply: None, data: self, timestamp: None }
    }
}

/// Writes what the hub says.
///
/// # Errors
/// Only for want of memory.
pub fn encode_from_hub(encoding: Encoding, envelope: &Envelope<FromHub>) -> Result<Vec<u8>, EncodeError> {
    codec::encode(encoding, envelope)
}

/// Reads what the hub says. Unknown fields and subjects are no errors.
///
/// # Errors
/// What the frame lacks or breaks, by name.
pub fn decode_from_hub(encoding: Encoding, bytes: &[u8], limits: &Limits) -> Result<Envelope<FromHub>, DecodeError> {
    let Envelope { subject, reply, data, timestamp } = decode_envelope(encoding, bytes, limits)?;
    let tree = if let Data::Tree(tree) = data { tree } else { Value::Null };
    match interpret(&subject, &tree) {
        Ok(data) => Ok(Envelope { subject, reply, data, timestamp }),
        Err(error) => Err(DecodeError { subject: Some(subject), reply, ..error }),
    }
}

/// The message by its subject; what answers an inbox is told by its fields.
fn interpret(subject: &str, tree: &Value) -> Result<FromHub, DecodeError> {
    let empty = Value::Object(serde_json::Map::new());
    let fields = Fields::of(if tree.is_null() { &empty } else { tree }, "data")?;
    let unknown = || FromHub::Unknown { subject: subject.to_owned() };
    Ok(match subject {
        subject::ACK => FromHub::Ack {
            timestamp: time(fields, "timestamp")?,
            boot_id: fields.text(&["boot_id"])?,
            seq: fields.whole(&["seq"])?,
        },
        subject::SLOW => FromHub::Slow { retry_after_ms: fields.whole(&["retry_after_ms"])?.unwrap_or(1000) },
        subject::ERROR => FromHub::Error {
            code: fields.required_text(&["code"])?,
            message: fields.text(&["message"])?.unwrap_or_default(),
            reply: fields.text(&["reply"])?,
            boot_id: fields.text(&["boot_id"])?,
            seq: fields.whole(&["seq"])?,
        },
        subject::TOP_REQUEST => FromHub::TopRequest,
        _ if fields.get(&["credential"]).is_some() => FromHub::Registered {
            agent_id: fields.required_text(&["agent_id"])?,
            credential: fields.required_text(&["credential"])?,
            interval_s: fields.number(&["interval_s"])?,
        },
        _ if fields.flag(&["ok"])?.unwrap_or(false) => FromHub::AuthOk {
            agent_id: fields.required_text(&["agent_id"])?,
            interval_s: fields.number(&["interval_s"])?.unwrap_or(15.0),
            server_time: time(fields, "server_time")?,
        },
        _ => unknown(),
    })
}

fn time(fields: Fields<'_>, name: &str) -> Result<i64, DecodeError> {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of any real date are far below 2^53")]
    fields.number(&[name]).map(|ms| ms.unwrap_or(0.0) as i64)
}
