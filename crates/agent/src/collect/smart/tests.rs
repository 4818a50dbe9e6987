//! Reports from a folder and from a program that stands in for smartctl.

use super::super::testing::value;
use super::*;
use std::fs;
use std::time::Duration;

fn report(device: &str, at_s: i64, hours: u32) -> String {
    format!(
        r#"{{"smartctl":{{"exit_status":0}},"local_time":{{"time_t":{at_s}}},"device":{{"name":"/dev/{device}","type":"sat"}},"smart_status":{{"passed":true}},"power_on_time":{{"hours":{hours}}}}}"#
    )
}

fn at(seconds: i64) -> Moment {
    Moment { boot_ms: seconds * 1000, awake_ns: seconds * 1_000_000_000 }
}

/// A heartbeat at this second after the hour 1,000,000 of the epoch.
fn read(smart: &mut Smart, sheet: &mut Sheet, seconds: i64) {
    sheet.begin();
    smart.ask(at(seconds), sheet);
    smart.collect_at((1_000_000 + seconds) * 1000, Instant::now() + Duration::from_secs(60), sheet);
}

#[test]
fn what_a_timer_left_is_told_once_and_its_age_always() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sda.json"), report("sda", 999_970, 17)).unwrap();
    fs::write(dir.path().join("sdb.json"), "half a rep").unwrap();
    fs::write(dir.path().join("README"), "not ours").unwrap();
    let mut smart = Smart::new(&Roots::default(), &Disks::Folder(dir.path().into()));
    let mut sheet = Sheet::new(false);
    read(&mut smart, &mut sheet, 0);
    assert_eq!(value(&mut sheet, "smart.power_on_hours{device=sda}"), Some(17.0));
    assert_eq!(value(&mut sheet, "smart.healthy{device=sda}"), Some(1.0));
    assert_eq!(value(&mut sheet, "smart.age_seconds{device=sda}"), Some(30.0));
    let gaps: Vec<&str> = sheet.gaps().iter().map(|gap| &*gap.why).collect();
    assert_eq!(gaps, ["is no report of smartctl"]);
    for (seconds, age) in [(15, 45.0), (60, 90.0)] {
        read(&mut smart, &mut sheet, seconds);
        assert_eq!(value(&mut sheet, "smart.power_on_hours{device=sda}"), None, "said already");
        assert_eq!(value(&mut sheet, "smart.age_seconds{device=sda}"), Some(age));
    }
    fs::write(dir.path().join("sda.json"), report("sda", 1_000_100, 18)).unwrap();
    read(&mut smart, &mut sheet, 120);
    assert_eq!(value(&mut sheet, "smart.power_on_hours{device=sda}"), Some(18.0));
    assert_eq!(value(&mut sheet, "smart.age_seconds{device=sda}"), Some(20.0));
}

#[test]
fn a_program_is_run_once_an_hour_and_lets_disks_sleep() {
    let dir = tempfile::tempdir().unwrap();
    let (program, log) = (dir.path().join("smartctl"), dir.path().join("log"));
    std::os::unix::fs::symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/smartctl"), &program).unwrap();
    let mut smart = Smart::new(&Roots::default(), &Disks::Off);
    smart.from = Some(From::Program(program));
    let mut sheet = Sheet::new(false);
    read(&mut smart, &mut sheet, 0);
    assert_eq!(value(&mut sheet, "smart.power_on_hours{device=sda}"), Some(5.0));
    assert_eq!(value(&mut sheet, "smart.age_seconds{device=sdb}"), None, "asleep since the start");
    assert_eq!(sheet.gaps(), []);
    read(&mut smart, &mut sheet, 3_599);
    read(&mut smart, &mut sheet, 3_600);
    let asked = fs::read_to_string(log).unwrap();
    let round = "--scan --json=c\n--all --nocheck=standby --json=c --device sat /dev/sda\n--all --nocheck=standby --json=c --device sat /dev/sdb\n";
    assert_eq!(asked, round.repeat(2));
}

#[test]
fn off_is_off_and_a_folder_that_is_not_there_is_named() {
    let (mut smart, mut sheet) = (Smart::new(&Roots::default(), &Disks::Off), Sheet::new(false));
    read(&mut smart, &mut sheet, 0);
    assert!(!smart.errand.is_out() && smart.asked_ms.is_none());
    let mut smart = Smart::new(&Roots::default(), &Disks::Folder("/nowhere".into()));
    read(&mut smart, &mut sheet, 0);
    assert_eq!(sheet.gaps()[0].source, "/nowhere");
}
