//! The body of a long table, read while it is being sent: nothing is read before the receiver has taken what came before.

use crate::api::problem::Problem;
use crate::app::App;
use crate::export::{Export, Wanted};
use axum::body::{Body, Bytes};
use futures_util::{StreamExt, stream};
use nightbell_model::SeriesKey;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// How many pages may wait to be sent.
const PAGES_AHEAD: usize = 1;

/// A table's columns and its body.
///
/// # Errors
/// When its first page cannot be read. A later one that cannot ends the connection in the middle of the answer, which no receiver
/// takes for the whole.
pub(super) async fn stream(app: &App, wanted: Wanted) -> Result<(Vec<SeriesKey>, Body), Problem> {
    let metrics = Arc::clone(&app.metrics);
    let begun = tokio::task::spawn_blocking(move || {
        let mut export = Export::begin(metrics, &wanted)?;
        export.next().map(|text| (export, text))
    });
    let (export, first) = begun.await.map_err(|gone| Problem::internal(&gone))??;
    let columns = export.series().to_vec();
    let (sender, receiver) = mpsc::channel(PAGES_AHEAD);
    tokio::spawn(send(export, first, sender));
    // The body may be asked again after its end.
    let pages = stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|page| (page, receiver)));
    Ok((columns, Body::from_stream(pages.fuse())))
}

async fn send(mut export: Export, first: Option<Vec<u8>>, sender: mpsc::Sender<io::Result<Bytes>>) {
    let mut text = first;
    while let Some(page) = text {
        if sender.send(Ok(page.into())).await.is_err() {
            // Nobody wants the rest.
            return;
        }
        let read = tokio::task::spawn_blocking(move || export.next().map(|text| (export, text)));
        match read.await.map_err(io::Error::other).and_then(|read| read.map_err(io::Error::other)) {
            Ok((rest, next)) => (export, text) = (rest, next),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a table broke off");
                let _nobody = sender.send(Err(error)).await;
                return;
            }
        }
    }
}
