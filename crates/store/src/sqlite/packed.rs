//! Buckets out of chunks, one chunk in memory at a time.

use super::chunks::{self, ROLLUPS};
use super::failure::Answer;
use super::history::{Selection, Sink, Span};
use super::marks::{self, Piece};
use crate::chunk::{BucketChunk, Scratch};
use crate::rollup::Bucket;
use crate::varint::Damage;
use nightbell_model::{Tier, Timestamp};
use rusqlite::Connection;

/// The buckets of a tier within a span that stand in chunks.
pub(super) struct Packed<'c, 's> {
    connection: &'c Connection,
    selection: &'s Selection<'s>,
    tier: Tier,
    span: Span,
    pieces: std::vec::IntoIter<Piece>,
    times: Vec<Timestamp>,
    /// A bucket for each time; nothing for a series that the chunk does not have.
    columns: Vec<Vec<Bucket>>,
    next: usize,
    row: Vec<Bucket>,
    scratch: Scratch,
}

impl<'c, 's> Packed<'c, 's> {
    /// Those that start within `span`.
    pub(super) fn open(connection: &'c Connection, selection: &'s Selection<'s>, tier: Tier, span: Span) -> Answer<Self> {
        let pieces = chunks::readable(connection, selection, tier, span)?.into_iter();
        let columns = vec![Vec::new(); selection.width];
        let row = selection.empty();
        let (times, scratch) = (Vec::new(), Scratch::default());
        Ok(Self { connection, selection, tier, span, pieces, times, columns, next: 0, row, scratch })
    }

    /// When the next one starts.
    pub(super) fn peek(&mut self) -> Answer<Option<Timestamp>> {
        loop {
            if let Some(time) = self.times.get(self.next) {
                if *time >= self.span.1 {
                    return Ok(None);
                }
                if *time >= self.span.0 {
                    return Ok(Some(*time));
                }
                self.next += 1;
                continue;
            }
            let Some(piece) = self.pieces.next() else { return Ok(None) };
            self.load(&piece)?;
        }
    }

    /// Gives the next one, which was peeked at, to `sink`.
    pub(super) fn take(&mut self, sink: Sink<'_>) -> Answer<()> {
        let Some(time) = self.times.get(self.next).copied() else { return Ok(()) };
        for (to, column) in self.row.iter_mut().zip(&self.columns) {
            *to = column.get(self.next).copied().unwrap_or_default();
        }
        self.next += 1;
        sink(time, &self.row)
    }

    /// Passes the next one, which was peeked at.
    pub(super) const fn skip(&mut self) {
        self.next += 1;
    }

    fn load(&mut self, piece: &Piece) -> Answer<()> {
        self.next = 0;
        self.times.clear();
        self.columns.iter_mut().for_each(Vec::clear);
        let key = marks::chunk(self.selection.agent, self.tier, piece);
        let (connection, selection) = (self.connection, self.selection);
        let read = chunks::body(connection, ROLLUPS, piece.id, |bytes| self.unpack(bytes, key));
        let outcome = selection.survive(ROLLUPS, (piece.start, piece.until), read)?;
        if let Some(Err(damage)) = &outcome {
            selection.note(ROLLUPS, (piece.start, piece.until), damage);
        }
        if !matches!(outcome, Some(Ok(()))) {
            self.times.clear();
        }
        Ok(())
    }

    /// Reads the columns that are selected.
    fn unpack(&mut self, bytes: &[u8], key: crate::checksum::Key) -> Result<(), Damage> {
        let chunk = BucketChunk::open(bytes, key)?;
        chunk.times(&mut self.scratch, &mut self.times)?;
        for part in chunk.columns().take_while(|part| part.id() <= self.selection.last) {
            let column = self.selection.column(part.id()).and_then(|column| self.columns.get_mut(column));
            let decimals = self.selection.decimals.get(part.id() as usize).copied().unwrap_or(0);
            if let Some(column) = column {
                part.buckets(decimals, &mut self.scratch, column)?;
            }
        }
        Ok(())
    }
}
