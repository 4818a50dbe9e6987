//! Where containers are in the tree of cgroup v2, and what one of them uses (Documentation/admin-guide/cgroup-v2.rst).
//!
//! Everything here can be read by everybody, and costs the container's engine nothing. Network counters are those of the first
//! process of the container, in whose network it lives; one that lives in the host's network has none of its own.

use super::super::kernel::rate;
use super::super::scan::{self, Unparsable, float, missing, percent};
use super::super::source::{Reader, Source};
use super::super::track::{Change, Track, Width};
use super::api::is_id;
use crate::clock::Moment;
use crate::sheet::Sheet;
use rustix::fs::stat;
use std::path::{Path, PathBuf};

/// No engine nests its containers deeper below the root.
const MAX_DEPTH: usize = 8;
/// Of a tree with more folders that could hold containers the rest is left out.
const MAX_FOLDERS: usize = 2_000;
/// What engines put before the id in the name of a folder.
const ENGINES: [&str; 4] = ["docker-", "libpod-", "cri-containerd-", "crio-"];
/// What LXC puts before a container's name.
const LXC: &str = "lxc.payload.";

/// A container's cgroup.
#[derive(Debug)]
pub(crate) struct Cgroup {
    dir: PathBuf,
    proc: PathBuf,
    cpu: Source,
    memory: [Source; 3],
    io: Source,
    pids: Source,
    cpu_track: Track<1>,
    io_track: Track<2>,
    net_track: Track<2>,
    /// A process of the container, and the number of the network it lives in.
    process: Option<(u32, u64)>,
}

/// The containers below `root`, as (id, folder below the root). Folders of services and scopes hold none, but for the one that
/// runs a user's own.
pub(crate) fn find(root: &Path) -> Vec<(String, PathBuf)> {
    let (mut found, mut folders, mut budget) = (Vec::new(), vec![(PathBuf::new(), 0)], MAX_FOLDERS);
    while let Some((folder, depth)) = folders.pop() {
        let Some(left) = budget.checked_sub(1) else { break };
        budget = left;
        let Ok(entries) = std::fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = folder.join(&name);
            if let Some(id) = id_of(&name) {
                found.push((id.to_owned(), path));
            } else if depth < MAX_DEPTH && may_hold_containers(&name) {
                folders.push((path, depth + 1));
            }
        }
    }
    found.sort_unstable();
    found
}

/// `docker-<id>.scope`, `libpod-<id>`, `<id>`, `lxc.payload.<name>`.
fn id_of(folder: &str) -> Option<&str> {
    if let Some(name) = folder.strip_prefix(LXC) {
        return Some(name);
    }
    let bare = folder.strip_suffix(".scope").unwrap_or(folder);
    let id = ENGINES.iter().find_map(|engine| bare.strip_prefix(engine)).unwrap_or(bare);
    is_id(id).then_some(id)
}

fn may_hold_containers(folder: &str) -> bool {
    let unit = [".service", ".scope", ".mount", ".socket", ".swap"].iter().any(|kind| folder.ends_with(kind));
    !unit || folder.starts_with("user@")
}

