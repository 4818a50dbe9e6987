//! Numbers in as many bits as they need, one after another (`docs/formats/agent-chunk.md`, `packed`). How wide they are is left to
//! those who know.

use crate::varint::{Damage, Reader};

/// The widest number.
pub(super) const MAX_WIDTH: u32 = 64;
/// The most numbers that are unpacked at once.
pub(super) const BLOCK: usize = 32;
/// How many bytes are loaded at once.
const WORD: usize = 8;
/// Up to this width, a number that begins within a byte lies within the word that begins there.
const WITHIN_WORD: u32 = 57;

const ENDS_EARLY: Damage = Damage("it ends too early");
const TOO_LONG: Damage = Damage("it is longer than needed");

/// How many bytes `count` numbers of `width` bits take.
pub(super) const fn packed_size(width: u32, count: usize) -> usize {
    (width as usize * count).div_ceil(8)
}

/// How many bits `number` has.
#[inline]
pub(super) const fn bits_of(number: u64) -> u32 {
    MAX_WIDTH - number.leading_zeros()
}

/// The low `width` bits, set.
#[inline]
pub(super) const fn mask(width: u32) -> u64 {
    if width >= MAX_WIDTH { u64::MAX } else { (1 << width) - 1 }
}

/// Appends `numbers`, which have no bits above `width`.
pub(super) fn put_packed(out: &mut Vec<u8>, width: u32, numbers: impl Iterator<Item = u64>) {
    if width > 0 {
        let mut writer = BitWriter::new(out);
        numbers.for_each(|number| writer.put(width, number));
        writer.finish();
    }
}

/// Writes numbers of changing widths one after another.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    word: u64,
    filled: u32,
}

impl<'a> BitWriter<'a> {
    /// Appends to `out`.
    pub(super) const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, word: 0, filled: 0 }
    }

    /// Appends the low `width` bits of `number`, which has no others set.
    #[inline]
    pub(super) fn put(&mut self, width: u32, number: u64) {
        self.word |= number << self.filled;
        let free = MAX_WIDTH - self.filled;
        if width < free {
            self.filled += width;
        } else {
            self.out.extend_from_slice(&self.word.to_le_bytes());
            self.word = number.checked_shr(free).unwrap_or(0);
            self.filled = width - free;
        }
    }

    /// Appends one of the `of` numbers from 0 on, in the fewest bits (`docs/formats/agent-rollup-chunk.md`, `choice`).
    #[inline]
    pub(super) fn choose(&mut self, number: u64, of: u64) {
        let (width, short) = choice(of);
        if number < short {
            self.put(width, number);
        } else {
            let long = number.wrapping_add(short);
            self.put(width, long >> 1);
            self.put(1, long & 1);
        }
    }

    /// Fills the last byte.
    pub(super) fn finish(self) {
        let bytes = self.word.to_le_bytes();
        self.out.extend_from_slice(bytes.get(..self.filled.div_ceil(8) as usize).unwrap_or_default());
    }
}

/// Reads numbers of changing widths.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// How many bits were taken.
    taken: usize,
}

impl<'a> BitReader<'a> {
    /// Reads from the beginning of `bytes`.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, taken: 0 }
    }

    /// The next number of `width` bits, at most 64.
    ///
    /// # Errors
    /// If fewer are left.
    #[inline]
    pub(super) fn take(&mut self, width: u32) -> Result<u64, Damage> {
        let end = self.taken + width as usize;
        if end > self.bytes.len() * 8 {
            return Err(ENDS_EARLY);
        }
        let number = number_at(self.bytes, self.taken, width);
        self.taken = end;
        Ok(number)
    }

    /// The next number that was chosen of `of`.
    ///
    /// # Errors
    /// If fewer bits are left.
    #[inline]
    pub(super) fn chosen(&mut self, of: u64) -> Result<u64, Damage> {
        let (width, short) = choice(of);
        let number = self.take(width)?;
        if number < short {
            return Ok(number);
        }
        Ok(((number << 1) | self.take(1)?).wrapping_sub(short))
    }

    /// That nothing is left but spare bits of value 0.
    ///
    /// # Errors
    /// If there is.
    pub(super) fn finish(self) -> Result<(), Damage> {
        check_end(self.bytes, self.taken)
    }
}

/// For a choice of `of` numbers: how many bits the first ones take, and how many these are. The others take one more.
#[inline]
const fn choice(of: u64) -> (u32, u64) {
    let width = bits_of(of).saturating_sub(1);
    (width, ((mask(width) << 1) | 1).wrapping_sub(of).wrapping_add(1))
}

/// That after `bits` bits there are only spare ones in the last of `bytes`, and these are 0.
///
/// # Errors
/// If there is anything else.
pub(super) fn check_end(bytes: &[u8], bits: usize) -> Result<(), Damage> {
    let spare = bytes.len() * 8 - bits;
    let last = bytes.last().copied().unwrap_or(0);
    if spare < 8 && (spare == 0 || last >> (8 - spare) == 0) { Ok(()) } else { Err(TOO_LONG) }
}

/// The number of `width` bits that begins at the bit `at`; what lies behind the end is 0.
#[inline]
fn number_at(bytes: &[u8], at: usize, width: u32) -> u64 {
    let (byte, bit) = (at / 8, at % 8);
    let low = word_at(bytes, byte) >> bit;
    let high = if width > WITHIN_WORD && bit > 0 { word_at(bytes, byte + WORD) << (64 - bit) } else { 0 };
    (low | high) & mask(width)
}

/// The word that begins at a byte; what lies behind the end is 0.
#[inline]
fn word_at(bytes: &[u8], byte: usize) -> u64 {
    match bytes.get(byte..).and_then(|rest| rest.first_chunk::<WORD>()) {
        Some(word) => u64::from_le_bytes(*word),
        None => last_word(bytes.get(byte..).unwrap_or_default()),
    }
}

#[cold]
fn last_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

/// Fills `numbers`, at most a block, with what is packed in `width` bits each.
///
/// # Errors
/// If the bytes end before, or spare bits are not 0.
#[inline]
pub(super) fn unpack(reader: &mut Reader<'_>, width: u32, numbers: &mut [u64]) -> Result<(), Damage> {
    if width == 0 {
        numbers.fill(0);
        return Ok(());
    }
    let ahead = reader.rest();
    let bytes = reader.slice(packed_size(width, numbers.len()))?;
    check_end(bytes, width as usize * numbers.len())?;
    if ahead.len() >= bytes.len() + WORD {
        unpack_from(ahead, width, numbers);
    } else {
        let mut padded = [0_u8; BLOCK * WORD + WORD];
        padded[..bytes.len()].copy_from_slice(bytes);
        unpack_from(&padded, width, numbers);
    }
    Ok(())
}

/// Fills `numbers` from bytes that go on for a word behind the last of them.
#[inline]
fn unpack_from(bytes: &[u8], width: u32, numbers: &mut [u64]) {
    let mut at = 0;
    if width > WITHIN_WORD {
        for number in numbers {
            *number = number_at(bytes, at, width);
            at += width as usize;
        }
        return;
    }
    let mask = mask(width);
    for number in numbers {
        *number = (word_at(bytes, at / 8) >> (at % 8)) & mask;
        at += width as usize;
    }
}
