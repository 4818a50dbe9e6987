//! Blocks of 32 numbers, each written in the smallest way (`docs/formats/agent-chunk.md`, `blocks`). What the numbers stand for is
//! left to `integers`.

use super::bits::{BLOCK, MAX_WIDTH, bits_of, check_end, mask, packed_size, put_packed, unpack};
use crate::varint::{Damage, Reader};

/// Set in the width of a block with exceptions.
const PATCHED: u8 = 0x80;
/// Added to the width of a block of which only the numbers that are not 0 are written.
const SPARSE: u8 = 0x40;
/// How many bits a place within a block takes.
const PLACE_BITS: u32 = 5;

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
    let mut word = [0; size_of::<u64>()];
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
