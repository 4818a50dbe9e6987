//! Names of sensors, twins, and disks that are asleep.

use super::super::testing::value;
use super::*;
use std::fs;
use std::io;

fn tree(files: &[(&str, &str)], links: &[(&str, &str)]) -> io::Result<(tempfile::TempDir, Roots)> {
    let dir = tempfile::tempdir()?;
    for (path, content) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap())?;
        fs::write(path, content)?;
    }
    for (path, target) in links {
        let target = dir.path().join(target);
        fs::create_dir_all(&target)?;
        std::os::unix::fs::symlink(target, dir.path().join(path))?;
    }
    let roots = Roots { proc: dir.path().into(), sys: dir.path().into(), cgroup: dir.path().into() };
    Ok((dir, roots))
}

fn collected(roots: &Roots, sensors: &mut Sensors, sheet: &mut Sheet) {
    sheet.begin();
    sensors.collect(&DiskIo::new(roots), &mut Reader::new(), sheet);
}

#[test]
fn chips_labels_and_fans() -> io::Result<()> {
    let files = [
        ("class/hwmon/hwmon0/name", "coretemp\n"),
        ("class/hwmon/hwmon0/temp1_input", "45000\n"),
        ("class/hwmon/hwmon0/temp1_label", "Package id 0\n"),
        ("class/hwmon/hwmon0/temp2_input", "-1500\n"),
        ("class/hwmon/hwmon0/fan1_input", "1200\n"),
        ("class/hwmon/hwmon0/in0_input", "1200\n"),
    ];
    let (_dir, roots) = tree(&files, &[])?;
    let (mut sensors, mut sheet) = (Sensors::new(&roots), Sheet::new(false));
    collected(&roots, &mut sensors, &mut sheet);
    assert_eq!(value(&mut sheet, "temp.celsius{sensor=coretemp/package_id_0}"), Some(45.0));
    assert_eq!(value(&mut sheet, "temp.celsius{sensor=coretemp/temp2}"), Some(-1.5));
    assert_eq!(value(&mut sheet, "fan.rpm{sensor=coretemp/fan1}"), Some(1200.0));
    assert_eq!(sheet.finish().0.keys.len(), 3);
    Ok(())
}

#[test]
fn twin_chips_carry_their_address() -> io::Result<()> {
    let files = [
        ("class/hwmon/hwmon1/name", "nvme\n"),
        ("class/hwmon/hwmon1/temp1_input", "30000\n"),
        ("class/hwmon/hwmon1/temp1_label", "Composite\n"),
        ("class/hwmon/hwmon2/name", "nvme\n"),
        ("class/hwmon/hwmon2/temp1_input", "40000\n"),
        ("class/hwmon/hwmon2/temp1_label", "Composite\n"),
    ];
    let links = [
        ("class/hwmon/hwmon1/device", "devices/pci0000:00/0000:00:06.0/0000:01:00.0/nvme/nvme1"),
        ("class/hwmon/hwmon2/device", "devices/pci0000:00/0000:00:07.0/0000:02:00.0/nvme/nvme0"),
    ];
    let (_dir, roots) = tree(&files, &links)?;
    let (mut sensors, mut sheet) = (Sensors::new(&roots), Sheet::new(false));
    collected(&roots, &mut sensors, &mut sheet);
    assert_eq!(value(&mut sheet, "temp.celsius{sensor=nvme@0000:01:00.0/composite}"), Some(30.0));
    assert_eq!(value(&mut sheet, "temp.celsius{sensor=nvme@0000:02:00.0/composite}"), Some(40.0));
    Ok(())
}

