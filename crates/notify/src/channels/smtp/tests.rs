//! Mails as a relay gets them, and what each of its failures means, against a real relay.

use super::*;
use crate::config::ChannelConfig;
use crate::notification::{NoticeWord, Notification};
use crate::notifier::NotifierOptions;
use crate::testing::relay::{Act, Behaviour, Encrypts, Relay, Taken};
use crate::testing::{KINDS, any_notification, channel, hasty, hostile, message, notification, notifier, notifier_with, picture};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

fn config(port: u16) -> Value {
    json!({"host": "localhost", "port": port, "tls": "none", "from": "Nightbell <nb@example.org>", "to": ["ops@example.org", "b@example.org"]})
}

fn parsed(config: &Value) -> SmtpConfig {
    match channel("smtp", config) {
        ChannelConfig::Smtp(config) => config,
        other => panic!("{other:?}"),
    }
}

/// The mail of a message, written at a fixed time.
fn letter(message: &Message<'_>) -> String {
    let at = UNIX_EPOCH + Duration::from_secs(1_795_313_345);
    String::from_utf8(letter::build(&parsed(&config(25)), message, "night.example", at).unwrap().formatted()).unwrap()
}

async fn send(relay: &Relay, config: &Value) -> Outcome {
    let options = NotifierOptions { extra_roots_pem: vec![relay.root_pem.clone()], ..Default::default() };
    send_by(&notifier_with(options), config).await
}

async fn send_by(notifier: &Notifier, config: &Value) -> Outcome {
    notifier.deliver(&channel("smtp", config), message(&notification(NoticeWord::Fired))).await
}

#[test]
fn headers_thread_and_filter() {
    let notification = notification(NoticeWord::Repeat);
    let thread = vec!["01A".to_owned(), "01B".to_owned()];
    let mail = letter(&Message { thread, plain: true, ..message(&notification) });
    insta::assert_snapshot!("mail_plain", mail.replace("\r\n", "\n"));
    let first = letter(&message(&notification));
    assert!(!first.contains("References") && !first.contains("In-Reply-To"));
    let long: Vec<String> = (0..60).map(|n| format!("{n:026}")).collect();
    let mail = letter(&Message { thread: long, ..message(&notification) });
    let references = mail.split("References:").nth(1).unwrap().split("MIME-Version").next().unwrap();
    assert_eq!(references.matches("@night.example>").count(), 10);
    assert!(references.contains(&format!("<{:026}@", 0)) && references.contains(&format!("<{:026}@", 59)));
    for count in 1..=12 {
        let thread: Vec<String> = (0..count).map(|n| format!("t{n}")).collect();
        let mail = letter(&Message { thread, ..message(&notification) });
        let head = mail.split("\r\n\r\n").next().unwrap();
        let references = head.split("References:").nth(1).unwrap().split("MIME-Version").next().unwrap();
        assert_eq!(references.matches('<').count(), count.min(10), "{references}");
    }
}

#[test]
fn a_mail_has_a_text_an_html_part_and_the_picture() {
    let notification = notification(NoticeWord::Fired);
    let mail = letter(&Message { chart_png: Some(b"\x89PNG".to_vec()), ..message(&notification) });
    insta::assert_snapshot!("mail_fired", mail.replace("\r\n", "\n"));
}

#[test]
fn the_html_of_every_kind_is_as_agreed() {
    for (name, kind) in KINDS {
        let html = html::render(&crate::page::Page::of(&message(&notification(kind))), name == "fired").unwrap();
        // The head is the same for all; the body's styles are the template's business.
        let body = html.split("<body").nth(1).unwrap();
        let words: Vec<&str> = body.split('<').filter_map(|tag| tag.split_once('>')).map(|(_, text)| text.trim()).collect();
        insta::assert_snapshot!(
            format!("html_{name}"),
            words.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
        );
    }
}

