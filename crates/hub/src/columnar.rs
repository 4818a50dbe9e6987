//! History as Parquet, for tools that read columns: a row for each value, written a row group at a time, so that no more than one
//! is held. Where pieces come from is the caller's.

use crate::transfer::{Bucket, Row};
use anyhow::Context;
use parquet::basic::{Compression, Encoding, GzipLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use std::io::Write;
use std::sync::Arc;

/// A row group is written when it has so many rows: enough for a reader to work on several at once, little enough to be held.
const GROUP_ROWS: usize = 125_000;
/// So many texts are handed over at once.
const TEXTS: usize = 4_096;

/// The columns. A raw sample has a value alone; a bucket's value is its mean.
const SCHEMA: &str = "message history {
    REQUIRED BYTE_ARRAY agent (STRING);
    REQUIRED BYTE_ARRAY metric (STRING);
    REQUIRED INT64 ts (TIMESTAMP(MILLIS,true));
    REQUIRED DOUBLE value;
    OPTIONAL INT64 bucket_ms;
    OPTIONAL DOUBLE min;
    OPTIONAL DOUBLE max;
}";

/// A file that is being written.
pub(crate) struct Columns<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    agent: ByteArray,
    series: Vec<Held>,
    rows: usize,
}

/// The values of a series that wait for their row group.
struct Held {
    name: ByteArray,
    times: Vec<i64>,
    values: Vec<f64>,
    /// 1 for each row that is a bucket, 0 for each that is not.
    is_bucket: Vec<i16>,
    widths: Vec<i64>,
    min: Vec<f64>,
    max: Vec<f64>,
}

impl<W: Write + Send> Columns<W> {
    /// Begins the file of an agent with these series.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn new(out: W, agent: &str, series: &[String]) -> anyhow::Result<Self> {
        let schema = parse_message_type(SCHEMA).context("the columns cannot be made")?;
        // An index of pages would be held until the end, and grow with the file.
        let properties = WriterProperties::builder()
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_compression(Compression::GZIP(GzipLevel::default()))
            .set_column_dictionary_enabled(ColumnPath::from("ts"), false)
            .set_column_encoding(ColumnPath::from("ts"), Encoding::DELTA_BINARY_PACKED)
            .build();
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
        Ok(Self { writer, agent: agent.into(), series: series.iter().map(|name| Held::new(name)).collect(), rows: 0 })
    }

    /// Takes the next rows. Where a series has no value there is no row.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn take(&mut self, rows: &[Row]) -> anyhow::Result<()> {
        for row in rows {
            for (at, (held, bits)) in self.series.iter_mut().zip(&row.v).enumerate() {
                let value = f64::from_bits(*bits);
                if !value.is_nan() {
                    held.push(row.t, value, row.bucket.as_ref(), at);
                    self.rows += 1;
                }
            }
            if self.rows >= GROUP_ROWS {
                self.write_group()?;
            }
        }
        Ok(())
    }

    /// Writes what waits, and the end of the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.writer.finish()?;
        self.writer.inner_mut().flush()?;
        Ok(())
    }

    /// Writes a row group: one series after the other, so that equal names and near values are neighbours.
    fn write_group(&mut self) -> anyhow::Result<()> {
        let mut group = self.writer.next_row_group()?;
        let series = &self.series;
        let agents = series.iter().map(|held| (&self.agent, held.times.len()));
        write_texts(&mut group, agents)?;
        write_texts(&mut group, series.iter().map(|held| (&held.name, held.times.len())))?;
        write::<Int64Type>(&mut group, series.iter().map(|held| (&*held.times, None)))?;
        write::<DoubleType>(&mut group, series.iter().map(|held| (&*held.values, None)))?;
        write::<Int64Type>(&mut group, series.iter().map(|held| (&*held.widths, Some(&*held.is_bucket))))?;
        write::<DoubleType>(&mut group, series.iter().map(|held| (&*held.min, Some(&*held.is_bucket))))?;
        write::<DoubleType>(&mut group, series.iter().map(|held| (&*held.max, Some(&*held.is_bucket))))?;
        group.close()?;
        self.series.iter_mut().for_each(Held::clear);
        self.rows = 0;
        Ok(())
    }
}

impl Held {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            times: Vec::new(),
            values: Vec::new(),
            is_bucket: Vec::new(),
            widths: Vec::new(),
            min: Vec::new(),
            max: Vec::new(),
        }
    }

    fn push(&mut self, time: i64, value: f64, bucket: Option<&Bucket>, at: usize) {
        self.times.push(time);
        self.values.push(value);
        self.is_bucket.push(bucket.is_some().into());
        if let Some(Bucket { width_ms, min, max }) = bucket {
            self.widths.push(*width_ms);
            self.min.push(min.get(at).map_or(value, |bits| f64::from_bits(*bits)));
            self.max.push(max.get(at).map_or(value, |bits| f64::from_bits(*bits)));
        }
    }

    fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.is_bucket.clear();
        self.widths.clear();
        self.min.clear();
        self.max.clear();
    }
}

/// Writes the next column: of each series its values, and which of its rows have one.
fn write<'a, T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    parts: impl Iterator<Item = (&'a [T::T], Option<&'a [i16]>)>,
) -> anyhow::Result<()> {
    let mut column = group.next_column()?.context("there are more columns than the schema has")?;
    for (values, present) in parts {
        column.typed::<T>().write_batch(values, present, None)?;
    }
    Ok(column.close()?)
}

/// Writes the next column: texts, and how often each of them comes.
fn write_texts<'a>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    parts: impl Iterator<Item = (&'a ByteArray, usize)>,
) -> anyhow::Result<()> {
    let mut column = group.next_column()?.context("there are more columns than the schema has")?;
    for (text, times) in parts {
        let texts = vec![text.clone(); times.min(TEXTS)];
        let mut left = times;
        while left > 0 {
            let now = left.min(TEXTS);
            column.typed::<ByteArrayType>().write_batch(&texts[..now], None, None)?;
            left -= now;
        }
    }
    Ok(column.close()?)
}

#[cfg(test)]
mod tests;
