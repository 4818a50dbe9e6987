//! Traffic of every real network interface, from `/proc/net/dev` and `/sys/class/net`.
//!
//! Real are physical interfaces, bonds, VLANs, WireGuard and tun; not the loopback, and not what containers and bridges bring
//! with them. Inside a container no interface is real in that sense: then those that carry traffic are taken. Every interface
//! has its own last reading, so one that comes, goes or is made anew disturbs no other.

use super::Roots;
use super::kernel::rate;
use super::scan::{self, Unparsable, float, missing};
use super::source::{Reader, Source};
use super::track::{Change, Track, Width};
use crate::clock::Moment;
use crate::sheet::Sheet;
use std::path::{Path, PathBuf};

/// Names of interfaces that are never a host's own.
const NOT_REAL: [&str; 7] = ["veth", "docker0", "br-", "cali", "tap", "fw", "ifb"];
/// `DEVTYPE` of virtual interfaces that are.
const REAL_TYPES: [&[u8]; 5] = [b"vlan", b"wireguard", b"bond", b"wlan", b"wwan"];

/// Rates, each from the counter at its place in [`Counts`].
const RATES: [&str; 8] = [
    "net.rx_bytes_per_second",
    "net.rx_packets_per_second",
    "net.rx_errors_per_second",
    "net.rx_drops_per_second",
    "net.tx_bytes_per_second",
    "net.tx_packets_per_second",
    "net.tx_errors_per_second",
    "net.tx_drops_per_second",
];

/// Received bytes, packets, errors, drops, then the same sent.
type Counts = [u64; 8];

/// Readers and last readings.
#[derive(Debug)]
pub(crate) struct Network {
    table: Source,
    class: PathBuf,
    interfaces: Vec<Interface>,
}

#[derive(Debug)]
struct Interface {
    name: String,
    real: bool,
    index: Source,
    state: Source,
    track: Track<8>,
}

/// One line of `/proc/net/dev`.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    name: String,
    counts: Counts,
}

impl Network {
    /// Readers below these roots.
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { table: Source::proc(&roots.proc, "net/dev"), class: roots.sys.join("class/net"), interfaces: Vec::new() }
    }

    /// Writes `net.*`.
    pub(crate) fn collect(&mut self, reader: &mut Reader, now: Moment, sheet: &mut Sheet) {
        let Some((lines, unparsable)) = self.table.parse(reader, sheet, parse) else { return };
        if let Some(unparsable) = unparsable {
            sheet.gap("/proc/net/dev", unparsable.0);
        }
        self.interfaces.retain(|interface| lines.iter().any(|line| line.name == interface.name));
        for line in &lines {
            if !self.interfaces.iter().any(|interface| interface.name == line.name) {
                self.interfaces.push(Interface::new(&line.name, &self.class, reader));
            }
        }
        let none_real = !self.interfaces.iter().any(|interface| interface.real);
        for line in &lines {
            let Some(interface) = self.interfaces.iter_mut().find(|interface| interface.name == line.name) else { continue };
            let carries = none_real && has_real_name(&line.name) && line.counts[1] > 0;
            if interface.real || carries {
                interface.collect(line, reader, now, sheet);
            }
        }
    }
}

impl Interface {
    fn new(name: &str, class: &Path, reader: &mut Reader) -> Self {
        let file = |file: &str| Source::sys(class, &format!("{name}/{file}"));
        Self {
            name: name.to_owned(),
            real: has_real_name(name) && is_real(&class.join(name), reader),
            index: file("ifindex"),
            state: file("operstate"),
            track: Track::new(),
        }
    }

    fn collect(&mut self, line: &Line, reader: &mut Reader, now: Moment, sheet: &mut Sheet) {
        let name = &*self.name;
        let index = self.index.parse(reader, sheet, |bytes| scan::whole(bytes).ok_or_else(|| missing("the index")));
        let identity = index.and_then(|index| u64::try_from(index).ok()).unwrap_or(0);
        let change = self.track.advance(now, identity, line.counts, [Width::Wide; 8]);
        if change == Change::Reset {
            sheet.count_reset();
        }
        for (at, metric) in RATES.into_iter().enumerate() {
            sheet.put_for(metric, name, rate(change, at));
        }
        let up = self.state.parse(reader, sheet, |bytes| Ok(is_up(bytes))).map(f64::from);
        sheet.put_for("net.up", name, up);
        sheet.put_for("net.rx_bytes_total", name, Some(float(line.counts[0])));
        sheet.put_for("net.tx_bytes_total", name, Some(float(line.counts[4])));
        sheet.counter("net.rx_bytes_total", &[("iface", name)], line.counts[0]);
        sheet.counter("net.tx_bytes_total", &[("iface", name)], line.counts[4]);
    }
}

