//! Whether ports are open: those of this host by the table of listening sockets, those of others by connecting.
//!
//! A connection may take its 3 s, so each port elsewhere has a thread of its own while it is asked, and the pass takes the
//! answers that are there: an open or refusing neighbour answers within the heartbeat, one that keeps silent is told with the
//! next. A name that cannot be resolved is a port nobody can reach, and a gap that says why.

use super::Roots;
use super::errand::Errand;
use super::listening::Listening;
use super::source::Reader;
use crate::sheet::Sheet;
use crate::watch::Port;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long a connection may take, all addresses of a name together.
const LIMIT: Duration = Duration::from_secs(3);

/// What is watched.
#[derive(Debug)]
pub(crate) struct Ports {
    listening: Listening,
    here: Vec<(u16, String)>,
    elsewhere: Vec<Elsewhere>,
}

#[derive(Debug)]
struct Elsewhere {
    label: String,
    host: String,
    port: u16,
    errand: Errand<Outcome>,
    last: Option<Outcome>,
}

/// What came of an attempt to connect.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    /// It took this many milliseconds.
    Open(f64),
    /// Refused, unreachable or silent.
    Closed,
    /// There is nothing to connect to.
    Unknown(String),
}

impl Ports {
    /// Watches these ports.
    pub(crate) fn new(roots: &Roots, ports: &[Port]) -> Self {
        let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
        for port in ports {
            match port {
                Port::Here(number) => here.push((*number, number.to_string())),
                Port::Elsewhere { label, host, port } => elsewhere.push(Elsewhere {
                    label: label.clone(),
                    host: host.clone(),
                    port: *port,
                    errand: Errand::new("port"),
                    last: None,
                }),
            }
        }
        Self { listening: Listening::new(roots), here, elsewhere }
    }

    /// Begins to connect to every port elsewhere that owes no answer.
    pub(crate) fn ask(&mut self, sheet: &mut Sheet) {
        for port in &mut self.elsewhere {
            port.take_answer(Instant::now());
            let (host, number) = (port.host.clone(), port.port);
            if let Err(error) = port.errand.send(move || connect(&host, number, LIMIT)) {
                sheet.gap(&*port.label, error.to_string());
            }
        }
    }

    /// Writes `port.*`; answers that come by `deadline` are waited for.
    pub(crate) fn collect(&mut self, deadline: Instant, reader: &mut Reader, sheet: &mut Sheet) {
        if !self.here.is_empty() {
            let open = self.listening.ports(reader, sheet);
            for (number, label) in &self.here {
                sheet.put_for("port.open", label, open.as_ref().map(|open| flag(open.contains(number))));
            }
        }
        for port in &mut self.elsewhere {
            port.take_answer(deadline);
            let ms = match &port.last {
                Some(Outcome::Open(ms)) => Some(*ms),
                Some(Outcome::Unknown(why)) => {
                    sheet.gap(&*port.label, &**why);
                    None
                }
                _ => None,
            };
            sheet.put_for("port.open", &port.label, port.last.as_ref().map(|_| flag(ms.is_some())));
            sheet.put_for("port.connect_ms", &port.label, ms);
        }
    }
}

impl Elsewhere {
    fn take_answer(&mut self, deadline: Instant) {
        if let Some(outcome) = self.errand.answer(deadline) {
            self.last = Some(outcome);
        }
    }
}

fn flag(open: bool) -> f64 {
    f64::from(u8::from(open))
}

/// Connects to the first address that lets us, and hangs up.
fn connect(host: &str, port: u16, limit: Duration) -> Outcome {
    let addresses: Vec<SocketAddr> = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Outcome::Unknown(format!("the name cannot be resolved: {error}")),
    };
    let end = Instant::now() + limit;
    for address in addresses {
        let begun = Instant::now();
        let left = end.saturating_duration_since(begun);
        if left.is_zero() {
            break;
        }
        if TcpStream::connect_timeout(&address, left).is_ok() {
            return Outcome::Open(begun.elapsed().as_secs_f64() * 1000.0);
        }
    }
    Outcome::Closed
}

