//! Blocks of 32 numbers in as many bits as they need (`docs/formats/agent-chunk.md`, `blocks`). What the numbers stand for is left
//! to `integers`.

use crate::varint::{Damage, Reader};

/// How many numbers a block has, except for the last.
pub(super) const BLOCK: usize = 32;
/// Set in the width of a block with exceptions.
const PATCHED: u8 = 0x80;
/// How many bits a place within a block takes.
const PLACE_BITS: u32 = 5;
/// The widest number.
const MAX_WIDTH: u32 = 64;

/// How many bytes `count` numbers of `width` bits take.
const fn packed_size(width: u32, count: usize) -> usize {
    (width as usize * count).div_ceil(8)
}

/// How many bits `number` has.
#[inline]
pub(super) const fn bits_of(number: u64) -> u32 {
    MAX_WIDTH - number.leading_zeros()
}

/// How a block is written best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    width: u32,
    /// Of the exceptions, above `width`.
    high: u32,
    exceptions: usize,
    /// All bytes of the block.
    size: usize,
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
        let mut best = Self { width: widest, high: 0, exceptions: 0, size: 1 + packed_size(widest, block.len()) };
        let mut exceptions = 0;
        for width in (0..widest).rev() {
            exceptions += usize::from(counts[width as usize + 1]);
            let high = widest - width;
            let patches = 2 + packed_size(high, exceptions) + packed_size(PLACE_BITS, exceptions);
            if patches >= best.size {
                break;
            }
            let size = 1 + packed_size(width, block.len()) + patches;
            if size < best.size {
                best = Self { width, high, exceptions, size };
            }
        }
        best
    }
}

/// How many bytes [`put_blocks`] would write.
pub(super) fn blocks_size(numbers: &[u64]) -> usize {
    numbers.chunks(BLOCK).map(|block| Plan::of(block).size).sum()
}

/// Appends `numbers` in blocks.
pub(super) fn put_blocks(out: &mut Vec<u8>, numbers: &[u64]) {
    for block in numbers.chunks(BLOCK) {
        let plan = Plan::of(block);
        let flag = if plan.exceptions > 0 { PATCHED } else { 0 };
        out.push(low_byte(u64::from(plan.width)) | flag);
        if plan.exceptions > 0 {
            put_patches(out, block, &plan);
        } else {
            put_packed(out, plan.width, block.iter().copied());
        }
    }
}

fn put_patches(out: &mut Vec<u8>, block: &[u64], plan: &Plan) {
    out.push(low_byte(plan.exceptions as u64 - 1));
    out.push(low_byte(u64::from(plan.high)));
    put_packed(out, plan.width, block.iter().map(|number| number & mask(plan.width)));
    let exceptions = || block.iter().zip(0_u64..).filter(|(number, _)| bits_of(**number) > plan.width);
    put_packed(out, plan.high, exceptions().map(|(number, _)| number >> plan.width));
    put_packed(out, PLACE_BITS, exceptions().map(|(_, place)| place));
}

/// The low `width` bits, set.
#[inline]
const fn mask(width: u32) -> u64 {
    if width >= MAX_WIDTH { u64::MAX } else { (1 << width) - 1 }
}

const fn low_byte(value: u64) -> u8 {
    (value & 0xff) as u8
}

/// Writes numbers of changing widths one after another.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u128,
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// Appends to `out`.
    pub(super) const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, pending: 0, count: 0 }
    }

    /// Appends the low `width` bits of `number`, which has no others set.
    #[inline]
    pub(super) fn put(&mut self, width: u32, number: u64) {
        self.pending |= u128::from(number) << self.count;
        self.count += width;
        while self.count >= 32 {
            let word = (self.pending & 0xffff_ffff) as u32;
            self.out.extend_from_slice(&word.to_le_bytes());
            self.pending >>= 32;
            self.count -= 32;
        }
    }

    /// Fills the last byte.
    pub(super) fn finish(mut self) {
        while self.count > 0 {
            self.out.push((self.pending & 0xff) as u8);
            self.pending >>= 8;
            self.count = self.count.saturating_sub(8);
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

/// Reads numbers of changing widths.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    pending: u128,
    count: u32,
}

impl<'a> BitReader<'a> {
    /// Reads from the beginning of `bytes`.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pending: 0, count: 0 }
    }

    /// The next number of `width` bits, at most 64.
    ///
    /// # Errors
    /// If fewer are left.
    #[inline]
    pub(super) fn take(&mut self, width: u32) -> Result<u64, Damage> {
        while self.count < width {
            let (first, rest) = self.bytes.split_first().ok_or(Damage("it ends too early"))?;
            self.bytes = rest;
            self.pending |= u128::from(*first) << self.count;
            self.count += 8;
        }
        let number = (self.pending as u64) & mask(width);
        self.pending >>= width;
        self.count -= width;
        Ok(number)
    }

    /// That nothing is left but spare bits of value 0.
    ///
    /// # Errors
    /// If there is.
    pub(super) fn finish(self) -> Result<(), Damage> {
        if self.bytes.is_empty() && self.pending == 0 { Ok(()) } else { Err(Damage("it is longer than needed")) }
    }
}

/// Takes `count` numbers in blocks from `reader` and calls `take` with each block of them.
///
/// # Errors
/// If the bytes are damaged; what was taken before is to be thrown away.
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

#[inline]
fn read_block(reader: &mut Reader<'_>, numbers: &mut [u64]) -> Result<(), Damage> {
    let head = reader.byte()?;
    let width = u32::from(head & !PATCHED);
    if width > MAX_WIDTH {
        return Err(Damage("a number is too wide"));
    }
    if head & PATCHED == 0 {
        return unpack(reader, width, numbers);
    }
    let (exceptions, high) = (usize::from(reader.byte()?) + 1, u32::from(reader.byte()?));
    if exceptions > numbers.len() || high == 0 || width + high > MAX_WIDTH {
        return Err(Damage("a block has impossible exceptions"));
    }
    unpack(reader, width, numbers)?;
    let (mut highs, mut places) = ([0_u64; BLOCK], [0_u64; BLOCK]);
    unpack(reader, high, &mut highs[..exceptions])?;
    unpack(reader, PLACE_BITS, &mut places[..exceptions])?;
    for (high, place) in highs.iter().zip(&places).take(exceptions) {
        let number = numbers.get_mut(*place as usize).ok_or(Damage("a block has impossible exceptions"))?;
        *number |= high << width;
    }
    Ok(())
}

/// Fills `numbers` with what is packed in `width` bits each.
#[inline]
fn unpack(reader: &mut Reader<'_>, width: u32, numbers: &mut [u64]) -> Result<(), Damage> {
    if width == 0 {
        numbers.fill(0);
        return Ok(());
    }
    let bytes = reader.slice(packed_size(width, numbers.len()))?;
    let mut bits = BitReader::new(bytes);
    for number in numbers.iter_mut() {
        *number = bits.take(width)?;
    }
    bits.finish()
}
