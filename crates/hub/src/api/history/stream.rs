//! The body of a long table, read while it is being sent: nothing is read before the receiver has taken what came before.
//!
//! Places are few, so a receiver keeps its own by taking what it asked for: slowly, if its line is slow, but not next to never. Who
//! finds all of them taken is told so instead of being left to wait.

use crate::api::problem::Problem;
use crate::app::App;
use crate::export::{Export, Wanted};
use axum::body::{Body, Bytes};
use futures_util::{Stream, StreamExt, stream};
use nightbell_model::SeriesKey;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, timeout};

/// How many pieces may wait to be sent.
const PIECES_AHEAD: usize = 2;
/// How many tables are sent at once: each keeps a thread and a page of history.
const PLACES: usize = 8;
static SENDING: Semaphore = Semaphore::const_new(PLACES);
/// How long a request waits for a place, and after how long it is worth to ask again.
const WAIT: Duration = Duration::from_secs(10);
const AGAIN_S: u32 = 30;
/// A receiver that takes nothing for so long is given up, so that others get its place. The system's buffers empty in lumps of a
/// megabyte, for which a slow line takes most of it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes each second below which a receiver uses the patience up: one channel of ISDN.
const SLOWEST: u64 = 8_000;

/// A piece of the table, or `None` after its last: without it a table that was given up would look whole.
type Piece = Option<io::Result<Bytes>>;
type Sender = mpsc::Sender<Piece>;

/// A table's columns and its body.
///
/// # Errors
/// When its first page cannot be read, or no place is free. A later page that cannot ends the connection in the middle of the answer,
/// which no receiver takes for the whole.
pub(super) async fn stream(app: &App, wanted: Wanted) -> Result<(Vec<SeriesKey>, Body), Problem> {
    let permit = place(&SENDING).await?;
    let metrics = Arc::clone(&app.metrics);
    let ((tell, told), (sender, receiver)) = (oneshot::channel(), mpsc::channel(PIECES_AHEAD));
    let runtime = Handle::current();
    // One thread from beginning to end: what it frees, it uses again.
    tokio::task::spawn_blocking(move || {
        let begun = Export::begin(metrics, &wanted).and_then(|mut export| export.next().map(|first| (export, first)));
        match begun {
            Ok((export, first)) => {
                if tell.send(Ok(export.series().to_vec())).is_ok() {
                    send(export, first, &sender, &runtime);
                }
            }
            Err(error) => drop(tell.send(Err(error))),
        }
        drop(permit);
    });
    let columns = told.await.map_err(|gone| Problem::internal(&gone))??;
    Ok((columns, Body::from_stream(pieces(receiver))))
}

/// A place to send from.
async fn place(places: &Semaphore) -> Result<SemaphorePermit<'_>, Problem> {
    match timeout(WAIT, places.acquire()).await {
        Ok(permit) => permit.map_err(|closed| Problem::internal(&closed)),
        Err(_elapsed) => {
            let why = format!("{PLACES} tables are being sent already, and none of them came to its end; try again later");
            Err(Problem { retry_after: Some(AGAIN_S), ..Problem::unavailable(why) })
        }
    }
}

/// What is received, to its end; and an error where it ends without one.
fn pieces(receiver: mpsc::Receiver<Piece>) -> impl Stream<Item = io::Result<Bytes>> {
    let next = async |receiver: Option<mpsc::Receiver<Piece>>| {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Some(piece)) => Some((piece, Some(receiver))),
            Some(None) => None,
            None => Some((Err(io::Error::new(io::ErrorKind::TimedOut, "the table was taken too slowly")), None)),
        }
    };
    // The body may be asked again after its end.
    stream::unfold(Some(receiver), next).fuse()
}

fn send(mut export: Export, first: Option<Vec<u8>>, sender: &Sender, runtime: &Handle) {
    let (mut next, mut patience) = (Ok(first), Patience::new());
    loop {
        let piece = match next {
            Ok(text) => text.map(|text| Ok(text.into())),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a table broke off");
                Some(Err(io::Error::other(error)))
            }
        };
        let is_last = !matches!(piece, Some(Ok(_)));
        if !runtime.block_on(patience.hand_over(piece, sender)) || is_last {
            return;
        }
        next = export.next();
    }
}

/// How long a receiver may still take: waiting uses it up, and what is taken gives of it back.
#[derive(Debug)]
struct Patience {
    left: Duration,
}

impl Patience {
    const fn new() -> Self {
        Self { left: PATIENCE }
    }

    /// After `bytes` that were waited for.
    fn after(&self, waited: Duration, bytes: usize) -> Self {
        let earned = Duration::from_millis(1_000 * bytes as u64 / SLOWEST);
        Self { left: self.left.saturating_sub(waited).saturating_add(earned).min(PATIENCE) }
    }

    /// Hands a piece over; whether it was taken in time.
    async fn hand_over(&mut self, piece: Piece, sender: &Sender) -> bool {
        let bytes = piece.as_ref().and_then(|piece| piece.as_ref().ok()).map_or(0, Bytes::len);
        let begun = Instant::now();
        let is_taken = matches!(timeout(self.left, sender.send(piece)).await, Ok(Ok(())));
        *self = self.after(begun.elapsed(), bytes);
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const PIECE: u32 = 200_000;

    /// A table of so many pieces, taken one in so many seconds; how many were taken, whether it was whole, and how long it took.
    async fn taken(pieces_sent: usize, every_s: f64) -> (usize, bool, u64) {
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        let begun = Instant::now();
        let sending = tokio::spawn(async move {
            let mut patience = Patience::new();
            for _ in 0..pieces_sent {
                if !patience.hand_over(Some(Ok(vec![0; PIECE as usize].into())), &sender).await {
                    return begun.elapsed();
                }
            }
            patience.hand_over(None, &sender).await;
            begun.elapsed()
        });
        let mut body = Box::pin(pieces(receiver));
        let (mut count, mut is_whole) = (0, true);
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) => count += usize::from(piece.len() == PIECE as usize),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    is_whole = false;
                }
            }
            sleep(Duration::from_secs_f64(every_s)).await;
        }
        (count, is_whole, sending.await.expect("no panic").as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_piece_a_minute_loses_its_place_and_learns_that_the_table_is_not_whole() {
        let (count, is_whole, seconds) = taken(1000, 59.0).await;
        assert!(!is_whole && count < 20, "{count} of 1000 pieces");
        assert!(seconds < 600, "the place is free after {seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_loses_its_place() {
        let (count, is_whole, seconds) = taken(1000, 1e6).await;
        assert_eq!((count, is_whole, seconds), (PIECES_AHEAD + 1, false, PATIENCE.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_line_gets_the_whole_table() {
        assert_eq!(taken(1000, f64::from(PIECE) / 50_000.0).await.0, 1000);
        let (count, is_whole, seconds) = taken(300, f64::from(PIECE) / 12_000.0).await;
        assert_eq!((count, is_whole), (300, true));
        assert!(seconds > 4_500, "{seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_all_places_taken_is_told_so() {
        let places = Semaphore::const_new(1);
        let held = place(&places).await.expect("free");
        let refused = place(&places).await.expect_err("taken");
        assert_eq!((refused.status, refused.retry_after), (503, Some(AGAIN_S)));
        drop(held);
        drop(place(&places).await.expect("free again"));
    }
}
