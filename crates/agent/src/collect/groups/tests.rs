//! Groups over a table of processes that come, go and change.

use super::super::testing::value;
use super::*;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct Host {
    dir: tempfile::TempDir,
    roots: Roots,
    groups: Groups,
    table: Processes,
    sheet: Sheet,
}

fn host(groups: &str) -> Host {
    let dir = tempfile::tempdir().unwrap();
    let roots = Roots { proc: dir.path().into(), sys: dir.path().into(), cgroup: dir.path().into() };
    let groups = Groups::new(&roots, &Group::list(groups).unwrap());
    let (table, sheet) = (Processes::new(&roots), Sheet::new(false));
    let host = Host { dir, roots, groups, table, sheet };
    host.put(1, "systemd", "/sbin/init", 1);
    host
}

impl Host {
    /// A process with two threads, ten pages and three files that has used `ticks` of CPU.
    fn put(&self, pid: u32, name: &str, line: &str, ticks: u64) {
        let stat = format!("{pid} ({name}) S 1 1 1 0 -1 64 1 2 3 4 {ticks} 0 0 0 20 0 2 0 77 1000 10 184\n");
        fs::create_dir_all(self.path(pid).join("fd")).unwrap();
        fs::write(self.path(pid).join("stat"), stat).unwrap();
        fs::write(self.path(pid).join("cmdline"), format!("{}\0", line.replace(' ', "\0"))).unwrap();
    }

    fn path(&self, pid: u32) -> PathBuf {
        self.dir.path().join(pid.to_string())
    }

    fn read(&mut self, seconds: i64) {
        let now = Moment { boot_ms: seconds * 1000, awake_ns: seconds * 1_000_000_000 };
        self.sheet.begin();
        self.table.collect(&mut self.groups, &mut Reader::new(), now, &mut self.sheet);
    }

    fn value(&mut self, key: &str) -> Option<f64> {
        value(&mut self.sheet, key)
    }

    fn count(&mut self, seconds: i64, group: &str) -> Option<f64> {
        self.read(seconds);
        self.value(&format!("process.count{{process={group}}}"))
    }
}

#[test]
fn a_group_is_the_sum_of_its_processes() {
    let mut host = host("web=nginx,gone=redis");
    host.put(10, "nginx", "nginx: master", 100);
    host.put(11, "nginx", "nginx: worker", 200);
    host.put(12, "bash", "vim nginx", 900);
    host.read(0);
    assert_eq!(host.value("process.cpu_percent{process=web}"), None, "one pass is no rate");
    host.put(10, "nginx", "nginx: master", 150);
    host.put(11, "nginx", "nginx: worker", 400);
    host.put(13, "nginx", "nginx: worker", 50);
    host.read(10);
    let page = f64::from(u32::try_from(rustix::param::page_size()).unwrap());
    for (key, expected) in [
        ("process.count{process=web}", 3.0),
        // 50 + 200 + 50 ticks of a hundredth in 10 s: what is new has used all of its time since.
        ("process.cpu_percent{process=web}", 30.0),
        ("process.rss_bytes{process=web}", 30.0 * page),
        ("process.threads{process=web}", 6.0),
        ("process.count{process=gone}", 0.0),
        ("process.cpu_percent{process=gone}", 0.0),
        ("process.open_fds{process=gone}", 0.0),
        ("proc.total", 5.0),
    ] {
        assert_eq!(host.value(key), Some(expected), "{key}");
    }
    assert_eq!(host.sheet.gaps(), []);
}

#[test]
fn a_process_is_known_by_its_name_its_program_or_its_command_line() {
    for (pattern, fits) in [
        ("systemd-timesyncd", true),
        ("systemd-timesyn", true),
        ("/usr/lib/systemd/systemd-timesyncd", false),
        ("/usr/lib/systemd/systemd-timesyncd --quiet", true),
        ("*timesyncd --q*", true),
        ("systemd-time", false),
    ] {
        let mut host = host(&format!("it={pattern}"));
        host.put(10, "systemd-timesyn", "/usr/lib/systemd/systemd-timesyncd --quiet", 1);
        assert_eq!(host.count(0, "it"), Some(f64::from(u8::from(fits))), "{pattern}");
    }
}