#[test]
fn nothing_that_an_agent_says_is_markup_or_a_header() {
    let hostile = hostile();
    let html = html::render(&crate::page::Page::of(&message(&hostile)), false).unwrap();
    let body = html.split("<body").nth(1).unwrap();
    for forbidden in ["<script", "<img", "<iframe", "<b>", "</style"] {
        assert!(!body.contains(forbidden), "{forbidden}");
    }
    assert!(html.contains("{{ page.url }}"), "what looks like a template stays text");
    let mail = letter(&message(&hostile));
    let head = mail.split("\r\n\r\n").next().unwrap();
    assert!(!head.contains("\r\nBcc:"), "{head}");
}

proptest! {
    #[test]
    fn no_notification_adds_a_header_or_a_recipient(notification in any_notification(), id in any::<String>()) {
        let mail = letter(&Message { delivery_id: id, ..message(&notification) });
        let head = mail.split("\r\n\r\n").next().unwrap();
        let names: Vec<&str> = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])).map(|line| line.split(':').next().unwrap()).collect();
        let known = [
            "From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Auto-Submitted",
            "X-Auto-Response-Suppress", "List-Id", "X-Nightbell-Id", "X-Nightbell-Incident", "X-Nightbell-Severity", "Importance", "X-Priority",
        ];
        prop_assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
        // RFC 5322, 2.1.1: no line is longer than 998 characters; and nothing needs 8BITMIME.
        prop_assert!(mail.is_ascii() && mail.split("\r\n").all(|line| line.len() <= 998));
        let mut once = names.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), names.len());
    }
}

#[tokio::test]
async fn a_relay_that_takes_everything_gets_everything() {
    let relay = Relay::start(Behaviour::default()).await;
    let notification = notification(NoticeWord::Fired);
    let page = Message { chart_png: Some(picture()), ..message(&notification) };
    let outcome = notifier().deliver(&channel("smtp", &config(relay.port)), page).await;
    assert_eq!(outcome, Outcome::sent("localhost took the mail; it said: 2.0.0 queued as 42"));
    let [Taken { from, to, data, encrypted: false, login: None }] = &relay.taken()[..] else { panic!() };
    assert_eq!(
        (from.as_str(), to.join(" ")),
        ("MAIL FROM:<nb@example.org>", "RCPT TO:<ops@example.org> RCPT TO:<b@example.org>".to_owned())
    );
    assert!(data.contains("Subject: Critical: CPU hot on db-01 (97.2 % > 90 %)"), "{data}");
    let png = data.split("Content-ID: <chart>").nth(1).unwrap().split("\r\n\r\n").nth(1).unwrap();
    let png = png.split("\r\n--").next().unwrap().replace("\r\n", "");
    assert_eq!(STANDARD.decode(png).unwrap(), picture());
    assert_eq!(relay.commands().last().map(String::as_str), Some("QUIT"));
}

#[tokio::test]
async fn logins_go_over_encrypted_connections() {
    for (encrypts, tls) in [(Encrypts::OnRequest, "starttls"), (Encrypts::AtOnce, "tls")] {
        for mechanisms in ["PLAIN LOGIN", "LOGIN", "XOAUTH2 PLAIN"] {
            let relay =
                Relay::start(Behaviour { encrypts, mechanisms, login: Some(("nb", "p4ss wörd")), faults: Vec::new() }).await;
            let mut config = config(relay.port);
            (config["tls"], config["username"], config["password"]) = (json!(tls), json!("nb"), json!("p4ss wörd"));
            let outcome = send(&relay, &config).await;
            assert!(matches!(outcome, Outcome::Sent { .. }), "{tls} {mechanisms}: {outcome:?}");
            let taken = relay.taken();
            let used = if mechanisms == "LOGIN" { "LOGIN nb" } else { "PLAIN nb" };
            assert_eq!((taken[0].encrypted, taken[0].login.as_deref()), (true, Some(used)));
        }
    }
}

