//! The body of a long table, read while it is being sent: nothing is read before the receiver has taken what came before.

use crate::api::problem::Problem;
use crate::app::App;
use crate::export::{Export, Wanted};
use axum::body::{Body, Bytes};
use futures_util::{StreamExt, stream};
use nightbell_model::SeriesKey;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// How many pieces may wait to be sent.
const PIECES_AHEAD: usize = 2;
/// How many tables are sent at once: each keeps a thread and a page of history.
static SENDING: Semaphore = Semaphore::const_new(8);
/// A receiver that takes nothing for so long is given up, so that others get its place.
const PATIENCE: Duration = Duration::from_secs(60);

type Sender = mpsc::Sender<io::Result<Bytes>>;

/// A table's columns and its body.
///
/// # Errors
/// When its first page cannot be read. A later one that cannot ends the connection in the middle of the answer, which no receiver
/// takes for the whole.
pub(super) async fn stream(app: &App, wanted: Wanted) -> Result<(Vec<SeriesKey>, Body), Problem> {
    let permit = SENDING.acquire().await.map_err(|closed| Problem::internal(&closed))?;
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
    // The body may be asked again after its end.
    let pieces =
        stream::unfold(receiver, async |mut receiver: mpsc::Receiver<_>| receiver.recv().await.map(|piece| (piece, receiver)));
    Ok((columns, Body::from_stream(pieces.fuse())))
}

fn send(mut export: Export, first: Option<Vec<u8>>, sender: &Sender, runtime: &Handle) {
    let mut next = Ok(first);
    loop {
        let piece = match next {
            Ok(None) => return,
            Ok(Some(text)) => Ok(text.into()),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a table broke off");
                Err(io::Error::other(error))
            }
        };
        let is_last = piece.is_err();
        let is_taken = runtime.block_on(tokio::time::timeout(PATIENCE, sender.send(piece)));
        if is_last || !matches!(is_taken, Ok(Ok(()))) {
            return;
        }
        next = export.next();
    }
}
