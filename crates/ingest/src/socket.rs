//! The WebSocket itself: the upgrade, reading and writing, deadlines, closing.

use crate::post::remote;
use crate::problem::Problem;
use crate::router::Shared;
use crate::session::{Session, close};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use futures_util::SinkExt as _;
use nightbell_protocol::{Encoding, Envelope, FromHub, SUBPROTOCOL_CBOR, SUBPROTOCOL_JSON, encode_from_hub};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// Read and write buffers of one connection: ten thousand idle ones must stay small. A read buffer grows to twice this.
const BUFFER: usize = 1 << 10;
/// A message up to here is read and refused by name if it is over the limit of 1 MiB; beyond it the connection is closed at the
/// message's header.
const HARD_LIMIT: usize = (2 << 20) + (256 << 10);
/// How long a write may take: an agent that does not read its answers is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the other side may take to close after it was told to.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest reason a close frame holds (RFC 6455, section 5.5).
const MAX_REASON: usize = 123;

/// `GET /agents/connect`.
pub(crate) async fn connect(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let remote = remote(&request);
    let (mut parts, _body) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &shared).await;
    let upgrade = upgrade.map_err(|rejection| Problem::new(rejection.status(), "not_a_websocket", rejection.body_text()))?;
    let upgrade = upgrade
        .protocols([SUBPROTOCOL_CBOR, SUBPROTOCOL_JSON])
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(HARD_LIMIT)
        .max_frame_size(HARD_LIMIT);
    let offered = parts.headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL);
    let selected = upgrade.selected_protocol().and_then(|name| Encoding::from_subprotocol(name.to_str().ok()?));
    let encoding = match selected {
        Some(encoding) => encoding,
        // Whoever names no subprotocol speaks the one that can be read by eye.
        None if !offered => Encoding::Json,
        None => {
            let detail = format!("the subprotocols are {SUBPROTOCOL_CBOR} and {SUBPROTOCOL_JSON}");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "unsupported_subprotocol", detail));
        }
    };
    Ok(upgrade.on_upgrade(move |socket| serve(socket, Session::new(shared, encoding, remote), encoding)))
}

/// What ended the reading.
enum Read {
    Frame,
    Closed,
    Lost,
}

async fn serve(mut socket: WebSocket, mut session: Session, encoding: Encoding) {
    let mailbox = session.mailbox();
    loop {
        let mut read = Read::Frame;
        tokio::select! {
            biased;
            mail = mailbox.take() => session.mail(mail),
            message = socket.recv(), if session.reads() => read = take(&mut session, message).await,
            () = sleep_until(session.deadline()) => session.tick(Instant::now()),
        }
        let over = match read {
            Read::Frame => !write(&mut socket, encoding, &mut session.out).await,
            Read::Closed | Read::Lost => true,
        };
        if over {
            return session.finish(matches!(read, Read::Closed));
        }
        if let Some((code, reason)) = session.end.take() {
            shut(&mut socket, code, &reason).await;
            return session.finish(false);
        }
    }
}

async fn take(session: &mut Session, message: Option<Result<Message, axum::Error>>) -> Read {
    match message {
        Some(Ok(Message::Text(text))) => session.frame(text.as_bytes()).await,
        Some(Ok(Message::Binary(bytes))) => session.frame(&bytes).await,
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => session.alive(),
        Some(Ok(Message::Close(_))) => return Read::Closed,
        Some(Err(error)) => {
            let text = error.to_string();
            if !text.contains("too long") && !text.contains("too big") && !text.contains("UTF-8") {
                return Read::Lost;
            }
            let (code, name) =
                if text.contains("UTF-8") { (close::INVALID, "malformed") } else { (close::TOO_LARGE, "too_large") };
            session.out.push(FromHub::error(name, text.clone(), None).into());
            session.end = Some((code, text));
        }
        None => return Read::Lost,
    }
    Read::Frame
}

/// Sends what is to be said; whether the connection still lives.
async fn write(socket: &mut WebSocket, encoding: Encoding, out: &mut Vec<Envelope<FromHub>>) -> bool {
    if out.is_empty() {
        return true;
    }
    let writing = async {
        for envelope in out.drain(..) {
            let Some(message) = encoded(encoding, &envelope) else { continue };
            socket.feed(message).await?;
        }
        socket.flush().await
    };
    matches!(timeout(WRITE_TIMEOUT, writing).await, Ok(Ok(())))
}

fn encoded(encoding: Encoding, envelope: &Envelope<FromHub>) -> Option<Message> {
    let bytes = match encode_from_hub(encoding, envelope) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, subject = envelope.subject, "a message to an agent cannot be written");
            return None;
        }
    };
    match encoding {
        Encoding::Cbor => Some(Message::Binary(bytes.into())),
        Encoding::Json => String::from_utf8(bytes).ok().map(|text| Message::Text(text.into())),
    }
}

/// Closes and waits a little for the other side to do so: what it still sends is read over, or it could lose our last words.
async fn shut(socket: &mut WebSocket, code: u16, reason: &str) {
    let end = (0..=reason.len().min(MAX_REASON)).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
    let frame = CloseFrame { code, reason: reason[..end].into() };
    let closing = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    // Whether it answered or not, the connection ends here.
    let _late = timeout(CLOSE_TIMEOUT, closing).await;
}
