//! `/proc/stat`: CPU times, and what the kernel counts beside them (proc_stat(5)).

use super::scan::{self, Unparsable, missing};

/// The ten times of one CPU line in ticks: user nice system idle iowait irq softirq steal guest `guest_nice`. User and nice include
/// the guest times; kernels before 2.6.33 have fewer fields, the rest is 0.
pub(crate) type Times = [u64; 10];

/// What `/proc/stat` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stat {
    /// All CPUs together.
    pub(crate) total: Times,
    /// Each CPU that is switched on, with its number.
    pub(crate) cores: Vec<(u32, Times)>,
    /// Interrupts served since the start of the host.
    pub(crate) interrupts: Option<u64>,
    /// Context switches.
    pub(crate) context_switches: Option<u64>,
    /// Processes and threads started.
    pub(crate) forks: Option<u64>,
    /// Tasks that run or want to.
    pub(crate) running: Option<u64>,
    /// Tasks waiting for storage.
    pub(crate) blocked: Option<u64>,
}

/// Reads the file; the line of all CPUs must be there.
pub(crate) fn parse(bytes: &[u8]) -> Result<Stat, Unparsable> {
    let mut stat = Stat::default();
    let mut seen_total = false;
    for line in scan::lines(bytes) {
        let mut words = scan::words(line);
        let Some(name) = words.next() else { continue };
        if let Some(core) = name.strip_prefix(b"cpu") {
            let times = times(words).ok_or_else(|| missing("a time of a cpu line"))?;
            if core.is_empty() {
                stat.total = times;
                seen_total = true;
            } else if let Some(core) = scan::number(core).and_then(|core| u32::try_from(core).ok()) {
                stat.cores.push((core, times));
            }
            continue;
        }
        let slot = match name {
            b"intr" => &mut stat.interrupts,
            b"ctxt" => &mut stat.context_switches,
            b"processes" => &mut stat.forks,
            b"procs_running" => &mut stat.running,
            b"procs_blocked" => &mut stat.blocked,
            _ => continue,
        };
        *slot = words.next().and_then(scan::number);
    }
    if seen_total { Ok(stat) } else { Err(missing("the line of all cpus")) }
}

fn times<'a>(words: impl Iterator<Item = &'a [u8]>) -> Option<Times> {
    let (mut times, mut count) = (Times::default(), 0);
    for (slot, word) in times.iter_mut().zip(words) {
        *slot = scan::number(word)?;
        count += 1;
    }
    (count >= 4).then_some(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_small_host() {
        let text = b"cpu  10 2 3 100 5 1 1 4 6 1\ncpu0 10 2 3 100 5 1 1 4 6 1\nintr 555 1 2 3\nctxt 777\nbtime 1\nprocesses 88\nprocs_running 3\nprocs_blocked 1\nsoftirq 9 9\n";
        let stat = parse(text).unwrap();
        assert_eq!(stat.total, [10, 2, 3, 100, 5, 1, 1, 4, 6, 1]);
        assert_eq!(stat.cores, [(0, stat.total)]);
        assert_eq!((stat.interrupts, stat.context_switches, stat.forks), (Some(555), Some(777), Some(88)));
        assert_eq!((stat.running, stat.blocked), (Some(3), Some(1)));
    }

    #[test]
    fn two_hundred_and_fifty_six_cores_and_a_long_line_of_interrupts() {
        let mut text = String::from("cpu  256 0 0 25600\n");
        for core in 0..256 {
            text.push_str(&format!("cpu{core} 1 0 0 100 0 0 0 0 0 0\n"));
        }
        text.push_str(&format!("intr 9{}\n", " 0".repeat(20_000)));
        let stat = parse(text.as_bytes()).unwrap();
        assert_eq!(stat.cores.len(), 256);
        assert_eq!(stat.cores[255], (255, [1, 0, 0, 100, 0, 0, 0, 0, 0, 0]));
        assert_eq!(stat.interrupts, Some(9));
    }

    #[test]
    fn what_is_not_such_a_file_is_refused() {
        for bad in [&b""[..], b"cpu\n", b"cpu  1 2 x 4\n", b"cpu0 1 2 3 4\n", b"\xff\xfe"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
