//! Pressure stall information: the share of the time between two heartbeats in which tasks waited, from the exact totals of
//! `/proc/pressure` (Documentation/accounting/psi.rst), not from the kernel's own averages.

use super::Roots;
use super::scan::{self, Unparsable, missing};
use super::source::{Reader, Source};
use super::track::{Change, Track, Width};
use crate::clock::Moment;
use crate::sheet::Sheet;

/// One resource: its file, the names of its series, and the last totals of "some" and "full" in microseconds.
#[derive(Debug)]
struct Resource {
    source: Source,
    some: &'static str,
    full: Option<&'static str>,
    track: Track<2>,
}

/// The three resources.
#[derive(Debug)]
pub(crate) struct Pressure {
    resources: [Resource; 3],
}

impl Pressure {
    /// Readers below these roots. A kernel may come without this accounting: then there are no series, and no gap.
    pub(crate) fn new(roots: &Roots) -> Self {
        let resource = |name: &str, some, full| Resource {
            source: Source::proc(&roots.proc, &format!("pressure/{name}")).if_there(),
            some,
            full,
            track: Track::new(),
        };
        Self {
            resources: [
                resource("cpu", "psi.cpu_some_percent", None),
                resource("memory", "psi.memory_some_percent", Some("psi.memory_full_percent")),
                resource("io", "psi.io_some_percent", Some("psi.io_full_percent")),
            ],
        }
    }

    /// Writes `psi.*`.
    pub(crate) fn collect(&mut self, reader: &mut Reader, now: Moment, sheet: &mut Sheet) {
        for resource in &mut self.resources {
            let Some(totals) = resource.source.parse(reader, sheet, parse) else { continue };
            let change = resource.track.advance(now, 0, totals, [Width::Wide; 2]);
            sheet.put(resource.some, share(change, 0));
            if let Some(full) = resource.full {
                sheet.put(full, share(change, 1));
            }
            if change == Change::Reset {
                sheet.count_reset();
            }
        }
    }
}

/// The share of the elapsed time in percent; reading takes a moment itself, so a bit over 100 is 100.
fn share(change: Change<2>, at: usize) -> Option<f64> {
    super::kernel::rate(change, at).map(|microseconds| (microseconds / 10_000.0).min(100.0))
}

/// The totals of "some" and "full" in microseconds. The file of the CPU has no "full" before Linux 5.13.
fn parse(bytes: &[u8]) -> Result<[u64; 2], Unparsable> {
    let total = |kind: &[u8]| {
        let line = scan::lines(bytes).find(|line| scan::words(line).next() == Some(kind))?;
        scan::words(line).find_map(|word| word.strip_prefix(b"total=")).and_then(scan::number)
    };
    Ok([total(b"some").ok_or_else(|| missing("the total of some"))?, total(b"full").unwrap_or_default()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_as_the_kernel_writes_it() {
        let text = b"some avg10=0.36 avg60=0.84 avg300=1.51 total=29664017\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=12\n";
        assert_eq!(parse(text), Ok([29_664_017, 12]));
        assert_eq!(parse(b"some total=7\n"), Ok([7, 0]));
        for bad in [&b""[..], b"some avg10=1\n", b"full total=1\n", b"some total=-1\n"] {
            assert!(parse(bad).is_err());
        }
    }

    #[test]
    fn totals_become_shares_of_the_time() {
        assert_eq!(share(Change::Grew(10.0, [5_000_000, 250_000]), 0), Some(50.0));
        assert_eq!(share(Change::Grew(10.0, [5_000_000, 250_000]), 1), Some(2.5));
        assert_eq!(share(Change::Grew(1.0, [1_000_100, 0]), 0), Some(100.0));
        assert_eq!(share(Change::Reset, 0), None);
    }
}
