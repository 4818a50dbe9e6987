//! What chunks of samples and chunks of buckets have in common: rows, times, the directory of columns, the checksum. What stands
//! in a column is left to `samples` and `buckets`, which column there is to `directory`.

use super::directory::{DECIMALS, Directory, Entry, Slots, put_directory};
use super::integers::{put_integers, read_integers, unzigzag, zigzag};
use super::{Density, Unfit};
use crate::checksum::Key;
use crate::varint::{Damage, Reader, put};
use nightbell_model::Timestamp;

/// The most rows of a chunk: a day and a half of one each second.
pub(crate) const MAX_ROWS: usize = 1 << 17;
/// The first version, of both kinds.
pub(super) const FIRST: u8 = 1;

/// What the rows of a chunk are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Samples.
    Samples,
    /// Buckets.
    Buckets,
}

impl Kind {
    const fn letter(self) -> u8 {
        match self {
            Self::Samples => b'S',
            Self::Buckets => b'B',
        }
    }

    /// The version that is written; those before it are read.
    const fn version(self) -> u8 {
        match self {
            Self::Samples => FIRST,
            Self::Buckets => 2,
        }
    }
}

/// Columns that are packed already.
#[derive(Debug, Default)]
pub(super) struct Columns {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
}

impl Columns {
    /// Adds a column, whose bytes `write` appends and whose head, without the decimals, it answers.
    ///
    /// # Errors
    /// If a column before has the same number or a higher one, or there can be none after it.
    pub(super) fn add(&mut self, id: u32, decimals: u8, write: impl FnOnce(&mut Vec<u8>) -> u8) -> Result<(), Unfit> {
        if self.entries.last().is_some_and(|last| last.id >= id) || id == u32::MAX {
            return Err(Unfit::Order(id));
        }
        let before = self.bytes.len();
        let head = (decimals & DECIMALS) | write(&mut self.bytes);
        self.entries.push(Entry { id, head, size: self.bytes.len() - before });
        Ok(())
    }

    /// Writes the whole chunk to `out`, which is emptied first.
    ///
    /// # Errors
    /// If there are too many times, or none.
    pub(super) fn finish(&self, out: &mut Vec<u8>, key: Key, heading: &Heading<'_>, density: Density) -> Result<(), Unfit> {
        let times = heading.times;
        out.clear();
        if times.is_empty() || times.len() > MAX_ROWS {
            return Err(Unfit::Rows(times.len()));
        }
        out.extend_from_slice(&[heading.kind.letter(), heading.kind.version()]);
        put(out, times.len() as u64);
        let packed = heading.pack(density);
        put(out, packed.len() as u64);
        out.extend_from_slice(&packed);
        put_directory(out, &self.entries);
        out.extend_from_slice(&self.bytes);
        key.seal(out);
        Ok(())
    }
}

/// What all columns share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heading<'a> {
    /// What the rows are.
    pub(super) kind: Kind,
    /// The time of each row.
    pub(super) times: &'a [Timestamp],
    /// How many samples most series have in each row; nothing in a chunk of samples.
    pub(super) counts: &'a [i64],
}

impl Heading<'_> {
    fn pack(&self, density: Density) -> Vec<u8> {
        let mut out = Vec::new();
        put_integers(&mut out, self.counts, density);
        put_times(&mut out, self.times, density);
        out
    }
}

fn put_times(out: &mut Vec<u8>, times: &[Timestamp], density: Density) {
    let first = times.first().map_or(0, |time| time.as_millis());
    let mut steps: Vec<i64> = times.windows(2).map(|pair| pair[1].as_millis().wrapping_sub(pair[0].as_millis())).collect();
    let middle = steps.len() / 2;
    let step = if steps.is_empty() { 0 } else { *steps.select_nth_unstable(middle).1 };
    let expected = |row: i64| first.wrapping_add(row.wrapping_mul(step));
    let off: Vec<i64> = (0..).zip(times).map(|(row, time)| time.as_millis().wrapping_sub(expected(row))).collect();
    put(out, zigzag(first));
    put(out, zigzag(step));
    put_integers(out, &off, density);
}

/// A chunk whose checksum and directory are in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'a> {
    /// How many rows there are.
    pub(super) rows: usize,
    /// In which version it was written.
    pub(super) version: u8,
    kind: Kind,
    heading: &'a [u8],
    directory: Directory<'a>,
    columns: &'a [u8],
}

impl<'a> Layout<'a> {
    /// Verifies `bytes` as a chunk of `kind` that stands in a row with `key`.
    ///
    /// # Errors
    /// If they are not exactly that.
    pub(super) fn open(bytes: &'a [u8], kind: Kind, key: Key) -> Result<Self, Damage> {
        let version = match bytes {
            [letter, version, ..] if *letter == kind.letter() && (FIRST..=kind.version()).contains(version) => *version,
            _ => return Err(Damage("its kind or version is not known")),
        };
        let mut reader = Reader::new(key.open(bytes)?.get(2..).unwrap_or_default());
        let rows = usize::try_from(reader.varint()?).ok().filter(|rows| (1..=MAX_ROWS).contains(rows));
        let rows = rows.ok_or(Damage("its number of rows is impossible"))?;
        let size = length(&mut reader)?;
        let heading = reader.slice(size)?;
        let (directory, columns) = Directory::open(reader)?;
        Ok(Self { rows, version, kind, heading, directory, columns })
    }

    /// Reads the times of all rows into `out`, which is emptied first.
    ///
    /// # Errors
    /// If they are damaged.
    pub(super) fn times(&self, integers: &mut Vec<i64>, out: &mut Vec<Timestamp>) -> Result<(), Damage> {
        out.clear();
        let mut reader = Reader::new(self.heading);
        if self.kind == Kind::Buckets {
            read_integers(&mut reader, self.rows, integers)?;
        }
        let (first, step) = (unzigzag(reader.varint()?), unzigzag(reader.varint()?));
        read_integers(&mut reader, self.rows, integers)?;
        ended(&reader)?;
        let mut expected = first;
        out.extend(integers.iter().map(|off| {
            let time = Timestamp::from_millis(expected.wrapping_add(*off));
            expected = expected.wrapping_add(step);
            time
        }));
        Ok(())
    }

    /// Reads how many samples most series have in each row into `out`, which is emptied first; for chunks of buckets.
    ///
    /// # Errors
    /// If they are damaged.
    pub(super) fn counts(&self, out: &mut Vec<i64>) -> Result<(), Damage> {
        read_integers(&mut Reader::new(self.heading), self.rows, out)
    }

    /// The columns, ascending by number.
    pub(super) fn columns(&self) -> Slots<'a> {
        Slots { directory: self.directory, columns: self.columns, rows: self.rows }
    }
}

/// That nothing is left.
///
/// # Errors
/// If there is.
pub(super) fn ended(reader: &Reader<'_>) -> Result<(), Damage> {
    if reader.is_empty() { Ok(()) } else { Err(Damage("it is longer than needed")) }
}

/// A length within a chunk.
///
/// # Errors
/// If there is none.
pub(super) fn length(reader: &mut Reader<'_>) -> Result<usize, Damage> {
    usize::try_from(reader.varint()?).map_err(|_large| Damage("a length is too large"))
}
