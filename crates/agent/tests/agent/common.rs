//! A hub that lives in a test: speaks the protocol over real sockets and does what the test says.

use futures_util::{SinkExt, StreamExt};
use nightbell_agent::{AgentConfig, AgentError};
use nightbell_protocol::{
    Encoding, Envelope, FromAgent, FromHub, Heartbeat, Limits, SchemaMsg, Values, decode_from_agent, encode_from_hub,
};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// Nothing in these tests takes longer, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Hub {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// One agent's connection.
pub(crate) struct Conversation<S = TcpStream> {
    socket: WebSocketStream<S>,
    pub(crate) encoding: Encoding,
    pub(crate) path: String,
    pub(crate) schemas: Vec<SchemaMsg>,
}

impl Hub {
    pub(crate) async fn start() -> Self {
        Self::at(([127, 0, 0, 1], 0).into()).await
    }

    pub(crate) async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub(crate) async fn accept(&self) -> Conversation {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        Conversation::upgrade(stream).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    pub(crate) async fn upgrade(stream: S) -> Self {
        let (mut encoding, mut path) = (None, String::new());
        #[expect(clippy::result_large_err, reason = "the handshake's own type")]
        let look = |request: &Request, mut response: Response| {
            let wanted = request.headers()[SEC_WEBSOCKET_PROTOCOL].clone();
            encoding = Encoding::from_subprotocol(wanted.to_str().unwrap());
            path = request.uri().path().to_owned();
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, wanted);
            Ok::<_, ErrorResponse>(response)
        };
        let socket = within(accept_hdr_async(stream, look)).await.unwrap();
        Self { socket, encoding: encoding.unwrap(), path, schemas: Vec::new() }
    }

    /// The next message; `None` when the agent has closed.
    pub(crate) async fn next(&mut self) -> Option<Envelope<FromAgent>> {
        loop {
            match within(self.socket.next()).await? {
                Ok(Message::Binary(bytes)) => return Some(self.decode(&bytes)),
                Ok(Message::Text(text)) => return Some(self.decode(text.as_bytes())),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    fn decode(&mut self, bytes: &[u8]) -> Envelope<FromAgent> {
        let envelope = decode_from_agent(self.encoding, bytes, &Limits::FRAME).unwrap();
        if let FromAgent::Schema(schema) = &envelope.data {
            self.schemas.push(schema.clone());
        }
        envelope
    }

    /// The next message that carries heartbeats.
    pub(crate) async fn heartbeats(&mut self) -> Vec<Heartbeat> {
        loop {
            match self.next().await.expect("the agent has closed").data {
                FromAgent::Heartbeat(beat) => return vec![beat],
                FromAgent::Heartbeats(beats) => return beats,
                _ => {}
            }
        }
    }

    /// The value of a series in a heartbeat, by the schema it refers to.
    pub(crate) fn value(&self, beat: &Heartbeat, name: &str) -> Option<f64> {
        let Values::Packed { schema, v } = &beat.values else { panic!("not packed: {beat:?}") };
        let schema = self.schemas.iter().rfind(|known| known.id == *schema).expect("the schema comes first");
        assert_eq!(schema.names.len(), v.len());
        let at = schema.names.iter().position(|known| known == name)?;
        Some(nightbell_protocol::unscaled(v[at], schema.decimals[at])).filter(|value| !value.is_nan())
    }

    pub(crate) async fn say(&mut self, message: FromHub, inbox: Option<String>) {
        let bytes = encode_from_hub(self.encoding, &message.answering(inbox)).unwrap();
        let message = match self.encoding {
            Encoding::Cbor => Message::binary(bytes),
            Encoding::Json => Message::text(String::from_utf8(bytes).unwrap()),
        };
        within(self.socket.send(message)).await.unwrap();
    }

    pub(crate) async fn acknowledge(&mut self, beats: &[Heartbeat]) {
        let last = beats.last().unwrap();
        self.say(FromHub::Ack { timestamp: 1_795_000_000_000, boot_id: last.boot_id.clone(), seq: last.seq }, None).await;
    }

    /// Answers the introduction: a registration with a credential, a credential with a welcome.
    pub(crate) async fn welcome(&mut self) -> FromAgent {
        let Envelope { data, reply, .. } = self.next().await.unwrap();
        let answer = match &data {
            FromAgent::Register(_) => {
                FromHub::Registered { agent_id: ID.to_owned(), credential: "nb_agent_secret".to_owned(), interval_s: None }
            }
            FromAgent::Auth(_) => FromHub::AuthOk { agent_id: ID.to_owned(), interval_s: 1.0, server_time: 1_795_000_000_000 },
            other => panic!("no introduction: {other:?}"),
        };
        self.say(answer, reply).await;
        data
    }

    /// Answers the introduction with an error.
    pub(crate) async fn refuse(&mut self, code: &str) -> FromAgent {
        let Envelope { data, reply, .. } = self.next().await.unwrap();
        self.say(FromHub::error(code, "no", reply), None).await;
        data
    }

    pub(crate) async fn close(mut self) {
        let _gone = self.socket.close(None).await;
    }
}

pub(crate) const ID: &str = "01JD8Y3W5M2K7Q9R4T6V8X0ZAB";

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened for 30 s")
}

/// An agent in a task of its own.
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<Result<(), AgentError>>,
}

pub(crate) fn config(hub: &str, state: &Path, token: Option<&str>) -> AgentConfig {
    AgentConfig {
        hub: hub.to_owned(),
        token: token.map(str::to_owned),
        state: state.to_owned(),
        interval: Duration::from_secs(1),
        reconnect_max: Duration::from_secs(1),
        install_signal_handlers: false,
        ..AgentConfig::default()
    }
}

pub(crate) fn run(config: AgentConfig) -> Running {
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(nightbell_agent::run(config, async { drop(stopped.await) }));
    Running { stop: Some(stop), task }
}

impl Running {
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn ended(self) -> Result<(), AgentError> {
        within(self.task).await.unwrap()
    }
}
