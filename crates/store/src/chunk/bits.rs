//! Blocks of 32 numbers in as many bits as they need (`docs/formats/agent-chunk.md`, `blocks`). What the numbers stand for is left
//! to `integers`.

use crate::varint::{Damage, Reader};

/// How many numbers a block has, except for the last.
pub(super) const BLOCK: usize = 32;
/// Set in the width of a block with exceptions.
const PATCHED: u8 = 0x80;
/// Added to the width of a block of which only the numbers that are not 0 are written.
const SPARSE: u8 = 0x40;
/// How many bits a place within a block takes.
const PLACE_BITS: u32 = 5;
/// The widest number.
const MAX_WIDTH: u32 = 64;
/// How many bytes are loaded at once.
const WORD: usize = 8;
/// Up to this width, a number that begins within a byte lies within the word that begins there.
const WITHIN_WORD: u32 = 57;

const ENDS_EARLY: Damage = Damage("it ends too early");
const TOO_LONG: Damage = Damage("it is longer than needed");

/// How many bytes `count` numbers of `width` bits take.
const fn packed_size(width: u32, count: usize) -> usize {
    (width as usize * count).div_ceil(8)
}

/// How many bits `number` has.
#[inline]
pub(super) const fn bits_of(number: u64) -> u32 {
    MAX_WIDTH - number.leading_zeros()
}

/// The low `width` bits, set.
#[inline]
const fn mask(width: u32) -> u64 {
    if width >= MAX_WIDTH { u64::MAX } else { (1 << width) - 1 }
}

const fn low_byte(value: u64) -> u8 {
    (value & 0xff) as u8
}

/// How a block is written best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    way: Way,
    width: u32,
    /// All bytes of the block.
    size: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All numbers in the same width.
    Plain,
    /// Only those that are not 0.
    Sparse,
    /// All in the same width, and what some have above it.
    Patched { high: u32, exceptions: usize },
}

impl Plan {
    fn of(block: &[u64]) -> Self {
        let mut counts = [0_u8; MAX_WIDTH as usize + 1];
        let mut all = 0;
        for number in block {
            counts[bits_of(*number) as usize] += 1;
            all |= number;
        }
        let widest = bits_of(all);
        let mut best = Self { way: Way::Plain, width: widest, size: 1 + packed_size(widest, block.len()) };
        let some = block.len() - usize::from(counts[0]);
        let sparse = 1 + block.len().div_ceil(8) + packed_size(widest, some);
        if sparse < best.size && widest < MAX_WIDTH {
            best = Self { way: Way::Sparse, width: widest, size: sparse };
        }
        let mut exceptions = 0;
        for width in (0..widest).rev() {
            exceptions += usize::from(counts[width as usize + 1]);
            let high = widest - width;
            let patches = 3 + packed_size(high, exceptions) + packed_size(PLACE_BITS, exceptions);
            if patches >= best.size {
                break;
            }
            let size = patches + packed_size(width, block.len());
            if size < best.size {
                best = Self { way: Way::Patched { high, exceptions }, width, size };
            }
        }
        best
    }

    fn put(&self, out: &mut Vec<u8>, block: &[u64]) {
        let width = low_byte(u64::from(self.width));
        match self.way {
            Way::Plain => {
                out.push(width);
                put_packed(out, self.width, block.iter().copied());
            }
            Way::Sparse => {
                out.push(width + SPARSE);
                put_packed(out, 1, block.iter().map(|number| u64::from(*number != 0)));
                put_packed(out, self.width, block.iter().copied().filter(|number| *number != 0));
            }
            Way::Patched { high, exceptions } => {
                out.extend_from_slice(&[width | PATCHED, low_byte(exceptions as u64 - 1), low_byte(u64::from(high))]);
                put_packed(out, self.width, block.iter().map(|number| number & mask(self.width)));
                let exceptions = || block.iter().zip(0_u64..).filter(|(number, _)| bits_of(**number) > self.width);
                put_packed(out, high, exceptions().map(|(number, _)| number >> self.width));
                put_packed(out, PLACE_BITS, exceptions().map(|(_, place)| place));
            }
        }
    }
}

