//! Containers of a tree of cgroups, with an engine that lives in the test and without.

use super::super::testing::value;
use super::*;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TABLE: &str = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes\n";

struct Host {
    dir: tempfile::TempDir,
    containers: Containers,
    sheet: Sheet,
}

fn id(letter: char) -> String {
    String::from(letter).repeat(64)
}

/// A host with cgroup v2, a service, and the containers of Docker `a` and of Podman `b`.
fn host(engine: &Engine) -> Host {
    let dir = tempfile::tempdir().unwrap();
    let roots = Roots { proc: dir.path().join("proc"), sys: dir.path().join("sys"), cgroup: dir.path().join("cgroup") };
    let host = Host { dir, containers: Containers::new(&roots, engine), sheet: Sheet::new(false) };
    host.write("cgroup/cgroup.controllers", "cpu io memory pids\n");
    host.write(&format!("cgroup/system.slice/cron.service/docker-{}.scope/cpu.stat", id('f')), "usage_usec 1\n");
    host.write("proc/1/net/dev", TABLE);
    host.fill('a', "cgroup/system.slice/docker-ID.scope", 1);
    host.fill('b', "cgroup/user.slice/user@1000.service/user.slice/libpod-ID.scope", 1);
    host
}

impl Host {
    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The files of a container that has used `times` what one beat of it uses.
    fn fill(&self, letter: char, folder: &str, times: u64) {
        let folder = folder.replace("ID", &id(letter));
        let pid = u32::from(letter);
        let table = format!("{TABLE} eth0: {} 1 0 0 0 0 0 0 {} 1 0 0 0 0 0 0\n", 300 * times, 600 * times);
        self.write(&format!("proc/{pid}/net/dev"), &table);
        for (file, text) in [
            ("cpu.stat", format!("usage_usec {}\nuser_usec 1\n", 3_000_000 * times)),
            ("memory.current", "5000000\n".to_owned()),
            ("memory.stat", "anon 1\ninactive_file 1000000\n".to_owned()),
            ("memory.max", "8000000\n".to_owned()),
            ("io.stat", format!("8:0 rbytes={} wbytes={} rios=1 wios=1\n", 150 * times, 1_500 * times)),
            ("pids.current", "7\n".to_owned()),
            ("cgroup.procs", format!("{pid}\n")),
        ] {
            self.write(&format!("{folder}/{file}"), &text);
        }
    }

    fn read(&mut self, seconds: i64) {
        let now = Moment { boot_ms: seconds * 1000, awake_ns: seconds * 1_000_000_000 };
        self.sheet.begin();
        self.containers.ask(&mut self.sheet);
        let deadline = Instant::now() + Duration::from_secs(60);
        self.containers.collect(deadline, &mut Reader::new(), now, &mut self.sheet);
    }

    fn value(&mut self, metric: &str, container: &str) -> Option<f64> {
        value(&mut self.sheet, &format!("container.{metric}{{container={container}}}"))
    }
}

#[test]
fn what_a_container_uses_is_in_its_cgroup() {
    let mut host = host(&Engine::Found);
    host.read(0);
    assert_eq!(host.value("cpu_percent", "aaaaaaaaaaaa"), None, "one reading is no rate");
    host.fill('a', "cgroup/system.slice/docker-ID.scope", 2);
    host.read(15);
    for (metric, expected) in [
        ("cpu_percent", 20.0),
        ("mem_used_bytes", 4_000_000.0),
        ("mem_limit_percent", 50.0),
        ("io_read_bytes_per_second", 10.0),
        ("io_write_bytes_per_second", 100.0),
        ("net_rx_bytes_per_second", 20.0),
        ("net_tx_bytes_per_second", 40.0),
        ("pids", 7.0),
        ("up", 1.0),
    ] {
        assert_eq!(host.value(metric, "aaaaaaaaaaaa"), Some(expected), "{metric}");
    }
    assert_eq!(host.value("cpu_percent", "bbbbbbbbbbbb"), Some(0.0), "Podman's, which did nothing");
    assert_eq!(host.value("up", "ffffffffffff"), None, "a service holds no containers of ours");
    assert_eq!((host.value("health", "aaaaaaaaaaaa"), host.value("restarts", "aaaaaaaaaaaa")), (None, None));
    assert_eq!(host.sheet.gaps(), []);
}

#[test]
fn a_container_started_anew_has_no_rate_once_and_one_that_is_gone_no_values() {
    let mut host = host(&Engine::Found);
    let folder = host.dir.path().join(format!("cgroup/system.slice/docker-{}.scope", id('a')));
    host.read(0);
    // Moved away and not removed, so that its number is not given to the next one.
    fs::rename(&folder, host.dir.path().join("old")).unwrap();
    host.fill('a', "cgroup/system.slice/docker-ID.scope", 9);
    fs::write(folder.join("cpu.stat"), "usage_usec 5\n").unwrap();
    host.containers.cgroups.clear();
    host.containers.until_look = 0;
    host.read(15);
    assert_eq!(host.value("cpu_percent", "aaaaaaaaaaaa"), None);
    fs::remove_dir_all(&folder).unwrap();
    host.read(30);
    assert_eq!((host.value("up", "aaaaaaaaaaaa"), host.value("pids", "aaaaaaaaaaaa")), (None, None));
    assert_eq!(host.value("up", "bbbbbbbbbbbb"), Some(1.0));
    host.read(45);
    assert_eq!(host.containers.cgroups.len(), 1);
}

