//! Temperatures and fans from hwmon, or from the thermal zones where there is no hwmon
//! (Documentation/hwmon/sysfs-interface.rst).
//!
//! A sensor is called `chip/label`, or `chip/temp1` if it has no label; of several chips of one name each carries the address on
//! its bus (`nvme@0000:01:00.0/composite`), because hwmon's own numbers follow the order in which modules were loaded. A disk
//! that may be asleep is not asked for its temperature.

use super::Roots;
use super::diskio::DiskIo;
use super::scan::{self, missing};
use super::source::{Reader, Source};
use crate::sheet::Sheet;
use std::path::{Path, PathBuf};

/// Chips are looked for again after so many heartbeats: modules can be loaded late.
const LOOK_AGAIN: u32 = 40;

/// What has been found.
#[derive(Debug)]
pub(crate) struct Sensors {
    sys: PathBuf,
    until_look: u32,
    sensors: Vec<Sensor>,
}

#[derive(Debug)]
struct Sensor {
    metric: &'static str,
    label: String,
    source: Source,
    /// The kernel gives thousandths of a degree, and whole revolutions.
    scale: f64,
    /// The disk whose temperature this is, and the last one that was read.
    disk: Option<(String, Option<f64>)>,
}

/// A folder with sensors: its name, where it hangs, and the disk it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chip {
    dir: PathBuf,
    name: String,
    address: String,
    disk: Option<String>,
}

impl Sensors {
    /// Looks for sensors below `/sys` with the first heartbeat.
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { sys: roots.sys.clone(), until_look: 0, sensors: Vec::new() }
    }

    /// Writes `temp.celsius` and `fan.rpm`.
    pub(crate) fn collect(&mut self, disks: &DiskIo, reader: &mut Reader, sheet: &mut Sheet) {
        if self.until_look == 0 {
            let mut found = find(&self.sys, reader);
            for sensor in &mut found {
                // What is known already stays, with its open file and its last value.
                if let Some(at) =
                    self.sensors.iter().position(|known| known.label == sensor.label && known.metric == sensor.metric)
                {
                    std::mem::swap(sensor, &mut self.sensors[at]);
                }
            }
            self.sensors = found;
            self.until_look = LOOK_AGAIN;
        }
        self.until_look -= 1;
        for sensor in &mut self.sensors {
            let value = sensor.read(disks, reader, sheet);
            sheet.put_for(sensor.metric, &sensor.label, value);
        }
    }
}

impl Sensor {
    fn read(&mut self, disks: &DiskIo, reader: &mut Reader, sheet: &mut Sheet) -> Option<f64> {
        if let Some((disk, Some(last))) = &self.disk
            && !disks.moved(disk)
        {
            return Some(*last);
        }
        let parse =
            |bytes: &[u8]| scan::whole(bytes).and_then(|value| i32::try_from(value).ok()).ok_or_else(|| missing("the reading"));
        let value = self.source.parse(reader, sheet, parse).map(|value| f64::from(value) * self.scale);
        if let Some((_, last)) = &mut self.disk {
            *last = value;
        }
        value
    }
}

fn find(sys: &Path, reader: &mut Reader) -> Vec<Sensor> {
    let mut sensors = Vec::new();
    let chips = chips(&sys.join("class/hwmon"), "name", reader);
    for chip in &chips {
        let called = called(chip, &chips);
        for file in entries(&chip.dir) {
            let Some(channel) = file.strip_suffix("_input") else { continue };
            let (metric, scale) = match channel.trim_end_matches(|c: char| c.is_ascii_digit()) {
                "temp" => ("temp.celsius", 0.001),
                "fan" => ("fan.rpm", 1.0),
                _ => continue,
            };
            let label = reader.once(&chip.dir.join(format!("{channel}_label"))).map(clean).unwrap_or_default();
            let label = if label.is_empty() { channel.to_owned() } else { label };
            sensors.push(Sensor::new(metric, format!("{called}/{label}"), &chip.dir, &file).of_disk(chip, scale));
        }
    }
    if !sensors.iter().any(|sensor| sensor.metric == "temp.celsius") {
        let zones = chips_of_zones(sys, reader);
        for zone in &zones {
            let label = format!("{}/temp1", called(zone, &zones));
            sensors.push(Sensor::new("temp.celsius", label, &zone.dir, "temp").of_disk(zone, 0.001));
        }
    }
    tell_twins_apart(&mut sensors);
    sensors
}

impl Sensor {
    fn new(metric: &'static str, label: String, dir: &Path, file: &str) -> Self {
        Self { metric, label, source: Source::sys(dir, file), scale: 1.0, disk: None }
    }

    fn of_disk(self, chip: &Chip, scale: f64) -> Self {
        Self { scale, disk: chip.disk.clone().map(|disk| (disk, None)), ..self }
    }
}

fn chips_of_zones(sys: &Path, reader: &mut Reader) -> Vec<Chip> {
    let mut zones = chips(&sys.join("class/thermal"), "type", reader);
    zones.retain(|zone| zone.dir.join("temp").exists());
    for zone in &mut zones {
        zone.address = zone.dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    }
    zones
}

/// The folders below `class` that say their name in the file `named`.
fn chips(class: &Path, named: &str, reader: &mut Reader) -> Vec<Chip> {
    let mut chips = Vec::new();
    for entry in entries(class) {
        let dir = class.join(&entry);
        let name = reader.once(&dir.join(named)).map(clean).unwrap_or_default();
        if name.is_empty() {
            continue;
        }
        let device = dir.join("device").canonicalize().unwrap_or_default();
        let disk = (name == "drivetemp").then(|| entries(&device.join("block")).into_iter().next()).flatten();
        chips.push(Chip { address: address(&device), dir, name, disk });
    }
    chips
}

/// What stays the same over reboots: the PCI address nearest to the device, else the device's own name.
fn address(device: &Path) -> String {
    let parts: Vec<_> = device.iter().map(|part| part.to_string_lossy()).collect();
    let pci = parts.iter().rev().find(|part| is_pci(part));
    pci.or(parts.last()).map(|part| clean(part.as_bytes())).unwrap_or_default()
}

/// `0000:01:00.0`.
fn is_pci(part: &str) -> bool {
    let shape = |c: char| if c.is_ascii_hexdigit() { 'x' } else { c };
    part.chars().map(shape).collect::<String>() == "xxxx:xx:xx.x"
}

fn called(chip: &Chip, all: &[Chip]) -> String {
    let alone = all.iter().filter(|other| other.name == chip.name).count() == 1;
    if alone || chip.address.is_empty() { chip.name.clone() } else { format!("{}@{}", chip.name, chip.address) }
}

/// Two sensors that still have one name (one chip that says a label twice) are numbered.
fn tell_twins_apart(sensors: &mut [Sensor]) {
    for at in 1..sensors.len() {
        let (before, rest) = sensors.split_at_mut(at);
        let sensor = &mut rest[0];
        let twins = |label: &str| before.iter().any(|other| other.metric == sensor.metric && other.label == label);
        if twins(&sensor.label) {
            let numbered = (2..=at + 1).map(|number| format!("{}_{number}", sensor.label)).find(|label| !twins(label));
            sensor.label = numbered.unwrap_or_default();
        }
    }
}

/// The names in a folder, in order (`temp2` before `temp10`); none if it cannot be read.
fn entries(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    names
}

/// A name that needs no quotes in a series key: lower case, with underscores for all that is neither letter, digit nor `.:-`.
fn clean(bytes: &[u8]) -> String {
    let text = scan::text(bytes).to_lowercase();
    text.chars().map(|c| if c.is_alphanumeric() || ".:-".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
