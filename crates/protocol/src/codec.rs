//! The two encodings behind one pair of functions, and their errors in one language.

use crate::error::{DecodeError, EncodeError};
use crate::scalar::{Any, Reader, TOO_DEEP};
use crate::{Encoding, Limits, tolerant};
use cbor4ii::core::dec::{Read, Reference};
use cbor4ii::serde::{DecodeError as CborError, Deserializer as CborDeserializer};
use serde::Serialize;
use serde::de::DeserializeSeed;
use std::convert::Infallible;

/// Reads the one value that `bytes` hold.
pub(crate) fn decode<'de, R: Reader<'de>>(
    encoding: Encoding,
    bytes: &'de [u8],
    limits: &Limits,
    reader: R,
) -> Result<R::Out, DecodeError> {
    if bytes.len() > limits.bytes {
        return Err(DecodeError::too_large(bytes.len(), limits.bytes));
    }
    match encoding {
        Encoding::Json => decode_json(bytes, reader).map_err(|error| json_error(&error, limits)),
        Encoding::Cbor => decode_cbor(bytes, limits, reader),
    }
}

/// What `read` makes of the bytes; where JSON is malformed because of NaN, Infinity or a number beyond f64, what it makes of
/// them with null in their place: they are missing values, and several languages write them.
pub(crate) fn mending<T>(
    encoding: Encoding,
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    match read(bytes) {
        Err(error) if encoding == Encoding::Json && error.code == "malformed" => match tolerant::without_non_finite(bytes) {
            Some(mended) => read(&mended),
            None => Err(error),
        },
        other => other,
    }
}

fn decode_json<'de, R: Reader<'de>>(bytes: &'de [u8], reader: R) -> Result<R::Out, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let out = Any(reader).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(out)
}

fn json_error(error: &serde_json::Error, limits: &Limits) -> DecodeError {
    let text = error.to_string();
    if text.contains(TOO_DEEP) || text.contains("recursion limit exceeded") {
        return too_deep(limits);
    }
    DecodeError::malformed(format!("not JSON: {text}"))
}

fn too_deep(limits: &Limits) -> DecodeError {
    DecodeError::new("too_deep", format!("nested deeper than {} lists and objects", limits.depth))
}

fn decode_cbor<'de, R: Reader<'de>>(bytes: &'de [u8], limits: &Limits, reader: R) -> Result<R::Out, DecodeError> {
    let mut deserializer = CborDeserializer::new(Slice::new(bytes, limits.depth));
    let out = Any(reader).deserialize(&mut deserializer).map_err(|error| cbor_error(error, limits))?;
    match deserializer.into_inner().rest.len() {
        0 => Ok(out),
        more => Err(DecodeError::malformed(format!("not CBOR: {more} bytes follow the message"))),
    }
}

fn cbor_error(error: CborError<Infallible>, limits: &Limits) -> DecodeError {
    use cbor4ii::core::error::DecodeError as Core;
    let why = match error {
        CborError::Custom(text) if text.contains(TOO_DEEP) => return too_deep(limits),
        CborError::Custom(text) => text.into_string(),
        CborError::Core(Core::DepthOverflow { .. }) => return too_deep(limits),
        CborError::Core(Core::Eof { .. } | Core::RequireLength { .. }) => "it ends too early".to_owned(),
        CborError::Core(Core::RequireUtf8 { .. }) => "a text is not UTF-8".to_owned(),
        CborError::Core(Core::Mismatch { found, .. }) => format!("unexpected byte 0x{found:02x}"),
        CborError::Core(Core::Unsupported { found, .. }) => format!("unsupported item 0x{found:02x}"),
        CborError::Core(_) => "a length or number is out of range".to_owned(),
    };
    DecodeError::malformed(format!("not CBOR: {why}"))
}

/// Bytes in memory with a bound on nesting. The decoder steps in twice for each list or object, once for it and once for what
/// it turns out to be, and once more for a scalar.
struct Slice<'de> {
    rest: &'de [u8],
    steps: usize,
}

impl<'de> Slice<'de> {
    fn new(rest: &'de [u8], depth: u8) -> Self {
        Self { rest, steps: usize::from(depth) * 2 + 2 }
    }
}

impl<'de> Read<'de> for Slice<'de> {
    type Error = Infallible;

    #[inline]
    fn fill<'short>(&'short mut self, want: usize) -> Result<Reference<'de, 'short>, Infallible> {
        Ok(Reference::Long(&self.rest[..want.min(self.rest.len())]))
    }

    #[inline]
    fn advance(&mut self, n: usize) {
        self.rest = &self.rest[n.min(self.rest.len())..];
    }

    #[inline]
    fn step_in(&mut self) -> bool {
        match self.steps.checked_sub(1) {
            Some(steps) => {
                self.steps = steps;
                true
            }
            None => false,
        }
    }

    #[inline]
    fn step_out(&mut self) {
        self.steps += 1;
    }
}

/// Writes one value.
pub(crate) fn encode<T: Serialize>(encoding: Encoding, value: &T) -> Result<Vec<u8>, EncodeError> {
    const TYPICAL: usize = 512;
    let mut bytes = Vec::with_capacity(TYPICAL);
    match encoding {
        Encoding::Json => match serde_json::to_writer(&mut bytes, value) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(EncodeError(error.to_string())),
        },
        Encoding::Cbor => cbor4ii::serde::to_vec(bytes, value).map_err(|error| EncodeError(format!("{error:?}"))),
    }
}
