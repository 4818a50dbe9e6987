//! The packed bytes themselves, in plain types: for benchmarks, fuzzing and tests of old bytes. No seam, and nothing the product
//! calls; what history is made of is asked of [`crate::MetricStore`].

use crate::checksum::Key;
use crate::chunk::{self, BucketChunk, BucketColumn, Chunk, Column, Density, Scratch};
use crate::rollup::{self, Bucket};
use crate::vector::{self, MAX_DECIMALS, Sample, Slot};
use nightbell_model::Timestamp;

/// One series of a host: a value for each row, NaN where there is none.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its number.
    pub id: u32,
    /// Its decimals.
    pub decimals: u8,
    /// Its values.
    pub values: Vec<f64>,
}

fn density(dense: bool) -> Density {
    if dense { Density::Dense } else { Density::Young }
}

fn timestamps(times: &[i64]) -> Vec<Timestamp> {
    times.iter().copied().map(Timestamp::from_millis).collect()
}

/// The chunk of these rows, empty if they are none that a chunk can hold.
#[must_use]
pub fn pack_chunk(times: &[i64], series: &[Series], dense: bool) -> Vec<u8> {
    let columns: Vec<Column<'_>> =
        series.iter().map(|one| Column { id: one.id, decimals: one.decimals, values: &one.values }).collect();
    let mut out = Vec::new();
    let packed = chunk::pack(&mut out, Key::NONE, &timestamps(times), &columns, density(dense));
    packed.map(|()| out).unwrap_or_default()
}

/// Buckets of so many milliseconds of these rows, series by series, with when each starts.
#[derive(Debug, Clone)]
pub struct Buckets {
    starts: Vec<Timestamp>,
    series: Vec<(u32, u8, Vec<Bucket>)>,
}

impl Buckets {
    /// Folds rows into buckets.
    #[must_use]
    pub fn of(times: &[i64], series: &[Series], width_ms: i64) -> Self {
        let starts: Vec<Timestamp> = timestamps(times).iter().map(|time| time.floor_to(width_ms)).collect();
        let fold = |one: &Series| {
            let rows: Vec<(Timestamp, f64)> = starts.iter().copied().zip(one.values.iter().copied()).collect();
            let bucket = |rows: &[(Timestamp, f64)]| {
                let mut bucket = Bucket::default();
                let values = rows.iter().filter(|(_, value)| !value.is_nan());
                values.for_each(|(_, value)| bucket.add(Sample::of(*value, one.decimals), one.decimals));
                bucket
            };
            (one.id, one.decimals, rows.chunk_by(|a, b| a.0 == b.0).map(bucket).collect())
        };
        let series = series.iter().map(fold).collect();
        let mut starts = starts;
        starts.dedup();
        Self { starts, series }
    }

    /// The chunk of these buckets, empty if a chunk cannot hold them.
    #[must_use]
    pub fn pack_chunk(&self, dense: bool) -> Vec<u8> {
        let columns: Vec<BucketColumn<'_>> =
            self.series.iter().map(|(id, decimals, buckets)| BucketColumn { id: *id, decimals: *decimals, buckets }).collect();
        let mut out = Vec::new();
        let packed = chunk::pack_buckets(&mut out, Key::NONE, &self.starts, &columns, density(dense));
        packed.map(|()| out).unwrap_or_default()
    }

    /// The packed row of each bucket.
    #[must_use]
    pub fn pack_rows(&self) -> Vec<Vec<u8>> {
        let decimals: Vec<u8> = self.series.iter().map(|one| one.1).collect();
        let row = |at: usize| {
            let buckets: Vec<Bucket> = self.series.iter().map(|one| one.2[at]).collect();
            let mut out = Vec::new();
            rollup::pack(&mut out, Key::NONE, &buckets, &decimals);
            out
        };
        (0..self.starts.len()).map(row).collect()
    }
}

/// The packed row of one heartbeat.
#[must_use]
pub fn pack_row(series: &[Series], at: usize) -> Vec<u8> {
    let position = |position: usize| u32::try_from(position).unwrap_or(u32::MAX);
    let slots: Vec<Slot> =
        series.iter().enumerate().map(|(at, one)| Slot { id: one.id, position: position(at), decimals: one.decimals }).collect();
    let values: Vec<f64> = series.iter().map(|one| one.values.get(at).copied().unwrap_or(f64::NAN)).collect();
    let mut out = Vec::new();
    vector::pack(&mut out, Key::NONE, &slots, &values);
    out
}

