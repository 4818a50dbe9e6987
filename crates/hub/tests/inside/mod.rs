//! A hub inside the test's process, people and programs of every kind, and what they send.
//!
//! What is tested is left to the test files.

pub(crate) mod live;

use nightbell::clock;
use nightbell::config::{Config, Sources};
use nightbell::operations::{self, Operation};
use nightbell::wiring::Hub;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take on a slow machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// A password that is long enough.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A running hub and a client without any credentials.
pub(crate) struct Inside {
    pub(crate) hub: Hub,
    pub(crate) http: reqwest::Client,
    folder: TempDir,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    Nobody,
    Bearer(String),
    Cookie(String),
}

/// An answer: status, headers, bytes.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// Sends a request.
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap_or_else(|error| panic!("{error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, bytes: response.bytes().await.unwrap_or_else(|error| panic!("{error:?}")).to_vec() }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The answer, if it went well.
    pub(crate) fn fine(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text());
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem, which has every field of one and names this request.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.header("content-type")), (status, "application/problem+json"), "{}", self.text());
        let problem = self.json();
        assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)), "{problem}");
        assert_eq!(problem["type"], json!(format!("/problems/{code}")), "{problem}");
        for field in ["title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        assert_eq!(problem["request_id"].as_str().expect("an id"), self.header("x-request-id"), "{problem}");
        for fault in problem["errors"].as_array().expect("a list of faults") {
            assert!(fault["pointer"].is_string() && fault["detail"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        problem
    }

    /// The pointers of the faults of a 422.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let problem = self.problem(422, "invalid");
        problem["errors"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap().to_owned()).collect()
    }

    /// Name and value of the cookie that was set, and its attributes in lower case.
    pub(crate) fn cookie(&self) -> (String, Vec<String>) {
        let mut parts = self.header("set-cookie").split(';').map(str::trim);
        let pair = parts.next().filter(|pair| pair.contains('=')).expect("a cookie").to_owned();
        let mut attributes: Vec<String> = parts.map(str::to_lowercase).collect();
        attributes.sort_unstable();
        (pair, attributes)
    }
}

impl Inside {
    /// A new hub on an empty folder.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// The same with more settings.
    pub(crate) async fn with(settings: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut sources = Sources::default();
        sources.add_flag("data", "--data", Some(folder.path().to_str().unwrap().to_owned()));
        sources.add_flag("listen", "--listen", Some("127.0.0.1:0".to_owned()));
        for (name, value) in settings {
            sources.add_flag(name, "a test", Some((*value).to_owned()));
        }
        let hub = Hub::start(Config::from_sources(&sources).unwrap()).await.unwrap();
        let builder = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        Self { hub, http: builder.redirect(reqwest::redirect::Policy::none()).build().unwrap(), folder }
    }

    /// Where the hub keeps everything.
    pub(crate) fn data(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A request below the base; a path that begins with two slashes is absolute.
    pub(crate) fn request(&self, who: &Who, method: Method, path: &str) -> RequestBuilder {
        let url = match path.strip_prefix('/').filter(|rest| rest.starts_with('/')) {
            Some(absolute) => format!("{}{absolute}", self.hub.url),
            None => format!("{}/api/v1{path}", self.hub.url),
        };
        let request = self.http.request(method, url);
        match who {
            Who::Nobody => request,
            Who::Bearer(token) => request.bearer_auth(token),
            Who::Cookie(pair) => request.header("cookie", pair),
        }
    }

    pub(crate) async fn get(&self, who: &Who, path: &str) -> Answer {
        Answer::of(self.request(who, Method::GET, path)).await
    }

    pub(crate) async fn send(&self, who: &Who, method: Method, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(who, method, path).json(body)).await
    }

    /// What the command line does to a running hub; what it prints.
    pub(crate) async fn operate(&self, operation: Operation) -> String {
        let app = &self.hub.app;
        let holdings = app.registry.read().clone();
        let plan = tokio::task::spawn_blocking(move || operations::plan(&operation, &holdings)).await.unwrap().unwrap();
        app.registry.apply(plan.changes, Some(plan.audit)).await.unwrap();
        plan.output
    }

    /// A program with a token of these scopes.
    pub(crate) async fn program(&self, scopes: &[&str]) -> Who {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Who::Bearer(self.operate(Operation::TokenCreate { name: "a program".to_owned(), scopes, expires_ms: None }).await)
    }

    /// The first admin, made with the set-up key and logged in.
    pub(crate) async fn admin(&self) -> Who {
        let key = self.hub.app.setup.mint().unwrap();
        let body = json!({"key": key, "username": "ada", "password": PASSWORD});
        let answer = self.send(&Who::Nobody, Method::POST, "/setup", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        Who::Cookie(answer.cookie().0)
    }

    /// One more person, logged in.
    pub(crate) async fn person(&self, admin: &Who, name: &str, role: &str) -> Who {
        let body = json!({"username": name, "password": PASSWORD, "role": role});
        self.send(admin, Method::POST, "/users", &body).await.fine();
        self.login(name).await
    }

    /// A new session of somebody.
    pub(crate) async fn login(&self, name: &str) -> Who {
        let answer = self.try_login(name, PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Who::Cookie(answer.cookie().0)
    }

    pub(crate) async fn try_login(&self, name: &str, password: &str) -> Answer {
        self.send(&Who::Nobody, Method::POST, "/auth/login", &json!({"username": name, "password": password})).await
    }

    /// An agent that posts: its id and its credential.
    pub(crate) async fn agent(&self, name: &str) -> (String, Who) {
        let token = self.operate(Operation::EnrollCreate { expires_ms: None, uses: Some(1), tags: Vec::new() }).await;
        let made = self.send(&Who::Bearer(token), Method::POST, "/nodes", &json!({"hostname": name, "name": name})).await.fine();
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        (text("node_id"), Who::Bearer(text("credential")))
    }

    /// One heartbeat of an agent, measured now, until it is durable.
    pub(crate) async fn beat(&self, agent: &Who, metrics: &Value) {
        let body = json!({"heartbeats": [{"timestamp": clock::now().as_millis(), "metrics": metrics}]});
        let stored = self.send(agent, Method::POST, "/metrics/system", &body).await.fine();
        assert_eq!(stored["accepted"], 1, "{stored}");
    }
}

/// Looks until it is so.
pub(crate) async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !look().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}
