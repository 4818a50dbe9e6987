//! Real HTTP servers on loopback that stand for receivers: they keep what they are sent and answer as a test says.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use url::Url;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// One part of a multipart body: its name, its file's name, its type, its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The parts of a body of type `multipart/form-data` (RFC 7578), empty if it is of another type.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let kind = &self.headers["content-type"];
        let Some(boundary) = kind.strip_prefix("multipart/form-data; boundary=") else { return Vec::new() };
        let delimiter = format!("--{boundary}").into_bytes();
        let mut parts = Vec::new();
        let mut rest = &self.body[find(&self.body, &delimiter).unwrap() + delimiter.len()..];
        while rest.starts_with(b"\r\n") {
            let end = find(rest, &delimiter).unwrap();
            let part = &rest[2..end - 2];
            let head_end = find(part, b"\r\n\r\n").unwrap();
            parts.push(Part::read(std::str::from_utf8(&part[..head_end]).unwrap(), &part[head_end + 4..]));
            rest = &rest[end + delimiter.len()..];
        }
        assert_eq!(rest, b"--\r\n");
        parts
    }
}

impl Part {
    fn read(head: &str, bytes: &[u8]) -> Self {
        let parameter = |name: &str| {
            let start = head.find(&format!("; {name}=\""))? + name.len() + 4;
            Some(head[start..].split('"').next()?.to_owned())
        };
        let content_type = head.lines().find_map(|line| line.strip_prefix("Content-Type: ").map(str::to_owned));
        Self { name: parameter("name").unwrap(), file_name: parameter("filename"), content_type, bytes: bytes.to_vec() }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn of(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.to_owned() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Double {
    /// Its root.
    pub(crate) url: Url,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Double {
    /// A server that asks `answer` for every reply.
    pub(crate) async fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&received), Arc::new(answer));
        let router = axum::Router::new().fallback(move |request: Request| {
            let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
            async move {
                let request = read(request).await;
                let reply = answer(&request);
                kept.lock().unwrap().push(request);
                let mut response = Response::builder().status(reply.status);
                for (name, value) in reply.headers {
                    response = response.header(name, value);
                }
                response.body(Body::from(reply.body)).unwrap()
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, received }
    }

    /// A server that always answers the same.
    pub(crate) async fn answering(reply: Reply) -> Self {
        Self::start(move |_request| reply.clone()).await
    }

    /// The address of `path` there.
    pub(crate) fn at(&self, path: &str) -> String {
        self.url.join(path).unwrap().to_string()
    }

    /// What it was sent so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The only request it was sent.
    pub(crate) fn only(&self) -> Received {
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:?}");
        received.into_iter().next().unwrap()
    }
}

async fn read(request: Request) -> Received {
    let (parts, body) = request.into_parts();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    Received {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers,
        body: axum::body::to_bytes(body, 16 << 20).await.unwrap().to_vec(),
    }
}

/// How a server below HTTP misbehaves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rude {
    /// It reads and never answers.
    Hangs,
    /// It reads and cuts the connection.
    Resets,
}

/// Starts a server that misbehaves, and says where.
pub(crate) async fn rude(how: Rude) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 64 * 1024];
            let _ = stream.read(&mut buffer).await;
            match how {
                Rude::Hangs => open.push(stream),
                Rude::Resets => stream.set_zero_linger().unwrap(),
            }
        }
    });
    url
}