fn has_real_name(name: &str) -> bool {
    name != "lo" && !NOT_REAL.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the kernel says that an interface is a device or one of the virtual kinds that stand for one.
fn is_real(dir: &Path, reader: &mut Reader) -> bool {
    if dir.join("device").exists() || dir.join("bonding").exists() {
        return true;
    }
    let tun = |bytes: &[u8]| {
        let flags = scan::text(bytes);
        u32::from_str_radix(flags.trim_start_matches("0x"), 16).is_ok_and(|flags| flags & 1 == 1)
    };
    if reader.once(&dir.join("tun_flags")).is_ok_and(tun) {
        return true;
    }
    let virtual_but_real = |bytes: &[u8]| {
        scan::lines(bytes).filter_map(|line| line.strip_prefix(b"DEVTYPE=")).any(|kind| REAL_TYPES.contains(&kind))
    };
    reader.once(&dir.join("uevent")).is_ok_and(virtual_but_real)
}

/// Drivers that do not report a state (tun, WireGuard) are "unknown" while they work.
fn is_up(operstate: &[u8]) -> u8 {
    u8::from(matches!(operstate.trim_ascii(), b"up" | b"unknown"))
}

/// The interfaces, and what was wrong with the first line that could not be read.
fn parse(bytes: &[u8]) -> Result<(Vec<Line>, Option<Unparsable>), Unparsable> {
    let (mut lines, mut unparsable, mut headed) = (Vec::new(), None, false);
    for line in scan::lines(bytes) {
        if line.contains(&b'|') {
            headed = true;
            continue;
        }
        match parse_line(line) {
            Some(line) => lines.push(line),
            None => unparsable = unparsable.or_else(|| Some(missing("a counter of an interface"))),
        }
    }
    if headed { Ok((lines, unparsable)) } else { Err(missing("the table's head")) }
}

fn parse_line(line: &[u8]) -> Option<Line> {
    let colon = line.iter().rposition(|byte| *byte == b':')?;
    let mut fields = [0_u64; 16];
    let mut words = scan::words(&line[colon + 1..]);
    for field in &mut fields {
        *field = words.next().and_then(scan::number)?;
    }
    let name = scan::text(&line[..colon]);
    let counts = [fields[0], fields[1], fields[2], fields[3], fields[8], fields[9], fields[10], fields[11]];
    (!name.is_empty()).then_some(Line { name, counts })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo:    3193      29    0    0    0     0          0         0     3193      29    0    0    0     0       0          0\n  eth0: 657934372   19123    1    2    0     0          0         0  1319056   11155    3    4    0     0       0          0\n";

    #[test]
    fn a_table_as_the_kernel_writes_it() {
        let (lines, unparsable) = parse(TABLE.as_bytes()).unwrap();
        assert_eq!(unparsable, None);
        assert_eq!(lines[1], Line { name: "eth0".into(), counts: [657_934_372, 19_123, 1, 2, 1_319_056, 11_155, 3, 4] });
    }

    #[test]
    fn a_bad_line_is_named_and_costs_only_itself() {
        let (lines, unparsable) = parse(format!("{TABLE}eth1: 1 2 x\n").as_bytes()).unwrap();
        assert_eq!((lines.len(), unparsable.is_some()), (2, true));
        assert!(parse(b"").is_err() && parse(b"nonsense").is_err());
    }

    #[test]
    fn names_that_are_not_a_hosts_own() {
        for name in ["lo", "veth12ab", "docker0", "br-0123", "cali1", "tap0", "fwbr100i0", "ifb0"] {
            assert!(!has_real_name(name), "{name}");
        }
        for name in ["eth0", "enp3s0", "bond0", "eth0.100", "wg0", "tun0", "br0", "wlan0"] {
            assert!(has_real_name(name), "{name}");
        }
    }

    #[test]
    fn kinds_are_told_by_sysfs() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let mut reader = Reader::new();
        let mut kind = |name: &str, file: &str, content: &str| {
            let interface = dir.path().join(name);
            std::fs::create_dir_all(&interface)?;
            std::fs::write(interface.join(file), content)?;
            Ok::<_, std::io::Error>(is_real(&interface, &mut reader))
        };
        assert!(kind("eth0", "device", "")?);
        assert!(kind("bond0", "bonding", "")?);
        assert!(kind("tun0", "tun_flags", "0x1001\n")?);
        assert!(!kind("vnet0", "tun_flags", "0x1002\n")?, "a tap device of another name");
        assert!(kind("wg0", "uevent", "DEVTYPE=wireguard\nINTERFACE=wg0\n")?);
        assert!(!kind("br0", "uevent", "DEVTYPE=bridge\nINTERFACE=br0\n")?);
        assert!(!kind("dummy0", "uevent", "INTERFACE=dummy0\n")?);
        Ok(())
    }
}
