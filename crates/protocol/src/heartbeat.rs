//! One heartbeat: whose, when, and what was measured. Read in one pass, straight into the vector of values.

use crate::scalar::{Any, Depth, Key, Reader, Scalar, ScalarReader};
use crate::values::{NamedReader, NamedValues, PackedList, PackedReader, Values, Wrong};
use crate::{Limits, when};
use serde::de::{MapAccess, SeqAccess};
use serde::{Serialize, Serializer};

/// What is wrong with a heartbeat that could be read: it is refused by its number, its neighbours are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field, or the metric's name.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

/// One moment of one agent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heartbeat {
    /// The agent it claims to come from (`agent_id` or `agentId`); the connection's credential decides.
    pub agent_id: Option<String>,
    /// Names the start of the agent process.
    pub boot_id: Option<String>,
    /// Its number within that process, from 1.
    pub seq: Option<u64>,
    /// Its age when it was sent, in milliseconds on a clock that runs through suspend.
    pub age_ms: Option<i64>,
    /// When it was measured by the sender's clock, in milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// When the message was sent by the same clock, in milliseconds since 1970.
    pub sent_at: Option<i64>,
    /// What was measured.
    pub values: Values,
    /// The agent collected nothing for a while before it: the machine or the agent was stopped.
    pub resumed: bool,
    /// What is wrong with it, if anything; never written.
    pub fault: Option<Fault>,
}

/// A heartbeat as it is written: short names, nothing that is not there.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    resumed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<&'a NamedValues>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<PackedList<'a>>,
}

impl Serialize for Heartbeat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (metrics, schema, v) = match &self.values {
            Values::None => (None, None, None),
            Values::Named(named) => (Some(named), None, None),
            Values::Packed { schema, v } => (None, Some(*schema), Some(PackedList(v))),
        };
        let written = Written {
            agent_id: self.agent_id.as_deref(),
            boot_id: self.boot_id.as_deref(),
            seq: self.seq,
            age_ms: self.age_ms,
            timestamp: self.timestamp,
            sent_at: self.sent_at,
            resumed: self.resumed,
            metrics,
            schema,
            v,
        };
        written.serialize(serializer)
    }
}

/// Takes the fields of one heartbeat one after the other.
#[derive(Default)]
pub(crate) struct Builder {
    heartbeat: Heartbeat,
    schema: Option<u32>,
    packed: Option<Vec<f64>>,
    wrong: Wrong,
}

