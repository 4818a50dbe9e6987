//! What the kernel counts for the host as a whole: load, uptime, tasks, switches, interrupts, faults, swapping and open files.

use super::Roots;
use super::scan::{self, Unparsable, float, missing, percent};
use super::source::{Reader, Source};
use super::stat::Stat;
use super::track::{Change, Track, Width};
use crate::clock::Moment;
use crate::sheet::Sheet;

/// Readers and last readings.
#[derive(Debug)]
pub(crate) struct Kernel {
    load: Source,
    uptime: Source,
    files: Source,
    vmstat: Source,
    stat_track: Track<3>,
    vm_track: Track<4>,
    page_bytes: f64,
}

/// `/proc/loadavg`: three averages and the number of tasks.
#[derive(Debug, PartialEq)]
struct Load {
    averages: [f64; 3],
    threads: u64,
}

/// The counters of `/proc/vmstat` that are used; `oom_kill` is not there before Linux 4.13.
#[derive(Debug, Default, PartialEq, Eq)]
struct Vmstat {
    pages_in: u64,
    pages_out: u64,
    major_faults: u64,
    oom_kills: Option<u64>,
}

impl Kernel {
    /// Readers below these roots.
    pub(crate) fn new(roots: &Roots) -> Self {
        let proc = |name| Source::proc(&roots.proc, name);
        Self {
            load: proc("loadavg"),
            uptime: proc("uptime"),
            files: proc("sys/fs/file-nr"),
            vmstat: proc("vmstat"),
            stat_track: Track::new(),
            vm_track: Track::new(),
            page_bytes: float(u64::try_from(rustix::param::page_size()).unwrap_or(4096)),
        }
    }

    /// Writes `load.*`, `sys.*`, `proc.*` but the count of processes, `fd.*` and the rates of swapping.
    pub(crate) fn collect(&mut self, stat: Option<&Stat>, reader: &mut Reader, now: Moment, sheet: &mut Sheet) {
        self.collect_load(reader, sheet);
        if let Some(uptime) = self.uptime.parse(reader, sheet, parse_uptime) {
            sheet.put("sys.uptime_seconds", Some(uptime));
        }
        if let Some(stat) = stat {
            self.collect_stat(stat, now, sheet);
        }
        if let Some(vmstat) = self.vmstat.parse(reader, sheet, parse_vmstat) {
            self.collect_vmstat(&vmstat, now, sheet);
        }
        if let Some((allocated, limit)) = self.files.parse(reader, sheet, parse_file_nr) {
            sheet.put("fd.allocated", Some(float(allocated)));
            sheet.put("fd.used_percent", percent(float(allocated), float(limit)));
        }
    }

    fn collect_load(&mut self, reader: &mut Reader, sheet: &mut Sheet) {
        if let Some(load) = self.load.parse(reader, sheet, parse_load) {
            for (name, average) in ["load.avg_1m", "load.avg_5m", "load.avg_15m"].into_iter().zip(load.averages) {
                sheet.put(name, Some(average));
            }
            sheet.put("proc.threads", Some(float(load.threads)));
        }
    }

    fn collect_stat(&mut self, stat: &Stat, now: Moment, sheet: &mut Sheet) {
        sheet.put("proc.running", stat.running.map(float));
        sheet.put("proc.blocked", stat.blocked.map(float));
        let counters = [stat.context_switches, stat.interrupts, stat.forks].map(Option::unwrap_or_default);
        let change = self.stat_track.advance(now, 0, counters, [Width::Wide; 3]);
        let names = ["sys.context_switches_per_second", "sys.interrupts_per_second", "sys.forks_per_second"];
        write_rates(names, change, 1.0, sheet);
    }

    fn collect_vmstat(&mut self, vmstat: &Vmstat, now: Moment, sheet: &mut Sheet) {
        let counters = [vmstat.pages_in, vmstat.pages_out, vmstat.major_faults, vmstat.oom_kills.unwrap_or_default()];
        let change = self.vm_track.advance(now, 0, counters, [Width::Wide; 4]);
        let rate = |at: usize| rate(change, at);
        sheet.put("swap.in_bytes_per_second", rate(0).map(|pages| pages * self.page_bytes));
        sheet.put("swap.out_bytes_per_second", rate(1).map(|pages| pages * self.page_bytes));
        sheet.put("sys.major_faults_per_second", rate(2));
        if vmstat.oom_kills.is_some() {
            sheet.put("sys.oom_kills_per_second", rate(3));
        }
        if change == Change::Reset {
            sheet.count_reset();
        }
    }
}

