//! Messages as Discord's checks see them, its limits at n and n + 1, and its answers.

use super::embed::{
    BUTTON_URL_LIMIT, CONTENT_LIMIT, DESCRIPTION_LIMIT, FIELD_NAME_LIMIT, FIELD_VALUE_LIMIT, FIELDS_LIMIT, FOOTER_LIMIT, Picture,
    TITLE_LIMIT, TOTAL_LIMIT, escape, payload,
};
use super::*;
use crate::config::ChannelConfig;
use crate::config::{DiscordTarget, Secret};
use crate::delivery::Earlier;
use crate::notification::NoticeWord;
use crate::notification::Notification;
use crate::notifier::NotifierOptions;
use crate::testing::double::{Double, Received, Reply};
use crate::testing::samples::storm;
use crate::testing::{
    KINDS, any_notification, channel, charted, hostile, message, notification, notifier, notifier_with, picture, vendors,
};
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

fn files(has_chart: bool) -> Vec<String> {
    if has_chart { vec![CHART_NAME.to_owned()] } else { Vec::new() }
}

fn at(double: &Double) -> ChannelConfig {
    channel("discord", &json!({"webhook_url": double.at("api/v10/webhooks/1/token"), "allow_private": true}))
}

#[test]
fn every_kind_looks_as_agreed() {
    for (name, kind) in KINDS {
        let payload = payload(&message(&notification(kind)), &Picture::Attached, false).unwrap();
        assert_eq!(vendors::discord_payload(&payload, &files(true)), Ok(()), "{name}");
        insta::assert_json_snapshot!(format!("discord_{name}"), payload);
    }
}

#[test]
fn a_storm_is_one_message() {
    for (name, kind) in [("storm", NoticeWord::Fired), ("storm_end", NoticeWord::Resolved)] {
        let (lead, folded) = storm(kind);
        let payload = payload(&Message { folded, ..message(&lead) }, &Picture::None, false).unwrap();
        assert_eq!(vendors::discord_payload(&payload, &[]), Ok(()), "{name}");
        insta::assert_json_snapshot!(format!("discord_{name}"), payload);
    }
}

#[test]
fn nothing_that_an_agent_says_means_anything_to_discord() {
    let payload = payload(&message(&hostile()), &Picture::None, false).unwrap();
    assert_eq!(vendors::discord_payload(&payload, &[]), Ok(()));
    insta::assert_json_snapshot!("discord_hostile", payload);
    assert_eq!(
        escape("*a* _b_ `c` [d](http://e) <@1> || x\n# y > z"),
        "\\*a\\* \\_b\\_ \\`c\\` \\[d\\](http\\://e) \\<@1> \\|\\| x\n\\# y > z"
    );
}

#[test]
fn our_limits_are_discords() {
    let limits = [
        CONTENT_LIMIT,
        TITLE_LIMIT,
        DESCRIPTION_LIMIT,
        FIELDS_LIMIT,
        FIELD_NAME_LIMIT,
        FIELD_VALUE_LIMIT,
        FOOTER_LIMIT,
        TOTAL_LIMIT,
    ];
    assert_eq!(limits, [2_000, 256, 4_096, 25, 256, 1_024, 2_048, 6_000]);
    assert_eq!(BUTTON_URL_LIMIT, 512);
}

#[test]
fn a_title_is_whole_at_the_limit_and_cut_beyond_it() {
    let title = |length: usize| {
        let mut long = notification(NoticeWord::Fired);
        // "Critical: " before, " on db-01" after.
        long.rule.name = "ä".repeat(length - 10 - 9);
        let payload = payload(&message(&long), &Picture::None, false).unwrap();
        assert_eq!(vendors::discord_payload(&payload, &[]), Ok(()));
        payload["embeds"][0]["title"].as_str().unwrap().to_owned()
    };
    assert!(title(TITLE_LIMIT).ends_with("ä on db-01") && title(TITLE_LIMIT).chars().count() == TITLE_LIMIT);
    assert!(title(TITLE_LIMIT + 1).ends_with("ä… on db-01"), "the rule's name is what is cut");
    assert_eq!(title(TITLE_LIMIT + 1).chars().count(), TITLE_LIMIT);
}

