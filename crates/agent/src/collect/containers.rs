//! Containers: what they use, from their cgroups, and how they are, from the engine's API where we may ask it.
//!
//! Without the API a container goes by the short form of its id, and all that is said of its state is that it runs; with it
//! there are names, stopped containers, health and restarts. The engine is asked on a thread of its own. On a host without
//! containers this costs a look at a dozen folders once a minute.

mod api;
pub(super) mod cgroup;

use super::Roots;
use super::errand::Errand;
use super::source::Reader;
use crate::clock::Moment;
use crate::sheet::Sheet;
use crate::watch::Engine;
use api::Container;
use cgroup::Cgroup;
use rustix::fs::{Access, access};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Docker's socket, and the file that says that Docker runs.
const SOCKET: &str = "/run/docker.sock";
const RUNS: &str = "/run/docker.pid";
/// Each takes ten series and keeps six files open; the usual limit of open files is 1,024.
const MAX: usize = 100;
/// Heartbeats between two looks for new cgroups, unless the API says that there are some: a minute at 15 s.
const LOOK_AGAIN: u32 = 4;

/// What is known of containers.
#[derive(Debug)]
pub(crate) struct Containers {
    roots: Roots,
    engine: Engine,
    /// Docker was looked for and its socket is not ours to use, and that was said.
    refused: bool,
    errand: Errand<io::Result<Vec<Container>>>,
    listed: Vec<Container>,
    /// Why the list is not to be had.
    trouble: Option<String>,
    /// By id, or LXC's name.
    cgroups: Vec<(String, Cgroup)>,
    until_look: u32,
}

impl Containers {
    /// Watches the containers of the host; those of `engine` with names and states.
    pub(crate) fn new(roots: &Roots, engine: &Engine) -> Self {
        Self {
            roots: roots.clone(),
            engine: engine.clone(),
            refused: false,
            errand: Errand::new("containers"),
            listed: Vec::new(),
            trouble: None,
            cgroups: Vec::new(),
            until_look: 0,
        }
    }

    /// Asks the engine for its containers, unless it owes an answer.
    pub(crate) fn ask(&mut self, sheet: &mut Sheet) {
        let Some(socket) = self.socket() else { return };
        self.take_answer(Instant::now());
        if self.errand.is_out() {
            return;
        }
        let known = self.listed.clone();
        if let Err(error) = self.errand.send(move || api::containers(&socket, &known)) {
            sheet.gap("containers", error.to_string());
        }
    }

    /// The engine's socket. Docker's is looked for on the host we run on, and left alone while Docker does not run: where
    /// systemd listens in its place, to connect would start it.
    fn socket(&mut self) -> Option<PathBuf> {
        match &self.engine {
            Engine::Off => None,
            Engine::At(socket) => Some(socket.clone()),
            Engine::Found => {
                let here = self.roots.proc == Path::new("/proc") && Path::new(SOCKET).exists();
                if !here || !Path::new(RUNS).exists() {
                    if !std::mem::take(&mut self.listed).is_empty() {
                        self.trouble = Some("Docker does not run".to_owned());
                    }
                    return None;
                }
                if access(SOCKET, Access::READ_OK | Access::WRITE_OK).is_err() {
                    if !std::mem::replace(&mut self.refused, true) {
                        tracing::info!(socket = SOCKET, "containers go without names, state and health: this is not ours to use");
                    }
                    return None;
                }
                Some(PathBuf::from(SOCKET))
            }
        }
    }

    /// Writes `container.*`; an answer that comes by `deadline` is waited for.
    pub(crate) fn collect(&mut self, deadline: Instant, reader: &mut Reader, now: Moment, sheet: &mut Sheet) {
        if self.engine == Engine::Off {
            return;
        }
        self.take_answer(deadline);
        if let Some(why) = &self.trouble {
            sheet.gap("containers", &**why);
        }
        self.look_for_cgroups(sheet);
        for container in &self.listed {
            sheet.put_for("container.up", &container.name, Some(flag(container.running)));
            sheet.put_for("container.restarts", &container.name, container.restarts.map(f64::from));
            if let Some(healthy) = container.healthy {
                sheet.put_for("container.health", &container.name, Some(flag(healthy)));
            }
        }
        let mut gone = false;
        for (id, cgroup) in &mut self.cgroups {
            let listed = self.listed.iter().find(|container| container.id == *id);
            let label = listed.map_or_else(|| short(id), |container| &container.name);
            let there = cgroup.collect(label, reader, now, sheet);
            gone |= !there;
            if listed.is_none() && there {
                sheet.put_for("container.up", label, Some(1.0));
            }
        }
        if gone {
            self.until_look = 0;
        }
    }

    fn take_answer(&mut self, deadline: Instant) {
        match self.errand.answer(deadline) {
            Some(Ok(mut listed)) => {
                // What runs comes first, should there be too many.
                listed.sort_by(|a, b| b.running.cmp(&a.running).then_with(|| a.name.cmp(&b.name)));
                self.trouble = (listed.len() > MAX).then(|| format!("there are more than {MAX}"));
                listed.truncate(MAX);
                let unknown = |container: &Container| {
                    container.running && !self.listed.iter().any(|known| known.running && known.id == container.id)
                };
                if listed.iter().any(unknown) {
                    self.until_look = 0;
                }
                self.listed = listed;
            }
            Some(Err(error)) => (self.listed, self.trouble) = (Vec::new(), Some(reason(&error))),
            None => {}
        }
    }

    fn look_for_cgroups(&mut self, sheet: &mut Sheet) {
        if !self.roots.cgroup.join("cgroup.controllers").exists() {
            if self.listed.iter().any(|container| container.running) {
                sheet.gap("/sys/fs/cgroup", "is not cgroup v2, so what containers use cannot be measured");
            }
            return;
        }
        if self.until_look > 0 {
            self.until_look -= 1;
            return;
        }
        self.until_look = LOOK_AGAIN - 1;
        let mut found = cgroup::find(&self.roots.cgroup);
        if found.len() > MAX {
            sheet.gap("/sys/fs/cgroup", format!("has more than {MAX} containers"));
            found.truncate(MAX);
        }
        let mut former = std::mem::take(&mut self.cgroups);
        self.cgroups = found
            .into_iter()
            .map(|(id, folder)| {
                let dir = self.roots.cgroup.join(&folder);
                // What is known already keeps its open files and its last readings.
                match former.iter().position(|(_, cgroup)| cgroup.dir() == dir) {
                    Some(at) => former.swap_remove(at),
                    None => (id, Cgroup::new(&self.roots.cgroup, &folder, &self.roots.proc)),
                }
            })
            .collect();
    }
}

/// As engines print it.
fn short(id: &str) -> &str {
    if api::is_id(id) { &id[..12] } else { id }
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "is not there".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody listens".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "does not answer".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
