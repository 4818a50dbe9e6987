//! How full every watched file system is, by `statvfs`.
//!
//! Local ones are asked in place. A network file system can hang for ever, so each is asked by a thread of its own with a limit
//! of 2 s, and while it owes an answer it is not asked again: its heartbeats say `disk.stale` = 1 and no sizes. Where no file
//! system remains (a container on an overlay), `/` is reported.

use super::Roots;
use super::errand::Errand;
use super::mounts::{self, Mount};
use super::scan::{float, percent};
use super::source::{Reader, Source, reason};
use crate::sheet::Sheet;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long network file systems may take together before their heartbeat goes without them.
const PATIENCE: Duration = Duration::from_secs(2);
/// The table of mounts is read again after so many heartbeats even if the kernel announced no change.
const REREAD_AFTER: u32 = 20;

/// Sizes in bytes, and inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) total: u64,
    pub(crate) free: u64,
    pub(crate) available: u64,
    pub(crate) inodes: u64,
    pub(crate) inodes_free: u64,
}

/// How a file system is asked; tests put something else in its place.
pub(crate) type Ask = Arc<dyn Fn(&str) -> Result<Usage, Errno> + Send + Sync>;

/// The table of mounts and whoever is being asked.
pub(crate) struct FileSystems {
    first: Source,
    own: Source,
    ask: Ask,
    patience: Duration,
    until_reread: u32,
    watched: Vec<Watched>,
}

struct Watched {
    mount: Mount,
    errand: Errand<Result<Usage, Errno>>,
}

impl std::fmt::Debug for FileSystems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSystems").field("watched", &self.watched.len()).finish_non_exhaustive()
    }
}

impl FileSystems {
    /// Watches what the first process of the host sees: an agent that is locked in sees its own view as read-only.
    pub(crate) fn new(roots: &Roots) -> Self {
        Self::asking(roots, Arc::new(statvfs), PATIENCE)
    }

    /// The same with another way to ask and another patience.
    pub(crate) fn asking(roots: &Roots, ask: Ask, patience: Duration) -> Self {
        Self {
            first: Source::proc(&roots.proc, "1/mountinfo").if_there(),
            own: Source::proc(&roots.proc, "self/mountinfo"),
            ask,
            patience,
            until_reread: 0,
            watched: Vec::new(),
        }
    }

    /// Writes `disk.*`.
    pub(crate) fn collect(&mut self, reader: &mut Reader, sheet: &mut Sheet) {
        self.reread_if_changed(reader, sheet);
        // All network file systems are asked first, so that they answer while the local ones are read.
        for watched in &mut self.watched {
            if watched.mount.remote {
                watched.send_for(&self.ask, sheet);
            }
        }
        let deadline = Instant::now() + self.patience;
        for watched in &mut self.watched {
            let answer = if watched.mount.remote { watched.answer(deadline) } else { Some((self.ask)(&watched.mount.point)) };
            write(&watched.mount, answer, sheet);
        }
    }

    fn reread_if_changed(&mut self, reader: &mut Reader, sheet: &mut Sheet) {
        self.until_reread = self.until_reread.saturating_sub(1);
        if self.until_reread > 0 && !has_news(&self.first) && !has_news(&self.own) {
            return;
        }
        let readable = self.first.read(reader).is_ok();
        let source = if readable { &mut self.first } else { &mut self.own };
        let Some(mut mounts) = source.parse(reader, sheet, mounts::select) else { return };
        if mounts.is_empty() {
            mounts.push(Mount { point: "/".to_owned(), remote: false, readonly: false });
        }
        let mut former = std::mem::take(&mut self.watched);
        self.watched = mounts
            .into_iter()
            .map(|mount| {
                let known = former.iter().position(|old| old.mount.point == mount.point);
                let errand = known.map_or_else(|| Errand::new("statvfs"), |at| former.swap_remove(at).errand);
                Watched { mount, errand }
            })
            .collect();
        self.until_reread = REREAD_AFTER;
    }
}

impl Watched {
    fn send_for(&mut self, ask: &Ask, sheet: &mut Sheet) {
        let (ask, point) = (Arc::clone(ask), self.mount.point.clone());
        if let Err(error) = self.errand.send(move || ask(&point)) {
            sheet.gap(&*self.mount.point, error.to_string());
        }
    }

    /// The answer if it comes by `deadline`. One that was owed before this heartbeat is not waited for.
    fn answer(&mut self, deadline: Instant) -> Option<Result<Usage, Errno>> {
        let asked = self.errand.is_out();
        let answer = self.errand.answer(deadline);
        // A thread that died without a word.
        if asked && answer.is_none() && !self.errand.is_out() { Some(Err(Errno::IO)) } else { answer }
    }
}

/// Whether the kernel marks the table as changed since it was read.
fn has_news(table: &Source) -> bool {
    let Some(file) = table.descriptor() else { return false };
    let mut watched = [PollFd::new(&file, PollFlags::PRI)];
    poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|count| count > 0)
        && watched[0].revents().intersects(PollFlags::PRI | PollFlags::ERR)
}

fn write(mount: &Mount, answer: Option<Result<Usage, Errno>>, sheet: &mut Sheet) {
    let stale = mount.remote && !matches!(answer, Some(Ok(_)));
    let usage = match answer {
        Some(Ok(usage)) => Some(usage),
        Some(Err(error)) => {
            sheet.gap(&*mount.point, reason(error));
            None
        }
        None => {
            sheet.gap(&*mount.point, "the file system does not answer");
            None
        }
    };
    let used = usage.map(|usage| usage.total.saturating_sub(usage.free));
    let mut put = |metric, value: Option<f64>| sheet.put_for(metric, &mount.point, value);
    put("disk.total_bytes", usage.map(|usage| float(usage.total)));
    put("disk.used_bytes", used.map(float));
    put("disk.available_bytes", usage.map(|usage| float(usage.available)));
    let parts = usage.zip(used);
    put("disk.used_percent", parts.and_then(|(usage, used)| percent(float(used), float(used) + float(usage.available))));
    let inodes = |usage: Usage| percent(float(usage.inodes.saturating_sub(usage.inodes_free)), float(usage.inodes));
    put("disk.inodes_used_percent", usage.and_then(inodes));
    put("disk.readonly", Some(f64::from(u8::from(mount.readonly))));
    put("disk.stale", Some(f64::from(u8::from(stale))));
}

fn statvfs(point: &str) -> Result<Usage, Errno> {
    let vfs = rustix::fs::statvfs(point)?;
    let bytes = |blocks: u64| blocks.saturating_mul(vfs.f_frsize);
    Ok(Usage {
        total: bytes(vfs.f_blocks),
        free: bytes(vfs.f_bfree),
        available: bytes(vfs.f_bavail),
        inodes: vfs.f_files,
        inodes_free: vfs.f_ffree,
    })
}

#[cfg(test)]
mod tests;
