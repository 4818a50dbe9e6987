//! Whole readings: a recorded host against literal values, and hosts full of nonsense.

use super::filesystems::FileSystems;
use super::*;
use crate::sheet::{MISSING, unscaled};
use nightbell_model::catalogue;
use nightbell_model::series::SeriesKey;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

fn at(seconds: i64) -> Moment {
    Moment { boot_ms: seconds * 1000, awake_ns: seconds * 1_000_000_000 }
}

/// Copies a tree over another, links as links.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, kind) = entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind)))?;
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else {
            fs::write(target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

fn host(folder: &str) -> io::Result<(tempfile::TempDir, Collector)> {
    let dir = tempfile::tempdir()?;
    copy(&Path::new(FIXTURES).join(folder).join("first"), dir.path())?;
    let roots = Roots { proc: dir.path().join("proc"), sys: dir.path().join("sys"), cgroup: dir.path().join("cgroup") };
    let mut collector = Collector::new(&roots, &Watch::default(), true);
    let usage = filesystems::Usage { total: 1_000_000, free: 400_000, available: 350_000, inodes: 200, inodes_free: 150 };
    collector.filesystems = FileSystems::asking(&roots, Arc::new(move |_| Ok(usage)), Duration::from_secs(2));
    Ok((dir, collector))
}

fn read(collector: &mut Collector, seconds: i64) -> Reading {
    collector.collect(at(seconds), &Dealings::default())
}

/// The present values of a reading, without those of the agent itself.
fn values(reading: &Reading) -> BTreeMap<String, f64> {
    let cells = reading.names.keys.iter().zip(&reading.names.decimals).zip(&reading.row);
    let present = cells.filter_map(|((key, decimals), value)| Some((key.clone(), unscaled(*value, *decimals)?)));
    present.filter(|(key, _)| !key.starts_with("agent.")).collect()
}

#[test]
fn a_recorded_host_has_its_literal_values() -> io::Result<()> {
    let (dir, mut collector) = host("host8")?;
    let first = read(&mut collector, 0);
    assert_eq!(first.gaps, []);
    copy(&Path::new(FIXTURES).join("host8/later"), dir.path())?;
    let second = read(&mut collector, 15);
    assert_eq!(second.gaps, []);
    let expected = fs::read_to_string(Path::new(FIXTURES).join("host8/expected.txt"))?;
    let expected: BTreeMap<String, f64> = expected
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(key, value)| (key.to_owned(), value.parse().unwrap()))
        .collect();
    assert_eq!(values(&second), expected);
    assert!(Arc::ptr_eq(&first.names, &second.names), "gauges and rates have their places from the start");
    Ok(())
}

#[test]
fn the_first_reading_has_gauges_and_no_rates() -> io::Result<()> {
    let (_dir, mut collector) = host("host8")?;
    let values = values(&read(&mut collector, 0));
    assert!(values.contains_key("mem.used_bytes") && values.contains_key("disk.used_percent{mount=/}"));
    assert!(values.keys().all(|key| !key.contains("_per_second") && !key.starts_with("cpu.") && !key.starts_with("psi.")));
    Ok(())
}

#[test]
fn raw_counters_are_noted_as_the_kernel_has_them() -> io::Result<()> {
    let (_dir, mut collector) = host("host8")?;
    read(&mut collector, 0);
    let counters: BTreeMap<_, _> = collector.counters().iter().cloned().collect();
    assert_eq!(counters["cpu.user_ticks"], 8_280);
    assert_eq!(counters["net.rx_bytes_total{iface=eth0}"], 1_000_000_000_000);
    assert_eq!(counters["diskio.read_bytes_total{device=nvme0n1}"], 51_200_000_000);
    assert_eq!(counters.len(), 8 + 4 + 4);
    Ok(())
}

#[test]
fn an_interface_made_anew_has_no_rate_once() -> io::Result<()> {
    let (dir, mut collector) = host("host8")?;
    read(&mut collector, 0);
    let table = fs::read_to_string(Path::new(FIXTURES).join("host8/later/proc/net/dev"))?;
    fs::write(dir.path().join("sys/class/net/eth0/ifindex"), "17\n")?;
    fs::write(dir.path().join("proc/net/dev"), &table)?;
    const RATE: &str = "net.rx_bytes_per_second{iface=eth0}";
    assert_eq!(values(&read(&mut collector, 15)).get(RATE), None, "another interface of the same name");
    assert_eq!(values(&read(&mut collector, 30)).get(RATE), Some(&0.0));
    // The same index, but smaller counters.
    fs::write(dir.path().join("proc/net/dev"), table.replace("1000001500000", "5"))?;
    assert_eq!(values(&read(&mut collector, 45)).get(RATE), None);
    let eth1 = "net.rx_bytes_per_second{iface=eth1}";
    assert_eq!(values(&read(&mut collector, 60)).get(eth1), Some(&0.0), "the others go on");
    Ok(())
}

#[test]
fn rates_are_over_the_time_awake_and_sleep_is_marked() -> io::Result<()> {
    let (dir, mut collector) = host("host8")?;
    read(&mut collector, 0);
    copy(&Path::new(FIXTURES).join("host8/later"), dir.path())?;
    let woken = Moment { boot_ms: 3_615_000, awake_ns: 15_000_000_000 };
    let reading = collector.collect(woken, &Dealings::default());
    assert!(reading.resumed);
    assert_eq!(values(&reading).get("sys.forks_per_second"), Some(&3.0));
    Ok(())
}

#[test]
fn every_missing_source_is_named_and_nothing_becomes_zero() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let roots = Roots { proc: dir.path().into(), sys: dir.path().into(), cgroup: dir.path().into() };
    let mut collector = Collector::new(&roots, &Watch::default(), false);
    let reading = read(&mut collector, 0);
    let named: Vec<&str> = reading.gaps.iter().map(|gap| &*gap.source).collect();
    for source in [
        "stat",
        "loadavg",
        "uptime",
        "vmstat",
        "sys/fs/file-nr",
        "meminfo",
        "net/dev",
        "net/sockstat",
        "net/snmp",
        "net/netstat",
        "diskstats",
        "self/mountinfo",
    ] {
        assert!(named.contains(&&*format!("/proc/{source}")), "{source} is not in {named:?}");
    }
    assert!(reading.gaps.iter().all(|gap| gap.why == "is not there"));
    let left: Vec<String> = values(&reading).into_keys().collect();
    assert_eq!(left, ["proc.total"], "the empty folder of processes can be counted");
    Ok(())
}

