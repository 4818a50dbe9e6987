//! Units over a bus that lives in the test and answers as systemd does.

use super::super::testing::value;
use super::*;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// `[u, v]` of a(ssssssouso) as jeepney writes it: cron is active, nginx has failed and has a job.
const TWO_UNITS: &[u8] =
    b"q\x01\0\0\0\0\0\0\x0c\0\0\0cron.service\0\0\0\0,\0\0\0Regular background program processing daemon\0\0\0\0\x06\
    \0\0\0loaded\0\0\x06\0\0\0active\0\0\x07\0\0\0running\0\0\0\0\0\0\0\0\0-\0\0\0/org/freedesktop/systemd1/unit\
    /cron_2eservice\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0/\0\0\0\0\0\0\0\x0d\0\0\0nginx.service\0\0\0\x03\0\0\0\
    web\0\x06\0\0\0loaded\0\0\x06\0\0\0failed\0\0\x06\0\0\0failed\0\0\0\0\0\0\0\0\0\0.\0\0\0/org/freedesktop/sys\
    temd1/unit/nginx_2eservice\0\0\x0c\0\0\0\x05\0\0\0start\0\0\0 \0\0\0/org/freedesktop/systemd1/job/12\0";

/// Names, aliases and states of the units of a host.
type States = Arc<Mutex<Vec<(&'static str, &'static str)>>>;

struct Systemd {
    dir: tempfile::TempDir,
    states: States,
}

fn systemd(states: &[(&'static str, &'static str)]) -> Systemd {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("bus")).unwrap();
    let states: States = Arc::new(Mutex::new(states.to_vec()));
    let shared = Arc::clone(&states);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || serve(stream, &shared));
        }
    });
    Systemd { dir, states }
}

impl Systemd {
    fn units(&self, watched: &[&str]) -> Units {
        let watched: Vec<String> = watched.iter().map(|name| (*name).to_owned()).collect();
        Units::at(Some(self.dir.path().join("bus")), &watched, &self.dir.path().join("cgroup"))
    }

    fn change(&self, states: &[(&'static str, &'static str)]) {
        *self.states.lock().unwrap() = states.to_vec();
    }
}

fn serve(mut stream: UnixStream, states: &States) -> Option<()> {
    line(&mut stream).filter(|line| line.starts_with(b"\0AUTH EXTERNAL "))?;
    stream.write_all(b"OK 1234\r\n").ok()?;
    line(&mut stream).filter(|line| line == b"BEGIN\r\n")?;
    loop {
        let mut head = [0; 16];
        stream.read_exact(&mut head).ok()?;
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        let fields = usize::try_from(number(12)).unwrap().next_multiple_of(8);
        let mut rest = vec![0; fields + usize::try_from(number(4)).unwrap()];
        stream.read_exact(&mut rest).ok()?;
        let asked = |name: &str| rest[..fields].windows(name.len()).any(|part| part == name.as_bytes());
        // A list of texts: its length, then each with a length and an end.
        let lists = String::from_utf8_lossy(&rest[fields..]).into_owned();
        let known = states.lock().unwrap().clone();
        let body = if asked("Hello") {
            text(":1.7")
        } else if asked("Get") && lists.contains("ControlGroup") {
            let path = if asked("/o/web_service") { "/system.slice/web.service" } else { "" };
            [b"\x01s\0\0".to_vec(), text(path)].concat()
        } else if asked("Get") && lists.contains("NRestarts") {
            [b"\x01u\0\0".to_vec(), 3_u32.to_le_bytes().to_vec()].concat()
        } else if asked("Get") {
            [b"\x01u\0\0".to_vec(), u32::try_from(known.len()).unwrap().to_le_bytes().to_vec()].concat()
        } else if asked("ListUnitsFiltered") {
            list(known.iter().filter(|(_, state)| *state == "failed"))
        } else if asked("ListUnitsByNames") {
            let mut wanted: Vec<_> = known.iter().filter_map(|unit| Some((lists.find(unit.0)?, unit))).collect();
            wanted.sort_unstable();
            list(wanted.into_iter().map(|(_, unit)| unit))
        } else {
            list(known.iter().filter(|(name, _)| name.starts_with("ssh")))
        };
        let mut answer = b"l\x02\0\x01".to_vec();
        answer.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        answer.extend(b"\x01\0\0\0\x08\0\0\0\x05\x01u\0");
        answer.extend(&head[8..12]);
        answer.extend(&body);
        // What nobody asked for comes first, as it may.
        stream.write_all(b"l\x04\0\x01\0\0\0\0\x09\0\0\0\x09\0\0\0\x02\x01s\0\0\0\0\0\0\0\0\0\0\0\0\0").ok()?;
        stream.write_all(&answer).ok()?;
    }
}

