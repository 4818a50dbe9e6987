//! Chunks: many rows of one agent in columns, small, checked, and quick to read one column of (`docs/formats/agent-chunk.md` and
//! `docs/formats/agent-rollup-chunk.md`). Pure: bytes in, numbers out. When rows become a chunk, and where it is kept, is left to
//! the engine.
//!
//! [`pack`] makes a chunk of samples and [`Chunk`] reads one; [`pack_buckets`] and [`BucketChunk`] do the same for buckets. As long
//! as the checksum is right, what is read is what was packed, bit for bit; and no bytes whatsoever make reading panic, or take more
//! memory than eight bytes for each of [`MAX_ROWS`] rows at a time.

mod bits;
mod blocks;
mod buckets;
mod dense;
mod directory;
mod integers;
mod layout;
mod missing;
mod numbers;
mod samples;
mod values;

pub(crate) use buckets::{BucketChunk, BucketColumn, pack_buckets};
pub(crate) use layout::MAX_ROWS;
pub(crate) use samples::{Chunk, Column, pack};

/// How hard packing tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Density {
    /// Quickly packed and unpacked: for an hour that is looked at often and will be packed again.
    Young,
    /// As small as it gets: for a day that stays as it is.
    Dense,
}

/// What cannot be packed; nothing was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// There are no rows, or too many.
    #[error("a chunk takes 1 to {MAX_ROWS} rows, not {0}")]
    Rows(usize),
    /// A column has more or fewer values than there are rows.
    #[error("the column of series {0} has not one value for each row")]
    Length(u32),
    /// The numbers of the series do not ascend.
    #[error("the column of series {0} is out of order")]
    Order(u32),
}

/// Memory that is used again from column to column.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    integers: Vec<i64>,
    more: Vec<i64>,
    counts: Vec<i64>,
    present: Vec<u32>,
    odd: Vec<(u32, f64)>,
    values: Vec<f64>,
}

#[cfg(test)]
mod tests;
