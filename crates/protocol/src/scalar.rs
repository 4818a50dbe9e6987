//! Reading one value of a frame, whatever its type: a wrong type is no error of the decoder, so that the caller can say which
//! field is wrong, and go on reading behind it.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// What was found. What stood in lists and objects is read over and dropped.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar<'de> {
    Null,
    Bool(bool),
    Whole(i128),
    Real(f64),
    Text(Cow<'de, str>),
    Bytes,
    List,
    Object,
}

impl Scalar<'_> {
    /// What this is, for people.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Whole(_) | Self::Real(_) => "a number",
            Self::Text(_) => "text",
            Self::Bytes => "bytes",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }

    /// The number, NaN for null, or the name of what is there instead.
    #[expect(clippy::cast_precision_loss, reason = "whole numbers above 2^53 are out of every metric's range")]
    pub(crate) const fn number(&self) -> Result<f64, &'static str> {
        match self {
            Self::Null => Ok(f64::NAN),
            Self::Whole(whole) => Ok(*whole as f64),
            Self::Real(real) => Ok(*real),
            other => Err(other.kind()),
        }
    }
}

/// What to make of the next value, by what it turns out to be.
pub(crate) trait Reader<'de>: Sized {
    /// What is made of it.
    type Out;
    /// Neither a list nor an object came.
    fn scalar(self, found: Scalar<'de>) -> Self::Out;
    /// A list came; it must be read to its end.
    fn list<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Out, A::Error>;
    /// An object came; it must be read to its end.
    fn object<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Out, A::Error>;
}

/// A [`Reader`] in the clothes that serde wants.
pub(crate) struct Any<R>(pub(crate) R);