fn line(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte).ok()?;
        line.push(byte[0]);
    }
    Some(line)
}

fn text(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes(), b"\0"].concat()
}

fn list<'a>(units: impl Iterator<Item = &'a (&'static str, &'static str)>) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    for (name, state) in units {
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let object = format!("/o/{}", name.replace(['.', '@'], "_"));
        for part in [name, "it", "loaded", state, "x", "", &object, "\u{1}job", "start", "/"] {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(if part == "\u{1}job" { 0_u32.to_le_bytes().to_vec() } else { text(part) });
        }
    }
    let length = u32::try_from(bytes.len() - 8).unwrap().to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes
}

fn read(units: &mut Units, sheet: &mut Sheet) {
    read_at(units, sheet, 0);
}

fn read_at(units: &mut Units, sheet: &mut Sheet, awake_ms: i64) {
    sheet.begin();
    units.ask(sheet);
    let now = Moment { awake_ns: awake_ms * 1_000_000, boot_ms: awake_ms };
    units.collect(Instant::now() + Duration::from_secs(60), &mut Reader::new(), now, sheet);
}

#[test]
fn an_answer_of_systemd_is_read_to_its_end() {
    let answer = super::super::bus::Answer::of(TWO_UNITS);
    let found: Vec<_> = units(&answer).unwrap().into_iter().map(|unit| (unit.name, unit.active, unit.object)).collect();
    let unit =
        |name: &str, active| (format!("{name}.service"), active, format!("/org/freedesktop/systemd1/unit/{name}_2eservice"));
    assert_eq!(found, [unit("cron", true), unit("nginx", false)]);
    for end in 8..TWO_UNITS.len() {
        assert!(units(&super::super::bus::Answer::of(&TWO_UNITS[..end])).is_err(), "{end}");
    }
}

#[test]
fn failed_and_watched_units_are_told_and_the_others_counted() {
    let systemd = systemd(&[
        ("cron.service", "active"),
        ("web.service", "active"),
        ("db.service", "reloading"),
        ("job.service", "inactive"),
        ("bad.service", "failed"),
        ("ssh.service", "active"),
        ("ssh@1.service", "activating"),
    ]);
    let mut units = systemd.units(&["web.service", "job.service", "db.service", "ssh*"]);
    let mut sheet = Sheet::new(false);
    read(&mut units, &mut sheet);
    for (key, expected) in [
        ("unit.total", Some(7.0)),
        ("unit.failed", Some(1.0)),
        ("unit.active{unit=bad.service}", Some(0.0)),
        ("unit.active{unit=web.service}", Some(1.0)),
        ("unit.active{unit=db.service}", Some(1.0)),
        ("unit.active{unit=job.service}", Some(0.0)),
        ("unit.active{unit=ssh.service}", Some(1.0)),
        ("unit.active{unit=ssh@1.service}", Some(0.0)),
        ("unit.active{unit=cron.service}", None),
    ] {
        assert_eq!(value(&mut sheet, key), expected, "{key}");
    }
    assert_eq!(sheet.gaps(), []);
    assert!(units.bus.is_some(), "the connection is kept");
}

