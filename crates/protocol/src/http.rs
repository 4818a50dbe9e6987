//! The bodies of the HTTP way: enrolment by `POST /nodes`, heartbeats and the seed's payload by `POST /metrics/system`.

use crate::codec;
use crate::error::DecodeError;
use crate::fields::Fields;
use crate::heartbeat::{Builder, Fault, Heartbeat};
use crate::messages::Facts;
use crate::scalar::{Any, Depth, Key, Reader, Scalar, ScalarReader, TreeReader};
use crate::{Encoding, Limits, when};
use serde::de::{MapAccess, SeqAccess};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The body of `POST /nodes`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct NodeRequest {
    /// The host's name.
    pub hostname: Option<String>,
    /// The host's address as it sees it.
    pub ip: Option<String>,
    /// What the host is for.
    pub role: Option<String>,
    /// The agent program's version.
    pub version: Option<String>,
    /// What the agent wants to be called; its hostname otherwise.
    pub name: Option<String>,
    /// How often it will send heartbeats, in milliseconds.
    pub interval_ms: Option<u64>,
    /// Tags it wants; they count at enrolment only.
    pub tags: Vec<String>,
    /// What its host is.
    pub facts: Option<Facts>,
}

/// The answer to `POST /nodes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAnswer {
    /// The agent's id.
    pub node_id: String,
    /// What it authenticates with from now on; absent when it already did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// The seed's own fields of a heartbeat; `nightbell-ingest` knows what they mean here.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SeedPayload {
    /// The agent it claims to come from.
    pub node_id: Option<String>,
    /// CPU, memory, disk, network and so on.
    pub system: Value,
    /// Watched processes by name.
    pub processes: Value,
    /// Watched ports, `port_25` and so on.
    pub services: Value,
}

/// One heartbeat of a body: in our form, in the seed's, or in both at once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry {
    /// What is in our form; look at its fault before using it.
    pub heartbeat: Heartbeat,
    /// What is in the seed's form.
    pub seed: Option<Box<SeedPayload>>,
}

/// The body of `POST /metrics/system`, as our agent writes it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct HeartbeatsRequest {
    /// The heartbeats, oldest first.
    pub heartbeats: Vec<Heartbeat>,
    /// When the body was sent by the sender's clock, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<i64>,
}

/// A heartbeat of a body that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Its place in the body, from 0.
    pub index: usize,
    /// Why.
    pub why: String,
}

/// The answer to `POST /metrics/system`, once everything accepted is durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HeartbeatsAnswer {
    /// Heartbeats that are durable now.
    pub accepted: u64,
    /// Heartbeats that already were.
    pub duplicates: u64,
    /// Heartbeats that are refused for good: they must not be sent again.
    pub rejected: Vec<Rejected>,
}

/// Reads the body of `POST /nodes`; unknown fields are ignored.
///
/// # Errors
/// If it is no JSON object or a field has the wrong type.
pub fn decode_node(bytes: &[u8], limits: &Limits) -> Result<NodeRequest, DecodeError> {
    let tree = codec::decode(Encoding::Json, bytes, limits, TreeReader(Depth(limits.depth)))?;
    let fields = Fields::of(&tree, "the body")?;
    Ok(NodeRequest {
        hostname: fields.text(&["hostname"])?,
        ip: fields.text(&["ip"])?,
        role: fields.text(&["role"])?,
        version: fields.text(&["version"])?,
        name: fields.text(&["name"])?,
        interval_ms: fields.whole(&["interval_ms"])?,
        tags: fields.texts(&["tags"])?,
        facts: fields.object(&["facts"])?.cloned().map(Facts),
    })
}

/// Writes the body of `POST /metrics/system`.
///
/// # Errors
/// Only for want of memory.
pub fn encode_heartbeats(request: &HeartbeatsRequest) -> Result<Vec<u8>, crate::EncodeError> {
    codec::encode(Encoding::Json, request)
}

/// Reads the body of `POST /metrics/system`: one heartbeat, an array of them, or `{"heartbeats": […], "sent_at"?}`.
///
/// # Errors
/// If the body is no JSON, too large, too deep or holds too many heartbeats. One that is readable but wrong carries its fault.
pub fn decode_entries(bytes: &[u8], limits: &Limits) -> Result<Vec<Entry>, DecodeError> {
    codec::mending(Encoding::Json, bytes, |bytes| {
        codec::decode(Encoding::Json, bytes, limits, BodyReader { limits, depth: Depth(limits.depth) })?
    })
}

