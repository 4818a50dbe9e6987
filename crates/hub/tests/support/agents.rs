//! Agents of other makes: one that knows nothing but the JSON of the documentation over a WebSocket, and one that posts.

use super::api::http;
use super::now_ms;
use super::wait::PATIENCE;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::io::Write as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// An open WebSocket.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a connection to a hub's agents' endpoint with a subprotocol.
pub(crate) async fn dial(root: &str, subprotocol: &str) -> Result<Socket, Error> {
    let url = format!("{}/api/v1/agents/connect", root.replacen("http", "ws", 1));
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", subprotocol.parse().unwrap());
    let dialed = timeout(PATIENCE, tokio_tungstenite::connect_async(request)).await.expect("the hub answers");
    dialed.map(|(socket, _)| socket)
}

/// Who an agent is at its hub.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) credential: String,
}

/// An agent that speaks JSON over a WebSocket.
#[derive(Debug)]
pub(crate) struct JsonAgent {
    pub(crate) identity: Identity,
    pub(crate) boot: String,
    /// The number of the last heartbeat.
    pub(crate) seq: u64,
    socket: Socket,
    inbox: u32,
}

/// What the hub said last on a connection.
#[derive(Debug)]
pub(crate) enum Heard {
    Message(Value),
    Closed(Option<CloseFrame>),
}

impl JsonAgent {
    /// Connects without saying who it is.
    pub(crate) async fn stranger(root: &str) -> Self {
        let socket = dial(root, "nightbell.v1.json").await.expect("a connection");
        let identity = Identity { id: String::new(), credential: String::new() };
        Self { identity, boot: format!("boot-{:x}", now_ms()), seq: 0, socket, inbox: 0 }
    }

    /// Enrols under a name.
    pub(crate) async fn enrol(root: &str, token: &str, name: &str, interval_ms: u64) -> Self {
        let mut agent = Self::stranger(root).await;
        let data = json!({"token": token, "name": name, "interval_ms": interval_ms});
        let answer = agent.ask("agent.register", &data).await;
        let text = |field: &str| answer[field].as_str().unwrap_or_else(|| panic!("no {field} in {answer}")).to_owned();
        agent.identity = Identity { id: text("agent_id"), credential: text("credential") };
        agent
    }

    /// Comes back with the credential it has; `boot` and `seq` go on.
    pub(crate) async fn back(root: &str, identity: &Identity, boot: &str, seq: u64) -> Self {
        let mut agent = Self::stranger(root).await;
        (agent.identity, agent.boot, agent.seq) = (identity.clone(), boot.to_owned(), seq);
        let data = json!({"agent_id": identity.id, "credential": identity.credential});
        let answer = agent.ask("agent.auth", &data).await;
        assert_eq!((&answer["ok"], answer["agent_id"].as_str()), (&json!(true), Some(&*identity.id)), "{answer}");
        assert!(answer["interval_s"].is_number() && answer["server_time"].is_i64(), "{answer}");
        agent
    }

    /// The same agent on a new connection.
    pub(crate) async fn reconnect(self, root: &str) -> Self {
        Self::back(root, &self.identity, &self.boot, self.seq).await
    }

    /// Sends text as it is.
    pub(crate) async fn say_raw(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.expect("the connection takes it");
    }

    /// Sends a message.
    pub(crate) async fn say(&mut self, subject: &str, data: &Value) {
        self.say_raw(json!({"subject": subject, "data": data}).to_string()).await;
    }

    /// Sends a message and waits for what comes to its inbox.
    pub(crate) async fn ask(&mut self, subject: &str, data: &Value) -> Value {
        self.inbox += 1;
        let inbox = format!("_INBOX.{}", self.inbox);
        self.say_raw(json!({"subject": subject, "reply": inbox, "data": data}).to_string()).await;
        loop {
            let message = self.hear().await;
            if message["subject"] == *inbox {
                return message["data"].clone();
            }
            assert_ne!(message["subject"], "error", "{subject}: {message}");
        }
    }

