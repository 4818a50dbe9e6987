//! How far the request of a client has come, and that its head has to come within a bound, however long it was silent before that.
//!
//! The server's own bound begins when a connection is idle, so that one bound for both would either cut off agents between two
//! heartbeats, each of which would then cost a TLS handshake, or let slow clients hold a head open as long as an idle connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// How long a client may take for its request's head.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Heads {
    stage: Stage,
    /// Until when the head has to be there; set once one is waited for.
    until: Option<Pin<Box<Sleep>>>,
}

/// What comes next from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The rest of a head, of which the last bytes were this.
    Head(Tail),
    /// A body, if anything: the head is whole and not answered yet.
    Body,
    /// A head, sooner or later: the last one is answered.
    Idle,
    /// No requests any more.
    Upgraded,
}

/// How a head's bytes end: it is whole with an empty line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    Line,
    Break,
    BreakReturn,
}

impl Stage {
    /// After these bytes of the client.
    fn read(self, bytes: &[u8]) -> Self {
        let mut tail = match self {
            Self::Head(tail) => tail,
            Self::Idle if !bytes.is_empty() => Tail::Line,
            same => return same,
        };
        for byte in bytes {
            tail = match (tail, byte) {
                (Tail::Break | Tail::BreakReturn, b'\n') => return Self::Body,
                (_, b'\n') => Tail::Break,
                (Tail::Break, b'\r') => Tail::BreakReturn,
                _ => Tail::Line,
            };
        }
        Self::Head(tail)
    }

    /// After the beginning of an answer, or more of one.
    fn wrote(self, bytes: &[u8]) -> Self {
        match self {
            Self::Body if bytes.starts_with(b"HTTP/1.1 101") => Self::Upgraded,
            // What comes then is the body that was waited for.
            Self::Body if bytes.starts_with(b"HTTP/1.1 100") => Self::Body,
            Self::Body => Self::Idle,
            same => same,
        }
    }
}

impl Heads {
    /// A head is to come.
    pub(super) const fn new() -> Self {
        Self { stage: Stage::Head(Tail::Line), until: None }
    }

    /// Notes what the client sent.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        self.stage = self.stage.read(bytes);
        if !matches!(self.stage, Stage::Head(_)) {
            self.until = None;
        }
    }

    /// Notes what it is answered.
    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        self.stage = self.stage.wrote(bytes);
    }

    /// Whether the last request is answered, or is being answered, and nothing of a next one has come.
    pub(super) const fn is_between(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    /// Waits while nothing comes, and for a head no longer than its bound.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if !matches!(self.stage, Stage::Head(_)) {
            return Poll::Pending;
        }
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(TIMEOUT)));
        until.as_mut().poll(cx).map(|()| io::Error::new(io::ErrorKind::TimedOut, "the request's head did not come in time"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::patient::Patient;
    use super::*;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, sleep, timeout};

    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: hub\r\n\r\n";

    fn pair() -> (Patient<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(1024);
        (Patient::new(near, Arc::default()), far)
    }

    /// Whether nothing happens while a minute passes.
    async fn is_patient(near: &mut Patient<DuplexStream>) -> bool {
        timeout(Duration::from_secs(60), near.read(&mut [0; 64])).await.is_err()
    }

    async fn is_cut(near: &mut Patient<DuplexStream>) -> bool {
        let begun = Instant::now();
        let read = timeout(Duration::from_secs(60), near.read(&mut [0; 64])).await;
        read.is_ok_and(|read| read.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)) && begun.elapsed() <= TIMEOUT
    }

    #[test]
    fn a_head_ends_with_an_empty_line_however_it_is_cut() {
        for at in 0..HEAD.len() {
            let stage = Stage::Idle.read(&HEAD[..at]).read(&[]);
            assert_eq!(matches!(stage, Stage::Head(_)), at > 0, "{at}");
            assert_eq!(stage.read(&HEAD[at..]), Stage::Body, "{at}");
        }
        assert_eq!(Stage::Idle.read(b"GET / HTTP/1.1\nHost: hub\n\nbody"), Stage::Body, "without returns");
        assert!(matches!(Stage::Idle.read(b"a\r\nb\r\r\n"), Stage::Head(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_or_a_head_in_drops_is_cut_off() {
        let (mut near, _far) = pair();
        assert!(is_cut(&mut near).await);
        let (mut near, mut far) = pair();
        let dripping = tokio::spawn(async move {
            for byte in HEAD.iter().cycle() {
                if *byte != b'\n' && far.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_secs(1)).await;
            }
        });
        let begun = Instant::now();
        let cut = loop {
            if let Err(error) = near.read(&mut [0; 64]).await {
                break error;
            }
        };
        assert_eq!((cut.kind(), begun.elapsed().as_secs()), (io::ErrorKind::TimedOut, TIMEOUT.as_secs()));
        drop(near);
        dripping.await.expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_may_be_silent_between_its_requests_and_slow_with_a_body() {
        let (mut near, mut far) = pair();
        for _ in 0..3 {
            far.write_all(HEAD).await.expect("written");
            near.read_exact(&mut [0; HEAD.len()]).await.expect("read");
            assert!(is_patient(&mut near).await, "a body may take its time: others bound it");
            near.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.expect("written");
            assert!(is_patient(&mut near).await, "so may one that was asked for");
            near.write_all(b"HTTP/1.1 202 Accepted\r\n\r\n").await.expect("written");
            assert!(is_patient(&mut near).await, "the next heartbeat is not due");
        }
        far.write_all(&HEAD[..9]).await.expect("written");
        near.read_exact(&mut [0; 9]).await.expect("read");
        assert!(is_cut(&mut near).await, "but once a head has begun, it has to come");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_http_any_more_is_left_alone() {
        let (mut near, mut far) = pair();
        far.write_all(HEAD).await.expect("written");
        near.read_exact(&mut [0; HEAD.len()]).await.expect("read");
        near.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.expect("written");
        near.write_all(b"frame").await.expect("written");
        far.write_all(b"frame").await.expect("written");
        near.read_exact(&mut [0; 5]).await.expect("read");
        assert!(is_patient(&mut near).await);
    }
}
