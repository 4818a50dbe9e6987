//! Whether a connection rests: no request is under way, nothing of a next one has come, and nothing has moved for a moment. A connection
//! at rest is parked without the buffers and the state of the HTTP library, some twenty kilobytes: most are agents between two
//! heartbeats.

use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

/// What the parts of one connection tell each other. They are of one task and are polled one after another.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// How often anything was read or written.
    moves: AtomicU32,
    /// Whether the last request is answered, and nothing of the next has come.
    between: AtomicBool,
    /// Requests that have come, less answers that were given to their end.
    under_way: AtomicU32,
    /// Whether a body was left before its end. What comes then may be the rest of it, and is no request.
    spoilt: AtomicBool,
    /// Whether the library's state is being taken off, and the connection not to be closed with it.
    parking: AtomicBool,
}

impl Rest {
    /// Something was read or written; whether the connection is between two requests now.
    pub(super) fn moved(&self, between: bool) {
        self.moves.fetch_add(1, Ordering::Relaxed);
        self.between.store(between, Ordering::Relaxed);
    }

    /// How often anything has moved.
    pub(super) fn moves(&self) -> u32 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Whether the connection waits for a request.
    pub(super) fn is_idle(&self) -> bool {
        self.between.load(Ordering::Relaxed) && self.under_way.load(Ordering::Relaxed) == 0
    }

    /// Whether the connection may be parked.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_idle() && !self.spoilt.load(Ordering::Relaxed)
    }

    /// Begins or ends parking.
    pub(super) fn set_parking(&self, parking: bool) {
        self.parking.store(parking, Ordering::Relaxed);
    }

    /// Whether the connection outlives the library's state.
    pub(super) fn is_parking(&self) -> bool {
        self.parking.load(Ordering::Relaxed)
    }
}

/// The body of a request or of its answer, watched to its end.
#[derive(Debug)]
pub(super) struct Watched<B: Body> {
    body: B,
    rest: Arc<Rest>,
    is_answer: bool,
    is_whole: bool,
}

impl<B: Body> Watched<B> {
    /// A request has come.
    pub(super) fn request(body: B, rest: Arc<Rest>) -> Self {
        rest.under_way.fetch_add(1, Ordering::Relaxed);
        Self { body, rest, is_answer: false, is_whole: false }
    }

    /// It is being answered.
    pub(super) const fn answer(body: B, rest: Arc<Rest>) -> Self {
        Self { body, rest, is_answer: true, is_whole: false }
    }
}

impl<B: Body> Drop for Watched<B> {
    fn drop(&mut self) {
        if !self.is_whole && !self.body.is_end_stream() {
            self.rest.spoilt.store(true, Ordering::Relaxed);
        }
        if self.is_answer {
            self.rest.under_way.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.is_whole |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body as Any;
    use std::future::poll_fn;

    fn between_requests() -> Arc<Rest> {
        let rest = Arc::new(Rest::default());
        rest.moved(true);
        rest
    }

    /// A body that does not say how long it is.
    fn chunked() -> Any {
        Any::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>("beat")]))
    }

    /// The next piece of a body; whether there is one.
    async fn next(body: &mut Watched<Any>) -> bool {
        poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await.is_some()
    }

    #[tokio::test]
    async fn an_answered_request_leaves_a_connection_at_rest() {
        let rest = between_requests();
        for _ in 0..2 {
            let mut request = Watched::request(chunked(), Arc::clone(&rest));
            assert!(!rest.is_at_rest(), "it is being read");
            while next(&mut request).await {}
            drop(request);
            assert!(!rest.is_at_rest(), "it is not answered");
            let mut answer = Watched::answer(Any::from("fine"), Arc::clone(&rest));
            assert!(next(&mut answer).await && !rest.is_at_rest(), "it is being answered");
            drop(answer);
            assert!(rest.is_at_rest());
        }
        drop(Watched::request(Any::empty(), Arc::clone(&rest)));
        drop(Watched::answer(Any::empty(), Arc::clone(&rest)));
        assert!(rest.is_at_rest(), "without bodies");
        rest.moved(false);
        assert!(!rest.is_at_rest(), "the next one begins");
    }

    #[tokio::test]
    async fn what_is_left_of_a_body_spoils_its_connection() {
        let rest = between_requests();
        let mut request = Watched::request(chunked(), Arc::clone(&rest));
        assert!(next(&mut request).await);
        drop(request);
        drop(Watched::answer(Any::empty(), Arc::clone(&rest)));
        assert!(!rest.is_at_rest());
    }
}
