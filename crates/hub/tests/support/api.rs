//! The hub's API as a script uses it: JSON in, JSON out, with a bearer token.

use super::wait::until;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// A client with a token.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    root: String,
    token: String,
}

/// A client that takes no proxy from the environment and keeps no connection to a hub that may die.
pub(crate) fn http() -> reqwest::Client {
    nightbell::wiring::install_tls_provider();
    let builder = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(Duration::from_secs(60));
    builder.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

impl Api {
    /// `root` is the beginning of the hub's URLs.
    pub(crate) fn new(root: &str, token: &str) -> Self {
        Self { http: http(), root: root.to_owned(), token: token.to_owned() }
    }

    /// One request below `/api/v1`, or to a path that begins with two slashes: status, type and bytes.
    pub(crate) async fn raw(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, String, Vec<u8>) {
        let url = path
            .strip_prefix('/')
            .filter(|rest| rest.starts_with('/'))
            .map_or_else(|| format!("{}/api/v1{path}", self.root), |rest| format!("{}{rest}", self.root));
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
        (status, kind, response.bytes().await.unwrap_or_else(|error| panic!("{path}: {error:?}")).to_vec())
    }

    /// One request: status and JSON.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let (status, _, bytes) = self.raw(method, path, body).await;
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))))
    }

    async fn fine(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.ask(method.clone(), path, body).await;
        assert!((200..300).contains(&status), "{method} {path} {}: {status} {answer:#}", body.unwrap_or(&Value::Null));
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.fine(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        self.fine(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Value {
        self.fine(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Value {
        self.fine(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) {
        self.fine(Method::DELETE, path, None).await;
    }

    /// Bytes of the type that is expected.
    pub(crate) async fn file(&self, path: &str, kind: &str) -> Vec<u8> {
        let (status, found, bytes) = self.raw(Method::GET, path, None).await;
        assert_eq!((status, found.split(';').next().unwrap()), (200, kind), "{path}: {}", String::from_utf8_lossy(&bytes));
        bytes
    }

    /// All items of a list, page by page.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let sign = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{sign}limit=500{cursor}")).await;
            items.extend(page["items"].as_array().unwrap_or_else(|| panic!("{path}: {page}")).iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", encode(next)),
                None => return items,
            }
        }
    }

    /// The id of what is made by this.
    pub(crate) async fn make(&self, path: &str, body: &Value) -> String {
        let made = self.post(path, body).await;
        made["id"].as_str().unwrap_or_else(|| panic!("{path}: no id in {made}")).to_owned()
    }

    /// The agent of this name, once there is one.
    pub(crate) async fn agent(&self, name: &str) -> Value {
        until(format!("the agent {name}"), async || self.list("/agents").await.into_iter().find(|agent| agent["name"] == name))
            .await
    }

    /// Every value of one series between two moments in milliseconds, with its time, from the raw tier.
    pub(crate) async fn raw_history(&self, agent: &str, series: &str, start: i64, end: i64) -> Vec<(i64, Option<f64>)> {
        let query = format!("metrics={}&start={start}&end={end}&tier=raw&max_points=11000", encode(series));
        let history = self.get(&format!("/agents/{agent}/metrics/history?{query}")).await;
        assert_eq!(history["agent"], agent);
        let Some(only) = history["series"].as_array().and_then(|series| series.first()) else { return Vec::new() };
        let times = history["t"].as_array().unwrap().iter().map(|t| t.as_i64().unwrap());
        times.zip(only["v"].as_array().unwrap().iter().map(Value::as_f64)).collect()
    }

    /// The log lines of one type.
    pub(crate) async fn events(&self, kind: &str) -> Vec<Value> {
        self.list(&format!("/events?type={kind}")).await
    }

    /// Prometheus text, unparsed.
    pub(crate) async fn metrics_text(&self) -> String {
        let (status, _, bytes) = self.raw(Method::GET, "//metrics", None).await;
        assert_eq!(status, 200);
        String::from_utf8(bytes).unwrap()
    }
}

/// Percent-encoding of everything that is not plain.
pub(crate) fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
