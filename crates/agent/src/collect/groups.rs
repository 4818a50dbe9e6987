//! Processes by name: for each group that the user named, how many there are and what they use together
//! (proc_pid_stat(5), proc_pid_cmdline(5)).
//!
//! A group without a process counts 0: that is a fact, and the one that pages. It is only said where the whole table can be
//! seen. Costs one read for each process of the host, 8 µs, and nothing while no group is named: command lines are read when a
//! process is new, and once more at the next heartbeat, since a process often becomes another program right after its start.

use super::Roots;
use super::processes::{Line, Processes, parse};
use super::scan::float;
use super::source::{Reader, reason};
use crate::clock::Moment;
use crate::sheet::Sheet;
use crate::watch::Group;
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, openat, statat};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

/// The kernel cuts names here (`TASK_COMM_LEN` less the end mark); kernel threads may have longer ones.
const NAME: usize = 15;

/// The groups and the last pass.
#[derive(Debug)]
pub(crate) struct Groups {
    groups: Vec<Group>,
    /// One for each group.
    sums: Vec<Sum>,
    /// Our own id in the table that is read: our command line holds the patterns.
    own: Option<u32>,
    known: Vec<Known>,
    last_at: Option<Moment>,
    line: Vec<u8>,
}

/// A process at the last pass.
#[derive(Debug, Clone, Copy)]
struct Known {
    pid: u32,
    start: u64,
    ticks: u64,
    name: [u8; NAME],
    /// It was judged twice under this name.
    settled: bool,
    /// One bit for each group it belongs to.
    member_of: u64,
}

/// What a group uses together.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: u64,
    ticks: u64,
    rss_pages: u64,
    threads: u64,
    fds: u64,
    /// Why open files cannot be counted.
    refused: Option<Errno>,
}

impl Groups {
    /// Watches these groups.
    pub(crate) fn new(roots: &Roots, groups: &[Group]) -> Self {
        let own = std::fs::read_link(roots.proc.join("self")).ok().and_then(|link| link.to_str()?.parse().ok());
        Self {
            groups: groups.to_vec(),
            sums: vec![Sum::default(); groups.len()],
            own,
            known: Vec::new(),
            last_at: None,
            line: Vec::new(),
        }
    }

    /// Whether there is nothing to watch.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Writes `process.*` and gives the number of all processes.
    pub(crate) fn collect(&mut self, table: &mut Processes, reader: &mut Reader, now: Moment, sheet: &mut Sheet) -> Option<u32> {
        let seconds = self.last_at.and_then(|then| now.seconds_since(then));
        self.sums.fill(Sum::default());
        let mut known = Vec::with_capacity(self.known.len() + 16);
        let (mut count, mut sees_first) = (0, false);
        let passed = table.each(|dir, pid| {
            count += 1;
            if let Some(process) = self.look(dir, pid, reader) {
                sees_first |= pid == 1;
                known.push(process);
            }
        });
        // The first process is somebody else's; where it is hidden (`hidepid`), others are as well, and 0 would be a guess.
        let why = match passed {
            Err(error) => Some(reason(error)),
            Ok(()) => (!sees_first).then(|| "the processes of other users are hidden".to_owned()),
        };
        let Some(why) = why else {
            known.sort_unstable_by_key(|process: &Known| process.pid);
            (self.known, self.last_at) = (known, Some(now));
            self.write(seconds, sheet);
            return Some(count);
        };
        (self.known, self.last_at) = (Vec::new(), None);
        sheet.gap("/proc", why);
        passed.is_ok().then_some(count)
    }