#[tokio::test]
async fn a_password_is_not_offered_where_it_could_be_heard() {
    let relay = Relay::start(Behaviour { login: Some(("nb", "secret")), ..Default::default() }).await;
    let mut config = config(relay.port);
    (config["tls"], config["username"], config["password"]) = (json!("starttls"), json!("nb"), json!("secret"));
    let outcome = send(&relay, &config).await;
    let error = "localhost offers no STARTTLS: set tls to \"tls\", or to \"none\" in a network you trust";
    assert_eq!(outcome, Outcome::broken(error));
    assert!(!relay.commands().contains(&"AUTH".to_owned()));
    config["tls"] = json!("none");
    assert!(
        matches!(send(&relay, &config).await, Outcome::Sent { .. }),
        "in clear inside a machine, if that is what is asked for"
    );
}

#[tokio::test]
async fn a_certificate_of_nobody_is_not_believed() {
    let relay = Relay::start(Behaviour { encrypts: Encrypts::OnRequest, ..Default::default() }).await;
    let mut config = config(relay.port);
    config["tls"] = json!("starttls");
    let outcome = notifier().deliver(&channel("smtp", &config), message(&notification(NoticeWord::Fired))).await;
    assert!(matches!(&outcome, Outcome::Retry { error, ambiguous: false, .. } if error.contains("certificate")), "{outcome:?}");
    assert!(relay.taken().is_empty());
}

/// What a fault at a step comes to.
async fn fault(step: &'static str, act: Act) -> Outcome {
    let relay = Relay::start(Behaviour { login: Some(("nb", "CANARY")), faults: vec![(step, act)], ..Default::default() }).await;
    let mut config = config(relay.port);
    (config["username"], config["password"]) = (json!("nb"), json!("CANARY"));
    let notifier = if matches!(act, Act::Hangs) { hasty() } else { notifier() };
    let outcome = send_by(&notifier, &config).await;
    assert!(!format!("{outcome:?}").contains("CANARY"), "{outcome:?}");
    assert!(matches!(outcome, Outcome::Sent { .. }) || relay.taken().is_empty());
    outcome
}

#[tokio::test]
async fn passing_refusals_are_tried_again() {
    for (step, reply) in [
        ("CONNECT", "421 4.3.2 too busy"),
        ("EHLO", "421 4.7.0 later"),
        ("AUTH", "454 4.7.0 try later CANARY"),
        ("MAIL", "451 4.3.0 local error"),
        ("RCPT", "450 4.2.0 greylisted"),
        ("DATA", "452 4.3.1 disk full"),
        ("BODY", "451 4.7.1 scanner is down"),
    ] {
        let outcome = fault(step, Act::Says(reply)).await;
        let Outcome::Retry { error, after: None, ambiguous: false } = &outcome else { panic!("{step}: {outcome:?}") };
        assert!(error.contains(&reply[..3]), "{step}: {error}");
    }
}

#[tokio::test]
async fn final_refusals_are_about_the_account_before_the_mail_and_about_the_mail_after() {
    for (step, reply) in [
        ("CONNECT", "554 5.3.2 not for you"),
        ("AUTH", "535 5.7.8 CANARY is wrong"),
        ("MAIL", "550 5.7.1 sender not owned"),
        ("RCPT", "550 5.1.1 nobody here"),
    ] {
        let outcome = fault(step, Act::Says(reply)).await;
        assert!(matches!(&outcome, Outcome::Broken { error } if error.contains(&reply[..3])), "{step}: {outcome:?}");
    }
    for (step, reply) in [("DATA", "554 5.5.1 no"), ("BODY", "552 5.3.4 too big"), ("BODY", "550 5.7.1 spam")] {
        let outcome = fault(step, Act::Says(reply)).await;
        assert!(matches!(&outcome, Outcome::Unacceptable { error } if error.contains(&reply[..3])), "{step}: {outcome:?}");
    }
}

