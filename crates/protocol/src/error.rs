//! Why a frame or body was not understood. The codes are stable: agents in other languages branch on them.

/// A frame that was refused whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// `malformed` (no JSON or CBOR), `too_large`, `too_deep`, `too_many`, `invalid_envelope` or `invalid_message`.
    pub code: &'static str,
    /// What is wrong, for people; names the field.
    pub message: String,
    /// Which field is wrong, as a JSON pointer (RFC 6901) from the object that was read; empty where it is the whole.
    pub pointer: String,
    /// The subject of the frame, if it was read.
    pub subject: Option<String>,
    /// The inbox that waits for an answer, if it was read.
    pub reply: Option<String>,
}

impl DecodeError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), pointer: String::new(), subject: None, reply: None }
    }

    /// The bytes are not the encoding they claim to be.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new("malformed", message)
    }

    /// The data of a message does not have the shape its subject asks for.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid_message", message)
    }

    /// The same, with the field that does not; none of our fields' names needs an escape in a pointer.
    pub(crate) fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), ..self }
    }

    /// Over a bound on sizes.
    pub(crate) fn too_large(bytes: usize, limit: usize) -> Self {
        Self::new("too_large", format!("{bytes} bytes are more than the {limit} that are accepted"))
    }
}

/// A message that could not be written; with the types of this crate only for want of memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot encode the message: {0}")]
pub struct EncodeError(pub(crate) String);
