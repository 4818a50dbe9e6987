//! What disks say of their own health, in the words of smartctl(8): once an hour, and never of a disk that is asleep.
//!
//! An agent that is root runs smartctl itself, one disk after the other, on a thread of its own. One that is not is given a
//! folder in which a root's timer leaves what smartctl printed, a file for each disk. What was read is told once; only its age
//! is told with every heartbeat.

mod report;

use super::Roots;
use super::errand::Errand;
use crate::clock::{self, Moment};
use crate::sheet::Sheet;
use crate::watch::Disks;
use report::{Device, Report};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// How often smartctl runs. More often would keep disks from falling asleep.
const HOUR_MS: i64 = 3_600_000;
/// How often the folder is looked at: its files say themselves how old they are.
const MINUTE_MS: i64 = 60_000;
/// Where smartctl may be; the search path of a service is not to be trusted with root.
const PLACES: [&str; 3] = ["/usr/sbin/smartctl", "/usr/local/sbin/smartctl", "/usr/bin/smartctl"];
/// More disks than this are left out.
const MAX_DISKS: usize = 64;
/// A report has 40 KiB; anything larger is something else.
const MAX_FILE: u64 = 1 << 20;

/// Where reports come from.
#[derive(Debug, Clone)]
enum From {
    Program(PathBuf),
    Folder(PathBuf),
}

/// The last reports.
#[derive(Debug)]
pub(crate) struct Smart {
    from: Option<From>,
    asked_ms: Option<i64>,
    errand: Errand<Answer>,
    /// Disks and when they were read, in wall time.
    read: Vec<(String, i64)>,
    gaps: Vec<(String, String)>,
}

/// Reports, and what gave none, with the reason.
type Answer = (Vec<Report>, Vec<(String, String)>);

impl Smart {
    /// Watches the disks of the host we run on, or those of a folder.
    pub(crate) fn new(roots: &Roots, disks: &Disks) -> Self {
        let from = match disks {
            Disks::Off => None,
            Disks::Folder(folder) => Some(From::Folder(folder.clone())),
            Disks::Found => {
                let may = roots.proc == Path::new("/proc") && rustix::process::geteuid().is_root();
                let program = PLACES.iter().map(PathBuf::from).find(|place| place.exists());
                program.filter(|_| may).map(From::Program)
            }
        };
        Self { from, asked_ms: None, errand: Errand::new("smart"), read: Vec::new(), gaps: Vec::new() }
    }

    /// Asks, when it is time.
    pub(crate) fn ask(&mut self, now: Moment, sheet: &mut Sheet) {
        let Some(from) = self.from.clone().filter(|_| !self.errand.is_out()) else { return };
        let period_ms = if matches!(from, From::Program(_)) { HOUR_MS } else { MINUTE_MS };
        if self.asked_ms.is_some_and(|asked| now.boot_ms - asked < period_ms) {
            return;
        }
        self.asked_ms = Some(now.boot_ms);
        let asking = move || match from {
            From::Program(program) => run(&program),
            From::Folder(folder) => look(&folder),
        };
        if let Err(error) = self.errand.send(asking) {
            sheet.gap("smartctl", error.to_string());
        }
    }

    /// Writes `smart.*`; an answer that comes by `deadline` is waited for.
    pub(crate) fn collect(&mut self, deadline: Instant, sheet: &mut Sheet) {
        self.collect_at(clock::wall_ms(), deadline, sheet);
    }

    fn collect_at(&mut self, wall_ms: i64, deadline: Instant, sheet: &mut Sheet) {
        if let Some((reports, gaps)) = self.errand.answer(deadline) {
            self.gaps = gaps;
            for report in reports {
                let at_ms = report.at_s.map_or(wall_ms, |seconds| seconds.saturating_mul(1000));
                match self.read.iter().position(|(label, _)| *label == report.label) {
                    // A file that was read before.
                    Some(at) if self.read[at].1 == at_ms => continue,
                    Some(at) => self.read[at].1 = at_ms,
                    None if self.read.len() < MAX_DISKS => self.read.push((report.label.clone(), at_ms)),
                    None => continue,
                }
                report.write(sheet);
            }
        }
        for (label, at_ms) in &self.read {
            let age_ms = wall_ms.saturating_sub(*at_ms).max(0);
            sheet.put_for("smart.age_seconds", label, i32::try_from(age_ms / 1000).ok().map(f64::from));
        }
        for (source, why) in &self.gaps {
            sheet.gap(&**source, &**why);
        }
    }
}

/// Finds the disks and asks one after the other. The word `standby` lets those sleep that do.
fn run(program: &Path) -> Answer {
    let output = |arguments: &[&str]| {
        let command = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
        command.map(|output| output.stdout).map_err(|error| error.to_string())
    };
    let mut answer = Answer::default();
    let devices = match output(&["--scan", "--json=c"]).and_then(|text| report::devices(&text)) {
        Ok(devices) => devices,
        Err(why) => {
            answer.1.push(("smartctl".to_owned(), why));
            return answer;
        }
    };
    for Device { name, kind } in devices.into_iter().take(MAX_DISKS) {
        let text = output(&["--all", "--nocheck=standby", "--json=c", "--device", &kind, &name]);
        sort(name, text.and_then(|text| report::report(&text)), &mut answer);
    }
    answer
}

/// Reads every file of the folder that ends in `.json`.
fn look(folder: &Path) -> Answer {
    let mut answer = Answer::default();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            answer.1.push((folder.display().to_string(), error.to_string()));
            return answer;
        }
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "json"));
    files.sort();
    for file in files.into_iter().take(MAX_DISKS) {
        sort(file.display().to_string(), read(&file).and_then(|text| report::report(&text)), &mut answer);
    }
    answer
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let mut text = Vec::new();
    let file = std::fs::File::open(file).map_err(|error| error.to_string())?;
    file.take(MAX_FILE).read_to_end(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// A disk that is asleep has no report, and that is no fault.
fn sort(source: String, report: Result<Option<Report>, String>, answer: &mut Answer) {
    match report {
        Ok(report) => answer.0.extend(report),
        Err(why) => answer.1.push((source, why)),
    }
}

#[cfg(test)]
mod tests;