/// Numbers and how each block of them is written.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    numbers: &'a [u64],
    plans: Vec<Plan>,
    /// How many bytes all blocks take.
    pub(super) size: usize,
}

impl<'a> Blocks<'a> {
    /// The best blocks for `numbers`.
    pub(super) fn of(numbers: &'a [u64]) -> Self {
        let plans: Vec<Plan> = numbers.chunks(BLOCK).map(Plan::of).collect();
        let size = plans.iter().map(|plan| plan.size).sum();
        Self { numbers, plans, size }
    }

    /// Appends the blocks.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        for (block, plan) in self.numbers.chunks(BLOCK).zip(&self.plans) {
            plan.put(out, block);
        }
    }
}

fn put_packed(out: &mut Vec<u8>, width: u32, numbers: impl Iterator<Item = u64>) {
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

    /// That nothing is left but spare bits of value 0.
    ///
    /// # Errors
    /// If there is.
    pub(super) fn finish(self) -> Result<(), Damage> {
        check_end(self.bytes, self.taken)
    }
}

/// That after `bits` bits there are only spare ones in the last of `bytes`, and these are 0.
fn check_end(bytes: &[u8], bits: usize) -> Result<(), Damage> {
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

/// Takes `count` numbers in blocks from `reader` and calls `take` with each block of them.
///
/// # Errors
/// If the bytes are damaged; what was taken before is to be thrown away.
#[inline]
pub(super) fn read_blocks(reader: &mut Reader<'_>, count: usize, mut take: impl FnMut(&[u64])) -> Result<(), Damage> {
    let mut block = [0_u64; BLOCK];
    let mut left = count;
    while left > 0 {
        let numbers = &mut block[..left.min(BLOCK)];
        read_block(reader, numbers)?;
        take(numbers);
        left -= numbers.len();
    }
    Ok(())
}

fn read_block(reader: &mut Reader<'_>, numbers: &mut [u64]) -> Result<(), Damage> {
    let head = reader.byte()?;
    if head & PATCHED != 0 {
        read_patched(reader, u32::from(head & !PATCHED), numbers)
    } else if u32::from(head) <= MAX_WIDTH {
        unpack(reader, u32::from(head), numbers)
    } else {
        read_sparse(reader, u32::from(head - SPARSE), numbers)
    }
}

fn read_sparse(reader: &mut Reader<'_>, width: u32, numbers: &mut [u64]) -> Result<(), Damage> {
    let bytes = reader.slice(packed_size(1, numbers.len()))?;
    check_end(bytes, numbers.len())?;
    let mut word = [0; WORD];
    word[..bytes.len()].copy_from_slice(bytes);
    let mut places = u64::from_le_bytes(word);
    let mut packed = [0_u64; BLOCK];
    let packed = &mut packed[..places.count_ones() as usize];
    unpack(reader, width, packed)?;
    numbers.fill(0);
    for number in packed {
        if let Some(slot) = numbers.get_mut(places.trailing_zeros() as usize) {
            *slot = *number;
        }
        places &= places - 1;
    }
    Ok(())
}

fn read_patched(reader: &mut Reader<'_>, width: u32, numbers: &mut [u64]) -> Result<(), Damage> {
    let impossible = Damage("a block has impossible exceptions");
    let (exceptions, high) = (usize::from(reader.byte()?) + 1, u32::from(reader.byte()?));
    if exceptions > numbers.len() || high == 0 || width + high > MAX_WIDTH {
        return Err(impossible);
    }
    unpack(reader, width, numbers)?;
    let (mut highs, mut places) = ([0_u64; BLOCK], [0_u64; BLOCK]);
    unpack(reader, high, &mut highs[..exceptions])?;
    unpack(reader, PLACE_BITS, &mut places[..exceptions])?;
    for (high, place) in highs.iter().zip(&places).take(exceptions) {
        let number = usize::try_from(*place).ok().and_then(|place| numbers.get_mut(place)).ok_or(impossible)?;
        *number |= high << width;
    }
    Ok(())
}

/// Fills `numbers`, at most a block, with what is packed in `width` bits each.
#[inline]
fn unpack(reader: &mut Reader<'_>, width: u32, numbers: &mut [u64]) -> Result<(), Damage> {
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
