//! What systemd says of its units: how many there are, how many have failed, and whether those that have failed, or are
//! watched, are active (org.freedesktop.systemd1(5)).
//!
//! Four small questions for each heartbeat over one connection, on a thread of their own: systemd filters, so the answers do
//! not grow with the number of units. A unit that was seen failed is asked for by name for an hour more, so that its recovery
//! is told and not a hole. Hosts without systemd are not asked, and cost nothing. What watched services use is read by `usage`.

mod usage;

use super::Roots;
use super::bus::{Argument, Bus, Method};
use super::errand::Errand;
use super::source::Reader;
use crate::clock::Moment;
use crate::sheet::Sheet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;
use usage::{Service, Usage};

/// The system bus, unless the environment says otherwise.
const SOCKET: &str = "/run/dbus/system_bus_socket";
/// What says that systemd runs the host (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
/// Of more failed units than this the rest is only counted.
const MAX_FAILED: usize = 50;
/// Heartbeats for which a unit that had failed is asked for by its name: an hour at 15 s.
const REMEMBER: u32 = 240;
/// States in which a unit does its work.
const ACTIVE: [&str; 3] = ["active", "reloading", "refreshing"];

const MANAGER: Method<'static> = Method {
    service: "org.freedesktop.systemd1",
    object: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
    name: "",
};

/// What is watched, and what was heard last.
#[derive(Debug)]
pub(crate) struct Units {
    socket: Option<PathBuf>,
    names: Vec<String>,
    patterns: Vec<String>,
    /// Units that had failed, and how many heartbeats ago.
    failed: Vec<(String, u32)>,
    bus: Option<Bus>,
    errand: Errand<(Option<Bus>, Result<Answer, String>)>,
    last: Option<Result<Answer, String>>,
    usage: Usage,
}

/// What systemd said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Answer {
    total: u32,
    failed: Vec<String>,
    /// Whether each watched unit is active.
    active: Vec<(String, bool)>,
    /// What else is known of those that are services.
    services: Vec<Service>,
}

/// A unit in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    name: String,
    active: bool,
    /// Where it is on the bus.
    object: String,
}

impl Units {
    /// Watches these units, names or patterns; nothing at all if there are none to be had.
    pub(crate) fn new(roots: &Roots, watched: Option<&[String]>) -> Self {
        // The bus is that of the host we run on, not of a tree of fixtures.
        let live = roots.proc == Path::new("/proc") && watched.is_some();
        Self::at(live.then(socket).flatten(), watched.unwrap_or_default(), &roots.cgroup)
    }

    fn at(socket: Option<PathBuf>, watched: &[String], cgroups: &Path) -> Self {
        let (patterns, names) = watched.iter().cloned().partition(|name| name.contains(['*', '?', '[']));
        let (errand, usage) = (Errand::new("units"), Usage::new(cgroups));
        Self { socket, names, patterns, failed: Vec::new(), bus: None, errand, last: None, usage }
    }

    /// Asks systemd, unless it owes an answer.
    pub(crate) fn ask(&mut self, sheet: &mut Sheet) {
        let Some(socket) = &self.socket else { return };
        let socket = socket.clone();
        self.take_answer(Instant::now());
        if self.errand.is_out() {
            return;
        }
        let mut names = self.names.clone();
        names.extend(self.failed.iter().map(|(name, _)| name.clone()).filter(|name| !self.names.contains(name)));
        let watched = self.names.len();
        let (bus, patterns, known) = (self.bus.take(), self.patterns.clone(), self.usage.known());
        let asking = move || {
            let mut bus = bus;
            match question(&mut bus, &socket, (&names, watched), &patterns, &known) {
                Ok(answer) => (bus, Ok(answer)),
                // The next question begins with a new connection.
                Err(error) => (None, Err(reason(&error))),
            }
        };
        if let Err(error) = self.errand.send(asking) {
            sheet.gap("systemd", error.to_string());
        }
    }

    /// Writes `unit.*`; an answer that comes by `deadline` is waited for.
    pub(crate) fn collect(&mut self, deadline: Instant, reader: &mut Reader, now: Moment, sheet: &mut Sheet) {
        self.take_answer(deadline);
        match &self.last {
            Some(Ok(answer)) => {
                self.usage.collect(&answer.services, reader, now, sheet);
                sheet.put("unit.total", Some(f64::from(answer.total)));
                sheet.put("unit.failed", u32::try_from(answer.failed.len()).ok().map(f64::from));
                for (name, active) in &answer.active {
                    sheet.put_for("unit.active", name, Some(f64::from(u8::from(*active))));
                }
            }
            Some(Err(why)) => sheet.gap("systemd", &**why),
            None => {}
        }
    }