impl Builder {
    /// Reads the value of `key`; fields it does not know are read over.
    pub(crate) fn field<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        fields: &mut A,
        limits: &Limits,
        depth: Depth,
    ) -> Result<(), A::Error> {
        match key {
            "metrics" => {
                let (values, wrong) = fields.next_value_seed(Any(NamedReader { limit: limits.values, depth }))?;
                self.heartbeat.values = values;
                self.blame(wrong);
            }
            "v" => {
                let (values, wrong) = fields.next_value_seed(Any(PackedReader { limit: limits.values, depth }))?;
                self.packed = values;
                self.blame(wrong);
            }
            other => {
                let value = depth.value(fields)?;
                self.plain(other, value);
            }
        }
        Ok(())
    }

    fn plain(&mut self, key: &str, value: Scalar<'_>) {
        let taken = match key {
            "agent_id" | "agentId" => text(value).map(|text| self.heartbeat.agent_id = text),
            "boot_id" | "bootId" => text(value).map(|text| self.heartbeat.boot_id = text),
            "seq" => whole(&value).map(|seq| self.heartbeat.seq = seq),
            "age_ms" | "ageMs" => age(&value).map(|age| self.heartbeat.age_ms = age),
            "timestamp" => when::millis(&value).map(|ms| self.heartbeat.timestamp = ms),
            "sent_at" | "sentAt" => when::millis(&value).map(|ms| self.heartbeat.sent_at = ms),
            "schema" => whole(&value).map(|id| self.schema = id.and_then(|id| u32::try_from(id).ok())),
            "resumed" => {
                self.heartbeat.resumed = value == Scalar::Bool(true);
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(why) = taken {
            self.blame(Some((key.to_owned(), why)));
        }
    }

    /// Keeps the first thing that is wrong.
    pub(crate) fn blame(&mut self, wrong: Wrong) {
        if self.wrong.is_none() {
            self.wrong = wrong;
        }
    }

    /// The heartbeat, when all its fields were read.
    pub(crate) fn finish(mut self) -> Heartbeat {
        match (self.packed.take(), self.schema) {
            (Some(v), Some(schema)) => self.heartbeat.values = Values::Packed { schema, v },
            (Some(_), None) => self.blame(Some(("schema".to_owned(), "must say which schema v belongs to".to_owned()))),
            (None, _) => {}
        }
        self.heartbeat.fault = self.wrong.take().map(|(field, why)| Fault { field, why });
        self.heartbeat
    }
}

fn text(value: Scalar<'_>) -> Result<Option<String>, String> {
    match value {
        Scalar::Null => Ok(None),
        Scalar::Text(text) => Ok(Some(text.into_owned())),
        other => Err(format!("must be text, not {}", other.kind())),
    }
}

fn whole(value: &Scalar<'_>) -> Result<Option<u64>, String> {
    match value {
        Scalar::Null => Ok(None),
        Scalar::Whole(whole) => {
            u64::try_from(*whole).map(Some).map_err(|_range| "must be a whole number from 0 to 2^64 - 1".to_owned())
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, not negative and below 2^53")]
        Scalar::Real(real) if real.fract() == 0.0 && (0.0..9e15).contains(real) => Ok(Some(*real as u64)),
        Scalar::Real(_) => Err("must be a whole number from 0 to 2^64 - 1".to_owned()),
        other => Err(format!("must be a whole number, not {}", other.kind())),
    }
}

fn age(value: &Scalar<'_>) -> Result<Option<i64>, String> {
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates; admission bounds ages")]
    match value.number() {
        Ok(age) if age.is_nan() => Ok(None),
        Ok(age) => Ok(Some(age.round() as i64)),
        Err(kind) => Err(format!("must be milliseconds, not {kind}")),
    }
}

/// Reads one heartbeat to its end whatever stands in it.
pub(crate) struct HeartbeatReader<'l> {
    pub(crate) limits: &'l Limits,
    pub(crate) depth: Depth,
}

impl<'de> Reader<'de> for HeartbeatReader<'_> {
    type Out = Heartbeat;

    fn scalar(self, found: Scalar<'de>) -> Heartbeat {
        let fault = Fault { field: "data".to_owned(), why: format!("must be an object, not {}", found.kind()) };
        Heartbeat { fault: (found != Scalar::Null).then_some(fault), ..Heartbeat::default() }
    }

    fn list<A: SeqAccess<'de>>(self, items: A) -> Result<Heartbeat, A::Error> {
        ScalarReader(self.depth).list(items).map(|list| self.scalar(list))
    }

    fn object<A: MapAccess<'de>>(self, mut fields: A) -> Result<Heartbeat, A::Error> {
        let depth = self.depth.inner()?;
        let mut builder = Builder::default();
        while let Some(Key(key)) = fields.next_key()? {
            builder.field(&key, &mut fields, self.limits, depth)?;
        }
        Ok(builder.finish())
    }
}

/// Reads a list of heartbeats, or `{"heartbeats": […], "sent_at"}`; too many are an error of the whole message.
pub(crate) struct HeartbeatsReader<'l> {
    pub(crate) limits: &'l Limits,
    pub(crate) depth: Depth,
}

/// Heartbeats, and whether they could be taken.
pub(crate) type Heartbeats = Result<Vec<Heartbeat>, &'static str>;

/// Why a list of heartbeats is refused whole.
pub(crate) const NO_LIST: &str = "the data must be a list of heartbeats";
/// The same, for one that is too long.
pub(crate) const TOO_MANY: &str = "too many heartbeats in one message";

impl<'de> Reader<'de> for HeartbeatsReader<'_> {
    type Out = Heartbeats;

    fn scalar(self, _found: Scalar<'de>) -> Heartbeats {
        Err(NO_LIST)
    }

    fn list<A: SeqAccess<'de>>(self, mut items: A) -> Result<Heartbeats, A::Error> {
        let depth = self.depth.inner()?;
        let mut heartbeats = Vec::new();
        while let Some(heartbeat) = items.next_element_seed(Any(HeartbeatReader { limits: self.limits, depth }))? {
            if heartbeats.len() >= self.limits.heartbeats {
                while depth.item(&mut items)?.is_some() {}
                return Ok(Err(TOO_MANY));
            }
            heartbeats.push(heartbeat);
        }
        Ok(Ok(heartbeats))
    }

    fn object<A: MapAccess<'de>>(self, mut fields: A) -> Result<Heartbeats, A::Error> {
        let depth = self.depth.inner()?;
        let (mut heartbeats, mut sent_at) = (Err(NO_LIST), None);
        while let Some(Key(key)) = fields.next_key()? {
            match &*key {
                "heartbeats" => heartbeats = fields.next_value_seed(Any(HeartbeatsReader { limits: self.limits, depth }))?,
                "sent_at" => sent_at = when::millis(&depth.value(&mut fields)?).ok().flatten(),
                _ => drop(depth.value(&mut fields)?),
            }
        }
        if let Ok(list) = &mut heartbeats {
            for heartbeat in list {
                heartbeat.sent_at = heartbeat.sent_at.or(sent_at);
            }
        }
        Ok(heartbeats)
    }
}
