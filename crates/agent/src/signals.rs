//! The end of the agent, whoever wants it: its program's caller, or the system by SIGTERM and SIGINT.

use crate::error::AgentError;
use std::future::Future;
use tokio::signal::unix::{SignalKind, signal};

/// Done when `stop` is, or at SIGTERM or SIGINT if those are ours.
pub(crate) fn stop_or_signal(stop: impl Future<Output = ()>, signals: bool) -> Result<impl Future<Output = ()>, AgentError> {
    let listen = |kind| signal(kind).map_err(|source| AgentError::System { action: "listen for signals", source });
    let mut heard = if signals { Some((listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?)) } else { None };
    Ok(async move {
        let signalled = async {
            match &mut heard {
                Some((terminate, interrupt)) => tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop => {}
            () = signalled => {}
        }
    })
}
