//! Numbers in few bytes (LEB128) and reading them back from bytes that may be damaged. What the numbers mean is left to the
//! formats built on this.

/// What is wrong with packed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Damage(pub(crate) &'static str);

/// Appends `value`.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

/// Appends a value of up to 128 bits; the same bytes as [`put`] where it fits into 64.
#[expect(clippy::cast_possible_truncation, reason = "only the low seven bits are taken at a time")]
pub(crate) fn put_wide(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push(low_byte(value as u64) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value as u64));
}

/// The low seven bits of `value`.
const fn low_byte(value: u64) -> u8 {
    (value & 0x7f) as u8
}

/// A signed number as an unsigned one, small where the number is near zero.
#[must_use]
pub(crate) const fn zigzag(value: i128) -> u128 {
    ((value << 1) ^ (value >> 127)).cast_unsigned()
}

/// The inverse of [`zigzag`].
#[must_use]
pub(crate) const fn unzigzag(value: u128) -> i128 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Reads packed bytes from front to back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`.
    #[must_use]
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether nothing is left.
    #[must_use]
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next byte.
    ///
    /// # Errors
    /// If nothing is left.
    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Damage> {
        let (first, rest) = self.bytes.split_first().ok_or(Damage("it ends too early"))?;
        self.bytes = rest;
        Ok(*first)
    }

    /// The next number of up to 64 bits.
    ///
    /// # Errors
    /// If the bytes end in it or it is longer.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Damage> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift > 63 || (shift == 63 && bits > 1) {
                return Err(Damage("a number is too long"));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// The next number of up to 128 bits.
    ///
    /// # Errors
    /// If the bytes end in it or it is longer.
    pub(crate) fn wide(&mut self) -> Result<u128, Damage> {
        let (mut value, mut shift) = (0_u128, 0);
        loop {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if shift > 126 || (shift == 126 && bits > 3) {
                return Err(Damage("a number is too long"));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// What is left.
    #[must_use]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// If fewer are left.
    #[inline]
    pub(crate) fn slice(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let (first, rest) = self.bytes.split_at_checked(length).ok_or(Damage("it ends too early"))?;
        self.bytes = rest;
        Ok(first)
    }

    /// The next eight bytes as a double.
    ///
    /// # Errors
    /// If fewer are left.
    pub(crate) fn double(&mut self) -> Result<f64, Damage> {
        let (first, rest) = self.bytes.split_first_chunk::<8>().ok_or(Damage("it ends too early"))?;
        self.bytes = rest;
        Ok(f64::from_le_bytes(*first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(narrow: u64, wide: u128, signed: i128) {
            let mut bytes = Vec::new();
            put(&mut bytes, narrow);
            put_wide(&mut bytes, wide);
            put_wide(&mut bytes, zigzag(signed));
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(narrow));
            prop_assert_eq!(reader.wide(), Ok(wide));
            prop_assert_eq!(reader.wide().map(unzigzag), Ok(signed));
            prop_assert!(reader.is_empty());
        }
    }

    #[test]
    fn numbers_that_are_cut_or_too_long_are_refused() {
        assert!(Reader::new(&[]).varint().is_err());
        assert!(Reader::new(&[0x80]).varint().is_err());
        assert!(Reader::new(&[0xff; 11]).varint().is_err());
        assert!(Reader::new(&[0xff; 20]).wide().is_err());
        assert!(Reader::new(&[0; 7]).double().is_err());
        let mut most = Vec::new();
        put(&mut most, u64::MAX);
        assert_eq!(Reader::new(&most).varint(), Ok(u64::MAX));
    }
}
