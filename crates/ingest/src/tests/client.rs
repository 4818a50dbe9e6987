//! The other side of the sockets: a WebSocket client that speaks JSON or CBOR, and a plain HTTP client.

use futures_util::{SinkExt as _, StreamExt as _};
use nightbell_protocol::{Encoding, Envelope, FromAgent, FromHub, Limits, decode_from_hub, encode_from_agent};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) struct Ws(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Ws {
    /// Connects with this subprotocol, if any; gives the one the hub chose.
    pub(crate) async fn dial(address: SocketAddr, subprotocol: Option<&str>) -> Result<(Self, Option<String>), Error> {
        let mut request = format!("ws://{address}/agents/connect").into_client_request()?;
        if let Some(name) = subprotocol {
            request.headers_mut().insert("sec-websocket-protocol", name.parse().expect("a header value"));
        }
        let (stream, response) = connect_async(request).await?;
        let chosen = response.headers().get("sec-websocket-protocol").map(|name| name.to_str().expect("text").to_owned());
        Ok((Self(stream), chosen))
    }

    pub(crate) async fn json(address: SocketAddr) -> Self {
        Self::dial(address, Some("nightbell.v1.json")).await.expect("connects").0
    }

    /// A JSON connection whose agent is authenticated.
    pub(crate) async fn authenticated(address: SocketAddr) -> Self {
        let mut ws = Self::json(address).await;
        ws.say(&format!(r#"{{"subject":"agent.auth","reply":"_INBOX.a","data":{{"credential":"{}"}}}}"#, super::hub::CREDENTIAL))
            .await;
        assert_eq!(ws.hear().await["data"]["ok"], Value::Bool(true));
        ws
    }

    pub(crate) async fn send(&mut self, message: Message) -> Result<(), Error> {
        self.0.send(message).await
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await.expect("is sent");
    }

    pub(crate) async fn say_cbor(&mut self, message: FromAgent) {
        let bytes = encode_from_agent(Encoding::Cbor, &message.into()).expect("encodes");
        self.send(Message::binary(bytes)).await.expect("is sent");
    }

    pub(crate) async fn hear_cbor(&mut self) -> Envelope<FromHub> {
        match self.0.next().await.expect("a message").expect("no error") {
            Message::Binary(bytes) => decode_from_hub(Encoding::Cbor, &bytes, &Limits::FRAME).expect("decodes"),
            other => panic!("not binary: {other:?}"),
        }
    }

    /// The next message as JSON; a close as `{"closed": code}`, the end of the connection as null.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("JSON"),
                Some(Ok(Message::Close(frame))) => return serde_json::json!({"closed": frame.map(|frame| u16::from(frame.code))}),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("not text: {other:?}"),
                Some(Err(_)) | None => return Value::Null,
            }
        }
    }

    /// The subject of the next message and its most telling fields: `error wrong_agent seq=3`, `agent.heartbeat.ack boot=a seq=7`.
    pub(crate) async fn brief(&mut self) -> String {
        let message = self.hear().await;
        let data = &message["data"];
        let mut brief = message["subject"].as_str().unwrap_or("?").to_owned();
        for (label, field) in
            [("", "code"), ("boot=", "boot_id"), ("seq=", "seq"), ("reply=", "reply"), ("ms=", "retry_after_ms")]
        {
            match &data[field] {
                Value::String(text) => brief += &format!(" {label}{text}"),
                Value::Number(number) => brief += &format!(" {label}{number}"),
                _ => {}
            }
        }
        if message["closed"].is_null() { brief } else { format!("closed {}", message["closed"]) }
    }

    pub(crate) async fn close(mut self) {
        self.0.close(None).await.expect("closes");
        while let Some(Ok(_)) = self.0.next().await {}
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// One request over a fresh connection. A body is sent with its length; the head may carry more headers, each with `\r\n`.
pub(crate) async fn post(address: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Answered {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.expect("is sent");
    // The hub may answer and close before it has read the whole body.
    let _early = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8(answer).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answered { status, head: head.to_ascii_lowercase(), body: serde_json::from_str(body).unwrap_or(Value::Null) }
}

/// The header of a credential or token.
pub(crate) fn bearer(credential: &str) -> String {
    format!("authorization: Bearer {credential}\r\n")
}
