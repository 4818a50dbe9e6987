//! What a watched service uses, by its cgroup, and how often systemd has restarted it. Where its cgroup is, systemd says once;
//! restarts are one small question for each service and heartbeat.

use super::super::bus::{Argument, Bus, Method};
use super::super::containers::cgroup::{key, whole};
use super::super::kernel::rate;
use super::super::scan::float;
use super::super::source::{Reader, Source};
use super::super::track::{Change, Track, Width};
use super::{Listed, MANAGER};
use crate::clock::Moment;
use crate::sheet::Sheet;
use rustix::fs::stat;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Of more watched services than this the rest is only active or not.
const MAX_SERVICES: usize = 20;
/// Only services have what is asked for here.
const KIND: &str = ".service";
/// Of whom the properties are.
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// What systemd said of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    name: String,
    /// Its folder below the root of cgroups; empty while it has none.
    cgroup: String,
    restarts: Option<u32>,
}

/// Asks about the first of the units that are services. Folders that are `known` are not asked for again.
pub(super) fn question(bus: &mut Bus, listed: &[Listed], known: &[(String, String)]) -> io::Result<Vec<Service>> {
    let mut services = Vec::new();
    for unit in listed.iter().filter(|unit| unit.name.ends_with(KIND)).take(MAX_SERVICES) {
        let known = known.iter().find(|(name, _)| *name == unit.name).map(|(_, cgroup)| cgroup.clone());
        let cgroup = match known {
            Some(cgroup) => cgroup,
            None if unit.active => property(bus, &unit.object, "ControlGroup", "s", |reader| reader.text().map(str::to_owned))?
                .map(|path| path.trim_start_matches('/').to_owned())
                .filter(|path| !path.split('/').any(|part| part == ".."))
                .unwrap_or_default(),
            None => String::new(),
        };
        let restarts = property(bus, &unit.object, "NRestarts", "u", |reader| reader.number())?;
        services.push(Service { name: unit.name.clone(), cgroup, restarts });
    }
    Ok(services)
}

/// A property of a service; nothing if systemd has no such property.
fn property<T>(
    bus: &mut Bus,
    object: &str,
    name: &str,
    kind: &str,
    read: impl FnOnce(&mut super::super::bus::Reader<'_>) -> io::Result<T>,
) -> io::Result<Option<T>> {
    let get = Method { interface: "org.freedesktop.DBus.Properties", name: "Get", object, ..MANAGER };
    let answer = match bus.call(&get, &[Argument::Text(SERVICE), Argument::Text(name)]) {
        Ok(answer) => answer,
        Err(error) if error.kind() == ErrorKind::Other => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut reader = answer.reader();
    if reader.signature()? != kind {
        return Ok(None);
    }
    read(&mut reader).map(Some)
}

/// The cgroup of a service.
#[derive(Debug)]
struct Cgroup {
    name: String,
    folder: String,
    dir: PathBuf,
    cpu: Source,
    memory: [Source; 2],
    track: Track<1>,
}

impl Cgroup {
    fn new(root: &Path, name: &str, folder: &str) -> Self {
        let file = |file: &str| Source::cgroup(root, &Path::new(folder).join(file));
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            dir: root.join(folder),
            cpu: file("cpu.stat"),
            memory: ["memory.current", "memory.stat"].map(file),
            track: Track::new(),
        }
    }

    /// Writes what it uses; says no if it is gone.
    fn collect(&mut self, reader: &mut Reader, now: Moment, sheet: &mut Sheet) -> bool {
        // A service that was started again has another folder of the same name.
        let Ok(identity) = stat(&self.dir).map(|stat| stat.st_ino) else { return false };
        if let Some(cpu) = self.cpu.parse(reader, sheet, |bytes| key(bytes, b"usage_usec")) {
            let change = self.track.advance(now, identity, [cpu], [Width::Wide]);
            // Microseconds a second; 100 for each core.
            sheet.put_for("unit.cpu_percent", &self.name, rate(change, 0).map(|used| used / 10_000.0));
            if change == Change::Reset {
                sheet.count_reset();
            }
        }
        let [current, details] = &mut self.memory;
        if let (Some(current), Some(cache)) =
            (current.parse(reader, sheet, whole), details.parse(reader, sheet, |bytes| key(bytes, b"inactive_file")))
        {
            sheet.put_for("unit.mem_bytes", &self.name, Some(float(current.saturating_sub(cache))));
        }
        true
    }
}

/// The cgroups of watched services.
#[derive(Debug)]
pub(super) struct Usage {
    root: PathBuf,
    cgroups: Vec<Cgroup>,
}

impl Usage {
    /// Nothing yet, of the cgroups below `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), cgroups: Vec::new() }
    }

    /// The folders that need not be asked for.
    pub(super) fn known(&self) -> Vec<(String, String)> {
        self.cgroups.iter().map(|cgroup| (cgroup.name.clone(), cgroup.folder.clone())).collect()
    }

    /// Takes what systemd said of services, and forgets those that it said nothing of.
    pub(super) fn take(&mut self, services: &[Service]) {
        let is_same = |cgroup: &Cgroup, service: &Service| cgroup.name == service.name && cgroup.folder == service.cgroup;
        self.cgroups.retain(|cgroup| services.iter().any(|service| is_same(cgroup, service)));
        for service in services.iter().filter(|service| !service.cgroup.is_empty()) {
            if !self.cgroups.iter().any(|cgroup| is_same(cgroup, service)) {
                self.cgroups.push(Cgroup::new(&self.root, &service.name, &service.cgroup));
            }
        }
    }

    /// Writes what services use and how often they were restarted.
    pub(super) fn collect(&mut self, services: &[Service], reader: &mut Reader, now: Moment, sheet: &mut Sheet) {
        self.cgroups.retain_mut(|cgroup| cgroup.collect(reader, now, sheet));
        for service in services {
            sheet.put_for("unit.restarts", &service.name, service.restarts.map(f64::from));
        }
    }
}
