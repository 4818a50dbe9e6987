//! A client's connection, with patience that ends: a request's head has its time ([`Heads`]), and what the client still sends when it
//! was answered for the last time is read away for a moment.
//!
//! A request may be refused before its body has arrived. Closing at once, with bytes unread, makes the system reset the
//! connection, and the refusal is lost on its way to a client that is still sending.

use super::heads::Heads;
use super::rest::Rest;
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client may go on sending after it was answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much is read at once.
const CHUNK: usize = 8 * 1024;
/// How much of a request is read while the connection is parked: its beginning says that it is there. That a socket can be read says
/// less, for TLS reads ahead.
const BEGINNING: usize = 64;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Patient<S> {
    inner: S,
    /// What was read ahead of whoever reads.
    early: Bytes,
    heads: Heads,
    rest: Arc<Rest>,
    /// Until when the other side is listened to; set once everything is written.
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) const fn new(inner: S, rest: Arc<Rest>) -> Self {
        Self { inner, early: Bytes::new(), heads: Heads::new(), rest, until: None }
    }

    /// This is read once more.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        // A copy: what it comes from is the library's whole buffer, and mostly it is nothing.
        self.early = Bytes::copy_from_slice(bytes);
    }

    /// What the connection knows of its rest.
    #[cfg(test)]
    pub(super) const fn rest(&self) -> &Arc<Rest> {
        &self.rest
    }

    fn wrote(&mut self, bytes: &[u8]) {
        self.heads.wrote(bytes);
        self.rest.moved(self.heads.is_between());
    }
}

impl<S: AsyncRead + Unpin> Patient<S> {
    /// Waits for the beginning of a request, which is read once more; whether there is one, or the other side is gone.
    pub(super) async fn arrival(&mut self) -> io::Result<bool> {
        if self.early.is_empty() {
            let mut beginning = [0; BEGINNING];
            let amount = self.inner.read(&mut beginning).await?;
            self.unread(beginning.get(..amount).unwrap_or_default());
        }
        Ok(!self.early.is_empty())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.early.is_empty() {
            let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
            if read.is_pending() {
                return self.heads.poll_late(cx).map(Err);
            }
            ready!(read)?;
        } else {
            let amount = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early.split_to(amount));
            // And what has come since: for a second read the reader would fetch a larger buffer.
            if buffer.remaining() > 0
                && let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, buffer)
            {
                read?;
            }
        }
        self.heads.read(buffer.filled().get(before..).unwrap_or_default());
        self.rest.moved(self.heads.is_between());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.wrote(bytes);
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wrote(slices.first().map_or(&[], |slice| slice));
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_parking() {
            return Poll::Ready(Ok(()));
        }
        // Whoever is closing is not at rest.
        self.rest.moved(false);
        let Self { inner, until, .. } = &mut *self;
        let until = match until {
            Some(until) => until,
            None => {
                ready!(Pin::new(&mut *inner).poll_shutdown(cx))?;
                until.insert(Box::pin(tokio::time::sleep(PATIENCE)))
            }
        };
        let mut chunk = [0; CHUNK];
        while until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut chunk);
            // An error is an end like any other: everything that was to be said is said.
            if ready!(Pin::new(&mut *inner).poll_read(cx, &mut buffer)).is_err() || buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_still_comes_is_read_to_its_end() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Patient::new(near, Arc::default());
        let closing = tokio::spawn(async move {
            near.write_all(b"no").await.expect("written");
            near.shutdown().await
        });
        far.write_all(&[7; 10_000]).await.expect("somebody reads");
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.expect("read");
        drop(far);
        assert_eq!(heard, b"no");
        closing.await.expect("no panic").expect("closed");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_goes_on_for_ever_is_left() {
        let (near, _far) = tokio::io::duplex(64);
        let begun = tokio::time::Instant::now();
        Patient::new(near, Arc::default()).shutdown().await.expect("closed");
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    }
}
