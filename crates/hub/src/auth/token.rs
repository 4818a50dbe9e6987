//! Secrets we hand out: `nb_<kind>_<random>_<crc>`. Only their SHA-256 is kept; 256 bits of chance need no slow hash.
//!
//! The prefix lets secret scanners find leaked ones; the checksum tells a typing error from a token we do not know.

use crate::ids;
use nightbell_store::TokenHash;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The API.
    Api,
    /// Enrolling agents.
    Enrolment,
    /// An agent's permanent credential.
    Agent,
    /// A browser's session.
    Session,
    /// Making the first admin.
    Setup,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Api, Self::Enrolment, Self::Agent, Self::Session, Self::Setup];

    /// The word in the token.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Enrolment => "enroll",
            Self::Agent => "agent",
            Self::Session => "session",
            Self::Setup => "setup",
        }
    }
}

/// A fresh token and the hash to keep.
///
/// # Errors
/// When the system has no randomness to give.
pub fn mint(kind: Kind) -> Result<(String, TokenHash), getrandom::Error> {
    let mut text = format!("nb_{}_", kind.word());
    for byte in ids::random::<32>()? {
        // Writing into a string cannot fail.
        let _written = write!(text, "{byte:02x}");
    }
    let checksum = crc32fast::hash(text.as_bytes());
    let _written = write!(text, "_{checksum:08x}");
    let hash = hash(&text);
    Ok((text, hash))
}

/// The hash by which a token is looked up.
#[must_use]
pub fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// The kind of a well-formed token; `None` for anything else, without looking anything up.
#[must_use]
pub fn kind_of(token: &str) -> Option<Kind> {
    let (body, checksum) = token.rsplit_once('_')?;
    let kind = Kind::ALL.into_iter().find(|kind| {
        body.strip_prefix("nb_").and_then(|rest| rest.split_once('_')).is_some_and(|(word, _)| word == kind.word())
    })?;
    let sound = u32::from_str_radix(checksum, 16).is_ok_and(|sum| sum == crc32fast::hash(body.as_bytes()));
    sound.then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_by_kind_and_checksum() {
        let (token, hashed) = mint(Kind::Enrolment).expect("randomness");
        assert_eq!(kind_of(&token), Some(Kind::Enrolment));
        assert_eq!(hash(&token), hashed);
        let (other, _) = mint(Kind::Enrolment).expect("randomness");
        assert_ne!(token, other);
        let mut mistyped = token.clone();
        mistyped.replace_range(20..21, if &token[20..21] == "0" { "1" } else { "0" });
        for wrong in [mistyped.as_str(), "", "nb_api_", "nb_xyz_00_00000000", &token[..token.len() - 1], "nb__"] {
            assert_eq!(kind_of(wrong), None, "{wrong}");
        }
    }
}
