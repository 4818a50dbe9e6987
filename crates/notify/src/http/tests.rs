//! What every answer means, on the delivery path of a webhook, against real servers; and that no address gets past the guard.

use crate::delivery::Outcome;
use crate::guard::{Found, Lookup};
use crate::notification::NoticeWord;
use crate::notifier::{Notifier, NotifierError, NotifierOptions};
use crate::testing::double::{Double, Reply, Rude, rude};
use crate::testing::relay::tls_server;
use crate::testing::{channel, hasty, message, notification, notifier, notifier_with};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn delivered(notifier: &Notifier, url: &str, allow_private: bool) -> Outcome {
    let channel = channel("webhook", &json!({"url": url, "secret": "CANARY-secret", "allow_private": allow_private}));
    notifier.attempt(&channel, message(&notification(NoticeWord::Fired))).await
}

async fn answered(reply: Reply) -> Outcome {
    let double = Double::answering(reply).await;
    let outcome = delivered(&notifier(), &double.at("hook?token=CANARY-query"), true).await;
    let said = format!("{outcome:?}");
    assert!(!said.contains("CANARY") && !said.contains("/hook"), "{said}");
    outcome
}

fn retry(error: &str, after: Option<Duration>, ambiguous: bool) -> Outcome {
    Outcome::Retry { error: error.to_owned(), after, ambiguous }
}

#[tokio::test]
async fn the_table_of_outcomes_is_kept() {
    for status in [200, 201, 202, 204] {
        assert!(matches!(answered(Reply::of(status, "")).await, Outcome::Sent { .. }), "{status}");
    }
    for status in [408, 425, 429, 500, 502, 503, 504, 599] {
        let outcome = answered(Reply::of(status, "")).await;
        assert!(
            matches!(outcome, Outcome::Retry { after: None, ambiguous, .. } if ambiguous == (status == 504)),
            "{status}: {outcome:?}"
        );
    }
    for status in [400, 413, 422, 409, 411, 415, 418, 451] {
        assert!(matches!(answered(Reply::of(status, "")).await, Outcome::Unacceptable { .. }), "{status}");
    }
    for status in [401, 403, 404, 405, 407, 410, 300, 301, 302, 303, 304, 307, 308] {
        assert!(matches!(answered(Reply::of(status, "")).await, Outcome::Broken { .. }), "{status}");
    }
}

#[tokio::test]
async fn the_receiver_may_ask_for_patience_in_seconds_or_by_a_date() {
    let busy = |after: &str| Reply::of(429, "").with("retry-after", after);
    let error = "127.0.0.1 answered 429 Too Many Requests";
    for (after, wait) in [
        ("30", Some(Duration::from_secs(30))),
        (" 0.25", Some(Duration::from_millis(250))),
        ("0", Some(Duration::ZERO)),
        ("-5", None),
        ("NaN", None),
        ("1e400", None),
        ("soon", None),
    ] {
        assert_eq!(answered(busy(after)).await, retry(error, wait, false), "{after:?}");
    }
    let dated = busy("Sun, 22 Nov 2026 02:05:05 GMT").with("date", "Sun, 22 Nov 2026 02:04:05 GMT");
    assert_eq!(answered(dated).await, retry(error, Some(Duration::from_secs(60)), false));
    let past = busy("Sun, 22 Nov 2026 02:05:05 GMT").with("date", "Sun, 22 Nov 2026 03:04:05 GMT");
    assert_eq!(answered(past).await, retry(error, Some(Duration::ZERO), false));
}

#[tokio::test]
async fn what_the_receiver_says_is_kept_short_and_clean() {
    let chatter = format!("no\x1b[31m\r\nCANARY-secret {}", "ä".repeat(4_000));
    let Outcome::Retry { error, .. } = answered(Reply::of(503, &chatter)).await else { panic!() };
    let (what, said) = error.split_once("; it said: ").unwrap();
    assert_eq!(what, "127.0.0.1 answered 503 Service Unavailable");
    assert!(said.starts_with("no [31m … ä") && said.len() <= 256, "{said}");
    assert_eq!(crate::without_receivers_words(&error), what);
}

#[tokio::test]
async fn redirects_are_named_and_not_followed() {
    let target = Double::answering(Reply::of(200, "")).await;
    let outcome = answered(Reply::of(302, "").with("location", &target.at("secret/CANARY"))).await;
    let error = "127.0.0.1 answered 302 Found, a redirect to 127.0.0.1: redirects are not followed, set the URL it leads to";
    assert_eq!(outcome, Outcome::broken(error));
    assert!(target.received().is_empty());
}

#[tokio::test]
async fn silence_and_broken_connections_pass_and_may_have_delivered() {
    let hanging = rude(Rude::Hangs).await;
    assert_eq!(delivered(&hasty(), hanging.as_str(), true).await, retry("127.0.0.1 did not answer in time", None, true));
    let resetting = rude(Rude::Resets).await;
    let outcome = delivered(&notifier(), resetting.as_str(), true).await;
    let Outcome::Retry { error, after: None, ambiguous: true } = outcome else { panic!("{outcome:?}") };
    assert!(error.starts_with("the connection to 127.0.0.1 broke before it answered: "), "{error}");
}

