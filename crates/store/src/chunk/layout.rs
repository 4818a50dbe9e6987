//! What chunks of samples and chunks of buckets have in common: rows, times, the directory of columns, the checksum. What stands
//! in a column is left to `samples` and `buckets`.

use super::integers::{put_integers, read_integers, unzigzag, zigzag};
use super::{Density, Unfit};
use crate::checksum::Key;
use crate::varint::{Damage, Reader, put};
use nightbell_model::Timestamp;

/// The most rows of a chunk: a day and a half of one each second.
pub(crate) const MAX_ROWS: usize = 1 << 17;
/// The format's version.
const VERSION: u8 = 1;
/// The bits of a column's head that hold its decimals.
const DECIMALS: u8 = 0x0f;

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
}

/// Columns that are packed already.
#[derive(Debug, Default)]
pub(super) struct Columns {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: u32,
    head: u8,
    size: usize,
}

impl Columns {
    /// Adds a column, whose bytes `write` appends and whose head, without the decimals, it answers.
    ///
    /// # Errors
    /// If a column before has the same number or a higher one.
    pub(super) fn add(&mut self, id: u32, decimals: u8, write: impl FnOnce(&mut Vec<u8>) -> u8) -> Result<(), Unfit> {
        if self.entries.last().is_some_and(|last| last.id >= id) {
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
        out.extend_from_slice(&[heading.kind.letter(), VERSION]);
        put(out, times.len() as u64);
        let packed = heading.pack(density);
        put(out, packed.len() as u64);
        out.extend_from_slice(&packed);
        self.put_directory(out);
        out.extend_from_slice(&self.bytes);
        key.seal(out);
        Ok(())
    }

    fn put_directory(&self, out: &mut Vec<u8>) {
        let runs = || self.entries.chunk_by(|a, b| a.id + 1 == b.id);
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
    kind: Kind,
    heading: &'a [u8],
    directory: Reader<'a>,
    runs: u64,
    columns: &'a [u8],
}

impl<'a> Layout<'a> {
    /// Verifies `bytes` as a chunk of `kind` that stands in a row with `key`.
    ///
    /// # Errors
    /// If they are not exactly that.
    pub(super) fn open(bytes: &'a [u8], kind: Kind, key: Key) -> Result<Self, Damage> {
        if bytes.get(..2).is_none_or(|head| head != [kind.letter(), VERSION]) {
            return Err(Damage("its kind or version is not known"));
        }
        let mut reader = Reader::new(key.open(bytes)?.get(2..).unwrap_or_default());
        let rows = usize::try_from(reader.varint()?).ok().filter(|rows| (1..=MAX_ROWS).contains(rows));
        let rows = rows.ok_or(Damage("its number of rows is impossible"))?;
        let size = length(&mut reader)?;
        let heading = reader.slice(size)?;
        let runs = reader.varint()?;
        let mut layout = Self { rows, kind, heading, directory: reader, runs, columns: &[] };
        layout.columns = layout.check_directory()?;
        Ok(layout)
    }

    /// What follows the directory, once all of that is spoken for.
    fn check_directory(&self) -> Result<&'a [u8], Damage> {
        let mut walk = self.walk();
        let mut sum = 0_usize;
        while let Some(entry) = walk.next_entry()? {
            sum = sum.checked_add(entry.size).ok_or(Damage("its columns are too long"))?;
        }
        let columns = walk.reader.rest();
        if columns.len() == sum { Ok(columns) } else { Err(Damage("its columns have another size than its directory says")) }
    }

    fn walk(&self) -> Walk<'a> {
        Walk { reader: self.directory, runs: self.runs, left: 0, id: 0 }
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
        Slots { walk: self.walk(), columns: self.columns, rows: self.rows }
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
pub(super) fn length(reader: &mut Reader<'_>) -> Result<usize, Damage> {
    usize::try_from(reader.varint()?).map_err(|_large| Damage("a length is too large"))
}

#[derive(Debug, Clone)]
struct Walk<'a> {
    reader: Reader<'a>,
    /// Runs that are still to come.
    runs: u64,
    /// Entries of this run that are still to come.
    left: u32,
    /// The next series.
    id: u32,
}

impl Walk<'_> {
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
    walk: Walk<'a>,
    columns: &'a [u8],
    rows: usize,
}

impl<'a> Iterator for Slots<'a> {
    type Item = Slot<'a>;

    #[inline]
    fn next(&mut self) -> Option<Slot<'a>> {
        let entry = self.walk.next_entry().ok()??;
        let (bytes, rest) = self.columns.split_at_checked(entry.size)?;
        self.columns = rest;
        let (flags, decimals) = (entry.head & !DECIMALS, entry.head & DECIMALS);
        Some(Slot { id: entry.id, flags, decimals, rows: self.rows, bytes })
    }
}
