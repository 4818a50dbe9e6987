//! One reading of the host: every source once, in one pass, onto the sheet.
//!
//! The parsers are pure; the folder of each tree can be another one (`--proc`, `--sys`), so that recorded hosts can be read.
//! A source that cannot be read is a named gap and never a zero. When to read, and what becomes of the row, is left to others.

mod bus;
mod containers;
mod cpu;
mod diskio;
mod errand;
mod facts;
mod filesystems;
mod groups;
mod kernel;
mod listening;
mod memory;
mod mounts;
mod network;
mod own;
mod ports;
mod power;
mod pressure;
mod processes;
mod scan;
mod sensors;
mod smart;
mod sockets;
mod source;
mod stat;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timesync;
mod track;
mod units;
mod users;

use crate::clock::Moment;
use crate::sheet::{Gap, Names, Sheet};
use crate::watch::Watch;
pub use facts::facts;
pub use own::Dealings;
pub use processes::{Process, Top};
use source::{Reader, Source};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a heartbeat waits for what was asked at its beginning on other threads; what comes later is told with the next.
const PATIENCE: Duration = Duration::from_millis(20);

/// Where the kernel's trees are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
    /// `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), cgroup: "/sys/fs/cgroup".into() }
    }
}

/// What one reading brought.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When it was taken.
    pub at: Moment,
    /// Which series the row holds.
    pub names: Arc<Names>,
    /// One value for each name, scaled; [`crate::sheet::MISSING`] where there is none.
    pub row: Box<[i64]>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// The host slept since the reading before.
    pub resumed: bool,
}

/// All readers with what they remember between readings.
#[derive(Debug)]
pub struct Collector {
    reader: Reader,
    sheet: Sheet,
    last: Option<Moment>,
    stat: Source,
    cpu: cpu::Cpu,
    kernel: kernel::Kernel,
    memory: memory::Memory,
    pressure: pressure::Pressure,
    network: network::Network,
    sockets: sockets::Sockets,
    diskio: diskio::DiskIo,
    filesystems: filesystems::FileSystems,
    sensors: sensors::Sensors,
    power: power::Power,
    processes: processes::Processes,
    groups: groups::Groups,
    ports: ports::Ports,
    units: units::Units,
    containers: containers::Containers,
    smart: smart::Smart,
    users: users::Users,
    timesync: timesync::TimeSync,
    own: own::Own,
}

impl Collector {
    /// Readers of the host below `roots` and of what is watched on it; with `with_counters` the raw kernel counters are noted
    /// too.
    #[must_use]
    pub fn new(roots: &Roots, watch: &Watch, with_counters: bool) -> Self {
        Self {
            reader: Reader::new(),
            sheet: Sheet::new(with_counters),
            last: None,
            stat: Source::proc(&roots.proc, "stat"),
            cpu: cpu::Cpu::default(),
            kernel: kernel::Kernel::new(roots),
            memory: memory::Memory::new(roots),
            pressure: pressure::Pressure::new(roots),
            network: network::Network::new(roots),
            sockets: sockets::Sockets::new(roots),
            diskio: diskio::DiskIo::new(roots),
            filesystems: filesystems::FileSystems::new(roots),
            sensors: sensors::Sensors::new(roots),
            power: power::Power::new(roots),
            processes: processes::Processes::new(roots),
            groups: groups::Groups::new(roots, &watch.processes),
            ports: ports::Ports::new(roots, &watch.ports),
            units: units::Units::new(roots, watch.units.as_deref()),
            containers: containers::Containers::new(roots, &watch.containers),
            smart: smart::Smart::new(roots, &watch.smart),
            users: users::Users::new(roots),
            timesync: timesync::TimeSync::new(roots),
            own: own::Own::new(),
        }
    }

    /// Reads the host once, at `now`. Blocks for as long as the kernel takes: under 5 ms, and up to 2 s once when a network file
    /// system stops answering.
    pub fn collect(&mut self, now: Moment, dealings: &Dealings) -> Reading {
        let (reader, sheet) = (&mut self.reader, &mut self.sheet);
        sheet.begin();
        self.ports.ask(sheet);
        self.timesync.ask(sheet);
        self.units.ask(sheet);
        self.containers.ask(sheet);
        self.smart.ask(now, sheet);
        let stat = self.stat.parse(reader, sheet, stat::parse);
        if let Some(stat) = &stat {
            self.cpu.collect(stat, sheet);
        }
        self.kernel.collect(stat.as_ref(), reader, now, sheet);
        self.memory.collect(reader, sheet);
        self.pressure.collect(reader, now, sheet);
        self.network.collect(reader, now, sheet);
        self.sockets.collect(reader, now, sheet);
        self.diskio.collect(reader, now, sheet);
        self.filesystems.collect(reader, sheet);
        self.sensors.collect(&self.diskio, reader, sheet);
        self.power.collect(reader, sheet);
        self.processes.collect(&mut self.groups, reader, now, sheet);
        self.users.collect(reader, sheet);
        // The first heartbeat waits for nobody.
        let patience = if self.last.is_some() { PATIENCE } else { Duration::ZERO };
        let deadline = Instant::now() + patience;
        self.ports.collect(deadline, reader, sheet);
        self.timesync.collect(deadline, sheet);
        self.units.collect(deadline, reader, now, sheet);
        self.containers.collect(deadline, reader, now, sheet);
        self.smart.collect(deadline, sheet);
        self.own.collect(reader, now, dealings, sheet);
        reader.shrink();
        let resumed = self.last.replace(now).is_some_and(|last| now.slept_since(last));
        let (names, row) = sheet.finish();
        Reading { at: now, names, row, gaps: sheet.gaps().to_vec(), resumed }
    }

    /// Ranks the processes; on a host with thousands of them only if that is `asked` for.
    pub fn rank_processes(&mut self, now: Moment, asked: bool) -> Option<Top> {
        let bearable = self.processes.count() <= processes::TOO_MANY_TO_RANK;
        (asked || bearable).then(|| self.processes.rank(&mut self.reader, now))
    }

    /// The raw counters of the last reading.
    #[must_use]
    pub fn counters(&self) -> &[crate::sheet::RawCounter] {
        self.sheet.counters()
    }
}