#[cfg(test)]
mod tests {
    use super::super::testing::value;
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn read(ports: &mut Ports, sheet: &mut Sheet) {
        sheet.begin();
        ports.ask(sheet);
        ports.collect(soon(), &mut Reader::new(), sheet);
    }

    #[test]
    fn a_port_of_this_host_is_open_while_somebody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        let mut ports = Ports::new(&Roots::default(), &[Port::Here(number)]);
        let (mut sheet, key) = (Sheet::new(false), format!("port.open{{port={number}}}"));
        read(&mut ports, &mut sheet);
        assert_eq!(value(&mut sheet, &key), Some(1.0));
        drop(listener);
        read(&mut ports, &mut sheet);
        assert_eq!(value(&mut sheet, &key), Some(0.0));
    }

    #[test]
    fn without_a_table_nothing_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots { proc: dir.path().into(), sys: dir.path().into(), cgroup: dir.path().into() };
        let (mut ports, mut sheet) = (Ports::new(&roots, &[Port::Here(22)]), Sheet::new(false));
        read(&mut ports, &mut sheet);
        assert_eq!(value(&mut sheet, "port.open{port=22}"), None);
        assert_eq!(sheet.gaps()[0].source, "/proc/net/tcp");
    }

    #[test]
    fn a_port_elsewhere_is_open_if_it_can_be_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let label = listener.local_addr().unwrap().to_string();
        let mut ports = Ports::new(&Roots::default(), &Port::list(&label).unwrap());
        let (mut sheet, open) = (Sheet::new(false), format!("port.open{{port={label}}}"));
        read(&mut ports, &mut sheet);
        assert_eq!(value(&mut sheet, &open), Some(1.0));
        let took = value(&mut sheet, &format!("port.connect_ms{{port={label}}}")).unwrap();
        assert!((0.0..3_000.0).contains(&took), "{took}");
        drop(listener);
        read(&mut ports, &mut sheet);
        assert_eq!(value(&mut sheet, &open), Some(0.0));
        assert_eq!(value(&mut sheet, &format!("port.connect_ms{{port={label}}}")), None);
    }

    #[test]
    fn an_answer_that_is_owed_is_told_when_it_is_there_and_the_last_one_till_then() {
        let mut ports = Ports::new(&Roots::default(), &Port::list("db.example.org:5432").unwrap());
        let (mut sheet, key) = (Sheet::new(false), "port.open{port=db.example.org:5432}");
        let (go, wait) = std::sync::mpsc::channel();
        ports.elsewhere[0].errand.send(move || wait.recv().unwrap_or(Outcome::Closed)).unwrap();
        let mut collect = |ports: &mut Ports, deadline| {
            sheet.begin();
            ports.ask(&mut sheet);
            ports.collect(deadline, &mut Reader::new(), &mut sheet);
            value(&mut sheet, key)
        };
        assert_eq!(collect(&mut ports, Instant::now()), None, "nothing is known yet");
        ports.elsewhere[0].last = Some(Outcome::Open(1.0));
        assert_eq!(collect(&mut ports, Instant::now()), Some(1.0));
        go.send(Outcome::Closed).unwrap();
        ports.collect(soon(), &mut Reader::new(), &mut sheet);
        assert_eq!(value(&mut sheet, key), Some(0.0));
    }

    #[test]
    fn a_silent_host_is_given_up_in_time_and_a_name_that_is_none_is_named() {
        let flags = SocketFlags::CLOEXEC;
        let silent = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
        rustix::net::bind(&silent, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        // One connection waits to be accepted; who comes after it gets no answer.
        rustix::net::listen(&silent, 0).unwrap();
        let port = SocketAddrV4::try_from(rustix::net::getsockname(&silent).unwrap()).unwrap().port();
        let _first = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let begun = Instant::now();
        assert_eq!(connect("127.0.0.1", port, Duration::from_millis(50)), Outcome::Closed);
        assert!((Duration::from_millis(50)..Duration::from_secs(30)).contains(&begun.elapsed()));
        assert!(matches!(connect("no\0name", 9, LIMIT), Outcome::Unknown(why) if why.contains("cannot be resolved")));
    }
}
