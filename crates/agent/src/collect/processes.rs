//! How many processes there are, and which use most: one pass over `/proc/PID/stat` (proc_pid_stat(5)) and, of those that did
//! something and that the agent may look into, `/proc/PID/io` (proc_pid_io(5)).
//!
//! The pass is the dearest thing the agent does, so it is not part of the heartbeat: it runs each minute and when the hub asks.
//! Counting alone needs the names of the folders only.

use super::Roots;
use super::groups::Groups;
use super::scan::{self, float};
use super::source::{Reader, reason};
use crate::clock::Moment;
use crate::sheet::Sheet;
use rustix::fs::{Mode, OFlags, RawDir, SeekFrom, openat, seek};
use rustix::io::{Errno, read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// How many processes each list names.
const TOP: usize = 5;
/// Above this many processes they are counted at every fourth heartbeat only.
const MANY: u32 = 2_000;
/// Above this many processes nobody is ranked unless the hub asks.
pub(crate) const TOO_MANY_TO_RANK: u32 = 5_000;
/// The most of `/proc/PID/io` that is read: seven short lines.
const IO_FILE: usize = 512;
/// Two passes less than this apart say nothing about CPU use.
const LEAST_SECONDS: f64 = 1.0;

/// One of the processes that use most.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// Its name as the kernel has it (at most 15 bytes).
    pub name: String,
    /// Its id.
    pub pid: u32,
    /// Its CPU use since the last pass, 100 for each core.
    pub cpu_percent: f64,
    /// Its resident memory.
    pub rss_bytes: u64,
    /// What it read from and wrote to disks since the last pass, in bytes a second; that of others' processes is for root alone.
    pub io_bytes_per_second: Option<u64>,
}

/// The processes that used most at one moment, the greatest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Top {
    /// When that was.
    pub at: Moment,
    /// By CPU; empty after the first pass.
    pub cpu: Vec<Process>,
    /// By memory.
    pub mem: Vec<Process>,
    /// By what they read from and wrote to disks; empty after the first pass, and where that may not be known.
    pub io: Vec<Process>,
}

/// The open folder and the last pass.
#[derive(Debug)]
pub(crate) struct Processes {
    path: PathBuf,
    dir: Option<OwnedFd>,
    count: Option<u32>,
    beat: u32,
    last: Vec<Used>,
    last_at: Option<Moment>,
    top: Top,
}

/// What a process had used by a pass; the start tells two processes of one id apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Used {
    pid: u32,
    start: u64,
    ticks: u64,
    /// Bytes read from and written to disks, where the agent may know.
    io: Option<u64>,
}

/// One line of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) name: &'a [u8],
    /// `Z` for one that has ended and waits for its parent.
    pub(crate) state: u8,
    pub(crate) ticks: u64,
    pub(crate) threads: u64,
    pub(crate) start: u64,
    pub(crate) rss_pages: u64,
}