#[test]
fn counters_that_went_back_are_a_reset() {
    let mut host = host(&Engine::Found);
    host.fill('a', "cgroup/system.slice/docker-ID.scope", 5);
    host.read(0);
    host.fill('a', "cgroup/system.slice/docker-ID.scope", 1);
    host.read(15);
    for metric in ["cpu_percent", "io_read_bytes_per_second", "net_tx_bytes_per_second"] {
        assert_eq!(host.value(metric, "aaaaaaaaaaaa"), None, "{metric}");
    }
    assert_eq!(host.sheet.resets(), 3);
}

#[test]
fn a_container_in_the_network_of_the_host_has_no_traffic_of_its_own() {
    let mut host = host(&Engine::Found);
    let own = host.dir.path().join("proc/97/net/dev");
    fs::remove_file(&own).unwrap();
    fs::hard_link(host.dir.path().join("proc/1/net/dev"), own).unwrap();
    host.read(0);
    host.read(15);
    assert_eq!(host.value("net_rx_bytes_per_second", "aaaaaaaaaaaa"), None);
    assert_eq!(host.value("net_rx_bytes_per_second", "bbbbbbbbbbbb"), Some(0.0));
}

#[test]
fn a_process_below_the_container_is_found_and_followed() {
    let mut host = host(&Engine::Found);
    let folder = format!("cgroup/system.slice/docker-{}.scope", id('a'));
    host.write(&format!("{folder}/cgroup.procs"), "");
    host.write(&format!("{folder}/init/cgroup.procs"), "0\n97\n");
    host.read(0);
    host.read(15);
    assert_eq!(host.value("net_rx_bytes_per_second", "aaaaaaaaaaaa"), Some(0.0));
    fs::remove_dir_all(host.dir.path().join("proc/97")).unwrap();
    host.read(30);
    assert_eq!(host.value("net_rx_bytes_per_second", "aaaaaaaaaaaa"), None);
}

#[test]
fn without_a_limit_there_is_no_share_and_without_v2_no_measurement() {
    let mut host = host(&Engine::Found);
    host.write(&format!("cgroup/system.slice/docker-{}.scope/memory.max", id('a')), "max\n");
    host.read(0);
    assert_eq!(host.value("mem_limit_percent", "aaaaaaaaaaaa"), None);
    assert_eq!(host.value("mem_used_bytes", "aaaaaaaaaaaa"), Some(4_000_000.0));
    let mut off = Containers::new(&host.containers.roots, &Engine::Off);
    host.sheet.begin();
    off.collect(Instant::now(), &mut Reader::new(), Moment::default(), &mut host.sheet);
    assert!(off.cgroups.is_empty());
}

/// An engine that answers with what it is told; each connection is one question.
fn engine(host: &Host, list: &Arc<Mutex<String>>) -> Engine {
    let socket = host.dir.path().join("engine.sock");
    let (listener, list) = (UnixListener::bind(&socket).unwrap(), Arc::clone(list));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                question.push(byte[0]);
            }
            let listed = question.starts_with(b"GET /containers/json");
            let body = if listed { list.lock().unwrap().clone() } else { r#"{"RestartCount":2}"#.to_owned() };
            let _gone = stream.write_all(format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}").as_bytes());
        }
    });
    Engine::At(socket)
}

#[test]
fn the_engine_gives_names_states_health_and_restarts() {
    let item = |letter, name, state, status| {
        format!(r#"{{"Id":"{}","Names":["/{name}"],"State":"{state}","Status":"{status}"}}"#, id(letter))
    };
    let list = Arc::new(Mutex::new(format!(
        "[{},{}]",
        item('a', "web", "running", "Up 1 hour (healthy)"),
        item('c', "job", "exited", "")
    )));
    let mut host = host(&Engine::Off);
    let engine = engine(&host, &list);
    host.containers = Containers::new(&host.containers.roots, &engine);
    host.read(0);
    for (metric, container, expected) in [
        ("up", "web", Some(1.0)),
        ("health", "web", Some(1.0)),
        ("restarts", "web", Some(2.0)),
        ("pids", "web", Some(7.0)),
        ("up", "job", Some(0.0)),
        ("health", "job", None),
        ("up", "aaaaaaaaaaaa", None),
        ("up", "bbbbbbbbbbbb", Some(1.0)),
    ] {
        assert_eq!(host.value(metric, container), expected, "{metric} {container}");
    }
    *list.lock().unwrap() = format!("[{}]", item('a', "web", "exited", "Exited (137) 1 second ago"));
    fs::remove_dir_all(host.dir.path().join(format!("cgroup/system.slice/docker-{}.scope", id('a')))).unwrap();
    host.read(15);
    assert_eq!((host.value("up", "web"), host.value("pids", "web")), (Some(0.0), None));
    assert_eq!(host.value("up", "job"), None, "removed");
    *list.lock().unwrap() = "{}".to_owned();
    host.read(30);
    assert_eq!((host.value("up", "web"), host.sheet.gaps()[0].source.as_str()), (None, "containers"));
}

#[test]
fn a_host_with_the_old_cgroups_says_what_it_cannot_measure() {
    let list = Arc::new(Mutex::new(format!(r#"[{{"Id":"{}","Names":["/web"],"State":"running","Status":"Up"}}]"#, id('a'))));
    let mut host = host(&Engine::Off);
    fs::remove_file(host.dir.path().join("cgroup/cgroup.controllers")).unwrap();
    let engine = engine(&host, &list);
    host.containers = Containers::new(&host.containers.roots, &engine);
    host.read(0);
    assert_eq!((host.value("up", "web"), host.value("pids", "web")), (Some(1.0), None));
    assert!(host.sheet.gaps()[0].why.starts_with("is not cgroup v2"));
}