impl<'de, R: Reader<'de>> DeserializeSeed<'de> for Any<R> {
    type Value = R::Out;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R::Out, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R: Reader<'de>> Visitor<'de> for Any<R> {
    type Value = R::Out;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<R::Out, E> {
        Ok(self.0.scalar(Scalar::Bool(v)))
    }

    #[inline]
    fn visit_i64<E: Error>(self, v: i64) -> Result<R::Out, E> {
        Ok(self.0.scalar(Scalar::Whole(v.into())))
    }

    #[inline]
    fn visit_u64<E: Error>(self, v: u64) -> Result<R::Out, E> {
        Ok(self.0.scalar(Scalar::Whole(v.into())))
    }

    fn visit_i128<E: Error>(self, v: i128) -> Result<R::Out, E> {
        Ok(self.0.scalar(Scalar::Whole(v)))
    }

    fn visit_u128<E: Error>(self, v: u128) -> Result<R::Out, E> {
        Ok(self.0.scalar(Scalar::Whole(i128::try_from(v).unwrap_or(i128::MAX))))
    }

    #[inline]
    fn visit_f64<E: Error>(self, v: f64) -> Result<R::Out, E> {
        Ok(self.0.scalar(Scalar::Real(v)))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<R::Out, E> {
        Ok(self.0.scalar(Scalar::Text(Cow::Owned(v.to_owned()))))
    }

    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<R::Out, E> {
        Ok(self.0.scalar(Scalar::Text(Cow::Borrowed(v))))
    }

    fn visit_string<E: Error>(self, v: String) -> Result<R::Out, E> {
        Ok(self.0.scalar(Scalar::Text(Cow::Owned(v))))
    }

    fn visit_bytes<E: Error>(self, _bytes: &[u8]) -> Result<R::Out, E> {
        Ok(self.0.scalar(Scalar::Bytes))
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<R::Out, E> {
        Ok(self.0.scalar(Scalar::Null))
    }

    fn visit_unit<E: Error>(self) -> Result<R::Out, E> {
        Ok(self.0.scalar(Scalar::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<R::Out, A::Error> {
        self.0.list(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<R::Out, A::Error> {
        self.0.object(fields)
    }
}

/// How many lists and objects may still open within each other; the decoder recognises [`TOO_DEEP`] in the error's text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depth(pub(crate) u8);

/// The text of the error that a frame nested too deep gives.
pub(crate) const TOO_DEEP: &str = "nested too deep";

impl Depth {
    /// One list or object further in.
    pub(crate) fn inner<E: Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom(TOO_DEEP))
    }

    /// The next value of a list, dropped if it is not a scalar.
    pub(crate) fn item<'de, A: SeqAccess<'de>>(self, items: &mut A) -> Result<Option<Scalar<'de>>, A::Error> {
        items.next_element_seed(Any(ScalarReader(self)))
    }

    /// The value of the field whose key was read last.
    pub(crate) fn value<'de, A: MapAccess<'de>>(self, fields: &mut A) -> Result<Scalar<'de>, A::Error> {
        fields.next_value_seed(Any(ScalarReader(self)))
    }
}

/// Makes a [`Scalar`].
pub(crate) struct ScalarReader(pub(crate) Depth);

impl<'de> Reader<'de> for ScalarReader {
    type Out = Scalar<'de>;

    fn scalar(self, found: Scalar<'de>) -> Scalar<'de> {
        found
    }

    fn list<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar<'de>, A::Error> {
        let inner = self.0.inner()?;
        while inner.item(&mut items)?.is_some() {}
        Ok(Scalar::List)
    }

    fn object<A: MapAccess<'de>>(self, mut fields: A) -> Result<Scalar<'de>, A::Error> {
        let inner = self.0.inner()?;
        while fields.next_key::<IgnoredAny>()?.is_some() {
            inner.value(&mut fields)?;
        }
        Ok(Scalar::Object)
    }
}

/// Makes a number (NaN for null), or the name of what is there instead: the one that runs a hundred times a heartbeat.
pub(crate) struct NumberReader(pub(crate) Depth);

impl<'de> Reader<'de> for NumberReader {
    type Out = Result<f64, &'static str>;

    #[inline]
    fn scalar(self, found: Scalar<'de>) -> Self::Out {
        found.number()
    }

    fn list<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Out, A::Error> {
        ScalarReader(self.0).list(items).map(|list| Err(list.kind()))
    }

    fn object<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Out, A::Error> {
        ScalarReader(self.0).object(fields).map(|object| Err(object.kind()))
    }
}

/// Makes a free tree of values, for the rare messages. NaN and infinities become null, bytes too.
pub(crate) struct TreeReader(pub(crate) Depth);

impl<'de> Reader<'de> for TreeReader {
    type Out = Value;

    #[expect(clippy::cast_precision_loss, reason = "beyond 64 bits only the size matters")]
    fn scalar(self, found: Scalar<'de>) -> Value {
        match found {
            Scalar::Bool(v) => Value::Bool(v),
            Scalar::Whole(v) => match (u64::try_from(v), i64::try_from(v)) {
                (Ok(v), _) => Value::from(v),
                (_, Ok(v)) => Value::from(v),
                _ => Value::from(v as f64),
            },
            Scalar::Real(v) => Value::from(v),
            Scalar::Text(v) => Value::String(v.into_owned()),
            Scalar::Null | Scalar::Bytes | Scalar::List | Scalar::Object => Value::Null,
        }
    }

    fn list<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.0.inner()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(Any(TreeReader(inner)))? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn object<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let inner = self.0.inner()?;
        let mut object = serde_json::Map::new();
        while let Some(Key(key)) = fields.next_key()? {
            object.insert(key.into_owned(), fields.next_value_seed(Any(TreeReader(inner)))?);
        }
        Ok(Value::Object(object))
    }
}

/// A key of an object: text, borrowed where it can be.
#[derive(Debug)]
pub(crate) struct Key<'de>(pub(crate) Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key that is text")
            }
            fn visit_str<E: Error>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(v.to_owned())))
            }
            fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(v)))
            }
            fn visit_string<E: Error>(self, v: String) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(v)))
            }
        }
        deserializer.deserialize_str(Keys)
    }
}
