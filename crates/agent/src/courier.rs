//! What to send when: the agent's side of "acknowledged means durable". Pure: told the time, the chance and what the hub said.
//!
//! Heartbeats are sent oldest first. After an interruption the buffer goes out in parcels, one at a time, each after the
//! acknowledgement of the one before and a short pause, so that a fleet's return is no stampede; live heartbeats follow. What
//! is not acknowledged is sent again on the next connection.

use crate::backoff::jitter;
use crate::buffer::{Beat, Buffer, Parcel};
use crate::collect::Reading;
use std::sync::Arc;

/// Single heartbeats that may wait for their acknowledgement at once: a slow commit does not hold up the next ones.
const WINDOW: u64 = 4;
/// The longest pause between two parcels of a replay.
const PAUSE_MS: i64 = 200;
/// A hub that owes an acknowledgement and says nothing for this long is gone, though the connection stands.
const SILENCE_MS: i64 = 60_000;
/// The longest patience a hub can ask for.
const MAX_SLOW_MS: u64 = 3_600_000;

/// See the head of this file.
#[derive(Debug)]
pub struct Courier {
    buffer: Buffer,
    boot_id: String,
    last_seq: u64,
    connected: bool,
    /// Everything up to this number was sent on this connection.
    sent: u64,
    /// Everything up to this number was sent on some connection: more than that cannot be acknowledged.
    ever_sent: u64,
    acknowledged: u64,
    not_before_ms: i64,
    heard_ms: i64,
}

impl Courier {
    /// A courier of one agent process, named by `boot_id`.
    #[must_use]
    pub fn new(boot_id: String, buffer: Buffer) -> Self {
        Self {
            buffer,
            boot_id,
            last_seq: 0,
            connected: false,
            sent: 0,
            ever_sent: 0,
            acknowledged: 0,
            not_before_ms: 0,
            heard_ms: 0,
        }
    }

    /// Takes a heartbeat and gives it its number.
    pub fn take(&mut self, reading: Reading) {
        self.last_seq += 1;
        let beat = Beat { seq: self.last_seq, at_ms: reading.at.boot_ms, resumed: reading.resumed, row: reading.row };
        self.buffer.push(&reading.names, &beat);
    }

    /// The hub accepts heartbeats.
    pub fn connected(&mut self, now_ms: i64) {
        (self.connected, self.sent, self.not_before_ms, self.heard_ms) = (true, self.acknowledged, now_ms, now_ms);
    }

    /// The connection is gone: what was sent and not acknowledged is to be sent again.
    pub fn disconnected(&mut self) {
        self.connected = false;
    }

    /// The hub has said something.
    pub fn heard(&mut self, now_ms: i64) {
        self.heard_ms = self.heard_ms.max(now_ms);
    }

    /// The hub calls all heartbeats up to `seq` durable; one that names neither process nor number (an old hub) means all that
    /// were sent.
    pub fn acknowledge(&mut self, boot_id: Option<&str>, seq: Option<u64>) {
        if boot_id.is_none_or(|boot_id| boot_id == self.boot_id) {
            let seq = seq.unwrap_or(self.sent).min(self.ever_sent);
            self.acknowledged = self.acknowledged.max(seq);
            self.sent = self.sent.max(seq);
            self.buffer.acknowledge(seq);
        }
    }

    /// The hub asks for patience; it may have dropped what it did not acknowledge.
    pub fn slow_down(&mut self, retry_after_ms: u64, now_ms: i64) {
        let wait = i64::try_from(retry_after_ms.min(MAX_SLOW_MS)).unwrap_or(0);
        (self.not_before_ms, self.sent) = (now_ms + wait, self.acknowledged);
        self.heard(now_ms + wait);
    }

    /// What may be sent now. `chance` spreads the pauses of a replay.
    pub fn next(&mut self, now_ms: i64, chance: u64) -> Option<Parcel> {
        if self.wants_at().is_none_or(|at| at > now_ms) {
            return None;
        }
        let parcel = self.buffer.after(self.sent)?;
        if self.outstanding() == 0 {
            self.heard_ms = self.heard_ms.max(now_ms);
        }
        self.sent = parcel.beats.last().map_or(self.sent, |beat| beat.seq);
        self.ever_sent = self.ever_sent.max(self.sent);
        if parcel.beats.len() > 1 {
            self.not_before_ms = now_ms + jitter(PAUSE_MS, chance);
        }
        Some(parcel)
    }

    /// When [`Courier::next`] will have something, as far as that depends on time alone.
    #[must_use]
    pub fn wants_at(&self) -> Option<i64> {
        let waiting = self.buffer.count_after(self.sent);
        // More than one heartbeat is a replay: only when nothing is outstanding.
        let room = if waiting > 1 { 1 } else { WINDOW };
        (self.connected && waiting > 0 && self.outstanding() < room).then_some(self.not_before_ms)
    }

    /// When the hub is to be given up, if it goes on saying nothing.
    #[must_use]
    pub fn gives_up_at(&self) -> Option<i64> {
        (self.connected && self.outstanding() > 0).then_some(self.heard_ms + SILENCE_MS)
    }

    /// Names this agent process.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Heartbeats waiting for the hub's word.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.buffer.len()
    }

    /// Heartbeats given up.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.buffer.dropped()
    }

    fn outstanding(&self) -> u64 {
        self.buffer.len() - self.buffer.count_after(self.sent)
    }
}

/// A heartbeat that says only that the agent lives: the collection did not end in time.
#[must_use]
pub fn empty_reading(at: crate::clock::Moment, gap: crate::sheet::Gap) -> Reading {
    let names = Arc::new(crate::sheet::Names { id: 0, keys: Vec::new(), decimals: Vec::new() });
    Reading { at, names, row: Box::default(), gaps: vec![gap], resumed: false }
}

#[cfg(test)]
mod tests;