/// The rate a second of one counter of a group.
pub(crate) fn rate<const N: usize>(change: Change<N>, at: usize) -> Option<f64> {
    match change {
        Change::Grew(seconds, grown) => Some(float(grown[at]) / seconds),
        Change::First | Change::Reset => None,
    }
}

/// Writes the rates of a whole group, times `factor`.
pub(crate) fn write_rates<const N: usize>(names: [&'static str; N], change: Change<N>, factor: f64, sheet: &mut Sheet) {
    for (at, name) in names.into_iter().enumerate() {
        sheet.put(name, rate(change, at).map(|rate| rate * factor));
    }
    if change == Change::Reset {
        sheet.count_reset();
    }
}

fn parse_load(bytes: &[u8]) -> Result<Load, Unparsable> {
    let mut words = scan::words(bytes);
    let mut averages = [0.0; 3];
    for average in &mut averages {
        *average = words.next().and_then(scan::fraction).ok_or_else(|| missing("a load average"))?;
    }
    let tasks = words.next().and_then(|word| word.split(|byte| *byte == b'/').nth(1));
    Ok(Load { averages, threads: tasks.and_then(scan::number).ok_or_else(|| missing("the number of tasks"))? })
}

fn parse_uptime(bytes: &[u8]) -> Result<f64, Unparsable> {
    scan::words(bytes).next().and_then(scan::fraction).ok_or_else(|| missing("the uptime"))
}

/// Allocated (but not unused) files and the limit, from `/proc/sys/fs/file-nr`.
fn parse_file_nr(bytes: &[u8]) -> Result<(u64, u64), Unparsable> {
    let mut words = scan::words(bytes).map(scan::number);
    match (words.next().flatten(), words.next().flatten(), words.next().flatten()) {
        (Some(allocated), Some(unused), Some(limit)) => Ok((allocated.saturating_sub(unused), limit)),
        _ => Err(missing("one of the three numbers")),
    }
}

fn parse_vmstat(bytes: &[u8]) -> Result<Vmstat, Unparsable> {
    let (mut pages_in, mut pages_out, mut major_faults, mut oom_kills) = (None, None, None, None);
    for line in scan::lines(bytes) {
        let mut words = scan::words(line);
        let slot = match words.next() {
            Some(b"pswpin") => &mut pages_in,
            Some(b"pswpout") => &mut pages_out,
            Some(b"pgmajfault") => &mut major_faults,
            Some(b"oom_kill") => &mut oom_kills,
            _ => continue,
        };
        *slot = words.next().and_then(scan::number);
    }
    // A kernel without swap support has no pswp counters: then nothing was swapped.
    let (pages_in, pages_out) = (pages_in.unwrap_or_default(), pages_out.unwrap_or_default());
    Ok(Vmstat { pages_in, pages_out, major_faults: major_faults.ok_or_else(|| missing("pgmajfault"))?, oom_kills })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_as_the_kernel_writes_them() {
        assert_eq!(parse_load(b"0.36 1.50 12.07 3/181 4242\n"), Ok(Load { averages: [0.36, 1.5, 12.07], threads: 181 }));
        assert_eq!(parse_uptime(b"8433.77 16612.11\n"), Ok(8433.77));
        assert_eq!(parse_file_nr(b"1216\t16\t9223372036854775807\n"), Ok((1200, 9_223_372_036_854_775_807)));
        let vmstat = parse_vmstat(b"nr_free_pages 1\npswpin 4\npswpout 5\npgmajfault 6\noom_kill 7\n");
        assert_eq!(vmstat, Ok(Vmstat { pages_in: 4, pages_out: 5, major_faults: 6, oom_kills: Some(7) }));
        assert_eq!(parse_vmstat(b"pgmajfault 6\n").map(|vmstat| vmstat.oom_kills), Ok(None), "an old kernel");
    }

    #[test]
    fn what_they_are_not_is_refused() {
        for bad in [&b""[..], b"1 2\n", b"0.1 0.2 x 1/2\n", b"\xff"] {
            assert!(parse_load(bad).is_err() && parse_file_nr(bad).is_err() && parse_vmstat(bad).is_err(), "{bad:?}");
        }
        assert!(parse_uptime(b"").is_err() && parse_uptime(b"inf").is_err());
    }
}
