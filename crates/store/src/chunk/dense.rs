//! Numbers packed as densely as it gets, by pco (`docs/formats/agent-chunk.md`, `dense`): slow to pack, for what stays as it is.

use super::layout::length;
use crate::varint::{Damage, Reader, put};
use pco::data_types::Number;
use pco::metadata::DeltaEncoding;
use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, PagingSpec};

/// How hard pco tries, of 0 to 12: what it recommends.
const LEVEL: usize = 8;
/// The low bits of a page's description that say what its numbers were split into, and the one of these that asks for memory before
/// it shows any bytes.
const MODE: u8 = 0x0f;
const DICTIONARY: u8 = 4;
/// The largest window that pco itself chooses to look back in; more is asking for memory.
const MAX_WINDOW_LOG: u32 = 15;

const NOT_DENSE: Damage = Damage("its densely packed numbers cannot be read");

/// Appends `numbers`; `false` if that is not possible, and nothing was appended then.
pub(super) fn put_dense<T: Number>(out: &mut Vec<u8>, numbers: &[T]) -> bool {
    match pack(numbers) {
        Some(bytes) => {
            put(out, bytes.len() as u64);
            out.extend_from_slice(&bytes);
            true
        }
        None => false,
    }
}

fn pack<T: Number>(numbers: &[T]) -> Option<Vec<u8>> {
    let config = ChunkConfig::default().with_compression_level(LEVEL).with_paging_spec(PagingSpec::Exact(vec![numbers.len()]));
    let files = FileCompressor::default();
    let mut packer = files.chunk_compressor(numbers, &config).ok()?;
    let bytes = files.write_header(Vec::new()).ok()?;
    let bytes = packer.write_meta(bytes).ok()?;
    packer.write_page(0, bytes).ok()
}

/// Fills `numbers`.
///
/// # Errors
/// If the bytes are damaged.
pub(super) fn read_dense<T: Number>(reader: &mut Reader<'_>, numbers: &mut [T]) -> Result<(), Damage> {
    let size = length(reader)?;
    let bytes = reader.slice(size)?;
    let (files, bytes) = FileDecompressor::new(bytes).map_err(|_error| NOT_DENSE)?;
    if bytes.first().is_none_or(|first| first & MODE == DICTIONARY) {
        return Err(NOT_DENSE);
    }
    let (mut chunk, bytes) = files.chunk_decompressor::<T, _>(bytes).map_err(|_error| NOT_DENSE)?;
    if let DeltaEncoding::Lookback { config, .. } = &chunk.meta().delta_encoding
        && config.window_n_log > MAX_WINDOW_LOG
    {
        return Err(NOT_DENSE);
    }
    let mut page = chunk.page_decompressor(bytes, numbers.len()).map_err(|_error| NOT_DENSE)?;
    let progress = page.read(numbers).map_err(|_error| NOT_DENSE)?;
    let is_whole = progress.finished && progress.n_processed == numbers.len() && page.into_src().is_empty();
    if is_whole { Ok(()) } else { Err(NOT_DENSE) }
}
