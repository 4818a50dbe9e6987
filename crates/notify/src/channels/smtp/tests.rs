//! Mails as a relay gets them, and what each of its failures means, against a real relay.

use super::*;
use crate::config::ChannelConfig;
use crate::delivery::{Charts, Earlier};
use crate::notification::{NoticeWord, Notification};
use crate::notifier::NotifierOptions;
use crate::progress::unreached;
use crate::testing::relay::{Act, Behaviour, Encrypts, Relay, Taken};
use crate::testing::samples::storm;
use crate::testing::{
    KINDS, any_notification, channel, charted, hasty, hostile, message, notification, notifier, notifier_with, picture,
};
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
    notifier.attempt(&channel("smtp", config), message(&notification(NoticeWord::Fired))).await
}

#[test]
fn headers_thread_and_filter() {
    let notification = notification(NoticeWord::Repeat);
    let earlier = |id: String| Earlier { delivery_id: id, progress: None };
    let thread = vec![earlier("01A".to_owned()), earlier("01B".to_owned())];
    let mail = letter(&Message { thread, plain: true, ..message(&notification) });
    insta::assert_snapshot!("mail_plain", mail.replace("\r\n", "\n"));
    let first = letter(&message(&notification));
    assert!(!first.contains("References") && !first.contains("In-Reply-To"));
    let long: Vec<Earlier> = (0..60).map(|n| earlier(format!("{n:026}"))).collect();
    let mail = letter(&Message { thread: long, ..message(&notification) });
    let references = mail.split("References:").nth(1).unwrap().split("MIME-Version").next().unwrap();
    assert_eq!(references.matches("@night.example>").count(), 10);
    assert!(references.contains(&format!("<{:026}@", 0)) && references.contains(&format!("<{:026}@", 59)));
    for count in 1..=12 {
        let thread: Vec<Earlier> = (0..count).map(|n| earlier(format!("t{n}"))).collect();
        let mail = letter(&Message { thread, ..message(&notification) });
        let head = mail.split("\r\n\r\n").next().unwrap();
        let references = head.split("References:").nth(1).unwrap().split("MIME-Version").next().unwrap();
        assert_eq!(references.matches('<').count(), count.min(10), "{references}");
    }
}

#[test]
fn a_mail_has_a_text_an_html_part_and_the_picture() {
    let notification = notification(NoticeWord::Fired);
    let charts = Charts { light: Some(b"\x89PNG".to_vec()), dark: Some(b"\x89PNG dark".to_vec()) };
    let mail = letter(&Message { charts, ..message(&notification) });
    insta::assert_snapshot!("mail_fired", mail.replace("\r\n", "\n"));
}

