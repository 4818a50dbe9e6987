//! Chance: new ids and random bytes. Everything that needs them is handed them from here.

use crate::clock;
use nightbell_model::{Timestamp, Ulid};

/// Fills a buffer from the system's source of randomness.
///
/// # Errors
/// When the system has none to give (very early in boot, or in a broken sandbox).
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A fresh id, stamped with the present.
///
/// Without randomness it falls back to the boot clock's nanoseconds: ids are unique within the hub either way, and never secret.
#[must_use]
pub fn fresh() -> Ulid {
    let chance = random::<16>().map_or_else(|_none| u128::from(clock::boot_millis().unsigned_abs()), u128::from_le_bytes);
    Ulid::new(clock::now(), chance)
}

/// The id that follows from `parts`: the same whenever it is asked for with the same moment, and different for different parts.
#[must_use]
pub fn derived(purpose: &str, parts: &[&str], at: Timestamp) -> Ulid {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for part in std::iter::once(&purpose).chain(parts) {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    let mut chance = [0; 16];
    chance.copy_from_slice(&hash.finalize()[..16]);
    Ulid::new(at, u128::from_le_bytes(chance))
}
