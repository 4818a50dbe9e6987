//! The directory of a chunk: which series have a column, and where it stands. What is in a column is left to `samples` and
//! `buckets`.

use super::layout::length;
use crate::varint::{Damage, Reader, put};

/// The bits of a column's head that hold its decimals.
pub(super) const DECIMALS: u8 = 0x0f;

/// A line of the directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The number of the series.
    pub(super) id: u32,
    /// Its decimals, and flags of its column.
    pub(super) head: u8,
    /// How many bytes its column has.
    pub(super) size: usize,
}

/// Appends the directory of columns, which ascend by number.
pub(super) fn put_directory(out: &mut Vec<u8>, entries: &[Entry]) {
    let runs = || entries.chunk_by(|a, b| a.id + 1 == b.id);
    put(out, runs().count() as u64);
    let mut next = 0;
    for run in runs() {
        let Some(first) = run.first() else { continue };
        put(out, u64::from(first.id - next));
        put(out, run.len() as u64);
        for entry in run {
            out.push(entry.head);
            put(out, entry.size as u64);
        }
        next = first.id + u32::try_from(run.len()).unwrap_or(u32::MAX);
    }
}

/// The directory of a chunk, as it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directory<'a> {
    reader: Reader<'a>,
    /// Runs that are still to come.
    runs: u64,
    /// Entries of this run that are still to come.
    left: u32,
    /// The next series.
    id: u32,
}

impl<'a> Directory<'a> {
    /// The directory that begins here, and the columns that follow it, once all of these are spoken for.
    ///
    /// # Errors
    /// If the directory is damaged.
    pub(super) fn open(mut reader: Reader<'a>) -> Result<(Self, &'a [u8]), Damage> {
        let runs = reader.varint()?;
        let begin = Self { reader, runs, left: 0, id: 0 };
        let (mut walk, mut sum) = (begin, 0_usize);
        while let Some(entry) = walk.next_entry()? {
            sum = sum.checked_add(entry.size).ok_or(Damage("its columns are too long"))?;
        }
        let columns = walk.reader.rest();
        if columns.len() == sum {
            Ok((begin, columns))
        } else {
            Err(Damage("its columns have another size than its directory says"))
        }
    }

    #[inline]
    fn next_entry(&mut self) -> Result<Option<Entry>, Damage> {
        if self.left == 0 {
            if self.runs == 0 {
                return Ok(None);
            }
            self.begin_run()?;
        }
        let (head, size) = (self.reader.byte()?, length(&mut self.reader)?);
        let entry = Entry { id: self.id, head, size };
        self.left -= 1;
        self.id = self.id.checked_add(1).ok_or(Damage("a series number is too large"))?;
        Ok(Some(entry))
    }

    fn begin_run(&mut self) -> Result<(), Damage> {
        let too_large = Damage("a series number is too large");
        let number = |value: u64| u32::try_from(value).map_err(|_large| too_large);
        let skip = number(self.reader.varint()?)?;
        self.id = self.id.checked_add(skip).ok_or(too_large)?;
        self.left = number(self.reader.varint()?)?;
        self.runs -= 1;
        if self.left == 0 { Err(Damage("a run is empty")) } else { Ok(()) }
    }
}

/// One column as it is packed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<'a> {
    /// The number of its series.
    pub(super) id: u32,
    /// Its head without the decimals.
    pub(super) flags: u8,
    /// The decimals of its series.
    pub(super) decimals: u8,
    /// How many rows it has.
    pub(super) rows: usize,
    /// The rest.
    pub(super) bytes: &'a [u8],
}

impl<'a> Slot<'a> {
    /// A reader of the column of a series with these decimals.
    ///
    /// # Errors
    /// If the column was packed for other decimals.
    pub(super) fn reader(&self, decimals: u8) -> Result<Reader<'a>, Damage> {
        if self.decimals == decimals {
            Ok(Reader::new(self.bytes))
        } else {
            Err(Damage("its decimals are not those of the dictionary"))
        }
    }
}

/// The columns of a chunk, one after another.
#[derive(Debug, Clone)]
pub(super) struct Slots<'a> {
    /// What is left of the directory.
    pub(super) directory: Directory<'a>,
    /// The columns that it describes.
    pub(super) columns: &'a [u8],
    /// How many rows each has.
    pub(super) rows: usize,
}

impl<'a> Iterator for Slots<'a> {
    type Item = Slot<'a>;

    #[inline]
    fn next(&mut self) -> Option<Slot<'a>> {
        let entry = self.directory.next_entry().ok()??;
        let (bytes, rest) = self.columns.split_at_checked(entry.size)?;
        self.columns = rest;
        let (flags, decimals) = (entry.head & !DECIMALS, entry.head & DECIMALS);
        Some(Slot { id: entry.id, flags, decimals, rows: self.rows, bytes })
    }
}