#[test]
fn a_title_of_signs_that_are_escaped_keeps_the_host() {
    let mut long = notification(NoticeWord::Fired);
    long.rule.name = "cpu_".repeat(50);
    let payload = payload(&message(&long), &Picture::None, false).unwrap();
    let title = payload["embeds"][0]["title"].as_str().unwrap();
    assert!(title.starts_with("Critical: cpu\\_cpu") && title.ends_with("… on db-01"), "{title}");
    assert!((TITLE_LIMIT - 2..=TITLE_LIMIT).contains(&title.chars().count()));
}

#[test]
fn the_checks_refuse_what_is_one_too_long() {
    let good = payload(&message(&notification(NoticeWord::Fired)), &Picture::None, false).unwrap();
    for (pointer, limit) in [
        ("/content", CONTENT_LIMIT),
        ("/embeds/0/title", TITLE_LIMIT),
        ("/embeds/0/description", DESCRIPTION_LIMIT),
        ("/embeds/0/footer/text", FOOTER_LIMIT),
        ("/embeds/0/fields/0/name", FIELD_NAME_LIMIT),
        ("/embeds/0/fields/0/value", FIELD_VALUE_LIMIT),
    ] {
        let with = |length: usize| {
            let mut payload = good.clone();
            *payload.pointer_mut(pointer).unwrap() = json!("x".repeat(length));
            vendors::discord_payload(&payload, &[])
        };
        assert_eq!(with(limit), Ok(()), "{pointer}");
        assert!(with(limit + 1).is_err() && with(0).is_err(), "{pointer}");
    }
}

#[test]
fn everything_together_stays_within_the_total() {
    let mut huge = hostile();
    huge.why = "w".repeat(9_000);
    huge.agent.name = "n".repeat(9_000);
    huge.metric = "m".repeat(9_000);
    let message = Message { folded: vec![huge.clone(); 30], ..message(&huge) };
    let payload = payload(&message, &Picture::Attached, false).unwrap();
    assert_eq!(vendors::discord_payload(&payload, &files(true)), Ok(()));
    let embed = &payload["embeds"][0];
    assert!(embed["footer"]["text"].as_str().unwrap().ends_with("Europe/Berlin"), "what is short and last is not lost");
}

proptest! {
    #[test]
    fn whatever_the_notification_the_message_is_accepted(notification in any_notification(), plain: bool, has_chart: bool) {
        let has_chart = has_chart && !plain;
        let payload = payload(&Message { plain, ..message(&notification) }, if has_chart { &Picture::Attached } else { &Picture::None }, false).unwrap();
        prop_assert_eq!(vendors::discord_payload(&payload, &files(has_chart)), Ok(()));
    }
}

#[tokio::test]
async fn the_picture_travels_with_the_message() {
    let discord = vendors::discord().await;
    let notification = notification(NoticeWord::Fired);
    let message = Message { charts: charted(), ..message(&notification) };
    assert_eq!(notifier().attempt(&at(&discord), message).await, Outcome::sent("127.0.0.1 answered 200 OK"));
    let parts = discord.only().parts();
    assert_eq!(parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["payload_json", "files[0]"]);
    assert_eq!(parts[1].file_name.as_deref(), Some("chart.png"));
    assert_eq!(parts[1].bytes, picture());
}

#[tokio::test]
async fn the_second_try_is_plain_text() {
    let discord = vendors::discord().await;
    let notification = notification(NoticeWord::Fired);
    let message = Message { charts: charted(), plain: true, ..message(&notification) };
    assert!(matches!(notifier().attempt(&at(&discord), message).await, Outcome::Sent { .. }));
    let payload = discord.only().json();
    assert!(payload["embeds"].as_array().is_none_or(Vec::is_empty), "{payload}");
    assert!(payload["content"].as_str().unwrap().contains("97.2 %"));
}

