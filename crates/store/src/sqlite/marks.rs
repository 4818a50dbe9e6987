//! The checksums' keys: which columns of a row stand beside its packed bytes, as docs/formats says.

use crate::checksum::{Key, real};
use nightbell_model::{Tier, Timestamp};
use rusqlite::Row;

/// The columns of a raw row that [`raw_row`] reads, in its order.
pub(super) const RAW_COLUMNS: &str = "ts, received, boot, seq, cpu_percent, mem_percent, disk_percent, vector";

/// What stands beside the vector of a heartbeat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside {
    /// When it was measured.
    pub(super) ts: i64,
    /// When it was received.
    pub(super) received: i64,
    /// The number of the process that sent it, and its place there.
    pub(super) boot_seq: Option<(i64, i64)>,
    /// The values in columns of their own.
    pub(super) headline: [Option<f64>; 3],
}

impl Beside {
    /// The key of its row.
    pub(super) fn key(&self, agent: i64) -> Key {
        let (boot, seq) = self.boot_seq.unwrap_or((0, 0));
        // The file keeps no -0.0 in a column of its own.
        let [cpu, mem, disk] = self.headline.map(|value| real(value.map(|value| value + 0.0)));
        Key::of(&[agent, self.ts, self.received, boot, seq, cpu, mem, disk])
    }
}

/// The time of a raw row and the key of its checksum, from a row of [`RAW_COLUMNS`].
pub(super) fn raw_row(row: &Row<'_>, agent: i64) -> rusqlite::Result<(Timestamp, Key)> {
    raw_row_from(row, 0, agent)
}

/// The same of a row whose [`RAW_COLUMNS`] begin at the cell `first`.
pub(super) fn raw_row_from(row: &Row<'_>, first: usize, agent: i64) -> rusqlite::Result<(Timestamp, Key)> {
    let boot: Option<i64> = row.get(first + 2)?;
    let seq: Option<i64> = row.get(first + 3)?;
    let headline = [row.get(first + 4)?, row.get(first + 5)?, row.get(first + 6)?];
    let beside = Beside {
        ts: row.get(first)?,
        received: row.get(first + 1)?,
        boot_seq: boot.or(seq).map(|_| (boot.unwrap_or(0), seq.unwrap_or(0))),
        headline,
    };
    Ok((Timestamp::from_millis(beside.ts), beside.key(agent)))
}

/// The key of a rolled up row.
pub(super) fn bucket(agent: i64, tier: Tier, bucket: Timestamp) -> Key {
    Key::of(&[agent, tier as i64, bucket.as_millis()])
}

/// The key of a chunk: its agent, its tier (0: raw), and its span, rows and density.
pub(super) fn chunk(agent: i64, tier: Tier, piece: &Piece) -> Key {
    Key::of(&[agent, tier as i64, piece.start.as_millis(), piece.until.as_millis(), piece.rows, i64::from(piece.dense)])
}

/// A chunk without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// The number of its row.
    pub(super) id: i64,
    /// Its first moment.
    pub(super) start: Timestamp,
    /// Its first moment no more.
    pub(super) until: Timestamp,
    /// How many rows are in it.
    pub(super) rows: i64,
    /// Whether it is packed densely.
    pub(super) dense: bool,
}

/// The checksum of a line of the dictionary, as its column holds it.
pub(super) fn series(agent: i64, id: u32, key: &str, decimals: u8) -> i64 {
    let mut bytes = key.as_bytes().to_vec();
    Key::of(&[agent, i64::from(id), i64::from(decimals)]).seal(&mut bytes);
    bytes.last_chunk::<4>().map_or(0, |checksum| i64::from(u32::from_le_bytes(*checksum)))
}