    fn take_answer(&mut self, deadline: Instant) {
        let Some((bus, answer)) = self.errand.answer(deadline) else { return };
        self.bus = bus;
        if let Ok(answer) = &answer {
            self.usage.take(&answer.services);
            self.failed.iter_mut().for_each(|(_, ago)| *ago += 1);
            for name in answer.failed.iter().take(MAX_FAILED) {
                match self.failed.iter_mut().find(|(known, _)| known == name) {
                    Some((_, ago)) => *ago = 0,
                    None => self.failed.push((name.clone(), 0)),
                }
            }
            self.failed.retain(|(_, ago)| *ago <= REMEMBER);
            // The oldest go first.
            self.failed.sort_by_key(|(_, ago)| *ago);
            self.failed.truncate(MAX_FAILED);
        }
        self.last = Some(answer);
    }
}

/// Asks for everything of a heartbeat. The first of the names are watched, the others had failed; `known` are the folders of services.
fn question(
    bus: &mut Option<Bus>,
    socket: &Path,
    (names, watched): (&[String], usize),
    patterns: &[String],
    known: &[(String, String)],
) -> io::Result<Answer> {
    let bus = match bus {
        Some(bus) => bus,
        None => bus.insert(Bus::connect(socket)?),
    };
    let properties = Method { interface: "org.freedesktop.DBus.Properties", name: "Get", ..MANAGER };
    let total = bus.call(&properties, &[Argument::Text(MANAGER.interface), Argument::Text("NNames")])?;
    let mut total = total.reader();
    if total.signature()? != "u" {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "NNames is no number"));
    }
    let mut answer = Answer { total: total.number()?, ..Answer::default() };
    let failed = ["failed".to_owned()];
    let list = |name| Method { name, ..MANAGER };
    for unit in units(&bus.call(&list("ListUnitsFiltered"), &[Argument::List(&failed)])?)? {
        answer.failed.push(unit.name);
    }
    answer.failed.sort_unstable();
    answer.active.extend(answer.failed.iter().take(MAX_FAILED).map(|name| (name.clone(), false)));
    let mut heard = Vec::new();
    if !names.is_empty() {
        // In the order in which they were asked for; a name that is an alias is answered with the unit's own.
        let answered = units(&bus.call(&list("ListUnitsByNames"), &[Argument::List(names)])?)?;
        heard.extend(names.iter().zip(answered).map(|(name, unit)| Listed { name: name.clone(), ..unit }));
    }
    // Those that had failed and are not watched are only active or not.
    let mut own: Vec<Listed> = heard.iter().take(watched).cloned().collect();
    if !patterns.is_empty() {
        let matching = units(&bus.call(&list("ListUnitsByPatterns"), &[Argument::List(&[]), Argument::List(patterns)])?)?;
        own.extend(matching.iter().filter(|unit| !names[..watched].contains(&unit.name)).cloned());
        heard.extend(matching);
    }
    answer.services = usage::question(bus, &own, known)?;
    for unit in heard {
        if !answer.active.iter().any(|(known, _)| *known == unit.name) {
            answer.active.push((unit.name, unit.active));
        }
    }
    Ok(answer)
}

/// Units from `a(ssssssouso)`: name, description, load, active, sub, following, object,
/// job, its kind, its object.
fn units(answer: &super::bus::Answer) -> io::Result<Vec<Listed>> {
    let mut units = Vec::new();
    answer.reader().structures(|reader| {
        let name = reader.text()?.to_owned();
        reader.text()?;
        reader.text()?;
        let active = ACTIVE.contains(&reader.text()?);
        reader.text()?;
        reader.text()?;
        units.push(Listed { name, active, object: reader.text()?.to_owned() });
        reader.number()?;
        reader.text()?;
        reader.text().map(drop)
    })?;
    Ok(units)
}

/// The socket of the system bus, on a host that systemd runs or where the environment names one.
fn socket() -> Option<PathBuf> {
    match std::env::var("DBUS_SYSTEM_BUS_ADDRESS") {
        Ok(address) => {
            let path = address.split(';').find_map(|address| address.strip_prefix("unix:path="))?;
            path.split(',').next().map(PathBuf::from)
        }
        Err(_) => Path::new(BOOTED).is_dir().then(|| PathBuf::from(SOCKET)),
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => "there is no system bus".to_owned(),
        io::ErrorKind::PermissionDenied => "the system bus does not let us in".to_owned(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "does not answer".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
