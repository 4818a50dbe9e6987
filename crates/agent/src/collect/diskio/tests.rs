//! Disk rates with literal values, the wrap of the 32-bit fields, and which devices are disks.

use super::super::testing::value;
use super::*;
use rustix::io::Errno;

fn at(seconds: i64) -> Moment {
    Moment { boot_ms: seconds * 1000, awake_ns: seconds * 1_000_000_000 }
}

fn disk() -> Disk {
    Disk { name: "vda".into(), whole: true, moved: true, track: Track::new() }
}

fn line(counts: Counts) -> Line {
    Line { device: 254 << 32, name: "vda".into(), counts }
}

#[test]
fn a_table_as_the_kernel_writes_it() -> Result<(), Errno> {
    let text = b" 254       0 vda 128564 30622 10665802 48524 30507 51738 4661152 18012 0 16680 67790 13871 45 1054360 1102 3724 151\n   7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n";
    let (lines, unparsable) = parse(text).map_err(|_why| Errno::INVAL)?;
    assert_eq!(unparsable, None);
    assert_eq!(lines[0], line([128_564, 10_665_802, 48_524, 30_507, 4_661_152, 18_012, 16_680, 67_790]));
    assert_eq!(lines.len(), 2);
    assert!(parse(b"8 0 sda 1 2\n").is_ok_and(|(lines, unparsable)| lines.is_empty() && unparsable.is_some()));
    Ok(())
}

#[test]
fn rates_times_and_queue_have_their_literal_values() {
    let (mut disk, mut sheet) = (disk(), Sheet::new(false));
    sheet.begin();
    disk.collect(&line([100, 1000, 50, 10, 80, 5, 40, 60]), at(0), &mut sheet);
    assert_eq!(value(&mut sheet, "diskio.read_iops{device=vda}"), None);
    sheet.begin();
    disk.collect(&line([300, 9000, 450, 10, 80, 5, 5040, 15_060]), at(10), &mut sheet);
    for (metric, expected) in [
        ("diskio.read_bytes_per_second", Some(409_600.0)),
        ("diskio.write_bytes_per_second", Some(0.0)),
        ("diskio.read_iops", Some(20.0)),
        ("diskio.util_percent", Some(50.0)),
        ("diskio.read_await_ms", Some(2.0)),
        ("diskio.write_await_ms", None),
        ("diskio.queue_depth", Some(1.5)),
    ] {
        assert_eq!(value(&mut sheet, &format!("{metric}{{device=vda}}")), expected, "{metric}");
    }
    assert!(disk.moved);
}

#[test]
fn the_millisecond_fields_wrap_at_32_bits() {
    let (mut disk, mut sheet) = (disk(), Sheet::new(false));
    let near = u64::from(u32::MAX) - 99;
    sheet.begin();
    disk.collect(&line([100, 0, near, 0, 0, 0, near, near]), at(0), &mut sheet);
    sheet.begin();
    disk.collect(&line([200, 0, 900, 0, 0, 0, 400, 14_900]), at(10), &mut sheet);
    assert_eq!(value(&mut sheet, "diskio.read_await_ms{device=vda}"), Some(10.0));
    assert_eq!(value(&mut sheet, "diskio.util_percent{device=vda}"), Some(5.0));
    assert_eq!(value(&mut sheet, "diskio.queue_depth{device=vda}"), Some(1.5));
    assert_eq!(sheet.resets(), 0);
}

#[test]
fn another_disk_of_the_same_name_has_no_value_at_first() {
    let (mut disk, mut sheet) = (disk(), Sheet::new(false));
    sheet.begin();
    disk.collect(&line([5000; 8]), at(0), &mut sheet);
    sheet.begin();
    disk.collect(&line([10; 8]), at(10), &mut sheet);
    assert_eq!(value(&mut sheet, "diskio.read_iops{device=vda}"), None, "neither 0 nor huge");
    assert_eq!(sheet.resets(), 1);
}

#[test]
fn a_disk_without_operations_has_not_moved() {
    let (mut disk, mut sheet) = (disk(), Sheet::new(false));
    for second in 0..2 {
        sheet.begin();
        disk.collect(&line([10; 8]), at(second), &mut sheet);
    }
    assert!(!disk.moved);
}

#[test]
fn whole_disks_are_told_from_the_rest() -> std::io::Result<()> {
    let dir = tempfile::tempdir()?;
    for name in ["sda", "nvme0n1", "loop0", "dm-0", "cciss!c0d0", "mmcblk0", "mmcblk0boot0"] {
        std::fs::create_dir(dir.path().join(name))?;
    }
    let whole = |name| is_whole_disk(name, dir.path());
    assert!(whole("sda") && whole("nvme0n1") && whole("cciss/c0d0") && whole("mmcblk0"));
    assert!(!whole("sda1") && !whole("loop0") && !whole("dm-0") && !whole("mmcblk0boot0"));
    let by_name = |name| is_whole_disk(name, Path::new("/nowhere"));
    assert!(by_name("sda") && by_name("nvme0n1") && by_name("md0") && by_name("mmcblk0"));
    assert!(!by_name("sda1") && !by_name("nvme0n1p2") && !by_name("vdb3") && !by_name("md0p1"));
    Ok(())
}