impl Cgroup {
    /// The container in `folder` below `root`, with its processes below `proc`.
    pub(crate) fn new(root: &Path, folder: &Path, proc: &Path) -> Self {
        let dir = root.join(folder);
        let file = |name: &str| Source::cgroup(root, &folder.join(name));
        Self {
            proc: proc.to_owned(),
            cpu: file("cpu.stat"),
            memory: ["memory.current", "memory.stat", "memory.max"].map(file),
            io: file("io.stat"),
            pids: file("pids.current"),
            dir,
            cpu_track: Track::new(),
            io_track: Track::new(),
            net_track: Track::new(),
            process: None,
        }
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes what it uses; says no if it is gone.
    pub(crate) fn collect(&mut self, label: &str, reader: &mut Reader, now: Moment, sheet: &mut Sheet) -> bool {
        // A container that was started again has another folder of the same name.
        let Ok(identity) = stat(&self.dir).map(|stat| stat.st_ino) else { return false };
        if let Some(cpu) = self.cpu.parse(reader, sheet, |bytes| key(bytes, b"usage_usec")) {
            let change = self.cpu_track.advance(now, identity, [cpu], [Width::Wide]);
            // Microseconds a second; 100 for each core.
            sheet.put_for("container.cpu_percent", label, rate(change, 0).map(|used| used / 10_000.0));
            note_reset(change, sheet);
        }
        self.collect_memory(label, reader, sheet);
        if let Some(moved) = self.io.parse(reader, sheet, |bytes| Ok(parse_io(bytes))) {
            let change = self.io_track.advance(now, identity, moved, [Width::Wide; 2]);
            sheet.put_for("container.io_read_bytes_per_second", label, rate(change, 0));
            sheet.put_for("container.io_write_bytes_per_second", label, rate(change, 1));
            note_reset(change, sheet);
        }
        if let Some(tasks) = self.pids.parse(reader, sheet, whole) {
            sheet.put_for("container.pids", label, Some(float(tasks)));
        }
        self.collect_network(label, reader, now, sheet);
        true
    }

    fn collect_memory(&mut self, label: &str, reader: &mut Reader, sheet: &mut Sheet) {
        let [current, details, limit] = &mut self.memory;
        let (Some(current), Some(cache)) =
            (current.parse(reader, sheet, whole), details.parse(reader, sheet, |bytes| key(bytes, b"inactive_file")))
        else {
            return;
        };
        let used = float(current.saturating_sub(cache));
        sheet.put_for("container.mem_used_bytes", label, Some(used));
        if let Some(Some(limit)) = limit.parse(reader, sheet, parse_limit) {
            sheet.put_for("container.mem_limit_percent", label, percent(used, float(limit)));
        }
    }

    fn collect_network(&mut self, label: &str, reader: &mut Reader, now: Moment, sheet: &mut Sheet) {
        let table = |pid: u32| self.proc.join(format!("{pid}/net/dev"));
        // The file has another number in each network, so it tells networks apart without the right to look at their links.
        let network = |pid: u32| stat(table(pid)).ok().map(|stat| stat.st_ino);
        if self.process.is_none_or(|(pid, known)| network(pid) != Some(known)) {
            self.process = first_process(&self.dir, 0).and_then(|pid| Some((pid, network(pid)?)));
        }
        let Some((pid, identity)) = self.process else { return };
        if network(1) == Some(identity) {
            return;
        }
        let Some(moved) = reader.once(&table(pid)).ok().and_then(parse_network) else { return };
        let change = self.net_track.advance(now, identity, moved, [Width::Wide; 2]);
        sheet.put_for("container.net_rx_bytes_per_second", label, rate(change, 0));
        sheet.put_for("container.net_tx_bytes_per_second", label, rate(change, 1));
        note_reset(change, sheet);
    }
}

fn note_reset<const N: usize>(change: Change<N>, sheet: &mut Sheet) {
    if change == Change::Reset {
        sheet.count_reset();
    }
}

/// The first process of a cgroup, or of one below it: processes stand in the leaves.
fn first_process(dir: &Path, depth: usize) -> Option<u32> {
    let text = std::fs::read_to_string(dir.join("cgroup.procs")).ok()?;
    // 0 is a process that our own view of the processes does not hold.
    if let Some(pid) = text.lines().find_map(|line| line.parse().ok().filter(|pid| *pid > 0)) {
        return Some(pid);
    }
    if depth >= MAX_DEPTH {
        return None;
    }
    let entries = std::fs::read_dir(dir).ok()?.flatten();
    let mut folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.find_map(|entry| first_process(&entry.path(), depth + 1))
}

/// The number behind a name in a file of `name number` lines.
pub(crate) fn key(bytes: &[u8], name: &[u8]) -> Result<u64, Unparsable> {
    let line = scan::lines(bytes).find_map(|line| line.strip_prefix(name)?.strip_prefix(b" "));
    line.and_then(scan::number).ok_or_else(|| missing(&scan::text(name)))
}

pub(crate) fn whole(bytes: &[u8]) -> Result<u64, Unparsable> {
    scan::number(bytes.trim_ascii()).ok_or_else(|| missing("the number"))
}

/// A limit in bytes, or `max`.
fn parse_limit(bytes: &[u8]) -> Result<Option<u64>, Unparsable> {
    if bytes.trim_ascii() == b"max" { Ok(None) } else { whole(bytes).map(Some) }
}

/// Bytes read and written, all devices together: `8:0 rbytes=1 wbytes=2 rios=3 …`.
fn parse_io(bytes: &[u8]) -> [u64; 2] {
    let sum = |name: &[u8]| {
        let values = scan::words(bytes).filter_map(|word| scan::number(word.strip_prefix(name)?));
        values.fold(0, u64::saturating_add)
    };
    [sum(b"rbytes="), sum(b"wbytes=")]
}

/// Bytes received and sent, all interfaces but the loopback together.
fn parse_network(bytes: &[u8]) -> Option<[u64; 2]> {
    let mut sums = [0_u64; 2];
    for line in scan::lines(bytes).skip(2) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        if line[..colon].trim_ascii() == b"lo" {
            continue;
        }
        let mut fields = scan::words(&line[colon + 1..]).map(scan::number);
        let (received, sent) = (fields.next().flatten()?, fields.nth(7).flatten()?);
        sums = [sums[0].saturating_add(received), sums[1].saturating_add(sent)];
    }
    Some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_every_engine_are_known_and_their_helpers_are_not() {
        let id = "0123456789abcdef".repeat(4);
        for folder in ["docker-ID.scope", "libpod-ID.scope", "libpod-ID", "ID", "cri-containerd-ID.scope", "crio-ID.scope"] {
            assert_eq!(id_of(&folder.replace("ID", &id)), Some(&*id), "{folder}");
        }
        assert_eq!(id_of("lxc.payload.mail"), Some("mail"));
        for folder in ["libpod-conmon-ID.scope", "crio-conmon-ID.scope", "docker-ID", "lxc.monitor.mail", "init.scope", "docker"]
        {
            let folder = folder.replace("ID", &id[1..]);
            assert_eq!(id_of(&folder), None, "{folder}");
        }
        assert!(may_hold_containers("user@1000.service") && may_hold_containers("kubepods.slice"));
        assert!(!may_hold_containers("cron.service") && !may_hold_containers("session-1.scope"));
    }

    #[test]
    fn files_as_the_kernel_writes_them() {
        assert_eq!(key(b"usage_usec 1234\nuser_usec 1000\nsystem_usec 234\n", b"usage_usec"), Ok(1234));
        assert_eq!(key(b"inactive_anon 1\ninactive_file 4096\n", b"inactive_file"), Ok(4096));
        assert!(key(b"usage_usecs 1\n", b"usage_usec").is_err() && key(b"", b"x").is_err());
        assert_eq!((parse_limit(b"max\n"), parse_limit(b"1048576\n")), (Ok(None), Ok(Some(1_048_576))));
        assert!(parse_limit(b"min\n").is_err());
        let io = b"8:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=0 dios=0\n259:0 rbytes=5 wbytes=6 rios=1 wios=1\n";
        assert_eq!((parse_io(io), parse_io(b"")), ([105, 206], [0, 0]));
        let table = b"Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs\n\
            \x20   lo: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n  eth0: 100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n  eth1:10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n";
        assert_eq!(parse_network(table), Some([110, 220]));
        assert_eq!(parse_network(b"a\nb\n eth0: 1 2\n"), None);
    }
}