impl Processes {
    /// Processes below this `/proc`.
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { path: roots.proc.clone(), dir: None, count: None, beat: 0, last: Vec::new(), last_at: None, top: Top::default() }
    }

    /// Writes `proc.total`, and `process.*` of the groups that are watched: then every process is looked at anyhow.
    pub(crate) fn collect(&mut self, groups: &mut Groups, reader: &mut Reader, now: Moment, sheet: &mut Sheet) {
        self.beat = self.beat.wrapping_add(1);
        if !groups.is_empty() {
            self.count = groups.collect(self, reader, now, sheet);
        } else if self.count.is_none_or(|count| count <= MANY) || self.beat.is_multiple_of(4) {
            let mut count = 0;
            match self.each(|_, _| count += 1) {
                Ok(()) => self.count = Some(count),
                Err(error) => {
                    self.count = None;
                    sheet.gap("/proc", reason(error));
                }
            }
        }
        sheet.put("proc.total", self.count.map(f64::from));
    }

    /// How many processes there were at the last count.
    pub(crate) fn count(&self) -> u32 {
        self.count.unwrap_or_default()
    }

    /// A pass over all processes, unless the last one was a moment ago.
    pub(crate) fn rank(&mut self, reader: &mut Reader, now: Moment) -> Top {
        let seconds = self.last_at.and_then(|then| now.seconds_since(then));
        if self.last_at.is_some() && seconds.is_none_or(|seconds| seconds < LEAST_SECONDS) {
            return self.top.clone();
        }
        let per_second = float(rustix::param::clock_ticks_per_second()).max(1.0);
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        let (mut top, mut all) = (Top { at: now, ..Top::default() }, Vec::with_capacity(self.last.len() + 16));
        let last = std::mem::take(&mut self.last);
        // A process that ends during the pass cannot be read any more; it is left out.
        let passed = self.each(|dir, pid| {
            let Ok(file) = openat(dir, format!("{pid}/stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else { return };
            let Some(line) = reader.file(file.as_fd()).ok().and_then(parse) else { return };
            let known = before(&last, pid, line.start);
            let grown = line.ticks.saturating_sub(known.ticks);
            let used = seconds.map(|seconds| float(grown) / per_second / seconds);
            // Who used no CPU has moved nothing worth naming; the file costs as much as the line.
            let io = if grown == 0 && known.io.is_some() { known.io } else { io_bytes(dir, pid) };
            let io_bytes_per_second =
                seconds.zip(known.io).zip(io).map(|((seconds, then), now)| rate(now.saturating_sub(then), seconds));
            let rss_bytes = line.rss_pages.saturating_mul(page);
            let cpu_percent = 100.0 * used.unwrap_or_default();
            let process = || Process { name: scan::text(line.name), pid, cpu_percent, rss_bytes, io_bytes_per_second };
            if let Some(used) = used.filter(|used| *used > 0.0) {
                keep(&mut top.cpu, |other| 100.0 * used > other.cpu_percent, process);
            }
            if rss_bytes > 0 {
                keep(&mut top.mem, |other| rss_bytes > other.rss_bytes, process);
            }
            if let Some(rate) = io_bytes_per_second.filter(|rate| *rate > 0) {
                keep(&mut top.io, |other| other.io_bytes_per_second < Some(rate), process);
            }
            all.push(Used { pid, start: line.start, ticks: line.ticks, io });
        });
        if passed.is_ok() {
            all.sort_unstable_by_key(|used: &Used| used.pid);
            (self.last, self.last_at, self.top) = (all, Some(now), top);
        }
        self.top.clone()
    }

    /// Calls `visit` with the folder and the id of every process.
    pub(crate) fn each(&mut self, mut visit: impl FnMut(&OwnedFd, u32)) -> Result<(), Errno> {
        let dir = match self.dir.take() {
            Some(dir) => dir,
            None => rustix::fs::open(&self.path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?,
        };
        seek(&dir, SeekFrom::Start(0))?;
        let mut space = [MaybeUninit::<u8>::uninit(); 4096];
        let mut entries = RawDir::new(&dir, &mut space);
        while let Some(entry) = entries.next() {
            let pid = scan::number(entry?.file_name().to_bytes());
            if let Some(pid) = pid.and_then(|pid| u32::try_from(pid).ok()) {
                visit(&dir, pid);
            }
        }
        self.dir = Some(dir);
        Ok(())
    }
}

/// What a process had used by the last pass; nothing for one that began since: all of it is new.
fn before(last: &[Used], pid: u32, start: u64) -> Used {
    match last.binary_search_by_key(&pid, |used| used.pid) {
        Ok(at) if last[at].start == start => last[at],
        _ => Used { pid, start, ticks: 0, io: Some(0) },
    }
}

/// What a process has read from and written to disks, caches left out, if the kernel says so to the agent. Of children that have
/// ended it is told with their parent.
fn io_bytes(dir: &OwnedFd, pid: u32) -> Option<u64> {
    let file = openat(dir, format!("{pid}/io"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut space = [0; IO_FILE];
    let length = read(&file, &mut space).ok()?;
    let mut lines = scan::lines(space.get(..length)?);
    let mut field = |name: &[u8]| lines.find_map(|line| line.strip_prefix(name)).and_then(|rest| scan::number(rest.trim_ascii()));
    field(b"read_bytes:")?.checked_add(field(b"write_bytes:")?)
}

/// So much in so many seconds, for each of them.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "neither negative nor near 2^64")]
fn rate(bytes: u64, seconds: f64) -> u64 {
    (float(bytes) / seconds).round() as u64
}

/// Puts a process into a list of the greatest, if it is one of them.
fn keep(list: &mut Vec<Process>, beats: impl Fn(&Process) -> bool, process: impl FnOnce() -> Process) {
    let at = list.iter().position(beats).unwrap_or(list.len());
    if at < TOP {
        list.insert(at, process());
        list.truncate(TOP);
    }
}

/// The name stands in parentheses and may hold some itself, so the last one ends it.
pub(crate) fn parse(bytes: &[u8]) -> Option<Line<'_>> {
    let open = bytes.iter().position(|byte| *byte == b'(')?;
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let name = bytes.get(open + 1..close)?;
    let mut fields = scan::words(&bytes[close + 1..]);
    let state = *fields.next()?.first()?;
    let (user, system) = (fields.nth(10).and_then(scan::number)?, fields.next().and_then(scan::number)?);
    let (threads, start) = (fields.nth(4).and_then(scan::number)?, fields.nth(1).and_then(scan::number)?);
    let rss_pages = fields.nth(1).and_then(scan::number)?;
    Some(Line { name, state, ticks: user.checked_add(system)?, threads, start, rss_pages })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(pid: u32, name: &str, ticks: u64, start: u64, pages: u64) -> String {
        format!("{pid} ({name}) S 1 1 1 0 -1 4194560 1 2 3 4 {ticks} 0 0 0 20 0 1 0 {start} 1000 {pages} 184\n")
    }

    fn put(dir: &std::path::Path, pid: u32, line: &str) {
        std::fs::create_dir_all(dir.join(pid.to_string())).unwrap();
        std::fs::write(dir.join(pid.to_string()).join("stat"), line).unwrap();
    }

    fn at(seconds: i64) -> Moment {
        Moment { boot_ms: seconds * 1000, awake_ns: seconds * 1_000_000_000 }
    }

    #[test]
    fn a_name_may_hold_anything() {
        let line = stat(7, "a) (b c", 42, 9, 3);
        assert_eq!(
            parse(line.as_bytes()),
            Some(Line { name: b"a) (b c", state: b'S', ticks: 42, threads: 1, start: 9, rss_pages: 3 })
        );
        for bad in [&b""[..], b")(", b"7 (x", b"7 (x) S 1", b"\xff"] {
            assert_eq!(parse(bad), None);
        }
    }

    #[test]
    fn the_greatest_by_cpu_and_by_memory() {
        let dir = tempfile::tempdir().unwrap();
        for pid in 1..=7_u32 {
            put(dir.path(), pid, &stat(pid, &format!("p{pid}"), 100, 5, u64::from(pid) * 10));
        }
        let roots = Roots { proc: dir.path().into(), sys: dir.path().into(), cgroup: dir.path().into() };
        let (mut processes, mut reader) = (Processes::new(&roots), Reader::new());
        let first = processes.rank(&mut reader, at(0));
        assert!(first.cpu.is_empty(), "one pass is no rate");
        assert_eq!(first.mem.iter().map(|process| process.pid).collect::<Vec<_>>(), [7, 6, 5, 4, 3]);
        put(dir.path(), 2, &stat(2, "busy", 600, 5, 1));
        put(dir.path(), 3, &stat(3, "reborn", 50, 99, 1));
        let second = processes.rank(&mut reader, at(10));
        let names: Vec<_> = second.cpu.iter().map(|process| (&*process.name, process.cpu_percent)).collect();
        assert_eq!(names, [("busy", 50.0), ("reborn", 5.0)]);
        put(dir.path(), 2, &stat(2, "busy", 900, 5, 1));
        assert_eq!(processes.rank(&mut reader, at(10)), second, "a moment later nothing new can be said");
    }

    #[test]
    fn the_greatest_by_what_they_read_and_write() {
        let dir = tempfile::tempdir().unwrap();
        let io = |pid: u32, read: u64, write: u64| {
            let text = format!(
                "rchar: 9\nwchar: 9\nsyscr: 1\nsyscw: 1\nread_bytes: {read}\nwrite_bytes: {write}\ncancelled_write_bytes: 7\n"
            );
            std::fs::write(dir.path().join(pid.to_string()).join("io"), text).unwrap();
        };
        for pid in 1..=5_u32 {
            put(dir.path(), pid, &stat(pid, &format!("p{pid}"), 100, 5, 1));
        }
        (1..=4).for_each(|pid| io(pid, 1_000, 1_000));
        let roots = Roots { proc: dir.path().into(), sys: dir.path().into(), cgroup: dir.path().into() };
        let (mut processes, mut reader) = (Processes::new(&roots), Reader::new());
        assert_eq!(processes.rank(&mut reader, at(0)).io, [], "what it did before is no rate");
        for (pid, ticks, start) in [(1, 101, 5), (2, 102, 5), (3, 100, 5), (4, 3, 99), (5, 200, 5)] {
            put(dir.path(), pid, &stat(pid, &format!("p{pid}"), ticks, start, 1));
        }
        io(1, 1_000, 21_000);
        io(2, 51_000, 1_000);
        io(4, 400, 600);
        let second = processes.rank(&mut reader, at(10));
        let found: Vec<_> = second.io.iter().map(|process| (process.pid, process.io_bytes_per_second)).collect();
        assert_eq!(found, [(2, Some(5_000)), (1, Some(2_000)), (4, Some(100))], "3 did nothing, 4 is new, 5 is not ours to know");
        assert_eq!(second.cpu.iter().find(|process| process.pid == 5).unwrap().io_bytes_per_second, None);
    }

    #[test]
    fn processes_are_counted_by_their_folders() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), 1, "");
        put(dir.path(), 42, "");
        std::fs::create_dir(dir.path().join("sys")).unwrap();
        let roots = Roots { proc: dir.path().into(), sys: dir.path().into(), cgroup: dir.path().into() };
        let (mut processes, mut sheet) = (Processes::new(&roots), Sheet::new(false));
        for expected in [2.0, 3.0] {
            sheet.begin();
            processes.collect(&mut Groups::new(&roots, &[]), &mut Reader::new(), at(0), &mut sheet);
            assert_eq!(super::super::testing::value(&mut sheet, "proc.total"), Some(expected));
            put(dir.path(), 43, "");
        }
    }
}