/// The words of a mail's HTML, one a line. The head is the same for all; the body's styles are the template's business.
fn words(message: &Message<'_>, charts: Vec<&'static str>) -> String {
    let html = html::render(&crate::page::Page::of(message), charts).unwrap();
    let body = html.split("<body").nth(1).unwrap();
    let words = body.split('<').filter_map(|tag| tag.split_once('>')).map(|(_, text)| text.trim());
    words.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_html_of_every_kind_is_as_agreed() {
    for (name, kind) in KINDS {
        let charts = if name == "fired" { vec!["chart", "chart-dark"] } else { Vec::new() };
        insta::assert_snapshot!(format!("html_{name}"), words(&message(&notification(kind)), charts));
    }
    for (name, kind) in [("storm", NoticeWord::Fired), ("storm_end", NoticeWord::Resolved)] {
        let (mut lead, folded) = storm(kind);
        let when = if kind == NoticeWord::Fired { "before" } else { "together" };
        lead.hub_note = Some(format!("Paged {when} and still on: db-15, db-16."));
        insta::assert_snapshot!(format!("html_{name}"), words(&Message { folded, ..message(&lead) }, Vec::new()));
    }
}

#[test]
fn each_host_of_a_storm_leads_to_its_own_incident() {
    let (mut lead, mut folded) = storm(NoticeWord::Fired);
    for one in folded.iter_mut().chain([&mut lead]) {
        one.url = format!("https://nightbell.example/i/{}?e=1&s=2", one.incident_id);
    }
    let html = html::render(&crate::page::Page::of(&Message { folded: folded.clone(), ..message(&lead) }), Vec::new()).unwrap();
    for one in folded.iter().chain([&lead]) {
        let link = format!("href=\"https:&#x2f;&#x2f;nightbell.example&#x2f;i&#x2f;{}?e=1&amp;s=2\"", one.incident_id);
        assert!(html.contains(&link), "{} leads nowhere", one.agent.name);
    }
}

#[test]
fn nothing_that_an_agent_says_is_markup_or_a_header() {
    let hostile = hostile();
    let html = html::render(&crate::page::Page::of(&message(&hostile)), Vec::new()).unwrap();
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
    let page = Message { charts: charted(), ..message(&notification) };
    let outcome = notifier().attempt(&channel("smtp", &config(relay.port)), page).await;
    assert_eq!(outcome, Outcome::sent("localhost took the mail; it said: 2.0.0 queued as 42"));
    let [Taken { from, to, data, encrypted: false, login: None }] = &relay.taken()[..] else { panic!() };
    assert_eq!(
        (from.as_str(), to.join(" ")),
        ("MAIL FROM:<nb@example.org>", "RCPT TO:<ops@example.org> RCPT TO:<b@example.org>".to_owned())
    );
    assert!(data.contains("Subject: Critical: CPU hot on db-01 (97.2 % > 90 %)"), "{data}");
    assert!(data.contains("cid:chart-dark") && data.contains("Content-ID: <chart-dark>"));
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
    let outcome = notifier().attempt(&channel("smtp", &config), message(&notification(NoticeWord::Fired))).await;
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

/// Three recipients, of whom the relay refuses some for now or for good; the report, and the recipients of each mail it took.
async fn to_three(faults: Vec<(&'static str, Act)>, page: Message<'_>) -> (Report, Vec<String>) {
    let relay = Relay::start(Behaviour { faults, ..Default::default() }).await;
    let mut config = config(relay.port);
    config["to"] = json!(["Ops <ops@example.org>", "b@example.org", "c@example.org"]);
    let report = notifier().deliver(&channel("smtp", &config), page).await;
    let names = |taken: Taken| taken.to.join(" ").replace("RCPT TO:<", "").replace("@example.org>", "");
    (report, relay.taken().into_iter().map(names).collect())
}

const FOR_NOW: Act = Act::Says("450 4.2.0 greylisted");
const FOR_GOOD: Act = Act::Says("550 5.1.1 nobody here");

#[tokio::test]
async fn each_recipient_has_an_outcome_of_its_own() {
    let page = notification(NoticeWord::Fired);
    let (report, taken) = to_three(vec![("RCPT TO:<b@", FOR_NOW), ("RCPT TO:<c@", FOR_GOOD)], message(&page)).await;
    assert_eq!(taken, ["ops"]);
    assert_eq!(report.outcome, Outcome::sent("localhost took the mail; it said: 2.0.0 queued as 42"));
    assert_eq!(report.owed, ["b@example.org"], "who may be reached later is owed the mail, who is refused is not");
    let note = unreached(report.progress.as_ref().unwrap()).unwrap();
    assert_eq!(note, "not to c@example.org; it said: 550 5.1.1 nobody here");

    // The delivery of what is owed writes to nobody else, and goes on until it is done.
    let rest = Notification { only_to: report.owed, ..page };
    let (waits, taken) = to_three(vec![("RCPT TO:<b@", FOR_NOW)], message(&rest)).await;
    assert!(taken.is_empty() && waits.owed.is_empty());
    assert!(
        matches!(&waits.outcome, Outcome::Retry { error, ambiguous: false, .. } if error.contains("b@example.org yet")),
        "{waits:?}"
    );
    let (done, taken) = to_three(Vec::new(), message(&rest)).await;
    assert_eq!((taken, done.owed.len()), (vec!["b".to_owned()], 0));
    assert!(matches!(done.outcome, Outcome::Sent { .. }));
}

#[tokio::test]
async fn nobody_gets_what_is_owed_to_others_twice() {
    let rest =
        Notification { only_to: vec!["b@example.org".to_owned(), "c@example.org".to_owned()], ..notification(NoticeWord::Fired) };
    let (first, taken) = to_three(vec![("RCPT TO:<c@", FOR_NOW)], message(&rest)).await;
    assert_eq!(taken, ["b"]);
    assert!(matches!(first.outcome, Outcome::Retry { .. }) && first.owed.is_empty(), "{first:?}");
    let (second, taken) = to_three(Vec::new(), Message { progress: first.progress, ..message(&rest) }).await;
    assert_eq!(taken, ["c"]);
    let (third, taken) = to_three(Vec::new(), Message { progress: second.progress, ..message(&rest) }).await;
    assert!(taken.is_empty() && matches!(third.outcome, Outcome::Sent { .. }), "everybody has it: {third:?}");
}

#[tokio::test]
async fn a_channel_is_broken_only_if_all_of_it_is_refused() {
    let page = notification(NoticeWord::Fired);
    let (all, _) = to_three(vec![("RCPT", FOR_GOOD)], message(&page)).await;
    assert!(
        matches!(&all.outcome, Outcome::Broken { error } if error.contains("every recipient") && error.contains("550")),
        "{all:?}"
    );
    assert_eq!(all.progress, None, "once it is mended, everybody is tried again");
    let (one, taken) = to_three(vec![("RCPT TO:<ops@", FOR_GOOD)], message(&page)).await;
    assert!(matches!(one.outcome, Outcome::Sent { .. }) && taken == ["b c"], "{one:?}");
    let (none_yet, taken) = to_three(vec![("RCPT", FOR_NOW)], message(&page)).await;
    assert!(matches!(none_yet.outcome, Outcome::Retry { .. }) && none_yet.owed.is_empty() && taken.is_empty());
    let goodbye = vec![("RCPT TO:<b@", Act::Says("421 4.3.2 shutting down"))];
    let (ended, taken) = to_three(goodbye, message(&page)).await;
    assert!(matches!(&ended.outcome, Outcome::Retry { error, .. } if error.contains("421")) && taken.is_empty(), "{ended:?}");
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
    let outcome = notifier().attempt(&channel("smtp", &config(free)), message(&notification(NoticeWord::Fired))).await;
    assert!(matches!(&outcome, Outcome::Retry { ambiguous: false, .. }), "{outcome:?}");
    let mut strict = config(free);
    strict["allow_private"] = json!(false);
    let outcome = notifier().attempt(&channel("smtp", &strict), message(&notification(NoticeWord::Fired))).await;
    assert!(matches!(&outcome, Outcome::Broken { error } if error.contains("private network")), "{outcome:?}");
    let mut public = config(25);
    (public["host"], public["username"], public["password"]) = (json!("9.9.9.9"), json!("u"), json!("p"));
    let outcome = notifier().attempt(&channel("smtp", &public), message(&notification(NoticeWord::Fired))).await;
    assert!(matches!(&outcome, Outcome::Broken { error } if error.contains("in clear")), "{outcome:?}");
}

#[test]
fn a_page_can_be_written_for_looking_at() {
    // With NIGHTBELL_MAIL_PREVIEW set to a folder, the HTML of every kind is written there to be opened in a browser.
    let render = |notification: &Notification, folded: Vec<Notification>| {
        html::render(&crate::page::Page::of(&Message { folded, ..message(notification) }), vec!["chart", "chart-dark"]).unwrap()
    };
    let folder = std::env::var_os("NIGHTBELL_MAIL_PREVIEW").map(std::path::PathBuf::from);
    let mut pages: Vec<(String, String)> =
        KINDS.iter().map(|(name, kind)| ((*name).to_owned(), render(&notification(*kind), Vec::new()))).collect();
    let (fell, rest) = storm(NoticeWord::Fired);
    pages.push(("storm".to_owned(), render(&fell, rest)));
    let (back, rest) = storm(NoticeWord::Resolved);
    pages.push(("storm_end".to_owned(), render(&back, rest)));
    pages.push(("hostile".to_owned(), render(&hostile(), vec![notification(NoticeWord::Resolved); 3])));
    for (name, html) in pages {
        assert!(html.contains("cid:chart"), "{name}");
        if let Some(folder) = &folder {
            // Pictures of one's own choice may be put beside the pages.
            let html = html.replace("cid:chart-dark", "chart-dark.png").replace("cid:chart", "chart.png");
            std::fs::write(folder.join(format!("{name}.html")), html).unwrap();
        }
    }
}
