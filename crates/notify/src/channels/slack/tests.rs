//! Messages as Slack's checks see them, its limits at n and n + 1, its answers, and the bot's upload.

use super::blocks::{BUTTON_URL_LIMIT, FIELD_LIMIT, FIELDS_LIMIT, HEADER_LIMIT, SECTION_LIMIT, TEXT_LIMIT, escape, payload};
use super::*;
use crate::config::ChannelConfig;
use crate::delivery::Earlier;
use crate::notification::{NoticeWord, Notification};
use crate::notifier::NotifierOptions;
use crate::testing::double::{Double, Received, Reply};
use crate::testing::samples::storm;
use crate::testing::{
    KINDS, any_notification, channel, charted, hostile, message, notification, notifier, notifier_with, picture, vendors,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn at(double: &Double) -> ChannelConfig {
    channel("slack", &json!({"webhook_url": double.at("services/T0/B0/token"), "allow_private": true}))
}

#[test]
fn every_kind_looks_as_agreed() {
    for (name, kind) in KINDS {
        let payload = payload(&message(&notification(kind)));
        assert_eq!(vendors::slack_payload(&payload), Ok(()), "{name}");
        insta::assert_json_snapshot!(format!("slack_{name}"), payload);
    }
}

#[test]
fn a_storm_is_one_message() {
    for (name, kind) in [("storm", NoticeWord::Fired), ("storm_end", NoticeWord::Resolved)] {
        let (lead, folded) = storm(kind);
        let payload = payload(&Message { folded, ..message(&lead) });
        assert_eq!(vendors::slack_payload(&payload), Ok(()), "{name}");
        insta::assert_json_snapshot!(format!("slack_{name}"), payload);
    }
}

#[test]
fn nothing_that_an_agent_says_means_anything_to_slack() {
    let payload = payload(&message(&hostile()));
    assert_eq!(vendors::slack_payload(&payload), Ok(()));
    insta::assert_json_snapshot!("slack_hostile", payload);
    assert_eq!(escape("<!channel> & <@U1>"), "&lt;!channel&gt; &amp; &lt;@U1&gt;");
}

#[test]
fn our_limits_are_slacks() {
    assert_eq!(
        [HEADER_LIMIT, SECTION_LIMIT, FIELDS_LIMIT, FIELD_LIMIT, BUTTON_URL_LIMIT, TEXT_LIMIT],
        [150, 3_000, 10, 2_000, 3_000, 4_000]
    );
}

#[test]
fn a_header_is_whole_at_the_limit_and_cut_beyond_it() {
    let header = |length: usize| {
        let mut long = notification(NoticeWord::Fired);
        // A symbol of two units, a space and "Critical: " before, " on db-01" after.
        long.rule.name = "ä".repeat(length - 13 - 9);
        let payload = payload(&message(&long));
        assert_eq!(vendors::slack_payload(&payload), Ok(()));
        payload["blocks"][0]["text"]["text"].as_str().unwrap().to_owned()
    };
    assert!(header(HEADER_LIMIT).ends_with("ä on db-01"));
    assert_eq!(header(HEADER_LIMIT).encode_utf16().count(), HEADER_LIMIT);
    assert!(header(HEADER_LIMIT + 1).ends_with("ä… on db-01"), "the rule's name is what is cut");
    assert_eq!(header(HEADER_LIMIT + 1).encode_utf16().count(), HEADER_LIMIT);
}

#[test]
fn the_checks_refuse_what_is_one_too_long() {
    let good = payload(&message(&notification(NoticeWord::Fired)));
    for (pointer, limit) in [
        ("/text", TEXT_LIMIT),
        ("/blocks/0/text/text", HEADER_LIMIT),
        ("/blocks/1/text/text", SECTION_LIMIT),
        ("/blocks/2/fields/0/text", FIELD_LIMIT),
    ] {
        let with = |length: usize| {
            let mut payload = good.clone();
            *payload.pointer_mut(pointer).unwrap() = json!("x".repeat(length));
            vendors::slack_payload(&payload)
        };
        assert_eq!(with(limit), Ok(()), "{pointer}");
        assert!(with(limit + 1).is_err() && with(0).is_err(), "{pointer}");
    }
}

#[test]
fn everything_together_stays_within_the_total() {
    let mut huge = hostile();
    huge.why = "&".repeat(9_000);
    huge.agent.name = "<".repeat(9_000);
    huge.metric = ">".repeat(9_000);
    let payload = payload(&Message { folded: vec![huge.clone(); 30], ..message(&huge) });
    assert_eq!(vendors::slack_payload(&payload), Ok(()));
}

proptest! {
    #[test]
    fn whatever_the_notification_the_message_is_accepted(notification in any_notification(), plain: bool) {
        let payload = payload(&Message { plain, ..message(&notification) });
        prop_assert_eq!(vendors::slack_payload(&payload), Ok(()));
    }
}

#[tokio::test]
async fn the_webhook_takes_it_rich_and_plain() {
    let slack = vendors::slack().await;
    for plain in [false, true] {
        let notification = notification(NoticeWord::Fired);
        let outcome = notifier().attempt(&at(&slack), Message { plain, ..message(&notification) }).await;
        assert_eq!(outcome, Outcome::sent("127.0.0.1 answered 200 OK"));
    }
    let received = slack.received();
    assert!(received[0].json()["blocks"].is_array() && received[1].json()["blocks"].is_null());
}

#[tokio::test]
async fn refusals_mean_what_they_mean_everywhere_and_hide_the_path() {
    let told = async |status: u16, body: &str| {
        let double = Double::answering(Reply::of(status, body)).await;
        let outcome = notifier().attempt(&at(&double), message(&notification(NoticeWord::Fired))).await;
        assert!(!format!("{outcome:?}").contains("token"), "{outcome:?}");
        outcome
    };
    assert!(matches!(told(404, "no_service /services/T0/B0/token").await, Outcome::Broken { .. }));
    assert!(matches!(told(403, "action_prohibited").await, Outcome::Broken { .. }));
    assert!(matches!(told(410, "channel_is_archived").await, Outcome::Broken { .. }));
    assert!(matches!(told(400, "invalid_payload").await, Outcome::Unacceptable { .. }));
    assert!(matches!(told(500, "rollup_error").await, Outcome::Retry { .. }));
}

/// A workspace whose API takes a message, gives a place to upload to, and takes the upload; `refuse` names a method's error.
async fn workspace(refuse: &'static [(&'static str, &'static str)]) -> Double {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Double::answering(Reply::of(200, "OK")).await.at("upload");
    drop(listener);
    Double::start(move |request| {
        let method = request.path.trim_start_matches("/api/");
        assert_eq!(request.headers["authorization"], "Bearer xoxb-CANARY");
        if let Some((_, error)) = refuse.iter().find(|(name, _)| *name == method) {
            return Reply::of(200, &json!({"ok": false, "error": error}).to_string());
        }
        Reply::of(200, &taken(method, request, &place).to_string())
    })
    .await
}

fn taken(method: &str, request: &Received, place: &str) -> Value {
    match method {
        "chat.postMessage" => {
            assert_eq!(vendors::slack_payload(&request.json()), Ok(()));
            json!({"ok": true, "channel": "C042", "ts": "1.2"})
        }
        "files.getUploadURLExternal" => {
            assert_eq!(request.text(), format!("filename=chart.png&length={}", picture().len()));
            json!({"ok": true, "upload_url": place, "file_id": "F1"})
        }
        "files.completeUploadExternal" => {
            let expected = json!({"files": [{"id": "F1", "title": "The last hour"}], "channel_id": "C042", "thread_ts": "1.2"});
            assert_eq!(request.json(), expected);
            json!({"ok": true})
        }
        other => json!({"ok": false, "error": format!("unknown_method {other}")}),
    }
}

async fn by_bot(refuse: &'static [(&'static str, &'static str)]) -> Outcome {
    let slack = workspace(refuse).await;
    let notifier = notifier_with(NotifierOptions { slack_base: slack.url.to_string(), ..Default::default() });
    let channel = channel("slack", &json!({"bot_token": "xoxb-CANARY", "channel": "#ops", "allow_private": true}));
    let notification = notification(NoticeWord::Fired);
    let outcome = notifier.attempt(&channel, Message { charts: charted(), ..message(&notification) }).await;
    assert!(!format!("{outcome:?}").contains("CANARY"), "{outcome:?}");
    outcome
}

#[tokio::test]
async fn a_bot_uploads_the_picture_as_a_reply() {
    assert_eq!(by_bot(&[]).await, Outcome::sent("Slack took the message and its picture"));
}

/// What a workspace is asked for by the page of `next` after one that fired; `refuse` names the errors of methods.
async fn after_firing(refuse: &'static [(&'static str, &'static str)], next: &Notification) -> (Vec<(String, Value)>, Report) {
    let slack = Double::start(move |request| {
        let method = request.path.trim_start_matches("/api/").to_owned();
        let error = refuse.iter().find(|(name, _)| *name == method);
        let ts = if method == "chat.postMessage" { "2.2" } else { "1.1" };
        let answer = error
            .map_or_else(|| json!({"ok": true, "channel": "C042", "ts": ts}), |(_, error)| json!({"ok": false, "error": error}));
        Reply::of(200, &answer.to_string())
    })
    .await;
    let notifier = notifier_with(NotifierOptions { slack_base: slack.url.to_string(), ..Default::default() });
    let channel = channel("slack", &json!({"bot_token": "xoxb-CANARY", "channel": "#ops", "allow_private": true}));
    let first = notifier.deliver(&channel, message(&notification(NoticeWord::Fired))).await;
    let thread = vec![Earlier { delivery_id: "f".to_owned(), progress: first.progress }];
    let report = notifier.deliver(&channel, Message { thread, ..message(next) }).await;
    let asked =
        slack.received().into_iter().skip(1).map(|request| (request.path.trim_start_matches("/api/").to_owned(), request.json()));
    (asked.collect(), report)
}

#[tokio::test]
async fn an_incident_is_a_thread_whose_first_message_shows_its_state() {
    for (kind, is_shown_to_all, updates) in
        [(NoticeWord::Resolved, true, true), (NoticeWord::Acked, false, true), (NoticeWord::Repeat, true, false)]
    {
        let (asked, report) = after_firing(&[], &notification(kind)).await;
        assert!(matches!(report.outcome, Outcome::Sent { .. }), "{report:?}");
        let (method, posted) = &asked[0];
        assert_eq!(method, "chat.postMessage");
        assert_eq!((&posted["channel"], &posted["thread_ts"]), (&json!("C042"), &json!("2.2")));
        assert_eq!(posted["reply_broadcast"], json!(is_shown_to_all), "{kind:?}");
        assert_eq!(asked.len(), 1 + usize::from(updates), "{kind:?}");
        if updates {
            let (method, update) = &asked[1];
            assert_eq!((method.as_str(), &update["channel"], &update["ts"]), ("chat.update", &json!("C042"), &json!("2.2")));
            assert_eq!(vendors::slack_payload(update), Ok(()));
        }
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_updated_does_not_lose_the_end() {
    let (_, report) = after_firing(&[("chat.update", "message_not_found")], &notification(NoticeWord::Resolved)).await;
    assert!(
        matches!(&report.outcome, Outcome::Sent { detail } if detail.contains("could not be brought up to date")),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_lost_picture_does_not_lose_the_page() {
    let outcome = by_bot(&[("files.getUploadURLExternal", "missing_scope")]).await;
    let Outcome::Sent { detail } = outcome else { panic!("{outcome:?}") };
    assert!(detail.starts_with("Slack took the message but not its picture: ") && detail.ends_with("missing_scope"), "{detail}");
}

#[tokio::test]
async fn a_bots_errors_are_told_apart_by_their_name() {
    assert!(matches!(by_bot(&[("chat.postMessage", "invalid_auth xoxb-CANARY")]).await, Outcome::Unacceptable { .. }));
    assert!(matches!(by_bot(&[("chat.postMessage", "token_revoked")]).await, Outcome::Broken { .. }));
    assert!(matches!(by_bot(&[("chat.postMessage", "ratelimited")]).await, Outcome::Retry { ambiguous: false, .. }));
    assert!(matches!(by_bot(&[("chat.postMessage", "invalid_blocks")]).await, Outcome::Unacceptable { .. }));
}
