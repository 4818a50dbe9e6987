//! The envelope `{subject, reply?, data, timestamp?}`, and what an agent may put into it.

use crate::codec;
use crate::error::{DecodeError, EncodeError};
use crate::heartbeat::{Heartbeat, HeartbeatReader, Heartbeats, HeartbeatsReader, TOO_MANY};
use crate::messages::{Auth, ContainerMetrics, Facts, FromTree, Register, SchemaMsg, Stopping, TopProcesses};
use crate::scalar::{Any, Depth, Key, Reader, Scalar, ScalarReader, TreeReader};
use crate::{Encoding, Limits, subject, when};
use serde::de::{MapAccess, SeqAccess};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A message with its address.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Envelope<T> {
    /// What the message is about, or the inbox it answers.
    pub subject: String,
    /// The inbox (`_INBOX.…`) that waits for an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// The message.
    pub data: T,
    /// When it was sent by the sender's clock, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
}

/// What an agent may say, decoded and checked for its shape; nothing is interpreted yet.
#[derive(Debug, Clone, PartialEq)]
pub enum FromAgent {
    /// `agent.register`
    Register(Register),
    /// `agent.auth`
    Auth(Auth),
    /// `agent.schema`
    Schema(SchemaMsg),
    /// `agent.heartbeat`; look at its [`Heartbeat::fault`] before using it.
    Heartbeat(Heartbeat),
    /// `agent.heartbeats`, oldest first; look at each one's [`Heartbeat::fault`].
    Heartbeats(Vec<Heartbeat>),
    /// `agent.facts`
    Facts(Facts),
    /// `agent.top`
    Top(TopProcesses),
    /// `agent.stopping`
    Stopping(Stopping),
    /// `container.metrics`
    Container(ContainerMetrics),
    /// A subject this version does not know: from a newer agent, to be ignored.
    Unknown {
        /// The subject.
        subject: String,
    },
}

impl FromAgent {
    /// The subject that the message is sent under.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Register(_) => subject::REGISTER,
            Self::Auth(_) => subject::AUTH,
            Self::Schema(_) => subject::SCHEMA,
            Self::Heartbeat(_) => subject::HEARTBEAT,
            Self::Heartbeats(_) => subject::HEARTBEATS,
            Self::Facts(_) => subject::FACTS,
            Self::Top(_) => subject::TOP,
            Self::Stopping(_) => subject::STOPPING,
            Self::Container(_) => subject::CONTAINER,
            Self::Unknown { subject } => subject,
        }
    }
}

impl Serialize for FromAgent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Register(message) => message.serialize(serializer),
            Self::Auth(message) => message.serialize(serializer),
            Self::Schema(message) => message.serialize(serializer),
            Self::Heartbeat(message) => message.serialize(serializer),
            Self::Heartbeats(message) => message.serialize(serializer),
            Self::Facts(message) => message.serialize(serializer),
            Self::Top(message) => message.serialize(serializer),
            Self::Stopping(message) => message.serialize(serializer),
            Self::Container(message) => message.serialize(serializer),
            Self::Unknown { .. } => serializer.serialize_none(),
        }
    }
}

impl From<FromAgent> for Envelope<FromAgent> {
    /// The message under its own subject, expecting no reply.
    fn from(data: FromAgent) -> Self {
        Self { subject: data.subject().to_owned(), reply: None, data, timestamp: None }
    }
}

impl<T> Envelope<T> {
    /// The same, with an inbox that waits for an answer.
    #[must_use]
    pub fn expecting(self, inbox: impl Into<String>) -> Self {
        Self { reply: Some(inbox.into()), ..self }
    }

    /// The same, with the sender's time.
    #[must_use]
    pub fn sent_at(self, ms: i64) -> Self {
        Self { timestamp: Some(ms), ..self }
    }
}

/// Writes what an agent says.
///
/// # Errors
/// Only for want of memory.
pub fn encode_from_agent(encoding: Encoding, envelope: &Envelope<FromAgent>) -> Result<Vec<u8>, EncodeError> {
    codec::encode(encoding, envelope)
}

/// Reads what an agent says. Unknown fields and subjects are no errors; a heartbeat that is readable but wrong carries its
/// fault and is no error of the frame either.
///
/// # Errors
/// What the frame lacks or breaks, by name, with the inbox to answer if that could be read.
pub fn decode_from_agent(encoding: Encoding, bytes: &[u8], limits: &Limits) -> Result<Envelope<FromAgent>, DecodeError> {
    let envelope = decode_envelope(encoding, bytes, limits)?;
    let Envelope { subject, reply, data, timestamp } = envelope;
    match interpret(&subject, data, limits) {
        Ok(data) => Ok(Envelope { subject, reply, data, timestamp }),
        Err(error) => Err(DecodeError { subject: Some(subject), reply, ..error }),
    }
}

/// The data of an envelope, as far as it can be read without knowing more than the subject.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack while one frame is read, and heartbeats are the common case"
)]
pub(crate) enum Data {
    /// It came before the subject, or not at all.
    Unread,
    Heartbeat(Heartbeat),
    Heartbeats(Heartbeats),
    Tree(Value),
}

