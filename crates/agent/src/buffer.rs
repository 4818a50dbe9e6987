//! Heartbeats that the hub has not yet called durable: the agent is the queue until then.
//!
//! Packed in blocks (see `block`), bounded in memory and age. Over the bound the oldest block keeps every fourth heartbeat, and
//! when all are thin the oldest goes; both are counted. Pure and in memory: a restart of the agent loses what it holds.

mod block;

use crate::sheet::Names;
use block::Block;
use std::collections::VecDeque;
use std::sync::Arc;

/// What the buffer may hold: 24 hours of any host at 15 s.
const MAX_BYTES: usize = 4 << 20;
/// Heartbeats older than this are given up.
const MAX_AGE_MS: i64 = 24 * 3_600_000;

/// One heartbeat as it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Its number in this process, from 1.
    pub seq: u64,
    /// When it was measured, on the clock that runs through suspend.
    pub at_ms: i64,
    /// The host slept before it.
    pub resumed: bool,
    /// Its values.
    pub row: Box<[i64]>,
}

/// Heartbeats of one schema, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    /// What the rows mean.
    pub names: Arc<Names>,
    /// The heartbeats; never empty.
    pub beats: Vec<Beat>,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Buffer {
    blocks: VecDeque<Block>,
    /// Everything up to this number is durable at the hub, or given up.
    done: u64,
    dropped: u64,
    max_bytes: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self::bounded(MAX_BYTES)
    }
}

impl Buffer {
    /// An empty buffer of at most `max_bytes`.
    #[must_use]
    pub fn bounded(max_bytes: usize) -> Self {
        Self { blocks: VecDeque::new(), done: 0, dropped: 0, max_bytes }
    }

    /// Adds a heartbeat, later than all before.
    pub fn push(&mut self, names: &Arc<Names>, beat: &Beat) {
        if !self.blocks.back().is_some_and(|block| block.takes(names, beat.seq)) {
            if let Some(full) = self.blocks.back_mut() {
                full.close();
            }
            self.blocks.push_back(Block::new(Arc::clone(names), beat.seq));
        }
        if let Some(block) = self.blocks.back_mut() {
            block.push(beat);
        }
        self.give_up_old(beat.at_ms);
        self.give_up_surplus();
    }

    /// The oldest heartbeats after number `seq`, of one schema.
    #[must_use]
    pub fn after(&self, seq: u64) -> Option<Parcel> {
        let from = seq.max(self.done);
        let block = self.blocks.iter().find(|block| block.count_after(from) > 0)?;
        Some(Parcel { names: Arc::clone(block.names()), beats: block.after(from) })
    }

    /// The hub has everything up to number `seq`.
    pub fn acknowledge(&mut self, seq: u64) {
        self.done = self.done.max(seq);
        while self.blocks.front().is_some_and(|block| block.count_after(self.done) == 0) {
            self.blocks.pop_front();
        }
    }

    /// How many heartbeats wait after number `seq`.
    #[must_use]
    pub fn count_after(&self, seq: u64) -> u64 {
        self.blocks.iter().map(|block| block.count_after(seq.max(self.done))).sum()
    }

    /// How many heartbeats wait.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.count_after(self.done)
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How many heartbeats were given up.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.blocks.iter().map(Block::size).sum()
    }

    fn give_up_old(&mut self, now_ms: i64) {
        while self.blocks.len() > 1 && self.blocks.front().is_some_and(|block| now_ms - block.newest_ms() > MAX_AGE_MS) {
            self.drop_oldest();
        }
    }

    fn give_up_surplus(&mut self) {
        while self.size() > self.max_bytes && self.blocks.len() > 1 {
            let closed = self.blocks.len() - 1;
            match self.blocks.iter().take(closed).position(|block| !block.thinned) {
                Some(at) => self.thin(at),
                None => self.drop_oldest(),
            }
        }
    }

    fn thin(&mut self, at: usize) {
        let thin = self.blocks[at].thin(self.done);
        self.dropped += self.blocks[at].count_after(self.done) - thin.count_after(self.done);
        self.blocks[at] = thin;
    }

    fn drop_oldest(&mut self) {
        if let Some(block) = self.blocks.pop_front() {
            self.dropped += block.count_after(self.done);
            self.done = self.done.max(block.last_seq());
        }
    }
}

#[cfg(test)]
mod tests;
