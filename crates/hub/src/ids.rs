//! Chance: new ids and random bytes. Everything that needs them is handed them from here.

use crate::clock;
use nightbell_model::Ulid;

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