type Entries = Result<Vec<Entry>, DecodeError>;

struct BodyReader<'l> {
    limits: &'l Limits,
    depth: Depth,
}

impl<'de> Reader<'de> for BodyReader<'_> {
    type Out = Entries;

    fn scalar(self, found: Scalar<'de>) -> Entries {
        Err(DecodeError::invalid(format!("the body must be a heartbeat or a list of heartbeats, not {}", found.kind())))
    }

    fn list<A: SeqAccess<'de>>(self, mut items: A) -> Result<Entries, A::Error> {
        let depth = self.depth.inner()?;
        let mut entries = Vec::new();
        while let Some(entry) = items.next_element_seed(Any(EntryReader { limits: self.limits, depth }))? {
            if entries.len() >= self.limits.heartbeats {
                while depth.item(&mut items)?.is_some() {}
                let message = format!("more than {} heartbeats in one body", self.limits.heartbeats);
                return Ok(Err(DecodeError::new("too_many", message)));
            }
            entries.push(entry);
        }
        Ok(Ok(entries))
    }

    fn object<A: MapAccess<'de>>(self, mut fields: A) -> Result<Entries, A::Error> {
        let depth = self.depth.inner()?;
        let (mut heartbeats, mut sent_at): (Option<Entries>, Option<i64>) = (None, None);
        let mut single = EntryBuilder::default();
        while let Some(Key(key)) = fields.next_key()? {
            match &*key {
                "heartbeats" => {
                    heartbeats = Some(fields.next_value_seed(Any(BodyReader { limits: self.limits, depth }))?);
                }
                "sent_at" | "sentAt" => sent_at = when::millis(&depth.value(&mut fields)?).unwrap_or(None),
                other => single.field(other, &mut fields, self.limits, depth)?,
            }
        }
        let mut entries = heartbeats.unwrap_or_else(|| Ok(vec![single.finish()]));
        if let Ok(entries) = &mut entries {
            for entry in entries {
                entry.heartbeat.sent_at = entry.heartbeat.sent_at.or(sent_at);
            }
        }
        Ok(entries)
    }
}

struct EntryReader<'l> {
    limits: &'l Limits,
    depth: Depth,
}

impl<'de> Reader<'de> for EntryReader<'_> {
    type Out = Entry;

    fn scalar(self, found: Scalar<'de>) -> Entry {
        let fault = Fault { field: "heartbeat".to_owned(), why: format!("must be an object, not {}", found.kind()) };
        Entry { heartbeat: Heartbeat { fault: Some(fault), ..Heartbeat::default() }, seed: None }
    }

    fn list<A: SeqAccess<'de>>(self, items: A) -> Result<Entry, A::Error> {
        ScalarReader(self.depth).list(items).map(|list| self.scalar(list))
    }

    fn object<A: MapAccess<'de>>(self, mut fields: A) -> Result<Entry, A::Error> {
        let depth = self.depth.inner()?;
        let mut builder = EntryBuilder::default();
        while let Some(Key(key)) = fields.next_key()? {
            builder.field(&key, &mut fields, self.limits, depth)?;
        }
        Ok(builder.finish())
    }
}

#[derive(Default)]
struct EntryBuilder {
    heartbeat: Builder,
    seed: Option<Box<SeedPayload>>,
}

impl EntryBuilder {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        fields: &mut A,
        limits: &Limits,
        depth: Depth,
    ) -> Result<(), A::Error> {
        if !matches!(key, "node_id" | "system" | "processes" | "services") {
            return self.heartbeat.field(key, fields, limits, depth);
        }
        let tree = fields.next_value_seed(Any(TreeReader(depth)))?;
        let seed = self.seed.get_or_insert_default();
        match key {
            "system" => seed.system = tree,
            "processes" => seed.processes = tree,
            "services" => seed.services = tree,
            _ => match tree {
                Value::String(id) => seed.node_id = Some(id),
                Value::Null => {}
                _ => self.heartbeat.blame(Some(("node_id".to_owned(), "must be text".to_owned()))),
            },
        }
        Ok(())
    }

    fn finish(self) -> Entry {
        Entry { heartbeat: self.heartbeat.finish(), seed: self.seed }
    }
}