#[tokio::test]
async fn discords_own_urls_lead_to_the_api_wherever_it_is() {
    let discord = vendors::discord().await;
    let notifier = notifier_with(NotifierOptions { discord_base: discord.url.to_string(), ..Default::default() });
    for url in ["https://discord.com/api/webhooks/1/token", "https://ptb.discord.com/api/v9/webhooks/1/token/?wait=false#x"] {
        let channel = channel("discord", &json!({"webhook_url": url, "allow_private": true}));
        let outcome = notifier.attempt(&channel, message(&notification(NoticeWord::Fired))).await;
        assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
    }
    let base = "https://discord.com".parse().unwrap();
    let webhook = DiscordTarget::Webhook(Secret::new("https://discord.com/api/webhooks/7/t0k?thread_id=9"));
    let endpoint = Endpoint::of(&webhook, &base).unwrap();
    let api = "https://discord.com/api/v10/webhooks/7/t0k";
    assert_eq!(endpoint.url(None).as_str(), format!("{api}?thread_id=9&wait=true&with_components=true"));
    assert_eq!(endpoint.url(Some("5")).as_str(), format!("{api}/messages/5?thread_id=9&with_components=true"));
    assert_eq!((endpoint.secret(), endpoint.authorization()), ("t0k", None));
    let bot = DiscordTarget::Bot { token: Secret::new("t0k"), channel: "42".to_owned() };
    let endpoint = Endpoint::of(&bot, &base).unwrap();
    assert_eq!(endpoint.url(None).as_str(), "https://discord.com/api/v10/channels/42/messages");
    assert_eq!(endpoint.url(Some("5")).as_str(), "https://discord.com/api/v10/channels/42/messages/5");
    assert_eq!(endpoint.authorization().as_deref(), Some("Bot t0k"));
}

fn earlier(id: &str, progress: Option<String>) -> Earlier {
    Earlier { delivery_id: id.to_owned(), progress }
}

/// A page that fired, and what follows it: what Discord was asked for, and the report of the last.
async fn after_firing(reply: Reply, next: &Notification) -> (Vec<Received>, Report) {
    let discord = vendors::discord().await;
    let fired = notification(NoticeWord::Fired);
    let first = notifier().deliver(&at(&discord), Message { charts: charted(), ..message(&fired) }).await;
    assert!(first.progress.is_some(), "{first:?}");
    let edits =
        Double::start(move |request| if request.method == "PATCH" { reply.clone() } else { vendors::discord_answer(request) })
            .await;
    let thread = vec![earlier("f", first.progress)];
    let report = notifier().deliver(&at(&edits), Message { thread, charts: charted(), ..message(next) }).await;
    (edits.received(), report)
}

fn methods(received: &[Received]) -> Vec<&str> {
    received.iter().map(|request| request.method.as_str()).collect()
}

#[tokio::test]
async fn the_first_message_shows_the_end_and_the_end_is_said_anew() {
    let (received, report) = after_firing(Reply::of(200, "{}"), &notification(NoticeWord::Resolved)).await;
    assert_eq!(methods(&received), ["POST", "PATCH"], "first what wakes people, then what is brought up to date");
    assert_eq!(received[1].path, "/api/v10/webhooks/1/token/messages/1001");
    let edit = received[1].json();
    assert_eq!(vendors::discord_payload(&edit, &[]), Ok(()));
    assert_eq!(edit["attachments"], json!([{"id": "2001"}]), "the picture stays");
    assert!(edit["content"].as_str().unwrap().starts_with("✅ Resolved"), "{edit}");
    assert_eq!(report.outcome, Outcome::sent("127.0.0.1 answered 200 OK"));
}