#[tokio::test]
async fn who_cannot_be_reached_got_nothing() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = delivered(&notifier(), &format!("http://{free}/"), true).await;
    let Outcome::Retry { error, ambiguous: false, .. } = outcome else { panic!("{outcome:?}") };
    assert!(error.starts_with("no connection to 127.0.0.1: ") && error.contains("refused"), "{error}");
    let outcome = delivered(&notifier(), "https://nowhere.invalid/", false).await;
    let Outcome::Retry { error, ambiguous: false, .. } = outcome else { panic!("{outcome:?}") };
    assert!(error.starts_with("the name nowhere.invalid cannot be looked up"), "{error}");
}

#[tokio::test]
async fn an_inner_address_is_not_spoken_to_unless_the_channel_or_the_hub_allows_it() {
    let double = Double::answering(Reply::of(200, "")).await;
    let strict = notifier();
    let port = double.url.port().unwrap();
    for host in ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost"] {
        let outcome = delivered(&strict, &format!("http://{host}:{port}/"), false).await;
        let Outcome::Broken { error } = outcome else { panic!("{host}: {outcome:?}") };
        assert!(error.contains("is in a private network"), "{host}: {error}");
    }
    assert!(double.received().is_empty());
    assert!(matches!(delivered(&strict, &format!("http://localhost:{port}/"), true).await, Outcome::Sent { .. }));
    let listed = notifier_with(NotifierOptions { allow_networks: vec!["127.0.0.0/8".parse().unwrap()], ..Default::default() });
    assert!(matches!(delivered(&listed, double.url.as_str(), false).await, Outcome::Sent { .. }));
    assert_eq!(double.received().len(), 2);
}

/// A name server that changes its answer with each question.
#[derive(Debug)]
struct Rebinding {
    answers: Vec<&'static str>,
    asked: AtomicUsize,
}

impl Lookup for Rebinding {
    fn lookup(&self, _host: String, port: u16) -> Found {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers[asked.min(self.answers.len() - 1)];
        let address = SocketAddr::new(answer.parse().unwrap(), port);
        Box::pin(async move { Ok(vec![address]) })
    }
}

#[tokio::test]
async fn a_name_that_changes_its_address_leads_nowhere_inside() {
    crate::testing::install_tls();
    let double = Double::answering(Reply::of(200, "")).await;
    let lookup = Arc::new(Rebinding { answers: vec!["192.0.2.1", "127.0.0.1", "169.254.169.254"], asked: AtomicUsize::new(0) });
    let notifier = Notifier::with_lookup(NotifierOptions::default(), lookup).unwrap();
    let url = format!("http://rebind.example:{}/", double.url.port().unwrap());
    for _ in 0..3 {
        let outcome = delivered(&notifier, &url, false).await;
        assert!(matches!(outcome, Outcome::Broken { .. }), "{outcome:?}");
    }
    assert!(double.received().is_empty());
}

#[tokio::test]
async fn a_private_authority_is_trusted_once_it_is_named() {
    let (root, acceptor) = tls_server();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut buffer = [0; 16 * 1024];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    let outcome = delivered(&notifier(), &url, true).await;
    assert!(matches!(&outcome, Outcome::Retry { error, ambiguous: false, .. } if error.contains("certificate")), "{outcome:?}");
    let trusting = notifier_with(NotifierOptions { extra_roots_pem: vec![root], ..Default::default() });
    assert_eq!(delivered(&trusting, &url, true).await, Outcome::sent("localhost answered 204 No Content"));
}

#[test]
fn wrong_options_are_refused_by_name() {
    crate::testing::install_tls();
    let with = |options: NotifierOptions| Notifier::new(options).unwrap_err();
    let error = with(NotifierOptions { discord_base: "discord".to_owned(), ..Default::default() });
    assert!(matches!(&error, NotifierError::Url(text, _) if text == "discord"), "{error}");
    let error = with(NotifierOptions { extra_roots_pem: vec!["no certificate".to_owned()], ..Default::default() });
    assert!(matches!(error, NotifierError::NoCertificate), "{error}");
}

#[test]
fn a_wrong_address_is_seen_when_it_is_configured() {
    let notifier = notifier();
    let pointer = |kind: &str, config| notifier.check_address(&channel(kind, &config)).map(|fault| fault.pointer);
    assert_eq!(pointer("webhook", json!({"url": "http://10.0.0.1/"})).as_deref(), Some("/url"));
    assert_eq!(pointer("webhook", json!({"url": "http://10.0.0.1/", "allow_private": true})), None);
    assert_eq!(pointer("slack", json!({"webhook_url": "https://[::1]/x"})).as_deref(), Some("/webhook_url"));
    assert_eq!(pointer("discord", json!({"webhook_url": "https://127.0.0.1/webhooks/1/t"})).as_deref(), Some("/webhook_url"));
    let mail = |host: &str| json!({"host": host, "port": 25, "tls": "none", "from": "a@b.example", "to": ["c@d.example"]});
    assert_eq!(pointer("smtp", mail("10.0.0.1")), None);
    assert_eq!(pointer("smtp", mail("169.254.169.254")).as_deref(), Some("/host"));
    assert_eq!(pointer("smtp", mail("mail.example.org")), None);
}

#[tokio::test]
async fn a_system_without_authorities_still_speaks_plain_http() {
    let notifier = notifier();
    let double = Double::answering(Reply::of(204, "")).await;
    let client = super::without_system_roots(&NotifierOptions::default(), notifier.guard(true).clone(), Vec::new()).unwrap();
    assert_eq!(client.post(double.url.clone()).send().await.unwrap().status(), 204);
}
