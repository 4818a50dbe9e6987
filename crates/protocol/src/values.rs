//! The values of one heartbeat: by name, or packed against a schema that was sent before.

use crate::number::Lenient;
use crate::scalar::{Any, Depth, Key, NumberReader, Reader, Scalar, ScalarReader};
use serde::de::{MapAccess, SeqAccess};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// What a heartbeat measured.
#[derive(Debug, Clone, Default)]
pub enum Values {
    /// Nothing: the agent is alive, and that is all it says.
    #[default]
    None,
    /// Values by series key (or by a short name of old agents), in the order they came.
    Named(NamedValues),
    /// Values by position in a schema.
    Packed {
        /// The `id` of the schema message they belong to.
        schema: u32,
        /// The numbers as they stand on the wire, still scaled by the schema's decimals; NaN is missing.
        v: Vec<f64>,
    },
}

impl PartialEq for Values {
    /// All missing values are the same.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Named(one), Self::Named(other)) => one == other,
            (Self::Packed { schema, v }, Self::Packed { schema: other, v: numbers }) => {
                schema == other && same_numbers(v, numbers)
            }
            _ => false,
        }
    }
}

/// Whether two lists hold the same numbers; all missing ones are the same.
fn same_numbers(one: &[f64], other: &[f64]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| Lenient(*one) == Lenient(*other))
}

impl Values {
    /// Values by name, in this order.
    pub fn named<N: AsRef<str>>(values: impl IntoIterator<Item = (N, Option<f64>)>) -> Self {
        Self::Named(values.into_iter().map(|(name, value)| (name, Lenient::from(value))).collect())
    }
}

/// Names and values in the order they came, all names in one text: a heartbeat costs three allocations, and whether the names
/// are those of the last heartbeat is one comparison of memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NamedValues {
    names: String,
    ends: Vec<u32>,
    values: Vec<Lenient>,
}

impl NamedValues {
    /// None yet, with room for those of a usual heartbeat.
    fn with_room() -> Self {
        Self { names: String::with_capacity(FIRST * NAME), ends: Vec::with_capacity(FIRST), values: Vec::with_capacity(FIRST) }
    }

    /// Gives back room that stayed empty: in a list, thousands of small heartbeats stand beside each other.
    fn fit(&mut self) {
        if self.len() < FIRST / 4 {
            self.names.shrink_to_fit();
            self.ends.shrink_to_fit();
            self.values.shrink_to_fit();
        }
    }

    /// Adds one value.
    pub fn push(&mut self, name: &str, value: Lenient) {
        self.names.push_str(name);
        self.ends.push(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.values.push(value);
    }

    /// Names and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.names().zip(self.values.iter().map(|value| value.0))
    }

    /// The names in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|index| {
            let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
            self.names.get(start as usize..self.ends[index] as usize).unwrap_or_default()
        })
    }

    /// The values in their order; NaN is missing.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f64> {
        self.values.iter().map(|value| value.0)
    }

    /// Whether `other` has the same names in the same order.
    #[must_use]
    pub fn same_names(&self, other: &Self) -> bool {
        self.ends == other.ends && self.names == other.names
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl<N: AsRef<str>> FromIterator<(N, Lenient)> for NamedValues {
    fn from_iter<I: IntoIterator<Item = (N, Lenient)>>(values: I) -> Self {
        let mut named = Self::default();
        for (name, value) in values {
            named.push(name.as_ref(), value);
        }
        named
    }
}

impl From<Vec<(String, Lenient)>> for NamedValues {
    fn from(values: Vec<(String, Lenient)>) -> Self {
        values.into_iter().collect()
    }
}

impl Serialize for NamedValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.names().zip(&self.values) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// How many values are set aside at once; a longer list grows while it is read, so a declared length costs nothing.
const FIRST: usize = 128;

/// How long a name is, with room to spare: those of hosts have 20 to 30 bytes with their label.
const NAME: usize = 32;

/// What went wrong inside a heartbeat: the field (a metric's name or `v[3]`) and why.
pub(crate) type Wrong = Option<(String, String)>;

/// Reads `{"name": number, …}` to its end whatever stands in it.
pub(crate) struct NamedReader {
    pub(crate) limit: usize,
    pub(crate) depth: Depth,
}

impl<'de> Reader<'de> for NamedReader {
    type Out = (Values, Wrong);

    fn scalar(self, found: Scalar<'de>) -> Self::Out {
        match found {
            Scalar::Null => (Values::None, None),
            other => (Values::None, Some(("metrics".to_owned(), format!("must be an object of numbers, not {}", other.kind())))),
        }
    }

    fn list<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Out, A::Error> {
        ScalarReader(self.depth).list(items).map(|list| self.scalar(list))
    }

    fn object<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Out, A::Error> {
        let depth = self.depth.inner()?;
        let mut named = NamedValues::with_room();
        let mut wrong = None;
        while let Some(Key(name)) = fields.next_key()? {
            match fields.next_value_seed(Any(NumberReader(depth)))? {
                Ok(_) if named.len() >= self.limit => {
                    wrong.get_or_insert_with(|| ("metrics".to_owned(), format!("holds more than {} values", self.limit)));
                }
                Ok(number) => named.push(&name, Lenient(number)),
                Err(kind) => {
                    wrong.get_or_insert_with(|| {
                        (name.chars().take(256).collect(), format!("must be a number or null, not {kind}"))
                    });
                }
            }
        }
        named.fit();
        Ok((Values::Named(named), wrong))
    }
}

/// Reads `[number, …]` to its end whatever stands in it.
pub(crate) struct PackedReader {
    pub(crate) limit: usize,
    pub(crate) depth: Depth,
}

impl<'de> Reader<'de> for PackedReader {
    type Out = (Option<Vec<f64>>, Wrong);

    fn scalar(self, found: Scalar<'de>) -> Self::Out {
        match found {
            Scalar::Null => (None, None),
            other => (None, Some(("v".to_owned(), format!("must be a list of numbers, not {}", other.kind())))),
        }
    }

    fn list<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Out, A::Error> {
        let depth = self.depth.inner()?;
        let mut values = Vec::with_capacity(items.size_hint().unwrap_or(FIRST).min(FIRST));
        let mut wrong = None;
        while let Some(value) = items.next_element_seed(Any(NumberReader(depth)))? {
            match value {
                Ok(_) if values.len() >= self.limit => {
                    wrong.get_or_insert_with(|| ("v".to_owned(), format!("holds more than {} values", self.limit)));
                }
                Ok(number) => values.push(number),
                Err(kind) => {
                    wrong
                        .get_or_insert_with(|| (format!("v[{}]", values.len()), format!("must be a number or null, not {kind}")));
                    values.push(f64::NAN);
                }
            }
        }
        Ok((Some(values), wrong))
    }

    fn object<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Out, A::Error> {
        ScalarReader(self.depth).object(fields).map(|object| self.scalar(object))
    }
}

/// The packed numbers as a list of [`Lenient`]s.
pub(crate) struct PackedList<'a>(pub(crate) &'a [f64]);

impl Serialize for PackedList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|value| Lenient(*value)))
    }
}