#[tokio::test]
async fn who_is_on_it_is_shown_and_pings_nobody() {
    let (received, report) = after_firing(Reply::of(200, "{}"), &notification(NoticeWord::Acked)).await;
    assert_eq!(methods(&received), ["PATCH"]);
    assert!(received[0].json()["content"].as_str().unwrap().contains("Acknowledged: CPU hot on db-01 (by Ana)"));
    assert_eq!(report.progress, None, "the first message stays the first");
    let (received, report) = after_firing(Reply::of(404, "{\"code\":10008}"), &notification(NoticeWord::Acked)).await;
    assert_eq!(methods(&received), ["PATCH", "POST"], "somebody removed the message: it is said anew");
    assert!(matches!(report.outcome, Outcome::Sent { .. }));
}

#[tokio::test]
async fn a_message_that_cannot_be_edited_does_not_lose_the_end() {
    for status in [404, 429, 500] {
        let (received, report) = after_firing(Reply::of(status, "{}"), &notification(NoticeWord::Resolved)).await;
        assert_eq!(methods(&received), ["POST", "PATCH"]);
        assert!(matches!(&report.outcome, Outcome::Sent { detail } if detail.ends_with("could not be edited")), "{report:?}");
    }
}

#[tokio::test]
async fn a_message_of_several_is_edited_only_by_one_of_as_many() {
    let discord = vendors::discord().await;
    let (mut one, mut two) = (notification(NoticeWord::Fired), notification(NoticeWord::Fired));
    (one.incident_id, two.incident_id) = ("A".to_owned(), "B".to_owned());
    let first = notifier().deliver(&at(&discord), Message { folded: vec![two.clone()], ..message(&one) }).await;
    let ended = |one: &Notification| Notification { kind: NoticeWord::Resolved, ..one.clone() };
    let (one, two) = (ended(&one), ended(&two));
    for (folded, edited) in [(vec![], 0), (vec![two], 1)] {
        let before = discord.received().len();
        let thread = vec![earlier("f", first.progress.clone())];
        notifier().deliver(&at(&discord), Message { thread, folded, ..message(&one) }).await;
        let received = discord.received();
        assert_eq!(methods(&received[before..]).iter().filter(|method| **method == "PATCH").count(), edited);
    }
}

#[tokio::test]
async fn refusals_mean_what_they_mean_everywhere_and_hide_the_token() {
    let wait = |seconds: f64| Some(Duration::from_secs_f64(seconds));
    for (reply, expected) in [
        (Reply::of(429, "{\"retry_after\":0.65,\"global\":false}"), wait(0.65)),
        (Reply::of(429, "{\"retry_after\":0.65}").with("retry-after", "1"), wait(1.0)),
        (Reply::of(429, "{\"retry_after\":2.5}").with("retry-after", "1"), wait(2.5)),
        (Reply::of(429, "<html>1015</html>").with("retry-after", "120"), wait(120.0)),
        (Reply::of(429, "{\"retry_after\":-1}"), None),
        (Reply::of(500, "{\"retry_after\":7}"), None),
    ] {
        let double = Double::answering(reply).await;
        let outcome = notifier().attempt(&at(&double), message(&notification(NoticeWord::Fired))).await;
        assert!(matches!(&outcome, Outcome::Retry { after, ambiguous: false, .. } if *after == expected), "{outcome:?}");
    }
    for (status, body) in
        [(404, "{\"message\":\"Unknown Webhook\",\"code\":10015}"), (401, "{\"message\":\"Invalid Webhook Token token\"}")]
    {
        let double = Double::answering(Reply::of(status, body)).await;
        let outcome = notifier().attempt(&at(&double), message(&notification(NoticeWord::Fired))).await;
        let Outcome::Broken { error } = outcome else { panic!("{outcome:?}") };
        assert!(error.contains("Webhook") && !error.contains("token"), "{error}");
    }
    let double = Double::answering(Reply::of(400, "{\"code\":50035}")).await;
    let outcome = notifier().attempt(&at(&double), message(&notification(NoticeWord::Fired))).await;
    assert!(matches!(outcome, Outcome::Unacceptable { .. }), "{outcome:?}");
}