/// Reads chunks, and keeps its memory from one to the next.
#[derive(Debug, Default)]
pub struct Unpacker {
    scratch: Scratch,
    times: Vec<Timestamp>,
    values: Vec<f64>,
    buckets: Vec<Bucket>,
}

impl Unpacker {
    /// The times of a chunk of samples; `None` if they are damaged.
    pub fn times(&mut self, bytes: &[u8]) -> Option<&[Timestamp]> {
        Chunk::open(bytes, Key::NONE).ok()?.times(&mut self.scratch, &mut self.times).ok()?;
        Some(&self.times)
    }

    /// The values of one series of a chunk; `None` if it is not there or damaged.
    pub fn values(&mut self, bytes: &[u8], id: u32, decimals: u8) -> Option<&[f64]> {
        let part = Chunk::open(bytes, Key::NONE).ok()?.column(id)?;
        part.values(decimals, &mut self.scratch, &mut self.values).ok()?;
        Some(&self.values)
    }

    /// Reads all values of a chunk of samples and calls `visit` with each series' number and values; whether it is whole.
    /// `decimals` are by number.
    pub fn each(&mut self, bytes: &[u8], decimals: &[u8], mut visit: impl FnMut(u32, &[f64])) -> bool {
        let Ok(chunk) = Chunk::open(bytes, Key::NONE) else { return false };
        chunk.columns().all(|part| {
            let Some(decimals) = decimals.get(part.id() as usize) else { return false };
            let read = part.values(*decimals, &mut self.scratch, &mut self.values);
            visit(part.id(), &self.values);
            read.is_ok()
        })
    }

    /// Reads all of a chunk of buckets; how many there are, `None` if it is damaged.
    pub fn count_buckets(&mut self, bytes: &[u8], decimals: &[u8]) -> Option<u64> {
        let chunk = BucketChunk::open(bytes, Key::NONE).ok()?;
        let mut count = 0;
        for part in chunk.columns() {
            part.buckets(*decimals.get(part.id() as usize)?, &mut self.scratch, &mut self.buckets).ok()?;
            count += self.buckets.iter().map(|bucket| u64::from(bucket.count > 0)).sum::<u64>();
        }
        Some(count)
    }

    /// Reads `bytes` as each of the formats in turn, as they are and as if their checksum were right; in how many ways that works.
    pub fn probe(&mut self, bytes: &[u8]) -> u32 {
        let mut sealed = bytes.to_vec();
        Key::NONE.seal(&mut sealed);
        let decimals: Vec<u8> = (0..=MAX_DECIMALS).cycle().take(256).collect();
        let mut ways = u32::from(self.probe_chunk(&sealed)) + u32::from(self.probe_buckets(&sealed));
        for bytes in [bytes, &sealed] {
            ways += u32::from(vector::walk(bytes, Key::NONE, u32::MAX, |_, _| Ok(())).is_ok());
            ways += u32::from(rollup::walk(bytes, Key::NONE, u32::MAX, &decimals, |_, _| ()).is_ok());
        }
        ways
    }

    fn probe_chunk(&mut self, bytes: &[u8]) -> bool {
        let Ok(chunk) = Chunk::open(bytes, Key::NONE) else { return false };
        let times = chunk.times(&mut self.scratch, &mut self.times).is_ok();
        chunk
            .columns()
            .fold(times, |whole, part| whole & part.values(part.decimals(), &mut self.scratch, &mut self.values).is_ok())
    }

    fn probe_buckets(&mut self, bytes: &[u8]) -> bool {
        let Ok(chunk) = BucketChunk::open(bytes, Key::NONE) else { return false };
        let times = chunk.times(&mut self.scratch, &mut self.times).is_ok();
        chunk
            .columns()
            .fold(times, |whole, part| whole & part.buckets(part.decimals(), &mut self.scratch, &mut self.buckets).is_ok())
    }
}

#[cfg(test)]
mod tests;
