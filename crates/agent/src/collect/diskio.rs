//! I/O of every whole disk, from `/proc/diskstats` (Documentation/admin-guide/iostats.rst). Reading it costs no I/O and wakes
//! no disk.
//!
//! Left out are partitions (they are counted in their disk), loop, RAM and compressed-RAM disks, optical drives, and device
//! mapper (it is counted in the disks below). The millisecond fields are 32 bits wide in the kernel and wrap.

use super::Roots;
use super::kernel::rate;
use super::scan::{self, Unparsable, float, missing};
use super::source::{Reader, Source};
use super::track::{Change, Track, Width};
use crate::clock::Moment;
use crate::sheet::Sheet;
use std::path::{Path, PathBuf};

/// The kernel counts in sectors of this size, whatever the disk's own.
const SECTOR_BYTES: u64 = 512;
/// Names of block devices that are no disks.
const NOT_DISKS: [&str; 6] = ["loop", "ram", "zram", "sr", "fd", "dm-"];
/// Requests that can wait side by side: each adds a millisecond in a millisecond.
const IN_FLIGHT: Width = Width::Narrow(4096);
/// The order of [`Counts`]; reads, writes and sectors are 64 bits wide.
const WIDTHS: [Width; 8] =
    [Width::Wide, Width::Wide, IN_FLIGHT, Width::Wide, Width::Wide, IN_FLIGHT, Width::Narrow(2), IN_FLIGHT];

/// Reads, sectors read, ms reading, writes, sectors written, ms writing, ms busy, ms weighted by the queue's length.
type Counts = [u64; 8];

/// Reader and last readings.
#[derive(Debug)]
pub(crate) struct DiskIo {
    table: Source,
    block: PathBuf,
    disks: Vec<Disk>,
}

#[derive(Debug)]
struct Disk {
    name: String,
    whole: bool,
    moved: bool,
    track: Track<8>,
}

/// One line of `/proc/diskstats`.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    device: u64,
    name: String,
    counts: Counts,
}

impl DiskIo {
    /// Readers below these roots.
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { table: Source::proc(&roots.proc, "diskstats"), block: roots.sys.join("block"), disks: Vec::new() }
    }

    /// Writes `diskio.*`.
    pub(crate) fn collect(&mut self, reader: &mut Reader, now: Moment, sheet: &mut Sheet) {
        let Some((lines, unparsable)) = self.table.parse(reader, sheet, parse) else { return };
        if let Some(unparsable) = unparsable {
            sheet.gap("/proc/diskstats", unparsable.0);
        }
        self.disks.retain(|disk| lines.iter().any(|line| line.name == disk.name));
        for line in &lines {
            if !self.disks.iter().any(|disk| disk.name == line.name) {
                let whole = is_whole_disk(&line.name, &self.block);
                self.disks.push(Disk { name: line.name.clone(), whole, moved: true, track: Track::new() });
            }
            // A device that never did anything is a slot without a disk (nbd0 to nbd15).
            let used = line.counts[0] > 0 || line.counts[3] > 0;
            if let Some(disk) = self.disks.iter_mut().find(|disk| disk.name == line.name && disk.whole && used) {
                disk.collect(line, now, sheet);
            }
        }
    }

    /// Whether a disk did any I/O since the reading before the last: one that did not may be asleep, and must not be asked
    /// anything that could wake it. A disk that is not known may be awake.
    pub(crate) fn moved(&self, name: &str) -> bool {
        self.disks.iter().find(|disk| disk.name == name).is_none_or(|disk| disk.moved)
    }
}

impl Disk {
    fn collect(&mut self, line: &Line, now: Moment, sheet: &mut Sheet) {
        let change = self.track.advance(now, line.device, line.counts, WIDTHS);
        if change == Change::Reset {
            sheet.count_reset();
        }
        self.moved = !matches!(change, Change::Grew(_, grown) if grown[0] == 0 && grown[3] == 0);
        let mut put = |metric, value| sheet.put_for(metric, &line.name, value);
        let bytes = |at| rate(change, at).map(|sectors| sectors * float(SECTOR_BYTES));
        let busy = |at| rate(change, at).map(|ms| ms / 1000.0);
        put("diskio.read_bytes_per_second", bytes(1));
        put("diskio.write_bytes_per_second", bytes(4));
        put("diskio.read_iops", rate(change, 0));
        put("diskio.write_iops", rate(change, 3));
        put("diskio.util_percent", busy(6).map(|share| (100.0 * share).min(100.0)));
        put("diskio.read_await_ms", mean(change, 2, 0));
        put("diskio.write_await_ms", mean(change, 5, 3));
        put("diskio.queue_depth", busy(7));
        for (name, sectors) in [("diskio.read_bytes_total", line.counts[1]), ("diskio.write_bytes_total", line.counts[4])] {
            sheet.counter(name, &[("device", &line.name)], sectors.saturating_mul(SECTOR_BYTES));
        }
    }
}

/// The mean time of an operation; without operations there is none.
fn mean(change: Change<8>, ms: usize, count: usize) -> Option<f64> {
    match change {
        Change::Grew(_, grown) if grown[count] > 0 => Some(float(grown[ms]) / float(grown[count])),
        _ => None,
    }
}

/// `/sys/block` lists whole disks only; without it the name tells.
fn is_whole_disk(name: &str, block: &Path) -> bool {
    if NOT_DISKS.iter().any(|prefix| name.starts_with(prefix)) || name.contains("boot") {
        return false;
    }
    if block.exists() { block.join(name.replace('/', "!")).exists() } else { !is_partition_name(name) }
}

/// `sda1`, `vda2`, but `nvme0n1p1`, `mmcblk0p2`, `md0p1`.
fn is_partition_name(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == name.len() {
        return false;
    }
    match stem.strip_suffix('p') {
        Some(disk) if disk.ends_with(|c: char| c.is_ascii_digit()) => true,
        _ => ["sd", "vd", "xvd", "hd"].iter().any(|prefix| name.starts_with(prefix)),
    }
}

/// The devices, and what was wrong with the first line that could not be read.
fn parse(bytes: &[u8]) -> Result<(Vec<Line>, Option<Unparsable>), Unparsable> {
    let (mut lines, mut unparsable) = (Vec::new(), None);
    for line in scan::lines(bytes) {
        match parse_line(line) {
            Some(line) => lines.push(line),
            None => unparsable = unparsable.or_else(|| Some(missing("a counter of a device"))),
        }
    }
    Ok((lines, unparsable))
}

fn parse_line(line: &[u8]) -> Option<Line> {
    let mut words = scan::words(line);
    let major = words.next().and_then(scan::number)?;
    let minor = words.next().and_then(scan::number)?;
    let name = scan::text(words.next()?);
    let mut fields = [0_u64; 11];
    for field in &mut fields {
        *field = words.next().and_then(scan::number)?;
    }
    let [reads, _, read, read_ms, writes, _, written, write_ms, _, busy_ms, weighted_ms] = fields;
    let counts = [reads, read, read_ms, writes, written, write_ms, busy_ms, weighted_ms];
    Some(Line { device: major.checked_shl(32)? | (minor & u64::from(u32::MAX)), name, counts })
}

#[cfg(test)]
mod tests;
