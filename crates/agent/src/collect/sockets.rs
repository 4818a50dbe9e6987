//! Counts of TCP and UDP from the kernel's own sums: the cost does not grow with the number of sockets, as it would with the
//! lists in `/proc/net/tcp`.

use super::Roots;
use super::kernel::{rate, write_rates};
use super::scan::{self, Unparsable, float, missing};
use super::source::{Reader, Source};
use super::track::{Change, Track, Width};
use crate::clock::Moment;
use crate::sheet::Sheet;

/// Readers and last readings.
#[derive(Debug)]
pub(crate) struct Sockets {
    sockstat: Source,
    sockstat6: Source,
    snmp: Source,
    netstat: Source,
    snmp_track: Track<2>,
    netstat_track: Track<1>,
}

/// The line of TCP in `/proc/net/sockstat`.
#[derive(Debug, PartialEq, Eq)]
struct Sockstat {
    in_use: u64,
    orphan: u64,
    time_wait: u64,
}

/// What is used of `/proc/net/snmp`.
#[derive(Debug, PartialEq, Eq)]
struct Snmp {
    established: u64,
    retransmits: u64,
    udp_errors: u64,
}

impl Sockets {
    /// Readers below these roots.
    pub(crate) fn new(roots: &Roots) -> Self {
        let proc = |name| Source::proc(&roots.proc, name);
        Self {
            sockstat: proc("net/sockstat"),
            sockstat6: proc("net/sockstat6").if_there(),
            snmp: proc("net/snmp"),
            netstat: proc("net/netstat"),
            snmp_track: Track::new(),
            netstat_track: Track::new(),
        }
    }

    /// Writes `tcp.*` and `udp.*`.
    pub(crate) fn collect(&mut self, reader: &mut Reader, now: Moment, sheet: &mut Sheet) {
        let six = self.sockstat6.parse(reader, sheet, parse_sockstat6);
        if let Some(four) = self.sockstat.parse(reader, sheet, parse_sockstat) {
            sheet.put("tcp.in_use", Some(float(four.in_use.saturating_add(six.unwrap_or_default()))));
            sheet.put("tcp.orphan", Some(float(four.orphan)));
            sheet.put("tcp.time_wait", Some(float(four.time_wait)));
        }
        if let Some(snmp) = self.snmp.parse(reader, sheet, parse_snmp) {
            let change = self.snmp_track.advance(now, 0, [snmp.retransmits, snmp.udp_errors], [Width::Wide; 2]);
            sheet.put("tcp.established", Some(float(snmp.established)));
            sheet.put("tcp.retransmits_per_second", rate(change, 0));
            sheet.put("udp.receive_errors_per_second", rate(change, 1));
            if change == Change::Reset {
                sheet.count_reset();
            }
        }
        if let Some(drops) = self.netstat.parse(reader, sheet, |bytes| column(bytes, b"TcpExt:", b"ListenDrops")) {
            let change = self.netstat_track.advance(now, 0, [drops], [Width::Wide]);
            write_rates(["tcp.listen_drops_per_second"], change, 1.0, sheet);
        }
    }
}

fn parse_sockstat(bytes: &[u8]) -> Result<Sockstat, Unparsable> {
    let value = |name| pair(bytes, b"TCP:", name);
    Ok(Sockstat { in_use: value(b"inuse")?, orphan: value(b"orphan")?, time_wait: value(b"tw")? })
}

fn parse_sockstat6(bytes: &[u8]) -> Result<u64, Unparsable> {
    pair(bytes, b"TCP6:", b"inuse")
}

fn parse_snmp(bytes: &[u8]) -> Result<Snmp, Unparsable> {
    Ok(Snmp {
        established: column(bytes, b"Tcp:", b"CurrEstab")?,
        retransmits: column(bytes, b"Tcp:", b"RetransSegs")?,
        udp_errors: column(bytes, b"Udp:", b"InErrors")?,
    })
}

/// The number after `name` in the line that starts with `protocol`: `TCP: inuse 5 orphan 0`.
fn pair(bytes: &[u8], protocol: &[u8], name: &[u8]) -> Result<u64, Unparsable> {
    let line = scan::lines(bytes).find(|line| scan::words(line).next() == Some(protocol));
    let value = line.and_then(|line| scan::words(line).skip_while(|word| *word != name).nth(1));
    value.and_then(scan::number).ok_or_else(|| missing(&scan::text(name)))
}

/// The number under `name` in the two lines, names and values, that start with `protocol`.
fn column(bytes: &[u8], protocol: &[u8], name: &[u8]) -> Result<u64, Unparsable> {
    let mut rows = scan::lines(bytes).filter(|line| scan::words(line).next() == Some(protocol));
    let (Some(names), Some(values)) = (rows.next(), rows.next()) else { return Err(missing(&scan::text(protocol))) };
    let at = scan::words(names).position(|word| word == name);
    let value = at.and_then(|at| scan::words(values).nth(at)).and_then(scan::number);
    value.ok_or_else(|| missing(&scan::text(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_as_the_kernel_writes_them() {
        let text = b"sockets: used 100\nTCP: inuse 5 orphan 1 tw 2 alloc 8 mem 1\nUDP: inuse 3 mem 0\n";
        assert_eq!(parse_sockstat(text), Ok(Sockstat { in_use: 5, orphan: 1, time_wait: 2 }));
        assert_eq!(parse_sockstat6(b"TCP6: inuse 4\nUDP6: inuse 2\n"), Ok(4));
        let snmp = b"Ip: Forwarding\nIp: 1\nTcp: RtoMin MaxConn CurrEstab RetransSegs\nTcp: 200 -1 42 1234\nUdp: InDatagrams InErrors\nUdp: 8 9\nUdpLite: InErrors\nUdpLite: 0\n";
        assert_eq!(parse_snmp(snmp), Ok(Snmp { established: 42, retransmits: 1234, udp_errors: 9 }));
        assert_eq!(column(b"TcpExt: A ListenDrops\nTcpExt: 1 77\n", b"TcpExt:", b"ListenDrops"), Ok(77));
    }

    #[test]
    fn what_they_are_not_is_refused() {
        for bad in [&b""[..], b"TCP: inuse\n", b"Tcp: CurrEstab\n", b"Tcp: CurrEstab\nTcp:\n", b"\xff"] {
            assert!(parse_sockstat(bad).is_err() && parse_snmp(bad).is_err() && parse_sockstat6(bad).is_err(), "{bad:?}");
        }
    }
}
