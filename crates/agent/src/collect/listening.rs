//! Which TCP ports of this host somebody listens on: by netlink's sock_diag(7), which lists listening sockets alone (25 µs),
//! or by `/proc/net/tcp` and `tcp6`, which list every connection too (milliseconds), where netlink is not to be had.

use super::Roots;
use super::scan::{self, Unparsable};
use super::source::{Reader, Source};
use crate::sheet::Sheet;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// The kernel answers at once; this is for one that has lost its mind.
const LIMIT: Duration = Duration::from_secs(1);
/// A dump that was interrupted by a change may have left a socket out, and is asked for again.
const TRIES: u32 = 4;
/// What the kernel puts into one answer at most (`NLMSG_GOODSIZE` and a bit).
const ANSWER: usize = 32 << 10;

const TCP: u8 = 6;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `TCP_LISTEN` of include/net/tcp_states.h.
const LISTEN: u8 = 10;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const DUMP_INTERRUPTED: u16 = 0x10;
const HEADER: usize = 16;

/// The two ways.
#[derive(Debug)]
pub(crate) struct Listening {
    live: bool,
    tables: [Source; 2],
}

/// How a dump went.
#[derive(Debug, PartialEq, Eq)]
enum Dump {
    Done,
    More,
    Interrupted,
}

impl Listening {
    /// Netlink knows the host we run on only, not a tree of fixtures.
    pub(crate) fn new(roots: &Roots) -> Self {
        let tables = [Source::proc(&roots.proc, "net/tcp"), Source::proc(&roots.proc, "net/tcp6").if_there()];
        Self { live: roots.proc == Path::new("/proc"), tables }
    }

    /// The ports, in no order; nothing, and a gap, if they cannot be had.
    pub(crate) fn ports(&mut self, reader: &mut Reader, sheet: &mut Sheet) -> Option<Vec<u16>> {
        if self.live {
            match by_netlink() {
                Ok(ports) => return Some(ports),
                Err(error) => {
                    tracing::debug!(%error, "listening sockets are read from /proc/net/tcp");
                    self.live = false;
                }
            }
        }
        let [four, six] = &mut self.tables;
        let mut ports = four.parse(reader, sheet, parse)?;
        ports.extend(six.parse(reader, sheet, parse).unwrap_or_default());
        Some(ports)
    }
}

fn by_netlink() -> Result<Vec<u16>, Errno> {
    let kind = SocketType::DGRAM;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, kind, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(LIMIT))?;
    let mut ports = Vec::new();
    for family in [AF_INET, AF_INET6] {
        match dump(&socket, family, &mut ports) {
            // A kernel without IPv6.
            Err(Errno::NOENT) if family == AF_INET6 => {}
            done => done?,
        }
    }
    Ok(ports)
}

