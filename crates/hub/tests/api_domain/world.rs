//! A hub inside the test's process, a script that asks it, an agent that posts to it, and a receiver of its pages.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use nightbell::clock;
use nightbell::config::{Config, Sources};
use nightbell::operations::{self, Operation};
use nightbell::wiring::Hub;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take on a slow machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running hub and a client with an admin's token.
pub(crate) struct World {
    pub(crate) hub: Hub,
    http: reqwest::Client,
    token: String,
    _folder: TempDir,
}

/// An answer: status, headers, bytes.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }

    /// The pointers of a problem's faults.
    pub(crate) fn pointers(&self) -> Vec<String> {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        problem["errors"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap().to_owned()).collect()
    }
}

impl World {
    /// A new hub on an empty folder.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut sources = Sources::default();
        sources.add_flag("data", "--data", Some(folder.path().to_str().unwrap().to_owned()));
        sources.add_flag("listen", "--listen", Some("127.0.0.1:0".to_owned()));
        let hub = Hub::start(Config::from_sources(&sources).unwrap()).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let token = operate(
            &hub,
            &Operation::TokenCreate { name: "test".to_owned(), scopes: vec!["admin".to_owned()], expires_ms: None },
        )
        .await;
        Self { hub, http, token, _folder: folder }
    }

    /// A token with these scopes.
    pub(crate) async fn token(&self, scopes: &[&str]) -> String {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        operate(&self.hub, &Operation::TokenCreate { name: "other".to_owned(), scopes, expires_ms: None }).await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/api/v1{path}", self.hub.url)).bearer_auth(&self.token)
    }

    /// One request with another token.
    pub(crate) async fn as_token(&self, token: &str, method: Method, path: &str) -> Answer {
        send(self.http.request(method, format!("{}/api/v1{path}", self.hub.url)).bearer_auth(token)).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path);
        send(if let Some(body) = body { request.json(&body) } else { request }).await
    }

    async fn fine(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answer = self.ask(method, path, body).await;
        assert!((200..300).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
        if answer.bytes.is_empty() { Value::Null } else { answer.json() }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.fine(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.fine(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.fine(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Value {
        self.fine(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) {
        self.fine(Method::DELETE, path, None).await;
    }

    /// Status and code of a refusal.
    pub(crate) async fn refusal(&self, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
        let answer = self.ask(method, path, body).await;
        (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
    }

    /// Enrols an agent that posts.
    pub(crate) async fn agent(&self, name: &str) -> Poster {
        let token =
            operate(&self.hub, &Operation::EnrollCreate { expires_ms: None, uses: Some(1), tags: vec!["db".to_owned()] }).await;
        let url = format!("{}/api/v1/nodes", self.hub.url);
        let body = json!({"hostname": name, "name": name, "version": "9.9", "facts": {"os": "Testix", "cores": 8}});
        let answer = send(self.http.post(url).bearer_auth(token).json(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = |field: &str| answer.json()[field].as_str().unwrap().to_owned();
        Poster { id: text("node_id"), credential: text("credential"), url: self.hub.url.clone(), http: self.http.clone() }
    }

    /// Looks until there is an answer.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// The only item of a list, once there is one.
    pub(crate) async fn only(&self, path: &str) -> Value {
        self.until(path, async || {
            let mut items = self.get(path).await["items"].as_array().unwrap().clone();
            assert!(items.len() < 2, "{path}: {items:#?}");
            items.pop()
        })
        .await
    }

    /// A webhook channel to a receiver.
    pub(crate) async fn channel(&self, name: &str, url: &str) -> String {
        let body = json!({"name": name, "kind": "webhook", "config": {"url": url, "allow_private": true}});
        self.post("/channels", body).await["id"].as_str().unwrap().to_owned()
    }
}

async fn operate(hub: &Hub, operation: &Operation) -> String {
    let plan = operations::plan(operation, &hub.app.registry.read()).unwrap();
    hub.app.registry.apply(plan.changes, Some(plan.audit)).await.unwrap();
    plan.output
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, bytes: response.bytes().await.unwrap().to_vec() }
}

/// The hub's time, in milliseconds.
pub(crate) fn now_ms() -> i64 {
    clock::now().as_millis()
}

/// Percent-encoding of everything that is not plain.
pub(crate) fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// An agent that posts heartbeats.
pub(crate) struct Poster {
    pub(crate) id: String,
    credential: String,
    url: String,
    http: reqwest::Client,
}

impl Poster {
    /// Posts heartbeats of these times with these metrics; all of them are durable when it returns.
    pub(crate) async fn post(&self, heartbeats: &[(i64, Value)]) {
        let beats: Vec<Value> = heartbeats.iter().map(|(at, metrics)| json!({"timestamp": at, "metrics": metrics})).collect();
        let request = self.http.post(format!("{}/api/v1/metrics/system", self.url)).bearer_auth(&self.credential);
        let answer = send(request.json(&json!({"heartbeats": beats}))).await;
        assert_eq!(answer.json()["accepted"], heartbeats.len(), "{}", answer.text());
    }

    /// Posts a body as it is; the answer.
    pub(crate) async fn send(&self, path: &str, body: &Value) -> Answer {
        let request = self.http.post(format!("{}/api/v1{path}", self.url)).bearer_auth(&self.credential);
        send(request.json(body)).await
    }

    /// Posts one heartbeat of now.
    pub(crate) async fn now(&self, metrics: Value) {
        self.post(&[(now_ms(), metrics)]).await;
    }
}

/// A receiver of webhooks: keeps what it gets, and answers with a status that may be changed.
pub(crate) struct Receiver {
    pub(crate) url: String,
    kept: Arc<Mutex<Kept>>,
}

struct Kept {
    status: StatusCode,
    retry_after: &'static str,
    bodies: Vec<Value>,
}

impl Receiver {
    pub(crate) async fn new() -> Self {
        let kept = Arc::new(Mutex::new(Kept { status: StatusCode::OK, retry_after: "", bodies: Vec::new() }));
        let take = async |State(kept): State<Arc<Mutex<Kept>>>, axum::Json(body): axum::Json<Value>| {
            let mut kept = kept.lock().unwrap();
            kept.bodies.push(body);
            (kept.status, [("retry-after", kept.retry_after)])
        };
        let routes = Router::new().route("/in", post(take)).with_state(Arc::clone(&kept));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, kept }
    }

    pub(crate) fn answer_with(&self, status: u16) {
        self.kept.lock().unwrap().status = StatusCode::from_u16(status).unwrap();
    }

    /// From now on it refuses everything and asks to be left alone for so many seconds.
    pub(crate) fn ask_for_patience(&self, seconds: &'static str) {
        self.kept.lock().unwrap().retry_after = seconds;
        self.answer_with(429);
    }

    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.kept.lock().unwrap().bodies.clone()
    }
}