/// The frame of any sender.
pub(crate) fn decode_envelope(encoding: Encoding, bytes: &[u8], limits: &Limits) -> Result<Envelope<Data>, DecodeError> {
    codec::mending(encoding, bytes, |bytes| {
        let first = codec::decode(encoding, bytes, limits, EnvelopeReader { limits, known: None })??;
        match first {
            // Objects have no order: a sender may write the data before the subject, and then it is read in a second pass.
            Envelope { data: Data::Unread, subject, .. } => {
                codec::decode(encoding, bytes, limits, EnvelopeReader { limits, known: Some(&subject) })?
            }
            read => Ok(read),
        }
    })
}

struct EnvelopeReader<'l> {
    limits: &'l Limits,
    known: Option<&'l str>,
}

impl<'de> Reader<'de> for EnvelopeReader<'_> {
    type Out = Result<Envelope<Data>, DecodeError>;

    fn scalar(self, found: Scalar<'de>) -> Self::Out {
        let message = format!("a message is an object with a subject, not {}", found.kind());
        Err(DecodeError::new("invalid_envelope", message))
    }

    fn list<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Out, A::Error> {
        ScalarReader(Depth(self.limits.depth)).list(items).map(|list| self.scalar(list))
    }

    fn object<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Out, A::Error> {
        let depth = Depth(self.limits.depth).inner()?;
        let (mut subject, mut reply, mut timestamp) = (self.known.map(str::to_owned), None, None);
        let mut data = if self.known.is_some() { Data::Tree(Value::Null) } else { Data::Unread };
        let mut came = false;
        while let Some(Key(key)) = fields.next_key()? {
            match &*key {
                "subject" => subject = Some(depth.value(&mut fields)?).and_then(text),
                "reply" => reply = Some(depth.value(&mut fields)?).and_then(text),
                "timestamp" => timestamp = when::millis(&depth.value(&mut fields)?).unwrap_or(None),
                "data" => {
                    came = true;
                    data = read_data(subject.as_deref(), &mut fields, self.limits, depth)?;
                }
                _ => drop(depth.value(&mut fields)?),
            }
        }
        let Some(subject) = subject.filter(|subject| !subject.is_empty()) else {
            let error = DecodeError::new("invalid_envelope", "the subject is missing, or is no text");
            return Ok(Err(DecodeError { reply, ..error }));
        };
        if !came {
            data = nothing(&subject);
        }
        Ok(Ok(Envelope { subject, reply, data, timestamp }))
    }
}

fn text(value: Scalar<'_>) -> Option<String> {
    match value {
        Scalar::Text(text) => Some(text.into_owned()),
        _ => None,
    }
}

/// The data of a message that has none.
fn nothing(subject: &str) -> Data {
    match subject {
        subject::HEARTBEAT => Data::Heartbeat(Heartbeat::default()),
        _ => Data::Tree(Value::Null),
    }
}

fn read_data<'de, A: MapAccess<'de>>(
    subject: Option<&str>,
    fields: &mut A,
    limits: &Limits,
    depth: Depth,
) -> Result<Data, A::Error> {
    Ok(match subject {
        None => {
            depth.value(fields)?;
            Data::Unread
        }
        Some(subject::HEARTBEAT) => Data::Heartbeat(fields.next_value_seed(Any(HeartbeatReader { limits, depth }))?),
        Some(subject::HEARTBEATS) => Data::Heartbeats(fields.next_value_seed(Any(HeartbeatsReader { limits, depth }))?),
        Some(_) => Data::Tree(fields.next_value_seed(Any(TreeReader(depth)))?),
    })
}

fn interpret(subject: &str, data: Data, limits: &Limits) -> Result<FromAgent, DecodeError> {
    let tree = match data {
        Data::Heartbeat(heartbeat) => return Ok(FromAgent::Heartbeat(heartbeat)),
        Data::Heartbeats(Ok(heartbeats)) => return Ok(FromAgent::Heartbeats(heartbeats)),
        Data::Heartbeats(Err(TOO_MANY)) => {
            return Err(DecodeError::new("too_many", format!("more than {} heartbeats in one message", limits.heartbeats)));
        }
        Data::Heartbeats(Err(why)) => return Err(DecodeError::invalid(why)),
        Data::Tree(tree) => tree,
        Data::Unread => Value::Null,
    };
    Ok(match subject {
        subject::REGISTER => FromAgent::Register(FromTree::from_tree(&tree, limits)?),
        subject::AUTH => FromAgent::Auth(FromTree::from_tree(&tree, limits)?),
        subject::SCHEMA => FromAgent::Schema(FromTree::from_tree(&tree, limits)?),
        subject::FACTS => FromAgent::Facts(FromTree::from_tree(&tree, limits)?),
        subject::TOP => FromAgent::Top(FromTree::from_tree(&tree, limits)?),
        subject::STOPPING => FromAgent::Stopping(FromTree::from_tree(&tree, limits)?),
        subject::CONTAINER => FromAgent::Container(FromTree::from_tree(&tree, limits)?),
        subject::HEARTBEATS => return Err(DecodeError::invalid("the data must be a list of heartbeats")),
        other => FromAgent::Unknown { subject: other.to_owned() },
    })
}
