//! Up to 64 heartbeats of one schema, packed: each row as differences from the row before.
//!
//! Layout of a row: the growth of the sequence number and of the time since the row before (varints, the time zigzag), one byte
//! of flags, a bitmap of missing values if there are any, then for each present value the zigzag varint of its difference from
//! the last present value of its series (from 0 at first). Pure; it lives in memory only, so its layout may change freely.

use super::Beat;
use crate::sheet::{MISSING, Names};
use std::sync::Arc;

/// Heartbeats a block can hold: one bit each in a mask.
pub(super) const CAPACITY: u64 = 64;

const RESUMED: u8 = 1;
const HAS_MISSING: u8 = 2;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Block {
    names: Arc<Names>,
    base: u64,
    present: u64,
    newest_ms: i64,
    bytes: Vec<u8>,
    former: Former,
    /// Whether most of it has been given up already.
    pub(super) thinned: bool,
}

/// What the next row is written or read against.
#[derive(Debug, Default)]
struct Former {
    seq: u64,
    at_ms: i64,
    values: Vec<i64>,
}

impl Block {
    /// An empty block whose first heartbeat will be `base`.
    pub(super) fn new(names: Arc<Names>, base: u64) -> Self {
        Self { names, base, present: 0, newest_ms: 0, bytes: Vec::new(), former: Former::default(), thinned: false }
    }

    /// Whether a heartbeat with these names and this number belongs in here.
    pub(super) fn takes(&self, names: &Arc<Names>, seq: u64) -> bool {
        Arc::ptr_eq(&self.names, names) && !self.thinned && seq.checked_sub(self.base).is_some_and(|at| at < CAPACITY)
    }

    /// Adds a heartbeat, later than all before.
    pub(super) fn push(&mut self, beat: &Beat) {
        if self.former.values.is_empty() {
            self.former.values = vec![0; beat.row.len()];
        }
        put_varint(&mut self.bytes, beat.seq.wrapping_sub(self.former.seq));
        put_varint(&mut self.bytes, zigzag(beat.at_ms.wrapping_sub(self.former.at_ms)));
        let missing = beat.row.contains(&MISSING);
        self.bytes.push((u8::from(beat.resumed) * RESUMED) | (u8::from(missing) * HAS_MISSING));
        if missing {
            for eight in beat.row.chunks(8) {
                self.bytes.push(eight.iter().enumerate().fold(0, |bits, (at, value)| bits | (u8::from(*value == MISSING) << at)));
            }
        }
        for (value, former) in beat.row.iter().zip(&mut self.former.values) {
            if *value != MISSING {
                put_varint(&mut self.bytes, zigzag(value.wrapping_sub(*former)));
                *former = *value;
            }
        }
        (self.former.seq, self.former.at_ms, self.newest_ms) = (beat.seq, beat.at_ms, beat.at_ms);
        if let Some(at) = beat.seq.checked_sub(self.base).filter(|at| *at < CAPACITY) {
            self.present |= 1 << at;
        }
    }

    /// Nothing more will come: gives back what the writing needed.
    pub(super) fn close(&mut self) {
        self.former = Former::default();
        self.bytes.shrink_to_fit();
    }

    /// The heartbeats after number `seq`, oldest first.
    pub(super) fn after(&self, seq: u64) -> Vec<Beat> {
        let mut rest = &*self.bytes;
        let mut former = Former { values: vec![0; self.names.keys.len()], ..Former::default() };
        let mut beats = Vec::new();
        while !rest.is_empty() {
            let Some(beat) = read_row(&mut rest, &mut former) else { break };
            if beat.seq > seq {
                beats.push(beat);
            }
        }
        beats
    }

    /// How many heartbeats after number `seq` it holds.
    pub(super) fn count_after(&self, seq: u64) -> u64 {
        let done = seq.saturating_add(1).saturating_sub(self.base);
        if done >= CAPACITY { 0 } else { u64::from((self.present >> done).count_ones()) }
    }

    /// The number of the last heartbeat.
    pub(super) fn last_seq(&self) -> u64 {
        self.base + u64::from(self.present.checked_ilog2().unwrap_or(0))
    }

    /// When the last heartbeat was taken.
    pub(super) fn newest_ms(&self) -> i64 {
        self.newest_ms
    }

    /// The names of the rows.
    pub(super) fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// Memory it holds, in bytes.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity() + self.former.values.capacity() * size_of::<i64>()
    }

    /// The same block with every fourth heartbeat after `seq`.
    pub(super) fn thin(&self, seq: u64) -> Self {
        let mut thin = Self::new(Arc::clone(&self.names), self.base);
        for beat in self.after(seq).iter().step_by(4) {
            thin.push(beat);
        }
        thin.close();
        thin.thinned = true;
        thin
    }
}

fn read_row(rest: &mut &[u8], former: &mut Former) -> Option<Beat> {
    former.seq = former.seq.wrapping_add(take_varint(rest)?);
    former.at_ms = former.at_ms.wrapping_add(unzigzag(take_varint(rest)?));
    let (flags, after) = rest.split_first()?;
    *rest = after;
    let bitmap = if flags & HAS_MISSING != 0 { rest.split_off(..former.values.len().div_ceil(8))? } else { &[] };
    let mut row = Vec::with_capacity(former.values.len());
    for (at, value) in former.values.iter_mut().enumerate() {
        if bitmap.get(at / 8).is_some_and(|bits| bits & (1 << (at % 8)) != 0) {
            row.push(MISSING);
            continue;
        }
        *value = value.wrapping_add(unzigzag(take_varint(rest)?));
        row.push(*value);
    }
    Some(Beat { seq: former.seq, at_ms: former.at_ms, resumed: flags & RESUMED != 0, row: row.into_boxed_slice() })
}

/// Small numbers of either sign become small numbers without one.
fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    bytes.push(low_bits(value));
}

fn low_bits(value: u64) -> u8 {
    (value & 0x7f) as u8
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
