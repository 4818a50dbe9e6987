//! Identities: ULIDs (time-ordered, 26 letters) typed by what they name.
//!
//! Making a new id needs a clock and randomness, so the shells do that and hand both in here.

use crate::time::Timestamp;
use std::fmt;
use std::str::FromStr;

/// Crockford's base 32, without I, L, O and U (<https://www.crockford.com/base32.html>).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A 128-bit identifier after the ULID specification (<https://github.com/ulid/spec>): 48 bits of milliseconds, 80 bits of chance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ulid(u128);

/// A text that is not a ULID: 26 letters of Crockford's base 32, the first at most `7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UlidError;

impl fmt::Display for UlidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id: an id is 26 letters and digits such as 01JD8Y3W5M2K7Q9R4T6V8X0ZAB")
    }
}

impl std::error::Error for UlidError {}

impl Ulid {
    /// The id with exactly these bits.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The bits of this id, for storage and hashing.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// A fresh id for something that came to be `at`, told apart by the low 80 bits of `chance`.
    #[must_use]
    #[expect(clippy::cast_sign_loss, reason = "negative times are cut to 0 first")]
    pub const fn new(at: Timestamp, chance: u128) -> Self {
        let ms = if at.as_millis() < 0 { 0 } else { at.as_millis() as u128 };
        Self(((ms & ((1 << 48) - 1)) << 80) | (chance & ((1 << 80) - 1)))
    }

    /// The same id for the same `at` and `parts`, whoever computes it and whenever: for what is derived from stored facts
    /// and must not change when it is derived again (FNV-1a, 128 bit, over the parts with separators).
    #[must_use]
    pub fn derived(at: Timestamp, parts: &[&[u8]]) -> Self {
        const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        let mut hash = OFFSET;
        for part in parts {
            for byte in part.iter().chain(std::iter::once(&0xff)) {
                hash = (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
            }
        }
        Self::new(at, hash ^ (hash >> 80))
    }

    /// The moment written in the id's upper 48 bits.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        Timestamp::from_millis((self.0 >> 80) as i64)
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; 26];
        let mut rest = self.0;
        for slot in text.iter_mut().rev() {
            *slot = ALPHABET[usize::try_from(rest & 31).unwrap_or(0)];
            rest >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_utf8| fmt::Error)?)
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Ulid {
    type Err = UlidError;

    fn from_str(text: &str) -> Result<Self, UlidError> {
        if text.len() != 26 || text.as_bytes()[0] > b'7' {
            return Err(UlidError);
        }
        let mut bits = 0_u128;
        for byte in text.bytes() {
            let upper = byte.to_ascii_uppercase();
            let digit = ALPHABET.iter().position(|letter| *letter == upper).ok_or(UlidError)?;
            bits = (bits << 5) | digit as u128;
        }
        Ok(Self(bits))
    }
}

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub Ulid);

        impl $name {
            /// The id with exactly these bits.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self { Self(Ulid::from_bits(bits)) }
            /// The bits of this id, for storage and hashing.
            #[must_use]
            pub const fn bits(self) -> u128 { self.0.bits() }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(&self.0, f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(&self.0, f) }
        }
        impl FromStr for $name {
            type Err = UlidError;
            fn from_str(text: &str) -> Result<Self, UlidError> { text.parse().map(Self) }
        }
    )*};
}

typed_ids! {
    /// Names one agent, for as long as the hub knows it.
    AgentId,
    /// Names one rule.
    RuleId,
    /// Names one firing period of one rule on one series.
    IncidentId,
    /// Names one channel that notifications go to.
    ChannelId,
}

/// Names one start of an agent process; heartbeats count from 1 within it. Chosen by the agent: any text of at most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub std::sync::Arc<str>);

impl BootId {
    /// Longest boot id an agent may choose, in bytes: room for a UUID or a ULID with a prefix.
    pub const MAX_LEN: usize = 64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bits_say_the_same() {
        let id = Ulid::new(Timestamp::from_millis(1_763_769_600_000), 0x1234_5678_9abc_def0_1234);
        assert_eq!(id.to_string().parse::<Ulid>(), Ok(id));
        assert_eq!(id.timestamp(), Timestamp::from_millis(1_763_769_600_000));
        assert_eq!(Ulid::from_bits(u128::MAX).to_string(), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        assert_eq!(id.to_string().to_lowercase().parse::<Ulid>(), Ok(id));
    }

    #[test]
    fn what_is_no_ulid_is_refused() {
        for text in ["", "01J", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01JD8Y3W5M2K7Q9R4T6V8X0ZAU", "é1JD8Y3W5M2K7Q9R4T6V8X0ZA"] {
            assert_eq!(text.parse::<Ulid>(), Err(UlidError), "{text}");
        }
    }

    #[test]
    fn derived_ids_depend_on_every_part_and_on_nothing_else() {
        let at = Timestamp::from_secs(7);
        let id = Ulid::derived(at, &[b"rule", b"agent"]);
        assert_eq!(id, Ulid::derived(at, &[b"rule", b"agent"]));
        assert_ne!(id, Ulid::derived(at, &[b"rulea", b"gent"]));
        assert_ne!(id, Ulid::derived(at, &[b"rule", b"agenu"]));
        assert_eq!(id.timestamp(), at);
    }
}