#[test]
fn the_end_of_a_failure_is_told_and_after_an_hour_forgotten() {
    let systemd = systemd(&[("web.service", "failed")]);
    let (mut units, mut sheet) = (systemd.units(&[]), Sheet::new(false));
    read(&mut units, &mut sheet);
    assert_eq!(value(&mut sheet, "unit.active{unit=web.service}"), Some(0.0));
    systemd.change(&[("web.service", "active")]);
    for _ in 0..REMEMBER {
        read(&mut units, &mut sheet);
        assert_eq!(value(&mut sheet, "unit.active{unit=web.service}"), Some(1.0));
        assert_eq!(value(&mut sheet, "unit.failed"), Some(0.0));
    }
    read(&mut units, &mut sheet);
    read(&mut units, &mut sheet);
    assert_eq!(value(&mut sheet, "unit.active{unit=web.service}"), None);
}

#[test]
fn a_bus_that_is_gone_is_a_gap_until_it_is_back() {
    let systemd = systemd(&[("web.service", "active")]);
    let (mut units, mut sheet) = (systemd.units(&["web.service"]), Sheet::new(false));
    let socket = units.socket.replace("/nowhere/bus".into());
    read(&mut units, &mut sheet);
    assert_eq!((sheet.gaps()[0].source.as_str(), sheet.gaps()[0].why.as_str()), ("systemd", "there is no system bus"));
    assert_eq!(value(&mut sheet, "unit.total"), None);
    units.socket = socket;
    read(&mut units, &mut sheet);
    assert_eq!((value(&mut sheet, "unit.total"), sheet.gaps().len()), (Some(1.0), 0));
}

#[test]
fn without_systemd_nothing_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let roots = Roots { proc: dir.path().into(), sys: dir.path().into(), cgroup: dir.path().into() };
    for mut units in [Units::new(&roots, Some(&[])), Units::new(&Roots::default(), None)] {
        let mut sheet = Sheet::new(false);
        read(&mut units, &mut sheet);
        assert!(!units.errand.is_out() && units.last.is_none() && sheet.gaps().is_empty());
    }
}

#[test]
fn what_watched_services_use_is_read_from_their_cgroups() {
    let systemd =
        systemd(&[("web.service", "active"), ("tick.timer", "active"), ("idle.service", "inactive"), ("bad.service", "failed")]);
    let folder = systemd.dir.path().join("cgroup/system.slice/web.service");
    let use_so_far = |usec: u64| std::fs::write(folder.join("cpu.stat"), format!("usage_usec {usec}\nuser_usec 1\n")).unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("memory.current"), "5000\n").unwrap();
    std::fs::write(folder.join("memory.stat"), "anon 1\ninactive_file 1000\n").unwrap();
    use_so_far(1_000_000);
    let mut units = systemd.units(&["web.service", "tick.timer", "idle.service"]);
    let mut sheet = Sheet::new(false);
    read_at(&mut units, &mut sheet, 0);
    assert_eq!(value(&mut sheet, "unit.cpu_percent{unit=web.service}"), None, "there is nothing to compare with yet");
    use_so_far(1_500_000);
    read_at(&mut units, &mut sheet, 1_000);
    for (key, expected) in [
        ("unit.cpu_percent{unit=web.service}", Some(50.0)),
        ("unit.mem_bytes{unit=web.service}", Some(4000.0)),
        ("unit.restarts{unit=web.service}", Some(3.0)),
        ("unit.restarts{unit=idle.service}", Some(3.0)),
        ("unit.mem_bytes{unit=idle.service}", None),
        ("unit.restarts{unit=tick.timer}", None),
        ("unit.restarts{unit=bad.service}", None),
        ("unit.active{unit=tick.timer}", Some(1.0)),
    ] {
        assert_eq!(value(&mut sheet, key), expected, "{key}");
    }
    // It stops, and its cgroup goes with it.
    std::fs::remove_dir_all(&folder).unwrap();
    systemd.change(&[("web.service", "inactive")]);
    read_at(&mut units, &mut sheet, 2_000);
    assert_eq!((value(&mut sheet, "unit.mem_bytes{unit=web.service}"), sheet.gaps()), (None, &[][..]));
    read_at(&mut units, &mut sheet, 3_000);
    assert_eq!(value(&mut sheet, "unit.restarts{unit=web.service}"), Some(3.0));
    assert!(units.usage.known().is_empty(), "a folder that is gone is asked for again");
}