#[test]
fn thermal_zones_stand_in_where_there_is_no_hwmon() -> io::Result<()> {
    let files = [
        ("class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("class/thermal/thermal_zone0/temp", "51234\n"),
        ("class/thermal/thermal_zone1/type", "acpitz\n"),
        ("class/thermal/thermal_zone1/temp", "20000\n"),
        ("class/thermal/thermal_zone2/type", "acpitz\n"),
        ("class/thermal/thermal_zone2/temp", "21000\n"),
        ("class/thermal/cooling_device0/type", "Processor\n"),
    ];
    let (_dir, roots) = tree(&files, &[])?;
    let (mut sensors, mut sheet) = (Sensors::new(&roots), Sheet::new(false));
    collected(&roots, &mut sensors, &mut sheet);
    assert_eq!(value(&mut sheet, "temp.celsius{sensor=cpu-thermal/temp1}"), Some(51.2));
    assert_eq!(value(&mut sheet, "temp.celsius{sensor=acpitz@thermal_zone2/temp1}"), Some(21.0));
    Ok(())
}

#[test]
fn a_disk_that_may_sleep_keeps_its_last_temperature() -> io::Result<()> {
    let files = [
        ("class/hwmon/hwmon0/name", "drivetemp\n"),
        ("class/hwmon/hwmon0/temp1_input", "35000\n"),
        ("block/sda/size", "1"),
        ("diskstats", "8 0 sda 5 0 5 5 5 0 5 5 0 5 5\n"),
    ];
    let links = [("class/hwmon/hwmon0/device", "devices/0:0:0:0"), ("devices/0:0:0:0/block", "block")];
    let (dir, roots) = tree(&files, &links)?;
    let (mut disks, mut sensors, mut sheet) = (DiskIo::new(&roots), Sensors::new(&roots), Sheet::new(false));
    let mut pass = |second: i64| {
        let now = crate::clock::Moment { boot_ms: second * 1000, awake_ns: second * 1_000_000_000 };
        sheet.begin();
        disks.collect(&mut Reader::new(), now, &mut sheet);
        sensors.collect(&disks, &mut Reader::new(), &mut sheet);
        value(&mut sheet, "temp.celsius{sensor=drivetemp/temp1}")
    };
    assert_eq!(pass(0), Some(35.0));
    fs::write(dir.path().join("class/hwmon/hwmon0/temp1_input"), "99000\n")?;
    assert_eq!(pass(15), Some(35.0), "no operations: not asked");
    fs::write(dir.path().join("diskstats"), "8 0 sda 6 0 5 5 5 0 5 5 0 5 5\n")?;
    assert_eq!(pass(30), Some(99.0), "it works: asked");
    Ok(())
}

#[test]
fn a_sensor_that_cannot_be_read_is_a_gap() -> io::Result<()> {
    let files = [("class/hwmon/hwmon0/name", "chip\n"), ("class/hwmon/hwmon0/temp1_input", "hot\n")];
    let (_dir, roots) = tree(&files, &[])?;
    let (mut sensors, mut sheet) = (Sensors::new(&roots), Sheet::new(false));
    collected(&roots, &mut sensors, &mut sheet);
    assert_eq!(sheet.gaps().len(), 1);
    assert_eq!(value(&mut sheet, "temp.celsius{sensor=chip/temp1}"), None);
    Ok(())
}

#[test]
fn one_label_twice_is_numbered() -> io::Result<()> {
    let files = [
        ("class/hwmon/hwmon0/name", "chip\n"),
        ("class/hwmon/hwmon0/temp1_input", "1000\n"),
        ("class/hwmon/hwmon0/temp1_label", "Tdie\n"),
        ("class/hwmon/hwmon0/temp2_input", "2000\n"),
        ("class/hwmon/hwmon0/temp2_label", "Tdie\n"),
    ];
    let (_dir, roots) = tree(&files, &[])?;
    let (mut sensors, mut sheet) = (Sensors::new(&roots), Sheet::new(false));
    collected(&roots, &mut sensors, &mut sheet);
    assert_eq!(value(&mut sheet, "temp.celsius{sensor=chip/tdie}"), Some(1.0));
    assert_eq!(value(&mut sheet, "temp.celsius{sensor=chip/tdie_2}"), Some(2.0));
    Ok(())
}
