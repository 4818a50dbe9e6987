//! Whether the clock is set by somebody who knows the time, by the word of the service that sets it: systemd-timesyncd(8) leaves a
//! file when it has set the clock, and chronyd(8) answers whoever asks on this host (candm.h of chrony: `REQ_TRACKING`).
//!
//! The kernel knows it of every such service, but adjtimex(2) is out of reach twice: without `unsafe`, and for a service under
//! `ProtectClock`. Where neither service runs, nothing is said.

use super::Roots;
use super::errand::Errand;
use crate::sheet::Sheet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The folder is there while timesyncd runs, the file once it has set the clock.
const TIMESYNCD: &str = "/run/systemd/timesync";
/// The folder of chronyd, and the port on which it answers this host.
const CHRONYD: &str = "/run/chrony";
const PORT: u16 = 323;
/// It answers within a millisecond, or not at all.
const LIMIT: Duration = Duration::from_secs(1);

/// A question must be as long as its answer, so that nobody can have floods sent to others.
const LENGTH: usize = 104;
const VERSION: u8 = 6;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const REQ_TRACKING: u16 = 33;
const RPY_TRACKING: u16 = 5;
/// `LEAP_Unsynchronised`.
const UNSYNCHRONISED: u16 = 3;

/// Where the services are, if the host is the one we run on.
#[derive(Debug)]
pub(crate) struct TimeSync {
    timesyncd: Option<PathBuf>,
    chronyd: Option<(PathBuf, SocketAddr)>,
    errand: Errand<Option<bool>>,
    last: Option<bool>,
}

impl TimeSync {
    /// Both words lie outside `/proc` and `/sys`, so there are none in a tree of fixtures.
    pub(crate) fn new(roots: &Roots) -> Self {
        let live = roots.proc == Path::new("/proc");
        Self {
            timesyncd: live.then(|| PathBuf::from(TIMESYNCD)),
            chronyd: live.then(|| (PathBuf::from(CHRONYD), (Ipv4Addr::LOCALHOST, PORT).into())),
            errand: Errand::new("chronyd"),
            last: None,
        }
    }

    /// Asks chronyd, where that runs, unless it owes an answer.
    pub(crate) fn ask(&mut self, sheet: &mut Sheet) {
        let Some((_, address)) = self.chronyd.as_ref().filter(|(folder, _)| folder.exists()) else { return };
        let address = *address;
        self.take_answer(Instant::now());
        if let Err(error) = self.errand.send(move || tracking(address).ok().flatten()) {
            sheet.gap("chronyd", error.to_string());
        }
    }

    /// Writes `clock.synced`; an answer that comes by `deadline` is waited for.
    pub(crate) fn collect(&mut self, deadline: Instant, sheet: &mut Sheet) {
        self.take_answer(deadline);
        let timesyncd = self.timesyncd.as_ref().filter(|folder| folder.is_dir());
        let synced = timesyncd.map(|folder| folder.join("synchronized").exists()).or(self.last);
        if let Some(synced) = synced {
            sheet.put("clock.synced", Some(f64::from(u8::from(synced))));
        }
    }

    fn take_answer(&mut self, deadline: Instant) {
        if let Some(answer) = self.errand.answer(deadline) {
            self.last = answer;
        }
    }
}

fn tracking(address: SocketAddr) -> std::io::Result<Option<bool>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.send(&question())?;
    let mut answer = [0; LENGTH];
    let length = socket.recv(&mut answer)?;
    Ok(understand(&answer[..length]))
}

fn question() -> [u8; LENGTH] {
    let mut question = [0; LENGTH];
    question[..2].copy_from_slice(&[VERSION, REQUEST]);
    question[4..6].copy_from_slice(&REQ_TRACKING.to_be_bytes());
    question
}

/// The state of leap seconds, which is where the protocol says that there is no time to speak of.
fn understand(answer: &[u8]) -> Option<bool> {
    let number = |at: usize| answer.get(at..at + 2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
    let head = answer.first() == Some(&VERSION) && answer.get(1) == Some(&REPLY);
    let told = head && number(6) == Some(RPY_TRACKING) && number(8) == Some(0);
    number(54).filter(|_| told).map(|leap| leap != UNSYNCHRONISED)
}

#[cfg(test)]
mod tests {
    use super::super::testing::value;
    use super::*;

    fn sync(dir: &Path, address: SocketAddr) -> TimeSync {
        TimeSync {
            timesyncd: Some(dir.join("timesync")),
            chronyd: Some((dir.join("chrony"), address)),
            ..TimeSync::new(&Roots { proc: dir.into(), ..Roots::default() })
        }
    }

    fn synced(sync: &mut TimeSync) -> Option<f64> {
        let mut sheet = Sheet::new(false);
        sync.ask(&mut sheet);
        sync.collect(Instant::now() + Duration::from_secs(60), &mut sheet);
        value(&mut sheet, "clock.synced")
    }

    /// What chronyd 4.3 answers: `leap` and some of the rest.
    fn answer(leap: u8) -> [u8; LENGTH] {
        let mut answer = [0; LENGTH];
        answer[..8].copy_from_slice(&[6, 2, 0, 0, 0, 33, 0, 5]);
        answer[28..32].copy_from_slice(&[127, 127, 1, 1]);
        (answer[53], answer[55]) = (10, leap);
        answer
    }

    #[test]
    fn the_file_is_the_word_of_timesyncd_and_without_a_service_there_is_none() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let mut sync = sync(dir.path(), (Ipv4Addr::LOCALHOST, 9).into());
        assert_eq!(synced(&mut sync), None, "the service does not run");
        std::fs::create_dir(dir.path().join("timesync"))?;
        assert_eq!(synced(&mut sync), Some(0.0));
        std::fs::write(dir.path().join("timesync/synchronized"), "")?;
        assert_eq!(synced(&mut sync), Some(1.0));
        Ok(())
    }

    #[test]
    fn chronyd_is_asked_where_it_runs() -> std::io::Result<()> {
        let (dir, chronyd) = (tempfile::tempdir()?, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
        let mut sync = sync(dir.path(), chronyd.local_addr()?);
        std::fs::create_dir(dir.path().join("chrony"))?;
        let serving = std::thread::spawn(move || {
            for leap in [0, 3] {
                let mut question = [0; 2 * LENGTH];
                let (length, from) = chronyd.recv_from(&mut question).unwrap();
                assert_eq!((length, &question[..6]), (LENGTH, &[6, 1, 0, 0, 0, 33][..]));
                chronyd.send_to(&answer(leap), from).unwrap();
            }
        });
        assert_eq!(synced(&mut sync), Some(1.0));
        assert_eq!(synced(&mut sync), Some(0.0));
        serving.join().unwrap();
        assert_eq!(synced(&mut sync), None, "nobody answers any more");
        Ok(())
    }

    #[test]
    fn other_answers_are_no_word() {
        assert_eq!((understand(&answer(1)), understand(&answer(3))), (Some(true), Some(false)));
        assert_eq!(understand(&answer(0)[..55]), None);
        for (at, byte) in [(0, 5), (1, 1), (7, 1), (9, 2)] {
            let mut other = answer(0);
            other[at] = byte;
            assert_eq!(understand(&other), None, "{at}");
        }
        assert_eq!(understand(&[]), None);
    }
}
