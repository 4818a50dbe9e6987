//! Batteries and mains power from `/sys/class/power_supply` (Documentation/ABI/testing/sysfs-class-power).
//!
//! Only what powers the host itself: the battery of a wireless mouse has the scope "Device" and is left out.

use super::Roots;
use super::scan::{self, missing};
use super::source::Reader;
use crate::sheet::Sheet;
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// Where the supplies are.
#[derive(Debug)]
pub(crate) struct Power {
    class: PathBuf,
}

impl Power {
    /// Supplies below `/sys`.
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { class: roots.sys.join("class/power_supply") }
    }

    /// Writes `battery.*` and `ac.online`.
    pub(crate) fn collect(&mut self, reader: &mut Reader, sheet: &mut Sheet) {
        let Ok(supplies) = std::fs::read_dir(&self.class) else { return };
        let mut online: Option<bool> = None;
        for supply in supplies.flatten() {
            let (dir, name) = (supply.path(), supply.file_name());
            let name = name.to_string_lossy();
            match word(reader, &dir, "type").as_str() {
                "Battery" if word(reader, &dir, "scope") != "Device" => battery(&dir, &name, reader, sheet),
                "Mains" | "USB" => {
                    if let Some(state) = quantity(reader, &dir, "online", sheet) {
                        online = Some(online.unwrap_or(false) || state != 0);
                    }
                }
                _ => {}
            }
        }
        if let Some(online) = online {
            sheet.put("ac.online", Some(f64::from(u8::from(online))));
        }
    }
}

fn battery(dir: &Path, name: &str, reader: &mut Reader, sheet: &mut Sheet) {
    let charge = quantity(reader, dir, "capacity", sheet).map(f64::from);
    sheet.put_for("battery.percent", name, charge.map(|charge| charge.min(100.0)));
    let millionths = |value: i32| f64::from(value) / 1e6;
    let power = quantity(reader, dir, "power_now", sheet).map(millionths).or_else(|| {
        let current = quantity(reader, dir, "current_now", sheet).map(millionths)?;
        Some(current * quantity(reader, dir, "voltage_now", sheet).map(millionths)?)
    });
    // Drivers disagree on the sign; the state says which way the power flows.
    let out = word(reader, dir, "status") == "Discharging";
    if let Some(power) = power {
        sheet.put_for("battery.power_watts", name, Some(if out { -power.abs() } else { power.abs() }));
    }
}

fn word(reader: &mut Reader, dir: &Path, file: &str) -> String {
    reader.once(&dir.join(file)).map(scan::text).unwrap_or_default()
}

/// The number in a file that a supply may have.
fn quantity(reader: &mut Reader, dir: &Path, file: &str, sheet: &mut Sheet) -> Option<i32> {
    let path = dir.join(file);
    let why = match reader.once(&path) {
        Ok(bytes) => match scan::whole(bytes).and_then(|value| i32::try_from(value).ok()) {
            Some(value) => return Some(value),
            None => missing("the reading").0,
        },
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NODATA | Errno::NODEV) => return None,
        Err(error) => super::source::reason(error),
    };
    let supply = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    sheet.gap(format!("/sys/class/power_supply/{supply}/{file}"), why);
    None
}

#[cfg(test)]
mod tests {
    use super::super::testing::value;
    use super::*;

    #[test]
    fn a_laptop_on_its_battery() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        for (path, content) in [
            ("BAT0/type", "Battery\n"),
            ("BAT0/capacity", "87\n"),
            ("BAT0/status", "Discharging\n"),
            ("BAT0/current_now", "1000000\n"),
            ("BAT0/voltage_now", "12345000\n"),
            ("AC/type", "Mains\n"),
            ("AC/online", "0\n"),
            ("mouse/type", "Battery\n"),
            ("mouse/scope", "Device\n"),
            ("mouse/capacity", "3\n"),
        ] {
            let path = dir.path().join("class/power_supply").join(path);
            std::fs::create_dir_all(path.parent().unwrap())?;
            std::fs::write(path, content)?;
        }
        let roots = Roots { proc: dir.path().into(), sys: dir.path().into(), cgroup: dir.path().into() };
        let mut sheet = Sheet::new(false);
        sheet.begin();
        Power::new(&roots).collect(&mut Reader::new(), &mut sheet);
        assert_eq!(value(&mut sheet, "battery.percent{battery=BAT0}"), Some(87.0));
        assert_eq!(value(&mut sheet, "battery.power_watts{battery=BAT0}"), Some(-12.35));
        assert_eq!(value(&mut sheet, "ac.online"), Some(0.0));
        assert_eq!(sheet.finish().0.keys.len(), 3);
        Ok(())
    }
}
