//! A receiver of webhook pages that checks their signatures as the Standard Webhooks specification says, keeps them, and
//! answers as it is told.

use super::double::{Double, Received, Reply};
use super::now_ms;
use super::wait::until;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The key that pages are signed with.
const KEY: &[u8] = b"a key of the tests, long enough";

/// A request, and what was answered.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) at: Instant,
    pub(crate) at_ms: i64,
    /// The header `webhook-id`.
    pub(crate) id: String,
    /// `incident.fired` and so on.
    pub(crate) kind: String,
    pub(crate) data: Value,
    pub(crate) answered: u16,
}

impl Page {
    pub(crate) fn incident(&self) -> &str {
        self.data["incident_id"].as_str().expect("an incident")
    }

    pub(crate) fn metric(&self) -> &str {
        self.data["metric"].as_str().expect("a metric")
    }

    pub(crate) fn is_repeat(&self) -> bool {
        self.data["maybe_repeat"] == true
    }
}

type Pages = Arc<Mutex<Vec<Page>>>;

/// A running receiver.
#[derive(Debug)]
pub(crate) struct Receiver {
    double: Double,
    pages: Pages,
    script: Arc<Mutex<VecDeque<Reply>>>,
}

impl Receiver {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        Self::scripted(Vec::new()).await
    }

    /// One that gives these answers first and then takes everything.
    pub(crate) async fn scripted(answers: Vec<Reply>) -> Self {
        let pages = Pages::default();
        let script = Arc::new(Mutex::new(VecDeque::from(answers)));
        let (kept, left) = (Arc::clone(&pages), Arc::clone(&script));
        let double = Double::start(move |request| {
            let reply = left.lock().unwrap().pop_front().unwrap_or_else(|| Reply::of(204, ""));
            kept.lock().unwrap().push(page(request, reply.status));
            reply
        })
        .await;
        Self { double, pages, script }
    }

    /// The configuration of a channel that leads here.
    pub(crate) fn config(&self) -> Value {
        json!({"url": self.double.at("page"), "secret": format!("whsec_{}", STANDARD.encode(KEY)), "allow_private": true})
    }

    /// The body that makes a channel which leads here.
    pub(crate) fn channel(&self, name: &str) -> Value {
        json!({"name": name, "kind": "webhook", "config": self.config()})
    }

    /// Everything that came so far, refused or not.
    pub(crate) fn all(&self) -> Vec<Page> {
        self.pages.lock().unwrap().clone()
    }

    /// What was taken.
    pub(crate) fn taken(&self) -> Vec<Page> {
        self.all().into_iter().filter(|page| (200..300).contains(&page.answered)).collect()
    }

    /// Pages of one kind that were taken.
    pub(crate) fn of(&self, kind: &str) -> Vec<Page> {
        self.taken().into_iter().filter(|page| page.kind == kind).collect()
    }

    /// Waits for the page number `n` (from 1) of a kind.
    pub(crate) async fn nth(&self, kind: &str, n: usize) -> Page {
        until(format!("page {n} of {kind}"), async || self.of(kind).get(n - 1).cloned()).await
    }

    /// Waits for the first page of a kind that fits.
    pub(crate) async fn find(&self, kind: &str, fits: impl Fn(&Page) -> bool) -> Page {
        until(format!("a page of {kind}"), async || self.of(kind).into_iter().find(|page| fits(page))).await
    }
}

/// Reads a page and holds its headers against the specification.
fn page(request: &Received, answered: u16) -> Page {
    let header = |name: &str| request.headers.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", request.headers)).clone();
    assert_eq!((request.path.as_str(), header("content-type").as_str()), ("/page", "application/json"));
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let sent: i64 = timestamp.parse().expect("webhook-timestamp is in seconds");
    assert!((now_ms() / 1000 - sent).abs() < 300, "a timestamp five minutes off: {timestamp}");
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&request.body);
    assert_eq!(header("webhook-signature"), format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
    let body = request.json();
    assert!(body["timestamp"].is_string(), "{body}");
    Page {
        at: Instant::now(),
        at_ms: now_ms(),
        id,
        kind: body["type"].as_str().expect("a type").to_owned(),
        data: body["data"].clone(),
        answered,
    }
}
