//! The file that an export writes, in each of the formats. What a Parquet file holds is the business of `columnar`.

#[cfg(feature = "parquet")]
use crate::columnar::Columns;
use crate::table::Table;
use crate::transfer::Row;
use anyhow::{Context, ensure};
use nightbell_model::{SeriesKey, Timestamp};
use nightbell_store::ExportPage;
use std::io::Write;

/// How history is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A column for each series, which import reads.
    Csv,
    /// A row for each value.
    Parquet,
}

impl Format {
    /// # Errors
    /// When this build cannot write it.
    pub(super) fn check(self) -> anyhow::Result<()> {
        ensure!(
            self == Self::Csv || cfg!(feature = "parquet"),
            "this build writes no Parquet; `cargo build --release --package nightbell --features parquet` makes one that does"
        );
        Ok(())
    }

    /// What its files' names end with.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// Whether it can be read without a tool.
    pub(super) fn is_text(self) -> bool {
        self == Self::Csv
    }

    /// Whether it holds the extremes of buckets.
    pub(super) fn has_extremes(self) -> bool {
        self == Self::Parquet
    }
}

/// A file that is being written.
pub(super) enum Sheet<W: Write + Send> {
    Csv {
        out: W,
        text: Vec<u8>,
        table: Table,
        width: usize,
    },
    #[cfg(feature = "parquet")]
    Parquet(Box<Columns<W>>),
}

impl<W: Write + Send> Sheet<W> {
    /// Begins the file of the agent called `name`.
    pub(super) fn new(format: Format, out: W, name: &str, series: &[String]) -> anyhow::Result<Self> {
        format.check().with_context(|| format!("no file of {name}"))?;
        #[cfg(feature = "parquet")]
        if format == Format::Parquet {
            return Ok(Self::Parquet(Box::new(Columns::new(out, name, series)?)));
        }
        let keys: Vec<SeriesKey> = series.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let mut text = Vec::new();
        let table = Table::new(&mut text, &keys, false);
        Ok(Self::Csv { out, text, table, width: keys.len() })
    }

    /// Writes the next rows.
    pub(super) fn take(&mut self, rows: &[Row]) -> anyhow::Result<()> {
        match self {
            Self::Csv { out, text, table, width } => {
                table.rows(text, &page(rows, *width), 0..rows.len());
                out.write_all(text)?;
                text.clear();
                Ok(())
            }
            #[cfg(feature = "parquet")]
            Self::Parquet(columns) => columns.take(rows),
        }
    }

    /// Writes what is left.
    pub(super) fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Csv { mut out, text, .. } => {
                out.write_all(&text)?;
                Ok(out.flush()?)
            }
            #[cfg(feature = "parquet")]
            Self::Parquet(columns) => columns.end(),
        }
    }
}

fn page(rows: &[Row], width: usize) -> ExportPage {
    let column = |at: usize| rows.iter().map(|row| row.v.get(at).copied().map_or(f64::NAN, f64::from_bits)).collect();
    ExportPage {
        times: rows.iter().map(|row| Timestamp::from_millis(row.t)).collect(),
        mean: (0..width).map(column).collect(),
        ..ExportPage::default()
    }
}
