//! A listener of the live connection.

use super::{Inside, PATIENCE, Who};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Listener(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Listener {
    /// Connects, with more headers; the status of the refusal if it is refused.
    pub(crate) async fn connect_with(inside: &Inside, who: &Who, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let url = format!("{}/api/v1/ws", inside.hub.url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().unwrap();
        let credential = match who {
            Who::Nobody => None,
            Who::Bearer(token) => Some(("authorization", format!("Bearer {token}"))),
            Who::Cookie(pair) => Some(("cookie", pair.clone())),
        };
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).chain(credential);
        for (name, value) in headers {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        match timeout(PATIENCE, tokio_tungstenite::connect_async(request)).await.expect("the hub answers") {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error:?}"),
        }
    }

    pub(crate) async fn connect(inside: &Inside, who: &Who) -> Self {
        Self::connect_with(inside, who, &[]).await.expect("a connection")
    }

    /// Sends text as it is.
    pub(crate) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("the connection takes it");
    }

    /// Asks for topics, and for what was missed since `after`.
    pub(crate) async fn subscribe(&mut self, topics: &[&str], after: Option<u64>) {
        let mut wanted = json!({"subscribe": topics});
        if let Some(after) = after {
            wanted["after"] = json!(after);
        }
        self.say(&wanted.to_string()).await;
    }

    /// The next frame; the close code when the connection ends.
    pub(crate) async fn next(&mut self) -> Result<Value, u16> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("the hub says something") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// The next frame of a type, passing over others.
    pub(crate) async fn frame(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await.unwrap_or_else(|code| panic!("closed with {code}, waiting for {kind}"));
            let at = frame["timestamp"].as_str().unwrap_or_else(|| panic!("no time in {frame}"));
            assert!(at.ends_with('Z') && at.len() == 24, "{frame}");
            if frame["type"] == kind {
                return frame["data"].clone();
            }
        }
    }

    /// How the connection ends.
    pub(crate) async fn end(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}
