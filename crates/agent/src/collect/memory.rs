//! Memory and swap from `/proc/meminfo`, with ZFS's cache from its kstat file.
//!
//! used = total − available, and available = MemAvailable + what ZFS would give back (its cache's size − its minimum): the
//! kernel does not know that this cache can shrink.

use super::Roots;
use super::scan::{self, Unparsable, float, missing, percent};
use super::source::{Reader, Source};
use crate::sheet::Sheet;

/// Readers of memory's files.
#[derive(Debug)]
pub(crate) struct Memory {
    meminfo: Source,
    arcstats: Source,
}

/// The lines of `/proc/meminfo` that are used, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Meminfo {
    total: u64,
    free: u64,
    available: u64,
    cached: u64,
    reclaimable: u64,
    swap_total: u64,
    swap_free: u64,
}

/// Size and lower limit of ZFS's adaptive cache, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arc {
    size: u64,
    least: u64,
}

impl Memory {
    /// Readers below these roots.
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            meminfo: Source::proc(&roots.proc, "meminfo"),
            arcstats: Source::proc(&roots.proc, "spl/kstat/zfs/arcstats").if_there(),
        }
    }

    /// Writes `mem.*` and the sizes of `swap.*`.
    pub(crate) fn collect(&mut self, reader: &mut Reader, sheet: &mut Sheet) {
        let arc = self.arcstats.parse(reader, sheet, parse_arcstats);
        let Some(mem) = self.meminfo.parse(reader, sheet, parse_meminfo) else { return };
        let shrinkable = arc.map_or(0, |arc| arc.size.saturating_sub(arc.least));
        let available = mem.available.saturating_add(shrinkable).min(mem.total);
        let used = mem.total - available;
        sheet.put("mem.total_bytes", Some(float(mem.total)));
        sheet.put("mem.used_bytes", Some(float(used)));
        sheet.put("mem.available_bytes", Some(float(available)));
        sheet.put("mem.free_bytes", Some(float(mem.free)));
        sheet.put("mem.cached_bytes", Some(float(mem.cached.saturating_add(mem.reclaimable))));
        sheet.put("mem.used_percent", percent(float(used), float(mem.total)));
        if let Some(arc) = arc {
            sheet.put("mem.zfs_arc_bytes", Some(float(arc.size)));
        }
        let swap_used = mem.swap_total.saturating_sub(mem.swap_free);
        sheet.put("swap.total_bytes", Some(float(mem.swap_total)));
        sheet.put("swap.used_bytes", Some(float(swap_used)));
        sheet.put("swap.used_percent", percent(float(swap_used), float(mem.swap_total)));
    }
}

/// `MemTotal` in bytes, for the facts of a host.
pub(crate) fn total_bytes(meminfo: &[u8]) -> Option<u64> {
    parse_meminfo(meminfo).ok().map(|mem| mem.total)
}

fn parse_meminfo(bytes: &[u8]) -> Result<Meminfo, Unparsable> {
    const NAMES: [&[u8]; 7] =
        [b"MemTotal:", b"MemFree:", b"MemAvailable:", b"Cached:", b"SReclaimable:", b"SwapTotal:", b"SwapFree:"];
    let mut values = [None; 7];
    for line in scan::lines(bytes) {
        let mut words = scan::words(line);
        let Some(at) = words.next().and_then(|name| NAMES.iter().position(|known| *known == name)) else { continue };
        values[at] = words.next().and_then(scan::number).and_then(|kib| kib.checked_mul(1024));
    }
    let value = |at: usize| values[at].ok_or_else(|| missing(&scan::text(NAMES[at])));
    Ok(Meminfo {
        total: value(0)?,
        free: value(1)?,
        available: value(2)?,
        cached: value(3)?,
        // A kernel can be built without these three.
        reclaimable: values[4].unwrap_or_default(),
        swap_total: values[5].unwrap_or_default(),
        swap_free: values[6].unwrap_or_default(),
    })
}

fn parse_arcstats(bytes: &[u8]) -> Result<Arc, Unparsable> {
    let value = |name: &[u8]| {
        let line = scan::lines(bytes).find(|line| scan::words(line).next() == Some(name))?;
        scan::words(line).nth(2).and_then(scan::number)
    };
    match (value(b"size"), value(b"c_min")) {
        (Some(size), Some(least)) => Ok(Arc { size, least }),
        _ => Err(missing("size or c_min")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_as_the_kernel_writes_them() {
        let text = b"MemTotal:       16384000 kB\nMemFree:  2048000 kB\nMemAvailable:    8192000 kB\nBuffers: 5 kB\nCached: 1000 kB\nSwapCached: 9 kB\nSReclaimable: 24 kB\nHugePages_Total: 0\n";
        let mem = parse_meminfo(text).unwrap();
        assert_eq!(mem.total, 16_777_216_000);
        assert_eq!((mem.free, mem.available), (2_097_152_000, 8_388_608_000));
        assert_eq!((mem.cached, mem.reclaimable, mem.swap_total), (1_024_000, 24_576, 0));
        let arc = parse_arcstats(b"13 1 0x01 147 39984 1 2\nname type data\nhits 4 1\nc_min 4 300\nc_max 4 900\nsize 4 700\n");
        assert_eq!(arc, Ok(Arc { size: 700, least: 300 }));
    }

    #[test]
    fn what_they_are_not_is_refused() {
        for bad in [
            &b""[..],
            b"MemTotal: x kB\n",
            b"MemTotal: 18446744073709551615 kB\nMemFree: 1 kB\nMemAvailable: 1 kB\nCached: 1 kB\n",
            b"\xff",
        ] {
            assert!(parse_meminfo(bad).is_err() && parse_arcstats(bad).is_err(), "{bad:?}");
        }
    }
}
