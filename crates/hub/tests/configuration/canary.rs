//! Canaries: a secret of its own in every place that holds one, and then everything that comes out of a hub is searched for them.

use crate::support::api::Api;
use crate::support::double::{Double, Reply};
use crate::support::house::House;
use crate::support::hub::on_data;
use crate::support::wait::until;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A canary for a place.
fn canary(place: &str) -> String {
    format!("canary{place}canary")
}

fn signing(place: &str) -> String {
    format!("whsec_{}", STANDARD.encode(canary(place).repeat(2)))
}

/// A channel of every kind with a canary wherever a secret may be. `echo` is where some of them lead; it says everything back.
fn channels(echo: &Double) -> Vec<Value> {
    let (port, there) = (echo.url.port().unwrap(), |path: &str| echo.at(path));
    vec![
        json!({"name": "hook", "kind": "webhook", "config": {"url": there(&format!("hook/{}", canary("address70"))), "secret": signing("A"), "previous_secret": signing("B"),
            "headers": {"authorization": format!("Bearer {}", canary("header"))}, "allow_private": true}}),
        json!({"name": "duty", "kind": "webhook", "config": {"url": there("duty"), "format": "pagerduty",
            "routing_key": canary("routing"), "allow_private": true}}),
        json!({"name": "mail", "kind": "smtp", "config": {"host": "127.0.0.1", "port": port, "tls": "none", "username": "someone",
            "password": canary("password"), "from": "a@example.org", "to": ["b@example.org"]}}),
        json!({"name": "discord", "kind": "discord", "config": {"webhook_url": there(&format!("api/webhooks/1/{}", canary("discord"))),
            "allow_private": true}}),
        json!({"name": "slack", "kind": "slack", "config": {"webhook_url": there(&format!("services/{}", canary("slack"))),
            "allow_private": true}}),
        json!({"name": "nowhere", "kind": "slack", "config": {"webhook_url": format!("http://127.0.0.1:9/{}", canary("nowhere")),
            "allow_private": true}}),
        json!({"name": "bot", "kind": "slack", "config": {"bot_token": format!("xoxb-{}", canary("bot")), "channel": "C1",
            "allow_private": true}}),
    ]
}

/// Everything that came out so far, each with where it came from.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    async fn ask(&mut self, api: &Api, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let (status, _, bytes) = api.raw(method.clone(), path, body).await;
        self.add(format!("{method} {path}"), bytes.clone());
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    fn folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.folder(&path);
            } else if path.extension().is_none_or(|end| end != "sock") {
                self.add(path.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }

    fn search(&self) {
        let places = ["address70", "header", "routing", "password", "discord", "slack", "nowhere", "bot"].map(canary);
        let keys = ["A", "B"].map(|place| signing(place)[6..].to_owned());
        for (from, bytes) in &self.0 {
            let text = String::from_utf8_lossy(bytes);
            for needle in places.iter().chain(&keys) {
                assert!(!text.contains(needle.as_str()), "{needle} came out of {from}: {}", around(&text, needle));
            }
        }
    }
}

fn around(text: &str, needle: &str) -> String {
    let at = text.find(needle).unwrap_or(0);
    text.chars().skip(text[..at].chars().count().saturating_sub(120)).take(240).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_channel_comes_out_anywhere() {
    let house = House::start_with(&["--log", "trace"]).await;
    let echo = Double::start(|request| {
        Reply::of(400, &format!("{} {:?} {}", request.path, request.headers, String::from_utf8_lossy(&request.body)))
    })
    .await;
    let (api, mut seen) = (&house.api, Seen::default());
    let mut ids = Vec::new();
    for body in channels(&echo) {
        let (status, made) = seen.ask(api, Method::POST, "/channels", Some(&body)).await;
        assert_eq!(status, 201, "{made}");
        let (path, mut again) = (format!("/channels/{}", made["id"].as_str().unwrap()), made.clone());
        assert_eq!(seen.ask(api, Method::PUT, &path, Some(&made)).await.0, 200, "what was shown may be sent back");
        again["config"] = body["config"].clone();
        assert_eq!(seen.ask(api, Method::PUT, &path, Some(&again)).await.0, 200);
        let mut wrong = body.clone();
        wrong["config"]["no_such_field"] = json!(1);
        wrong["config"]["to"] = json!(5);
        assert_eq!(seen.ask(api, Method::PUT, &path, Some(&wrong)).await.0, 422);
        assert_eq!(seen.ask(api, Method::POST, "/channels", Some(&body)).await.0, 409, "the name is taken");
        seen.ask(api, Method::POST, "/channels", Some(&json!({"name": "x", "kind": "webhook", "config": body["config"]}))).await;
        seen.ask(api, Method::POST, &format!("{path}/test"), None).await;
        ids.push(path);
    }
    let rules: Vec<&str> = ids.iter().map(|path| path.trim_start_matches("/channels/")).collect();
    api.make("/rules", &crate::support::house::rule("Hot", "cpu.usage_percent", 90.0, &rules)).await;
    let mut agent = house.json_agent("db-01").await;
    agent.beat(&json!({"cpu.usage_percent": 95})).await;
    until("every channel was tried", async || {
        let rows = api.list("/outbox").await;
        (rows.len() >= 2 * ids.len() && rows.iter().all(|row| row["attempts"].as_u64() > Some(0))).then_some(())
    })
    .await;
    assert!(echo.received().len() >= 8, "the receivers were spoken to");
    for path in ids {
        seen.ask(api, Method::GET, &path, None).await;
    }
    for path in
        ["/channels", "/outbox", "/audit", "/events", "/rules", "/settings", "/system", "/incidents", "/banner", "/routes"]
    {
        assert_eq!(seen.ask(api, Method::GET, path, None).await.0, 200, "{path}");
    }
    seen.add("/metrics", api.metrics_text().await);
    let [exported, backup] = ["exported", "backup"].map(|name| house.room().join(name));
    on_data(house.hub.data(), &["export", "config", exported.to_str().unwrap()]);
    on_data(house.hub.data(), &["backup", backup.to_str().unwrap()]);
    seen.folder(house.room());
    assert!(
        seen.0.iter().any(|(from, bytes)| from.ends_with(".db-wal") && !bytes.is_empty()),
        "the log of the database was read"
    );
    let log = house.hub.log();
    assert!(log.contains("TRACE"), "the log says everything there is");
    seen.add("the log", log);
    seen.search();
}
