//! One WebSocket to the hub, from the handshake to its end.

use super::dial::Stream;
use super::{Ended, Event, Link, Order, Up, encode, may_pass};
use crate::AgentError;
use crate::clock::{self, Moment};
use futures_util::{SinkExt, StreamExt};
use nightbell_protocol::{Encoding, Envelope, FromAgent, FromHub, Limits, Stopping, decode_from_hub, encode_from_agent, subject};
use std::net::IpAddr;
use std::time::Duration;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The hub has this long to answer the upgrade, and again to answer the introduction.
const PATIENCE: Duration = Duration::from_secs(10);
/// A frame that cannot be handed to the network for this long means that the other end is gone.
const STUCK: Duration = Duration::from_secs(30);
/// How long to wait for the hub's half of the closing handshake.
const GOODBYE: Duration = Duration::from_millis(300);
/// Buffers at rest: the defaults are 128 KiB each.
const BUFFER: usize = 4 << 10;

/// An open connection and what was said on it.
struct Open {
    socket: WebSocketStream<Box<dyn Stream>>,
    encoding: Encoding,
    /// The names the hub knows on this connection, by id.
    schema: Option<u32>,
}

/// Connects, introduces the agent and carries orders and answers until the connection ends.
pub(super) async fn session(link: &mut Link) -> Ended {
    match open(link).await {
        Err(ended) => ended,
        Ok((mut open, up)) => match link.up(up).await {
            Some(ended) => ended,
            None => serve(link, &mut open).await,
        },
    }
}

async fn open(link: &mut Link) -> Result<(Open, Up), Ended> {
    let dialed = link.dialer.dial().await.map_err(Ended::lost)?;
    let encoding = link.config.encoding;
    let mut request = link.endpoint.websocket().into_client_request().map_err(Ended::lost)?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(encoding.subprotocol()));
    let limits = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(4 * Limits::FRAME.bytes)
        .max_message_size(Some(Limits::FRAME.bytes))
        .max_frame_size(Some(Limits::FRAME.bytes));
    let upgrade = tokio::time::timeout(PATIENCE, client_async_with_config(request, dialed.stream, Some(limits))).await;
    let (socket, _response) =
        upgrade.map_err(|_elapsed| Ended::lost("the hub does not answer"))?.map_err(|error| not_upgraded(&error))?;
    let mut open = Open { socket, encoding, schema: None };
    let local = dialed.local.map(|address| address.ip());
    let (agent_id, clock_offset_ms) = introduce(link, &mut open, local).await?;
    Ok((open, Up { agent_id, local, peer: dialed.peer, clock_offset_ms }))
}

/// Says who we are; gives our id and, if the hub told its time, by how much ours is ahead.
async fn introduce(link: &mut Link, open: &mut Open, local: Option<IpAddr>) -> Result<(String, Option<i64>), Ended> {
    let credential = link.credential().map_err(Ended::Fatal)?;
    let (message, known) = match (&credential, &link.config.token) {
        (Some(credential), _) => (FromAgent::Auth(link.auth(credential, local)), true),
        (None, Some(token)) => (FromAgent::Register(link.register(token, local)), false),
        (None, None) => return Err(Ended::lost("there is neither a credential nor a token")),
    };
    let inbox = format!("{}{:016x}", subject::INBOX_PREFIX, super::chance());
    let asked_ms = clock::wall_ms();
    open.send(Envelope::from(message).expecting(&*inbox)).await?;
    let answer = tokio::time::timeout(PATIENCE, open.answer(&inbox)).await;
    match answer.map_err(|_elapsed| Ended::lost("the hub does not answer the introduction"))?? {
        FromHub::AuthOk { agent_id, server_time, .. } => {
            let between = asked_ms + (clock::wall_ms() - asked_ms) / 2;
            Ok((agent_id, (server_time > 0).then(|| between.saturating_sub(server_time))))
        }
        FromHub::Registered { agent_id, credential, .. } => {
            link.keep(agent_id.clone(), credential).map_err(Ended::Fatal)?;
            Ok((agent_id, None))
        }
        FromHub::Error { code, message, .. } if may_pass(&code) => Err(Ended::lost(format!("{code}: {message}"))),
        FromHub::Error { code, message, .. } if known || link.known => Err(Ended::Refused { code, message }),
        FromHub::Error { code, message, .. } => Err(Ended::Fatal(AgentError::Enrolment { code, message })),
        FromHub::Slow { retry_after_ms } => {
            Err(Ended::Lost { why: "the hub is busy".to_owned(), retry_after: Some(Duration::from_millis(retry_after_ms)) })
        }
        _ => Err(Ended::lost("the hub answers the introduction with something else")),
    }
}

