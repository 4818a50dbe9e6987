//! What one heartbeat brings once the hub has understood it: the values of one moment, against a schema of series keys.
//!
//! A schema is shared by all batches of one connection, so that whoever looks up a series by name (evaluator, store)
//! can do it once per schema and then work by position. Decoding and admission are left to `nightbell-ingest`.

use crate::id::{AgentId, BootId};
use crate::series::SeriesKey;
use crate::time::Timestamp;
use std::sync::Arc;

/// The series of a batch, in the order of its values. Two schemas are the same when they hold the same keys in the same order.
#[derive(Debug, PartialEq, Eq)]
pub struct Schema {
    keys: Box<[SeriesKey]>,
}

impl Schema {
    /// A schema of these keys; a key that stands twice would make its second value unreachable, so the caller removes repeats.
    #[must_use]
    pub fn new(keys: Vec<SeriesKey>) -> Arc<Self> {
        Arc::new(Self { keys: keys.into_boxed_slice() })
    }

    /// The keys, in the order of a batch's values.
    #[must_use]
    pub fn keys(&self) -> &[SeriesKey] {
        &self.keys
    }

    /// The position of `key`, by linear search.
    #[must_use]
    pub fn position(&self, key: &SeriesKey) -> Option<usize> {
        self.keys.iter().position(|other| other == key)
    }
}

/// The samples of one heartbeat, in the hub's time.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Whose values these are.
    pub agent: AgentId,
    /// When they were measured.
    pub ts: Timestamp,
    /// When the hub received them; `last_seen` follows this, never `ts`.
    pub received: Timestamp,
    /// The agent process that sent them and the heartbeat's number in it, if the agent counts.
    pub boot_seq: Option<(BootId, u64)>,
    /// Which series the values belong to.
    pub schema: Arc<Schema>,
    /// One value for each key of the schema; NaN is a missing value.
    pub values: Box<[f64]>,
}

impl Batch {
    /// Every series that has a usable value here, with that value.
    pub fn samples(&self) -> impl Iterator<Item = (&SeriesKey, f64)> {
        self.schema.keys().iter().zip(self.values.iter().copied()).filter(|(_, value)| !value.is_nan())
    }

    /// The value of `key`, if it is there and not missing.
    #[must_use]
    pub fn value(&self, key: &SeriesKey) -> Option<f64> {
        let value = *self.values.get(self.schema.position(key)?)?;
        (!value.is_nan()).then_some(value)
    }
}