    /// Reads one process and adds it to the groups it belongs to. Nothing if it has ended.
    fn look(&mut self, dir: &OwnedFd, pid: u32, reader: &mut Reader) -> Option<Known> {
        let file = openat(dir, format!("{pid}/stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let line = reader.file(file.as_fd()).ok().and_then(parse)?;
        let before = self.known.binary_search_by_key(&pid, |known| known.pid).ok().map(|at| self.known[at]);
        let before = before.filter(|before| before.start == line.start);
        let (name, ticks, start) = (cut(line.name), line.ticks, line.start);
        let Line { rss_pages, threads, .. } = line;
        let gone = matches!(line.state, b'Z' | b'X');
        let same = before.filter(|before| before.name == name);
        let member_of = match same {
            Some(same) if same.settled => same.member_of,
            _ => self.judge(dir, pid, &name, reader),
        };
        let grown = ticks.saturating_sub(before.map_or(0, |before| before.ticks));
        // Ended, but its parent has not asked how: it does nothing any more.
        for at in (0..self.sums.len()).filter(|at| !gone && member_of >> at & 1 == 1) {
            self.sums[at].add(grown, rss_pages, threads, open_files(dir, pid));
        }
        Some(Known { pid, start, ticks, name, settled: same.is_some(), member_of })
    }

    /// The groups that a process belongs to by its name, its program's file name, or its whole command line.
    fn judge(&mut self, dir: &OwnedFd, pid: u32, name: &[u8; NAME], reader: &mut Reader) -> u64 {
        self.line.clear();
        if self.own != Some(pid)
            && let Ok(file) = openat(dir, format!("{pid}/cmdline"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            && let Ok(line) = reader.file(file.as_fd())
        {
            self.line.extend_from_slice(line);
        }
        let end = self.line.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        self.line.truncate(end);
        let program = self.line.split(|byte| *byte == 0).next().unwrap_or_default();
        let program = program.len() - program.rsplit(|byte| *byte == b'/').next().unwrap_or_default().len()..program.len();
        self.line.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let texts = [name, &self.line[program], &self.line];
        let fits = |group: &Group| texts.iter().any(|text| !text.is_empty() && group.pattern.fits(text));
        (0..).zip(&self.groups).filter(|(_, group)| fits(group)).fold(0, |bits, (at, _)| bits | 1 << at)
    }

    fn write(&self, seconds: Option<f64>, sheet: &mut Sheet) {
        let per_second = float(rustix::param::clock_ticks_per_second()).max(1.0);
        let page = float(u64::try_from(rustix::param::page_size()).unwrap_or(4096));
        for (group, sum) in self.groups.iter().zip(&self.sums) {
            let label = &*group.name;
            sheet.put_for("process.count", label, Some(float(sum.count)));
            sheet.put_for("process.cpu_percent", label, seconds.map(|seconds| 100.0 * float(sum.ticks) / per_second / seconds));
            sheet.put_for("process.rss_bytes", label, Some(float(sum.rss_pages) * page));
            sheet.put_for("process.threads", label, Some(float(sum.threads)));
            sheet.put_for("process.open_fds", label, sum.refused.is_none().then(|| float(sum.fds)));
            if let Some(error) = sum.refused {
                sheet.gap(format!("process.open_fds{{process={label}}}"), reason(error));
            }
        }
    }
}

impl Sum {
    fn add(&mut self, ticks: u64, rss_pages: u64, threads: u64, fds: Result<u64, Errno>) {
        self.count += 1;
        self.ticks = self.ticks.saturating_add(ticks);
        self.rss_pages = self.rss_pages.saturating_add(rss_pages);
        self.threads = self.threads.saturating_add(threads);
        match fds {
            Ok(fds) => self.fds = self.fds.saturating_add(fds),
            // It ended just now, and its files with it.
            Err(Errno::NOENT | Errno::SRCH) => {}
            Err(error) => self.refused = Some(error),
        }
    }
}

/// Since Linux 6.2 the folder's size is the number of open files, for everybody to see; before, its entries have to be counted,
/// which only the owner and root may.
fn open_files(dir: &OwnedFd, pid: u32) -> Result<u64, Errno> {
    let path = format!("{pid}/fd");
    let size = statat(dir, &*path, AtFlags::empty())?.st_size;
    if let Some(size) = u64::try_from(size).ok().filter(|size| *size > 0) {
        return Ok(size);
    }
    let folder = openat(dir, &*path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut space = [MaybeUninit::<u8>::uninit(); 4096];
    let (mut entries, mut count) = (RawDir::new(&folder, &mut space), 0);
    while let Some(entry) = entries.next() {
        count += u64::from(entry?.file_name().to_bytes().first() != Some(&b'.'));
    }
    Ok(count)
}

fn cut(name: &[u8]) -> [u8; NAME] {
    let mut cut = [0; NAME];
    let length = name.len().min(NAME);
    cut[..length].copy_from_slice(&name[..length]);
    cut
}

#[cfg(test)]
mod tests;