async fn serve(link: &mut Link, open: &mut Open) -> Ended {
    loop {
        tokio::select! {
            order = link.orders.recv() => match order {
                None | Some(Order::Stop) => return open.leave().await,
                Some(Order::HangUp) => return Ended::lost("the hub owes an acknowledgement and says nothing"),
                Some(order) => {
                    if let Err(ended) = carry_out(link, open, order).await {
                        return ended;
                    }
                }
            },
            message = open.socket.next() => match open.read(message) {
                Ok(Some(said)) => report(link, open, said).await,
                Ok(None) => link.tell(Event::Heard).await,
                Err(ended) => return ended,
            },
        }
    }
}

async fn carry_out(link: &Link, open: &mut Open, order: Order) -> Result<(), Ended> {
    match order {
        Order::Beats(_) if link.is_quiet() => {}
        Order::Beats(parcel) => {
            if !parcel.names.keys.is_empty() && open.schema != Some(parcel.names.id) {
                open.send(encode::schema(&parcel.names).into()).await?;
                open.schema = Some(parcel.names.id);
            }
            let single = parcel.beats.len() == 1;
            let message = encode::packed(&parcel, &link.boot_id, Moment::now());
            let bytes = open.send(message.into()).await?;
            if single {
                link.tell(Event::Sent(bytes)).await;
            }
        }
        Order::Describe(about) => drop(open.send(FromAgent::Facts(link.facts(&about)).into()).await?),
        Order::Top(top) => drop(open.send(encode::top(&top, Moment::now()).into()).await?),
        Order::HangUp | Order::Stop => {}
    }
    Ok(())
}

async fn report(link: &mut Link, open: &mut Open, said: FromHub) {
    let event = match said {
        FromHub::Ack { timestamp, boot_id, seq } => {
            let clock_offset_ms = (timestamp > 0).then(|| clock::wall_ms().saturating_sub(timestamp));
            Event::Acknowledged { boot_id, seq, clock_offset_ms }
        }
        FromHub::Slow { retry_after_ms } => return link.slow_down(retry_after_ms).await,
        FromHub::TopRequest => Event::TopRequested,
        FromHub::Error { code, message, seq, .. } => {
            tracing::warn!(code, message, seq, "the hub refused something");
            if code.contains("schema") {
                open.schema = None;
            }
            Event::Heard
        }
        FromHub::Registered { .. } | FromHub::AuthOk { .. } | FromHub::Unknown { .. } => Event::Heard,
    };
    link.tell(event).await;
}

impl Open {
    async fn send(&mut self, envelope: Envelope<FromAgent>) -> Result<u64, Ended> {
        let bytes = encode_from_agent(self.encoding, &envelope).map_err(Ended::lost)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let message = match self.encoding {
            Encoding::Cbor => Message::binary(bytes),
            Encoding::Json => Message::text(String::from_utf8(bytes).map_err(Ended::lost)?),
        };
        match tokio::time::timeout(STUCK, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(length),
            Ok(Err(error)) => Err(Ended::lost(error)),
            Err(_elapsed) => Err(Ended::lost("the hub takes nothing any more")),
        }
    }

    /// What a message of the socket says; nothing if it is a ping or cannot be understood.
    fn read(&self, message: Option<Result<Message, Error>>) -> Result<Option<FromHub>, Ended> {
        let message = message.ok_or_else(|| Ended::lost("the hub closed the connection"))?.map_err(Ended::lost)?;
        let bytes: &[u8] = match &message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
            Message::Close(frame) => {
                let why = frame.as_ref().map(|frame| frame.reason.to_string()).unwrap_or_default();
                return Err(Ended::lost(format!("the hub closed the connection ({why})")));
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(None),
        };
        match decode_from_hub(self.encoding, bytes, &Limits::FRAME) {
            Ok(envelope) => Ok(Some(envelope.data)),
            Err(error) => {
                tracing::warn!(%error, "the hub said something that cannot be understood");
                Ok(None)
            }
        }
    }

    /// The answer to the introduction, by its inbox; an error may come under its own subject.
    async fn answer(&mut self, inbox: &str) -> Result<FromHub, Ended> {
        loop {
            let message = self.socket.next().await;
            let answers = matches!(&message, Some(Ok(Message::Text(_) | Message::Binary(_))));
            if let Some(said) = self.read(message)? {
                return Ok(said);
            }
            if answers {
                return Err(Ended::lost(format!("the answer to {inbox} cannot be understood")));
            }
        }
    }

    /// Says that the agent stops on purpose, and closes.
    async fn leave(&mut self) -> Ended {
        let stopping = FromAgent::Stopping(Stopping { on_purpose: true });
        if self.send(stopping.into()).await.is_ok() && self.socket.close(None).await.is_ok() {
            let closed = async { while let Some(Ok(_)) = self.socket.next().await {} };
            let _impatient = tokio::time::timeout(GOODBYE, closed).await;
        }
        Ended::Stopped
    }
}

fn not_upgraded(error: &Error) -> Ended {
    let Error::Http(response) = error else { return Ended::lost(error) };
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let why = format!("the hub answers {} to the WebSocket; is the URL right?", response.status());
    Ended::Lost { why, retry_after: seconds.map(Duration::from_secs) }
}