    /// The next message or the end of the connection.
    pub(crate) async fn listen(&mut self) -> Heard {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("the hub says something") {
                Some(Ok(Message::Text(text))) => return Heard::Message(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(frame))) => return Heard::Closed(frame),
                Some(Ok(Message::Binary(bytes))) => panic!("{} bytes of binary on a JSON connection", bytes.len()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Closed(None),
            }
        }
    }

    /// The next message, which has to come.
    pub(crate) async fn hear(&mut self) -> Value {
        match self.listen().await {
            Heard::Message(message) => message,
            Heard::Closed(frame) => panic!("the hub closed the connection: {frame:?}"),
        }
    }

    /// The next error, passing over acknowledgements.
    pub(crate) async fn error(&mut self) -> Value {
        loop {
            let message = self.hear().await;
            if message["subject"] == "error" {
                return message["data"].clone();
            }
        }
    }

    /// Sends the next heartbeat with these values, measured now, without waiting.
    pub(crate) async fn send(&mut self, metrics: &Value) -> u64 {
        self.send_with(metrics, &json!({"age_ms": 0})).await
    }

    /// Sends the next heartbeat with more fields (`age_ms`, `timestamp`), without waiting.
    pub(crate) async fn send_with(&mut self, metrics: &Value, fields: &Value) -> u64 {
        self.seq += 1;
        let mut data = json!({"boot_id": self.boot, "seq": self.seq, "metrics": metrics});
        data.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.say("agent.heartbeat", &data).await;
        self.seq
    }

    /// Waits until everything up to `seq` is durable. An error on the way is one too many.
    pub(crate) async fn acknowledged(&mut self, seq: u64) {
        loop {
            let message = self.hear().await;
            assert_ne!(message["subject"], "error", "{message}");
            if message["subject"] == "agent.heartbeat.ack" && message["data"]["boot_id"] == *self.boot {
                assert!(message["data"]["timestamp"].is_i64(), "{message}");
                if message["data"]["seq"].as_u64().is_some_and(|acked| acked >= seq) {
                    return;
                }
            }
        }
    }

    /// One heartbeat, measured now, until it is durable.
    pub(crate) async fn beat(&mut self, metrics: &Value) {
        let seq = self.send(metrics).await;
        self.acknowledged(seq).await;
    }

    /// One heartbeat, measured so many milliseconds ago, until it is durable.
    pub(crate) async fn beat_ago(&mut self, metrics: &Value, age_ms: i64) {
        let seq = self.send_with(metrics, &json!({"age_ms": age_ms})).await;
        self.acknowledged(seq).await;
    }

    /// Says goodbye.
    pub(crate) async fn leave(mut self) {
        let _gone = self.socket.close(None).await;
        while let Heard::Message(_) = self.listen().await {}
    }

    /// Both halves, for those who send and listen at once.
    pub(crate) fn into_socket(self) -> Socket {
        self.socket
    }
}

/// An agent that posts.
#[derive(Debug, Clone)]
pub(crate) struct HttpAgent {
    pub(crate) identity: Identity,
    http: reqwest::Client,
    root: String,
}

impl HttpAgent {
    /// Enrols a host.
    pub(crate) async fn enrol(root: &str, token: &str, hostname: &str) -> Self {
        let node = json!({"hostname": hostname, "ip": "192.0.2.7", "role": "web", "version": "9.9"});
        let client = http();
        let response = client.post(format!("{root}/api/v1/nodes")).bearer_auth(token).json(&node).send().await.unwrap();
        let (status, answer) = (response.status().as_u16(), response.json::<Value>().await.unwrap());
        assert_eq!(status, 200, "{answer}");
        let text = |field: &str| answer[field].as_str().unwrap_or_else(|| panic!("no {field} in {answer}")).to_owned();
        Self { identity: Identity { id: text("node_id"), credential: text("credential") }, http: client, root: root.to_owned() }
    }

    /// Says how often it will send heartbeats: it stays online for three times as long without any.
    pub(crate) async fn promise(&self, interval_ms: u64) {
        let url = format!("{}/api/v1/nodes", self.root);
        let request = self.http.post(url).bearer_auth(&self.identity.credential).json(&json!({"interval_ms": interval_ms}));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }

    /// Posts bytes as they are.
    pub(crate) async fn post_bytes(&self, bytes: Vec<u8>, encoding: Option<&str>) -> (u16, Option<String>, Value) {
        let url = format!("{}/api/v1/metrics/system", self.root);
        let mut request = self.http.post(url).bearer_auth(&self.identity.credential).header("content-type", "application/json");
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        let response = request.body(bytes).send().await.unwrap_or_else(|error| panic!("{error:?}"));
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let bytes = response.bytes().await.unwrap_or_default();
        (status, retry_after, serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))))
    }

    /// Posts a body.
    pub(crate) async fn post(&self, body: &Value) -> (u16, Value) {
        let (status, _, answer) = self.post_bytes(body.to_string().into_bytes(), None).await;
        (status, answer)
    }

    /// Posts a body to a hub that may be away: the answer if it was taken.
    pub(crate) async fn try_post(&self, body: &Value) -> Option<Value> {
        let url = format!("{}/api/v1/metrics/system", self.root);
        let response = self.http.post(url).bearer_auth(&self.identity.credential).json(body).send().await.ok()?;
        if response.status() != 200 {
            return None;
        }
        response.json().await.ok()
    }

    /// Posts a compressed body.
    pub(crate) async fn post_gzip(&self, body: &Value) -> (u16, Value) {
        let (status, _, answer) = self.post_bytes(gzip(body.to_string().as_bytes()), Some("gzip")).await;
        (status, answer)
    }
}

/// Compresses.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
