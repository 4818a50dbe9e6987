//! Numbers on the wire: whole ones are accepted where fractions are declared, and what is not there is NaN.

use serde::{Serialize, Serializer};

/// A number as it came: NaN stands for a missing value (`null` or NaN on the wire), infinities are kept for the range check.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lenient(pub f64);

impl PartialEq for Lenient {
    /// Bit by bit, but all NaN are the same missing value.
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits() || (self.0.is_nan() && other.0.is_nan())
    }
}

impl From<Option<f64>> for Lenient {
    fn from(value: Option<f64>) -> Self {
        Self(value.unwrap_or(f64::NAN))
    }
}

impl From<f64> for Lenient {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

impl Lenient {
    /// The number, unless it is missing.
    #[must_use]
    pub fn get(self) -> Option<f64> {
        (!self.0.is_nan()).then_some(self.0)
    }
}

/// Whole numbers up to here are exact as f64 and are written as integers: shorter, in both encodings.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Serialize for Lenient {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.0.is_finite() {
            return serializer.serialize_none();
        }
        if self.0.abs() <= EXACT && self.0.fract() == 0.0 && (self.0 != 0.0 || self.0.is_sign_positive()) {
            #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
            let whole = self.0 as i64;
            return serializer.serialize_i64(whole);
        }
        serializer.serialize_f64(self.0)
    }
}

/// Powers of ten that are exact as f64.
const POWERS: [f64; 16] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// `value` as the packed form writes it: times 10^decimals, whole. Decimals above 15 leave it as it is, as does a product that
/// is no longer exact.
#[must_use]
pub fn scaled(value: f64, decimals: u8) -> f64 {
    let Some(power) = POWERS.get(usize::from(decimals)) else { return value };
    (value * power).round() + 0.0
}

/// The value that [`scaled`] packed: one correctly rounded division, so the nearest number to its decimal text.
#[must_use]
pub fn unscaled(raw: f64, decimals: u8) -> f64 {
    POWERS.get(usize::from(decimals)).map_or(raw, |power| raw / power)
}