#[test]
fn a_source_that_comes_back_is_read_again() -> io::Result<()> {
    let (dir, mut collector) = host("host8")?;
    let file = dir.path().join("proc/meminfo");
    let good = fs::read(&file)?;
    fs::write(&file, "nonsense\n")?;
    let reading = read(&mut collector, 0);
    assert_eq!(reading.gaps[0].source, "/proc/meminfo");
    assert!(reading.gaps[0].why.contains("MemTotal:"), "{:?}", reading.gaps);
    fs::write(&file, good)?;
    let reading = read(&mut collector, 15);
    assert_eq!((reading.gaps.len(), values(&reading).contains_key("mem.used_bytes")), (0, true));
    Ok(())
}

/// The files that parsers read, with what they hold on a sound host.
fn sources() -> Vec<(String, Vec<u8>)> {
    fn walk(dir: &Path, root: &Path, found: &mut Vec<(String, Vec<u8>)>) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => walk(&path, root, found),
                Ok(kind) if kind.is_file() => {
                    let name = path.strip_prefix(root).unwrap().display().to_string();
                    found.push((name, fs::read(&path).unwrap()));
                }
                _ => {}
            }
        }
    }
    let root = Path::new(FIXTURES).join("host8/first");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort();
    found
}

/// Damages a file as a broken kernel, a strange container or an attacker would.
fn damaged(content: &[u8], how: u8, place: usize, bytes: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    let place = if content.is_empty() { 0 } else { place % content.len() };
    match how % 4 {
        0 => content.truncate(place),
        1 => content.splice(place..place, bytes.iter().copied()).for_each(drop),
        2 => content = bytes.to_vec(),
        _ => {
            let digits = ["18446744073709551615", "-9223372036854775808", "NaN", "1e308", "0", ""];
            let new = digits[place % digits.len()].bytes();
            let end = (place..content.len()).find(|at| !content[*at].is_ascii_digit()).unwrap_or(content.len());
            content.splice(place..end, new).for_each(drop);
        }
    }
    content
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damaged_sources_never_panic_and_never_give_an_impossible_value(
        damages in proptest::collection::vec((any::<u8>(), any::<u8>(), any::<usize>(), proptest::collection::vec(any::<u8>(), 0..60)), 1..40),
    ) {
        let (dir, mut collector) = host("host8").unwrap();
        let sources = sources();
        read(&mut collector, 0);
        for (seconds, chunk) in (1..).zip(damages.chunks(8)) {
            for (which, how, place, bytes) in chunk {
                let (name, content) = &sources[usize::from(*which) % sources.len()];
                let path = dir.path().join(name);
                let _gone = fs::write(path, damaged(content, *how, *place, bytes));
            }
            let reading = read(&mut collector, seconds * 15);
            for (at, key) in reading.names.keys.iter().enumerate() {
                let key: SeriesKey = key.parse().unwrap();
                let metric = catalogue::find(key.metric()).unwrap();
                prop_assert!(reading.row[at] == MISSING || unscaled(reading.row[at], metric.decimals).is_some_and(|value| metric.admits(value)), "{}", key);
            }
        }
    }
}