#[tokio::test]
async fn silence_and_broken_connections_are_ambiguous_only_once_the_mail_is_out() {
    let mut all = tokio::task::JoinSet::new();
    for act in [Act::Hangs, Act::Drops] {
        for step in ["CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "BODY"] {
            all.spawn(async move { (step, act, fault(step, act).await) });
        }
    }
    for (step, act, outcome) in all.join_all().await {
        let Outcome::Retry { ambiguous, .. } = outcome else { panic!("{step} {act:?}: {outcome:?}") };
        assert_eq!(ambiguous, step == "BODY", "{step} {act:?}");
    }
}

#[tokio::test]
async fn one_lost_mailbox_does_not_keep_the_page_from_the_others() {
    for reply in ["550 5.1.1 nobody here", "452 4.2.2 mailbox full"] {
        let outcome = fault("RCPT TO:<b@", Act::Says(reply)).await;
        let Outcome::Sent { detail } = outcome else { panic!("{outcome:?}") };
        assert!(detail.starts_with(&format!("not to b@example.org ({}", &reply[..3])), "{detail}");
    }
}

#[tokio::test]
async fn if_nobody_is_taken_but_one_may_be_later_it_is_tried_again() {
    let faults = vec![("RCPT TO:<ops@", Act::Says("550 5.1.1 nobody")), ("RCPT TO:<b@", Act::Says("450 4.2.1 later"))];
    let relay = Relay::start(Behaviour { faults, ..Default::default() }).await;
    let outcome = send(&relay, &config(relay.port)).await;
    assert!(matches!(&outcome, Outcome::Retry { error, .. } if error.contains("450")), "{outcome:?}");
}

#[tokio::test]
async fn who_is_not_there_is_tried_again_and_who_may_not_be_asked_is_not() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let outcome = notifier().deliver(&channel("smtp", &config(free)), message(&notification(NoticeWord::Fired))).await;
    assert!(matches!(&outcome, Outcome::Retry { ambiguous: false, .. }), "{outcome:?}");
    let mut strict = config(free);
    strict["allow_private"] = json!(false);
    let outcome = notifier().deliver(&channel("smtp", &strict), message(&notification(NoticeWord::Fired))).await;
    assert!(matches!(&outcome, Outcome::Broken { error } if error.contains("private network")), "{outcome:?}");
    let mut public = config(25);
    (public["host"], public["username"], public["password"]) = (json!("9.9.9.9"), json!("u"), json!("p"));
    let outcome = notifier().deliver(&channel("smtp", &public), message(&notification(NoticeWord::Fired))).await;
    assert!(matches!(&outcome, Outcome::Broken { error } if error.contains("in clear")), "{outcome:?}");
}

#[test]
fn a_page_can_be_written_for_looking_at() {
    // With NIGHTBELL_MAIL_PREVIEW set to a folder, the HTML of every kind is written there to be opened in a browser.
    let render = |notification: &Notification, folded: Vec<Notification>| {
        html::render(&crate::page::Page::of(&Message { folded, ..message(notification) }), true).unwrap()
    };
    let folder = std::env::var_os("NIGHTBELL_MAIL_PREVIEW").map(std::path::PathBuf::from);
    let inline = format!("data:image/png;base64,{}", STANDARD.encode(picture()));
    let mut pages: Vec<(String, String)> =
        KINDS.iter().map(|(name, kind)| ((*name).to_owned(), render(&notification(*kind), Vec::new()))).collect();
    pages.push(("hostile".to_owned(), render(&hostile(), vec![notification(NoticeWord::Resolved); 3])));
    for (name, html) in pages {
        assert!(html.contains("cid:chart"), "{name}");
        if let Some(folder) = &folder {
            std::fs::write(folder.join(format!("{name}.html")), html.replace("cid:chart", &inline)).unwrap();
        }
    }
}