#[test]
fn what_has_ended_but_is_still_listed_does_not_count() {
    let mut host = host("web=nginx");
    host.put(10, "nginx", "nginx", 1);
    assert_eq!(host.count(0, "web"), Some(1.0));
    let stat = fs::read_to_string(host.path(10).join("stat")).unwrap();
    fs::write(host.path(10).join("stat"), stat.replace(") S ", ") Z ")).unwrap();
    fs::write(host.path(10).join("cmdline"), "").unwrap();
    assert_eq!(host.count(15, "web"), Some(0.0));
    fs::remove_dir_all(host.path(10)).unwrap();
    assert_eq!(host.count(30, "web"), Some(0.0));
}

#[test]
fn a_process_that_becomes_another_program_is_judged_again() {
    let mut host = host("worker=*worker.py*,db=postgres");
    host.put(10, "python3", "python3 supervisor.py", 1);
    host.put(11, "sh", "sh -c start", 1);
    assert_eq!(host.count(0, "worker"), Some(0.0));
    // The first has replaced itself by a program of the same name, the second long after it was settled.
    host.put(10, "python3", "python3 worker.py", 1);
    assert_eq!(host.count(15, "worker"), Some(1.0));
    assert_eq!(host.count(30, "db"), Some(0.0));
    host.put(11, "postgres", "postgres: main", 1);
    assert_eq!(host.count(45, "db"), Some(1.0));
}

#[test]
fn settled_processes_are_not_asked_for_their_command_line() {
    let mut host = host("worker=*worker.py*");
    host.put(10, "python3", "python3 worker.py", 1);
    host.read(0);
    host.read(15);
    fs::write(host.path(10).join("cmdline"), "").unwrap();
    assert_eq!(host.count(30, "worker"), Some(1.0));
}

#[test]
fn the_agent_does_not_find_itself_by_its_own_settings() {
    let mut host = host("kafka=*kafka*");
    host.put(10, "nightbell-agent", "nightbell-agent --process kafka=*kafka*", 1);
    host.put(11, "java", "java kafka.Kafka", 1);
    std::os::unix::fs::symlink("10", host.dir.path().join("self")).unwrap();
    host.groups = Groups::new(&host.roots, &Group::list("kafka=*kafka*").unwrap());
    assert_eq!(host.count(0, "kafka"), Some(1.0));
}

#[test]
fn hidden_processes_are_a_gap_and_not_nought() {
    let mut host = host("web=nginx");
    host.put(10, "bash", "bash", 1);
    fs::remove_file(host.path(1).join("stat")).unwrap();
    assert_eq!(host.count(0, "web"), None);
    assert_eq!(host.sheet.gaps()[0].why, "the processes of other users are hidden");
    assert_eq!(host.value("proc.total"), Some(2.0), "folders can be counted");
    host.put(1, "systemd", "/sbin/init", 1);
    assert_eq!(host.count(15, "web"), Some(0.0));
    assert_eq!(host.value("process.cpu_percent{process=web}"), None, "no rate over the hole");
}

#[test]
fn open_files_are_counted() {
    let proc = rustix::fs::open(Path::new("/proc"), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // It has echoed a line, so it has started and opens nothing more.
    let mut echoed = [0; 2];
    child.stdin.as_mut().unwrap().write_all(b"x\n").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut echoed).unwrap();
    let files = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().count();
    assert!(files >= 3);
    assert_eq!(open_files(&proc, child.id()), Ok(u64::try_from(files).unwrap()));
    drop(child.stdin.take());
    let pid = child.id();
    child.wait().unwrap();
    assert_eq!(open_files(&proc, pid), Err(Errno::NOENT));
}

#[test]
fn files_that_may_not_be_counted_are_named() {
    let mut host = host("web=nginx");
    for fds in [Ok(4), Err(Errno::NOENT), Err(Errno::ACCESS)] {
        host.groups.sums[0].add(1, 1, 1, fds);
    }
    host.groups.write(None, &mut host.sheet);
    assert_eq!(host.value("process.open_fds{process=web}"), None);
    assert_eq!(host.value("process.count{process=web}"), Some(3.0));
    let gap = &host.sheet.gaps()[0];
    assert_eq!((&*gap.source, &*gap.why), ("process.open_fds{process=web}", "permission denied"));
}
