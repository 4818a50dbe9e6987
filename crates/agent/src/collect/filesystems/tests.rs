//! Sizes as `df` has them, and a network file system that hangs.

use super::super::testing::value;
use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

const USAGE: Usage = Usage { total: 1000, free: 400, available: 350, inodes: 200, inodes_free: 150 };

fn roots(mountinfo: &str) -> std::io::Result<(tempfile::TempDir, Roots)> {
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("1"))?;
    std::fs::write(dir.path().join("1/mountinfo"), mountinfo)?;
    let roots = Roots { proc: dir.path().into(), sys: dir.path().into(), cgroup: dir.path().into() };
    Ok((dir, roots))
}

fn collected(file_systems: &mut FileSystems, sheet: &mut Sheet) {
    sheet.begin();
    file_systems.collect(&mut Reader::new(), sheet);
}

#[test]
fn sizes_are_as_df_prints_them() -> std::io::Result<()> {
    let (_dir, roots) = roots("27 1 254:0 / /data rw - ext4 /dev/vda ro\n")?;
    let mut file_systems = FileSystems::asking(&roots, Arc::new(|_| Ok(USAGE)), PATIENCE);
    let mut sheet = Sheet::new(false);
    collected(&mut file_systems, &mut sheet);
    for (metric, expected) in [
        ("disk.total_bytes", 1000.0),
        ("disk.used_bytes", 600.0),
        ("disk.available_bytes", 350.0),
        ("disk.used_percent", 63.16),
        ("disk.inodes_used_percent", 25.0),
        ("disk.readonly", 1.0),
        ("disk.stale", 0.0),
    ] {
        assert_eq!(value(&mut sheet, &format!("{metric}{{mount=/data}}")), Some(expected), "{metric}");
    }
    Ok(())
}

#[test]
fn a_refused_file_system_is_a_gap_and_has_no_sizes() -> std::io::Result<()> {
    let (_dir, roots) = roots("27 1 254:0 / /data rw - ext4 /dev/vda rw\n")?;
    let mut file_systems = FileSystems::asking(&roots, Arc::new(|_| Err(Errno::ACCESS)), PATIENCE);
    let mut sheet = Sheet::new(false);
    collected(&mut file_systems, &mut sheet);
    assert_eq!(sheet.gaps(), [crate::sheet::Gap { source: "/data".into(), why: "permission denied".into() }]);
    assert_eq!(value(&mut sheet, "disk.used_percent{mount=/data}"), None);
    assert_eq!(value(&mut sheet, "disk.stale{mount=/data}"), Some(0.0));
    Ok(())
}

#[test]
fn a_hung_network_file_system_is_stale_and_asked_only_once() -> std::io::Result<()> {
    let (_dir, roots) = roots("27 1 254:0 / / rw - ext4 /dev/vda rw\n30 27 0:42 / /nas rw - nfs4 nas:/ rw\n")?;
    let (asked, hang) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(())));
    let ask = {
        let (asked, hang) = (Arc::clone(&asked), Arc::clone(&hang));
        move |point: &str| {
            if point == "/nas" {
                asked.fetch_add(1, Ordering::SeqCst);
                drop(hang.lock());
            }
            Ok(USAGE)
        }
    };
    let server_stopped = hang.lock();
    let mut file_systems = FileSystems::asking(&roots, Arc::new(ask), Duration::from_millis(20));
    let mut sheet = Sheet::new(false);
    for _ in 0..3 {
        collected(&mut file_systems, &mut sheet);
        assert_eq!(value(&mut sheet, "disk.stale{mount=/nas}"), Some(1.0));
        assert_eq!(value(&mut sheet, "disk.used_bytes{mount=/nas}"), None);
        assert_eq!(value(&mut sheet, "disk.used_bytes{mount=/}"), Some(600.0), "the others are not held up");
        assert_eq!(sheet.gaps().len(), 1);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    drop(server_stopped);
    file_systems.patience = Duration::from_secs(60);
    collected(&mut file_systems, &mut sheet);
    assert_eq!(value(&mut sheet, "disk.stale{mount=/nas}"), Some(0.0), "the late answer is taken");
    assert_eq!(value(&mut sheet, "disk.used_bytes{mount=/nas}"), Some(600.0));
    Ok(())
}

#[test]
fn where_no_file_system_remains_the_root_is_reported() -> std::io::Result<()> {
    let (_dir, roots) = roots("1 0 0:50 / / rw - overlay overlay rw\n")?;
    let mut sheet = Sheet::new(false);
    collected(&mut FileSystems::new(&roots), &mut sheet);
    assert!(value(&mut sheet, "disk.total_bytes{mount=/}").is_some_and(|total| total > 0.0));
    Ok(())
}

#[test]
fn without_any_table_there_is_a_gap() -> std::io::Result<()> {
    let dir = tempfile::tempdir()?;
    let roots = Roots { proc: dir.path().into(), sys: dir.path().into(), cgroup: dir.path().into() };
    let mut sheet = Sheet::new(false);
    collected(&mut FileSystems::new(&roots), &mut sheet);
    assert_eq!(sheet.gaps()[0].source, "/proc/self/mountinfo");
    Ok(())
}