fn dump(socket: &OwnedFd, family: u8, ports: &mut Vec<u16>) -> Result<(), Errno> {
    let (mut buffer, begun) = (vec![0; ANSWER], ports.len());
    for _ in 0..TRIES {
        ports.truncate(begun);
        rustix::net::send(socket, &request(family), SendFlags::empty())?;
        let mut interrupted = false;
        loop {
            let (length, _) = rustix::net::recv(socket, &mut *buffer, RecvFlags::empty())?;
            match messages(&buffer[..length], ports)? {
                Dump::Done => break,
                Dump::More => {}
                Dump::Interrupted => interrupted = true,
            }
        }
        if !interrupted {
            return Ok(());
        }
    }
    Err(Errno::AGAIN)
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`: every listening TCP socket of a family.
fn request(family: u8) -> [u8; HEADER + 56] {
    let mut request = [0; HEADER + 56];
    request[..4].copy_from_slice(&72_u32.to_ne_bytes());
    request[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    request[HEADER..HEADER + 2].copy_from_slice(&[family, TCP]);
    request[HEADER + 4..HEADER + 8].copy_from_slice(&(1_u32 << LISTEN).to_ne_bytes());
    request
}

/// The ports in one answer: `struct inet_diag_msg` has the state in its second byte and the port, in network order, in its
/// fifth and sixth.
fn messages(mut bytes: &[u8], ports: &mut Vec<u16>) -> Result<Dump, Errno> {
    let mut dump = Dump::More;
    while bytes.len() >= HEADER {
        let number = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let length = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let body = bytes.get(HEADER..length).ok_or(Errno::BADMSG)?;
        if number(6) & DUMP_INTERRUPTED != 0 {
            dump = Dump::Interrupted;
        }
        match number(4) {
            NLMSG_DONE => return Ok(if dump == Dump::Interrupted { dump } else { Dump::Done }),
            NLMSG_ERROR => {
                let code = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                return Err(Errno::from_raw_os_error(code.saturating_neg()));
            }
            SOCK_DIAG_BY_FAMILY => match body {
                [_, LISTEN, _, _, high, low, ..] => ports.push(u16::from_be_bytes([*high, *low])),
                _ => return Err(Errno::BADMSG),
            },
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(dump)
}

/// The listening ports of `/proc/net/tcp` or `tcp6`: number, local `address:port`, remote, state, all in hexadecimal digits.
fn parse(bytes: &[u8]) -> Result<Vec<u16>, Unparsable> {
    let mut ports = Vec::new();
    let mut lines = scan::lines(bytes);
    if lines.next().is_none_or(|heading| !scan::words(heading).any(|word| word == b"local_address")) {
        return Err(scan::missing("the heading"));
    }
    for line in lines {
        let mut words = scan::words(line);
        let (local, state) = (words.nth(1), words.nth(1));
        if state == Some(b"0A") {
            let port = local.and_then(|local| local.rsplit(|byte| *byte == b':').next()).unwrap_or_default();
            let port = std::str::from_utf8(port).ok().and_then(|port| u16::from_str_radix(port, 16).ok());
            ports.push(port.ok_or_else(|| scan::missing("a port"))?);
        }
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const TABLE: &[u8] = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0100007F:0050 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
";

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn listener(port: u16) -> Vec<u8> {
        let [high, low] = port.to_be_bytes();
        message(SOCK_DIAG_BY_FAMILY, 2, &[AF_INET, LISTEN, 0, 0, high, low, 0, 0])
    }

    #[test]
    fn the_table_of_the_kernel_has_its_listeners() {
        assert_eq!(parse(TABLE), Ok(vec![22, 5432]));
        assert_eq!(parse(b"  sl  local_address rem_address st\n"), Ok(vec![]), "nobody listens");
        for bad in [&b""[..], b"nonsense", b" sl local_address st\n 0: 00000000:XX 0:0 0A\n"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn answers_of_netlink_are_read_to_their_end() {
        let mut ports = Vec::new();
        let answer = [listener(22), listener(5432), message(NLMSG_DONE, 2, &[0; 4])].concat();
        assert_eq!(messages(&answer, &mut ports), Ok(Dump::Done));
        assert_eq!(ports, [22, 5432]);
        assert_eq!(messages(&listener(80), &mut ports), Ok(Dump::More));
        let torn = message(NLMSG_DONE, DUMP_INTERRUPTED, &[0; 4]);
        assert_eq!(messages(&torn, &mut ports), Ok(Dump::Interrupted), "a change may have hidden a socket");
        let refusal = message(NLMSG_ERROR, 0, &(-2_i32).to_ne_bytes());
        assert_eq!(messages(&refusal, &mut ports), Err(Errno::NOENT));
        assert_eq!(messages(&message(SOCK_DIAG_BY_FAMILY, 2, &[AF_INET, LISTEN]), &mut ports), Err(Errno::BADMSG));
        assert_eq!(messages(&[255; 20], &mut ports), Err(Errno::BADMSG));
    }

    #[test]
    fn both_ways_see_a_socket_that_listens_and_not_one_that_has_stopped() {
        let (four, six) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("[::1]:0"));
        let mut expected = vec![four.local_addr().unwrap().port()];
        expected.extend(six.iter().map(|socket| socket.local_addr().unwrap().port()));
        let (mut reader, mut sheet) = (Reader::new(), Sheet::new(false));
        for live in [true, false] {
            let mut listening = Listening { live, ..Listening::new(&Roots::default()) };
            let ports = listening.ports(&mut reader, &mut sheet).unwrap();
            assert!(expected.iter().all(|port| ports.contains(port)), "{live}: {expected:?} {ports:?}");
            assert_eq!(listening.live, live, "netlink is there");
        }
        drop((four, six));
        let ports = Listening::new(&Roots::default()).ports(&mut reader, &mut sheet).unwrap();
        assert!(!ports.contains(&expected[0]));
    }
}
