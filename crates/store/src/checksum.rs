//! Checksums of packed bytes together with the columns of the row they stand in, so that a flipped bit anywhere in a row is
//! found. CRC-32 as in ISO 3309 (that of zlib and PNG), little endian; every version of every format uses this one.

use crate::varint::Damage;

/// How many bytes a checksum takes.
const LENGTH: usize = 4;
/// How many words are hashed at once.
const WORDS: usize = 12;

/// What stands beside the bytes in their row and has to be right as well, reduced to a checksum that goes on over the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u32);

impl Key {
    /// The key of bytes that stand alone.
    pub(crate) const NONE: Self = Self(0);

    /// The key of a row with these columns: integers as they are, doubles as [`real`].
    #[must_use]
    pub(crate) fn of(words: &[i64]) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        for some in words.chunks(WORDS) {
            let mut bytes = [0_u8; WORDS * 8];
            for (to, word) in bytes.chunks_exact_mut(8).zip(some) {
                to.copy_from_slice(&word.to_le_bytes());
            }
            hasher.update(bytes.get(..some.len() * 8).unwrap_or_default());
        }
        Self(hasher.finalize())
    }

    fn checksum(self, bytes: &[u8]) -> [u8; LENGTH] {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        hasher.finalize().to_le_bytes()
    }

    /// Appends the checksum of this key and all of `bytes`.
    pub(crate) fn seal(self, bytes: &mut Vec<u8>) {
        let checksum = self.checksum(bytes);
        bytes.extend_from_slice(&checksum);
    }

    /// The bytes before the checksum.
    ///
    /// # Errors
    /// If the checksum at the end is not that of this key and the bytes before it.
    pub(crate) fn open(self, bytes: &[u8]) -> Result<&[u8], Damage> {
        let (sealed, checksum) = bytes.split_last_chunk::<LENGTH>().ok_or(Damage("it ends too early"))?;
        if self.checksum(sealed) == *checksum { Ok(sealed) } else { Err(Damage("its checksum is wrong")) }
    }
}

/// A column that holds a double or NULL as a word of a [`Key`]: the bits of the double; NULL as a NaN, which no column holds.
#[must_use]
pub(crate) fn real(value: Option<f64>) -> i64 {
    value.unwrap_or(f64::NAN).to_bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_zlib() {
        let mut bytes = b"123456789".to_vec();
        Key::NONE.seal(&mut bytes);
        assert_eq!(bytes[9..], 0xcbf4_3926_u32.to_le_bytes(), "the check value of CRC-32/ISO-HDLC");
    }

    #[test]
    fn a_flipped_bit_in_the_bytes_or_in_the_key_is_found() {
        let words: Vec<i64> = (0..30).map(|n| n * 1_000_003).collect();
        let mut bytes: Vec<u8> = (0..200).collect();
        Key::of(&words).seal(&mut bytes);
        assert_eq!(Key::of(&words).open(&bytes).map(<[u8]>::len), Ok(200));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Key::of(&words).open(&flipped).is_err(), "bit {bit}");
        }
        for bit in 0..words.len() * 64 {
            let mut flipped = words.clone();
            flipped[bit / 64] ^= 1 << (bit % 64);
            assert!(Key::of(&flipped).open(&bytes).is_err(), "bit {bit} of the key");
        }
    }

    #[test]
    fn nothing_and_zero_are_different_columns() {
        assert_ne!(Key::of(&[real(None)]), Key::of(&[real(Some(0.0))]));
        assert_ne!(Key::of(&[0]), Key::of(&[0, 0]));
        assert!(Key::NONE.open(&[1, 2, 3]).is_err());
    }
}
